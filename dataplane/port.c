/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/port.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/ether.h"
#include "dataplane/interface.h"
#include "platform/log.h"
#include "platform/text.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

enum {
	DESCRIPTORS_MAX = 4096,
	ARGUMENT_MAX = 64,
	TAP_DESCRIPTORS = 4,
	AF_PACKET_SLOT = 2048,   /* the driver's default for framesz */
	AF_PACKET_OVERHEAD = 66, /* of a slot, before its frame: header, address, alignment (TPACKET_V2) */
	AF_PACKET_COUNTED = 32,  /* … as far as the driver counts that when it asks whether a slot fits in a buffer */
	AF_XDP_OVERHEAD = 256    /* of a packet buffer, before its frame: XDP_PACKET_HEADROOM */
};

static const char scope[] = "port";

/* What a DPDK driver is like, as far as its own answers don't tell. */
struct driver {
	const char *name; /* of dev_info.driver_name */
	bool virtual;     /* one queue each way, no checksums that were on a wire */
	int family;       /* of the sockets that it makes on a Linux interface; 0: none */
	bool keeps_mtu;   /* its MTU is not ours to set */
	bool interrupts;  /* it may have them; the others complain when asked */
};

static const struct driver drivers[] = {
	{"net_af_packet", true, AF_PACKET, true, false},
	{"net_af_xdp", true, AF_XDP, true, false},
	{"net_tap", true, 0, false, true},
	{"net_memif", true, 0, true, false},
	{"net_ring", true, 0, true, false},
	{"net_null", true, 0, true, false},
	{"net_pcap", true, 0, true, false},
};

/* Any other is a NIC's. virtio and vmxnet3 have queues as a NIC has, but their checksums are not to be relied on. */
static const struct driver nic = {"", false, 0, false, true};
static const char *const paravirtual[] = {"net_virtio", "net_virtio_user", "net_vmxnet3"};

struct port {
	uint16_t id;
	bool made;       /* the EAL's device was made here, and goes when the port does */
	bool interrupts; /* per queue */
	bool eventfds;   /* … that count up on each interrupt, until they are read */
	int membership;  /* keeps all-multicast on; −1: none */
	int wakeup[PORT_WAKEUP_MAX];
	unsigned n_wakeup;
};

static const struct driver *
driver_find(const char *name)
{
	size_t i;

	for (i = 0; i < RTE_DIM(drivers); i++)
		if (strcmp(drivers[i].name, name) == 0)
			return &drivers[i];
	return &nic;
}

static bool
is_paravirtual(const char *name)
{
	size_t i;

	for (i = 0; i < RTE_DIM(paravirtual); i++)
		if (strcmp(paravirtual[i], name) == 0)
			return true;
	return false;
}

static uint16_t
rx(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_rx_burst(device->id, queue, mbufs, n);
}

static uint16_t
tx(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_tx_burst(device->id, queue, mbufs, n);
}

/* The value of key in devargs "key=value,…". False when it isn't there. */
static bool
argument(const char *arguments, const char *key, char value[ARGUMENT_MAX])
{
	size_t length = strlen(key);
	const char *at = arguments;

	while (at) {
		if (strncmp(at, key, length) == 0 && at[length] == '=') {
			snprintf(value, ARGUMENT_MAX, "%.*s", (int)strcspn(at + length + 1, ","), at + length + 1);
			return true;
		}
		at = strchr(at, ',');
		if (at)
			at++;
	}
	return false;
}

bool
port_linux_interface(const char *device, const char *arguments, char name[PORT_INTERFACE_MAX])
{
	char value[ARGUMENT_MAX];

	if (strncmp(device, "net_af_", strlen("net_af_")) != 0 || !argument(arguments, "iface", value) ||
	    strlen(value) >= PORT_INTERFACE_MAX)
		return false;
	strcpy(name, value);
	return true;
}

/* All open descriptors that are sockets of a family, in ascending order. Returns how many, at most max. */
static unsigned
sockets_of(int family, int *fds, unsigned max)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	unsigned n = 0;

	while (directory && n < max && (entry = readdir(directory))) {
		int fd = atoi(entry->d_name), domain = 0;
		socklen_t length = sizeof(domain);

		if (entry->d_name[0] != '.' && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
		    domain == family)
			fds[n++] = fd;
	}
	if (directory)
		closedir(directory);
	return n;
}

/* An af_packet socket says what interface it is bound to; an af_xdp one doesn't, but it is made when the port is
 * configured, so what wasn't there before is the port's. */
static void
find_sockets(struct port *port, const struct driver *driver, const char *interface, const int *before,
	     unsigned n_before)
{
	int after[DESCRIPTORS_MAX];
	unsigned i, j, n = sockets_of(driver->family, after, DESCRIPTORS_MAX);
	int index = (int)if_nametoindex(interface);

	for (i = 0; i < n && port->n_wakeup < PORT_WAKEUP_MAX; i++) {
		struct sockaddr_ll bound = {0};
		socklen_t length = sizeof(bound);

		if (driver->family == AF_PACKET) {
			if (getsockname(after[i], (struct sockaddr *)&bound, &length) != 0 ||
			    bound.sll_ifindex != index)
				continue;
		} else {
			for (j = 0; j < n_before && before[j] != after[i]; j++)
				;
			if (j < n_before)
				continue;
		}
		port->wakeup[port->n_wakeup++] = after[i];
	}
}

/* The EAL's port for name, made of name and arguments if it is a virtual one that isn't there yet. */
static bool
attach(struct port *port, const char *name, const char *arguments, struct text *error)
{
	if (rte_eth_dev_get_port_by_name(name, &port->id) == 0)
		return true;
	if (strncmp(name, "net_", 4) == 0) {
		int failed = rte_vdev_init(name, arguments);

		if (failed) {
			text_print(error, "device %s: %s; its arguments are '%s'", name, rte_strerror(-failed),
				   arguments ? arguments : "");
			return false;
		}
		port->made = true;
		if (rte_eth_dev_get_port_by_name(name, &port->id) == 0)
			return true;
	}
	text_print(error, "device %s: DPDK has no such port; is it bound to vfio-pci? 'dpdk-devbind.py --status' tells",
		   name);
	return false;
}

/* Largest MTU among the ports of one device. */
static uint16_t
device_mtu(const struct conf *conf, uint8_t index, bool *vlan)
{
	uint16_t mtu = 0;
	uint8_t i;

	*vlan = false;
	for (i = 0; i < conf->n_ports; i++) {
		if (strcmp(conf->ports[i].device, conf->ports[index].device) != 0)
			continue;
		if (conf->ports[i].mtu > mtu)
			mtu = conf->ports[i].mtu;
		*vlan |= conf->ports[i].vlan != 0;
	}
	return mtu;
}

/* A slot of af_packet's ring must hold a frame and not more than a buffer does, because the driver copies whatever is
 * in it. The driver takes the ring for one array of slots, which it is when they fill its blocks. */
static bool
check_af_packet(const struct conf_port *from, uint16_t mtu, uint32_t room, struct text *error)
{
	uint32_t frame = (uint32_t)mtu + ETHER_LENGTH + ETHER_VLAN_LENGTH;
	unsigned long slot = AF_PACKET_SLOT, block = (unsigned long)sysconf(_SC_PAGESIZE);
	char value[ARGUMENT_MAX];

	if (argument(from->arguments, "framesz", value))
		slot = strtoul(value, NULL, 10);
	if (argument(from->arguments, "blocksz", value))
		block = strtoul(value, NULL, 10);
	if (slot < frame + AF_PACKET_OVERHEAD || slot > room + AF_PACKET_COUNTED) {
		text_print(
			error,
			"port %s: framesz=%lu doesn't fit an MTU of %u and packet buffers of %u bytes: %u to %u would",
			from->name, slot, mtu, room, frame + AF_PACKET_OVERHEAD, room + AF_PACKET_COUNTED);
		return false;
	}
	if (block % slot != 0) {
		text_print(error, "port %s: blocksz=%lu isn't a multiple of framesz=%lu", from->name, block, slot);
		return false;
	}
	return true;
}

/* AF_XDP shares the packet buffers with the kernel, mbuf and all. It drops a frame that doesn't fit in one behind its
 * own head room, and takes none that is larger than a page. */
static bool
check_af_xdp(const struct conf_port *from, uint16_t mtu, uint32_t room, const struct rte_mempool *pool,
	     struct text *error)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE), rest = pool->elt_size - room, most = page;

	while (rte_mempool_calc_obj_size(rest + most, pool->flags, NULL) > page)
		most -= RTE_CACHE_LINE_SIZE; /* what conf_packet_room is a multiple of */
	if (room <= most && (uint32_t)mtu + ETHER_LENGTH + ETHER_VLAN_LENGTH + AF_XDP_OVERHEAD <= room)
		return true;
	text_print(error,
		   "port %s: packet buffers of %u bytes for an MTU of %u: with AF_XDP they fit in a page, so that no "
		   "port's mtu can be over %u",
		   from->name, room, mtu,
		   most - AF_XDP_OVERHEAD - ETHER_LENGTH - ETHER_VLAN_LENGTH - RTE_ETHER_CRC_LEN);
	return false;
}

/* A whole frame in one buffer, whatever the driver has beside it. */
static bool
check_room(const struct conf_port *from, uint16_t mtu, struct rte_mempool *pool, struct text *error)
{
	uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;

	if (room < (uint32_t)mtu + ETHER_LENGTH + ETHER_VLAN_LENGTH) {
		text_print(error, "port %s: an MTU of %u doesn't fit in packet buffers of %u bytes", from->name, mtu,
			   room);
		return false;
	}
	if (strncmp(from->device, "net_af_packet", strlen("net_af_packet")) == 0)
		return check_af_packet(from, mtu, room, error);
	if (strncmp(from->device, "net_af_xdp", strlen("net_af_xdp")) == 0)
		return check_af_xdp(from, mtu, room, pool, error);
	return true;
}

struct queues {
	uint16_t rx, tx;
};

static struct queues
plan(const struct rte_eth_dev_info *info, const struct driver *driver, uint16_t n_workers, struct rte_eth_conf *conf)
{
	static const uint64_t tcp =
		RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_IPV6_TCP_EX;
	struct queues queues = {1, 1};

	conf->link_speeds = RTE_ETH_LINK_SPEED_AUTONEG;
	conf->intr_conf.rxq = driver->interrupts;
	if (driver->virtual)
		return queues;
	if (n_workers <= info->max_tx_queues)
		queues.tx = n_workers;
	if (n_workers > 1 && (info->flow_type_rss_offloads & tcp)) {
		queues.rx = RTE_MIN(n_workers, info->max_rx_queues);
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & tcp;
	}
	if (!is_paravirtual(info->driver_name))
		conf->rxmode.offloads =
			info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	return queues;
}

/* Configures, sets up queues and starts. 0 or a negative errno; *step says what failed. */
static int
start(uint16_t id, struct queues queues, const struct conf_port *from, bool tap, const struct rte_eth_conf *conf,
      struct rte_mempool *pool, const char **step)
{
	uint16_t rx_descriptors = tap ? TAP_DESCRIPTORS : from->rx_descriptors;
	uint16_t tx_descriptors = tap ? TAP_DESCRIPTORS : from->tx_descriptors;
	int socket = rte_eth_dev_socket_id(id), failed;
	uint16_t i;

	*step = "configure";
	failed = rte_eth_dev_configure(id, queues.rx, queues.tx, conf);
	if (failed == 0)
		failed = rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx_descriptors, &tx_descriptors);
	*step = "set up a receive queue";
	for (i = 0; i < queues.rx && failed == 0; i++)
		failed = rte_eth_rx_queue_setup(id, i, rx_descriptors, (unsigned)socket, NULL, pool);
	if (failed)
		return failed;
	*step = "set up a transmit queue";
	for (i = 0; i < queues.tx && failed == 0; i++)
		failed = rte_eth_tx_queue_setup(id, i, tx_descriptors, (unsigned)socket, NULL);
	if (failed)
		return failed;
	*step = "start";
	return rte_eth_dev_start(id);
}

static void
log_link(const char *name, const struct port *port, const struct rte_eth_dev_info *info, const struct device *device)
{
	struct rte_eth_link link = {0};
	char mac[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr addr;

	memcpy(addr.addr_bytes, device->mac, sizeof(addr.addr_bytes));
	rte_ether_format_addr(mac, sizeof(mac), &addr);
	(void)rte_eth_link_get_nowait(port->id, &link);
	log_info(scope, "port opened", LOG_STR("port", name), LOG_STR("driver", info->driver_name), LOG_STR("mac", mac),
		 LOG_BOOL("link", link.link_status == RTE_ETH_LINK_UP), LOG_U64("mbps", link.link_speed),
		 LOG_U64("rx_queues", device->rx_queues), LOG_U64("tx_queues", device->tx_queues),
		 LOG_BOOL("rx_checksums", device->rx_checksummed), LOG_BOOL("rx_interrupts", port->interrupts),
		 LOG_U64("wakeup_sockets", port->n_wakeup));
}

/* Groups: ND needs a few; a driver that can't be told lets everything in, or is told through its Linux interface. */
static void
open_groups(struct port *port, const char *interface)
{
	if (interface)
		port->membership = interface_all_multicast(interface);
	else
		(void)rte_eth_allmulticast_enable(port->id);
	(void)rte_eth_promiscuous_disable(port->id);
}

/* A virtual device's descriptor is its file, quiet again when the frames have been taken. A NIC's is an eventfd of
 * vfio, which must be read; an older UIO's, which blocks when it is, is of no use. */
static void
find_interrupts(struct port *port, const struct driver *driver)
{
	int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, 0);

	port->eventfds = !driver->virtual;
	port->interrupts = fd >= 0 && (driver->virtual || (fcntl(fd, F_GETFL) & O_NONBLOCK));
}

/* What both kinds of port share, from a device that the EAL has. */
static bool
bring_up(struct port *port, const struct conf_port *from, uint16_t mtu, const char *interface, uint16_t n_workers,
	 struct rte_mempool *pool, struct device *device, struct text *error)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	const struct driver *driver;
	struct queues queues;
	int before[DESCRIPTORS_MAX], failed;
	unsigned n_before = 0;
	const char *step = "ask";

	failed = rte_eth_dev_info_get(port->id, &info);
	if (failed)
		goto Exit;
	driver = driver_find(info.driver_name);
	queues = plan(&info, driver, n_workers, &conf);
	if (!driver->virtual)
		conf.rxmode.mtu = mtu;
	if (interface)
		n_before = sockets_of(driver->family, before, DESCRIPTORS_MAX);
	failed = start(port->id, queues, from, device->is_tap, &conf, pool, &step);
	if (failed && conf.intr_conf.rxq) {
		/* Not every driver says beforehand that it has no interrupts. */
		conf.intr_conf.rxq = 0;
		failed = start(port->id, queues, from, device->is_tap, &conf, pool, &step);
	}
	if (failed)
		goto Exit;
	if (conf.intr_conf.rxq)
		find_interrupts(port, driver);
	if (driver->virtual && !driver->keeps_mtu) {
		step = "set the MTU";
		failed = rte_eth_dev_set_mtu(port->id, mtu);
		if (failed)
			goto Exit;
	}
	step = "read the MAC";
	failed = rte_eth_macaddr_get(port->id, &mac);
	if (failed)
		goto Exit;
	open_groups(port, interface);
	if (interface)
		find_sockets(port, driver, interface, before, n_before);

	device->rx = rx;
	device->tx = tx;
	device->context = port;
	device->id = port->id;
	device->rx_queues = queues.rx;
	device->tx_queues = queues.tx;
	device->rx_checksummed = conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	memcpy(device->mac, mac.addr_bytes, sizeof(device->mac));
	log_link(device->is_tap ? "tap" : from->name, port, &info, device);
Exit:
	if (failed)
		text_print(error, "port %s: can't %s the device: %s", from->name, step, rte_strerror(-failed));
	return failed == 0;
}

static struct port *
port_new(void)
{
	struct port *port = calloc(1, sizeof(*port));

	if (port)
		port->membership = -1;
	return port;
}

static void
port_free(struct port *port)
{
	struct rte_eth_dev_info info;

	if (port->membership >= 0)
		close(port->membership);
	if (port->made && rte_eth_dev_info_get(port->id, &info) == 0) {
		(void)rte_eth_dev_stop(port->id);
		(void)rte_eth_dev_close(port->id);
		(void)rte_dev_remove(info.device);
	}
	free(port);
}

bool
port_open(const struct conf *conf, uint8_t index, uint16_t n_workers, struct rte_mempool *pool, struct device *device,
	  struct text *error)
{
	const struct conf_port *from = &conf->ports[index];
	char name[ARGUMENT_MAX];
	bool vlan, linux_ = (strncmp(from->device, "net_af_", 7) == 0) && argument(from->arguments, "iface", name);
	uint16_t mtu = device_mtu(conf, index, &vlan);
	const char *interface = linux_ ? name : NULL;
	struct port *port;

	*device = (struct device){0};
	if (!check_room(from, mtu, pool, error))
		return false;
	if (interface &&
	    (!interface_check(interface, from->name, mtu, error) || !interface_offloads_off(interface, vlan, error)))
		return false;
	port = port_new();
	if (port == NULL) {
		text_print(error, "port %s: out of memory", from->name);
		return false;
	}
	if (attach(port, from->device, from->arguments, error) &&
	    bring_up(port, from, mtu, interface, n_workers, pool, device, error))
		return true;
	port_free(port);
	return false;
}

bool
port_open_tap(const struct conf *conf, uint8_t index, const struct device *port, struct rte_mempool *pool,
	      struct device *tap, struct text *error)
{
	const struct conf_port *from = &conf->ports[index];
	char name[ARGUMENT_MAX], arguments[2 * ARGUMENT_MAX];
	const uint8_t *mac = port->mac;
	struct port *opened;

	*tap = (struct device){.is_tap = true};
	if (strlen(from->name) + strlen("pt-") >= IFNAMSIZ) {
		text_print(error, "port %s: the name is too long for a tap: 'pt-%s' has more than %d bytes", from->name,
			   from->name, IFNAMSIZ - 1);
		return false;
	}
	snprintf(name, sizeof(name), "net_tap_pt%u", index);
	snprintf(arguments, sizeof(arguments), "iface=pt-%s,mac=%02x:%02x:%02x:%02x:%02x:%02x", from->name, mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5]);
	opened = port_new();
	if (opened == NULL) {
		text_print(error, "port %s: out of memory", from->name);
		return false;
	}
	if (attach(opened, name, arguments, error) && bring_up(opened, from, from->mtu, NULL, 1, pool, tap, error))
		return true;
	port_free(opened);
	return false;
}

void
port_close(struct device *device)
{
	struct port *port = device->context;

	if (!port->made) {
		(void)rte_eth_dev_stop(port->id);
		(void)rte_eth_dev_close(port->id);
	}
	port_free(port);
	device->context = NULL;
}

unsigned
port_wakeup_fds(const struct device *device, uint16_t queue, int fds[PORT_WAKEUP_MAX])
{
	const struct port *port = device->context;

	if (port->interrupts) {
		fds[0] = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, queue);
		return fds[0] >= 0;
	}
	memcpy(fds, port->wakeup, port->n_wakeup * sizeof(fds[0]));
	return port->n_wakeup;
}

void
port_wakeup_arm(struct device *device, uint16_t queue, bool arm)
{
	const struct port *port = device->context;
	uint64_t count;
	int fd;

	if (!port->interrupts)
		return;
	if (arm) {
		(void)rte_eth_dev_rx_intr_enable(port->id, queue);
		return;
	}
	(void)rte_eth_dev_rx_intr_disable(port->id, queue);
	fd = port->eventfds ? rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, queue) : -1;
	if (fd >= 0 && read(fd, &count, sizeof(count)) < 0)
		return; /* nothing came */
}
