/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate revocation lists (RFC 5280 section 5) of a legacy PKI's CAs.
 *
 * A list of lists, read from files in PEM (several) or DER (one). Only whole, direct lists are understood: a delta CRL,
 * an indirect one, one for some reasons only, or one with another critical extension is refused when it is loaded, so
 * that it isn't taken for the whole truth later.
 * The lists are checked (issuer, signature, dates) when a chain needs them, by the CA that the chain shows.
 */
#ifndef POSTERN_CERTS_CRL_H
#define POSTERN_CERTS_CRL_H

#include <openssl/types.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_error.h"

enum {
	CRL_BYTES_MAX = 16 << 20, /* of all lists of a PKI together */
	CRL_LISTS_MAX = 64
};

/* DER, immutable, one block, counted by references. */
struct crl_list {
	atomic_uint refs;
	uint32_t n;
	struct {
		const uint8_t *der;
		uint32_t length;
	} crls[];
};

/* At least one list is wanted. On an error *crls is NULL. */
enum cert_error crl_parse(const char *bytes, size_t length, struct crl_list **crls);
/* The lists of both: for a PKI with several files. */
enum cert_error crl_join(const struct crl_list *a, const struct crl_list *b, struct crl_list **crls);

struct crl_list *crl_take(const struct crl_list *crls);
void crl_drop(const struct crl_list *crls);

#endif
