/* SPDX-License-Identifier: Apache-2.0 */
/* Two sides whose options don't go together: the client was told that timestamps are on, and the endpoint has none. */
#include <rte_mbuf.h>

#include "dataplane/bridge.h"
#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { SOON = 600 /* ms: longer than an ACK may be delayed */, GREED = 400000 };

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];
static uint32_t n_got[LEG_COUNT];     /* in order, by leg */
static bool wrong;                    /* a byte that came isn't the one that was sent */
static uint32_t begins_at[LEG_COUNT]; /* the number that a side's stream begins at */

static void
begin(void)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, false, false);
	n_got[LEG_CLIENT] = n_got[LEG_ENDPOINT] = 0;
	wrong = false;
}

static void
end(void)
{
	CU_ASSERT_FALSE(wrong);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* Takes all that waits at a side. Returns the flags of it, or'ed. */
static uint8_t
hear_all(unsigned leg)
{
	uint8_t flags = 0, expected[RIG_FRAME];

	for (uint32_t before = talk.side[leg].ack; talk_hear(&talk, leg); before = talk.side[leg].ack) {
		const struct segment *heard = &talk.heard;
		flags |= heard->flags;
		if ((heard->flags & TCP_RST) == 0)
			CU_ASSERT_EQUAL(talk_option(heard, 8) != NULL, leg == LEG_CLIENT);
		if (heard->seq != before || heard->payload_length == 0)
			continue;
		talk_pattern(begins_at[leg_other(leg)] + n_got[leg], expected, heard->payload_length);
		wrong |= memcmp(heard->payload, expected, heard->payload_length) != 0;
		n_got[leg] += heard->payload_length;
	}
	return flags;
}

static uint8_t
hear_and_answer(unsigned leg)
{
	uint8_t flags = 0;

	for (unsigned quiet = 0; quiet < SOON / 10; quiet++) {
		uint32_t before = talk.side[leg].ack;
		flags |= hear_all(leg);
		if (talk.side[leg].ack != before) {
			talk_say(&talk, leg, TCP_ACK, NULL, 0);
			quiet = 0;
		}
		rig_advance(&rig, 10);
	}
	return flags;
}

/* The endpoint has answered, and got the hello. */
static void
join(void)
{
	CU_ASSERT_TRUE(talk_open(&talk));
	CU_ASSERT_TRUE(client->timestamps_on);
	begins_at[LEG_CLIENT] = client->seq;
	begins_at[LEG_ENDPOINT] = endpoint->seq + 1;
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	endpoint->timestamps = false;
	talk_answer(&talk);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_BRIDGED], 1);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	hear_and_answer(LEG_ENDPOINT);
	CU_ASSERT_EQUAL(n_got[LEG_ENDPOINT], TALK_HELLO);
	hear_all(LEG_CLIENT);
	CU_ASSERT_EQUAL(talk.heard.ack, client->seq);
}

static void
finish(enum reason reason)
{
	struct flow_event event;

	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_ENDED);
	CU_ASSERT_EQUAL(event.reason, reason);
	CU_ASSERT_EQUAL(event.sent, n_got[LEG_ENDPOINT]);
	CU_ASSERT_EQUAL(event.received, n_got[LEG_CLIENT]);
	CU_ASSERT_EQUAL(rig.worker.live[2].opened, 1);
	CU_ASSERT_EQUAL(rig.worker.live[2].closed, 1);
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 0);
	CU_ASSERT_EQUAL(rig.worker.live[2].active, 0);
	rig_advance(&rig, 4016);
	end();
}

/* A few bytes each way, and FINs in either order. */
static void
test_half_closes(void)
{
	for (unsigned first = 0; first < LEG_COUNT; first++) {
		begin();
		join();
		CU_ASSERT_EQUAL(rte_mempool_in_use_count(rig.worker.pool), 0);
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			uint32_t before = n_got[leg_other(leg)];
			talk_say(&talk, leg, TCP_ACK | TCP_PSH, NULL, 1000);
			talk_say(&talk, leg, TCP_ACK | TCP_PSH, NULL, 1);
			hear_and_answer(leg_other(leg));
			CU_ASSERT_EQUAL(n_got[leg_other(leg)], before + 1001);
			hear_all(leg);
		}
		talk_say(&talk, first, TCP_ACK | TCP_FIN | TCP_PSH, NULL, 10);
		CU_ASSERT_TRUE((hear_and_answer(leg_other(first)) & TCP_FIN) != 0);
		hear_all(first);
		talk_say(&talk, leg_other(first), TCP_ACK | TCP_PSH, NULL, 500);
		hear_and_answer(first);
		talk_say(&talk, leg_other(first), TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE((hear_and_answer(first) & TCP_FIN) != 0);
		hear_all(leg_other(first));
		finish(REASON_CLOSED);
	}
}

/* What one side doesn't take isn't taken from the other: memory stays bounded, and nothing is lost. */
static void
test_back_pressure(void)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		unsigned other = leg_other(leg);
		begin();
		join();
		uint16_t window = talk.side[other].window;
		uint32_t sent = 0;
		talk.side[other].window = 0;
		talk_say(&talk, other, TCP_ACK, NULL, 0);
		for (; sent < GREED; sent += 1000) {
			talk_say(&talk, leg, TCP_ACK | TCP_PSH, NULL, 1000);
			rig_advance(&rig, SOON);
			hear_all(leg);
			if (talk.heard.ack != talk.side[leg].seq)
				break;
		}
		CU_ASSERT_TRUE(sent != 0 && sent < GREED);
		talk.side[leg].seq = talk.heard.ack;
		sent = talk.heard.ack - begins_at[leg];
		talk.side[other].window = window;
		talk_say(&talk, other, TCP_ACK, NULL, 0);
		for (unsigned i = 0; i < 200 && n_got[other] < sent; i++)
			hear_and_answer(other);
		CU_ASSERT_EQUAL(n_got[other], sent);
		hear_all(leg);
		CU_ASSERT_TRUE(talk.heard.window != 0);
		CU_ASSERT_EQUAL(rte_mempool_in_use_count(rig.worker.pool), 0);
		talk_say(&talk, leg, TCP_RST, NULL, 0);
		CU_ASSERT_TRUE((hear_all(other) & TCP_RST) != 0);
		CU_ASSERT_EQUAL(talk.heard.seq, talk.side[other].ack);
		finish(leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT : REASON_RESET_BY_ENDPOINT);
	}
}

/* Behind a plain listener there is nothing to say to the endpoint yet: it gets its ACK all the same. */
static void
test_plain(void)
{
	begin();
	rig.offer.plain = true;
	rig.hello_length = 0;
	CU_ASSERT_TRUE(talk_open(&talk));
	begins_at[LEG_CLIENT] = client->seq;
	begins_at[LEG_ENDPOINT] = endpoint->seq + 1;
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	endpoint->timestamps = false;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
	CU_ASSERT_TRUE(talk.heard.window != 0);
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, NULL, 50);
	hear_and_answer(LEG_CLIENT);
	CU_ASSERT_EQUAL(n_got[LEG_CLIENT], 50);
	hear_all(LEG_ENDPOINT);
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE((hear_all(LEG_ENDPOINT) & TCP_RST) != 0);
	finish(REASON_RESET_BY_CLIENT);
}

/* The client was told that some of its bytes had come before. */
static void
test_acknowledged_before(void)
{
	begin();
	CU_ASSERT_TRUE(talk_open(&talk));
	begins_at[LEG_CLIENT] = client->seq;
	begins_at[LEG_ENDPOINT] = endpoint->seq + 1;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO - 1);
	rig_advance(&rig, 200);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	uint32_t promised = talk.heard.ack + ((uint32_t)talk.heard.window << 7);
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 1);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	endpoint->timestamps = false;
	talk_answer(&talk);
	hear_and_answer(LEG_ENDPOINT);
	CU_ASSERT_EQUAL(n_got[LEG_ENDPOINT], TALK_HELLO);
	hear_all(LEG_CLIENT);
	CU_ASSERT_EQUAL(talk.heard.ack, client->seq);
	CU_ASSERT_TRUE((int32_t)(talk.heard.ack + ((uint32_t)talk.heard.window << 7) - promised) >= 0);
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE((hear_all(LEG_ENDPOINT) & TCP_RST) != 0);
	finish(REASON_RESET_BY_CLIENT);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"bytes and FINs", test_half_closes},
		{"back-pressure", test_back_pressure},
		{"nothing to say", test_plain},
		{"acknowledged before", test_acknowledged_before},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("bridge_relay", tests) : 1;
}
