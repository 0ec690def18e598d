/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/box.h"

#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <sys/random.h>

#include "dataplane/arp.h"
#include "dataplane/nd.h"
#include "dataplane/port.h"
#include "dataplane/probe.h"
#include "gateway/live_names.h"
#include "platform/clock.h"
#include "platform/log.h"

enum { ALIVE_MS = 5000 };

static struct rte_ring *
make_ring(const char *name, unsigned id, unsigned element_size, unsigned count, unsigned flags, struct text *error)
{
	char full[RTE_RING_NAMESIZE];
	snprintf(full, sizeof(full), "%s-%u", name, id);
	struct rte_ring *ring = rte_ring_create_elem(full, element_size, count, SOCKET_ID_ANY, flags);
	if (ring == NULL)
		text_print(error, "no memory for a ring of %u: %s; raise memory.megabytes", count,
			   rte_strerror(rte_errno));
	return ring;
}

static bool
open_devices(struct box *box, struct text *error)
{
	struct conf_device devices[CONF_PORTS_MAX];
	struct device *by_port[CONF_PORTS_MAX] = {NULL}, *taps[CONF_PORTS_MAX] = {NULL};
	uint8_t n = conf_devices(box->conf, devices);

	for (uint8_t i = 0; i < n; i++) {
		struct device *device = &box->devices[box->n_devices];
		if (!port_open(box->conf, devices[i].ports[0], box->n_workers, box->eal.packets, device, error))
			return false;
		box->n_devices++;
		for (uint8_t j = 0; j < devices[i].n_ports; j++)
			by_port[devices[i].ports[j]] = device;
	}
	for (uint8_t i = 0; i < box->conf->n_ports; i++) {
		if (!box->conf->ports[i].tap)
			continue;
		struct device *tap = &box->devices[box->n_devices];
		if (!port_open_tap(box->conf, i, by_port[i], box->eal.packets, tap, error))
			return false;
		box->n_devices++;
		taps[i] = tap;
	}
	net_init(&box->net, box->conf, by_port, taps);
	return true;
}

static bool
open_worker(struct box *box, uint16_t id, struct text *error)
{
	const struct conf *conf = box->conf;
	const struct flow_map_secrets *secrets = &box->map.header->secrets;
	struct worker *worker = calloc(1, sizeof(*worker));
	struct worker_stats *stats = calloc(1, sizeof(*stats));
	box->workers[id] = worker;
	box->stats[id] = stats;
	if (worker == NULL || stats == NULL) {
		text_print(error, "no memory for worker %u", id);
		return false;
	}
	uint64_t now_ms = clock_ms();
	*worker = (struct worker){
		.id = id,
		.n_workers = box->n_workers,
		.net = &box->net,
		.conf = conf,
		.hooks = &box->hooks,
		.pool = box->eal.packets,
		.now_ms = now_ms,
		.clock_ms = (uint32_t)now_ms,
		.wall_offset_ms = clock_wall_ms() - now_ms,
		.stats = stats,
		.live = live_counters(box->live, id),
		.cookie_secret = {secrets->cookie[0], secrets->cookie[1]},
		.isn_secret = {secrets->isn[0], secrets->isn[1]},
		.rst_allowance = conf->flow.rst_per_second,
		.inboxes = box->inboxes,
		.events = conf->log.access ? box->events : NULL,
	};
	stats->heartbeat_ms = now_ms;
	/* Where ports begin must not be what it was: those of just now are in use, or in an endpoint's TIME-WAIT. */
	if (getrandom(worker->random_state, sizeof(worker->random_state), 0) != sizeof(worker->random_state) ||
	    getrandom(worker->port_secret, sizeof(worker->port_secret), 0) != sizeof(worker->port_secret)) {
		text_print(error, "the kernel gives no random bytes");
		return false;
	}
	worker->random_state[0] |= 1; /* all zero would stay so */
	flow_table_init(&worker->flows, flow_map_table(box->map.header, id), box->map.header->capacity, secrets->hash);
	timer_wheel_init(&worker->wheel, worker->clock_ms);
	uint32_t holds = conf->tables.holds / box->n_workers, bridges = conf->tables.bridges / box->n_workers;
	if (!hold_pool_init(&worker->holds, holds < 64 ? 64 : holds) ||
	    !bridge_pool_init(&worker->bridges, bridges < 64 ? 64 : bridges) ||
	    !neighbour_table_init(&worker->neighbours, (uint16_t)conf->tables.neighbours)) {
		text_print(error, "no memory for the tables of worker %u", id);
		return false;
	}
	box->probes[id] =
		make_ring("probes", id, sizeof(struct probe_request), BOX_PROBES, RING_F_SP_ENQ | RING_F_SC_DEQ, error);
	if (box->probes[id] == NULL)
		return false;
	worker->probes = box->probes[id];
	if (box->n_workers > 1) {
		box->inboxes[id] = make_ring("inbox", id, sizeof(void *), BOX_INBOX, RING_F_SC_DEQ, error);
		if (box->inboxes[id] == NULL)
			return false;
		worker->inbox = box->inboxes[id];
	}
	return worker_run_init(&box->runs[id], worker, box->qsbr, box->runs, error);
}

/* Flow records and the names of live slots: the mapping for this process, and what the one before left. */
static bool
open_state(struct box *box, struct text *error)
{
	const char *directory = box->conf->state_directory;
	struct flow_map_shape shape = {.n_workers = box->n_workers, .n_addresses = box->net.n_addresses};
	struct text refused = {0};

	shape.capacity = (box->conf->tables.flows + box->n_workers - 1) / box->n_workers;
	for (unsigned i = 0; i < shape.n_addresses; i++)
		shape.addresses[i] = box->net.addresses[i].addr;
	if (!flow_map_boot_id(shape.boot_id, error) || !flow_map_open(&box->map, &shape, &refused, error)) {
		text_free(&refused);
		return false;
	}
	if (refused.length != 0)
		log_warn("gateway", "flows not adopted", LOG_STR("detail", refused.bytes));
	text_free(&refused);

	const struct flow_map_header *before = box->map.before;
	box->knows_slots = live_names_load(box->live, directory, before == NULL ? NULL : before->lineage, &refused);
	if (refused.length != 0)
		log_warn("gateway", "names of endpoints not adopted", LOG_STR("detail", refused.bytes));
	text_free(&refused);
	return true;
}

/* Lets the next process know. Without it flows are adopted all the same, but nobody knows any more what they were. */
static void
save_names(struct box *box)
{
	struct text error = {0};

	if (!live_changed(box->live))
		return;
	if (!live_names_save(box->live, box->conf->state_directory, box->map.header->lineage, &error))
		log_error("gateway", "names of endpoints not saved", LOG_STR("detail", error.bytes));
	text_free(&error);
}

static void
wake_worker(void *context, unsigned worker)
{
	struct box *box = context;

	worker_run_wake(&box->runs[worker]);
}

bool
box_open(struct box *box, const struct conf *conf, const struct box_inheritance *inheritance, struct text *error)
{
	*box = (struct box){.conf = conf, .n_workers = conf->n_workers, .started_wall_ms = clock_wall_ms()};
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		box->runs[i].wake_fd = box->runs[i].epoll_fd = -1;

	interlude_inherit(&box->interlude, conf, inheritance->interlude);

	/* First of all: the process before may be using the devices, too. */
	if (!flow_map_lock(&box->map, conf->state_directory, BOX_LOCK_WAIT_MS, error) ||
	    !eal_start(conf, inheritance->packets_fd, &box->eal, error))
		return false;
	box->live = live_create(box->n_workers, LIVE_SLOTS_MAX);
	box->decide = box->live == NULL ? NULL : decide_create(box->live);
	box->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(WORKERS_MAX), RTE_CACHE_LINE_SIZE);
	if (box->decide == NULL || box->qsbr == NULL || !prober_init(&box->prober, box->live) ||
	    rte_rcu_qsbr_init(box->qsbr, WORKERS_MAX) != 0) {
		text_print(error, "no memory to start with");
		return false;
	}
	decide_hooks(box->decide, &box->hooks);
	sessions_hooks(&box->hooks);
	if (conf->log.access) {
		box->events = make_ring("events", 0, sizeof(struct flow_event), BOX_EVENTS, RING_F_SC_DEQ, error);
		if (box->events == NULL)
			return false;
	}
	if (!open_devices(box, error) || !open_state(box, error))
		return false;
	interlude_end(&box->interlude);
	bridging_open(&box->bridging, &(struct bridging_options){.conf = conf,
								 .net = &box->net,
								 .decide = box->decide,
								 .live = box->live,
								 .packets = box->eal.packets,
								 .n_workers = box->n_workers,
								 .wake = wake_worker,
								 .wake_context = box});
	for (uint16_t i = 0; i < box->n_workers; i++)
		if (!open_worker(box, i, error))
			return false;
	return true;
}

bool
box_reload(struct box *box)
{
	struct snapshot_slots slots = live_snapshot_slots(box->live);
	struct diagnostics diagnostics = {0};
	const char *path = box->conf->federation_path;
	struct snapshot *snapshot = federation_load(&path, 1, &slots, &diagnostics);

	text_free(&box->reload.last_errors);
	diagnostics_print(&diagnostics, &box->reload.last_errors);
	diagnostics_free(&diagnostics);
	struct key_set *keys = NULL;
	if (snapshot != NULL && !bridging_prepare(&box->bridging, snapshot, &keys, &box->reload.last_errors)) {
		snapshot_free(snapshot);
		snapshot = NULL;
	}
	box->reload.last_failed = snapshot == NULL;
	if (snapshot == NULL) {
		box->reload.failures++;
		return false;
	}
	save_names(box);
	snapshot->generation = ++box->reload.generation;
	box->reload.applied_wall_ms = clock_wall_ms();
	bridging_commit(&box->bridging, keys);
	struct decide_view *old = decide_install(box->decide, snapshot, keys);
	live_commit(box->live, snapshot);
	if (old != NULL && box->running)
		rte_rcu_qsbr_synchronize(box->qsbr, RTE_QSBR_THRID_INVALID);
	decide_view_free(old);
	decide_refresh_offers(box->decide);
	bridging_check(&box->bridging, keys);
	return true;
}

void
box_rekey(struct box *box)
{
	struct key_set *keys = bridging_poll(&box->bridging);

	if (keys == NULL)
		return;
	bridging_commit(&box->bridging, keys);
	struct key_set *old = decide_rekey(box->decide, keys);
	if (box->running)
		rte_rcu_qsbr_synchronize(box->qsbr, RTE_QSBR_THRID_INVALID);
	key_set_free(old);
	bridging_check(&box->bridging, keys);
	log_info("gateway", "certificates and keys were read again", LOG_STR("identity", keys->own_id));
}

static uint32_t
slot_before(void *context, char kind, uint32_t slot)
{
	const struct box *box = context;
	return box->knows_slots && live_kind(box->live, slot) == kind ? slot : 0;
}

static void
adopt(struct box *box)
{
	const struct flow_adopt_names names = {box, slot_before};
	struct flow_adopt_source source;
	struct flow_adoption *adoption = &box->adoption;
	uint64_t begin_us = clock_us();

	flow_adopt_source_init(&source, box->map.before);
	flow_adopt(adoption, &source, box->workers, &names, clock_ms());
	box->adoption_us = clock_us() - begin_us;
	uint32_t lost = adoption->held + adoption->bridged + adoption->damaged + adoption->address + adoption->full;
	log_write(lost == 0 ? LOG_INFO : LOG_WARN, "gateway", "flows adopted",
		  LOG_FIELDS(LOG_U64("found", adoption->found), LOG_U64("spliced", adoption->spliced),
			     LOG_U64("closing", adoption->closing), LOG_U64("forgotten", adoption->forgotten),
			     LOG_U64(reason_text(REASON_ADOPT_HELD), adoption->held),
			     LOG_U64(reason_text(REASON_ADOPT_BRIDGED), adoption->bridged),
			     LOG_U64(reason_text(REASON_ADOPT_DAMAGED), adoption->damaged),
			     LOG_U64(reason_text(REASON_ADOPT_ADDRESS), adoption->address),
			     LOG_U64(reason_text(REASON_ADOPT_FULL), adoption->full),
			     LOG_U64("microseconds", box->adoption_us)));
}

bool
box_resume(struct box *box, struct text *error)
{
	for (uint16_t i = 0; i < box->n_workers; i++) {
		box->workers[i]->stats->heartbeat_ms = clock_ms();
		atomic_store(&box->runs[i].stop, false);
		int result = rte_eal_remote_launch(worker_run, &box->runs[i], eal_worker_lcore(i));
		if (result != 0) {
			text_print(error, "worker %u doesn't start: %s", i, rte_strerror(-result));
			return false;
		}
		box->running = true;
	}
	return true;
}

bool
box_start(struct box *box, struct text *error)
{
	if (box->map.before != NULL)
		adopt(box);
	if (!flow_map_publish(&box->map, error))
		return false;
	flow_adopt_ask(box->workers);
	/* Neighbours that knew us with another MAC (a failed box, a changed NIC) learn better at once. */
	arp_announce(box->workers[0]);
	nd_announce(box->workers[0]);
	worker_flush(box->workers[0]);
	uint32_t frames = interlude_replay(&box->interlude, box->workers[0], box->devices, clock_ms());
	if (frames != 0)
		log_info("gateway", "took what came in meanwhile", LOG_U64("frames", frames));
	return box_resume(box, error);
}

void
box_tick(struct box *box)
{
	uint64_t now_ms = clock_ms();

	save_names(box); /* first: an offer never rests on what the next process wouldn't know */
	decide_refresh_offers(box->decide);
	prober_tick(&box->prober, decide_snapshot(box->decide), box->probes, box->n_workers, (uint32_t)(now_ms / 1000));
	live_sweep(box->live, now_ms);
	bridging_tick(&box->bridging);
	for (uint16_t i = 0; i < box->n_workers; i++)
		flow_pages_gather(&box->pages[i], &box->workers[i]->flows, BOX_HUGE_PAGES_A_TICK);
}

void
box_drain(struct box *box, bool draining)
{
	box->draining = draining;
	decide_drain(box->decide, draining);
}

void
box_stop(struct box *box, enum box_stop_how how)
{
	if (!box->running)
		return;
	/* Worker 0 last: it may have to send what the others say in the end. */
	for (uint16_t i = box->n_workers; i-- > 0;) {
		atomic_store(&box->runs[i].keeps, how == BOX_STOP_KEEP);
		atomic_store(&box->runs[i].stop, true);
		worker_run_wake(&box->runs[i]);
		rte_eal_wait_lcore(eal_worker_lcore(i));
	}
	box->running = false;
}

void
box_close(struct box *box)
{
	box_stop(box, BOX_STOP_RESET);
	flow_adopt_free(&box->adoption, box->workers, box->n_workers);
	bridging_close(&box->bridging);
	for (uint16_t i = 0; i < box->n_workers; i++) {
		worker_run_close(&box->runs[i]);
		if (box->workers[i] != NULL) {
			neighbour_table_free(&box->workers[i]->neighbours);
			hold_pool_free(&box->workers[i]->holds);
			bridge_pool_free(&box->workers[i]->bridges);
		}
		rte_ring_free(box->inboxes[i]);
		rte_ring_free(box->probes[i]);
		free(box->workers[i]);
		free(box->stats[i]);
	}
	for (uint8_t i = 0; i < box->n_devices; i++)
		port_close(&box->devices[i]);
	flow_map_close(&box->map);
	rte_ring_free(box->events);
	rte_free(box->qsbr);
	prober_free(&box->prober);
	if (box->decide != NULL)
		decide_free(box->decide);
	if (box->live != NULL)
		live_free(box->live);
	if (box->eal.packets != NULL)
		eal_stop(&box->eal);
	text_free(&box->reload.last_errors);
}

bool
box_is_alive(const struct box *box)
{
	uint64_t now_ms = clock_ms();

	for (uint16_t i = 0; i < box->n_workers; i++) {
		uint64_t beat = __atomic_load_n(&box->stats[i]->heartbeat_ms, __ATOMIC_RELAXED);
		if (now_ms > beat && now_ms - beat > ALIVE_MS)
			return false;
	}
	return box->running;
}

uint32_t
box_flows_in(const struct box *box, enum flow_state state)
{
	uint32_t sum = 0;

	for (uint16_t i = 0; i < box->n_workers; i++)
		sum += __atomic_load_n(&box->stats[i]->states[state], __ATOMIC_RELAXED);
	return sum;
}

uint64_t
box_reason_count(const struct box *box, enum reason reason)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < box->n_workers; i++)
		sum += __atomic_load_n(&box->stats[i]->reasons[reason], __ATOMIC_RELAXED);
	return sum;
}

bool
box_flow_read(const struct box *box, unsigned worker, uint32_t index, struct flow *copy)
{
	const struct flow *flow = flow_table_get(&box->workers[worker]->flows, index);
	uint32_t before = __atomic_load_n(&flow->generation, __ATOMIC_ACQUIRE);

	if ((before & 1) == 0)
		return false;
	memcpy(copy, flow, sizeof(*copy));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&flow->generation, __ATOMIC_RELAXED) == before && copy->state != FLOW_FREE;
}
