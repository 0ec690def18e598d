/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_library.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <string.h>

enum { LIST_MAX = 24, NAMES_MAX = 10, DISPATCH_MAX = 32 };

/* What is offered of each operation; of those that aren't here, nothing. Names as the default provider has them first.
 */
static struct list {
	int operation;
	const char *names[NAMES_MAX];
	const char *property; /* to be found among an algorithm's properties */
	OSSL_ALGORITHM algorithms[LIST_MAX];
} lists[] = {
	{OSSL_OP_DIGEST, {"SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512"}, "", {{0}}},
	{OSSL_OP_CIPHER,
	 {"AES-128-GCM", "AES-256-GCM", "AES-128-CTR", "AES-256-CTR", "AES-256-CBC", "ChaCha20-Poly1305"},
	 "",
	 {{0}}},
	{OSSL_OP_MAC, {"HMAC"}, "", {{0}}},
	{OSSL_OP_KDF, {"HKDF", "TLS13-KDF", "TLS1-PRF"}, "", {{0}}},
	{OSSL_OP_RAND, {"CTR-DRBG", "SEED-SRC"}, "", {{0}}},
	{OSSL_OP_KEYMGMT, {"RSA", "RSA-PSS", "EC", "ED25519", "X25519", "HKDF", "TLS1-PRF", "HMAC"}, "", {{0}}},
	{OSSL_OP_KEYEXCH, {"ECDH", "X25519", "HKDF", "TLS1-PRF"}, "", {{0}}},
	{OSSL_OP_SIGNATURE, {"RSA", "ECDSA", "ED25519", "HMAC"}, "", {{0}}},
	{OSSL_OP_ASYM_CIPHER, {"RSA"}, "", {{0}}},
	{OSSL_OP_DECODER, {"RSA", "RSA-PSS", "EC", "ED25519"}, "input=der", {{0}}},
};

/* The default provider's lists and functions are constants of the library: what is made of them is made once. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool made;
static OSSL_DISPATCH dispatch[DISPATCH_MAX];

/* What the provider that is being loaded on this thread stands on. */
static _Thread_local OSSL_PROVIDER *base;

static const OSSL_ALGORITHM *
query(void *context, int operation, int *no_cache)
{
	(void)context;
	*no_cache = 0;
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (lists[i].operation == operation)
			return lists[i].algorithms;
	return NULL;
}

/* Names of an algorithm are a list with colons between them. */
static bool
is_wanted(const struct list *list, const OSSL_ALGORITHM *algorithm)
{
	size_t length = strcspn(algorithm->algorithm_names, ":");

	for (unsigned i = 0; i < NAMES_MAX && list->names[i] != NULL; i++)
		if (strlen(list->names[i]) == length &&
		    strncmp(list->names[i], algorithm->algorithm_names, length) == 0)
			return strstr(algorithm->property_definition, list->property) != NULL;
	return false;
}

/* False when the default provider hasn't all that is wanted. */
static bool
list_fill(struct list *list, const OSSL_ALGORITHM *whole)
{
	unsigned n = 0, n_names = 0;

	while (n_names < NAMES_MAX && list->names[n_names] != NULL)
		n_names++;
	for (; whole != NULL && whole->algorithm_names != NULL; whole++) {
		if (!is_wanted(list, whole))
			continue;
		if (n + 1 == LIST_MAX)
			return false;
		list->algorithms[n++] = *whole;
	}
	return n >= n_names;
}

static void
make_lists(void)
{
	void *context = OSSL_PROVIDER_get0_provider_ctx(base);
	OSSL_FUNC_provider_query_operation_fn *whole_query = NULL;
	int no_cache;
	unsigned n = 0;

	for (const OSSL_DISPATCH *f = OSSL_PROVIDER_get0_dispatch(base); f->function_id != 0; f++) {
		if (f->function_id == OSSL_FUNC_PROVIDER_TEARDOWN) /* the default provider's context is its own */
			continue;
		if (n + 1 == DISPATCH_MAX)
			return;
		dispatch[n] = *f;
		if (f->function_id == OSSL_FUNC_PROVIDER_QUERY_OPERATION) {
			whole_query = OSSL_FUNC_provider_query_operation(f);
			dispatch[n].function = (void (*)(void))query;
		}
		n++;
	}
	made = whole_query != NULL;
	for (unsigned i = 0; made && i < sizeof(lists) / sizeof(lists[0]); i++)
		made = list_fill(&lists[i], whole_query(context, lists[i].operation, &no_cache));
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
	(void)handle;
	(void)in;
	*context = OSSL_PROVIDER_get0_provider_ctx(base);
	*out = dispatch;
	return 1;
}

bool
tls_library_open(struct tls_library *library)
{
	*library = (struct tls_library){.whole = OSSL_LIB_CTX_new(), .libctx = OSSL_LIB_CTX_new()};
	if (library->whole != NULL && library->libctx != NULL)
		base = library->whole_provider = OSSL_PROVIDER_load(library->whole, "default");
	if (base != NULL)
		pthread_once(&once, make_lists);
	if (base != NULL && made && OSSL_PROVIDER_add_builtin(library->libctx, "postern", provider_init) == 1)
		library->provider = OSSL_PROVIDER_load(library->libctx, "postern");
	base = NULL;
	if (library->provider != NULL)
		return true;
	tls_library_close(library);
	return false;
}

void
tls_library_close(struct tls_library *library)
{
	if (library->provider != NULL)
		OSSL_PROVIDER_unload(library->provider);
	OSSL_LIB_CTX_free(library->libctx);
	if (library->whole_provider != NULL)
		OSSL_PROVIDER_unload(library->whole_provider);
	OSSL_LIB_CTX_free(library->whole);
	*library = (struct tls_library){0};
}
