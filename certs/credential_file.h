/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from a folder that is laid out like a mounted Kubernetes TLS secret:
 *
 *	DIR/tls.crt   certificate chain, PEM, leaf first
 *	DIR/tls.key   its private key, PEM
 *	DIR/ca.crt    optional: CA certificates that a peer's chain must lead to
 *
 * A pair is never put together from two writings. Where the kubelet mounted it, DIR/..data is a symbolic link to a
 * folder with the files and is swapped by one rename: all files are read through one descriptor of the folder that it
 * led to. Elsewhere files are replaced one by one: what they are (device, inode, size, times) is compared before and
 * after reading, and a key that isn't the leaf's is an error anyway. In both cases what was in force stays in force.
 *
 * Change is found by looking: a few stat(2) for each folder and poll. inotify doesn't see all file systems, and a poll
 * can't miss an event. A file whose time is so young that a second write might not show in it is read again.
 *
 * The key's file. Others than its owner may write it, or its owner is neither root nor the process's user: error, the
 * key may be anybody's. Group or others may read it: a warning and no error, for a mounted secret is 0644 by default
 * and the files of a volume with fsGroup are 0440.
 */
#ifndef POSTERN_CERTS_CREDENTIAL_FILE_H
#define POSTERN_CERTS_CREDENTIAL_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "certs/credential.h"

/* What the files of a folder are; equal as long as nobody touched them. */
struct credential_stamp {
	struct {
		uint64_t device, inode, size;
		int64_t modified_ns, changed_ns; /* CLOCK_REALTIME */
	} files[4]; /* ..data's folder, tls.crt, tls.key, ca.crt; zeroes where there is none */
};

/* DIR as it is now. What can't be looked at is all zeroes. */
void credential_stamp_read(const char *directory, struct credential_stamp *stamp);
bool credential_stamp_equal(const struct credential_stamp *a, const struct credential_stamp *b);
/* Whether a file was written so shortly before now_ns (CLOCK_REALTIME, in ns) that another write may leave the same
 * stamp. */
bool credential_stamp_young(const struct credential_stamp *stamp, int64_t now_ns);

/* Reads DIR. NULL with *error on an error. *stamp: what was read, for telling a change later, set in either case.
 * *exposed: others may read the key. now: Unix seconds. */
struct credential *credential_file_load(OSSL_LIB_CTX *libctx, const char *directory, int64_t now,
					struct credential_stamp *stamp, bool *exposed, enum credential_error *error);

/* A folder that is watched: what is in force, what it was read from, and what is wrong with it now. Control thread. */
struct credential_watch {
	const char *directory; /* the owner's */
	struct credential_stamp stamp;
	struct credential *current;  /* NULL until it could be read once */
	enum credential_error error; /* of the last reading: when it isn't CREDENTIAL_NONE, current is an older one */
	int64_t since;               /* Unix seconds: since when error, or current, is what it is */
	bool exposed;                /* the key's file can be read by others */
	bool unread;                 /* it must be read at the next poll, changed or not */
};

/* What a poll found. */
enum credential_change {
	CREDENTIAL_SAME,
	CREDENTIAL_REPLACED, /* current is another one */
	CREDENTIAL_FAILED    /* error is new: worth a line in the log; current is as it was */
};

/* Nothing is read yet: the first poll does it. */
void credential_watch_begin(struct credential_watch *watch, const char *directory);
/* now_ns: CLOCK_REALTIME; it may step. */
enum credential_change credential_watch_poll(struct credential_watch *watch, OSSL_LIB_CTX *libctx, int64_t now_ns);
void credential_watch_end(struct credential_watch *watch);

#endif
