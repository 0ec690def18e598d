/* SPDX-License-Identifier: Apache-2.0 */
/* Frames made by hand, for tests: slow, and with checksums of their own, so that they don't agree with the code under
 * test by being it. */
#ifndef POSTERN_TESTS_UNIT_FRAME_H
#define POSTERN_TESTS_UNIT_FRAME_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/ip_addr.h"

enum { FRAME_MAX = 2048 };

struct frame {
	const char *source, *destination; /* addresses, both of one family */
	const uint8_t *to, *from;         /* MACs */
	uint16_t vlan;                    /* 0: untagged */
	uint8_t protocol, hop_limit;
	const void *body; /* transport header and payload; its checksum is filled in for TCP, ICMP and ICMPv6 */
	uint16_t length;  /* of body */
};

static inline struct ip_addr
frame_addr(const char *text)
{
	struct ip_addr addr;

	if (!ip_addr_parse(text, &addr))
		abort();
	return addr;
}

static inline void
frame_put_16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void
frame_put_32(uint8_t *at, uint32_t value)
{
	frame_put_16(at, (uint16_t)(value >> 16));
	frame_put_16(at + 2, (uint16_t)value);
}

static inline uint32_t
frame_sum(uint32_t sum, const uint8_t *bytes, uint32_t length)
{
	uint32_t i;

	for (i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of a transport header, its payload and the pseudo-header: 0xffff when right. ip: 4 or 6 tells the version. */
static inline uint16_t
frame_transport_sum(const uint8_t *ip, const uint8_t *body, uint32_t length, uint8_t protocol)
{
	uint32_t sum = 0;

	if (protocol != 1) {
		sum = ip[0] >> 4 == 4 ? frame_sum(0, ip + 12, 8) : frame_sum(0, ip + 8, 32);
		sum += protocol + length;
	}
	return (uint16_t)frame_sum(sum, body, length);
}

/* Fills the checksums of the IP header at l3 and of what follows it, as they should be over the bytes as they are. */
static inline void
frame_fix(uint8_t *bytes, uint32_t l3)
{
	uint8_t *ip = bytes + l3, *body, protocol;
	uint32_t length, at;

	if (ip[0] >> 4 == 4) {
		body = ip + 20;
		protocol = ip[9];
		length = (uint32_t)(ip[2] << 8 | ip[3]) - 20;
		frame_put_16(ip + 10, 0);
		frame_put_16(ip + 10, (uint16_t)~frame_sum(0, ip, 20));
	} else {
		body = ip + 40;
		protocol = ip[6];
		length = (uint32_t)(ip[4] << 8 | ip[5]);
	}
	at = protocol == 6 ? 16 : 2;
	if ((protocol != 6 && protocol != 1 && protocol != 58) || length < at + 2)
		return;
	frame_put_16(body + at, 0);
	frame_put_16(body + at, (uint16_t)~frame_transport_sum(ip, body, length, protocol));
}

/* Writes the frame; returns its length. */
static inline uint32_t
frame_write(const struct frame *frame, uint8_t bytes[FRAME_MAX])
{
	struct ip_addr source = frame_addr(frame->source), destination = frame_addr(frame->destination);
	bool v4 = ip_addr_is_v4(&source);
	uint32_t l3 = 12;
	uint8_t *ip;

	memcpy(bytes, frame->to, 6);
	memcpy(bytes + 6, frame->from, 6);
	if (frame->vlan) {
		frame_put_16(bytes + 12, 0x8100);
		frame_put_16(bytes + 14, frame->vlan);
		l3 = 16;
	}
	frame_put_16(bytes + l3, v4 ? 0x0800 : 0x86dd);
	l3 += 2;
	ip = bytes + l3;
	memset(ip, 0, 40);
	if (v4) {
		ip[0] = 0x45;
		frame_put_16(ip + 2, (uint16_t)(20 + frame->length));
		ip[6] = 0x40;
		ip[8] = frame->hop_limit;
		ip[9] = frame->protocol;
		memcpy(ip + 12, &source.words[3], 4);
		memcpy(ip + 16, &destination.words[3], 4);
	} else {
		ip[0] = 0x60;
		frame_put_16(ip + 4, frame->length);
		ip[6] = frame->protocol;
		ip[7] = frame->hop_limit;
		memcpy(ip + 8, source.bytes, 16);
		memcpy(ip + 24, destination.bytes, 16);
	}
	memcpy(ip + (v4 ? 20 : 40), frame->body, frame->length);
	frame_fix(bytes, l3);
	return l3 + (v4 ? 20 : 40) + frame->length;
}

/* A TCP header of length bytes, 20..60, its options NOPs. */
static inline void
frame_tcp(uint8_t *tcp, uint16_t source, uint16_t destination, uint32_t seq, uint32_t ack, uint8_t flags,
	  uint8_t length)
{
	memset(tcp, 0, 20);
	memset(tcp + 20, 1, length - 20u);
	frame_put_16(tcp, source);
	frame_put_16(tcp + 2, destination);
	frame_put_32(tcp + 4, seq);
	frame_put_32(tcp + 8, ack);
	tcp[12] = (uint8_t)(length / 4 << 4);
	tcp[13] = flags;
	frame_put_16(tcp + 14, 0xfde8);
}

#endif
