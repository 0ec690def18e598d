/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

static uint8_t
device_index(struct net *net, struct device *device)
{
	uint8_t i;

	for (i = 0; i < net->n_devices; i++)
		if (net->devices[i] == device)
			return i;
	net->devices[net->n_devices] = device;
	return net->n_devices++;
}

/* Modified EUI-64, RFC 4291 appendix A. */
static struct ip_addr
link_local_from_mac(const uint8_t mac[6])
{
	return (struct ip_addr){
		.bytes = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}};
}

static_assert(sizeof(((struct net *)0)->address_hash) / sizeof(uint16_t) == 256, "address_slot yields 8 bits");

static void
address_add(struct net *net, const struct ip_prefix *prefix, uint8_t port)
{
	unsigned slot = net_address_slot(&prefix->addr);

	net->addresses[net->n_addresses] = (struct net_address){prefix->addr, prefix->length, port};
	while (net->address_hash[slot] != 0)
		slot = (slot + 1) & 0xff;
	net->address_hash[slot] = ++net->n_addresses;
}

/* Longest prefix first; of equal ones the first that came, so an on-link prefix goes before a route to the same. */
static void
route_add(struct net *net, const struct ip_prefix *to, const struct ip_addr *via, uint8_t port)
{
	unsigned at = net->n_routes++;

	for (; at > 0 && net->routes[at - 1].to.length < to->length; at--)
		net->routes[at] = net->routes[at - 1];
	net->routes[at] = (struct net_route){*to, *via, port};
}

void
net_init(struct net *net, const struct conf *conf, struct device *const *devices, struct device *const *taps)
{
	static const struct ip_addr on_link;
	uint8_t i, j;

	memset(net, 0, sizeof(*net));
	net->n_ports = conf->n_ports;
	for (i = 0; i < conf->n_ports; i++) {
		const struct conf_port *from = &conf->ports[i];
		struct net_port *port = &net->ports[i];

		port->conf = from;
		port->device = device_index(net, devices[i]);
		port->tap = taps[i] ? device_index(net, taps[i]) : NET_PORT_NONE;
		port->vlan = from->vlan;
		port->mtu = from->mtu;
		port->header_length = from->vlan ? 18 : 14;
		memcpy(port->mac, devices[i]->mac, sizeof(port->mac));
		port->link_local = 1;
		port->link_local_addr = link_local_from_mac(port->mac);
		for (j = 0; j < from->n_addresses; j++) {
			address_add(net, &from->addresses[j], i);
			route_add(net, &from->addresses[j], &on_link, i);
		}
	}
	for (uint16_t r = 0; r < conf->n_routes; r++)
		route_add(net, &conf->routes[r].to, &conf->routes[r].via, conf->routes[r].port);
}

bool
net_route_find(const struct net *net, const struct ip_addr *destination, uint8_t *port, struct ip_addr *via)
{
	uint16_t i;

	for (i = 0; i < net->n_routes; i++) {
		const struct net_route *route = &net->routes[i];

		if (!ip_prefix_contains(&route->to, destination))
			continue;
		*port = route->port;
		*via = (route->via.longs[0] | route->via.longs[1]) == 0 ? *destination : route->via;
		return true;
	}
	return false;
}

bool
net_on_link(const struct net *net, uint8_t port, const struct ip_addr *addr)
{
	uint16_t i;

	for (i = 0; i < net->n_addresses; i++) {
		const struct net_address *ours = &net->addresses[i];
		struct ip_prefix prefix = {ours->addr, ours->length};

		if (ours->port == port && ip_prefix_contains(&prefix, addr))
			return true;
	}
	return false;
}

bool
net_is_broadcast(const struct net *net, const struct ip_addr *addr)
{
	if (!ip_addr_is_v4(addr))
		return false;
	for (uint16_t i = 0; i < net->n_addresses; i++) {
		const struct net_address *ours = &net->addresses[i];
		struct ip_prefix prefix = {ours->addr, ours->length};

		if (!ip_addr_is_v4(&ours->addr) || ours->length > 30 || !ip_prefix_contains(&prefix, addr))
			continue;
		uint32_t host = ntohl(addr->words[3]) & (UINT32_MAX >> ours->length);
		return host == 0 || host == UINT32_MAX >> ours->length;
	}
	return false;
}

uint16_t
net_source(const struct net *net, uint8_t port, const struct ip_addr *via)
{
	uint16_t i, first = NET_ADDRESS_NONE;
	bool v4 = ip_addr_is_v4(via);

	for (i = 0; i < net->n_addresses; i++) {
		const struct net_address *ours = &net->addresses[i];
		struct ip_prefix prefix = {ours->addr, ours->length};

		if (ours->port != port || ip_addr_is_v4(&ours->addr) != v4)
			continue;
		if (ip_prefix_contains(&prefix, via))
			return i;
		if (first == NET_ADDRESS_NONE)
			first = i;
	}
	return first;
}

bool
net_group_wanted(const struct net *net, uint8_t port, const uint8_t mac[6])
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t solicited[3] = {0x33, 0x33, 0xff};
	uint16_t i;

	if (memcmp(mac, broadcast, 6) == 0 || memcmp(mac, all_nodes, 6) == 0)
		return true;
	if (memcmp(mac, solicited, 3) != 0)
		return false;
	if (memcmp(mac + 3, net->ports[port].link_local_addr.bytes + 13, 3) == 0)
		return true;
	for (i = 0; i < net->n_addresses; i++) {
		const struct net_address *ours = &net->addresses[i];

		if (ours->port == port && !ip_addr_is_v4(&ours->addr) && memcmp(mac + 3, ours->addr.bytes + 13, 3) == 0)
			return true;
	}
	return false;
}
