/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/histogram.h"

#include <math.h>

/* With e the power of two of ns above the exact ones, the top bit and the HISTOGRAM_SUB_BITS below it are kept. */
static uint32_t
bucket_of(uint64_t ns)
{
	if (ns >> HISTOGRAM_TOP_BITS != 0)
		return HISTOGRAM_BUCKETS - 1;
	if (ns >> HISTOGRAM_SUB_BITS == 0)
		return (uint32_t)ns;
	uint32_t e = 63 - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
	return (e << HISTOGRAM_SUB_BITS) + (uint32_t)(ns >> e);
}

/* The longest duration that falls in a bucket. */
static uint64_t
bucket_end(uint32_t bucket)
{
	uint32_t e = bucket >> HISTOGRAM_SUB_BITS;
	if (e < 2)
		return bucket;
	e--;
	return ((uint64_t)(bucket - (e << HISTOGRAM_SUB_BITS)) << e) + (UINT64_C(1) << e) - 1;
}

void
histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->buckets[bucket_of(ns)]++;
	histogram->count++;
	histogram->sum += ns;
	if (ns > histogram->max)
		histogram->max = ns;
}

uint64_t
histogram_at(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count), seen = 0;
	uint32_t bucket = 0;

	if (histogram->count == 0)
		return 0;
	if (wanted == 0)
		wanted = 1;
	while ((seen += histogram->buckets[bucket]) < wanted)
		bucket++;
	uint64_t end = bucket_end(bucket);
	return end < histogram->max ? end : histogram->max;
}
