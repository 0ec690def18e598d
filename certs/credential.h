/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential: what Postern itself presents in a TLS handshake, a certificate chain and the private key of its leaf.
 *
 *	files (credential_file.h) ─┐
 *	embedded CA (issuer.h) ────┴─▶ credential_new ─▶ struct credential ─▶ one EVP_PKEY and X509s for each thread
 *
 * Immutable, counted by references, and shared by all threads. It holds DER, not OpenSSL's objects: those belong to the
 * OSSL_LIB_CTX of the thread that made them.
 *
 * What credential_new holds a chain to, each rule with its own error: leaf first, every certificate signed by the next,
 * signers are CAs; a root at the end may be there; the key is the leaf's, and one of EC P-256, EC P-384, Ed25519 and
 * RSA of 2048 to 8192 bits; no signature weaker than 112 bits (SHA-1); all of the chain is valid now. Whether it leads
 * to a root that anybody trusts is the peer's to say.
 */
#ifndef POSTERN_CERTS_CREDENTIAL_H
#define POSTERN_CERTS_CREDENTIAL_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/secret.h"

enum {
	CREDENTIAL_CHAIN_MAX = 10,        /* certificates in a chain */
	CREDENTIAL_ANCHORS_MAX = 64,      /* certificates in ca.crt */
	CREDENTIAL_FILE_MAX = 256 * 1024, /* bytes of each file */
	CREDENTIAL_NAME_MAX = 253         /* bytes of a credential's name: a Kubernetes object's */
};

/* Why there is no credential. X(constant, text, what it means) */
#define CREDENTIAL_ERROR_LIST(X)                                                                                       \
	X(NONE, "none", "nothing is wrong")                                                                            \
	X(MEMORY, "memory", "no memory for it")                                                                        \
	/* files */                                                                                                    \
	X(FOLDER, "credential_folder", "the credential's folder can't be opened")                                      \
	X(CERT_UNREADABLE, "cert_unreadable", "the file of the certificate can't be read")                             \
	X(KEY_UNREADABLE, "key_unreadable", "the file of the key can't be read")                                       \
	X(ANCHORS_UNREADABLE, "anchors_unreadable", "the file of the CA certificates can't be read")                   \
	X(FILE_LARGE, "file_large", "a file of more than 256 KiB")                                                     \
	X(FILE_CHANGING, "file_changing", "the files changed while they were read, several times over")                \
	X(KEY_EXPOSED, "key_exposed", "others than the owner may write the key's file, or a stranger owns it")         \
	/* what is in them */                                                                                          \
	X(CERT_MALFORMED, "cert_malformed", "not PEM, or a block in it that is no certificate")                        \
	X(CHAIN_EMPTY, "chain_empty", "no certificate")                                                                \
	X(CHAIN_LONG, "chain_long", "more certificates than a chain may have")                                         \
	X(CHAIN_ORDER, "chain_order", "a certificate isn't signed by the one behind it")                               \
	X(CHAIN_NOT_CA, "chain_not_ca", "a certificate behind the leaf isn't a CA's")                                  \
	X(ANCHORS_MALFORMED, "anchors_malformed", "CA certificates that can't be read, or too many of them")           \
	X(KEY_MALFORMED, "key_malformed", "no private key that can be read")                                           \
	X(KEY_ENCRYPTED, "key_encrypted", "the private key is encrypted, and there is nobody to ask for its password") \
	X(KEY_TYPE, "key_type", "a key that is neither EC P-256, EC P-384, Ed25519 nor RSA")                           \
	X(KEY_SIZE, "key_size", "an RSA key of less than 2048 or more than 8192 bits")                                 \
	X(KEY_MISMATCH, "key_mismatch", "the key isn't that of the first certificate")                                 \
	X(SIGNATURE_WEAK, "signature_weak", "a signature weaker than 112 bits")                                        \
	X(EXPIRED, "expired", "a certificate of the chain has expired")                                                \
	X(NOT_YET_VALID, "not_yet_valid", "a certificate of the chain isn't valid yet, or the clock is slow")          \
	/* as an identity */                                                                                           \
	X(NOT_SVID, "not_svid", "the certificate isn't an X.509-SVID: it names not exactly one SPIFFE ID")             \
	X(OTHER_DOMAIN, "other_domain", "the certificate's SPIFFE ID is of another trust domain than the box")         \
	/* the embedded CA */                                                                                          \
	X(NO_CA, "no_ca", "no embedded CA for that trust domain")                                                      \
	X(CA_MALFORMED, "ca_malformed", "not the certificate of an embedded CA for that trust domain")                 \
	X(CA_EXPIRED, "ca_expired", "the embedded CA has expired, or soon will, or the clock is wrong")                \
	X(ID_INVALID, "id_invalid", "not a workload's SPIFFE ID")                                                      \
	X(PROVIDER, "provider", "the OpenSSL provider that holds the key can't be loaded")                             \
	X(SIGNING, "signing", "OpenSSL couldn't make or sign the certificate")

enum credential_error {
#define X(constant, text, meaning) CREDENTIAL_##constant,
	CREDENTIAL_ERROR_LIST(X)
#undef X
		CREDENTIAL_ERROR_COUNT
};

/* "key_mismatch". Never NULL; "unknown" for what isn't an error. */
const char *credential_error_text(enum credential_error error);
/* One clause for a person. Never NULL. */
const char *credential_error_meaning(enum credential_error error);

/* Kinds of keys, for contexts that choose a certificate by what the client can verify. */
enum credential_key { CREDENTIAL_EC_P256, CREDENTIAL_EC_P384, CREDENTIAL_ED25519, CREDENTIAL_RSA };
/* "EC P-256". */
const char *credential_key_text(enum credential_key key);

/* One certificate, in DER, in the credential's block. */
struct credential_cert {
	const uint8_t *der;
	uint32_t length;
};

struct credential {
	atomic_uint refs;
	uint8_t key_kind; /* enum credential_key */
	uint16_t key_bits;
	uint16_t n_chain, n_anchors;
	int64_t not_before; /* Unix seconds: the latest in the chain */
	int64_t not_after;  /* the earliest in it */
	uint8_t chain_sha256[32];
	struct secret key;                     /* PKCS#8 PrivateKeyInfo, DER, unencrypted */
	const struct credential_cert *chain;   /* leaf first */
	const struct credential_cert *anchors; /* of ca.crt, whom a peer's chain must lead to; not looked into here */
	const char *spiffe_id; /* the leaf's only URI when that is a SPIFFE ID, NUL-terminated; else "" */
};

/* What one is made of: everything is copied, PEM is read. */
struct credential_source {
	const char *chain_pem;
	size_t chain_length;
	const char *key_pem;
	size_t key_length;
	const char *anchors_pem; /* may be NULL */
	size_t anchors_length;
};

/* NULL with *error on an error, else with one reference, the caller's. Control and handshake threads: some
 * 100 us. now: Unix seconds. */
struct credential *credential_new(OSSL_LIB_CTX *libctx, const struct credential_source *source, int64_t now,
				  enum credential_error *error);

/* The same from objects, unchecked: for who has just made them. */
struct credential *credential_issued(X509 *const *chain, unsigned n_chain, EVP_PKEY *key, enum credential_error *error);

/* Any thread, no lock. Returns credential. */
struct credential *credential_take(const struct credential *credential);
/* NULL is fine. The last one wipes the key. */
void credential_drop(const struct credential *credential);

/* Objects of the caller's own, in its libctx; NULL when there is no memory. The stack is leaf first. */
EVP_PKEY *credential_load_key(const struct credential *credential, OSSL_LIB_CTX *libctx);
STACK_OF(X509) *credential_load_chain(const struct credential *credential, OSSL_LIB_CTX *libctx);

#endif
