/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nd.h"

#include <stdio.h>

#include "tests/unit/wire.h"

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};
static const uint8_t group[6] = {0x33, 0x33, 0xff, 0, 0, 1}, all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
enum { SOLICITED = 0x40, OVERRIDE = 0x20 };

/* A message, with a link-layer address option for mac unless it is NULL. */
struct message {
	const char *source, *destination, *target;
	const uint8_t *to, *from, *mac;
	uint8_t type, flags, code, hop_limit;
	uint16_t vlan;
};

static uint32_t
message_write(const struct message *m, uint8_t bytes[FRAME_MAX])
{
	struct ip_addr target = frame_addr(m->target);
	uint8_t body[32] = {m->type, m->code, 0, 0, m->flags};
	struct frame frame = {m->source, m->destination, m->to, m->from,         m->vlan,
			      58,        m->hop_limit,   body,  m->mac ? 32 : 24};

	memcpy(body + 8, target.bytes, 16);
	if (m->mac) {
		body[24] = m->type == ND_SOLICITATION ? 1 : 2;
		body[25] = 1;
		memcpy(body + 26, m->mac, 6);
	}
	return frame_write(&frame, bytes);
}

static struct message
solicitation(void)
{
	return (struct message){.source = "2001:db8::9",
				.destination = "ff02::1:ff00:1",
				.target = "2001:db8::1",
				.to = group,
				.from = wire_peer,
				.mac = wire_peer,
				.type = ND_SOLICITATION,
				.hop_limit = 255};
}

static struct message
advertisement(const uint8_t *mac, uint8_t flags)
{
	return (struct message){.source = "2001:db8::9",
				.destination = "2001:db8::1",
				.target = "2001:db8::9",
				.to = wire_mac,
				.from = mac,
				.mac = mac,
				.type = ND_ADVERTISEMENT,
				.flags = flags,
				.hop_limit = 255};
}

static unsigned
message_in(struct message m)
{
	uint8_t bytes[FRAME_MAX];

	return wire_in(bytes, message_write(&m, bytes));
}

static bool
sent_is(unsigned index, struct message m)
{
	uint8_t bytes[FRAME_MAX];
	uint32_t length = message_write(&m, bytes);

	return index < wire_n_sent && wire_sent[index].device == WIRE_DEVICE && wire_sent[index].length == length &&
	       memcmp(wire_sent[index].bytes, bytes, length) == 0;
}

/* Our answer to solicitation s for addr. */
static struct message
answer(const struct message *s, const char *addr)
{
	bool probe = strcmp(s->source, "::") == 0;

	return (struct message){.source = addr,
				.destination = probe ? "ff02::1" : s->source,
				.target = addr,
				.to = probe ? all_nodes : s->from,
				.from = wire_mac,
				.mac = wire_mac,
				.type = ND_ADVERTISEMENT,
				.flags = OVERRIDE | (probe ? 0 : SOLICITED),
				.hop_limit = 255,
				.vlan = s->vlan};
}

static void
finish(void)
{
	wire_stop();
	CU_ASSERT_TRUE(wire_is_clean());
}

static void
test_answers(void)
{
	static const uint8_t link_local_group[6] = {0x33, 0x33, 0xff, 0, 0, 1};
	struct message m;

	wire_start();
	m = solicitation();
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_TRUE(sent_is(0, answer(&m, "2001:db8::1")));
	m.mac = NULL; /* unicast ones may come without: the answer is longer than the question */
	m.to = wire_mac;
	m.destination = "2001:db8::1";
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_TRUE(sent_is(0, answer(&m, "2001:db8::1")));
	m.to = link_local_group;
	m.destination = "ff02::1:ff00:1";
	m.target = "fe80::ff:fe00:1";
	m.source = "fe80::9";
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_TRUE(sent_is(0, answer(&m, "fe80::ff:fe00:1")));
	m.source = "::"; /* duplicate address detection */
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_TRUE(sent_is(0, answer(&m, "fe80::ff:fe00:1")));
	m = solicitation();
	m.vlan = 77;
	m.target = "2001:db8:77::1";
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_TRUE(sent_is(0, answer(&m, "2001:db8:77::1")));
	CU_ASSERT_EQUAL(wire_stats.nd_advertisements, 5);
	CU_ASSERT_EQUAL(wire_worker->neighbours.used, 0);
	finish();
}

static void
test_refused(void)
{
	static const struct {
		const char *what;
		struct message change; /* what isn't 0 */
		bool no_mac;
		enum reason reason;
	} cases[] = {
		{"hop limit", {.hop_limit = 254}, false, REASON_ND_MALFORMED},
		{"code", {.code = 1}, false, REASON_ND_MALFORMED},
		{"multicast target", {.target = "ff02::1"}, false, REASON_ND_MALFORMED},
		{"target ::", {.target = "::"}, false, REASON_ND_MALFORMED},
		{"probe with an option", {.source = "::"}, false, REASON_ND_MALFORMED},
		{"probe by unicast",
		 {.source = "::", .destination = "2001:db8::1", .to = wire_mac},
		 true,
		 REASON_ND_MALFORMED},
		{"another's address", {.target = "2001:db8::2"}, false, REASON_ND_UNSOLICITED},
		{"our address of another port", {.target = "2001:db8:77::1"}, false, REASON_ND_UNSOLICITED},
		{"our own source", {.source = "2001:db8::1"}, false, REASON_ND_UNSOLICITED},
		{"our own MAC", {.from = wire_mac}, false, REASON_ND_UNSOLICITED},
		{"router advertisement", {.type = ND_ROUTER_ADVERTISEMENT}, false, REASON_ND_UNSOLICITED},
		{"redirect", {.type = ND_REDIRECT}, false, REASON_ND_UNSOLICITED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message *change = &cases[i].change;
		struct message m = solicitation();

		wire_start();
		m.hop_limit = change->hop_limit ? change->hop_limit : m.hop_limit;
		m.code = change->code;
		m.target = change->target ? change->target : m.target;
		m.source = change->source ? change->source : m.source;
		m.destination = change->destination ? change->destination : m.destination;
		m.to = change->to ? change->to : m.to;
		m.from = change->from ? change->from : m.from;
		m.type = change->type ? change->type : m.type;
		m.mac = cases[i].no_mac ? NULL : m.mac;
		CU_ASSERT_EQUAL(message_in(m), 0);
		if (wire_stats.reasons[cases[i].reason] != 1)
			fprintf(stderr, "%s\n", cases[i].what);
		CU_ASSERT_EQUAL(wire_stats.reasons[cases[i].reason], 1);
		finish();
	}
}

static void
test_options(void)
{
	/* Bytes from offset 24 of the message on, and whether they may be. */
	static const struct {
		uint8_t length, bytes[24];
		bool right;
	} cases[] = {
		{0, {0}, true},
		{1, {14}, false},
		{8, {14, 0}, false}, /* no length: the walk would never end */
		{8, {14, 2}, false}, /* overruns */
		{9, {14, 1}, false}, /* a byte left over */
		{16, {14, 2}, true}, /* unknown: skipped */
		{16, {1, 2}, false}, /* a MAC of 14 bytes */
		{16, {14, 1, [8] = 1, 1, 2, 0, 0, 0, 0, 0x99}, true},
		{8, {1, 1, 3}, true}, /* a group for a MAC: answered, not learned */
	};
	struct message m = solicitation();
	uint8_t bytes[FRAME_MAX];

	m.mac = NULL;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t length = message_write(&m, bytes);

		wire_start();
		memcpy(bytes + length, cases[i].bytes, cases[i].length);
		frame_put_16(bytes + 18, (uint16_t)(24 + cases[i].length));
		frame_fix(bytes, 14);
		CU_ASSERT_EQUAL(wire_in(bytes, length + cases[i].length), cases[i].right);
		CU_ASSERT_EQUAL(wire_stats.reasons[REASON_ND_MALFORMED], !cases[i].right);
		if (cases[i].right)
			CU_ASSERT_TRUE(sent_is(0, answer(&m, "2001:db8::1")));
		finish();
	}
}

/* Too short for its type, though not for ICMPv6. */
static void
test_short(void)
{
	struct message m = solicitation();
	uint8_t bytes[FRAME_MAX];

	wire_start();
	m.mac = NULL;
	for (uint16_t length = 8; length < 24; length++) {
		uint32_t whole = message_write(&m, bytes);

		frame_put_16(bytes + 18, length);
		frame_fix(bytes, 14);
		CU_ASSERT_EQUAL(wire_in(bytes, whole - 24 + length), 0);
	}
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_ND_MALFORMED], 16);
	finish();
}

static uint32_t
hop_to(const char *addr)
{
	struct ip_addr via = frame_addr(addr);

	return neighbour_hop(wire_worker, 0, &via);
}

static bool
goes_to(uint32_t hop, const uint8_t *mac)
{
	uint8_t mark = 1;

	wire_n_sent = 0;
	neighbour_send(wire_worker, neighbour_get(&wire_worker->neighbours, hop), wire_mbuf(&mark, 1));
	wire_flush();
	return mac && wire_n_sent == 1 && wire_sent[0].length == 15 && memcmp(wire_sent[0].bytes, mac, 6) == 0 &&
	       memcmp(wire_sent[0].bytes + 12, "\x86\xdd", 2) == 0;
}

static enum neighbour_state
state(uint32_t hop)
{
	return neighbour_get(&wire_worker->neighbours, hop)->state;
}

static void
test_resolve(void)
{
	static const uint8_t group_9[6] = {0x33, 0x33, 0xff, 0, 0, 9};
	struct message question = {"2001:db8::1",
				   "ff02::1:ff00:9",
				   "2001:db8::9",
				   group_9,
				   wire_mac,
				   wire_mac,
				   ND_SOLICITATION,
				   0,
				   0,
				   255,
				   0};
	uint32_t hop, local;

	wire_start();
	hop = hop_to("2001:db8::9");
	CU_ASSERT_FALSE(goes_to(hop, NULL));
	CU_ASSERT_EQUAL(wire_n_sent, 1);
	CU_ASSERT_TRUE(sent_is(0, question));
	/* Without the MAC an answer to a multicast question is no answer (RFC 4861 section 7.2.5). */
	struct message m = advertisement(mac_a, SOLICITED | OVERRIDE);
	m.mac = NULL;
	message_in(m);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	CU_ASSERT_EQUAL(message_in(advertisement(mac_a, SOLICITED | OVERRIDE)), 2); /* the packet; the host's copy */
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	CU_ASSERT_TRUE(goes_to(hop, mac_a));

	/* Confirmed by a probe that needs no MAC. */
	wire_pass(NEIGHBOUR_REACHABLE_MS + 100);
	CU_ASSERT_TRUE(goes_to(hop, mac_a));
	wire_pass(150);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_PROBE);
	question.destination = "2001:db8::9";
	question.to = mac_a;
	CU_ASSERT_TRUE(sent_is(wire_n_sent - 1, question));
	message_in(m);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);

	/* A link-local next hop is asked from our link-local address. */
	local = hop_to("fe80::9");
	goes_to(local, NULL);
	question = (struct message){"fe80::ff:fe00:1",
				    "ff02::1:ff00:9",
				    "fe80::9",
				    group_9,
				    wire_mac,
				    wire_mac,
				    ND_SOLICITATION,
				    0,
				    0,
				    255,
				    0};
	CU_ASSERT_TRUE(sent_is(0, question));
	finish();
}

static void
test_learn(void)
{
	/* What an advertisement of another MAC does to a reachable neighbour: after it, and half a second later without
	 * an answer from the old MAC. */
	static const struct {
		uint8_t flags;
		enum neighbour_state then, later;
	} cases[] = {
		{0, NEIGHBOUR_STALE, NEIGHBOUR_STALE},
		{SOLICITED, NEIGHBOUR_STALE, NEIGHBOUR_STALE},
		{OVERRIDE, NEIGHBOUR_PROBE, NEIGHBOUR_INCOMPLETE},
		{SOLICITED | OVERRIDE, NEIGHBOUR_PROBE, NEIGHBOUR_INCOMPLETE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t hop;

		wire_start();
		hop = hop_to("2001:db8::9");
		goes_to(hop, NULL);
		message_in(advertisement(mac_a, SOLICITED | OVERRIDE));
		wire_pass(200);
		CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
		message_in(advertisement(mac_b, cases[i].flags));
		CU_ASSERT_EQUAL(state(hop), cases[i].then);
		wire_pass(500);
		CU_ASSERT_EQUAL(state(hop), cases[i].later);
		if (cases[i].later == NEIGHBOUR_STALE) {
			CU_ASSERT_TRUE(goes_to(hop, mac_a));
		} else {
			message_in(advertisement(mac_b, SOLICITED | OVERRIDE));
			CU_ASSERT_TRUE(goes_to(hop, mac_b));
		}
		finish();
	}

	/* Where nothing is known, only an answer counts: not a solicitation, not what is advertised unasked. */
	wire_start();
	uint32_t hop = hop_to("2001:db8::9");
	message_in(advertisement(mac_b, SOLICITED | OVERRIDE)); /* nobody has asked yet */
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	goes_to(hop, NULL);
	message_in(solicitation());
	message_in(advertisement(mac_b, OVERRIDE));
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	struct message elsewhere = advertisement(mac_b, SOLICITED | OVERRIDE);
	elsewhere.destination = "2001:db8::7"; /* to our MAC, but not to us */
	message_in(elsewhere);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	message_in(advertisement(mac_a, SOLICITED | OVERRIDE));
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	CU_ASSERT_TRUE(goes_to(hop, mac_a));
	finish();
}

static void
test_advertisements_refused(void)
{
	struct message m = advertisement(mac_a, SOLICITED | OVERRIDE);

	wire_start();
	/* For a stranger: of no use to us; but it may be to the host. */
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_EQUAL(wire_sent[0].device, WIRE_TAP);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_ND_UNSOLICITED], 1);
	/* "Solicited", to everybody. */
	m.destination = "ff02::1";
	m.to = all_nodes;
	message_in(m);
	m.source = "::";
	m.flags = 0;
	message_in(m);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_ND_MALFORMED], 2);
	/* Somebody claims our address: we say at once whose it is, but not more often than every ten seconds. */
	m = advertisement(mac_a, OVERRIDE);
	m.target = "2001:db8::1";
	struct message ours = {"2001:db8::1", "ff02::1", "2001:db8::1", all_nodes, wire_mac, wire_mac, ND_ADVERTISEMENT,
			       OVERRIDE,      0,         255,           0};
	CU_ASSERT_EQUAL(message_in(m), 1);
	CU_ASSERT_TRUE(sent_is(0, ours));
	CU_ASSERT_EQUAL(message_in(m), 0);
	CU_ASSERT_EQUAL(wire_stats.address_conflicts, 2);
	/* What we announce at the start. */
	wire_n_sent = 0;
	nd_announce(wire_worker);
	wire_flush();
	CU_ASSERT_EQUAL(wire_n_sent, 2);
	CU_ASSERT_TRUE(sent_is(0, ours));
	ours.source = ours.target = "2001:db8:77::1";
	ours.vlan = 77;
	CU_ASSERT_TRUE(sent_is(1, ours));
	finish();
}

static CU_TestInfo tests[] = {
	{"answers", test_answers},
	{"solicitations refused", test_refused},
	{"options", test_options},
	{"short messages", test_short},
	{"resolution", test_resolve},
	{"what advertisements change", test_learn},
	{"advertisements refused, and our own", test_advertisements_refused},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	wire_open();
	return unit_run("nd", tests);
}
