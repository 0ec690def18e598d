/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_options.h"

#include <stdlib.h>
#include <string.h>

#include "platform/text.h"
#include "tests/unit/unit.h"

enum { WORDS_MAX = 12 };

/* Reads a command line of words. The result's texts are in words. */
static bool
parse(const char *const *words, struct ctl_request *request, struct text *error)
{
	char *argv[WORDS_MAX + 2] = {(char *)"posternctl"};
	int argc = 1;

	for (; *words != NULL; words++)
		argv[argc++] = (char *)*words;
	return ctl_parse(argc, argv, NULL, request, error);
}

static void
test_arguments(void)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *command, *arguments;
		bool json;
	} cases[] = {
		{{"status"}, "status", "{}", false},
		{{"-o", "json", "flows"}, "flows", "{}", true},
		{{"flows", "--output=json"}, "flows", "{}", true},
		{{"flows", "-o", "text"}, "flows", "{}", false},
		{{"flows", "--client", "10.0.0.0/8", "--state=spliced"},
		 "flows",
		 "{\"client\":\"10.0.0.0/8\",\"state\":\"spliced\"}",
		 false},
		{{"flows", "--client", "2001:db8::1", "--limit", "0"},
		 "flows",
		 "{\"client\":\"2001:db8::1\",\"limit\":0}",
		 false},
		{{"flows", "--endpoint", "[2001:db8::7]:443"}, "flows", "{\"endpoint\":\"[2001:db8::7]:443\"}", false},
		{{"flows", "--listener", "15443"}, "flows", "{\"listener\":\"15443\"}", false},
		{{"drops", "--all"}, "drops", "{\"all\":true}", false},
		{{"drain", "--undo"}, "drain", "{\"undo\":true}", false},
		{{"services", "--service", "-"}, "services", "{\"service\":\"-\"}", false},
		{{"listeners", "--limit=7"}, "listeners", "{\"limit\":7}", false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ctl_request request;
		struct text error = {0};
		CU_ASSERT_TRUE_FATAL(parse(cases[i].words, &request, &error));
		CU_ASSERT_STRING_EQUAL(request.command->name, cases[i].command);
		CU_ASSERT_EQUAL(request.json, cases[i].json);
		char *arguments = json_dumps(request.arguments, JSON_COMPACT | JSON_SORT_KEYS);
		json_t *sorted = json_loads(cases[i].arguments, 0, NULL);
		char *expected = json_dumps(sorted, JSON_COMPACT | JSON_SORT_KEYS);
		CU_ASSERT_STRING_EQUAL(arguments, expected);
		free(arguments);
		free(expected);
		json_decref(sorted);
		ctl_request_free(&request);
		text_free(&error);
	}
}

static void
test_errors(void)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *error;
	} cases[] = {
		{{NULL}, "which command? posternctl --help lists them"},
		{{"flws"}, "unknown command \"flws\"; did you mean \"flows\"?"},
		{{"frobnicate"}, "unknown command \"frobnicate\""},
		{{"flows", "--cleint", "10.0.0.1"}, "flows: unknown option \"--cleint\"; did you mean \"--client\"?"},
		{{"flows", "--cleint=10.0.0.1"}, "flows: unknown option \"--cleint\"; did you mean \"--client\"?"},
		{{"status", "--client", "10.0.0.1"}, "status: unknown option \"--client\""},
		{{"--scoket", "x", "status"}, "unknown option \"--scoket\"; did you mean \"--socket\"?"},
		{{"flows", "--client"}, "--client needs ADDR[/LENGTH]"},
		{{"flows", "--client", "10.0.0.256"}, "--client takes ADDR[/LENGTH], not \"10.0.0.256\""},
		{{"flows", "--client", "10.0.0.1:443"}, "--client takes ADDR[/LENGTH], not \"10.0.0.1:443\""},
		{{"flows", "--limit", "-1"}, "--limit takes N, not \"-1\""},
		{{"flows", "--limit", "1k"}, "--limit takes N, not \"1k\""},
		{{"flows", "--limit", ""}, "--limit takes N, not \"\""},
		{{"flows", "--limit", "99999999999999999999"}, "--limit takes N, not \"99999999999999999999\""},
		{{"flows", "all"}, "flows takes no \"all\""},
		{{"drops", "--all=yes"}, "--all takes no value"},
		{{"status", "-o", "yaml"}, "--output is text or json, not \"yaml\""},
		{{"status", "-o"}, "--output needs FORMAT"},
		{{"validate"}, "validate needs FILE…"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ctl_request request;
		struct text error = {0};
		CU_ASSERT_FALSE(parse(cases[i].words, &request, &error));
		CU_ASSERT_STRING_EQUAL(error.bytes == NULL ? "" : error.bytes, cases[i].error);
		ctl_request_free(&request);
		text_free(&error);
	}
}

static void
test_files_and_socket(void)
{
	const char *const words[] = {"validate", "a.yaml", "--", "-b.yaml", NULL};
	struct ctl_request request;
	struct text error = {0};

	CU_ASSERT_TRUE(parse(words, &request, &error));
	CU_ASSERT_EQUAL_FATAL(request.n_files, 2);
	CU_ASSERT_STRING_EQUAL(request.files[0], "a.yaml");
	CU_ASSERT_STRING_EQUAL(request.files[1], "-b.yaml");
	CU_ASSERT_STRING_EQUAL(request.socket, CTL_SOCKET);
	ctl_request_free(&request);

	char *argv[] = {(char *)"posternctl", (char *)"status", (char *)"--socket", (char *)"/b"};
	CU_ASSERT_TRUE(ctl_parse(2, argv, "/a", &request, &error));
	CU_ASSERT_STRING_EQUAL(request.socket, "/a");
	ctl_request_free(&request);
	CU_ASSERT_TRUE(ctl_parse(4, argv, "/a", &request, &error));
	CU_ASSERT_STRING_EQUAL(request.socket, "/b");
	ctl_request_free(&request);
	CU_ASSERT_TRUE(ctl_parse(2, argv, "", &request, &error));
	CU_ASSERT_STRING_EQUAL(request.socket, CTL_SOCKET);
	ctl_request_free(&request);
	text_free(&error);
}

static void
test_help(void)
{
	const char *const words[] = {"flows", "--help", NULL};
	struct ctl_request request;
	struct text error = {0}, help = {0};

	CU_ASSERT_TRUE(parse(words, &request, &error));
	CU_ASSERT_TRUE(request.help);
	ctl_help(request.command, &help);
	CU_ASSERT_PTR_NOT_NULL(strstr(help.bytes, "Usage: posternctl flows [OPTION…]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(help.bytes, "--client ADDR[/LENGTH]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(help.bytes, "--socket PATH"));
	help.length = 0;
	ctl_help(NULL, &help);
	CU_ASSERT_PTR_NOT_NULL(strstr(help.bytes, "  validate "));
	CU_ASSERT_PTR_NOT_NULL(strstr(help.bytes, "  drain "));
	ctl_request_free(&request);
	text_free(&help);
	text_free(&error);
}

static CU_TestInfo tests[] = {
	{"arguments", test_arguments}, {"errors", test_errors}, {"files and the socket", test_files_and_socket},
	{"help", test_help},           CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("ctl_options", tests);
}
