/* SPDX-License-Identifier: Apache-2.0 */
/* TCP options as a simulated peer writes and reads them. */
#ifndef POSTERN_TESTS_SIM_PEER_WIRE_H
#define POSTERN_TESTS_SIM_PEER_WIRE_H

#include "tests/sim/peer.h"

/* Of a segment's flags. */
enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10, URG = 0x20, ECE = 0x40, CWR = 0x80 };

/* What a segment's options said. */
struct peer_heard {
	bool timestamps, sack_permitted, bad;
	uint32_t tsval, tsecr;
	uint16_t mss;
	uint8_t scale;
	const uint8_t *sacks;
	unsigned n_sacks;
};

struct peer_heard peer_wire_read(const struct segment *segment);

/* Each writes to at, and returns how many bytes, a multiple of four. */
uint8_t peer_wire_timestamps(const struct peer *peer, uint8_t *at, bool has_ack, uint64_t now);
/* What came early, the latest first, and a D-SACK that is due; in so much space at most. */
uint8_t peer_wire_sacks(struct peer *peer, uint8_t *at, uint8_t space);
/* answer: of a SYN-ACK. */
uint8_t peer_wire_syn_options(const struct peer *peer, uint8_t *at, bool answer, uint64_t now);

uint32_t peer_wire_get_32(const uint8_t *at);

#endif
