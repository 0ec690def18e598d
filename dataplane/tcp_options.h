/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP options: read from a segment, written into one that we make, and translated in place in one that passes.
 *
 * Pure functions over (pointer, length). Options are at most 40 bytes (data offset 15). RFC 9293 section 3.1 (MSS), RFC
 * 7323 (window scale, timestamps), RFC 2018 (SACK).
 */
#ifndef POSTERN_DATAPLANE_TCP_OPTIONS_H
#define POSTERN_DATAPLANE_TCP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/checksum.h"

enum {
	TCP_OPTIONS_MAX = 40,
	TCP_OPTION_END = 0,
	TCP_OPTION_NOP = 1,
	TCP_OPTION_MSS = 2,
	TCP_OPTION_WSCALE = 3,
	TCP_OPTION_SACK_PERMITTED = 4,
	TCP_OPTION_SACK = 5,
	TCP_OPTION_TIMESTAMPS = 8,
	TCP_WSCALE_MAX = 14,
	TCP_WSCALE_NONE = 0xff,
	TCP_MSS_DEFAULT_V4 = 536, /* RFC 9293 section 3.7.1, where the option is absent */
	TCP_MSS_DEFAULT_V6 = 1220
};

struct tcp_options {
	uint16_t mss;   /* 0: absent */
	uint8_t wscale; /* 0..14, larger ones are taken as 14 (RFC 7323 section 2.3); TCP_WSCALE_NONE: absent */
	bool sack_permitted;
	bool timestamps;
	uint8_t timestamps_at; /* offset of the kind byte in the options, when timestamps */
	uint32_t tsval, tsecr; /* host order, when timestamps */
	uint8_t n_sacks;       /* SACK blocks, 8 bytes each: left edge, right edge, network order */
	uint8_t sacks_at;      /* offset of the first one in the options, when n_sacks */
};

/* Reads the options of one segment. Unknown kinds are skipped. MSS, window scale and SACK-permitted count only with
 * syn. Returns false for a length that is 0 or 1, overruns, or is wrong for its kind (with or without syn), and for
 * more than 40 bytes; the first of a repeated option counts. What follows END isn't looked at. */
bool tcp_options_parse(const uint8_t *options, uint8_t length, bool syn, struct tcp_options *parsed);

/* Writes options for a segment of ours, padded with NOPs to a multiple of 4: those of MSS, SACK-permitted, window
 * scale, timestamps that *options has. Returns bytes written, at most 20. */
uint8_t tcp_options_write(const struct tcp_options *options, uint8_t out[TCP_OPTIONS_MAX]);

/* How options of a passing segment are changed. */
struct tcp_options_shift {
	uint32_t sack;  /* added to every SACK edge */
	uint32_t tsval; /* added to TSval */
	uint32_t tsecr; /* added to TSecr, unless the segment has no ACK */
	bool drop_sack; /* the receiver didn't permit SACK: overwrite the blocks with NOPs */
};

enum tcp_options_verdict {
	TCP_OPTIONS_OK,
	TCP_OPTIONS_MALFORMED, /* as tcp_options_parse; nothing was changed */
};

/* What translation found, for checks that the caller makes. */
struct tcp_options_seen {
	bool timestamps;
	uint32_t tsval; /* before translation, host order */
};

/* Translates the options of a passing segment, in place: SACK edges (D-SACK included) and timestamps are shifted; every
 * kind other than NOP, END, SACK and timestamps (MPTCP, Fast Open, user time-out, MD5, unknown, and SYN-only kinds
 * where they don't belong) is overwritten with NOPs, and so is a repeated one of those two, so that the receiver can't
 * take another than we did. What follows END stays as it is. All-or-nothing: on TCP_OPTIONS_MALFORMED the bytes are as
 * they were. *delta collects the change of the TCP checksum; options begin at an even offset (20) of the TCP header.
 * The common layout NOP NOP TIMESTAMPS (RFC 7323 appendix A) with nothing else takes a short cut. */
enum tcp_options_verdict tcp_options_translate(uint8_t *options, uint8_t length, bool has_ack,
					       const struct tcp_options_shift *shift, checksum_delta *delta,
					       struct tcp_options_seen *seen);

#endif
