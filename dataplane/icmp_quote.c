/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/icmp_quote.h"

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/load.h"
#include "dataplane/net.h"
#include "dataplane/packet.h"

enum {
	ICMP4_UNREACHABLE = 3,
	ICMP4_FRAGMENTATION_NEEDED = 4, /* code */
	ICMP4_TIME_EXCEEDED = 11,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP_HEADER = 8,
	QUOTE_TCP_MIN = 8, /* ports and sequence number, RFC 792 */
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	IPV4_OFFSET_MASK = 0x1fff
};

/* What kind of error it is, its code and MTU; false for what is none. */
static bool
error_parse(const uint8_t *icmp, bool v4, struct icmp_quote *quote)
{
	uint32_t mtu;

	quote->code = icmp[1];
	quote->mtu = 0;
	if (v4 && icmp[0] == ICMP4_UNREACHABLE && icmp[1] == ICMP4_FRAGMENTATION_NEEDED) {
		quote->error = ICMP_TOO_BIG;
		quote->mtu = ntohs(load_16(icmp + 6));
	} else if (!v4 && icmp[0] == ICMP6_TOO_BIG) {
		quote->error = ICMP_TOO_BIG;
		mtu = ntohl(load_32(icmp + 4));
		quote->mtu = mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
	} else if (icmp[0] == (v4 ? ICMP4_UNREACHABLE : ICMP6_UNREACHABLE)) {
		quote->error = ICMP_UNREACHABLE;
	} else if (icmp[0] == (v4 ? ICMP4_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED)) {
		quote->error = ICMP_TIME_EXCEEDED;
	} else {
		return false;
	}
	return true;
}

/* The quoted IP header. We send none with options, and no fragments. */
static bool
quoted_ip_parse(const uint8_t *ip, uint32_t room, bool v4, struct ip_addr *source, struct icmp_quote *quote)
{
	if (v4) {
		if (room < IPV4_HEADER + QUOTE_TCP_MIN || ip[0] != 0x45 || ip[9] != IP_PROTO_TCP ||
		    (load_16(ip + 6) & htons(IPV4_OFFSET_MASK)) != 0)
			return false;
		*source = ip_addr_from_v4(load_32(ip + 12));
		quote->peer = ip_addr_from_v4(load_32(ip + 16));
		quote->l4 = quote->l3 + IPV4_HEADER;
		quote->l4_length = (uint16_t)(room - IPV4_HEADER);
		return true;
	}
	if (room < IPV6_HEADER + QUOTE_TCP_MIN || ip[0] >> 4 != 6 || ip[6] != IP_PROTO_TCP)
		return false;
	memcpy(source->bytes, ip + 8, sizeof(source->bytes));
	memcpy(quote->peer.bytes, ip + 24, sizeof(quote->peer.bytes));
	quote->l4 = quote->l3 + IPV6_HEADER;
	quote->l4_length = (uint16_t)(room - IPV6_HEADER);
	return !ip_addr_is_v4(source) && !ip_addr_is_v4(&quote->peer);
}

bool
icmp_quote_parse(const struct net *net, const uint8_t *frame, const struct packet *packet, struct icmp_quote *quote)
{
	struct ip_addr source;
	const uint8_t *tcp;

	if (!error_parse(frame + packet->l4, packet->v4, quote))
		return false;
	quote->l3 = packet->l4 + ICMP_HEADER;
	if (!quoted_ip_parse(frame + quote->l3, packet->l4_length - ICMP_HEADER, packet->v4, &source, quote))
		return false;
	quote->local_addr = net_address_find(net, &source);
	if (quote->local_addr == NET_ADDRESS_NONE || !ip_addr_equal(&source, &packet->destination))
		return false;
	tcp = frame + quote->l4;
	quote->local_port = load_16(tcp);
	quote->peer_port = load_16(tcp + 2);
	quote->seq = ntohl(load_32(tcp + 4));
	return true;
}
