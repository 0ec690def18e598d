/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding out what is lost, and getting over it: RACK-TLP (RFC 8985) where the peer tells what it has by SACK, three
 * duplicate acknowledgments (RFC 6582) where it doesn't.
 *
 * What was sent before something that has arrived, by more than the reordering window, is lost. The window is nothing
 * until reordering was seen, then a quarter of the least round trip, and more with every round trip in which the
 * receiver tells by D-SACK (RFC 2883) that something was repeated for nothing.
 *
 * When the last segments of a flight are lost nothing arrives that could tell. So two round trips after the last
 * transmission a probe goes out, a new segment or the last one again, whose SACK tells (TLP). Only when that brings
 * nothing either, the retransmission timer takes all for lost.
 *
 * open ── something is lost ──▶ recovery ── all sent until then is acknowledged ──▶ open
 *   │                               │
 *   └── time-out ──▶ loss ◀─────────┘     … ends the same way, or when the time-out turns out to have been for nothing
 *                                         (RFC 3522: the echoed timestamp is that of the first transmission)
 */
#ifndef POSTERN_DATAPLANE_TCP_RECOVERY_H
#define POSTERN_DATAPLANE_TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp_scoreboard.h"

struct tcp;
struct tcp_env;

enum { TCP_DUPLICATES = 3, TCP_WORST_ACK_DELAY_MS = 200, TCP_RACK_PERSIST = 16, TCP_RACK_MULTIPLE_MAX = 64 };

/* Whether the reduction may turn out to have been for nothing. */
enum tcp_undo { TCP_UNDO_NONE, TCP_UNDO_ARMED, TCP_UNDO_READY };

enum tcp_recovery_phase { TCP_OPEN, TCP_RECOVERY, TCP_LOSS };

struct tcp_rack {
	uint32_t sent_ms, end;  /* of what was sent last among all that has arrived */
	uint32_t rtt_ms;        /* that it took */
	uint32_t fack;          /* highest sequence number that has arrived, plus one */
	uint32_t round;         /* the multiple may grow again when this is acknowledged */
	uint32_t point;         /* recovery ends when this is acknowledged */
	uint32_t probe_end;     /* nxt after the tail loss probe */
	uint32_t wait_until_ms; /* while waiting: when more may be lost */
	uint32_t again_tsval;   /* of the first retransmission of this recovery, when undo is TCP_UNDO_READY */
	uint16_t duplicates;    /* acknowledgments that came again, where there is no SACK */
	uint8_t phase;          /* enum tcp_recovery_phase */
	uint8_t undo;           /* enum tcp_undo */
	uint8_t multiple;       /* of the window, in quarters of the least round trip */
	uint8_t persist;        /* recoveries until it is one again */
	bool any;               /* sent_ms, end, rtt_ms are set */
	bool reordering;        /* was seen */
	bool waiting;
	bool widened;     /* the multiple grew in this round */
	bool probing;     /* a tail loss probe is on its way, … */
	bool probe_again; /* … which was sent before */
	bool force;       /* one segment may be sent again whatever the window says */
};

/* What an acknowledgment says. */
struct tcp_acked {
	struct tcp_news news;
	struct tcp_range d_sack; /* its first block, when that is of what was here already (RFC 2883); else empty */
	uint32_t flight;         /* bytes on their way before */
	uint32_t tsecr;          /* when timestamps */
	bool timestamps;
	uint32_t advance; /* una moved by so many */
	bool duplicate;   /* it says nothing new, and is one of those that count (RFC 5681 section 2) */
};

void tcp_rack_init(struct tcp_rack *rack, uint32_t iss);
/* After the scoreboard has heard of an acknowledgment: finds losses, begins and ends recovery, sets the window. */
void tcp_recovery_acked(struct tcp *tcp, const struct tcp_env *env, const struct tcp_acked *acked);
/* The retransmission timer fired: all is lost. */
void tcp_recovery_timed_out(struct tcp *tcp, const struct tcp_env *env);
/* wait_until_ms has come. */
void tcp_recovery_waited(struct tcp *tcp, const struct tcp_env *env);
/* Something lost is sent again. */
void tcp_recovery_resends(struct tcp *tcp, const struct tcp_env *env);
/* Whether a tail loss probe makes sense now, and how long after the last transmission. */
bool tcp_recovery_may_probe(const struct tcp *tcp);
uint32_t tcp_recovery_probe_ms(const struct tcp *tcp);
/* A tail loss probe was sent. */
void tcp_recovery_probed(struct tcp *tcp, bool again);

#endif
