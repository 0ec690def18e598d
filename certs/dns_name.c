/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/dns_name.h"

#include <string.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The labels of a name, 0 when one is no label. *numeric: whether the last is all digits, as in an address. */
static unsigned
count_labels(const char *name, size_t length, bool *numeric)
{
	unsigned labels = 0;

	*numeric = false;
	for (size_t at = 0; at <= length; at++) {
		size_t begin = at;
		*numeric = true;
		while (at < length && name[at] != '.') {
			char c = name[at++];
			if (!is_digit(c))
				*numeric = false;
			if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
				return 0;
		}
		if (at == begin || at - begin > DNS_LABEL_MAX || name[begin] == '-' || name[at - 1] == '-')
			return 0;
		labels++;
	}
	return labels;
}

bool
dns_name_is_host(const char *name, size_t length)
{
	bool numeric;

	/* Text that ends in a number is an address or a bad one, never a name (WHATWG URL section 3.5 has the same). */
	return length > 0 && length <= DNS_NAME_MAX && count_labels(name, length, &numeric) > 0 && !numeric;
}

bool
dns_name_is_wildcard(const char *name, size_t length)
{
	return length > 2 && name[0] == '*' && name[1] == '.' && dns_name_is_host(name + 2, length - 2) &&
	       memchr(name + 2, '.', length - 2) != NULL;
}

bool
dns_name_match(const char *pattern, size_t pattern_length, const char *host, size_t host_length, size_t *label_length)
{
	size_t label = 0;
	bool matches;

	if (!dns_name_is_host(host, host_length)) {
		matches = false;
	} else if (!dns_name_is_wildcard(pattern, pattern_length)) {
		matches = pattern_length == host_length && memcmp(pattern, host, host_length) == 0;
	} else {
		const char *dot = memchr(host, '.', host_length);
		label = dot != NULL ? (size_t)(dot - host) : host_length;
		matches = host_length - label == pattern_length - 1 &&
			  memcmp(pattern + 1, host + label, pattern_length - 1) == 0;
	}
	if (label_length != NULL)
		*label_length = matches ? label : 0;
	return matches;
}
