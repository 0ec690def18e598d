/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as federation.yaml: either a snapshot or an error, never both or neither, and every diagnostic prints. A
 * snapshot is then asked for each of its own services, and for names that it doesn't have, and what it says of trust
 * must hold together, and policies must let no stranger in by default.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "federation/policy.h"
#include "federation/snapshot.h"
#include "platform/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_anchors(const struct anchors_spec *anchors, bool wanted)
{
	check((anchors->kind != ANCHORS_NONE) == wanted);
	check((anchors->kind == ANCHORS_LEGACY_PKI) == (anchors->pki != NULL));
	check((anchors->kind == ANCHORS_CREDENTIAL) == (anchors->credential != NULL));
	check(anchors->credential == NULL || anchors->credential->needs_ca);
}

static void
check_backend(const struct backend *backend)
{
	uint32_t total = 0;
	for (uint32_t i = 0; i < backend->n_endpoints; i++)
		total += backend->endpoints[i]->weight;
	check(total == backend->total_weight && backend->connect_timeout_ms > 0 && backend->max_connections > 0);
	check_anchors(&backend->tls->servers, backend->tls->mode != TLS_MODE_DISABLE);
	check((backend->tls->credential != NULL) == (backend->tls->mode == TLS_MODE_MUTUAL));
	char sni[BACKEND_SNI_MAX];
	check(backend_sni(backend, sni) == strlen(sni));
}

static void
check_listener(const struct snapshot *snapshot, const struct listener *listener)
{
	check(snapshot_listener(snapshot, &listener->bind, listener->port) == listener);
	for (uint32_t i = 0; i < snapshot->n_services; i++) {
		const struct service *service = &snapshot->services[i];
		const struct service *found =
			listener_service(snapshot, listener, service->host.bytes, service->host.length);
		check(found == NULL || (found == service && service->host.bytes[0] != '*' &&
					listener->mode == LISTENER_AUTO_PASSTHROUGH));
		for (uint32_t j = 0; found != NULL && j < service->n_backends; j++) {
			const struct backend *backend = &service->backends[j];
			bool tls = backend->protocol == PROTOCOL_TLS || backend->protocol == PROTOCOL_HTTPS;
			bool has_port;
			check(service_backend(service, backend->port, backend->subset.bytes, backend->subset.length,
					      &has_port) == (tls ? backend : NULL));
			check(has_port == tls);
		}
		const struct route *named =
			listener_route(snapshot, listener, service->host.bytes, service->host.length);
		check(named == NULL ||
		      (named->n_backends > 0 && named->total_weight == named->backends[named->n_backends - 1].weight));
	}
	check(listener_service(snapshot, listener, "", 0) == NULL);
	/* Only a route for all, or that of a port without names, is for who names nobody. */
	const struct route *route = listener_route(snapshot, listener, "", 0);
	check(route == NULL || listener->n_routes > 0);
	for (uint32_t i = 0; i < listener->n_routes; i++)
		check(listener->routes[i]->total_weight > 0);
	check((listener->mode == LISTENER_TERMINATE) == (listener->n_tls > 0));
	for (uint32_t i = 0; i < listener->n_tls; i++) {
		const struct listener_tls *tls = &listener->tls[i];
		check(tls->mode != TLS_MODE_DISABLE && tls->least <= tls->most);
		check_anchors(&tls->clients, tls->mode != TLS_MODE_SIMPLE);
		check((tls->credential == NULL) == (tls->mode == TLS_MODE_ISTIO_MUTUAL));
	}
}

/* A mapped identity never leaves its map's trust domain, and that is nobody else's. */
static void
check_trust(const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_identity_rules; i++) {
		const struct identity_rule_spec *rule = &snapshot->identity_rules[i];
		const struct name *domain = &rule->map->trust_domain;
		const char *path = rule->spiffe_id.bytes + strlen("spiffe://") + domain->length;
		check(memcmp(rule->spiffe_id.bytes, "spiffe://", strlen("spiffe://")) == 0 && *path == '/');
		check(memcmp(path - domain->length, domain->bytes, domain->length) == 0);
		check((rule->from == IDENTITY_FROM_LEGACY) == (rule->pki != NULL));
		check((rule->from == IDENTITY_FROM_NETWORK) == (rule->interface.length > 0));
		for (uint32_t j = 0; j < snapshot->n_domains; j++)
			check(strcmp(snapshot->domains[j].trust_domain.bytes, domain->bytes) != 0);
	}
	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		check(snapshot->credentials[i]->needs_chain || snapshot->credentials[i]->needs_ca);
	for (uint32_t i = 0; i < snapshot->n_pkis; i++)
		check(snapshot->pkis[i].n_anchors > 0);
}

/* Policies, asked about callers of our trust domain, of another one and of none: a stranger gets in by a rule, and
 * never by default; who is denied or allowed is so by a rule of that action. */
static void
check_policies(const struct snapshot *snapshot, const struct listener *listener, const struct service *service,
	       const char *principal)
{
	const struct policy_facts facts = {.principal = principal,
					   .principal_length = (uint32_t)strlen(principal),
					   .sni = "a.example",
					   .sni_length = 9,
					   .listener = listener,
					   .service = service,
					   .port = service->n_backends == 0 ? 1 : service->backends[0].port};
	const struct name own = snapshot->trust_domain;
	bool ours = strncmp(principal, own.bytes, own.length) == 0 && principal[own.length] == '/';
	const struct policy_verdict verdict = policy_evaluate(snapshot->policies, &facts);
	struct policy_gap gap;

	check(verdict.outcome != POLICY_ALLOWED_BY_DEFAULT || ours);
	check((verdict.outcome == POLICY_NOT_PROVED) <= (principal[0] == '\0'));
	check((verdict.outcome == POLICY_ALLOWED || verdict.outcome == POLICY_NOT_ALLOWED) ==
	      (verdict.rule != NULL && verdict.rule->action == POLICY_ALLOW));
	check((verdict.outcome == POLICY_DENIED) == (verdict.rule != NULL && verdict.rule->action == POLICY_DENY));
	policy_nearest(snapshot->policies, &facts, &gap);
	check(gap.rule == NULL || gap.rule->action == POLICY_ALLOW);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct diagnostics diagnostics = {0};
	struct text printed = {0};
	struct snapshot *snapshot = federation_load_bytes("fuzz", (const char *)bytes, length, NULL, &diagnostics);

	check((snapshot == NULL) == (diagnostics.n_errors > 0));
	diagnostics_print(&diagnostics, &printed);
	if (snapshot != NULL) {
		for (uint32_t i = 0; i < snapshot->n_backends; i++)
			check_backend(snapshot->backends[i]);
		for (uint32_t i = 0; i < snapshot->n_listeners; i++)
			check_listener(snapshot, &snapshot->listeners[i]);
		for (uint32_t i = 0; i < snapshot->n_services && snapshot->n_listeners > 0; i++) {
			const struct listener *listener = &snapshot->listeners[i % snapshot->n_listeners];
			check_policies(snapshot, listener, &snapshot->services[i], "here.example/ns/bank/sa/teller");
			check_policies(snapshot, listener, &snapshot->services[i], "corp.telco.example/vm/billing");
			check_policies(snapshot, listener, &snapshot->services[i], "");
		}
		check_trust(snapshot);
	}
	snapshot_free(snapshot);
	diagnostics_free(&diagnostics);
	text_free(&printed);
	return 0;
}
