/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One received packet, taken apart. packet_parse is a pure function over (pointer, length): it checks every length
 * against the frame and every checksum, and names the reason where something is wrong. What it gives back are offsets
 * and values, never pointers into the frame: header pointers are taken anew (packet_ip, packet_tcp) after every
 * operation that may move the data.
 */
#ifndef POSTERN_DATAPLANE_PACKET_H
#define POSTERN_DATAPLANE_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_table.h"
#include "dataplane/reason.h"
#include "platform/ip_addr.h"

enum packet_kind {
	PACKET_BAD,   /* drop it for packet.reason */
	PACKET_TCP,   /* all fields below are set */
	PACKET_ARP,   /* l3 is set */
	PACKET_ICMP,  /* ICMPv4; addresses, l3, l4 and l4_length are set, the checksum is right */
	PACKET_ICMP6, /* ICMPv6, the same; hop_limit too */
	PACKET_OTHER  /* IP of another protocol: addresses, l3 and l4 are set */
};

/* TCP flags, RFC 9293 section 3.1. */
enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80
};

enum { PACKET_NO_TAG = 0xffff };
enum { IP_PROTO_ICMP = 1, IP_PROTO_TCP = 6, IP_PROTO_ICMP6 = 58 };

struct packet {
	uint8_t kind;   /* enum packet_kind */
	uint8_t reason; /* enum reason, when PACKET_BAD */
	uint8_t port;   /* net port that it arrived at; the caller sets it */
	bool v4;
	bool l2_unicast;    /* the frame's destination isn't a group address */
	uint8_t dscp;       /* upper six bits of the traffic class, in place: 0..0xfc */
	uint8_t hop_limit;  /* TTL or hop limit */
	uint16_t vlan;      /* tag, 0: none */
	uint16_t l3, l4;    /* offsets in the frame */
	uint16_t payload;   /* TCP: offset of the payload */
	uint16_t l4_length; /* bytes of transport header and payload by the IP header, which may be less than the frame
			       has */
	uint16_t payload_length;
	uint16_t window;        /* TCP: as in the packet, unscaled */
	uint8_t flags;          /* TCP flags */
	uint8_t options_length; /* of TCP */
	uint32_t seq, ack;      /* host order */
	struct ip_addr source, destination;
	uint16_t source_port, destination_port; /* network order */
};

/* bytes: the first length bytes of the frame, contiguous; total: all of it (they differ only when the frame is in more
 * than one buffer, which is refused). checksummed: the device vouches for the TCP checksum. vlan_stripped: the tag that
 * the device took off, PACKET_NO_TAG: none. A second tag isn't looked behind: it would lead to a VLAN that its sender
 * may have no part in. */
void packet_parse(const uint8_t *bytes, uint32_t length, uint32_t total, bool checksummed, uint16_t vlan_stripped,
		  struct packet *packet);

/* Sequence space that the segment takes: payload, SYN and FIN. */
static inline uint32_t
packet_seq_length(const struct packet *packet)
{
	return packet->payload_length + ((packet->flags & TCP_SYN) != 0) + ((packet->flags & TCP_FIN) != 0);
}

#endif
