/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors about our flows. RFC 5927: an error counts only when the segment that it quotes is one that we have
 * outstanding.
 *
 * - While we dial, an unreachable endpoint is a failed attempt, at once instead of at the connect time-out (RFC 5461).
 * - On a splice, "too big" concerns the peer that sent the segment: it gets the error as if its own packet had met it,
 * quoted in its own addresses and numbers, with the MTU that its family may use. Until it heeds that, what it sends is
 * split to fit, so that a filter which eats ICMP makes no black hole; so is, for good, what is larger because an
 * endpoint was told no less than 1280.
 * - On a bridge it concerns us: the leg's endpoint sends smaller segments (bridge.c).
 * - The other errors are soft in an established connection, and left to TCP's own time-outs.
 *
 * With several workers an error comes to any of them, and is handed to the flow's. Only where a device spreads clients
 * over queues of its own does nobody know whose a client is: an error from the clients' side that comes to another
 * worker is lost there.
 */
#include <netinet/in.h>
#include <rte_mbuf.h>

#include "dataplane/bridge.h"
#include "dataplane/checksum.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp_quote.h"
#include "dataplane/peek.h"

enum {
	ICMP4_UNREACHABLE = 3,
	ICMP4_FRAGMENTATION_NEEDED = 4,
	ICMP6_TOO_BIG = 2,
	ICMP_HEADER_LENGTH = 8,
	QUOTE_TCP_LENGTH = 8, /* ports and sequence number: what RFC 792 promises */
	MTU_MIN_V4 = 552,     /* less is taken for an attack, as Linux does (net.ipv4.route.min_pmtu) */
	MTU_MIN_V6 = 1280,    /* RFC 8200 section 5 */
	MTU_MIN_SHARED = MTU_MIN_V6
};

/* Tells the peer of a leg that the segment with seq, which it sent to us, is larger than mtu. */
static void
send_too_big(struct worker *worker, struct flow_leg *leg, uint32_t seq, uint16_t mtu)
{
	struct neighbour *neighbour = emit_neighbour(worker, leg);
	struct rte_mbuf *mbuf = neighbour == NULL ? NULL : worker_mbuf(worker);
	if (mbuf == NULL)
		return;

	const struct ip_addr *ours = &worker->net->addresses[leg->local_addr].addr;
	bool v4 = ip_addr_is_v4(&leg->peer);
	uint8_t ip_length = v4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	uint16_t length = (uint16_t)(ICMP_HEADER_LENGTH + ip_length + QUOTE_TCP_LENGTH);
	uint8_t protocol = v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6;
	uint8_t *ip = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint8_t *icmp = ip + emit_ip_header(ip, ours, &leg->peer, protocol, length, 0);
	uint8_t header[ICMP_HEADER_LENGTH] = {v4 ? ICMP4_UNREACHABLE : ICMP6_TOO_BIG,
					      v4 ? ICMP4_FRAGMENTATION_NEEDED : 0};
	uint16_t wire_mtu = htons(mtu);
	memcpy(header + 6, &wire_mtu, 2);
	memcpy(icmp, header, sizeof(header));

	uint8_t *quote = icmp + ICMP_HEADER_LENGTH;
	quote += emit_ip_header(quote, &leg->peer, ours, IP_PROTO_TCP, mtu, 0);
	uint32_t wire_seq = htonl(seq);
	memcpy(quote, &leg->peer_port, 2);
	memcpy(quote + 2, &leg->local_port, 2);
	memcpy(quote + 4, &wire_seq, 4);

	uint64_t sum = checksum_sum(icmp, length);
	if (!v4)
		sum += checksum_pseudo(ours, &leg->peer, IP_PROTO_ICMP6, length);
	uint16_t checksum = (uint16_t)~checksum_fold(sum);
	memcpy(icmp + 2, &checksum, 2);
	mbuf->data_len = (uint16_t)(ip_length + length);
	mbuf->pkt_len = mbuf->data_len;
	neighbour_send(worker, neighbour, mbuf);
}

/* The largest payload that packets of that MTU leave on the way to the peer of a leg. */
static uint16_t
path_mss(const struct flow_leg *path, uint16_t mtu)
{
	bool v4 = ip_addr_is_v4(&path->peer);
	uint16_t least = v4 ? MTU_MIN_V4 : MTU_MIN_V6;

	if (mtu < least) /* 0, of an old router, included */
		mtu = least;
	return (uint16_t)(mtu - (v4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) - TCP_HEADER_LENGTH);
}

/* leg: the one whose peer can't be reached with packets of quote->mtu. */
static bool
too_big(struct worker *worker, struct flow *flow, unsigned leg, const struct icmp_quote *quote)
{
	struct flow_leg *path = &flow->leg[leg], *sender = &flow->leg[leg_other(leg)];
	uint16_t sender_header = ip_addr_is_v4(&sender->peer) ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	uint16_t mss = path_mss(path, quote->mtu);

	if (mss >= path->mss)
		return false; /* it can't have been this path's: nothing larger is sent there */
	path->mss = mss;

	/* An endpoint keeps the MTU for our address, and so for all clients: one of them mustn't make it a small one.
	 */
	uint16_t sender_mtu = (uint16_t)(mss + TCP_HEADER_LENGTH + sender_header);
	uint16_t least = ip_addr_is_v4(&sender->peer) && sender == &flow->leg[LEG_CLIENT] ? MTU_MIN_V4 : MTU_MIN_SHARED;
	if (sender_mtu < least)
		sender_mtu = least;
	send_too_big(worker, sender, quote->seq - sender->seq_delta, sender_mtu);
	return true;
}

void
icmp_error_input(struct worker *worker, const struct packet *packet, struct icmp_quote *quote, struct rte_mbuf *mbuf)
{
	struct flow_key key = {quote->peer, quote->peer_port, quote->local_port, quote->local_addr, 0};
	flow_ref ref = flow_table_find(&worker->flows, &key);

	if (ref == 0 && worker->n_workers > 1) {
		uint8_t device = worker->net->ports[packet->port].device;
		uint16_t to = worker_owner(worker, device, &key, flow_table_hash(&worker->flows, &key));
		if (to != worker->id) { /* it sees itself as the owner, so that is the end of it */
			mbuf->port = device;
			worker_hand_over(worker, to, mbuf);
			return;
		}
	}
	if (ref == 0) {
		worker_drop(worker, mbuf, REASON_ICMP_UNMATCHED);
		return;
	}
	uint32_t index = flow_ref_index(ref);
	unsigned leg = flow_ref_leg(ref);
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *path = &flow->leg[leg], *sender = &flow->leg[leg_other(leg)];

	if (flow->state == FLOW_CONNECTING && leg == LEG_ENDPOINT && quote->seq == path->ack) {
		bool fails = quote->error == ICMP_UNREACHABLE;
		worker_drop(worker, mbuf, fails ? REASON_NONE : REASON_ICMP_IGNORED);
		if (fails)
			dial_failed(worker, index, REASON_CONNECT_UNREACHABLE);
		return;
	}
	if (flow_is_bridged(flow)) {
		worker_drop(worker, mbuf, bridge_icmp_error(worker, index, leg, quote, path_mss(path, quote->mtu)));
		return;
	}
	bool outstanding = flow->state == FLOW_SPLICED && seq_at_most(path->ack, quote->seq) &&
			   seq_before(quote->seq, sender->seq_end + sender->seq_delta);
	enum reason reason = REASON_ICMP_UNMATCHED;
	if (outstanding)
		reason = quote->error == ICMP_TOO_BIG && too_big(worker, flow, leg, quote) ? REASON_NONE
											   : REASON_ICMP_IGNORED;
	worker_drop(worker, mbuf, reason);
}
