/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/accept.h"

#include <netinet/in.h>
#include <rte_mbuf.h>

#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/host.h"
#include "dataplane/peek.h"
#include "dataplane/reclaim.h"
#include "dataplane/syn_cookie.h"
#include "dataplane/tcp_options.h"

static bool
parse_options(const struct packet *packet, const struct rte_mbuf *mbuf, bool syn, struct tcp_options *options)
{
	const uint8_t *tcp = rte_pktmbuf_mtod(mbuf, const uint8_t *) + packet->l4;
	return tcp_options_parse(tcp + TCP_HEADER_LENGTH, packet->options_length, syn, options);
}

static void
answer_syn(struct worker *worker, const struct packet *packet, const struct flow_key *key,
	   const struct listener_offer *offer, struct rte_mbuf *mbuf)
{
	if (!syn_shed_admits(worker, &packet->source)) {
		worker_drop(worker, mbuf, REASON_SYN_SHED);
		return;
	}
	struct tcp_options theirs;
	if (!parse_options(packet, mbuf, true, &theirs)) {
		worker_drop(worker, mbuf, REASON_TCP_OPTIONS);
		return;
	}

	uint16_t mtu = worker->net->ports[packet->port].mtu;
	uint16_t own_headers = packet->v4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	struct tcp_options ours = {
		.mss = (uint16_t)(mtu - own_headers - TCP_HEADER_LENGTH),
		.wscale = theirs.wscale == TCP_WSCALE_NONE ? TCP_WSCALE_NONE : ACCEPT_WSCALE,
		.sack_permitted = theirs.sack_permitted && offer->sack,
		.timestamps = theirs.timestamps && offer->timestamps,
		.tsecr = theirs.tsval,
	};
	uint16_t known = offer->mss != 0 ? offer->mss : (uint16_t)(mtu - IPV6_HEADER_LENGTH - TCP_HEADER_LENGTH);
	if (known < ours.mss)
		ours.mss = known;
	if (ours.timestamps)
		ours.tsval = accept_tsval(worker, flow_table_hash(&worker->flows, key));

	struct syn_cookie_options cookie = {
		.mss = theirs.mss != 0 ? theirs.mss
		       : packet->v4    ? TCP_MSS_DEFAULT_V4
				       : TCP_MSS_DEFAULT_V6,
		.wscale = theirs.wscale,
		.sack = ours.sack_permitted,
	};
	uint8_t options[TCP_OPTIONS_MAX];
	struct emit_segment syn_ack = {
		.flags = TCP_SYN | TCP_ACK,
		.seq = syn_cookie_make(worker->cookie_secret, key, packet->seq, &cookie, worker->now_ms),
		.ack = packet->seq + 1,
		.window = HOLD_MAX,
		.options = options,
		.options_length = tcp_options_write(&ours, options),
	};
	worker->stats->syns++;
	emit_reply(worker, packet, mbuf, &syn_ack);
}

/* The TSval of our SYN-ACK, which the client echoes; now where it can't be that: the cookie would be too old. */
static uint32_t
told_tsval(const struct worker *worker, uint32_t leg_hash, uint32_t echo)
{
	uint32_t now = accept_tsval(worker, leg_hash);
	return now - echo <= 2 * SYN_COOKIE_PERIOD_MS ? echo : now;
}

/* The ACK that ends the handshake. */
static void
open_flow(struct worker *worker, const struct packet *packet, const struct flow_key *key,
	  const struct listener_offer *offer, const struct syn_cookie_options *cookie, struct rte_mbuf *mbuf)
{
	struct tcp_options options;
	if (!parse_options(packet, mbuf, false, &options)) {
		worker_drop(worker, mbuf, REASON_TCP_OPTIONS);
		return;
	}
	/* Who waits for the other side to speak first has nothing that would bring the cookie again. */
	enum reason full = reclaim_room(worker, packet->payload_length != 0 || offer->plain);
	if (full != REASON_NONE) {
		worker_drop(worker, mbuf, full);
		return;
	}
	uint32_t hold_index = hold_alloc(&worker->holds), index = flow_table_alloc(&worker->flows);
	struct hold *hold = hold_get(&worker->holds, hold_index);
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *client = &flow->leg[LEG_CLIENT];
	bool scales = cookie->wscale != TCP_WSCALE_NONE;
	client->peer = key->peer;
	client->peer_port = key->peer_port;
	client->local_port = key->local_port;
	client->local_addr = key->local_addr;
	client->flags = (uint8_t)((cookie->sack ? LEG_SACK : 0) | (options.timestamps ? LEG_TS : 0) |
				  (scales ? LEG_WSCALE : 0));
	client->wscale = scales ? cookie->wscale : 0;
	client->announced = scales ? ACCEPT_WSCALE : 0;
	client->mss = cookie->mss;
	client->seq_end = packet->seq;
	client->ack = packet->ack;
	client->edge = packet->ack + ((uint32_t)packet->window << client->wscale);
	flow->listener = offer->live;
	flow->opened_s = (uint32_t)((worker->now_ms + worker->wall_offset_ms) / 1000);
	flow->opened_ms = (worker->now_ms + worker->wall_offset_ms) % 1000;
	flow->hold = hold_index;
	hold->client_isn = packet->seq - 1;
	hold->flow = index;
	hold->port = packet->port;
	hold->source = reclaim_source(worker, &key->peer);
	if (!flow_table_insert(&worker->flows, index, LEG_CLIENT)) {
		flow->hold = 0;
		hold_release(&worker->holds, hold_index);
		flow_table_release(&worker->flows, index);
		worker_drop(worker, mbuf, REASON_FLOW_TABLE_FULL);
		return;
	}
	hold->gate_ts = told_tsval(worker, client->hash, options.tsecr);
	/* The client echoes the clock of our SYN-ACK. */
	hold->far = !options.timestamps || accept_tsval(worker, client->hash) - options.tsecr >= DIAL_FAR_MS;
	worker->table_version++;
	worker->stats->syn_acks++;
	hold->plain = offer->plain;
	flow->owes = offer->plain;
	flow_set_state(worker, flow, FLOW_PEEKING);
	peek_start(worker, index);
	peek_input(worker, index, packet, mbuf);
}

bool
accept_ends_handshake(const struct worker *worker, const struct packet *packet, const struct flow_key *key)
{
	struct syn_cookie_options cookie;

	return (packet->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK &&
	       syn_cookie_check(worker->cookie_secret, key, packet->seq - 1, packet->ack - 1, worker->now_ms,
				&cookie) == SYN_COOKIE_GOOD;
}

void
accept_stranger(struct worker *worker, const struct packet *packet, const struct flow_key *key, struct rte_mbuf *mbuf)
{
	struct listener_offer offer;
	if (!worker->hooks->listener(worker->hooks->context, &packet->destination, ntohs(packet->destination_port),
				     &offer)) {
		if (worker->net->ports[packet->port].tap != NET_PORT_NONE)
			host_deliver(worker, packet, mbuf, REASON_NO_LISTENER);
		else
			emit_reset_stranger(worker, packet, mbuf, REASON_NO_LISTENER);
		return;
	}

	switch (packet->flags & (TCP_SYN | TCP_ACK | TCP_RST)) {
	case TCP_SYN:
		if (offer.draining || worker->draining)
			emit_reset_stranger(worker, packet, mbuf, REASON_LISTENER_DRAINING);
		else
			answer_syn(worker, packet, key, &offer, mbuf);
		return;
	case TCP_ACK:
		break;
	default: /* a RST for a flow that is gone, or a SYN-ACK to a server */
		emit_reset_stranger(worker, packet, mbuf, REASON_TCP_STATE);
		return;
	}

	struct syn_cookie_options cookie;
	switch (syn_cookie_check(worker->cookie_secret, key, packet->seq - 1, packet->ack - 1, worker->now_ms,
				 &cookie)) {
	case SYN_COOKIE_GOOD:
		open_flow(worker, packet, key, &offer, &cookie, mbuf);
		return;
	case SYN_COOKIE_OUT_OF_ORDER:
		worker_drop(worker, mbuf, REASON_COOKIE_OUT_OF_ORDER);
		return;
	case SYN_COOKIE_BAD:
		emit_reset_stranger(worker, packet, mbuf, REASON_COOKIE_BAD);
		return;
	}
}
