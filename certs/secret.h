/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that must not leak: private keys.
 *
 * They live in pages of their own, between what the heap gives out: locked into memory where the limit of the process
 * allows it (RLIMIT_MEMLOCK), left out of core dumps and of forked children, and wiped before they are given back. Each
 * secret costs whole pages, so this is for keys and nothing larger.
 *
 * OpenSSL's own copies (an EVP_PKEY made from these bytes) are outside of this; it wipes them when it frees them.
 */
#ifndef POSTERN_CERTS_SECRET_H
#define POSTERN_CERTS_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeroes: none. */
struct secret {
	uint8_t *bytes; /* whole pages */
	size_t length;  /* of the secret, below size */
	size_t size;
	bool locked; /* never swapped out */
};

/* Room for size bytes, all zero. False when there is no memory. */
bool secret_new(struct secret *secret, size_t size);
/* Wipes it and gives it back. */
void secret_free(struct secret *secret);

#endif
