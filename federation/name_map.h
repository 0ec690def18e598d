/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from names to numbers: open addressing, linear probing, at most two thirds full.
 *
 * Keys are not copied: whoever adds one keeps it alive and unchanged. The hash is keyed with a number drawn for each
 * map, so a file can't be written whose names all fall into one chain.
 *
 * Host patterns in such a map: a host stands under its own text, "*.suffix" under ".suffix", "*" under the empty
 * text. No host begins with a dot, so they can't be mixed up. Whoever looks for what matches a host probes the keys
 * that host_walk_next gives, most specific first: one for the host and one for each parent domain.
 */
#ifndef POSTERN_FEDERATION_NAME_MAP_H
#define POSTERN_FEDERATION_NAME_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name_map_slot {
	const char *key; /* NULL: free */
	uint32_t length, hash, value;
};

/* An empty map is all zeroes. */
struct name_map {
	struct name_map_slot *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t n;
	uint64_t secret;
};

/* Finds or adds a key, and points *value at its number, good until the next add. True when it was added (value 0).
 * key_slot, if not NULL, gets where the key's pointer is kept, so that the caller can put a copy of the same bytes
 * there. */
bool name_map_add(struct name_map *map, const char *key, size_t length, const char ***key_slot, uint32_t **value);
bool name_map_find(const struct name_map *map, const char *key, size_t length, uint32_t *value);
/* Bytes on the heap. */
size_t name_map_bytes(const struct name_map *map);
void name_map_free(struct name_map *map);

struct host_walk {
	const char *key;
	size_t length;
	bool started;
};

/* host: a host, or a pattern, whose own key is then the first: what comes out are the keys of the patterns that cover
 * it whole. */
static inline struct host_walk
host_walk_begin(const char *host, size_t length)
{
	bool wildcard = length > 0 && host[0] == '*';
	return (struct host_walk){.key = host + wildcard, .length = length - wildcard};
}

/* Sets key and length to the next. False after the last, the empty key. */
bool host_walk_next(struct host_walk *walk);

#endif
