/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust bundles in writing, for others to read: SPIFFE JWKS (SPIFFE_Trust_Domain_and_Bundle.md section 4, X509-SVID.md
 * section 6) and PEM. What reads them is bundle.h.
 */
#ifndef POSTERN_CERTS_BUNDLE_WRITE_H
#define POSTERN_CERTS_BUNDLE_WRITE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

struct text;

/* One JWKS document with an x509-svid entry for each certificate: kty and the public key's parameters (RFC 7517, RFC
 * 7518 section 6, RFC 8037), use, x5c. EC P-256 and P-384, Ed25519 and RSA. False, with nothing of use in out, for
 * another key. */
bool bundle_write_jwks(X509 *const *authorities, unsigned n, uint64_t sequence, uint32_t refresh_s, struct text *out);
bool bundle_write_pem(X509 *const *authorities, unsigned n, struct text *out);

#endif
