/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/syn_cookie.h"

#include <stddef.h>

#include "dataplane/tcp_options.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

static const uint64_t secret[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};
static const uint16_t mss_values[] = {216, 536, 1220, 1360, 1400, 1440, 1460, 8960};

enum { MSS_COUNT = sizeof(mss_values) / sizeof(mss_values[0]), NOW_MS = 7 * SYN_COOKIE_PERIOD_MS + 31999 };

static struct flow_key
key_random(uint64_t *seed)
{
	struct flow_key key;

	random_fill(seed, &key, sizeof(key));
	key.zero = 0;
	return key;
}

/* The reference implementation's vectors for messages 00 01 02 … of whole words, under the key 00 01 … 0f. */
static void
siphash_vectors(void)
{
	static const struct {
		unsigned words;
		uint64_t hash;
	} cases[] = {
		{0, 0x726fdb47dd0e0e31}, {1, 0x93f5f5799a932462}, {2, 0x3f2acc7f57c29bdb},
		{3, 0xb8ad50c6f649af94}, {4, 0x7127512f72f27cce}, {6, 0xe612a3cb9ecba951},
	};
	static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint64_t message[6];

	for (unsigned i = 0; i < 6; i++)
		message[i] = key[0] + i * 0x0808080808080808;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(siphash(key, message, cases[i].words), cases[i].hash);
}

static void
round_trips(void)
{
	uint64_t seed = 1;

	for (unsigned mss = 0; mss < MSS_COUNT; mss++)
		for (unsigned wscale = 0; wscale <= 15; wscale++)
			for (unsigned sack = 0; sack < 2; sack++)
				for (unsigned late = 0; late < 2; late++) {
					struct flow_key key = key_random(&seed);
					uint32_t isn = (uint32_t)random_64(&seed), cookie;
					struct syn_cookie_options in, out = {0};

					in.mss = mss_values[mss];
					in.wscale = wscale == 15 ? TCP_WSCALE_NONE : (uint8_t)wscale;
					in.sack = sack;
					cookie = syn_cookie_make(secret, &key, isn, &in, NOW_MS);
					CU_ASSERT_EQUAL(syn_cookie_check(secret, &key, isn, cookie,
									 NOW_MS + late * SYN_COOKIE_PERIOD_MS, &out),
							SYN_COOKIE_GOOD);
					CU_ASSERT_EQUAL(out.mss, in.mss);
					CU_ASSERT_EQUAL(out.wscale, in.wscale);
					CU_ASSERT_EQUAL(out.sack, in.sack);
				}
}

static void
rounding(void)
{
	static const struct {
		uint16_t mss;
		uint8_t wscale;
		uint16_t mss_out;
		uint8_t wscale_out;
	} cases[] = {
		{0, 0, 216, 0},     {215, 1, 216, 1},   {217, 14, 216, 14}, {535, 15, 216, 14}, {1219, 254, 536, 14},
		{1359, 7, 1220, 7}, {1399, 7, 1360, 7}, {1459, 7, 1440, 7}, {8959, 7, 1460, 7}, {65535, 255, 8960, 255},
	};
	struct flow_key key = {.peer_port = 1};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct syn_cookie_options in = {cases[i].mss, cases[i].wscale, true}, out = {0};
		uint32_t cookie = syn_cookie_make(secret, &key, i, &in, NOW_MS);

		CU_ASSERT_EQUAL(syn_cookie_check(secret, &key, i, cookie, NOW_MS, &out), SYN_COOKIE_GOOD);
		CU_ASSERT_EQUAL(out.mss, cases[i].mss_out);
		CU_ASSERT_EQUAL(out.wscale, cases[i].wscale_out);
	}
}

static void
expires(void)
{
	static const struct {
		int64_t later_ms;
		enum syn_cookie_verdict verdict;
	} cases[] = {
		{-31999, SYN_COOKIE_GOOD},
		{0, SYN_COOKIE_GOOD},
		{1, SYN_COOKIE_GOOD},
		{SYN_COOKIE_PERIOD_MS, SYN_COOKIE_GOOD},
		{SYN_COOKIE_PERIOD_MS + 1, SYN_COOKIE_BAD},
		{10 * SYN_COOKIE_PERIOD_MS, SYN_COOKIE_BAD},
		{-32000, SYN_COOKIE_BAD}, /* made in the future */
	};
	const struct syn_cookie_options in = {1460, 7, true};
	struct flow_key key = {.peer_port = 1};
	uint32_t cookie = syn_cookie_make(secret, &key, 99, &in, NOW_MS);
	struct syn_cookie_options out;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(
			syn_cookie_check(secret, &key, 99, cookie, (uint64_t)(NOW_MS + cases[i].later_ms), &out),
			cases[i].verdict);
}

/* Changes of what a cookie covers leave it good, or half good, by chance only: 2^-6 for the tuple's MAC and 2^-18 for
 * the ISN's. The bounds below are well above what so many trials expect; the seeds are fixed. */
enum { ROUNDS = 500 };

struct tally {
	unsigned good, out_of_order, bad;
};

static void
tally_check(struct tally *tally, const uint64_t with[2], const struct flow_key *key, uint32_t isn, uint32_t cookie)
{
	struct syn_cookie_options out;

	switch (syn_cookie_check(with, key, isn, cookie, NOW_MS, &out)) {
	case SYN_COOKIE_GOOD:
		tally->good++;
		break;
	case SYN_COOKIE_OUT_OF_ORDER:
		tally->out_of_order++;
		break;
	case SYN_COOKIE_BAD:
		tally->bad++;
		break;
	}
}

static const struct syn_cookie_options usual = {1460, 7, true};

static void
other_tuple(void)
{
	const uint64_t secrets[2][2] = {{secret[0] ^ 1, secret[1]}, {secret[0], secret[1] ^ 1ULL << 63}};
	struct tally tally = {0};
	uint64_t seed = 2;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct flow_key key = key_random(&seed), other;
		uint32_t isn = (uint32_t)random_64(&seed);
		uint32_t cookie = syn_cookie_make(secret, &key, isn, &usual, NOW_MS);

		for (unsigned bit = 0; bit < 8 * offsetof(struct flow_key, zero); bit++) {
			other = key;
			((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1U << bit % 8);
			tally_check(&tally, secret, &other, isn, cookie);
		}
		for (unsigned i = 0; i < 2; i++)
			tally_check(&tally, secrets[i], &key, isn, cookie);
	}
	CU_ASSERT_EQUAL(tally.good, 0);
	CU_ASSERT(tally.out_of_order < 3500); /* 89,000 trials of two periods expect 2,780 */
}

static void
other_isn(void)
{
	struct tally tally = {0};
	uint64_t seed = 3;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct flow_key key = key_random(&seed);
		uint32_t isn = (uint32_t)random_64(&seed);
		uint32_t cookie = syn_cookie_make(secret, &key, isn, &usual, NOW_MS);

		for (unsigned bit = 0; bit < 32; bit++)
			tally_check(&tally, secret, &key, isn ^ 1U << bit, cookie);
		/* Data after the first ACK: SEG.SEQ has moved on. */
		tally_check(&tally, secret, &key, isn + 1460, cookie);
	}
	CU_ASSERT_EQUAL(tally.bad, 0);
	/* 16,500 trials expect 0.06. With 12 bits it was 4, and so many segments of honest clients that had overtaken
	 * the first were taken for the beginning of a stream. */
	CU_ASSERT_EQUAL(tally.good, 0);
}

static void
altered_bits(void)
{
	struct tally options = {0}, isn_mac = {0}, tuple_mac = {0};
	uint64_t seed = 4;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct flow_key key = key_random(&seed);
		uint32_t isn = (uint32_t)random_64(&seed);
		uint32_t cookie = syn_cookie_make(secret, &key, isn, &usual, NOW_MS);

		for (unsigned bit = 0; bit < 32; bit++)
			tally_check(bit < 8    ? &options
				    : bit < 26 ? &isn_mac
					       : &tuple_mac,
				    secret, &key, isn, cookie ^ 1U << bit);
	}
	CU_ASSERT_EQUAL(options.good, 0);
	CU_ASSERT(options.out_of_order < 200); /* 4,000 trials of two periods expect 125 */
	CU_ASSERT_EQUAL(isn_mac.out_of_order, 18 * ROUNDS);
	CU_ASSERT_EQUAL(tuple_mac.good, 0);
	CU_ASSERT(tuple_mac.out_of_order < 90); /* of the period before: 3,000 trials expect 47 */
}

static void
guesses(void)
{
	struct flow_key key = {.peer_port = 1};
	struct tally tally = {0};
	uint64_t seed = 5;

	for (unsigned round = 0; round < 200000; round++) {
		uint64_t guess = random_64(&seed);

		tally_check(&tally, secret, &key, (uint32_t)(guess >> 32), (uint32_t)guess);
	}
	CU_ASSERT_EQUAL(tally.good, 0); /* two periods of 2^-24: 0.02 expected */
	/* … and of the tuple's half, two periods of 2^-6: 6,200 expected. */
	CU_ASSERT(tally.out_of_order > 5500);
	CU_ASSERT(tally.out_of_order < 7000);
}

/* Of so many cookies some have the tuple's MAC of the next period by chance; they are good in it all the same. */
static void
coincidence(void)
{
	struct syn_cookie_options out;
	uint64_t seed = 6;
	unsigned wrong = 0;

	for (unsigned round = 0; round < 40000; round++) {
		struct flow_key key = key_random(&seed);
		uint32_t cookie = syn_cookie_make(secret, &key, round, &usual, NOW_MS);

		wrong += syn_cookie_check(secret, &key, round, cookie, NOW_MS + SYN_COOKIE_PERIOD_MS, &out) !=
			 SYN_COOKIE_GOOD;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const CU_TestInfo tests[] = {
	{"SipHash-2-4 reference vectors", siphash_vectors},
	{"every combination of options, in both periods", round_trips},
	{"options are rounded to what fits", rounding},
	{"expiry", expires},
	{"another tuple or secret", other_tuple},
	{"another ISN", other_isn},
	{"an altered cookie", altered_bits},
	{"guesses", guesses},
	{"a coincidence in the newer period", coincidence},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("syn_cookie", tests);
}
