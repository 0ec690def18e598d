/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of many patterns a value matches, without looking at them all.
 *
 * A pattern is exact, a prefix or a suffix; a prefix of no bits matches every value there is. Lengths are in bits, so
 * that "10.40.0.0/24" is a prefix as "core.example/" is one. Exact ones are found by a hash. Prefixes stand sorted,
 * each knowing its *parent*, the longest other one that it begins with: all that match a value begin the last one that
 * isn't greater than the value, so one binary search and a walk to the root finds them. Suffixes are the same, read
 * backwards.
 *
 *   exact   "a/ns/x/sa/y" ─ hash ─▶ node ─▶ uses
 *   prefix  "" ◀─ "a/" ◀─ "a/ns/x/" ◀─ …      parents; sorted: "" "a/" "a/ns/x/" "b/"
 *
 * Each pattern carries its uses: numbers that the builder gave it. The set is immutable, lives in an arena, and needs
 * no freeing of its own.
 */
#ifndef POSTERN_FEDERATION_PATTERN_SET_H
#define POSTERN_FEDERATION_PATTERN_SET_H

#include "federation/arena.h"

enum pattern_shape { PATTERN_EXACT, PATTERN_PREFIX, PATTERN_SUFFIX, PATTERN_SHAPES };

struct pattern {
	const char *bytes;
	uint32_t bits; /* a multiple of 8 but for a prefix */
	enum pattern_shape shape;
	bool local; /* the builder's: see policy.h */
};

/* What the builder gives: a pattern and one use of it. */
struct pattern_input {
	struct pattern pattern;
	uint32_t use;
};

struct pattern_use {
	uint32_t use;
	bool local;
};

struct pattern_node {
	const char *bytes;
	uint32_t bits;
	uint32_t parent; /* index among those of its shape, or UINT32_MAX */
	const struct pattern_use *uses;
	uint32_t n_uses;
};

struct pattern_set {
	const struct pattern_node *nodes[PATTERN_SHAPES]; /* sorted */
	uint32_t n_nodes[PATTERN_SHAPES];
	const uint32_t *table; /* of the exact: index + 1, 0 is free; at most half full */
	uint32_t mask;
};

/* Equal patterns become one node with several uses, in the order of inputs. inputs are sorted in place; the patterns'
 * bytes must outlive the set. */
void pattern_set_build(struct pattern_set *set, struct arena *arena, struct pattern_input *inputs, uint32_t n);

static inline bool
pattern_set_is_empty(const struct pattern_set *set)
{
	return set->n_nodes[PATTERN_EXACT] + set->n_nodes[PATTERN_PREFIX] + set->n_nodes[PATTERN_SUFFIX] == 0;
}

struct pattern_walk {
	const struct pattern_set *set;
	const char *value;
	uint32_t length; /* of the value, in bytes */
	uint32_t next, common;
	enum pattern_shape shape;
	bool begun;
};

static inline struct pattern_walk
pattern_walk_begin(const struct pattern_set *set, const char *value, uint32_t length)
{
	return (struct pattern_walk){.set = set, .value = value, .length = length};
}

/* The next pattern that the value matches, or NULL: the exact one, then prefixes, then suffixes, long before short. */
const struct pattern_node *pattern_walk_next(struct pattern_walk *walk);

#endif
