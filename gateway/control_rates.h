/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates over the last ten seconds, from counters that only grow: a sample each second, and the eleven latest are kept.
 */
#ifndef POSTERN_GATEWAY_CONTROL_RATES_H
#define POSTERN_GATEWAY_CONTROL_RATES_H

#include <stdint.h>

#include "gateway/box.h"

enum { RATES_SAMPLES = 11, RATES_PERIOD_MS = 1000 };

struct control_sample {
	uint64_t at_ms;
	uint64_t reasons[REASON_COUNT];
	uint64_t busy[WORKERS_MAX], total[WORKERS_MAX]; /* cycles */
};

struct control_rates {
	struct control_sample samples[RATES_SAMPLES];
	unsigned n, next;
};

/* Call once a second, and once at start. now_ms: any monotonic clock. */
void control_rates_sample(struct control_rates *rates, const struct box *box, uint64_t now_ms);

/* Per second, from the oldest sample until now; 0 while there is only now. */
double control_rates_reason(const struct control_rates *rates, const struct box *box, enum reason reason,
			    uint64_t now_ms);
/* The part of its time that a worker found something to do in, 0..1. */
double control_rates_busy(const struct control_rates *rates, const struct box *box, unsigned worker);

#endif
