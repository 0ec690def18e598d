/* SPDX-License-Identifier: Apache-2.0 */
/* X.509-SVIDs: L1-L18 and D1-D6, D10 of the identity matrix, each with a certificate of its own. */
#include "certs/verify.h"

#include <openssl/param_build.h>

#include "certs/cert_rules.h"
#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

#define ID_A "spiffe://a.example/ns/bank/sa/teller"
#define NUL_ID "spiffe://a.example/x\0.spiffe://b.example/y"
#define COUNTED(literal) literal, sizeof(literal) - 1

static struct test_ca root_a, root_b, middle_a;
static struct trust *trust;
static struct trust_view *view;

static void
add_domain(struct trust *to, const char *domain, X509 *const *certs, unsigned n)
{
	struct bundle *bundle = test_bundle(certs, n);

	TEST_NEED(trust_add_domain(to, domain, strlen(domain), bundle) == CERT_NONE);
	bundle_drop(bundle);
}

/* Verifies and, when it passes, holds what came out against what must be. */
static enum cert_error
verify(struct trust_view *by, STACK_OF(X509) *chain, enum peer_role role, int64_t now, const char *id)
{
	struct peer_identity *identity = (struct peer_identity *)1;
	enum cert_error error = verify_spiffe(by, chain, role, now, &identity);

	CU_ASSERT_EQUAL(identity != NULL, error == CERT_NONE);
	if (identity != NULL && error == CERT_NONE) {
		CU_ASSERT_EQUAL(identity->kind, PEER_SPIFFE);
		CU_ASSERT_EQUAL(identity->role, role);
		CU_ASSERT_STRING_EQUAL(identity->id.text, id);
		CU_ASSERT_EQUAL(identity->n_certs, sk_X509_num(chain));
		CU_ASSERT_EQUAL(identity->generation, trust_view_generation(by));
		peer_identity_drop(identity);
	}
	sk_X509_free(chain);
	return error;
}

static void
expect(const char *code, enum cert_error error, enum cert_error expected)
{
	CU_ASSERT_EQUAL(error, expected);
	if (error != expected)
		printf("%s: %s, not %s\n", code, cert_error_text(error), cert_error_text(expected));
}

/* Leaves of root_a, presented alone. */
static const struct {
	const char *code;
	struct test_spec spec;
	enum peer_role role;
	enum cert_error expected;
} LEAVES[] = {
	{"good client", {.sans = {{TEST_URI, ID_A, 0}}}, PEER_CLIENT, CERT_NONE},
	{"good server", {.sans = {{TEST_URI, ID_A, 0}}}, PEER_SERVER, CERT_NONE},
	{"L1 no names", {.cn = "teller"}, PEER_CLIENT, CERT_SVID_NO_URI},
	{"L1 DNS only", {.sans = {{TEST_DNS, "teller.a.example", 0}}}, PEER_CLIENT, CERT_SVID_NO_URI},
	{"L2 two URIs",
	 {.sans = {{TEST_URI, ID_A, 0}, {TEST_URI, "spiffe://b.example/x", 0}}},
	 PEER_CLIENT,
	 CERT_SVID_TWO_URIS},
	{"L2 two URIs, the other way",
	 {.sans = {{TEST_URI, "spiffe://b.example/x", 0}, {TEST_URI, ID_A, 0}}},
	 PEER_CLIENT,
	 CERT_SVID_TWO_URIS},
	{"L2 one URI twice", {.sans = {{TEST_URI, ID_A, 0}, {TEST_URI, ID_A, 0}}}, PEER_CLIENT, CERT_SVID_TWO_URIS},
	{"L2 an https URI besides",
	 {.sans = {{TEST_URI, ID_A, 0}, {TEST_URI, "https://a.example/", 0}}},
	 PEER_CLIENT,
	 CERT_SVID_TWO_URIS},
	{"L3 many DNS names", {.sans = {{TEST_URI, ID_A, 0}}, .n_extra_dns = 255}, PEER_CLIENT, CERT_NONE},
	{"L3 too many names", {.sans = {{TEST_URI, ID_A, 0}}, .n_extra_dns = 256}, PEER_CLIENT, CERT_SAN_MANY},
	{"L3 an address and an e-mail name besides",
	 {.sans = {{TEST_IP, "\300\0\2\1", 4}, {TEST_URI, ID_A, 0}, {TEST_EMAIL, "teller@a.example", 0}}},
	 PEER_CLIENT,
	 CERT_NONE},
	{"L4 CA",
	 {.sans = {{TEST_URI, ID_A, 0}}, .constraints = TEST_CA, .key_usage = "critical,digitalSignature"},
	 PEER_CLIENT,
	 CERT_LEAF_CA},
	{"L4 no constraints at all",
	 {.sans = {{TEST_URI, ID_A, 0}}, .constraints = TEST_NO_CONSTRAINTS},
	 PEER_CLIENT,
	 CERT_NONE},
	{"L5 keyCertSign",
	 {.sans = {{TEST_URI, ID_A, 0}}, .key_usage = "critical,digitalSignature,keyCertSign"},
	 PEER_CLIENT,
	 CERT_LEAF_KEY_CERT_SIGN},
	{"L6 cRLSign",
	 {.sans = {{TEST_URI, ID_A, 0}}, .key_usage = "critical,digitalSignature,cRLSign"},
	 PEER_CLIENT,
	 CERT_LEAF_CRL_SIGN},
	{"L6 no digitalSignature",
	 {.sans = {{TEST_URI, ID_A, 0}}, .key_usage = "critical,keyEncipherment"},
	 PEER_CLIENT,
	 CERT_LEAF_KEY_USAGE},
	{"no key usage at all", {.sans = {{TEST_URI, ID_A, 0}}, .key_usage = ""}, PEER_CLIENT, CERT_NONE},
	{"L7 root path", {.sans = {{TEST_URI, "spiffe://a.example", 0}}}, PEER_CLIENT, CERT_SPIFFE_PATH_ROOT},
	{"L7 root path, slash",
	 {.sans = {{TEST_URI, "spiffe://a.example/", 0}}},
	 PEER_CLIENT,
	 CERT_SPIFFE_PATH_TRAILING_SLASH},
	{"L8 https", {.sans = {{TEST_URI, "https://a.example/x", 0}}}, PEER_CLIENT, CERT_SPIFFE_SCHEME},
	{"L8 SPIFFE in capitals", {.sans = {{TEST_URI, "SPIFFE://a.example/x", 0}}}, PEER_CLIENT, CERT_SPIFFE_SCHEME},
	{"L9 expired", {.sans = {{TEST_URI, ID_A, 0}}, .from = -2 * TEST_HOUR, .until = -1}, PEER_CLIENT, CERT_EXPIRED},
	{"L9 not yet valid",
	 {.sans = {{TEST_URI, ID_A, 0}}, .from = 1, .until = TEST_HOUR},
	 PEER_CLIENT,
	 CERT_NOT_YET_VALID},
	{"L10 clientAuth missing",
	 {.sans = {{TEST_URI, ID_A, 0}}, .extended_usage = "serverAuth"},
	 PEER_CLIENT,
	 CERT_LEAF_EKU_CLIENT},
	{"L10 clientAuth there",
	 {.sans = {{TEST_URI, ID_A, 0}}, .extended_usage = "clientAuth"},
	 PEER_CLIENT,
	 CERT_NONE},
	{"L10 serverAuth missing",
	 {.sans = {{TEST_URI, ID_A, 0}}, .extended_usage = "clientAuth"},
	 PEER_SERVER,
	 CERT_LEAF_EKU_SERVER},
	{"L10 codeSigning",
	 {.sans = {{TEST_URI, ID_A, 0}}, .extended_usage = "codeSigning"},
	 PEER_SERVER,
	 CERT_LEAF_EKU_SERVER},
	{"L10 anyExtendedKeyUsage isn't the role",
	 {.sans = {{TEST_URI, ID_A, 0}}, .extended_usage = "anyExtendedKeyUsage"},
	 PEER_CLIENT,
	 CERT_LEAF_EKU_CLIENT},
	{"L10 none at all", {.sans = {{TEST_URI, ID_A, 0}}, .extended_usage = ""}, PEER_SERVER, CERT_NONE},
	{"L11 NUL in the URI", {.sans = {{TEST_URI, COUNTED(NUL_ID)}}}, PEER_CLIENT, CERT_SAN_NUL},
	{"L11 NUL in a DNS name",
	 {.sans = {{TEST_URI, ID_A, 0}, {TEST_DNS, COUNTED("a.example\0.evil")}}},
	 PEER_CLIENT,
	 CERT_SAN_NUL},
	{"L11 NUL in an e-mail name",
	 {.sans = {{TEST_URI, ID_A, 0}, {TEST_EMAIL, COUNTED("me\0@a.example")}}},
	 PEER_CLIENT,
	 CERT_SAN_NUL},
	{"L11 NUL in an otherName",
	 {.sans = {{TEST_OTHER, COUNTED("root\0@a.example")}, {TEST_URI, ID_A, 0}}},
	 PEER_CLIENT,
	 CERT_SAN_NUL},
	{"L11 an otherName without",
	 {.sans = {{TEST_OTHER, "me@a.example", 0}, {TEST_URI, ID_A, 0}}},
	 PEER_CLIENT,
	 CERT_NONE},
	{"L12 ID in a DNS name", {.sans = {{TEST_DNS, ID_A, 0}}}, PEER_CLIENT, CERT_SVID_ID_MISPLACED},
	{"L12 ID in an e-mail name", {.sans = {{TEST_EMAIL, ID_A, 0}}}, PEER_CLIENT, CERT_SVID_ID_MISPLACED},
	{"L12 another ID in a DNS name beside the URI",
	 {.sans = {{TEST_URI, ID_A, 0}, {TEST_DNS, "Spiffe://b.example/x", 0}}},
	 PEER_CLIENT,
	 CERT_SVID_ID_MISPLACED},
	{"L13 CN carries the ID", {.cn = ID_A}, PEER_CLIENT, CERT_SVID_NO_URI},
	{"L13 CN carries another ID",
	 {.cn = "spiffe://b.example/x", .sans = {{TEST_URI, ID_A, 0}}},
	 PEER_CLIENT,
	 CERT_NONE},
	{"an address of five bytes",
	 {.sans = {{TEST_URI, ID_A, 0}, {TEST_IP, "12345", 5}}},
	 PEER_CLIENT,
	 CERT_SAN_MALFORMED},
	{"a critical extension that nobody knows",
	 {.sans = {{TEST_URI, ID_A, 0}}, .unknown_critical = true},
	 PEER_CLIENT,
	 CERT_CRITICAL_EXTENSION},
	{"D1 CA of A signs an ID of B",
	 {.sans = {{TEST_URI, "spiffe://b.example/x", 0}}},
	 PEER_CLIENT,
	 CERT_CHAIN_UNTRUSTED},
	{"D2 a domain that isn't known",
	 {.sans = {{TEST_URI, "spiffe://c.example/x", 0}}},
	 PEER_CLIENT,
	 CERT_DOMAIN_UNKNOWN},
	{"D6 a.example.evil", {.sans = {{TEST_URI, "spiffe://a.example.evil/x", 0}}}, PEER_CLIENT, CERT_DOMAIN_UNKNOWN},
	{"D6 evil.a.example", {.sans = {{TEST_URI, "spiffe://evil.a.example/x", 0}}}, PEER_CLIENT, CERT_DOMAIN_UNKNOWN},
	{"D6 a.exampl", {.sans = {{TEST_URI, "spiffe://a.exampl/x", 0}}}, PEER_CLIENT, CERT_DOMAIN_UNKNOWN},
};

static void
test_leaves(void)
{
	for (size_t i = 0; i < sizeof(LEAVES) / sizeof(LEAVES[0]); i++) {
		struct test_spec spec = LEAVES[i].spec;
		spec.issuer = &root_a;
		struct test_ca leaf = test_make(&spec);
		expect(LEAVES[i].code, verify(view, TEST_CHAIN(leaf.cert), LEAVES[i].role, TEST_NOW, ID_A),
		       LEAVES[i].expected);
		test_free(&leaf);
	}
}

/* The URI is 2048 bytes: the longest ID passes whole. */
static void
test_i2_longest(void)
{
	char id[2050] = "spiffe://a.example/";

	memset(id + strlen(id), 'x', 2048 - strlen(id));
	struct test_ca leaf = test_leaf(&root_a, TEST_URI, id);
	expect("I2", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, id), CERT_NONE);
	test_free(&leaf);
	id[2048] = 'x';
	leaf = test_leaf(&root_a, TEST_URI, id);
	expect("I2", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, id), CERT_SPIFFE_LONG);
	test_free(&leaf);
}

static void
test_l14_keys(void)
{
	static const struct {
		const char *key;
		enum cert_error expected;
	} CASES[] = {
		{"RSA-2048", CERT_NONE},  {"P-384", CERT_NONE},         {"P-521", CERT_NONE},
		{"ED25519", CERT_NONE},   {"RSA-1024", CERT_KEY_WEAK},  {"P-192", CERT_KEY_WEAK},
		{"P-224", CERT_KEY_TYPE}, {"secp256k1", CERT_KEY_TYPE},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		EVP_PKEY *key = test_key(CASES[i].key);
		struct test_ca leaf =
			test_make(&(struct test_spec){.issuer = &root_a, .key = key, .sans = {{TEST_URI, ID_A, 0}}});
		expect(CASES[i].key, verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);

		/* The same key in a CA between, and in a root. */
		struct test_ca middle = test_make(
			&(struct test_spec){.cn = "between", .issuer = &root_a, .key = key, .constraints = TEST_CA});
		struct test_ca below = test_leaf(&middle, TEST_URI, ID_A);
		expect(CASES[i].key, verify(view, TEST_CHAIN(below.cert, middle.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);
		struct test_ca root = test_make(&(struct test_spec){.cn = "root", .key = key, .constraints = TEST_CA});
		struct test_ca under = test_leaf(&root, TEST_URI, ID_A);
		struct trust *weak = trust_new(9);
		struct trust_view *weak_view = trust_view_new(NULL);
		add_domain(weak, "a.example", &root.cert, 1);
		trust_seal(weak);
		trust_view_set(weak_view, weak);
		trust_drop(weak);
		expect(CASES[i].key, verify(weak_view, TEST_CHAIN(under.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);
		trust_view_free(weak_view);
		EVP_PKEY_free(key);
		test_free(&leaf);
		test_free(&middle);
		test_free(&below);
		test_free(&root);
		test_free(&under);
	}
}

/* An RSA public key of 16384 bits, whose signatures take milliseconds to verify. Generating one takes a minute, so it
 * is made up. */
static EVP_PKEY *
huge_key(void)
{
	BIGNUM *n = BN_new(), *e = BN_new();
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;

	BN_set_word(e, 65537);
	BN_one(n);
	BN_lshift(n, n, 16383);
	BN_add_word(n, 1);
	OSSL_PARAM_BLD_push_BN(build, "n", n);
	OSSL_PARAM_BLD_push_BN(build, "e", e);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	TEST_NEED(EVP_PKEY_fromdata_init(ctx) == 1);
	TEST_NEED(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	BN_free(n);
	BN_free(e);
	return key;
}

static void
test_l14_large_key(void)
{
	EVP_PKEY *key = huge_key();
	struct test_ca leaf =
		test_make(&(struct test_spec){.issuer = &root_a, .key = key, .sans = {{TEST_URI, ID_A, 0}}});
	struct test_ca good = test_leaf(&root_a, TEST_URI, ID_A);

	expect("L14 RSA of 16384 bits", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_KEY_LARGE);
	expect("L14 the same in a companion",
	       verify(view, TEST_CHAIN(good.cert, leaf.cert), PEER_CLIENT, TEST_NOW, ID_A), CERT_KEY_LARGE);
	EVP_PKEY_free(key);
	test_free(&leaf);
	test_free(&good);
}

/* A curve spelled out by its parameters: CVE-2020-0601. */
static void
test_l14_explicit_curve(void)
{
	EVP_PKEY *key = test_key("P-256");

	TEST_NEED(EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit") == 1);
	struct test_ca leaf =
		test_make(&(struct test_spec){.issuer = &root_a, .key = key, .sans = {{TEST_URI, ID_A, 0}}});
	/* Through DER: what was decoded counts. */
	size_t length;
	unsigned char *der = test_der(leaf.cert, &length);
	STACK_OF(X509) *chain;
	CU_ASSERT_EQUAL_FATAL(verify_parse(NULL, &(struct peer_bytes){(char *)der, (uint32_t)length}, 1, &chain),
			      CERT_NONE);
	struct peer_identity *identity;
	CU_ASSERT_EQUAL(cert_rules_key(sk_X509_value(chain, 0)), CERT_KEY_TYPE);
	expect("L14 explicit curve", verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &identity), CERT_KEY_TYPE);
	sk_X509_pop_free(chain, X509_free);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	test_free(&leaf);
}

static void
test_l14_signatures(void)
{
	EVP_PKEY *key = test_key("RSA-2048");
	struct test_ca rsa = test_make(&(struct test_spec){.cn = "rsa", .constraints = TEST_CA, .key = key});
	struct trust *own = trust_new(3);
	struct trust_view *own_view = trust_view_new(NULL);
	const struct {
		const char *code;
		const EVP_MD *hash;
		enum cert_error expected;
	} CASES[] = {
		{"L14 SHA-1", EVP_sha1(), CERT_SIGNATURE_WEAK},
		{"L14 MD5", EVP_md5(), CERT_SIGNATURE_WEAK},
		{"SHA-384", EVP_sha384(), CERT_NONE},
	};

	EVP_PKEY_free(key);
	add_domain(own, "a.example", &rsa.cert, 1);
	trust_seal(own);
	trust_view_set(own_view, own);
	trust_drop(own);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct test_ca leaf = test_make(
			&(struct test_spec){.issuer = &rsa, .hash = CASES[i].hash, .sans = {{TEST_URI, ID_A, 0}}});
		expect(CASES[i].code, verify(own_view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);
		struct test_ca middle = test_make(&(struct test_spec){
			.cn = "between", .issuer = &rsa, .hash = CASES[i].hash, .constraints = TEST_CA});
		struct test_ca below = test_leaf(&middle, TEST_URI, ID_A);
		expect(CASES[i].code,
		       verify(own_view, TEST_CHAIN(below.cert, middle.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);
		test_free(&leaf);
		test_free(&middle);
		test_free(&below);
	}
	trust_view_free(own_view);
	test_free(&rsa);
}

static void
test_l15_chains(void)
{
	struct test_ca cas[VERIFY_CHAIN_MAX + 1];
	X509 *certs[VERIFY_CHAIN_MAX + 2] = {0};

	cas[0] = root_a;
	for (unsigned i = 1; i <= VERIFY_CHAIN_MAX; i++) {
		char cn[16];
		snprintf(cn, sizeof(cn), "ca-%u", i);
		cas[i] = test_make(&(struct test_spec){.cn = cn, .issuer = &cas[i - 1], .constraints = TEST_CA});
	}
	/* four: leaf, three CAs between it and the root */
	struct test_ca leaf = test_leaf(&cas[3], TEST_URI, ID_A);
	expect("L15 a chain of four",
	       verify(view, TEST_CHAIN(leaf.cert, cas[3].cert, cas[2].cert, cas[1].cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_NONE);
	expect("L15 with its root",
	       verify(view, TEST_CHAIN(leaf.cert, cas[3].cert, cas[2].cert, cas[1].cert, root_a.cert), PEER_CLIENT,
		      TEST_NOW, ID_A),
	       CERT_NONE);
	expect("L15 CAs shuffled",
	       verify(view, TEST_CHAIN(leaf.cert, cas[1].cert, cas[3].cert, cas[2].cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_NONE);
	expect("L15 one CA missing",
	       verify(view, TEST_CHAIN(leaf.cert, cas[3].cert, cas[1].cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CHAIN_UNTRUSTED);
	expect("L15 all CAs missing", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CHAIN_UNTRUSTED);
	expect("L15 the leaf isn't first",
	       verify(view, TEST_CHAIN(cas[1].cert, leaf.cert, cas[2].cert, cas[3].cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_SVID_NO_URI);
	expect("L15 nothing", verify(view, sk_X509_new_null(), PEER_CLIENT, TEST_NOW, ID_A), CERT_CHAIN_EMPTY);
	test_free(&leaf);

	/* the longest, and one more */
	leaf = test_leaf(&cas[VERIFY_CHAIN_MAX - 1], TEST_URI, ID_A);
	certs[0] = leaf.cert;
	for (unsigned i = 1; i < VERIFY_CHAIN_MAX; i++)
		certs[i] = cas[VERIFY_CHAIN_MAX - i].cert;
	expect("L15 as long as may be", verify(view, test_chain(certs), PEER_CLIENT, TEST_NOW, ID_A), CERT_NONE);
	test_free(&leaf);
	leaf = test_leaf(&cas[VERIFY_CHAIN_MAX], TEST_URI, ID_A);
	certs[0] = leaf.cert;
	for (unsigned i = 1; i <= VERIFY_CHAIN_MAX; i++)
		certs[i] = cas[VERIFY_CHAIN_MAX + 1 - i].cert;
	expect("L15 over-long", verify(view, test_chain(certs), PEER_CLIENT, TEST_NOW, ID_A), CERT_CHAIN_LONG);
	test_free(&leaf);

	/* a CA that presents itself, and one that isn't a CA but signs */
	struct test_ca self = test_make(&(struct test_spec){.cn = "self", .sans = {{TEST_URI, ID_A, 0}}});
	expect("L15 self-signed", verify(view, TEST_CHAIN(self.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CHAIN_UNTRUSTED);
	test_free(&self);
	for (unsigned i = 1; i <= VERIFY_CHAIN_MAX; i++)
		test_free(&cas[i]);
}

/* Large certificates: by names that nobody needs. */
static void
test_l15_large(void)
{
	static char name[20000];
	struct test_ca cas[4] = {root_a};
	struct test_san san = {TEST_DNS, name, 0};

	memset(name, 'x', sizeof(name) - 1);
	for (unsigned i = 1; i < 4; i++)
		cas[i] = test_make(&(struct test_spec){
			.cn = "large", .issuer = &cas[i - 1], .constraints = TEST_CA, .sans = {san}});
	struct test_ca leaf = test_make(&(struct test_spec){.issuer = &cas[3], .sans = {{TEST_URI, ID_A, 0}, san}});
	struct test_ca alone = test_make(&(struct test_spec){.issuer = &root_a, .sans = {{TEST_URI, ID_A, 0}, san}});
	struct test_ca large =
		test_make(&(struct test_spec){.issuer = &root_a, .sans = {{TEST_URI, ID_A, 0}, san, san}});

	expect("L15 a large leaf", verify(view, TEST_CHAIN(alone.cert), PEER_CLIENT, TEST_NOW, ID_A), CERT_NONE);
	expect("L15 too large a leaf", verify(view, TEST_CHAIN(large.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CERT_LARGE);
	expect("L15 too large together",
	       verify(view, TEST_CHAIN(leaf.cert, cas[3].cert, cas[2].cert, cas[1].cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CHAIN_LARGE);
	for (unsigned i = 1; i < 4; i++)
		test_free(&cas[i]);
	test_free(&leaf);
	test_free(&alone);
	test_free(&large);
}

static void
test_l16_authorities(void)
{
	static const struct {
		const char *code;
		struct test_spec middle;
		enum cert_error expected;
	} CASES[] = {
		{"a good one", {.constraints = TEST_CA}, CERT_NONE},
		{"L16 pathLen 0 above the leaf", {.constraints = TEST_CA, .path_length = 1}, CERT_NONE},
		{"not a CA", {.constraints = TEST_NOT_CA}, CERT_CA_NOT_CA},
		{"no constraints, keyCertSign",
		 {.constraints = TEST_NO_CONSTRAINTS, .key_usage = "critical,keyCertSign"},
		 CERT_CA_NOT_CA},
		{"no constraints, no key usage", {.constraints = TEST_NO_CONSTRAINTS, .key_usage = ""}, CERT_CA_NOT_CA},
		{"version 1", {.version_1 = true}, CERT_CA_NOT_CA},
		{"no keyCertSign", {.constraints = TEST_CA, .key_usage = "critical,cRLSign"}, CERT_CA_KEY_USAGE},
		{"for servers only", {.constraints = TEST_CA, .extended_usage = "serverAuth"}, CERT_CA_PURPOSE},
		{"expired", {.constraints = TEST_CA, .from = -2 * TEST_HOUR, .until = -1}, CERT_CA_EXPIRED},
		{"not yet valid", {.constraints = TEST_CA, .from = 1, .until = TEST_HOUR}, CERT_CA_NOT_YET_VALID},
		{"critical extension", {.constraints = TEST_CA, .unknown_critical = true}, CERT_CRITICAL_EXTENSION},
		{"NUL in a name of its own",
		 {.constraints = TEST_CA, .sans = {{TEST_DNS, COUNTED("a.example\0.evil")}}},
		 CERT_SAN_NUL},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct test_spec spec = CASES[i].middle;
		spec.cn = "between";
		spec.issuer = &root_a;
		struct test_ca middle = test_make(&spec), leaf = test_leaf(&middle, TEST_URI, ID_A);
		expect(CASES[i].code, verify(view, TEST_CHAIN(leaf.cert, middle.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);
		test_free(&leaf);
		test_free(&middle);
	}

	struct test_ca short_ca = test_make(
		&(struct test_spec){.cn = "short", .issuer = &root_a, .constraints = TEST_CA, .path_length = 1});
	struct test_ca below =
		test_make(&(struct test_spec){.cn = "below", .issuer = &short_ca, .constraints = TEST_CA});
	struct test_ca leaf = test_leaf(&below, TEST_URI, ID_A);
	expect("L16 a CA below pathLen 0",
	       verify(view, TEST_CHAIN(leaf.cert, below.cert, short_ca.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_PATH_LENGTH);
	test_free(&leaf);

	/* An SVID is no CA, though its signature may be good. */
	struct test_ca svid = test_leaf(&root_a, TEST_URI, ID_A);
	leaf = test_leaf(&svid, TEST_URI, "spiffe://a.example/forged");
	expect("signed by an SVID", verify(view, TEST_CHAIN(leaf.cert, svid.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CA_NOT_CA);
	test_free(&leaf);
	test_free(&svid);
	test_free(&below);
	test_free(&short_ca);
}

static void
test_l17_name_constraints(void)
{
	static const struct test_san NUL_DNS = {TEST_DNS, COUNTED("evil.example\0.a.example")};
	static const struct test_san NUL_URI = {TEST_URI, COUNTED("evil.example\0.a.example")};
	static const struct test_san NUL_PERMITTED = {TEST_URI, COUNTED("evil.example\0.a.example")};
	static const struct {
		const char *code, *constraints;
		const struct test_san *raw;
		struct test_san second;
		enum cert_error expected;
	} CASES[] = {
		{"L17 URI permitted", "critical,permitted;URI:a.example", NULL, {0}, CERT_NONE},
		{"L17 URI: another permitted", "critical,permitted;URI:b.example", NULL, {0}, CERT_NAME_CONSTRAINTS},
		{"L17 URI: below permitted, not it",
		 "critical,permitted;URI:.a.example",
		 NULL,
		 {0},
		 CERT_NAME_CONSTRAINTS},
		{"L17 URI excluded", "critical,excluded;URI:a.example", NULL, {0}, CERT_NAME_CONSTRAINTS},
		{"L17 another URI excluded", "critical,excluded;URI:b.example", NULL, {0}, CERT_NONE},
		{"L17 DNS permitted",
		 "critical,permitted;DNS:a.example",
		 NULL,
		 {TEST_DNS, "x.a.example", 0},
		 CERT_NONE},
		{"L17 DNS: another permitted",
		 "critical,permitted;DNS:a.example",
		 NULL,
		 {TEST_DNS, "x.b.example", 0},
		 CERT_NAME_CONSTRAINTS},
		{"L17 DNS excluded",
		 "critical,excluded;DNS:a.example",
		 NULL,
		 {TEST_DNS, "x.a.example", 0},
		 CERT_NAME_CONSTRAINTS},
		{"L17 not critical counts too", "permitted;URI:b.example", NULL, {0}, CERT_NAME_CONSTRAINTS},
		{"L17 a NUL in a DNS constraint", NULL, &NUL_DNS, {0}, CERT_NAME_CONSTRAINT_NUL},
		{"L17 a NUL in a URI constraint", NULL, &NUL_URI, {0}, CERT_NAME_CONSTRAINT_NUL},
		{"L17 a NUL in what is permitted", NULL, &NUL_PERMITTED, {0}, CERT_NAME_CONSTRAINT_NUL},
		{"L17 a NUL in the name",
		 "critical,permitted;DNS:a.example",
		 NULL,
		 {TEST_DNS, COUNTED("a.example\0.evil.example")},
		 CERT_SAN_NUL},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct test_ca middle = test_make(&(struct test_spec){.cn = "constrained",
								      .issuer = &root_a,
								      .constraints = TEST_CA,
								      .name_constraints = CASES[i].constraints,
								      .constraint_raw = CASES[i].raw,
								      .permitted = CASES[i].raw == &NUL_PERMITTED});
		struct test_ca leaf = test_make(
			&(struct test_spec){.issuer = &middle, .sans = {{TEST_URI, ID_A, 0}, CASES[i].second}});
		expect(CASES[i].code, verify(view, TEST_CHAIN(leaf.cert, middle.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CASES[i].expected);
		test_free(&leaf);
		test_free(&middle);
	}

	/* The same in a root, which no peer sends. */
	struct test_ca root =
		test_make(&(struct test_spec){.cn = "root", .constraints = TEST_CA, .constraint_raw = &NUL_DNS});
	struct test_ca leaf = test_leaf(&root, TEST_URI, ID_A);
	struct trust *own = trust_new(5);
	struct trust_view *own_view = trust_view_new(NULL);
	add_domain(own, "a.example", &root.cert, 1);
	trust_seal(own);
	trust_view_set(own_view, own);
	trust_drop(own);
	expect("L17 a NUL in a root's constraint", verify(own_view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_NAME_CONSTRAINT_NUL);
	trust_view_free(own_view);
	test_free(&leaf);
	test_free(&root);
}

static enum cert_error
parse(const unsigned char *der, size_t length)
{
	STACK_OF(X509) *chain;
	/* In memory of exactly that length. */
	char *copy = malloc(length + 1);
	memcpy(copy, der, length);
	enum cert_error error = verify_parse(NULL, &(struct peer_bytes){copy, (uint32_t)length}, 1, &chain);
	CU_ASSERT_EQUAL(chain != NULL, error == CERT_NONE);
	sk_X509_pop_free(chain, X509_free);
	free(copy);
	return error;
}

static void
test_l18_lengths(void)
{
	struct test_ca leaf = test_leaf(&root_a, TEST_URI, ID_A);
	size_t length;
	unsigned char *der = test_der(leaf.cert, &length);
	unsigned char *copy = malloc(length + 8);

	/* 30 82 hi lo: the certificate; then 30 82 hi lo: what is signed */
	CU_ASSERT_EQUAL_FATAL(memcmp(der, "\x30\x82", 2), 0);
	CU_ASSERT_EQUAL_FATAL(memcmp(der + 4, "\x30\x82", 2), 0);
	expect("whole", parse(der, length), CERT_NONE);

	memcpy(copy, der, length);
	copy[1] = 0x84;
	memset(copy + 2, 0xff, 4);
	expect("L18 -1", parse(copy, length), CERT_DER_LENGTH);
	memcpy(copy + 2, "\x7f\xff\xff\xff", 4);
	expect("L18 2^31 - 1", parse(copy, length), CERT_DER_LENGTH);
	memcpy(copy + 1, "\x88\xff\xff\xff\xff\xff\xff\xff\xff", 9);
	expect("L18 64 bits", parse(copy, length), CERT_DER_LENGTH);
	memcpy(copy + 1, "\xff\xff\xff", 3);
	expect("L18 127 bytes of length", parse(copy, length), CERT_DER_LENGTH);
	memcpy(copy + 1, "\x80", 1);
	expect("L18 indefinite", parse(copy, length), CERT_DER_LENGTH);

	memcpy(copy, der, length);
	copy[5] = 0x84;
	memset(copy + 6, 0xff, 4);
	expect("L18 -1, inside", parse(copy, length), CERT_DER_LENGTH);
	memcpy(copy, der, length);
	copy[7]++;
	expect("L18 beyond its parent", parse(copy, length), CERT_DER_LENGTH);

	memcpy(copy, der, length);
	copy[length] = 0;
	expect("L18 a byte behind", parse(copy, length + 1), CERT_DER_TRAILING);
	for (size_t n = 0; n < length; n++)
		CU_ASSERT_EQUAL(parse(der, n), CERT_DER_LENGTH);

	/* The same number in a longer form: BER, not DER. */
	expect("L18 not minimal, short", parse((const unsigned char *)"\x30\x81\x03\x02\x01\x01", 6), CERT_DER_LENGTH);
	memcpy(copy, "\x30\x83\x00", 3);
	memcpy(copy + 3, der + 2, length - 2);
	expect("L18 not minimal", parse(copy, length + 1), CERT_DER_LENGTH);

	memset(copy, 0x30, 40);
	for (unsigned i = 0; i < 20; i++)
		copy[i * 2 + 1] = (unsigned char)(38 - i * 2);
	expect("L18 nested twenty times", parse(copy, 40), CERT_DER_DEPTH);
	expect("no certificate", parse((const unsigned char *)"\x30\x03\x02\x01\x01", 5), CERT_CERT_MALFORMED);
	free(copy);
	OPENSSL_free(der);

	/* A certificate larger than any: by names. */
	struct peer_bytes large = {calloc(1, VERIFY_CERT_BYTES_MAX + 1), VERIFY_CERT_BYTES_MAX + 1};
	STACK_OF(X509) *chain;
	CU_ASSERT_EQUAL(verify_parse(NULL, &large, 1, &chain), CERT_CERT_LARGE);
	CU_ASSERT_EQUAL(verify_parse(NULL, &large, 0, &chain), CERT_CHAIN_EMPTY);
	CU_ASSERT_EQUAL(verify_parse(NULL, &large, VERIFY_CHAIN_MAX + 1, &chain), CERT_CHAIN_LONG);
	free((void *)large.bytes);
	test_free(&leaf);
}

/* An extension twice: which of them counts, readers disagree on. */
static void
test_extensions_twice(void)
{
	struct test_ca leaf = test_leaf(&root_a, TEST_URI, ID_A);
	GENERAL_NAMES *names = GENERAL_NAMES_new();

	sk_GENERAL_NAME_push(names, test_general_name(&(struct test_san){TEST_URI, "spiffe://a.example/other", 0}));
	X509_add1_ext_i2d(leaf.cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
	TEST_NEED(X509_sign(leaf.cert, root_a.key, EVP_sha256()) > 0);
	expect("names twice", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A), CERT_CERT_EXTENSIONS);
	GENERAL_NAMES_free(names);
	test_free(&leaf);
}

static void
test_d3_same_name(void)
{
	struct test_ca twin = test_root("root a"), leaf = test_leaf(&twin, TEST_URI, ID_A);
	expect("D3 a root of the same name",
	       verify(view, TEST_CHAIN(leaf.cert, twin.cert), PEER_CLIENT, TEST_NOW, ID_A), CERT_CHAIN_UNTRUSTED);
	test_free(&leaf);
	leaf = test_make(&(struct test_spec){.issuer = &twin, .sans = {{TEST_URI, ID_A, 0}}, .no_key_ids = true});
	expect("D3 without key identifiers", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CHAIN_SIGNATURE);
	test_free(&leaf);
	test_free(&twin);

	/* One signature turned. */
	leaf = test_leaf(&root_a, TEST_URI, ID_A);
	size_t length;
	unsigned char *der = test_der(leaf.cert, &length);
	der[length - 1] ^= 1;
	STACK_OF(X509) *chain;
	struct peer_identity *identity;
	CU_ASSERT_EQUAL(verify_parse(NULL, &(struct peer_bytes){(char *)der, (uint32_t)length}, 1, &chain), CERT_NONE);
	expect("a signature with a bit turned", verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &identity),
	       CERT_CHAIN_SIGNATURE);
	sk_X509_pop_free(chain, X509_free);
	OPENSSL_free(der);
	test_free(&leaf);
}

/* While a CA's key is replaced both have the same name, and perhaps no key identifiers: leaves of both pass. */
static void
test_two_roots_of_one_name(void)
{
	struct test_spec spec = {.cn = "SPIRE", .constraints = TEST_CA, .no_key_ids = true};
	struct test_ca before = test_make(&spec), after = test_make(&spec);
	struct trust *own = trust_new(7);
	struct trust_view *own_view = trust_view_new(NULL);

	add_domain(own, "a.example", (X509 *[]){before.cert, after.cert}, 2);
	trust_seal(own);
	trust_view_set(own_view, own);
	trust_drop(own);
	for (unsigned i = 0; i < 2; i++) {
		struct test_ca leaf = test_make(&(struct test_spec){
			.issuer = i == 0 ? &before : &after, .sans = {{TEST_URI, ID_A, 0}}, .no_key_ids = true});
		expect("R4 old and new root", verify(own_view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
		       CERT_NONE);
		test_free(&leaf);
	}
	trust_view_free(own_view);
	test_free(&before);
	test_free(&after);
}

static void
test_d1_middle(void)
{
	/* A's CA between, an ID of B; and with B's root sent along. */
	struct test_ca leaf = test_leaf(&middle_a, TEST_URI, "spiffe://b.example/x");
	expect("D1 by a CA between", verify(view, TEST_CHAIN(leaf.cert, middle_a.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_CHAIN_UNTRUSTED);
	expect("D1 with both roots sent along",
	       verify(view, TEST_CHAIN(leaf.cert, middle_a.cert, root_a.cert, root_b.cert), PEER_CLIENT, TEST_NOW,
		      ID_A),
	       CERT_CHAIN_UNTRUSTED);
	test_free(&leaf);
	leaf = test_leaf(&root_b, TEST_URI, "spiffe://b.example/x");
	expect("B's own", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, "spiffe://b.example/x"),
	       CERT_NONE);
	test_free(&leaf);
	trust_view_set(view, NULL);
	leaf = test_leaf(&root_a, TEST_URI, ID_A);
	expect("D2 nothing is trusted", verify(view, TEST_CHAIN(leaf.cert), PEER_CLIENT, TEST_NOW, ID_A),
	       CERT_DOMAIN_UNKNOWN);
	trust_view_set(view, trust);
	test_free(&leaf);
}

static void
test_d10_expected(void)
{
	static const char *const IDS[] = {"spiffe://a.example/other", ID_A};
	static const char *const PREFIX[] = {"spiffe://a.example/ns/bank/sa/tell", "spiffe://a.example/", ID_A "er",
					     ""};
	struct spiffe_id id;

	CU_ASSERT_EQUAL(spiffe_id_parse(ID_A, strlen(ID_A), &id), CERT_NONE);
	CU_ASSERT_EQUAL(verify_expected_id(&id, &(struct verify_expected){.ids = IDS, .n_ids = 2}), CERT_NONE);
	CU_ASSERT_EQUAL(verify_expected_id(&id, &(struct verify_expected){.ids = IDS, .n_ids = 1}),
			CERT_SERVER_UNEXPECTED);
	CU_ASSERT_EQUAL(verify_expected_id(&id, &(struct verify_expected){.ids = PREFIX, .n_ids = 4}),
			CERT_SERVER_UNEXPECTED);
	CU_ASSERT_EQUAL(verify_expected_id(&id, &(struct verify_expected){0}), CERT_SERVER_NOTHING_EXPECTED);
	CU_ASSERT_EQUAL(verify_expected_id(&id, &(struct verify_expected){.domain = "a.example"}), CERT_NONE);
	CU_ASSERT_EQUAL(verify_expected_id(&id, &(struct verify_expected){.domain = "a.exampl"}),
			CERT_SERVER_UNEXPECTED);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"L1-L13, D1, D2, D6: leaves", test_leaves},
		{"I2: the longest ID", test_i2_longest},
		{"L14: keys", test_l14_keys},
		{"L14: a key that is too large", test_l14_large_key},
		{"L14: a curve spelled out", test_l14_explicit_curve},
		{"L14: signatures", test_l14_signatures},
		{"L15: chains", test_l15_chains},
		{"L15: large ones", test_l15_large},
		{"L16: authorities between", test_l16_authorities},
		{"L17: name constraints", test_l17_name_constraints},
		{"L18: lengths", test_l18_lengths},
		{"extensions twice", test_extensions_twice},
		{"D3: same name, other root", test_d3_same_name},
		{"R4: two roots of one name", test_two_roots_of_one_name},
		{"D1, D2: domains", test_d1_middle},
		{"D10: the server that was expected", test_d10_expected},
		CU_TEST_INFO_NULL,
	};

	root_a = test_root("root a");
	root_b = test_root("root b");
	middle_a = test_make(&(struct test_spec){.cn = "middle a", .issuer = &root_a, .constraints = TEST_CA});
	trust = trust_new(1);
	add_domain(trust, "b.example", &root_b.cert, 1);
	add_domain(trust, "a.example", &root_a.cert, 1);
	trust_seal(trust);
	view = trust_view_new(NULL);
	trust_view_set(view, trust);
	int failed = unit_run("verify_spiffe", TESTS);
	trust_view_free(view);
	trust_drop(trust);
	test_free(&root_a);
	test_free(&root_b);
	test_free(&middle_a);
	return failed;
}
