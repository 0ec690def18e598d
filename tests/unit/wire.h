/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker on a wire that the test holds the other end of: frames go in by wire_in, what the worker sends is in
 * wire_sent.
 *
 *   port 0  untagged  192.0.2.1/24     2001:db8::1/64      a tap (device 1)
 *   port 1  VLAN 77   198.51.100.1/24  2001:db8:77::1/64   on the same device 0
 */
#ifndef POSTERN_TESTS_UNIT_WIRE_H
#define POSTERN_TESTS_UNIT_WIRE_H

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/worker.h"
#include "tests/unit/frame.h"
#include "tests/unit/unit.h"

enum { WIRE_SENT_MAX = 512, WIRE_MBUFS = 1023, WIRE_DEVICE = 0, WIRE_TAP = 1 };

struct wire_frame {
	uint8_t device;
	uint16_t length;
	uint8_t bytes[FRAME_MAX];
};

static const uint8_t wire_mac[6] = {2, 0, 0, 0, 0, 1}, wire_peer[6] = {2, 0, 0, 0, 0, 0x99};
static const uint8_t wire_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static struct wire_frame wire_sent[WIRE_SENT_MAX];
static unsigned wire_n_sent;
static struct worker *wire_worker;
static struct net wire_net;
static struct worker_stats wire_stats;
static struct rte_ring *wire_inboxes[2];
static struct rte_mempool *wire_pool;

static inline uint16_t
wire_tx(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		struct wire_frame *frame = &wire_sent[wire_n_sent++];

		if (wire_n_sent > WIRE_SENT_MAX || mbufs[i]->data_len > FRAME_MAX)
			abort();
		frame->device = device->is_tap ? WIRE_TAP : WIRE_DEVICE;
		frame->length = mbufs[i]->data_len;
		memcpy(frame->bytes, rte_pktmbuf_mtod(mbufs[i], uint8_t *), frame->length);
		rte_pktmbuf_free(mbufs[i]);
	}
	return n;
}

static struct device wire_device = {.tx = wire_tx, .mac = {2, 0, 0, 0, 0, 1}, .tx_queues = 2};
static struct device wire_tap = {.tx = wire_tx, .mac = {2, 0, 0, 0, 0, 1}, .tx_queues = 2, .is_tap = true};

static inline struct ip_prefix
wire_prefix(const char *text)
{
	struct ip_prefix prefix;

	if (!ip_prefix_parse(text, &prefix))
		abort();
	return prefix;
}

/* Once in a process. */
static inline void
wire_open(void)
{
	static char arguments[][24] = {"test",     "--no-huge",      "-m",          "32",
				       "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=*:4"};
	char *pointers[8];

	for (unsigned i = 0; i < 8; i++)
		pointers[i] = arguments[i];
	if (rte_eal_init(8, pointers) < 0)
		abort();
	wire_pool = rte_pktmbuf_pool_create("wire", WIRE_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	wire_inboxes[0] = rte_ring_create("inbox0", 64, SOCKET_ID_ANY, 0);
	wire_inboxes[1] = rte_ring_create("inbox1", 64, SOCKET_ID_ANY, 0);
	if (!wire_pool || !wire_inboxes[0] || !wire_inboxes[1])
		abort();
}

static inline void
wire_stop(void)
{
	neighbour_table_free(&wire_worker->neighbours);
	free(wire_worker->flows.header);
	free(wire_worker);
	wire_worker = NULL;
}

/* A fresh worker at 1,000 s on its clock; tables empty. */
static inline void
wire_start(void)
{
	static struct conf conf;
	struct device *devices[] = {&wire_device, &wire_device}, *taps[] = {&wire_tap, NULL};
	static const uint64_t secret[3] = {1, 2, 3};
	size_t bytes = flow_table_bytes(64);
	void *memory = aligned_alloc(64, bytes);

	wire_worker = calloc(1, sizeof(*wire_worker));
	if (wire_worker == NULL || memory == NULL)
		abort();
	memset(memory, 0, bytes);
	memset(&wire_stats, 0, sizeof(wire_stats));
	conf = (struct conf){.n_ports = 2};
	conf.ports[0] = (struct conf_port){.mtu = 1500,
					   .n_addresses = 2,
					   .addresses = {wire_prefix("192.0.2.1/24"), wire_prefix("2001:db8::1/64")}};
	conf.ports[1] =
		(struct conf_port){.mtu = 1500,
				   .vlan = 77,
				   .n_addresses = 2,
				   .addresses = {wire_prefix("198.51.100.1/24"), wire_prefix("2001:db8:77::1/64")}};
	net_init(&wire_net, &conf, devices, taps);
	wire_worker->n_workers = 1;
	wire_worker->net = &wire_net;
	wire_worker->conf = &conf;
	wire_worker->pool = wire_pool;
	wire_worker->stats = &wire_stats;
	wire_worker->inboxes = wire_inboxes;
	wire_worker->now_ms = 1000000;
	wire_worker->clock_ms = 1000000;
	wire_worker->neighbour_tick_ms = 1000000;
	wire_worker->isn_secret[0] = 0x1234567890abcdef;
	flow_table_init(&wire_worker->flows, memory, 64, secret);
	timer_wheel_init(&wire_worker->wheel, wire_worker->clock_ms);
	if (!neighbour_table_init(&wire_worker->neighbours, 64))
		abort();
	wire_n_sent = 0;
}

static inline void
wire_flush(void)
{
	worker_flush(wire_worker);
}

/* Lets ms pass, 50 at a time. */
static inline void
wire_pass(unsigned ms)
{
	for (; ms > 0; ms -= 50) {
		worker_time(wire_worker, wire_worker->now_ms + 50);
		wire_flush();
	}
}

static inline struct rte_mbuf *
wire_mbuf(const uint8_t *bytes, uint32_t length)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(wire_pool);
	char *data = mbuf ? rte_pktmbuf_append(mbuf, (uint16_t)length) : NULL;

	if (data == NULL)
		abort();
	memcpy(data, bytes, length);
	return mbuf;
}

/* A frame arrives at device 0. What was sent before is forgotten. Returns what was sent. */
static inline unsigned
wire_in(const uint8_t *bytes, uint32_t length)
{
	struct rte_mbuf *mbuf = wire_mbuf(bytes, length);

	wire_n_sent = 0;
	worker_input(wire_worker, &mbuf, worker_arrived(wire_worker, WIRE_DEVICE, &mbuf, 1, wire_worker->now_ms));
	wire_flush();
	return wire_n_sent;
}

/* All packet buffers are back: to be asked after wire_stop. */
static inline bool
wire_is_clean(void)
{
	return rte_mempool_avail_count(wire_pool) == WIRE_MBUFS;
}

#endif
