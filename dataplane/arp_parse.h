/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP packets, taken apart: RFC 826, of IPv4 over Ethernet. A pure function over the bytes.
 */
#ifndef POSTERN_DATAPLANE_ARP_PARSE_H
#define POSTERN_DATAPLANE_ARP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/reason.h"
#include "platform/ip_addr.h"

struct arp_claim {
	bool request;          /* else a reply */
	bool probe;            /* a request without a sender, to find out whether the target is taken (RFC 5227) */
	uint8_t sender_mac[6]; /* a station's */
	struct ip_addr sender, target;
};

/* body: ARP_LENGTH bytes at least. REASON_NONE, or why it says nothing. */
enum reason arp_parse(const uint8_t *body, struct arp_claim *claim);

#endif
