/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/istio_sni.h"

#include <string.h>

static const char DIRECTION[] = "outbound_.";

/* The port's decimal digits, no sign, no leading zero: one spelling for each port, so that a name can't have aliases.
 */
static bool
parse_port(const char *digits, size_t length, uint16_t *port)
{
	uint32_t value = 0;

	if (length < 1 || length > 5 || digits[0] == '0')
		return false;
	for (size_t i = 0; i < length; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(digits[i] - '0');
	}
	if (value > 65535)
		return false;
	*port = (uint16_t)value;
	return true;
}

/* Up to the next "_."; what follows it becomes *rest. False when there is none. */
static bool
cut(const char **rest, size_t *rest_length, const char **part, size_t *part_length)
{
	const char *separator = memmem(*rest, *rest_length, "_.", 2);

	if (separator == NULL)
		return false;
	*part = *rest;
	*part_length = (size_t)(separator - *rest);
	*rest_length -= *part_length + 2;
	*rest = separator + 2;
	return true;
}

bool
istio_sni_parse(const char *name, size_t length, struct istio_sni *parsed)
{
	const size_t direction = sizeof(DIRECTION) - 1;
	const char *rest, *port;
	size_t rest_length, port_length;

	if (length < direction || memcmp(name, DIRECTION, direction) != 0)
		return false;
	rest = name + direction;
	rest_length = length - direction;
	if (!cut(&rest, &rest_length, &port, &port_length) || !parse_port(port, port_length, &parsed->port))
		return false;
	if (!cut(&rest, &rest_length, &parsed->subset, &parsed->subset_length))
		return false;
	/* A fifth part makes the name ambiguous; Istio's own parser refuses it, too. */
	if (rest_length == 0 || memmem(rest, rest_length, "_.", 2) != NULL)
		return false;
	parsed->host = rest;
	parsed->host_length = rest_length;
	return true;
}
