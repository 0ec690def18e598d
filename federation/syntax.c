/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/syntax.h"

#include <string.h>

#include "platform/ip_addr.h"

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alphanumeric(char c)
{
	return is_lower(c) || is_upper(c) || is_digit(c);
}

static const char *
check_label(const char *text, size_t length)
{
	if (length == 0)
		return "has an empty label";
	if (length > SYNTAX_LABEL_MAX)
		return "has a label of more than 63 bytes";
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '_')
			return "has an underscore";
		if (!is_alphanumeric(text[i]) && text[i] != '-')
			return "may have only letters, digits and \"-\" between its dots";
	}
	if (text[0] == '-' || text[length - 1] == '-')
		return "has a label that begins or ends with \"-\"";
	return NULL;
}

static const char *
check_labels(const char *text, size_t length)
{
	if (length > SYNTAX_HOST_MAX)
		return "is longer than 253 bytes";
	for (;;) {
		const char *dot = memchr(text, '.', length);
		size_t label = dot == NULL ? length : (size_t)(dot - text);
		const char *wrong = check_label(text, label);
		if (wrong != NULL || dot == NULL)
			return wrong;
		text += label + 1;
		length -= label + 1;
	}
}

static const char *
check_no_upper(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (is_upper(text[i]))
			return "must be lower-case";
	}
	return NULL;
}

const char *
syntax_host(const char *text, size_t length)
{
	char address[IP_ADDR_TEXT_MAX];
	struct ip_addr parsed;

	if (length == 0)
		return "is empty";
	if (text[length - 1] == '.' && length > 1 && text[length - 2] != '.')
		return "ends with a dot";
	if (length < sizeof(address)) {
		memcpy(address, text, length);
		address[length] = '\0';
		if (ip_addr_parse(address, &parsed))
			return "is an address";
	}
	return check_labels(text, length);
}

const char *
syntax_host_pattern(const char *text, size_t length, bool *wildcard)
{
	const char *star = memchr(text, '*', length);

	*wildcard = star != NULL;
	if (star == NULL)
		return syntax_host(text, length);
	if (length == 1)
		return NULL;
	if (star != text || text[1] != '.' || memchr(text + 1, '*', length - 1) != NULL)
		return "has a \"*\" that is not its whole first label";
	if (length == 2)
		return "has nothing after \"*.\"";
	const char *wrong = syntax_host(text + 2, length - 2);
	*wildcard = false;
	return wrong;
}

const char *
syntax_dns_label(const char *text, size_t length)
{
	if (length == 0)
		return "is empty";
	if (memchr(text, '.', length) != NULL)
		return "has a dot";
	const char *wrong = check_label(text, length);
	return wrong != NULL ? wrong : check_no_upper(text, length);
}

const char *
syntax_dns_subdomain(const char *text, size_t length)
{
	if (length == 0)
		return "is empty";
	const char *wrong = check_labels(text, length);
	return wrong != NULL ? wrong : check_no_upper(text, length);
}

const char *
syntax_trust_domain(const char *text, size_t length)
{
	if (length == 0)
		return "is empty";
	if (length > SYNTAX_TRUST_DOMAIN_MAX)
		return "is longer than 255 bytes";
	if (memmem(text, length, "://", 3) != NULL)
		return "is a URI; only the name after \"spiffe://\" belongs here";
	for (size_t i = 0; i < length; i++) {
		if (is_upper(text[i]))
			return "must be lower-case";
		if (!is_alphanumeric(text[i]) && memchr("._-", text[i], 3) == NULL)
			return "may have only lower-case letters, digits, \".\", \"-\" and \"_\"";
	}
	return NULL;
}

static const char spiffe_scheme[] = "spiffe://";
enum { SPIFFE_SCHEME = sizeof(spiffe_scheme) - 1 };

static const char *
check_spiffe_segment(const char *text, size_t length)
{
	if (length == 0)
		return "has an empty path segment";
	if ((length == 1 && text[0] == '.') || (length == 2 && memcmp(text, "..", 2) == 0))
		return "has a path segment \".\" or \"..\"";
	for (size_t i = 0; i < length; i++) {
		if (!is_alphanumeric(text[i]) && memchr("._-", text[i], 3) == NULL)
			return "may have only letters, digits, \".\", \"-\" and \"_\" in its path";
	}
	return NULL;
}

const char *
syntax_spiffe_id(const char *text, size_t length)
{
	if (length > SYNTAX_SPIFFE_ID_MAX)
		return "is longer than 2048 bytes";
	if (length < SPIFFE_SCHEME || memcmp(text, spiffe_scheme, SPIFFE_SCHEME) != 0)
		return "doesn't begin with \"spiffe://\"";
	text += SPIFFE_SCHEME;
	length -= SPIFFE_SCHEME;
	const char *slash = memchr(text, '/', length);
	size_t domain = slash == NULL ? length : (size_t)(slash - text);
	if (domain == 0)
		return "has no trust domain";
	if (syntax_trust_domain(text, domain) != NULL)
		return "has a trust domain that isn't lower-case letters, digits, \".\", \"-\" and \"_\"";
	if (slash == NULL)
		return "has no path, so is nobody's but the trust domain's own";
	while (slash != NULL) {
		length -= (size_t)(slash + 1 - text);
		text = slash + 1;
		slash = memchr(text, '/', length);
		const char *wrong = check_spiffe_segment(text, slash == NULL ? length : (size_t)(slash - text));
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

const char *
syntax_spiffe_domain(const char *id, size_t *length)
{
	const char *domain = id + SPIFFE_SCHEME;

	*length = strcspn(domain, "/");
	return domain;
}

/* "[v6]" or a host or an IPv4 address. */
static bool
is_url_host(const char *text, size_t length)
{
	char address[IP_ADDR_TEXT_MAX];
	struct ip_addr parsed;
	bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';

	if (!brackets && syntax_host(text, length) == NULL)
		return true;
	text += brackets;
	length -= brackets ? 2 : 0;
	if (length == 0 || length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	return ip_addr_parse(address, &parsed) && ip_addr_is_v4(&parsed) == !brackets;
}

static bool
is_url_port(const char *text, size_t length)
{
	uint32_t port = 0;

	if (length == 0 || length > 5 || text[0] == '0')
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!is_digit(text[i]))
			return false;
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	return port <= UINT16_MAX;
}

const char *
syntax_https_url(const char *text, size_t length)
{
	static const char scheme[] = "https://";
	const size_t skipped = sizeof(scheme) - 1;

	if (length < skipped || memcmp(text, scheme, skipped) != 0)
		return "doesn't begin with \"https://\"";
	for (size_t i = 0; i < length; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return "has a space or a character that isn't ASCII";
		if (text[i] == '#')
			return "has a fragment";
	}
	text += skipped;
	length -= skipped;
	size_t authority = 0;
	while (authority < length && text[authority] != '/' && text[authority] != '?')
		authority++;
	if (memchr(text, '@', authority) != NULL)
		return "has a user in it";
	size_t host = authority;
	while (host > 0 && is_digit(text[host - 1]))
		host--;
	if (host > 0 && text[host - 1] == ':') {
		if (!is_url_port(text + host, authority - host))
			return "has a port that isn't from 1 to 65535";
		host--;
	} else {
		host = authority;
	}
	return is_url_host(text, host) ? NULL : "has no host that could be";
}

static int
hex_digit(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
base64_digit(char c)
{
	return is_upper(c)   ? c - 'A'
	       : is_lower(c) ? c - 'a' + 26
	       : is_digit(c) ? c - '0' + 52
	       : c == '+'    ? 62
	       : c == '/'    ? 63
			     : -1;
}

const char *
syntax_sha256(const char *text, size_t length, uint8_t hash[SYNTAX_SHA256_BYTES])
{
	static const char *const malformed = "is not a SHA-256 as 64 hexadecimal digits or in base64";
	const size_t hex = 2ul * SYNTAX_SHA256_BYTES, base64 = 44;
	unsigned bits = 0, n_bits = 0, n = 0, per_digit = length == hex ? 4 : 6;

	if (length != hex && (length != base64 || text[base64 - 1] != '='))
		return malformed;
	for (size_t i = 0; i < (length == hex ? hex : base64 - 1); i++) {
		int digit = length == hex ? hex_digit(text[i]) : base64_digit(text[i]);
		if (digit < 0)
			return malformed;
		bits = (bits << per_digit | (unsigned)digit) & 0xffff;
		n_bits += per_digit;
		if (n_bits >= 8) {
			n_bits -= 8;
			hash[n++] = (uint8_t)(bits >> n_bits);
		}
	}
	/* 43 digits carry two bits more than 32 bytes. */
	return (bits & ((1u << n_bits) - 1)) == 0 ? NULL : malformed;
}

const char *
syntax_port_name(const char *text, size_t length)
{
	if (length == 0)
		return "is empty";
	if (length > SYNTAX_PORT_NAME_MAX)
		return "is longer than 31 bytes";
	for (size_t i = 0; i < length; i++) {
		if (!is_lower(text[i]) && !is_digit(text[i]) && memchr("._-", text[i], 3) == NULL)
			return "may have only lower-case letters, digits, \".\", \"-\" and \"_\"";
	}
	return NULL;
}

const char *
syntax_identifier(const char *text, size_t length)
{
	if (length == 0)
		return "is empty";
	if (length > SYNTAX_HOST_MAX)
		return "is longer than 253 bytes";
	for (size_t i = 0; i < length; i++) {
		if (!is_alphanumeric(text[i]) && memchr("._-", text[i], 3) == NULL)
			return "may have only letters, digits, \".\", \"-\" and \"_\"";
	}
	return NULL;
}

const char *
syntax_locality(const char *text, size_t length)
{
	unsigned parts = 0;

	for (;;) {
		const char *slash = memchr(text, '/', length);
		size_t part = slash == NULL ? length : (size_t)(slash - text);
		if (++parts > 3)
			return "has more parts than region/zone/subzone";
		if (part == 0)
			return "has an empty part; it is region/zone/subzone";
		if (syntax_identifier(text, part) != NULL)
			return "may have only letters, digits, \".\", \"-\" and \"_\" between its slashes";
		if (slash == NULL)
			return NULL;
		text += part + 1;
		length -= part + 1;
	}
}

static const char *
check_label_name(const char *text, size_t length)
{
	if (length > SYNTAX_LABEL_MAX)
		return "is longer than 63 bytes";
	if (syntax_identifier(text, length) != NULL)
		return "may have only letters, digits, \".\", \"-\" and \"_\"";
	if (!is_alphanumeric(text[0]) || !is_alphanumeric(text[length - 1]))
		return "must begin and end with a letter or digit";
	return NULL;
}

const char *
syntax_label_key(const char *text, size_t length)
{
	const char *slash = memchr(text, '/', length);

	if (slash != NULL) {
		size_t prefix = (size_t)(slash - text);
		if (syntax_dns_subdomain(text, prefix) != NULL)
			return "has a prefix that is not a lower-case DNS name";
		text += prefix + 1;
		length -= prefix + 1;
	}
	return length == 0 ? "has no name" : check_label_name(text, length);
}

const char *
syntax_label_value(const char *text, size_t length)
{
	return length == 0 ? NULL : check_label_name(text, length);
}

struct unit {
	const char *name;
	uint64_t nanoseconds;
};

static const struct unit units[] = {
	{"ns", 1},         {"us", 1000},       {"µs", 1000},         {"ms", 1000000},
	{"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000},
};

static const struct unit *
find_unit(const char *text, size_t length)
{
	size_t n = 0;
	while (n < length && !is_digit(text[n]) && text[n] != '.')
		n++;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strlen(units[i].name) == n && memcmp(text, units[i].name, n) == 0)
			return &units[i];
	}
	return NULL;
}

const char *
syntax_duration(const char *text, size_t length, uint32_t *milliseconds)
{
	static const char *const malformed = "is not a duration such as \"10s\", \"500ms\" or \"1m30s\"";
	static const char *const too_long = "is longer than 49 days";
	const uint64_t most = UINT32_MAX * 1000000ull;
	uint64_t total = 0;
	size_t i = 0;

	if (length == 0)
		return malformed;
	while (i < length) {
		uint64_t whole = 0, fraction = 0, scale = 1;
		size_t begin = i;
		for (; i < length && is_digit(text[i]); i++) {
			whole = whole * 10 + (uint64_t)(text[i] - '0');
			if (whole > most)
				return too_long;
		}
		size_t digits = i - begin;
		if (i < length && text[i] == '.') {
			for (i++; i < length && is_digit(text[i]); i++, digits++) {
				if (scale >= 1000000000)
					return "is finer than a nanosecond";
				scale *= 10;
				fraction = fraction * 10 + (uint64_t)(text[i] - '0');
			}
		}
		const struct unit *unit = digits == 0 ? NULL : find_unit(text + i, length - i);
		if (unit == NULL)
			return malformed;
		i += strlen(unit->name);
		if (whole > most / unit->nanoseconds)
			return too_long;
		total += whole * unit->nanoseconds + (uint64_t)((__uint128_t)fraction * unit->nanoseconds / scale);
		if (total > most)
			return too_long;
	}
	if (total < 1000000)
		return "is shorter than 1ms";
	if (total % 1000000 != 0)
		return "is not a whole number of milliseconds";
	*milliseconds = (uint32_t)(total / 1000000);
	return NULL;
}
