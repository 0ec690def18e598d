/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/bundle_write.h"

#include <inttypes.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "certs/pem_read.h"
#include "platform/text.h"

enum {
	OCTETS_MAX = 1024, /* an RSA modulus of 8192 bits */
	PADDING = 64       /* where "=" is in an alphabet */
};

/* RFC 4648 section 4, or for JWK's parameters section 5 without padding. */
static void
add_base64(const uint8_t *bytes, size_t length, bool for_url, struct text *out)
{
	const char *alphabet = for_url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
				       : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	for (size_t i = 0; i < length; i += 3) {
		size_t here = length - i < 3 ? length - i : 3;
		uint32_t group = (uint32_t)bytes[i] << 16;
		group |= here > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
		group |= here > 2 ? bytes[i + 2] : 0;
		char four[4];
		for (unsigned k = 0; k < 4; k++)
			four[k] = alphabet[k <= here ? group >> (18 - 6 * k) & 63 : PADDING];
		text_add(out, four, for_url ? here + 1 : 4);
	}
}

/* Adds ,"name":"value", an unsigned number in octets octets; 0: as few as it needs (RFC 7518 section 2). */
static bool
add_number(const EVP_PKEY *key, const char *parameter, const char *name, size_t octets, struct text *out)
{
	uint8_t bytes[OCTETS_MAX];
	BIGNUM *number = NULL;

	if (!EVP_PKEY_get_bn_param(key, parameter, &number))
		return false;
	if (octets == 0)
		octets = (size_t)BN_num_bytes(number);
	bool done = octets <= sizeof(bytes) && BN_bn2binpad(number, bytes, (int)octets) >= 0;
	BN_free(number);
	if (!done)
		return false;
	text_print(out, ",\"%s\":\"", name);
	add_base64(bytes, octets, true, out);
	text_print(out, "\"");
	return true;
}

/* The public key: "kty" and its parameters. */
static bool
add_key(const EVP_PKEY *key, struct text *out)
{
	enum credential_key kind;
	uint8_t raw[32];
	size_t length = sizeof(raw);
	unsigned bits;

	if (key == NULL || key_kind(key, &kind, &bits) != CREDENTIAL_NONE)
		return false;
	switch (kind) {
	case CREDENTIAL_EC_P256:
		text_print(out, "\"kty\":\"EC\",\"crv\":\"P-256\"");
		return add_number(key, OSSL_PKEY_PARAM_EC_PUB_X, "x", 32, out) &&
		       add_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", 32, out);
	case CREDENTIAL_EC_P384:
		text_print(out, "\"kty\":\"EC\",\"crv\":\"P-384\"");
		return add_number(key, OSSL_PKEY_PARAM_EC_PUB_X, "x", 48, out) &&
		       add_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", 48, out);
	case CREDENTIAL_ED25519:
		if (!EVP_PKEY_get_raw_public_key(key, raw, &length))
			return false;
		text_print(out, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
		add_base64(raw, length, true, out);
		text_print(out, "\"");
		return true;
	case CREDENTIAL_RSA:
		text_print(out, "\"kty\":\"RSA\"");
		return add_number(key, OSSL_PKEY_PARAM_RSA_N, "n", 0, out) &&
		       add_number(key, OSSL_PKEY_PARAM_RSA_E, "e", 0, out);
	}
	return false;
}

static bool
add_authority(X509 *authority, struct text *out)
{
	unsigned char *der = NULL;
	int length = i2d_X509(authority, &der);

	if (length <= 0)
		return false;
	text_print(out, "    {\"use\":\"x509-svid\",");
	bool done = add_key(X509_get0_pubkey(authority), out);
	text_print(out, ",\"x5c\":[\"");
	add_base64(der, (size_t)length, false, out);
	text_print(out, "\"]}");
	OPENSSL_free(der);
	return done;
}

bool
bundle_write_jwks(X509 *const *authorities, unsigned n, uint64_t sequence, uint32_t refresh_s, struct text *out)
{
	bool done = true;

	ERR_set_mark();
	text_print(out, "{\n  \"keys\": [\n");
	for (unsigned i = 0; done && i < n; i++) {
		done = add_authority(authorities[i], out);
		text_print(out, i + 1 < n ? ",\n" : "\n");
	}
	text_print(out, "  ],\n  \"spiffe_sequence\": %" PRIu64 ",\n  \"spiffe_refresh_hint\": %" PRIu32 "\n}\n",
		   sequence, refresh_s);
	ERR_pop_to_mark();
	return done;
}

bool
bundle_write_pem(X509 *const *authorities, unsigned n, struct text *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool done = bio != NULL;
	char *pem;

	for (unsigned i = 0; done && i < n; i++)
		done = PEM_write_bio_X509(bio, authorities[i]) == 1;
	if (done) {
		long length = BIO_get_mem_data(bio, &pem);
		text_add(out, pem, (size_t)length);
	}
	BIO_free(bio);
	return done;
}
