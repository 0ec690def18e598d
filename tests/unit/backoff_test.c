/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/backoff.h"

#include "tests/unit/unit.h"

static void
test_sparse(void)
{
	struct backoff backoff;

	backoff_init(&backoff);
	CU_ASSERT_EQUAL(backoff.spin_us, BACKOFF_SPIN_MAX_US);
	for (unsigned i = 0; i < 10; i++)
		backoff_packets(&backoff, 100, 3, true);
	CU_ASSERT_EQUAL(backoff.spin_us, BACKOFF_SPIN_MIN_US);
}

static void
test_dense(void)
{
	struct backoff backoff = {BACKOFF_SPIN_MIN_US, BACKOFF_NAP_MIN_US};

	backoff_packets(&backoff, BACKOFF_PAYS_US, 1, true); /* not sooner than it pays */
	CU_ASSERT_EQUAL(backoff.spin_us, BACKOFF_SPIN_MIN_US);
	for (unsigned i = 0; i < 10; i++)
		backoff_packets(&backoff, 100, 32, true);
	CU_ASSERT_EQUAL(backoff.spin_us, BACKOFF_SPIN_MAX_US);
}

/* While it looks on, it has nothing to learn. */
static void
test_no_sleep(void)
{
	struct backoff backoff = {8, BACKOFF_NAP_MIN_US};

	backoff_packets(&backoff, 1, 32, false);
	backoff_packets(&backoff, 1000000, 1, false);
	CU_ASSERT_EQUAL(backoff.spin_us, 8);
}

static void
test_naps(void)
{
	struct backoff backoff;
	uint32_t passed_us = 0;

	backoff_init(&backoff);
	while (backoff.nap_us < BACKOFF_NAP_MAX_US) {
		passed_us += backoff.nap_us;
		backoff_in_vain(&backoff);
		CU_ASSERT_FATAL(passed_us < 20000);
	}
	CU_ASSERT(passed_us > 5000);
	backoff_in_vain(&backoff);
	CU_ASSERT_EQUAL(backoff.nap_us, BACKOFF_NAP_MAX_US);
	backoff_packets(&backoff, 1, 1, false);
	CU_ASSERT_EQUAL(backoff.nap_us, BACKOFF_NAP_MIN_US);
}

static CU_TestInfo tests[] = {
	{"sparse packets end the spinning", test_sparse},
	{"dense ones bring it back", test_dense},
	{"nothing is learnt without a sleep", test_no_sleep},
	{"naps grow until a packet comes", test_naps},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("backoff", tests);
}
