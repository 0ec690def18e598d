/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets (RFC 5077 section 4, RFC 8446 section 4.6.1).
 *
 *   seed ──▶ chain 0 ──HMAC──▶ chain 1 ──HMAC──▶ chain 2 …        one for each period
 *              └─▶ keys 0        └─▶ keys 1        └─▶ keys 2      name, encryption, authentication
 *
 * All threads of a process begin with the same seed and time and go on by the clock, each by itself: they have the same
 * keys without sharing anything. Tickets are made with the keys of this period, and taken with those or the ones
 * before. What is older is overwritten, and can't be had again from what is there: chain n doesn't give away chain n-1.
 *
 * A clock that is set back keeps the keys that are there; one that is set forward makes tickets worthless before their
 * time.
 */
#ifndef POSTERN_GATEWAY_TLS_TICKET_H
#define POSTERN_GATEWAY_TLS_TICKET_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

enum { TLS_TICKET_SEED = 32, TLS_TICKET_PERIOD_S = 3600, TLS_TICKET_NAME = 16, TLS_TICKET_KEY = 32 };

struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME];
	uint8_t encryption[TLS_TICKET_KEY];
	uint8_t authentication[TLS_TICKET_KEY];
};

struct tls_ticket_keys {
	OSSL_LIB_CTX *libctx;
	EVP_CIPHER *cipher; /* AES-256-CBC */
	uint8_t chain[TLS_TICKET_SEED];
	int64_t next_s;                          /* when the current key is no longer that */
	struct tls_ticket_key current, previous; /* previous: all zero in the first period */
};

/* now: seconds of any clock. False: no memory. */
bool tls_ticket_keys_open(struct tls_ticket_keys *keys, OSSL_LIB_CTX *libctx, const uint8_t seed[TLS_TICKET_SEED],
			  int64_t now);
void tls_ticket_keys_close(struct tls_ticket_keys *keys);
/* Goes on to the period of now. */
void tls_ticket_keys_turn(struct tls_ticket_keys *keys, int64_t now);

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb has it: 1: done, 2: done, and the ticket should be replaced, 0: not a key of
 * ours, -1: an error. */
int tls_ticket_keys_apply(struct tls_ticket_keys *keys, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
			  EVP_MAC_CTX *mac, bool encrypt);

#endif
