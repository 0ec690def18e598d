/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scenario.h"

#include <stdio.h>

#include "tests/sim/attacker.h"
#include "tests/sim/decision.h"
#include "tests/sim/operator.h"
#include "tests/sim/session.h"
#include "tests/sim/traffic.h"
#include "tests/sim/world.h"
#include "tests/unit/random.h"

enum {
	FLOWS = 256,
	PACKETS = 4096,
	CALM_MAX_S = 20,
	PATIENCE_S = 900, /* after the faults stop: back-offs, persist timers and the gateway's idle time-out fit in */
	IDLE_S = 60,
	SUCCESSIONS_MAX = 4,
	LONG_IDLE_S = 600, /* where links are down for minutes */
	SECOND = 1000000,
	MS = 1000
};

/* --- links ------------------------------------------------------------------------------------------------------- */

static void
pick_link(struct link *link)
{
	uint32_t delay = WORLD_CHOOSE(10, 100, 500, 2000, 10000, 50000);

	*link = (struct link){.delay_us = {delay, delay}, .mtu = 1500};
	if (world_chance(10))
		link->delay_us[world_below(2)] += WORLD_CHOOSE(50, 200, 700) * MS;
	if (!world.stormy) /* half of all worlds: what goes wrong there is the gateway's fault alone */
		return;
	if (world_chance(60)) {
		link->loss = world_below(WORLD_CHOOSE(700, 3300, 6600)); /* up to 1, 5, 10 % */
		if (world_chance(20)) {
			link->burst = world_below(20000);
			link->burst_us = world_below(400 * MS);
		}
	}
	if (world_chance(40))
		link->repeat = world_below(6600);
	if (world_chance(50)) {
		link->reorder = world_below(13000);
		link->reorder_us = 1 + WORLD_CHOOSE(1000, 10000, 100000, 800000);
	}
	if (world_chance(20))
		link->corrupt = world_below(2000);
	if (world_chance(12)) {
		link->mtu = (uint16_t)WORLD_CHOOSE(1280, 1300, 1400, 1492);
		link->tells = world_chance(70);
	}
}

/* --- what happens in mid-run ------------------------------------------------------------------------------------- */

static void
plan_incident(uint64_t after_us, enum incident_kind kind, uint32_t target, uint32_t value)
{
	if (world.n_incidents < WORLD_INCIDENTS_MAX)
		world.incidents[world.n_incidents++] = (struct incident){world.now_us + after_us, kind, target, value};
}

static void
plan_troubles_of_link(unsigned device)
{
	struct link *link = &world.links[device];

	if (world.long_outages && world_chance(60)) {
		uint64_t begin = 100 * MS + world_below(10 * SECOND),
			 length = (60 + world_below(180)) * UINT64_C(1000000);
		plan_incident(begin, INCIDENT_LINK_DOWN, device, 0);
		plan_incident(begin + length, INCIDENT_LINK_UP, device, 0);
		link->troubled = link->outage = true;
	}
	if (world.stormy && world_chance(10)) {
		plan_incident(50 * MS + world_below(4 * SECOND), INCIDENT_MTU, device,
			      WORLD_CHOOSE(1280, 1300, 1400, 1492));
		link->tells = world_chance(60);
		link->troubled = true;
	}
}

static void
plan_scarcity(void)
{
	if (world.scarcity != SCARCE_PACKETS && world.scarcity != SCARCE_TX)
		return;
	for (unsigned n = 1 + world_below(5); n != 0; n--) {
		uint64_t at = world_below(8 * SECOND);
		if (world.scarcity == SCARCE_TX) {
			unsigned device = world_below(RIG_DEVICES);
			plan_incident(at, INCIDENT_TX_FULL, device, 0);
			plan_incident(at + world_below(300 * MS), INCIDENT_TX_FREE, device, 0);
			continue;
		}
		plan_incident(at, INCIDENT_STARVE, 0, world_below(8));
		plan_incident(at + world_below(300 * MS), INCIDENT_FEED, 0, 0);
	}
}

static void
plan_operator(void)
{
	if (!world.operated)
		return;
	for (unsigned n = world_below(5); n != 0; n--)
		plan_incident(world_below(12 * SECOND), INCIDENT_RELOAD, 0,
			      WORLD_CHOOSE(OPERATOR_ENDPOINTS, OPERATOR_ENDPOINTS, OPERATOR_LISTENER, OPERATOR_BROKEN,
					   OPERATOR_SAME));
	if (world_chance(30)) {
		uint64_t at = world_below(8 * SECOND);
		plan_incident(at, INCIDENT_DRAIN, 0, 0);
		if (world_chance(80))
			plan_incident(at + world_below(6 * SECOND), INCIDENT_UNDRAIN, 0, 0);
	}
}

static void
plan_restarts(void)
{
	for (unsigned n = world_chance(12) ? 1 + world_below(2) : 0; n != 0; n--)
		plan_incident(100 * MS + world_below(10 * SECOND), INCIDENT_RESTART, world_below(world.n_endpoints), 0);
}

/* In one world of three another process takes over, now and then. Where tables or rings are too
 * small it has as many workers: the connections are to fit in. */
static void
plan_successions(void)
{
	bool any_number = world.scarcity != SCARCE_FLOWS && world.scarcity != SCARCE_INBOX;

	for (unsigned n = world_chance(33) ? 1 + world_below(SUCCESSIONS_MAX) : 0; n != 0; n--)
		plan_incident(world_below(6 * SECOND), INCIDENT_SUCCESSION, 0,
			      any_number && world_chance(25) ? 1 + world_below(RIG_WORKERS_MAX) : world.rig.n_workers);
}

/* --- endpoints --------------------------------------------------------------------------------------------------- */

static void
pick_endpoints(void)
{
	bool any_bad = world_chance(25);

	world.n_endpoints = 1 + world_below(world.operated ? WORLD_ENDPOINTS_MAX : 6);
	bool v6 = world_chance(40), mixed = world_chance(20);
	for (unsigned i = 0; i < world.n_endpoints; i++) {
		struct host *endpoint = &world.endpoints[i];
		*endpoint = (struct host){.addr = rig_addr(v6 ? "2001:db8:2::10" : "198.51.100.16"),
					  .port = WORLD_ENDPOINT_PORT};
		endpoint->addr.bytes[15] = (uint8_t)(16 + i);
		endpoint->traits = endpoint->before = traffic_host(!v6);
		endpoint->after = traffic_host(!v6);
		if (any_bad && world_chance(50))
			endpoint->habit = (enum endpoint_habit)(1 + world_below(5));
		endpoint->removed = world_chance(3);
		v6 ^= mixed;
		if (i != 0 && world_chance(10)) { /* another port of the host before */
			*endpoint = world.endpoints[i - 1];
			endpoint->port++;
			v6 = !ip_addr_is_v4(&endpoint->addr);
		}
	}
}

/* What the stand-in has learned of the endpoints: all, nothing, or something that has changed since. */
static void
pick_offer(void)
{
	struct listener_offer *offer = &world.rig.offer;
	unsigned knowledge = world_below(10);

	*offer = (struct listener_offer){.live = 1, .sack = true, .timestamps = knowledge != 0, .mss = 0};
	uint16_t least = 1460;
	for (unsigned i = 0; i < world.n_endpoints; i++) {
		const struct peer_traits *traits = &world.endpoints[i].traits;
		uint16_t mss = traits->mss != 0 ? traits->mss : ip_addr_is_v4(&world.endpoints[i].addr) ? 536 : 1220;
		least = mss < least ? mss : least;
		if (knowledge != 9) {
			offer->sack = offer->sack && traits->sack;
			offer->timestamps = offer->timestamps && traits->timestamps;
		}
	}
	if (knowledge != 0 && world_chance(60))
		offer->mss = least;
	if (knowledge == 1)
		offer->mss = (uint16_t)(536 + world_below(925));
	offer->plain = world.plain;
}

/* --- clients ----------------------------------------------------------------------------------------------------- */

static void
pick_slots(void)
{
	world.n_slots = 1 + world_below(WORLD_SLOTS_MAX);
	for (unsigned i = 0; i < world.n_slots; i++) {
		bool v6 = world_chance(40);
		world.slots[i].addr = rig_addr(v6 ? "2001:db8:1::10" : "192.0.2.16");
		world.slots[i].addr.bytes[15] = (uint8_t)(16 + world_below(4));
		world.slots[i].gate = rig_addr(v6 ? "2001:db8:1::1" : "192.0.2.1");
		world.slots[i].port = (uint16_t)(40000 + i);
		world.slots[i].gate_port = world.operated && world_chance(40) ? WORLD_ISTIO_PORT : WORLD_LISTEN_PORT;
	}
}

static void
plan_connections(void)
{
	uint64_t starts[WORLD_SLOTS_MAX] = {0};

	for (unsigned i = 0; i < world.n_slots; i++)
		starts[i] = world.now_us + world_below(200 * MS);
	world.n_connections = world.n_slots + world_below(2 * world.n_slots + 1);
	for (unsigned i = 0; i < world.n_connections; i++) {
		unsigned slot = i % world.n_slots;
		traffic_plan(i, slot, starts[slot]);
		starts[slot] += world_below(6 * SECOND);
	}
}

/* --- the gateway ------------------------------------------------------------------------------------------------- */

static void
open_rig(uint64_t seed)
{
	struct rig_options options = {.n_workers = 1, .flows = FLOWS, .packets = PACKETS};

	session_open(seed, &options);
	if (world_chance(25)) {
		options.n_workers = 2 + world_below(3);
		options.spreads = world_chance(50);
	}
	world.scarcity = world_chance(20) ? (enum scarcity)(1 + world_below(SCARCITIES - 1)) : SCARCE_NOTHING;
	if (world.scarcity == SCARCE_FLOWS)
		options.flows = 1 + world_below(world_chance(50) ? 4 : 20);
	if (world.scarcity == SCARCE_HOLDS || (world.scarcity == SCARCE_FLOWS && world_chance(50)))
		options.holds = 8;
	if (world.scarcity == SCARCE_HOLDS)
		options.holds_taken = world_chance(70) ? 5 + world_below(3) : 0;
	if (world.scarcity == SCARCE_NEIGHBOURS)
		options.neighbours = (uint16_t)(1 + world_below(4));
	if (world.scarcity == SCARCE_INBOX) {
		options.n_workers = 2 + world_below(3);
		options.spreads = world_chance(50);
		options.inbox = WORLD_CHOOSE(2, 4, 8);
	}
	rig_open_with(&world.rig, &options);
	world.rig.may_miss = world.scarcity == SCARCE_PACKETS;
}

static void
prepare_workers(void)
{
	struct rig *rig = &world.rig;
	uint64_t isn[2], cookie[2], port[2];

	rig->conf.flow.idle_timeout_s = world.idle_timeout_s;
	rig->conf.flow.half_closed_timeout_s = world.idle_timeout_s;
	rig->conf.flow.rst_per_second = 100000;
	random_fill(&world.random, isn, sizeof(isn));
	random_fill(&world.random, cookie, sizeof(cookie));
	random_fill(&world.random, port, sizeof(port));
	bool wraps = world_chance(30); /* the workers' clock */
	if (wraps)
		rig->now_ms = UINT64_C(0xffffffff) - world_below(20000);
	for (unsigned i = 0; i < rig->n_workers; i++) {
		struct worker *worker = &rig->workers[i];
		worker->rst_allowance = 100000;
		worker->now_ms = rig->now_ms;
		worker->clock_ms = (uint32_t)rig->now_ms;
		worker->rst_second = rig->now_ms / 1000;
		if (wraps)
			timer_wheel_init(&worker->wheel, worker->clock_ms);
		random_fill(&world.random, worker->random_state, sizeof(worker->random_state));
		memcpy(worker->isn_secret, isn, sizeof(isn));
		memcpy(worker->cookie_secret, cookie, sizeof(cookie));
		memcpy(worker->port_secret, port, sizeof(port));
	}
}

void
scenario_open(uint64_t seed)
{
	memset((char *)&world + sizeof(world.rig), 0, sizeof(world) - sizeof(world.rig));
	world.seed = seed;
	/* Mixed: the states that follow each other lie so far apart too (random.h), and the worlds of neighbouring
	 * seeds would be one and the same, begun a little later. */
	world.random = seed;
	world.random = random_64(&world.random);
	open_rig(seed);
	world.operated = world_chance(35) && !session_all;
	world.stormy = world_chance(50);
	world.long_outages = world.stormy && world_chance(4);
	world.patient = !world.long_outages && world_chance(12);
	world.idle_timeout_s = world.long_outages ? LONG_IDLE_S : IDLE_S;
	world.connect_timeout_ms = WORLD_CHOOSE(1500, 1500, 1500, 10000);
	prepare_workers();
	world.now_us = world.rig.now_ms * 1000;
	world.gate_at_us = world.now_us;

	pick_link(&world.links[RIG_WAN]);
	pick_link(&world.links[RIG_LAN]);
	world.calm_at_us = world.now_us + (uint64_t)world_below(CALM_MAX_S * SECOND);
	world.fifo =
		world.links[0].reorder + world.links[1].reorder + world.links[0].repeat + world.links[1].repeat == 0;
	world.burst_us = world.scarcity == SCARCE_INBOX ? 1000 : WORLD_CHOOSE(0, 0, 50, 1000);
	pick_endpoints();
	pick_offer();
	decision_open();
	if (world.operated)
		operator_open();
	for (unsigned i = 0; i < RIG_DEVICES; i++)
		plan_troubles_of_link(i);
	plan_scarcity();
	plan_operator();
	plan_restarts();
	plan_successions();
	pick_slots();
	plan_connections();
	/* Where of every burst one packet gets through, and no other, it takes long. */
	uint32_t patience_s = PATIENCE_S * (world.scarcity == SCARCE_INBOX ? 2 : 1);
	world.limit_us = world.calm_at_us + (uint64_t)(patience_s + 4 * (world.idle_timeout_s - IDLE_S)) * SECOND;
	attacker_open(seed);
}

void
scenario_close(void)
{
	if (world.operated)
		operator_close();
	unsigned lost = rig_close(&world.rig);
	if (lost != 0)
		world_fail("%u packet buffers were lost", lost);
}
