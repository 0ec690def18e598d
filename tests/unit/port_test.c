/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports on devices that need no hardware. Those on Linux interfaces need a network namespace of their own, and so the
 * right to make one: without it they are left out, and said to be.
 */
#include "dataplane/port.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/interface.h"
#include "platform/text.h"
#include "tests/unit/wire.h"

static bool has_namespace;

static struct conf *
conf_of(const char *device, const char *arguments, uint16_t mtu)
{
	static struct conf conf;
	static char copy[128];

	conf = (struct conf){.n_ports = 1};
	conf.ports[0] = (struct conf_port){.name = "wan", .mtu = mtu, .rx_descriptors = 256, .tx_descriptors = 256};
	snprintf(conf.ports[0].device, sizeof(conf.ports[0].device), "%s", device);
	snprintf(copy, sizeof(copy), "%s", arguments ? arguments : "");
	conf.ports[0].arguments = arguments ? copy : NULL;
	return &conf;
}

static void
test_open(void)
{
	struct device device;
	struct text error = {0};
	struct rte_mbuf *mbufs[4];
	int fds[PORT_WAKEUP_MAX];
	unsigned i;

	/* Twice: closing gives the device back. */
	for (i = 0; i < 2; i++) {
		CU_ASSERT_TRUE_FATAL(
			port_open(conf_of("net_null0", "size=64", 1500), 0, 3, wire_pool, &device, &error));
		CU_ASSERT_PTR_NULL(error.bytes);
		CU_ASSERT_EQUAL(device.rx_queues, 1);
		CU_ASSERT_EQUAL(device.tx_queues, 1);
		CU_ASSERT_FALSE(device.rx_checksummed);
		CU_ASSERT_FALSE(device.is_tap);
		CU_ASSERT_EQUAL(port_wakeup_fds(&device, 0, fds), 0);
		CU_ASSERT_EQUAL(device.rx(&device, 0, mbufs, 4), 4);
		CU_ASSERT_EQUAL(mbufs[0]->data_len, 64);
		CU_ASSERT_EQUAL(device.tx(&device, 0, mbufs, 4), 4);
		port_close(&device);
		CU_ASSERT_TRUE(wire_is_clean());
	}
}

static void
test_refused(void)
{
	/* A part of the message that says what to do. */
	static const struct {
		const char *device, *arguments;
		uint16_t mtu;
		const char *says;
	} cases[] = {
		{"0000:99:00.0", NULL, 1500, "vfio-pci"},
		{"net_nonsense0", NULL, 1500, "net_nonsense0"},
		{"net_null0", NULL, 2048, "packet buffers of 2048 bytes"},
		{"net_af_packet0", "iface=lo,framesz=4096", 1500, "1584 to 2080"},
		{"net_af_packet0", "iface=lo", 1990, "framesz=2048"},
		{"net_af_packet0", "iface=lo,framesz=1600", 1500, "multiple of framesz=1600"},
		{"net_af_packet0", "iface=lo,framesz=2048,blocksz=5000", 1500, "blocksz=5000"},
		{"net_af_xdp0", "iface=lo", 1775, "mtu can be over 34"},
		{"net_af_packet0", "qpairs=1,iface=postern-none0", 1500, "no Linux interface 'postern-none0'"},
		{"net_af_xdp0", "iface=a-name-that-no-interface-can-have", 1500, "no Linux interface"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text error = {0};
		struct device device;

		CU_ASSERT_FALSE(port_open(conf_of(cases[i].device, cases[i].arguments, cases[i].mtu), 0, 1, wire_pool,
					  &device, &error));
		CU_ASSERT_PTR_NOT_NULL_FATAL(error.bytes);
		if (strstr(error.bytes, cases[i].says) == NULL)
			fprintf(stderr, "%s\n", error.bytes);
		CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, cases[i].says));
		text_free(&error);
	}
}

static void
run(const char *command)
{
	if (system(command) != 0) {
		fprintf(stderr, "%s\n", command);
		abort();
	}
}

static bool
readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void
test_interface(void)
{
	static const struct {
		const char *before;
		uint16_t mtu;
		const char *says; /* NULL: nothing wrong */
	} cases[] = {{"ip link set a0 up", 1500, NULL},
		     {"ip link set a0 mtu 1400", 1500, "ip link set dev a0 mtu 1500"},
		     {"ip link set a0 down", 1400, "ip link set dev a0 up"},
		     {"ip link set a0 up mtu 1500", 1500, NULL}};

	for (size_t i = 0; has_namespace && i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text error = {0};

		run(cases[i].before);
		CU_ASSERT_EQUAL(interface_check("a0", "wan", cases[i].mtu, &error), cases[i].says == NULL);
		CU_ASSERT_EQUAL(error.bytes != NULL, cases[i].says != NULL);
		if (cases[i].says && error.bytes)
			CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, cases[i].says));
		text_free(&error);
	}
}

/* A frame wakes who sleeps on the port's descriptors; when it has been taken, they are quiet again. */
static void
wakes(const char *name, const char *arguments)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("b0")};
	struct text error = {0};
	struct rte_mbuf *mbufs[4];
	uint8_t frame[60] = {0};
	struct device device;
	int fds[PORT_WAKEUP_MAX], peer = socket(AF_PACKET, SOCK_RAW, 0);

	CU_ASSERT_TRUE_FATAL(port_open(conf_of(name, arguments, 1500), 0, 2, wire_pool, &device, &error));
	CU_ASSERT_EQUAL(device.rx_queues, 1);
	CU_ASSERT_EQUAL(device.tx_queues, 1);
	CU_ASSERT_EQUAL_FATAL(port_wakeup_fds(&device, 0, fds), 1);
	memcpy(frame, device.mac, 6);
	frame[6] = 2;
	for (unsigned i = 0; i < 3; i++) {
		port_wakeup_arm(&device, 0, true);
		CU_ASSERT_FALSE(readable(fds[0], 20));
		CU_ASSERT_EQUAL(sendto(peer, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
				sizeof(frame));
		CU_ASSERT_TRUE(readable(fds[0], 1000));
		port_wakeup_arm(&device, 0, false);
		CU_ASSERT_EQUAL_FATAL(device.rx(&device, 0, mbufs, 4), 1);
		CU_ASSERT_EQUAL(mbufs[0]->data_len, sizeof(frame));
		CU_ASSERT_EQUAL(memcmp(rte_pktmbuf_mtod(mbufs[0], uint8_t *), frame, sizeof(frame)), 0);
		rte_pktmbuf_free(mbufs[0]);
		CU_ASSERT_EQUAL(device.rx(&device, 0, mbufs, 4), 0);
	}
	port_close(&device);
	close(peer);
}

static void
test_af_packet(void)
{
	if (has_namespace)
		wakes("net_af_packet0", "iface=a0");
}

static void
test_tap(void)
{
	struct device port = {.mac = {2, 0, 0, 0, 0, 0x42}}, tap;
	struct text error = {0};
	int fds[PORT_WAKEUP_MAX];
	struct conf *conf = conf_of("net_null0", NULL, 1400);

	if (!has_namespace || access("/dev/net/tun", R_OK | W_OK) != 0)
		return;
	CU_ASSERT_TRUE_FATAL(port_open_tap(conf, 0, &port, wire_pool, &tap, &error));
	CU_ASSERT_TRUE(tap.is_tap);
	CU_ASSERT_EQUAL(memcmp(tap.mac, port.mac, 6), 0);
	CU_ASSERT_TRUE(interface_check("pt-wan", "wan", 1400, &error));
	CU_ASSERT_EQUAL(port_wakeup_fds(&tap, 0, fds), 1);
	port_close(&tap);
	CU_ASSERT_EQUAL(if_nametoindex("pt-wan"), 0);

	strcpy(conf->ports[0].name, "a-name-too-long");
	CU_ASSERT_FALSE(port_open_tap(conf, 0, &port, wire_pool, &tap, &error));
	text_free(&error);
}

static CU_TestInfo tests[] = {
	{"open and close", test_open},
	{"what can't be opened", test_refused},
	{"Linux interfaces", test_interface},
	{"af_packet", test_af_packet},
	{"tap", test_tap},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	has_namespace = unshare(CLONE_NEWNET) == 0;
	if (has_namespace) {
		run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
		run("ip link add a0 type veth peer name b0 && ip link set b0 up");
	} else {
		fprintf(stderr, "not allowed to make a network namespace: ports on Linux interfaces are left out\n");
	}
	wire_open();
	return unit_run("port", tests);
}
