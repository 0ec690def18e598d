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
 * What is tracked: the highest sequence number and acknowledgment of each side and the right edge of its window. A
 * packet outside of what its receiver could take is dropped; a RST or FIN changes our state only where the receiver
 * must accept it as well (RFC 5961), and is passed on for the receiver to judge otherwise.
 *
 * Windows. Each side announces in units of its own scale; we announced another one to the other side. A window is
 * rounded down to those units and clamped, but never from something to nothing: a receiver with a small window must not
 * look closed.
 */
#ifndef POSTERN_DATAPLANE_SPLICE_H
#define POSTERN_DATAPLANE_SPLICE_H

#include "dataplane/worker.h"

enum {
	SPLICE_WINDOW_SLACK = 65536, /* bytes beyond the offered edge that pass: window probes, rounding */
	SPLICE_WINDOW_MAX = 1 << 30  /* RFC 7323: no window is larger; what is older than that is no repeat */
};

/* A packet on leg of a SPLICED or CLOSING flow. Takes the mbuf. */
void splice_input(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet,
		  struct rte_mbuf *mbuf);

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
