/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/arp.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/arp_parse.h"
#include "dataplane/ether.h"
#include "dataplane/host.h"
#include "dataplane/neighbour.h"
#include "dataplane/worker.h"

enum { ARP_HARDWARE_ETHERNET = 1, ARP_REQUEST = 1, ARP_REPLY = 2 };

/* What we send, as it stands in the frame. */
struct arp {
	uint16_t hardware, protocol;
	uint8_t hardware_length, protocol_length;
	uint16_t operation;
	uint8_t sender_mac[ETHER_ADDRESS_LENGTH], sender[4];
	uint8_t target_mac[ETHER_ADDRESS_LENGTH], target[4];
};

static_assert(sizeof(struct arp) == ARP_LENGTH, "RFC 826, without padding");

static void
arp_write(uint8_t *body, uint16_t operation, const uint8_t sender_mac[6], const struct ip_addr *sender,
	  const uint8_t *target_mac, const uint8_t target[4])
{
	struct arp arp = {.hardware = htons(ARP_HARDWARE_ETHERNET),
			  .protocol = htons(ETHER_TYPE_IPV4),
			  .hardware_length = ETHER_ADDRESS_LENGTH,
			  .protocol_length = 4,
			  .operation = htons(operation)};

	memcpy(arp.sender_mac, sender_mac, sizeof(arp.sender_mac));
	memcpy(arp.sender, &sender->words[3], sizeof(arp.sender));
	if (target_mac)
		memcpy(arp.target_mac, target_mac, sizeof(arp.target_mac));
	memcpy(arp.target, target, sizeof(arp.target));
	memcpy(body, &arp, sizeof(arp));
}

static void
request(struct worker *worker, uint8_t port, const struct ip_addr *sender, const struct ip_addr *target,
	const uint8_t *mac)
{
	struct rte_mbuf *mbuf;
	uint8_t *body;

	mbuf = ether_frame(worker, port, mac ? mac : ether_broadcast, ETHER_TYPE_ARP, ARP_LENGTH, &body);
	if (mbuf == NULL)
		return;
	arp_write(body, ARP_REQUEST, worker->net->ports[port].mac, sender, mac, target->bytes + 12);
	worker->stats->arp_requests++;
	worker_transmit(worker, worker->net->ports[port].device, mbuf);
}

void
arp_request(struct worker *worker, uint8_t port, const struct ip_addr *target, const uint8_t *mac)
{
	uint16_t source = net_source(worker->net, port, target);

	if (source != NET_ADDRESS_NONE)
		request(worker, port, &worker->net->addresses[source].addr, target, mac);
}

/* An announcement is a request for our own address, by ourselves. */
static void
announce(struct worker *worker, const struct net_address *address)
{
	request(worker, address->port, &address->addr, &address->addr, NULL);
}

void
arp_announce(struct worker *worker)
{
	uint16_t i;

	for (i = 0; i < worker->net->n_addresses; i++)
		if (ip_addr_is_v4(&worker->net->addresses[i].addr))
			announce(worker, &worker->net->addresses[i]);
}

static void
conflict(struct worker *worker, const struct net_address *address)
{
	worker->stats->address_conflicts++;
	if (worker->defended_ms != 0 && worker->now_ms - worker->defended_ms < ARP_DEFEND_INTERVAL_MS)
		return;
	worker->defended_ms = worker->now_ms;
	announce(worker, address);
}

static void
answer(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, const struct arp_claim *claim,
       const struct ip_addr *ours)
{
	const struct net_port *port = &worker->net->ports[packet->port];
	uint8_t *body;

	rte_pktmbuf_trim(mbuf, mbuf->data_len - packet->l3 - ARP_LENGTH);
	body = ether_turn(mbuf, packet->l3, port, claim->sender_mac, ETHER_TYPE_ARP);
	if (body == NULL) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	arp_write(body, ARP_REPLY, port->mac, ours, claim->sender_mac, claim->sender.bytes + 12);
	worker->stats->arp_replies++;
	worker_transmit(worker, port->device, mbuf);
}

/* REASON_NONE when the claim may be listened to. */
static enum reason
check(const struct worker *worker, uint8_t port, const struct arp_claim *claim)
{
	/* Our own, come back over a loop in the network. */
	if (memcmp(claim->sender_mac, worker->net->ports[port].mac, ETHER_ADDRESS_LENGTH) == 0)
		return REASON_ARP_UNSOLICITED;
	return claim->probe || net_on_link(worker->net, port, &claim->sender) ? REASON_NONE : REASON_ARP_UNSOLICITED;
}

void
arp_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, bool learn_only)
{
	const struct net *net = worker->net;
	struct arp_claim claim;
	uint16_t ours, claimed;
	enum reason reason;
	bool useful;

	reason = arp_parse(rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, packet->l3), &claim);
	if (reason == REASON_NONE)
		reason = check(worker, packet->port, &claim);
	if (reason != REASON_NONE) {
		worker_drop(worker, mbuf, reason);
		return;
	}

	claimed = net_address_find(net, &claim.sender);
	if (claimed != NET_ADDRESS_NONE) {
		if (!learn_only && net->addresses[claimed].port == packet->port)
			conflict(worker, &net->addresses[claimed]);
		worker_drop(worker, mbuf, REASON_ARP_UNSOLICITED);
		return;
	}
	ours = net_address_find(net, &claim.target);
	if (ours != NET_ADDRESS_NONE && net->addresses[ours].port != packet->port)
		ours = NET_ADDRESS_NONE;
	/* What others ask each other is noise, all of a segment's broadcasts of it; an announcement has target ==
	 * sender. */
	if (ours == NET_ADDRESS_NONE && !ip_addr_equal(&claim.sender, &claim.target)) {
		worker_drop(worker, mbuf, REASON_ARP_UNSOLICITED);
		return;
	}

	if (!learn_only && !claim.probe) {
		neighbour_share(worker, mbuf);
		if (!claim.request)
			host_copy(worker, packet, mbuf);
	}
	useful = !claim.probe && neighbour_learn(worker, packet->port, &claim.sender, claim.sender_mac,
						 !claim.request && ours != NET_ADDRESS_NONE, true);
	if (claim.request && ours != NET_ADDRESS_NONE && !learn_only) {
		answer(worker, packet, mbuf, &claim, &net->addresses[ours].addr);
		return;
	}
	/* The worker that got the frame itself has counted it. */
	if (useful || learn_only)
		rte_pktmbuf_free(mbuf);
	else
		worker_drop(worker, mbuf, REASON_ARP_UNSOLICITED);
}
