/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's side of struct dataplane_hooks: which listener, what its SYN-ACK offers, where a connection goes, and
 * why not.
 *
 * Behind a listener for TCP there is one route for all, and no hello is read: the decision is asked for before there
 * are bytes. Else:
 *
 *   bytes ─▶ ClientHello ─▶ listener ─┬─ PASSTHROUGH: server name ─▶ route ─▶ backend by weight ──┬─▶ limits ─▶
 * endpoint └─ AUTO_PASSTHROUGH: outbound_.… ─▶ service, port, subset ──┘
 *
 * The snapshot in force hangs on one pointer. Workers load it (acquire) in every call and keep nothing of it; the main
 * thread replaces it (release), waits until every worker has passed a quiescent state, and frees the old one.
 *
 * Hooks run on workers: they read, and write nothing but balancing cursors and learned profiles (live.h).
 */
#ifndef POSTERN_GATEWAY_DECIDE_H
#define POSTERN_GATEWAY_DECIDE_H

#include <stdbool.h>

#include "dataplane/dataplane.h"
#include "federation/snapshot.h"
#include "gateway/live.h"

enum {
	/* Above so many endpoints behind a listener its offer isn't learned: the walk over them, each second, is
	   bounded. */
	DECIDE_OFFER_ENDPOINTS_MAX = 4096
};

struct decide;
struct key_set;
struct sessions;
/* A snapshot in force and what was made of it. */
struct decide_view;

/* live outlives it. Without a snapshot there are no listeners. */
struct decide *decide_create(struct live *live);
/* Frees the snapshot in force, too. No worker may run any more. */
void decide_free(struct decide *decide);

/* The hooks; their context is decide. */
void decide_hooks(struct decide *decide, struct dataplane_hooks *hooks);

/* Puts a snapshot in force and takes it over. Returns the view of the one before, or NULL, for decide_view_free once
 * every worker has passed a quiescent state. The caller commits the live slots (live_commit). keys: for that snapshot,
 * taken over too; NULL: nothing that TLS ends here can be served. */
struct decide_view *decide_install(struct decide *decide, struct snapshot *snapshot, struct key_set *keys);
/* Frees a view, its snapshot and its keys. NULL is fine. */
void decide_view_free(struct decide_view *view);

/* Main thread: the snapshot in force, or NULL. Good until the next decide_install. */
const struct snapshot *decide_snapshot(const struct decide *decide);

/* Puts other keys in force with the same snapshot. Returns those of before, for key_set_free once every worker has
 * passed a quiescent state. */
struct key_set *decide_rekey(struct decide *decide, struct key_set *keys);

/* Main thread, once a second: works out anew what listeners offer, from what was learned of the endpoints behind them.
 *  - MSS: the smallest of those known, 20 bytes less if some are unknown and IPv6 is among them; none known: the MTU's.
 *  - timestamps: when every endpoint is known and takes them: their absence can't be made up for (RFC 7323
 * section 3.2).
 *  - SACK: unless one that is known lacks it: blocks are dropped towards it, but a client that counts on blocks from it
 *    would wait for time-outs instead.
 */
void decide_refresh_offers(struct decide *decide);

/* What is in force, for a worker until its next quiescent state, and for the main thread until it replaces it. Both
 * NULL before the first decide_install. */
struct decide_now {
	const struct snapshot *snapshot;
	const struct key_set *keys;
};
struct decide_now decide_now(const struct decide *decide);

/* Where a connection that is bridged goes. */
struct decide_choice {
	const struct backend *backend;
	const struct endpoint *endpoint;
	struct dial dial;
	enum reason reason; /* of a false */
};
/* Worker: the backend for a connection to listener by that server name; tried and random as in struct decide_input. */
bool decide_backend(const struct decide_now *now, const struct listener *listener, const char *sni, size_t length,
		    const uint32_t tried[2], uint32_t random, struct decide_choice *choice);
/* Worker: an endpoint of choice->backend, and how to dial it. */
bool decide_endpoint(struct decide *decide, unsigned worker, uint8_t attempt, const uint32_t tried[2], uint32_t random,
		     struct decide_choice *choice);

/* Who has what concerns bridges; the context of the hooks leads here. NULL: connections that TLS ends here are refused.
 */
void decide_set_sessions(struct decide *decide, struct sessions *sessions);
struct sessions *decide_sessions(const struct decide *decide);

/* Stops or resumes taking new connections; those there are go on. */
void decide_drain(struct decide *decide, bool draining);

#endif
