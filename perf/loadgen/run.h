/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: receives on both sides, begins what is to begin, sends; and keeps account of itself, so that the generator
 * is never mistaken for the subject's limit.
 */
#ifndef POSTERN_PERF_LOADGEN_RUN_H
#define POSTERN_PERF_LOADGEN_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "perf/loadgen/link.h"
#include "perf/loadgen/play.h"
#include "perf/loadgen/tcp.h"

/* Frames received at a time. Of more than 32, net_memif (DPDK 22.11) loses the rest. */
enum { RUN_BURST = 32 };

/* What the generator itself did while it measured. */
struct run_load {
	uint64_t cycles, busy_cycles; /* all, and those of rounds that found something to do */
	uint64_t bursts, full_bursts; /* received with something in them; as much as is taken at once: more was there */
	double cpu_s, wall_s;         /* of the thread: the rest somebody else had the core */
};

/* All that is counted, as it is at a time, or as it grew between two. */
struct run_counts {
	struct link_stats links[TCP_SIDES];
	struct tcp_stats tcp[TCP_SIDES];
	struct run_load load;
};

struct run {
	struct link links[TCP_SIDES];
	struct tcp tcp;
	struct play play;
	struct run_load load;
	struct run_counts before, measured;
	uint32_t sampled;
};

/* Waits until the subject's MAC is known on the wan, and on the lan too when lan_subject isn't 0. False, and said on
 * standard error, when it doesn't answer for seconds. subject and lan_subject: its addresses, network order. */
bool run_find_subject(struct run *run, uint32_t subject, uint32_t lan_subject, volatile const sig_atomic_t *stop);

/* Plays to the end, or until *stop. run->measured is what was counted while measuring. */
void run_play(struct run *run, volatile const sig_atomic_t *stop);

/* Adds what happened between two readings of the same counters: after - before, each field a uint64_t or a double. */
struct run_counts run_counts_between(const struct run_counts *before, const struct run_counts *after);

/* Why the result may be the generator's limit rather than the subject's; NULL: it isn't. */
const char *run_saturation(const struct run_counts *measured);

#endif
