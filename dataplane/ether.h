/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet II headers, with and without one 802.1Q tag. A port with a VLAN writes the tag into the frame; no offload is
 * asked for, because half of the drivers have none.
 */
#ifndef POSTERN_DATAPLANE_ETHER_H
#define POSTERN_DATAPLANE_ETHER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/net.h"
#include "platform/ip_addr.h"

struct rte_mbuf;
struct worker;

enum {
	ETHER_ADDRESS_LENGTH = 6,
	ETHER_LENGTH = 14,
	ETHER_VLAN_LENGTH = 4,
	ETHER_VLAN_MASK = 0xfff,
	ETHER_TYPE_IPV4 = 0x0800,
	ETHER_TYPE_ARP = 0x0806,
	ETHER_TYPE_VLAN = 0x8100,
	ETHER_TYPE_IPV6 = 0x86dd
};

extern const uint8_t ether_broadcast[ETHER_ADDRESS_LENGTH];

/* The group of an IPv6 multicast address, RFC 2464 section 7. */
void ether_group_v6(const struct ip_addr *group, uint8_t mac[ETHER_ADDRESS_LENGTH]);

/* Whether mac can be one station's: neither a group nor all zero. */
static inline bool
ether_is_station(const uint8_t mac[ETHER_ADDRESS_LENGTH])
{
	static const uint8_t zero[ETHER_ADDRESS_LENGTH];

	return !(mac[0] & 1) && memcmp(mac, zero, sizeof(zero)) != 0;
}

/* Writes the header of a frame from port; type in host order. Returns its length, 14 or 18. */
uint8_t ether_write(uint8_t *header, const struct net_port *port, const uint8_t destination[ETHER_ADDRESS_LENGTH],
		    uint16_t type);

/* A fresh frame from port with room for length bytes behind its Ethernet header, which are *body. NULL when there is no
 * packet buffer (counted). */
struct rte_mbuf *ether_frame(struct worker *worker, uint8_t port, const uint8_t destination[ETHER_ADDRESS_LENGTH],
			     uint16_t type, uint16_t length, uint8_t **body);

/* Replaces the first l3 bytes of a received frame by a header from port to destination. Returns what is behind it, or
 * NULL when the buffer has no room (the frame is then without header, only good to be dropped). */
uint8_t *ether_turn(struct rte_mbuf *mbuf, uint16_t l3, const struct net_port *port,
		    const uint8_t destination[ETHER_ADDRESS_LENGTH], uint16_t type);

#endif
