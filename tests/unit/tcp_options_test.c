/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_options.h"

#include <string.h>

#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#define BYTES(...)                                                                                                     \
	sizeof((const uint8_t[]){__VA_ARGS__}),                                                                        \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}

static void
parse_cases(void)
{
	static const struct {
		const char *what;
		uint8_t length;
		uint8_t options[TCP_OPTIONS_MAX];
		bool syn, ok;
		struct tcp_options expected;
	} cases[] = {
		{"none", 0, {0}, true, true, {.wscale = TCP_WSCALE_NONE}},
		{"Linux SYN",
		 BYTES(2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7),
		 true,
		 true,
		 {1460, 7, true, true, 6, 0x01020304, 0, 0, 0}},
		{"the same without SYN",
		 BYTES(2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 9, 8, 7, 6, 1, 3, 3, 7),
		 false,
		 true,
		 {0, TCP_WSCALE_NONE, false, true, 6, 0x01020304, 0x09080706, 0, 0}},
		{"timestamps at an odd offset",
		 BYTES(1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1),
		 false,
		 true,
		 {0, TCP_WSCALE_NONE, false, true, 1, 0x01020304, 0x05060708, 0, 0}},
		{"window scale above 14", BYTES(3, 3, 255, 0), true, true, {.wscale = 14}},
		{"window scale 14", BYTES(3, 3, 14, 0), true, true, {.wscale = 14}},
		{"first of a repeated option counts",
		 BYTES(2, 4, 1, 0, 2, 4, 2, 0, 3, 3, 1, 3, 3, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0, 3, 0, 0,
		       0, 4),
		 true,
		 true,
		 {256, 1, false, true, 14, 1, 2, 0, 0}},
		{"unknown kinds are skipped",
		 BYTES(34, 2, 30, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 254, 3, 9, 4, 2, 0),
		 true,
		 true,
		 {.wscale = TCP_WSCALE_NONE, .sack_permitted = true}},
		{"END ends", BYTES(0, 2, 0, 3), true, true, {.wscale = TCP_WSCALE_NONE}},
		{"SACK blocks",
		 BYTES(5, 10, 0, 0, 0, 1, 0, 0, 0, 2),
		 false,
		 true,
		 {.wscale = TCP_WSCALE_NONE, .n_sacks = 1, .sacks_at = 2}},
		{"length missing", BYTES(1, 1, 1, 2), true, false, {0}},
		{"unknown kind, length missing", BYTES(1, 1, 1, 77), true, false, {0}},
		{"length 0", BYTES(77, 0, 0, 0), true, false, {0}},
		{"length 1", BYTES(77, 1, 0, 0), true, false, {0}},
		{"overruns by one", BYTES(77, 5, 0, 0), true, false, {0}},
		{"length 255", BYTES(77, 255, 0, 0), true, false, {0}},
		{"MSS of 3", BYTES(2, 3, 5, 0), true, false, {0}},
		{"MSS of 3 without SYN", BYTES(2, 3, 5, 0), false, false, {0}},
		{"window scale of 4", BYTES(3, 4, 5, 0), true, false, {0}},
		{"SACK-permitted of 3", BYTES(4, 3, 5, 0), true, false, {0}},
		{"timestamps of 9", BYTES(8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), true, false, {0}},
		{"timestamps cut", BYTES(8, 10, 0, 0, 0, 0, 0, 0), true, false, {0}},
		{"SACK without blocks", BYTES(5, 2, 0, 0), false, false, {0}},
		{"SACK of half a block", BYTES(5, 6, 0, 0, 0, 1, 1, 1), false, false, {0}},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tcp_options *expected = &cases[i].expected;
		struct tcp_options parsed;
		bool ok = tcp_options_parse(cases[i].options, cases[i].length, cases[i].syn, &parsed);

		if (ok != cases[i].ok)
			CU_FAIL(cases[i].what);
		if (ok &&
		    (parsed.mss != expected->mss || parsed.wscale != expected->wscale ||
		     parsed.sack_permitted != expected->sack_permitted || parsed.timestamps != expected->timestamps ||
		     parsed.timestamps_at != expected->timestamps_at || parsed.tsval != expected->tsval ||
		     parsed.tsecr != expected->tsecr || parsed.n_sacks != expected->n_sacks ||
		     parsed.sacks_at != expected->sacks_at))
			CU_FAIL(cases[i].what);
	}
}

static void
parse_too_long(void)
{
	uint8_t options[TCP_OPTIONS_MAX + 4];
	struct tcp_options parsed;

	memset(options, TCP_OPTION_NOP, sizeof(options));
	CU_ASSERT_TRUE(tcp_options_parse(options, TCP_OPTIONS_MAX, true, &parsed));
	CU_ASSERT_FALSE(tcp_options_parse(options, TCP_OPTIONS_MAX + 1, true, &parsed));
}

static void
write_reads_back(void)
{
	for (unsigned bits = 0; bits < 16; bits++) {
		struct tcp_options options = {.wscale = TCP_WSCALE_NONE}, parsed;
		uint8_t out[TCP_OPTIONS_MAX], length;

		options.mss = bits & 1 ? 1440 : 0;
		options.sack_permitted = bits & 2;
		if (bits & 4)
			options.wscale = 9;
		if (bits & 8) {
			options.timestamps = true;
			options.tsval = 0xfedcba98;
			options.tsecr = 0x01234567;
		}
		memset(out, 0xee, sizeof(out));
		length = tcp_options_write(&options, out);
		CU_ASSERT_EQUAL(length % 4, 0);
		CU_ASSERT(length <= 20);
		for (unsigned i = length; i < sizeof(out); i++)
			CU_ASSERT_EQUAL(out[i], 0xee);
		CU_ASSERT_TRUE(tcp_options_parse(out, length, true, &parsed));
		CU_ASSERT_EQUAL(parsed.mss, options.mss);
		CU_ASSERT_EQUAL(parsed.wscale, options.wscale);
		CU_ASSERT_EQUAL(parsed.sack_permitted, options.sack_permitted);
		CU_ASSERT_EQUAL(parsed.timestamps, options.timestamps);
		CU_ASSERT_EQUAL(parsed.tsval, options.tsval);
		CU_ASSERT_EQUAL(parsed.tsecr, options.tsecr);
	}
}

static void
write_layout(void)
{
	static const struct tcp_options options = {
		.timestamps = true, .tsval = 1, .tsecr = 2, .wscale = TCP_WSCALE_NONE};
	static const uint8_t expected[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
	uint8_t out[TCP_OPTIONS_MAX];

	CU_ASSERT_EQUAL(tcp_options_write(&options, out), 12);
	CU_ASSERT_EQUAL(memcmp(out, expected, 12), 0);
}

static const struct tcp_options_shift shift_some = {0x10000, 0x100, 0xffffffff, false};
static const struct tcp_options_shift shift_no_sack = {0x10000, 0x100, 0xffffffff, true};

static void
translate_cases(void)
{
	static const struct {
		const char *what;
		const struct tcp_options_shift *shift;
		bool has_ack, timestamps;
		uint32_t tsval;
		uint8_t length;
		uint8_t options[TCP_OPTIONS_MAX], expected[TCP_OPTIONS_MAX];
	} cases[] = {
		{"none", &shift_some, true, false, 0, 0, {0}, {0}},
		{"the common layout",
		 &shift_some,
		 true,
		 true,
		 0x010203ff,
		 12,
		 {1, 1, 8, 10, 1, 2, 3, 0xff, 0, 0, 1, 0},
		 {1, 1, 8, 10, 1, 2, 4, 0xff, 0, 0, 0, 0xff}},
		{"the common layout without ACK",
		 &shift_some,
		 false,
		 true,
		 0xffffffff,
		 12,
		 {1, 1, 8, 10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		 {1, 1, 8, 10, 0, 0, 0, 0xff, 0, 0, 0, 0}},
		{"timestamps at an odd offset",
		 &shift_some,
		 true,
		 true,
		 1,
		 12,
		 {1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0},
		 {1, 8, 10, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0}},
		{"at an odd offset without ACK",
		 &shift_some,
		 false,
		 true,
		 1,
		 12,
		 {1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0},
		 {1, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0, 0}},
		{"timestamps and SACK",
		 &shift_some,
		 true,
		 true,
		 1,
		 24,
		 {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 10, 0xff, 0xff, 0, 1, 0, 1, 0, 2},
		 {1, 1, 8, 10, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 5, 10, 0, 0, 0, 1, 0, 2, 0, 2}},
		{"SACK that the receiver didn't permit",
		 &shift_no_sack,
		 true,
		 true,
		 1,
		 24,
		 {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 10, 0xff, 0xff, 0, 1, 0, 1, 0, 2},
		 {1, 1, 8, 10, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"four blocks, the first a D-SACK",
		 &shift_some,
		 true,
		 false,
		 0,
		 36,
		 {5, 34, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 3, 0, 1, 0, 4,
		  0, 2,  0, 5, 0, 2, 0, 6, 0, 3, 0, 7, 0, 3, 0, 8, 0, 9},
		 {5, 34, 0, 1, 0, 1, 0, 1, 0, 2, 0, 2, 0, 3, 0, 2, 0, 4,
		  0, 3,  0, 5, 0, 3, 0, 6, 0, 4, 0, 7, 0, 4, 0, 8, 0, 9}},
		{
			"foreign kinds",
			&shift_some,
			true,
			false,
			0,
			16,
			{30, 4, 1, 2, 34, 3, 9, 19, 4, 7, 7, 28, 4, 0, 5, 0},
			{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0},
		},
		{"kinds of a SYN",
		 &shift_some,
		 true,
		 false,
		 0,
		 12,
		 {2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 1, 0, 0},
		 {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}},
		{"repeated timestamps",
		 &shift_some,
		 true,
		 true,
		 1,
		 20,
		 {8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4},
		 {8, 10, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"repeated SACK",
		 &shift_some,
		 true,
		 false,
		 0,
		 20,
		 {5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4},
		 {5, 10, 0, 1, 0, 1, 0, 1, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"what follows END",
		 &shift_some,
		 true,
		 false,
		 0,
		 8,
		 {1, 0, 8, 10, 77, 0, 2, 1},
		 {1, 0, 8, 10, 77, 0, 2, 1}},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t options[TCP_OPTIONS_MAX];
		checksum_delta delta = 0;
		struct tcp_options_seen seen;

		memcpy(options, cases[i].options, sizeof(options));
		if (tcp_options_translate(options, cases[i].length, cases[i].has_ack, cases[i].shift, &delta, &seen) !=
		    TCP_OPTIONS_OK)
			CU_FAIL(cases[i].what);
		if (memcmp(options, cases[i].expected, sizeof(options)) != 0)
			CU_FAIL(cases[i].what);
		if (seen.timestamps != cases[i].timestamps || seen.tsval != cases[i].tsval)
			CU_FAIL(cases[i].what);
	}
}

/* Options as a peer might lay them out, beside what they must become. */
struct layout {
	uint8_t length;
	uint8_t before[TCP_OPTIONS_MAX], after[TCP_OPTIONS_MAX];
	bool timestamps;
	uint32_t tsval;
};

static void
layout_byte(struct layout *layout, uint8_t before, uint8_t after)
{
	layout->before[layout->length] = before;
	layout->after[layout->length++] = after;
}

static void
layout_word(struct layout *layout, uint32_t before, uint32_t after)
{
	for (int bits = 24; bits >= 0; bits -= 8)
		layout_byte(layout, (uint8_t)(before >> bits), (uint8_t)(after >> bits));
}

static void
layout_sack(struct layout *layout, const struct tcp_options_shift *shift, unsigned blocks, uint64_t *seed)
{
	uint8_t size = (uint8_t)(2 + 8 * blocks);

	layout_byte(layout, TCP_OPTION_SACK, shift->drop_sack ? TCP_OPTION_NOP : TCP_OPTION_SACK);
	layout_byte(layout, size, shift->drop_sack ? TCP_OPTION_NOP : size);
	for (unsigned edge = 0; edge < 2 * blocks; edge++) {
		uint32_t value = (uint32_t)random_64(seed);

		layout_word(layout, value, shift->drop_sack ? 0x01010101 : value + shift->sack);
	}
}

static struct layout
layout_make(uint64_t *seed, const struct tcp_options_shift *shift, bool has_ack)
{
	struct layout layout = {0};
	unsigned limit = 4 * random_below(seed, TCP_OPTIONS_MAX / 4 + 1);
	bool sack = false;

	while (layout.length < limit) {
		unsigned left = limit - layout.length, kind = random_below(seed, 5);

		if (kind == 0 && left >= 10 && !layout.timestamps) {
			uint32_t tsecr = (uint32_t)random_64(seed);

			layout.timestamps = true;
			layout.tsval = (uint32_t)random_64(seed);
			layout_byte(&layout, TCP_OPTION_TIMESTAMPS, TCP_OPTION_TIMESTAMPS);
			layout_byte(&layout, 10, 10);
			layout_word(&layout, layout.tsval, layout.tsval + shift->tsval);
			layout_word(&layout, tsecr, has_ack ? tsecr + shift->tsecr : tsecr);
		} else if (kind == 1 && left >= 10 && !sack) {
			sack = true;
			layout_sack(&layout, shift, 1 + random_below(seed, (left - 2) / 8), seed);
		} else if (kind == 2 && left >= 2) {
			uint8_t size = (uint8_t)(2 + random_below(seed, left - 1));

			layout_byte(&layout, (uint8_t)(16 + random_below(seed, 240)), TCP_OPTION_NOP);
			layout_byte(&layout, size, TCP_OPTION_NOP);
			for (unsigned i = 2; i < size; i++)
				layout_byte(&layout, (uint8_t)random_64(seed), TCP_OPTION_NOP);
		} else if (kind == 3) {
			layout_byte(&layout, TCP_OPTION_NOP, TCP_OPTION_NOP);
		} else if (kind == 4 && left < 4) {
			while (layout.length < limit)
				layout_byte(&layout, TCP_OPTION_END, TCP_OPTION_END);
		}
	}
	return layout;
}

static uint16_t
segment_checksum(const uint8_t segment[20 + TCP_OPTIONS_MAX])
{
	return (uint16_t)~checksum_fold(checksum_sum(segment, 20 + TCP_OPTIONS_MAX));
}

static void
translate_random(void)
{
	uint64_t seed = 6;
	unsigned wrong_bytes = 0, wrong_seen = 0, wrong_checksum = 0, wrong_verdict = 0, odd = 0;

	for (unsigned round = 0; round < 200000; round++) {
		struct tcp_options_shift shift = {(uint32_t)random_64(&seed), (uint32_t)random_64(&seed),
						  (uint32_t)random_64(&seed), random_below(&seed, 4) == 0};
		bool has_ack = random_below(&seed, 4) != 0;
		struct layout layout = layout_make(&seed, &shift, has_ack);
		uint8_t segment[20 + TCP_OPTIONS_MAX] = {0x12, 0x34};
		uint16_t port = (uint16_t)random_64(&seed), old_port, checksum;
		struct tcp_options_seen seen;
		struct tcp_options parsed;
		checksum_delta delta;

		memcpy(segment + 20, layout.before, TCP_OPTIONS_MAX);
		checksum = segment_checksum(segment);
		wrong_verdict += !tcp_options_parse(segment + 20, layout.length, false, &parsed);
		odd += parsed.timestamps && parsed.timestamps_at & 1;
		/* Something else is in the delta already, as in a splice. */
		memcpy(&old_port, segment + 2, 2);
		memcpy(segment + 2, &port, 2);
		delta = checksum_delta_16(0, old_port, port);
		wrong_verdict += tcp_options_translate(segment + 20, layout.length, has_ack, &shift, &delta, &seen) !=
				 TCP_OPTIONS_OK;
		wrong_bytes += memcmp(segment + 20, layout.after, TCP_OPTIONS_MAX) != 0;
		wrong_seen += seen.timestamps != layout.timestamps || seen.tsval != layout.tsval;
		wrong_checksum += checksum_apply(checksum, delta) != segment_checksum(segment);
	}
	CU_ASSERT_EQUAL(wrong_verdict, 0);
	CU_ASSERT_EQUAL(wrong_bytes, 0);
	CU_ASSERT_EQUAL(wrong_seen, 0);
	CU_ASSERT_EQUAL(wrong_checksum, 0);
	CU_ASSERT(odd > 1000);
}

/* Noise: mostly malformed. Whatever it is, both functions agree on it, and what is refused stays as it was. */
static void
translate_noise(void)
{
	uint64_t seed = 7;
	unsigned malformed = 0, disagreed = 0, changed = 0;

	for (unsigned round = 0; round < 200000; round++) {
		struct layout layout = layout_make(&seed, &shift_some, true);
		uint8_t options[TCP_OPTIONS_MAX + 4] = {0}, before[sizeof(options)];
		uint8_t length = layout.length;
		struct tcp_options parsed;
		struct tcp_options_seen seen;
		checksum_delta delta = 12345;
		bool ok;

		memcpy(options, layout.before, sizeof(layout.before));
		for (unsigned flips = 1 + random_below(&seed, 3); flips; flips--)
			options[random_below(&seed, sizeof(options))] = (uint8_t)random_below(&seed, 14);
		if (random_below(&seed, 8) == 0)
			length = (uint8_t)random_below(&seed, sizeof(options));
		memcpy(before, options, sizeof(options));
		ok = tcp_options_parse(options, length, random_below(&seed, 2), &parsed);
		disagreed += ok != (tcp_options_translate(options, length, true, &shift_some, &delta, &seen) ==
				    TCP_OPTIONS_OK);
		if (ok) {
			changed += memcmp(options + length, before + length, sizeof(options) - length) != 0;
		} else {
			malformed++;
			changed += memcmp(options, before, sizeof(options)) != 0 || delta != 12345;
		}
	}
	CU_ASSERT_EQUAL(disagreed, 0);
	CU_ASSERT_EQUAL(changed, 0);
	CU_ASSERT(malformed > 20000);
	CU_ASSERT(malformed < 180000);
}

static const CU_TestInfo tests[] = {
	{"parsing", parse_cases},
	{"more than 40 bytes", parse_too_long},
	{"what is written can be read", write_reads_back},
	{"timestamps have the usual layout", write_layout},
	{"translation", translate_cases},
	{"translation of random layouts, checksum included", translate_random},
	{"malformed options stay as they were", translate_noise},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("tcp_options", tests);
}
