/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/session.h"

#include "dataplane/bridge.h"
#include "dataplane/mbuf_queue.h"
#include "tests/sim/decision.h"
#include "tests/unit/random.h"

enum { COPY_MAX = 4096, ATTEMPTS_MAX = 4 };

struct session {
	struct bridge *bridge; /* NULL: there is none */
	struct worker *worker;
	struct connection *connection;
	uint32_t tried; /* endpoints, a bit each */
	unsigned attempts;
	bool dialled, joined;
	bool closed[LEG_COUNT], shut[LEG_COUNT]; /* closed: its peer; shut: we, towards it */
	uint64_t carried;
	/* Habits. */
	bool copies, early;   /* early: sends before the endpoint has answered */
	uint32_t pause_ms;    /* at most, between two bites; 0: at once */
	uint32_t bite;        /* bytes at most; 0: all that there is room for */
	uint32_t dials_after; /* ms */
	uint64_t gives_up_at; /* when it has carried so many bytes; UINT64_MAX: never */
};

bool session_all;

static struct {
	uint64_t random;
	unsigned share; /* of connections that end here, in percent */
	struct session list[WORLD_CONNECTIONS_MAX];
} sessions;

static uint32_t
below(uint32_t bound)
{
	return random_below(&sessions.random, bound);
}

static bool
chance(unsigned percent)
{
	return below(100) < percent;
}

void
session_open(uint64_t seed, struct rig_options *options)
{
	memset(&sessions, 0, sizeof(sessions));
	sessions.random = seed ^ UINT64_C(0x5e5510b5e5510b5e);
	random_64(&sessions.random);
	unsigned kind = below(10);
	sessions.share = kind < 2 || session_all ? 100 : kind == 2 ? 40 : 0;
	world.plain = chance(12);
	world.few_bridges = chance(12);
	options->bridges = world.few_bridges ? 1 + below(3) : 0;
}

bool
session_wants(const struct connection *connection)
{
	(void)connection;
	return chance(sessions.share);
}

void
session_bend(struct connection *connection, struct peer_traits *client, struct peer_traits *served)
{
	if (!world.plain || world.operated || connection->met != 0)
		return;
	connection->met |= SITUATION_BIT(MET_PLAIN);
	/* Nobody repeats the handshake's last ACK, nor its answer: the gateway keeps nothing until it has come. */
	if (served->length == 0 || world_is_lossy(LEG_CLIENT) || !chance(50))
		return;
	served->begin_after = 0;
	client->begin_after = 1;
	client->syn_data = 0;
	connection->met |= SITUATION_BIT(MET_SERVER_FIRST);
}

/* --- where to ----------------------------------------------------------------------------------------------------- */

static void
dial(struct session *session)
{
	struct connection *connection = session->connection;
	unsigned first = below(world.n_endpoints);
	struct dial dial;

	session->dialled = true;
	for (unsigned i = 0; i < world.n_endpoints && session->attempts < ATTEMPTS_MAX; i++) {
		unsigned chosen = (first + i) % world.n_endpoints;
		if ((session->tried >> chosen & 1) != 0 || !decision_dial_to(chosen, &dial))
			continue;
		session->tried |= 1u << chosen;
		decision_note_dial(connection, session->attempts++, chosen);
		bridge_dial(session->worker, session->bridge, &dial);
		return;
	}
	if (session->attempts == 0)
		connection->may_fail_dial = true; /* there really is none */
	bridge_end(session->worker, session->bridge, REASON_NO_ENDPOINT);
}

/* --- carrying ----------------------------------------------------------------------------------------------------- */

/* Takes up to n bytes, as a TLS session does: copied out of one queue and into another. Returns how many. */
static uint32_t
copy(struct mbuf_queue *to, struct mbuf_queue *from, struct rte_mempool *pool, uint32_t n)
{
	uint8_t bytes[COPY_MAX];
	uint32_t done = 0;

	while (done < n) {
		uint32_t piece = mbuf_queue_peek(from, 0, bytes, n - done < COPY_MAX ? n - done : COPY_MAX);
		uint32_t fitted = mbuf_queue_write(to, pool, bytes, piece);
		mbuf_queue_drop(from, fitted);
		done += fitted;
		if (fitted == 0 || fitted < piece)
			break;
	}
	return done;
}

/* True when it has left something for later. */
static bool
carry(struct session *session, unsigned from)
{
	struct mbuf_queue *received = bridge_received(session->bridge, from), batch = {0};
	unsigned to = leg_other(from);
	uint32_t room = bridge_room(session->bridge, to), n = received->bytes < room ? received->bytes : room;

	if (session->bite != 0 && n > session->bite)
		n = session->bite;
	if (n != 0) {
		uint32_t took = session->copies ? copy(&batch, received, session->worker->pool, n)
						: mbuf_queue_move_some(&batch, received, n);
		session->carried += took;
		bridge_send(session->worker, session->bridge, to, &batch);
		bridge_took(session->worker, session->bridge, from);
	}
	if (received->bytes == 0 && session->closed[from] && !session->shut[to]) {
		session->shut[to] = true;
		bridge_shut(session->worker, session->bridge, to);
	}
	return received->bytes != 0 && bridge_room(session->bridge, to) != 0;
}

static void
work(struct session *session)
{
	bool more = false;

	if (!session->joined && !(session->early && session->dialled))
		return;
	for (unsigned from = 0; from < LEG_COUNT; from++)
		if (from == LEG_CLIENT || session->joined)
			more |= carry(session, from);
	if (session->carried >= session->gives_up_at) {
		session->connection->given_up = true;
		world.gave_up_step = world.steps;
		bridge_end(session->worker, session->bridge, REASON_ADMIN_CLOSED);
	} else if (more) {
		bridge_alarm(session->worker, session->bridge, 1 + below(session->pause_ms + 1));
	}
}

/* --- hooks -------------------------------------------------------------------------------------------------------- */

static void
pick_habits(struct session *session)
{
	session->copies = chance(50);
	session->early = chance(30);
	session->pause_ms = chance(50) ? 0 : 1 + below(chance(80) ? 20 : 200);
	session->bite = chance(70) ? 0 : 200 + below(8000);
	session->dials_after = chance(75) ? 0 : 1 + below(300);
	session->gives_up_at = chance(4) ? 1 + below(40000) : UINT64_MAX;
}

static bool
opened(void *context, struct worker *worker, struct bridge *bridge, enum reason *reason)
{
	struct bridge_ends ends;
	uint8_t bytes[COPY_MAX];
	(void)context;

	bridge_describe(worker, bridge, &ends);
	struct connection *connection = world_client(&ends.client, ends.client_port, false);
	struct mbuf_queue *received = bridge_received(bridge, LEG_CLIENT);
	uint32_t n = mbuf_queue_peek(received, 0, bytes, sizeof(bytes));
	if (connection == NULL || received->bytes > connection->peer[LEG_CLIENT].written ||
	    memcmp(bytes, peer_stream(&connection->peer[LEG_CLIENT], 0), n) != 0) {
		world_fail("a session begins with bytes that its client didn't send");
		*reason = REASON_NO_ENDPOINT;
		return false;
	}
	connection->bridged = true;
	connection->met |= SITUATION_BIT(MET_BRIDGED);
	if (chance(2)) {
		*reason = REASON_MAX_CONNECTIONS;
		connection->refusals[REASON_MAX_CONNECTIONS] = true;
		connection->refused = true; /* what of it comes again is nobody's */
		return false;
	}
	struct session *session = &sessions.list[connection->number];
	if (session->bridge != NULL)
		world_fail("connection %u: a session begins, and the one before wasn't told of its end",
			   connection->number);
	*session = (struct session){.bridge = bridge, .worker = worker, .connection = connection};
	pick_habits(session);
	bridge_set_session(bridge, session);
	if (session->dials_after != 0) {
		bridge_alarm(worker, bridge, session->dials_after);
	} else {
		dial(session);
		work(session);
	}
	return true;
}

static void
happened(void *context, struct worker *worker, struct bridge *bridge, unsigned leg, unsigned events, enum reason reason)
{
	struct session *session = bridge_session(bridge);
	(void)context;

	if (session == NULL || session->bridge != bridge || session->worker != worker) {
		world_fail("a session hears of somebody else's bridge");
		return;
	}
	if ((events & BRIDGE_CONNECT_FAILED) != 0) {
		if (!session->connection->may_fail_dial)
			world_fail("connection %u: an endpoint couldn't be reached: %s", session->connection->number,
				   reason_text(reason));
		if (session->carried != 0) /* to that endpoint, and gone with it */
			bridge_end(worker, bridge, reason);
		else
			dial(session);
		return;
	}
	session->joined |= (events & BRIDGE_CONNECTED) != 0;
	session->closed[leg] |= (events & BRIDGE_PEER_CLOSED) != 0;
	if ((events & BRIDGE_ALARM) != 0 && !session->dialled)
		dial(session);
	if ((events & BRIDGE_ALARM) == 0 && session->pause_ms != 0 && chance(60))
		bridge_alarm(worker, bridge, 1 + below(session->pause_ms));
	else
		work(session);
}

static void
gone(void *context, struct worker *worker, struct bridge *bridge, struct flow_event *event)
{
	struct session *session = bridge_session(bridge);
	(void)context, (void)worker, (void)event;

	if (session == NULL || session->bridge != bridge)
		world_fail("a session is told twice of its end");
	else
		session->bridge = NULL;
}

void
session_hooks(struct dataplane_hooks *hooks)
{
	hooks->bridge_opened = opened;
	hooks->bridge_event = happened;
	hooks->bridge_gone = gone;
}

void
session_die(void)
{
	for (unsigned i = 0; i < WORLD_CONNECTIONS_MAX; i++)
		sessions.list[i].bridge = NULL;
}

void
session_audit_end(void)
{
	for (unsigned i = 0; i < WORLD_CONNECTIONS_MAX; i++)
		if (sessions.list[i].bridge != NULL)
			world_fail("connection %u: its session wasn't told of its end", i);
}
