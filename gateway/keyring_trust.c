/* SPDX-License-Identifier: Apache-2.0 */
/* Whom we trust: bundles of trust domains, legacy PKIs with their revocation lists, CA certificates of credentials. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/file_read.h"
#include "certs/issuer.h"
#include "gateway/keyring_book.h"
#include "gateway/keyring_parts.h"
#include "platform/log.h"
#include "platform/text.h"

static bool
read_file(struct loading *loading, const struct origin *origin, const char *path, size_t most, struct secret *content,
	  struct stat *status)
{
	int result = file_read_at(AT_FDCWD, path, most, content, status);

	if (result != 0)
		keyring_remark(loading, origin, "%s can't be read: %s", path, strerror(result));
	return result == 0;
}

static void
remark_error(struct loading *loading, const struct origin *origin, const char *path, enum cert_error error)
{
	keyring_remark(loading, origin, "%s: %s (%s)", path, cert_error_meaning(error), cert_error_text(error));
}

static void
add_domain(struct loading *loading, const struct origin *origin, const char *domain, const struct bundle *bundle)
{
	enum cert_error error = trust_add_domain(loading->set->trust, domain, strlen(domain), bundle);

	if (error != CERT_NONE)
		keyring_complain(loading, origin, "the bundle of %s: %s (%s)", domain, cert_error_meaning(error),
				 cert_error_text(error));
}

static void
add_pki(struct loading *loading, const struct origin *origin, const char *name, const struct bundle *anchors,
	const struct crl_list *crls, enum trust_revocation revocation)
{
	enum cert_error error = trust_add_pki(loading->set->trust, name, anchors, crls, revocation);

	if (error != CERT_NONE)
		keyring_complain(loading, origin, "the PKI %s: %s (%s)", name, cert_error_meaning(error),
				 cert_error_text(error));
}

/* --- trust domains ------------------------------------------------------------------------------------------------ */

/* The CA certificates beside our own SVID. */
static void
trust_own_files(struct loading *loading)
{
	const struct credential *own = loading->parts->own;
	struct bundle *bundle = NULL;
	struct text der = {0};

	for (unsigned i = 0; i < own->n_anchors; i++)
		text_add(&der, (const char *)own->anchors[i].der, own->anchors[i].length);
	enum cert_error error = bundle_parse_der((const uint8_t *)der.bytes, der.length, &bundle);
	text_free(&der);
	if (error == CERT_NONE)
		add_domain(loading, &loading->snapshot->identity.origin, loading->snapshot->trust_domain.bytes, bundle);
	else
		keyring_complain(loading, &loading->snapshot->identity.origin, "the bundle of %s: %s (%s)",
				 loading->snapshot->trust_domain.bytes, cert_error_meaning(error),
				 cert_error_text(error));
	bundle_drop(bundle);
}

static void
trust_embedded(struct loading *loading)
{
	const struct keyring_issuer *issuer = loading->parts->issuer;
	const struct origin *origin = &loading->snapshot->identity.origin;
	struct text pem = {0};

	for (char **owned = issuer->owns; *owned != NULL; owned++) {
		struct bundle *bundle = NULL;
		pem.length = 0;
		issuer_bundle_pem(issuer->issuer, *owned, &pem);
		enum cert_error error = bundle_parse_pem(pem.bytes, pem.length, &bundle);
		if (error == CERT_NONE)
			add_domain(loading, origin, *owned, bundle);
		else
			keyring_complain(loading, origin, "the bundle of %s: %s (%s)", *owned,
					 cert_error_meaning(error), cert_error_text(error));
		bundle_drop(bundle);
	}
	text_free(&pem);
}

/* Whether a bundle is too old to be trusted; its age is that of its file. */
static bool
is_stale(struct loading *loading, const struct federated_domain *domain, const struct stat *status)
{
	int64_t age = loading->now - status->st_mtim.tv_sec;
	int64_t warn_after = domain->warn_after_ms / 1000, max_age = domain->max_age_ms / 1000;
	bool stale = max_age != 0 && age >= max_age, old = stale || (warn_after != 0 && age >= warn_after);

	if (old)
		log_warn("gateway",
			 stale && domain->distrust_expired ? "a bundle is too old, and nobody of its domain trusted"
							   : "a bundle is old",
			 LOG_STR("trustDomain", domain->trust_domain.bytes), LOG_U64("age_s", (uint64_t)age));
	if (warn_after != 0 && age < warn_after)
		keyring_renew_at(loading, loading->now + warn_after - age);
	if (max_age != 0 && age < max_age)
		keyring_renew_at(loading, loading->now + max_age - age);
	return stale && domain->distrust_expired;
}

static struct bundle *
read_bundle(struct loading *loading, const struct federated_domain *domain, struct stat *status)
{
	struct secret content = {0};
	struct bundle *bundle = NULL;
	const char *path = domain->bootstrap_bundle.bytes;

	if (!read_file(loading, &domain->origin, path, BUNDLE_BYTES_MAX + 1, &content, status))
		return NULL;
	const char *text = (const char *)content.bytes;
	size_t blank = 0;
	while (blank < content.length && strchr(" \t\r\n", text[blank]) != NULL)
		blank++;
	enum cert_error error = blank < content.length && text[blank] == '{'
					? bundle_parse_jwks(text, content.length, &bundle)
					: bundle_parse_pem(text, content.length, &bundle);
	if (error != CERT_NONE)
		remark_error(loading, &domain->origin, path, error);
	secret_free(&content);
	return bundle;
}

static void
trust_federated(struct loading *loading, uint32_t i)
{
	const struct federated_domain *domain = &loading->snapshot->domains[i];
	struct stat status = {.st_mtim.tv_sec = loading->now};
	struct bundle *bundle = read_bundle(loading, domain, &status);

	if (bundle == NULL && loading->before != NULL)
		bundle = bundle_take(loading->before->domains[i]);
	loading->parts->domains[i] = bundle;
	if (bundle != NULL && !is_stale(loading, domain, &status))
		add_domain(loading, &domain->origin, domain->trust_domain.bytes, bundle);
}

/* --- PKIs --------------------------------------------------------------------------------------------------------- */

/* The certificates of several PEM files, as one bundle; NULL: one of them is wrong. */
static struct bundle *
read_anchors(struct loading *loading, const struct origin *origin, const struct name *paths, uint32_t n)
{
	struct secret content = {0};
	struct bundle *anchors = NULL, *one;
	struct text all = {0};
	bool good = true;

	for (uint32_t i = 0; i < n; i++) {
		if (!read_file(loading, origin, paths[i].bytes, BUNDLE_BYTES_MAX + 1, &content, NULL)) {
			good = false;
			continue;
		}
		enum cert_error error = bundle_parse_pem((const char *)content.bytes, content.length, &one);
		if (error != CERT_NONE)
			remark_error(loading, origin, paths[i].bytes, error);
		good = good && error == CERT_NONE;
		bundle_drop(one);
		text_add(&all, (const char *)content.bytes, content.length);
		text_add(&all, "\n", 1);
		secret_free(&content);
	}
	enum cert_error error = good ? bundle_parse_pem(all.bytes, all.length, &anchors) : CERT_NONE;
	if (error != CERT_NONE)
		remark_error(loading, origin, "the anchors together", error);
	text_free(&all);
	return anchors;
}

/* The same of revocation lists. */
static struct crl_list *
read_crls(struct loading *loading, const struct legacy_pki_spec *pki)
{
	struct secret content = {0};
	struct crl_list *crls = NULL;
	bool good = true;

	for (uint32_t i = 0; i < pki->n_crls; i++) {
		struct crl_list *more = NULL, *all = NULL;
		if (!read_file(loading, &pki->origin, pki->crls[i].bytes, CRL_BYTES_MAX + 1, &content, NULL)) {
			good = false;
			continue;
		}
		enum cert_error error = crl_parse((const char *)content.bytes, content.length, &more);
		if (error == CERT_NONE && crls != NULL) {
			error = crl_join(crls, more, &all);
			crl_drop(more);
			crl_drop(crls);
			crls = all;
		} else if (error == CERT_NONE) {
			crls = more;
		}
		if (error != CERT_NONE)
			remark_error(loading, &pki->origin, pki->crls[i].bytes, error);
		good = good && error == CERT_NONE;
		secret_free(&content);
	}
	if (!good) {
		crl_drop(crls);
		crls = NULL;
	}
	return crls;
}

static enum trust_revocation
revocation_of(const struct legacy_pki_spec *pki)
{
	if (pki->refuse_unknown_revocation)
		return TRUST_REVOCATION_REQUIRED;
	return pki->n_crls != 0 ? TRUST_REVOCATION_IF_LISTED : TRUST_REVOCATION_OFF;
}

static void
trust_pki(struct loading *loading, uint32_t i)
{
	const struct legacy_pki_spec *pki = &loading->snapshot->pkis[i];
	const struct keyring_parts *before = loading->before;
	struct bundle *anchors = read_anchors(loading, &pki->origin, pki->anchors, pki->n_anchors);
	struct crl_list *crls = read_crls(loading, pki);

	if (anchors == NULL && before != NULL)
		anchors = bundle_take(before->anchors[i]);
	if (crls == NULL && pki->n_crls != 0 && before != NULL && before->crls[i] != NULL)
		crls = crl_take(before->crls[i]);
	loading->parts->anchors[i] = anchors;
	loading->parts->crls[i] = crls;
	if (anchors != NULL && (crls != NULL || pki->n_crls == 0))
		add_pki(loading, &pki->origin, pki->name.bytes, anchors, crls, revocation_of(pki));
}

/* A folder's ca.crt, which may be all that is in it. */
static void
trust_credential(struct loading *loading, uint32_t i)
{
	const struct credential_spec *spec = loading->snapshot->credentials[i];
	char path[4096];
	struct text name = {0};

	snprintf(path, sizeof(path), "%s/ca.crt", spec->path.bytes);
	struct bundle *anchors = read_anchors(loading, &spec->origin, &(struct name){path, (uint32_t)strlen(path)}, 1);
	if (anchors == NULL && loading->before != NULL)
		anchors = bundle_take(loading->before->cas[i]);
	loading->parts->cas[i] = anchors;
	keyring_pki_name(spec, &name);
	if (anchors != NULL)
		add_pki(loading, &spec->origin, name.bytes, anchors, NULL, TRUST_REVOCATION_OFF);
	text_free(&name);
}

static void
warn(void *context, const struct trust_warning *warning)
{
	(void)context;
	log_warn("gateway", "an authority speaks for nobody", LOG_STR("error", cert_error_text(warning->error)),
		 LOG_STR("trustDomain", warning->domain), LOG_STR("because", warning->other));
}

void
keyring_load_trust(struct loading *loading, uint64_t generation)
{
	const struct snapshot *snapshot = loading->snapshot;
	struct trust *trust = trust_new(generation);

	if (trust == NULL)
		abort(); /* as in platform/text.c */
	loading->set->trust = trust;
	trust_set_local(trust, snapshot->trust_domain.bytes, snapshot->trust_domain.length);
	if (loading->parts->issuer != NULL)
		trust_embedded(loading);
	else if (loading->parts->own != NULL)
		trust_own_files(loading);
	for (uint32_t i = 0; i < snapshot->n_domains; i++)
		trust_federated(loading, i);
	for (uint32_t i = 0; i < snapshot->n_pkis; i++)
		trust_pki(loading, i);
	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		if (snapshot->credentials[i]->needs_ca)
			trust_credential(loading, i);
	trust_seal(trust);
	trust_warnings(trust, warn, NULL);
}
