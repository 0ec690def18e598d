/* SPDX-License-Identifier: Apache-2.0 */
/* Which of coverage.h's situations a connection has been through, when all is over. */
#ifndef POSTERN_TESTS_SIM_SITUATION_H
#define POSTERN_TESTS_SIM_SITUATION_H

#include "tests/sim/world.h"

/* complete: both ends got everything. */
uint64_t situation_of(const struct connection *connection, bool complete);

#endif
