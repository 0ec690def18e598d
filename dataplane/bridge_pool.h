/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of one worker's bridges (bridge.h): what a connection that ends here costs beside its flow record.
 *
 * Address space for all of them is reserved at start and touched when used: a record comes from a list of released ones
 * first, then from a high-water mark. Index 0 is none.
 */
#ifndef POSTERN_DATAPLANE_BRIDGE_POOL_H
#define POSTERN_DATAPLANE_BRIDGE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow.h"
#include "dataplane/tcp.h"

/* Bits of bridge.flags. */
enum {
	BRIDGE_SESSION = 1 << 0,      /* it has one, which hears of it; else it is a relay */
	BRIDGE_QUEUED = 1 << 1,       /* it is in the list of those to be settled, for one of the next three … */
	BRIDGE_FAILED = 1 << 2,       /* … a failed attempt to connect hasn't been told yet */
	BRIDGE_CLOSES = 1 << 3,       /* … bridge_close */
	BRIDGE_ENDS = 1 << 4,         /* … bridge_end */
	BRIDGE_HAS_DEADLINE = 1 << 5, /* deadline_ms means something */
	BRIDGE_HAS_ALARM = 1 << 6,    /* alarm_ms means something */
	BRIDGE_LINGERS = 1 << 7       /* CLOSING, and all is said */
};

struct bridge {
	struct tcp tcp[LEG_COUNT]; /* that of LEG_ENDPOINT is none while BRIDGE_ALONE */
	void *session;             /* the gateway's */
	uint32_t flow;             /* whose it is; FLOW_NONE: the record is free */
	uint32_t next;             /* of the free list, or of those to be settled */
	uint32_t idle_ms;          /* worker clock: when to look again whether it is idle */
	uint32_t deadline_ms;      /* worker clock: of connecting; once it is CLOSING, of that */
	uint32_t alarm_ms;         /* worker clock: of bridge_alarm */
	uint32_t moved, moved_ms;  /* how far it was when reclaim.c looked last that it had got on, and when that was */
	uint32_t resent[LEG_COUNT]; /* of what the endpoints sent again, what is counted */
	uint8_t phase;              /* enum bridge_phase */
	uint8_t reason;             /* enum reason, of what is to be settled */
	uint8_t flags;
	uint8_t port;                /* net port that the client's handshake came in by */
	uint8_t farewell[LEG_COUNT]; /* of the last bytes sent to a leg, those that only say good-bye */
};

struct bridge_pool {
	struct bridge *bridges; /* [0] is never used */
	uint32_t capacity, free, touched, used;
	uint32_t hand;            /* reclaim.c: the record that was looked at last */
	uint32_t settle;          /* head of those to be settled; 0: none */
	struct tcp_limits limits; /* of all endpoints; without keep-alives, since idleness is watched anyhow */
};

/* capacity: 1..2^24. */
bool bridge_pool_init(struct bridge_pool *pool, uint32_t capacity);
/* What is in use is given back first. */
void bridge_pool_free(struct bridge_pool *pool);

/* A record of zeroes, for that flow; 0 when none is free. */
uint32_t bridge_alloc(struct bridge_pool *pool, uint32_t flow);
/* Gives a record back, and the packet buffers that wait in its endpoints. */
void bridge_free(struct bridge_pool *pool, uint32_t index);

static inline struct bridge *
bridge_pool_get(const struct bridge_pool *pool, uint32_t index)
{
	return &pool->bridges[index];
}

/* Packet buffers that wait in a bridge. */
static inline uint32_t
bridge_packets(const struct bridge *bridge)
{
	return tcp_mbufs(&bridge->tcp[LEG_CLIENT]) + tcp_mbufs(&bridge->tcp[LEG_ENDPOINT]);
}

static inline uint32_t
bridge_pool_index(const struct bridge_pool *pool, const struct bridge *bridge)
{
	return (uint32_t)(bridge - pool->bridges);
}

#endif
