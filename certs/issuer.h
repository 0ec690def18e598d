/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded CA: issues Postern's own SVID, and short-lived SVIDs for identities that it maps, in the trust domains
 * that the box owns and no others.
 *
 *	ROOT/TRUST-DOMAIN/ca-N.*     each domain has CAs of its own (ca_folder.h): a root shared by two proves neither
 *
 * Rotation of a CA needs no stop, and no state but the folder: `posternctl ca rotate` adds ca-N+1. From the next poll
 *on it is in the bundle, and ISSUER_LEAD_S after it was made it signs (ca_folder_signer). The one before stays in the
 * bundle until an operator removes its files, which is due when its last SVID has expired.
 *
 * SVIDs are cached by SPIFFE ID, at most cache_max of them, the least recently used going first. Each has a key of its
 * own, P-256. One is renewed when half of its life is over, by issuer_renew, on a thread that may sign; issuer_get
 *makes one on the spot only when the identity isn't cached, its SVID is in its last tenth or isn't valid by the clock
 *(which may have stepped), or its CA was removed. Whoever holds an older one keeps it: a renewal disturbs no
 *connection.
 *
 * Threads: control and handshake threads. It takes mutexes and signs, so it is never called by a worker. A hit waits
 *for no signature; of several threads that miss the same identity one makes it.
 */
#ifndef POSTERN_CERTS_ISSUER_H
#define POSTERN_CERTS_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	const char *const *trust_domains; /* that the box owns, each once; copied */
	size_t n_trust_domains;
	uint32_t lifetime_s, cache_max; /* 0: as above. lifetime_s is clamped */
};

struct issuer;

/* Loads the CAs of each trust domain. NULL when one can't be read or has none; message says what is wrong. */
struct issuer *issuer_open(const struct issuer_config *config, struct text *message);
/* NULL is fine. Credentials that are held outlive it. */
void issuer_close(struct issuer *issuer);

/* An SVID for spiffe_id, length bytes. With one reference, the caller's; NULL with *error. now: Unix seconds. */
struct credential *issuer_get(struct issuer *issuer, const char *spiffe_id, size_t length, int64_t now,
			      enum credential_error *error);

/* Drops what has expired, and makes anew those that are past half of their life and were asked for since they were
 * made, at most `most` of them. Returns how many were made: `most` means that there may be more. */
size_t issuer_renew(struct issuer *issuer, size_t most, int64_t now);

/* Looks at the folders of the CAs. True when a bundle has changed. A folder that can't be read, or has lost its last
 * CA, changes nothing and is told in message, once. Control thread. now_ns: CLOCK_REALTIME. */
bool issuer_poll(struct issuer *issuer, int64_t now_ns, struct text *message);

/* The bundle of one of its trust domains: SPIFFE JWKS, or PEM. False, and nothing added, when the issuer has no such
 * domain or memory is short. The sequence number is the time in milliseconds at which the folder last changed; within
 * this process it grows with each change and never goes back. */
bool issuer_bundle_jwks(struct issuer *issuer, const char *trust_domain, struct text *out);
bool issuer_bundle_pem(struct issuer *issuer, const char *trust_domain, struct text *out);

struct issuer_stats {
	uint64_t hits;    /* answered from the cache */
	uint64_t issued;  /* made by issuer_get */
	uint64_t renewed; /* made by issuer_renew */
	uint64_t evicted; /* dropped for room */
	uint64_t failed;  /* not made: refused or gone wrong */
	size_t cached;    /* now */
};
void issuer_stats(struct issuer *issuer, struct issuer_stats *stats);

#endif
