/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/icmp_wire.h"

#include <arpa/inet.h>

enum { ETHERNET = 14, ROUTER = 200, QUOTE = 8 };

static void
put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t
get_16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
get_32(const uint8_t *at)
{
	return (uint32_t)get_16(at) << 16 | get_16(at + 2);
}

static bool
is_v4(const uint8_t *frame)
{
	return get_16(frame + 12) == 0x0800;
}

bool
icmp_wire_is(const uint8_t *frame)
{
	return frame[ETHERNET + (is_v4(frame) ? 9 : 6)] == (is_v4(frame) ? 1 : 58);
}

/* The sum that an ICMPv6 message begins with. */
static uint32_t
pseudo_sum(const uint8_t *ip, uint16_t length)
{
	return rig_sum(58u + length, ip + 8, 32);
}

uint16_t
icmp_wire_build(const struct rig *rig, unsigned device, const uint8_t *frame, uint16_t mtu,
		uint8_t answer[ICMP_WIRE_MAX])
{
	bool v4 = is_v4(frame);
	const uint8_t *quoted = frame + ETHERNET;
	uint16_t header = v4 ? 20 : 40;
	uint16_t length = (uint16_t)(8 + header + QUOTE);
	uint8_t *ip = answer + ETHERNET, *icmp = ip + header;

	memset(answer, 0, ICMP_WIRE_MAX);
	memcpy(answer, rig->devices[device].mac, 6);
	memcpy(answer + 6, (const uint8_t[6]){2, 0, 0, 0, 0, ROUTER}, 6);
	put_16(answer + 12, v4 ? 0x0800 : 0x86dd);
	memcpy(icmp + 8, quoted, header + QUOTE);
	if (v4) {
		memcpy(ip, (const uint8_t[10]){0x45, 0, 0, 0, 0, 0, 0, 0, 61, 1}, 10);
		put_16(ip + 2, 20u + length);
		memcpy(ip + 12, quoted + 12, 3); /* the router is on the same network */
		ip[15] = ROUTER;
		memcpy(ip + 16, quoted + 12, 4);
		put_16(ip + 10, ~rig_sum(0, ip, 20));
		icmp[0] = 3;
		icmp[1] = mtu != 0 ? 4 : 1;
		put_16(icmp + 6, mtu);
		put_16(icmp + 2, ~rig_sum(0, icmp, length));
	} else {
		ip[0] = 0x60;
		put_16(ip + 4, length);
		ip[6] = 58;
		ip[7] = 61;
		memcpy(ip + 8, quoted + 8, 15);
		ip[23] = ROUTER;
		memcpy(ip + 24, quoted + 8, 16);
		icmp[0] = mtu != 0 ? 2 : 1;
		icmp[1] = 0;
		put_16(icmp + 6, mtu);
		put_16(icmp + 2, ~rig_sum(pseudo_sum(ip, length), icmp, length));
	}
	return (uint16_t)(ETHERNET + header + length);
}

bool
icmp_wire_parse(const uint8_t *frame, uint16_t length, struct icmp_wire_error *error)
{
	bool v4 = is_v4(frame);
	uint16_t header = v4 ? 20 : 40;
	const uint8_t *ip = frame + ETHERNET, *icmp = ip + header, *quoted = icmp + 8, *tcp = quoted + header;

	if (length < ETHERNET + 2 * header + 8 + QUOTE)
		return false;
	uint16_t l4 = (uint16_t)(length - ETHERNET - header);
	error->checksum_good =
		rig_sum(v4 ? 0 : pseudo_sum(ip, l4), icmp, l4) == 0xffff && (!v4 || rig_sum(0, ip, 20) == 0xffff);
	if (v4 ? icmp[0] != 3 || icmp[1] != 4 : icmp[0] != 2)
		return false;
	if (v4) {
		error->sender = ip_addr_from_v4(htonl(get_32(ip + 12)));
		error->peer = ip_addr_from_v4(htonl(get_32(quoted + 12)));
		error->gate = ip_addr_from_v4(htonl(get_32(quoted + 16)));
	} else {
		memcpy(error->sender.bytes, ip + 8, 16);
		memcpy(error->peer.bytes, quoted + 8, 16);
		memcpy(error->gate.bytes, quoted + 24, 16);
	}
	error->peer_port = get_16(tcp);
	error->gate_port = get_16(tcp + 2);
	error->seq = get_32(tcp + 4);
	error->mtu = get_16(icmp + 6);
	error->mss = (uint16_t)(error->mtu > header + 20u ? error->mtu - header - 20u : 0);
	return true;
}
