/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small buffer for every hold and a large one for an eighth of them. A hold has exactly one buffer at any time, so as
 * long as there is a hold there is a small buffer for it, and only growing can fail.
 *
 * Free holds and buffers are taken from a list of released ones first, and then from a high-water mark: address space
 * that was never used is never touched. hold_pool_trim goes back to that.
 */
#include "dataplane/hold.h"

#include <string.h>
#include <sys/mman.h>

enum { LARGE_SHARE = 8 };

static void *
reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t
free_buffers_bytes(const struct hold_pool *pool)
{
	return ((size_t)pool->n_holds + pool->n_large + 1) * sizeof(*pool->free_buffers);
}

bool
hold_pool_init(struct hold_pool *pool, uint32_t n_holds)
{
	*pool = (struct hold_pool){.n_holds = n_holds, .n_large = n_holds / LARGE_SHARE};
	pool->holds = reserve(((size_t)n_holds + 1) * sizeof(*pool->holds));
	pool->small = reserve((size_t)n_holds * HOLD_SMALL);
	pool->large = reserve((size_t)pool->n_large * HOLD_MAX);
	pool->free_buffers = reserve(free_buffers_bytes(pool));
	if (pool->holds && pool->small && pool->large && pool->free_buffers)
		return true;
	hold_pool_free(pool);
	return false;
}

void
hold_pool_free(struct hold_pool *pool)
{
	if (pool->holds)
		munmap(pool->holds, ((size_t)pool->n_holds + 1) * sizeof(*pool->holds));
	if (pool->small)
		munmap(pool->small, (size_t)pool->n_holds * HOLD_SMALL);
	if (pool->large)
		munmap(pool->large, (size_t)pool->n_large * HOLD_MAX);
	if (pool->free_buffers)
		munmap(pool->free_buffers, free_buffers_bytes(pool));
	*pool = (struct hold_pool){0};
}

static uint8_t *
buffer_bytes(const struct hold_pool *pool, uint32_t buffer)
{
	if (buffer & HOLD_LARGE_BIT)
		return pool->large + (size_t)((buffer & ~HOLD_LARGE_BIT) - 1) * HOLD_MAX;
	return pool->small + (size_t)(buffer - 1) * HOLD_SMALL;
}

static uint32_t
small_take(struct hold_pool *pool)
{
	uint32_t buffer = pool->free_small;

	if (buffer == 0)
		return ++pool->touched_small;
	pool->free_small = pool->free_buffers[buffer];
	return buffer;
}

/* 0 when none is free. */
static uint32_t
large_take(struct hold_pool *pool)
{
	uint32_t buffer = pool->free_large;

	if (buffer != 0) {
		pool->free_large = pool->free_buffers[pool->n_holds + buffer];
		return buffer | HOLD_LARGE_BIT;
	}
	if (pool->touched_large == pool->n_large)
		return 0;
	return ++pool->touched_large | HOLD_LARGE_BIT;
}

static void
buffer_give(struct hold_pool *pool, uint32_t buffer)
{
	if (buffer & HOLD_LARGE_BIT) {
		buffer &= ~HOLD_LARGE_BIT;
		pool->free_buffers[pool->n_holds + buffer] = pool->free_large;
		pool->free_large = buffer;
	} else {
		pool->free_buffers[buffer] = pool->free_small;
		pool->free_small = buffer;
	}
}

uint32_t
hold_alloc(struct hold_pool *pool)
{
	uint32_t index = pool->free_hold;

	if (index != 0)
		pool->free_hold = pool->holds[index].next;
	else if (pool->touched_holds < pool->n_holds)
		index = ++pool->touched_holds;
	else
		return 0;
	pool->holds[index] = (struct hold){.buffer = small_take(pool), .queue = HOLD_QUEUE_NONE};
	pool->used++;
	return index;
}

bool
hold_pool_is_empty(const struct hold_pool *pool)
{
	return pool->free_hold == 0 && pool->touched_holds == pool->n_holds;
}

bool
hold_large_is_empty(const struct hold_pool *pool)
{
	return pool->free_large == 0 && pool->touched_large == pool->n_large;
}

uint32_t
hold_large_waiting(struct hold_pool *pool, uint32_t besides)
{
	for (unsigned i = 0; i < HOLD_LARGE_LOOK && i < pool->touched_large; i++) {
		pool->large_hand = pool->large_hand % pool->touched_large + 1;
		uint32_t owner = pool->free_buffers[pool->n_holds + pool->large_hand];
		/* Of a free buffer it is none; the comparison tells. */
		if (owner <= pool->touched_holds && owner != besides &&
		    pool->holds[owner].buffer == (pool->large_hand | HOLD_LARGE_BIT) &&
		    pool->holds[owner].queue == HOLD_QUEUE_HELLO)
			return owner;
	}
	return 0;
}

static void
dequeue(struct hold_pool *pool, const struct hold *hold)
{
	if (hold->queue == HOLD_QUEUE_NONE)
		return;
	if (hold->queue == HOLD_QUEUE_HELLO) {
		pool->waiting--;
		pool->crowds -= --pool->crowd[hold->source] == 0;
	}
	*(hold->before != 0 ? &pool->holds[hold->before].next : &pool->oldest[hold->queue]) = hold->next;
	*(hold->next != 0 ? &pool->holds[hold->next].before : &pool->youngest[hold->queue]) = hold->before;
}

void
hold_enqueue(struct hold_pool *pool, uint32_t index, enum hold_queue queue, uint32_t now_ms)
{
	struct hold *hold = &pool->holds[index];

	dequeue(pool, hold);
	hold->queue = (uint8_t)queue;
	hold->queued_ms = now_ms;
	hold->next = hold->before = 0;
	if (queue == HOLD_QUEUE_NONE)
		return;
	if (queue == HOLD_QUEUE_HELLO) {
		pool->waiting++;
		pool->crowds += pool->crowd[hold->source]++ == 0;
	}
	hold->before = pool->youngest[queue];
	*(hold->before != 0 ? &pool->holds[hold->before].next : &pool->oldest[queue]) = index;
	pool->youngest[queue] = index;
}

void
hold_pool_trim(struct hold_pool *pool)
{
	if (pool->used != 0)
		return;
	madvise(pool->small, (size_t)pool->touched_small * HOLD_SMALL, MADV_DONTNEED);
	madvise(pool->large, (size_t)pool->touched_large * HOLD_MAX, MADV_DONTNEED);
	pool->free_hold = pool->free_small = pool->free_large = 0;
	pool->touched_holds = pool->touched_small = pool->touched_large = 0;
}

void
hold_release(struct hold_pool *pool, uint32_t index)
{
	struct hold *hold = &pool->holds[index];

	dequeue(pool, hold);
	buffer_give(pool, hold->buffer);
	hold->buffer = 0;
	hold->next = pool->free_hold;
	pool->free_hold = index;
	pool->used--;
}

struct hold *
hold_get(const struct hold_pool *pool, uint32_t index)
{
	return &pool->holds[index];
}

const uint8_t *
hold_bytes(const struct hold_pool *pool, const struct hold *hold)
{
	return buffer_bytes(pool, hold->buffer);
}

/* The ranges that are here once begin..end is: how far from 0, and those beyond, in list. Returns how many, which may
 * be one too many. */
static unsigned
merge(const struct hold *hold, uint32_t begin, uint32_t end, uint32_t *contiguous,
      struct hold_range list[HOLD_GAPS_MAX + 1])
{
	unsigned i = 0, n = 0;

	for (; i < hold->n_early && hold->early[i].end < begin; i++)
		list[n++] = hold->early[i];
	for (; i < hold->n_early && hold->early[i].begin <= end; i++) {
		if (hold->early[i].begin < begin)
			begin = hold->early[i].begin;
		if (hold->early[i].end > end)
			end = hold->early[i].end;
	}
	*contiguous = hold->end;
	if (begin > hold->end)
		list[n++] = (struct hold_range){(uint16_t)begin, (uint16_t)end};
	else if (end > hold->end)
		*contiguous = end;
	for (; i < hold->n_early; i++)
		list[n++] = hold->early[i];
	return n;
}

/* Moves the hold to a large buffer. False when none is free. */
static bool
grow(struct hold_pool *pool, struct hold *hold)
{
	uint32_t large = large_take(pool), length = hold->end;

	if (large == 0)
		return false;
	if (hold->n_early > 0)
		length = hold->early[hold->n_early - 1].end;
	memcpy(buffer_bytes(pool, large), buffer_bytes(pool, hold->buffer), length);
	buffer_give(pool, hold->buffer);
	hold->buffer = large;
	pool->free_buffers[pool->n_holds + (large & ~HOLD_LARGE_BIT)] = (uint32_t)(hold - pool->holds);
	return true;
}

/* Copies what isn't here yet of offset..end. Returns whether anything was. */
static bool
fill(uint8_t *buffer, const struct hold *hold, uint32_t offset, uint32_t end, const uint8_t *bytes)
{
	uint32_t at = offset > hold->end ? offset : hold->end;
	bool added = false;
	unsigned i;

	for (i = 0; i <= hold->n_early && at < end; i++) {
		uint32_t stop = i < hold->n_early && hold->early[i].begin < end ? hold->early[i].begin : end;

		if (at < stop) {
			memcpy(buffer + at, bytes + (at - offset), stop - at);
			added = true;
			at = stop;
		}
		if (i < hold->n_early && at < hold->early[i].end && at >= hold->early[i].begin)
			at = hold->early[i].end;
	}
	return added;
}

enum hold_verdict
hold_add(struct hold_pool *pool, struct hold *hold, uint32_t offset, const uint8_t *bytes, uint16_t length)
{
	struct hold_range list[HOLD_GAPS_MAX + 1];
	uint32_t end = offset + length, contiguous;
	bool beyond = end > HOLD_MAX, added;
	unsigned n;

	if (beyond)
		end = HOLD_MAX;
	if (offset >= end)
		return beyond ? HOLD_BEYOND : HOLD_REPEAT;
	n = merge(hold, offset, end, &contiguous, list);
	if (n > HOLD_GAPS_MAX)
		return HOLD_NO_ROOM;
	if (end > HOLD_SMALL && !(hold->buffer & HOLD_LARGE_BIT) && !grow(pool, hold))
		return HOLD_NO_ROOM;

	added = fill(buffer_bytes(pool, hold->buffer), hold, offset, end, bytes);
	hold->end = (uint16_t)contiguous;
	hold->n_early = (uint8_t)n;
	memcpy(hold->early, list, n * sizeof(list[0]));
	if (beyond)
		return HOLD_BEYOND;
	return added ? HOLD_TAKEN : HOLD_REPEAT;
}
