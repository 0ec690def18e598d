/* SPDX-License-Identifier: Apache-2.0 */
/* How a bridge begins: from a hold, with or without an endpoint that has answered already. */
#include "dataplane/bridge_step.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/mbuf_queue.h"
#include "dataplane/reclaim.h"

static uint32_t
take_record(struct worker *worker, uint32_t index)
{
	uint32_t bridge = bridge_alloc(&worker->bridges, index);

	if (bridge == 0 && reclaim_bridge(worker))
		bridge = bridge_alloc(&worker->bridges, index);
	return bridge;
}

/* Gives a flow that has a hold a bridge in its place, with an endpoint for the client that has received what was held.
 * False, and nothing changed, when there is no room. */
static bool
open_client(struct worker *worker, uint32_t index, struct bridge_step *step)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *client = &flow->leg[LEG_CLIENT];
	uint32_t hold_index = flow->hold, bridge_index = take_record(worker, index);
	const struct hold *hold = hold_get(&worker->holds, hold_index);
	struct mbuf_queue held = {0};

	if (bridge_index == 0)
		return false;
	if (mbuf_queue_write(&held, worker->pool, hold_bytes(&worker->holds, hold), hold->end) != hold->end) {
		mbuf_queue_clear(&held);
		bridge_free(&worker->bridges, bridge_index);
		return false;
	}
	struct bridge *bridge = bridge_pool_get(&worker->bridges, bridge_index);
	bridge_step_begin(step, worker, bridge);
	const struct tcp_accepted accepted = {
		.iss = client->ack - 1,
		.irs = hold->client_isn,
		.window = client->edge - client->ack,
		.offered = HOLD_MAX + (hold->acked != 0 ? (1u << client->announced) - 1 : 0), /* peek.c rounds up */
		.acked = hold->acked,
		.peer_mss = client->mss,
		.link_mss = dial_mtu_mss(worker, client),
		.their_wscale = (client->flags & LEG_WSCALE) != 0 ? client->wscale : TCP_WSCALE_NONE,
		.our_wscale = client->announced,
		.sack = (client->flags & LEG_SACK) != 0,
		.timestamps = (client->flags & LEG_TS) != 0,
		.ts_offset = client->hash,
		.ts_recent = hold->client_ts,
	};
	flow->hello_length = hold->end;
	client->edge = client->ack;
	client->seq_end = hold->client_isn + 1;
	client->seq_delta = 0;
	flow->retries = 0;
	flow->owes = 1;
	flow->bridge = bridge_index;
	bridge->idle_ms = worker->clock_ms + flow_idle_tick_ms(worker, flow);
	bridge->port = hold->port;
	timer_wheel_stop(&worker->wheel, &worker->flows, index);
	flow_set_state(worker, flow, FLOW_BRIDGED);
	hold_release(&worker->holds, hold_index);
	tcp_open_accepted(&bridge->tcp[LEG_CLIENT], &step->env, &accepted, &held);
	bridge_step_note(step, LEG_CLIENT);
	return true;
}

void
bridge_start(struct worker *worker, uint32_t index)
{
	struct bridge_step step;
	enum reason reason = REASON_NONE;

	if (!open_client(worker, index, &step)) {
		flow_refuse(worker, index, REASON_BRIDGE_POOL_EMPTY, NULL);
		return;
	}
	if (!worker->hooks->bridge_opened(worker->hooks->context, worker, step.bridge, &reason)) {
		bridge_step_leave(&step, BRIDGE_ENDS, reason);
	} else {
		step.bridge->flags |= BRIDGE_SESSION;
		bridge_step_arm(&step);
	}
	bridge_settle(worker);
}

/* The last ACK of the handshake with an endpoint that there is nothing to say to yet. */
static void
acknowledge(struct worker *worker, struct flow_leg *endpoint, const struct tcp *tcp)
{
	uint32_t window = (tcp->rcv_edge - tcp->rcv_nxt) >> endpoint->announced;
	const struct emit_segment ack = {
		.flags = TCP_ACK,
		.seq = tcp->nxt,
		.ack = tcp->rcv_nxt,
		.window = window < UINT16_MAX ? (uint16_t)window : UINT16_MAX,
	};
	emit_to_peer(worker, endpoint, &ack);
}

bool
bridge_relay(struct worker *worker, uint32_t index, const struct packet *packet, const struct tcp_options *options)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	bool scales = (client->flags & LEG_WSCALE) != 0 && options->wscale != TCP_WSCALE_NONE;
	uint32_t offered = dial_window(client);
	struct bridge_step step;

	if (!open_client(worker, index, &step))
		return false;
	endpoint->mss = options->mss != 0 ? options->mss : packet->v4 ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6;
	if (endpoint->mss < DIAL_MSS_MIN)
		endpoint->mss = DIAL_MSS_MIN;
	endpoint->flags |= scales ? LEG_WSCALE : 0;
	endpoint->wscale = scales ? options->wscale : 0;
	endpoint->announced = scales ? client->wscale : 0;
	endpoint->seq_end = packet->seq + 1;
	endpoint->ack = endpoint->edge = packet->ack;
	const struct tcp_accepted accepted = {
		.iss = packet->ack - 1,
		.irs = packet->seq,
		.window = packet->window, /* never scaled in a SYN */
		.offered = offered,
		.peer_mss = endpoint->mss,
		.link_mss = dial_mtu_mss(worker, endpoint),
		.their_wscale = scales ? options->wscale : TCP_WSCALE_NONE,
		.our_wscale = endpoint->announced,
		.sack = (client->flags & LEG_SACK) != 0 && options->sack_permitted,
	};
	struct mbuf_queue nothing = {0};
	tcp_open_accepted(&step.bridge->tcp[LEG_ENDPOINT], &step.env, &accepted, &nothing);
	bridge_step_join(&step);
	bridge_step_relay(&step, LEG_CLIENT);
	if (endpoint->edge == packet->ack)
		acknowledge(worker, endpoint, &step.bridge->tcp[LEG_ENDPOINT]);
	bridge_step_arm(&step);
	return true;
}
