/* SPDX-License-Identifier: Apache-2.0 */
/* kind: Gateway: the ports that are listened on, and the server names that each admits. */
#include <string.h>

#include "federation/documents.h"
#include "federation/syntax.h"

enum { SPEC_SERVERS, SPEC_SELECTOR, SPEC_FIELDS };
static const struct schema_field spec_fields[] = {
	[SPEC_SERVERS] = {"servers", SHAPE_LIST, true},
	/* Which gateway of a cluster it is for. Here there is one, and the file is its own. */
	[SPEC_SELECTOR] = {"selector", SHAPE_MAPPING, false},
};
static const struct schema spec_schema = {"Gateway spec", spec_fields, SPEC_FIELDS, NULL};

enum { SERVER_PORT, SERVER_TLS, SERVER_HOSTS, SERVER_BIND, SERVER_FIELDS };
static const struct schema_field server_fields[] = {
	[SERVER_PORT] = {"port", SHAPE_MAPPING, true},
	[SERVER_TLS] = {"tls", SHAPE_MAPPING, false},
	[SERVER_HOSTS] = {"hosts", SHAPE_LIST, true},
	[SERVER_BIND] = {"bind", SHAPE_TEXT, false},
};
static const char *const server_unsupported[] = {"defaultEndpoint", "name", NULL};
static const struct schema server_schema = {"Gateway spec.servers[]", server_fields, SERVER_FIELDS, server_unsupported};

enum { PORT_NUMBER, PORT_NAME, PORT_PROTOCOL, PORT_FIELDS };
static const struct schema_field port_fields[] = {
	[PORT_NUMBER] = {"number", SHAPE_NUMBER, true},
	[PORT_NAME] = {"name", SHAPE_TEXT, true},
	[PORT_PROTOCOL] = {"protocol", SHAPE_TEXT, true},
};
static const char *const port_unsupported[] = {"targetPort", NULL};
static const struct schema port_schema = {"Gateway spec.servers[].port", port_fields, PORT_FIELDS, port_unsupported};

enum { GATEWAY_TLS, GATEWAY_HTTPS, GATEWAY_TCP, PROTOCOLS_SUPPORTED };
static const char *const protocols[] = {[GATEWAY_TLS] = "TLS",
					[GATEWAY_HTTPS] = "HTTPS",
					[GATEWAY_TCP] = "TCP",
					"HTTP",
					"HTTP2",
					"GRPC",
					"GRPC-WEB",
					"MONGO",
					NULL};

static bool
read_port(struct reader *reader, const struct yaml_node *node, struct model_server *server, unsigned *protocol)
{
	const struct yaml_node *values[PORT_FIELDS];
	bool right = schema_read(reader, node, &port_schema, values);

	server->port_origin = reader_origin(reader, node);
	if (values[PORT_NUMBER] != NULL) {
		server->port_origin = reader_origin(reader, values[PORT_NUMBER]);
		right = schema_port(reader, values[PORT_NUMBER], &server->port) && right;
	}
	if (values[PORT_NAME] != NULL)
		right = schema_name(reader, values[PORT_NAME], syntax_dns_label, PN_BAD_IDENTIFIER, "port name",
				    &server->port_name) &&
			right;
	if (values[PORT_PROTOCOL] != NULL)
		right = schema_choice(reader, values[PORT_PROTOCOL], protocols, PROTOCOLS_SUPPORTED, "port.protocol",
				      protocol) &&
			right;
	return right;
}

/* TLS and HTTPS go with tls, and TCP without. */
static bool
read_mode(struct reader *reader, const struct yaml_node *node, const struct yaml_node *tls, unsigned protocol,
	  struct model_server *server)
{
	if (tls != NULL && protocol != GATEWAY_TCP)
		return tls_server_read(reader, tls, server);
	if (tls == NULL && protocol == GATEWAY_TCP) {
		server->mode = LISTENER_TCP;
		return true;
	}
	if (tls != NULL)
		report_error(reader->report, reader_origin(reader, tls->key), PN_EXCLUSIVE,
			     "port.protocol TCP has no tls; a server that ends TLS is of protocol TLS");
	else
		report_error(reader->report, reader_origin(reader, node), PN_MISSING_FIELD,
			     "%s lacks the field \"tls\", which port.protocol %s needs", server_schema.what,
			     protocols[protocol]);
	return false;
}

/* "host" or "namespace/host", where the namespace may be "*" for any and "." for the Gateway's own. */
static bool
read_host(struct reader *reader, const struct yaml_node *node, struct name own_space, struct model_server_host *host)
{
	struct yaml_node rest = *node;

	host->origin = reader_origin(reader, node);
	if (!schema_shape(reader, node, SHAPE_TEXT, "a host"))
		return false;
	const char *slash = memchr(node->text, '/', node->length);
	if (slash != NULL) {
		struct yaml_node space = *node;
		space.length = (uint32_t)(slash - node->text);
		rest.text = slash + 1;
		rest.length = node->length - space.length - 1;
		rest.plain = false;
		if (space.length == 1 && node->text[0] == '.') {
			host->space = own_space;
		} else if (space.length != 1 || node->text[0] != '*') {
			space.plain = false;
			if (!schema_name(reader, &space, syntax_dns_label, PN_BAD_NAME, "namespace", &host->space))
				return false;
		}
	}
	return schema_host(reader, &rest, true, &host->host);
}

static bool
read_bind(struct reader *reader, const struct yaml_node *node, struct model_server *server)
{
	static const struct ip_addr none;

	if (strcmp(node->text, "0.0.0.0") == 0 || strcmp(node->text, "::") == 0) {
		report_error(reader->report, reader_origin(reader, node), PN_MARTIAN,
			     "bind %s is no address; leave bind out to listen on every address", node->text);
		return false;
	}
	if (schema_address(reader, node, &server->bind))
		return true;
	server->bind = none;
	return false;
}

static struct model_server *
read_server(struct reader *reader, const struct yaml_node *node, struct name space)
{
	const struct yaml_node *values[SERVER_FIELDS];
	struct model_server *server = arena_alloc(&reader->model->arena, sizeof(*server));
	unsigned protocol = PROTOCOLS_SUPPORTED;

	bool right = schema_read(reader, node, &server_schema, values);
	server->origin = reader_origin(reader, node);
	server->uncertain = values[SERVER_PORT] == NULL || !read_port(reader, values[SERVER_PORT], server, &protocol);
	if (protocol < PROTOCOLS_SUPPORTED && (right || values[SERVER_TLS] != NULL))
		server->uncertain |= !read_mode(reader, node, values[SERVER_TLS], protocol, server);
	else
		server->uncertain = true;
	if (values[SERVER_BIND] != NULL)
		server->uncertain |= !read_bind(reader, values[SERVER_BIND], server);
	if (values[SERVER_HOSTS] == NULL ||
	    !documents_not_empty(reader, values[SERVER_HOSTS], "hosts of a Gateway's server")) {
		server->hosts_uncertain = true;
		return server;
	}
	server->hosts = arena_array(&reader->model->arena, values[SERVER_HOSTS]->length, sizeof(*server->hosts));
	for (const struct yaml_node *host = values[SERVER_HOSTS]->first; host != NULL; host = host->next) {
		if (read_host(reader, host, space, &server->hosts[server->n_hosts]))
			server->n_hosts++;
		else
			server->hosts_uncertain = true;
	}
	return server;
}

void
gateway_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_gateway *gateway = arena_alloc(&model->arena, sizeof(*gateway));
	struct model_server **end = &gateway->servers;
	struct model_labels selector;

	schema_read(reader, spec, &spec_schema, values);
	if (values[SPEC_SELECTOR] != NULL)
		schema_labels(reader, values[SPEC_SELECTOR], &selector);
	gateway->meta = *meta;
	if (meta->name.length == 0)
		model->gateways_uncertain = true;
	gateway->servers_uncertain = values[SPEC_SERVERS] == NULL ||
				     !documents_not_empty(reader, values[SPEC_SERVERS], "servers of a Gateway");
	for (const struct yaml_node *node = values[SPEC_SERVERS] == NULL ? NULL : values[SPEC_SERVERS]->first;
	     node != NULL; node = node->next) {
		*end = read_server(reader, node, meta->space);
		gateway->servers_uncertain |= (*end)->uncertain;
		end = &(*end)->next;
	}
	if (!documents_claim(reader, "Gateway", meta))
		return;
	*model->gateways_end = gateway;
	model->gateways_end = &gateway->next;
}
