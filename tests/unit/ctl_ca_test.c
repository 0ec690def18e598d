/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_ca.h"

#include "certs/bundle.h"
#include "gateway/ctl_options.h"
#include "platform/text.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

enum { WORDS_MAX = 12 };

static char *said, *complained;

/* Runs posternctl ca with these words, in this folder; what it printed is in said and complained. */
static int
run(const char *folder, const char *const *words)
{
	char *argv[WORDS_MAX + 5] = {(char *)"posternctl", (char *)"ca", (char *)"--dir", (char *)folder};
	size_t said_length, complained_length;
	struct ctl_request request;
	struct text error = {0};
	int argc = 4;

	for (; *words != NULL; words++)
		argv[argc++] = (char *)*words;
	free(said);
	free(complained);
	FILE *out = open_memstream(&said, &said_length), *errors = open_memstream(&complained, &complained_length);
	CU_ASSERT_TRUE_FATAL(ctl_parse(argc, argv, NULL, &request, &error));
	int status = ctl_ca(&request, out, errors);
	fclose(out);
	fclose(errors);
	ctl_request_free(&request);
	text_free(&error);
	return status;
}

#define RUN(folder, ...) run(folder, (const char *const[]){__VA_ARGS__, NULL})

static void
test_verbs(void)
{
	const char *folder = test_folder();
	struct bundle *bundle;
	char path[256];

	CU_ASSERT_EQUAL(RUN(folder, "rotate", "--trust-domain", "a.example"), CTL_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(complained, "No such file"));
	CU_ASSERT_EQUAL(RUN(folder, "init", "--trust-domain", "a.example"), CTL_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "a.example/ca-1"));
	CU_ASSERT_STRING_EQUAL(complained, "");
	CU_ASSERT_EQUAL(RUN(folder, "init", "--trust-domain", "a.example"), CTL_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(complained, "there is a CA already"));
	CU_ASSERT_EQUAL(RUN(folder, "rotate", "--trust-domain", "a.example", "--key-type", "ed25519"), CTL_OK);
	CU_ASSERT_EQUAL(RUN(folder, "bundle"), CTL_OK); /* the only one there is */
	CU_ASSERT_EQUAL_FATAL(bundle_parse_jwks(said, strlen(said), &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 2);
	bundle_drop(bundle);
	CU_ASSERT_EQUAL(RUN(folder, "bundle", "--format", "pem"), CTL_OK);
	CU_ASSERT_EQUAL_FATAL(bundle_parse_pem(said, strlen(said), &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 2);
	bundle_drop(bundle);
	CU_ASSERT_EQUAL(RUN(folder, "init", "--trust-domain", "b.example", "--days", "7"), CTL_OK);
	CU_ASSERT_EQUAL(RUN(folder, "bundle"), CTL_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(complained, "2 trust domains"));
	CU_ASSERT_EQUAL(RUN(folder, "bundle", "--trust-domain", "c.example"), CTL_REFUSED);

	CU_ASSERT_EQUAL(RUN(folder, "show", "-o", "json"), CTL_OK);
	json_t *list = json_loads(said, 0, NULL);
	CU_ASSERT_EQUAL(json_array_size(list), 3);
	const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
	CU_ASSERT_TRUE(json_is_true(json_object_get(first, "signs")));
	CU_ASSERT_TRUE(json_is_false(json_object_get(second, "signs")));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(second, "key")), "Ed25519");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(second, "key_in")), "file");
	json_decref(list);
	CU_ASSERT_EQUAL(RUN(folder, "show", "--trust-domain", "b.example"), CTL_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "b.example"));
	CU_ASSERT_PTR_NULL(strstr(said, "a.example"));

	/* A CA that can't be read isn't nothing: init adds none beside it. */
	snprintf(path, sizeof(path), "%s/b.example", folder);
	test_write(path, "ca-1.crt", "nonsense", 0644);
	CU_ASSERT_EQUAL(RUN(folder, "init", "--trust-domain", "b.example"), CTL_REFUSED);
	CU_ASSERT_EQUAL(RUN(folder, "show"), CTL_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(complained, "b.example/ca-1"));
	test_folder_remove(folder);
}

static void
test_usage(void)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *complaint;
	} cases[] = {
		{{"make"}, "init, rotate, show or bundle"},
		{{"show", "more"}, "takes no \"more\""},
		{{"init"}, "--trust-domain NAME is needed"},
		{{"init", "--trust-domain", "A.example"}, "spiffe_domain_uppercase"},
		{{"init", "--trust-domain", "../x"}, "spiffe_domain_character"},
		{{"init", "--trust-domain", ".."}, "begins with a dot"},
		{{"init", "--trust-domain", "a.example", "--key-type", "dsa"}, "not \"dsa\""},
		{{"init", "--trust-domain", "a.example", "--rsa-bits", "1024"}, "2048 to 8192"},
		{{"init", "--trust-domain", "a.example", "--days", "0"}, "--days is 1 to"},
		{{"init", "--trust-domain", "a.example", "--provider", "tpm2"}, "go together"},
		{{"init", "--trust-domain", "a.example", "--provider", "tpm2", "--key-uri", "handle:1", "--key-type",
		  "rsa"},
		 "the provider has one"},
		{{"bundle", "--format", "der"}, "jwks or pem"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(run("/nonexistent", cases[i].words), CTL_USAGE);
		CU_ASSERT_PTR_NOT_NULL(strstr(complained, cases[i].complaint));
		CU_ASSERT_STRING_EQUAL(said, "");
	}
	CU_ASSERT_EQUAL(RUN("/nonexistent", "show"), CTL_REFUSED);
	CU_ASSERT_EQUAL(RUN("/nonexistent", "bundle"), CTL_REFUSED);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"init, rotate, show, bundle", test_verbs},
		{"command lines that make no sense", test_usage},
		CU_TEST_INFO_NULL,
	};

	int failed = unit_run("ctl_ca", tests);
	free(said);
	free(complained);
	return failed;
}
