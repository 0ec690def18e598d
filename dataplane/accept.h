/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strangers: TCP segments that belong to no flow.
 *
 * A SYN to a listener is answered with a SYN cookie and forgotten. The first ACK that brings a good cookie back makes a
 * flow, in PEEKING. All else is given to the host where there is a tap, or answered with a RST.
 *
 * The SYN-ACK offers: an MSS that every endpoint behind the listener takes (the port's MTU less the larger, IPv6,
 * headers while that isn't known); window scaling by ACCEPT_WSCALE if the client scales, and always by that, so that
 * the cookie need not carry what we said; SACK if the client permits it and the endpoints do; timestamps if the client
 * sends them and all endpoints are known to. The window is what may be held: HOLD_MAX.
 */
#ifndef POSTERN_DATAPLANE_ACCEPT_H
#define POSTERN_DATAPLANE_ACCEPT_H

#include "dataplane/worker.h"

enum { ACCEPT_WSCALE = 7 };

/* Takes the mbuf of a TCP packet that flow_table_find knows nothing of. key: of the packet, as a leg. */
void accept_stranger(struct worker *worker, const struct packet *packet, const struct flow_key *key,
		     struct rte_mbuf *mbuf);

/* Whether it brings a good cookie back. */
bool accept_ends_handshake(const struct worker *worker, const struct packet *packet, const struct flow_key *key);

/* TSval of our own segments on a leg: our clock, shifted for each leg's key so that it tells nobody how long we have
 * been up (RFC 7323 section 5.4). leg_hash: flow_table_hash of the key. */
static inline uint32_t
accept_tsval(const struct worker *worker, uint32_t leg_hash)
{
	return worker->clock_ms + leg_hash;
}

#endif
