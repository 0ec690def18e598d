/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP for our own addresses, and what goes to the host. */
#include "dataplane/icmp_quote.h"

#include <stdio.h>

#include "dataplane/host.h"
#include "tests/unit/wire.h"

/* A frame to our address, of one of the families and ports; body's checksum is filled in. */
static uint32_t
to_us(uint8_t bytes[FRAME_MAX], bool v4, uint16_t vlan, uint8_t protocol, const void *body, uint16_t length)
{
	struct frame frame = {v4 ? "203.0.113.9" : "2001:db8:5::9",
			      v4 ? "192.0.2.1" : "2001:db8::1",
			      wire_mac,
			      wire_peer,
			      vlan,
			      protocol,
			      7,
			      body,
			      length};

	return frame_write(&frame, bytes);
}

static void
finish(void)
{
	wire_stop();
	CU_ASSERT_TRUE(wire_is_clean());
}

static void
test_echo(void)
{
	static const uint16_t lengths[] = {8, 9, 64, 1480};
	uint8_t bytes[FRAME_MAX], expected[FRAME_MAX], body[1480];

	for (unsigned i = 0; i < 16; i++) {
		bool v4 = i & 1;
		uint16_t vlan = i & 2 ? 77 : 0, length = lengths[i / 4];
		struct frame frame = {v4 ? "192.0.2.1" : "2001:db8::1",
				      v4 ? "203.0.113.9" : "2001:db8:5::9",
				      wire_peer,
				      wire_mac,
				      vlan,
				      v4 ? 1 : 58,
				      64,
				      body,
				      length};
		uint32_t n;

		wire_start();
		for (unsigned j = 0; j < length; j++)
			body[j] = (uint8_t)(j * 5);
		body[0] = v4 ? 8 : 128;
		body[1] = 0;
		n = to_us(bytes, v4, vlan, v4 ? 1 : 58, body, length);
		memset(bytes + n, 0xee, 18); /* padding stays behind */
		CU_ASSERT_EQUAL(wire_in(bytes, n + 18), 1);
		body[0] = v4 ? 0 : 129;
		CU_ASSERT_EQUAL(frame_write(&frame, expected), n);
		CU_ASSERT_EQUAL(wire_sent[0].length, n);
		CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes, expected, n), 0);
		CU_ASSERT_EQUAL(wire_stats.echo_replies, 1);
		finish();
	}
}

/* What isn't answered, and where it goes instead: to the host by the tap of port 0, or, on port 1, nowhere. */
static void
test_not_answered(void)
{
	static const struct {
		const char *what;
		bool v4;
		uint8_t type, code;
		const char *destination; /* NULL: ours */
		bool broadcast;
		bool to_host;
		enum reason reason; /* without a tap, or at all */
	} cases[] = {
		{"echo reply", true, 0, 0, NULL, false, true, REASON_ICMP_IGNORED},
		{"echo reply", false, 129, 0, NULL, false, true, REASON_ICMP_IGNORED},
		{"echo with a code", true, 8, 1, NULL, false, true, REASON_ICMP_IGNORED},
		{"ICMPv6's echo in ICMP", true, 128, 0, NULL, false, true, REASON_ICMP_IGNORED},
		{"ICMP's echo in ICMPv6", false, 8, 0, NULL, false, true, REASON_ICMP_IGNORED},
		{"redirect", true, 5, 0, NULL, false, true, REASON_ICMP_IGNORED},
		{"an error that quotes nothing", true, 3, 1, NULL, false, true, REASON_ICMP_IGNORED},
		{"echo to another", true, 8, 0, "192.0.2.7", false, false, REASON_IP_NOT_OURS},
		{"echo in a broadcast frame", true, 8, 0, NULL, true, false, REASON_ICMP_IGNORED},
	};
	uint8_t bytes[FRAME_MAX];

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool v4 = cases[i / 2].v4, has_tap = i % 2 == 0, to_host = cases[i / 2].to_host && has_tap;
		uint8_t body[16] = {cases[i / 2].type, cases[i / 2].code};
		struct frame frame = {v4 ? "203.0.113.9" : "2001:db8:5::9",
				      cases[i / 2].destination ? cases[i / 2].destination
				      : v4                     ? "192.0.2.1"
							       : "2001:db8::1",
				      cases[i / 2].broadcast ? wire_broadcast : wire_mac,
				      wire_peer,
				      has_tap ? 0 : 77,
				      v4 ? 1 : 58,
				      7,
				      body,
				      sizeof(body)};
		uint32_t length = frame_write(&frame, bytes);

		wire_start();
		CU_ASSERT_EQUAL(wire_in(bytes, length), to_host);
		if (to_host) {
			CU_ASSERT_EQUAL(wire_sent[0].device, WIRE_TAP);
			CU_ASSERT_EQUAL(wire_sent[0].length, length);
			CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes, bytes, length), 0);
		}
		if (wire_stats.reasons[cases[i / 2].reason] == to_host)
			fprintf(stderr, "%s\n", cases[i / 2].what);
		CU_ASSERT_EQUAL(wire_stats.reasons[cases[i / 2].reason], !to_host);
		CU_ASSERT_EQUAL(wire_stats.to_host, to_host);
		finish();
	}
}

/* An error that quotes a segment from ours to the peer; returns the frame's length. */
static uint32_t
error_write(uint8_t bytes[FRAME_MAX], bool v4, uint8_t type, uint8_t code, uint32_t rest, uint16_t tcp_length)
{
	uint8_t body[128] = {type, code}, quoted[FRAME_MAX], tcp[60];
	struct frame quote = {v4 ? "192.0.2.1" : "2001:db8::1",
			      v4 ? "198.18.0.1" : "2001:db8:6::1",
			      wire_mac,
			      wire_mac,
			      0,
			      6,
			      60,
			      tcp,
			      20};
	uint16_t ip = v4 ? 20 : 40;

	frame_put_32(body + 4, rest);
	frame_tcp(tcp, 33000, 8443, 0x11223344, 1, 0x10, 20);
	frame_write(&quote, quoted);
	memcpy(body + 8, quoted + 14, ip + 20u);
	return to_us(bytes, v4, 0, v4 ? 1 : 58, body, (uint16_t)(8 + ip + tcp_length));
}

static bool
quote_of(const uint8_t *bytes, uint32_t length, struct icmp_quote *quote)
{
	uint8_t *copy = malloc(length);
	struct packet packet;
	bool right;

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, length);
	packet_parse(copy, length, length, false, PACKET_NO_TAG, &packet);
	CU_ASSERT_NOT_EQUAL(packet.kind, PACKET_BAD);
	memset(quote, 0xee, sizeof(*quote));
	right = icmp_quote_parse(&wire_net, copy, &packet, quote);
	free(copy);
	return right;
}

static void
test_quote(void)
{
	static const struct {
		bool v4;
		uint8_t type, code;
		uint32_t rest;
		bool is_error;
		enum icmp_error error;
		uint16_t mtu;
	} cases[] = {
		{true, 3, 1, 0, true, ICMP_UNREACHABLE, 0},
		{true, 3, 4, 1400, true, ICMP_TOO_BIG, 1400},
		{true, 3, 4, 0, true, ICMP_TOO_BIG, 0},
		{true, 11, 0, 0, true, ICMP_TIME_EXCEEDED, 0},
		{true, 1, 0, 0, false, 0, 0},
		{true, 2, 0, 1400, false, 0, 0},
		{true, 12, 0, 0, false, 0, 0},
		{false, 1, 4, 0, true, ICMP_UNREACHABLE, 0},
		{false, 2, 0, 1280, true, ICMP_TOO_BIG, 1280},
		{false, 2, 0, 0x10000, true, ICMP_TOO_BIG, 65535},
		{false, 3, 4, 1400, true, ICMP_TIME_EXCEEDED, 0},
		{false, 4, 0, 0, false, 0, 0},
		{false, 11, 0, 0, false, 0, 0},
	};
	uint8_t bytes[FRAME_MAX];
	struct icmp_quote quote;

	wire_start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool v4 = cases[i].v4;
		struct ip_addr peer = frame_addr(v4 ? "198.18.0.1" : "2001:db8:6::1");
		uint32_t length = error_write(bytes, v4, cases[i].type, cases[i].code, cases[i].rest, 8);

		CU_ASSERT_EQUAL(quote_of(bytes, length, &quote), cases[i].is_error);
		if (!cases[i].is_error)
			continue;
		CU_ASSERT_EQUAL(quote.error, cases[i].error);
		CU_ASSERT_EQUAL(quote.code, cases[i].code);
		CU_ASSERT_EQUAL(quote.mtu, cases[i].mtu);
		CU_ASSERT_EQUAL(quote.local_addr, v4 ? 0 : 1);
		CU_ASSERT_TRUE(ip_addr_equal(&quote.peer, &peer));
		CU_ASSERT_EQUAL(quote.local_port, htons(33000));
		CU_ASSERT_EQUAL(quote.peer_port, htons(8443));
		CU_ASSERT_EQUAL(quote.seq, 0x11223344);
		CU_ASSERT_EQUAL(quote.l3, v4 ? 42 : 62);
		CU_ASSERT_EQUAL(quote.l4, v4 ? 62 : 102);
		CU_ASSERT_EQUAL(quote.l4_length, 8);
	}
	finish();
}

static void
test_quote_refused(void)
{
	/* Offsets of the quoted IP header: 42, and 62 in ICMPv6. */
	static const struct {
		bool v4;
		uint16_t at;
		uint8_t value;
	} cases[] = {{true, 42, 0x46},  {true, 42, 0x65}, {true, 51, 17},
		     {true, 49, 1},     {true, 57, 2}, /* not our source */
		     {false, 62, 0x45}, {false, 68, 17},  {false, 85, 2}};
	uint8_t bytes[FRAME_MAX];
	struct icmp_quote quote;
	struct ip_addr mapped = frame_addr("192.0.2.1");

	wire_start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t length = error_write(bytes, cases[i].v4, cases[i].v4 ? 3 : 1, 0, 0, 20);

		CU_ASSERT_TRUE(quote_of(bytes, length, &quote));
		bytes[cases[i].at] = cases[i].value;
		frame_fix(bytes, 14);
		CU_ASSERT_FALSE(quote_of(bytes, length, &quote));
	}
	/* Sent to another address of ours than the one that it quotes: nobody does that. */
	uint32_t elsewhere = error_write(bytes, true, 3, 4, 1400, 20);
	memcpy(bytes + 30, (const uint8_t[4]){198, 51, 100, 1}, 4);
	frame_fix(bytes, 14);
	CU_ASSERT_FALSE(quote_of(bytes, elsewhere, &quote));
	/* An IPv4-mapped source would pass for our IPv4 address. */
	uint32_t length = error_write(bytes, false, 1, 0, 0, 20);
	memcpy(bytes + 70, mapped.bytes, 16);
	frame_fix(bytes, 14);
	CU_ASSERT_FALSE(quote_of(bytes, length, &quote));
	/* Cut anywhere. */
	for (unsigned v4 = 0; v4 < 2; v4++) {
		uint16_t whole = v4 ? 8 + 20 + 8 : 8 + 40 + 8;

		length = error_write(bytes, v4, v4 ? 3 : 1, 0, 0, 8);
		for (uint16_t cut = 1; cut <= whole - 8; cut++) {
			frame_put_16(bytes + (v4 ? 16 : 18), (uint16_t)((v4 ? 20 : 0) + whole - cut));
			frame_fix(bytes, 14);
			CU_ASSERT_FALSE(quote_of(bytes, length - cut, &quote));
		}
	}
	finish();
}

/* To the host: as it came, but untagged; from the host: as it is, but tagged. */
static void
test_host(void)
{
	uint8_t bytes[FRAME_MAX], body[40] = {0x12, 0x34};
	struct rte_mbuf *mbuf;
	struct packet packet;
	uint32_t length;

	wire_start();
	length = to_us(bytes, true, 77, 17, body, sizeof(body));
	wire_net.ports[1].tap = wire_net.ports[0].tap;
	wire_net.ports[0].tap = NET_PORT_NONE;
	CU_ASSERT_EQUAL(wire_in(bytes, length), 1);
	CU_ASSERT_EQUAL(wire_sent[0].device, WIRE_TAP);
	CU_ASSERT_EQUAL(wire_sent[0].length, length - 4);
	CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes, bytes, 12), 0);
	CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes + 12, bytes + 16, length - 16), 0);

	memcpy(bytes, wire_sent[0].bytes, length - 4);
	mbuf = wire_mbuf(bytes, length - 4);
	wire_n_sent = 0;
	host_forward(wire_worker, WIRE_TAP, &mbuf, 1);
	wire_flush();
	CU_ASSERT_EQUAL(wire_n_sent, 1);
	CU_ASSERT_EQUAL(wire_sent[0].device, WIRE_DEVICE);
	CU_ASSERT_EQUAL(wire_sent[0].length, length);
	CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes, bytes, 12), 0);
	CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes + 12, "\x81\0\0\x4d", 4), 0);
	CU_ASSERT_EQUAL(memcmp(wire_sent[0].bytes + 16, bytes + 12, length - 16), 0);
	CU_ASSERT_EQUAL(wire_stats.from_host, 1);

	mbuf = wire_mbuf(bytes, 13);
	host_forward(wire_worker, WIRE_TAP, &mbuf, 1);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_FRAME_SHORT], 1);

	/* The same without a tap. */
	length = to_us(bytes, true, 0, 17, body, sizeof(body));
	packet_parse(bytes, length, length, false, PACKET_NO_TAG, &packet);
	packet.port = 0;
	host_deliver(wire_worker, &packet, wire_mbuf(bytes, length), REASON_IP_PROTOCOL);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_IP_PROTOCOL], 1);
	finish();
}

static CU_TestInfo tests[] = {
	{"echo", test_echo},
	{"what isn't answered", test_not_answered},
	{"quoted segments", test_quote},
	{"quotes refused", test_quote_refused},
	{"to the host and from it", test_host},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	wire_open();
	return unit_run("icmp", tests);
}
