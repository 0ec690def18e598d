/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies drawn from a seed, evaluated twice: compiled, and by a second evaluator, here, that goes through the words
 * of the file one by one and shares nothing with the first. Both must agree on the outcome and on the rule, for every
 * caller tried. Then what an evaluation costs, with 10 policies and with 10,000.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "federation/policy.h"
#include "platform/text.h"

enum {
	FEDERATIONS = 1500,
	CALLERS = 60,
	POLICIES = 6,
	RULES = 3,
	PARTS = 2,
	CONDITIONS = 3,
	VALUES = 3,
	VALUE_MAX = 64
};

/* --- what is drawn ----------------------------------------------------------------------------------------------- */

enum word_field { PRINCIPALS, NAMESPACES, ACCOUNTS, IP_BLOCKS, PORTS, HOSTS, SNIS };

struct words {
	enum word_field field;
	bool negated;
	unsigned n;
	char values[VALUES][VALUE_MAX];
};

struct part {
	unsigned n;
	struct words words[CONDITIONS];
};

struct rule {
	unsigned n_sources, n_operations, n_when; /* 0: absent */
	struct part sources[PARTS], operations[PARTS], when;
};

enum scope { SCOPE_NAMESPACE, SCOPE_ROOT, SCOPE_ENTRY, SCOPE_SERVICE, SCOPE_GATEWAY, SCOPES };

struct policy {
	enum scope scope;
	bool deny;
	unsigned n_rules;
	struct rule rules[RULES];
};

struct federation {
	unsigned n_policies;
	struct policy policies[POLICIES];
};

struct caller {
	char principal[VALUE_MAX];
	const char *address, *sni, *service;
	unsigned port, listener;
};

static uint64_t state;

static unsigned
draw(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

static const char *
pick(const char *const *words, unsigned n)
{
	return words[draw(n)];
}
#define PICK(words) pick(words, sizeof(words) / sizeof(*(words)))

static const char *const domains[] = {"here.example", "here.example", "core.example", "here.example.evil", "corp"};
static const char *const spaces[] = {"a", "ab", "b"};
static const char *const accounts[] = {"x", "x.y", "xay", "z"};
static const char *const addresses[] = {"10.0.0.1", "10.0.1.1", "10.1.0.1", "2001:db8::1", "2001:db8:1::1"};
static const char *const blocks[] = {"10.0.0.0/8", "10.0.0.0/24", "10.0.0.1",     "10.0.1.0/23",
				     "0.0.0.0/0",  "::/0",        "2001:db8::/47"};
static const char *const ports[] = {"8443", "9443", "443", "444"};
static const char *const hosts[] = {"s.a.svc.cluster.local", "t.example", "ask.example", "sk.example"};
static const char *const snis[] = {"", "ask.example", "t.example", "x"};

static void
draw_principal(char text[VALUE_MAX])
{
	if (draw(8) == 0)
		snprintf(text, VALUE_MAX, "%s/vm/%s", PICK(domains), PICK(accounts));
	else
		snprintf(text, VALUE_MAX, "%s/ns/%s/sa/%s", PICK(domains), PICK(spaces), PICK(accounts));
}

/* Makes a pattern of a whole value, at random. least: bytes of it that a prefix keeps. */
static void
draw_pattern(char text[VALUE_MAX], size_t least)
{
	char whole[VALUE_MAX];
	size_t length = strlen(text);

	memcpy(whole, text, sizeof(whole));
	switch (draw(6)) {
	case 0:
		strcpy(text, "*");
		break;
	case 1:
		snprintf(text, VALUE_MAX, "%.*s*", (int)(least + draw((unsigned)(length - least + 1))), whole);
		break;
	case 2:
		snprintf(text, VALUE_MAX, "*%.*s", VALUE_MAX - 2, whole + draw((unsigned)length));
		break;
	default:
		break;
	}
}

static void
draw_value(enum word_field field, char text[VALUE_MAX])
{
	switch (field) {
	case PRINCIPALS:
		draw_principal(text);
		draw_pattern(text, (size_t)(strchr(text, '/') - text) + 1);
		break;
	case NAMESPACES:
		strcpy(text, PICK(spaces));
		draw_pattern(text, 0);
		break;
	case ACCOUNTS:
		if (draw(2) == 0)
			snprintf(text, VALUE_MAX, "%s/%s", PICK(spaces), PICK(accounts));
		else
			strcpy(text, PICK(accounts));
		break;
	case IP_BLOCKS:
		strcpy(text, PICK(blocks));
		break;
	case PORTS:
		strcpy(text, PICK(ports));
		break;
	case HOSTS:
	case SNIS:
		strcpy(text, PICK(hosts));
		draw_pattern(text, 0);
		break;
	}
}

static void
draw_words(struct words *words, enum word_field field, bool negated)
{
	*words = (struct words){.field = field, .negated = negated, .n = 1 + draw(VALUES)};
	for (unsigned i = 0; i < words->n; i++)
		draw_value(field, words->values[i]);
}

/* Each field at most once, and service accounts alone. */
static void
draw_part(struct part *part, const enum word_field *fields, unsigned n_fields)
{
	bool used[2 * (SNIS + 1)] = {false};
	unsigned n = 1 + draw(CONDITIONS);

	part->n = 0;
	for (unsigned i = 0; i < n; i++) {
		enum word_field field = fields[draw(n_fields)];
		bool negated = draw(4) == 0;
		bool identity = used[2 * PRINCIPALS] || used[2 * PRINCIPALS + 1] || used[2 * NAMESPACES] ||
				used[2 * NAMESPACES + 1];
		bool account = used[2 * ACCOUNTS] || used[2 * ACCOUNTS + 1];
		if (used[2 * field + negated] || (field == ACCOUNTS && identity) ||
		    ((field == PRINCIPALS || field == NAMESPACES) && account))
			continue;
		used[2 * field + negated] = true;
		draw_words(&part->words[part->n++], field, negated);
	}
}

static void
draw_federation(struct federation *federation)
{
	static const enum word_field of_source[] = {PRINCIPALS, PRINCIPALS, NAMESPACES, ACCOUNTS, IP_BLOCKS};
	static const enum word_field of_operation[] = {PORTS, HOSTS};
	static const enum word_field of_when[] = {PRINCIPALS, NAMESPACES, IP_BLOCKS, PORTS, SNIS};

	memset(federation, 0, sizeof(*federation));
	federation->n_policies = draw(POLICIES + 1);
	for (unsigned i = 0; i < federation->n_policies; i++) {
		struct policy *policy = &federation->policies[i];
		policy->scope = (enum scope)draw(SCOPES);
		policy->deny = draw(3) == 0;
		policy->n_rules = draw(RULES + 1);
		for (unsigned j = 0; j < policy->n_rules; j++) {
			struct rule *rule = &policy->rules[j];
			rule->n_sources = draw(PARTS + 1);
			rule->n_operations = draw(2) == 0 ? 0 : draw(PARTS + 1);
			rule->n_when = draw(3) == 0;
			for (unsigned k = 0; k < rule->n_sources; k++)
				draw_part(&rule->sources[k], of_source, 5);
			for (unsigned k = 0; k < rule->n_operations; k++)
				draw_part(&rule->operations[k], of_operation, 2);
			if (rule->n_when)
				draw_part(&rule->when, of_when, 5);
		}
	}
}

static void
draw_caller(struct caller *caller)
{
	caller->principal[0] = '\0';
	if (draw(8) != 0)
		draw_principal(caller->principal);
	caller->address = PICK(addresses);
	caller->sni = PICK(snis);
	caller->service = draw(3) == 0 ? "t.example" : "s.a.svc.cluster.local";
	caller->port = draw(2) == 0 ? 8443 : 9443;
	caller->listener = draw(2) == 0 ? 443 : 444;
}

/* --- as a file --------------------------------------------------------------------------------------------------- */

static void
print_values(struct text *file, const char *name, const struct words *words)
{
	text_print(file, "%s: [ ", name);
	for (unsigned i = 0; i < words->n; i++)
		text_print(file, "%s\"%s\"", i == 0 ? "" : ", ", words->values[i]);
	text_print(file, " ]");
}

static void
print_part(struct text *file, const struct part *part)
{
	static const char *const names[][2] = {[PRINCIPALS] = {"principals", "notPrincipals"},
					       [NAMESPACES] = {"namespaces", "notNamespaces"},
					       [ACCOUNTS] = {"serviceAccounts", "notServiceAccounts"},
					       [IP_BLOCKS] = {"ipBlocks", "notIpBlocks"},
					       [PORTS] = {"ports", "notPorts"},
					       [HOSTS] = {"hosts", "notHosts"}};

	for (unsigned i = 0; i < part->n; i++) {
		text_print(file, "%s", i == 0 ? "{ " : ", ");
		print_values(file, names[part->words[i].field][part->words[i].negated], &part->words[i]);
	}
	text_print(file, " }");
}

static void
print_rule(struct text *file, const struct rule *rule)
{
	static const char *const keys[] = {[PRINCIPALS] = "source.principal",
					   [NAMESPACES] = "source.namespace",
					   [IP_BLOCKS] = "source.ip",
					   [PORTS] = "destination.port",
					   [SNIS] = "connection.sni"};
	const char *separator = "";

	text_print(file, "  - { ");
	for (unsigned i = 0; i < rule->n_sources; i++) {
		text_print(file, "%s", i == 0 ? "from: [ { source: " : " }, { source: ");
		print_part(file, &rule->sources[i]);
	}
	if (rule->n_sources > 0)
		separator = " } ], ";
	for (unsigned i = 0; i < rule->n_operations; i++) {
		text_print(file, "%s%s", i == 0 ? separator : " }, ", i == 0 ? "to: [ { operation: " : "{ operation: ");
		print_part(file, &rule->operations[i]);
	}
	if (rule->n_operations > 0)
		separator = " } ], ";
	for (unsigned i = 0; rule->n_when > 0 && i < rule->when.n; i++) {
		const struct words *words = &rule->when.words[i];
		text_print(file, "%s%s{ key: %s, ", i == 0 ? separator : ", ", i == 0 ? "when: [ " : "",
			   keys[words->field]);
		print_values(file, words->negated ? "notValues" : "values", words);
		text_print(file, " }");
	}
	if (rule->n_when > 0)
		text_print(file, " ]");
	else if (rule->n_sources + rule->n_operations > 0)
		text_print(file, " } ]");
	text_print(file, " }\n");
}

static const char base[] =
	"apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: here }\n"
	"spec: { trustDomain: here.example, clusterID: here }\n---\n"
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: { name: edge, namespace: a }\n"
	"spec:\n  servers:\n  - port: { number: 443, name: tls, protocol: TLS }\n    tls: { mode: PASSTHROUGH }\n"
	"    hosts: [ \"*\" ]\n---\n"
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: { name: other, namespace: a }\n"
	"spec:\n  servers:\n  - port: { number: 444, name: tls, protocol: TLS }\n    tls: { mode: PASSTHROUGH }\n"
	"    hosts: [ \"*\" ]\n---\n"
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: e, namespace: a }\n"
	"spec:\n  hosts: [ s.a.svc.cluster.local ]\n  resolution: STATIC\n"
	"  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n  endpoints: [ { address: 10.9.0.1 } ]\n---\n"
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: f, namespace: b }\n"
	"spec:\n  hosts: [ t.example ]\n  resolution: STATIC\n"
	"  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n  endpoints: [ { address: 10.9.0.1 } ]\n";

static void
print_federation(struct text *file, const struct federation *federation)
{
	static const char *const targets[] = {
		[SCOPE_ENTRY] = "  targetRefs: [ { kind: ServiceEntry, group: networking.istio.io, name: e } ]\n",
		[SCOPE_SERVICE] = "  targetRefs: [ { kind: Service, name: s } ]\n",
		[SCOPE_GATEWAY] = "  targetRefs: [ { kind: Gateway, group: networking.istio.io, name: edge } ]\n"};

	text_print(file, "%s", base);
	for (unsigned i = 0; i < federation->n_policies; i++) {
		const struct policy *policy = &federation->policies[i];
		text_print(file,
			   "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
			   "metadata: { name: p%u, namespace: %s }\nspec:\n  action: %s\n%s  rules:%s",
			   i, policy->scope == SCOPE_ROOT ? "istio-system" : "a", policy->deny ? "DENY" : "ALLOW",
			   policy->scope >= SCOPE_ENTRY ? targets[policy->scope] : "",
			   policy->n_rules == 0 ? " []\n" : "\n");
		for (unsigned j = 0; j < policy->n_rules; j++)
			print_rule(file, &policy->rules[j]);
	}
}

/* --- the second evaluator ---------------------------------------------------------------------------------------- */

/* From where a rule is looked at. */
struct view {
	bool deny, gateway;
	const char *space; /* of the policy */
};

static bool
is_foreign(const struct caller *caller)
{
	return caller->principal[0] != '\0' && strncmp(caller->principal, "here.example/", 13) != 0;
}

static bool
text_matches(const char *pattern, const char *text)
{
	size_t n = strlen(pattern), length = strlen(text);

	if (length == 0)
		return false;
	if (pattern[n - 1] == '*')
		return strncmp(pattern, text, n - 1) == 0;
	if (pattern[0] == '*')
		return length >= n - 1 && strcmp(pattern + 1, text + length - (n - 1)) == 0;
	return strcmp(pattern, text) == 0;
}

static bool
value_matches(enum word_field field, const char *value, const struct caller *caller, const struct view *view)
{
	char space[VALUE_MAX] = "", account[VALUE_MAX] = "", whole[2 * VALUE_MAX];
	struct ip_prefix prefix;
	struct ip_addr addr, wanted;

	sscanf(caller->principal, "%*[^/]/ns/%63[^/]/sa/%63s", space, account);
	switch (field) {
	case PRINCIPALS:
		return text_matches(value, caller->principal);
	case NAMESPACES:
		return text_matches(value, space);
	case ACCOUNTS:
		snprintf(whole, sizeof(whole), "%s/%s", space, account);
		if (strchr(value, '/') != NULL)
			return strcmp(value, whole) == 0;
		return strcmp(space, view->space) == 0 && strcmp(value, account) == 0;
	case IP_BLOCKS:
		CU_ASSERT_FATAL(ip_addr_parse(caller->address, &addr));
		if (ip_prefix_parse(value, &prefix))
			return ip_prefix_contains(&prefix, &addr);
		return ip_addr_parse(value, &wanted) && ip_addr_equal(&wanted, &addr);
	case PORTS:
		return (unsigned)atoi(value) == (view->gateway ? caller->listener : caller->port);
	case HOSTS:
		return text_matches(value, caller->service) || text_matches(value, caller->sni);
	default:
		return text_matches(value, caller->sni);
	}
}

static bool
words_hold(const struct words *words, const struct caller *caller, const struct view *view)
{
	bool any = false;

	for (unsigned i = 0; i < words->n; i++) {
		const char *value = words->values[i];
		bool domainless = words->field == NAMESPACES || words->field == ACCOUNTS ||
				  (words->field == PRINCIPALS && value[0] == '*');
		bool lets_pass = view->deny == words->negated;
		bool everyone = words->field == PRINCIPALS && strcmp(value, "*") == 0 && view->deny && words->negated;
		if (domainless && lets_pass && !everyone && is_foreign(caller))
			continue;
		any = any || value_matches(words->field, value, caller, view);
	}
	return any != words->negated;
}

static bool
part_holds(const struct part *part, const struct caller *caller, const struct view *view)
{
	for (unsigned i = 0; i < part->n; i++)
		if (!words_hold(&part->words[i], caller, view))
			return false;
	return true;
}

static bool
part_names(const struct part *part)
{
	for (unsigned i = 0; i < part->n; i++)
		if (part->words[i].field == PRINCIPALS && !part->words[i].negated)
			return true;
	return false;
}

/* *named: by a source that names principals. */
static bool
rule_matches(const struct rule *rule, const struct caller *caller, const struct view *view, bool *named)
{
	bool source = rule->n_sources == 0, operation = rule->n_operations == 0;

	*named = false;
	for (unsigned i = 0; i < rule->n_operations; i++)
		operation = operation || part_holds(&rule->operations[i], caller, view);
	if (!operation || (rule->n_when > 0 && !part_holds(&rule->when, caller, view)))
		return false;
	for (unsigned i = 0; i < rule->n_sources; i++) {
		if (!part_holds(&rule->sources[i], caller, view))
			continue;
		source = true;
		*named = *named || part_names(&rule->sources[i]);
	}
	*named = *named || (source && rule->n_when > 0 && part_names(&rule->when));
	return source;
}

static bool
applies(const struct policy *policy, const struct caller *caller, bool gateway)
{
	bool is_s = caller->service[0] == 's';

	if (gateway)
		return policy->scope == SCOPE_GATEWAY && caller->listener == 443;
	return policy->scope == SCOPE_ROOT || (policy->scope != SCOPE_GATEWAY && is_s);
}

struct expected {
	enum policy_outcome outcome;
	int number; /* of the rule; -1: none */
};

static struct expected
expect(const struct federation *federation, const struct caller *caller)
{
	int denied = -1, allowed[2] = {-1, -1}, named[2] = {-1, -1}, first[2] = {-1, -1}, number = 0;

	for (unsigned i = 0; i < federation->n_policies; i++) {
		const struct policy *policy = &federation->policies[i];
		for (unsigned side = 0; side < 2; side++) {
			struct view view = {.deny = policy->deny,
					    .gateway = side == 0,
					    .space = policy->scope == SCOPE_ROOT ? "istio-system" : "a"};
			if (!applies(policy, caller, view.gateway))
				continue;
			if (!policy->deny && first[side] < 0)
				first[side] = number;
			for (unsigned j = 0; j < policy->n_rules; j++) {
				bool names;
				int *found = policy->deny ? &denied : &allowed[side];
				if (!rule_matches(&policy->rules[j], caller, &view, &names))
					continue;
				if (*found < 0)
					*found = number + 1 + (int)j;
				if (!policy->deny && names && named[side] < 0)
					named[side] = number + 1 + (int)j;
			}
		}
		number += 1 + (int)policy->n_rules;
	}
	if (denied >= 0)
		return (struct expected){POLICY_DENIED, denied};
	for (unsigned side = 0; side < 2; side++)
		if (first[side] >= 0 && allowed[side] < 0)
			return (struct expected){POLICY_NOT_ALLOWED, first[side]};
	int by = is_foreign(caller) ? (named[1] >= 0 ? named[1] : named[0]) : allowed[1] >= 0 ? allowed[1] : allowed[0];
	if (by >= 0)
		return (struct expected){POLICY_ALLOWED, by};
	if (caller->principal[0] == '\0')
		return (struct expected){POLICY_NOT_PROVED, -1};
	return (struct expected){is_foreign(caller) ? POLICY_NOT_NAMED : POLICY_ALLOWED_BY_DEFAULT, -1};
}

/* --- the comparison ---------------------------------------------------------------------------------------------- */

static struct snapshot *
load(const struct text *file)
{
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load_bytes("drawn.yaml", file->bytes, file->length, NULL, &diagnostics);

	if (snapshot == NULL) {
		struct text printed = {0};
		diagnostics_print(&diagnostics, &printed);
		printf("\n%s", printed.bytes);
		abort();
	}
	diagnostics_free(&diagnostics);
	return snapshot;
}

static struct policy_facts
facts_of(const struct snapshot *snapshot, const struct caller *caller)
{
	static const struct ip_addr any;
	struct policy_facts facts = {.principal = caller->principal,
				     .principal_length = (uint32_t)strlen(caller->principal),
				     .sni = caller->sni,
				     .sni_length = (uint32_t)strlen(caller->sni),
				     .port = (uint16_t)caller->port,
				     .service = &snapshot->services[0],
				     .listener = snapshot_listener(snapshot, &any, (uint16_t)caller->listener)};

	if (strcmp(facts.service->host.bytes, caller->service) != 0)
		facts.service = &snapshot->services[1];
	CU_ASSERT_FATAL(ip_addr_parse(caller->address, &facts.address));
	return facts;
}

static bool
compare(const struct federation *federation, const struct snapshot *snapshot, unsigned counts[])
{
	struct caller caller;

	draw_caller(&caller);
	struct policy_facts facts = facts_of(snapshot, &caller);
	struct policy_verdict verdict = policy_evaluate(snapshot->policies, &facts);
	struct expected expected = expect(federation, &caller);
	int number = verdict.rule == NULL ? -1 : (int)verdict.rule->number;

	counts[verdict.outcome]++;
	if (verdict.outcome == expected.outcome && number == expected.number)
		return true;
	printf("\n\"%s\" from %s, name \"%s\", to %s:%u by %u: outcome %d, rule %d; expected %d, rule %d\n",
	       caller.principal, caller.address, caller.sni, caller.service, caller.port, caller.listener,
	       verdict.outcome, number, expected.outcome, expected.number);
	return false;
}

static void
test_agreement(void)
{
	static struct federation federation;
	unsigned counts[POLICY_NOT_PROVED + 1] = {0};
	struct text file = {0};
	bool agree = true;

	for (unsigned seed = 1; seed <= FEDERATIONS && agree; seed++) {
		state = seed;
		draw_federation(&federation);
		file.length = 0;
		print_federation(&file, &federation);
		struct snapshot *snapshot = load(&file);
		for (unsigned i = 0; i < CALLERS && agree; i++)
			agree = compare(&federation, snapshot, counts);
		if (!agree)
			printf("seed %u\n%s", seed, file.bytes);
		snapshot_free(snapshot);
	}
	text_free(&file);
	CU_ASSERT_TRUE(agree);
	printf("\n    %d federations; allowed %u, by default %u, denied %u, not allowed %u, not named %u, not proved "
	       "%u\n",
	       FEDERATIONS, counts[POLICY_ALLOWED], counts[POLICY_ALLOWED_BY_DEFAULT], counts[POLICY_DENIED],
	       counts[POLICY_NOT_ALLOWED], counts[POLICY_NOT_NAMED], counts[POLICY_NOT_PROVED]);
	for (unsigned i = 0; i <= POLICY_NOT_PROVED; i++)
		CU_ASSERT(counts[i] > 500);
}

/* --- what it costs ----------------------------------------------------------------------------------------------- */

/* How policy i asks for a caller: %u is i. */
static const struct {
	const char *what, *rule, *principal;
} shapes[] = {
	{"principals, whole", "from: [ { source: { principals: [ \"core.example/ns/n%u/sa/a\" ] } } ]",
	 "core.example/ns/n%u/sa/a"},
	{"principals, prefixes", "from: [ { source: { principals: [ \"core.example/ns/n%u/*\" ] } } ]",
	 "core.example/ns/n%u/sa/a"},
	{"principals, suffixes", "from: [ { source: { principals: [ \"*/ns/n%u/sa/a\" ] } } ]",
	 "here.example/ns/n%u/sa/a"},
	{"namespaces", "from: [ { source: { namespaces: [ \"n%u\" ] } } ]", "here.example/ns/n%u/sa/a"},
	{"one principal, ports",
	 "from: [ { source: { principals: [ \"core.example/ns/n/sa/a\" ] } } ], to: [ { "
	 "operation: { ports: [ \"%u\" ] } } ]",
	 "core.example/ns/n/sa/a"},
	{"principals and not",
	 "from: [ { source: { principals: [ \"core.example/*\" ], notPrincipals: [ \"core.example/x\" "
	 "], ipBlocks: [ \"2001:db8:%x::/48\" ] } } ]",
	 "core.example/ns/n/sa/a"},
};

static double
measure(const struct policy_set *set, const struct policy_facts *facts)
{
	enum { TIMES = 5000, ROUNDS = 20 };
	double best = 1e9;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct timespec begin, end;
		clock_gettime(CLOCK_MONOTONIC, &begin);
		for (unsigned i = 0; i < TIMES; i++)
			CU_ASSERT_FATAL(policy_evaluate(set, facts).outcome == POLICY_ALLOWED);
		clock_gettime(CLOCK_MONOTONIC, &end);
		double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
		best = ns / TIMES < best ? ns / TIMES : best;
	}
	return best;
}

/* n policies, all for all services of namespace a, each asking for somebody else; the caller is one of them. */
static double
cost(size_t shape, unsigned n)
{
	struct text file = {0};
	struct caller caller = {.address = "192.0.2.1",
				.sni = "ask.example",
				.service = "s.a.svc.cluster.local",
				.port = 8000 + n / 2,
				.listener = 443};
	char address[VALUE_MAX];

	text_print(&file, "%s", base);
	for (unsigned i = 0; i < n; i++) {
		text_print(&file,
			   "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
			   "metadata: { name: p%u, namespace: a }\nspec: { rules: [ { ",
			   i);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		text_print(&file, shapes[shape].rule, strstr(shapes[shape].rule, "ports") != NULL ? 8000 + i : i);
		snprintf(caller.principal, VALUE_MAX, shapes[shape].principal, n / 2);
#pragma GCC diagnostic pop
		text_print(&file, " } ] }\n");
	}
	snprintf(address, sizeof(address), "2001:db8:%x::1", n / 2);
	if (strstr(shapes[shape].rule, "%x") != NULL)
		caller.address = address;
	struct snapshot *snapshot = load(&file);
	struct policy_facts facts = facts_of(snapshot, &caller);
	double ns = measure(snapshot->policies, &facts);
	snapshot_free(snapshot);
	text_free(&file);
	return ns;
}

static void
test_cost(void)
{
	printf("\n    ns for each connection   10 policies   10,000 policies\n");
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		double few = cost(i, 10), many = cost(i, 10000);
		printf("    %-22s %13.0f %17.0f\n", shapes[i].what, few, many);
		/* A walk over all would take several hundred times as long; a busy machine some. */
		CU_ASSERT(many < few * 50);
	}
}

static const CU_TestInfo tests[] = {{"the compiled policies and the words of the file agree", test_agreement},
				    {"10,000 policies cost what 10 do", test_cost},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("policy_random", tests);
}
