/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/log.h"
#include "tests/unit/unit.h"

struct seen {
	struct loop loop;
	unsigned ticks, stops, reloads, leaves, upgrades, asked;
	unsigned healthy_for; /* says it is well so many times */
};

static void
on_stop(void *context)
{
	struct seen *seen = context;

	if (++seen->stops == 2)
		loop_stop(&seen->loop);
}

static void
on_reload(void *context)
{
	((struct seen *)context)->reloads++;
	kill(getpid(), SIGTERM);
}

static void
on_leave(void *context)
{
	((struct seen *)context)->leaves++;
}

static void
on_upgrade(void *context)
{
	((struct seen *)context)->upgrades++;
	kill(getpid(), SIGQUIT);
}

/* The first ticks raise the signals; a missing callback ends in the last one. */
static void
on_tick(void *context)
{
	struct seen *seen = context;

	seen->ticks++;
	if (seen->ticks == 1)
		kill(getpid(), SIGHUP);
	if (seen->ticks == 3)
		kill(getpid(), SIGUSR2);
	if (seen->ticks == 6)
		kill(getpid(), SIGINT);
	if (seen->ticks == 500)
		loop_stop(&seen->loop);
}

static bool
on_healthy(void *context)
{
	struct seen *seen = context;

	if (++seen->asked == 6)
		loop_stop(&seen->loop);
	return seen->asked <= seen->healthy_for;
}

static void
quiet_tick(void *context)
{
	(void)context;
}

static void
test_signals(void)
{
	static const struct notify nobody = {.fd = -1};
	static struct seen seen;
	const struct loop_callbacks callbacks = {&seen, on_stop, on_reload, on_leave, on_upgrade, on_tick, on_healthy};

	CU_ASSERT_EQUAL_FATAL(loop_open(&seen.loop, &callbacks, &nobody, 5), 0);
	kill(getpid(), SIGPIPE);
	loop_run(&seen.loop);
	CU_ASSERT_EQUAL(seen.reloads, 1);
	CU_ASSERT_EQUAL(seen.stops, 2);
	CU_ASSERT_EQUAL(seen.upgrades, 1);
	CU_ASSERT_EQUAL(seen.leaves, 1);
	CU_ASSERT(seen.ticks >= 3 && seen.ticks < 500);
	CU_ASSERT_EQUAL(seen.asked, 0); /* nobody asked for a watchdog */
	loop_close(&seen.loop);
}

/* A signal of before, that was held back (as an upgrade does), comes to the loop instead of ending the process. */
static void
test_held_back(void)
{
	static const struct notify nobody = {.fd = -1};
	static struct seen seen;
	const struct loop_callbacks callbacks = {&seen, on_stop, on_reload, on_leave, on_upgrade, on_tick, on_healthy};
	sigset_t set;

	loop_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGTERM);
	seen.ticks = 10; /* no more signals */
	CU_ASSERT_EQUAL_FATAL(loop_open(&seen.loop, &callbacks, &nobody, 1), 0);
	seen.stops = 1;
	loop_run(&seen.loop);
	CU_ASSERT_EQUAL(seen.stops, 2);
	loop_close(&seen.loop);
}

static void
test_watchdog(void)
{
	int ends[2];
	char bytes[16];
	unsigned told = 0;
	static struct seen seen = {.healthy_for = 4};
	const struct loop_callbacks callbacks = {&seen,      on_stop,    on_reload, on_leave,
						 on_upgrade, quiet_tick, on_healthy};
	struct notify notify = {.watchdog_us = 4000};

	/* A connected pair needs no address. */
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
	notify.fd = ends[0];
	CU_ASSERT_EQUAL_FATAL(loop_open(&seen.loop, &callbacks, &notify, 1000), 0);
	loop_run(&seen.loop);
	loop_close(&seen.loop);
	CU_ASSERT_EQUAL(seen.asked, 6);
	CU_ASSERT(seen.loop.unhealthy);
	while (recv(ends[1], bytes, sizeof(bytes), 0) == (ssize_t)strlen("WATCHDOG=1"))
		told++;
	CU_ASSERT_EQUAL(told, 4);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"signals and ticks", test_signals},
		{"signals from before the loop", test_held_back},
		{"watchdog", test_watchdog},
		CU_TEST_INFO_NULL,
	};
	log_configure(LOG_ERROR, LOG_TEXT);
	return unit_run("loop", tests);
}
