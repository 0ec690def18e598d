/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_strays.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MIN = 64, WORKER_BITS = 8 };

/* Upper 32 bits: hash; 24: a hash of its own; the last 8 are 0, where the worker's number, plus 1, goes. */
static uint64_t
fingerprint(const struct flow_key *key, uint32_t hash)
{
	uint64_t words[3], mixed;

	memcpy(words, key, sizeof(words));
	mixed = (words[0] ^ 0x7d1c5bf2908ae643) * 0x9e3779b97f4a7c15;
	mixed = (mixed ^ mixed >> 29 ^ words[1]) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 32 ^ words[2]) * 0x94d049bb133111eb;
	return (uint64_t)hash << 32 | (mixed >> 40) << WORKER_BITS;
}

/* Where the fingerprint is, or would go. */
static uint64_t *
place(const struct flow_strays *strays, uint64_t print)
{
	uint32_t at = (uint32_t)(print >> 32) & strays->mask;

	while (strays->entries[at] != 0 && (strays->entries[at] ^ print) >> WORKER_BITS != 0)
		at = (at + 1) & strays->mask;
	return &strays->entries[at];
}

static void
grow(struct flow_strays *strays)
{
	struct flow_strays old = *strays;
	uint32_t entries = old.entries == NULL ? ENTRIES_MIN : (old.mask + 1) * 2;

	strays->entries = calloc(entries, sizeof(*strays->entries));
	if (strays->entries == NULL)
		abort();
	strays->mask = entries - 1;
	for (uint32_t i = 0; old.entries != NULL && i <= old.mask; i++)
		if (old.entries[i] != 0)
			*place(strays, old.entries[i]) = old.entries[i];
	free(old.entries);
}

void
flow_strays_add(struct flow_strays *strays, const struct flow_key *key, uint32_t hash, uint16_t worker)
{
	uint64_t print = fingerprint(key, hash);

	if (strays->entries == NULL || strays->used > strays->mask / 2)
		grow(strays);
	uint64_t *entry = place(strays, print);
	if (*entry != 0)
		return;
	*entry = print | (worker + 1u);
	strays->used++;
}

void
flow_strays_free(struct flow_strays *strays)
{
	free(strays->entries);
	*strays = (struct flow_strays){0};
}

bool
flow_strays_find(const struct flow_strays *strays, const struct flow_key *key, uint32_t hash, uint16_t *worker)
{
	if (strays->used == 0)
		return false;
	uint64_t entry = *place(strays, fingerprint(key, hash));
	if (entry == 0)
		return false;
	*worker = (uint16_t)((entry & ((1 << WORKER_BITS) - 1)) - 1);
	return true;
}
