/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strangers off the path: who knows addresses and ports, but no numbers, must neither end a spliced connection nor bend
 * what is known of it, nor use up what it needs. RSTs are in splice_test.c and peek_test.c, ICMP errors in
 * icmp_error_test.c, claims by ARP and ND in neighbour_test.c and nd_test.c.
 */
#include "dataplane/packet.h"
#include "dataplane/probe.h"
#include "dataplane/splice.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { STRANGER = 0x66, STRANGERS = 2000, ECHO_LENGTH = 8 };

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];

static void
begin(bool client_v6, bool endpoint_v6)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, client_v6, endpoint_v6);
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* The connection takes no harm: it goes on both ways, and closes. */
static void
goes_on(void)
{
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 300));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

static void
drain(unsigned leg)
{
	uint8_t frame[RIG_FRAME];

	while (rig_next_frame(&rig, talk.side[leg].device, frame) != 0)
		;
}

/* Data, FINs and ACKs with one good number and one that is far away. */
static void
test_blind(void)
{
	static const uint32_t far[] = {0x01000000, 0x10000000, 0x40000000, 0x7fffffff,
				       0x80000000, 0xc0000000, 0xf0000000};
	uint8_t junk[100] = {0};

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		begin(leg != 0, false);
		CU_ASSERT_TRUE(talk_connect(&talk));
		CU_ASSERT_TRUE(talk_exchange(&talk, 500));
		const struct flow before = *talk_flow(&talk);
		unsigned n = 0;
		for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++)
			for (unsigned kind = 0; kind < 6; kind++) {
				struct segment segment =
					talk_segment(&talk, leg, kind % 3 == 2 ? TCP_ACK | TCP_FIN : TCP_ACK);
				segment.payload = junk;
				segment.payload_length = kind % 3 == 0 ? 0 : sizeof(junk);
				*(kind < 3 ? &segment.seq : &segment.ack) += far[i];
				rig_receive(&rig, talk.side[leg].device, &segment);
				CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], ++n);
			}
		CU_ASSERT_EQUAL(memcmp(&before, talk_flow(&talk), sizeof(before)), 0);
		goes_on();
	}
}

/* A repeat passes, since its sender may need an answer. What it says was believed: it could acknowledge what hadn't
 * arrived, open windows, and end a direction. */
static void
test_repeats_say_nothing(void)
{
	uint8_t junk[50] = {0};

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		unsigned other = leg_other(leg);
		begin(false, leg != 0);
		CU_ASSERT_TRUE(talk_connect(&talk));
		CU_ASSERT_TRUE(talk_exchange(&talk, 500));
		talk_say(&talk, other, TCP_ACK, NULL, 1000);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, leg, TCP_ACK, 1000));
		const struct flow_leg before = talk_flow(&talk)->leg[leg];
		struct segment segment = talk_segment(&talk, leg, TCP_ACK | TCP_FIN);
		segment.seq -= 100;
		segment.window = 65535;
		segment.payload = junk;
		segment.payload_length = sizeof(junk);
		rig_receive(&rig, talk.side[leg].device, &segment);
		CU_ASSERT_EQUAL(rig_waiting(&rig, talk.side[other].device), 1);
		drain(other);
		struct flow_leg after = talk_flow(&talk)->leg[leg];
		CU_ASSERT_EQUAL(after.ack, before.ack);
		CU_ASSERT_EQUAL(after.edge, before.edge);
		CU_ASSERT_EQUAL(after.flags, before.flags);
		CU_ASSERT_EQUAL(after.seq_end, before.seq_end);
		talk_say(&talk, leg, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, 0));
		goes_on();
	}
}

/* A bare ACK from beyond what was sent moved the end of it there, and with it the number of the only FIN that counts.
 */
static void
test_ack_brings_no_bytes(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 500));
	struct segment segment = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	segment.seq += 5000;
	rig_receive(&rig, RIG_WAN, &segment);
	drain(LEG_ENDPOINT);
	CU_ASSERT_EQUAL(talk_flow(&talk)->leg[LEG_CLIENT].seq_end, client->seq);
	goes_on();
}

/* A SYN alone, which anybody can send, took the record of a connection whose last ACK was still to come. */
static void
test_syn_while_closing(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 10));
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		talk_say(&talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, leg_other(leg)));
		talk_say(&talk, leg_other(leg), TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, leg));
	}
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	struct segment syn = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
	syn.seq += 0x20000000;
	rig_receive(&rig, RIG_WAN, &syn);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_SYN | TCP_ACK);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	/* An ACK with a guessed cookie does no better. */
	struct segment ack = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	ack.seq = syn.seq + 1;
	ack.ack = talk.heard.seq + 2;
	rig_receive(&rig, RIG_WAN, &ack);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], 1);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	/* The last ACK was lost; the FIN that comes again finds its way. */
	endpoint->seq--;
	client->ack--;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK | TCP_FIN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, 0));
	rig_advance(&rig, 4016);
	end();
}

/* Who is owed no answer: a SYN, and an ICMP echo, from where no packet can come. */
static void
test_impossible_sources(void)
{
	static const struct {
		const char *source, *destination;
		enum reason reason;
		bool echo;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1", REASON_IP_LAND, false},
		{"198.51.100.1", "192.0.2.1", REASON_IP_LAND, false},
		{"2001:db8:1::1", "2001:db8:1::1", REASON_IP_LAND, false},
		{"192.0.2.255", "192.0.2.1", REASON_IP_MARTIAN, false},
		{"192.0.2.0", "192.0.2.1", REASON_IP_MARTIAN, false},
		{"198.51.100.255", "192.0.2.1", REASON_IP_MARTIAN, false},
		{"224.0.0.1", "192.0.2.1", REASON_IP_MARTIAN, false},
		{"ff02::1", "2001:db8:1::1", REASON_IP_MARTIAN, false},
		{"192.0.2.1", "192.0.2.1", REASON_IP_LAND, true},
		{"2001:db8:2::1", "2001:db8:1::1", REASON_IP_LAND, true},
		{"192.0.2.255", "192.0.2.1", REASON_IP_MARTIAN, true},
		{"::", "2001:db8:1::1", REASON_IP_MARTIAN, true},
		{"ff02::1", "2001:db8:1::1", REASON_IP_MARTIAN, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(false, false);
		struct segment segment = {.source = rig_addr(cases[i].source),
					  .destination = rig_addr(cases[i].destination),
					  .source_port = 5000,
					  .destination_port = 443,
					  .flags = TCP_SYN};
		uint8_t frame[RIG_FRAME];
		uint16_t length = rig_build(&rig, RIG_WAN, &segment, frame);
		if (cases[i].echo) { /* what was built serves as the IP header of one */
			bool v4 = ip_addr_is_v4(&segment.source);
			uint8_t *ip = frame + 14, *icmp = ip + (v4 ? 20 : 40);
			length = (uint16_t)(icmp + ECHO_LENGTH - frame);
			memset(icmp, 0, ECHO_LENGTH);
			icmp[0] = v4 ? 8 : 128;
			ip[v4 ? 9 : 6] = v4 ? 1 : 58;
			ip[v4 ? 3 : 5] = v4 ? 20 + ECHO_LENGTH : ECHO_LENGTH;
			memset(ip + 10, 0, v4 ? 2 : 0);
			uint32_t sum = v4 ? ~rig_sum(0, ip, 20) : 0;
			if (v4) {
				ip[10] = (uint8_t)(sum >> 8);
				ip[11] = (uint8_t)sum;
			}
			sum = ~rig_sum(v4 ? 0 : rig_sum(58 + ECHO_LENGTH, ip + 8, 32), icmp, ECHO_LENGTH);
			icmp[2] = (uint8_t)(sum >> 8);
			icmp[3] = (uint8_t)sum;
		}
		rig_receive_frame(&rig, RIG_WAN, frame, length);
		CU_ASSERT_EQUAL(rig.stats.reasons[cases[i].reason], 1);
		CU_ASSERT_TRUE(talk_silent(&talk));
		end();
	}
}

/* Thousands of strangers, each with a MAC and an address of the network: none gets an entry, and what is known stays.
 */
static void
test_strangers_make_no_neighbours(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	uint32_t known = rig.worker.neighbours.used;
	for (unsigned i = 0; i < STRANGERS; i++) {
		struct segment segment = talk_segment(&talk, LEG_CLIENT, i % 2 == 0 ? TCP_SYN : TCP_ACK);
		segment.source.bytes[15] = (uint8_t)(10 + i % 200);
		segment.source_port = (uint16_t)(1024 + i);
		rig_receive(&rig, RIG_WAN, &segment);
		uint8_t arp[42] = {
			[6] = 2, [11] = STRANGER, [12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4, [21] = 1};
		memset(arp, 0xff, 6);
		memcpy(arp + 22, arp + 6, 6);
		memcpy(arp + 28, segment.source.bytes + 12, 4);
		memcpy(arp + 38, client->gate.bytes + 12, 4);
		rig_receive_frame(&rig, RIG_WAN, arp, sizeof(arp));
		drain(LEG_CLIENT);
	}
	CU_ASSERT_EQUAL(rig.worker.neighbours.used, known);
	CU_ASSERT_EQUAL(flow_table_used(&rig.worker.flows), 1);
	goes_on();
}

/* What answers our probes of endpoints must have the number that we sent. */
static void
test_probe(void)
{
	const struct probe_request request = {.addr = rig_addr("198.51.100.10"), .port = 8443, .endpoint = 3};
	static const uint8_t flags[] = {TCP_RST, TCP_RST | TCP_ACK, TCP_SYN | TCP_ACK, TCP_SYN, TCP_ACK};

	begin(false, false);
	probe_start(&rig.worker, &request);
	worker_flush(&rig.worker);
	rig_settle(&rig);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	for (unsigned i = 0; i < sizeof(flags); i++)
		for (int32_t off = -1; off <= 1; off += 2) {
			struct segment segment = talk_segment(&talk, LEG_ENDPOINT, flags[i]);
			segment.ack += (uint32_t)off;
			rig_receive(&rig, RIG_LAN, &segment);
		}
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_STATE], 2 * sizeof(flags));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PROBING], 1);
	CU_ASSERT_EQUAL(rig.learned.mss, 0);
	/* An ACK might be a TIME-WAIT's: it gets a RST of its own number, and the SYN goes out again, once. */
	unsigned resets = 0, syns = 0;
	while (talk_hear(&talk, LEG_ENDPOINT)) {
		resets += talk.heard.flags == TCP_RST;
		syns += talk.heard.flags == TCP_SYN;
	}
	CU_ASSERT(resets == 4 && syns == 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	talk_answer(&talk);
	CU_ASSERT_EQUAL(rig.learned.mss, 1460);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"blind segments", test_blind},
		{"repeats say nothing", test_repeats_say_nothing},
		{"an ACK brings no bytes", test_ack_brings_no_bytes},
		{"SYN while closing", test_syn_while_closing},
		{"impossible sources", test_impossible_sources},
		{"strangers make no neighbours", test_strangers_make_no_neighbours},
		{"answers to a probe", test_probe},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("attack", tests) : 1;
}
