/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints as time series: one for each set of labels, however many live slots share it.
 *
 * A Prometheus counter must never fall, but live slots come and go. So a series remembers what its slots had in all
 * when it was last looked at, and what it has shown beyond that: when the sum falls, because a slot was released, the
 * difference is kept. A series without any slot left is forgotten.
 *
 * Slots that never had a connection make no series. At most SERIES_MAX series; what comes after is counted in one more,
 * whose labels are all "other".
 */
#ifndef POSTERN_GATEWAY_TELEMETRY_SERIES_H
#define POSTERN_GATEWAY_TELEMETRY_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/live.h"

enum { SERIES_MAX = 10000 };

enum series_label {
	SERIES_SERVICE,
	SERIES_SERVICE_NAMESPACE,
	SERIES_SERVICE_NAME,
	SERIES_WORKLOAD,
	SERIES_CANONICAL_SERVICE,
	SERIES_CANONICAL_REVISION,
	SERIES_CLUSTER,
	SERIES_REGION,
	SERIES_ZONE,
	SERIES_LABELS
};

enum series_value { SERIES_OPENED, SERIES_CLOSED, SERIES_FAILED, SERIES_SENT, SERIES_RECEIVED, SERIES_VALUES };

struct series {
	char *key;                         /* the labels, one after another, each NUL-terminated; NULL: free */
	const char *labels[SERIES_LABELS]; /* in key */
	uint64_t sums[SERIES_VALUES];      /* over its slots, now */
	uint64_t before[SERIES_VALUES];    /* the same, last time */
	uint64_t kept[SERIES_VALUES];      /* of slots that are gone */
	uint32_t key_length;
	bool seen; /* this time */
};

struct series_table {
	struct series *list; /* open addressing by key */
	uint32_t capacity;   /* a power of two; 0 before first use */
	uint32_t n, limit;   /* limit: 0 means SERIES_MAX */
	struct series other;
};

/* Looks at all endpoints' slots. cluster: of this box, for endpoints that belong to no other. */
void series_refresh(struct series_table *table, const struct live *live, const char *cluster);
/* A figure to show. */
uint64_t series_value(const struct series *series, enum series_value value);
/* Walks the table: the series at or after *position, which then moves on; NULL at the end. The one called "other" comes
 * last, and only when there is something in it. */
const struct series *series_next(const struct series_table *table, uint32_t *position);
void series_free(struct series_table *table);

#endif
