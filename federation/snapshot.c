/* SPDX-License-Identifier: Apache-2.0 */
/* What workers ask of a snapshot: no locks, no memory, a bounded number of probes. */
#include "federation/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/compile.h"

void
snapshot_free(struct snapshot *snapshot)
{
	if (snapshot != NULL)
		snapshot_maps_free(snapshot->maps);
}

static const struct listener *
find_listener(const struct snapshot *snapshot, const struct ip_addr *bind, uint16_t port)
{
	uint32_t low = 0, high = snapshot->n_listeners;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct listener *listener = &snapshot->listeners[middle];
		int order = listener->port != port ? (int)port - (int)listener->port
						   : memcmp(bind, &listener->bind, sizeof(*bind));
		if (order == 0)
			return listener;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct listener *
snapshot_listener(const struct snapshot *snapshot, const struct ip_addr *local, uint16_t port)
{
	static const struct ip_addr any;
	const struct listener *listener = find_listener(snapshot, local, port);

	return listener != NULL ? listener : find_listener(snapshot, &any, port);
}

/* What the most specific pattern that matches a server name stands for. */
static bool
find_pattern(const struct name_map *patterns, const char *sni, size_t length, uint32_t *index)
{
	struct host_walk walk = {.key = sni, .length = length};

	/* A name that begins like a pattern's key is no host name. */
	if (length > 0 && sni[0] == '.')
		return false;
	while (host_walk_next(&walk)) {
		if (name_map_find(patterns, walk.key, walk.length, index))
			return true;
	}
	return false;
}

const struct route *
listener_route(const struct snapshot *snapshot, const struct listener *listener, const char *sni, size_t length)
{
	const struct snapshot_maps *maps = snapshot->maps;
	uint32_t index;

	return find_pattern(&maps->listeners[listener->index].routes, sni, length, &index) ? &maps->routes[index]
											   : NULL;
}

const struct listener_tls *
listener_server(const struct snapshot *snapshot, const struct listener *listener, const char *sni, size_t length)
{
	uint32_t index;

	return find_pattern(&snapshot->maps->listeners[listener->index].servers, sni, length, &index)
		       ? &listener->tls[index]
		       : NULL;
}

const struct service *
snapshot_service(const struct snapshot *snapshot, const char *host, size_t length)
{
	uint32_t index;

	return name_map_find(&snapshot->maps->hosts, host, length, &index) ? &snapshot->services[index] : NULL;
}

const struct service *
listener_service(const struct snapshot *snapshot, const struct listener *listener, const char *host, size_t length)
{
	const uint64_t *admitted = snapshot->maps->listeners[listener->index].admitted;
	uint32_t index;

	if (admitted == NULL || !name_map_find(&snapshot->maps->hosts, host, length, &index))
		return NULL;
	return (admitted[index / 64] >> (index % 64) & 1) != 0 ? &snapshot->services[index] : NULL;
}

static int
compare_backend(const struct backend *backend, uint16_t port, const char *subset, size_t length)
{
	if (backend->port != port)
		return (int)port - (int)backend->port;
	size_t shorter = length < backend->subset.length ? length : backend->subset.length;
	int order = shorter == 0 ? 0 : memcmp(subset, backend->subset.bytes, shorter);
	if (order != 0)
		return order;
	return length == backend->subset.length ? 0 : length < backend->subset.length ? -1 : 1;
}

static const struct backend *
find_backend(const struct service *service, uint16_t port, const char *subset, size_t length)
{
	uint32_t low = 0, high = service->n_backends;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct backend *backend = &service->backends[middle];
		int order = compare_backend(backend, port, subset, length);
		if (order == 0)
			return backend;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct backend *
service_backend(const struct service *service, uint16_t port, const char *subset, size_t length, bool *has_port)
{
	const struct backend *whole = find_backend(service, port, "", 0);

	*has_port = whole != NULL && (whole->protocol == PROTOCOL_TLS || whole->protocol == PROTOCOL_HTTPS);
	if (!*has_port)
		return NULL;
	return length == 0 ? whole : find_backend(service, port, subset, length);
}

size_t
backend_sni(const struct backend *backend, char sni[BACKEND_SNI_MAX])
{
	const struct name *host = &backend->service->host;
	int length;

	if (backend->tls->sni.length > 0)
		length = snprintf(sni, BACKEND_SNI_MAX, "%s", backend->tls->sni.bytes);
	else if (host->bytes[0] == '*')
		length = 0;
	else if (backend->tls->mode == TLS_MODE_ISTIO_MUTUAL)
		length = snprintf(sni, BACKEND_SNI_MAX, "outbound_.%u_.%s_.%s", backend->port, backend->subset.bytes,
				  host->bytes);
	else
		length = snprintf(sni, BACKEND_SNI_MAX, "%s", host->bytes);
	if (length >= BACKEND_SNI_MAX)
		length = 0;
	sni[length] = '\0';
	return (size_t)length;
}
