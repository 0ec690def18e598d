/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/der.h"

enum { TAG_NUMBER = 0x1f, TAG_CONSTRUCTED = 0x20, LENGTH_LONG = 0x80, LENGTH_BYTES_MAX = 4 };

size_t
der_element(const uint8_t *der, size_t length, size_t *header)
{
	/* No structure here has a tag number above 30. */
	if (length < 2 || (der[0] & TAG_NUMBER) == TAG_NUMBER)
		return 0;
	size_t content = der[1], at = 2;
	if (content & LENGTH_LONG) {
		size_t bytes = content & ~(size_t)LENGTH_LONG;
		/* 0x80 alone is BER's indefinite form. */
		if (bytes == 0 || bytes > LENGTH_BYTES_MAX || bytes > length - at || der[at] == 0)
			return 0;
		for (content = 0; bytes > 0; bytes--)
			content = content << 8 | der[at++];
		if (content < LENGTH_LONG)
			return 0;
	}
	if (content > length - at)
		return 0;
	*header = at;
	return at + content;
}

static enum cert_error
check_within(const uint8_t *der, size_t length, unsigned depth)
{
	while (length > 0) {
		size_t header, whole = der_element(der, length, &header);
		if (whole == 0)
			return CERT_DER_LENGTH;
		if (der[0] & TAG_CONSTRUCTED) {
			if (depth == DER_DEPTH_MAX)
				return CERT_DER_DEPTH;
			enum cert_error error = check_within(der + header, whole - header, depth + 1);
			if (error != CERT_NONE)
				return error;
		}
		der += whole;
		length -= whole;
	}
	return CERT_NONE;
}

enum cert_error
der_check(const uint8_t *der, size_t length)
{
	size_t header, whole = der_element(der, length, &header);

	if (whole == 0)
		return CERT_DER_LENGTH;
	if (whole != length)
		return CERT_DER_TRAILING;
	return check_within(der, length, 1);
}
