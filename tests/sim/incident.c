/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/incident.h"

#include <stdio.h>

#include "tests/sim/audit.h"
#include "tests/sim/operator.h"

/* Notes a situation of all connections that go on at this moment. */
static void
note_those_that_go_on(enum situation situation)
{
	for (unsigned i = 0; i < world.n_connections; i++)
		if (world.connections[i].spliced && !audit_is_over(&world.connections[i]))
			world.connections[i].met |= SITUATION_BIT(situation);
}

/* The host forgets all its connections, tells nobody, and comes back as another release of its system. */
static void
restart(unsigned target)
{
	const struct ip_addr host = world.endpoints[target].addr;

	for (unsigned i = 0; i < world.n_endpoints; i++) {
		struct host *endpoint = &world.endpoints[i];
		if (!ip_addr_equal(&endpoint->addr, &host))
			continue;
		if (!endpoint->restarted)
			endpoint->before = endpoint->traits;
		endpoint->traits = world.endpoints[target].after;
		endpoint->restarted = true;
	}
	for (unsigned i = 0; i < world.n_connections; i++) {
		struct connection *connection = &world.connections[i];
		struct peer *peer = &connection->peer[LEG_ENDPOINT];
		if (!connection->active || !ip_addr_equal(&world.endpoints[connection->endpoint].addr, &host))
			continue;
		if (!connection->spliced)
			connection->may_fail_dial = true;
		if (peer->state == PEER_NONE || peer_is_over(peer))
			continue;
		peer_forget(peer);
		connection->restarted = true;
	}
}

static void
reload(enum operator_change change)
{
	unsigned before = world.reloads;

	operator_reload(change);
	note_those_that_go_on(world.reloads != before ? MET_OUTLIVED_RELOAD : MET_OUTLIVED_BROKEN_RELOAD);
	for (unsigned i = 0; i < world.n_connections; i++) {
		struct connection *connection = &world.connections[i];
		if (!connection->spliced || audit_is_over(connection))
			continue;
		if (!operator_may_reach(connection, connection->endpoint))
			connection->met |= SITUATION_BIT(MET_OUTLIVED_REMOVAL);
		if (!operator_listens(connection->peer[LEG_CLIENT].gate_port))
			connection->met |= SITUATION_BIT(MET_OUTLIVED_LISTENER);
	}
}

void
incident_happens(const struct incident *incident)
{
	struct link *link = &world.links[incident->target % RIG_DEVICES];

	if (world.verbose)
		printf("      incident %d of %u: %u\n", (int)incident->kind, incident->target, incident->value);
	switch (incident->kind) {
	case INCIDENT_LINK_DOWN:
		link->down = true;
		note_those_that_go_on(MET_OUTAGE);
		return;
	case INCIDENT_LINK_UP:
		link->down = false;
		return;
	case INCIDENT_MTU:
		if (incident->value < link->mtu)
			link->mtu = (uint16_t)incident->value;
		note_those_that_go_on(link->tells ? MET_MTU_SHRANK_TOLD : MET_MTU_SHRANK_HOLE);
		return;
	case INCIDENT_RESTART:
		restart(incident->target);
		return;
	case INCIDENT_RELOAD:
		reload((enum operator_change)incident->value);
		return;
	case INCIDENT_DRAIN:
		operator_drain(true);
		note_those_that_go_on(MET_OUTLIVED_DRAIN);
		return;
	case INCIDENT_UNDRAIN:
		operator_drain(false);
		return;
	case INCIDENT_STARVE:
		rig_take_buffers(incident->value);
		return;
	case INCIDENT_FEED:
		rig_give_back();
		return;
	case INCIDENT_TX_FULL:
		world.rig.sent[incident->target].refuse = UINT16_MAX;
		return;
	case INCIDENT_TX_FREE:
		world.rig.sent[incident->target].refuse = 0;
		return;
	}
}
