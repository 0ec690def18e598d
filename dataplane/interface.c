/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/interface.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/log.h"
#include "platform/text.h"

static const char scope[] = "port";

/* An ioctl on an interface by name; −1 and errno as ioctl. */
static int
control(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result, saved;

	if (fd < 0)
		return -1;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	result = ioctl(fd, request, ifr);
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

static int
ethtool(const char *name, void *command)
{
	struct ifreq ifr = {.ifr_data = command};

	return control(name, SIOCETHTOOL, &ifr);
}

bool
interface_check(const char *name, const char *port, uint16_t mtu, struct text *error)
{
	struct ifreq ifr = {0};

	if (strlen(name) >= IFNAMSIZ || control(name, SIOCGIFFLAGS, &ifr) != 0) {
		text_print(error, "port %s: there is no Linux interface '%s'; 'ip link' lists those there are", port,
			   name);
		return false;
	}
	if (!(ifr.ifr_flags & IFF_UP)) {
		text_print(error, "port %s: interface %s is down: ip link set dev %s up", port, name, name);
		return false;
	}
	if (control(name, SIOCGIFMTU, &ifr) != 0) {
		text_print(error, "port %s: the MTU of %s can't be read: %s", port, name, strerror(errno));
		return false;
	}
	if (ifr.ifr_mtu != mtu) {
		text_print(error, "port %s: interface %s has an MTU of %d, the port of %u: ip link set dev %s mtu %u",
			   port, name, ifr.ifr_mtu, mtu, name, mtu);
		return false;
	}
	return true;
}

struct offload {
	uint32_t get, set;
	uint32_t flag; /* of ETHTOOL_GFLAGS; 0: a value of its own */
	const char *name;
};

/* Returns false when it is on and can't be switched off. */
static bool
switch_off(const char *interface, const struct offload *offload, struct text *error)
{
	struct ethtool_value value = {.cmd = offload->get};
	uint32_t on;

	if (ethtool(interface, &value) != 0)
		return true; /* a driver without it */
	on = offload->flag ? value.data & offload->flag : value.data;
	if (!on)
		return true;
	value.cmd = offload->set;
	value.data = offload->flag ? value.data & ~offload->flag : 0;
	if (ethtool(interface, &value) == 0) {
		log_info(scope, "switched an offload of the interface off", LOG_STR("interface", interface),
			 LOG_STR("offload", offload->name));
		return true;
	}
	text_print(
		error,
		"interface %s has %s on, which joins or strips frames before we see them, and it can't be switched off "
		"from here (%s): ethtool -K %s %s off",
		interface, offload->name, strerror(errno), interface, offload->name);
	return false;
}

static void
warn_of_peer(const char *interface)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	if (ethtool(interface, &info) == 0 && strcmp(info.driver, "veth") == 0)
		log_warn(scope,
			 "the other end of this veth pair must send whole packets: ethtool -K PEER tx off tso off gso "
			 "off",
			 LOG_STR("interface", interface));
}

bool
interface_offloads_off(const char *name, bool vlan, struct text *error)
{
	static const struct offload gro = {ETHTOOL_GGRO, ETHTOOL_SGRO, 0, "gro"};
	static const struct offload lro = {ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO, "lro"};
	static const struct offload tags = {ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_RXVLAN, "rxvlan"};

	if (!switch_off(name, &gro, error) || !switch_off(name, &lro, error) ||
	    (vlan && !switch_off(name, &tags, error)))
		return false;
	warn_of_peer(name);
	return true;
}

int
interface_all_multicast(const char *name)
{
	struct packet_mreq request = {.mr_ifindex = (int)if_nametoindex(name), .mr_type = PACKET_MR_ALLMULTI};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: it receives nothing itself */

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) == 0)
		return fd;
	close(fd);
	return -1;
}
