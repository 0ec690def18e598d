/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two things that DPDK takes its time for when it starts, done faster: a restart is a pause of every connection. The
 * linker puts these in their place (--wrap, see the Makefile).
 *
 * How fast the time stamp counter runs, where the processor doesn't say: DPDK sleeps for 100 ms to find out. A reading
 * of both clocks is within half a microsecond of each other when nothing came in between, so TSC_SPAN_US gives the rate
 * to about a ten thousandth. All that depends on it are sleeps, time-outs of drivers, and the shares in `posternctl
 * status`; time itself is the system's clock (clock.h).
 *
 * Which NUMA node a core is on: DPDK looks into 32 folders for each of 128 cores, those too that aren't there.
 */
#include <rte_cycles.h>
#include <time.h>
#include <unistd.h>

enum { TSC_SPAN_US = 5000, TSC_TRIES = 8 };

struct reading {
	uint64_t tsc, ns;
};

/* Both clocks at one moment: the reading, of several, that took the shortest. */
static struct reading
read_both(void)
{
	struct reading best = {0};
	uint64_t shortest = UINT64_MAX;

	for (unsigned i = 0; i < TSC_TRIES; i++) {
		struct timespec now;
		uint64_t before = rte_rdtsc_precise();
		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		uint64_t took = rte_rdtsc_precise() - before;
		if (took >= shortest)
			continue;
		shortest = took;
		best = (struct reading){before + took / 2, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec};
	}
	return best;
}

uint64_t __wrap_get_tsc_freq(void);

/* Hertz. */
uint64_t
__wrap_get_tsc_freq(void)
{
	struct reading from = read_both();
	usleep(TSC_SPAN_US);
	struct reading to = read_both();

	return (uint64_t)((double)(to.tsc - from.tsc) * 1e9 / (double)(to.ns - from.ns));
}

int eal_cpu_detected(unsigned lcore);
unsigned __real_eal_cpu_socket_id(unsigned lcore);
unsigned __wrap_eal_cpu_socket_id(unsigned lcore);

unsigned
__wrap_eal_cpu_socket_id(unsigned lcore)
{
	return eal_cpu_detected(lcore) ? __real_eal_cpu_socket_id(lcore) : 0;
}
