/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CAs of one trust domain on disk. DIR is the domain's folder, N counts from 1:
 *
 *	DIR/ca-N.crt   the certificate, PEM
 *	DIR/ca-N.key   its key, PKCS#8 PEM, mode 0600, owned by root or the process's user; or
 *	DIR/ca-N.uri   two lines: an OpenSSL provider's name, and the URI by which its OSSL_STORE opens the key
 *
 * Nothing here is ever overwritten. The key comes first and the certificate appears by a rename, so who reads the
 * folder sees whole CAs only. All certificates in the folder are published in the bundle; which one signs follows from
 * their age (ca_folder_signer). A certificate without a key is published and never signs. To retire a CA, remove its
 * files.
 */
#ifndef POSTERN_CERTS_CA_FOLDER_H
#define POSTERN_CERTS_CA_FOLDER_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "certs/ca.h"

struct text;

enum {
	CA_FOLDER_MAX = 32,     /* CAs in one folder */
	CA_NUMBER_MAX = 999999, /* N */
	CA_SIGN_MIN_S = 60      /* what must be left of a CA's life for it to sign */
};

struct ca_folder {
	struct ca cas[CA_FOLDER_MAX]; /* in the order of N */
	unsigned n;
	int64_t changed_ns; /* CLOCK_REALTIME: when a file was last added or removed */
};

/* A CA that is to be made. */
struct ca_spec {
	const char *trust_domain;
	enum credential_key key; /* of a key that is made here */
	unsigned rsa_bits;       /* 2048..8192, for CREDENTIAL_RSA */
	unsigned days;           /* 1..CA_DAYS_MAX */
	bool name_constraint;
	const char *provider, *key_uri; /* a key that a provider holds already; NULL: it is made here */
};

/* Makes the next CA in directory, which is made too when it is missing (0700, its parent too). now: Unix seconds. On
 * success *number is its N; on an error what was begun is removed, and message says what is wrong. */
bool ca_folder_add(OSSL_LIB_CTX *libctx, const char *directory, const struct ca_spec *spec, int64_t now,
		   unsigned *number, struct text *message);

/* Reads all CAs of a folder; none is no error. One that can't be read refuses the whole folder: the caller keeps what
 * it had, and message says what is wrong with which. with_keys: false to look only; then no key is opened. */
bool ca_folder_load(OSSL_LIB_CTX *libctx, const char *directory, const char *trust_domain, bool with_keys,
		    struct ca_folder *folder, struct text *message);
void ca_folder_free(struct ca_folder *folder);

/* When a file was last added or removed, as in changed_ns; 0 when the folder can't be looked at. */
int64_t ca_folder_changed_ns(const char *directory);

/* The one that signs: the newest that was made at least lead_s ago, so that those who read the bundle know it by now;
 * when all are younger than that, the oldest. Those without a key, not valid yet, or with less than CA_SIGN_MIN_S left
 * are passed over. NULL: none. lead_s and now in seconds. */
const struct ca *ca_folder_signer(const struct ca_folder *folder, int64_t now, int64_t lead_s);

#endif
