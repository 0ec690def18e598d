/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYN cookies: the initial sequence number of our SYN-ACK carries what we would otherwise have to remember about a SYN
 * (RFC 4987 section 3.6), so a peer that hasn't proved its address costs no memory.
 *
 *    31          26 25           8 7    5 4     1  0
 *   ┌──────────────┬──────────────┬──────┬───────┬────┐
 *   │ MAC over the │ MAC, and the │ MSS  │ scale │SACK│
 *   │ tuple        │ client's ISN │ index│ 15=no │    │
 *   └──────────────┴──────────────┴──────┴───────┴────┘
 *
 * Both MACs are SipHash-2-4 under a 128-bit secret, and cover the low 8 bits and the period (32 s); a cookie is
 * good in the period in which it was made and in the next. Timestamps aren't carried: a client that sends them in its
 * ACK is one with which they were negotiated (RFC 7323 section 3.2).
 *
 * There are two MACs so that data which overtakes the handshake's last ACK can be told from a guess: the tuple's half
 * fits, the ISN's half doesn't, and the segment is dropped in silence instead of being answered with a RST that would
 * kill an honest connection. To pass, a guess must still match all 24 bits. The ISN's half has most of them: where it
 * fits by chance, 1 in 2^18, a stream is taken to begin in its middle. Where the tuple's does, 1 in 2^6, a stranger
 * hears nothing instead of a RST.
 */
#ifndef POSTERN_DATAPLANE_SYN_COOKIE_H
#define POSTERN_DATAPLANE_SYN_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_table.h"

enum { SYN_COOKIE_PERIOD_MS = 32000 };

struct syn_cookie_options {
	uint16_t mss; /* in: the client's; out: rounded down to one of the eight that a cookie can hold, at least 216 */
	uint8_t wscale; /* 0..14 or TCP_WSCALE_NONE */
	bool sack;
};

enum syn_cookie_verdict {
	SYN_COOKIE_GOOD,
	SYN_COOKIE_OUT_OF_ORDER, /* of this tuple, but the segment isn't the first after the SYN */
	SYN_COOKIE_BAD
};

/* now_ms: any clock that survives a restart of the process (CLOCK_MONOTONIC); 64 bits. client_isn: SEG.SEQ of the SYN.
 */
uint32_t syn_cookie_make(const uint64_t secret[2], const struct flow_key *key, uint32_t client_isn,
			 const struct syn_cookie_options *options, uint64_t now_ms);

/* cookie: SEG.ACK − 1; client_isn: SEG.SEQ − 1 of the ACK. *options is set when SYN_COOKIE_GOOD. */
enum syn_cookie_verdict syn_cookie_check(const uint64_t secret[2], const struct flow_key *key, uint32_t client_isn,
					 uint32_t cookie, uint64_t now_ms, struct syn_cookie_options *options);

/* SipHash-2-4 over words (little-endian order of bytes within each); also keys ISNs (RFC 6528) and local ports (RFC
 * 6056). */
uint64_t siphash(const uint64_t secret[2], const uint64_t *words, unsigned n);

#endif
