/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour solicitations and advertisements, taken apart: the checks of RFC 4861 sections 7.1.1 and 7.1.2. A pure
 * function over the bytes of the frame.
 */
#ifndef POSTERN_DATAPLANE_ND_PARSE_H
#define POSTERN_DATAPLANE_ND_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/reason.h"
#include "platform/ip_addr.h"

struct packet;

enum { ND_FLAG_SOLICITED = 0x40, ND_FLAG_OVERRIDE = 0x20 }; /* of an advertisement */

struct nd {
	uint8_t type, flags; /* ND_SOLICITATION or ND_ADVERTISEMENT (nd.h) */
	bool probe;          /* a solicitation of duplicate address detection: its source is :: */
	struct ip_addr target;
	uint16_t mac; /* offset in the frame of the link-layer address that the message tells; 0: none */
};

/* packet: what packet_parse made of frame, PACKET_ICMP6. REASON_NONE, or why nothing is to be learned from it. */
enum reason nd_parse(const uint8_t *frame, const struct packet *packet, struct nd *nd);

/* RFC 4291 section 2.7.1: the group that who has addr listens to. */
struct ip_addr nd_solicited_node(const struct ip_addr *addr);

#endif
