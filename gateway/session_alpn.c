/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/session_alpn.h"

#include <assert.h>
#include <string.h>

#include "gateway/live.h"

static_assert(SESSION_ALPN_KNOWN_S * 1000 < LIVE_HOLD_MS, "forgotten before the slot is another service's");

static const char h2[] = "h2", http_1_1[] = "http/1.1";

static bool
is(const uint8_t *name, size_t length, const char *protocol)
{
	return length == strlen(protocol) && memcmp(name, protocol, length) == 0;
}

static bool
admits(enum port_protocol protocol, const uint8_t *name, size_t length)
{
	switch (protocol) {
	case PROTOCOL_HTTP2:
	case PROTOCOL_GRPC:
		return is(name, length, h2);
	case PROTOCOL_HTTP:
		return is(name, length, http_1_1);
	default:
		return true;
	}
}

static void
add(struct session_protocols *protocols, const void *name, size_t length)
{
	protocols->bytes[protocols->length] = (uint8_t)length;
	memcpy(protocols->bytes + protocols->length + 1, name, length);
	protocols->length = (uint16_t)(protocols->length + 1 + length);
}

static void
take_out(struct session_protocols *protocols, const char *name)
{
	uint16_t to = 0;

	for (uint16_t at = 0, step; at < protocols->length; at = (uint16_t)(at + step)) {
		step = (uint16_t)(1 + protocols->bytes[at]);
		if (is(protocols->bytes + at + 1, protocols->bytes[at], name))
			continue;
		memmove(protocols->bytes + to, protocols->bytes + at, step);
		to = (uint16_t)(to + step);
	}
	protocols->length = to;
}

bool
session_alpn_choose(const struct client_hello *hello, enum port_protocol protocol, enum session_spoken spoken,
		    struct session_protocols *protocols)
{
	protocols->length = 0;
	for (unsigned i = 0; i < hello->n_alpn; i++) {
		const uint8_t *name = (const uint8_t *)hello->alpn[i].bytes;
		if (admits(protocol, name, hello->alpn[i].length))
			add(protocols, name, hello->alpn[i].length);
	}
	if (!session_alpn_has(protocols, h2) || !session_alpn_has(protocols, http_1_1))
		return false;
	take_out(protocols, spoken == SPOKEN_H2 ? http_1_1 : h2);
	return spoken == SPOKEN_UNKNOWN;
}

void
session_alpn_one(struct session_protocols *protocols, const uint8_t *name, size_t length)
{
	protocols->length = 0;
	if (length != 0 && length <= CLIENT_HELLO_ALPN_NAME_MAX)
		add(protocols, name, length);
}

void
session_alpn_both(struct session_protocols *protocols)
{
	protocols->length = 0;
	add(protocols, h2, strlen(h2));
	add(protocols, http_1_1, strlen(http_1_1));
}

bool
session_alpn_has(const struct session_protocols *protocols, const char *name)
{
	for (uint16_t at = 0; at < protocols->length; at = (uint16_t)(at + 1 + protocols->bytes[at]))
		if (is(protocols->bytes + at + 1, protocols->bytes[at], name))
			return true;
	return false;
}

/* A word: when it was learned, in seconds (32 bits), the end of the snapshot's generation (24), what is spoken (8). */
enum { GENERATION_BITS = 24, GENERATION = (1 << GENERATION_BITS) - 1, SPOKEN = 0xff };

enum session_spoken
session_alpn_known(const uint64_t *word, uint64_t generation, uint64_t now_s)
{
	uint64_t known = __atomic_load_n(word, __ATOMIC_RELAXED);
	uint32_t age_s = (uint32_t)now_s - (uint32_t)(known >> 32);

	if (((known >> 8) & GENERATION) != (generation & GENERATION) || age_s >= SESSION_ALPN_KNOWN_S)
		return SPOKEN_UNKNOWN;
	return (enum session_spoken)(known & SPOKEN);
}

void
session_alpn_learn(uint64_t *word, enum session_spoken spoken, uint64_t generation, uint64_t now_s)
{
	uint64_t known = now_s << 32 | (generation & GENERATION) << 8 | spoken;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) != known) /* a line that all workers read */
		__atomic_store_n(word, known, __ATOMIC_RELAXED);
}
