/* SPDX-License-Identifier: Apache-2.0 */
/* From a proved identity and a connection's facts to a reason; and the same facts again after a reload. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/authorize.h"
#include "platform/text.h"

#define BASE                                                                                                           \
	"apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: here }\n"                               \
	"spec: { trustDomain: here.example, clusterID: here }\n---\n"                                                  \
	"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: { name: edge }\nspec:\n  servers:\n"             \
	"  - port: { number: 443, name: tls, protocol: TLS }\n    tls: { mode: PASSTHROUGH }\n    hosts: [ \"*\" ]\n"  \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: a, namespace: a }\nspec:\n"    \
	"  hosts: [ a.example ]\n  resolution: STATIC\n  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n"      \
	"  endpoints: [ { address: 10.0.0.1 } ]\n"
#define POLICY(action, source)                                                                                         \
	"---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: a }\n"      \
	"spec: { action: " action ", rules: [ { from: [ { source: { " source " } } ] } ] }\n"

static struct snapshot *
load(const char *policies)
{
	struct diagnostics diagnostics = {0};
	struct text file = {0};

	text_print(&file, "%s%s", BASE, policies);
	struct snapshot *snapshot = federation_load_bytes("test.yaml", file.bytes, file.length, NULL, &diagnostics);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	diagnostics_free(&diagnostics);
	text_free(&file);
	return snapshot;
}

static struct peer_identity *
identity(const char *text)
{
	struct peer_identity_source source = {.kind = PEER_SPIFFE, .role = PEER_CLIENT};

	if (text[0] != '\0')
		CU_ASSERT_FATAL(spiffe_id_parse(text, strlen(text), &source.id) == CERT_NONE);
	struct peer_identity *made = peer_identity_new(&source);
	CU_ASSERT_PTR_NOT_NULL_FATAL(made);
	return made;
}

static enum reason
ask(const struct snapshot *snapshot, const struct peer_identity *who, struct policy_verdict *verdict)
{
	static const struct ip_addr any;
	struct authorize_facts facts = {.identity = who,
					.listener = snapshot_listener(snapshot, &any, 443),
					.service = &snapshot->services[0],
					.port = 8443,
					.sni = "b.example",
					.sni_length = 9};

	CU_ASSERT_FATAL(ip_addr_parse("192.0.2.7", &facts.client));
	return authorize(snapshot, &facts, verdict);
}

static void
test_reasons(void)
{
	static const struct {
		const char *policies, *id; /* NULL: no identity at all */
		enum reason reason;
	} cases[] = {
		{"", "spiffe://here.example/ns/a/sa/x", REASON_NONE},
		{"", "spiffe://core.example/ns/a/sa/x", REASON_AUTHZ_DEFAULT_DENY},
		{"", "", REASON_AUTHZ_DEFAULT_DENY},
		{"", NULL, REASON_AUTHZ_DEFAULT_DENY},
		{POLICY("ALLOW", "principals: [ core.example/ns/a/sa/x ]"), "spiffe://core.example/ns/a/sa/x",
		 REASON_NONE},
		{POLICY("ALLOW", "principals: [ core.example/ns/a/sa/x ]"), "spiffe://here.example/ns/a/sa/x",
		 REASON_AUTHZ_NOT_ALLOWED},
		{POLICY("DENY", "namespaces: [ a ]"), "spiffe://here.example/ns/a/sa/x", REASON_AUTHZ_DENIED},
		{POLICY("ALLOW", "ipBlocks: [ 192.0.2.7 ]"), NULL, REASON_NONE},
		{POLICY("ALLOW", "ipBlocks: [ 192.0.2.8 ]"), NULL, REASON_AUTHZ_NOT_ALLOWED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct snapshot *snapshot = load(cases[i].policies);
		struct peer_identity *who = cases[i].id == NULL ? NULL : identity(cases[i].id);
		struct policy_verdict verdict;
		CU_ASSERT_EQUAL(ask(snapshot, who, &verdict), cases[i].reason);
		CU_ASSERT_EQUAL(policy_allows(&verdict), cases[i].reason == REASON_NONE);
		CU_ASSERT_EQUAL(ask(snapshot, who, NULL), cases[i].reason);
		peer_identity_drop(who);
		snapshot_free(snapshot);
	}
}

static void
test_again(void)
{
	struct peer_identity *who = identity("spiffe://core.example/ns/a/sa/x");
	struct snapshot *before = load(POLICY("ALLOW", "principals: [ \"core.example/*\" ]"));

	CU_ASSERT_EQUAL(ask(before, who, NULL), REASON_NONE);
	snapshot_free(before);
	struct snapshot *after = load(POLICY("ALLOW", "principals: [ \"core.example/ns/b/*\" ]"));
	CU_ASSERT_EQUAL(ask(after, who, NULL), REASON_AUTHZ_NOT_ALLOWED);
	snapshot_free(after);
	peer_identity_drop(who);
}

static const CU_TestInfo tests[] = {
	{"reasons", test_reasons}, {"the same facts after a reload", test_again}, CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("authorize", tests);
}
