/* SPDX-License-Identifier: Apache-2.0 */
/* What a federation that bridges identities comes to: valid/bridged.yaml, record by record. */
#include "tests/unit/unit.h"

#include <string.h>

#include "federation/snapshot.h"
#include "platform/text.h"

#define FOLDER "tests/data/federation/valid/"

static struct snapshot *
load(const char *path)
{
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load(&path, 1, NULL, &diagnostics);

	if (diagnostics.n > 0) {
		struct text printed = {0};
		diagnostics_print(&diagnostics, &printed);
		printf("\n%s", printed.bytes);
		text_free(&printed);
	}
	CU_ASSERT(diagnostics.n == 0);
	diagnostics_free(&diagnostics);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	return snapshot;
}

static bool
is(struct name name, const char *text)
{
	return name.length == strlen(text) && memcmp(name.bytes, text, name.length + 1) == 0;
}

static const struct listener *
listener_on(const struct snapshot *snapshot, uint16_t port)
{
	static const struct ip_addr any;
	const struct listener *listener = snapshot_listener(snapshot, &any, port);

	CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
	return listener;
}

static const struct backend *
backend_of(const struct snapshot *snapshot, const char *host, uint16_t port, const char *subset)
{
	for (uint32_t i = 0; i < snapshot->n_backends; i++) {
		const struct backend *backend = snapshot->backends[i];
		if (is(backend->service->host, host) && backend->port == port && is(backend->subset, subset))
			return backend;
	}
	CU_FAIL_FATAL("no such backend");
	return NULL;
}

static void
test_identity(void)
{
	struct snapshot *snapshot = load(FOLDER "bridged.yaml");
	const struct identity_spec *identity = &snapshot->identity;

	CU_ASSERT(identity->kind == OWN_IDENTITY_EMBEDDED);
	CU_ASSERT(is(identity->folder, FOLDER "ca"));
	CU_ASSERT(is(identity->spiffe_id, "spiffe://lulea.telco.example/gateway/lulea-0421"));
	CU_ASSERT(identity->svid_ttl_ms == 30 * 60 * 1000);

	CU_ASSERT_EQUAL_FATAL(snapshot->n_domains, 2);
	const struct federated_domain *bank = &snapshot->domains[0], *core = &snapshot->domains[1];
	CU_ASSERT(is(bank->trust_domain, "bank.example") && bank->profile == BUNDLE_NOT_FETCHED);
	CU_ASSERT(is(bank->bootstrap_bundle, "/etc/bundles/bank.pem") && is(bank->endpoint_url, ""));
	CU_ASSERT(bank->warn_after_ms == 0 && bank->max_age_ms == 0 && !bank->distrust_expired);
	CU_ASSERT(is(core->trust_domain, "core.telco.example") && core->profile == BUNDLE_HTTPS_SPIFFE);
	CU_ASSERT(is(core->endpoint_url, "https://spire.core.telco.example:8443/"));
	CU_ASSERT(is(core->endpoint_spiffe_id, "spiffe://core.telco.example/spire/server"));
	CU_ASSERT(is(core->bootstrap_bundle, FOLDER "bundles/core.telco.example.jwks"));
	CU_ASSERT(core->warn_after_ms == 3600000 && core->max_age_ms == 72 * 3600000 && core->distrust_expired);

	CU_ASSERT_EQUAL_FATAL(snapshot->n_pkis, 3);
	const struct legacy_pki_spec *pkis = snapshot->pkis;
	CU_ASSERT(is(pkis[0].name, "corp") && pkis[0].n_anchors == 2 && pkis[0].n_crls == 1);
	CU_ASSERT(is(pkis[0].anchors[1], FOLDER "anchors/corp-root-2.pem"));
	CU_ASSERT(is(pkis[0].crls[0], FOLDER "anchors/corp.crl"));
	/* With CRLs, what none covers is refused; the file may say otherwise. */
	CU_ASSERT(pkis[0].refuse_unknown_revocation);
	CU_ASSERT(pkis[1].n_crls == 0 && pkis[1].refuse_unknown_revocation);
	CU_ASSERT(pkis[2].n_crls == 1 && !pkis[2].refuse_unknown_revocation);
	snapshot_free(snapshot);
}

static const struct credential_spec *
credential(const struct snapshot *snapshot, const char *name)
{
	for (uint32_t i = 0; i < snapshot->n_credentials; i++) {
		if (is(snapshot->credentials[i]->name, name))
			return snapshot->credentials[i];
	}
	CU_FAIL_FATAL("no such credential");
	return NULL;
}

static void
test_listeners(void)
{
	static const struct {
		uint16_t port;
		enum listener_mode mode;
	} modes[] = {
		{443, LISTENER_TERMINATE},   {446, LISTENER_TERMINATE}, {5432, LISTENER_TCP},
		{6379, LISTENER_PLAIN},      {8080, LISTENER_PLAIN},    {15443, LISTENER_AUTO_PASSTHROUGH},
		{15444, LISTENER_TERMINATE},
	};
	static const struct {
		const char *name;
		enum tls_mode mode;
		const char *credential, *pki, *routed;
	} servers[] = {
		{"payments.corp.telco.example", TLS_MODE_MUTUAL, "payments-legacy", "corp",
		 "payments.bank.svc.cluster.local"},
		{"shop.example", TLS_MODE_SIMPLE, "shop", NULL, "ledger.bank.svc.cluster.local"},
		{"a.b.shop.example", TLS_MODE_SIMPLE, "shop", NULL, "ledger.bank.svc.cluster.local"},
		{"x.example", TLS_MODE_MUTUAL, "meters", "meters-cacert", "ledger.bank.svc.cluster.local"},
		{"", TLS_MODE_MUTUAL, "meters", "meters-cacert", "ledger.bank.svc.cluster.local"},
	};
	struct snapshot *snapshot = load(FOLDER "bridged.yaml");

	CU_ASSERT_EQUAL(snapshot->n_listeners, sizeof(modes) / sizeof(*modes));
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		CU_ASSERT_EQUAL(listener_on(snapshot, modes[i].port)->mode, modes[i].mode);
	const struct listener *legacy = listener_on(snapshot, 443);
	CU_ASSERT_EQUAL(legacy->n_tls, 3);
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++) {
		size_t length = strlen(servers[i].name);
		const struct listener_tls *tls = listener_server(snapshot, legacy, servers[i].name, length);
		const struct route *route = listener_route(snapshot, legacy, servers[i].name, length);
		CU_ASSERT_FATAL(tls != NULL && route != NULL);
		CU_ASSERT_EQUAL(tls->mode, servers[i].mode);
		CU_ASSERT(is(tls->credential->name, servers[i].credential) && tls->credential->needs_chain);
		if (servers[i].pki == NULL)
			CU_ASSERT(tls->clients.kind == ANCHORS_NONE);
		if (servers[i].pki != NULL)
			CU_ASSERT(tls->clients.kind == ANCHORS_LEGACY_PKI &&
				  is(tls->clients.pki->name, servers[i].pki));
		CU_ASSERT(is(route->backends[0].backend->service->host, servers[i].routed));
		CU_ASSERT_EQUAL(tls->most, TLS_WIRE_1_3);
		CU_ASSERT_EQUAL(tls->least, tls->mode == TLS_MODE_SIMPLE ? TLS_WIRE_1_3 : TLS_WIRE_1_2);
	}
	const struct listener_tls *first = &legacy->tls[0];
	CU_ASSERT_EQUAL_FATAL(first->n_names, 2);
	CU_ASSERT(is(first->names[0].text, "billing.corp.telco.example") && !first->names[0].is_spiffe_id);
	CU_ASSERT_EQUAL(first->origin.line, 45);

	const struct listener *mesh = listener_on(snapshot, 15444);
	const struct listener_tls *istio = listener_server(snapshot, mesh, "any.example", 11);
	CU_ASSERT_FATAL(istio != NULL);
	CU_ASSERT(istio->mode == TLS_MODE_ISTIO_MUTUAL && istio->credential == NULL &&
		  istio->clients.kind == ANCHORS_FEDERATION && istio->most == TLS_WIRE_1_2 && istio->n_names == 1 &&
		  istio->names[0].is_spiffe_id);
	/* The more particular host's route, and on its own port. */
	CU_ASSERT(is(
		listener_route(snapshot, mesh, "payments.corp.telco.example", 27)->backends[0].backend->service->host,
		"old.corp.telco.example"));

	const struct listener *partner = listener_on(snapshot, 446);
	CU_ASSERT_PTR_NULL(listener_server(snapshot, partner, "x.example", 9));
	CU_ASSERT_PTR_NULL(listener_server(snapshot, partner, "", 0));
	const struct listener_tls *own = listener_server(snapshot, partner, "partner.example", 15);
	CU_ASSERT_FATAL(own != NULL);
	CU_ASSERT(own->clients.kind == ANCHORS_CREDENTIAL && is(own->clients.credential->name, "partner") &&
		  own->clients.credential->needs_ca);
	/* One route has all that comes in by plain TCP. */
	CU_ASSERT(is(listener_route(snapshot, listener_on(snapshot, 5432), "", 0)->backends[0].backend->service->host,
		     "db.example"));
	CU_ASSERT_PTR_NULL(listener_server(snapshot, listener_on(snapshot, 5432), "", 0));
	CU_ASSERT_PTR_NULL(listener_server(snapshot, listener_on(snapshot, 15443), "", 0));

	CU_ASSERT_EQUAL(snapshot->n_credentials, 4);
	CU_ASSERT(is(credential(snapshot, "shop")->path, FOLDER "credentials/shop"));
	CU_ASSERT(!credential(snapshot, "shop")->needs_ca && credential(snapshot, "meters")->needs_chain);
	snapshot_free(snapshot);
}

static void
test_backends(void)
{
	static const struct {
		const char *host;
		uint16_t port;
		const char *subset;
		enum tls_mode mode;
		enum anchors anchors;
		const char *sni, *credential, *name; /* NULL: none */
		bool automatic, proxy;
	} cases[] = {
		{"payments.bank.svc.cluster.local", 8443, "", TLS_MODE_ISTIO_MUTUAL, ANCHORS_FEDERATION,
		 "outbound_.8443_._.payments.bank.svc.cluster.local", NULL, NULL, true, false},
		{"payments.bank.svc.cluster.local", 9000, "", TLS_MODE_DISABLE, ANCHORS_NONE,
		 "payments.bank.svc.cluster.local", NULL, NULL, true, false},
		{"ledger.bank.svc.cluster.local", 8443, "", TLS_MODE_ISTIO_MUTUAL, ANCHORS_FEDERATION,
		 "outbound_.8443_._.ledger.example", NULL, "spiffe://lulea.telco.example/ns/bank/sa/ledger", false,
		 false},
		{"ledger.bank.svc.cluster.local", 8443, "v1", TLS_MODE_ISTIO_MUTUAL, ANCHORS_FEDERATION,
		 "outbound_.8443_._.ledger.example", NULL, "spiffe://lulea.telco.example/ns/bank/sa/ledger", false,
		 false},
		{"ledger.bank.svc.cluster.local", 8443, "named", TLS_MODE_ISTIO_MUTUAL, ANCHORS_FEDERATION,
		 "outbound_.8443_.named_.ledger.bank.svc.cluster.local", NULL, "spiffe://bank.example/ledger", false,
		 false},
		{"old.corp.telco.example", 443, "", TLS_MODE_SIMPLE, ANCHORS_LEGACY_PKI, "old.corp.telco.example", NULL,
		 "old.example", false, true},
		{"*.olds.corp.telco.example", 443, "", TLS_MODE_SIMPLE, ANCHORS_LEGACY_PKI, "", NULL, "old.example",
		 false, true},
		{"old.corp.telco.example", 443, "v1", TLS_MODE_MUTUAL, ANCHORS_CREDENTIAL, "old.corp.telco.example",
		 "partner", "old.example", false, true},
		/* A port's own settings take nothing from around them but PROXY, and a subset's go before. */
		{"old.corp.telco.example", 8443, "", TLS_MODE_MUTUAL, ANCHORS_LEGACY_PKI, "old", "meters",
		 "other.example", false, true},
		{"old.corp.telco.example", 8443, "v1", TLS_MODE_MUTUAL, ANCHORS_CREDENTIAL, "old.corp.telco.example",
		 "partner", "old.example", false, true},
		{"old.corp.telco.example", 80, "", TLS_MODE_DISABLE, ANCHORS_NONE, "old.corp.telco.example", NULL, NULL,
		 true, true},
		{"db.example", 5432, "", TLS_MODE_DISABLE, ANCHORS_NONE, "db.example", NULL, NULL, true, false},
		{"cache.example", 6379, "", TLS_MODE_DISABLE, ANCHORS_NONE, "cache.example", NULL, NULL, true, true},
	};
	struct snapshot *snapshot = load(FOLDER "bridged.yaml");

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct backend *backend = backend_of(snapshot, cases[i].host, cases[i].port, cases[i].subset);
		const struct backend_tls *tls = backend->tls;
		char sni[BACKEND_SNI_MAX];
		CU_ASSERT(tls->mode == cases[i].mode && tls->servers.kind == cases[i].anchors);
		CU_ASSERT(tls->automatic == cases[i].automatic && backend->proxy_protocol == cases[i].proxy);
		CU_ASSERT_EQUAL(backend_sni(backend, sni), strlen(cases[i].sni));
		CU_ASSERT_STRING_EQUAL(sni, cases[i].sni);
		CU_ASSERT((tls->credential == NULL) == (cases[i].credential == NULL));
		CU_ASSERT(tls->credential == NULL || is(tls->credential->name, cases[i].credential));
		CU_ASSERT(tls->n_names == (cases[i].name == NULL ? 0 : 1));
		CU_ASSERT(tls->n_names != 1 || is(tls->names[0].text, cases[i].name));
	}
	CU_ASSERT_EQUAL(backend_of(snapshot, "old.corp.telco.example", 443, "")->max_connections, 7);
	const struct backend *plain = backend_of(snapshot, "old.corp.telco.example", 80, "");
	CU_ASSERT(plain->max_connections == UINT32_MAX && plain->balancer == LB_RANDOM);
	const struct backend *payments = backend_of(snapshot, "payments.bank.svc.cluster.local", 8443, "");
	CU_ASSERT_EQUAL_FATAL(payments->n_endpoints, 2);
	CU_ASSERT(is(payments->endpoints[0]->trust_domain, "lulea.telco.example"));
	CU_ASSERT(is(payments->endpoints[1]->trust_domain, "core.telco.example") && payments->endpoints[1]->is_gateway);
	snapshot_free(snapshot);
}

static void
test_identity_maps(void)
{
	struct snapshot *snapshot = load(FOLDER "bridged.yaml");
	const struct identity_rule_spec *rules = snapshot->identity_rules;
	uint8_t pin[32];

	for (unsigned i = 0; i < sizeof(pin); i++)
		pin[i] = (uint8_t)(i % 16 * 0x11);
	CU_ASSERT_EQUAL(snapshot->n_identity_maps, 2);
	CU_ASSERT_EQUAL_FATAL(snapshot->n_identity_rules, 4);
	CU_ASSERT(rules[0].from == IDENTITY_FROM_LEGACY && is(rules[0].pki->name, "corp") &&
		  is(rules[0].dns, "billing.corp.telco.example") && is(rules[0].interface, ""));
	/* The same hash, in hexadecimal and in base64. */
	CU_ASSERT(rules[0].has_spki && memcmp(rules[0].spki_sha256, pin, sizeof(pin)) == 0);
	CU_ASSERT(is(rules[1].spiffe_id, "spiffe://corp.telco.example/meter/{dns.label}") && !rules[1].has_spki);
	CU_ASSERT(rules[2].from == IDENTITY_FROM_NETWORK && is(rules[2].interface, "vm0") &&
		  rules[2].source.length == 24 && rules[2].pki == NULL && is(rules[2].dns, ""));
	CU_ASSERT(is(rules[2].map->trust_domain, "corp.telco.example"));
	CU_ASSERT(rules[3].has_spki && memcmp(rules[3].spki_sha256, pin, sizeof(pin)) == 0 && is(rules[3].dns, ""));
	CU_ASSERT(is(rules[3].map->name, "ours") && is(rules[3].map->space, "bank"));
	snapshot_free(snapshot);
}

/* The file that people begin with. */
static void
test_example(void)
{
	struct snapshot *snapshot = load("docs/federation.yaml.example");

	CU_ASSERT(snapshot->identity.kind == OWN_IDENTITY_EMBEDDED && snapshot->n_domains == 1 &&
		  snapshot->n_pkis == 1 && snapshot->n_identity_rules == 3);
	CU_ASSERT(is(snapshot->pkis[0].anchors[0], "docs/anchors/corp-root.pem"));
	snapshot_free(snapshot);
}

static const CU_TestInfo tests[] = {{"own identity, trust domains, legacy PKIs", test_identity},
				    {"listeners and how they end TLS", test_listeners},
				    {"backends and how TLS begins there", test_backends},
				    {"identity maps", test_identity_maps},
				    {"the documented example", test_example},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("federation_trust", tests);
}
