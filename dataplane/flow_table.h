/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker's flow records and the hash that finds them by a packet's addresses.
 *
 * Memory. Everything lives in one region that the caller maps (flow_map.h): a header, buckets, records. There are no
 * pointers in it, only indices, so that another process can map it elsewhere and go on. Untouched memory stays
 * untouched: records are handed out from a free list first and then from a high-water mark, so a table sized for a
 * million flows costs an idle process nothing.
 *
 * Hash. Buckets of one cache line: 8 tags of 16 bits, 8 references of 32 bits (record << 1 | leg), a link to an
 * overflow bucket. A burst is looked up in three passes with prefetches between (flow_table_find_burst), so that a miss
 * of the cache is paid once for the burst and not for each packet. The hash is keyed: a client can choose its ports,
 * and must not be able to choose its bucket.
 */
#ifndef POSTERN_DATAPLANE_FLOW_TABLE_H
#define POSTERN_DATAPLANE_FLOW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/flow.h"

/* What identifies a leg: the peer's address and port and ours. 24 bytes, no padding: hashed and compared as three
 * words. */
struct flow_key {
	struct ip_addr peer;
	uint16_t peer_port;  /* network order */
	uint16_t local_port; /* network order */
	uint16_t local_addr; /* index of the local address (net.h) */
	uint16_t zero;
};

static_assert(sizeof(struct flow_key) == 24, "three words");

/* Sets all of *key by whole words: it is hashed as three, and a processor waits for words that were written in pieces.
 */
static inline void
flow_key_set(struct flow_key *key, const struct ip_addr *peer, uint16_t peer_port, uint16_t local_port,
	     uint16_t local_addr)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t words[3] = {peer->longs[0], peer->longs[1],
			     (uint64_t)local_addr << 32 | (uint32_t)local_port << 16 | peer_port};
#else
	uint64_t words[3] = {peer->longs[0], peer->longs[1],
			     (uint64_t)peer_port << 48 | (uint64_t)local_port << 32 | (uint32_t)local_addr << 16};
#endif
	memcpy(key, words, sizeof(words));
}

/* A reference to one leg of one record: index << 1 | leg. 0 is no reference. */
typedef uint32_t flow_ref;

static inline uint32_t
flow_ref_index(flow_ref ref)
{
	return ref >> 1;
}

static inline unsigned
flow_ref_leg(flow_ref ref)
{
	return ref & 1;
}

struct flow_bucket;
struct flow_table_header;

struct flow_table {
	struct flow_table_header *header; /* in the mapping */
	struct flow_bucket *buckets;      /* in the mapping */
	struct flow *flows;               /* in the mapping; flows[0] is never used */
	uint32_t bucket_count;            /* main buckets; a hash's is hash * bucket_count >> 32 */
	uint32_t capacity;                /* records, the unused 0 not counted */
	uint64_t secret[3];
};

enum { FLOW_BURST_MAX = 64 };

/* Bytes of mapping that a table of capacity records needs; 64-byte aligned. capacity 1..2^30. */
size_t flow_table_bytes(uint32_t capacity);

/* Lays out an empty table in memory (64-byte aligned, zeroed, flow_table_bytes long). secret keys the hash. */
void flow_table_init(struct flow_table *table, void *memory, uint32_t capacity, const uint64_t secret[3]);

/* Takes a record: zeroed but for its generation, state FLOW_FREE still. Returns its index, or FLOW_NONE when all are in
 * use. */
uint32_t flow_table_alloc(struct flow_table *table);
/* Gives a record back. Its legs must be out of the hash and its timer stopped. */
void flow_table_release(struct flow_table *table, uint32_t index);

/* Puts leg of flow index in the hash under the leg's own addresses and ports, and sets leg->hash and LEG_HASHED. False,
 * and nothing changed, when there is no overflow bucket left; the leg must not be there already (flow_table_find first
 * where that isn't known). */
bool flow_table_insert(struct flow_table *table, uint32_t index, unsigned leg);
/* Takes the leg out and clears LEG_HASHED. Goes by leg->hash, so the leg's addresses may have changed. Harmless when
 * the leg isn't in the hash. */
void flow_table_remove(struct flow_table *table, uint32_t index, unsigned leg);

uint32_t flow_table_hash(const struct flow_table *table, const struct flow_key *key);
flow_ref flow_table_find(const struct flow_table *table, const struct flow_key *key);
/* The same where the hash of the key is known. */
flow_ref flow_table_find_hashed(const struct flow_table *table, const struct flow_key *key, uint32_t hash);

/* Looks up n keys, n <= FLOW_BURST_MAX; refs[i] is 0 for a miss. hashes[i] must be flow_table_hash of keys[i]. The
 * two leg lines of each hit are in the cache or on their way when it returns. */
void flow_table_find_burst(const struct flow_table *table, const struct flow_key *keys, const uint32_t *hashes,
			   unsigned n, flow_ref *refs);
/* Asks for the bucket of hash ahead of flow_table_find. */
void flow_table_prefetch(const struct flow_table *table, uint32_t hash);

static inline struct flow *
flow_table_get(const struct flow_table *table, uint32_t index)
{
	return &table->flows[index];
}

static inline struct flow_key
flow_leg_key(const struct flow_leg *leg)
{
	return (struct flow_key){leg->peer, leg->peer_port, leg->local_port, leg->local_addr, 0};
}

/* Records in use; records ever touched (indices 1..touched are worth a look); buckets in use as overflow. */
uint32_t flow_table_used(const struct flow_table *table);
uint32_t flow_table_touched(const struct flow_table *table);
uint32_t flow_table_overflow_used(const struct flow_table *table);

#endif
