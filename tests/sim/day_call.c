/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/day.h"
#include "tests/unit/random.h"

enum {
	IDLE_S = 8100, /* the rig's */
	/* An idle time-out may come an eighth late; farewells, lingering and lost packets take their time. */
	IDLE_MOST_S = IDLE_S + IDLE_S / 8 + 120,
	FORGOTTEN_S = 120, /* after the end of a connection in order, there is no record of it any more */
	GIVES_UP = 15      /* time-outs of a peer that hears nothing */
};

static const struct {
	unsigned share;
	const char *text;
} personas[DAY_PERSONAS] = {
#define X(constant, share, text) {share, text},
	DAY_PERSONA_LIST(X)
#undef X
};

const char *
day_persona_text(enum day_persona persona)
{
	return personas[persona].text;
}

/* --- what they do ------------------------------------------------------------------------------------------------- */

static struct peer_traits
host(bool v4, bool timestamps)
{
	return (struct peer_traits){
		.mss = v4 ? 1460 : 1440,
		.scale = 7,
		.sack = true,
		.timestamps = timestamps,
		.ts_base = (uint32_t)random_64(&day.random_state),
		.isn = (uint32_t)random_64(&day.random_state),
		.largest = v4 ? 1460 : 1440,
		.piece = UINT16_MAX,
		.gives_up = GIVES_UP,
		.buffer = 65535u << day_below(3),
		.ack_delay_us = 40 * DAY_MS,
		.ack_every = 2,
		.abort_after = UINT32_MAX,
	};
}

/* What both sides of a persona do; served: the endpoint's application. */
static void
pick_talk(struct day_call *call, struct peer_traits *client, struct peer_traits *served)
{
	uint64_t long_while = (1 + day_below(5)) * DAY_HOUR + day_below(3600) * (uint64_t)DAY_SECOND;

	client->first = call->hello;
	client->length = call->hello + day_below(4000);
	served->length = day_below(20000);
	served->begin_after = call->hello;
	client->close = day_chance(50) ? PEER_CLOSE_AT_ONCE : PEER_CLOSE_SECOND;
	served->close = client->close == PEER_CLOSE_AT_ONCE ? PEER_CLOSE_SECOND : PEER_CLOSE_AT_ONCE;
	switch (call->persona) {
	case DAY_PERSONA_BULK:
		client->length += day_below(300000);
		served->length += day_below(300000);
		break;
	case DAY_PERSONA_CHAT:
	case DAY_PERSONA_CLIENT_VANISHES:
	case DAY_PERSONA_ENDPOINT_VANISHES:
	case DAY_PERSONA_ENDPOINT_RESTARTS:
		client->write_bytes = 1 + day_below(600);
		client->write_gap_us = (20 + day_below(2400)) * (uint64_t)DAY_SECOND;
		client->length = call->hello + (2 + day_below(10)) * client->write_bytes;
		served->write_bytes = 1 + day_below(6000);
		served->write_gap_us = (20 + day_below(2400)) * (uint64_t)DAY_SECOND;
		served->length = (2 + day_below(10)) * served->write_bytes;
		served->first = 1;
		break;
	case DAY_PERSONA_KEPT:
	case DAY_PERSONA_IDLE:
		/* Then the rest, and the end; a side that waits for ever to be closed never closes itself. */
		client->write_bytes = 4000;
		client->write_gap_us = long_while + 3 * DAY_HOUR;
		client->length = call->hello + 1 + day_below(4000);
		client->close = PEER_CLOSE_AT_ONCE;
		served->close = PEER_CLOSE_SECOND;
		if (call->persona == DAY_PERSONA_KEPT)
			(day_chance(50) ? client : served)->keepalive_us =
				(300 + day_below(2000)) * (uint64_t)DAY_SECOND;
		break;
	case DAY_PERSONA_HALF_CLOSED:
		client->close = PEER_CLOSE_AT_ONCE;
		served->close = PEER_CLOSE_COMPLETE;
		served->first = 1;
		served->write_bytes = 1 + day_below(3000);
		served->write_gap_us = long_while / 10;
		served->length = 1 + 10 * served->write_bytes;
		break;
	case DAY_PERSONA_STALLED:
		client->opens_at_us = day.now_us + long_while;
		served->length = 1 + day_below(200000);
		break;
	case DAY_PERSONA_ABORT:
		served->length += 2000;
		(day_chance(50) ? client : served)->abort_after = call->hello + day_below(1000);
		break;
	case DAY_PERSONA_SILENT:
		client->first = client->length = 1 + day_below(call->hello - 1);
		client->close = PEER_CLOSE_SECOND;
		break;
	default:
		break;
	}
}

/* Half of the clients call again and again. */
static bool
is_hurried(const struct day_call *call)
{
	return call->number < DAY_CALLS_MAX / 2;
}

static enum day_persona
pick_persona(const struct day_call *call)
{
	unsigned persona = 0, all = 0;

	for (unsigned i = 0; i < (is_hurried(call) ? DAY_PERSONA_CHAT : DAY_PERSONAS); i++)
		all += personas[i].share;
	for (unsigned dice = day_below(all); dice >= personas[persona].share; persona++)
		dice -= personas[persona].share;
	return (enum day_persona)persona;
}

static void
begin(struct day_call *call)
{
	bool v4 = call->number % 2 == 0;
	struct peer_traits client = host(v4, day_chance(80)), served;

	memset(call->closed, 0, sizeof(call->closed));
	memset(call->shut, 0, sizeof(call->shut));
	memset(call->gone, 0, sizeof(call->gone));
	call->joined = false;
	call->going = true;
	call->reason = REASON_NONE;
	call->uses++;
	call->over_us = 0;
	call->begun_us = day.now_us;
	call->persona = pick_persona(call);
	call->hello = 100 + day_below(1800);
	call->endpoint = day_below(DAY_ENDPOINTS_GOOD);
	call->bridged = day_chance(33);
	call->pause_ms = day_chance(70) ? 0 : 1 + day_below(200);
	call->left = call->persona == DAY_PERSONA_CLIENT_VANISHES ? LEG_CLIENT : LEG_ENDPOINT;
	if (call->persona == DAY_PERSONA_NO_ENDPOINT)
		call->endpoint = DAY_ENDPOINTS_GOOD + day_below(DAY_ENDPOINTS - DAY_ENDPOINTS_GOOD);
	served = host(ip_addr_is_v4(&day.endpoints[call->endpoint]), call->endpoint != DAY_ENDPOINT_OLD);
	if (call->endpoint == DAY_ENDPOINT_SMALL) {
		served.mss = 536;
		served.scale = 0;
	}
	pick_talk(call, &client, &served);

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		struct peer *peer = &call->peer[leg];
		uint64_t armed_at = peer->armed_at; /* that event comes, and finds nothing to do */
		peer_init(peer, leg == LEG_CLIENT ? &client : &served);
		peer->armed_at = call->uses == 1 ? PEER_NEVER : armed_at;
		peer->noise = day_below(PEER_NOISE);
		peer->leg = leg;
		peer->connection = call;
		peer->other = &call->peer[leg_other(leg)];
	}
	struct peer *peer = &call->peer[LEG_CLIENT];
	peer->addr = rig_addr(v4 ? "192.0.2.16" : "2001:db8:1::10");
	peer->addr.bytes[15] = (uint8_t)(16 + call->number / 2 % 4);
	peer->gate = rig_addr(v4 ? "192.0.2.1" : "2001:db8:1::1");
	peer->port = (uint16_t)(DAY_FIRST_PORT + call->number * DAY_PORTS_OF_A_CALL + call->uses % DAY_PORTS_OF_A_CALL);
	peer->gate_port = DAY_LISTEN_PORT;
	day.n_begun++;
	day.n_of[call->persona]++;
	peer_connect(peer, day.now_us);
	day_arm(peer);
	call->leaves_us = PEER_NEVER;
	if (call->persona == DAY_PERSONA_SYN_ONLY)
		call->leaves_us = day.now_us;
	else if (call->persona == DAY_PERSONA_CLIENT_VANISHES || call->persona == DAY_PERSONA_ENDPOINT_VANISHES ||
		 call->persona == DAY_PERSONA_ENDPOINT_RESTARTS)
		call->leaves_us = day.now_us + 2 * DAY_SECOND + day_below(3600) * (uint64_t)DAY_SECOND;
	if (call->leaves_us != PEER_NEVER)
		day_plan(call->leaves_us, DAY_LEAVE, call->number);
}

void
day_call_leave(struct day_call *call)
{
	unsigned leg = call->persona == DAY_PERSONA_SYN_ONLY ? (unsigned)LEG_CLIENT : call->left;

	if (day.now_us != call->leaves_us)
		return; /* that was another call, which ended before */
	call->gone[leg] = call->persona != DAY_PERSONA_ENDPOINT_RESTARTS;
	peer_forget(&call->peer[leg]);
}

static bool
has_all(const struct day_call *call, unsigned leg)
{
	return call->peer[leg].read == call->peer[leg_other(leg)].traits.length;
}

/* A call has come to its end: was it the right one, and in time? */
static void
judge(const struct day_call *call)
{
	uint64_t took_s = (day.now_us - call->begun_us) / DAY_SECOND;
	const struct peer *client = &call->peer[LEG_CLIENT], *endpoint = &call->peer[LEG_ENDPOINT];

	switch (call->persona) {
	case DAY_PERSONA_EXCHANGE:
	case DAY_PERSONA_BULK:
	case DAY_PERSONA_CHAT:
	case DAY_PERSONA_KEPT:
	case DAY_PERSONA_HALF_CLOSED:
	case DAY_PERSONA_STALLED:
		if (!has_all(call, LEG_CLIENT) || !has_all(call, LEG_ENDPOINT))
			day_fail(call,
				 "not all of it came: %u of %u, %u of %u; states %d and %d; %s after %" PRIu64 " s",
				 client->read, endpoint->traits.length, endpoint->read, client->traits.length,
				 (int)client->state, (int)endpoint->state, reason_text(call->reason), took_s);
		return;
	case DAY_PERSONA_IDLE:
		took_s = (call->ended_us - call->begun_us) / DAY_SECOND;
		if (call->reason != REASON_IDLE_TIMEOUT || took_s < IDLE_S || took_s > IDLE_MOST_S ||
		    client->state < PEER_ABORTED || endpoint->state < PEER_ABORTED)
			day_fail(call, "ended after %" PRIu64 " s, states %d and %d: %s", took_s, (int)client->state,
				 (int)endpoint->state, reason_text(call->reason));
		return;
	case DAY_PERSONA_SILENT:
	case DAY_PERSONA_NO_ENDPOINT:
		took_s = (call->ended_us - call->begun_us) / DAY_SECOND;
		if (call->reason == REASON_NONE || took_s > FORGOTTEN_S || client->state < PEER_ABORTED)
			day_fail(call, "ended after %" PRIu64 " s, state %d", took_s, (int)client->state);
		return;
	default:
		return;
	}
}

static bool
is_over(const struct day_call *call)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		const struct peer *peer = &call->peer[leg];
		if (!peer_is_over(peer) && peer->state != PEER_NONE)
			return false;
	}
	return true;
}

static const struct flow *
record_of(const struct day_call *call)
{
	const struct peer *client = &call->peer[LEG_CLIENT];
	return rig_flow(&day.rig, LEG_CLIENT, &client->addr, client->port, DAY_LISTEN_PORT);
}

void
day_call_look_at(struct day_call *call)
{
	if (call->peer[LEG_CLIENT].wrong || call->peer[LEG_ENDPOINT].wrong)
		day_fail(call, "a byte came that isn't the one that was sent");
	if (!call->going || call->over_us != 0 || !is_over(call))
		return;
	call->over_us = day.now_us;
	judge(call);
	day_plan(day.now_us + (1 + day_below(is_hurried(call) ? 20 : 120)) * (uint64_t)DAY_SECOND, DAY_BEGIN,
		 call->number);
}

void
day_call_find_out(struct day_call *call)
{
	if (!call->going || call->over_us != 0 || call->reason == REASON_NONE ||
	    day.now_us < call->ended_us + FORGOTTEN_S * (uint64_t)DAY_SECOND)
		return;
	day.n_untold++;
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (call->peer[leg].state != PEER_NONE && !peer_is_over(&call->peer[leg]))
			peer_abort(&call->peer[leg], day.now_us);
	day_call_look_at(call);
}

void
day_call_begin_next(struct day_call *call)
{
	bool odd = call->gone[LEG_CLIENT] || call->gone[LEG_ENDPOINT] ||
		   call->persona == DAY_PERSONA_ENDPOINT_RESTARTS || call->persona == DAY_PERSONA_ABORT;
	const struct flow *flow = call->going ? record_of(call) : NULL;

	if (flow != NULL) {
		if (day.now_us - call->over_us > (uint64_t)DAY_SECOND * (odd ? IDLE_MOST_S : FORGOTTEN_S))
			day_fail(call, "it ended %" PRIu64 " s ago, and there is a record of it still: %s",
				 (day.now_us - call->over_us) / DAY_SECOND, flow_state_text(flow->state));
		day_plan(day.now_us + 5 * DAY_SECOND, DAY_BEGIN, call->number);
		return;
	}
	if (call->bridge != NULL)
		day_fail(call, "its session outlived its record");
	for (unsigned leg = 0; leg < LEG_COUNT && call->going; leg++)
		peer_forget(&call->peer[leg]);
	call->going = false;
	if (day.now_us < day.end_us)
		begin(call);
}

struct day_call *
day_call_of(const struct ip_addr *client, uint16_t port)
{
	struct day_call *call = &day.calls[(port - DAY_FIRST_PORT) / DAY_PORTS_OF_A_CALL];

	return port >= DAY_FIRST_PORT && call < &day.calls[DAY_CALLS_MAX] && call->peer[LEG_CLIENT].port == port &&
			       ip_addr_equal(&call->peer[LEG_CLIENT].addr, client)
		       ? call
		       : NULL;
}
