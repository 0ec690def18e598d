/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPLICED: two TCP connections made one by rewriting headers. No payload is kept, nothing is acknowledged by us; each
 * end's TCP talks to the other's.
 *
 * Of every packet are rewritten: Ethernet and IP headers (made anew: the families of the legs may differ), ports,
 * sequence and acknowledgment number, SACK edges, timestamps, window; options that weren't negotiated become NOPs; ECN
 * and reserved bits are cleared, since we never negotiate them. The TCP checksum follows by RFC 1624, so it still
 * protects the payload end to end.
 *
 * What is tracked: the highest sequence number and acknowledgment of each side and the right edge of its window.
 *
 * Strangers. Somebody off the path who knows addresses and ports, but no numbers, must get no further here than with
 * the receiver itself (RFC 5961):
 *
 * - What lies further off than a window, the receiver's for sequence numbers, the sender's for acknowledgments, is
 *   dropped. What lies nearer is passed on, for the receiver to judge.
 * - Only what the receiver may take changes what is tracked: a repeat of what it has acknowledged says nothing new.
 * - A RST ends the flow only with a number that the receiver told to expect, or the one next to be sent. With another
 *   it is passed on, since the receiver may know better, and whoever is said to have sent it is challenged: if he is
 *   gone, his answer has the right number. Believed too easily it would cost a live connection its record.
 * - A SYN is answered by a challenge, too. Challenges are limited for each flow by itself: from a limit that all share,
 *   strangers learn which connections there are.
 *
 * Windows. Each side announces in units of its own scale; we announced another one to the other side. A window is
 * rounded down to those units and clamped, but never from something to nothing: a receiver with a small window must not
 * look closed.
 */
#ifndef POSTERN_DATAPLANE_SPLICE_H
#define POSTERN_DATAPLANE_SPLICE_H

#include "dataplane/worker.h"

enum {
	SPLICE_WINDOW_SLACK = 65536 /* bytes beyond a window, at either end, that pass: probes, rounding */
};

/* A packet on leg of a SPLICED or CLOSING flow. Takes the mbuf. */
void splice_input(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet,
		  struct rte_mbuf *mbuf);

/* Whether a packet from the client on a CLOSING flow can't be of this connection, but may be of the next on the same
 * ports: its numbers aren't of this one, or lie beyond what its client used (RFC 6191). */
bool splice_is_beyond(const struct flow *flow, const struct packet *packet);

/* The timer of a SPLICED flow. */
void splice_fired(struct worker *worker, uint32_t index);

/* A window field: in units of 1 << from, into units of 1 << to. */
static inline uint16_t
splice_window(uint16_t window, uint8_t from, uint8_t to)
{
	if (from == to)
		return window;
	uint32_t bytes = (uint32_t)window << from, units = bytes >> to;
	if (units == 0 && bytes != 0)
		return 1;
	return units > UINT16_MAX ? UINT16_MAX : (uint16_t)units;
}

#endif
