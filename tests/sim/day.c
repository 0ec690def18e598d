/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The day's program: its links, its hosts, its hours (day.h).
 *
 *   day [--seed N] [--hours N]
 *
 * One line for each hour. Ends with 0 when nothing was found.
 */
#include "tests/sim/day.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/random.h"

enum {
	MEGABYTES = 128,
	FLIGHTS_MAX = 8192,
	PAYLOAD_MAX = 1500,
	HOURS = 24,
	SLEEP_MAX_MS = 1000,
	NOBODY = DAY_CALLS_MAX
};

/* A segment on its way. */
struct flight {
	struct segment segment;
	unsigned device;
	uint8_t bytes[PAYLOAD_MAX];
};

struct day day;

static uint16_t bound_to[DAY_ENDPOINTS][UINT16_MAX + 1]; /* whose call comes from that port of the gateway's */
static struct flight flights[FLIGHTS_MAX];
static uint16_t free_flights[FLIGHTS_MAX];
static unsigned n_free, relays_most;
static uint64_t gate_at_us, last_at[RIG_DEVICES][2], n_packets, n_ended[REASON_COUNT];

void
day_fail(const struct day_call *call, const char *format, ...)
{
	va_list arguments;

	if (day.failed)
		return;
	day.failed = true;
	printf("day: seed %" PRIu64 ", %.6f h: ", day.seed, (double)(day.now_us - day.begin_us) / (double)DAY_HOUR);
	if (call != NULL)
		printf("call %u, use %u (%s%s, endpoint %u): ", call->number, call->uses,
		       day_persona_text(call->persona), call->bridged ? ", bridged" : "", call->endpoint);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

uint32_t
day_below(uint32_t bound)
{
	return random_below(&day.random_state, bound);
}

bool
day_chance(unsigned percent)
{
	return day_below(100) < percent;
}

void
day_plan(uint64_t at, enum day_event kind, uint32_t index)
{
	if (!agenda_plan(&day.agenda, at, kind, index))
		day_fail(NULL, "too many events at once");
}

/* --- links -------------------------------------------------------------------------------------------------------- */

/* One in 200 is lost, one in 500 comes twice, one in 100 late. */
static void
launch(unsigned device, bool to_gate, const struct segment *segment)
{
	static const uint64_t delay_us[RIG_DEVICES] = {20 * DAY_MS, 1 * DAY_MS};

	n_packets++;
	if (day_below(200) == 0)
		return;
	for (unsigned copies = day_below(500) == 0 ? 2 : 1; copies != 0; copies--) {
		uint64_t at = day.now_us + delay_us[device];
		if (n_free == 0) {
			day_fail(NULL, "too many packets on their way");
			return;
		}
		if (day_below(100) == 0)
			at += day_below(30 * DAY_MS);
		else if (at < last_at[device][to_gate])
			at = last_at[device][to_gate];
		else
			last_at[device][to_gate] = at;
		uint16_t index = free_flights[--n_free];
		struct flight *flight = &flights[index];
		flight->segment = *segment;
		flight->segment.payload = flight->bytes;
		flight->device = device;
		memcpy(flight->bytes, segment->payload, segment->payload_length);
		day_plan(at, to_gate ? DAY_TO_GATE : DAY_TO_PEER, index);
	}
}

static void
from_peer(struct peer *peer, const struct segment *segment)
{
	const struct day_call *call = peer->connection;

	if (!call->gone[peer->leg])
		launch(peer->leg == LEG_CLIENT ? RIG_WAN : RIG_LAN, true, segment);
}

void
day_arm(struct peer *peer)
{
	const struct day_call *call = peer->connection;
	uint64_t due = peer_due(peer);

	if (due >= peer->armed_at)
		return;
	peer->armed_at = due < day.now_us ? day.now_us : due;
	day_plan(peer->armed_at, DAY_TIMER, call->number * LEG_COUNT + peer->leg);
}

/* --- what comes to the endpoints ---------------------------------------------------------------------------------- */

static void
refuse(unsigned device, const struct segment *segment)
{
	struct segment answer;

	if (peer_refuse(segment, &answer))
		launch(device, true, &answer);
}

/* Whose SYN that is, by the gateway's record of it. */
static void
bind_call(unsigned endpoint, const struct segment *syn)
{
	const struct flow *flow =
		rig_flow(&day.rig, LEG_ENDPOINT, &syn->destination, syn->destination_port, syn->source_port);
	struct day_call *call =
		flow == NULL ? NULL : day_call_of(&flow->leg[LEG_CLIENT].peer, ntohs(flow->leg[LEG_CLIENT].peer_port));

	bound_to[endpoint][syn->source_port] = call == NULL ? NOBODY : (uint16_t)call->number;
	if (call == NULL)
		return; /* it is a late one, of a connection that is gone */
	if (call->endpoint != endpoint)
		day_fail(call, "the gateway calls endpoint %u", endpoint);
	struct peer *peer = &call->peer[LEG_ENDPOINT];
	peer->addr = syn->destination;
	peer->gate = syn->source;
	peer->port = syn->destination_port;
	peer->gate_port = syn->source_port;
}

static void
to_endpoint(const struct segment *segment)
{
	unsigned endpoint = 0;

	while (!ip_addr_equal(&day.endpoints[endpoint], &segment->destination))
		endpoint++;
	if (endpoint == DAY_ENDPOINT_BLACK_HOLE)
		return;
	uint16_t number = bound_to[endpoint][segment->source_port];
	bool is_syn = (segment->flags & 0x16) == 0x02;
	if (endpoint == DAY_ENDPOINT_REFUSING || number == NOBODY) {
		refuse(RIG_LAN, segment);
		return;
	}
	struct day_call *call = &day.calls[number];
	struct peer *peer = &call->peer[LEG_ENDPOINT];
	if (call->gone[LEG_ENDPOINT])
		return;
	if (peer->state != PEER_NONE)
		peer_input(peer, segment, day.now_us);
	else if (is_syn)
		peer_accept(peer, segment, day.now_us);
	else
		refuse(RIG_LAN, segment);
	day_arm(peer);
	day_call_look_at(call);
}

static void
to_client(const struct segment *segment)
{
	struct day_call *call = day_call_of(&segment->destination, segment->destination_port);

	if (call == NULL || !call->going) {
		refuse(RIG_WAN, segment);
		return;
	}
	if (call->gone[LEG_CLIENT])
		return;
	peer_input(&call->peer[LEG_CLIENT], segment, day.now_us);
	day_arm(&call->peer[LEG_CLIENT]);
	day_call_look_at(call);
}

/* --- the day ------------------------------------------------------------------------------------------------------ */

static void
drain(void)
{
	uint8_t frame[RIG_FRAME];
	struct segment segment;
	struct flow_event event;

	for (unsigned device = 0; device < RIG_DEVICES; device++)
		while (rig_next(&day.rig, device, &segment, frame)) {
			if (device == RIG_LAN && (segment.flags & 0x16) == 0x02)
				for (unsigned i = 0; i < DAY_ENDPOINTS; i++)
					if (ip_addr_equal(&day.endpoints[i], &segment.destination))
						bind_call(i, &segment);
			launch(device, false, &segment);
		}
	while (rig_event(&day.rig, &event)) {
		struct day_call *call = day_call_of(&event.client, event.client_port);
		n_ended[event.reason]++;
		if (call == NULL || call->over_us != 0)
			continue;
		call->reason = (enum reason)event.reason;
		call->ended_us = day.now_us;
	}
	uint32_t sleep = rig_sleep(&day.rig, SLEEP_MAX_MS);
	gate_at_us = (day.rig.now_ms + (sleep == 0 ? 1 : sleep)) * DAY_MS;
}

static void
turn_gate(void)
{
	if (day.now_us / DAY_MS != day.rig.now_ms) {
		rig_time(&day.rig, day.now_us / DAY_MS);
		drain();
	}
}

static unsigned
records(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < day.rig.n_workers; i++)
		n += flow_table_used(&day.rig.workers[i].flows);
	return n;
}

/* What there is, and that it is no more than there can be. */
static void
every_hour(void)
{
	unsigned going = 0, bridges = 0, touched = 0, timers = 0;

	for (unsigned i = 0; i < DAY_CALLS_MAX; i++)
		going += day.calls[i].going && day.calls[i].over_us == 0;
	for (unsigned i = 0; i < day.rig.n_workers; i++) {
		const struct worker *worker = &day.rig.workers[i];
		bridges += worker->bridges.used;
		timers += worker->wheel.armed;
		if (flow_table_touched(&worker->flows) > touched)
			touched = flow_table_touched(&worker->flows);
		if (worker->bridges.touched > DAY_CALLS_MAX)
			day_fail(NULL, "%u bridges were in use at a time", worker->bridges.touched);
	}
	if (bridges - day.n_sessions > relays_most)
		relays_most = bridges - day.n_sessions;
	if (records() > DAY_CALLS_MAX || touched > DAY_CALLS_MAX || timers > DAY_CALLS_MAX)
		day_fail(NULL, "%u records, %u in one table, %u timers for %u calls", records(), touched, timers,
			 DAY_CALLS_MAX);
	printf("day: hour %2" PRIu64 ": %6" PRIu64
	       " connections begun, %3u go on, %3u records, %3u sessions, %3u relays\n",
	       (day.now_us - day.begin_us) / DAY_HOUR, day.n_begun, going, records(), day.n_sessions,
	       bridges - day.n_sessions);
	fflush(stdout);
}

static void
act(const struct agenda_event *event)
{
	switch ((enum day_event)event->kind) {
	case DAY_TO_GATE:
		turn_gate();
		rig_receive(&day.rig, flights[event->index].device, &flights[event->index].segment);
		free_flights[n_free++] = (uint16_t)event->index;
		drain();
		return;
	case DAY_TO_PEER:
		if (flights[event->index].device == RIG_LAN)
			to_endpoint(&flights[event->index].segment);
		else
			to_client(&flights[event->index].segment);
		free_flights[n_free++] = (uint16_t)event->index;
		return;
	case DAY_TIMER: {
		struct peer *peer = &day.calls[event->index / LEG_COUNT].peer[event->index % LEG_COUNT];
		if (peer->armed_at != event->at)
			return; /* it was moved */
		peer->armed_at = PEER_NEVER;
		peer_timers(peer, day.now_us);
		day_arm(peer);
		day_call_look_at(peer->connection);
		return;
	}
	case DAY_BEGIN:
		day_call_begin_next(&day.calls[event->index]);
		return;
	case DAY_LEAVE:
		day_call_leave(&day.calls[event->index]);
		day_call_look_at(&day.calls[event->index]);
		return;
	case DAY_MINUTE:
		for (unsigned i = 0; i < DAY_CALLS_MAX; i++)
			day_call_find_out(&day.calls[i]);
		if (event->index == 0)
			every_hour();
		day_plan(day.now_us + 60 * DAY_SECOND, DAY_MINUTE, (event->index + 1) % 60);
		return;
	}
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < DAY_CALLS_MAX; i++)
		if (day.calls[i].going)
			return false;
	return day.now_us >= day.end_us && rig_is_empty(&day.rig);
}

static void
open_day(uint64_t hours)
{
	static const char *const addresses[DAY_ENDPOINTS] = {"198.51.100.16",  "2001:db8:2::10", "198.51.100.17",
							     "2001:db8:2::12", "198.51.100.18",  "198.51.100.19"};

	day.random_state = day.seed;
	random_64(&day.random_state);
	rig_open_with(&day.rig,
		      &(struct rig_options){.n_workers = 2, .spreads = true, .flows = 1024, .packets = 16384});
	day_gate_open();
	for (unsigned i = 0; i < DAY_ENDPOINTS; i++)
		day.endpoints[i] = rig_addr(addresses[i]);
	for (unsigned i = 0; i < DAY_ENDPOINTS; i++)
		for (unsigned port = 0; port <= UINT16_MAX; port++)
			bound_to[i][port] = NOBODY;
	for (unsigned i = 0; i < FLIGHTS_MAX; i++)
		free_flights[n_free++] = (uint16_t)(FLIGHTS_MAX - 1 - i);
	day.begin_us = day.now_us = gate_at_us = day.rig.now_ms * DAY_MS;
	day.end_us = day.begin_us + hours * DAY_HOUR;
	for (unsigned i = 0; i < DAY_CALLS_MAX; i++) {
		day.calls[i].number = i;
		day_plan(day.now_us + day_below(600) * (uint64_t)DAY_SECOND, DAY_BEGIN, i);
	}
	day_plan(day.now_us + 60 * DAY_SECOND, DAY_MINUTE, 1);
	peer_transmit = from_peer;
}

static void
report(void)
{
	uint64_t opened = 0, closed = 0;

	for (unsigned i = 0; i < day.rig.n_workers; i++)
		for (unsigned slot = 0; slot < day.rig.n_live; slot++) {
			opened += day.rig.workers[i].live[slot].opened;
			closed += day.rig.workers[i].live[slot].closed;
		}
	if (opened != closed)
		day_fail(NULL, "%" PRIu64 " connections were counted as opened, %" PRIu64 " as closed", opened, closed);
	if (day.n_sessions != 0)
		day_fail(NULL, "%u sessions weren't told of their end", day.n_sessions);
	for (unsigned i = 0; i < DAY_PERSONAS; i++)
		printf("%8" PRIu64 "  %s\n", day.n_of[i], day_persona_text((enum day_persona)i));
	printf("%8" PRIu64 "  decisions about what came late\n", day.n_haunted);
	printf("%8" PRIu64 "  one side wasn't told of the end: a packet was lost\n", day.n_untold);
	if (day.n_untold > day.n_begun / 100 || day.n_haunted > day.n_begun / 100)
		day_fail(NULL, "too many");
	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (n_ended[i] != 0)
			printf("%8" PRIu64 "  ended: %s\n", n_ended[i], reason_text((enum reason)i));
	if (day.n_bridged == 0 || relays_most == 0)
		day_fail(NULL, "no connection was bridged, or none relayed");
}

int
main(int argc, char **argv)
{
	unsigned long long chosen = 1, hours = HOURS;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !((strcmp(argv[i], "--seed") == 0 && sscanf(argv[i + 1], "%llu", &chosen) == 1) ||
				       (strcmp(argv[i], "--hours") == 0 && sscanf(argv[i + 1], "%llu", &hours) == 1))) {
			fputs("usage: day [--seed N] [--hours N]\n", stderr);
			return 2;
		}
	day.seed = chosen;
	if (!rig_start_eal(MEGABYTES))
		return 2;
	open_day(hours);
	while (!day.failed && !all_over()) {
		if (day.agenda.n == 0 || gate_at_us <= day.agenda.events[0].at) {
			day.now_us = gate_at_us;
			rig_time(&day.rig, day.now_us / DAY_MS);
			drain();
		} else {
			struct agenda_event event = agenda_next(&day.agenda);
			day.now_us = event.at;
			act(&event);
		}
		if (day.now_us > day.end_us + 24 * DAY_HOUR)
			day_fail(NULL, "it doesn't end");
	}
	if (!day.failed)
		report();
	unsigned lost = day.failed ? 0 : rig_close(&day.rig);
	if (lost != 0)
		day_fail(NULL, "%u packet buffers were lost", lost);
	if (!day.failed)
		printf("day: seed %" PRIu64 ": %" PRIu64 " connections in %.1f h, %" PRIu64 " by sessions, %" PRIu64
		       " packets: nothing is left\n",
		       day.seed, day.n_begun, (double)(day.now_us - day.begin_us) / (double)DAY_HOUR, day.n_bridged,
		       n_packets);
	return day.failed;
}
