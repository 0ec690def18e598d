/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/situation.h"

enum { JUMBO = 8960, MANY_SYN_ACKS = 3 };

static uint64_t
bit_if(bool condition, enum situation situation)
{
	return condition ? SITUATION_BIT(situation) : 0;
}

/* By the options of both ends. */
static uint64_t
of_options(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	const struct peer_traits *a = &client->traits, *b = &endpoint->traits;

	return bit_if(a->scale == 0 || b->scale == 0, MET_SCALE_0) |
	       bit_if(a->scale == 14 || b->scale == 14, MET_SCALE_14) |
	       bit_if((a->scale == PEER_NO_SCALE) != (b->scale == PEER_NO_SCALE), MET_NO_SCALE) |
	       bit_if(a->sack != b->sack, MET_NO_SACK) |
	       bit_if(!client->timestamps && !endpoint->timestamps, MET_NO_TIMESTAMPS) |
	       bit_if(client->timestamps && endpoint->timestamps, MET_TIMESTAMPS) |
	       bit_if(a->mss == 536 || b->mss == 536, MET_MSS_536) | bit_if(a->mss == JUMBO, MET_JUMBO_CLIENT) |
	       bit_if(b->mss == JUMBO, MET_JUMBO_ENDPOINT) | bit_if(a->ecn, MET_ECN) |
	       bit_if(a->oddities, MET_ODDITIES) | bit_if(a->syn_data != 0, MET_SYN_DATA) |
	       bit_if(a->urgent || b->urgent, MET_URGENT) | bit_if(a->doubles || b->doubles, MET_REPEATS_ALL);
}

static bool
hosts_differ(const struct peer_traits *a, const struct peer_traits *b)
{
	return a->mss != b->mss || a->scale != b->scale || a->sack != b->sack || a->timestamps != b->timestamps;
}

static uint64_t
of_endpoints(const struct connection *connection)
{
	const struct host *mine = &world.endpoints[connection->endpoint];
	uint64_t met = bit_if(mine->habit == ENDPOINT_CHALLENGES && connection->challenged, MET_CHALLENGED) |
		       bit_if(mine->habit == ENDPOINT_DEAF_ONCE && connection->deafened, MET_ENDPOINT_DEAF);

	for (unsigned i = 0; i < world.n_endpoints; i++) {
		const struct host *other = &world.endpoints[i];
		if (hosts_differ(&mine->traits, &other->traits))
			met |= SITUATION_BIT(MET_POOL_DIFFERS);
		if (other != mine && ip_addr_equal(&other->addr, &mine->addr))
			met |= SITUATION_BIT(MET_NEW_PORT);
	}
	return met;
}

static uint64_t
of_links(void)
{
	const struct link *links = world.links;

	return bit_if(!world.stormy && world.scarcity == SCARCE_NOTHING, MET_CALM) |
	       bit_if(links[0].delay_us[0] != links[0].delay_us[1] || links[1].delay_us[0] != links[1].delay_us[1],
		      MET_LOPSIDED) |
	       bit_if(links[0].corrupt + links[1].corrupt != 0, MET_CORRUPTED);
}

static uint64_t
of_workers(void)
{
	const struct rig *rig = &world.rig;
	static const struct {
		enum scarcity scarcity;
		enum reason reason;
		enum situation situation;
	} FULL[] = {
		{SCARCE_FLOWS, REASON_FLOW_TABLE_FULL, MET_FULL_FLOWS},
		{SCARCE_HOLDS, REASON_HOLD_POOL_EMPTY, MET_FULL_HOLDS},
		{SCARCE_PACKETS, REASON_PACKET_POOL_EMPTY, MET_FULL_PACKETS},
		{SCARCE_NEIGHBOURS, REASON_NEIGHBOUR_TABLE_FULL, MET_FULL_NEIGHBOURS},
		{SCARCE_INBOX, REASON_HANDOVER_FULL, MET_FULL_INBOX},
		{SCARCE_TX, REASON_TX_FULL, MET_FULL_TX},
	};
	uint64_t met = bit_if(rig->n_workers > 1, rig->options.spreads ? MET_WORKERS_SPREAD : MET_WORKERS_ONE_QUEUE);

	for (unsigned i = 0; i < sizeof(FULL) / sizeof(FULL[0]); i++)
		met |= bit_if(world.scarcity == FULL[i].scarcity && rig_reason_count(rig, FULL[i].reason) != 0,
			      FULL[i].situation);
	return met;
}

uint64_t
situation_of(const struct connection *connection, bool complete)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	uint64_t told = SITUATION_BIT(MET_IDLE_TOLD);

	if (!complete)
		return (connection->met &
			(SITUATION_BIT(MET_TURNED_AWAY_DRAINING) | SITUATION_BIT(MET_TURNED_AWAY_LISTENER))) |
		       bit_if((connection->met & told) != 0 && connection->excused && client->state == PEER_RESET &&
				      endpoint->state == PEER_RESET,
			      MET_IDLE_TOLD) |
		       bit_if((connection->met & SITUATION_BIT(MET_BRIDGE_DIED)) != 0 && connection->excused &&
				      client->state == PEER_RESET && endpoint->state == PEER_RESET,
			      MET_BRIDGE_DIED) |
		       bit_if(connection->restarted && client->state == PEER_RESET, MET_RESTARTED_UNDER);
	uint64_t met = (connection->met & ~(told | SITUATION_BIT(MET_BRIDGE_DIED))) | of_options(connection) |
		       of_endpoints(connection) | of_links() | of_workers() | bit_if(world.operated, MET_REAL_GATEWAY) |
		       bit_if(world.attacked, MET_ATTACKED) |
		       bit_if(client->fin_crossed && endpoint->fin_crossed, MET_SIMULTANEOUS_CLOSE) |
		       bit_if(connection->reused, MET_PORT_REUSED) |
		       bit_if(connection->syn_acks_lost[LEG_CLIENT] >= MANY_SYN_ACKS, MET_SYN_ACKS_LOST) |
		       bit_if(connection->syn_acks_lost[LEG_ENDPOINT] != 0, MET_ENDPOINT_SYN_ACKS_LOST);
	if (!client->kept_alive)
		met &= ~SITUATION_BIT(MET_IDLE_KEPT);
	return met;
}
