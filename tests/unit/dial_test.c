/* SPDX-License-Identifier: Apache-2.0 */
/* From the decision to the splice: what the endpoint is sent, what becomes of its answers, and the bytes that are ours
 * to deliver. */
#include "dataplane/dial.h"

#include "dataplane/packet.h"
#include "dataplane/syn_cookie.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { TICK = 8, OWNED = 100 };

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];

static void
begin(void)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, false, false);
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static void
cut(void)
{
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	rig_advance(&rig, 4016);
	CU_ASSERT_TRUE(talk_silent(&talk));
	end();
}

static void
hello(void)
{
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
}

/* The same, in a way that makes the first OWNED bytes ours: the client had to be given an ACK. */
static void
hello_owned(void)
{
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, OWNED);
	rig_advance(&rig, 150 + TICK);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO - OWNED);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
}

/* The client got a RST, for this reason, after so many attempts. */
static void
refused(enum reason reason, unsigned attempts)
{
	struct flow_event event;

	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_REFUSED);
	CU_ASSERT_EQUAL(event.reason, reason);
	CU_ASSERT_EQUAL(event.attempts, attempts);
	CU_ASSERT_EQUAL(event.endpoint, 1 + attempts);
	CU_ASSERT_EQUAL(rig.stats.reasons[reason], 1);
	end();
}

/* The next endpoint hears a SYN. */
static void
next_endpoint(uint8_t host)
{
	endpoint->addr.bytes[15] = host;
	endpoint->timestamps = true;
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
}

static void
test_syn(void)
{
	/* Scale and window of the client's ACK, and the window in the SYN, which has no scale. */
	static const struct {
		uint8_t wscale;
		uint16_t window, expected;
	} cases[] = {{7, 501, 64128}, {7, 10, 1280}, {14, 65535, 65535}, {TCP_WSCALE_NONE, 777, 777}, {0, 0, 0}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin();
		client->wscale = cases[i].wscale;
		client->window = cases[i].window;
		hello();
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		CU_ASSERT_EQUAL(talk.heard.window, cases[i].expected);
		CU_ASSERT_EQUAL(talk.heard.payload_length, 0);
		CU_ASSERT_TRUE(talk.heard.source_port >= 16384);
		const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(option);
		CU_ASSERT_EQUAL(talk_get_32(option + 6), 0);
		CU_ASSERT_EQUAL(rig.worker.live[2].active, 1);
		CU_ASSERT_EQUAL(rig.worker.live[10].active, 1);
		cut();
	}
}

/* An endpoint took our quick answer to its SYN-ACK for the path's round trip: behind 100 ms its BBR sent a quarter of
 * what it can, and its RACK, where segments are reordered, three quarters. */
static void
test_far_client_is_not_measured(void)
{
	static const struct {
		bool far, timestamps;
	} cases[] = {{false, true}, {true, true}, {false, false}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool twice = cases[i].far || !cases[i].timestamps;
		begin();
		talk.far = cases[i].far;
		client->timestamps = cases[i].timestamps;
		hello();
		CU_ASSERT_TRUE(talk_hear_syn(&talk)); /* as often as it should come */
		CU_ASSERT_TRUE(talk_silent(&talk));
		struct segment again = talk_segment(&talk, LEG_ENDPOINT, TCP_SYN | TCP_ACK);
		talk_answer(&talk);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
		const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
		CU_ASSERT_EQUAL(option != NULL, cases[i].timestamps);
		if (option != NULL)
			CU_ASSERT_EQUAL(talk_get_32(option + 6), twice ? 0 : endpoint->tsval);

		/* The other SYN-ACK is no news, and no drop; a third is of an endpoint that missed the ACK. */
		rig_receive(&rig, RIG_LAN, &again);
		CU_ASSERT_EQUAL(talk_silent(&talk), twice);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_STATE], twice ? 0 : 1);
		if (twice)
			rig_receive(&rig, RIG_LAN, &again);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
		CU_ASSERT_TRUE(talk_exchange(&talk, 10));
		cut();
	}
}

/* The same for bytes that are ours to repeat: they echo nothing before the endpoint has sent more, whatever its clock.
 */
static void
test_far_client_owned(void)
{
	begin();
	talk.far = true;
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	for (unsigned i = 0; i < 2; i++) {
		rig_advance(&rig, ((uint32_t)HELD_RTO_MS << i) + TICK);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED);
		const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(option);
		CU_ASSERT_EQUAL(talk_get_32(option + 6), i == 0 ? 0 : endpoint->tsval);

		endpoint->tsval += 0x80000001;
		struct segment missed = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
		missed.ack -= TALK_HELLO;
		rig_receive(&rig, RIG_LAN, &missed);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	}
	cut();
}

/* Bytes that are ours and arrive a few at a time were given up as if none did, and waited twice as long for each. */
static void
test_owned_bytes_make_progress(void)
{
	enum { STEP = 5 };

	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	for (uint32_t i = 1; i <= HELD_RETRIES_MAX + 2; i++) {
		struct segment some = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
		some.ack += i * STEP - TALK_HELLO;
		rig_receive(&rig, RIG_LAN, &some);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		/* What follows a repeat was lost with it, and goes out at once; all of it again after the first
		 * time-out. */
		for (unsigned time = i == 1 ? 1 : 0; time < 2; time++) {
			if (time != 0)
				rig_advance(&rig, HELD_RTO_MS + TICK);
			CU_ASSERT_TRUE_FATAL(talk_hear(&talk, LEG_ENDPOINT));
			CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED - i * STEP);
			CU_ASSERT_TRUE(talk_silent(&talk));
		}
	}
	cut();
}

static void
test_syn_promises_what_fits(void)
{
	/* What the client takes, and what comes through our own port: an endpoint on a link of 9000 bytes would believe
	 * more, and one that speaks IPv6 has 20 bytes less (lwIP sent fragments instead). */
	static const struct {
		bool client_v6, endpoint_v6;
		uint16_t client_mss, lan_mtu, expected;
	} cases[] = {{false, false, 1460, 1500, 1460}, {false, true, 1460, 1500, 1440}, {true, false, 1440, 1500, 1440},
		     {false, false, 1460, 1400, 1360}, {false, true, 1460, 1400, 1340}, {false, true, 536, 1500, 536}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_open(&rig, 64, 4096);
		rig.net.ports[RIG_LAN].mtu = cases[i].lan_mtu;
		talk_init(&talk, &rig, cases[i].client_v6, cases[i].endpoint_v6);
		client->mss = cases[i].client_mss;
		hello();
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		const uint8_t *option = talk_option(&talk.heard, TCP_OPTION_MSS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(option);
		CU_ASSERT_EQUAL(option[2] << 8 | option[3], cases[i].expected);
		cut();
	}
}

static void
test_syn_is_repeated(void)
{
	begin();
	rig.dials[0].connect_timeout_ms = 10000;
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	uint32_t isn = talk.heard.seq;
	/* After 1 s, 2 s more, 4 s more; each timer may be a tick late. */
	static const uint32_t expected[] = {1000, 3000, 7000};
	for (uint32_t i = 0, ms = 1; ms < 9990; ms++) {
		rig_advance(&rig, 1);
		if (talk_silent(&talk))
			continue;
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		CU_ASSERT_EQUAL(talk.heard.seq, isn);
		CU_ASSERT_TRUE_FATAL(i < 3);
		CU_ASSERT_TRUE(ms >= expected[i] && ms < expected[i] + (i + 1) * TICK);
		i++;
	}
	CU_ASSERT_EQUAL(rig.stats.retransmissions, 3);
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	cut();
}

static void
test_timeout(void)
{
	begin();
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	rig_advance(&rig, 1000 + TICK);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	rig_advance(&rig, 490 - TICK);
	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_advance(&rig, 10 + TICK);
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 1);
	CU_ASSERT_EQUAL(rig.worker.live[10].failed, 1);
	refused(REASON_CONNECT_TIMEOUT, 1);
}

static void
test_timeout_then_another(void)
{
	begin();
	rig.n_dials = 2;
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	uint16_t old_port = endpoint->gate_port;
	uint32_t old_ack = endpoint->ack;
	rig_advance(&rig, 1000 + TICK);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	rig_advance(&rig, 500);
	next_endpoint(11);
	CU_ASSERT_EQUAL(rig.decided_tried[0], 2);
	CU_ASSERT_EQUAL(rig.decided_tried[1], 0);

	/* The first one's answer comes at last: nothing there waits for it. */
	struct segment late = talk_segment(&talk, LEG_ENDPOINT, TCP_SYN | TCP_ACK);
	late.source.bytes[15] = 10;
	late.destination_port = old_port;
	late.ack = old_ack;
	rig_receive(&rig, RIG_LAN, &late);
	struct segment reset;
	CU_ASSERT_TRUE_FATAL(rig_next(&rig, RIG_LAN, &reset, talk.frame));
	CU_ASSERT_EQUAL(reset.flags, TCP_RST);
	CU_ASSERT_EQUAL(reset.seq, old_ack);
	CU_ASSERT_EQUAL(reset.destination.bytes[15], 10);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_NO_LISTENER], 1);

	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 1);
	CU_ASSERT_EQUAL(rig.worker.live[2].active, 0);
	CU_ASSERT_EQUAL(rig.worker.live[3].opened, 1);
	CU_ASSERT_EQUAL(rig.worker.live[10].active, 1);
	cut();
}

static void
test_refused(void)
{
	begin();
	rig.n_dials = 4;
	hello();
	for (uint8_t host = 10; host < 14; host++) {
		next_endpoint(host);
		/* One that doesn't acknowledge our SYN is anybody's. */
		endpoint->ack += 1;
		talk_say(&talk, LEG_ENDPOINT, TCP_RST | TCP_ACK, NULL, 0);
		talk_say(&talk, LEG_ENDPOINT, TCP_RST, NULL, 0);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], 2 * (uint64_t)(host - 9u));
		CU_ASSERT_TRUE(talk_silent(&talk));
		endpoint->ack -= 1;
		talk_say(&talk, LEG_ENDPOINT, TCP_RST | TCP_ACK, NULL, 0);
	}
	CU_ASSERT_EQUAL(rig.worker.live[10].failed, 4);
	refused(REASON_CONNECT_REFUSED, 4);
}

static void
test_time_wait(void)
{
	begin();
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	struct segment ack = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
	ack.ack = 123456;
	rig_receive(&rig, RIG_LAN, &ack);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
	CU_ASSERT_EQUAL(talk.heard.seq, 123456);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	/* A second one gets its RST, and the SYN waits for its time. */
	rig_receive(&rig, RIG_LAN, &ack);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_advance(&rig, 1000 + TICK);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	cut();
}

/* It would be a relay (bridge_relay_test.c), but there is no record for one. */
static void
test_no_timestamps_at_endpoint(void)
{
	begin();
	rig.worker.bridges.capacity = 0;
	rig.n_dials = 2;
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	uint32_t isn = endpoint->seq;
	endpoint->timestamps = false;
	talk_answer(&talk);
	CU_ASSERT_FALSE(rig.learned.timestamps);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST | TCP_ACK);
	CU_ASSERT_EQUAL(talk.heard.seq, endpoint->ack);
	CU_ASSERT_EQUAL(talk.heard.ack, isn + 1);
	next_endpoint(11);
	endpoint->timestamps = false;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	refused(REASON_ENDPOINT_OPTIONS, 2);
}

static void
test_learned(void)
{
	begin();
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	endpoint->mss = 1234;
	endpoint->wscale = 5;
	endpoint->sack = false;
	endpoint->window = 4321;
	talk_answer(&talk);
	CU_ASSERT_EQUAL(rig.learned.mss, 1234);
	CU_ASSERT_EQUAL(rig.learned.wscale, 5);
	CU_ASSERT_FALSE(rig.learned.sack);
	CU_ASSERT_TRUE(rig.learned.timestamps);
	CU_ASSERT_EQUAL(rig.learned.window, 4321);
	const struct flow *flow = talk_flow(&talk);
	CU_ASSERT_EQUAL(flow->leg[LEG_ENDPOINT].mss, 1234);
	CU_ASSERT_EQUAL(flow->leg[LEG_ENDPOINT].flags & (LEG_SACK | LEG_WSCALE | LEG_TS), LEG_WSCALE | LEG_TS);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	cut();
}

static void
test_answers_that_arent(void)
{
	begin();
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	/* Simultaneous open; an ACK without SYN; a SYN-ACK with options that overrun. */
	talk_say(&talk, LEG_ENDPOINT, TCP_SYN, NULL, 0);
	endpoint->seq--;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 20);
	endpoint->seq -= 20;
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_STATE], 2);
	struct segment syn_ack = talk_segment(&talk, LEG_ENDPOINT, TCP_SYN | TCP_ACK);
	syn_ack.options[1] = 41;
	rig_receive(&rig, RIG_LAN, &syn_ack);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_OPTIONS], 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	cut();
}

static void
test_small_mss(void)
{
	begin();
	hello();
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 1000);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	uint8_t expected[TALK_HELLO + 1000], got[TALK_HELLO + 1000];
	talk_pattern(client->seq - 1200, expected, sizeof(expected));
	endpoint->mss = 536;
	talk_answer(&talk);
	static const uint16_t pieces[] = {524, 524, 152};
	uint16_t at = 0;
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | (i == 2 ? TCP_PSH : 0), pieces[i]));
		memcpy(got + at, talk.heard.payload, pieces[i]);
		at = (uint16_t)(at + pieces[i]);
	}
	CU_ASSERT_EQUAL(memcmp(got, expected, sizeof(got)), 0);
	cut();
}

/* An endpoint's word on its MSS was taken as it was: less than the timestamps option, and what was left for payload
 * wrapped to 64 KiB and overran the packet buffer, or was 0 and never came to an end. */
static void
test_absurd_mss(void)
{
	static const uint16_t sizes[] = {1, 11, 12, 13, 40, 87};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin();
		hello();
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 1448);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		endpoint->mss = sizes[i];
		talk_answer(&talk);
		CU_ASSERT_EQUAL(rig.learned.mss, sizes[i]);
		for (uint32_t at = 0; at < TALK_HELLO + 1448; at += talk.heard.payload_length) {
			CU_ASSERT_TRUE_FATAL(talk_hear(&talk, LEG_ENDPOINT));
			CU_ASSERT_TRUE_FATAL(talk.heard.payload_length >= 1 &&
					     talk.heard.payload_length <= DIAL_MSS_MIN - 12);
		}
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 152);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.payload_length, DIAL_MSS_MIN - 12);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.payload_length, 152 - (DIAL_MSS_MIN - 12));
		cut();
	}
}

static void
test_zero_window(void)
{
	/* Nothing is ours: the endpoint gets the ACK of its SYN, and the client's repetition finds its way when there
	 * is room. */
	begin();
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	endpoint->window = 0;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_ACK);
	CU_ASSERT_EQUAL(talk.heard.payload_length, 0);
	CU_ASSERT_EQUAL(talk.heard.seq, endpoint->ack);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	endpoint->window = 8;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	client->seq -= TALK_HELLO;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, TALK_HELLO));
	cut();
}

static void
test_zero_window_with_bytes_of_ours(void)
{
	begin();
	hello_owned();
	endpoint->window = 0;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
	/* The window opens a little, then wide. */
	endpoint->wscale = 0;
	endpoint->window = 1;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0); /* scaled by 7: 128 bytes */
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, OWNED));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	/* The rest is the client's. */
	client->seq -= TALK_HELLO - OWNED;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO - OWNED);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, TALK_HELLO - OWNED));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	cut();
}

/* A closed window was asked about by bare ACKs, which nobody answers: when the news of its opening was lost, both sides
 * waited until the bytes were given up. */
static void
test_zero_window_is_probed(void)
{
	begin();
	hello_owned();
	endpoint->window = 0;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
	uint32_t begins = endpoint->ack;
	rig_advance(&rig, HELD_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 1));
	/* It has no room for that either. */
	endpoint->ack = begins;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	rig_advance(&rig, 2 * HELD_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 1));
	/* Now it has. */
	endpoint->window = 8;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, OWNED - 1));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	client->seq -= TALK_HELLO - OWNED;
	cut();
}

static void
test_held_bytes_repeated(void)
{
	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	uint32_t begins = endpoint->ack - TALK_HELLO;
	uint8_t expected[OWNED];
	talk_pattern(client->seq - TALK_HELLO, expected, OWNED);
	/* All of it was lost. */
	rig_advance(&rig, HELD_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.seq, begins);
	CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED);
	CU_ASSERT_EQUAL(memcmp(talk.heard.payload, expected, OWNED), 0);
	CU_ASSERT_TRUE(talk_silent(&talk));
	/* Part of it arrived. */
	struct segment ack = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
	ack.ack = begins + 30;
	rig_receive(&rig, RIG_LAN, &ack);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT)); /* as it is; the client knows that already */
	/* What follows was lost with what was repeated: it goes out at once, and again after the first time-out. (Once
	 * each step waited for twice as long as the one before, and the ninth ended the connection, though all of them
	 * had arrived.) */
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.seq, begins + 30);
		CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED - 30);
		CU_ASSERT_TRUE(talk_silent(&talk));
		if (i == 0)
			rig_advance(&rig, HELD_RTO_MS + TICK);
	}
	/* All of ours did: what is left is the client's. */
	ack.ack = begins + OWNED;
	rig_receive(&rig, RIG_LAN, &ack);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	rig_advance(&rig, 10000);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.retransmissions, 2);
	cut();
}

/* Held bytes, repeated, acknowledged what the endpoint had said meanwhile, whether it had reached the client or not:
 * lost for good. */
static void
test_held_bytes_acknowledge_what_arrived(void)
{
	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	endpoint->ack -= TALK_HELLO;
	uint32_t says = endpoint->seq;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 300);
	rig_advance(&rig, HELD_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED);
	CU_ASSERT_EQUAL(talk.heard.ack, says);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.payload_length, 300);
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	rig_advance(&rig, 2 * HELD_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED);
	CU_ASSERT_EQUAL(talk.heard.ack, says + 300);
	endpoint->ack += TALK_HELLO - OWNED;
	cut();
}

/* The client repeated its bytes, with a newer timestamp, before it heard that they were ours; the endpoint had no room
 * for them, but remembered the timestamp. Those that we repeated had the one of the dial, and never got past PAWS. */
static void
test_held_bytes_have_the_latest_timestamps(void)
{
	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	endpoint->ack -= TALK_HELLO;
	client->seq -= TALK_HELLO;
	client->tsval += 1000;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	uint32_t latest = talk_get_32(talk_option(&talk.heard, 8) + 2);
	endpoint->tsval += 70;
	endpoint->ack -= TALK_HELLO;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	rig_advance(&rig, HELD_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.payload_length, OWNED);
	CU_ASSERT_EQUAL(talk_get_32(talk_option(&talk.heard, 8) + 2), latest);
	CU_ASSERT_EQUAL(talk_get_32(talk_option(&talk.heard, 8) + 6), endpoint->tsval);
	endpoint->ack += TALK_HELLO - OWNED;
	cut();
}

/* Until it hears from the endpoint, a client echoes what we told it last. Where the dial had taken a while, that came
 * to the endpoint as a timestamp from before its SYN-ACK, and Linux (6.15 and later) dropped it while our own ACK was
 * lost: it takes none in SYN-RECEIVED that it hasn't sent. */
static void
test_echo_of_our_timestamp(void)
{
	for (unsigned told = 0; told < 2; told++) {
		begin();
		CU_ASSERT_TRUE(talk_open(&talk));
		rig.hello_length = told == 0 ? TALK_HELLO : 2 * TALK_HELLO;
		talk_hello(&talk);
		if (told == 1) { /* it is slow, and hears from us once more */
			rig_advance(&rig, 150 + TICK);
			CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
			client->tsecr = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
			talk_hello(&talk);
		}
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		rig_advance(&rig, 700);
		talk_answer(&talk);
		while (talk_hear(&talk, LEG_ENDPOINT))
			;
		uint32_t said = endpoint->tsval, told_last = client->tsecr;
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 100);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 6), said);
		/* And for the client the clock goes on from there. */
		endpoint->tsval += 3;
		talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		CU_ASSERT_EQUAL(talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2), told_last + 3);
		cut();
	}
}

/* An echo that we can't have sent is no place to go on from: the client would drop what is behind the clock it knows.
 */
static void
test_echo_of_nothing(void)
{
	static const uint32_t echoes[] = {0x80000000, 1, 0u - 3 * SYN_COOKIE_PERIOD_MS};

	for (size_t i = 0; i < sizeof(echoes) / sizeof(echoes[0]); i++) {
		begin();
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		client->ack = talk.heard.seq + 1;
		client->timestamps_on = true;
		uint32_t heard = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
		client->tsecr = heard + echoes[i];
		talk.far = true; /* nothing shows that it is near */
		rig.hello_length = TALK_HELLO;
		talk_hello(&talk);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		rig_advance(&rig, 700);
		talk_answer(&talk);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		uint32_t next = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
		CU_ASSERT_TRUE(next - heard < 10000);
		cut();
	}
}

/* However few bytes a client offers, and in whatever units, the endpoint hears of them, and of no more. */
static void
test_small_window_of_client(void)
{
	static const uint8_t scales[] = {TCP_WSCALE_NONE, 0, 7, 14};

	for (size_t i = 0; i < sizeof(scales); i++) {
		begin();
		client->wscale = scales[i];
		CU_ASSERT_TRUE(talk_open(&talk));
		client->window = 1;
		talk_hello(&talk);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		talk_answer(&talk);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.window, 1);
		cut();
	}
}

/* An endpoint with a small window hears nothing of what the client acknowledges behind the bytes that we hold, and so
 * acknowledges those with a number that the client has left behind. */
static void
test_held_bytes_acknowledged_from_behind(void)
{
	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	endpoint->ack -= TALK_HELLO;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 300);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.worker.holds.used, 1);
	endpoint->seq -= 300;
	endpoint->ack += OWNED;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	endpoint->seq += 300;
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	endpoint->ack += TALK_HELLO - OWNED;
	cut();
}

/* A path that takes smaller packets than the endpoint's MSS promised, and no router that says so: what was repeated as
 * it was never arrived. */
static void
test_held_bytes_through_a_black_hole(void)
{
	enum { SEGMENTS = 9, LENGTH = 1000 };
	uint32_t longest = 0;

	begin();
	rig.hello_length = SEGMENTS * LENGTH;
	CU_ASSERT_TRUE(talk_open(&talk));
	for (unsigned i = 0; i < SEGMENTS; i++)
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, LENGTH);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	uint32_t begins = endpoint->ack;
	for (uint32_t i = 0; i <= HELD_BLACK_HOLE_RETRIES; i++) {
		for (longest = 0; talk_hear(&talk, LEG_ENDPOINT);)
			if (talk.heard.payload_length > longest)
				longest = talk.heard.payload_length;
		if (i < HELD_BLACK_HOLE_RETRIES) {
			CU_ASSERT_EQUAL(longest, 1448);
			rig_advance(&rig, (HELD_RTO_MS << i) + TICK);
		}
	}
	CU_ASSERT_EQUAL(longest, HELD_BLACK_HOLE_MSS - 12);
	struct segment ack = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
	ack.ack = begins + SEGMENTS * LENGTH;
	rig_receive(&rig, RIG_LAN, &ack);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	cut();
}

static void
test_held_bytes_given_up(void)
{
	struct flow_event event;

	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	uint32_t begins = endpoint->ack - TALK_HELLO;
	for (uint32_t i = 0; i < HELD_RETRIES_MAX; i++) {
		rig_advance(&rig, (HELD_RTO_MS << i) + TICK);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.seq, begins);
	}
	rig_advance(&rig, (HELD_RTO_MS << HELD_RETRIES_MAX) + TICK);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST | TCP_ACK);
	CU_ASSERT_EQUAL(talk.heard.seq, begins); /* what it expects: it acknowledged nothing */
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_ENDED);
	CU_ASSERT_EQUAL(event.reason, REASON_HOLD_UNDELIVERED);
	rig_advance(&rig, 4016);
	end();
}

/* The client's RST freed the held bytes, and the endpoint's ACK of them, crossing it, freed them once more: hold 0 was
 * given back, and with it went the list of free ones; the flow lived on for the idle tick instead of the linger. */
static void
test_reset_crosses_ack_of_held_bytes(void)
{
	begin();
	hello_owned();
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	rig_advance(&rig, 4016);
	end();
}

static void
test_client_resets_while_connecting(void)
{
	struct flow_event event;

	begin();
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_RST | TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.reason, REASON_CLIENT_RESET);
	CU_ASSERT_EQUAL(event.endpoint, 2);
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 0); /* not its fault */
	end();
}

static void
test_no_route(void)
{
	begin();
	rig.n_dials = 2;
	rig.dials[0].addr = rig_addr("203.0.113.9");
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	next_endpoint(11);
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 1);
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	end();

	begin();
	rig.dials[0].addr = rig_addr("2001:db8:ffff::1");
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	refused(REASON_CONNECT_UNREACHABLE, 1);
}

static void
test_ports_used_up(void)
{
	begin();
	rig.conf.flow.local_port_first = rig.conf.flow.local_port_last = 20000;
	hello();
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	CU_ASSERT_EQUAL(endpoint->gate_port, 20000);
	struct talk_side first = *client;
	client->port++;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_LOCAL_PORTS], 1);
	CU_ASSERT_EQUAL(flow_table_used(&rig.worker.flows), 1);
	*client = first;
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	end();
}

static void
test_no_buffer(void)
{
	/* There is one for the SYN, none for the question where to send it: that is asked, and the SYN repeated, a
	 * second later. */
	begin();
	CU_ASSERT_TRUE(talk_open(&talk));
	rig_take_buffers(1);
	talk_hello(&talk);
	rig_give_back();
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_PACKET_POOL_EMPTY], 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_advance(&rig, 1100 + TICK);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	cut();
}

static void
test_isn_differs(void)
{
	/* RFC 6528: for each connection another, and higher for the same one later. */
	begin();
	rig.conf.flow.local_port_first = rig.conf.flow.local_port_last = 20000;
	uint32_t isns[3];
	for (unsigned i = 0; i < 3; i++) {
		client->seq = 5000 + i;
		hello();
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		isns[i] = talk.heard.seq;
		talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
		rig_advance(&rig, 100);
		client->timestamps_on = false;
	}
	CU_ASSERT_EQUAL(isns[1] - isns[0], 25000);
	CU_ASSERT_EQUAL(isns[2] - isns[1], 25000);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"SYN", test_syn},
		{"SYN promises what fits", test_syn_promises_what_fits},
		{"far client isn't measured", test_far_client_is_not_measured},
		{"far client, bytes that are ours", test_far_client_owned},
		{"owned bytes make progress", test_owned_bytes_make_progress},
		{"SYN is repeated", test_syn_is_repeated},
		{"time-out", test_timeout},
		{"time-out, then another", test_timeout_then_another},
		{"refused", test_refused},
		{"TIME-WAIT", test_time_wait},
		{"no timestamps at the endpoint", test_no_timestamps_at_endpoint},
		{"learned", test_learned},
		{"answers that aren't", test_answers_that_arent},
		{"small MSS", test_small_mss},
		{"absurd MSS", test_absurd_mss},
		{"zero window", test_zero_window},
		{"zero window with bytes of ours", test_zero_window_with_bytes_of_ours},
		{"zero window is probed", test_zero_window_is_probed},
		{"held bytes are repeated", test_held_bytes_repeated},
		{"held bytes acknowledge what arrived", test_held_bytes_acknowledge_what_arrived},
		{"held bytes have the latest timestamps", test_held_bytes_have_the_latest_timestamps},
		{"an echo of our timestamp", test_echo_of_our_timestamp},
		{"an echo of nothing", test_echo_of_nothing},
		{"a client's small window", test_small_window_of_client},
		{"held bytes acknowledged from behind", test_held_bytes_acknowledged_from_behind},
		{"held bytes go through a black hole", test_held_bytes_through_a_black_hole},
		{"held bytes are given up", test_held_bytes_given_up},
		{"RST crosses the ACK of held bytes", test_reset_crosses_ack_of_held_bytes},
		{"client resets while connecting", test_client_resets_while_connecting},
		{"no route", test_no_route},
		{"ports used up", test_ports_used_up},
		{"no buffer", test_no_buffer},
		{"ISN differs", test_isn_differs},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("dial", tests) : 1;
}
