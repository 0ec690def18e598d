/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/crl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "certs/der.h"

static struct crl_list *
list_new(uint32_t n, size_t bytes)
{
	struct crl_list *list = calloc(1, sizeof(*list) + n * sizeof(list->crls[0]) + bytes);

	if (list != NULL)
		atomic_init(&list->refs, 1);
	return list;
}

/* Lays one list's DER behind those that are there; room was made for n lists. */
static uint8_t *
list_put(struct crl_list *list, uint8_t *at, const uint8_t *der, size_t length)
{
	memcpy(at, der, length);
	list->crls[list->n].der = at;
	list->crls[list->n++].length = (uint32_t)length;
	return at + length;
}

/* Whether a list is whole and direct, and says nothing critical that isn't understood. */
static bool
is_plain(X509_CRL *crl)
{
	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0 ||
	    X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0)
		return false;
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
		if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
			return false;
	return true;
}

/* Entries may have critical extensions too: a certificate issuer makes the list indirect. */
static bool
entries_are_plain(X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);

	for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
		const X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);
		for (int e = 0; e < X509_REVOKED_get_ext_count(entry); e++)
			if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, e)))
				return false;
	}
	return true;
}

static enum cert_error
check_list(const uint8_t *der, size_t length)
{
	enum cert_error error = der_check(der, length);
	if (error != CERT_NONE)
		return error;
	const uint8_t *at = der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)length);
	if (crl == NULL || X509_CRL_get0_lastUpdate(crl) == NULL || !is_plain(crl) || !entries_are_plain(crl))
		error = CERT_CRL_MALFORMED;
	X509_CRL_free(crl);
	ERR_clear_error();
	return error;
}

static enum cert_error
append(struct crl_list **crls, const uint8_t *der, size_t length)
{
	enum cert_error error = check_list(der, length);
	if (error != CERT_NONE)
		return error;
	struct crl_list *one = list_new(1, length), *both = NULL;
	if (one == NULL)
		return CERT_MEMORY;
	list_put(one, (uint8_t *)&one->crls[1], der, length);
	if (*crls == NULL) {
		*crls = one;
		return CERT_NONE;
	}
	error = crl_join(*crls, one, &both);
	crl_drop(one);
	if (error == CERT_NONE) {
		crl_drop(*crls);
		*crls = both;
	}
	return error;
}

static enum cert_error
parse_pem(const char *text, size_t length, struct crl_list **crls)
{
	BIO *bio = BIO_new_mem_buf(text, (int)length);
	char *name, *header;
	unsigned char *der;
	long der_length;
	enum cert_error error = CERT_NONE;

	if (bio == NULL)
		return CERT_MEMORY;
	while (error == CERT_NONE && PEM_read_bio(bio, &name, &header, &der, &der_length) == 1) {
		if (strcmp(name, PEM_STRING_X509_CRL) == 0)
			error = append(crls, der, (size_t)der_length);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	if (error == CERT_NONE && (*crls == NULL || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
		error = CERT_PEM_MALFORMED;
	ERR_clear_error();
	BIO_free(bio);
	return error;
}

enum cert_error
crl_parse(const char *bytes, size_t length, struct crl_list **crls)
{
	enum { DER_SEQUENCE = 0x30 };
	enum cert_error error;

	*crls = NULL;
	if (length > CRL_BYTES_MAX)
		return CERT_CRL_LARGE;
	/* "0", which a PEM file could begin with as well, but then no DER length follows that fits. */
	if (length > 0 && bytes[0] == DER_SEQUENCE && der_check((const uint8_t *)bytes, length) == CERT_NONE)
		error = append(crls, (const uint8_t *)bytes, length);
	else
		error = parse_pem(bytes, length, crls);
	if (error != CERT_NONE) {
		crl_drop(*crls);
		*crls = NULL;
	}
	return error;
}

enum cert_error
crl_join(const struct crl_list *a, const struct crl_list *b, struct crl_list **crls)
{
	size_t bytes = 0;

	*crls = NULL;
	for (uint32_t i = 0; i < a->n; i++)
		bytes += a->crls[i].length;
	for (uint32_t i = 0; i < b->n; i++)
		bytes += b->crls[i].length;
	if (a->n + b->n > CRL_LISTS_MAX || bytes > CRL_BYTES_MAX)
		return CERT_CRL_LARGE;
	struct crl_list *list = list_new(a->n + b->n, bytes);
	if (list == NULL)
		return CERT_MEMORY;
	uint8_t *at = (uint8_t *)&list->crls[a->n + b->n];
	for (uint32_t i = 0; i < a->n; i++)
		at = list_put(list, at, a->crls[i].der, a->crls[i].length);
	for (uint32_t i = 0; i < b->n; i++)
		at = list_put(list, at, b->crls[i].der, b->crls[i].length);
	*crls = list;
	return CERT_NONE;
}

struct crl_list *
crl_take(const struct crl_list *crls)
{
	struct crl_list *counted = (struct crl_list *)crls;

	atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);
	return counted;
}

void
crl_drop(const struct crl_list *crls)
{
	struct crl_list *counted = (struct crl_list *)crls;

	if (counted != NULL && atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) == 1)
		free(counted);
}
