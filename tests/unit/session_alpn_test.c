/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are offered, by what the port says and what is known of its endpoints; how long that is known. */
#include "gateway/session_alpn.h"

#include <string.h>

#include "tests/unit/unit.h"

/* "h2,http/1.1" as a hello that offers that. */
static struct client_hello
hello_of(const char *names)
{
	struct client_hello hello = {0};

	while (*names != '\0') {
		size_t length = strcspn(names, ",");
		hello.alpn[hello.n_alpn].length = (uint8_t)length;
		memcpy(hello.alpn[hello.n_alpn++].bytes, names, length);
		names += length + (names[length] == ',');
	}
	return hello;
}

static const char *
text_of(const struct session_protocols *protocols)
{
	static char text[256];
	size_t n = 0;

	for (uint16_t at = 0; at < protocols->length; at = (uint16_t)(at + 1 + protocols->bytes[at])) {
		if (at != 0)
			text[n++] = ',';
		memcpy(text + n, protocols->bytes + at + 1, protocols->bytes[at]);
		n += protocols->bytes[at];
	}
	text[n] = '\0';
	return text;
}

static void
test_choice(void)
{
	static const struct {
		const char *offered;
		enum port_protocol protocol;
		enum session_spoken spoken;
		const char *choice;
		bool learns;
	} cases[] = {
		{"", PROTOCOL_TLS, SPOKEN_UNKNOWN, "", false},
		{"h2,http/1.1", PROTOCOL_TLS, SPOKEN_UNKNOWN, "http/1.1", true},
		{"http/1.1,h2", PROTOCOL_HTTPS, SPOKEN_UNKNOWN, "http/1.1", true},
		{"h2,http/1.1", PROTOCOL_TLS, SPOKEN_H2, "h2", false},
		{"http/1.1,h2", PROTOCOL_TLS, SPOKEN_H2, "h2", false},
		{"h2,http/1.1", PROTOCOL_TLS, SPOKEN_OTHER, "http/1.1", false},
		/* Who has no choice gets what it asks for. */
		{"h2", PROTOCOL_TLS, SPOKEN_OTHER, "h2", false},
		{"h2", PROTOCOL_TLS, SPOKEN_UNKNOWN, "h2", false},
		{"http/1.1", PROTOCOL_TLS, SPOKEN_H2, "http/1.1", false},
		/* Where the port says it there is nothing to learn. */
		{"h2,http/1.1", PROTOCOL_GRPC, SPOKEN_UNKNOWN, "h2", false},
		{"h2,http/1.1", PROTOCOL_HTTP2, SPOKEN_OTHER, "h2", false},
		{"h2,http/1.1", PROTOCOL_HTTP, SPOKEN_H2, "http/1.1", false},
		{"spdy/3", PROTOCOL_HTTP, SPOKEN_UNKNOWN, "", false},
		/* The others stay where they were. */
		{"istio,h2,x,http/1.1,h", PROTOCOL_TLS, SPOKEN_UNKNOWN, "istio,x,http/1.1,h", true},
		{"istio,h2,x,http/1.1,h", PROTOCOL_TLS, SPOKEN_H2, "istio,h2,x,h", false},
	};
	struct session_protocols protocols;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct client_hello hello = hello_of(cases[i].offered);
		bool learns = session_alpn_choose(&hello, cases[i].protocol, cases[i].spoken, &protocols);
		CU_ASSERT_EQUAL(learns, cases[i].learns);
		CU_ASSERT_STRING_EQUAL(text_of(&protocols), cases[i].choice);
	}
}

/* As many and as long ones as a hello can have. */
static void
test_full(void)
{
	struct client_hello hello = {.n_alpn = CLIENT_HELLO_ALPN_MAX};
	struct session_protocols protocols;

	for (unsigned i = 0; i < CLIENT_HELLO_ALPN_MAX; i++) {
		hello.alpn[i].length = CLIENT_HELLO_ALPN_NAME_MAX;
		memset(hello.alpn[i].bytes, 'a' + (int)i, CLIENT_HELLO_ALPN_NAME_MAX);
	}
	CU_ASSERT_FALSE(session_alpn_choose(&hello, PROTOCOL_TLS, SPOKEN_UNKNOWN, &protocols));
	CU_ASSERT_EQUAL(protocols.length, sizeof(protocols.bytes));
	session_alpn_one(&protocols, (const uint8_t *)hello.alpn[3].bytes, CLIENT_HELLO_ALPN_NAME_MAX);
	CU_ASSERT_EQUAL(protocols.length, CLIENT_HELLO_ALPN_NAME_MAX + 1);
	session_alpn_both(&protocols);
	CU_ASSERT_STRING_EQUAL(text_of(&protocols), "h2,http/1.1");
	CU_ASSERT_TRUE(session_alpn_has(&protocols, "http/1.1"));
	CU_ASSERT_FALSE(session_alpn_has(&protocols, "http/1"));
	session_alpn_one(&protocols, NULL, 0);
	CU_ASSERT_EQUAL(protocols.length, 0);
}

static void
test_memory(void)
{
	uint64_t word = 0;

	CU_ASSERT_EQUAL(session_alpn_known(&word, 0, 10), SPOKEN_UNKNOWN);
	session_alpn_learn(&word, SPOKEN_H2, 7, 1000);
	CU_ASSERT_EQUAL(session_alpn_known(&word, 7, 1000), SPOKEN_H2);
	CU_ASSERT_EQUAL(session_alpn_known(&word, 7, 1000 + SESSION_ALPN_KNOWN_S - 1), SPOKEN_H2);
	CU_ASSERT_EQUAL(session_alpn_known(&word, 7, 1000 + SESSION_ALPN_KNOWN_S), SPOKEN_UNKNOWN);
	/* Another federation may have other endpoints. */
	CU_ASSERT_EQUAL(session_alpn_known(&word, 8, 1000), SPOKEN_UNKNOWN);
	session_alpn_learn(&word, SPOKEN_OTHER, (UINT64_C(1) << 40) + 3, UINT64_C(0x1fffffff0));
	CU_ASSERT_EQUAL(session_alpn_known(&word, (UINT64_C(1) << 40) + 3, UINT64_C(0x200000010)), SPOKEN_OTHER);
	CU_ASSERT_EQUAL(session_alpn_known(&word, (UINT64_C(1) << 40) + 4, UINT64_C(0x200000010)), SPOKEN_UNKNOWN);
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"what a client may choose from", test_choice},
		{"full lists", test_full},
		{"how long it is known", test_memory},
		CU_TEST_INFO_NULL,
	};

	return unit_run("session_alpn", tests);
}
