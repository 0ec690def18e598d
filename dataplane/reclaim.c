/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/reclaim.h"

#include "dataplane/bridge.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"

uint16_t
reclaim_source(const struct worker *worker, const struct ip_addr *client)
{
	struct flow_key key = {.peer = *client};

	if (!ip_addr_is_v4(client))
		key.peer.longs[1] = 0;
	return flow_table_hash(&worker->flows, &key) % HOLD_SOURCES;
}

/* No line in the access log: who fills our tables mustn't fill the disk as well. */
static void
give_up(struct worker *worker, uint32_t hold_index)
{
	const struct hold *hold = hold_get(&worker->holds, hold_index);
	uint32_t index = hold->flow;
	struct flow_leg *client = &flow_table_get(&worker->flows, index)->leg[LEG_CLIENT];

	if (hold->queue == HOLD_QUEUE_ENDPOINT)
		dial_abandon(worker, index);
	if (hold->acked != 0 || hold->plain)
		emit_reset_peer(worker, client, client->ack, hold->client_isn + 1 + hold->acked);
	worker_count(worker, REASON_RECLAIMED);
	worker->stats->refused++;
	flow_dispose(worker, index);
}

/* The one that has waited longest for its hello from a source that has no fewer of them than the average; those before
 * it go to the end. 0: there is none at all. */
static uint32_t
crowded(struct worker *worker)
{
	struct hold_pool *pool = &worker->holds;
	uint32_t index = pool->oldest[HOLD_QUEUE_HELLO];

	for (unsigned i = 0; i < RECLAIM_LOOK && index != 0; i++) {
		if ((uint64_t)pool->crowd[hold_get(pool, index)->source] * pool->crowds >= pool->waiting)
			break;
		hold_enqueue(pool, index, HOLD_QUEUE_HELLO, worker->clock_ms);
		index = pool->oldest[HOLD_QUEUE_HELLO];
	}
	return index;
}

static bool
reclaim_hold(struct worker *worker)
{
	const struct hold_pool *pool = &worker->holds;
	uint32_t index = crowded(worker);

	if (index == 0) {
		index = pool->oldest[HOLD_QUEUE_ENDPOINT];
		if (index == 0 || worker->clock_ms - hold_get(pool, index)->queued_ms < RECLAIM_SILENT_MS)
			return false;
	}
	give_up(worker, index);
	return true;
}

bool
reclaim_large(struct worker *worker, uint32_t hold_index)
{
	if (!hold_large_is_empty(&worker->holds))
		return true;
	uint32_t other = hold_large_waiting(&worker->holds, hold_index);
	if (other == 0)
		return false;
	give_up(worker, other);
	return true;
}

/* The connection is established, but nothing shows that its client wanted more than that. */
static bool
is_idle_handshake(const struct worker *worker, const struct flow *flow)
{
	/* Without a hello, it may be the endpoint who has something to say. */
	return flow->state == FLOW_SPLICED && flow->leg[LEG_CLIENT].bytes == flow->hello_length &&
	       (flow->hello_length != 0 || flow->leg[LEG_ENDPOINT].bytes == 0) &&
	       worker->now_ms + worker->wall_offset_ms - flow_opened(flow) >= UINT64_C(1000) * RECLAIM_IDLE_S;
}

static bool
reclaim_record(struct worker *worker)
{
	uint32_t idle = FLOW_NONE;

	for (unsigned i = 0; i < RECLAIM_RECORDS; i++) {
		uint32_t index = worker->reclaim_hand = worker->reclaim_hand % flow_table_touched(&worker->flows) + 1;
		const struct flow *flow = flow_table_get(&worker->flows, index);
		if (flow->state == FLOW_CLOSING) {
			flow_dispose(worker, index);
			return true;
		}
		if (idle == FLOW_NONE && is_idle_handshake(worker, flow))
			idle = index;
	}
	if (reclaim_hold(worker))
		return true;
	if (idle == FLOW_NONE)
		return false;
	flow_abort(worker, idle, REASON_HANDSHAKE_RECLAIMED);
	flow_dispose(worker, idle);
	return true;
}

bool
reclaim_bridge(struct worker *worker)
{
	struct bridge_pool *pool = &worker->bridges;
	uint32_t alone = FLOW_NONE;

	for (unsigned i = 0; i < RECLAIM_RECORDS && i < pool->touched; i++) {
		pool->hand = pool->hand % pool->touched + 1;
		const struct bridge *bridge = bridge_pool_get(pool, pool->hand);
		if (bridge->flow == FLOW_NONE)
			continue;
		if (flow_table_get(&worker->flows, bridge->flow)->state == FLOW_CLOSING) {
			flow_dispose(worker, bridge->flow);
			return true;
		}
		if (bridge->phase == BRIDGE_ALONE &&
		    (alone == FLOW_NONE || flow_opened(flow_table_get(&worker->flows, bridge->flow)) <
						   flow_opened(flow_table_get(&worker->flows, alone))))
			alone = bridge->flow;
	}
	if (alone == FLOW_NONE)
		return false;
	bridge_abort(worker, alone, REASON_HANDSHAKE_RECLAIMED);
	return true;
}

/* A number that changes whenever somebody takes what waits in a bridge: a peer, or the session. */
static uint32_t
how_far(const struct bridge *bridge)
{
	uint32_t sum = 0;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		const struct tcp *tcp = &bridge->tcp[leg];
		sum += (leg + 1) * (tcp->una + 3 * (tcp->rcv_nxt - tcp->received.bytes));
	}
	return sum;
}

static bool
is_stuck(const struct worker *worker, struct bridge *bridge)
{
	uint32_t moved = how_far(bridge);

	if (bridge->moved != moved || bridge_packets(bridge) < BRIDGE_FEW_PACKETS) {
		bridge->moved = moved;
		bridge->moved_ms = worker->clock_ms;
		return false;
	}
	return worker->clock_ms - bridge->moved_ms >= RECLAIM_STUCK_MS;
}

void
reclaim_packets(struct worker *worker)
{
	struct bridge_pool *pool = &worker->bridges;

	for (unsigned i = 0; i < RECLAIM_RECORDS && i < pool->touched; i++) {
		pool->hand = pool->hand % pool->touched + 1;
		struct bridge *bridge = bridge_pool_get(pool, pool->hand);
		if (bridge->flow != FLOW_NONE && is_stuck(worker, bridge)) {
			bridge_abort(worker, bridge->flow, REASON_PACKETS_RECLAIMED);
			return;
		}
	}
}

enum reason
reclaim_room(struct worker *worker, bool urgent)
{
	if (hold_pool_is_empty(&worker->holds) && !(urgent && reclaim_hold(worker)))
		return REASON_HOLD_POOL_EMPTY;
	if (flow_table_used(&worker->flows) == worker->flows.capacity && !(urgent && reclaim_record(worker)))
		return REASON_FLOW_TABLE_FULL;
	return REASON_NONE;
}
