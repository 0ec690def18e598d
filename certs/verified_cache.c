/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/verified_cache.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = TRUST_VIEW_CACHE / VERIFIED_CACHE_WAYS };
_Static_assert((SETS & (SETS - 1)) == 0, "a set is picked by bits of the digest");

bool
verified_cache_init(struct verified_cache *cache)
{
	*cache = (struct verified_cache){.entries = calloc(TRUST_VIEW_CACHE, sizeof(*cache->entries))};
	return cache->entries != NULL;
}

void
verified_cache_clear(struct verified_cache *cache)
{
	for (unsigned i = 0; i < TRUST_VIEW_CACHE; i++)
		if (cache->entries[i].identity != NULL) {
			peer_identity_drop(cache->entries[i].identity);
			cache->entries[i].identity = NULL;
		}
}

void
verified_cache_free(struct verified_cache *cache)
{
	if (cache->entries == NULL)
		return;
	verified_cache_clear(cache);
	free(cache->entries);
	cache->entries = NULL;
}

static struct verified_entry *
find_set(struct verified_cache *cache, const struct verified_key *key)
{
	size_t word;

	memcpy(&word, key->chain_sha256, sizeof(word));
	return &cache->entries[(word & (SETS - 1)) * VERIFIED_CACHE_WAYS];
}

static bool
is_same(const struct verified_key *a, const struct verified_key *b)
{
	return a->pki == b->pki && a->role == b->role &&
	       memcmp(a->chain_sha256, b->chain_sha256, sizeof(a->chain_sha256)) == 0;
}

struct peer_identity *
verified_cache_find(struct verified_cache *cache, const struct verified_key *key, int64_t now)
{
	struct verified_entry *set = find_set(cache, key);

	for (unsigned i = 0; i < VERIFIED_CACHE_WAYS; i++)
		if (set[i].identity != NULL && is_same(&set[i].key, key) && now >= set[i].from && now <= set[i].until) {
			set[i].used = ++cache->tick;
			cache->stats.hits++;
			return peer_identity_take(set[i].identity);
		}
	cache->stats.misses++;
	return NULL;
}

void
verified_cache_add(struct verified_cache *cache, const struct verified_key *key, struct peer_identity *identity,
		   int64_t from, int64_t until)
{
	struct verified_entry *set = find_set(cache, key), *entry = &set[0];

	for (unsigned i = 0; i < VERIFIED_CACHE_WAYS; i++) {
		if (set[i].identity == NULL || is_same(&set[i].key, key)) {
			entry = &set[i];
			break;
		}
		if (set[i].used < entry->used)
			entry = &set[i];
	}
	if (entry->identity != NULL && !is_same(&entry->key, key))
		cache->stats.evictions++;
	peer_identity_drop(entry->identity);
	*entry = (struct verified_entry){*key, peer_identity_take(identity), from, until, ++cache->tick};
}
