/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/session.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/hold.h"
#include "dataplane/net.h"
#include "dataplane/syn_cookie.h"
#include "gateway/keyring.h"
#include "gateway/session_parts.h"

enum { COLLECT = 32 };

static void *
allocate(size_t n, size_t size)
{
	void *memory = calloc(n, size);
	if (memory == NULL)
		abort(); /* as in platform/text.c */
	return memory;
}

struct sessions *
sessions_create(const struct sessions_options *options)
{
	struct sessions *sessions = allocate(1, sizeof(*sessions) + options->n_workers * sizeof(struct session_worker));

	sessions->options = *options;
	sessions->spoken = allocate(LIVE_SLOTS_MAX, sizeof(*sessions->spoken));
	for (unsigned i = 0; i < options->n_workers; i++) {
		sessions->workers[i].sessions = sessions;
		sessions->workers[i].io.pool = options->packets;
	}
	return sessions;
}

static void
count_state(struct session *session, int by)
{
	session->home->stats.now[session->state] += (uint32_t)by;
}

void
session_set_state(struct session *session, enum session_state state)
{
	count_state(session, -1);
	session->state = state;
	count_state(session, 1);
}

static void
enlist(struct session_worker *home, struct session *session)
{
	if (home->n == home->capacity) {
		home->capacity = home->capacity == 0 ? 64 : 2 * home->capacity;
		home->list = realloc(home->list, home->capacity * sizeof(struct session *));
		if (home->list == NULL)
			abort();
	}
	session->home = home;
	session->place = home->n;
	home->list[home->n++] = session;
	count_state(session, 1);
}

/* Frees a session; none of its legs is away. */
static void
release(struct session *session)
{
	struct session_worker *home = session->home;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		if (session->leg[leg].speaks_tls)
			tls_session_close(&session->leg[leg].tls);
		mbuf_queue_clear(&session->leg[leg].rest);
		peer_proof_close(&session->leg[leg].proof, home->sessions->options.peers);
	}
	tls_terms_drop(session->terms);
	free(session->endpoint_name);
	free(session->service);
	count_state(session, -1);
	home->list[session->place] = home->list[--home->n];
	home->list[session->place]->place = session->place;
	free(session);
}

void
sessions_free(struct sessions *sessions)
{
	if (sessions == NULL)
		return;
	for (unsigned i = 0; i < sessions->options.n_workers; i++) {
		struct session_worker *home = &sessions->workers[i];
		while (home->n != 0)
			release(home->list[home->n - 1]);
		free((void *)home->list);
	}
	free(sessions->spoken);
	free(sessions);
}

void
session_fail(struct session *session, unsigned leg, enum reason reason)
{
	struct worker *worker = session->home->worker;
	bool last_words = leg < LEG_COUNT && session->leg[leg].tls.bio.out.bytes != 0, in_order;

	if (session->ending)
		return;
	session->ending = true;
	if (last_words)
		bridge_send(worker, session->bridge, leg, &session->leg[leg].tls.bio.out);
	if (session->state == SESSION_JOINED)
		/* A plaintext side mustn't take what it has got for all there was. */
		in_order = last_words && session->leg[leg_other(leg)].speaks_tls;
	else
		/* What a plaintext client asks for is on its way. To a record that is gone it would be the last ACK of
		 * a handshake, by its SYN cookie, and the connection would be refused all over again. */
		in_order = last_words || !session->leg[LEG_CLIENT].speaks_tls;
	if (in_order)
		bridge_close(worker, session->bridge, reason);
	else
		bridge_end(worker, session->bridge, reason);
}

uint32_t
session_source(const struct session *session)
{
	const struct ip_addr *client = &session->ends.client;
	uint64_t words[2] = {0};

	memcpy(words, client->bytes, ip_addr_is_v4(client) ? sizeof(client->bytes) : sizeof(words[0]));
	return (uint32_t)siphash(session->home->worker->port_secret, words, 2) | 1; /* 0 is nobody */
}

/* --- handshakes --------------------------------------------------------------------------------------------------- */

void
session_step(struct session *session, unsigned index, bool first)
{
	struct session_leg *leg = &session->leg[index];
	struct mbuf_queue *received = bridge_received(session->bridge, index);
	struct session_worker *home = session->home;
	bool news = received->bytes != 0;

	if (leg->tls.away || session->ending)
		return;
	if (news) {
		mbuf_queue_move(&leg->tls.bio.in, received);
		bridge_took(home->worker, session->bridge, index);
	}
	if (leg->ended && !leg->tls.bio.in_ended) {
		leg->tls.bio.in_ended = true;
		news = true;
	}
	if ((news || first) && !tls_pool_submit(home->sessions->options.pool, home->worker->id, &leg->tls, &home->io))
		session_fail(session, index, REASON_TLS_SHED);
}

void
session_join(struct session *session)
{
	session_set_state(session, SESSION_JOINED);
	bridge_alarm(session->home->worker, session->bridge, 0);
	session_relay(session, LEG_CLIENT);
	if (!session->ending)
		session_relay(session, LEG_ENDPOINT);
}

/* --- what came of handshakes -------------------------------------------------------------------------------------- */

/* Keeps what the endpoint speaks for the next client of its service, where it was asked about HTTP/2. Without an answer
 * a server speaks what it always does, and that isn't HTTP/2. */
static void
learn_protocol(struct session *session, bool h2)
{
	if (session_alpn_has(&session->protocols, "h2"))
		session_alpn_learn(&session->home->sessions->spoken[session->ends.service % LIVE_SLOTS_MAX],
				   h2 ? SPOKEN_H2 : SPOKEN_OTHER, session->federation,
				   session->home->worker->now_ms / 1000);
}

static void
established(struct session *session, unsigned index)
{
	struct session_leg *leg = &session->leg[index];

	session_count_handshake(session, index);
	if (index == LEG_CLIENT) {
		session_set_state(session, SESSION_DIALLING);
		session_dial(session, REASON_NONE);
		return;
	}
	struct tls_bytes chosen = tls_session_alpn(&leg->tls);
	bool h2 = chosen.length == 2 && memcmp(chosen.bytes, "h2", 2) == 0;
	bool wants_h2 = session_alpn_has(&session->protocols, "h2") && !session->learns;
	learn_protocol(session, h2);
	if (wants_h2 && !h2)
		session_fail(session, LEG_COUNT, REASON_TLS_NO_SHARED_PROTOCOL);
	else if (h2 && !wants_h2)
		session_dial_again(session);
	else
		session_join(session);
}

static void
failed(struct session *session, unsigned index)
{
	const struct tls_session *tls = &session->leg[index].tls;
	enum { NO_APPLICATION_PROTOCOL = 120 }; /* RFC 7301 section 3.2 */
	bool refuses = index == LEG_ENDPOINT && tls->alert_received == NO_APPLICATION_PROTOCOL + 1;

	if (refuses)
		learn_protocol(session, false);
	session_fail(session, index, refuses ? REASON_TLS_NO_SHARED_PROTOCOL : tls->reason);
}

static void
came_back(struct session *session, unsigned index)
{
	struct session_leg *leg = &session->leg[index];

	if (session->bridge == NULL) {
		if (!session->leg[leg_other(index)].tls.away)
			release(session);
		return;
	}
	if (session->ending)
		return;
	if (session->denied != REASON_NONE) {
		session_fail(session, index, (enum reason)session->denied);
		return;
	}
	if (leg->tls.bio.out.bytes != 0 && leg->tls.progress != TLS_FAILED)
		bridge_send(session->home->worker, session->bridge, index, &leg->tls.bio.out);
	switch ((enum tls_progress)leg->tls.progress) {
	case TLS_DONE:
		established(session, index);
		return;
	case TLS_WANT_ROOM:
		session_step(session, index, true);
		return;
	case TLS_WANT_INPUT:
		session_step(session, index, false);
		return;
	default:
		failed(session, index);
	}
}

static struct session *
session_of(struct tls_session *tls, unsigned *leg)
{
	struct peer_proof *proof = tls->owner;
	struct session_leg *mine = (struct session_leg *)((char *)proof - offsetof(struct session_leg, proof));
	struct session *session = mine->session;

	*leg = mine == &session->leg[LEG_CLIENT] ? LEG_CLIENT : LEG_ENDPOINT;
	return session;
}

/* --- hooks -------------------------------------------------------------------------------------------------------- */

static struct session_worker *
home_of(void *context, struct worker *worker)
{
	struct session_worker *home = &decide_sessions(context)->workers[worker->id];

	home->worker = worker;
	return home;
}

/* What the client may choose from: the first backend of its route stands for all of them. */
static void
choose_protocols(struct session *session, const struct snapshot *snapshot, const struct listener *listener,
		 const struct client_hello *hello)
{
	const struct route *route = listener_route(snapshot, listener, session->sni, session->sni_length);
	const struct backend *backend = route == NULL || route->n_backends == 0 ? NULL : route->backends[0].backend;
	enum session_spoken spoken = SPOKEN_UNKNOWN;

	if (backend != NULL)
		spoken = session_alpn_known(&session->home->sessions->spoken[backend->live % LIVE_SLOTS_MAX],
					    snapshot->generation, session->home->worker->now_ms / 1000);
	session->learns = session_alpn_choose(hello, backend == NULL ? PROTOCOL_TLS : backend->protocol, spoken,
					      &session->protocols);
}

/* The client's TLS session begins. REASON_NONE, or why it can't. */
static enum reason
open_client(struct session *session, const struct decide_now *now, const struct listener *listener)
{
	struct session_worker *home = session->home;
	struct session_leg *leg = &session->leg[LEG_CLIENT];
	struct mbuf_queue *received = bridge_received(session->bridge, LEG_CLIENT);
	struct client_hello hello;
	uint32_t length = mbuf_queue_peek(received, 0, home->io.scratch, sizeof(home->io.scratch));

	if (client_hello_parse(home->io.scratch, length, &hello) != CLIENT_HELLO_WHOLE)
		return REASON_HELLO_MALFORMED;
	memcpy(session->sni, hello.sni, hello.sni_length + 1u);
	session->sni_length = hello.sni_length;
	const struct listener_tls *tls = listener_server(now->snapshot, listener, session->sni, session->sni_length);
	if (tls == NULL)
		return session->sni_length == 0 ? REASON_SNI_MISSING : REASON_SNI_NO_MATCH;
	const struct key_use *use = key_set_server(now->keys, listener, tls);
	choose_protocols(session, now->snapshot, listener, &hello);
	const struct tls_ask ask = {.server_name = session->sni,
				    .alpn = session->protocols.bytes,
				    .alpn_length = session->protocols.length};
	leg->speaks_tls = true;
	leg->proof.demand = peer_demand_take(use->demand);
	tls_session_open(&leg->tls, use->terms, &ask, &leg->proof);
	leg->tls.source = session_source(session);
	bridge_alarm(home->worker, session->bridge, home->sessions->options.handshake_ms);
	session_step(session, LEG_CLIENT, true);
	return REASON_NONE;
}

/* Who a plaintext client is, by where its packets come in and from. */
static void
place_client(struct session *session, const struct decide_now *now)
{
	struct session_leg *leg = &session->leg[LEG_CLIENT];
	const struct net *net = session->home->sessions->options.net;
	const char *interface = session->ends.port < net->n_ports ? net->ports[session->ends.port].conf->name : "";
	uint32_t rule;

	session->network_rule = UINT32_MAX;
	if (identity_map_network(&now->keys->book->map, interface, &session->ends.client, &rule, NULL) != CERT_NONE)
		return; /* nobody: what that is worth, the policies say */
	session->network_rule = rule;
	leg->proof.identity = peer_identity_take(now->keys->book->map.rules[rule].network);
}

static bool
hook_opened(void *context, struct worker *worker, struct bridge *bridge, enum reason *reason)
{
	struct session_worker *home = home_of(context, worker);
	const struct decide_now now = decide_now(context);
	struct session *session = allocate(1, sizeof(*session));

	*reason = REASON_NONE;
	session->bridge = bridge;
	session->network_rule = UINT32_MAX;
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		session->leg[leg].session = session;
	enlist(home, session);
	bridge_describe(worker, bridge, &session->ends);
	const struct listener *listener =
		now.snapshot == NULL || now.keys == NULL
			? NULL
			: snapshot_listener(now.snapshot, &session->ends.local, session->ends.local_port);
	if (listener == NULL)
		*reason = REASON_NO_LISTENER;
	else if (listener->mode == LISTENER_TERMINATE)
		*reason = open_client(session, &now, listener);
	if (*reason != REASON_NONE) {
		release(session);
		return false;
	}
	bridge_set_session(bridge, session);
	if (listener->mode != LISTENER_TERMINATE) {
		session_set_state(session, SESSION_DIALLING);
		place_client(session, &now);
		bridge_alarm(worker, bridge, home->sessions->options.handshake_ms);
		session_dial(session, REASON_NONE);
	}
	return true;
}

static void
advance(struct session *session, unsigned leg, unsigned events)
{
	bool arrived = (events & (BRIDGE_READABLE | BRIDGE_PEER_CLOSED)) != 0;

	switch (session->state) {
	case SESSION_CLIENT:
	case SESSION_ENDPOINT:
		if (arrived && leg == (session->state == SESSION_CLIENT ? LEG_CLIENT : LEG_ENDPOINT))
			session_step(session, leg, false);
		return;
	case SESSION_JOINED:
		if (arrived)
			session_relay(session, leg);
		if ((events & BRIDGE_WRITABLE) != 0 && !session->ending)
			session_relay(session, leg_other(leg));
		return;
	default:
		return; /* what the client says meanwhile waits in its TCP */
	}
}

static void
hook_event(void *context, struct worker *worker, struct bridge *bridge, unsigned leg, unsigned events,
	   enum reason reason)
{
	struct session *session = bridge_session(bridge);

	(void)home_of(context, worker);
	if (session == NULL || session->ending)
		return;
	if ((events & BRIDGE_PEER_CLOSED) != 0)
		session->leg[leg].ended = true;
	if ((events & BRIDGE_CONNECTED) != 0)
		session_connected(session);
	else if ((events & BRIDGE_CONNECT_FAILED) != 0)
		session_connect_failed(session, reason);
	if ((events & BRIDGE_ALARM) != 0 && !session->ending) {
		if (session->state != SESSION_JOINED) {
			session_fail(session, LEG_COUNT, REASON_TLS_HANDSHAKE_TIMEOUT);
			return;
		}
		session_relay(session, LEG_CLIENT);
		if (!session->ending)
			session_relay(session, LEG_ENDPOINT);
	}
	if (!session->ending)
		advance(session, leg, events);
}

static void
name_peer(char to[FLOW_EVENT_IDENTITY], const struct peer_identity *identity)
{
	if (identity == NULL)
		return;
	size_t length = identity->id.length;
	if (length >= FLOW_EVENT_IDENTITY)
		length = FLOW_EVENT_IDENTITY - 1;
	memcpy(to, identity->id.text, length);
	to[length] = '\0';
}

static void
hook_gone(void *context, struct worker *worker, struct bridge *bridge, struct flow_event *event)
{
	struct session *session = bridge_session(bridge);
	bool away = false;

	(void)home_of(context, worker);
	if (session == NULL)
		return;
	if (event != NULL) {
		memcpy(event->sni, session->sni, session->sni_length + 1u);
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			const struct peer_proof *proof = &session->leg[leg].proof;
			if (session->leg[leg].tls.away)
				continue; /* a handshake thread may be writing there */
			name_peer(event->identity[leg], proof->identity);
			if (proof->error != CERT_NONE)
				event->detail = cert_error_text(proof->error);
			else if (session->leg[leg].tls.alert_received != 0)
				event->detail = tls_alert_text(session->leg[leg].tls.alert_received);
		}
	}
	session->bridge = NULL;
	session->ending = true;
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		if (session->leg[leg].tls.away) {
			atomic_store_explicit(&session->leg[leg].tls.gone, true, memory_order_relaxed);
			away = true;
		}
	if (!away)
		release(session);
}

static unsigned
hook_poll(void *context, struct worker *worker)
{
	if (decide_sessions(context) == NULL)
		return 0;
	struct session_worker *home = home_of(context, worker);
	struct tls_session *back[COLLECT];
	unsigned n = tls_pool_collect(home->sessions->options.pool, worker->id, back, COLLECT), leg;

	for (unsigned i = 0; i < n; i++) {
		struct session *session = session_of(back[i], &leg);
		came_back(session, leg);
	}
	return n + session_watch(home);
}

void
sessions_hooks(struct dataplane_hooks *hooks)
{
	hooks->bridge_opened = hook_opened;
	hooks->bridge_event = hook_event;
	hooks->bridge_gone = hook_gone;
	hooks->poll = hook_poll;
}

void
sessions_look(struct sessions *sessions)
{
	atomic_fetch_add_explicit(&sessions->changes, 1, memory_order_release);
	for (unsigned i = 0; i < sessions->options.n_workers; i++)
		sessions->options.wake(sessions->options.wake_context, i);
}
