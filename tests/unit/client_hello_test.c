/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hellos are made by a small builder: the message first, then cut into records of a chosen size. Every whole hello is
 * checked at every prefix, and every broken one must be refused by the byte that shows it and stay refused.
 */
#include "gateway/client_hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { BYTES_MAX = 1 << 18, EXTENSION_GREASE = 0x3a3a };

struct bytes {
	uint8_t at[BYTES_MAX];
	size_t n;
};

static struct bytes message, stream;

static void
put(struct bytes *bytes, const void *from, size_t n)
{
	memcpy(bytes->at + bytes->n, from, n);
	bytes->n += n;
}

static void
put_number(struct bytes *bytes, unsigned width, size_t value)
{
	for (unsigned i = width; i-- > 0;)
		bytes->at[bytes->n++] = (uint8_t)(value >> (8 * i));
}

static void
put_zeroes(struct bytes *bytes, size_t n)
{
	memset(bytes->at + bytes->n, 0, n);
	bytes->n += n;
}

/* A vector's length is filled in when it is closed. */
static size_t
open_vector(struct bytes *bytes, unsigned width)
{
	put_zeroes(bytes, width);
	return bytes->n;
}

static void
close_vector(struct bytes *bytes, unsigned width, size_t begin)
{
	size_t end = bytes->n;
	bytes->n = begin - width;
	put_number(bytes, width, end - begin);
	bytes->n = end;
}

struct hello_spec {
	const char *sni;
	size_t sni_length; /* 0: strlen(sni) */
	const char *alpn[12];
	bool versions, grease, ech, tickets_psk;
	unsigned key_share;      /* bytes of one key share; 0: no key_share */
	unsigned padding;        /* bytes of the padding extension; 0: none */
	unsigned many;           /* empty extensions of types 1000.. */
	unsigned cipher_suites;  /* 0: three */
	uint16_t legacy_version; /* 0: 0x0303 */
	bool no_extensions;
	const uint8_t *extensions; /* instead of all the above: raw bytes of the block */
	size_t extensions_length;
};

static void
put_server_name(struct bytes *bytes, const struct hello_spec *spec)
{
	size_t length = spec->sni_length != 0 ? spec->sni_length : strlen(spec->sni);

	put_number(bytes, 2, 0);
	size_t extension = open_vector(bytes, 2), list = open_vector(bytes, 2);
	put_number(bytes, 1, 0);
	size_t name = open_vector(bytes, 2);
	put(bytes, spec->sni, length);
	close_vector(bytes, 2, name);
	close_vector(bytes, 2, list);
	close_vector(bytes, 2, extension);
}

static void
put_alpn(struct bytes *bytes, const struct hello_spec *spec)
{
	put_number(bytes, 2, 16);
	size_t extension = open_vector(bytes, 2), list = open_vector(bytes, 2);
	for (size_t i = 0; i < 12 && spec->alpn[i] != NULL; i++) {
		put_number(bytes, 1, strlen(spec->alpn[i]));
		put(bytes, spec->alpn[i], strlen(spec->alpn[i]));
	}
	close_vector(bytes, 2, list);
	close_vector(bytes, 2, extension);
}

static void
put_opaque(struct bytes *bytes, unsigned type, size_t n)
{
	put_number(bytes, 2, type);
	put_number(bytes, 2, n);
	put_zeroes(bytes, n);
}

static void
put_extensions(struct bytes *bytes, const struct hello_spec *spec)
{
	if (spec->grease)
		put_opaque(bytes, EXTENSION_GREASE, 0);
	if (spec->sni != NULL)
		put_server_name(bytes, spec);
	if (spec->alpn[0] != NULL)
		put_alpn(bytes, spec);
	if (spec->versions) {
		put_number(bytes, 2, 43);
		size_t extension = open_vector(bytes, 2), list = open_vector(bytes, 1);
		if (spec->grease)
			put_number(bytes, 2, 0x8a8a);
		put_number(bytes, 2, 0x0304);
		put_number(bytes, 2, 0x0303);
		close_vector(bytes, 1, list);
		close_vector(bytes, 2, extension);
	}
	if (spec->key_share != 0) {
		put_number(bytes, 2, 51);
		size_t extension = open_vector(bytes, 2), list = open_vector(bytes, 2);
		put_number(bytes, 2, 0x11ec); /* X25519MLKEM768 */
		put_number(bytes, 2, spec->key_share);
		put_zeroes(bytes, spec->key_share);
		close_vector(bytes, 2, list);
		close_vector(bytes, 2, extension);
	}
	if (spec->ech)
		put_opaque(bytes, 0xfe0d, 200);
	for (unsigned i = 0; i < spec->many; i++)
		put_opaque(bytes, 1000 + i, 0);
	if (spec->padding != 0)
		put_opaque(bytes, 21, spec->padding);
	if (spec->grease)
		put_opaque(bytes, 0xdada, 1);
	if (spec->tickets_psk)
		put_opaque(bytes, 41, 100);
}

/* The handshake message. */
static void
build_message(const struct hello_spec *spec)
{
	message.n = 0;
	put_number(&message, 1, 1);
	size_t body = open_vector(&message, 3);
	put_number(&message, 2, spec->legacy_version != 0 ? spec->legacy_version : 0x0303);
	for (unsigned i = 0; i < 32; i++)
		put_number(&message, 1, 0xa0 + i);
	put_number(&message, 1, 32);
	put_zeroes(&message, 32);
	size_t suites = open_vector(&message, 2);
	for (unsigned i = 0; i < (spec->cipher_suites != 0 ? spec->cipher_suites : 3); i++)
		put_number(&message, 2, i == 0 && spec->grease ? 0x5a5a : 0x1301 + i);
	close_vector(&message, 2, suites);
	put_number(&message, 2, 0x0100); /* one compression method, null */
	if (!spec->no_extensions) {
		size_t extensions = open_vector(&message, 2);
		if (spec->extensions != NULL)
			put(&message, spec->extensions, spec->extensions_length);
		else
			put_extensions(&message, spec);
		close_vector(&message, 2, extensions);
	}
	close_vector(&message, 3, body);
}

/* The message in records of record bytes. */
static void
build_stream(size_t record)
{
	stream.n = 0;
	for (size_t at = 0; at < message.n;) {
		size_t part = message.n - at < record ? message.n - at : record;
		put_number(&stream, 1, 22);
		put_number(&stream, 2, 0x0301);
		put_number(&stream, 2, part);
		put(&stream, message.at + at, part);
		at += part;
	}
}

static void
build(const struct hello_spec *spec, size_t record)
{
	build_message(spec);
	build_stream(record);
}

/* Parses a copy that ends exactly at length, so that a sanitizer sees any read beyond. */
static enum client_hello_verdict
parse_exactly(const uint8_t *bytes, size_t length, struct client_hello *hello)
{
	uint8_t *copy = malloc(length != 0 ? length : 1);
	if (copy == NULL)
		abort();
	memcpy(copy, bytes, length);
	enum client_hello_verdict verdict = client_hello_parse(copy, length, hello);
	free(copy);
	return verdict;
}

/* MORE below at, verdict from there on. Counted here, as one assertion for each hello: prefixes are many. */
static void
check_turns(const char *what, const struct bytes *bytes, size_t at, enum client_hello_verdict expected)
{
	struct client_hello hello;

	for (size_t n = 0; n <= bytes->n; n++) {
		enum client_hello_verdict verdict = parse_exactly(bytes->at, n, &hello);
		if (verdict == (n < at ? CLIENT_HELLO_MORE : expected))
			continue;
		printf("\n%s: verdict %d at %zu, expected %d from %zu\n", what, verdict, n, expected, at);
		CU_FAIL("prefix");
		return;
	}
	CU_PASS("every prefix");
}

static void
test_fields(void)
{
	static const struct hello_spec spec = {
		.sni = "Outbound_.8443_.V1_.payments.bank.svc.cluster.local.",
		.alpn = {"istio", "h2", "a-protocol-name-of-over-thirty-one-bytes", "c", "d", "e", "f", "g", "h", "i"},
		.versions = true,
		.grease = true,
		.ech = true,
		.tickets_psk = true,
		.key_share = 1216,
	};
	struct client_hello hello;

	build(&spec, 16384);
	put(&stream, "\x14\x03\x03\x00\x01\x01", 6); /* change_cipher_spec, as with early data: not the hello's */
	CU_ASSERT_EQUAL_FATAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
	CU_ASSERT_STRING_EQUAL(hello.sni, "outbound_.8443_.v1_.payments.bank.svc.cluster.local");
	CU_ASSERT_EQUAL(hello.sni_length, strlen(hello.sni));
	CU_ASSERT_EQUAL_FATAL(hello.n_alpn, CLIENT_HELLO_ALPN_MAX);
	CU_ASSERT_STRING_EQUAL(hello.alpn[0].bytes, "istio");
	CU_ASSERT_EQUAL(hello.alpn[1].length, 2);
	CU_ASSERT_STRING_EQUAL(hello.alpn[2].bytes, "c");
	CU_ASSERT_STRING_EQUAL(hello.alpn[7].bytes, "h");
	CU_ASSERT_EQUAL(hello.legacy_version, 0x0303);
	CU_ASSERT_TRUE(hello.tls13 && hello.tls12 && hello.ech);
	CU_ASSERT_EQUAL(hello.length, stream.n - 6);
}

static void
test_versions(void)
{
	static const struct {
		struct hello_spec spec;
		bool tls12, tls13;
	} cases[] = {
		{{.legacy_version = 0x0301}, false, false},
		{{.legacy_version = 0x0303}, true, false},
		{{.legacy_version = 0x0303, .no_extensions = true}, true, false},
		{{.legacy_version = 0x0300, .no_extensions = true}, false, false},
		{{.legacy_version = 0x0304}, true, false}, /* 1.3 is only ever offered in the extension */
		{{.legacy_version = 0x0303, .versions = true}, true, true},
		/* the extension alone counts (RFC 8446 section 4.2.1) */
		{{.extensions = (const uint8_t *)"\0\x2b\0\3\2\3\4", .extensions_length = 7}, false, true},
		{{.extensions = (const uint8_t *)"\0\x2b\0\3\2\3\2", .extensions_length = 7}, false, false},
	};
	struct client_hello hello;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&cases[i].spec, 16384);
		CU_ASSERT_EQUAL_FATAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
		CU_ASSERT_EQUAL(hello.tls12, cases[i].tls12);
		CU_ASSERT_EQUAL(hello.tls13, cases[i].tls13);
		CU_ASSERT_EQUAL(hello.sni_length, 0);
		CU_ASSERT_FALSE(hello.ech);
	}
}

/* Every shape in records of every kind of size: MORE until the last byte, and always the same result. */
static void
test_fragments(void)
{
	static const struct hello_spec specs[] = {
		{.sni = "a.example", .versions = true},
		{.sni = "a.example", .alpn = {"h2", "http/1.1"}, .versions = true, .grease = true, .key_share = 1216},
		{.alpn = {"istio"}},
		{.no_extensions = true},
		{.sni = "a.example", .many = 60, .tickets_psk = true},
	};
	static const size_t records[] = {1, 2, 3, 4, 5, 7, 16, 100, 517, 16384};
	struct client_hello hello;

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		for (size_t r = 0; r < sizeof(records) / sizeof(records[0]); r++) {
			build(&specs[i], records[r]);
			check_turns("fragments", &stream, stream.n, CLIENT_HELLO_WHOLE);
			CU_ASSERT_EQUAL_FATAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
			CU_ASSERT_STRING_EQUAL(hello.sni, specs[i].sni != NULL ? specs[i].sni : "");
			CU_ASSERT_EQUAL(hello.n_alpn == 0, specs[i].alpn[0] == NULL);
			CU_ASSERT_EQUAL(hello.length, stream.n);
		}
	}
}

/* 16 kB of extensions, and one that takes more than one full record. */
static void
test_large(void)
{
	static const struct hello_spec specs[] = {
		{.sni = "large.example", .versions = true, .padding = 16000},
		{.sni = "large.example", .versions = true, .padding = 40000},
		{.sni = "large.example", .cipher_suites = 32767},
	};
	struct client_hello hello;

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		build(&specs[i], 16384);
		for (size_t n = 0; n < stream.n; n += n < 600 ? 1 : 997)
			CU_ASSERT_EQUAL(parse_exactly(stream.at, n, &hello), CLIENT_HELLO_MORE);
		CU_ASSERT_EQUAL(parse_exactly(stream.at, stream.n - 1, &hello), CLIENT_HELLO_MORE);
		CU_ASSERT_EQUAL(parse_exactly(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
		CU_ASSERT_STRING_EQUAL(hello.sni, "large.example");
		CU_ASSERT_EQUAL(hello.length, stream.n);
	}
}

static void
test_extension_count(void)
{
	struct client_hello hello;

	build(&(struct hello_spec){.many = 64}, 16384);
	CU_ASSERT_EQUAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
	build(&(struct hello_spec){.many = 65}, 16384);
	CU_ASSERT_EQUAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_MALFORMED);
}

#define LABEL_63 "a23456789-123456789-123456789-123456789-123456789-123456789-123"
#define LABELS_252                                                                                                     \
	LABEL_63 "." LABEL_63 "." LABEL_63 "."                                                                         \
		 "a23456789-123456789-123456789-123456789-123456789-123456789-"

static void
test_names(void)
{
	static const struct {
		const char *sni;
		size_t length;        /* 0: strlen */
		const char *expected; /* NULL: BAD_NAME */
	} cases[] = {
		{"example.com", 0, "example.com"},
		{"EXAMPLE.Com", 0, "example.com"},
		{"example.com.", 0, "example.com"},
		{"localhost", 0, "localhost"},
		{"outbound_.80_._.b.ns", 0, "outbound_.80_._.b.ns"},
		{"xn--bcher-kva.example", 0, "xn--bcher-kva.example"},
		{"1.2.3.example", 0, "1.2.3.example"},
		{"10.0.0.1.nip-io", 0, "10.0.0.1.nip-io"},
		{LABEL_63 ".example", 0, LABEL_63 ".example"},
		{LABELS_252 "a", 0, LABELS_252 "a"},
		{LABELS_252 "a.", 0, LABELS_252 "a"},
		{"a" LABEL_63 ".example", 0, NULL},
		{LABELS_252 "ab", 0, NULL},
		{LABELS_252 "ab.", 0, NULL},
		{LABELS_252 LABELS_252, 0, NULL},
		{".", 0, NULL},
		{"..", 0, NULL},
		{"example..com", 0, NULL},
		{"example.com..", 0, NULL},
		{".example.com", 0, NULL},
		{"*.example.com", 0, NULL},
		{"exa mple.com", 0, NULL},
		{"example.com\0evil.example", 24, NULL},
		{"example.com\0", 12, NULL},
		{"b\xc3\xbc"
		 "cher.example",
		 0, NULL},
		{"example.com:443", 0, NULL},
		{"user@example.com", 0, NULL},
		{"10.0.0.1", 0, NULL},
		{"10.0.0.1.", 0, NULL},
		{"2130706433", 0, NULL},
		{"2001:db8::1", 0, NULL},
		{"[2001:db8::1]", 0, NULL},
	};
	struct client_hello hello;

	CU_ASSERT_EQUAL(strlen(LABELS_252), 252);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&(struct hello_spec){.sni = cases[i].sni, .sni_length = cases[i].length}, 50);
		enum client_hello_verdict expected =
			cases[i].expected != NULL ? CLIENT_HELLO_WHOLE : CLIENT_HELLO_BAD_NAME;
		check_turns(cases[i].sni, &stream, stream.n, expected);
		if (expected == CLIENT_HELLO_WHOLE) {
			CU_ASSERT_EQUAL_FATAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
			CU_ASSERT_STRING_EQUAL(hello.sni, cases[i].expected);
			CU_ASSERT_EQUAL(hello.sni_length, strlen(cases[i].expected));
		}
	}
}

/* Raw extension blocks. wrong: how many of their bytes it takes to prove them wrong; 0: it takes the whole hello. */
#define RAW(text) (const uint8_t *)(text), sizeof(text) - 1
static const struct {
	const char *what;
	const uint8_t *bytes;
	size_t length;
	size_t wrong;
	enum client_hello_verdict verdict;
} EXTENSION_CASES[] = {
	{"no extensions at all", RAW(""), 0, CLIENT_HELLO_WHOLE},
	{"an extension longer than the block", RAW("\0\x17\0\1"), 4, CLIENT_HELLO_MALFORMED},
	{"far longer: the length's first byte shows it", RAW("\0\x17\x10\1"), 3, CLIENT_HELLO_MALFORMED},
	{"duplicate", RAW("\0\x17\0\0\0\x17\0\0"), 6, CLIENT_HELLO_MALFORMED},
	{"duplicate GREASE", RAW("\x3a\x3a\0\0\x3a\x3a\0\0"), 6, CLIENT_HELLO_MALFORMED},
	{"different GREASE", RAW("\x3a\x3a\0\0\x4a\x4a\0\0"), 0, CLIENT_HELLO_WHOLE},
	{"two server_name extensions", RAW("\0\0\0\6\0\4\0\0\1a\0\0\0\6\0\4\0\0\1a"), 12, CLIENT_HELLO_MALFORMED},
	{"server_name: empty", RAW("\0\0\0\0"), 4, CLIENT_HELLO_MALFORMED},
	{"server_name: empty list", RAW("\0\0\0\2\0\0"), 4, CLIENT_HELLO_MALFORMED},
	{"server_name: list longer than the extension", RAW("\0\0\0\6\0\5\0\0\1a"), 6, CLIENT_HELLO_MALFORMED},
	{"server_name: list shorter than the extension", RAW("\0\0\0\6\0\3\0\0\1a"), 6, CLIENT_HELLO_MALFORMED},
	{"server_name: name longer than the list", RAW("\0\0\0\6\0\4\0\0\2a"), 9, CLIENT_HELLO_MALFORMED},
	{"server_name: name shorter than the list", RAW("\0\0\0\7\0\5\0\0\1ab"), 10, CLIENT_HELLO_MALFORMED},
	{"server_name: an empty name", RAW("\0\0\0\5\0\3\0\0\0"), 0, CLIENT_HELLO_BAD_NAME},
	{"server_name: two host names", RAW("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b"), 13, CLIENT_HELLO_MALFORMED},
	{"server_name: an unknown type beside a name", RAW("\0\0\0\x0c\0\x0a\7\0\3xyz\0\0\1b"), 0, CLIENT_HELLO_WHOLE},
	{"server_name: only an unknown type", RAW("\0\0\0\6\0\4\7\0\1x"), 0, CLIENT_HELLO_WHOLE},
	{"alpn: empty", RAW("\0\x10\0\0"), 4, CLIENT_HELLO_MALFORMED},
	{"alpn: empty list", RAW("\0\x10\0\2\0\0"), 4, CLIENT_HELLO_MALFORMED},
	{"alpn: an empty name", RAW("\0\x10\0\5\0\3\0\1a"), 7, CLIENT_HELLO_MALFORMED},
	{"alpn: name longer than the list", RAW("\0\x10\0\4\0\2\2a"), 7, CLIENT_HELLO_MALFORMED},
	{"alpn: one byte after a name", RAW("\0\x10\0\5\0\3\1a\1"), 8, CLIENT_HELLO_MALFORMED},
	{"alpn: list length lies", RAW("\0\x10\0\4\0\3\1a"), 6, CLIENT_HELLO_MALFORMED},
	{"alpn: one name", RAW("\0\x10\0\4\0\2\1a"), 0, CLIENT_HELLO_WHOLE},
	{"supported_versions: empty", RAW("\0\x2b\0\1\0"), 4, CLIENT_HELLO_MALFORMED},
	{"supported_versions: list length lies", RAW("\0\x2b\0\3\4\3\4"), 5, CLIENT_HELLO_MALFORMED},
	{"pre_shared_key last", RAW("\0\x17\0\0\0\x29\0\1x"), 0, CLIENT_HELLO_WHOLE},
	{"pre_shared_key not last", RAW("\0\x29\0\1x\0\x17\0\0"), 4, CLIENT_HELLO_MALFORMED},
};

static void
test_extensions(void)
{
	for (size_t i = 0; i < sizeof(EXTENSION_CASES) / sizeof(EXTENSION_CASES[0]); i++) {
		struct hello_spec spec = {.extensions = EXTENSION_CASES[i].bytes,
					  .extensions_length = EXTENSION_CASES[i].length};
		build(&spec, 16384);
		size_t at = stream.n;
		if (EXTENSION_CASES[i].wrong != 0)
			at = at - EXTENSION_CASES[i].length + EXTENSION_CASES[i].wrong;
		check_turns(EXTENSION_CASES[i].what, &stream, at, EXTENSION_CASES[i].verdict);
	}
}

/* Those that are wrong as soon as the length around them is known. */
static void
test_extensions_early(void)
{
	static const struct {
		const char *what;
		const uint8_t *bytes;
		size_t length, wrong;
	} cases[] = {
		{"one byte of an extension", RAW("\0"), 0},
		{"three bytes of an extension", RAW("\0\x17\0"), 0},
		{"supported_versions: odd", RAW("\0\x2b\0\4\3\3\4\3"), 7},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&(struct hello_spec){.extensions = cases[i].bytes, .extensions_length = cases[i].length}, 16384);
		check_turns(cases[i].what, &stream, stream.n - cases[i].length + cases[i].wrong,
			    CLIENT_HELLO_MALFORMED);
	}
}

/* A good hello with bytes overwritten; the verdict turns with the last overwritten byte. Offsets: record header 0..4,
 * handshake header 5..8, version 9, random 11, session id 43, cipher suites 76, compression 84, extensions 86. */
static void
test_edits(void)
{
	static const struct {
		const char *what;
		size_t offset;
		const char *bytes;
		size_t length, at; /* at: 0: offset + length */
		enum client_hello_verdict verdict;
	} cases[] = {
		{"TLS alert", 0, "\x15", 1, 0, CLIENT_HELLO_NOT_TLS},
		{"application data", 0, "\x17", 1, 0, CLIENT_HELLO_NOT_TLS},
		{"HTTP", 0, "GET / HTTP/1.1", 14, 1, CLIENT_HELLO_NOT_TLS},
		{"SSH", 0, "SSH-2.0", 7, 1, CLIENT_HELLO_NOT_TLS},
		{"SSLv2 hello", 0, "\x80\x2e\x01\x03\x01", 5, 1, CLIENT_HELLO_NOT_TLS},
		{"PROXY v2", 0, "\r\n\r\n\0\r\nQUIT\n", 12, 1, CLIENT_HELLO_NOT_TLS},
		{"DTLS record", 1, "\xfe\xfd", 2, 2, CLIENT_HELLO_NOT_TLS},
		{"record version 2", 1, "\2", 1, 0, CLIENT_HELLO_NOT_TLS},
		{"record of no bytes", 3, "\0\0", 2, 0, CLIENT_HELLO_MALFORMED},
		{"record of 2^14 + 1 bytes", 3, "\x40\1", 2, 0, CLIENT_HELLO_MALFORMED},
		{"record of 32 kB", 3, "\x80", 1, 0, CLIENT_HELLO_MALFORMED},
		{"ServerHello", 5, "\2", 1, 0, CLIENT_HELLO_MALFORMED},
		{"HelloRequest", 5, "\0", 1, 0, CLIENT_HELLO_MALFORMED},
		{"message too short to be a hello", 6, "\0\0\x28", 3, 0, CLIENT_HELLO_MALFORMED},
		{"message too long to be a hello", 6, "\3", 1, 0, CLIENT_HELLO_MALFORMED},
		{"compression methods leave one byte", 84, "\x14", 1, 0, CLIENT_HELLO_MALFORMED},
		{"message ends before its record", 6, "\0\0\x56", 3, 0, CLIENT_HELLO_MALFORMED},
		{"hello version 2", 9, "\2", 1, 0, CLIENT_HELLO_MALFORMED},
		{"session id of 33 bytes", 43, "\x21", 1, 0, CLIENT_HELLO_MALFORMED},
		{"no cipher suites", 76, "\0\0", 2, 0, CLIENT_HELLO_MALFORMED},
		{"odd cipher suites", 76, "\0\5", 2, 0, CLIENT_HELLO_MALFORMED},
		{"cipher suites beyond the message", 76, "\1", 1, 0, CLIENT_HELLO_MALFORMED},
		{"no compression methods", 84, "\0", 1, 0, CLIENT_HELLO_MALFORMED},
		{"extensions shorter than the rest", 86, "\0\x11", 2, 0, CLIENT_HELLO_MALFORMED},
		{"extensions longer than the rest", 86, "\0\x13", 2, 0, CLIENT_HELLO_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&(struct hello_spec){.sni = "a.example"}, 16384);
		memcpy(stream.at + cases[i].offset, cases[i].bytes, cases[i].length);
		size_t at = cases[i].at != 0 ? cases[i].at : cases[i].offset + cases[i].length;
		check_turns(cases[i].what, &stream, at, cases[i].verdict);
	}
}

/* A session id, or cipher suites, that leave no room for what must follow. */
static void
test_short_message(void)
{
	static const struct {
		const char *what;
		uint8_t session_id, suites; /* bytes */
		size_t wrong;
	} cases[] = {{"session id", 1, 2, 44}, {"cipher suites", 0, 4, 46}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stream.n = 0;
		put(&stream, "\x16\3\1\0\x2d\1\0\0\x29\3\3", 11); /* the shortest message: 41 bytes */
		put_zeroes(&stream, 32);
		put_number(&stream, 1, cases[i].session_id);
		put_zeroes(&stream, cases[i].session_id);
		put_number(&stream, 2, cases[i].suites);
		put_zeroes(&stream, 4);
		check_turns(cases[i].what, &stream, cases[i].wrong, CLIENT_HELLO_MALFORMED);
	}
}

/* What may stand where the second record should. */
static void
test_later_records(void)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t length, wrong;
	} cases[] = {
		{"alert between fragments", "\x15\3\1\0\2\1\0", 7, 1},
		{"another version between fragments", "\x16\2\1\0\2\1\0", 7, 2},
		{"empty fragment", "\x16\3\1\0\0", 5, 5},
		{"fragment beyond the message", "\x16\3\1\1\0", 5, 4},
		{"fragment one byte beyond the message", "\x16\3\1\0\x34", 5, 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&(struct hello_spec){.sni = "a.example"}, 50);
		stream.n = 55; /* 50 of the message's 101 bytes */
		CU_ASSERT_EQUAL(message.n, 101);
		put(&stream, cases[i].bytes, cases[i].length);
		check_turns(cases[i].what, &stream, 55 + cases[i].wrong, CLIENT_HELLO_MALFORMED);
	}
}

/* Hellos of real clients, as they came over the wire. */
static void
test_captured(void)
{
	static const struct {
		const char *file, *sni, *alpn;
		bool tls12, tls13;
	} cases[] = {
		{"openssl_tls13_sni_alpn", "outbound_.8443_.v1_.payments.bank.svc.cluster.local", "istio", false, true},
		{"openssl_tls12_sni", "payments.example.com", NULL, true, false},
		{"openssl_default_sni", "www.example.com", NULL, true, true},
		{"openssl_default_no_sni", "", NULL, true, true},
		{"openssl_default_ip", "", "http/1.1", true, true},
		{"curl_h2", "shop.example.net", "h2", true, true},
	};
	struct client_hello hello;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[128];
		snprintf(path, sizeof(path), "tests/data/client_hello/%s.bin", cases[i].file);
		FILE *file = fopen(path, "rb");
		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		stream.n = fread(stream.at, 1, sizeof(stream.at), file);
		fclose(file);
		check_turns(cases[i].file, &stream, stream.n, CLIENT_HELLO_WHOLE);
		CU_ASSERT_EQUAL_FATAL(client_hello_parse(stream.at, stream.n, &hello), CLIENT_HELLO_WHOLE);
		CU_ASSERT_STRING_EQUAL(hello.sni, cases[i].sni);
		CU_ASSERT_STRING_EQUAL(hello.n_alpn > 0 ? hello.alpn[0].bytes : "",
				       cases[i].alpn != NULL ? cases[i].alpn : "");
		CU_ASSERT_EQUAL(hello.tls12, cases[i].tls12);
		CU_ASSERT_EQUAL(hello.tls13, cases[i].tls13);
	}
}

static const CU_TestInfo tests[] = {
	{"fields", test_fields},
	{"versions", test_versions},
	{"S2: every prefix, in records of every size", test_fragments},
	{"large ones", test_large},
	{"number of extensions", test_extension_count},
	{"S2: names", test_names},
	{"extensions", test_extensions},
	{"extensions wrong by what is around them", test_extensions_early},
	{"bytes changed in a good one", test_edits},
	{"messages too short for their vectors", test_short_message},
	{"later records", test_later_records},
	{"captured from real clients", test_captured},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("client_hello", tests);
}
