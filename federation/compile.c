/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services ─ for each port ─ for the whole and each subset ─▶ backend ─▶ endpoints
 *
 * Endpoints are made for each port of a service, because the port is part of them, and are shared by its backends.
 * Those in other networks are not: each gateway that stands for them is one endpoint of the backend, with
 * the weight of all that are behind it, so that its share is theirs and a retry elsewhere is elsewhere.
 *
 * Until all endpoints are made, their array may move: backends are given indexes (links) first, and pointers at the
 * end.
 */
#include "federation/compile.h"

#include <stdlib.h>
#include <string.h>

#include "federation/check.h"
#include "federation/policy_compile.h"
#include "platform/text.h"

struct compiler {
	struct model *model;
	struct snapshot_maps *maps;
	struct snapshot *snapshot;
	const struct snapshot_slots *slots;
	struct report *report;
	bool slots_ran_out;
	struct text name; /* of a slot, reused */

	struct service *services;
	struct backend *backends; /* of all services, in their order */
	uint32_t n_backends;
	uint32_t endpoints_capacity;
	uint32_t *links; /* indexes of endpoints, in the order of backends */
	uint32_t n_links, links_capacity;
};

static void *
grow(void *list, uint32_t n, uint32_t *capacity, size_t size)
{
	if (n < *capacity)
		return list;
	*capacity = *capacity == 0 ? 64 : *capacity + *capacity / 2;
	list = realloc(list, *capacity * size);
	if (list == NULL)
		abort();
	return list;
}

static uint32_t
get_slot(struct compiler *compiler, char kind, const struct origin *origin)
{
	if (compiler->slots == NULL || compiler->slots_ran_out)
		return 0;
	uint32_t slot =
		compiler->slots->get(compiler->slots->context, kind, compiler->name.bytes, compiler->name.length);
	if (slot != 0)
		return slot;
	compiler->slots_ran_out = true;
	report_error(compiler->report, *origin, PN_NO_SLOT, "no room for %s \"%s\" and what comes after it",
		     kind == 'l'   ? "listener"
		     : kind == 'b' ? "backend"
				   : "endpoint",
		     compiler->name.bytes);
	return 0;
}

static uint32_t
endpoint_slot(struct compiler *compiler, const struct service *service, const struct endpoint *endpoint)
{
	char text[IP_ENDPOINT_TEXT_MAX];

	compiler->name.length = 0;
	text_print(&compiler->name, "%s|%s", service->host.bytes,
		   ip_endpoint_format(&endpoint->addr, endpoint->port, text));
	return get_slot(compiler, 'e', &endpoint->origin);
}

static struct name
find_label(const struct model_labels *labels, const char *key, const char *other_key)
{
	struct name found = {.bytes = ""};

	for (uint32_t i = 0; i < labels->n; i++) {
		if (strcmp(labels->list[i].key.bytes, key) == 0)
			return labels->list[i].value;
		if (strcmp(labels->list[i].key.bytes, other_key) == 0)
			found = labels->list[i].value;
	}
	return found;
}

static struct endpoint *
new_endpoint(struct compiler *compiler)
{
	struct snapshot *snapshot = compiler->snapshot;
	struct snapshot_maps *maps = compiler->maps;

	maps->endpoints =
		grow(maps->endpoints, snapshot->n_endpoints, &compiler->endpoints_capacity, sizeof(*maps->endpoints));
	return &maps->endpoints[snapshot->n_endpoints++];
}

static void
add_link(struct compiler *compiler, struct backend *backend, uint32_t endpoint)
{
	compiler->links = grow(compiler->links, compiler->n_links, &compiler->links_capacity, sizeof(*compiler->links));
	compiler->links[compiler->n_links++] = endpoint;
	backend->n_endpoints++;
}

static uint32_t
count_gateways(const struct model_cluster *chain)
{
	uint32_t n = 0;
	for (; chain != NULL; chain = chain->next_in_network)
		n += chain->n_gateways;
	return n;
}

static uint32_t
divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* An endpoint behind three gateways gives each a third of its weight. Weights are whole numbers, so all of the
 * service's are multiplied by this first, as Istio does; by 1 when they would become too large, at the cost of exact
 * shares. */
static uint32_t
weight_scale(const struct model_service_entry *entry)
{
	uint32_t scale = 1, heaviest = 1;

	for (uint32_t i = 0; i < entry->n_endpoints; i++) {
		const struct model_endpoint *endpoint = entry->endpoints[i];
		if (endpoint->weight > heaviest)
			heaviest = endpoint->weight;
		uint32_t n = endpoint->via == NULL ? 1 : count_gateways(endpoint->via);
		if (n > 1)
			scale = scale / divisor(scale, n) * n;
		if (scale > UINT16_MAX)
			return 1;
	}
	return (uint64_t)scale * heaviest > UINT16_MAX ? 1 : scale;
}

static void
set_endpoint(const struct compiler *compiler, struct endpoint *to, const struct model_endpoint *from)
{
	to->trust_domain = compiler->model->federation->trust_domain;
	to->workload = name_or_empty(from->workload);
	to->locality = name_or_empty(from->locality);
	to->network = name_or_empty(from->network.name);
	to->service_account = name_or_empty(from->service_account);
	to->app = find_label(&from->labels, "app", "app.kubernetes.io/name");
	to->version = find_label(&from->labels, "version", "app.kubernetes.io/version");
	to->cluster = (struct name){.bytes = ""};
	to->origin = from->origin;
}

/* The endpoints of a service's port that are reached as they are; indexes[i] is the one made for entry's i-th. */
static void
make_direct(struct compiler *compiler, const struct service *service, const struct model_service_entry *entry,
	    const struct model_port *port, uint32_t scale, uint32_t *indexes)
{
	for (uint32_t i = 0; i < entry->n_endpoints; i++) {
		const struct model_endpoint *from = entry->endpoints[i];
		indexes[i] = MODEL_NONE;
		if (from->via != NULL)
			continue;
		indexes[i] = compiler->snapshot->n_endpoints;
		struct endpoint *endpoint = new_endpoint(compiler);
		*endpoint = (struct endpoint){.addr = from->addr,
					      .port = model_endpoint_port(from, port),
					      .weight = (uint16_t)(from->weight * scale)};
		set_endpoint(compiler, endpoint, from);
		endpoint->live = endpoint_slot(compiler, service, endpoint);
	}
}

/* Adds an endpoint's weight to the gateways that lead to it. first: the backend's first gateway endpoint. */
static void
add_gateways(struct compiler *compiler, const struct service *service, struct backend *backend,
	     const struct model_endpoint *from, uint32_t scale, uint32_t first)
{
	uint32_t n = count_gateways(from->via);
	uint32_t share = n == 0 ? 0 : from->weight * scale / n;

	if (share == 0 && from->weight > 0)
		share = 1;
	for (const struct model_cluster *cluster = from->via; cluster != NULL; cluster = cluster->next_in_network) {
		for (uint32_t i = 0; i < cluster->n_gateways; i++) {
			const struct model_gateway_address *gateway = &cluster->gateways[i];
			struct endpoint *endpoint = NULL;
			for (uint32_t j = first; j < compiler->snapshot->n_endpoints && endpoint == NULL; j++) {
				struct endpoint *other = &compiler->maps->endpoints[j];
				if (other->port == gateway->port && ip_addr_equal(&other->addr, &gateway->addr))
					endpoint = other;
			}
			if (endpoint == NULL) {
				add_link(compiler, backend, compiler->snapshot->n_endpoints);
				endpoint = new_endpoint(compiler);
				*endpoint = (struct endpoint){
					.addr = gateway->addr, .port = gateway->port, .is_gateway = true};
				set_endpoint(compiler, endpoint, from);
				endpoint->cluster = cluster->id.name;
				if (cluster->trust_domain.length > 0)
					endpoint->trust_domain = cluster->trust_domain;
				endpoint->locality = name_or_empty(cluster->locality);
				endpoint->live = endpoint_slot(compiler, service, endpoint);
			}
			uint32_t weight = endpoint->weight + share;
			endpoint->weight = (uint16_t)(weight > UINT16_MAX ? UINT16_MAX : weight);
		}
	}
}

static void
make_backend(struct compiler *compiler, const struct service *service, const struct model_service *from,
	     const struct model_port *port, const struct model_subset *subset, uint32_t scale, const uint32_t *direct)
{
	struct backend *backend = &compiler->backends[compiler->n_backends++];
	const struct model_service_entry *entry = from->entry;
	static const struct name none = {.bytes = ""};
	const struct model_policy policy = model_policy_for(from->rule, subset, port->number);

	*backend = (struct backend){
		.service = service,
		.port = port->number,
		.protocol = port->protocol,
		.subset = subset == NULL ? none : subset->name.name,
		.balancer = policy.balancer,
		.connect_timeout_ms = policy.connect_timeout_ms,
		.max_connections = policy.max_connections,
		.proxy_protocol = policy.has_proxy,
	};
	backend->tls = compile_backend_tls(entry, port, &policy, &compiler->maps->arena);
	compiler->name.length = 0;
	text_print(&compiler->name, "%s|%u|%s", service->host.bytes, port->number, backend->subset.bytes);
	backend->live = get_slot(compiler, 'b', &service->origin);
	uint32_t first_link = compiler->n_links, first_gateway = compiler->snapshot->n_endpoints;
	for (uint32_t i = 0; i < entry->n_endpoints; i++) {
		const struct model_endpoint *endpoint = entry->endpoints[i];
		if (subset != NULL && !model_labels_match(&subset->labels, &endpoint->labels))
			continue;
		if (endpoint->via == NULL)
			add_link(compiler, backend, direct[i]);
		else
			add_gateways(compiler, service, backend, endpoint, scale, first_gateway);
	}
	backend->uniform = backend->n_endpoints > 0;
	for (uint32_t i = first_link; i < compiler->n_links; i++) {
		uint16_t weight = compiler->maps->endpoints[compiler->links[i]].weight;
		backend->total_weight += weight;
		if (weight == 0 || weight != compiler->maps->endpoints[compiler->links[first_link]].weight)
			backend->uniform = false;
	}
	if (backend->total_weight > 0)
		return;
	if (subset == NULL && entry->n_endpoints > 0)
		report_warning(compiler->report, entry->meta.origin, PN_NO_ENDPOINT,
			       "no endpoint of \"%s\" has a weight, so nothing can be sent there", service->host.bytes);
	else if (subset != NULL && from->rule->host.name.bytes[0] != '*')
		report_warning(compiler->report, subset->name.origin, PN_NO_ENDPOINT,
			       "no endpoint of \"%s\" is in subset \"%s\"", service->host.bytes,
			       subset->name.name.bytes);
}

static void
make_service(struct compiler *compiler, struct service *service, const struct model_service *from)
{
	const struct model_service_entry *entry = from->entry;
	uint32_t scale = weight_scale(entry);
	uint32_t *direct = malloc((entry->n_endpoints + 1ul) * sizeof(*direct));

	if (direct == NULL)
		abort();
	*service = (struct service){.host = from->host,
				    .name = entry->meta.name,
				    .space = entry->meta.space,
				    .backends = &compiler->backends[compiler->n_backends],
				    .origin = from->origin};
	for (uint32_t i = 0; i < entry->n_ports; i++) {
		make_direct(compiler, service, entry, &entry->ports[i], scale, direct);
		make_backend(compiler, service, from, &entry->ports[i], NULL, scale, direct);
		for (uint32_t j = 0; from->rule != NULL && j < from->rule->n_subsets; j++)
			make_backend(compiler, service, from, &entry->ports[i], &from->rule->subsets[j], scale, direct);
	}
	service->n_backends = (uint32_t)(&compiler->backends[compiler->n_backends] - service->backends);
	free(direct);
}

static void
make_services(struct compiler *compiler)
{
	struct model *model = compiler->model;
	struct snapshot *snapshot = compiler->snapshot;
	struct arena *arena = &compiler->maps->arena;
	uint32_t n = 0;

	for (uint32_t i = 0; i < model->n_services; i++) {
		const struct model_service *service = &model->services[i];
		n += service->entry->n_ports * (1 + (service->rule == NULL ? 0 : service->rule->n_subsets));
		compiler->endpoints_capacity += service->entry->n_ports * service->entry->n_endpoints;
	}
	if (compiler->endpoints_capacity > 0) {
		compiler->maps->endpoints = malloc(compiler->endpoints_capacity * sizeof(*compiler->maps->endpoints));
		if (compiler->maps->endpoints == NULL)
			abort();
	}
	compiler->services = arena_array(arena, model->n_services, sizeof(*compiler->services));
	compiler->backends = arena_array(arena, n, sizeof(*compiler->backends));
	for (uint32_t i = 0; i < model->n_services; i++)
		make_service(compiler, &compiler->services[i], &model->services[i]);
	snapshot->services = compiler->services;
	snapshot->n_services = model->n_services;
	snapshot->n_backends = n;
}

static void
point_at_endpoints(struct compiler *compiler)
{
	struct snapshot *snapshot = compiler->snapshot;
	struct arena *arena = &compiler->maps->arena;
	const struct endpoint **pointers = arena_array(arena, compiler->n_links, sizeof(struct endpoint *));
	const struct backend **backends = arena_array(arena, compiler->n_backends, sizeof(struct backend *));

	snapshot->endpoints = compiler->maps->endpoints;
	for (uint32_t i = 0; i < compiler->n_links; i++)
		pointers[i] = &snapshot->endpoints[compiler->links[i]];
	for (uint32_t i = 0; i < compiler->n_backends; i++) {
		backends[i] = &compiler->backends[i];
		compiler->backends[i].endpoints = pointers;
		pointers += compiler->backends[i].n_endpoints;
	}
	snapshot->backends = backends;
}

static const struct backend *
find_backend(const struct compiler *compiler, const struct model_destination *destination)
{
	const struct model_rule *rule = compiler->model->services[destination->service].rule;
	uint32_t n_subsets = rule == NULL ? 0 : rule->n_subsets;
	uint32_t index = destination->port_index * (1 + n_subsets);

	if (destination->subset_index != MODEL_NONE)
		index += 1 + destination->subset_index;
	return &compiler->services[destination->service].backends[index];
}

static void
make_routes(struct compiler *compiler)
{
	struct model *model = compiler->model;
	struct arena *arena = &compiler->maps->arena;
	struct route *routes = arena_array(arena, model->n_routes, sizeof(*routes));

	for (uint32_t i = 0; i < model->n_routes; i++) {
		const struct model_route *from = model->routes[i];
		struct weighted_backend *backends = arena_array(arena, from->n_destinations, sizeof(*backends));
		struct route *route = &routes[i];
		route->origin = from->origin;
		route->backends = backends;
		for (uint32_t j = 0; j < from->n_destinations; j++) {
			if (from->destinations[j].weight == 0)
				continue;
			route->total_weight += from->destinations[j].weight;
			backends[route->n_backends++] =
				(struct weighted_backend){.backend = find_backend(compiler, &from->destinations[j]),
							  .weight = route->total_weight};
		}
	}
	compiler->maps->routes = routes;
}

/* An endpoint that expects a PROXY header can't be reached by who brings none. */
static void
check_no_proxy(struct compiler *compiler, const struct backend *backend, const struct model_service *service)
{
	if (backend->proxy_protocol)
		report_error(compiler->report, service->rule->host.origin, PN_NOT_BRIDGED,
			     "clients of an AUTO_PASSTHROUGH Gateway are passed through to port %u of \"%s\", and its "
			     "DestinationRule wants a PROXY header before them",
			     backend->port, service->host.bytes);
}

static bool
has_ipv6(const struct backend *backend)
{
	for (uint32_t i = 0; i < backend->n_endpoints; i++) {
		if (!ip_addr_is_v4(&backend->endpoints[i]->addr))
			return true;
	}
	return false;
}

static bool
is_tls(const struct backend *backend)
{
	return backend->protocol == PROTOCOL_TLS || backend->protocol == PROTOCOL_HTTPS;
}

/* The border of AUTO_PASSTHROUGH: a service inside the mesh, by a whole name, that the Gateway's hosts admit, and of
 * which some port is TLS. What isn't marked here can't be reached by any server name (CVE-2021-31921). */
static void
admit_services(struct compiler *compiler, const struct model_listener *from, struct listener *listener)
{
	struct snapshot *snapshot = compiler->snapshot;
	uint64_t *admitted = arena_array(&compiler->maps->arena, (snapshot->n_services + 63) / 64, sizeof(*admitted));

	for (uint32_t i = 0; i < snapshot->n_services; i++) {
		const struct model_service *service = &compiler->model->services[i];
		bool tls = false;
		if (service->entry->external || service->host.bytes[0] == '*' ||
		    !check_admits(from, service->host, service->entry->meta.space))
			continue;
		for (uint32_t j = 0; j < snapshot->services[i].n_backends; j++) {
			const struct backend *backend = &snapshot->services[i].backends[j];
			if (!is_tls(backend))
				continue;
			tls = true;
			check_no_proxy(compiler, backend, service);
			listener->any_ipv6_endpoint = listener->any_ipv6_endpoint || has_ipv6(backend);
		}
		if (!tls)
			continue;
		admitted[i / 64] |= 1ull << (i % 64);
	}
	compiler->maps->listeners[listener->index].admitted = admitted;
}

/* Takes the map of server names out of the model. */
static void
take_routes(struct compiler *compiler, struct model_listener *from, struct listener *listener)
{
	struct name_map *map = &compiler->maps->listeners[listener->index].routes;

	*map = from->routes;
	from->routes = (struct name_map){0};
	if (map->slots == NULL)
		return;
	/* At most one for each name; routes of several names are listed once. */
	const struct route **routes = arena_array(&compiler->maps->arena, map->n, sizeof(struct route *));
	uint64_t *listed = calloc(compiler->model->n_routes / 64 + 1ul, sizeof(*listed));
	if (listed == NULL)
		abort();
	for (uint32_t i = 0; i <= map->mask; i++) {
		uint32_t index = map->slots[i].value;
		if (map->slots[i].key == NULL || (listed[index / 64] >> (index % 64) & 1) != 0)
			continue;
		listed[index / 64] |= 1ull << (index % 64);
		const struct route *route = &compiler->maps->routes[index];
		routes[listener->n_routes++] = route;
		for (uint32_t j = 0; j < route->n_backends && !listener->any_ipv6_endpoint; j++)
			listener->any_ipv6_endpoint = has_ipv6(route->backends[j].backend);
	}
	free(listed);
	listener->routes = routes;
}

/* By port, then address: the order that snapshot_listener searches. */
static int
compare_listeners(const void *left, const void *right)
{
	const struct model_server *a = (*(struct model_listener *const *)left)->server;
	const struct model_server *b = (*(struct model_listener *const *)right)->server;
	return a->port != b->port ? (int)a->port - (int)b->port : memcmp(&a->bind, &b->bind, sizeof(a->bind));
}

/* By server name, how TLS ends: the map of hosts out of the model, with other numbers. */
static void
take_servers(struct compiler *compiler, struct model_listener *from, struct listener *listener)
{
	struct name_map *map = &compiler->maps->listeners[listener->index].servers;

	listener->tls = compile_listener_tls(from, &compiler->maps->arena);
	listener->n_tls = from->n_tls;
	*map = from->hosts;
	from->hosts = (struct name_map){0};
	for (uint32_t i = 0; i <= map->mask && map->slots != NULL; i++) {
		if (map->slots[i].key != NULL)
			map->slots[i].value = from->host_list[map->slots[i].value]->server->tls_index;
	}
}

/* Whether we have anything to do with what an unencrypted client sends. */
static bool
wants_bridge(const struct listener *listener)
{
	for (uint32_t i = 0; i < listener->n_routes; i++) {
		for (uint32_t j = 0; j < listener->routes[i]->n_backends; j++) {
			const struct backend *backend = listener->routes[i]->backends[j].backend;
			if (backend->tls->mode != TLS_MODE_DISABLE || backend->proxy_protocol)
				return true;
		}
	}
	return false;
}

static uint32_t
listener_slot(struct compiler *compiler, const struct listener *listener)
{
	static const struct ip_addr any;
	char bind[IP_ADDR_TEXT_MAX] = "";

	if (!ip_addr_equal(&listener->bind, &any))
		ip_addr_format(&listener->bind, bind);
	compiler->name.length = 0;
	text_print(&compiler->name, "%s|%u|%s", listener->gateway.bytes, listener->port, bind);
	return get_slot(compiler, 'l', &listener->origin);
}

static void
make_listeners(struct compiler *compiler)
{
	struct model *model = compiler->model;
	struct snapshot *snapshot = compiler->snapshot;
	struct arena *arena = &compiler->maps->arena;
	struct listener *listeners = arena_array(arena, model->n_listeners, sizeof(*listeners));
	struct model_listener **sorted = calloc(model->n_listeners + 1ul, sizeof(struct model_listener *));
	uint32_t n = 0;

	if (sorted == NULL)
		abort();
	for (struct model_listener *listener = model->listeners; listener != NULL; listener = listener->next)
		sorted[n++] = listener;
	qsort(sorted, n, sizeof(struct model_listener *), compare_listeners);
	compiler->maps->listeners = arena_array(arena, n, sizeof(*compiler->maps->listeners));
	compiler->maps->n_listeners = n;
	for (uint32_t i = 0; i < n; i++) {
		struct model_listener *from = sorted[i];
		struct listener *listener = &listeners[i];
		compiler->name.length = 0;
		text_print(&compiler->name, "%s/%s", from->gateway->meta.space.bytes, from->gateway->meta.name.bytes);
		*listener = (struct listener){
			.port = from->server->port,
			.index = (uint16_t)i,
			.mode = from->server->mode,
			.bind = from->server->bind,
			.gateway = text_pool_add(&model->names, compiler->name.bytes, compiler->name.length),
			.port_name = from->server->port_name,
			.origin = from->server->origin,
		};
		listener->live = listener_slot(compiler, listener);
		if (listener->mode == LISTENER_AUTO_PASSTHROUGH)
			admit_services(compiler, from, listener);
		else
			take_routes(compiler, from, listener);
		if (listener->mode == LISTENER_TERMINATE)
			take_servers(compiler, from, listener);
		if (listener->mode == LISTENER_TCP && wants_bridge(listener))
			listener->mode = LISTENER_PLAIN;
	}
	free(sorted);
	snapshot->listeners = listeners;
	snapshot->n_listeners = (uint16_t)n;
}

static size_t
count_bytes(const struct snapshot_maps *maps, const struct compiler *compiler)
{
	size_t bytes = sizeof(*maps) + maps->arena.bytes + name_map_bytes(&maps->hosts) +
		       compiler->endpoints_capacity * sizeof(*maps->endpoints);
	for (uint32_t i = 0; i < maps->n_listeners; i++)
		bytes += name_map_bytes(&maps->listeners[i].routes) + name_map_bytes(&maps->listeners[i].servers);
	return bytes;
}

struct snapshot *
compile_model(struct model *model, struct snapshot_maps *maps, const struct snapshot_slots *slots,
	      struct report *report)
{
	struct compiler compiler = {.model = model, .maps = maps, .slots = slots, .report = report};
	const struct model_federation *federation = model->federation;
	struct snapshot *snapshot = arena_alloc(&maps->arena, sizeof(*snapshot));

	compiler.snapshot = snapshot;
	snapshot->maps = maps;
	snapshot->trust_domain = federation->trust_domain;
	snapshot->cluster_id = federation->cluster_id;
	snapshot->network = name_or_empty(federation->network);
	snapshot->locality = name_or_empty(federation->locality);
	snapshot->name = federation->meta.name;
	compile_trust(model, snapshot, &maps->arena);
	make_services(&compiler);
	point_at_endpoints(&compiler);
	make_routes(&compiler);
	make_listeners(&compiler);
	snapshot->policies = policy_compile(model, snapshot, &maps->arena);
	maps->hosts = model->hosts;
	model->hosts = (struct name_map){0};
	snapshot->bytes = count_bytes(maps, &compiler);
	free(compiler.links);
	text_free(&compiler.name);
	return snapshot;
}

void
snapshot_maps_free(struct snapshot_maps *maps)
{
	for (uint32_t i = 0; i < maps->n_listeners; i++) {
		name_map_free(&maps->listeners[i].routes);
		name_map_free(&maps->listeners[i].servers);
	}
	name_map_free(&maps->hosts);
	free(maps->endpoints);
	arena_free(&maps->arena);
	free(maps);
}
