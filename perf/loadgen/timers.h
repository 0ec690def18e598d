/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One timer for each connection: a ring of slots, each a list of those that fire in one tick.
 *
 * A timer is set far more often than it fires, nearly always to later than it is. So it stays in its slot then, and
 * only when that comes round is it moved to where it is wanted. Ticks are 16 bits wide and wrap; a timer is set at most
 * TIMERS_SLOTS - 1 ticks ahead.
 */
#ifndef POSTERN_PERF_LOADGEN_TIMERS_H
#define POSTERN_PERF_LOADGEN_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct conn;

enum { TIMERS_SLOTS = 16384, TIMERS_TICK_MS = 4, TIMERS_BURST = 32, TIMERS_NONE = UINT32_MAX };

struct timers {
	struct conn *conns;
	uint16_t tick; /* the next one to be run */
	uint32_t heads[TIMERS_SLOTS];
};

void timers_init(struct timers *timers, struct conn *conns, uint16_t tick);
void timers_set(struct timers *timers, uint32_t index, uint16_t tick);
void timers_clear(struct timers *timers, uint32_t index);

/* Calls fire for each timer that is due at a tick before `now`, TIMERS_BURST of them at most: what a hundred thousand
 * connections want to send at the same tick goes out among what comes in, not before it. The rest is done by the next
 * calls. fire may set and clear any. */
void timers_run(struct timers *timers, uint16_t now, void (*fire)(void *context, uint32_t index), void *context);

#endif
