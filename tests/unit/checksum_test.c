/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/checksum.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/random.h"
#include "tests/unit/unit.h"

/* RFC 1071 by the letter: 16-bit words in network order, the carry brought round at each step. Host order. */
static uint16_t
reference_sum(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2) {
		sum += (uint32_t)bytes[i] << 8 | (i + 1 < length ? bytes[i + 1] : 0);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static uint16_t
folded(const void *bytes, uint32_t length)
{
	return ntohs(checksum_fold(checksum_sum(bytes, length)));
}

static void
sum_examples(void)
{
	/* RFC 1071 section 3. */
	static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	static uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
				   0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
	uint16_t checksum;

	CU_ASSERT_EQUAL(folded(rfc, sizeof(rfc)), 0xddf2);
	CU_ASSERT_EQUAL(folded(rfc, 0), 0);
	checksum = checksum_ipv4_header(header, sizeof(header));
	CU_ASSERT_EQUAL(ntohs(checksum), 0xb861);
	memcpy(header + 10, &checksum, 2);
	CU_ASSERT_EQUAL(checksum_ipv4_header(header, sizeof(header)), 0);
	header[1] ^= 4;
	CU_ASSERT_NOT_EQUAL(checksum_ipv4_header(header, sizeof(header)), 0);
}

static void
sum_lengths(void)
{
	static uint8_t noise[2048], ones[2048];
	uint64_t seed = 1;

	random_fill(&seed, noise, sizeof(noise));
	memset(ones, 0xff, sizeof(ones));
	for (uint32_t offset = 0; offset < 16; offset++)
		for (uint32_t length = 0; length < 400; length++) {
			CU_ASSERT_EQUAL(folded(noise + offset, length), reference_sum(noise + offset, length));
			CU_ASSERT_EQUAL(folded(ones + offset, length), reference_sum(ones + offset, length));
		}
	for (uint32_t length = 1400; length < 2048; length++)
		CU_ASSERT_EQUAL(folded(noise, length), reference_sum(noise, length));
}

/* No lane may overflow, however much is summed. */
static void
sum_large(void)
{
	enum { LENGTH = 1 << 24 };
	uint8_t *bytes = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(bytes, MAP_FAILED);
	memset(bytes, 0xff, LENGTH);
	CU_ASSERT_EQUAL(folded(bytes, LENGTH), 0xffff);
	bytes[LENGTH / 2 + 1] = 0xfe;
	CU_ASSERT_EQUAL(folded(bytes, LENGTH), 0xfffe);
	CU_ASSERT_EQUAL(folded(bytes, LENGTH - 1), reference_sum(bytes, LENGTH - 1));
	munmap(bytes, LENGTH);
}

/* Parts that begin at even offsets may be summed apart. */
static void
sum_parts(void)
{
	static uint8_t bytes[1500];
	uint64_t seed = 2;

	for (unsigned round = 0; round < 2000; round++) {
		uint32_t length = random_below(&seed, sizeof(bytes) + 1), at = 0;
		uint64_t sum = 0;

		random_fill(&seed, bytes, 64);
		while (at < length) {
			uint32_t part = random_below(&seed, length - at + 1);

			if (at + part < length)
				part &= ~1U;
			sum += checksum_sum(bytes + at, part);
			at += part;
		}
		CU_ASSERT_EQUAL(ntohs(checksum_fold(sum)), reference_sum(bytes, length));
	}
}

/* Neither a byte before the input nor one behind it is read: the pages around it are forbidden. */
static void
sum_bounds(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(pages, MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
	memset(pages + page, 0x5a, page);
	for (uint32_t length = 0; length < 300; length++) {
		CU_ASSERT_EQUAL(folded(pages + page, length), reference_sum(pages + page, length));
		CU_ASSERT_EQUAL(folded(pages + 2 * page - length, length), reference_sum(pages + page, length));
	}
	munmap(pages, 3 * page);
}

/* Words whose sums run into 0x0000 and 0xffff, where RFC 1624's predecessors went wrong. */
static uint32_t
awkward(uint64_t *seed)
{
	static const uint32_t words[] = {0,          1,          0xffff,     0x10000,   0xffff0000,
					 0xfffeffff, 0x7fffffff, 0x80000000, 0xffffffff};

	if (random_below(seed, 2))
		return words[random_below(seed, sizeof(words) / sizeof(words[0]))];
	return (uint32_t)random_64(seed);
}

/* A packet of words, most of them awkward, with its checksum at offset 16 as TCP has it. */
enum { PACKET = 64, CHECKSUM_AT = 16 };

static void
packet_make(uint64_t *seed, uint8_t packet[PACKET])
{
	uint16_t checksum;

	for (unsigned at = 0; at < PACKET; at += 4) {
		uint32_t word = awkward(seed);

		memcpy(packet + at, &word, 4);
	}
	packet[0] = 6; /* a pseudo-header is never all zero */
	memset(packet + CHECKSUM_AT, 0, 2);
	checksum = (uint16_t)~checksum_fold(checksum_sum(packet, PACKET));
	memcpy(packet + CHECKSUM_AT, &checksum, 2);
}

static checksum_delta
packet_change(uint64_t *seed, uint8_t packet[PACKET], checksum_delta delta)
{
	uint32_t old, new_, at;
	uint16_t old_half, new_half;

	do
		at = 1 + random_below(seed, PACKET - 4);
	while (at + 4 > CHECKSUM_AT && at < CHECKSUM_AT + 2);
	new_ = awkward(seed);
	memcpy(&old, packet + at, 4);
	memcpy(&old_half, packet + at, 2);
	if (at & 1) {
		memcpy(packet + at, &new_, 4);
		return checksum_delta_32_odd(delta, old, new_);
	}
	if (random_below(seed, 2)) {
		memcpy(packet + at, &new_, 4);
		return checksum_delta_32(delta, old, new_);
	}
	new_half = (uint16_t)new_;
	memcpy(packet + at, &new_half, 2);
	return checksum_delta_16(delta, old_half, new_half);
}

static void
delta_recomputed(void)
{
	uint64_t seed = 3;
	unsigned wrong = 0;

	for (unsigned round = 0; round < 200000; round++) {
		uint8_t packet[PACKET];
		uint16_t checksum, updated, full;
		checksum_delta delta = 0;

		packet_make(&seed, packet);
		memcpy(&checksum, packet + CHECKSUM_AT, 2);
		for (unsigned changes = 1 + random_below(&seed, 12); changes; changes--)
			delta = packet_change(&seed, packet, delta);
		updated = checksum_apply(checksum, delta);
		memset(packet + CHECKSUM_AT, 0, 2);
		full = (uint16_t)~checksum_fold(checksum_sum(packet, PACKET));
		wrong += updated != full;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Every value of a word, replaced by each of the awkward ones, beside constants that bring the sum to every corner. */
static void
delta_corners(void)
{
	static const uint16_t corners[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff};
	enum { CORNERS = sizeof(corners) / sizeof(corners[0]) };
	unsigned wrong = 0;

	for (unsigned rest = 1; rest < CORNERS; rest++)
		for (uint32_t old = 0; old <= 0xffff; old++)
			for (unsigned i = 0; i < CORNERS; i++) {
				uint16_t checksum = (uint16_t)~checksum_fold(old + corners[rest]);
				uint16_t full = (uint16_t)~checksum_fold((uint64_t)corners[i] + corners[rest]);

				wrong += checksum_apply(checksum, checksum_delta_16(0, (uint16_t)old, corners[i])) !=
					 full;
			}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* A damaged packet must still look damaged after it was rewritten. */
static void
delta_keeps_damage(void)
{
	uint64_t seed = 4;
	unsigned hidden = 0;

	for (unsigned round = 0; round < 20000; round++) {
		uint8_t packet[PACKET];
		uint16_t checksum;
		checksum_delta delta = 0;

		packet_make(&seed, packet);
		packet[20 + random_below(&seed, 40)] ^= 1U << random_below(&seed, 8);
		for (unsigned changes = 1 + random_below(&seed, 8); changes; changes--)
			delta = packet_change(&seed, packet, delta);
		memcpy(&checksum, packet + CHECKSUM_AT, 2);
		checksum = checksum_apply(checksum, delta);
		memcpy(packet + CHECKSUM_AT, &checksum, 2);
		hidden += checksum_fold(checksum_sum(packet, PACKET)) == 0xffff;
	}
	CU_ASSERT_EQUAL(hidden, 0);
}

static void
pseudo_headers(void)
{
	uint64_t seed = 5;

	for (unsigned round = 0; round < 1000; round++) {
		uint32_t length = random_below(&seed, 65536), words[2] = {awkward(&seed), awkward(&seed)};
		struct ip_addr from = ip_addr_from_v4(words[0]), to = ip_addr_from_v4(words[1]);
		uint8_t v4[12] = {[9] = 6, [10] = (uint8_t)(length >> 8), [11] = (uint8_t)length};
		uint8_t v6[40] = {[39] = 58};

		memcpy(v4, words, 8);
		CU_ASSERT_EQUAL(ntohs(checksum_fold(checksum_pseudo(&from, &to, 6, length))), reference_sum(v4, 12));

		length = (uint32_t)random_64(&seed);
		random_fill(&seed, v6, 32);
		memcpy(from.bytes, v6, 16);
		memcpy(to.bytes, v6 + 16, 16);
		for (unsigned i = 0; i < 4; i++)
			v6[32 + i] = (uint8_t)(length >> (24 - 8 * i));
		CU_ASSERT_EQUAL(ntohs(checksum_fold(checksum_pseudo(&from, &to, 58, length))), reference_sum(v6, 40));
	}
}

static const CU_TestInfo tests[] = {
	{"known sums", sum_examples},
	{"every short length at every alignment", sum_lengths},
	{"16 MiB of ones", sum_large},
	{"sums of parts add up", sum_parts},
	{"reads no byte beyond its input", sum_bounds},
	{"updates equal full recomputation", delta_recomputed},
	{"updates around zero", delta_corners},
	{"updates don't repair damage", delta_keeps_damage},
	{"pseudo-headers", pseudo_headers},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("checksum", tests);
}
