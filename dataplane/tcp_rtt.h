/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The round trip, and how long to wait for an acknowledgment: RFC 6298, with samples from timestamps (RFC 7323 section
 * 4) or from what was sent only once (Karn). Times in ms; a round trip of less than one counts as one.
 */
#ifndef POSTERN_DATAPLANE_TCP_RTT_H
#define POSTERN_DATAPLANE_TCP_RTT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TCP_RTO_FIRST_MS = 1000,
	TCP_RTO_AFTER_SYN_LOSS_MS = 3000, /* RFC 6298 section 5.7 */
	TCP_RTO_MAX_MS = 60000,
	TCP_MIN_RTT_WINDOW_MS = 300000 /* the least round trip is one of the last five to ten minutes */
};

struct tcp_rtt {
	uint32_t srtt8;  /* smoothed, in eighths; 0: no sample yet */
	uint32_t var4;   /* variation, in quarters */
	uint32_t rto_ms; /* without back-off */
	uint32_t least_ms,
		least_before_ms; /* since least_at_ms, and in the window before that; UINT32_MAX: no sample */
	uint32_t least_at_ms;
	uint8_t backoff; /* how often the time-out was doubled */
};

void tcp_rtt_init(struct tcp_rtt *rtt);
/* A sample: ends the back-off. The time-out exceeds the smoothed round trip by four variations, and by rto_min_ms at
 * least: more than RFC 6298 asks for, and what Linux does, so that a peer's delayed acknowledgment is never taken for a
 * loss. */
void tcp_rtt_sample(struct tcp_rtt *rtt, uint32_t ms, uint32_t rto_min_ms, uint32_t now_ms);

/* The time-out as it stands, back-off and all. */
static inline uint32_t
tcp_rtt_timeout(const struct tcp_rtt *rtt)
{
	uint64_t ms = (uint64_t)rtt->rto_ms << (rtt->backoff < 10 ? rtt->backoff : 10);
	return ms < TCP_RTO_MAX_MS ? (uint32_t)ms : TCP_RTO_MAX_MS;
}

/* Smoothed round trip; 0: no sample yet. */
static inline uint32_t
tcp_rtt_smooth(const struct tcp_rtt *rtt)
{
	return rtt->srtt8 / 8;
}

/* The least of late, 0: no sample yet. */
static inline uint32_t
tcp_rtt_least(const struct tcp_rtt *rtt)
{
	uint32_t least = rtt->least_ms < rtt->least_before_ms ? rtt->least_ms : rtt->least_before_ms;
	return least == UINT32_MAX ? 0 : least;
}

#endif
