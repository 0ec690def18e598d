/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/timer_wheel.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/random.h"
#include "tests/unit/unit.h"

enum { TIMERS = 2000, UNLIMITED = 1 << 30, NEVER = 60 * 60 * 1000 };

/* What timers do when they fire. */
enum behaviour { FIRE_ONLY, FIRE_ACT };

/* The wheel beside its reference: an array, and a clock of 64 bits of which the wheel sees the lower 32. */
struct world {
	struct flow_table table;
	struct timer_wheel wheel;
	enum behaviour behaviour;
	uint64_t seed, now;
	bool armed[TIMERS + 1];
	uint64_t at[TIMERS + 1];
	uint64_t deadline[TIMERS + 1]; /* the tick by which it must have fired */
	unsigned early, unexpected, fired, acted;
};

static struct world *
world_make(uint64_t now, uint64_t seed, enum behaviour behaviour)
{
	static const uint64_t secret[3] = {1, 2, 3};
	struct world *world = calloc(1, sizeof(*world));
	size_t bytes = flow_table_bytes(TIMERS);
	void *memory = aligned_alloc(64, bytes);

	CU_ASSERT_FATAL(world && memory);
	memset(memory, 0, bytes);
	flow_table_init(&world->table, memory, TIMERS, secret);
	for (unsigned i = 0; i < TIMERS; i++)
		flow_table_alloc(&world->table);
	timer_wheel_init(&world->wheel, (uint32_t)now);
	world->now = now;
	world->seed = seed;
	world->behaviour = behaviour;
	return world;
}

static void
world_free(struct world *world)
{
	free(world->table.header);
	free(world);
}

static void
start(struct world *world, uint32_t index, int64_t after)
{
	uint64_t tick, next = world->now / TIMER_TICK_MS + 1;

	world->at[index] = world->now + (uint64_t)after;
	tick = (world->at[index] + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
	world->deadline[index] = tick > next ? tick : next;
	world->armed[index] = true;
	timer_wheel_start(&world->wheel, &world->table, index, (uint32_t)world->at[index]);
}

static void
stop(struct world *world, uint32_t index)
{
	world->armed[index] = false;
	timer_wheel_stop(&world->wheel, &world->table, index);
}

/* Of every order of magnitude that the wheel treats differently, and some that are past. */
static int64_t
delay_random(uint64_t *seed)
{
	static const uint32_t spans[] = {9, 100, 2048 + 16, 1 << 19, 1 << 20, 1 << 27, 1 << 28, 1U << 31};
	uint32_t span = spans[random_below(seed, sizeof(spans) / sizeof(spans[0]))];

	switch (random_below(seed, 8)) {
	case 0:
		return span; /* just where levels meet */
	case 1:
		return -(int64_t)random_below(seed, 5000);
	default:
		return random_below(seed, span);
	}
}

static uint32_t
timer_random(struct world *world)
{
	return 1 + random_below(&world->seed, TIMERS);
}

static void
act(struct world *world, uint32_t index)
{
	world->acted++;
	switch (random_below(&world->seed, 6)) {
	case 0: /* itself again */
		start(world, index, delay_random(&world->seed));
		break;
	case 1: /* others, which may be due in the same tick */
		for (unsigned i = 0; i < 20; i++)
			stop(world, timer_random(world));
		break;
	case 2:
		start(world, timer_random(world), delay_random(&world->seed));
		break;
	case 3: /* its record goes, and comes back as another's */
		flow_table_release(&world->table, index);
		CU_ASSERT_EQUAL(flow_table_alloc(&world->table), index);
		break;
	default:
		break;
	}
}

static void
fire(void *context, uint32_t index)
{
	struct world *world = context;

	world->fired++;
	world->unexpected += !world->armed[index] || flow_table_get(&world->table, index)->timer_armed;
	world->early += world->at[index] > world->now;
	world->armed[index] = false;
	if (world->behaviour == FIRE_ACT)
		act(world, index);
}

static unsigned
run(struct world *world, unsigned budget)
{
	return timer_wheel_run(&world->wheel, &world->table, (uint32_t)world->now, budget, fire, world);
}

/* How many timers should have fired and haven't. */
static unsigned
overdue(const struct world *world)
{
	unsigned count = 0;

	for (unsigned i = 1; i <= TIMERS; i++)
		count += world->armed[i] && world->deadline[i] <= world->now / TIMER_TICK_MS;
	return count;
}

static unsigned
armed(const struct world *world)
{
	unsigned count = 0;

	for (unsigned i = 1; i <= TIMERS; i++)
		count += world->armed[i];
	return count;
}

/* Sleeping that long must not make a timer late; nor may a worker be kept from sleeping at all. */
static bool
sleep_is_right(const struct world *world)
{
	uint32_t ms = timer_wheel_sleep(&world->wheel, (uint32_t)world->now, NEVER);
	uint64_t latest = world->now + NEVER;

	for (unsigned i = 1; i <= TIMERS; i++)
		if (world->armed[i] && world->deadline[i] * TIMER_TICK_MS < latest)
			latest = world->deadline[i] * TIMER_TICK_MS;
	return ms > 0 && world->now + ms <= latest;
}

static uint32_t
step_random(uint64_t *seed)
{
	switch (random_below(seed, 200)) {
	case 0:
		return random_below(seed, 10 * 60 * 1000);
	case 1:
		return random_below(seed, 3) ? random_below(seed, 1 << 28) : random_below(seed, 1U << 31);
	case 2 ... 12:
		return random_below(seed, 3000);
	default:
		return random_below(seed, 12);
	}
}

/* Random starts, moves, stops and steps of the clock, from just before it wraps. */
static void
against_model(enum behaviour behaviour, unsigned budget_max, uint64_t seed)
{
	struct world *world = world_make(0x100000000 - 30000, seed, behaviour);
	unsigned wrong_sleep = 0, wrong_count = 0, late = 0, over_budget = 0;

	for (unsigned round = 0; round < 20000; round++) {
		for (unsigned i = random_below(&world->seed, 12); i; i--)
			start(world, timer_random(world), delay_random(&world->seed));
		for (unsigned i = random_below(&world->seed, 3); i; i--)
			stop(world, timer_random(world));
		wrong_count += world->wheel.armed != armed(world);
		world->now += step_random(&world->seed);
		if (budget_max == UNLIMITED) {
			run(world, UNLIMITED);
		} else {
			do {
				unsigned budget = 1 + random_below(&world->seed, budget_max);

				over_budget += run(world, budget) > budget;
			} while (timer_wheel_sleep(&world->wheel, (uint32_t)world->now, 1) == 0);
		}
		late += overdue(world) != 0;
		wrong_sleep += !sleep_is_right(world);
	}
	CU_ASSERT_EQUAL(world->early, 0);
	CU_ASSERT_EQUAL(world->unexpected, 0);
	CU_ASSERT_EQUAL(late, 0);
	CU_ASSERT_EQUAL(over_budget, 0);
	CU_ASSERT_EQUAL(wrong_sleep, 0);
	CU_ASSERT_EQUAL(wrong_count, 0);
	CU_ASSERT(world->fired > 20000);
	CU_ASSERT(behaviour == FIRE_ONLY || world->acted > 20000);
	world_free(world);
}

static void
model_quiet(void)
{
	against_model(FIRE_ONLY, UNLIMITED, 1);
}

static void
model_acting(void)
{
	against_model(FIRE_ACT, UNLIMITED, 2);
}

static void
model_budget(void)
{
	against_model(FIRE_ONLY, 20, 3);
	against_model(FIRE_ACT, 5, 4);
}

/* One timer, watched every millisecond: exactly at the first tick that isn't early. */
static void
exact(void)
{
	static const uint64_t clocks[] = {0, 7, 8, 4091, 0xffffffff, 0xfffffff9, 0xfffff000};
	static const uint32_t delays[] = {1, 2, 7, 8, 9, 15, 16, 2039, 2040, 2047, 2048, 2049, 4096, 5001};

	for (unsigned c = 0; c < sizeof(clocks) / sizeof(clocks[0]); c++)
		for (unsigned d = 0; d < sizeof(delays) / sizeof(delays[0]); d++) {
			struct world *world = world_make(clocks[c], 1, FIRE_ONLY);
			uint64_t tick = (clocks[c] + delays[d] + 7) / 8;

			run(world, UNLIMITED);
			start(world, 5, delays[d]);
			while (!world->fired && world->now < clocks[c] + delays[d] + 20) {
				world->now++;
				run(world, UNLIMITED);
			}
			CU_ASSERT_EQUAL(world->fired, 1);
			CU_ASSERT_EQUAL(world->now, tick * 8);
			CU_ASSERT_EQUAL(world->wheel.armed, 0);
			world_free(world);
		}
}

/* Far timers by sleeping only: each level costs a wake-up or two, what lies beyond the wheel one for each turn of it.
 */
static void
far(void)
{
	static const uint32_t delays[] = {2048, 600000, 1 << 27, 1 << 28, 1U << 31};

	for (unsigned d = 0; d < sizeof(delays) / sizeof(delays[0]); d++) {
		struct world *world = world_make(0xfffffff0, 1, FIRE_ONLY);
		unsigned woken = 0;

		start(world, 7, delays[d]);
		while (!world->fired && woken < 100) {
			world->now += timer_wheel_sleep(&world->wheel, (uint32_t)world->now, 1U << 31);
			run(world, UNLIMITED);
			woken++;
		}
		CU_ASSERT_EQUAL(world->fired, 1);
		CU_ASSERT_EQUAL(world->now, world->at[7]);
		CU_ASSERT(woken <= 22);
		world_free(world);
	}
}

struct order {
	const struct flow_table *table;
	uint32_t origin, last;
	unsigned wrong;
};

static void
fire_in_order(void *context, uint32_t index)
{
	struct order *order = context;
	uint32_t tick = (flow_table_get(order->table, index)->timer_at - order->origin + 7) / 8;

	order->wrong += tick < order->last;
	order->last = tick;
}

/* A process that was stopped for an hour, or for three weeks, finds all its timers, in order, at once. */
static void
suspended(void)
{
	static const uint32_t spans[] = {3600 * 1000, 21 * 86400 * 1000U};

	for (unsigned s = 0; s < sizeof(spans) / sizeof(spans[0]); s++) {
		const uint32_t origin = 0xffff0000; /* a multiple of a tick */
		struct world *world = world_make(origin, 5, FIRE_ONLY);
		struct order order = {.table = &world->table, .origin = origin};
		clock_t began = clock();

		for (uint32_t i = 1; i <= TIMERS; i++)
			start(world, i, random_below(&world->seed, spans[s]));
		CU_ASSERT_EQUAL(timer_wheel_run(&world->wheel, &world->table, origin + spans[s] + 8, UNLIMITED,
						fire_in_order, &order),
				TIMERS);
		CU_ASSERT_EQUAL(order.wrong, 0);
		CU_ASSERT_EQUAL(world->wheel.armed, 0);
		CU_ASSERT(clock() - began < CLOCKS_PER_SEC);
		world_free(world);
	}
}

/* Thousands due at once: none but the budget's worth is touched in one call, and each call goes on where the last
 * stopped. */
static void
budget(void)
{
	struct world *world = world_make(1000, 6, FIRE_ONLY);
	unsigned calls = 0, wrong = 0;

	for (uint32_t i = 1; i <= TIMERS; i++)
		start(world, i, 700000);
	CU_ASSERT_EQUAL(run(world, 64), 0);
	world->now += 700000;
	while (world->fired < TIMERS && calls < 1000) {
		wrong += run(world, 64) > 64;
		calls++;
		CU_ASSERT_EQUAL(world->wheel.armed, TIMERS - world->fired);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(world->fired, TIMERS);
	/* Once down from level 2, once from level 1, once fired. */
	CU_ASSERT(calls >= TIMERS / 64);
	CU_ASSERT(calls <= 3 * TIMERS / 64 + 3);
	CU_ASSERT_EQUAL(run(world, 0), 0);
	world_free(world);
}

static void
restarts_at_once(void *context, uint32_t index)
{
	struct world *world = context;

	world->fired++;
	timer_wheel_start(&world->wheel, &world->table, index, (uint32_t)world->now);
}

/* A timer that is always due again must not hold up the run. */
static void
always_due(void)
{
	struct world *world = world_make(800, 7, FIRE_ONLY);

	start(world, 1, 0);
	for (unsigned tick = 1; tick <= 10; tick++) {
		world->now += 8;
		CU_ASSERT_EQUAL(timer_wheel_run(&world->wheel, &world->table, (uint32_t)world->now, UNLIMITED,
						restarts_at_once, world),
				1);
	}
	CU_ASSERT_EQUAL(world->fired, 10);
	world_free(world);
}

/* A reading of the clock that is older than the last one fires nothing and breaks nothing. */
static void
clock_behind(void)
{
	struct world *world = world_make(100000, 8, FIRE_ONLY);

	start(world, 1, 100);
	CU_ASSERT_EQUAL(timer_wheel_run(&world->wheel, &world->table, 99000, UNLIMITED, fire, world), 0);
	CU_ASSERT_EQUAL(world->wheel.now_ms, 100000);
	world->now += 104;
	CU_ASSERT_EQUAL(run(world, UNLIMITED), 1);
	CU_ASSERT_EQUAL(world->early, 0);
	world_free(world);
}

/* Weeks without a timer leave the wheel with the clock, not behind it: the range of a new timer is whole. */
static void
idle_for_weeks(void)
{
	struct world *world = world_make(0, 10, FIRE_ONLY);

	for (unsigned day = 0; day < 40; day++) {
		world->now += 86400 * 1000;
		CU_ASSERT_EQUAL(run(world, UNLIMITED), 0);
	}
	start(world, 1, 1U << 31);
	CU_ASSERT_EQUAL(run(world, UNLIMITED), 0);
	world->now += (1U << 31) - 8;
	CU_ASSERT_EQUAL(run(world, UNLIMITED), 0);
	world->now += 8;
	CU_ASSERT_EQUAL(run(world, UNLIMITED), 1);
	world_free(world);
}

static void
sleeping(void)
{
	struct world *world = world_make(800, 9, FIRE_ONLY);

	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 800, 5000), 5000);
	start(world, 1, 100);
	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 800, 5000), 104);
	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 803, 5000), 101);
	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 800, 50), 50);
	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 904, 5000), 0);
	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 9000, 5000), 0);
	stop(world, 1);
	stop(world, 1);
	CU_ASSERT_EQUAL(timer_wheel_sleep(&world->wheel, 800, 5000), 5000);
	world_free(world);
}

static const CU_TestInfo tests[] = {
	{"fires at the right tick", exact},
	{"far timers", far},
	{"against a model", model_quiet},
	{"against a model, timers that start, stop and release", model_acting},
	{"against a model, with a budget", model_budget},
	{"after a long suspension", suspended},
	{"budget", budget},
	{"a timer that is always due", always_due},
	{"a clock that steps back", clock_behind},
	{"weeks without a timer", idle_for_weeks},
	{"sleep", sleeping},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("timer_wheel", tests);
}
