/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors as routers send them, and as a host reads them; like rig.h without a line of the data plane's. */
#ifndef POSTERN_TESTS_SIM_ICMP_WIRE_H
#define POSTERN_TESTS_SIM_ICMP_WIRE_H

#include "tests/sim/rig.h"

enum { ICMP_WIRE_MAX = 128 };

struct icmp_wire_error {
	bool checksum_good;
	struct ip_addr sender;     /* of the message */
	struct ip_addr peer, gate; /* of the quoted segment: who sent it, and to whom */
	uint16_t peer_port, gate_port;
	uint32_t seq;
	uint16_t mtu, mss; /* mss: payload and options that fit into mtu */
};

/* Whether a frame is ICMP of either family. */
bool icmp_wire_is(const uint8_t *frame);
/* The answer of a router behind device to a frame that the gateway sent: too big for mtu, or, when that is 0,
 * unreachable. Returns its length. */
uint16_t icmp_wire_build(const struct rig *rig, unsigned device, const uint8_t *frame, uint16_t mtu,
			 uint8_t answer[ICMP_WIRE_MAX]);
/* Reads a too-big message. False when it is none. */
bool icmp_wire_parse(const uint8_t *frame, uint16_t length, struct icmp_wire_error *error);

#endif
