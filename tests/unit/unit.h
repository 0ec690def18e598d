/* SPDX-License-Identifier: Apache-2.0 */
/* The main of a unit test: registers one suite, runs it, and says by the exit code whether all of it passed. */
#ifndef POSTERN_TESTS_UNIT_UNIT_H
#define POSTERN_TESTS_UNIT_UNIT_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>

/* tests ends with CU_TEST_INFO_NULL. Returns 0 when every assertion held, else 1. */
static inline int
unit_run(const char *suite, const CU_TestInfo *tests)
{
	CU_SuiteInfo suites[] = {{.pName = suite, .pTests = (CU_TestInfo *)tests}, CU_SUITE_INFO_NULL};
	int failed = 1;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	if (CU_register_suites(suites) == CUE_SUCCESS) {
		CU_basic_set_mode(CU_BRM_NORMAL);
		failed = CU_basic_run_tests() != CUE_SUCCESS || CU_get_number_of_failures() != 0 ||
			 CU_get_number_of_tests_run() == 0;
	}
	CU_cleanup_registry();
	return failed;
}

#endif
