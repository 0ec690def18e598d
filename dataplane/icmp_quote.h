/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ICMP errors quote, taken apart: RFC 792, RFC 4443, RFC 5927. A pure function over the bytes of the frame.
 */
#ifndef POSTERN_DATAPLANE_ICMP_QUOTE_H
#define POSTERN_DATAPLANE_ICMP_QUOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"

struct net;
struct packet;

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
	uint16_t l4_length; /* bytes of the quoted segment that are here: at least 8; the rest of its header may be
			       missing */
};

/* Takes an error apart. packet is PACKET_ICMP or PACKET_ICMP6, frame its bytes. False for what is no error, or doesn't
 * quote an unfragmented TCP segment from the address of ours that it was sent to. */
bool icmp_quote_parse(const struct net *net, const uint8_t *frame, const struct packet *packet,
		      struct icmp_quote *quote);

#endif
