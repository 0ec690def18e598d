/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/attacker.h"

#include <arpa/inet.h>

#include "tests/sim/icmp_wire.h"
#include "tests/sim/peer_wire.h"
#include "tests/sim/world.h"
#include "tests/unit/random.h"

enum {
	ACTS_MAX = 300,
	FAR_MIN = (1 << 30) + (1 << 20), /* from any number that a window may reach */
	WINDOW = 1 << 16,
	JUNK_MAX = 200,
	CLAIMANT = 0x66, /* last byte of his MAC; no station has it */
	FRAME_MAX = 128
};

static struct {
	uint64_t random, due;
	uint32_t gap_us; /* on the average */
	unsigned left;
} attacker;

/* Whom he speaks as, and what he knows of that, without being able to. */
struct target {
	struct connection *connection;
	unsigned leg, device;
	const struct peer *sender, *receiver;
	const struct flow *flow;     /* the gateway's; NULL: none now */
	const struct worker *worker; /* that has it */
};

static uint32_t
below(uint32_t bound)
{
	return random_below(&attacker.random, bound);
}

/* Whether the gateway loses what its neighbours answer it. Then it must believe his claims, there being no others, and
 * what it passes on of his waits for a MAC and comes out at any time. */
static bool
answers_get_lost(void)
{
	return world.scarcity != SCARCE_NOTHING && world.scarcity != SCARCE_FLOWS && world.scarcity != SCARCE_HOLDS;
}

void
attacker_open(uint64_t seed)
{
	static const uint32_t gaps[] = {300, 3000, 30000, 300000};

	attacker.random = seed ^ UINT64_C(0xa77ac4e5a77ac4e5);
	random_64(&attacker.random);
	attacker.left = below(10) < 4 && !answers_get_lost() ? ACTS_MAX : 0;
	attacker.gap_us = gaps[below(sizeof(gaps) / sizeof(gaps[0]))];
	attacker.due = world.now_us + below(attacker.gap_us);
}

uint64_t
attacker_due(void)
{
	return attacker.left == 0 ? PEER_NEVER : attacker.due;
}

/* --- what he aims at --------------------------------------------------------------------------------------------- */

static const struct flow *
find_flow(const struct worker *worker, const struct peer *peer)
{
	for (uint32_t i = 1; i <= flow_table_touched(&worker->flows); i++) {
		const struct flow *flow = flow_table_get(&worker->flows, i);
		const struct flow_leg *leg = &flow->leg[peer->leg];
		if (flow->state != FLOW_FREE && leg->peer_port == htons(peer->port) &&
		    leg->local_port == htons(peer->gate_port) && ip_addr_equal(&leg->peer, &peer->addr))
			return flow;
	}
	return NULL;
}

static bool
pick_target(struct target *target)
{
	struct connection *connection = &world.connections[below(world.n_connections)];

	if (!connection->started || world.slots[connection->slot].current != connection->number + 1)
		return false;
	/* A dial is over soon: where there is one, he aims at that. */
	target->leg = connection->bound && !connection->spliced ? LEG_ENDPOINT : below(2);
	if (target->leg == LEG_ENDPOINT && !connection->bound)
		target->leg = LEG_CLIENT;
	target->connection = connection;
	target->device = target->leg == LEG_CLIENT ? RIG_WAN : RIG_LAN;
	target->sender = &connection->peer[target->leg];
	target->receiver = &connection->peer[leg_other(target->leg)];
	target->flow = NULL;
	for (unsigned i = 0; i < world.rig.n_workers && target->flow == NULL; i++) {
		target->worker = &world.rig.workers[i];
		target->flow = find_flow(target->worker, target->sender);
	}
	return true;
}

static bool
is_spliced(const struct target *target)
{
	return target->flow != NULL && target->flow->state == FLOW_SPLICED;
}

static bool
is_bridged(const struct target *target)
{
	return target->flow != NULL && flow_is_bridged(target->flow);
}

/* Whether the gateway has bytes of the client's in a hold. */
static bool
holds(const struct target *target)
{
	return target->flow != NULL && !is_bridged(target) && target->flow->hold != 0;
}

/* A number of the sender's near those in use. */
static uint32_t
near_seq(const struct target *target)
{
	uint32_t next = target->sender->traits.isn + target->sender->highest, spread = below(4) == 0 ? 16 : WINDOW;
	return next + below(2 * spread) - spread;
}

/* Added to a number, takes it out of all windows. */
static uint32_t
far_off(void)
{
	uint32_t distance = FAR_MIN + below(INT32_MAX - FAR_MIN);
	return below(2) == 0 ? distance : 0 - distance;
}

static struct segment
forge(const struct target *target, uint8_t flags)
{
	const struct peer *sender = target->sender;
	struct segment segment = {.source = sender->addr,
				  .destination = sender->gate,
				  .source_port = sender->port,
				  .destination_port = sender->gate_port,
				  .seq = near_seq(target),
				  .ack = (flags & ACK) != 0 ? sender->irs + sender->expected : 0,
				  .window = (uint16_t)below(65536),
				  .flags = flags};

	if (sender->timestamps && (flags & (SYN | RST)) == 0) { /* right by half */
		segment.options_length = peer_wire_timestamps(sender, segment.options, true, world.now_us);
		segment.options[4] ^= (uint8_t)below(256);
	}
	return segment;
}

/* --- what he does ------------------------------------------------------------------------------------------------ */

/* Whether a RST of that number is one that a host would have to obey, or the gateway. */
static bool
reset_is_exact(const struct target *target, const struct segment *segment)
{
	const struct peer *sender = target->sender, *receiver = target->receiver;
	uint32_t offset = segment->seq - sender->traits.isn;

	/* What is under way may end anywhere up to the highest number, and be there when the RST comes. */
	if (offset == sender->una || offset + 1 == receiver->expected ||
	    offset - receiver->expected <= sender->highest - receiver->expected || offset + 1 == sender->highest)
		return true;
	if (target->flow == NULL)
		return false;
	const struct flow_leg *in = &target->flow->leg[target->leg], *out = &target->flow->leg[leg_other(target->leg)];
	if (holds(target)) {
		const struct hold *hold = hold_get(&target->worker->holds, target->flow->hold);
		if (segment->seq == hold->client_isn + 1 + hold->acked ||
		    segment->seq == hold->client_isn + 1 + hold->end)
			return true;
	}
	return in->seq_end - segment->seq <= 1 || out->ack - (segment->seq + in->seq_delta) <= 1;
}

static void
forge_reset(const struct target *target)
{
	struct segment segment = forge(target, below(2) == 0 ? RST : RST | ACK);
	bool dials = target->flow == NULL || target->flow->state == FLOW_CONNECTING ||
		     (is_bridged(target) && !target->connection->spliced);

	if (target->leg == LEG_ENDPOINT && dials) /* its answer to a SYN is told by the acknowledgment */
		segment.ack += 1 + below(WINDOW);
	if (!reset_is_exact(target, &segment))
		world_inject(target->device, &segment);
}

static void
forge_syn(const struct target *target)
{
	struct segment segment = forge(target, below(3) == 0 ? SYN | ACK : SYN);

	segment.ack += far_off();
	if (segment.seq != target->sender->traits.isn) /* it would be the sender's own SYN, with other options */
		world_inject(target->device, &segment);
}

/* Data, a FIN or an acknowledgment. */
static void
forge_data(const struct target *target)
{
	uint8_t junk[JUNK_MAX];
	struct segment segment = forge(target, below(4) == 0 ? ACK | FIN : ACK);

	random_fill(&attacker.random, junk, sizeof(junk));
	segment.payload = junk;
	segment.payload_length = (uint16_t)(below(3) == 0 ? 0 : below(JUNK_MAX));
	/* While bytes are held, repeats may acknowledge (splice.c). */
	unsigned kind = is_bridged(target) ? below(3) : !is_spliced(target) ? 0 : holds(target) ? below(2) : below(3);
	if (kind == 0) {
		segment.ack += far_off();
	} else if (kind == 1) {
		segment.seq += far_off();
	} else { /* a repeat of what was acknowledged, which says that all has arrived */
		const struct flow_leg *in = &target->flow->leg[target->leg],
				      *out = &target->flow->leg[leg_other(target->leg)];
		bool bridged = is_bridged(target);
		segment.seq =
			(bridged ? in->seq_end : out->ack - in->seq_delta) - 2 - segment.payload_length - below(100);
		segment.ack = bridged ? in->edge : out->seq_end + out->seq_delta;
	}
	world_inject(target->device, &segment);
}

/* A good segment in an IPv4 fragment, or one from the gateway itself. */
static void
forge_odd(const struct target *target)
{
	struct segment segment = forge(target, ACK);
	uint8_t frame[RIG_FRAME], *ip = frame + 14;

	if (below(2) == 0) {
		segment.source = segment.destination;
		segment.source_port = segment.destination_port;
		segment.flags = below(2) == 0 ? SYN : ACK;
	}
	uint16_t length = rig_build(&world.rig, target->device, &segment, frame);
	if (segment.source_port == target->sender->port && frame[12] == 8) {
		ip[6] = below(2) == 0 ? 0x20 : 0; /* more fragments, or an offset */
		ip[7] = (uint8_t)(ip[6] == 0 ? 1 + below(255) : below(2));
		ip[10] = ip[11] = 0;
		uint32_t sum = ~rig_sum(0, ip, 20);
		ip[10] = (uint8_t)(sum >> 8);
		ip[11] = (uint8_t)sum;
	} else if (segment.source_port == target->sender->port) {
		return;
	}
	world_inject_frame(target->device, frame, length);
}

static void
forge_icmp(const struct target *target)
{
	static const uint16_t mtus[] = {0, 0, 68, 576, 1280, 1300};
	const struct peer *sender = target->sender;
	struct segment quoted = {.source = sender->gate,
				 .destination = sender->addr,
				 .source_port = sender->gate_port,
				 .destination_port = sender->port,
				 .flags = ACK};
	uint8_t frame[RIG_FRAME], message[ICMP_WIRE_MAX];

	if (target->flow == NULL)
		return;
	const struct flow_leg *path = &target->flow->leg[target->leg],
			      *from = &target->flow->leg[leg_other(target->leg)];
	uint32_t distance = below(2) == 0 ? below(100) : below(1 << 30);
	uint32_t end = is_bridged(target) ? path->edge : from->seq_end + from->seq_delta; /* of what was sent */
	quoted.seq = below(2) == 0 ? path->ack - 1 - distance : end + distance;
	if (quoted.seq == path->ack)
		return;
	rig_build(&world.rig, target->device, &quoted, frame);
	uint16_t mtu = target->flow->state == FLOW_CONNECTING ? 0 : mtus[below(sizeof(mtus) / sizeof(mtus[0]))];
	world_inject_frame(target->device, message, icmp_wire_build(&world.rig, target->device, frame, mtu, message));
}

/* --- neighbours -------------------------------------------------------------------------------------------------- */

static void
claim_by_arp(unsigned device, const struct ip_addr *addr, const struct ip_addr *gate)
{
	bool reply = below(2) == 0, to_gate = below(2) == 0;
	uint8_t frame[42] = {[6] = 2, [11] = CLAIMANT, [12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4};

	memset(frame, 0xff, 6);
	if (to_gate)
		memcpy(frame, world.rig.devices[device].mac, 6);
	frame[21] = reply ? 2 : 1;
	memcpy(frame + 22, frame + 6, 6);
	memcpy(frame + 28, addr->bytes + 12, 4);
	memcpy(frame + 32, frame, 6);
	memcpy(frame + 38, (below(2) == 0 ? addr : gate)->bytes + 12, 4);
	world_inject_frame(device, frame, sizeof(frame));
}

static void
claim_by_nd(unsigned device, const struct ip_addr *addr, const struct ip_addr *gate)
{
	enum { IP = 14, ICMP = IP + 40, LENGTH = ICMP + 32 };
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	bool solicits = below(3) == 0, to_all = !solicits && below(2) == 0;
	uint8_t frame[LENGTH] = {[6] = 2, [11] = CLAIMANT, [12] = 0x86, [13] = 0xdd, [IP] = 0x60};

	memcpy(frame, to_all ? (const uint8_t[6]){0x33, 0x33, 0, 0, 0, 1} : world.rig.devices[device].mac, 6);
	frame[IP + 5] = 32;
	frame[IP + 6] = 58;
	frame[IP + 7] = below(8) == 0 ? 254 : 255;
	memcpy(frame + IP + 8, addr->bytes, 16);
	memcpy(frame + IP + 24, to_all ? all_nodes : gate->bytes, 16);
	frame[ICMP] = solicits ? 135 : 136;
	frame[ICMP + 4] = solicits ? 0 : (uint8_t)((to_all ? 0 : below(2) << 6) | below(2) << 5);
	memcpy(frame + ICMP + 8, (solicits ? gate : addr)->bytes, 16);
	frame[ICMP + 24] = solicits ? 1 : 2;
	frame[ICMP + 25] = 1;
	memcpy(frame + ICMP + 26, frame + 6, 6);
	uint32_t sum = ~rig_sum(rig_sum(58 + 32, frame + IP + 8, 32), frame + ICMP, 32);
	frame[ICMP + 2] = (uint8_t)(sum >> 8);
	frame[ICMP + 3] = (uint8_t)sum;
	world_inject_frame(device, frame, LENGTH);
}

/* Says that a client's or endpoint's address is his, whether the gateway has asked for it or not. */
static void
claim(void)
{
	unsigned device = below(2);
	struct ip_addr addr, gate;

	if (device == RIG_WAN) {
		unsigned slot = below(world.n_slots);
		addr = world.slots[slot].addr;
		gate = world.slots[slot].gate;
	} else {
		addr = world.endpoints[below(world.n_endpoints)].addr;
		gate = rig_addr(ip_addr_is_v4(&addr) ? "198.51.100.1" : "2001:db8:2::1");
	}
	if (ip_addr_is_v4(&addr))
		claim_by_arp(device, &addr, &gate);
	else
		claim_by_nd(device, &addr, &gate);
}

void
attacker_act(void)
{
	static void (*const acts[])(const struct target *) = {forge_reset, forge_reset, forge_syn, forge_data,
							      forge_data,  forge_odd,   forge_icmp};
	struct target target;
	unsigned act = below(sizeof(acts) / sizeof(acts[0]) + 1);

	attacker.left--;
	attacker.due = world.now_us + below(2 * attacker.gap_us) + 1;
	if (act == sizeof(acts) / sizeof(acts[0]))
		claim();
	else if (pick_target(&target))
		acts[act](&target);
}
