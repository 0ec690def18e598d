/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot's trust_spec.h points to, loaded and kept fresh: whom we trust, as whom we speak, and who is who.
 *
 *   files ──▶ keyring_load ──▶ struct key_set: terms for each listener and credential, demands, the book of identities
 *                                    │            in force with its snapshot (decide_install), immutable
 *                                    └ trust ──▶ trust_slot: every thread's view follows it
 *
 *   every KEYRING_POLL_MS: keyring_poll ── files changed, or an SVID is half through its life ──▶ a new key_set for the
 * same snapshot
 *
 * A file that is missing or wrong when a federation is loaded refuses it, as any other error in it does. Of one that
 * goes wrong later, what was read last stays in force, and the log says so once; the others come into force all the
 * same: an expired certificate of ours mustn't keep a revocation list out.
 *
 * Trust is published before anybody could be let in by it, and taken away from live connections by the caller
 * (peer_register_check).
 *
 * Main thread only, but for the look-ups of a key_set, which workers do.
 */
#ifndef POSTERN_GATEWAY_KEYRING_H
#define POSTERN_GATEWAY_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/trust.h"
#include "federation/snapshot.h"
#include "gateway/peer_proof.h"
#include "gateway/tls_terms.h"

struct text;
struct keyring;
struct keyring_parts;

enum {
	/* A quarter of the second in which a revocation has to have done its work. A look is a stat of each file. */
	KEYRING_POLL_MS = 250
};

/* What the files were when they were looked at. young: one is so new that another write may not show in its times. */
struct keyring_stamp {
	uint64_t hash;
	bool young;
};

/* How one server of a listener, or one way to endpoints, speaks TLS. */
struct key_use {
	struct tls_terms *terms;
	struct peer_demand
		*demand; /* servers: of their clients; NULL: none. Of a way to endpoints: see key_set_demand */
};

struct key_set {
	const struct snapshot *snapshot; /* that it is for */
	struct trust *trust;
	struct peer_book *book;
	struct key_use **servers;    /* by index of the listener, then of its tls */
	struct tls_terms **clients;  /* by index of the credential in the snapshot */
	struct tls_terms *own;       /* a client with our own SVID; NULL: we have none */
	struct tls_terms *anonymous; /* a client without a certificate */
	struct tls_terms **networks; /* by index of the identity rule: with an SVID for it; NULL: none */
	const char *own_id;          /* our SVID's SPIFFE ID; "": none */
	struct keyring_parts *parts; /* what it was made of */
	struct keyring_stamp stamp;  /* from before the files were read */
	int64_t renew_at;            /* Unix seconds: due to be made anew, though no file changes */
};

struct keyring *keyring_create(void);
void keyring_free(struct keyring *keyring);

/* Loads what the snapshot points to. NULL, with a line for each mistake in error, each ended. Nothing in force has
 * changed. */
struct key_set *keyring_load(struct keyring *keyring, const struct snapshot *snapshot, struct text *error);
/* The set is about to be in force: publishes its trust, and what it was loaded from is watched from now on. */
void keyring_commit(struct keyring *keyring, const struct key_set *set);
/* A new set for the snapshot of the one in force when something changed, or NULL. */
struct key_set *keyring_poll(struct keyring *keyring, const struct key_set *in_force);
/* Sessions keep what they have of it. NULL is fine. */
void key_set_free(struct key_set *set);

struct trust_slot *keyring_trust(struct keyring *keyring);

/* Worker: how the server that tls, one of the listener's, ends TLS. */
const struct key_use *key_set_server(const struct key_set *set, const struct listener *listener,
				     const struct listener_tls *tls);
/* Worker: the terms on which TLS is begun with a backend, in nobody's name but our own. NULL: there is no such
 * credential. A reference is the caller's to take. */
struct tls_terms *key_set_client(const struct key_set *set, const struct backend_tls *tls);
/* Worker: whom to expect at an endpoint of a backend. With one reference; heap. */
struct peer_demand *key_set_demand(const struct backend *backend, const struct endpoint *endpoint);

#endif
