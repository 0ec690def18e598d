/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker's timers: a hierarchical timing wheel of 32-bit indices linked through the flow records themselves.
 *
 * Three levels of 256 slots: 8 ms, 2.048 s and 8.7 min wide; what lies beyond 37 h waits in the last slot and is put in
 * again. A timer fires at or after its time, never before it, and at most one slot of the first level (8 ms) late once
 * timer_wheel_run is called with budget to spare. Start, stop and a tick cost O(1); the wheel itself is 3 kB.
 *
 * A record has one timer. What it means follows from the record's state; the worker decides (worker.c).
 */
#ifndef POSTERN_DATAPLANE_TIMER_WHEEL_H
#define POSTERN_DATAPLANE_TIMER_WHEEL_H

#include <stdint.h>

#include "dataplane/flow_table.h"

enum { TIMER_LEVELS = 3, TIMER_SLOTS = 256, TIMER_TICK_MS = 8 };

struct timer_wheel {
	uint32_t now_tick; /* the tick that is being run, or was run last: ms / TIMER_TICK_MS, so modulo 2^29 */
	uint32_t now_ms;   /* time of the last run; modulo 2^32 */
	uint32_t armed;    /* timers running */
	uint32_t slot[TIMER_LEVELS][TIMER_SLOTS];          /* first flow of each slot's list */
	uint64_t occupied[TIMER_LEVELS][TIMER_SLOTS / 64]; /* a bit for each slot whose list isn't empty */
};

void timer_wheel_init(struct timer_wheel *wheel, uint32_t now_ms);

/* Arms index's timer for at_ms (worker clock, ms modulo 2^32, at most 2^31 ms ahead of the last run; everything else is
 * past, and fires with the next tick); a running one is moved. */
void timer_wheel_start(struct timer_wheel *wheel, struct flow_table *table, uint32_t index, uint32_t at_ms);
/* Harmless when the timer isn't running. */
void timer_wheel_stop(struct timer_wheel *wheel, struct flow_table *table, uint32_t index);

/* Fires what is due at now_ms: each timer is stopped, then fire is called, which may start and stop any timer, its own
 * included, and release its record. At most budget timers are fired, or moved to a finer level, in one call, so that no
 * call takes long even when a million expire at once; the rest are found by the next, and timer_wheel_sleep is 0 until
 * then. A now_ms up to a minute before that of the last run counts as that. Returns how many were fired, which is
 * below budget when timers were only moved. */
unsigned timer_wheel_run(struct timer_wheel *wheel, struct flow_table *table, uint32_t now_ms, unsigned budget,
			 void (*fire)(void *context, uint32_t index), void *context);

/* Milliseconds until something may be due, at most limit: how long a worker may sleep. */
uint32_t timer_wheel_sleep(const struct timer_wheel *wheel, uint32_t now_ms, uint32_t limit);

#endif
