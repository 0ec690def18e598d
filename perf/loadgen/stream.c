/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/stream.h"

#include <arpa/inet.h>
#include <rte_branch_prediction.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"

enum {
	STAMP_RANDOM_AT = 12, /* in the hello's random; even, as the other is, so that their sum needs no turning */
	SAMPLE = 16,          /* bytes checked at either end of a segment */
	TLS_HANDSHAKE = 22,
	TLS_CHANGE_CIPHER_SPEC = 20,
	TLS_APPLICATION_DATA = 23,
	RECORD_HEADER = 5,
	RECORD_MAX = 16384
};

static uint8_t pattern[STREAM_PERIOD + STREAM_SEGMENT_MAX];
/* Of the pattern's first i bytes, as 16-bit words in memory order. */
static uint64_t pattern_sums[STREAM_PERIOD + STREAM_SEGMENT_MAX + 1];

__attribute__((constructor)) static void
make_pattern(void)
{
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

	for (uint32_t i = 0; i < STREAM_PERIOD; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		pattern[i] = (uint8_t)(state >> 24);
	}
	memcpy(pattern + STREAM_PERIOD, pattern, STREAM_SEGMENT_MAX);
	for (uint32_t i = 0; i < STREAM_PERIOD + STREAM_SEGMENT_MAX; i++) {
		uint16_t word = i & 1 ? htons(pattern[i]) : htons((uint16_t)(pattern[i] << 8));
		pattern_sums[i + 1] = pattern_sums[i] + word;
	}
}

/* Sum of n bytes of pattern at position at, as if they were at an offset of the parity of `offset`. */
static uint64_t
pattern_sum(uint32_t at, uint32_t n, uint32_t offset)
{
	uint32_t from = at % STREAM_PERIOD;
	uint64_t sum = pattern_sums[from + n] - pattern_sums[from];

	if ((from ^ offset) & 1)
		sum = __builtin_bswap16(checksum_fold(sum));
	return sum;
}

/* Writes TLS structures: bytes, and lengths that are known only afterwards. */
struct writer {
	uint8_t *bytes;
	uint32_t length;
};

static void
put(struct writer *writer, const void *bytes, uint32_t n)
{
	memcpy(writer->bytes + writer->length, bytes, n);
	writer->length += n;
}

static void
put_8(struct writer *writer, uint8_t value)
{
	put(writer, &value, 1);
}

static void
put_16(struct writer *writer, uint16_t value)
{
	uint16_t network = htons(value);
	put(writer, &network, 2);
}

static void
put_pattern(struct writer *writer, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		writer->bytes[writer->length + i] = pattern[i % STREAM_PERIOD];
	writer->length += n;
}

/* A length of two bytes that close_16 fills in. Returns where. */
static uint32_t
open_16(struct writer *writer)
{
	put_16(writer, 0);
	return writer->length;
}

static void
close_16(struct writer *writer, uint32_t opened)
{
	uint16_t length = htons((uint16_t)(writer->length - opened));
	memcpy(writer->bytes + opened - 2, &length, 2);
}

/* Record and handshake headers, version, random, session id: alike in both hellos (RFC 8446 section 4.1.2, 4.1.3). */
static void
put_hello_begin(struct writer *writer, uint8_t handshake_type, uint32_t length)
{
	static const uint8_t zero[4];

	put_8(writer, TLS_HANDSHAKE);
	put_16(writer, handshake_type == 1 ? 0x0301 : 0x0303);
	put_16(writer, (uint16_t)(length - RECORD_HEADER));
	put_8(writer, handshake_type);
	put_8(writer, 0);
	put_16(writer, (uint16_t)(length - RECORD_HEADER - 4));
	put_16(writer, 0x0303);
	put_pattern(writer, 32);
	memcpy(writer->bytes + STAMP_RANDOM_AT, zero, sizeof(zero));
	put_8(writer, 32);
	put_pattern(writer, 32);
	memcpy(writer->bytes + STREAM_STAMP_AT, zero, sizeof(zero));
}

static void
put_server_name(struct writer *writer, const char *name)
{
	put_16(writer, 0);
	uint32_t extension = open_16(writer), list = open_16(writer);
	put_8(writer, 0);
	uint32_t host = open_16(writer);
	put(writer, name, (uint32_t)strlen(name));
	close_16(writer, host);
	close_16(writer, list);
	close_16(writer, extension);
}

static void
put_key_share(struct writer *writer, bool client)
{
	put_16(writer, 51);
	uint32_t extension = open_16(writer), list = client ? open_16(writer) : 0;
	put_16(writer, 0x001d); /* x25519 */
	put_16(writer, 32);
	put_pattern(writer, 32);
	if (client)
		close_16(writer, list);
	close_16(writer, extension);
}

/* What a TLS 1.3 client of today offers, in the order and the sizes of OpenSSL's. */
static void
write_client_hello(struct writer *writer, const char *name, uint32_t length)
{
	static const uint8_t ciphers[] = {0, 8, 0x13, 0x02, 0x13, 0x03, 0x13, 0x01, 0x00, 0xff};
	static const uint8_t fixed[] = {
		0,   10,  0,   8,  0,  6,  0, 0x1d, 0, 0x17, 0,   0x18,                /* supported_groups */
		0,   13,  0,   10, 0,  8,  4, 3,    8, 7,    8,   4,    8,   5,        /* signature_algorithms */
		0,   16,  0,   14, 0,  12, 2, 'h',  2, 8,    'h', 't',  't', 'p', '/', /* ALPN */
		'1', '.', '1', 0,  43, 0,  5, 4,    3, 4,    3,   3,                   /* supported_versions */
		0,   45,  0,   2,  1,  1                                               /* psk_key_exchange_modes */
	};

	put_hello_begin(writer, 1, length);
	put(writer, ciphers, sizeof(ciphers));
	put_16(writer, 0x0100); /* no compression */
	uint32_t extensions = open_16(writer);
	put_server_name(writer, name);
	put(writer, fixed, sizeof(fixed));
	put_key_share(writer, true);
	put_16(writer, 21); /* padding */
	uint32_t padding = open_16(writer);
	memset(writer->bytes + writer->length, 0, length - writer->length);
	writer->length = length;
	close_16(writer, padding);
	close_16(writer, extensions);
}

static void *
must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static void
allocate(struct stream *stream, uint32_t n_heads, uint32_t head_length)
{
	*stream = (struct stream){.n_heads = n_heads, .head_length = head_length};
	stream->heads = must(calloc(n_heads, head_length));
	stream->sums = must(calloc(n_heads, sizeof(stream->sums[0])));
}

void
stream_init_client(struct stream *stream, const char *const *names, uint32_t n_names, uint32_t length)
{
	allocate(stream, n_names, length);
	for (uint32_t i = 0; i < n_names; i++) {
		struct writer writer = {.bytes = stream->heads + (size_t)i * length};
		write_client_hello(&writer, names[i], length);
		stream->sums[i] = checksum_sum(writer.bytes, length);
	}
}

void
stream_init_server(struct stream *stream, uint32_t reply_length)
{
	static const uint8_t versions[] = {0, 43, 0, 2, 3, 4};
	static const uint8_t change_cipher_spec[] = {TLS_CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1};
	uint32_t hello_length = STREAM_SERVER_HEAD - sizeof(change_cipher_spec) - RECORD_HEADER;
	uint32_t rest = reply_length - STREAM_SERVER_HEAD;

	allocate(stream, 1, STREAM_SERVER_HEAD);
	struct writer writer = {.bytes = stream->heads};
	put_hello_begin(&writer, 2, hello_length);
	put_16(&writer, 0x1302);
	put_8(&writer, 0);
	uint32_t extensions = open_16(&writer);
	put(&writer, versions, sizeof(versions));
	put_key_share(&writer, false);
	close_16(&writer, extensions);
	put(&writer, change_cipher_spec, sizeof(change_cipher_spec));
	put_8(&writer, TLS_APPLICATION_DATA);
	put_16(&writer, 0x0303);
	put_16(&writer, (uint16_t)(rest < RECORD_MAX ? rest : RECORD_MAX));
	if (writer.length != STREAM_SERVER_HEAD)
		abort();
	stream->sums[0] = checksum_sum(stream->heads, STREAM_SERVER_HEAD);
}

void
stream_free(struct stream *stream)
{
	free(stream->heads);
	free(stream->sums);
	*stream = (struct stream){0};
}

/* The part of [at, at + n) that is in the head, with its stamps. Returns how many bytes. */
static uint32_t
write_head(const struct stream *stream, uint32_t stamp, uint32_t at, uint32_t n, uint8_t *to)
{
	static const uint32_t stamps[] = {STAMP_RANDOM_AT, STREAM_STAMP_AT};
	uint32_t length = n < stream->head_length - at ? n : stream->head_length - at, network = htonl(stamp);

	memcpy(to, stream->heads + (size_t)(stamp % stream->n_heads) * stream->head_length + at, length);
	for (uint32_t s = 0; s < 2; s++)
		for (uint32_t i = 0; i < 4; i++)
			if (stamps[s] + i - at < length) /* below at it wraps, and is large */
				to[stamps[s] + i - at] = ((const uint8_t *)&network)[i];
	return length;
}

uint64_t
stream_write(const struct stream *stream, uint32_t stamp, uint32_t at, uint32_t n, uint8_t *to)
{
	uint32_t left = -at; /* positions before they begin again */

	if (unlikely(left < n && at != 0)) {
		stream_write(stream, stamp, at, left, to);
		stream_write(stream, stamp, 0, n - left, to + left);
		return checksum_sum(to, n);
	}
	if (at >= stream->head_length) {
		memcpy(to, pattern + at % STREAM_PERIOD, n);
		return pattern_sum(at, n, 0);
	}
	uint32_t head = write_head(stream, stamp, at, n, to);
	if (head < n)
		memcpy(to + head, pattern + (at + head) % STREAM_PERIOD, n - head);
	if (head != stream->head_length)
		return checksum_sum(to, n);
	/* The whole head, as it nearly always is: its sum is known but for the stamps. */
	return stream->sums[stamp % stream->n_heads] + 2 * (uint64_t)htonl(stamp) +
	       (head < n ? pattern_sum(head, n - head, head) : 0);
}

static bool
check_piece(const struct stream *stream, uint32_t stamp, uint32_t at, const uint8_t *bytes, uint32_t n)
{
	uint8_t expected[STREAM_SEGMENT_MAX];

	if (at >= stream->head_length && at + n >= at)
		return memcmp(bytes, pattern + at % STREAM_PERIOD, n) == 0;
	stream_write(stream, stamp, at, n, expected);
	return memcmp(bytes, expected, n) == 0;
}

bool
stream_check(const struct stream *stream, uint32_t stamp, uint32_t at, const uint8_t *bytes, uint32_t n, bool whole)
{
	if (n > STREAM_SEGMENT_MAX)
		return false;
	if (whole || n <= 2 * SAMPLE)
		return check_piece(stream, stamp, at, bytes, n);
	return check_piece(stream, stamp, at, bytes, SAMPLE) &&
	       check_piece(stream, stamp, at + n - SAMPLE, bytes + n - SAMPLE, SAMPLE);
}

bool
stream_take_stamp(uint32_t at, const uint8_t *bytes, uint32_t n, uint32_t *stamp)
{
	for (uint32_t i = STREAM_STAMP_AT; i < STREAM_STAMP_END; i++)
		if (i - at < n)
			*stamp = *stamp << 8 | bytes[i - at];
	return STREAM_STAMP_END - 1 - at < n;
}
