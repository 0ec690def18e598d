/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE IDs: spiffe://trust-domain/path, by the standard SPIFFE-ID.md section 2.
 *
 * An ID is compared byte by byte and never normalized: what would have to be (upper case, percent-encoding, dots,
 * doubled slashes) is refused. Trust domains that look like addresses or host names are nothing special.
 *
 *	spiffe://core.telco.example/ns/bank/sa/teller
 *	         \_ domain ______/ \_ path ________/
 */
#ifndef POSTERN_CERTS_SPIFFE_ID_H
#define POSTERN_CERTS_SPIFFE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "certs/cert_error.h"

enum {
	SPIFFE_ID_MAX = 2048,    /* bytes; the standard wants this much supported, and no more is */
	SPIFFE_DOMAIN_MAX = 255, /* bytes */
	SPIFFE_PREFIX = 9        /* of "spiffe://" */
};

/* A parsed ID: a view of text that somebody else owns, not NUL-terminated. All zeroes: none. */
struct spiffe_id {
	const char *text;
	uint16_t length;        /* 10..SPIFFE_ID_MAX; 0 when there is no ID */
	uint16_t domain_length; /* 1..SPIFFE_DOMAIN_MAX, from text + SPIFFE_PREFIX */
};

/* Parses exactly length bytes. Trust-domain IDs (without a path) pass; ask spiffe_id_is_root where a workload's is due.
 * On an error *id is all zeroes. */
enum cert_error spiffe_id_parse(const char *text, size_t length, struct spiffe_id *id);

/* "core.telco.example": whether these bytes can be a trust domain's name. */
enum cert_error spiffe_domain_check(const char *name, size_t length);

static inline const char *
spiffe_id_domain(const struct spiffe_id *id)
{
	return id->text + SPIFFE_PREFIX;
}

/* The path with its leading slash; *length is 0 for a trust domain's own ID. */
static inline const char *
spiffe_id_path(const struct spiffe_id *id, size_t *length)
{
	*length = (size_t)id->length - SPIFFE_PREFIX - id->domain_length;
	return id->text + SPIFFE_PREFIX + id->domain_length;
}

static inline bool
spiffe_id_is_root(const struct spiffe_id *id)
{
	return id->length == SPIFFE_PREFIX + id->domain_length;
}

static inline bool
spiffe_id_equal(const struct spiffe_id *a, const struct spiffe_id *b)
{
	return a->length == b->length && a->length != 0 && memcmp(a->text, b->text, a->length) == 0;
}

/* Whether the ID is of the trust domain with that name: whole, not by its beginning. */
static inline bool
spiffe_id_in_domain(const struct spiffe_id *id, const char *domain, size_t length)
{
	return id->length != 0 && id->domain_length == length && memcmp(spiffe_id_domain(id), domain, length) == 0;
}

#endif
