/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/text.h"

/* The number that an environment variable holds; 0 when it holds none. */
static uint64_t
read_variable(const char *name)
{
	const char *value = getenv(name);
	char *end;

	if (value == NULL || value[0] < '0' || value[0] > '9')
		return 0;
	errno = 0;
	unsigned long long number = strtoull(value, &end, 10);
	return errno == 0 && *end == '\0' ? number : 0;
}

bool
notify_open(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){.fd = -1, .address.sun_family = AF_UNIX};
	if (path == NULL || path[0] == '\0')
		return true;
	size_t length = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || length < 2) {
		errno = EAFNOSUPPORT; /* vsock, say */
		return false;
	}
	if (length >= sizeof(notify->address.sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(notify->address.sun_path, path, length);
	if (path[0] == '@')
		notify->address.sun_path[0] = '\0';
	/* An abstract name is as long as it is said to be; a path has its NUL. */
	notify->address_length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '@' ? 0 : 1));
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify->fd < 0)
		return false;

	uint64_t pid = read_variable("WATCHDOG_PID"); /* unset: it is for whoever reads it */
	if (pid == 0 || pid == (uint64_t)getpid())
		notify->watchdog_us = read_variable("WATCHDOG_USEC");
	return true;
}

void
notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

/* What doesn't arrive is said again later (the watchdog), or systemd's time-out tells. */
static void
send_text(const struct notify *notify, const char *bytes, size_t length)
{
	if (notify->fd < 0)
		return;
	while (sendto(notify->fd, bytes, length, MSG_NOSIGNAL, (const struct sockaddr *)&notify->address,
		      notify->address_length) < 0 &&
	       errno == EINTR)
		;
}

void
notify_ready(const struct notify *notify)
{
	send_text(notify, "READY=1", strlen("READY=1"));
}

void
notify_reloading(const struct notify *notify)
{
	struct text text = {0};

	text_print(&text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_us());
	send_text(notify, text.bytes, text.length);
	text_free(&text);
}

void
notify_stopping(const struct notify *notify)
{
	send_text(notify, "STOPPING=1", strlen("STOPPING=1"));
}

void
notify_watchdog(const struct notify *notify)
{
	if (notify->watchdog_us != 0)
		send_text(notify, "WATCHDOG=1", strlen("WATCHDOG=1"));
}

void
notify_status(const struct notify *notify, const char *format, ...)
{
	struct text text = {0};
	va_list arguments;

	text_print(&text, "STATUS=");
	va_start(arguments, format);
	text_vprint(&text, format, arguments);
	va_end(arguments);
	for (size_t i = 0; i < text.length; i++)
		if (text.bytes[i] == '\n')
			text.bytes[i] = ' '; /* else the rest would be an assignment of its own */
	send_text(notify, text.bytes, text.length);
	text_free(&text);
}
