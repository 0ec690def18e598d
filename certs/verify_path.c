/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/verify_path.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "certs/cert_time.h"
#include "certs/verify.h"

bool
verify_spki_digest(struct trust_view *view, const X509 *cert, uint8_t digest[32])
{
	unsigned char *spki = NULL;
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
	bool good = length > 0 && EVP_DigestInit_ex2(view->digest, view->sha256, NULL) == 1 &&
		    EVP_DigestUpdate(view->digest, spki, (size_t)length) == 1 &&
		    EVP_DigestFinal_ex(view->digest, digest, NULL) == 1;

	OPENSSL_free(spki);
	return good;
}

/* depth: 0 is the leaf. */
static enum cert_error
name_error(int error, int depth, enum peer_role role)
{
	switch (error) {
	case X509_V_OK:
		return CERT_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return depth == 0 ? CERT_EXPIRED : CERT_CA_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return depth == 0 ? CERT_NOT_YET_VALID : CERT_CA_NOT_YET_VALID;
	case X509_V_ERR_INVALID_CA:
		return CERT_CA_NOT_CA;
	case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
		return CERT_CA_KEY_USAGE;
	case X509_V_ERR_INVALID_PURPOSE:
		if (depth > 0)
			return CERT_CA_PURPOSE;
		return role == PEER_CLIENT ? CERT_LEAF_EKU_CLIENT : CERT_LEAF_EKU_SERVER;
	case X509_V_ERR_PATH_LENGTH_EXCEEDED:
		return CERT_PATH_LENGTH;
	case X509_V_ERR_PERMITTED_VIOLATION:
	case X509_V_ERR_EXCLUDED_VIOLATION:
	case X509_V_ERR_SUBTREE_MINMAX:
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE:
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX:
	case X509_V_ERR_UNSUPPORTED_NAME_SYNTAX:
		return CERT_NAME_CONSTRAINTS;
	case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
		return CERT_CRITICAL_EXTENSION;
	case X509_V_ERR_INVALID_EXTENSION:
		return CERT_CERT_EXTENSIONS;
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		return CERT_CHAIN_LONG;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
		return CERT_CHAIN_UNTRUSTED;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
		return CERT_CHAIN_SIGNATURE;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		return CERT_KEY_WEAK;
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return CERT_SIGNATURE_WEAK;
	case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
	case X509_V_ERR_EC_KEY_EXPLICIT_PARAMS:
		return CERT_KEY_TYPE;
	case X509_V_ERR_OUT_OF_MEM:
		return CERT_MEMORY;
	default:
		return CERT_CHAIN_INVALID;
	}
}

static enum cert_error
try_path(struct trust_view *view, STACK_OF(X509) *anchors, STACK_OF(X509) *certs, enum peer_role role, int64_t now,
	 STACK_OF(X509) **path)
{
	enum { SECURITY_LEVEL = 2 /* 112 bits */ };
	X509_STORE_CTX *ctx = view->store_ctx;
	enum cert_error error = CERT_NONE;

	*path = NULL;
	if (X509_STORE_CTX_init(ctx, NULL, sk_X509_value(certs, 0), certs) != 1)
		return CERT_MEMORY;
	X509_STORE_CTX_set0_trusted_stack(ctx, anchors);
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	X509_VERIFY_PARAM_set_time(param, now);
	X509_VERIFY_PARAM_set_depth(param, VERIFY_CHAIN_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set_purpose(param,
					  role == PEER_CLIENT ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER) != 1)
		error = CERT_CHAIN_INVALID;
	if (error == CERT_NONE && X509_verify_cert(ctx) != 1) {
		error = name_error(X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx), role);
		/* It failed, whatever it says of why. */
		if (error == CERT_NONE)
			error = CERT_CHAIN_INVALID;
	}
	if (error == CERT_NONE && (*path = X509_STORE_CTX_get1_chain(ctx)) == NULL)
		error = CERT_MEMORY;
	X509_STORE_CTX_cleanup(ctx);
	ERR_clear_error();
	return error;
}

static enum cert_error
try_one(struct trust_view *view, X509 *anchor, STACK_OF(X509) *certs, enum peer_role role, int64_t now,
	STACK_OF(X509) **path)
{
	STACK_OF(X509) *alone = sk_X509_new_null();
	enum cert_error error = CERT_MEMORY;

	*path = NULL;
	if (alone != NULL && sk_X509_push(alone, anchor) != 0)
		error = try_path(view, alone, certs, role, now, path);
	sk_X509_free(alone);
	return error;
}

static bool
issues_any(X509 *anchor, STACK_OF(X509) *certs)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_NAME_cmp(X509_get_issuer_name(sk_X509_value(certs, i)), X509_get_subject_name(anchor)) == 0)
			return true;
	return false;
}

/* What otherwise says too little: a certificate that signed another of them and may not. Depending on its extensions
 * OpenSSL doesn't take such a one for an issuer and only misses one, or calls all cases one. */
static enum cert_error
explain(enum cert_error otherwise, STACK_OF(X509) *certs)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		for (int j = 1; j < sk_X509_num(certs); j++) {
			X509 *issuer = sk_X509_value(certs, j);
			if (i == j || X509_NAME_cmp(X509_get_issuer_name(sk_X509_value(certs, i)),
						    X509_get_subject_name(issuer)) != 0)
				continue;
			if ((X509_get_extension_flags(issuer) & EXFLAG_CA) == 0)
				return CERT_CA_NOT_CA;
			if ((X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) == 0)
				return CERT_CA_KEY_USAGE;
		}
	return otherwise;
}

enum cert_error
verify_path(struct trust_view *view, STACK_OF(X509) *anchors, STACK_OF(X509) *certs, enum peer_role role, int64_t now,
	    STACK_OF(X509) **path)
{
	enum cert_error error = try_path(view, anchors, certs, role, now, path);

	/* Of anchors with one name (SPIRE's CAs all have the same) OpenSSL tries the first, unless key identifiers
	 * tell them apart. While a CA's key is replaced, another may be the right one. */
	for (int i = 0; error == CERT_CHAIN_SIGNATURE && i < sk_X509_num(anchors); i++)
		if (issues_any(sk_X509_value(anchors, i), certs) &&
		    try_one(view, sk_X509_value(anchors, i), certs, role, now, path) == CERT_NONE)
			error = CERT_NONE;
	if (error == CERT_CHAIN_UNTRUSTED || error == CERT_CA_NOT_CA)
		error = explain(error, certs);
	return error;
}

enum cert_error
verify_path_left_out(struct trust_view *view, const struct trust_domain *domain, const struct view_anchors *anchors,
		     STACK_OF(X509) *certs, enum peer_role role, int64_t now)
{
	int at = 0;

	for (uint32_t i = 0; i < domain->bundle->n_authorities; i++) {
		STACK_OF(X509) *path;
		if (domain->left_out[i] == CERT_NONE)
			continue;
		X509 *anchor = sk_X509_value(anchors->left_out, at++);
		if (!issues_any(anchor, certs) || try_one(view, anchor, certs, role, now, &path) != CERT_NONE)
			continue;
		sk_X509_pop_free(path, X509_free);
		return domain->left_out[i];
	}
	return CERT_NONE;
}

enum cert_error
verify_path_foreign(struct trust_view *view, const struct trust_domain *domain, STACK_OF(X509) *path)
{
	uint8_t digest[32];

	for (int i = 1; i < sk_X509_num(path); i++) {
		if (!verify_spki_digest(view, sk_X509_value(path, i), digest))
			return CERT_MEMORY;
		if (trust_key_elsewhere(view->trust, digest, domain) != NULL)
			return CERT_CHAIN_FOREIGN;
	}
	return CERT_NONE;
}

enum cert_error
verify_path_times(STACK_OF(X509) *path, int64_t *not_before, int64_t *not_after)
{
	*not_before = INT64_MIN;
	*not_after = INT64_MAX;
	for (int i = 0; i < sk_X509_num(path); i++) {
		int64_t from, until;
		if (!cert_time_read(X509_get0_notBefore(sk_X509_value(path, i)), &from) ||
		    !cert_time_read(X509_get0_notAfter(sk_X509_value(path, i)), &until))
			return CERT_CERT_MALFORMED;
		*not_before = from > *not_before ? from : *not_before;
		*not_after = until < *not_after ? until : *not_after;
	}
	return CERT_NONE;
}
