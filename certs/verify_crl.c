/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "certs/verify_path.h"
#include "certs/verify_revoked.h"

static bool
hash_is_weak(const X509_CRL *crl)
{
	int hash = NID_undef;

	/* Ed25519 and RSA-PSS have none by name here; PSS over SHA-1 nobody makes lists with. */
	return OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &hash, NULL) != 1 || hash == NID_sha1 ||
	       hash == NID_md5 || hash == NID_md4 || hash == NID_md2;
}

/* Whether the CA signed the list. Found out once for each list and CA key. */
static enum cert_error
check_signature(struct trust_view *view, struct view_crl *list, X509 *issuer)
{
	uint8_t digest[32];

	if (!verify_spki_digest(view, issuer, digest))
		return CERT_MEMORY;
	if (list->verified && memcmp(list->verified_by, digest, sizeof(digest)) == 0)
		return CERT_NONE;
	if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0 || hash_is_weak(list->crl) ||
	    X509_CRL_verify(list->crl, X509_get0_pubkey(issuer)) != 1) {
		ERR_clear_error();
		return CERT_CRL_SIGNATURE;
	}
	memcpy(list->verified_by, digest, sizeof(digest));
	list->verified = true;
	return CERT_NONE;
}

/* The newest list that the issuer signed. *error: why there is none, if there is none. */
static struct view_crl *
find_list(struct trust_view *view, struct view_anchors *anchors, X509 *issuer, int64_t now, enum cert_error *error)
{
	struct view_crl *newest = NULL;

	*error = CERT_CRL_MISSING;
	for (uint32_t i = 0; i < anchors->n_crls; i++) {
		struct view_crl *list = &anchors->crls[i];
		if (X509_NAME_cmp(X509_CRL_get_issuer(list->crl), X509_get_subject_name(issuer)) != 0 ||
		    list->this_update > now || (newest != NULL && newest->this_update >= list->this_update))
			continue;
		enum cert_error wrong = check_signature(view, list, issuer);
		if (wrong == CERT_NONE)
			newest = list;
		else
			*error = wrong;
	}
	return newest;
}

enum cert_error
verify_revoked_lists(struct trust_view *view, const struct trust_pki *pki, struct view_anchors *anchors,
		     STACK_OF(X509) *path, int64_t now, int64_t *until)
{
	bool required = pki->revocation == TRUST_REVOCATION_REQUIRED;

	if (pki->revocation == TRUST_REVOCATION_OFF)
		return CERT_NONE;
	for (int i = 0; i + 1 < sk_X509_num(path); i++) {
		enum cert_error missing;
		X509_REVOKED *entry = NULL;
		struct view_crl *list = find_list(view, anchors, sk_X509_value(path, i + 1), now, &missing);
		if (list == NULL && missing == CERT_MEMORY)
			return missing;
		if (list == NULL && required)
			return missing;
		if (list == NULL)
			continue;
		/* What an old list revokes stays revoked. */
		if (X509_CRL_get0_by_cert(list->crl, &entry, sk_X509_value(path, i)) != 0)
			return i == 0 ? CERT_REVOKED : CERT_CA_REVOKED;
		if (!required)
			continue;
		if (list->next_update < now)
			return CERT_CRL_EXPIRED;
		if (list->next_update < *until)
			*until = list->next_update;
	}
	return CERT_NONE;
}
