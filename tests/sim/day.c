/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A day in the life of one gateway: the worlds of sim.c begin with a gateway that has just started, and end within
 * minutes; this one goes on for 24 hours of virtual time and more, with connections that come, talk for hours, say
 * nothing for hours, close in part, vanish, or never get as far as an endpoint, while others come and go.
 *
 *   CALLS_MAX clients at a time ── link ── gateway (rig.h), two workers ── link ── endpoints
 *
 * A third of the connections that can be are ended by a session (bridged), the others are spliced, or relayed where the
 * endpoint has no timestamps. After DAY_S nobody begins anything; all goes on until the last one is over.
 *
 * Checked: every byte; that each connection ends as its persona does, and none sooner or later; that its record goes
 * soon afterwards; that records and bridges never reach farther than for those that are there at a time; in the end,
 * that every record, timer, hold, bridge, session, count of live connections and packet buffer is back.
 *
 *   day [--seed N] [--hours N]
 *
 * One line for each hour. Ends with 0 when nothing was found.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/bridge.h"
#include "dataplane/mbuf_queue.h"
#include "tests/sim/agenda.h"
#include "tests/sim/peer.h"
#include "tests/sim/rig.h"
#include "tests/unit/random.h"

enum {
	MEGABYTES = 128,
	CALLS_MAX = 256,
	PORTS_OF_A_CALL = 64, /* that a client uses in turn */
	FIRST_PORT = 10000,
	LISTEN_PORT = 443,
	ENDPOINT_PORT = 8443,
	FIRST_LIVE = 2,
	SERVICE_LIVE = 10,
	FLIGHTS_MAX = 8192,
	PAYLOAD_MAX = 1500,
	HOURS = 24,
	SLEEP_MAX_MS = 1000,
	MS = 1000,
	SECOND = 1000 * MS,
	IDLE_S = 8100,
	/* An idle time-out may come an eighth late; farewells, lingering and lost packets take their time. */
	IDLE_MOST_S = IDLE_S + IDLE_S / 8 + 120,
	FORGOTTEN_S = 120, /* after the end of a connection in order, there is no record of it any more */
	GIVES_UP = 15,     /* time-outs of a peer that hears nothing */
	NOBODY = CALLS_MAX
};

#define HOUR (UINT64_C(3600) * SECOND)

enum event { EVENT_TO_GATE, EVENT_TO_PEER, EVENT_TIMER, EVENT_BEGIN, EVENT_LEAVE, EVENT_MINUTE };

/* The endpoints' hosts. Those that answer come first. */
enum endpoint {
	ENDPOINT_V4,
	ENDPOINT_V6,
	ENDPOINT_OLD, /* no timestamps: whoever has them is relayed */
	ENDPOINT_SMALL,
	ENDPOINTS_GOOD,
	ENDPOINT_REFUSING = ENDPOINTS_GOOD,
	ENDPOINT_BLACK_HOLE,
	ENDPOINTS
};

/* X(constant, of a hundred, text). Those before CHAT are soon over. */
#define PERSONA_LIST(X)                                                                                                \
	X(EXCHANGE, 46, "a few bytes each way")                                                                        \
	X(BULK, 3, "hundreds of kilobytes")                                                                            \
	X(ABORT, 3, "one side aborts")                                                                                 \
	X(SILENT, 3, "the client never says enough")                                                                   \
	X(SYN_ONLY, 3, "a SYN and nothing else")                                                                       \
	X(NO_ENDPOINT, 3, "nobody is there to answer")                                                                 \
	X(CHAT, 14, "a word every now and then, for hours")                                                            \
	X(KEPT, 6, "idle for hours, and kept by keep-alives")                                                          \
	X(HALF_CLOSED, 4, "one side closes, the other goes on for hours")                                              \
	X(STALLED, 3, "the client's window is closed for hours")                                                       \
	X(IDLE, 4, "idle for too long: ended, and both told")                                                          \
	X(CLIENT_VANISHES, 3, "the client loses power")                                                                \
	X(ENDPOINT_VANISHES, 3, "the endpoint loses power")                                                            \
	X(ENDPOINT_RESTARTS, 2, "the endpoint's host forgets it")

enum persona {
#define X(constant, share, text) PERSONA_##constant,
	PERSONA_LIST(X)
#undef X
		PERSONAS
};

static const struct {
	unsigned share;
	const char *text;
} personas[PERSONAS] = {
#define X(constant, share, text) {share, text},
	PERSONA_LIST(X)
#undef X
};

struct call {
	struct peer peer[LEG_COUNT];
	enum persona persona;
	bool going, bridged, dialled, joined, gone[LEG_COUNT];
	bool closed[LEG_COUNT], shut[LEG_COUNT]; /* its session's: closed: its peer; shut: we, towards it */
	unsigned number, uses, endpoint;
	uint64_t begun_us, over_us; /* over_us: 0: it isn't */
	uint64_t ended_us;          /* when the gateway said that it is over, by reason */
	uint64_t leaves_us;         /* PEER_NEVER: nobody does */
	uint32_t hello;
	unsigned left;         /* side that the persona has leave */
	struct bridge *bridge; /* its session's; NULL: it has none */
	enum reason reason;    /* for which the gateway has ended it; REASON_NONE: it hasn't */
	uint32_t pause_ms;     /* its session waits so long before it carries on */
};

/* A segment on its way. */
struct flight {
	struct segment segment;
	unsigned device;
	uint8_t bytes[PAYLOAD_MAX];
};

static struct rig rig;
static struct agenda agenda;
static struct call calls[CALLS_MAX];
static struct ip_addr endpoints[ENDPOINTS];
static uint16_t bound[ENDPOINTS][UINT16_MAX + 1]; /* whose call comes from that port of the gateway's */
static struct flight flights[FLIGHTS_MAX];
static uint16_t free_flights[FLIGHTS_MAX];
static unsigned n_free, n_sessions;
static uint64_t seed = 1, random_state, now_us, begin_us, end_us, gate_at_us, last_at[RIG_DEVICES][2];
static uint64_t n_begun, n_packets, n_bridged, n_haunted, n_untold, n_of[PERSONAS], n_ended[REASON_COUNT];
static unsigned relays_most;
static bool failed;

__attribute__((format(printf, 2, 3))) static void
fail(const struct call *call, const char *format, ...)
{
	va_list arguments;

	if (failed)
		return;
	failed = true;
	printf("day: seed %" PRIu64 ", %.6f h: ", seed, (double)(now_us - begin_us) / (double)HOUR);
	if (call != NULL)
		printf("call %u, use %u (%s%s, endpoint %u): ", call->number, call->uses, personas[call->persona].text,
		       call->bridged ? ", bridged" : "", call->endpoint);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static uint32_t
below(uint32_t bound_)
{
	return random_below(&random_state, bound_);
}

static bool
chance(unsigned percent)
{
	return below(100) < percent;
}

static void
plan(uint64_t at, enum event kind, uint32_t index)
{
	if (!agenda_plan(&agenda, at, kind, index))
		fail(NULL, "too many events at once");
}

/* --- links -------------------------------------------------------------------------------------------------------- */

/* One in 200 is lost, one in 500 comes twice, one in 100 late. */
static void
launch(unsigned device, bool to_gate, const struct segment *segment)
{
	static const uint64_t delay_us[RIG_DEVICES] = {20 * MS, 1 * MS};

	n_packets++;
	if (below(200) == 0)
		return;
	for (unsigned copies = below(500) == 0 ? 2 : 1; copies != 0; copies--) {
		uint64_t at = now_us + delay_us[device];
		if (n_free == 0) {
			fail(NULL, "too many packets on their way");
			return;
		}
		if (below(100) == 0)
			at += below(30 * MS);
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
		plan(at, to_gate ? EVENT_TO_GATE : EVENT_TO_PEER, index);
	}
}

static void
from_peer(struct peer *peer, const struct segment *segment)
{
	const struct call *call = peer->connection;

	if (!call->gone[peer->leg])
		launch(peer->leg == LEG_CLIENT ? RIG_WAN : RIG_LAN, true, segment);
}

static void
arm(struct peer *peer)
{
	const struct call *call = peer->connection;
	uint64_t due = peer_due(peer);

	if (due >= peer->armed_at)
		return;
	peer->armed_at = due < now_us ? now_us : due;
	plan(peer->armed_at, EVENT_TIMER, call->number * LEG_COUNT + peer->leg);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static struct peer_traits
host(bool v4, bool timestamps)
{
	return (struct peer_traits){
		.mss = v4 ? 1460 : 1440,
		.scale = 7,
		.sack = true,
		.timestamps = timestamps,
		.ts_base = (uint32_t)random_64(&random_state),
		.isn = (uint32_t)random_64(&random_state),
		.largest = v4 ? 1460 : 1440,
		.piece = UINT16_MAX,
		.gives_up = GIVES_UP,
		.buffer = 65535u << below(3),
		.ack_delay_us = 40 * MS,
		.ack_every = 2,
		.abort_after = UINT32_MAX,
	};
}

/* What both sides of a persona do; served: the endpoint's application. */
static void
pick_talk(struct call *call, struct peer_traits *client, struct peer_traits *served)
{
	uint64_t long_while = (1 + below(5)) * HOUR + below(3600) * (uint64_t)SECOND;

	client->first = call->hello;
	client->length = call->hello + below(4000);
	served->length = below(20000);
	served->begin_after = call->hello;
	client->close = chance(50) ? PEER_CLOSE_AT_ONCE : PEER_CLOSE_SECOND;
	served->close = client->close == PEER_CLOSE_AT_ONCE ? PEER_CLOSE_SECOND : PEER_CLOSE_AT_ONCE;
	switch (call->persona) {
	case PERSONA_BULK:
		client->length += below(300000);
		served->length += below(300000);
		break;
	case PERSONA_CHAT:
	case PERSONA_CLIENT_VANISHES:
	case PERSONA_ENDPOINT_VANISHES:
	case PERSONA_ENDPOINT_RESTARTS:
		client->write_bytes = 1 + below(600);
		client->write_gap_us = (20 + below(2400)) * (uint64_t)SECOND;
		client->length = call->hello + (2 + below(10)) * client->write_bytes;
		served->write_bytes = 1 + below(6000);
		served->write_gap_us = (20 + below(2400)) * (uint64_t)SECOND;
		served->length = (2 + below(10)) * served->write_bytes;
		served->first = 1;
		break;
	case PERSONA_KEPT:
	case PERSONA_IDLE:
		/* Then the rest, and the end; a side that waits for ever to be closed never closes itself. */
		client->write_bytes = 4000;
		client->write_gap_us = long_while + 3 * HOUR;
		client->length = call->hello + 1 + below(4000);
		client->close = PEER_CLOSE_AT_ONCE;
		served->close = PEER_CLOSE_SECOND;
		if (call->persona == PERSONA_KEPT)
			(chance(50) ? client : served)->keepalive_us = (300 + below(2000)) * (uint64_t)SECOND;
		break;
	case PERSONA_HALF_CLOSED:
		client->close = PEER_CLOSE_AT_ONCE;
		served->close = PEER_CLOSE_COMPLETE;
		served->first = 1;
		served->write_bytes = 1 + below(3000);
		served->write_gap_us = long_while / 10;
		served->length = 1 + 10 * served->write_bytes;
		break;
	case PERSONA_STALLED:
		client->opens_at_us = now_us + long_while;
		served->length = 1 + below(200000);
		break;
	case PERSONA_ABORT:
		served->length += 2000;
		(chance(50) ? client : served)->abort_after = call->hello + below(1000);
		break;
	case PERSONA_SILENT:
		client->first = client->length = 1 + below(call->hello - 1);
		client->close = PEER_CLOSE_SECOND;
		break;
	default:
		break;
	}
}

/* Half of the clients call again and again. */
static bool
is_hurried(const struct call *call)
{
	return call->number < CALLS_MAX / 2;
}

static enum persona
pick_persona(const struct call *call)
{
	unsigned persona = 0, all = 0;

	for (unsigned i = 0; i < (is_hurried(call) ? PERSONA_CHAT : PERSONAS); i++)
		all += personas[i].share;
	for (unsigned dice = below(all); dice >= personas[persona].share; persona++)
		dice -= personas[persona].share;
	return (enum persona)persona;
}

static void
begin(struct call *call)
{
	bool v4 = call->number % 2 == 0;
	struct peer_traits client = host(v4, chance(80)), served;

	memset(call->closed, 0, sizeof(call->closed));
	memset(call->shut, 0, sizeof(call->shut));
	memset(call->gone, 0, sizeof(call->gone));
	call->dialled = call->joined = false;
	call->going = true;
	call->reason = REASON_NONE;
	call->uses++;
	call->over_us = 0;
	call->begun_us = now_us;
	call->persona = pick_persona(call);
	call->hello = 100 + below(1800);
	call->endpoint = below(ENDPOINTS_GOOD);
	call->bridged = chance(33);
	call->pause_ms = chance(70) ? 0 : 1 + below(200);
	call->left = call->persona == PERSONA_CLIENT_VANISHES ? LEG_CLIENT : LEG_ENDPOINT;
	if (call->persona == PERSONA_NO_ENDPOINT)
		call->endpoint = ENDPOINTS_GOOD + below(ENDPOINTS - ENDPOINTS_GOOD);
	served = host(ip_addr_is_v4(&endpoints[call->endpoint]), call->endpoint != ENDPOINT_OLD);
	if (call->endpoint == ENDPOINT_SMALL) {
		served.mss = 536;
		served.scale = 0;
	}
	pick_talk(call, &client, &served);

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		struct peer *peer = &call->peer[leg];
		uint64_t armed_at = peer->armed_at; /* that event comes, and finds nothing to do */
		peer_init(peer, leg == LEG_CLIENT ? &client : &served);
		peer->armed_at = call->uses == 1 ? PEER_NEVER : armed_at;
		peer->noise = below(PEER_NOISE);
		peer->leg = leg;
		peer->connection = call;
		peer->other = &call->peer[leg_other(leg)];
	}
	struct peer *peer = &call->peer[LEG_CLIENT];
	peer->addr = rig_addr(v4 ? "192.0.2.16" : "2001:db8:1::10");
	peer->addr.bytes[15] = (uint8_t)(16 + call->number / 2 % 4);
	peer->gate = rig_addr(v4 ? "192.0.2.1" : "2001:db8:1::1");
	peer->port = (uint16_t)(FIRST_PORT + call->number * PORTS_OF_A_CALL + call->uses % PORTS_OF_A_CALL);
	peer->gate_port = LISTEN_PORT;
	n_begun++;
	n_of[call->persona]++;
	peer_connect(peer, now_us);
	arm(peer);
	call->leaves_us = PEER_NEVER;
	if (call->persona == PERSONA_SYN_ONLY)
		call->leaves_us = now_us;
	else if (call->persona == PERSONA_CLIENT_VANISHES || call->persona == PERSONA_ENDPOINT_VANISHES ||
		 call->persona == PERSONA_ENDPOINT_RESTARTS)
		call->leaves_us = now_us + 2 * SECOND + below(3600) * (uint64_t)SECOND;
	if (call->leaves_us != PEER_NEVER)
		plan(call->leaves_us, EVENT_LEAVE, call->number);
}

/* Somebody's host is gone, as the persona has it. */
static void
leave(struct call *call)
{
	unsigned leg = call->persona == PERSONA_SYN_ONLY ? (unsigned)LEG_CLIENT : call->left;

	if (now_us != call->leaves_us)
		return; /* that was another call, which ended before */
	call->gone[leg] = call->persona != PERSONA_ENDPOINT_RESTARTS;
	peer_forget(&call->peer[leg]);
}

static bool
has_all(const struct call *call, unsigned leg)
{
	return call->peer[leg].read == call->peer[leg_other(leg)].traits.length;
}

/* A call has come to its end: was it the right one, and in time? */
static void
judge(const struct call *call)
{
	uint64_t took_s = (now_us - call->begun_us) / SECOND;
	const struct peer *client = &call->peer[LEG_CLIENT], *endpoint = &call->peer[LEG_ENDPOINT];

	switch (call->persona) {
	case PERSONA_EXCHANGE:
	case PERSONA_BULK:
	case PERSONA_CHAT:
	case PERSONA_KEPT:
	case PERSONA_HALF_CLOSED:
	case PERSONA_STALLED:
		if (!has_all(call, LEG_CLIENT) || !has_all(call, LEG_ENDPOINT))
			fail(call, "not all of it came: %u of %u, %u of %u; states %d and %d; %s after %" PRIu64 " s",
			     client->read, endpoint->traits.length, endpoint->read, client->traits.length,
			     (int)client->state, (int)endpoint->state, reason_text(call->reason), took_s);
		return;
	case PERSONA_IDLE:
		took_s = (call->ended_us - call->begun_us) / SECOND;
		if (call->reason != REASON_IDLE_TIMEOUT || took_s < IDLE_S || took_s > IDLE_MOST_S ||
		    client->state < PEER_ABORTED || endpoint->state < PEER_ABORTED)
			fail(call, "ended after %" PRIu64 " s, states %d and %d: %s", took_s, (int)client->state,
			     (int)endpoint->state, reason_text(call->reason));
		return;
	case PERSONA_SILENT:
	case PERSONA_NO_ENDPOINT:
		took_s = (call->ended_us - call->begun_us) / SECOND;
		if (call->reason == REASON_NONE || took_s > FORGOTTEN_S || client->state < PEER_ABORTED)
			fail(call, "ended after %" PRIu64 " s, state %d", took_s, (int)client->state);
		return;
	default:
		return;
	}
}

static bool
is_over(const struct call *call)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		const struct peer *peer = &call->peer[leg];
		if (!peer_is_over(peer) && peer->state != PEER_NONE)
			return false;
	}
	return true;
}

static const struct flow *
record_of(const struct call *call)
{
	const struct peer *client = &call->peer[LEG_CLIENT];
	return rig_flow(&rig, LEG_CLIENT, &client->addr, client->port, LISTEN_PORT);
}

/* After whatever may have ended it. */
static void
look_at(struct call *call)
{
	if (call->peer[LEG_CLIENT].wrong || call->peer[LEG_ENDPOINT].wrong)
		fail(call, "a byte came that isn't the one that was sent");
	if (!call->going || call->over_us != 0 || !is_over(call))
		return;
	call->over_us = now_us;
	judge(call);
	plan(now_us + (1 + below(is_hurried(call) ? 20 : 120)) * (uint64_t)SECOND, EVENT_BEGIN, call->number);
}

/* Whoever wasn't told, since a RST is said only once and may be lost, has to find out by himself: that there is nobody
 * any more. */
static void
find_out(struct call *call)
{
	if (!call->going || call->over_us != 0 || call->reason == REASON_NONE ||
	    now_us < call->ended_us + FORGOTTEN_S * (uint64_t)SECOND)
		return;
	n_untold++;
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (call->peer[leg].state != PEER_NONE && !peer_is_over(&call->peer[leg]))
			peer_abort(&call->peer[leg], now_us);
	look_at(call);
}

/* The next call of a client, when the gateway has forgotten the last one: that it must, soon. */
static void
begin_next(struct call *call)
{
	bool odd = call->gone[LEG_CLIENT] || call->gone[LEG_ENDPOINT] || call->persona == PERSONA_ENDPOINT_RESTARTS ||
		   call->persona == PERSONA_ABORT;
	const struct flow *flow = call->going ? record_of(call) : NULL;

	if (flow != NULL) {
		if (now_us - call->over_us > (uint64_t)SECOND * (odd ? IDLE_MOST_S : FORGOTTEN_S))
			fail(call, "it ended %" PRIu64 " s ago, and there is a record of it still: %s",
			     (now_us - call->over_us) / SECOND, flow_state_text(flow->state));
		plan(now_us + 5 * SECOND, EVENT_BEGIN, call->number);
		return;
	}
	if (call->bridge != NULL)
		fail(call, "its session outlived its record");
	for (unsigned leg = 0; leg < LEG_COUNT && call->going; leg++)
		peer_forget(&call->peer[leg]);
	call->going = false;
	if (now_us < end_us)
		begin(call);
}

/* --- the gateway -------------------------------------------------------------------------------------------------- */

static struct call *
call_of(const struct ip_addr *client, uint16_t port)
{
	struct call *call = &calls[(port - FIRST_PORT) / PORTS_OF_A_CALL];

	return port >= FIRST_PORT && call < &calls[CALLS_MAX] && call->peer[LEG_CLIENT].port == port &&
			       ip_addr_equal(&call->peer[LEG_CLIENT].addr, client)
		       ? call
		       : NULL;
}

static void
dial_to(unsigned endpoint, struct dial *dial)
{
	*dial = (struct dial){.addr = endpoints[endpoint],
			      .port = ENDPOINT_PORT,
			      .endpoint = FIRST_LIVE + endpoint,
			      .service = SERVICE_LIVE,
			      .connect_timeout_ms = 10000};
}

static enum decision
decide(void *context, unsigned worker, const struct decide_input *input, struct dial *dial, enum reason *reason,
       char sni[SNI_TEXT_MAX])
{
	const struct call *call = call_of(&input->client, input->client_port);
	(void)context, (void)worker, (void)sni;

	/* A late repeat of a hello, when the record of its connection is gone already, brings a good cookie all the
	 * same. */
	if (call == NULL || !call->going || call->over_us != 0) {
		n_haunted++;
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	if (memcmp(input->bytes, peer_stream(&call->peer[LEG_CLIENT], 0), input->length) != 0)
		fail(call, "the decision is to be made on other bytes than were sent");
	if (input->length < call->hello)
		return DECISION_MORE;
	if (input->attempt != 0) {
		if (call->endpoint < ENDPOINTS_GOOD)
			fail(call, "its endpoint couldn't be reached");
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	if (call->bridged)
		return DECISION_BRIDGE;
	dial_to(call->endpoint, dial);
	return DECISION_DIAL;
}

static bool
listener(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer)
{
	(void)context, (void)local;
	*offer = rig.offer;
	return port == LISTEN_PORT;
}

static void
learned(void *context, unsigned worker, uint32_t endpoint, const struct tcp_profile *profile)
{
	(void)context, (void)worker, (void)endpoint, (void)profile;
}

/* What one side has said, as far as there is room on the other. */
static void
carry(struct worker *worker, struct call *call, unsigned from)
{
	struct mbuf_queue *received = bridge_received(call->bridge, from), batch = {0};
	unsigned to = leg_other(from);
	uint32_t room = bridge_room(call->bridge, to), n = received->bytes < room ? received->bytes : room;

	if (n != 0) {
		mbuf_queue_move_some(&batch, received, n);
		bridge_send(worker, call->bridge, to, &batch);
		bridge_took(worker, call->bridge, from);
	}
	if (received->bytes == 0 && call->closed[from] && !call->shut[to]) {
		call->shut[to] = true;
		bridge_shut(worker, call->bridge, to);
	}
}

static bool
session_opened(void *context, struct worker *worker, struct bridge *bridge, enum reason *reason)
{
	struct bridge_ends ends;
	struct dial dial;
	(void)context, (void)reason;

	bridge_describe(worker, bridge, &ends);
	struct call *call = call_of(&ends.client, ends.client_port);
	if (call->bridge != NULL)
		fail(call, "it has a session already");
	call->bridge = bridge;
	n_sessions++;
	bridge_set_session(bridge, call);
	dial_to(call->endpoint, &dial);
	bridge_dial(worker, bridge, &dial);
	return true;
}

static void
session_event(void *context, struct worker *worker, struct bridge *bridge, unsigned leg, unsigned events,
	      enum reason reason)
{
	struct call *call = bridge_session(bridge);
	(void)context;

	if (call->bridge != bridge) {
		fail(call, "its session hears of somebody else's bridge");
		return;
	}
	if ((events & BRIDGE_CONNECT_FAILED) != 0) {
		if (call->endpoint < ENDPOINTS_GOOD)
			fail(call, "its endpoint couldn't be reached: %s", reason_text(reason));
		bridge_end(worker, bridge, reason);
		return;
	}
	if ((events & BRIDGE_CONNECTED) != 0) {
		call->joined = true;
		n_bridged++;
	}
	call->closed[leg] |= (events & BRIDGE_PEER_CLOSED) != 0;
	if (!call->joined)
		return;
	if (call->pause_ms != 0 && (events & BRIDGE_ALARM) == 0) {
		bridge_alarm(worker, bridge, call->pause_ms);
		return;
	}
	carry(worker, call, LEG_CLIENT);
	carry(worker, call, LEG_ENDPOINT);
}

static void
session_gone(void *context, struct worker *worker, struct bridge *bridge, struct flow_event *event)
{
	struct call *call = bridge_session(bridge);
	(void)context, (void)worker, (void)event;

	if (call->bridge != bridge)
		fail(call, "its session is told twice of its end");
	call->bridge = NULL;
	n_sessions--;
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
		rig_flow(&rig, LEG_ENDPOINT, &syn->destination, syn->destination_port, syn->source_port);
	struct call *call =
		flow == NULL ? NULL : call_of(&flow->leg[LEG_CLIENT].peer, ntohs(flow->leg[LEG_CLIENT].peer_port));

	bound[endpoint][syn->source_port] = call == NULL ? NOBODY : (uint16_t)call->number;
	if (call == NULL)
		return; /* it is a late one, of a connection that is gone */
	if (call->endpoint != endpoint)
		fail(call, "the gateway calls endpoint %u", endpoint);
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

	while (!ip_addr_equal(&endpoints[endpoint], &segment->destination))
		endpoint++;
	if (endpoint == ENDPOINT_BLACK_HOLE)
		return;
	uint16_t number = bound[endpoint][segment->source_port];
	bool is_syn = (segment->flags & 0x16) == 0x02;
	if (endpoint == ENDPOINT_REFUSING || number == NOBODY) {
		refuse(RIG_LAN, segment);
		return;
	}
	struct call *call = &calls[number];
	struct peer *peer = &call->peer[LEG_ENDPOINT];
	if (call->gone[LEG_ENDPOINT])
		return;
	if (peer->state != PEER_NONE)
		peer_input(peer, segment, now_us);
	else if (is_syn)
		peer_accept(peer, segment, now_us);
	else
		refuse(RIG_LAN, segment);
	arm(peer);
	look_at(call);
}

static void
to_client(const struct segment *segment)
{
	struct call *call = call_of(&segment->destination, segment->destination_port);

	if (call == NULL || !call->going) {
		refuse(RIG_WAN, segment);
		return;
	}
	if (call->gone[LEG_CLIENT])
		return;
	peer_input(&call->peer[LEG_CLIENT], segment, now_us);
	arm(&call->peer[LEG_CLIENT]);
	look_at(call);
}

/* --- the day ------------------------------------------------------------------------------------------------------ */

static void
drain(void)
{
	uint8_t frame[RIG_FRAME];
	struct segment segment;
	struct flow_event event;

	for (unsigned device = 0; device < RIG_DEVICES; device++)
		while (rig_next(&rig, device, &segment, frame)) {
			if (device == RIG_LAN && (segment.flags & 0x16) == 0x02)
				for (unsigned i = 0; i < ENDPOINTS; i++)
					if (ip_addr_equal(&endpoints[i], &segment.destination))
						bind_call(i, &segment);
			launch(device, false, &segment);
		}
	while (rig_event(&rig, &event)) {
		struct call *call = call_of(&event.client, event.client_port);
		n_ended[event.reason]++;
		if (call == NULL || call->over_us != 0)
			continue;
		call->reason = (enum reason)event.reason;
		call->ended_us = now_us;
	}
	uint32_t sleep = rig_sleep(&rig, SLEEP_MAX_MS);
	gate_at_us = (rig.now_ms + (sleep == 0 ? 1 : sleep)) * MS;
}

static void
turn_gate(void)
{
	if (now_us / MS != rig.now_ms) {
		rig_time(&rig, now_us / MS);
		drain();
	}
}

static unsigned
records(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rig.n_workers; i++)
		n += flow_table_used(&rig.workers[i].flows);
	return n;
}

/* What there is, and that it is no more than there can be. */
static void
every_hour(void)
{
	unsigned going = 0, bridges = 0, touched = 0, timers = 0;

	for (unsigned i = 0; i < CALLS_MAX; i++)
		going += calls[i].going && calls[i].over_us == 0;
	for (unsigned i = 0; i < rig.n_workers; i++) {
		const struct worker *worker = &rig.workers[i];
		bridges += worker->bridges.used;
		timers += worker->wheel.armed;
		if (flow_table_touched(&worker->flows) > touched)
			touched = flow_table_touched(&worker->flows);
		if (worker->bridges.touched > CALLS_MAX)
			fail(NULL, "%u bridges were in use at a time", worker->bridges.touched);
	}
	if (bridges - n_sessions > relays_most)
		relays_most = bridges - n_sessions;
	if (records() > CALLS_MAX || touched > CALLS_MAX || timers > CALLS_MAX)
		fail(NULL, "%u records, %u in one table, %u timers for %u calls", records(), touched, timers,
		     CALLS_MAX);
	printf("day: hour %2" PRIu64 ": %6" PRIu64
	       " connections begun, %3u go on, %3u records, %3u sessions, %3u relays\n",
	       (now_us - begin_us) / HOUR, n_begun, going, records(), n_sessions, bridges - n_sessions);
	fflush(stdout);
}

static void
act(const struct agenda_event *event)
{
	switch ((enum event)event->kind) {
	case EVENT_TO_GATE:
		turn_gate();
		rig_receive(&rig, flights[event->index].device, &flights[event->index].segment);
		free_flights[n_free++] = (uint16_t)event->index;
		drain();
		return;
	case EVENT_TO_PEER:
		if (flights[event->index].device == RIG_LAN)
			to_endpoint(&flights[event->index].segment);
		else
			to_client(&flights[event->index].segment);
		free_flights[n_free++] = (uint16_t)event->index;
		return;
	case EVENT_TIMER: {
		struct peer *peer = &calls[event->index / LEG_COUNT].peer[event->index % LEG_COUNT];
		if (peer->armed_at != event->at)
			return; /* it was moved */
		peer->armed_at = PEER_NEVER;
		peer_timers(peer, now_us);
		arm(peer);
		look_at(peer->connection);
		return;
	}
	case EVENT_BEGIN:
		begin_next(&calls[event->index]);
		return;
	case EVENT_LEAVE:
		leave(&calls[event->index]);
		look_at(&calls[event->index]);
		return;
	case EVENT_MINUTE:
		for (unsigned i = 0; i < CALLS_MAX; i++)
			find_out(&calls[i]);
		if (event->index == 0)
			every_hour();
		plan(now_us + 60 * SECOND, EVENT_MINUTE, (event->index + 1) % 60);
		return;
	}
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < CALLS_MAX; i++)
		if (calls[i].going)
			return false;
	return now_us >= end_us && rig_is_empty(&rig);
}

static void
open_day(uint64_t hours)
{
	static const char *const addresses[ENDPOINTS] = {"198.51.100.16",  "2001:db8:2::10", "198.51.100.17",
							 "2001:db8:2::12", "198.51.100.18",  "198.51.100.19"};

	random_state = seed;
	random_64(&random_state);
	rig_open_with(&rig, &(struct rig_options){.n_workers = 2, .spreads = true, .flows = 1024, .packets = 16384});
	rig.hooks = (struct dataplane_hooks){.listener = listener,
					     .decide = decide,
					     .learned = learned,
					     .bridge_opened = session_opened,
					     .bridge_event = session_event,
					     .bridge_gone = session_gone};
	for (unsigned i = 0; i < ENDPOINTS; i++)
		endpoints[i] = rig_addr(addresses[i]);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		for (unsigned port = 0; port <= UINT16_MAX; port++)
			bound[i][port] = NOBODY;
	for (unsigned i = 0; i < FLIGHTS_MAX; i++)
		free_flights[n_free++] = (uint16_t)(FLIGHTS_MAX - 1 - i);
	begin_us = now_us = gate_at_us = rig.now_ms * MS;
	end_us = begin_us + hours * HOUR;
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		calls[i].number = i;
		plan(now_us + below(600) * (uint64_t)SECOND, EVENT_BEGIN, i);
	}
	plan(now_us + 60 * SECOND, EVENT_MINUTE, 1);
	peer_transmit = from_peer;
}

static void
report(void)
{
	uint64_t opened = 0, closed = 0;

	for (unsigned i = 0; i < rig.n_workers; i++)
		for (unsigned slot = 0; slot < rig.n_live; slot++) {
			opened += rig.workers[i].live[slot].opened;
			closed += rig.workers[i].live[slot].closed;
		}
	if (opened != closed)
		fail(NULL, "%" PRIu64 " connections were counted as opened, %" PRIu64 " as closed", opened, closed);
	if (n_sessions != 0)
		fail(NULL, "%u sessions weren't told of their end", n_sessions);
	for (unsigned i = 0; i < PERSONAS; i++)
		printf("%8" PRIu64 "  %s\n", n_of[i], personas[i].text);
	printf("%8" PRIu64 "  decisions about what came late\n", n_haunted);
	printf("%8" PRIu64 "  one side wasn't told of the end: a packet was lost\n", n_untold);
	if (n_untold > n_begun / 100 || n_haunted > n_begun / 100)
		fail(NULL, "too many");
	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (n_ended[i] != 0)
			printf("%8" PRIu64 "  ended: %s\n", n_ended[i], reason_text((enum reason)i));
	if (n_bridged == 0 || relays_most == 0)
		fail(NULL, "no connection was bridged, or none relayed");
}

int
main(int argc, char **argv)
{
	unsigned long long chosen = seed, hours = HOURS;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !((strcmp(argv[i], "--seed") == 0 && sscanf(argv[i + 1], "%llu", &chosen) == 1) ||
				       (strcmp(argv[i], "--hours") == 0 && sscanf(argv[i + 1], "%llu", &hours) == 1))) {
			fputs("usage: day [--seed N] [--hours N]\n", stderr);
			return 2;
		}
	seed = chosen;
	if (!rig_start_eal(MEGABYTES))
		return 2;
	open_day(hours);
	while (!failed && !all_over()) {
		if (agenda.n == 0 || gate_at_us <= agenda.events[0].at) {
			now_us = gate_at_us;
			rig_time(&rig, now_us / MS);
			drain();
		} else {
			struct agenda_event event = agenda_next(&agenda);
			now_us = event.at;
			act(&event);
		}
		if (now_us > end_us + 24 * HOUR)
			fail(NULL, "it doesn't end");
	}
	if (!failed)
		report();
	unsigned lost = failed ? 0 : rig_close(&rig);
	if (lost != 0)
		fail(NULL, "%u packet buffers were lost", lost);
	if (!failed)
		printf("day: seed %" PRIu64 ": %" PRIu64 " connections in %.1f h, %" PRIu64 " by sessions, %" PRIu64
		       " packets: nothing is left\n",
		       seed, n_begun, (double)(now_us - begin_us) / (double)HOUR, n_bridged, n_packets);
	return failed;
}
