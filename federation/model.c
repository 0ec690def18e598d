/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/model.h"

#include <stdlib.h>
#include <string.h>

#include "platform/text.h"

enum { CONNECT_TIMEOUT_DEFAULT_MS = 10000 };

void
model_init(struct model *model, struct arena *names)
{
	*model = (struct model){.names = {.arena = names}};
	model->default_space = text_pool_add(&model->names, "default", 7);
	model->gateways_end = &model->gateways;
	model->entries_end = &model->entries;
	model->workloads_end = &model->workloads;
	model->rules_end = &model->rules;
	model->virtual_services_end = &model->virtual_services;
	model->identity_maps_end = &model->identity_maps;
	model->authorizations_end = &model->authorizations;
	model->listeners_end = &model->listeners;
}

void
model_free(struct model *model)
{
	for (struct model_listener *listener = model->listeners; listener != NULL; listener = listener->next) {
		name_map_free(&listener->hosts);
		name_map_free(&listener->routes);
		free(listener->host_list);
	}
	name_map_free(&model->hosts);
	name_map_free(&model->claims);
	free(model->claim_origins);
	name_map_free(&model->credential_paths);
	free(model->credentials);
	free(model->routes);
	text_pool_free(&model->names);
	arena_free(&model->arena);
}

uint32_t
model_claim(struct model *model, struct origin origin)
{
	if (model->n_claims == model->claims_capacity) {
		model->claims_capacity = model->claims_capacity == 0 ? 16 : model->claims_capacity * 2;
		model->claim_origins =
			realloc(model->claim_origins, model->claims_capacity * sizeof(*model->claim_origins));
		if (model->claim_origins == NULL)
			abort();
	}
	model->claim_origins[model->n_claims] = origin;
	return model->n_claims++;
}

uint16_t
model_endpoint_port(const struct model_endpoint *endpoint, const struct model_port *port)
{
	for (uint32_t i = 0; i < endpoint->n_ports; i++) {
		if (name_equal(endpoint->ports[i].name.name, port->name))
			return endpoint->ports[i].port;
	}
	return port->target;
}

bool
model_labels_match(const struct model_labels *selector, const struct model_labels *labels)
{
	for (uint32_t i = 0; i < selector->n; i++) {
		bool found = false;
		for (uint32_t j = 0; j < labels->n && !found; j++)
			found = name_equal(labels->list[j].key, selector->list[i].key) &&
				name_equal(labels->list[j].value, selector->list[i].value);
		if (!found)
			return false;
	}
	return true;
}

struct model_policy
model_policy_default(void)
{
	return (struct model_policy){.balancer = LB_LEAST_REQUEST,
				     .connect_timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS,
				     .max_connections = UINT32_MAX};
}

static void
lay_over(struct model_policy *policy, const struct model_policy *over)
{
	if (over->has_balancer)
		policy->balancer = over->balancer;
	if (over->has_pool) {
		policy->connect_timeout_ms = over->connect_timeout_ms;
		policy->max_connections = over->max_connections;
	}
	if (over->tls != NULL)
		policy->tls = over->tls;
	if (over->has_proxy) {
		policy->has_proxy = true;
		policy->proxy_origin = over->proxy_origin;
	}
}

/* What a port's own settings leave out is Istio's default, not the policy's around it. They can't speak of PROXY. */
static void
lay_over_for_port(struct model_policy *policy, const struct model_policy *over, uint16_t port)
{
	lay_over(policy, over);
	for (uint32_t i = 0; i < over->n_ports; i++) {
		if (over->ports[i].port != port)
			continue;
		struct model_policy own = model_policy_default();
		own.has_proxy = policy->has_proxy;
		own.proxy_origin = policy->proxy_origin;
		lay_over(&own, &over->ports[i].policy);
		*policy = own;
	}
}

struct model_policy
model_policy_for(const struct model_rule *rule, const struct model_subset *subset, uint16_t port)
{
	struct model_policy policy = model_policy_default();

	if (rule != NULL)
		lay_over_for_port(&policy, &rule->policy, port);
	if (subset != NULL)
		lay_over_for_port(&policy, &subset->policy, port);
	return policy;
}

bool
model_port_is_tls(const struct model_port *port)
{
	return port->protocol == PROTOCOL_TLS || port->protocol == PROTOCOL_HTTPS;
}

enum tls_mode
model_tls_mode(const struct model_policy *policy, const struct model_service_entry *entry,
	       const struct model_port *port)
{
	if (policy->tls != NULL)
		return policy->tls->mode;
	return !entry->external && model_port_is_tls(port) ? TLS_MODE_ISTIO_MUTUAL : TLS_MODE_DISABLE;
}

struct name
model_path(struct model *model, const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	struct text whole = {0};

	if (path[0] != '/' && slash != NULL)
		text_add(&whole, file, (size_t)(slash - file) + 1);
	text_print(&whole, "%s", path);
	struct name name = text_pool_add(&model->names, whole.bytes, whole.length);
	text_free(&whole);
	return name;
}

struct credential_spec *
model_credential(struct model *model, const struct model_mention *mention)
{
	struct text inside = {0};
	uint32_t *index;

	text_print(&inside, "credentials/%s", mention->name.bytes);
	struct name path = model_path(model, mention->origin.file, inside.bytes);
	text_free(&inside);
	if (!name_map_add(&model->credential_paths, path.bytes, path.length, NULL, &index))
		return model->credentials[*index];
	*index = model->n_credentials;
	if (model->n_credentials == model->credentials_capacity) {
		model->credentials_capacity = model->credentials_capacity == 0 ? 16 : model->credentials_capacity * 2;
		model->credentials =
			realloc(model->credentials, model->credentials_capacity * sizeof(struct credential_spec *));
		if (model->credentials == NULL)
			abort();
	}
	struct credential_spec *credential = arena_alloc(model->names.arena, sizeof(*credential));
	*credential = (struct credential_spec){.name = mention->name, .path = path, .origin = mention->origin};
	model->credentials[model->n_credentials++] = credential;
	return credential;
}
