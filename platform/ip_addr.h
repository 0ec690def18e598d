/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses, one shape for both families.
 *
 * An address is 16 bytes in network order; IPv4 is held IPv4-mapped (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that
 * keys, tables and comparisons need no second case. The data plane decides the family by ip_addr_is_v4 alone.
 */
#ifndef POSTERN_PLATFORM_IP_ADDR_H
#define POSTERN_PLATFORM_IP_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	union {
		uint8_t bytes[16];
		uint16_t halves[8];
		uint32_t words[4]; /* network order; IPv4 lives in words[3] */
		uint64_t longs[2];
	};
};

/* An address and how many of its leading bits count: 0..32 for IPv4, 0..128 for IPv6. */
struct ip_prefix {
	struct ip_addr addr;
	uint8_t length;
};

enum {
	IP_ADDR_TEXT_MAX = 46,    /* bytes, the NUL included: INET6_ADDRSTRLEN */
	IP_PREFIX_TEXT_MAX = 50,  /* "/128" more */
	IP_ENDPOINT_TEXT_MAX = 56 /* "[…]:65535" more */
};

static inline bool
ip_addr_is_v4(const struct ip_addr *addr)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return addr->longs[0] == 0 && (uint32_t)addr->longs[1] == 0xffff0000u;
#else
	return addr->longs[0] == 0 && addr->longs[1] >> 32 == 0xffff;
#endif
}

static inline bool
ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->longs[0] == b->longs[0] && a->longs[1] == b->longs[1];
}

/* From an IPv4 address as it stands in a packet (network order). */
static inline struct ip_addr
ip_addr_from_v4(uint32_t network_order)
{
	/* Two whole stores: what is read back as 64 bits must have been written so, or the processor waits. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (struct ip_addr){.longs = {0, (uint64_t)network_order << 32 | 0xffff0000u}};
#else
	return (struct ip_addr){.longs = {0, UINT64_C(0xffff) << 32 | network_order}};
#endif
}

/* Dotted quad or RFC 4291 text; no zone, no brackets, no surrounding space. An IPv4-mapped IPv6 text is refused: it
 * would be another spelling of an IPv4 address. Returns false, and leaves *addr alone, on anything else. */
bool ip_addr_parse(const char *text, struct ip_addr *addr);

/* RFC 5952 text. Returns buffer. */
const char *ip_addr_format(const struct ip_addr *addr, char buffer[IP_ADDR_TEXT_MAX]);

/* "ADDR/LENGTH". Host bits may be set: 192.0.2.1/24 is an interface address. False on anything else. */
bool ip_prefix_parse(const char *text, struct ip_prefix *prefix);

const char *ip_prefix_format(const struct ip_prefix *prefix, char buffer[IP_PREFIX_TEXT_MAX]);

/* "192.0.2.1:443" or "[2001:db8::1]:443"; port in host order. */
const char *ip_endpoint_format(const struct ip_addr *addr, uint16_t port, char buffer[IP_ENDPOINT_TEXT_MAX]);

/* The same, read: a port of 0..65535 without leading zeroes, IPv6 in brackets. False on anything else. */
bool ip_endpoint_parse(const char *text, struct ip_addr *addr, uint16_t *port);

/* Whether addr is of prefix's family and its leading bits agree. */
bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_addr *addr);

/* True for what can be nobody's unicast source or destination: unspecified, multicast, IPv4 limited broadcast and
 * 0.0.0.0/8, loopback (RFC 1122 section 3.2.1.3, RFC 4291 section 2). */
bool ip_addr_is_martian(const struct ip_addr *addr);

#endif
