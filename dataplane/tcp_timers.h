/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time alone brings about. Three timers for each connection:
 *
 *   timer_at   about what was sent; one thing at a time (enum tcp_timer), by what there is to wait for:
 *     RETRY    a segment couldn't be sent: there was no buffer
 *     PROBE    the window is closed, or too small for what waits: doubled each time, for ever as long as the peer
 *              answers (RFC 9293 section 3.8.6.1)
 *     REORDER  RACK waits for what is late
 *     TAIL     tail loss probe
 *     RESEND   RTO: doubled each time (RFC 6298); of a SYN too
 *   ack_at     an ACK is owed
 *   life_at    keep-alive; the end of TIME-WAIT
 *
 * When each is due follows from the control block, so they are worked out anew after every step, and no call starts or
 * stops them.
 */
#ifndef POSTERN_DATAPLANE_TCP_TIMERS_H
#define POSTERN_DATAPLANE_TCP_TIMERS_H

#include "dataplane/tcp.h"

/* The end of every step. */
void tcp_timers_set(struct tcp *tcp, const struct tcp_env *env);
/* The peer will be gone before that. */
void tcp_timers_wait(struct tcp *tcp, const struct tcp_env *env);
/* The connection is over, by events: no timer is left. */
unsigned tcp_timers_end(struct tcp *tcp, unsigned events);

#endif
