/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a packet through one worker and through several: bursts, ownership, hand-over, who transmits. */
#include "dataplane/worker.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/local_port.h"
#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { WORKERS = 3, CONNECTIONS = 30 };

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];

static void
begin(unsigned n_workers)
{
	rig_open_workers(&rig, n_workers, 256, 4096);
	talk_init(&talk, &rig, false, false);
}

static void
end(void)
{
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* The worker whose flow the conversation is. */
static unsigned
owner_of_flow(void)
{
	return local_port_owner((uint16_t)(endpoint->gate_port << 8 | endpoint->gate_port >> 8),
				(uint16_t)rig.n_workers);
}

static void
test_burst(void)
{
	/* The handshake's ACK, the hello, a repeat of it and a RST, all in one burst: each makes or ends what the next
	 * one meets. */
	begin(1);
	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	client->ack = talk.heard.seq + 1;
	client->timestamps_on = true;
	client->tsecr = talk_get_32(talk_option(&talk.heard, TCP_OPTION_TIMESTAMPS) + 2);
	uint8_t hello[TALK_HELLO];
	talk_pattern(client->seq, hello, sizeof(hello));
	struct segment burst[4];
	for (unsigned i = 0; i < 3; i++)
		burst[i] = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	burst[1].payload = burst[2].payload = hello;
	burst[1].payload_length = burst[2].payload_length = TALK_HELLO;
	rig_receive_burst(&rig, RIG_WAN, burst, 3);
	CU_ASSERT_EQUAL(rig.stats.syn_acks, 1);
	CU_ASSERT_EQUAL(rig.n_decided, 1);
	CU_ASSERT_TRUE(talk_hear_syn(&talk));
	CU_ASSERT_TRUE(talk_silent(&talk));
	client->seq += TALK_HELLO;
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO));

	/* Data, RST, and a SYN that begins anew, which a cookie that isn't ours doesn't follow. */
	burst[0] = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	burst[0].payload = hello;
	burst[0].payload_length = 10;
	burst[1] = talk_segment(&talk, LEG_CLIENT, TCP_RST);
	burst[1].seq += 10;
	client->seq = 99;
	burst[2] = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
	burst[3] = talk_segment(&talk, LEG_CLIENT, TCP_ACK);
	burst[3].ack = 5;
	rig_receive_burst(&rig, RIG_WAN, burst, 4);
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(talk.heard.flags, TCP_SYN | TCP_ACK);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TCP_WINDOW], 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	rig_advance(&rig, 4016);
	end();
}

static void
test_burst_of_many(void)
{
	/* A full burst of SYNs, more answers than a transmit buffer when repeated; all are answered, in order. */
	begin(1);
	struct segment burst[WORKER_BURST];
	for (unsigned round = 0; round < 4; round++) {
		for (uint16_t i = 0; i < WORKER_BURST; i++) {
			burst[i] = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
			burst[i].source_port = (uint16_t)(1000 + i);
		}
		rig_receive_burst(&rig, RIG_WAN, burst, WORKER_BURST);
	}
	for (unsigned i = 0; i < 4 * WORKER_BURST; i++) {
		CU_ASSERT_TRUE_FATAL(rig_next(&rig, RIG_WAN, &talk.heard, talk.frame));
		CU_ASSERT_EQUAL(talk.heard.destination_port, 1000 + i % WORKER_BURST);
	}
	CU_ASSERT_EQUAL(rig.stats.syns, UINT64_C(4) * WORKER_BURST);
	CU_ASSERT_EQUAL(rig.stats.rx_packets[RIG_WAN], UINT64_C(4) * WORKER_BURST);
	CU_ASSERT_EQUAL(rig.stats.tx_packets[RIG_WAN], UINT64_C(4) * WORKER_BURST);
	end();
}

/* Many connections through several workers, one after another, and half of them staying. */
static void
converse(bool queue_for_each)
{
	struct flow_event event;
	unsigned owned[WORKERS] = {0};

	begin(WORKERS);
	for (unsigned i = 0; i < RIG_DEVICES && queue_for_each; i++)
		rig.devices[i].rx_queues = rig.devices[i].tx_queues = WORKERS;
	for (uint16_t i = 0; i < (uint16_t)CONNECTIONS; i++) {
		talk_init(&talk, &rig, false, i & 1);
		client->port = (uint16_t)(40000 + 7 * i);
		rig.receiver = queue_for_each ? i % WORKERS : 0;
		CU_ASSERT_TRUE_FATAL(talk_connect(&talk));
		unsigned owner = owner_of_flow();
		owned[owner]++;
		if (queue_for_each)
			CU_ASSERT_EQUAL(owner, i % WORKERS); /* who got the SYN keeps the flow */
		CU_ASSERT_TRUE(talk_exchange(&talk, 500));
		CU_ASSERT_TRUE(talk_exchange(&talk, 1000));
		CU_ASSERT_EQUAL(rig.all_stats[owner].states[FLOW_SPLICED], 1);
		CU_ASSERT_TRUE(talk_close(&talk, i & 1));
		CU_ASSERT_TRUE_FATAL(rig_event(&rig, &event));
		CU_ASSERT_EQUAL(event.worker, owner);
		CU_ASSERT_EQUAL(event.sent, TALK_HELLO + 1500);
		CU_ASSERT_EQUAL(event.received, 1500);
	}
	uint64_t sent = 0, received = 0, handed_over = 0;
	for (unsigned i = 0; i < WORKERS; i++) {
		CU_ASSERT_TRUE(owned[i] > CONNECTIONS / WORKERS / 3);
		CU_ASSERT_EQUAL(rig.all_stats[i].opened, owned[i]);
		CU_ASSERT_EQUAL(rig.all_stats[i].reasons[REASON_CLOSED], owned[i]);
		CU_ASSERT_EQUAL(rig.all_stats[i].reasons[REASON_NO_LISTENER], 0);
		sent += rig.workers[i].live[2].sent;
		received += rig.workers[i].live[2].received;
		handed_over += rig.all_stats[i].handed_over;
	}
	CU_ASSERT_EQUAL(sent, UINT64_C(1) * CONNECTIONS * (TALK_HELLO + 1500));
	CU_ASSERT_EQUAL(received, UINT64_C(1) * CONNECTIONS * 1500);
	CU_ASSERT_EQUAL(handed_over == 0, queue_for_each);
	end();
}

static void
test_one_queue(void)
{
	converse(false);
}

static void
test_queue_for_each(void)
{
	converse(true);
}

static void
test_endpoint_packets_elsewhere(void)
{
	/* With queues for each, what an endpoint sends may come to any worker: its port says whose it is. */
	begin(WORKERS);
	for (unsigned i = 0; i < RIG_DEVICES; i++)
		rig.devices[i].rx_queues = rig.devices[i].tx_queues = WORKERS;
	rig.receiver = 1;
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_EQUAL(owner_of_flow(), 1);
	for (unsigned i = 0; i < WORKERS; i++) {
		rig.receiver = i;
		talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 100);
		CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 100));
		CU_ASSERT_EQUAL(rig.all_stats[i].handed_over, i != 1);
	}
	rig.receiver = 1;
	CU_ASSERT_TRUE(talk_close(&talk, LEG_ENDPOINT));
	end();
}

/* A reload took a listener away, and packets of its connections went to the worker that its port would name if it were
 * one of ours towards an endpoint; that one had never heard of them and sent RSTs. */
static void
test_listener_goes(void)
{
	begin(WORKERS);
	for (uint16_t i = 0; i < (uint16_t)CONNECTIONS; i++) {
		rig.listen_port = 443;
		talk_init(&talk, &rig, i & 1, false);
		client->port = (uint16_t)(40000 + i);
		CU_ASSERT_TRUE_FATAL(talk_connect(&talk));
		rig.listen_port = 0;
		CU_ASSERT_TRUE(talk_exchange(&talk, 500));
		CU_ASSERT_TRUE(talk_close(&talk, i & 1));
	}
	for (unsigned i = 0; i < WORKERS; i++)
		CU_ASSERT_EQUAL(rig.all_stats[i].reasons[REASON_NO_LISTENER], 0);
	end();
}

static void
test_one_listens_for_all(void)
{
	/* Every worker asks for itself, and what the first hears all learn, and are woken for. */
	begin(WORKERS);
	bool asked[WORKERS] = {false};
	for (uint16_t i = 0; i < (uint16_t)CONNECTIONS; i++) {
		talk_init(&talk, &rig, true, true);
		client->port = (uint16_t)(40000 + i);
		CU_ASSERT_TRUE(talk_connect(&talk));
		asked[owner_of_flow()] = true;
		CU_ASSERT_EQUAL(rig.workers[owner_of_flow()].neighbours.entries[1].state, NEIGHBOUR_REACHABLE);
		talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
		CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		CU_ASSERT_TRUE(asked[i]);
		CU_ASSERT_EQUAL(rig.all_stats[i].nd_solicitations, 1);
		CU_ASSERT_EQUAL(rig.all_stats[i].nd_advertisements, 0);
	}
	rig_advance(&rig, 4016);
	end();
}

static void
test_inbox_full(void)
{
	begin(2);
	/* A client whose packets belong to the other worker. */
	do {
		client->port++;
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
		CU_ASSERT_TRUE_FATAL(talk_hear(&talk, LEG_CLIENT));
	} while (rig.all_stats[1].syns == 0);
	uint64_t syns = rig.all_stats[1].syns;
	struct rte_mbuf *rubbish;
	unsigned n = 0;
	while ((rubbish = rte_pktmbuf_alloc(rig.worker.pool)) != NULL) {
		rubbish->port = RIG_WAN;
		if (rte_ring_enqueue(rig.inboxes[1], rubbish) != 0)
			break;
		n++;
	}
	rte_pktmbuf_free(rubbish);
	rig.handed_to = 2;
	talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_HANDOVER_FULL], 1);
	CU_ASSERT_EQUAL(rig.all_stats[1].reasons[REASON_FRAME_SHORT], n);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(rig.all_stats[1].syns, syns);
	end();
}

static void
test_strangers_from_all(void)
{
	/* Each worker answers those that are its own, and nobody else's: one answer for each. */
	begin(WORKERS);
	client->gate_port = 80;
	for (uint16_t i = 0; i < 50; i++) {
		client->port = (uint16_t)(2000 + i);
		client->gate_port = (uint16_t)(80 + i);
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST | TCP_ACK);
		CU_ASSERT_TRUE(talk_silent(&talk));
	}
	for (unsigned i = 0; i < WORKERS; i++)
		CU_ASSERT_TRUE(rig.all_stats[i].rsts_sent > 10);
	end();
}

static struct rte_mbuf *to_host[8];
static unsigned n_to_host;

static uint16_t
tap_tx(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	(void)device, (void)queue;
	for (uint16_t i = 0; i < n; i++) {
		if (n_to_host == 8)
			return i;
		to_host[n_to_host++] = mbufs[i];
	}
	return n;
}

/* A frame of the conversation's that has arrived on its device. */
static struct rte_mbuf *
arrived(unsigned leg, const struct segment *segment)
{
	unsigned device = leg == LEG_CLIENT ? RIG_WAN : RIG_LAN;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rig.worker.pool);

	mbuf->data_len = rig_build(&rig, device, segment, rte_pktmbuf_mtod(mbuf, uint8_t *));
	mbuf->pkt_len = mbuf->data_len;
	CU_ASSERT_EQUAL(worker_arrived(&rig.worker, (uint8_t)device, &mbuf, 1, rig.now_ms), 1);
	return mbuf;
}

static void
test_gathered(void)
{
	/* Both directions in one round, as many as go into one; what the client ends in the middle of it is over for
	 * what the endpoint has sent behind. */
	enum { EACH = WORKER_GATHER / 2 };
	begin(1);
	CU_ASSERT_TRUE_FATAL(talk_connect(&talk));
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 1); /* the client's MAC is known from here on */
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	struct rte_mbuf *mbufs[WORKER_GATHER];
	for (uint16_t i = 0; i < EACH; i++)
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			uint8_t byte;
			talk_pattern(talk.side[leg].seq, &byte, 1);
			struct segment segment = talk_segment(&talk, leg, TCP_ACK);
			segment.payload = &byte;
			segment.payload_length = 1;
			mbufs[leg * EACH + i] = arrived(leg, &segment);
			talk.side[leg].seq++;
		}
	worker_input(&rig.worker, mbufs, WORKER_GATHER);
	worker_flush(&rig.worker);
	for (uint16_t i = 0; i < EACH; i++)
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			uint32_t expected = talk.side[leg].ack;
			CU_ASSERT_TRUE(talk_hear(&talk, leg));
			CU_ASSERT_EQUAL(talk.heard.seq, expected);
			CU_ASSERT_EQUAL(talk.heard.payload_length, 1);
		}
	CU_ASSERT_TRUE(talk_silent(&talk));

	struct segment reset = talk_segment(&talk, LEG_CLIENT, TCP_RST),
		       late = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
	mbufs[0] = arrived(LEG_ENDPOINT, &late);
	mbufs[1] = arrived(LEG_CLIENT, &reset);
	mbufs[2] = arrived(LEG_ENDPOINT, &late);
	worker_input(&rig.worker, mbufs, 3);
	worker_flush(&rig.worker);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_TRUE(talk_hear(&talk, LEG_CLIENT));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_SPLICED], 0);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	while (talk_hear(&talk, LEG_CLIENT))
		;
	rig_advance(&rig, 4016);
	end();
}

static void
test_host(void)
{
	begin(1);
	struct device tap = {.tx = tap_tx, .rx_queues = 1, .tx_queues = 1, .is_tap = true};
	rig.net.devices[rig.net.n_devices] = &tap;
	rig.net.ports[RIG_WAN].tap = rig.net.n_devices++;
	/* What has no listener is the host's, as it came; what doesn't fit is lost and counted. */
	client->gate_port = 22;
	for (unsigned i = 0; i < 10; i++)
		talk_say(&talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(n_to_host, 8);
	CU_ASSERT_EQUAL(rig.stats.to_host, 10);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TAP_FULL], 2);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_TX_FULL], 0);
	/* What the host sends goes out of the port. */
	struct rte_mbuf *mbuf = to_host[--n_to_host];
	memcpy(rte_pktmbuf_mtod(mbuf, uint8_t *) + 6, rig.devices[RIG_WAN].mac, 6);
	worker_input(&rig.worker, &mbuf, worker_arrived(&rig.worker, 2, &mbuf, 1, rig.now_ms));
	worker_flush(&rig.worker);
	CU_ASSERT_EQUAL(rig.stats.from_host, 1);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_WAN), 1);
	while (n_to_host != 0)
		rte_pktmbuf_free(to_host[--n_to_host]);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"burst", test_burst},
		{"burst of many", test_burst_of_many},
		{"both directions at once", test_gathered},
		{"host", test_host},
		{"one queue", test_one_queue},
		{"a queue for each", test_queue_for_each},
		{"endpoint's packets elsewhere", test_endpoint_packets_elsewhere},
		{"a listener goes", test_listener_goes},
		{"one listens for all", test_one_listens_for_all},
		{"inbox full", test_inbox_full},
		{"strangers", test_strangers_from_all},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("worker", tests) : 1;
}
