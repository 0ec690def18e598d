/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are: our own SVID, the embedded CA, and what listeners and ways to endpoints present. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "certs/credential_file.h"
#include "certs/issuer.h"
#include "certs/spiffe_id.h"
#include "gateway/keyring_book.h"
#include "gateway/keyring_parts.h"
#include "platform/log.h"
#include "platform/text.h"

static void
issuer_free(struct keyring_issuer *issuer)
{
	issuer_close(issuer->issuer);
	for (char **owned = issuer->owns; *owned != NULL; owned++)
		free(*owned);
	free((void *)issuer->owns);
	free(issuer->folder);
	free(issuer);
}

void
keyring_issuers_free(struct keyring_issuer *issuers)
{
	for (struct keyring_issuer *next; issuers != NULL; issuers = next) {
		next = issuers->next;
		issuer_free(issuers);
	}
}

static struct credential *
load_folder(struct loading *loading, const struct origin *origin, const char *folder, const struct credential *before)
{
	enum credential_error error;
	bool exposed = false;
	struct credential *credential = credential_file_load(NULL, folder, loading->now, &exposed, &error);

	if (credential == NULL) {
		keyring_remark(loading, origin, "%s: %s (%s)", folder, credential_error_meaning(error),
			       credential_error_text(error));
		return before == NULL ? NULL : credential_take(before);
	}
	if (exposed)
		log_warn("gateway", "others may read a private key", LOG_STR("folder", folder));
	return credential;
}

/* --- the embedded CA ---------------------------------------------------------------------------------------------- */

static bool
same_owns(char *const *a, const char *const *b, size_t n)
{
	size_t i;

	for (i = 0; i < n && a[i] != NULL; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return i == n && a[n] == NULL;
}

/* The trust domains that it is to have: our own, and those of identity maps for which there is a folder. */
static size_t
owned_domains(const struct snapshot *snapshot, const char **owns)
{
	size_t n = 0;

	owns[n++] = snapshot->trust_domain.bytes;
	for (uint32_t i = 0; i < snapshot->n_identity_maps; i++) {
		const char *domain = snapshot->identity_maps[i].trust_domain.bytes;
		char path[4096];
		struct stat status;
		snprintf(path, sizeof(path), "%s/%s", snapshot->identity.folder.bytes, domain);
		if (!keyring_owns(owns, domain) && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
			owns[n++] = domain;
	}
	return n;
}

static struct keyring_issuer *
open_issuer(struct loading *loading, const struct issuer_config *config)
{
	struct text message = {0};
	struct issuer *opened = issuer_open(config, &message);
	struct keyring_issuer *issuer = NULL;

	if (opened == NULL) {
		keyring_remark(loading, &loading->snapshot->identity.origin, "the embedded CA: %s", message.bytes);
	} else {
		issuer = keyring_allocate(1, sizeof(*issuer));
		*issuer = (struct keyring_issuer){*loading->issuers, strdup(config->root),
						  keyring_allocate(config->n_trust_domains, sizeof(char *)),
						  config->lifetime_s, opened};
		for (size_t i = 0; i < config->n_trust_domains; i++)
			issuer->owns[i] = strdup(config->trust_domains[i]);
		*loading->issuers = issuer;
	}
	text_free(&message);
	return issuer;
}

/* The embedded CA of the federation: the one that is there already, when nothing about it changed. */
static struct keyring_issuer *
find_issuer(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;
	const struct identity_spec *spec = &snapshot->identity;
	const char **owns = keyring_allocate(snapshot->n_identity_maps + 1, sizeof(*owns));
	const struct issuer_config config = {.root = spec->folder.bytes,
					     .trust_domains = owns,
					     .n_trust_domains = owned_domains(snapshot, owns),
					     .lifetime_s = spec->svid_ttl_ms / 1000};
	struct keyring_issuer *issuer;

	for (issuer = *loading->issuers; issuer != NULL; issuer = issuer->next)
		if (strcmp(issuer->folder, config.root) == 0 && issuer->lifetime_s == config.lifetime_s &&
		    same_owns(issuer->owns, owns, config.n_trust_domains))
			break;
	if (issuer == NULL)
		issuer = open_issuer(loading, &config);
	if (issuer == NULL && loading->before != NULL)
		issuer = loading->before->issuer;
	free((void *)owns);
	return issuer;
}

struct credential *
keyring_issue(struct loading *loading, const struct origin *origin, const char *spiffe_id)
{
	enum credential_error error;
	struct credential *credential =
		issuer_get(loading->parts->issuer->issuer, spiffe_id, strlen(spiffe_id), loading->now, &error);

	if (credential == NULL)
		keyring_remark(loading, origin, "the embedded CA can't issue %s: %s (%s)", spiffe_id,
			       credential_error_meaning(error), credential_error_text(error));
	else
		keyring_renew_at(loading,
				 credential->not_before + (credential->not_after - credential->not_before) / 2);
	return credential;
}

/* --- our own ------------------------------------------------------------------------------------------------------ */

/* What makes a credential of files our own identity. */
static enum credential_error
check_own(const struct snapshot *snapshot, const struct credential *own)
{
	struct spiffe_id id;

	if (own->spiffe_id[0] == '\0' || spiffe_id_parse(own->spiffe_id, strlen(own->spiffe_id), &id) != CERT_NONE ||
	    spiffe_id_is_root(&id))
		return CREDENTIAL_NOT_SVID;
	if (!spiffe_id_in_domain(&id, snapshot->trust_domain.bytes, snapshot->trust_domain.length))
		return CREDENTIAL_OTHER_DOMAIN;
	/* The authorities of our trust domain are there, and without any nobody of it could be verified. */
	return own->n_anchors == 0 ? CREDENTIAL_ANCHORS_UNREADABLE : CREDENTIAL_NONE;
}

static struct credential *
load_own_files(struct loading *loading)
{
	const struct identity_spec *spec = &loading->snapshot->identity;
	const struct credential *before = loading->before == NULL ? NULL : loading->before->own;
	struct credential *own = load_folder(loading, &spec->origin, spec->folder.bytes, before);
	enum credential_error error = own == NULL ? CREDENTIAL_NONE : check_own(loading->snapshot, own);

	if (error == CREDENTIAL_NONE)
		return own;
	keyring_remark(loading, &spec->origin, "%s: %s (%s)", spec->folder.bytes, credential_error_meaning(error),
		       credential_error_text(error));
	credential_drop(own);
	return before == NULL ? NULL : credential_take(before);
}

void
keyring_load_identity(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;
	const struct identity_spec *spec = &snapshot->identity;
	struct keyring_parts *parts = loading->parts;

	if (spec->kind == OWN_IDENTITY_FILES)
		parts->own = load_own_files(loading);
	if (spec->kind == OWN_IDENTITY_EMBEDDED)
		parts->issuer = find_issuer(loading);
	if (parts->issuer != NULL) {
		parts->own = keyring_issue(loading, &spec->origin, spec->spiffe_id.bytes);
		if (parts->own == NULL && loading->before != NULL && loading->before->own != NULL)
			parts->own = credential_take(loading->before->own);
	}
	for (uint32_t i = 0; i < snapshot->n_credentials; i++) {
		const struct credential_spec *credential = snapshot->credentials[i];
		if (credential->needs_chain)
			parts->credentials[i] =
				load_folder(loading, &credential->origin, credential->path.bytes,
					    loading->before == NULL ? NULL : loading->before->credentials[i]);
	}
}
