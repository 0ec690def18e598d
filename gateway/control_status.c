/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that tell of the box as a whole, and those that steer it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/control_answer.h"
#include "platform/clock.h"

enum { NEIGHBOURS_SHOWN = 256 };

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static uint64_t
since(uint64_t now_ms, uint64_t then_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0; /* the wall clock may have been set back */
}

static json_t *
federation_json(const struct box *box, uint64_t wall_ms)
{
	const struct snapshot *snapshot = decide_snapshot(box->decide);
	const struct box_reload *reload = &box->reload;
	json_t *json = json_object();

	json_object_set_new(json, "file", json_string(box->conf->federation_path));
	json_object_set_new(json, "generation", control_json_u64(reload->generation));
	json_object_set_new(json, "applied", control_json_time(reload->applied_wall_ms));
	json_object_set_new(json, "applied_age_ms", control_json_u64(since(wall_ms, reload->applied_wall_ms)));
	json_object_set_new(json, "reload_failures", control_json_u64(reload->failures));
	json_object_set_new(json, "last_reload_failed", json_boolean(reload->last_failed));
	json_object_set_new(json, "diagnostics", control_json_text(reload->last_errors.bytes));
	if (snapshot == NULL)
		return json;
	json_object_set_new(json, "name", control_json_name(snapshot->name));
	json_object_set_new(json, "trust_domain", control_json_name(snapshot->trust_domain));
	json_object_set_new(json, "cluster", control_json_name(snapshot->cluster_id));
	json_object_set_new(json, "network", control_json_name(snapshot->network));
	json_object_set_new(json, "locality", control_json_name(snapshot->locality));
	json_object_set_new(json, "listeners", json_integer(snapshot->n_listeners));
	json_object_set_new(json, "services", json_integer(snapshot->n_services));
	json_object_set_new(json, "endpoints", json_integer(snapshot->n_endpoints));
	json_object_set_new(json, "bytes", control_json_u64(snapshot->bytes));
	return json;
}

static json_t *
workers_json(const struct control_context *context)
{
	const struct box *box = context->box;
	uint64_t now_ms = clock_ms();
	json_t *list = json_array();

	for (unsigned i = 0; i < box->n_workers; i++) {
		const struct worker_stats *stats = box->stats[i];
		uint32_t flows = 0;
		for (unsigned state = FLOW_FREE + 1; state < FLOW_STATES; state++)
			flows += LOAD(stats->states[state]);
		json_t *json = json_object();
		json_object_set_new(json, "worker", json_integer(i));
		json_object_set_new(json, "core", json_integer(box->conf->worker_cores[i]));
		json_object_set_new(json, "busy", json_real(control_rates_busy(&context->rates, box, i)));
		json_object_set_new(json, "flows", json_integer(flows));
		json_object_set_new(json, "neighbours", json_integer(LOAD(stats->neighbours)));
		json_object_set_new(json, "holds", json_integer(LOAD(stats->holds)));
		json_object_set_new(json, "spliced_packets", control_json_u64(LOAD(stats->spliced_packets)));
		json_object_set_new(json, "handed_over", control_json_u64(LOAD(stats->handed_over)));
		json_object_set_new(json, "loops", control_json_u64(LOAD(stats->loops)));
		json_object_set_new(json, "sleeps", control_json_u64(LOAD(stats->sleeps)));
		json_object_set_new(json, "heartbeat_age_ms",
				    control_json_u64(since(now_ms, LOAD(stats->heartbeat_ms))));
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *
flows_json(const struct box *box)
{
	json_t *json = json_object();

	for (unsigned state = FLOW_FREE + 1; state < FLOW_STATES; state++)
		json_object_set_new(json, flow_state_text(state), json_integer(box_flows_in(box, state)));
	return json;
}

/* What came of the flows of the process before; null when it left none. */
static json_t *
adoption_json(const struct box *box)
{
	const struct flow_adoption *adoption = &box->adoption;
	const struct {
		const char *name;
		uint64_t value;
	} members[] = {
		{"found", adoption->found},
		{"spliced", adoption->spliced},
		{"closing", adoption->closing},
		{"forgotten", adoption->forgotten},
		{reason_text(REASON_ADOPT_HELD), adoption->held},
		{reason_text(REASON_ADOPT_BRIDGED), adoption->bridged},
		{reason_text(REASON_ADOPT_DAMAGED), adoption->damaged},
		{reason_text(REASON_ADOPT_ADDRESS), adoption->address},
		{reason_text(REASON_ADOPT_FULL), adoption->full},
		{"microseconds", box->adoption_us},
	};

	if (adoption->found == 0)
		return json_null();
	json_t *json = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		json_object_set_new(json, members[i].name, control_json_u64(members[i].value));
	return json;
}

static json_t *
occupancy(uint64_t used, uint64_t capacity)
{
	json_t *json = json_object();

	json_object_set_new(json, "used", control_json_u64(used));
	json_object_set_new(json, "capacity", control_json_u64(capacity));
	return json;
}

static json_t *
tables_json(const struct box *box)
{
	uint64_t flows = 0, holds = 0, bridges = 0, neighbours = 0;
	uint64_t flows_max = 0, holds_max = 0, bridges_max = 0, neighbours_max = 0;
	json_t *json = json_object();

	for (unsigned i = 0; i < box->n_workers; i++) {
		const struct worker_stats *stats = box->stats[i];
		for (unsigned state = FLOW_FREE + 1; state < FLOW_STATES; state++)
			flows += LOAD(stats->states[state]);
		holds += LOAD(stats->holds);
		bridges += LOAD(stats->bridges);
		neighbours += LOAD(stats->neighbours);
		flows_max += box->workers[i]->flows.capacity;
		holds_max += box->workers[i]->holds.n_holds;
		bridges_max += box->workers[i]->bridges.capacity;
		neighbours_max += box->workers[i]->neighbours.capacity;
	}
	json_object_set_new(json, "flows", occupancy(flows, flows_max));
	json_object_set_new(json, "holds", occupancy(holds, holds_max));
	json_object_set_new(json, "bridges", occupancy(bridges, bridges_max));
	json_object_set_new(json, "neighbours", occupancy(neighbours, neighbours_max));
	json_object_set_new(json, "live_slots", occupancy(live_used(box->live), LIVE_SLOTS_MAX - 1));
	return json;
}

static uint64_t
sum_over_workers(const struct box *box, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < box->n_workers; i++)
		sum += __atomic_load_n((const uint64_t *)(const void *)((const char *)box->stats[i] + offset),
				       __ATOMIC_RELAXED);
	return sum;
}

#define SUM(box, field) sum_over_workers(box, offsetof(struct worker_stats, field))

static json_t *
mac_json(const uint8_t mac[6])
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return json_string(text);
}

/* What is sent is counted by device: a port that shares its device with others (VLANs) has null there. */
static bool
has_device_alone(const struct net *net, uint8_t port)
{
	for (uint8_t i = 0; i < net->n_ports; i++)
		if (i != port && net->ports[i].device == net->ports[port].device)
			return false;
	return true;
}

static json_t *
addresses_json(const struct net *net, uint8_t port)
{
	char text[IP_PREFIX_TEXT_MAX];
	json_t *list = json_array();

	for (uint16_t i = 0; i < net->n_addresses; i++) {
		struct ip_prefix prefix = {net->addresses[i].addr, net->addresses[i].length};
		if (net->addresses[i].port == port)
			json_array_append_new(list, json_string(ip_prefix_format(&prefix, text)));
	}
	return list;
}

static json_t *
ports_json(const struct box *box)
{
	const struct net *net = &box->net;
	json_t *list = json_array();

	for (uint8_t i = 0; i < net->n_ports; i++) {
		const struct net_port *port = &net->ports[i];
		bool alone = has_device_alone(net, i);
		json_t *json = json_object();
		json_object_set_new(json, "port", json_string(port->conf->name));
		json_object_set_new(json, "device", json_string(port->conf->device));
		json_object_set_new(json, "vlan", port->vlan == 0 ? json_null() : json_integer(port->vlan));
		json_object_set_new(json, "mtu", json_integer(port->mtu));
		json_object_set_new(json, "mac", mac_json(port->mac));
		json_object_set_new(json, "addresses", addresses_json(net, i));
		json_object_set_new(json, "rx_packets", control_json_u64(SUM(box, rx_packets[i])));
		json_object_set_new(json, "rx_bytes", control_json_u64(SUM(box, rx_bytes[i])));
		json_object_set_new(json, "tx_packets",
				    alone ? control_json_u64(SUM(box, tx_packets[port->device])) : json_null());
		json_object_set_new(json, "tx_bytes",
				    alone ? control_json_u64(SUM(box, tx_bytes[port->device])) : json_null());
		json_array_append_new(list, json);
	}
	return list;
}

/* Reads an entry that its worker may be changing: false when it is no longer what it was, or never was in use. */
static bool
neighbour_read(const struct neighbour *entry, struct neighbour *copy)
{
	uint16_t generation = __atomic_load_n(&entry->generation, __ATOMIC_ACQUIRE);

	memcpy(copy, entry, sizeof(*copy));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return copy->state != NEIGHBOUR_FREE && copy->state <= NEIGHBOUR_FAILED && copy->port < CONF_PORTS_MAX &&
	       LOAD(entry->generation) == generation;
}

static json_t *
neighbour_json(const struct net *net, unsigned worker, const struct neighbour *entry)
{
	json_t *json = json_object();
	bool known = neighbour_is_known(entry);

	json_object_set_new(json, "worker", json_integer(worker));
	json_object_set_new(json, "port", json_string(net->ports[entry->port].conf->name));
	json_object_set_new(json, "address", control_json_addr(&entry->addr));
	json_object_set_new(json, "mac", known ? mac_json(entry->header) : json_null());
	json_object_set_new(json, "state", json_string(neighbour_state_text(entry->state)));
	return json;
}

static json_t *
neighbours_json(const struct box *box)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < box->n_workers; i++) {
		const struct neighbour_table *table = &box->workers[i]->neighbours;
		uint16_t touched = LOAD(table->touched);
		for (unsigned j = 1; j <= touched && json_array_size(list) < NEIGHBOURS_SHOWN; j++) {
			struct neighbour copy;
			if (j <= table->capacity && neighbour_read(&table->entries[j], &copy) &&
			    copy.port < box->net.n_ports)
				json_array_append_new(list, neighbour_json(&box->net, i, &copy));
		}
	}
	return list;
}

static json_t *
upgrade_json(const struct box *box)
{
	if (box->upgraded_from == NULL || box->upgraded_from[0] == '\0')
		return json_null();
	json_t *json = json_object();
	json_object_set_new(json, "from", json_string(box->upgraded_from));
	json_object_set_new(json, "stalled_us", control_json_u64(box->stalled_us));
	return json;
}

struct control_answer *
control_status(struct control_context *context, const json_t *arguments, struct text *error)
{
	const struct box *box = context->box;
	uint64_t wall_ms = clock_wall_ms();
	json_t *json = json_object();

	(void)arguments;
	(void)error;
	json_object_set_new(json, "version", json_string(POSTERN_VERSION));
	json_object_set_new(json, "state",
			    json_string(!box->running   ? "stopped"
					: box->draining ? "draining"
							: "running"));
	json_object_set_new(json, "healthy", json_boolean(box_is_alive(box)));
	json_object_set_new(json, "started", control_json_time(box->started_wall_ms));
	json_object_set_new(json, "uptime_ms", control_json_u64(since(wall_ms, box->started_wall_ms)));
	json_object_set_new(json, "pid", json_integer(getpid()));
	json_object_set_new(json, "upgrade", upgrade_json(box));
	json_object_set_new(json, "upgrade_failures", json_integer(box->upgrade_failures));
	json_object_set_new(json, "conf", json_string(box->conf->path));
	json_object_set_new(json, "federation", federation_json(box, wall_ms));
	json_object_set_new(json, "workers", workers_json(context));
	json_object_set_new(json, "flows", flows_json(box));
	json_object_set_new(json, "adoption", adoption_json(box));
	json_object_set_new(json, "tables", tables_json(box));
	json_object_set_new(json, "bridging", control_bridging_json(box));
	json_object_set_new(json, "ports", ports_json(box));
	json_object_set_new(json, "neighbours", neighbours_json(box));
	return control_document(json);
}

struct drops {
	struct control_list list;
	unsigned next;
	bool all;
	uint64_t now_ms;
};

static const char *class_text(enum reason_class class)
{
	static const char *const texts[] = {
		[REASON_PACKET] = "packet", [REASON_REFUSAL] = "refusal", [REASON_END] = "end"};
	return texts[class];
}

static bool
drops_step(struct control_list *list, json_t **record)
{
	struct drops *drops = (struct drops *)list;
	const struct box *box = list->context->box;

	if (drops->next == REASON_COUNT)
		return false;
	enum reason reason = drops->next++;
	uint64_t count = box_reason_count(box, reason);
	*record = NULL;
	if (count == 0 && !drops->all)
		return true;
	json_t *json = json_object();
	json_object_set_new(json, "reason", json_string(reason_text(reason)));
	json_object_set_new(json, "class", json_string(class_text(reason_class(reason))));
	json_object_set_new(json, "count", control_json_u64(count));
	json_object_set_new(json, "per_second",
			    json_real(control_rates_reason(&list->context->rates, box, reason, drops->now_ms)));
	json_object_set_new(json, "meaning", json_string(reason_meaning(reason)));
	*record = json;
	return true;
}

static void
drops_end(struct control_answer *answer)
{
	free(answer);
}

struct control_answer *
control_drops(struct control_context *context, const json_t *arguments, struct text *error)
{
	bool all = false;

	if (!control_argument_bool(arguments, "all", &all, error))
		return NULL;
	struct drops *drops = calloc(1, sizeof(*drops));
	if (drops == NULL)
		abort();
	drops->all = all;
	drops->next = REASON_NONE + 1;
	drops->now_ms = clock_ms();
	control_list_init(&drops->list, context, "drops", 0, false);
	drops->list.step = drops_step;
	drops->list.answer.end = drops_end;
	return &drops->list.answer;
}

struct control_answer *
control_metrics(struct control_context *context, const json_t *arguments, struct text *error)
{
	struct text page = {0};
	json_t *json = json_object();

	(void)arguments;
	(void)error;
	metrics_render(context->metrics, false, &page);
	json_object_set_new(json, "metrics", json_string(page.bytes == NULL ? "" : page.bytes));
	text_free(&page);
	return control_document(json);
}

struct control_answer *
control_reload(struct control_context *context, const json_t *arguments, struct text *error)
{
	const struct box *box = context->box;
	json_t *json = json_object();
	bool applied = context->callbacks.reload(context->callbacks.context);

	(void)arguments;
	(void)error;
	if (!applied)
		json_object_set_new(json, "error", json_string("the federation isn't valid; nothing has changed"));
	json_object_set_new(json, "generation", control_json_u64(box->reload.generation));
	json_object_set_new(json, "diagnostics", control_json_text(box->reload.last_errors.bytes));
	const struct snapshot *snapshot = decide_snapshot(box->decide);
	if (applied && snapshot != NULL) {
		json_object_set_new(json, "listeners", json_integer(snapshot->n_listeners));
		json_object_set_new(json, "services", json_integer(snapshot->n_services));
		json_object_set_new(json, "endpoints", json_integer(snapshot->n_endpoints));
	}
	return control_document(json);
}

struct control_answer *
control_drain(struct control_context *context, const json_t *arguments, struct text *error)
{
	const struct box *box = context->box;
	bool undo = false;

	if (!control_argument_bool(arguments, "undo", &undo, error))
		return NULL;
	context->callbacks.drain(context->callbacks.context, !undo);
	json_t *json = json_object();
	json_object_set_new(json, "draining", json_boolean(!undo));
	json_object_set_new(json, "flows",
			    json_integer((json_int_t)box_flows_in(box, FLOW_PEEKING) +
					 box_flows_in(box, FLOW_CONNECTING) + box_flows_in(box, FLOW_SPLICED) +
					 box_flows_in(box, FLOW_BRIDGED)));
	return control_document(json);
}

struct control_answer *
control_upgrade(struct control_context *context, const json_t *arguments, struct text *error)
{
	const char *program = NULL;

	if (!control_argument_text(arguments, "binary", &program, error) ||
	    !context->callbacks.upgrade(context->callbacks.context, program, error))
		return NULL;
	json_t *json = json_object();
	json_object_set_new(json, "pid", json_integer(getpid()));
	json_object_set_new(json, "version", json_string(POSTERN_VERSION));
	json_object_set_new(json, "started", control_json_time(context->box->started_wall_ms));
	json_object_set_new(json, "upgrade_failures", json_integer(context->box->upgrade_failures));
	return control_document(json);
}
