/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/ip_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

bool
ip_addr_parse(const char *text, struct ip_addr *addr)
{
	struct ip_addr parsed;
	uint32_t v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*addr = ip_addr_from_v4(v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, parsed.bytes) != 1 || ip_addr_is_v4(&parsed))
		return false;
	*addr = parsed;
	return true;
}

const char *
ip_addr_format(const struct ip_addr *addr, char buffer[IP_ADDR_TEXT_MAX])
{
	if (ip_addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->words[3], buffer, IP_ADDR_TEXT_MAX);
	else
		inet_ntop(AF_INET6, addr->bytes, buffer, IP_ADDR_TEXT_MAX);
	return buffer;
}

bool
ip_prefix_parse(const char *text, struct ip_prefix *prefix)
{
	char address[IP_ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	struct ip_prefix parsed;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (!ip_addr_parse(address, &parsed.addr))
		return false;

	size_t digits = strspn(slash + 1, "0123456789");
	if (digits < 1 || digits > 3 || slash[1 + digits] != '\0' || (digits > 1 && slash[1] == '0'))
		return false;
	unsigned long length = strtoul(slash + 1, NULL, 10);
	if (length > (ip_addr_is_v4(&parsed.addr) ? 32u : 128u))
		return false;
	parsed.length = (uint8_t)length;
	*prefix = parsed;
	return true;
}

const char *
ip_prefix_format(const struct ip_prefix *prefix, char buffer[IP_PREFIX_TEXT_MAX])
{
	char address[IP_ADDR_TEXT_MAX];

	snprintf(buffer, IP_PREFIX_TEXT_MAX, "%s/%u", ip_addr_format(&prefix->addr, address), prefix->length);
	return buffer;
}

const char *
ip_endpoint_format(const struct ip_addr *addr, uint16_t port, char buffer[IP_ENDPOINT_TEXT_MAX])
{
	char address[IP_ADDR_TEXT_MAX];

	snprintf(buffer, IP_ENDPOINT_TEXT_MAX, ip_addr_is_v4(addr) ? "%s:%u" : "[%s]:%u", ip_addr_format(addr, address),
		 port);
	return buffer;
}

bool
ip_endpoint_parse(const char *text, struct ip_addr *addr, uint16_t *port)
{
	char address[IP_ADDR_TEXT_MAX];
	const char *colon = strrchr(text, ':');
	struct ip_addr parsed;

	if (colon == NULL)
		return false;
	bool bracketed = text[0] == '[' && colon > text && colon[-1] == ']';
	size_t length = (size_t)(colon - text) - (bracketed ? 2 : 0);
	if (length >= sizeof(address))
		return false;
	memcpy(address, text + bracketed, length);
	address[length] = '\0';
	if (!ip_addr_parse(address, &parsed) || ip_addr_is_v4(&parsed) == bracketed)
		return false;

	size_t digits = strspn(colon + 1, "0123456789");
	if (digits < 1 || digits > 5 || colon[1 + digits] != '\0' || (digits > 1 && colon[1] == '0'))
		return false;
	unsigned long number = strtoul(colon + 1, NULL, 10);
	if (number > UINT16_MAX)
		return false;
	*addr = parsed;
	*port = (uint16_t)number;
	return true;
}

bool
ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_addr *addr)
{
	bool v4 = ip_addr_is_v4(&prefix->addr);
	if (v4 != ip_addr_is_v4(addr))
		return false;

	unsigned bits = prefix->length + (v4 ? 96 : 0);
	unsigned whole = bits / 8;
	if (memcmp(prefix->addr.bytes, addr->bytes, whole) != 0)
		return false;
	if (bits % 8 == 0)
		return true;
	uint8_t mask = (uint8_t)(0xff << (8 - bits % 8));
	return ((prefix->addr.bytes[whole] ^ addr->bytes[whole]) & mask) == 0;
}

bool
ip_addr_is_martian(const struct ip_addr *addr)
{
	if (ip_addr_is_v4(addr)) {
		uint8_t first = addr->bytes[12];
		return first == 0 || first == 127 || first >= 224;
	}
	static const uint8_t loopback[16] = {[15] = 1};
	return addr->bytes[0] == 0xff || (addr->longs[0] == 0 && addr->longs[1] == 0) ||
	       memcmp(addr->bytes, loopback, sizeof(loopback)) == 0;
}
