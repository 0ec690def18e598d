/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certs/file_read.h"

enum { ATTEMPTS = 5 /* at reading files that don't hold still */, NS_PER_S = 1000000000 };

static const char *const stamp_names[] = {"..data", "tls.crt", "tls.key", "ca.crt"};
enum { STAMP_FILES = sizeof(stamp_names) / sizeof(stamp_names[0]) };

/* What the files of a folder are; equal as long as nobody touched them. */
struct stamp {
	struct {
		uint64_t device, inode, size;
		int64_t modified_ns, changed_ns; /* CLOCK_REALTIME */
	} files[STAMP_FILES];                    /* of stamp_names; zeroes where there is none */
};

static int64_t
timespec_ns(struct timespec time)
{
	return (int64_t)time.tv_sec * NS_PER_S + time.tv_nsec;
}

/* DIR as it is now. What can't be looked at is all zeroes. */
static void
stamp_read(const char *directory, struct stamp *stamp)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat status;

	*stamp = (struct stamp){0};
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

static bool
stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0; /* no padding: all members are of 64 bits */
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
credential_file_load(OSSL_LIB_CTX *libctx, const char *directory, int64_t now, bool *exposed,
		     enum credential_error *error)
{
	struct credential *credential = NULL;
	struct stamp before, after;
	struct files files = {0};

	*exposed = false;
	*error = CREDENTIAL_FILE_CHANGING;
	for (unsigned i = 0; i < ATTEMPTS && *error == CREDENTIAL_FILE_CHANGING; i++) {
		files_free(&files);
		stamp_read(directory, &before);
		*error = files_read(directory, &files);
		stamp_read(directory, &after);
		if (!stamp_equal(&before, &after))
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
