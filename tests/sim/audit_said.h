/* SPDX-License-Identifier: Apache-2.0 */
/* What the auditors share: the options of a segment that the gateway sent, and numbers as offsets. */
#ifndef POSTERN_TESTS_SIM_AUDIT_SAID_H
#define POSTERN_TESTS_SIM_AUDIT_SAID_H

#include "tests/sim/world.h"

struct said {
	bool timestamps, sack_permitted, scaled;
	uint32_t tsval, tsecr;
	uint16_t mss;
	uint8_t scale;
	unsigned n_sacks;
	uint32_t sacks[8];
};

/* NULL, or what is wrong with them. */
const char *audit_said_read(const struct segment *segment, struct said *said);
/* The offset from base that a number means, where it can't be far from near. */
static inline int64_t
audit_offset_of(uint32_t wire, uint32_t base, uint32_t near)
{
	return (int64_t)near + (int32_t)(wire - base - near);
}

/* What a host takes in a segment, by the option of its SYN or for want of one. */
uint16_t audit_taken_mss(const struct peer_traits *traits, const struct ip_addr *addr);

#endif
