/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_parse over any bytes. The first byte of an input says how the device delivered the frame (bit 0: checksummed,
 * bit 1: with a stripped tag), the rest is the frame, parsed in a copy of its exact size. What the parser says of a
 * frame is checked against the frame by arithmetic of the target's own.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet.h"
#include "tests/unit/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_ip(const uint8_t *frame, uint32_t length, const struct packet *packet)
{
	const uint8_t *source = frame + packet->l3 + (packet->v4 ? 12 : 8);
	uint32_t skip = packet->v4 ? 12 : 0;

	check(packet->l3 == 14 || packet->l3 == 18);
	check(packet->l4 == packet->l3 + (packet->v4 ? 20 : 40));
	check((uint32_t)packet->l4 + packet->l4_length <= length);
	check(ip_addr_is_v4(&packet->source) == packet->v4 && ip_addr_is_v4(&packet->destination) == packet->v4);
	check(memcmp(packet->source.bytes + skip, source, 16 - skip) == 0);
	check(memcmp(packet->destination.bytes + skip, source + 16 - skip, 16 - skip) == 0);
	if (packet->v4)
		check(frame_sum(0, frame + packet->l3, 20) == 0xffff);
}

static void
check_tcp(const uint8_t *frame, bool checksummed, const struct packet *packet)
{
	const uint8_t *ip = frame + packet->l3, *tcp = frame + packet->l4;

	check(packet->payload == packet->l4 + 20 + packet->options_length);
	check(packet->options_length <= 40 && packet->options_length % 4 == 0);
	check(20 + packet->options_length + packet->payload_length == packet->l4_length);
	check(packet->source_port != 0 && packet->destination_port != 0);
	check(packet->flags == tcp[13]);
	check(checksummed || frame_transport_sum(ip, tcp, packet->l4_length, 6) == 0xffff);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet packet;
	uint32_t length;
	uint8_t *frame;

	if (size < 1 || size > 65536)
		return 0;
	length = (uint32_t)size - 1;
	frame = malloc(length ? length : 1);
	if (frame == NULL)
		return 0;
	memcpy(frame, data + 1, length);
	memset(&packet, 0xa5, sizeof(packet));
	packet_parse(frame, length, length, data[0] & 1, data[0] & 2 ? 7 : PACKET_NO_TAG, &packet);

	switch (packet.kind) {
	case PACKET_BAD:
		check(packet.reason != REASON_NONE && packet.reason < REASON_COUNT);
		break;
	case PACKET_ARP:
		check(packet.l3 + 28u <= length);
		break;
	case PACKET_TCP:
		check_ip(frame, length, &packet);
		check_tcp(frame, data[0] & 1, &packet);
		break;
	case PACKET_ICMP:
	case PACKET_ICMP6:
		check_ip(frame, length, &packet);
		check(packet.l4_length >= 8);
		check(frame_transport_sum(frame + packet.l3, frame + packet.l4, packet.l4_length,
					  packet.kind == PACKET_ICMP ? 1 : 58) == 0xffff);
		break;
	case PACKET_OTHER:
		check_ip(frame, length, &packet);
		break;
	default:
		abort();
	}
	free(frame);
	return 0;
}
