/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	INDEX_MIN = 1024,
	/* So that a restored slot, whose epoch is 0, is free to go when the first snapshot doesn't name it. */
	FIRST_EPOCH = 2,
	PROFILE_SACK = 1 << 0,
	PROFILE_TIMESTAMPS = 1 << 1,
	PROFILE_KNOWN = 1 << 2,
	PROFILE_SACK_ASKED = 1 << 3,
	PROFILE_TIMESTAMPS_ASKED = 1 << 4
};

/* The main thread's side of a slot. texts: one block with the name at its head and the labels behind it, each
 * NUL-terminated. */
struct slot {
	char *texts;         /* NULL: the slot is free */
	uint64_t idle_since; /* live_sweep's clock, plus 1; 0: in use when last looked */
	uint32_t epoch;      /* the last snapshot, counted by commits, that names it */
	uint32_t labelled;   /* the last one that labels were taken from */
	uint32_t hash;
	uint32_t next_free; /* while free: the next free slot */
	uint16_t name_length;
	uint16_t labels[LIVE_LABELS]; /* offsets in texts; 0: absent */
	char kind;
};

struct live {
	struct slot *slots;
	uint64_t *profiles;
	struct live_counters *counters[LIVE_WORKERS_MAX];
	uint32_t *cursors[LIVE_WORKERS_MAX];
	unsigned n_workers;
	uint32_t capacity;
	uint32_t touched; /* slots 1..touched - 1 were in use at some time */
	uint32_t used;
	uint32_t free;   /* head of the free list; 0: empty */
	uint32_t epoch;  /* of the snapshot in the making */
	bool changed;    /* atomic */
	uint32_t *index; /* open addressing by name: slot numbers, 0 is empty */
	uint32_t index_mask;
};

static void *
map_lazily(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static void
unmap(void *memory, size_t bytes)
{
	if (memory != NULL)
		munmap(memory, bytes);
}

static uint32_t *
index_alloc(uint32_t entries)
{
	uint32_t *index = calloc(entries, sizeof(*index));
	if (index == NULL)
		abort(); /* control plane: as in platform/text.c */
	return index;
}

struct live *
live_create(unsigned n_workers, uint32_t capacity)
{
	struct live *live = calloc(1, sizeof(*live));
	if (live == NULL)
		return NULL;
	live->n_workers = n_workers;
	live->capacity = capacity;
	live->touched = 1;
	live->epoch = FIRST_EPOCH;
	live->index = index_alloc(INDEX_MIN);
	live->index_mask = INDEX_MIN - 1;
	live->slots = map_lazily(capacity * sizeof(*live->slots));
	live->profiles = map_lazily(capacity * sizeof(*live->profiles));
	bool mapped = live->slots != NULL && live->profiles != NULL;
	for (unsigned i = 0; i < n_workers; i++) {
		live->counters[i] = map_lazily(capacity * sizeof(*live->counters[i]));
		live->cursors[i] = map_lazily(capacity * sizeof(*live->cursors[i]));
		mapped = mapped && live->counters[i] != NULL && live->cursors[i] != NULL;
	}
	if (!mapped) {
		live_free(live);
		return NULL;
	}
	return live;
}

void
live_free(struct live *live)
{
	if (live == NULL)
		return;
	for (uint32_t i = 1; live->slots != NULL && i < live->touched; i++)
		free(live->slots[i].texts);
	for (unsigned i = 0; i < live->n_workers; i++) {
		unmap(live->counters[i], live->capacity * sizeof(*live->counters[i]));
		unmap(live->cursors[i], live->capacity * sizeof(*live->cursors[i]));
	}
	unmap(live->slots, live->capacity * sizeof(*live->slots));
	unmap(live->profiles, live->capacity * sizeof(*live->profiles));
	free(live->index);
	free(live);
}

/* FNV-1a. Names are the operator's own. */
static uint32_t
hash_name(char kind, const char *name, size_t length)
{
	uint32_t hash = (2166136261u ^ (uint8_t)kind) * 16777619u;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619u;
	return hash;
}

/* Where the name is in the index, or where it would go. */
static uint32_t
index_find(const struct live *live, uint32_t hash, char kind, const char *name, size_t length)
{
	uint32_t at = hash & live->index_mask;

	for (; live->index[at] != 0; at = (at + 1) & live->index_mask) {
		const struct slot *slot = &live->slots[live->index[at]];
		if (slot->hash == hash && slot->kind == kind && slot->name_length == length &&
		    memcmp(slot->texts, name, length) == 0)
			break;
	}
	return at;
}

static void
index_grow(struct live *live)
{
	uint32_t *old = live->index;
	uint32_t old_entries = live->index_mask + 1;

	live->index = index_alloc(old_entries * 2);
	live->index_mask = old_entries * 2 - 1;
	for (uint32_t i = 0; i < old_entries; i++) {
		if (old[i] == 0)
			continue;
		uint32_t at = live->slots[old[i]].hash & live->index_mask;
		while (live->index[at] != 0)
			at = (at + 1) & live->index_mask;
		live->index[at] = old[i];
	}
	free(old);
}

/* Closes the gap at `at` by moving back those behind it that their hash allows to (Knuth 6.4, algorithm R). */
static void
index_remove(struct live *live, uint32_t at)
{
	uint32_t gap = at;

	for (;;) {
		at = (at + 1) & live->index_mask;
		if (live->index[at] == 0)
			break;
		uint32_t home = live->slots[live->index[at]].hash & live->index_mask;
		if (((at - home) & live->index_mask) >= ((at - gap) & live->index_mask)) {
			live->index[gap] = live->index[at];
			gap = at;
		}
	}
	live->index[gap] = 0;
}

/* Gives slot number to a name whose place in the index is at. */
static void
occupy(struct live *live, uint32_t at, uint32_t number, const struct slot *as, const char *name, size_t length)
{
	struct slot *slot = &live->slots[number];

	*slot = *as;
	slot->name_length = (uint16_t)length;
	slot->texts = malloc(length + 1);
	if (slot->texts == NULL)
		abort();
	memcpy(slot->texts, name, length);
	slot->texts[length] = '\0';
	live->index[at] = number;
	live->used++;
	if (live->used > live->index_mask / 2)
		index_grow(live);
	__atomic_store_n(&live->changed, true, __ATOMIC_RELAXED);
}

uint32_t
live_slot_get(struct live *live, char kind, const char *name, size_t length)
{
	uint32_t hash = hash_name(kind, name, length);
	uint32_t at = index_find(live, hash, kind, name, length);
	uint32_t number = live->index[at];

	if (number != 0) {
		live->slots[number].epoch = live->epoch;
		return number;
	}
	if (length > UINT16_MAX)
		return 0;
	if (live->free != 0) {
		number = live->free;
		live->free = live->slots[number].next_free;
	} else if (live->touched < live->capacity) {
		number = live->touched++;
	} else {
		return 0;
	}
	occupy(live, at, number, &(struct slot){.epoch = live->epoch, .hash = hash, .kind = kind}, name, length);
	return number;
}

bool
live_slot_restore(struct live *live, uint32_t slot, char kind, const char *name, size_t length)
{
	uint32_t hash = hash_name(kind, name, length);
	uint32_t at = index_find(live, hash, kind, name, length);

	if (slot == 0 || slot >= live->capacity || length > UINT16_MAX || live->slots[slot].texts != NULL ||
	    live->index[at] != 0)
		return false;
	if (slot >= live->touched)
		live->touched = slot + 1;
	occupy(live, at, slot, &(struct slot){.hash = hash, .kind = kind}, name, length);
	return true;
}

void
live_restored(struct live *live)
{
	live->free = 0;
	for (uint32_t i = live->touched; i-- > 1;) {
		if (live->slots[i].texts != NULL)
			continue;
		live->slots[i].next_free = live->free;
		live->free = i;
	}
}

bool
live_changed(struct live *live)
{
	return __atomic_exchange_n(&live->changed, false, __ATOMIC_ACQUIRE);
}

static uint32_t
snapshot_slot_get(void *context, char kind, const char *name, size_t length)
{
	return live_slot_get(context, kind, name, length);
}

struct snapshot_slots
live_snapshot_slots(struct live *live)
{
	return (struct snapshot_slots){.context = live, .get = snapshot_slot_get};
}

/* Puts the labels behind the name; those that don't fit in 64 kB stay absent. */
static void
label(struct live *live, uint32_t number, const struct name labels[LIVE_LABELS])
{
	if (number == 0 || live->slots[number].labelled == live->epoch)
		return;
	struct slot *slot = &live->slots[number];
	size_t bytes = slot->name_length + 1u;
	for (unsigned i = 0; i < LIVE_LABELS; i++) {
		slot->labels[i] = 0;
		if (labels[i].length == 0 || bytes + labels[i].length + 1 > UINT16_MAX)
			continue;
		slot->labels[i] = (uint16_t)bytes;
		bytes += labels[i].length + 1u;
	}
	slot->texts = realloc(slot->texts, bytes);
	if (slot->texts == NULL)
		abort();
	for (unsigned i = 0; i < LIVE_LABELS; i++) {
		if (slot->labels[i] == 0)
			continue;
		memcpy(slot->texts + slot->labels[i], labels[i].bytes, labels[i].length);
		slot->texts[slot->labels[i] + labels[i].length] = '\0';
	}
	slot->labelled = live->epoch;
}

static void
label_backend(struct live *live, const struct backend *backend)
{
	const struct service *service = backend->service;
	struct name labels[LIVE_LABELS] = {
		[LIVE_SERVICE] = service->host,
		[LIVE_SERVICE_NAME] = service->name,
		[LIVE_SERVICE_NAMESPACE] = service->space,
	};

	label(live, backend->live, labels);
	for (uint32_t i = 0; i < backend->n_endpoints; i++) {
		const struct endpoint *endpoint = backend->endpoints[i];
		labels[LIVE_WORKLOAD] = endpoint->workload;
		labels[LIVE_APP] = endpoint->app;
		labels[LIVE_VERSION] = endpoint->version;
		labels[LIVE_CLUSTER] = endpoint->cluster;
		labels[LIVE_LOCALITY] = endpoint->locality;
		labels[LIVE_SERVICE_ACCOUNT] = endpoint->service_account;
		label(live, endpoint->live, labels);
	}
}

void
live_commit(struct live *live, const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_backends; i++)
		label_backend(live, snapshot->backends[i]);
	for (uint16_t i = 0; i < snapshot->n_listeners; i++)
		label(live, snapshot->listeners[i].live,
		      (struct name[LIVE_LABELS]){[LIVE_GATEWAY] = snapshot->listeners[i].gateway});
	live->epoch++;
}

static void
release(struct live *live, uint32_t number)
{
	struct slot *slot = &live->slots[number];

	index_remove(live, index_find(live, slot->hash, slot->kind, slot->texts, slot->name_length));
	free(slot->texts);
	*slot = (struct slot){.next_free = live->free};
	live->free = number;
	live->used--;
	/* No worker holds the number (see live.h), so nobody writes these; the next user's snapshot publishes the
	 * zeroes. */
	__atomic_store_n(&live->profiles[number], 0, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < live->n_workers; i++) {
		live->counters[i][number] = (struct live_counters){0};
		live->cursors[i][number] = 0;
	}
}

uint32_t
live_sweep(struct live *live, uint64_t now_ms)
{
	uint32_t released = 0;

	for (uint32_t i = 1; i < live->touched; i++) {
		struct slot *slot = &live->slots[i];
		if (slot->texts == NULL || slot->kind == 'l')
			continue;
		/* live->epoch is of the next snapshot: the last two that are in force or were are epoch - 1 and epoch
		 * - 2. */
		if (slot->epoch + 3 > live->epoch || live_active(live, i) != 0) {
			slot->idle_since = 0;
			continue;
		}
		if (slot->idle_since == 0) {
			slot->idle_since = now_ms + 1;
		} else if (now_ms + 1 - slot->idle_since >= LIVE_HOLD_MS) {
			release(live, i);
			released++;
		}
	}
	return released;
}

uint32_t
live_next(const struct live *live, uint32_t slot)
{
	for (slot++; slot < live->touched; slot++)
		if (live->slots[slot].texts != NULL)
			return slot;
	return 0;
}

static bool
in_use(const struct live *live, uint32_t slot)
{
	return slot != 0 && slot < live->touched && live->slots[slot].texts != NULL;
}

char
live_kind(const struct live *live, uint32_t slot)
{
	return (char)(in_use(live, slot) ? live->slots[slot].kind : 0);
}

const char *
live_name(const struct live *live, uint32_t slot)
{
	return in_use(live, slot) ? live->slots[slot].texts : "";
}

const char *
live_label(const struct live *live, uint32_t slot, enum live_label which)
{
	if (!in_use(live, slot) || live->slots[slot].labels[which] == 0)
		return "";
	return live->slots[slot].texts + live->slots[slot].labels[which];
}

uint32_t
live_used(const struct live *live)
{
	return live->used;
}

struct live_counters *
live_counters(struct live *live, unsigned worker)
{
	return live->counters[worker];
}

uint32_t
live_active(const struct live *live, uint32_t slot)
{
	uint32_t active = 0;
	for (unsigned i = 0; i < live->n_workers; i++)
		active += __atomic_load_n(&live->counters[i][slot].active, __ATOMIC_RELAXED);
	return active;
}

uint32_t *
live_cursor(struct live *live, unsigned worker, uint32_t slot)
{
	return &live->cursors[worker][slot];
}

void
live_sum(const struct live *live, uint32_t slot, struct live_counters *sum)
{
	*sum = (struct live_counters){0};
	for (unsigned i = 0; i < live->n_workers; i++) {
		const struct live_counters *counters = &live->counters[i][slot];
		sum->opened += __atomic_load_n(&counters->opened, __ATOMIC_RELAXED);
		sum->closed += __atomic_load_n(&counters->closed, __ATOMIC_RELAXED);
		sum->failed += __atomic_load_n(&counters->failed, __ATOMIC_RELAXED);
		sum->sent += __atomic_load_n(&counters->sent, __ATOMIC_RELAXED);
		sum->received += __atomic_load_n(&counters->received, __ATOMIC_RELAXED);
		sum->active += __atomic_load_n(&counters->active, __ATOMIC_RELAXED);
	}
}

/* One word: mss 0..15, window 16..31, wscale 32..39, flags 40..47. */
void
live_profile_set(struct live *live, uint32_t slot, const struct tcp_profile *profile)
{
	uint64_t before = __atomic_load_n(&live->profiles[slot], __ATOMIC_RELAXED);
	uint64_t keep = 0;
	uint64_t flags = (uint64_t)PROFILE_KNOWN;

	if (profile->asked_sack)
		flags |= PROFILE_SACK_ASKED | (profile->sack ? PROFILE_SACK : 0);
	else
		keep |= PROFILE_SACK_ASKED | PROFILE_SACK;
	if (profile->asked_timestamps)
		flags |= PROFILE_TIMESTAMPS_ASKED | (profile->timestamps ? PROFILE_TIMESTAMPS : 0);
	else
		keep |= PROFILE_TIMESTAMPS_ASKED | PROFILE_TIMESTAMPS;
	flags |= before >> 40 & keep;
	uint64_t word = flags << 40 | (uint64_t)profile->wscale << 32 | (uint32_t)profile->window << 16 | profile->mss;

	/* Mostly it is what was there, and then the line stays shared between the workers. */
	if (before == word)
		return;
	__atomic_store_n(&live->profiles[slot], word, __ATOMIC_RELAXED);
	__atomic_store_n(&live->changed, true, __ATOMIC_RELEASE);
}

bool
live_profile(const struct live *live, uint32_t slot, struct tcp_profile *profile)
{
	uint64_t word = __atomic_load_n(&live->profiles[slot], __ATOMIC_RELAXED);
	uint8_t flags = (uint8_t)(word >> 40);

	if (!(flags & PROFILE_KNOWN))
		return false;
	*profile = (struct tcp_profile){.mss = (uint16_t)word,
					.wscale = (uint8_t)(word >> 32),
					.sack = flags & PROFILE_SACK,
					.timestamps = flags & PROFILE_TIMESTAMPS,
					.asked_sack = flags & PROFILE_SACK_ASKED,
					.asked_timestamps = flags & PROFILE_TIMESTAMPS_ASKED,
					.window = (uint16_t)(word >> 16)};
	return true;
}
