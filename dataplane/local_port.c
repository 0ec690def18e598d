/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/local_port.h"

#include <netinet/in.h>

#include "dataplane/flow_close.h"
#include "dataplane/syn_cookie.h"

uint16_t
local_port_owner(uint16_t port, uint16_t n_workers)
{
	return ntohs(port) % n_workers;
}

/* A packet to a listener's port is a client's, and goes to the worker that clients' addresses hash to. */
static bool
is_listeners(const struct worker *worker, const struct flow_key *key)
{
	const struct ip_addr *ours = &worker->net->addresses[key->local_addr].addr;
	struct listener_offer offer;

	return worker->hooks->listener(worker->hooks->context, ours, ntohs(key->local_port), &offer);
}

bool
local_port_choose(struct worker *worker, struct flow_key *key)
{
	uint32_t first = worker->conf->flow.local_port_first, last = worker->conf->flow.local_port_last;
	uint32_t step = worker->n_workers;
	uint32_t mine =
		first + (worker->id + step - first % step) % step; /* the first of the range that is this worker's */
	if (mine > last)
		return false;
	uint32_t span = (last - mine) / step + 1;

	uint64_t words[3];
	key->local_port = 0;
	memcpy(words, key, sizeof(words));
	uint64_t hash = siphash(worker->port_secret, words, 3);
	uint32_t *counter = &worker->port_counters[hash >> 32 & (WORKER_PORT_COUNTERS - 1)];
	uint32_t tries = span < LOCAL_PORT_TRIES ? span : LOCAL_PORT_TRIES, lingering = FLOW_NONE;

	for (uint32_t i = 0; i < tries; i++) {
		uint32_t at = ((uint32_t)hash + (*counter)++) % span;
		key->local_port = htons((uint16_t)(mine + at * step));
		uint32_t user = flow_ref_index(flow_table_find(&worker->flows, key));
		if (user == FLOW_NONE && !is_listeners(worker, key))
			return true;
		if (lingering == FLOW_NONE && user != FLOW_NONE &&
		    flow_table_get(&worker->flows, user)->state == FLOW_CLOSING)
			lingering = user;
	}
	if (lingering == FLOW_NONE)
		return false;
	key->local_port = flow_table_get(&worker->flows, lingering)->leg[LEG_ENDPOINT].local_port;
	flow_dispose(worker, lingering);
	return true;
}
