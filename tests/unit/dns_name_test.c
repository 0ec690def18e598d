/* SPDX-License-Identifier: Apache-2.0 */
/* Host names and wildcards in certificates and rules: M1, M8. */
#include "certs/dns_name.h"

#include <string.h>

#include "tests/unit/unit.h"

#define A_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *name;
	bool host, wildcard;
} NAMES[] = {
	{"a", true, false},
	{"a.example", true, false},
	{"xn--bcher-kva.example", true, false},
	{"_sip._tcp.a.example", true, false},
	{"1.example", true, false},
	{A_63 ".example", true, false},
	{A_63 "a.example", false, false},
	{"", false, false},
	{".", false, false},
	{".example", false, false},
	{"a.example.", false, false},
	{"a..example", false, false},
	{"-a.example", false, false},
	{"a-.example", false, false},
	{"A.example", false, false},
	{"a b.example", false, false},
	{"a/b.example", false, false},
	{"10.0.0.1", false, false},
	{"1", false, false},
	{"a.1", false, false},
	{"2001:db8::1", false, false},
	{"*", false, false},
	{"*.", false, false},
	{"*.example", false, false},
	{"*.a.example", false, true},
	{"*.*.example", false, false},
	{"a.*.example", false, false},
	{"a*.b.example", false, false},
	{"*a.b.example", false, false},
	{"*.10.0.0.1", false, false},
};

static void
test_kinds(void)
{
	char longest[256];

	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		CU_ASSERT_EQUAL(dns_name_is_host(NAMES[i].name, strlen(NAMES[i].name)), NAMES[i].host);
		CU_ASSERT_EQUAL(dns_name_is_wildcard(NAMES[i].name, strlen(NAMES[i].name)), NAMES[i].wildcard);
	}
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	CU_ASSERT(dns_name_is_host(longest, 253));
	CU_ASSERT_FALSE(dns_name_is_host(longest, 255));
	CU_ASSERT_FALSE(dns_name_is_host("a\0b", 3));
}

static const struct {
	const char *pattern, *host;
	bool matches;
	size_t label;
} MATCHES[] = {
	{"a.example", "a.example", true, 0},       {"a.example", "b.example", false, 0},
	{"a.example", "a.example.evil", false, 0}, {"a.example", "xa.example", false, 0},
	{"*.b.example", "a.b.example", true, 1},   {"*.b.example", "abc.b.example", true, 3},
	{"*.b.example", "b.example", false, 0},    {"*.b.example", "x.a.b.example", false, 0},
	{"*.b.example", "ab.example", false, 0},   {"*.b.example", "*.b.example", false, 0},
	{"*.example", "a.example", false, 0},      {"*", "a", false, 0},
	{"10.0.0.1", "10.0.0.1", false, 0},        {"", "", false, 0},
};

static void
test_matches(void)
{
	for (size_t i = 0; i < sizeof(MATCHES) / sizeof(MATCHES[0]); i++) {
		size_t label = 99;
		CU_ASSERT_EQUAL(dns_name_match(MATCHES[i].pattern, strlen(MATCHES[i].pattern), MATCHES[i].host,
					       strlen(MATCHES[i].host), &label),
				MATCHES[i].matches);
		CU_ASSERT_EQUAL(label, MATCHES[i].label);
	}
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"M1, M8: hosts and wildcards", test_kinds},
		{"M1: matches", test_matches},
		CU_TEST_INFO_NULL,
	};
	return unit_run("dns_name", TESTS);
}
