/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* A small file must stay small; a large one must not make a thousand blocks. From 128 KiB on, the heap maps a block by
 * itself, so freeing it gives the pages back. */
enum { ARENA_ALIGN = 16, ARENA_FIRST = 4096, ARENA_LARGEST = 1 << 20 };

struct arena_block {
	alignas(ARENA_ALIGN) struct arena_block *older;
	size_t capacity, used; /* of bytes */
	alignas(ARENA_ALIGN) unsigned char bytes[];
};

static void
add_block(struct arena *arena, size_t size)
{
	size_t capacity = arena->newest == NULL ? ARENA_FIRST : arena->newest->capacity * 2;

	if (capacity > ARENA_LARGEST)
		capacity = ARENA_LARGEST;
	if (capacity < size)
		capacity = size;
	struct arena_block *block = calloc(1, sizeof(*block) + capacity);
	if (block == NULL)
		abort();
	block->older = arena->newest;
	block->capacity = capacity;
	arena->newest = block;
	arena->bytes += sizeof(*block) + capacity;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->newest;
	size_t from = block == NULL ? 0 : (block->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

	if (block == NULL || from > block->capacity || block->capacity - from < size) {
		add_block(arena, size);
		block = arena->newest;
		from = 0;
	}
	block->used = from + size;
	return block->bytes + from;
}

void *
arena_array(struct arena *arena, size_t n, size_t size)
{
	return n == 0 ? NULL : arena_alloc(arena, n * size);
}

char *
arena_copy(struct arena *arena, const char *bytes, size_t length)
{
	/* Texts need no alignment, and most are short: pack them. */
	if (arena->newest == NULL || arena->newest->capacity - arena->newest->used < length + 1)
		add_block(arena, length + 1);
	struct arena_block *block = arena->newest;
	char *copy = (char *)block->bytes + block->used;
	if (length > 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	block->used += length + 1;
	return copy;
}

void
arena_reset(struct arena *arena)
{
	struct arena_block *kept = arena->newest;
	if (kept == NULL)
		return;
	while (kept->older != NULL) {
		struct arena_block *older = kept->older;
		kept->older = older->older;
		arena->bytes -= sizeof(*older) + older->capacity;
		free(older);
	}
	memset(kept->bytes, 0, kept->used);
	kept->used = 0;
}

void
arena_free(struct arena *arena)
{
	while (arena->newest != NULL) {
		struct arena_block *older = arena->newest->older;
		free(arena->newest);
		arena->newest = older;
	}
	arena->bytes = 0;
}

struct name
text_pool_add(struct text_pool *pool, const char *bytes, size_t length)
{
	uint32_t *value;
	const char **key;

	if (name_map_add(&pool->names, bytes, length, &key, &value))
		*key = arena_copy(pool->arena, bytes, length);
	return (struct name){.bytes = *key, .length = (uint32_t)length};
}

struct name
text_pool_add_lower(struct text_pool *pool, const char *bytes, size_t length)
{
	char *lower = malloc(length + 1);
	if (lower == NULL)
		abort();
	for (size_t i = 0; i < length; i++)
		lower[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] + ('a' - 'A') : bytes[i]);
	struct name name = text_pool_add(pool, lower, length);
	free(lower);
	return name;
}

void
text_pool_free(struct text_pool *pool)
{
	name_map_free(&pool->names);
}
