/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the two ends of the world that the subject stands between: a device, its frames on their way out, and ARP.
 *
 * The only other station on a link is the subject. Whatever address it asks for is ours: thousands of clients and
 * servers are behind one MAC, and none of them is configured anywhere. The subject's MAC is asked for once.
 */
#ifndef POSTERN_PERF_LOADGEN_LINK_H
#define POSTERN_PERF_LOADGEN_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct device;
struct rte_mbuf;
struct rte_mempool;

enum {
	LINK_OUT = 4096,   /* frames that wait for room in the device, before they are dropped */
	LINK_BURST = 32,   /* frames that are given to a device at a time */
	LINK_ETHERNET = 14 /* bytes of header */
};

struct link_stats {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t rx_foreign;   /* neither TCP over IPv4 for us nor ARP */
	uint64_t rx_damaged;   /* lengths or checksums are wrong */
	uint64_t tx_dropped;   /* the device had no room for too long */
	uint64_t tx_no_buffer; /* the pool of packets was empty */
};

struct link {
	struct device *device;
	struct rte_mempool *pool;
	uint32_t station; /* our address on the link, network order; asks for the subject's */
	uint8_t mac[6], subject_mac[6];
	bool subject_known;
	uint16_t n_out;
	struct rte_mbuf *out[LINK_OUT];
	struct link_stats stats;
};

void link_init(struct link *link, struct device *device, struct rte_mempool *pool, uint32_t station);

/* An empty packet with room for an Ethernet frame; NULL, counted, when there is none. */
struct rte_mbuf *link_packet(struct link *link);

/* Takes a whole frame. It goes out with link_flush at the latest. */
void link_send(struct link *link, struct rte_mbuf *mbuf);
void link_flush(struct link *link);

/* The only other station on the link has sent this frame: that's its MAC. It may know ours from before, and not ask. */
static inline void
link_learn(struct link *link, const uint8_t *frame)
{
	if (link->subject_known)
		return;
	memcpy(link->subject_mac, frame + 6, 6);
	link->subject_known = true;
}

/* Asks for the MAC of the subject's address on this link. */
void link_ask(struct link *link, uint32_t address);

/* A frame of ARP of length bytes, all there. */
void link_arp_input(struct link *link, const uint8_t *frame, uint32_t length);

#endif
