/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/icmp.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/ether.h"
#include "dataplane/host.h"
#include "dataplane/load.h"
#include "dataplane/nd.h"
#include "dataplane/worker.h"

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_FRAGMENTATION_NEEDED = 4, /* code */
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP_HEADER = 8,
	ICMP_HOP_LIMIT = 64,
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
	if (quote->local_addr == NET_ADDRESS_NONE)
		return false;
	tcp = frame + quote->l4;
	quote->local_port = load_16(tcp);
	quote->peer_port = load_16(tcp + 2);
	quote->seq = ntohl(load_32(tcp + 4));
	return true;
}

/* The same bytes back to where they came from: the header's checksums change by what changes in it. */
static void
echo(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, uint8_t reply)
{
	const struct net_port *port = &worker->net->ports[packet->port];
	uint16_t header = packet->l4 - packet->l3, type, old, checksum;
	uint8_t peer[ETHER_ADDRESS_LENGTH], *ip, *icmp;

	memcpy(peer, rte_pktmbuf_mtod(mbuf, uint8_t *) + ETHER_ADDRESS_LENGTH, sizeof(peer));
	rte_pktmbuf_trim(mbuf, mbuf->data_len - packet->l4 - packet->l4_length);
	ip = ether_turn(mbuf, packet->l3, port, peer, packet->v4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6);
	if (ip == NULL) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	if (packet->v4) {
		memcpy(ip + 12, &packet->destination.words[3], 4);
		memcpy(ip + 16, &packet->source.words[3], 4);
		ip[8] = ICMP_HOP_LIMIT;
		memset(ip + 10, 0, 2);
		checksum = checksum_ipv4_header(ip, IPV4_HEADER);
		memcpy(ip + 10, &checksum, 2);
	} else {
		memcpy(ip + 8, packet->destination.bytes, 16);
		memcpy(ip + 24, packet->source.bytes, 16);
		ip[7] = ICMP_HOP_LIMIT;
	}
	/* Addresses that change places leave the pseudo-header's sum as it is. */
	icmp = ip + header;
	old = load_16(icmp);
	icmp[0] = reply;
	type = load_16(icmp);
	checksum = checksum_apply(load_16(icmp + 2), checksum_delta_16(0, old, type));
	memcpy(icmp + 2, &checksum, 2);
	worker->stats->echo_replies++;
	worker_transmit(worker, port->device, mbuf);
}

static bool
is_for_us(const struct worker *worker, const struct packet *packet)
{
	return net_address_find(worker->net, &packet->destination) != NET_ADDRESS_NONE ||
	       ip_addr_equal(&packet->destination, &worker->net->ports[packet->port].link_local_addr);
}

void
icmp_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *), *icmp = frame + packet->l4;
	struct icmp_quote quote;

	if (!packet->v4 && nd_is_type(icmp[0])) {
		nd_input(worker, packet, mbuf, false);
		return;
	}
	/* A group is never answered: it would multiply (RFC 1122 section 3.2.2.6). */
	if (!packet->l2_unicast || !is_for_us(worker, packet)) {
		worker_drop(worker, mbuf, packet->l2_unicast ? REASON_IP_NOT_OURS : REASON_ICMP_IGNORED);
		return;
	}
	if (icmp[0] == (packet->v4 ? ICMP4_ECHO : ICMP6_ECHO) && icmp[1] == 0)
		echo(worker, packet, mbuf, packet->v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY);
	else if (icmp_quote_parse(worker->net, frame, packet, &quote))
		icmp_error_input(worker, packet, &quote, mbuf);
	else
		host_deliver(worker, packet, mbuf, REASON_ICMP_IGNORED);
}
