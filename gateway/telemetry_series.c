/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/telemetry_series.h"

#include <stdlib.h>
#include <string.h>

#include "platform/text.h"

enum { CAPACITY_MIN = 64 };

/* FNV-1a; the labels are the operator's own. */
static uint32_t
hash_key(const char *key, uint32_t length)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)key[i]) * 16777619u;
	return hash;
}

/* Where key is in list, or would go. */
static struct series *
probe(struct series *list, uint32_t capacity, const char *key, uint32_t length)
{
	uint32_t at = hash_key(key, length) & (capacity - 1);

	while (list[at].key != NULL && (list[at].key_length != length || memcmp(list[at].key, key, length) != 0))
		at = (at + 1) & (capacity - 1);
	return &list[at];
}

/* A list of another size. forget: without those that weren't seen. */
static void
rebuild(struct series_table *table, uint32_t capacity, bool forget)
{
	if (capacity < CAPACITY_MIN)
		capacity = CAPACITY_MIN;
	struct series *list = calloc(capacity, sizeof(*list));

	if (list == NULL)
		abort();
	table->n = 0;
	for (uint32_t i = 0; i < table->capacity; i++) {
		struct series *series = &table->list[i];
		if (series->key != NULL && (series->seen || !forget)) {
			*probe(list, capacity, series->key, series->key_length) = *series;
			table->n++;
		} else {
			free(series->key);
		}
	}
	free(table->list);
	table->list = list;
	table->capacity = capacity;
}

/* "region/zone/subzone" */
static void
split_locality(const char *locality, struct text *region, struct text *zone)
{
	size_t length = strcspn(locality, "/");

	text_add(region, locality, length);
	locality += length + (locality[length] == '/');
	text_add(zone, locality, strcspn(locality, "/"));
}

static const char *
or_else(const char *text, const char *otherwise)
{
	return text == NULL || text[0] == '\0' ? otherwise : text;
}

static void
make_key(const struct live *live, uint32_t slot, const char *cluster, struct text *key)
{
	struct text region = {0}, zone = {0};
	const char *workload = live_label(live, slot, LIVE_WORKLOAD);

	split_locality(live_label(live, slot, LIVE_LOCALITY), &region, &zone);
	const char *const labels[SERIES_LABELS] = {
		[SERIES_SERVICE] = live_label(live, slot, LIVE_SERVICE),
		[SERIES_SERVICE_NAMESPACE] = live_label(live, slot, LIVE_SERVICE_NAMESPACE),
		[SERIES_SERVICE_NAME] = live_label(live, slot, LIVE_SERVICE_NAME),
		[SERIES_WORKLOAD] = workload,
		/* As Istio derives them for a workload that doesn't say. */
		[SERIES_CANONICAL_SERVICE] = or_else(live_label(live, slot, LIVE_APP), workload),
		[SERIES_CANONICAL_REVISION] = or_else(live_label(live, slot, LIVE_VERSION), "latest"),
		[SERIES_CLUSTER] = or_else(live_label(live, slot, LIVE_CLUSTER), cluster),
		[SERIES_REGION] = region.bytes,
		[SERIES_ZONE] = zone.bytes,
	};
	key->length = 0;
	for (unsigned i = 0; i < SERIES_LABELS; i++) {
		const char *label = or_else(labels[i], "unknown");
		text_add(key, label, strlen(label) + 1);
	}
	text_free(&region);
	text_free(&zone);
}

static struct series *
get_series(struct series_table *table, const struct text *key)
{
	struct series *series = probe(table->list, table->capacity, key->bytes, (uint32_t)key->length);
	uint32_t limit = table->limit == 0 ? SERIES_MAX : table->limit;

	if (series->key != NULL)
		return series;
	if (table->n == limit)
		return &table->other;
	if ((table->n + 1) * 2 > table->capacity) {
		rebuild(table, table->capacity * 2, false);
		series = probe(table->list, table->capacity, key->bytes, (uint32_t)key->length);
	}
	series->key = malloc(key->length);
	if (series->key == NULL)
		abort();
	memcpy(series->key, key->bytes, key->length);
	series->key_length = (uint32_t)key->length;
	const char *label = series->key;
	for (unsigned i = 0; i < SERIES_LABELS; i++, label += strlen(label) + 1)
		series->labels[i] = label;
	table->n++;
	return series;
}

static void
begin(struct series *series)
{
	memcpy(series->before, series->sums, sizeof(series->before));
	memset(series->sums, 0, sizeof(series->sums));
	series->seen = false;
}

static void
end(struct series *series)
{
	for (unsigned i = 0; i < SERIES_VALUES; i++)
		if (series->sums[i] < series->before[i])
			series->kept[i] += series->before[i] - series->sums[i];
}

static void
set_other_labels(struct series_table *table)
{
	for (unsigned i = 0; i < SERIES_LABELS; i++)
		table->other.labels[i] = "other";
}

void
series_refresh(struct series_table *table, const struct live *live, const char *cluster)
{
	struct text key = {0};

	if (table->capacity == 0)
		rebuild(table, 0, false);
	set_other_labels(table);
	begin(&table->other);
	for (uint32_t i = 0; i < table->capacity; i++)
		begin(&table->list[i]);
	for (uint32_t slot = live_next(live, 0); slot != 0; slot = live_next(live, slot)) {
		struct live_counters counters;
		if (live_kind(live, slot) != 'e')
			continue;
		live_sum(live, slot, &counters);
		if (counters.opened == 0 && counters.failed == 0)
			continue;
		make_key(live, slot, cluster, &key);
		struct series *series = get_series(table, &key);
		series->seen = true;
		series->sums[SERIES_OPENED] += counters.opened;
		series->sums[SERIES_CLOSED] += counters.closed;
		series->sums[SERIES_FAILED] += counters.failed;
		series->sums[SERIES_SENT] += counters.sent;
		series->sums[SERIES_RECEIVED] += counters.received;
	}
	text_free(&key);
	bool all_seen = true;
	for (uint32_t i = 0; i < table->capacity; i++) {
		end(&table->list[i]);
		all_seen = all_seen && (table->list[i].key == NULL || table->list[i].seen);
	}
	end(&table->other);
	if (!all_seen)
		rebuild(table, table->capacity, true);
}

uint64_t
series_value(const struct series *series, enum series_value value)
{
	return series->sums[value] + series->kept[value];
}

const struct series *
series_next(const struct series_table *table, uint32_t *position)
{
	while (*position < table->capacity) {
		const struct series *series = &table->list[(*position)++];
		if (series->key != NULL)
			return series;
	}
	if (*position > table->capacity)
		return NULL;
	++*position;
	return series_value(&table->other, SERIES_OPENED) + series_value(&table->other, SERIES_FAILED) == 0
		       ? NULL
		       : &table->other;
}

void
series_free(struct series_table *table)
{
	for (uint32_t i = 0; i < table->capacity; i++)
		free(table->list[i].key);
	free(table->list);
	*table = (struct series_table){.limit = table->limit};
}
