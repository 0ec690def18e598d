/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/ca_folder.h"

#include <openssl/err.h>

#include "certs/bundle.h"
#include "certs/bundle_write.h"
#include "certs/pem_read.h"
#include "platform/text.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

#define DOMAIN "corp.example"

static OSSL_LIB_CTX *libctx;
static char folder[128];

static void
begin(void)
{
	snprintf(folder, sizeof(folder), "%s/cas/" DOMAIN, test_folder());
}

static void
finish(void)
{
	*strstr(folder, "/cas") = '\0';
	test_folder_remove(folder);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

static bool
add(enum credential_key key, unsigned *number, struct text *message)
{
	const struct ca_spec spec = {.trust_domain = DOMAIN, .key = key, .rsa_bits = 2048, .days = 30};
	return ca_folder_add(libctx, folder, &spec, TEST_NOW, number, message);
}

/* What is wrong with the folder; the caller's to free. */
static void
complaint(struct text *message)
{
	struct ca_folder cas;

	message->length = 0;
	bool loaded = ca_folder_load(libctx, folder, DOMAIN, true, &cas, message);
	CU_ASSERT_FALSE(loaded);
	if (loaded)
		ca_folder_free(&cas);
}

static void
test_files(void)
{
	struct text message = {0};
	struct ca_folder cas;
	struct stat status;
	char path[256];
	unsigned n;

	begin();
	mode_t before = umask(0);
	CU_ASSERT_TRUE(add(CREDENTIAL_EC_P256, &n, &message));
	umask(before);
	CU_ASSERT_EQUAL(n, 1);
	snprintf(path, sizeof(path), "%s/ca-1.key", folder);
	CU_ASSERT_EQUAL(stat(path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(stat(folder, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0700);
	CU_ASSERT_TRUE(add(CREDENTIAL_ED25519, &n, &message));
	CU_ASSERT_EQUAL(n, 2);
	/* A number is never used twice, not even that of a CA that was removed but for its key. */
	snprintf(path, sizeof(path), "%s/ca-2.crt", folder);
	unlink(path);
	CU_ASSERT_TRUE(add(CREDENTIAL_RSA, &n, &message));
	CU_ASSERT_EQUAL(n, 3);
	test_write(folder, "ca-03.crt", "nonsense", 0644); /* no name of ours */
	test_write(folder, "ca-4.crt.bak", "nonsense", 0644);
	test_write(folder, "ca-5.new", "nonsense", 0644);
	CU_ASSERT_TRUE_FATAL(ca_folder_load(libctx, folder, DOMAIN, true, &cas, &message));
	CU_ASSERT_EQUAL(cas.n, 2);
	CU_ASSERT_EQUAL(cas.cas[0].number, 1);
	CU_ASSERT_EQUAL(cas.cas[1].number, 3);
	CU_ASSERT_PTR_NOT_NULL(cas.cas[1].key);
	CU_ASSERT_EQUAL(cas.cas[0].not_before, TEST_NOW - CA_BACKDATE_S);
	CU_ASSERT_EQUAL(cas.cas[0].not_after, TEST_NOW + 30LL * TEST_DAY);
	ca_folder_free(&cas);
	CU_ASSERT_EQUAL(message.length, 0);
	text_free(&message);
	finish();
}

static void
test_certificate(void)
{
	struct ca_spec spec = {.trust_domain = DOMAIN, .key = CREDENTIAL_EC_P256, .days = 30, .name_constraint = true};
	struct text message = {0};
	struct ca_folder cas;
	unsigned n;

	begin();
	CU_ASSERT_TRUE(ca_folder_add(libctx, folder, &spec, TEST_NOW, &n, &message));
	spec.name_constraint = false;
	CU_ASSERT_TRUE(ca_folder_add(libctx, folder, &spec, TEST_NOW, &n, &message));
	CU_ASSERT_TRUE_FATAL(ca_folder_load(libctx, folder, DOMAIN, true, &cas, &message));
	for (unsigned i = 0; i < 2; i++) {
		X509 *certificate = cas.cas[i].certificate;
		CU_ASSERT_EQUAL(X509_check_ca(certificate), 1);
		CU_ASSERT_EQUAL(X509_get_pathlen(certificate), 0);
		CU_ASSERT_EQUAL(X509_get_key_usage(certificate), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
		CU_ASSERT_TRUE(X509_NAME_entry_count(X509_get_subject_name(certificate)) > 0);
		CU_ASSERT_EQUAL(X509_get_ext_by_NID(certificate, NID_name_constraints, -1) >= 0, i == 0);
	}
	CU_ASSERT_NOT_EQUAL(X509_NAME_cmp(X509_get_subject_name(cas.cas[0].certificate),
					  X509_get_subject_name(cas.cas[1].certificate)),
			    0);

	/* With the constraint a CA that was made to sign for another domain signs in vain. */
	for (unsigned i = 0; i < 4; i++) {
		EVP_PKEY *key = key_generate(libctx, CREDENTIAL_EC_P256, 0);
		X509 *leaf = ca_sign_svid(libctx, &cas.cas[i / 2],
					  i % 2 == 0 ? "spiffe://" DOMAIN "/x" : "spiffe://b.example/x", key, TEST_NOW,
					  TEST_NOW + 60);
		X509_STORE *store = X509_STORE_new();
		X509_STORE_CTX *ctx = X509_STORE_CTX_new();
		X509_STORE_add_cert(store, cas.cas[i / 2].certificate);
		X509_STORE_CTX_init(ctx, store, leaf, NULL);
		X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), TEST_NOW);
		CU_ASSERT_EQUAL(X509_verify_cert(ctx), i == 1 ? 0 : 1);
		X509_STORE_CTX_free(ctx);
		X509_STORE_free(store);
		X509_free(leaf);
		EVP_PKEY_free(key);
	}
	ERR_clear_error();
	ca_folder_free(&cas);
	text_free(&message);
	finish();
}

static void
test_broken(void)
{
	struct test_ca other = test_make(&(struct test_spec){
		.cn = "other", .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://" DOMAIN ".evil", 0}}});
	struct test_ca workload = test_make(&(struct test_spec){
		.cn = "workload", .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://" DOMAIN "/x", 0}}});
	struct test_ca no_ca = test_make(&(struct test_spec){.cn = "no", .sans = {{TEST_URI, "spiffe://" DOMAIN, 0}}});
	struct test_ca two = test_make(
		&(struct test_spec){.cn = "two",
				    .constraints = TEST_CA,
				    .sans = {{TEST_URI, "spiffe://" DOMAIN, 0}, {TEST_URI, "spiffe://b.example", 0}}});
	struct test_ca signed_by = test_make(&(struct test_spec){
		.cn = "below", .issuer = &two, .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://" DOMAIN, 0}}});
	const struct test_ca *wrong[] = {&other, &workload, &no_ca, &two, &signed_by};
	struct text message = {0};
	char path[256], *pem;
	unsigned n;

	begin();
	complaint(&message);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "No such file"));
	CU_ASSERT_TRUE(add(CREDENTIAL_EC_P256, &n, &message));
	CU_ASSERT_TRUE(add(CREDENTIAL_EC_P256, &n, &message));
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		pem = test_pem(&wrong[i]->cert, 1);
		test_write(folder, "ca-3.crt", pem, 0644);
		free(pem);
		complaint(&message);
		CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca_malformed"));
	}
	test_write(folder, "ca-3.crt", "nonsense", 0644);
	complaint(&message);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca-3: chain_empty"));
	snprintf(path, sizeof(path), "%s/ca-3.crt", folder);
	unlink(path);

	snprintf(path, sizeof(path), "%s/ca-2.key", folder);
	TEST_NEED(chmod(path, 0640) == 0);
	complaint(&message);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca-2: key_exposed"));
	pem = test_key_pem(other.key);
	test_write(folder, "ca-2.key", pem, 0600);
	free(pem);
	complaint(&message);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca-2: key_mismatch"));
	unlink(path);
	test_write(folder, "ca-2.uri", "no-such-provider\nhandle:0x81000000\n", 0600);
	complaint(&message);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca-2: provider"));
	test_write(folder, "ca-2.uri", "default\nfile:/nonexistent\n", 0600);
	complaint(&message);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca-2: key_unreadable"));
	text_free(&message);
	test_free(&other);
	test_free(&workload);
	test_free(&no_ca);
	test_free(&two);
	test_free(&signed_by);
	finish();
}

/* A key that a provider's store opens by a URI; the default provider's stands in for a TPM's. */
static void
test_uri(void)
{
	char path[256], uri[320], *pem;
	EVP_PKEY *key = test_key("P-384");
	struct text message = {0};
	struct ca_folder cas;
	unsigned n;

	begin();
	*strstr(folder, "/cas") = '\0';
	pem = test_key_pem(key);
	test_write(folder, "elsewhere.pem", pem, 0600);
	snprintf(path, sizeof(path), "%s/elsewhere.pem", folder);
	strcat(folder, "/cas/" DOMAIN);
	snprintf(uri, sizeof(uri), "file:%s", path);
	const struct ca_spec spec = {.trust_domain = DOMAIN, .days = 1, .provider = "default", .key_uri = uri};
	CU_ASSERT_TRUE(ca_folder_add(libctx, folder, &spec, TEST_NOW, &n, &message));
	CU_ASSERT_TRUE_FATAL(ca_folder_load(libctx, folder, DOMAIN, true, &cas, &message));
	CU_ASSERT_PTR_NOT_NULL(cas.cas[0].provider.libctx);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(cas.cas[0].key, key), 1);
	CU_ASSERT_PTR_NOT_NULL(ca_folder_signer(&cas, TEST_NOW, 0));
	ca_folder_free(&cas);
	free(pem);
	EVP_PKEY_free(key);
	text_free(&message);
	finish();
}

static void
test_signer(void)
{
	EVP_PKEY *key = test_key("P-256");
	struct ca_folder cas = {.n = 3};
	static const struct {
		int64_t now;
		int signer; /* -1: none */
	} cases[] = {
		{-1, -1},   /* before the first */
		{0, 0},     /* just made: there is no other */
		{1000, 0},  /* the second was just made */
		{1099, 0},  /* and isn't known to all */
		{1100, 1},  /* now it is */
		{5000, 1},  /* the third has no key */
		{19000, 1}, /* the first has ended */
		{29940, 1}, {29941, -1},
	};

	cas.cas[0] = (struct ca){.number = 1, .key = key, .not_before = -CA_BACKDATE_S, .not_after = 10000};
	cas.cas[1] = (struct ca){.number = 2, .key = key, .not_before = 1000 - CA_BACKDATE_S, .not_after = 30000};
	cas.cas[2] = (struct ca){.number = 3, .key = NULL, .not_before = 2000 - CA_BACKDATE_S, .not_after = 40000};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ca *ca = ca_folder_signer(&cas, cases[i].now < 0 ? -CA_BACKDATE_S - 1 : cases[i].now, 100);
		CU_ASSERT_EQUAL(ca == NULL ? -1 : (int)(ca - cas.cas), cases[i].signer);
	}
	EVP_PKEY_free(key);
}

/* Every kind of key comes back from the bundle. */
static void
test_bundle(void)
{
	struct text text = {0}, message = {0};
	struct bundle *bundle = NULL;
	X509 *list[CA_FOLDER_MAX];
	struct ca_folder cas;
	unsigned n;

	begin();
	for (unsigned i = CREDENTIAL_EC_P256; i <= CREDENTIAL_RSA; i++)
		CU_ASSERT_TRUE(add((enum credential_key)i, &n, &message));
	CU_ASSERT_TRUE_FATAL(ca_folder_load(libctx, folder, DOMAIN, false, &cas, &message));
	for (unsigned i = 0; i < cas.n; i++) {
		CU_ASSERT_PTR_NULL(cas.cas[i].key);
		list[i] = cas.cas[i].certificate;
	}
	CU_ASSERT_TRUE(bundle_write_jwks(list, cas.n, 1ULL << 53, 300, &text));
	CU_ASSERT_EQUAL_FATAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 4);
	CU_ASSERT_EQUAL(bundle->sequence, 1ULL << 53);
	bundle_drop(bundle);
	text.length = 0;
	CU_ASSERT_TRUE(bundle_write_jwks(NULL, 0, 1, 300, &text)); /* all is revoked */
	CU_ASSERT_EQUAL_FATAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 0);
	bundle_drop(bundle);
	text.length = 0;
	CU_ASSERT_TRUE(bundle_write_pem(list, cas.n, &text));
	CU_ASSERT_EQUAL_FATAL(bundle_parse_pem(text.bytes, text.length, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 4);
	bundle_drop(bundle);
	ca_folder_free(&cas);
	text_free(&text);
	text_free(&message);
	finish();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"files: modes, names, nothing overwritten", test_files},
		{"the certificate, with a name constraint and without", test_certificate},
		{"broken folders", test_broken},
		{"a key by its URI", test_uri},
		{"which one signs", test_signer},
		{"the bundle comes back", test_bundle},
		CU_TEST_INFO_NULL,
	};

	libctx = OSSL_LIB_CTX_new();
	int failed = unit_run("ca_folder", tests);
	OSSL_LIB_CTX_free(libctx);
	return failed;
}
