/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_adopt.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/flow_map.h"
#include "dataplane/local_port.h"
#include "dataplane/splice.h"
#include "dataplane/tcp_options.h"

enum {
	WINDOW_MAX = (UINT16_MAX << TCP_WSCALE_MAX) + SPLICE_WINDOW_SLACK, /* bytes; of any scale */
	LOOK_AHEAD = 16 /* records; the buckets that they go to are anywhere in memory */
};

struct adopter {
	struct flow_adoption *adoption;
	struct worker *const *workers;
	uint16_t n_workers;
	const struct flow_adopt_names *names;
	uint16_t local[CONF_ADDRESSES_MAX]; /* by their index: ours, or NET_ADDRESS_NONE */
	const struct flow_adopt_source *source;
	bool clients_are_spread; /* a device chooses the worker that a client's packets come to */
};

void
flow_adopt_source_init(struct flow_adopt_source *source, const struct flow_map_header *before)
{
	*source = (struct flow_adopt_source){
		.n_tables = before->n_workers, .addresses = before->addresses, .n_addresses = before->n_addresses};
	for (unsigned i = 0; i < source->n_tables; i++)
		flow_table_init(&source->tables[i], flow_map_table(before, i), before->capacity, before->secrets.hash);
}

/* --- what a record may look like ---------------------------------------------------------------------------------- */

static bool
leg_is_sane(const struct adopter *adopter, const struct flow_leg *leg)
{
	const struct flow_adopt_source *source = adopter->source;

	if (leg->local_addr >= source->n_addresses || leg->peer_port == 0 || leg->local_port == 0)
		return false;
	if (ip_addr_is_martian(&leg->peer) ||
	    ip_addr_is_v4(&leg->peer) != ip_addr_is_v4(&source->addresses[leg->local_addr]))
		return false;
	if (leg->mss < DIAL_MSS_MIN || leg->wscale > TCP_WSCALE_MAX || leg->announced > TCP_WSCALE_MAX)
		return false;
	return (leg->flags & LEG_WSCALE) != 0 || (leg->wscale == 0 && leg->announced == 0);
}

/* Whether what the peer of leg has acknowledged and offered fits what the other one has sent: as splice.c lets it come
 * to pass. */
static bool
numbers_agree(const struct flow_leg *leg, const struct flow_leg *other)
{
	uint32_t unacknowledged = other->seq_end + other->seq_delta - leg->ack;
	int32_t window = (int32_t)(leg->edge - leg->ack);

	return unacknowledged <= WINDOW_MAX && window >= -SPLICE_WINDOW_SLACK && window <= WINDOW_MAX;
}

/* A change of state writes the legs' first: they may be one ahead. */
static bool
leg_state_agrees(uint8_t state, uint8_t leg_state)
{
	return leg_state == state || leg_state == (state == FLOW_SPLICED ? FLOW_CLOSING : FLOW_FREE);
}

static bool
splice_is_sane(const struct adopter *adopter, const struct flow *record)
{
	const struct flow_leg *client = &record->leg[LEG_CLIENT], *endpoint = &record->leg[LEG_ENDPOINT];
	struct flow_key client_key = flow_leg_key(client), endpoint_key = flow_leg_key(endpoint);

	return leg_is_sane(adopter, client) && leg_is_sane(adopter, endpoint) && numbers_agree(client, endpoint) &&
	       numbers_agree(endpoint, client) && leg_state_agrees(record->state, client->state) &&
	       leg_state_agrees(record->state, endpoint->state) && (client->flags & LEG_HELD) == 0 &&
	       ((client->flags ^ endpoint->flags) & LEG_TS) == 0 && record->opened_ms < 1000 &&
	       memcmp(&client_key, &endpoint_key, sizeof(client_key)) != 0;
}

/* --- where it belongs --------------------------------------------------------------------------------------------- */

/* The worker that a leg's packets come to by themselves, or are handed to; n_workers when that isn't known. */
static uint16_t
home(const struct adopter *adopter, const struct flow_key *key, uint32_t hash)
{
	return worker_home(adopter->workers[0], adopter->clients_are_spread, key, hash);
}

/* Whether a flow that was adopted before has the key. */
static bool
is_taken(const struct adopter *adopter, const struct worker *worker, const struct flow_key *key)
{
	uint32_t hash = flow_table_hash(&worker->flows, key);
	uint16_t other;

	if (flow_table_find(&worker->flows, key) != 0)
		return true;
	if (adopter->n_workers == 1)
		return false;
	if (flow_strays_find(&adopter->adoption->strays, key, hash, &other))
		return true;
	other = home(adopter, key, hash);
	return other < adopter->n_workers && flow_table_find(&adopter->workers[other]->flows, key) != 0;
}

static bool
leg_insert(struct adopter *adopter, struct worker *worker, uint32_t index, unsigned leg)
{
	const struct flow_leg *entry = &flow_table_get(&worker->flows, index)->leg[leg];

	if (!flow_table_insert(&worker->flows, index, leg))
		return false;
	if (adopter->n_workers > 1) {
		struct flow_key key = flow_leg_key(entry);
		if (home(adopter, &key, entry->hash) != worker->id)
			flow_strays_add(&adopter->adoption->strays, &key, entry->hash, worker->id);
	}
	return true;
}

/* --- how it goes on ----------------------------------------------------------------------------------------------- */

/* The way to the peer as it is now. */
static void
find_way(struct worker *worker, struct flow_leg *leg)
{
	struct ip_addr via;
	uint8_t port;

	leg->hop = 0;
	if (!net_route_find(worker->net, &leg->peer, &port, &via))
		return;
	leg->hop = neighbour_hop(worker, port, &via);
	uint16_t headers =
		(uint16_t)(TCP_HEADER_LENGTH + (ip_addr_is_v4(&leg->peer) ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH));
	uint16_t mss = (uint16_t)(worker->net->ports[port].mtu - headers);
	if (mss < leg->mss)
		leg->mss = mss;
}

/* The record, in this process's terms. */
static void
take_over(const struct adopter *adopter, struct flow *flow, const struct flow *record)
{
	const struct flow_adopt_names *names = adopter->names;

	memcpy(flow->leg, record->leg, sizeof(flow->leg));
	flow->attempts = record->attempts;
	flow->idle_ticks = record->idle_ticks;
	flow->endpoint = names->slot(names->context, 'e', record->endpoint);
	flow->service = names->slot(names->context, 'b', record->service);
	flow->listener = names->slot(names->context, 'l', record->listener);
	flow->opened_s = record->opened_s;
	flow->opened_ms = record->opened_ms;
	flow->hello_length = record->hello_length;
	for (unsigned i = 0; i < LEG_COUNT; i++) {
		struct flow_leg *leg = &flow->leg[i];
		leg->local_addr = adopter->local[leg->local_addr];
		leg->flags &= (uint8_t) ~(LEG_HASHED | LEG_HELD);
		/* What had passed and wasn't counted yet is counted by us. */
		flow->counted[i] = record->counted[i] <= leg->bytes ? record->counted[i] : leg->bytes;
	}
}

/* A RST of that number to the peer of a leg, as it stood in the record, later on. */
static void
say_farewell(const struct adopter *adopter, struct worker *worker, const struct flow_leg *leg, uint32_t seq)
{
	if ((worker->n_farewells & (worker->n_farewells - 1)) == 0) {
		size_t room = worker->n_farewells == 0 ? 1 : 2ul * worker->n_farewells;
		worker->farewells = realloc(worker->farewells, room * sizeof(*worker->farewells));
		if (worker->farewells == NULL)
			abort();
	}
	struct flow_leg *farewell = &worker->farewells[worker->n_farewells++];
	*farewell = *leg;
	farewell->ack = seq;
	farewell->local_addr = adopter->local[leg->local_addr];
	find_way(worker, farewell);
	worker->farewell_ms = worker->now_ms + ADOPT_FAREWELL_MS;
}

static struct worker *
owner(const struct adopter *adopter, uint16_t local_port)
{
	return adopter->workers[local_port_owner(local_port, adopter->n_workers)];
}

static void
damaged(struct adopter *adopter)
{
	adopter->adoption->damaged++;
	worker_count(adopter->workers[0], REASON_ADOPT_DAMAGED);
}

/* What the peer of a leg expects is what it last acknowledged, or it has got since what was on its way then: as a rule
 * all that was passed on. It obeys a RST of exactly that number alone (RFC 5961 section 3.2), so both are said. The
 * last one that is noted is said first: who obeys it hears nothing of the other, and who doesn't sees one that is old.
 */
static void
say_farewells(const struct adopter *adopter, struct worker *worker, const struct flow *record, unsigned leg)
{
	const struct flow_leg *to = &record->leg[leg], *from = &record->leg[leg_other(leg)];
	uint32_t passed_on = record->state == FLOW_BRIDGED ? to->edge : from->seq_end + from->seq_delta;

	if ((record->state == FLOW_SPLICED || record->state == FLOW_BRIDGED) && passed_on != to->ack)
		say_farewell(adopter, worker, to, passed_on);
	say_farewell(adopter, worker, to, to->ack);
}

/* Bytes that a side was told have arrived are gone, or all that a connection was: legs 0..n hear of it. */
static void
lose(const struct adopter *adopter, struct worker *worker, const struct flow *record, unsigned n,
     enum flow_event_kind kind, enum reason reason)
{
	struct flow copy = {0};

	for (unsigned i = 0; i < n; i++)
		say_farewells(adopter, worker, record, i);
	take_over(adopter, &copy, record);
	worker_count(worker, reason);
	flow_send_event(worker, &copy, kind, reason, NULL);
}

/* PEEKING or CONNECTING: of no use but to tell the client, if that is needed. The endpoint's leg may be anything. */
static void
adopt_early(struct adopter *adopter, const struct flow *record)
{
	const struct flow_leg *client = &record->leg[LEG_CLIENT];
	struct flow alone = {.leg[LEG_CLIENT] = *client, .opened_s = record->opened_s, .opened_ms = record->opened_ms};

	if (record->owes == 0) {
		adopter->adoption->forgotten++;
	} else if (!leg_is_sane(adopter, client)) {
		damaged(adopter);
	} else if (adopter->local[client->local_addr] == NET_ADDRESS_NONE) {
		adopter->adoption->address++;
		worker_count(adopter->workers[0], REASON_ADOPT_ADDRESS);
	} else {
		alone.listener = record->listener;
		adopter->adoption->held++;
		lose(adopter, adopter->workers[0], &alone, 1, FLOW_REFUSED, REASON_ADOPT_HELD);
	}
}

/* What a bridge was is gone. Its endpoint may not have been dialled; then that leg may be anything. */
static void
adopt_bridged(struct adopter *adopter, const struct flow *record)
{
	const struct flow_leg *client = &record->leg[LEG_CLIENT], *endpoint = &record->leg[LEG_ENDPOINT];
	bool dialled = (endpoint->flags & LEG_HASHED) != 0;
	struct flow copy = *record;

	if (!leg_is_sane(adopter, client) || record->opened_ms >= 1000 ||
	    (dialled && !leg_is_sane(adopter, endpoint))) {
		damaged(adopter);
	} else if (adopter->local[client->local_addr] == NET_ADDRESS_NONE ||
		   (dialled && adopter->local[endpoint->local_addr] == NET_ADDRESS_NONE)) {
		adopter->adoption->address++;
		worker_count(adopter->workers[0], REASON_ADOPT_ADDRESS);
	} else {
		if (!dialled) {
			copy.leg[LEG_ENDPOINT] = (struct flow_leg){0};
			copy.endpoint = copy.service = 0;
		}
		adopter->adoption->bridged++;
		lose(adopter, adopter->workers[0], &copy, dialled ? LEG_COUNT : 1,
		     record->owes != 0 ? FLOW_REFUSED : FLOW_ENDED, REASON_ADOPT_BRIDGED);
	}
}

/* Whether the process died before it could say that the flow is over. */
static bool
was_ending(const struct flow *record)
{
	return record->reason != REASON_NONE ||
	       (record->leg[LEG_CLIENT].flags & record->leg[LEG_ENDPOINT].flags & LEG_FIN_ACKED) != 0;
}

static void
start(struct worker *worker, uint32_t index, const struct flow *record)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	uint8_t reason =
		record->reason == REASON_NONE || record->reason >= REASON_COUNT ? REASON_CLOSED : record->reason;

	flow_set_state(worker, flow, (enum flow_state)record->state);
	if (record->state == FLOW_CLOSING) {
		flow->reason = reason;
		timer_wheel_start(&worker->wheel, &worker->flows, index,
				  worker->clock_ms + worker->conf->flow.close_linger_ms);
		return;
	}
	flow_count_attempt(worker, flow);
	if (was_ending(record))
		flow_finish(worker, index, (enum reason)reason);
	else
		flow_idle_resume(worker, index);
}

/* The flow that it has become; NULL when there is no room. */
static const struct flow *
insert(struct adopter *adopter, struct worker *worker, const struct flow *record)
{
	uint32_t index = flow_table_alloc(&worker->flows);

	if (index == FLOW_NONE)
		return NULL;
	struct flow *flow = flow_table_get(&worker->flows, index);
	take_over(adopter, flow, record);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		find_way(worker, &flow->leg[leg]);
	if (!leg_insert(adopter, worker, index, LEG_CLIENT) || !leg_insert(adopter, worker, index, LEG_ENDPOINT)) {
		flow_table_remove(&worker->flows, index, LEG_CLIENT);
		flow_table_release(&worker->flows, index);
		return NULL;
	}
	start(worker, index, record);
	return flow;
}

static bool
is_taken_leg(const struct adopter *adopter, const struct worker *worker, const struct flow_leg *leg)
{
	struct flow_key key = flow_leg_key(leg);

	key.local_addr = adopter->local[leg->local_addr];
	return is_taken(adopter, worker, &key) || net_address_find(worker->net, &leg->peer) != NET_ADDRESS_NONE;
}

static void
adopt_splice(struct adopter *adopter, const struct flow *record)
{
	struct flow_adoption *adoption = adopter->adoption;
	const struct flow_leg *client = &record->leg[LEG_CLIENT], *endpoint = &record->leg[LEG_ENDPOINT];

	if (!splice_is_sane(adopter, record)) {
		damaged(adopter);
		return;
	}
	struct worker *worker = owner(adopter, endpoint->local_port);
	if (adopter->local[client->local_addr] == NET_ADDRESS_NONE ||
	    adopter->local[endpoint->local_addr] == NET_ADDRESS_NONE) {
		adoption->address++;
		worker_count(worker, REASON_ADOPT_ADDRESS);
	} else if (record->state == FLOW_SPLICED && (endpoint->flags & LEG_HELD) != 0 && !was_ending(record)) {
		adoption->held++;
		lose(adopter, worker, record, LEG_COUNT, FLOW_ENDED, REASON_ADOPT_HELD);
	} else if (is_taken_leg(adopter, worker, client) || is_taken_leg(adopter, worker, endpoint)) {
		damaged(adopter);
	} else {
		const struct flow *flow = insert(adopter, worker, record);
		if (flow == NULL) {
			adoption->full++;
			worker_count(worker, REASON_ADOPT_FULL);
		} else if (flow->state == FLOW_SPLICED) {
			adoption->spliced++;
		} else {
			adoption->closing++;
		}
	}
}

static void
adopt_record(struct adopter *adopter, const struct flow *record)
{
	if (record->state == FLOW_FREE)
		return;
	adopter->adoption->found++;
	if ((record->generation & 1) == 0) {
		damaged(adopter);
		return;
	}
	switch (record->state) {
	case FLOW_PEEKING:
	case FLOW_CONNECTING:
		adopt_early(adopter, record);
		return;
	case FLOW_BRIDGED:
		adopt_bridged(adopter, record);
		return;
	case FLOW_SPLICED:
	case FLOW_CLOSING:
		if (flow_is_bridged(record))
			adopter->adoption->forgotten++;
		else
			adopt_splice(adopter, record);
		return;
	case FLOW_PROBING:
		adopter->adoption->forgotten++;
		return;
	default:
		damaged(adopter);
		return;
	}
}

/* Asks for the memory that a record will need. What it says isn't checked yet. */
static void
look_ahead(const struct adopter *adopter, const struct flow *record)
{
	const struct worker *worker = owner(adopter, record->leg[LEG_ENDPOINT].local_port);

	for (unsigned leg = 0; leg < LEG_COUNT && record->state != FLOW_FREE; leg++) {
		struct flow_key key = flow_leg_key(&record->leg[leg]);
		key.local_addr = key.local_addr < adopter->source->n_addresses ? adopter->local[key.local_addr] : 0;
		flow_table_prefetch(&worker->flows, flow_table_hash(&worker->flows, &key));
	}
}

static bool
clients_are_spread(const struct worker *worker)
{
	for (unsigned i = 0; i < worker->net->n_devices; i++)
		if (worker->net->devices[i]->rx_queues >= worker->n_workers)
			return true;
	return false;
}

void
flow_adopt(struct flow_adoption *adoption, const struct flow_adopt_source *source, struct worker *const *workers,
	   const struct flow_adopt_names *names, uint64_t now_ms)
{
	struct adopter adopter = {.adoption = adoption,
				  .workers = workers,
				  .n_workers = workers[0]->n_workers,
				  .names = names,
				  .source = source,
				  .clients_are_spread = clients_are_spread(workers[0])};

	*adoption = (struct flow_adoption){0};
	for (unsigned i = 0; i < source->n_addresses; i++)
		adopter.local[i] = net_address_find(workers[0]->net, &source->addresses[i]);
	for (unsigned i = 0; i < adopter.n_workers; i++) {
		workers[i]->now_ms = now_ms;
		workers[i]->clock_ms = (uint32_t)now_ms;
		workers[i]->strays = &adoption->strays;
	}
	for (unsigned i = 0; i < source->n_tables; i++) {
		const struct flow_table *table = &source->tables[i];
		uint32_t touched = flow_table_touched(table);
		if (touched > table->capacity)
			touched = table->capacity;
		for (uint32_t index = 1; index <= touched; index++) {
			if (touched - index >= LOOK_AHEAD)
				look_ahead(&adopter, flow_table_get(table, index + LOOK_AHEAD));
			adopt_record(&adopter, flow_table_get(table, index));
		}
	}
}

void
flow_adopt_ask(struct worker *const *workers)
{
	for (unsigned i = 0; i < workers[0]->n_workers; i++) {
		neighbour_ask_all(workers[i], ADOPT_ASK_MAX);
		worker_flush(workers[i]);
	}
}

void
flow_adopt_farewell(struct worker *worker)
{
	if (worker->now_ms < worker->farewell_ms)
		return;
	for (unsigned i = 0; i < ADOPT_FAREWELL_BURST && worker->n_farewells != 0; i++) {
		struct flow_leg *leg = &worker->farewells[--worker->n_farewells];
		emit_reset_peer(worker, leg, leg->ack, leg->seq_end);
	}
}

void
flow_adopt_free(struct flow_adoption *adoption, struct worker *const *workers, unsigned n_workers)
{
	for (unsigned i = 0; i < n_workers; i++) {
		if (workers[i] == NULL)
			continue;
		free(workers[i]->farewells);
		workers[i]->farewells = NULL;
		workers[i]->n_farewells = 0;
		workers[i]->strays = NULL;
	}
	flow_strays_free(&adoption->strays);
}
