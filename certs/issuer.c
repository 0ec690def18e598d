/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/issuer.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/bundle_write.h"
#include "certs/ca_folder.h"
#include "certs/pem_read.h"
#include "certs/spiffe_id.h"
#include "certs/svid_cache.h"
#include "platform/text.h"

enum {
	NS_PER_MS = 1000000,
	YOUNG_NS = 2000000000, /* the coarsest time stamps of any file system are of 2 s */
	LAST_PART = 10         /* an SVID in the last tenth of its life isn't given out any more */
};

struct domain {
	char *name, *directory;
	struct ca_folder *folder; /* in force; never empty */
	int64_t seen_ns;          /* the folder's change that was last read */
	uint64_t sequence;        /* of the bundle */
	char *complaint;          /* what was last wrong with the folder, told once; NULL */
};

/* Order of locks: mint, then cache_lock. */
struct issuer {
	OSSL_LIB_CTX *libctx;
	uint32_t lifetime_s;
	pthread_mutex_t mint; /* signing, and the domains' folders */
	struct domain *domains;
	size_t n_domains;
	pthread_mutex_t cache_lock; /* below */
	struct svid_cache cache;
	struct issuer_stats stats;
};

/* --- domains and their CAs -----------------------------------------------------------------------------------------
 */

static struct domain *
find_domain(struct issuer *issuer, const char *name, size_t length)
{
	for (size_t i = 0; i < issuer->n_domains; i++)
		if (strlen(issuer->domains[i].name) == length && memcmp(issuer->domains[i].name, name, length) == 0)
			return &issuer->domains[i];
	return NULL;
}

static void
folder_free(struct ca_folder *folder)
{
	if (folder != NULL)
		ca_folder_free(folder);
	free(folder);
}

/* NULL, with a message, when it can't be read or has no CA. */
static struct ca_folder *
folder_read(struct issuer *issuer, const struct domain *domain, struct text *message)
{
	struct ca_folder *folder = malloc(sizeof(*folder));

	if (folder == NULL) {
		text_print(message, "%s: no memory", domain->directory);
		return NULL;
	}
	if (!ca_folder_load(issuer->libctx, domain->directory, domain->name, true, folder, message)) {
		free(folder);
		return NULL;
	}
	if (folder->n == 0) {
		text_print(message, "%s: no CA in it; `posternctl ca init` makes one", domain->directory);
		free(folder);
		return NULL;
	}
	return folder;
}

/* Whether both publish the same certificates. */
static bool
folder_same(const struct ca_folder *a, const struct ca_folder *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (X509_cmp(a->cas[i].certificate, b->cas[i].certificate) != 0)
			return false;
	return true;
}

static bool
folder_has(const struct ca_folder *folder, const uint8_t *key_id)
{
	for (unsigned i = 0; i < folder->n; i++)
		if (memcmp(folder->cas[i].key_id, key_id, CA_KEY_ID) == 0)
			return true;
	return false;
}

/* Those SVIDs whose CA isn't published any more are of no use to anybody. */
static void
drop_orphans(struct issuer *issuer, const struct domain *domain)
{
	struct svid_entry *entry, *next;
	struct spiffe_id id;

	for (entry = TAILQ_FIRST(&issuer->cache.uses); entry != NULL; entry = next) {
		const char *text = entry->credential->spiffe_id;
		next = TAILQ_NEXT(entry, use);
		if (spiffe_id_parse(text, strlen(text), &id) == CERT_NONE &&
		    spiffe_id_in_domain(&id, domain->name, strlen(domain->name)) &&
		    !folder_has(domain->folder, entry->authority))
			svid_cache_remove(&issuer->cache, entry);
	}
}

/* Whether the bundle changes. Its number is the folder's time, and in any case more than before. */
static bool
folder_adopt(struct issuer *issuer, struct domain *domain, struct ca_folder *folder)
{
	uint64_t changed_ms = (uint64_t)(folder->changed_ns / NS_PER_MS);
	bool changes_bundle = domain->folder == NULL || !folder_same(folder, domain->folder);

	if (changes_bundle)
		domain->sequence = changed_ms > domain->sequence ? changed_ms : domain->sequence + 1;
	folder_free(domain->folder);
	domain->folder = folder;
	pthread_mutex_lock(&issuer->cache_lock);
	drop_orphans(issuer, domain);
	pthread_mutex_unlock(&issuer->cache_lock);
	return changes_bundle;
}

/* Tells what is wrong when it is something new. */
static void
complain(struct domain *domain, const struct text *complaint, struct text *message)
{
	if (domain->complaint != NULL && strcmp(domain->complaint, complaint->bytes) == 0)
		return;
	free(domain->complaint);
	domain->complaint = strdup(complaint->bytes);
	text_print(message, "%s%s", message->length > 0 ? "; " : "", complaint->bytes);
}

/* Whether the domain's bundle has changed. */
static bool
domain_poll(struct issuer *issuer, struct domain *domain, int64_t now_ns, struct text *message)
{
	struct text complaint = {0};
	int64_t changed_ns = ca_folder_changed_ns(domain->directory);

	if (changed_ns == domain->seen_ns && domain->complaint == NULL)
		return false;
	struct ca_folder *folder = folder_read(issuer, domain, &complaint);
	if (folder == NULL) {
		complain(domain, &complaint, message);
		text_free(&complaint);
		return false;
	}
	free(domain->complaint);
	domain->complaint = NULL;
	/* The time was taken before the files were read. One so young may hide a second change: read once more. */
	bool young = llabs(now_ns - folder->changed_ns) < YOUNG_NS;
	domain->seen_ns = young ? 0 : folder->changed_ns;
	return folder_adopt(issuer, domain, folder);
}

bool
issuer_poll(struct issuer *issuer, int64_t now_ns, struct text *message)
{
	bool changed = false;

	pthread_mutex_lock(&issuer->mint);
	for (size_t i = 0; i < issuer->n_domains; i++)
		changed |= domain_poll(issuer, &issuer->domains[i], now_ns, message);
	pthread_mutex_unlock(&issuer->mint);
	return changed;
}

static bool
domain_open(struct issuer *issuer, struct domain *domain, const char *root, const char *name, struct text *message)
{
	/* ".." could be one, but not a folder of ours. */
	if (spiffe_domain_check(name, strlen(name)) != CERT_NONE || name[0] == '.') {
		text_print(message, "\"%s\" can't be a trust domain of the box", name);
		return false;
	}
	domain->name = strdup(name);
	if (domain->name == NULL || asprintf(&domain->directory, "%s/%s", root, name) < 0) {
		domain->directory = NULL;
		text_print(message, "no memory");
		return false;
	}
	struct ca_folder *folder = folder_read(issuer, domain, message);
	if (folder == NULL)
		return false;
	folder_adopt(issuer, domain, folder); /* seen_ns stays 0: the first poll reads it once more */
	return true;
}

struct issuer *
issuer_open(const struct issuer_config *config, struct text *message)
{
	struct issuer *issuer = calloc(1, sizeof(*issuer));
	uint32_t lifetime_s = config->lifetime_s == 0 ? ISSUER_LIFETIME_S : config->lifetime_s;

	if (issuer == NULL) {
		text_print(message, "no memory");
		return NULL;
	}
	pthread_mutex_init(&issuer->mint, NULL);
	pthread_mutex_init(&issuer->cache_lock, NULL);
	lifetime_s = lifetime_s < ISSUER_LIFETIME_MIN_S ? ISSUER_LIFETIME_MIN_S : lifetime_s;
	issuer->lifetime_s = lifetime_s > ISSUER_LIFETIME_MAX_S ? ISSUER_LIFETIME_MAX_S : lifetime_s;
	issuer->libctx = OSSL_LIB_CTX_new();
	issuer->domains = calloc(config->n_trust_domains + 1, sizeof(*issuer->domains));
	if (issuer->libctx == NULL || issuer->domains == NULL ||
	    !svid_cache_open(&issuer->cache, config->cache_max == 0 ? ISSUER_CACHE_MAX : config->cache_max)) {
		text_print(message, "no memory");
		goto Failed;
	}
	for (size_t i = 0; i < config->n_trust_domains; i++) {
		issuer->n_domains++;
		if (!domain_open(issuer, &issuer->domains[i], config->root, config->trust_domains[i], message))
			goto Failed;
	}
	return issuer;
Failed:
	issuer_close(issuer);
	return NULL;
}

void
issuer_close(struct issuer *issuer)
{
	if (issuer == NULL)
		return;
	svid_cache_close(&issuer->cache);
	for (size_t i = 0; i < issuer->n_domains; i++) {
		struct domain *domain = &issuer->domains[i];
		folder_free(domain->folder);
		free(domain->name);
		free(domain->directory);
		free(domain->complaint);
	}
	free(issuer->domains);
	OSSL_LIB_CTX_free(issuer->libctx);
	pthread_mutex_destroy(&issuer->mint);
	pthread_mutex_destroy(&issuer->cache_lock);
	free(issuer);
}

/* --- SVIDs ---------------------------------------------------------------------------------------------------------
 */

static bool
is_fresh(const struct credential *credential, int64_t now)
{
	int64_t last_part = (credential->not_after - credential->not_before) / LAST_PART;
	return now >= credential->not_before && now < credential->not_after - last_part;
}

/* A new one, put into the cache. Under mint. */
static struct credential *
mint_svid(struct issuer *issuer, const struct spiffe_id *id, int64_t now, enum credential_error *error)
{
	const struct domain *domain = find_domain(issuer, spiffe_id_domain(id), id->domain_length);
	struct credential *credential = NULL;
	char text[SPIFFE_ID_MAX + 1];

	*error = CREDENTIAL_NO_CA;
	if (domain == NULL)
		return NULL;
	const struct ca *ca = ca_folder_signer(domain->folder, now, ISSUER_LEAD_S);
	*error = CREDENTIAL_CA_EXPIRED;
	if (ca == NULL)
		return NULL;
	int64_t from = now - ISSUER_BACKDATE_S, to = now + issuer->lifetime_s;
	memcpy(text, id->text, id->length);
	text[id->length] = '\0';
	EVP_PKEY *key = key_generate(issuer->libctx, CREDENTIAL_EC_P256, 0);
	X509 *leaf =
		key == NULL ? NULL
			    : ca_sign_svid(issuer->libctx, ca, text, key, from > ca->not_before ? from : ca->not_before,
					   to < ca->not_after ? to : ca->not_after);
	*error = CREDENTIAL_SIGNING;
	if (leaf != NULL)
		credential = credential_issued(&leaf, 1, key, error);
	X509_free(leaf);
	EVP_PKEY_free(key);
	if (credential == NULL)
		return NULL;
	pthread_mutex_lock(&issuer->cache_lock);
	svid_cache_put(&issuer->cache, credential, ca->key_id);
	pthread_mutex_unlock(&issuer->cache_lock);
	return credential;
}

/* What the cache has, when it may be given out. */
static struct credential *
cached_svid(struct issuer *issuer, const struct spiffe_id *id, int64_t now)
{
	struct credential *credential = NULL;

	pthread_mutex_lock(&issuer->cache_lock);
	struct svid_entry *entry = svid_cache_find(&issuer->cache, id->text, id->length);
	if (entry != NULL && is_fresh(entry->credential, now)) {
		svid_cache_use(&issuer->cache, entry);
		credential = credential_take(entry->credential);
		issuer->stats.hits++;
	}
	pthread_mutex_unlock(&issuer->cache_lock);
	return credential;
}

static void
count(struct issuer *issuer, uint64_t *counter, uint64_t n)
{
	pthread_mutex_lock(&issuer->cache_lock);
	*counter += n;
	pthread_mutex_unlock(&issuer->cache_lock);
}

struct credential *
issuer_get(struct issuer *issuer, const char *spiffe_id, size_t length, int64_t now, enum credential_error *error)
{
	struct spiffe_id id;

	*error = CREDENTIAL_NONE;
	if (spiffe_id_parse(spiffe_id, length, &id) != CERT_NONE || spiffe_id_is_root(&id)) {
		*error = CREDENTIAL_ID_INVALID;
		count(issuer, &issuer->stats.failed, 1);
		return NULL;
	}
	struct credential *credential = cached_svid(issuer, &id, now);
	if (credential != NULL)
		return credential;
	pthread_mutex_lock(&issuer->mint);
	/* Another thread may have made it while this one waited. */
	credential = cached_svid(issuer, &id, now);
	if (credential == NULL) {
		credential = mint_svid(issuer, &id, now, error);
		count(issuer, credential != NULL ? &issuer->stats.issued : &issuer->stats.failed, 1);
	}
	pthread_mutex_unlock(&issuer->mint);
	return credential;
}

/* Drops what has expired; returns references to at most `most` that are to be made anew. */
static size_t
list_due(struct issuer *issuer, struct credential **due, size_t most, int64_t now)
{
	struct svid_entry *entry, *next;
	size_t n = 0;

	pthread_mutex_lock(&issuer->cache_lock);
	for (entry = TAILQ_FIRST(&issuer->cache.uses); entry != NULL; entry = next) {
		const struct credential *credential = entry->credential;
		next = TAILQ_NEXT(entry, use);
		if (now >= credential->not_after)
			svid_cache_remove(&issuer->cache, entry);
		else if (n < most && entry->used && now - credential->not_before >= credential->not_after - now)
			due[n++] = credential_take(credential);
	}
	pthread_mutex_unlock(&issuer->cache_lock);
	return n;
}

size_t
issuer_renew(struct issuer *issuer, size_t most, int64_t now)
{
	struct credential **due = calloc(most + 1, sizeof(struct credential *));
	enum credential_error error;
	struct spiffe_id id;
	size_t made = 0;

	if (due == NULL)
		return 0;
	size_t n = list_due(issuer, due, most, now);
	for (size_t i = 0; i < n; i++) {
		/* One signature at a time: a handshake that misses waits for one and not for all of them. */
		pthread_mutex_lock(&issuer->mint);
		struct credential *fresh =
			spiffe_id_parse(due[i]->spiffe_id, strlen(due[i]->spiffe_id), &id) == CERT_NONE
				? mint_svid(issuer, &id, now, &error)
				: NULL;
		pthread_mutex_unlock(&issuer->mint);
		count(issuer, fresh != NULL ? &issuer->stats.renewed : &issuer->stats.failed, 1);
		made += fresh != NULL;
		credential_drop(fresh);
		credential_drop(due[i]);
	}
	free(due);
	return made;
}

void
issuer_stats(struct issuer *issuer, struct issuer_stats *stats)
{
	pthread_mutex_lock(&issuer->cache_lock);
	*stats = issuer->stats;
	stats->evicted = issuer->cache.evicted;
	stats->cached = issuer->cache.n;
	pthread_mutex_unlock(&issuer->cache_lock);
}

/* --- bundles -------------------------------------------------------------------------------------------------------
 */

/* What writes a bundle. */
static bool
write_bundle(struct issuer *issuer, const char *trust_domain, bool jwks, struct text *out)
{
	X509 *authorities[CA_FOLDER_MAX];
	struct text bundle = {0};
	bool done = false;

	pthread_mutex_lock(&issuer->mint);
	const struct domain *domain = find_domain(issuer, trust_domain, strlen(trust_domain));
	if (domain != NULL) {
		const struct ca_folder *folder = domain->folder;
		for (unsigned i = 0; i < folder->n; i++)
			authorities[i] = folder->cas[i].certificate;
		done = jwks ? bundle_write_jwks(authorities, folder->n, domain->sequence, ISSUER_REFRESH_S, &bundle)
			    : bundle_write_pem(authorities, folder->n, &bundle);
	}
	pthread_mutex_unlock(&issuer->mint);
	if (done)
		text_add(out, bundle.bytes, bundle.length);
	text_free(&bundle);
	return done;
}

bool
issuer_bundle_jwks(struct issuer *issuer, const char *trust_domain, struct text *out)
{
	return write_bundle(issuer, trust_domain, true, out);
}

bool
issuer_bundle_pem(struct issuer *issuer, const char *trust_domain, struct text *out)
{
	return write_bundle(issuer, trust_domain, false, out);
}
