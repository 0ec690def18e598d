/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that ends here, with a session in the test's hand: what it is told, what both peers hear, and that
 * nothing is left. */
#include "dataplane/bridge.h"

#include <rte_mbuf.h>

#include "dataplane/flow_close.h"
#include "dataplane/icmp_quote.h"
#include "dataplane/mbuf_queue.h"
#include "dataplane/packet.h"
#include "tests/sim/spy.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { MANY = 4000, SOON = 600 /* ms: longer than an ACK may be delayed */ };

static struct rig rig;
static struct talk talk;
static struct spy spy;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];
static uint8_t got[LEG_COUNT][1 << 18]; /* in order, by leg */
static uint32_t n_got[LEG_COUNT];

static void
begin(bool client_v6, bool endpoint_v6)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, client_v6, endpoint_v6);
	spy_init(&spy, &rig);
	n_got[LEG_CLIENT] = n_got[LEG_ENDPOINT] = 0;
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_PTR_NULL(spy.bridge);
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* Takes all that waits at a side, with the bytes that are new in order. Returns the flags of it, or'ed. */
static uint8_t
hear_all(unsigned leg)
{
	uint32_t before = talk.side[leg].ack;
	uint8_t flags = 0;

	while (talk_hear(&talk, leg)) {
		flags |= talk.heard.flags;
		if (talk.heard.seq == before && n_got[leg] + talk.heard.payload_length <= sizeof(got[leg])) {
			memcpy(got[leg] + n_got[leg], talk.heard.payload, talk.heard.payload_length);
			n_got[leg] += talk.heard.payload_length;
		}
		before = talk.side[leg].ack;
	}
	return flags;
}

/* The same, and acknowledges it, until nothing has come for a while. */
static uint8_t
hear_and_answer(unsigned leg)
{
	uint8_t flags = 0, now;

	for (unsigned quiet = 0; quiet < SOON / 10; quiet++) {
		uint32_t before = talk.side[leg].ack;
		flags |= now = hear_all(leg);
		if (talk.side[leg].ack != before) {
			talk_say(&talk, leg, TCP_ACK, NULL, 0);
			quiet = 0;
		}
		if ((now & TCP_RST) != 0)
			break;
		rig_advance(&rig, 10);
	}
	return flags;
}

/* Whether what a leg has got are length bytes that the other side sent from that number on. */
static bool
has_got(unsigned leg, uint32_t seq, uint32_t length)
{
	static uint8_t expected[1 << 16];

	if (n_got[leg] != length)
		return false;
	for (uint32_t at = 0; at < length; at += 1000)
		talk_pattern(seq + at, expected + at, (uint16_t)(length - at < 1000 ? length - at : 1000));
	n_got[leg] = 0;
	return memcmp(got[leg], expected, length) == 0;
}

/* The hello is in, and acknowledged. */
static void
open_bridge(void)
{
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_EQUAL(spy.opened, 1);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_BRIDGED], 1);
	CU_ASSERT_EQUAL(rig.worker.bridges.used, 1);
	CU_ASSERT_EQUAL(rig.worker.holds.used, 0);
	rig_advance(&rig, SOON);
	hear_all(LEG_CLIENT);
	CU_ASSERT_EQUAL(talk.heard.ack, client->seq);
}

/* … and the session's endpoint has answered, and got the hello. */
static void
join(void)
{
	CU_ASSERT_TRUE(talk_open(&talk));
	uint32_t first = client->seq;
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT) & BRIDGE_CONNECTED, BRIDGE_CONNECTED);
	hear_and_answer(LEG_ENDPOINT);
	CU_ASSERT_TRUE(has_got(LEG_ENDPOINT, first, TALK_HELLO));
	hear_and_answer(LEG_CLIENT);
}

/* So many bytes from a leg arrive at the other. */
static void
send_across(unsigned leg, uint32_t length)
{
	uint32_t first = talk.side[leg].seq;

	for (uint32_t at = 0; at < length; at += 1000) {
		talk_say(&talk, leg, TCP_ACK | TCP_PSH, NULL, (uint16_t)(length - at < 1000 ? length - at : 1000));
		hear_and_answer(leg_other(leg));
		hear_all(leg);
	}
	hear_and_answer(leg_other(leg));
	CU_ASSERT_TRUE(has_got(leg_other(leg), first, length));
	hear_and_answer(leg);
}

static void
ended(enum flow_event_kind kind, enum reason reason, struct flow_event *event)
{
	CU_ASSERT_TRUE(rig_event(&rig, event));
	CU_ASSERT_EQUAL(event->kind, kind);
	CU_ASSERT_EQUAL(event->reason, reason);
	CU_ASSERT_EQUAL(event->client_port, 50000);
	CU_ASSERT_EQUAL(event->listener, rig.offer.live);
	CU_ASSERT_STRING_EQUAL(event->sni, "spy.example");
	CU_ASSERT_EQUAL(rig.stats.reasons[reason], 1);
	CU_ASSERT_EQUAL(kind == FLOW_ENDED ? rig.stats.ended : rig.stats.refused, 1);
	CU_ASSERT_EQUAL(spy.gone, 1);
	CU_ASSERT_FALSE(rig_event(&rig, event));
}

static void
test_whole_life(void)
{
	struct flow_event event;

	for (unsigned families = 0; families < 4; families++) {
		for (unsigned first = 0; first < LEG_COUNT; first++) {
			begin(families & 1, families >> 1);
			join();
			const struct live_counters *live = &rig.worker.live[10];
			CU_ASSERT_EQUAL(live->opened, 1);
			CU_ASSERT_EQUAL(live->active, 1);
			send_across(LEG_CLIENT, MANY);
			send_across(LEG_ENDPOINT, MANY + 1);
			/* All is said: a record, and no packet buffer. */
			CU_ASSERT_EQUAL(rte_mempool_in_use_count(rig.worker.pool), 0);
			/* One side closes, the other goes on. */
			talk_say(&talk, first, TCP_ACK | TCP_FIN, NULL, 0);
			CU_ASSERT_EQUAL(spy_told(&spy, first) & BRIDGE_PEER_CLOSED, BRIDGE_PEER_CLOSED);
			CU_ASSERT_EQUAL(hear_and_answer(leg_other(first)) & TCP_FIN, TCP_FIN);
			send_across(leg_other(first), 100);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_BRIDGED], 1);
			talk_say(&talk, leg_other(first), TCP_ACK | TCP_FIN, NULL, 0);
			CU_ASSERT_EQUAL(hear_and_answer(first) & TCP_FIN, TCP_FIN);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
			ended(FLOW_ENDED, REASON_CLOSED, &event);
			uint32_t late[LEG_COUNT] = {first == LEG_ENDPOINT ? 100 : 0, first == LEG_CLIENT ? 100 : 0};
			CU_ASSERT_EQUAL(event.sent, TALK_HELLO + MANY + late[LEG_CLIENT]);
			CU_ASSERT_EQUAL(event.received, MANY + 1 + late[LEG_ENDPOINT]);
			CU_ASSERT_EQUAL(live->sent, event.sent);
			CU_ASSERT_EQUAL(live->received, event.received);
			CU_ASSERT_EQUAL(live->active, 0);
			CU_ASSERT_EQUAL(live->closed, 1);
			rig_advance(&rig, 4016);
			hear_all(LEG_CLIENT);
			hear_all(LEG_ENDPOINT);
			end();
		}
	}
}

/* What the gateway may refuse: there is no session. */
static void
test_refused(void)
{
	struct flow_event event;

	begin(false, false);
	spy.refuses = REASON_MAX_CONNECTIONS;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE((hear_all(LEG_CLIENT) & TCP_RST) != 0);
	CU_ASSERT_EQUAL(talk.heard.seq, client->ack);
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_REFUSED);
	CU_ASSERT_EQUAL(event.reason, REASON_MAX_CONNECTIONS);
	CU_ASSERT_EQUAL(spy.gone, 0);
	end();
}

/* The first endpoint refuses, or isn't there; the second answers. */
static void
test_other_endpoint(void)
{
	for (unsigned how = 0; how < 3; how++) {
		begin(false, false);
		rig.n_dials = 2;
		if (how == 2)
			rig.dials[0].addr = rig_addr("203.0.113.9"); /* no way leads there */
		CU_ASSERT_TRUE(talk_open(&talk));
		talk_hello(&talk);
		if (how != 2)
			CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
		if (how == 0)
			talk_say(&talk, LEG_ENDPOINT, TCP_RST | TCP_ACK, NULL, 0);
		if (how == 1)
			rig_advance(&rig, rig.dials[0].connect_timeout_ms + 16);
		CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT), BRIDGE_CONNECT_FAILED);
		CU_ASSERT_EQUAL(spy.failure, how == 0   ? REASON_CONNECT_REFUSED
					     : how == 1 ? REASON_CONNECT_TIMEOUT
							: REASON_CONNECT_UNREACHABLE);
		CU_ASSERT_EQUAL(rig.worker.live[2].failed, 1);
		CU_ASSERT_EQUAL(rig.worker.live[2].active, 0);
		endpoint->addr = rig.dials[1].addr;
		endpoint->gate_port = 0;
		bool found = false;
		while (!found && rig_waiting(&rig, RIG_LAN) != 0)
			found = talk_hear_one_syn(&talk);
		CU_ASSERT_TRUE(found);
		talk_answer(&talk);
		CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT) & BRIDGE_CONNECTED, BRIDGE_CONNECTED);
		CU_ASSERT_EQUAL(rig.worker.live[3].opened, 1);
		hear_and_answer(LEG_ENDPOINT);
		CU_ASSERT_EQUAL(n_got[LEG_ENDPOINT], TALK_HELLO);
		CU_ASSERT_TRUE(rig.stats.retransmissions <
			       16); /* what the first one's endpoint sent again isn't the second's */
		worker_abort_all(&rig.worker, REASON_SHUTDOWN);
		rig_settle(&rig);
		CU_ASSERT_TRUE((hear_all(LEG_CLIENT) & TCP_RST) != 0);
		CU_ASSERT_EQUAL(talk.heard.seq, client->ack);
		CU_ASSERT_TRUE((hear_all(LEG_ENDPOINT) & TCP_RST) != 0);
		CU_ASSERT_EQUAL(talk.heard.seq, endpoint->ack);
		end();
	}
}

static void
test_learned(void)
{
	for (unsigned says_mss = 0; says_mss < 2; says_mss++) {
		begin(false, false);
		CU_ASSERT_TRUE(talk_open(&talk));
		talk_hello(&talk);
		CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
		endpoint->mss = says_mss ? 1234 : 0;
		endpoint->wscale = 5;
		endpoint->sack = false;
		endpoint->window = 4321;
		talk_answer(&talk);
		CU_ASSERT_EQUAL(rig.learned.mss, endpoint->mss); /* not what is assumed where it says nothing */
		CU_ASSERT_EQUAL(rig.learned.wscale, 5);
		CU_ASSERT_FALSE(rig.learned.sack);
		CU_ASSERT_TRUE(rig.learned.asked_sack);
		CU_ASSERT_TRUE(rig.learned.timestamps);
		CU_ASSERT_EQUAL(rig.learned.window, 4321);
		hear_and_answer(LEG_ENDPOINT);
		worker_abort_all(&rig.worker, REASON_SHUTDOWN);
		rig_settle(&rig);
		hear_all(LEG_CLIENT);
		hear_all(LEG_ENDPOINT);
		end();
	}
}

/* An endpoint that answered, and isn't wanted: it is told so, and another is dialled in its place. */
static void
test_hang_up(void)
{
	struct flow_event event;

	begin(false, false);
	rig.n_dials = 2;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT) & BRIDGE_CONNECTED, BRIDGE_CONNECTED);
	rig_advance(&rig, 3000); /* the hello isn't acknowledged, and sent again */
	hear_all(LEG_ENDPOINT);
	CU_ASSERT_TRUE(rig.stats.retransmissions > 0);
	spy.carries = false;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 300); /* which nobody wants to read */
	bridge_hang_up(&rig.worker, spy.bridge);
	rig_poll(&rig);
	CU_ASSERT_TRUE((hear_all(LEG_ENDPOINT) & TCP_RST) != 0);
	CU_ASSERT_EQUAL(talk.heard.seq, endpoint->ack);
	CU_ASSERT_EQUAL(rig.worker.live[2].opened, 1);
	CU_ASSERT_EQUAL(rig.worker.live[2].closed, 1);
	CU_ASSERT_EQUAL(rig.worker.live[2].active, 0);
	CU_ASSERT_EQUAL(rig.worker.live[2].received, 300);
	CU_ASSERT_EQUAL(spy.gone, 0);

	bridge_dial(&rig.worker, spy.bridge, &rig.dials[1]);
	endpoint->addr = rig.dials[1].addr;
	endpoint->gate_port = 0;
	rig_poll(&rig);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	spy.carries = true;
	talk_answer(&talk);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT) & BRIDGE_CONNECTED, BRIDGE_CONNECTED);
	n_got[LEG_CLIENT] = n_got[LEG_ENDPOINT] = 0;
	hear_and_answer(LEG_CLIENT);
	send_across(LEG_CLIENT, 400);
	send_across(LEG_ENDPOINT, 500);
	CU_ASSERT_TRUE(rig.stats.retransmissions < 16);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	CU_ASSERT_EQUAL(rig.worker.live[3].opened, 1);
	CU_ASSERT_EQUAL(rig.worker.live[3].closed, 1);
	CU_ASSERT_EQUAL(rig.worker.live[3].received, 500);
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.kind, FLOW_ENDED);
	CU_ASSERT_EQUAL(event.received, 500);
	hear_all(LEG_CLIENT);
	hear_all(LEG_ENDPOINT);
	end();
}

/* In the hook that opens it, and later. */
static void
test_end(void)
{
	struct flow_event event;

	begin(false, false);
	spy.dials = false;
	spy.ends = REASON_SNI_NO_MATCH;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE((hear_all(LEG_CLIENT) & TCP_RST) != 0);
	ended(FLOW_REFUSED, REASON_SNI_NO_MATCH, &event);
	end();

	begin(false, false);
	join();
	bridge_end(&rig.worker, spy.bridge, REASON_ADMIN_CLOSED);
	CU_ASSERT_EQUAL(spy.gone, 0); /* not before the hook has returned */
	rig_poll(&rig);
	CU_ASSERT_EQUAL(spy.gone, 1);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		CU_ASSERT_TRUE((hear_all(leg) & TCP_RST) != 0);
		CU_ASSERT_EQUAL(talk.heard.seq, talk.side[leg].ack);
	}
	ended(FLOW_ENDED, REASON_ADMIN_CLOSED, &event);
	end();
}

static void
say_last_words(void)
{
	struct mbuf_queue words = {0};

	CU_ASSERT_EQUAL(mbuf_queue_write(&words, rig.worker.pool, "go away", 7), 7);
	bridge_send(&rig.worker, spy.bridge, LEG_CLIENT, &words);
	bridge_close(&rig.worker, spy.bridge, REASON_SNI_NO_MATCH);
	rig_poll(&rig);
	CU_ASSERT_EQUAL(spy.gone, 1);
}

/* Last words reach the client, whether it goes on talking or not; one that doesn't close hears a RST in the end. */
static void
test_close(void)
{
	struct flow_event event;

	for (unsigned closes = 0; closes < 2; closes++) {
		begin(false, false);
		spy.dials = false;
		open_bridge();
		say_last_words();
		CU_ASSERT_EQUAL(hear_and_answer(LEG_CLIENT) & TCP_FIN, TCP_FIN);
		CU_ASSERT_EQUAL(n_got[LEG_CLIENT], 7);
		CU_ASSERT_EQUAL(memcmp(got[LEG_CLIENT], "go away", 7), 0);
		ended(FLOW_REFUSED, REASON_SNI_NO_MATCH, &event);
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
		talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 100);
		CU_ASSERT_EQUAL(rte_mempool_in_use_count(rig.worker.pool), rig_waiting(&rig, RIG_WAN));
		if (closes != 0)
			talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 0);
		hear_all(LEG_CLIENT);
		rig_advance(&rig, BRIDGE_CLOSE_MS + 16);
		CU_ASSERT_EQUAL((hear_all(LEG_CLIENT) & TCP_RST) != 0, closes == 0);
		end();
	}
}

static void
test_reset(void)
{
	struct flow_event event;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		begin(false, false);
		join();
		talk_say(&talk, leg, TCP_RST, NULL, 0);
		CU_ASSERT_TRUE((hear_all(leg_other(leg)) & TCP_RST) != 0);
		CU_ASSERT_EQUAL(talk.heard.seq, talk.side[leg_other(leg)].ack);
		ended(FLOW_ENDED, leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT : REASON_RESET_BY_ENDPOINT, &event);
		end();
	}
}

/* Both have closed, and one of them is gone before our FIN reaches it: that is no reset to speak of, and the other side
 * isn't told one; unless there is something that it doesn't get to know, other than a good-bye. */
static void
test_reset_after_close(void)
{
	struct flow_event event;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (unsigned said = 0; said < 3; said++) { /* nothing more, a good-bye, a byte beside it */
			begin(false, false);
			join();
			talk_say(&talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
			CU_ASSERT_EQUAL(hear_and_answer(leg_other(leg)) & TCP_FIN, TCP_FIN);
			talk_say(&talk, leg_other(leg), TCP_ACK | TCP_PSH | TCP_FIN, NULL,
				 (uint16_t)(said == 0 ? 0 : 23 + said));
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_BRIDGED], 1);
			bridge_farewell(spy.bridge, leg, said == 0 ? 0 : 24);
			talk_say(&talk, leg, TCP_RST, NULL, 0);
			ended(FLOW_ENDED,
			      said < 2            ? REASON_CLOSED
			      : leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT
						  : REASON_RESET_BY_ENDPOINT,
			      &event);
			CU_ASSERT_EQUAL(hear_all(leg_other(leg)) & TCP_RST, 0);
			CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], said < 2);
			rig_advance(&rig, 4016);
			hear_all(leg);
			hear_all(leg_other(leg));
			end();
		}
}

/* The same, but the other side hasn't acknowledged what the one said last. */
static void
test_reset_with_bytes_left(void)
{
	struct flow_event event;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		begin(false, false);
		join();
		talk_say(&talk, leg, TCP_ACK | TCP_PSH | TCP_FIN, NULL, 100);
		talk_say(&talk, leg_other(leg), TCP_ACK | TCP_FIN, NULL, 0);
		talk_say(&talk, leg, TCP_RST, NULL, 0);
		ended(FLOW_ENDED, leg == LEG_CLIENT ? REASON_RESET_BY_CLIENT : REASON_RESET_BY_ENDPOINT, &event);
		CU_ASSERT_EQUAL(hear_all(leg_other(leg)) & TCP_RST, TCP_RST);
		rig_advance(&rig, 4016);
		hear_all(leg);
		hear_all(leg_other(leg));
		end();
	}
}

/* A client that goes away before there is an endpoint. */
static void
test_reset_alone(void)
{
	struct flow_event event;

	begin(false, false);
	spy.dials = false;
	open_bridge();
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	ended(FLOW_REFUSED, REASON_RESET_BY_CLIENT, &event);
	end();
}

/* Room for one. */
static void
test_pool(void)
{
	struct flow_event event;
	struct talk second;

	rig_open_with(&rig, &(struct rig_options){.flows = 64, .packets = 4096, .bridges = 1});
	talk_init(&talk, &rig, false, false);
	spy_init(&spy, &rig);
	join();
	talk_init(&second, &rig, false, false);
	second.side[LEG_CLIENT].port++;
	CU_ASSERT_TRUE(talk_open(&second));
	talk_hello(&second);
	CU_ASSERT_TRUE(talk_hear_reset(&second, LEG_CLIENT));
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	CU_ASSERT_EQUAL(event.reason, REASON_BRIDGE_POOL_EMPTY);
	/* One that has closed makes room. */
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		talk_say(&talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
		hear_and_answer(leg_other(leg));
		hear_all(leg);
	}
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	CU_ASSERT_TRUE(rig_event(&rig, &event));
	spy.dials = false;
	spy.n_dialled = 0;
	talk_init(&second, &rig, false, false);
	second.side[LEG_CLIENT].port++;
	CU_ASSERT_TRUE(talk_open(&second));
	talk_hello(&second);
	CU_ASSERT_EQUAL(spy.opened, 2);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 0);
	while (talk_hear(&second, LEG_CLIENT))
		;
	/* So does one that has got no further than that. */
	struct bridge *before = spy.bridge;
	CU_ASSERT_PTR_NOT_NULL(before);
	talk_init(&talk, &rig, false, false);
	client->port += 2;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_EQUAL(spy.opened, 3);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HANDSHAKE_RECLAIMED], 1);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	end();
}

/* Nothing passes for the time-out; or half of it is closed. */
static void
test_idle(void)
{
	struct flow_event event;

	for (unsigned half = 0; half < 2; half++) {
		begin(false, false);
		rig.conf.flow.idle_timeout_s = 100;
		rig.conf.flow.half_closed_timeout_s = 60;
		join();
		if (half != 0) {
			talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_FIN, NULL, 0);
			hear_and_answer(LEG_ENDPOINT);
			hear_all(LEG_CLIENT);
		}
		rig_advance(&rig, half != 0 ? 50000 : 90000);
		CU_ASSERT_EQUAL(spy.gone, 0);
		rig_advance(&rig, 30000);
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			CU_ASSERT_TRUE((hear_all(leg) & TCP_RST) != 0);
			CU_ASSERT_EQUAL(talk.heard.seq, talk.side[leg].ack);
		}
		ended(FLOW_ENDED, half != 0 ? REASON_HALF_CLOSED_TIMEOUT : REASON_IDLE_TIMEOUT, &event);
		end();
	}
}

/* A keep-alive of a peer is as good as bytes, if the other one is there; a stranger's guess isn't. */
static void
test_kept_alive(void)
{
	for (unsigned strange = 0; strange < 2; strange++) {
		begin(false, false);
		rig.conf.flow.idle_timeout_s = 100;
		join();
		for (unsigned i = 0; i < 10; i++) {
			rig_advance(&rig, 20000);
			struct segment segment = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
			segment.seq -= strange != 0 ? 100000 : 1;
			rig_receive(&rig, RIG_WAN, &segment);
			hear_all(LEG_CLIENT);
			/* The endpoint is asked as well, and answers. */
			if (strange == 0) {
				CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0) ||
					       talk.heard.seq + 1 == endpoint->ack);
				talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
			}
		}
		CU_ASSERT_EQUAL(spy.gone, strange);
		hear_all(LEG_ENDPOINT);
		worker_abort_all(&rig.worker, REASON_SHUTDOWN);
		rig_settle(&rig);
		end();
	}
}

static void
test_alarm(void)
{
	begin(false, false);
	spy.dials = false;
	open_bridge();
	spy_told(&spy, LEG_CLIENT);
	bridge_alarm(&rig.worker, spy.bridge, 1000);
	rig_advance(&rig, 990);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_CLIENT), 0);
	rig_advance(&rig, 20);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_CLIENT), BRIDGE_ALARM);
	bridge_alarm(&rig.worker, spy.bridge, 1000);
	bridge_alarm(&rig.worker, spy.bridge, 0);
	rig_advance(&rig, 2000);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_CLIENT), 0);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	end();
}

/* A session that takes nothing: the client's window closes, and opens when it takes. */
static void
test_back_pressure(void)
{
	uint32_t sent = 0;

	begin(false, false);
	spy.carries = false;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	talk_answer(&talk);
	for (; sent < (1u << 20); sent += 1000) {
		talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 1000);
		rig_advance(&rig, SOON);
		hear_all(LEG_CLIENT);
		if (talk.heard.ack != client->seq)
			break; /* no more is taken */
	}
	CU_ASSERT_TRUE(sent > 0 && sent < (1u << 20));
	sent -= client->seq - talk.heard.ack - 1000;
	client->seq = talk.heard.ack;
	CU_ASSERT_EQUAL(bridge_received(spy.bridge, LEG_CLIENT)->bytes, sent + TALK_HELLO);
	spy.carries = true;
	spy_carry(&spy, LEG_CLIENT);
	rig_poll(&rig);
	for (unsigned i = 0; i < 100 && n_got[LEG_ENDPOINT] < sent + TALK_HELLO; i++)
		hear_and_answer(LEG_ENDPOINT);
	CU_ASSERT_EQUAL(n_got[LEG_ENDPOINT], sent + TALK_HELLO);
	n_got[LEG_ENDPOINT] = 0;
	rig_advance(&rig, SOON);
	hear_all(LEG_CLIENT);
	CU_ASSERT_TRUE(talk.heard.window > 0);
	send_across(LEG_CLIENT, MANY);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	hear_all(LEG_CLIENT);
	hear_all(LEG_ENDPOINT);
	end();
}

/* An endpoint that takes nothing, and bytes for it until packet buffers are short: what waits is bounded, and given up
 * when it doesn't move. */
static void
test_short_of_packets(void)
{
	struct flow_event event;

	begin(false, false);
	join();
	hear_all(LEG_CLIENT);
	endpoint->window = 0;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	for (unsigned i = 0; i < 20; i++) {
		talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 1400);
		rig_advance(&rig, 10);
		hear_all(LEG_CLIENT);
	}
	CU_ASSERT_TRUE(bridge_packets(spy.bridge) > BRIDGE_FEW_PACKETS);
	rig_take_buffers(100);
	rig_advance(&rig, 1);
	CU_ASSERT_TRUE(rig.worker.packets_short);
	uint32_t before = bridge_packets(spy.bridge);
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 1400);
	CU_ASSERT_EQUAL(bridge_packets(spy.bridge), before);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_PACKET_POOL_EMPTY], 1);
	rig_advance(&rig, 1900);
	CU_ASSERT_EQUAL(spy.gone, 0);
	rig_advance(&rig, 200);
	ended(FLOW_ENDED, REASON_PACKETS_RECLAIMED, &event);
	rig_give_back();
	rig_advance(&rig, 1);
	CU_ASSERT_FALSE(rig.worker.packets_scarce);
	end();
}

/* The process dies: both sides hear of it, by numbers that they obey. */
static void
test_adoption(void)
{
	struct flow_event event;

	for (unsigned joined = 0; joined < 2; joined++) {
		begin(false, false);
		spy.dials = joined != 0;
		if (joined != 0)
			join();
		else
			open_bridge();
		if (joined != 0) { /* the endpoint has got something that it hasn't acknowledged yet */
			talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, 100);
			hear_all(LEG_ENDPOINT);
			CU_ASSERT_EQUAL(n_got[LEG_ENDPOINT], 100);
			hear_all(LEG_CLIENT);
		}
		rig_restart(&rig, 1);
		spy.bridge = NULL;
		CU_ASSERT_EQUAL(rig.adoption.bridged, 1);
		CU_ASSERT_TRUE(rig_adopted_well(&rig));
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		rig_advance(&rig, ADOPT_FAREWELL_MS + 10);
		for (unsigned leg = 0; leg <= joined; leg++) {
			bool obeyed = false;
			while (talk_hear(&talk, leg))
				obeyed |= (talk.heard.flags & TCP_RST) != 0 && talk.heard.seq == talk.side[leg].ack;
			CU_ASSERT_TRUE(obeyed);
		}
		CU_ASSERT_TRUE(rig_event(&rig, &event));
		CU_ASSERT_EQUAL(event.kind, joined != 0 ? FLOW_ENDED : FLOW_REFUSED);
		CU_ASSERT_EQUAL(event.reason, REASON_ADOPT_BRIDGED);
		end();
	}
}

/* What has closed says nothing to the next process. */
static void
test_adoption_of_closing(void)
{
	begin(false, false);
	join();
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		talk_say(&talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
		hear_and_answer(leg_other(leg));
		hear_all(leg);
	}
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.forgotten, 1);
	CU_ASSERT_TRUE(rig_adopted_well(&rig));
	rig_advance(&rig, ADOPT_FAREWELL_MS + 10);
	CU_ASSERT_TRUE(talk_silent(&talk));
	end();
}

/* The client's port begins anew while the last connection lingers. */
static void
test_port_reused(void)
{
	begin(false, false);
	join();
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		talk_say(&talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
		hear_and_answer(leg_other(leg));
		hear_all(leg);
	}
	client->seq += 100000;
	client->timestamps_on = false;
	spy.n_dialled = 0;
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_EQUAL(spy.opened, 2);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_BRIDGED], 1);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	end();
}

static void
test_poll(void)
{
	begin(false, false);
	CU_ASSERT_EQUAL(worker_poll(&rig.worker, rig.now_ms), 0);
	CU_ASSERT_EQUAL(worker_poll(&rig.worker, rig.now_ms), 1);
	CU_ASSERT_EQUAL(spy.polls, 2);
	rig.hooks.poll = NULL;
	CU_ASSERT_EQUAL(worker_poll(&rig.worker, rig.now_ms), 0);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"a whole life", test_whole_life},
		{"there is no session", test_refused},
		{"another endpoint", test_other_endpoint},
		{"what an endpoint's SYN-ACK tells", test_learned},
		{"an endpoint that isn't wanted", test_hang_up},
		{"the session ends it", test_end},
		{"the session closes it", test_close},
		{"a peer resets it", test_reset},
		{"a reset behind both FINs", test_reset_after_close},
		{"reset with bytes left", test_reset_with_bytes_left},
		{"the client resets it early", test_reset_alone},
		{"room for one", test_pool},
		{"idleness", test_idle},
		{"keep-alives", test_kept_alive},
		{"the alarm", test_alarm},
		{"back-pressure", test_back_pressure},
		{"short of packets", test_short_of_packets},
		{"the process dies", test_adoption},
		{"the process dies behind it", test_adoption_of_closing},
		{"the client's port begins anew", test_port_reused},
		{"the gateway is polled", test_poll},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("bridge", tests) : 1;
}
