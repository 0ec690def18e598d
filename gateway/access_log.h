/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log: one JSON line for each connection that ended or was refused. Names of fields are ztunnel's where it
 * has one; a field without a value is left out.
 *
 *   time, level, scope       as in the log (platform/log.h); scope is "access"; time is when the connection ended
 *   message                  "connection complete" (info) or, when it never reached an endpoint, "connection failed"
 * (warn) src.addr                 the client, "addr:port" dst.addr                 the endpoint, or what the client had
 * called when none was chosen dst.service .workload .namespace .cluster direction                "inbound", always: a
 * gateway stands on the side of the destination bytes_sent, bytes_recv   payload, as ztunnel's inbound side counts it:
 * sent to the client, received from it duration                 "<n>ms" error                    one sentence; absent
 * when both sides closed
 *
 *   src.identity, dst.identity   of bridged connections: whom the client and the endpoint proved to be
 *
 *   reason                   ours: the text of dataplane/reason.h
 *   detail                   of a bridged connection's: the rule that a certificate broke, or the TLS alert that came
 *   listener, listener.addr  the Gateway, "namespace/name"; the address and port that the client called
 *   sni                      of a refused connection
 *   endpoint                 the endpoint's name, as posternctl shows it
 *   out.addr                 our address and port towards the endpoint: how its own log calls the client
 *   attempts                 endpoints tried
 *
 * Lines are gathered and written together. A reader that doesn't keep up (a pipe in non-blocking mode) costs lines,
 * which are counted, and never time. Main thread only.
 */
#ifndef POSTERN_GATEWAY_ACCESS_LOG_H
#define POSTERN_GATEWAY_ACCESS_LOG_H

#include <stdint.h>

#include "dataplane/dataplane.h"
#include "gateway/live.h"
#include "platform/text.h"

enum { ACCESS_LOG_WRITE_AT = 1 << 16, ACCESS_LOG_PENDING_MAX = 1 << 20 }; /* bytes */

struct access_log {
	const struct live *live;
	int fd; /* the caller's */
	struct text pending;
	uint64_t lost; /* lines that weren't written */
};

/* An access log that writes to fd: struct access_log log = {.live = live, .fd = fd}. */

/* Adds the line of an event. Writes when much has gathered. */
void access_log_add(struct access_log *log, const struct flow_event *event);
/* Writes what has gathered; call it when there are no more events for now. */
void access_log_flush(struct access_log *log);
/* Flushes and frees. fd stays open. */
void access_log_close(struct access_log *log);

/* The line alone, with its line feed, added to out. */
void access_log_format(const struct live *live, const struct flow_event *event, struct text *out);

#endif
