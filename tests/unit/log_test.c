/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/text.h"
#include "tests/unit/unit.h"

static char captured[4096];

/* Runs body with standard error going to a pipe that takes 64 kB without a reader, and keeps what came. */
static const char *
capture(void (*body)(const void *), const void *argument)
{
	int ends[2], saved = dup(STDERR_FILENO);
	size_t length = 0;
	ssize_t n;

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	body(argument);
	dup2(saved, STDERR_FILENO);
	close(saved);
	while (length < sizeof(captured) - 1 &&
	       (n = read(ends[0], captured + length, sizeof(captured) - 1 - length)) > 0)
		length += (size_t)n;
	captured[length] = '\0';
	close(ends[0]);
	return captured;
}

/* The time differs from run to run: checks its form, and puts T in its place. */
static void
mask_time(char *line, const char *time)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	char *at = strstr(line, time) + strlen(time);

	for (size_t i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd')
			CU_ASSERT(at[i] >= '0' && at[i] <= '9')
		else
			CU_ASSERT_EQUAL(at[i], form[i])
	}
	*at = 'T';
	memmove(at + 1, at + sizeof(form) - 1, strlen(at + sizeof(form) - 1) + 1);
}

struct line_case {
	enum log_format format;
	const char *message;
	struct log_field field;
	const char *expected;
};

static void
write_case(const void *argument)
{
	const struct line_case *c = argument;

	log_configure(LOG_DEBUG, c->format);
	log_write(LOG_WARN, "unit", c->message, &c->field, c->field.name != NULL);
}

static void
test_lines(void)
{
	static const struct line_case cases[] = {
		{LOG_TEXT, "started", {0}, "T warn  unit: started\n"},
		{LOG_TEXT, "a\nb", {0}, "T warn  unit: a\\nb\n"},
		{LOG_TEXT, "m", {"n", LOG_KIND_U64, .u64 = UINT64_MAX}, "T warn  unit: m n=18446744073709551615\n"},
		{LOG_TEXT, "m", {"n", LOG_KIND_I64, .i64 = INT64_MIN}, "T warn  unit: m n=-9223372036854775808\n"},
		{LOG_TEXT, "m", {"n", LOG_KIND_BOOL, .boolean = true}, "T warn  unit: m n=true\n"},
		{LOG_TEXT, "m", {"n", LOG_KIND_STR, .str = NULL}, "T warn  unit: m n=null\n"},
		{LOG_TEXT, "m", {"n", LOG_KIND_STR, .str = ""}, "T warn  unit: m n=\"\"\n"},
		{LOG_TEXT,
		 "m",
		 {"n", LOG_KIND_STR, .str = "[2001:db8::1]:443"},
		 "T warn  unit: m n=[2001:db8::1]:443\n"},
		{LOG_TEXT, "m", {"n", LOG_KIND_STR, .str = "x y=1"}, "T warn  unit: m n=\"x y=1\"\n"},
		{LOG_JSON,
		 "started",
		 {0},
		 "{\"time\":\"T\",\"level\":\"warn\",\"scope\":\"unit\",\"message\":\"started\"}\n"},
		{LOG_JSON,
		 "m",
		 {"n", LOG_KIND_U64, .u64 = 7},
		 "{\"time\":\"T\",\"level\":\"warn\",\"scope\":\"unit\",\"message\":\"m\",\"n\":7}\n"},
		{LOG_JSON,
		 "m",
		 {"n", LOG_KIND_BOOL, .boolean = false},
		 "{\"time\":\"T\",\"level\":\"warn\",\"scope\":\"unit\",\"message\":\"m\",\"n\":false}\n"},
		{LOG_JSON,
		 "m",
		 {"n", LOG_KIND_STR, .str = NULL},
		 "{\"time\":\"T\",\"level\":\"warn\",\"scope\":\"unit\",\"message\":\"m\",\"n\":null}\n"},
		{LOG_JSON,
		 "say \"hi\"\\",
		 {"n", LOG_KIND_STR, .str = "a\tb\x7f\x01"},
		 "{\"time\":\"T\",\"level\":\"warn\",\"scope\":\"unit\",\"message\":\"say "
		 "\\\"hi\\\"\\\\\",\"n\":\"a\\u0009b\\u007f\\u0001\"}\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		capture(write_case, &cases[i]);
		mask_time(captured, cases[i].format == LOG_JSON ? "{\"time\":\"" : "");
		CU_ASSERT_STRING_EQUAL(captured, cases[i].expected);
	}
}

static void
test_json_escapes(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x89", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x89"}, /* 2, 3, 4 bytes */
		{"\xff", "\xef\xbf\xbd"},                                                         /* in no character */
		{"\xc3", "\xef\xbf\xbd"},                                                         /* cut off */
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                 /* overlong */
		{"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* past U+10FFFF */
		{"\xe2\x82\"", "\xef\xbf\xbd\xef\xbf\xbd\\\""}, /* a cut character doesn't swallow the quote */
		{"\xc2\x9b", "\\u009b"},                        /* C1: CSI */
		{"\xc2\xa0", "\xc2\xa0"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text text = {0};
		text_add_json(&text, cases[i].in, strlen(cases[i].in));
		CU_ASSERT_STRING_EQUAL(text.bytes, cases[i].out);
		text_free(&text);
	}
}

static void
write_levels(const void *argument)
{
	log_configure(*(const enum log_level *)argument, LOG_TEXT);
	for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
		log_write((enum log_level)level, "unit",
			  level == LOG_DEBUG  ? "d"
			  : level == LOG_INFO ? "i"
			  : level == LOG_WARN ? "w"
					      : "e",
			  NULL, 0);
}

static void
test_levels(void)
{
	for (int lowest = LOG_DEBUG; lowest <= LOG_ERROR; lowest++) {
		enum log_level level = (enum log_level)lowest;
		capture(write_levels, &level);
		size_t lines = 0;
		for (const char *s = captured; (s = strchr(s, '\n')) != NULL; s++)
			lines++;
		CU_ASSERT_EQUAL(lines, (size_t)(LOG_ERROR - lowest + 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(captured, "error unit: e\n"));
		CU_ASSERT(log_enabled(level));
		CU_ASSERT(lowest == LOG_DEBUG || !log_enabled((enum log_level)(lowest - 1)));
	}
}

static void
test_parse(void)
{
	enum log_level level = LOG_ERROR;
	enum log_format format = LOG_TEXT;

	CU_ASSERT(log_level_parse("debug", &level) && level == LOG_DEBUG);
	CU_ASSERT(log_level_parse("info", &level) && level == LOG_INFO);
	CU_ASSERT(log_level_parse("warn", &level) && level == LOG_WARN);
	CU_ASSERT(log_level_parse("error", &level) && level == LOG_ERROR);
	CU_ASSERT(!log_level_parse("WARN", &level) && !log_level_parse("", &level) && level == LOG_ERROR);
	CU_ASSERT(log_format_parse("json", &format) && format == LOG_JSON);
	CU_ASSERT(log_format_parse("text", &format) && format == LOG_TEXT);
	CU_ASSERT(!log_format_parse("xml", &format) && format == LOG_TEXT);
}

static void
test_limit(void)
{
	struct log_limit limit = {0};
	uint32_t held_back = 99;

	/* A burst may straddle a second; the second attempt then doesn't. */
	do {
		limit = (struct log_limit){.second = clock_ms() / 1000};
		CU_ASSERT(log_limit_pass(&limit, 2, &held_back) && held_back == 0);
		CU_ASSERT(log_limit_pass(&limit, 2, &held_back));
		for (int i = 0; i < 5; i++)
			log_limit_pass(&limit, 2, &held_back);
	} while (limit.held_back != 5);

	limit.second--; /* as if a second had gone by */
	held_back = 99;
	CU_ASSERT(log_limit_pass(&limit, 2, &held_back));
	CU_ASSERT_EQUAL(held_back, 5);
	CU_ASSERT_EQUAL(limit.held_back, 0);
	CU_ASSERT(!log_limit_pass(&limit, 0, &held_back));
}

static void
write_closed(const void *argument)
{
	(void)argument;
	close(STDERR_FILENO);
	log_configure(LOG_INFO, LOG_TEXT);
	errno = ENOENT;
	log_write(LOG_ERROR, "unit", "nobody reads this", NULL, 0);
	CU_ASSERT_EQUAL(errno, ENOENT); /* a failed write is no reason to disturb the caller */
}

static void
test_errno(void)
{
	CU_ASSERT_STRING_EQUAL(capture(write_closed, NULL), "");
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"lines in both formats", test_lines},
		{"JSON escapes", test_json_escapes},
		{"levels", test_levels},
		{"level and format names", test_parse},
		{"rate limit", test_limit},
		{"errno survives", test_errno},
		CU_TEST_INFO_NULL,
	};
	return unit_run("log", tests);
}
