/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net.h"

#include <stdio.h>

#include "tests/unit/frame.h"
#include "tests/unit/unit.h"

/* Two ports on one device (untagged, and VLAN 77), one on another with a tap. */
static struct device wire = {.mac = {2, 0, 0, 0xaa, 0xbb, 1}}, other = {.mac = {2, 0, 0, 0, 0, 2}}, tap;
static struct conf conf;
static struct net net;

static struct ip_prefix
prefix(const char *text)
{
	struct ip_prefix parsed;

	if (!ip_prefix_parse(text, &parsed))
		abort();
	return parsed;
}

static void
make(void)
{
	struct device *devices[] = {&wire, &wire, &other}, *taps[] = {NULL, NULL, &tap};

	memset(&conf, 0, sizeof(conf));
	conf.n_ports = 3;
	conf.ports[0] = (struct conf_port){
		.mtu = 1500,
		.n_addresses = 3,
		.addresses = {prefix("192.0.2.1/24"), prefix("192.0.2.130/25"), prefix("2001:db8::1/64")}};
	conf.ports[1] =
		(struct conf_port){.mtu = 1400, .vlan = 77, .n_addresses = 1, .addresses = {prefix("198.51.100.1/24")}};
	conf.ports[2] = (struct conf_port){.mtu = 9000, .n_addresses = 1, .addresses = {prefix("2001:db8:2::1/48")}};
	conf.n_routes = 5;
	conf.routes[0] = (struct conf_route){prefix("0.0.0.0/0"), frame_addr("192.0.2.254"), 0};
	conf.routes[1] = (struct conf_route){prefix("10.0.0.0/8"), frame_addr("198.51.100.254"), 1};
	conf.routes[2] = (struct conf_route){prefix("10.1.0.0/16"), frame_addr("192.0.2.253"), 0};
	conf.routes[3] = (struct conf_route){prefix("192.0.2.0/24"), frame_addr("198.51.100.9"), 1};
	conf.routes[4] = (struct conf_route){prefix("2001:db8:9::/48"), frame_addr("fe80::99"), 2};
	net_init(&net, &conf, devices, taps);
}

static void
test_ports(void)
{
	struct ip_addr link_local = frame_addr("fe80::ff:feaa:bb01");

	make();
	CU_ASSERT_EQUAL(net.n_ports, 3);
	CU_ASSERT_EQUAL(net.n_devices, 3);
	CU_ASSERT_EQUAL(net.ports[0].device, net.ports[1].device);
	CU_ASSERT_EQUAL(net.ports[0].tap, NET_PORT_NONE);
	CU_ASSERT_PTR_EQUAL(net.devices[net.ports[2].tap], &tap);
	CU_ASSERT_EQUAL(net.ports[0].header_length, 14);
	CU_ASSERT_EQUAL(net.ports[1].header_length, 18);
	CU_ASSERT_EQUAL(net.ports[1].mtu, 1400);
	CU_ASSERT_EQUAL(net.ports[0].link_local, 1);
	/* The universal bit of 02:00:00:aa:bb:01 is turned over. */
	CU_ASSERT_TRUE(ip_addr_equal(&net.ports[0].link_local_addr, &link_local));
	CU_ASSERT_EQUAL(net_port_find(&net, net.ports[0].device, 0), 0);
	CU_ASSERT_EQUAL(net_port_find(&net, net.ports[0].device, 77), 1);
	CU_ASSERT_EQUAL(net_port_find(&net, net.ports[0].device, 78), NET_PORT_NONE);
	CU_ASSERT_EQUAL(net_port_find(&net, net.ports[2].device, 0), 2);
	CU_ASSERT_EQUAL(net_port_find(&net, net.ports[2].tap, 0), NET_PORT_NONE);
}

static void
test_addresses(void)
{
	static const struct {
		const char *addr;
		uint16_t index;
	} cases[] = {{"192.0.2.1", 0},
		     {"192.0.2.130", 1},
		     {"2001:db8::1", 2},
		     {"198.51.100.1", 3},
		     {"2001:db8:2::1", 4},
		     {"192.0.2.2", NET_ADDRESS_NONE},
		     {"2001:db8::2", NET_ADDRESS_NONE},
		     {"0.0.0.0", NET_ADDRESS_NONE}};

	make();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr addr = frame_addr(cases[i].addr);

		CU_ASSERT_EQUAL(net_address_find(&net, &addr), cases[i].index);
	}
}

/* As many as there may be: the hash must find each of them, and no stranger. */
static void
test_address_hash(void)
{
	struct device *devices[] = {&wire}, *taps[] = {NULL};
	struct ip_addr addr = frame_addr("10.0.0.0");
	unsigned i, found = 0;

	memset(&conf, 0, sizeof(conf));
	conf.n_ports = 1;
	conf.ports[0].n_addresses = CONF_ADDRESSES_MAX;
	for (i = 0; i < CONF_ADDRESSES_MAX; i++) {
		addr.bytes[15] = (uint8_t)(i * 7);
		conf.ports[0].addresses[i] = (struct ip_prefix){addr, 24};
	}
	net_init(&net, &conf, devices, taps);
	for (i = 0; i < 256; i++) {
		addr.bytes[15] = (uint8_t)i;
		found += net_address_find(&net, &addr) != NET_ADDRESS_NONE;
	}
	CU_ASSERT_EQUAL(found, CONF_ADDRESSES_MAX);
	for (i = 0; i < CONF_ADDRESSES_MAX; i++)
		CU_ASSERT_EQUAL(net_address_find(&net, &conf.ports[0].addresses[i].addr), i);
}

static void
test_routes(void)
{
	static const struct {
		const char *to;
		uint8_t port; /* NET_PORT_NONE: no route */
		const char *via;
	} cases[] = {
		{"192.0.2.7", 0, "192.0.2.7"}, /* on-link, though a static route has the same prefix */
		{"192.0.2.131", 0, "192.0.2.131"},   {"10.2.3.4", 1, "198.51.100.254"},
		{"10.1.3.4", 0, "192.0.2.253"},      {"203.0.113.1", 0, "192.0.2.254"},
		{"2001:db8::77", 0, "2001:db8::77"}, {"2001:db8:2:ffff::1", 2, "2001:db8:2:ffff::1"},
		{"2001:db8:9::1", 2, "fe80::99"},    {"2001:db8:8::1", NET_PORT_NONE, NULL},
		{"fe80::1", NET_PORT_NONE, NULL}, /* which of the links? */
	};

	make();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr to = frame_addr(cases[i].to), via, expected;
		uint8_t port = NET_PORT_NONE;

		CU_ASSERT_EQUAL(net_route_find(&net, &to, &port, &via), cases[i].via != NULL);
		CU_ASSERT_EQUAL(port, cases[i].port);
		if (cases[i].via == NULL)
			continue;
		expected = frame_addr(cases[i].via);
		CU_ASSERT_TRUE(ip_addr_equal(&via, &expected));
	}
}

static void
test_source(void)
{
	static const struct {
		uint8_t port;
		const char *via;
		uint16_t index;
		bool on_link;
	} cases[] = {{0, "192.0.2.7", 0, true},
		     {0, "192.0.2.200", 0, true},
		     {0, "203.0.113.1", 0, false},
		     {0, "2001:db8::5", 2, true},
		     {0, "fe80::1", 2, false},
		     {1, "192.0.2.7", 3, false},
		     {1, "198.51.100.7", 3, true},
		     {1, "fe80::1", NET_ADDRESS_NONE, false},
		     {2, "10.0.0.1", NET_ADDRESS_NONE, false},
		     {2, "2001:db8:2:7::1", 4, true}};

	make();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr via = frame_addr(cases[i].via);

		CU_ASSERT_EQUAL(net_source(&net, cases[i].port, &via), cases[i].index);
		CU_ASSERT_EQUAL(net_on_link(&net, cases[i].port, &via), cases[i].on_link);
	}
	/* The address whose own prefix holds the next hop goes before an earlier one of the port. */
	struct ip_addr via = frame_addr("192.0.2.200");
	net.addresses[0].length = 25;
	CU_ASSERT_EQUAL(net_source(&net, 0, &via), 1);
}

static void
test_accepts(void)
{
	static const struct {
		uint8_t port, mac[6];
		bool accepted;
	} cases[] = {
		{0, {2, 0, 0, 0xaa, 0xbb, 1}, true},
		{1, {2, 0, 0, 0xaa, 0xbb, 1}, true},
		{2, {2, 0, 0, 0xaa, 0xbb, 1}, false},
		{0, {2, 0, 0, 0xaa, 0xbb, 2}, false},
		{0, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true},
		{0, {0x33, 0x33, 0, 0, 0, 1}, true},
		{0, {0x33, 0x33, 0, 0, 0, 2}, false},
		{0, {0x33, 0x33, 0xff, 0, 0, 1}, true},       /* of 2001:db8::1 */
		{0, {0x33, 0x33, 0xff, 0xaa, 0xbb, 1}, true}, /* of the link-local address */
		{1, {0x33, 0x33, 0xff, 0, 0, 1}, false},
		{0, {0x33, 0x33, 0xff, 0, 2, 1}, false}, /* the end of 192.0.2.1: not IPv6 */
		{0, {1, 0, 0x5e, 0, 0, 1}, false},
	};

	make();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(net_accepts(&net, cases[i].port, cases[i].mac), cases[i].accepted);
}

static CU_TestInfo tests[] = {
	{"ports", test_ports},   {"addresses", test_addresses},     {"the address hash, full", test_address_hash},
	{"routes", test_routes}, {"source addresses", test_source}, {"accepted MACs", test_accepts},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("net", tests);
}
