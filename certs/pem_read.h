/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and private keys from PEM, without asking anybody for a password, and what kinds of keys there are.
 * OpenSSL's error queue is left as it was found: it belongs to the TLS sessions of the thread.
 */
#ifndef POSTERN_CERTS_PEM_READ_H
#define POSTERN_CERTS_PEM_READ_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stddef.h>

#include "certs/credential.h"

/* All certificates in pem, in its order; blocks of other kinds and text between blocks are passed over. Returns NULL
 * with *error when one can't be read (malformed), or when there are more than max (many). An empty stack is none. */
STACK_OF(X509) *pem_read_certificates(OSSL_LIB_CTX *libctx, const char *pem, size_t length, unsigned max,
				      enum credential_error malformed, enum credential_error many,
				      enum credential_error *error);

/* The first private key in pem: PKCS#8, or the older forms of RSA and EC. NULL with *error. Its kind isn't checked. */
EVP_PKEY *pem_read_key(OSSL_LIB_CTX *libctx, const char *pem, size_t length, enum credential_error *error);

/* What a key is. CREDENTIAL_KEY_TYPE or CREDENTIAL_KEY_SIZE when it is none that Postern uses. */
enum credential_error key_kind(const EVP_PKEY *key, enum credential_key *kind, unsigned *bits);

/* A new private key. NULL on an error. bits: for CREDENTIAL_RSA. */
EVP_PKEY *key_generate(OSSL_LIB_CTX *libctx, enum credential_key kind, unsigned bits);

#endif
