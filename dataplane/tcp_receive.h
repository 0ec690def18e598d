/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that arrive: their order, the window that is offered for them, and when to acknowledge them.
 *
 *   taken ├── received ──┤ rcv_nxt    gap   ├─ early ─┤  gap  ├─ early ─┤      rcv_edge
 *
 * Buffers that come in order go into `received` as they are. Those that come early wait in a list, by sequence number
 * and disjoint, the number of their first byte in hash.usr of the mbuf, and are told by SACK (RFC 2018). What arrives
 * twice is told by D-SACK (RFC 2883). How many may wait there is bounded by the receive buffer: of segments of half a
 * kilobyte all, of smaller ones less; what isn't kept the peer sends again.
 *
 * The window. Its right edge never moves back (RFC 7323 section 2.4), and moves on by no less than a segment or half of
 * the buffer (RFC 9293 section 3.8.6.2.2). The buffer begins at limits->receive_first and follows twice of what the
 * application took in the last round trip; after a silence it begins anew.
 *
 * An ACK is due at once for what comes out of order, fills a gap or is a FIN, for the second segment, and after
 * limits->ack_delay_ms.
 */
#ifndef POSTERN_DATAPLANE_TCP_RECEIVE_H
#define POSTERN_DATAPLANE_TCP_RECEIVE_H

#include "dataplane/tcp.h"

enum { TCP_EARLY_MBUFS = 16, TCP_EARLY_BYTES = 512, TCP_IDLE_MS = 10000, TCP_QUICK_SEGMENTS = 16 };

/* rcv_nxt is known: the buffer begins small. */
void tcp_receive_begin(struct tcp *tcp, const struct tcp_env *env);
/* Payload from seq on, in window at least in part, and a FIN behind it. Takes the mbuf, which holds nothing else; NULL:
 * none. Returns events. */
unsigned tcp_receive_bytes(struct tcp *tcp, const struct tcp_env *env, uint32_t seq, bool fin, struct rte_mbuf *mbuf);
/* The window field of the segment that is being made, and the promise that it is. */
uint16_t tcp_receive_window(struct tcp *tcp, bool syn);
/* Whether the peer should hear of the room that there is now. */
bool tcp_receive_has_news(const struct tcp *tcp);
/* Writes the SACK option, with what is to be told now; returns its length, a multiple of 4, at most room. */
uint8_t tcp_receive_sacks(struct tcp *tcp, uint8_t *at, uint8_t room);
/* The application took something. */
void tcp_receive_tune(struct tcp *tcp, const struct tcp_env *env);
void tcp_receive_free(struct tcp *tcp);

#endif
