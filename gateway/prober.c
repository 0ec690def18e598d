/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/prober.h"

#include <rte_ring_elem.h>
#include <stdlib.h>

#include "dataplane/probe.h"
#include "gateway/decide.h"

bool
prober_init(struct prober *prober, const struct live *live)
{
	*prober = (struct prober){.live = live, .asked_s = calloc(LIVE_SLOTS_MAX, sizeof(uint32_t))};
	return prober->asked_s != NULL;
}

void
prober_free(struct prober *prober)
{
	free(prober->asked_s);
	prober->asked_s = NULL;
}

static bool
is_due(const struct prober *prober, uint32_t slot, uint32_t now_s)
{
	struct tcp_profile profile;

	if (slot == 0 || (live_profile(prober->live, slot, &profile) && profile.sack && profile.timestamps))
		return false;
	return prober->asked_s[slot] == 0 || now_s - prober->asked_s[slot] >= PROBER_AGAIN_S;
}

void
prober_tick(struct prober *prober, const struct snapshot *snapshot, struct rte_ring *const *rings, unsigned n_workers,
	    uint32_t now_s)
{
	unsigned asked = 0;

	if (snapshot == NULL || snapshot->n_endpoints > DECIDE_OFFER_ENDPOINTS_MAX)
		return;
	for (uint32_t i = 0; i < snapshot->n_endpoints && asked < PROBER_RATE; i++) {
		if (prober->at >= snapshot->n_endpoints)
			prober->at = 0;
		const struct endpoint *endpoint = &snapshot->endpoints[prober->at++];
		if (!is_due(prober, endpoint->live, now_s))
			continue;
		struct probe_request request = {endpoint->addr, endpoint->port, 0, endpoint->live};
		if (rte_ring_enqueue_elem(rings[asked % n_workers], &request, sizeof(request)) == 0)
			prober->asked_s[endpoint->live] = now_s;
		asked++;
	}
}
