/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread's event loop: one libuv loop with signals, a tick, and systemd's watchdog. What else the main thread
 * does (sockets, timers) it adds to uv itself.
 */
#ifndef POSTERN_PLATFORM_LOOP_H
#define POSTERN_PLATFORM_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "platform/notify.h"

enum { LOOP_SIGNALS = 5 };

/* All are called on the main thread. */
struct loop_callbacks {
	void *context;
	/* SIGTERM or SIGINT. The loop goes on, for draining, until loop_stop. Called again for each further signal. */
	void (*stop)(void *context);
	void (*reload)(void *context);  /* SIGHUP */
	void (*leave)(void *context);   /* SIGQUIT: make room for a successor at once */
	void (*upgrade)(void *context); /* SIGUSR2: replace the program */
	void (*tick)(void *context);
	/* Whether all workers have moved since the last time it was asked. When not, systemd isn't told that all is
	 * well, and restarts the process after its time-out. */
	bool (*healthy)(void *context);
};

struct loop {
	uv_loop_t uv;
	uv_signal_t signals[LOOP_SIGNALS];
	uv_timer_t tick, watchdog;
	struct loop_callbacks callbacks;
	const struct notify *notify;
	bool unhealthy; /* already said in the log */
};

/* Prepares loop: signals are caught from here on, those too that were blocked until now, and SIGPIPE is ignored. The
 * tick comes every tick_ms. notify must outlive the loop. loop doesn't move in memory until loop_close. Returns 0 or a
 * libuv error (uv_strerror); then nothing is open. */
int loop_open(struct loop *loop, const struct loop_callbacks *callbacks, const struct notify *notify, uint64_t tick_ms);

/* The signals that a loop catches. */
void loop_signals(sigset_t *set);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);

/* Lets loop_run return, from a callback or from before it. */
void loop_stop(struct loop *loop);

/* Closes the loop's own handles and the loop. The others' are closed by then, or closing. */
void loop_close(struct loop *loop);

#endif
