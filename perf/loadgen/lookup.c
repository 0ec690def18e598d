/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/lookup.h"

#include <stdbool.h>
#include <stdlib.h>

#include "perf/loadgen/conn.h"
#include "perf/loadgen/memory.h"

void
lookup_init(struct lookup *lookup, struct conn *conns, uint32_t first, uint32_t n)
{
	uint32_t size = 16;

	while (size < 2 * n)
		size *= 2;
	*lookup = (struct lookup){.conns = conns, .mask = size - 1, .free = LOOKUP_NONE};
	lookup->entries = memory_zeroed(size, sizeof(lookup->entries[0]));
	while (n-- != 0) {
		conns[first + n].began = lookup->free;
		lookup->free = first + n;
	}
}

uint32_t
lookup_guess(const struct lookup *lookup, uint32_t hash)
{
	uint32_t i = hash & lookup->mask;

	for (; lookup->entries[i].index_1 != 0; i = (i + 1) & lookup->mask)
		if (lookup->entries[i].hash == hash)
			return lookup->entries[i].index_1 - 1;
	return LOOKUP_NONE;
}

uint32_t
lookup_find(const struct lookup *lookup, uint32_t hash, uint32_t peer_addr, uint16_t peer_port, uint16_t local)
{
	uint32_t i = hash & lookup->mask;

	for (; lookup->entries[i].index_1 != 0; i = (i + 1) & lookup->mask) {
		const struct conn *conn = &lookup->conns[lookup->entries[i].index_1 - 1];
		if (lookup->entries[i].hash == hash && conn->peer_addr == peer_addr && conn->peer_port == peer_port &&
		    conn->local == local)
			return lookup->entries[i].index_1 - 1;
	}
	return LOOKUP_NONE;
}

uint32_t
lookup_add(struct lookup *lookup, uint32_t hash, uint32_t peer_addr, uint16_t peer_port, uint16_t local)
{
	uint32_t index = lookup->free, i = hash & lookup->mask;

	if (index == LOOKUP_NONE)
		return LOOKUP_NONE;
	struct conn *conn = &lookup->conns[index];
	lookup->free = conn->began;
	while (lookup->entries[i].index_1 != 0)
		i = (i + 1) & lookup->mask;
	lookup->entries[i] = (struct lookup_entry){hash, index + 1};
	conn->peer_addr = peer_addr;
	conn->peer_port = peer_port;
	conn->local = local;
	return index;
}

void
lookup_remove(struct lookup *lookup, uint32_t index)
{
	struct conn *conn = &lookup->conns[index];
	uint32_t mask = lookup->mask, hole = lookup_hash(conn->peer_addr, conn->peer_port, conn->local) & mask;

	while (lookup->entries[hole].index_1 != index + 1)
		hole = (hole + 1) & mask;
	/* What follows moves up into the hole, unless it is nearer to its home where it is. */
	for (uint32_t i = (hole + 1) & mask; lookup->entries[i].index_1 != 0; i = (i + 1) & mask) {
		uint32_t home = lookup->entries[i].hash & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		lookup->entries[hole] = lookup->entries[i];
		hole = i;
	}
	lookup->entries[hole] = (struct lookup_entry){0};
	conn->began = lookup->free;
	lookup->free = index;
}
