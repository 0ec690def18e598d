/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a certificate must be by itself, before anybody looks for who signed it. Cheap: no signature is verified.
 */
#ifndef POSTERN_CERTS_CERT_RULES_H
#define POSTERN_CERTS_CERT_RULES_H

#include <openssl/x509.h>

#include "certs/cert_error.h"
#include "certs/identity.h"

enum { CERT_RSA_BITS_MIN = 2048, CERT_RSA_BITS_MAX = 8192, CERT_SIGNATURE_BITS_MIN = 112 };

/* RSA of 2048..8192 bits, P-256, P-384, P-521 by name, Ed25519, Ed448. CERT_KEY_WEAK, _LARGE, _TYPE. */
enum cert_error cert_rules_key(const X509 *cert);
/* The hash under its signature. */
enum cert_error cert_rules_signature(X509 *cert);
/* A peer's own certificate: extensions that can be read, no CA, no CA's key usages (X509-SVID.md sections 4.1, 4.3),
 * digitalSignature where there is a key usage, and the role's extended key usage where there is one. */
enum cert_error cert_rules_leaf(X509 *cert, enum peer_role role);

#endif
