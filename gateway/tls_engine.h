/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one handshake thread has of OpenSSL: a library context of its own, the contexts (SSL_CTX) for the terms in use,
 * the keys of tickets, the sessions that a client may resume.
 *
 * An SSL is made from a handshake thread's contexts, goes through its handshake on that same thread, and then is read
 * and written on a worker. That is safe: OpenSSL asks only that one thread at a time uses an SSL; what SSLs share
 * (their SSL_CTX, the library context) it guards itself, and what is a thread's own (errors, random generators) it
 * makes for each thread and library context. And it costs nothing: reading and writing records looks nothing up and
 * takes no lock but in the rarest of messages (a ticket arrives, a key is updated). perf/tls_bench measures both.
 *
 * A context is found by the digest of the terms, role, and the certificates that the server's name picked. There are
 * TLS_CONTEXTS_MAX of them; the one that wasn't used for longest makes room.
 */
#ifndef POSTERN_GATEWAY_TLS_ENGINE_H
#define POSTERN_GATEWAY_TLS_ENGINE_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/reason.h"
#include "gateway/tls_terms.h"

struct tls_engine;
struct tls_session;

enum { TLS_CONTEXTS_MAX = 256, TLS_TICKET_SEED = 32, TLS_TICKET_PERIOD_S = 3600, TLS_RESUMABLE_MAX = 1024 };

/* The gateway's, one table for all engines. thread: what thread_open gave for the engine's thread. */
struct tls_hooks {
	/* Once for each engine, on whichever thread makes it; for a trust_view. May be NULL, as may thread_close and
	 * refresh. */
	void *(*thread_open)(void *context, OSSL_LIB_CTX *libctx);
	void (*thread_close)(void *thread);
	/* Before each burst of steps. */
	void (*refresh)(void *thread);
	/* Of the trust that verify goes by. */
	uint64_t (*generation)(void *thread);
	/* Whether the peer is to be trusted: REASON_NONE or one of REASON_TLS_PEER_*, from which follows the alert that
	 * it gets. chain: as it was sent, leaf first; only read, and gone afterwards. now: Unix seconds. */
	enum reason (*verify)(void *thread, struct tls_session *session, STACK_OF(X509) * chain, int64_t now);
	/* What a ticket is to say of the peer. Returns the bytes, 0: nothing to say (no certificate was asked for), or
	 * more than room: no ticket. Also called on workers. */
	size_t (*save)(const struct tls_session *session, uint8_t *to, size_t room);
	/* The same, back, of the same generation of trust: REASON_NONE, or why it isn't worth anything any more: then
	 * the connection fails. now: whether it has expired is the hook's to say. */
	enum reason (*restore)(void *thread, struct tls_session *session, const uint8_t *bytes, size_t length,
			       int64_t now);
	void *context;
};

struct tls_engine_stats {
	uint64_t full[2], resumed[2], failed[2]; /* handshakes, by enum tls_role */
	uint64_t tickets_given, tickets_refused; /* refused: another generation, an older key, or damaged */
	uint64_t contexts_made, contexts_evicted;
	uint64_t resumable_kept, resumable_dropped;
};

/* seed: of the keys of tickets, the same for all engines of a process; random. now: Unix seconds. NULL: no memory. */
struct tls_engine *tls_engine_new(const struct tls_hooks *hooks, const uint8_t seed[TLS_TICKET_SEED], int64_t now);
/* No session of it is left. */
void tls_engine_free(struct tls_engine *engine);
/* Before each burst of steps: hooks.refresh, the keys of tickets, what clients may resume. */
void tls_engine_refresh(struct tls_engine *engine, int64_t now);

OSSL_LIB_CTX *tls_engine_libctx(const struct tls_engine *engine);
const struct tls_engine_stats *tls_engine_stats(const struct tls_engine *engine);

#endif
