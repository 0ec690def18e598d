/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/verify.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_names.h"
#include "certs/cert_rules.h"
#include "certs/cert_time.h"
#include "certs/der.h"
#include "certs/dns_name.h"
#include "certs/trust_parts.h"
#include "certs/verify_path.h"
#include "certs/verify_revoked.h"

_Static_assert((int)CERT_NAMES_MAX == (int)VERIFY_SANS_MAX, "one bound, said in two headers");

/* What is asked of a chain. */
struct question {
	enum peer_kind kind;
	enum peer_role role;
	const struct trust_pki *pki; /* PEER_LEGACY */
	const uint8_t *staple;
	size_t staple_length;
	bool again; /* a live connection's peer, whose staple isn't asked for again */
};

/* A chain under examination. */
struct examination {
	const struct question *question;
	STACK_OF(X509) *certs;
	struct peer_bytes der[VERIFY_CHAIN_MAX]; /* OpenSSL's memory */
	unsigned n;
	uint8_t chain_sha256[32], leaf_sha256[32], spki_sha256[32];
	struct cert_names names;
	struct spiffe_id id; /* of names */
	STACK_OF(X509) *path;
};

static bool
digest_begin(struct trust_view *view)
{
	return EVP_DigestInit_ex2(view->digest, view->sha256, NULL) == 1;
}

static bool
digest_end(struct trust_view *view, uint8_t digest[32])
{
	return EVP_DigestFinal_ex(view->digest, digest, NULL) == 1;
}

/* Over each certificate behind its length, so that where one ends matters. */
static enum cert_error
digest_chain(struct trust_view *view, const struct peer_bytes *der, unsigned n, uint8_t digest[32])
{
	bool good = digest_begin(view);

	for (unsigned i = 0; i < n && good; i++)
		good = EVP_DigestUpdate(view->digest, &der[i].length, sizeof(der[i].length)) == 1 &&
		       EVP_DigestUpdate(view->digest, der[i].bytes, der[i].length) == 1;
	return good && digest_end(view, digest) ? CERT_NONE : CERT_MEMORY;
}

static enum cert_error
encode(struct trust_view *view, struct examination *examination)
{
	int n = sk_X509_num(examination->certs);
	size_t bytes = 0;

	if (n <= 0)
		return CERT_CHAIN_EMPTY;
	if (n > VERIFY_CHAIN_MAX)
		return CERT_CHAIN_LONG;
	for (; examination->n < (unsigned)n; examination->n++) {
		unsigned char *der = NULL;
		int length = i2d_X509(sk_X509_value(examination->certs, (int)examination->n), &der);
		if (length <= 0)
			return CERT_CERT_MALFORMED;
		examination->der[examination->n] = (struct peer_bytes){(const char *)der, (uint32_t)length};
		bytes += (size_t)length;
		if (length > VERIFY_CERT_BYTES_MAX || bytes > VERIFY_CHAIN_BYTES_MAX) {
			examination->n++;
			return length > VERIFY_CERT_BYTES_MAX ? CERT_CERT_LARGE : CERT_CHAIN_LARGE;
		}
	}
	return digest_chain(view, examination->der, examination->n, examination->chain_sha256);
}

/* A staple is part of what is asked: another one may say otherwise. */
static enum cert_error
make_key(struct trust_view *view, const struct question *question, const uint8_t chain_sha256[32],
	 struct verified_key *key)
{
	enum { AGAIN = 2 };

	memcpy(key->chain_sha256, chain_sha256, sizeof(key->chain_sha256));
	key->pki = question->pki != NULL ? (uint32_t)(question->pki - view->trust->pkis) : UINT32_MAX;
	key->role = (uint32_t)question->role | (question->again ? AGAIN : 0);
	if (question->staple == NULL)
		return CERT_NONE;
	bool good = digest_begin(view) &&
		    EVP_DigestUpdate(view->digest, chain_sha256, sizeof(key->chain_sha256)) == 1 &&
		    EVP_DigestUpdate(view->digest, question->staple, question->staple_length) == 1;
	return good && digest_end(view, key->chain_sha256) ? CERT_NONE : CERT_MEMORY;
}

/* What the leaf says of who it is. */
static enum cert_error
check_names(struct examination *examination)
{
	struct cert_names *names = &examination->names;
	enum cert_error error = cert_names_read(sk_X509_value(examination->certs, 0), names);

	if (error != CERT_NONE)
		return error;
	if (names->misplaced)
		return CERT_SVID_ID_MISPLACED;
	if (examination->question->kind != PEER_SPIFFE)
		return examination->question->role == PEER_CLIENT && names->n_dns == 0 ? CERT_LEGACY_NO_DNS : CERT_NONE;
	if (names->n_uris == 0)
		return CERT_SVID_NO_URI;
	if (names->n_uris > 1)
		return CERT_SVID_TWO_URIS;
	error = spiffe_id_parse(names->uri.bytes, names->uri.length, &examination->id);
	if (error == CERT_NONE && spiffe_id_is_root(&examination->id))
		error = CERT_SPIFFE_PATH_ROOT;
	return error;
}

/* The others are looked at before a signature is verified with the key of any of them: some keys make that slow, and
 * names with NUL bytes mislead the code that applies name constraints. */
static enum cert_error
check_companions(struct examination *examination)
{
	for (unsigned i = 1; i < examination->n; i++) {
		X509 *cert = sk_X509_value(examination->certs, (int)i);
		if (X509_check_purpose(cert, -1, 0) != 1)
			return CERT_CERT_EXTENSIONS;
		enum cert_error error = cert_rules_key(cert);
		if (error == CERT_NONE)
			error = cert_names_constraints(cert);
		if (error != CERT_NONE)
			return error;
		struct cert_names names;
		error = cert_names_read(cert, &names);
		cert_names_free(&names);
		if (error != CERT_NONE)
			return error;
	}
	return CERT_NONE;
}

static enum cert_error
check_leaf(struct examination *examination)
{
	X509 *leaf = sk_X509_value(examination->certs, 0);
	enum cert_error error = check_names(examination);

	if (error == CERT_NONE)
		error = cert_rules_leaf(leaf, examination->question->role);
	if (error == CERT_NONE)
		error = cert_rules_key(leaf);
	if (error == CERT_NONE)
		error = cert_rules_signature(leaf);
	return error;
}

static enum cert_error
find_spiffe_path(struct trust_view *view, struct examination *examination, int64_t now)
{
	const struct spiffe_id *id = &examination->id;
	const struct trust_domain *domain = trust_find_domain(view->trust, spiffe_id_domain(id), id->domain_length);

	if (domain == NULL)
		return CERT_DOMAIN_UNKNOWN;
	if (domain->bundle->n_authorities == 0)
		return CERT_DOMAIN_REVOKED;
	struct view_anchors *anchors = trust_view_domain(view, domain);
	if (anchors == NULL)
		return CERT_MEMORY;
	enum peer_role role = examination->question->role;
	enum cert_error error = verify_path(view, anchors->in_force, examination->certs, role, now, &examination->path);
	if (error == CERT_CHAIN_UNTRUSTED && sk_X509_num(anchors->left_out) > 0) {
		enum cert_error why = verify_path_left_out(view, domain, anchors, examination->certs, role, now);
		error = why != CERT_NONE ? why : error;
	}
	if (error == CERT_NONE)
		error = verify_path_foreign(view, domain, examination->path);
	return error;
}

static enum cert_error
find_legacy_path(struct trust_view *view, struct examination *examination, int64_t now, int64_t *until)
{
	const struct question *question = examination->question;
	struct view_anchors *anchors = trust_view_pki(view, question->pki);

	if (anchors == NULL)
		return CERT_MEMORY;
	enum cert_error error =
		verify_path(view, anchors->in_force, examination->certs, question->role, now, &examination->path);
	if (error == CERT_NONE)
		error = verify_revoked_lists(view, question->pki, anchors, examination->path, now, until);
	if (error == CERT_NONE && question->staple != NULL)
		error = verify_staple(examination->path, question->staple, question->staple_length, now, until);
	else if (error == CERT_NONE && question->role == PEER_SERVER && !question->again &&
		 verify_staple_demanded(sk_X509_value(examination->certs, 0)))
		error = CERT_OCSP_MISSING;
	return error;
}

/* Anchors weren't sent by the peer, so nobody has looked at their keys and names yet; and signatures count from the
 * leaf to below the anchor. */
static enum cert_error
check_path(STACK_OF(X509) *path)
{
	int n = sk_X509_num(path);
	enum cert_error error = cert_rules_key(sk_X509_value(path, n - 1));

	if (error == CERT_NONE)
		error = cert_names_constraints(sk_X509_value(path, n - 1));
	for (int i = 0; i < n - 1 && error == CERT_NONE; i++)
		error = cert_rules_signature(sk_X509_value(path, i));
	return error;
}

static enum cert_error
make_identity(struct trust_view *view, struct examination *examination, struct peer_identity **identity)
{
	const struct question *question = examination->question;
	const struct cert_names *names = &examination->names;
	bool legacy = question->kind == PEER_LEGACY;
	X509 *leaf = sk_X509_value(examination->certs, 0);
	struct peer_identity_source source = {
		.kind = question->kind,
		.role = question->role,
		.id = examination->id,
		.certs = examination->der,
		.n_certs = examination->n,
		.chain_sha256 = examination->chain_sha256,
		.leaf_sha256 = examination->leaf_sha256,
		.spki_sha256 = examination->spki_sha256,
		.generation = view->trust->generation,
	};

	if (legacy) {
		source.pki = (struct peer_bytes){question->pki->name, (uint32_t)strlen(question->pki->name)};
		source.dns = names->dns;
		source.n_dns = names->n_dns;
		source.ips = names->ips;
		source.n_ips = names->n_ips;
		if (names->n_uris == 1)
			source.uri = names->uri;
	}
	enum cert_error error = verify_path_times(examination->path, &source.not_before, &source.not_after);
	if (error != CERT_NONE)
		return error;
	if (!cert_time_read(X509_get0_notAfter(leaf), &source.leaf_not_after))
		return CERT_CERT_MALFORMED;
	if (!verify_spki_digest(view, leaf, examination->spki_sha256) || !digest_begin(view) ||
	    EVP_DigestUpdate(view->digest, examination->der[0].bytes, examination->der[0].length) != 1 ||
	    !digest_end(view, examination->leaf_sha256))
		return CERT_MEMORY;
	*identity = peer_identity_new(&source);
	return *identity != NULL ? CERT_NONE : CERT_MEMORY;
}

static enum cert_error
examine(struct trust_view *view, struct examination *examination, int64_t now, int64_t *until,
	struct peer_identity **identity)
{
	enum cert_error error = check_leaf(examination);

	if (error == CERT_NONE)
		error = check_companions(examination);
	if (error == CERT_NONE)
		error = examination->question->kind == PEER_SPIFFE ? find_spiffe_path(view, examination, now)
								   : find_legacy_path(view, examination, now, until);
	if (error == CERT_NONE)
		error = check_path(examination->path);
	if (error == CERT_NONE)
		error = make_identity(view, examination, identity);
	return error;
}

static enum cert_error
answer(struct trust_view *view, const struct question *question, STACK_OF(X509) *certs, int64_t now,
       struct peer_identity **identity)
{
	struct examination examination = {.question = question, .certs = certs};
	struct verified_key key;
	int64_t until = INT64_MAX;

	*identity = NULL;
	enum cert_error error = encode(view, &examination);
	if (error == CERT_NONE)
		error = make_key(view, question, examination.chain_sha256, &key);
	if (error == CERT_NONE && (*identity = verified_cache_find(&view->cache, &key, now)) == NULL) {
		error = examine(view, &examination, now, &until, identity);
		/* A second less: at notAfter itself OpenSSL says no. */
		if (error == CERT_NONE && (*identity)->not_after - 1 < until)
			until = (*identity)->not_after - 1;
		if (error == CERT_NONE)
			verified_cache_add(&view->cache, &key, *identity, (*identity)->not_before, until);
	}
	for (unsigned i = 0; i < examination.n; i++)
		OPENSSL_free((void *)examination.der[i].bytes);
	cert_names_free(&examination.names);
	sk_X509_pop_free(examination.path, X509_free);
	ERR_clear_error();
	return error;
}

enum cert_error
verify_spiffe(struct trust_view *view, STACK_OF(X509) *certs, enum peer_role role, int64_t now,
	      struct peer_identity **identity)
{
	struct question question = {.kind = PEER_SPIFFE, .role = role};

	*identity = NULL;
	return view->trust != NULL ? answer(view, &question, certs, now, identity) : CERT_DOMAIN_UNKNOWN;
}

enum cert_error
verify_legacy(struct trust_view *view, const char *pki, STACK_OF(X509) *certs, int64_t now,
	      struct peer_identity **identity)
{
	struct question question = {.kind = PEER_LEGACY, .role = PEER_CLIENT};

	*identity = NULL;
	question.pki = view->trust != NULL ? trust_find_pki(view->trust, pki) : NULL;
	return question.pki != NULL ? answer(view, &question, certs, now, identity) : CERT_PKI_UNKNOWN;
}

static bool
has_name(const struct peer_identity *server, const char *name)
{
	size_t length = strlen(name);
	struct ip_addr addr;

	/* An address is compared with addresses, and with no name that looks like one. */
	if (ip_addr_parse(name, &addr)) {
		for (unsigned i = 0; i < server->n_ips; i++)
			if (ip_addr_equal(&server->ips[i], &addr))
				return true;
		return false;
	}
	if (strncmp(name, "spiffe://", SPIFFE_PREFIX) == 0)
		return server->uri.length == length && memcmp(server->uri.bytes, name, length) == 0;
	for (unsigned i = 0; i < server->n_dns; i++)
		if (dns_name_match(server->dns[i].bytes, server->dns[i].length, name, length, NULL))
			return true;
	return false;
}

enum cert_error
verify_server(struct trust_view *view, const struct verify_server *expected, STACK_OF(X509) *certs, int64_t now,
	      struct peer_identity **identity)
{
	struct question question = {.kind = PEER_LEGACY,
				    .role = PEER_SERVER,
				    .staple = expected->staple,
				    .staple_length = expected->staple_length};

	*identity = NULL;
	if (expected->n_names == 0)
		return CERT_SERVER_NOTHING_EXPECTED;
	question.pki = view->trust != NULL ? trust_find_pki(view->trust, expected->pki) : NULL;
	if (question.pki == NULL)
		return CERT_PKI_UNKNOWN;
	enum cert_error error = answer(view, &question, certs, now, identity);
	if (error != CERT_NONE)
		return error;
	for (unsigned i = 0; i < expected->n_names; i++)
		if (has_name(*identity, expected->names[i]))
			return CERT_NONE;
	peer_identity_drop(*identity);
	*identity = NULL;
	return CERT_SERVER_NAME;
}

enum cert_error
verify_expected_id(const struct spiffe_id *id, const struct verify_expected *expected)
{
	if (expected->n_ids == 0 && expected->domain == NULL)
		return CERT_SERVER_NOTHING_EXPECTED;
	for (unsigned i = 0; i < expected->n_ids; i++)
		if (strlen(expected->ids[i]) == id->length && memcmp(expected->ids[i], id->text, id->length) == 0)
			return CERT_NONE;
	if (expected->domain != NULL && spiffe_id_in_domain(id, expected->domain, strlen(expected->domain)))
		return CERT_NONE;
	return CERT_SERVER_UNEXPECTED;
}

enum cert_error
verify_again(struct trust_view *view, const struct peer_identity *identity, int64_t now)
{
	/* Only of a legacy server something is asked that isn't asked again. */
	struct question question = {.kind = identity->kind,
				    .role = identity->role,
				    .again = identity->kind == PEER_LEGACY && identity->role == PEER_SERVER};
	struct verified_key key;
	STACK_OF(X509) *certs;

	if (identity->kind == PEER_NETWORK)
		return CERT_NONE;
	if (view->trust == NULL)
		return identity->kind == PEER_SPIFFE ? CERT_DOMAIN_UNKNOWN : CERT_PKI_UNKNOWN;
	if (identity->kind == PEER_LEGACY && (question.pki = trust_find_pki(view->trust, identity->pki.bytes)) == NULL)
		return CERT_PKI_UNKNOWN;
	enum cert_error error = make_key(view, &question, identity->chain_sha256, &key);
	if (error != CERT_NONE)
		return error;
	struct peer_identity *same = verified_cache_find(&view->cache, &key, now);
	if (same == NULL) {
		error = verify_parse(view->libctx, identity->certs, identity->n_certs, &certs);
		if (error == CERT_NONE) {
			error = answer(view, &question, certs, now, &same);
			sk_X509_pop_free(certs, X509_free);
		}
	}
	peer_identity_drop(same);
	return error;
}

static enum cert_error
parse_one(OSSL_LIB_CTX *libctx, struct peer_bytes der, X509 **cert)
{
	const unsigned char *at = (const unsigned char *)der.bytes;

	*cert = NULL;
	if (der.length > VERIFY_CERT_BYTES_MAX)
		return CERT_CERT_LARGE;
	enum cert_error error = der_check(at, der.length);
	if (error != CERT_NONE)
		return error;
	*cert = X509_new_ex(libctx, NULL);
	if (*cert == NULL)
		return CERT_MEMORY;
	if (d2i_X509(cert, &at, (long)der.length) != NULL)
		return CERT_NONE;
	/* It is freed when it is no certificate, and left when its extensions can't be read. */
	error = *cert != NULL ? CERT_CERT_EXTENSIONS : CERT_CERT_MALFORMED;
	X509_free(*cert);
	*cert = NULL;
	ERR_clear_error();
	return error;
}

enum cert_error
verify_parse(OSSL_LIB_CTX *libctx, const struct peer_bytes *der, unsigned n, STACK_OF(X509) **certs)
{
	enum cert_error error = n == 0 ? CERT_CHAIN_EMPTY : n > VERIFY_CHAIN_MAX ? CERT_CHAIN_LONG : CERT_NONE;

	*certs = NULL;
	if (error != CERT_NONE)
		return error;
	*certs = sk_X509_new_null();
	if (*certs == NULL)
		return CERT_MEMORY;
	for (unsigned i = 0; i < n && error == CERT_NONE; i++) {
		X509 *cert;
		error = parse_one(libctx, der[i], &cert);
		if (error == CERT_NONE && sk_X509_push(*certs, cert) == 0) {
			X509_free(cert);
			error = CERT_MEMORY;
		}
	}
	if (error != CERT_NONE) {
		sk_X509_pop_free(*certs, X509_free);
		*certs = NULL;
	}
	return error;
}
