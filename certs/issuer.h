/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded CA: issues Postern's own SVID, and short-lived SVIDs for identities that it maps, in the trust domains
 * that the box owns and no others.
 *
 *	ROOT/TRUST-DOMAIN/ca-N.{crt,key}     each domain has CAs of its own (ca.h): a root shared by two would prove
 *neither
 *
 * Rotation of a CA needs no stop and no state but the folder: `posternctl ca rotate` adds ca-N+1. From the next poll on
 * it is in the bundle, and after ISSUER_LEAD_S it is the one that signs (ca_folder_signer); the one before stays in
 * the bundle until it expires or an operator removes its certificate, which is due when its last SVID has expired.
 *
 * SVIDs are cached by SPIFFE ID, at most cache_max of them, the least recently used going first. Each has a key of its
 * own, P-256. One is renewed when half of its life is over, by issuer_renew, on a thread that may sign; issuer_get
 *makes one on the spot only for an identity that isn't cached, whose SVID is in its last tenth, isn't valid by the
 *clock (which may have stepped), or comes of a CA that was removed. Whoever holds an older one keeps it: a rotation
 *disturbs no connection.
 *
 * Threads: control and handshake threads; it takes mutexes and signs, so never a worker. A hit waits for no signature.
 */
#ifndef POSTERN_CERTS_ISSUER_H
#define POSTERN_CERTS_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/ca.h"
#include "certs/credential.h"

struct text;

enum {
	ISSUER_LIFETIME_S = 3600,       /* of an SVID */
	ISSUER_LIFETIME_MIN_S = 60,     /* 1 minute .. */
	ISSUER_LIFETIME_MAX_S = 604800, /* .. 7 days */
	ISSUER_BACKDATE_S = 60,         /* how far its notBefore lies in the past: peers' clocks */
	ISSUER_REFRESH_S = 300,         /* refresh hint of the bundles */
	ISSUER_LEAD_S = 1500,           /* a CA is published this long before it signs: five times the refresh hint */
	ISSUER_CACHE_MAX = 1024         /* SVIDs, each with a locked page for its key and some 2 KiB */
};

struct issuer_config {
	const char *root;
	const char *const *trust_domains; /* that the box owns; copied */
	size_t n_trust_domains;
	uint32_t lifetime_s, cache_max; /* 0: as above */
};

struct issuer;

/* Loads the CAs of each trust domain; message says what is wrong with the one that can't be. NULL then. */
struct issuer *issuer_open(const struct issuer_config *config, int64_t now, struct text *message);
void issuer_close(struct issuer *issuer);

/* An SVID for spiffe_id, length bytes. With one reference, the caller's; NULL with *error. now: Unix seconds. */
struct credential *issuer_get(struct issuer *issuer, const char *spiffe_id, size_t length, int64_t now,
			      enum credential_error *error);

/* Makes anew those that are past half of their life and were asked for since they were made, at most `most` of them,
 * and drops what has expired. Returns how many were made; `most` means that there may be more. */
size_t issuer_renew(struct issuer *issuer, size_t most, int64_t now);

/* Looks at the folders of the CAs; true when one changed and the bundles with it. A folder that can't be read changes
 * nothing and is told in message. Control thread. */
bool issuer_poll(struct issuer *issuer, struct text *message);

/* The bundle of one of its trust domains: SPIFFE JWKS, or PEM. Nothing is added and false returned when the issuer has
 * no such domain. The sequence number is the Unix time of the last change, and within this process never goes back. */
bool issuer_bundle_jwks(struct issuer *issuer, const char *trust_domain, int64_t now, struct text *out);
bool issuer_bundle_pem(struct issuer *issuer, const char *trust_domain, int64_t now, struct text *out);

struct issuer_stats {
	uint64_t hits, issued, renewed, evicted, failed;
	size_t cached;
};
void issuer_stats(struct issuer *issuer, struct issuer_stats *stats);

#endif
