/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxy_v2.h"

#include <string.h>

enum { VERSION_AND_PROXY = 0x21, TCP_OVER_IPV4 = 0x11, TCP_OVER_IPV6 = 0x21, FIXED = 16 };

static size_t
put_16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return 2;
}

static size_t
put_address(uint8_t *at, const struct ip_addr *address, bool v4)
{
	const uint8_t *bytes = v4 ? address->bytes + 12 : address->bytes;
	size_t length = v4 ? 4 : 16;

	memcpy(at, bytes, length);
	return length;
}

size_t
proxy_v2_write(const struct bridge_ends *ends, const struct spiffe_id *id, uint8_t header[PROXY_V2_MAX])
{
	static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
	bool v4 = ip_addr_is_v4(&ends->client);
	size_t length = FIXED;

	memcpy(header, signature, sizeof(signature));
	header[12] = VERSION_AND_PROXY;
	header[13] = v4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
	length += put_address(header + length, &ends->client, v4);
	length += put_address(header + length, &ends->local, v4);
	length += put_16(header + length, ends->client_port);
	length += put_16(header + length, ends->local_port);
	if (id != NULL && id->length != 0) {
		header[length++] = PROXY_V2_SPIFFE_ID;
		length += put_16(header + length, id->length);
		memcpy(header + length, id->text, id->length);
		length += id->length;
	}
	put_16(header + 14, (uint16_t)(length - FIXED));
	return length;
}
