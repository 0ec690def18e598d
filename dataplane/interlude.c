/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/interlude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "dataplane/xdp_queue.h"
#include "platform/clock.h"
#include "platform/log.h"
#include "platform/text.h"

enum { INTERLUDE_LOOK = 40 /* bytes that is_answer reads at most */ };

static_assert(INTERLUDE_NAME_MAX == IFNAMSIZ, "a name of Linux");

void
interlude_init(struct interlude *interlude)
{
	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		interlude->fds[i] = -1;
}

static void
interlude_close(struct interlude *interlude)
{
	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		if (interlude->fds[i] >= 0)
			close(interlude->fds[i]);
	interlude_init(interlude);
}

/* A packet socket that gets whatever comes in by an interface; -1 and errno. */
static int
open_socket(const char *interface)
{
	const int yes = 1, bytes = INTERLUDE_BYTES;
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sll_ifindex = (int)if_nametoindex(interface);
	if (fd < 0)
		return -1;
	/* The kernel takes tags off, and tells them beside the frame. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0 &&
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) == 0 &&
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof(yes)) == 0 &&
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int why = errno;
	close(fd);
	errno = why;
	return -1;
}

static bool
is_xdp(const struct conf_device *device)
{
	return strncmp(device->name, "net_af_xdp", strlen("net_af_xdp")) == 0;
}

void
interlude_open(struct interlude *interlude, const struct conf *conf)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, devices);
	char name[INTERLUDE_NAME_MAX];

	interlude_init(interlude);
	for (uint8_t i = 0; i < n; i++) {
		if (!port_linux_interface(devices[i].name, devices[i].arguments, name))
			continue;
		interlude->fds[i] = open_socket(name);
		if (interlude->fds[i] < 0 || (is_xdp(&devices[i]) && !xdp_queue_set(name, -1)))
			log_warn("port", "what arrives during the upgrade will be lost", LOG_STR("interface", name),
				 LOG_STR("why", strerror(errno)));
	}
	usleep(INTERLUDE_DRAIN_US);
}

void
interlude_cancel(struct interlude *interlude, const struct conf *conf, const struct device *devices)
{
	struct conf_device named[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, named);
	char name[INTERLUDE_NAME_MAX];
	int fds[PORT_WAKEUP_MAX];

	for (uint8_t i = 0; i < n; i++)
		if (is_xdp(&named[i]) && port_linux_interface(named[i].name, named[i].arguments, name) &&
		    port_wakeup_fds(&devices[i], 0, fds) == 1 && !xdp_queue_set(name, fds[0]))
			log_error("port", "the interface doesn't receive any more", LOG_STR("interface", name),
				  LOG_STR("why", strerror(errno)));
	interlude_close(interlude);
}

void
interlude_print(const struct interlude *interlude, const struct conf *conf, struct text *out)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, devices);
	char name[INTERLUDE_NAME_MAX];

	for (uint8_t i = 0; i < n; i++)
		if (interlude->fds[i] >= 0 && port_linux_interface(devices[i].name, devices[i].arguments, name))
			text_print(out, "%s%s=%d", out->length == 0 ? "" : ",", name, interlude->fds[i]);
}

/* Whether fd is a packet socket on that interface. */
static bool
is_ours(int fd, const char *interface)
{
	struct sockaddr_ll address = {0};
	socklen_t length = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &length) == 0 && address.sll_family == AF_PACKET &&
	       address.sll_ifindex != 0 && address.sll_ifindex == (int)if_nametoindex(interface);
}

/* The number behind "interface=" in text, or -1. */
static int
find_number(const char *text, const char *interface)
{
	size_t length = strlen(interface);

	for (const char *at = text; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, interface, length) == 0 && at[length] == '=')
			return atoi(at + length + 1);
	}
	return -1;
}

void
interlude_inherit(struct interlude *interlude, const struct conf *conf, const char *text)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, devices);
	char name[INTERLUDE_NAME_MAX];

	interlude_init(interlude);
	for (uint8_t i = 0; i < n; i++) {
		if (!port_linux_interface(devices[i].name, devices[i].arguments, name))
			continue;
		int fd = find_number(text, name);
		if (fd > STDERR_FILENO && is_ours(fd, name) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			interlude->fds[i] = fd;
	}
}

void
interlude_end(struct interlude *interlude)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = {1, &nothing};

	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		if (interlude->fds[i] >= 0 &&
		    setsockopt(interlude->fds[i], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
			close(interlude->fds[i]); /* it would never be empty */
			interlude->fds[i] = -1;
		}
}

/* Puts the tag back that the kernel took off. */
static bool
restore_tag(struct rte_mbuf **mbuf, struct msghdr *message)
{
	struct tpacket_auxdata aux;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(part), sizeof(aux));
		if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0)
			return true;
		(*mbuf)->vlan_tci = aux.tp_vlan_tci;
		return rte_vlan_insert(mbuf) == 0;
	}
	return true;
}

/* The next frame, or NULL when there is none. What is too long, or finds no memory, is left out. */
static struct rte_mbuf *
next_frame(int fd, struct worker *worker)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct rte_mbuf *mbuf;

	while ((mbuf = rte_pktmbuf_alloc(worker->pool)) != NULL) {
		struct iovec vector = {rte_pktmbuf_mtod(mbuf, void *), rte_pktmbuf_tailroom(mbuf)};
		struct msghdr message = {
			.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &message, 0);
		if (n > 0 && (message.msg_flags & MSG_TRUNC) == 0) {
			mbuf->data_len = (uint16_t)n;
			mbuf->pkt_len = (uint32_t)n;
			if (restore_tag(&mbuf, &message))
				return mbuf;
		}
		rte_pktmbuf_free(mbuf);
		if (n < 0 && errno != EINTR)
			return NULL;
	}
	return NULL;
}

static uint8_t
net_index(const struct net *net, const struct device *device)
{
	uint8_t i = 0;

	while (net->devices[i] != device)
		i++;
	return i;
}

/* What came in by the ports while we waited for answers. Each mbuf's port is the index of its device. */
struct later {
	struct rte_mbuf *mbufs[INTERLUDE_LATER_MAX];
	unsigned n;
};

/* Whether a frame may be a neighbour's answer: ARP, or ICMPv6. */
static bool
is_answer(const struct rte_mbuf *mbuf)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	unsigned at = offsetof(struct rte_ether_hdr, ether_type);

	if (mbuf->data_len < INTERLUDE_LOOK)
		return false;
	if (bytes[at] == RTE_ETHER_TYPE_VLAN >> 8 && bytes[at + 1] == (RTE_ETHER_TYPE_VLAN & 0xff))
		at += sizeof(struct rte_vlan_hdr);
	unsigned type = (unsigned)bytes[at] << 8 | bytes[at + 1];
	return type == RTE_ETHER_TYPE_ARP || (type == RTE_ETHER_TYPE_IPV6 && bytes[at + 2 + 6] == IPPROTO_ICMPV6);
}

/* Receives, until all next hops have answered that were asked, or no more answers come (a host may be down), or none
 * came at all. What is no answer waits: it would find no next hop, and overtake what came before. */
static void
await_neighbours(struct worker *worker, struct later *later)
{
	const struct net *net = worker->net;
	uint64_t until_ms = clock_ms() + INTERLUDE_PATIENCE_MS;
	struct rte_mbuf *mbufs[WORKER_BURST];

	while (neighbour_awaits(&worker->neighbours) && clock_ms() < until_ms &&
	       later->n + NET_DEVICES_MAX * WORKER_BURST <= INTERLUDE_LATER_MAX) {
		for (uint8_t i = 0; i < net->n_devices; i++) {
			uint16_t n = net->devices[i]->rx(net->devices[i], 0, mbufs, WORKER_BURST);
			for (uint16_t j = 0; j < n; j++) {
				mbufs[j]->port = i;
				if (!is_answer(mbufs[j])) {
					later->mbufs[later->n++] = mbufs[j];
					continue;
				}
				worker_input(worker, &mbufs[j], worker_arrived(worker, i, &mbufs[j], 1, clock_ms()));
				until_ms = RTE_MIN(until_ms, clock_ms() + INTERLUDE_SILENCE_MS);
			}
		}
		worker_flush(worker);
		usleep(INTERLUDE_NAP_US); /* a kernel that is busy answers when we let it */
	}
}

/* What a socket has kept. Returns how many frames. */
static uint32_t
replay_socket(int fd, struct worker *worker, uint8_t device, uint64_t now_ms)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	uint32_t total = 0;
	unsigned n;

	do {
		for (n = 0; n < WORKER_BURST; n++)
			if ((mbufs[n] = next_frame(fd, worker)) == NULL)
				break;
		if (n != 0)
			worker_input(worker, mbufs, worker_arrived(worker, device, mbufs, (uint16_t)n, now_ms));
		worker_flush(worker);
		total += n;
	} while (n == WORKER_BURST);
	return total;
}

uint32_t
interlude_replay(struct interlude *interlude, struct worker *worker, const struct device *devices, uint64_t now_ms)
{
	struct later later = {.n = 0};
	uint32_t total = 0;

	await_neighbours(worker, &later);
	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		if (interlude->fds[i] >= 0)
			total += replay_socket(interlude->fds[i], worker, net_index(worker->net, &devices[i]), now_ms);
	for (unsigned i = 0; i < later.n; i++) {
		worker_input(worker, &later.mbufs[i],
			     worker_arrived(worker, (uint8_t)later.mbufs[i]->port, &later.mbufs[i], 1, now_ms));
		if (i % WORKER_BURST == 0)
			worker_flush(worker);
	}
	worker_flush(worker);
	interlude_close(interlude);
	return total;
}
