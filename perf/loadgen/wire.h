/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP over IPv4 over Ethernet: received frames taken apart, segments built. Neither knows of connections.
 *
 * This is code of the generator's own, so that it doesn't agree with what it measures by being it.
 */
#ifndef POSTERN_PERF_LOADGEN_WIRE_H
#define POSTERN_PERF_LOADGEN_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "perf/loadgen/stream.h"

struct link;

enum { WIRE_FIN = 1, WIRE_SYN = 2, WIRE_RST = 4, WIRE_PSH = 8, WIRE_ACK = 16 };
enum { WIRE_HEADERS = 54, WIRE_TIMESTAMPS = 12 }; /* bytes, without options; of that option and its padding */

enum wire_kind {
	WIRE_TCP,
	WIRE_ARP,
	WIRE_FOREIGN, /* something else */
	WIRE_DAMAGED  /* lengths or a checksum are wrong */
};

/* A received segment. Addresses and ports in network order, the rest in the host's. */
struct segment {
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint32_t tsval;
	uint16_t window, length; /* unscaled; of the payload */
	uint16_t mss;            /* of a SYN; 536 without the option */
	uint8_t wscale;          /* of a SYN, 0 without the option */
	uint8_t flags;
	bool timestamps, scales; /* options that it has */
	const uint8_t *payload;
};

/* Takes frame apart. verify: checks IP's and TCP's checksums too. */
enum wire_kind wire_parse(const uint8_t *frame, uint32_t length, bool verify, struct segment *segment);

/* A segment to be sent. */
struct wire_out {
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	bool timestamps;
	uint32_t tsval, tsecr;
	uint16_t mss;    /* in a SYN */
	uint8_t wscale;  /* in a SYN */
	uint32_t length; /* payload: this many bytes of stream, of the connection with this stamp, from this position */
	uint32_t at, stamp;
	const struct stream *stream;
};

/* Builds the frame and gives it to the link. False when there was no packet for it. */
bool wire_send(struct link *link, const struct wire_out *out);

#endif
