/* SPDX-License-Identifier: Apache-2.0 */
/* kind: ServiceEntry: hosts, their ports, and the endpoints behind them. */
#include <string.h>
#include <strings.h>

#include "federation/documents.h"
#include "federation/syntax.h"

enum { SPEC_HOSTS, SPEC_PORTS, SPEC_LOCATION, SPEC_RESOLUTION, SPEC_ENDPOINTS, SPEC_SELECTOR, SPEC_NAMES, SPEC_FIELDS };
static const struct schema_field spec_fields[] = {
	[SPEC_HOSTS] = {"hosts", SHAPE_LIST, true},
	[SPEC_PORTS] = {"ports", SHAPE_LIST, true},
	[SPEC_LOCATION] = {"location", SHAPE_TEXT, false},
	/* Istio's default, NONE, forwards to wherever the client meant: not something to get by leaving a line out. */
	[SPEC_RESOLUTION] = {"resolution", SHAPE_TEXT, true},
	[SPEC_ENDPOINTS] = {"endpoints", SHAPE_LIST, false},
	[SPEC_SELECTOR] = {"workloadSelector", SHAPE_MAPPING, false},
	[SPEC_NAMES] = {"subjectAltNames", SHAPE_LIST, false},
};
static const char *const spec_unsupported[] = {"addresses", "exportTo", NULL};
static const struct schema spec_schema = {"ServiceEntry spec", spec_fields, SPEC_FIELDS, spec_unsupported};

enum { PORT_NUMBER, PORT_NAME, PORT_PROTOCOL, PORT_TARGET, PORT_FIELDS };
static const struct schema_field port_fields[] = {
	[PORT_NUMBER] = {"number", SHAPE_NUMBER, true},
	[PORT_NAME] = {"name", SHAPE_TEXT, true},
	[PORT_PROTOCOL] = {"protocol", SHAPE_TEXT, false},
	[PORT_TARGET] = {"targetPort", SHAPE_NUMBER, false},
};
static const struct schema port_schema = {"ServiceEntry spec.ports[]", port_fields, PORT_FIELDS, NULL};

enum { SELECTOR_LABELS, SELECTOR_FIELDS };
static const struct schema_field selector_fields[] = {
	[SELECTOR_LABELS] = {"labels", SHAPE_MAPPING, true},
};
static const struct schema selector_schema = {"ServiceEntry spec.workloadSelector", selector_fields, SELECTOR_FIELDS,
					      NULL};

static const char *const locations[] = {"MESH_EXTERNAL", "MESH_INTERNAL", NULL};
enum { LOCATION_EXTERNAL, LOCATION_INTERNAL, LOCATIONS };
static const char *const resolutions[] = {"STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS", "NONE", NULL};
enum { RESOLUTIONS_SUPPORTED = 1 };

static const char *const protocols[] = {[PROTOCOL_TLS] = "TLS",
					[PROTOCOL_HTTPS] = "HTTPS",
					[PROTOCOL_TCP] = "TCP",
					[PROTOCOL_HTTP] = "HTTP",
					[PROTOCOL_GRPC] = "GRPC",
					[PROTOCOL_MONGO] = "MONGO",
					[PROTOCOL_HTTP2] = "HTTP2",
					"GRPC-WEB",
					"MYSQL",
					"REDIS",
					"UDP",
					NULL};
enum { PROTOCOLS_SUPPORTED = PROTOCOL_HTTP2 + 1 };

static bool
read_host(struct reader *reader, const struct yaml_node *node, struct name *host)
{
	if (!schema_host(reader, node, true, host))
		return false;
	if (strcmp(host->bytes, "*") == 0) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_WILDCARD,
			     "a ServiceEntry can't be every host; \"*.suffix\" is the widest");
		return false;
	}
	if (strchr(host->bytes, '.') == NULL) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_HOST,
			     "host \"%s\" needs its domain; a name without a dot means one in the cluster's own",
			     host->bytes);
		return false;
	}
	return true;
}

/* Istio takes protocols in any case. */
static bool
read_protocol(struct reader *reader, const struct yaml_node *node, enum port_protocol *protocol)
{
	unsigned choice;

	for (unsigned i = 0; i < PROTOCOLS_SUPPORTED; i++) {
		if (strcasecmp(protocols[i], node->text) == 0) {
			*protocol = (enum port_protocol)i;
			return true;
		}
	}
	return schema_choice(reader, node, protocols, PROTOCOLS_SUPPORTED, "protocol", &choice);
}

static bool
read_port(struct reader *reader, const struct yaml_node *node, struct model_port *port)
{
	const struct yaml_node *values[PORT_FIELDS];
	bool right = schema_read(reader, node, &port_schema, values);

	port->origin = reader_origin(reader, node);
	port->protocol = PROTOCOL_TCP;
	if (values[PORT_NUMBER] != NULL) {
		port->origin = reader_origin(reader, values[PORT_NUMBER]);
		right = schema_port(reader, values[PORT_NUMBER], &port->number) && right;
		port->target = port->number;
	}
	if (values[PORT_NAME] != NULL)
		right = schema_name(reader, values[PORT_NAME], syntax_dns_label, PN_BAD_IDENTIFIER, "port name",
				    &port->name) &&
			right;
	if (values[PORT_PROTOCOL] != NULL)
		right = read_protocol(reader, values[PORT_PROTOCOL], &port->protocol) && right;
	if (values[PORT_TARGET] != NULL)
		right = schema_port(reader, values[PORT_TARGET], &port->target) && right;
	return right;
}

/* How many ports a service has is small, in Istio too: comparing each with each is fine, and the file's size bounds the
 * rest. */
enum { PORTS_MAX = 256 };

static bool
check_port(struct reader *reader, const struct model_service_entry *entry, const struct model_port *port)
{
	for (uint32_t i = 0; i < entry->n_ports; i++) {
		const struct model_port *other = &entry->ports[i];
		if (other->number == port->number) {
			report_error(reader->report, port->origin, PN_DUPLICATE_PORT,
				     "port %u is in this ServiceEntry already, on line %u", port->number,
				     other->origin.line);
			return false;
		}
		if (name_equal(other->name, port->name)) {
			report_error(reader->report, port->origin, PN_DUPLICATE_PORT,
				     "a port named \"%s\" is in this ServiceEntry already, on line %u",
				     port->name.bytes, other->origin.line);
			return false;
		}
	}
	return true;
}

static void
read_ports(struct reader *reader, const struct yaml_node *list, struct model_service_entry *entry)
{
	if (!documents_not_empty(reader, list, "ports of a ServiceEntry"))
		entry->ports_uncertain = true;
	if (list->length > PORTS_MAX) {
		report_error(reader->report, reader_origin(reader, list), PN_BAD_COUNT,
			     "a service can't have more than %d ports", PORTS_MAX);
		entry->ports_uncertain = true;
		return;
	}
	entry->ports = arena_array(&reader->model->arena, list->length, sizeof(*entry->ports));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		struct model_port *port = &entry->ports[entry->n_ports];
		if (!read_port(reader, node, port))
			entry->ports_uncertain = true;
		else if (check_port(reader, entry, port))
			entry->n_ports++;
	}
}

static void
read_endpoints(struct reader *reader, const struct yaml_node *list, struct model_service_entry *entry)
{
	struct arena *arena = &reader->model->arena;
	size_t raised = reader->report->n_raised;

	documents_not_empty(reader, list, "endpoints of a ServiceEntry");
	entry->endpoints = arena_array(arena, list->length, sizeof(struct model_endpoint *));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		struct model_endpoint *endpoint = arena_alloc(arena, sizeof(*endpoint));
		endpoint_read(reader, node, "ServiceEntry spec.endpoints[]", entry->meta.name, endpoint);
		entry->endpoints[entry->n_endpoints++] = endpoint;
	}
	entry->endpoints_uncertain = reader->report->n_raised != raised;
}

static void
read_selector(struct reader *reader, const struct yaml_node *node, struct model_service_entry *entry)
{
	const struct yaml_node *values[SELECTOR_FIELDS];

	entry->selector_origin = reader_origin(reader, node->key);
	if (!schema_read(reader, node, &selector_schema, values) || values[SELECTOR_LABELS] == NULL) {
		entry->endpoints_uncertain = true;
		return;
	}
	if (!documents_not_empty(reader, values[SELECTOR_LABELS], "labels of a workloadSelector") ||
	    !schema_labels(reader, values[SELECTOR_LABELS], &entry->selector)) {
		entry->endpoints_uncertain = true;
		return;
	}
	entry->has_selector = true;
}

void
service_entry_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_service_entry *entry = arena_alloc(&model->arena, sizeof(*entry));
	unsigned location = LOCATION_EXTERNAL, resolution = 0;

	bool right = schema_read(reader, spec, &spec_schema, values);
	entry->meta = *meta;
	entry->hosts_uncertain =
		values[SPEC_HOSTS] == NULL ||
		!documents_mentions(reader, values[SPEC_HOSTS], read_host, "hosts of a ServiceEntry", &entry->hosts);
	model->hosts_uncertain |= entry->hosts_uncertain;
	if (values[SPEC_PORTS] != NULL)
		read_ports(reader, values[SPEC_PORTS], entry);
	else
		entry->ports_uncertain = true;
	if (values[SPEC_NAMES] != NULL)
		schema_expected_names(reader, values[SPEC_NAMES], NAMES_DNS | NAMES_SPIFFE, &entry->names,
				      &entry->n_names);
	if (values[SPEC_LOCATION] != NULL)
		schema_choice(reader, values[SPEC_LOCATION], locations, LOCATIONS, "location", &location);
	entry->external = location == LOCATION_EXTERNAL;
	bool known = values[SPEC_RESOLUTION] != NULL && schema_choice(reader, values[SPEC_RESOLUTION], resolutions,
								      RESOLUTIONS_SUPPORTED, "resolution", &resolution);
	if (values[SPEC_ENDPOINTS] != NULL && values[SPEC_SELECTOR] != NULL)
		report_error(reader->report, reader_origin(reader, values[SPEC_SELECTOR]->key), PN_EXCLUSIVE,
			     "a ServiceEntry has endpoints or a workloadSelector, not both");
	/* How to read an address depends on the resolution: with DNS it would be a name, and rightly so. */
	if (!known)
		entry->endpoints_uncertain = true;
	else if (values[SPEC_ENDPOINTS] != NULL)
		read_endpoints(reader, values[SPEC_ENDPOINTS], entry);
	else if (values[SPEC_SELECTOR] != NULL)
		read_selector(reader, values[SPEC_SELECTOR], entry);
	else if (right)
		report_error(reader->report, reader_origin(reader, spec), PN_MISSING_FIELD,
			     "ServiceEntry spec lacks endpoints or a workloadSelector");
	if (!documents_claim(reader, "ServiceEntry", meta)) {
		model->hosts_uncertain = true;
		return;
	}
	*model->entries_end = entry;
	model->entries_end = &entry->next;
}
