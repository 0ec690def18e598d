/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live slots: what is known of an endpoint, a backend or a listener beside the snapshots, because it must outlast them.
 *
 *   name ("e" + "host/addr:port") ─▶ slot number ─┬─ counters, one set for each worker    (written by that worker)
 *                                                 ├─ balancing cursor, one for each worker (its worker's own)
 *                                                 ├─ learned TCP profile, one word         (any worker; relaxed)
 *                                                 └─ name and telemetry labels             (main thread only)
 *
 * Memory. Arrays of LIVE_SLOTS_MAX entries, mapped and not reserved: a page costs memory when a slot in it is first
 * used, and slots are handed out from the low end.
 *
 * The end of a slot. Records of flows hold slot numbers, so a number may be given to another name only when no
 * record and no worker can still hold it. A slot is released when, seen by live_sweep,
 *   - neither of the last two committed snapshots names it, so that no worker can read it from one, and
 *   - no connection counts as active under it, and
 *   - both have been so, without interruption, for LIVE_HOLD_MS: longer than a closed flow's record lingers (240 s at
 * most), and than any event about it waits in a ring.
 *
 * Threads: functions marked "worker" may be called from workers and the main thread; all others from the main thread
 * alone.
 */
#ifndef POSTERN_GATEWAY_LIVE_H
#define POSTERN_GATEWAY_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "federation/snapshot.h"

enum { LIVE_HOLD_MS = 300000, LIVE_WORKERS_MAX = 16 };

/* What metrics and the access log say of a slot. Absent ones are "". */
enum live_label {
	LIVE_SERVICE,      /* host: "payments.bank.svc.cluster.local" */
	LIVE_SERVICE_NAME, /* of the ServiceEntry */
	LIVE_SERVICE_NAMESPACE,
	LIVE_WORKLOAD,
	LIVE_APP,
	LIVE_VERSION,
	LIVE_CLUSTER,
	LIVE_LOCALITY,
	LIVE_SERVICE_ACCOUNT,
	LIVE_GATEWAY, /* of a listener: "namespace/name" */
	LIVE_LABELS
};

struct live;

/* n_workers: 1..LIVE_WORKERS_MAX. capacity: slots, 0 included, 2..LIVE_SLOTS_MAX; tests take few. NULL when memory
 * can't be mapped. */
struct live *live_create(unsigned n_workers, uint32_t capacity);
void live_free(struct live *live);

/* The slot of a name, a new one if need be; 0 when all are in use. Notes that the snapshot in the making names it.
 * kind: 'e', 'b' or 'l' (struct snapshot_slots). */
uint32_t live_slot_get(struct live *live, char kind, const char *name, size_t length);
/* live_slot_get, as federation_load wants it. */
struct snapshot_slots live_snapshot_slots(struct live *live);

/* Takes back a slot that the process before had (live_names.h), before any snapshot is made. False when the number
 * can't be one, or it or the name is taken. live_restored is called once all are back. */
bool live_slot_restore(struct live *live, uint32_t slot, char kind, const char *name, size_t length);
void live_restored(struct live *live);

/* Whether a name came or a profile changed since this was last asked. */
bool live_changed(struct live *live);

/* The snapshot in the making is in force. Takes the labels from it. Of one that failed to load nothing need be said:
 * what it named counts as named by the next. */
void live_commit(struct live *live, const struct snapshot *snapshot);

/* Releases what may be released (above). Call once in a while, and only when every worker has let go of the snapshots
 * before the last committed one. now_ms: any monotonic clock. Returns how many were released. */
uint32_t live_sweep(struct live *live, uint64_t now_ms);

/* Walks the slots in use: the first one after slot (0: from the beginning), or 0. */
uint32_t live_next(const struct live *live, uint32_t slot);
/* Of a slot in use; 0 and "" of any other, which is what a log line about a forgotten one gets. */
char live_kind(const struct live *live, uint32_t slot);
const char *live_name(const struct live *live, uint32_t slot);
const char *live_label(const struct live *live, uint32_t slot, enum live_label label);
/* Slots in use. */
uint32_t live_used(const struct live *live);

/* Worker: a worker's counters, indexed by slot; that worker alone writes them, by relaxed stores. */
struct live_counters *live_counters(struct live *live, unsigned worker);
/* Worker: connections active under slot, over all workers; as old as a cache miss. */
uint32_t live_active(const struct live *live, uint32_t slot);
/* Worker: that worker's balancing cursor of a backend's slot. */
uint32_t *live_cursor(struct live *live, unsigned worker, uint32_t slot);
/* Sums over all workers. Each figure is right, but they are not of one instant. */
void live_sum(const struct live *live, uint32_t slot, struct live_counters *sum);

/* Worker: what an endpoint's SYN-ACK offered. What our SYN didn't ask for stays as it was known before. */
void live_profile_set(struct live *live, uint32_t slot, const struct tcp_profile *profile);
/* Worker: false when nothing was learned yet. */
bool live_profile(const struct live *live, uint32_t slot, struct tcp_profile *profile);

#endif
