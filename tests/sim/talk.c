/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/talk.h"

#include "dataplane/dial.h"
#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"

uint32_t
talk_get_32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void
talk_put_32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

void
talk_init(struct talk *talk, struct rig *rig, bool client_v6, bool endpoint_v6)
{
	struct talk_side modern = {.window = 65535, .mss = 1460, .wscale = 7, .sack = true, .timestamps = true};

	*talk = (struct talk){.rig = rig, .side = {modern, modern}};
	struct talk_side *client = &talk->side[LEG_CLIENT], *endpoint = &talk->side[LEG_ENDPOINT];
	client->device = RIG_WAN;
	client->addr = rig_addr(client_v6 ? "2001:db8:1::2" : "192.0.2.2");
	client->gate = rig_addr(client_v6 ? "2001:db8:1::1" : "192.0.2.1");
	client->port = 50000;
	client->gate_port = 443;
	client->seq = 1000000;
	client->tsval = 7000000;
	endpoint->device = RIG_LAN;
	endpoint->addr = rig_addr(endpoint_v6 ? "2001:db8:2::10" : "198.51.100.10");
	endpoint->gate = rig_addr(endpoint_v6 ? "2001:db8:2::1" : "198.51.100.1");
	endpoint->port = 8443;
	endpoint->seq = 3000000;
	endpoint->tsval = 9000000;
	rig->dials[0].addr = endpoint->addr;
	rig->hello_length = TALK_HELLO;
}

void
talk_pattern(uint32_t seq, uint8_t *bytes, uint16_t length)
{
	for (uint16_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)((seq + i) * 2654435761u >> 24);
}

static uint8_t
write_options(const struct talk_side *side, bool syn, uint8_t *out)
{
	uint8_t *at = out;

	if (syn && side->mss != 0) {
		memcpy(at, (const uint8_t[4]){2, 4, (uint8_t)(side->mss >> 8), (uint8_t)side->mss}, 4);
		at += 4;
	}
	if (syn && side->wscale != TCP_WSCALE_NONE) {
		memcpy(at, (const uint8_t[4]){3, 3, side->wscale, 1}, 4);
		at += 4;
	}
	if (syn && side->sack) {
		memcpy(at, (const uint8_t[4]){4, 2, 1, 1}, 4);
		at += 4;
	}
	if (syn ? side->timestamps : side->timestamps_on) {
		memcpy(at, (const uint8_t[4]){1, 1, 8, 10}, 4);
		talk_put_32(at + 4, side->tsval);
		talk_put_32(at + 8, side->tsecr);
		at += 12;
	}
	return (uint8_t)(at - out);
}

struct segment
talk_segment(const struct talk *talk, unsigned leg, uint8_t flags)
{
	const struct talk_side *side = &talk->side[leg];
	struct segment segment = {
		.source = side->addr,
		.destination = side->gate,
		.source_port = side->port,
		.destination_port = side->gate_port,
		.seq = side->seq,
		.ack = (flags & TCP_ACK) != 0 ? side->ack : 0,
		.window = side->window,
		.flags = flags,
	};
	if ((flags & TCP_RST) == 0)
		segment.options_length = write_options(side, (flags & TCP_SYN) != 0, segment.options);
	return segment;
}

void
talk_say(struct talk *talk, unsigned leg, uint8_t flags, const uint8_t *payload, uint16_t length)
{
	struct segment segment = talk_segment(talk, leg, flags);
	uint8_t bytes[RIG_FRAME];

	if (payload == NULL)
		talk_pattern(segment.seq, bytes, length);
	segment.payload = payload == NULL ? bytes : payload;
	segment.payload_length = length;
	talk->side[leg].seq += length + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
	rig_receive(talk->rig, talk->side[leg].device, &segment);
}

const uint8_t *
talk_option(const struct segment *segment, uint8_t kind)
{
	const uint8_t *options = segment->options;

	for (uint8_t at = 0; at < segment->options_length && options[at] != 0;) {
		if (options[at] == kind)
			return options + at;
		at = (uint8_t)(at + (options[at] == 1 ? 1 : options[at + 1]));
	}
	return NULL;
}

bool
talk_hear(struct talk *talk, unsigned leg)
{
	struct talk_side *side = &talk->side[leg];
	const struct segment *heard = &talk->heard;

	if (!rig_next(talk->rig, side->device, &talk->heard, talk->frame))
		return false;
	if (!ip_addr_equal(&heard->source, &side->gate) || !ip_addr_equal(&heard->destination, &side->addr) ||
	    heard->destination_port != side->port || (side->gate_port != 0 && heard->source_port != side->gate_port))
		return false;
	if ((heard->flags & TCP_RST) != 0 || heard->seq != side->ack)
		return true;
	const uint8_t *timestamps = talk_option(heard, 8);
	if (timestamps != NULL)
		side->tsecr = talk_get_32(timestamps + 2);
	side->ack += heard->payload_length + ((heard->flags & TCP_FIN) != 0);
	return true;
}

bool
talk_hear_exactly(struct talk *talk, unsigned leg, uint8_t flags, uint16_t length)
{
	uint32_t expected = talk->side[leg].ack;

	return talk_hear(talk, leg) && talk->heard.flags == flags && talk->heard.seq == expected &&
	       talk->heard.payload_length == length && talk->heard.ack == talk->side[leg].seq;
}

bool
talk_hear_reset(struct talk *talk, unsigned leg)
{
	return talk_hear(talk, leg) && (talk->heard.flags & TCP_RST) != 0 && talk->heard.seq == talk->side[leg].ack;
}

bool
talk_silent(const struct talk *talk)
{
	return rig_waiting(talk->rig, RIG_WAN) == 0 && rig_waiting(talk->rig, RIG_LAN) == 0;
}

bool
talk_open(struct talk *talk)
{
	struct talk_side *client = &talk->side[LEG_CLIENT];

	talk_say(talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	if (!talk_hear(talk, LEG_CLIENT) || talk->heard.flags != (TCP_SYN | TCP_ACK) || talk->heard.ack != client->seq)
		return false;
	client->ack = talk->heard.seq + 1;
	const uint8_t *timestamps = talk_option(&talk->heard, 8);
	client->timestamps_on = timestamps != NULL;
	client->tsecr = timestamps == NULL ? 0 : talk_get_32(timestamps + 2);
	if (talk->far)
		rig_advance(talk->rig, DIAL_FAR_MS);
	talk_say(talk, LEG_CLIENT, TCP_ACK, NULL, 0);
	return true;
}

void
talk_hello(struct talk *talk)
{
	talk_say(talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, TALK_HELLO);
}

bool
talk_hear_one_syn(struct talk *talk)
{
	struct talk_side *endpoint = &talk->side[LEG_ENDPOINT];

	endpoint->gate_port = 0;
	if (!talk_hear(talk, LEG_ENDPOINT) || talk->heard.flags != TCP_SYN)
		return false;
	endpoint->gate_port = talk->heard.source_port;
	endpoint->ack = talk->heard.seq + 1;
	const uint8_t *timestamps = talk_option(&talk->heard, 8);
	endpoint->timestamps = endpoint->timestamps && timestamps != NULL;
	if (timestamps != NULL)
		endpoint->tsecr = talk_get_32(timestamps + 2);
	return true;
}

bool
talk_hear_syn(struct talk *talk)
{
	if (!talk_hear_one_syn(talk))
		return false;
	if (!talk->far && talk->side[LEG_CLIENT].timestamps_on)
		return true;
	/* Unless the client is known to be near, it comes twice. */
	uint32_t isn = talk->heard.seq;
	return talk_hear(talk, LEG_ENDPOINT) && talk->heard.flags == TCP_SYN && talk->heard.seq == isn;
}

void
talk_answer(struct talk *talk)
{
	talk_say(talk, LEG_ENDPOINT, TCP_SYN | TCP_ACK, NULL, 0);
	talk->side[LEG_ENDPOINT].timestamps_on = talk->side[LEG_ENDPOINT].timestamps;
}

bool
talk_connect(struct talk *talk)
{
	if (!talk_open(talk))
		return false;
	talk_hello(talk);
	if (!talk_hear_syn(talk))
		return false;
	talk_answer(talk);
	return talk_hear_exactly(talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, TALK_HELLO);
}

bool
talk_exchange(struct talk *talk, uint16_t length)
{
	for (unsigned leg = LEG_ENDPOINT; leg < LEG_COUNT; leg--) {
		talk_say(talk, leg, TCP_ACK | TCP_PSH, NULL, length);
		uint8_t expected[RIG_FRAME];
		talk_pattern(talk->side[leg].seq - length, expected, length);
		if (!talk_hear_exactly(talk, leg_other(leg), TCP_ACK | TCP_PSH, length) ||
		    memcmp(talk->heard.payload, expected, length) != 0)
			return false;
		talk_say(talk, leg_other(leg), TCP_ACK, NULL, 0);
		if (!talk_hear_exactly(talk, leg, TCP_ACK, 0))
			return false;
	}
	return true;
}

bool
talk_close(struct talk *talk, unsigned first)
{
	for (unsigned i = 0; i < LEG_COUNT; i++) {
		unsigned leg = i == 0 ? first : leg_other(first);
		talk_say(talk, leg, TCP_ACK | TCP_FIN, NULL, 0);
		if (!talk_hear_exactly(talk, leg_other(leg), TCP_ACK | TCP_FIN, 0))
			return false;
		talk_say(talk, leg_other(leg), TCP_ACK, NULL, 0);
		if (!talk_hear_exactly(talk, leg, TCP_ACK, 0))
			return false;
	}
	rig_advance(talk->rig, talk->rig->conf.flow.close_linger_ms + 16);
	return rig_is_empty(talk->rig);
}

struct flow *
talk_flow(const struct talk *talk)
{
	struct flow_table *flows = &talk->rig->worker.flows;
	struct flow *found = NULL;

	for (uint32_t i = 1; i <= flow_table_touched(flows); i++)
		if (flow_table_get(flows, i)->state != FLOW_FREE) {
			if (found != NULL)
				return NULL;
			found = flow_table_get(flows, i);
		}
	return found;
}
