/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of bytes in packet buffers: what a connection has received and nobody has taken yet, what it is to send, what
 * lies between a TLS session and its sockets.
 *
 *   head ─▶ mbuf ─next─▶ mbuf ─next─▶ … tail          each with data_len > 0; a queue without bytes has no mbufs
 *
 * The mbufs are linked by `next` and stay packets of one segment each (nb_segs 1, pkt_len of no meaning): a queue is
 * not a chain in DPDK's sense, and rte_pktmbuf_free must never see one that is still linked.
 *
 * What is appended to a queue becomes its own. A buffer whose bytes fit behind those of the tail is copied there and
 * freed, so that two neighbours hold more than one buffer's room between them: somebody who sends a byte a segment
 * doesn't pin 2 KiB with each. What is larger isn't copied.
 *
 * A queue belongs to one thread at a time. The buffers may be taken from the pool on one thread and given back on
 * another: the pool has many producers and consumers, and a thread that isn't DPDK's own has just no cache in it.
 */
#ifndef POSTERN_DATAPLANE_MBUF_QUEUE_H
#define POSTERN_DATAPLANE_MBUF_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/* All zero: empty. */
struct mbuf_queue {
	struct rte_mbuf *head, *tail;
	uint32_t bytes, mbufs;
};

/* Adds the bytes of an mbuf of one segment, which it takes; one without bytes is freed. */
void mbuf_queue_append(struct mbuf_queue *queue, struct rte_mbuf *mbuf);
/* Copies n bytes behind the last one: into the tail's room first, then into fresh mbufs. Returns how many: less than n
 * when the pool is empty. */
uint32_t mbuf_queue_write(struct mbuf_queue *queue, struct rte_mempool *pool, const void *bytes, uint32_t n);
/* Copies the first n bytes out and drops them. Returns how many: less than n when there are no more. */
uint32_t mbuf_queue_read(struct mbuf_queue *queue, void *to, uint32_t n);
/* The same for n bytes from offset on, which stay. */
uint32_t mbuf_queue_peek(const struct mbuf_queue *queue, uint32_t offset, void *to, uint32_t n);
/* Drops the first n bytes, or all when there are less. */
void mbuf_queue_drop(struct mbuf_queue *queue, uint32_t n);
/* Moves all of from behind the last byte of to. Costs nothing that grows with the number of bytes. */
void mbuf_queue_move(struct mbuf_queue *to, struct mbuf_queue *from);
/* Moves whole mbufs, until n bytes or more are moved or from is empty. Returns how many bytes: less than one mbuf
 * over n at most. */
uint32_t mbuf_queue_move_some(struct mbuf_queue *to, struct mbuf_queue *from, uint32_t n);
/* Gives all mbufs back. */
void mbuf_queue_clear(struct mbuf_queue *queue);

/* Copies n bytes that begin offset bytes behind the first one of mbuf, and go on in those that it links to. They must
 * be there. */
void mbuf_queue_copy(const struct rte_mbuf *mbuf, uint32_t offset, void *to, uint32_t n);

static inline bool
mbuf_queue_is_empty(const struct mbuf_queue *queue)
{
	return queue->bytes == 0;
}

#endif
