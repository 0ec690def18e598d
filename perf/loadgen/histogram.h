/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations, counted in buckets whose width grows with them (the idea of HdrHistogram): below 64 ns exact, above it 64
 * buckets for each power of two, so that what is read back is at most 1.6 % too high. Adding is a few instructions and
 * never allocates.
 */
#ifndef POSTERN_PERF_LOADGEN_HISTOGRAM_H
#define POSTERN_PERF_LOADGEN_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 6,
	HISTOGRAM_TOP_BITS = 40, /* 2^40 ns are 18 minutes; longer ones are counted as that */
	HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS
};

struct histogram {
	uint64_t count, sum, max; /* sum and max in ns, exact */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);

/* The duration that a share (0..1) of those counted doesn't exceed, in ns: the upper end of its bucket, and never more
 * than the longest. 0 when nothing was counted. */
uint64_t histogram_at(const struct histogram *histogram, double share);

#endif
