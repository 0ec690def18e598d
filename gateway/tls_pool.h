/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshake threads: they do the asymmetric cryptography, so that no packet waits behind a signature.
 *
 *   worker 0 ──begun, new──▶ ┌──────────────────┐ ──responses──▶ worker 0
 *   worker 1 ──begun, new──▶ │ handshake thread │ ──responses──▶ worker 1      a lane for each worker and thread
 *                            └──────────────────┘
 *
 * A session is handed over whole, and comes back after one step: as far as the peer's bytes went. Each ring has one
 * producer and one consumer, so that nobody waits for a handshake thread that is preempted in the middle of an
 * operation. A session stays with the thread that took its first step: its contexts are there. New ones go to the
 * thread with the least to do.
 *
 * Bounded. A worker may have `requests` sessions away at each thread, three quarters of them new. What is above that is
 * shed: tls_pool_submit says false. Once a queue is half full, each source (tls_session.source: a hash of the client's
 * address) may have an eighth of it in new ones, so that one address can't keep the others out. A step of a handshake
 * that has begun goes before a new one, since what was spent on it would be lost; the rest is served in order, workers
 * in turn. Sessions whose connection is gone (tls_session.gone) go back without a step, so that the queue costs time
 * only for peers that still wait.
 *
 * Sleep. A thread that has nothing to do sleeps on an eventfd; a worker that hands over something wakes it. In turn the
 * thread wakes a worker that sleeps (options.wake). Threads are pinned to a core and run at a lower priority (nice)
 * than control, which they share it with.
 */
#ifndef POSTERN_GATEWAY_TLS_POOL_H
#define POSTERN_GATEWAY_TLS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/tls_engine.h"
#include "gateway/tls_session.h"
#include "platform/conf.h"

struct tls_pool;
struct rte_mempool;
struct text;

enum { TLS_THREADS_MAX = CONF_HANDSHAKE_THREADS_MAX, TLS_POOL_WORKERS_MAX = CONF_WORKERS_MAX };

struct tls_pool_options {
	unsigned n_threads; /* 1..TLS_THREADS_MAX */
	unsigned n_workers; /* 1..TLS_POOL_WORKERS_MAX */
	unsigned requests;  /* of each worker at each thread; a power of two, 4..65536 */
	int core;           /* of all threads; -1: not pinned */
	int nice;           /* added to the process's, 0..19 */
	const struct tls_hooks *hooks;
	void (*wake)(void *context, unsigned worker); /* from a handshake thread: worker_run_wake */
	void *wake_context;
};

/* Of one thread, or of all. */
struct tls_pool_stats {
	uint64_t steps, gone, sleeps;
	uint64_t wait_us, busy_us; /* in the queue, and in steps: sums over all of them */
};

/* Starts the threads. Needs DPDK (mbufs). NULL, with a line in error. */
struct tls_pool *tls_pool_start(const struct tls_pool_options *options, struct text *error);
/* No worker runs any more. Ends the threads after the step that they are in. What is still away comes back from
 * tls_pool_collect, TLS_FAILED with REASON_SHUTDOWN. */
void tls_pool_stop(struct tls_pool *pool);
/* After tls_pool_stop, when everything has been collected and all sessions are closed. */
void tls_pool_free(struct tls_pool *pool);

/* Worker: one step for this session, please. Takes spare buffers for what it will say from io->pool. False: shed,
 * nothing has changed; count REASON_TLS_SHED and end the connection. */
bool tls_pool_submit(struct tls_pool *pool, unsigned worker, struct tls_session *session, struct tls_io *io);
/* Worker, once a loop: what has come back. Returns how many, up to max. A session that is gone is among them: its
 * owner's record may be freed then. */
unsigned tls_pool_collect(struct tls_pool *pool, unsigned worker, struct tls_session **sessions, unsigned max);

/* What the pool has to do at the moment. */
struct tls_pool_load {
	uint32_t away, queued; /* handed over and not back; of those, waiting for their step */
	uint32_t capacity;     /* that so many may be away, from all workers and at all threads */
};
/* Any thread, relaxed. pool may be NULL, as below. */
void tls_pool_load(const struct tls_pool *pool, struct tls_pool_load *load);
/* Any thread: sums over all threads, relaxed. */
void tls_pool_stats(const struct tls_pool *pool, struct tls_pool_stats *stats, struct tls_engine_stats *engines);

#endif
