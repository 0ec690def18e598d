/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ClientHello parser, over any bytes as a stream's beginning, and what must hold of it:
 * the same bytes give the same result; a verdict other than MORE is final, and no prefix of a whole hello is whole; the
 * name is a lower-case C string of the length said; and the records in which the message came make no difference.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/client_hello.h"
#include "gateway/istio_sni.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 17, PREFIXES_MAX = 256 };

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* In memory of exactly that length, so that a read beyond it is found. */
static enum client_hello_verdict
parse(const uint8_t *bytes, size_t length, struct client_hello *hello)
{
	uint8_t *copy = malloc(length != 0 ? length : 1);
	check(copy != NULL);
	memcpy(copy, bytes, length);
	memset(hello, 0x5a, sizeof(*hello));
	enum client_hello_verdict verdict = client_hello_parse(copy, length, hello);
	free(copy);
	return verdict;
}

static bool
same(const struct client_hello *a, const struct client_hello *b)
{
	if (a->sni_length != b->sni_length || memcmp(a->sni, b->sni, a->sni_length + 1u) != 0 || a->n_alpn != b->n_alpn)
		return false;
	for (unsigned i = 0; i < a->n_alpn; i++)
		if (a->alpn[i].length != b->alpn[i].length ||
		    memcmp(a->alpn[i].bytes, b->alpn[i].bytes, a->alpn[i].length + 1u) != 0)
			return false;
	return a->legacy_version == b->legacy_version && a->tls12 == b->tls12 && a->tls13 == b->tls13 &&
	       a->ech == b->ech;
}

static void
check_hello(const struct client_hello *hello, size_t length)
{
	check(hello->length <= length && hello->length > 0);
	check(hello->sni_length <= CLIENT_HELLO_SNI_MAX && strlen(hello->sni) == hello->sni_length);
	for (unsigned i = 0; i < hello->sni_length; i++)
		check(!isupper((unsigned char)hello->sni[i]) && isgraph((unsigned char)hello->sni[i]));
	check(hello->n_alpn <= CLIENT_HELLO_ALPN_MAX);
	for (unsigned i = 0; i < hello->n_alpn; i++)
		check(hello->alpn[i].length >= 1 && hello->alpn[i].length <= CLIENT_HELLO_ALPN_NAME_MAX);

	struct istio_sni istio;
	if (istio_sni_parse(hello->sni, hello->sni_length, &istio)) {
		check(istio.port != 0 && istio.host_length > 0);
		check(istio.host + istio.host_length == hello->sni + hello->sni_length);
		check(istio.subset + istio.subset_length + 2 == istio.host);
	}
}

/* A verdict that isn't MORE stays; before it there was only MORE. All short prefixes, then ever longer steps. */
static void
check_prefixes(const uint8_t *data, size_t size, enum client_hello_verdict verdict)
{
	size_t step = size / PREFIXES_MAX + 1;
	enum client_hello_verdict before = CLIENT_HELLO_MORE;
	struct client_hello hello;

	for (size_t n = 0; n < size; n += n < PREFIXES_MAX ? 1 : step) {
		enum client_hello_verdict now = parse(data, n, &hello);
		check(before == CLIENT_HELLO_MORE || now == before);
		check(now == CLIENT_HELLO_MORE || now == verdict);
		before = now;
	}
}

/* Cuts the message anew, into records of a size that the message itself decides. */
static void
check_records(const uint8_t *data, size_t size, const struct client_hello *whole)
{
	static uint8_t message[INPUT_MAX], stream[INPUT_MAX * 6];
	struct client_hello hello;
	size_t n = 0;

	for (size_t at = 0; at + 5 <= size;) {
		size_t record = (size_t)data[at + 3] << 8 | data[at + 4];
		if (record > size - at - 5)
			return;
		memcpy(message + n, data + at + 5, record);
		n += record;
		at += 5 + record;
	}
	size_t sizes[] = {1, 1 + data[size - 1] % 64u, 16384};
	for (unsigned i = 0; i < 3; i++) {
		size_t out = 0;
		for (size_t at = 0; at < n;) {
			size_t part = n - at < sizes[i] ? n - at : sizes[i];
			const uint8_t header[5] = {22, 3, 3, (uint8_t)(part >> 8), (uint8_t)part};
			memcpy(stream + out, header, 5);
			memcpy(stream + out + 5, message + at, part);
			out += 5 + part;
			at += part;
		}
		check(parse(stream, out, &hello) == CLIENT_HELLO_WHOLE);
		check(same(whole, &hello) && hello.length == out);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_hello hello, again;

	if (size > INPUT_MAX)
		return 0;
	enum client_hello_verdict verdict = parse(data, size, &hello);
	check(parse(data, size, &again) == verdict);
	check_prefixes(data, size, verdict);
	if (verdict != CLIENT_HELLO_WHOLE)
		return 0;
	check(same(&hello, &again) && hello.length == again.length);
	check_hello(&hello, size);
	check(parse(data, hello.length, &again) == CLIENT_HELLO_WHOLE);
	check(parse(data, hello.length - 1, &again) == CLIENT_HELLO_MORE);
	check_records(data, hello.length, &hello);
	return 0;
}
