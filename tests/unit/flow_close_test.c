/* SPDX-License-Identifier: Apache-2.0 */
/* How flows end, and what is counted and reported when they do. */
#include "dataplane/flow_close.h"

#include "dataplane/packet.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

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

/* The event of a flow's end, checked against what the conversation was. */
static void
ended(enum reason reason, uint64_t sent, uint64_t received, uint32_t duration_ms)
{
	struct flow_event event;

	CU_ASSERT_TRUE_FATAL(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_ENDED);
	CU_ASSERT_EQUAL(event.reason, reason);
	CU_ASSERT_EQUAL(event.worker, 0);
	CU_ASSERT_EQUAL(event.attempts, 1);
	CU_ASSERT_EQUAL(event.client_port, client->port);
	CU_ASSERT_EQUAL(event.local_port, 443);
	CU_ASSERT_EQUAL(event.endpoint_port, 8443);
	CU_ASSERT_EQUAL(event.out_port, endpoint->gate_port);
	CU_ASSERT_EQUAL(event.listener, 1);
	CU_ASSERT_EQUAL(event.endpoint, 2);
	CU_ASSERT_EQUAL(event.service, 10);
	CU_ASSERT_TRUE(ip_addr_equal(&event.client, &client->addr));
	CU_ASSERT_TRUE(ip_addr_equal(&event.local, &client->gate));
	CU_ASSERT_TRUE(ip_addr_equal(&event.endpoint_addr, &endpoint->addr));
	CU_ASSERT_TRUE(ip_addr_equal(&event.out_addr, &endpoint->gate));
	CU_ASSERT_EQUAL(event.opened_ms, UINT64_C(1700001000000));
	CU_ASSERT_EQUAL(event.duration_ms, duration_ms);
	CU_ASSERT_EQUAL(event.sent, sent);
	CU_ASSERT_EQUAL(event.received, received);
	CU_ASSERT_STRING_EQUAL(event.sni, "");
	CU_ASSERT_FALSE(rig_event(&rig, &event));
	for (unsigned i = 0; i < 2; i++) {
		const struct live_counters *live = &rig.worker.live[i == 0 ? 2 : 10];
		CU_ASSERT_EQUAL(live->opened, 1);
		CU_ASSERT_EQUAL(live->closed, 1);
		CU_ASSERT_EQUAL(live->failed, 0);
		CU_ASSERT_EQUAL(live->active, 0);
		CU_ASSERT_EQUAL(live->sent, sent);
		CU_ASSERT_EQUAL(live->received, received);
	}
	CU_ASSERT_EQUAL(rig.stats.opened, 1);
	CU_ASSERT_EQUAL(rig.stats.ended, 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[reason], 1);
}

static void
test_closed(void)
{
	for (unsigned i = 0; i < 4; i++) {
		begin(i & 1, i >> 1);
		CU_ASSERT_TRUE(talk_connect(&talk));
		CU_ASSERT_TRUE(talk_exchange(&talk, 1000));
		rig_advance(&rig, 1234);
		CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
		ended(REASON_CLOSED, TALK_HELLO + 1000, 1000, 1234);
		end();
	}
}

static void
test_linger(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	talk_say(&talk, LEG_ENDPOINT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	ended(REASON_RESET_BY_ENDPOINT, TALK_HELLO, 0, 0);
	rig_advance(&rig, 3999);
	CU_ASSERT_EQUAL(flow_table_used(&rig.worker.flows), 1);
	/* What passes meanwhile doesn't prolong it, nor count. */
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	rig_advance(&rig, 9);
	CU_ASSERT_EQUAL(rig.stats.ended, 1);
	end();
}

/* Both sides got a RST that they must obey, and which says rightly what they had sent: it said what we would send, and
 * whoever tracks windows on the way (another Postern) dropped it. */
static void
both_reset(void)
{
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.ack, client->seq);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.ack, endpoint->seq);
	CU_ASSERT_TRUE(talk_silent(&talk));
}

/* Idle for conf's time since the last packet, and one tick of the watch (an eighth of it) at most; ms so far since that
 * packet. */
static void
idles_out(uint32_t timeout_ms, enum reason reason, uint64_t sent, uint64_t received, uint32_t before_ms)
{
	uint32_t waited = 0;

	while (talk_silent(&talk) && waited <= 2 * timeout_ms) {
		rig_advance(&rig, 1);
		waited++;
	}
	CU_ASSERT_TRUE(waited >= timeout_ms);
	CU_ASSERT_TRUE(waited <= timeout_ms + timeout_ms / 8 + 80);
	both_reset();
	ended(reason, sent, received, before_ms + waited);
	rig_advance(&rig, 4016);
	end();
}

static void
test_idle(void)
{
	begin(false, true);
	rig.conf.flow.idle_timeout_s = 60;
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 300));
	/* The live counters have caught up before the end. */
	rig_advance(&rig, 8000);
	CU_ASSERT_EQUAL(rig.worker.live[2].sent, TALK_HELLO + 300);
	CU_ASSERT_EQUAL(rig.worker.live[10].received, 300);
	/* A packet a minute keeps it alive. */
	for (unsigned i = 0; i < 5; i++) {
		rig_advance(&rig, 59000);
		talk_say(&talk, i & 1, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, leg_other(i & 1)));
	}
	idles_out(60000, REASON_IDLE_TIMEOUT, TALK_HELLO + 300, 300, 8000 + 5 * 59000);
}

static void
test_half_closed(void)
{
	begin(true, false);
	rig.conf.flow.half_closed_timeout_s = 60;
	CU_ASSERT_TRUE(talk_connect(&talk));
	rig_advance(&rig, 120000);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_FIN, 0));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
	/* The watch still ticks at the pace of before once: 30 s. */
	uint32_t waited = 0;
	while (talk_silent(&talk) && waited < 200000) {
		rig_advance(&rig, 1);
		waited++;
	}
	CU_ASSERT_TRUE(waited >= 60000 && waited <= 60000 + 30000 + 7500 + 100);
	both_reset();
	ended(REASON_HALF_CLOSED_TIMEOUT, TALK_HELLO, 0, 120000 + waited);
	rig_advance(&rig, 4016);
	end();
}

static void
test_abort_all(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct talk_side spliced = *client;
	client->port++;
	CU_ASSERT_TRUE(talk_open(&talk));
	struct talk_side peeking = *client;

	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	*client = spliced;
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	*client = peeking;
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST | TCP_ACK);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_SHUTDOWN], 2);
	CU_ASSERT_EQUAL(rig.stats.refused, 1);
	CU_ASSERT_EQUAL(rig.stats.ended, 1);
	rig_advance(&rig, 4016);
	end();
}

/* A connection in the middle of a dial was never taken off the count of active ones, and its endpoint not told. */
static void
test_abort_while_connecting(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.worker.live[2].active, 0);
	CU_ASSERT_EQUAL(rig.worker.live[2].failed, 0);
	end();
}

static void
test_events_lost(void)
{
	struct flow_event event;
	unsigned events = 0;

	begin(false, false);
	for (unsigned i = 0; i < 1100; i++) {
		if (i % 400 == 0)
			rig_advance(&rig, 1000);
		CU_ASSERT_TRUE(talk_open(&talk));
		talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	}
	while (rig_event(&rig, &event))
		events++;
	CU_ASSERT_TRUE(events > 1000);
	CU_ASSERT_EQUAL(events + rig.stats.events_lost, 1100);
	CU_ASSERT_TRUE(rig.stats.events_lost > 0);
	end();
}

/* Who is refused as often as he likes doesn't fill the log. */
static void
test_refusals_told(void)
{
	struct flow_event event;
	unsigned events = 0;

	begin(false, false);
	for (unsigned second = 1; second <= 2; second++) {
		for (unsigned i = 0; i < FLOW_REFUSALS_TOLD_MAX + 100; i++) {
			CU_ASSERT_TRUE(talk_open(&talk));
			talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		}
		while (rig_event(&rig, &event))
			events++;
		CU_ASSERT_EQUAL(events, second * FLOW_REFUSALS_TOLD_MAX);
		CU_ASSERT_EQUAL(rig.stats.events_lost, second * 100);
		rig_advance(&rig, 1000);
	}
	end();
}

static void
test_nobody_listens(void)
{
	/* No events wanted. */
	begin(false, false);
	struct rte_ring *events = rig.worker.events;
	rig.worker.events = NULL;
	CU_ASSERT_TRUE(talk_connect(&talk));
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	rig_advance(&rig, 4016);
	rig.worker.events = events;
	CU_ASSERT_EQUAL(rig.stats.ended, 1);
	CU_ASSERT_EQUAL(rig.stats.events_lost, 0);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"closed", test_closed},
		{"linger", test_linger},
		{"idle", test_idle},
		{"half closed", test_half_closed},
		{"abort all", test_abort_all},
		{"abort while connecting", test_abort_while_connecting},
		{"events lost", test_events_lost},
		{"refusals told", test_refusals_told},
		{"nobody listens", test_nobody_listens},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("flow_close", tests) : 1;
}
