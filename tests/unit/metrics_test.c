/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/metrics.h"

#include <math.h>
#include <string.h>

#include "platform/text.h"
#include "tests/unit/unit.h"

static const char *const two_labels[] = {"reason", "port"};
static const char *const one_label[] = {"service"};

static void
collect_drops(void *context, struct metrics_writer *writer)
{
	const uint64_t *counters = context;

	metrics_add_u64(writer, (const char *[]){"bad \"quote\"\\\n", "wan"}, metrics_sum(counters, 16, 3));
	metrics_add_u64(writer, (const char *[]){"\xff\xc3\xa9", NULL}, UINT64_MAX);
}

static void
collect_gauge(void *context, struct metrics_writer *writer)
{
	metrics_add_double(writer, NULL, *(const double *)context);
}

static void
collect_histogram(void *context, struct metrics_writer *writer)
{
	static const double bounds[] = {0.005, 1, 2.5};
	static const uint64_t counts[] = {1, 0, 4, 2};

	(void)context;
	metrics_add_histogram(writer, (const char *[]){"a"}, bounds, counts, 3, 31.25);
}

static void
test_pages(void)
{
	static uint64_t counters[6] = {1, 100, 2, 100, 3, 100}; /* every other is the workers' */
	static double busy = 0.1;
	const struct metrics_family families[] = {
		{"postern_drops_total", "Packets dropped.", METRICS_COUNTER, two_labels, 2, collect_drops, counters},
		{"postern_busy_ratio", "A \"share\"\\\nof time.", METRICS_GAUGE, NULL, 0, collect_gauge, &busy},
		{"postern_wait_seconds", "Time.", METRICS_HISTOGRAM, one_label, 1, collect_histogram, NULL},
	};
	static const char body_drops[] = "postern_drops_total{reason=\"bad \\\"quote\\\"\\\\\\n\",port=\"wan\"} 6\n"
					 "postern_drops_total{reason=\"\xef\xbf\xbd\xc3\xa9\",port=\"\"} "
					 "18446744073709551615\n";
	static const char body_rest[] = "# TYPE postern_busy_ratio gauge\n"
					"postern_busy_ratio 0.1\n"
					"# HELP postern_wait_seconds Time.\n"
					"# TYPE postern_wait_seconds histogram\n"
					"postern_wait_seconds_bucket{service=\"a\",le=\"0.005\"} 1\n"
					"postern_wait_seconds_bucket{service=\"a\",le=\"1\"} 1\n"
					"postern_wait_seconds_bucket{service=\"a\",le=\"2.5\"} 5\n"
					"postern_wait_seconds_bucket{service=\"a\",le=\"+Inf\"} 7\n"
					"postern_wait_seconds_sum{service=\"a\"} 31.25\n"
					"postern_wait_seconds_count{service=\"a\"} 7\n";
	struct metrics metrics = {0};
	struct text page = {0}, expected = {0};

	for (size_t i = 0; i < 3; i++)
		CU_ASSERT(metrics_register(&metrics, &families[i]));
	metrics_render(&metrics, false, &page);
	text_print(&expected,
		   "# HELP postern_drops_total Packets dropped.\n# TYPE postern_drops_total counter\n%s"
		   "# HELP postern_busy_ratio A \"share\"\\\\\\nof time.\n%s",
		   body_drops, body_rest);
	CU_ASSERT_STRING_EQUAL(page.bytes, expected.bytes);
	text_free(&page);
	text_free(&expected);

	metrics_render(&metrics, true, &page);
	text_print(&expected,
		   "# HELP postern_drops Packets dropped.\n# TYPE postern_drops counter\n%s"
		   "# HELP postern_busy_ratio A \\\"share\\\"\\\\\\nof time.\n%s# EOF\n",
		   body_drops, body_rest);
	CU_ASSERT_STRING_EQUAL(page.bytes, expected.bytes);
	text_free(&page);
	text_free(&expected);
	metrics_free(&metrics);
}

static void
test_numbers(void)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"},
		     {1.0 / 3, "0.3333333333333333"},
		     {1e300, "1e+300"},
		     {-2.5, "-2.5"},
		     {123456789, "123456789"},
		     {INFINITY, "+Inf"},
		     {-INFINITY, "-Inf"},
		     {NAN, "NaN"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double value = cases[i].value;
		struct metrics metrics = {0};
		struct text page = {0}, expected = {0};
		CU_ASSERT(metrics_register(
			&metrics, &(struct metrics_family){"x", "h", METRICS_GAUGE, NULL, 0, collect_gauge, &value}));
		metrics_render(&metrics, false, &page);
		text_print(&expected, "# HELP x h\n# TYPE x gauge\nx %s\n", cases[i].text);
		CU_ASSERT_STRING_EQUAL(page.bytes, expected.bytes);
		text_free(&page);
		text_free(&expected);
		metrics_free(&metrics);
	}
}

static void
test_names(void)
{
	static const char *const le[] = {"le"}, *const twice[] = {"a", "b", "a"}, *const reserved[] = {"__a"},
				 *const colon[] = {"a:b"}, *const digit[] = {"1a"}, *const empty[] = {""};
	static const struct {
		const char *name;
		enum metrics_type type;
		const char *const *labels;
		size_t n;
		bool good;
	} cases[] = {
		{"a_total", METRICS_COUNTER, le, 1, true},
		{"a_total", METRICS_COUNTER, NULL, 0, false}, /* taken */
		{"a", METRICS_GAUGE, NULL, 0, false},         /* in OpenMetrics the same */
		{"b", METRICS_COUNTER, NULL, 0, false},
		{"_total", METRICS_COUNTER, NULL, 0, false},
		{"b_total", METRICS_GAUGE, NULL, 0, false},
		{"h", METRICS_HISTOGRAM, NULL, 0, true},
		{"h_sum", METRICS_GAUGE, NULL, 0, false}, /* a sample of h */
		{"g_count", METRICS_GAUGE, NULL, 0, true},
		{"g", METRICS_HISTOGRAM, NULL, 0, false}, /* would have g_count */
		{"h_summary", METRICS_GAUGE, NULL, 0, true},
		{"c:d", METRICS_GAUGE, NULL, 0, true},
		{"1a", METRICS_GAUGE, NULL, 0, false},
		{"", METRICS_GAUGE, NULL, 0, false},
		{"a-b", METRICS_GAUGE, NULL, 0, false},
		{"i", METRICS_HISTOGRAM, le, 1, false},
		{"i", METRICS_GAUGE, twice, 3, false},
		{"i", METRICS_GAUGE, reserved, 1, false},
		{"i", METRICS_GAUGE, colon, 1, false},
		{"i", METRICS_GAUGE, digit, 1, false},
		{"i", METRICS_GAUGE, empty, 1, false},
		{"i", METRICS_GAUGE, two_labels, METRICS_LABELS_MAX + 1, false},
		{"i", METRICS_GAUGE, two_labels, 2, true},
	};
	struct metrics metrics = {0};
	size_t good = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metrics_family family = {cases[i].name, "h",           cases[i].type, cases[i].labels,
						cases[i].n,    collect_gauge, NULL};
		CU_ASSERT_EQUAL(metrics_register(&metrics, &family), cases[i].good);
		good += cases[i].good;
	}
	CU_ASSERT_EQUAL(metrics.n, good);
	metrics_free(&metrics);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"pages in both formats", test_pages},
		{"numbers", test_numbers},
		{"names", test_names},
		CU_TEST_INFO_NULL,
	};
	return unit_run("metrics", tests);
}
