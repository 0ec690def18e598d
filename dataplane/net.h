/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the box is to its networks: devices, ports (a device and a VLAN), our addresses, routes. Made once at start from
 * postern.conf, immutable afterwards, shared by all workers.
 *
 * A port is an index in net.ports, an address an index in net.addresses; flow records hold the latter. Indices follow
 * the order of postern.conf.
 */
#ifndef POSTERN_DATAPLANE_NET_H
#define POSTERN_DATAPLANE_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "platform/conf.h"
#include "platform/ip_addr.h"

enum { NET_DEVICES_MAX = 2 * CONF_PORTS_MAX, NET_PORT_NONE = 0xff, NET_ADDRESS_NONE = 0xffff };

struct rte_mbuf;

/* Where frames come from and go to: a DPDK port (port.h), or a simulated one. Calls are made by one worker at a time
 * for each queue. rx fills at most n mbufs that the caller then owns; tx takes the first of n mbufs and returns how
 * many. */
struct device {
	uint16_t (*rx)(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);
	uint16_t (*tx)(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);
	void *context;
	uint16_t id;        /* DPDK's port id */
	uint16_t rx_queues; /* worker i polls queue i when i < rx_queues */
	uint16_t tx_queues; /* worker i sends by queue i; one without has worker 0 send for it, over its inbox */
	uint8_t mac[6];
	bool is_tap;         /* leads to the host */
	bool rx_checksummed; /* the device verifies TCP checksums and says so in ol_flags */
};

struct net_port {
	const struct conf_port *conf;
	uint8_t device; /* index in net.devices */
	uint8_t tap;    /* index in net.devices of the tap to the host; NET_PORT_NONE: none */
	uint16_t vlan;  /* 0: untagged */
	uint16_t mtu;
	uint8_t header_length; /* of Ethernet: 14, or 18 with a VLAN tag */
	uint8_t mac[6];
	uint8_t link_local;             /* 1: link_local_addr is set */
	struct ip_addr link_local_addr; /* fe80::/64 from the MAC (RFC 4291 appendix A), for ND */
};

struct net_address {
	struct ip_addr addr;
	uint8_t length; /* of the on-link prefix */
	uint8_t port;
};

struct net_route {
	struct ip_prefix to;
	struct ip_addr via; /* all zero: on-link */
	uint8_t port;
};

struct net {
	struct device *devices[NET_DEVICES_MAX];
	struct net_port ports[CONF_PORTS_MAX];
	struct net_address addresses[CONF_ADDRESSES_MAX];
	struct net_route routes[CONF_ROUTES_MAX + CONF_ADDRESSES_MAX]; /* longest prefix first */
	uint8_t n_devices, n_ports;
	uint16_t n_addresses, n_routes;
	uint16_t address_hash[256]; /* open addressing over addresses: index + 1, 0 empty */
};

/* Fills *net from conf: ports, addresses, routes, on-link ones included. devices[i] is the device of conf port i
 * (several ports may share one, with different VLANs), taps[i] its tap or NULL. The devices stay the caller's. */
void net_init(struct net *net, const struct conf *conf, struct device *const *devices, struct device *const *taps);

static inline unsigned
net_address_slot(const struct ip_addr *addr)
{
	/* Our own addresses aren't chosen by strangers: a plain multiplicative hash will do. */
	return (unsigned)(((addr->longs[0] ^ addr->longs[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* Index of one of our own addresses, or NET_ADDRESS_NONE. */
static inline uint16_t
net_address_find(const struct net *net, const struct ip_addr *addr)
{
	unsigned slot = net_address_slot(addr);

	for (; net->address_hash[slot] != 0; slot = (slot + 1) & 0xff)
		if (ip_addr_equal(&net->addresses[net->address_hash[slot] - 1].addr, addr))
			return net->address_hash[slot] - 1;
	return NET_ADDRESS_NONE;
}

/* The port of a frame that arrived on a device with a VLAN tag (0: none), or NET_PORT_NONE. */
static inline uint8_t
net_port_find(const struct net *net, uint8_t device, uint16_t vlan)
{
	for (uint8_t i = 0; i < net->n_ports; i++)
		if (net->ports[i].device == device && net->ports[i].vlan == vlan)
			return i;
	return NET_PORT_NONE;
}
/* The next hop towards destination: true and *port, *via (the destination itself when on-link). */
bool net_route_find(const struct net *net, const struct ip_addr *destination, uint8_t *port, struct ip_addr *via);
/* Our address to speak from through port to a next hop: the one whose on-link prefix holds via, else the port's first
 * of that family; or NET_ADDRESS_NONE. */
uint16_t net_source(const struct net *net, uint8_t port, const struct ip_addr *via);
/* Whether addr lies in the on-link prefix of one of port's addresses. */
bool net_on_link(const struct net *net, uint8_t port, const struct ip_addr *addr);

/* Whether addr is the broadcast address of one of our IPv4 networks, or the network's own (RFC 1122 section 3.2.1.3):
 * no packet can come from there. */
bool net_is_broadcast(const struct net *net, const struct ip_addr *addr);

/* Whether port listens to a group address: broadcast, all IPv6 nodes, the solicited-node groups of its addresses (RFC
 * 4291 section 2.7.1). */
bool net_group_wanted(const struct net *net, uint8_t port, const uint8_t mac[6]);

/* Whether a frame to mac is for port at all: what isn't is REASON_MAC_NOT_OURS. */
static inline bool
net_accepts(const struct net *net, uint8_t port, const uint8_t mac[6])
{
	if (memcmp(mac, net->ports[port].mac, 6) == 0)
		return true;
	return (mac[0] & 1) && net_group_wanted(net, port, mac);
}

#endif
