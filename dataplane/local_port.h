/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of our ports a new connection to an endpoint leaves from.
 *
 * RFC 6056 algorithm 4 (double-hash): a keyed hash of the endpoint picks where in the range to begin, a counter for a
 * group of endpoints moves on with each connection. So ports can't be guessed from outside, and towards one endpoint a
 * port comes up again only after all the others: the endpoint's TIME-WAIT is long over, unless the rate is above (ports
 * / 60 s), and then the new ISN is higher (RFC 6528) and the endpoint takes the SYN all the same, or answers with an
 * ACK that dial.c knows how to treat.
 *
 * Whether a port is free is asked of the flow table itself: nothing to keep in step, nothing to lose in a crash. A
 * lingering record keeps its port, unless there is no other: then its end is nearer than anyone's who waits for one.
 *
 * Worker i of n uses the ports with port % n == i, so that a packet from an endpoint says whose it is.
 */
#ifndef POSTERN_DATAPLANE_LOCAL_PORT_H
#define POSTERN_DATAPLANE_LOCAL_PORT_H

#include <stdint.h>

#include "dataplane/worker.h"

enum { LOCAL_PORT_TRIES = 1024 };

/* Sets key->local_port (network order) to a port that no flow of this worker uses towards key's peer from key's
 * address, and that isn't a listener's; where LOCAL_PORT_TRIES in a row are taken, to that of a CLOSING one among them,
 * which is disposed of. False when there is none. */
bool local_port_choose(struct worker *worker, struct flow_key *key);

/* The worker whose port this is; port in network order. */
uint16_t local_port_owner(uint16_t port, uint16_t n_workers);

#endif
