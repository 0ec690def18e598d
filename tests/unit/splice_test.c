/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spliced connection's packets look like on the other side, and what ends it. The rig verifies every length and
 * checksum of what comes out.
 */
#include "dataplane/splice.h"

#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { MSS_MAX = 1460 };

static struct rig rig;
static struct talk talk;

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

static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];

/* Ends the connection by a RST of the client's. */
static void
cut(void)
{
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	rig_advance(&rig, 4016);
}

static void
test_families(void)
{
	for (unsigned i = 0; i < 4; i++) {
		begin(i & 1, i >> 1);
		CU_ASSERT_TRUE(talk_connect(&talk));
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
		CU_ASSERT_TRUE(talk_exchange(&talk, 1));
		CU_ASSERT_TRUE(talk_exchange(&talk, 777)); /* an odd length */
		CU_ASSERT_TRUE(talk_exchange(&talk, 1200));
		CU_ASSERT_TRUE(talk_close(&talk, i & 1));
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_CLOSED], 1);
		CU_ASSERT_EQUAL(rig.stats.spliced_packets, 16);
		end();
	}
}

static void
test_sequence_wraps(void)
{
	/* Each side's numbers wrap within its first bytes of data, or within the other's. */
	static const uint32_t isns[] = {0xffffffff, 0xfffffffe, 0xffffff38, 0xfffffc00, 0x7fffffff, 0};

	for (unsigned i = 0; i < sizeof(isns) / sizeof(isns[0]); i++)
		for (unsigned j = 0; j < sizeof(isns) / sizeof(isns[0]); j++) {
			begin(false, false);
			client->seq = isns[i];
			endpoint->seq = isns[j];
			CU_ASSERT_TRUE(talk_connect(&talk));
			CU_ASSERT_TRUE(talk_exchange(&talk, 1000));
			CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
			CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], 0);
			end();
		}
}

static void
test_timestamps(void)
{
	begin(false, true);
	CU_ASSERT_TRUE(talk_connect(&talk));
	const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(option);
	/* The held bytes echo the endpoint's clock, and begin one of their own. */
	CU_ASSERT_EQUAL(talk_get_32(option + 6), endpoint->tsval);
	uint32_t as_endpoint_sees = talk_get_32(option + 2);

	client->tsval += 55;
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 100);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, 100));
	option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(option);
	CU_ASSERT_EQUAL(talk_get_32(option + 2), as_endpoint_sees + 55);

	/* The echo comes back in the client's own clock. */
	uint32_t as_client_saw = client->tsecr;
	endpoint->tsval += 1234;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(option);
	CU_ASSERT_EQUAL(talk_get_32(option + 6), client->tsval);
	CU_ASSERT_EQUAL(talk_get_32(option + 2), as_client_saw + 1234);

	/* Without one where they were negotiated: RFC 7323 section 3.2. */
	struct segment bare = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	bare.options_length = 0;
	rig_receive(&rig, RIG_WAN, &bare);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_TIMESTAMP_MISSING], 1);
	cut();
	end();
}

static void
test_timestamps_not_negotiated(void)
{
	begin(false, false);
	client->timestamps = false;
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_FALSE(endpoint->timestamps_on);
	client->timestamps_on = true;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_OPTIONS], 1);
	cut();
	end();
}

/* Of options with SACK blocks for bytes begin..end, both in the numbering of the one who is told. */
static void
add_sack(struct segment *segment, uint32_t begin_, uint32_t end_)
{
	uint8_t *at = segment->options + segment->options_length;
	memcpy(at, (const uint8_t[4]){1, 1, 5, 10}, 4);
	talk_put_32(at + 4, begin_);
	talk_put_32(at + 8, end_);
	segment->options_length = (uint8_t)(segment->options_length + 12);
}

static void
test_sack(void)
{
	/* Who has SACK: both, the client alone, the endpoint alone. */
	static const struct {
		bool client, endpoint, passes;
	} cases[] = {{true, true, true}, {true, false, false}, {false, true, false}, {false, false, false}};

	for (unsigned i = 0; i < 4; i++)
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			begin(false, false);
			client->sack = cases[i].client;
			endpoint->sack = cases[i].endpoint;
			CU_ASSERT_TRUE(talk_connect(&talk));
			unsigned other = leg_other(leg);
			struct segment segment = talk_segment(&talk, leg, TCP_ACK);
			uint32_t first = talk.side[leg].ack + 100, last = talk.side[leg].ack + 300;
			add_sack(&segment, first, last);
			/* An endpoint that never announced it has no reason to send it; a client likewise. */
			bool sent = leg == LEG_CLIENT ? cases[i].client : cases[i].endpoint;
			rig_receive(&rig, talk.side[leg].device, &segment);
			CU_ASSERT_TRUE(talk_hear(&talk, other));
			const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_SACK);
			if (cases[i].passes) {
				CU_ASSERT_PTR_NOT_NULL_FATAL(option);
				CU_ASSERT_EQUAL(talk_get_32(option + 2), talk.side[other].seq + 100);
				CU_ASSERT_EQUAL(talk_get_32(option + 6), talk.side[other].seq + 300);
			} else if (sent) {
				CU_ASSERT_PTR_NULL(option);
			}
			CU_ASSERT_PTR_NOT_NULL(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS));
			cut();
			end();
		}
}

static void
test_windows(void)
{
	/* What a peer says, by which shift, and what the other hears when our side of it announced another. */
	static const struct {
		uint16_t window;
		uint8_t from, to;
		uint16_t expected;
	} cases[] = {
		{65535, 7, 7, 65535}, {1000, 0, 0, 1000},     {1000, 7, 0, 65535},   {511, 7, 0, 65408},
		{512, 7, 0, 65535},   {65535, 0, 7, 511},     {127, 0, 7, 1},        {128, 0, 7, 1},
		{1, 0, 14, 1},        {0, 0, 14, 0},          {0, 14, 0, 0},         {1, 14, 0, 16384},
		{4, 14, 0, 65535},    {65535, 14, 14, 65535}, {65535, 14, 7, 65535}, {3, 14, 7, 384},
		{65535, 7, 14, 511},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(splice_window(cases[i].window, cases[i].from, cases[i].to), cases[i].expected);
}

/* A packet left over from a connection before on the same ports is passed on, as a repeat may be; but its window, as
 * large as a scale of 14 makes it, was counted from its old acknowledgment, and moved the edge up to 1 GiB on. */
static void
test_window_of_an_old_packet(void)
{
	begin(false, false);
	client->wscale = 14;
	client->window = 10;
	CU_ASSERT_TRUE(talk_connect(&talk));
	uint32_t edge = talk_flow(&talk)->leg[LEG_CLIENT].edge;
	struct segment old = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	old.seq -= 1000000;
	old.ack -= 1000000;
	old.window = UINT16_MAX;
	rig_receive(&rig, RIG_WAN, &old);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk_flow(&talk)->leg[LEG_CLIENT].edge, edge);
	cut();
	end();
}

static void
test_windows_pass(void)
{
	/* Scales of both SYNs; the client is told 7 by us, the endpoint the client's own. */
	static const struct {
		uint8_t client, endpoint;
		uint16_t client_says, endpoint_hears, endpoint_says, client_hears;
	} cases[] = {
		{7, 7, 501, 501, 502, 502},
		{0, 7, 40000, 40000, 502, 502},
		{14, 0, 5, 5, 40000, 312},
		{14, 14, 9, 9, 3, 384},
		{TCP_WSCALE_NONE, 7, 40000, 40000, 64000, 64000},
		{7, TCP_WSCALE_NONE, 100, 12800, 64000, 500},
		{7, TCP_WSCALE_NONE, 1000, 65535, 5, 1},
		{TCP_WSCALE_NONE, TCP_WSCALE_NONE, 1, 1, 2, 2},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(false, false);
		client->wscale = cases[i].client;
		endpoint->wscale = cases[i].endpoint;
		CU_ASSERT_TRUE(talk_connect(&talk));
		client->window = cases[i].client_says;
		endpoint->window = cases[i].endpoint_says;
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
		CU_ASSERT_EQUAL(talk.heard.window, cases[i].endpoint_hears);
		talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
		CU_ASSERT_EQUAL(talk.heard.window, cases[i].client_hears);
		cut();
		end();
	}
}

static void
test_header_fields(void)
{
	for (unsigned i = 0; i < 4; i++) {
		begin(i & 1, i >> 1);
		CU_ASSERT_TRUE(talk_connect(&talk));
		struct segment segment = talk_segment(&talk, LEG_CLIENT, TCP_ACK | TCP_URG | TCP_ECE | TCP_CWR);
		segment.reserved = 0xf;
		segment.traffic_class = 0xb8 | 3; /* EF, and CE */
		segment.urgent = 17;
		segment.payload = (const uint8_t *)"urgent";
		segment.payload_length = 6;
		client->seq += 6;
		rig_receive(&rig, RIG_WAN, &segment);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK | TCP_URG);
		CU_ASSERT_EQUAL(talk.heard.reserved, 0);
		CU_ASSERT_EQUAL(talk.heard.urgent, 17);
		CU_ASSERT_EQUAL(talk.heard.traffic_class, 0xb8);
		cut();
		end();
	}
}

static void
test_options_not_negotiated(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct segment segment = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	static const uint8_t more[] = {30, 4, 1, 2, 28, 4, 3, 4}; /* MPTCP, user time-out */
	memcpy(segment.options + segment.options_length, more, sizeof(more));
	segment.options_length = (uint8_t)(segment.options_length + sizeof(more));
	rig_receive(&rig, RIG_WAN, &segment);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.options_length, 20);
	for (unsigned i = 12; i < 20; i++)
		CU_ASSERT_EQUAL(talk.heard.options[i], TCP_OPTION_NOP);

	segment.options[segment.options_length - 3] = 0; /* a length of 0 */
	rig_receive(&rig, RIG_WAN, &segment);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_OPTIONS], 1);
	cut();
	end();
}

static void
test_split(void)
{
	static const struct {
		bool timestamps;
		uint16_t mss, length;
		uint8_t flags;
		uint16_t pieces[4];
	} cases[] = {
		{true, 1460, 1448, TCP_PSH, {1448}},
		{true, 1220, 1448, TCP_PSH, {1208, 240}},
		{false, 536, 1460, TCP_PSH, {536, 536, 388}},
		{false, 730, 1460, TCP_PSH | TCP_FIN, {730, 730}},
		{false, 600, 600, TCP_FIN, {600}},
		{true, 612, 601, 0, {600, 1}},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t payload[MSS_MAX], got[MSS_MAX];
		uint16_t at = 0;
		begin(false, i & 1);
		client->timestamps = cases[i].timestamps;
		endpoint->mss = cases[i].mss;
		CU_ASSERT_TRUE(talk_connect(&talk));
		talk_pattern(5, payload, cases[i].length);
		uint32_t first = endpoint->ack;
		talk_say(&talk, LEG_CLIENT, TCP_ACK | cases[i].flags, payload, cases[i].length);
		for (unsigned j = 0; j < 4 && cases[i].pieces[j] != 0; j++) {
			bool last = at + cases[i].pieces[j] == cases[i].length;
			CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
			CU_ASSERT_EQUAL_FATAL(talk.heard.payload_length, cases[i].pieces[j]);
			CU_ASSERT_EQUAL(talk.heard.seq, first + at);
			CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK | (last ? cases[i].flags : 0));
			memcpy(got + at, talk.heard.payload, talk.heard.payload_length);
			at = (uint16_t)(at + talk.heard.payload_length);
		}
		CU_ASSERT_EQUAL(at, cases[i].length);
		CU_ASSERT_EQUAL(memcmp(got, payload, at), 0);
		CU_ASSERT_TRUE(talk_silent(&talk));
		CU_ASSERT_EQUAL(rig.stats.segments_split, cases[i].pieces[1] != 0);
		cut();
		end();
	}
}

static void
test_split_urgent(void)
{
	/* The pointer counts from the piece that it stands in, and a piece behind it has none. */
	static const uint16_t urgent[3] = {700, 164, 0};
	uint8_t payload[1460];

	begin(false, false);
	client->timestamps = false;
	endpoint->mss = 536;
	CU_ASSERT_TRUE(talk_connect(&talk));
	talk_pattern(5, payload, sizeof(payload));
	struct segment segment = talk_segment(&talk, LEG_CLIENT, TCP_ACK | TCP_URG);
	segment.urgent = 700;
	segment.payload = payload;
	segment.payload_length = sizeof(payload);
	rig_receive(&rig, RIG_WAN, &segment);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK | (urgent[i] != 0 ? TCP_URG : 0));
		CU_ASSERT_EQUAL(talk.heard.urgent, urgent[i]);
	}
	client->seq += sizeof(payload);
	cut();
	end();
}

static void
test_split_without_buffers(void)
{
	begin(false, false);
	client->timestamps = false;
	endpoint->mss = 536;
	CU_ASSERT_TRUE(talk_connect(&talk));
	uint32_t seq = client->seq;
	rig_take_buffers(2); /* the segment's own, and one */
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 1460);
	rig_give_back();
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 536));
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_PACKET_POOL_EMPTY], 1);
	/* The client repeats it, and all of it arrives. */
	client->seq = seq;
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 1460);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK | TCP_FIN);
	CU_ASSERT_EQUAL(endpoint->ack - (talk.heard.seq + talk.heard.payload_length), 1);
	cut();
	end();
}

static void
test_outside_of_window(void)
{
	/* By how much a segment's number is off, and whether it may pass. The endpoint's window is 65535 (unscaled, of
	 * its SYN-ACK) beyond what it acknowledged: the beginning of the hello. What is older than the largest window
	 * that a scale of 7 allows is nobody's repeat. */
	const uint32_t oldest = (65535u << 7) + SPLICE_WINDOW_SLACK;
	const struct {
		uint32_t seq, ack;
		bool passes;
	} cases[] = {
		{0, 0, true},
		{65535 - TALK_HELLO, 0, true},
		{65535 + SPLICE_WINDOW_SLACK - TALK_HELLO, 0, true},
		{65535 + SPLICE_WINDOW_SLACK - TALK_HELLO + 1, 0, false},
		{0x40000000, 0, false},
		{0x7fffffff, 0, false},
		{0 - 1u, 0, true}, /* a keep-alive */
		{0 - (uint32_t)TALK_HELLO, 0, true},
		{0 - oldest - TALK_HELLO, 0, true},
		{0 - oldest - TALK_HELLO - 1, 0, false},
		{0 - 0x20000000u, 0, false},
		{0x80000000, 0, false},
		{0, 1, false}, /* acknowledges what was never sent */
		{0, 0x7fffffff, false},
		{0, 0 - 1u, true},
		{0, 0 - oldest, true},
		{0, 0 - oldest - 1, false},
		{0, 0 - 0x20000000u, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(false, false);
		CU_ASSERT_TRUE(talk_connect(&talk));
		struct segment segment = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
		segment.seq += cases[i].seq;
		segment.ack += cases[i].ack;
		rig_receive(&rig, RIG_WAN, &segment);
		CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_LAN), cases[i].passes);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], !cases[i].passes);
		while (talk_hear(&talk, LEG_ENDPOINT))
			;
		cut();
		end();
	}
}

static void
test_reset(void)
{
	/* By how much a RST is off, from either side: whether it passes, and whether the flow ends. Where it passes and
	 * doesn't end, its sender is challenged. */
	static const struct {
		uint32_t seq;
		bool passes, ends;
	} cases[] = {
		{0, true, true},        {1, true, false},           {10000, true, false}, {0x10000000, false, false},
		{0 - 1u, false, false}, {0x80000000, false, false},
	};

	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			begin(false, true);
			CU_ASSERT_TRUE(talk_connect(&talk));
			CU_ASSERT_TRUE(talk_exchange(&talk, 100));
			unsigned other = leg_other(leg);
			struct segment segment = talk_segment(&talk, leg, TCP_RST | TCP_ACK);
			segment.seq += cases[i].seq;
			rig_receive(&rig, talk.side[leg].device, &segment);
			CU_ASSERT_EQUAL(rig_waiting(&rig, talk.side[other].device), cases[i].passes);
			if (cases[i].passes) {
				CU_ASSERT_TRUE(talk_hear(&talk, other));
				CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST | TCP_ACK);
				CU_ASSERT_EQUAL(talk.heard.seq, talk.side[other].ack + cases[i].seq);
				CU_ASSERT_EQUAL(talk.heard.ack, talk.side[other].seq);
			}
			if (cases[i].passes && !cases[i].ends)
				CU_ASSERT_TRUE(talk_hear_exactly(&talk, leg, TCP_ACK, 0));
			CU_ASSERT_TRUE(talk_silent(&talk));
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], cases[i].ends);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], !cases[i].ends);
			CU_ASSERT_EQUAL(rig.stats.reasons[leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT
									    : REASON_RESET_BY_ENDPOINT],
					cases[i].ends);
			if (!cases[i].ends)
				CU_ASSERT_TRUE(talk_exchange(&talk, 100));
			cut();
			end();
		}
}

static void
test_reset_between_acknowledged_and_sent(void)
{
	/* A peer aborts with 500 bytes unacknowledged: its RST has the number that was acknowledged, or the end of what
	 * it sent. With one between, which its receiver may have reached, it is passed on; but who guesses has 499 of
	 * them, and the flow was ended for each, so a live connection lost its record. Now the sender is asked, and
	 * ends it if he is gone. */
	static const struct {
		uint32_t at;
		bool ends;
	} cases[] = {{0, true}, {1, false}, {250, false}, {499, false}, {500, true}};

	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			begin(false, false);
			CU_ASSERT_TRUE(talk_connect(&talk));
			CU_ASSERT_TRUE(talk_exchange(&talk, 100));
			unsigned other = leg_other(leg);
			uint32_t acked = talk.side[leg].seq;
			talk_say(&talk, leg, TCP_ACK, NULL, 500);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, 500));
			struct segment segment = talk_segment(&talk, leg, TCP_RST);
			segment.seq = acked + cases[i].at;
			rig_receive(&rig, talk.side[leg].device, &segment);
			CU_ASSERT_TRUE(talk_hear(&talk, other));
			CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
			CU_ASSERT_EQUAL(talk.heard.seq, talk.side[other].ack - 500 + cases[i].at);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], cases[i].ends);
			if (!cases[i].ends) {
				CU_ASSERT_TRUE(talk_hear(&talk, leg));
				CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
				CU_ASSERT_EQUAL(talk.heard.ack, acked);
				segment.seq = talk.heard.ack;
				rig_receive(&rig, talk.side[leg].device, &segment);
				CU_ASSERT_TRUE(talk_hear(&talk, other));
				CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
				CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
			}
			CU_ASSERT_TRUE(talk_silent(&talk));
			rig_advance(&rig, 4016);
			end();
		}
}

static void
test_reset_beyond_window(void)
{
	/* A receiver's window closes, a byte probes it and isn't taken; then the sender gives up, and its RST has the
	 * number behind that byte. The receiver ignores it, having expected the byte. The flow was ended all the same,
	 * and where its record was needed for another, the receiver never heard of the end. Now the sender is asked,
	 * and answers with what the receiver obeys. */
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (uint16_t room = 0; room <= 1; room++) {
			begin(false, false);
			for (unsigned side = 0; side < LEG_COUNT; side++)
				talk.side[side].wscale = TCP_WSCALE_NONE;
			CU_ASSERT_TRUE(talk_connect(&talk));
			CU_ASSERT_TRUE(talk_exchange(&talk, 100));
			unsigned other = leg_other(leg);
			/* What has been announced stays so: the window closes by being filled. */
			struct flow_leg *receiver = &talk_flow(&talk)->leg[other];
			uint16_t left = (uint16_t)(receiver->edge - receiver->ack);
			for (uint16_t more; left != room; left = (uint16_t)(left - more)) {
				more = (uint16_t)(left - room < 1000 ? left - room : 1000);
				talk_say(&talk, leg, TCP_ACK, NULL, more);
				CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, more));
			}
			talk.side[other].window = room;
			talk_say(&talk, other, TCP_ACK, NULL, 0);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, leg, TCP_ACK, 0));
			uint32_t expected = talk.side[other].ack;
			talk_say(&talk, leg, TCP_ACK, NULL, 1);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, 1));

			struct segment reset = talk_segment(&talk, leg, TCP_RST);
			rig_receive(&rig, talk.side[leg].device, &reset);
			CU_ASSERT_TRUE(talk_hear(&talk, other));
			CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
			CU_ASSERT_EQUAL(talk.heard.seq, expected + 1);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], room);
			if (room == 0) {
				CU_ASSERT_TRUE(talk_hear(&talk, leg));
				CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
				reset.seq = talk.heard.ack;
				rig_receive(&rig, talk.side[leg].device, &reset);
				CU_ASSERT_TRUE(talk_hear(&talk, other));
				CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
				CU_ASSERT_EQUAL(talk.heard.seq, expected);
				CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
			}
			CU_ASSERT_TRUE(talk_silent(&talk));
			rig_advance(&rig, 4016);
			end();
		}
}

static void
test_reset_at_fin(void)
{
	/* A server closes and is gone; the client's last bytes crossed its FIN, and the RST that answers them has the
	 * FIN's number, though the FIN was acknowledged since. One before that is too old. */
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (uint32_t before = 1; before <= 2; before++) {
			begin(false, true);
			CU_ASSERT_TRUE(talk_connect(&talk));
			CU_ASSERT_TRUE(talk_exchange(&talk, 100));
			unsigned other = leg_other(leg);
			talk_say(&talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK | TCP_FIN, 0));
			talk_say(&talk, other, TCP_ACK, NULL, 0);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, leg, TCP_ACK, 0));
			struct segment segment = talk_segment(&talk, leg, TCP_RST);
			segment.seq -= before;
			rig_receive(&rig, talk.side[leg].device, &segment);
			CU_ASSERT_EQUAL(talk_hear(&talk, other), before == 1);
			CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], before == 2);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], before == 1);
			cut();
			end();
		}
}

static void
test_close_half(void)
{
	for (unsigned first = 0; first < LEG_COUNT; first++) {
		begin(false, false);
		CU_ASSERT_TRUE(talk_connect(&talk));
		unsigned other = leg_other(first);
		talk_say(&talk, first, TCP_ACK | TCP_FIN, NULL, 33);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK | TCP_FIN, 33));
		talk_say(&talk, other, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK, 0));
		for (unsigned i = 0; i < 5; i++) {
			talk_say(&talk, other, TCP_ACK, NULL, 1000);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK, 1000));
			talk_say(&talk, first, TCP_ACK, NULL, 0);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, 0));
		}
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
		talk_say(&talk, other, TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK | TCP_FIN, 0));
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
		talk_say(&talk, first, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, 0));
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
		/* The last ACK was lost: the FIN comes again, and its ACK still finds its way. */
		talk.side[other].seq--;
		talk.side[first].ack--;
		talk_say(&talk, other, TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK | TCP_FIN, 0));
		talk_say(&talk, first, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, other, TCP_ACK, 0));
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_CLOSED], 1);
		rig_advance(&rig, 4016);
		end();
	}
}

static void
test_close_simultaneous(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 0);
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK | TCP_FIN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	rig_advance(&rig, 4016);
	end();
}

static void
test_fin_out_of_order(void)
{
	/* A FIN ahead of the data before it is no end before the other side has acknowledged it. */
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	uint32_t seq = client->seq;
	client->seq += 400;
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 100);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK | TCP_FIN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk_flow(&talk)->leg[LEG_CLIENT].flags & LEG_FIN_ACKED, 0);
	client->seq = seq;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 400);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
	endpoint->ack += 101;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	rig_advance(&rig, 4016);
	end();
}

static void
test_fin_of_a_stranger(void)
{
	/* Somebody who guessed a number within the window injects a FIN: the connection goes on behind it, and ends by
	 * its own FINs. */
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct segment forged = talk_segment(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN);
	forged.seq += 50;
	rig_receive(&rig, RIG_WAN, &forged);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	endpoint->ack = talk_flow(&talk)->leg[LEG_ENDPOINT].ack;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 400);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	endpoint->ack = talk.heard.seq + 400;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK | TCP_FIN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], 0);
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	rig_advance(&rig, 4016);
	end();
}

static void
test_dropped_is_not_tracked(void)
{
	/* A packet without the timestamps that were agreed on is dropped, and leaves no trace. */
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct flow_leg before = talk_flow(&talk)->leg[LEG_CLIENT];
	struct segment bare = talk_segment(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN);
	bare.options_length = 0;
	bare.seq += 50;
	bare.window += 100;
	rig_receive(&rig, RIG_WAN, &bare);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_TIMESTAMP_MISSING], 1);
	CU_ASSERT_EQUAL(memcmp(&before, &talk_flow(&talk)->leg[LEG_CLIENT], sizeof(before)), 0);
	cut();
	end();
}

static void
test_syn_on_closing(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	talk_init(&talk, &rig, false, false);
	client->seq = 77000000;
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
	CU_ASSERT_TRUE(talk_exchange(&talk, 10));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_ENDPOINT));
	end();
}

static void
test_syn_on_established(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 10));
	struct talk_side before = *client;
	client->seq = 424242;
	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	*client = before;
	CU_ASSERT_TRUE(
		talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0)); /* the challenge: numbers of the old connection */
	CU_ASSERT_EQUAL(talk.heard.window, 65535);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_STATE], 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	/* A client that never began anew takes no harm. */
	CU_ASSERT_TRUE(talk_exchange(&talk, 10));
	/* One that did answers with a RST, which the endpoint hears. */
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	rig_advance(&rig, 4016);
	end();
}

/* The ACK of the endpoint's SYN-ACK was lost, and the SYN-ACK comes again. The answer had no timestamp, which an
 * endpoint may drop. */
static void
test_syn_ack_again(void)
{
	for (unsigned i = 0; i < 2; i++) {
		begin(false, false);
		client->timestamps = i == 0;
		CU_ASSERT_TRUE(talk_connect(&talk));
		endpoint->seq--;
		endpoint->ack -= TALK_HELLO;
		struct segment again = talk_segment(&talk, LEG_ENDPOINT, TCP_SYN | TCP_ACK);
		endpoint->seq++;
		endpoint->ack += TALK_HELLO;
		if (i == 1) { /* without timestamps the SYN was sent twice, and this is what that brought */
			rig_receive(&rig, RIG_LAN, &again);
			CU_ASSERT_TRUE(talk_silent(&talk));
		}
		rig_receive(&rig, RIG_LAN, &again);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
		CU_ASSERT_TRUE(talk_silent(&talk));
		const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
		CU_ASSERT_EQUAL(option != NULL, i == 0);
		if (option != NULL) {
			CU_ASSERT_EQUAL(talk_get_32(option + 2), endpoint->tsecr);
			CU_ASSERT_EQUAL(talk_get_32(option + 6), 0);
		}
		/* A forged one must not choose the timestamp. */
		for (unsigned j = 0; j < 2; j++) {
			struct segment forged = again;
			forged.seq += j == 0;
			forged.ack += j == 1;
			rig_advance(&rig, 1 << FLOW_CHALLENGE_SHIFT);
			rig_receive(&rig, RIG_LAN, &forged);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
			CU_ASSERT_PTR_NULL(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS));
		}
		CU_ASSERT_TRUE(talk_exchange(&talk, 10));
		cut();
		end();
	}
}

/* A challenge acknowledged what had passed, not what had arrived: a SYN-ACK that came late made the endpoint forget
 * what the client still missed. */
static void
test_challenge_acknowledges_what_arrived(void)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		begin(false, false);
		CU_ASSERT_TRUE(talk_connect(&talk));
		CU_ASSERT_TRUE(talk_exchange(&talk, 10));
		uint32_t arrived = talk.side[leg].seq;
		talk_say(&talk, leg, TCP_ACK, NULL, 500);
		CU_ASSERT_TRUE(talk_hear(&talk, leg_other(leg)));
		struct segment syn = talk_segment(&talk, leg, leg == LEG_CLIENT ? TCP_SYN : TCP_SYN | TCP_ACK);
		rig_receive(&rig, talk.side[leg].device, &syn);
		CU_ASSERT_TRUE(talk_hear(&talk, leg));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
		CU_ASSERT_EQUAL(talk.heard.seq, talk.side[leg].ack);
		CU_ASSERT_EQUAL(talk.heard.ack, arrived);
		cut();
		end();
	}
}

static void
test_challenges_are_limited(void)
{
	/* For each connection by itself: they were taken from the RSTs that all strangers share, so that somebody who
	 * counted those that he got could tell whether a guessed port was a connection's. */
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct segment forged[] = {talk_segment(&talk, LEG_CLIENT, TCP_SYN), talk_segment(&talk, LEG_CLIENT, TCP_RST)};
	forged[1].seq += 9;
	for (unsigned second = 0; second < 3; second++) {
		for (unsigned i = 0; i < 10; i++)
			rig_receive(&rig, RIG_WAN, &forged[i & 1]);
		CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 1);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
		CU_ASSERT_EQUAL(rig.worker.rst_allowance, 1000);
		rig_advance(&rig, 600);
	}
	while (talk_hear(&talk, LEG_ENDPOINT))
		;
	cut();
	end();
}

static void
test_neighbour_forgotten(void)
{
	begin(false, true);
	CU_ASSERT_TRUE(talk_connect(&talk));
	uint64_t asked = rig.stats.nd_solicitations;
	/* Long silence: both next hops are forgotten, and found again by the first packet. */
	rig_advance(&rig, 340000);
	CU_ASSERT_EQUAL(rig.stats.neighbours, 0);
	CU_ASSERT_TRUE(talk_exchange(&talk, 10));
	CU_ASSERT_EQUAL(rig.stats.neighbours, 2);
	CU_ASSERT_EQUAL(rig.stats.nd_solicitations, asked + 1);
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

static void
test_neighbour_gone(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	rig_advance(&rig, 340000);
	rig.deaf[RIG_LAN] = true;
	for (unsigned i = 0; i < NEIGHBOUR_PENDING_MAX + 2; i++)
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_NEIGHBOUR_PENDING], 2);
	rig_advance(&rig, 3500);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_NEIGHBOUR_FAILED], NEIGHBOUR_PENDING_MAX);
	rig.deaf[RIG_LAN] = false;
	rig_advance(&rig, 6000);
	cut();
	end();
}

static void
test_tx_full(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	rig.sent[RIG_LAN].refuse = 1;
	uint32_t seq = client->seq;
	uint64_t sent = rig.stats.tx_packets[RIG_LAN], bytes = rig.stats.tx_bytes[RIG_LAN];
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 100);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TX_FULL], 1);
	CU_ASSERT_EQUAL(rig.stats.tx_packets[RIG_LAN], sent);
	CU_ASSERT_EQUAL(rig.stats.tx_bytes[RIG_LAN], bytes);
	client->seq = seq;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 100);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 100));
	CU_ASSERT_EQUAL(rig.stats.tx_bytes[RIG_LAN], bytes + 14 + 20 + 20 + 12 + 100);
	cut();
	end();
}

static void
test_buffers_used_up(void)
{
	/* With the last buffer of all a segment still passes: a splice needs none of its own. */
	begin(true, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	rig_take_buffers(1);
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 1000);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 1000));
	rig_give_back();
	cut();
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"families", test_families},
		{"sequence numbers wrap", test_sequence_wraps},
		{"timestamps", test_timestamps},
		{"timestamps not negotiated", test_timestamps_not_negotiated},
		{"sack", test_sack},
		{"windows", test_windows},
		{"the window of an old packet", test_window_of_an_old_packet},
		{"windows pass", test_windows_pass},
		{"header fields", test_header_fields},
		{"options not negotiated", test_options_not_negotiated},
		{"split", test_split},
		{"split with urgent data", test_split_urgent},
		{"split without buffers", test_split_without_buffers},
		{"outside of the window", test_outside_of_window},
		{"a FIN of a stranger", test_fin_of_a_stranger},
		{"what is dropped is not tracked", test_dropped_is_not_tracked},
		{"reset", test_reset},
		{"reset between acknowledged and sent", test_reset_between_acknowledged_and_sent},
		{"reset from beyond the window", test_reset_beyond_window},
		{"reset at the number of a FIN", test_reset_at_fin},
		{"half close", test_close_half},
		{"simultaneous close", test_close_simultaneous},
		{"FIN out of order", test_fin_out_of_order},
		{"SYN on closing", test_syn_on_closing},
		{"SYN on established", test_syn_on_established},
		{"SYN-ACK again", test_syn_ack_again},
		{"a challenge acknowledges what arrived", test_challenge_acknowledges_what_arrived},
		{"challenges are limited", test_challenges_are_limited},
		{"neighbour forgotten", test_neighbour_forgotten},
		{"neighbour gone", test_neighbour_gone},
		{"transmit queue full", test_tx_full},
		{"buffers used up", test_buffers_used_up},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("splice", tests) : 1;
}
