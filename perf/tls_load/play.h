/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The course of a run: which clients begin when, and what is counted.
 *
 *	OPENING ──▶ WARMING ──▶ MEASURING ──▶ ASKING ──▶ OVER
 *	connections             figures        hold: is
 *	that stay                              each there?
 */
#ifndef POSTERN_PERF_TLS_LOAD_PLAY_H
#define POSTERN_PERF_TLS_LOAD_PLAY_H

#include "perf/tls_load/end.h"

enum { PLAY_CLIENTS_MAX = 65536, PLAY_SAMPLES_MAX = 1 << 20 };

enum play_mode { PLAY_CONNECT, PLAY_EXCHANGE, PLAY_BULK, PLAY_HOLD, PLAY_MODES };

struct play_options {
	enum play_mode mode;
	struct sockaddr_in target;
	double rate; /* connections or requests a second; 0: as they go */
	double seconds, warmup;
	unsigned at_a_time;   /* connections that are being opened; or made, without a rate */
	unsigned connections; /* that stay, 1..PLAY_CLIENTS_MAX */
};

/* Of the time that was measured, where nothing else is said. */
struct play_result {
	double seconds, cpu_s, tsc_hz;
	uint64_t done, payload;
	uint64_t outcomes[END_OUTCOMES], outcomes_of_all[END_OUTCOMES]; /* of all: of the whole run */
	uint64_t stuck; /* requests without a reply for too long, in the end */
	unsigned opened, still_there;
	uint32_t samples[PLAY_SAMPLES_MAX]; /* latencies, us, the first n_samples */
	unsigned n_samples;
};

/* Fills plan's payload, answered, gone and endless, and plays. Accepts from listen_fd, which is in plan's epoll with
 * data NULL. The result is static. */
const struct play_result *play(const struct play_options *options, struct end_plan *plan, int listen_fd);

#endif
