/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nd.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/arp.h"
#include "dataplane/checksum.h"
#include "dataplane/ether.h"
#include "dataplane/host.h"
#include "dataplane/nd_parse.h"
#include "dataplane/neighbour.h"
#include "dataplane/worker.h"

enum {
	ND_LENGTH = 24,    /* of a solicitation or advertisement without options */
	ND_OPTION_MAC = 8, /* a link-layer address option for Ethernet */
	ND_HOP_LIMIT = 255,
	ND_SOURCE_MAC = 1,
	ND_TARGET_MAC = 2
};

/* What we send: IPv6 header, message, one option. As it stands in the frame. */
struct nd_message {
	uint8_t version[4];
	uint16_t payload_length;
	uint8_t next_header, hop_limit;
	struct ip_addr source, destination;
	uint8_t type, code;
	uint16_t checksum;
	uint8_t flags[4];
	struct ip_addr target;
	uint8_t option, option_length, mac[ETHER_ADDRESS_LENGTH];
} __attribute__((packed, aligned(8)));

enum { ND_MESSAGE = 40 + ND_LENGTH + ND_OPTION_MAC };

static_assert(sizeof(struct nd_message) == ND_MESSAGE, "without padding");

static const struct ip_addr all_nodes = {.bytes = {0xff, 0x02, [15] = 1}};

static void
message_write(uint8_t *body, uint8_t type, uint8_t flags, const struct ip_addr *source,
	      const struct ip_addr *destination, const struct ip_addr *target, const uint8_t mac[6])
{
	struct nd_message message = {.version = {0x60},
				     .payload_length = htons(ND_LENGTH + ND_OPTION_MAC),
				     .next_header = IP_PROTO_ICMP6,
				     .hop_limit = ND_HOP_LIMIT,
				     .source = *source,
				     .destination = *destination,
				     .type = type,
				     .flags = {flags},
				     .target = *target,
				     .option = type == ND_SOLICITATION ? ND_SOURCE_MAC : ND_TARGET_MAC,
				     .option_length = 1};

	memcpy(message.mac, mac, sizeof(message.mac));
	message.checksum = (uint16_t)~checksum_fold(
		checksum_pseudo(source, destination, IP_PROTO_ICMP6, ND_LENGTH + ND_OPTION_MAC) +
		checksum_sum(&message.type, ND_LENGTH + ND_OPTION_MAC));
	memcpy(body, &message, sizeof(message));
}

/* Our address to ask from: of the target's scope where there is a choice. */
static const struct ip_addr *
source_for(const struct net *net, uint8_t port, const struct ip_addr *target)
{
	uint16_t source = net_source(net, port, target);

	if (source == NET_ADDRESS_NONE || (target->bytes[0] == 0xfe && (target->bytes[1] & 0xc0) == 0x80))
		return &net->ports[port].link_local_addr;
	return &net->addresses[source].addr;
}

void
nd_solicit(struct worker *worker, uint8_t port, const struct ip_addr *target, const uint8_t *mac)
{
	struct ip_addr destination = mac ? *target : nd_solicited_node(target);
	const struct net_port *from = &worker->net->ports[port];
	uint8_t group[ETHER_ADDRESS_LENGTH], *body;
	struct rte_mbuf *mbuf;

	ether_group_v6(&destination, group);
	mbuf = ether_frame(worker, port, mac ? mac : group, ETHER_TYPE_IPV6, ND_MESSAGE, &body);
	if (mbuf == NULL)
		return;
	message_write(body, ND_SOLICITATION, 0, source_for(worker->net, port, target), &destination, target, from->mac);
	worker->stats->nd_solicitations++;
	worker_transmit(worker, from->device, mbuf);
}

static void
announce(struct worker *worker, uint8_t port, const struct ip_addr *addr)
{
	const struct net_port *from = &worker->net->ports[port];
	uint8_t group[ETHER_ADDRESS_LENGTH], *body;
	struct rte_mbuf *mbuf;

	ether_group_v6(&all_nodes, group);
	mbuf = ether_frame(worker, port, group, ETHER_TYPE_IPV6, ND_MESSAGE, &body);
	if (mbuf == NULL)
		return;
	message_write(body, ND_ADVERTISEMENT, ND_FLAG_OVERRIDE, addr, &all_nodes, addr, from->mac);
	worker->stats->nd_advertisements++;
	worker_transmit(worker, from->device, mbuf);
}

void
nd_announce(struct worker *worker)
{
	const struct net *net = worker->net;
	uint16_t i;

	for (i = 0; i < net->n_addresses; i++)
		if (!ip_addr_is_v4(&net->addresses[i].addr))
			announce(worker, net->addresses[i].port, &net->addresses[i].addr);
}

/* Our own copy of addr at port, or NULL. */
static const struct ip_addr *
ours_at(const struct net *net, uint8_t port, const struct ip_addr *addr)
{
	uint16_t index = net_address_find(net, addr);

	if (index != NET_ADDRESS_NONE && net->addresses[index].port == port)
		return &net->addresses[index].addr;
	return ip_addr_equal(addr, &net->ports[port].link_local_addr) ? &net->ports[port].link_local_addr : NULL;
}

static void
conflict(struct worker *worker, uint8_t port, const struct ip_addr *ours)
{
	worker->stats->address_conflicts++;
	if (worker->defended_ms != 0 && worker->now_ms - worker->defended_ms < ARP_DEFEND_INTERVAL_MS)
		return;
	worker->defended_ms = worker->now_ms;
	announce(worker, port, ours);
}

static void
answer(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, const struct nd *nd,
       const struct ip_addr *ours)
{
	const struct net_port *port = &worker->net->ports[packet->port];
	const struct ip_addr *destination = nd->probe ? &all_nodes : &packet->source;
	uint8_t peer[ETHER_ADDRESS_LENGTH], *body;
	uint16_t room = mbuf->data_len - packet->l3;

	if (nd->probe)
		ether_group_v6(&all_nodes, peer);
	else
		memcpy(peer, rte_pktmbuf_mtod(mbuf, uint8_t *) + ETHER_ADDRESS_LENGTH, sizeof(peer));
	if (room > ND_MESSAGE)
		rte_pktmbuf_trim(mbuf, room - ND_MESSAGE);
	else if (room < ND_MESSAGE && rte_pktmbuf_append(mbuf, ND_MESSAGE - room) == NULL) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	body = ether_turn(mbuf, packet->l3, port, peer, ETHER_TYPE_IPV6);
	if (body == NULL) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	message_write(body, ND_ADVERTISEMENT, ND_FLAG_OVERRIDE | (nd->probe ? 0 : ND_FLAG_SOLICITED), ours, destination,
		      ours, port->mac);
	worker->stats->nd_advertisements++;
	worker_transmit(worker, port->device, mbuf);
}

static void
input_solicitation(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, const struct nd *nd,
		   bool learn_only)
{
	const struct ip_addr *ours = ours_at(worker->net, packet->port, &nd->target);

	if (ours == NULL || ours_at(worker->net, packet->port, &packet->source)) {
		worker_drop(worker, mbuf, REASON_ND_UNSOLICITED);
		return;
	}
	if (nd->mac != 0) {
		if (!learn_only)
			neighbour_share(worker, mbuf);
		neighbour_learn(worker, packet->port, &packet->source,
				rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, nd->mac), false, true);
	}
	if (learn_only)
		rte_pktmbuf_free(mbuf);
	else
		answer(worker, packet, mbuf, nd, ours);
}

static void
input_advertisement(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, const struct nd *nd,
		    bool learn_only)
{
	const struct ip_addr *ours = ours_at(worker->net, packet->port, &nd->target);
	bool useful;

	if (ours) {
		if (!learn_only)
			conflict(worker, packet->port, ours);
		worker_drop(worker, mbuf, REASON_ND_UNSOLICITED);
		return;
	}
	/* It is said to us, or to all; or to an address that only the host has. */
	if (!ip_addr_equal(&packet->destination, &all_nodes) &&
	    ours_at(worker->net, packet->port, &packet->destination) == NULL) {
		host_deliver(worker, packet, mbuf, REASON_IP_NOT_OURS);
		return;
	}
	if (!learn_only) {
		neighbour_share(worker, mbuf);
		host_copy(worker, packet, mbuf);
	}
	const uint8_t *mac = nd->mac == 0 ? NULL : rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, nd->mac);
	useful = neighbour_learn(worker, packet->port, &nd->target, mac, nd->flags & ND_FLAG_SOLICITED,
				 nd->flags & ND_FLAG_OVERRIDE);
	/* The worker that got the frame itself has counted it. */
	if (useful || learn_only)
		rte_pktmbuf_free(mbuf);
	else
		worker_drop(worker, mbuf, REASON_ND_UNSOLICITED);
}

void
nd_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, bool learn_only)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	enum reason reason;
	struct nd nd;

	reason = nd_parse(frame, packet, &nd);
	/* Our own, come back over a loop in the network. */
	if (reason == REASON_NONE &&
	    memcmp(frame + ETHER_ADDRESS_LENGTH, worker->net->ports[packet->port].mac, ETHER_ADDRESS_LENGTH) == 0)
		reason = REASON_ND_UNSOLICITED;
	if (reason != REASON_NONE)
		worker_drop(worker, mbuf, reason);
	else if (nd.type == ND_SOLICITATION)
		input_solicitation(worker, packet, mbuf, &nd, learn_only);
	else
		input_advertisement(worker, packet, mbuf, &nd, learn_only);
}
