/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keyring.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "certs/issuer.h"
#include "gateway/keyring_book.h"
#include "gateway/keyring_parts.h"
#include "platform/log.h"
#include "platform/text.h"

enum {
	RENEW_MOST = 4, /* SVIDs of mapped identities made anew in one poll */
	RETRY_S = 60    /* after which files that couldn't be used are tried again though nobody touched them */
};

struct keyring {
	struct trust_slot slot;
	uint64_t generation;
	struct keyring_issuer *issuers;
	struct keyring_stamp stamp; /* of the files when they were read last */
	int64_t renew_at;
	struct text last_error;
};

void *
keyring_allocate(size_t n, size_t size)
{
	void *memory = calloc(n + 1, size);
	if (memory == NULL)
		abort(); /* as in platform/text.c */
	return memory;
}

static void __attribute__((format(printf, 3, 0)))
add_line(struct loading *loading, const struct origin *origin, const char *format, va_list arguments)
{
	if (origin != NULL && origin->file != NULL)
		text_print(loading->error, "%s:%u:%u: ", origin->file, origin->line, origin->column);
	text_vprint(loading->error, format, arguments);
	text_print(loading->error, "\n");
}

void
keyring_complain(struct loading *loading, const struct origin *origin, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_line(loading, origin, format, arguments);
	va_end(arguments);
	loading->failed = true;
}

void
keyring_remark(struct loading *loading, const struct origin *origin, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_line(loading, origin, format, arguments);
	va_end(arguments);
	loading->failed = loading->failed || loading->before == NULL;
}

void
keyring_renew_at(struct loading *loading, int64_t at)
{
	if (at < loading->set->renew_at)
		loading->set->renew_at = at;
}

struct keyring *
keyring_create(void)
{
	struct keyring *keyring = keyring_allocate(1, sizeof(*keyring));

	keyring->slot = (struct trust_slot)TRUST_SLOT_INITIALIZER;
	return keyring;
}

void
keyring_free(struct keyring *keyring)
{
	if (keyring == NULL)
		return;
	trust_slot_publish(&keyring->slot, NULL);
	keyring_issuers_free(keyring->issuers);
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
	for (uint32_t i = 0; i < snapshot->n_identity_maps; i++) {
		/* There may be a CA for it by now. */
		snprintf(path, sizeof(path), "%s/%s", snapshot->identity.folder.bytes,
			 snapshot->identity_maps[i].trust_domain.bytes);
		visit(context, path);
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

/* What all files are now. */
static struct keyring_stamp
stamp(const struct snapshot *snapshot, int64_t now)
{
	struct stamping stamping = {0};

	each_file(snapshot, stamp_file, &stamping);
	return (struct keyring_stamp){stamping.hash, stamping.newest_ns / 1000000000 >= now - 1};
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
	keyring_complain(loading, &tls->origin, "TLS can't be spoken with that certificate: %s",
			 terms == NULL ? "OpenSSL doesn't take it" : why);
	tls_terms_drop(terms);
	return NULL;
}

static struct peer_demand *
client_demand(struct loading *loading, const struct listener_tls *tls)
{
	struct peer_demand_source source = {.role = PEER_CLIENT, .n_names = tls->n_names};
	const char **names = keyring_allocate(tls->n_names, sizeof(*names));
	struct text pki = {0};

	for (uint32_t i = 0; i < tls->n_names; i++)
		names[i] = tls->names[i].text.bytes;
	source.names = names;
	if (tls->clients.kind == ANCHORS_LEGACY_PKI) {
		source.anchors = PEER_ANCHORS_PKI;
		source.pki = tls->clients.pki->name.bytes;
		source.book = loading->set->book;
		if (loading->parts->issuer != NULL) {
			source.issuer = loading->parts->issuer->issuer;
			source.owns = (const char *const *)loading->parts->issuer->owns;
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

	loading->set->servers = keyring_allocate(snapshot->n_listeners, sizeof(*loading->set->servers));
	for (uint16_t i = 0; i < snapshot->n_listeners; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		struct key_use *uses = keyring_allocate(listener->n_tls, sizeof(*uses));
		loading->set->servers[listener->index] = uses;
		for (uint32_t k = 0; k < listener->n_tls; k++) {
			const struct listener_tls *tls = &listener->tls[k];
			const struct credential *credential =
				tls->credential == NULL
					? loading->parts->own
					: loading->parts->credentials[credential_index(snapshot, tls->credential)];
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
	set->own = loading->parts->own == NULL ? NULL : peer_proof_terms(loading->parts->own);
	set->clients = keyring_allocate(snapshot->n_credentials, sizeof(*set->clients));
	for (uint32_t i = 0; i < snapshot->n_credentials; i++)
		if (loading->parts->credentials[i] != NULL)
			set->clients[i] = peer_proof_terms(loading->parts->credentials[i]);
	set->networks = keyring_allocate(snapshot->n_identity_rules, sizeof(*set->networks));
	for (uint32_t i = 0; i < snapshot->n_identity_rules && loading->parts->issuer != NULL; i++) {
		const struct identity_rule_spec *rule = &snapshot->identity_rules[i];
		if (rule->from != IDENTITY_FROM_NETWORK ||
		    !keyring_owns((const char *const *)loading->parts->issuer->owns, rule->map->trust_domain.bytes))
			continue;
		struct credential *credential = keyring_issue(loading, &rule->origin, rule->spiffe_id.bytes);
		if (credential != NULL)
			set->networks[i] = peer_proof_terms(credential);
		else if (loading->in_force != NULL && loading->in_force->networks[i] != NULL)
			set->networks[i] = tls_terms_take(loading->in_force->networks[i]);
		credential_drop(credential);
	}
}

static struct keyring_parts *
parts_new(const struct snapshot *snapshot)
{
	struct keyring_parts *parts = keyring_allocate(1, sizeof(*parts));

	parts->credentials = keyring_allocate(snapshot->n_credentials, sizeof(struct credential *));
	parts->cas = keyring_allocate(snapshot->n_credentials, sizeof(struct bundle *));
	parts->domains = keyring_allocate(snapshot->n_domains, sizeof(struct bundle *));
	parts->anchors = keyring_allocate(snapshot->n_pkis, sizeof(struct bundle *));
	parts->crls = keyring_allocate(snapshot->n_pkis, sizeof(struct crl_list *));
	return parts;
}

static void
parts_free(struct keyring_parts *parts, const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_credentials; i++) {
		credential_drop(parts->credentials[i]);
		bundle_drop(parts->cas[i]);
	}
	for (uint32_t i = 0; i < snapshot->n_domains; i++)
		bundle_drop(parts->domains[i]);
	for (uint32_t i = 0; i < snapshot->n_pkis; i++) {
		bundle_drop(parts->anchors[i]);
		crl_drop(parts->crls[i]);
	}
	credential_drop(parts->own);
	free((void *)parts->credentials);
	free((void *)parts->cas);
	free((void *)parts->domains);
	free((void *)parts->anchors);
	free((void *)parts->crls);
	free(parts);
}

static struct key_set *
load(struct keyring *keyring, const struct snapshot *snapshot, const struct key_set *in_force, struct text *error)
{
	struct loading loading = {.snapshot = snapshot,
				  .set = keyring_allocate(1, sizeof(struct key_set)),
				  .parts = parts_new(snapshot),
				  .in_force = in_force,
				  .before = in_force == NULL ? NULL : in_force->parts,
				  .issuers = &keyring->issuers,
				  .error = error,
				  .now = time(NULL)};
	struct key_set *set = loading.set;

	/* The stamp first: what changes while it is read is read again. */
	*set = (struct key_set){.snapshot = snapshot,
				.parts = loading.parts,
				.stamp = stamp(snapshot, loading.now),
				.renew_at = INT64_MAX};
	keyring_load_identity(&loading);
	keyring_load_trust(&loading, ++keyring->generation);
	set->book = keyring_book(snapshot);
	load_servers(&loading);
	load_clients(&loading);
	set->own_id = loading.parts->own == NULL ? "" : loading.parts->own->spiffe_id;
	if (!loading.failed)
		return set;
	key_set_free(set);
	return NULL;
}

struct key_set *
keyring_load(struct keyring *keyring, const struct snapshot *snapshot, struct text *error)
{
	return load(keyring, snapshot, NULL, error);
}

void
keyring_commit(struct keyring *keyring, const struct key_set *set)
{
	keyring->stamp = set->stamp;
	keyring->renew_at = set->renew_at;
	trust_slot_publish(&keyring->slot, trust_take(set->trust));
}

/* Whether there is a reason to read the files again. */
static bool
is_due(struct keyring *keyring, const struct snapshot *snapshot, int64_t now)
{
	bool reissued = false;
	struct text message = {0};

	for (struct keyring_issuer *issuer = keyring->issuers; issuer != NULL; issuer = issuer->next) {
		issuer_renew(issuer->issuer, RENEW_MOST, now);
		reissued = issuer_poll(issuer->issuer, now * 1000000000, &message) || reissued;
	}
	if (message.length != 0)
		log_error("gateway", "the embedded CA's folder can't be read", LOG_STR("detail", message.bytes));
	text_free(&message);
	struct keyring_stamp found = stamp(snapshot, now);
	/* What was young when it was read is read once more when it no longer is. */
	bool settled = keyring->stamp.young && !found.young;
	return reissued || settled || now >= keyring->renew_at || found.hash != keyring->stamp.hash;
}

/* Tells what couldn't be used, unless it was told already. */
static void
tell(struct keyring *keyring, struct text *message)
{
	bool told = message->length == 0 ||
		    (keyring->last_error.length != 0 && strcmp(message->bytes, keyring->last_error.bytes) == 0);

	if (!told)
		log_error("gateway", "certificates or keys that changed can't be used; those of before stay in force",
			  LOG_STR("detail", message->bytes));
	text_free(&keyring->last_error);
	keyring->last_error = *message;
}

struct key_set *
keyring_poll(struct keyring *keyring, const struct key_set *in_force)
{
	const struct snapshot *snapshot = in_force->snapshot;
	int64_t now = time(NULL);
	struct text message = {0};

	if (!is_due(keyring, snapshot, now))
		return NULL;
	keyring->stamp = stamp(snapshot, now);
	struct key_set *set = load(keyring, snapshot, in_force, &message);
	if (set == NULL)
		keyring->renew_at = now + RETRY_S;
	else if (message.length != 0 && set->renew_at > now + RETRY_S)
		set->renew_at = now + RETRY_S;
	tell(keyring, &message);
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
	parts_free(set->parts, snapshot);
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
key_set_demand(const struct backend *backend, const struct endpoint *endpoint)
{
	const struct backend_tls *tls = backend->tls;
	struct peer_demand_source source = {.role = PEER_SERVER, .n_names = tls->n_names};
	const char **names = keyring_allocate(tls->n_names + 1, sizeof(*names));
	char sni[BACKEND_SNI_MAX];
	struct text pki = {0};

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
