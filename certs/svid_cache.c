/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/svid_cache.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, 32 bits. */
static uint32_t
hash_of(const char *text, size_t length)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)text[i]) * 16777619U;
	return hash;
}

bool
svid_cache_open(struct svid_cache *cache, size_t max)
{
	uint32_t chains = 1;

	while (chains < max)
		chains *= 2;
	*cache = (struct svid_cache){.chains = calloc(chains, sizeof(*cache->chains)), .mask = chains - 1, .max = max};
	TAILQ_INIT(&cache->uses);
	return cache->chains != NULL;
}

void
svid_cache_close(struct svid_cache *cache)
{
	if (cache->chains == NULL)
		return;
	while (!TAILQ_EMPTY(&cache->uses))
		svid_cache_remove(cache, TAILQ_FIRST(&cache->uses));
	free(cache->chains);
	*cache = (struct svid_cache){0};
}

struct svid_entry *
svid_cache_find(struct svid_cache *cache, const char *spiffe_id, size_t length)
{
	uint32_t hash = hash_of(spiffe_id, length);
	struct svid_entry *entry;

	LIST_FOREACH(entry, &cache->chains[hash & cache->mask], chain)
	{
		const char *id = entry->credential->spiffe_id;
		if (entry->hash == hash && strncmp(id, spiffe_id, length) == 0 && id[length] == '\0')
			return entry;
	}
	return NULL;
}

void
svid_cache_use(struct svid_cache *cache, struct svid_entry *entry)
{
	entry->used = true;
	TAILQ_REMOVE(&cache->uses, entry, use);
	TAILQ_INSERT_HEAD(&cache->uses, entry, use);
}

void
svid_cache_remove(struct svid_cache *cache, struct svid_entry *entry)
{
	LIST_REMOVE(entry, chain);
	TAILQ_REMOVE(&cache->uses, entry, use);
	credential_drop(entry->credential);
	free(entry);
	cache->n--;
}

void
svid_cache_put(struct svid_cache *cache, const struct credential *credential, const uint8_t *authority)
{
	size_t length = strlen(credential->spiffe_id);
	struct svid_entry *entry = svid_cache_find(cache, credential->spiffe_id, length);

	if (entry == NULL) {
		entry = calloc(1, sizeof(*entry));
		if (entry == NULL)
			return;
		if (cache->n == cache->max) {
			svid_cache_remove(cache, TAILQ_LAST(&cache->uses, svid_uses));
			cache->evicted++;
		}
		entry->hash = hash_of(credential->spiffe_id, length);
		LIST_INSERT_HEAD(&cache->chains[entry->hash & cache->mask], entry, chain);
		TAILQ_INSERT_HEAD(&cache->uses, entry, use);
		cache->n++;
	}
	credential_drop(entry->credential);
	entry->credential = credential_take(credential);
	memcpy(entry->authority, authority, CA_KEY_ID);
	entry->used = false;
}
