/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_rules.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

static enum cert_error
check_curve(const EVP_PKEY *key)
{
	static const char *const GOOD[] = {SN_X9_62_prime256v1, SN_secp384r1, SN_secp521r1, "P-256", "P-384", "P-521"};
	char group[64];
	int is_explicit = 0;

	/* A curve that is spelled out may be one with a generator of the sender's own (CVE-2020-0601). */
	if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit) == 1 &&
	    is_explicit != 0)
		return CERT_KEY_TYPE;
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return CERT_KEY_TYPE;
	for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
		if (strcmp(group, GOOD[i]) == 0)
			return CERT_NONE;
	return EVP_PKEY_get_security_bits(key) < CERT_SIGNATURE_BITS_MIN ? CERT_KEY_WEAK : CERT_KEY_TYPE;
}

enum cert_error
cert_rules_key(const X509 *cert)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);

	if (key == NULL)
		return CERT_KEY_TYPE;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		if (EVP_PKEY_get_bits(key) < CERT_RSA_BITS_MIN)
			return CERT_KEY_WEAK;
		return EVP_PKEY_get_bits(key) > CERT_RSA_BITS_MAX ? CERT_KEY_LARGE : CERT_NONE;
	case EVP_PKEY_EC:
		return check_curve(key);
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return CERT_NONE;
	default:
		return CERT_KEY_TYPE;
	}
}

enum cert_error
cert_rules_signature(X509 *cert)
{
	int bits = 0;

	if (X509_get_signature_info(cert, NULL, NULL, &bits, NULL) != 1 || bits < CERT_SIGNATURE_BITS_MIN)
		return CERT_SIGNATURE_WEAK;
	return CERT_NONE;
}

enum cert_error
cert_rules_leaf(X509 *cert, enum peer_role role)
{
	/* A purpose of -1 only has the extensions read. */
	if (X509_check_purpose(cert, -1, 0) != 1 || (X509_get_extension_flags(cert) & EXFLAG_INVALID) != 0)
		return CERT_CERT_EXTENSIONS;
	if ((X509_get_extension_flags(cert) & EXFLAG_CA) != 0)
		return CERT_LEAF_CA;
	if ((X509_get_extension_flags(cert) & EXFLAG_KUSAGE) != 0) {
		uint32_t usage = X509_get_key_usage(cert);
		if ((usage & KU_KEY_CERT_SIGN) != 0)
			return CERT_LEAF_KEY_CERT_SIGN;
		if ((usage & KU_CRL_SIGN) != 0)
			return CERT_LEAF_CRL_SIGN;
		if ((usage & KU_DIGITAL_SIGNATURE) == 0)
			return CERT_LEAF_KEY_USAGE;
	}
	if ((X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) != 0) {
		uint32_t usage = X509_get_extended_key_usage(cert);
		if (role == PEER_CLIENT && (usage & XKU_SSL_CLIENT) == 0)
			return CERT_LEAF_EKU_CLIENT;
		if (role == PEER_SERVER && (usage & XKU_SSL_SERVER) == 0)
			return CERT_LEAF_EKU_SERVER;
	}
	return CERT_NONE;
}
