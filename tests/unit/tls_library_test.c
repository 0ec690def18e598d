/* SPDX-License-Identifier: Apache-2.0 */
/* The short lists have what certificates, their verification and TLS need, and not more. */
#include "gateway/tls_library.h"

#include <openssl/provider.h>

#include "tests/unit/tls_kit.h"
#include "tests/unit/unit.h"

static X509 *
read_in(const struct tls_library *library, const struct kit_cert *cert)
{
	const uint8_t *at = cert->der[0];
	X509 *certificate = X509_new_ex(library->libctx, NULL);

	kit_check(d2i_X509(&certificate, &at, (long)cert->chain[0].length) != NULL, "certificate");
	return certificate;
}

/* A chain of each type of key is read and verified, and a wrong one isn't. */
static void
test_chains(void)
{
	struct kit_cert root, other, leaf;
	struct tls_library library;

	CU_ASSERT_TRUE_FATAL(tls_library_open(&library));
	for (unsigned key = 0; key < KIT_KEYS; key++) {
		kit_cert_make(&root, "root", key, NULL, NULL, 0);
		kit_cert_make(&other, "root", key, NULL, NULL, 0);
		kit_cert_make(&leaf, "leaf", key, &root, "DNS:leaf.example", 0);
		X509 *x[] = {read_in(&library, &root), read_in(&library, &other), read_in(&library, &leaf)};
		for (unsigned i = 0; i < 2; i++) {
			X509_STORE *store = X509_STORE_new();
			X509_STORE_CTX *verify = X509_STORE_CTX_new_ex(library.libctx, NULL);
			X509_STORE_add_cert(store, x[i]);
			X509_STORE_CTX_init(verify, store, x[2], NULL);
			CU_ASSERT_EQUAL(X509_verify_cert(verify), i == 0);
			X509_STORE_CTX_free(verify);
			X509_STORE_free(store);
		}
		for (unsigned i = 0; i < 3; i++)
			X509_free(x[i]);
		kit_cert_free(&root);
		kit_cert_free(&other);
		kit_cert_free(&leaf);
	}
	tls_library_close(&library);
}

static void
test_lists(void)
{
	struct tls_library library;

	CU_ASSERT_TRUE_FATAL(tls_library_open(&library));
	CU_ASSERT_EQUAL(OSSL_PROVIDER_available(library.libctx, "postern"), 1);
	CU_ASSERT_EQUAL(OSSL_PROVIDER_available(library.libctx, "default"), 0);
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(library.libctx, "AES-256-GCM", NULL);
	EVP_MD *digest = EVP_MD_fetch(library.libctx, "SHA384", NULL);
	CU_ASSERT_PTR_NOT_NULL(cipher);
	CU_ASSERT_PTR_NOT_NULL(digest);
	EVP_CIPHER_free(cipher);
	EVP_MD_free(digest);
	CU_ASSERT_PTR_NULL(EVP_CIPHER_fetch(library.libctx, "AES-128-CBC", NULL));
	CU_ASSERT_PTR_NULL(EVP_MD_fetch(library.libctx, "MD5", NULL));
	CU_ASSERT_PTR_NULL(EVP_KEYMGMT_fetch(library.libctx, "DSA", NULL));
	tls_library_close(&library);
	tls_library_close(&library);
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"chains of each type of key", test_chains},
		{"what there is, and what not", test_lists},
		CU_TEST_INFO_NULL,
	};

	return unit_run("tls_library", tests);
}
