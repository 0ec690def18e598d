/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adoption: a new process takes over the flows of one that died, was restarted, or made room for it. To the peers it
 * looks like a moment of packet loss.
 *
 *   record of the process before          what becomes of it
 *
 *   PEEKING, CONNECTING                   nothing was acknowledged: forgotten. The client repeats its hello, and the
 *                                         cookie that it acknowledges is still good
 *     … and bytes were acknowledged       they died with the process: RST to the client
 *   SPLICED                               goes on
 *     … and held bytes were undelivered   they died with the process: RST to both sides
 *     … and it was just ending            ends
 *   BRIDGED                               what it was died with the process: RST to both sides
 *   CLOSING                               lingers anew
 *     … and was bridged                   forgotten: both sides have closed
 *   PROBING                               forgotten: control asks again
 *
 * Records are copied into tables of this process's own. Hash, free lists, timers and counts are made anew, so that
 * another number of workers, another capacity, and a process that died in the middle of a change are all the same case.
 * A record is read as a stranger's bytes: what makes no sense is dropped as REASON_ADOPT_DAMAGED. A flow goes to the
 * worker that its local port names; flow_strays.h leads its client's packets there where no rule does.
 *
 * Next hops are the dead process's too. They are asked for at once (flow_adopt_ask), so that the first packets need not
 * wait, and RSTs go out a little later, when the answers are in. A peer may have got more by then than the record knows
 * of: it is sent two, of the number that it acknowledged last, and of the one that follows all that was passed on.
 */
#ifndef POSTERN_DATAPLANE_FLOW_ADOPT_H
#define POSTERN_DATAPLANE_FLOW_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_strays.h"
#include "dataplane/worker.h"

struct flow_map_header;

enum {
	ADOPT_ASK_MAX = 256,       /* next hops that are asked for at once, for each worker */
	ADOPT_FAREWELL_MS = 200,   /* from adoption to the first RST */
	ADOPT_FAREWELL_BURST = 16, /* RSTs in each ms from then on */
};

/* What the process before left. */
struct flow_adopt_source {
	struct flow_table tables[WORKERS_MAX]; /* only read */
	unsigned n_tables;
	const struct ip_addr *addresses; /* that leg.local_addr is an index of */
	unsigned n_addresses;
};

/* From a mapping that flow_map_check found good. */
void flow_adopt_source_init(struct flow_adopt_source *source, const struct flow_map_header *before);

/* The number in this process of live slot `slot` of the one before; kind as in struct snapshot_slots ('e', 'b', 'l');
 * slot is any number. 0: unknown; the flow goes on all the same. */
struct flow_adopt_names {
	void *context;
	uint32_t (*slot)(void *context, char kind, uint32_t slot);
};

/* What came of it. found is the sum of the others. */
struct flow_adoption {
	uint32_t found;                  /* records in use */
	uint32_t spliced;                /* connections that go on */
	uint32_t closing;                /* that were over, and linger */
	uint32_t forgotten;              /* not established yet, and probes */
	uint32_t held, bridged;          /* REASON_ADOPT_HELD, _BRIDGED: reset */
	uint32_t damaged, address, full; /* REASON_ADOPT_*: dropped */
	struct flow_strays strays;       /* the workers point to it */
};

/* Fills the tables of workers[0..n_workers], which are empty and don't run; n_workers is workers[0]->n_workers. Hooks
 * and net are in place. */
void flow_adopt(struct flow_adoption *adoption, const struct flow_adopt_source *source, struct worker *const *workers,
		const struct flow_adopt_names *names, uint64_t now_ms);

/* Sends requests for the next hops of adopted flows. The workers don't run yet. */
void flow_adopt_ask(struct worker *const *workers);

/* Worker: sends the RSTs that are due; called while worker->n_farewells isn't 0. */
void flow_adopt_farewell(struct worker *worker);

/* Frees what the adoption and the workers have of it. They don't run any more. */
void flow_adopt_free(struct flow_adoption *adoption, struct worker *const *workers, unsigned n_workers);

#endif
