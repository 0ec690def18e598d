/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/peer_proof.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "certs/verify.h"
#include "gateway/peer_register.h"
#include "gateway/tls_session.h"

enum { SAVED_LENGTH = 4 /* bytes before each saved certificate: its length, most significant first */ };

/* A handshake thread's. */
struct proof_thread {
	struct peer_proof_context *context;
	struct trust_view *view;
	OSSL_LIB_CTX *libctx;
};

struct peer_book *
peer_book_take(struct peer_book *book)
{
	if (book != NULL)
		atomic_fetch_add_explicit(&book->refs, 1, memory_order_relaxed);
	return book;
}

void
peer_book_drop(struct peer_book *book)
{
	if (book == NULL || atomic_fetch_sub_explicit(&book->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < book->map.n; i++)
		peer_identity_drop(book->map.rules[i].network);
	free(book->memory);
	free(book);
}

struct peer_demand *
peer_demand_take(struct peer_demand *demand)
{
	if (demand != NULL)
		atomic_fetch_add_explicit(&demand->refs, 1, memory_order_relaxed);
	return demand;
}

void
peer_demand_drop(struct peer_demand *demand)
{
	if (demand == NULL || atomic_fetch_sub_explicit(&demand->refs, 1, memory_order_acq_rel) != 1)
		return;
	peer_book_drop(demand->book);
	text_free(&demand->policy);
	free(demand->memory);
	free(demand);
}

static void *
allocate(size_t size)
{
	void *memory = calloc(1, size);
	if (memory == NULL)
		abort(); /* as in platform/text.c */
	return memory;
}

/* Copies text to *at, which moves behind it. */
static const char *
keep(char **at, const char *text)
{
	const char *kept = *at;
	size_t length = text == NULL ? 0 : strlen(text);

	memcpy(*at, text == NULL ? "" : text, length);
	(*at)[length] = '\0';
	*at += length + 1;
	return kept;
}

static size_t
room_for(const char *text)
{
	return text == NULL ? 1 : strlen(text) + 1;
}

/* All that a proof goes by, for what may be resumed: no text has a line feed in it. */
static void
write_policy(const struct peer_demand *demand, struct text *policy)
{
	text_print(policy, "%d\n%d\n%s\n%s\n%s\n%s\n", (int)demand->anchors, (int)demand->role, demand->pki,
		   demand->domain, demand->space, demand->account);
	for (unsigned i = 0; i < demand->n_names; i++)
		text_print(policy, "%s\n", demand->names[i]);
}

struct peer_demand *
peer_demand_new(const struct peer_demand_source *source)
{
	struct peer_demand *demand = allocate(sizeof(*demand));
	size_t texts =
		room_for(source->pki) + room_for(source->domain) + room_for(source->space) + room_for(source->account);
	unsigned n_owns = 0;

	for (unsigned i = 0; i < source->n_names; i++)
		texts += room_for(source->names[i]);
	while (source->owns != NULL && source->owns[n_owns] != NULL)
		texts += room_for(source->owns[n_owns++]);
	size_t pointers = (source->n_names + n_owns + 1) * sizeof(char *);
	const char **list = allocate(pointers + texts);
	char *at = (char *)list + pointers;

	*demand = (struct peer_demand){.refs = 1,
				       .anchors = source->anchors,
				       .role = source->role,
				       .n_names = source->n_names,
				       .names = list,
				       .book = peer_book_take(source->book),
				       .issuer = source->issuer,
				       .owns = list + source->n_names,
				       .memory = list};
	for (unsigned i = 0; i < source->n_names; i++)
		list[i] = keep(&at, source->names[i]);
	for (unsigned i = 0; i < n_owns; i++)
		list[source->n_names + i] = keep(&at, source->owns[i]);
	demand->pki = keep(&at, source->pki);
	demand->domain = keep(&at, source->domain);
	demand->space = keep(&at, source->space);
	demand->account = keep(&at, source->account);
	write_policy(demand, &demand->policy);
	return demand;
}

void
peer_proof_forget(struct peer_proof *proof, struct peer_register *peers)
{
	peer_register_leave(peers, proof->record);
	peer_identity_drop(proof->identity);
	tls_terms_drop(proof->terms);
	*proof = (struct peer_proof){.demand = proof->demand};
}

void
peer_proof_close(struct peer_proof *proof, struct peer_register *peers)
{
	peer_proof_forget(proof, peers);
	peer_demand_drop(proof->demand);
	proof->demand = NULL;
}

enum reason
peer_proof_reason(enum cert_error error)
{
	switch (error) {
	case CERT_NONE:
		return REASON_NONE;
	case CERT_MEMORY:
		return REASON_TLS_NO_MEMORY;
	case CERT_EXPIRED:
	case CERT_NOT_YET_VALID:
	case CERT_CA_EXPIRED:
	case CERT_CA_NOT_YET_VALID:
		return REASON_TLS_PEER_EXPIRED;
	case CERT_REVOKED:
	case CERT_CA_REVOKED:
	case CERT_CRL_MISSING:
	case CERT_CRL_EXPIRED:
	case CERT_CRL_SIGNATURE:
	case CERT_OCSP_MISSING:
	case CERT_OCSP_MALFORMED:
	case CERT_OCSP_SIGNATURE:
	case CERT_OCSP_EXPIRED:
	case CERT_OCSP_UNKNOWN:
		return REASON_TLS_PEER_REVOKED;
	case CERT_DOMAIN_UNKNOWN:
	case CERT_DOMAIN_REVOKED:
	case CERT_AUTHORITY_SHARED:
	case CERT_AUTHORITY_FOREIGN:
	case CERT_CHAIN_FOREIGN:
	case CERT_CHAIN_UNTRUSTED:
	case CERT_CHAIN_SIGNATURE:
	case CERT_PKI_UNKNOWN:
		return REASON_TLS_PEER_UNTRUSTED;
	case CERT_SERVER_NAME:
	case CERT_SERVER_UNEXPECTED:
	case CERT_SERVER_NOTHING_EXPECTED:
	case CERT_LEGACY_NO_DNS:
	case CERT_MAP_NO_RULE:
	case CERT_MAP_AMBIGUOUS:
	case CERT_MAP_PIN:
		return REASON_TLS_PEER_IDENTITY;
	default:
		return REASON_TLS_PEER_MALFORMED;
	}
}

static bool
text_is(const char *bytes, size_t length, const char *text)
{
	return strlen(text) == length && memcmp(bytes, text, length) == 0;
}

/* Whether an ID is of the workload that a service of ours runs as: /ns/space/sa/account. */
static enum cert_error
check_account(const struct spiffe_id *id, const struct peer_demand *demand)
{
	static const char ns[] = "/ns/", sa[] = "/sa/";
	size_t length, space = strlen(demand->space);
	const char *path = spiffe_id_path(id, &length);

	if (!text_is(spiffe_id_domain(id), id->domain_length, demand->domain) ||
	    length <= sizeof(ns) - 1 + space + sizeof(sa) - 1 || memcmp(path, ns, sizeof(ns) - 1) != 0 ||
	    memcmp(path + sizeof(ns) - 1, demand->space, space) != 0 ||
	    memcmp(path + sizeof(ns) - 1 + space, sa, sizeof(sa) - 1) != 0)
		return CERT_SERVER_UNEXPECTED;
	const char *account = path + sizeof(ns) - 1 + space + sizeof(sa) - 1;
	length -= (size_t)(account - path);
	if (memchr(account, '/', length) != NULL ||
	    (demand->account[0] != '\0' && !text_is(account, length, demand->account)))
		return CERT_SERVER_UNEXPECTED;
	return CERT_NONE;
}

/* Whether one of the names that the demand wants is the peer's. */
static bool
has_name(const struct peer_identity *identity, const struct peer_demand *demand)
{
	for (unsigned i = 0; i < demand->n_names; i++) {
		if (text_is(identity->id.text, identity->id.length, demand->names[i]) ||
		    text_is(identity->uri.bytes, identity->uri.length, demand->names[i]))
			return true;
		for (unsigned k = 0; k < identity->n_dns; k++)
			if (text_is(identity->dns[k].bytes, identity->dns[k].length, demand->names[i]))
				return true;
	}
	return demand->n_names == 0;
}

static enum cert_error
verify_chain(struct trust_view *view, const struct peer_demand *demand, STACK_OF(X509) *chain,
	     const struct peer_bytes *staple, int64_t now, struct peer_identity **identity)
{
	enum cert_error error;

	if (demand->anchors == PEER_ANCHORS_PKI && demand->role == PEER_SERVER) {
		const struct verify_server expected = {demand->pki, demand->names, demand->n_names,
						       (const uint8_t *)staple->bytes, staple->length};
		return verify_server(view, &expected, chain, now, identity);
	}
	error = demand->anchors == PEER_ANCHORS_PKI ? verify_legacy(view, demand->pki, chain, now, identity)
						    : verify_spiffe(view, chain, demand->role, now, identity);
	if (error != CERT_NONE)
		return error;
	if (demand->n_names == 0 && demand->role == PEER_SERVER)
		error = check_account(&(*identity)->id, demand);
	else if (!has_name(*identity, demand))
		error = demand->role == PEER_SERVER ? CERT_SERVER_UNEXPECTED : CERT_SERVER_NAME;
	if (error != CERT_NONE) {
		peer_identity_drop(*identity);
		*identity = NULL;
	}
	return error;
}

/* A certificate for a mapped identity of a domain that the embedded CA owns, to be presented to endpoints. Without it
 * they see the gateway's own. */
static struct tls_terms *
issue(const struct peer_demand *demand, const struct spiffe_id *id, int64_t now)
{
	enum credential_error error;
	bool owned = false;

	for (unsigned i = 0; demand->owns[i] != NULL; i++)
		owned = owned || text_is(spiffe_id_domain(id), id->domain_length, demand->owns[i]);
	if (!owned || demand->issuer == NULL)
		return NULL;
	struct credential *credential = issuer_get(demand->issuer, id->text, id->length, now, &error);
	struct tls_terms *terms = credential == NULL ? NULL : peer_proof_terms(credential);
	credential_drop(credential);
	return terms;
}

/* Sets what the proof says of a peer whose chain is good. */
static enum cert_error
conclude(struct peer_proof *proof, struct peer_register *peers, struct peer_identity *identity, int64_t now)
{
	const struct peer_demand *demand = proof->demand;
	bool maps = demand->book != NULL && identity->kind == PEER_LEGACY;
	struct identity_match match;

	if (maps) {
		enum cert_error error = identity_map_legacy(&demand->book->map, identity, &match);
		if (error != CERT_NONE)
			return error;
	}
	proof->record = peer_register_enter(peers, identity, maps ? &match : NULL);
	if (proof->record == NULL)
		return CERT_MEMORY;
	/* The record's own, which all its connections share. */
	proof->identity = peer_identity_take(maps ? proof->record->mapped : proof->record->identity);
	if (maps)
		proof->terms = issue(demand, &proof->identity->id, now);
	return CERT_NONE;
}

static enum reason
prove(struct proof_thread *thread, struct peer_proof *proof, STACK_OF(X509) *chain, const struct peer_bytes *staple,
      int64_t now)
{
	struct peer_identity *identity;
	struct trust_slot *slot = thread->context->slot;

	do {
		/* The trust may have changed since we entered it last (peer_register.h). */
		trust_view_follow(thread->view, slot);
		identity = NULL;
		/* A ticket may have said who it is, and wasn't taken in the end. */
		peer_proof_forget(proof, thread->context->peers);
		proof->error = verify_chain(thread->view, proof->demand, chain, staple, now, &identity);
		if (proof->error == CERT_NONE)
			proof->error = conclude(proof, thread->context->peers, identity, now);
		peer_identity_drop(identity);
	} while (proof->error == CERT_NONE && trust_slot_generation(slot) != trust_view_generation(thread->view));
	return peer_proof_reason(proof->error);
}

/* --- what tls_engine.h asks for ----------------------------------------------------------------------------------- */

static void *
thread_open(void *context, OSSL_LIB_CTX *libctx)
{
	struct proof_thread *thread = allocate(sizeof(*thread));

	*thread = (struct proof_thread){context, trust_view_new(libctx), libctx};
	if (thread->view == NULL)
		abort();
	trust_view_follow(thread->view, thread->context->slot);
	return thread;
}

static void
thread_close(void *opaque)
{
	struct proof_thread *thread = opaque;

	trust_view_free(thread->view);
	free(thread);
}

static void
refresh(void *opaque)
{
	struct proof_thread *thread = opaque;

	trust_view_follow(thread->view, thread->context->slot);
}

static uint64_t
generation(void *opaque)
{
	const struct proof_thread *thread = opaque;

	return trust_view_generation(thread->view);
}

static enum reason
verify(void *opaque, struct tls_session *session, STACK_OF(X509) *chain, int64_t now)
{
	const unsigned char *staple = NULL;
	long length = session->ssl == NULL ? 0 : SSL_get_tlsext_status_ocsp_resp(session->ssl, &staple);

	return prove(opaque, session->owner, chain,
		     &(struct peer_bytes){(const char *)staple, length > 0 ? (uint32_t)length : 0}, now);
}

static size_t
save(const struct tls_session *session, uint8_t *to, size_t room)
{
	const struct peer_proof *proof = session->owner;
	const struct peer_identity *identity = proof->identity;
	size_t length = 0;

	for (unsigned i = 0; identity != NULL && i < identity->n_certs; i++) {
		uint32_t n = identity->certs[i].length;
		if (room - length < SAVED_LENGTH || room - length - SAVED_LENGTH < n)
			return room + 1;
		for (unsigned k = 0; k < SAVED_LENGTH; k++)
			to[length++] = (uint8_t)(n >> (8 * (SAVED_LENGTH - 1 - k)));
		memcpy(to + length, identity->certs[i].bytes, n);
		length += n;
	}
	return length;
}

/* What save wrote: the number of certificates, 0 when it isn't that. */
static unsigned
saved_certs(const uint8_t *bytes, size_t length, struct peer_bytes der[VERIFY_CHAIN_MAX])
{
	unsigned n = 0;

	while (length >= SAVED_LENGTH && n < VERIFY_CHAIN_MAX) {
		uint32_t one = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
		bytes += SAVED_LENGTH;
		length -= SAVED_LENGTH;
		if (one > length)
			return 0;
		der[n++] = (struct peer_bytes){(const char *)bytes, one};
		bytes += one;
		length -= one;
	}
	return length == 0 ? n : 0;
}

static bool
restore(void *opaque, struct tls_session *session, const uint8_t *bytes, size_t length, int64_t now)
{
	struct proof_thread *thread = opaque;
	struct peer_proof *proof = session->owner;
	struct peer_bytes der[VERIFY_CHAIN_MAX];
	STACK_OF(X509) *chain = NULL;
	unsigned n = saved_certs(bytes, length, der);

	proof->error = n == 0 ? CERT_CHAIN_EMPTY : verify_parse(thread->libctx, der, n, &chain);
	if (proof->error != CERT_NONE)
		return false;
	enum reason reason = prove(thread, proof, chain, &(struct peer_bytes){0}, now);
	sk_X509_pop_free(chain, X509_free);
	return reason == REASON_NONE;
}

void
peer_proof_hooks(struct peer_proof_context *context, struct tls_hooks *hooks)
{
	*hooks = (struct tls_hooks){thread_open, thread_close, refresh, generation, verify, save, restore, context};
}

struct tls_terms *
peer_proof_terms(const struct credential *credential)
{
	struct tls_bytes chain[CREDENTIAL_CHAIN_MAX];
	struct tls_credential presented = {chain, credential->n_chain, {credential->key.bytes, credential->key.length}};

	for (unsigned i = 0; i < credential->n_chain; i++)
		chain[i] = (struct tls_bytes){credential->chain[i].der, credential->chain[i].length};
	return tls_terms_new(&(struct tls_terms_source){.role = TLS_CLIENT,
							.verify = TLS_VERIFY_REQUIRED,
							.oldest = TLS_1_2,
							.newest = TLS_1_3,
							.credentials = &presented,
							.n_credentials = 1});
}
