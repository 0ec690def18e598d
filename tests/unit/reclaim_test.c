/* SPDX-License-Identifier: Apache-2.0 */
/* Full tables: who has something to say gets in, and who waits, or is in use, loses nothing by it. */
#include "dataplane/reclaim.h"

#include "dataplane/packet.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { HOLDS = 1024, FLOWS = 2048 };

static struct rig rig;
static struct talk talks[HOLDS], newcomer;

static void
begin(uint32_t flows)
{
	rig_open(&rig, flows, 8192);
	rig.conf.flow.rst_per_second = 1000000;
	talk_init(&newcomer, &rig, false, false);
	newcomer.side[LEG_CLIENT].addr = rig_addr("192.0.2.3");
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static void
hear_all(void)
{
	uint8_t frame[RIG_FRAME];
	struct segment segment;

	for (unsigned device = 0; device < RIG_DEVICES; device++)
		while (rig_next(&rig, device, &segment, frame))
			;
}

/* As many connections as there are holds, each a byte short of nothing. */
static void
fill_with_hellos(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(1000 + i);
		CU_ASSERT_TRUE_FATAL(talk_open(&talks[i]));
		talk_say(&talks[i], LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 1);
	}
	CU_ASSERT_EQUAL(rig.worker.holds.used, n);
	CU_ASSERT_TRUE(talk_silent(&newcomer));
}

/* The rest of a hello of which one byte was said; from its beginning when the byte is repeated. */
static void
say_hello(struct talk *talk, bool from_beginning)
{
	struct talk_side *client = &talk->side[LEG_CLIENT];

	client->seq -= from_beginning;
	talk_say(talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, (uint16_t)(TALK_HELLO - !from_beginning));
}

static void
splice(struct talk *talk)
{
	CU_ASSERT_TRUE(talk_hear_syn(talk));
	talk_answer(talk);
	CU_ASSERT_TRUE(talk_hear_exactly(talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	CU_ASSERT_TRUE(talk_exchange(talk, 20));
}

static void
reset(struct talk *talk)
{
	talk_say(talk, LEG_CLIENT, TCP_RST, NULL, 0);
}

static void
test_newcomer(void)
{
	begin(FLOWS);
	fill_with_hellos(HOLDS);
	/* A bare ACK has nothing to say. */
	CU_ASSERT_TRUE(talk_open(&newcomer));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HOLD_POOL_EMPTY], 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 0);
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1);
	CU_ASSERT_EQUAL(rig.worker.holds.used, HOLDS);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 0);
	splice(&newcomer);

	/* The first came first, and was given up. What follows its first byte means nothing without it; repeated, as
	 * TCP does, all is well. */
	say_hello(&talks[0], false);
	CU_ASSERT_TRUE(talk_silent(&newcomer));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_COOKIE_OUT_OF_ORDER], 1);
	talks[0].side[LEG_CLIENT].seq -= TALK_HELLO - 1;
	say_hello(&talks[0], true);
	splice(&talks[0]);
	/* It took the one that the newcomer had left. The others are all there. */
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], HOLDS - 1);
	for (unsigned i = 1; i < HOLDS; i++)
		reset(&talks[i]);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], 0);
	reset(&newcomer);
	reset(&talks[0]);
	rig_advance(&rig, 5100);
	hear_all();
	end();
}

/* Bytes that were acknowledged are gone with the record: the client must know. */
static void
test_acknowledged(void)
{
	begin(FLOWS);
	fill_with_hellos(HOLDS);
	rig_advance(&rig, 200);
	CU_ASSERT_NOT_EQUAL(rig_waiting(&rig, RIG_WAN), 0);
	hear_all();
	CU_ASSERT_TRUE(talk_open(&newcomer));
	talk_hello(&newcomer);
	CU_ASSERT_TRUE(talk_hear_reset(&talks[0], LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1);
	/* No line in the log for it. */
	struct flow_event event;
	CU_ASSERT_FALSE(rig_event(&rig, &event));
	splice(&newcomer);
	reset(&newcomer);
	rig_advance(&rig, 5100);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HELLO_TIMEOUT], HOLDS - 1);
	hear_all();
	end();
}

/* Slow clients, each from an address of its own, aren't pushed out by another's many, however many they are. */
static void
test_crowd(void)
{
	static struct talk slow[RECLAIM_LOOK];
	const unsigned n_slow = sizeof(slow) / sizeof(slow[0]);

	begin(FLOWS);
	for (unsigned i = 0; i < n_slow; i++) {
		talk_init(&slow[i], &rig, false, false);
		slow[i].side[LEG_CLIENT].addr.bytes[15] = (uint8_t)(40 + i);
		CU_ASSERT_TRUE(talk_open(&slow[i]));
		talk_say(&slow[i], LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 1);
	}
	for (unsigned i = 0; i < 20 * HOLDS; i++) {
		newcomer.side[LEG_CLIENT].port = (uint16_t)(1000 + i);
		CU_ASSERT_TRUE_FATAL(talk_open(&newcomer));
		talk_say(&newcomer, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 1);
	}
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 19 * HOLDS + n_slow);
	for (unsigned i = 0; i < n_slow; i++) {
		say_hello(&slow[i], false);
		splice(&slow[i]);
		reset(&slow[i]);
		hear_all();
	}
	rig_advance(&rig, 5100);
	hear_all();
	for (unsigned i = 0; i < HOLD_SOURCES; i++)
		CU_ASSERT_EQUAL(rig.worker.holds.crowd[i], 0);
	end();
}

/* Hellos of more than fits a small buffer: the large ones are fewer. */
static void
test_large(void)
{
	enum { LARGE = HOLDS / 8, SEGMENT = 1400 };

	begin(FLOWS);
	for (unsigned i = 0; i < LARGE; i++) {
		talk_init(&talks[i], &rig, false, false);
		rig.hello_length = 3 * SEGMENT;
		talks[i].side[LEG_CLIENT].port = (uint16_t)(1000 + i);
		CU_ASSERT_TRUE_FATAL(talk_open(&talks[i]));
		for (unsigned j = 0; j < 2; j++)
			talk_say(&talks[i], LEG_CLIENT, TCP_ACK, NULL, SEGMENT);
	}
	CU_ASSERT_TRUE(hold_large_is_empty(&rig.worker.holds));
	CU_ASSERT_TRUE(talk_open(&newcomer));
	for (unsigned j = 0; j < 3; j++)
		talk_say(&newcomer, LEG_CLIENT, TCP_ACK, NULL, SEGMENT);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HOLD_POOL_EMPTY], 0);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_PEEKING], LARGE - 1);
	CU_ASSERT_TRUE(talk_hear_syn(&newcomer));
	/* It has its large buffer still: not one whose hello is whole is asked for it. */
	for (unsigned i = 0; i < 2 * LARGE; i++) {
		struct talk *other = &talks[HOLDS / 2];
		talk_init(other, &rig, false, false);
		rig.hello_length = 3 * SEGMENT;
		other->side[LEG_CLIENT].port = (uint16_t)(3000 + i);
		CU_ASSERT_TRUE_FATAL(talk_open(other));
		for (unsigned j = 0; j < 2; j++)
			talk_say(other, LEG_CLIENT, TCP_ACK, NULL, SEGMENT);
	}
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1 + 2 * LARGE);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
	reset(&newcomer);
	rig_advance(&rig, 5100);
	hear_all();
	end();
}

/* Whose endpoint answers isn't given up for another: nobody would ever get through. Whose endpoint is silent is. */
static void
test_silent_endpoint(void)
{
	begin(FLOWS);
	rig.dials[0].connect_timeout_ms = 20000;
	for (unsigned i = 0; i < HOLDS; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(1000 + i);
		CU_ASSERT_TRUE_FATAL(talk_open(&talks[i]));
		talk_hello(&talks[i]);
		CU_ASSERT_TRUE_FATAL(talk_hear_syn(&talks[i]));
	}
	CU_ASSERT_TRUE(talk_open(&newcomer));
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HOLD_POOL_EMPTY], 2);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], HOLDS);

	rig_advance(&rig, RECLAIM_SILENT_MS - 20);
	newcomer.side[LEG_CLIENT].seq -= TALK_HELLO;
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 0);
	rig_advance(&rig, 20);
	hear_all(); /* its SYNs come again about now */
	newcomer.side[LEG_CLIENT].seq -= TALK_HELLO;
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1);
	CU_ASSERT_TRUE(talk_hear_reset(&talks[0], LEG_ENDPOINT) ||
		       talks[0].heard.seq == talks[0].side[LEG_ENDPOINT].ack);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 0);
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 0); /* not the endpoint's fault, as far as we know */
	CU_ASSERT_EQUAL(rig.worker.live[2].active, HOLDS);
	newcomer.far = true; /* by its echo, which is a second old */
	splice(&newcomer);
	reset(&newcomer);
	for (unsigned i = 1; i < HOLDS; i++)
		reset(&talks[i]);
	rig_advance(&rig, 5100);
	hear_all();
	end();
}

static void
connect_all(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(1000 + i);
		CU_ASSERT_TRUE_FATAL(talk_connect(&talks[i]));
	}
}

static void
test_closing(void)
{
	begin(64);
	connect_all(64);
	for (unsigned i = 0; i < 64; i++)
		CU_ASSERT_TRUE(talk_exchange(&talks[i], 10));
	CU_ASSERT_TRUE(talk_open(&newcomer));
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_FLOW_TABLE_FULL], 2);
	reset(&talks[40]);
	hear_all();
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	/* It may take a second packet to go round. */
	for (unsigned i = 0; i < 2; i++) {
		newcomer.side[LEG_CLIENT].seq -= TALK_HELLO;
		talk_hello(&newcomer);
	}
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 0);
	splice(&newcomer);
	for (unsigned i = 0; i < 64; i++)
		if (i != 40)
			CU_ASSERT_TRUE(talk_exchange(&talks[i], 10));
	for (unsigned i = 0; i < 64; i++)
		if (i != 40)
			reset(&talks[i]);
	reset(&newcomer);
	rig_advance(&rig, 5100);
	hear_all();
	end();
}

static void
test_idle_handshakes(void)
{
	begin(64);
	connect_all(64);
	for (unsigned i = 0; i < 64; i++)
		if (i != 7)
			CU_ASSERT_TRUE(talk_exchange(&talks[i], 10));
	/* Its endpoint has said something, and it hasn't. */
	talk_say(&talks[7], LEG_ENDPOINT, TCP_ACK | TCP_PSH, NULL, 100);
	CU_ASSERT_TRUE(talk_hear(&talks[7], LEG_CLIENT));
	talk_say(&talks[7], LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talks[7], LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_open(&newcomer));
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 64);
	rig_advance(&rig, RECLAIM_IDLE_S * 1000);
	for (unsigned i = 0; i < 2; i++) {
		newcomer.side[LEG_CLIENT].seq -= TALK_HELLO;
		talk_hello(&newcomer);
	}
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HANDSHAKE_RECLAIMED], 1);
	CU_ASSERT_TRUE(talk_hear_reset(&talks[7], LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear_reset(&talks[7], LEG_ENDPOINT));
	newcomer.far = true; /* by its echo, which is old */
	splice(&newcomer);
	newcomer.far = false;
	/* The others are in use. */
	struct talk_side last = newcomer.side[LEG_CLIENT];
	newcomer.side[LEG_CLIENT].port++;
	CU_ASSERT_TRUE(talk_open(&newcomer));
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 64);
	newcomer.side[LEG_CLIENT] = last;
	for (unsigned i = 0; i < 64; i++)
		if (i != 7)
			reset(&talks[i]);
	reset(&newcomer);
	rig_advance(&rig, 5100);
	hear_all();
	end();
}

/* A full table, and hellos that aren't whole: these go first, those in use never. */
static void
test_hellos_before_idle(void)
{
	begin(64);
	connect_all(32);
	rig_advance(&rig, RECLAIM_IDLE_S * 1000);
	for (unsigned i = 32; i < 64; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(1000 + i);
		CU_ASSERT_TRUE(talk_open(&talks[i]));
	}
	CU_ASSERT_TRUE(talk_open(&newcomer));
	talk_hello(&newcomer);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_RECLAIMED], 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HANDSHAKE_RECLAIMED], 0);
	splice(&newcomer);
	for (unsigned i = 0; i < 32; i++)
		reset(&talks[i]);
	reset(&newcomer);
	rig_advance(&rig, 5100);
	hear_all();
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"a newcomer's hello", test_newcomer},
		{"acknowledged bytes", test_acknowledged},
		{"a crowd", test_crowd},
		{"large hellos", test_large},
		{"a silent endpoint", test_silent_endpoint},
		{"closing", test_closing},
		{"idle handshakes", test_idle_handshakes},
		{"hellos before idle handshakes", test_hellos_before_idle},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("reclaim", tests) : 1;
}
