/* SPDX-License-Identifier: Apache-2.0 */
/* Servers by host name, for TLS that Postern originates: names (M1, M2, M8 on this leg), OCSP staples, D10. */
#include "certs/verify.h"

#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct test_ca corp, other;
static struct trust_view *view;

static void
expect(const char *code, enum cert_error error, enum cert_error expected)
{
	CU_ASSERT_EQUAL(error, expected);
	if (error != expected)
		printf("%s: %s, not %s\n", code, cert_error_text(error), cert_error_text(expected));
}

static enum cert_error
verify(const struct verify_server *server, X509 *leaf, int64_t now)
{
	STACK_OF(X509) *chain = TEST_CHAIN(leaf);
	struct peer_identity *identity;
	enum cert_error error = verify_server(view, server, chain, now, &identity);

	CU_ASSERT_EQUAL(identity != NULL, error == CERT_NONE);
	if (identity != NULL) {
		CU_ASSERT_EQUAL(identity->role, PEER_SERVER);
		CU_ASSERT_EQUAL(verify_again(view, identity, now), CERT_NONE);
	}
	peer_identity_drop(identity);
	sk_X509_free(chain);
	return error;
}

static const struct {
	const char *code;
	struct test_san san;
	const char *expected_name;
	enum cert_error expected;
} NAMES[] = {
	{"exact", {TEST_DNS, "db.corp.example", 0}, "db.corp.example", CERT_NONE},
	{"upper case in the certificate", {TEST_DNS, "DB.Corp.Example", 0}, "db.corp.example", CERT_NONE},
	{"another", {TEST_DNS, "db.corp.example", 0}, "web.corp.example", CERT_SERVER_NAME},
	{"M1 wildcard", {TEST_DNS, "*.corp.example", 0}, "db.corp.example", CERT_NONE},
	{"M1 wildcard, two labels", {TEST_DNS, "*.corp.example", 0}, "a.db.corp.example", CERT_SERVER_NAME},
	{"M1 wildcard, no label", {TEST_DNS, "*.corp.example", 0}, "corp.example", CERT_SERVER_NAME},
	{"M1 *.example", {TEST_DNS, "*.example", 0}, "corp.example", CERT_SERVER_NAME},
	{"M1 part of a label", {TEST_DNS, "d*.corp.example", 0}, "db.corp.example", CERT_SERVER_NAME},
	{"M1 inner label", {TEST_DNS, "db.*.example", 0}, "db.corp.example", CERT_SERVER_NAME},
	{"M8 address", {TEST_IP, "\300\0\2\1", 4}, "192.0.2.1", CERT_NONE},
	{"M8 IPv6 address", {TEST_IP, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16}, "2001:db8::1", CERT_NONE},
	{"M8 another address", {TEST_IP, "\300\0\2\2", 4}, "192.0.2.1", CERT_SERVER_NAME},
	{"M8 address as a DNS name", {TEST_DNS, "192.0.2.1", 0}, "192.0.2.1", CERT_SERVER_NAME},
	{"M8 IPv4 spelled as IPv6",
	 {TEST_IP, "\0\0\0\0\0\0\0\0\0\0\xff\xff\300\0\2\1", 16},
	 "192.0.2.1",
	 CERT_SERVER_NAME},
	{"a URI", {TEST_URI, "spiffe://a.example/db", 0}, "spiffe://a.example/db", CERT_NONE},
	{"another URI", {TEST_URI, "spiffe://a.example/dbs", 0}, "spiffe://a.example/db", CERT_SERVER_NAME},
	{"NUL", {TEST_DNS, "db.corp.example\0.evil", 21}, "db.corp.example", CERT_SAN_NUL},
};

static void
test_names(void)
{
	for (size_t i = 0; i < N_OF(NAMES); i++) {
		struct test_ca leaf = test_make(&(struct test_spec){.issuer = &corp, .sans = {NAMES[i].san}});
		const char *names[] = {"never.example", NAMES[i].expected_name};
		struct verify_server server = {.pki = "corp", .names = names, .n_names = 2};
		/* The second time from the cache. */
		for (unsigned again = 0; again < 2; again++)
			expect(NAMES[i].code, verify(&server, leaf.cert, TEST_NOW), NAMES[i].expected);
		server.n_names = 1;
		CU_ASSERT_NOT_EQUAL(verify(&server, leaf.cert, TEST_NOW), CERT_NONE);
		test_free(&leaf);
	}
}

static void
test_others(void)
{
	static const char *const NAMES_OF_DB[] = {"db.corp.example"};
	struct verify_server server = {.pki = "corp", .names = NAMES_OF_DB, .n_names = 1};
	struct test_ca leaf = test_make(&(struct test_spec){.issuer = &corp, .cn = "db.corp.example"});

	expect("M2 a common name", verify(&server, leaf.cert, TEST_NOW), CERT_SERVER_NAME);
	test_free(&leaf);
	leaf = test_make(&(struct test_spec){
		.issuer = &corp, .sans = {{TEST_DNS, "db.corp.example", 0}}, .extended_usage = "clientAuth"});
	expect("a client's certificate", verify(&server, leaf.cert, TEST_NOW), CERT_LEAF_EKU_SERVER);
	test_free(&leaf);
	leaf = test_leaf(&other, TEST_DNS, "db.corp.example");
	expect("M3 another CA", verify(&server, leaf.cert, TEST_NOW), CERT_CHAIN_UNTRUSTED);
	test_free(&leaf);
	leaf = test_leaf(&corp, TEST_DNS, "db.corp.example");
	server.pki = "third";
	expect("no such PKI", verify(&server, leaf.cert, TEST_NOW), CERT_PKI_UNKNOWN);
	server.pki = "corp";
	server.n_names = 0;
	expect("D10 nothing expected", verify(&server, leaf.cert, TEST_NOW), CERT_SERVER_NOTHING_EXPECTED);
	test_free(&leaf);
}

/* --- OCSP --- */

static const char *const DB[] = {"db.corp.example"};

static enum cert_error
stapled(X509 *leaf, const unsigned char *staple, size_t length, int64_t now)
{
	struct verify_server server = {
		.pki = "corp", .names = DB, .n_names = 1, .staple = staple, .staple_length = length};

	return verify(&server, leaf, now);
}

static void
test_staples(void)
{
	static const struct {
		const char *code;
		int status;
		int64_t from, until;
		enum cert_error expected;
	} CASES[] = {
		{"good", V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR, TEST_HOUR, CERT_NONE},
		{"good without an end", V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR, INT64_MAX, CERT_NONE},
		{"old without an end", V_OCSP_CERTSTATUS_GOOD, -2 * TEST_DAY, INT64_MAX, CERT_OCSP_EXPIRED},
		{"old", V_OCSP_CERTSTATUS_GOOD, -TEST_DAY, -1, CERT_OCSP_EXPIRED},
		{"of a clock a little ahead", V_OCSP_CERTSTATUS_GOOD, 60, TEST_HOUR, CERT_NONE},
		{"of the future", V_OCSP_CERTSTATUS_GOOD, TEST_HOUR, TEST_DAY, CERT_OCSP_EXPIRED},
		{"M7 revoked", V_OCSP_CERTSTATUS_REVOKED, -TEST_HOUR, TEST_HOUR, CERT_REVOKED},
		{"M7 revoked, old", V_OCSP_CERTSTATUS_REVOKED, -TEST_DAY, -1, CERT_REVOKED},
		{"unknown", V_OCSP_CERTSTATUS_UNKNOWN, -TEST_HOUR, TEST_HOUR, CERT_OCSP_UNKNOWN},
	};
	struct test_ca leaf = test_leaf(&corp, TEST_DNS, DB[0]);
	size_t length;

	for (size_t i = 0; i < N_OF(CASES); i++) {
		unsigned char *staple =
			test_staple(leaf.cert, &corp, &corp, CASES[i].status, CASES[i].from, CASES[i].until, &length);
		for (unsigned again = 0; again < 2; again++)
			expect(CASES[i].code, stapled(leaf.cert, staple, length, TEST_NOW), CASES[i].expected);
		OPENSSL_free(staple);
	}

	/* A staple that was good for an hour isn't for longer, though the chain is. */
	unsigned char *staple =
		test_staple(leaf.cert, &corp, &corp, V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR, TEST_HOUR, &length);
	expect("good", stapled(leaf.cert, staple, length, TEST_NOW), CERT_NONE);
	expect("no more", stapled(leaf.cert, staple, length, TEST_NOW + TEST_HOUR + 1), CERT_OCSP_EXPIRED);
	expect("cut off", stapled(leaf.cert, staple, length - 1, TEST_NOW), CERT_OCSP_MALFORMED);
	expect("empty", stapled(leaf.cert, staple, 0, TEST_NOW), CERT_OCSP_MALFORMED);
	staple[length - 1] ^= 1;
	expect("a bit turned", stapled(leaf.cert, staple, length, TEST_NOW), CERT_OCSP_SIGNATURE);
	OPENSSL_free(staple);

	/* About another certificate. */
	struct test_ca neighbour = test_leaf(&corp, TEST_DNS, DB[0]);
	staple = test_staple(neighbour.cert, &corp, &corp, V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR, TEST_HOUR, &length);
	expect("another's staple", stapled(leaf.cert, staple, length, TEST_NOW), CERT_OCSP_MALFORMED);
	OPENSSL_free(staple);
	test_free(&neighbour);

	/* A responder that says of itself that it is out of order. */
	OCSP_RESPONSE *later = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
	staple = NULL;
	int size = i2d_OCSP_RESPONSE(later, &staple);
	expect("try later", stapled(leaf.cert, staple, (size_t)size, TEST_NOW), CERT_OCSP_MALFORMED);
	OPENSSL_free(staple);
	OCSP_RESPONSE_free(later);
	test_free(&leaf);
}

static void
test_responders(void)
{
	static const struct {
		const char *code;
		struct test_spec spec;
		bool by_other, sha1;
		enum cert_error expected;
	} CASES[] = {
		{"charged", {.cn = "ocsp", .extended_usage = "OCSPSigning"}, false, false, CERT_NONE},
		{"not charged", {.cn = "ocsp"}, false, false, CERT_OCSP_SIGNATURE},
		{"any usage", {.cn = "ocsp", .extended_usage = ""}, false, false, CERT_OCSP_SIGNATURE},
		{"charged by another CA",
		 {.cn = "ocsp", .extended_usage = "OCSPSigning"},
		 true,
		 false,
		 CERT_OCSP_SIGNATURE},
		{"charged until yesterday",
		 {.cn = "ocsp", .extended_usage = "OCSPSigning", .from = -2 * TEST_DAY, .until = -TEST_DAY},
		 false,
		 false,
		 CERT_OCSP_SIGNATURE},
		{"charged over SHA-1",
		 {.cn = "ocsp", .extended_usage = "OCSPSigning"},
		 false,
		 true,
		 CERT_OCSP_SIGNATURE},
	};
	struct test_ca leaf = test_leaf(&corp, TEST_DNS, DB[0]);
	size_t length;

	for (size_t i = 0; i < N_OF(CASES); i++) {
		struct test_spec spec = CASES[i].spec;
		spec.issuer = CASES[i].by_other ? &other : &corp;
		spec.hash = CASES[i].sha1 ? EVP_sha1() : NULL;
		struct test_ca responder = test_make(&spec);
		unsigned char *staple = test_staple(leaf.cert, &corp, &responder, V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR,
						    TEST_HOUR, &length);
		expect(CASES[i].code, stapled(leaf.cert, staple, length, TEST_NOW), CASES[i].expected);
		OPENSSL_free(staple);
		test_free(&responder);
	}
	/* Another CA's own word about our certificate. */
	unsigned char *staple =
		test_staple(leaf.cert, &corp, &other, V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR, TEST_HOUR, &length);
	expect("another CA's", stapled(leaf.cert, staple, length, TEST_NOW), CERT_OCSP_SIGNATURE);
	OPENSSL_free(staple);
	test_free(&leaf);
}

/* A certificate that demands a staple: without one it isn't good, also when the same chain is cached for a live
 * connection. */
static void
test_must_staple(void)
{
	struct test_ca leaf = test_make(
		&(struct test_spec){.issuer = &corp, .sans = {{TEST_DNS, DB[0], 0}}, .must_staple = "status_request"});
	size_t length;
	unsigned char *staple =
		test_staple(leaf.cert, &corp, &corp, V_OCSP_CERTSTATUS_GOOD, -TEST_HOUR, TEST_HOUR, &length);

	expect("none", stapled(leaf.cert, NULL, 0, TEST_NOW), CERT_OCSP_MISSING);
	expect("there", stapled(leaf.cert, staple, length, TEST_NOW), CERT_NONE); /* verify_again passes in there */
	expect("none, again", stapled(leaf.cert, NULL, 0, TEST_NOW), CERT_OCSP_MISSING);
	OPENSSL_free(staple);
	test_free(&leaf);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"M1, M8: names", test_names},
		{"M2, M3, D10: others", test_others},
		{"M7: staples", test_staples},
		{"who may sign a staple", test_responders},
		{"a staple that is demanded", test_must_staple},
		CU_TEST_INFO_NULL,
	};

	corp = test_root("corp");
	other = test_root("other");
	struct trust *trust = trust_new(1);
	struct bundle *bundle = test_bundle(&corp.cert, 1);
	TEST_NEED(trust_add_pki(trust, "corp", bundle, NULL, TRUST_REVOCATION_OFF) == CERT_NONE);
	bundle_drop(bundle);
	trust_seal(trust);
	view = trust_view_new(NULL);
	trust_view_set(view, trust);
	trust_drop(trust);
	int failed = unit_run("verify_server", TESTS);
	trust_view_free(view);
	test_free(&corp);
	test_free(&other);
	return failed;
}
