/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/telemetry_tls.h"

#include <stddef.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* By leg, and by enum tls_role too: with a client we are the server. */
static const char *const sides[] = {[LEG_CLIENT] = "client", [LEG_ENDPOINT] = "endpoint"};
static const unsigned roles[] = {[LEG_CLIENT] = TLS_SERVER, [LEG_ENDPOINT] = TLS_CLIENT};

static const struct bridging *bridging;

static void
collect_sessions(void *context, struct metrics_writer *writer)
{
	struct sessions_stats stats;

	(void)context;
	sessions_stats(bridging->sessions, &stats);
	for (unsigned i = 0; i < SESSION_STATES; i++)
		metrics_add_u64(writer, (const char *const[]){session_state_text(i)}, stats.now[i]);
}

static void
collect_handshakes(void *context, struct metrics_writer *writer)
{
	struct sessions_stats stats;

	(void)context;
	sessions_stats(bridging->sessions, &stats);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (unsigned i = 0; i < SESSION_CIPHERS; i++)
			for (unsigned resumed = 0; resumed < 2; resumed++) {
				const char *const values[] = {sides[leg], session_cipher(i)->version,
							      session_cipher(i)->name, resumed ? "true" : "false"};
				if (stats.handshakes[leg][i][resumed] != 0)
					metrics_add_u64(writer, values, stats.handshakes[leg][i][resumed]);
			}
}

static void
collect_failures(void *context, struct metrics_writer *writer)
{
	struct tls_pool_stats pool;
	struct tls_engine_stats engines;

	(void)context;
	tls_pool_stats(bridging->pool, &pool, &engines);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		metrics_add_u64(writer, (const char *const[]){sides[leg]}, engines.failed[roles[leg]]);
}

/* The next ones are given where in a record their figure is. */
static void
collect_load(void *context, struct metrics_writer *writer)
{
	struct tls_pool_load load;

	tls_pool_load(bridging->pool, &load);
	metrics_add_u64(writer, NULL,
			*(const uint32_t *)(const void *)((const char *)&load + *(const size_t *)context));
}

static uint64_t
pool_figure(size_t offset)
{
	struct tls_pool_stats pool;
	struct tls_engine_stats engines;

	tls_pool_stats(bridging->pool, &pool, &engines);
	return *(const uint64_t *)(const void *)((const char *)&pool + offset);
}

static void
collect_count(void *context, struct metrics_writer *writer)
{
	metrics_add_u64(writer, NULL, pool_figure(*(const size_t *)context));
}

static void
collect_seconds(void *context, struct metrics_writer *writer)
{
	metrics_add_double(writer, NULL, (double)pool_figure(*(const size_t *)context) / 1e6);
}

static const char *const state_labels[] = {"state"};
static const char *const side_labels[] = {"side"};
static const char *const handshake_labels[] = {"side", "version", "cipher", "resumed"};

#define LABELS(labels) (labels), COUNT(labels)
#define LOAD(name, field, help)                                                                                        \
	{                                                                                                              \
		name, help, METRICS_GAUGE, NULL, 0, collect_load, &(size_t)                                            \
		{                                                                                                      \
			offsetof(struct tls_pool_load, field)                                                          \
		}                                                                                                      \
	}
#define STAT(name, how, field, help)                                                                                   \
	{                                                                                                              \
		name, help, METRICS_COUNTER, NULL, 0, how, &(size_t)                                                   \
		{                                                                                                      \
			offsetof(struct tls_pool_stats, field)                                                         \
		}                                                                                                      \
	}

static const struct metrics_family families[] = {
	{"postern_tls_sessions", "Bridged connections now, by how far they are", METRICS_GAUGE, LABELS(state_labels),
	 collect_sessions, NULL},
	{"postern_tls_handshakes_total", "TLS handshakes done", METRICS_COUNTER, LABELS(handshake_labels),
	 collect_handshakes, NULL},
	{"postern_tls_handshake_failures_total", "TLS handshakes that failed", METRICS_COUNTER, LABELS(side_labels),
	 collect_failures, NULL},
	LOAD("postern_tls_handshakes_away", away, "Sessions that are with handshake threads now"),
	LOAD("postern_tls_handshake_queue", queued, "Of those, sessions that wait for their next step"),
	LOAD("postern_tls_handshake_queue_capacity", capacity, "Sessions that may be with handshake threads at a time"),
	STAT("postern_tls_handshake_steps_total", collect_count, steps, "Steps of handshakes done"),
	STAT("postern_tls_handshake_steps_spared_total", collect_count, gone,
	     "Steps not done because the connection had gone"),
	STAT("postern_tls_handshake_wait_seconds_total", collect_seconds, wait_us, "Time that steps waited, in sum"),
	STAT("postern_tls_handshake_busy_seconds_total", collect_seconds, busy_us, "Time that steps took, in sum"),
};

void
telemetry_tls_register(struct metrics *metrics, const struct bridging *of)
{
	bridging = of;
	for (size_t i = 0; i < COUNT(families); i++)
		if (!metrics_register(metrics, &families[i]))
			abort(); /* two of one name, or a wrong one: ours, at any start */
}
