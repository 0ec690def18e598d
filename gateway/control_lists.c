/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of what the federation in force says, with what is known of it: listeners, services, endpoints. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/accept.h"
#include "dataplane/tcp_options.h"
#include "gateway/control_answer.h"

/* A walk over an array of the snapshot. */
struct walk {
	struct control_list list;
	const struct snapshot *snapshot;
	uint32_t next;
	char *service; /* NULL: all */
};

static void
walk_end(struct control_answer *answer)
{
	struct walk *walk = (struct walk *)answer;

	free(walk->service);
	free(walk);
}

static struct control_answer *
walk_begin(const struct control_context *context, const json_t *arguments, const char *name,
	   bool (*step)(struct control_list *, json_t **), struct text *error)
{
	const struct snapshot *snapshot = decide_snapshot(context->box->decide);
	uint64_t limit = 0; /* these lists are as long as the operator made them */
	const char *service = NULL;

	if (!control_argument_u64(arguments, "limit", &limit, error) ||
	    !control_argument_text(arguments, "service", &service, error))
		return NULL;
	if (snapshot == NULL) {
		text_print(error, "no federation is in force yet");
		return NULL;
	}
	struct walk *walk = calloc(1, sizeof(*walk));
	if (walk == NULL)
		abort();
	control_list_init(&walk->list, context, name, limit, true);
	walk->list.step = step;
	walk->list.answer.end = walk_end;
	walk->snapshot = snapshot;
	walk->service = service == NULL ? NULL : strdup(service);
	return &walk->list.answer;
}

static const char *
mode_text(enum listener_mode mode)
{
	static const char *const texts[] = {
		[LISTENER_PASSTHROUGH] = "PASSTHROUGH",
		[LISTENER_AUTO_PASSTHROUGH] = "AUTO_PASSTHROUGH",
		[LISTENER_TERMINATE] = "TERMINATE",
		[LISTENER_TCP] = "TCP",
		[LISTENER_PLAIN] = "PLAIN",
	};
	return texts[mode];
}

/* One of our addresses that leads to the listener rather than to a more particular one on its port. */
static const struct ip_addr *
listener_address(const struct box *box, const struct snapshot *snapshot, const struct listener *listener)
{
	for (uint16_t i = 0; i < box->net.n_addresses; i++)
		if (snapshot_listener(snapshot, &box->net.addresses[i].addr, listener->port) == listener)
			return &box->net.addresses[i].addr;
	return NULL;
}

/* What its SYN-ACK offers; null when no address of ours leads to it. */
static json_t *
offer_json(const struct box *box, const struct snapshot *snapshot, const struct listener *listener)
{
	const struct ip_addr *local = listener_address(box, snapshot, listener);
	struct listener_offer offer = {0};

	if (local == NULL || !box->hooks.listener(box->hooks.context, local, listener->port, &offer))
		return json_null();
	json_t *json = json_object();
	json_object_set_new(json, "mss", offer.mss == 0 ? json_null() : json_integer(offer.mss));
	json_object_set_new(json, "window_scale", json_integer(ACCEPT_WSCALE));
	json_object_set_new(json, "sack", json_boolean(offer.sack));
	json_object_set_new(json, "timestamps", json_boolean(offer.timestamps));
	return json;
}

static uint32_t
count_services(const struct snapshot *snapshot, const struct listener *listener)
{
	uint32_t n = 0;

	if (listener->mode != LISTENER_AUTO_PASSTHROUGH)
		return 0;
	for (uint32_t i = 0; i < snapshot->n_services; i++) {
		struct name host = snapshot->services[i].host;
		if (listener_service(snapshot, listener, host.bytes, host.length) != NULL)
			n++;
	}
	return n;
}

static bool
listeners_step(struct control_list *list, json_t **record)
{
	struct walk *walk = (struct walk *)list;
	const struct box *box = list->context->box;

	if (walk->next == walk->snapshot->n_listeners)
		return false;
	const struct listener *listener = &walk->snapshot->listeners[walk->next++];
	static const struct ip_addr all;
	json_t *json = json_object();
	json_object_set_new(json, "port", json_integer(listener->port));
	json_object_set_new(json, "bind",
			    ip_addr_equal(&listener->bind, &all) ? json_null() : control_json_addr(&listener->bind));
	json_object_set_new(json, "mode", json_string(mode_text(listener->mode)));
	json_object_set_new(json, "gateway", control_json_name(listener->gateway));
	json_object_set_new(json, "name", control_json_name(listener->port_name));
	json_object_set_new(json, "routes", json_integer(listener->n_routes));
	json_object_set_new(json, "services", json_integer(count_services(walk->snapshot, listener)));
	json_object_set_new(json, "offer", offer_json(box, walk->snapshot, listener));
	json_object_set_new(json, "draining", json_boolean(box->draining));
	*record = json;
	return true;
}

static const char *
protocol_text(enum port_protocol protocol)
{
	static const char *const texts[] = {
		[PROTOCOL_TLS] = "TLS",     [PROTOCOL_HTTPS] = "HTTPS", [PROTOCOL_TCP] = "TCP",
		[PROTOCOL_HTTP] = "HTTP",   [PROTOCOL_GRPC] = "GRPC",   [PROTOCOL_MONGO] = "MONGO",
		[PROTOCOL_HTTP2] = "HTTP2",
	};
	return texts[protocol];
}

static const char *
balancer_text(enum load_balancer balancer)
{
	static const char *const texts[] = {
		[LB_ROUND_ROBIN] = "ROUND_ROBIN", [LB_LEAST_REQUEST] = "LEAST_REQUEST", [LB_RANDOM] = "RANDOM"};
	return texts[balancer];
}

static json_t *
backend_json(const struct live *live, const struct backend *backend)
{
	json_t *json = json_object();

	json_object_set_new(json, "port", json_integer(backend->port));
	json_object_set_new(json, "protocol", json_string(protocol_text(backend->protocol)));
	json_object_set_new(json, "subset", control_json_name(backend->subset));
	json_object_set_new(json, "balancer", json_string(balancer_text(backend->balancer)));
	json_object_set_new(json, "endpoints", json_integer(backend->n_endpoints));
	json_object_set_new(json, "connect_timeout_ms", json_integer(backend->connect_timeout_ms));
	json_object_set_new(json, "max_connections",
			    backend->max_connections == UINT32_MAX ? json_null()
								   : json_integer(backend->max_connections));
	control_json_counters(json, live, backend->live);
	return json;
}

static bool
services_step(struct control_list *list, json_t **record)
{
	struct walk *walk = (struct walk *)list;

	if (walk->next == walk->snapshot->n_services)
		return false;
	const struct service *service = &walk->snapshot->services[walk->next++];
	*record = NULL;
	if (walk->service != NULL && strcmp(service->host.bytes, walk->service) != 0)
		return true;
	json_t *json = json_object(), *backends = json_array();
	for (uint32_t i = 0; i < service->n_backends; i++)
		json_array_append_new(backends, backend_json(list->context->box->live, &service->backends[i]));
	json_object_set_new(json, "host", control_json_name(service->host));
	json_object_set_new(json, "name", control_json_name(service->name));
	json_object_set_new(json, "namespace", control_json_name(service->space));
	json_object_set_new(json, "backends", backends);
	*record = json;
	return true;
}

static json_t *
profile_json(const struct live *live, uint32_t slot)
{
	struct tcp_profile profile;

	if (!live_profile(live, slot, &profile))
		return json_null();
	json_t *json = json_object();
	json_object_set_new(json, "mss", json_integer(profile.mss));
	json_object_set_new(json, "window_scale",
			    profile.wscale == TCP_WSCALE_NONE ? json_null() : json_integer(profile.wscale));
	json_object_set_new(json, "sack", json_boolean(profile.sack));
	json_object_set_new(json, "timestamps", json_boolean(profile.timestamps));
	json_object_set_new(json, "window", json_integer(profile.window));
	return json;
}

static bool
endpoints_step(struct control_list *list, json_t **record)
{
	struct walk *walk = (struct walk *)list;
	const struct live *live = list->context->box->live;

	if (walk->next == walk->snapshot->n_endpoints)
		return false;
	const struct endpoint *endpoint = &walk->snapshot->endpoints[walk->next++];
	const char *service = live_label(live, endpoint->live, LIVE_SERVICE);
	*record = NULL;
	if (walk->service != NULL && strcmp(service, walk->service) != 0)
		return true;
	json_t *json = json_object();
	json_object_set_new(json, "service", control_json_text(service));
	json_object_set_new(json, "address", control_json_endpoint(&endpoint->addr, endpoint->port));
	json_object_set_new(json, "weight", json_integer(endpoint->weight));
	json_object_set_new(json, "workload", control_json_name(endpoint->workload));
	json_object_set_new(json, "locality", control_json_name(endpoint->locality));
	json_object_set_new(json, "network", control_json_name(endpoint->network));
	json_object_set_new(json, "cluster", control_json_name(endpoint->cluster));
	json_object_set_new(json, "gateway", json_boolean(endpoint->is_gateway));
	control_json_counters(json, live, endpoint->live);
	json_object_set_new(json, "tcp", profile_json(live, endpoint->live));
	*record = json;
	return true;
}

struct control_answer *
control_listeners(struct control_context *context, const json_t *arguments, struct text *error)
{
	return walk_begin(context, arguments, "listeners", listeners_step, error);
}

struct control_answer *
control_services(struct control_context *context, const json_t *arguments, struct text *error)
{
	return walk_begin(context, arguments, "services", services_step, error);
}

struct control_answer *
control_endpoints(struct control_context *context, const json_t *arguments, struct text *error)
{
	return walk_begin(context, arguments, "endpoints", endpoints_step, error);
}
