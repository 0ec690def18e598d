/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_rtt.h"

void
tcp_rtt_init(struct tcp_rtt *rtt)
{
	*rtt = (struct tcp_rtt){
		.rto_ms = TCP_RTO_FIRST_MS,
		.least_ms = UINT32_MAX,
		.least_before_ms = UINT32_MAX,
	};
}

static void
note_least(struct tcp_rtt *rtt, uint32_t ms, uint32_t now_ms)
{
	if (rtt->least_ms == UINT32_MAX)
		rtt->least_at_ms = now_ms;
	if (now_ms - rtt->least_at_ms > TCP_MIN_RTT_WINDOW_MS) {
		rtt->least_before_ms = rtt->least_ms;
		rtt->least_ms = UINT32_MAX;
		rtt->least_at_ms = now_ms;
	}
	if (ms < rtt->least_ms)
		rtt->least_ms = ms;
}

void
tcp_rtt_sample(struct tcp_rtt *rtt, uint32_t ms, uint32_t rto_min_ms, uint32_t now_ms)
{
	if (ms == 0)
		ms = 1;
	if (ms > TCP_RTO_MAX_MS)
		ms = TCP_RTO_MAX_MS;
	note_least(rtt, ms, now_ms);
	if (rtt->srtt8 == 0) {
		rtt->srtt8 = ms * 8;
		rtt->var4 = ms * 2;
	} else {
		uint32_t smooth = rtt->srtt8 / 8, error = smooth < ms ? ms - smooth : smooth - ms;
		rtt->var4 = rtt->var4 - rtt->var4 / 4 + error;
		rtt->srtt8 = rtt->srtt8 - rtt->srtt8 / 8 + ms;
	}
	uint32_t margin = rtt->var4 > rto_min_ms ? rtt->var4 : rto_min_ms;
	rtt->rto_ms = rtt->srtt8 / 8 + margin;
	if (rtt->rto_ms > TCP_RTO_MAX_MS)
		rtt->rto_ms = TCP_RTO_MAX_MS;
	rtt->backoff = 0;
}
