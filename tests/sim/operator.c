/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/operator.h"

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/probe.h"
#include "federation/snapshot.h"
#include "gateway/decide.h"
#include "gateway/live.h"
#include "gateway/prober.h"
#include "platform/text.h"
#include "tests/sim/audit.h"

enum { SLOTS = 128, YAML_MAX = 16384, ATTEMPTS_MAX = 3, PROBE_RING = 64, ISTIO_PORT = 15443 };

struct book_service {
	uint32_t members; /* bit i: endpoint i */
	uint8_t weights[WORLD_ENDPOINTS_MAX];
	uint32_t max_connections; /* 0: no limit */
	unsigned balancer;
	unsigned also_weight; /* of 100, of the listener's route to it that goes to the next service instead */
};

/* What one federation.yaml says. */
struct book {
	struct book_service services[HELLO_SERVICES];
	bool listens[2]; /* 443, 15443 */
};

/* What the gateway must know of an endpoint, by live slot. */
struct lesson {
	bool known, sack, asked_sack, timestamps;
	uint16_t mss;
};

static struct {
	struct book book;
	uint32_t named; /* endpoints that any file in force has named until now */
	struct live *live;
	struct decide *decide;
	struct dataplane_hooks hooks;
	struct prober prober;
	unsigned endpoints[SLOTS];                    /* by live slot; n_endpoints: none */
	struct lesson lessons[SLOTS], offered[SLOTS]; /* now, and when offers were last worked out */
	struct tcp_profile profiles[SLOTS];           /* what there is of them in the file for the next process */
	uint32_t n_workers;
	uint32_t adopted[SLOTS]; /* connections that another process opened; by live slot */
} operator;

static struct rte_ring *probe_rings[RIG_WORKERS_MAX];

const struct dataplane_hooks *
operator_hooks(void)
{
	return &operator.hooks;
}

/* --- federation.yaml --------------------------------------------------------------------------------------------- */

static char yaml[YAML_MAX];
static unsigned yaml_length;

__attribute__((format(printf, 1, 2))) static void
put(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(yaml + yaml_length, sizeof(yaml) - yaml_length, format, arguments);
	va_end(arguments);
	yaml_length += (unsigned)n;
	if (yaml_length >= sizeof(yaml))
		abort();
}

static void
put_service(const struct book *book, unsigned number)
{
	static const char *const BALANCERS[] = {"LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"};
	const struct book_service *service = &book->services[number];
	unsigned next = (number + 1) % HELLO_SERVICES;

	put("---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: s%u, namespace: mesh "
	    "}\nspec:\n"
	    "  hosts: [ s%u.mesh.example ]\n  location: MESH_INTERNAL\n  resolution: STATIC\n"
	    "  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n  endpoints:\n",
	    number, number);
	for (unsigned i = 0; i < world.n_endpoints; i++) {
		char addr[IP_ADDR_TEXT_MAX];
		if ((service->members >> i & 1) == 0)
			continue;
		ip_addr_format(&world.endpoints[i].addr, addr);
		put("  - { address: '%s', ports: { tls: %u }, weight: %u }\n", addr, world.endpoints[i].port,
		    service->weights[i]);
	}
	put("---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: s%u, namespace: mesh "
	    "}\nspec:\n"
	    "  host: s%u.mesh.example\n  trafficPolicy:\n    loadBalancer: { simple: %s }\n"
	    "    connectionPool: { tcp: { connectTimeout: %ums",
	    number, number, BALANCERS[service->balancer], world.connect_timeout_ms);
	if (service->max_connections != 0)
		put(", maxConnections: %u", service->max_connections);
	put(" } }\n");
	if (!book->listens[0])
		return;
	put("---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: s%u, namespace: mesh "
	    "}\nspec:\n"
	    "  gateways: [ edge ]\n  hosts: [ s%u.sim.example ]\n  tls:\n  - match: [ { sniHosts: [ s%u.sim.example ] "
	    "} ]\n"
	    "    route:\n    - destination: { host: s%u.mesh.example, port: { number: 8443 } }\n      weight: %u\n",
	    number, number, number, number, 100 - service->also_weight);
	if (service->also_weight != 0)
		put("    - destination: { host: s%u.mesh.example, port: { number: 8443 } }\n      weight: %u\n", next,
		    service->also_weight);
}

static void
write_federation(const struct book *book, bool broken)
{
	yaml_length = 0;
	put("apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: sim }\n"
	    "spec: { trustDomain: sim.example, clusterID: sim }\n");
	if (book->listens[0])
		put("---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: { name: edge, namespace: mesh "
		    "}\nspec:\n"
		    "  servers:\n  - port: { number: %d, name: tls, protocol: TLS }\n    tls: { mode: PASSTHROUGH }\n"
		    "    hosts: [ '*.sim.example' ]\n",
		    WORLD_LISTEN_PORT);
	if (book->listens[1])
		put("---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: { name: east-west, namespace: "
		    "mesh }\n"
		    "spec:\n  servers:\n  - port: { number: %d, name: tls, protocol: TLS }\n"
		    "    tls: { mode: AUTO_PASSTHROUGH }\n    hosts: [ '*.mesh.example' ]\n",
		    ISTIO_PORT);
	for (unsigned i = 0; i < HELLO_SERVICES; i++)
		put_service(book, i);
	if (broken)
		put("---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: broken }\nspec: { "
		    "hostz: [] }\n");
}

/* --- in force ---------------------------------------------------------------------------------------------------- */

static void
work_out_offers(void)
{
	memcpy(operator.offered, operator.lessons, sizeof(operator.offered));
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		live_profile(operator.live, slot, &operator.profiles[slot]);
}

/* As box_reload does. False when the file has an error. */
static bool
put_in_force(const struct book *book, bool broken)
{
	struct snapshot_slots slots = live_snapshot_slots(operator.live);
	struct diagnostics diagnostics = {0};

	write_federation(book, broken);
	struct snapshot *snapshot = federation_load_bytes("federation.yaml", yaml, yaml_length, &slots, &diagnostics);
	if ((snapshot == NULL) != broken) {
		struct text text = {0};
		diagnostics_print(&diagnostics, &text);
		world_fail("federation.yaml %s: %s%s", broken ? "with an error is taken" : "is refused",
			   text.bytes != NULL ? text.bytes : "", world.verbose ? yaml : "");
		text_free(&text);
	}
	diagnostics_free(&diagnostics);
	if (snapshot == NULL)
		return false;
	for (uint32_t i = 0; i < snapshot->n_endpoints; i++)
		operator.endpoints[snapshot->endpoints[i].live] =
			world_endpoint_index(&snapshot->endpoints[i].addr, snapshot->endpoints[i].port);
	struct decide_view *old = decide_install(operator.decide, snapshot, NULL);
	live_commit(operator.live, snapshot);
	decide_view_free(old); /* no worker is in the middle of anything */
	decide_refresh_offers(operator.decide);
	work_out_offers();
	operator.book = * book;
	for (unsigned i = 0; i < HELLO_SERVICES; i++)
		operator.named |= book->services[i].members;
	world.reloads++;
	return true;
}

static void
pick_members(struct book_service *service)
{
	uint32_t all = (1u << world.n_endpoints) - 1, before = service->members;
	service->members = world_below(all) + 1;
	for (unsigned i = 0; i < world.n_endpoints; i++)
		service->weights[i] = (uint8_t)(world_chance(80) ? 1 : world_below(6));
	for (unsigned i = 0; i < world.n_endpoints; i++)
		world.endpoints[i].added |= before != 0 && (service->members & ~before) >> i & 1;
}

static void
furnish(struct worker *worker)
{
	struct rte_ring **ring = &probe_rings[worker->id];
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "probes%u", worker->id);
	if (*ring == NULL)
		*ring = rte_ring_create_elem(name, sizeof(struct probe_request), PROBE_RING, SOCKET_ID_ANY, 0);
	if (*ring == NULL)
		abort();
	worker->live = live_counters(operator.live, worker->id);
	worker->probes = world_chance(80) ? *ring : NULL;
}

static void
begin_process(unsigned n_workers)
{
	operator.n_workers = n_workers;
	operator.live = live_create(n_workers, SLOTS);
	if (operator.live == NULL || !prober_init(&operator.prober, operator.live))
		abort();
	operator.decide = decide_create(operator.live);
	decide_hooks(operator.decide, &operator.hooks);
}

static void
end_process(void)
{
	struct probe_request request;

	for (unsigned i = 0; i < operator.n_workers; i++)
		while (rte_ring_dequeue_elem(probe_rings[i], &request, sizeof(request)) == 0)
			;
	prober_free(&operator.prober);
	decide_free(operator.decide);
}

void
operator_open(void)
{
	struct book book = {.listens = {true, true}};

	memset(&operator, 0, sizeof(operator));
	for (unsigned i = 0; i < SLOTS; i++)
		operator.endpoints[i] = WORLD_ENDPOINTS_MAX;
	begin_process(world.rig.n_workers);
	world.rig.n_live = SLOTS;
	world.rig.furnish = furnish;
	for (unsigned i = 0; i < world.rig.n_workers; i++)
		furnish(&world.rig.workers[i]);
	for (unsigned i = 0; i < HELLO_SERVICES; i++) {
		struct book_service *service = &book.services[i];
		pick_members(service);
		service->max_connections = world_chance(15) ? 1 + world_below(3) : 0;
		service->balancer = world_below(3);
		service->also_weight = world_chance(20) ? 1 + world_below(99) : 0;
	}
	put_in_force(&book, false);
	world.reloads = 0;
}

void
operator_close(void)
{
	end_process();
	live_free(operator.live);
}

/* As live_names.c does. */
static void
restore_slots(const struct live *before)
{
	for (uint32_t slot = live_next(before, 0); slot != 0; slot = live_next(before, slot)) {
		const char *name = live_name(before, slot);
		if (!live_slot_restore(operator.live, slot, live_kind(before, slot), name, strlen(name)))
			world_fail("the next process can't have live slot %u", slot);
		if (operator.offered[slot].known)
			live_profile_set(operator.live, slot, &operator.profiles[slot]);
	}
	live_restored(operator.live);
}

void
operator_succeed(unsigned n_workers)
{
	struct live *before = operator.live;
	const struct book book = operator.book;
	unsigned reloads = world.reloads;

	end_process();
	begin_process(n_workers);
	restore_slots(before);
	live_free(before);
	memcpy(operator.lessons, operator.offered, sizeof(operator.lessons));
	put_in_force(&book, false);
	world.reloads = reloads;
	world.draining = false;
}

void
operator_adopted(void)
{
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		operator.adopted[slot] = live_active(operator.live, slot);
}

void
operator_reload(enum operator_change change)
{
	struct book book = operator.book;

	switch (change) {
	case OPERATOR_ENDPOINTS:
		pick_members(&book.services[world_below(HELLO_SERVICES)]);
		if (world_chance(50))
			pick_members(&book.services[world_below(HELLO_SERVICES)]);
		break;
	case OPERATOR_LISTENER:
		book.listens[world_below(2)] ^= true;
		break;
	case OPERATOR_BROKEN:
		put_in_force(&book, true);
		world.broken_reloads++;
		return;
	default:
		break;
	}
	put_in_force(&book, false);
}

void
operator_drain(bool draining)
{
	world.draining = draining;
	world.drains += draining;
	decide_drain(operator.decide, draining);
}

void
operator_tick(void)
{
	uint64_t now_ms = world.now_us / 1000;

	decide_refresh_offers(operator.decide);
	work_out_offers();
	if (world.rig.worker.probes != NULL)
		prober_tick(&operator.prober, decide_snapshot(operator.decide), probe_rings, world.rig.n_workers,
			    (uint32_t)(now_ms / 1000));
	live_sweep(operator.live, now_ms);
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		if (live_kind(operator.live, slot) == 0)
			operator.adopted[slot] = 0;
}

/* --- the book ---------------------------------------------------------------------------------------------------- */

bool
operator_listens(uint16_t port)
{
	return operator.book.listens[port != WORLD_LISTEN_PORT];
}

/* The services that a connection may go to: a bit for each. */
static unsigned
services_of(const struct connection *connection)
{
	unsigned service = connection->service;

	if (connection->hello_kind == HELLO_BY_ISTIO)
		return 1u << service;
	return 1u << service |
	       (operator.book.services[service].also_weight != 0 ? 1u << (service + 1) % HELLO_SERVICES : 0);
}

static bool
takes(const struct book_service *service, unsigned endpoint)
{
	return (service->members >> endpoint & 1) != 0 && service->weights[endpoint] != 0;
}

bool
operator_may_reach(const struct connection *connection, unsigned endpoint)
{
	unsigned services = services_of(connection);

	for (unsigned i = 0; i < HELLO_SERVICES; i++)
		if ((services >> i & 1) != 0 && takes(&operator.book.services[i], endpoint))
			return true;
	return false;
}

bool
operator_may_probe(unsigned endpoint)
{
	return (operator.named>> endpoint & 1) != 0;
}

bool
operator_may_have_none(const struct connection *connection, unsigned attempt, const uint32_t tried[2])
{
	unsigned services = services_of(connection);

	if (attempt >= ATTEMPTS_MAX)
		return true;
	for (unsigned i = 0; i < HELLO_SERVICES; i++) {
		const struct book_service *service = &operator.book.services[i];
		unsigned left = 0;
		if ((services >> i & 1) == 0)
			continue;
		for (unsigned k = 0; k < world.n_endpoints; k++)
			if (takes(service, k) && (tried[0] == 0 || operator_endpoint_of(tried[0]) != k) &&
			    (tried[1] == 0 || operator_endpoint_of(tried[1]) != k))
				left++;
		if (left == 0)
			return true;
	}
	return false;
}

/* Whether a connection's dial has made room for another client, of which there is no event (reclaim.c). */
static bool
is_reclaimed(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];

	if (connection->spliced || (world.scarcity != SCARCE_FLOWS && world.scarcity != SCARCE_HOLDS))
		return false;
	const struct flow *flow = rig_flow(&world.rig, LEG_CLIENT, &client->addr, client->port, client->gate_port);
	/* The client's repeat of its hello begins another. */
	return flow == NULL || flow->state == FLOW_PEEKING;
}

bool
operator_is_full(unsigned service)
{
	uint32_t limit = operator.book.services[service].max_connections, active = 0;

	audit_events(); /* what has ended until now */
	for (unsigned i = 0; i < world.n_connections; i++) {
		const struct connection *connection = &world.connections[i];
		active += connection->active && connection->chosen_service == service && !is_reclaimed(connection);
	}
	return limit != 0 && active >= limit;
}

bool
operator_may_be_full(const struct connection *connection)
{
	unsigned services = services_of(connection);

	for (unsigned i = 0; i < HELLO_SERVICES; i++)
		if ((services >> i & 1) != 0 && operator_is_full(i))
			return true;
	return false;
}

unsigned
operator_service_of(uint32_t slot)
{
	unsigned service;

	if (sscanf(live_name(operator.live, slot), "s%u.", &service) != 1 || service >= HELLO_SERVICES)
		return HELLO_SERVICES;
	return service;
}

unsigned
operator_endpoint_of(uint32_t slot)
{
	unsigned endpoint = slot < SLOTS ? operator.endpoints[slot] : WORLD_ENDPOINTS_MAX;
	return endpoint < world.n_endpoints ? endpoint : world.n_endpoints;
}

/* --- offers ------------------------------------------------------------------------------------------------------ */

void
operator_learned(uint32_t slot, const struct tcp_profile *profile)
{
	struct lesson *lesson = &operator.lessons[slot];

	lesson->known = true;
	lesson->mss = profile->mss;
	if (profile->asked_sack) {
		lesson->asked_sack = true;
		lesson->sack = profile->sack;
	}
	if (profile->asked_timestamps)
		lesson->timestamps = profile->timestamps;
	operator.hooks.learned(operator.hooks.context, 0, slot, profile);
}

/* Whether an endpoint is behind the listeners: every service is behind both. */
static bool
is_behind(uint32_t slot)
{
	unsigned endpoint = operator_endpoint_of(slot), service = operator_service_of(slot);

	if (live_kind(operator.live, slot) != 'e' || endpoint == world.n_endpoints || service == HELLO_SERVICES)
		return false;
	return (operator.book.services[service].members>> endpoint & 1) != 0;
}

const char *
operator_offer_fault(bool client_sack, bool sack, bool client_timestamps, bool timestamps, uint16_t mss)
{
	bool may_sack = true, may_timestamps = true;
	uint16_t least = UINT16_MAX;

	for (uint32_t slot = 1; slot < SLOTS; slot++) {
		const struct lesson *lesson = &operator.offered[slot];
		if (!is_behind(slot))
			continue;
		may_timestamps = may_timestamps && lesson->known && lesson->timestamps;
		if (!lesson->known)
			continue;
		may_sack = may_sack && (lesson->sack || !lesson->asked_sack);
		if (lesson->mss != 0 && lesson->mss < least)
			least = lesson->mss;
	}
	if (timestamps != (client_timestamps && may_timestamps))
		return timestamps ? "timestamps that not all endpoints are known to have" : "no timestamps";
	if (sack != (client_sack && may_sack))
		return sack ? "SACK that an endpoint is known not to have" : "no SACK";
	return mss > least ? "a larger MSS than an endpoint is known to have" : NULL;
}

void
operator_audit_end(void)
{
	struct book book = operator.book;
	uint64_t now_ms = world.now_us / 1000;
	uint32_t named = 0;

	for (uint32_t slot = 1; slot < SLOTS; slot++) {
		struct live_counters sum;
		live_sum(operator.live, slot, &sum);
		if (sum.active != 0 || sum.opened + operator.adopted[slot] != sum.closed)
			world_fail("%s: %llu connections opened, %u adopted, %llu closed, %u active",
				   live_name(operator.live, slot),
				   (unsigned long long)sum.opened, operator.adopted[slot],
				   (unsigned long long)sum.closed, sum.active);
	}
	if (!world_chance(25))
		return;
	/* What is no longer named gets released. */
	for (unsigned i = 0; i < 2 && !world.failed; i++)
		put_in_force(&book, false);
	live_sweep(operator.live, now_ms);
	live_sweep(operator.live, now_ms + LIVE_HOLD_MS);
	const struct snapshot *snapshot = decide_snapshot(operator.decide);
	for (uint32_t slot = live_next(operator.live, 0); slot != 0; slot = live_next(operator.live, slot))
		named += live_kind(operator.live, slot) == 'e';
	if (named != snapshot->n_endpoints)
		world_fail("%u endpoints have live slots, %u are in force", named, snapshot->n_endpoints);
}
