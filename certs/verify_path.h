/* SPDX-License-Identifier: Apache-2.0 */
/* From a peer's certificate to an anchor: RFC 5280 section 6 by OpenSSL, with errors of our own. Of verify.c only. */
#ifndef POSTERN_CERTS_VERIFY_PATH_H
#define POSTERN_CERTS_VERIFY_PATH_H

#include <openssl/x509.h>

#include "certs/cert_error.h"
#include "certs/identity.h"
#include "certs/trust_parts.h"

/* SHA-256 of the SubjectPublicKeyInfo. False when there is no memory. */
bool verify_spki_digest(struct trust_view *view, const X509 *cert, uint8_t digest[32]);

/* Any of the anchors ends a path, self-signed or not. certs: leaf first. On success *path (the caller's:
 * sk_X509_pop_free) goes from the leaf to the anchor. */
enum cert_error verify_path(struct trust_view *view, STACK_OF(X509) *anchors, STACK_OF(X509) *certs,
			    enum peer_role role, int64_t now, STACK_OF(X509) **path);

/* A path that one of the domain's authorities would end if it hadn't been left out: why it was. Else CERT_NONE. */
enum cert_error verify_path_left_out(struct trust_view *view, const struct trust_domain *domain,
				     const struct view_anchors *anchors, STACK_OF(X509) *certs, enum peer_role role,
				     int64_t now);

/* Whether a CA of the path is another domain's authority. */
enum cert_error verify_path_foreign(struct trust_view *view, const struct trust_domain *domain, STACK_OF(X509) *path);

/* The latest notBefore and the earliest notAfter of the path. */
enum cert_error verify_path_times(STACK_OF(X509) *path, int64_t *not_before, int64_t *not_after);

#endif
