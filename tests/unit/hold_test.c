/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/random.h"
#include "tests/unit/unit.h"

enum { HOLDS = 64, LARGE = 8 };

static struct hold_pool pool;
static uint8_t stream[1 << 17];

static struct hold *
begin(void)
{
	uint32_t index;
	size_t i;

	if (pool.holds)
		hold_pool_free(&pool);
	if (!hold_pool_init(&pool, HOLDS))
		abort();
	for (i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)(i * 31 + (i >> 8));
	index = hold_alloc(&pool);
	return hold_get(&pool, index);
}

static void
test_pool(void)
{
	uint32_t index[HOLDS];
	struct hold *hold;
	unsigned i;

	begin();
	hold_release(&pool, 1);
	for (i = 0; i < HOLDS; i++) {
		index[i] = hold_alloc(&pool);
		CU_ASSERT_TRUE(index[i] >= 1 && index[i] <= HOLDS);
		hold = hold_get(&pool, index[i]);
		CU_ASSERT_EQUAL(hold->end, 0);
		CU_ASSERT_EQUAL(hold_add(&pool, hold, 0, (uint8_t *)&i, sizeof(i)), HOLD_TAKEN);
	}
	CU_ASSERT_EQUAL(pool.used, HOLDS);
	CU_ASSERT_EQUAL(hold_alloc(&pool), 0);
	/* Each has a buffer of its own. */
	for (i = 0; i < HOLDS; i++)
		CU_ASSERT_EQUAL(memcmp(hold_bytes(&pool, hold_get(&pool, index[i])), &i, sizeof(i)), 0);
	for (i = 0; i < HOLDS; i += 2)
		hold_release(&pool, index[i]);
	CU_ASSERT_EQUAL(pool.used, HOLDS / 2);
	for (i = 0; i < HOLDS; i += 2)
		CU_ASSERT_NOT_EQUAL(hold_alloc(&pool), 0);
	CU_ASSERT_EQUAL(hold_alloc(&pool), 0);
}

/* An eighth may be large; what doesn't get a large buffer loses nothing of what it has. */
static void
test_growth(void)
{
	uint32_t index[LARGE + 1];
	unsigned i;

	begin();
	for (i = 0; i <= LARGE; i++) {
		struct hold *hold;

		index[i] = hold_alloc(&pool);
		hold = hold_get(&pool, index[i]);
		CU_ASSERT_EQUAL(hold_add(&pool, hold, 0, stream, HOLD_SMALL - 10), HOLD_TAKEN);
		CU_ASSERT_EQUAL(hold_add(&pool, hold, HOLD_SMALL - 5, stream + HOLD_SMALL - 5, 5), HOLD_TAKEN);
		CU_ASSERT_FALSE(hold->buffer & HOLD_LARGE_BIT);
		CU_ASSERT_EQUAL(hold_add(&pool, hold, HOLD_SMALL - 1, stream + HOLD_SMALL - 1, 2),
				i < LARGE ? HOLD_TAKEN : HOLD_NO_ROOM);
		CU_ASSERT_EQUAL((hold->buffer & HOLD_LARGE_BIT) != 0, i < LARGE);
		CU_ASSERT_EQUAL(hold_add(&pool, hold, HOLD_SMALL - 10, stream + HOLD_SMALL - 10, 5), HOLD_TAKEN);
		CU_ASSERT_EQUAL(hold->end, i < LARGE ? HOLD_SMALL + 1 : HOLD_SMALL);
		CU_ASSERT_EQUAL(memcmp(hold_bytes(&pool, hold), stream, hold->end), 0);
	}
	hold_release(&pool, index[3]);
	CU_ASSERT_EQUAL(hold_add(&pool, hold_get(&pool, index[LARGE]), HOLD_SMALL, stream + HOLD_SMALL, 1), HOLD_TAKEN);
}

static void
test_limits(void)
{
	struct hold *hold = begin();

	CU_ASSERT_EQUAL(hold_add(&pool, hold, 0, stream, 0), HOLD_REPEAT);
	CU_ASSERT_EQUAL(hold_add(&pool, hold, HOLD_MAX, stream, 1), HOLD_BEYOND);
	CU_ASSERT_EQUAL(hold_add(&pool, hold, HOLD_MAX - 1, stream + HOLD_MAX - 1, 1), HOLD_TAKEN);
	CU_ASSERT_EQUAL(hold_add(&pool, hold, 65536, stream, 65535), HOLD_BEYOND);
	CU_ASSERT_EQUAL(hold->end, 0);
	CU_ASSERT_EQUAL(hold_add(&pool, hold, 0, stream, 65535), HOLD_BEYOND);
	CU_ASSERT_EQUAL(hold->end, HOLD_MAX);
	CU_ASSERT_EQUAL(hold->n_early, 0);
	CU_ASSERT_EQUAL(memcmp(hold_bytes(&pool, hold), stream, HOLD_MAX), 0);
	CU_ASSERT_EQUAL(hold_add(&pool, hold, 5, stream, 100), HOLD_REPEAT);
}

/* Segments in a row, and what is here after each: end, then the ranges beyond. */
static void
test_ranges(void)
{
	static const struct {
		uint16_t offset, length;
		enum hold_verdict verdict;
		uint16_t end;
		uint8_t n_early;
	} steps[] = {
		{100, 10, HOLD_TAKEN, 0, 1},    {100, 10, HOLD_REPEAT, 0, 1},  {105, 3, HOLD_REPEAT, 0, 1},
		{110, 10, HOLD_TAKEN, 0, 1}, /* touches */
		{90, 10, HOLD_TAKEN, 0, 1},     {200, 10, HOLD_TAKEN, 0, 2},   {300, 10, HOLD_TAKEN, 0, 3},
		{50, 10, HOLD_TAKEN, 0, 4},     {400, 10, HOLD_NO_ROOM, 0, 4}, {250, 10, HOLD_NO_ROOM, 0, 4},
		{195, 110, HOLD_TAKEN, 0, 3}, /* joins two */
		{400, 10, HOLD_TAKEN, 0, 4},    {0, 50, HOLD_TAKEN, 60, 3},    {0, 95, HOLD_TAKEN, 120, 2},
		{119, 500, HOLD_TAKEN, 619, 0}, {0, 619, HOLD_REPEAT, 619, 0},
	};
	struct hold *hold = begin();

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		CU_ASSERT_EQUAL(hold_add(&pool, hold, steps[i].offset, stream + steps[i].offset, steps[i].length),
				steps[i].verdict);
		CU_ASSERT_EQUAL(hold->end, steps[i].end);
		CU_ASSERT_EQUAL(hold->n_early, steps[i].n_early);
	}
	CU_ASSERT_EQUAL(memcmp(hold_bytes(&pool, hold), stream, hold->end), 0);
}

/* Against an array that knows for each position which byte came first. Segments differ in what they claim for the same
 * position, so a byte that is overwritten shows. */
static void
test_model(void)
{
	static uint8_t model[HOLD_MAX], segment[65536];
	static bool here[HOLD_MAX];
	uint64_t seed = 20261123;
	unsigned bad = 0, round, step, no_room = 0;

	for (round = 0; round < 300; round++) {
		uint32_t span = round % 3 == 0 ? 60 : round % 3 == 1 ? 3000 : HOLD_MAX + 500;
		struct hold *hold = begin();

		memset(here, 0, sizeof(here));
		for (step = 0; step < 120; step++) {
			uint32_t offset = random_below(&seed, span), length = random_below(&seed, span / 8), at, end;
			bool added = false, beyond = offset + length > HOLD_MAX;
			enum hold_verdict verdict;
			const uint8_t *bytes;

			random_fill(&seed, segment, length);
			verdict = hold_add(&pool, hold, offset, segment, (uint16_t)length);
			if (verdict != HOLD_NO_ROOM) {
				for (at = offset; at < offset + length && at < HOLD_MAX; at++) {
					if (here[at])
						continue;
					here[at] = added = true;
					model[at] = segment[at - offset];
				}
				bad += verdict != (beyond ? HOLD_BEYOND : added ? HOLD_TAKEN : HOLD_REPEAT);
			} else {
				no_room++;
			}
			for (end = 0; end < HOLD_MAX && here[end]; end++)
				;
			bad += hold->end != end;
			bytes = hold_bytes(&pool, hold);
			bad += memcmp(bytes, model, end) != 0;
			for (at = 0; at < hold->n_early; at++) {
				const struct hold_range *range = &hold->early[at];

				bad += range->begin >= range->end || range->begin <= (at ? range[-1].end : end);
				bad += memcmp(bytes + range->begin, model + range->begin, range->end - range->begin) !=
				       0;
				for (uint32_t i = range->begin; i < range->end; i++)
					bad += !here[i];
				bad += range->end < HOLD_MAX && here[range->end];
			}
		}
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(no_room > 0);
}

/* In order of age, and out of it wherever they stand. */
static void
test_queues(void)
{
	uint32_t index[5];

	begin();
	for (unsigned i = 0; i < 5; i++) {
		index[i] = hold_alloc(&pool);
		hold_get(&pool, index[i])->source = i % 2;
		hold_enqueue(&pool, index[i], HOLD_QUEUE_HELLO, i);
	}
	CU_ASSERT_EQUAL(pool.oldest[HOLD_QUEUE_HELLO], index[0]);
	CU_ASSERT_EQUAL(pool.youngest[HOLD_QUEUE_HELLO], index[4]);
	CU_ASSERT_TRUE(pool.crowd[0] == 3 && pool.crowd[1] == 2);
	hold_enqueue(&pool, index[2], HOLD_QUEUE_ENDPOINT, 7);
	hold_enqueue(&pool, index[0], HOLD_QUEUE_HELLO, 8);
	CU_ASSERT_TRUE(pool.crowd[0] == 2 && pool.crowd[1] == 2);
	hold_release(&pool, index[4]);
	/* 1, 3, 0 and, in the other queue, 2. */
	CU_ASSERT_EQUAL(pool.oldest[HOLD_QUEUE_HELLO], index[1]);
	CU_ASSERT_EQUAL(hold_get(&pool, index[1])->next, index[3]);
	CU_ASSERT_EQUAL(hold_get(&pool, index[3])->next, index[0]);
	CU_ASSERT_EQUAL(hold_get(&pool, index[0])->next, 0);
	CU_ASSERT_EQUAL(hold_get(&pool, index[0])->before, index[3]);
	CU_ASSERT_EQUAL(pool.youngest[HOLD_QUEUE_HELLO], index[0]);
	CU_ASSERT_EQUAL(pool.oldest[HOLD_QUEUE_ENDPOINT], index[2]);
	CU_ASSERT_EQUAL(hold_get(&pool, index[2])->queued_ms, 7);
	for (unsigned i = 0; i < 4; i++)
		hold_enqueue(&pool, index[i], HOLD_QUEUE_NONE, 9);
	for (unsigned queue = 0; queue < HOLD_QUEUES; queue++)
		CU_ASSERT_TRUE(pool.oldest[queue] == 0 && pool.youngest[queue] == 0);
	CU_ASSERT_TRUE(pool.crowd[0] == 0 && pool.crowd[1] == 0);
}

static size_t
resident_pages(void)
{
	static unsigned char pages[(size_t)HOLDS * HOLD_SMALL / 4096];
	size_t n = 0;

	CU_ASSERT_EQUAL_FATAL(mincore(pool.small, (size_t)HOLDS * HOLD_SMALL, pages), 0);
	for (size_t i = 0; i < sizeof(pages); i++)
		n += pages[i] & 1;
	return n;
}

static void
test_trim(void)
{
	uint32_t index[HOLDS];

	begin();
	hold_release(&pool, 1);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < HOLDS; i++) {
			index[i] = hold_alloc(&pool);
			CU_ASSERT_EQUAL(hold_add(&pool, hold_get(&pool, index[i]), 0, stream, 2000), HOLD_TAKEN);
		}
		CU_ASSERT_TRUE(hold_pool_is_empty(&pool));
		CU_ASSERT_EQUAL(resident_pages(), HOLDS * HOLD_SMALL / 4096);
		for (unsigned i = 0; i < HOLDS; i++) {
			hold_pool_trim(&pool); /* of no effect as long as one is in use */
			CU_ASSERT_EQUAL(memcmp(hold_bytes(&pool, hold_get(&pool, index[i])), stream, 2000), 0);
			hold_release(&pool, index[i]);
		}
		hold_pool_trim(&pool);
		CU_ASSERT_EQUAL(resident_pages(), 0);
		CU_ASSERT_FALSE(hold_pool_is_empty(&pool));
	}
}

static CU_TestInfo tests[] = {
	{"pool", test_pool},
	{"growth", test_growth},
	{"limits", test_limits},
	{"ranges", test_ranges},
	{"random segments", test_model},
	{"queues", test_queues},
	{"trim", test_trim},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("hold", tests);
}
