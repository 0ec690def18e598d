/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Held bytes: what a client has sent before its endpoint is chosen and has answered.
 *
 * A hold is the beginning of one client's stream in one contiguous buffer: the ClientHello parser reads it as it is, a
 * repeated segment falls on the same bytes, a segment out of order leaves a gap that is remembered, and for the
 * endpoint the bytes are cut anew at the size that *it* takes. Packet buffers are never kept: a client that sends a
 * byte a segment would pin 2 kB with each.
 *
 *   bytes   ├── acked ──┤── contiguous ──┤   gap   ├── early ──┤            HOLD_MAX
 *           0           acked            end
 *
 * Normally nothing is acknowledged before the endpoint does: the client still owns its bytes. Where the client needs an
 * ACK to go on, what was acknowledged (acked) is ours to deliver, and the hold stays until the endpoint has
 * acknowledged it.
 *
 * A hold whose flow isn't spliced yet stands in a queue, in order of age, with others that wait for the same thing:
 * more of the hello, or an endpoint's answer. When holds run short, reclaim.c looks there for what to give up.
 *
 * Buffers come in two sizes, small (2 KiB: a post-quantum hello fits) and large (16 KiB), from pools of indices; index
 * 0 is none. Memory is touched when used.
 */
#ifndef POSTERN_DATAPLANE_HOLD_H
#define POSTERN_DATAPLANE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	HOLD_SMALL = 2048,
	HOLD_MAX = 16384, /* bytes of a client's stream */
	HOLD_SOURCES = 1024,
	HOLD_LARGE_LOOK = 32,
	HOLD_GAPS_MAX =
		4, /* ranges out of order that are remembered; what doesn't fit is dropped, the client repeats it */
	HOLD_NO_FIN = 0xffff
};

#define HOLD_LARGE_BIT 0x80000000u

/* What a hold waits for. */
enum hold_queue {
	HOLD_QUEUE_HELLO,    /* its flow is PEEKING */
	HOLD_QUEUE_ENDPOINT, /* CONNECTING */
	HOLD_QUEUES,
	HOLD_QUEUE_NONE = HOLD_QUEUES /* neither: what was acknowledged is being delivered */
};

struct hold_range {
	uint16_t begin, end; /* offsets in the stream; end is beyond the last byte */
};

struct hold {
	uint32_t buffer;    /* small: 1..n_holds; large: 1..n_large with HOLD_LARGE_BIT */
	uint32_t next;      /* the next younger in its queue; of the free list */
	uint32_t before;    /* the next older in its queue */
	uint32_t flow;      /* whose it is */
	uint32_t queued_ms; /* worker clock: since when it is in its queue */
	uint16_t end;       /* bytes 0..end are here */
	uint16_t acked;     /* of those, acknowledged to the client */
	uint16_t sent;      /* of those, sent to the endpoint at least once */
	uint16_t arrived;   /* of those, acknowledged by the endpoint */
	uint16_t parsed;    /* end when the decision was last asked for */
	uint8_t segments;   /* that added bytes since our last ACK, saturating */
	uint8_t n_early;
	uint8_t queue;     /* enum hold_queue */
	uint16_t source;   /* its client's place in hold_pool.crowd */
	uint32_t since_ms; /* worker clock: when the first byte that isn't acknowledged came */
	/* What else is needed only until the flow is spliced and these bytes are delivered; dial.c's and peek.c's. */
	uint32_t client_isn;  /* the client's initial sequence number; that of our SYN to the endpoint follows by
				 seq_delta */
	uint32_t deadline_ms; /* worker clock: end of the connect attempt */
	uint32_t client_ts;   /* latest TSval of the client, where timestamps are on */
	uint32_t endpoint_ts; /* latest TSval of the endpoint; 0: none that it may be sent back */
	uint32_t gate_ts;     /* latest TSval that we told the client */
	bool plain;           /* its listener decides without bytes */
	bool far;             /* the client isn't known to be near (dial.h) */
	uint8_t port;         /* net port that the ACK which ended the handshake came in by */
	uint32_t tried[2];    /* live slots of endpoints that failed, most recent first */
	struct hold_range early[HOLD_GAPS_MAX]; /* sorted, disjoint, all beyond end */
};

struct hold_pool {
	struct hold *holds; /* [0] is never used */
	uint8_t *small, *large;
	uint32_t *free_buffers; /* next of each free buffer, n_holds small ones first; [0] is never used. Of a large one
				   in use: the hold that has it */
	uint32_t n_holds, n_large;
	uint32_t free_hold, free_small, free_large;           /* heads */
	uint32_t touched_holds, touched_small, touched_large; /* high-water marks */
	uint32_t used;
	uint32_t crowd[HOLD_SOURCES]; /* by hash of the client's address: how many wait for their hello */
	uint32_t large_hand;          /* the large buffer that hold_large_waiting looked at last */
	uint32_t waiting, crowds;     /* the sum of them, and how many aren't 0 */
	uint32_t oldest[HOLD_QUEUES], youngest[HOLD_QUEUES]; /* ends of the queues; 0: empty */
};

/* n_holds: how many at a time, 64..1048576; an eighth of them may be large. Address space is reserved, not touched. */
bool hold_pool_init(struct hold_pool *pool, uint32_t n_holds);
void hold_pool_free(struct hold_pool *pool);

/* An empty hold with a small buffer, in no queue, all else 0; the caller sets flow and source. 0 when none is free. */
uint32_t hold_alloc(struct hold_pool *pool);
void hold_release(struct hold_pool *pool, uint32_t index);
/* Whether hold_alloc would fail. */
bool hold_pool_is_empty(const struct hold_pool *pool);
/* Whether all large buffers are in use. */
bool hold_large_is_empty(const struct hold_pool *pool);
/* A hold other than besides that has a large buffer and waits for the rest of its hello; in turn, each time another. 0
 * when the next HOLD_LARGE_LOOK large buffers have no such owner. */
uint32_t hold_large_waiting(struct hold_pool *pool, uint32_t besides);
/* Moves a hold to a queue, as its youngest. */
void hold_enqueue(struct hold_pool *pool, uint32_t index, enum hold_queue queue, uint32_t now_ms);
/* Gives the memory of all buffers back to the kernel. Only when none is in use. */
void hold_pool_trim(struct hold_pool *pool);
struct hold *hold_get(const struct hold_pool *pool, uint32_t index);
const uint8_t *hold_bytes(const struct hold_pool *pool, const struct hold *hold);

enum hold_verdict {
	HOLD_TAKEN,  /* new bytes are in; end may or may not have moved */
	HOLD_REPEAT, /* nothing new */
	HOLD_BEYOND, /* wholly or partly beyond HOLD_MAX; what fitted is in */
	HOLD_NO_ROOM /* no large buffer free, or too many gaps; nothing was taken */
};

/* Adds bytes at offset of the stream (0..2^16). A byte that is here already stays as it came first: what the decision
 * was made on is what the endpoint gets, whatever a repeat claims. The bytes may move: take hold_bytes again. */
enum hold_verdict hold_add(struct hold_pool *pool, struct hold *hold, uint32_t offset, const uint8_t *bytes,
			   uint16_t length);

#endif
