/* SPDX-License-Identifier: Apache-2.0 */
/* Gateways' servers become listeners: one for each port and address, made of the servers of one Gateway that share
 * them. */
#include <stdlib.h>
#include <string.h>

#include "federation/check.h"

enum {
	LISTENERS_MAX = 4096,
	/* A host for so many namespaces: asking whether a host is admitted looks through them. */
	HOST_SPACES_MAX = 64
};

void *
check_grow(void *list, uint32_t n, uint32_t *capacity, size_t size)
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

/* A host is one server's, where the server says how TLS ends. */
static bool
report_duplicate(struct check *check, const struct model_listener *listener, const struct model_server_host *host,
		 const struct model_server_host *first)
{
	if (!name_equal(first->space, host->space) &&
	    (listener->server->mode != LISTENER_TERMINATE || first->server == host->server))
		return false;
	report_error(check->report, host->origin, PN_DUPLICATE_SERVER_HOST,
		     "host \"%s\" is on port %u of this Gateway already, on line %u", host->host.bytes,
		     listener->server->port, first->origin.line);
	return true;
}

static void
add_host(struct check *check, struct model_listener *listener, struct model_server_host *host)
{
	struct host_walk walk = host_walk_begin(host->host.bytes, host->host.length);
	struct model_server_host *last;
	uint32_t *index, n = 0;

	if (name_map_add(&listener->hosts, walk.key, walk.length, NULL, &index)) {
		*index = listener->n_hosts;
		listener->host_list = check_grow(listener->host_list, listener->n_hosts, &listener->hosts_capacity,
						 sizeof(struct model_server_host *));
		listener->host_list[listener->n_hosts++] = host;
		return;
	}
	for (last = listener->host_list[*index];; last = last->next_same) {
		if (report_duplicate(check, listener, host, last))
			return;
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

static const char *const doing[] = {[LISTENER_PASSTHROUGH] = "passes TLS through",
				    [LISTENER_AUTO_PASSTHROUGH] = "passes TLS through by Istio's own names",
				    [LISTENER_TERMINATE] = "ends TLS",
				    [LISTENER_TCP] = "is of protocol TCP"};

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
			     "port %u %s in this Gateway already, on line %u", server->port,
			     doing[listener->server->mode], first->line);
		return NULL;
	}
	return listener;
}

void
check_listeners(struct check *check)
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
			server->tls_index = server->mode == LISTENER_TERMINATE ? listener->n_tls++ : 0;
			for (uint32_t i = 0; i < server->n_hosts; i++) {
				server->hosts[i].server = server;
				add_host(check, listener, &server->hosts[i]);
			}
		}
	}
	free(listeners);
	name_map_free(&map);
}
