/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/model.h"

#include <stdlib.h>

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
