/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dataplane/bridge.h"
#include "dataplane/mbuf_queue.h"
#include "tests/sim/day.h"

enum { FIRST_LIVE = 2, SERVICE_LIVE = 10 };

static void
dial_to(unsigned endpoint, struct dial *dial)
{
	*dial = (struct dial){.addr = day.endpoints[endpoint],
			      .port = DAY_ENDPOINT_PORT,
			      .endpoint = FIRST_LIVE + endpoint,
			      .service = SERVICE_LIVE,
			      .connect_timeout_ms = 10000};
}

static enum decision
decide(void *context, unsigned worker, const struct decide_input *input, struct dial *dial, enum reason *reason,
       char sni[SNI_TEXT_MAX])
{
	const struct day_call *call = day_call_of(&input->client, input->client_port);
	(void)context, (void)worker, (void)sni;

	/* A late repeat of a hello, when the record of its connection is gone already, brings a good cookie all the
	 * same. */
	if (call == NULL || !call->going || call->over_us != 0) {
		day.n_haunted++;
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	if (memcmp(input->bytes, peer_stream(&call->peer[LEG_CLIENT], 0), input->length) != 0)
		day_fail(call, "the decision is to be made on other bytes than were sent");
	if (input->length < call->hello)
		return DECISION_MORE;
	if (input->attempt != 0) {
		if (call->endpoint < DAY_ENDPOINTS_GOOD)
			day_fail(call, "its endpoint couldn't be reached");
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	if (call->bridged)
		return DECISION_BRIDGE;
	dial_to(call->endpoint, dial);
	return DECISION_DIAL;
}

static bool
listener(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer)
{
	(void)context, (void)local;
	*offer = day.rig.offer;
	return port == DAY_LISTEN_PORT;
}

static void
learned(void *context, unsigned worker, uint32_t endpoint, const struct tcp_profile *profile)
{
	(void)context, (void)worker, (void)endpoint, (void)profile;
}

/* What one side has said, as far as there is room on the other. */
static void
carry(struct worker *worker, struct day_call *call, unsigned from)
{
	struct mbuf_queue *received = bridge_received(call->bridge, from), batch = {0};
	unsigned to = leg_other(from);
	uint32_t room = bridge_room(call->bridge, to), n = received->bytes < room ? received->bytes : room;

	if (n != 0) {
		mbuf_queue_move_some(&batch, received, n);
		bridge_send(worker, call->bridge, to, &batch);
		bridge_took(worker, call->bridge, from);
	}
	if (received->bytes == 0 && call->closed[from] && !call->shut[to]) {
		call->shut[to] = true;
		bridge_shut(worker, call->bridge, to);
	}
}

static bool
session_opened(void *context, struct worker *worker, struct bridge *bridge, enum reason *reason)
{
	struct bridge_ends ends;
	struct dial dial;
	(void)context, (void)reason;

	bridge_describe(worker, bridge, &ends);
	struct day_call *call = day_call_of(&ends.client, ends.client_port);
	if (call->bridge != NULL)
		day_fail(call, "it has a session already");
	call->bridge = bridge;
	day.n_sessions++;
	bridge_set_session(bridge, call);
	dial_to(call->endpoint, &dial);
	bridge_dial(worker, bridge, &dial);
	return true;
}

static void
session_event(void *context, struct worker *worker, struct bridge *bridge, unsigned leg, unsigned events,
	      enum reason reason)
{
	struct day_call *call = bridge_session(bridge);
	(void)context;

	if (call->bridge != bridge) {
		day_fail(call, "its session hears of somebody else's bridge");
		return;
	}
	if ((events & BRIDGE_CONNECT_FAILED) != 0) {
		if (call->endpoint < DAY_ENDPOINTS_GOOD)
			day_fail(call, "its endpoint couldn't be reached: %s", reason_text(reason));
		bridge_end(worker, bridge, reason);
		return;
	}
	if ((events & BRIDGE_CONNECTED) != 0) {
		call->joined = true;
		day.n_bridged++;
	}
	call->closed[leg] |= (events & BRIDGE_PEER_CLOSED) != 0;
	if (!call->joined)
		return;
	if (call->pause_ms != 0 && (events & BRIDGE_ALARM) == 0) {
		bridge_alarm(worker, bridge, call->pause_ms);
		return;
	}
	carry(worker, call, LEG_CLIENT);
	carry(worker, call, LEG_ENDPOINT);
}

static void
session_gone(void *context, struct worker *worker, struct bridge *bridge, struct flow_event *event)
{
	struct day_call *call = bridge_session(bridge);
	(void)context, (void)worker, (void)event;

	if (call->bridge != bridge)
		day_fail(call, "its session is told twice of its end");
	call->bridge = NULL;
	day.n_sessions--;
}

void
day_gate_open(void)
{
	day.rig.hooks = (struct dataplane_hooks){.listener = listener,
						 .decide = decide,
						 .learned = learned,
						 .bridge_opened = session_opened,
						 .bridge_event = session_event,
						 .bridge_gone = session_gone};
}
