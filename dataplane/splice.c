/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/splice.h"

#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/ether.h"
#include "dataplane/flow_close.h"
#include "dataplane/load.h"
#include "dataplane/tcp_options.h"

/* Offsets in the TCP header. */
enum { AT_PORTS = 0, AT_SEQ = 4, AT_ACK = 8, AT_FLAGS = 12, AT_WINDOW = 14, AT_CHECKSUM = 16, AT_URGENT = 18 };

/* Of the 16 bits at AT_FLAGS: reserved bits, CWR and ECE. */
enum { FLAGS_NEVER_NEGOTIATED = 0x0fc0 };

/* One's-complement sum of two addresses of one family. The fixed part of an IPv4-mapped one is 0xffff, which is zero.
 */
static inline uint64_t
address_sum(bool v4, const struct ip_addr *a, const struct ip_addr *b)
{
	uint64_t sum = (uint64_t)a->words[3] + b->words[3];

	if (!v4)
		for (unsigned i = 0; i < 3; i++)
			sum += (uint64_t)a->words[i] + b->words[i];
	return sum;
}

static inline checksum_delta
replace_32(checksum_delta delta, uint8_t *at, uint32_t host_value)
{
	uint32_t old = load_32(at), now = htonl(host_value);
	memcpy(at, &now, 4);
	return checksum_delta_32(delta, old, now);
}

static inline checksum_delta
replace_16(checksum_delta delta, uint8_t *at, uint16_t network_value)
{
	uint16_t old = load_16(at);
	memcpy(at, &network_value, 2);
	return checksum_delta_16(delta, old, network_value);
}

/* Rewrites the packet for the leg that it goes out on: afterwards the mbuf begins with the new IP header. shift_* are
 * the leg's it came on and goes out on. REASON_NONE, or why it can't pass (the packet is then as it was). */
static enum reason
rewrite(struct worker *worker, const struct flow_leg *in, const struct flow_leg *out, const struct packet *packet,
	struct rte_mbuf *mbuf)
{
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint8_t *tcp = frame + packet->l4;
	checksum_delta delta = 0;
	bool has_ack = (packet->flags & TCP_ACK) != 0, is_reset = (packet->flags & TCP_RST) != 0;

	struct tcp_options_seen seen = {0};
	if (packet->options_length != 0) {
		struct tcp_options_shift shift = {
			.sack = 0 - out->seq_delta,
			.tsval = in->ts_delta,
			.tsecr = 0 - out->ts_delta,
			.drop_sack = (out->flags & LEG_SACK) == 0,
		};
		if (tcp_options_translate(tcp + TCP_HEADER_LENGTH, packet->options_length, has_ack, &shift, &delta,
					  &seen) != TCP_OPTIONS_OK)
			return REASON_TCP_OPTIONS;
	}
	if (unlikely(seen.timestamps != ((in->flags & LEG_TS) != 0)) && !is_reset)
		return seen.timestamps ? REASON_TCP_OPTIONS : REASON_TCP_TIMESTAMP_MISSING;

	const struct ip_addr *source = &worker->net->addresses[out->local_addr].addr;

	bool v4 = ip_addr_is_v4(&out->peer);
	/* 2^35 − 8 is eight times 2^32 − 1, which is a zero: it keeps the difference from going below. */
	delta += address_sum(v4, source, &out->peer) + ((UINT64_C(1) << 35) - 8) -
		 address_sum(packet->v4, &packet->source, &packet->destination);
	uint32_t ports =
		load_32((const uint8_t *)&out->peer_port); /* peer's and ours; a packet has them the other way round */
	ports = ports << 16 | ports >> 16;
	delta = checksum_delta_32(delta, load_32(tcp + AT_PORTS), ports);
	memcpy(tcp + AT_PORTS, &ports, 4);
	delta = replace_32(delta, tcp + AT_SEQ, packet->seq + in->seq_delta);
	if (has_ack) {
		delta = replace_32(delta, tcp + AT_ACK, packet->ack - out->seq_delta);
		if (in->wscale != out->announced)
			delta = replace_16(delta, tcp + AT_WINDOW,
					   htons(splice_window(packet->window, in->wscale, out->announced)));
	}
	uint16_t flags = load_16(tcp + AT_FLAGS);
	if (unlikely((ntohs(flags) & FLAGS_NEVER_NEGOTIATED) != 0))
		delta = replace_16(delta, tcp + AT_FLAGS, flags & htons((uint16_t)~FLAGS_NEVER_NEGOTIATED));
	uint16_t checksum = checksum_apply(load_16(tcp + AT_CHECKSUM), delta);
	memcpy(tcp + AT_CHECKSUM, &checksum, 2);

	uint8_t ip_length = v4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	emit_ip_header(tcp - ip_length, source, &out->peer, IP_PROTO_TCP, packet->l4_length, packet->dscp);
	mbuf->data_off = (uint16_t)(mbuf->data_off + packet->l4 - ip_length);
	mbuf->data_len = (uint16_t)(ip_length + packet->l4_length);
	mbuf->pkt_len = mbuf->data_len;
	return REASON_NONE;
}

/* The urgent pointer of a piece that begins at bytes into a segment: it counts from the piece's own beginning, and what
 * ends before it is no matter of the piece (RFC 9293 section 3.8.5). */
static void
move_urgent(uint8_t *tcp, uint16_t at)
{
	uint16_t urgent = ntohs(load_16(tcp + AT_URGENT));

	if ((tcp[AT_FLAGS + 1] & TCP_URG) == 0 || at == 0)
		return;
	if (urgent < at)
		tcp[AT_FLAGS + 1] &= (uint8_t)~TCP_URG;
	urgent = urgent < at ? 0 : htons((uint16_t)(urgent - at));
	memcpy(tcp + AT_URGENT, &urgent, 2);
}

/* A rewritten IP packet whose payload is larger than its receiver takes: sent as several. FIN and PSH belong to the
 * last. */
static void
send_split(struct worker *worker, struct neighbour *neighbour, const struct flow_leg *out, const struct packet *packet,
	   struct rte_mbuf *mbuf)
{
	const uint8_t *ip = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	const uint8_t *tcp = ip + (ip[0] >> 4 == 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH);
	uint16_t header = (uint16_t)(TCP_HEADER_LENGTH + packet->options_length);
	uint16_t step = (uint16_t)(out->mss - packet->options_length);
	const struct ip_addr *source = &worker->net->addresses[out->local_addr].addr;
	uint32_t seq = ntohl(load_32(tcp + AT_SEQ));

	for (uint16_t at = 0; at < packet->payload_length; at = (uint16_t)(at + step)) {
		struct rte_mbuf *piece = worker_mbuf(worker);
		if (piece == NULL)
			break; /* as if lost on the way: the sender repeats it */
		bool last = at + step >= packet->payload_length;
		uint16_t length = last ? (uint16_t)(packet->payload_length - at) : step;
		uint16_t l4_length = (uint16_t)(header + length), zero = 0;
		uint8_t *to = rte_pktmbuf_mtod(piece, uint8_t *);
		uint8_t ip_length = emit_ip_header(to, source, &out->peer, IP_PROTO_TCP, l4_length, packet->dscp);
		uint8_t *to_tcp = to + ip_length;
		uint32_t piece_seq = htonl(seq + at);

		memcpy(to_tcp, tcp, header);
		memcpy(to_tcp + header, tcp + header + at, length);
		memcpy(to_tcp + AT_SEQ, &piece_seq, 4);
		if (!last)
			to_tcp[AT_FLAGS + 1] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		move_urgent(to_tcp, at);
		memcpy(to_tcp + AT_CHECKSUM, &zero, 2);
		uint16_t checksum = (uint16_t)~checksum_fold(
			checksum_pseudo(source, &out->peer, IP_PROTO_TCP, l4_length) + checksum_sum(to_tcp, l4_length));
		memcpy(to_tcp + AT_CHECKSUM, &checksum, 2);
		piece->data_len = (uint16_t)(ip_length + l4_length);
		piece->pkt_len = piece->data_len;
		neighbour_send(worker, neighbour, piece);
	}
	worker->stats->segments_split++;
	rte_pktmbuf_free(mbuf);
}

static inline void
send_rewritten(struct worker *worker, struct neighbour *neighbour, struct rte_mbuf *mbuf)
{
	if (unlikely(neighbour->state != NEIGHBOUR_REACHABLE)) {
		neighbour_send(worker, neighbour, mbuf);
		return;
	}
	uint8_t *ethernet = (uint8_t *)rte_pktmbuf_prepend(mbuf, neighbour->header_length);
	if (unlikely(ethernet == NULL)) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	memcpy(ethernet, neighbour->header, ETHER_LENGTH);
	if (unlikely(neighbour->header_length > ETHER_LENGTH))
		memcpy(ethernet + ETHER_LENGTH, neighbour->header + ETHER_LENGTH, ETHER_VLAN_LENGTH);
	neighbour->used = true;
	worker_transmit(worker, neighbour->device, mbuf);
}

/* Tells the peer of a leg where the connection stands. One that is gone answers with a RST of that number. */
static void
challenge(struct worker *worker, struct flow *flow, unsigned leg, const struct tcp_options *ours)
{
	struct flow_leg *in = &flow->leg[leg], *out = &flow->leg[leg_other(leg)];
	uint8_t options[TCP_OPTIONS_MAX];

	struct emit_segment ack = {
		.flags = TCP_ACK,
		.seq = out->seq_end + out->seq_delta,
		.ack = out->ack - in->seq_delta, /* what the other side has; what we saw may have been lost behind us */
		.window = splice_window((uint16_t)((out->edge - out->ack) >> out->wscale), out->wscale, in->announced),
		.options = options,
		.options_length = tcp_options_write(ours, options),
	};
	emit_to_peer(worker, in, &ack);
}

/* A SYN on a flow that is established. RFC 5961 section 4: a challenge; a peer that really began anew answers it with a
 * RST. To an endpoint whose SYN-ACK comes again it is the ACK that was lost, and has a timestamp where they were
 * negotiated (RFC 7323 section 3.2 lets it be dropped otherwise): the one that it echoes, which is our SYN's own and
 * thus never ahead of the client's clock. A forged SYN-ACK doesn't have the endpoint's number, and must not choose the
 * timestamp that the endpoint remembers. Nor must a forged SYN that of a client: its answer has none. A client that did
 * begin anew has no clock of ours to hold it against, and answers it as it is. */
static void
answer_syn(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	const struct flow_leg *in = &flow->leg[leg];
	const uint8_t *tcp = rte_pktmbuf_mtod(mbuf, const uint8_t *) + packet->l4;
	struct tcp_options theirs, ours = {.wscale = TCP_WSCALE_NONE};

	bool again = (packet->flags & TCP_ACK) != 0 && packet->seq + 1 == in->seq_end && packet->ack == in->ack;

	if (again && flow->syn_acks_due != 0) {
		flow->syn_acks_due--;
		worker_drop(worker, mbuf, REASON_NONE);
		return;
	}
	if (again && (in->flags & LEG_TS) != 0 &&
	    tcp_options_parse(tcp + TCP_HEADER_LENGTH, packet->options_length, true, &theirs)) {
		ours.timestamps = theirs.timestamps;
		ours.tsval = theirs.tsecr; /* and no TSecr: the time since says nothing of the path (dial.h) */
	}
	worker_drop(worker, mbuf, REASON_TCP_STATE);
	if (again || flow_may_challenge(flow, worker->clock_ms))
		challenge(worker, flow, leg, &ours);
}

/* Once there was a FIN, its own number will do for a RST as well: a process that is gone answers what it got last,
 * which may be of before its FIN was heard, and Linux obeys that. */
static inline uint32_t
reset_leeway(const struct flow_leg *in)
{
	return (in->flags & LEG_FIN) != 0 ? 1 : 0;
}

/* Whether a RST has a number that its receiver has left behind. It can't be obeyed. */
static bool
reset_is_old(const struct flow_leg *in, const struct flow_leg *out, const struct packet *packet)
{
	return seq_before(packet->seq + in->seq_delta, out->ack - reset_leeway(in));
}

/* Whether a RST would be obeyed by its receiver: RFC 5961 asks for exactly the next number that it expects. That is
 * what it acknowledged last, where a RST answers it, or the end of what has passed, where its peer gave up. It may be
 * any number between as well, but then one hit of many would do for somebody who guesses. Nor is it one from beyond the
 * window that the receiver announced: what has passed of there, a probe of a closed window say, it hasn't taken. */
static bool
reset_is_exact(const struct flow_leg *in, const struct flow_leg *out, const struct packet *packet)
{
	uint32_t seq = packet->seq + in->seq_delta; /* as the receiver sees it */
	uint32_t behind_acked = out->ack - seq, behind_sent = in->seq_end - packet->seq;

	return seq_at_most(seq, out->edge) && (behind_acked <= reset_leeway(in) || behind_sent <= reset_leeway(in));
}

/* How far back a repeat may lie: nobody has more under way than the largest window that his peer can announce. */
static inline int32_t
oldest(const struct flow_leg *receiver)
{
	return -(int32_t)(((uint32_t)UINT16_MAX << receiver->wscale) + SPLICE_WINDOW_SLACK);
}

/* Whether the packet may be of this connection: its sequence numbers lie where its receiver has said that it takes
 * them, or took them, and it acknowledges what the receiver has sent, not too long ago (RFC 5961 section 5). */
static inline bool
is_acceptable(const struct flow_leg *in, const struct flow_leg *out, const struct packet *packet)
{
	uint32_t seq = packet->seq + in->seq_delta; /* as the receiver sees it */
	uint32_t end = seq + packet_seq_length(packet);

	if (unlikely((int32_t)(end - out->edge) > SPLICE_WINDOW_SLACK || (int32_t)(seq - out->ack) < oldest(out)))
		return false;
	return (packet->flags & TCP_ACK) == 0 || likely(seq_at_most(packet->ack - out->seq_delta, out->seq_end) &&
							(int32_t)(packet->ack - in->ack) >= oldest(in));
}

/* Whether the receiver of an acceptable packet will listen to what it says: not when all of it is a repeat of what it
 * has acknowledged. To that it answers, but the acknowledgment, window, FIN and timestamp are lost on it (RFC 9293
 * section 3.10.7.4), and we must not believe them either; but while we hold bytes for its sender, we are a receiver
 * too: he may have to acknowledge them with a number that the client has left behind, when his window is so small that
 * what the client says about it doesn't reach him. */
static inline bool
is_current(const struct flow_leg *in, const struct flow_leg *out, const struct packet *packet)
{
	return seq_at_most(out->ack, packet->seq + in->seq_delta + packet_seq_length(packet)) ||
	       (in->flags & LEG_HELD) != 0;
}

bool
splice_is_beyond(const struct flow *flow, const struct packet *packet)
{
	const struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	return (packet->flags & TCP_SYN) != 0 || seq_before(client->seq_end, packet->seq) ||
	       !is_acceptable(client, endpoint, packet);
}

/* Takes note of what a packet that is current and passed on says of its sender. */
static inline void
track(struct flow_leg *in, struct flow_leg *out, const struct packet *packet)
{
	uint32_t end = packet->seq + packet_seq_length(packet);

	/* A window says something together with the newest acknowledgment only: an old packet, of a connection before
	 * on the same ports even, would move the edge to anywhere. */
	if (likely(seq_at_most(in->ack, packet->ack))) {
		uint32_t edge = packet->ack + ((uint32_t)packet->window << in->wscale);
		in->ack = packet->ack;
		if (seq_before(in->edge, edge))
			in->edge = edge;
	}
	if (unlikely((out->flags & LEG_FIN) != 0) && packet->ack - out->seq_delta == out->seq_end)
		out->flags |= LEG_FIN_ACKED;

	uint8_t flags = in->flags | LEG_ACTIVE;
	if (seq_before(in->seq_end, end) && end != packet->seq) { /* a bare ACK brings nothing, wherever it lies */
		in->seq_end = end;
		/* What goes on behind a FIN shows that the FIN was somebody else's. */
		flags &= (uint8_t) ~(LEG_FIN | LEG_FIN_ACKED);
	}
	if (unlikely((packet->flags & TCP_FIN) != 0) && end == in->seq_end)
		flags |= LEG_FIN;
	in->flags = flags;
}

void
splice_input(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *in = &flow->leg[leg], *out = &flow->leg[leg_other(leg)];

	if (unlikely((packet->flags & TCP_SYN) != 0)) {
		answer_syn(worker, index, leg, packet, mbuf);
		return;
	}
	bool is_reset = (packet->flags & TCP_RST) != 0;
	if (unlikely(!is_acceptable(in, out, packet) || (is_reset && reset_is_old(in, out, packet)))) {
		worker_drop(worker, mbuf, REASON_TCP_WINDOW);
		return;
	}
	bool current = is_current(in, out, packet);
	struct neighbour *neighbour = neighbour_get(&worker->neighbours, out->hop);
	if (unlikely(neighbour == NULL)) {
		neighbour = emit_neighbour(worker, out);
		if (neighbour == NULL) { /* counted there */
			rte_pktmbuf_free(mbuf);
			return;
		}
	}
	if (unlikely(((in->flags | out->flags) & LEG_HELD) != 0) && current && !is_reset)
		dial_held_passes(worker, index, leg, packet, mbuf);
	enum reason reason = rewrite(worker, in, out, packet, mbuf);
	if (unlikely(reason != REASON_NONE)) {
		worker_drop(worker, mbuf, reason);
		return;
	}
	in->bytes += packet->payload_length;
	if (likely(current) && likely(!is_reset))
		track(in, out, packet);
	worker->stats->spliced_packets++;
	if (unlikely(packet->payload_length + packet->options_length > out->mss && packet->payload_length != 0))
		send_split(worker, neighbour, out, packet, mbuf);
	else
		send_rewritten(worker, neighbour, mbuf);

	if (unlikely(is_reset)) {
		const struct tcp_options none = {.wscale = TCP_WSCALE_NONE};
		if (reset_is_exact(in, out, packet))
			flow_finish(worker, index,
				    leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT : REASON_RESET_BY_ENDPOINT);
		else if (flow_may_challenge(flow, worker->clock_ms))
			challenge(worker, flow, leg, &none);
		return;
	}
	if (unlikely((in->flags & LEG_HELD) != 0))
		dial_held_acked(worker, index);
	if (unlikely((in->flags & out->flags & LEG_FIN_ACKED) != 0))
		flow_finish(worker, index, REASON_CLOSED);
}

void
splice_fired(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);

	if ((flow->leg[LEG_ENDPOINT].flags & LEG_HELD) != 0)
		dial_held_fired(worker, index);
	else
		flow_idle_fired(worker, index);
}
