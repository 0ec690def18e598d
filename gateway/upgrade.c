/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/loop.h"
#include "platform/text.h"

enum { OUTPUT_MAX = 16384, SECOND_MS = 1000, FIRST_DESCRIPTOR = STDERR_FILENO + 1 };

static const char from_name[] = "POSTERN_UPGRADED_FROM", stopped_name[] = "POSTERN_STOPPED_US",
		  interlude_name[] = "POSTERN_INTERLUDE", packets_name[] = "POSTERN_PACKETS_FD";

static void
forget_variables(void)
{
	unsetenv(from_name);
	unsetenv(stopped_name);
	unsetenv(interlude_name);
	unsetenv(packets_name);
}

void
upgrade_init(struct upgrade *upgrade, char **arguments)
{
	const char *from = getenv(from_name), *stopped = getenv(stopped_name), *interlude = getenv(interlude_name);
	const char *packets = getenv(packets_name);

	*upgrade = (struct upgrade){.arguments = arguments, .interlude = strdup(interlude == NULL ? "" : interlude)};
	upgrade->packets_fd = packets == NULL ? -1 : atoi(packets);
	/* Now: once a package has replaced the file, the kernel calls it "… (deleted)". */
	ssize_t length = readlink("/proc/self/exe", upgrade->program, sizeof(upgrade->program) - 1);
	upgrade->program[length < 0 ? 0 : length] = '\0';
	if (sched_getaffinity(0, sizeof(upgrade->cores), &upgrade->cores) != 0)
		CPU_ZERO(&upgrade->cores);
	if (from != NULL && stopped != NULL) {
		snprintf(upgrade->from, sizeof(upgrade->from), "%s", from);
		upgrade->stopped_us = strtoull(stopped, NULL, 10);
	}
	forget_variables();
}

/* Starts it with both outputs in a pipe, whose other end is *output. Returns the process, or -1 and errno. */
static pid_t
start_check(const char *program, const char *conf, int *output)
{
	static char check_word[] = "--check", conf_word[] = "--conf";
	/* posix_spawn only reads them. */
	char *const arguments[] = {(char *)(uintptr_t)program, check_word, conf_word, (char *)(uintptr_t)conf, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int pipes[2], result;
	sigset_t none;
	pid_t child = -1;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return -1;
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_DESCRIPTOR); /* DPDK's aren't all O_CLOEXEC */
	result = posix_spawn(&child, program, &actions, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(pipes[1]);
	if (result != 0) {
		close(pipes[0]);
		errno = result;
		return -1;
	}
	*output = pipes[0];
	return child;
}

/* Takes what it says until it has closed its outputs. False: not in time. */
static bool
read_output(int fd, const struct notify *notify, struct text *said)
{
	uint64_t until_ms = clock_ms() + (uint64_t)UPGRADE_CHECK_S * SECOND_MS;
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	char bytes[4096];

	for (uint64_t now_ms = clock_ms(); now_ms < until_ms; now_ms = clock_ms()) {
		notify_watchdog(notify);
		if (poll(&ready, 1, SECOND_MS) <= 0)
			continue;
		ssize_t n = read(fd, bytes, sizeof(bytes));
		if (n == 0 || (n < 0 && errno != EINTR))
			return true;
		if (n > 0 && said->length < OUTPUT_MAX)
			text_add(said, bytes, (size_t)n);
	}
	return false;
}

bool
upgrade_check(const char *program, const char *conf, const struct notify *notify, struct text *error)
{
	struct text said = {0};
	int output, status = 0;

	if (program[0] != '/') {
		text_print(error, "\"%s\" is no absolute path of a program", program);
		return false;
	}
	pid_t child = start_check(program, conf, &output);
	if (child < 0) {
		text_print(error, "%s can't be run: %s", program, strerror(errno));
		return false;
	}
	bool ended = read_output(output, notify, &said);
	close(output);
	if (!ended)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	bool good = ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ended)
		text_print(error, "%s --check took longer than %d s", program, UPGRADE_CHECK_S);
	else if (!good && WIFSIGNALED(status))
		text_print(error, "%s --check was ended by signal %d", program, WTERMSIG(status));
	else if (!good)
		text_print(error, "%s --check says no, by exit code %d", program, WEXITSTATUS(status));
	if (!good && said.length != 0)
		text_print(error, ":\n%s", said.bytes);
	text_free(&said);
	return good;
}

static void
set_u64(const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	setenv(name, text, 1);
}

/* Libraries open descriptors that would outlive execve, and a socket of AF_XDP keeps its queue: none may but those that
 * are handed over. */
static bool
sort_descriptors(const struct interlude *interlude, int packets_fd)
{
	if (close_range(FIRST_DESCRIPTOR, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
		return false;
	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		if (interlude->fds[i] >= 0 && fcntl(interlude->fds[i], F_SETFD, 0) != 0)
			return false;
	return packets_fd < 0 || fcntl(packets_fd, F_SETFD, 0) == 0;
}

void
upgrade_exec(const struct upgrade *upgrade, const char *program, const struct conf *conf,
	     const struct interlude *interlude, int packets_fd, uint64_t stopped_us, struct text *error)
{
	char *first = upgrade->arguments[0], *copy = strdup(program);
	struct text sockets = {0};
	cpu_set_t pinned;
	sigset_t signals, before;
	bool was_pinned = sched_getaffinity(0, sizeof(pinned), &pinned) == 0;

	interlude_print(interlude, conf, &sockets);
	if (sockets.length != 0)
		setenv(interlude_name, sockets.bytes, 1);
	text_free(&sockets);
	setenv(from_name, POSTERN_VERSION, 1);
	set_u64(stopped_name, stopped_us);
	if (packets_fd >= 0)
		set_u64(packets_name, (uint64_t)packets_fd);
	loop_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	if (CPU_COUNT(&upgrade->cores) != 0)
		sched_setaffinity(0, sizeof(upgrade->cores), &upgrade->cores);
	if (sort_descriptors(interlude, packets_fd)) {
		upgrade->arguments[0] = copy;
		execve(program, upgrade->arguments, environ);
	}
	text_print(error, "%s can't take over: %s", program, strerror(errno));

	upgrade->arguments[0] = first;
	free(copy);
	if (was_pinned)
		sched_setaffinity(0, sizeof(pinned), &pinned);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	forget_variables();
}
