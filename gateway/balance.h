/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backend of a route, which endpoint of a backend.
 *
 * - ROUND_ROBIN: each worker goes round by itself; with unequal weights the turns of the heavy ones are spread, not
 *   bunched.
 * - LEAST_REQUEST: two different endpoints at random by weight, and of them the one with fewer active connections for
 *   its weight, counted over all workers: the power of two choices, Envoy's and Istio's default.
 * - RANDOM: by weight.
 *
 * Runs on workers. Given the same inputs, counters and cursors, the choice is the same. An endpoint or a backend of
 * weight 0 is never chosen. With equal weights a choice costs the same however many endpoints there are; with
 * unequal ones it walks them.
 */
#ifndef POSTERN_GATEWAY_BALANCE_H
#define POSTERN_GATEWAY_BALANCE_H

#include <stdint.h>

#include "federation/snapshot.h"
#include "gateway/live.h"

enum { BALANCE_ATTEMPTS_MAX = 3, BALANCE_TRIED_MAX = 2 };

/* The endpoint of a connection's next attempt, or NULL when there is none left to try: no endpoint takes traffic, or as
 * many attempts were made as it has endpoints, or BALANCE_ATTEMPTS_MAX. attempt: how many were made. tried: live slots
 * of those that failed (0: none), which are left out. random: any 32 bits. */
const struct endpoint *balance_endpoint(const struct backend *backend, struct live *live, unsigned worker,
					uint8_t attempt, const uint32_t tried[BALANCE_TRIED_MAX], uint32_t random);

/* A backend of the route by weight, or NULL when all weights are 0. After a failure (tried[0] is a live slot) the
 * choice is among those that have the endpoint that failed, so that a connection keeps to the backend that it was
 * given. */
const struct backend *balance_route(const struct route *route, const uint32_t tried[BALANCE_TRIED_MAX],
				    uint32_t random);

#endif
