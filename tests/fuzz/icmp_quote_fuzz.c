/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ICMP errors quote. Input: a byte (bit 0: IPv4), then the ICMP message, in a copy of its exact size. A quote that
 * is accepted is held against the bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/icmp_quote.h"
#include "dataplane/net.h"
#include "dataplane/packet.h"

enum { LENGTH_MAX = 1500, IS_V4 = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net net;

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
open_net(void)
{
	static struct conf conf = {.n_ports = 1, .ports = {{.mtu = 1500, .n_addresses = 2}}};
	static struct device device;
	struct device *devices[] = {&device}, *taps[] = {NULL};

	require(ip_prefix_parse("192.0.2.1/24", &conf.ports[0].addresses[0]));
	require(ip_prefix_parse("2001:db8::1/64", &conf.ports[0].addresses[1]));
	net_init(&net, &conf, devices, taps);
}

static void
check(const uint8_t *frame, const struct packet *packet, const struct icmp_quote *quote)
{
	uint16_t header = packet->v4 ? 20 : 40;
	const uint8_t *ip = frame + quote->l3, *tcp = frame + quote->l4;

	require(quote->l3 == packet->l4 + 8 && quote->l4 == quote->l3 + header);
	require(quote->l4_length >= 8 && quote->l4 + quote->l4_length == packet->l4 + packet->l4_length);
	require(quote->error <= ICMP_TIME_EXCEEDED && quote->code == frame[packet->l4 + 1]);
	require(quote->mtu == 0 || quote->error == ICMP_TOO_BIG);
	require(ip_addr_equal(&net.addresses[quote->local_addr].addr, &packet->destination));
	require(ip_addr_is_v4(&quote->peer) == packet->v4);
	require(memcmp(quote->peer.bytes + (packet->v4 ? 12 : 0), ip + (packet->v4 ? 16 : 24), packet->v4 ? 4 : 16) ==
		0);
	require(ip[packet->v4 ? 9 : 6] == 6);
	require(memcmp(&quote->local_port, tcp, 2) == 0 && memcmp(&quote->peer_port, tcp + 2, 2) == 0);
	require(quote->seq == ((uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet packet = {.l3 = 14};
	struct icmp_quote quote;

	if (size < 9 || size > LENGTH_MAX)
		return 0;
	if (net.n_addresses == 0)
		open_net();
	packet.v4 = (data[0] & IS_V4) != 0;
	packet.kind = packet.v4 ? PACKET_ICMP : PACKET_ICMP6;
	packet.l4 = packet.v4 ? 34 : 54;
	packet.l4_length = (uint16_t)(size - 1);
	packet.destination = net.addresses[packet.v4 ? 0 : 1].addr;
	uint8_t *frame = malloc(packet.l4 + size - 1);
	if (frame == NULL)
		abort();
	memset(frame, 0, packet.l4);
	memcpy(frame + packet.l4, data + 1, size - 1);
	memset(&quote, 0xa5, sizeof(quote));
	if (icmp_quote_parse(&net, frame, &packet, &quote))
		check(frame, &packet, &quote);
	free(frame);
	return 0;
}
