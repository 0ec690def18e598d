/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/pattern_set.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = UINT32_MAX };

/* Byte i, from the end for suffixes. */
static inline uint8_t
byte_at(const char *bytes, uint32_t length, uint32_t i, bool backwards)
{
	return (uint8_t)bytes[backwards ? length - 1 - i : i];
}

/* How many leading bits two texts share, at most those of the shorter one. */
static uint32_t
common_bits(const char *a, uint32_t a_bits, const char *b, uint32_t b_bits, bool backwards)
{
	uint32_t bits = a_bits < b_bits ? a_bits : b_bits;
	uint32_t a_length = (a_bits + 7) / 8, b_length = (b_bits + 7) / 8;

	uint32_t i = 0;
	for (uint64_t x, y; !backwards && (i + 8) * 8 <= bits; i += 8) {
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			break;
	}
	for (; i * 8 < bits; i++) {
		uint8_t differ = byte_at(a, a_length, i, backwards) ^ byte_at(b, b_length, i, backwards);
		if (differ == 0)
			continue;
		uint32_t common = i * 8 + (uint32_t)__builtin_clz(differ) - 24;
		return common < bits ? common : bits;
	}
	return bits;
}

/* The order of bit strings: by the first bit in which they differ, and a prefix before what it begins. */
static int
compare_bits(const char *a, uint32_t a_bits, const char *b, uint32_t b_bits, bool backwards, uint32_t *common)
{
	*common = common_bits(a, a_bits, b, b_bits, backwards);
	if (*common == a_bits || *common == b_bits)
		return a_bits == b_bits ? 0 : a_bits < b_bits ? -1 : 1;
	uint8_t bit = (uint8_t)(0x80 >> *common % 8);
	return (byte_at(a, (a_bits + 7) / 8, *common / 8, backwards) & bit) != 0 ? 1 : -1;
}

static int
compare_patterns(const struct pattern *a, const struct pattern *b)
{
	uint32_t common;

	if (a->shape != b->shape)
		return (int)a->shape - (int)b->shape;
	return compare_bits(a->bytes, a->bits, b->bytes, b->bits, a->shape == PATTERN_SUFFIX, &common);
}

static int
compare_inputs(const void *left, const void *right)
{
	const struct pattern_input *a = left, *b = right;
	int order = compare_patterns(&a->pattern, &b->pattern);
	if (order != 0)
		return order;
	if (a->use != b->use)
		return a->use < b->use ? -1 : 1;
	return (int)a->pattern.local - (int)b->pattern.local;
}

/* FNV-1a. The patterns are the operator's own; what peers send is only looked for. */
static uint32_t
hash(const char *bytes, uint32_t length)
{
	uint32_t state = 2166136261u;
	for (uint32_t i = 0; i < length; i++)
		state = (state ^ (uint8_t)bytes[i]) * 16777619u;
	return state ^ state >> 15;
}

static void
make_table(struct pattern_set *set, struct arena *arena)
{
	uint32_t n = set->n_nodes[PATTERN_EXACT], slots = 2;

	if (n == 0)
		return;
	while (slots < n * 2)
		slots *= 2;
	uint32_t *table = arena_array(arena, slots, sizeof(*table));
	for (uint32_t i = 0; i < n; i++) {
		const struct pattern_node *node = &set->nodes[PATTERN_EXACT][i];
		uint32_t at = hash(node->bytes, node->bits / 8) & (slots - 1);
		while (table[at] != 0)
			at = (at + 1) & (slots - 1);
		table[at] = i + 1;
	}
	set->table = table;
	set->mask = slots - 1;
}

/* nodes: sorted, so what begins a node stands before it, and the nearest one before it shares all of its ancestors that
 * aren't its own. */
static void
set_parents(struct pattern_node *nodes, uint32_t n, bool backwards)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t parent = i == 0 ? NONE : i - 1;
		while (parent != NONE && common_bits(nodes[parent].bytes, nodes[parent].bits, nodes[i].bytes,
						     nodes[i].bits, backwards) < nodes[parent].bits)
			parent = nodes[parent].parent;
		nodes[i].parent = parent;
	}
}

void
pattern_set_build(struct pattern_set *set, struct arena *arena, struct pattern_input *inputs, uint32_t n)
{
	struct pattern_use *uses = arena_array(arena, n, sizeof(*uses));
	uint32_t n_different = 0;

	*set = (struct pattern_set){0};
	if (n == 0)
		return;
	qsort(inputs, n, sizeof(*inputs), compare_inputs);
	for (uint32_t i = 0; i < n; i++)
		n_different += i == 0 || compare_patterns(&inputs[i - 1].pattern, &inputs[i].pattern) != 0;
	struct pattern_node *nodes = arena_array(arena, n_different, sizeof(*nodes)), *next = nodes;
	for (uint32_t i = 0; i < n; i++) {
		const struct pattern *pattern = &inputs[i].pattern;
		if (i == 0 || compare_patterns(&inputs[i - 1].pattern, pattern) != 0) {
			if (set->n_nodes[pattern->shape]++ == 0)
				set->nodes[pattern->shape] = next;
			*next++ = (struct pattern_node){
				.bytes = pattern->bytes, .bits = pattern->bits, .parent = NONE, .uses = &uses[i]};
		}
		uses[i] = (struct pattern_use){.use = inputs[i].use, .local = pattern->local};
		next[-1].n_uses++;
	}
	make_table(set, arena);
	set_parents(nodes + set->n_nodes[PATTERN_EXACT], set->n_nodes[PATTERN_PREFIX], false);
	set_parents(nodes + set->n_nodes[PATTERN_EXACT] + set->n_nodes[PATTERN_PREFIX], set->n_nodes[PATTERN_SUFFIX],
		    true);
}

static const struct pattern_node *
find_exact(const struct pattern_set *set, const char *value, uint32_t length)
{
	if (set->table == NULL)
		return NULL;
	for (uint32_t at = hash(value, length) & set->mask; set->table[at] != 0; at = (at + 1) & set->mask) {
		const struct pattern_node *node = &set->nodes[PATTERN_EXACT][set->table[at] - 1];
		if (node->bits == length * 8 && memcmp(node->bytes, value, length) == 0)
			return node;
	}
	return NULL;
}

/* The last node that isn't greater than the value, or NONE; *common: the bits that it shares with the value. */
static uint32_t
find_last(const struct pattern_set *set, enum pattern_shape shape, const char *value, uint32_t length, uint32_t *common)
{
	const struct pattern_node *nodes = set->nodes[shape];
	uint32_t low = 0, high = set->n_nodes[shape], shared;

	*common = 0;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (compare_bits(nodes[middle].bytes, nodes[middle].bits, value, length * 8, shape == PATTERN_SUFFIX,
				 &shared) > 0) {
			high = middle;
		} else {
			low = middle + 1;
			*common = shared;
		}
	}
	return low == 0 ? NONE : low - 1;
}

const struct pattern_node *
pattern_walk_next(struct pattern_walk *walk)
{
	if (!walk->begun) {
		walk->begun = true;
		walk->shape = PATTERN_EXACT;
		walk->next = NONE;
		const struct pattern_node *exact = find_exact(walk->set, walk->value, walk->length);
		if (exact != NULL)
			return exact;
	}
	for (;;) {
		while (walk->next != NONE) {
			const struct pattern_node *node = &walk->set->nodes[walk->shape][walk->next];
			walk->next = node->parent;
			if (node->bits <= walk->common)
				return node;
		}
		if (walk->shape == PATTERN_SUFFIX)
			return NULL;
		walk->shape++;
		if (walk->set->n_nodes[walk->shape] > 0)
			walk->next = find_last(walk->set, walk->shape, walk->value, walk->length, &walk->common);
	}
}
