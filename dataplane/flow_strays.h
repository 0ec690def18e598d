/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Legs of adopted flows that no rule leads to.
 *
 * Which worker a packet belongs to follows from its addresses (worker_owner). When the number of workers changes with a
 * restart, an adopted flow goes to the worker that its local port names now, and its client's packets would go to
 * another. This table names the right one: made while nothing runs, immutable afterwards, shared by all workers, and
 * asked only when a packet's flow isn't in the own table.
 *
 * An entry is 8 bytes: the leg's hash in the flow table, 24 bits of another hash, the worker. Should a stranger have
 * the same 56 bits, all his packets go to that worker, which serves him as well as any other. For the same reason
 * entries need not be taken out when their flow ends.
 */
#ifndef POSTERN_DATAPLANE_FLOW_STRAYS_H
#define POSTERN_DATAPLANE_FLOW_STRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_table.h"

struct flow_strays {
	uint64_t *entries; /* open addressing; 0: empty */
	uint32_t mask;     /* entries, less 1 */
	uint32_t used;
};

/* All zeroes is an empty table. hash: flow_table_hash of key. Adds nothing that is there. Memory that can't be had ends
 * the process: this is done before it forwards. */
void flow_strays_add(struct flow_strays *strays, const struct flow_key *key, uint32_t hash, uint16_t worker);
void flow_strays_free(struct flow_strays *strays);

/* The worker that the leg's flow belongs to; false when it isn't a stray. */
bool flow_strays_find(const struct flow_strays *strays, const struct flow_key *key, uint32_t hash, uint16_t *worker);

#endif
