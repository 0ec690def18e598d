/* SPDX-License-Identifier: Apache-2.0 */
/* The SPIFFE ID parser: I1 (each rule refuses by its own name), I2, I3. */
#include "certs/spiffe_id.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
	const char *code;
	const char *text;
	size_t length;
	enum cert_error expected;
	unsigned domain_length; /* of good ones */
} CASES[] = {
	/* what passes */
	{"I0 workload", TEXT("spiffe://core.telco.example/ns/bank/sa/teller"), CERT_NONE, 18},
	{"I0 trust domain alone", TEXT("spiffe://td"), CERT_NONE, 2},
	{"I0 all characters of a path", TEXT("spiffe://td/aZ09.-_/x"), CERT_NONE, 2},
	{"I0 three dots are a name", TEXT("spiffe://td/.../..a/a.."), CERT_NONE, 2},
	{"I3 looks like IPv4", TEXT("spiffe://192.0.2.1/x"), CERT_NONE, 9},
	{"I3 underscore", TEXT("spiffe://my_domain/x"), CERT_NONE, 9},
	{"I3 dots and dashes at the ends", TEXT("spiffe://.-td-./x"), CERT_NONE, 6},
	/* what doesn't */
	{"I1 nothing", TEXT(""), CERT_SPIFFE_EMPTY, 0},
	{"I1 https", TEXT("https://td/x"), CERT_SPIFFE_SCHEME, 0},
	{"I1 upper-case scheme", TEXT("SPIFFE://td/x"), CERT_SPIFFE_SCHEME, 0},
	{"I1 one slash", TEXT("spiffe:/td/x"), CERT_SPIFFE_SCHEME, 0},
	{"I1 scheme alone", TEXT("spiffe:"), CERT_SPIFFE_SCHEME, 0},
	{"I1 a space before", TEXT(" spiffe://td/x"), CERT_SPIFFE_SCHEME, 0},
	{"I1 empty host", TEXT("spiffe://"), CERT_SPIFFE_DOMAIN_EMPTY, 0},
	{"I1 empty host, path", TEXT("spiffe:///x"), CERT_SPIFFE_DOMAIN_EMPTY, 0},
	{"I1 uppercase host", TEXT("spiffe://Td/x"), CERT_SPIFFE_DOMAIN_UPPERCASE, 0},
	{"I1 host with a space", TEXT("spiffe://t d/x"), CERT_SPIFFE_DOMAIN_CHARACTER, 0},
	{"I1 host with a bracket", TEXT("spiffe://[::1]/x"), CERT_SPIFFE_DOMAIN_CHARACTER, 0},
	{"I1 host with a plus", TEXT("spiffe://t+d/x"), CERT_SPIFFE_DOMAIN_CHARACTER, 0},
	{"I1 %2e in host", TEXT("spiffe://t%2ed/x"), CERT_SPIFFE_PERCENT, 0},
	{"I1 %2e in path", TEXT("spiffe://td/a%2eb"), CERT_SPIFFE_PERCENT, 0},
	{"I1 //", TEXT("spiffe://td//x"), CERT_SPIFFE_PATH_EMPTY_SEGMENT, 0},
	{"I1 // inside", TEXT("spiffe://td/a//x"), CERT_SPIFFE_PATH_EMPTY_SEGMENT, 0},
	{"I1 /.", TEXT("spiffe://td/."), CERT_SPIFFE_PATH_DOTS, 0},
	{"I1 /. inside", TEXT("spiffe://td/./x"), CERT_SPIFFE_PATH_DOTS, 0},
	{"I1 /..", TEXT("spiffe://td/a/.."), CERT_SPIFFE_PATH_DOTS, 0},
	{"I1 /.. inside", TEXT("spiffe://td/../x"), CERT_SPIFFE_PATH_DOTS, 0},
	{"I1 trailing /", TEXT("spiffe://td/x/"), CERT_SPIFFE_PATH_TRAILING_SLASH, 0},
	{"I1 trailing / of a domain", TEXT("spiffe://td/"), CERT_SPIFFE_PATH_TRAILING_SLASH, 0},
	{"I1 ? in path", TEXT("spiffe://td/x?q"), CERT_SPIFFE_QUERY, 0},
	{"I1 ? behind host", TEXT("spiffe://td?q"), CERT_SPIFFE_QUERY, 0},
	{"I1 # in path", TEXT("spiffe://td/x#f"), CERT_SPIFFE_FRAGMENT, 0},
	{"I1 # behind host", TEXT("spiffe://td#f"), CERT_SPIFFE_FRAGMENT, 0},
	{"I1 userinfo", TEXT("spiffe://me@td/x"), CERT_SPIFFE_USERINFO, 0},
	{"I1 userinfo with password", TEXT("spiffe://me:it@td/x"), CERT_SPIFFE_USERINFO, 0},
	{"I1 empty userinfo", TEXT("spiffe://@td/x"), CERT_SPIFFE_USERINFO, 0},
	{"I1 port", TEXT("spiffe://td:443/x"), CERT_SPIFFE_PORT, 0},
	{"I1 empty port", TEXT("spiffe://td:/x"), CERT_SPIFFE_PORT, 0},
	{"I1 UTF-8 in host", TEXT("spiffe://t\xc3\xa4/x"), CERT_SPIFFE_NOT_ASCII, 0},
	{"I1 UTF-8 in path", TEXT("spiffe://td/\xc3\xa4"), CERT_SPIFFE_NOT_ASCII, 0},
	{"I1 NUL in host", TEXT("spiffe://td\0.evil/x"), CERT_SPIFFE_NUL, 0},
	{"I1 NUL in path", TEXT("spiffe://td/x\0y"), CERT_SPIFFE_NUL, 0},
	{"I1 NUL at the end", TEXT("spiffe://td/x\0"), CERT_SPIFFE_NUL, 0},
	{"I1 @ in path", TEXT("spiffe://td/a@b"), CERT_SPIFFE_PATH_CHARACTER, 0},
	{"I1 : in path", TEXT("spiffe://td/a:b"), CERT_SPIFFE_PATH_CHARACTER, 0},
	{"I1 space in path", TEXT("spiffe://td/a b"), CERT_SPIFFE_PATH_CHARACTER, 0},
	{"I1 line end", TEXT("spiffe://td/a\n"), CERT_SPIFFE_PATH_CHARACTER, 0},
	{"I1 backslash", TEXT("spiffe://td\\x"), CERT_SPIFFE_DOMAIN_CHARACTER, 0},
};

static void
test_cases(void)
{
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct spiffe_id id;
		enum cert_error error = spiffe_id_parse(CASES[i].text, CASES[i].length, &id);
		CU_ASSERT_EQUAL(error, CASES[i].expected);
		if (error != CASES[i].expected)
			printf("%s: %s\n", CASES[i].code, cert_error_text(error));
		CU_ASSERT_EQUAL(id.domain_length, CASES[i].domain_length);
		CU_ASSERT_EQUAL(id.length, error == CERT_NONE ? CASES[i].length : 0);
	}
}

static void
test_i2_lengths(void)
{
	char text[2100];
	struct spiffe_id id;

	memset(text, 'a', sizeof(text));
	memcpy(text, "spiffe://td/", 12);
	CU_ASSERT_EQUAL(spiffe_id_parse(text, 2048, &id), CERT_NONE);
	CU_ASSERT_EQUAL(id.length, 2048);
	CU_ASSERT_EQUAL(spiffe_id_parse(text, 2049, &id), CERT_SPIFFE_LONG);

	memcpy(text, "spiffe://aaa", 12);
	CU_ASSERT_EQUAL(spiffe_id_parse(text, SPIFFE_PREFIX + 255, &id), CERT_NONE);
	CU_ASSERT_EQUAL(id.domain_length, 255);
	CU_ASSERT(spiffe_id_is_root(&id));
	CU_ASSERT_EQUAL(spiffe_id_parse(text, SPIFFE_PREFIX + 256, &id), CERT_SPIFFE_DOMAIN_LONG);
}

static void
test_parts(void)
{
	struct spiffe_id id, other;
	size_t length;

	CU_ASSERT_EQUAL(spiffe_id_parse(TEXT("spiffe://a.example/x/y"), &id), CERT_NONE);
	CU_ASSERT_EQUAL(memcmp(spiffe_id_domain(&id), "a.example", id.domain_length), 0);
	CU_ASSERT_EQUAL(memcmp(spiffe_id_path(&id, &length), "/x/y", 4), 0);
	CU_ASSERT_EQUAL(length, 4);
	CU_ASSERT_FALSE(spiffe_id_is_root(&id));
	CU_ASSERT(spiffe_id_in_domain(&id, TEXT("a.example")));

	spiffe_id_parse(TEXT("spiffe://a.example/x/yy"), &other);
	CU_ASSERT_FALSE(spiffe_id_equal(&id, &other));
	CU_ASSERT(spiffe_id_equal(&id, &id));
	other = (struct spiffe_id){0};
	CU_ASSERT_FALSE(spiffe_id_equal(&other, &other));
	CU_ASSERT_FALSE(spiffe_id_in_domain(&other, TEXT("")));
}

/* A domain is compared whole: neither end of it is enough. */
static void
test_d6_prefix_domains(void)
{
	struct spiffe_id id;

	CU_ASSERT_EQUAL(spiffe_id_parse(TEXT("spiffe://a.example.evil/x"), &id), CERT_NONE);
	CU_ASSERT_FALSE(spiffe_id_in_domain(&id, TEXT("a.example")));
	CU_ASSERT_FALSE(spiffe_id_in_domain(&id, TEXT("example.evil")));
	CU_ASSERT_EQUAL(spiffe_id_parse(TEXT("spiffe://a.example/x"), &id), CERT_NONE);
	CU_ASSERT_FALSE(spiffe_id_in_domain(&id, TEXT("a.example.evil")));
}

static void
test_error_texts(void)
{
	for (int error = 0; error < CERT_ERROR_COUNT; error++) {
		CU_ASSERT_STRING_NOT_EQUAL(cert_error_text((enum cert_error)error), "unknown");
		for (int other = 0; other < error; other++)
			CU_ASSERT_STRING_NOT_EQUAL(cert_error_text((enum cert_error)error),
						   cert_error_text((enum cert_error)other));
	}
	CU_ASSERT_STRING_EQUAL(cert_error_text(CERT_ERROR_COUNT), "unknown");
	CU_ASSERT_STRING_EQUAL(cert_error_meaning((enum cert_error) - 1), "unknown");
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"I1, I3: each rule", test_cases},
		{"I2: lengths", test_i2_lengths},
		{"parts", test_parts},
		{"D6: a domain is compared whole", test_d6_prefix_domains},
		{"every error has a text of its own", test_error_texts},
		CU_TEST_INFO_NULL,
	};
	return unit_run("spiffe_id", TESTS);
}
