/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers ask of the gateway, in between: each question is checked against what the client really sent, then
 * answered by the real gateway (operator.h) and its answer checked, or by a stand-in that knows no names and takes any
 * endpoint.
 */
#ifndef POSTERN_TESTS_SIM_DECISION_H
#define POSTERN_TESTS_SIM_DECISION_H

/* Puts the hooks into the rig of the world. */
void decision_open(void);

#endif
