/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers ask of the gateway, in between: each question is checked against what the client really sent, then
 * answered by the real gateway (operator.h) and its answer checked, or by a stand-in that knows no names and takes any
 * endpoint.
 */
#ifndef POSTERN_TESTS_SIM_DECISION_H
#define POSTERN_TESTS_SIM_DECISION_H

#include "tests/sim/world.h"

/* Puts the hooks into the rig of the world. */
void decision_open(void);
/* The stand-in's dial of an endpoint; false: no new connections go there. */
bool decision_dial_to(unsigned endpoint, struct dial *dial);
/* A connection is about to be sent there; attempt: as in decide_input. */
void decision_note_dial(struct connection *connection, unsigned attempt, unsigned endpoint);

#endif
