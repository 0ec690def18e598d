/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that our clients may resume: what endpoints gave us tickets for.
 *
 * Found by a key of 32 bytes that the caller makes of everything that must be the same (tls_session.c: terms, with our
 * own credential and whom we expect, and the server's name), which is the session's id context too, so that OpenSSL
 * compares it once more. Bounded: sets of a few places each; a new one takes the place of the oldest in its set. A TLS
 * 1.3 ticket is used once (RFC 8446 appendix C.4).
 */
#ifndef POSTERN_GATEWAY_TLS_RESUME_H
#define POSTERN_GATEWAY_TLS_RESUME_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/tls_terms.h"

enum { TLS_RESUME_SETS = 256, TLS_RESUME_WAYS = 4 };

struct tls_resume {
	struct tls_resume_place {
		SSL_SESSION *session; /* NULL: free */
		uint64_t order;       /* the higher the later */
	} places[TLS_RESUME_SETS][TLS_RESUME_WAYS];
	uint64_t order;
};

/* Takes over the caller's reference to session, whose id context is the key. False: it isn't kept. */
bool tls_resume_keep(struct tls_resume *resume, SSL_SESSION *session);
/* The latest session with this key: the reference is the caller's. NULL: none. */
SSL_SESSION *tls_resume_find(struct tls_resume *resume, const uint8_t key[TLS_DIGEST]);
/* Forgets all. */
void tls_resume_clear(struct tls_resume *resume);

#endif
