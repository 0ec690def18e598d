/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/text.h"

static const char total_suffix[] = "_total";

struct metrics_writer {
	const struct metrics_family *family;
	struct text *page;
};

static bool
is_name(const char *name, bool colons)
{
	if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9'))
		return false;
	for (; *name != '\0'; name++) {
		bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_';
		if (!letter && !(*name >= '0' && *name <= '9') && !(colons && *name == ':'))
			return false;
	}
	return true;
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), behind = strlen(suffix);

	return length > behind && strcmp(name + length - behind, suffix) == 0;
}

/* Length of the name that OpenMetrics gives the family: a counter's without _total. */
static size_t
base_length(const struct metrics_family *family)
{
	return strlen(family->name) - (family->type == METRICS_COUNTER ? sizeof(total_suffix) - 1 : 0);
}

static bool
are_labels(const struct metrics_family *family)
{
	if (family->n_labels > METRICS_LABELS_MAX)
		return false;
	for (size_t i = 0; i < family->n_labels; i++) {
		const char *label = family->labels[i];
		if (!is_name(label, false) || strncmp(label, "__", 2) == 0)
			return false;
		if (family->type == METRICS_HISTOGRAM && strcmp(label, "le") == 0)
			return false;
		for (size_t k = 0; k < i; k++)
			if (strcmp(family->labels[k], label) == 0)
				return false;
	}
	return true;
}

/* Whether one of a histogram's samples would have the other family's name. */
static bool
is_part_of(const struct metrics_family *histogram, const char *name)
{
	static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
	size_t length = strlen(histogram->name);

	if (histogram->type != METRICS_HISTOGRAM || strncmp(name, histogram->name, length) != 0)
		return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(name + length, suffixes[i]) == 0)
			return true;
	return false;
}

bool
metrics_register(struct metrics *metrics, const struct metrics_family *family)
{
	if (!is_name(family->name, true) || !are_labels(family))
		return false;
	if (ends_with(family->name, total_suffix) != (family->type == METRICS_COUNTER))
		return false;
	for (size_t i = 0; i < metrics->n; i++) {
		const struct metrics_family *other = &metrics->families[i];
		if (base_length(other) == base_length(family) &&
		    strncmp(other->name, family->name, base_length(family)) == 0)
			return false;
		if (is_part_of(other, family->name) || is_part_of(family, other->name))
			return false;
	}
	struct metrics_family *families = realloc(metrics->families, (metrics->n + 1) * sizeof(*families));
	if (families == NULL)
		abort();
	metrics->families = families;
	families[metrics->n++] = *family;
	return true;
}

void
metrics_free(struct metrics *metrics)
{
	free(metrics->families);
	*metrics = (struct metrics){0};
}

/* Adds s with \ and line breaks escaped, and quotes where asked for. */
static void
add_escaped(struct text *page, const char *s, bool quotes)
{
	size_t length = strlen(s);

	while (length > 0) {
		size_t n = text_utf8(s, length);
		if (n == 0)
			text_add(page, "\xef\xbf\xbd", 3); /* U+FFFD */
		else if (*s == '\n')
			text_add(page, "\\n", 2);
		else if (*s == '\\' || (quotes && *s == '"'))
			text_print(page, "\\%c", *s);
		else
			text_add(page, s, n);
		n = n == 0 ? 1 : n;
		s += n;
		length -= n;
	}
}

static void
add_number(struct text *page, double value)
{
	char digits[32];

	if (isnan(value)) {
		text_print(page, "NaN");
		return;
	}
	if (isinf(value)) {
		text_print(page, value > 0 ? "+Inf" : "-Inf");
		return;
	}
	/* The shortest text that reads as the same number. */
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	text_print(page, "%s", digits);
}

/* Adds the sample's name and labels; bound: le, NULL for none. */
static void
add_sample(struct metrics_writer *writer, const char *suffix, const char *const *values, const double *bound)
{
	const struct metrics_family *family = writer->family;
	struct text *page = writer->page;
	char separator = '{';

	text_print(page, "%s%s", family->name, suffix);
	for (size_t i = 0; i < family->n_labels; i++) {
		text_print(page, "%c%s=\"", separator, family->labels[i]);
		add_escaped(page, values[i] == NULL ? "" : values[i], true);
		text_add(page, "\"", 1);
		separator = ',';
	}
	if (bound != NULL) {
		text_print(page, "%cle=\"", separator);
		add_number(page, *bound);
		text_add(page, "\"", 1);
		separator = ',';
	}
	text_print(page, separator == ',' ? "} " : " ");
}

void
metrics_add_u64(struct metrics_writer *writer, const char *const *values, uint64_t value)
{
	add_sample(writer, "", values, NULL);
	text_print(writer->page, "%" PRIu64 "\n", value);
}

void
metrics_add_double(struct metrics_writer *writer, const char *const *values, double value)
{
	add_sample(writer, "", values, NULL);
	add_number(writer->page, value);
	text_add(writer->page, "\n", 1);
}

void
metrics_add_histogram(struct metrics_writer *writer, const char *const *values, const double *bounds,
		      const uint64_t *counts, size_t n, double sum)
{
	static const double infinity = INFINITY;
	uint64_t count = 0;

	for (size_t i = 0; i <= n; i++) {
		count += counts[i];
		add_sample(writer, "_bucket", values, i < n ? &bounds[i] : &infinity);
		text_print(writer->page, "%" PRIu64 "\n", count);
	}
	add_sample(writer, "_sum", values, NULL);
	add_number(writer->page, sum);
	text_add(writer->page, "\n", 1);
	add_sample(writer, "_count", values, NULL);
	text_print(writer->page, "%" PRIu64 "\n", count);
}

void
metrics_render(const struct metrics *metrics, bool openmetrics, struct text *page)
{
	static const char *const types[] = {
		[METRICS_COUNTER] = "counter", [METRICS_GAUGE] = "gauge", [METRICS_HISTOGRAM] = "histogram"};

	for (size_t i = 0; i < metrics->n; i++) {
		const struct metrics_family *family = &metrics->families[i];
		struct metrics_writer writer = {family, page};
		int length = (int)(openmetrics ? base_length(family) : strlen(family->name));
		text_print(page, "# HELP %.*s ", length, family->name);
		add_escaped(page, family->help, openmetrics);
		text_print(page, "\n# TYPE %.*s %s\n", length, family->name, types[family->type]);
		family->collect(family->context, &writer);
	}
	if (openmetrics)
		text_print(page, "# EOF\n");
}

uint64_t
metrics_sum(const uint64_t *first, size_t stride, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += __atomic_load_n((const uint64_t *)(const void *)((const char *)first + i * stride),
				       __ATOMIC_RELAXED);
	return sum;
}
