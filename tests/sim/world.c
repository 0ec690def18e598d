/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include <rte_mbuf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/agenda.h"
#include "tests/sim/attacker.h"
#include "tests/sim/audit.h"
#include "tests/sim/audit_bridge.h"
#include "tests/sim/icmp_wire.h"
#include "tests/sim/incident.h"
#include "tests/sim/operator.h"
#include "tests/unit/random.h"

enum {
	FLIGHTS_MAX = 8192,
	PAYLOAD_MAX = 1500,
	GATE_SLEEP_MAX_MS = 200,
	GATE_DOZE_MAX_MS = 1000, /* when nothing is on its way */
	TICK_US = 1000000,
	TELL_US = 3000000,
	STEPS_MAX = 3000000,
	FAR_AWAY = 0x50000000 /* from any number that is expected */
};

enum event_kind { EVENT_TO_GATE, EVENT_TO_PEER, EVENT_TIMER, EVENT_START, EVENT_INCIDENT, EVENT_TICK, EVENT_ATTACK };

/* A segment on its way, or a frame of raw_length bytes that isn't one. */
struct flight {
	struct segment segment;
	const struct connection *of; /* whose peer sent it; NULL: somebody else */
	uint64_t sent_at;
	unsigned device;
	uint16_t raw_length;
	bool corrupt;
	uint8_t bytes[PAYLOAD_MAX];
};

struct world world;

static struct agenda agenda;
static struct flight flights[FLIGHTS_MAX];
static uint16_t free_flights[FLIGHTS_MAX];
static unsigned n_free;

void
world_fail(const char *format, ...)
{
	va_list arguments;

	if (world.failed)
		return;
	world.failed = true;
	printf("sim: seed %llu, step %llu, %llu.%06llu s: ", (unsigned long long)world.seed,
	       (unsigned long long)world.steps, (unsigned long long)(world.now_us / 1000000),
	       (unsigned long long)(world.now_us % 1000000));
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

uint32_t
world_below(uint32_t bound)
{
	return random_below(&world.random, bound);
}

bool
world_chance(unsigned percent)
{
	return world_below(100) < percent;
}

static bool
happens(uint32_t chance)
{
	return chance != 0 && world_below(65536) < chance;
}

static void
plan(uint64_t at, enum event_kind kind, uint32_t index)
{
	if (!agenda_plan(&agenda, at, kind, index))
		world_fail("too many events at once");
}

/* --- who is who -------------------------------------------------------------------------------------------------- */

unsigned
world_endpoint_index(const struct ip_addr *addr, uint16_t port)
{
	unsigned i = 0;

	while (i < world.n_endpoints &&
	       (world.endpoints[i].port != port || !ip_addr_equal(&world.endpoints[i].addr, addr)))
		i++;
	return i;
}

bool
world_is_lossy(unsigned leg)
{
	const struct link *link = &world.links[leg == LEG_CLIENT ? RIG_WAN : RIG_LAN];
	return link->loss + link->corrupt != 0 || link->mtu < 1500 || link->troubled ||
	       world.scarcity != SCARCE_NOTHING;
}

struct connection *
world_client(const struct ip_addr *addr, uint16_t port, bool previous)
{
	for (unsigned i = 0; i < world.n_slots; i++)
		if (world.slots[i].port == port && ip_addr_equal(&world.slots[i].addr, addr)) {
			unsigned number = previous ? world.slots[i].previous : world.slots[i].current;
			return number == 0 ? NULL : &world.connections[number - 1];
		}
	return NULL;
}

/* The last use of a port towards an endpoint, or NULL. */
static const struct bind *
find_bind(const struct ip_addr *addr, uint16_t port, uint16_t gate_port)
{
	unsigned endpoint = world_endpoint_index(addr, port);

	for (unsigned i = world.n_binds; i != 0; i--)
		if (world.binds[i - 1].endpoint == endpoint && world.binds[i - 1].port == gate_port)
			return &world.binds[i - 1];
	return NULL;
}

struct connection *
world_endpoint(const struct ip_addr *addr, uint16_t port, uint16_t gate_port)
{
	const struct bind *bind = find_bind(addr, port, gate_port);

	if (bind == NULL || bind->connection == WORLD_NO_CONNECTION)
		return NULL;
	struct connection *connection = &world.connections[bind->connection];
	return connection->attempts == bind->attempt ? connection : NULL;
}

bool
world_is_probe(const struct ip_addr *addr, uint16_t port, uint16_t gate_port)
{
	const struct bind *bind = find_bind(addr, port, gate_port);
	return bind != NULL && bind->connection == WORLD_NO_CONNECTION;
}

/* --- links ------------------------------------------------------------------------------------------------------- */

static void
trace(const char *what, const struct segment *segment)
{
	char from[IP_ADDR_TEXT_MAX], to[IP_ADDR_TEXT_MAX], flags[9];
	unsigned n = 0;

	if (!world.verbose)
		return;
	for (unsigned i = 0; i < 8; i++)
		if ((segment->flags >> i & 1) != 0)
			flags[n++] = "FSRPAUEC"[i];
	flags[n] = 0;
	ip_addr_format(&segment->source, from);
	ip_addr_format(&segment->destination, to);
	struct connection *connection = world_client(&segment->source, segment->source_port, false);
	const struct peer *sender = NULL, *receiver = NULL;
	if (connection != NULL) {
		sender = &connection->peer[LEG_CLIENT];
	} else if ((connection = world_client(&segment->destination, segment->destination_port, false)) != NULL) {
		receiver = &connection->peer[LEG_CLIENT];
	} else if ((connection = world_endpoint(&segment->source, segment->source_port, segment->destination_port)) !=
		   NULL) {
		sender = &connection->peer[LEG_ENDPOINT];
	} else if ((connection = world_endpoint(&segment->destination, segment->destination_port,
						segment->source_port)) != NULL) {
		receiver = &connection->peer[LEG_ENDPOINT];
	}
	uint32_t seq_base = sender != NULL ? sender->traits.isn : receiver != NULL ? receiver->irs : 0;
	uint32_t ack_base = sender != NULL ? sender->irs : receiver != NULL ? receiver->traits.isn : 0;
	printf("%5llu %10.3f ms %-8s #%-2d %s %u > %s %u %s seq %u ack %u win %u len %u opt",
	       (unsigned long long)world.steps, (double)world.now_us / 1000, what,
	       connection == NULL ? -1 : (int)connection->number, from, segment->source_port, to,
	       segment->destination_port, flags, segment->seq - seq_base,
	       (segment->flags & 0x10) != 0 ? segment->ack - ack_base : 0, segment->window, segment->payload_length);
	for (unsigned i = 0; i < segment->options_length; i++)
		printf("%s%02x", i % 4 == 0 ? " " : "", segment->options[i]);
	putchar('\n');
}

/* Puts a copy of what is described on its way, as often as the link lets it. */
static void
launch(unsigned device, bool to_gate, const struct connection *of, const struct segment *segment, const uint8_t *raw,
       uint16_t raw_length)
{
	struct link *link = &world.links[device];
	bool calm = world.now_us >= world.calm_at_us;

	if (link->down || (!calm && world.now_us < link->lost_until)) {
		if (segment != NULL)
			trace("lost", segment);
		return;
	}
	if (!calm && happens(link->loss)) {
		if (happens(link->burst))
			link->lost_until = world.now_us + link->burst_us;
		if (segment != NULL)
			trace("lost", segment);
		return;
	}
	unsigned copies = !calm && happens(link->repeat) ? 2 : 1;
	while (copies-- != 0) {
		uint64_t at = world.now_us + link->delay_us[to_gate];
		if (!calm && happens(link->reorder)) {
			at += world_below(link->reorder_us) + 1;
		} else {
			if (at < link->last_at[to_gate])
				at = link->last_at[to_gate];
			link->last_at[to_gate] = at;
		}
		if (n_free == 0) {
			world_fail("too many packets on their way at once");
			return;
		}
		unsigned index = free_flights[--n_free];
		struct flight *flight = &flights[index];
		flight->of = of;
		flight->sent_at = world.now_us;
		flight->device = device;
		flight->raw_length = raw_length;
		flight->corrupt = to_gate && !calm && happens(link->corrupt);
		if (segment != NULL) {
			flight->segment = *segment;
			flight->segment.payload = flight->bytes;
			if (segment->payload_length != 0)
				memcpy(flight->bytes, segment->payload, segment->payload_length);
		} else {
			memcpy(flight->bytes, raw, raw_length);
		}
		plan(at, to_gate ? EVENT_TO_GATE : EVENT_TO_PEER, index);
	}
}

/* Whether a SYN-ACK on a leg is one of those that are to be lost. */
static bool
loses_syn_ack(struct connection *connection, unsigned leg, const struct segment *segment)
{
	if (connection == NULL || (segment->flags & 0x12) != 0x12 || connection->syn_acks_to_lose[leg] == 0)
		return false;
	connection->syn_acks_to_lose[leg]--;
	connection->syn_acks_lost[leg]++;
	trace("lost", segment);
	return true;
}

static void
from_peer(struct peer *peer, const struct segment *segment)
{
	if (peer->leg == LEG_ENDPOINT && loses_syn_ack(peer->connection, LEG_ENDPOINT, segment))
		return;
	trace(peer->leg == LEG_CLIENT ? "client" : "endpoint", segment);
	if ((segment->flags & 0x04) != 0 && world.attacked)
		((struct connection *)peer->connection)->said_reset[peer->leg] = true;
	launch(peer->leg == LEG_CLIENT ? RIG_WAN : RIG_LAN, true, peer->connection, segment, NULL, 0);
}

static void
arm(struct peer *peer)
{
	struct connection *connection = peer->connection;
	uint64_t due = peer_due(peer);

	if (due >= peer->armed_at)
		return;
	peer->armed_at = due < world.now_us ? world.now_us : due;
	plan(peer->armed_at, EVENT_TIMER, connection->number * LEG_COUNT + peer->leg);
}

/* --- the gateway ------------------------------------------------------------------------------------------------- */

static void
router_says(unsigned device, const uint8_t *frame, uint16_t mtu)
{
	uint8_t answer[ICMP_WIRE_MAX];
	uint16_t length = icmp_wire_build(&world.rig, device, frame, mtu, answer);

	launch(device, true, NULL, NULL, answer, length);
}

/* Takes what the gateway has sent: each frame is audited, and goes on its way if it fits. */
static void
drain(void)
{
	uint8_t frame[RIG_FRAME];
	struct segment segment;

	for (unsigned device = 0; device < RIG_DEVICES; device++) {
		uint16_t length;
		while ((length = rig_next_frame(&world.rig, device, frame)) != 0) {
			world.packets++;
			if (icmp_wire_is(frame)) {
				audit_icmp(frame, length);
				launch(device, false, NULL, NULL, frame, length);
				continue;
			}
			rig_parse(frame, length, &segment);
			if (device == RIG_LAN && (segment.flags & 0x12) == 0x02)
				audit_bind(&segment);
			trace("gate", &segment);
			audit_segment(device, &segment);
			struct link *link = &world.links[device];
			if (length - 14 > link->mtu) {
				trace("too big", &segment);
				if (link->tells)
					router_says(device, frame, link->mtu);
				continue;
			}
			unsigned endpoint =
				device == RIG_LAN ? world_endpoint_index(&segment.destination, segment.destination_port)
						  : 0;
			if (device == RIG_LAN && endpoint < world.n_endpoints &&
			    world.endpoints[endpoint].habit == ENDPOINT_UNREACHABLE) {
				router_says(device, frame, 0);
				continue;
			}
			launch(device, false, NULL, &segment, NULL, 0);
		}
	}
}

/* Lets the gateway know what time it is, and has what follows from that happen. */
static void
turn_gate(bool always)
{
	uint64_t now_ms = world.now_us / 1000;

	if (now_ms != world.rig.now_ms || always) {
		rig_time(&world.rig, now_ms);
		drain();
	}
}

void
world_after_gate(void)
{
	bool busy = agenda.n != 0 && agenda.events[0].at < world.now_us + UINT64_C(1000) * GATE_DOZE_MAX_MS;
	uint32_t sleep = rig_sleep(&world.rig, busy ? GATE_SLEEP_MAX_MS : GATE_DOZE_MAX_MS);

	drain();
	audit_events();
	world.gate_at_us = (world.rig.now_ms + (sleep == 0 ? 1 : sleep)) * 1000;
}

static void
to_gate(struct flight *flight)
{
	uint8_t frame[RIG_FRAME];

	if (flight->raw_length == 0 && !flight->corrupt) {
		rig_receive(&world.rig, flight->device, &flight->segment);
		return;
	}
	uint16_t length = flight->raw_length;
	if (length != 0)
		memcpy(frame, flight->bytes, length);
	else
		length = rig_build(&world.rig, flight->device, &flight->segment, frame);
	if (flight->corrupt) /* any bit but those of the MAC addresses, which the sender's own device would get wrong */
		frame[12 + world_below(length - 12u)] ^= (uint8_t)(1u << world_below(8));
	rig_receive_frame(&world.rig, flight->device, frame, length);
}

/* Whether a packet is of a connection that has made room for another one on the same ports. */
static bool
is_stale(const struct flight *flight)
{
	if (flight->of == NULL)
		return false;
	if (flight->device == RIG_WAN)
		return world.slots[flight->of->slot].current != flight->of->number + 1;
	return world_endpoint(&flight->segment.source, flight->segment.source_port, flight->segment.destination_port) !=
	       flight->of;
}

/* All that comes to the gateway on the same device within a burst. */
static void
burst_to_gate(uint32_t first)
{
	struct segment segments[WORKER_BURST];
	uint32_t indices[WORKER_BURST], n = 0;
	unsigned device = flights[first].device;
	uint64_t end = world.now_us + world.burst_us;

	turn_gate(false);
	indices[n++] = first;
	while (world.burst_us != 0 && n < WORKER_BURST && agenda.n != 0 && agenda.events[0].kind == EVENT_TO_GATE &&
	       agenda.events[0].at <= end && flights[agenda.events[0].index].device == device)
		indices[n++] = agenda_next(&agenda).index;
	bool plain = true;
	for (uint32_t i = 0; i < n; i++) {
		world.stale = world.stale || is_stale(&flights[indices[i]]);
		world.syn = world.syn ||
			    (flights[indices[i]].raw_length == 0 && (flights[indices[i]].segment.flags & 0x06) != 0);
	}
	for (uint32_t i = 0; i < n; i++)
		if (flights[indices[i]].of != NULL && flights[indices[i]].raw_length == 0)
			audit_bridge_arrives(&world.connections[flights[indices[i]].of->number],
					     device == RIG_WAN ? LEG_CLIENT : LEG_ENDPOINT,
					     &flights[indices[i]].segment);
	for (uint32_t i = 0; i < n; i++)
		plain = plain && flights[indices[i]].raw_length == 0 && !flights[indices[i]].corrupt;
	if (n > 1 && plain) {
		for (uint32_t i = 0; i < n; i++)
			segments[i] = flights[indices[i]].segment;
		rig_receive_burst(&world.rig, device, segments, (uint16_t)n);
	} else {
		for (uint32_t i = 0; i < n; i++)
			to_gate(&flights[indices[i]]);
	}
	for (uint32_t i = 0; i < n; i++)
		free_flights[n_free++] = (uint16_t)indices[i];
	world_after_gate();
	world.stale = world.syn = false;
}

void
world_turn_gate(void)
{
	turn_gate(false);
}

void
world_inject_frame(unsigned device, const uint8_t *frame, uint16_t length)
{
	turn_gate(false);
	world.attacked = true;
	world.forged = device + 1;
	rig_receive_frame(&world.rig, device, frame, length);
	world_after_gate();
	world.forged = 0;
}

void
world_inject(unsigned device, const struct segment *segment)
{
	uint8_t frame[RIG_FRAME];

	trace("forged", segment);
	world_inject_frame(device, frame, rig_build(&world.rig, device, segment, frame));
}

/* --- peers ------------------------------------------------------------------------------------------------------- */

/* As a host without that connection does. */
static void
host_refuses(unsigned device, const struct segment *segment)
{
	struct segment answer;

	if (!peer_refuse(segment, &answer))
		return;
	trace("host", &answer);
	launch(device, true, NULL, &answer, NULL, 0);
}

/* A host takes a probe for what it looks like, a client that changes its mind. */
static void
probe_input(unsigned index, const struct segment *segment)
{
	static struct peer listener;
	struct peer_traits traits = world.endpoints[index].traits;

	if ((segment->flags & 0x04) != 0)
		return;
	if ((segment->flags & 0x16) != 0x02 || world.endpoints[index].habit == ENDPOINT_REFUSES) {
		host_refuses(RIG_LAN, segment);
		return;
	}
	traits.piece = UINT16_MAX;
	traits.buffer = 65535;
	peer_init(&listener, &traits);
	listener.leg = LEG_ENDPOINT;
	listener.addr = segment->destination;
	listener.gate = segment->source;
	listener.port = segment->destination_port;
	listener.gate_port = segment->source_port;
	peer_accept(&listener, segment, world.now_us);
	coverage_count(SITUATION_BIT(MET_PROBED));
}

static void
endpoint_input(const struct segment *segment)
{
	unsigned index = world_endpoint_index(&segment->destination, segment->destination_port);
	struct connection *connection =
		world_endpoint(&segment->destination, segment->destination_port, segment->source_port);
	struct peer *peer = connection == NULL ? NULL : &connection->peer[LEG_ENDPOINT];

	if (index == world.n_endpoints || world.endpoints[index].habit == ENDPOINT_BLACK_HOLE)
		return;
	if (world_is_probe(&segment->destination, segment->destination_port, segment->source_port)) {
		probe_input(index, segment);
		return;
	}
	enum endpoint_habit habit = world.endpoints[index].habit;
	if (peer != NULL && peer->state != PEER_NONE) {
		peer_input(peer, segment, world.now_us);
		arm(peer);
		return;
	}
	bool is_syn = (segment->flags & 0x16) == 0x02;
	if (connection != NULL && habit == ENDPOINT_DEAF_ONCE && !connection->deafened) {
		connection->deafened = true;
		return;
	}
	if (connection != NULL && habit == ENDPOINT_CHALLENGES && !connection->challenged) {
		if ((segment->flags & 0x04) != 0) {
			connection->challenged = true;
			return;
		}
		if (!is_syn)
			return;
		struct segment answer = {.source = segment->destination,
					 .destination = segment->source,
					 .source_port = segment->destination_port,
					 .destination_port = segment->source_port,
					 .flags = 0x10,
					 .seq = connection->served.isn + FAR_AWAY,
					 .ack = segment->seq - FAR_AWAY,
					 .window = 1000};
		trace("endpoint", &answer);
		launch(RIG_LAN, true, NULL, &answer, NULL, 0);
		return;
	}
	if (peer == NULL || !is_syn || habit == ENDPOINT_REFUSES) {
		host_refuses(RIG_LAN, segment);
		return;
	}
	peer_accept(peer, segment, world.now_us);
	arm(peer);
}

static void
to_peer(struct flight *flight)
{
	if (flight->raw_length != 0) {
		struct icmp_wire_error error;
		if (!icmp_wire_parse(flight->bytes, flight->raw_length, &error) || flight->device != RIG_WAN)
			return;
		struct connection *connection = world_client(&error.peer, error.peer_port, false);
		if (connection != NULL)
			peer_too_big(&connection->peer[LEG_CLIENT], error.mss);
		return;
	}
	if (flight->device == RIG_LAN) {
		endpoint_input(&flight->segment);
		return;
	}
	struct connection *connection =
		world_client(&flight->segment.destination, flight->segment.destination_port, false);
	if (connection == NULL || connection->peer[LEG_CLIENT].state == PEER_NONE) {
		host_refuses(RIG_WAN, &flight->segment);
		return;
	}
	if (loses_syn_ack(connection, LEG_CLIENT, &flight->segment))
		return;
	struct peer *client = &connection->peer[LEG_CLIENT];
	/* A client that calls again from the same port at once, though it was the first to close, must not take bytes
	 * of before for those of now. A real one waits for as long as the network may keep them (RFC 9293 section
	 * 3.4.2); since a cookie's numbers grow slowly, those of the two may overlap. */
	if (flight->segment.payload_length != 0 && flight->sent_at < client->syn_at_us)
		return;
	enum peer_state before = client->state;
	peer_input(client, &flight->segment, world.now_us);
	connection->reset_early |= client->state == PEER_RESET && before != PEER_RESET &&
				   (!connection->spliced || flight->sent_at < connection->spliced_at_us);
	arm(client);
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

/* A connection begins on its client's port, when the one before it there is over. */
static void
start(struct connection *connection)
{
	unsigned before = world.slots[connection->slot].current;

	if (before != 0 && !audit_is_over(&world.connections[before - 1])) {
		plan(world.now_us + 20000, EVENT_START, connection->number);
		return;
	}
	if (before != 0) { /* RFC 6191: the next number is above what the last connection used */
		const struct peer *last = &world.connections[before - 1].peer[LEG_CLIENT];
		connection->peer[LEG_CLIENT].traits.isn =
			last->traits.isn + last->traits.length + 100000 + world_below(1 << 20);
		connection->peer[LEG_CLIENT].traits.ts_base = last->traits.ts_base + 1;
		connection->peer[LEG_CLIENT].traits.ts_shift = last->traits.ts_shift;
		peer_forget(&world.connections[before - 1].peer[LEG_CLIENT]);
	}
	/* What still comes is of the last one that the gateway took. */
	if (before != 0 && !world.connections[before - 1].turned_away &&
	    world.connections[before - 1].peer[LEG_CLIENT].expected != 0)
		world.slots[connection->slot].previous = before;
	world.slots[connection->slot].current = connection->number + 1;
	connection->started = true;
	struct peer *client = &connection->peer[LEG_CLIENT];
	if (client->traits.opens_at_us != 0)
		client->traits.opens_at_us += world.now_us;
	client->addr = world.slots[connection->slot].addr;
	client->gate = world.slots[connection->slot].gate;
	client->port = world.slots[connection->slot].port;
	client->gate_port = world.slots[connection->slot].gate_port;
	connection->reused = before != 0;
	peer_connect(client, world.now_us);
	arm(client);
}

static void
plan_attack(void)
{
	if (attacker_due() != PEER_NEVER)
		plan(attacker_due(), EVENT_ATTACK, 0);
}

static void
act(const struct agenda_event *event)
{
	switch ((enum event_kind)event->kind) {
	case EVENT_TO_GATE:
		burst_to_gate(event->index);
		return;
	case EVENT_TO_PEER:
		to_peer(&flights[event->index]);
		free_flights[n_free++] = (uint16_t)event->index;
		return;
	case EVENT_ATTACK:
		attacker_act();
		plan_attack();
		return;
	case EVENT_START:
		start(&world.connections[event->index]);
		return;
	case EVENT_INCIDENT:
		incident_happens(&world.incidents[event->index]);
		return;
	case EVENT_TICK:
		operator_tick();
		plan(world.now_us + TICK_US, EVENT_TICK, 0);
		return;
	case EVENT_TIMER: {
		struct peer *peer = &world.connections[event->index / LEG_COUNT].peer[event->index % LEG_COUNT];
		if (peer->armed_at != event->at)
			return; /* it was moved */
		peer->armed_at = PEER_NEVER;
		peer_timers(peer, world.now_us);
		arm(peer);
		return;
	}
	}
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < world.n_connections; i++) {
		const struct connection *connection = &world.connections[i];
		if (!connection->started || !audit_is_over(connection))
			return false;
		if (connection->ended_at_us != 0 && world.now_us < connection->ended_at_us + TELL_US)
			return false; /* its peers are being told */
	}
	return rig_is_empty(&world.rig);
}

void
world_run(void)
{
	peer_transmit = from_peer;
	agenda.n = 0;
	agenda.order = 0;
	n_free = 0;
	for (unsigned i = 0; i < FLIGHTS_MAX; i++)
		free_flights[n_free++] = (uint16_t)(FLIGHTS_MAX - 1 - i);
	for (unsigned i = 0; i < world.n_connections; i++)
		plan(world.connections[i].start_at, EVENT_START, i);
	for (unsigned i = 0; i < world.n_incidents; i++)
		plan(world.incidents[i].at, EVENT_INCIDENT, i);
	if (world.operated)
		plan(world.now_us + TICK_US, EVENT_TICK, 0);
	plan_attack();
	world.gate_at_us = world.now_us;
	if (world.verbose)
		printf("      %s gateway, %u workers%s, scarcity %d, links %s, idle time-out %u s, %u endpoints\n",
		       world.operated ? "real" : "stand-in", world.rig.n_workers,
		       world.rig.options.spreads ? " with queues" : "", (int)world.scarcity,
		       world.stormy ? "stormy" : "calm", world.idle_timeout_s, world.n_endpoints);

	while (!world.failed) {
		world.steps++;
		if (agenda.n == 0 || world.gate_at_us <= agenda.events[0].at) {
			world.now_us = world.gate_at_us;
			turn_gate(true);
			world_after_gate();
			if (all_over())
				break;
		} else {
			struct agenda_event event = agenda_next(&agenda);
			world.now_us = event.at;
			act(&event);
		}
		for (unsigned i = 0; i < world.n_connections; i++)
			if (world.connections[i].peer[0].wrong || world.connections[i].peer[1].wrong)
				world_fail("connection %u: a byte came that isn't the one that was sent", i);
		if (world.now_us > world.limit_us)
			audit_stuck();
		if (world.steps == STEPS_MAX)
			world_fail("packets go back and forth without end");
	}
	rig_give_back();
	if (!world.failed)
		audit_end();
}
