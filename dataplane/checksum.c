/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One's-complement sums don't care about the order in which words are added, nor whether they are added as 16 or as 32
 * bits (2^32 ≡ 1 modulo 2^16 − 1), nor about the byte order of the machine (RFC 1071 section 2). So bytes are summed as
 * 32-bit words as they lie in memory, into 64-bit lanes: a length of 2^32 − 1 can't overflow a lane, and nothing
 * carries between lanes until the end.
 *
 * Long inputs are summed with the compiler's vectors. They become SSE2 on the baseline x86-64, which already outruns
 * memory; so there is no second version that would have to be chosen at run time.
 */
#include "dataplane/checksum.h"

#include <arpa/inet.h>
#include <string.h>

typedef uint64_t lanes __attribute__((vector_size(16)));

enum { LONG_INPUT = 64 }; /* bytes; below it, setting up the vectors costs more than they save */

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
 * That is one operation a word less than taking the halves apart. */
static uint64_t
sum_vectors(const uint8_t *bytes, uint32_t count)
{
	lanes even = {0}, odd = {0}, even_high = {0}, odd_high = {0}, word[4];

	for (; count >= 4; count -= 4, bytes += sizeof(word)) {
		memcpy(word, bytes, sizeof(word));
		even += word[0];
		even_high += word[0] >> 32;
		odd += word[1];
		odd_high += word[1] >> 32;
		even += word[2];
		even_high += word[2] >> 32;
		odd += word[3];
		odd_high += word[3] >> 32;
	}
	for (; count; count--, bytes += sizeof(word[0])) {
		memcpy(word, bytes, sizeof(word[0]));
		even += word[0];
		even_high += word[0] >> 32;
	}
	even += odd;
	even_high += odd_high;
	even -= even_high << 32;
	return halves(even[0]) + halves(even[1]) + halves(even_high[0]) + halves(even_high[1]);
}

uint64_t
checksum_sum(const void *bytes, uint32_t length)
{
	const uint8_t *at = bytes;
	unsigned __int128 sum = 0;
	uint64_t word;

	if (length >= LONG_INPUT) {
		sum = sum_vectors(at, length / sizeof(lanes));
		at += length & ~(sizeof(lanes) - 1);
		length &= sizeof(lanes) - 1;
	}
	for (; length >= 8; at += 8, length -= 8) {
		memcpy(&word, at, 8);
		sum += word;
	}
	if (length & 4) {
		uint32_t part;

		memcpy(&part, at, 4);
		sum += part;
		at += 4;
	}
	if (length & 2) {
		uint16_t part;

		memcpy(&part, at, 2);
		sum += part;
		at += 2;
	}
	if (length & 1) {
		uint16_t part = 0;

		memcpy(&part, at, 1);
		sum += part;
	}
	return halves((uint64_t)sum) + (uint64_t)(sum >> 64);
}

uint64_t
checksum_pseudo(const struct ip_addr *source, const struct ip_addr *destination, uint8_t protocol, uint32_t length)
{
	/* No second case for IPv4: the one half of a mapped address that isn't zero is 0xffff, which is the other zero
	 * of one's complement, and the sum of the rest isn't zero. */
	return halves(source->longs[0]) + halves(source->longs[1]) + halves(destination->longs[0]) +
	       halves(destination->longs[1]) + htons(protocol) + htonl(length);
}
