/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP and ICMPv6 for our own addresses: echo is answered, errors about our TCP are taken apart, neighbour discovery
 * goes to nd.h, and the rest to the host, or nowhere. RFC 792, RFC 4443, RFC 5927.
 */
#ifndef POSTERN_DATAPLANE_ICMP_H
#define POSTERN_DATAPLANE_ICMP_H

struct icmp_quote;
struct packet;
struct rte_mbuf;
struct worker;

/* A frame of PACKET_ICMP or PACKET_ICMP6 that arrived at packet->port. Takes the mbuf. */
void icmp_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf);

/* An error that quotes a segment of ours: found a flow or not (icmp_error.c). Takes the mbuf. */
void icmp_error_input(struct worker *worker, const struct packet *packet, struct icmp_quote *quote,
		      struct rte_mbuf *mbuf);

#endif
