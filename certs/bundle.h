/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust bundles: the CA certificates that speak for one trust domain or one legacy PKI.
 *
 * Read from a SPIFFE bundle (a JWKS document, SPIFFE_Trust_Domain_and_Bundle.md section 4) or from PEM. The parsers are
 * pure functions over (pointer, length) and know no file and no network. What a bundle *is for* (which trust domain) is
 * not in it: whoever loads it says so (trust.h).
 *
 * From a JWKS: keys may be empty, and that means that nothing of the domain is valid any more. An entry whose use is
 * missing or not x509-svid, whose kty is missing or unknown, or without x5c, is passed over; of x5c only the first is
 * used; no other member is asked for. An entry whose certificate isn't a CA's is passed over too and counted: to refuse
 * the whole bundle for it would keep older keys in force, which is worse. What can't be read at all (JSON, base64, DER)
 * refuses the whole bundle, and the one in force stays. PEM files are an operator's, so there a certificate that isn't
 * a CA's is an error.
 *
 * Bounds: BUNDLE_* below. Nothing is allocated beyond a small multiple of the document.
 */
#ifndef POSTERN_CERTS_BUNDLE_H
#define POSTERN_CERTS_BUNDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_error.h"

enum {
	BUNDLE_BYTES_MAX = 1 << 20, /* of a document */
	BUNDLE_DEPTH_MAX = 8,       /* brackets within brackets; a bundle has 4 */
	BUNDLE_KEYS_MAX = 256,      /* entries of any use */
	BUNDLE_AUTHORITIES_MAX = 64,
	BUNDLE_REFRESH_MIN = 60, /* seconds: what a refresh hint is clamped to */
	BUNDLE_REFRESH_MAX = 86400,
	BUNDLE_REFRESH_DEFAULT = 300 /* without a hint: SPIFFE_Federation.md section 5.2 */
};

/* One CA certificate, in the bundle's block. */
struct bundle_authority {
	const uint8_t *der;
	uint32_t length;
	uint8_t spki_sha256[32]; /* of its key: the same key in two certificates is one authority */
	const char *spiffe_id;   /* its only URI when that is a SPIFFE ID, NUL-terminated; else NULL */
	uint32_t spiffe_id_length;
};

/* Immutable, one block, counted by references. */
struct bundle {
	atomic_uint refs;
	uint32_t n_authorities;
	uint32_t n_passed_over; /* entries of other uses or kinds, or without x5c */
	uint32_t n_not_ca;      /* entries left out because their certificate isn't a CA's: worth a warning */
	bool has_sequence;
	uint64_t sequence;
	uint32_t refresh_s; /* the hint, clamped; BUNDLE_REFRESH_DEFAULT without one */
	struct bundle_authority authorities[];
};

/* On success *bundle has one reference, the caller's; on an error it is NULL. */
enum cert_error bundle_parse_jwks(const char *text, size_t length, struct bundle **bundle);
/* CERTIFICATE blocks (also X509 and TRUSTED); text between blocks is passed over, other blocks too. At least one
 * certificate is wanted: an empty file is no bundle. A certificate that is there twice counts once. */
enum cert_error bundle_parse_pem(const char *text, size_t length, struct bundle **bundle);
/* CA certificates one after another in DER, as the Workload API hands them out ("bundle", "federated_bundles"). Empty:
 * an empty bundle. One that isn't a CA's is passed over and counted. */
enum cert_error bundle_parse_der(const uint8_t *der, size_t length, struct bundle **bundle);

/* Whether next, fetched from the same source, may take current's place: not when its sequence number is lower, or gone.
 * The same number with other content passes: old servers never count. current may be NULL. */
enum cert_error bundle_may_follow(const struct bundle *current, const struct bundle *next);

struct bundle *bundle_take(const struct bundle *bundle);
void bundle_drop(const struct bundle *bundle);

#endif
