/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "certs/cert_time.h"
#include "certs/pem_read.h"
#include "certs/spiffe_id.h"

enum { SECURITY_BITS_MIN = 112 };

const char *
credential_error_text(enum credential_error error)
{
	static const char *const texts[] = {
#define X(constant, text, meaning) text,
		CREDENTIAL_ERROR_LIST(X)
#undef X
	};
	return error < CREDENTIAL_ERROR_COUNT ? texts[error] : "unknown";
}

const char *
credential_error_meaning(enum credential_error error)
{
	static const char *const meanings[] = {
#define X(constant, text, meaning) meaning,
		CREDENTIAL_ERROR_LIST(X)
#undef X
	};
	return error < CREDENTIAL_ERROR_COUNT ? meanings[error] : "not an error that is known";
}

const char *
credential_key_text(enum credential_key key)
{
	static const char *const texts[] = {"EC P-256", "EC P-384", "Ed25519", "RSA"};
	return texts[key];
}

/* The narrowest validity of a chain. */
static bool
chain_validity(X509 *const *chain, unsigned n, int64_t *not_before, int64_t *not_after)
{
	*not_before = INT64_MIN;
	*not_after = INT64_MAX;
	for (unsigned i = 0; i < n; i++) {
		int64_t from, to;
		if (!cert_time_read(X509_get0_notBefore(chain[i]), &from) ||
		    !cert_time_read(X509_get0_notAfter(chain[i]), &to))
			return false;
		*not_before = from > *not_before ? from : *not_before;
		*not_after = to < *not_after ? to : *not_after;
	}
	return true;
}

/* The only URI of a leaf, when that is a workload's SPIFFE ID; else an empty one. The text is in *names, the caller's.
 */
static struct spiffe_id
leaf_id(X509 *leaf, GENERAL_NAMES **names)
{
	const ASN1_IA5STRING *uri = NULL;
	struct spiffe_id id = {0};

	*names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(*names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(*names, i);
		if (name->type != GEN_URI)
			continue;
		if (uri != NULL)
			return (struct spiffe_id){0};
		uri = name->d.uniformResourceIdentifier;
	}
	if (uri == NULL || spiffe_id_parse((const char *)ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri),
					   &id) != CERT_NONE)
		return (struct spiffe_id){0};
	return spiffe_id_is_root(&id) ? (struct spiffe_id){0} : id;
}

static bool
signature_is_weak(X509 *certificate)
{
	int bits;
	return !X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) || bits < SECURITY_BITS_MIN;
}

/* Whether a chain is one, and holds now. */
static enum credential_error
check_chain(X509 *const *chain, unsigned n, int64_t now)
{
	int64_t not_before, not_after;

	for (unsigned i = 0; i < n; i++) {
		/* A root's own signature proves nothing, so it may be as old as it is. */
		bool is_root = i + 1 == n && i > 0 && X509_check_issued(chain[i], chain[i]) == X509_V_OK;
		if (!is_root && signature_is_weak(chain[i]))
			return CREDENTIAL_SIGNATURE_WEAK;
		if (i == 0)
			continue;
		if (X509_check_ca(chain[i]) != 1)
			return CREDENTIAL_CHAIN_NOT_CA;
		if (X509_check_issued(chain[i], chain[i - 1]) != X509_V_OK ||
		    X509_verify(chain[i - 1], X509_get0_pubkey(chain[i])) != 1)
			return CREDENTIAL_CHAIN_ORDER;
	}
	if (!chain_validity(chain, n, &not_before, &not_after))
		return CREDENTIAL_CERT_MALFORMED;
	if (now < not_before)
		return CREDENTIAL_NOT_YET_VALID;
	return now >= not_after ? CREDENTIAL_EXPIRED : CREDENTIAL_NONE;
}

/* How much room certificates need in a block, their table included. 0 when one can't be encoded. */
static size_t
certificates_size(X509 *const *list, unsigned n)
{
	size_t size = n * sizeof(struct credential_cert);

	for (unsigned i = 0; i < n; i++) {
		int length = i2d_X509(list[i], NULL);
		if (length <= 0)
			return 0;
		size += (size_t)length;
	}
	return size;
}

/* Writes them at *end, which moves on, and their table at table. */
static void
certificates_write(X509 *const *list, unsigned n, struct credential_cert *table, uint8_t **end)
{
	for (unsigned i = 0; i < n; i++) {
		table[i].der = *end;
		i2d_X509(list[i], end);
		table[i].length = (uint32_t)(*end - table[i].der);
	}
}

static bool
key_write(EVP_PKEY *key, struct secret *secret)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	int length = info == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
	bool done = length > 0 && secret_new(secret, (size_t)length);

	if (done) {
		unsigned char *end = secret->bytes;
		secret->length = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &end);
	}
	PKCS8_PRIV_KEY_INFO_free(info);
	return done;
}

static bool
chain_digest(const struct credential *credential, uint8_t *digest)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

	for (unsigned i = 0; done && i < credential->n_chain; i++)
		done = EVP_DigestUpdate(ctx, credential->chain[i].der, credential->chain[i].length);
	done = done && EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	return done;
}

static struct credential *
credential_make(X509 *const *chain, unsigned n_chain, X509 *const *anchors, unsigned n_anchors, EVP_PKEY *key,
		enum credential_error *error)
{
	GENERAL_NAMES *names = NULL;
	enum credential_key kind;
	unsigned bits;

	*error = key_kind(key, &kind, &bits);
	if (*error != CREDENTIAL_NONE)
		return NULL;
	struct spiffe_id id = leaf_id(chain[0], &names);
	size_t chain_size = certificates_size(chain, n_chain), anchors_size = certificates_size(anchors, n_anchors);
	struct credential *credential = calloc(1, sizeof(*credential) + chain_size + anchors_size + id.length + 1);
	*error = CREDENTIAL_MEMORY;
	if (credential == NULL || chain_size == 0 || (n_anchors > 0 && anchors_size == 0))
		goto Failed;
	if (!key_write(key, &credential->key))
		goto Failed;
	if (!chain_validity(chain, n_chain, &credential->not_before, &credential->not_after)) {
		*error = CREDENTIAL_CERT_MALFORMED;
		goto Failed;
	}
	struct credential_cert *table = (struct credential_cert *)(credential + 1);
	uint8_t *end = (uint8_t *)(table + n_chain + n_anchors);
	certificates_write(chain, n_chain, table, &end);
	certificates_write(anchors, n_anchors, table + n_chain, &end);
	if (id.length > 0)
		memcpy(end, id.text, id.length); /* calloc ended it */
	credential->chain = table;
	credential->anchors = table + n_chain;
	credential->spiffe_id = (const char *)end;
	credential->n_chain = (uint16_t)n_chain;
	credential->n_anchors = (uint16_t)n_anchors;
	credential->key_kind = (uint8_t)kind;
	credential->key_bits = (uint16_t)bits;
	if (!chain_digest(credential, credential->chain_sha256))
		goto Failed;
	atomic_init(&credential->refs, 1);
	GENERAL_NAMES_free(names);
	*error = CREDENTIAL_NONE;
	return credential;
Failed:
	GENERAL_NAMES_free(names);
	if (credential != NULL)
		secret_free(&credential->key);
	free(credential);
	return NULL;
}

/* A stack as an array, which is the stack's own. */
static unsigned
stack_list(STACK_OF(X509) *stack, X509 **list, unsigned max)
{
	unsigned n = 0;

	for (; n < max && (int)n < sk_X509_num(stack); n++)
		list[n] = sk_X509_value(stack, (int)n);
	return n;
}

struct credential *
credential_new(OSSL_LIB_CTX *libctx, const struct credential_source *source, int64_t now, enum credential_error *error)
{
	X509 *chain[CREDENTIAL_CHAIN_MAX], *anchors[CREDENTIAL_ANCHORS_MAX];
	STACK_OF(X509) *chain_stack = NULL, *anchors_stack = NULL;
	struct credential *credential = NULL;
	unsigned n_chain, n_anchors = 0;
	EVP_PKEY *key = NULL;

	ERR_set_mark();
	chain_stack = pem_read_certificates(libctx, source->chain_pem, source->chain_length, CREDENTIAL_CHAIN_MAX,
					    CREDENTIAL_CERT_MALFORMED, CREDENTIAL_CHAIN_LONG, error);
	if (chain_stack == NULL)
		goto Exit;
	n_chain = stack_list(chain_stack, chain, CREDENTIAL_CHAIN_MAX);
	if (n_chain == 0) {
		*error = CREDENTIAL_CHAIN_EMPTY;
		goto Exit;
	}
	key = pem_read_key(libctx, source->key_pem, source->key_length, error);
	if (key == NULL)
		goto Exit;
	if (X509_check_private_key(chain[0], key) != 1) {
		*error = CREDENTIAL_KEY_MISMATCH;
		goto Exit;
	}
	*error = check_chain(chain, n_chain, now);
	if (*error != CREDENTIAL_NONE)
		goto Exit;
	if (source->anchors_pem != NULL) {
		anchors_stack = pem_read_certificates(libctx, source->anchors_pem, source->anchors_length,
						      CREDENTIAL_ANCHORS_MAX, CREDENTIAL_ANCHORS_MALFORMED,
						      CREDENTIAL_ANCHORS_MALFORMED, error);
		if (anchors_stack == NULL)
			goto Exit;
		n_anchors = stack_list(anchors_stack, anchors, CREDENTIAL_ANCHORS_MAX);
		if (n_anchors == 0) {
			*error = CREDENTIAL_ANCHORS_MALFORMED;
			goto Exit;
		}
	}
	credential = credential_make(chain, n_chain, anchors, n_anchors, key, error);
Exit:
	ERR_pop_to_mark();
	sk_X509_pop_free(chain_stack, X509_free);
	sk_X509_pop_free(anchors_stack, X509_free);
	EVP_PKEY_free(key);
	return credential;
}

struct credential *
credential_issued(X509 *const *chain, unsigned n_chain, EVP_PKEY *key, enum credential_error *error)
{
	ERR_set_mark();
	struct credential *credential = credential_make(chain, n_chain, NULL, 0, key, error);
	ERR_pop_to_mark();
	return credential;
}

struct credential *
credential_take(const struct credential *credential)
{
	struct credential *mutable = (struct credential *)credential;

	atomic_fetch_add_explicit(&mutable->refs, 1, memory_order_relaxed);
	return mutable;
}

void
credential_drop(const struct credential *credential)
{
	struct credential *mutable = (struct credential *)credential;

	if (mutable == NULL || atomic_fetch_sub_explicit(&mutable->refs, 1, memory_order_acq_rel) != 1)
		return;
	secret_free(&mutable->key);
	free(mutable);
}

EVP_PKEY *
credential_load_key(const struct credential *credential, OSSL_LIB_CTX *libctx)
{
	const unsigned char *der = credential->key.bytes;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, (long)credential->key.length);
	EVP_PKEY *key = info == NULL ? NULL : EVP_PKCS82PKEY_ex(info, libctx, NULL);

	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

STACK_OF(X509) *
credential_load_chain(const struct credential *credential, OSSL_LIB_CTX *libctx)
{
	STACK_OF(X509) *stack = sk_X509_new_null();

	for (unsigned i = 0; stack != NULL && i < credential->n_chain; i++) {
		const unsigned char *der = credential->chain[i].der;
		X509 *certificate = X509_new_ex(libctx, NULL);
		if (certificate != NULL && d2i_X509(&certificate, &der, (long)credential->chain[i].length) != NULL &&
		    sk_X509_push(stack, certificate) > 0)
			continue;
		X509_free(certificate);
		sk_X509_pop_free(stack, X509_free);
		stack = NULL;
	}
	return stack;
}
