/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers: what a SYN is answered with, what an ACK must bring, and what becomes of everything else. */
#include "dataplane/accept.h"

#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];

static void
begin(uint32_t flows)
{
	rig_open(&rig, flows, 4096);
	talk_init(&talk, &rig, false, false);
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static uint16_t
mss_heard(void)
{
	const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_MSS);

	return option == NULL ? 0 : (uint16_t)(option[2] << 8 | option[3]);
}

static uint8_t
wscale_heard(void)
{
	const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_WSCALE);

	return option == NULL ? TCP_WSCALE_NONE : option[2];
}

static void
test_options(void)
{
	/* What the client's SYN has and the listener may offer; what the SYN-ACK has; what the endpoint's SYN has. */
	static const struct {
		bool v6;
		uint16_t mss;
		uint8_t wscale;
		bool sack, timestamps;
		uint16_t offer_mss;
		bool offer_sack, offer_timestamps;
		uint16_t our_mss;
		bool our_sack, our_timestamps;
		uint16_t passed_mss;
	} cases[] = {
		{false, 1460, 7, true, true, 1460, true, true, 1460, true, true, 1460},
		{false, 1460, 7, true, true, 0, true, true, 1440, true, true, 1460},
		{false, 1460, 7, true, true, 1220, false, false, 1220, false, false, 1460},
		{false, 1460, 0, true, true, 9000, false, true, 1460, false, true, 1460},
		{false, 9000, 14, false, true, 1460, true, true, 1460, false, true, 1460},
		{false, 1452, 7, true, false, 1460, true, true, 1460, true, false, 1440},
		{false, 0, TCP_WSCALE_NONE, false, false, 1460, true, true, 1460, false, false, 536},
		{false, 100, TCP_WSCALE_NONE, true, false, 1460, true, false, 1460, true, false, 216},
		{true, 0, TCP_WSCALE_NONE, false, false, 1460, true, true, 1440, false, false, 1220},
		{true, 1440, 9, true, true, 1460, true, true, 1440, true, true, 1440},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(64);
		talk_init(&talk, &rig, cases[i].v6, false);
		client->mss = cases[i].mss;
		client->wscale = cases[i].wscale;
		client->sack = cases[i].sack;
		client->timestamps = cases[i].timestamps;
		rig.offer.mss = cases[i].offer_mss;
		rig.offer.sack = cases[i].offer_sack;
		rig.offer.timestamps = cases[i].offer_timestamps;
		CU_ASSERT_TRUE(talk_open(&talk));
		CU_ASSERT_EQUAL(talk.heard.window, HOLD_MAX);
		CU_ASSERT_EQUAL(mss_heard(), cases[i].our_mss);
		bool scales = cases[i].wscale != TCP_WSCALE_NONE;
		CU_ASSERT_EQUAL(wscale_heard(), scales ? ACCEPT_WSCALE : TCP_WSCALE_NONE);
		CU_ASSERT_EQUAL(talk_option(&talk.heard, TCP_OPTION_SACK_PERMITTED) != NULL, cases[i].our_sack);
		const uint8_t *timestamps = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
		CU_ASSERT_EQUAL(timestamps != NULL, cases[i].our_timestamps);
		if (timestamps != NULL)
			CU_ASSERT_EQUAL(talk_get_32(timestamps + 6), client->tsval);
		CU_ASSERT_EQUAL(rig.stats.syns, 1);
		CU_ASSERT_EQUAL(rig.stats.syn_acks, 1);

		talk_hello(&talk);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		CU_ASSERT_EQUAL(mss_heard(), cases[i].passed_mss);
		CU_ASSERT_EQUAL(wscale_heard(), cases[i].wscale);
		CU_ASSERT_EQUAL(talk_option(&talk.heard, TCP_OPTION_SACK_PERMITTED) != NULL, cases[i].our_sack);
		CU_ASSERT_EQUAL(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) != NULL, cases[i].our_timestamps);
		talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
		end();
	}
}

static void
test_no_listener(void)
{
	/* RFC 9293 section 3.10.7.1: the numbers of the RST. */
	static const struct {
		uint8_t flags;
		uint16_t length;
		bool answered;
		uint8_t reset_flags;
		uint32_t seq, ack;
	} cases[] = {
		{TCP_SYN, 0, true, TCP_RST | TCP_ACK, 0, 1000001},
		{TCP_SYN, 100, true, TCP_RST | TCP_ACK, 0, 1000101},
		{TCP_ACK, 0, true, TCP_RST, 555, 0},
		{TCP_ACK, 70, true, TCP_RST, 555, 0},
		{TCP_ACK | TCP_FIN, 0, true, TCP_RST, 555, 0},
		{TCP_ACK | TCP_SYN, 0, true, TCP_RST, 555, 0},
		{TCP_RST, 0, false, 0, 0, 0},
		{TCP_RST | TCP_ACK, 0, false, 0, 0, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			begin(64);
			talk_init(&talk, &rig, v6, false);
			client->gate_port = 80;
			client->ack = 555;
			talk_say(&talk, LEG_CLIENT, cases[i].flags, NULL, cases[i].length);
			CU_ASSERT_EQUAL_FATAL(talk_hear(&talk, LEG_CLIENT), cases[i].answered);
			CU_ASSERT_EQUAL(rig.stats.reasons[REASON_NO_LISTENER], 1);
			CU_ASSERT_EQUAL(rig.stats.rsts_sent, cases[i].answered);
			if (cases[i].answered) {
				CU_ASSERT_EQUAL(talk.heard.flags, cases[i].reset_flags);
				CU_ASSERT_EQUAL(talk.heard.seq, cases[i].seq);
				CU_ASSERT_EQUAL(talk.heard.ack, cases[i].ack);
				CU_ASSERT_EQUAL(talk.heard.window, 0);
			}
			end();
		}
}

static void
test_resets_are_limited(void)
{
	begin(64);
	rig.conf.flow.rst_per_second = 5;
	rig_advance(&rig, 1000);
	client->gate_port = 80;
	for (unsigned i = 0; i < 12; i++)
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 5);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RST_LIMITED], 7);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_NO_LISTENER], 5);
	rig_advance(&rig, 1000);
	for (unsigned i = 0; i < 12; i++)
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 10);
	end();
}

static void
test_other_than_handshake(void)
{
	/* To a listener's port, from nobody known. */
	static const struct {
		uint8_t flags;
		bool answered;
		enum reason reason;
	} cases[] = {
		{TCP_ACK, true, REASON_COOKIE_BAD},          {TCP_ACK | TCP_FIN, true, REASON_COOKIE_BAD},
		{TCP_RST, false, REASON_TCP_STATE},          {TCP_RST | TCP_ACK, false, REASON_TCP_STATE},
		{TCP_SYN | TCP_ACK, true, REASON_TCP_STATE},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(64);
		client->ack = 31337;
		talk_say(&talk, LEG_CLIENT, cases[i].flags, NULL, 0);
		CU_ASSERT_EQUAL(rig.stats.reasons[cases[i].reason], 1);
		CU_ASSERT_EQUAL_FATAL(talk_hear(&talk, LEG_CLIENT), cases[i].answered);
		if (cases[i].answered) {
			CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
			CU_ASSERT_EQUAL(talk.heard.seq, 31337);
		}
		end();
	}
}

static void
test_data_overtakes_ack(void)
{
	begin(64);
	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	client->ack = talk.heard.seq + 1;
	client->timestamps_on = true;
	client->tsecr = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
	/* The hello is in two segments; the second comes first, then the bare ACK, then both. */
	client->seq += 100;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 100);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_COOKIE_OUT_OF_ORDER], 1);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	client->seq -= 200;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], 1);
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	CU_ASSERT_TRUE(talk_exchange(&talk, 10));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

static void
test_hello_with_the_ack(void)
{
	begin(64);
	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	client->ack = talk.heard.seq + 1;
	client->timestamps_on = true;
	client->tsecr = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
	talk_hello(&talk); /* the bare ACK was lost */
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_ENDPOINT));
	end();
}

static void
test_cookie_ages(void)
{
	/* The clock stands 8 s into a period of 32 s; a cookie is good to the end of the next. */
	static const struct {
		uint32_t age_ms;
		bool good;
	} cases[] = {{0, true}, {24000, true}, {55999, true}, {56000, false}, {90000, false}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(64);
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		client->ack = talk.heard.seq + 1;
		rig_advance(&rig, cases[i].age_ms);
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], cases[i].good);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_COOKIE_BAD], !cases[i].good);
		CU_ASSERT_EQUAL(talk_hear_reset(&talk, LEG_CLIENT), !cases[i].good);
		if (cases[i].good)
			talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		end();
	}
}

static void
test_syn_with_payload(void)
{
	begin(64);
	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 50);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_SYN | TCP_ACK);
	CU_ASSERT_EQUAL(talk.heard.ack, client->seq - 50);
	CU_ASSERT_EQUAL(talk.heard.payload_length, 0);
	end();
}

static void
test_draining(void)
{
	for (unsigned whole = 0; whole < 2; whole++) {
		begin(64);
		/* Whoever has had its SYN-ACK is still served. */
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		client->ack = talk.heard.seq + 1;
		rig.worker.draining = whole;
		rig.offer.draining = !whole;
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], 1);
		talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		CU_ASSERT_TRUE(talk_silent(&talk));

		client->port++;
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST | TCP_ACK);
		CU_ASSERT_EQUAL(talk.heard.ack, client->seq);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_LISTENER_DRAINING], 1);
		end();
	}
}

static void
test_table_full(void)
{
	begin(1);
	CU_ASSERT_TRUE(talk_open(&talk));
	struct talk_side first = *client;
	client->port++;
	CU_ASSERT_TRUE(talk_open(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_FLOW_TABLE_FULL], 1);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 1);
	CU_ASSERT_TRUE(talk_silent(&talk)); /* it repeats its hello, and may get in then */
	*client = first;
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	end();
}

static void
test_holds_used_up(void)
{
	static uint32_t held[4096];
	unsigned n = 0;

	begin(64);
	while ((held[n] = hold_alloc(&rig.worker.holds)) != 0)
		n++;
	CU_ASSERT_TRUE(talk_open(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HOLD_POOL_EMPTY], 1);
	CU_ASSERT_EQUAL(flow_table_used(&rig.worker.flows), 0);
	CU_ASSERT_TRUE(talk_silent(&talk));
	while (n != 0)
		hold_release(&rig.worker.holds, held[--n]);
	talk_hello(&talk); /* repeated: now there is room */
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	end();
}

static void
test_malformed_options(void)
{
	begin(64);
	struct segment syn = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
	syn.options[1] = 0;
	rig_receive(&rig, RIG_WAN, &syn);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_OPTIONS], 1);

	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	client->ack = talk.heard.seq + 1;
	client->timestamps_on = true;
	client->tsecr = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
	struct segment ack = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	ack.options[3] = 40;
	rig_receive(&rig, RIG_WAN, &ack);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_OPTIONS], 2);
	end();
}

static void
test_land(void)
{
	static const char *const ours[] = {"192.0.2.1", "198.51.100.1"};

	for (unsigned i = 0; i < 2; i++) {
		begin(64);
		struct segment syn = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
		syn.source = rig_addr(ours[i]);
		syn.source_port = 443;
		rig_receive(&rig, RIG_WAN, &syn);
		CU_ASSERT_TRUE(talk_silent(&talk));
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_IP_LAND], 1);
		end();
	}
}

static void
put_ip_checksum(uint8_t *ip)
{
	ip[10] = ip[11] = 0;
	uint32_t sum = ~rig_sum(0, ip, 20);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static void
test_frames_that_arent_for_us(void)
{
	uint8_t frame[RIG_FRAME], tagged[RIG_FRAME];

	begin(64);
	struct segment syn = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
	uint16_t length = rig_build(&rig, RIG_WAN, &syn, frame);

	frame[5] ^= 0x40;
	rig_receive_frame(&rig, RIG_WAN, frame, length);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_MAC_NOT_OURS], 1);
	frame[5] ^= 0x40;

	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, (const uint8_t[4]){0x81, 0, 0, 7}, 4);
	memcpy(tagged + 16, frame + 12, length - 12u);
	rig_receive_frame(&rig, RIG_WAN, tagged, (uint16_t)(length + 4));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_VLAN_UNKNOWN], 1);

	/* To a group: nobody's connection. */
	memset(frame, 0xff, 6);
	rig_receive_frame(&rig, RIG_WAN, frame, length);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_IP_NOT_OURS], 1);
	memcpy(frame, rig.devices[RIG_WAN].mac, 6);

	frame[20] = 0x20; /* more fragments */
	put_ip_checksum(frame + 14);
	rig_receive_frame(&rig, RIG_WAN, frame, length);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_IP_FRAGMENT], 1);
	frame[20] = 0x40;
	put_ip_checksum(frame + 14);

	syn.destination = rig_addr("192.0.2.77");
	rig_receive(&rig, RIG_WAN, &syn);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_IP_NOT_OURS], 2);

	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_receive_frame(&rig, RIG_WAN, frame, length);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 1); /* as it was, it is answered */
	end();
}

static void
test_endpoint_may_be_client(void)
{
	/* A host on the endpoint's side reaches a listener by the other address of ours as well. */
	begin(64);
	client->addr = rig_addr("198.51.100.9");
	client->gate = rig_addr("192.0.2.1");
	client->device = RIG_LAN;
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 100));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(endpoint->gate_port, talk.heard.source_port);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"options", test_options},
		{"no listener", test_no_listener},
		{"resets are limited", test_resets_are_limited},
		{"other than a handshake", test_other_than_handshake},
		{"data overtakes the ACK", test_data_overtakes_ack},
		{"hello with the ACK", test_hello_with_the_ack},
		{"cookie ages", test_cookie_ages},
		{"SYN with payload", test_syn_with_payload},
		{"draining", test_draining},
		{"table full", test_table_full},
		{"holds used up", test_holds_used_up},
		{"malformed options", test_malformed_options},
		{"LAND", test_land},
		{"frames that aren't for us", test_frames_that_arent_for_us},
		{"a client on the endpoint's side", test_endpoint_may_be_client},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("accept", tests) : 1;
}
