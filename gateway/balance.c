/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A choice by weight is a point in 0..total-1, found by walking the endpoints and taking their weights off it. Points
 * come from 32 random bits scaled to the total, or, for ROUND_ROBIN with unequal weights, from a cursor times the
 * golden ratio: such a sequence visits every stretch of the range in proportion and evenly spread (Knuth 6.4, theorem
 * S), so weights of 5, 1 and 1 don't send five connections in a row to the first.
 */
#include "gateway/balance.h"

enum { GOLDEN_RATIO = 0x9e3779b9u };

/* Another 32 bits from 32: a bijection (MurmurHash3's final steps). */
static uint32_t
mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x85ebca6bu;
	x ^= x >> 13;
	x *= 0xc2b2ae35u;
	return x ^ x >> 16;
}

/* 32 bits as a point in 0..n-1. */
static uint32_t
scale(uint32_t bits, uint32_t n)
{
	return (uint32_t)((uint64_t)bits * n >> 32);
}

/* Endpoints that may not be chosen, by live slot: those that failed, and for a second choice the first. */
struct excluded {
	uint32_t slots[BALANCE_TRIED_MAX + 1];
};

static bool
is_excluded(const struct excluded *excluded, const struct endpoint *endpoint)
{
	for (unsigned i = 0; i < BALANCE_TRIED_MAX + 1; i++)
		if (excluded->slots[i] != 0 && excluded->slots[i] == endpoint->live)
			return true;
	return false;
}

static uint32_t
weight_left(const struct backend *backend, const struct excluded *excluded, uint32_t *n_endpoints)
{
	uint32_t total = 0;

	*n_endpoints = 0;
	for (uint32_t i = 0; i < backend->n_endpoints; i++) {
		const struct endpoint *endpoint = backend->endpoints[i];
		if (endpoint->weight == 0 || is_excluded(excluded, endpoint))
			continue;
		total += endpoint->weight;
		*n_endpoints += 1;
	}
	return total;
}

static const struct endpoint *
at_point(const struct backend *backend, const struct excluded *excluded, uint32_t point)
{
	for (uint32_t i = 0; i < backend->n_endpoints; i++) {
		const struct endpoint *endpoint = backend->endpoints[i];
		if (is_excluded(excluded, endpoint))
			continue;
		if (point < endpoint->weight)
			return endpoint;
		point -= endpoint->weight;
	}
	return NULL;
}

/* The worker's cursor. Workers begin apart, so that they don't all send their first connection to the same endpoint. */
static uint32_t
turn(const struct backend *backend, struct live *live, unsigned worker)
{
	return (*live_cursor(live, worker, backend->live))++ + worker;
}

/* Fewer active connections for its weight. The first wins a tie: it was drawn by weight. */
static const struct endpoint *
less_busy(const struct live *live, const struct endpoint *a, const struct endpoint *b)
{
	uint64_t busy_a = live_active(live, a->live), busy_b = live_active(live, b->live);
	return (busy_b + 1) * a->weight < (busy_a + 1) * b->weight ? b : a;
}

/* All endpoints count alike, and none is excluded. */
static const struct endpoint *
choose_uniform(const struct backend *backend, struct live *live, unsigned worker, uint32_t random)
{
	uint32_t n = backend->n_endpoints;

	if (backend->balancer == LB_ROUND_ROBIN)
		return backend->endpoints[turn(backend, live, worker) % n];
	uint32_t first = scale(random, n);
	if (backend->balancer == LB_RANDOM || n == 1)
		return backend->endpoints[first];
	uint32_t second = (first + 1 + scale(mix(random), n - 1)) % n;
	return less_busy(live, backend->endpoints[first], backend->endpoints[second]);
}

static const struct endpoint *
choose_weighted(const struct backend *backend, struct live *live, unsigned worker, struct excluded *excluded,
		uint32_t total, uint32_t random)
{
	if (backend->balancer == LB_ROUND_ROBIN)
		return at_point(backend, excluded, scale(turn(backend, live, worker) * GOLDEN_RATIO, total));
	const struct endpoint *first = at_point(backend, excluded, scale(random, total));
	if (backend->balancer == LB_RANDOM || total == first->weight)
		return first;
	excluded->slots[BALANCE_TRIED_MAX] = first->live;
	return less_busy(live, first, at_point(backend, excluded, scale(mix(random), total - first->weight)));
}

const struct endpoint *
balance_endpoint(const struct backend *backend, struct live *live, unsigned worker, uint8_t attempt,
		 const uint32_t tried[BALANCE_TRIED_MAX], uint32_t random)
{
	struct excluded excluded = {{tried[0], tried[1], 0}};
	uint32_t n_endpoints;

	if (backend->total_weight == 0 || attempt >= BALANCE_ATTEMPTS_MAX)
		return NULL;
	if (attempt == 0 && backend->uniform)
		return choose_uniform(backend, live, worker, random);
	uint32_t total = weight_left(backend, &excluded, &n_endpoints);
	if (n_endpoints == 0)
		return NULL;
	return choose_weighted(backend, live, worker, &excluded, total, random);
}

static bool
has_endpoint(const struct backend *backend, uint32_t slot)
{
	for (uint32_t i = 0; i < backend->n_endpoints; i++)
		if (backend->endpoints[i]->live == slot)
			return true;
	return false;
}

/* The route's weight that a retry may draw from: all of it when the failed endpoint is no longer in any backend. */
static uint32_t
route_weight(const struct route *route, uint32_t failed, uint32_t *required)
{
	uint32_t total = 0, before = 0;

	*required = failed;
	for (uint32_t i = 0; failed != 0 && i < route->n_backends; i++) {
		if (has_endpoint(route->backends[i].backend, failed))
			total += route->backends[i].weight - before;
		before = route->backends[i].weight;
	}
	if (total != 0)
		return total;
	*required = 0;
	return route->total_weight;
}

const struct backend *
balance_route(const struct route *route, const uint32_t tried[BALANCE_TRIED_MAX], uint32_t random)
{
	uint32_t required, before = 0;
	uint32_t total = route_weight(route, tried[0], &required);

	if (total == 0)
		return NULL;
	/* Not the bits that choose the endpoint: else a backend would only ever see a part of them. */
	uint32_t point = scale(mix(~random), total);
	for (uint32_t i = 0; i < route->n_backends; i++) {
		const struct weighted_backend *weighted = &route->backends[i];
		uint32_t weight = weighted->weight - before;
		before = weighted->weight;
		if (required != 0 && !has_endpoint(weighted->backend, required))
			continue;
		if (point < weight)
			return weighted->backend;
		point -= weight;
	}
	return NULL;
}
