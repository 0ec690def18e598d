/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/peer_wire.h"

#include <stdlib.h>

#include "tests/sim/hello.h"
#include "tests/unit/random.h"

const uint8_t *
peer_noise(void)
{
	static uint8_t *noise;

	if (noise == NULL) {
		uint64_t seed = 1;
		noise = malloc(PEER_NOISE + PEER_STREAM_MAX);
		if (noise == NULL)
			abort();
		for (size_t i = 0; i < PEER_NOISE + PEER_STREAM_MAX; i += 8) {
			uint64_t word = random_64(&seed);
			memcpy(noise + i, &word, 8);
		}
		hello_plant(noise);
	}
	return noise;
}

const uint8_t *
peer_stream(const struct peer *peer, uint32_t offset)
{
	return peer_noise() + peer->noise + offset;
}

uint32_t
peer_wire_get_32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void
put_32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

uint8_t
peer_wire_timestamps(const struct peer *peer, uint8_t *at, bool has_ack, uint64_t now)
{
	at[0] = at[1] = 1;
	at[2] = 8;
	at[3] = 10;
	put_32(at + 4, peer_clock(peer, now));
	put_32(at + 8, has_ack ? peer->ts_recent : 0);
	return 12;
}

uint8_t
peer_wire_sacks(struct peer *peer, uint8_t *at, uint8_t space)
{
	unsigned most = (space - 4u) / 8, n = 0;
	uint8_t *block = at + 4;

	if (peer->duplicate.begin != peer->duplicate.end) {
		put_32(block, peer->irs + peer->duplicate.begin);
		put_32(block + 4, peer->irs + peer->duplicate.end);
		block += 8;
		n++;
		peer->duplicate = (struct peer_range){0, 0};
	}
	/* The last ones first: they are the news. */
	for (unsigned i = peer->n_early; i != 0 && n < most; i--, n++, block += 8) {
		put_32(block, peer->irs + peer->early[i - 1].begin);
		put_32(block + 4, peer->irs + peer->early[i - 1].end);
	}
	if (n == 0)
		return 0;
	at[0] = at[1] = 1;
	at[2] = 5;
	at[3] = (uint8_t)(2 + 8 * n);
	return (uint8_t)(4 + 8 * n);
}

uint8_t
peer_wire_syn_options(const struct peer *peer, uint8_t *at, bool answer, uint64_t now)
{
	const struct peer_traits *traits = &peer->traits;
	uint8_t *from = at;

	if (traits->mss != 0) {
		*at++ = 2;
		*at++ = 4;
		*at++ = (uint8_t)(traits->mss >> 8);
		*at++ = (uint8_t)traits->mss;
	}
	if (answer ? peer->sack : traits->sack) {
		*at++ = 4;
		*at++ = 2;
	}
	if (answer ? peer->timestamps : traits->timestamps) {
		*at++ = 8;
		*at++ = 10;
		put_32(at, peer_clock(peer, now));
		put_32(at + 4, answer ? peer->ts_recent : 0);
		at += 8;
	}
	if (answer ? peer->scales : traits->scale != PEER_NO_SCALE) {
		*at++ = 3;
		*at++ = 3;
		*at++ = traits->scale;
	}
	if (traits->oddities) { /* MP_CAPABLE, an empty Fast Open cookie, an experimental kind */
		static const uint8_t odd[] = {30, 4, 0, 0x81, 34, 2, 253, 4, 0xde, 0xad};
		memcpy(at, odd, sizeof(odd));
		at += sizeof(odd);
	}
	while ((at - from) % 4 != 0)
		*at++ = 1;
	return (uint8_t)(at - from);
}

struct peer_heard
peer_wire_read(const struct segment *segment)
{
	struct peer_heard heard = {.scale = PEER_NO_SCALE};
	const uint8_t *at = segment->options, *end = at + segment->options_length;

	while (at < end && *at != 0) {
		if (*at == 1) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at) {
			heard.bad = true;
			break;
		}
		if (at[0] == 2)
			heard.mss = (uint16_t)(at[2] << 8 | at[3]);
		else if (at[0] == 3)
			heard.scale = at[2] < 14 ? at[2] : 14;
		else if (at[0] == 4)
			heard.sack_permitted = true;
		else if (at[0] == 5) {
			heard.sacks = at + 2;
			heard.n_sacks = (at[1] - 2u) / 8;
		} else if (at[0] == 8) {
			heard.timestamps = true;
			heard.tsval = peer_wire_get_32(at + 2);
			heard.tsecr = peer_wire_get_32(at + 6);
		}
		at += at[1];
	}
	return heard;
}

bool
peer_refuse(const struct segment *segment, struct segment *answer)
{
	if ((segment->flags & RST) != 0)
		return false;
	*answer = (struct segment){
		.source = segment->destination,
		.destination = segment->source,
		.source_port = segment->destination_port,
		.destination_port = segment->source_port,
		.flags = RST,
	};
	if ((segment->flags & ACK) != 0) {
		answer->seq = segment->ack;
	} else {
		answer->flags |= ACK;
		answer->ack = segment->seq + segment->payload_length + ((segment->flags & SYN) != 0) +
			      ((segment->flags & FIN) != 0);
	}
	return true;
}
