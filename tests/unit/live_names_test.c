/* SPDX-License-Identifier: Apache-2.0 */
/* The names of live slots, from one process to the next. */
#include "gateway/live_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/tcp_options.h"
#include "platform/crc32c.h"
#include "platform/text.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

enum { SLOTS = 64 };

static const uint8_t lineage[FLOW_MAP_ID_BYTES] = {1, 2, 3}, other_lineage[FLOW_MAP_ID_BYTES] = {1, 2, 4};
static const struct snapshot EMPTY;
static const struct tcp_profile profile = {.mss = 1440,
					   .wscale = 9,
					   .sack = true,
					   .timestamps = true,
					   .asked_sack = true,
					   .asked_timestamps = true,
					   .window = 28960};

static char directory[64], file[80];
static struct text error;

static void
begin(void)
{
	strcpy(directory, "/tmp/live_names_test.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/names", directory);
}

static void
end(void)
{
	unlink(file);
	CU_ASSERT_EQUAL(rmdir(directory), 0);
	text_free(&error);
}

static uint32_t
get(struct live *live, char kind, const char *name)
{
	return live_slot_get(live, kind, name, strlen(name));
}

/* Slots 1..5; of them 2 was released, and 3 knows an endpoint. */
static struct live *
make(void)
{
	struct live *live = live_create(2, SLOTS);
	CU_ASSERT_EQUAL(get(live, 'l', "bank/east-west:15443"), 1);
	CU_ASSERT_EQUAL(get(live, 'b', "gone"), 2);
	live_commit(live, &EMPTY);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(get(live, 'e', "pay/10.0.0.1:8443"), 3);
		CU_ASSERT_EQUAL(get(live, 'e', "pay/10.0.0.2:8443"), 4);
		CU_ASSERT_EQUAL(get(live, 'b', "pay:8443"), 5);
		live_commit(live, &EMPTY);
	}
	live_sweep(live, 1);
	live_sweep(live, 1 + LIVE_HOLD_MS);
	CU_ASSERT_EQUAL(live_used(live), 4);
	live_profile_set(live, 3, &profile);
	struct tcp_profile little = {.mss = 536, .wscale = TCP_WSCALE_NONE, .asked_sack = true};
	live_profile_set(live, 4, &little);
	return live;
}

static bool
is_profile(const struct tcp_profile *learned)
{
	return learned->mss == profile.mss && learned->wscale == profile.wscale && learned->window == profile.window &&
	       learned->sack && learned->timestamps && learned->asked_sack && learned->asked_timestamps;
}

static bool
is_as_made(const struct live *live)
{
	struct tcp_profile learned;
	return live_used(live) == 4 && live_kind(live, 1) == 'l' && live_kind(live, 2) == 0 &&
	       live_kind(live, 3) == 'e' && live_kind(live, 4) == 'e' && live_kind(live, 5) == 'b' &&
	       strcmp(live_name(live, 3), "pay/10.0.0.1:8443") == 0 && strcmp(live_name(live, 5), "pay:8443") == 0 &&
	       live_profile(live, 3, &learned) && is_profile(&learned) && live_profile(live, 4, &learned) &&
	       learned.mss == 536 && learned.wscale == TCP_WSCALE_NONE && learned.asked_sack && !learned.sack &&
	       !learned.asked_timestamps && !live_profile(live, 5, &learned);
}

static void
test_there_and_back(void)
{
	struct stat status;

	begin();
	struct live *live = make(), *next = live_create(1, SLOTS);
	CU_ASSERT_TRUE(live_names_save(live, directory, lineage, &error));
	CU_ASSERT_EQUAL(stat(file, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	CU_ASSERT_TRUE(live_names_load(next, directory, lineage, &error));
	CU_ASSERT_EQUAL(error.length, 0);
	CU_ASSERT_TRUE(is_as_made(next));
	CU_ASSERT_TRUE(live_changed(next));

	/* Names have their old numbers, new names those that are free. */
	CU_ASSERT_EQUAL(get(next, 'b', "pay:8443"), 5);
	CU_ASSERT_EQUAL(get(next, 'e', "pay/10.0.0.1:8443"), 3);
	CU_ASSERT_EQUAL(get(next, 'e', "new"), 2);
	CU_ASSERT_EQUAL(get(next, 'e', "newer"), 6);
	live_free(next);
	live_free(live);
	end();
}

/* What the first snapshot doesn't name goes as soon as nothing holds it. */
static void
test_left_over(void)
{
	begin();
	struct live *live = make(), *next = live_create(1, SLOTS);
	CU_ASSERT_TRUE(live_names_save(live, directory, lineage, &error));
	CU_ASSERT_TRUE(live_names_load(next, directory, lineage, &error));
	CU_ASSERT_EQUAL(get(next, 'e', "pay/10.0.0.2:8443"), 4);
	live_counters(next, 0)[3].active = 1; /* an adopted flow */
	live_commit(next, &EMPTY);
	live_sweep(next, 1);
	live_sweep(next, 1 + LIVE_HOLD_MS);
	CU_ASSERT_EQUAL(live_kind(next, 3), 'e');
	CU_ASSERT_EQUAL(live_kind(next, 4), 'e');
	CU_ASSERT_EQUAL(live_kind(next, 5), 0);
	live_counters(next, 0)[3].active = 0;
	live_sweep(next, 2 + LIVE_HOLD_MS);
	live_sweep(next, 2 + 2 * LIVE_HOLD_MS);
	CU_ASSERT_EQUAL(live_kind(next, 3), 0);
	CU_ASSERT_EQUAL(live_kind(next, 4), 'e');
	live_free(next);
	live_free(live);
	end();
}

static void
test_changed(void)
{
	struct live *live = live_create(1, SLOTS);
	CU_ASSERT_FALSE(live_changed(live));
	uint32_t slot = get(live, 'e', "a");
	CU_ASSERT_TRUE(live_changed(live));
	get(live, 'e', "a");
	CU_ASSERT_FALSE(live_changed(live));
	live_profile_set(live, slot, &profile);
	CU_ASSERT_TRUE(live_changed(live));
	live_profile_set(live, slot, &profile);
	CU_ASSERT_FALSE(live_changed(live));
	live_free(live);
}

static void
test_lineage(void)
{
	begin();
	struct live *live = make(), *next = live_create(1, SLOTS);
	CU_ASSERT_TRUE(live_names_save(live, directory, other_lineage, &error));
	CU_ASSERT_FALSE(live_names_load(next, directory, lineage, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "belongs to other flow records"));
	CU_ASSERT_EQUAL(live_used(next), 0);
	CU_ASSERT_TRUE(live_names_load(next, directory, NULL, &error)); /* where there are no records, any will do */
	CU_ASSERT_TRUE(is_as_made(next));
	live_free(next);
	live_free(live);
	end();
}

static void
test_no_file(void)
{
	char beyond[80];

	begin();
	struct live *live = make();
	CU_ASSERT_FALSE(live_names_load(live, directory, lineage, &error));
	CU_ASSERT_EQUAL(error.length, 0); /* that is no error */
	snprintf(beyond, sizeof(beyond), "%s/none", directory);
	CU_ASSERT_FALSE(live_names_save(live, beyond, lineage, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, beyond));

	/* Rather none than one that is out of date. */
	CU_ASSERT_TRUE(live_names_save(live, directory, lineage, &error));
	snprintf(beyond, sizeof(beyond), "%s/names.new", directory);
	CU_ASSERT_EQUAL(mkdir(beyond, 0700), 0);
	CU_ASSERT_FALSE(live_names_save(live, directory, lineage, &error));
	CU_ASSERT_EQUAL(access(file, F_OK), -1);
	CU_ASSERT_EQUAL(rmdir(beyond), 0);
	live_free(live);
	end();
}

static size_t
read_file(uint8_t *bytes, size_t room)
{
	FILE *stream = fopen(file, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	size_t length = fread(bytes, 1, room, stream);
	fclose(stream);
	return length;
}

/* Every length, every bit; and where the checksum fits all the same, nothing falls over. */
static void
test_damage(void)
{
	static uint8_t good[1024], bytes[1024];
	uint64_t seed = 7;
	unsigned taken = 0;

	begin();
	struct live *live = make();
	CU_ASSERT_TRUE(live_names_save(live, directory, lineage, &error));
	size_t length = read_file(good, sizeof(good));
	CU_ASSERT_TRUE_FATAL(length > 64 && length < sizeof(good));
	live_free(live);
	for (size_t shorter = 0; shorter < length; shorter++) {
		live = live_create(1, SLOTS);
		taken += live_names_parse(live, good, shorter, lineage, &error);
		live_free(live);
	}
	for (size_t bit = 0; bit < length * 8; bit++) {
		memcpy(bytes, good, length);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		live = live_create(1, SLOTS);
		taken += live_names_parse(live, bytes, length, lineage, &error);
		CU_ASSERT_EQUAL(live_used(live), 0);
		live_free(live);
	}
	CU_ASSERT_EQUAL(taken, 0);
	for (unsigned i = 0; i < 5000; i++) {
		memcpy(bytes, good, length);
		for (unsigned n = 1 + random_below(&seed, 4); n != 0; n--)
			bytes[random_below(&seed, (uint32_t)length - 4)] = (uint8_t)random_64(&seed);
		uint32_t checksum = crc32c(bytes, length - 4);
		memcpy(bytes + length - 4, &checksum, 4);
		live = live_create(1, SLOTS);
		live_names_parse(live, bytes, length, NULL, &error);
		for (uint32_t slot = live_next(live, 0); slot != 0; slot = live_next(live, slot))
			CU_ASSERT_EQUAL(live_slot_get(live, live_kind(live, slot), live_name(live, slot),
						      strlen(live_name(live, slot))),
					slot);
		live_free(live);
	}
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"there and back", test_there_and_back},
		{"left over", test_left_over},
		{"changed", test_changed},
		{"lineage", test_lineage},
		{"no file", test_no_file},
		{"damage", test_damage},
		CU_TEST_INFO_NULL,
	};

	return unit_run("live_names", tests);
}
