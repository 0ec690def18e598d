/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that leave. What is lost goes first, then what is new, as far as the congestion window and the peer's window
 * allow; an ACK that is due goes with it, or by itself.
 *
 * Segments are cut when they are sent, from the bytes that wait: of what the path takes now, less the options of this
 * very segment. There is no Nagle algorithm: whoever writes little pieces has reasons. But no sliver of a closing
 * window is filled (RFC 9293 section 3.8.6.2.1): a segment is full, or the last of what there is, or half of the
 * largest window that was ever offered; where nothing else would ever go, the probe timer sends it.
 */
#ifndef POSTERN_DATAPLANE_TCP_OUTPUT_H
#define POSTERN_DATAPLANE_TCP_OUTPUT_H

#include "dataplane/tcp.h"

/* All that is due. */
void tcp_output(struct tcp *tcp, const struct tcp_env *env);
/* SYN, or SYN-ACK, by the state. */
void tcp_output_syn(struct tcp *tcp, const struct tcp_env *env);
/* An ACK at once. */
void tcp_output_ack(struct tcp *tcp, const struct tcp_env *env);
/* One that asks for one: its sequence number is old (keep-alive). */
void tcp_output_ask(struct tcp *tcp, const struct tcp_env *env);
/* RST: for the peer of this connection; and in answer to a segment that acknowledges what was never sent. */
void tcp_output_reset(struct tcp *tcp, const struct tcp_env *env);
void tcp_output_refuse(struct tcp *tcp, const struct tcp_env *env, uint32_t seq);
/* A tail loss probe: a new segment, or the last one again. */
void tcp_output_tail(struct tcp *tcp, const struct tcp_env *env);
/* A probe of a window that is closed, or too small for a segment worth its name. */
void tcp_output_probe(struct tcp *tcp, const struct tcp_env *env);

/* Sequence number of the first byte of `sending`. */
static inline uint32_t
tcp_sending_begin(const struct tcp *tcp)
{
	return tcp->state <= TCP_STATE_SYN_RECEIVED ? tcp->una + 1 : tcp->una;
}

/* Beyond the last number that there is anything for: bytes, and the FIN. */
static inline uint32_t
tcp_sending_end(const struct tcp *tcp)
{
	return tcp_sending_begin(tcp) + tcp->sending.bytes + (tcp->shut && !tcp->fin_acked);
}

#endif
