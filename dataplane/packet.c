/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass from the Ethernet header to the TCP payload. Every length is checked against the frame before what it covers
 * is read; fields are loaded by memcpy of fixed sizes, so nothing is assumed about alignment. IP headers with options
 * or extension headers are refused rather than walked: no TCP that Postern serves needs them, and a header chain is
 * where parsers differ from each other.
 */
#include "dataplane/packet.h"

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/arp.h"
#include "dataplane/checksum.h"
#include "dataplane/ether.h"
#include "dataplane/load.h"

enum {
	IPV4_LENGTH = 20,
	IPV6_LENGTH = 40,
	IPV4_FRAGMENT_MASK = 0x3fff, /* MF and the offset */
	IPV6_HOP_BY_HOP = 0,
	IPV6_ROUTING = 43,
	IPV6_FRAGMENT = 44,
	IPV6_DESTINATION = 60,
	TCP_LENGTH = 20,
	ICMP_LENGTH = 8
};

/* A bit for each combination of FIN, SYN, RST, PSH and ACK (the low five flags) that a TCP may send: ACK in all but SYN
 * and RST, and of SYN, FIN and RST one at most. */
static const uint32_t flags_allowed = 1u << TCP_SYN | 1u << (TCP_SYN | TCP_PSH) | 1u << TCP_RST |
				      1u << (TCP_RST | TCP_PSH) | 1u << TCP_ACK | 1u << (TCP_ACK | TCP_PSH) |
				      1u << (TCP_ACK | TCP_SYN) | 1u << (TCP_ACK | TCP_SYN | TCP_PSH) |
				      1u << (TCP_ACK | TCP_FIN) | 1u << (TCP_ACK | TCP_FIN | TCP_PSH) |
				      1u << (TCP_ACK | TCP_RST) | 1u << (TCP_ACK | TCP_RST | TCP_PSH);

static inline enum reason
parse_tcp(const uint8_t *bytes, bool checksummed, struct packet *packet)
{
	const uint8_t *tcp = bytes + packet->l4;
	uint32_t header;

	if (packet->l4_length < TCP_LENGTH)
		return REASON_TCP_SHORT;
	header = (tcp[12] >> 4) * 4u;
	if (header < TCP_LENGTH || header > packet->l4_length)
		return REASON_TCP_SHORT;
	if (!checksummed &&
	    checksum_fold(checksum_pseudo(&packet->source, &packet->destination, IP_PROTO_TCP, packet->l4_length) +
			  checksum_sum(tcp, packet->l4_length)) != 0xffff)
		return REASON_TCP_CHECKSUM;

	packet->flags = tcp[13];
	if (!(flags_allowed >> (packet->flags & 0x1f) & 1))
		return REASON_TCP_FLAGS;
	packet->source_port = load_16(tcp);
	packet->destination_port = load_16(tcp + 2);
	if (packet->source_port == 0 || packet->destination_port == 0)
		return REASON_TCP_PORT_ZERO;

	packet->seq = ntohl(load_32(tcp + 4));
	packet->ack = ntohl(load_32(tcp + 8));
	packet->window = ntohs(load_16(tcp + 14));
	packet->options_length = (uint8_t)(header - TCP_LENGTH);
	packet->payload = (uint16_t)(packet->l4 + header);
	packet->payload_length = (uint16_t)(packet->l4_length - header);
	packet->kind = PACKET_TCP;
	return REASON_NONE;
}

static enum reason
parse_icmp(const uint8_t *bytes, enum packet_kind kind, struct packet *packet)
{
	uint64_t sum;

	if (packet->l4_length < ICMP_LENGTH)
		return REASON_ICMP_MALFORMED;
	sum = checksum_sum(bytes + packet->l4, packet->l4_length);
	if (kind == PACKET_ICMP6)
		sum += checksum_pseudo(&packet->source, &packet->destination, IP_PROTO_ICMP6, packet->l4_length);
	if (checksum_fold(sum) != 0xffff)
		return REASON_ICMP_MALFORMED;
	packet->kind = kind;
	return REASON_NONE;
}

/* As ip_addr_is_martian, on the bytes of the packet. */
static inline bool
ipv4_source_is_martian(const uint8_t *address)
{
	return address[0] == 0 || address[0] == 127 || address[0] >= 224;
}

static inline enum reason
parse_ipv4(const uint8_t *bytes, uint32_t length, bool checksummed, struct packet *packet)
{
	const uint8_t *ip = bytes + packet->l3;
	uint32_t room = length - packet->l3, total;
	uint64_t sum;

	if (room < IPV4_LENGTH)
		return REASON_FRAME_SHORT;
	if (ip[0] >> 4 != 4)
		return REASON_IP_VERSION;
	if ((ip[0] & 0xf) < IPV4_LENGTH / 4)
		return REASON_IP_LENGTH;
	total = ntohs(load_16(ip + 2));
	if (total < (ip[0] & 0xfu) * 4 || total > room)
		return REASON_IP_LENGTH;
	if ((ip[0] & 0xf) > IPV4_LENGTH / 4)
		return REASON_IP_OPTIONS;
	sum = (uint64_t)load_32(ip) + load_32(ip + 4) + load_32(ip + 8) + load_32(ip + 12) + load_32(ip + 16);
	if (checksum_fold(sum) != 0xffff)
		return REASON_IP_CHECKSUM;
	if (load_16(ip + 6) & htons(IPV4_FRAGMENT_MASK))
		return REASON_IP_FRAGMENT;
	if (ipv4_source_is_martian(ip + 12))
		return REASON_IP_MARTIAN;

	packet->v4 = true;
	packet->dscp = ip[1] & 0xfc;
	packet->hop_limit = ip[8];
	packet->source = ip_addr_from_v4(load_32(ip + 12));
	packet->destination = ip_addr_from_v4(load_32(ip + 16));
	packet->l4 = packet->l3 + IPV4_LENGTH;
	packet->l4_length = (uint16_t)(total - IPV4_LENGTH);
	if (ip[9] == IP_PROTO_TCP)
		return parse_tcp(bytes, checksummed, packet);
	if (ip[9] == IP_PROTO_ICMP)
		return parse_icmp(bytes, PACKET_ICMP, packet);
	packet->kind = PACKET_OTHER;
	return REASON_NONE;
}

/* An IPv4-mapped address on the wire would pass for an IPv4 one everywhere in here (ip_addr.h), so it is refused at the
 * gate, as source and as destination (RFC 4942 section 2.2). The unspecified source is for ND alone. */
static inline bool
ipv6_is_martian(const struct packet *packet, uint8_t protocol)
{
	const struct ip_addr *source = &packet->source;

	if (source->bytes[0] == 0xff || ip_addr_is_v4(&packet->destination))
		return true;
	if (source->longs[0] != 0)
		return false;
	if (source->longs[1] == 0)
		return protocol != IP_PROTO_ICMP6;
	return ip_addr_is_v4(source) || (source->words[2] == 0 && source->words[3] == htonl(1));
}

static inline enum reason
parse_ipv6(const uint8_t *bytes, uint32_t length, bool checksummed, struct packet *packet)
{
	const uint8_t *ip = bytes + packet->l3;
	uint32_t room = length - packet->l3, payload;

	if (room < IPV6_LENGTH)
		return REASON_FRAME_SHORT;
	if (ip[0] >> 4 != 6)
		return REASON_IP_VERSION;
	payload = ntohs(load_16(ip + 4));
	if (payload > room - IPV6_LENGTH)
		return REASON_IP_LENGTH;
	switch (ip[6]) {
	case IPV6_HOP_BY_HOP:
	case IPV6_ROUTING:
	case IPV6_DESTINATION:
		return REASON_IP_OPTIONS;
	case IPV6_FRAGMENT:
		return REASON_IP_FRAGMENT;
	}
	memcpy(packet->source.bytes, ip + 8, sizeof(packet->source.bytes));
	memcpy(packet->destination.bytes, ip + 24, sizeof(packet->destination.bytes));
	if (ipv6_is_martian(packet, ip[6]))
		return REASON_IP_MARTIAN;

	packet->v4 = false;
	packet->dscp = (uint8_t)(ip[0] << 4 | ip[1] >> 4) & 0xfc;
	packet->hop_limit = ip[7];
	packet->l4 = packet->l3 + IPV6_LENGTH;
	packet->l4_length = (uint16_t)payload;
	if (ip[6] == IP_PROTO_TCP)
		return parse_tcp(bytes, checksummed, packet);
	if (ip[6] == IP_PROTO_ICMP6)
		return parse_icmp(bytes, PACKET_ICMP6, packet);
	packet->kind = PACKET_OTHER;
	return REASON_NONE;
}

static inline enum reason
parse_frame(const uint8_t *bytes, uint32_t length, bool checksummed, bool stripped, struct packet *packet)
{
	uint32_t l3 = ETHER_LENGTH;
	uint16_t ethertype;

	if (length < ETHER_LENGTH)
		return REASON_FRAME_SHORT;
	packet->l2_unicast = !(bytes[0] & 1);
	/* Answers to strangers go back to where the frame came from; a group there would make us an amplifier. */
	if (bytes[6] & 1)
		return REASON_IP_MARTIAN;
	ethertype = load_16(bytes + 12);
	if (ethertype == htons(ETHER_TYPE_VLAN) && !stripped) {
		l3 += ETHER_VLAN_LENGTH;
		if (length < l3)
			return REASON_FRAME_SHORT;
		packet->vlan = ntohs(load_16(bytes + 14)) & ETHER_VLAN_MASK;
		ethertype = load_16(bytes + 16);
	}
	packet->l3 = (uint16_t)l3;

	if (ethertype == htons(ETHER_TYPE_IPV4))
		return parse_ipv4(bytes, length, checksummed, packet);
	if (ethertype == htons(ETHER_TYPE_IPV6))
		return parse_ipv6(bytes, length, checksummed, packet);
	if (ethertype != htons(ETHER_TYPE_ARP))
		return REASON_ETHERTYPE_UNKNOWN;
	if (length - l3 < ARP_LENGTH)
		return REASON_ARP_MALFORMED;
	packet->kind = PACKET_ARP;
	return REASON_NONE;
}

void
packet_parse(const uint8_t *bytes, uint32_t length, uint32_t total, bool checksummed, uint16_t vlan_stripped,
	     struct packet *packet)
{
	enum reason reason;

	packet->kind = PACKET_BAD;
	bool stripped = vlan_stripped != PACKET_NO_TAG;
	packet->vlan = stripped ? vlan_stripped & ETHER_VLAN_MASK : 0;
	reason = total == length ? parse_frame(bytes, length, checksummed, stripped, packet) : REASON_FRAME_SEGMENTED;
	packet->reason = (uint8_t)reason;
}
