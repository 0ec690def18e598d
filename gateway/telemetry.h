/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of the box: ztunnel's TCP families (istio_*), so that Istio's dashboards and Kiali read them unchanged,
 * and our own (postern_*). docs/metrics.md has the list.
 *
 * Directions. Istio counts bytes as the response sees them, whoever reports: istio_tcp_sent_bytes_total is what went to
 * the client, istio_tcp_received_bytes_total what came from it (istio/istio#32399). Live counters are named after the
 * endpoint, the other way round.
 *
 * One box in a process: the state behind the families is static. Main thread only.
 */
#ifndef POSTERN_GATEWAY_TELEMETRY_H
#define POSTERN_GATEWAY_TELEMETRY_H

#include <uv.h>

#include "gateway/box.h"
#include "platform/http.h"
#include "platform/metrics.h"

/* Registers all families over box, which outlives metrics. */
void telemetry_register(struct metrics *metrics, const struct box *box);

/* Serves /metrics, /healthz/live (workers move) and /healthz/ready (they do, and the box isn't draining) at address, as
 * http_start has it. NULL, and the reason in error, when it can't. */
struct http *telemetry_serve(uv_loop_t *loop, struct metrics *metrics, const struct box *box, const char *address,
			     struct text *error);
/* NULL is fine. */
void telemetry_serve_stop(struct http *http);

#endif
