/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of flows: walks every worker's records while the worker goes on changing them. Each record is copied whole
 * or not at all (box_flow_read), but the list isn't of one instant: a flow that opens behind the walk is missing.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/control_answer.h"
#include "platform/clock.h"

struct flows {
	struct control_list list;
	unsigned worker;
	uint32_t index; /* the last one looked at */
	/* what is wanted; texts are NULL, prefixes of no address when everything is */
	bool by_client, by_endpoint;
	struct ip_prefix client;
	struct ip_prefix endpoint;
	uint16_t endpoint_port; /* host order; 0: any */
	char *service, *listener;
	uint16_t listener_port; /* host order; 0: not asked for */
	unsigned state;         /* FLOW_FREE: any */
};

/* A part of a record that isn't set yet. */
static bool
is_set(const struct ip_addr *addr)
{
	return addr->longs[0] != 0 || addr->longs[1] != 0;
}

static bool
is_wanted(const struct flows *flows, const struct flow *flow)
{
	const struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	const struct live *live = flows->list.context->box->live;

	if (flows->state != FLOW_FREE && flow->state != flows->state)
		return false;
	if (flows->by_client && !ip_prefix_contains(&flows->client, &client->peer))
		return false;
	if (flows->by_endpoint && !ip_prefix_contains(&flows->endpoint, &endpoint->peer))
		return false;
	if (flows->endpoint_port != 0 && ntohs(endpoint->peer_port) != flows->endpoint_port)
		return false;
	if (flows->service != NULL && strcmp(live_label(live, flow->service, LIVE_SERVICE), flows->service) != 0)
		return false;
	if (flows->listener_port != 0)
		return ntohs(client->local_port) == flows->listener_port;
	return flows->listener == NULL || strcmp(live_label(live, flow->listener, LIVE_GATEWAY), flows->listener) == 0;
}

static json_t *
peer_json(const struct flow_leg *leg)
{
	return is_set(&leg->peer) ? control_json_endpoint(&leg->peer, ntohs(leg->peer_port)) : json_null();
}

static json_t *
local_json(const struct net *net, const struct flow_leg *leg)
{
	if (!is_set(&leg->peer) || leg->local_addr >= net->n_addresses)
		return json_null();
	return control_json_endpoint(&net->addresses[leg->local_addr].addr, ntohs(leg->local_port));
}

static json_t *
flow_json(const struct box *box, unsigned worker, const struct flow *flow, uint64_t wall_ms)
{
	const struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	uint64_t opened_ms = flow_opened(flow);
	json_t *record = json_object();

	json_object_set_new(record, "worker", json_integer(worker));
	json_object_set_new(record, "state", json_string(flow_state_text(flow->state)));
	json_object_set_new(record, "client", peer_json(client));
	json_object_set_new(record, "local", local_json(&box->net, client));
	json_object_set_new(record, "out", local_json(&box->net, endpoint));
	json_object_set_new(record, "endpoint", peer_json(endpoint));
	json_object_set_new(record, "service", control_json_text(live_label(box->live, flow->service, LIVE_SERVICE)));
	json_object_set_new(record, "listener", control_json_text(live_label(box->live, flow->listener, LIVE_GATEWAY)));
	json_object_set_new(record, "opened", opened_ms == 0 ? json_null() : control_json_time(opened_ms));
	/* The wall clock may have been set back since. */
	json_object_set_new(record, "age_ms",
			    opened_ms == 0 || wall_ms < opened_ms ? json_null()
								  : control_json_u64(wall_ms - opened_ms));
	json_object_set_new(record, "sent", control_json_u64(client->bytes));
	json_object_set_new(record, "received", control_json_u64(endpoint->bytes));
	json_object_set_new(record, "attempts", json_integer(flow->attempts));
	json_object_set_new(record, "reason",
			    flow->reason == REASON_NONE ? json_null() : json_string(reason_text(flow->reason)));
	return record;
}

static bool
flows_step(struct control_list *list, json_t **record)
{
	struct flows *flows = (struct flows *)list;
	const struct box *box = list->context->box;
	struct flow flow;

	while (flows->worker < box->n_workers &&
	       flows->index >= flow_table_touched(&box->workers[flows->worker]->flows)) {
		flows->worker++;
		flows->index = 0;
	}
	if (flows->worker >= box->n_workers)
		return false;
	flows->index++;
	*record = NULL;
	if (box_flow_read(box, flows->worker, flows->index, &flow) && is_wanted(flows, &flow))
		*record = flow_json(box, flows->worker, &flow, clock_wall_ms());
	return true;
}

static void
flows_end(struct control_answer *answer)
{
	struct flows *flows = (struct flows *)answer;

	free(flows->service);
	free(flows->listener);
	free(flows);
}

static bool
parse_state(const char *text, unsigned *state, struct text *error)
{
	for (unsigned i = FLOW_FREE + 1; i < FLOW_STATES; i++) {
		if (strcmp(flow_state_text(i), text) == 0) {
			*state = i;
			return true;
		}
	}
	text_print(error, "no flow is ever \"%s\"; states are", text);
	for (unsigned i = FLOW_FREE + 1; i < FLOW_STATES; i++)
		text_print(error, "%s %s", i == FLOW_FREE + 1 ? "" : ",", flow_state_text(i));
	return false;
}

/* "ADDR:PORT", "ADDR" or "ADDR/LENGTH". */
static bool
parse_endpoint(const json_t *arguments, struct flows *flows, struct text *error)
{
	const char *text = NULL;

	if (!control_argument_text(arguments, "endpoint", &text, error))
		return false;
	flows->by_endpoint = text != NULL;
	if (text != NULL && ip_endpoint_parse(text, &flows->endpoint.addr, &flows->endpoint_port)) {
		flows->endpoint.length = ip_addr_is_v4(&flows->endpoint.addr) ? 32 : 128;
		return true;
	}
	return control_argument_prefix(arguments, "endpoint", &flows->endpoint, error);
}

static bool
parse(struct flows *flows, const json_t *arguments, uint64_t *limit, struct text *error)
{
	const char *state = NULL, *service = NULL, *listener = NULL;

	if (!control_argument_u64(arguments, "limit", limit, error) ||
	    !control_argument_text(arguments, "state", &state, error) ||
	    !control_argument_text(arguments, "service", &service, error) ||
	    !control_argument_text(arguments, "listener", &listener, error) ||
	    !control_argument_prefix(arguments, "client", &flows->client, error) ||
	    !parse_endpoint(arguments, flows, error))
		return false;
	flows->by_client = json_is_string(json_object_get(arguments, "client"));
	if (state != NULL && !parse_state(state, &flows->state, error))
		return false;
	if (service != NULL)
		flows->service = strdup(service);
	if (listener == NULL)
		return true;
	char *end;
	unsigned long port = strtoul(listener, &end, 10);
	if (*listener >= '0' && *listener <= '9' && *end == '\0' && port > 0 && port <= UINT16_MAX)
		flows->listener_port = (uint16_t)port;
	else
		flows->listener = strdup(listener);
	return true;
}

struct control_answer *
control_flows(struct control_context *context, const json_t *arguments, struct text *error)
{
	struct flows *flows = calloc(1, sizeof(*flows));
	uint64_t limit = CONTROL_LIMIT;

	if (flows == NULL)
		abort();
	if (!parse(flows, arguments, &limit, error)) {
		flows_end(&flows->list.answer);
		return NULL;
	}
	control_list_init(&flows->list, context, "flows", limit, false);
	flows->list.step = flows_step;
	flows->list.answer.end = flows_end;
	return &flows->list.answer;
}
