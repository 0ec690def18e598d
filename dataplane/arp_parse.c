/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/arp_parse.h"

#include "dataplane/ether.h"
#include "dataplane/load.h"

enum { AT_OPERATION = 7, AT_SENDER_MAC = 8, AT_SENDER = 14, AT_TARGET = 24, REQUEST = 1, REPLY = 2 };

enum reason
arp_parse(const uint8_t *body, struct arp_claim *claim)
{
	/* Hardware Ethernet, protocol IPv4, their lengths, and the upper half of the operation. */
	static const uint8_t fixed[AT_OPERATION] = {0, 1, 8, 0, 6, 4, 0};

	if (memcmp(body, fixed, sizeof(fixed)) != 0)
		return REASON_ARP_MALFORMED;
	if (body[AT_OPERATION] != REQUEST && body[AT_OPERATION] != REPLY)
		return REASON_ARP_MALFORMED;
	memcpy(claim->sender_mac, body + AT_SENDER_MAC, sizeof(claim->sender_mac));
	if (!ether_is_station(claim->sender_mac))
		return REASON_ARP_MALFORMED;
	claim->request = body[AT_OPERATION] == REQUEST;
	claim->sender = ip_addr_from_v4(load_32(body + AT_SENDER));
	claim->target = ip_addr_from_v4(load_32(body + AT_TARGET));
	claim->probe = claim->request && claim->sender.words[3] == 0;
	if (!claim->probe && ip_addr_is_martian(&claim->sender))
		return REASON_IP_MARTIAN;
	return REASON_NONE;
}
