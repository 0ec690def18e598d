/* SPDX-License-Identifier: Apache-2.0 */
/* Each VirtualService's server names are entered into the listeners of its Gateways that admit them, and its
 * destinations looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/check.h"
#include "platform/text.h"

enum { GATEWAYS_MAX = 64 /* of a VirtualService */ };

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

/* Routes of tls are for what stays TLS, routes of tcp for what isn't, or no longer. */
static bool
takes_kind(const struct model_listener *listener, bool tcp)
{
	switch (listener->server->mode) {
	case LISTENER_PASSTHROUGH:
		return !tcp;
	case LISTENER_TERMINATE:
	case LISTENER_TCP:
		return tcp;
	default:
		return false;
	}
}

static bool
gateway_takes_kind(const struct model_gateway *gateway, bool tcp)
{
	for (const struct model_listener *listener = gateway->listeners; listener != NULL;
	     listener = listener->next_of_gateway) {
		if (takes_kind(listener, tcp))
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
		if (!gateway_takes_kind(gateway, false) && !gateway_takes_kind(gateway, true)) {
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
check_match(const struct binding *binding, const struct model_match *match, bool tcp, bool *selected)
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
			port = port || (listener->server->port == match->port && takes_kind(listener, tcp));
	}
	if (!port)
		report_error(binding->check->report, match->port_origin, PN_NO_SUCH_LISTENER_PORT,
			     "no %s server of this VirtualService's gateways is on port %u",
			     tcp ? "terminating or TCP" : "PASSTHROUGH", match->port);
}

static void
number_route(struct model *model, struct model_route *route)
{
	if (route->index != MODEL_NONE)
		return;
	model->routes =
		check_grow(model->routes, model->n_routes, &model->routes_capacity, sizeof(struct model_route *));
	route->index = model->n_routes;
	model->routes[model->n_routes++] = route;
}

/* Where nobody says a server name, one route has all. */
static void
enter_route(const struct binding *binding, struct model_listener *listener, struct model_route *route,
	    const struct model_mention *host)
{
	struct model *model = binding->check->model;
	struct host_walk walk = host_walk_begin(host->name.bytes, host->name.length);
	bool named = listener->server->mode != LISTENER_TCP;
	uint32_t *index;

	number_route(model, route);
	check_destinations(binding->check, route, listener->server->mode);
	if (name_map_add(&listener->routes, named ? walk.key : "", named ? walk.length : 0, NULL, &index)) {
		*index = route->index;
		return;
	}
	const struct origin *first = &model->routes[*index]->origin;
	if (*index != route->index)
		report_error(binding->check->report, route->tcp ? route->origin : host->origin, PN_DUPLICATE_ROUTE,
			     "\"%s\" has a route on port %u of Gateway %s/%s already, at %s:%u",
			     named ? host->name.bytes : "*", listener->server->port,
			     listener->gateway->meta.space.bytes, listener->gateway->meta.name.bytes, first->file,
			     first->line);
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

static bool
admits_space(const struct model_server_host *host, struct name space)
{
	for (; host != NULL; host = host->next_same) {
		if (host->space.length == 0 || name_equal(host->space, space))
			return true;
	}
	return false;
}

/* "*.example" covers "a.example", "*.a.example" and itself; "*" covers all. */
static bool
pattern_covers(struct name pattern, struct name host)
{
	uint32_t suffix = pattern.length - 1;

	return host.length >= suffix && memcmp(host.bytes + host.length - suffix, pattern.bytes + 1, suffix) == 0;
}

/* Whether a route for a host may be on a listener that isn't asked for it by server name alone: the server that has the
 * host must admit documents of that namespace, and so must each server of which it is a part, when the host is a
 * pattern. */
static bool
admits_all(struct check *check, const struct model_listener *listener, const struct model_mention *host,
	   struct name space)
{
	struct host_walk walk = host_walk_begin(host->name.bytes, host->name.length);
	uint32_t index;
	bool some = false;

	while (!some && host_walk_next(&walk)) {
		some = name_map_find(&listener->hosts, walk.key, walk.length, &index);
		if (some && !admits_space(listener->host_list[index], space))
			return false;
	}
	if (host->name.bytes[0] != '*')
		return some;
	if (check->hosts_budget < listener->n_hosts) {
		report_error(check->report, host->origin, PN_BAD_COUNT,
			     "too many wildcards of tcp routes for as many hosts of Gateways");
		return true;
	}
	check->hosts_budget -= listener->n_hosts;
	for (uint32_t i = 0; i < listener->n_hosts; i++) {
		const struct model_server_host *other = listener->host_list[i];
		if (!pattern_covers(host->name, other->host))
			continue;
		if (!admits_space(other, space))
			return false;
		some = true;
	}
	return some;
}

static void
bind_host(const struct binding *binding, struct model_route *route, const struct model_match *match,
	  const bool *selected, const struct model_mention *host)
{
	const struct model_virtual_service *service = binding->service;
	bool admitted = false, asked = false;

	if (!route->tcp && !service->hosts_uncertain && !has_pattern(&binding->hosts, host->name)) {
		report_error(binding->check->report, host->origin, PN_HOST_NOT_CLAIMED,
			     "\"%s\" is outside this VirtualService's hosts", host->name.bytes);
		return;
	}
	for (uint32_t i = 0; i < binding->n_gateways; i++) {
		if (!selected[i])
			continue;
		for (struct model_listener *listener = binding->gateways[i]->listeners; listener != NULL;
		     listener = listener->next_of_gateway) {
			if (!takes_kind(listener, route->tcp) ||
			    (match->port != 0 && match->port != listener->server->port))
				continue;
			asked = true;
			if (route->tcp ? !admits_all(binding->check, listener, host, service->meta.space)
				       : !check_admits(listener, host->name, service->meta.space))
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
bind_route(const struct binding *binding, struct model_route *route)
{
	bool taken = binding->uncertain;

	for (uint32_t i = 0; i < route->n_destinations; i++)
		check_find_destination(binding->check, &route->destinations[i]);
	for (uint32_t i = 0; i < binding->n_gateways; i++)
		taken = taken || gateway_takes_kind(binding->gateways[i], route->tcp);
	if (!taken) {
		report_error(binding->check->report, route->origin, PN_NOT_PASSTHROUGH,
			     route->tcp
				     ? "no server of this VirtualService's gateways takes routes of tcp: they are for "
				       "those that end TLS, and for protocol TCP"
				     : "no server of this VirtualService's gateways takes routes of tls: they are for "
				       "tls.mode PASSTHROUGH");
		return;
	}
	for (uint32_t i = 0; i < route->n_matches; i++) {
		const struct model_match *match = &route->matches[i];
		const struct model_mentions *hosts = route->tcp ? &binding->service->hosts : &match->hosts;
		bool selected[GATEWAYS_MAX];
		check_match(binding, match, route->tcp, selected);
		for (uint32_t j = 0; j < hosts->n; j++)
			bind_host(binding, route, match, selected, &hosts->list[j]);
	}
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
	for (struct model_route *route = service->routes; route != NULL; route = route->next)
		bind_route(&binding, route);
	name_map_free(&binding.hosts);
}

void
check_routes(struct check *check)
{
	struct gateways gateways = {0};

	index_gateways(check, &gateways);
	for (struct model_virtual_service *service = check->model->virtual_services; service != NULL;
	     service = service->next)
		bind_service(check, &gateways, service);
	name_map_free(&gateways.map);
	free(gateways.list);
}
