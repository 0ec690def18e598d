/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains that were verified under the trust in force, so that none is verified twice: one thread's.
 *
 * A set-associative table of fixed size, keyed by the SHA-256 of the exact certificates, what was asked (kind, PKI,
 * role), and emptied when the trust changes. An entry holds from the latest notBefore to the earliest of notAfter and
 * of the revocation lists' nextUpdate; outside of that it isn't found, and the chain is verified again, so that a clock
 * that steps back or on is noticed. Refusals aren't kept: anybody could fill the table with them. Within a set the
 * entry that wasn't used for longest makes room.
 */
#ifndef POSTERN_CERTS_VERIFIED_CACHE_H
#define POSTERN_CERTS_VERIFIED_CACHE_H

#include <stdint.h>

#include "certs/identity.h"
#include "certs/trust.h"

enum { VERIFIED_CACHE_WAYS = 8 };

struct verified_key {
	uint8_t chain_sha256[32];
	uint32_t pki; /* index in the trust; UINT32_MAX for SPIFFE */
	uint32_t role;
};

struct verified_entry {
	struct verified_key key;
	struct peer_identity *identity; /* NULL: free */
	int64_t from, until;            /* Unix seconds, both included */
	uint64_t used;                  /* the cache's tick */
};

struct verified_cache {
	struct verified_entry *entries; /* TRUST_VIEW_CACHE of them */
	uint64_t tick;
	struct trust_view_stats stats;
};

/* false when there is no memory. */
bool verified_cache_init(struct verified_cache *cache);
void verified_cache_free(struct verified_cache *cache);
void verified_cache_clear(struct verified_cache *cache);
/* A reference for the caller, or NULL. */
struct peer_identity *verified_cache_find(struct verified_cache *cache, const struct verified_key *key, int64_t now);
/* Takes a reference of its own. */
void verified_cache_add(struct verified_cache *cache, const struct verified_key *key, struct peer_identity *identity,
			int64_t from, int64_t until);

#endif
