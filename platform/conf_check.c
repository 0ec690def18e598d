/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/conf_check.h"

#include <sched.h>
#include <string.h>

#include "platform/text.h"

enum {
	MEGABYTE = 1 << 20,
	ROOM_MIN = 2048,
	FRAME_HEADERS = 14 + 4 + 4,       /* Ethernet, a VLAN tag, and the FCS that some drivers leave on */
	DRIVER_ROOM = 256,                /* AF_XDP's before a frame: XDP_PACKET_HEADROOM; AF_PACKET wants less */
	PACKET_OVERHEAD = 128 + 128 + 64, /* rte_mbuf, headroom, the pool's header */
	POOL_OVERHEAD = 2 * MEGABYTE,     /* the pool's caches, one for each possible lcore */
	DRIVER_MEGABYTES = 4,             /* of DPDK's own, and */
	DEVICE_MEGABYTES = 1,             /* of each device's rings */
	WORKER_PACKETS = 512,             /* in a worker's cache and hands */
	LOCAL_PORTS_MIN = 1024
};

/* Virtual devices whose drivers are linked in. A device's name is one of these and a number. */
static const char *const vdevs[] = {"net_af_xdp", "net_af_packet", "net_memif",       "net_tap",     "net_ring",
				    "net_null",   "net_pcap",      "net_virtio_user", "virtio_user", NULL};

bool
conf_device_is_pci(const char *name)
{
	static const char form[] = "xxxx:xx:xx.d";
	size_t i = 0;

	for (; form[i] != '\0'; i++) {
		if (form[i] == 'x'   ? strchr("0123456789abcdef", name[i]) == NULL
		    : form[i] == 'd' ? name[i] < '0' || name[i] > '7'
				     : name[i] != form[i])
			return false;
		if (name[i] == '\0')
			return false;
	}
	return name[i] == '\0';
}

uint8_t
conf_devices(const struct conf *conf, struct conf_device devices[CONF_PORTS_MAX])
{
	uint8_t n = 0;

	memset(devices, 0, CONF_PORTS_MAX * sizeof(*devices));
	for (uint8_t i = 0; i < conf->n_ports; i++) {
		const struct conf_port *port = &conf->ports[i];
		uint8_t d = 0;
		while (d < n && strcmp(devices[d].name, port->device) != 0)
			d++;
		struct conf_device *device = &devices[d];
		if (d == n) {
			*device = (struct conf_device){.name = port->device,
						       .pci = conf_device_is_pci(port->device),
						       .rx_descriptors = port->rx_descriptors,
						       .tx_descriptors = port->tx_descriptors};
			n++;
		}
		if (device->arguments == NULL)
			device->arguments = port->arguments;
		if (port->mtu > device->mtu)
			device->mtu = port->mtu;
		device->ports[device->n_ports++] = i;
	}
	return n;
}

uint32_t
conf_packet_room(const struct conf *conf)
{
	uint32_t room = ROOM_MIN;

	for (uint8_t i = 0; i < conf->n_ports; i++) {
		uint32_t frame = conf->ports[i].mtu + (uint32_t)FRAME_HEADERS;
		if (strncmp(conf->ports[i].device, "net_af_", strlen("net_af_")) == 0)
			frame += DRIVER_ROOM;
		if (frame > room)
			room = frame;
	}
	return (room + 63) / 64 * 64;
}

uint64_t
conf_packet_memory(const struct conf *conf)
{
	uint64_t ring = 1;

	while (ring <= conf->memory.packets)
		ring *= 2;
	return (uint64_t)conf->memory.packets * (conf_packet_room(conf) + PACKET_OVERHEAD) + ring * sizeof(void *) +
	       POOL_OVERHEAD;
}

static void
check_device_name(const struct conf_port *port, unsigned line, struct conf_errors *errors)
{
	char driver[CONF_NAME_MAX];

	if (conf_device_is_pci(port->device))
		return;
	size_t length = strlen(port->device);
	while (length > 0 && port->device[length - 1] >= '0' && port->device[length - 1] <= '9')
		length--;
	memcpy(driver, port->device, length);
	driver[length] = '\0';
	for (const char *const *vdev = vdevs; *vdev != NULL; vdev++) {
		if (strcmp(driver, *vdev) != 0)
			continue;
		if (port->device[length] == '\0')
			conf_errors_add(errors, line, "port \"%s\": device \"%s\" needs a number, as in \"%s0\"",
					port->name, port->device, port->device);
		return;
	}
	const char *closest = text_closest(driver, vdevs);
	if (closest != NULL)
		conf_errors_add(errors, line, "port \"%s\": unknown device \"%s\"; did you mean \"%s%s\"?", port->name,
				port->device, closest, port->device[length] == '\0' ? "0" : port->device + length);
	else
		conf_errors_add(errors, line,
				"port \"%s\": device \"%s\" is neither a PCI address (\"0000:01:00.0\") nor a virtual "
				"device (\"net_af_xdp0\")",
				port->name, port->device);
}

static void
check_port_pair(const struct conf_port *a, const struct conf_port *b, unsigned line, struct conf_errors *errors)
{
	if (a->name[0] != '\0' && strcmp(a->name, b->name) == 0)
		conf_errors_add(errors, line, "two ports are called \"%s\"", b->name);
	if (a->device[0] == '\0' || strcmp(a->device, b->device) != 0)
		return;
	if (a->vlan == b->vlan && b->vlan == 0)
		conf_errors_add(errors, line, "ports \"%s\" and \"%s\" are both untagged on device \"%s\"", a->name,
				b->name, b->device);
	else if (a->vlan == b->vlan)
		conf_errors_add(errors, line, "ports \"%s\" and \"%s\" are both VLAN %u of device \"%s\"", a->name,
				b->name, b->vlan, b->device);
	if (a->arguments != NULL && b->arguments != NULL && strcmp(a->arguments, b->arguments) != 0)
		conf_errors_add(errors, line,
				"ports \"%s\" and \"%s\" give device \"%s\" different arguments; one is enough",
				a->name, b->name, b->device);
	if (a->rx_descriptors != b->rx_descriptors || a->tx_descriptors != b->tx_descriptors)
		conf_errors_add(errors, line, "ports \"%s\" and \"%s\" give device \"%s\" different descriptors",
				a->name, b->name, b->device);
}

static void
check_ports(const struct conf *conf, const struct conf_lines *lines, struct conf_errors *errors)
{
	for (unsigned i = 0; i < conf->n_ports; i++) {
		const struct conf_port *port = &conf->ports[i];
		size_t length = strlen(port->name);
		if (strspn(port->name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != length)
			conf_errors_add(errors, lines->ports[i],
					"port \"%s\": a name is made of a-z, 0-9, \"_\", \".\" and \"-\"", port->name);
		if (port->tap && length >= CONF_TAP_NAME_MAX)
			conf_errors_add(errors, lines->ports[i],
					"port \"%s\": the name is too long for the tap \"pt-%s\"; at most %d bytes",
					port->name, port->name, CONF_TAP_NAME_MAX - 1);
		if (port->device[0] != '\0')
			check_device_name(port, lines->ports[i], errors);
		if (port->arguments != NULL && strpbrk(port->arguments, " \t") != NULL)
			conf_errors_add(errors, lines->ports[i], "port \"%s\": arguments have a space in them",
					port->name);
		for (unsigned k = 0; k < i; k++)
			check_port_pair(&conf->ports[k], port, lines->ports[i], errors);
	}
}

static bool
is_link_local(const struct ip_addr *addr)
{
	return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

/* Whether all host bits of prefix are as set says. False when it has none. */
static bool
host_bits_are(const struct ip_prefix *prefix, bool set)
{
	unsigned first = prefix->length + (ip_addr_is_v4(&prefix->addr) ? 96 : 0);

	for (unsigned bit = first; bit < 128; bit++)
		if (((prefix->addr.bytes[bit / 8] >> (7 - bit % 8)) & 1) != set)
			return false;
	return first < 128;
}

/* Whether the network has addresses that are nobody's own: not a host's, and not a point-to-point link's (RFC 3021,
 * 6164). */
static bool
has_network_address(const struct ip_prefix *prefix)
{
	return prefix->length < (ip_addr_is_v4(&prefix->addr) ? 31 : 127);
}

static void
check_address(const struct ip_prefix *prefix, unsigned line, struct conf_errors *errors)
{
	char text[IP_PREFIX_TEXT_MAX];

	ip_prefix_format(prefix, text);
	if (ip_addr_is_martian(&prefix->addr))
		conf_errors_add(errors, line, "%s can't be a port's address", text);
	else if (prefix->length == 0)
		conf_errors_add(errors, line, "%s would make the whole world on-link; write a route instead", text);
	else if (has_network_address(prefix) && host_bits_are(prefix, false))
		conf_errors_add(errors, line, "%s is the network's address, not a host's", text);
	else if (has_network_address(prefix) && ip_addr_is_v4(&prefix->addr) && host_bits_are(prefix, true))
		conf_errors_add(errors, line, "%s is the network's broadcast address, not a host's", text);
}

static void
check_address_pair(const struct conf *conf, unsigned port_a, unsigned a, unsigned port_b, unsigned b, unsigned line,
		   struct conf_errors *errors)
{
	const struct ip_prefix *x = &conf->ports[port_a].addresses[a], *y = &conf->ports[port_b].addresses[b];
	char x_text[IP_PREFIX_TEXT_MAX], y_text[IP_PREFIX_TEXT_MAX];

	if (port_a != port_b && is_link_local(&x->addr) && is_link_local(&y->addr))
		return; /* every link has that network */
	ip_prefix_format(x, x_text);
	ip_prefix_format(y, y_text);
	if (ip_addr_equal(&x->addr, &y->addr))
		conf_errors_add(errors, line, "address %s of port \"%s\" is already port \"%s\"'s", y_text,
				conf->ports[port_b].name, conf->ports[port_a].name);
	else if (port_a != port_b && x->length > 0 && y->length > 0 &&
		 (ip_prefix_contains(x, &y->addr) || ip_prefix_contains(y, &x->addr)))
		conf_errors_add(errors, line, "%s of port \"%s\" overlaps with %s of port \"%s\"", y_text,
				conf->ports[port_b].name, x_text, conf->ports[port_a].name);
}

static void
check_addresses(const struct conf *conf, const struct conf_lines *lines, struct conf_errors *errors)
{
	unsigned total = 0;

	for (unsigned p = 0; p < conf->n_ports; p++) {
		for (unsigned i = 0; i < conf->ports[p].n_addresses; i++) {
			unsigned line = lines->addresses[p][i];
			check_address(&conf->ports[p].addresses[i], line, errors);
			if (++total == CONF_ADDRESSES_MAX + 1)
				conf_errors_add(errors, line, "more than %d addresses over all ports",
						CONF_ADDRESSES_MAX);
			for (unsigned q = 0; q <= p; q++)
				for (unsigned k = 0; k < (q == p ? i : conf->ports[q].n_addresses); k++)
					check_address_pair(conf, q, k, p, i, line, errors);
		}
	}
}

static bool
is_on_link(const struct conf_port *port, const struct ip_addr *addr)
{
	for (unsigned i = 0; i < port->n_addresses; i++)
		if (ip_prefix_contains(&port->addresses[i], addr))
			return true;
	return is_link_local(addr);
}

static bool
is_own(const struct conf *conf, const struct ip_addr *addr)
{
	for (unsigned p = 0; p < conf->n_ports; p++)
		for (unsigned i = 0; i < conf->ports[p].n_addresses; i++)
			if (ip_addr_equal(&conf->ports[p].addresses[i].addr, addr))
				return true;
	return false;
}

static void
find_route_port(struct conf *conf, struct conf_route *route, const char *name, unsigned line,
		struct conf_errors *errors)
{
	const char *names[CONF_PORTS_MAX + 1] = {NULL};
	char via[IP_ADDR_TEXT_MAX];

	ip_addr_format(&route->via, via);
	if (name == NULL && is_link_local(&route->via)) {
		conf_errors_add(errors, line, "next hop %s is on every link; the route must name its port", via);
		return;
	}
	for (uint8_t p = 0; p < conf->n_ports; p++) {
		names[p] = conf->ports[p].name;
		if (name != NULL ? strcmp(name, names[p]) != 0 : !is_on_link(&conf->ports[p], &route->via))
			continue;
		route->port = p;
		if (!is_on_link(&conf->ports[p], &route->via))
			conf_errors_add(errors, line, "next hop %s is in no network of port \"%s\"", via, name);
		return;
	}
	if (name == NULL) {
		conf_errors_add(errors, line, "next hop %s is in no port's network", via);
		return;
	}
	const char *closest = text_closest(name, names);
	conf_errors_add(errors, line, "no port is called \"%s\"%s%s%s", name,
			closest == NULL ? "" : "; did you mean \"", closest == NULL ? "" : closest,
			closest == NULL ? "" : "\"?");
}

static void
check_routes(struct conf *conf, const struct conf_lines *lines, bool ports_complete, struct conf_errors *errors)
{
	char to[IP_PREFIX_TEXT_MAX], via[IP_ADDR_TEXT_MAX];

	for (unsigned i = 0; i < conf->n_routes; i++) {
		struct conf_route *route = &conf->routes[i];
		unsigned line = lines->routes[i];
		ip_prefix_format(&route->to, to);
		ip_addr_format(&route->via, via);
		for (unsigned k = 0; k < i; k++)
			if (ip_addr_equal(&conf->routes[k].to.addr, &route->to.addr) &&
			    conf->routes[k].to.length == route->to.length)
				conf_errors_add(errors, line, "two routes to %s", to);
		unsigned bits = ip_addr_is_v4(&route->to.addr) ? 32 : 128;
		if (route->to.length < bits && !host_bits_are(&route->to, false))
			conf_errors_add(errors, line, "route to %s: bits behind the prefix are set", to);
		if (ip_addr_is_v4(&route->to.addr) != ip_addr_is_v4(&route->via))
			conf_errors_add(errors, line, "route to %s: next hop %s is of the other family", to, via);
		else if (ip_addr_is_martian(&route->via))
			conf_errors_add(errors, line, "route to %s: %s can't be a next hop", to, via);
		else if (is_own(conf, &route->via))
			conf_errors_add(errors, line, "route to %s: next hop %s is our own address", to, via);
		else if (ports_complete)
			find_route_port(conf, route, lines->route_ports[i], line, errors);
	}
}

static void
check_cores(const struct conf *conf, const struct conf_lines *lines, struct conf_errors *errors)
{
	for (unsigned i = 0; i < conf->n_workers; i++)
		for (unsigned k = 0; k < i; k++)
			if (conf->worker_cores[k] == conf->worker_cores[i])
				conf_errors_add(errors, lines->cores, "cores.workers has core %u twice",
						conf->worker_cores[i]);
}

static void
check_memory(const struct conf *conf, const struct conf_lines *lines, struct conf_errors *errors)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, devices);
	uint64_t needed = conf_packet_memory(conf) / MEGABYTE + 1 + DRIVER_MEGABYTES + (uint64_t)n * DEVICE_MEGABYTES;
	uint32_t packets = conf->n_workers * WORKER_PACKETS;

	if (needed > conf->memory.megabytes)
		conf_errors_add(errors, lines->memory,
				"memory.packets = %u needs memory.megabytes = %llu at least, which is %u",
				conf->memory.packets, (unsigned long long)needed, conf->memory.megabytes);
	/* A NIC has a pair of queues for each worker; a virtual device has one. */
	for (uint8_t d = 0; d < n; d++)
		packets += (devices[d].pci ? conf->n_workers : 1u) *
			   (uint32_t)(devices[d].rx_descriptors + devices[d].tx_descriptors);
	if (packets > conf->memory.packets)
		conf_errors_add(errors, lines->memory,
				"memory.packets = %u can't fill the descriptors of all devices; it takes %u",
				conf->memory.packets, packets);
}

void
conf_check(struct conf *conf, const struct conf_lines *lines, struct conf_errors *errors)
{
	bool complete = errors->n == 0;
	struct ip_addr addr;
	uint16_t port;

	check_ports(conf, lines, errors);
	check_addresses(conf, lines, errors);
	check_routes(conf, lines, complete, errors);
	if (complete) {
		check_cores(conf, lines, errors);
		check_memory(conf, lines, errors);
	}
	if (conf->flow.local_port_last < conf->flow.local_port_first ||
	    conf->flow.local_port_last - conf->flow.local_port_first + 1 < LOCAL_PORTS_MIN)
		conf_errors_add(errors, lines->flow,
				"flow.local_port_first..local_port_last is %u..%u; it takes %d ports",
				conf->flow.local_port_first, conf->flow.local_port_last, LOCAL_PORTS_MIN);
	if (conf->metrics_address != NULL && !ip_endpoint_parse(conf->metrics_address, &addr, &port))
		conf_errors_add(errors, lines->metrics,
				"metrics.address is \"%s\", which is not ADDRESS:PORT as in \"127.0.0.1:15020\"",
				conf->metrics_address);
}

static void
check_core(const struct conf *conf, unsigned core, const char *role, const cpu_set_t *usable, struct text *errors)
{
	struct text list = {0};

	if (CPU_ISSET(core, usable))
		return;
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		unsigned last = i;
		if (!CPU_ISSET(i, usable))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, usable))
			last++;
		text_add(&list, ",", list.length > 0);
		text_print(&list, "%u", i);
		if (last > i)
			text_print(&list, "-%u", last);
		i = last;
	}
	text_print(errors, "%s:%u: cores.%s: this machine has no core %u for us; it has %s\n", conf->path,
		   conf->cores_line, role, core, list.bytes);
	text_free(&list);
}

bool
conf_check_host(const struct conf *conf, struct text *errors)
{
	cpu_set_t usable;
	size_t before = errors->length;

	CPU_ZERO(&usable);
	if (sched_getaffinity(0, sizeof(usable), &usable) != 0)
		return true; /* more cores than a cpu_set_t has; EAL will say */
	check_core(conf, conf->main_core, "main", &usable, errors);
	for (unsigned i = 0; i < conf->n_workers; i++)
		check_core(conf, conf->worker_cores[i], "workers", &usable, errors);
	return errors->length == before;
}
