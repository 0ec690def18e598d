/* SPDX-License-Identifier: Apache-2.0 */
/* kind: WorkloadEntry: one endpoint, which ServiceEntries pick by its labels; and endpoints written inline, which look
 * alike. */
#include "federation/documents.h"
#include "federation/syntax.h"

enum {
	ENDPOINT_ADDRESS,
	ENDPOINT_PORTS,
	ENDPOINT_LABELS,
	ENDPOINT_NETWORK,
	ENDPOINT_LOCALITY,
	ENDPOINT_WEIGHT,
	ENDPOINT_SERVICE_ACCOUNT,
	ENDPOINT_FIELDS
};
static const struct schema_field endpoint_fields[] = {
	[ENDPOINT_ADDRESS] = {"address", SHAPE_TEXT, false},
	[ENDPOINT_PORTS] = {"ports", SHAPE_MAPPING, false},
	[ENDPOINT_LABELS] = {"labels", SHAPE_MAPPING, false},
	[ENDPOINT_NETWORK] = {"network", SHAPE_TEXT, false},
	[ENDPOINT_LOCALITY] = {"locality", SHAPE_TEXT, false},
	[ENDPOINT_WEIGHT] = {"weight", SHAPE_NUMBER, false},
	[ENDPOINT_SERVICE_ACCOUNT] = {"serviceAccount", SHAPE_TEXT, false},
};

static void
read_ports(struct reader *reader, const struct yaml_node *mapping, struct model_endpoint *endpoint)
{
	struct model_port_override *ports = arena_array(&reader->model->arena, mapping->length, sizeof(*ports));

	endpoint->ports = ports;
	for (const struct yaml_node *node = mapping->first; node != NULL; node = node->next) {
		struct model_port_override *port = &ports[endpoint->n_ports];
		port->name.origin = reader_origin(reader, node->key);
		bool name = schema_name(reader, node->key, syntax_dns_label, PN_BAD_IDENTIFIER, "port name",
					&port->name.name);
		bool number = schema_port(reader, node, &port->port);
		if (name && number)
			endpoint->n_ports++;
	}
}

void
endpoint_read(struct reader *reader, const struct yaml_node *node, const char *what, struct name workload,
	      struct model_endpoint *endpoint)
{
	const struct yaml_node *values[ENDPOINT_FIELDS];
	const struct schema schema = {what, endpoint_fields, ENDPOINT_FIELDS, NULL};
	int64_t weight = 1;

	bool right = schema_read(reader, node, &schema, values);
	endpoint->origin = reader_origin(reader, node);
	endpoint->workload = workload;
	endpoint->uncertain = !right && (values[ENDPOINT_ADDRESS] == NULL || values[ENDPOINT_NETWORK] == NULL);
	if (values[ENDPOINT_ADDRESS] != NULL && values[ENDPOINT_ADDRESS]->length > 0) {
		endpoint->origin = reader_origin(reader, values[ENDPOINT_ADDRESS]);
		endpoint->has_address = schema_address(reader, values[ENDPOINT_ADDRESS], &endpoint->addr);
		endpoint->uncertain |= !endpoint->has_address;
	}
	if (values[ENDPOINT_PORTS] != NULL)
		read_ports(reader, values[ENDPOINT_PORTS], endpoint);
	if (values[ENDPOINT_LABELS] != NULL)
		schema_labels(reader, values[ENDPOINT_LABELS], &endpoint->labels);
	if (values[ENDPOINT_NETWORK] != NULL) {
		endpoint->network.origin = reader_origin(reader, values[ENDPOINT_NETWORK]);
		endpoint->uncertain |= !schema_name(reader, values[ENDPOINT_NETWORK], syntax_identifier,
						    PN_BAD_IDENTIFIER, "network", &endpoint->network.name);
	}
	if (values[ENDPOINT_LOCALITY] != NULL)
		schema_name(reader, values[ENDPOINT_LOCALITY], syntax_locality, PN_BAD_LOCALITY, "locality",
			    &endpoint->locality);
	if (values[ENDPOINT_WEIGHT] != NULL)
		schema_number(reader, values[ENDPOINT_WEIGHT], 0, UINT16_MAX, PN_BAD_WEIGHT, "weight", &weight);
	endpoint->weight = (uint16_t)weight;
	if (values[ENDPOINT_SERVICE_ACCOUNT] != NULL)
		schema_name(reader, values[ENDPOINT_SERVICE_ACCOUNT], syntax_dns_subdomain, PN_BAD_IDENTIFIER,
			    "serviceAccount", &endpoint->service_account);
}

void
workload_entry_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	struct model *model = reader->model;
	struct model_workload *workload = arena_alloc(&model->arena, sizeof(*workload));
	size_t raised = reader->report->n_raised;

	workload->meta = *meta;
	endpoint_read(reader, spec, "WorkloadEntry spec", meta->name, &workload->endpoint);
	if (reader->report->n_raised != raised || meta->name.length == 0)
		model->workloads_uncertain = true;
	if (!documents_claim(reader, "WorkloadEntry", meta))
		return;
	*model->workloads_end = workload;
	model->workloads_end = &workload->next;
}
