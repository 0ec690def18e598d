/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bridged connection, as the gateway sees it: two legs, each TLS or plaintext, and between them the question who may
 * talk to whom.
 *
 *   CLIENT ──────▶ DIALLING ──────▶ ENDPOINT ──────▶ JOINED ──────▶ (gone)
 *   the client's    authorized;      the endpoint's   bytes pass both ways
 *   handshake       SYN sent         handshake
 *
 * A plaintext client (LISTENER_PLAIN) begins in DIALLING, who it is by its place; a plaintext endpoint (mode DISABLE)
 * goes from DIALLING to JOINED.
 *
 * The connection is routed and authorized when its client has proved who it is, by the federation in force at that
 * moment, and authorized again whenever another one is put in force. Every refusal has a reason, and the client learns
 * no more than a closed connection or a TLS alert.
 *
 * Who speaks to the endpoint. ISTIO_MUTUAL presents a client that was mapped by a certificate of the embedded CA in its
 * name, if that CA owns the mapped trust domain, and everybody else by the gateway's own SVID. MUTUAL presents the
 * credential that the DestinationRule names. Whom we expect to answer: keyring.h.
 *
 * Which protocol is spoken (ALPN): session_alpn.h.
 *
 * Life after the handshake. Each worker goes round its sessions, every SESSION_SWEEP_MS and at once when trust or
 * federation have changed (sessions_look): a peer that fell out of trust (peer_register.h), whose certificate has
 * expired and is past the grace period, or that policies no longer admit loses its connection. Rotation of our own
 * certificates disturbs none.
 *
 * Memory. A session is on the heap, as what OpenSSL keeps for it is; there are no more of them than bridges.
 */
#ifndef POSTERN_GATEWAY_SESSION_H
#define POSTERN_GATEWAY_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/bridge.h"
#include "dataplane/dataplane.h"
#include "gateway/decide.h"
#include "gateway/peer_register.h"
#include "gateway/tls_pool.h"

enum {
	SESSION_SWEEP_MS = 500 /* from one round over all sessions to the next: what expires ends that much later */
};

struct sessions;

struct sessions_options {
	struct decide *decide;
	struct live *live;
	struct peer_register *peers;
	struct tls_pool *pool;
	struct rte_mempool *packets;
	const struct net *net; /* names of ports, for identities by place */
	unsigned n_workers;
	uint32_t handshake_ms;                        /* from the ClientHello until both sides are joined */
	uint32_t expiry_grace_s;                      /* how long an expired certificate's connections may go on */
	void (*wake)(void *context, unsigned worker); /* any thread */
	void *wake_context;
};

struct sessions *sessions_create(const struct sessions_options *options);
/* No worker runs any more, and the pool is stopped: what is away is collected. */
void sessions_free(struct sessions *sessions);

/* Adds what concerns bridges to hooks, whose context stays the decide's; that leads here (decide_set_sessions). */
void sessions_hooks(struct dataplane_hooks *hooks);

/* Any thread: trust or federation have changed; every session is looked at again, beginning now. */
void sessions_look(struct sessions *sessions);

enum session_state { SESSION_CLIENT, SESSION_DIALLING, SESSION_ENDPOINT, SESSION_JOINED, SESSION_STATES };
/* "client", "dialling", "endpoint", "joined". */
const char *session_state_text(enum session_state state);

enum { SESSION_CIPHERS = 10 };
/* A TLS version and a cipher suite, which handshakes are counted by. */
struct session_cipher {
	const char *version, *name; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256"; the last one: "other" */
};
const struct session_cipher *session_cipher(unsigned i);

struct sessions_stats {
	uint32_t now[SESSION_STATES];
	/* Done: by leg, index of session_cipher, and whether an earlier session was resumed. */
	uint64_t handshakes[LEG_COUNT][SESSION_CIPHERS][2];
};
/* Any thread; relaxed. sessions may be NULL. */
void sessions_stats(const struct sessions *sessions, struct sessions_stats *stats);

#endif
