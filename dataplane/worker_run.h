/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a forwarding core around worker.h: receive, take what others handed over, timers, transmit; and how it
 * sleeps.
 *
 * Back-off. A loop that finds nothing goes on for a while, in case the next packet is near (backoff.h). Then the worker
 * goes to sleep on the descriptors of its devices (port_wakeup_fds) and its own (other workers and control wake it by
 * that), until something comes or the next timer is due. Devices without a descriptor (memif, ring) are looked after
 * every BACKOFF_NAP_MIN_US to BACKOFF_NAP_MAX_US instead. What other threads have for the gateway's part of a worker
 * (hooks.poll) is asked for in every loop, and once more before it sleeps; they wake it by worker_run_wake after they
 * have put it where it is looked for.
 *
 * Reclamation. The worker reports a quiescent state in every loop, and is offline while it sleeps, so what control has
 * replaced (a snapshot) can be freed as soon as all have passed one (rte_rcu_qsbr).
 */
#ifndef POSTERN_DATAPLANE_WORKER_RUN_H
#define POSTERN_DATAPLANE_WORKER_RUN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "dataplane/worker.h"

struct rte_rcu_qsbr;
struct text;

enum { RUN_SLEEP_MAX_MS = 200 };

struct worker_run {
	struct worker *worker;
	struct rte_rcu_qsbr *qsbr;
	struct worker_run *all; /* of every worker, by id: to wake those that something was handed to */
	atomic_bool stop;
	atomic_bool keeps; /* set before stop: flows stay as they are, for the next process to adopt */
	atomic_bool sleeping;
	int wake_fd; /* eventfd */
	int epoll_fd;
	bool naps; /* one of its devices has no descriptor to wait on */
};

/* Makes the descriptors. The worker's devices are open. False, with a line in error, when the system gives none. */
bool worker_run_init(struct worker_run *run, struct worker *worker, struct rte_rcu_qsbr *qsbr, struct worker_run *all,
		     struct text *error);
void worker_run_close(struct worker_run *run);

/* The loop itself, for rte_eal_remote_launch; argument: struct worker_run. Returns 0 once stop is set. */
int worker_run(void *argument);

/* Ends a worker's sleep; harmless when it is awake. From any thread. */
void worker_run_wake(struct worker_run *run);

#endif
