/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/ether.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>

#include "dataplane/worker.h"

const uint8_t ether_broadcast[ETHER_ADDRESS_LENGTH] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void
ether_group_v6(const struct ip_addr *group, uint8_t mac[ETHER_ADDRESS_LENGTH])
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group->bytes + 12, 4);
}

uint8_t
ether_write(uint8_t *header, const struct net_port *port, const uint8_t destination[ETHER_ADDRESS_LENGTH],
	    uint16_t type)
{
	uint16_t words[3] = {htons(ETHER_TYPE_VLAN), htons(port->vlan), htons(type)};

	memcpy(header, destination, ETHER_ADDRESS_LENGTH);
	memcpy(header + ETHER_ADDRESS_LENGTH, port->mac, ETHER_ADDRESS_LENGTH);
	if (port->vlan == 0) {
		memcpy(header + 12, &words[2], 2);
		return ETHER_LENGTH;
	}
	memcpy(header + 12, words, sizeof(words));
	return ETHER_LENGTH + ETHER_VLAN_LENGTH;
}

struct rte_mbuf *
ether_frame(struct worker *worker, uint8_t port, const uint8_t destination[ETHER_ADDRESS_LENGTH], uint16_t type,
	    uint16_t length, uint8_t **body)
{
	const struct net_port *from = &worker->net->ports[port];
	struct rte_mbuf *mbuf = worker_mbuf(worker);
	uint8_t *frame;

	if (mbuf == NULL)
		return NULL;
	frame = (uint8_t *)rte_pktmbuf_append(mbuf, from->header_length + length);
	if (frame == NULL) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return NULL;
	}
	*body = frame + ether_write(frame, from, destination, type);
	return mbuf;
}

uint8_t *
ether_turn(struct rte_mbuf *mbuf, uint16_t l3, const struct net_port *port,
	   const uint8_t destination[ETHER_ADDRESS_LENGTH], uint16_t type)
{
	uint8_t *frame;

	rte_pktmbuf_adj(mbuf, l3);
	frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, port->header_length);
	return frame ? frame + ether_write(frame, port, destination, type) : NULL;
}
