/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP option translator, as a segment from anyone reaches it.
 *
 * Input: a byte of flags, three words of shifts, then the options. Held to: parsing and translating agree on what is
 * malformed; what is malformed stays as it was; the bytes behind the options always do; the delta is what a full
 * recomputation gives; and translating back leaves what came in, but for NOPs where an option may not pass.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp_options.h"

enum { HAS_ACK = 1, DROP_SACK = 2, SYN = 4, HEAD = 13, ROOM = TCP_OPTIONS_MAX + 8, TCP_HEADER = 20 };

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static uint32_t
word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Overwrites what may not pass with NOPs: the translator's rule, without its shifts. options are well formed. */
static void
erase_foreign(uint8_t *options, uint8_t length, bool drop_sack)
{
	bool sack = drop_sack, timestamps = false;
	uint8_t size;

	for (uint8_t at = 0; at < length && options[at] != TCP_OPTION_END; at += size) {
		bool *seen = options[at] == TCP_OPTION_SACK ? &sack : &timestamps;
		bool passes = options[at] == TCP_OPTION_SACK || options[at] == TCP_OPTION_TIMESTAMPS;

		size = options[at] == TCP_OPTION_NOP ? 1 : options[at + 1];
		if (passes && !*seen)
			*seen = true;
		else
			memset(options + at, TCP_OPTION_NOP, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t segment[TCP_HEADER + ROOM] = {1}, before[sizeof(segment)], *options = segment + TCP_HEADER, length;
	struct tcp_options_shift forth, back;
	struct tcp_options_seen seen;
	struct tcp_options parsed;
	checksum_delta delta = 0;
	enum tcp_options_verdict verdict;
	uint16_t checksum;
	bool ok;

	if (size < HEAD || size - HEAD > ROOM)
		return 0;
	forth = (struct tcp_options_shift){word(data + 1), word(data + 5), word(data + 9), data[0] & DROP_SACK};
	back = (struct tcp_options_shift){-forth.sack, -forth.tsval, -forth.tsecr, forth.drop_sack};
	length = (uint8_t)(size - HEAD);
	memset(options, 0xa5, ROOM);
	memcpy(options, data + HEAD, length);
	memcpy(before, segment, sizeof(segment));
	checksum = (uint16_t)~checksum_fold(checksum_sum(segment, sizeof(segment)));

	ok = tcp_options_parse(options, length, data[0] & SYN, &parsed);
	verdict = tcp_options_translate(options, length, data[0] & HAS_ACK, &forth, &delta, &seen);
	require(ok == (verdict == TCP_OPTIONS_OK));
	require(memcmp(segment, before, TCP_HEADER) == 0);
	require(memcmp(options + length, before + TCP_HEADER + length, ROOM - length) == 0);
	if (!ok) {
		require(memcmp(segment, before, sizeof(segment)) == 0 && delta == 0);
		return 0;
	}
	require(seen.timestamps == parsed.timestamps && seen.tsval == parsed.tsval);
	checksum = checksum_apply(checksum, delta);
	const uint16_t sum = checksum_fold(checksum_sum(segment, sizeof(segment)));
	require((uint16_t)(checksum ^ sum) == UINT16_MAX);

	require(tcp_options_translate(options, length, data[0] & HAS_ACK, &back, &delta, &seen) == TCP_OPTIONS_OK);
	require(seen.timestamps == parsed.timestamps);
	require(!seen.timestamps || seen.tsval == parsed.tsval + forth.tsval);
	erase_foreign(before + TCP_HEADER, length, forth.drop_sack);
	require(memcmp(segment, before, sizeof(segment)) == 0);
	return 0;
}
