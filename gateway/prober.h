/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoints are to be probed for their TCP options, and when (dataplane/probe.h).
 *
 * An endpoint is probed when it isn't known to have both timestamps and SACK: once a minute at most, and PROBER_RATE of
 * them a second. One that has both isn't: should it lose one, the next connection to it tells (decide.h). That it has
 * it again no connection tells, because what an endpoint lacks isn't offered to the clients before it any more. A
 * federation with more endpoints than a listener's offer is worked out for isn't probed at all.
 */
#ifndef POSTERN_GATEWAY_PROBER_H
#define POSTERN_GATEWAY_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include "federation/snapshot.h"
#include "gateway/live.h"

struct rte_ring;

enum { PROBER_RATE = 64, PROBER_AGAIN_S = 60 };

struct prober {
	const struct live *live;
	uint32_t *
		asked_s; /* by live slot: when it was last asked, seconds of the clock given to prober_tick; 0: never */
	uint32_t at;     /* where in the snapshot's endpoints the last tick stopped */
};

bool prober_init(struct prober *prober, const struct live *live);
void prober_free(struct prober *prober);

/* Main thread, once a second: asks the workers, in turn, for what is due. rings: of struct probe_request, one for each
 * worker. */
void prober_tick(struct prober *prober, const struct snapshot *snapshot, struct rte_ring *const *rings,
		 unsigned n_workers, uint32_t now_s);

#endif
