/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back all at once, and a pool of texts in it, each kept once.
 *
 * Memory that can't be had ends the process: this is control-plane code only.
 */
#ifndef POSTERN_FEDERATION_ARENA_H
#define POSTERN_FEDERATION_ARENA_H

#include <stddef.h>

#include "federation/name_map.h"
#include "federation/snapshot.h"

struct arena_block;

/* An empty arena is all zeroes. */
struct arena {
	struct arena_block *newest;
	size_t bytes; /* taken from the heap */
};

/* size zeroed bytes, aligned for any of our records (16). */
void *arena_alloc(struct arena *arena, size_t size);
/* The same for n items; NULL when n is 0. */
void *arena_array(struct arena *arena, size_t n, size_t size);
/* A copy with a NUL after it. */
char *arena_copy(struct arena *arena, const char *bytes, size_t length);
/* Gives all back but one block, so that the next use of the same size costs no trip to the heap. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

/* Texts, each once, in an arena that outlives the pool. */
struct text_pool {
	struct arena *arena;
	struct name_map names;
};

struct name text_pool_add(struct text_pool *pool, const char *bytes, size_t length);
/* The same in lower case (ASCII). */
struct name text_pool_add_lower(struct text_pool *pool, const char *bytes, size_t length);
void text_pool_free(struct text_pool *pool);

#endif
