/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "certs/credential_file.h"
#include "certs/crl.h"
#include "certs/file_read.h"
#include "certs/issuer.h"
#include "gateway/keyring_book.h"
#include "platform/log.h"
#include "platform/text.h"

enum { RENEW_MOST = 16 /* SVIDs of mapped identities made anew in one poll */ };

/* An embedded CA. One that the federation no longer names is kept to the end: sessions may still point to it. */
struct keyring_issuer {
	struct keyring_issuer *next;
	char *folder;
	char **owns; /* NULL-terminated */
	uint32_t lifetime_s;
	struct issuer *issuer;
};

struct keyring {
	struct trust_slot slot;
	uint64_t generation;
	struct keyring_issuer *issuers;
	uint64_t stamp; /* of all files of the set in force */
	bool young;     /* one of them was written just before it was read */
	bool failing;   /* what is there now can't be loaded */
	int64_t renew_at;
	struct text last_error;
};

/* What is being loaded. */
struct loading {
	struct keyring *keyring;
	const struct snapshot *snapshot;
	struct key_set *set;
	struct text *error;
	struct credential **credentials; /* by index of the snapshot's */
	struct credential *own;
	struct keyring_issuer *issuer; /* NULL: no embedded CA */
	int64_t now, renew_at;
	bool failed;
};

static void *
allocate(size_t n, size_t size)
{
	void *memory = calloc(n + 1, size);
	if (memory == NULL)
		abort(); /* as in platform/text.c */
	return memory;
}

/* A line of error: where it is written, and what is wrong. */
static void __attribute__((format(printf, 3, 4)))
complain(struct loading *loading, const struct origin *origin, const char *format, ...)
{
	va_list arguments;

	loading->failed = true;
	if (loading->error->length != 0)
		text_print(loading->error, "\n");
	if (origin != NULL && origin->file != NULL)
		text_print(loading->error, "%s:%u:%u: ", origin->file, origin->line, origin->column);
	va_start(arguments, format);
	text_vprint(loading->error, format, arguments);
	va_end(arguments);
}

struct keyring *
keyring_create(void)
{
	struct keyring *keyring = allocate(1, sizeof(*keyring));

	keyring->slot = (struct trust_slot)TRUST_SLOT_INITIALIZER;
	return keyring;
}

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
keyring_free(struct keyring *keyring)
{
	if (keyring == NULL)
		return;
	trust_slot_publish(&keyring->slot, NULL);
	for (struct keyring_issuer *issuer = keyring->issuers, *next; issuer != NULL; issuer = next) {
		next = issuer->next;
		issuer_free(issuer);
	}
	text_free(&keyring->last_error);
	free(keyring);
}

struct trust_slot *
keyring_trust(struct keyring *keyring)
{
	return &keyring->slot;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* Calls for each file that the snapshot points to, there or not. */
static void
each_file(const struct snapshot *snapshot, void (*visit)(void *context, const char *path), void *context)
{
	static const char *const names[] = {"/tls.crt", "/tls.key", "/ca.crt"};
	char path[4096];

	for (uint32_t i = 0; i <= snapshot->n_credentials; i++) {
		const char *folder = i < snapshot->n_credentials ? snapshot->credentials[i]->path.bytes
								 : snapshot->identity.folder.bytes;
		for (unsigned k = 0; folder != NULL && folder[0] != '\0' && k < 3; k++) {
			snprintf(path, sizeof(path), "%s%s", folder, names[k]);
			visit(context, path);
		}
	}
	for (uint32_t i = 0; i < snapshot->n_domains; i++)
		visit(context, snapshot->domains[i].bootstrap_bundle.bytes);
	for (uint32_t i = 0; i < snapshot->n_pkis; i++) {
		for (uint32_t k = 0; k < snapshot->pkis[i].n_anchors; k++)
			visit(context, snapshot->pkis[i].anchors[k].bytes);
		for (uint32_t k = 0; k < snapshot->pkis[i].n_crls; k++)
			visit(context, snapshot->pkis[i].crls[k].bytes);
	}
}

struct stamping {
	uint64_t hash;
	int64_t newest_ns;
};

static void
stamp_file(void *context, const char *path)
{
	struct stamping *stamping = context;
	struct stat status = {0};
	int result = stat(path, &status);
	uint64_t words[] = {result == 0 ? 1 : 0,
			    status.st_dev,
			    status.st_ino,
			    (uint64_t)status.st_size,
			    (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec,
			    (uint64_t)status.st_ctim.tv_sec * 1000000000 + (uint64_t)status.st_ctim.tv_nsec};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		stamping->hash = (stamping->hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (stamping->hash >> 29);
	if ((int64_t)words[5] > stamping->newest_ns)
		stamping->newest_ns = (int64_t)words[5];
}

/* What all files are now; *young: one was written so shortly before that another write may not show. */
static uint64_t
stamp(const struct snapshot *snapshot, int64_t now, bool *young)
{
	struct stamping stamping = {0};

	each_file(snapshot, stamp_file, &stamping);
	*young = stamping.newest_ns / 1000000000 >= now - 1;
	return stamping.hash;
}

static bool
read_file(struct loading *loading, const struct origin *origin, const char *path, size_t most, struct secret *content)
{
	int result = file_read_at(AT_FDCWD, path, most, content, NULL);

	if (result != 0)
		complain(loading, origin, "%s can't be read: %s", path, strerror(result));
	return result == 0;
}

/* --- who we are --------------------------------------------------------------------------------------------------- */

static void
note_renewal(struct loading *loading, const struct credential *credential)
{
	int64_t half = credential->not_before + (credential->not_after - credential->not_before) / 2;
	if (half < loading->renew_at)
		loading->renew_at = half;
}

static struct credential *
load_folder(struct loading *loading, const struct origin *origin, const char *folder)
{
	struct credential_stamp files;
	enum credential_error error;
	bool exposed = false;
	struct credential *credential = credential_file_load(NULL, folder, loading->now, &files, &exposed, &error);

	if (credential == NULL)
		complain(loading, origin, "%s: %s (%s)", folder, credential_error_meaning(error),
			 credential_error_text(error));
	else if (exposed)
		log_warn("gateway", "others may read a private key", LOG_STR("folder", folder));
	return credential;
}

static bool
same_owns(char *const *a, const char *const *b, size_t n)
{
	size_t i;

	for (i = 0; i < n && a[i] != NULL; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return i == n && a[n] == NULL;
}

/* The embedded CA of the federation: the one that is there already, when nothing about it changed. */
static struct keyring_issuer *
find_issuer(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;
	const struct identity_spec *spec = &snapshot->identity;
	const char **owns = allocate(snapshot->n_identity_maps + 1, sizeof(*owns));
	struct keyring_issuer *issuer;
	struct text message = {0};
	size_t n = 0;

	owns[n++] = snapshot->trust_domain.bytes;
	for (uint32_t i = 0; i < snapshot->n_identity_maps; i++) {
		char path[4096];
		struct stat status;
		snprintf(path, sizeof(path), "%s/%s", spec->folder.bytes,
			 snapshot->identity_maps[i].trust_domain.bytes);
		if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
			owns[n++] = snapshot->identity_maps[i].trust_domain.bytes;
	}
	for (issuer = loading->keyring->issuers; issuer != NULL; issuer = issuer->next)
		if (strcmp(issuer->folder, spec->folder.bytes) == 0 && same_owns(issuer->owns, owns, n) &&
		    issuer->lifetime_s == spec->svid_ttl_ms / 1000)
			break;
	if (issuer == NULL) {
		const struct issuer_config config = {.root = spec->folder.bytes,
						     .trust_domains = owns,
						     .n_trust_domains = n,
						     .lifetime_s = spec->svid_ttl_ms / 1000};
		struct issuer *opened = issuer_open(&config, &message);
		if (opened == NULL) {
			complain(loading, &spec->origin, "the embedded CA: %s", message.bytes);
		} else {
			issuer = allocate(1, sizeof(*issuer));
			*issuer = (struct keyring_issuer){loading->keyring->issuers, strdup(spec->folder.bytes),
							  allocate(n, sizeof(char *)), config.lifetime_s, opened};
			for (size_t i = 0; i < n; i++)
				issuer->owns[i] = strdup(owns[i]);
			loading->keyring->issuers = issuer;
		}
	}
	text_free(&message);
	free((void *)owns);
	return issuer;
}

static struct credential *
issue(struct loading *loading, const struct origin *origin, const char *spiffe_id)
{
	enum credential_error error;
	struct credential *credential =
		issuer_get(loading->issuer->issuer, spiffe_id, strlen(spiffe_id), loading->now, &error);

	if (credential == NULL)
		complain(loading, origin, "the embedded CA can't issue %s: %s (%s)", spiffe_id,
			 credential_error_meaning(error), credential_error_text(error));
	else
		note_renewal(loading, credential);
	return credential;
}

static void
load_own(struct loading *loading)
{
	const struct identity_spec *spec = &loading->snapshot->identity;

	if (spec->kind == OWN_IDENTITY_FILES) {
		loading->own = load_folder(loading, &spec->origin, spec->folder.bytes);
		if (loading->own != NULL && loading->own->spiffe_id[0] == '\0')
			complain(loading, &spec->origin, "%s: %s", spec->folder.bytes,
				 credential_error_meaning(CREDENTIAL_NOT_SVID));
	} else if (spec->kind == OWN_IDENTITY_EMBEDDED) {
		loading->issuer = find_issuer(loading);
		if (loading->issuer != NULL)
			loading->own = issue(loading, &spec->origin, spec->spiffe_id.bytes);
	}
}

/* --- whom we trust ------------------------------------------------------------------------------------------------ */

static void
add_domain(struct loading *loading, const struct origin *origin, const char *domain, enum cert_error error,
	   struct bundle *bundle)
{
	if (error == CERT_NONE)
		error = trust_add_domain(loading->set->trust, domain, strlen(domain), bundle);
	if (error != CERT_NONE)
		complain(loading, origin, "the bundle of %s: %s (%s)", domain, cert_error_meaning(error),
			 cert_error_text(error));
	bundle_drop(bundle);
}

static void
add_pki(struct loading *loading, const struct origin *origin, const char *name, enum cert_error error,
	struct bundle *anchors, struct crl_list *crls, enum trust_revocation revocation)
{
	if (error == CERT_NONE)
		error = trust_add_pki(loading->set->trust, name, anchors, crls, revocation);
	if (error != CERT_NONE)
		complain(loading, origin, "the PKI %s: %s (%s)", name, cert_error_meaning(error),
			 cert_error_text(error));
	bundle_drop(anchors);
	crl_drop(crls);
}

/* The CA certificates beside a credential, as a bundle. */
static enum cert_error
bundle_of(const struct credential *credential, struct bundle **bundle)
{
	struct text der = {0};

	for (unsigned i = 0; i < credential->n_anchors; i++)
		text_add(&der, (const char *)credential->anchors[i].der, credential->anchors[i].length);
	enum cert_error error = bundle_parse_der((const uint8_t *)der.bytes, der.length, bundle);
	text_free(&der);
	return error;
}

static void
trust_own_domain(struct loading *loading)
{
	const struct identity_spec *spec = &loading->snapshot->identity;
	const char *domain = loading->snapshot->trust_domain.bytes;
	struct bundle *bundle = NULL;
	struct text pem = {0};

	if (spec->kind == OWN_IDENTITY_FILES && loading->own != NULL) {
		enum cert_error error = bundle_of(loading->own, &bundle);
		add_domain(loading, &spec->origin, domain, error, bundle);
	} else if (loading->issuer != NULL) {
		for (char **owned = loading->issuer->owns; *owned != NULL; owned++) {
			pem.length = 0;
			issuer_bundle_pem(loading->issuer->issuer, *owned, &pem);
			enum cert_error error = bundle_parse_pem(pem.bytes, pem.length, &bundle);
			add_domain(loading, &spec->origin, *owned, error, bundle);
		}
		text_free(&pem);
	}
}

static void
trust_federated_domain(struct loading *loading, const struct federated_domain *domain)
{
	struct secret content = {0};
	struct bundle *bundle = NULL;
	const char *path = domain->bootstrap_bundle.bytes;

	if (!read_file(loading, &domain->origin, path, BUNDLE_BYTES_MAX + 1, &content))
		return;
	const char *text = (const char *)content.bytes;
	size_t blank = 0;
	while (blank < content.length && strchr(" \t\r\n", text[blank]) != NULL)
		blank++;
	enum cert_error error = blank < content.length && text[blank] == '{'
					? bundle_parse_jwks(text, content.length, &bundle)
					: bundle_parse_pem(text, content.length, &bundle);
	add_domain(loading, &domain->origin, domain->trust_domain.bytes, error, bundle);
	secret_free(&content);
}

static enum trust_revocation
revocation_of(const struct legacy_pki_spec *pki)
{
	if (pki->refuse_unknown_revocation)
		return TRUST_REVOCATION_REQUIRED;
	return pki->n_crls != 0 ? TRUST_REVOCATION_IF_LISTED : TRUST_REVOCATION_OFF;
}

static void
trust_pki(struct loading *loading, const struct legacy_pki_spec *pki)
{
	struct text anchors_pem = {0};
	struct secret content = {0};
	struct bundle *anchors = NULL;
	struct crl_list *crls = NULL;
	enum cert_error error = CERT_NONE;
	bool readable = true;

	for (uint32_t i = 0; i < pki->n_anchors; i++) {
		if (read_file(loading, &pki->origin, pki->anchors[i].bytes, BUNDLE_BYTES_MAX + 1, &content)) {
			text_add(&anchors_pem, (const char *)content.bytes, content.length);
			text_add(&anchors_pem, "\n", 1);
			secret_free(&content);
		} else {
			readable = false;
		}
	}
	for (uint32_t i = 0; i < pki->n_crls; i++) {
		struct crl_list *more = NULL, *all = NULL;
		if (!read_file(loading, &pki->origin, pki->crls[i].bytes, CRL_BYTES_MAX + 1, &content)) {
			readable = false;
			continue;
		}
		enum cert_error wrong = crl_parse((const char *)content.bytes, content.length, &more);
		if (wrong == CERT_NONE && crls != NULL) {
			wrong = crl_join(crls, more, &all);
			crl_drop(more);
			crl_drop(crls);
			crls = all;
		} else if (wrong == CERT_NONE) {
			crls = more;
		}
		error = error != CERT_NONE ? error : wrong;
		secret_free(&content);
	}
	if (readable && error == CERT_NONE)
		error = bundle_parse_pem(anchors_pem.bytes, anchors_pem.length, &anchors);
	if (readable)
		add_pki(loading, &pki->origin, pki->name.bytes, error, anchors, crls, revocation_of(pki));
	else
		crl_drop(crls);
	text_free(&anchors_pem);
}

static void
warn(void *context, const struct trust_warning *warning)
{
	(void)context;
	log_warn("gateway", "an authority speaks for nobody", LOG_STR("error", cert_error_text(warning->error)),
		 LOG_STR("trustDomain", warning->domain), LOG_STR("because", warning->other));
}

static void
load_trust(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;
	struct key_set *set = loading->set;

	set->trust = trust_new(++loading->keyring->generation);
	if (set->trust == NULL)
		abort();
	trust_set_local(set->trust, snapshot->trust_domain.bytes, snapshot->trust_domain.length);
	trust_own_domain(loading);
	for (uint32_t i = 0; i < snapshot->n_domains; i++)
		trust_federated_domain(loading, &snapshot->domains[i]);
	for (uint32_t i = 0; i < snapshot->n_pkis; i++)
		trust_pki(loading, &snapshot->pkis[i]);
	for (uint32_t i = 0; i < snapshot->n_credentials; i++) {
		const struct credential_spec *spec = snapshot->credentials[i];
		struct bundle *anchors = NULL;
		struct text name = {0};
		if (!spec->needs_ca || loading->credentials[i] == NULL)
			continue;
		keyring_pki_name(spec, &name);
		enum cert_error error = bundle_of(loading->credentials[i], &anchors);
		add_pki(loading, &spec->origin, name.bytes, error, anchors, NULL, TRUST_REVOCATION_OFF);
		text_free(&name);
	}
	trust_seal(set->trust);
	trust_warnings(set->trust, warn, NULL);
}

/* --- as whom we speak --------------------------------------------------------------------------------------------- */

static uint32_t
credential_index(const struct snapshot *snapshot, const struct credential_spec *spec)
{
	uint32_t i = 0;

	while (i < snapshot->n_credentials && snapshot->credentials[i] != spec)
		i++;
	return i;
}

static struct tls_terms *
server_terms(struct loading *loading, const struct listener_tls *tls, const struct credential *credential,
	     const struct peer_demand *demand)
{
	struct tls_bytes chain[CREDENTIAL_CHAIN_MAX];
	struct tls_credential presented = {chain, credential->n_chain, {credential->key.bytes, credential->key.length}};
	struct tls_terms_source source = {.role = TLS_SERVER,
					  .verify = demand == NULL ? TLS_VERIFY_NONE : TLS_VERIFY_REQUIRED,
					  .oldest = tls->least == TLS_WIRE_1_3 ? TLS_1_3 : TLS_1_2,
					  .newest = tls->most == TLS_WIRE_1_2 ? TLS_1_2 : TLS_1_3,
					  .credentials = &presented,
					  .n_credentials = 1,
					  .policy = demand == NULL ? NULL : demand->policy.bytes};
	char why[256];

	for (unsigned i = 0; i < credential->n_chain; i++)
		chain[i] = (struct tls_bytes){credential->chain[i].der, credential->chain[i].length};
	struct tls_terms *terms = tls_terms_new(&source);
	if (terms != NULL && tls_terms_check(terms, why, sizeof(why)))
		return terms;
	complain(loading, &tls->origin, "TLS can't be spoken with that certificate: %s",
		 terms == NULL ? "too many" : why);
	tls_terms_drop(terms);
	return NULL;
}

static struct peer_demand *
client_demand(struct loading *loading, const struct listener_tls *tls)
{
	struct peer_demand_source source = {.role = PEER_CLIENT, .n_names = tls->n_names};
	const char **names = allocate(tls->n_names, sizeof(*names));
	struct text pki = {0};

	for (uint32_t i = 0; i < tls->n_names; i++)
		names[i] = tls->names[i].text.bytes;
	source.names = names;
	if (tls->clients.kind == ANCHORS_LEGACY_PKI) {
		source.anchors = PEER_ANCHORS_PKI;
		source.pki = tls->clients.pki->name.bytes;
		source.book = loading->set->book;
		if (loading->issuer != NULL) {
			source.issuer = loading->issuer->issuer;
			source.owns = (const char *const *)loading->issuer->owns;
		}
	} else if (tls->clients.kind == ANCHORS_CREDENTIAL) {
		keyring_pki_name(tls->clients.credential, &pki);
		source.anchors = PEER_ANCHORS_PKI;
		source.pki = pki.bytes;
	}
	struct peer_demand *demand = tls->clients.kind == ANCHORS_NONE ? NULL : peer_demand_new(&source);
	text_free(&pki);
	free((void *)names);
	return demand;
}

static void
load_servers(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;

	loading->set->servers = allocate(snapshot->n_listeners, sizeof(*loading->set->servers));
	for (uint16_t i = 0; i < snapshot->n_listeners; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		struct key_use *uses = allocate(listener->n_tls, sizeof(*uses));
		loading->set->servers[listener->index] = uses;
		for (uint32_t k = 0; k < listener->n_tls; k++) {
			const struct listener_tls *tls = &listener->tls[k];
			const struct credential *credential =
				tls->credential == NULL
					? loading->own
					: loading->credentials[credential_index(snapshot, tls->credential)];
			if (credential == NULL)
				continue; /* told already */
			uses[k].demand = client_demand(loading, tls);
			uses[k].terms = server_terms(loading, tls, credential, uses[k].demand);
		}
	}
}

static void
load_clients(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;
	struct key_set *set = loading->set;

	set->anonymous = tls_terms_new(&(struct tls_terms_source){
		.role = TLS_CLIENT, .verify = TLS_VERIFY_REQUIRED, .oldest = TLS_1_2, .newest = TLS_1_3});
	set->own = loading->own == NULL ? NULL : peer_proof_terms(loading->own);
	set->clients = allocate(snapshot->n_credentials, sizeof(*set->clients));
	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		if (snapshot->credentials[i]->needs_chain && loading->credentials[i] != NULL)
			set->clients[i] = peer_proof_terms(loading->credentials[i]);
	set->networks = allocate(snapshot->n_identity_rules, sizeof(*set->networks));
	for (uint32_t i = 0; i < snapshot->n_identity_rules && loading->issuer != NULL; i++) {
		const struct identity_rule_spec *rule = &snapshot->identity_rules[i];
		if (rule->from != IDENTITY_FROM_NETWORK ||
		    !keyring_owns((const char *const *)loading->issuer->owns, rule->map->trust_domain.bytes))
			continue;
		struct credential *credential = issue(loading, &rule->origin, rule->spiffe_id.bytes);
		set->networks[i] = credential == NULL ? NULL : peer_proof_terms(credential);
		credential_drop(credential);
	}
}

struct key_set *
keyring_load(struct keyring *keyring, const struct snapshot *snapshot, struct text *error)
{
	struct loading loading = {.keyring = keyring,
				  .snapshot = snapshot,
				  .set = allocate(1, sizeof(struct key_set)),
				  .error = error,
				  .credentials = allocate(snapshot->n_credentials, sizeof(struct credential *)),
				  .now = time(NULL),
				  .renew_at = INT64_MAX};

	loading.set->snapshot = snapshot;
	load_own(&loading);
	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		loading.credentials[i] =
			load_folder(&loading, &snapshot->credentials[i]->origin, snapshot->credentials[i]->path.bytes);
	load_trust(&loading);
	loading.set->book = keyring_book(snapshot, loading.keyring->generation);
	load_servers(&loading);
	load_clients(&loading);
	loading.set->own_id = loading.set->memory = strdup(loading.own == NULL ? "" : loading.own->spiffe_id);
	keyring->renew_at = loading.renew_at;

	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		credential_drop(loading.credentials[i]);
	free((void *)loading.credentials);
	credential_drop(loading.own);
	if (loading.failed) {
		key_set_free(loading.set);
		return NULL;
	}
	return loading.set;
}

void
keyring_commit(struct keyring *keyring, const struct key_set *set)
{
	keyring->stamp = stamp(set->snapshot, time(NULL), &keyring->young);
	keyring->failing = false;
	trust_slot_publish(&keyring->slot, trust_take(set->trust));
}

struct key_set *
keyring_poll(struct keyring *keyring, const struct snapshot *snapshot)
{
	int64_t now = time(NULL);
	bool young = false, reissued = false;
	struct text message = {0};

	for (struct keyring_issuer *issuer = keyring->issuers; issuer != NULL; issuer = issuer->next) {
		issuer_renew(issuer->issuer, RENEW_MOST, now);
		reissued = issuer_poll(issuer->issuer, now * 1000000000, &message) || reissued;
	}
	if (message.length != 0)
		log_error("gateway", "the embedded CA's folder can't be read", LOG_STR("detail", message.bytes));
	text_free(&message);
	if (stamp(snapshot, now, &young) == keyring->stamp && !keyring->young && !keyring->failing && !reissued &&
	    now < keyring->renew_at)
		return NULL;

	struct key_set *set = keyring_load(keyring, snapshot, &message);
	keyring->failing = set == NULL;
	if (set == NULL && (keyring->last_error.length == 0 || strcmp(message.bytes, keyring->last_error.bytes) != 0)) {
		log_error("gateway", "certificates or keys that changed can't be used; those of before stay in force",
			  LOG_STR("detail", message.bytes));
		text_free(&keyring->last_error);
		keyring->last_error = message;
		return NULL;
	}
	if (set != NULL)
		text_free(&keyring->last_error);
	text_free(&message);
	return set;
}

void
key_set_free(struct key_set *set)
{
	if (set == NULL)
		return;
	const struct snapshot *snapshot = set->snapshot;
	for (uint16_t i = 0; i < snapshot->n_listeners && set->servers != NULL; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		struct key_use *uses = set->servers[listener->index];
		for (uint32_t k = 0; k < listener->n_tls; k++) {
			tls_terms_drop(uses[k].terms);
			peer_demand_drop(uses[k].demand);
		}
		free(uses);
	}
	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		tls_terms_drop(set->clients[i]);
	for (uint32_t i = 0; i < snapshot->n_identity_rules; i++)
		tls_terms_drop(set->networks[i]);
	free((void *)set->servers);
	free((void *)set->clients);
	free((void *)set->networks);
	tls_terms_drop(set->own);
	tls_terms_drop(set->anonymous);
	trust_drop(set->trust);
	peer_book_drop(set->book);
	free(set->memory);
	free(set);
}

/* --- look-ups ----------------------------------------------------------------------------------------------------- */

const struct key_use *
key_set_server(const struct key_set *set, const struct listener *listener, const struct listener_tls *tls)
{
	return &set->servers[listener->index][tls - listener->tls];
}

struct tls_terms *
key_set_client(const struct key_set *set, const struct backend_tls *tls)
{
	switch (tls->mode) {
	case TLS_MODE_SIMPLE:
		return set->anonymous;
	case TLS_MODE_MUTUAL:
		return set->clients[credential_index(set->snapshot, tls->credential)];
	case TLS_MODE_ISTIO_MUTUAL:
		return set->own;
	default:
		return NULL;
	}
}

struct peer_demand *
key_set_demand(const struct key_set *set, const struct backend *backend, const struct endpoint *endpoint)
{
	const struct backend_tls *tls = backend->tls;
	struct peer_demand_source source = {.role = PEER_SERVER, .n_names = tls->n_names};
	const char **names = allocate(tls->n_names + 1, sizeof(*names));
	char sni[BACKEND_SNI_MAX];
	struct text pki = {0};

	(void)set;
	for (uint32_t i = 0; i < tls->n_names; i++)
		names[i] = tls->names[i].text.bytes;
	source.names = names;
	if (tls->servers.kind == ANCHORS_FEDERATION) {
		source.domain = endpoint->trust_domain.bytes;
		source.space = backend->service->space.bytes;
		source.account = endpoint->is_gateway ? "" : endpoint->service_account.bytes;
	} else {
		source.anchors = PEER_ANCHORS_PKI;
		if (tls->servers.kind == ANCHORS_CREDENTIAL)
			keyring_pki_name(tls->servers.credential, &pki);
		source.pki = tls->servers.kind == ANCHORS_CREDENTIAL ? pki.bytes : tls->servers.pki->name.bytes;
		if (tls->n_names == 0) {
			backend_sni(backend, sni);
			names[0] = sni;
			source.n_names = 1;
		}
	}
	struct peer_demand *demand = peer_demand_new(&source);
	text_free(&pki);
	free((void *)names);
	return demand;
}
