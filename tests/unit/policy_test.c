/* SPDX-License-Identifier: Apache-2.0 */
/* AuthorizationPolicies: what Istio means by them, and where Postern is stricter. Codes are those of the identity
 * matrix. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/policy.h"
#include "platform/text.h"

#define ISTIO "apiVersion: networking.istio.io/v1\nkind: "
/* Ours is here.example. Two services in bank, one of them a Kubernetes name; one in shop; two Gateways. */
#define BASE                                                                                                           \
	"apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: here }\n"                               \
	"spec: { trustDomain: here.example, clusterID: here }\n---\n" ISTIO                                            \
	"Gateway\nmetadata: { name: edge }\nspec:\n  servers:\n  - port: { number: 443, name: tls, protocol: TLS }\n"  \
	"    tls: { mode: PASSTHROUGH }\n    hosts: [ \"*\" ]\n---\n" ISTIO                                            \
	"Gateway\nmetadata: { name: other }\nspec:\n  servers:\n"                                                      \
	"  - port: { number: 444, name: tls, protocol: TLS }\n"                                                        \
	"    tls: { mode: AUTO_PASSTHROUGH }\n    hosts: [ \"*\" ]\n---\n" SERVICE("payments", "bank",                 \
										   "payments.bank.svc.cluster.local")  \
		SERVICE("ledger", "bank", "ledger.bank.example") SERVICE("web", "shop", "web.shop.svc.cluster.local")
#define SERVICE(name, space, host)                                                                                     \
	ISTIO "ServiceEntry\nmetadata: { name: " name ", namespace: " space " }\nspec:\n  hosts: [ " host " ]\n"       \
	      "  location: MESH_INTERNAL\n  resolution: STATIC\n"                                                      \
	      "  ports: [ { number: 8443, name: tls, protocol: TLS }, { number: 9443, name: tls2, protocol: TLS } ]\n" \
	      "  endpoints: [ { address: 10.0.0.1 } ]\n---\n"
#define POLICY(space, name, rest)                                                                                      \
	"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"                                                \
	"metadata: { name: " name ", namespace: " space " }\nspec: { " rest " }\n---\n"
#define FROM(source) "rules: [ { from: [ { source: { " source " } } ] } ]"
#define ALLOW(source) POLICY("bank", "allow", "action: ALLOW, " FROM(source))
#define DENY(source) POLICY("bank", "deny", "action: DENY, " FROM(source))
#define ON_PAYMENTS "targetRefs: [ { group: networking.istio.io, kind: ServiceEntry, name: payments } ], "
#define ON_EDGE "targetRefs: [ { group: networking.istio.io, kind: Gateway, name: edge } ], "

#define OURS "here.example/ns/bank/sa/teller"
#define THEIRS "core.example/ns/bank/sa/teller"

/* Most cases leave the rest of the situation at its defaults. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct test_case {
	const char *policies, *principal;
	enum policy_outcome outcome;
	const char *rule; /* name of the policy that decided; NULL: none */
	/* defaults: payments, 8443, "payments.example", 192.0.2.7, edge */
	const char *service, *sni, *address;
	uint16_t port, listener_port;
};

static struct snapshot *
load(const char *policies)
{
	struct diagnostics diagnostics = {0};
	struct text file = {0}, printed = {0};

	text_print(&file, "%s%s", BASE, policies);
	struct snapshot *snapshot = federation_load_bytes("test.yaml", file.bytes, file.length, NULL, &diagnostics);
	if (snapshot == NULL) {
		diagnostics_print(&diagnostics, &printed);
		printf("\n%s", printed.bytes);
		abort();
	}
	diagnostics_free(&diagnostics);
	text_free(&file);
	return snapshot;
}

static const char * or (const char *text, const char *otherwise)
{
	return text != NULL ? text : otherwise;
}

static struct policy_facts
facts_of(const struct snapshot *snapshot, const struct test_case *c)
{
	const char *service = or (c->service, "payments.bank.svc.cluster.local");
	static const struct ip_addr any;
	struct policy_facts facts = {
		.principal = c->principal,
		.principal_length = (uint32_t)strlen(c->principal),
		.sni = or (c->sni, "payments.example"),
		.port = c->port != 0 ? c->port : 8443,
		.listener = snapshot_listener(snapshot, &any, c->listener_port != 0 ? c->listener_port : 443)};

	facts.sni_length = (uint32_t)strlen(facts.sni);
	CU_ASSERT_FATAL(ip_addr_parse(or (c->address, "192.0.2.7"), &facts.address));
	for (uint32_t i = 0; i < snapshot->n_services; i++)
		if (strcmp(snapshot->services[i].host.bytes, service) == 0)
			facts.service = &snapshot->services[i];
	CU_ASSERT_FATAL(facts.service != NULL && facts.listener != NULL);
	return facts;
}

static void
check_case(const struct test_case *c, const char *what, size_t i)
{
	struct snapshot *snapshot = load(c->policies);
	struct policy_facts facts = facts_of(snapshot, c);
	struct policy_verdict verdict = policy_evaluate(snapshot->policies, &facts);
	const char *rule = verdict.rule == NULL ? NULL : verdict.rule->name.bytes;
	bool right = verdict.outcome == c->outcome && (rule == NULL) == (c->rule == NULL) &&
		     (rule == NULL || strcmp(rule, c->rule) == 0);

	CU_ASSERT(right);
	if (!right)
		printf("\n%s, case %zu, \"%s\": outcome %d by %s\n%s", what, i, c->principal, verdict.outcome,
		       rule == NULL ? "nobody" : rule, c->policies);
	snapshot_free(snapshot);
}

static void
check_cases(const struct test_case *cases, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		check_case(&cases[i], what, i);
}
#define CHECK(cases) check_cases(cases, sizeof(cases) / sizeof(*(cases)), __func__)

static void
test_defaults(void)
{
	static const struct test_case cases[] = {
		/* nobody said anything: Istio's allow among ourselves, nothing for strangers */
		{"", OURS, POLICY_ALLOWED_BY_DEFAULT, NULL},
		{"", THEIRS, POLICY_NOT_NAMED, NULL},
		{"", "", POLICY_NOT_PROVED, NULL},
		/* D6: a trust domain that ours begins, or that begins with ours */
		{"", "here.example.evil/ns/bank/sa/teller", POLICY_NOT_NAMED, NULL},
		{"", "here.exampl/ns/bank/sa/teller", POLICY_NOT_NAMED, NULL},
		{"", "xhere.example/ns/bank/sa/teller", POLICY_NOT_NAMED, NULL},
		{"", "here.example", POLICY_ALLOWED_BY_DEFAULT, NULL},
		/* no rules: allow nothing; an empty rule: everyone of ours, and whoever nobody could name */
		{POLICY("bank", "none", ""), OURS, POLICY_NOT_ALLOWED, "none"},
		{POLICY("bank", "none", "rules: []"), OURS, POLICY_NOT_ALLOWED, "none"},
		{POLICY("bank", "all", "rules: [ {} ]"), OURS, POLICY_ALLOWED, "all"},
		{POLICY("bank", "all", "rules: [ {} ]"), "", POLICY_ALLOWED, "all"},
		{POLICY("bank", "all", "rules: [ {} ]"), THEIRS, POLICY_NOT_NAMED, NULL},
		{POLICY("bank", "all", "action: DENY, rules: [ {} ]"), OURS, POLICY_DENIED, "all"},
		{POLICY("bank", "all", "action: DENY"), OURS, POLICY_ALLOWED_BY_DEFAULT, NULL},
	};
	CHECK(cases);
}

static void
test_scopes(void)
{
	static const char on_entry[] = POLICY("bank", "p", ON_PAYMENTS);
	static const char on_service[] = POLICY("bank", "p", "targetRefs: [ { kind: Service, name: payments } ]");
	static const char in_root[] = POLICY("istio-system", "p", "");
	static const char in_space[] = POLICY("bank", "p", "");
	static const char on_gateway[] = "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\n"
					 "metadata: { name: p }\nspec: { " ON_EDGE "}\n";
	static const char twice[] =
		POLICY("bank", "p",
		       "targetRefs: [ { kind: Service, name: payments }, { group: networking.istio.io, "
		       "kind: ServiceEntry, name: payments } ]");
	static const struct test_case cases[] = {
		{on_entry, OURS, POLICY_NOT_ALLOWED, "p"},
		{on_entry, OURS, POLICY_ALLOWED_BY_DEFAULT, NULL, .service = "ledger.bank.example"},
		{on_service, OURS, POLICY_NOT_ALLOWED, "p"},
		{on_service, OURS, POLICY_ALLOWED_BY_DEFAULT, NULL, .service = "ledger.bank.example"},
		{twice, OURS, POLICY_NOT_ALLOWED, "p"},
		{in_root, OURS, POLICY_NOT_ALLOWED, "p"},
		{in_root, OURS, POLICY_NOT_ALLOWED, "p", .service = "web.shop.svc.cluster.local"},
		{in_space, OURS, POLICY_NOT_ALLOWED, "p"},
		{in_space, OURS, POLICY_NOT_ALLOWED, "p", .service = "ledger.bank.example"},
		{in_space, OURS, POLICY_ALLOWED_BY_DEFAULT, NULL, .service = "web.shop.svc.cluster.local"},
		{on_gateway, OURS, POLICY_NOT_ALLOWED, "p"},
		{on_gateway, OURS, POLICY_ALLOWED_BY_DEFAULT, NULL, .listener_port = 444},
		/* ALLOW policies of one side are alternatives, wherever they come from */
		{POLICY("istio-system", "none", "") ALLOW("principals: [ " OURS " ]"), OURS, POLICY_ALLOWED, "allow"},
		/* the other side is asked as well */
		{POLICY("default", "gate", ON_EDGE FROM("ipBlocks: [ 192.0.2.0/24 ]"))
			 ALLOW("principals: [ here.example/ns/x/sa/y ]"),
		 OURS, POLICY_NOT_ALLOWED, "allow"},
		{POLICY("default", "gate", ON_EDGE FROM("ipBlocks: [ 198.51.100.0/24 ]"))
			 ALLOW("principals: [ " OURS " ]"),
		 OURS, POLICY_NOT_ALLOWED, "gate"},
		{POLICY("default", "gate", ON_EDGE FROM("ipBlocks: [ 192.0.2.0/24 ]"))
			 ALLOW("principals: [ " OURS " ]"),
		 OURS, POLICY_ALLOWED, "allow"},
		/* either may name a stranger, and neither has to alone */
		{POLICY("default", "gate", ON_EDGE FROM("principals: [ " THEIRS " ]")), THEIRS, POLICY_ALLOWED, "gate"},
		{POLICY("default", "gate", ON_EDGE FROM("ipBlocks: [ 192.0.2.0/24 ]"))
			 ALLOW("principals: [ " THEIRS " ]"),
		 THEIRS, POLICY_ALLOWED, "allow"},
		{POLICY("default", "gate", ON_EDGE FROM("principals: [ " THEIRS " ]"))
			 POLICY("bank", "all", "rules: [ {} ]"),
		 THEIRS, POLICY_ALLOWED, "gate"},
		{POLICY("default", "gate", ON_EDGE "action: DENY, " FROM("principals: [ " THEIRS " ]"))
			 ALLOW("principals: [ " THEIRS " ]"),
		 THEIRS, POLICY_DENIED, "gate"},
	};
	CHECK(cases);
}

static void
test_principals(void)
{
	static const char upper[] = ALLOW("principals: [ here.example/ns/bank/sa/Teller ]");
	static const struct test_case cases[] = {
		{ALLOW("principals: [ " OURS " ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ " OURS " ]"), OURS "s", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ " OURS " ]"), "here.example/ns/bank/sa/telle", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ " OURS " ]"), "", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"here.example/ns/bank/*\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"here.example/ns/bank/*\" ]"), "here.example/ns/bank/", POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"here.example/ns/bank/*\" ]"), "here.example/ns/bank", POLICY_NOT_ALLOWED,
		 "allow"},
		{ALLOW("principals: [ \"here.example/ns/ban*\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*/sa/teller\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*/sa/teller\" ]"), "here.example/ns/bank/sa/xteller", POLICY_NOT_ALLOWED,
		 "allow"},
		{ALLOW("principals: [ \"*ller\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*\" ]"), OURS, POLICY_ALLOWED, "allow"},
		/* D8: dots are dots; and letters have case */
		{ALLOW("principals: [ here.example/ns/bank/sa/t.ller ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"here.example/ns/b.nk/*\" ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*/sa/t.ller\" ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ t.ller ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ bank/t.ller ]"), "here.example/ns/bank/sa/t.ller", POLICY_ALLOWED, "allow"},
		{upper, OURS, POLICY_NOT_ALLOWED, "allow"},
		/* a list is "or"; a not-list is "none of" */
		{ALLOW("principals: [ here.example/a, " OURS " ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("notPrincipals: [ here.example/a, " OURS " ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("notPrincipals: [ here.example/a, " OURS " ]"), OURS "s", POLICY_ALLOWED, "allow"},
		/* fields are "and" */
		{ALLOW("principals: [ \"here.example/*\" ], notPrincipals: [ " OURS " ]"), OURS, POLICY_NOT_ALLOWED,
		 "allow"},
		{ALLOW("principals: [ \"here.example/*\" ], notPrincipals: [ " OURS " ]"), OURS "s", POLICY_ALLOWED,
		 "allow"},
		/* identities of other forms */
		{ALLOW("principals: [ corp.example/vm/billing ]"), "corp.example/vm/billing", POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"corp.example/*\" ]"), "corp.example/vm/billing", POLICY_ALLOWED, "allow"},
	};
	CHECK(cases);
}

static void
test_namespaces_and_accounts(void)
{
	static const struct test_case cases[] = {
		{ALLOW("namespaces: [ bank ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("namespaces: [ ban ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ \"ba*\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("namespaces: [ \"*nk\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("namespaces: [ \"*\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("notNamespaces: [ bank ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("notNamespaces: [ bank ]"), "here.example/ns/shop/sa/a", POLICY_ALLOWED, "allow"},
		/* only the form TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT has a namespace */
		{ALLOW("namespaces: [ \"*\" ]"), "here.example/vm/billing", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ bank ]"), "here.example/ns/bank", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ bank ]"), "here.example/ns/bank/sa/", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ bank ]"), "here.example/ns/bank/sa/a/b", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ bank ]"), "here.example/x/ns/bank/sa/a", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ bank ]"), "here.example/ns/bank/sb/a", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("notNamespaces: [ bank ]"), "here.example/vm/billing", POLICY_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ teller ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ teller ]"), "here.example/ns/shop/sa/teller", POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ shop/teller ]"), "here.example/ns/shop/sa/teller", POLICY_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ shop/teller ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("notServiceAccounts: [ teller ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("notServiceAccounts: [ teller ]"), OURS "s", POLICY_ALLOWED, "allow"},
	};
	CHECK(cases);
}

/* D7, D9: what says no trust domain lets nobody in from another one, and keeps nobody of another one from being
 * refused. */
static void
test_trust_domains(void)
{
	static const struct test_case cases[] = {
		/* let in: only by a principal that names the domain */
		{ALLOW("principals: [ " THEIRS " ]"), THEIRS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"core.example/*\" ]"), THEIRS, POLICY_ALLOWED, "allow"},
		{ALLOW("principals: [ \"core.example/*\" ]"), "core.example.evil/ns/bank/sa/teller", POLICY_NOT_ALLOWED,
		 "allow"},
		{ALLOW("principals: [ \"*\" ]"), THEIRS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*/ns/bank/sa/teller\" ]"), THEIRS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*example/ns/bank/sa/teller\" ]"), THEIRS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"*core.example/ns/bank/sa/teller\" ]"), THEIRS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("namespaces: [ bank ]"), THEIRS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("serviceAccounts: [ teller ]"), THEIRS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ \"core.example/*\" ], namespaces: [ bank ]"), THEIRS, POLICY_NOT_ALLOWED,
		 "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.0/24 ]"), THEIRS, POLICY_NOT_NAMED, NULL},
		{ALLOW("notPrincipals: [ here.example/a ]"), THEIRS, POLICY_NOT_NAMED, NULL},
		{ALLOW("notNamespaces: [ shop ]"), THEIRS, POLICY_NOT_NAMED, NULL},
		/* one that admits and one that names are not one rule */
		{ALLOW("ipBlocks: [ 192.0.2.0/24 ]")
			 POLICY("bank", "name", FROM("principals: [ " THEIRS " ], ipBlocks: [ 198.51.100.1 ]")),
		 THEIRS, POLICY_NOT_NAMED, NULL},
		{ALLOW("ipBlocks: [ 192.0.2.0/24 ]") POLICY("bank", "name", FROM("principals: [ " THEIRS " ]")), THEIRS,
		 POLICY_ALLOWED, "name"},
		/* "when" can name as well */
		{POLICY("bank", "w",
			"rules: [ { when: [ { key: source.principal, values: [ \"core.example/*\" ] } ] } ]"),
		 THEIRS, POLICY_ALLOWED, "w"},
		{POLICY("bank", "w", "rules: [ { when: [ { key: source.principal, values: [ \"*teller\" ] } ] } ]"),
		 THEIRS, POLICY_NOT_ALLOWED, "w"},
		{POLICY("bank", "w", "rules: [ { when: [ { key: source.principal, notValues: [ " OURS " ] } ] } ]"),
		 THEIRS, POLICY_NOT_NAMED, NULL},
		{POLICY("bank", "w", "rules: [ { when: [ { key: source.namespace, values: [ bank ] } ] } ]"), THEIRS,
		 POLICY_NOT_ALLOWED, "w"},
		/* refused: by what says no domain, too */
		{ALLOW("principals: [ " THEIRS " ]") DENY("namespaces: [ bank ]"), THEIRS, POLICY_DENIED, "deny"},
		{ALLOW("principals: [ " THEIRS " ]") DENY("serviceAccounts: [ teller ]"), THEIRS, POLICY_DENIED,
		 "deny"},
		{ALLOW("principals: [ " THEIRS " ]") DENY("principals: [ \"*/sa/teller\" ]"), THEIRS, POLICY_DENIED,
		 "deny"},
		{ALLOW("principals: [ " THEIRS " ]") DENY("principals: [ \"*\" ]"), THEIRS, POLICY_DENIED, "deny"},
		{ALLOW("principals: [ \"core.example/*\" ], notNamespaces: [ bank ]"), THEIRS, POLICY_NOT_ALLOWED,
		 "allow"},
		{POLICY("bank", "p",
			"rules: [ { from: [ { source: { notServiceAccounts: [ teller ] } } ], "
			"when: [ { key: source.principal, values: [ \"core.example/*\" ] } ] } ]"),
		 THEIRS, POLICY_NOT_ALLOWED, "p"},
		{ALLOW("principals: [ \"core.example/*\" ], notPrincipals: [ \"*/sa/teller\" ]"), THEIRS,
		 POLICY_NOT_ALLOWED, "allow"},
		/* spared: not by what says no domain */
		{ALLOW("principals: [ " THEIRS " ]") DENY("notNamespaces: [ bank ]"), THEIRS, POLICY_DENIED, "deny"},
		{ALLOW("principals: [ " THEIRS " ]") DENY("notServiceAccounts: [ teller ]"), THEIRS, POLICY_DENIED,
		 "deny"},
		{ALLOW("principals: [ " THEIRS " ]") DENY("notPrincipals: [ \"*/sa/teller\" ]"), THEIRS, POLICY_DENIED,
		 "deny"},
		{ALLOW("principals: [ " THEIRS " ]") DENY("notPrincipals: [ " THEIRS " ]"), THEIRS, POLICY_ALLOWED,
		 "allow"},
		{DENY("notNamespaces: [ bank ]"), OURS, POLICY_ALLOWED_BY_DEFAULT, NULL},
		/* "everyone who proved nothing" */
		{ALLOW("principals: [ " THEIRS " ]") DENY("notPrincipals: [ \"*\" ]"), THEIRS, POLICY_ALLOWED, "allow"},
		{POLICY("bank", "all", "rules: [ {} ]") DENY("notPrincipals: [ \"*\" ]"), "", POLICY_DENIED, "deny"},
		{POLICY("bank", "all", "rules: [ {} ]") DENY("notPrincipals: [ \"*\" ]"), OURS, POLICY_ALLOWED, "all"},
		/* D9: cluster.local is a domain like any other */
		{ALLOW("principals: [ cluster.local/ns/bank/sa/teller ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("principals: [ cluster.local/ns/bank/sa/teller ]"), "cluster.local/ns/bank/sa/teller",
		 POLICY_ALLOWED, "allow"},
	};
	CHECK(cases);
}

static void
test_addresses_ports_hosts(void)
{
#define TO(operation) POLICY("bank", "allow", "rules: [ { to: [ { operation: { " operation " } } ] } ]")
#define WHEN(condition) POLICY("bank", "allow", "rules: [ { when: [ { " condition " } ] } ]")
	static const struct test_case cases[] = {
		{ALLOW("ipBlocks: [ 192.0.2.7 ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.7 ]"), "", POLICY_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.6 ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.4/30 ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.5/30 ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.0/30 ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 0.0.0.0/0 ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ \"::/0\" ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 0.0.0.0/0 ]"), OURS, POLICY_NOT_ALLOWED, "allow", .address = "2001:db8::7"},
		{ALLOW("ipBlocks: [ \"2001:db8::/32\" ]"), OURS, POLICY_ALLOWED, "allow", .address = "2001:db8::7"},
		{ALLOW("ipBlocks: [ \"2001:db8::/33\" ]"), OURS, POLICY_NOT_ALLOWED, "allow",
		 .address = "2001:db8:8000::7"},
		{ALLOW("notIpBlocks: [ 192.0.2.0/24 ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{ALLOW("notIpBlocks: [ 192.0.3.0/24 ]"), OURS, POLICY_ALLOWED, "allow"},
		{ALLOW("ipBlocks: [ 192.0.2.0/24 ], notIpBlocks: [ 192.0.2.7 ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{TO("ports: [ \"8443\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{TO("ports: [ \"8443\" ]"), OURS, POLICY_NOT_ALLOWED, "allow", .port = 9443},
		{TO("ports: [ \"443\" ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{TO("notPorts: [ \"8443\" ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{TO("notPorts: [ \"8443\" ]"), OURS, POLICY_ALLOWED, "allow", .port = 9443},
		/* a Gateway's policies ask for the Gateway's port */
		{POLICY("default", "g", ON_EDGE "rules: [ { to: [ { operation: { ports: [ \"443\" ] } } ] } ]"), OURS,
		 POLICY_ALLOWED, "g"},
		{POLICY("default", "g", ON_EDGE "rules: [ { to: [ { operation: { ports: [ \"8443\" ] } } ] } ]"), OURS,
		 POLICY_NOT_ALLOWED, "g"},
		/* hosts: what was asked for, or what it leads to */
		{TO("hosts: [ payments.example ]"), OURS, POLICY_ALLOWED, "allow"},
		{TO("hosts: [ Payments.Example ]"), OURS, POLICY_ALLOWED, "allow"},
		{TO("hosts: [ payments.bank.svc.cluster.local ]"), OURS, POLICY_ALLOWED, "allow"},
		{TO("hosts: [ payments.bank.svc.cluster.local ]"), OURS, POLICY_ALLOWED, "allow", .sni = ""},
		{TO("hosts: [ payments.example ]"), OURS, POLICY_NOT_ALLOWED, "allow", .sni = ""},
		{TO("hosts: [ \"*.example\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{TO("hosts: [ \"payments.*\" ]"), OURS, POLICY_ALLOWED, "allow", .sni = "x"},
		{TO("hosts: [ paymentsxexample ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{TO("notHosts: [ payments.example ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{TO("notHosts: [ payments.bank.svc.cluster.local ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		{TO("notHosts: [ other.example ]"), OURS, POLICY_ALLOWED, "allow"},
		{TO("ports: [ \"8443\" ], hosts: [ other.example ]"), OURS, POLICY_NOT_ALLOWED, "allow"},
		/* conditions */
		{WHEN("key: connection.sni, values: [ payments.example ]"), OURS, POLICY_ALLOWED, "allow"},
		{WHEN("key: connection.sni, values: [ payments.bank.svc.cluster.local ]"), OURS, POLICY_NOT_ALLOWED,
		 "allow"},
		{WHEN("key: connection.sni, values: [ \"*\" ]"), OURS, POLICY_NOT_ALLOWED, "allow", .sni = ""},
		{WHEN("key: connection.sni, notValues: [ x.example ]"), OURS, POLICY_ALLOWED, "allow", .sni = ""},
		{WHEN("key: source.ip, values: [ 192.0.2.0/24 ], notValues: [ 192.0.2.7 ]"), OURS, POLICY_NOT_ALLOWED,
		 "allow"},
		{WHEN("key: source.ip, values: [ 192.0.2.0/24 ], notValues: [ 192.0.2.8 ]"), OURS, POLICY_ALLOWED,
		 "allow"},
		{WHEN("key: destination.port, values: [ \"8443\" ]"), OURS, POLICY_ALLOWED, "allow"},
		{WHEN("key: source.namespace, values: [ bank ]"), OURS, POLICY_ALLOWED, "allow"},
		{WHEN("key: source.principal, values: [ " OURS " ] }, { key: destination.port, values: [ \"1\" ]"),
		 OURS, POLICY_NOT_ALLOWED, "allow"},
	};
	CHECK(cases);
}

/* DENY goes first, and nothing takes it back: neither another DENY, nor an ALLOW, nor what it doesn't know (the like of
 * CVE-2021-36213). */
static void
test_denial(void)
{
	static const char rules[] =
		POLICY("bank", "deny",
		       "action: DENY, rules: [ { from: [ { source: { principals: [ here.example/x ] } }, "
		       "{ source: { namespaces: [ bank ] } } ], to: [ { operation: { ports: [ \"1\" ] } }, "
		       "{ operation: { ports: [ \"8443\" ] } } ] }, { from: [ { source: { namespaces: [ y ] } } ] } ]");
	static const struct test_case cases[] = {
		{DENY("principals: [ " OURS " ]"), OURS, POLICY_DENIED, "deny"},
		{DENY("principals: [ " OURS " ]"), OURS "s", POLICY_ALLOWED_BY_DEFAULT, NULL},
		{DENY("principals: [ " OURS " ]")
			 POLICY("bank", "deny2", "action: DENY, " FROM("principals: [ " OURS " ]")),
		 OURS, POLICY_DENIED, "deny"},
		{ALLOW("principals: [ " OURS " ]") DENY("principals: [ " OURS " ]"), OURS, POLICY_DENIED, "deny"},
		{DENY("principals: [ " OURS " ]") ALLOW("principals: [ " OURS " ]"), OURS, POLICY_DENIED, "deny"},
		{POLICY("bank", "all", "rules: [ {} ]") DENY("ipBlocks: [ 192.0.2.7 ]"), OURS, POLICY_DENIED, "deny"},
		{POLICY("istio-system", "deny", "action: DENY, rules: [ {} ]") ALLOW("principals: [ " OURS " ]"), OURS,
		 POLICY_DENIED, "deny"},
		/* two that deny different things don't cancel each other */
		{DENY("notPrincipals: [ " OURS " ]")
			 POLICY("bank", "deny2", "action: DENY, " FROM("principals: [ " OURS " ]")),
		 OURS, POLICY_DENIED, "deny2"},
		{DENY("notPrincipals: [ " OURS " ]")
			 POLICY("bank", "deny2", "action: DENY, " FROM("principals: [ " OURS " ]")),
		 OURS "s", POLICY_DENIED, "deny"},
		/* who proved nothing isn't in any list, and so is in every not-list */
		{DENY("principals: [ \"*\" ]") POLICY("bank", "all", "rules: [ {} ]"), "", POLICY_ALLOWED, "all"},
		{DENY("notPrincipals: [ " OURS " ]") POLICY("bank", "all", "rules: [ {} ]"), "", POLICY_DENIED, "deny"},
		{DENY("notNamespaces: [ bank ]") POLICY("bank", "all", "rules: [ {} ]"), "", POLICY_DENIED, "deny"},
		{DENY("namespaces: [ bank ]") POLICY("bank", "all", "rules: [ {} ]"), "here.example/vm/a",
		 POLICY_ALLOWED, "all"},
		/* a server name of the client's choice doesn't get around the service's own */
		{POLICY("bank", "deny",
			"action: DENY, rules: [ { to: [ { operation: { hosts: [ payments.bank.svc.cluster.local ] } } "
			"] } ]"),
		 OURS, POLICY_DENIED, "deny", .sni = "innocent.example"},
		/* any source with any operation of a rule, and any rule */
		{rules, OURS, POLICY_DENIED, "deny"},
		{rules, OURS, POLICY_ALLOWED_BY_DEFAULT, NULL, .port = 9443},
		{rules, "here.example/x", POLICY_DENIED, "deny", .port = 8443},
		{rules, "here.example/ns/y/sa/a", POLICY_DENIED, "deny", .port = 9443},
	};
	CHECK(cases);
}

/* The rule that decided, by its line; the first in the file when several would. */
static void
test_origins(void)
{
	static const char policies[] = "apiVersion: security.istio.io/v1\n"
				       "kind: AuthorizationPolicy\n"
				       "metadata: { name: p, namespace: bank }\n"
				       "spec:\n"
				       "  rules:\n"
				       "  - from: [ { source: { namespaces: [ x ] } } ]\n"
				       "  - from: [ { source: { namespaces: [ bank ] } } ]\n"
				       "  - from: [ { source: { principals: [ " OURS " ] } } ]\n";
	static const struct test_case by_rule = {.principal = OURS}, by_policy = {.principal = "here.example/a"};
	struct snapshot *snapshot = load(policies);
	uint32_t first_line = 1;

	for (const char *at = BASE; (at = strchr(at, '\n')) != NULL; at++)
		first_line++;
	struct policy_facts facts = facts_of(snapshot, &by_rule);
	struct policy_verdict verdict = policy_evaluate(snapshot->policies, &facts);
	CU_ASSERT(verdict.outcome == POLICY_ALLOWED && verdict.rule->origin.line == first_line + 6);
	CU_ASSERT(verdict.rule->origin.column == 5);
	CU_ASSERT_STRING_EQUAL(verdict.rule->origin.file, "test.yaml");
	CU_ASSERT_STRING_EQUAL(verdict.rule->space.bytes, "bank");
	facts = facts_of(snapshot, &by_policy);
	verdict = policy_evaluate(snapshot->policies, &facts);
	CU_ASSERT(verdict.outcome == POLICY_NOT_ALLOWED && verdict.rule->origin.line == first_line + 2);
	CU_ASSERT(snapshot->policies->n_policies == 1 && snapshot->policies->n_entries == 3);
	snapshot_free(snapshot);
}

static void
test_nearest(void)
{
	static const char policies[] = POLICY(
		"bank", "p",
		"rules: [ { from: [ { source: { principals: [ here.example/a ], ipBlocks: [ 10.0.0.0/8 ] } } ] }, "
		"{ from: [ { source: { principals: [ " OURS
		" ] } } ], to: [ { operation: { ports: [ \"9443\" ] } } ] } ]");
	static const struct test_case ours = {.principal = OURS}, theirs = {.principal = THEIRS},
				      nobody = {.principal = ""};
	struct policy_gap gap;

	struct snapshot *snapshot = load(policies);
	struct policy_facts facts = facts_of(snapshot, &ours);
	policy_nearest(snapshot->policies, &facts, &gap);
	CU_ASSERT(gap.rule != NULL && gap.n_failed == 1 && !gap.unnamed);
	CU_ASSERT_STRING_EQUAL(gap.failed[0]->name, "ports");
	snapshot_free(snapshot);

	snapshot = load(ALLOW("ipBlocks: [ 192.0.2.0/24 ]"));
	facts = facts_of(snapshot, &theirs);
	policy_nearest(snapshot->policies, &facts, &gap);
	CU_ASSERT(gap.rule != NULL && gap.n_failed == 0 && gap.unnamed);
	snapshot_free(snapshot);

	/* The side that refused is the one that matters. */
	snapshot = load(POLICY("default", "gate", ON_EDGE FROM("ipBlocks: [ 198.51.100.0/24 ]"))
				ALLOW("principals: [ " OURS " ]"));
	facts = facts_of(snapshot, &ours);
	policy_nearest(snapshot->policies, &facts, &gap);
	CU_ASSERT(gap.rule != NULL && strcmp(gap.rule->name.bytes, "gate") == 0);
	CU_ASSERT_STRING_EQUAL(gap.failed[0]->name, "ipBlocks");
	snapshot_free(snapshot);

	snapshot = load("");
	facts = facts_of(snapshot, &nobody);
	policy_nearest(snapshot->policies, &facts, &gap);
	CU_ASSERT_PTR_NULL(gap.rule);
	snapshot_free(snapshot);
}

static const CU_TestInfo tests[] = {{"without a policy, and with empty ones", test_defaults},
				    {"what a policy applies to", test_scopes},
				    {"principals", test_principals},
				    {"namespaces and service accounts", test_namespaces_and_accounts},
				    {"D6, D7, D9: across trust domains", test_trust_domains},
				    {"addresses, ports, hosts, conditions", test_addresses_ports_hosts},
				    {"DENY goes first", test_denial},
				    {"the rule that decided", test_origins},
				    {"the rule that nearly did", test_nearest},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("policy", tests);
}
