/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The families about TLS that ends here: sessions, handshakes, handshake threads. All zero while nothing is bridged;
 * of handshakes by cipher only those that came up have a sample.
 */
#ifndef POSTERN_GATEWAY_TELEMETRY_TLS_H
#define POSTERN_GATEWAY_TELEMETRY_TLS_H

#include "gateway/bridging.h"
#include "platform/metrics.h"

/* bridging outlives metrics. One in a process: the families' state is static. Main thread only. */
void telemetry_tls_register(struct metrics *metrics, const struct bridging *bridging);

#endif
