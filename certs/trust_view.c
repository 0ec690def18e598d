/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_time.h"
#include "certs/trust_parts.h"

static void
anchors_free(struct view_anchors *anchors)
{
	sk_X509_pop_free(anchors->in_force, X509_free);
	sk_X509_pop_free(anchors->left_out, X509_free);
	for (uint32_t i = 0; i < anchors->n_crls; i++)
		X509_CRL_free(anchors->crls[i].crl);
	free(anchors->crls);
	*anchors = (struct view_anchors){0};
}

static void
forget(struct trust_view *view)
{
	verified_cache_clear(&view->cache);
	if (view->trust == NULL)
		return;
	for (uint32_t i = 0; i < view->trust->n_domains; i++)
		anchors_free(&view->domains[i]);
	for (uint32_t i = 0; i < view->trust->n_pkis; i++)
		anchors_free(&view->pkis[i]);
	free(view->domains);
	free(view->pkis);
	view->domains = view->pkis = NULL;
	trust_drop(view->trust);
	view->trust = NULL;
}

struct trust_view *
trust_view_new(OSSL_LIB_CTX *libctx)
{
	struct trust_view *view = calloc(1, sizeof(*view));

	if (view == NULL)
		return NULL;
	view->libctx = libctx;
	view->sha256 = EVP_MD_fetch(libctx, "SHA256", NULL);
	view->digest = EVP_MD_CTX_new();
	view->store_ctx = X509_STORE_CTX_new_ex(libctx, NULL);
	if (!verified_cache_init(&view->cache) || view->sha256 == NULL || view->digest == NULL ||
	    view->store_ctx == NULL) {
		trust_view_free(view);
		return NULL;
	}
	return view;
}

void
trust_view_free(struct trust_view *view)
{
	if (view == NULL)
		return;
	if (view->cache.entries != NULL)
		forget(view);
	verified_cache_free(&view->cache);
	X509_STORE_CTX_free(view->store_ctx);
	EVP_MD_CTX_free(view->digest);
	EVP_MD_free(view->sha256);
	free(view);
}

/* Takes over a reference. */
static void
show(struct trust_view *view, struct trust *trust)
{
	forget(view);
	if (trust == NULL)
		return;
	view->domains = calloc(trust->n_domains + 1, sizeof(*view->domains));
	view->pkis = calloc(trust->n_pkis + 1, sizeof(*view->pkis));
	if (view->domains == NULL || view->pkis == NULL) {
		/* It shows nothing, so everybody is refused, and the next call tries again. */
		free(view->domains);
		free(view->pkis);
		view->domains = view->pkis = NULL;
		trust_drop(trust);
		return;
	}
	view->trust = trust;
}

void
trust_view_set(struct trust_view *view, const struct trust *trust)
{
	if (view->trust != trust)
		show(view, trust != NULL ? trust_take(trust) : NULL);
}

void
trust_view_follow(struct trust_view *view, struct trust_slot *slot)
{
	if (trust_slot_generation(slot) == trust_view_generation(view))
		return;
	pthread_mutex_lock(&slot->lock);
	struct trust *trust = slot->trust != NULL ? trust_take(slot->trust) : NULL;
	pthread_mutex_unlock(&slot->lock);
	show(view, trust);
}

uint64_t
trust_view_generation(const struct trust_view *view)
{
	return view->trust != NULL ? view->trust->generation : 0;
}

const struct trust_view_stats *
trust_view_stats(const struct trust_view *view)
{
	return &view->cache.stats;
}

/* Adds what the bundle has: it was parsed before, when it was made, so that only memory can fail here. */
static bool
add_authority(struct trust_view *view, const struct bundle_authority *authority, STACK_OF(X509) *to)
{
	const uint8_t *der = authority->der;
	X509 *cert = X509_new_ex(view->libctx, NULL);

	if (cert == NULL || d2i_X509(&cert, &der, (long)authority->length) == NULL || sk_X509_push(to, cert) == 0) {
		X509_free(cert);
		return false;
	}
	return true;
}

struct view_anchors *
trust_view_domain(struct trust_view *view, const struct trust_domain *domain)
{
	struct view_anchors *anchors = &view->domains[domain - view->trust->domains];

	if (anchors->made)
		return anchors;
	anchors->in_force = sk_X509_new_null();
	anchors->left_out = sk_X509_new_null();
	bool good = anchors->in_force != NULL && anchors->left_out != NULL;
	for (uint32_t i = 0; good && i < domain->bundle->n_authorities; i++)
		good = add_authority(view, &domain->bundle->authorities[i],
				     domain->left_out[i] == CERT_NONE ? anchors->in_force : anchors->left_out);
	if (!good) {
		ERR_clear_error();
		anchors_free(anchors);
		return NULL;
	}
	anchors->made = true;
	return anchors;
}

static bool
add_crl(struct trust_view *view, const uint8_t *der, uint32_t length, struct view_crl *to)
{
	to->crl = X509_CRL_new_ex(view->libctx, NULL);
	if (to->crl == NULL || d2i_X509_CRL(&to->crl, &der, (long)length) == NULL)
		return false;
	to->next_update = INT64_MAX;
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(to->crl);
	return cert_time_read(X509_CRL_get0_lastUpdate(to->crl), &to->this_update) &&
	       (next == NULL || cert_time_read(next, &to->next_update));
}

struct view_anchors *
trust_view_pki(struct trust_view *view, const struct trust_pki *pki)
{
	struct view_anchors *anchors = &view->pkis[pki - view->trust->pkis];
	uint32_t n_crls = pki->crls != NULL ? pki->crls->n : 0;

	if (anchors->made)
		return anchors;
	anchors->in_force = sk_X509_new_null();
	anchors->crls = calloc(n_crls + 1, sizeof(*anchors->crls));
	bool good = anchors->in_force != NULL && anchors->crls != NULL;
	anchors->n_crls = good ? n_crls : 0;
	for (uint32_t i = 0; good && i < pki->anchors->n_authorities; i++)
		good = add_authority(view, &pki->anchors->authorities[i], anchors->in_force);
	for (uint32_t i = 0; good && i < n_crls; i++)
		good = add_crl(view, pki->crls->crls[i].der, pki->crls->crls[i].length, &anchors->crls[i]);
	if (!good) {
		ERR_clear_error();
		anchors_free(anchors);
		return NULL;
	}
	anchors->made = true;
	return anchors;
}
