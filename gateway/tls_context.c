/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_context.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/tls_credential.h"
#include "gateway/tls_session.h"
#include "gateway/tls_ticket.h"

enum { KEY_TYPES = 3 /* RSA, EC, Ed25519: a place each in a context */, CHOICES_MAX = 64, SECURITY_LEVEL = 2 };

struct tls_context_set {
	uint8_t digest[TLS_DIGEST];
	uint64_t used; /* tls_contexts.order when it was found last */
	unsigned n_pairs, n_choices;
	struct tls_key_pair pairs[TLS_CREDENTIALS_MAX];
	struct {
		uint64_t credentials; /* bit i: pairs[i] */
		SSL_CTX *context;
	} choices[CHOICES_MAX];
};

static_assert(TLS_CREDENTIALS_MAX <= 64, "a bit for each credential");

static const char suites_1_3[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char suites_1_2[] =
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char groups[] = "X25519:P-256:P-384";
static const char signatures[] =
	"ECDSA+SHA256:ECDSA+SHA384:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
	"rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512:ECDSA+SHA512";

static int
version_number(enum tls_version version)
{
	return version == TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/* What all contexts have in common. */
static bool
context_set_up(SSL_CTX *context, const struct tls_terms *terms)
{
	static const int verify[] = {[TLS_VERIFY_NONE] = SSL_VERIFY_NONE,
				     [TLS_VERIFY_OPTIONAL] = SSL_VERIFY_PEER,
				     [TLS_VERIFY_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};

	SSL_CTX_set_security_level(context, SECURITY_LEVEL);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY); /* tls_record.c counts what isn't data */
	SSL_CTX_set_read_ahead(context, 0);
	SSL_CTX_set_max_cert_list(context, TLS_HANDSHAKE_MAX);
	SSL_CTX_set_verify(context, verify[terms->verify], NULL);
	SSL_CTX_set_timeout(context, TLS_TICKET_PERIOD_S);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_session_cache_mode(context, terms->role == TLS_SERVER
							? SSL_SESS_CACHE_OFF
							: SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	return SSL_CTX_set_min_proto_version(context, version_number(terms->oldest)) == 1 &&
	       SSL_CTX_set_max_proto_version(context, version_number(terms->newest)) == 1 &&
	       SSL_CTX_set_ciphersuites(context, suites_1_3) == 1 &&
	       SSL_CTX_set_cipher_list(context, suites_1_2) == 1 && SSL_CTX_set1_groups_list(context, groups) == 1 &&
	       SSL_CTX_set1_sigalgs_list(context, signatures) == 1;
}

/* OpenSSL keeps one certificate of each type of key: of several the first one counts. */
static bool
context_add_credentials(SSL_CTX *context, const struct tls_context_set *set, uint64_t credentials)
{
	int taken[KEY_TYPES] = {0}, n_taken = 0;

	for (; credentials != 0; credentials &= credentials - 1) {
		const struct tls_key_pair *pair = &set->pairs[__builtin_ctzll(credentials)];
		int type = EVP_PKEY_get_base_id(pair->key);
		bool again = false;
		for (int i = 0; i < n_taken; i++)
			again |= taken[i] == type;
		if (again || n_taken == KEY_TYPES)
			continue;
		taken[n_taken++] = type;
		if (SSL_CTX_use_cert_and_key(context, pair->leaf, pair->key, pair->others, 1) != 1)
			return false;
	}
	return true;
}

static SSL_CTX *
context_new(struct tls_contexts *contexts, const struct tls_terms *terms, const struct tls_context_set *set,
	    uint64_t credentials)
{
	const SSL_METHOD *method = terms->role == TLS_SERVER ? TLS_server_method() : TLS_client_method();
	SSL_CTX *context = SSL_CTX_new_ex(contexts->libctx, NULL, method);

	if (context == NULL)
		return NULL;
	if (!context_set_up(context, terms) || !context_add_credentials(context, set, credentials)) {
		SSL_CTX_free(context);
		return NULL;
	}
	contexts->dress(contexts->argument, context, terms->role);
	contexts->made++;
	return context;
}

static void
set_free(struct tls_context_set *set)
{
	for (unsigned i = 0; i < set->n_choices; i++)
		SSL_CTX_free(set->choices[i].context);
	for (unsigned i = 0; i < set->n_pairs; i++)
		tls_key_pair_close(&set->pairs[i]);
	free(set);
}

static struct tls_context_set *
set_new(struct tls_contexts *contexts, const struct tls_terms *terms)
{
	struct tls_context_set *set = calloc(1, sizeof(*set));
	char error[128];

	if (set == NULL)
		return NULL;
	memcpy(set->digest, terms->context_digest, TLS_DIGEST);
	for (unsigned i = 0; i < terms->n_credentials; i++, set->n_pairs++)
		if (!tls_key_pair_open(&set->pairs[i], contexts->libctx, &terms->credentials[i], error,
				       sizeof(error))) {
			set_free(set);
			return NULL;
		}
	return set;
}

static struct tls_context_set *
set_find(struct tls_contexts *contexts, const struct tls_terms *terms)
{
	unsigned oldest = 0, i;

	for (i = 0; i < contexts->n; i++) {
		if (memcmp(contexts->sets[i]->digest, terms->context_digest, TLS_DIGEST) == 0)
			return contexts->sets[i];
		if (contexts->sets[i]->used < contexts->sets[oldest]->used)
			oldest = i;
	}
	struct tls_context_set *set = set_new(contexts, terms);
	if (set == NULL)
		return NULL;
	if (contexts->n == TLS_SETS_MAX) {
		set_free(contexts->sets[oldest]);
		contexts->evicted++;
		i = oldest;
	} else {
		contexts->n++;
	}
	return contexts->sets[i] = set;
}

/* The credentials that fit best: bit i for pairs[i]. The first one when none does. */
static uint64_t
choose(const struct tls_context_set *set, const char *server_name)
{
	enum tls_match best = TLS_MATCH_NONE;
	uint64_t chosen = set->n_pairs == 0 ? 0 : 1;

	if (server_name == NULL || set->n_pairs < 2)
		return chosen;
	for (unsigned i = 0; i < set->n_pairs; i++) {
		enum tls_match match = tls_key_pair_match(&set->pairs[i], server_name);
		if (match == TLS_MATCH_NONE || match < best)
			continue;
		chosen = match > best ? UINT64_C(1) << i : chosen | UINT64_C(1) << i;
		best = match;
	}
	return chosen;
}

SSL_CTX *
tls_contexts_find(struct tls_contexts *contexts, const struct tls_terms *terms, const char *server_name)
{
	struct tls_context_set *set = set_find(contexts, terms);

	if (set == NULL)
		return NULL;
	set->used = ++contexts->order;
	uint64_t credentials = choose(set, server_name);
	for (unsigned i = 0; i < set->n_choices; i++)
		if (set->choices[i].credentials == credentials)
			return set->choices[i].context;
	SSL_CTX *context = context_new(contexts, terms, set, credentials);
	if (context == NULL)
		return NULL;
	if (set->n_choices == CHOICES_MAX) /* names that mix credentials in so many ways are no deployment */
		SSL_CTX_free(set->choices[--set->n_choices].context);
	set->choices[set->n_choices].credentials = credentials;
	set->choices[set->n_choices++].context = context;
	return context;
}

void
tls_contexts_clear(struct tls_contexts *contexts)
{
	while (contexts->n > 0)
		set_free(contexts->sets[--contexts->n]);
}
