/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that are the same in every run: a failure can be looked at twice. */
#ifndef POSTERN_TESTS_UNIT_RANDOM_H
#define POSTERN_TESTS_UNIT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* A Weyl sequence through a mixer; the seed is all the state there is. */
static inline uint64_t
random_64(uint64_t *seed)
{
	uint64_t word = *seed += 0x9e3779b97f4a7c15;

	word = (word ^ word >> 32) * 0xd6e8feb86659fd93;
	word = (word ^ word >> 29) * 0xd6e8feb86659fd93;
	return word ^ word >> 32;
}

/* 0..bound − 1. */
static inline uint32_t
random_below(uint64_t *seed, uint32_t bound)
{
	return (uint32_t)((random_64(seed) >> 32) * bound >> 32);
}

static inline void
random_fill(uint64_t *seed, void *bytes, size_t length)
{
	uint8_t *at = bytes;

	while (length--)
		*at++ = (uint8_t)random_64(seed);
}

#endif
