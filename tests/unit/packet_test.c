/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/packet.h"

#include <stdio.h>

#include "tests/unit/frame.h"
#include "tests/unit/unit.h"

static const uint8_t mac_ours[6] = {2, 0, 0, 0, 0, 1}, mac_peer[6] = {2, 0, 0, 0, 0, 2};

/* Frames that tables start from. All carry ports 40000 → 443, seq 0x01020304, ack 0x0a0b0c0d, 12 bytes of options and
 * "hello". */
enum base { V4, V6, TAGGED, PING, PING6, UDP, ARP };

static uint32_t
base_write(enum base base, uint8_t bytes[FRAME_MAX])
{
	uint8_t body[64] = {0};
	struct frame frame = {.source = "192.0.2.9",
			      .destination = "198.51.100.1",
			      .to = mac_ours,
			      .from = mac_peer,
			      .protocol = 6,
			      .hop_limit = 61,
			      .body = body,
			      .length = 37};

	frame_tcp(body, 40000, 443, 0x01020304, 0x0a0b0c0d, 0x18, 32);
	memcpy(body + 32, "hello", 5);
	switch (base) {
	case V4:
		break;
	case TAGGED:
		frame.vlan = 77;
		break;
	case V6:
		frame.source = "2001:db8::9";
		frame.destination = "2001:db8:1::1";
		break;
	case PING6:
		frame.source = "2001:db8::9";
		frame.destination = "2001:db8:1::1";
		/* fall through */
	case PING:
		frame.protocol = base == PING ? 1 : 58;
		memset(body, 0, sizeof(body));
		body[0] = base == PING ? 8 : 128;
		frame.length = 21;
		break;
	case UDP:
		frame.protocol = 17;
		break;
	case ARP:
		frame_write(&frame, bytes);
		frame_put_16(bytes + 12, 0x0806);
		return 14 + 28;
	}
	return frame_write(&frame, bytes);
}

/* Parses an exact copy, so that ASan sees any read beyond it. */
static struct packet
parse(const uint8_t *bytes, uint32_t length, uint32_t total, bool checksummed, uint16_t vlan_stripped)
{
	uint8_t *copy = malloc(length ? length : 1);
	struct packet packet;

	if (copy == NULL)
		abort();
	memset(&packet, 0xee, sizeof(packet));
	memcpy(copy, bytes, length);
	packet_parse(copy, length, total, checksummed, vlan_stripped, &packet);
	free(copy);
	return packet;
}

static void
test_fields(void)
{
	static const struct {
		enum base base;
		bool v4;
		uint16_t vlan, l3, l4;
		const char *source, *destination;
	} cases[] = {
		{V4, true, 0, 14, 34, "192.0.2.9", "198.51.100.1"},
		{TAGGED, true, 77, 18, 38, "192.0.2.9", "198.51.100.1"},
		{V6, false, 0, 14, 54, "2001:db8::9", "2001:db8:1::1"},
	};
	uint8_t bytes[FRAME_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t length = base_write(cases[i].base, bytes);
		struct packet packet = parse(bytes, length, length, false, PACKET_NO_TAG);
		struct ip_addr source = frame_addr(cases[i].source), destination = frame_addr(cases[i].destination);

		CU_ASSERT_EQUAL(packet.kind, PACKET_TCP);
		CU_ASSERT_EQUAL(packet.reason, REASON_NONE);
		CU_ASSERT_EQUAL(packet.v4, cases[i].v4);
		CU_ASSERT_TRUE(packet.l2_unicast);
		CU_ASSERT_EQUAL(packet.hop_limit, 61);
		CU_ASSERT_EQUAL(packet.vlan, cases[i].vlan);
		CU_ASSERT_EQUAL(packet.l3, cases[i].l3);
		CU_ASSERT_EQUAL(packet.l4, cases[i].l4);
		CU_ASSERT_EQUAL(packet.payload, cases[i].l4 + 32);
		CU_ASSERT_EQUAL(packet.l4_length, 37);
		CU_ASSERT_EQUAL(packet.payload_length, 5);
		CU_ASSERT_EQUAL(packet.options_length, 12);
		CU_ASSERT_EQUAL(packet.window, 0xfde8);
		CU_ASSERT_EQUAL(packet.flags, TCP_PSH | TCP_ACK);
		CU_ASSERT_EQUAL(packet.seq, 0x01020304);
		CU_ASSERT_EQUAL(packet.ack, 0x0a0b0c0d);
		CU_ASSERT_EQUAL(packet.source_port, htons(40000));
		CU_ASSERT_EQUAL(packet.destination_port, htons(443));
		CU_ASSERT_TRUE(ip_addr_equal(&packet.source, &source));
		CU_ASSERT_TRUE(ip_addr_equal(&packet.destination, &destination));
		CU_ASSERT_EQUAL(packet_seq_length(&packet), 5);
	}
}

static void
test_kinds(void)
{
	static const struct {
		enum base base;
		enum packet_kind kind;
		uint16_t l4_length;
	} cases[] = {{PING, PACKET_ICMP, 21}, {PING6, PACKET_ICMP6, 21}, {UDP, PACKET_OTHER, 37}};
	uint8_t bytes[FRAME_MAX];
	struct packet packet;
	uint32_t length;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		length = base_write(cases[i].base, bytes);
		packet = parse(bytes, length, length, false, PACKET_NO_TAG);
		CU_ASSERT_EQUAL(packet.kind, cases[i].kind);
		CU_ASSERT_EQUAL(packet.l4_length, cases[i].l4_length);
		CU_ASSERT_EQUAL(packet.l4, packet.v4 ? 34 : 54);
	}
	length = base_write(ARP, bytes);
	packet = parse(bytes, length, length, false, PACKET_NO_TAG);
	CU_ASSERT_EQUAL(packet.kind, PACKET_ARP);
	CU_ASSERT_EQUAL(packet.l3, 14);
}

enum { FIX = 1, STRIPPED_TAG = 2, CHECKSUMMED = 4, NO_PATCH = 0xffff };

/* A base with up to three bytes changed, then (FIX) checksums made right again. Offsets: IPv4 at 14, TCP at 34; IPv6 at
 * 14, TCP at 54. */
static const struct wrong {
	const char *name;
	enum base base;
	unsigned flags;
	enum reason reason; /* REASON_NONE: it is right */
	struct {
		uint16_t at;
		uint8_t value;
	} patch[3];
} wrong[] = {
	{"right", V4, 0, REASON_NONE, {{NO_PATCH, 0}}},
	{"group source MAC", V4, 0, REASON_IP_MARTIAN, {{6, 3}}},
	{"802.3 length", V4, 0, REASON_ETHERTYPE_UNKNOWN, {{12, 0}, {13, 60}}},
	{"QinQ", TAGGED, 0, REASON_ETHERTYPE_UNKNOWN, {{12, 0x88}, {13, 0xa8}}},
	{"a second tag", TAGGED, 0, REASON_ETHERTYPE_UNKNOWN, {{16, 0x81}, {17, 0}}},
	{"a tag in the frame and one stripped", TAGGED, STRIPPED_TAG, REASON_ETHERTYPE_UNKNOWN, {{NO_PATCH, 0}}},
	{"priority tag", TAGGED, 0, REASON_NONE, {{14, 0xe0}, {15, 0}}},
	{"version 6 in IPv4", V4, FIX, REASON_IP_VERSION, {{14, 0x65}}},
	{"version 4 in IPv6", V6, 0, REASON_IP_VERSION, {{14, 0x40}}},
	{"IHL 4", V4, 0, REASON_IP_LENGTH, {{14, 0x44}}},
	{"IHL 6", V4, 0, REASON_IP_OPTIONS, {{14, 0x46}}},
	{"IHL 15 in a short packet", V4, 0, REASON_IP_LENGTH, {{14, 0x4f}, {17, 59}}},
	{"total length 19", V4, 0, REASON_IP_LENGTH, {{17, 19}}},
	{"total length 1 too long", V4, 0, REASON_IP_LENGTH, {{17, 58}}},
	{"header checksum", V4, 0, REASON_IP_CHECKSUM, {{22, 60}}},
	{"MF", V4, FIX, REASON_IP_FRAGMENT, {{20, 0x20}}},
	{"offset 8", V4, FIX, REASON_IP_FRAGMENT, {{21, 1}}},
	{"neither DF nor MF", V4, FIX, REASON_NONE, {{20, 0}}},
	{"source 0.0.0.0/8", V4, FIX, REASON_IP_MARTIAN, {{26, 0}}},
	{"source 127/8", V4, FIX, REASON_IP_MARTIAN, {{26, 127}}},
	{"source multicast", V4, FIX, REASON_IP_MARTIAN, {{26, 224}}},
	{"source 239/8", V4, FIX, REASON_IP_MARTIAN, {{26, 239}}},
	{"source class E", V4, FIX, REASON_IP_MARTIAN, {{26, 255}}},
	{"source 223/8", V4, FIX, REASON_NONE, {{26, 223}}},
	{"payload length 1 too long", V6, 0, REASON_IP_LENGTH, {{19, 38}}},
	{"payload length 0", V6, 0, REASON_TCP_SHORT, {{19, 0}}},
	{"hop-by-hop options", V6, 0, REASON_IP_OPTIONS, {{20, 0}}},
	{"routing header", V6, 0, REASON_IP_OPTIONS, {{20, 43}}},
	{"destination options", V6, 0, REASON_IP_OPTIONS, {{20, 60}}},
	{"fragment header", V6, 0, REASON_IP_FRAGMENT, {{20, 44}}},
	{"source multicast", V6, FIX, REASON_IP_MARTIAN, {{22, 0xff}}},
	{"data offset 4", V4, FIX, REASON_TCP_SHORT, {{46, 0x40}}},
	{"data offset beyond the segment", V4, FIX, REASON_TCP_SHORT, {{46, 0xa0}}},
	{"data offset up to its end", V4, FIX, REASON_NONE, {{46, 0x90}}},
	{"checksum", V4, 0, REASON_TCP_CHECKSUM, {{70, 'p'}}},
	{"checksum", V6, 0, REASON_TCP_CHECKSUM, {{90, 'p'}}},
	{"checksum, which the device has checked", V4, CHECKSUMMED, REASON_NONE, {{70, 'p'}}},
	{"another address", V6, 0, REASON_TCP_CHECKSUM, {{37, 8}}},
	{"source port 0", V4, FIX, REASON_TCP_PORT_ZERO, {{34, 0}, {35, 0}}},
	{"destination port 0", V6, FIX, REASON_TCP_PORT_ZERO, {{56, 0}, {57, 0}}},
	{"ICMP checksum", PING, 0, REASON_ICMP_MALFORMED, {{40, 1}}},
	{"ICMPv6 checksum", PING6, 0, REASON_ICMP_MALFORMED, {{60, 1}}},
	{"ICMP of 7 bytes", PING, FIX, REASON_ICMP_MALFORMED, {{17, 27}}},
	{"ICMP of 8 bytes", PING, FIX, REASON_NONE, {{17, 28}}},
	{"ICMPv6 of 7 bytes", PING6, FIX, REASON_ICMP_MALFORMED, {{19, 7}}},
	{"ICMP in IPv6 is another protocol", PING6, 0, REASON_NONE, {{20, 1}}},
};

static void
test_wrong(void)
{
	uint8_t bytes[FRAME_MAX];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct wrong *w = &wrong[i];
		uint32_t length = base_write(w->base, bytes);
		struct packet packet;

		for (unsigned p = 0; p < 3; p++)
			if (w->patch[p].at != NO_PATCH && (p == 0 || w->patch[p].at != 0))
				bytes[w->patch[p].at] = w->patch[p].value;
		if (w->flags & FIX)
			frame_fix(bytes, 14);
		packet = parse(bytes, length, length, w->flags & CHECKSUMMED,
			       w->flags & STRIPPED_TAG ? 5 : PACKET_NO_TAG);
		if (packet.reason != w->reason)
			fprintf(stderr, "%s: %s\n", w->name, reason_text(packet.reason));
		CU_ASSERT_EQUAL(packet.reason, w->reason);
		CU_ASSERT_EQUAL(packet.kind == PACKET_BAD, w->reason != REASON_NONE);
	}
}

static void
test_ipv6_martians(void)
{
	static const struct {
		const char *source, *destination;
		uint8_t protocol;
		enum reason reason;
	} cases[] = {
		{"::1", "2001:db8::1", 6, REASON_IP_MARTIAN},     {"::", "2001:db8::1", 6, REASON_IP_MARTIAN},
		{"::", "ff02::1:ff00:1", 58, REASON_NONE},        {"::", "ff02::1:ff00:1", 17, REASON_IP_MARTIAN},
		{"::2", "2001:db8::1", 6, REASON_NONE},           {"fe80::1", "2001:db8::1", 6, REASON_NONE},
		{"ff02::1", "2001:db8::1", 6, REASON_IP_MARTIAN},
	};
	uint8_t bytes[FRAME_MAX], body[64] = {0};
	uint32_t length;

	frame_tcp(body, 40000, 443, 1, 1, 0x10, 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame frame = {
			cases[i].source, cases[i].destination, mac_ours, mac_peer, 0, cases[i].protocol, 64, body, 24};

		length = frame_write(&frame, bytes);
		CU_ASSERT_EQUAL(parse(bytes, length, length, false, PACKET_NO_TAG).reason, cases[i].reason);
	}

	/* IPv4-mapped on the wire, which would pass for an IPv4 peer, on either side. */
	struct frame frame = {"2001:db8::9", "2001:db8::1", mac_ours, mac_peer, 0, 6, 64, body, 24};
	for (uint32_t at = 22; at <= 38; at += 16) {
		struct ip_addr mapped = frame_addr("192.0.2.9");

		length = frame_write(&frame, bytes);
		memcpy(bytes + at, mapped.bytes, 16);
		frame_fix(bytes, 14);
		CU_ASSERT_EQUAL(parse(bytes, length, length, false, PACKET_NO_TAG).reason, REASON_IP_MARTIAN);
	}
}

/* All 256 combinations of flags, against the rules written out: SYN, FIN and RST exclude each other; all but SYN and
 * RST have ACK. */
static void
test_flags(void)
{
	uint8_t bytes[FRAME_MAX];
	uint32_t length = base_write(V4, bytes);

	for (unsigned flags = 0; flags < 256; flags++) {
		bool fin = flags & 1, syn = flags & 2, rst = flags & 4, ack = flags & 16;
		bool right = fin + syn + rst <= 1 && (ack || syn || rst);
		struct packet packet;

		bytes[47] = (uint8_t)flags;
		frame_fix(bytes, 14);
		packet = parse(bytes, length, length, false, PACKET_NO_TAG);
		CU_ASSERT_EQUAL(packet.reason, right ? REASON_NONE : REASON_TCP_FLAGS);
		if (right)
			CU_ASSERT_EQUAL(packet_seq_length(&packet), 5u + syn + fin);
	}
}

/* Whatever is cut off a right frame, the rest is refused for a reason that says so. */
static void
test_truncated(void)
{
	static const enum base bases[] = {V4, V6, TAGGED, PING, PING6, UDP, ARP};
	uint8_t bytes[FRAME_MAX];

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		uint32_t whole = base_write(bases[i], bytes);

		for (uint32_t length = 0; length < whole; length++) {
			struct packet packet = parse(bytes, length, length, false, PACKET_NO_TAG);
			uint32_t l2 = bases[i] == TAGGED ? 18 : 14;
			uint32_t l3 = l2 + (bases[i] == V6 || bases[i] == PING6 ? 40 : 20);
			enum reason expected = length < l3 ? REASON_FRAME_SHORT : REASON_IP_LENGTH;

			if (bases[i] == ARP && length >= l2)
				expected = REASON_ARP_MALFORMED;
			CU_ASSERT_EQUAL(packet.kind, PACKET_BAD);
			CU_ASSERT_EQUAL(packet.reason, expected);
			/* In a chain of buffers. */
			CU_ASSERT_EQUAL(parse(bytes, length, whole, false, PACKET_NO_TAG).reason,
					REASON_FRAME_SEGMENTED);
		}
		CU_ASSERT_NOT_EQUAL(parse(bytes, whole, whole, false, PACKET_NO_TAG).kind, PACKET_BAD);
	}
}

static void
test_ethernet(void)
{
	uint8_t bytes[FRAME_MAX] = {0};
	uint32_t length = base_write(V4, bytes);
	struct packet packet;

	/* Padding, and an FCS that a device has left, count for nothing. */
	memset(bytes + length, 0xaa, 40);
	packet = parse(bytes, length + 40, length + 40, false, PACKET_NO_TAG);
	CU_ASSERT_EQUAL(packet.kind, PACKET_TCP);
	CU_ASSERT_EQUAL(packet.payload_length, 5);
	packet = parse(bytes, length, length, false, 0x6000 | 12);
	CU_ASSERT_EQUAL(packet.kind, PACKET_TCP);
	CU_ASSERT_EQUAL(packet.vlan, 12);
	CU_ASSERT_EQUAL(packet.l3, 14);
	/* A tag behind one that the device took off, of VLAN 0 even, is no way into that VLAN. */
	memmove(bytes + 18, bytes + 14, length - 14);
	memcpy(bytes + 12, "\x81\0\0\x4d\x08\0", 6);
	CU_ASSERT_EQUAL(parse(bytes, length + 4, length + 4, false, PACKET_NO_TAG).vlan, 77);
	CU_ASSERT_EQUAL(parse(bytes, length + 4, length + 4, false, 0).reason, REASON_ETHERTYPE_UNKNOWN);
	CU_ASSERT_EQUAL(parse(bytes, length + 4, length + 4, false, 12).reason, REASON_ETHERTYPE_UNKNOWN);
	length = base_write(V4, bytes);
	bytes[0] = 0xff;
	packet = parse(bytes, length, length, false, PACKET_NO_TAG);
	CU_ASSERT_EQUAL(packet.kind, PACKET_TCP);
	CU_ASSERT_FALSE(packet.l2_unicast);
}

static CU_TestInfo tests[] = {
	{"fields of TCP", test_fields},
	{"kinds", test_kinds},
	{"what is wrong with a frame", test_wrong},
	{"IPv6 martians", test_ipv6_martians},
	{"all combinations of flags", test_flags},
	{"truncated frames", test_truncated},
	{"Ethernet", test_ethernet},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("packet", tests);
}
