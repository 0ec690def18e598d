/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translation works on a copy of the options, which goes back into the segment when all of it turned out to be well
 * formed; so there is nothing to undo. What that changed in the checksum is the sum of the new bytes less that of the
 * old: options can put a timestamp at an odd offset, erase at any, and none of it needs a case of its own. That costs
 * some 50 ns, which only segments with SACK blocks or odd options pay; NOP NOP TIMESTAMPS, what nearly every segment
 * has, is done in place.
 */
#include "dataplane/tcp_options.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	LENGTH_MSS = 4,
	LENGTH_WSCALE = 3,
	LENGTH_SACK_PERMITTED = 2,
	LENGTH_SACK_BLOCK = 8, /* after kind and length */
	LENGTH_TIMESTAMPS = 10,
	COMMON_LENGTH = 2 + LENGTH_TIMESTAMPS
};

static inline uint32_t
load_32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return ntohl(value);
}

static inline void
store_32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

/* Whole length of the option at options[at], at < length; 1 for NOP and END. 0 when it is malformed. */
static uint8_t
option_length(const uint8_t *options, uint8_t at, uint8_t length)
{
	uint8_t size;

	if (options[at] == TCP_OPTION_NOP || options[at] == TCP_OPTION_END)
		return 1;
	if (length - at < 2)
		return 0;
	size = options[at + 1];
	if (size < 2 || size > length - at)
		return 0;
	switch (options[at]) {
	case TCP_OPTION_MSS:
		return size == LENGTH_MSS ? size : 0;
	case TCP_OPTION_WSCALE:
		return size == LENGTH_WSCALE ? size : 0;
	case TCP_OPTION_SACK_PERMITTED:
		return size == LENGTH_SACK_PERMITTED ? size : 0;
	case TCP_OPTION_SACK:
		return size > 2 && (size - 2) % LENGTH_SACK_BLOCK == 0 ? size : 0;
	case TCP_OPTION_TIMESTAMPS:
		return size == LENGTH_TIMESTAMPS ? size : 0;
	default:
		return size;
	}
}

bool
tcp_options_parse(const uint8_t *options, uint8_t length, bool syn, struct tcp_options *parsed)
{
	uint8_t size;

	*parsed = (struct tcp_options){.wscale = TCP_WSCALE_NONE};
	if (length > TCP_OPTIONS_MAX)
		return false;
	for (uint8_t at = 0; at < length && options[at] != TCP_OPTION_END; at += size) {
		const uint8_t *value = options + at + 2;

		size = option_length(options, at, length);
		if (!size)
			return false;
		switch (options[at]) {
		case TCP_OPTION_MSS:
			if (syn && !parsed->mss)
				parsed->mss = (uint16_t)(value[0] << 8 | value[1]);
			break;
		case TCP_OPTION_WSCALE:
			if (syn && parsed->wscale == TCP_WSCALE_NONE)
				parsed->wscale = value[0] < TCP_WSCALE_MAX ? value[0] : TCP_WSCALE_MAX;
			break;
		case TCP_OPTION_SACK_PERMITTED:
			parsed->sack_permitted = syn;
			break;
		case TCP_OPTION_SACK:
			if (parsed->n_sacks != 0)
				break;
			parsed->n_sacks = (uint8_t)((size - 2) / LENGTH_SACK_BLOCK);
			parsed->sacks_at = (uint8_t)(at + 2);
			break;
		case TCP_OPTION_TIMESTAMPS:
			if (parsed->timestamps)
				break;
			parsed->timestamps = true;
			parsed->timestamps_at = at;
			parsed->tsval = load_32(value);
			parsed->tsecr = load_32(value + 4);
			break;
		}
	}
	return true;
}

uint8_t
tcp_options_write(const struct tcp_options *options, uint8_t out[TCP_OPTIONS_MAX])
{
	uint8_t *at = out;

	/* Each group is a multiple of four bytes, so that no NOPs are left for the end. */
	if (options->mss) {
		*at++ = TCP_OPTION_MSS;
		*at++ = LENGTH_MSS;
		*at++ = (uint8_t)(options->mss >> 8);
		*at++ = (uint8_t)options->mss;
	}
	if (options->timestamps || options->sack_permitted) {
		if (!options->timestamps || !options->sack_permitted) {
			*at++ = TCP_OPTION_NOP;
			*at++ = TCP_OPTION_NOP;
		}
		if (options->sack_permitted) {
			*at++ = TCP_OPTION_SACK_PERMITTED;
			*at++ = LENGTH_SACK_PERMITTED;
		}
		if (options->timestamps) {
			*at++ = TCP_OPTION_TIMESTAMPS;
			*at++ = LENGTH_TIMESTAMPS;
			store_32(at, options->tsval);
			store_32(at + 4, options->tsecr);
			at += 8;
		}
	}
	if (options->wscale != TCP_WSCALE_NONE) {
		*at++ = TCP_OPTION_NOP;
		*at++ = TCP_OPTION_WSCALE;
		*at++ = LENGTH_WSCALE;
		*at++ = options->wscale;
	}
	return (uint8_t)(at - out);
}

/* TSval and TSecr at value, shifted. TSecr of a segment without ACK has no meaning, and is 0 by RFC 7323 section 3.2.
 */
static void
shift_timestamps(uint8_t *value, bool has_ack, const struct tcp_options_shift *shift)
{
	store_32(value, load_32(value) + shift->tsval);
	if (has_ack)
		store_32(value + 4, load_32(value + 4) + shift->tsecr);
}

static bool
is_common(const uint8_t *options, uint8_t length)
{
	static const uint8_t head[4] = {TCP_OPTION_NOP, TCP_OPTION_NOP, TCP_OPTION_TIMESTAMPS, LENGTH_TIMESTAMPS};

	return length == COMMON_LENGTH && memcmp(options, head, sizeof(head)) == 0;
}

static void
translate_common(uint8_t *options, bool has_ack, const struct tcp_options_shift *shift, checksum_delta *delta,
		 struct tcp_options_seen *seen)
{
	uint32_t before[2], after[2];

	memcpy(before, options + 4, sizeof(before));
	seen->timestamps = true;
	seen->tsval = ntohl(before[0]);
	after[0] = htonl(seen->tsval + shift->tsval);
	after[1] = has_ack ? htonl(ntohl(before[1]) + shift->tsecr) : before[1];
	memcpy(options + 4, after, sizeof(after));
	*delta = checksum_delta_32(*delta, before[0], after[0]);
	*delta = checksum_delta_32(*delta, before[1], after[1]);
}

enum tcp_options_verdict
tcp_options_translate(uint8_t *options, uint8_t length, bool has_ack, const struct tcp_options_shift *shift,
		      checksum_delta *delta, struct tcp_options_seen *seen)
{
	uint8_t changed[TCP_OPTIONS_MAX], size;
	bool sack = false;

	*seen = (struct tcp_options_seen){0};
	if (!length)
		return TCP_OPTIONS_OK;
	if (is_common(options, length)) {
		translate_common(options, has_ack, shift, delta, seen);
		return TCP_OPTIONS_OK;
	}
	if (length > TCP_OPTIONS_MAX)
		return TCP_OPTIONS_MALFORMED;
	memcpy(changed, options, length);
	for (uint8_t at = 0; at < length && options[at] != TCP_OPTION_END; at += size) {
		size = option_length(options, at, length);
		if (!size)
			return TCP_OPTIONS_MALFORMED;
		switch (options[at]) {
		case TCP_OPTION_NOP:
			continue;
		case TCP_OPTION_SACK:
			if (sack || shift->drop_sack)
				break;
			sack = true;
			for (uint8_t edge = at + 2; edge < at + size; edge += 4)
				store_32(changed + edge, load_32(changed + edge) + shift->sack);
			continue;
		case TCP_OPTION_TIMESTAMPS:
			if (seen->timestamps)
				break;
			seen->timestamps = true;
			seen->tsval = load_32(options + at + 2);
			shift_timestamps(changed + at + 2, has_ack, shift);
			continue;
		}
		memset(changed + at, TCP_OPTION_NOP, size);
	}
	*delta += (uint16_t)~checksum_fold(checksum_sum(options, length));
	*delta += checksum_sum(changed, length);
	memcpy(options, changed, length);
	return TCP_OPTIONS_OK;
}
