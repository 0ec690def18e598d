/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP and ICMPv6 for our own addresses: echo is answered, errors about our TCP are taken apart, neighbour discovery
 * goes to nd.h, and the rest to the host, or nowhere. RFC 792, RFC 4443, RFC 5927.
 */
#ifndef POSTERN_DATAPLANE_ICMP_H
#define POSTERN_DATAPLANE_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"

struct net;
struct packet;
struct rte_mbuf;
struct worker;

enum icmp_error {
	ICMP_UNREACHABLE,  /* type 3 but for code 4; ICMPv6 type 1 */
	ICMP_TOO_BIG,      /* type 3 code 4; ICMPv6 type 2 */
	ICMP_TIME_EXCEEDED /* type 11; ICMPv6 type 3 */
};

/* What an ICMP error says about a TCP segment that we sent, or that somebody claims we did: nothing of it is proven
 * until seq is found within what the flow has outstanding. */
struct icmp_quote {
	uint8_t error; /* enum icmp_error */
	uint8_t code;
	uint16_t mtu; /* ICMP_TOO_BIG: of the next hop, at most 65535; 0: the router didn't say (RFC 1191 section 4) */
	uint16_t local_addr;            /* the quoted source, one of ours: its index in net.addresses */
	struct ip_addr peer;            /* the quoted destination */
	uint16_t local_port, peer_port; /* network order */
	uint32_t seq;                   /* of the quoted segment, host order; as it was on the wire */
	uint16_t l3, l4;                /* offsets in the frame of the quoted IP and TCP headers */
	uint16_t l4_length; /* bytes of the quoted segment that are here, at least 8; the rest of its header may be
			       missing */
};

/* Takes an error apart. packet is PACKET_ICMP or PACKET_ICMP6, frame its bytes. False for what is no error, or doesn't
 * quote an unfragmented TCP segment from one of our addresses. */
bool icmp_quote_parse(const struct net *net, const uint8_t *frame, const struct packet *packet,
		      struct icmp_quote *quote);

/* A frame of PACKET_ICMP or PACKET_ICMP6 that arrived at packet->port. Takes the mbuf. */
void icmp_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf);

/* An error that quotes a segment of ours: found a flow or not (icmp_error.c). Takes the mbuf. */
void icmp_error_input(struct worker *worker, const struct packet *packet, struct icmp_quote *quote,
		      struct rte_mbuf *mbuf);

#endif
