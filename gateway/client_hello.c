/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it works. One pass over the hello, field by field, through a cursor that hides the record headers:
 *
 *	stream   │22 3 x len│ 1 len3 version random… │22 3 x len│ …extensions… │
 *	message             │ 0  1 4…                           …           end│   <- cursor->read counts these bytes
 *
 * Every vector (session id, cipher suites, extension, name list, …) becomes an end position in the message, and each
 * inner length is checked against the end of what surrounds it at the moment its bytes are there. A length that is
 * only half there is checked by the range that it can still take, so a wrong beginning is refused by the first field
 *that shows it, byte by byte, and not held until it is whole.
 *
 * A failed step has set cursor->verdict; callers just return.
 *
 * Work is bounded by the bytes: vectors that routing doesn't need are stepped over record by record. Duplicate
 * extensions (RFC 8446 section 4.2) are looked for in one word of bits for the low types, and in a list of at most
 * HIGH_TYPES_MAX others. A hello with more is malformed, so that thousands of empty ones can't make the search
 *quadratic.
 */
#include "gateway/client_hello.h"

#include <string.h>

enum {
	CONTENT_HANDSHAKE = 22, /* RFC 8446 section 5.1 */
	RECORD_HEADER = 5,
	RECORD_MAX = 1 << 14,
	HANDSHAKE_CLIENT_HELLO = 1, /* RFC 8446 section 4 */
	/* The shortest and longest ClientHello that its vectors' own limits allow, handshake header not counted. */
	HELLO_MIN = 2 + 32 + 1 + (2 + 2) + (1 + 1),
	HELLO_MAX = 2 + 32 + (1 + 32) + (2 + 65534) + (1 + 255) + (2 + 65535),
	SESSION_ID_MAX = 32,
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_ALPN = 16,
	EXTENSION_PRE_SHARED_KEY = 41,
	EXTENSION_SUPPORTED_VERSIONS = 43,
	EXTENSION_ENCRYPTED_CLIENT_HELLO = 0xfe0d,
	LOW_TYPES = 64,      /* nearly all that IANA has assigned are below */
	HIGH_TYPES_MAX = 64, /* GREASE, renegotiation_info, ECH and private ones: clients send five or so */
	NAME_TYPE_HOST_NAME = 0,
	HOST_NAME_MAX_LENGTH = 253, /* RFC 1035 section 2.3.4: 255 octets on the wire */
	LABEL_MAX_LENGTH = 63,
	VERSION_TLS12 = 0x0303,
	VERSION_TLS13 = 0x0304
};

struct cursor {
	const uint8_t *bytes;
	size_t length;
	size_t at;            /* next byte of the stream */
	uint32_t record_left; /* bytes of the present record that weren't taken */
	uint32_t read;        /* bytes of the handshake message taken, its header included */
	uint32_t message_end; /* where the message ends; UINT32_MAX until its header is read */
	enum client_hello_verdict verdict;
};

/* What the hello is like beyond struct client_hello. */
struct findings {
	bool has_host_name, bad_name, has_versions;
	uint64_t low_types; /* bit i: extension i was there */
	uint16_t high_types[HIGH_TYPES_MAX];
	unsigned n_high_types;
};

static bool
fail(struct cursor *cursor, enum client_hello_verdict verdict)
{
	cursor->verdict = verdict;
	return false;
}

/* Whether a big-endian number of width bytes, of which the first have are there, can still be in min..max. */
static bool
may_be_within(const uint8_t *bytes, unsigned have, unsigned width, uint32_t min, uint32_t max)
{
	uint32_t lowest = 0, highest = 0;

	for (unsigned i = 0; i < width; i++) {
		lowest = lowest << 8 | (i < have ? bytes[i] : 0);
		highest = highest << 8 | (i < have ? bytes[i] : 0xff);
	}
	return lowest <= max && highest >= min;
}

/* Steps over a record header. No byte of the message may lie beyond its end: nothing follows a ClientHello in its
 * record. */
static bool
open_record(struct cursor *cursor)
{
	const uint8_t *header = cursor->bytes + cursor->at;
	size_t have = cursor->length - cursor->at;
	enum client_hello_verdict wrong = cursor->at == 0 ? CLIENT_HELLO_NOT_TLS : CLIENT_HELLO_MALFORMED;
	uint32_t left = cursor->message_end - cursor->read;

	if (have >= 1 && header[0] != CONTENT_HANDSHAKE)
		return fail(cursor, wrong);
	if (have >= 2 && header[1] != 3)
		return fail(cursor, wrong);
	if (have >= 4 &&
	    !may_be_within(header + 3, have >= RECORD_HEADER ? 2 : 1, 2, 1, left < RECORD_MAX ? left : RECORD_MAX))
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (have < RECORD_HEADER)
		return fail(cursor, CLIENT_HELLO_MORE);
	cursor->at += RECORD_HEADER;
	cursor->record_left = (uint32_t)header[3] << 8 | header[4];
	return true;
}

/* Takes n bytes of the message; to may be NULL. The caller has checked that they lie before the message's end. Returns
 * how many were there: fewer than n only with the verdict set. */
static uint32_t
take(struct cursor *cursor, uint8_t *to, uint32_t n)
{
	uint32_t taken = 0;

	while (taken < n) {
		if (cursor->record_left == 0 && !open_record(cursor))
			return taken;
		uint32_t part = n - taken;
		if (part > cursor->record_left)
			part = cursor->record_left;
		if (part > cursor->length - cursor->at)
			part = (uint32_t)(cursor->length - cursor->at);
		if (part == 0) {
			fail(cursor, CLIENT_HELLO_MORE);
			return taken;
		}
		if (to != NULL)
			memcpy(to + taken, cursor->bytes + cursor->at, part);
		cursor->at += part;
		cursor->record_left -= part;
		cursor->read += part;
		taken += part;
	}
	return taken;
}

/* Steps forward to a position of the message. */
static bool
skip_to(struct cursor *cursor, uint32_t end)
{
	uint32_t n = end - cursor->read;
	return take(cursor, NULL, n) == n;
}

/* read_number where the bytes aren't all there, or lie in two records. */
static bool
read_number_slowly(struct cursor *cursor, unsigned width, uint32_t min, uint32_t max, uint32_t *value)
{
	uint8_t bytes[3];
	unsigned have = take(cursor, bytes, width);

	/* The bytes that are there are judged before the verdict that more are needed stands. */
	if (!may_be_within(bytes, have, width, min, max))
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (have < width)
		return false;
	*value = 0;
	for (unsigned i = 0; i < width; i++)
		*value = *value << 8 | bytes[i];
	return true;
}

/* Reads a number of width bytes, 1..3, that must lie before end and be in min..max. */
static bool
read_number(struct cursor *cursor, uint32_t end, unsigned width, uint32_t min, uint32_t max, uint32_t *value)
{
	const uint8_t *bytes = cursor->bytes + cursor->at;
	uint32_t number = 0;

	if (end - cursor->read < width || min > max)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (cursor->record_left < width || cursor->length - cursor->at < width)
		return read_number_slowly(cursor, width, min, max, value);
	for (unsigned i = 0; i < width; i++)
		number = number << 8 | bytes[i];
	cursor->at += width;
	cursor->record_left -= width;
	cursor->read += width;
	if (number < min || number > max)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	*value = number;
	return true;
}

/* Reads the length of a vector of min..max bytes that must fit before end; *vector_end is where it ends. */
static bool
open_vector(struct cursor *cursor, uint32_t end, unsigned width, uint32_t min, uint32_t max, uint32_t *vector_end)
{
	uint32_t length;
	uint32_t room = end - cursor->read;

	if (room < width)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	room -= width;
	if (!read_number(cursor, end, width, min, max < room ? max : room, &length))
		return false;
	*vector_end = cursor->read + length;
	return true;
}

/* A vector that must fill what is left before end. */
static bool
open_filling_vector(struct cursor *cursor, uint32_t end, unsigned width, uint32_t min)
{
	uint32_t vector_end;
	uint32_t room = end - cursor->read;

	if (room < width || room - width < min)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	return open_vector(cursor, end, width, room - width, room - width, &vector_end);
}

/* Lower-cases the name in place, drops one trailing dot, and judges it. The last label decides about IPv4 literals: no
 * top-level domain is all digits (RFC 1123 section 2.1), whereas every spelling of an address ends in digits. An IPv6
 * literal has colons. */
static bool
name_normalize(char *name, uint16_t *length)
{
	uint16_t n = *length;
	uint16_t label = 0;
	bool digits = true;

	if (n > 0 && name[n - 1] == '.')
		n--;
	if (n == 0 || n > HOST_NAME_MAX_LENGTH)
		return false;
	for (uint16_t i = 0; i < n; i++) {
		char c = name[i];
		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			digits = true;
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			name[i] = c = (char)(c - 'A' + 'a');
		bool digit = c >= '0' && c <= '9';
		if (!digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
			return false;
		digits = digits && digit;
		if (++label > LABEL_MAX_LENGTH)
			return false;
	}
	if (label == 0 || digits)
		return false;
	name[n] = '\0';
	*length = n;
	return true;
}

static bool
parse_host_name(struct cursor *cursor, uint32_t end, struct client_hello *hello, struct findings *findings)
{
	uint32_t length = end - cursor->read;

	/* RFC 6066 section 3: not more than one name of a type. */
	if (findings->has_host_name)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	findings->has_host_name = true;
	if (length > CLIENT_HELLO_SNI_MAX) {
		findings->bad_name = true;
		return skip_to(cursor, end);
	}
	if (take(cursor, (uint8_t *)hello->sni, length) < length)
		return false;
	hello->sni_length = (uint16_t)length;
	if (!name_normalize(hello->sni, &hello->sni_length))
		findings->bad_name = true;
	return true;
}

/* RFC 6066 section 3. Names of types to come begin with a 16-bit length, too. */
static bool
parse_server_name(struct cursor *cursor, uint32_t end, struct client_hello *hello, struct findings *findings)
{
	if (!open_filling_vector(cursor, end, 2, 1))
		return false;
	while (cursor->read < end) {
		uint32_t type, name_end;
		if (end - cursor->read < 1 + 2)
			return fail(cursor, CLIENT_HELLO_MALFORMED);
		if (!read_number(cursor, end, 1, 0, 0xff, &type) || !open_vector(cursor, end, 2, 0, 0xffff, &name_end))
			return false;
		if (type == NAME_TYPE_HOST_NAME ? !parse_host_name(cursor, name_end, hello, findings)
						: !skip_to(cursor, name_end))
			return false;
	}
	return true;
}

/* RFC 7301 section 3.1. */
static bool
parse_alpn(struct cursor *cursor, uint32_t end, struct client_hello *hello)
{
	if (!open_filling_vector(cursor, end, 2, 2))
		return false;
	while (cursor->read < end) {
		uint32_t name_end;
		if (!open_vector(cursor, end, 1, 1, 0xff, &name_end))
			return false;
		uint32_t length = name_end - cursor->read;
		if (hello->n_alpn == CLIENT_HELLO_ALPN_MAX || length > CLIENT_HELLO_ALPN_NAME_MAX) {
			if (!skip_to(cursor, name_end))
				return false;
			continue;
		}
		if (take(cursor, (uint8_t *)hello->alpn[hello->n_alpn].bytes, length) < length)
			return false;
		hello->alpn[hello->n_alpn].bytes[length] = '\0';
		hello->alpn[hello->n_alpn].length = (uint8_t)length;
		hello->n_alpn++;
	}
	return true;
}

/* RFC 8446 section 4.2.1. */
static bool
parse_supported_versions(struct cursor *cursor, uint32_t end, struct client_hello *hello, struct findings *findings)
{
	if (!open_filling_vector(cursor, end, 1, 2))
		return false;
	findings->has_versions = true;
	while (cursor->read < end) {
		uint32_t version;
		if (!read_number(cursor, end, 2, 0, 0xffff, &version))
			return false;
		hello->tls13 = hello->tls13 || version == VERSION_TLS13;
		hello->tls12 = hello->tls12 || version == VERSION_TLS12;
	}
	return true;
}

static bool
note_type(struct cursor *cursor, struct findings *findings, uint16_t type)
{
	if (type < LOW_TYPES) {
		bool duplicate = findings->low_types >> type & 1;
		findings->low_types |= 1ull << type;
		return duplicate ? fail(cursor, CLIENT_HELLO_MALFORMED) : true;
	}
	for (unsigned i = 0; i < findings->n_high_types; i++)
		if (findings->high_types[i] == type)
			return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (findings->n_high_types == HIGH_TYPES_MAX)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	findings->high_types[findings->n_high_types++] = type;
	return true;
}

static bool
parse_extension(struct cursor *cursor, uint32_t extensions_end, struct client_hello *hello, struct findings *findings)
{
	uint32_t type, end;

	if (extensions_end - cursor->read < 4)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (!read_number(cursor, extensions_end, 2, 0, 0xffff, &type) || !note_type(cursor, findings, (uint16_t)type))
		return false;
	/* RFC 8446 section 4.2.11: pre_shared_key comes last, and servers must check it. */
	uint32_t least = type == EXTENSION_PRE_SHARED_KEY ? extensions_end - cursor->read - 2 : 0;
	if (!open_vector(cursor, extensions_end, 2, least, 0xffff, &end))
		return false;
	switch (type) {
	case EXTENSION_SERVER_NAME:
		return parse_server_name(cursor, end, hello, findings);
	case EXTENSION_ALPN:
		return parse_alpn(cursor, end, hello);
	case EXTENSION_SUPPORTED_VERSIONS:
		return parse_supported_versions(cursor, end, hello, findings);
	case EXTENSION_ENCRYPTED_CLIENT_HELLO:
		hello->ech = true;
		break;
	}
	return skip_to(cursor, end);
}

/* The handshake header. It may itself be spread over records. */
static bool
parse_header(struct cursor *cursor)
{
	uint32_t type, length;

	if (!read_number(cursor, UINT32_MAX, 1, HANDSHAKE_CLIENT_HELLO, HANDSHAKE_CLIENT_HELLO, &type) ||
	    !read_number(cursor, UINT32_MAX, 3, HELLO_MIN, HELLO_MAX, &length))
		return false;
	cursor->message_end = cursor->read + length;
	if (cursor->record_left > length)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	return true;
}

static bool
parse(struct cursor *cursor, struct client_hello *hello, struct findings *findings)
{
	uint32_t version, end;

	if (!parse_header(cursor))
		return false;
	const uint32_t message_end = cursor->message_end;
	if (!read_number(cursor, message_end, 2, 0x0300, 0x03ff, &version) || !skip_to(cursor, cursor->read + 32))
		return false;
	hello->legacy_version = (uint16_t)version;
	/* Each must leave room for the shortest form of what follows it. */
	if (!open_vector(cursor, message_end - (2 + 2) - (1 + 1), 1, 0, SESSION_ID_MAX, &end) || !skip_to(cursor, end))
		return false;
	if (!open_vector(cursor, message_end - (1 + 1), 2, 2, 65534, &end))
		return false;
	if ((end - cursor->read) % 2 != 0)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (!skip_to(cursor, end))
		return false;
	if (!open_vector(cursor, message_end, 1, 1, 255, &end))
		return false;
	if (message_end - end == 1)
		return fail(cursor, CLIENT_HELLO_MALFORMED);
	if (!skip_to(cursor, end))
		return false;
	/* RFC 5246 section 7.4.1.2: extensions may be absent altogether. */
	if (cursor->read == message_end)
		return true;
	if (!open_filling_vector(cursor, message_end, 2, 0))
		return false;
	while (cursor->read < message_end)
		if (!parse_extension(cursor, message_end, hello, findings))
			return false;
	return true;
}

enum client_hello_verdict
client_hello_parse(const uint8_t *bytes, size_t length, struct client_hello *hello)
{
	struct cursor cursor = {
		.bytes = bytes, .length = length, .message_end = UINT32_MAX, .verdict = CLIENT_HELLO_WHOLE};
	struct findings findings;

	findings.has_host_name = findings.bad_name = findings.has_versions = false;
	findings.low_types = 0;
	findings.n_high_types = 0;
	hello->sni_length = 0;
	hello->sni[0] = '\0';
	hello->n_alpn = 0;
	hello->tls13 = hello->tls12 = hello->ech = false;
	hello->length = 0;

	if (length == 0)
		return CLIENT_HELLO_MORE;
	if (!parse(&cursor, hello, &findings)) {
		if (cursor.message_end != UINT32_MAX)
			hello->length = RECORD_HEADER + cursor.message_end;
		return cursor.verdict;
	}
	if (findings.bad_name)
		return CLIENT_HELLO_BAD_NAME;
	if (!findings.has_versions)
		hello->tls12 = hello->legacy_version >= VERSION_TLS12;
	hello->length = (uint32_t)cursor.at;
	return CLIENT_HELLO_WHOLE;
}
