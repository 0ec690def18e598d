/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mapping that the flow tables live in: one file, shared, so that flow records can outlive the process.
 *
 *   ┌────────┬──────────────────┬──────────────────┬───
 *   │ header │ worker 0's table │ worker 1's table │ …
 *   └────────┴──────────────────┴──────────────────┴───
 *
 * The header says how the rest is laid out, and holds the secrets without which the records are worth nothing: those of
 * the hash, of SYN cookies (a client's late ACK must still be good after a restart), of ISNs and of local ports. It is
 * guarded by a checksum. The file should be on a tmpfs (/run): it is memory, and nothing in it is worth a disk write.
 */
#ifndef POSTERN_DATAPLANE_FLOW_MAP_H
#define POSTERN_DATAPLANE_FLOW_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

enum { FLOW_MAP_VERSION = 1 };

struct flow_map_secrets {
	uint64_t hash[3];
	uint64_t cookie[2], isn[2], port[2];
};

struct flow_map_header {
	char magic[8];       /* "POSTERNF" */
	uint32_t version;    /* FLOW_MAP_VERSION; any change of the layout of flow records or tables is a new one */
	uint32_t flow_bytes; /* sizeof(struct flow) */
	uint32_t n_workers;
	uint32_t capacity;    /* records of each worker */
	uint64_t table_bytes; /* of each worker's table */
	uint64_t total_bytes; /* of the file */
	struct flow_map_secrets secrets;
	uint32_t checksum; /* CRC-32C of all before it */
};

struct flow_map {
	struct flow_map_header *header;
	size_t bytes;
	uint32_t capacity;
};

/* Makes directory/flows anew, for n_workers tables of capacity records, with fresh secrets, and maps it. False, and why
 * in error, when that can't be done; nothing is left open then. */
bool flow_map_create(struct flow_map *map, const char *directory, uint32_t n_workers, uint32_t capacity,
		     struct text *error);

/* Memory of a worker's table, zeroed when the map is new. */
void *flow_map_table(const struct flow_map *map, uint32_t worker);

/* Unmaps; the file stays. */
void flow_map_close(struct flow_map *map);

#endif
