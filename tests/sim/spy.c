/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/spy.h"

#include <stdlib.h>

#include "dataplane/mbuf_queue.h"

void
spy_carry(struct spy *spy, unsigned from)
{
	struct mbuf_queue *received = bridge_received(spy->bridge, from), batch = {0};
	uint32_t room = bridge_room(spy->bridge, leg_other(from));

	if (room != 0 && received->bytes != 0) {
		mbuf_queue_move_some(&batch, received, room);
		bridge_send(spy->worker, spy->bridge, leg_other(from), &batch);
		bridge_took(spy->worker, spy->bridge, from);
	}
	if (received->bytes == 0 && spy->bridge->tcp[from].peer_closed)
		bridge_shut(spy->worker, spy->bridge, leg_other(from));
}

unsigned
spy_told(struct spy *spy, unsigned leg)
{
	unsigned told = spy->told[leg];

	spy->told[leg] = 0;
	return told;
}

static void
dial(struct spy *spy)
{
	bridge_dial(spy->worker, spy->bridge, &spy->rig->dials[spy->n_dialled++]);
}

static bool
opened(void *context, struct worker *worker, struct bridge *bridge, enum reason *reason)
{
	struct spy *spy = ((struct rig *)context)->bridging;

	spy->opened++;
	if (spy->refuses != REASON_NONE) {
		*reason = spy->refuses;
		return false;
	}
	spy->worker = worker;
	spy->bridge = bridge;
	bridge_set_session(bridge, spy);
	if (spy->dials)
		dial(spy);
	if (spy->ends != REASON_NONE)
		bridge_end(worker, bridge, spy->ends);
	if (spy->closes != REASON_NONE)
		bridge_close(worker, bridge, spy->closes);
	return true;
}

static void
happened(void *context, struct worker *worker, struct bridge *bridge, unsigned leg, unsigned events, enum reason reason)
{
	struct spy *spy = ((struct rig *)context)->bridging;
	(void)worker;

	if (bridge != spy->bridge || bridge_session(bridge) != spy)
		abort();
	spy->told[leg] |= events;
	if ((events & BRIDGE_CONNECT_FAILED) != 0) {
		spy->failure = reason;
		if (spy->dials && spy->n_dialled < spy->rig->n_dials)
			dial(spy);
		return;
	}
	if (!spy->carries)
		return;
	for (unsigned from = 0; from < LEG_COUNT; from++)
		if (bridge->phase == BRIDGE_JOINED)
			spy_carry(spy, from);
}

static void
gone(void *context, struct worker *worker, struct bridge *bridge, struct flow_event *event)
{
	struct spy *spy = ((struct rig *)context)->bridging;
	(void)worker;

	if (bridge != spy->bridge)
		abort();
	spy->gone++;
	spy->logged = event != NULL;
	if (event != NULL)
		memcpy(event->sni, "spy.example", sizeof("spy.example"));
	spy->bridge = NULL;
}

static unsigned
poll(void *context, struct worker *worker)
{
	struct spy *spy = ((struct rig *)context)->bridging;
	(void)worker;

	return spy->polls++ % 2;
}

void
spy_init(struct spy *spy, struct rig *rig)
{
	*spy = (struct spy){.rig = rig, .dials = true, .carries = true};
	rig->decision = DECISION_BRIDGE;
	rig->bridging = spy;
	rig->hooks.bridge_opened = opened;
	rig->hooks.bridge_event = happened;
	rig->hooks.bridge_gone = gone;
	rig->hooks.poll = poll;
}
