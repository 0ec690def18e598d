/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nd_parse.h"

#include <string.h>

#include "dataplane/nd.h"
#include "dataplane/packet.h"

enum {
	HEADER = 24,     /* of a message, before its options */
	OPTION_UNIT = 8, /* what an option's length counts; a link-layer address option for Ethernet takes one */
	HOP_LIMIT = 255,
	SOURCE_MAC = 1,
	TARGET_MAC = 2
};

struct ip_addr
nd_solicited_node(const struct ip_addr *addr)
{
	return (struct ip_addr){
		.bytes = {0xff, 0x02, [11] = 1, 0xff, addr->bytes[13], addr->bytes[14], addr->bytes[15]}};
}

static bool
is_unspecified(const struct ip_addr *addr)
{
	return addr->longs[0] == 0 && addr->longs[1] == 0;
}

/* Walks the options from at to end of frame. *mac is the offset of the first link-layer address of that kind, or 0.
 * False when one has no length, or a wrong one. */
static bool
parse_options(const uint8_t *frame, uint32_t at, uint32_t end, uint8_t kind, uint16_t *mac)
{
	*mac = 0;
	while (at < end) {
		if (end - at < 2)
			return false;
		uint32_t length = frame[at + 1] * (uint32_t)OPTION_UNIT;
		if (length == 0 || length > end - at)
			return false;
		if (frame[at] == kind && *mac == 0) {
			if (length != OPTION_UNIT)
				return false;
			*mac = (uint16_t)(at + 2);
		}
		at += length;
	}
	return true;
}

enum reason
nd_parse(const uint8_t *frame, const struct packet *packet, struct nd *nd)
{
	const uint8_t *message = frame + packet->l4;
	const struct ip_addr *destination = &packet->destination;

	nd->type = message[0];
	if (nd->type != ND_SOLICITATION && nd->type != ND_ADVERTISEMENT)
		return REASON_ND_UNSOLICITED;
	if (packet->hop_limit != HOP_LIMIT || message[1] != 0 || packet->l4_length < HEADER)
		return REASON_ND_MALFORMED;
	if (!parse_options(frame, packet->l4 + (uint32_t)HEADER, packet->l4 + (uint32_t)packet->l4_length,
			   nd->type == ND_SOLICITATION ? SOURCE_MAC : TARGET_MAC, &nd->mac))
		return REASON_ND_MALFORMED;
	nd->flags = message[4];
	memcpy(nd->target.bytes, message + 8, sizeof(nd->target.bytes));
	if (ip_addr_is_martian(&nd->target) || ip_addr_is_v4(&nd->target))
		return REASON_ND_MALFORMED;
	nd->probe = is_unspecified(&packet->source);
	if (nd->type == ND_ADVERTISEMENT) {
		if (nd->probe || (destination->bytes[0] == 0xff && (nd->flags & ND_FLAG_SOLICITED) != 0))
			return REASON_ND_MALFORMED;
		return REASON_NONE;
	}
	struct ip_addr group = nd_solicited_node(&nd->target);
	if (nd->probe && (nd->mac != 0 || !ip_addr_equal(destination, &group)))
		return REASON_ND_MALFORMED;
	return REASON_NONE;
}
