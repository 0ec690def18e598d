/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a segment the path takes.
 *
 * A router's "too big" is heeded when it quotes something on its way (tcp_too_big: RFC 1191, RFC 8201, RFC 5927). Where
 * such messages are eaten, large segments fall into a black hole: after TCP_BLACK_HOLE_RETRIES time-outs in a row we go
 * on with smaller ones, which pass everywhere (RFC 4821 section 7.7). From either we search upwards again with probes:
 * a segment of new data larger than what is known to pass. Its loss, alone, says nothing about congestion
 * (section 7.5).
 *
 *   mss (known to pass) ├──── search ────┤ mss_fails, or what both ends take
 *
 * What failed is forgotten after TCP_MTU_AGE_MS: paths change.
 *
 * Sizes are of payload and options.
 */
#ifndef POSTERN_DATAPLANE_TCP_MTU_H
#define POSTERN_DATAPLANE_TCP_MTU_H

#include "dataplane/tcp.h"

enum {
	TCP_MSS_LEAST = 88, /* less is taken as this: with any options there must be room for payload */
	TCP_BLACK_HOLE_RETRIES = 3,
	TCP_MSS_SAFE = 1220,     /* fits where IPv6 does */
	TCP_MSS_SAFEST = 536,    /* RFC 9293 section 3.7.1 */
	TCP_MTU_CLOSE = 32,      /* the search ends when it is as near as that */
	TCP_MTU_AGE_MS = 600000, /* RFC 1191 section 6.3 */
	TCP_MTU_PAUSE_MS = 1000  /* from one probe's outcome to the next probe */
};

/* peer_mss and link_mss are known. */
void tcp_mtu_begin(struct tcp *tcp, const struct tcp_env *env);
/* The retransmission timer fired. */
void tcp_mtu_timed_out(struct tcp *tcp, const struct tcp_env *env);
/* una moved. */
void tcp_mtu_acked(struct tcp *tcp, const struct tcp_env *env);
/* What is lost is a probe and nothing else: it is given up. */
bool tcp_mtu_blames_probe(struct tcp *tcp);
/* Size of the probe that the next new segment may be; 0: none. left: what there is to send, room: that the peer has. */
uint16_t tcp_mtu_probe_size(const struct tcp *tcp, const struct tcp_env *env, uint32_t left, uint32_t room);
/* It was sent, and ends at nxt. */
void tcp_mtu_probed(struct tcp *tcp, uint16_t size);

#endif
