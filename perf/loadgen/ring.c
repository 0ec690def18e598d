/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/ring.h"

#include <rte_ring.h>
#include <string.h>

enum { RING_SIZE = 1024 };

/* What a device reads from and writes to. */
struct ends {
	struct rte_ring *in, *out;
};

static uint16_t
receive(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	const struct ends *ends = device->context;

	(void)queue;
	return (uint16_t)rte_ring_sc_dequeue_burst(ends->in, (void **)mbufs, n, NULL);
}

static uint16_t
send(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	const struct ends *ends = device->context;

	(void)queue;
	return (uint16_t)rte_ring_sp_enqueue_burst(ends->out, (void *const *)mbufs, n, NULL);
}

bool
ring_open(struct device pair[2])
{
	static struct ends ends[2];
	struct rte_ring *a = rte_ring_create("pair-a", RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	struct rte_ring *b = rte_ring_create("pair-b", RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);

	if (a == NULL || b == NULL)
		return false;
	ends[0] = (struct ends){a, b};
	ends[1] = (struct ends){b, a};
	for (unsigned i = 0; i < 2; i++) {
		pair[i] =
			(struct device){.rx = receive, .tx = send, .context = &ends[i], .rx_queues = 1, .tx_queues = 1};
		memcpy(pair[i].mac, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
	}
	return true;
}
