/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-place upgrade: the process stays, its program is replaced.
 *
 *   the old program                                     the new one
 *     upgrade_check    the new one reads both files
 *     stops the workers, and leaves the flows
 *     upgrade_exec  ───────── execve ──────────▶          upgrade_init
 *                                                         starts as ever, adopts the flows, forwards
 *
 * The process id stays the same, so a supervisor notices nothing, and so do arguments, environment, standard streams.
 * Nothing is closed beforehand: an upgrade is a crash at a moment of our choosing, the system takes back devices and
 * descriptors in execve as it does after SIGKILL, and when execve fails all is still there to go on with. Signals are
 * held back on the way, so that one that comes before the new program can take it doesn't kill it.
 *
 * What the new program is told, it is told by environment variables, which upgrade_init takes away again.
 */
#ifndef POSTERN_GATEWAY_UPGRADE_H
#define POSTERN_GATEWAY_UPGRADE_H

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/interlude.h"
#include "platform/notify.h"

struct text;

enum { UPGRADE_CHECK_S = 50, UPGRADE_VERSION_MAX = 64 };

struct upgrade {
	char program[PATH_MAX];         /* what was started, its name resolved then; empty: not known */
	char **arguments;               /* main's */
	cpu_set_t cores;                /* that the process was given, before DPDK pinned its threads */
	char from[UPGRADE_VERSION_MAX]; /* version of the program before; empty: this was no upgrade */
	uint64_t stopped_us;            /* when that one stopped forwarding (clock_us) */
	int packets_fd;                 /* its packet memory, for eal_start; -1: it hands on none */
	char *interlude;                /* what it says for interlude_inherit; "" if it says nothing */
};

/* First thing in main. arguments outlive upgrade. */
void upgrade_init(struct upgrade *upgrade, char **arguments);

/* Runs `program --check --conf conf` and waits for it, UPGRADE_CHECK_S at most; notify hears meanwhile that all is
 * well. False when it doesn't say that both files are good; what it said is in error. */
bool upgrade_check(const char *program, const char *conf, const struct notify *notify, struct text *error);

/* Becomes program. The workers have stopped, at stopped_us; interlude is handed over. Returns only when that failed:
 * then error says why, and nothing has changed. */
void upgrade_exec(const struct upgrade *upgrade, const char *program, const struct conf *conf,
		  const struct interlude *interlude, int packets_fd, uint64_t stopped_us, struct text *error);

#endif
