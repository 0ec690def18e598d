/* SPDX-License-Identifier: Apache-2.0 */
/* A process dies and another goes on with its flows: conversations that go over it, what is told to whom where they
 * can't, and records that make no sense. */
#include "dataplane/flow_adopt.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

enum { FLOWS = 64, PACKETS = 4096 };

static struct rig rig;

static void
begin(struct talk *talk)
{
	rig_open(&rig, FLOWS, PACKETS);
	talk_init(talk, &rig, false, false);
}

static void
end(void)
{
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* --- conversations ------------------------------------------------------------------------------------------------ */

static void
test_goes_on(void)
{
	for (unsigned i = 0; i < 8; i++) {
		struct talk talk;
		rig_open(&rig, FLOWS, PACKETS);
		talk_init(&talk, &rig, (i & 1) != 0, (i & 2) != 0);
		if ((i & 4) != 0)
			talk.side[LEG_CLIENT].timestamps = talk.side[LEG_CLIENT].sack = false;
		CU_ASSERT_TRUE(talk_connect(&talk));
		CU_ASSERT_TRUE(talk_exchange(&talk, 700));
		struct flow before = *talk_flow(&talk);

		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.adoption.found, 1);
		CU_ASSERT_EQUAL(rig.adoption.spliced, 1);
		CU_ASSERT_TRUE(talk_silent(&talk));
		struct flow *flow = talk_flow(&talk);
		CU_ASSERT_PTR_NOT_NULL_FATAL(flow);
		CU_ASSERT_EQUAL(flow->state, FLOW_SPLICED);
		CU_ASSERT_EQUAL(flow_opened(flow), flow_opened(&before));
		CU_ASSERT_EQUAL(flow->endpoint, before.endpoint);
		CU_ASSERT_EQUAL(flow->service, before.service);
		CU_ASSERT_EQUAL(flow->listener, before.listener);
		CU_ASSERT_EQUAL(flow->leg[LEG_CLIENT].bytes, before.leg[LEG_CLIENT].bytes);
		CU_ASSERT_EQUAL(rig.worker.live[flow->endpoint].active, 1);
		CU_ASSERT_EQUAL(rig.worker.live[flow->service].active, 1);
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);

		CU_ASSERT_TRUE(talk_exchange(&talk, 1000));
		CU_ASSERT_TRUE(talk_close(&talk, i % LEG_COUNT));
		end();
	}
}

/* Data that was under way is repeated, and acknowledged with a SACK block in the numbers of its sender. */
static void
test_in_transfer(void)
{
	struct talk talk;
	begin(&talk);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct talk_side *client = &talk.side[LEG_CLIENT], *endpoint = &talk.side[LEG_ENDPOINT];
	uint32_t first = endpoint->seq, in_order = client->ack;

	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 1000);
	rig_restart(&rig, 1);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 1000)); /* it had left */
	client->ack = in_order;                                              /* but was lost further on */
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 500);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.seq, in_order + 1000);

	struct segment sack = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	uint8_t *option = sack.options + sack.options_length;
	memcpy(option, (const uint8_t[4]){1, 1, 5, 10}, 4);
	talk_put_32(option + 4, in_order + 1000);
	talk_put_32(option + 8, in_order + 1500);
	sack.options_length += 12;
	rig_receive(&rig, RIG_WAN, &sack);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talk.heard.ack, first);
	const uint8_t *seen = talk_option(&talk.heard, 5);
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
	CU_ASSERT_EQUAL(talk_get_32(seen + 2), first + 1000);
	CU_ASSERT_EQUAL(talk_get_32(seen + 6), first + 1500);

	rig_restart(&rig, 1);
	endpoint->seq = first;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 1000);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 1000));
	client->ack += 500;
	endpoint->seq += 500;
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 0));
	CU_ASSERT_TRUE(talk_exchange(&talk, 100));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

static void
test_half_closed(void)
{
	for (unsigned first = 0; first < LEG_COUNT; first++) {
		struct talk talk;
		unsigned second = leg_other(first);
		begin(&talk);
		CU_ASSERT_TRUE(talk_connect(&talk));
		talk_say(&talk, first, TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, second, TCP_ACK | TCP_FIN, 0));
		rig_restart(&rig, 1);
		talk_say(&talk, second, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK, 0));
		rig_restart(&rig, 1);
		talk_say(&talk, second, TCP_ACK, NULL, 300);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK, 300));
		talk_say(&talk, second, TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, first, TCP_ACK | TCP_FIN, 0));
		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 1);
		talk_say(&talk, first, TCP_ACK, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, second, TCP_ACK, 0));
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);

		/* The last ACK is lost: while it lingers, a repeated FIN still gets one. */
		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.adoption.closing, 1);
		CU_ASSERT_EQUAL(rig.worker.live[rig.dials[0].endpoint].active, 0);
		talk.side[second].seq--;
		talk_say(&talk, second, TCP_ACK | TCP_FIN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, first));
		CU_ASSERT_TRUE((talk.heard.flags & TCP_FIN) != 0);
		rig_advance(&rig, rig.conf.flow.close_linger_ms + 16);
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		end();
	}
}

/* The processes have other numbers of workers: however a packet comes in, its flow is found, even if its listener went
 * with the process before. */
static void
test_workers_change(void)
{
	static const unsigned numbers[] = {1, 3, 2, 4, 1, 2};
	enum { TALKS = 24, STEPS = sizeof(numbers) / sizeof(numbers[0]) };
	static struct talk talks[TALKS];

	for (unsigned kind = 0; kind < 4; kind++) {
		bool spread = (kind & 1) != 0, listens = (kind & 2) == 0;
		rig_open_workers(&rig, numbers[0], FLOWS, PACKETS);
		for (unsigned i = 0; i < TALKS; i++) {
			talk_init(&talks[i], &rig, false, false);
			talks[i].side[LEG_CLIENT].port = (uint16_t)(50000 + i);
			CU_ASSERT_TRUE(talk_connect(&talks[i]));
		}
		for (unsigned step = 1; step < STEPS; step++) {
			for (unsigned device = 0; spread && device < RIG_DEVICES; device++)
				rig.devices[device].rx_queues = RIG_WORKERS_MAX;
			if (!listens)
				rig.listen_port = 0;
			rig_restart(&rig, numbers[step]);
			CU_ASSERT_EQUAL(rig.adoption.spliced, TALKS);
			CU_ASSERT_EQUAL(rig.adoption.found, TALKS);
			for (unsigned i = 0; i < TALKS; i++) {
				rig.receiver = (step + i) % numbers[step];
				CU_ASSERT_TRUE(talk_exchange(&talks[i], 100));
			}
			uint32_t flows = 0;
			for (unsigned i = 0; i < numbers[step]; i++)
				flows += flow_table_used(&rig.workers[i].flows);
			CU_ASSERT_EQUAL(flows, TALKS);
		}
		for (unsigned i = 0; i < TALKS; i++)
			CU_ASSERT_EQUAL(talk_close(&talks[i], LEG_CLIENT), i == TALKS - 1);
		end();
	}
}

/* --- before the splice -------------------------------------------------------------------------------------------- */

/* Nothing was acknowledged: the client's repeated hello opens the connection anew, by the old cookie. */
static void
test_early(void)
{
	for (unsigned when = 0; when < 3; when++) {
		struct talk talk;
		begin(&talk);
		CU_ASSERT_TRUE(talk_open(&talk));
		uint32_t first = talk.side[LEG_CLIENT].seq;
		if (when > 0) {
			talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, when == 1 ? TALK_HELLO / 2 : TALK_HELLO);
		}
		if (when == 2)
			CU_ASSERT_TRUE(talk_hear_syn(&talk));
		rig_advance(&rig, 100);
		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.adoption.found, 1);
		CU_ASSERT_EQUAL(rig.adoption.forgotten, 1);
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		rig_advance(&rig, 1000);
		CU_ASSERT_TRUE(talk_silent(&talk));

		if (when == 2) { /* the endpoint's answer belongs to nothing now */
			talk_answer(&talk);
			CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
			talk.side[LEG_ENDPOINT].timestamps_on = false;
			talk.side[LEG_ENDPOINT].seq = 4000000;
		}
		talk.side[LEG_CLIENT].seq = first;
		talk.side[LEG_CLIENT].tsval += 1100;
		talk.far = true; /* by an echo that is a second old */
		talk_hello(&talk);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		talk_answer(&talk);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
		CU_ASSERT_TRUE(talk_exchange(&talk, 500));
		CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
		end();
	}
}

/* Makes the gateway acknowledge half of a hello. */
static void
trickle(struct talk *talk)
{
	talk_say(talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO / 2);
	rig_advance(&rig, 200);
	CU_ASSERT_TRUE(talk_hear_exactly(talk, LEG_CLIENT, TCP_ACK, 0));
}

/* What was acknowledged is gone: who counts on it hears of it. */
static void
test_owed(void)
{
	struct flow_event event;

	for (unsigned dialled = 0; dialled < 2; dialled++) {
		struct talk talk;
		begin(&talk);
		CU_ASSERT_TRUE(talk_open(&talk));
		trickle(&talk);
		if (dialled != 0) {
			talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO / 2);
			CU_ASSERT_TRUE(talk_hear_syn(&talk));
		}
		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.adoption.held, 1);
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		rig_advance(&rig, ADOPT_FAREWELL_MS - 10);
		CU_ASSERT_TRUE(talk_silent(&talk)); /* next hops are given the time to answer */
		rig_advance(&rig, 20);
		CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
		CU_ASSERT_TRUE(talk_silent(&talk));
		CU_ASSERT_TRUE(rig_event(&rig, &event));
		CU_ASSERT_EQUAL(event.kind, FLOW_REFUSED);
		CU_ASSERT_EQUAL(event.reason, REASON_ADOPT_HELD);
		CU_ASSERT_EQUAL(event.client_port, 50000);
		CU_ASSERT_EQUAL(event.listener, rig.offer.live);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ADOPT_HELD], 1);
		end();
	}
}

/* The client of a plain listener may wait for the endpoint to speak first, and would repeat nothing. */
static void
test_plain(void)
{
	struct talk talk;

	begin(&talk);
	rig.offer.plain = true;
	rig.hello_length = 0;
	CU_ASSERT_TRUE(talk_open(&talk));
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.held, 1);
	rig_advance(&rig, ADOPT_FAREWELL_MS + 10);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_silent(&talk));
	end();
}

static void
test_held(void)
{
	struct talk talk;
	struct flow_event event;

	for (unsigned delivered = 0; delivered < 2; delivered++) {
		begin(&talk);
		CU_ASSERT_TRUE(talk_open(&talk));
		trickle(&talk);
		talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO / 2);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		talk_answer(&talk);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
		if (delivered != 0) {
			talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 0));
		}
		rig_restart(&rig, 1);
		if (delivered != 0) {
			CU_ASSERT_EQUAL(rig.adoption.spliced, 1);
			CU_ASSERT_TRUE(talk_exchange(&talk, 10));
			CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
		} else {
			CU_ASSERT_EQUAL(rig.adoption.held, 1);
			CU_ASSERT_TRUE(rig_is_empty(&rig));
			rig_advance(&rig, ADOPT_FAREWELL_MS + 10);
			CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
			/* All that the endpoint has said that it has is nothing yet. */
			CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
			CU_ASSERT_TRUE((talk.heard.flags & TCP_RST) != 0);
			CU_ASSERT_EQUAL(talk.heard.seq, talk.side[LEG_ENDPOINT].ack - TALK_HELLO);
			/* But it has got it all. */
			CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
			CU_ASSERT_TRUE(talk_silent(&talk));
			CU_ASSERT_TRUE(rig_event(&rig, &event));
			CU_ASSERT_EQUAL(event.kind, FLOW_ENDED);
			CU_ASSERT_EQUAL(event.reason, REASON_ADOPT_HELD);
			CU_ASSERT_EQUAL(event.endpoint_port, 8443);
			CU_ASSERT_EQUAL(event.sent, TALK_HELLO);
		}
		end();
	}
}

/* The endpoint answers when it has got a part of what was acknowledged in its name, and the process dies when the
 * client has its answer but hasn't acknowledged it. Both hear a RST of the number that they expect by then, which isn't
 * what the record says. */
static void
test_held_and_answered(void)
{
	enum { ANSWER = 512 };
	struct talk talk;

	begin(&talk);
	CU_ASSERT_TRUE(talk_open(&talk));
	trickle(&talk);
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO / 2);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));
	talk.side[LEG_ENDPOINT].ack -= TALK_HELLO - TALK_HELLO / 4;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, ANSWER);
	talk.side[LEG_ENDPOINT].ack += TALK_HELLO - TALK_HELLO / 4;
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.payload_length, ANSWER);
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.held, 1);
	rig_advance(&rig, ADOPT_FAREWELL_MS + 10);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE((talk.heard.flags & TCP_RST) != 0);
	CU_ASSERT_EQUAL(talk.heard.seq, talk.side[LEG_CLIENT].ack - ANSWER);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE((talk.heard.flags & TCP_RST) != 0);
	CU_ASSERT_EQUAL(talk.heard.seq, talk.side[LEG_ENDPOINT].ack - (TALK_HELLO - TALK_HELLO / 4));
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_silent(&talk));
	end();
}

/* More of them than may wait for one next hop: each is told. */
static void
test_many_farewells(void)
{
	enum { TALKS = 40 };
	static struct talk talks[TALKS];

	rig_open(&rig, FLOWS, PACKETS);
	for (unsigned i = 0; i < TALKS; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(50000 + i);
		CU_ASSERT_TRUE(talk_open(&talks[i]));
		talk_say(&talks[i], LEG_CLIENT, TCP_ACK, NULL, TALK_HELLO / 2);
	}
	rig_advance(&rig, 200);
	while (rig_next_frame(&rig, RIG_WAN, talks[0].frame) != 0) /* ACKs, as many as could wait */
		;
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.held, TALKS);
	rig_advance(&rig, ADOPT_FAREWELL_MS + 10);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), TALKS);
	for (unsigned i = TALKS; i-- != 0;)
		CU_ASSERT_TRUE(talk_hear_reset(&talks[i], LEG_CLIENT));
	end();
}

static void
test_probe_is_forgotten(void)
{
	struct talk talk;
	begin(&talk);
	CU_ASSERT_TRUE(talk_connect(&talk));
	talk_flow(&talk)->state = FLOW_PROBING;
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.forgotten, 1);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	end();
}

/* --- what the process before was in the middle of ----------------------------------------------------------------- */

static void
test_was_ending(void)
{
	struct flow_event event;
	struct talk talk;

	for (unsigned how = 0; how < 3; how++) {
		begin(&talk);
		CU_ASSERT_TRUE(talk_connect(&talk));
		struct flow *flow = talk_flow(&talk);
		if (how == 0) {
			flow->reason = REASON_RESET_BY_CLIENT;
			flow->leg[LEG_ENDPOINT].flags |= LEG_HELD;
		} else if (how == 1) {
			flow->leg[LEG_CLIENT].flags |= LEG_FIN_ACKED;
			flow->leg[LEG_ENDPOINT].flags |= LEG_FIN_ACKED;
		} else {
			flow->reason = 255; /* of a version that has more */
			flow->leg[LEG_CLIENT].state = FLOW_CLOSING;
		}
		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.adoption.closing, 1);
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
		CU_ASSERT_TRUE(rig_event(&rig, &event));
		CU_ASSERT_EQUAL(event.kind, FLOW_ENDED);
		CU_ASSERT_EQUAL(event.reason, how == 0 ? REASON_RESET_BY_CLIENT : REASON_CLOSED);
		CU_ASSERT_EQUAL(talk_flow(&talk)->leg[LEG_ENDPOINT].flags & LEG_HELD, 0);
		CU_ASSERT_TRUE(talk_exchange(&talk, 10)); /* late packets still find their way */
		rig_advance(&rig, rig.conf.flow.close_linger_ms + 16);
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		CU_ASSERT_TRUE(talk_silent(&talk));
		end();
	}
}

/* A stopped process leaves nothing. */
static void
test_stopped(void)
{
	struct talk talk;
	begin(&talk);
	CU_ASSERT_TRUE(talk_connect(&talk));
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.found, 0);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	end();
}

/* --- what has changed --------------------------------------------------------------------------------------------- */

static void
test_address_is_gone(void)
{
	struct talk talk;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		begin(&talk);
		CU_ASSERT_TRUE(talk_connect(&talk));
		/* In the place of "192.0.2.1" or "198.51.100.1" the process before had another one. */
		struct flow_leg *before = &talk_flow(&talk)->leg[leg];
		struct flow_adopt_source source = {.n_tables = 1, .tables[0] = rig.worker.flows};
		struct ip_addr addresses[CONF_ADDRESSES_MAX];
		struct worker next = rig.worker, *workers[1] = {&next};
		struct flow_adoption adoption;
		source.n_addresses = rig.net.n_addresses;
		for (unsigned i = 0; i < source.n_addresses; i++)
			addresses[i] = rig.net.addresses[i].addr;
		addresses[before->local_addr] = rig_addr("203.0.113.1");
		source.addresses = addresses;
		void *memory = calloc(1, flow_table_bytes(FLOWS) + 64);
		flow_table_init(&next.flows, (void *)(((uintptr_t)memory + 63) & ~(uintptr_t)63), FLOWS,
				(const uint64_t[3]){1, 2, 3});
		flow_adopt(&adoption, &source, workers, &(struct flow_adopt_names){0}, rig.now_ms);
		CU_ASSERT_EQUAL(adoption.found, 1);
		CU_ASSERT_EQUAL(adoption.address, 1);
		CU_ASSERT_EQUAL(flow_table_used(&next.flows), 0);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ADOPT_ADDRESS], 1);
		flow_adopt_free(&adoption, workers, 1);
		free(memory);
		CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
		end();
	}
}

/* Indices of addresses are by the order of postern.conf, and that may change. */
static void
test_addresses_move(void)
{
	struct talk talk;
	begin(&talk);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct ip_prefix first = rig.conf.ports[RIG_WAN].addresses[0];
	rig.conf.ports[RIG_WAN].addresses[0] = rig.conf.ports[RIG_WAN].addresses[1];
	rig.conf.ports[RIG_WAN].addresses[1] = first;
	struct device *devices[RIG_DEVICES] = {&rig.devices[0], &rig.devices[1]}, *taps[RIG_DEVICES] = {NULL, NULL};
	struct ip_addr before[CONF_ADDRESSES_MAX];
	for (unsigned i = 0; i < rig.net.n_addresses; i++)
		before[i] = rig.net.addresses[i].addr;
	net_init(&rig.net, &rig.conf, devices, taps);
	rig_restart_from(&rig, 1, before, rig.net.n_addresses);
	CU_ASSERT_EQUAL(rig.adoption.spliced, 1);
	CU_ASSERT_TRUE(talk_exchange(&talk, 100));
	CU_ASSERT_TRUE(talk_close(&talk, LEG_CLIENT));
	end();
}

/* A smaller table takes what fits; a smaller MTU bounds what is sent. */
static void
test_less_room(void)
{
	enum { TALKS = 20, ROOM = 12 };
	static struct talk talks[TALKS];

	rig_open(&rig, FLOWS, PACKETS);
	for (unsigned i = 0; i < TALKS; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(50000 + i);
		CU_ASSERT_TRUE(talk_connect(&talks[i]));
	}
	rig.conf.tables.flows = ROOM;
	rig.net.ports[RIG_LAN].mtu = 1400;
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.found, TALKS);
	CU_ASSERT_EQUAL(rig.adoption.spliced, ROOM);
	CU_ASSERT_EQUAL(rig.adoption.full, TALKS - ROOM);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ADOPT_FULL], TALKS - ROOM);
	CU_ASSERT_TRUE(talk_exchange(&talks[0], 100));
	talk_say(&talks[0], LEG_CLIENT, TCP_ACK, NULL, 1448);
	CU_ASSERT_TRUE(talk_hear(&talks[0], LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talks[0].heard.payload_length, 1348);
	CU_ASSERT_TRUE(talk_hear(&talks[0], LEG_ENDPOINT));
	CU_ASSERT_EQUAL(talks[0].heard.payload_length, 100);
	/* The others' packets are a stranger's. */
	talk_say(&talks[TALKS - 1], LEG_ENDPOINT, TCP_ACK, NULL, 10);
	CU_ASSERT_TRUE(talk_hear_reset(&talks[TALKS - 1], LEG_ENDPOINT));
	end();
}

/* --- nonsense ----------------------------------------------------------------------------------------------------- */

struct damage {
	const char *what;
	uint16_t at;
	uint8_t length;
	uint64_t value;
};

#define FIELD(what, field, value)                                                                                      \
	{                                                                                                              \
		what, offsetof(struct flow, field), sizeof(((struct flow *)0)->field), value                           \
	}
#define CLIENT(what, field, value) FIELD(what, leg[LEG_CLIENT].field, value)
#define ENDPOINT(what, field, value) FIELD(what, leg[LEG_ENDPOINT].field, value)

static void
test_damage(void)
{
	static const struct damage cases[] = {
		FIELD("no such state", state, FLOW_STATES),
		FIELD("no such state at all", state, 255),
		FIELD("not in use by its generation", generation, 2),
		FIELD("more than 999 ms", opened_ms, 1000),
		CLIENT("unspecified peer", peer.longs[1], 0),
		CLIENT("loopback", peer.words[3], 0x0100007f),
		CLIENT("multicast", peer.words[3], 0x010000e0),
		CLIENT("another family", peer.words[0], 0x0120),
		CLIENT("one of ours", peer.words[3], 0x010200c0),
		CLIENT("no port", peer_port, 0),
		ENDPOINT("no port", local_port, 0),
		ENDPOINT("no such address", local_addr, 4),
		ENDPOINT("no such address at all", local_addr, 0xffff),
		CLIENT("scale beyond 14", wscale, 15),
		ENDPOINT("announced scale beyond 14", announced, 15),
		CLIENT("scale without scaling", flags, LEG_TS | LEG_SACK),
		CLIENT("timestamps on one leg alone", flags, LEG_WSCALE | LEG_SACK),
		CLIENT("held on the wrong leg", flags, LEG_WSCALE | LEG_SACK | LEG_TS | LEG_HELD),
		ENDPOINT("an MSS without room for options", mss, 40),
		CLIENT("its state is before the flow's", state, FLOW_CONNECTING),
		ENDPOINT("its state is none", state, 17),
		CLIENT("acknowledges what wasn't sent", ack, 0),
		ENDPOINT("sent beyond any window", seq_end, 0),
		CLIENT("a window of 2 GiB", edge, 0),
		ENDPOINT("numbers of another connection", seq_delta, 12345678),
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct talk talk;
		begin(&talk);
		CU_ASSERT_TRUE(talk_connect(&talk));
		uint64_t value = cases[i].value;
		memcpy((uint8_t *)talk_flow(&talk) + cases[i].at, &value, cases[i].length);
		rig_restart(&rig, 1);
		CU_ASSERT_EQUAL(rig.adoption.found, 1);
		CU_ASSERT_EQUAL(rig.adoption.damaged, 1);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ADOPT_DAMAGED], 1);
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		if (!rig_is_empty(&rig))
			printf("adopted: %s\n", cases[i].what);
		end();
	}
}

/* Two records with the same addresses: one of them, whatever it is, is none. */
static void
test_duplicates(void)
{
	enum { TALKS = 12 };
	static struct talk talks[TALKS];

	for (unsigned round = 0; round < 5u * RIG_WORKERS_MAX; round++)
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			rig_open(&rig, FLOWS, PACKETS);
			for (unsigned i = 0; i < TALKS; i++) {
				talk_init(&talks[i], &rig, false, false);
				talks[i].side[LEG_CLIENT].port = (uint16_t)(50000 + 100 * round + i);
				CU_ASSERT_TRUE(talk_connect(&talks[i]));
			}
			const struct flow_leg *first = &flow_table_get(&rig.worker.flows, 1)->leg[leg];
			for (unsigned i = 2; i <= TALKS; i++) {
				struct flow_leg *other = &flow_table_get(&rig.worker.flows, i)->leg[leg];
				other->peer_port = first->peer_port;
				other->local_port = first->local_port;
			}
			rig_restart(&rig, 1 + round % RIG_WORKERS_MAX);
			CU_ASSERT_EQUAL(rig.adoption.spliced, 1);
			CU_ASSERT_EQUAL(rig.adoption.damaged, TALKS - 1);
			CU_ASSERT_TRUE(talk_exchange(&talks[0], 10));
			end();
		}

	/* Both legs of one record. */
	struct talk talk;
	begin(&talk);
	CU_ASSERT_TRUE(talk_connect(&talk));
	struct flow *flow = talk_flow(&talk);
	struct flow_leg *client = &flow->leg[LEG_CLIENT], *endpoint = &flow->leg[LEG_ENDPOINT];
	client->peer = endpoint->peer;
	client->peer_port = endpoint->peer_port;
	client->local_port = endpoint->local_port;
	client->local_addr = endpoint->local_addr;
	rig_restart(&rig, 1);
	CU_ASSERT_EQUAL(rig.adoption.damaged, 1);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	end();
}

/* Flips bits of the mapping, or writes random bytes over it, at random: nothing falls over, and what is adopted can be
 * forwarded for, aborted and released. */
static void
test_random_damage(void)
{
	enum { ROUNDS = 300, TALKS = 12 };
	static struct talk talks[TALKS];
	uint64_t seed = 20260102;
	unsigned survived = 0, damaged = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		rig_open_workers(&rig, 1 + random_below(&seed, 3), FLOWS, PACKETS);
		for (unsigned i = 0; i < TALKS; i++) {
			talk_init(&talks[i], &rig, false, i % 3 == 0);
			talks[i].side[LEG_CLIENT].port = (uint16_t)(50000 + i);
			CU_ASSERT_TRUE(talk_connect(&talks[i]));
		}
		for (unsigned w = 0; w < rig.n_workers; w++) {
			uint8_t *bytes = rig.table_memory[w];
			size_t from = (size_t)((uint8_t *)rig.workers[w].flows.flows - bytes), length = rig.table_bytes;
			/* Half of the time the records alone, so that damage is dense. */
			if (random_below(&seed, 2) != 0)
				from = 0;
			else
				length = from + 10 * sizeof(struct flow);
			for (unsigned n = random_below(&seed, 200); n != 0; n--) {
				size_t at = from + random_below(&seed, (uint32_t)(length - from));
				bytes[at] ^= random_below(&seed, 2) != 0 ? 1u << random_below(&seed, 8)
									 : random_below(&seed, 256);
			}
		}
		rig_restart(&rig, 1 + random_below(&seed, RIG_WORKERS_MAX));
		CU_ASSERT_TRUE_FATAL(rig_adopted_well(&rig));
		survived += rig.adoption.spliced;
		damaged += rig.adoption.damaged;
		for (unsigned i = 0; i < TALKS; i++)
			for (unsigned leg = 0; leg < LEG_COUNT; leg++)
				talk_say(&talks[i], leg, TCP_ACK, NULL, 1400);
		rig_advance(&rig, 300);
		for (unsigned w = 0; w < rig.n_workers; w++) {
			rig.running = w;
			worker_abort_all(&rig.workers[w], REASON_SHUTDOWN);
		}
		rig_settle(&rig);
		rig_advance(&rig, rig.conf.flow.close_linger_ms + 16);
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		end();
	}
	CU_ASSERT_TRUE(survived > ROUNDS);
	CU_ASSERT_TRUE(damaged > ROUNDS);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"goes on", test_goes_on},
		{"in transfer", test_in_transfer},
		{"half closed", test_half_closed},
		{"workers change", test_workers_change},
		{"early", test_early},
		{"owed", test_owed},
		{"a plain listener's", test_plain},
		{"held", test_held},
		{"held and answered", test_held_and_answered},
		{"many farewells", test_many_farewells},
		{"a probe is forgotten", test_probe_is_forgotten},
		{"was ending", test_was_ending},
		{"stopped", test_stopped},
		{"an address is gone", test_address_is_gone},
		{"addresses move", test_addresses_move},
		{"less room", test_less_room},
		{"damage", test_damage},
		{"duplicates", test_duplicates},
		{"random damage", test_random_damage},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("flow_adopt", tests) : 1;
}
