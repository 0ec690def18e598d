/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/syn_shed.h"

#include "dataplane/worker.h"

enum { TICK_MS = 100 };

static_assert((int)SYN_SHED_QUEUES > (int)NET_DEVICES_MAX, "one for each device, and one more");

void
syn_shed_burst(struct syn_shed *shed, unsigned queue, bool full)
{
	if (!full)
		shed->backlogs[queue] = 0;
}

/* Keyed by the table's secret: nobody can choose addresses that fall on one slot. */
static uint32_t
client_hash(const struct worker *worker, const struct ip_addr *client)
{
	struct flow_key key = {.peer = *client};

	if (!ip_addr_is_v4(client))
		key.peer.longs[1] = 0;
	uint32_t hash = flow_table_hash(&worker->flows, &key);
	return hash != 0 ? hash : 1;
}

bool
syn_shed_admits(struct worker *worker, const struct ip_addr *client)
{
	struct syn_shed *shed = &worker->shed;

	if (++*shed->backlog <= SYN_SHED_BACKLOG)
		return true;
	uint32_t hash = client_hash(worker, client), tick = worker->clock_ms / TICK_MS;
	struct syn_shed_known *known = &shed->known[hash % SYN_SHED_SLOTS];
	if (known->tag == hash && worker->clock_ms - known->seen_ms < SYN_SHED_FORGET_MS) {
		if (known->tick != tick) {
			known->tick = tick;
			known->answers = 0;
		}
		if (known->answers++ < SYN_SHED_KNOWN)
			return true;
	}
	return worker_random(worker) % SYN_SHED_SHARE == 0;
}

void
syn_shed_learn(struct worker *worker, const struct ip_addr *client)
{
	uint32_t hash = client_hash(worker, client);
	struct syn_shed_known *known = &worker->shed.known[hash % SYN_SHED_SLOTS];

	if (known->tag != hash && known->tag != 0 && worker->clock_ms - known->seen_ms < SYN_SHED_KEEP_MS)
		return;
	known->tag = hash;
	known->seen_ms = worker->clock_ms;
}
