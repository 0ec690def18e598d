/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scenario.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/attacker.h"
#include "tests/sim/audit.h"
#include "tests/sim/world.h"
#include "tests/unit/random.h"

enum {
	FLOWS = 256,
	PACKETS = 4096,
	CALM_MAX_S = 20,
	PATIENCE_S = 900, /* after the faults stop: back-offs, persist timers and the gateway's idle time-out fit in */
	SECOND = 1000000,
	MS = 1000,
	PIECES_MAX = 300, /* segments of a stream that is sent in small pieces */
	SLOW_HELLO_US = 1500 * MS,
	SERVICE_LIVE = 10
};

#define CHOOSE(...)                                                                                                    \
	((const uint32_t[]){__VA_ARGS__}[world_below(sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))])

/* --- the gateway's side ------------------------------------------------------------------------------------------ */

static bool
listener(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer)
{
	(void)context, (void)local;
	if (port != WORLD_LISTEN_PORT)
		return false;
	*offer = world.rig.offer;
	return true;
}

static bool
is_bad(const struct connection *connection, unsigned endpoint)
{
	enum endpoint_habit habit = world.endpoints[endpoint].habit;
	(void)connection;
	return habit == ENDPOINT_REFUSES || habit == ENDPOINT_BLACK_HOLE || habit == ENDPOINT_UNREACHABLE;
}

/* Whether a decision is to be made on bytes that the connection's client really sent. */
static bool
is_of(const struct connection *connection, const struct decide_input *input)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];
	return input->length <= client->written && memcmp(input->bytes, peer_stream(client, 0), input->length) == 0;
}

static bool
begins_in_the_middle(const struct connection *connection, const struct decide_input *input)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];
	return !is_of(connection, input) &&
	       memmem(peer_stream(client, 0), client->written, input->bytes, input->length) != NULL;
}

static enum decision
decide(void *context, unsigned worker, const struct decide_input *input, struct dial *dial, enum reason *reason,
       char sni[SNI_TEXT_MAX])
{
	struct connection *connection = world_client(&input->client, input->client_port, false);
	(void)context, (void)worker, (void)sni;

	if (connection == NULL || !connection->started) {
		world_fail("a decision is asked for about nobody's connection");
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	/* A late repeat of a hello, when the record of its connection is gone already, brings a good cookie all the
	 * same. */
	const struct connection *previous = world_client(&input->client, input->client_port, true);
	if (audit_is_over(connection) || (previous != NULL && is_of(previous, input) && !is_of(connection, input))) {
		connection->haunted = true;
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	if (begins_in_the_middle(connection, input)) {
		/* A segment that overtook the first fits the cookie by chance (syn_cookie.h). Its bytes are no hello.
		 */
		world.mistaken++;
		connection->may_time_out = true;
		connection->mistaken = true;
		*reason = REASON_HELLO_NOT_TLS;
		return DECISION_REFUSE;
	}
	if (!is_of(connection, input))
		world_fail("connection %u: the decision is to be made on other bytes than were sent",
			   connection->number);
	if (input->length < connection->hello)
		return DECISION_MORE;
	unsigned first = world_below(world.n_endpoints);
	for (unsigned i = 0; i < world.n_endpoints; i++) {
		unsigned chosen = (first + i) % world.n_endpoints;
		uint32_t live = WORLD_FIRST_LIVE + chosen;
		if (world.endpoints[chosen].removed || live == input->tried[0] || live == input->tried[1])
			continue;
		*dial = (struct dial){.addr = world.endpoints[chosen].addr,
				      .port = WORLD_ENDPOINT_PORT,
				      .endpoint = live,
				      .service = SERVICE_LIVE,
				      .connect_timeout_ms = 1500};
		connection->endpoint = chosen;
		connection->attempts++;
		if (is_bad(connection, chosen) ||
		    (world.rig.offer.timestamps && !world.endpoints[chosen].traits.timestamps))
			connection->may_fail_dial = true;
		if (world.n_dialled < WORLD_CONNECTIONS_MAX)
			world.dialled[world.n_dialled++] = connection->number;
		return DECISION_DIAL;
	}
	if (input->attempt == 0)
		connection->may_fail_dial = true; /* there really is none */
	*reason = REASON_NO_ENDPOINT;
	return DECISION_REFUSE;
}

static void
learned(void *context, unsigned worker, uint32_t endpoint, const struct tcp_profile *profile)
{
	const struct peer_traits *traits = &world.endpoints[endpoint - WORLD_FIRST_LIVE].traits;
	(void)context, (void)worker;

	if (endpoint < WORLD_FIRST_LIVE || endpoint >= WORLD_FIRST_LIVE + world.n_endpoints) {
		world_fail("options were learned from an endpoint that doesn't exist");
		return;
	}
	if (profile->mss != traits->mss || (profile->timestamps && !traits->timestamps) ||
	    (profile->sack && !traits->sack))
		world_fail("options were learned of endpoint %u that it doesn't have", endpoint - WORLD_FIRST_LIVE);
}

/* --- peers ------------------------------------------------------------------------------------------------------- */

static uint32_t
pick_isn(void)
{
	if (world_chance(40))
		return UINT32_MAX - world_below(40000);
	if (world_chance(10))
		return 0x7fffffff - world_below(2000);
	return (uint32_t)random_64(&world.random);
}

static uint32_t
pick_length(void)
{
	uint32_t dice = world_below(1000);

	if (dice < 300)
		return 0;
	if (dice < 650)
		return world_below(2000);
	if (dice < 930)
		return world_below(16000);
	if (dice < 988)
		return world_below(80000);
	return world_below(400000);
}

/* What belongs to a host: its TCP's options and habits. */
static struct peer_traits
pick_host(bool v4)
{
	struct peer_traits traits = {
		.mss = (uint16_t)CHOOSE(0, 536, 1220, 1360, 1400, 1440, 1460, 1460, 1460, 1460, 8960),
		.scale = (uint8_t)CHOOSE(PEER_NO_SCALE, 0, 1, 2, 5, 7, 7, 7, 8, 10, 14),
		.sack = world_chance(80),
		.timestamps = world_chance(75),
		.ecn = world_chance(20),
		.oddities = world_chance(15),
		.ts_base = world_chance(30) ? UINT32_MAX - world_below(3000) : (uint32_t)random_64(&world.random),
		.ts_shift = (uint8_t)CHOOSE(0, 0, 0, 2, 4),
		.largest = (uint16_t)(v4 ? 1460 : 1440),
		.forgets_sacks = world_chance(15),
		.piece = UINT16_MAX,
	};
	if (world_chance(10))
		traits.mss = (uint16_t)(216 + world_below(1245));
	return traits;
}

/* What belongs to one connection of it. */
static void
pick_traffic(struct peer_traits *traits, uint32_t length)
{
	traits->isn = pick_isn();
	traits->length = length;
	traits->fin_style = (uint8_t)world_below(2);
	traits->ack_every = (uint8_t)(1 + world_below(3));
	traits->ack_delay_us = CHOOSE(1, 40, 100, 200) * MS;
	traits->buffer = CHOOSE(500, 2000, 5840, 16384, 65535, 65536, 200000, 200000, 1000000);
	if (world_chance(12))
		traits->opens_at_us = world_below(4 * SECOND); /* added to the time of its SYN */
	if (world_chance(20)) {
		traits->read_bytes = 1 + world_below(length == 0 ? 2000 : 20000);
		traits->read_gap_us = MS / 2 + world_below(traits->read_bytes < 1000 ? MS : 30 * MS);
	}
	if (world_chance(15))
		traits->piece = (uint16_t)(1 + length / PIECES_MAX + world_below(100));
	if (world_chance(25)) {
		traits->write_bytes = 1 + length / 50 + world_below(3000);
		traits->write_gap_us = world_below(30 * MS);
	}
	traits->urgent = world_chance(3);
	if (world_chance(10))
		traits->keepalive_us = (1 + world_below(8)) * SECOND;
	traits->linger_us = world_chance(15) ? world_below(20 * SECOND) : world_chance(50) ? 0 : world_below(50 * MS);
	traits->abort_after = world_chance(5) ? world_below(length + 3000) : UINT32_MAX;
}

static void
pick_closing(struct peer_traits *client, struct peer_traits *endpoint)
{
	switch (world_below(6)) {
	case 0: /* each when it is done: half-closed in between, or both at once */
		client->close = endpoint->close = PEER_CLOSE_AT_ONCE;
		break;
	case 1:
		client->close = PEER_CLOSE_AT_ONCE;
		endpoint->close = PEER_CLOSE_SECOND;
		break;
	case 2:
		client->close = PEER_CLOSE_SECOND;
		endpoint->close = PEER_CLOSE_AT_ONCE;
		break;
	case 3:
		client->close = PEER_CLOSE_COMPLETE;
		endpoint->close = PEER_CLOSE_SECOND;
		break;
	case 4:
		client->close = PEER_CLOSE_SECOND;
		endpoint->close = PEER_CLOSE_COMPLETE;
		break;
	default: /* likely at the same time */
		client->close = endpoint->close = PEER_CLOSE_COMPLETE;
		client->linger_us = endpoint->linger_us = 0;
		break;
	}
}

static uint32_t
pick_hello(void)
{
	uint32_t dice = world_below(100);

	if (dice < 70)
		return 200 + world_below(500);
	if (dice < 88)
		return 1500 + world_below(800);
	if (dice < 94)
		return 1 + world_below(10);
	if (dice < 99)
		return 1 + world_below(16384);
	return 16385 + world_below(2000);
}

static bool
is_lossy(const struct link *link)
{
	return link->loss + link->corrupt != 0 || link->mtu < 1500;
}

static void
plan_connection(unsigned number, unsigned slot, uint64_t start_at)
{
	struct connection *connection = &world.connections[number];
	bool v4 = ip_addr_is_v4(&world.slots[slot].addr);
	struct peer_traits client = pick_host(v4), *served = &connection->served;

	*connection = (struct connection){.slot = slot, .number = number, .start_at = start_at};
	connection->hello = pick_hello();
	uint32_t length = connection->hello + pick_length();
	pick_traffic(&client, length);
	*served = (struct peer_traits){.piece = UINT16_MAX};
	pick_traffic(served, pick_length());
	pick_closing(&client, served);
	served->forgets_sacks = world_chance(15);

	client.first = connection->hello;
	uint64_t hello_us = 0;
	if (world_chance(10)) { /* the hello comes in dribs and drabs */
		client.first = 1 + world_below(connection->hello);
		client.write_bytes = 1 + world_below(200) + connection->hello / 40;
		client.write_gap_us = 1 + world_below(60 * MS);
		hello_us = (uint64_t)(connection->hello / client.write_bytes + 1) * client.write_gap_us;
		if (client.length > connection->hello + PIECES_MAX * client.write_bytes) /* it goes on like that */
			client.length = connection->hello + PIECES_MAX * client.write_bytes;
	}
	served->begin_after = world_chance(90) ? connection->hello : 0;
	served->first = world_chance(50) ? 0 : 1 + world_below(3000);
	if (world_chance(2) && client.close == PEER_CLOSE_AT_ONCE) { /* closes before it has said enough */
		connection->hello = client.length + 1;
		served->begin_after = 0;
	}
	connection->may_time_out = world.short_of_room || is_lossy(&world.links[RIG_WAN]) ||
				   connection->hello > client.length || connection->hello > HOLD_MAX ||
				   hello_us > SLOW_HELLO_US || client.piece < connection->hello / 10 + 1 ||
				   world.links[RIG_WAN].reorder_us > 500 * MS;
	connection->may_fail_dial = is_lossy(&world.links[RIG_LAN]) || world.links[RIG_LAN].reorder_us > 200 * MS;
	connection->may_idle = false;

	struct peer *peers = connection->peer;
	peer_init(&peers[LEG_CLIENT], &client);
	peer_init(&peers[LEG_ENDPOINT], served);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		peers[leg].leg = leg;
		peers[leg].connection = connection;
		peers[leg].other = &peers[leg_other(leg)];
		peers[leg].noise = world_below(PEER_NOISE);
	}
}

/* --- the rest of the world --------------------------------------------------------------------------------------- */

static void
pick_link(struct link *link, unsigned weather)
{
	*link = (struct link){.delay_us = CHOOSE(10, 100, 500, 2000, 10000, 50000), .mtu = 1500};
	if (weather == 0) /* half of all worlds: what goes wrong there is the gateway's fault alone */
		return;
	if (world_chance(60)) {
		link->loss = world_below(CHOOSE(700, 3300, 6600)); /* up to 1, 5, 10 % */
		if (world_chance(20)) {
			link->burst = world_below(20000);
			link->burst_us = world_below(400 * MS);
		}
	}
	if (world_chance(40))
		link->repeat = world_below(6600);
	if (world_chance(50)) {
		link->reorder = world_below(13000);
		link->reorder_us = 1 + CHOOSE(1000, 10000, 100000, 800000);
	}
	if (world_chance(20))
		link->corrupt = world_below(2000);
	if (world_chance(12)) {
		link->mtu = (uint16_t)CHOOSE(1280, 1300, 1400, 1492);
		link->tells = world_chance(70);
	}
}

static void
pick_endpoints(void)
{
	bool any_bad = world_chance(25);

	world.n_endpoints = 1 + world_below(WORLD_ENDPOINTS_MAX);
	bool v6 = world_chance(40), mixed = world_chance(20);
	for (unsigned i = 0; i < world.n_endpoints; i++) {
		struct endpoint *endpoint = &world.endpoints[i];
		*endpoint = (struct endpoint){.addr = rig_addr(v6 ? "2001:db8:2::10" : "198.51.100.16")};
		endpoint->addr.bytes[15] = (uint8_t)(16 + i);
		endpoint->traits = pick_host(!v6);
		if (any_bad && world_chance(50))
			endpoint->habit = (enum endpoint_habit)(1 + world_below(5));
		endpoint->removed = world_chance(3);
		v6 ^= mixed;
	}
}

/* What the gateway has learned of the endpoints: all, nothing, or something that has changed since. */
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
}

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
		world.slots[i].current = world.slots[i].previous = 0;
	}
}

/* In one world of three, moments at which another process takes over. By a random sequence of their own. */
static void
pick_successions(void)
{
	uint64_t random = ~world.seed * UINT64_C(0x9e3779b97f4a7c15);

	if (random_below(&random, 3) != 0)
		return;
	world.n_successions = 1 + random_below(&random, WORLD_SUCCESSIONS_MAX);
	for (unsigned i = 0; i < world.n_successions; i++)
		world.succession_at_us[i] = world.now_us + random_below(&random, 6 * SECOND);
}

void
scenario_open(uint64_t seed)
{
	memset((char *)&world + sizeof(world.rig), 0, sizeof(world) - sizeof(world.rig));
	world.seed = seed;
	world.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 77;
	random_64(&world.random);
	world.short_of_room = world_chance(20);
	rig_open(&world.rig, world.short_of_room ? 2 + world_below(20) : FLOWS, PACKETS);
	struct worker *worker = &world.rig.worker;
	if (world.short_of_room) {
		hold_pool_free(&worker->holds);
		if (!hold_pool_init(&worker->holds, 8))
			abort();
	}
	world.rig.hooks = (struct dataplane_hooks){&world, listener, decide, learned};
	world.rig.conf.flow.idle_timeout_s = WORLD_IDLE_TIMEOUT_S;
	world.rig.conf.flow.half_closed_timeout_s = WORLD_IDLE_TIMEOUT_S;
	world.rig.conf.flow.rst_per_second = 100000;
	worker->rst_allowance = 100000;
	if (world_chance(30)) { /* the worker's clock is near its wrap */
		world.rig.now_ms = UINT64_C(0xffffffff) - world_below(20000);
		worker->now_ms = world.rig.now_ms;
		worker->clock_ms = (uint32_t)world.rig.now_ms;
		worker->rst_second = world.rig.now_ms / 1000;
		timer_wheel_init(&worker->wheel, worker->clock_ms);
	}
	random_fill(&world.random, worker->random_state, sizeof(worker->random_state));
	random_fill(&world.random, worker->isn_secret, sizeof(worker->isn_secret));
	random_fill(&world.random, worker->cookie_secret, sizeof(worker->cookie_secret));
	random_fill(&world.random, worker->port_secret, sizeof(worker->port_secret));
	world.now_us = world.rig.now_ms * 1000;
	world.gate_at_us = world.now_us;

	unsigned weather = world_below(2);
	pick_link(&world.links[RIG_WAN], weather);
	pick_link(&world.links[RIG_LAN], weather);
	world.calm_at_us = world.now_us + (uint64_t)world_below(CALM_MAX_S * SECOND);
	world.fifo =
		world.links[0].reorder + world.links[1].reorder + world.links[0].repeat + world.links[1].repeat == 0;
	world.burst_us = CHOOSE(0, 0, 50, 1000);
	pick_endpoints();
	pick_offer();
	pick_slots();
	uint64_t starts[WORLD_SLOTS_MAX] = {0};
	for (unsigned i = 0; i < world.n_slots; i++)
		starts[i] = world.now_us + world_below(200 * MS);
	world.n_connections = world.n_slots + world_below(2 * world.n_slots + 1);
	for (unsigned i = 0; i < world.n_connections; i++) {
		unsigned slot = i % world.n_slots;
		plan_connection(i, slot, starts[slot]);
		starts[slot] += world_below(6 * SECOND);
	}
	pick_successions();
	world.limit_us = world.calm_at_us + (uint64_t)PATIENCE_S * SECOND;
	attacker_open(seed);
}

void
scenario_close(void)
{
	unsigned lost = rig_close(&world.rig);
	if (lost != 0)
		world_fail("%u packet buffers were lost", lost);
}
