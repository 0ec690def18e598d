/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/balance.h"

#include <string.h>

#include "tests/unit/unit.h"

enum { ENDPOINTS_MAX = 8, DRAWS = 60000, WORKERS = 2 };

static const uint32_t NONE[BALANCE_TRIED_MAX];

/* A backend of endpoints with these weights, whose live slots are 1, 2, … and its own ENDPOINTS_MAX + 1. */
struct world {
	struct live *live;
	struct endpoint endpoints[ENDPOINTS_MAX];
	const struct endpoint *pointers[ENDPOINTS_MAX];
	struct backend backend;
	uint32_t random;
	uint32_t drawn[ENDPOINTS_MAX + 1]; /* by live slot */
};

static void
world_init(struct world *world, enum load_balancer balancer, const uint16_t *weights, uint32_t n)
{
	memset(world, 0, sizeof(*world));
	world->live = live_create(WORKERS, 32);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->live);
	world->backend = (struct backend){.balancer = balancer,
					  .endpoints = world->pointers,
					  .n_endpoints = n,
					  .live = ENDPOINTS_MAX + 1,
					  .uniform = n > 0 && weights[0] != 0};
	for (uint32_t i = 0; i < n; i++) {
		world->endpoints[i] = (struct endpoint){.weight = weights[i], .live = i + 1};
		world->pointers[i] = &world->endpoints[i];
		world->backend.total_weight += weights[i];
		world->backend.uniform = world->backend.uniform && weights[i] == weights[0];
	}
	world->random = 1;
}

static uint32_t
next_random(struct world *world)
{
	world->random = world->random * 1664525u + 1013904223u; /* Knuth's and Lewis's */
	return world->random;
}

static void
draw(struct world *world, uint8_t attempt, const uint32_t *tried)
{
	memset(world->drawn, 0, sizeof(world->drawn));
	for (unsigned i = 0; i < DRAWS; i++) {
		const struct endpoint *endpoint =
			balance_endpoint(&world->backend, world->live, 0, attempt, tried, next_random(world));
		world->drawn[endpoint != NULL ? endpoint->live : 0]++;
	}
}

static bool
near(uint32_t drawn, uint32_t expected)
{
	uint32_t slack = expected / 20;
	return drawn + slack >= expected && drawn <= expected + slack;
}

static const struct {
	enum load_balancer balancer;
	uint16_t weights[ENDPOINTS_MAX];
	uint32_t n;
	uint8_t attempt;
	uint32_t tried[BALANCE_TRIED_MAX];
	uint32_t shares[ENDPOINTS_MAX + 1]; /* of DRAWS, by live slot; [0]: none was left */
} SHARES[] = {
	{LB_RANDOM, {1, 1, 1}, 3, 0, {0}, {0, 20000, 20000, 20000}},
	{LB_RANDOM, {7}, 1, 0, {0}, {0, 60000}},
	{LB_RANDOM, {3, 0, 1}, 3, 0, {0}, {0, 45000, 0, 15000}},
	{LB_RANDOM, {1, 1, 1}, 3, 1, {2, 0}, {0, 30000, 0, 30000}},
	{LB_RANDOM, {4, 1, 1}, 3, 1, {1, 0}, {0, 0, 30000, 30000}},
	{LB_ROUND_ROBIN, {1, 1, 1}, 3, 0, {0}, {0, 20000, 20000, 20000}},
	{LB_ROUND_ROBIN, {4, 4}, 2, 0, {0}, {0, 30000, 30000}},
	{LB_ROUND_ROBIN, {5, 1, 0}, 3, 0, {0}, {0, 50000, 10000, 0}},
	{LB_ROUND_ROBIN, {1, 1, 1}, 3, 2, {3, 1}, {0, 0, 60000, 0}},
	{LB_LEAST_REQUEST, {1, 1, 1}, 3, 0, {0}, {0, 20000, 20000, 20000}}, /* all idle: the first drawn wins */
	{LB_LEAST_REQUEST, {1}, 1, 0, {0}, {0, 60000}},
	{LB_LEAST_REQUEST, {0, 9}, 2, 0, {0}, {0, 0, 60000}},
	{LB_LEAST_REQUEST, {1, 1}, 2, 1, {1, 0}, {0, 0, 60000}},
	/* nothing left */
	{LB_RANDOM, {0, 0}, 2, 0, {0}, {60000}},
	{LB_RANDOM, {0}, 0, 0, {0}, {60000}},
	{LB_ROUND_ROBIN, {1}, 1, 1, {1, 0}, {60000}},
	{LB_LEAST_REQUEST, {1, 1}, 2, 2, {2, 1}, {60000}},
	{LB_RANDOM, {1, 0}, 2, 1, {1, 0}, {60000}},
	/* at most three attempts, whatever is left */
	{LB_RANDOM, {1, 1, 1, 1, 1}, 5, 3, {3, 2}, {60000}},
	{LB_RANDOM, {1, 1, 1, 1, 1}, 5, 2, {2, 1}, {0, 0, 0, 20000, 20000, 20000}},
};

static void
test_shares(void)
{
	for (size_t i = 0; i < sizeof(SHARES) / sizeof(SHARES[0]); i++) {
		struct world world;
		world_init(&world, SHARES[i].balancer, SHARES[i].weights, SHARES[i].n);
		draw(&world, SHARES[i].attempt, SHARES[i].tried);
		for (unsigned slot = 0; slot <= ENDPOINTS_MAX; slot++) {
			if (!near(world.drawn[slot], SHARES[i].shares[slot])) {
				printf("\ncase %zu: slot %u drawn %u times\n", i, slot, world.drawn[slot]);
				CU_FAIL("share");
			}
		}
		CU_PASS("shares");
		live_free(world.live);
	}
}

/* Equal weights go strictly round; unequal ones keep to their share within any stretch, and don't bunch. */
static void
test_round_robin_order(void)
{
	struct world world;

	world_init(&world, LB_ROUND_ROBIN, (const uint16_t[]){1, 1, 1}, 3);
	const struct endpoint *first = balance_endpoint(&world.backend, world.live, 0, 0, NONE, 0);
	for (uint32_t i = 1; i < 10; i++)
		CU_ASSERT_EQUAL(balance_endpoint(&world.backend, world.live, 0, 0, NONE, 0)->live,
				(first->live - 1 + i) % 3 + 1);
	/* another worker has its own turn, and begins elsewhere */
	CU_ASSERT_NOT_EQUAL(balance_endpoint(&world.backend, world.live, 1, 0, NONE, 0), first);
	live_free(world.live);

	world_init(&world, LB_ROUND_ROBIN, (const uint16_t[]){3, 1}, 2);
	unsigned light = 0, run = 0, longest = 0;
	for (unsigned i = 1; i <= 400; i++) {
		bool is_light = balance_endpoint(&world.backend, world.live, 0, 0, NONE, 0)->live == 2;
		light += is_light;
		run = is_light ? 0 : run + 1;
		longest = run > longest ? run : longest;
		CU_ASSERT_TRUE(light + 2 >= i / 4 && light <= i / 4 + 2);
	}
	CU_ASSERT_TRUE(longest <= 5);
	live_free(world.live);
}

static void
set_active(struct world *world, unsigned worker, uint32_t slot, uint32_t active)
{
	live_counters(world->live, worker)[slot].active = active;
}

static void
test_least_request(void)
{
	struct world world;

	/* Two endpoints are always both looked at; the counts of all workers add up. */
	world_init(&world, LB_LEAST_REQUEST, (const uint16_t[]){1, 1}, 2);
	set_active(&world, 0, 1, 4);
	set_active(&world, 0, 2, 1);
	set_active(&world, 1, 2, 2);
	draw(&world, 0, NONE);
	CU_ASSERT_EQUAL(world.drawn[2], DRAWS);
	set_active(&world, 1, 2, 4);
	draw(&world, 0, NONE);
	CU_ASSERT_EQUAL(world.drawn[1], DRAWS);
	live_free(world.live);

	/* Of three, the busiest is only chosen when it isn't compared with another: never. The middle one wins a third.
	 */
	world_init(&world, LB_LEAST_REQUEST, (const uint16_t[]){1, 1, 1}, 3);
	set_active(&world, 0, 1, 9);
	set_active(&world, 0, 2, 5);
	draw(&world, 0, NONE);
	CU_ASSERT_EQUAL(world.drawn[1], 0);
	CU_ASSERT_TRUE(near(world.drawn[2], DRAWS / 3));
	CU_ASSERT_TRUE(near(world.drawn[3], DRAWS / 3 * 2));
	live_free(world.live);

	/* An endpoint of weight 3 may have three times as many. */
	world_init(&world, LB_LEAST_REQUEST, (const uint16_t[]){3, 1}, 2);
	set_active(&world, 0, 1, 7);
	set_active(&world, 0, 2, 3);
	draw(&world, 0, NONE);
	CU_ASSERT_EQUAL(world.drawn[1], DRAWS);
	set_active(&world, 0, 1, 17);
	draw(&world, 0, NONE);
	CU_ASSERT_EQUAL(world.drawn[2], DRAWS);
	live_free(world.live);
}

/* Connections that stay: LEAST_REQUEST must level them by weight. */
static void
test_least_request_levels(void)
{
	struct world world;

	world_init(&world, LB_LEAST_REQUEST, (const uint16_t[]){2, 1, 1}, 3);
	for (unsigned i = 0; i < 4000; i++) {
		uint32_t slot = balance_endpoint(&world.backend, world.live, i % 2, 0, NONE, next_random(&world))->live;
		live_counters(world.live, i % 2)[slot].active++;
	}
	CU_ASSERT_TRUE(near(live_active(world.live, 1), 2000));
	CU_ASSERT_TRUE(near(live_active(world.live, 2), 1000));
	CU_ASSERT_TRUE(near(live_active(world.live, 3), 1000));
	live_free(world.live);
}

static void
test_route(void)
{
	struct world a, b, c;

	world_init(&a, LB_RANDOM, (const uint16_t[]){1, 1, 1}, 3);
	world_init(&b, LB_RANDOM, (const uint16_t[]){1}, 1);
	world_init(&c, LB_RANDOM, (const uint16_t[]){1}, 1);
	b.endpoints[0].live = 7;
	const struct weighted_backend weighted[] = {{&a.backend, 95}, {&b.backend, 95}, {&c.backend, 100}};
	const struct route route = {.backends = weighted, .n_backends = 3, .total_weight = 100};
	static const struct {
		uint32_t tried;
		uint32_t a, b, c; /* a and c have the endpoint of slot 1, b that of slot 7, but no weight */
	} cases[] = {
		{0, 57000, 0, 3000}, {1, 57000, 0, 3000}, {2, 60000, 0, 0}, {7, 57000, 0, 3000}, {9, 57000, 0, 3000}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t n[3] = {0};
		for (unsigned k = 0; k < DRAWS; k++) {
			const struct backend *backend =
				balance_route(&route, (const uint32_t[]){cases[i].tried, 0}, next_random(&a));
			n[0] += backend == &a.backend;
			n[1] += backend == &b.backend;
			n[2] += backend == &c.backend;
		}
		CU_ASSERT_TRUE(near(n[0], cases[i].a));
		CU_ASSERT_EQUAL(n[1], cases[i].b);
		CU_ASSERT_TRUE(near(n[2], cases[i].c));
	}
	const struct route empty = {.n_backends = 0};
	CU_ASSERT_PTR_NULL(balance_route(&empty, NONE, 5));
	live_free(a.live);
	live_free(b.live);
	live_free(c.live);
}

/* One number decides about backend and endpoint: each endpoint of the light backend must still get its share. */
static void
test_route_and_endpoint(void)
{
	struct world a, b;

	world_init(&a, LB_RANDOM, (const uint16_t[]){1}, 1);
	world_init(&b, LB_RANDOM, (const uint16_t[]){1, 1, 1, 1}, 4);
	const struct weighted_backend weighted[] = {{&a.backend, 80}, {&b.backend, 100}};
	const struct route route = {.backends = weighted, .n_backends = 2, .total_weight = 100};

	for (unsigned i = 0; i < DRAWS; i++) {
		uint32_t random = next_random(&a);
		if (balance_route(&route, NONE, random) == &b.backend)
			b.drawn[balance_endpoint(&b.backend, b.live, 0, 0, NONE, random)->live]++;
	}
	for (uint32_t slot = 1; slot <= 4; slot++)
		CU_ASSERT_TRUE(near(b.drawn[slot], DRAWS / 20));
	live_free(a.live);
	live_free(b.live);
}

static const CU_TestInfo tests[] = {
	{"shares", test_shares},
	{"round robin's order", test_round_robin_order},
	{"least request", test_least_request},
	{"least request levels", test_least_request_levels},
	{"routes", test_route},
	{"a route and its endpoints", test_route_and_endpoint},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("balance", tests);
}
