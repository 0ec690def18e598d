/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internet checksums: full ones (RFC 1071), and updates of one for words that changed (RFC 1624).
 *
 * A delta collects what a rewrite changes, in any order, as the one's-complement sum of "new − old" over 16-bit words
 * in network order; applied once, it turns a right checksum into a right one and a wrong one into a wrong one, so a
 * packet that was damaged before it reached us stays damaged for its receiver.
 */
#ifndef POSTERN_DATAPLANE_CHECKSUM_H
#define POSTERN_DATAPLANE_CHECKSUM_H

#include <arpa/inet.h>
#include <stdint.h>

#include "platform/ip_addr.h"

/* A running one's-complement sum, not folded. 0 is the empty one. */
typedef uint64_t checksum_delta;

/* new replaces old; both as they stand in the packet (network order), at an even offset of the checksummed data. */
static inline checksum_delta
checksum_delta_16(checksum_delta delta, uint16_t old, uint16_t new_)
{
	return delta + (uint16_t)~old + new_;
}

static inline checksum_delta
checksum_delta_32(checksum_delta delta, uint32_t old, uint32_t new_)
{
	return delta + (uint32_t)~old + new_;
}

/* For 32-bit fields at an odd offset of the checksummed data: the bytes of the sum change places. */
checksum_delta checksum_delta_32_odd(checksum_delta delta, uint32_t old, uint32_t new_);

/* Folds to 16 bits, one's complement arithmetic: the remainder modulo 2^16 − 1, which a compiler makes of two
 * multiplications, with 0xffff for the zero of whatever isn't all zero. */
static inline uint16_t
checksum_fold(uint64_t sum)
{
	uint16_t rest = (uint16_t)(sum % 0xffff);

	return rest == 0 && sum != 0 ? 0xffff : rest;
}

/* RFC 1624 equation 3: HC' = ~(~HC + ~m + m'). Never produces 0xffff from a header that isn't all zero. */
static inline uint16_t
checksum_apply(uint16_t checksum, checksum_delta delta)
{
	return (uint16_t)~checksum_fold((uint64_t)(uint16_t)~checksum + delta);
}

/* One's-complement sum of bytes, as if the data began at an even offset; odd lengths are padded with a zero byte. Not
 * folded: add sums of parts, then checksum_fold. Reads exactly length bytes; any alignment. */
uint64_t checksum_sum(const void *bytes, uint32_t length);

/* The checksum field of an IPv4 header of length bytes, its checksum field taken as zero or as it stands: 0 over a
 * right header with its checksum in place. */
static inline uint16_t
checksum_ipv4_header(const void *header, uint32_t length)
{
	return (uint16_t)~checksum_fold(checksum_sum(header, length));
}

/* Sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) for a payload of length bytes. Addresses as in
 * ip_addr.h, both of one family. There is no second case for IPv4: the one half of a mapped address that isn't zero is
 * 0xffff, which is the other zero of one's complement, and the sum of the rest isn't zero. */
static inline uint64_t
checksum_pseudo(const struct ip_addr *source, const struct ip_addr *destination, uint8_t protocol, uint32_t length)
{
	uint64_t sum = (uint64_t)htons(protocol) + htonl(length) + source->words[3] + destination->words[3];

	if (!ip_addr_is_v4(source))
		for (unsigned i = 0; i < 3; i++)
			sum += (uint64_t)source->words[i] + destination->words[i];
	return sum;
}

#endif
