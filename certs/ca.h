/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate authority of one trust domain: a key, and a self-signed certificate that says so.
 *
 * The certificate (X509-SVID.md sections 3.1, 4, 5): subject CN=Postern CA and the beginning of the key's identifier,
 * so that no two have the same name; exactly one URI, spiffe://TRUST-DOMAIN; CA with pathlen 0, critical; keyCertSign
 * and cRLSign, critical; subject key identifier.
 *
 * Name constraints. A constraint of the URI's host to the trust domain is RFC 5280 4.2.1.10 and would be sound in
 * itself, but not for those who have to accept the certificate: verifiers on rustls-webpki 0.103.12 and later refuse
 * every chain with a URI constraint (RUSTSEC-2026-0098), Go's refuse one whose host looks like an address, which trust
 * domains may. And a SPIFFE verifier asks only the bundle of the one domain that an SVID names, which binds the CA to
 * it more tightly. So there is none unless it is asked for (ca_spec.name_constraint).
 *
 * The key is in a file (PKCS#8 PEM, mode 0600, never overwritten), or it is held by an OpenSSL provider, for example in
 * a TPM, and is named by a URI that the provider's OSSL_STORE opens.
 *
 * On disk, DIR being the domain's folder, N counting from 1:
 *
 *	DIR/ca-N.crt   the certificate, PEM
 *	DIR/ca-N.key   its key, PEM; or
 *	DIR/ca-N.uri   two lines: the provider's name, the key's URI
 */
#ifndef POSTERN_CERTS_CA_H
#define POSTERN_CERTS_CA_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/credential.h"

struct text;

enum {
	CA_DAYS = 3650,         /* of validity, when nothing else is said */
	CA_BACKDATE_S = 300,    /* how far a new CA's notBefore lies in the past: for peers whose clocks are slow */
	CA_NUMBER_MAX = 999999, /* N */
	CA_FOLDER_MAX = 32      /* CAs in one folder */
};

/* A CA that is to be made. */
struct ca_spec {
	const char *trust_domain;
	enum credential_key key; /* of a key that is made here */
	unsigned rsa_bits;       /* 2048..8192, for CREDENTIAL_RSA */
	unsigned days;
	bool name_constraint;
	const char *provider, *key_uri; /* both, or both NULL: a key that a provider holds */
};

/* One CA, ready to sign. */
struct ca {
	unsigned number; /* N */
	X509 *certificate;
	EVP_PKEY *key;            /* NULL: published only, for its key isn't there */
	bool in_provider;         /* the key isn't in a file */
	int64_t from, not_after;  /* Unix seconds: when it was made (notBefore and what that was backdated), its end */
	uint8_t key_id[20];       /* subject key identifier */
	enum credential_key kind; /* of the key */
};

/* Makes a key and a certificate as DIR/ca-N, N following the greatest there, and DIR when it is missing (0700). now:
 * Unix seconds. On success *number is N; on an error what was made of it is removed again, and message says what is
 * wrong. */
bool ca_make(const char *directory, const struct ca_spec *spec, int64_t now, unsigned *number, struct text *message);

/* All CAs in DIR, in the order of N, at most CA_FOLDER_MAX. One that can't be read is an error of all: the caller keeps
 * what it had, and message says why. The certificate must be a CA's for trust_domain and its key the certificate's.
 * with_keys: false for showing only, then no key is opened. */
struct ca_folder {
	struct ca cas[CA_FOLDER_MAX];
	unsigned n;
	int64_t changed; /* Unix seconds: when an entry of the folder was last made, or removed */
};
bool ca_folder_load(OSSL_LIB_CTX *libctx, const char *directory, const char *trust_domain, bool with_keys,
		    struct ca_folder *folder, enum credential_error *error, struct text *message);
void ca_folder_free(struct ca_folder *folder);

/* The one that signs: the newest that was made at least lead_s before now, so that those who read the bundle know it;
 * when all are younger than that, the oldest. One without a key or whose time is over is passed over. NULL: none. */
const struct ca *ca_folder_signer(const struct ca_folder *folder, int64_t now, int64_t lead_s);

/* An X.509-SVID for spiffe_id (a workload's, checked by the caller) and key, signed by ca: empty subject, critical SAN
 * with that one URI; digitalSignature, critical; serverAuth and clientAuth; not a CA; a random serial of 127 bits. It
 * never outlives the CA. Unix seconds. NULL on an error. */
X509 *ca_sign_svid(OSSL_LIB_CTX *libctx, const struct ca *ca, const char *spiffe_id, EVP_PKEY *key, int64_t not_before,
		   int64_t not_after);


#endif
