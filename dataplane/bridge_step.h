/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of bridge.h share: everything that a call of tcp.h for one bridge needs, and what follows from
 * such a call.
 */
#ifndef POSTERN_DATAPLANE_BRIDGE_STEP_H
#define POSTERN_DATAPLANE_BRIDGE_STEP_H

#include "dataplane/bridge.h"

struct bridge_step {
	struct tcp_env env;
	struct worker *worker;
	struct bridge *bridge;
	struct flow *flow;
	uint32_t index; /* of the flow */
};

void bridge_step_begin(struct bridge_step *step, struct worker *worker, struct bridge *bridge);

/* Whether the leg has a TCP endpoint. */
static inline bool
bridge_step_has(const struct bridge_step *step, unsigned leg)
{
	return leg == LEG_CLIENT || step->bridge->phase != BRIDGE_ALONE;
}

/* tcp_took, where there is still a connection to tell. */
void bridge_step_took(struct bridge_step *step, unsigned leg);
/* Keeps in the flow record what a leg's endpoint has come to. After whatever may have moved its numbers. */
void bridge_step_note(struct bridge_step *step, unsigned leg);
/* Sees to it that the flow's timer fires when something is due. The last word of every step. */
void bridge_step_arm(struct bridge_step *step);
/* Leaves something to bridge_settle: one of BRIDGE_FAILED, BRIDGE_CLOSES, BRIDGE_ENDS. What weighs more prevails, then
 * what was first. */
void bridge_step_leave(struct bridge_step *step, uint8_t what, enum reason reason);
/* The attempt to connect came to nothing: the endpoint leg goes, and the session will hear of it. */
void bridge_step_failed(struct bridge_step *step, enum reason reason);

/* Both sides are there. */
void bridge_step_join(struct bridge_step *step);
/* Moves what one side of a relay has received to the other, as far as there is room, and its FIN behind it. */
void bridge_step_relay(struct bridge_step *step, unsigned from);

#endif
