/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_close.h"

#include <netinet/in.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "dataplane/bridge.h"
#include "dataplane/emit.h"

enum { IDLE_TICK_MAX_MS = 30000 };

void
flow_set_state(struct worker *worker, struct flow *flow, enum flow_state state)
{
	if (flow->state != FLOW_FREE)
		worker->stats->states[flow->state]--;
	if (state != FLOW_FREE)
		worker->stats->states[state]++;
	bool bridged = state == FLOW_BRIDGED || (state == FLOW_CLOSING && flow_is_bridged(flow));
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		flow->leg[leg].state = (uint8_t)(bridged ? FLOW_BRIDGED : state);
	__atomic_signal_fence(__ATOMIC_RELEASE); /* the compiler leaves before it what is before it (flow.h) */
	flow->state = (uint8_t)state;
	if (!bridged && flow->hold != 0)
		hold_enqueue(&worker->holds, flow->hold,
			     state == FLOW_PEEKING      ? HOLD_QUEUE_HELLO
			     : state == FLOW_CONNECTING ? HOLD_QUEUE_ENDPOINT
							: HOLD_QUEUE_NONE,
			     worker->clock_ms);
}

void
flow_dispose(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);

	timer_wheel_stop(&worker->wheel, &worker->flows, index);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if ((flow->leg[leg].flags & LEG_HASHED) != 0)
			flow_table_remove(&worker->flows, index, leg);
	if (flow_is_bridged(flow))
		bridge_release(worker, flow);
	else if (flow->hold != 0)
		hold_release(&worker->holds, flow->hold);
	flow->hold = 0;
	flow_set_state(worker, flow, FLOW_FREE);
	flow_table_release(&worker->flows, index);
	worker->table_version++;
}

bool
flow_event_make(struct worker *worker, const struct flow *flow, enum flow_event_kind kind, enum reason reason,
		struct flow_event *event)
{
	if (worker->events == NULL)
		return false;
	/* Anybody can be refused as often as he likes; the log isn't his to fill. */
	if (kind == FLOW_REFUSED && ++worker->refusals_told > FLOW_REFUSALS_TOLD_MAX) {
		worker->stats->events_lost++;
		return false;
	}
	const struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	uint64_t wall = worker->now_ms + worker->wall_offset_ms;
	*event = (struct flow_event){
		.kind = (uint8_t)kind,
		.reason = (uint8_t)reason,
		.worker = (uint8_t)worker->id,
		.attempts = flow->attempts,
		.client_port = ntohs(client->peer_port),
		.local_port = ntohs(client->local_port),
		.listener = flow->listener,
		.endpoint = flow->endpoint,
		.service = flow->service,
		.client = client->peer,
		.local = worker->net->addresses[client->local_addr].addr,
		.opened_ms = flow_opened(flow),
		.duration_ms = (uint32_t)(wall - flow_opened(flow)),
		.sent = client->bytes,
		.received = endpoint->bytes,
	};
	if (flow->endpoint != 0) {
		event->endpoint_addr = endpoint->peer;
		event->endpoint_port = ntohs(endpoint->peer_port);
		event->out_addr = worker->net->addresses[endpoint->local_addr].addr;
		event->out_port = ntohs(endpoint->local_port);
	}
	return true;
}

void
flow_event_send(struct worker *worker, struct flow_event *event)
{
	if (rte_ring_enqueue_elem(worker->events, event, sizeof(*event)) != 0)
		worker->stats->events_lost++;
}

void
flow_send_event(struct worker *worker, const struct flow *flow, enum flow_event_kind kind, enum reason reason,
		const char *sni)
{
	struct flow_event event;

	if (!flow_event_make(worker, flow, kind, reason, &event))
		return;
	if (sni != NULL)
		memcpy(event.sni, sni, strnlen(sni, SNI_TEXT_MAX - 1));
	flow_event_send(worker, &event);
}

enum { LIVE_ENDPOINT, LIVE_BACKEND, LIVE_OF_FLOW };

/* The counters of the endpoint, or of the backend, of a flow that has been dialled. */
static inline struct live_counters *
live_of(struct worker *worker, const struct flow *flow, unsigned which)
{
	return &worker->live[which == LIVE_ENDPOINT ? flow->endpoint : flow->service];
}

void
flow_count_attempt(struct worker *worker, const struct flow *flow)
{
	for (unsigned i = 0; i < LIVE_OF_FLOW; i++) {
		struct live_counters *counters = live_of(worker, flow, i);
		counters->active++;
	}
}

void
flow_count_attempt_over(struct worker *worker, const struct flow *flow, bool failed)
{
	for (unsigned i = 0; i < LIVE_OF_FLOW; i++) {
		struct live_counters *counters = live_of(worker, flow, i);
		counters->active--;
		counters->failed += failed;
	}
}

void
flow_count_opened(struct worker *worker, const struct flow *flow)
{
	worker->stats->opened++;
	for (unsigned i = 0; i < LIVE_OF_FLOW; i++) {
		struct live_counters *counters = live_of(worker, flow, i);
		counters->opened++;
	}
}

/* Adds the payload that passed since this was last done to the live counters. */
static void
count_bytes(struct worker *worker, struct flow *flow)
{
	uint64_t sent = flow->leg[LEG_CLIENT].bytes - flow->counted[LEG_CLIENT];
	uint64_t received = flow->leg[LEG_ENDPOINT].bytes - flow->counted[LEG_ENDPOINT];
	flow->counted[LEG_CLIENT] += sent;
	flow->counted[LEG_ENDPOINT] += received;
	for (unsigned i = 0; i < LIVE_OF_FLOW; i++) {
		struct live_counters *counters = live_of(worker, flow, i);
		counters->sent += sent;
		counters->received += received;
	}
}

void
flow_count_ended(struct worker *worker, struct flow *flow, enum reason reason)
{
	worker_count(worker, reason);
	worker->stats->ended++;
	count_bytes(worker, flow);
	for (unsigned i = 0; i < LIVE_OF_FLOW; i++) {
		struct live_counters *counters = live_of(worker, flow, i);
		counters->active--;
		counters->closed++;
	}
}

void
flow_refuse(struct worker *worker, uint32_t index, enum reason reason, const char *sni)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *client = &flow->leg[LEG_CLIENT];

	worker_count(worker, reason);
	worker->stats->refused++;
	if (reason != REASON_CLIENT_RESET) {
		const struct hold *hold = hold_get(&worker->holds, flow->hold);
		emit_reset_peer(worker, client, client->ack, hold->client_isn + 1 + hold->acked);
	}
	flow_send_event(worker, flow, FLOW_REFUSED, reason, sni);
	flow_dispose(worker, index);
}

void
flow_finish(struct worker *worker, uint32_t index, enum reason reason)
{
	struct flow *flow = flow_table_get(&worker->flows, index);

	if (flow->state != FLOW_SPLICED)
		return;
	flow->reason = (uint8_t)reason;
	__atomic_signal_fence(__ATOMIC_RELEASE); /* a SPLICED record with a reason is one that ended (flow_adopt.c) */
	if (flow->hold != 0) {
		hold_release(&worker->holds, flow->hold);
		flow->hold = 0;
		flow->leg[LEG_ENDPOINT].flags &= (uint8_t)~LEG_HELD; /* a late ACK must not look for it */
	}
	flow_count_ended(worker, flow, reason);
	flow_send_event(worker, flow, FLOW_ENDED, reason, NULL);
	flow_set_state(worker, flow, FLOW_CLOSING);
	timer_wheel_start(&worker->wheel, &worker->flows, index, worker->clock_ms + worker->conf->flow.close_linger_ms);
}

void
flow_abort(struct worker *worker, uint32_t index, enum reason reason)
{
	struct flow *flow = flow_table_get(&worker->flows, index);

	if (flow->state == FLOW_SPLICED)
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			struct flow_leg *to = &flow->leg[leg];
			emit_reset_peer(worker, to, to->ack, to->seq_end);
		}
	flow_finish(worker, index, reason);
}

static bool
is_half_closed(const struct flow *flow)
{
	return ((flow->leg[LEG_CLIENT].flags | flow->leg[LEG_ENDPOINT].flags) & LEG_FIN) != 0;
}

static uint32_t
idle_timeout_ms(const struct worker *worker, const struct flow *flow)
{
	const struct conf *conf = worker->conf;
	return 1000 * (is_half_closed(flow) ? conf->flow.half_closed_timeout_s : conf->flow.idle_timeout_s);
}

uint32_t
flow_idle_tick_ms(const struct worker *worker, const struct flow *flow)
{
	uint32_t eighth = idle_timeout_ms(worker, flow) / 8;
	return eighth < IDLE_TICK_MAX_MS ? eighth : IDLE_TICK_MAX_MS;
}

void
flow_idle_start(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	timer_wheel_start(&worker->wheel, &worker->flows, index, worker->clock_ms + flow_idle_tick_ms(worker, flow));
}

void
flow_idle_resume(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	uint32_t tick = flow_idle_tick_ms(worker, flow), ahead = tick + worker_random(worker) % (tick + 1);
	timer_wheel_start(&worker->wheel, &worker->flows, index, worker->clock_ms + ahead);
}

enum reason
flow_idle_look(struct worker *worker, struct flow *flow)
{
	struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];

	if (flow->service != 0)
		count_bytes(worker, flow);
	/* Each side of a bridge is answered by us: that one of them lives says nothing of the other. */
	bool both = flow_is_bridged(flow) && flow->owes == 0;
	if (((both ? client->flags & endpoint->flags : client->flags | endpoint->flags) & LEG_ACTIVE) != 0) {
		client->flags &= (uint8_t)~LEG_ACTIVE;
		endpoint->flags &= (uint8_t)~LEG_ACTIVE;
		flow->idle_ticks = 0;
	} else if ((uint64_t)++flow->idle_ticks * flow_idle_tick_ms(worker, flow) >= idle_timeout_ms(worker, flow)) {
		return is_half_closed(flow) ? REASON_HALF_CLOSED_TIMEOUT : REASON_IDLE_TIMEOUT;
	}
	return REASON_NONE;
}

void
flow_idle_fired(struct worker *worker, uint32_t index)
{
	enum reason reason = flow_idle_look(worker, flow_table_get(&worker->flows, index));

	if (reason == REASON_NONE)
		flow_idle_start(worker, index);
	else
		flow_abort(worker, index, reason);
}
