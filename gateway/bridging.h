/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the box needs to bridge, put together: keys and trust, handshake threads, the register of peers, sessions.
 *
 * It costs nothing until a federation has a listener that ends connections: then threads start, and stay. The order in
 * which things come into force is the order in which they may be relied upon: trust first, then the snapshot with its
 * keys, then the look at who is connected.
 *
 * Main thread.
 */
#ifndef POSTERN_GATEWAY_BRIDGING_H
#define POSTERN_GATEWAY_BRIDGING_H

#include <stdbool.h>

#include "gateway/decide.h"
#include "gateway/keyring.h"
#include "gateway/peer_register.h"
#include "gateway/session.h"
#include "gateway/tls_pool.h"

struct text;

struct bridging_options {
	const struct conf *conf;
	const struct net *net;
	struct decide *decide;
	struct live *live;
	struct rte_mempool *packets;
	unsigned n_workers;
	void (*wake)(void *context, unsigned worker); /* any thread */
	void *wake_context;
};

/* All zero: closed. */
struct bridging {
	struct bridging_options options;
	struct keyring *keyring;
	struct peer_register *peers;
	struct peer_proof_context proof;
	struct tls_hooks hooks;
	struct tls_pool *pool;     /* NULL: nothing was bridged yet */
	struct sessions *sessions; /* likewise */
	struct trust_view *view;   /* of the main thread */
	uint32_t now, most;        /* sessions: at the last tick; at a time, since memory was given back */
	unsigned calm_s;           /* for so many ticks no session has come or gone */
};

void bridging_open(struct bridging *bridging, const struct bridging_options *options);
/* No worker runs any more; the decide is still there, its snapshot too. */
void bridging_close(struct bridging *bridging);

/* What a snapshot that is about to be in force needs: *keys (NULL when it ends no connection) and, the first time,
 * threads. False, with lines in error: then nothing has changed. */
bool bridging_prepare(struct bridging *bridging, const struct snapshot *snapshot, struct key_set **keys,
		      struct text *error);
/* Right before the snapshot with those keys is put in force, or they alone are. */
void bridging_commit(struct bridging *bridging, const struct key_set *keys);
/* Right after: looks again at those who are connected. */
void bridging_check(struct bridging *bridging, const struct key_set *keys);
/* Every KEYRING_POLL_MS: new keys to be put in force with the same snapshot, or NULL. */
struct key_set *bridging_poll(struct bridging *bridging);

/* Once a second: gives memory back to the system when many sessions have ended and none come or go: what they had lies
 * scattered over the heap, which keeps it, and while it is looked for nobody can take or give back any. */
void bridging_tick(struct bridging *bridging);

#endif
