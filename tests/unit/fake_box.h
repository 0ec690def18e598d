/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A box that never ran: two ports on one device, two workers with small flow tables, and a federation of two services,
 * installed as box_reload does it. Tests write statistics, live counters and flow records into it by hand.
 */
#ifndef POSTERN_TESTS_UNIT_FAKE_BOX_H
#define POSTERN_TESTS_UNIT_FAKE_BOX_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/box.h"
#include "tests/unit/unit.h"

enum { FAKE_WORKERS = 2, FAKE_FLOWS = 16384 };

static const char fake_federation[] =
	"apiVersion: postern.dev/v1alpha1\n"
	"kind: Federation\n"
	"metadata: { name: lulea-0421 }\n"
	"spec: { trustDomain: lulea.example, clusterID: lulea, locality: eu-north/lulea/0421 }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: { name: east-west, namespace: bank }\n"
	"spec:\n"
	"  servers:\n"
	"  - port: { number: 15443, name: tls, protocol: TLS }\n"
	"    tls: { mode: AUTO_PASSTHROUGH }\n"
	"    hosts: [ '*.bank.svc.cluster.local' ]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: { name: payments, namespace: bank }\n"
	"spec:\n"
	"  hosts: [ payments.bank.svc.cluster.local ]\n"
	"  location: MESH_INTERNAL\n"
	"  resolution: STATIC\n"
	"  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n"
	"  endpoints:\n"
	"  - { address: 10.244.1.7, labels: { app: pay, version: v1 }, locality: eu-north/lulea/0421 }\n"
	"  - { address: 10.244.1.8, labels: { app: pay, version: v1 }, locality: eu-north/lulea/0421 }\n"
	"  - { address: 10.244.2.9, labels: { app: pay, version: v2 } }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: { name: ledger, namespace: bank }\n"
	"spec:\n"
	"  hosts: [ ledger.bank.svc.cluster.local ]\n"
	"  location: MESH_INTERNAL\n"
	"  resolution: STATIC\n"
	"  ports: [ { number: 443, name: https, protocol: HTTPS } ]\n"
	"  endpoints: [ { address: '2001:db8::7' } ]\n";

struct fake_box {
	struct box box;
	struct conf conf;
	struct device device;
	void *tables[FAKE_WORKERS];
};

static inline bool
fake_box_federate(struct fake_box *fake, const char *yaml)
{
	struct snapshot_slots slots = live_snapshot_slots(fake->box.live);
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load_bytes("test.yaml", yaml, strlen(yaml), &slots, &diagnostics);

	text_free(&fake->box.reload.last_errors);
	diagnostics_print(&diagnostics, &fake->box.reload.last_errors);
	diagnostics_free(&diagnostics);
	fake->box.reload.last_failed = snapshot == NULL;
	if (snapshot == NULL) {
		fake->box.reload.failures++;
		return false;
	}
	snapshot->generation = ++fake->box.reload.generation;
	decide_view_free(decide_install(fake->box.decide, snapshot, NULL));
	live_commit(fake->box.live, snapshot);
	decide_refresh_offers(fake->box.decide);
	return true;
}

static inline void
fake_box_open(struct fake_box *fake)
{
	static const uint64_t secret[3] = {1, 2, 3};
	struct device *devices[2] = {&fake->device, &fake->device}, *taps[2] = {NULL, NULL};

	memset(fake, 0, sizeof(*fake));
	fake->conf.n_ports = 2;
	fake->conf.path = strdup("/etc/postern/postern.conf");
	fake->conf.federation_path = strdup("/etc/postern/federation.yaml");
	fake->conf.n_workers = FAKE_WORKERS;
	for (unsigned i = 0; i < FAKE_WORKERS; i++)
		fake->conf.worker_cores[i] = (uint16_t)(i + 1);
	for (unsigned i = 0; i < 2; i++) {
		struct conf_port *port = &fake->conf.ports[i];
		snprintf(port->name, sizeof(port->name), "%s", i == 0 ? "wan" : "lan");
		snprintf(port->device, sizeof(port->device), "net_null0");
		port->vlan = i == 0 ? 0 : 40;
		port->mtu = 1500;
		port->n_addresses = 1;
		CU_ASSERT_TRUE(ip_prefix_parse(i == 0 ? "192.0.2.1/24" : "10.244.0.1/16", &port->addresses[0]));
	}
	net_init(&fake->box.net, &fake->conf, devices, taps);
	fake->box.conf = &fake->conf;
	fake->box.n_workers = FAKE_WORKERS;
	fake->box.live = live_create(FAKE_WORKERS, 1024);
	fake->box.decide = decide_create(fake->box.live);
	decide_hooks(fake->box.decide, &fake->box.hooks);
	for (unsigned i = 0; i < FAKE_WORKERS; i++) {
		struct worker *worker = calloc(1, sizeof(*worker));
		fake->tables[i] = aligned_alloc(64, flow_table_bytes(FAKE_FLOWS));
		memset(fake->tables[i], 0, flow_table_bytes(FAKE_FLOWS));
		flow_table_init(&worker->flows, fake->tables[i], FAKE_FLOWS, secret);
		CU_ASSERT_TRUE(neighbour_table_init(&worker->neighbours, 64));
		worker->holds.n_holds = 128;
		fake->box.workers[i] = worker;
		fake->box.stats[i] = calloc(1, sizeof(*fake->box.stats[i]));
	}
	CU_ASSERT_TRUE(fake_box_federate(fake, fake_federation));
}

static inline void
fake_box_close(struct fake_box *fake)
{
	for (unsigned i = 0; i < FAKE_WORKERS; i++) {
		neighbour_table_free(&fake->box.workers[i]->neighbours);
		free(fake->box.workers[i]);
		free(fake->box.stats[i]);
		free(fake->tables[i]);
	}
	decide_free(fake->box.decide);
	live_free(fake->box.live);
	text_free(&fake->box.reload.last_errors);
	free(fake->conf.path);
	free(fake->conf.federation_path);
}

/* The endpoint of that address in the federation in force. */
static inline const struct endpoint *
fake_box_endpoint(const struct fake_box *fake, const char *address)
{
	const struct snapshot *snapshot = decide_snapshot(fake->box.decide);
	struct ip_addr addr;

	CU_ASSERT_TRUE_FATAL(ip_addr_parse(address, &addr));
	for (uint32_t i = 0; i < snapshot->n_endpoints; i++)
		if (ip_addr_equal(&snapshot->endpoints[i].addr, &addr))
			return &snapshot->endpoints[i];
	CU_FAIL_FATAL("no such endpoint");
	return NULL;
}

/* The first backend that has it. */
static inline const struct backend *
fake_box_backend(const struct fake_box *fake, const struct endpoint *endpoint)
{
	const struct snapshot *snapshot = decide_snapshot(fake->box.decide);

	for (uint32_t i = 0; i < snapshot->n_backends; i++)
		for (uint32_t j = 0; j < snapshot->backends[i]->n_endpoints; j++)
			if (snapshot->backends[i]->endpoints[j] == endpoint)
				return snapshot->backends[i];
	CU_FAIL_FATAL("no backend");
	return NULL;
}

/* Adds a flow. endpoint: an address of the federation, or NULL for a flow that is peeking. */
static inline struct flow *
fake_box_flow(struct fake_box *fake, unsigned worker, const char *client, const char *endpoint)
{
	struct flow_table *table = &fake->box.workers[worker]->flows;
	uint32_t index = flow_table_alloc(table);
	struct flow *flow = flow_table_get(table, index);

	CU_ASSERT_FATAL(index != FLOW_NONE);
	flow->state = endpoint == NULL ? FLOW_PEEKING : FLOW_SPLICED;
	flow->listener = decide_snapshot(fake->box.decide)->listeners[0].live;
	CU_ASSERT_TRUE(ip_addr_parse(client, &flow->leg[LEG_CLIENT].peer));
	flow->leg[LEG_CLIENT].peer_port = htons(40000);
	flow->leg[LEG_CLIENT].local_port = htons(15443);
	flow->leg[LEG_CLIENT].local_addr = 0;
	flow->leg[LEG_CLIENT].bytes = 700;
	flow->opened_s = 1767323045; /* 2026-01-02T03:04:05Z */
	flow->opened_ms = 678;
	if (endpoint == NULL)
		return flow;
	const struct endpoint *to = fake_box_endpoint(fake, endpoint);
	flow->leg[LEG_ENDPOINT].peer = to->addr;
	flow->leg[LEG_ENDPOINT].peer_port = htons(to->port);
	flow->leg[LEG_ENDPOINT].local_port = htons(20000);
	flow->leg[LEG_ENDPOINT].local_addr = 1;
	flow->leg[LEG_ENDPOINT].bytes = 9000;
	flow->endpoint = to->live;
	flow->service = fake_box_backend(fake, to)->live;
	flow->attempts = 1;
	return flow;
}

#endif
