/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it works
 *
 *   mapping:  header | buckets: main … | overflow … | records 0 … capacity
 *
 *   bucket:   tag[8] ┊ ref[8] ┊ next ──▶ overflow bucket ──▶ …
 *
 * Of a key's 32-bit hash the upper bits choose the main bucket (a multiplication in place of a mask, so that the number
 * of buckets need not be a power of two) and the lower 16 are the tag. All eight tags of a bucket are compared at once;
 * a record is only looked at when its tag fits, so a miss costs one cache line and a hit three: the bucket and both
 * legs, which the packet needs anyway. Tag 0 marks an empty slot.
 *
 * There is one main bucket for every two records, so four legs to a bucket when the table is full. Then about 2 % of
 * the buckets hold more than eight and continue in an overflow bucket; there is one of those for every eight main ones.
 * All of it comes to 36 bytes a record; with the record itself, 228.
 *
 * In a chain every bucket but the last is full: what is removed is replaced by an entry of the last one, and when that
 * is empty it goes back to the pool. So inserting looks for a hole in one place only, and chains don't outlive the load
 * that made them. A lookup never runs beside an insertion: a table belongs to one worker.
 */
#include "dataplane/flow_table.h"

#include <string.h>

enum {
	BUCKET_SLOTS = 8,
	RECORDS_PER_BUCKET = 2,
	BUCKETS_PER_OVERFLOW = 8,
	OVERFLOW_MIN = 64,
	KEY_BYTES = 22 /* what a leg begins with, and the key too: address, ports, local address */
};

typedef uint16_t tags __attribute__((vector_size(16)));

struct flow_bucket {
	tags tag;
	flow_ref ref[BUCKET_SLOTS];
	uint32_t next; /* index in buckets; 0: none. In the pool: next free overflow bucket */
	uint32_t reserved[3];
};

static_assert(sizeof(struct flow_bucket) == 64, "one cache line");
static_assert(offsetof(struct flow_key, zero) == KEY_BYTES && offsetof(struct flow_leg, flags) == KEY_BYTES &&
		      offsetof(struct flow_key, peer_port) == offsetof(struct flow_leg, peer_port) &&
		      offsetof(struct flow_key, local_port) == offsetof(struct flow_leg, local_port) &&
		      offsetof(struct flow_key, local_addr) == offsetof(struct flow_leg, local_addr),
	      "a leg begins with its key");

struct flow_table_header {
	uint32_t free;             /* first released record, linked by timer_next */
	uint32_t touched;          /* records 1..touched were handed out at least once */
	uint32_t used;             /* records handed out now */
	uint32_t overflow_free;    /* first returned overflow bucket, linked by next */
	uint32_t overflow_touched; /* overflow buckets that were used at least once */
	uint32_t overflow_used;    /* overflow buckets in use now */
	uint32_t reserved[10];
};

static_assert(sizeof(struct flow_table_header) == 64, "buckets stay aligned");

static uint32_t
bucket_count(uint32_t capacity)
{
	return (capacity + RECORDS_PER_BUCKET - 1) / RECORDS_PER_BUCKET;
}

static uint32_t
overflow_count(uint32_t buckets)
{
	uint32_t share = buckets / BUCKETS_PER_OVERFLOW;

	return share > OVERFLOW_MIN ? share : OVERFLOW_MIN;
}

static size_t
buckets_bytes(uint32_t capacity)
{
	uint32_t buckets = bucket_count(capacity);

	return ((size_t)buckets + overflow_count(buckets)) * sizeof(struct flow_bucket);
}

size_t
flow_table_bytes(uint32_t capacity)
{
	return sizeof(struct flow_table_header) + buckets_bytes(capacity) +
	       ((size_t)capacity + 1) * sizeof(struct flow);
}

void
flow_table_init(struct flow_table *table, void *memory, uint32_t capacity, const uint64_t secret[3])
{
	uint8_t *at = memory;

	table->header = (struct flow_table_header *)at;
	at += sizeof(struct flow_table_header);
	table->buckets = (struct flow_bucket *)at;
	at += buckets_bytes(capacity);
	table->flows = (struct flow *)at;
	table->bucket_count = bucket_count(capacity);
	table->capacity = capacity;
	memcpy(table->secret, secret, sizeof(table->secret));
}

uint32_t
flow_table_alloc(struct flow_table *table)
{
	struct flow_table_header *header = table->header;
	uint32_t index = header->free, generation;
	struct flow *flow;

	if (index != FLOW_NONE)
		header->free = table->flows[index].timer_next;
	else if (header->touched < table->capacity)
		index = ++header->touched;
	else
		return FLOW_NONE;
	flow = &table->flows[index];
	generation = flow->generation;
	memset(flow, 0, sizeof(*flow));
	flow->generation = generation + 1;
	header->used++;
	return index;
}

void
flow_table_release(struct flow_table *table, uint32_t index)
{
	struct flow_table_header *header = table->header;
	struct flow *flow = &table->flows[index];

	flow->generation++;
	flow->state = FLOW_FREE;
	flow->timer_next = header->free;
	header->free = index;
	header->used--;
}

/* Upper and lower half of a 64 × 64 bit product: every bit of the result depends on every bit of both factors. */
static inline uint64_t
fold_product(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t
flow_table_hash(const struct flow_table *table, const struct flow_key *key)
{
	/* The constants are random digits: with them even the small secrets of a simulation spread well. */
	uint64_t words[3], mixed;

	memcpy(words, key, sizeof(words));
	mixed = fold_product(words[0] ^ table->secret[0] ^ 0x9d3f1c64a7e0b285,
			     words[1] ^ table->secret[1] ^ 0x6b85e2f40d97c31a);
	mixed = fold_product(mixed ^ 0xc4713a9e58d206fb, words[2] ^ table->secret[2] ^ 0x2ea9d5703fc8614d);
	return (uint32_t)(mixed ^ mixed >> 32);
}

static inline struct flow_bucket *
bucket_of(const struct flow_table *table, uint32_t hash)
{
	return &table->buckets[(uint64_t)hash * table->bucket_count >> 32];
}

static inline uint16_t
tag_of(uint32_t hash)
{
	uint16_t tag = (uint16_t)hash;

	return tag ? tag : 1;
}

/* One bit for each slot that has the tag; slot_of tells which, lowest first. */
static inline uint64_t
matches(const struct flow_bucket *bucket, uint16_t tag)
{
	typedef uint64_t words __attribute__((vector_size(16)));
	words equal = (words)(bucket->tag == tag);

	return (equal[0] & 0x0001000100010001) | (equal[1] & 0x0100010001000100);
}

/* Slots 0..3 have the even bytes of matches, slots 4..7 the odd ones. */
static inline unsigned
slot_of(uint64_t match)
{
	unsigned byte = (unsigned)__builtin_ctzll(match) / 8;

	return byte >> 1 | (byte & 1) << 2;
}

static inline bool
ref_has_key(const struct flow_table *table, flow_ref ref, const struct flow_key *key)
{
	return memcmp(&table->flows[flow_ref_index(ref)].leg[flow_ref_leg(ref)], key, KEY_BYTES) == 0;
}

flow_ref
flow_table_find_hashed(const struct flow_table *table, const struct flow_key *key, uint32_t hash)
{
	const struct flow_bucket *bucket = bucket_of(table, hash);

	for (;;) {
		for (uint64_t match = matches(bucket, tag_of(hash)); match; match &= match - 1) {
			flow_ref ref = bucket->ref[slot_of(match)];

			if (ref_has_key(table, ref, key))
				return ref;
		}
		if (!bucket->next)
			return 0;
		bucket = &table->buckets[bucket->next];
	}
}

flow_ref
flow_table_find(const struct flow_table *table, const struct flow_key *key)
{
	return flow_table_find_hashed(table, key, flow_table_hash(table, key));
}

void
flow_table_prefetch(const struct flow_table *table, uint32_t hash)
{
	__builtin_prefetch(bucket_of(table, hash));
}

void
flow_table_find_burst(const struct flow_table *table, const struct flow_key *keys, const uint32_t *hashes, unsigned n,
		      flow_ref *refs)
{
	/* In loops so short that many rounds are under way at once: a line far from here costs a walk through the page
	 * tables first, for which even a prefetch keeps its place in the processor's queue, and whatever is behind it
	 * as well. */
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(bucket_of(table, hashes[i]));

	/* The first reference whose tag fits is nearly always the one. */
	for (unsigned i = 0; i < n; i++) {
		const struct flow_bucket *bucket = bucket_of(table, hashes[i]);
		uint64_t match = matches(bucket, tag_of(hashes[i]));

		refs[i] = 0;
		if (match) {
			const struct flow *flow;

			refs[i] = bucket->ref[slot_of(match)];
			flow = &table->flows[flow_ref_index(refs[i])];
			__builtin_prefetch(&flow->leg[LEG_CLIENT], 1);
			__builtin_prefetch(&flow->leg[LEG_ENDPOINT], 1);
		} else if (bucket->next) {
			__builtin_prefetch(&table->buckets[bucket->next]);
		}
	}

	for (unsigned i = 0; i < n; i++) {
		if (refs[i] && ref_has_key(table, refs[i], &keys[i]))
			continue;
		if (refs[i] || bucket_of(table, hashes[i])->next)
			refs[i] = flow_table_find_hashed(table, &keys[i], hashes[i]);
	}
}

/* 0 when the pool is empty. */
static uint32_t
overflow_take(struct flow_table *table)
{
	struct flow_table_header *header = table->header;
	uint32_t taken = header->overflow_free;

	if (taken)
		header->overflow_free = table->buckets[taken].next;
	else if (header->overflow_touched < overflow_count(table->bucket_count))
		taken = table->bucket_count + header->overflow_touched++;
	else
		return 0;
	table->buckets[taken] = (struct flow_bucket){0};
	header->overflow_used++;
	return taken;
}

static void
overflow_return(struct flow_table *table, uint32_t bucket)
{
	table->buckets[bucket].next = table->header->overflow_free;
	table->header->overflow_free = bucket;
	table->header->overflow_used--;
}

bool
flow_table_insert(struct flow_table *table, uint32_t index, unsigned leg)
{
	struct flow_leg *entry = &table->flows[index].leg[leg];
	struct flow_key key = flow_leg_key(entry);
	uint32_t hash = flow_table_hash(table, &key);
	struct flow_bucket *bucket = bucket_of(table, hash);
	uint64_t holes;
	unsigned slot;

	while (bucket->next)
		bucket = &table->buckets[bucket->next];
	holes = matches(bucket, 0);
	if (!holes) {
		bucket->next = overflow_take(table);
		if (!bucket->next)
			return false;
		bucket = &table->buckets[bucket->next];
		holes = matches(bucket, 0);
	}
	slot = slot_of(holes);
	bucket->ref[slot] = index << 1 | leg;
	bucket->tag[slot] = tag_of(hash);
	entry->hash = hash;
	entry->flags |= LEG_HASHED;
	return true;
}

/* Whether ref is in bucket, and where. */
static bool
slot_with(const struct flow_bucket *bucket, flow_ref ref, uint16_t tag, unsigned *slot)
{
	for (uint64_t match = matches(bucket, tag); match; match &= match - 1) {
		*slot = slot_of(match);
		if (bucket->ref[*slot] == ref)
			return true;
	}
	return false;
}

/* Any slot of bucket in use; it has one. */
static unsigned
slot_in_use(const struct flow_bucket *bucket)
{
	unsigned slot = 0;

	while (!bucket->tag[slot])
		slot++;
	return slot;
}

void
flow_table_remove(struct flow_table *table, uint32_t index, unsigned leg)
{
	struct flow_leg *entry = &table->flows[index].leg[leg];
	struct flow_bucket *bucket = bucket_of(table, entry->hash), *last, *before = NULL;
	flow_ref ref = index << 1 | leg;
	unsigned slot, spare;

	while (!slot_with(bucket, ref, tag_of(entry->hash), &slot)) {
		if (!bucket->next)
			return;
		before = bucket;
		bucket = &table->buckets[bucket->next];
	}
	for (last = bucket; last->next; last = &table->buckets[last->next])
		before = last;
	if (last != bucket) {
		spare = slot_in_use(last);
		bucket->ref[slot] = last->ref[spare];
		bucket->tag[slot] = last->tag[spare];
		slot = spare;
	}
	last->ref[slot] = 0;
	last->tag[slot] = 0;
	if (before && __builtin_popcountll(matches(last, 0)) == BUCKET_SLOTS) {
		overflow_return(table, before->next);
		before->next = 0;
	}
	entry->flags &= (uint8_t)~LEG_HASHED;
}

uint32_t
flow_table_used(const struct flow_table *table)
{
	return table->header->used;
}

uint32_t
flow_table_touched(const struct flow_table *table)
{
	return table->header->touched;
}

uint32_t
flow_table_overflow_used(const struct flow_table *table)
{
	return table->header->overflow_used;
}
