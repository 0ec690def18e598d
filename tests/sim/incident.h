/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to links, hosts, pools and the federation while connections go on (world.h's struct incident). */
#ifndef POSTERN_TESTS_SIM_INCIDENT_H
#define POSTERN_TESTS_SIM_INCIDENT_H

#include "tests/sim/world.h"

void incident_happens(const struct incident *incident);

#endif
