/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/spiffe_id.h"

static const char SCHEME[] = "spiffe://";

static bool
is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* What is wrong with a byte that is allowed neither in a domain nor in a path; otherwise is for what has no error of
 * its own. */
static enum cert_error
stray(char c, enum cert_error otherwise)
{
	if (c == '\0')
		return CERT_SPIFFE_NUL;
	if ((unsigned char)c > 0x7f)
		return CERT_SPIFFE_NOT_ASCII;
	if (c == '%')
		return CERT_SPIFFE_PERCENT;
	if (c == '?')
		return CERT_SPIFFE_QUERY;
	if (c == '#')
		return CERT_SPIFFE_FRAGMENT;
	return otherwise;
}

enum cert_error
spiffe_domain_check(const char *name, size_t length)
{
	if (length == 0)
		return CERT_SPIFFE_DOMAIN_EMPTY;
	for (size_t i = 0; i < length; i++) {
		char c = name[i];
		if (is_lower_or_digit(c) || c == '.' || c == '-' || c == '_')
			continue;
		if (c == '@' || (c == ':' && memchr(name + i, '@', length - i) != NULL))
			return CERT_SPIFFE_USERINFO;
		if (c == ':')
			return CERT_SPIFFE_PORT;
		if (c >= 'A' && c <= 'Z')
			return CERT_SPIFFE_DOMAIN_UPPERCASE;
		return stray(c, CERT_SPIFFE_DOMAIN_CHARACTER);
	}
	return length <= SPIFFE_DOMAIN_MAX ? CERT_NONE : CERT_SPIFFE_DOMAIN_LONG;
}

/* path: empty, or from its leading slash. */
static enum cert_error
path_check(const char *path, size_t length)
{
	for (size_t at = 0; at < length;) {
		size_t begin = ++at;
		bool only_dots = true;
		while (at < length && path[at] != '/') {
			char c = path[at++];
			bool plain = is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
			if (!plain && c != '.')
				return stray(c, CERT_SPIFFE_PATH_CHARACTER);
			only_dots = only_dots && c == '.';
		}
		if (at == begin)
			return at == length ? CERT_SPIFFE_PATH_TRAILING_SLASH : CERT_SPIFFE_PATH_EMPTY_SEGMENT;
		/* Three dots and more are an ordinary name. */
		if (only_dots && at - begin <= 2)
			return CERT_SPIFFE_PATH_DOTS;
	}
	return CERT_NONE;
}

enum cert_error
spiffe_id_parse(const char *text, size_t length, struct spiffe_id *id)
{
	*id = (struct spiffe_id){0};
	if (length == 0)
		return CERT_SPIFFE_EMPTY;
	if (length > SPIFFE_ID_MAX)
		return CERT_SPIFFE_LONG;
	if (length < SPIFFE_PREFIX || memcmp(text, SCHEME, SPIFFE_PREFIX) != 0)
		return CERT_SPIFFE_SCHEME;

	const char *domain = text + SPIFFE_PREFIX, *end = text + length;
	const char *path = memchr(domain, '/', (size_t)(end - domain));
	if (path == NULL)
		path = end;
	enum cert_error error = spiffe_domain_check(domain, (size_t)(path - domain));
	if (error == CERT_NONE)
		error = path_check(path, (size_t)(end - path));
	if (error == CERT_NONE)
		*id = (struct spiffe_id){text, (uint16_t)length, (uint16_t)(path - domain)};
	return error;
}
