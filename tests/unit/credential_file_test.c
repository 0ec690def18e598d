/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential_file.h"

#include <pthread.h>

#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

static OSSL_LIB_CTX *libctx;
static struct test_ca root, first, second;
static const char *folder;

static void
set_up(void)
{
	libctx = OSSL_LIB_CTX_new();
	root = test_root("root");
	first = test_leaf(&root, TEST_DNS, "first.example");
	second = test_leaf(&root, TEST_DNS, "second.example");
}

static void
tear_down(void)
{
	test_free(&second);
	test_free(&first);
	test_free(&root);
	OSSL_LIB_CTX_free(libctx);
}

static bool
shows(const struct credential *credential, const struct test_ca *leaf)
{
	size_t length;
	unsigned char *der = test_der(leaf->cert, &length);
	bool same = credential != NULL && credential->chain[0].length == length &&
		    memcmp(credential->chain[0].der, der, length) == 0;

	OPENSSL_free(der);
	return same;
}

static enum credential_error
load_error(const char *directory)
{
	enum credential_error error;
	bool exposed;
	struct credential *credential = credential_file_load(libctx, directory, TEST_NOW, &exposed, &error);

	CU_ASSERT_EQUAL(credential == NULL, error != CREDENTIAL_NONE);
	credential_drop(credential);
	return error;
}

static void
test_files(void)
{
	char path[256], *anchors = test_pem(&root.cert, 1), *large = calloc(1, CREDENTIAL_FILE_MAX + 2);
	enum credential_error error;
	bool exposed;

	folder = test_folder();
	CU_ASSERT_EQUAL(load_error("/nonexistent"), CREDENTIAL_FOLDER);
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_CERT_UNREADABLE);
	test_write_pair(folder, &first.cert, 1, first.key);
	test_write(folder, "ca.crt", anchors, 0644);
	struct credential *credential = credential_file_load(libctx, folder, TEST_NOW, &exposed, &error);
	CU_ASSERT_TRUE(shows(credential, &first));
	CU_ASSERT_EQUAL(credential->n_anchors, 1);
	CU_ASSERT_FALSE(exposed);
	credential_drop(credential);
	test_write(folder, "ca.crt", "", 0644);
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_ANCHORS_MALFORMED);
	memset(large, '\n', CREDENTIAL_FILE_MAX + 1);
	test_write(folder, "ca.crt", large, 0644);
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_FILE_LARGE);
	snprintf(path, sizeof(path), "%s/ca.crt", folder);
	unlink(path);
	mkdir(path, 0755);
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_ANCHORS_UNREADABLE);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/tls.key", folder);
	unlink(path);
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_KEY_UNREADABLE);
	TEST_NEED(mkfifo(path, 0600) == 0); /* nobody writes to it: it must not hold us up */
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_KEY_UNREADABLE);
	free(anchors);
	free(large);
	test_folder_remove(folder);
}

static void
test_permissions(void)
{
	static const struct {
		mode_t mode;
		enum credential_error error;
		bool exposed;
	} cases[] = {
		{0600, CREDENTIAL_NONE, false},        {0400, CREDENTIAL_NONE, false},
		{0440, CREDENTIAL_NONE, true},         {0644, CREDENTIAL_NONE, true},
		{0660, CREDENTIAL_KEY_EXPOSED, false}, {0602, CREDENTIAL_KEY_EXPOSED, false},
	};
	enum credential_error error;
	char path[256];
	bool exposed;

	folder = test_folder();
	test_write_pair(folder, &first.cert, 1, first.key);
	snprintf(path, sizeof(path), "%s/tls.key", folder);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		chmod(path, cases[i].mode);
		credential_drop(credential_file_load(libctx, folder, TEST_NOW, &exposed, &error));
		CU_ASSERT_EQUAL(error, cases[i].error);
		CU_ASSERT_EQUAL(exposed, cases[i].exposed);
	}
	if (geteuid() == 0) { /* a stranger's file */
		TEST_NEED(chmod(path, 0600) == 0 && chown(path, 12345, 0) == 0);
		CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_KEY_EXPOSED);
	}
	test_folder_remove(folder);
}

/* --- as the kubelet does: folders with times for names, ..data swapped by a rename ------------------------------- */

static void
mount_secret(const char *directory, unsigned n, const struct test_ca *leaf)
{
	char name[256], link[256], draft[256];

	snprintf(name, sizeof(name), "%s/..2026_%u", directory, n);
	TEST_NEED(mkdir(name, 0755) == 0);
	test_write_pair(name, &leaf->cert, 1, leaf->key);
	snprintf(draft, sizeof(draft), "%s/..data_tmp", directory);
	snprintf(link, sizeof(link), "%s/..data", directory);
	snprintf(name, sizeof(name), "..2026_%u", n);
	TEST_NEED(symlink(name, draft) == 0 && rename(draft, link) == 0);
	if (n > 0) {
		snprintf(name, sizeof(name), "%s/..2026_%u", directory, n - 1);
		test_folder_remove(name);
		return;
	}
	snprintf(link, sizeof(link), "%s/tls.crt", directory);
	TEST_NEED(symlink("..data/tls.crt", link) == 0);
	snprintf(link, sizeof(link), "%s/tls.key", directory);
	TEST_NEED(symlink("..data/tls.key", link) == 0);
}

enum { SWAPS = 400 };
static atomic_bool swapping;

static void *
swap(void *context)
{
	for (unsigned n = 1; n <= SWAPS; n++)
		mount_secret(context, n, n % 2 == 0 ? &first : &second);
	atomic_store(&swapping, false);
	return NULL;
}

/* Rotation in the middle of reads: each reading gives one of the two pairs, or says that it couldn't; never a mixture.
 */
static void
test_mounted(void)
{
	unsigned seen[2] = {0};
	char directory[128];
	pthread_t thread;

	snprintf(directory, sizeof(directory), "%s", test_folder());
	mount_secret(directory, 0, &first);
	atomic_store(&swapping, true);
	TEST_NEED(pthread_create(&thread, NULL, swap, directory) == 0);
	for (bool last = false; !last;) {
		last = !atomic_load(&swapping);
		enum credential_error error;
		bool exposed;
		struct credential *read = credential_file_load(libctx, directory, TEST_NOW, &exposed, &error);
		CU_ASSERT_TRUE_FATAL(error != CREDENTIAL_KEY_MISMATCH);
		CU_ASSERT_TRUE_FATAL(read == NULL || shows(read, &first) || shows(read, &second));
		CU_ASSERT_TRUE_FATAL(!last || (read != NULL && shows(read, SWAPS % 2 == 0 ? &first : &second)));
		if (read != NULL)
			seen[shows(read, &first)]++;
		credential_drop(read);
	}
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(seen[0] > 0 && seen[1] > 0);
	test_folder_remove(directory);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"files that are missing, large or none", test_files},
		{"permissions of the key's file", test_permissions},
		{"a mounted secret, swapped while it is read", test_mounted},
		CU_TEST_INFO_NULL,
	};

	set_up();
	int failed = unit_run("credential_file", tests);
	tear_down();
	return failed;
}
