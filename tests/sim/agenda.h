/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to happen in a simulated world: a heap of events, ordered by time (us) and then by when they were planned, so
 * that a run can be repeated exactly. What kind and index mean is the owner's business. Nothing is taken back: whoever
 * has planned something that is moot by then sees that when it comes.
 */
#ifndef POSTERN_TESTS_SIM_AGENDA_H
#define POSTERN_TESTS_SIM_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

enum { AGENDA_MAX = 32768 };

struct agenda_event {
	uint64_t at, order;
	uint32_t kind, index;
};

struct agenda {
	struct agenda_event events[AGENDA_MAX]; /* [0] is the next, when n isn't 0 */
	unsigned n;
	uint64_t order;
};

/* False when there is no room. */
bool agenda_plan(struct agenda *agenda, uint64_t at, uint32_t kind, uint32_t index);
/* Takes the next one; there must be one. */
struct agenda_event agenda_next(struct agenda *agenda);

#endif
