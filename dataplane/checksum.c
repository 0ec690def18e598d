/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One's-complement sums don't care about the order in which words are added, nor whether they are added as 16 or as 32
 * bits (2^32 ≡ 1 modulo 2^16 − 1), nor about the byte order of the machine (RFC 1071 section 2). So bytes are summed as
 * 32-bit words as they lie in memory, into 64-bit lanes: a length of 2^32 − 1 can't overflow a lane, and nothing
 * carries between lanes until the end.
 *
 * Long inputs are summed with vectors: SSE2's, which every x86-64 has, or AVX2's where the machine has them. Short
 * ones, headers and small segments, are done before vectors would be set up.
 */
#include "dataplane/checksum.h"

#include <stdbool.h>
#include <string.h>

enum {
	LONG_INPUT = 192, /* bytes; below it, setting up the vectors costs more than they save */
	BLOCK = 64        /* bytes that a round of the vector loops takes */
};

static inline uint64_t
halves(uint64_t word)
{
	return (word & 0xffffffff) + (word >> 32);
}

checksum_delta
checksum_delta_32_odd(checksum_delta delta, uint32_t old, uint32_t new_)
{
	/* The field's bytes b0 b1 b2 b3 are summed as (b3 b0) + (b1 b2), which is what a rotation by one byte leaves in
	 * memory, on a machine of either byte order. */
	return checksum_delta_32(delta, old << 8 | old >> 24, new_ << 8 | new_ >> 24);
}

/* Two sums for each lane: of whole 64-bit words, modulo 2^64, and of their upper halves, which can't overflow. The sum
 * of the lower halves is what the first has beyond the second; it can't overflow either, so the modulus costs nothing.
 * That is one operation a word less than taking the halves apart. Any vector type of 64-bit lanes will do. */
#define SUM_BLOCKS(vector)                                                                                             \
	enum { VECTORS = BLOCK / sizeof(vector), LANES = sizeof(vector) / sizeof(uint64_t) };                          \
	vector whole = {0}, upper = {0};                                                                               \
	for (; count != 0; count--, bytes += BLOCK)                                                                    \
		for (unsigned i = 0; i < VECTORS; i++) {                                                               \
			vector words;                                                                                  \
			memcpy(&words, bytes + i * sizeof(words), sizeof(words));                                      \
			whole += words;                                                                                \
			upper += words >> 32;                                                                          \
		}                                                                                                      \
	whole -= upper << 32;                                                                                          \
	uint64_t sum = 0;                                                                                              \
	for (unsigned i = 0; i < LANES; i++)                                                                           \
		sum += halves(whole[i]) + halves(upper[i]);                                                            \
	return sum

typedef uint64_t lanes_16 __attribute__((vector_size(16)));

static uint64_t
sum_blocks_baseline(const uint8_t *bytes, uint32_t count)
{
	SUM_BLOCKS(lanes_16);
}

#ifdef __x86_64__
typedef uint64_t lanes_32 __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static uint64_t
sum_blocks_avx2(const uint8_t *bytes, uint32_t count)
{
	SUM_BLOCKS(lanes_32);
}

static bool has_avx2;

__attribute__((constructor)) static void
look_for_avx2(void)
{
	__builtin_cpu_init();
	has_avx2 = __builtin_cpu_supports("avx2");
}

static inline uint64_t
sum_blocks(const uint8_t *bytes, uint32_t count)
{
	return has_avx2 ? sum_blocks_avx2(bytes, count) : sum_blocks_baseline(bytes, count);
}
#else
#define sum_blocks sum_blocks_baseline
#endif

/* Adds with the carry brought round: one's complement, 64 bits wide. */
static inline uint64_t
add(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static inline uint64_t
load(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

uint64_t
checksum_sum(const void *bytes, uint32_t length)
{
	const uint8_t *at = bytes;
	uint64_t sum = 0, even = 0, odd = 0;

	if (length >= LONG_INPUT) {
		sum = sum_blocks(at, length / BLOCK);
		at += length & ~(BLOCK - 1u);
		length &= BLOCK - 1;
	}
	for (; length >= 16; at += 16, length -= 16) {
		even = add(even, load(at));
		odd = add(odd, load(at + 8));
	}
	if (length & 8) {
		even = add(even, load(at));
		at += 8;
	}
	if (length & 7) { /* the last bytes, zeroes behind them */
		uint64_t word = 0;
		uint32_t part;
		uint16_t half;

		if (length & 4) {
			memcpy(&part, at, sizeof(part));
			word = part;
			at += 4;
		}
		if (length & 2) {
			memcpy(&half, at, sizeof(half));
			word += half;
			at += 2;
		}
		if (length & 1) {
			half = 0;
			memcpy(&half, at, 1);
			word += half;
		}
		odd = add(odd, word);
	}
	return sum + halves(even) + halves(odd);
}
