/* SPDX-License-Identifier: Apache-2.0 */
/* From the client's ACK to the decision: however its first bytes come, the endpoint gets them once and in order. */
#include "dataplane/peek.h"

#include "dataplane/packet.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];
static uint32_t first; /* number of the client's first byte */

static void
begin(bool client_v6)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, client_v6, client_v6);
	CU_ASSERT_TRUE(talk_open(&talk));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], 1);
	first = client->seq;
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* The client says bytes from..to of its stream. */
static void
say(uint16_t from, uint16_t to)
{
	client->seq = first + from;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, (uint16_t)(to - from));
}

/* The decision has been made on the whole hello; the endpoint answers and gets it in one piece, and nothing else; all
 * ends well. */
static void
hello_arrives(void)
{
	uint8_t expected[TALK_HELLO];

	talk_pattern(first, expected, TALK_HELLO);
	CU_ASSERT_EQUAL(rig.n_decided, 1);
	CU_ASSERT_EQUAL(rig.decided_length, TALK_HELLO);
	CU_ASSERT_EQUAL(memcmp(rig.hello, expected, TALK_HELLO), 0);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	client->seq = first + TALK_HELLO;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	CU_ASSERT_EQUAL(memcmp(talk.heard.payload, expected, TALK_HELLO), 0);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 100));
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

/* The flow was refused for a reason: one RST that the client obeys, an event, nothing left. */
static void
refused(enum reason reason)
{
	struct flow_event event;

	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[reason], 1);
	CU_ASSERT_EQUAL(rig.stats.refused, 1);
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_REFUSED);
	CU_ASSERT_EQUAL(event.reason, reason);
	end();
}

static void
test_one_segment(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		begin(v6);
		say(0, TALK_HELLO);
		hello_arrives();
	}
}

static void
test_byte_by_byte(void)
{
	unsigned acks = 0;

	begin(false);
	for (uint16_t i = 0; i < (uint16_t)TALK_HELLO; i++) {
		say(i, (uint16_t)(i + 1));
		while (talk_hear(&talk, LEG_CLIENT)) {
			acks++;
			CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
			CU_ASSERT_EQUAL(talk.heard.ack, client->seq);
			CU_ASSERT_EQUAL(talk.heard.window, (HOLD_MAX - i - 1 + 127) >> 7);
		}
		CU_ASSERT_EQUAL(acks, (i + 1u == TALK_HELLO ? i : i + 1u) / PEEK_ACK_SEGMENTS);
	}
	hello_arrives();
}

static void
test_ack_after_a_while(void)
{
	begin(true);
	say(0, 50);
	rig_advance(&rig, PEEK_ACK_MS - 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_advance(&rig, 1 + 8);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	CU_ASSERT_NOT_EQUAL(talk_option(&talk.heard, 8), NULL);
	/* Once is enough, until more comes. */
	rig_advance(&rig, 1000);
	CU_ASSERT_TRUE(talk_silent(&talk));
	say(50, 60);
	rig_advance(&rig, PEEK_ACK_MS + 8);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	say(60, TALK_HELLO);
	hello_arrives();
}

/* Our ACK was lost: a client that must hear it before it sends more repeated itself until the hello's time was up. */
static void
test_ack_lost(void)
{
	begin(false);
	for (uint16_t i = 0; i < (uint16_t)PEEK_ACK_SEGMENTS; i++)
		say(i, (uint16_t)(i + 1));
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	for (unsigned i = 0; i < 2; i++) {
		say(0, 1);
		client->seq = first + PEEK_ACK_SEGMENTS;
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	}
	/* What isn't acknowledged yet and comes again is no reason. */
	say(8, 20);
	say(8, 20);
	CU_ASSERT_TRUE(talk_silent(&talk));
	say(20, TALK_HELLO);
	hello_arrives();
}

static void
test_out_of_order(void)
{
	/* Pieces of the hello as they come; the last makes it whole. */
	static const uint16_t cases[][6][2] = {
		{{100, 200}, {0, 100}},
		{{100, 200}, {0, 50}, {50, 100}},
		{{150, 200}, {50, 100}, {100, 150}, {0, 50}},
		{{0, 120}, {100, 180}, {150, 200}},    /* overlaps */
		{{0, 50}, {0, 50}, {0, 50}, {0, 200}}, /* repeats, then all of it */
		{{0, 100}, {50, 80}, {150, 160}, {140, 170}, {100, 200}},
		{{1, 200}, {0, 1}},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(false);
		for (unsigned j = 0; j < 6 && cases[i][j][1] != 0; j++) {
			CU_ASSERT_EQUAL(rig.n_decided, 0);
			say(cases[i][j][0], cases[i][j][1]);
		}
		hello_arrives();
	}
}

static void
test_first_version_counts(void)
{
	/* What the decision was made on is what the endpoint gets, whatever a repeat claims. */
	uint8_t lies[TALK_HELLO];

	memset(lies, 0x55, sizeof(lies));
	begin(false);
	say(0, 150);
	client->seq = first;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, lies, 100);
	say(150, TALK_HELLO);
	client->seq = first;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, lies, TALK_HELLO);
	hello_arrives();
}

static void
test_more_while_connecting(void)
{
	begin(false);
	say(0, TALK_HELLO);
	say(TALK_HELLO, 1000);
	say(0, 500);
	CU_ASSERT_EQUAL(rig.n_decided, 1);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	CU_ASSERT_TRUE(talk_silent(&talk));
	talk_answer(&talk);
	client->seq = first + 1000;
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, 1000));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_ENDPOINT));
	end();
}

static void
test_repeats_after_the_splice(void)
{
	begin(false);
	say(0, TALK_HELLO);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	/* The client's own repetition of what was held: the same numbers as the first time. */
	say(0, TALK_HELLO);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.seq, endpoint->ack - TALK_HELLO);
	CU_ASSERT_EQUAL(talk.heard.payload_length, TALK_HELLO);
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

static void
test_too_large(void)
{
	begin(false);
	rig.hello_length = HOLD_MAX + 1;
	uint16_t at = 0;
	for (; at + 1448 <= HOLD_MAX; at = (uint16_t)(at + 1448)) {
		say(at, (uint16_t)(at + 1448));
		while (talk_hear(&talk, LEG_CLIENT))
			CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
	}
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], 1);
	/* What doesn't fit is cut; that is the end of it. */
	say(at, (uint16_t)(at + 1448));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HOLD_BEYOND], 1);
	refused(REASON_HELLO_TOO_LARGE);
}

/* The client scales by 7: with fewer than 128 bytes to go a window that was rounded down would be none, and the hello
 * would end in probes of a byte each. */
static void
test_window_for_the_end(void)
{
	uint16_t window = 0;

	begin(false);
	rig.hello_length = HOLD_MAX;
	for (uint16_t at = 0; at < (uint16_t)(HOLD_MAX - 64); at = (uint16_t)(at + 1020))
		say(at, (uint16_t)(at + 1020));
	while (talk_hear(&talk, LEG_CLIENT))
		window = talk.heard.window;
	CU_ASSERT_EQUAL(window, 1);
	say(HOLD_MAX - 64, HOLD_MAX);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	end();
}

static void
test_just_fits(void)
{
	begin(false);
	rig.hello_length = HOLD_MAX;
	for (uint16_t at = 0; at < (uint16_t)HOLD_MAX; at = (uint16_t)(at + 1024))
		say(at, (uint16_t)(at + 1024));
	while (talk_hear(&talk, LEG_CLIENT))
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
	CU_ASSERT_EQUAL(rig.decided_length, HOLD_MAX);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	end();
}

static void
test_silent(void)
{
	begin(false);
	rig_advance(&rig, 4999);
	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_advance(&rig, 1 + 8);
	refused(REASON_HELLO_TIMEOUT);
}

static void
test_too_slow(void)
{
	/* Each byte comes in time, the whole doesn't: the deadline is from the handshake on. */
	begin(true);
	for (uint16_t i = 0; i < 10; i++) {
		say(i, (uint16_t)(i + 1));
		rig_advance(&rig, 499);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	}
	rig_advance(&rig, 18);
	refused(REASON_HELLO_TIMEOUT);
}

static void
test_fin(void)
{
	begin(false);
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 0);
	refused(REASON_CLIENT_CLOSED);

	begin(false);
	say(0, 100);
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 50);
	refused(REASON_CLIENT_CLOSED);

	/* Beyond a gap it means nothing yet; nor does one that comes with the end of a whole hello. */
	begin(false);
	client->seq = first + 150;
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 50);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], 1);
	say(0, 150);
	hello_arrives();

	begin(false);
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, TALK_HELLO);
	client->seq = first + TALK_HELLO;
	hello_arrives();
}

static void
test_reset(void)
{
	/* 150 bytes have come, the first 100 are acknowledged: what the client counts as its next number is the end of
	 * either. What lies between was believed, too, which made a hello of 16 kB as many numbers to hit. */
	static const struct {
		int32_t seq;
		bool credible;
	} cases[] = {{99, false},  {100, true}, {120, false}, {150, true},
		     {151, false}, {0, false},  {-1, false},  {1 << 30, false}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct flow_event event;
		begin(false);
		say(0, 100);
		rig_advance(&rig, PEEK_ACK_MS + 8);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
		say(100, 150);
		client->seq = first + (uint32_t)cases[i].seq;
		talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_CLIENT_RESET], cases[i].credible);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], !cases[i].credible);
		CU_ASSERT_EQUAL(rig_event(&rig, &event), cases[i].credible);
		CU_ASSERT_TRUE(talk_silent(&talk));
		if (!cases[i].credible) {
			client->seq = first + 150;
			talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		}
		end();
	}
}

static void
test_syn(void)
{
	begin(false);
	say(0, 70);
	struct segment syn = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
	syn.seq = 5;
	rig_receive(&rig, RIG_WAN, &syn);
	/* The challenge; anybody can send such a SYN, so it makes us acknowledge nothing. */
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
	CU_ASSERT_EQUAL(talk.heard.seq, client->ack);
	CU_ASSERT_EQUAL(talk.heard.ack, first);
	CU_ASSERT_EQUAL(hold_get(&rig.worker.holds, talk_flow(&talk)->hold)->acked, 0);
	rig_receive(&rig, RIG_WAN, &syn);
	CU_ASSERT_TRUE(talk_silent(&talk)); /* not twice in half a second */
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_STATE], 2);
	say(70, TALK_HELLO);
	hello_arrives();
}

static void
test_wrong_ack(void)
{
	for (int32_t off = -1; off <= 1; off += 2) {
		begin(false);
		client->ack += (uint32_t)off;
		say(0, TALK_HELLO);
		client->ack -= (uint32_t)off;
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], 1);
		CU_ASSERT_TRUE(talk_silent(&talk));
		say(0, TALK_HELLO);
		hello_arrives();
	}
}

static void
test_timestamps_missing(void)
{
	begin(false);
	client->timestamps_on = false;
	say(0, TALK_HELLO);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_TIMESTAMP_MISSING], 1);
	client->timestamps_on = true;
	say(0, TALK_HELLO);
	hello_arrives();
}

static void
test_beyond(void)
{
	/* Far ahead of, and far behind, the stream: dropped, the rest isn't disturbed. */
	begin(false);
	client->seq = first + HOLD_MAX + 5;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 10);
	client->seq = first + 0x7fffff00;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 10);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HOLD_BEYOND], 2);
	client->seq = first - 500;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 10);
	/* Partly before it: the part within counts. */
	uint8_t bytes[250];
	talk_pattern(first - 50, bytes, sizeof(bytes));
	client->seq = first - 50;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, bytes, sizeof(bytes));
	hello_arrives();
}

static void
test_refused_by_decision(void)
{
	struct flow_event event;

	begin(true);
	rig.decision = DECISION_REFUSE;
	rig.refusal = REASON_SNI_NO_MATCH;
	say(0, TALK_HELLO);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.ack, first); /* nothing of the hello was taken */
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_REFUSED);
	CU_ASSERT_EQUAL(event.reason, REASON_SNI_NO_MATCH);
	CU_ASSERT_STRING_EQUAL(event.sni, "rig.example");
	CU_ASSERT_EQUAL(event.client_port, 50000);
	CU_ASSERT_EQUAL(event.local_port, 443);
	CU_ASSERT_TRUE(ip_addr_equal(&event.client, &client->addr));
	CU_ASSERT_TRUE(ip_addr_equal(&event.local, &client->gate));
	CU_ASSERT_EQUAL(event.endpoint, 0);
	CU_ASSERT_EQUAL(event.out_port, 0);
	CU_ASSERT_EQUAL(event.attempts, 0);
	CU_ASSERT_EQUAL(event.opened_ms, rig.now_ms + UINT64_C(1700000000000));
	end();
}

/* A plain listener: the decision is made at the handshake's ACK, with no bytes or those that come with it, and whoever
 * wants to speaks first. */
static void
test_plain(void)
{
	for (unsigned with_bytes = 0; with_bytes < 2; with_bytes++) {
		rig_open(&rig, 64, 4096);
		talk_init(&talk, &rig, false, false);
		rig.offer.plain = true;
		rig.hello_length = 0;
		if (with_bytes == 0) {
			CU_ASSERT_TRUE(talk_open(&talk));
		} else {
			talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
			CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
			client->ack = talk.heard.seq + 1;
			client->timestamps_on = true;
			client->tsecr = talk_get_32(talk_option(&talk.heard, 8) + 2);
			talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 10);
		}
		CU_ASSERT_EQUAL(rig.n_decided, 1);
		CU_ASSERT_EQUAL(rig.decided_length, with_bytes != 0 ? 10 : 0);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		talk_answer(&talk);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, with_bytes != 0 ? TCP_ACK | TCP_PSH : TCP_ACK,
						 with_bytes != 0 ? 10 : 0));
		talk_say(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, NULL, 50);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, 50));
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
		CU_ASSERT_TRUE(talk_exchange(&talk, 100));
		CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
		end();
	}
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"one segment", test_one_segment},
		{"byte by byte", test_byte_by_byte},
		{"ACK after a while", test_ack_after_a_while},
		{"ACK lost", test_ack_lost},
		{"out of order", test_out_of_order},
		{"the first version counts", test_first_version_counts},
		{"more while connecting", test_more_while_connecting},
		{"repeats after the splice", test_repeats_after_the_splice},
		{"too large", test_too_large},
		{"just fits", test_just_fits},
		{"a window for the end of the hello", test_window_for_the_end},
		{"silent", test_silent},
		{"too slow", test_too_slow},
		{"FIN", test_fin},
		{"reset", test_reset},
		{"SYN", test_syn},
		{"wrong ACK", test_wrong_ack},
		{"timestamps missing", test_timestamps_missing},
		{"beyond", test_beyond},
		{"refused by decision", test_refused_by_decision},
		{"a plain listener", test_plain},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("peek", tests) : 1;
}
