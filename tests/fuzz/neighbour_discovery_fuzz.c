/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP packets and neighbour discovery messages, as any station of the network can send them.
 *
 * Input: a byte of flags, then the ARP packet, or the ICMPv6 message, in a copy of its exact size. Flags: ARP; hop
 * limit 255; source unspecified; destination: a group, or the solicited-node group of the target. What is believed is
 * held against the bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/arp.h"
#include "dataplane/arp_parse.h"
#include "dataplane/nd.h"
#include "dataplane/nd_parse.h"
#include "dataplane/packet.h"

enum { IS_ARP = 1, HOP_LIMIT = 2, UNSPECIFIED = 4, GROUP = 8, SOLICITED_NODE = 16, L4 = 54, LENGTH_MAX = 1500 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
run_arp(const uint8_t *body, size_t length)
{
	struct arp_claim claim;

	if (length < ARP_LENGTH || arp_parse(body, &claim) != REASON_NONE)
		return;
	require(body[1] == 1 && body[2] == 8 && body[4] == 6 && body[5] == 4);
	require(claim.request == (body[7] == 1));
	require((claim.sender_mac[0] & 1) == 0 && memcmp(claim.sender_mac, body + 8, 6) == 0);
	require(ip_addr_is_v4(&claim.sender) && memcmp(claim.sender.bytes + 12, body + 14, 4) == 0);
	require(ip_addr_is_v4(&claim.target) && memcmp(claim.target.bytes + 12, body + 24, 4) == 0);
	require(!claim.probe || claim.request);
	require(claim.probe || !ip_addr_is_martian(&claim.sender));
}

static void
run_nd(uint8_t flags, const uint8_t *message, uint16_t length)
{
	struct packet packet = {.kind = PACKET_ICMP6,
				.l3 = 14,
				.l4 = L4,
				.l4_length = length,
				.hop_limit = (flags & HOP_LIMIT) != 0 ? 255 : 254,
				.source = {.bytes = {0xfe, 0x80, [15] = 9}},
				.destination = {.bytes = {0xfe, 0x80, [15] = 1}}};
	uint8_t *frame = malloc(L4 + (size_t)length);
	struct nd nd;

	if (frame == NULL)
		abort();
	memset(frame, 0, L4);
	memcpy(frame + L4, message, length);
	if ((flags & UNSPECIFIED) != 0)
		memset(&packet.source, 0, sizeof(packet.source));
	if ((flags & GROUP) != 0)
		packet.destination = (struct ip_addr){.bytes = {0xff, 2, [15] = 1}};
	if ((flags & SOLICITED_NODE) != 0 && length >= 24) {
		struct ip_addr target;
		memcpy(target.bytes, message + 8, 16);
		packet.destination = nd_solicited_node(&target);
	}
	memset(&nd, 0xa5, sizeof(nd));
	if (nd_parse(frame, &packet, &nd) == REASON_NONE) {
		require(packet.hop_limit == 255 && length >= 24 && message[1] == 0);
		require(nd.type == message[0] && (nd.type == ND_SOLICITATION || nd.type == ND_ADVERTISEMENT));
		require(memcmp(nd.target.bytes, message + 8, 16) == 0 && nd.target.bytes[0] != 0xff);
		require(nd.probe == ((flags & UNSPECIFIED) != 0));
		require(!nd.probe || (nd.type == ND_SOLICITATION && nd.mac == 0 && (flags & SOLICITED_NODE) != 0));
		require(nd.mac == 0 || (nd.mac >= L4 + 26 && nd.mac + 6u <= L4 + (uint32_t)length));
		require(nd.mac == 0 ||
			(frame[nd.mac - 2] == (nd.type == ND_SOLICITATION ? 1 : 2) && frame[nd.mac - 1] == 1));
	}
	free(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > LENGTH_MAX)
		return 0;
	if ((data[0] & IS_ARP) != 0)
		run_arp(data + 1, size - 1);
	else if (size >= 9) /* packet_parse lets nothing shorter pass */
		run_nd(data[0], data + 1, (uint16_t)(size - 1));
	return 0;
}
