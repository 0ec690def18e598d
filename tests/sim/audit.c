/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/audit.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <stdio.h>

#include "tests/sim/audit_bridge.h"
#include "tests/sim/audit_said.h"
#include "tests/sim/icmp_wire.h"
#include "tests/sim/operator.h"
#include "tests/sim/session.h"
#include "tests/sim/situation.h"

enum {
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	ACK = 0x10,
	ECN = 0xc0,
	PORT_MTU = 1500,
	GATE_MAY_HOLD = 16384,
	MSS_DEFAULT_V4 = 536,
	MSS_DEFAULT_V6 = 1220,
	IDLE_SLACK_US = 1000000,
	IDLE_LATE_US = 4000000,
	GIVE_UP_US = 40000000 /* less than what a peer's time-outs until then take */
};

static uint32_t
get_32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

const char *
audit_said_read(const struct segment *segment, struct said *said)
{
	bool syn = (segment->flags & SYN) != 0;
	unsigned at = 0;

	*said = (struct said){0};
	while (at < segment->options_length) {
		const uint8_t *option = segment->options + at;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if (option[0] == 0)
			break;
		unsigned left = segment->options_length - at;
		if (left < 2 || option[1] < 2 || option[1] > left)
			return "malformed options";
		at += option[1];
		if (option[0] == 8 && option[1] == 10 && !said->timestamps) {
			said->timestamps = true;
			said->tsval = get_32(option + 2);
			said->tsecr = get_32(option + 6);
		} else if (option[0] == 5 && !syn && said->n_sacks == 0 && (option[1] - 2) % 8 == 0) {
			said->n_sacks = (option[1] - 2u) / 8;
			for (unsigned i = 0; i < 2 * said->n_sacks; i++)
				said->sacks[i] = get_32(option + 2 + (size_t)4 * i);
		} else if (option[0] == 2 && option[1] == 4 && syn) {
			said->mss = (uint16_t)(option[2] << 8 | option[3]);
		} else if (option[0] == 3 && option[1] == 3 && syn) {
			said->scaled = true;
			said->scale = option[2];
		} else if (option[0] == 4 && option[1] == 2 && syn) {
			said->sack_permitted = true;
		} else {
			return "an option that has no place there";
		}
	}
	return NULL;
}

uint16_t
audit_taken_mss(const struct peer_traits *traits, const struct ip_addr *addr)
{
	return traits->mss != 0 ? traits->mss : ip_addr_is_v4(addr) ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
}

static bool
has_received(const struct peer *peer, int64_t begin, int64_t end)
{
	if (begin >= 1 && end <= peer->expected)
		return true;
	for (unsigned i = 0; i < peer->n_early; i++)
		if (begin >= peer->early[i].begin && end <= peer->early[i].end)
			return true;
	return false;
}

/* --- the handshakes ---------------------------------------------------------------------------------------------- */

bool
audit_has_record(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];

	for (unsigned id = 0; id < world.rig.n_workers; id++) {
		const struct flow_table *flows = &world.rig.workers[id].flows;
		for (uint32_t i = 1; i <= flow_table_touched(flows); i++) {
			const struct flow *flow = flow_table_get(flows, i);
			const struct flow_leg *leg = &flow->leg[LEG_CLIENT];
			if (flow->state != FLOW_FREE && leg->peer_port == htons(client->port) &&
			    leg->local_port == htons(client->gate_port) && ip_addr_equal(&leg->peer, &client->addr))
				return true;
		}
	}
	return false;
}

/* The connection that asked for a SYN which isn't a repeat: whose flow it is, or if that is gone already, the one
 * without a flow that has waited longest for a SYN to that endpoint. NULL: none. */
static struct connection *
who_dials(unsigned endpoint, const struct flow *flow)
{
	struct connection *first = NULL;

	for (unsigned i = 0; i < world.n_connections; i++) {
		struct connection *connection = &world.connections[i];
		const struct peer *client = &connection->peer[LEG_CLIENT];
		if (connection->dial == 0 || connection->endpoint != endpoint ||
		    (flow != NULL && (client->port != ntohs(flow->leg[LEG_CLIENT].peer_port) ||
				      !ip_addr_equal(&client->addr, &flow->leg[LEG_CLIENT].peer))) ||
		    (flow == NULL && audit_has_record(connection)))
			continue;
		/* Of those that had the same port, the last one has the flow. */
		if (first == NULL || (flow != NULL ? connection->dial > first->dial : connection->dial < first->dial))
			first = connection;
	}
	if (first != NULL)
		first->dial = 0;
	return first;
}

void
audit_bind(const struct segment *syn)
{
	unsigned endpoint = world_endpoint_index(&syn->destination, syn->destination_port);
	struct connection *connection = world_endpoint(&syn->destination, syn->destination_port, syn->source_port);
	const struct flow *flow =
		rig_flow(&world.rig, LEG_ENDPOINT, &syn->destination, syn->destination_port, syn->source_port);

	if (endpoint == world.n_endpoints) {
		world_fail("a SYN to nobody");
		return;
	}
	if (connection != NULL && connection->bound && syn->seq == connection->gate_isn)
		return; /* again */
	if (world.n_binds == WORLD_BINDS_MAX) {
		world_fail("more connections to endpoints than there can be");
		return;
	}
	if (flow != NULL && flow->state == FLOW_PROBING) {
		if (!world.operated || !operator_may_probe(endpoint))
			world_fail("a probe of endpoint %u that nobody asked for", endpoint);
		if (!world_is_probe(&syn->destination, syn->destination_port, syn->source_port))
			world.binds[world.n_binds++] =
				(struct bind){endpoint, syn->source_port, WORLD_NO_CONNECTION, 0};
		return;
	}
	/* Where there is no room it may have waited, for a MAC or in a ring, for so long that nobody wants it any more,
	 * nor can tell whose it was. Nor can they when the session that dialled has given up at once. */
	bool forgotten = flow == NULL && (world.scarcity != SCARCE_NOTHING || world.gave_up_step == world.steps);
	connection = forgotten ? NULL : who_dials(endpoint, flow);
	if (connection == NULL) {
		if (!forgotten)
			world_fail("a SYN that no decision asked for");
		world.binds[world.n_binds++] = (struct bind){endpoint, syn->source_port, WORLD_NO_CONNECTION, 0};
		return;
	}
	world.binds[world.n_binds++] =
		(struct bind){endpoint, syn->source_port, connection->number, connection->attempts};
	connection->gate_port = syn->source_port;
	connection->gate_isn = syn->seq;
	connection->bound = true;
	connection->challenged = connection->deafened = false;
	/* The endpoint's host is what it is; what it serves is the connection's. */
	struct peer_traits traits = world.endpoints[endpoint].traits;
	struct peer_traits *served = &connection->served;
	served->mss = traits.mss;
	served->scale = traits.scale;
	served->sack = traits.sack;
	served->timestamps = traits.timestamps;
	served->ecn = traits.ecn;
	served->oddities = traits.oddities;
	served->ts_base = traits.ts_base;
	served->ts_shift = traits.ts_shift;
	served->largest = traits.largest;
	struct peer *peer = &connection->peer[LEG_ENDPOINT];
	uint32_t noise = peer->noise;
	uint64_t armed_at = peer->armed_at;
	peer_init(peer, served);
	peer->armed_at = armed_at; /* an event of an attempt before may be on its way, and finds nothing to do */
	if (peer->traits.opens_at_us != 0)
		peer->traits.opens_at_us += world.now_us;
	peer->noise = noise;
	peer->leg = LEG_ENDPOINT;
	peer->addr = syn->destination;
	peer->gate = syn->source;
	peer->port = syn->destination_port;
	peer->gate_port = syn->source_port;
	peer->connection = connection;
	peer->other = &connection->peer[LEG_CLIENT];
	connection->tsval_known[LEG_ENDPOINT] = false;
}

/* Whether the real gateway may take a client now, and on these terms. */
static void
audit_offer(const struct connection *connection, const struct said *said)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];

	if (world.draining)
		world_fail("connection %u: a SYN-ACK while Postern drains", connection->number);
	if (!operator_listens(client->gate_port))
		world_fail("connection %u: a SYN-ACK of a listener that is gone", connection->number);
	const char *fault = operator_offer_fault(client->traits.sack, said->sack_permitted, client->traits.timestamps,
						 said->timestamps, said->mss);
	if (fault != NULL)
		world_fail("connection %u: the SYN-ACK offers %s", connection->number, fault);
}

static void
audit_syn(struct connection *connection, unsigned leg, const struct segment *segment, const struct said *said)
{
	struct peer *to = &connection->peer[leg];
	const struct peer_traits *traits = &to->traits;
	const struct peer *client = &connection->peer[LEG_CLIENT];
	unsigned number = connection->number;

	if (segment->payload_length != 0 || (segment->flags & (FIN | ECN)) != 0)
		world_fail("connection %u: a SYN with more than belongs there", number);
	if (leg == LEG_CLIENT && world.stale && segment->ack != traits->isn + 1)
		return; /* to a SYN of a connection before */
	if (leg == LEG_CLIENT) {
		if (segment->ack != traits->isn + 1)
			world_fail("connection %u: a SYN-ACK for another SYN", number);
		if ((said->timestamps && !traits->timestamps) || (said->sack_permitted && !traits->sack) ||
		    (said->scaled != (traits->scale != PEER_NO_SCALE)))
			world_fail("connection %u: the SYN-ACK agrees to what the client didn't offer", number);
		if (said->timestamps && said->tsecr != peer_clock(client, world.now_us) &&
		    (int32_t)(said->tsecr - client->ts_first) < 0)
			world_fail("connection %u: the SYN-ACK echoes another timestamp", number);
		if (world.operated)
			audit_offer(connection, said);
	} else if (connection->bridged) {
		const char *fault = audit_bridge_syn_fault(connection, segment, said);
		if (fault != NULL)
			world_fail("connection %u: %s", number, fault);
	} else {
		if (segment->seq != connection->gate_isn)
			world_fail("connection %u: a repeated SYN with another number", number);
		if (said->timestamps != client->timestamps || said->scaled != client->scales ||
		    (said->scaled && said->scale != client->traits.scale) || said->sack_permitted != client->sack)
			world_fail("connection %u: the SYN's options aren't what the client's leg has", number);
		if (said->mss > audit_taken_mss(&client->traits, &client->addr) ||
		    said->mss > PORT_MTU - (ip_addr_is_v4(&segment->destination) ? 40 : 60))
			world_fail("connection %u: the SYN promises an MSS of %u", number, said->mss);
		if (segment->window > client->offered - 1)
			world_fail("connection %u: the SYN promises a window of %u, the client %u", number,
				   segment->window, client->offered - 1);
	}
	/* A SYN that came twice may be answered differently, when the gateway learned something in between. */
	bool anew = leg == LEG_ENDPOINT;
	if (leg == LEG_ENDPOINT)
		connection->gate_promised[leg] = 1;
	connection->gate_scaled[leg] = said->scaled;
	connection->gate_scale[leg] = said->scale;
	connection->gate_sack[leg] = said->sack_permitted || (!anew && connection->gate_sack[leg]);
	connection->gate_timestamps[leg] = said->timestamps || (!anew && connection->gate_timestamps[leg]);
	if (leg == LEG_CLIENT && 1u + segment->window > connection->gate_edge)
		connection->gate_edge = 1u + segment->window;
}

/* --- segments ---------------------------------------------------------------------------------------------------- */

static const char *
options_fault(struct connection *connection, unsigned leg, const struct segment *segment, const struct said *said)
{
	const struct peer *to = &connection->peer[leg], *from = &connection->peer[leg_other(leg)];

	/* A challenge to a SYN has none: it mustn't choose what the receiver remembers (splice.c). */
	bool challenge = (world.syn || world.forged != 0) && segment->payload_length == 0 && !said->timestamps;
	if (said->timestamps != to->timestamps && !challenge)
		return said->timestamps ? "timestamps that weren't negotiated"
					: "no timestamps though they were negotiated";
	/* Each end goes on echoing the gateway's own clock for a moment, which is older than anything of the other end,
	 * and may tick faster: to that it is as if the handshake had taken longer. */
	const struct peer *client = &connection->peer[LEG_CLIENT];
	uint64_t spliced_at = connection->spliced ? connection->spliced_at_us : world.now_us;
	uint32_t earlier = (uint32_t)((spliced_at - client->syn_at_us) / 1000 + 1);
	/* What acknowledges no more than the SYN-ACK may echo nothing (dial.h). */
	bool echoes =
		said->timestamps && !(leg == LEG_ENDPOINT && said->tsecr == 0 && segment->ack == to->traits.isn + 1);
	if (echoes && ((int32_t)(said->tsecr - to->ts_first + earlier) < 0 ||
		       (int32_t)(peer_clock(to, world.now_us) - said->tsecr) < 0))
		return "the echo of a timestamp that its receiver never sent";
	if (said->n_sacks != 0 && !(to->traits.sack && connection->gate_sack[leg]))
		return "SACK that wasn't negotiated";
	for (unsigned i = 0; i < said->n_sacks; i++) {
		int64_t begin = audit_offset_of(said->sacks[(size_t)2 * i], to->traits.isn, to->una);
		int64_t end = audit_offset_of(said->sacks[(size_t)2 * i + 1], to->traits.isn, to->una);
		if (begin >= end || !has_received(from, begin, end))
			return "a SACK block of what the other end hasn't got";
	}
	if (segment->payload_length != 0 &&
	    segment->payload_length + segment->options_length > audit_taken_mss(&to->traits, &to->addr))
		return "more than its receiver's MSS";
	return NULL;
}

/* Whether a segment may be an acknowledgment that the gateway gave the client before the endpoint had answered, and
 * that has waited for a MAC until now: where answers to ARP and ND get lost for want of room. */
static bool
may_be_late(const struct connection *connection, unsigned leg, const struct segment *segment)
{
	return leg == LEG_CLIENT && connection->spliced && world.scarcity != SCARCE_NOTHING &&
	       segment->payload_length == 0 && segment->seq == connection->peer[LEG_CLIENT].irs + 1;
}

/* What is wrong with a segment, no SYN, to a leg of a connection; NULL: nothing. */
static const char *
segment_fault(struct connection *connection, unsigned leg, const struct segment *segment, const struct said *said)
{
	const struct peer *to = &connection->peer[leg], *from = &connection->peer[leg_other(leg)];

	/* What was under way when a connection began on ports that had been used is passed on when it may be a repeat
	 * of long ago, for its receiver to judge; so it must look like one. */
	if (world.stale && (int32_t)(segment->seq - to->irs) < 0)
		return NULL;
	/* The same where frames wait in the gateway's own rings. */
	if (to->state == PEER_SYN_SENT && leg == LEG_CLIENT && world.scarcity == SCARCE_INBOX &&
	    world_client(&to->addr, to->port, true) != NULL)
		return NULL;
	if (to->state == PEER_NONE || to->state == PEER_SYN_SENT)
		return "before its receiver knows of the connection";
	int64_t seq = audit_offset_of(segment->seq, to->irs, to->expected);
	int64_t end = seq + segment->payload_length;
	int64_t ack = audit_offset_of(segment->ack, to->traits.isn, to->una);

	if ((segment->flags & ECN) != 0 || segment->reserved != 0)
		return "bits that were never negotiated";
	if ((segment->flags & RST) != 0)
		return seq < 0 || seq > (int64_t)to->offered + 1 ? "a RST out of its receiver's window" : NULL;
	if ((segment->flags & ACK) == 0)
		return "neither ACK nor RST";
	const char *fault = options_fault(connection, leg, segment, said);
	if (fault != NULL)
		return fault;

	/* What it brings. */
	bool fin = (segment->flags & FIN) != 0;
	uint32_t sent = from->state == PEER_NONE ? 1 : from->highest;
	if (seq < 0 || end + fin > (int64_t)sent)
		return "numbers that the other end hasn't used";
	if (segment->payload_length != 0) {
		if (seq < 1 || end - 1 > from->traits.length)
			return "payload from beyond the stream";
		if (memcmp(segment->payload, peer_stream(from, (uint32_t)seq - 1), segment->payload_length) != 0)
			return "payload that isn't what was sent there";
		int64_t unit = connection->gate_scaled[leg_other(leg)]
				       ? INT64_C(1) << connection->gate_scale[leg_other(leg)]
				       : 1;
		int64_t edge = to->offered;
		if (leg == LEG_ENDPOINT && edge < connection->gate_edge)
			edge = connection->gate_edge;
		if (end > edge + unit)
			return "payload from beyond its receiver's window";
	}
	if (fin && end != 1 + (int64_t)from->traits.length)
		return "a FIN in the wrong place";
	if (!fin && end > 1 + (int64_t)from->traits.length + 1)
		return "numbers beyond the FIN";

	/* What it acknowledges and promises. */
	int64_t has = from->state == PEER_NONE ? 1 : from->expected;
	bool own = leg == LEG_CLIENT && !connection->spliced, late = may_be_late(connection, leg, segment);
	if (own || (late && ack > has)) {
		if (ack > 1 + GATE_MAY_HOLD || ack > to->highest)
			return "an acknowledgment of what the gateway can't have taken over";
	} else if (ack > has && (leg == LEG_ENDPOINT || ack > connection->gate_acked)) {
		return "an acknowledgment of what the other end hasn't got";
	}
	if (ack < 1)
		return "an acknowledgment of nothing";
	uint8_t shift = connection->gate_scaled[leg] && to->scales ? connection->gate_scale[leg] : 0;
	int64_t edge = ack + ((int64_t)segment->window << shift);
	int64_t promised = from->state == PEER_NONE ? 1 : from->offered;
	if (leg == LEG_CLIENT && promised < connection->gate_edge)
		promised = connection->gate_edge;
	/* Rounded up: what doesn't fit isn't acknowledged. */
	int64_t own_promise = 1 + GATE_MAY_HOLD + (INT64_C(1) << shift) - 1;
	/* Its own, or, where the burst that splices it has more from the endpoint, that one's already. */
	if ((own || late) && promised < own_promise)
		promised = own_promise;
	if (segment->window == 1)
		promised += (INT64_C(1) << shift) - 1;
	if (edge > promised)
		return "a window that the other end didn't promise";
	return NULL;
}

/* What a segment that is as it should be tells of the gateway. */
static void
note(struct connection *connection, unsigned leg, const struct segment *segment, const struct said *said)
{
	struct peer *to = &connection->peer[leg];

	if ((segment->flags & RST) != 0)
		return;
	if (leg == LEG_ENDPOINT && !connection->spliced) {
		connection->spliced = true;
		connection->spliced_at_us = world.now_us;
	}
	if (world.stale)
		return;
	audit_bridge_note(connection, leg, segment);
	if (leg == LEG_CLIENT && (!connection->spliced || may_be_late(connection, leg, segment))) {
		int64_t ack = audit_offset_of(segment->ack, to->traits.isn, to->una);
		uint8_t shift = connection->gate_scaled[leg] && to->scales ? connection->gate_scale[leg] : 0;
		int64_t edge = ack + ((int64_t)segment->window << shift);
		if (ack > connection->gate_acked)
			connection->gate_acked = (uint32_t)ack;
		if (edge > connection->gate_edge)
			connection->gate_edge = (uint32_t)edge;
	}
	/* A challenge ACK has the timestamp of what it answers, so it may be an old one. */
	bool bare = segment->payload_length == 0 && (segment->flags & FIN) == 0;
	if (!said->timestamps || !world.fifo)
		return;
	if (connection->tsval_known[leg] && (int32_t)(said->tsval - connection->last_tsval[leg]) < 0) {
		if (!bare)
			world_fail("connection %u: a timestamp that goes back, to the %s", connection->number,
				   leg == LEG_CLIENT ? "client" : "endpoint");
		return;
	}
	connection->tsval_known[leg] = true;
	connection->last_tsval[leg] = said->tsval;
}

/* To an endpoint that is asked for its options: a SYN, and a RST that ends it; nothing else. */
static void
audit_probe(const struct segment *segment)
{
	if (segment->payload_length != 0 || (segment->flags & (SYN | RST)) == 0 || (segment->flags & (FIN | ECN)) != 0)
		world_fail("a probe with flags %02x and %u bytes", segment->flags, segment->payload_length);
}

/* A RST to a client of which the gateway wants no more: it says so to a SYN while it drains, and to whatever comes to a
 * listener that is gone. */
static void
note_turned_away(struct connection *connection, const struct segment *rst)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];
	/* Not one to the connection that had the port before. */
	bool obeys =
		client->state == PEER_SYN_SENT
			? rst->ack - (client->traits.isn + 1) <= client->traits.length /* data may have come with it */
			: audit_offset_of(rst->seq, client->irs, client->expected) == client->expected;

	if (connection->spliced || !world.operated || !obeys)
		return;
	bool listens = operator_listens(client->gate_port);
	if (!listens || (world.draining && client->state == PEER_SYN_SENT)) {
		connection->turned_away = true;
		connection->met |= SITUATION_BIT(listens ? MET_TURNED_AWAY_DRAINING : MET_TURNED_AWAY_LISTENER);
	}
}

/* Whether a segment shows that its sender is alive: a repeat of what has arrived may be somebody else's. */
static bool
is_news(const struct peer *to, const struct segment *segment)
{
	int64_t end =
		audit_offset_of(segment->seq, to->irs, to->expected) + segment->payload_length + (segment->flags & FIN);

	return (segment->flags & RST) == 0 && world.forged == 0 && end >= (int64_t)to->expected;
}

void
audit_segment(unsigned device, const struct segment *segment)
{
	unsigned leg = device == RIG_WAN ? LEG_CLIENT : LEG_ENDPOINT;
	struct connection *connection, *previous = NULL;
	struct said said;

	if (leg == LEG_CLIENT) {
		connection = world_client(&segment->destination, segment->destination_port, false);
		previous = world_client(&segment->destination, segment->destination_port, true);
	} else {
		connection = world_endpoint(&segment->destination, segment->destination_port, segment->source_port);
		if (connection == NULL &&
		    world_is_probe(&segment->destination, segment->destination_port, segment->source_port)) {
			audit_probe(segment);
			return;
		}
	}
	if (connection != NULL)
		connection->touched_at_us = world.now_us;
	/* What is passed on of a stranger's segment is its receiver's to judge; who he is gets a RST, or a cookie. Only
	 * a challenge must be right. */
	if (world.forged != 0 && (world.forged - 1 != device || (segment->flags & (SYN | RST)) != 0))
		return;
	const char *fault = audit_said_read(segment, &said);
	if (fault != NULL) {
		world_fail("a segment to the %s with %s", leg == LEG_CLIENT ? "client" : "endpoint", fault);
		return;
	}
	if (connection == NULL) {
		/* A RST to what is left of an attempt that was given up. */
		if (leg == LEG_CLIENT || (segment->flags & RST) == 0)
			world_fail("a segment to nobody");
		return;
	}
	uint16_t most = (uint16_t)(PORT_MTU - (ip_addr_is_v4(&segment->destination) ? 40 : 60));
	if (segment->payload_length + segment->options_length > most)
		fault = "more than the MTU";
	else if ((segment->flags & SYN) != 0)
		audit_syn(connection, leg, segment, &said);
	else if (leg == LEG_ENDPOINT && connection->peer[leg].state == PEER_NONE)
		fault = (segment->flags & RST) != 0 ? NULL : "before there is a connection";
	else if (audit_bridge_is(connection))
		fault = audit_bridge_fault(connection, leg, segment, &said);
	else
		fault = segment_fault(connection, leg, segment, &said);
	if (leg == LEG_CLIENT && (segment->flags & RST) != 0)
		note_turned_away(connection, segment);
	if (fault == NULL) {
		if (is_news(&connection->peer[leg], segment))
			connection->passed_at_us = world.now_us;
		if ((segment->flags & SYN) == 0)
			note(connection, leg, segment, &said);
		return;
	}
	/* It may be about the connection that had the client's port before. */
	if (previous != NULL && (previous->bridged ? audit_bridge_fault(previous, leg, segment, &said)
						   : segment_fault(previous, leg, segment, &said)) == NULL)
		return;
	if ((segment->flags & RST) != 0)
		return; /* in answer to a packet that was old or strange; its receiver judges by its number */
	world_fail("connection %u: a segment to the %s: %s (flags %02x, seq %u, ack %u, window %u, length %u)",
		   connection->number, leg == LEG_CLIENT ? "client" : "endpoint", fault, segment->flags,
		   segment->seq - connection->peer[leg].irs, segment->ack - connection->peer[leg].traits.isn,
		   segment->window, segment->payload_length);
}

static bool
quotes_what_was_sent(const struct icmp_wire_error *error, const struct peer *peer)
{
	int64_t seq = audit_offset_of(error->seq, peer->traits.isn, peer->una);
	return seq >= 1 && seq < (int64_t)peer->highest && ip_addr_equal(&error->gate, &peer->gate);
}

void
audit_icmp(const uint8_t *frame, uint16_t length)
{
	struct icmp_wire_error error;

	if (!icmp_wire_parse(frame, length, &error) || !error.checksum_good) {
		world_fail("an ICMP message that is malformed");
		return;
	}
	const struct connection *connection = world_client(&error.peer, error.peer_port, false);
	unsigned leg = LEG_CLIENT;
	if (connection == NULL) {
		connection = world_endpoint(&error.peer, error.peer_port, error.gate_port);
		leg = LEG_ENDPOINT;
	}
	if (connection == NULL) {
		world_fail("an ICMP message about no connection");
		return;
	}
	/* Until a connection is dialled, the gateway may have the one that had the client's port before. */
	const struct connection *previous = leg == LEG_CLIENT && connection->attempts == 0
						    ? world_client(&error.peer, error.peer_port, true)
						    : NULL;
	if (!quotes_what_was_sent(&error, &connection->peer[leg]) &&
	    (previous == NULL || !quotes_what_was_sent(&error, &previous->peer[leg])))
		world_fail("connection %u: an ICMP message that quotes what was never sent", connection->number);
	if (error.mtu < (ip_addr_is_v4(&error.peer) ? 552 : 1280))
		world_fail("connection %u: an ICMP message with an MTU of %u", connection->number, error.mtu);
}

/* --- ends -------------------------------------------------------------------------------------------------------- */

/* Whether a process may have ended while it had bytes that it had acknowledged, or tried to. */
static bool
lost_held_bytes(const struct connection *connection)
{
	return world.successions != 0 &&
	       (connection->gate_acked > 1 || world.plain || world.scarcity != SCARCE_NOTHING);
}

/* Whether a connection may be refused for that. */
static bool
may_refuse(const struct connection *connection, enum reason reason)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];

	if (connection->refusals[reason])
		return true; /* the gateway has been asked, and that was judged (decision.c) */
	switch (reason) {
	case REASON_FLOW_TABLE_FULL:
		return world.scarcity == SCARCE_FLOWS;
	case REASON_ADMIN_CLOSED:
		return connection->given_up;
	case REASON_BRIDGE_POOL_EMPTY:
	case REASON_HANDSHAKE_RECLAIMED:
	case REASON_PACKETS_RECLAIMED:
		return world.few_bridges || world.scarcity == SCARCE_PACKETS;
	case REASON_HELLO_TIMEOUT:
		return connection->may_time_out || client->state == PEER_ABORTED;
	case REASON_HELLO_TOO_LARGE:
		return connection->hello > GATE_MAY_HOLD;
	case REASON_HELLO_NOT_TLS:
		return connection->mistaken;
	case REASON_CLIENT_CLOSED:
		return connection->hello > client->traits.length;
	case REASON_CLIENT_RESET:
	case REASON_RESET_BY_CLIENT: /* before its session had an endpoint */
		return client->state == PEER_ABORTED || client->state == PEER_RESET;
	case REASON_CONNECT_TIMEOUT:
	case REASON_CONNECT_REFUSED:
	case REASON_CONNECT_UNREACHABLE:
	case REASON_NO_ENDPOINT:
	case REASON_ENDPOINT_OPTIONS:
		return connection->may_fail_dial;
	case REASON_ADOPT_HELD:
		return lost_held_bytes(connection);
	case REASON_ADOPT_BRIDGED:
		return world.successions != 0 && connection->bridged;
	default:
		return false;
	}
}

/* How often another process has taken over since then. */
static unsigned
successions_since(uint64_t at_us)
{
	unsigned n = 0;

	for (unsigned i = 0; i < world.n_incidents; i++)
		n += world.incidents[i].kind == INCIDENT_SUCCESSION && world.incidents[i].at >= at_us &&
		     world.incidents[i].at <= world.now_us;
	return n;
}

/* Whether nothing has passed for the idle time-out, and not much longer: the gateway looks eight times in that time,
 * and a process that takes over loses two of these. What it holds for the endpoint is its own to deliver, and takes
 * time before. */
static bool
was_idle(const struct connection *connection)
{
	if (connection->bridged) { /* nothing is passed on: it is what comes that counts, from either side */
		const uint64_t *heard = connection->heard_at_us;
		uint64_t timeout_us = world.idle_timeout_s * UINT64_C(1000000);
		uint64_t first = connection->spliced && heard[LEG_ENDPOINT] < heard[LEG_CLIENT] ? heard[LEG_ENDPOINT]
												: heard[LEG_CLIENT];
		uint64_t last = heard[LEG_ENDPOINT] > heard[LEG_CLIENT] ? heard[LEG_ENDPOINT] : heard[LEG_CLIENT];
		return world.now_us + IDLE_SLACK_US >= first + timeout_us &&
		       (world.now_us <= last + timeout_us * 9 / 8 + 2 * IDLE_SLACK_US ||
			world.scarcity != SCARCE_NOTHING);
	}
	uint64_t idle_us = world.now_us - connection->passed_at_us,
		 timeout_us = world.idle_timeout_s * UINT64_C(1000000);
	uint64_t eighths = 9 + 2 * successions_since(connection->touched_at_us - timeout_us / 4);
	bool late = world.now_us - connection->touched_at_us > timeout_us * eighths / 8 + 2 * IDLE_SLACK_US &&
		    connection->gate_acked <= 1 &&
		    world.scarcity != SCARCE_NEIGHBOURS; /* what is dropped for want of a next hop came all the same */

	return idle_us + IDLE_SLACK_US >= timeout_us && !late;
}

/* Whose RST that was. */
static unsigned
reset_leg(enum reason reason)
{
	return reason == REASON_RESET_BY_CLIENT ? LEG_CLIENT : LEG_ENDPOINT;
}

/* Whether a peer has got all that the other side said, its FIN too; but for the FIN where it has closed, is gone, and
 * answered it by RST. */
static bool
has_heard_out(const struct connection *connection, unsigned leg)
{
	const struct peer *peer = &connection->peer[leg];
	uint32_t end = connection->peer[leg_other(leg)].traits.length + 2;

	return peer->expected == end ||
	       (connection->bridged && peer->state >= PEER_CLOSED && peer->expected + 1 == end);
}

static bool
may_end(const struct connection *connection, enum reason reason)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	bool broken = client->state >= PEER_CLOSED || endpoint->state >= PEER_CLOSED;

	switch (reason) {
	case REASON_CLOSED:
		return has_heard_out(connection, LEG_CLIENT) && has_heard_out(connection, LEG_ENDPOINT);
	case REASON_RESET_BY_CLIENT:
	case REASON_RESET_BY_ENDPOINT:
		/* Who has closed, and has a new connection on the same port, may not have told the gateway that its FIN
		 * arrived. And a peer's answer to a SYN-ACK that a stranger's SYN brought it may be late, and exact by
		 * then. */
		return broken || (connection->bridged && peer_is_over(client) && peer_is_over(endpoint)) ||
		       connection->said_reset[reset_leg(reason)];
	case REASON_IDLE_TIMEOUT:
	case REASON_HALF_CLOSED_TIMEOUT:
		/* What strangers have us tell a peer puts off its keep-alives. And where a ring takes one frame and no
		 * other, our answer to a keep-alive takes the place of ours to the other side. */
		return (connection->may_idle || broken ||
			(connection->bridged && (world.attacked || world.scarcity == SCARCE_INBOX) &&
			 (connection->met & SITUATION_BIT(MET_IDLE_KEPT)) != 0) ||
			world.links[0].outage || world.links[1].outage || world.scarcity == SCARCE_NEIGHBOURS) &&
		       was_idle(connection);
	case REASON_HANDSHAKE_RECLAIMED:
		return world.scarcity == SCARCE_FLOWS;
	case REASON_HOLD_UNDELIVERED:
		return broken || world.links[RIG_LAN].outage || world.scarcity == SCARCE_NEIGHBOURS;
	case REASON_ADOPT_HELD:
		return lost_held_bytes(connection);
	case REASON_ADOPT_BRIDGED:
		return world.successions != 0 && connection->bridged;
	case REASON_ADMIN_CLOSED:
		return connection->given_up;
	case REASON_PACKETS_RECLAIMED:
		return connection->bridged && world.scarcity == SCARCE_PACKETS;
	case REASON_CLIENT_SILENT:
	case REASON_ENDPOINT_SILENT:
		return connection->bridged && (broken || world.links[0].outage || world.links[1].outage ||
					       world.scarcity == SCARCE_NEIGHBOURS);
	default:
		return false;
	}
}

/* A ghost is refused in the step in which it is asked about: what comes later is about the connection itself. */
static void
lay_ghosts(void)
{
	for (unsigned i = 0; world.haunted && i < world.n_connections; i++)
		world.connections[i].haunted = false;
	world.haunted = false;
}

void
audit_events(void)
{
	struct flow_event event;

	while (rig_event(&world.rig, &event)) {
		struct connection *connection = world_client(&event.client, event.client_port, false);
		struct connection *previous = world_client(&event.client, event.client_port, true);
		struct connection *bound =
			event.endpoint == 0 ? NULL
					    : world_endpoint(&event.endpoint_addr, event.endpoint_port, event.out_port);
		if (bound != NULL)
			bound->active = false;
		if (connection == NULL) {
			world_fail("the end of a connection that nobody began: %s", reason_text(event.reason));
			return;
		}
		if (connection->haunted && event.kind == FLOW_REFUSED && event.endpoint == 0)
			continue;
		bool may = event.kind == FLOW_REFUSED ? may_refuse(connection, event.reason)
						      : may_end(connection, event.reason);
		if (!may && previous != NULL) {
			may = event.kind == FLOW_REFUSED ? may_refuse(previous, event.reason)
							 : may_end(previous, event.reason);
			connection = previous;
		}
		if (!may)
			world_fail("connection %u %s: %s", connection->number,
				   event.kind == FLOW_REFUSED ? "refused" : "ended", reason_text(event.reason));
		if (world.verbose)
			printf("      connection %u %s: %s\n", connection->number,
			       event.kind == FLOW_REFUSED ? "refused" : "ended", reason_text(event.reason));
		connection->active = false;
		connection->ended_at_us = world.now_us;
		if (event.kind == FLOW_REFUSED) {
			connection->refused = true;
			world.refusals++;
		} else if (event.reason == REASON_IDLE_TIMEOUT || event.reason == REASON_HALF_CLOSED_TIMEOUT ||
			   event.reason == REASON_HOLD_UNDELIVERED || event.reason == REASON_HANDSHAKE_RECLAIMED ||
			   event.reason == REASON_ADOPT_HELD || event.reason == REASON_ADOPT_BRIDGED ||
			   event.reason == REASON_ADMIN_CLOSED || event.reason == REASON_PACKETS_RECLAIMED ||
			   event.reason == REASON_CLIENT_SILENT || event.reason == REASON_ENDPOINT_SILENT) {
			connection->excused = true;
		}
	}
	lay_ghosts();
}

static bool
is_complete(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	return client->expected == endpoint->traits.length + 2 && endpoint->expected == client->traits.length + 2;
}

static bool
ended_early(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	return connection->refused || connection->excused || connection->turned_away || client->state >= PEER_ABORTED ||
	       endpoint->state >= PEER_ABORTED;
}

bool
audit_is_over(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	return ended_early(connection) || (peer_is_over(client) && peer_is_over(endpoint));
}

static void
describe(const struct connection *connection)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		const struct peer *peer = &connection->peer[leg];
		printf("  %s of connection %u: state %d, una %u, next %u, highest %u of %u, edge %u, expected %u, "
		       "offered %u\n",
		       leg == LEG_CLIENT ? "client" : "endpoint", connection->number, (int)peer->state, peer->una,
		       peer->next, peer->highest, peer->traits.length, peer->edge, peer->expected, peer->offered);
	}
	for (unsigned id = 0; id < world.rig.n_workers; id++) {
		const struct worker *worker = &world.rig.workers[id];
		const struct flow_table *flows = &worker->flows;
		printf("  worker %u: %u flows, %u timers, %u holds, %u neighbours\n", id, flow_table_used(flows),
		       worker->wheel.armed, worker->holds.used, worker->neighbours.used);
		for (uint32_t i = 1; i <= flow_table_touched(flows); i++)
			if (flow_table_get(flows, i)->state != FLOW_FREE)
				printf("  flow %u of worker %u: %s\n", i, id,
				       flow_state_text(flow_table_get(flows, i)->state));
	}
}

void
audit_stuck(void)
{
	for (unsigned i = 0; i < world.n_connections && !world.failed; i++)
		if (!audit_is_over(&world.connections[i])) {
			world_fail("connection %u makes no progress", i);
			describe(&world.connections[i]);
		}
	if (!world.failed) {
		world_fail("the gateway keeps something");
		describe(&world.connections[0]);
	}
}

/* A connection that came to an end before its time: somebody broke it off who had a reason to, an application, or the
 * gateway with an event that was judged above, or by saying that it takes none. A RST alone is none. */
static void
audit_early_end(const struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT], *endpoint = &connection->peer[LEG_ENDPOINT];
	/* The gateway has remembered nothing of it yet, or forgotten it. What it told the client then may come when a
	 * repeat of the hello has made a connection of it after all. */
	bool unknown = (!connection->spliced || connection->reset_early) &&
		       (world.scarcity != SCARCE_NOTHING || connection->may_time_out);

	bool said_reset = connection->said_reset[LEG_CLIENT] || connection->said_reset[LEG_ENDPOINT];
	if (!connection->refused && !connection->excused && !connection->turned_away && !unknown && !said_reset &&
	    client->state != PEER_ABORTED && endpoint->state != PEER_ABORTED)
		world_fail("connection %u was reset for no reason", connection->number);
	/* What a peer waited in vain before that is the scarcity's fault; so it is if it isn't told of the end. */
	uint64_t last = client->gave_up_at > endpoint->gave_up_at ? client->gave_up_at : endpoint->gave_up_at;
	bool untold = connection->excused && world.scarcity != SCARCE_NOTHING;
	if (connection->spliced && !untold && last > connection->spliced_at_us + GIVE_UP_US &&
	    world.scarcity != SCARCE_NEIGHBOURS && !world.stormy)
		world_fail("connection %u: a peer gives up, though it was accepted", connection->number);
	/* Who has been told that bytes of his arrived is told as well that they made room for others. */
	bool short_of_room = world.scarcity == SCARCE_FLOWS || world.scarcity == SCARCE_HOLDS;
	if (short_of_room && !world.stormy && world.successions == 0 && !connection->spliced &&
	    connection->gate_acked > 1 && client->gave_up_at != 0)
		world_fail("connection %u: the client gives up, and wasn't told that its bytes were",
			   connection->number);
	if (world.stormy || world.scarcity != SCARCE_NOTHING)
		return;
	/* Where nothing is lost, both are told. */
	if (connection->excused && !connection->restarted && !connection->untold &&
	    (!peer_is_over(client) || !peer_is_over(endpoint)))
		world_fail("connection %u ended for idleness, and not both ends know", connection->number);
	if (connection->restarted && !connection->untold && !peer_is_over(client))
		world_fail("connection %u: the client doesn't know that its endpoint is gone", connection->number);
}

/* Whether the client's pause, which began with its hello, was long enough from when the endpoint got that on, and
 * nobody broke it. */
static bool
must_have_idled(const struct connection *connection)
{
	return connection->must_idle && connection->spliced && connection->hello <= connection->served.buffer &&
	       world.successions == 0 && !world.attacked &&
	       connection->spliced_at_us < connection->peer[LEG_CLIENT].syn_at_us + IDLE_LATE_US;
}

/* Packets that wait in neighbour tables for a MAC. */
static unsigned
count_pending(void)
{
	unsigned pending = 0;

	for (unsigned id = 0; id < world.rig.n_workers; id++) {
		const struct neighbour_table *table = &world.rig.workers[id].neighbours;
		for (unsigned i = 1; i <= table->touched; i++)
			pending += table->entries[i].n_pending;
	}
	return pending;
}

void
audit_process(void)
{
	uint64_t events_lost = 0;

	coverage_take_reasons(&world.rig);
	for (unsigned i = 0; i < world.rig.n_workers; i++)
		events_lost += world.rig.all_stats[i].events_lost;
	if (events_lost != 0)
		world_fail("events were lost");
	/* Good packets are never taken for bad ones. */
	if (rig_reason_count(&world.rig, REASON_TCP_CHECKSUM) + rig_reason_count(&world.rig, REASON_IP_CHECKSUM) != 0 &&
	    world.links[0].corrupt == 0 && world.links[1].corrupt == 0)
		world_fail("a good packet was taken for a damaged one");
}

void
audit_end(void)
{
	for (unsigned i = 0; i < world.n_connections; i++) {
		const struct connection *connection = &world.connections[i];
		bool complete = is_complete(connection);
		coverage_count(situation_of(connection, complete));
		if (must_have_idled(connection) && !connection->excused && !connection->restarted)
			world_fail("connection %u was idle for too long, and didn't end", i);
		if (complete) {
			world.completed++;
			continue;
		}
		world.ended_early++;
		audit_early_end(connection);
	}
	audit_process();
	session_audit_end();
	if (world.operated && !world.failed)
		operator_audit_end();
	unsigned lost = rte_mempool_in_use_count(world.rig.worker.pool) - count_pending();
	if (lost != 0)
		world_fail("%u packet buffers were lost", lost);
}
