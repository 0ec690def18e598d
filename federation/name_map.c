/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/name_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 16 };

static uint64_t
mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes at a time through a 64 by 64 bit multiplication folded in half; the length goes in, so a shorter tail
 * can't pass for a longer one. */
static uint32_t
hash_name(uint64_t secret, const char *key, size_t length)
{
	uint64_t state = mix(secret ^ 0x9e3779b97f4a7c15u, length ^ 0xd6e8feb86659fd93u);
	uint64_t word;

	for (; length >= sizeof(word); key += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, key, sizeof(word));
		state = mix(state ^ word, secret | 1);
	}
	word = 0;
	if (length > 0)
		memcpy(&word, key, length);
	state = mix(state ^ word, 0xa0761d6478bd642fu);
	return (uint32_t)(state ^ (state >> 32));
}

/* The key's slot, or the free one where it belongs. */
static struct name_map_slot *
find_slot(const struct name_map *map, const char *key, size_t length, uint32_t hash)
{
	for (uint32_t i = hash & map->mask;; i = (i + 1) & map->mask) {
		struct name_map_slot *slot = &map->slots[i];
		if (slot->key == NULL)
			return slot;
		if (slot->hash == hash && slot->length == length && memcmp(slot->key, key, length) == 0)
			return slot;
	}
}

static void
grow(struct name_map *map)
{
	struct name_map_slot *old = map->slots;
	uint32_t n_old = old == NULL ? 0 : map->mask + 1;
	uint32_t n = n_old == 0 ? FIRST_SLOTS : n_old * 2;

	if (old == NULL && getrandom(&map->secret, sizeof(map->secret), 0) != sizeof(map->secret))
		abort();
	map->slots = calloc(n, sizeof(*map->slots));
	if (map->slots == NULL)
		abort();
	map->mask = n - 1;
	for (uint32_t i = 0; i < n_old; i++) {
		if (old[i].key == NULL)
			continue;
		uint32_t j = old[i].hash & map->mask;
		while (map->slots[j].key != NULL)
			j = (j + 1) & map->mask;
		map->slots[j] = old[i];
	}
	free(old);
}

bool
name_map_add(struct name_map *map, const char *key, size_t length, const char ***key_slot, uint32_t **value)
{
	if (map->slots == NULL || (map->n + 1) * 3ull > (map->mask + 1ull) * 2)
		grow(map);
	uint32_t hash = hash_name(map->secret, key, length);
	struct name_map_slot *slot = find_slot(map, key, length, hash);
	bool added = slot->key == NULL;
	if (added) {
		*slot = (struct name_map_slot){.key = key, .length = (uint32_t)length, .hash = hash};
		map->n++;
	}
	if (key_slot != NULL)
		*key_slot = &slot->key;
	*value = &slot->value;
	return added;
}

bool
name_map_find(const struct name_map *map, const char *key, size_t length, uint32_t *value)
{
	if (map->slots == NULL)
		return false;
	const struct name_map_slot *slot = find_slot(map, key, length, hash_name(map->secret, key, length));
	if (slot->key == NULL)
		return false;
	*value = slot->value;
	return true;
}

size_t
name_map_bytes(const struct name_map *map)
{
	return map->slots == NULL ? 0 : (map->mask + 1ull) * sizeof(*map->slots);
}

void
name_map_free(struct name_map *map)
{
	free(map->slots);
	*map = (struct name_map){0};
}

bool
host_walk_next(struct host_walk *walk)
{
	if (!walk->started) {
		walk->started = true;
		return true;
	}
	if (walk->length == 0)
		return false;
	/* From the second byte on: a key that begins with a dot is behind us. */
	const char *dot = memchr(walk->key + 1, '.', walk->length - 1);
	size_t skipped = dot == NULL ? walk->length : (size_t)(dot - walk->key);
	walk->key += skipped;
	walk->length -= skipped;
	return true;
}
