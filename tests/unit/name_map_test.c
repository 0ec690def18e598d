/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/name_map.h"

enum { MANY = 50000, KEY_MAX = 16 };

static void
test_many(void)
{
	char(*keys)[KEY_MAX] = calloc(MANY, sizeof(*keys));
	struct name_map map = {0};
	uint32_t *value, found;

	CU_ASSERT_FATAL(keys != NULL);
	CU_ASSERT_FALSE(name_map_find(&map, "a", 1, &found));
	for (uint32_t i = 0; i < MANY; i++) {
		int length = snprintf(keys[i], KEY_MAX, "k%u", i);
		CU_ASSERT_FATAL(name_map_add(&map, keys[i], (size_t)length, NULL, &value));
		*value = i;
	}
	CU_ASSERT(map.n == MANY);
	CU_ASSERT(name_map_bytes(&map) <= MANY * 4ul * sizeof(struct name_map_slot));
	for (uint32_t i = 0; i < MANY; i++) {
		CU_ASSERT_FATAL(name_map_find(&map, keys[i], strlen(keys[i]), &found));
		CU_ASSERT_FATAL(found == i);
		CU_ASSERT_FATAL(!name_map_add(&map, keys[i], strlen(keys[i]), NULL, &value));
		CU_ASSERT_FATAL(*value == i);
	}
	CU_ASSERT_FALSE(name_map_find(&map, "k50000", 6, &found));
	CU_ASSERT_FALSE(name_map_find(&map, "", 0, &found));
	name_map_free(&map);
	CU_ASSERT(name_map_bytes(&map) == 0);
	free(keys);
}

/* Keys that differ in length only, across the hash's word size, and the empty one. */
static void
test_lengths(void)
{
	static const char zeroes[40];
	struct name_map map = {0};
	uint32_t *value, found;

	for (uint32_t i = 0; i <= sizeof(zeroes); i++) {
		CU_ASSERT(name_map_add(&map, zeroes, i, NULL, &value));
		*value = i;
	}
	for (uint32_t i = 0; i <= sizeof(zeroes); i++)
		CU_ASSERT(name_map_find(&map, zeroes, i, &found) && found == i);
	name_map_free(&map);
}

static void
test_walk(void)
{
	static const struct {
		const char *host;
		const char *keys[6];
	} cases[] = {
		{"a.b.c", {"a.b.c", ".b.c", ".c", "", NULL}},
		{"*.b.c", {".b.c", ".c", "", NULL}},
		{"a", {"a", "", NULL}},
		{"*", {"", NULL}},
		{"", {"", NULL}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct host_walk walk = host_walk_begin(cases[i].host, strlen(cases[i].host));
		size_t n = 0;
		while (host_walk_next(&walk)) {
			CU_ASSERT_FATAL(cases[i].keys[n] != NULL);
			CU_ASSERT(strlen(cases[i].keys[n]) == walk.length &&
				  memcmp(cases[i].keys[n], walk.key, walk.length) == 0);
			n++;
		}
		CU_ASSERT_PTR_NULL(cases[i].keys[n]);
	}
}

static const CU_TestInfo tests[] = {{"many keys", test_many},
				    {"keys of every length", test_lengths},
				    {"the keys that cover a host", test_walk},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("name_map", tests);
}
