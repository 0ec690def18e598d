/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_credential.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { RSA_BITS_MIN = 2048, GROUP_NAME_MAX = 32 };

static X509 *
certificate_parse(OSSL_LIB_CTX *libctx, struct tls_bytes der)
{
	const uint8_t *at = der.bytes;
	X509 *certificate = X509_new_ex(libctx, NULL);

	if (certificate != NULL &&
	    (d2i_X509(&certificate, &at, (long)der.length) == NULL || at != der.bytes + der.length)) {
		X509_free(certificate);
		certificate = NULL;
	}
	return certificate;
}

static bool
key_is_of_a_kind(const EVP_PKEY *key)
{
	char group[GROUP_NAME_MAX];

	if (EVP_PKEY_is_a(key, "ED25519"))
		return true;
	if (EVP_PKEY_is_a(key, "RSA"))
		return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	       (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

static const char *
pair_fill(struct tls_key_pair *pair, OSSL_LIB_CTX *libctx, const struct tls_credential *credential)
{
	const uint8_t *at = credential->key.bytes;

	pair->leaf = certificate_parse(libctx, credential->chain[0]);
	pair->others = sk_X509_new_null();
	if (pair->leaf == NULL)
		return "the certificate isn't DER of an X.509 certificate";
	for (unsigned i = 1; i < credential->n_chain; i++) {
		X509 *other = certificate_parse(libctx, credential->chain[i]);
		if (other == NULL || sk_X509_push(pair->others, other) == 0) {
			X509_free(other);
			return "a certificate behind the first one isn't DER of an X.509 certificate";
		}
	}
	pair->key = d2i_AutoPrivateKey_ex(NULL, &at, (long)credential->key.length, libctx, NULL);
	if (pair->key == NULL)
		return "the private key can't be read";
	if (!key_is_of_a_kind(pair->key))
		return "the key is neither EC P-256 or P-384, Ed25519, nor RSA of 2048 bits or more";
	if (X509_check_private_key(pair->leaf, pair->key) != 1)
		return "the private key isn't the certificate's";
	return NULL;
}

bool
tls_key_pair_open(struct tls_key_pair *pair, OSSL_LIB_CTX *libctx, const struct tls_credential *credential, char *error,
		  size_t room)
{
	*pair = (struct tls_key_pair){0};
	const char *wrong = pair_fill(pair, libctx, credential);
	if (wrong == NULL)
		return true;
	snprintf(error, room, "%s", wrong);
	tls_key_pair_close(pair);
	return false;
}

void
tls_key_pair_close(struct tls_key_pair *pair)
{
	X509_free(pair->leaf);
	sk_X509_pop_free(pair->others, X509_free);
	EVP_PKEY_free(pair->key);
	*pair = (struct tls_key_pair){0};
}

static enum tls_match
name_match(const ASN1_STRING *pattern, const char *name)
{
	const char *bytes = (const char *)ASN1_STRING_get0_data(pattern);
	size_t length = (size_t)ASN1_STRING_length(pattern), name_length = strlen(name);

	if (length == name_length && strncasecmp(bytes, name, length) == 0)
		return TLS_MATCH_EXACT;
	const char *dot = strchr(name, '.');
	if (dot == NULL || dot == name || length < 3 || bytes[0] != '*' || bytes[1] != '.')
		return TLS_MATCH_NONE;
	return length - 1 == strlen(dot) && strncasecmp(bytes + 1, dot, length - 1) == 0 ? TLS_MATCH_WILDCARD
											 : TLS_MATCH_NONE;
}

enum tls_match
tls_key_pair_match(const struct tls_key_pair *pair, const char *server_name)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(pair->leaf, NID_subject_alt_name, NULL, NULL);
	enum tls_match best = TLS_MATCH_NONE;

	for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS)
			continue;
		enum tls_match match = name_match(name->d.dNSName, server_name);
		best = match > best ? match : best;
	}
	GENERAL_NAMES_free(names);
	return best;
}
