/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a TCP connection, in one cache line; the generator's only state for it.
 *
 * Clients and servers are in one array, clients first. A client's number gives its address and port (and the other way
 * round), so its segments find it without a search; a server's is found by lookup.h.
 */
#ifndef POSTERN_PERF_LOADGEN_CONN_H
#define POSTERN_PERF_LOADGEN_CONN_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum conn_state { CONN_CLOSED, CONN_SYN_SENT, CONN_SYN_RECEIVED, CONN_OPEN };

enum {
	CONN_FIN_WANTED = 0x01,   /* FIN after what is to be sent */
	CONN_FIN_SENT = 0x02,     /* it has number `goal` */
	CONN_FIN_RECEIVED = 0x04, /* rcv_nxt is beyond it */
	CONN_ACK_OWED = 0x08,     /* with the next segment, at the next but one received, or in a while */
	CONN_RECOVERING = 0x10,   /* something was lost: one segment for each ACK, until una is nxt */
	CONN_TIMESTAMPS = 0x20,   /* both ends send them */
	CONN_TIMER_SET = 0x40,    /* timers.h */
	CONN_TIMER_ENTERED = 0x80,
};

struct conn {
	uint32_t peer_addr; /* network order, as peer_port */
	uint16_t peer_port;
	uint16_t local; /* server: which of the addresses */

	uint8_t state : 3;
	uint8_t dup_acks : 2;
	uint8_t slow_start : 1;
	uint8_t heard : 1; /* play.h's: the first answer, or the hello, is here */
	uint8_t asked : 1; /* play.h's: an answer is awaited */
	uint8_t flags;
	uint8_t cwnd;        /* segments */
	uint8_t wscale : 4;  /* of the peer's windows */
	uint8_t retries : 4; /* in a row */
	uint16_t mss;        /* payload that the peer takes in a segment, timestamps allowed for */
	uint16_t window;     /* as the peer sent it */

	uint32_t iss, una, nxt; /* RFC 9293's ISS, SND.UNA, SND.NXT */
	uint32_t goal;          /* number after the last byte that is to be sent */
	uint32_t irs, rcv_nxt;
	uint32_t rcv_goal; /* number after the last byte of what is awaited */
	uint32_t ts_recent;
	uint32_t began; /* client: when what is measured was due (play.h); server: the client's stamp (stream.h), or
			   the next that is free (lookup.h) */

	uint32_t next, previous; /* timers.h, these and the two below */
	uint16_t due, slot;
};

static_assert(sizeof(struct conn) == 64, "one cache line");

/* a before b, on the circle of sequence numbers. */
static inline bool
seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
