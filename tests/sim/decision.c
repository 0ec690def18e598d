/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/decision.h"

#include "tests/sim/audit.h"
#include "tests/sim/operator.h"
#include "tests/sim/session.h"
#include "tests/sim/world.h"

enum { SERVICE_LIVE = 10 };

static bool
listener(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer)
{
	(void)context;
	if (world.operated)
		return operator_hooks()->listener(operator_hooks()->context, local, port, offer);
	if (port != WORLD_LISTEN_PORT)
		return false;
	*offer = world.rig.offer;
	return true;
}

static bool
is_bad(unsigned endpoint)
{
	enum endpoint_habit habit = world.endpoints[endpoint].habit;
	return habit == ENDPOINT_REFUSES || habit == ENDPOINT_BLACK_HOLE || habit == ENDPOINT_UNREACHABLE;
}

/* Whether a decision is to be made on bytes that the connection's client really sent. */
static bool
is_of(const struct connection *connection, const struct decide_input *input)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];
	return input->length <= client->written && memcmp(input->bytes, peer_stream(client, 0), input->length) == 0;
}

static bool
begins_in_the_middle(const struct connection *connection, const struct decide_input *input)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];
	return !is_of(connection, input) &&
	       memmem(peer_stream(client, 0), client->written, input->bytes, input->length) != NULL;
}

/* Whether the bytes are of a connection that had the client's port before. */
static bool
is_of_former(const struct connection *connection, const struct decide_input *input)
{
	for (unsigned i = 0; i < world.n_connections; i++) {
		const struct connection *former = &world.connections[i];
		if (former == connection || former->slot != connection->slot || !former->started)
			continue;
		if (is_of(former, input))
			return true;
		if (begins_in_the_middle(former, input)) {
			world.mistaken++;
			return true;
		}
	}
	return false;
}

void
decision_note_dial(struct connection *connection, unsigned attempt, unsigned endpoint)
{
	connection->endpoint = endpoint;
	connection->attempts++;
	connection->active = true;
	if (attempt != 0)
		connection->met |= SITUATION_BIT(MET_OTHER_ENDPOINT);
	if (world.endpoints[endpoint].added)
		connection->met |= SITUATION_BIT(MET_NEW_ENDPOINT);
	if (world.endpoints[endpoint].restarted)
		connection->met |= SITUATION_BIT(MET_AFTER_RESTART);
	/* Where timestamps don't go together it becomes a relay, if there is room for one. */
	bool no_room = world.few_bridges || world.scarcity == SCARCE_PACKETS;
	if (is_bad(endpoint) ||
	    (no_room && connection->gate_timestamps[LEG_CLIENT] && !world.endpoints[endpoint].traits.timestamps))
		connection->may_fail_dial = true;
	connection->dial = ++world.n_dials;
}

bool
decision_dial_to(unsigned endpoint, struct dial *dial)
{
	*dial = (struct dial){.addr = world.endpoints[endpoint].addr,
			      .port = world.endpoints[endpoint].port,
			      .endpoint = WORLD_FIRST_LIVE + endpoint,
			      .service = SERVICE_LIVE,
			      .connect_timeout_ms = world.connect_timeout_ms};
	return !world.endpoints[endpoint].removed;
}

/* The stand-in: any endpoint that wasn't tried, or a session. */
static enum decision
take_any(struct connection *connection, const struct decide_input *input, struct dial *dial, enum reason *reason)
{
	unsigned first = world_below(world.n_endpoints);

	if (!world.plain && input->length < connection->hello)
		return DECISION_MORE;
	if (input->attempt == 0 && session_wants(connection))
		return DECISION_BRIDGE;
	for (unsigned i = 0; i < world.n_endpoints; i++) {
		unsigned chosen = (first + i) % world.n_endpoints;
		uint32_t live = WORLD_FIRST_LIVE + chosen;
		if (live == input->tried[0] || live == input->tried[1] || !decision_dial_to(chosen, dial))
			continue;
		decision_note_dial(connection, input->attempt, chosen);
		return DECISION_DIAL;
	}
	if (input->attempt == 0)
		connection->may_fail_dial = true; /* there really is none */
	*reason = REASON_NO_ENDPOINT;
	return DECISION_REFUSE;
}

/* What is wrong with the real gateway's choice; NULL: nothing. */
static const char *
dial_fault(const struct connection *connection, const struct decide_input *input, const struct dial *dial,
	   unsigned endpoint)
{
	if (input->length < connection->hello)
		return "the hello isn't whole";
	if (connection->hello_kind != connection->listener_kind)
		return "its listener has no such name";
	if (!operator_listens(connection->peer[LEG_CLIENT].gate_port))
		return "its listener is gone";
	if (endpoint == world.n_endpoints || !operator_may_reach(connection, endpoint))
		return "that endpoint is none of its service";
	if (operator_endpoint_of(dial->endpoint) != endpoint)
		return "another endpoint's live slot";
	if (dial->endpoint == input->tried[0] || dial->endpoint == input->tried[1])
		return "that endpoint was tried already";
	if (dial->connect_timeout_ms != world.connect_timeout_ms)
		return "another time-out";
	unsigned service = operator_service_of(dial->service);
	if (service == HELLO_SERVICES)
		return "a live slot of no service";
	return input->attempt == 0 && operator_is_full(service) ? "beyond maxConnections" : NULL;
}

/* Whether the real gateway may refuse for that. */
static bool
may_refuse(struct connection *connection, const struct decide_input *input, enum reason reason)
{
	if (reason == REASON_HELLO_NOT_TLS)
		return connection->hello_kind == HELLO_NOT_TLS;
	if (reason == REASON_HELLO_TOO_LARGE)
		return connection->hello_kind == HELLO_TOO_LARGE;
	if (connection->hello_kind == HELLO_NOT_TLS || connection->hello_kind == HELLO_TOO_LARGE ||
	    input->length < connection->hello)
		return false;
	bool listens = operator_listens(connection->peer[LEG_CLIENT].gate_port);
	if (reason == REASON_NO_LISTENER)
		return !listens;
	if (!listens)
		return false;
	switch (reason) {
	case REASON_SNI_MISSING:
		return connection->hello_kind == HELLO_NAMELESS;
	case REASON_SNI_NO_MATCH:
		return connection->listener_kind == HELLO_BY_NAME && connection->hello_kind != HELLO_BY_NAME;
	case REASON_SNI_NOT_ISTIO:
		return connection->listener_kind == HELLO_BY_ISTIO &&
		       (connection->hello_kind == HELLO_BY_NAME || connection->hello_kind == HELLO_UNKNOWN);
	case REASON_SERVICE_UNKNOWN:
		return connection->listener_kind == HELLO_BY_ISTIO && connection->hello_kind == HELLO_UNKNOWN_ISTIO;
	case REASON_MAX_CONNECTIONS:
		return input->attempt == 0 && connection->hello_kind == connection->listener_kind &&
		       operator_may_be_full(connection);
	case REASON_NO_ENDPOINT:
		return connection->hello_kind == connection->listener_kind &&
		       operator_may_have_none(connection, input->attempt, input->tried);
	default:
		return false;
	}
}

static enum decision
ask_gateway(struct connection *connection, unsigned worker, const struct decide_input *input, struct dial *dial,
	    enum reason *reason, char sni[SNI_TEXT_MAX])
{
	const struct dataplane_hooks *hooks = operator_hooks();
	enum decision decision = hooks->decide(hooks->context, worker, input, dial, reason, sni);
	const char *fault = NULL;

	switch (decision) {
	case DECISION_MORE:
		if (input->length >= connection->hello || connection->hello_kind == HELLO_NOT_TLS)
			world_fail("connection %u: the gateway wants more than %u bytes of a hello", connection->number,
				   input->length);
		break;
	case DECISION_DIAL: {
		unsigned endpoint = world_endpoint_index(&dial->addr, dial->port);
		fault = dial_fault(connection, input, dial, endpoint);
		if (fault != NULL) {
			world_fail("connection %u is sent somewhere: %s", connection->number, fault);
			*reason = REASON_NO_ENDPOINT;
			return DECISION_REFUSE;
		}
		connection->chosen_service = operator_service_of(dial->service);
		connection->decided_at_reload = world.reloads;
		decision_note_dial(connection, input->attempt, endpoint);
		break;
	}
	case DECISION_BRIDGE:
		world_fail("connection %u: the gateway wants to end it itself", connection->number);
		break;
	case DECISION_REFUSE:
		if (!may_refuse(connection, input, *reason))
			world_fail("connection %u: the gateway refuses it: %s", connection->number,
				   reason_text(*reason));
		connection->refusals[*reason] = true;
		break;
	}
	return decision;
}

/* Whether the flow that is asked about has the connection's own numbers: without bytes nothing else tells it from one
 * before on the same ports, whose last ACK of the handshake comes late. */
static bool
begins_as(const struct connection *connection, const struct decide_input *input)
{
	const struct flow *flow =
		rig_flow(&world.rig, LEG_CLIENT, &input->client, input->client_port, input->local_port);

	return flow != NULL &&
	       flow->leg[LEG_CLIENT].seq_end == connection->peer[LEG_CLIENT].traits.isn + 1 + input->length;
}

static enum decision
haunt(struct connection *connection, enum reason *reason)
{
	connection->haunted = world.haunted = true;
	*reason = REASON_NO_ENDPOINT;
	return DECISION_REFUSE;
}

static enum decision
decide(void *context, unsigned worker, const struct decide_input *input, struct dial *dial, enum reason *reason,
       char sni[SNI_TEXT_MAX])
{
	struct connection *connection = world_client(&input->client, input->client_port, false);
	(void)context;

	if (connection == NULL || !connection->started) {
		world_fail("a decision is asked for about nobody's connection");
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	if (world.plain && !begins_as(connection, input))
		return haunt(connection, reason);
	/* A late repeat of a hello, when the record of its connection is gone already, brings a good cookie all the
	 * same. */
	if (audit_is_over(connection) || (!is_of(connection, input) && is_of_former(connection, input))) {
		return haunt(connection, reason);
	}
	if (begins_in_the_middle(connection, input)) {
		/* A segment that overtook the first fits the cookie by chance (syn_cookie.h). Its bytes are no hello.
		 */
		world.mistaken++;
		connection->may_time_out = true;
		connection->mistaken = true;
		*reason = REASON_HELLO_NOT_TLS;
		return DECISION_REFUSE;
	}
	if (!is_of(connection, input))
		world_fail("connection %u: the decision is to be made on other bytes than were sent",
			   connection->number);
	if (world.operated)
		return ask_gateway(connection, worker, input, dial, reason, sni);
	return take_any(connection, input, dial, reason);
}

static bool
is_learned(const struct peer_traits *traits, const struct tcp_profile *profile)
{
	return profile->mss == traits->mss && (!profile->timestamps || traits->timestamps) &&
	       (!profile->sack || traits->sack);
}

static void
learned(void *context, unsigned worker, uint32_t slot, const struct tcp_profile *profile)
{
	unsigned endpoint = world.operated ? operator_endpoint_of(slot) : slot - WORLD_FIRST_LIVE;
	(void)context, (void)worker;

	if (endpoint >= world.n_endpoints) {
		world_fail("options were learned from an endpoint that doesn't exist");
		return;
	}
	/* What is on its way while it restarts is of before. */
	if (!is_learned(&world.endpoints[endpoint].traits, profile) &&
	    !is_learned(&world.endpoints[endpoint].before, profile))
		world_fail("options were learned of endpoint %u that it doesn't have", endpoint);
	if (world.operated)
		operator_learned(slot, profile);
}

void
decision_open(void)
{
	world.rig.hooks =
		(struct dataplane_hooks){.context = &world, .listener = listener, .decide = decide, .learned = learned};
	session_hooks(&world.rig.hooks);
}
