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
 */
#ifndef POSTERN_GATEWAY_TLS_ENGINE_H
#define POSTERN_GATEWAY_TLS_ENGINE_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/reason.h"
#include "gateway/tls_context.h"
#include "gateway/tls_library.h"
#include "gateway/tls_resume.h"
#include "gateway/tls_terms.h"
#include "gateway/tls_ticket.h"

struct rte_ring;
struct tls_session;

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
	/* Whether the peer is to be trusted: REASON_NONE, or one of REASON_TLS_PEER_*, from which follows the alert
	 * that it gets. chain: as it was sent, leaf first; only read, and gone afterwards. now: Unix seconds. */
	enum reason (*verify)(void *thread, struct tls_session *session, STACK_OF(X509) *chain, int64_t now);
	/* What a ticket is to say of the peer. Returns the bytes; 0: nothing to say (it has no certificate); more than
	 * room: no ticket. Called on workers, too. Only of a peer that was verified. */
	size_t (*save)(const struct tls_session *session, uint8_t *to, size_t room);
	/* The same, back, under the same generation of trust. False: it isn't worth anything any more (expired); then a
	 * full handshake follows. That may be so for other reasons as well: whoever the session is said to be counts
	 * only once session->verified is set. */
	bool (*restore)(void *thread, struct tls_session *session, const uint8_t *bytes, size_t length, int64_t now);
	void *context;
};

struct tls_engine_stats {
	uint64_t full[2], resumed[2], failed[2];  /* handshakes, by enum tls_role */
	uint64_t tickets_refused;                 /* of another generation or no longer good; older keys */
	uint64_t sessions_kept, sessions_dropped; /* of those that endpoints let us resume */
};

struct tls_engine {
	struct tls_library library;
	OSSL_LIB_CTX *libctx; /* of library */
	EVP_MD *sha256;
	const struct tls_hooks *hooks;
	void *thread;
	int64_t now; /* Unix seconds, of the last tls_engine_refresh */
	struct tls_contexts contexts;
	struct tls_ticket_keys tickets;
	struct tls_resume resume;
	struct rte_ring *arrived; /* SSL_SESSION, from all threads: what endpoints gave our clients */
	struct tls_engine_stats stats;
};

enum { TLS_ENGINE_ARRIVED = 256 };

/* seed: of the keys of tickets, the same for all engines of a process; random. now: Unix seconds, the same for all.
 * NULL: no memory. */
struct tls_engine *tls_engine_new(const struct tls_hooks *hooks, const uint8_t seed[TLS_TICKET_SEED], int64_t now);
/* No session of it is left. */
void tls_engine_free(struct tls_engine *engine);
/* Before each burst of steps: time, hooks.refresh, the keys of tickets, what clients may resume. */
void tls_engine_refresh(struct tls_engine *engine, int64_t now);

#endif
