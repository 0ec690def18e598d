/* SPDX-License-Identifier: Apache-2.0 */
/* Trust bundles from JWKS, PEM and DER: B1-B4, B6, B8-B12, B14 of the identity matrix. */
#include "certs/bundle.h"

#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

static struct test_ca root, other, leaf;
static char *root64, *other64, *leaf64;

/* A document in which @R, @O and @L stand for the certificates in base64. */
static struct text
expand(const char *template)
{
	struct text text = {0};

	for (; *template != '\0'; template ++) {
		if (template[0] != '@') {
			text_add(&text, template, 1);
			continue;
		}
		template ++;
		text_print(&text, "%s", *template == 'R' ? root64 : *template == 'O' ? other64 : leaf64);
	}
	return text;
}

#define KEY "{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@R\"]}"
#define KEY_O "{\"use\":\"x509-svid\",\"kty\":\"RSA\",\"x5c\":[\"@O\"]}"

static const struct {
	const char *code, *document;
	enum cert_error expected;
	unsigned authorities, passed_over, not_ca;
} DOCUMENTS[] = {
	{"one key", "{\"keys\":[" KEY "]}", CERT_NONE, 1, 0, 0},
	{"two keys", "{\"keys\":[" KEY "," KEY_O "]}", CERT_NONE, 2, 0, 0},
	{"one key twice", "{\"keys\":[" KEY "," KEY "]}", CERT_NONE, 1, 0, 0},
	{"parameters besides",
	 "{\"x\":{\"y\":[1.5e3,null]},\"keys\":[{\"kid\":\"1\",\"crv\":\"P-256\",\"use\":\"x509-svid\",\"kty\":\"EC\","
	 "\"x5c\":["
	 "\"@R\"]}]}",
	 CERT_NONE, 1, 0, 0},
	{"B1 jwt-svid alongside",
	 "{\"keys\":[{\"use\":\"jwt-svid\",\"kty\":\"EC\",\"kid\":\"a\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}"
	 "," KEY "]}",
	 CERT_NONE, 1, 1, 0},
	{"B2 unknown use", "{\"keys\":[{\"use\":\"sig\",\"kty\":\"EC\",\"x5c\":[\"@O\"]}," KEY "]}", CERT_NONE, 1, 1,
	 0},
	{"B2 use in another case", "{\"keys\":[{\"use\":\"X509-SVID\",\"kty\":\"EC\",\"x5c\":[\"@O\"]}," KEY "]}",
	 CERT_NONE, 1, 1, 0},
	{"B2 use missing", "{\"keys\":[{\"kty\":\"EC\",\"x5c\":[\"@O\"]}," KEY "]}", CERT_NONE, 1, 1, 0},
	{"B2 use no text", "{\"keys\":[{\"use\":1,\"kty\":\"EC\",\"x5c\":[\"@O\"]}," KEY "]}", CERT_NONE, 1, 1, 0},
	{"B2 unknown kty", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"LWE\",\"x5c\":[\"@O\"]}," KEY "]}", CERT_NONE,
	 1, 1, 0},
	{"B2 kty missing", "{\"keys\":[{\"use\":\"x509-svid\",\"x5c\":[\"@O\"]}," KEY "]}", CERT_NONE, 1, 1, 0},
	{"B3 no x5c", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\"}," KEY "]}", CERT_NONE, 1, 1, 0},
	{"B3 empty x5c", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[]}," KEY "]}", CERT_NONE, 1, 1, 0},
	{"B3 x5c no array", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":\"@R\"}]}", CERT_BUNDLE_KEY_SHAPE,
	 0, 0, 0},
	{"B3 x5c of numbers", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[7]}]}", CERT_BUNDLE_KEY_SHAPE,
	 0, 0, 0},
	{"B3 x5c no base64", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@R=\"]}]}",
	 CERT_BUNDLE_BASE64, 0, 0, 0},
	{"B3 x5c in base64url", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"-_-_\"]}]}",
	 CERT_BUNDLE_BASE64, 0, 0, 0},
	{"B3 x5c with line ends", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"AAA\\n\"]}]}",
	 CERT_BUNDLE_BASE64, 0, 0, 0},
	{"B3 x5c no certificate", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"MAA=\"]}]}",
	 CERT_CERT_MALFORMED, 0, 0, 0},
	{"B3 x5c DER that lies", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"MIT/////\"]}]}",
	 CERT_DER_LENGTH, 0, 0, 0},
	{"B4 two x5c", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@R\",\"@O\"]}]}", CERT_NONE, 1, 0,
	 0},
	{"B4 second x5c rubbish", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@R\",\"!\"]}]}",
	 CERT_NONE, 1, 0, 0},
	{"B5 no keys in it", "{\"keys\":[]}", CERT_NONE, 0, 0, 0},
	{"B6 missing keys", "{\"spiffe_sequence\":1}", CERT_BUNDLE_NO_KEYS, 0, 0, 0},
	{"B6 keys null", "{\"keys\":null}", CERT_BUNDLE_NO_KEYS, 0, 0, 0},
	{"B6 keys an object", "{\"keys\":{}}", CERT_BUNDLE_NO_KEYS, 0, 0, 0},
	{"B6 a key no object", "{\"keys\":[\"@R\"]}", CERT_BUNDLE_KEY_SHAPE, 0, 0, 0},
	{"B8 keys twice", "{\"keys\":[],\"keys\":[" KEY "]}", CERT_BUNDLE_DUPLICATE, 0, 0, 0},
	{"B8 sequence twice", "{\"keys\":[],\"spiffe_sequence\":1,\"spiffe_sequence\":2}", CERT_BUNDLE_DUPLICATE, 0, 0,
	 0},
	{"B8 use twice", "{\"keys\":[{\"use\":\"jwt-svid\",\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@R\"]}]}",
	 CERT_BUNDLE_DUPLICATE, 0, 0, 0},
	{"B8 once by escapes", "{\"keys\":[],\"spiffe_\\u0073equence\":1,\"spiffe_sequence\":2}", CERT_BUNDLE_DUPLICATE,
	 0, 0, 0},
	{"B8 sequence hidden by escapes", "{\"keys\":[],\"spiffe_\\u0073equence\":1}", CERT_BUNDLE_SEQUENCE, 0, 0, 0},
	{"B12 nested too deep", "{\"keys\":[],\"x\":[[[[[[[[[]]]]]]]]]}", CERT_BUNDLE_DEPTH, 0, 0, 0},
	{"B12 brackets in a text nest nothing", "{\"keys\":[],\"x\":\"[[[[[[[[[[[\\\"[[[[\"}", CERT_NONE, 0, 0, 0},
	{"B14 a leaf as CA", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@L\"]}," KEY "]}", CERT_NONE,
	 1, 0, 1},
	{"B14 nothing but a leaf", "{\"keys\":[{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"@L\"]}]}", CERT_NONE, 0,
	 0, 1},
	{"no JSON", "keys", CERT_BUNDLE_SYNTAX, 0, 0, 0},
	{"an array", "[]", CERT_BUNDLE_SYNTAX, 0, 0, 0},
	{"nothing", "", CERT_BUNDLE_SYNTAX, 0, 0, 0},
	{"cut off", "{\"keys\":[" KEY, CERT_BUNDLE_SYNTAX, 0, 0, 0},
	{"two documents", "{\"keys\":[]}{\"keys\":[]}", CERT_BUNDLE_SYNTAX, 0, 0, 0},
	{"a text cut off behind a backslash", "{\"\\", CERT_BUNDLE_SYNTAX, 0, 0, 0},
};

static void
test_documents(void)
{
	for (size_t i = 0; i < sizeof(DOCUMENTS) / sizeof(DOCUMENTS[0]); i++) {
		struct text text = expand(DOCUMENTS[i].document);
		struct bundle *bundle;
		enum cert_error error = bundle_parse_jwks(text.bytes != NULL ? text.bytes : "", text.length, &bundle);
		CU_ASSERT_EQUAL(error, DOCUMENTS[i].expected);
		if (error != DOCUMENTS[i].expected)
			printf("%s: %s\n", DOCUMENTS[i].code, cert_error_text(error));
		CU_ASSERT_EQUAL(bundle != NULL, error == CERT_NONE);
		if (bundle != NULL) {
			CU_ASSERT_EQUAL(bundle->n_authorities, DOCUMENTS[i].authorities);
			CU_ASSERT_EQUAL(bundle->n_passed_over, DOCUMENTS[i].passed_over);
			CU_ASSERT_EQUAL(bundle->n_not_ca, DOCUMENTS[i].not_ca);
			CU_ASSERT_FALSE(bundle->has_sequence);
			CU_ASSERT_EQUAL(bundle->refresh_s, BUNDLE_REFRESH_DEFAULT);
		}
		bundle_drop(bundle);
		text_free(&text);
	}
}

static const struct {
	const char *code, *number;
	enum cert_error expected;
	uint64_t sequence;
} SEQUENCES[] = {
	{"zero", "0", CERT_NONE, 0},
	{"B10 2^53 + 1, no real number", "9007199254740993", CERT_NONE, 9007199254740993u},
	{"B10 2^63 - 1", "9223372036854775807", CERT_NONE, 9223372036854775807u},
	{"B10 2^63", "9223372036854775808", CERT_NONE, 9223372036854775808u},
	{"B10 2^64 - 1", "18446744073709551615", CERT_NONE, UINT64_MAX},
	{"B10 2^64", "18446744073709551616", CERT_BUNDLE_SEQUENCE, 0},
	{"B10 a hundred digits",
	 "1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
	 CERT_BUNDLE_SEQUENCE, 0},
	{"negative", "-1", CERT_BUNDLE_SEQUENCE, 0},
	{"a fraction", "1.5", CERT_BUNDLE_SEQUENCE, 0},
	{"an exponent", "1e3", CERT_BUNDLE_SEQUENCE, 0},
	{"a text", "\"7\"", CERT_BUNDLE_SEQUENCE, 0},
	{"null", "null", CERT_BUNDLE_SEQUENCE, 0},
	{"an array", "[7]", CERT_BUNDLE_SEQUENCE, 0},
	{"spaces", " \n\t7 ", CERT_NONE, 7},
};

static void
test_b10_sequences(void)
{
	for (size_t i = 0; i < sizeof(SEQUENCES) / sizeof(SEQUENCES[0]); i++)
		for (unsigned last = 0; last < 2; last++) {
			struct text text = {0};
			struct bundle *bundle;
			text_print(&text,
				   last ? "{\"keys\":[],\"spiffe_sequence\":%s}"
					: "{\"spiffe_sequence\":%s,\"keys\":[]}",
				   SEQUENCES[i].number);
			enum cert_error error = bundle_parse_jwks(text.bytes, text.length, &bundle);
			CU_ASSERT_EQUAL(error, SEQUENCES[i].expected);
			if (error != SEQUENCES[i].expected)
				printf("%s: %s\n", SEQUENCES[i].code, cert_error_text(error));
			CU_ASSERT_EQUAL(bundle != NULL, error == CERT_NONE);
			if (bundle != NULL) {
				CU_ASSERT(bundle->has_sequence);
				CU_ASSERT_EQUAL(bundle->sequence, SEQUENCES[i].sequence);
			}
			bundle_drop(bundle);
			text_free(&text);
		}
}

static const struct {
	const char *number;
	enum cert_error expected;
	uint32_t refresh_s;
} HINTS[] = {
	{"600", CERT_NONE, 600},
	{"0", CERT_NONE, BUNDLE_REFRESH_MIN},
	{"1", CERT_NONE, BUNDLE_REFRESH_MIN},
	{"-600", CERT_NONE, BUNDLE_REFRESH_MIN},
	{"-99999999999999999999999", CERT_NONE, BUNDLE_REFRESH_MIN},
	{"86401", CERT_NONE, BUNDLE_REFRESH_MAX},
	{"4294967896", CERT_NONE, BUNDLE_REFRESH_MAX},           /* 600 modulo 2^32 */
	{"18446744073709552216", CERT_NONE, BUNDLE_REFRESH_MAX}, /* 600 modulo 2^64 */
	{"99999999999999999999999", CERT_NONE, BUNDLE_REFRESH_MAX},
	{"0.5", CERT_BUNDLE_REFRESH_HINT, 0},
	{"\"600\"", CERT_BUNDLE_REFRESH_HINT, 0},
	{"-", CERT_BUNDLE_SYNTAX, 0},
};

static void
test_b11_refresh_hints(void)
{
	for (size_t i = 0; i < sizeof(HINTS) / sizeof(HINTS[0]); i++) {
		struct text text = {0};
		struct bundle *bundle;
		text_print(&text, "{\"keys\":[],\"spiffe_refresh_hint\":%s}", HINTS[i].number);
		CU_ASSERT_EQUAL(bundle_parse_jwks(text.bytes, text.length, &bundle), HINTS[i].expected);
		if (bundle != NULL)
			CU_ASSERT_EQUAL(bundle->refresh_s, HINTS[i].refresh_s);
		bundle_drop(bundle);
		text_free(&text);
	}
}

/* A number of that name elsewhere than in the outermost object is somebody else's. */
static void
test_numbers_elsewhere(void)
{
	static const char DOCUMENT[] =
		"{\"x\":{\"spiffe_sequence\":5},\"y\":\"spiffe_sequence\",\"keys\":[{\"spiffe_sequence\":6}]}";
	struct bundle *bundle;

	CU_ASSERT_EQUAL(bundle_parse_jwks(DOCUMENT, sizeof(DOCUMENT) - 1, &bundle), CERT_NONE);
	CU_ASSERT_FALSE(bundle->has_sequence);
	bundle_drop(bundle);
}

static struct bundle *
numbered(const char *sequence)
{
	struct text text = {0};
	struct bundle *bundle;

	text_print(&text, sequence != NULL ? "{\"keys\":[],\"spiffe_sequence\":%s}" : "{\"keys\":[]}", sequence);
	CU_ASSERT_EQUAL_FATAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_NONE);
	text_free(&text);
	return bundle;
}

static void
test_b9_rollback(void)
{
	static const struct {
		const char *current, *next;
		enum cert_error expected;
	} CASES[] = {
		{"7", "8", CERT_NONE},
		{"7", "7", CERT_NONE},
		{"7", "6", CERT_BUNDLE_ROLLBACK},
		{"9223372036854775808", "9223372036854775807", CERT_BUNDLE_ROLLBACK},
		{"9223372036854775807", "9223372036854775808", CERT_NONE},
		{"7", NULL, CERT_BUNDLE_ROLLBACK}, /* who leaves the number out rolls back unseen */
		{NULL, "0", CERT_NONE},
		{NULL, NULL, CERT_NONE},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct bundle *current = numbered(CASES[i].current), *next = numbered(CASES[i].next);
		CU_ASSERT_EQUAL(bundle_may_follow(current, next), CASES[i].expected);
		CU_ASSERT_EQUAL(bundle_may_follow(NULL, next), CERT_NONE);
		bundle_drop(current);
		bundle_drop(next);
	}
}

static void
test_b12_bounds(void)
{
	struct text text = {0};
	struct bundle *bundle;

	/* size: refused unseen */
	char *large = calloc(1, BUNDLE_BYTES_MAX + 1);
	memset(large, ' ', BUNDLE_BYTES_MAX + 1);
	memcpy(large, "{\"keys\":[]}", 11);
	CU_ASSERT_EQUAL(bundle_parse_jwks(large, BUNDLE_BYTES_MAX, &bundle), CERT_NONE);
	bundle_drop(bundle);
	CU_ASSERT_EQUAL(bundle_parse_jwks(large, BUNDLE_BYTES_MAX + 1, &bundle), CERT_BUNDLE_LARGE);
	CU_ASSERT_EQUAL(bundle_parse_pem(large, BUNDLE_BYTES_MAX + 1, &bundle), CERT_BUNDLE_LARGE);
	CU_ASSERT_EQUAL(bundle_parse_der((uint8_t *)large, BUNDLE_BYTES_MAX + 1, &bundle), CERT_BUNDLE_LARGE);
	free(large);

	/* keys */
	text_print(&text, "{\"keys\":[");
	for (unsigned i = 0; i < BUNDLE_KEYS_MAX; i++)
		text_print(&text, "%s{}", i > 0 ? "," : "");
	text_print(&text, "]}");
	CU_ASSERT_EQUAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_passed_over, BUNDLE_KEYS_MAX);
	bundle_drop(bundle);
	text.length -= 2;
	text_print(&text, ",{}]}");
	CU_ASSERT_EQUAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_BUNDLE_MANY_KEYS);
	text_free(&text);

	/* values of any kind, refused before memory is spent on them */
	text_print(&text, "{\"keys\":[],\"x\":[0");
	for (unsigned i = 0; i < 20000; i++)
		text_print(&text, ",0");
	text_print(&text, "]}");
	CU_ASSERT_EQUAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_BUNDLE_MANY_KEYS);
	text_free(&text);

	/* authorities */
	struct text keys = {0};
	for (unsigned i = 0; i <= BUNDLE_AUTHORITIES_MAX; i++) {
		struct test_ca ca = test_make(&(struct test_spec){.key = root.key, .constraints = TEST_CA});
		test_jwk(&keys, ca.cert);
		test_free(&ca);
		if (i + 1 < BUNDLE_AUTHORITIES_MAX)
			continue;
		text_print(&text, "{\"keys\":[%s]}", keys.bytes);
		CU_ASSERT_EQUAL(bundle_parse_jwks(text.bytes, text.length, &bundle),
				i < BUNDLE_AUTHORITIES_MAX ? CERT_NONE : CERT_BUNDLE_MANY_AUTHORITIES);
		bundle_drop(bundle);
		text_free(&text);
	}
	text_free(&keys);
}

/* What makes a certificate a CA's. */
static void
test_b14_kinds_of_ca(void)
{
	static const struct {
		struct test_spec spec;
		unsigned authorities;
	} CASES[] = {
		{{.cn = "usual", .constraints = TEST_CA}, 1},
		{{.cn = "no key usage", .constraints = TEST_CA, .key_usage = ""}, 1},
		{{.cn = "no keyCertSign", .constraints = TEST_CA, .key_usage = "critical,cRLSign"}, 0},
		{{.cn = "cA false", .constraints = TEST_NOT_CA, .key_usage = "critical,keyCertSign"}, 0},
		{{.cn = "no constraints", .constraints = TEST_NO_CONSTRAINTS, .key_usage = "critical,keyCertSign"}, 0},
		{{.cn = "version 1", .version_1 = true}, 0},
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct test_ca ca = test_make(&CASES[i].spec);
		struct bundle *bundle = test_bundle(&ca.cert, 1);
		CU_ASSERT_EQUAL(bundle->n_authorities, CASES[i].authorities);
		CU_ASSERT_EQUAL(bundle->n_not_ca, 1 - CASES[i].authorities);
		bundle_drop(bundle);
		char *pem = test_pem(&ca.cert, 1);
		CU_ASSERT_EQUAL(bundle_parse_pem(pem, strlen(pem), &bundle),
				CASES[i].authorities ? CERT_NONE : CERT_BUNDLE_NOT_CA);
		bundle_drop(bundle);
		free(pem);
		test_free(&ca);
	}
}

static void
test_pem_files(void)
{
	struct text text = {0};
	struct bundle *bundle;
	char *pem = test_pem((X509 *[]){root.cert, other.cert, root.cert}, 3);

	text_print(&text, "A comment.\n%s\nAnother.\n", pem);
	CU_ASSERT_EQUAL(bundle_parse_pem(text.bytes, text.length, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 2);
	bundle_drop(bundle);
	text.length -= 100;
	CU_ASSERT_EQUAL(bundle_parse_pem(text.bytes, text.length, &bundle), CERT_PEM_MALFORMED);
	CU_ASSERT_PTR_NULL(bundle);
	CU_ASSERT_EQUAL(bundle_parse_pem("", 0, &bundle), CERT_PEM_MALFORMED);
	CU_ASSERT_EQUAL(bundle_parse_pem("nothing\n", 8, &bundle), CERT_PEM_MALFORMED);
	text_free(&text);
	text_print(&text, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
	CU_ASSERT_EQUAL(bundle_parse_pem(text.bytes, text.length, &bundle), CERT_PEM_MALFORMED);
	text_free(&text);
	text_print(&text, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
	CU_ASSERT_EQUAL(bundle_parse_pem(text.bytes, text.length, &bundle), CERT_CERT_MALFORMED);
	text_free(&text);
	free(pem);
}

static void
test_der_rows(void)
{
	size_t a_length, b_length;
	unsigned char *a = test_der(root.cert, &a_length), *b = test_der(other.cert, &b_length);
	uint8_t *row = malloc(a_length + b_length);
	struct bundle *bundle;

	memcpy(row, a, a_length);
	memcpy(row + a_length, b, b_length);
	CU_ASSERT_EQUAL(bundle_parse_der(row, a_length + b_length, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 2);
	CU_ASSERT_EQUAL(bundle->authorities[1].length, b_length);
	CU_ASSERT_EQUAL(memcmp(bundle->authorities[1].der, b, b_length), 0);
	bundle_drop(bundle);
	CU_ASSERT_EQUAL(bundle_parse_der(row, a_length + b_length - 1, &bundle), CERT_DER_LENGTH);
	CU_ASSERT_EQUAL(bundle_parse_der(row, 0, &bundle), CERT_NONE);
	CU_ASSERT_EQUAL(bundle->n_authorities, 0);
	bundle_drop(bundle);
	free(row);
	OPENSSL_free(a);
	OPENSSL_free(b);
}

/* The same key in two certificates has one digest; a CA that has a SPIFFE ID shows it. */
static void
test_authorities(void)
{
	struct test_ca named = test_make(&(struct test_spec){
		.key = root.key, .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://a.example", 0}}});
	struct bundle *bundle = test_bundle((X509 *[]){root.cert, named.cert, other.cert}, 3);

	CU_ASSERT_EQUAL(memcmp(bundle->authorities[0].spki_sha256, bundle->authorities[1].spki_sha256, 32), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(bundle->authorities[0].spki_sha256, bundle->authorities[2].spki_sha256, 32), 0);
	CU_ASSERT_PTR_NULL(bundle->authorities[0].spiffe_id);
	CU_ASSERT_STRING_EQUAL(bundle->authorities[1].spiffe_id, "spiffe://a.example");
	CU_ASSERT_PTR_EQUAL(bundle_take(bundle), bundle);
	bundle_drop(bundle);
	CU_ASSERT_STRING_EQUAL(bundle->authorities[1].spiffe_id, "spiffe://a.example");
	bundle_drop(bundle);
	test_free(&named);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"B1-B6, B8, B12, B14: documents", test_documents},
		{"B10: sequence numbers of 64 bits", test_b10_sequences},
		{"B11: refresh hints are clamped", test_b11_refresh_hints},
		{"numbers elsewhere in the document", test_numbers_elsewhere},
		{"B9: no way back", test_b9_rollback},
		{"B12: bounds", test_b12_bounds},
		{"B14: who is a CA", test_b14_kinds_of_ca},
		{"PEM", test_pem_files},
		{"DER", test_der_rows},
		{"authorities", test_authorities},
		CU_TEST_INFO_NULL,
	};

	root = test_root("root");
	other = test_root("other");
	leaf = test_leaf(&root, TEST_URI, "spiffe://a.example/x");
	root64 = test_base64(root.cert);
	other64 = test_base64(other.cert);
	leaf64 = test_base64(leaf.cert);
	int failed = unit_run("bundle", TESTS);
	free(root64);
	free(other64);
	free(leaf64);
	test_free(&root);
	test_free(&other);
	test_free(&leaf);
	return failed;
}
