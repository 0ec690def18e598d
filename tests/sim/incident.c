/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/incident.h"

#include <stdio.h>

#include "tests/sim/audit.h"
#include "tests/sim/operator.h"
#include "tests/sim/session.h"

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

/* What wasn't established is begun anew, perhaps with another endpoint; the one that it had is left with half of it. */
static void
begin_anew(struct connection *connection)
{
	struct peer *endpoint = &connection->peer[LEG_ENDPOINT];

	connection->bound = connection->active = false;
	connection->dial = 0;
	connection->attempts++;
	if (peer_is_over(endpoint))
		return;
	peer_forget(endpoint);
	endpoint->state = PEER_NONE;
}

/* Whether its ends are still to be told that bytes of it are lost. */
static bool
owes_farewell(const struct connection *connection)
{
	return connection->excused &&
	       world.now_us < connection->ended_at_us + UINT64_C(1000) * (ADOPT_FAREWELL_MS + 10);
}

/* The gateway's process dies, and another one adopts its flows. */
static void
succeed(unsigned n_workers)
{
	const struct flow_adoption *adoption = &world.rig.adoption;
	unsigned before = world.rig.n_workers;

	world_turn_gate();
	audit_process();
	for (unsigned i = 0; i < world.n_connections; i++)
		world.connections[i].untold |= owes_farewell(&world.connections[i]);
	session_die();
	if (world.operated)
		operator_succeed(n_workers);
	rig_restart(&world.rig, n_workers);
	if (world.operated)
		operator_adopted();
	world.successions++;
	world.adopted += adoption->spliced;
	if (world.verbose)
		printf("      of %u flows %u spliced, %u closing, %u forgotten, %u reset\n", adoption->found,
		       adoption->spliced, adoption->closing, adoption->forgotten, adoption->held);
	if (adoption->damaged + adoption->address + adoption->full != 0)
		world_fail("a flow wasn't adopted");
	if (!rig_adopted_well(&world.rig))
		world_fail("the tables aren't as they must be after an adoption");
	for (unsigned i = 0; i < world.n_connections; i++) {
		struct connection *connection = &world.connections[i];
		const struct host *host = &world.endpoints[connection->endpoint];
		if (connection->spliced || !connection->attempts)
			continue;
		if (!connection->bound ||
		    rig_flow(&world.rig, LEG_ENDPOINT, &host->addr, host->port, connection->gate_port) == NULL)
			begin_anew(connection);
	}
	for (unsigned i = 0; i < world.n_connections; i++)
		if (world.connections[i].bridged && world.connections[i].active)
			world.connections[i].met |= SITUATION_BIT(MET_BRIDGE_DIED);
	note_those_that_go_on(MET_OUTLIVED_PROCESS);
	if (world.operated)
		note_those_that_go_on(MET_OUTLIVED_REAL_PROCESS);
	if (n_workers != before)
		note_those_that_go_on(MET_OTHER_WORKERS);
	world_after_gate();
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
	case INCIDENT_SUCCESSION:
		succeed(incident->value);
		return;
	}
}
