/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's contexts of one handshake thread, made when they are first needed, and the certificates and keys in them,
 * parsed once.
 *
 *   terms ──context_digest──▶ set ── credentials that fit the server's name (a bit each) ──▶ SSL_CTX
 *
 * There are TLS_SETS_MAX sets at most; the one that wasn't used for longest makes room. Sessions keep their context.
 *
 * What is spoken: TLS 1.2 and 1.3 as in Mozilla's "intermediate" profile, less its finite-field suites: ECDHE with
 * AES-GCM or ChaCha20-Poly1305 only, X25519, P-256, P-384, in our order. No renegotiation, no compression, no early
 * data.
 */
#ifndef POSTERN_GATEWAY_TLS_CONTEXT_H
#define POSTERN_GATEWAY_TLS_CONTEXT_H

#include <openssl/types.h>
#include <stdint.h>

#include "gateway/tls_terms.h"

enum { TLS_SETS_MAX = 256 };

struct tls_context_set;

struct tls_contexts {
	OSSL_LIB_CTX *libctx;
	/* Given each new context, for callbacks. */
	void (*dress)(void *argument, SSL_CTX *context, enum tls_role role);
	void *argument;
	struct tls_context_set *sets[TLS_SETS_MAX]; /* the first n */
	unsigned n;
	uint64_t order;
	uint64_t made, evicted; /* contexts; sets */
};

/* server_name: lower-case, or NULL; it chooses among a server's credentials. The context belongs to the set: SSL_new
 * takes a reference. NULL: no memory, or a credential that tls_terms_check would have refused. */
SSL_CTX *tls_contexts_find(struct tls_contexts *contexts, const struct tls_terms *terms, const char *server_name);
void tls_contexts_clear(struct tls_contexts *contexts);

#endif
