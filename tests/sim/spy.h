/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session that a test has in its hand: it notes what a bridge tells it, and does what the test said it would.
 *
 * It carries bytes from leg to leg as a relay does, when it is told to (spy_carry), and dials as often as there are
 * dials left.
 */
#ifndef POSTERN_TESTS_SIM_SPY_H
#define POSTERN_TESTS_SIM_SPY_H

#include "dataplane/bridge.h"
#include "tests/sim/rig.h"

struct spy {
	struct rig *rig;
	struct worker *worker;
	struct bridge *bridge; /* the last one that was opened; NULL: none, or it is gone */
	unsigned opened, gone, polls;
	unsigned told[LEG_COUNT]; /* events since the test looked last, by leg */
	enum reason failure;      /* of the last attempt to connect */
	enum reason refuses;      /* bridge_opened answers false for that; REASON_NONE: true */
	bool dials;               /* in bridge_opened, and whenever an attempt failed while there is another dial */
	bool carries;             /* moves what comes in at once; the same of a FIN */
	enum reason ends, closes; /* what it calls in bridge_opened; REASON_NONE: nothing */
	bool logged;              /* bridge_gone had an event to add to */
	unsigned n_dialled;
};

/* Puts the hooks in the rig. */
void spy_init(struct spy *spy, struct rig *rig);
/* Moves what a leg has received to the other, as far as there is room, and its end. */
void spy_carry(struct spy *spy, unsigned from);
/* What was told of a leg since this was asked last. */
unsigned spy_told(struct spy *spy, unsigned leg);

#endif
