/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mapping that the flow tables live in: one file, shared, so that flow records outlive the process.
 *
 *   ┌────────┬──────────────────┬──────────────────┬───
 *   │ header │ worker 0's table │ worker 1's table │ …
 *   └────────┴──────────────────┴──────────────────┴───
 *
 * The header says how the rest is laid out, which of our addresses the records mean by their numbers, and holds the
 * secrets without which the records are worth nothing: those of the hash (timestamps are shifted by it), of SYN cookies
 * (a client's late ACK must still be good after a restart) and of ISNs. It is guarded by a checksum. The file should be
 * on a tmpfs (/run): it is memory, and nothing in it is worth a disk write.
 *
 * From one process to the next:
 *
 *   flow_map_lock      nobody else uses the directory, or the one who does has gone within a few seconds
 *   flow_map_open      DIRECTORY/flows, when it is good, is mapped read-only as the file before; DIRECTORY/flows.new is
 *                      made with its secrets
 *   flow_adopt         copies the records
 *   flow_map_publish   renames flows.new over flows
 *
 * A death before the rename leaves the old file as it was; one after it leaves a new one that is complete. A file that
 * is refused, because it is damaged, of another version or from before the machine was started, is not kept: its flows
 * are lost either way, it is large, and it holds secrets.
 */
#ifndef POSTERN_DATAPLANE_FLOW_MAP_H
#define POSTERN_DATAPLANE_FLOW_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/conf.h"
#include "platform/ip_addr.h"

struct text;
struct flow_table;

enum { FLOW_MAP_VERSION = 2, FLOW_MAP_ID_BYTES = 16, FLOW_MAP_CAPACITY_MAX = 1 << 30 };

struct flow_map_secrets {
	uint64_t hash[3];
	uint64_t cookie[2], isn[2];
};

struct flow_map_header {
	char magic[8];       /* "POSTERNF" */
	uint32_t version;    /* FLOW_MAP_VERSION; any change of the layout of flow records or tables is a new one */
	uint32_t flow_bytes; /* sizeof(struct flow) */
	uint32_t n_workers;
	uint32_t capacity;                  /* records of each worker */
	uint64_t table_bytes;               /* of each worker's table */
	uint64_t total_bytes;               /* of the file */
	uint8_t boot_id[FLOW_MAP_ID_BYTES]; /* of the machine's start */
	uint8_t lineage[FLOW_MAP_ID_BYTES]; /* random; the same in all files that came of each other by adoption */
	struct flow_map_secrets secrets;
	uint32_t n_addresses;
	uint32_t zero;
	struct ip_addr addresses[CONF_ADDRESSES_MAX]; /* flow_leg.local_addr is an index of these */
	uint32_t checksum;                            /* CRC-32C of all before it */
};

struct flow_map {
	struct flow_map_header *header;
	size_t bytes;
	const struct flow_map_header *before; /* the file before, read-only; NULL: there was none, or it is refused */
	const char *directory;                /* the caller's */
	int lock_fd;
	bool locked;
};

/* What the new file is to be. */
struct flow_map_shape {
	uint32_t n_workers, capacity; /* 1..CONF_WORKERS_MAX tables of 1..FLOW_MAP_CAPACITY_MAX records */
	uint8_t boot_id[FLOW_MAP_ID_BYTES];
	struct ip_addr addresses[CONF_ADDRESSES_MAX];
	uint32_t n_addresses;
};

/* Makes the directory if need be and takes its lock, waiting for wait_ms at most: a supervisor may start us while the
 * process before is still dying. False, and why in error, when somebody else keeps it. */
bool flow_map_lock(struct flow_map *map, const char *directory, uint32_t wait_ms, struct text *error);

/* Of the running machine. False when the kernel doesn't say. */
bool flow_map_boot_id(uint8_t boot_id[FLOW_MAP_ID_BYTES], struct text *error);

/* Whether length bytes, 8-byte aligned, are a mapping that records may be taken from; if not, why. Says nothing of the
 * records. */
bool flow_map_check(const void *bytes, size_t length, const uint8_t boot_id[FLOW_MAP_ID_BYTES], struct text *why);

/* Maps the file before, if it is good (if not, map->before is NULL, and refused says why), and makes the new one,
 * empty. Locked before. False, and why in error, when the new one can't be made. */
bool flow_map_open(struct flow_map *map, const struct flow_map_shape *shape, struct text *refused, struct text *error);

/* Puts the new file in the place of the one before, and lets go of that. */
bool flow_map_publish(struct flow_map *map, struct text *error);

/* Memory of a worker's table in a mapping; zeroed when that is new. */
void *flow_map_table(const struct flow_map_header *header, uint32_t worker);

/* Unmaps and unlocks; the file stays. */
void flow_map_close(struct flow_map *map);

#endif
