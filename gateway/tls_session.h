/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS session on one leg of a bridged connection.
 *
 * OPENED ──handshake steps, on a handshake thread──▶ ESTABLISHED ──read, write, on its worker──▶ CLOSED
 *    └───────────────────────── FAILED, with a reason and an alert in bio.out ─────────────────┘
 *
 * The struct is part of its owner's record, and never moves. It belongs to one thread at a time: to its worker, except
 * from tls_pool_submit until tls_pool_collect gives it back. In between its worker may touch only `gone`. What arrives
 * from the peer meanwhile stays with TCP.
 *
 * Worker, while not established:   move what TCP received to bio.in ─▶ tls_pool_submit ─▶ … ─▶ tls_pool_collect ─▶
 *                                  send bio.out ─▶ by session->progress: TLS_DONE: established; TLS_WANT_ROOM: submit
 *                                  again; TLS_WANT_INPUT: when more has come; TLS_FAILED: bio.out ends with an alert
 * A client has nothing to wait for: it is submitted right away, to say its ClientHello.
 * After TLS_DONE bio.in may hold the beginning of application data.
 *
 * Denial. An established client that turns out not to be let in is told so by one step more: with `denies` set it comes
 * back TLS_FAILED, and bio.out has the alert access_denied. That is TLS 1.3's alone; in TLS 1.2 there is no way to it.
 *
 * Half-close. close_notify ends one direction (RFC 8446 section 6.1): after TLS_CLOSED from reading, writing goes on,
 * and after tls_session_finish reading goes on. A peer that ends TCP without close_notify (bio.in_ended) is
 * TLS_FAILED with REASON_TLS_RECORD_TRUNCATED: what was read may not be all there was, and must not be passed on as if
 * it were.
 *
 * Resumption. A server gives one ticket for each handshake; a client keeps the latest for each server name and terms.
 * Both carry what hooks.save says of the peer and the generation of trust that it was verified under, and are worth
 * nothing once that has changed. Then hooks.restore is asked in place of hooks.verify.
 *
 * Memory. An idle session has no record buffers and no packet buffers; OpenSSL keeps about 16 kB for it (P-256
 * certificates; tests/unit/tls_memory_test.c). Of the peer's chain only its own certificate is kept once it is
 * verified, without its key.
 */
#ifndef POSTERN_GATEWAY_TLS_SESSION_H
#define POSTERN_GATEWAY_TLS_SESSION_H

#include <openssl/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/reason.h"
#include "gateway/tls_bio.h"
#include "gateway/tls_terms.h"

struct tls_engine;

enum {
	TLS_HANDSHAKE_MAX = 65536, /* bytes of handshake that a peer may send */
	TLS_RECORD_MAX = 16384,    /* bytes of plaintext in a record */
	TLS_SAVED_MAX = 8192,      /* bytes that hooks.save may write; more: no ticket */
	TLS_SERVER_NAME_MAX = 255,
	TLS_CHATTER_MAX = 512, /* messages beside the data in a session's life: tickets, key updates, warnings */
	TLS_OUT_MAX = 65536    /* bytes in bio.out from which on nothing is read: reading may have to answer */
};

enum tls_progress {
	TLS_WANT_INPUT, /* everything there was is done: more of the peer's bytes are needed */
	TLS_WANT_ROOM,  /* no packet buffers; reading: limit is reached, or too much waits in bio.out */
	TLS_DONE,       /* handshake: established. Writing: all of it */
	TLS_CLOSED,     /* reading: the peer's close_notify; nothing more comes */
	TLS_FAILED      /* session->reason; send what is in bio.out and close */
};

/* What a session is told besides its terms. Everything lives until the handshake is over. */
struct tls_ask {
	/* A server: of the ClientHello, lower-case, to choose the credential by; NULL: none. A client: to send, and
	 * "" or NULL: none. */
	const char *server_name;
	/* ALPN protocols as in the extension: a byte of length and a name, each, in order of preference. A server takes
	 * the first one that the client offers too, and refuses a client that offers others only; without a list it
	 * ignores what is offered. A client offers them. */
	const uint8_t *alpn;
	uint16_t alpn_length;
	/* A client: what else must be the same for a session to be resumed, besides terms and name: whom it expects.
	 * NULL: nothing. */
	const char *policy;
};

/* What a worker lends all its sessions. */
struct tls_io {
	struct rte_mempool *pool;
	uint64_t bytes_read, bytes_written; /* plaintext */
	uint8_t scratch[TLS_RECORD_MAX];
};

struct tls_session {
	struct tls_bio bio;
	SSL *ssl; /* NULL before the first step */
	struct tls_engine *engine;
	struct tls_terms *terms; /* a reference */
	void *owner;
	struct tls_ask ask;
	uint64_t generation;                /* of the trust that the peer was verified under */
	uint64_t submitted_us;              /* clock_us */
	uint32_t source;                    /* on whose behalf, for the pool's fairness (tls_pool.h); 0: nobody's */
	enum reason reason;                 /* of TLS_FAILED */
	enum reason verify_reason;          /* what hooks.verify said */
	atomic_bool gone;                   /* set by the worker while the session is away: not worth another step */
	uint8_t thread;                     /* of the pool; TLS_NO_THREAD: none yet */
	uint8_t progress;                   /* enum tls_progress of the last handshake step */
	uint8_t alert_sent, alert_received; /* AlertDescription (RFC 8446 section 6) + 1; 0: none */
	bool away;                          /* from tls_pool_submit until tls_pool_collect */
	bool is_new;                        /* away for its first step */
	bool denies;                        /* the next step is a denial; a server's, once established */
	bool established, resumed;
	bool verified; /* the peer has proved who it is; false: no certificate was asked for, or came */
	bool restored; /* hooks.restore said yes; counts if resumed */
	bool read_closed, write_closed; /* close_notify was received, was sent */
	bool asked_renegotiation;
	uint16_t chatter;       /* of TLS_CHATTER_MAX */
	uint16_t write_pending; /* bytes of plaintext that are encrypted already, and must be offered again */
};

enum { TLS_NO_THREAD = 0xff };

/* Worker. Takes a reference to terms. No cryptography, no memory. */
void tls_session_open(struct tls_session *session, struct tls_terms *terms, const struct tls_ask *ask, void *owner);
/* Worker: frees all, in whichever state, but not while it is away. A session that is all zero is fine. */
void tls_session_close(struct tls_session *session);

/* Handshake thread (tls_pool): goes on with the handshake as far as the input allows. TLS_WANT_INPUT,
 * TLS_WANT_ROOM, TLS_DONE, TLS_FAILED. */
enum tls_progress tls_session_handshake(struct tls_session *session, struct tls_engine *engine);

/* Worker; established. Decrypts what is in bio.in, until plain has `limit` bytes: TLS_WANT_INPUT, TLS_WANT_ROOM,
 * TLS_CLOSED, TLS_FAILED. */
enum tls_progress tls_session_read(struct tls_session *session, struct tls_io *io, struct mbuf_queue *plain,
				   uint32_t limit);
/* Worker; established. Encrypts all of plain to bio.out: TLS_DONE, TLS_WANT_ROOM (what remains in plain is for later),
 * TLS_FAILED. */
enum tls_progress tls_session_write(struct tls_session *session, struct tls_io *io, struct mbuf_queue *plain);
/* Worker; both established. Decrypts from one and encrypts to the other, record by record, without a queue in between
 * and with a copy less, until at least `limit` bytes have passed: results as of tls_session_read. When it is `to` that
 * failed, to->reason says so. Not while plaintext for `to` waits elsewhere. */
enum tls_progress tls_session_relay(struct tls_session *from, struct tls_session *to, struct tls_io *io,
				    uint32_t limit);
/* Worker; established, and everything is written: close_notify into bio.out. TLS_DONE, or TLS_WANT_ROOM: to be called
 * again. */
enum tls_progress tls_session_finish(struct tls_session *session, struct tls_io *io);

/* For log and status. Empty texts before they are known. */
const char *tls_session_version(const struct tls_session *session); /* "TLSv1.3" */
const char *tls_session_cipher(const struct tls_session *session);  /* "TLS_AES_128_GCM_SHA256" */
/* The protocol that was agreed on, not NUL-terminated; length 0: none. */
struct tls_bytes tls_session_alpn(const struct tls_session *session);
/* "unknown_ca", as RFC 8446 section 6 writes it; alert: as in alert_sent. */
const char *tls_alert_text(uint8_t alert);

#endif
