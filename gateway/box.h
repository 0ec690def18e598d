/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box at work: everything that posternd puts together from postern.conf and keeps until it stops. EAL, devices,
 * network, flow mapping, workers and their rings; live slots, the decision and the snapshot in force.
 *
 * Owned by the main thread. Workers see only their own struct worker, which is part of it. Control commands, metrics
 * and the log read workers' statistics with relaxed loads, and flow records as box_flow_read has it.
 */
#ifndef POSTERN_GATEWAY_BOX_H
#define POSTERN_GATEWAY_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_adopt.h"
#include "dataplane/flow_map.h"
#include "dataplane/flow_pages.h"
#include "dataplane/interlude.h"
#include "dataplane/net.h"
#include "dataplane/worker.h"
#include "dataplane/worker_run.h"
#include "federation/snapshot.h"
#include "gateway/bridging.h"
#include "gateway/decide.h"
#include "gateway/live.h"
#include "gateway/prober.h"
#include "platform/conf.h"
#include "platform/eal.h"
#include "platform/text.h"

enum { BOX_LOCK_WAIT_MS = 5000 /* for the process before to be gone */ };

enum { BOX_INBOX = 2048, BOX_EVENTS = 8192, BOX_PROBES = 256, BOX_HUGE_PAGES_A_TICK = 64 };

/* What becomes of flows that are still open. */
enum box_stop_how {
	BOX_STOP_RESET, /* reset on both sides */
	BOX_STOP_KEEP   /* left as they are: the next process adopts them */
};

/* What came of the last reload, for status. */
struct box_reload {
	uint64_t generation;      /* of the snapshot in force; 1 at start */
	uint64_t applied_wall_ms; /* when it was put in force, ms since 1970 */
	uint64_t failures;        /* reloads that failed since start */
	bool last_failed;         /* the file is broken now; what is in force is older */
	struct text last_errors;  /* diagnostics of the last failed reload */
};

/* What the program that this one replaces in its process hands on, if there is one. */
struct box_inheritance {
	const char *interlude; /* for interlude_inherit; "": none */
	int packets_fd;        /* for eal_start; -1: none */
};

struct box {
	const struct conf *conf;
	struct eal eal;
	struct device devices[NET_DEVICES_MAX];
	uint8_t n_devices;
	struct net net;
	struct flow_map map;
	struct flow_pages pages[WORKERS_MAX];
	struct flow_adoption adoption; /* what came of the process before */
	uint64_t adoption_us;          /* how long it took */
	bool knows_slots;              /* the process before left the names of its live slots */
	struct live *live;
	struct decide *decide;
	struct bridging bridging;
	struct dataplane_hooks hooks;
	struct worker *workers[WORKERS_MAX];
	struct worker_stats *stats[WORKERS_MAX];
	struct worker_run runs[WORKERS_MAX];
	struct rte_ring *inboxes[WORKERS_MAX];
	struct rte_ring *probes[WORKERS_MAX]; /* struct probe_request */
	struct prober prober;
	struct rte_ring *events; /* struct flow_event, from all workers */
	struct rte_rcu_qsbr *qsbr;
	uint16_t n_workers;
	bool running, draining;
	uint64_t started_wall_ms;
	const char *upgraded_from;  /* version of the program that this one replaced in its process; "": none did */
	struct interlude interlude; /* then: what arrived since that one stopped */
	uint64_t stalled_us;        /* then: from its last packet to our first */
	unsigned upgrade_failures;  /* of this program: that it tried to become another, in vain */
	struct box_reload reload;
};

/* Opens devices and memory and prepares the workers; nothing is forwarded yet. False, with a line in error; the process
 * should end then. */
bool box_open(struct box *box, const struct conf *conf, const struct box_inheritance *inheritance, struct text *error);
/* Loads the federation for the first time or again, and puts it in force. On an error nothing changes, diagnostics are
 * in reload.last_errors, and the result is false. Waits for the workers to let go of the old snapshot (milliseconds).
 */
bool box_reload(struct box *box);
/* Adopts the flows of the process before (flow_adopt.h), and launches the workers. */
bool box_start(struct box *box, struct text *error);
/* Launches the workers again after box_stop by BOX_STOP_KEEP. */
bool box_resume(struct box *box, struct text *error);
/* Main thread, once a second: works out what listeners offer, asks for probes, releases what nobody refers to any more,
 * puts pages of flow tables together.
 */
void box_tick(struct box *box);
/* Main thread, every KEYRING_POLL_MS: puts in force what has changed of certificates, keys, bundles and lists. */
void box_rekey(struct box *box);
/* No new connections from now on (or again). */
void box_drain(struct box *box, bool draining);
/* Stops the workers. What they leave to be read (statistics, events) stays. */
void box_stop(struct box *box, enum box_stop_how how);
/* Stops, by BOX_STOP_RESET if that wasn't done before, and frees everything. */
void box_close(struct box *box);

/* Whether every worker went round its loop within the last few seconds: for systemd's watchdog. */
bool box_is_alive(const struct box *box);
/* Flows now in a state, over all workers. */
uint32_t box_flows_in(const struct box *box, enum flow_state state);
/* A reason's count, over all workers. */
uint64_t box_reason_count(const struct box *box, enum reason reason);

/* Copies flow record index of a worker as it is now. False when it isn't in use, or changed while it was copied. From
 * the main thread, while the worker runs. */
bool box_flow_read(const struct box *box, unsigned worker, uint32_t index, struct flow *copy);

#endif
