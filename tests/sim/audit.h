/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold at every step. The auditor sees both ends of each connection as they are, and so can say of every
 * packet that the gateway sends whether its receiver should get it:
 *
 * - its payload is what the other end really sent at that place in its stream, and it was sent already;
 * - it acknowledges nothing that the other end hasn't got, but for bytes that the gateway itself took over before the
 * endpoint answered;
 * - its SACK blocks name only what the other end has;
 * - its window promises no more than the other end does, but for rounding up to one unit (splice.h);
 * - its options are those that were negotiated on that leg, its timestamps echo one that the receiver sent, and don't
 * go back;
 * - it isn't larger than what its receiver takes.
 *
 * Of connections: how they end is how they may end. Of the gateway, when all is over: nothing is left.
 */
#ifndef POSTERN_TESTS_SIM_AUDIT_H
#define POSTERN_TESTS_SIM_AUDIT_H

#include "tests/sim/world.h"

/* A SYN to an endpoint: whose it is. Before audit_segment. */
void audit_bind(const struct segment *syn);
void audit_segment(unsigned device, const struct segment *segment);
void audit_icmp(const uint8_t *frame, uint16_t length);
/* Takes the flow events that the worker sent. */
void audit_events(void);

/* Whether the gateway has a record of a connection. */
bool audit_has_record(const struct connection *connection);
/* Whether both ends of a connection have nothing left to do. */
bool audit_is_over(const struct connection *connection);
/* The run took too long; says which connection didn't end. */
void audit_stuck(void);
/* All is over. */
void audit_end(void);
/* A process of the gateway's is about to end: what its counters may and may not have counted. */
void audit_process(void);

#endif
