/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "federation/syntax.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

typedef const char *syntax_check(const char *text, size_t length);

struct example {
	syntax_check *check;
	const char *text;
	bool right;
};

static const char *
sha256(const char *text, size_t length)
{
	uint8_t hash[SYNTAX_SHA256_BYTES];
	return syntax_sha256(text, length, hash);
}

static const char *
pattern(const char *text, size_t length)
{
	bool wildcard;
	return syntax_host_pattern(text, length, &wildcard);
}

static const struct example examples[] = {
	{syntax_spiffe_id, "spiffe://a.example/b", true},
	{syntax_spiffe_id, "spiffe://10.0.0.1/b", true},
	{syntax_spiffe_id, "spiffe://a_b/C.-_d/...", true},
	{syntax_spiffe_id, "spiffe://a.example", false},
	{syntax_spiffe_id, "spiffe://a.example/", false},
	{syntax_spiffe_id, "spiffe://a.example/b/", false},
	{syntax_spiffe_id, "spiffe://a.example//b", false},
	{syntax_spiffe_id, "spiffe://a.example/.", false},
	{syntax_spiffe_id, "spiffe://a.example/b/..", false},
	{syntax_spiffe_id, "spiffe:///b", false},
	{syntax_spiffe_id, "spiffe:/a/b", false},
	{syntax_spiffe_id, "SPIFFE://a/b", false},
	{syntax_spiffe_id, "spiffe://A/b", false},
	{syntax_spiffe_id, "spiffe://a:1/b", false},
	{syntax_spiffe_id, "spiffe://u@a/b", false},
	{syntax_spiffe_id, "spiffe://a/b%63", false},
	{syntax_spiffe_id, "spiffe://a/b?c", false},
	{syntax_spiffe_id, "spiffe://a/b#c", false},
	{syntax_spiffe_id, "spiffe://a/\xc3\xa4", false},
	{syntax_spiffe_id, "https://a/b", false},
	{syntax_https_url, "https://a.example", true},
	{syntax_https_url, "https://a.example:8443/b?c=d", true},
	{syntax_https_url, "https://10.0.0.1/", true},
	{syntax_https_url, "https://[2001:db8::1]:443/", true},
	{syntax_https_url, "https://[2001:db8::1]", true},
	{syntax_https_url, "https://[10.0.0.1]/", false},
	{syntax_https_url, "https://2001:db8::1/", false},
	{syntax_https_url, "https://:443/", false},
	{syntax_https_url, "https://a.example:/", false},
	{syntax_https_url, "https://a.example:08/", false},
	{syntax_https_url, "https://a.example:65536/", false},
	{syntax_https_url, "https://u@a.example/", false},
	{syntax_https_url, "https://a.example/#b", false},
	{syntax_https_url, "https://[]/", false},
	{syntax_https_url, "http://a.example/", false},
	{syntax_https_url, "https://", false},
	{sha256, A63 "a", true},
	{sha256, A63 "g", false},
	{sha256, A63, false},
	{sha256, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true},
	{sha256, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", false}, /* bits behind the hash */
	{sha256, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false},
	{sha256, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_A=", false},
	{sha256, "", false},
	{syntax_port_name, "vm0.40", true},
	{syntax_port_name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
	{syntax_port_name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	{syntax_port_name, "VM0", false},
	{syntax_port_name, "", false},
	{syntax_host, "a.example", true},
	{syntax_host, "A.Example", true},
	{syntax_host, "localhost", true},
	{syntax_host, "1.2.3", true},
	{syntax_host, A63 ".b", true},
	{syntax_host, A63 "." A63 "." A63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
	{syntax_host, A63 "." A63 "." A63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	{syntax_host, "a" A63 ".b", false},
	{syntax_host, "", false},
	{syntax_host, ".", false},
	{syntax_host, ".a", false},
	{syntax_host, "a.", false},
	{syntax_host, "a..b", false},
	{syntax_host, "-a.b", false},
	{syntax_host, "a-.b", false},
	{syntax_host, "a_b.c", false},
	{syntax_host, "a b.c", false},
	{syntax_host, "10.0.0.1", false},
	{syntax_host, "2001:db8::1", false},
	{syntax_host, "*.a", false},
	{syntax_host, "a/b", false},
	{pattern, "*", true},
	{pattern, "*.a", true},
	{pattern, "*.a.b", true},
	{pattern, "a.b", true},
	{pattern, "*.", false},
	{pattern, "**", false},
	{pattern, "*a", false},
	{pattern, "*a.b", false},
	{pattern, "a*.b", false},
	{pattern, "a.*", false},
	{pattern, "a.*.b", false},
	{pattern, "*.*.a", false},
	{pattern, "*.-a", false},
	{pattern, "", false},
	{syntax_dns_label, "bank", true},
	{syntax_dns_label, "b-1", true},
	{syntax_dns_label, "Bank", false},
	{syntax_dns_label, "a.b", false},
	{syntax_dns_label, "", false},
	{syntax_dns_subdomain, "a.b", true},
	{syntax_dns_subdomain, "a.B", false},
	{syntax_dns_subdomain, "a/b", false},
	{syntax_dns_subdomain, "", false},
	{syntax_trust_domain, "core.example", true},
	{syntax_trust_domain, "a_b-c.d", true},
	{syntax_trust_domain, "10.0.0.1", true},
	{syntax_trust_domain, A63 A63 A63 A63 "abc", true},
	{syntax_trust_domain, A63 A63 A63 A63 "abcd", false},
	{syntax_trust_domain, "Core.example", false},
	{syntax_trust_domain, "spiffe://core.example", false},
	{syntax_trust_domain, "core.example/", false},
	{syntax_trust_domain, "core.example:1", false},
	{syntax_trust_domain, "user@core.example", false},
	{syntax_trust_domain, "core%2eexample", false},
	{syntax_trust_domain, "c\xc3\xa5re.example", false},
	{syntax_trust_domain, "", false},
	{syntax_identifier, "Core_1.a-b", true},
	{syntax_identifier, "a/b", false},
	{syntax_identifier, "", false},
	{syntax_locality, "eu", true},
	{syntax_locality, "eu/a", true},
	{syntax_locality, "eu-north/lulea/0421", true},
	{syntax_locality, "a/b/c/d", false},
	{syntax_locality, "a//c", false},
	{syntax_locality, "a/", false},
	{syntax_locality, "/a", false},
	{syntax_locality, "", false},
	{syntax_label_key, "app", true},
	{syntax_label_key, "app.kubernetes.io/name", true},
	{syntax_label_key, "a/b/c", false},
	{syntax_label_key, "/a", false},
	{syntax_label_key, "a/", false},
	{syntax_label_key, "-a", false},
	{syntax_label_key, "", false},
	{syntax_label_value, "", true},
	{syntax_label_value, "v1.2_3-x", true},
	{syntax_label_value, "v1-", false},
	{syntax_label_value, "a b", false},
	{syntax_label_value, "a" A63, false},
};

static void
test_names(void)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
		const struct example *example = &examples[i];
		bool right = example->check(example->text, strlen(example->text)) == NULL;
		CU_ASSERT(right == example->right);
		if (right != example->right)
			printf("\nexample %zu: \"%s\"", i, example->text);
	}
}

/* What is inside a text by its length counts, not what a NUL hides. */
static void
test_nul(void)
{
	CU_ASSERT(syntax_host("a\0b", 3) != NULL);
	CU_ASSERT(syntax_trust_domain("a\0b", 3) != NULL);
	CU_ASSERT(syntax_identifier("a\0b", 3) != NULL);
}

static void
test_durations(void)
{
	static const struct {
		const char *text;
		uint32_t milliseconds; /* 0: refused */
	} durations[] = {
		{"10s", 10000},
		{"1ms", 1},
		{"1m30s", 90000},
		{"1.5s", 1500},
		{"0.001s", 1},
		{".5s", 500},
		{"1h", 3600000},
		{"2000us", 2},
		{"1000000ns", 1},
		{"1000µs", 1},
		{"1193h", 4294800000},
		{"1194h", 0},
		{"0s", 0},
		{"0", 0},
		{"999us", 0},
		{"1.5ms", 0},
		{"10", 0},
		{"s", 0},
		{".s", 0},
		{"", 0},
		{"1d", 0},
		{"-1s", 0},
		{"+1s", 0},
		{"1 s", 0},
		{"1s ", 0},
		{"1S", 0},
		{"99999999999999999999s", 0},
		{"0.0000000001s", 0},
		{"1e3s", 0},
		{"1s1", 0},
	};

	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		uint32_t milliseconds = 0;
		const char *wrong = syntax_duration(durations[i].text, strlen(durations[i].text), &milliseconds);
		CU_ASSERT((wrong == NULL) == (durations[i].milliseconds != 0));
		CU_ASSERT(wrong != NULL || milliseconds == durations[i].milliseconds);
		if ((wrong == NULL) != (durations[i].milliseconds != 0))
			printf("\n\"%s\" %s", durations[i].text, wrong == NULL ? "is taken" : wrong);
	}
}

static const CU_TestInfo tests[] = {
	{"names", test_names}, {"a NUL is no end", test_nul}, {"durations", test_durations}, CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("syntax", tests);
}
