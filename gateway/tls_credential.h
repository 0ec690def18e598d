/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate chain and its key as OpenSSL has them, parsed once for each handshake thread, in its library context.
 */
#ifndef POSTERN_GATEWAY_TLS_CREDENTIAL_H
#define POSTERN_GATEWAY_TLS_CREDENTIAL_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "gateway/tls_terms.h"

/* How well a certificate fits a server's name; the higher the better. */
enum tls_match { TLS_MATCH_NONE, TLS_MATCH_WILDCARD, TLS_MATCH_EXACT };

struct tls_key_pair {
	X509 *leaf;
	STACK_OF(X509) *others; /* what is sent behind it */
	EVP_PKEY *key;
};

/* libctx: NULL is the process's default one. False, with a line in error, when it can't be read, doesn't belong
 * together, or is of a kind that we don't speak with. */
bool tls_key_pair_open(struct tls_key_pair *pair, OSSL_LIB_CTX *libctx, const struct tls_credential *credential,
		       char *error, size_t room);
void tls_key_pair_close(struct tls_key_pair *pair);

/* Compares the leaf's DNS names with a lower-case host name. A wildcard is the whole leftmost label, and stands for one
 * label (RFC 6125 section 6.4.3). The common name isn't read. */
enum tls_match tls_key_pair_match(const struct tls_key_pair *pair, const char *server_name);

#endif
