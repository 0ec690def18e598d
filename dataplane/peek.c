/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/peek.h"

#include <netinet/in.h>
#include <rte_mbuf.h>

#include "dataplane/accept.h"
#include "dataplane/bridge.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/reclaim.h"
#include "dataplane/tcp_options.h"

/* Tells the client where its connection stands, and that we have its bytes up to end. False when that can't be sent. */
static bool
say_ack(struct worker *worker, struct flow *flow, struct hold *hold, uint16_t end)
{
	struct flow_leg *client = &flow->leg[LEG_CLIENT];
	uint8_t options[TCP_OPTIONS_MAX];
	struct tcp_options ours = {.wscale = TCP_WSCALE_NONE};
	uint32_t room = HOLD_MAX - end; /* rounded up: the end of a hello that just fits mustn't wait for a window */

	if ((client->flags & LEG_TS) != 0) {
		ours.timestamps = true;
		ours.tsval = accept_tsval(worker, client->hash);
		ours.tsecr = hold->client_ts;
	}
	struct emit_segment ack = {
		.flags = TCP_ACK,
		.seq = client->ack,
		.ack = hold->client_isn + 1 + end,
		.window = (uint16_t)((room + (1u << client->announced) - 1) >> client->announced),
		.options = options,
		.options_length = tcp_options_write(&ours, options),
	};
	/* Before it can leave, and not after: the process may end in between. */
	uint8_t owed = flow->owes;
	flow->owes = owed || end != 0;
	if (!emit_to_peer(worker, client, &ack)) {
		flow->owes = owed & 1;
		return false;
	}
	if (ours.timestamps)
		hold->gate_ts = ours.tsval;
	return true;
}

/* Acknowledges all contiguous bytes; they are ours from now on. */
static void
send_ack(struct worker *worker, struct flow *flow, struct hold *hold)
{
	if (!say_ack(worker, flow, hold, hold->end))
		return;
	hold->acked = hold->end;
	hold->segments = 0;
}

static uint32_t
hello_deadline(const struct worker *worker, const struct flow *flow)
{
	return (uint32_t)(flow_opened(flow) - worker->wall_offset_ms) + worker->conf->flow.hello_timeout_ms;
}

static void
start_timer(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	uint32_t at = hello_deadline(worker, flow);

	if (hold->end > hold->acked && seq_before(hold->since_ms + PEEK_ACK_MS, at))
		at = hold->since_ms + PEEK_ACK_MS;
	timer_wheel_start(&worker->wheel, &worker->flows, index, at);
}

void
peek_start(struct worker *worker, uint32_t index)
{
	start_timer(worker, index);
}

void
peek_fired(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);

	if (seq_at_most(hello_deadline(worker, flow), worker->clock_ms)) {
		flow_refuse(worker, index, REASON_HELLO_TIMEOUT, NULL);
		return;
	}
	if (hold->end > hold->acked)
		send_ack(worker, flow, hold);
	start_timer(worker, index);
}

void
peek_decide(struct worker *worker, uint32_t index, enum reason why)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct flow_leg *client = &flow->leg[LEG_CLIENT];
	struct decide_input input = {
		.client = client->peer,
		.local = worker->net->addresses[client->local_addr].addr,
		.client_port = ntohs(client->peer_port),
		.local_port = ntohs(client->local_port),
		.bytes = hold_bytes(&worker->holds, hold),
		.length = hold->end,
		.attempt = flow->attempts,
		.tried = {hold->tried[0], hold->tried[1]},
		.random = worker_random(worker),
	};
	struct dial dial;
	enum reason reason = REASON_HELLO_MALFORMED;
	char sni[SNI_TEXT_MAX] = "";

	hold->parsed = hold->end;
	switch (worker->hooks->decide(worker->hooks->context, worker->id, &input, &dial, &reason, sni)) {
	case DECISION_MORE:
		if (hold->end >= HOLD_MAX)
			flow_refuse(worker, index, REASON_HELLO_TOO_LARGE, NULL);
		return;
	case DECISION_DIAL:
		dial_start(worker, index, &dial);
		return;
	case DECISION_BRIDGE:
		bridge_start(worker, index);
		return;
	case DECISION_REFUSE:
		/* That no endpoint is left says less than why the last one failed. */
		if (why != REASON_NONE && reason == REASON_NO_ENDPOINT)
			reason = why;
		flow_refuse(worker, index, reason, sni);
		return;
	}
}

/* A RST counts only with the number that we said we expect next (RFC 5961 section 3.2), or the one behind what the
 * client has sent. What lies between, held but not acknowledged, would be thousands of numbers to hit by guessing. */
static bool
reset_is_credible(const struct hold *hold, const struct packet *packet)
{
	uint32_t offset = packet->seq - (hold->client_isn + 1);
	return offset == hold->acked || offset == hold->end;
}

void
peek_input(struct worker *worker, uint32_t index, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct flow_leg *client = &flow->leg[LEG_CLIENT];

	if ((packet->flags & TCP_RST) != 0) {
		bool credible = reset_is_credible(hold, packet);
		worker_drop(worker, mbuf, credible ? REASON_NONE : REASON_TCP_WINDOW);
		if (credible && flow->state == FLOW_CONNECTING)
			dial_abandon(worker, index);
		if (credible)
			flow_refuse(worker, index, REASON_CLIENT_RESET, NULL);
		return;
	}
	if ((packet->flags & TCP_SYN) != 0) {
		/* RFC 5961 section 4.2: a challenge ACK; if the client really began anew, it answers with a RST. No
		 * stranger must make us take bytes over. */
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		if (flow_may_challenge(flow, worker->clock_ms))
			say_ack(worker, flow, hold, hold->acked);
		return;
	}
	if (packet->ack != client->ack) {
		worker_drop(worker, mbuf, REASON_TCP_WINDOW);
		return;
	}

	uint8_t *bytes = rte_pktmbuf_mtod(mbuf, uint8_t *);
	if ((client->flags & LEG_TS) != 0) {
		struct tcp_options options;
		if (!tcp_options_parse(bytes + packet->l4 + TCP_HEADER_LENGTH, packet->options_length, false,
				       &options) ||
		    !options.timestamps) {
			worker_drop(worker, mbuf, REASON_TCP_TIMESTAMP_MISSING);
			return;
		}
		if (hold->client_ts == 0 || seq_before(hold->client_ts, options.tsval))
			hold->client_ts = options.tsval;
	}

	/* Where the segment begins in the stream; what lies before the stream's beginning is cut off. */
	int32_t offset = (int32_t)(packet->seq - (hold->client_isn + 1));
	uint16_t length = packet->payload_length, skip = 0;
	if (offset < 0) {
		skip = (uint32_t)-offset < length ? (uint16_t)-offset : length;
		offset = 0;
		length = (uint16_t)(length - skip);
	}
	uint16_t end_before = hold->end;
	enum hold_verdict verdict = HOLD_REPEAT;
	if (length != 0)
		verdict = offset > HOLD_MAX ? HOLD_BEYOND
					    : hold_add(&worker->holds, hold, (uint32_t)offset,
						       bytes + packet->payload + skip, length);
	uint32_t end = (uint32_t)offset + length;
	if (verdict == HOLD_NO_ROOM && end > HOLD_SMALL && (hold->buffer & HOLD_LARGE_BIT) == 0 &&
	    reclaim_large(worker, flow->hold))
		verdict = hold_add(&worker->holds, hold, (uint32_t)offset, bytes + packet->payload + skip, length);
	bool fin_in_order = (packet->flags & TCP_FIN) != 0 && end == hold->end && hold->n_early == 0;

	if (seq_before(client->seq_end, hold->client_isn + 1 + hold->end))
		client->seq_end = hold->client_isn + 1 + hold->end;
	client->edge = packet->ack + ((uint32_t)packet->window << client->wscale);
	worker_drop(worker, mbuf,
		    verdict == HOLD_BEYOND    ? REASON_HOLD_BEYOND
		    : verdict == HOLD_NO_ROOM ? REASON_HOLD_POOL_EMPTY
					      : REASON_NONE);

	/* It hasn't heard that we acknowledged this, and may be unable to go on before it does. */
	bool repeats_acked = packet->payload_length != 0 && (uint32_t)offset < hold->acked;

	if (flow->state == FLOW_CONNECTING)
		return; /* a FIN comes again when the endpoint has answered: nobody acknowledged it */
	if (verdict == HOLD_TAKEN) {
		if (hold->segments == 0)
			hold->since_ms = worker->clock_ms;
		if (hold->segments < UINT8_MAX)
			hold->segments++;
	}
	if (hold->end != end_before || hold->plain) {
		uint32_t generation = flow->generation;
		peek_decide(worker, index, REASON_NONE);
		if (flow->generation != generation || flow->state != FLOW_PEEKING)
			return;
	}
	if (fin_in_order) {
		flow_refuse(worker, index, REASON_CLIENT_CLOSED, NULL);
		return;
	}
	if (repeats_acked || (hold->segments >= PEEK_ACK_SEGMENTS && hold->end > hold->acked))
		send_ack(worker, flow, hold);
	start_timer(worker, index);
}
