/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold for a connection that ends at the gateway. Each of its sides talks to a TCP endpoint of the gateway's
 * own, so more can be said than of a splice: what the gateway acknowledges, by number or by SACK, is what has come to
 * it, whether the other end has it or not; it sends nothing that hasn't come to it from the other end; and of a window
 * that it has promised it takes nothing back.
 */
#ifndef POSTERN_TESTS_SIM_AUDIT_BRIDGE_H
#define POSTERN_TESTS_SIM_AUDIT_BRIDGE_H

#include "tests/sim/audit_said.h"
#include "tests/sim/world.h"

/* A peer's segment comes to the gateway. */
void audit_bridge_arrives(struct connection *connection, unsigned leg, const struct segment *segment);
/* Whether a connection has been ended by the gateway: by a session, or as a relay. */
bool audit_bridge_is(struct connection *connection);
/* What is wrong with a segment, no SYN, to a leg of such a connection; NULL: nothing. */
const char *audit_bridge_fault(struct connection *connection, unsigned leg, const struct segment *segment,
			       const struct said *said);
/* What is wrong with a session's SYN to its endpoint; NULL: nothing. */
const char *audit_bridge_syn_fault(const struct connection *connection, const struct segment *segment,
				   const struct said *said);
/* What a segment that is as it should be tells of the gateway. */
void audit_bridge_note(struct connection *connection, unsigned leg, const struct segment *segment);

#endif
