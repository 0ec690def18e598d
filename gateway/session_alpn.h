/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which protocol a bridged connection speaks (ALPN, RFC 7301).
 *
 * A server must choose before its client has proved anything, and so before an endpoint is asked. What is chosen is the
 * first of the client's protocols that the service's port admits (GRPC and HTTP2: h2; HTTP: http/1.1; else all of
 * them); the endpoint is then offered that one and no other.
 *
 * Clients that would take h2 as well as http/1.1 are the common case, and a port that says neither leaves it to the
 * endpoint. What that one speaks is learned from the first such client of a service:
 *
 *   unknown ── the client gets http/1.1, which every HTTP server speaks; the endpoint is offered both ──┐
 *     ▲                                                                                                 │
 *     │  SESSION_ALPN_KNOWN_S later, or another federation                    it takes h2 ◀─────────────┴─▶ it doesn't
 *     └───────────────────────────────────────────────────────── SPOKEN_H2 ◀──────┘            SPOKEN_OTHER ◀────┘
 *
 * An endpoint that took h2 then is left again, and asked anew for http/1.1: the client notices nothing but the time for
 * another handshake. Clients after it get h2 where it is spoken, and http/1.1 where not. Who offers h2 alone gets it in
 * any case, and is refused where the endpoint doesn't follow.
 *
 * What is known is kept by the live slot of a service's port. A slot isn't given to another service before
 * LIVE_HOLD_MS, which is longer than anything is known.
 */
#ifndef POSTERN_GATEWAY_SESSION_ALPN_H
#define POSTERN_GATEWAY_SESSION_ALPN_H

#include <stdbool.h>
#include <stdint.h>

#include "federation/snapshot.h"
#include "gateway/client_hello.h"

enum { SESSION_ALPN_KNOWN_S = 240 };

enum session_spoken { SPOKEN_UNKNOWN, SPOKEN_H2, SPOKEN_OTHER };

/* ALPN names as in the extension: a byte of length and a name, each. */
struct session_protocols {
	uint16_t length;
	uint8_t bytes[CLIENT_HELLO_ALPN_MAX * (1 + CLIENT_HELLO_ALPN_NAME_MAX)];
};

/* What a client may choose from; empty when the port admits nothing of what it offers. True: what it is given isn't
 * known to be best, and its endpoint is to be asked (session_alpn_both). */
bool session_alpn_choose(const struct client_hello *hello, enum port_protocol protocol, enum session_spoken spoken,
			 struct session_protocols *protocols);
/* The one protocol. length 0: none. */
void session_alpn_one(struct session_protocols *protocols, const uint8_t *name, size_t length);
/* h2 and http/1.1, for an endpoint that is to be learned of. */
void session_alpn_both(struct session_protocols *protocols);
/* Whether a protocol is among them. */
bool session_alpn_has(const struct session_protocols *protocols, const char *name);

/* What is known of a service in one word; 0: nothing. Any worker; relaxed. generation: of the snapshot; now_s: any
 * monotonic clock. */
enum session_spoken session_alpn_known(const uint64_t *word, uint64_t generation, uint64_t now_s);
void session_alpn_learn(uint64_t *word, enum session_spoken spoken, uint64_t generation, uint64_t now_s);

#endif
