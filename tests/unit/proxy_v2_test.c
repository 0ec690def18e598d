/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY header, byte by byte, as proxy-protocol.txt section 2.2 has it. */
#include "gateway/proxy_v2.h"

#include <string.h>

#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct bridge_ends
ends_of(const char *client, const char *local)
{
	struct bridge_ends ends = {.client_port = 50000, .local_port = 443};

	CU_ASSERT_TRUE_FATAL(ip_addr_parse(client, &ends.client) && ip_addr_parse(local, &ends.local));
	return ends;
}

static void
is(const struct bridge_ends *ends, const struct spiffe_id *id, const char *expected, size_t length)
{
	uint8_t header[PROXY_V2_MAX];

	CU_ASSERT_EQUAL_FATAL(proxy_v2_write(ends, id, header), length);
	CU_ASSERT_EQUAL(memcmp(header, expected, length), 0);
}

static void
test_addresses(void)
{
	static const char v4[] = SIGNATURE "\x21\x11\0\x0c\xc0\0\2\x0a\xc6\x33\x64\1\xc3\x50\1\xbb";
	static const char v6[] = SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x10"
					   "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\xc3\x50\1\xbb";
	struct bridge_ends ends = ends_of("192.0.2.10", "198.51.100.1");

	is(&ends, NULL, v4, sizeof(v4) - 1);
	is(&ends, &(struct spiffe_id){0}, v4, sizeof(v4) - 1); /* nobody */
	ends = ends_of("2001:db8::10", "2001:db8::1");
	is(&ends, NULL, v6, sizeof(v6) - 1);
}

static void
test_identity(void)
{
	static const char expected[] = SIGNATURE "\x21\x11\0\x28\xc0\0\2\x0a\xc6\x33\x64\1\xc3\x50\1\xbb"
						 "\xd0\0\x19spiffe://here.example/w/a";
	static const char text[] = "spiffe://here.example/w/a";
	struct bridge_ends ends = ends_of("192.0.2.10", "198.51.100.1");
	struct spiffe_id id;

	CU_ASSERT_EQUAL_FATAL(spiffe_id_parse(text, sizeof(text) - 1, &id), CERT_NONE);
	is(&ends, &id, expected, sizeof(expected) - 1);
}

/* The longest there can be fills the buffer, and no more. */
static void
test_longest(void)
{
	char text[SPIFFE_ID_MAX + 1] = "spiffe://here.example/";
	uint8_t header[PROXY_V2_MAX];
	struct bridge_ends ends = ends_of("2001:db8::10", "2001:db8::1");
	struct spiffe_id id;

	memset(text + strlen(text), 'x', SPIFFE_ID_MAX - strlen(text));
	CU_ASSERT_EQUAL_FATAL(spiffe_id_parse(text, SPIFFE_ID_MAX, &id), CERT_NONE);
	CU_ASSERT_EQUAL(proxy_v2_write(&ends, &id, header), PROXY_V2_MAX);
	CU_ASSERT_EQUAL((header[14] << 8) + header[15], PROXY_V2_MAX - 16);
	CU_ASSERT_EQUAL((header[53] << 8) + header[54], SPIFFE_ID_MAX);
	CU_ASSERT_EQUAL(memcmp(header + 55, text, SPIFFE_ID_MAX), 0);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"addresses of both families", test_addresses},
		{"the client's SPIFFE ID", test_identity},
		{"the longest header", test_longest},
		CU_TEST_INFO_NULL,
	};
	return unit_run("proxy_v2", tests);
}
