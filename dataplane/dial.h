/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CONNECTING: the endpoint leg, from the decision to the splice.
 *
 *   dial_start ── SYN ──▶ … SYN-ACK ──▶ SPLICED: the held bytes go out, cut at the endpoint's MSS
 *        ▲                    │ RST, ICMP unreachable, deadline, options that can't be translated
 *        └── peek_decide ◀────┘   (another endpoint, or the connection is refused)
 *
 * An endpoint without timestamps, where the client was told that they are on, can't be spliced: both legs are BRIDGED,
 * by a relay (bridge.h). It fails only where no record for that is left.
 *
 * The SYN carries the client's own options as the cookie kept them, and nothing else: no Fast Open, no MPTCP, no ECN.
 * Its ISN is our own (RFC 6528): several clients share our address, and an endpoint's TIME-WAIT must see numbers that
 * grow. An ACK with a wrong number in answer to the SYN is such a TIME-WAIT, or a connection that the endpoint has and
 * we haven't: it gets a RST, and the SYN goes out again (RFC 9293 section 3.10.7.3).
 *
 * We answer the SYN-ACK in microseconds, but all that the endpoint sends later is answered by the client. An endpoint
 * that took the first for the path's round trip would believe in the least that it ever saw: Linux's BBR sends almost
 * nothing for its first ten seconds, its RACK takes what is reordered for lost. Where the client isn't near, the
 * endpoint must therefore measure nothing: the SYN goes out twice, and by Karn's algorithm (RFC 6298 section 3) nobody
 * times the answer to a SYN-ACK that was repeated; nor by timestamps, since none is echoed (TSecr 0) until the endpoint
 * has sent more. Its first measurement is then of the first bytes that the client acknowledges.
 *
 * Of the held bytes, those that the client was told have arrived are ours to deliver: they are kept, and repeated,
 * until the endpoint acknowledges them. The others the client repeats itself.
 */
#ifndef POSTERN_DATAPLANE_DIAL_H
#define POSTERN_DATAPLANE_DIAL_H

#include "dataplane/worker.h"

struct tcp_options;

enum {
	DIAL_ATTEMPTS_MAX = 4,
	DIAL_FAR_MS = 2, /* round trip of a client that isn't near, by its timestamps; without them none is near */
	DIAL_SYN_RTO_MS = 1000, /* RFC 6298 section 2.1; doubled each time */
	HELD_RTO_MS = 300,      /* doubled each time */
	HELD_RETRIES_MAX = 8,
	HELD_BLACK_HOLE_RETRIES =
		3, /* without all having arrived: from then on in segments of HELD_BLACK_HOLE_MSS at most */
	HELD_BLACK_HOLE_MSS = 1024, /* RFC 4821 section 7.2 */
	DIAL_MSS_MIN = 88,       /* less in a SYN-ACK is taken as this: with any options there must be room for payload
				   (Linux:       TCP_MIN_MSS) */
	DIAL_PORT_MTU_MIN = 1280 /* taken for that of a port that isn't known */
};

/* Counts an attempt and gives the endpoint leg of a flow its addresses, a next hop, a port of ours, its place in the
 * hash and, as ack, the ISN of our SYN; state is the leg's. REASON_NONE, or why there is no way to the endpoint; the
 * leg is in the hash or not, as its flags have it. */
enum reason dial_open_leg(struct worker *worker, uint32_t index, const struct dial *dial, enum flow_state state);
/* The window of our SYN to the endpoint: the client's, as far as a SYN can say it. */
uint16_t dial_window(const struct flow_leg *client);
/* Takes the endpoint leg out of the hash. */
void dial_close_leg(struct worker *worker, uint32_t index);
/* Largest payload of a segment to a leg's peer by the MTU of the port that it goes out of. */
uint16_t dial_mtu_mss(struct worker *worker, struct flow_leg *leg);

/* Sends the SYN of a PEEKING flow, which becomes CONNECTING. The flow may be gone afterwards (no route, no port, no
 * other endpoint). */
void dial_start(struct worker *worker, uint32_t index, const struct dial *dial);
/* A segment from the endpoint of a CONNECTING flow. Takes the mbuf. */
void dial_input(struct worker *worker, uint32_t index, const struct packet *packet, struct rte_mbuf *mbuf);
/* Tells (hooks.learned) what the SYN-ACK of a flow's endpoint says of it. options: its options; asked: LEG_SACK and
 * LEG_TS, if our SYN asked for them. */
void dial_learn(struct worker *worker, const struct flow *flow, const struct packet *packet,
		const struct tcp_options *options, uint8_t asked);
/* The timer of a CONNECTING flow. */
void dial_fired(struct worker *worker, uint32_t index);
/* The attempt came to nothing: takes the endpoint leg down and asks for another. The flow may be gone afterwards. */
void dial_failed(struct worker *worker, uint32_t index, enum reason why);
/* The client gave up: tells the endpoint, and leaves the flow to be refused. */
void dial_abandon(struct worker *worker, uint32_t index);

/* For a SPLICED flow with LEG_HELD: a packet is passed on that came on leg; the endpoint's acknowledgment moved; the
 * timer fired. */
void dial_held_passes(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet,
		      const struct rte_mbuf *mbuf);
void dial_held_acked(struct worker *worker, uint32_t index);
void dial_held_fired(struct worker *worker, uint32_t index);

#endif
