/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/identity_source.h"

#include "certs/ca_folder.h"
#include "platform/text.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

#define NS 1000000000LL
#define NOW_NS (TEST_NOW * NS)

static struct test_ca root;

static void
put(const char *folder, const struct test_san *sans, unsigned n)
{
	struct test_spec spec = {.issuer = &root};

	for (unsigned i = 0; i < n; i++)
		spec.sans[i] = sans[i];
	struct test_ca made = test_make(&spec);
	test_write_pair(folder, &made.cert, 1, made.key);
	test_free(&made);
}

static void
test_files(void)
{
	static const struct test_san good = {TEST_URI, "spiffe://box.example/gateway", 0},
				     next = {TEST_URI, "spiffe://box.example/gateway/2", 0},
				     foreign = {TEST_URI, "spiffe://box.example.evil/gateway", 0},
				     domain = {TEST_URI, "spiffe://box.example", 0}, dns = {TEST_DNS, "box.example", 0};
	const char *folder = test_folder();
	struct identity_source source;

	CU_ASSERT_TRUE_FATAL(identity_source_files(&source, "box.example", folder));
	CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS), CREDENTIAL_FAILED);
	CU_ASSERT_PTR_NULL(source.current);
	put(folder, &good, 1);
	CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS), CREDENTIAL_REPLACED);
	CU_ASSERT_STRING_EQUAL(source.current->spiffe_id, good.bytes);
	CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS), CREDENTIAL_SAME);

	/* What isn't the box's changes nothing, and is told once. */
	static const struct {
		const struct test_san *first, *second;
		enum credential_error error;
	} cases[] = {
		{&foreign, &dns, CREDENTIAL_OTHER_DOMAIN}, {&domain, &dns, CREDENTIAL_NOT_SVID},
		{&dns, &foreign, CREDENTIAL_OTHER_DOMAIN}, {&good, &next, CREDENTIAL_NOT_SVID}, /* two URIs */
		{&foreign, &dns, CREDENTIAL_OTHER_DOMAIN}, {&dns, &dns, CREDENTIAL_NOT_SVID},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(folder, (struct test_san[]){*cases[i].first, *cases[i].second}, 2);
		CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS + i * NS), CREDENTIAL_FAILED);
		CU_ASSERT_EQUAL(source.error, cases[i].error);
		CU_ASSERT_EQUAL(source.since, TEST_NOW + i);
		CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS + i * NS), CREDENTIAL_SAME);
		CU_ASSERT_STRING_EQUAL(source.current->spiffe_id, good.bytes);
	}
	put(folder, (struct test_san[]){next, dns}, 2); /* DNS names beside it are fine */
	CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS), CREDENTIAL_REPLACED);
	CU_ASSERT_EQUAL(source.error, CREDENTIAL_NONE);
	CU_ASSERT_STRING_EQUAL(source.current->spiffe_id, next.bytes);
	identity_source_close(&source);
	test_folder_remove(folder);
}

static void
test_embedded(void)
{
	static const char *const domains[] = {"box.example"};
	const char *folder = test_folder();
	const struct issuer_config config = {.root = folder, .trust_domains = domains, .n_trust_domains = 1};
	const struct ca_spec spec = {.trust_domain = "box.example", .key = CREDENTIAL_EC_P256, .days = 1};
	OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
	struct identity_source source;
	struct text message = {0};
	char directory[128];
	unsigned n;

	snprintf(directory, sizeof(directory), "%s/box.example", folder);
	TEST_NEED(ca_folder_add(libctx, directory, &spec, TEST_NOW, &n, &message));
	struct issuer *issuer = issuer_open(&config, &message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(issuer);
	identity_source_embedded(&source, "box.example", issuer, "spiffe://box.example/gateway");
	CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS), CREDENTIAL_REPLACED);
	CU_ASSERT_EQUAL(identity_source_poll(&source, NOW_NS), CREDENTIAL_SAME);
	uint64_t first = source.current->generation;
	int64_t half = TEST_NOW + ISSUER_LIFETIME_S / 2;
	CU_ASSERT_EQUAL(issuer_renew(issuer, 4, half), 1);
	CU_ASSERT_EQUAL(identity_source_poll(&source, half * NS), CREDENTIAL_REPLACED);
	CU_ASSERT_TRUE(source.current->generation > first);
	/* The CA's end: the last SVID stays, and the reason is told. */
	CU_ASSERT_EQUAL(identity_source_poll(&source, (TEST_NOW + TEST_DAY) * NS), CREDENTIAL_FAILED);
	CU_ASSERT_EQUAL(source.error, CREDENTIAL_CA_EXPIRED);
	CU_ASSERT_PTR_NOT_NULL(source.current);
	identity_source_close(&source);
	issuer_close(issuer);
	OSSL_LIB_CTX_free(libctx);
	text_free(&message);
	test_folder_remove(folder);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"an SVID in files", test_files},
		{"an SVID from the embedded CA", test_embedded},
		CU_TEST_INFO_NULL,
	};

	root = test_root("root");
	int failed = unit_run("identity_source", tests);
	test_free(&root);
	return failed;
}
