/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/decide.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/hold.h"
#include "dataplane/tcp_options.h"
#include "gateway/balance.h"
#include "gateway/client_hello.h"
#include "gateway/keyring.h"
#include "gateway/target.h"

static_assert((int)SNI_TEXT_MAX > (int)CLIENT_HELLO_SNI_MAX, "a server name and its NUL fit the event");

enum { IPV6_HEADER_EXTRA = 20 };

/* An offer as one word, so that it changes in one piece: mss 0..15, sack 16, timestamps 17. */
enum { OFFER_SACK = 1 << 16, OFFER_TIMESTAMPS = 1 << 17, OFFER_UNLEARNED = OFFER_SACK };

struct listener_view {
	uint32_t offer;   /* written by decide_refresh_offers, read by workers; relaxed */
	uint32_t *slots;  /* live slots of the endpoints behind it */
	uint32_t n_slots; /* 0: none, or too many */
};

struct decide_view {
	struct snapshot *snapshot;
	struct key_set *keys;            /* atomic; NULL: none */
	struct listener_view *listeners; /* by listener.index */
};

struct decide {
	struct decide_view *view; /* atomic */
	struct live *live;
	struct sessions *sessions; /* atomic; NULL: nothing is bridged */
	bool draining;             /* atomic */
};

static void *
alloc(size_t n, size_t size)
{
	void *memory = calloc(n != 0 ? n : 1, size);
	if (memory == NULL)
		abort(); /* control plane: as in platform/text.c */
	return memory;
}

/* Adds the endpoints of a backend. False when there are too many. */
static bool
add_endpoints(struct listener_view *view, const struct backend *backend)
{
	if (backend->n_endpoints > DECIDE_OFFER_ENDPOINTS_MAX - view->n_slots)
		return false;
	for (uint32_t i = 0; i < backend->n_endpoints; i++)
		view->slots[view->n_slots++] = backend->endpoints[i]->live;
	return true;
}

static bool
add_routed(struct listener_view *view, const struct listener *listener)
{
	for (uint32_t i = 0; i < listener->n_routes; i++) {
		const struct route *route = listener->routes[i];
		for (uint32_t k = 0; k < route->n_backends; k++)
			if (!add_endpoints(view, route->backends[k].backend))
				return false;
	}
	return true;
}

static bool
add_admitted(struct listener_view *view, const struct snapshot *snapshot, const struct listener *listener)
{
	for (uint32_t i = 0; i < snapshot->n_services; i++) {
		const struct service *service = &snapshot->services[i];
		if (listener_service(snapshot, listener, service->host.bytes, service->host.length) == NULL)
			continue;
		for (uint32_t k = 0; k < service->n_backends; k++) {
			const struct backend *backend = &service->backends[k];
			bool has_port;
			/* A subset's endpoints are among those of its port; and only TLS ports can be reached. */
			if (backend->subset.length != 0 ||
			    service_backend(service, backend->port, "", 0, &has_port) == NULL)
				continue;
			if (!add_endpoints(view, backend))
				return false;
		}
	}
	return true;
}

static void
listener_view_init(struct listener_view *view, const struct snapshot *snapshot, const struct listener *listener)
{
	view->offer = OFFER_UNLEARNED;
	view->slots = alloc(DECIDE_OFFER_ENDPOINTS_MAX, sizeof(*view->slots));
	bool all = listener->mode == LISTENER_AUTO_PASSTHROUGH ? add_admitted(view, snapshot, listener)
							       : add_routed(view, listener);
	if (!all)
		view->n_slots = 0;
	view->slots = realloc(view->slots, (view->n_slots + 1ul) * sizeof(*view->slots));
	if (view->slots == NULL)
		abort();
}

static uint32_t
learned_offer(const struct live *live, const struct listener_view *view, const struct listener *listener)
{
	uint32_t mss = UINT32_MAX, known = 0;
	bool sack = true, timestamps = true;

	for (uint32_t i = 0; i < view->n_slots; i++) {
		struct tcp_profile profile;
		if (!live_profile(live, view->slots[i], &profile))
			continue;
		known++;
		sack = sack && (profile.sack || !profile.asked_sack);
		timestamps = timestamps && profile.timestamps;
		if (profile.mss != 0 && profile.mss < mss)
			mss = profile.mss;
	}
	if (known == 0)
		return OFFER_UNLEARNED;
	if (mss == UINT32_MAX)
		mss = 0;
	else if (known < view->n_slots && listener->any_ipv6_endpoint && mss > TCP_MSS_DEFAULT_V6)
		mss -= IPV6_HEADER_EXTRA;
	return mss | (sack ? OFFER_SACK : 0) | (timestamps && known == view->n_slots ? OFFER_TIMESTAMPS : 0);
}

void
decide_refresh_offers(struct decide *decide)
{
	struct decide_view *view = decide->view; /* the main thread is its only writer */

	for (uint16_t i = 0; view != NULL && i < view->snapshot->n_listeners; i++) {
		const struct listener *listener = &view->snapshot->listeners[i];
		struct listener_view *listener_view = &view->listeners[listener->index];
		__atomic_store_n(&listener_view->offer, learned_offer(decide->live, listener_view, listener),
				 __ATOMIC_RELAXED);
	}
}

struct decide_view *
decide_install(struct decide *decide, struct snapshot *snapshot, struct key_set *keys)
{
	struct decide_view *before = decide->view;
	struct decide_view *view = alloc(1, sizeof(*view));

	view->snapshot = snapshot;
	view->keys = keys;
	view->listeners = alloc(snapshot->n_listeners, sizeof(*view->listeners));
	for (uint16_t i = 0; i < snapshot->n_listeners; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		struct listener_view *listener_view = &view->listeners[listener->index];
		listener_view_init(listener_view, snapshot, listener);
		/* What was learned before counts from the first SYN on. */
		listener_view->offer = learned_offer(decide->live, listener_view, listener);
	}
	__atomic_store_n(&decide->view, view, __ATOMIC_RELEASE);
	return before;
}

void
decide_view_free(struct decide_view *view)
{
	if (view == NULL)
		return;
	for (uint16_t i = 0; i < view->snapshot->n_listeners; i++)
		free(view->listeners[i].slots);
	free(view->listeners);
	key_set_free(view->keys);
	snapshot_free(view->snapshot);
	free(view);
}

struct decide *
decide_create(struct live *live)
{
	struct decide *decide = alloc(1, sizeof(*decide));
	decide->live = live;
	return decide;
}

void
decide_free(struct decide *decide)
{
	if (decide == NULL)
		return;
	decide_view_free(decide->view);
	free(decide);
}

const struct snapshot *
decide_snapshot(const struct decide *decide)
{
	return decide->view != NULL ? decide->view->snapshot : NULL;
}

struct key_set *
decide_rekey(struct decide *decide, struct key_set *keys)
{
	return __atomic_exchange_n(&decide->view->keys, keys, __ATOMIC_ACQ_REL);
}

struct decide_now
decide_now(const struct decide *decide)
{
	const struct decide_view *view = __atomic_load_n(&decide->view, __ATOMIC_ACQUIRE);

	if (view == NULL)
		return (struct decide_now){0};
	return (struct decide_now){view->snapshot, __atomic_load_n(&view->keys, __ATOMIC_ACQUIRE)};
}

void
decide_set_sessions(struct decide *decide, struct sessions *sessions)
{
	__atomic_store_n(&decide->sessions, sessions, __ATOMIC_RELEASE);
}

struct sessions *
decide_sessions(const struct decide *decide)
{
	return __atomic_load_n(&decide->sessions, __ATOMIC_ACQUIRE);
}

void
decide_drain(struct decide *decide, bool draining)
{
	__atomic_store_n(&decide->draining, draining, __ATOMIC_RELAXED);
}

static bool
hook_listener(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer)
{
	struct decide *decide = context;
	const struct decide_view *view = __atomic_load_n(&decide->view, __ATOMIC_ACQUIRE);

	if (view == NULL)
		return false;
	const struct listener *listener = snapshot_listener(view->snapshot, local, port);
	if (listener == NULL)
		return false;
	uint32_t word = __atomic_load_n(&view->listeners[listener->index].offer, __ATOMIC_RELAXED);
	*offer = (struct listener_offer){.listener = listener->index,
					 .live = listener->live,
					 .mss = (uint16_t)word,
					 .sack = (word & OFFER_SACK) != 0,
					 .timestamps = (word & OFFER_TIMESTAMPS) != 0,
					 .plain = listener->mode == LISTENER_TCP || listener->mode == LISTENER_PLAIN,
					 .draining = __atomic_load_n(&decide->draining, __ATOMIC_RELAXED)};
	return true;
}

bool
decide_backend(const struct decide_now *now, const struct listener *listener, const char *sni, size_t length,
	       const uint32_t tried[2], uint32_t random, struct decide_choice *choice)
{
	const struct target target = target_find(now->snapshot, listener, sni, length);

	choice->backend = target.route != NULL ? balance_route(target.route, tried, random) : target.backend;
	choice->reason = target.route != NULL ? REASON_NO_ENDPOINT : target.reason;
	return choice->backend != NULL;
}

bool
decide_endpoint(struct decide *decide, unsigned worker, uint8_t attempt, const uint32_t tried[2], uint32_t random,
		struct decide_choice *choice)
{
	const struct backend *backend = choice->backend;

	/* Workers don't ask each other: as many more may get in as there are workers deciding at the same moment. A
	 * connection that tries another endpoint was let in before. */
	choice->reason = REASON_MAX_CONNECTIONS;
	if (attempt == 0 && backend->max_connections != UINT32_MAX &&
	    live_active(decide->live, backend->live) >= backend->max_connections)
		return false;
	choice->reason = REASON_NO_ENDPOINT;
	choice->endpoint = balance_endpoint(backend, decide->live, worker, attempt, tried, random);
	if (choice->endpoint == NULL)
		return false;
	choice->dial =
		(struct dial){.addr = choice->endpoint->addr,
			      .port = choice->endpoint->port,
			      .endpoint = choice->endpoint->live,
			      .service = backend->live,
			      .connect_timeout_ms = backend->connect_timeout_ms != 0 ? backend->connect_timeout_ms : 1};
	return true;
}

static enum decision
refuse(enum reason *reason, enum reason why)
{
	*reason = why;
	return DECISION_REFUSE;
}

/* Where the name of the service is: REASON_NONE, REASON_COUNT: it isn't whole, or what is wrong with it. */
static enum reason
read_hello(const struct decide_input *input, struct client_hello *hello)
{
	switch (client_hello_parse(input->bytes, input->length, hello)) {
	case CLIENT_HELLO_MORE:
		/* Not only when the buffer is full: a sender may not fill a window with less than a segment, and wait.
		 */
		return hello->length > HOLD_MAX ? REASON_HELLO_TOO_LARGE : REASON_COUNT;
	case CLIENT_HELLO_NOT_TLS:
		return REASON_HELLO_NOT_TLS;
	case CLIENT_HELLO_MALFORMED:
		return REASON_HELLO_MALFORMED;
	case CLIENT_HELLO_BAD_NAME:
		return REASON_SNI_INVALID;
	case CLIENT_HELLO_WHOLE:
		break;
	}
	return REASON_NONE;
}

static enum decision
hook_decide(void *context, unsigned worker, const struct decide_input *input, struct dial *dial, enum reason *reason,
	    char sni[SNI_TEXT_MAX])
{
	struct decide *decide = context;
	const struct decide_view *view = __atomic_load_n(&decide->view, __ATOMIC_ACQUIRE);
	struct client_hello hello = {0};
	struct decide_choice choice = {0};
	const struct listener *listener =
		view != NULL ? snapshot_listener(view->snapshot, &input->local, input->local_port) : NULL;

	sni[0] = '\0';
	if (listener != NULL && listener->mode == LISTENER_PLAIN)
		return decide_sessions(decide) != NULL ? DECISION_BRIDGE : refuse(reason, REASON_TLS_OWN_CREDENTIAL);
	if (listener == NULL || listener->mode != LISTENER_TCP) { /* whose bytes aren't looked at, if there are any */
		enum reason fault = read_hello(input, &hello);
		if (fault == REASON_COUNT)
			return DECISION_MORE;
		if (fault != REASON_NONE)
			return refuse(reason, fault);
	}
	memcpy(sni, hello.sni, hello.sni_length + 1u);

	/* A reload may have taken the listener away since the SYN. */
	if (listener == NULL)
		return refuse(reason, REASON_NO_LISTENER);
	if (listener->mode == LISTENER_TERMINATE)
		return decide_sessions(decide) != NULL ? DECISION_BRIDGE : refuse(reason, REASON_TLS_OWN_CREDENTIAL);
	const struct decide_now now = {view->snapshot, NULL};
	if (!decide_backend(&now, listener, hello.sni, hello.sni_length, input->tried, input->random, &choice) ||
	    !decide_endpoint(decide, worker, input->attempt, input->tried, input->random, &choice))
		return refuse(reason, choice.reason);
	*dial = choice.dial;
	return DECISION_DIAL;
}

static void
hook_learned(void *context, unsigned worker, uint32_t endpoint, const struct tcp_profile *profile)
{
	struct decide *decide = context;

	(void)worker;
	live_profile_set(decide->live, endpoint, profile);
}

void
decide_hooks(struct decide *decide, struct dataplane_hooks *hooks)
{
	*hooks = (struct dataplane_hooks){
		.context = decide, .listener = hook_listener, .decide = hook_decide, .learned = hook_learned};
}
