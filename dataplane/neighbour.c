/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/neighbour.h"

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/arp.h"
#include "dataplane/ether.h"
#include "dataplane/nd.h"
#include "dataplane/worker.h"

enum { GENERATION_NEVER = 0xffff };

bool
neighbour_table_init(struct neighbour_table *table, uint16_t capacity)
{
	uint32_t buckets = 64;

	while (buckets < capacity)
		buckets *= 2;
	*table = (struct neighbour_table){.capacity = capacity, .bucket_mask = (uint16_t)(buckets - 1)};
	table->entries = calloc((size_t)capacity + 1, sizeof(*table->entries));
	table->buckets = calloc(buckets, sizeof(*table->buckets));
	if (table->entries == NULL || table->buckets == NULL) {
		neighbour_table_free(table);
		return false;
	}
	/* Hop 0, "none yet", must find nothing. */
	table->entries[0].generation = GENERATION_NEVER;
	return true;
}

static void
pending_add(struct neighbour_table *table, struct neighbour *entry, struct rte_mbuf *mbuf)
{
	if (entry->n_pending == 0)
		entry->oldest = mbuf;
	else
		entry->youngest->next = mbuf;
	entry->youngest = mbuf;
	entry->n_pending++;
	table->n_pending++;
}

/* Takes out the packet that has waited longest. */
static struct rte_mbuf *
pending_take(struct neighbour_table *table, struct neighbour *entry)
{
	struct rte_mbuf *mbuf = entry->oldest;

	entry->oldest = mbuf->next;
	mbuf->next = NULL; /* a frame of one segment again */
	entry->n_pending--;
	table->n_pending--;
	return mbuf;
}

static void
pending_drop(struct worker *worker, struct neighbour *entry, enum reason reason)
{
	while (entry->n_pending != 0)
		worker_drop(worker, pending_take(&worker->neighbours, entry), reason);
}

void
neighbour_table_free(struct neighbour_table *table)
{
	for (uint16_t i = 1; table->entries && i <= table->touched; i++)
		while (table->entries[i].n_pending != 0)
			rte_pktmbuf_free(pending_take(table, &table->entries[i]));
	free(table->entries);
	free(table->buckets);
	*table = (struct neighbour_table){0};
}

/* Keyed: a host with an IPv6 prefix of its own can choose among its addresses, and must not be able to choose a bucket.
 */
static uint16_t *
bucket(const struct worker *worker, uint8_t port, const struct ip_addr *addr)
{
	uint64_t a = (addr->longs[0] ^ worker->isn_secret[0]) + port, b = addr->longs[1] ^ worker->isn_secret[1];
	unsigned __int128 product = (unsigned __int128)(a | 1) * (b | 1);
	uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64) ^ a ^ b;

	mixed *= UINT64_C(0x9e3779b97f4a7c15);
	return &worker->neighbours.buckets[(mixed >> 40) & worker->neighbours.bucket_mask];
}

static uint16_t
find(const struct worker *worker, uint8_t port, const struct ip_addr *addr)
{
	uint16_t index = *bucket(worker, port, addr);

	while (index != 0) {
		const struct neighbour *entry = &worker->neighbours.entries[index];

		if (entry->port == port && ip_addr_equal(&entry->addr, addr))
			break;
		index = entry->hash_next;
	}
	return index;
}

static void
enter(struct worker *worker, struct neighbour *entry, enum neighbour_state state)
{
	entry->state = state;
	entry->since_ms = worker->clock_ms;
	entry->probes = 0;
	entry->contested = false;
}

static bool
has_share(const struct worker *worker, uint8_t port)
{
	const struct neighbour_table *table = &worker->neighbours;
	uint16_t reserved = worker->net->n_ports > 1 ? table->capacity / NEIGHBOUR_SHARE : 0;

	return table->used_by[port] < table->capacity - reserved;
}

uint32_t
neighbour_hop(struct worker *worker, uint8_t port, const struct ip_addr *via)
{
	struct neighbour_table *table = &worker->neighbours;
	const struct net_port *from = &worker->net->ports[port];
	uint16_t index = find(worker, port, via), generation, *head;
	struct neighbour *entry;

	if (index != 0)
		return index | (uint32_t)table->entries[index].generation << 16;
	if (!has_share(worker, port))
		return 0;
	if (table->free != 0) {
		index = table->free;
		table->free = table->entries[index].hash_next;
	} else if (table->touched < table->capacity) {
		index = ++table->touched;
	} else {
		return 0;
	}
	entry = &table->entries[index];
	generation = entry->generation ? entry->generation : 1;
	head = bucket(worker, port, via);
	*entry = (struct neighbour){.port = port,
				    .device = from->device,
				    .generation = generation,
				    .used_ms = worker->clock_ms,
				    .hash_next = *head,
				    .addr = *via};
	*head = index;
	enter(worker, entry, NEIGHBOUR_INCOMPLETE);
	table->used_by[port]++;
	worker->stats->neighbours = ++table->used;
	return index | (uint32_t)generation << 16;
}

static void
forget(struct worker *worker, uint16_t index)
{
	struct neighbour_table *table = &worker->neighbours;
	struct neighbour *entry = &table->entries[index];
	uint16_t *link = bucket(worker, entry->port, &entry->addr);

	while (*link != index)
		link = &table->entries[*link].hash_next;
	*link = entry->hash_next;
	entry->state = NEIGHBOUR_FREE;
	if (++entry->generation == 0)
		entry->generation = 1;
	entry->hash_next = table->free;
	table->free = index;
	table->used_by[entry->port]--;
	worker->stats->neighbours = --table->used;
}

/* One more request: of the MAC that we know in PROBE, else of everybody. */
static void
ask(struct worker *worker, struct neighbour *entry)
{
	const uint8_t *mac = entry->state == NEIGHBOUR_PROBE ? entry->header : NULL;

	entry->probes++;
	if (ip_addr_is_v4(&entry->addr))
		arp_request(worker, entry->port, &entry->addr, mac);
	else
		nd_solicit(worker, entry->port, &entry->addr, mac);
}

static void
transmit(struct worker *worker, const struct neighbour *entry, struct rte_mbuf *mbuf)
{
	char *header = rte_pktmbuf_prepend(mbuf, entry->header_length);

	if (header == NULL) {
		worker_drop(worker, mbuf, REASON_PACKET_POOL_EMPTY);
		return;
	}
	memcpy(header, entry->header, entry->header_length);
	worker_transmit(worker, entry->device, mbuf);
}

void
neighbour_send(struct worker *worker, struct neighbour *entry, struct rte_mbuf *mbuf)
{
	entry->used = true;
	if (neighbour_is_known(entry)) {
		transmit(worker, entry, mbuf);
		return;
	}
	if (entry->state == NEIGHBOUR_FAILED) {
		worker_drop(worker, mbuf, REASON_NEIGHBOUR_FAILED);
		return;
	}
	struct neighbour_table *table = &worker->neighbours;
	uint8_t limit =
		table->n_pending < NEIGHBOUR_PENDING_ALL_MAX / 2 ? NEIGHBOUR_PENDING_MAX : NEIGHBOUR_PENDING_SHORT;
	/* The oldest gives way (RFC 4861 section 7.2.2): its sender repeats it first. */
	if (entry->n_pending >= limit)
		worker_drop(worker, pending_take(table, entry), REASON_NEIGHBOUR_PENDING);
	if (table->n_pending < NEIGHBOUR_PENDING_ALL_MAX)
		pending_add(table, entry, mbuf);
	else
		worker_drop(worker, mbuf, REASON_NEIGHBOUR_PENDING);
	if (entry->probes == 0) {
		entry->since_ms = worker->clock_ms;
		ask(worker, entry);
	}
}

void
neighbour_ask_all(struct worker *worker, unsigned most)
{
	for (uint16_t i = 1; i <= worker->neighbours.touched && most != 0; i++) {
		struct neighbour *entry = &worker->neighbours.entries[i];
		if (entry->state != NEIGHBOUR_INCOMPLETE || entry->probes != 0)
			continue;
		entry->since_ms = worker->clock_ms;
		ask(worker, entry);
		most--;
	}
}

static void
take_mac(struct worker *worker, struct neighbour *entry, const uint8_t mac[6])
{
	uint16_t type = ip_addr_is_v4(&entry->addr) ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6;

	entry->header_length = ether_write(entry->header, &worker->net->ports[entry->port], mac, type);
	enter(worker, entry, NEIGHBOUR_REACHABLE);
	while (entry->n_pending != 0)
		transmit(worker, entry, pending_take(&worker->neighbours, entry));
}

/* A claim for an entry whose MAC isn't known. */
static bool
answered(struct worker *worker, struct neighbour *entry, const uint8_t *mac, bool solicited)
{
	if (mac == NULL)
		return false;
	if (entry->state == NEIGHBOUR_INCOMPLETE) {
		if (!solicited || entry->probes == 0)
			return false;
		take_mac(worker, entry, mac);
		return true;
	}
	/* A sign of life, whosever it is: all are asked again. */
	enter(worker, entry, NEIGHBOUR_INCOMPLETE);
	ask(worker, entry);
	return true;
}

bool
neighbour_learn(struct worker *worker, uint8_t port, const struct ip_addr *addr, const uint8_t *mac, bool solicited,
		bool override)
{
	uint16_t index = find(worker, port, addr);
	struct neighbour *entry = &worker->neighbours.entries[index];

	if (index == 0)
		return false;
	if (mac && (!ether_is_station(mac) || memcmp(mac, worker->net->ports[port].mac, ETHER_ADDRESS_LENGTH) == 0))
		return false;
	if (!neighbour_is_known(entry))
		return answered(worker, entry, mac, solicited);
	if (mac == NULL || memcmp(mac, entry->header, ETHER_ADDRESS_LENGTH) == 0) {
		if (solicited && entry->state == NEIGHBOUR_PROBE && entry->probes > 0)
			enter(worker, entry, NEIGHBOUR_REACHABLE);
		return true;
	}
	if (!override && entry->state == NEIGHBOUR_REACHABLE)
		enter(worker, entry, NEIGHBOUR_STALE);
	/* The next tick asks the old MAC, so that a flood of claims costs ten requests a second and not one each. */
	if (override && !entry->contested) {
		enter(worker, entry, NEIGHBOUR_PROBE);
		entry->contested = true;
	}
	return true;
}

void
neighbour_share(struct worker *worker, struct rte_mbuf *mbuf)
{
	uint16_t i;

	for (i = 0; i < worker->n_workers; i++) {
		struct rte_mbuf *copy;

		if (i == worker->id)
			continue;
		copy = rte_pktmbuf_copy(mbuf, worker->pool, 0, UINT32_MAX);
		if (copy == NULL)
			worker_count(worker, REASON_PACKET_POOL_EMPTY);
		else if (rte_ring_enqueue(worker->inboxes[i], copy) != 0)
			worker_drop(worker, copy, REASON_HANDOVER_FULL);
		else
			worker->handed_to |= 1u << i;
	}
}

/* Asks again when it is time. False when NEIGHBOUR_PROBES requests went unanswered. */
static bool
ask_again(struct worker *worker, struct neighbour *entry, uint32_t age)
{
	uint32_t interval = entry->contested ? NEIGHBOUR_CONTESTED_MS : NEIGHBOUR_RETRANS_MS;

	if (age < entry->probes * interval)
		return true;
	if (entry->probes >= NEIGHBOUR_PROBES)
		return false;
	ask(worker, entry);
	return true;
}

static void
tick(struct worker *worker, uint16_t index)
{
	struct neighbour *entry = &worker->neighbours.entries[index];
	uint32_t age = worker->clock_ms - entry->since_ms;
	bool used = entry->used;

	if (used) {
		entry->used = false;
		entry->used_ms = worker->clock_ms;
	}
	switch (entry->state) {
	case NEIGHBOUR_INCOMPLETE:
		if (entry->probes == 0) {
			/* Its flow ended before it sent anything. */
			if (age >= NEIGHBOUR_FAILED_MS)
				forget(worker, index);
		} else if (!ask_again(worker, entry, age)) {
			pending_drop(worker, entry, REASON_NEIGHBOUR_FAILED);
			enter(worker, entry, NEIGHBOUR_FAILED);
		}
		break;
	case NEIGHBOUR_REACHABLE:
		if (age >= NEIGHBOUR_REACHABLE_MS)
			enter(worker, entry, NEIGHBOUR_STALE);
		break;
	case NEIGHBOUR_STALE:
		if (used) {
			enter(worker, entry, NEIGHBOUR_PROBE);
			ask(worker, entry);
		} else if (worker->clock_ms - entry->used_ms >= NEIGHBOUR_FORGET_MS)
			forget(worker, index);
		break;
	case NEIGHBOUR_PROBE:
		if (!ask_again(worker, entry, age)) {
			enter(worker, entry, NEIGHBOUR_INCOMPLETE);
			ask(worker, entry);
		}
		break;
	case NEIGHBOUR_FAILED:
		if (age >= NEIGHBOUR_FAILED_MS)
			forget(worker, index);
		break;
	}
}

void
neighbour_tick(struct worker *worker)
{
	uint16_t i;

	for (i = 1; i <= worker->neighbours.touched; i++)
		if (worker->neighbours.entries[i].state != NEIGHBOUR_FREE)
			tick(worker, i);
}

const char *
neighbour_state_text(enum neighbour_state state)
{
	static const char *const texts[] = {
		[NEIGHBOUR_FREE] = "free",   [NEIGHBOUR_INCOMPLETE] = "incomplete", [NEIGHBOUR_REACHABLE] = "reachable",
		[NEIGHBOUR_STALE] = "stale", [NEIGHBOUR_PROBE] = "probe",           [NEIGHBOUR_FAILED] = "failed",
	};

	return (unsigned)state < sizeof(texts) / sizeof(texts[0]) ? texts[state] : "unknown";
}

bool
neighbour_awaits(const struct neighbour_table *table)
{
	for (uint16_t i = 1; i <= table->touched; i++)
		if (table->entries[i].state == NEIGHBOUR_INCOMPLETE && table->entries[i].probes != 0)
			return true;
	return false;
}
