/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms on which one side of a connection speaks TLS: as whom, with which versions, and what it asks of the peer.
 *
 * Made by control, immutable, counted by references; a listener has one, and so has each way to an endpoint. What
 * OpenSSL needs of it (contexts, parsed certificates and keys) each handshake thread makes for itself (tls_engine.h),
 * found by digest: the SHA-256 of everything here that goes into it. So terms that are made again after a reload, with
 * the same content, cost nothing, and a rotated certificate is simply another digest.
 *
 * Private keys: a copy in memory of this record's own, overwritten when the last reference is gone.
 */
#ifndef POSTERN_GATEWAY_TLS_TERMS_H
#define POSTERN_GATEWAY_TLS_TERMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_DIGEST = 32, TLS_CREDENTIALS_MAX = 64, TLS_CHAIN_MAX = 8 };

enum tls_role { TLS_SERVER, TLS_CLIENT };

/* What is asked of the peer. A client always verifies its server: TLS_VERIFY_REQUIRED. */
enum tls_verify {
	TLS_VERIFY_NONE,     /* no certificate is asked for */
	TLS_VERIFY_OPTIONAL, /* one is asked for, and verified if it comes */
	TLS_VERIFY_REQUIRED  /* none: TLS_CLIENT_CERTIFICATE_MISSING */
};

enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_bytes {
	const uint8_t *bytes;
	size_t length;
};

/* A certificate chain and its key, all in DER. */
struct tls_credential {
	const struct tls_bytes *chain; /* leaf first, 1..TLS_CHAIN_MAX */
	unsigned n_chain;
	struct tls_bytes key; /* PKCS#8, or the key type's own form */
};

/* What terms are made of; everything is copied but purpose. */
struct tls_terms_source {
	enum tls_role role;
	enum tls_verify verify;
	enum tls_version oldest, newest;
	/* A server: 1..TLS_CREDENTIALS_MAX. The client's server name decides: those whose leaf has it as a DNS name
	 * exactly, else by wildcard, else the first one. Several with the same name and different types of key are
	 * offered together. A client: one, or none. */
	const struct tls_credential *credentials;
	unsigned n_credentials;
	/* What verification goes by, in one text: the PKI's name, whom a client expects. A session is resumed only on
	 * terms with the same text (and the same credentials, server name and trust). NULL: "". */
	const char *policy;
	/* The caller's, for its verify hook; lives as long as the terms. purpose_free may be NULL. */
	void *purpose;
	void (*purpose_free)(void *purpose);
};

struct tls_terms {
	atomic_uint references;
	enum tls_role role;
	enum tls_verify verify;
	enum tls_version oldest, newest;
	uint8_t context_digest[TLS_DIGEST]; /* of what a context is made from: all but policy and purpose */
	uint8_t digest[TLS_DIGEST];         /* of all but purpose */
	struct tls_credential *credentials; /* in memory */
	unsigned n_credentials;
	uint32_t flight_bytes; /* of the largest chain: what a handshake sends of it at once */
	const char *policy;
	void *purpose;
	void (*purpose_free)(void *purpose);
	uint8_t *memory;
	size_t memory_bytes;
};

/* With one reference, the caller's. Memory that can't be had ends the process (control only). NULL when the source's
 * numbers are out of range; whether OpenSSL can read the credentials, tls_terms_check says. */
struct tls_terms *tls_terms_new(const struct tls_terms_source *source);
/* Whether every chain and key can be read, belong together and are of a kind that we speak with (EC P-256 or P-384,
 * Ed25519, RSA of at least 2048 bits). False, with a line in error (NUL-terminated). For control, before the terms are
 * put in force. */
bool tls_terms_check(const struct tls_terms *terms, char *error, size_t room);

/* Any thread. The last tls_terms_drop frees. NULL is fine. */
struct tls_terms *tls_terms_take(struct tls_terms *terms);
void tls_terms_drop(struct tls_terms *terms);

#endif
