/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_congestion.h"

/* RFC 9406 section 4.3, for a sender that doesn't pace. */
enum {
	CALM_RTT_LEAST_MS = 4,
	CALM_RTT_MOST_MS = 16,
	CALM_RTT_DIVISOR = 8,
	CALM_SAMPLES = 8,
	CALM_GROWTH_DIVISOR = 4,
	CALM_ROUNDS = 5,
	SLOW_START_SEGMENTS = 8
};

enum { RENO_SHIFT = 4 }; /* of congestion->reno */

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t
most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t
initial_window(uint16_t mss)
{
	return least(TCP_INITIAL_SEGMENTS * mss, most(2u * mss, TCP_INITIAL_BYTES));
}

static void
begin_slow_start(struct tcp_congestion *congestion)
{
	congestion->round_least_ms = congestion->last_least_ms = UINT32_MAX;
	congestion->samples = congestion->calm_rounds = 0;
	congestion->calm = false;
}

void
tcp_congestion_init(struct tcp_congestion *congestion, uint16_t mss, uint32_t una)
{
	*congestion = (struct tcp_congestion){
		.window = initial_window(mss),
		.threshold = UINT32_MAX,
		.round_end = una,
	};
	begin_slow_start(congestion);
}

/* Greatest integer whose cube is at most n. */
static uint32_t
cube_root(uint64_t n)
{
	uint32_t root = 0;

	for (uint32_t bit = 1u << 20; bit != 0; bit >>= 1) {
		uint64_t next = root | bit;
		if (next * next * next <= n)
			root = (uint32_t)next;
	}
	return root;
}

/* HyStart++: whether the delay grows. */
static void
watch_delay(struct tcp_congestion *congestion, uint32_t una, uint32_t nxt, uint32_t rtt_ms)
{
	if (rtt_ms != UINT32_MAX) {
		congestion->round_least_ms = least(congestion->round_least_ms, rtt_ms);
		if (congestion->samples < CALM_SAMPLES)
			congestion->samples++;
	}
	if (congestion->samples == CALM_SAMPLES && congestion->last_least_ms != UINT32_MAX) {
		uint32_t margin =
			most(CALM_RTT_LEAST_MS, least(congestion->last_least_ms / CALM_RTT_DIVISOR, CALM_RTT_MOST_MS));
		if (!congestion->calm && congestion->round_least_ms >= congestion->last_least_ms + margin) {
			congestion->calm = true;
			congestion->calm_ms = congestion->round_least_ms;
			congestion->calm_rounds = 0;
		} else if (congestion->calm && congestion->round_least_ms < congestion->calm_ms) {
			congestion->calm = false;
		}
	}
	if ((int32_t)(una - congestion->round_end) < 0)
		return;
	congestion->round_end = nxt;
	congestion->last_least_ms = congestion->round_least_ms;
	congestion->round_least_ms = UINT32_MAX;
	congestion->samples = 0;
	if (congestion->calm && ++congestion->calm_rounds >= CALM_ROUNDS)
		congestion->threshold = congestion->window;
}

/* RFC 9438 section 4.2: where the cubic function will be, ms after its epoch. */
static uint32_t
cubic(const struct tcp_congestion *congestion, uint16_t mss, uint32_t ms)
{
	enum { FARTHEST_MS = 1000000 };
	int64_t from_k = (int64_t)ms - congestion->k_ms;

	if (from_k > FARTHEST_MS)
		from_k = FARTHEST_MS;
	int64_t change = from_k * from_k * from_k / 1000000 * mss * 4 / 10000;
	int64_t window = congestion->most + change;
	return window < mss ? mss : window > INT32_MAX ? INT32_MAX : (uint32_t)window;
}

static void
begin_epoch(struct tcp_congestion *congestion, uint16_t mss, uint32_t now_ms)
{
	congestion->growing = true;
	congestion->epoch_ms = now_ms;
	congestion->credit = 0;
	congestion->reno = congestion->window << RENO_SHIFT;
	congestion->k_ms = 0;
	if (congestion->window < congestion->most) /* K³ = (W_max − cwnd) / C, in segments and seconds; C is 0.4 */
		congestion->k_ms =
			cube_root((uint64_t)(congestion->most - congestion->window) * UINT64_C(2500000000) / mss);
	else
		congestion->most = congestion->window;
}

static void
avoid(struct tcp_congestion *congestion, uint16_t mss, uint32_t acked, uint32_t smooth_ms, uint32_t now_ms)
{
	if (!congestion->growing)
		begin_epoch(congestion, mss, now_ms);

	/* Section 4.3. α is 3 (1 − β) / (1 + β) until Reno would be where it was, then 1. */
	uint64_t step = ((uint64_t)acked * mss << RENO_SHIFT) / congestion->window;
	if (congestion->reno >> RENO_SHIFT < congestion->undo_window)
		step = step * 9 / 17;
	congestion->reno = (uint32_t)least((uint32_t)(congestion->reno + step), (uint32_t)INT32_MAX);

	uint32_t elapsed = now_ms - congestion->epoch_ms;
	if (cubic(congestion, mss, elapsed) < congestion->reno >> RENO_SHIFT) {
		congestion->window = most(congestion->window, congestion->reno >> RENO_SHIFT);
		return;
	}
	uint32_t target = cubic(congestion, mss, elapsed + smooth_ms);
	target = least(most(target, congestion->window), congestion->window + congestion->window / 2);
	uint64_t growth = (uint64_t)acked * (target - congestion->window) + congestion->credit;
	congestion->credit = (uint32_t)(growth % congestion->window);
	congestion->window += (uint32_t)(growth / congestion->window);
}

void
tcp_congestion_acked(struct tcp_congestion *congestion, uint16_t mss, uint32_t acked, uint32_t una, uint32_t nxt,
		     uint32_t rtt_ms, uint32_t smooth_ms, bool limited, uint32_t now_ms)
{
	if (congestion->window < congestion->threshold)
		watch_delay(congestion, una, nxt, rtt_ms);
	if (!limited) {
		congestion->growing = false;
		return;
	}
	if (congestion->window < congestion->threshold) {
		uint32_t growth = least(acked, (uint32_t)SLOW_START_SEGMENTS * mss);
		if (congestion->calm)
			growth /= CALM_GROWTH_DIVISOR;
		congestion->window =
			least(congestion->window + growth, most(congestion->threshold, congestion->window));
		return;
	}
	avoid(congestion, mss, acked, smooth_ms, now_ms);
}

/* Section 4.6 and 4.7: β is 0.7. */
static void
reduce(struct tcp_congestion *congestion, uint16_t mss)
{
	congestion->undo_window = congestion->window;
	congestion->undo_threshold = congestion->threshold;
	congestion->most = congestion->window;
	if (congestion->window < congestion->last_most)
		congestion->most = (uint32_t)((uint64_t)congestion->window * 17 / 20);
	congestion->last_most = congestion->most;
	congestion->threshold = most((uint32_t)((uint64_t)congestion->window * 7 / 10), 2u * mss);
	congestion->growing = false;
	begin_slow_start(congestion);
}

void
tcp_congestion_lost(struct tcp_congestion *congestion, uint16_t mss, uint32_t flight)
{
	reduce(congestion, mss);
	congestion->delivered = congestion->sent = 0;
	congestion->flight = most(flight, mss);
}

void
tcp_congestion_recover(struct tcp_congestion *congestion, uint16_t mss, uint32_t delivered, uint32_t flight)
{
	uint32_t more;

	congestion->delivered += delivered;
	if (flight > congestion->threshold) {
		uint64_t due = ((uint64_t)congestion->delivered * congestion->threshold + congestion->flight - 1) /
			       congestion->flight;
		more = due > congestion->sent ? (uint32_t)due - congestion->sent : 0;
	} else { /* slow start back to the threshold: PRR-SSRB */
		uint32_t banked =
			congestion->delivered > congestion->sent ? congestion->delivered - congestion->sent : 0;
		more = least(congestion->threshold - flight, most(banked, delivered) + mss);
	}
	congestion->window = flight + more;
}

void
tcp_congestion_recovered(struct tcp_congestion *congestion, uint16_t mss)
{
	congestion->window = most(congestion->threshold, 2u * mss);
}

void
tcp_congestion_timed_out(struct tcp_congestion *congestion, uint16_t mss, uint32_t flight, bool first)
{
	if (first)
		reduce(congestion, mss);
	congestion->window = flight + mss;
	congestion->growing = false;
	begin_slow_start(congestion);
}

void
tcp_congestion_undo(struct tcp_congestion *congestion)
{
	congestion->window = most(congestion->window, congestion->undo_window);
	congestion->threshold = congestion->undo_threshold;
	congestion->growing = false;
}

void
tcp_congestion_idle(struct tcp_congestion *congestion, uint16_t mss)
{
	congestion->window = least(congestion->window, initial_window(mss));
	congestion->growing = false;
}
