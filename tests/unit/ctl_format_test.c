/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_format.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static void
test_bytes(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},           {999, "999 B"},      {1000, "1.0 kB"},         {1549, "1.5 kB"},
		{999999, "999.9 kB"}, {1000000, "1.0 MB"}, {12345678901, "12.3 GB"}, {UINT64_MAX, "18.4 EB"},
	};
	char buffer[CTL_UNIT_MAX];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(ctl_bytes(cases[i].bytes, buffer), cases[i].text);
}

static void
test_duration(void)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0.0 s"},          {250, "0.2 s"},         {9999, "9.9 s"},
		{10000, "10 s"},       {59999, "59 s"},        {60000, "1 min"},
		{3599999, "59 min"},   {3600000, "1 h 0 min"}, {11520000, "3 h 12 min"},
		{86400000, "1 d 0 h"}, {187200000, "2 d 4 h"},
	};
	char buffer[CTL_UNIT_MAX];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_STRING_EQUAL(ctl_duration(cases[i].ms, buffer), cases[i].text);
}

static void
test_rate(void)
{
	char buffer[CTL_UNIT_MAX];

	CU_ASSERT_STRING_EQUAL(ctl_rate(0, buffer), "0");
	CU_ASSERT_STRING_EQUAL(ctl_rate(0.25, buffer), "0.2/s");
	CU_ASSERT_STRING_EQUAL(ctl_rate(9.96, buffer), "10/s");
	CU_ASSERT_STRING_EQUAL(ctl_rate(1234.4, buffer), "1234/s");
}

static void
test_table(void)
{
	static const struct ctl_column columns[] = {{"NAME", false}, {"N", true}, {"TEXT", false}};
	struct ctl_table table;
	size_t length;
	char *written;
	FILE *out = open_memstream(&written, &length);

	ctl_table_begin(&table, columns, 3, out);
	ctl_table_add(&table, "åäö");
	ctl_table_print(&table, "%d", 12345);
	ctl_table_add(&table, "");
	ctl_table_add(&table, "longer");
	ctl_table_print(&table, "%d", 1);
	ctl_table_add(&table, "a\x1b[31m\nb");
	ctl_table_end(&table);
	fclose(out);
	CU_ASSERT_STRING_EQUAL(written, "NAME        N  TEXT\n"
					"åäö     12345  -\n"
					"longer      1  a?[31m?b\n");
	free(written);
}

/* Titles once, columns as wide as in the page before at least, and nothing at all without rows. */
static void
test_pages(void)
{
	static const struct ctl_column columns[] = {{"A", false}, {"B", false}};
	struct ctl_table table;
	size_t length;
	char *written;
	FILE *out = open_memstream(&written, &length);

	ctl_table_begin(&table, columns, 2, out);
	ctl_table_end(&table);
	fflush(out);
	CU_ASSERT_EQUAL(length, 0);
	ctl_table_begin(&table, columns, 2, out);
	for (unsigned i = 0; i <= CTL_ROWS_MAX; i++) {
		ctl_table_add(&table, i == 0 ? "wide" : "x");
		ctl_table_add(&table, "y");
	}
	ctl_table_end(&table);
	fclose(out);
	CU_ASSERT_EQUAL(strncmp(written, "A     B\nwide  y\nx     y\n", 24), 0);
	CU_ASSERT_EQUAL(length, 8ul * (CTL_ROWS_MAX + 2));
	CU_ASSERT_STRING_EQUAL(written + length - 8, "x     y\n");
	free(written);
}

static CU_TestInfo tests[] = {
	{"bytes", test_bytes}, {"durations", test_duration}, {"rates", test_rate},
	{"table", test_table}, {"pages", test_pages},        CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("ctl_format", tests);
}
