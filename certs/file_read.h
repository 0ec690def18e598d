/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a small file, whole or not at all, into memory that is wiped: it may be a key. */
#ifndef POSTERN_CERTS_FILE_READ_H
#define POSTERN_CERTS_FILE_READ_H

#include <stddef.h>
#include <sys/stat.h>

#include "certs/secret.h"

/* name below the folder that folder_fd is open on (AT_FDCWD: the working directory). Symbolic links are followed.
 * Returns 0, or what went wrong as in errno: EFBIG when it is larger than max, EINVAL when it is no regular file.
 * *status: of the very file that was read; may be NULL. On 0 content is the caller's to free, else it is none. */
int file_read_at(int folder_fd, const char *name, size_t max, struct secret *content, struct stat *status);

/* Whether the owner of a key's file is root or the process's user and nobody else has one of these permission bits. */
bool file_is_private(const struct stat *status, mode_t others);

#endif
