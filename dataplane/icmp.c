/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/icmp.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/ether.h"
#include "dataplane/host.h"
#include "dataplane/icmp_quote.h"
#include "dataplane/load.h"
#include "dataplane/nd.h"
#include "dataplane/worker.h"

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_ECHO = 8,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP_HOP_LIMIT = 64,
	IPV4_HEADER = 20
};

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
	/* Answers would go to ourselves, to nobody, or to all of a network. */
	if (net_address_find(worker->net, &packet->source) != NET_ADDRESS_NONE) {
		worker_drop(worker, mbuf, REASON_IP_LAND);
		return;
	}
	if ((packet->source.longs[0] | packet->source.longs[1]) == 0 ||
	    net_is_broadcast(worker->net, &packet->source)) {
		worker_drop(worker, mbuf, REASON_IP_MARTIAN);
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
