/* SPDX-License-Identifier: Apache-2.0 */
/* Two devices that are each other's other end, inside the process: the generator against itself. */
#ifndef POSTERN_PERF_LOADGEN_RING_H
#define POSTERN_PERF_LOADGEN_RING_H

#include <stdbool.h>

#include "dataplane/net.h"

/* Makes both. False when there is no memory. */
bool ring_open(struct device pair[2]);

#endif
