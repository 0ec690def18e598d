/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that Postern itself makes: SYN-ACKs and RSTs to strangers, and for flows the SYN to the endpoint, ACKs, held
 * bytes, RSTs.
 *
 * A reply to a stranger is the frame that it answers, turned around: same port, same VLAN, to the MAC that it came
 * from. It needs no route and no neighbour entry, so somebody who invents addresses costs nothing. What goes out for a
 * flow takes the flow's own next hop.
 *
 * All our packets have TTL 64, DF set (RFC 6864: the IPv4 ID is then free to be 0), no ECN.
 */
#ifndef POSTERN_DATAPLANE_EMIT_H
#define POSTERN_DATAPLANE_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"

enum { EMIT_TTL = 64, TCP_HEADER_LENGTH = 20, IPV4_HEADER_LENGTH = 20, IPV6_HEADER_LENGTH = 40 };

/* One segment, in the numbering of the leg that it goes out on. */
struct emit_segment {
	uint8_t flags;
	uint8_t options_length; /* a multiple of 4 */
	uint16_t window;        /* as it stands in the packet */
	uint32_t seq, ack;
	const uint8_t *options;
	const uint8_t *payload; /* NULL: it begins payload_offset bytes behind the first one of queued (mbuf_queue.h) */
	const struct rte_mbuf *queued;
	uint32_t payload_offset;
	uint16_t payload_length;
};

/* Writes the IP header of a packet with length bytes after it. Returns the header's length. dscp: the traffic class's
 * upper six bits, in place (0..0xfc). */
uint8_t emit_ip_header(uint8_t *at, const struct ip_addr *source, const struct ip_addr *destination, uint8_t protocol,
		       uint16_t length, uint8_t dscp);

/* Answers packet, which mbuf holds, with a segment back to where it came from. Takes the mbuf. */
void emit_reply(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf,
		const struct emit_segment *segment);

/* Answers packet with the RST that RFC 9293 section 3.10.7.1 asks for, unless it is itself a RST or the allowance of
 * this second is used up. Counts reason. Takes the mbuf. */
void emit_reset_stranger(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, enum reason reason);

/* Sends a segment to the peer of a flow's leg. False, and counted, when there is no packet buffer or no next hop. */
bool emit_to_peer(struct worker *worker, struct flow_leg *leg, const struct emit_segment *segment);

/* The neighbour that a leg's packets go to, looked up anew when it was forgotten; NULL (counted) when there is no
 * route. */
struct neighbour *emit_neighbour(struct worker *worker, struct flow_leg *leg);

/* A RST to a leg's peer that it must accept (RFC 5961 section 3.2): seq is exactly what it said it expects. */
void emit_reset_peer(struct worker *worker, struct flow_leg *leg, uint32_t seq, uint32_t ack);

#endif
