/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/random.h"
#include "tests/unit/unit.h"

static const uint64_t secret[3] = {0xa0761d6478bd642f, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3};

/* An empty table in zeroed memory of its own; table_free gives that back. */
static struct flow_table
table_make(uint32_t capacity)
{
	size_t bytes = flow_table_bytes(capacity);
	void *memory = aligned_alloc(64, bytes);
	struct flow_table table;

	CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
	memset(memory, 0, bytes);
	flow_table_init(&table, memory, capacity, secret);
	return table;
}

static void
table_free(struct flow_table *table)
{
	free(table->header);
}

static struct flow_key
key_random(uint64_t *seed)
{
	struct flow_key key = {.peer = ip_addr_from_v4((uint32_t)random_64(seed))};
	uint64_t rest = random_64(seed);

	if (rest & 1)
		random_fill(seed, &key.peer, sizeof(key.peer));
	key.peer_port = (uint16_t)(rest >> 16);
	key.local_port = (uint16_t)(rest >> 32);
	key.local_addr = (uint16_t)(rest >> 48);
	return key;
}

/* Flags and the rest of the line are noise: a lookup must not care. */
static void
leg_set(struct flow_leg *leg, const struct flow_key *key)
{
	memset(leg, 0xa5, sizeof(*leg));
	leg->peer = key->peer;
	leg->peer_port = key->peer_port;
	leg->local_port = key->local_port;
	leg->local_addr = key->local_addr;
	leg->flags = (uint8_t)~LEG_HASHED;
}

static void
sizes(void)
{
	static const uint32_t capacities[] = {1, 2, 3, 63, 1 << 20, (1 << 20) + 1, 1 << 30};
	unsigned unaligned = 0, large = 0;

	for (unsigned i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
		unaligned += flow_table_bytes(capacities[i]) % 64 != 0;
	for (uint32_t capacity = 1024; capacity < 1 << 30; capacity += 1 + capacity / 1000) {
		unaligned += flow_table_bytes(capacity) % 64 != 0;
		large += flow_table_bytes(capacity) > (size_t)capacity * 256;
	}
	CU_ASSERT_EQUAL(unaligned, 0);
	CU_ASSERT_EQUAL(large, 0);
	CU_ASSERT(flow_table_bytes(1 << 30) > (size_t)192 << 30);
}

/* Nothing beyond flow_table_bytes is written: a full table of the smallest sizes ends at a forbidden page. */
static void
bounds(void)
{
	for (uint32_t capacity = 1; capacity < 20; capacity++) {
		size_t bytes = flow_table_bytes(capacity), room = (bytes + 4095) & ~(size_t)4095;
		uint8_t *memory = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct flow_table table;
		uint64_t seed = capacity;
		uint32_t index;

		CU_ASSERT_PTR_NOT_EQUAL_FATAL(memory, MAP_FAILED);
		CU_ASSERT_EQUAL_FATAL(mprotect(memory + room, 4096, PROT_NONE), 0);
		flow_table_init(&table, memory + room - bytes, capacity, secret);
		while ((index = flow_table_alloc(&table)) != FLOW_NONE)
			for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
				struct flow_key key = key_random(&seed);

				leg_set(&flow_table_get(&table, index)->leg[leg], &key);
				CU_ASSERT_TRUE(flow_table_insert(&table, index, leg));
				CU_ASSERT_EQUAL(flow_table_find(&table, &key), index << 1 | leg);
			}
		CU_ASSERT_EQUAL(flow_table_used(&table), capacity);
		munmap(memory, room + 4096);
	}
}

static void
records(void)
{
	struct flow_table table = table_make(3);
	static const struct flow zero;
	struct flow *flow;
	uint32_t a, b, c;

	CU_ASSERT_EQUAL(flow_table_used(&table), 0);
	CU_ASSERT_EQUAL(flow_table_touched(&table), 0);
	a = flow_table_alloc(&table);
	b = flow_table_alloc(&table);
	CU_ASSERT(a != b && a >= 1 && a <= 3 && b >= 1 && b <= 3);
	CU_ASSERT_EQUAL(flow_table_used(&table), 2);
	CU_ASSERT_EQUAL(flow_table_touched(&table), 2);

	/* A record comes back zeroed, and its generation tells the two uses apart. */
	flow = flow_table_get(&table, a);
	CU_ASSERT_EQUAL(flow->generation, 1);
	memset(flow, 0xff, sizeof(*flow));
	flow->generation = 1;
	flow_table_release(&table, a);
	CU_ASSERT_EQUAL(flow->generation, 2);
	CU_ASSERT_EQUAL(flow->state, FLOW_FREE);
	CU_ASSERT_EQUAL(flow_table_used(&table), 1);
	CU_ASSERT_EQUAL(flow_table_alloc(&table), a);
	CU_ASSERT_EQUAL(flow_table_touched(&table), 2);
	CU_ASSERT_EQUAL(flow->generation, 3);
	flow->generation = 0;
	CU_ASSERT_EQUAL(memcmp(flow, &zero, sizeof(zero)), 0);
	flow->generation = 3;

	c = flow_table_alloc(&table);
	CU_ASSERT(c != a && c != b && c >= 1 && c <= 3);
	CU_ASSERT_EQUAL(flow_table_alloc(&table), FLOW_NONE);
	flow_table_release(&table, b);
	flow_table_release(&table, c);
	CU_ASSERT_EQUAL(flow_table_alloc(&table), c);
	CU_ASSERT_EQUAL(flow_table_alloc(&table), b);
	CU_ASSERT_EQUAL(flow_table_alloc(&table), FLOW_NONE);
	CU_ASSERT_EQUAL(flow_table_used(&table), 3);
	table_free(&table);
}

/* Each bit of a key, and each word of the secret, matters to the hash and to the comparison. */
static void
hash_of_every_bit(void)
{
	struct flow_table table = table_make(64), other;
	unsigned same = 0, found = 0;
	uint64_t seed = 1;

	for (unsigned round = 0; round < 50; round++) {
		struct flow_key key = key_random(&seed);
		uint32_t index = flow_table_alloc(&table), hash = flow_table_hash(&table, &key);

		leg_set(&flow_table_get(&table, index)->leg[LEG_CLIENT], &key);
		CU_ASSERT_TRUE(flow_table_insert(&table, index, LEG_CLIENT));
		CU_ASSERT_EQUAL(flow_table_get(&table, index)->leg[LEG_CLIENT].hash, hash);
		for (unsigned bit = 0; bit < 8 * offsetof(struct flow_key, zero); bit++) {
			struct flow_key changed = key;

			((uint8_t *)&changed)[bit / 8] ^= (uint8_t)(1U << bit % 8);
			same += flow_table_hash(&table, &changed) == hash;
			found += flow_table_find(&table, &changed) != 0;
		}
		for (unsigned i = 0; i < 3; i++) {
			other = table;
			other.secret[i] ^= 1ULL << (round + i);
			same += flow_table_hash(&other, &key) == hash;
		}
	}
	CU_ASSERT_EQUAL(same, 0);
	CU_ASSERT_EQUAL(found, 0);
	table_free(&table);
}

/* Keys as they come in practice: one client's ports in a row, a subnet's addresses in a row. Neither may crowd buckets,
 * with a good secret or the small numbers of a simulation. */
static void
hash_spreads(void)
{
	static const uint64_t secrets[][3] = {
		{1, 2, 3}, {0, 0, 0}, {0xa0761d6478bd642f, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3}};
	enum { KEYS = 1 << 16, BUCKETS = 1 << 12 };
	static uint16_t load[BUCKETS];

	for (unsigned i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		for (unsigned by_port = 0; by_port < 2; by_port++) {
			struct flow_table table = table_make(1);
			unsigned worst = 0;

			memcpy(table.secret, secrets[i], sizeof(table.secret));
			memset(load, 0, sizeof(load));
			for (uint32_t n = 0; n < KEYS; n++) {
				struct flow_key key = {.peer = ip_addr_from_v4(by_port ? 0x0100000a : n << 16 | 10)};
				unsigned bucket;

				key.peer_port = by_port ? (uint16_t)n : 1234;
				key.local_port = 443;
				bucket = flow_table_hash(&table, &key) >> 20;
				if (++load[bucket] > worst)
					worst = load[bucket];
			}
			/* 16 expected; 45 is beyond seven standard deviations. */
			CU_ASSERT(worst < 45);
			table_free(&table);
		}
}

static void
expect_found(const struct flow_table *table, const struct flow_key *keys, const flow_ref *expected, unsigned n,
	     unsigned *wrong)
{
	flow_ref refs[FLOW_BURST_MAX];
	uint32_t hashes[FLOW_BURST_MAX] = {0};

	for (unsigned i = 0; i < n; i++) {
		hashes[i] = flow_table_hash(table, &keys[i]);
		*wrong += flow_table_find(table, &keys[i]) != expected[i];
	}
	flow_table_find_burst(table, keys, hashes, n, refs);
	*wrong += n && memcmp(refs, expected, n * sizeof(refs[0])) != 0;
}

/* The reference: which key is in, under which reference. */
struct model {
	unsigned count;
	struct flow_key *keys;
	flow_ref *refs;    /* 0: not in the table */
	uint32_t *indices; /* the record that key i is a leg of: two keys each */
};

/* Keys whose hashes fall in the first `share`th of the table's buckets. */
static struct model
model_make(const struct flow_table *table, unsigned count, unsigned share, uint64_t *seed)
{
	struct model model = {.count = count};

	model.keys = calloc(count, sizeof(model.keys[0]));
	model.refs = calloc(count, sizeof(model.refs[0]));
	model.indices = calloc(count / 2, sizeof(model.indices[0]));
	for (unsigned i = 0; i < count; i++)
		do
			model.keys[i] = key_random(seed);
		while (flow_table_hash(table, &model.keys[i]) >= 0x100000000 / share);
	return model;
}

static void
model_free(struct model *model)
{
	free(model->keys);
	free(model->refs);
	free(model->indices);
}

static void
model_toggle(struct model *model, struct flow_table *table, unsigned i, unsigned *wrong)
{
	uint32_t *index = &model->indices[i / 2];
	unsigned leg = i % 2;
	struct flow_leg *entry;

	if (*index == FLOW_NONE)
		*index = flow_table_alloc(table);
	*wrong += *index == FLOW_NONE;
	entry = &flow_table_get(table, *index)->leg[leg];
	if (model->refs[i]) {
		flow_table_remove(table, *index, leg);
		*wrong += (entry->flags & LEG_HASHED) != 0;
		model->refs[i] = 0;
		flow_table_remove(table, *index, leg); /* harmless */
	} else {
		leg_set(entry, &model->keys[i]);
		*wrong += !flow_table_insert(table, *index, leg);
		*wrong += !(entry->flags & LEG_HASHED);
		model->refs[i] = *index << 1 | leg;
	}
	if (!model->refs[i] && !model->refs[i ^ 1]) {
		flow_table_release(table, *index);
		*index = FLOW_NONE;
	}
}

static void
model_run(uint32_t capacity, unsigned share, unsigned operations, uint64_t seed)
{
	struct flow_table table = table_make(capacity);
	struct model model = model_make(&table, 2 * capacity, share, &seed);
	unsigned wrong = 0, used = 0, overflowed = 0;

	for (unsigned i = 0; i < operations; i++) {
		unsigned n = random_below(&seed, FLOW_BURST_MAX + 1), from = random_below(&seed, model.count);

		model_toggle(&model, &table, random_below(&seed, model.count), &wrong);
		if (from + n > model.count)
			n = model.count - from;
		expect_found(&table, model.keys + from, model.refs + from, n, &wrong);
		overflowed += flow_table_overflow_used(&table) > 0;
	}
	for (unsigned i = 0; i < capacity; i++)
		used += model.indices[i] != FLOW_NONE;
	CU_ASSERT_EQUAL(flow_table_used(&table), used);
	CU_ASSERT(share == 1 || overflowed > operations / 2);
	for (unsigned i = 0; i < model.count; i++)
		if (model.refs[i])
			model_toggle(&model, &table, i, &wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(flow_table_used(&table), 0);
	CU_ASSERT_EQUAL(flow_table_overflow_used(&table), 0);
	model_free(&model);
	table_free(&table);
}

static void
model_spread(void)
{
	model_run(1, 1, 1000, 1);
	model_run(7, 1, 20000, 2);
	model_run(500, 1, 50000, 3);
	model_run(5000, 1, 20000, 4);
}

/* Every key in one bucket, or in two: chains of dozens of overflow buckets. */
static void
model_crowded(void)
{
	model_run(64, 32, 50000, 5);
	model_run(256, 128, 20000, 6);
	model_run(250, 62, 20000, 7);
}

/* A table full to its last record has found room for all of them. */
static void
full(void)
{
	enum { CAPACITY = 40000 };
	struct flow_table table = table_make(CAPACITY);
	uint64_t seed = 8;
	unsigned refused = 0, missed = 0;

	for (uint32_t i = 0; i < CAPACITY; i++) {
		uint32_t index = flow_table_alloc(&table);

		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			struct flow_key key = key_random(&seed);

			leg_set(&flow_table_get(&table, index)->leg[leg], &key);
			refused += !flow_table_insert(&table, index, leg);
		}
	}
	CU_ASSERT_EQUAL(refused, 0);
	CU_ASSERT_EQUAL(flow_table_alloc(&table), FLOW_NONE);
	/* 2 % of the buckets, of a pool of 12 %. */
	CU_ASSERT(flow_table_overflow_used(&table) > CAPACITY / 2 / 100);
	CU_ASSERT(flow_table_overflow_used(&table) < CAPACITY / 2 * 4 / 100);
	for (uint32_t index = 1; index <= CAPACITY; index++)
		for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
			struct flow_key key = flow_leg_key(&flow_table_get(&table, index)->leg[leg]);

			missed += flow_table_find(&table, &key) != (index << 1 | leg);
		}
	CU_ASSERT_EQUAL(missed, 0);
	table_free(&table);
}

/* When the pool of overflow buckets is empty, insertion says so and changes nothing; it works again once one came back.
 */
static void
overflow_exhausted(void)
{
	enum { CAPACITY = 600, POOL = 64, ROOM = (POOL + 1) * 8 };
	struct flow_table table = table_make(CAPACITY);
	uint64_t seed = 9;
	struct model model = model_make(&table, 2 * CAPACITY, CAPACITY / 2, &seed);
	unsigned wrong = 0;
	uint32_t extra;
	struct flow_leg *leg;

	for (unsigned i = 0; i < ROOM; i++)
		model_toggle(&model, &table, i, &wrong);
	CU_ASSERT_EQUAL(flow_table_overflow_used(&table), POOL);
	extra = flow_table_alloc(&table);
	leg = &flow_table_get(&table, extra)->leg[LEG_CLIENT];
	leg_set(leg, &model.keys[ROOM]);
	CU_ASSERT_FALSE(flow_table_insert(&table, extra, LEG_CLIENT));
	CU_ASSERT_EQUAL(leg->flags & LEG_HASHED, 0);
	CU_ASSERT_EQUAL(flow_table_find(&table, &model.keys[ROOM]), 0);
	for (unsigned i = 0; i < ROOM; i += FLOW_BURST_MAX / 2)
		expect_found(&table, model.keys + i, model.refs + i, ROOM - i < 32 ? ROOM - i : 32, &wrong);

	model_toggle(&model, &table, 3, &wrong);
	CU_ASSERT_TRUE(flow_table_insert(&table, extra, LEG_CLIENT));
	CU_ASSERT_EQUAL(flow_table_find(&table, &model.keys[ROOM]), extra << 1);
	CU_ASSERT_EQUAL(wrong, 0);
	model_free(&model);
	table_free(&table);
}

/* A leg is taken out by its hash: its addresses may have been overwritten meanwhile. */
static void
remove_after_change(void)
{
	struct flow_table table = table_make(4);
	uint64_t seed = 10;
	struct flow_key key = key_random(&seed);
	uint32_t index = flow_table_alloc(&table);
	struct flow_leg *leg = &flow_table_get(&table, index)->leg[LEG_ENDPOINT];

	leg_set(leg, &key);
	CU_ASSERT_TRUE(flow_table_insert(&table, index, LEG_ENDPOINT));
	leg->local_port ^= 1;
	CU_ASSERT_EQUAL(flow_table_find(&table, &key), 0);
	flow_table_remove(&table, index, LEG_ENDPOINT);
	leg->local_port ^= 1;
	CU_ASSERT_EQUAL(flow_table_find(&table, &key), 0);
	table_free(&table);
}

static const CU_TestInfo tests[] = {
	{"at most 256 bytes a connection", sizes},
	{"stays within its memory", bounds},
	{"records", records},
	{"every bit of a key counts", hash_of_every_bit},
	{"keys in a row are spread", hash_spreads},
	{"against a model", model_spread},
	{"against a model, one bucket crowded", model_crowded},
	{"full to capacity", full},
	{"no overflow bucket left", overflow_exhausted},
	{"removal after the addresses changed", remove_after_change},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("flow_table", tests);
}
