/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential.h"

#include <openssl/err.h>

#include "tests/unit/test_ca.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

static OSSL_LIB_CTX *libctx;
static struct test_ca root, middle, leaf;

static void
set_up(void)
{
	libctx = OSSL_LIB_CTX_new();
	root = test_root("root");
	middle = test_make(&(struct test_spec){.cn = "middle", .issuer = &root, .constraints = TEST_CA});
	leaf = test_leaf(&middle, TEST_URI, "spiffe://a.example/ns/x/sa/y");
}

static void
tear_down(void)
{
	test_free(&leaf);
	test_free(&middle);
	test_free(&root);
	OSSL_LIB_CTX_free(libctx);
}

/* One from certificates and a key, as from files. */
static struct credential *
load(X509 *const *chain, unsigned n, EVP_PKEY *key, int64_t now, enum credential_error *error)
{
	char *chain_pem = n == 0 ? strdup("") : test_pem(chain, n), *key_pem = test_key_pem(key);
	const struct credential_source source = {.chain_pem = chain_pem,
						 .chain_length = strlen(chain_pem),
						 .key_pem = key_pem,
						 .key_length = strlen(key_pem)};
	struct credential *credential = credential_new(libctx, &source, now, error);

	free(chain_pem);
	free(key_pem);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0); /* the queue is the TLS sessions' */
	return credential;
}

static enum credential_error
refusal(X509 *const *chain, unsigned n, EVP_PKEY *key)
{
	enum credential_error error;
	struct credential *credential = load(chain, n, key, TEST_NOW, &error);

	CU_ASSERT_PTR_NULL(credential);
	credential_drop(credential);
	return error;
}

static void
test_whole(void)
{
	X509 *chain[] = {leaf.cert, middle.cert, root.cert};
	enum credential_error error;
	struct credential *one = load(chain, 3, leaf.key, TEST_NOW, &error),
			  *two = load(chain, 2, leaf.key, TEST_NOW, &error);

	CU_ASSERT_PTR_NOT_NULL_FATAL(one);
	CU_ASSERT_PTR_NOT_NULL_FATAL(two);
	CU_ASSERT_EQUAL(one->n_chain, 3);
	CU_ASSERT_EQUAL(one->key_kind, CREDENTIAL_EC_P256);
	CU_ASSERT_STRING_EQUAL(one->spiffe_id, "spiffe://a.example/ns/x/sa/y");
	CU_ASSERT_EQUAL(one->not_after, TEST_NOW + TEST_DAY);
	CU_ASSERT_EQUAL(one->not_before, TEST_NOW - TEST_HOUR);
	CU_ASSERT_EQUAL(two->n_chain, 2);

	/* Objects of another context present the same and sign. */
	OSSL_LIB_CTX *other = OSSL_LIB_CTX_new();
	EVP_PKEY *key = credential_load_key(one, other);
	STACK_OF(X509) *stack = credential_load_chain(one, other);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(key, leaf.key), 1);
	CU_ASSERT_EQUAL(sk_X509_num(stack), 3);
	CU_ASSERT_EQUAL(X509_cmp(sk_X509_value(stack, 0), leaf.cert), 0);
	CU_ASSERT_EQUAL(X509_check_private_key(sk_X509_value(stack, 0), key), 1);
	sk_X509_pop_free(stack, X509_free);
	EVP_PKEY_free(key);
	OSSL_LIB_CTX_free(other);

	credential_drop(credential_take(one));
	CU_ASSERT_EQUAL(one->n_chain, 3); /* the first reference holds it */
	credential_drop(one);
	credential_drop(two);
}

static void
test_keys(void)
{
	static const struct {
		const char *kind;
		enum credential_error error;
		enum credential_key key;
		unsigned bits;
	} cases[] = {
		{"P-256", CREDENTIAL_NONE, CREDENTIAL_EC_P256, 256},
		{"P-384", CREDENTIAL_NONE, CREDENTIAL_EC_P384, 384},
		{"ED25519", CREDENTIAL_NONE, CREDENTIAL_ED25519, 256},
		{"RSA-2048", CREDENTIAL_NONE, CREDENTIAL_RSA, 2048},
		{"RSA-4096", CREDENTIAL_NONE, CREDENTIAL_RSA, 4096},
		{"RSA-1024", CREDENTIAL_KEY_SIZE, CREDENTIAL_RSA, 0},
		{"P-521", CREDENTIAL_KEY_TYPE, CREDENTIAL_RSA, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EVP_PKEY *key = test_key(cases[i].kind);
		struct test_ca made = test_make(
			&(struct test_spec){.issuer = &root, .key = key, .sans = {{TEST_DNS, "a.example", 0}}});
		enum credential_error error;
		struct credential *credential = load(&made.cert, 1, made.key, TEST_NOW, &error);
		CU_ASSERT_EQUAL(error, cases[i].error);
		if (credential != NULL) {
			CU_ASSERT_EQUAL(credential->key_kind, cases[i].key);
			CU_ASSERT_EQUAL(credential->key_bits, cases[i].bits);
			CU_ASSERT_STRING_EQUAL(credential->spiffe_id, "");
		}
		CU_ASSERT_EQUAL(credential != NULL, cases[i].error == CREDENTIAL_NONE);
		credential_drop(credential);
		test_free(&made);
		EVP_PKEY_free(key);
	}
}

static void
test_refusals(void)
{
	struct test_ca stranger = test_root("stranger");
	struct test_ca same_name = test_root("middle");
	struct test_ca no_ca = test_make(&(struct test_spec){.cn = "no ca", .issuer = &root});
	struct test_ca below = test_leaf(&no_ca, TEST_DNS, "below.example");
	struct test_ca sha1 = test_make(&(struct test_spec){.issuer = &root, .hash = EVP_sha1()});
	struct test_ca over = test_make(&(struct test_spec){.issuer = &root, .from = -2 * TEST_HOUR, .until = 0 - 1});
	struct test_ca early = test_make(&(struct test_spec){.issuer = &root, .from = 1, .until = TEST_HOUR});
	struct test_ca old_ca = test_make(
		&(struct test_spec){.cn = "old", .issuer = &root, .constraints = TEST_CA, .from = -9, .until = -1});
	struct test_ca under_old = test_leaf(&old_ca, TEST_DNS, "under.example");
	X509 *many[CREDENTIAL_CHAIN_MAX + 1];

	for (unsigned i = 0; i < CREDENTIAL_CHAIN_MAX + 1; i++)
		many[i] = leaf.cert;
	CU_ASSERT_EQUAL(refusal(NULL, 0, leaf.key), CREDENTIAL_CHAIN_EMPTY);
	CU_ASSERT_EQUAL(refusal(many, CREDENTIAL_CHAIN_MAX + 1, leaf.key), CREDENTIAL_CHAIN_LONG);
	CU_ASSERT_EQUAL(refusal((X509 *[]){leaf.cert}, 1, root.key), CREDENTIAL_KEY_MISMATCH);
	CU_ASSERT_EQUAL(refusal((X509 *[]){middle.cert, leaf.cert}, 2, leaf.key), CREDENTIAL_KEY_MISMATCH);
	CU_ASSERT_EQUAL(refusal((X509 *[]){leaf.cert, root.cert, middle.cert}, 3, leaf.key), CREDENTIAL_CHAIN_ORDER);
	CU_ASSERT_EQUAL(refusal((X509 *[]){leaf.cert, stranger.cert}, 2, leaf.key), CREDENTIAL_CHAIN_ORDER);
	CU_ASSERT_EQUAL(refusal((X509 *[]){leaf.cert, same_name.cert}, 2, leaf.key), CREDENTIAL_CHAIN_ORDER);
	CU_ASSERT_EQUAL(refusal((X509 *[]){below.cert, no_ca.cert}, 2, below.key), CREDENTIAL_CHAIN_NOT_CA);
	CU_ASSERT_EQUAL(refusal(&sha1.cert, 1, sha1.key), CREDENTIAL_SIGNATURE_WEAK);
	CU_ASSERT_EQUAL(refusal(&over.cert, 1, over.key), CREDENTIAL_EXPIRED);
	CU_ASSERT_EQUAL(refusal(&early.cert, 1, early.key), CREDENTIAL_NOT_YET_VALID);
	CU_ASSERT_EQUAL(refusal((X509 *[]){under_old.cert, old_ca.cert}, 2, under_old.key), CREDENTIAL_EXPIRED);
	test_free(&stranger);
	test_free(&same_name);
	test_free(&no_ca);
	test_free(&below);
	test_free(&sha1);
	test_free(&over);
	test_free(&early);
	test_free(&old_ca);
	test_free(&under_old);
}

/* A root with an old signature at the end of a chain is nobody's weakness. */
static void
test_weak_root(void)
{
	struct test_ca old = test_make(&(struct test_spec){.cn = "old", .constraints = TEST_CA, .hash = EVP_sha1()});
	struct test_ca made = test_leaf(&old, TEST_DNS, "a.example");
	enum credential_error error;
	struct credential *credential = load((X509 *[]){made.cert, old.cert}, 2, made.key, TEST_NOW, &error);

	CU_ASSERT_PTR_NOT_NULL(credential);
	credential_drop(credential);
	test_free(&made);
	test_free(&old);
}

static enum credential_error
refused_text(const char *chain, const char *key, const char *anchors)
{
	const struct credential_source source = {
		.chain_pem = chain,
		.chain_length = strlen(chain),
		.key_pem = key,
		.key_length = strlen(key),
		.anchors_pem = anchors,
		.anchors_length = anchors == NULL ? 0 : strlen(anchors),
	};
	enum credential_error error;
	struct credential *credential = credential_new(libctx, &source, TEST_NOW, &error);

	CU_ASSERT_PTR_NULL(credential);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
	credential_drop(credential);
	return error;
}

static void
test_broken_pem(void)
{
	char *chain = test_pem(&leaf.cert, 1), *key = test_key_pem(leaf.key), *bytes;
	char *cut = strndup(chain, strlen(chain) - 40), *bent = strdup(chain);
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PKCS8PrivateKey(bio, leaf.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	long length = BIO_get_mem_data(bio, &bytes);
	char *encrypted = strndup(bytes, (size_t)length);
	memcpy(strchr(bent, '\n') + 10, "????", 4);
	CU_ASSERT_EQUAL(refused_text("", key, NULL), CREDENTIAL_CHAIN_EMPTY);
	CU_ASSERT_EQUAL(refused_text("no PEM at all\n", key, NULL), CREDENTIAL_CHAIN_EMPTY);
	CU_ASSERT_EQUAL(refused_text(cut, key, NULL), CREDENTIAL_CERT_MALFORMED);
	CU_ASSERT_EQUAL(refused_text(bent, key, NULL), CREDENTIAL_CERT_MALFORMED);
	CU_ASSERT_EQUAL(refused_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", key, NULL),
			CREDENTIAL_CERT_MALFORMED);
	CU_ASSERT_EQUAL(refused_text(chain, "", NULL), CREDENTIAL_KEY_MALFORMED);
	CU_ASSERT_EQUAL(refused_text(chain, chain, NULL), CREDENTIAL_KEY_MALFORMED);
	CU_ASSERT_EQUAL(refused_text(chain, encrypted, NULL), CREDENTIAL_KEY_ENCRYPTED);
	CU_ASSERT_EQUAL(refused_text(chain, key, ""), CREDENTIAL_ANCHORS_MALFORMED);
	CU_ASSERT_EQUAL(refused_text(chain, key, cut), CREDENTIAL_ANCHORS_MALFORMED);
	free(chain);
	free(key);
	free(cut);
	free(bent);
	free(encrypted);
	BIO_free(bio);
}

/* One file with key and certificate in it, as some tools write, and the older form of an EC key. */
static void
test_other_forms(void)
{
	char *chain = test_pem(&leaf.cert, 1), *key = test_key_pem(leaf.key), *bytes, both[8192];
	BIO *bio = BIO_new(BIO_s_mem());
	enum credential_error error;

	PEM_write_bio_PrivateKey_traditional(bio, leaf.key, NULL, NULL, 0, NULL, NULL);
	long length = BIO_get_mem_data(bio, &bytes);
	snprintf(both, sizeof(both), "%s%s", key, chain);
	struct credential_source source = {
		.chain_pem = both, .chain_length = strlen(both), .key_pem = both, .key_length = strlen(both)};
	struct credential *one = credential_new(libctx, &source, TEST_NOW, &error);
	source.key_pem = bytes;
	source.key_length = (size_t)length;
	struct credential *two = credential_new(libctx, &source, TEST_NOW, &error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(one);
	CU_ASSERT_PTR_NOT_NULL_FATAL(two);
	CU_ASSERT_EQUAL(memcmp(one->chain_sha256, two->chain_sha256, sizeof(one->chain_sha256)), 0);
	CU_ASSERT_TRUE(one->key.length == two->key.length &&
		       memcmp(one->key.bytes, two->key.bytes, one->key.length) == 0);
	credential_drop(one);
	credential_drop(two);
	free(chain);
	free(key);
	BIO_free(bio);
}

static void
test_texts(void)
{
	for (unsigned i = 0; i < CREDENTIAL_ERROR_COUNT; i++)
		for (unsigned k = 0; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(credential_error_text(i), credential_error_text(k));
	CU_ASSERT_STRING_EQUAL(credential_error_text(CREDENTIAL_ERROR_COUNT), "unknown");
	CU_ASSERT_STRING_EQUAL(credential_error_text(CREDENTIAL_KEY_MISMATCH), "key_mismatch");
	CU_ASSERT_STRING_EQUAL(credential_key_text(CREDENTIAL_ED25519), "Ed25519");
}

/* What secret_free gives back was wiped: the pages are gone, so look at what is left of a live one. */
static void
test_secret(void)
{
	struct secret secret;

	CU_ASSERT_TRUE_FATAL(secret_new(&secret, 5000));
	CU_ASSERT_EQUAL(secret.size, 8192);
	CU_ASSERT_EQUAL(secret.length, 0);
	CU_ASSERT_EQUAL(secret.bytes[8191], 0);
	secret_free(&secret);
	CU_ASSERT_PTR_NULL(secret.bytes);
	secret_free(&secret);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"a chain of three and its key", test_whole},
		{"kinds of keys", test_keys},
		{"what is refused, each with its own error", test_refusals},
		{"an old root behind a good chain", test_weak_root},
		{"broken PEM", test_broken_pem},
		{"key and certificate in one file, an EC key of the old form", test_other_forms},
		{"every error has a text of its own", test_texts},
		{"locked memory", test_secret},
		CU_TEST_INFO_NULL,
	};

	set_up();
	int failed = unit_run("credential", tests);
	tear_down();
	return failed;
}
