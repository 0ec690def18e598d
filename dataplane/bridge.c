/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it works
 *
 * A packet, or the timer, is given to the TCP endpoint of its leg (tcp.h), which answers with what has happened, and
 * has sent what it wanted to send by send_segment. What happened is told to the session, or moves a relay. What the
 * session wants to be the end of the bridge is left to bridge_settle, so that nobody on the way back meets a record
 * that is gone.
 *
 * A flow has one timer: it fires when the first of its endpoints, its deadline, its alarm or the watch for idleness is
 * due. It is moved only to fire earlier; fired too early, it finds nothing due and starts anew. So a packet doesn't
 * touch the wheel as a rule.
 */
#include "dataplane/bridge.h"

#include <assert.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "dataplane/accept.h"
#include "dataplane/bridge_step.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/icmp_quote.h"
#include "dataplane/mbuf_queue.h"
#include "dataplane/reclaim.h"
#include "dataplane/splice.h"
#include "dataplane/tcp_options.h"
#include "dataplane/tcp_output.h"

/* --- steps -------------------------------------------------------------------------------------------------------- */

static bool
send_segment(void *context, struct tcp *tcp, const struct tcp_segment *segment)
{
	struct bridge_step *step = context;
	unsigned leg = tcp == &step->bridge->tcp[LEG_CLIENT] ? LEG_CLIENT : LEG_ENDPOINT;
	struct flow_leg *to = &step->flow->leg[leg];
	uint32_t end = segment->seq + segment->payload_length + ((segment->flags & TCP_SYN) != 0) +
		       ((segment->flags & TCP_FIN) != 0);
	const struct emit_segment out = {
		.flags = segment->flags,
		.seq = segment->seq,
		.ack = segment->ack,
		.window = segment->window,
		.options = segment->options,
		.options_length = segment->options_length,
		.queued = segment->mbuf,
		.payload_offset = segment->offset,
		.payload_length = segment->payload_length,
	};

	if (seq_before(to->edge, end)) /* before it can leave: the process may end in between */
		to->edge = end;
	bool sent = emit_to_peer(step->worker, to, &out);
	if (sent && (segment->flags & TCP_RST) != 0)
		step->worker->stats->rsts_sent++;
	return sent;
}

static void
segment_dropped(void *context, struct tcp *tcp, enum reason reason)
{
	const struct bridge_step *step = context;
	(void)tcp;

	worker_count(step->worker, reason);
}

void
bridge_step_begin(struct bridge_step *step, struct worker *worker, struct bridge *bridge)
{
	*step = (struct bridge_step){
		.env = {.now_ms = worker->clock_ms,
			.scarce = worker->packets_scarce,
			.limits = &worker->bridges.limits,
			.pool = worker->pool,
			.context = step,
			.send = send_segment,
			.dropped = segment_dropped},
		.worker = worker,
		.bridge = bridge,
		.flow = flow_table_get(&worker->flows, bridge->flow),
		.index = bridge->flow,
	};
}

void
bridge_step_took(struct bridge_step *step, unsigned leg)
{
	if (step->bridge->tcp[leg].state != TCP_STATE_CLOSED)
		tcp_took(&step->bridge->tcp[leg], &step->env);
}

static void
begin(struct bridge_step *step, struct worker *worker, uint32_t index)
{
	bridge_step_begin(step, worker,
			  bridge_pool_get(&worker->bridges, flow_table_get(&worker->flows, index)->bridge));
}

void
bridge_step_note(struct bridge_step *step, unsigned leg)
{
	const struct tcp *tcp = &step->bridge->tcp[leg];
	struct flow_leg *to = &step->flow->leg[leg];
	bool fin = tcp->peer_closed && (to->flags & LEG_FIN) == 0;

	to->ack = tcp->una;
	to->bytes += tcp->rcv_nxt - to->seq_end - (fin ? 1 : 0);
	to->seq_end = tcp->rcv_nxt;
	if (fin)
		to->flags |= LEG_FIN;
}

void
bridge_step_arm(struct bridge_step *step)
{
	const struct bridge *bridge = step->bridge;
	struct worker *worker = step->worker;
	uint32_t at = bridge->idle_ms, due;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (bridge_step_has(step, leg) && tcp_next_ms(&bridge->tcp[leg], &due) && seq_before(due, at))
			at = due;
	if ((bridge->flags & BRIDGE_HAS_DEADLINE) != 0 && seq_before(bridge->deadline_ms, at))
		at = bridge->deadline_ms;
	if ((bridge->flags & BRIDGE_HAS_ALARM) != 0 && seq_before(bridge->alarm_ms, at))
		at = bridge->alarm_ms;
	if (!step->flow->timer_armed || seq_before(at, step->flow->timer_at))
		timer_wheel_start(&worker->wheel, &worker->flows, step->index, at);
}

void
bridge_step_leave(struct bridge_step *step, uint8_t what, enum reason reason)
{
	struct bridge *bridge = step->bridge;
	struct bridge_pool *pool = &step->worker->bridges;

	if (what <= (bridge->flags & (BRIDGE_FAILED | BRIDGE_CLOSES | BRIDGE_ENDS)))
		return;
	bridge->flags |= what;
	bridge->reason = (uint8_t)reason;
	if ((bridge->flags & BRIDGE_QUEUED) != 0)
		return;
	bridge->flags |= BRIDGE_QUEUED;
	bridge->next = pool->settle;
	pool->settle = bridge_pool_index(pool, bridge);
}

void
bridge_step_failed(struct bridge_step *step, enum reason reason)
{
	flow_count_attempt_over(step->worker, step->flow, true);
	dial_close_leg(step->worker, step->index);
	tcp_free(&step->bridge->tcp[LEG_ENDPOINT]);
	step->bridge->phase = BRIDGE_ALONE;
	step->bridge->flags &= (uint8_t)~BRIDGE_HAS_DEADLINE;
	bridge_step_leave(step, BRIDGE_FAILED, reason);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static bool
is_open(const struct tcp *tcp)
{
	return tcp->state != TCP_STATE_CLOSED && tcp->state != TCP_STATE_TIME_WAIT;
}

/* Whether neither side has anything to say any more. */
static bool
is_over(const struct bridge_step *step)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (bridge_step_has(step, leg) && is_open(&step->bridge->tcp[leg]))
			return false;
	return true;
}

/* Tells everybody but the peers that the connection has ended. */
static void
say_over(struct bridge_step *step, enum reason reason)
{
	struct worker *worker = step->worker;
	const struct dataplane_hooks *hooks = worker->hooks;
	struct flow *flow = step->flow;
	bool joined = step->bridge->phase == BRIDGE_JOINED;
	struct flow_event event;

	flow->reason = (uint8_t)reason;
	if (joined) {
		flow_count_ended(worker, flow, reason);
	} else {
		worker_count(worker, reason);
		worker->stats->refused++;
	}
	if (step->bridge->phase == BRIDGE_CONNECTING)
		flow_count_attempt_over(worker, flow, false);
	bool told = flow_event_make(worker, flow, joined ? FLOW_ENDED : FLOW_REFUSED, reason, &event);
	if ((step->bridge->flags & BRIDGE_SESSION) != 0)
		hooks->bridge_gone(hooks->context, worker, step->bridge, told ? &event : NULL);
	step->bridge->session = NULL;
	if (told)
		flow_event_send(worker, &event);
}

/* RST to whoever hasn't closed, and the records go. */
static void
end_now(struct bridge_step *step, enum reason reason)
{
	if (step->flow->state != FLOW_CLOSING)
		say_over(step, reason);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (bridge_step_has(step, leg) && is_open(&step->bridge->tcp[leg]))
			tcp_abort(&step->bridge->tcp[leg], &step->env);
	flow_dispose(step->worker, step->index);
}

static void
set_deadline(struct bridge_step *step, uint32_t after_ms)
{
	step->bridge->flags |= BRIDGE_HAS_DEADLINE;
	step->bridge->deadline_ms = step->worker->clock_ms + after_ms;
}

/* From CLOSING on: what still comes is thrown away; once all is said the records linger for what comes late. */
static void
wind_up(struct bridge_step *step)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		struct tcp *tcp = &step->bridge->tcp[leg];
		if (!bridge_step_has(step, leg) || tcp_received(tcp)->bytes == 0)
			continue;
		mbuf_queue_clear(tcp_received(tcp));
		bridge_step_took(step, leg);
	}
	if ((step->bridge->flags & BRIDGE_LINGERS) == 0 && is_over(step)) {
		step->bridge->flags |= BRIDGE_LINGERS;
		set_deadline(step, step->worker->conf->flow.close_linger_ms);
	}
}

static void
close_now(struct bridge_step *step, enum reason reason)
{
	struct bridge *bridge = step->bridge;

	say_over(step, reason);
	if (bridge->phase == BRIDGE_CONNECTING) {
		tcp_abort(&bridge->tcp[LEG_ENDPOINT], &step->env);
		tcp_free(&bridge->tcp[LEG_ENDPOINT]);
		dial_close_leg(step->worker, step->index);
		bridge->phase = BRIDGE_ALONE;
	}
	bridge->flags &= (uint8_t)~BRIDGE_HAS_ALARM;
	flow_set_state(step->worker, step->flow, FLOW_CLOSING);
	set_deadline(step, BRIDGE_CLOSE_MS);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (bridge_step_has(step, leg) && is_open(&bridge->tcp[leg]))
			tcp_shut(&bridge->tcp[leg], &step->env);
	wind_up(step);
	bridge_step_arm(step);
}

void
bridge_abort(struct worker *worker, uint32_t index, enum reason reason)
{
	struct bridge_step step;

	begin(&step, worker, index);
	end_now(&step, reason);
}

void
bridge_release(struct worker *worker, const struct flow *flow)
{
	struct bridge *bridge = bridge_pool_get(&worker->bridges, flow->bridge);

	assert((bridge->flags & BRIDGE_QUEUED) == 0);
	bridge_free(&worker->bridges, flow->bridge);
}

/* --- what happened ------------------------------------------------------------------------------------------------ */

void
bridge_step_relay(struct bridge_step *step, unsigned from)
{
	struct tcp *in = &step->bridge->tcp[from], *out = &step->bridge->tcp[leg_other(from)];
	struct mbuf_queue *received = tcp_received(in), batch = {0};
	uint32_t room = tcp_room(out);

	if (room != 0 && received->bytes != 0) {
		mbuf_queue_move_some(&batch, received, room);
		tcp_write(out, &step->env, &batch);
		bridge_step_took(step, from);
	}
	if (received->bytes == 0 && in->peer_closed && !out->shut)
		tcp_shut(out, &step->env);
}

static void
tell(struct bridge_step *step, unsigned leg, unsigned events, enum reason reason)
{
	struct worker *worker = step->worker;

	if (events == 0 || (step->bridge->flags & (BRIDGE_CLOSES | BRIDGE_ENDS)) != 0)
		return;
	if ((step->bridge->flags & BRIDGE_SESSION) != 0) {
		worker->hooks->bridge_event(worker->hooks->context, worker, step->bridge, leg, events, reason);
		return;
	}
	if ((events & (BRIDGE_READABLE | BRIDGE_PEER_CLOSED)) != 0)
		bridge_step_relay(step, leg);
	if ((events & BRIDGE_WRITABLE) != 0)
		bridge_step_relay(step, leg_other(leg));
}

void
bridge_step_join(struct bridge_step *step)
{
	step->bridge->phase = BRIDGE_JOINED;
	step->flow->owes = 0;
	step->bridge->flags &= (uint8_t)~BRIDGE_HAS_DEADLINE;
	flow_count_opened(step->worker, step->flow);
	syn_shed_learn(step->worker, &step->flow->leg[LEG_CLIENT].peer);
}

/* A peer sent RST. Where both sides had closed and each has all that the other said, this one was only gone before our
 * FIN came to it. */
static void
was_reset(struct bridge_step *step, unsigned leg)
{
	const struct tcp *tcp = &step->bridge->tcp[leg], *other = &step->bridge->tcp[leg_other(leg)];
	bool heard_out = tcp->shut && tcp->sending.bytes <= step->bridge->farewell[leg];

	if (tcp->peer_closed && heard_out && other->shut && other->sending.bytes == 0)
		bridge_step_leave(step, BRIDGE_CLOSES, REASON_CLOSED);
	else
		bridge_step_leave(step, BRIDGE_ENDS,
				  leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT : REASON_RESET_BY_ENDPOINT);
}

/* What a call of tcp.h said has happened on a leg. */
static void
happened(struct bridge_step *step, unsigned leg, unsigned events)
{
	static const struct {
		unsigned tcp, bridge;
	} map[] = {{TCP_CONNECTED, BRIDGE_CONNECTED},
		   {TCP_READABLE, BRIDGE_READABLE},
		   {TCP_WRITABLE, BRIDGE_WRITABLE},
		   {TCP_PEER_CLOSED, BRIDGE_PEER_CLOSED}};
	const struct tcp *tcp = &step->bridge->tcp[leg];
	bool connecting = leg == LEG_ENDPOINT && step->bridge->phase == BRIDGE_CONNECTING;
	bool broken = (events & (TCP_RESET | TCP_TIMED_OUT)) != 0;
	unsigned told = 0;

	if (connecting && (events & TCP_CONNECTED) != 0) /* its numbers begin here; bytes may have come with the SYN */
		step->flow->leg[leg].seq_end = tcp->rcv_nxt - tcp->received.bytes - (tcp->peer_closed ? 1 : 0);
	bridge_step_note(step, leg);
	step->worker->stats->retransmissions += tcp->resent - step->bridge->resent[leg];
	step->bridge->resent[leg] = tcp->resent;
	if (step->flow->state == FLOW_CLOSING) {
		if (broken)
			bridge_step_leave(step, BRIDGE_ENDS, REASON_NONE);
		else
			wind_up(step);
		return;
	}
	if (broken && connecting) {
		bridge_step_failed(step, (events & TCP_RESET) != 0 ? REASON_CONNECT_REFUSED : REASON_CONNECT_TIMEOUT);
		return;
	}
	if (connecting && (events & TCP_CONNECTED) != 0)
		bridge_step_join(step);
	for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if ((events & map[i].tcp) != 0)
			told |= map[i].bridge;
	tell(step, leg, told, REASON_NONE);
	if ((events & TCP_RESET) != 0)
		was_reset(step, leg);
	else if ((events & TCP_TIMED_OUT) != 0)
		bridge_step_leave(step, BRIDGE_ENDS, leg == LEG_CLIENT ? REASON_CLIENT_SILENT : REASON_ENDPOINT_SILENT);
	else if (is_over(step))
		bridge_step_leave(step, BRIDGE_CLOSES,
				  step->bridge->phase == BRIDGE_JOINED ? REASON_CLOSED : REASON_CLIENT_CLOSED);
}

void
bridge_settle(struct worker *worker)
{
	struct bridge_pool *pool = &worker->bridges;
	struct bridge_step step;

	while (unlikely(pool->settle != 0)) {
		struct bridge *bridge = bridge_pool_get(pool, pool->settle);
		uint8_t flags = bridge->flags;
		enum reason reason = (enum reason)bridge->reason;

		pool->settle = bridge->next;
		bridge->flags &= (uint8_t) ~(BRIDGE_QUEUED | BRIDGE_FAILED | BRIDGE_CLOSES | BRIDGE_ENDS);
		bridge_step_begin(&step, worker, bridge);
		if ((flags & BRIDGE_ENDS) != 0) {
			end_now(&step, reason);
		} else if ((flags & BRIDGE_CLOSES) != 0) {
			close_now(&step, reason);
		} else {
			tell(&step, LEG_ENDPOINT, BRIDGE_CONNECT_FAILED, reason);
			bridge_step_arm(&step);
		}
	}
}

/* A peer asks by a keep-alive whether the connection is there. We are; whether the other side is has to be asked. */
static void
ask_other(struct bridge_step *step, unsigned leg)
{
	struct tcp *other = &step->bridge->tcp[leg_other(leg)];

	if (step->bridge->phase == BRIDGE_JOINED && is_open(other) &&
	    step->worker->clock_ms - other->heard_ms >= BRIDGE_ASK_MS)
		tcp_output_ask(other, &step->env);
}

void
bridge_input(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct bridge_step step;

	begin(&step, worker, index);
	struct tcp *tcp = &step.bridge->tcp[leg];
	if (unlikely(tcp->state == TCP_STATE_CLOSED)) { /* it has said all, and heard all */
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		return;
	}
	if (unlikely(worker->packets_short && packet->payload_length != 0) &&
	    bridge_packets(step.bridge) >= BRIDGE_FEW_PACKETS) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	/* Simultaneous open has no place here; and a stranger could ask for it, who knows addresses and ports alone. */
	if (unlikely(tcp->state == TCP_STATE_SYN_SENT && (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)) {
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		return;
	}
	/* A keep-alive is out of the window on purpose; a stranger doesn't know where that begins. */
	bool keeps_alive = packet->seq + 1 == tcp->rcv_nxt, owed = tcp->una != tcp->nxt || tcp->sending.bytes != 0;
	struct tcp_options options; /* of a SYN-ACK */
	const uint8_t *header = rte_pktmbuf_mtod(mbuf, const uint8_t *) + packet->l4;
	bool readable = unlikely(tcp->state == TCP_STATE_SYN_SENT) &&
			tcp_options_parse(header + TCP_HEADER_LENGTH, packet->options_length, true, &options);
	unsigned events = tcp_input(tcp, &step.env, packet, mbuf);
	if (unlikely(readable && (events & TCP_CONNECTED) != 0))
		dial_learn(worker, step.flow, packet, &options, LEG_SACK | LEG_TS);
	if (keeps_alive || tcp->heard_ms == worker->clock_ms) {
		step.flow->leg[leg].flags |= LEG_ACTIVE;
		if (owed) /* it takes, or refuses, what the other side has said: that one's part of it */
			step.flow->leg[leg_other(leg)].flags |= LEG_ACTIVE;
	}
	if (keeps_alive && packet->payload_length <= 1)
		ask_other(&step, leg);
	happened(&step, leg, events);
	bridge_step_arm(&step);
	bridge_settle(worker);
}

static bool
is_due(const struct bridge_step *step, uint8_t flag, uint32_t at)
{
	return (step->bridge->flags & flag) != 0 && seq_at_most(at, step->worker->clock_ms);
}

static void
deadline_passed(struct bridge_step *step)
{
	step->bridge->flags &= (uint8_t)~BRIDGE_HAS_DEADLINE;
	if (step->flow->state == FLOW_CLOSING)
		bridge_step_leave(step, BRIDGE_ENDS, REASON_NONE);
	else
		bridge_step_failed(step, REASON_CONNECT_TIMEOUT);
}

static void
look_whether_idle(struct bridge_step *step)
{
	enum reason reason = step->flow->state == FLOW_CLOSING ? REASON_NONE : flow_idle_look(step->worker, step->flow);

	step->bridge->idle_ms = step->worker->clock_ms + flow_idle_tick_ms(step->worker, step->flow);
	if (reason != REASON_NONE)
		bridge_step_leave(step, BRIDGE_ENDS, reason);
}

void
bridge_fired(struct worker *worker, uint32_t index)
{
	struct bridge_step step;
	uint32_t due;

	begin(&step, worker, index);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		struct tcp *tcp = &step.bridge->tcp[leg];
		if (bridge_step_has(&step, leg) && tcp_next_ms(tcp, &due) && seq_at_most(due, worker->clock_ms))
			happened(&step, leg, tcp_timer(tcp, &step.env));
	}
	if (is_due(&step, BRIDGE_HAS_DEADLINE, step.bridge->deadline_ms))
		deadline_passed(&step);
	if (is_due(&step, BRIDGE_HAS_ALARM, step.bridge->alarm_ms)) {
		step.bridge->flags &= (uint8_t)~BRIDGE_HAS_ALARM;
		tell(&step, LEG_CLIENT, BRIDGE_ALARM, REASON_NONE);
	}
	if (seq_at_most(step.bridge->idle_ms, worker->clock_ms))
		look_whether_idle(&step);
	bridge_step_arm(&step);
	bridge_settle(worker);
}

enum reason
bridge_icmp_error(struct worker *worker, uint32_t index, unsigned leg, const struct icmp_quote *quote, uint16_t mss)
{
	struct bridge_step step;

	begin(&step, worker, index);
	const struct flow_leg *path = &step.flow->leg[leg];
	if (seq_before(quote->seq, path->ack) || !seq_before(quote->seq, path->edge))
		return REASON_ICMP_UNMATCHED;
	if (quote->error == ICMP_UNREACHABLE && leg == LEG_ENDPOINT && step.bridge->phase == BRIDGE_CONNECTING) {
		bridge_step_failed(&step, REASON_CONNECT_UNREACHABLE);
		bridge_settle(worker);
		return REASON_NONE;
	}
	if (quote->error != ICMP_TOO_BIG || !tcp_too_big(&step.bridge->tcp[leg], &step.env, quote->seq, mss))
		return REASON_ICMP_IGNORED;
	bridge_step_arm(&step);
	return REASON_NONE;
}

bool
bridge_is_beyond(const struct flow *flow, const struct packet *packet)
{
	const struct flow_leg *client = &flow->leg[LEG_CLIENT];
	uint32_t behind = client->seq_end - packet->seq, window = (uint32_t)UINT16_MAX << client->announced;

	return (packet->flags & TCP_SYN) != 0 || behind > window + SPLICE_WINDOW_SLACK;
}
