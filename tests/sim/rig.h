/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker on a bench: the real data plane between two simulated devices, under a clock that the caller turns.
 *
 *   client side: device 0, port "wan", 192.0.2.1/24, 2001:db8:1::1/64      clients are 192.0.2.2…, 2001:db8:1::2…
 *   endpoint side: device 1, port "lan", 198.51.100.1/24, 2001:db8:2::1/64
 *
 * What the worker transmits lands in a queue of each device, from which the caller takes it. Frames are built and taken apart here by code
 * of the rig's own, not by the data plane's, checksums included: a mistake made in both would have to be made twice.
 */
#ifndef POSTERN_TESTS_SIM_RIG_H
#define POSTERN_TESTS_SIM_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"

enum { RIG_WAN, RIG_LAN, RIG_DEVICES, RIG_QUEUE = 4096, RIG_OPTIONS_MAX = 40 };

/* A TCP segment as its sender or receiver sees it; addresses of one family. */
struct segment {
	struct ip_addr source, destination;
	uint16_t source_port, destination_port; /* host order */
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	uint8_t options_length;
	uint8_t options[RIG_OPTIONS_MAX];
	const uint8_t *payload;
	uint16_t payload_length;
};

struct rig_queue {
	struct rte_mbuf *mbufs[RIG_QUEUE];
	unsigned head, tail;
	uint16_t refuse; /* as if the device's queue were full: so many frames aren't taken */
};

struct rig {
	struct conf conf;
	struct net net;
	struct device devices[RIG_DEVICES];
	struct rig_queue sent[RIG_DEVICES]; /* what the worker transmitted */
	struct worker worker;
	struct worker_stats stats;
	struct dataplane_hooks hooks;
	struct listener_offer offer; /* what the listener hook offers; port 0 of listen_port: none */
	uint16_t listen_port;
	/* What the decide hook answers once a stream is hello_length bytes long. */
	uint32_t hello_length;
	enum decision decision;
	enum reason refusal;
	struct dial dials[4]; /* by attempt; those beyond n_dials: REASON_NO_ENDPOINT */
	unsigned n_dials, n_decided;
	struct tcp_profile learned;
	uint64_t now_ms;
	void *table_memory;
	size_t table_bytes;
};

/* Starts DPDK's EAL once, without huge pages, PCI or telemetry. False when it can't. */
bool rig_start_eal(unsigned megabytes);

/* A worker with room for so many flows and packets in flight. Everything is fixed: secrets, random numbers, clock (1,000,000 ms). */
void rig_open(struct rig *rig, uint32_t flows, uint32_t packets);
/* Frees all; the number of packet buffers that were lost on the way, 0 when all is well. */
unsigned rig_close(struct rig *rig);

/* Lets a segment arrive at a device, from MAC 02:00:00:00:00:<host byte>, and runs the worker on it. */
void rig_receive(struct rig *rig, unsigned device, const struct segment *segment);
/* The same for any frame. */
void rig_receive_frame(struct rig *rig, unsigned device, const uint8_t *frame, uint16_t length);
/* Builds the frame of a segment. Returns its length. */
uint16_t rig_build(const struct rig *rig, unsigned device, const struct segment *segment, uint8_t *frame);

/* Takes the next frame that the worker sent to a device; answers ARP and ND requests in the peer's stead and goes on. False when
 * there is none. *segment points into frame, which has room for 2048 bytes. Fails the process on a frame that no receiver would
 * take: wrong lengths, checksums, MACs. */
bool rig_next(struct rig *rig, unsigned device, struct segment *segment, uint8_t *frame);
/* How many frames wait. */
unsigned rig_waiting(const struct rig *rig, unsigned device);

/* Turns the clock on, tick by tick of 1 ms. */
void rig_advance(struct rig *rig, uint32_t ms);

/* "192.0.2.7"; ends the process on nonsense. */
struct ip_addr rig_addr(const char *text);

#endif
