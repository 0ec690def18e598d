/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Reads to the end of the file, whatever size it was said to have: it may be growing. */
static int
read_all(int fd, size_t max, struct secret *content)
{
	for (;;) {
		ssize_t n = read(fd, content->bytes + content->length, max + 1 - content->length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			return 0;
		content->length += (size_t)n;
		if (content->length > max)
			return EFBIG;
	}
}

int
file_read_at(int folder_fd, const char *name, size_t max, struct secret *content, struct stat *status)
{
	struct stat local;
	int error = 0;

	*content = (struct secret){0};
	if (status == NULL)
		status = &local;
	/* O_NONBLOCK: a FIFO in its place must not hold us up. */
	int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno;
	if (fstat(fd, status) != 0)
		error = errno;
	else if (!S_ISREG(status->st_mode))
		error = EINVAL;
	else if (status->st_size > (off_t)max)
		error = EFBIG;
	else if (!secret_new(content, max + 1))
		error = ENOMEM;
	else
		error = read_all(fd, max, content);
	close(fd);
	if (error != 0)
		secret_free(content);
	return error;
}

bool
file_is_private(const struct stat *status, mode_t others)
{
	return (status->st_uid == 0 || status->st_uid == geteuid()) && (status->st_mode & others) == 0;
}
