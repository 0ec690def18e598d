/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/dial.h"

#include <netinet/in.h>
#include <rte_mbuf.h>

#include "dataplane/accept.h"
#include "dataplane/bridge.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/local_port.h"
#include "dataplane/peek.h"
#include "dataplane/syn_cookie.h"
#include "dataplane/tcp_options.h"

/* The ISN that our SYN to the endpoint had. */
static uint32_t
own_isn(const struct flow *flow, const struct hold *hold)
{
	return hold->client_isn + flow->leg[LEG_CLIENT].seq_delta;
}

uint16_t
dial_mtu_mss(struct worker *worker, struct flow_leg *leg)
{
	struct neighbour *neighbour = emit_neighbour(worker, leg);
	uint16_t mtu = neighbour == NULL ? DIAL_PORT_MTU_MIN : worker->net->ports[neighbour->port].mtu;
	uint16_t ip = ip_addr_is_v4(&leg->peer) ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	return (uint16_t)(mtu - ip - TCP_HEADER_LENGTH);
}

static uint16_t
min_16(uint32_t a, uint32_t b)
{
	return (uint16_t)(a < b ? a : b);
}

uint16_t
dial_window(const struct flow_leg *client)
{
	return min_16(client->edge - client->ack, UINT16_MAX);
}

static void
send_syn(struct worker *worker, struct flow *flow)
{
	const struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	struct tcp_options theirs = {
		.mss = min_16(min_16(client->mss, dial_mtu_mss(worker, client)), dial_mtu_mss(worker, endpoint)),
		.wscale = (client->flags & LEG_WSCALE) != 0 ? client->wscale : TCP_WSCALE_NONE,
		.sack_permitted = (client->flags & LEG_SACK) != 0,
		.timestamps = (client->flags & LEG_TS) != 0,
		.tsval = accept_tsval(worker, endpoint->hash),
	};
	uint8_t options[TCP_OPTIONS_MAX];
	struct emit_segment syn = {
		.flags = TCP_SYN,
		.seq = own_isn(flow, hold),
		.window = dial_window(client),
		.options = options,
		.options_length = tcp_options_write(&theirs, options),
	};
	emit_to_peer(worker, endpoint, &syn);
	if (hold->far)
		emit_to_peer(worker, endpoint, &syn);
}

static void
start_timer(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	uint32_t deadline = hold_get(&worker->holds, flow->hold)->deadline_ms;
	uint32_t again = worker->clock_ms + ((uint32_t)DIAL_SYN_RTO_MS << (flow->retries < 6 ? flow->retries : 6));
	timer_wheel_start(&worker->wheel, &worker->flows, index, seq_before(again, deadline) ? again : deadline);
}

enum reason
dial_open_leg(struct worker *worker, uint32_t index, const struct dial *dial, enum flow_state state)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	uint8_t port;
	struct ip_addr via;

	flow->attempts++;
	flow->endpoint = dial->endpoint;
	flow->service = dial->service;
	flow_count_attempt(worker, flow);
	*endpoint = (struct flow_leg){.peer = dial->addr, .peer_port = htons(dial->port), .state = (uint8_t)state};
	if (!net_route_find(worker->net, &dial->addr, &port, &via))
		return REASON_CONNECT_UNREACHABLE;
	struct flow_key key = {dial->addr, endpoint->peer_port, 0, net_source(worker->net, port, &via), 0};
	if (key.local_addr == NET_ADDRESS_NONE)
		return REASON_CONNECT_UNREACHABLE;
	if (!local_port_choose(worker, &key))
		return REASON_LOCAL_PORTS;

	uint64_t words[3];
	memcpy(words, &key, sizeof(words));
	endpoint->local_addr = key.local_addr;
	endpoint->local_port = key.local_port;
	endpoint->hop = neighbour_hop(worker, port, &via);
	endpoint->ack = (uint32_t)siphash(worker->isn_secret, words, 3) + (uint32_t)(worker->now_ms * 250);
	if (!flow_table_insert(&worker->flows, index, LEG_ENDPOINT))
		return REASON_FLOW_TABLE_FULL;
	worker->table_version++;
	return REASON_NONE;
}

void
dial_start(struct worker *worker, uint32_t index, const struct dial *dial)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);

	flow->retries = 0;
	flow_set_state(worker, flow, FLOW_CONNECTING);
	hold->deadline_ms = worker->clock_ms + dial->connect_timeout_ms;
	enum reason reason = dial_open_leg(worker, index, dial, FLOW_CONNECTING);
	if (reason != REASON_NONE) {
		dial_failed(worker, index, reason);
		return;
	}
	flow->leg[LEG_CLIENT].seq_delta = flow->leg[LEG_ENDPOINT].ack - hold->client_isn;
	start_timer(worker, index);
	send_syn(worker, flow);
}

void
dial_close_leg(struct worker *worker, uint32_t index)
{
	if ((flow_table_get(&worker->flows, index)->leg[LEG_ENDPOINT].flags & LEG_HASHED) == 0)
		return;
	flow_table_remove(&worker->flows, index, LEG_ENDPOINT);
	worker->table_version++;
}

static void
take_leg_down(struct worker *worker, uint32_t index)
{
	dial_close_leg(worker, index);
	timer_wheel_stop(&worker->wheel, &worker->flows, index);
}

void
dial_failed(struct worker *worker, uint32_t index, enum reason why)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);

	flow_count_attempt_over(worker, flow, true);
	take_leg_down(worker, index);
	flow_set_state(worker, flow, FLOW_PEEKING);
	hold->tried[1] = hold->tried[0];
	hold->tried[0] = flow->endpoint;
	if (flow->attempts >= DIAL_ATTEMPTS_MAX)
		flow_refuse(worker, index, why, NULL);
	else
		peek_decide(worker, index, why);
}

void
dial_abandon(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	const struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct emit_segment rst = {.flags = TCP_RST, .seq = own_isn(flow, hold) + 1};

	flow_count_attempt_over(worker, flow, false);
	emit_to_peer(worker, &flow->leg[LEG_ENDPOINT], &rst);
	take_leg_down(worker, index);
	flow_set_state(worker, flow, FLOW_PEEKING);
}

void
dial_fired(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);

	if (seq_at_most(hold_get(&worker->holds, flow->hold)->deadline_ms, worker->clock_ms)) {
		dial_failed(worker, index, REASON_CONNECT_TIMEOUT);
		return;
	}
	flow->retries++;
	worker->stats->retransmissions++;
	start_timer(worker, index);
	send_syn(worker, flow);
}

/* Sends held bytes from..to to the endpoint, as far as its window goes, or as a probe of that. Returns where it
 * stopped. */
static uint16_t
send_held(struct worker *worker, struct flow *flow, struct hold *hold, uint16_t from, uint16_t to, bool probe)
{
	struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	const uint8_t *bytes = hold_bytes(&worker->holds, hold);
	uint32_t first = own_isn(flow, hold) + 1;
	uint32_t room = endpoint->edge - first;
	uint8_t options[TCP_OPTIONS_MAX];
	struct tcp_options ours = {.wscale = TCP_WSCALE_NONE};

	if ((client->flags & LEG_TS) != 0) {
		ours.timestamps = true;
		ours.tsval = hold->client_ts + client->ts_delta;
		ours.tsecr = hold->endpoint_ts;
	}
	uint8_t options_length = tcp_options_write(&ours, options);
	uint16_t step = (uint16_t)(endpoint->mss - options_length);
	if (room < to && !probe)
		to = (uint16_t)room;

	do { /* once at least: it also carries the ACK of the SYN-ACK */
		uint16_t length = from < to ? min_16((uint32_t)(to - from), step) : 0;
		struct emit_segment segment = {
			.flags = (uint8_t)(TCP_ACK | (length != 0 && from + length == hold->end ? TCP_PSH : 0)),
			.seq = first + from,
			.ack = client->ack - endpoint->seq_delta, /* what the client has; what passed may be lost */
			.window = min_16((client->edge - client->ack) >> endpoint->announced, UINT16_MAX),
			.options = options,
			.options_length = options_length,
			.payload = bytes + from,
			.payload_length = length,
		};
		if (!emit_to_peer(worker, endpoint, &segment))
			break;
		from = (uint16_t)(from + length);
	} while (from < to);
	return from;
}

/* The endpoint answered with options that suit: both legs are one from now on. */
static void
splice_start(struct worker *worker, uint32_t index, const struct packet *packet, const struct tcp_options *options)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	bool scales = (client->flags & LEG_WSCALE) != 0 && options->wscale != TCP_WSCALE_NONE;
	bool sack = (client->flags & LEG_SACK) != 0 && options->sack_permitted;
	uint16_t mss = options->mss != 0 ? options->mss : packet->v4 ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6;

	endpoint->flags |= (uint8_t)((scales ? LEG_WSCALE : 0) | (sack ? LEG_SACK : 0) | (client->flags & LEG_TS));
	endpoint->wscale = scales ? options->wscale : 0;
	endpoint->announced = scales ? client->wscale : 0;
	endpoint->mss = min_16(mss < DIAL_MSS_MIN ? DIAL_MSS_MIN : mss, dial_mtu_mss(worker, endpoint));
	endpoint->seq_end = packet->seq + 1;
	endpoint->ack = packet->ack;
	endpoint->edge = packet->ack + packet->window; /* never scaled in a SYN */
	endpoint->seq_delta = client->ack - (packet->seq + 1);
	client->mss = min_16(client->mss, dial_mtu_mss(worker, client));
	if ((client->flags & LEG_TS) != 0) {
		client->ts_delta = accept_tsval(worker, endpoint->hash) - hold->client_ts;
		/* For the client its clock goes on from ours, so that what the client echoes until it hears from it is
		 * to the endpoint an echo of the SYN-ACK. */
		endpoint->ts_delta = hold->gate_ts - options->tsval;
		hold->endpoint_ts = hold->far ? 0 : options->tsval;
	}
	flow->syn_acks_due = hold->far ? 1 : 0;

	client->bytes += hold->end;
	flow->hello_length = hold->end;
	flow->retries = 0;
	if (hold->acked != 0)
		endpoint->flags |= LEG_HELD;
	flow_set_state(worker, flow, FLOW_SPLICED);
	flow_count_opened(worker, flow);
	syn_shed_learn(worker, &client->peer);
	hold->sent = send_held(worker, flow, hold, 0, hold->end, false);
	if (hold->acked == 0) {
		hold_release(&worker->holds, flow->hold);
		flow->hold = 0;
		flow_idle_start(worker, index);
	} else {
		timer_wheel_start(&worker->wheel, &worker->flows, index, worker->clock_ms + HELD_RTO_MS);
	}
}

void
dial_learn(struct worker *worker, const struct flow *flow, const struct packet *packet,
	   const struct tcp_options *options, uint8_t asked)
{
	const struct tcp_profile profile = {
		.mss = options->mss,
		.window = packet->window,
		.wscale = options->wscale,
		.sack = options->sack_permitted,
		.timestamps = options->timestamps,
		.asked_sack = (asked & LEG_SACK) != 0,
		.asked_timestamps = (asked & LEG_TS) != 0,
	};
	worker->hooks->learned(worker->hooks->context, worker->id, flow->endpoint, &profile);
}

void
dial_input(struct worker *worker, uint32_t index, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	const struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	bool acks_syn = (packet->flags & TCP_ACK) != 0 && packet->ack == own_isn(flow, hold) + 1;

	if ((packet->flags & TCP_RST) != 0) {
		worker_drop(worker, mbuf, acks_syn ? REASON_NONE : REASON_TCP_WINDOW);
		if (acks_syn)
			dial_failed(worker, index, REASON_CONNECT_REFUSED);
		return;
	}
	if ((packet->flags & TCP_ACK) == 0) { /* simultaneous open has no place here */
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		return;
	}
	if (!acks_syn) {
		struct emit_segment rst = {.flags = TCP_RST, .seq = packet->ack};
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		if (emit_to_peer(worker, endpoint, &rst))
			worker->stats->rsts_sent++;
		if (flow->retries == 0) { /* at once, but once: more would be a loop with a confused endpoint */
			flow->retries = 1;
			send_syn(worker, flow);
		}
		return;
	}
	if ((packet->flags & TCP_SYN) == 0) {
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		return;
	}

	struct tcp_options options;
	const uint8_t *tcp = rte_pktmbuf_mtod(mbuf, const uint8_t *) + packet->l4;
	bool readable = tcp_options_parse(tcp + TCP_HEADER_LENGTH, packet->options_length, true, &options);
	worker_drop(worker, mbuf, readable ? REASON_NONE : REASON_TCP_OPTIONS);
	if (!readable)
		return;
	dial_learn(worker, flow, packet, &options, flow->leg[LEG_CLIENT].flags);
	if ((flow->leg[LEG_CLIENT].flags & LEG_TS) != 0 && !options.timestamps) {
		/* Both legs or neither: the client was told that timestamps are on, and this endpoint has none. */
		if (bridge_relay(worker, index, packet, &options))
			return;
		emit_reset_peer(worker, endpoint, packet->ack, packet->seq + 1);
		dial_failed(worker, index, REASON_ENDPOINT_OPTIONS);
		return;
	}
	splice_start(worker, index, packet, &options);
}

void
dial_held_passes(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet,
		 const struct rte_mbuf *mbuf)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	uint32_t *latest = leg == LEG_CLIENT ? &hold->client_ts : &hold->endpoint_ts;
	const uint8_t *tcp = rte_pktmbuf_mtod(mbuf, const uint8_t *) + packet->l4;
	struct tcp_options options;

	/* The endpoint may remember this timestamp even where it has no room for the bytes: repeated with an older one,
	 * those that we hold would be thrown away (RFC 7323 section 5.3). */
	if (tcp_options_parse(tcp + TCP_HEADER_LENGTH, packet->options_length, false, &options) && options.timestamps &&
	    (*latest == 0 || seq_before(*latest, options.tsval)))
		*latest = options.tsval;
}

void
dial_held_acked(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	uint32_t acked = endpoint->ack - (own_isn(flow, hold) + 1);

	if (acked >= hold->acked) {
		endpoint->flags &= (uint8_t)~LEG_HELD;
		hold_release(&worker->holds, flow->hold);
		flow->hold = 0;
		flow->retries = 0;
		flow_idle_start(worker, index);
		return;
	}
	if (hold->arrived < acked) { /* what waits now has not waited yet (RFC 6298 section 5) */
		hold->arrived = (uint16_t)acked;
		if (flow->retries != 0) /* what follows was lost with what was repeated */
			hold->sent = (uint16_t)acked;
		flow->retries = 0;
		timer_wheel_start(&worker->wheel, &worker->flows, index, worker->clock_ms + HELD_RTO_MS);
	}
	/* Its window may have opened. */
	if (hold->sent < acked)
		hold->sent = (uint16_t)acked;
	if (hold->sent < hold->acked && endpoint->edge - (own_isn(flow, hold) + 1) > hold->sent)
		hold->sent = send_held(worker, flow, hold, hold->sent, hold->acked, false);
}

void
dial_held_fired(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct hold *hold = hold_get(&worker->holds, flow->hold);
	uint16_t acked = (uint16_t)(flow->leg[LEG_ENDPOINT].ack - (own_isn(flow, hold) + 1));

	if (++flow->retries > HELD_RETRIES_MAX) {
		flow_abort(worker, index, REASON_HOLD_UNDELIVERED);
		return;
	}
	worker->stats->retransmissions++;
	/* What is too large for the path is lost every time, and not every router says why. The client would send
	 * smaller segments by and by; these bytes are ours to send. */
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	if (flow->retries == HELD_BLACK_HOLE_RETRIES && endpoint->mss > HELD_BLACK_HOLE_MSS)
		endpoint->mss = HELD_BLACK_HOLE_MSS;
	/* Into a closed window goes one byte, or it would never be heard of again (RFC 9293 section 3.8.6.1). */
	bool closed = seq_at_most(endpoint->edge, endpoint->ack);
	uint16_t sent = send_held(worker, flow, hold, acked, closed ? (uint16_t)(acked + 1) : hold->acked, closed);
	if (sent > hold->sent && !closed) /* a probe is meant to be refused */
		hold->sent = sent;
	timer_wheel_start(&worker->wheel, &worker->flows, index,
			  worker->clock_ms + ((uint32_t)HELD_RTO_MS << flow->retries));
}
