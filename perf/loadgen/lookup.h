/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a server's end by who speaks to which address of it: open addressing with linear probing over entries of 8
 * bytes, which hold the whole hash, so that a connection's record is touched only when it is the right one. Also who of
 * the servers is free.
 */
#ifndef POSTERN_PERF_LOADGEN_LOOKUP_H
#define POSTERN_PERF_LOADGEN_LOOKUP_H

#include <rte_prefetch.h>
#include <stdint.h>

struct conn;

enum { LOOKUP_NONE = UINT32_MAX };

struct lookup_entry {
	uint32_t hash;
	uint32_t index_1; /* index + 1; 0: empty */
};

struct lookup {
	struct conn *conns;
	struct lookup_entry *entries;
	uint32_t mask;
	uint32_t free; /* first of the free servers, linked by conn.began */
};

/* Servers are conns[first] to conns[first + n - 1], all free. */
void lookup_init(struct lookup *lookup, struct conn *conns, uint32_t first, uint32_t n);

/* peer_addr, peer_port as in struct conn; local: which of our addresses. */
static inline uint32_t
lookup_hash(uint32_t peer_addr, uint16_t peer_port, uint16_t local)
{
	uint64_t x = ((uint64_t)peer_addr << 32 | (uint32_t)peer_port << 16 | local) * UINT64_C(0x9e3779b97f4a7c15);

	x ^= x >> 32;
	return (uint32_t)((x * UINT64_C(0xd6e8feb86659fd93)) >> 32);
}

static inline void
lookup_prefetch(const struct lookup *lookup, uint32_t hash)
{
	rte_prefetch0(&lookup->entries[hash & lookup->mask]);
}

/* The first connection that has this hash, for it to be fetched; LOOKUP_NONE: there is none. */
uint32_t lookup_guess(const struct lookup *lookup, uint32_t hash);

/* The connection of that tuple, or LOOKUP_NONE. */
uint32_t lookup_find(const struct lookup *lookup, uint32_t hash, uint32_t peer_addr, uint16_t peer_port,
		     uint16_t local);

/* Takes a free server for that tuple, which has none, and sets the three fields. LOOKUP_NONE: all are in use. */
uint32_t lookup_add(struct lookup *lookup, uint32_t hash, uint32_t peer_addr, uint16_t peer_port, uint16_t local);

/* The connection leaves the table and is free. Its timer may be in a slot still. */
void lookup_remove(struct lookup *lookup, uint32_t index);

#endif
