/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's clocks, for the control plane. The data plane takes time as an argument.
 */
#ifndef POSTERN_PLATFORM_CLOCK_H
#define POSTERN_PLATFORM_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds since some point before the process began (CLOCK_MONOTONIC): never steps, doesn't count suspension. It
 * is the clock that systemd means by MONOTONIC_USEC. */
static inline uint64_t
clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The same in milliseconds. */
static inline uint64_t
clock_ms(void)
{
	return clock_us() / 1000;
}

/* Milliseconds since 1970-01-01T00:00:00Z (CLOCK_REALTIME): for people and logs; may step either way. */
static inline uint64_t
clock_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
