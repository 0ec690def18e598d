/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certs/file_read.h"

enum {
	ATTEMPTS = 5,          /* at reading files that don't hold still */
	YOUNG_NS = 2000000000, /* the coarsest time stamps of any file system are of 2 s */
	NS_PER_S = 1000000000
};

static const char *const stamp_names[] = {"..data", "tls.crt", "tls.key", "ca.crt"};
enum { STAMP_FILES = sizeof(stamp_names) / sizeof(stamp_names[0]) };

static int64_t
timespec_ns(struct timespec time)
{
	return (int64_t)time.tv_sec * NS_PER_S + time.tv_nsec;
}

void
credential_stamp_read(const char *directory, struct credential_stamp *stamp)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat status;

	*stamp = (struct credential_stamp){0};
	if (fd < 0)
		return;
	for (unsigned i = 0; i < STAMP_FILES; i++) {
		if (fstatat(fd, stamp_names[i], &status, 0) != 0)
			continue;
		stamp->files[i].device = status.st_dev;
		stamp->files[i].inode = status.st_ino;
		stamp->files[i].size = (uint64_t)status.st_size;
		stamp->files[i].modified_ns = timespec_ns(status.st_mtim);
		stamp->files[i].changed_ns = timespec_ns(status.st_ctim);
	}
	close(fd);
}

bool
credential_stamp_equal(const struct credential_stamp *a, const struct credential_stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0; /* no padding: all members are of 64 bits */
}

bool
credential_stamp_young(const struct credential_stamp *stamp, int64_t now_ns)
{
	for (unsigned i = 0; i < STAMP_FILES; i++) {
		int64_t age_ns = now_ns - stamp->files[i].changed_ns;
		/* A file from the future isn't young: the clock was set back, and time stamps do differ. */
		if (age_ns > -YOUNG_NS && age_ns < YOUNG_NS)
			return true;
	}
	return false;
}

/* The folder whose files are to be read: the one that ..data leads to now, or DIR. */
static int
open_folder(const char *directory)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	int data = openat(fd, "..data", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (data < 0 && errno == ENOENT)
		return fd;
	close(fd);
	return data;
}

struct files {
	struct secret chain, key, anchors;
	struct stat key_status;
};

static void
files_free(struct files *files)
{
	secret_free(&files->chain);
	secret_free(&files->key);
	secret_free(&files->anchors);
}

static enum credential_error
read_error(int error, enum credential_error unreadable)
{
	return error == 0 ? CREDENTIAL_NONE : error == EFBIG ? CREDENTIAL_FILE_LARGE : unreadable;
}

/* Frees nothing on an error. */
static enum credential_error
files_read(const char *directory, struct files *files)
{
	enum credential_error error = CREDENTIAL_FOLDER;
	int fd = open_folder(directory);

	if (fd < 0)
		return error;
	error = read_error(file_read_at(fd, "tls.crt", CREDENTIAL_FILE_MAX, &files->chain, NULL),
			   CREDENTIAL_CERT_UNREADABLE);
	if (error == CREDENTIAL_NONE)
		error = read_error(file_read_at(fd, "tls.key", CREDENTIAL_FILE_MAX, &files->key, &files->key_status),
				   CREDENTIAL_KEY_UNREADABLE);
	if (error == CREDENTIAL_NONE) {
		int anchors = file_read_at(fd, "ca.crt", CREDENTIAL_FILE_MAX, &files->anchors, NULL);
		if (anchors != ENOENT)
			error = read_error(anchors, CREDENTIAL_ANCHORS_UNREADABLE);
	}
	close(fd);
	return error;
}

struct credential *
credential_file_load(OSSL_LIB_CTX *libctx, const char *directory, int64_t now, struct credential_stamp *stamp,
		     bool *exposed, enum credential_error *error)
{
	struct credential *credential = NULL;
	struct credential_stamp after;
	struct files files = {0};

	*exposed = false;
	*error = CREDENTIAL_FILE_CHANGING;
	for (unsigned i = 0; i < ATTEMPTS && *error == CREDENTIAL_FILE_CHANGING; i++) {
		files_free(&files);
		credential_stamp_read(directory, stamp);
		*error = files_read(directory, &files);
		credential_stamp_read(directory, &after);
		if (!credential_stamp_equal(stamp, &after))
			*error = CREDENTIAL_FILE_CHANGING;
	}
	if (*error == CREDENTIAL_NONE && !file_is_private(&files.key_status, S_IWGRP | S_IWOTH))
		*error = CREDENTIAL_KEY_EXPOSED;
	if (*error == CREDENTIAL_NONE) {
		const struct credential_source source = {
			.chain_pem = (const char *)files.chain.bytes,
			.chain_length = files.chain.length,
			.key_pem = (const char *)files.key.bytes,
			.key_length = files.key.length,
			.anchors_pem = (const char *)files.anchors.bytes,
			.anchors_length = files.anchors.length,
		};
		*exposed = !file_is_private(&files.key_status, S_IRGRP | S_IROTH);
		credential = credential_new(libctx, &source, now, error);
	}
	files_free(&files);
	return credential;
}

void
credential_watch_begin(struct credential_watch *watch, const char *directory)
{
	*watch = (struct credential_watch){.directory = directory, .unread = true};
}

/* Whether the same files may give something else by now. */
static bool
may_heal(enum credential_error error)
{
	return error == CREDENTIAL_NOT_YET_VALID || error == CREDENTIAL_EXPIRED || error == CREDENTIAL_MEMORY ||
	       error == CREDENTIAL_FILE_CHANGING;
}

enum credential_change
credential_watch_poll(struct credential_watch *watch, OSSL_LIB_CTX *libctx, int64_t now_ns)
{
	struct credential_stamp stamp;
	enum credential_error error;
	bool exposed;

	credential_stamp_read(watch->directory, &stamp);
	if (!watch->unread && !may_heal(watch->error) && credential_stamp_equal(&stamp, &watch->stamp))
		return CREDENTIAL_SAME;
	struct credential *read =
		credential_file_load(libctx, watch->directory, now_ns / NS_PER_S, &watch->stamp, &exposed, &error);
	bool same_error = error == watch->error;
	watch->unread = credential_stamp_young(&watch->stamp, now_ns);
	watch->error = error;
	if (!same_error)
		watch->since = now_ns / NS_PER_S;
	if (read == NULL)
		return same_error ? CREDENTIAL_SAME : CREDENTIAL_FAILED;
	watch->exposed = exposed;
	if (watch->current != NULL && credential_equal(read, watch->current)) {
		credential_drop(read);
		return CREDENTIAL_SAME;
	}
	credential_drop(watch->current);
	watch->current = read;
	watch->since = now_ns / NS_PER_S;
	return CREDENTIAL_REPLACED;
}

void
credential_watch_end(struct credential_watch *watch)
{
	credential_drop(watch->current);
	*watch = (struct credential_watch){0};
}
