/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials by SPIFFE ID, a bounded number of them: a hash table with chains, and a list by last use. No lock: the
 * issuer has one. Identities come from an operator's rules and from certificates that were verified, and a chain of all
 * that fit takes less time to walk than one signature, so the hash needs no secret.
 */
#ifndef POSTERN_CERTS_SVID_CACHE_H
#define POSTERN_CERTS_SVID_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "certs/ca.h"
#include "certs/credential.h"

struct svid_entry {
	LIST_ENTRY(svid_entry) chain;
	TAILQ_ENTRY(svid_entry) use;
	struct credential *credential;
	uint8_t authority[CA_KEY_ID]; /* key identifier of the CA that signed it */
	bool used;                    /* asked for since it was made */
	uint32_t hash;
};

LIST_HEAD(svid_chain, svid_entry);
TAILQ_HEAD(svid_uses, svid_entry);

struct svid_cache {
	struct svid_chain *chains;
	struct svid_uses uses; /* the most recently used first */
	uint32_t mask;         /* of chains */
	size_t n, max;
	uint64_t evicted;
};

/* False when there is no memory. max >= 1. */
bool svid_cache_open(struct svid_cache *cache, size_t max);
void svid_cache_close(struct svid_cache *cache);

/* NULL: none. It changes nothing; svid_cache_use says that it was used. */
struct svid_entry *svid_cache_find(struct svid_cache *cache, const char *spiffe_id, size_t length);
void svid_cache_use(struct svid_cache *cache, struct svid_entry *entry);

/* Puts it in, in place of one with the same ID; the cache has a reference of its own. Where there is no memory for it,
 * nothing happens. Not used yet: used is false. */
void svid_cache_put(struct svid_cache *cache, const struct credential *credential, const uint8_t *authority);
void svid_cache_remove(struct svid_cache *cache, struct svid_entry *entry);

#endif
