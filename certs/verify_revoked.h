/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation, for the paths of legacy PKIs: by lists (RFC 5280 section 6.3) and OCSP staples (RFC 6960). Of verify.c
 * only.
 */
#ifndef POSTERN_CERTS_VERIFY_REVOKED_H
#define POSTERN_CERTS_VERIFY_REVOKED_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "certs/trust_parts.h"

/* Every certificate of the path but its anchor, by the list of the CA above it. *until: lowered to when a list that was
 * required should be replaced. */
enum cert_error verify_revoked_lists(struct trust_view *view, const struct trust_pki *pki, struct view_anchors *anchors,
				     STACK_OF(X509) *path, int64_t now, int64_t *until);

/* Whether the certificate demands a staple: the TLS feature extension with status_request (RFC 7633). */
bool verify_staple_demanded(const X509 *leaf);

/* The staple about path[0], by path[1] or one whom it charged with that. *until: lowered to the staple's nextUpdate. */
enum cert_error verify_staple(STACK_OF(X509) *path, const uint8_t *staple, size_t length, int64_t now, int64_t *until);

#endif
