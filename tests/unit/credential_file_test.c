/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential_file.h"

#include <pthread.h>
#include <time.h>

#include "certs/credential_store.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

#define NS 1000000000LL
/* Certificates are valid about TEST_NOW; files are as old as they really are, which is never young then. */
#define NOW_NS (TEST_NOW * NS)

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
	struct credential_stamp stamp;
	enum credential_error error;
	bool exposed;
	struct credential *credential = credential_file_load(libctx, directory, TEST_NOW, &stamp, &exposed, &error);

	CU_ASSERT_EQUAL(credential == NULL, error != CREDENTIAL_NONE);
	credential_drop(credential);
	return error;
}

static void
test_files(void)
{
	char path[256], *anchors = test_pem(&root.cert, 1), *large = calloc(1, CREDENTIAL_FILE_MAX + 2);
	struct credential_stamp stamp;
	enum credential_error error;
	bool exposed;

	folder = test_folder();
	CU_ASSERT_EQUAL(load_error("/nonexistent"), CREDENTIAL_FOLDER);
	CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_CERT_UNREADABLE);
	test_write_pair(folder, &first.cert, 1, first.key);
	test_write(folder, "ca.crt", anchors, 0644);
	struct credential *credential = credential_file_load(libctx, folder, TEST_NOW, &stamp, &exposed, &error);
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
	struct credential_stamp stamp;
	enum credential_error error;
	char path[256];
	bool exposed;

	folder = test_folder();
	test_write_pair(folder, &first.cert, 1, first.key);
	snprintf(path, sizeof(path), "%s/tls.key", folder);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		chmod(path, cases[i].mode);
		credential_drop(credential_file_load(libctx, folder, TEST_NOW, &stamp, &exposed, &error));
		CU_ASSERT_EQUAL(error, cases[i].error);
		CU_ASSERT_EQUAL(exposed, cases[i].exposed);
	}
	if (geteuid() == 0) { /* a stranger's file */
		TEST_NEED(chmod(path, 0600) == 0 && chown(path, 12345, 0) == 0);
		CU_ASSERT_EQUAL(load_error(folder), CREDENTIAL_KEY_EXPOSED);
	}
	test_folder_remove(folder);
}

static void
test_watch(void)
{
	struct credential_watch watch;
	char *second_chain = test_pem(&second.cert, 1), *second_key = test_key_pem(second.key);

	folder = test_folder();
	credential_watch_begin(&watch, folder);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_FAILED);
	CU_ASSERT_EQUAL(watch.error, CREDENTIAL_CERT_UNREADABLE);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_SAME);
	test_write_pair(folder, &first.cert, 1, first.key);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS + NS), CREDENTIAL_REPLACED);
	CU_ASSERT_TRUE(shows(watch.current, &first));
	CU_ASSERT_EQUAL(watch.since, TEST_NOW + 1);
	uint64_t generation = watch.current->generation;
	test_write_pair(folder, &first.cert, 1, first.key); /* the same again is no change */
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_SAME);
	CU_ASSERT_EQUAL(watch.current->generation, generation);

	/* The new certificate is there, its key not yet: the old pair stays, and the reason is told once. */
	test_write(folder, "tls.crt", second_chain, 0644);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS + 5 * NS), CREDENTIAL_FAILED);
	CU_ASSERT_EQUAL(watch.error, CREDENTIAL_KEY_MISMATCH);
	CU_ASSERT_EQUAL(watch.since, TEST_NOW + 5);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS + 6 * NS), CREDENTIAL_SAME);
	CU_ASSERT_TRUE(shows(watch.current, &first));
	struct credential *held = credential_take(watch.current);
	test_write(folder, "tls.key", second_key, 0600);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_REPLACED);
	CU_ASSERT_EQUAL(watch.error, CREDENTIAL_NONE);
	CU_ASSERT_TRUE(shows(watch.current, &second));
	CU_ASSERT_TRUE(shows(held, &first)); /* whoever holds it keeps it */
	credential_drop(held);

	test_folder_remove(folder);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_FAILED);
	CU_ASSERT_EQUAL(watch.error, CREDENTIAL_FOLDER);
	CU_ASSERT_TRUE(shows(watch.current, &second));
	credential_watch_end(&watch);
	free(second_chain);
	free(second_key);
}

/* A box without a battery for its clock begins in the past: nothing is valid yet until the clock steps. */
static void
test_clock_steps(void)
{
	struct credential_watch watch;

	folder = test_folder();
	test_write_pair(folder, &first.cert, 1, first.key);
	credential_watch_begin(&watch, folder);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, 1000 * NS), CREDENTIAL_FAILED);
	CU_ASSERT_EQUAL(watch.error, CREDENTIAL_NOT_YET_VALID);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, 1001 * NS), CREDENTIAL_SAME);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_REPLACED);
	/* It stays in force when its time is over, and when the clock goes back. */
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS + 2 * TEST_DAY * NS), CREDENTIAL_SAME);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, 1000 * NS), CREDENTIAL_SAME);
	CU_ASSERT_TRUE(shows(watch.current, &first));
	credential_watch_end(&watch);
	test_folder_remove(folder);
}

/* Two writings within one step of the file system's clock leave the same stamp: what is young is read again. */
static void
test_young(void)
{
	struct credential_stamp stamp;
	struct timespec now;

	folder = test_folder();
	test_write_pair(folder, &first.cert, 1, first.key);
	credential_stamp_read(folder, &stamp);
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t now_ns = now.tv_sec * NS + now.tv_nsec;
	CU_ASSERT_TRUE(credential_stamp_young(&stamp, now_ns));
	CU_ASSERT_FALSE(credential_stamp_young(&stamp, now_ns + 10 * NS));
	CU_ASSERT_FALSE(credential_stamp_young(&stamp, now_ns - 10 * NS));
	test_folder_remove(folder);
}

/* --- as the kubelet does: folders with times for names, ..data swapped by a rename ------------------------------- */

static void
mount_secret(const char *directory, unsigned n, const struct test_ca *leaf)
{
	char name[512], link[512], draft[512];

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
	struct credential_watch watch;
	unsigned replaced = 0;
	char directory[128];
	pthread_t thread;

	snprintf(directory, sizeof(directory), "%s", test_folder());
	mount_secret(directory, 0, &first);
	credential_watch_begin(&watch, directory);
	CU_ASSERT_EQUAL(credential_watch_poll(&watch, libctx, NOW_NS), CREDENTIAL_REPLACED);
	atomic_store(&swapping, true);
	TEST_NEED(pthread_create(&thread, NULL, swap, directory) == 0);
	while (atomic_load(&swapping)) {
		replaced += credential_watch_poll(&watch, libctx, NOW_NS) == CREDENTIAL_REPLACED;
		CU_ASSERT_TRUE_FATAL(watch.error != CREDENTIAL_KEY_MISMATCH);
		CU_ASSERT_TRUE_FATAL(shows(watch.current, &first) || shows(watch.current, &second));
	}
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(replaced > 0);
	credential_watch_poll(&watch, libctx, NOW_NS);
	CU_ASSERT_TRUE(shows(watch.current, SWAPS % 2 == 0 ? &first : &second));
	CU_ASSERT_EQUAL(watch.error, CREDENTIAL_NONE);
	credential_watch_end(&watch);
	test_folder_remove(directory);
}

/* --- the store -----------------------------------------------------------------------------------------------------
 */

static unsigned told;
static enum credential_error told_error;

static void
changed(void *context, const struct credential_status *status, enum credential_change change)
{
	(void)context, (void)change;
	told++;
	told_error = status->watch.error;
}

static void
test_store(void)
{
	struct credential_store store;
	char name[256];

	folder = test_folder();
	snprintf(name, sizeof(name), "%s/web", folder);
	TEST_NEED(mkdir(name, 0755) == 0);
	test_write_pair(name, &first.cert, 1, first.key);
	CU_ASSERT_TRUE_FATAL(credential_store_open(&store, folder));
	store.changed = changed;
	CU_ASSERT_FALSE(credential_store_poll(&store, NOW_NS));
	credential_store_want(&store, (const char *const[]){"web", "absent", "web", "../web"}, 4);
	CU_ASSERT_EQUAL(store.n_wanted, 3);
	CU_ASSERT_TRUE(credential_store_poll(&store, NOW_NS));
	CU_ASSERT_EQUAL(told, 3);
	CU_ASSERT_FALSE(credential_store_poll(&store, NOW_NS));
	CU_ASSERT_EQUAL(told, 3);
	CU_ASSERT_TRUE(shows(credential_set_find(store.set, "web"), &first));
	CU_ASSERT_PTR_NULL(credential_set_find(store.set, "absent"));
	CU_ASSERT_PTR_NULL(credential_set_find(store.set, "../web"));

	struct credential_set *held = credential_set_take(store.set);
	test_write_pair(name, &second.cert, 1, second.key);
	CU_ASSERT_TRUE(credential_store_poll(&store, NOW_NS));
	CU_ASSERT_TRUE(shows(credential_set_find(store.set, "web"), &second));
	CU_ASSERT_TRUE(shows(credential_set_find(held, "web"), &first));
	CU_ASSERT_TRUE(store.set->generation > held->generation);

	/* One that isn't wanted any more goes; one that still is isn't read again. */
	const struct credential *kept = credential_set_find(store.set, "web");
	credential_store_want(&store, (const char *const[]){"web"}, 1);
	CU_ASSERT_FALSE(credential_store_poll(&store, NOW_NS));
	CU_ASSERT_PTR_EQUAL(credential_set_find(store.set, "web"), kept);
	credential_store_want(&store, NULL, 0);
	CU_ASSERT_TRUE(credential_store_poll(&store, NOW_NS));
	CU_ASSERT_PTR_NULL(credential_set_find(store.set, "web"));
	credential_store_close(&store);
	CU_ASSERT_TRUE(shows(credential_set_find(held, "web"), &first));
	credential_set_drop(held);
	test_folder_remove(folder);
}

static void
test_bad_names(void)
{
	static const char *const names[] = {"", ".", "..", "../x", "a/b", "/etc", ".hidden", "a b"};
	struct credential_store store;

	folder = test_folder();
	CU_ASSERT_TRUE_FATAL(credential_store_open(&store, folder));
	store.changed = changed;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		told = 0;
		credential_store_want(&store, &names[i], 1);
		CU_ASSERT_FALSE(credential_store_poll(&store, NOW_NS));
		CU_ASSERT_EQUAL(told, 1);
		CU_ASSERT_EQUAL(told_error, CREDENTIAL_NAME);
	}
	credential_store_close(&store);
	test_folder_remove(folder);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"files that are missing, large or none", test_files},
		{"permissions of the key's file", test_permissions},
		{"a watch: replaced, half replaced, gone", test_watch},
		{"clock steps", test_clock_steps},
		{"files too young to be trusted", test_young},
		{"a mounted secret, swapped while it is read", test_mounted},
		{"the store", test_store},
		{"names that would lead out of the store", test_bad_names},
		CU_TEST_INFO_NULL,
	};

	set_up();
	int failed = unit_run("credential_file", tests);
	tear_down();
	return failed;
}
