/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/traffic.h"

#include "tests/sim/session.h"

#include "tests/unit/random.h"

enum {
	SECOND = 1000000,
	MS = 1000,
	PIECES_MAX = 300, /* segments of a stream that is sent in small pieces */
	SLOW_HELLO_US = 1500 * MS,
	SURPLUS_MS = 7000 /* beyond an idle time-out and the eighth of it by which it may come late */
};

static uint32_t
pick_isn(void)
{
	if (world_chance(40))
		return UINT32_MAX - world_below(40000);
	if (world_chance(10))
		return 0x7fffffff - world_below(2000);
	return (uint32_t)random_64(&world.random);
}

/* Whether a round trip takes so long that a time-out may come before it. */
static bool
is_far(const struct link *link)
{
	return link->delay_us[0] + link->delay_us[1] > 300 * MS;
}

static uint32_t
pick_length(void)
{
	uint32_t dice = world_below(is_far(&world.links[0]) || is_far(&world.links[1]) ? 950 : 1000);

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
struct peer_traits
traffic_host(bool v4)
{
	struct peer_traits traits = {
		.mss = (uint16_t)WORLD_CHOOSE(0, 536, 1220, 1360, 1400, 1440, 1460, 1460, 1460, 1460, 8960),
		.scale = (uint8_t)WORLD_CHOOSE(PEER_NO_SCALE, 0, 1, 2, 5, 7, 7, 7, 8, 10, 14),
		.sack = world_chance(80),
		.timestamps = world_chance(75),
		.ecn = world_chance(20),
		.oddities = world_chance(15),
		.ts_base = world_chance(30) ? UINT32_MAX - world_below(3000) : (uint32_t)random_64(&world.random),
		.ts_shift = (uint8_t)WORLD_CHOOSE(0, 0, 0, 2, 4),
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
	traits->ack_delay_us = WORLD_CHOOSE(1, 40, 100, 200) * MS;
	traits->buffer = WORLD_CHOOSE(500, 2000, 5840, 16384, 65535, 65536, 200000, 200000, 1000000);
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
	traits->doubles = world_chance(3);
	if (world.scarcity != SCARCE_NOTHING)
		traits->gives_up = 8;
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

/* Applications that take their time, as long as a minute and more. */
static void
pick_patience(struct connection *connection, struct peer_traits *client, struct peer_traits *served)
{
	uint32_t hello = connection->hello, timeout_ms = 1000 * world.idle_timeout_s;
	struct peer_traits *long_one = client, *short_one = served;
	unsigned kind = world_below(6);

	client->abort_after = served->abort_after = UINT32_MAX;
	client->linger_us = served->linger_us = client->opens_at_us = served->opens_at_us = 0;
	client->read_bytes = served->read_bytes = 0;
	client->keepalive_us = served->keepalive_us = 0;
	client->piece = served->piece = UINT16_MAX;
	client->write_bytes = served->write_bytes = 0;
	client->first = client->length = hello;
	served->first = 0;
	served->length = world_below(3000);
	served->begin_after = hello;
	if (kind < 2) { /* one closes, the other goes on for minutes */
		if (kind == 0) {
			long_one = served;
			short_one = client;
		}
		short_one->close = PEER_CLOSE_AT_ONCE;
		long_one->close = PEER_CLOSE_COMPLETE;
		long_one->write_bytes = 1 + world_below(3000);
		long_one->write_gap_us = (20 + world_below(20)) * SECOND;
		long_one->first = kind == 0 ? 1 : hello;
		long_one->length = long_one->first + 5 * long_one->write_bytes;
		connection->met |= SITUATION_BIT(kind == 0 ? MET_HALF_CLOSED_MINUTES : MET_HALF_CLOSED_MINUTES_BACK);
		return;
	}
	if (kind == 5) {
		client->opens_at_us = (61 + world_below(100)) * SECOND;
		served->length = 1 + world_below(30000);
		connection->met |= SITUATION_BIT(MET_ZERO_WINDOW_MINUTES);
		return;
	}
	/* Nothing at all for about as long as the gateway bears it. */
	client->close = PEER_CLOSE_AT_ONCE;
	served->close = PEER_CLOSE_SECOND;
	client->length = hello + 1 + world_below(2000);
	uint32_t gap_ms = timeout_ms * 9 / 8 + SURPLUS_MS + world_below(20000);
	if (kind == 2) {
		gap_ms = timeout_ms - 1500 - world_below(3000);
		connection->met |= SITUATION_BIT(MET_IDLE_SPARED);
	} else if (kind == 3) {
		connection->may_idle = true;
		connection->must_idle = !world.stormy && world.scarcity == SCARCE_NOTHING;
		connection->met |= SITUATION_BIT(MET_IDLE_TOLD);
	} else {
		client->keepalive_us = timeout_ms / 3 * MS;
		connection->met |= SITUATION_BIT(MET_IDLE_KEPT);
	}
	client->write_gap_us = gap_ms * MS;
}

/* What a connection to the real gateway asks for. Returns where in the noise its stream begins. */
static uint32_t
pick_hello_kind(struct connection *connection)
{
	bool istio = world.slots[connection->slot].gate_port == WORLD_ISTIO_PORT;
	unsigned dice = world_below(100);

	connection->listener_kind = istio ? HELLO_BY_ISTIO : HELLO_BY_NAME;
	connection->service = world_below(HELLO_SERVICES);
	connection->hello_kind = connection->listener_kind;
	if (dice >= 88)
		connection->hello_kind = (enum hello_kind)world_below(HELLO_NOT_TLS + 1);
	if (connection->hello_kind == HELLO_NOT_TLS) {
		uint32_t at = world_below(PEER_NOISE);
		while (peer_noise()[at] == 22)
			at++;
		connection->hello = 1;
		return at;
	}
	return hello_pick(connection->hello_kind, connection->service, world_below(1000), &connection->hello);
}

/* The hello comes in dribs and drabs. Returns how long that takes. */
static uint64_t
pick_slow_hello(const struct connection *connection, struct peer_traits *client)
{
	client->first = 1 + world_below(connection->hello);
	client->write_bytes = 1 + world_below(200) + connection->hello / 40;
	client->write_gap_us = 1 + world_below(60 * MS);
	if (client->length > connection->hello + PIECES_MAX * client->write_bytes) /* it goes on like that */
		client->length = connection->hello + PIECES_MAX * client->write_bytes;
	return (uint64_t)(connection->hello / client->write_bytes + 1) * client->write_gap_us;
}

static void
pick_lost_answers(struct connection *connection)
{
	if (world_chance(3))
		connection->syn_acks_to_lose[LEG_CLIENT] = (uint8_t)(1 + world_below(5));
	if (world_chance(3))
		connection->syn_acks_to_lose[LEG_ENDPOINT] = (uint8_t)(1 + world_below(2));
	if (connection->syn_acks_to_lose[LEG_ENDPOINT] != 0 && world.connect_timeout_ms < 5000)
		connection->may_fail_dial = true;
}

void
traffic_plan(unsigned number, unsigned slot, uint64_t start_at)
{
	struct connection *connection = &world.connections[number];
	bool v4 = ip_addr_is_v4(&world.slots[slot].addr);
	struct peer_traits client = traffic_host(v4), *served = &connection->served;
	uint32_t noise[LEG_COUNT] = {world_below(PEER_NOISE), world_below(PEER_NOISE)};

	*connection = (struct connection){.slot = slot, .number = number, .start_at = start_at};
	connection->hello = pick_hello();
	if (world.operated)
		noise[LEG_CLIENT] = pick_hello_kind(connection);
	uint32_t length = connection->hello + pick_length();
	pick_traffic(&client, length);
	*served = (struct peer_traits){.piece = UINT16_MAX};
	pick_traffic(served, pick_length());
	pick_closing(&client, served);
	/* A ring that takes the first packet of a burst and no other loses the same ones every time, where both ends
	 * repeat in step. Real timers don't: those of the two drift apart with each time-out. */
	if (world.scarcity == SCARCE_INBOX)
		served->late_us = 7 * MS;
	served->forgets_sacks = world_chance(15);

	client.first = connection->hello;
	client.syn_data = (uint16_t)(world_chance(4) ? 1 + world_below(200 < length ? 200 : length) : 0);
	uint64_t hello_us = world_chance(10) ? pick_slow_hello(connection, &client) : 0;
	served->begin_after = world_chance(90) ? connection->hello : 0;
	served->first = world_chance(50) ? 0 : 1 + world_below(3000);
	if (world_chance(2) && client.close == PEER_CLOSE_AT_ONCE && !world.operated) {
		connection->hello = client.length + 1; /* closes before it has said enough */
		served->begin_after = 0;
	} else if (hello_us == 0 && world_chance(world.patient ? 20 : 0)) {
		pick_patience(connection, &client, served);
	}
	connection->may_time_out = world_is_lossy(LEG_CLIENT) || connection->hello > client.length ||
				   connection->hello > HOLD_MAX || hello_us > SLOW_HELLO_US ||
				   client.piece < connection->hello / 10 + 1 ||
				   world.links[RIG_WAN].reorder_us > 500 * MS || is_far(&world.links[RIG_WAN]);
	const struct link *lan = &world.links[RIG_LAN];
	connection->may_fail_dial = world_is_lossy(LEG_ENDPOINT) || lan->reorder_us > 200 * MS || is_far(lan);
	pick_lost_answers(connection);

	session_bend(connection, &client, served);

	struct peer *peers = connection->peer;
	peer_init(&peers[LEG_CLIENT], &client);
	peer_init(&peers[LEG_ENDPOINT], served);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		peers[leg].leg = leg;
		peers[leg].connection = connection;
		peers[leg].other = &peers[leg_other(leg)];
		peers[leg].noise = noise[leg];
	}
}
