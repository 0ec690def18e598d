/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SPIFFE ID parser, over any bytes, and what must hold of it: what passes consists of a domain and a path of the
 * characters allowed, nothing of it can be left out unnoticed, and its parts pass by themselves.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "certs/spiffe_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_id(const struct spiffe_id *id, const char *text, size_t size)
{
	static const char PATH[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/";
	size_t length;
	const char *path = spiffe_id_path(id, &length);
	struct spiffe_id part;

	check(id->text == text && id->length == size && size <= SPIFFE_ID_MAX);
	check(spiffe_domain_check(spiffe_id_domain(id), id->domain_length) == CERT_NONE);
	check(spiffe_id_domain(id) + id->domain_length == path && path + length == text + size);
	check(spiffe_id_is_root(id) == (length == 0));
	check(spiffe_id_in_domain(id, spiffe_id_domain(id), id->domain_length));
	check(length == 0 || (path[0] == '/' && path[length - 1] != '/'));
	for (size_t i = 0; i < length; i++) {
		check(path[i] != '\0' && strchr(PATH, path[i]) != NULL);
		check(path[i] != '/' || path[i + 1] != '/');
	}
	/* A trust domain's own ID always passes, and a slash more never. */
	check(spiffe_id_parse(text, SPIFFE_PREFIX + id->domain_length, &part) == CERT_NONE && spiffe_id_is_root(&part));
	check(spiffe_id_equal(id, &part) == spiffe_id_is_root(id));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spiffe_id id;
	/* In memory of exactly that length, so that a read beyond it is found. */
	char *text = malloc(size != 0 ? size : 1);

	check(text != NULL);
	memcpy(text, data, size);
	enum cert_error error = spiffe_id_parse(text, size, &id);
	check((error == CERT_NONE) == (id.length != 0) && error < CERT_ERROR_COUNT);
	if (error == CERT_NONE)
		check_id(&id, text, size);
	free(text);
	return 0;
}
