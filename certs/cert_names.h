/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subject alternative names of a certificate (RFC 5280 section 4.2.1.6), taken apart once.
 *
 * Texts are counted, never taken for C strings: a NUL byte in any name, of a kind that is used here or not, refuses the
 * certificate, because somebody meant one reader to see less of it than another. The subject's common name isn't looked
 * at, nowhere in this room.
 */
#ifndef POSTERN_CERTS_CERT_NAMES_H
#define POSTERN_CERTS_CERT_NAMES_H

#include <openssl/x509v3.h>
#include <stdbool.h>

#include "certs/cert_error.h"
#include "certs/identity.h"

enum { CERT_NAMES_MAX = 256 };

struct cert_names {
	unsigned n_uris, n_dns, n_ips;
	struct peer_bytes uri;                 /* the first */
	struct peer_bytes dns[CERT_NAMES_MAX]; /* lower-case; those that are host names or wildcards */
	struct ip_addr ips[CERT_NAMES_MAX];
	bool misplaced;       /* a DNS or e-mail name begins with "spiffe:" */
	GENERAL_NAMES *owned; /* what the texts are views of */
};

/* CERT_NONE also without any names; CERT_SAN_NUL, _MALFORMED, _MANY, CERT_CERT_EXTENSIONS. Free it in any case. */
enum cert_error cert_names_read(const X509 *cert, struct cert_names *names);
void cert_names_free(struct cert_names *names);

/* Whether a CA's name constraints hold a NUL byte. CERT_NONE, CERT_NAME_CONSTRAINT_NUL, CERT_CERT_EXTENSIONS. */
enum cert_error cert_names_constraints(const X509 *ca);

#endif
