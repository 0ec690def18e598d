/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_strays.h"

#include "tests/unit/random.h"
#include "tests/unit/unit.h"

/* What was added is found with its worker, and nothing else is; also where hashes are alike. */
static void
test_find(void)
{
	enum { N = 20000 };
	static struct flow_key keys[2 * N];
	static uint32_t hashes[2 * N];
	struct flow_strays strays = {0};
	uint64_t seed = 1;
	uint16_t worker;
	unsigned wrong = 0, found = 0;

	CU_ASSERT_FALSE(flow_strays_find(&strays, &keys[0], 0, &worker));
	for (unsigned i = 0; i < 2 * N; i++) {
		keys[i] = (struct flow_key){.peer.longs = {random_64(&seed), random_64(&seed)},
					    .peer_port = (uint16_t)random_64(&seed),
					    .local_port = 443};
		/* Some hashes are all zeroes, some those of the one before. */
		hashes[i] = i % 100 == 0 ? 0 : i % 10 == 1 ? hashes[i - 1] : (uint32_t)random_64(&seed);
	}
	for (unsigned i = 0; i < N; i++)
		flow_strays_add(&strays, &keys[i], hashes[i], (uint16_t)(i % 16));
	CU_ASSERT_EQUAL(strays.used, N);
	for (unsigned i = 0; i < N; i++)
		flow_strays_add(&strays, &keys[i], hashes[i], 3); /* it is there: stays as it is */
	CU_ASSERT_EQUAL(strays.used, N);
	for (unsigned i = 0; i < N; i++)
		wrong += !flow_strays_find(&strays, &keys[i], hashes[i], &worker) || worker != i % 16;
	for (unsigned i = N; i < 2 * N; i++)
		found += flow_strays_find(&strays, &keys[i], hashes[i], &worker);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(found, 0);
	CU_ASSERT_TRUE(strays.used <= strays.mask / 2 + 1);
	flow_strays_free(&strays);
	CU_ASSERT_FALSE(flow_strays_find(&strays, &keys[0], hashes[0], &worker));
}

int
main(void)
{
	static const CU_TestInfo tests[] = {{"find", test_find}, CU_TEST_INFO_NULL};

	return unit_run("flow_strays", tests);
}
