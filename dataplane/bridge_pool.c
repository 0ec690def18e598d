/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/bridge_pool.h"

#include <string.h>
#include <sys/mman.h>

static size_t
bytes(uint32_t capacity)
{
	return ((size_t)capacity + 1) * sizeof(struct bridge);
}

bool
bridge_pool_init(struct bridge_pool *pool, uint32_t capacity)
{
	void *memory =
		mmap(NULL, bytes(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	*pool = (struct bridge_pool){.bridges = memory, .capacity = capacity, .limits = tcp_limits_default};
	pool->limits.keepalive_ms = 0;
	return true;
}

void
bridge_pool_free(struct bridge_pool *pool)
{
	for (uint32_t i = 1; i <= pool->touched; i++)
		if (pool->bridges[i].flow != FLOW_NONE)
			bridge_free(pool, i);
	if (pool->bridges != NULL)
		munmap(pool->bridges, bytes(pool->capacity));
	*pool = (struct bridge_pool){0};
}

uint32_t
bridge_alloc(struct bridge_pool *pool, uint32_t flow)
{
	uint32_t index = pool->free;

	if (index != 0)
		pool->free = pool->bridges[index].next;
	else if (pool->touched < pool->capacity)
		index = ++pool->touched;
	else
		return 0;
	struct bridge *bridge = &pool->bridges[index];
	memset(bridge, 0, sizeof(*bridge));
	bridge->flow = flow;
	pool->used++;
	return index;
}

void
bridge_free(struct bridge_pool *pool, uint32_t index)
{
	struct bridge *bridge = &pool->bridges[index];

	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		tcp_free(&bridge->tcp[leg]);
	bridge->flow = FLOW_NONE;
	bridge->next = pool->free;
	pool->free = index;
	pool->used--;
}
