/* SPDX-License-Identifier: Apache-2.0 */
/* The neighbour table and its states, driven by ARP. */
#include "dataplane/neighbour.h"

#include "dataplane/arp.h"
#include "tests/unit/wire.h"

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};
enum { REQUEST = 1, REPLY = 2 };

static uint32_t
arp(uint8_t *bytes, const uint8_t to[6], const uint8_t from[6], uint16_t vlan, uint16_t operation, const char *sender,
    const char *target)
{
	struct ip_addr s = frame_addr(sender), t = frame_addr(target);
	uint32_t at = 12;

	memcpy(bytes, to, 6);
	memcpy(bytes + 6, from, 6);
	if (vlan) {
		frame_put_16(bytes + 12, 0x8100);
		frame_put_16(bytes + 14, vlan);
		at = 16;
	}
	memcpy(bytes + at, "\x08\x06\0\1\x08\0\6\4", 8);
	frame_put_16(bytes + at + 8, operation);
	memcpy(bytes + at + 10, from, 6);
	memcpy(bytes + at + 16, &s.words[3], 4);
	memcpy(bytes + at + 20, operation == REPLY ? wire_mac : (const uint8_t *)"\0\0\0\0\0", 6);
	memcpy(bytes + at + 26, &t.words[3], 4);
	return at + 30;
}

static unsigned
arp_in(const uint8_t to[6], const uint8_t from[6], uint16_t operation, const char *sender, const char *target)
{
	uint8_t bytes[FRAME_MAX];

	return wire_in(bytes, arp(bytes, to, from, 0, operation, sender, target));
}

static bool
sent_is(unsigned index, const uint8_t to[6], uint16_t vlan, uint16_t operation, const char *sender, const char *target,
	const uint8_t *target_mac)
{
	uint8_t bytes[FRAME_MAX];
	uint32_t length = arp(bytes, to, wire_mac, vlan, operation, sender, target);

	memcpy(bytes + length - 10, target_mac ? target_mac : (const uint8_t *)"\0\0\0\0\0", 6);
	return index < wire_n_sent && wire_sent[index].device == WIRE_DEVICE && wire_sent[index].length == length &&
	       memcmp(wire_sent[index].bytes, bytes, length) == 0;
}

/* An IP packet of one byte: enough for a table that doesn't look inside. */
static void
send_to(uint32_t hop, uint8_t mark)
{
	neighbour_send(wire_worker, neighbour_get(&wire_worker->neighbours, hop), wire_mbuf(&mark, 1));
	wire_flush();
}

static uint32_t
hop_to(uint8_t port, const char *addr)
{
	struct ip_addr via = frame_addr(addr);

	return neighbour_hop(wire_worker, port, &via);
}

static enum neighbour_state
state(uint32_t hop)
{
	struct neighbour *entry = neighbour_get(&wire_worker->neighbours, hop);

	return entry ? entry->state : NEIGHBOUR_FREE;
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
	static const struct {
		const char *what;
		uint16_t operation;
		const char *sender, *target;
		bool answered;
		enum reason reason;
	} cases[] = {
		{"request", REQUEST, "192.0.2.9", "192.0.2.1", true, REASON_NONE},
		{"probe", REQUEST, "0.0.0.0", "192.0.2.1", true, REASON_NONE},
		{"for another", REQUEST, "192.0.2.9", "192.0.2.8", false, REASON_ARP_UNSOLICITED},
		{"for our address of another port", REQUEST, "192.0.2.9", "198.51.100.1", false,
		 REASON_ARP_UNSOLICITED},
		{"from off the link", REQUEST, "203.0.113.9", "192.0.2.1", false, REASON_ARP_UNSOLICITED},
		{"from multicast", REQUEST, "224.0.0.1", "192.0.2.1", false, REASON_IP_MARTIAN},
		{"nobody's reply", REPLY, "0.0.0.0", "192.0.2.1", false, REASON_IP_MARTIAN},
		{"reply that wasn't asked for", REPLY, "192.0.2.9", "192.0.2.1", false, REASON_ARP_UNSOLICITED},
		{"a third operation", 3, "192.0.2.9", "192.0.2.1", false, REASON_ARP_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wire_start();
		arp_in(wire_broadcast, wire_peer, cases[i].operation, cases[i].sender, cases[i].target);
		if (cases[i].answered)
			CU_ASSERT_TRUE(sent_is(0, wire_peer, 0, REPLY, "192.0.2.1", cases[i].sender, wire_peer));
		CU_ASSERT_EQUAL(wire_stats.arp_replies, cases[i].answered);
		if (cases[i].reason != REASON_NONE)
			CU_ASSERT_EQUAL(wire_stats.reasons[cases[i].reason], 1);
		/* Strangers make no entries, answered or not. */
		CU_ASSERT_EQUAL(wire_worker->neighbours.used, 0);
		finish();
	}
}

static void
test_malformed(void)
{
	/* Offset from the Ethernet header's end. */
	static const struct {
		unsigned at;
		uint8_t value;
		enum reason reason;
	} cases[] = {{1, 6, REASON_ARP_MALFORMED},   {2, 0x86, REASON_ARP_MALFORMED}, {4, 8, REASON_ARP_MALFORMED},
		     {5, 16, REASON_ARP_MALFORMED},  {8, 1, REASON_ARP_MALFORMED}, /* the sender's MAC is a group */
		     {13, 1, REASON_ARP_UNSOLICITED} /* … is ours */};
	uint8_t bytes[FRAME_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t length;

		wire_start();
		length = arp(bytes, wire_broadcast, wire_peer, 0, REQUEST, "192.0.2.9", "192.0.2.1");
		bytes[14 + cases[i].at] = cases[i].value;
		CU_ASSERT_EQUAL(wire_in(bytes, length), 0);
		CU_ASSERT_EQUAL(wire_stats.reasons[cases[i].reason], 1);
		finish();
	}
}

static void
test_answer_on_vlan(void)
{
	uint8_t bytes[FRAME_MAX] = {0};
	struct rte_mbuf *mbuf;
	uint32_t length;

	/* Padded to Ethernet's minimum: the answer isn't. */
	wire_start();
	length = arp(bytes, wire_broadcast, wire_peer, 77, REQUEST, "198.51.100.9", "198.51.100.1");
	memset(bytes + length, 0xee, 14);
	wire_in(bytes, length + 14);
	CU_ASSERT_TRUE(sent_is(0, wire_peer, 77, REPLY, "198.51.100.1", "198.51.100.9", wire_peer));

	/* The tag taken off by the device: the answer has it in the frame all the same. */
	mbuf = wire_mbuf(bytes, arp(bytes, wire_broadcast, wire_peer, 0, REQUEST, "198.51.100.9", "198.51.100.1"));
	mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	mbuf->vlan_tci = 77;
	wire_n_sent = 0;
	worker_input(wire_worker, &mbuf, worker_arrived(wire_worker, WIRE_DEVICE, &mbuf, 1, wire_worker->now_ms));
	wire_flush();
	CU_ASSERT_TRUE(sent_is(0, wire_peer, 77, REPLY, "198.51.100.1", "198.51.100.9", wire_peer));
	finish();
}

static void
test_resolve(void)
{
	uint32_t hop;

	wire_start();
	CU_ASSERT_PTR_NULL(neighbour_get(&wire_worker->neighbours, 0));
	hop = hop_to(0, "192.0.2.9");
	CU_ASSERT_EQUAL(hop_to(0, "192.0.2.9"), hop);
	CU_ASSERT_NOT_EQUAL(hop_to(1, "192.0.2.9"), hop);
	CU_ASSERT_EQUAL(wire_n_sent, 0);
	for (uint8_t i = 0; i < NEIGHBOUR_PENDING_MAX + 1; i++)
		send_to(hop, i);
	CU_ASSERT_EQUAL(wire_n_sent, 1);
	CU_ASSERT_TRUE(sent_is(0, wire_broadcast, 0, REQUEST, "192.0.2.1", "192.0.2.9", NULL));
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_NEIGHBOUR_PENDING], 1);

	/* The answer: those that wait go, oldest first, but for the first, which gave way; the host has a copy. */
	arp_in(wire_mac, mac_a, REPLY, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	CU_ASSERT_EQUAL(wire_n_sent, NEIGHBOUR_PENDING_MAX + 1);
	for (unsigned i = 0, packets = 0, copies = 0; i < wire_n_sent; i++) {
		if (wire_sent[i].device == WIRE_TAP) {
			CU_ASSERT_EQUAL(copies++, 0);
			continue;
		}
		CU_ASSERT_EQUAL(wire_sent[i].length, 15);
		CU_ASSERT_EQUAL(memcmp(wire_sent[i].bytes, mac_a, 6), 0);
		CU_ASSERT_EQUAL(memcmp(wire_sent[i].bytes + 6, wire_mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(wire_sent[i].bytes + 12, "\x08\0", 2), 0);
		CU_ASSERT_EQUAL(wire_sent[i].bytes[14], ++packets);
	}
	wire_n_sent = 0;
	send_to(hop, 7);
	CU_ASSERT_EQUAL(wire_n_sent, 1);
	finish();
}

/* What nobody asked for isn't believed, however often it is said: a claim that came before the question was taken for
 * its answer. */
static void
test_unasked(void)
{
	uint32_t hop;

	wire_start();
	hop = hop_to(0, "192.0.2.9");
	arp_in(wire_mac, mac_b, REPLY, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_ARP_UNSOLICITED], 1);
	send_to(hop, 1);
	arp_in(wire_broadcast, mac_b, REPLY, "192.0.2.9", "192.0.2.9");
	arp_in(wire_broadcast, mac_b, REQUEST, "192.0.2.9", "192.0.2.9");
	arp_in(wire_broadcast, mac_b, REQUEST, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	arp_in(wire_broadcast, mac_a, REPLY, "192.0.2.9", "192.0.2.1"); /* some answer so (RFC 3927 section 2.5) */
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);

	/* A claim has made it doubtful, and the old MAC hasn't been asked yet. */
	hop = hop_to(0, "192.0.2.11");
	send_to(hop, 1);
	arp_in(wire_mac, mac_a, REPLY, "192.0.2.11", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	arp_in(wire_mac, mac_b, REPLY, "192.0.2.11", "192.0.2.1");
	arp_in(wire_mac, mac_a, REPLY, "192.0.2.11", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_PROBE);
	finish();
}

static void
test_fail_and_forget(void)
{
	uint32_t hop, idle;

	wire_start();
	hop = hop_to(1, "198.51.100.9");
	idle = hop_to(1, "198.51.100.10");
	send_to(hop, 1);
	wire_pass(2900);
	CU_ASSERT_EQUAL(wire_n_sent, 3);
	CU_ASSERT_TRUE(sent_is(2, wire_broadcast, 77, REQUEST, "198.51.100.1", "198.51.100.9", NULL));
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	wire_pass(250);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_FAILED);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_NEIGHBOUR_FAILED], 1);
	send_to(hop, 2);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_NEIGHBOUR_FAILED], 2);
	CU_ASSERT_EQUAL(wire_n_sent, 3);
	wire_pass(NEIGHBOUR_FAILED_MS + 200);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_FREE);
	CU_ASSERT_EQUAL(state(idle), NEIGHBOUR_FREE);
	CU_ASSERT_EQUAL(wire_stats.neighbours, 0);
	/* The same place again is another hop. */
	CU_ASSERT_NOT_EQUAL(hop_to(1, "198.51.100.9"), hop);
	CU_ASSERT_PTR_NULL(neighbour_get(&wire_worker->neighbours, hop));
	finish();
}

static uint32_t
reachable(void)
{
	uint32_t hop = hop_to(0, "192.0.2.9");

	send_to(hop, 1);
	arp_in(wire_mac, mac_a, REPLY, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	wire_n_sent = 0;
	return hop;
}

static bool
goes_to(uint32_t hop, const uint8_t mac[6])
{
	wire_n_sent = 0;
	send_to(hop, 1);
	return wire_n_sent == 1 && memcmp(wire_sent[0].bytes, mac, 6) == 0;
}

static void
test_ageing(void)
{
	uint32_t hop;

	wire_start();
	hop = reachable();
	wire_pass(NEIGHBOUR_REACHABLE_MS - 100);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	wire_pass(200);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_STALE);
	CU_ASSERT_EQUAL(wire_n_sent, 0);

	/* Use makes it probe, to the MAC that it knows, while packets go on. */
	CU_ASSERT_TRUE(goes_to(hop, mac_a));
	wire_n_sent = 0;
	wire_pass(150);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_PROBE);
	CU_ASSERT_TRUE(sent_is(0, mac_a, 0, REQUEST, "192.0.2.1", "192.0.2.9", mac_a));
	CU_ASSERT_TRUE(goes_to(hop, mac_a));
	arp_in(wire_mac, mac_a, REPLY, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);

	/* An unanswered probe ends in asking everybody, then in failure. */
	wire_pass(NEIGHBOUR_REACHABLE_MS + 200);
	CU_ASSERT_TRUE(goes_to(hop, mac_a));
	wire_pass(3300);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	CU_ASSERT_TRUE(sent_is(4, wire_broadcast, 0, REQUEST, "192.0.2.1", "192.0.2.9", NULL));
	wire_pass(3300);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_FAILED);
	/* A sign of life, which anybody can give, makes us ask again; the answer brings it back. */
	wire_n_sent = 0;
	arp_in(wire_broadcast, mac_b, REQUEST, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
	CU_ASSERT_EQUAL(wire_n_sent, 2);
	arp_in(wire_mac, mac_a, REPLY, "192.0.2.9", "192.0.2.1");
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	wire_pass(NEIGHBOUR_REACHABLE_MS + 200);
	wire_pass(NEIGHBOUR_FORGET_MS - NEIGHBOUR_REACHABLE_MS - 10000);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_STALE);
	wire_pass(10000);
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_FREE);
	finish();
}

/* A claim by mac_b to the address of mac_a, in each way that ARP knows. */
static void
test_spoofing(void)
{
	static const struct {
		uint16_t operation;
		const char *target;
	} claims[] = {{REPLY, "192.0.2.1"}, {REPLY, "192.0.2.9"}, {REQUEST, "192.0.2.1"}, {REQUEST, "192.0.2.9"}};

	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		uint32_t hop;
		unsigned asked = 0;

		wire_start();
		hop = reachable();
		for (unsigned j = 0; j < 10; j++)
			arp_in(wire_broadcast, mac_b, claims[i].operation, "192.0.2.9", claims[i].target);
		CU_ASSERT_TRUE(goes_to(hop, mac_a));
		wire_n_sent = 0;
		wire_pass(150);
		for (unsigned j = 0; j < wire_n_sent; j++)
			asked += sent_is(j, mac_a, 0, REQUEST, "192.0.2.1", "192.0.2.9", mac_a);
		CU_ASSERT_TRUE(asked >= 1 && asked <= 2);
		/* mac_b's answer to a question that only mac_a got doesn't count; mac_a's ends the matter. */
		arp_in(wire_mac, mac_b, REPLY, "192.0.2.9", "192.0.2.1");
		CU_ASSERT_TRUE(goes_to(hop, mac_a));
		arp_in(wire_mac, mac_a, REPLY, "192.0.2.9", "192.0.2.1");
		CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
		CU_ASSERT_TRUE(goes_to(hop, mac_a));

		/* It really moves: mac_a is silent, and mac_b answers when everybody is asked. */
		arp_in(wire_broadcast, mac_b, claims[i].operation, "192.0.2.9", claims[i].target);
		wire_n_sent = 0;
		wire_pass(500);
		CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_INCOMPLETE);
		arp_in(wire_mac, mac_b, REPLY, "192.0.2.9", "192.0.2.1");
		CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
		CU_ASSERT_TRUE(goes_to(hop, mac_b));
		finish();
	}
}

static void
test_conflict(void)
{
	wire_start();
	CU_ASSERT_EQUAL(arp_in(wire_broadcast, wire_peer, REQUEST, "192.0.2.1", "192.0.2.1"), 1);
	CU_ASSERT_TRUE(sent_is(0, wire_broadcast, 0, REQUEST, "192.0.2.1", "192.0.2.1", NULL));
	CU_ASSERT_EQUAL(arp_in(wire_broadcast, wire_peer, REQUEST, "192.0.2.1", "192.0.2.9"), 0);
	CU_ASSERT_EQUAL(wire_stats.address_conflicts, 2);
	wire_pass(ARP_DEFEND_INTERVAL_MS);
	CU_ASSERT_EQUAL(arp_in(wire_mac, wire_peer, REPLY, "192.0.2.1", "192.0.2.1"), 1);
	CU_ASSERT_EQUAL(wire_stats.address_conflicts, 3);
	finish();
}

static void
test_announce(void)
{
	wire_start();
	arp_announce(wire_worker);
	wire_flush();
	CU_ASSERT_EQUAL(wire_n_sent, 2);
	CU_ASSERT_TRUE(sent_is(0, wire_broadcast, 0, REQUEST, "192.0.2.1", "192.0.2.1", NULL));
	CU_ASSERT_TRUE(sent_is(1, wire_broadcast, 77, REQUEST, "198.51.100.1", "198.51.100.1", NULL));
	finish();
}

/* What one worker receives, the other learns from, and doesn't answer. */
static void
test_share(void)
{
	uint8_t bytes[FRAME_MAX];
	struct rte_mbuf *copy = NULL;
	struct packet packet;
	uint32_t hop;

	wire_start();
	wire_worker->n_workers = 2;
	arp_in(wire_mac, wire_peer, REPLY, "192.0.2.9", "192.0.2.1");
	arp_in(wire_broadcast, wire_peer, REQUEST, "0.0.0.0", "192.0.2.1");   /* teaches nothing */
	arp_in(wire_broadcast, wire_peer, REQUEST, "192.0.2.9", "192.0.2.8"); /* noise */
	CU_ASSERT_EQUAL(rte_ring_count(wire_inboxes[0]), 0);
	CU_ASSERT_EQUAL(rte_ring_count(wire_inboxes[1]), 1);
	CU_ASSERT_EQUAL(wire_worker->handed_to, 2);

	wire_worker->id = 1;
	hop = hop_to(0, "192.0.2.9");
	send_to(hop, 1);
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(wire_inboxes[1], (void **)&copy), 0);
	memcpy(bytes, rte_pktmbuf_mtod(copy, uint8_t *), copy->data_len);
	packet_parse(bytes, copy->data_len, copy->pkt_len, false, PACKET_NO_TAG, &packet);
	packet.port = 0;
	wire_n_sent = 0;
	arp_input(wire_worker, &packet, copy, true);
	wire_flush();
	CU_ASSERT_EQUAL(wire_n_sent, 1); /* what waited */
	CU_ASSERT_EQUAL(state(hop), NEIGHBOUR_REACHABLE);
	CU_ASSERT_EQUAL(rte_ring_count(wire_inboxes[0]), 0);
	finish();
}

static void
test_full(void)
{
	struct ip_addr via = frame_addr("192.0.2.0");

	/* One port gets its share, three quarters of 64, and not what is the other's. */
	wire_start();
	for (unsigned round = 0; round < 2; round++) {
		for (uint8_t i = 1; i <= 48; i++) {
			via.bytes[15] = (uint8_t)(i + 100 * round);
			CU_ASSERT_NOT_EQUAL(neighbour_hop(wire_worker, 0, &via), 0);
		}
		via.bytes[15]++;
		CU_ASSERT_EQUAL(neighbour_hop(wire_worker, 0, &via), 0);
		for (uint8_t i = 1; i <= 16; i++) {
			via.bytes[15] = i;
			CU_ASSERT_NOT_EQUAL(neighbour_hop(wire_worker, 1, &via), 0);
		}
		via.bytes[15]++;
		CU_ASSERT_EQUAL(neighbour_hop(wire_worker, 1, &via), 0);
		via.bytes[15]--;
		CU_ASSERT_NOT_EQUAL(neighbour_hop(wire_worker, 1, &via), 0);
		CU_ASSERT_EQUAL(wire_stats.neighbours, 64);
		wire_pass(NEIGHBOUR_FAILED_MS + 200);
		CU_ASSERT_EQUAL(wire_stats.neighbours, 0);
	}
	finish();
}

/* Hosts that connect and then don't answer ARP: what waits for them must leave packet buffers for others. */
static void
test_pending_is_bounded(void)
{
	struct ip_addr via = frame_addr("192.0.2.0");
	struct neighbour_table *table;

	wire_start();
	table = &wire_worker->neighbours;
	neighbour_table_free(table);
	CU_ASSERT_TRUE_FATAL(neighbour_table_init(table, 512));
	unsigned sent = 0, few = NEIGHBOUR_PENDING_ALL_MAX / 2 / NEIGHBOUR_PENDING_MAX;
	for (unsigned i = 0; i < few + 2 * NEIGHBOUR_PENDING_ALL_MAX / NEIGHBOUR_PENDING_SHORT; i++) {
		via.halves[7] = (uint16_t)(i + 1);
		uint32_t hop = neighbour_hop(wire_worker, 0, &via);
		for (uint8_t j = 0; j < NEIGHBOUR_PENDING_MAX; j++, sent++)
			send_to(hop, j);
		wire_n_sent = 0;
		/* As many as a burst needs, until a few neighbours have half of what there is; then a few for each. */
		if (i < few)
			CU_ASSERT_EQUAL(table->n_pending, (i + 1) * NEIGHBOUR_PENDING_MAX);
		if (i == few)
			CU_ASSERT_EQUAL(table->n_pending, few * NEIGHBOUR_PENDING_MAX + NEIGHBOUR_PENDING_SHORT);
	}
	CU_ASSERT_EQUAL(table->n_pending, NEIGHBOUR_PENDING_ALL_MAX);
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_NEIGHBOUR_PENDING], sent - NEIGHBOUR_PENDING_ALL_MAX);
	for (unsigned i = 0; i < 70; i++) {
		wire_n_sent = 0;
		wire_pass(50);
	}
	CU_ASSERT_EQUAL(wire_stats.reasons[REASON_NEIGHBOUR_FAILED], NEIGHBOUR_PENDING_ALL_MAX);
	CU_ASSERT_EQUAL(table->n_pending, 0);
	finish();
}

static CU_TestInfo tests[] = {
	{"answers to ARP", test_answers},
	{"malformed ARP", test_malformed},
	{"answers on a VLAN", test_answer_on_vlan},
	{"resolution", test_resolve},
	{"claims without a question", test_unasked},
	{"failure", test_fail_and_forget},
	{"ageing", test_ageing},
	{"spoofing and moving", test_spoofing},
	{"address conflicts", test_conflict},
	{"announcements", test_announce},
	{"sharing with other workers", test_share},
	{"full table", test_full},
	{"packets that wait", test_pending_is_bounded},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	wire_open();
	return unit_run("neighbour", tests);
}
