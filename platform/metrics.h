/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in the Prometheus text format 0.0.4 and in OpenMetrics 1.0.0.
 *
 * The registry holds no values. A family has a callback that is run at each scrape and emits samples from where the
 * values live: for workers, counters that one worker writes and metrics_sum adds up with relaxed loads.
 *
 *	static void collect_drops(void *context, struct metrics_writer *writer)
 *	{
 *		for (each reason)
 *			metrics_add_u64(writer, (const char *[]){reason_text(r)}, metrics_sum(...));
 *	}
 *
 * Main thread only.
 */
#ifndef POSTERN_PLATFORM_METRICS_H
#define POSTERN_PLATFORM_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text; /* platform/text.h */

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

enum { METRICS_LABELS_MAX = 32 };

struct metrics_writer;

struct metrics_family {
	const char *name; /* [a-zA-Z_:][a-zA-Z0-9_:]*; a counter's ends with _total, no other's does */
	const char *help; /* one sentence, UTF-8 */
	enum metrics_type type;
	const char *const
		*labels; /* n_labels names, [a-zA-Z_][a-zA-Z0-9_]*, each once, not "__…"; a histogram's not "le" */
	size_t n_labels; /* 0..METRICS_LABELS_MAX */
	void (*collect)(void *context, struct metrics_writer *writer);
	void *context;
};

struct metrics {
	struct metrics_family *families;
	size_t n;
};

/* Adds a family behind those that are there; all zeroes is an empty registry. What family points to must outlive the
 * registry. Returns false when a name breaks the rules above, or is taken. */
bool metrics_register(struct metrics *metrics, const struct metrics_family *family);
void metrics_free(struct metrics *metrics);

/* Writes the page: all families in the order of their registration. */
void metrics_render(const struct metrics *metrics, bool openmetrics, struct text *page);

/* For collect. values has one text for each of the family's labels, in their order; NULL is an empty one. What isn't
 * UTF-8 in a value becomes U+FFFD. */
void metrics_add_u64(struct metrics_writer *writer, const char *const *values, uint64_t value);
void metrics_add_double(struct metrics_writer *writer, const char *const *values, double value);
/* bounds: n upper bounds, ascending, without +Inf. counts: n + 1 numbers of observations, each of its own bucket alone,
 * the last beyond all bounds. sum: of all observations. */
void metrics_add_histogram(struct metrics_writer *writer, const char *const *values, const double *bounds,
			   const uint64_t *counts, size_t n, double sum);

/* The sum of n counters, the first at first and each stride bytes behind the last, by relaxed loads. */
uint64_t metrics_sum(const uint64_t *first, size_t stride, unsigned n);

#endif
