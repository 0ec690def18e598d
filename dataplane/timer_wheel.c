/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it works
 *
 * Time is cut into ticks of 8 ms. A timer is due at the first tick that begins at or after its time. How far ahead that
 * is decides the level whose slot keeps it, and the tick's own digits (base 256) decide the slot:
 *
 *   ticks ahead     level   slot is digit    emptied at
 *   0 … 255           0     tick & 255       the tick itself: its timers fire
 *   … 2^16 − 1        1     tick >> 8        the tick at which the digit comes up, into level 0
 *   … 2^24 − 1        2     tick >> 16       likewise, into levels 0 and 1; what is due still later goes back to level
 * 2
 *
 * A slot is never of two rounds at once: what lands in the slot of the current digit was at least a whole level's width
 * ahead less the part of it that has passed, so it comes up exactly one round later.
 *
 * Bitmaps tell which slots hold anything, so the next tick at which there is something to do is found with a few
 * instructions, however far away it is: after an hour's suspension a run takes as long as the timers that fire.
 *
 * A tick that ran out of budget stays the current one, and the next run goes on with it: whatever has to be done at a
 * tick is read from its slots, which are emptied on the way.
 *
 * Lists are doubly linked through the records. The first one of a list has, in place of the previous record, the slot
 * that it hangs from.
 */
#include "dataplane/timer_wheel.h"

#include <string.h>

enum {
	LEVEL_BITS = 8, /* log2 of TIMER_SLOTS */
	SLOT_MASK = TIMER_SLOTS - 1,
	TICK_MASK = (1 << 29) - 1, /* 2^32 ms are 2^29 ticks of 8 */
	BEYOND = 1 << (TIMER_LEVELS * LEVEL_BITS)
};

static_assert(TIMER_SLOTS == 1 << LEVEL_BITS, "a slot for each value of a digit");

/* Marks timer_prev as naming a slot (level << LEVEL_BITS | slot); record indices are below 2^31 (flow_ref). */
static const uint32_t SLOT_LINK = 1U << 31;
static const uint32_t AHEAD_MAX_MS = 1U << 31;
/* A clock that seems to go back further than this has gone forward instead, by more than half of its range. */
static const uint32_t BACKWARDS_MAX_MS = 60 * 1000;

static uint32_t
ticks_between(uint32_t from, uint32_t to)
{
	return (to - from) & TICK_MASK;
}

static void
list_set_first(struct timer_wheel *wheel, struct flow *flows, uint32_t link, uint32_t index)
{
	unsigned level = (link & ~SLOT_LINK) >> LEVEL_BITS, slot = link & SLOT_MASK;
	uint64_t bit = 1ULL << (slot & 63);

	wheel->slot[level][slot] = index;
	if (index != FLOW_NONE) {
		flows[index].timer_prev = link;
		wheel->occupied[level][slot / 64] |= bit;
	} else {
		wheel->occupied[level][slot / 64] &= ~bit;
	}
}

static void
list_remove(struct timer_wheel *wheel, struct flow *flows, uint32_t index)
{
	uint32_t next = flows[index].timer_next, prev = flows[index].timer_prev;

	if (prev & SLOT_LINK) {
		list_set_first(wheel, flows, prev, next);
		return;
	}
	flows[prev].timer_next = next;
	if (next != FLOW_NONE)
		flows[next].timer_prev = prev;
}

/* Hangs the record in the slot of the tick that is ahead ticks after the current one. */
static void
list_add(struct timer_wheel *wheel, struct flow *flows, uint32_t index, uint32_t ahead)
{
	unsigned level = 0;
	uint32_t slot, first;

	if (ahead >= BEYOND)
		ahead = BEYOND - 1;
	while (ahead >> ((level + 1) * LEVEL_BITS))
		level++;
	slot = (wheel->now_tick + ahead) >> (level * LEVEL_BITS) & SLOT_MASK;
	first = wheel->slot[level][slot];
	flows[index].timer_next = first;
	if (first != FLOW_NONE)
		flows[first].timer_prev = index;
	list_set_first(wheel, flows, SLOT_LINK | level << LEVEL_BITS | slot, index);
}

void
timer_wheel_init(struct timer_wheel *wheel, uint32_t now_ms)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->now_ms = now_ms;
	wheel->now_tick = now_ms / TIMER_TICK_MS;
}

/* The first tick that begins at or after at_ms. */
static uint32_t
due_tick(uint32_t at_ms)
{
	return (at_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS & TICK_MASK;
}

void
timer_wheel_start(struct timer_wheel *wheel, struct flow_table *table, uint32_t index, uint32_t at_ms)
{
	struct flow *flow = &table->flows[index];
	uint32_t ahead;

	timer_wheel_stop(wheel, table, index);
	/* The current tick's slot is being emptied or has been, so the earliest is the next tick. Against now_ms and
	 * not the tick: during a run that catches up, the tick is older than the clock that at_ms was taken from. */
	ahead = at_ms - wheel->now_ms > AHEAD_MAX_MS ? 0 : ticks_between(wheel->now_tick, due_tick(at_ms));
	flow->timer_at = at_ms;
	flow->timer_armed = 1;
	wheel->armed++;
	list_add(wheel, table->flows, index, ahead ? ahead : 1);
}

void
timer_wheel_stop(struct timer_wheel *wheel, struct flow_table *table, uint32_t index)
{
	struct flow *flow = &table->flows[index];

	if (!flow->timer_armed)
		return;
	list_remove(wheel, table->flows, index);
	flow->timer_armed = 0;
	wheel->armed--;
}

/* Slots from `from` to the next that is occupied, 1..TIMER_SLOTS, the round of from itself being last; 0: none is. */
static unsigned
slots_ahead(const uint64_t occupied[TIMER_SLOTS / 64], unsigned from)
{
	unsigned start = (from + 1) & SLOT_MASK;
	uint64_t word = occupied[start / 64] >> (start & 63);

	if (word)
		return 1 + (unsigned)__builtin_ctzll(word);
	/* The last round looks at start's own word again, for the slots before start. */
	for (unsigned i = 1; i <= TIMER_SLOTS / 64; i++) {
		word = occupied[(start / 64 + i) % (TIMER_SLOTS / 64)];
		if (word)
			return 1 + i * 64 - (start & 63) + (unsigned)__builtin_ctzll(word);
	}
	return 0;
}

/* Ticks from the current one to the next at which a slot must be emptied; TICK_MASK when there is none. */
static uint32_t
next_work(const struct timer_wheel *wheel)
{
	uint32_t nearest = TICK_MASK;

	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		unsigned shift = level * LEVEL_BITS;
		uint32_t digit = wheel->now_tick >> shift;
		unsigned slots = slots_ahead(wheel->occupied[level], digit & SLOT_MASK);
		uint32_t ahead = ((digit + slots) << shift) - wheel->now_tick;

		if (slots && ahead < nearest)
			nearest = ahead;
	}
	return nearest;
}

/* Whether the slot of level belongs to the current tick, that is, the digits below it are all zero. */
static bool
comes_up(const struct timer_wheel *wheel, unsigned level)
{
	return !(wheel->now_tick & ((1U << (level * LEVEL_BITS)) - 1));
}

static const uint32_t *
current_slot(const struct timer_wheel *wheel, unsigned level)
{
	return &wheel->slot[level][wheel->now_tick >> (level * LEVEL_BITS) & SLOT_MASK];
}

/* Takes the first record off a slot of the current tick. */
static uint32_t
take_first(struct timer_wheel *wheel, struct flow *flows, const uint32_t *slot)
{
	uint32_t index = *slot;

	list_remove(wheel, flows, index);
	if (*slot != FLOW_NONE)
		__builtin_prefetch(&flows[flows[*slot].timer_next].generation, 1);
	return index;
}

unsigned
timer_wheel_run(struct timer_wheel *wheel, struct flow_table *table, uint32_t now_ms, unsigned budget,
		void (*fire)(void *context, uint32_t index), void *context)
{
	struct flow *flows = table->flows;
	unsigned fired = 0;
	uint32_t ahead;

	if (wheel->now_ms - now_ms > BACKWARDS_MAX_MS)
		wheel->now_ms = now_ms;
	for (;;) {
		for (unsigned level = TIMER_LEVELS - 1; level > 0; level--) {
			const uint32_t *slot = current_slot(wheel, level);

			while (comes_up(wheel, level) && *slot != FLOW_NONE) {
				uint32_t index;

				if (!budget--)
					return fired;
				index = take_first(wheel, flows, slot);
				list_add(wheel, flows, index,
					 ticks_between(wheel->now_tick, due_tick(flows[index].timer_at)));
			}
		}
		for (const uint32_t *slot = current_slot(wheel, 0); *slot != FLOW_NONE; fired++) {
			uint32_t index;

			if (!budget--)
				return fired;
			index = take_first(wheel, flows, slot);
			flows[index].timer_armed = 0;
			wheel->armed--;
			fire(context, index);
		}

		ahead = next_work(wheel);
		if (ahead > ticks_between(wheel->now_tick, wheel->now_ms / TIMER_TICK_MS))
			break;
		wheel->now_tick = (wheel->now_tick + ahead) & TICK_MASK;
	}
	wheel->now_tick = wheel->now_ms / TIMER_TICK_MS;
	return fired;
}

uint32_t
timer_wheel_sleep(const struct timer_wheel *wheel, uint32_t now_ms, uint32_t limit)
{
	uint32_t since_tick = now_ms - wheel->now_tick * TIMER_TICK_MS;
	uint64_t until;

	if (!wheel->armed)
		return limit;
	for (unsigned level = 0; level < TIMER_LEVELS; level++)
		if (comes_up(wheel, level) && *current_slot(wheel, level) != FLOW_NONE)
			return 0;
	until = (uint64_t)next_work(wheel) * TIMER_TICK_MS;
	if (until <= since_tick)
		return 0;
	return until - since_tick < limit ? (uint32_t)(until - since_tick) : limit;
}
