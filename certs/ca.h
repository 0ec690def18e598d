/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate authority of one trust domain: a key, and a self-signed certificate that says so. On disk: ca_folder.h.
 *
 * Its certificate (X509-SVID.md sections 3.1, 4, 5): subject CN=Postern CA and the beginning of the key's identifier,
 * so that no two have the same name; exactly one URI, spiffe://TRUST-DOMAIN; CA with pathlen 0, critical; keyCertSign
 * and cRLSign, critical; subject key identifier.
 *
 * Name constraints. A constraint of the URI's host to the trust domain is RFC 5280 section 4.2.1.10 and would be sound
 * in itself, but not for those who have to accept the certificate: verifiers on rustls-webpki 0.103.12 and later refuse
 * every chain with a URI constraint (RUSTSEC-2026-0098), Go's refuse one whose host looks like an address, which trust
 * domains may. And a SPIFFE verifier asks only the bundle of the one domain that an SVID names, which binds the CA to
 * it more tightly. So there is none unless it is asked for.
 */
#ifndef POSTERN_CERTS_CA_H
#define POSTERN_CERTS_CA_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/credential.h"

enum {
	CA_DAYS = 3650, /* of validity, when nothing else is said */
	CA_DAYS_MAX = 36500,
	CA_BACKDATE_S = 300, /* how far a new CA's notBefore lies in the past: for peers whose clocks are slow */
	CA_KEY_ID = 20       /* bytes of a subject key identifier */
};

/* A provider that holds a key, in a context of its own: all that is done with the key is done there. All zeroes: none.
 */
struct ca_provider {
	OSSL_LIB_CTX *libctx;
	OSSL_PROVIDER *basis, *holder; /* the default provider, and the one that has the key */
};
/* After its key is gone. */
void ca_provider_close(struct ca_provider *provider);

/* One CA, ready to sign. */
struct ca {
	unsigned number; /* in its folder, from 1 */
	X509 *certificate;
	EVP_PKEY *key;               /* NULL: it is only published, its key isn't there or wasn't asked for */
	struct ca_provider provider; /* that holds the key; none: it came from a file */
	int64_t not_before;          /* Unix seconds: when it was made, less CA_BACKDATE_S */
	int64_t not_after;           /* its end */
	uint8_t key_id[CA_KEY_ID];   /* subject key identifier */
};

/* A self-signed CA certificate for trust_domain, valid from now less CA_BACKDATE_S. NULL on an error. */
X509 *ca_certificate_make(OSSL_LIB_CTX *libctx, EVP_PKEY *key, const char *trust_domain, unsigned days,
			  bool name_constraint, int64_t now);

/* Fills *ca from a certificate and a key (NULL: published only), whose references it takes on success. The certificate
 * must be a CA's, signed by itself, and have exactly one URI, that of trust_domain; the key must be its own. */
enum credential_error ca_begin(struct ca *ca, X509 *certificate, EVP_PKEY *key, const char *trust_domain);
void ca_end(struct ca *ca);

/* An X.509-SVID for spiffe_id (a workload's: the caller has checked that) and key, signed by ca, which has one: empty
 * subject, critical SAN with that one URI; digitalSignature, critical; serverAuth and clientAuth; not a CA; a random
 * serial number of 128 bits. Unix seconds; the caller keeps them within the CA's. NULL on an error. */
X509 *ca_sign_svid(OSSL_LIB_CTX *libctx, const struct ca *ca, const char *spiffe_id, EVP_PKEY *key, int64_t not_before,
		   int64_t not_after);

#endif
