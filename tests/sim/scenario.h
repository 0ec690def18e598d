/* SPDX-License-Identifier: Apache-2.0 */
/* From a seed to a world: topology, options of each peer, traffic, segmentation, faults, and the gateway's decisions.
 */
#ifndef POSTERN_TESTS_SIM_SCENARIO_H
#define POSTERN_TESTS_SIM_SCENARIO_H

#include <stdint.h>

/* Makes world anew; to be closed by scenario_close. */
void scenario_open(uint64_t seed);
void scenario_close(void);

#endif
