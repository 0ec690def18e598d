/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour discovery for our own IPv6 addresses and the ports' link-local ones: RFC 4861.
 *
 * Solicitations for an address of the port that they came in by are answered, those of duplicate address detection
 * (source ::) to all nodes. Advertisements are learned from by the rules of neighbour.h. Routers' advertisements and
 * redirects are ignored: routes are postern.conf's.
 */
#ifndef POSTERN_DATAPLANE_ND_H
#define POSTERN_DATAPLANE_ND_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"

struct packet;
struct rte_mbuf;
struct worker;

/* ICMPv6 types that are neighbour discovery's, RFC 4861 section 4. */
enum {
	ND_ROUTER_SOLICITATION = 133,
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_SOLICITATION = 135,
	ND_ADVERTISEMENT = 136,
	ND_REDIRECT = 137
};

static inline bool
nd_is_type(uint8_t icmp6_type)
{
	return icmp6_type >= ND_ROUTER_SOLICITATION && icmp6_type <= ND_REDIRECT;
}

/* A frame of PACKET_ICMP6 of such a type that arrived at packet->port. learn_only: a copy from another worker, which
 * has answered already. Takes the mbuf. */
void nd_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, bool learn_only);

/* Asks for target through port: mac's station alone, or its solicited-node group when mac is NULL. */
void nd_solicit(struct worker *worker, uint8_t port, const struct ip_addr *target, const uint8_t *mac);

/* Advertises all our IPv6 addresses, unsolicited (RFC 4861 section 7.2.6). */
void nd_announce(struct worker *worker);

#endif
