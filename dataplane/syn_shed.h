/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which SYNs are answered when there are more than can be.
 *
 * A SYN costs no memory, but most of its cycles go into sending the SYN-ACK: a kernel driver takes four times as long
 * for that as we for all the rest. A flood that is too fast to be answered fills the receive queue, and then what is
 * lost there is anybody's packet. So the queue must be emptied faster than it fills: while it is backed up, and with
 * SYNs, most of them are dropped unanswered.
 *
 * Backed up: SYN_SHED_BACKLOG SYNs came by one queue, and each burst of it was full meanwhile. The first that isn't
 * ends it. So only as many SYNs are dropped as are too many, and none where the queue is long for another reason.
 *
 * Those answered even then: clients from an address (IPv6: a /64) that lately brought a connection as far as its
 * endpoint, up to SYN_SHED_KNOWN in each tick of 100 ms, and one of SYN_SHED_SHARE of all others, so that new clients
 * get in as well: theirs come again, a flood's don't need to. Known addresses are kept in a small table, one to a slot
 * by keyed hash. One that was of use in the last SYN_SHED_KEEP_MS keeps its slot against another.
 */
#ifndef POSTERN_DATAPLANE_SYN_SHED_H
#define POSTERN_DATAPLANE_SYN_SHED_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"

struct worker;

enum {
	SYN_SHED_QUEUES = 64, /* one for each device, and one for what is handed over */
	SYN_SHED_BACKLOG = 256,
	SYN_SHED_SHARE = 16,
	SYN_SHED_KNOWN = 256,
	SYN_SHED_SLOTS = 4096,
	SYN_SHED_KEEP_MS = 60000,
	SYN_SHED_FORGET_MS = 3600000 /* after so long an address is unknown again */
};

struct syn_shed {
	uint32_t *backlog;                  /* of the queue that the packet in hand has come by */
	uint32_t backlogs[SYN_SHED_QUEUES]; /* of each queue: SYNs since a burst of it wasn't full */
	struct syn_shed_known {
		uint32_t tag;     /* hash of the address; 0: free */
		uint32_t seen_ms; /* worker clock: when it was last of use */
		uint32_t tick;    /* in which answers were counted … */
		uint32_t answers; /* … and how many */
	} known[SYN_SHED_SLOTS];
};

/* A burst came by a queue (0..SYN_SHED_QUEUES − 1); full: there is more where it came from. */
void syn_shed_burst(struct syn_shed *shed, unsigned queue, bool full);
/* What is acted on next came by a queue. */
static inline void
syn_shed_from(struct syn_shed *shed, unsigned queue)
{
	shed->backlog = &shed->backlogs[queue];
}
/* Whether a SYN from a client may be answered; counts it. */
bool syn_shed_admits(struct worker *worker, const struct ip_addr *client);
/* A client's connection has reached its endpoint. */
void syn_shed_learn(struct worker *worker, const struct ip_addr *client);

#endif
