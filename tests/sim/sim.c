/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulation's program: runs seeds one after another, each a world of its own (world.h, scenario.h), and says how
 * that went.
 *
 *   sim --seed N [-v]     one seed; -v prints every packet
 *   sim --seeds A..B      all from A to B; stops at the first that fails, and says how to replay it
 *     --whole             a run that hasn't met all that coverage.h names has failed
 *     --bridged           all connections end at the gateway, and not only in some worlds; stand-ins decide
 *
 * Ends with 0 when nothing was found.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/coverage.h"
#include "tests/sim/scenario.h"
#include "tests/sim/session.h"
#include "tests/sim/world.h"

/* By chance 1 segment in 2^18 that overtakes the first of its stream is taken for that: once in some 20,000 seeds. */
enum { MEGABYTES = 96, MISTAKEN_MAX = 3, MISTAKEN_SEEDS = 4000 };

/* For what ends the process without coming back: an abort, a signal, a sanitizer's finding. */
static char last_words[80];

static void
say_where(void)
{
	ssize_t written = write(STDOUT_FILENO, last_words, strlen(last_words));
	(void)written;
}

static void
on_signal(int number)
{
	say_where();
	signal(number, SIG_DFL);
	raise(number);
}

__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static bool
run(uint64_t seed, bool verbose)
{
	snprintf(last_words, sizeof(last_words), "sim: seed %llu: the process ends\n", (unsigned long long)seed);
	scenario_open(seed);
	world.verbose = verbose;
	world_run();
	scenario_close();
	return !world.failed;
}

static int
usage(void)
{
	fputs("usage: sim --seed N [-v] | --seeds A..B [--whole] [--bridged]\n", stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	unsigned long long first = 1, last = 100;
	bool verbose = false, whole = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc && sscanf(argv[i + 1], "%llu", &first) == 1) {
			last = first;
			i++;
		} else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
			   sscanf(argv[i + 1], "%llu..%llu", &first, &last) == 2) {
			i++;
		} else if (strcmp(argv[i], "--whole") == 0) {
			whole = true;
		} else if (strcmp(argv[i], "--bridged") == 0) {
			session_all = true;
		} else if (strcmp(argv[i], "-v") == 0) {
			verbose = true;
		} else {
			return usage();
		}
	}
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(say_where);
	if (!rig_start_eal(MEGABYTES))
		return 2;

	struct timespec begin, end;
	uint64_t connections = 0, completed = 0, early = 0, refusals = 0, packets = 0, mistaken = 0, adopted = 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned long long seed = first; seed <= last; seed++) {
		if (!run(seed, verbose)) {
			printf("sim: replay it with %s --seed %llu -v%s\n", argv[0], seed,
			       session_all ? " --bridged" : "");
			return 1;
		}
		connections += world.n_connections;
		completed += world.completed;
		early += world.ended_early;
		refusals += world.refusals;
		packets += world.packets;
		mistaken += world.mistaken;
		adopted += world.adopted;
		if (mistaken > MISTAKEN_MAX + (seed - first) / MISTAKEN_SEEDS) {
			printf("sim: up to seed %llu %llu streams were taken to begin in their middle\n", seed,
			       (unsigned long long)mistaken);
			return 1;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	printf("sim: seeds %llu..%llu: %llu connections without a violation, %llu complete, %llu ended early (%llu "
	       "refused, of these %llu mistaken), %llu adoptions, %llu packets; %.1f s, %.0f connections/s\n",
	       first, last, (unsigned long long)connections, (unsigned long long)completed, (unsigned long long)early,
	       (unsigned long long)refusals, (unsigned long long)mistaken, (unsigned long long)adopted,
	       (unsigned long long)packets, seconds, (double)connections / seconds);
	coverage_print();
	return whole && !coverage_is_whole() ? 1 : 0;
}
