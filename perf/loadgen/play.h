/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients and servers say, and when: the generator's modes.
 *
 *	connect    a client connects, sends its ClientHello, awaits the reply, and closes; then the next does
 *	hold       all connect, and keep still; at the end each is asked once, to see that it's still there
 *	exchange   all connect; then requests are made over them, one at a time on each, in an order drawn once
 *	bulk       all connect; then one side or both send without end
 *
 * Closed loop: so many are under way at a time, and the next begins when one is over: finds the subject's maximum. Open
 * loop: one begins every 1/rate seconds whatever became of the others, and its time counts from when it was due, also
 * when the generator, or a subject that holds all connections up, made it wait: no coordinated omission.
 *
 *	OPENING ─▶ WARMING ─▶ MEASURING ─▶ ENDING ─▶ OVER        (connect begins with WARMING, hold skips it)
 */
#ifndef POSTERN_PERF_LOADGEN_PLAY_H
#define POSTERN_PERF_LOADGEN_PLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "perf/loadgen/histogram.h"
#include "perf/loadgen/tcp.h"

enum play_mode { PLAY_CONNECT, PLAY_HOLD, PLAY_EXCHANGE, PLAY_BULK };
enum play_closer { PLAY_CLOSE_CLIENT, PLAY_CLOSE_SERVER, PLAY_CLOSE_RESET };
enum { PLAY_DOWN = 1, PLAY_UP = 2 }; /* server to client; client to server */

struct play_config {
	enum play_mode mode;
	enum play_closer closer;
	uint8_t directions;   /* of bulk */
	uint32_t connections; /* at a time at most; all modes but connect make that many */
	uint32_t at_a_time;   /* under way in a closed loop, and while opening and closing */
	double rate;          /* begun per second; 0: closed loop */
	uint32_t warmup_ms, measure_ms;
	uint32_t hello, reply;      /* bytes */
	uint32_t request, response; /* bytes, of an exchange */
};

enum play_phase { PLAY_OPENING, PLAY_WARMING, PLAY_MEASURING, PLAY_ENDING, PLAY_OVER };

struct play {
	struct play_config config;
	struct tcp *tcp;
	uint64_t hz, now; /* of the TSC, and its value when play_run or play_now was called last */
	enum play_phase phase;
	uint64_t phase_began;
	uint64_t due, period; /* open loop: when the next is due; cycles between two */
	uint32_t cursor;      /* the client that was looked at last for a free one */
	uint32_t under_way;   /* clients that connect, await an answer, or (connect) close */
	uint32_t open;        /* clients that have had their first answer and are still there */
	uint32_t unopened;    /* attempts that failed while opening */
	uint32_t *idle;       /* clients that may be asked: a queue of config.connections, from idle_head */
	uint32_t idle_head, n_idle;
	uint32_t n_aborted;   /* clients that were looked at to be cut off at the end */
	uint32_t still_there; /* hold: answered at the end */

	/* Of MEASURING, but opening_*. */
	uint64_t begun, done; /* done: connections closed in order, or exchanges */
	uint64_t opening_cycles, measured_cycles;
	uint32_t opened;          /* connections that OPENING made */
	uint64_t late_max;        /* open loop: cycles that one that could begin began after it was due, at most */
	struct histogram answers; /* from due (or, closed loop, begun) to the answer being there */
};

void play_init(struct play *play, const struct play_config *config, struct tcp *tcp, uint64_t hz, uint64_t now);

/* What tcp_init wants. */
struct tcp_hooks play_hooks(struct play *play);

/* The time, before input is given to tcp. */
static inline void
play_now(struct play *play, uint64_t now)
{
	play->now = now;
}

/* Begins what is to begin by now. Returns how many did. */
uint32_t play_run(struct play *play, uint64_t now);

/* No more is begun or measured. */
void play_stop(struct play *play);

const char *play_mode_text(enum play_mode mode);

#endif
