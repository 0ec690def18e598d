/* SPDX-License-Identifier: Apache-2.0 */
/* Identity maps: M1-M5, M8 of the identity matrix. */
#include "certs/identity_map.h"

#include <string.h>

#include "tests/unit/unit.h"

#define BYTES(literal)                                                                                                 \
	{                                                                                                              \
		literal, sizeof(literal) - 1                                                                           \
	}
#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t KEY_1[32] = {1}, KEY_2[32] = {2}, KEY_3[32] = {3};

#define LEGACY(name, id)                                                                                               \
	{                                                                                                              \
		.legacy_pki = "corp", .dns = (name), .spiffe_id = (id), .trust_domain = "corp.example"                 \
	}
#define PINNED(name, pin, id)                                                                                          \
	{                                                                                                              \
		.legacy_pki = "corp", .dns = (name), .spki_sha256 = (pin), .spiffe_id = (id),                          \
		.trust_domain = "corp.example"                                                                         \
	}

static const struct identity_rule RULES[] = {
	LEGACY("billing.corp.example", "spiffe://corp.example/vm/billing"),
	LEGACY("*.meters.corp.example", "spiffe://corp.example/meter/{dns.label}"),
	LEGACY("m7.meters.corp.example", "spiffe://corp.example/never"),
	LEGACY("*.same.corp.example", "spiffe://corp.example/same"),
	{.legacy_pki = "other",
	 .dns = "billing.corp.example",
	 .spiffe_id = "spiffe://corp.example/other",
	 .trust_domain = "corp.example"},
	PINNED("vault.corp.example", KEY_1, "spiffe://corp.example/vault"),
	PINNED("vault.corp.example", KEY_2, "spiffe://corp.example/vault-next"),
	LEGACY("vault.corp.example", "spiffe://corp.example/anybody"),
	LEGACY("*.corp.example", "spiffe://corp.example/any/{dns.label}"),
};
static const struct identity_map MAP = {RULES, N_OF(RULES)};

static struct peer_identity *
peer(const char *pki, const uint8_t *key, const struct peer_bytes *dns, unsigned n)
{
	return peer_identity_new(&(struct peer_identity_source){.kind = PEER_LEGACY,
								.pki = {pki, (uint32_t)strlen(pki)},
								.dns = dns,
								.n_dns = n,
								.spki_sha256 = key,
								.not_after = 5,
								.generation = 3});
}

static const struct {
	const char *code, *pki;
	struct peer_bytes dns[2];
	const uint8_t *key;
	enum cert_error expected;
	const char *id;
	unsigned rule;
} CASES[] = {
	{"exact", "corp", {BYTES("billing.corp.example")}, KEY_3, CERT_NONE, "spiffe://corp.example/vm/billing", 0},
	{"one of two names",
	 "corp",
	 {BYTES("www.example"), BYTES("billing.corp.example")},
	 KEY_3,
	 CERT_NONE,
	 "spiffe://corp.example/vm/billing",
	 0},
	{"M1 wildcard",
	 "corp",
	 {BYTES("m1.meters.corp.example")},
	 KEY_3,
	 CERT_NONE,
	 "spiffe://corp.example/meter/m1",
	 1},
	{"M1 two labels for one", "corp", {BYTES("a.m1.meters.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M1 no label for one", "corp", {BYTES(".meters.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M1 the wildcard itself", "corp", {BYTES("*.meters.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M1 a label with a slash", "corp", {BYTES("a/b.meters.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M1 a label of dots", "corp", {BYTES("...meters.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M1 a suffix that isn't at a dot",
	 "corp",
	 {BYTES("xmeters.corp.example.evil")},
	 KEY_3,
	 CERT_MAP_NO_RULE,
	 NULL,
	 0},
	{"M1 a trailing dot", "corp", {BYTES("billing.corp.example.")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M1 two names, two labels",
	 "corp",
	 {BYTES("m1.meters.corp.example"), BYTES("m2.meters.corp.example")},
	 KEY_3,
	 CERT_MAP_AMBIGUOUS,
	 NULL,
	 1},
	{"M1 two names that give one ID",
	 "corp",
	 {BYTES("a.same.corp.example"), BYTES("b.same.corp.example")},
	 KEY_3,
	 CERT_NONE,
	 "spiffe://corp.example/same",
	 3},
	{"M3 another PKI's rule",
	 "other",
	 {BYTES("billing.corp.example")},
	 KEY_3,
	 CERT_NONE,
	 "spiffe://corp.example/other",
	 4},
	{"M3 a PKI without rules", "third", {BYTES("billing.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M3 a PKI by its beginning", "cor", {BYTES("billing.corp.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"M4 the first of two",
	 "corp",
	 {BYTES("m7.meters.corp.example")},
	 KEY_3,
	 CERT_NONE,
	 "spiffe://corp.example/meter/m7",
	 1},
	{"no rule", "corp", {BYTES("www.example")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
	{"a pin that fits", "corp", {BYTES("vault.corp.example")}, KEY_1, CERT_NONE, "spiffe://corp.example/vault", 5},
	{"the next pin",
	 "corp",
	 {BYTES("vault.corp.example")},
	 KEY_2,
	 CERT_NONE,
	 "spiffe://corp.example/vault-next",
	 6},
	{"a key that nobody pinned", "corp", {BYTES("vault.corp.example")}, KEY_3, CERT_MAP_PIN, NULL, 6},
	{"M8 a DNS name that is an address", "corp", {BYTES("10.0.0.1")}, KEY_3, CERT_MAP_NO_RULE, NULL, 0},
};

static void
test_cases(void)
{
	for (size_t i = 0; i < N_OF(CASES); i++) {
		struct peer_identity *who =
			peer(CASES[i].pki, CASES[i].key, CASES[i].dns, 1 + (CASES[i].dns[1].bytes != NULL));
		struct identity_match match;
		enum cert_error error = identity_map_legacy(&MAP, who, &match);
		CU_ASSERT_EQUAL(error, CASES[i].expected);
		if (error != CASES[i].expected)
			printf("%s: %s\n", CASES[i].code, cert_error_text(error));
		if (error == CERT_NONE && CASES[i].id != NULL)
			CU_ASSERT_STRING_EQUAL(match.id.text, CASES[i].id);
		if (error != CERT_NONE)
			CU_ASSERT_EQUAL(match.id.length, 0);
		CU_ASSERT_EQUAL(match.rule, error == CERT_MAP_NO_RULE ? UINT32_MAX : CASES[i].rule);
		peer_identity_drop(who);
	}
}

/* The common name isn't even in an identity, so a certificate with nothing else is nobody. */
static void
test_m2_no_names(void)
{
	struct peer_identity *who = peer("corp", KEY_1, NULL, 0);
	struct identity_match match;

	CU_ASSERT_EQUAL(identity_map_legacy(&MAP, who, &match), CERT_MAP_NO_RULE);
	peer_identity_drop(who);
}

/* A workload that has proved a SPIFFE ID isn't given another. */
static void
test_spiffe_stays(void)
{
	static const struct peer_bytes DNS[] = {BYTES("billing.corp.example")};
	struct peer_identity_source source = {.kind = PEER_SPIFFE, .dns = DNS, .n_dns = 1, .pki = BYTES("corp")};
	struct peer_identity *who;
	struct identity_match match;

	CU_ASSERT_EQUAL(spiffe_id_parse("spiffe://a/x", 12, &source.id), CERT_NONE);
	who = peer_identity_new(&source);
	CU_ASSERT_EQUAL(identity_map_legacy(&MAP, who, &match), CERT_MAP_NO_RULE);
	peer_identity_drop(who);
}

static void
test_m4_also(void)
{
	static const struct peer_bytes TWO[] = {BYTES("m7.meters.corp.example")},
				       ONE[] = {BYTES("m8.meters.corp.example")};
	struct peer_identity *two = peer("corp", KEY_3, TWO, 1), *one = peer("corp", KEY_3, ONE, 1);
	struct identity_match match;

	CU_ASSERT_EQUAL(identity_map_legacy(&MAP, two, &match), CERT_NONE);
	CU_ASSERT_EQUAL(match.rule, 1);
	CU_ASSERT_EQUAL(match.also, 2);
	CU_ASSERT_EQUAL(identity_map_legacy(&MAP, one, &match), CERT_NONE);
	CU_ASSERT_EQUAL(match.also, UINT32_MAX);
	peer_identity_drop(one);
	peer_identity_drop(two);
}

static void
test_mapped(void)
{
	static const struct peer_bytes DNS[] = {BYTES("www.example"), BYTES("m1.meters.corp.example")};
	struct peer_identity *who = peer("corp", KEY_3, DNS, 2);
	struct identity_match match;

	CU_ASSERT_EQUAL_FATAL(identity_map_legacy(&MAP, who, &match), CERT_NONE);
	struct peer_identity *mapped = peer_identity_map(who, &match.id, match.dns);
	peer_identity_drop(who);
	memset(&match, 0x5a, sizeof(match));
	CU_ASSERT_EQUAL(mapped->kind, PEER_LEGACY);
	CU_ASSERT_STRING_EQUAL(mapped->id.text, "spiffe://corp.example/meter/m1");
	CU_ASSERT(spiffe_id_in_domain(&mapped->id, "corp.example", 12));
	CU_ASSERT_STRING_EQUAL(mapped->matched_dns.bytes, "m1.meters.corp.example");
	CU_ASSERT_STRING_EQUAL(mapped->pki.bytes, "corp");
	CU_ASSERT_EQUAL(mapped->n_dns, 2);
	CU_ASSERT_STRING_EQUAL(mapped->dns[0].bytes, "www.example");
	CU_ASSERT_EQUAL(memcmp(mapped->spki_sha256, KEY_3, 32), 0);
	CU_ASSERT_EQUAL(mapped->not_after, 5);
	CU_ASSERT_EQUAL(mapped->generation, 3);
	peer_identity_drop(mapped);
}

/* An ID that a name makes too long is refused, not cut. */
static void
test_long_id(void)
{
	static char template[2100] = "spiffe://corp.example/{dns.label}/";
	static const struct peer_bytes DNS[] = {BYTES("a123456789.long.example")};
	struct peer_identity *who = peer("corp", KEY_3, DNS, 1);
	struct identity_rule rule = LEGACY("*.long.example", template);
	struct identity_match match;

	memset(template + strlen(template), 'x', 2048 + 11 - 10 - strlen(template));
	CU_ASSERT_EQUAL(identity_map_legacy(&(struct identity_map){&rule, 1}, who, &match), CERT_NONE);
	CU_ASSERT_EQUAL(match.id.length, 2048);
	strcat(template, "x");
	CU_ASSERT_EQUAL(identity_map_legacy(&(struct identity_map){&rule, 1}, who, &match), CERT_SPIFFE_LONG);
	peer_identity_drop(who);
}

static struct ip_prefix
prefix(const char *text)
{
	struct ip_prefix parsed = {0};

	if (text != NULL)
		CU_ASSERT_FATAL(ip_prefix_parse(text, &parsed));
	return parsed;
}

static const struct {
	const char *code, *pki, *dns, *interface, *cidr, *id, *domain;
	enum cert_error expected;
} RULE_CASES[] = {
	{"exact", "corp", "billing.corp.example", NULL, NULL, "spiffe://corp.example/x", "corp.example", CERT_NONE},
	{"wildcard", "corp", "*.corp.example", NULL, NULL, "spiffe://corp.example/m/{dns.label}", "corp.example",
	 CERT_NONE},
	{"label inside a segment", "corp", "*.corp.example", NULL, NULL, "spiffe://corp.example/m-{dns.label}.x",
	 "corp.example", CERT_NONE},
	{"interface", NULL, NULL, "vm0", "10.40.0.0/24", "spiffe://corp.example/vlan/40", "corp.example", CERT_NONE},
	{"interface, IPv6", NULL, NULL, "vm0", "2001:db8::/64", "spiffe://corp.example/vlan/40", "corp.example",
	 CERT_NONE},
	{"interface, everything", NULL, NULL, "vm0", "0.0.0.0/0", "spiffe://corp.example/v", "corp.example", CERT_NONE},
	{"neither", NULL, NULL, NULL, NULL, "spiffe://corp.example/x", "corp.example", CERT_MAP_RULE_EMPTY},
	{"both", "corp", "a.corp.example", "vm0", "10.0.0.0/8", "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_EMPTY},
	{"interface and dns", NULL, "a.corp.example", "vm0", "10.0.0.0/8", "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_EMPTY},
	{"no dns", "corp", NULL, NULL, NULL, "spiffe://corp.example/x", "corp.example", CERT_MAP_RULE_DNS},
	{"M1 *.com", "corp", "*.com", NULL, NULL, "spiffe://corp.example/x", "corp.example", CERT_MAP_RULE_DNS},
	{"M1 *", "corp", "*", NULL, NULL, "spiffe://corp.example/x", "corp.example", CERT_MAP_RULE_DNS},
	{"M1 **", "corp", "**.corp.example", NULL, NULL, "spiffe://corp.example/x", "corp.example", CERT_MAP_RULE_DNS},
	{"M1 part of a label", "corp", "m*.corp.example", NULL, NULL, "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_DNS},
	{"M1 not the first label", "corp", "a.*.example", NULL, NULL, "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_DNS},
	{"upper case", "corp", "A.corp.example", NULL, NULL, "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_DNS},
	{"M8 an address as dns", "corp", "10.0.0.1", NULL, NULL, "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_DNS},
	{"M8 an IPv6 address as dns", "corp", "2001:db8::1", NULL, NULL, "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_DNS},
	{"label without wildcard", "corp", "a.corp.example", NULL, NULL, "spiffe://corp.example/{dns.label}",
	 "corp.example", CERT_MAP_RULE_TEMPLATE},
	{"label on an interface", NULL, NULL, "vm0", "10.0.0.0/8", "spiffe://corp.example/{dns.label}", "corp.example",
	 CERT_MAP_RULE_TEMPLATE},
	{"other braces", "corp", "*.corp.example", NULL, NULL, "spiffe://corp.example/{dns.name}", "corp.example",
	 CERT_MAP_RULE_TEMPLATE},
	{"a brace", "corp", "*.corp.example", NULL, NULL, "spiffe://corp.example/}", "corp.example",
	 CERT_MAP_RULE_TEMPLATE},
	{"host bits", NULL, NULL, "vm0", "10.40.0.1/24", "spiffe://corp.example/x", "corp.example", CERT_MAP_RULE_CIDR},
	{"host bits, IPv6", NULL, NULL, "vm0", "2001:db8::1/64", "spiffe://corp.example/x", "corp.example",
	 CERT_MAP_RULE_CIDR},
	{"no path", "corp", "a.corp.example", NULL, NULL, "spiffe://corp.example", "corp.example",
	 CERT_SPIFFE_PATH_ROOT},
	{"no ID", "corp", "a.corp.example", NULL, NULL, "corp.example/x", "corp.example", CERT_SPIFFE_SCHEME},
	{"M5 another domain than the map's", "corp", "a.corp.example", NULL, NULL, "spiffe://third.example/x",
	 "corp.example", CERT_MAP_RULE_DOMAIN},
	{"M5 a domain below the map's", "corp", "a.corp.example", NULL, NULL, "spiffe://x.corp.example/x",
	 "corp.example", CERT_MAP_RULE_DOMAIN},
	{"M5 the label in the domain", "corp", "*.corp.example", NULL, NULL, "spiffe://{dns.label}.corp.example/x",
	 "a.corp.example", CERT_MAP_RULE_DOMAIN},
	{"M5 a federated domain", "corp", "a.corp.example", NULL, NULL, "spiffe://core.example/x", "core.example",
	 CERT_MAP_DOMAIN_TAKEN},
	{"M5 the local domain", "corp", "a.corp.example", NULL, NULL, "spiffe://lulea.example/x", "lulea.example",
	 CERT_MAP_DOMAIN_TAKEN},
};

static void
test_m5_rules(void)
{
	static const char *const TAKEN[] = {"core.example", "lulea.example"};

	for (size_t i = 0; i < N_OF(RULE_CASES); i++) {
		struct identity_rule rule = {.legacy_pki = RULE_CASES[i].pki,
					     .dns = RULE_CASES[i].dns,
					     .interface = RULE_CASES[i].interface,
					     .source = prefix(RULE_CASES[i].cidr),
					     .spiffe_id = RULE_CASES[i].id,
					     .trust_domain = RULE_CASES[i].domain};
		enum cert_error error = identity_rule_check(&rule, TAKEN, 2);
		CU_ASSERT_EQUAL(error, RULE_CASES[i].expected);
		if (error != RULE_CASES[i].expected)
			printf("%s: %s\n", RULE_CASES[i].code, cert_error_text(error));
		/* The local domain is fine where the operator says so. */
		if (error == CERT_MAP_DOMAIN_TAKEN)
			CU_ASSERT_EQUAL(identity_rule_check(&rule, NULL, 0), CERT_NONE);
	}
	for (uint32_t i = 0; i < MAP.n; i++)
		CU_ASSERT_EQUAL(identity_rule_check(&RULES[i], TAKEN, 2), CERT_NONE);
	struct identity_rule pinned = {.interface = "vm0",
				       .spki_sha256 = KEY_1,
				       .source = prefix("10.0.0.0/8"),
				       .spiffe_id = "spiffe://corp.example/x",
				       .trust_domain = "corp.example"};
	CU_ASSERT_EQUAL(identity_rule_check(&pinned, NULL, 0), CERT_MAP_RULE_EMPTY);
}

static void
test_network(void)
{
	struct identity_rule rules[] = {
		{.interface = "vm0", .source = prefix("10.40.0.7/32"), .spiffe_id = "spiffe://corp.example/vm/7"},
		LEGACY("a.corp.example", "spiffe://corp.example/a"),
		{.interface = "vm0", .source = prefix("10.40.0.0/24"), .spiffe_id = "spiffe://corp.example/vlan/40"},
		{.interface = "vm1", .source = prefix("::/0"), .spiffe_id = "spiffe://corp.example/v6"},
	};
	static const struct {
		const char *interface, *source;
		uint32_t rule, also;
	} ROWS[] = {
		{"vm0", "10.40.0.7", 0, 2},
		{"vm0", "10.40.0.8", 2, UINT32_MAX},
		{"vm0", "10.40.1.8", UINT32_MAX, UINT32_MAX},
		{"vm1", "10.40.0.7", UINT32_MAX, UINT32_MAX},
		{"vm1", "2001:db8::1", 3, UINT32_MAX},
		{"vm", "10.40.0.7", UINT32_MAX, UINT32_MAX},
	};
	struct identity_map map = {rules, N_OF(rules)};

	for (size_t i = 0; i < N_OF(rules); i++)
		if (rules[i].interface != NULL)
			CU_ASSERT_EQUAL(identity_rule_network(&rules[i]), CERT_NONE);
	for (size_t i = 0; i < N_OF(ROWS); i++) {
		struct ip_addr source;
		uint32_t rule = UINT32_MAX, also = UINT32_MAX;
		CU_ASSERT(ip_addr_parse(ROWS[i].source, &source));
		CU_ASSERT_EQUAL(identity_map_network(&map, ROWS[i].interface, &source, &rule, &also),
				ROWS[i].rule == UINT32_MAX ? CERT_MAP_NO_RULE : CERT_NONE);
		CU_ASSERT_EQUAL(rule, ROWS[i].rule);
		CU_ASSERT_EQUAL(also, ROWS[i].also);
		if (rule == UINT32_MAX)
			continue;
		struct peer_identity *who = peer_identity_take(rules[rule].network);
		CU_ASSERT_EQUAL(who->kind, PEER_NETWORK);
		CU_ASSERT_STRING_EQUAL(who->id.text, rules[rule].spiffe_id);
		CU_ASSERT_EQUAL(who->not_after, INT64_MAX);
		peer_identity_drop(who);
	}
	for (size_t i = 0; i < N_OF(rules); i++)
		peer_identity_drop(rules[i].network);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"M1, M3, M4, M8: names", test_cases},
		{"M2: no name, nobody", test_m2_no_names},
		{"a SPIFFE ID stays", test_spiffe_stays},
		{"M4: the second rule is told of", test_m4_also},
		{"a mapped identity", test_mapped},
		{"an ID that is too long", test_long_id},
		{"M1, M5, M8: rules that can't stand", test_m5_rules},
		{"networks", test_network},
		CU_TEST_INFO_NULL,
	};
	return unit_run("identity_map", TESTS);
}
