/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_terms.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/tls_credential.h"

/* A length goes before each field, so that no two lists of fields read the same. */
static void
digest_add(EVP_MD_CTX *sha, const void *bytes, size_t length)
{
	uint64_t n = length;

	if (EVP_DigestUpdate(sha, &n, sizeof(n)) != 1 || EVP_DigestUpdate(sha, bytes, length) != 1)
		abort();
}

static void
digest_make(struct tls_terms *terms)
{
	const uint8_t how[] = {(uint8_t)terms->role, (uint8_t)terms->verify, (uint8_t)terms->oldest,
			       (uint8_t)terms->newest};
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	if (sha == NULL || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
		abort();
	digest_add(sha, how, sizeof(how));
	for (unsigned i = 0; i < terms->n_credentials; i++) {
		const struct tls_credential *credential = &terms->credentials[i];
		for (unsigned j = 0; j < credential->n_chain; j++)
			digest_add(sha, credential->chain[j].bytes, credential->chain[j].length);
		digest_add(sha, credential->key.bytes, credential->key.length);
	}
	if (EVP_DigestFinal_ex(sha, terms->context_digest, NULL) != 1 ||
	    EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
		abort();
	digest_add(sha, terms->context_digest, TLS_DIGEST);
	digest_add(sha, terms->policy, strlen(terms->policy));
	if (EVP_DigestFinal_ex(sha, terms->digest, NULL) != 1)
		abort();
	EVP_MD_CTX_free(sha);
}

static bool
source_is_sound(const struct tls_terms_source *source)
{
	unsigned fewest = source->role == TLS_SERVER ? 1 : 0;
	unsigned most = source->role == TLS_SERVER ? TLS_CREDENTIALS_MAX : 1;

	if (source->n_credentials < fewest || source->n_credentials > most || source->oldest > source->newest)
		return false;
	if (source->role == TLS_CLIENT && source->verify != TLS_VERIFY_REQUIRED)
		return false;
	for (unsigned i = 0; i < source->n_credentials; i++) {
		const struct tls_credential *credential = &source->credentials[i];
		if (credential->n_chain == 0 || credential->n_chain > TLS_CHAIN_MAX || credential->key.length == 0)
			return false;
	}
	return true;
}

/* Everything of variable size lies in one block: records first, then bytes. */
static size_t
memory_needed(const struct tls_terms_source *source)
{
	size_t bytes = source->n_credentials * sizeof(struct tls_credential) +
		       (source->policy == NULL ? 0 : strlen(source->policy)) + 1;

	for (unsigned i = 0; i < source->n_credentials; i++) {
		const struct tls_credential *credential = &source->credentials[i];
		bytes += credential->n_chain * sizeof(struct tls_bytes) + credential->key.length;
		for (unsigned j = 0; j < credential->n_chain; j++)
			bytes += credential->chain[j].length;
	}
	return bytes;
}

static struct tls_bytes
copy_bytes(uint8_t **free_from, struct tls_bytes bytes)
{
	struct tls_bytes copy = {*free_from, bytes.length};

	memcpy(*free_from, bytes.bytes, bytes.length);
	*free_from += bytes.length;
	return copy;
}

static void
copy_all(struct tls_terms *terms, const struct tls_terms_source *source)
{
	struct tls_credential *credentials = (struct tls_credential *)(void *)terms->memory;
	struct tls_bytes *chain = (struct tls_bytes *)(void *)(credentials + source->n_credentials);
	unsigned n_certificates = 0;

	for (unsigned i = 0; i < source->n_credentials; i++)
		n_certificates += source->credentials[i].n_chain;
	uint8_t *free_from = (uint8_t *)(chain + n_certificates);
	for (unsigned i = 0; i < source->n_credentials; i++) {
		const struct tls_credential *from = &source->credentials[i];
		uint32_t flight = 0;
		credentials[i] = (struct tls_credential){.chain = chain, .n_chain = from->n_chain};
		for (unsigned j = 0; j < from->n_chain; j++) {
			*chain++ = copy_bytes(&free_from, from->chain[j]);
			flight += (uint32_t)from->chain[j].length;
		}
		credentials[i].key = copy_bytes(&free_from, from->key);
		terms->flight_bytes = flight > terms->flight_bytes ? flight : terms->flight_bytes;
	}
	terms->credentials = credentials;
	terms->n_credentials = source->n_credentials;
	const char *policy = source->policy == NULL ? "" : source->policy;
	terms->policy = memcpy(free_from, policy, strlen(policy) + 1);
}

struct tls_terms *
tls_terms_new(const struct tls_terms_source *source)
{
	if (!source_is_sound(source))
		return NULL;
	struct tls_terms *terms = calloc(1, sizeof(*terms));
	if (terms == NULL)
		abort();
	*terms = (struct tls_terms){.references = 1,
				    .role = source->role,
				    .verify = source->verify,
				    .oldest = source->oldest,
				    .newest = source->newest,
				    .purpose = source->purpose,
				    .purpose_free = source->purpose_free,
				    .memory_bytes = memory_needed(source)};
	terms->memory = malloc(terms->memory_bytes);
	if (terms->memory == NULL)
		abort();
	copy_all(terms, source);
	digest_make(terms);
	return terms;
}

bool
tls_terms_check(const struct tls_terms *terms, char *error, size_t room)
{
	for (unsigned i = 0; i < terms->n_credentials; i++) {
		struct tls_key_pair pair;
		if (!tls_key_pair_open(&pair, NULL, &terms->credentials[i], error, room))
			return false;
		tls_key_pair_close(&pair);
	}
	return true;
}

struct tls_terms *
tls_terms_take(struct tls_terms *terms)
{
	atomic_fetch_add_explicit(&terms->references, 1, memory_order_relaxed);
	return terms;
}

void
tls_terms_drop(struct tls_terms *terms)
{
	if (terms == NULL || atomic_fetch_sub_explicit(&terms->references, 1, memory_order_acq_rel) != 1)
		return;
	if (terms->purpose_free != NULL)
		terms->purpose_free(terms->purpose);
	OPENSSL_cleanse(terms->memory, terms->memory_bytes);
	free(terms->memory);
	free(terms);
}
