/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much may be on its way: CUBIC (RFC 9438), begun by slow start with HyStart++ (RFC 9406) from ten segments (RFC
 * 6928); after a loss Proportional Rate Reduction (RFC 6937); after a pause no more than at the beginning (RFC 5681
 * section 4.1). Windows are in bytes, times in ms; arithmetic of integers, so that a run can be repeated exactly.
 *
 *   slow start ── delay grows ──▶ conservative slow start ── for five rounds ──▶ avoidance (CUBIC)
 *        ▲                                                                         │ loss
 *        └── time-out: one segment ◀──────────────── recovery (PRR) ◀──────────────┘
 */
#ifndef POSTERN_DATAPLANE_TCP_CONGESTION_H
#define POSTERN_DATAPLANE_TCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

enum { TCP_INITIAL_SEGMENTS = 10, TCP_INITIAL_BYTES = 14600 };

struct tcp_congestion {
	uint32_t window, threshold; /* cwnd and ssthresh; threshold UINT32_MAX: none yet */
	uint32_t most;              /* W_max */
	uint32_t reno;              /* W_est, in sixteenths of a byte: what Reno would have by now */
	uint32_t credit;            /* rest of the division by which the window last grew */
	uint32_t epoch_ms, k_ms;    /* when growth began anew, and how long until W_max */
	uint32_t round_end;         /* HyStart++: the round ends when this is acknowledged */
	uint32_t round_least_ms, last_least_ms, calm_ms; /* least round trips; UINT32_MAX: none */
	uint32_t delivered, sent, flight;                /* PRR: since recovery began; flight: RecoverFS */
	uint32_t undo_window,
		undo_threshold;       /* before the last reduction, for when it turns out to have been needless */
	uint32_t last_most;           /* W_max of the last reduction: fast convergence */
	uint8_t samples, calm_rounds; /* HyStart++ */
	bool calm;                    /* conservative slow start */
	bool growing;                 /* epoch_ms is set */
};

/* una: the first byte that will be sent. */
void tcp_congestion_init(struct tcp_congestion *congestion, uint16_t mss, uint32_t una);
/* acked bytes were delivered, not in recovery. una, nxt: after that. rtt_ms: sample that came with it, UINT32_MAX:
 * none; smooth_ms: the smoothed one. limited: the window was what limited the sender. */
void tcp_congestion_acked(struct tcp_congestion *congestion, uint16_t mss, uint32_t acked, uint32_t una, uint32_t nxt,
			  uint32_t rtt_ms, uint32_t smooth_ms, bool limited, uint32_t now_ms);
/* A loss begins a recovery, with flight bytes on their way. */
void tcp_congestion_lost(struct tcp_congestion *congestion, uint16_t mss, uint32_t flight);
/* In recovery delivered bytes arrived; flight are still on their way. Sets the window. */
void tcp_congestion_recover(struct tcp_congestion *congestion, uint16_t mss, uint32_t delivered, uint32_t flight);
/* In recovery so many bytes were sent, new ones and repeated. */
static inline void
tcp_congestion_sent(struct tcp_congestion *congestion, uint32_t bytes)
{
	congestion->sent += bytes;
}
/* Recovery is over. */
void tcp_congestion_recovered(struct tcp_congestion *congestion, uint16_t mss);
/* The retransmission timer fired, first: and no recovery was going on. flight: of what isn't taken for lost. */
void tcp_congestion_timed_out(struct tcp_congestion *congestion, uint16_t mss, uint32_t flight, bool first);
/* The last reduction was for nothing: RFC 4015. */
void tcp_congestion_undo(struct tcp_congestion *congestion);
/* Nothing was sent for longer than the time-out. */
void tcp_congestion_idle(struct tcp_congestion *congestion, uint16_t mss);

#endif
