/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow record: the one structure that a connection costs. Everything else in this room reads or writes it.
 *
 *   client ──── leg[LEG_CLIENT] ────┐ worker ┌──── leg[LEG_ENDPOINT] ──── endpoint
 *                peer = client      └────────┘      peer = endpoint
 *                local = listener                   local = one of our addresses, a port that names the worker
 *
 * Two legs of one cache line each, and a third line for what packets don't need. A record is plain data, linked by
 * index and free of pointers, because it lives in a mapping that outlives the process (flow_table.h).
 *
 * Sequence numbers. What a peer sends is in its own numbering; the other peer must see it in the numbering that our
 * side of *its* leg announced. `seq_delta` of a leg is added to the sequence numbers that arrive on it; the
 * acknowledgment numbers and SACK edges that arrive on it are in the other peer's translated numbering, so the *other*
 * leg's seq_delta is taken from them. Timestamps go the same way: TSval + ts_delta, TSecr − the other's ts_delta (RFC
 * 7323). All of it is arithmetic modulo 2^32.
 *
 * A BRIDGED flow's legs have nothing to do with each other: no deltas. Their numbers are there for adoption (bridge.h).
 *
 * The process may die between any two instructions, and the next one reads what it left (flow_adopt.h). So `state` is
 * the last word of every change: what it says, the rest of the record has said before. What a state doesn't need may be
 * half-written; a record in SPLICED or CLOSING never is.
 */
#ifndef POSTERN_DATAPLANE_FLOW_H
#define POSTERN_DATAPLANE_FLOW_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "platform/ip_addr.h"

enum { FLOW_NONE = 0 };            /* index 0 is never a flow: zeroed memory has no links */
enum { FLOW_CHALLENGE_SHIFT = 9 }; /* of the worker's clock: units of 512 ms */

enum flow_state {
	FLOW_FREE,
	FLOW_PEEKING,    /* the client's ClientHello isn't whole yet */
	FLOW_CONNECTING, /* SYN sent to the endpoint */
	FLOW_SPLICED,    /* both legs established; packets are rewritten */
	FLOW_CLOSING,    /* both FINs acknowledged, or a RST passed: lingers for late retransmissions. The legs of what
			    was bridged stay BRIDGED */
	FLOW_PROBING,    /* no client: one SYN to an endpoint to learn its TCP options */
	FLOW_BRIDGED,    /* each leg ends in a TCP endpoint of our own (bridge.h) */
	FLOW_STATES
};

enum { LEG_CLIENT, LEG_ENDPOINT, LEG_COUNT };

/* Bits of flow_leg.flags. */
enum {
	LEG_SACK = 1 << 0,      /* the peer of this leg may be sent SACK blocks, and we announced it (RFC 2018) */
	LEG_TS = 1 << 1,        /* timestamps were negotiated on this leg */
	LEG_WSCALE = 1 << 2,    /* window scaling was negotiated on this leg */
	LEG_FIN = 1 << 3,       /* the peer's FIN was seen in window; seq_end is beyond it */
	LEG_FIN_ACKED = 1 << 4, /* … and the other peer acknowledged it */
	LEG_ACTIVE = 1 << 5,    /* a packet arrived since the idle timer last looked; of a bridge's both legs, since it
				   last saw this of both */
	LEG_HASHED = 1 << 6,    /* the leg is in the hash */
	LEG_HELD = 1 << 7       /* endpoint leg: it hasn't acknowledged all that we hold for it (dial.c) */
};

struct flow_leg {
	struct ip_addr peer;
	uint16_t peer_port;  /* network order */
	uint16_t local_port; /* network order */
	uint16_t local_addr; /* index of the local address (net.h) */
	uint8_t flags;
	uint8_t wscale;     /* shift of the windows that this peer announces, 0..14; 0 without LEG_WSCALE */
	uint32_t hash;      /* of the key above; kept so that removal need not compute it */
	uint32_t hop;       /* the next hop towards the peer: neighbour index and generation (neighbour.h) */
	uint32_t seq_delta; /* added to sequence numbers that arrive on this leg */
	uint32_t ts_delta;  /* added to TSvals that arrive on this leg */
	uint32_t
		seq_end; /* highest sequence number seen from the peer, plus one; FIN and SYN count; peer's numbering */
	uint32_t ack;  /* highest acknowledgment number seen from the peer, in the numbering of our side of this leg */
	uint32_t edge; /* right edge of the window that the peer offered: highest ack + (window << wscale). BRIDGED:
			  the end of what was sent to the peer */
	uint16_t mss;  /* largest payload, options not counted, that may be sent to the peer */
	uint8_t announced; /* shift that our side of this leg announced to the peer; windows sent to it are in these
			      units */
	uint8_t state;     /* enum flow_state again, where a packet finds it without touching the third line */
	uint64_t bytes;    /* payload bytes that arrived on this leg and were passed on, repeats included */
};

static_assert(sizeof(struct flow_leg) == 64, "a leg is one cache line");

struct flow {
	struct flow_leg leg[LEG_COUNT];

	/* The third line: not touched by a packet of a SPLICED flow in its normal course. */
	uint32_t generation;             /* odd while the record is in use; bumped at allocation and at release */
	uint8_t state;                   /* enum flow_state */
	uint8_t attempts;                /* endpoints tried so far */
	uint8_t retries;                 /* retransmissions of what the timer is waiting for */
	uint8_t reason;                  /* enum reason: why it closes */
	uint32_t timer_next, timer_prev; /* neighbours in the wheel slot; also the link of the free list */
	uint32_t timer_at;               /* expiry, ms of the worker's clock; meaningful while timer_armed */
	uint8_t timer_armed : 1;
	uint8_t owes : 1; /* before SPLICED: the client was told that bytes have arrived, and only the hold has them; or
			     may have none that it would repeat (a plain listener). BRIDGED: there is no endpoint yet
			     that could have them */
	uint8_t syn_acks_due : 1; /* that a SYN sent twice will bring, and nobody waits for (dial.h) */
	uint8_t challenged;       /* when it was last challenged, FLOW_CHALLENGE_SHIFT, modulo 256 */
	uint16_t idle_ticks;      /* of the idle watch that passed without a packet (flow_close.c) */
	uint32_t endpoint;        /* live slot of the endpoint (dataplane.h); 0: none yet */
	uint32_t service;         /* live slot of the backend; 0: none yet */
	uint32_t listener;        /* live slot of the listener */
	union {
		uint32_t hold;   /* index of the held bytes (hold.h); 0: none */
		uint32_t bridge; /* index of the bridge (bridge.h), while flow_is_bridged */
	};
	uint32_t opened_s;           /* wall clock of the handshake's last ACK: seconds since 1970 … */
	uint16_t opened_ms;          /* … and milliseconds, 0..999 */
	uint16_t hello_length;       /* bytes that were held when it was spliced */
	uint64_t counted[LEG_COUNT]; /* of leg[].bytes, what the live counters have */
};

static_assert(sizeof(struct flow) == 192, "two legs and one line of the rest");

/* Whether its legs end in TCP endpoints of our own: BRIDGED, or CLOSING after that. */
static inline bool
flow_is_bridged(const struct flow *flow)
{
	return flow->leg[LEG_CLIENT].state == FLOW_BRIDGED;
}

static inline unsigned
leg_other(unsigned leg)
{
	return leg ^ 1;
}

/* Whether somebody who sent what a stranger might have sent may be answered by an ACK now: about twice a second for
 * each connection (RFC 5961 section 7). */
static inline bool
flow_may_challenge(struct flow *flow, uint32_t clock_ms)
{
	uint8_t now = (uint8_t)(clock_ms >> FLOW_CHALLENGE_SHIFT);
	bool may = flow->challenged != now;
	flow->challenged = now;
	return may;
}

/* Wall clock, ms since 1970, of the handshake's last ACK. */
static inline uint64_t
flow_opened(const struct flow *flow)
{
	return (uint64_t)flow->opened_s * 1000 + flow->opened_ms;
}

/* Sequence space, RFC 9293 section 3.4: a < b, a <= b modulo 2^32. */
static inline bool
seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool
seq_at_most(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

/* "peeking", "spliced", …; "unknown" for what is no state. */
const char *flow_state_text(enum flow_state state);

#endif
