/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library context (OSSL_LIB_CTX) that knows only what TLS here needs.
 *
 * To read the public key of a certificate, OpenSSL 3.0 looks through everything that its providers offer, every
 * time: with its default provider's full lists, a third of a whole handshake went into that. So a context here has a
 * provider of ours instead, which is the default one with short lists: the ciphers, digests, key types (RSA, EC,
 * Ed25519, X25519) and so on that TLS here and its certificates use, and to read keys from DER.
 *
 *   libctx ── provider "postern" ──query──▶ short lists
 *                    └── its context is that of ──▶ whole ── provider "default"
 *
 * Everything that works is the default provider's own code, in the second context, which nobody else sees.
 */
#ifndef POSTERN_GATEWAY_TLS_LIBRARY_H
#define POSTERN_GATEWAY_TLS_LIBRARY_H

#include <openssl/types.h>
#include <stdbool.h>

struct tls_library {
	OSSL_LIB_CTX *libctx; /* the one to use */
	OSSL_LIB_CTX *whole;
	OSSL_PROVIDER *provider, *whole_provider;
};

/* Any thread. False: no memory. */
bool tls_library_open(struct tls_library *library);
/* Nothing made in libctx is left. All zero is fine. */
void tls_library_close(struct tls_library *library);

#endif
