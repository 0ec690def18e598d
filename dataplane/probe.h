/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: one SYN to an endpoint with all options that we know, to learn which of them it takes.
 *
 * A client can be offered timestamps only when every endpoint behind the listener is known to have them, because what
 * is missing on one leg can't be made up for on the other; and a client's own SYN doesn't tell, since it passes on only
 * what was offered. So control asks for probes of the endpoints that it doesn't know yet, a few a second. The answer is
 * a SYN-ACK, from which the profile is learned, and which gets a RST: no connection comes of it, and no application
 * hears of it.
 */
#ifndef POSTERN_DATAPLANE_PROBE_H
#define POSTERN_DATAPLANE_PROBE_H

#include "dataplane/worker.h"

enum { PROBE_RTO_MS = 1000, PROBE_RETRIES_MAX = 2 };

/* What control puts in a worker's probe ring, by value. */
struct probe_request {
	struct ip_addr addr;
	uint16_t port; /* host order */
	uint16_t zero;
	uint32_t endpoint; /* live slot */
};

/* Sends the SYN. Nothing happens when there is no route, port or record for it: control asks again. */
void probe_start(struct worker *worker, const struct probe_request *request);
/* A segment from the endpoint of a PROBING flow. Takes the mbuf. */
void probe_input(struct worker *worker, uint32_t index, const struct packet *packet, struct rte_mbuf *mbuf);
/* The timer of a PROBING flow. */
void probe_fired(struct worker *worker, uint32_t index);

#endif
