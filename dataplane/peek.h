/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEEKING: from the client's ACK to the decision.
 *
 * The client's bytes are held (hold.h) and not acknowledged: it still owns them and repeats them if we lose them. When
 * they make a whole ClientHello the gateway decides, and dial.c takes over; what else the client sends meanwhile is
 * held as well.
 *
 * Behind a plain listener there is nothing to wait for: the first segment, the handshake's ACK, asks for the decision.
 *
 * A client that can't go on without an ACK gets one: after PEEK_ACK_SEGMENTS segments (its initial window is ten, RFC
 * 6928), or PEEK_ACK_MS after the oldest unacknowledged byte came. The bytes acknowledged are ours to deliver from then
 * on (dial.c).
 */
#ifndef POSTERN_DATAPLANE_PEEK_H
#define POSTERN_DATAPLANE_PEEK_H

#include "dataplane/worker.h"

enum { PEEK_ACK_SEGMENTS = 8, PEEK_ACK_MS = 150 };

/* A flow has just become PEEKING: starts its timer. */
void peek_start(struct worker *worker, uint32_t index);
/* A segment from the client of a PEEKING or CONNECTING flow. Takes the mbuf. */
void peek_input(struct worker *worker, uint32_t index, const struct packet *packet, struct rte_mbuf *mbuf);
/* The timer of a PEEKING flow. */
void peek_fired(struct worker *worker, uint32_t index);

/* Asks the gateway where the connection goes, for the first time or after an endpoint failed for the reason why, and
 * acts on the answer. The flow may be gone afterwards. */
void peek_decide(struct worker *worker, uint32_t index, enum reason why);

#endif
