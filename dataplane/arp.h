/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP for our own IPv4 addresses: RFC 826, RFC 5227.
 *
 * Requests for an address of the port that they came in by are answered, probes (sender 0.0.0.0) included. Neighbours
 * are learned from what concerns us: replies to us, requests to us, announcements; what was not asked for only changes
 * an entry that exists (neighbour.h). Somebody else's claim to one of our addresses is counted, and answered with an
 * announcement at most every ARP_DEFEND_INTERVAL_MS (RFC 5227 section 2.4 (c)): a gateway doesn't give its address up.
 */
#ifndef POSTERN_DATAPLANE_ARP_H
#define POSTERN_DATAPLANE_ARP_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"

struct packet;
struct rte_mbuf;
struct worker;

enum {
	ARP_LENGTH = 28, /* of Ethernet and IPv4 */
	ARP_DEFEND_INTERVAL_MS = 10000
};

/* A frame of PACKET_ARP that arrived at packet->port. learn_only: a copy from another worker, which has answered
 * already. Takes the mbuf. */
void arp_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, bool learn_only);

/* Asks for target (IPv4) through port: mac's station alone, or everybody when mac is NULL. */
void arp_request(struct worker *worker, uint8_t port, const struct ip_addr *target, const uint8_t *mac);

/* Announces all our IPv4 addresses (RFC 5227 section 3). */
void arp_announce(struct worker *worker);

#endif
