/* SPDX-License-Identifier: Apache-2.0 */
/* What one connection is to do: options and habits of its ends, how much they say, how fast, and how they close. */
#ifndef POSTERN_TESTS_SIM_TRAFFIC_H
#define POSTERN_TESTS_SIM_TRAFFIC_H

#include "tests/sim/world.h"

/* One of several 32-bit values, at random. */
#define WORLD_CHOOSE(...)                                                                                              \
	((const uint32_t[]){__VA_ARGS__}[world_below(sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))])

/* What belongs to a host: its TCP's options and habits. */
struct peer_traits traffic_host(bool v4);
/* Draws a connection of a client's slot. */
void traffic_plan(unsigned number, unsigned slot, uint64_t start_at);

#endif
