/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/bundle.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "certs/bundle_build.h"
#include "certs/cert_names.h"
#include "certs/der.h"
#include "certs/spiffe_id.h"

/* What an authority in the making holds: DER and its SPIFFE ID in blocks of their own until they are laid out. */
struct draft_authority {
	uint8_t *der, spki_sha256[SHA256_DIGEST_LENGTH];
	size_t length;
	char *spiffe_id;
	size_t spiffe_id_length;
};

struct bundle_draft {
	struct draft_authority authorities[BUNDLE_AUTHORITIES_MAX];
	uint32_t n, n_not_ca;
};

struct bundle_draft *
bundle_draft_new(void)
{
	return calloc(1, sizeof(struct bundle_draft));
}

void
bundle_draft_free(struct bundle_draft *draft)
{
	if (draft == NULL)
		return;
	for (uint32_t i = 0; i < draft->n; i++) {
		free(draft->authorities[i].der);
		free(draft->authorities[i].spiffe_id);
	}
	free(draft);
}

/* A CA by its extensions: basicConstraints with cA, and keyCertSign where there is a key usage. */
static bool
is_ca(X509 *cert)
{
	uint32_t flags = X509_get_extension_flags(cert);

	return (flags & EXFLAG_CA) != 0 && (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) != 0;
}

static enum cert_error
take_spiffe_id(const X509 *cert, struct draft_authority *authority)
{
	struct cert_names names;
	struct spiffe_id id;
	enum cert_error error = cert_names_read(cert, &names);

	if (error == CERT_NONE && names.n_uris == 1 &&
	    spiffe_id_parse(names.uri.bytes, names.uri.length, &id) == CERT_NONE) {
		authority->spiffe_id = strndup(id.text, id.length);
		authority->spiffe_id_length = id.length;
		if (authority->spiffe_id == NULL)
			error = CERT_MEMORY;
	}
	cert_names_free(&names);
	return error;
}

static enum cert_error
take_authority(X509 *cert, const uint8_t *der, size_t length, struct draft_authority *authority)
{
	unsigned char *spki = NULL;
	int spki_length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);

	*authority = (struct draft_authority){.der = malloc(length), .length = length};
	if (spki_length <= 0 || authority->der == NULL) {
		OPENSSL_free(spki);
		free(authority->der);
		return CERT_MEMORY;
	}
	memcpy(authority->der, der, length);
	SHA256(spki, (size_t)spki_length, authority->spki_sha256);
	OPENSSL_free(spki);
	enum cert_error error = take_spiffe_id(cert, authority);
	if (error != CERT_NONE)
		free(authority->der);
	return error;
}

static bool
is_there(const struct bundle_draft *draft, const uint8_t *der, size_t length)
{
	for (uint32_t i = 0; i < draft->n; i++)
		if (draft->authorities[i].length == length && memcmp(draft->authorities[i].der, der, length) == 0)
			return true;
	return false;
}

enum cert_error
bundle_draft_add(struct bundle_draft *draft, const uint8_t *der, size_t length)
{
	if (length > BUNDLE_CERT_MAX)
		return CERT_CERT_LARGE;
	enum cert_error error = der_check(der, length);
	if (error != CERT_NONE || is_there(draft, der, length))
		return error;
	const uint8_t *at = der;
	X509 *cert = d2i_X509(NULL, &at, (long)length);
	ERR_clear_error();
	if (cert == NULL)
		return CERT_CERT_MALFORMED;
	/* A purpose of -1 only has the extensions read. */
	if (X509_check_purpose(cert, -1, 0) != 1 || (X509_get_extension_flags(cert) & EXFLAG_INVALID) != 0) {
		error = CERT_CERT_EXTENSIONS;
	} else if (!is_ca(cert)) {
		draft->n_not_ca++;
	} else if (draft->n == BUNDLE_AUTHORITIES_MAX) {
		error = CERT_BUNDLE_MANY_AUTHORITIES;
	} else {
		struct draft_authority authority;
		error = take_authority(cert, der, length, &authority);
		if (error == CERT_NONE)
			draft->authorities[draft->n++] = authority;
	}
	X509_free(cert);
	ERR_clear_error();
	return error;
}

struct bundle *
bundle_draft_build(const struct bundle_draft *draft)
{
	size_t size = sizeof(struct bundle) + draft->n * sizeof(struct bundle_authority);

	for (uint32_t i = 0; i < draft->n; i++)
		size += draft->authorities[i].length + draft->authorities[i].spiffe_id_length + 1;
	struct bundle *bundle = calloc(1, size);
	if (bundle == NULL)
		return NULL;
	atomic_init(&bundle->refs, 1);
	bundle->n_authorities = draft->n;
	bundle->n_not_ca = draft->n_not_ca;
	bundle->refresh_s = BUNDLE_REFRESH_DEFAULT;
	uint8_t *at = (uint8_t *)&bundle->authorities[draft->n];
	for (uint32_t i = 0; i < draft->n; i++) {
		const struct draft_authority *from = &draft->authorities[i];
		struct bundle_authority *to = &bundle->authorities[i];
		memcpy(at, from->der, from->length);
		to->der = at;
		to->length = (uint32_t)from->length;
		at += from->length;
		memcpy(to->spki_sha256, from->spki_sha256, sizeof(to->spki_sha256));
		if (from->spiffe_id != NULL) {
			memcpy(at, from->spiffe_id, from->spiffe_id_length);
			to->spiffe_id = (const char *)at;
			to->spiffe_id_length = (uint32_t)from->spiffe_id_length;
		}
		at += from->spiffe_id_length + 1;
	}
	return bundle;
}

enum cert_error
bundle_parse_der(const uint8_t *der, size_t length, struct bundle **bundle)
{
	enum cert_error error = CERT_NONE;

	*bundle = NULL;
	if (length > BUNDLE_BYTES_MAX)
		return CERT_BUNDLE_LARGE;
	struct bundle_draft *draft = bundle_draft_new();
	if (draft == NULL)
		return CERT_MEMORY;
	for (size_t at = 0; at < length && error == CERT_NONE;) {
		size_t header, whole = der_element(der + at, length - at, &header);
		error = whole == 0 ? CERT_DER_LENGTH : bundle_draft_add(draft, der + at, whole);
		at += whole;
	}
	if (error == CERT_NONE && (*bundle = bundle_draft_build(draft)) == NULL)
		error = CERT_MEMORY;
	bundle_draft_free(draft);
	return error;
}

/* The blocks that hold certificates; "TRUSTED CERTIFICATE" has OpenSSL's own trailer behind the certificate. */
static enum cert_error
add_pem_block(struct bundle_draft *draft, const char *name, const uint8_t *der, size_t length)
{
	size_t header;

	if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0 &&
	    strcmp(name, PEM_STRING_X509_TRUSTED) != 0)
		return CERT_NONE;
	if (strcmp(name, PEM_STRING_X509_TRUSTED) == 0)
		length = der_element(der, length, &header);
	return bundle_draft_add(draft, der, length);
}

/* PEM_read_bio passes over what isn't PEM; what ends it is either the end or a block that is broken. */
static enum cert_error
read_pem(const char *text, size_t length, struct bundle_draft *draft)
{
	BIO *bio = BIO_new_mem_buf(text, (int)length);
	char *name, *header;
	unsigned char *der;
	long der_length;
	enum cert_error error = CERT_NONE;

	if (bio == NULL)
		return CERT_MEMORY;
	while (error == CERT_NONE && PEM_read_bio(bio, &name, &header, &der, &der_length) == 1) {
		error = add_pem_block(draft, name, der, (size_t)der_length);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	if (error == CERT_NONE && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		error = CERT_PEM_MALFORMED;
	ERR_clear_error();
	BIO_free(bio);
	return error;
}

enum cert_error
bundle_parse_pem(const char *text, size_t length, struct bundle **bundle)
{
	*bundle = NULL;
	if (length > BUNDLE_BYTES_MAX)
		return CERT_BUNDLE_LARGE;
	struct bundle_draft *draft = bundle_draft_new();
	if (draft == NULL)
		return CERT_MEMORY;
	enum cert_error error = read_pem(text, length, draft);
	if (error == CERT_NONE && draft->n_not_ca != 0)
		error = CERT_BUNDLE_NOT_CA;
	if (error == CERT_NONE && draft->n == 0)
		error = CERT_PEM_MALFORMED;
	if (error == CERT_NONE && (*bundle = bundle_draft_build(draft)) == NULL)
		error = CERT_MEMORY;
	bundle_draft_free(draft);
	return error;
}

enum cert_error
bundle_may_follow(const struct bundle *current, const struct bundle *next)
{
	if (current == NULL || !current->has_sequence)
		return CERT_NONE;
	return next->has_sequence && next->sequence >= current->sequence ? CERT_NONE : CERT_BUNDLE_ROLLBACK;
}

struct bundle *
bundle_take(const struct bundle *bundle)
{
	struct bundle *counted = (struct bundle *)bundle;

	atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);
	return counted;
}

void
bundle_drop(const struct bundle *bundle)
{
	struct bundle *counted = (struct bundle *)bundle;

	if (counted != NULL && atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) == 1)
		free(counted);
}
