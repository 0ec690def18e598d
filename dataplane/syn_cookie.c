/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MAC over the tuple is SipHash of the key's three words and of what the cookie says (its low byte and the period).
 * The second one is SipHash of all 64 bits of the first and the client's ISN, so a cookie costs six words and not nine;
 * SipHash covers the number of words, so neither is ever the other. 6 bits of the first and 18 of the second go into
 * the cookie.
 */
#include "dataplane/syn_cookie.h"

#include <string.h>

#include "dataplane/tcp_options.h"

enum {
	SACK_BIT = 1,
	WSCALE_SHIFT = 1,
	WSCALE_MASK = 15,
	WSCALE_ABSENT = 15,
	MSS_SHIFT = 5,
	MSS_COUNT = 8,
	OPTIONS_MASK = 0xff, /* the three above */
	ISN_MAC_SHIFT = 8,
	ISN_MAC_MASK = 0x3ffff,
	TUPLE_MAC_SHIFT = 26,
	TUPLE_MAC_MASK = 0x3f
};

/* 216: the least that BSD stacks go down to; 536, 1220: the defaults of IPv4 and IPv6; 1360, 1400: tunnels; 1440, 1460:
 * Ethernet under IPv6 and IPv4; 8960: jumbo frames. */
static const uint16_t mss_values[MSS_COUNT] = {216, 536, 1220, 1360, 1400, 1440, 1460, 8960};

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static inline void
sip_absorb(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

uint64_t
siphash(const uint64_t secret[2], const uint64_t *words, unsigned n)
{
	/* The constants are the paper's: "somepseudorandomlygeneratedbytes". */
	struct sip s = {secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d, secret[0] ^ 0x6c7967656e657261,
			secret[1] ^ 0x7465646279746573};

	for (unsigned i = 0; i < n; i++)
		sip_absorb(&s, words[i]);
	/* The last word holds the bytes left over, none here, and the length in bytes modulo 256 on top. */
	sip_absorb(&s, (uint64_t)n * 8 << 56);
	s.v2 ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static uint64_t
mac_tuple(const uint64_t secret[2], const struct flow_key *key, uint8_t options, uint64_t period)
{
	uint64_t words[4];

	memcpy(words, key, sizeof(*key));
	words[3] = period << 8 | options;
	return siphash(secret, words, 4);
}

static uint64_t
mac_isn(const uint64_t secret[2], uint64_t tuple, uint32_t client_isn)
{
	const uint64_t words[2] = {tuple, client_isn};

	return siphash(secret, words, 2);
}

static uint8_t
options_encode(const struct syn_cookie_options *options)
{
	unsigned mss = MSS_COUNT - 1, wscale = WSCALE_ABSENT;

	while (mss > 0 && mss_values[mss] > options->mss)
		mss--;
	if (options->wscale != TCP_WSCALE_NONE)
		wscale = options->wscale < TCP_WSCALE_MAX ? options->wscale : TCP_WSCALE_MAX;
	return (uint8_t)(mss << MSS_SHIFT | wscale << WSCALE_SHIFT | (options->sack ? SACK_BIT : 0));
}

static struct syn_cookie_options
options_decode(uint8_t encoded)
{
	uint8_t wscale = encoded >> WSCALE_SHIFT & WSCALE_MASK;

	return (struct syn_cookie_options){
		.mss = mss_values[encoded >> MSS_SHIFT],
		.wscale = wscale == WSCALE_ABSENT ? TCP_WSCALE_NONE : wscale,
		.sack = encoded & SACK_BIT,
	};
}

uint32_t
syn_cookie_make(const uint64_t secret[2], const struct flow_key *key, uint32_t client_isn,
		const struct syn_cookie_options *options, uint64_t now_ms)
{
	uint8_t encoded = options_encode(options);
	uint64_t tuple = mac_tuple(secret, key, encoded, now_ms / SYN_COOKIE_PERIOD_MS);
	uint64_t isn = mac_isn(secret, tuple, client_isn);

	return (uint32_t)(tuple & TUPLE_MAC_MASK) << TUPLE_MAC_SHIFT | (uint32_t)(isn & ISN_MAC_MASK) << ISN_MAC_SHIFT |
	       encoded;
}

enum syn_cookie_verdict
syn_cookie_check(const uint64_t secret[2], const struct flow_key *key, uint32_t client_isn, uint32_t cookie,
		 uint64_t now_ms, struct syn_cookie_options *options)
{
	enum syn_cookie_verdict verdict = SYN_COOKIE_BAD;
	uint64_t period = now_ms / SYN_COOKIE_PERIOD_MS;
	uint8_t encoded = cookie & OPTIONS_MASK;

	for (unsigned age = 0; age < 2; age++) {
		uint64_t tuple = mac_tuple(secret, key, encoded, period - age);

		if ((tuple & TUPLE_MAC_MASK) != cookie >> TUPLE_MAC_SHIFT)
			continue;
		if ((mac_isn(secret, tuple, client_isn) & ISN_MAC_MASK) == (cookie >> ISN_MAC_SHIFT & ISN_MAC_MASK)) {
			*options = options_decode(encoded);
			return SYN_COOKIE_GOOD;
		}
		verdict = SYN_COOKIE_OUT_OF_ORDER;
	}
	return verdict;
}
