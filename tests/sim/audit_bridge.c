/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/audit_bridge.h"

enum { FIN = 0x01, RST = 0x04, ACK = 0x10, ECN = 0xc0, PORT_MTU = 1500, WINDOW_MAX = 1 << 24 };

/* --- what has come to the gateway --------------------------------------------------------------------------------- */

static uint32_t
in_order(const struct arrivals *arrivals)
{
	return arrivals->n != 0 && arrivals->ranges[0].begin <= 1 ? arrivals->ranges[0].end : 1;
}

static bool
has_come(const struct arrivals *arrivals, int64_t begin, int64_t end)
{
	for (unsigned i = 0; i < arrivals->n; i++)
		if (begin >= arrivals->ranges[i].begin && end <= arrivals->ranges[i].end)
			return true;
	return arrivals->forgot;
}

static void
add(struct arrivals *arrivals, uint32_t begin, uint32_t end)
{
	struct peer_range list[WORLD_ARRIVALS_MAX + 1];
	unsigned n = 0, i = 0;

	for (; i < arrivals->n && arrivals->ranges[i].end < begin; i++)
		list[n++] = arrivals->ranges[i];
	for (; i < arrivals->n && arrivals->ranges[i].begin <= end; i++) {
		begin = begin < arrivals->ranges[i].begin ? begin : arrivals->ranges[i].begin;
		end = end > arrivals->ranges[i].end ? end : arrivals->ranges[i].end;
	}
	list[n++] = (struct peer_range){begin, end};
	for (; i < arrivals->n; i++)
		list[n++] = arrivals->ranges[i];
	if (n > WORLD_ARRIVALS_MAX) {
		arrivals->forgot = true;
		n = WORLD_ARRIVALS_MAX;
	}
	memcpy(arrivals->ranges, list, n * sizeof(list[0]));
	arrivals->n = n;
}

void
audit_bridge_arrives(struct connection *connection, unsigned leg, const struct segment *segment)
{
	const struct peer *peer = &connection->peer[leg];
	struct arrivals *arrivals = &connection->arrivals[leg];
	int64_t begin = audit_offset_of(segment->seq, peer->traits.isn, peer->una);
	int64_t end = begin + segment->payload_length + ((segment->flags & FIN) != 0);

	if ((segment->flags & (2 | RST)) != 0)
		return;
	/* A keep-alive, a probe, or news: no repeat of what it has long known. */
	if (begin + 1 >= in_order(arrivals) || end > in_order(arrivals))
		connection->heard_at_us[leg] = world.now_us;
	if (begin < 1)
		begin = 1;
	if (end > begin)
		add(arrivals, (uint32_t)begin, (uint32_t)end);
}

bool
audit_bridge_is(struct connection *connection)
{
	const struct peer *client = &connection->peer[LEG_CLIENT];

	if (connection->bridged || !connection->gate_timestamps[LEG_ENDPOINT] ||
	    connection->peer[LEG_ENDPOINT].traits.timestamps)
		return connection->bridged;
	const struct flow *flow = rig_flow(&world.rig, LEG_CLIENT, &client->addr, client->port, client->gate_port);
	if (flow != NULL && flow_is_bridged(flow)) {
		connection->bridged = true;
		connection->met |= SITUATION_BIT(MET_RELAYED);
	}
	return connection->bridged;
}

/* --- segments ----------------------------------------------------------------------------------------------------- */

static const char *
options_fault(const struct connection *connection, unsigned leg, const struct segment *segment, const struct said *said)
{
	const struct peer *to = &connection->peer[leg];
	const struct arrivals *arrivals = &connection->arrivals[leg];
	int64_t ack = audit_offset_of(segment->ack, to->traits.isn, to->una);

	if (said->timestamps != to->timestamps)
		return said->timestamps ? "timestamps that weren't negotiated"
					: "no timestamps though they were negotiated";
	if (said->timestamps &&
	    ((int32_t)(said->tsecr - to->ts_first) < 0 || (int32_t)(peer_clock(to, world.now_us) - said->tsecr) < 0))
		return "the echo of a timestamp that its receiver never sent";
	if (said->n_sacks != 0 && !(to->traits.sack && connection->gate_sack[leg]))
		return "SACK that wasn't negotiated";
	for (unsigned i = 0; i < said->n_sacks; i++) {
		int64_t begin = audit_offset_of(said->sacks[(size_t)2 * i], to->traits.isn, to->una);
		int64_t end = audit_offset_of(said->sacks[(size_t)2 * i + 1], to->traits.isn, to->una);
		if (i == 0 && end <= ack && (world.forged != 0 || world.stale))
			continue; /* whatever it was, it has it */
		if (begin >= end || !has_come(arrivals, begin, end))
			return "a SACK block of what hasn't come to it";
		if (i != 0 && begin < ack)
			return "a SACK block of what it acknowledges";
	}
	if (segment->payload_length != 0 &&
	    segment->payload_length + segment->options_length > audit_taken_mss(&to->traits, &to->addr))
		return "more than its receiver's MSS";
	return NULL;
}

/* What it brings. */
static const char *
payload_fault(const struct connection *connection, unsigned leg, const struct segment *segment, int64_t seq)
{
	const struct peer *to = &connection->peer[leg], *from = &connection->peer[leg_other(leg)];
	int64_t end = seq + segment->payload_length, come = in_order(&connection->arrivals[leg_other(leg)]);
	bool fin = (segment->flags & FIN) != 0;

	/* A FIN that came to it counts as one number in both streams. */
	if (seq < 0 || end + fin > come)
		return connection->arrivals[leg_other(leg)].forgot ? NULL : "numbers of what hasn't come to it";
	if (fin && end != 1 + (int64_t)from->traits.length)
		return "a FIN in the wrong place";
	if (segment->payload_length == 0)
		return NULL;
	if (seq < 1 || end - 1 > from->traits.length)
		return "payload from beyond the stream";
	if (memcmp(segment->payload, peer_stream(from, (uint32_t)seq - 1), segment->payload_length) != 0)
		return "payload that isn't what was sent there";
	/* Into a closed window goes a byte, for an answer. */
	return end > (int64_t)to->offered + 1 ? "payload from beyond its receiver's window" : NULL;
}

static int64_t
edge_of(const struct connection *connection, unsigned leg, const struct segment *segment, int64_t ack)
{
	const struct peer *to = &connection->peer[leg];
	uint8_t shift = connection->gate_scaled[leg] && to->scales ? connection->gate_scale[leg] : 0;

	return ack + ((int64_t)segment->window << shift);
}

const char *
audit_bridge_fault(struct connection *connection, unsigned leg, const struct segment *segment, const struct said *said)
{
	const struct peer *to = &connection->peer[leg];

	if (world.stale && (int32_t)(segment->seq - to->irs) < 0)
		return NULL;
	if (to->state == PEER_NONE || to->state == PEER_SYN_SENT)
		return "before its receiver knows of the connection";
	int64_t seq = audit_offset_of(segment->seq, to->irs, to->expected);
	int64_t ack = audit_offset_of(segment->ack, to->traits.isn, to->una);
	if ((segment->flags & ECN) != 0 || segment->reserved != 0)
		return "bits that were never negotiated";
	if ((segment->flags & RST) != 0)
		return seq < 0 || seq > (int64_t)to->offered + 1 ? "a RST out of its receiver's window" : NULL;
	if ((segment->flags & ACK) == 0)
		return "neither ACK nor RST";
	const char *fault = options_fault(connection, leg, segment, said);
	if (fault == NULL)
		fault = payload_fault(connection, leg, segment, seq);
	if (fault != NULL)
		return fault;
	if (ack < 1)
		return "an acknowledgment of nothing";
	if (ack > in_order(&connection->arrivals[leg]) && !connection->arrivals[leg].forgot)
		return "an acknowledgment of what hasn't come to it";
	int64_t edge = edge_of(connection, leg, segment, ack);
	int64_t unit = connection->gate_scaled[leg] && to->scales ? INT64_C(1) << connection->gate_scale[leg] : 1;
	if (edge + unit <= (int64_t)connection->gate_promised[leg])
		return "a window that takes back what was promised";
	return edge > ack + WINDOW_MAX ? "a window without measure" : NULL;
}

const char *
audit_bridge_syn_fault(const struct connection *connection, const struct segment *segment, const struct said *said)
{
	if (segment->seq != connection->gate_isn)
		return "a repeated SYN with another number";
	if (said->mss == 0 || said->mss > PORT_MTU - (ip_addr_is_v4(&segment->destination) ? 40 : 60))
		return "a SYN that promises another MSS than its port has";
	return !said->scaled || said->scale > 14 ? "a SYN without a good window scale" : NULL;
}

void
audit_bridge_note(struct connection *connection, unsigned leg, const struct segment *segment)
{
	const struct peer *to = &connection->peer[leg];
	int64_t ack = audit_offset_of(segment->ack, to->traits.isn, to->una);
	int64_t edge = edge_of(connection, leg, segment, ack);

	if (edge > (int64_t)connection->gate_promised[leg])
		connection->gate_promised[leg] = (uint64_t)edge;
}
