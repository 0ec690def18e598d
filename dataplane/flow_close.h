/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a flow ends, and what is counted on the way.
 *
 *   PEEKING, CONNECTING ── flow_refuse ──▶ RST to the client, record released at once
 *   SPLICED ── flow_finish ──▶ CLOSING ── linger ──▶ flow_dispose
 *
 * A CLOSING flow goes on being rewritten: a lost last ACK or a repeated FIN still finds its way. Its record, and with
 * it the local port, is kept for close_linger_ms.
 */
#ifndef POSTERN_DATAPLANE_FLOW_CLOSE_H
#define POSTERN_DATAPLANE_FLOW_CLOSE_H

#include "dataplane/worker.h"

enum { FLOW_REFUSALS_TOLD_MAX = 500 /* events about refusals that a worker sends in a second */ };

/* Moves a flow to a state, keeping the counts by state right. */
void flow_set_state(struct worker *worker, struct flow *flow, enum flow_state state);

/* Takes a flow out of the hash, the wheel and the hold pool, and gives its record back. */
void flow_dispose(struct worker *worker, uint32_t index);

/* Refuses a connection that isn't spliced yet: RST to the client, event, record released. sni: for the log, NULL when
 * unknown. */
void flow_refuse(struct worker *worker, uint32_t index, enum reason reason, const char *sni);

/* Ends a spliced flow: counts, event, CLOSING with its linger. Harmless when it is CLOSING already. */
void flow_finish(struct worker *worker, uint32_t index, enum reason reason);

/* Ends a spliced flow and tells both sides by RST. */
void flow_abort(struct worker *worker, uint32_t index, enum reason reason);

/* Makes the line that the access log is told of an end or a refusal. False when none is wanted, or this second has had
 * its share of refusals. */
bool flow_event_make(struct worker *worker, const struct flow *flow, enum flow_event_kind kind, enum reason reason,
		     struct flow_event *event);
void flow_event_send(struct worker *worker, struct flow_event *event);
/* Both. sni: NULL when unknown. */
void flow_send_event(struct worker *worker, const struct flow *flow, enum flow_event_kind kind, enum reason reason,
		     const char *sni);

/* Counts under the live slots of a flow's endpoint and backend that an attempt begins, that it came to nothing (by the
 * endpoint's fault, or not), that it was established. */
void flow_count_attempt(struct worker *worker, const struct flow *flow);
void flow_count_attempt_over(struct worker *worker, const struct flow *flow, bool failed);
void flow_count_opened(struct worker *worker, const struct flow *flow);
/* That one which was established ended. */
void flow_count_ended(struct worker *worker, struct flow *flow, enum reason reason);

/* How often a flow is looked at: often enough for counters that a person watches, and for an idle time-out that isn't
 * much too late. */
uint32_t flow_idle_tick_ms(const struct worker *worker, const struct flow *flow);
/* Once in that time: counts what passed. REASON_NONE, or the time-out that the flow has reached. */
enum reason flow_idle_look(struct worker *worker, struct flow *flow);
/* Starts, or goes on with, the watch for idleness of a SPLICED flow. */
void flow_idle_start(struct worker *worker, uint32_t index);
/* The same for an adopted flow: an interval of the watch from now, and a random part of another one, or a million would
 * be due at once. */
void flow_idle_resume(struct worker *worker, uint32_t index);
/* The timer of that watch fired: counts what passed, and ends the flow when it was idle for long enough. */
void flow_idle_fired(struct worker *worker, uint32_t index);

#endif
