/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's readiness and watchdog protocol (sd_notify(3)): datagrams to the UNIX socket of $NOTIFY_SOCKET. Spoken by
 * hand, so that libsystemd isn't linked. Without that variable every call does nothing.
 */
#ifndef POSTERN_PLATFORM_NOTIFY_H
#define POSTERN_PLATFORM_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t address_length;
	uint64_t watchdog_us; /* systemd wants to hear from us in this time, $WATCHDOG_USEC; 0: it doesn't */
};

/* Reads $NOTIFY_SOCKET (a path, or an abstract name behind "@"), $WATCHDOG_USEC and $WATCHDOG_PID. Returns false, with
 * errno set, when the socket is named and can't be used; the calls below then do nothing. */
bool notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* Start-up, or a reload, is over. */
void notify_ready(const struct notify *notify);
/* A reload or an upgrade in place begins; notify_ready ends it. */
void notify_reloading(const struct notify *notify);
/* Draining and stopping begin. */
void notify_stopping(const struct notify *notify);
/* All is well; to be said at least every watchdog_us / 2. Does nothing when watchdog_us is 0. */
void notify_watchdog(const struct notify *notify);
/* A line for `systemctl status`, formatted; a line break in it becomes a space. */
void notify_status(const struct notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
