/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/clock.h"
#include "tests/unit/unit.h"

static char path[sizeof("/tmp/postern-notify-XXXXXX/socket")];
static char received[256];

/* A socket as systemd's: bound to name, "@" for an abstract one. */
static int
listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, name);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@'));
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, length), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The datagram that has come; empty when none has. */
static const char *
next(int fd)
{
	ssize_t n = recv(fd, received, sizeof(received) - 1, 0);

	received[n < 0 ? 0 : n] = '\0';
	return received;
}

static void
check_messages(const char *name)
{
	struct notify notify;
	unsigned long long then = 0;
	char rest;
	int fd = listen_at(name);

	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "3000000", 1);
	CU_ASSERT_FATAL(notify_open(&notify));
	CU_ASSERT_EQUAL(notify.watchdog_us, 3000000);
	notify_ready(&notify);
	CU_ASSERT_STRING_EQUAL(next(fd), "READY=1");
	uint64_t before = clock_us();
	notify_reloading(&notify);
	CU_ASSERT_EQUAL(sscanf(next(fd), "RELOADING=1\nMONOTONIC_USEC=%llu%c", &then, &rest), 1);
	CU_ASSERT(then >= before && then <= clock_us());
	notify_stopping(&notify);
	CU_ASSERT_STRING_EQUAL(next(fd), "STOPPING=1");
	notify_watchdog(&notify);
	CU_ASSERT_STRING_EQUAL(next(fd), "WATCHDOG=1");
	notify_status(&notify, "%d flows\nREADY=0", 7);
	CU_ASSERT_STRING_EQUAL(next(fd), "STATUS=7 flows READY=0");
	CU_ASSERT_STRING_EQUAL(next(fd), "");
	notify_close(&notify);
	notify_ready(&notify);
	CU_ASSERT_STRING_EQUAL(next(fd), "");
	close(fd);
}

static void
test_path(void)
{
	check_messages(path);
	unlink(path);
}

static void
test_abstract(void)
{
	char name[64];

	snprintf(name, sizeof(name), "@postern-notify-test-%d", getpid());
	check_messages(name);
}

static void
test_nobody(void)
{
	struct notify notify;

	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "3000000", 1);
	CU_ASSERT(notify_open(&notify));
	CU_ASSERT_EQUAL(notify.fd, -1);
	CU_ASSERT_EQUAL(notify.watchdog_us, 0);
	notify_ready(&notify); /* into nothing */

	/* systemd is named, and gone: nothing blocks or fails */
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	CU_ASSERT(notify_open(&notify));
	notify_ready(&notify);
	notify_close(&notify);
}

static void
test_bad_names(void)
{
	char name[200];
	struct notify notify;

	memset(name, 'a', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	CU_ASSERT(!notify_open(&notify) && errno == ENAMETOOLONG && notify.fd == -1);
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	CU_ASSERT(!notify_open(&notify) && errno == EAFNOSUPPORT && notify.fd == -1);
	setenv("NOTIFY_SOCKET", "@", 1);
	CU_ASSERT(!notify_open(&notify));
}

static void
test_watchdog(void)
{
	char own[32];
	snprintf(own, sizeof(own), "%d", getpid());
	const struct {
		const char *usec, *pid;
		uint64_t expected;
	} cases[] = {{"5000", own, 5000}, {"5000", "1", 0}, {"", own, 0},
		     {"-5", own, 0},      {"5s", own, 0},   {"99999999999999999999", own, 0}};
	struct notify notify;
	int fd = listen_at(path);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("WATCHDOG_USEC", cases[i].usec, 1);
		setenv("WATCHDOG_PID", cases[i].pid, 1);
		CU_ASSERT(notify_open(&notify));
		CU_ASSERT_EQUAL(notify.watchdog_us, cases[i].expected);
		notify_watchdog(&notify);
		CU_ASSERT_STRING_EQUAL(next(fd), cases[i].expected != 0 ? "WATCHDOG=1" : "");
		notify_close(&notify);
	}
	close(fd);
	unlink(path);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"messages to a path", test_path}, {"messages to an abstract name", test_abstract},
		{"nobody listens", test_nobody},   {"bad names", test_bad_names},
		{"watchdog", test_watchdog},       CU_TEST_INFO_NULL,
	};
	char folder[] = "/tmp/postern-notify-XXXXXX";

	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	int failed = unit_run("notify", tests);
	rmdir(folder);
	return failed;
}
