/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSP staples. OpenSSL's own check builds a path for the responder with the system's clock and store; here the
 * responder is either the CA that issued the certificate, or a certificate that this very CA issued for signing OCSP
 * responses (RFC 6960 section 4.2.2.2), and nobody else, so no path is needed.
 */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "certs/cert_rules.h"
#include "certs/cert_time.h"
#include "certs/verify_revoked.h"

enum {
	STAPLE_BYTES_MAX = 65536,
	STAPLE_ANSWERS_MAX = 64,
	STAPLE_SKEW = 300,         /* seconds that thisUpdate may lie in the future */
	STAPLE_AGE_MAX = 24 * 3600 /* of one without nextUpdate */
};

bool
verify_staple_demanded(const X509 *leaf)
{
	enum { STATUS_REQUEST = 5 };
	TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
	bool demanded = false;

	for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
		if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST)
			demanded = true;
	TLS_FEATURE_free(features);
	return demanded;
}

/* Whether the responder's certificate was issued for this by the CA, and is valid. */
static bool
is_charged(X509 *signer, X509 *issuer, int64_t now)
{
	int64_t from, until;

	return X509_check_purpose(signer, -1, 0) == 1 && X509_check_issued(issuer, signer) == X509_V_OK &&
	       cert_rules_key(signer) == CERT_NONE && cert_rules_signature(signer) == CERT_NONE &&
	       (X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) != 0 &&
	       (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) != 0 &&
	       cert_time_read(X509_get0_notBefore(signer), &from) && from <= now &&
	       cert_time_read(X509_get0_notAfter(signer), &until) && until >= now &&
	       X509_verify(signer, X509_get0_pubkey(issuer)) == 1;
}

static enum cert_error
check_signature(OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
	STACK_OF(X509) *known = sk_X509_new_null();
	X509 *signer = NULL;
	enum cert_error error = CERT_OCSP_SIGNATURE;

	if (known == NULL || sk_X509_push(known, issuer) == 0)
		error = CERT_MEMORY;
	else if (OCSP_resp_get0_signer(basic, &signer, known) == 1 &&
		 (X509_cmp(signer, issuer) == 0 || is_charged(signer, issuer, now)) &&
		 OCSP_basic_verify(basic, known, NULL, OCSP_NOVERIFY) == 1)
		error = CERT_NONE;
	sk_X509_free(known);
	return error;
}

/* The answer about this certificate; responders choose the hash that names it. */
static OCSP_SINGLERESP *
find_answer(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
	int n = OCSP_resp_count(basic);

	for (int i = 0; i < n && i < STAPLE_ANSWERS_MAX; i++) {
		OCSP_SINGLERESP *answer = OCSP_resp_get0(basic, i);
		OCSP_CERTID *named = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(answer);
		ASN1_OBJECT *hash = NULL;
		if (OCSP_id_get0_info(NULL, &hash, NULL, NULL, named) != 1)
			continue;
		const EVP_MD *digest = EVP_get_digestbyobj(hash);
		OCSP_CERTID *ours = digest != NULL ? OCSP_cert_to_id(digest, leaf, issuer) : NULL;
		bool same = ours != NULL && OCSP_id_cmp(ours, named) == 0;
		OCSP_CERTID_free(ours);
		if (same)
			return answer;
	}
	return NULL;
}

static enum cert_error
read_answer(OCSP_SINGLERESP *answer, int64_t now, int64_t *until)
{
	ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
	int status = OCSP_single_get0_status(answer, NULL, NULL, &this_update, &next_update);
	int64_t from, next;

	/* That is so also when it is old. */
	if (status == V_OCSP_CERTSTATUS_REVOKED)
		return CERT_REVOKED;
	if (!cert_time_read(this_update, &from))
		return CERT_OCSP_MALFORMED;
	if (next_update == NULL)
		next = from + STAPLE_AGE_MAX;
	else if (!cert_time_read(next_update, &next))
		return CERT_OCSP_MALFORMED;
	if (from > now + STAPLE_SKEW || next < now)
		return CERT_OCSP_EXPIRED;
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return CERT_OCSP_UNKNOWN;
	if (next < *until)
		*until = next;
	return CERT_NONE;
}

enum cert_error
verify_staple(STACK_OF(X509) *path, const uint8_t *staple, size_t length, int64_t now, int64_t *until)
{
	/* A leaf that is an anchor itself doesn't pass, so there is an issuer. */
	X509 *leaf = sk_X509_value(path, 0), *issuer = sk_X509_value(path, 1);
	enum cert_error error = CERT_OCSP_MALFORMED;

	if (length > STAPLE_BYTES_MAX)
		return error;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &staple, (long)length);
	OCSP_BASICRESP *basic = NULL;
	if (response != NULL && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(response);
	if (basic != NULL) {
		OCSP_SINGLERESP *answer = find_answer(basic, leaf, issuer);
		if (answer != NULL)
			error = check_signature(basic, issuer, now);
		if (answer != NULL && error == CERT_NONE)
			error = read_answer(answer, now, until);
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return error;
}
