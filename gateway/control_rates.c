/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/control_rates.h"

void
control_rates_sample(struct control_rates *rates, const struct box *box, uint64_t now_ms)
{
	struct control_sample *sample = &rates->samples[rates->next];

	sample->at_ms = now_ms;
	for (unsigned reason = 0; reason < REASON_COUNT; reason++)
		sample->reasons[reason] = box_reason_count(box, reason);
	for (unsigned i = 0; i < box->n_workers; i++) {
		sample->busy[i] = __atomic_load_n(&box->stats[i]->busy_cycles, __ATOMIC_RELAXED);
		sample->total[i] = __atomic_load_n(&box->stats[i]->total_cycles, __ATOMIC_RELAXED);
	}
	rates->next = (rates->next + 1) % RATES_SAMPLES;
	if (rates->n < RATES_SAMPLES)
		rates->n++;
}

/* NULL before the first one. */
static const struct control_sample *
oldest(const struct control_rates *rates)
{
	if (rates->n == 0)
		return NULL;
	return &rates->samples[rates->n < RATES_SAMPLES ? 0 : rates->next];
}

double
control_rates_reason(const struct control_rates *rates, const struct box *box, enum reason reason, uint64_t now_ms)
{
	const struct control_sample *sample = oldest(rates);

	if (sample == NULL || now_ms <= sample->at_ms)
		return 0;
	uint64_t more = box_reason_count(box, reason) - sample->reasons[reason];
	return (double)more * 1000 / (double)(now_ms - sample->at_ms);
}

double
control_rates_busy(const struct control_rates *rates, const struct box *box, unsigned worker)
{
	const struct control_sample *sample = oldest(rates);

	if (sample == NULL)
		return 0;
	uint64_t busy = __atomic_load_n(&box->stats[worker]->busy_cycles, __ATOMIC_RELAXED) - sample->busy[worker];
	uint64_t total = __atomic_load_n(&box->stats[worker]->total_cycles, __ATOMIC_RELAXED) - sample->total[worker];
	if (total == 0)
		return 0;
	/* The two aren't read at one instant. */
	return busy >= total ? 1 : (double)busy / (double)total;
}
