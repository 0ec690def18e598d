/* SPDX-License-Identifier: Apache-2.0 */
/* trust_spec.h's part of a snapshot. Most of it was read as it will be; what is left is to fill in what follows from
 * something else, and to put lists together. */
#include <stdlib.h>
#include <string.h>

#include "federation/compile.h"

static int
compare_domains(const void *left, const void *right)
{
	const struct federated_domain *a = left, *b = right;
	return strcmp(a->trust_domain.bytes, b->trust_domain.bytes);
}

static void
compile_domains(struct model_federation *federation, struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < federation->n_domains; i++) {
		struct federated_domain *domain = &federation->domains[i];
		domain->endpoint_url = name_or_empty(domain->endpoint_url);
		domain->endpoint_spiffe_id = name_or_empty(domain->endpoint_spiffe_id);
	}
	if (federation->n_domains > 1)
		qsort(federation->domains, federation->n_domains, sizeof(*federation->domains), compare_domains);
	snapshot->domains = federation->domains;
	snapshot->n_domains = federation->n_domains;
}

static void
compile_maps(struct model *model, struct snapshot *snapshot, struct arena *arena)
{
	uint32_t n_maps = 0, n_rules = 0;

	for (const struct model_identity_map *map = model->identity_maps; map != NULL; map = map->next) {
		n_maps++;
		n_rules += map->n_rules;
	}
	struct identity_map_spec *maps = arena_array(arena, n_maps, sizeof(*maps));
	struct identity_rule_spec *rules = arena_array(arena, n_rules, sizeof(*rules));
	snapshot->identity_maps = maps;
	snapshot->identity_rules = rules;
	for (const struct model_identity_map *map = model->identity_maps; map != NULL; map = map->next) {
		struct identity_map_spec *to = &maps[snapshot->n_identity_maps++];
		*to = (struct identity_map_spec){.name = map->meta.name,
						 .space = map->meta.space,
						 .trust_domain = map->trust_domain.name,
						 .origin = map->meta.origin};
		for (uint32_t i = 0; i < map->n_rules; i++) {
			struct identity_rule_spec *rule = &rules[snapshot->n_identity_rules++];
			*rule = map->rules[i].rule;
			rule->map = to;
			rule->dns = name_or_empty(rule->dns);
			rule->interface = name_or_empty(rule->interface);
		}
	}
}

void
compile_trust(struct model *model, struct snapshot *snapshot, struct arena *arena)
{
	const struct credential_spec **credentials =
		arena_array(arena, model->n_credentials, sizeof(struct credential_spec *));

	snapshot->identity = model->federation->identity;
	snapshot->identity.folder = name_or_empty(snapshot->identity.folder);
	snapshot->identity.spiffe_id = name_or_empty(snapshot->identity.spiffe_id);
	compile_domains(model->federation, snapshot);
	snapshot->pkis = model->federation->pkis;
	snapshot->n_pkis = model->federation->n_pkis;
	for (uint32_t i = 0; i < model->n_credentials; i++)
		credentials[i] = model->credentials[i];
	snapshot->credentials = credentials;
	snapshot->n_credentials = model->n_credentials;
	compile_maps(model, snapshot, arena);
}

const struct listener_tls *
compile_listener_tls(const struct model_listener *from, struct arena *arena)
{
	struct listener_tls *list = arena_array(arena, from->n_tls, sizeof(*list));

	for (const struct model_server *server = from->gateway->servers; server != NULL; server = server->next) {
		const struct model_tls *tls = &server->tls;
		/* A server of no host is in no list of hosts, and can't be. */
		if (server->port != from->server->port || !ip_addr_equal(&server->bind, &from->server->bind))
			continue;
		list[server->tls_index] = (struct listener_tls){.mode = tls->mode,
								.credential = tls->presented,
								.clients = tls->anchors,
								.names = tls->names,
								.n_names = tls->n_names,
								.least = tls->least,
								.most = tls->most,
								.origin = server->origin};
	}
	return list;
}

/* Of a ServiceEntry's subjectAltNames, those that such a mode can verify. */
static void
use_entry_names(const struct model_service_entry *entry, struct backend_tls *tls, struct arena *arena)
{
	bool spiffe = tls->mode == TLS_MODE_ISTIO_MUTUAL;
	struct expected_name *names = arena_array(arena, entry->n_names, sizeof(*names));

	tls->names = names;
	for (uint32_t i = 0; i < entry->n_names; i++) {
		if (entry->names[i].is_spiffe_id == spiffe)
			names[tls->n_names++] = entry->names[i];
	}
}

/* Backends share what their policy says, as long as their service adds nothing. */
const struct backend_tls *
compile_backend_tls(const struct model_service_entry *entry, const struct model_port *port,
		    const struct model_policy *policy, struct arena *arena)
{
	static const struct backend_tls plain = {.mode = TLS_MODE_DISABLE, .sni = {.bytes = ""}, .automatic = true};
	static const struct backend_tls mesh = {.mode = TLS_MODE_ISTIO_MUTUAL,
						.servers = {.kind = ANCHORS_FEDERATION},
						.sni = {.bytes = ""},
						.automatic = true};
	struct model_tls *said = policy->tls;
	enum tls_mode mode = model_tls_mode(policy, entry, port);
	bool names = entry->n_names > 0 && mode != TLS_MODE_DISABLE && (said == NULL || said->n_names == 0);

	if (said == NULL && !names)
		return mode == TLS_MODE_DISABLE ? &plain : &mesh;
	if (said != NULL && said->compiled != NULL && !names)
		return said->compiled;
	struct backend_tls *tls = arena_alloc(arena, sizeof(*tls));
	*tls = mesh;
	if (said != NULL)
		*tls = (struct backend_tls){.mode = mode,
					    .credential = said->presented,
					    .servers = said->anchors,
					    .sni = name_or_empty(said->sni),
					    .names = said->names,
					    .n_names = said->n_names,
					    .origin = said->origin};
	if (names)
		use_entry_names(entry, tls, arena);
	else
		said->compiled = tls;
	return tls;
}
