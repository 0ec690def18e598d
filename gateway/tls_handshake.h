/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL asks us during a handshake: whether a peer is to be trusted, which protocol to agree on, what goes into
 * a ticket, and what one that comes back is worth.
 */
#ifndef POSTERN_GATEWAY_TLS_HANDSHAKE_H
#define POSTERN_GATEWAY_TLS_HANDSHAKE_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "gateway/tls_terms.h"

struct tls_engine;
struct tls_session;

/* Gives a new context its callbacks. argument: the struct tls_engine. */
void tls_handshake_dress(void *argument, SSL_CTX *context, enum tls_role role);

/* Whether a session that may be resumed speaks of the trust in force, and hooks.restore takes what it says. */
bool tls_handshake_restore(struct tls_engine *engine, struct tls_session *session, SSL_SESSION *earlier);

/* Sends a copy of a client's session to its engine, to be resumed later. From any thread. */
void tls_handshake_keep(struct tls_session *session, SSL_SESSION *theirs);

#endif
