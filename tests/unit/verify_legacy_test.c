/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of legacy PKIs and their revocation: M2, M3, M7, M8, R5 of the identity matrix. */
#include "certs/verify.h"

#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

static struct test_ca corp, other, middle;

static void
expect(const char *code, enum cert_error error, enum cert_error expected)
{
	CU_ASSERT_EQUAL(error, expected);
	if (error != expected)
		printf("%s: %s, not %s\n", code, cert_error_text(error), cert_error_text(expected));
}

static struct trust_view *
view_of(const struct crl_list *crls, enum trust_revocation revocation)
{
	struct trust *trust = trust_new(1);
	struct trust_view *view = trust_view_new(NULL);
	struct bundle *a = test_bundle(&corp.cert, 1), *b = test_bundle(&other.cert, 1);

	TEST_NEED(trust_add_pki(trust, "corp", a, crls, revocation) == CERT_NONE);
	TEST_NEED(trust_add_pki(trust, "other", b, NULL, TRUST_REVOCATION_OFF) == CERT_NONE);
	TEST_NEED(trust_add_domain(trust, "other.example", 13, b) == CERT_NONE);
	trust_seal(trust);
	trust_view_set(view, trust);
	trust_drop(trust);
	bundle_drop(a);
	bundle_drop(b);
	return view;
}

static enum cert_error
verify(struct trust_view *view, const char *pki, STACK_OF(X509) *chain, int64_t now)
{
	struct peer_identity *identity;
	enum cert_error error = verify_legacy(view, pki, chain, now, &identity);

	CU_ASSERT_EQUAL(identity != NULL, error == CERT_NONE);
	peer_identity_drop(identity);
	sk_X509_free(chain);
	return error;
}

static const struct {
	const char *code;
	struct test_spec spec;
	const char *pki;
	enum cert_error expected;
} LEAVES[] = {
	{"good", {.sans = {{TEST_DNS, "billing.corp.example", 0}}}, "corp", CERT_NONE},
	{"M2 CN only", {.cn = "billing.corp.example"}, "corp", CERT_LEGACY_NO_DNS},
	{"M2 a name that is no host, CN besides",
	 {.cn = "billing.corp.example", .sans = {{TEST_DNS, "not a host", 0}}},
	 "corp",
	 CERT_LEGACY_NO_DNS},
	{"M3 the same name, another CA",
	 {.sans = {{TEST_DNS, "billing.corp.example", 0}}},
	 "other",
	 CERT_CHAIN_UNTRUSTED},
	{"M3 a PKI that isn't there", {.sans = {{TEST_DNS, "billing.corp.example", 0}}}, "third", CERT_PKI_UNKNOWN},
	{"M8 an address, no name", {.sans = {{TEST_IP, "\12\0\0\1", 4}}}, "corp", CERT_LEGACY_NO_DNS},
	{"M8 a name that looks like an address", {.sans = {{TEST_DNS, "10.0.0.1", 0}}}, "corp", CERT_LEGACY_NO_DNS},
	{"L4 CA",
	 {.sans = {{TEST_DNS, "a.corp.example", 0}}, .constraints = TEST_CA, .key_usage = "digitalSignature"},
	 "corp",
	 CERT_LEAF_CA},
	{"L10 serverAuth only",
	 {.sans = {{TEST_DNS, "a.corp.example", 0}}, .extended_usage = "serverAuth"},
	 "corp",
	 CERT_LEAF_EKU_CLIENT},
	{"L11 NUL in a DNS name", {.sans = {{TEST_DNS, "billing.corp.example\0.evil", 26}}}, "corp", CERT_SAN_NUL},
	{"L12 ID in a DNS name",
	 {.sans = {{TEST_DNS, "a.corp.example", 0}, {TEST_DNS, "spiffe://other.example/x", 0}}},
	 "corp",
	 CERT_SVID_ID_MISPLACED},
	{"L9 expired",
	 {.sans = {{TEST_DNS, "a.corp.example", 0}}, .from = -2 * TEST_HOUR, .until = -1},
	 "corp",
	 CERT_EXPIRED},
};

static void
test_leaves(void)
{
	struct trust_view *view = view_of(NULL, TRUST_REVOCATION_OFF);

	for (size_t i = 0; i < sizeof(LEAVES) / sizeof(LEAVES[0]); i++) {
		struct test_spec spec = LEAVES[i].spec;
		spec.issuer = &corp;
		struct test_ca leaf = test_make(&spec);
		expect(LEAVES[i].code, verify(view, LEAVES[i].pki, TEST_CHAIN(leaf.cert), TEST_NOW),
		       LEAVES[i].expected);
		test_free(&leaf);
	}
	trust_view_free(view);
}

/* What an identity says: names in lower case, wildcards among them, and no SPIFFE ID, though the certificate has one.
 */
static void
test_identity(void)
{
	struct trust_view *view = view_of(NULL, TRUST_REVOCATION_OFF);
	struct test_ca leaf = test_make(&(struct test_spec){.issuer = &corp,
							    .sans = {{TEST_DNS, "Billing.CORP.example", 0},
								     {TEST_DNS, "*.b.example", 0},
								     {TEST_DNS, "*.example", 0},
								     {TEST_DNS, "10.0.0.1", 0},
								     {TEST_IP, "\12\0\0\1", 4},
								     {TEST_URI, "spiffe://other.example/x", 0}}});
	STACK_OF(X509) *chain = TEST_CHAIN(leaf.cert);
	struct peer_identity *who;
	struct ip_addr addr;

	CU_ASSERT_EQUAL_FATAL(verify_legacy(view, "corp", chain, TEST_NOW, &who), CERT_NONE);
	CU_ASSERT_EQUAL(who->kind, PEER_LEGACY);
	CU_ASSERT_EQUAL(who->id.length, 0);
	CU_ASSERT_STRING_EQUAL(who->pki.bytes, "corp");
	CU_ASSERT_EQUAL_FATAL(who->n_dns, 2);
	CU_ASSERT_STRING_EQUAL(who->dns[0].bytes, "billing.corp.example");
	CU_ASSERT_STRING_EQUAL(who->dns[1].bytes, "*.b.example");
	CU_ASSERT_EQUAL_FATAL(who->n_ips, 1);
	CU_ASSERT(ip_addr_parse("10.0.0.1", &addr) && ip_addr_equal(&who->ips[0], &addr));
	CU_ASSERT_EQUAL(who->not_after, TEST_NOW + TEST_DAY);
	CU_ASSERT_EQUAL(who->leaf_not_after, TEST_NOW + TEST_DAY);
	CU_ASSERT_EQUAL(who->not_before, TEST_NOW - TEST_HOUR);
	uint8_t digest[32];
	CU_ASSERT_EQUAL(X509_digest(leaf.cert, EVP_sha256(), digest, NULL), 1);
	CU_ASSERT_EQUAL(memcmp(digest, who->leaf_sha256, 32), 0);
	peer_identity_drop(who);
	sk_X509_free(chain);
	test_free(&leaf);
	trust_view_free(view);
}

/* One list, made and parsed, added to those before. */
static void
list(struct crl_list **lists, const struct test_ca *ca, X509 *revoked, int64_t from, int64_t until, const EVP_MD *hash)
{
	size_t length;
	unsigned char *der = test_crl(ca, &revoked, revoked != NULL, from, until, hash, &length);
	struct crl_list *one, *both;

	CU_ASSERT_EQUAL_FATAL(crl_parse((char *)der, length, &one), CERT_NONE);
	OPENSSL_free(der);
	if (*lists == NULL) {
		*lists = one;
		return;
	}
	CU_ASSERT_EQUAL_FATAL(crl_join(*lists, one, &both), CERT_NONE);
	crl_drop(*lists);
	crl_drop(one);
	*lists = both;
}

static void
test_m7_revoked(void)
{
	struct test_ca good = test_leaf(&corp, TEST_DNS, "good.corp.example");
	struct test_ca bad = test_leaf(&corp, TEST_DNS, "bad.corp.example");
	struct test_ca below = test_leaf(&middle, TEST_DNS, "below.corp.example");
	static const struct {
		const char *code;
		bool corp_list, middle_list, revoke_bad, revoke_middle, signed_by_other;
		int64_t from, until;
		enum trust_revocation revocation;
		enum cert_error good, bad, below;
	} CASES[] = {
		{"no list, off", 0, 0, 0, 0, 0, 0, 0, TRUST_REVOCATION_OFF, CERT_NONE, CERT_NONE, CERT_NONE},
		{"R5 no list, open", 0, 0, 0, 0, 0, 0, 0, TRUST_REVOCATION_IF_LISTED, CERT_NONE, CERT_NONE, CERT_NONE},
		{"R5 no list, closed", 0, 0, 0, 0, 0, 0, 0, TRUST_REVOCATION_REQUIRED, CERT_CRL_MISSING,
		 CERT_CRL_MISSING, CERT_CRL_MISSING},
		{"M7 revoked", 1, 1, 1, 0, 0, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_REQUIRED, CERT_NONE, CERT_REVOKED,
		 CERT_NONE},
		{"M7 revoked, open", 1, 0, 1, 0, 0, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_IF_LISTED, CERT_NONE,
		 CERT_REVOKED, CERT_NONE},
		{"revoked, and nobody looks", 1, 0, 1, 0, 0, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_OFF, CERT_NONE,
		 CERT_NONE, CERT_NONE},
		{"M7 a CA revoked", 1, 1, 0, 1, 0, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_REQUIRED, CERT_NONE,
		 CERT_NONE, CERT_CA_REVOKED},
		{"R5 the list between is missing", 1, 0, 0, 0, 0, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_REQUIRED,
		 CERT_NONE, CERT_NONE, CERT_CRL_MISSING},
		{"R5 old list, closed", 1, 1, 1, 0, 0, -TEST_DAY, -1, TRUST_REVOCATION_REQUIRED, CERT_CRL_EXPIRED,
		 CERT_REVOKED, CERT_CRL_EXPIRED},
		{"R5 old list, open", 1, 1, 1, 0, 0, -TEST_DAY, -1, TRUST_REVOCATION_IF_LISTED, CERT_NONE, CERT_REVOKED,
		 CERT_NONE},
		{"a list of the future", 1, 1, 1, 0, 0, 1, TEST_DAY, TRUST_REVOCATION_REQUIRED, CERT_CRL_MISSING,
		 CERT_CRL_MISSING, CERT_CRL_MISSING},
		{"a list that says no end", 1, 1, 1, 0, 0, -TEST_DAY, INT64_MAX, TRUST_REVOCATION_REQUIRED, CERT_NONE,
		 CERT_REVOKED, CERT_NONE},
		{"signed by another of the same name", 1, 1, 1, 0, 1, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_REQUIRED,
		 CERT_CRL_SIGNATURE, CERT_CRL_SIGNATURE, CERT_CRL_SIGNATURE},
		{"the same, open", 1, 1, 1, 0, 1, -TEST_HOUR, TEST_DAY, TRUST_REVOCATION_IF_LISTED, CERT_NONE,
		 CERT_NONE, CERT_NONE},
	};
	struct test_ca twin = {corp.cert, other.key}, middle_twin = {middle.cert, other.key};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct crl_list *lists = NULL;
		if (CASES[i].corp_list)
			list(&lists, CASES[i].signed_by_other ? &twin : &corp,
			     CASES[i].revoke_bad      ? bad.cert
			     : CASES[i].revoke_middle ? middle.cert
						      : NULL,
			     CASES[i].from, CASES[i].until, EVP_sha256());
		if (CASES[i].middle_list)
			list(&lists, CASES[i].signed_by_other ? &middle_twin : &middle, NULL, CASES[i].from,
			     CASES[i].until, EVP_sha256());
		struct trust_view *view = view_of(lists, CASES[i].revocation);
		for (unsigned again = 0; again < 2; again++) {
			expect(CASES[i].code, verify(view, "corp", TEST_CHAIN(good.cert), TEST_NOW), CASES[i].good);
			expect(CASES[i].code, verify(view, "corp", TEST_CHAIN(bad.cert), TEST_NOW), CASES[i].bad);
			expect(CASES[i].code, verify(view, "corp", TEST_CHAIN(below.cert, middle.cert), TEST_NOW),
			       CASES[i].below);
		}
		trust_view_free(view);
		crl_drop(lists);
	}
	test_free(&good);
	test_free(&bad);
	test_free(&below);
}

/* Of two lists the newer counts, in either order; and one over SHA-1 doesn't. */
static void
test_lists_of_one_ca(void)
{
	struct test_ca bad = test_leaf(&corp, TEST_DNS, "bad.corp.example");

	for (unsigned order = 0; order < 2; order++) {
		struct crl_list *lists = NULL;
		for (unsigned n = 0; n < 2; n++)
			if (n == order)
				list(&lists, &corp, NULL, -TEST_DAY, TEST_DAY, EVP_sha256());
			else
				list(&lists, &corp, bad.cert, -TEST_HOUR, TEST_DAY, EVP_sha256());
		struct trust_view *view = view_of(lists, TRUST_REVOCATION_REQUIRED);
		expect("newest", verify(view, "corp", TEST_CHAIN(bad.cert), TEST_NOW), CERT_REVOKED);
		trust_view_free(view);
		crl_drop(lists);
	}

	struct crl_list *weak = NULL;
	list(&weak, &corp, NULL, -TEST_HOUR, TEST_DAY, EVP_sha1());
	struct trust_view *view = view_of(weak, TRUST_REVOCATION_REQUIRED);
	expect("a list over SHA-1", verify(view, "corp", TEST_CHAIN(bad.cert), TEST_NOW), CERT_CRL_SIGNATURE);
	trust_view_free(view);
	crl_drop(weak);
	test_free(&bad);
}

/* A new list comes: the live connection's peer doesn't pass any more. And a cached chain isn't good for longer than the
 * list that cleared it. */
static void
test_m7_live(void)
{
	struct test_ca leaf = test_leaf(&corp, TEST_DNS, "vm.corp.example");
	STACK_OF(X509) *chain = TEST_CHAIN(leaf.cert);
	struct crl_list *before = NULL, *after = NULL;
	struct peer_identity *who;

	list(&before, &corp, NULL, -TEST_HOUR, TEST_HOUR, EVP_sha256());
	list(&after, &corp, leaf.cert, 0, TEST_HOUR, EVP_sha256());
	struct trust_view *view = view_of(before, TRUST_REVOCATION_REQUIRED);
	CU_ASSERT_EQUAL_FATAL(verify_legacy(view, "corp", chain, TEST_NOW, &who), CERT_NONE);
	CU_ASSERT_EQUAL(verify_again(view, who, TEST_NOW), CERT_NONE);
	expect("cached", verify(view, "corp", TEST_CHAIN(leaf.cert), TEST_NOW + TEST_HOUR), CERT_NONE);
	expect("the list is old", verify(view, "corp", TEST_CHAIN(leaf.cert), TEST_NOW + TEST_HOUR + 1),
	       CERT_CRL_EXPIRED);
	trust_view_free(view);
	view = view_of(after, TRUST_REVOCATION_REQUIRED);
	CU_ASSERT_EQUAL(verify_again(view, who, TEST_NOW), CERT_REVOKED);
	trust_view_set(view, NULL);
	CU_ASSERT_EQUAL(verify_again(view, who, TEST_NOW), CERT_PKI_UNKNOWN);
	trust_view_free(view);
	crl_drop(before);
	crl_drop(after);
	peer_identity_drop(who);
	sk_X509_free(chain);
	test_free(&leaf);
}

static void
test_list_files(void)
{
	size_t length;
	unsigned char *der = test_crl(&corp, NULL, 0, -TEST_HOUR, TEST_DAY, EVP_sha256(), &length);
	const unsigned char *at = der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)length);
	BIO *bio = BIO_new(BIO_s_mem());
	struct crl_list *lists;
	char *pem;

	PEM_write_bio_X509_CRL(bio, crl);
	PEM_write_bio_X509_CRL(bio, crl);
	PEM_write_bio_X509(bio, corp.cert);
	long pem_length = BIO_get_mem_data(bio, &pem);
	CU_ASSERT_EQUAL_FATAL(crl_parse(pem, (size_t)pem_length, &lists), CERT_NONE);
	CU_ASSERT_EQUAL(lists->n, 2);
	CU_ASSERT_EQUAL(lists->crls[1].length, length);
	CU_ASSERT_EQUAL(memcmp(lists->crls[1].der, der, length), 0);
	crl_drop(lists);
	CU_ASSERT_EQUAL(crl_parse(pem, (size_t)pem_length - 60, &lists), CERT_PEM_MALFORMED);
	CU_ASSERT_PTR_NULL(lists);
	CU_ASSERT_EQUAL(crl_parse((char *)der, length - 1, &lists), CERT_PEM_MALFORMED);
	CU_ASSERT_EQUAL(crl_parse("", 0, &lists), CERT_PEM_MALFORMED);
	CU_ASSERT_EQUAL(crl_parse("\x30\x00", 2, &lists), CERT_CRL_MALFORMED);
	CU_ASSERT_EQUAL(crl_parse("", (size_t)CRL_BYTES_MAX + 1, &lists), CERT_CRL_LARGE);

	/* Lists that don't tell everything. */
	for (unsigned i = 0; i < 2; i++) {
		X509_CRL *partial = X509_CRL_dup(crl);
		unsigned char *bytes = NULL;
		if (i == 0) {
			ASN1_INTEGER *base = ASN1_INTEGER_new();
			ASN1_INTEGER_set(base, 1);
			X509_CRL_add1_ext_i2d(partial, NID_delta_crl, base, 1, 0);
			ASN1_INTEGER_free(base);
		} else {
			ISSUING_DIST_POINT *point = ISSUING_DIST_POINT_new();
			point->onlyuser = 0xff;
			X509_CRL_add1_ext_i2d(partial, NID_issuing_distribution_point, point, 1, 0);
			ISSUING_DIST_POINT_free(point);
		}
		X509_CRL_sign(partial, corp.key, EVP_sha256());
		int size = i2d_X509_CRL(partial, &bytes);
		CU_ASSERT_EQUAL(crl_parse((char *)bytes, (size_t)size, &lists), CERT_CRL_MALFORMED);
		OPENSSL_free(bytes);
		X509_CRL_free(partial);
	}
	BIO_free(bio);
	X509_CRL_free(crl);
	OPENSSL_free(der);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"M2, M3, M8: leaves", test_leaves},
		{"M8: what an identity says", test_identity},
		{"M7, R5: revocation lists", test_m7_revoked},
		{"lists of one CA", test_lists_of_one_ca},
		{"M7: a live connection", test_m7_live},
		{"files of lists", test_list_files},
		CU_TEST_INFO_NULL,
	};

	corp = test_root("corp");
	other = test_root("other");
	middle = test_make(&(struct test_spec){.cn = "middle", .issuer = &corp, .constraints = TEST_CA});
	int failed = unit_run("verify_legacy", TESTS);
	test_free(&corp);
	test_free(&other);
	test_free(&middle);
	return failed;
}
