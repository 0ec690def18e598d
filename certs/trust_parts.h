/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What trust.c builds and what trust_view.c and verify*.c read: of this room only.
 *
 *	struct trust ── domains (sorted by name) ── bundle, and for each authority whether it was left out
 *	             ├─ pkis ── anchors, lists
 *	             └─ keys (sorted by SPKI digest): which domains each CA key belongs to
 *	struct trust_view ── the trust it shows, and for each domain and PKI OpenSSL's objects, made when first asked
 *for
 */
#ifndef POSTERN_CERTS_TRUST_PARTS_H
#define POSTERN_CERTS_TRUST_PARTS_H

#include <openssl/x509.h>

#include "certs/trust.h"
#include "certs/verified_cache.h"

struct trust_domain {
	char *name; /* NUL-terminated */
	size_t length;
	struct bundle *bundle;
	enum cert_error left_out[BUNDLE_AUTHORITIES_MAX]; /* CERT_NONE: in force */
	uint32_t left_out_for[BUNDLE_AUTHORITIES_MAX];    /* the other domain's index */
};

struct trust_pki {
	char *name;
	struct bundle *anchors;
	struct crl_list *crls; /* NULL when there are none */
	enum trust_revocation revocation;
};

/* A key that speaks for a domain, or that several domains dispute. */
struct trust_key {
	const uint8_t *spki_sha256;
	uint32_t domain, authority;
};

struct trust {
	atomic_uint refs;
	uint64_t generation;
	struct trust_domain *domains;
	struct trust_pki *pkis;
	struct trust_key *keys;
	uint32_t n_domains, n_pkis, n_keys;
	char *local;
	size_t local_length;
	bool sealed;
};

/* NULL when it isn't there. */
const struct trust_domain *trust_find_domain(const struct trust *trust, const char *name, size_t length);
const struct trust_pki *trust_find_pki(const struct trust *trust, const char *name);
/* A domain other than own that has this key, or NULL. */
const struct trust_domain *trust_key_elsewhere(const struct trust *trust, const uint8_t spki_sha256[32],
					       const struct trust_domain *own);

/* One list, as this view has it. */
struct view_crl {
	X509_CRL *crl;
	int64_t this_update, next_update; /* next_update: INT64_MAX when the list doesn't say */
	uint8_t verified_by[32];          /* SPKI digest of the CA whose signature on it was found good */
	bool verified;
};

/* OpenSSL's objects for one domain or PKI. */
struct view_anchors {
	bool made;
	STACK_OF(X509) *in_force;
	STACK_OF(X509) *left_out; /* a domain's: only to name the error */
	struct view_crl *crls;    /* a PKI's */
	uint32_t n_crls;
};

struct trust_view {
	OSSL_LIB_CTX *libctx;
	EVP_MD *sha256;
	EVP_MD_CTX *digest;
	X509_STORE_CTX *store_ctx;           /* used again for each path */
	struct trust *trust;                 /* NULL: nothing is trusted */
	struct view_anchors *domains, *pkis; /* as trust's */
	struct verified_cache cache;
};

/* NULL when there is no memory. */
struct view_anchors *trust_view_domain(struct trust_view *view, const struct trust_domain *domain);
struct view_anchors *trust_view_pki(struct trust_view *view, const struct trust_pki *pki);

#endif
