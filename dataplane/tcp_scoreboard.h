/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scoreboard: what is known of every byte that was sent and not acknowledged (RFC 2018 section 5, RFC 6675 section
 * 4, RFC 8985 section 6).
 *
 *   una                                              nxt
 *    ├─ run ─┼─── run ───┼ run ┼──── run ─────────────┤
 *      lost     sacked           sent at 1,017 ms
 *
 * Segments aren't remembered: when something is to be sent again, it is cut anew from the queue of bytes. What is kept
 * are runs: stretches of sequence space that were last sent in the same millisecond and are in the same state. Where
 * all goes well there are as many runs as the round trip has milliseconds in which something was sent, at most; every
 * hole that the receiver tells of adds two.
 *
 * Four runs have their place here; where more are needed, an mbuf is taken from the pool to hold them, until all is
 * acknowledged. Where that isn't enough, or there is none, less is told apart: two neighbours become one with the later
 * time, and with what is true of both. That a SACK is forgotten RFC 2018 section 8 allows, and what was lost is found
 * to be lost again. So a poor scoreboard costs time and a needless retransmission, never a byte.
 */
#ifndef POSTERN_DATAPLANE_TCP_SCOREBOARD_H
#define POSTERN_DATAPLANE_TCP_SCOREBOARD_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct tcp_rack;

enum { TCP_RUNS_INLINE = 4, TCP_RUNS_MAX = 168 };

/* Bits of tcp_run.state. */
enum {
	TCP_RUN_SACKED = 1 << 0, /* the receiver has it */
	TCP_RUN_LOST = 1 << 1,   /* to be sent again */
	TCP_RUN_AGAIN = 1 << 2   /* was sent more than once: nothing is to be timed by it (Karn) */
};

struct tcp_run {
	uint32_t begin;   /* sequence number; it ends where the next one begins, the last at nxt */
	uint32_t sent_ms; /* when it was last sent */
	uint8_t state;
};

struct tcp_scoreboard {
	struct rte_mbuf *page; /* holds the runs when there are more than TCP_RUNS_INLINE; NULL: they are in here */
	uint32_t sacked, lost; /* bytes in that state */
	uint16_t first, n;     /* of the runs: place of the first one, how many */
	struct tcp_run runs[TCP_RUNS_INLINE];
};

/* A stretch of sequence space. */
struct tcp_range {
	uint32_t begin, end;
};

/* What one acknowledgment has newly told. */
struct tcp_news {
	uint32_t acked;    /* bytes that una passed and that weren't sacked before */
	uint32_t sacked;   /* bytes newly sacked */
	uint32_t sent_ms;  /* of all those, when the one that was sent last was sent, … */
	uint32_t end;      /* … and where it ends: RFC 8985 section 6.2 step 1 */
	bool any;          /* … if there is one */
	bool again;        /* … and whether it was sent more than once */
	bool once;         /* una passed something that was sent only once, */
	uint32_t once_ms;  /* … the first of which then: what the round trip is timed by (RFC 6298) */
	bool repaired;     /* … but also something that was sent again, or lost: then it can't be timed by it */
	bool reordered;    /* what was sent only once arrived behind what lies beyond it */
	bool fresh;        /* something that was sent only once was newly sacked, */
	uint32_t fresh_ms; /* … the last of which then */
};

/* begin..end were sent for the first time, behind all that was sent before. */
void tcp_scoreboard_sent(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t begin, uint32_t end,
			 uint32_t now_ms);
/* range, within una..nxt, was sent once more. */
void tcp_scoreboard_sent_again(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt,
			       struct tcp_range range, uint32_t now_ms);
/* una has moved to una. fack: the highest sequence number that had been acknowledged or sacked before. Adds to *news.
 */
void tcp_scoreboard_acked(struct tcp_scoreboard *board, uint32_t una, uint32_t nxt, uint32_t fack,
			  struct tcp_news *news);
/* The receiver says that it has range, within una..nxt. Adds to *news. */
void tcp_scoreboard_sacked(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt, struct tcp_range range,
			   uint32_t fack, struct tcp_news *news);
/* What of range wasn't sacked is lost. */
void tcp_scoreboard_lose(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt, struct tcp_range range);
/* A receiver that has given up what it SACKed (RFC 2018 section 8): all of that is lost. */
void tcp_scoreboard_forget_sacks(struct tcp_scoreboard *board, uint32_t nxt);
/* What was taken for lost is on its way after all. */
void tcp_scoreboard_forget_losses(struct tcp_scoreboard *board, uint32_t nxt);
/* Whether the first byte, the last byte is sacked. */
bool tcp_scoreboard_begins_sacked(const struct tcp_scoreboard *board);
bool tcp_scoreboard_ends_sacked(const struct tcp_scoreboard *board);
/* The first lost range; false: there is none. */
bool tcp_scoreboard_next_lost(const struct tcp_scoreboard *board, uint32_t nxt, struct tcp_range *range);
/* What was last sent at before_ms or earlier, and isn't sacked, is lost. True: something is that wasn't before. */
bool tcp_scoreboard_lose_late(struct tcp_scoreboard *board, uint32_t nxt, uint32_t before_ms);
/* RFC 8985 section 6.2 step 5: loses what was sent so long before what has arrived that it should have arrived too.
 * True as above. *wait_ms: how long until more of it may be (0: none will). */
bool tcp_scoreboard_detect(struct tcp_scoreboard *board, uint32_t nxt, const struct tcp_rack *rack, uint32_t window_ms,
			   uint32_t now_ms, uint32_t *wait_ms);
/* Gives the page back. */
void tcp_scoreboard_clear(struct tcp_scoreboard *board);

#endif
