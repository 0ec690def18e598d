/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/pem_read.h"

#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

static bool
is_certificate(const char *name)
{
	return strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0;
}

/* All of der must be one certificate. */
static X509 *
parse_certificate(OSSL_LIB_CTX *libctx, const unsigned char *der, long length)
{
	const unsigned char *end = der;
	X509 *certificate = X509_new_ex(libctx, NULL);

	/* On an error d2i frees what it was given and sets it to NULL. */
	if (certificate != NULL && d2i_X509(&certificate, &end, length) != NULL && end == der + length)
		return certificate;
	X509_free(certificate);
	return NULL;
}

STACK_OF(X509) *
pem_read_certificates(OSSL_LIB_CTX *libctx, const char *pem, size_t length, unsigned max,
		      enum credential_error malformed, enum credential_error many, enum credential_error *error)
{
	STACK_OF(X509) *certificates = sk_X509_new_null();
	BIO *bio = length > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)length);
	char *name, *header;
	unsigned char *der;
	long der_length;

	*error = CREDENTIAL_NONE;
	ERR_set_mark();
	if (certificates == NULL || bio == NULL)
		*error = CREDENTIAL_MEMORY;
	while (*error == CREDENTIAL_NONE && PEM_read_bio(bio, &name, &header, &der, &der_length)) {
		X509 *certificate = NULL;
		if (is_certificate(name)) {
			certificate = parse_certificate(libctx, der, der_length);
			if (certificate == NULL)
				*error = malformed;
			else if (sk_X509_num(certificates) >= (int)max)
				*error = many;
			else if (sk_X509_push(certificates, certificate) > 0)
				certificate = NULL; /* the stack's now */
			else
				*error = CREDENTIAL_MEMORY;
		}
		X509_free(certificate);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)der_length); /* it may be a key that stood between certificates */
	}
	/* The loop ends by "no start line", or in the middle of a block that is broken. */
	if (*error == CREDENTIAL_NONE && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		*error = malformed;
	ERR_pop_to_mark();
	BIO_free(bio);
	if (*error == CREDENTIAL_NONE)
		return certificates;
	sk_X509_pop_free(certificates, X509_free);
	return NULL;
}

/* Instead of a prompt on the terminal. */
static int
refuse_password(char *password, int size, int writing, void *asked)
{
	(void)password, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

EVP_PKEY *
pem_read_key(OSSL_LIB_CTX *libctx, const char *pem, size_t length, enum credential_error *error)
{
	BIO *bio = length > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)length);
	EVP_PKEY *key = NULL;
	bool asked = false;

	ERR_set_mark();
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey_ex(bio, NULL, refuse_password, &asked, libctx, NULL);
	ERR_pop_to_mark();
	BIO_free(bio);
	*error = key != NULL ? CREDENTIAL_NONE : asked ? CREDENTIAL_KEY_ENCRYPTED : CREDENTIAL_KEY_MALFORMED;
	return key;
}

enum credential_error
key_kind(const EVP_PKEY *key, enum credential_key *kind, unsigned *bits)
{
	char group[32] = "";

	*bits = (unsigned)EVP_PKEY_get_bits(key);
	if (EVP_PKEY_is_a(key, "RSA")) {
		*kind = CREDENTIAL_RSA;
		return *bits < 2048 || *bits > 8192 ? CREDENTIAL_KEY_SIZE : CREDENTIAL_NONE;
	}
	if (EVP_PKEY_is_a(key, "ED25519")) {
		*kind = CREDENTIAL_ED25519;
		return CREDENTIAL_NONE;
	}
	if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		return CREDENTIAL_KEY_TYPE;
	if (strcmp(group, SN_X9_62_prime256v1) == 0 || strcmp(group, "P-256") == 0)
		*kind = CREDENTIAL_EC_P256;
	else if (strcmp(group, SN_secp384r1) == 0 || strcmp(group, "P-384") == 0)
		*kind = CREDENTIAL_EC_P384;
	else
		return CREDENTIAL_KEY_TYPE;
	return CREDENTIAL_NONE;
}

EVP_PKEY *
key_generate(OSSL_LIB_CTX *libctx, enum credential_key kind, unsigned bits)
{
	EVP_PKEY *key = NULL;

	ERR_set_mark();
	switch (kind) {
	case CREDENTIAL_EC_P256:
		key = EVP_PKEY_Q_keygen(libctx, NULL, "EC", "P-256");
		break;
	case CREDENTIAL_EC_P384:
		key = EVP_PKEY_Q_keygen(libctx, NULL, "EC", "P-384");
		break;
	case CREDENTIAL_ED25519:
		key = EVP_PKEY_Q_keygen(libctx, NULL, "ED25519");
		break;
	case CREDENTIAL_RSA:
		key = EVP_PKEY_Q_keygen(libctx, NULL, "RSA", (size_t)bits);
		break;
	}
	ERR_pop_to_mark();
	return key;
}
