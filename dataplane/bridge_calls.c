/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway's sessions call. */
#include <arpa/inet.h>

#include "dataplane/accept.h"
#include "dataplane/bridge_step.h"
#include "dataplane/dial.h"
#include "dataplane/flow_close.h"
#include "dataplane/mbuf_queue.h"

void
bridge_describe(const struct worker *worker, const struct bridge *bridge, struct bridge_ends *ends)
{
	const struct flow *flow = flow_table_get(&worker->flows, bridge->flow);
	const struct flow_leg *client = &flow->leg[LEG_CLIENT];

	*ends = (struct bridge_ends){
		.client = client->peer,
		.local = worker->net->addresses[client->local_addr].addr,
		.client_port = ntohs(client->peer_port),
		.local_port = ntohs(client->local_port),
		.listener = flow->listener,
		.endpoint = flow->endpoint,
		.service = flow->service,
		.phase = (enum bridge_phase)bridge->phase,
		.port = bridge->port,
	};
}

void
bridge_dial(struct worker *worker, struct bridge *bridge, const struct dial *dial)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	struct flow_leg *endpoint = &step.flow->leg[LEG_ENDPOINT];
	enum reason reason = dial_open_leg(worker, step.index, dial, FLOW_BRIDGED);
	bridge->phase = BRIDGE_CONNECTING;
	bridge->resent[LEG_ENDPOINT] = 0;
	endpoint->edge = endpoint->ack;
	if (reason != REASON_NONE) {
		bridge_step_failed(&step, reason);
		return;
	}
	endpoint->mss = dial_mtu_mss(worker, endpoint);
	bridge->deadline_ms = worker->clock_ms + dial->connect_timeout_ms;
	bridge->flags |= BRIDGE_HAS_DEADLINE;
	const struct tcp_connect connect = {
		.iss = endpoint->ack,
		.ts_offset = endpoint->hash,
		.link_mss = endpoint->mss,
		.announced_mss = endpoint->mss,
		.default_mss = ip_addr_is_v4(&endpoint->peer) ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6,
		.our_wscale = ACCEPT_WSCALE,
		.sack = true,
		.timestamps = true,
	};
	tcp_open_connect(&bridge->tcp[LEG_ENDPOINT], &step.env, &connect);
	bridge_step_note(&step, LEG_ENDPOINT);
	bridge_step_arm(&step);
}

void
bridge_hang_up(struct worker *worker, struct bridge *bridge)
{
	struct tcp *tcp = &bridge->tcp[LEG_ENDPOINT];
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	tcp_abort(tcp, &step.env);
	tcp_free(tcp);
	flow_count_ended(worker, step.flow, REASON_CLOSED);
	dial_close_leg(worker, step.index);
	step.flow->leg[LEG_ENDPOINT].bytes = step.flow->counted[LEG_ENDPOINT] = 0;
	step.flow->owes = 1;
	bridge->phase = BRIDGE_ALONE;
}

struct mbuf_queue *
bridge_received(struct bridge *bridge, unsigned leg)
{
	return tcp_received(&bridge->tcp[leg]);
}

void
bridge_took(struct worker *worker, struct bridge *bridge, unsigned leg)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	bridge_step_took(&step, leg);
	bridge_step_arm(&step);
}

uint32_t
bridge_room(const struct bridge *bridge, unsigned leg)
{
	return tcp_room(&bridge->tcp[leg]);
}

void
bridge_send(struct worker *worker, struct bridge *bridge, unsigned leg, struct mbuf_queue *bytes)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	if (bridge->tcp[leg].state == TCP_STATE_CLOSED)
		mbuf_queue_clear(bytes);
	else
		tcp_write(&bridge->tcp[leg], &step.env, bytes);
	bridge_step_arm(&step);
}

void
bridge_shut(struct worker *worker, struct bridge *bridge, unsigned leg)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	if (bridge->tcp[leg].state != TCP_STATE_CLOSED)
		tcp_shut(&bridge->tcp[leg], &step.env);
	bridge_step_arm(&step);
}

void
bridge_alarm(struct worker *worker, struct bridge *bridge, uint32_t after_ms)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	bridge->flags &= (uint8_t)~BRIDGE_HAS_ALARM;
	if (after_ms == 0)
		return;
	bridge->flags |= BRIDGE_HAS_ALARM;
	bridge->alarm_ms = worker->clock_ms + after_ms;
	bridge_step_arm(&step);
}

void
bridge_end(struct worker *worker, struct bridge *bridge, enum reason reason)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	bridge_step_leave(&step, BRIDGE_ENDS, reason);
}

void
bridge_close(struct worker *worker, struct bridge *bridge, enum reason reason)
{
	struct bridge_step step;

	bridge_step_begin(&step, worker, bridge);
	bridge_step_leave(&step, BRIDGE_CLOSES, reason);
}
