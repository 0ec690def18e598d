/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/timers.h"

#include "perf/loadgen/conn.h"

/* a before b, on a clock of 16 bits. */
static bool
before(uint16_t a, uint16_t b)
{
	return (int16_t)(a - b) < 0;
}

void
timers_init(struct timers *timers, struct conn *conns, uint16_t tick)
{
	timers->conns = conns;
	timers->tick = tick;
	for (uint32_t i = 0; i < TIMERS_SLOTS; i++)
		timers->heads[i] = TIMERS_NONE;
}

static void
enter(struct timers *timers, uint32_t index, uint16_t tick)
{
	struct conn *conn = &timers->conns[index];
	uint32_t *head = &timers->heads[tick % TIMERS_SLOTS];

	conn->slot = tick;
	conn->next = *head;
	conn->previous = TIMERS_NONE;
	if (*head != TIMERS_NONE)
		timers->conns[*head].previous = index;
	*head = index;
	conn->flags |= CONN_TIMER_ENTERED;
}

static void
leave(struct timers *timers, uint32_t index)
{
	struct conn *conn = &timers->conns[index];

	if (conn->previous == TIMERS_NONE)
		timers->heads[conn->slot % TIMERS_SLOTS] = conn->next;
	else
		timers->conns[conn->previous].next = conn->next;
	if (conn->next != TIMERS_NONE)
		timers->conns[conn->next].previous = conn->previous;
	conn->flags &= (uint8_t)~CONN_TIMER_ENTERED;
}

void
timers_set(struct timers *timers, uint32_t index, uint16_t tick)
{
	struct conn *conn = &timers->conns[index];

	if (before(tick, timers->tick))
		tick = timers->tick;
	conn->due = tick;
	conn->flags |= CONN_TIMER_SET;
	if ((conn->flags & CONN_TIMER_ENTERED) != 0) {
		if (!before(tick, conn->slot))
			return;
		leave(timers, index);
	}
	enter(timers, index, tick);
}

void
timers_clear(struct timers *timers, uint32_t index)
{
	timers->conns[index].flags &= (uint8_t)~CONN_TIMER_SET;
}

void
timers_run(struct timers *timers, uint16_t now, void (*fire)(void *context, uint32_t index), void *context)
{
	unsigned fired = 0;

	for (; before(timers->tick, now); timers->tick++) {
		uint32_t *head = &timers->heads[timers->tick % TIMERS_SLOTS];
		/* What fires sets its timer to this tick + 1 at the earliest, or the loop wouldn't end. */
		uint16_t tick = timers->tick;
		while (*head != TIMERS_NONE) {
			uint32_t index = *head;
			struct conn *conn = &timers->conns[index];
			leave(timers, index);
			if ((conn->flags & CONN_TIMER_SET) == 0)
				continue;
			if (conn->due != tick) {
				enter(timers, index, conn->due);
				continue;
			}
			conn->flags &= (uint8_t)~CONN_TIMER_SET;
			timers->tick = (uint16_t)(tick + 1);
			fire(context, index);
			timers->tick = tick;
			if (++fired == TIMERS_BURST)
				return;
		}
	}
}
