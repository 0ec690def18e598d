/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a worker that finds nothing looks on, and how long it sleeps where nothing can wake it.
 *
 * Looking on costs the core; a sleep costs two system calls, some five microseconds in all, and delays what comes next
 * by as much. So a sleep that ends with packets which came less than BACKOFF_PAYS_US apart was a mistake, and it looks
 * on for twice as long before the next; after any other half as long. In a busy minute it hardly ever sleeps; with a
 * few thousand packets a second it sleeps at once.
 *
 * Naps are sleeps by the clock. They begin short, when the last packet isn't long ago, and grow by an eighth each:
 * after some ten milliseconds without any packet they are BACKOFF_NAP_MAX_US.
 *
 * Pure arithmetic; times in microseconds.
 */
#ifndef POSTERN_DATAPLANE_BACKOFF_H
#define POSTERN_DATAPLANE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BACKOFF_PAYS_US = 6,
	BACKOFF_SPIN_MIN_US = 1,
	BACKOFF_SPIN_MAX_US = 50,
	BACKOFF_NAP_MIN_US = 100,
	BACKOFF_NAP_MAX_US = 1000
};

struct backoff {
	uint32_t spin_us; /* to look on for, before the next sleep */
	uint32_t nap_us;  /* how long that may be at most, where nothing wakes it */
};

static inline void
backoff_init(struct backoff *backoff)
{
	*backoff = (struct backoff){BACKOFF_SPIN_MAX_US, BACKOFF_NAP_MIN_US};
}

/* n > 0 packets came, quiet_us after those before them. slept: not while it looked on. */
static inline void
backoff_packets(struct backoff *backoff, uint64_t quiet_us, unsigned n, bool slept)
{
	backoff->nap_us = BACKOFF_NAP_MIN_US;
	if (!slept)
		return;
	if (quiet_us < (uint64_t)n * BACKOFF_PAYS_US)
		backoff->spin_us =
			backoff->spin_us < BACKOFF_SPIN_MAX_US / 2 ? 2 * backoff->spin_us : BACKOFF_SPIN_MAX_US;
	else if (backoff->spin_us > BACKOFF_SPIN_MIN_US)
		backoff->spin_us /= 2;
}

/* A nap is over, and nothing came. */
static inline void
backoff_in_vain(struct backoff *backoff)
{
	uint32_t nap_us = backoff->nap_us + backoff->nap_us / 8;

	backoff->nap_us = nap_us < BACKOFF_NAP_MAX_US ? nap_us : BACKOFF_NAP_MAX_US;
}

#endif
