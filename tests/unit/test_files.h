/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own, and what is put into it. Failing at that ends the test program. */
#ifndef POSTERN_TESTS_UNIT_TEST_FILES_H
#define POSTERN_TESTS_UNIT_TEST_FILES_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test_ca.h"

/* Its name, in a buffer of the test program. */
static inline const char *
test_folder(void)
{
	static char name[64];

	snprintf(name, sizeof(name), "/tmp/postern-test.XXXXXX");
	TEST_NEED(mkdtemp(name) != NULL);
	return name;
}

static inline int
test_remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

static inline void
test_folder_remove(const char *name)
{
	nftw(name, test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes DIR/NAME anew, as an editor would: in place. */
static inline void
test_write(const char *folder, const char *name, const char *bytes, mode_t mode)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "we");
	TEST_NEED(file != NULL && fputs(bytes, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0);
}

/* PKCS#8 PEM; free. */
static inline char *
test_key_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;

	TEST_NEED(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	long length = BIO_get_mem_data(bio, &bytes);
	char *text = strndup(bytes, (size_t)length);
	BIO_free(bio);
	return text;
}

/* FOLDER/tls.crt and tls.key. */
static inline void
test_write_pair(const char *folder, X509 *const *chain, unsigned n, EVP_PKEY *key)
{
	char *chain_pem = test_pem(chain, n), *key_pem = test_key_pem(key);

	test_write(folder, "tls.crt", chain_pem, 0644);
	test_write(folder, "tls.key", key_pem, 0600);
	free(chain_pem);
	free(key_pem);
}

#endif
