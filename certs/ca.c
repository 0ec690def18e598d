/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/ca.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "certs/cert_time.h"
#include "certs/pem_read.h"
#include "certs/spiffe_id.h"

enum { DAY_S = 86400, SERIAL_BYTES = 16, VERSION_3 = 2 };

static bool
set_time(X509 *certificate, int64_t from, int64_t to)
{
	return ASN1_TIME_set(X509_getm_notBefore(certificate), from) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(certificate), to) != NULL;
}

static bool
set_serial(X509 *certificate, OSSL_LIB_CTX *libctx)
{
	uint8_t bytes[SERIAL_BYTES];
	BIGNUM *serial = NULL;
	bool done = RAND_bytes_ex(libctx, bytes, sizeof(bytes), 0) == 1 &&
		    (serial = BN_bin2bn(bytes, sizeof(bytes), NULL)) != NULL &&
		    BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL;

	BN_free(serial);
	return done;
}

static bool
add(X509 *certificate, int nid, void *value, bool critical)
{
	return value != NULL && X509_add1_ext_i2d(certificate, nid, value, critical, X509V3_ADD_DEFAULT) == 1;
}

static bool
add_basic_constraints(X509 *certificate, bool is_ca)
{
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	bool done = constraints != NULL;

	if (done && is_ca) {
		constraints->ca = 0xff;
		constraints->pathlen = ASN1_INTEGER_new();
		done = constraints->pathlen != NULL && ASN1_INTEGER_set(constraints->pathlen, 0);
	}
	done = done && add(certificate, NID_basic_constraints, constraints, true);
	BASIC_CONSTRAINTS_free(constraints);
	return done;
}

/* Bits of RFC 5280 section 4.2.1.3, by number; second < 0: none. */
static bool
add_key_usage(X509 *certificate, int first, int second)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	bool done = bits != NULL && ASN1_BIT_STRING_set_bit(bits, first, 1) &&
		    (second < 0 || ASN1_BIT_STRING_set_bit(bits, second, 1)) &&
		    add(certificate, NID_key_usage, bits, true);

	ASN1_BIT_STRING_free(bits);
	return done;
}

static bool
add_extended_key_usage(X509 *certificate)
{
	EXTENDED_KEY_USAGE *usages = EXTENDED_KEY_USAGE_new();
	bool done = usages != NULL && sk_ASN1_OBJECT_push(usages, OBJ_nid2obj(NID_server_auth)) > 0 &&
		    sk_ASN1_OBJECT_push(usages, OBJ_nid2obj(NID_client_auth)) > 0 &&
		    add(certificate, NID_ext_key_usage, usages, false);

	EXTENDED_KEY_USAGE_free(usages);
	return done;
}

static GENERAL_NAME *
uri_name(const char *uri)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	if (name != NULL && text != NULL && ASN1_STRING_set(text, uri, (int)strlen(uri))) {
		GENERAL_NAME_set0_value(name, GEN_URI, text);
		return name;
	}
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	return NULL;
}

static bool
add_uri(X509 *certificate, const char *uri, bool critical)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = uri_name(uri);
	bool done = names != NULL && name != NULL && sk_GENERAL_NAME_push(names, name) > 0;

	if (!done)
		GENERAL_NAME_free(name);
	done = done && add(certificate, NID_subject_alt_name, names, critical);
	GENERAL_NAMES_free(names);
	return done;
}

/* URIs of this host and no other. */
static bool
add_name_constraint(X509 *certificate, const char *host)
{
	NAME_CONSTRAINTS *constraints = NAME_CONSTRAINTS_new();
	GENERAL_SUBTREE *subtree = GENERAL_SUBTREE_new();
	GENERAL_NAME *base = uri_name(host);
	bool done = constraints != NULL && subtree != NULL && base != NULL;

	if (done) {
		GENERAL_NAME_free(subtree->base);
		subtree->base = base;
		base = NULL;
		constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
		done = constraints->permittedSubtrees != NULL &&
		       sk_GENERAL_SUBTREE_push(constraints->permittedSubtrees, subtree) > 0;
		if (done)
			subtree = NULL; /* the constraints' now */
	}
	done = done && add(certificate, NID_name_constraints, constraints, true);
	GENERAL_NAME_free(base);
	GENERAL_SUBTREE_free(subtree);
	NAME_CONSTRAINTS_free(constraints);
	return done;
}

/* RFC 7093 section 2, method 1: the first 160 bits of the SHA-256 over the subject's public key. */
static bool
add_subject_key_id(X509 *certificate, uint8_t *key_id)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = sizeof(digest);
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	bool done = id != NULL && X509_pubkey_digest(certificate, EVP_sha256(), digest, &length) && length >= CA_KEY_ID;

	if (done)
		memcpy(key_id, digest, CA_KEY_ID);
	done = done && ASN1_OCTET_STRING_set(id, key_id, CA_KEY_ID) &&
	       add(certificate, NID_subject_key_identifier, id, false);
	ASN1_OCTET_STRING_free(id);
	return done;
}

static bool
add_authority_key_id(X509 *certificate, const uint8_t *key_id)
{
	AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
	bool done = authority != NULL && (authority->keyid = ASN1_OCTET_STRING_new()) != NULL &&
		    ASN1_OCTET_STRING_set(authority->keyid, key_id, CA_KEY_ID) &&
		    add(certificate, NID_authority_key_identifier, authority, false);

	AUTHORITY_KEYID_free(authority);
	return done;
}

/* Ed25519 has its hash within. */
static const EVP_MD *
signature_hash(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "ED25519"))
		return NULL;
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

X509 *
ca_certificate_make(OSSL_LIB_CTX *libctx, EVP_PKEY *key, const char *trust_domain, unsigned days, bool name_constraint,
		    int64_t now)
{
	uint8_t key_id[CA_KEY_ID];
	char uri[SPIFFE_PREFIX + SPIFFE_DOMAIN_MAX + 1], name[sizeof("Postern CA 0123456789abcdef")];
	X509_NAME *subject = X509_NAME_new();

	ERR_set_mark();
	X509 *certificate = X509_new_ex(libctx, NULL);
	snprintf(uri, sizeof(uri), "spiffe://%s", trust_domain);
	bool done = certificate != NULL && subject != NULL && X509_set_version(certificate, VERSION_3) &&
		    X509_set_pubkey(certificate, key) && set_serial(certificate, libctx) &&
		    set_time(certificate, now - CA_BACKDATE_S, now + (int64_t)days * DAY_S) &&
		    add_basic_constraints(certificate, true) && add_key_usage(certificate, 5, 6) &&
		    add_subject_key_id(certificate, key_id) && add_uri(certificate, uri, false) &&
		    (!name_constraint || add_name_constraint(certificate, trust_domain));
	if (done) {
		int length = snprintf(name, sizeof(name), "Postern CA ");
		for (unsigned i = 0; i < 8; i++)
			length += snprintf(name + length, sizeof(name) - (size_t)length, "%02x", key_id[i]);
		done = X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, (unsigned char *)name, -1, -1,
						  0) &&
		       X509_set_subject_name(certificate, subject) && X509_set_issuer_name(certificate, subject) &&
		       X509_sign(certificate, key, signature_hash(key)) > 0;
	}
	ERR_pop_to_mark();
	X509_NAME_free(subject);
	if (done)
		return certificate;
	X509_free(certificate);
	return NULL;
}

/* Whether the only URI among its names is the trust domain's. */
static bool
names_domain(X509 *certificate, const char *trust_domain)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	struct spiffe_id id;
	unsigned uris = 0, matching = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
		uris++;
		if (spiffe_id_parse((const char *)ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri), &id) ==
			    CERT_NONE &&
		    spiffe_id_is_root(&id) && spiffe_id_in_domain(&id, trust_domain, strlen(trust_domain)))
			matching++;
	}
	GENERAL_NAMES_free(names);
	return uris == 1 && matching == 1;
}

static enum credential_error
check_certificate(X509 *certificate, EVP_PKEY *key, const char *trust_domain)
{
	const ASN1_OCTET_STRING *key_id = X509_get0_subject_key_id(certificate);
	enum credential_key kind;
	unsigned bits;

	if (X509_check_ca(certificate) != 1 || X509_check_issued(certificate, certificate) != X509_V_OK ||
	    X509_self_signed(certificate, 1) != 1 || !names_domain(certificate, trust_domain))
		return CREDENTIAL_CA_MALFORMED;
	if (key_id == NULL || ASN1_STRING_length(key_id) != CA_KEY_ID)
		return CREDENTIAL_CA_MALFORMED;
	enum credential_error error = key_kind(X509_get0_pubkey(certificate), &kind, &bits);
	if (error != CREDENTIAL_NONE)
		return error;
	/* The public halves: a provider's key need not show its own. */
	if (key != NULL && EVP_PKEY_eq(X509_get0_pubkey(certificate), key) != 1)
		return CREDENTIAL_KEY_MISMATCH;
	return CREDENTIAL_NONE;
}

enum credential_error
ca_begin(struct ca *ca, X509 *certificate, EVP_PKEY *key, const char *trust_domain)
{
	*ca = (struct ca){0};
	ERR_set_mark();
	enum credential_error error = check_certificate(certificate, key, trust_domain);
	if (error == CREDENTIAL_NONE && (!cert_time_read(X509_get0_notBefore(certificate), &ca->not_before) ||
					 !cert_time_read(X509_get0_notAfter(certificate), &ca->not_after)))
		error = CREDENTIAL_CA_MALFORMED;
	ERR_pop_to_mark();
	if (error != CREDENTIAL_NONE)
		return error;
	memcpy(ca->key_id, ASN1_STRING_get0_data(X509_get0_subject_key_id(certificate)), CA_KEY_ID);
	ca->certificate = certificate;
	ca->key = key;
	return CREDENTIAL_NONE;
}

void
ca_provider_close(struct ca_provider *provider)
{
	/* A context doesn't give back what was loaded into it by name. */
	if (provider->holder != NULL)
		OSSL_PROVIDER_unload(provider->holder);
	if (provider->basis != NULL)
		OSSL_PROVIDER_unload(provider->basis);
	OSSL_LIB_CTX_free(provider->libctx);
	*provider = (struct ca_provider){0};
}

void
ca_end(struct ca *ca)
{
	X509_free(ca->certificate);
	EVP_PKEY_free(ca->key);
	ca_provider_close(&ca->provider);
	*ca = (struct ca){0};
}

X509 *
ca_sign_svid(OSSL_LIB_CTX *libctx, const struct ca *ca, const char *spiffe_id, EVP_PKEY *key, int64_t not_before,
	     int64_t not_after)
{
	uint8_t key_id[CA_KEY_ID];

	ERR_set_mark();
	/* A certificate is signed in its own context: the provider's. */
	X509 *certificate = X509_new_ex(ca->provider.libctx != NULL ? ca->provider.libctx : libctx, NULL);
	bool done = certificate != NULL && X509_set_version(certificate, VERSION_3) &&
		    X509_set_pubkey(certificate, key) && set_serial(certificate, libctx) &&
		    set_time(certificate, not_before, not_after) &&
		    X509_set_issuer_name(certificate, X509_get_subject_name(ca->certificate)) &&
		    add_basic_constraints(certificate, false) && add_key_usage(certificate, 0, -1) &&
		    add_extended_key_usage(certificate) && add_subject_key_id(certificate, key_id) &&
		    add_authority_key_id(certificate, ca->key_id) && add_uri(certificate, spiffe_id, true) &&
		    X509_sign(certificate, ca->key, signature_hash(ca->key)) > 0;
	ERR_pop_to_mark();
	if (done)
		return certificate;
	X509_free(certificate);
	return NULL;
}
