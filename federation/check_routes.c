/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways' servers become listeners: one for each port and address, made of the servers of one Gateway that share
 * them. Then each VirtualService's server names are entered into the listeners of its Gateways that admit them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/check.h"
#include "platform/text.h"

enum {
	LISTENERS_MAX = 4096,
	/* A host for so many namespaces: asking whether a host is admitted looks through them. */
	HOST_SPACES_MAX = 64,
	GATEWAYS_MAX = 64 /* of a VirtualService */
};

static void *
grow(void *list, uint32_t n, uint32_t *capacity, size_t size)
{
	if (n < *capacity)
		return list;
	*capacity = *capacity == 0 ? 16 : *capacity * 2;
	list = realloc(list, *capacity * size);
	if (list == NULL)
		abort();
	return list;
}

bool
check_admits(const struct model_listener *listener, struct name host, struct name space)
{
	struct host_walk walk = host_walk_begin(host.bytes, host.length);
	uint32_t index;

	while (host_walk_next(&walk)) {
		if (!name_map_find(&listener->hosts, walk.key, walk.length, &index))
			continue;
		for (const struct model_server_host *admitted = listener->host_list[index]; admitted != NULL;
		     admitted = admitted->next_same) {
			if (admitted->space.length == 0 || name_equal(admitted->space, space))
				return true;
		}
	}
	return false;
}

static void
add_host(struct check *check, struct model_listener *listener, struct model_server_host *host)
{
	struct host_walk walk = host_walk_begin(host->host.bytes, host->host.length);
	struct model_server_host *last;
	uint32_t *index, n = 0;

	if (name_map_add(&listener->hosts, walk.key, walk.length, NULL, &index)) {
		*index = listener->n_hosts;
		listener->host_list = grow(listener->host_list, listener->n_hosts, &listener->hosts_capacity,
					   sizeof(struct model_server_host *));
		listener->host_list[listener->n_hosts++] = host;
		return;
	}
	for (last = listener->host_list[*index];; last = last->next_same) {
		if (name_equal(last->space, host->space)) {
			report_error(check->report, host->origin, PN_DUPLICATE_SERVER_HOST,
				     "host \"%s\" is on port %u of this Gateway already, on line %u", host->host.bytes,
				     listener->server->port, last->origin.line);
			return;
		}
		if (++n == HOST_SPACES_MAX) {
			report_error(check->report, host->origin, PN_BAD_COUNT,
				     "a host can't be admitted for more than %d namespaces", HOST_SPACES_MAX);
			return;
		}
		if (last->next_same == NULL)
			break;
	}
	last->next_same = host;
}

/* The listener that the server is part of, or NULL when it must not be. */
static struct model_listener *
find_listener(struct check *check, struct name_map *map, struct model_listener **listeners,
	      struct model_gateway *gateway, const struct model_server *server)
{
	struct model *model = check->model;
	struct model_listener *listener;
	char key[sizeof(server->bind) + sizeof(server->port)];
	const char **kept;
	uint32_t *index;

	memcpy(key, &server->bind, sizeof(server->bind));
	memcpy(key + sizeof(server->bind), &server->port, sizeof(server->port));
	if (name_map_add(map, key, sizeof(key), &kept, &index)) {
		*kept = arena_copy(&model->arena, key, sizeof(key));
		*index = model->n_listeners;
		if (model->n_listeners == LISTENERS_MAX)
			report_error(check->report, server->origin, PN_NO_SLOT, "more than %d listeners",
				     LISTENERS_MAX);
		listener = arena_alloc(&model->arena, sizeof(*listener));
		listener->gateway = gateway;
		listener->server = server;
		listener->index = model->n_listeners;
		listeners[model->n_listeners++] = listener;
		*model->listeners_end = listener;
		model->listeners_end = &listener->next;
		listener->next_of_gateway = gateway->listeners;
		gateway->listeners = listener;
		return listener;
	}
	listener = listeners[*index];
	const struct origin *first = &listener->server->origin;
	if (listener->gateway != gateway) {
		report_error(check->report, server->port_origin, PN_LISTENER_OVERLAP,
			     "port %u is Gateway %s/%s's already, at %s:%u; give one of them another port or bind",
			     server->port, listener->gateway->meta.space.bytes,
			     listener->gateway->meta.name.length == 0 ? "?" : listener->gateway->meta.name.bytes,
			     first->file, first->line);
		return NULL;
	}
	if (listener->server->mode != server->mode) {
		report_error(check->report, server->port_origin, PN_LISTENER_OVERLAP,
			     "port %u has another tls.mode in this Gateway already, on line %u", server->port,
			     first->line);
		return NULL;
	}
	return listener;
}

static void
make_listeners(struct check *check)
{
	struct model *model = check->model;
	struct name_map map = {0};
	uint32_t n = 0;

	for (struct model_gateway *gateway = model->gateways; gateway != NULL; gateway = gateway->next) {
		for (struct model_server *server = gateway->servers; server != NULL; server = server->next)
			n++;
	}
	struct model_listener **listeners = calloc(n + 1ul, sizeof(struct model_listener *));
	if (listeners == NULL)
		abort();
	for (struct model_gateway *gateway = model->gateways; gateway != NULL; gateway = gateway->next) {
		for (struct model_server *server = gateway->servers; server != NULL; server = server->next) {
			if (server->uncertain)
				continue;
			struct model_listener *listener = find_listener(check, &map, listeners, gateway, server);
			if (listener == NULL) {
				gateway->servers_uncertain = true;
				continue;
			}
			listener->hosts_uncertain |= server->hosts_uncertain;
			for (uint32_t i = 0; i < server->n_hosts; i++)
				add_host(check, listener, &server->hosts[i]);
		}
	}
	free(listeners);
	name_map_free(&map);
}

static uint32_t
find_subset(const struct model_rule *rule, struct name subset)
{
	for (uint32_t i = 0; rule != NULL && i < rule->n_subsets; i++) {
		if (name_equal(rule->subsets[i].name.name, subset))
			return i;
	}
	return MODEL_NONE;
}

static void
resolve_subset(struct check *check, struct model_destination *destination, const struct model_service *service)
{
	const struct model_rule *rule = service->rule;
	const struct model_mention *subset = &destination->subset;

	destination->subset_index = MODEL_NONE;
	if (subset->name.length == 0)
		return;
	destination->subset_index = find_subset(rule, subset->name);
	if (destination->subset_index != MODEL_NONE)
		return;
	if (check->model->opaque || check->model->rules_uncertain || (rule != NULL && rule->subsets_uncertain))
		return;
	const char *nearest = NULL;
	for (uint32_t i = 0; rule != NULL && i < rule->n_subsets && nearest == NULL && check->suggest_budget > 0; i++) {
		const char *const names[] = {rule->subsets[i].name.name.bytes, NULL};
		check->suggest_budget--;
		nearest = text_closest(subset->name.bytes, names);
	}
	report_error(check->report, subset->origin, PN_NO_SUCH_SUBSET, "%s for \"%s\"%s \"%s\"%s%s%s",
		     rule == NULL ? "there is no DestinationRule" : "the DestinationRule", service->host.bytes,
		     rule == NULL ? " to define subset" : " has no subset", subset->name.bytes,
		     nearest == NULL ? "" : "; did you mean \"", nearest == NULL ? "" : nearest,
		     nearest == NULL ? "" : "\"?");
}

static void
report_no_port(struct check *check, const struct model_destination *destination, const struct model_service *service)
{
	const struct model_service_entry *entry = service->entry;
	struct text ports = {0};

	for (uint32_t i = 0; i < entry->n_ports; i++)
		text_print(&ports, "%s%u",
			   i == 0                    ? ""
			   : i + 1 == entry->n_ports ? " and "
						     : ", ",
			   entry->ports[i].number);
	if (destination->port == 0)
		report_error(check->report, destination->port_origin, PN_NO_SUCH_PORT,
			     "\"%s\" has the ports %s; say which by port.number", service->host.bytes, ports.bytes);
	else
		report_error(check->report, destination->port_origin, PN_NO_SUCH_PORT,
			     "\"%s\" has no port %u; it has %s", service->host.bytes, destination->port,
			     ports.bytes == NULL ? "none" : ports.bytes);
	text_free(&ports);
}

static void
resolve_port(struct check *check, struct model_destination *destination, const struct model_service *service)
{
	const struct model_service_entry *entry = service->entry;

	destination->port_index = MODEL_NONE;
	for (uint32_t i = 0; i < entry->n_ports; i++) {
		if (entry->ports[i].number == destination->port || (destination->port == 0 && entry->n_ports == 1))
			destination->port_index = i;
	}
	if (destination->port_index == MODEL_NONE) {
		if (!entry->ports_uncertain)
			report_no_port(check, destination, service);
		return;
	}
	switch (entry->ports[destination->port_index].protocol) {
	case PROTOCOL_TLS:
	case PROTOCOL_HTTPS:
	case PROTOCOL_TCP:
		return;
	default:
		report_warning(check->report, destination->port_origin, PN_PLAINTEXT_PORT,
			       "port %u of \"%s\" is of a plaintext protocol, and what is passed through is TLS",
			       entry->ports[destination->port_index].number, service->host.bytes);
	}
}

static void
resolve_destination(struct check *check, struct model_destination *destination)
{
	struct model *model = check->model;

	destination->service = MODEL_NONE;
	if (destination->uncertain)
		return;
	destination->service = check_find_service(model, destination->host.name);
	if (destination->service == MODEL_NONE) {
		if (!model->hosts_uncertain && !model->opaque)
			report_error(check->report, destination->host.origin, PN_NO_SUCH_HOST,
				     "no ServiceEntry has the host \"%s\"%s", destination->host.name.bytes,
				     check_suggest_host(check, destination->host.name).text);
		return;
	}
	const struct model_service *service = &model->services[destination->service];
	resolve_port(check, destination, service);
	resolve_subset(check, destination, service);
}

struct gateways {
	struct name_map map; /* "namespace/name" ─▶ index in list */
	struct model_gateway **list;
	uint32_t n;
};

static void
gateway_key(struct text *key, struct name space, const char *name)
{
	key->length = 0;
	if (strchr(name, '/') != NULL)
		text_print(key, "%s", name);
	else
		text_print(key, "%s/%s", space.bytes, name);
}

static void
index_gateways(struct check *check, struct gateways *gateways)
{
	struct model *model = check->model;
	struct text key = {0};
	uint32_t n = 0;

	for (struct model_gateway *gateway = model->gateways; gateway != NULL; gateway = gateway->next)
		n++;
	gateways->list = calloc(n + 1ul, sizeof(struct model_gateway *));
	if (gateways->list == NULL)
		abort();
	for (struct model_gateway *gateway = model->gateways; gateway != NULL; gateway = gateway->next) {
		const char **kept;
		uint32_t *index;
		if (gateway->meta.name.length == 0)
			continue;
		gateway_key(&key, gateway->meta.space, gateway->meta.name.bytes);
		if (!name_map_add(&gateways->map, key.bytes, key.length, &kept, &index))
			continue;
		*kept = arena_copy(&model->arena, key.bytes, key.length);
		*index = gateways->n;
		gateways->list[gateways->n++] = gateway;
	}
	text_free(&key);
}

static struct model_gateway *
find_gateway(const struct gateways *gateways, struct name space, struct name name)
{
	struct text key = {0};
	uint32_t index;

	gateway_key(&key, space, name.bytes);
	bool found = name_map_find(&gateways->map, key.bytes, key.length, &index);
	text_free(&key);
	return found ? gateways->list[index] : NULL;
}

static void
report_no_gateway(struct check *check, const struct gateways *gateways, struct name space,
		  const struct model_mention *mention)
{
	struct text key = {0};
	struct text suggestion = {0};

	gateway_key(&key, space, mention->name.bytes);
	for (uint32_t i = 0; i < gateways->n && suggestion.length == 0 && check->suggest_budget > 0; i++) {
		const struct model_meta *meta = &gateways->list[i]->meta;
		const char *name = strchr(mention->name.bytes, '/');
		const char *const names[] = {meta->name.bytes, NULL};
		check->suggest_budget--;
		if (text_closest(name == NULL ? mention->name.bytes : name + 1, names) == NULL)
			continue;
		bool own = name_equal(meta->space, space);
		text_print(&suggestion, "; did you mean \"%s%s%s\"?", own ? "" : meta->space.bytes, own ? "" : "/",
			   meta->name.bytes);
	}
	report_error(check->report, mention->origin, PN_NO_SUCH_GATEWAY, "there is no Gateway %s%s", key.bytes,
		     suggestion.bytes == NULL ? "" : suggestion.bytes);
	text_free(&suggestion);
	text_free(&key);
}

/* A VirtualService while its routes are entered. */
struct binding {
	struct check *check;
	const struct gateways *all;
	const struct model_virtual_service *service;
	struct model_gateway *gateways[GATEWAYS_MAX]; /* those found */
	uint32_t n_gateways;
	struct name_map hosts; /* its own, by pattern's key */
	bool uncertain;        /* some Gateway isn't known well enough to miss anything there */
};

static bool
passes_through(const struct model_gateway *gateway)
{
	for (const struct model_listener *listener = gateway->listeners; listener != NULL;
	     listener = listener->next_of_gateway) {
		if (listener->server->mode == LISTENER_PASSTHROUGH)
			return true;
	}
	return false;
}

static void
bind_gateways(struct binding *binding)
{
	struct check *check = binding->check;
	const struct model_virtual_service *service = binding->service;

	binding->uncertain = service->gateways_uncertain;
	for (uint32_t i = 0; i < service->gateways.n; i++) {
		const struct model_mention *mention = &service->gateways.list[i];
		struct model_gateway *gateway = find_gateway(binding->all, service->meta.space, mention->name);
		if (gateway == NULL) {
			binding->uncertain = true;
			if (!check->model->gateways_uncertain && !check->model->opaque)
				report_no_gateway(check, binding->all, service->meta.space, mention);
			continue;
		}
		if (!passes_through(gateway)) {
			binding->uncertain = true;
			if (!gateway->servers_uncertain)
				report_error(check->report, mention->origin, PN_NOT_PASSTHROUGH,
					     "Gateway %s/%s takes no routes: its servers are AUTO_PASSTHROUGH",
					     gateway->meta.space.bytes, gateway->meta.name.bytes);
			continue;
		}
		binding->uncertain |= gateway->servers_uncertain;
		for (const struct model_listener *listener = gateway->listeners; listener != NULL;
		     listener = listener->next_of_gateway)
			binding->uncertain |= listener->hosts_uncertain;
		binding->gateways[binding->n_gateways++] = gateway;
	}
}

/* Resolves the gateways that a match is for: selected, one for each of the binding's. */
static void
check_match(const struct binding *binding, const struct model_match *match, bool *selected)
{
	bool port = match->port == 0 || binding->uncertain;

	for (uint32_t j = 0; j < binding->n_gateways; j++)
		selected[j] = match->gateways.n == 0;
	for (uint32_t i = 0; i < match->gateways.n; i++) {
		const struct model_mention *mention = &match->gateways.list[i];
		const struct model_gateway *gateway =
			find_gateway(binding->all, binding->service->meta.space, mention->name);
		bool bound = false;
		for (uint32_t j = 0; j < binding->n_gateways; j++) {
			if (binding->gateways[j] == gateway)
				selected[j] = bound = true;
		}
		if (!bound && !binding->uncertain)
			report_error(binding->check->report, mention->origin, PN_GATEWAY_NOT_BOUND,
				     "gateway \"%s\" is not among this VirtualService's gateways", mention->name.bytes);
	}
	for (uint32_t i = 0; i < binding->n_gateways && !port; i++) {
		for (const struct model_listener *listener = binding->gateways[i]->listeners; listener != NULL;
		     listener = listener->next_of_gateway)
			port = port || (listener->server->port == match->port &&
					listener->server->mode == LISTENER_PASSTHROUGH);
	}
	if (!port)
		report_error(binding->check->report, match->port_origin, PN_NO_SUCH_LISTENER_PORT,
			     "no PASSTHROUGH server of this VirtualService's gateways is on port %u", match->port);
}

static void
number_route(struct model *model, struct model_route *route)
{
	if (route->index != MODEL_NONE)
		return;
	model->routes = grow(model->routes, model->n_routes, &model->routes_capacity, sizeof(struct model_route *));
	route->index = model->n_routes;
	model->routes[model->n_routes++] = route;
}

static void
enter_route(const struct binding *binding, struct model_listener *listener, struct model_route *route,
	    const struct model_mention *host)
{
	struct model *model = binding->check->model;
	struct host_walk walk = host_walk_begin(host->name.bytes, host->name.length);
	uint32_t *index;

	number_route(model, route);
	if (name_map_add(&listener->routes, walk.key, walk.length, NULL, &index)) {
		*index = route->index;
		return;
	}
	const struct origin *first = &model->routes[*index]->origin;
	if (*index != route->index)
		report_error(binding->check->report, host->origin, PN_DUPLICATE_ROUTE,
			     "\"%s\" has a route on port %u of Gateway %s/%s already, at %s:%u", host->name.bytes,
			     listener->server->port, listener->gateway->meta.space.bytes,
			     listener->gateway->meta.name.bytes, first->file, first->line);
}

static bool
has_pattern(const struct name_map *patterns, struct name host)
{
	struct host_walk walk = host_walk_begin(host.bytes, host.length);
	uint32_t ignored;

	while (host_walk_next(&walk)) {
		if (name_map_find(patterns, walk.key, walk.length, &ignored))
			return true;
	}
	return false;
}

static void
bind_host(const struct binding *binding, struct model_route *route, const struct model_match *match,
	  const bool *selected, const struct model_mention *host)
{
	const struct model_virtual_service *service = binding->service;
	bool admitted = false, asked = false;

	if (!service->hosts_uncertain && !has_pattern(&binding->hosts, host->name)) {
		report_error(binding->check->report, host->origin, PN_HOST_NOT_CLAIMED,
			     "\"%s\" is outside this VirtualService's hosts", host->name.bytes);
		return;
	}
	for (uint32_t i = 0; i < binding->n_gateways; i++) {
		if (!selected[i])
			continue;
		for (struct model_listener *listener = binding->gateways[i]->listeners; listener != NULL;
		     listener = listener->next_of_gateway) {
			if (listener->server->mode != LISTENER_PASSTHROUGH ||
			    (match->port != 0 && match->port != listener->server->port))
				continue;
			asked = true;
			if (!check_admits(listener, host->name, service->meta.space))
				continue;
			admitted = true;
			enter_route(binding, listener, route, host);
		}
	}
	if (asked && !admitted && !binding->uncertain)
		report_error(binding->check->report, host->origin, PN_HOST_NOT_ADMITTED,
			     "no server of this VirtualService's gateways admits \"%s\" from namespace \"%s\"",
			     host->name.bytes, service->meta.space.bytes);
}

static void
bind_service(struct check *check, const struct gateways *gateways, struct model_virtual_service *service)
{
	struct binding binding = {.check = check, .all = gateways, .service = service};
	uint32_t *ignored;

	if (service->gateways.n > GATEWAYS_MAX) {
		report_error(check->report, service->gateways.list[GATEWAYS_MAX].origin, PN_BAD_COUNT,
			     "a VirtualService can't have more than %d gateways", GATEWAYS_MAX);
		return;
	}
	bind_gateways(&binding);
	for (uint32_t i = 0; i < service->hosts.n; i++) {
		struct host_walk walk =
			host_walk_begin(service->hosts.list[i].name.bytes, service->hosts.list[i].name.length);
		name_map_add(&binding.hosts, walk.key, walk.length, NULL, &ignored);
	}
	for (struct model_route *route = service->routes; route != NULL; route = route->next) {
		for (uint32_t i = 0; i < route->n_destinations; i++)
			resolve_destination(check, &route->destinations[i]);
		for (uint32_t i = 0; i < route->n_matches; i++) {
			bool selected[GATEWAYS_MAX];
			check_match(&binding, &route->matches[i], selected);
			for (uint32_t j = 0; j < route->matches[i].hosts.n; j++)
				bind_host(&binding, route, &route->matches[i], selected,
					  &route->matches[i].hosts.list[j]);
		}
	}
	name_map_free(&binding.hosts);
}

void
check_routes(struct check *check)
{
	struct gateways gateways = {0};

	make_listeners(check);
	index_gateways(check, &gateways);
	for (struct model_virtual_service *service = check->model->virtual_services; service != NULL;
	     service = service->next)
		bind_service(check, &gateways, service);
	name_map_free(&gateways.map);
	free(gateways.list);
}
