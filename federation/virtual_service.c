/* SPDX-License-Identifier: Apache-2.0 */
/* kind: VirtualService: which server name, at which Gateways, goes to which services, in which shares. */
#include <string.h>

#include "federation/documents.h"
#include "federation/syntax.h"

enum { SPEC_HOSTS, SPEC_GATEWAYS, SPEC_TLS, SPEC_TCP, SPEC_FIELDS };
static const struct schema_field spec_fields[] = {
	[SPEC_HOSTS] = {"hosts", SHAPE_LIST, true},
	/* Istio's default is the sidecars of the mesh, which a gateway has none of. */
	[SPEC_GATEWAYS] = {"gateways", SHAPE_LIST, true},
	[SPEC_TLS] = {"tls", SHAPE_LIST, false},
	[SPEC_TCP] = {"tcp", SHAPE_LIST, false},
};
static const char *const spec_unsupported[] = {"http", "exportTo", NULL};
static const struct schema spec_schema = {"VirtualService spec", spec_fields, SPEC_FIELDS, spec_unsupported};

enum { TLS_MATCH, TLS_ROUTE, TLS_FIELDS };
static const struct schema_field tls_fields[] = {
	[TLS_MATCH] = {"match", SHAPE_LIST, true},
	[TLS_ROUTE] = {"route", SHAPE_LIST, true},
};
static const struct schema tls_schema = {"VirtualService spec.tls[]", tls_fields, TLS_FIELDS, NULL};

enum { MATCH_HOSTS, MATCH_PORT, MATCH_GATEWAYS, MATCH_FIELDS };
static const struct schema_field match_fields[] = {
	[MATCH_HOSTS] = {"sniHosts", SHAPE_LIST, true},
	[MATCH_PORT] = {"port", SHAPE_NUMBER, false},
	[MATCH_GATEWAYS] = {"gateways", SHAPE_LIST, false},
};
static const char *const match_unsupported[] = {"destinationSubnets", "sourceLabels", "sourceNamespace", NULL};
static const struct schema match_schema = {"VirtualService spec.tls[].match[]", match_fields, MATCH_FIELDS,
					   match_unsupported};

/* The same fields, so that both are read alike; without match, every connection is meant. */
static const struct schema_field tcp_fields[] = {
	[TLS_MATCH] = {"match", SHAPE_LIST, false},
	[TLS_ROUTE] = {"route", SHAPE_LIST, true},
};
static const struct schema tcp_schema = {"VirtualService spec.tcp[]", tcp_fields, TLS_FIELDS, NULL};

enum { TCP_MATCH_PORT, TCP_MATCH_GATEWAYS, TCP_MATCH_FIELDS };
static const struct schema_field tcp_match_fields[] = {
	[TCP_MATCH_PORT] = {"port", SHAPE_NUMBER, false},
	[TCP_MATCH_GATEWAYS] = {"gateways", SHAPE_LIST, false},
};
static const char *const tcp_match_unsupported[] = {"destinationSubnets", "sourceSubnet", "sourceLabels",
						    "sourceNamespace", NULL};
static const struct schema tcp_match_schema = {"VirtualService spec.tcp[].match[]", tcp_match_fields, TCP_MATCH_FIELDS,
					       tcp_match_unsupported};

enum { ROUTE_DESTINATION, ROUTE_WEIGHT, ROUTE_FIELDS };
static const struct schema_field route_fields[] = {
	[ROUTE_DESTINATION] = {"destination", SHAPE_MAPPING, true},
	[ROUTE_WEIGHT] = {"weight", SHAPE_NUMBER, false},
};
static const struct schema route_schema = {"VirtualService route[]", route_fields, ROUTE_FIELDS, NULL};

enum { DESTINATION_HOST, DESTINATION_PORT, DESTINATION_SUBSET, DESTINATION_FIELDS };
static const struct schema_field destination_fields[] = {
	[DESTINATION_HOST] = {"host", SHAPE_TEXT, true},
	[DESTINATION_PORT] = {"port", SHAPE_MAPPING, false},
	[DESTINATION_SUBSET] = {"subset", SHAPE_TEXT, false},
};
static const struct schema destination_schema = {"VirtualService route[].destination", destination_fields,
						 DESTINATION_FIELDS, NULL};

enum { PORT_NUMBER, PORT_FIELDS };
static const struct schema_field port_fields[] = {
	[PORT_NUMBER] = {"number", SHAPE_NUMBER, true},
};
static const struct schema port_schema = {"VirtualService route[].destination.port", port_fields, PORT_FIELDS, NULL};

/* So many destinations of the greatest weight still sum to 32 bits. */
enum { WEIGHT_ALONE = 100, DESTINATIONS_MAX = 1024 };

static bool
read_host(struct reader *reader, const struct yaml_node *node, struct name *host)
{
	return schema_host(reader, node, true, host);
}

/* "name" or "namespace/name". Kept as it is written; check.c knows the VirtualService's namespace. */
static bool
read_gateway(struct reader *reader, const struct yaml_node *node, struct name *name)
{
	if (!schema_shape(reader, node, SHAPE_TEXT, "a gateway"))
		return false;
	if (strcmp(node->text, "mesh") == 0) {
		report_error(reader->report, reader_origin(reader, node), PN_UNSUPPORTED_VALUE,
			     "gateway \"mesh\" means sidecars, which are not supported");
		return false;
	}
	const char *slash = memchr(node->text, '/', node->length);
	size_t space = slash == NULL ? 0 : (size_t)(slash - node->text);
	size_t skipped = slash == NULL ? 0 : space + 1;
	const char *wrong = slash == NULL ? NULL : syntax_dns_label(node->text, space);
	if (wrong == NULL)
		wrong = syntax_dns_subdomain(node->text + skipped, node->length - skipped);
	if (wrong != NULL) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_NAME,
			     "gateway \"%s\" is not name or namespace/name: it %s",
			     quote(node->text, node->length).text, wrong);
		return false;
	}
	*name = text_pool_add(&reader->model->names, node->text, node->length);
	return true;
}

static void
read_match_common(struct reader *reader, const struct yaml_node *port, const struct yaml_node *gateways,
		  struct model_match *match)
{
	if (port != NULL) {
		match->port_origin = reader_origin(reader, port);
		schema_port(reader, port, &match->port);
	}
	if (gateways != NULL)
		documents_mentions(reader, gateways, read_gateway, "gateways of a match", &match->gateways);
}

static void
read_match(struct reader *reader, const struct yaml_node *node, bool tcp, struct model_match *match)
{
	const struct yaml_node *values[MATCH_FIELDS], *tcp_values[TCP_MATCH_FIELDS];

	if (tcp) {
		schema_read(reader, node, &tcp_match_schema, tcp_values);
		read_match_common(reader, tcp_values[TCP_MATCH_PORT], tcp_values[TCP_MATCH_GATEWAYS], match);
		return;
	}
	schema_read(reader, node, &match_schema, values);
	if (values[MATCH_HOSTS] != NULL)
		documents_mentions(reader, values[MATCH_HOSTS], read_host, "sniHosts", &match->hosts);
	read_match_common(reader, values[MATCH_PORT], values[MATCH_GATEWAYS], match);
}

static void
read_destination(struct reader *reader, const struct yaml_node *node, struct name space,
		 struct model_destination *destination)
{
	const struct yaml_node *values[DESTINATION_FIELDS], *port[PORT_FIELDS];
	struct name host;
	size_t raised = reader->report->n_raised;

	schema_read(reader, node, &destination_schema, values);
	destination->port_origin = reader_origin(reader, node);
	if (values[DESTINATION_HOST] != NULL && schema_host(reader, values[DESTINATION_HOST], true, &host)) {
		destination->host.name = documents_full_host(reader->model, host, space);
		destination->host.origin = reader_origin(reader, values[DESTINATION_HOST]);
		destination->port_origin = destination->host.origin;
	}
	if (values[DESTINATION_PORT] != NULL) {
		schema_read(reader, values[DESTINATION_PORT], &port_schema, port);
		if (port[PORT_NUMBER] != NULL && schema_port(reader, port[PORT_NUMBER], &destination->port))
			destination->port_origin = reader_origin(reader, port[PORT_NUMBER]);
	}
	if (values[DESTINATION_SUBSET] != NULL) {
		destination->subset.origin = reader_origin(reader, values[DESTINATION_SUBSET]);
		schema_name(reader, values[DESTINATION_SUBSET], syntax_dns_label, PN_BAD_IDENTIFIER, "subset",
			    &destination->subset.name);
	}
	destination->uncertain = reader->report->n_raised != raised;
}

static void
read_destinations(struct reader *reader, const struct yaml_node *list, struct name space, struct model_route *route)
{
	bool alone = list->length == 1;
	uint64_t total = 0;
	size_t raised = reader->report->n_raised;
	bool unset = false;

	if (!documents_not_empty(reader, list, "route"))
		return;
	if (list->length > DESTINATIONS_MAX) {
		report_error(reader->report, reader_origin(reader, list), PN_BAD_COUNT,
			     "a route can't have more than %d destinations", DESTINATIONS_MAX);
		return;
	}
	route->destinations = arena_array(&reader->model->arena, list->length, sizeof(*route->destinations));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		const struct yaml_node *values[ROUTE_FIELDS];
		struct model_destination *destination = &route->destinations[route->n_destinations++];
		int64_t weight = alone ? WEIGHT_ALONE : 0;

		schema_read(reader, node, &route_schema, values);
		destination->uncertain = true;
		if (values[ROUTE_DESTINATION] != NULL)
			read_destination(reader, values[ROUTE_DESTINATION], space, destination);
		if (values[ROUTE_WEIGHT] != NULL)
			schema_number(reader, values[ROUTE_WEIGHT], 0, UINT16_MAX, PN_BAD_WEIGHT, "weight", &weight);
		else if (!alone)
			unset = true;
		destination->weight = (uint32_t)weight;
		total += destination->weight;
	}
	if (reader->report->n_raised != raised)
		return;
	if (total == 0) {
		report_error(reader->report, reader_origin(reader, list), PN_NO_WEIGHT,
			     "the weights of this route sum to 0, so nothing could take its connections");
	} else if (unset) {
		report_warning(reader->report, reader_origin(reader, list), PN_WEIGHT_UNSET,
			       "a destination without weight, among several, takes no connections");
	}
}

static struct model_route *
read_route(struct reader *reader, const struct yaml_node *node, bool tcp, struct name space)
{
	const struct yaml_node *values[TLS_FIELDS];
	struct model_route *route = arena_alloc(&reader->model->arena, sizeof(*route));

	bool right = schema_read(reader, node, tcp ? &tcp_schema : &tls_schema, values);
	route->origin = reader_origin(reader, node);
	route->tcp = tcp;
	route->index = MODEL_NONE;
	if (values[TLS_ROUTE] != NULL)
		read_destinations(reader, values[TLS_ROUTE], space, route);
	if (tcp && right && values[TLS_MATCH] == NULL) {
		route->matches = arena_alloc(&reader->model->arena, sizeof(*route->matches));
		route->n_matches = 1;
	}
	if (values[TLS_MATCH] == NULL || !documents_not_empty(reader, values[TLS_MATCH], "match"))
		return route;
	route->matches = arena_array(&reader->model->arena, values[TLS_MATCH]->length, sizeof(*route->matches));
	for (const struct yaml_node *match = values[TLS_MATCH]->first; match != NULL; match = match->next)
		read_match(reader, match, tcp, &route->matches[route->n_matches++]);
	return route;
}

/* Reads tls or tcp, and gives where the next route goes. */
static struct model_route **
read_routes(struct reader *reader, const struct yaml_node *list, bool tcp, struct name space, struct model_route **end)
{
	if (list == NULL)
		return end;
	documents_not_empty(reader, list, tcp ? "tcp of a VirtualService" : "tls of a VirtualService");
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		*end = read_route(reader, node, tcp, space);
		end = &(*end)->next;
	}
	return end;
}

void
virtual_service_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_virtual_service *service = arena_alloc(&model->arena, sizeof(*service));
	struct model_route **end = &service->routes;

	bool right = schema_read(reader, spec, &spec_schema, values);
	service->meta = *meta;
	service->hosts_uncertain =
		values[SPEC_HOSTS] == NULL || !documents_mentions(reader, values[SPEC_HOSTS], read_host,
								  "hosts of a VirtualService", &service->hosts);
	for (uint32_t i = 0; i < service->hosts.n; i++)
		service->hosts.list[i].name = documents_full_host(model, service->hosts.list[i].name, meta->space);
	service->gateways_uncertain = values[SPEC_GATEWAYS] == NULL ||
				      !documents_mentions(reader, values[SPEC_GATEWAYS], read_gateway,
							  "gateways of a VirtualService", &service->gateways);
	if (right && values[SPEC_TLS] == NULL && values[SPEC_TCP] == NULL)
		report_error(reader->report, reader_origin(reader, spec), PN_MISSING_FIELD,
			     "VirtualService spec lacks routes: \"tls\", \"tcp\" or both");
	end = read_routes(reader, values[SPEC_TLS], false, meta->space, end);
	read_routes(reader, values[SPEC_TCP], true, meta->space, end);
	if (!documents_claim(reader, "VirtualService", meta))
		return;
	*model->virtual_services_end = service;
	model->virtual_services_end = &service->next;
}
