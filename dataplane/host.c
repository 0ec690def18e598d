/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/host.h"

#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/ether.h"
#include "dataplane/worker.h"

enum { ETHER_ADDRESSES = 2 * ETHER_ADDRESS_LENGTH };

static void
deliver(struct worker *worker, const struct packet *packet, uint8_t tap, struct rte_mbuf *mbuf)
{
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);

	if (packet->l3 == ETHER_LENGTH + ETHER_VLAN_LENGTH) {
		memmove(frame + ETHER_VLAN_LENGTH, frame, ETHER_ADDRESSES);
		rte_pktmbuf_adj(mbuf, ETHER_VLAN_LENGTH);
	}
	worker->stats->to_host++;
	worker_transmit(worker, tap, mbuf);
}

void
host_deliver(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, enum reason reason)
{
	uint8_t tap = worker->net->ports[packet->port].tap;

	if (tap == NET_PORT_NONE)
		worker_drop(worker, mbuf, reason);
	else
		deliver(worker, packet, tap, mbuf);
}

void
host_copy(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf)
{
	uint8_t tap = worker->net->ports[packet->port].tap;
	struct rte_mbuf *copy;

	if (tap == NET_PORT_NONE)
		return;
	copy = rte_pktmbuf_copy(mbuf, worker->pool, 0, UINT32_MAX);
	if (copy)
		deliver(worker, packet, tap, copy);
	else
		worker_count(worker, REASON_PACKET_POOL_EMPTY);
}

static const struct net_port *
port_of_tap(const struct net *net, uint8_t tap)
{
	const struct net_port *port = net->ports;

	while (port->tap != tap)
		port++;
	return port;
}

void
host_forward(struct worker *worker, uint8_t tap, struct rte_mbuf **mbufs, uint16_t n)
{
	const struct net_port *port = port_of_tap(worker->net, tap);
	uint16_t i;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = mbufs[i];
		uint8_t addresses[ETHER_ADDRESSES], *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
		uint16_t tag[2];

		if (mbuf->data_len < ETHER_LENGTH) {
			worker_drop(worker, mbuf, REASON_FRAME_SHORT);
			continue;
		}
		worker->stats->from_host++;
		if (port->vlan != 0) {
			memcpy(addresses, frame, sizeof(addresses));
			frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, ETHER_VLAN_LENGTH);
			if (frame == NULL) {
				worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
				continue;
			}
			tag[0] = rte_cpu_to_be_16(ETHER_TYPE_VLAN);
			tag[1] = rte_cpu_to_be_16(port->vlan);
			memcpy(frame, addresses, sizeof(addresses));
			memcpy(frame + sizeof(addresses), tag, sizeof(tag));
		}
		worker_transmit(worker, port->device, mbuf);
	}
}
