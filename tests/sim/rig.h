/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker on a bench: the real data plane between two simulated devices, under a clock that the caller turns.
 *
 *   client side: device 0, port "wan", 192.0.2.1/24, 2001:db8:1::1/64      clients are 192.0.2.2…, 2001:db8:1::2…
 *   endpoint side: device 1, port "lan", 198.51.100.1/24, 2001:db8:2::1/64
 *
 * What the worker transmits lands in a queue of each device, from which the caller takes it. Frames are built and taken
 * apart here by code of the rig's own, not by the data plane's, checksums included: a mistake made in both would have
 * to be made twice. ARP and ND requests are answered in the stations' stead before the caller sees them.
 *
 * There can be several workers. They run in turn, and what one hands over the others get before the call that caused it
 * returns. Their devices have one queue, whose frames one worker gets, or one for each worker, over which TCP is spread
 * by addresses and ports, as RSS does.
 */
#ifndef POSTERN_TESTS_SIM_RIG_H
#define POSTERN_TESTS_SIM_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_adopt.h"
#include "dataplane/worker.h"

enum {
	RIG_WAN,
	RIG_LAN,
	RIG_DEVICES,
	RIG_QUEUE = 4096,
	RIG_OPTIONS_MAX = 40,
	RIG_WORKERS_MAX = 4,
	RIG_LIVE = 16,
	RIG_FRAME = 2048
};

/* A TCP segment as its sender or receiver sees it; addresses of one family. */
struct segment {
	struct ip_addr source, destination;
	uint16_t source_port, destination_port; /* host order */
	uint32_t seq, ack;
	uint16_t window;
	uint16_t urgent;
	uint8_t flags;
	uint8_t reserved; /* the four bits beside the data offset */
	uint8_t traffic_class;
	uint8_t options_length;
	uint8_t options[RIG_OPTIONS_MAX];
	const uint8_t *payload;
	uint16_t payload_length;
};

struct rig;

struct rig_queue {
	struct rte_mbuf *mbufs[RIG_QUEUE];
	unsigned head, tail;
	const struct rig *rig;
	uint16_t refuse; /* as if the device's queue were full: so many frames aren't taken */
};

/* How much of everything there is; 0: plenty, or one. */
struct rig_options {
	unsigned n_workers;
	bool spreads; /* devices with a queue for each worker */
	uint32_t flows, packets;
	uint32_t holds, holds_taken; /* holds_taken: of those, somebody else's */
	uint32_t bridges;
	uint16_t neighbours;
	uint32_t inbox; /* a power of two; one less fits */
};

struct rig {
	struct rig_options options;
	struct conf conf;
	struct net net;
	struct device devices[RIG_DEVICES];
	struct rig_queue sent[RIG_DEVICES]; /* what the workers transmitted */
	bool deaf[RIG_DEVICES];             /* no station answers ARP or ND there */
	unsigned n_workers, receiver;       /* receiver: the worker that gets what isn't spread */
	unsigned running;                   /* the worker that is in a call now; RIG_WORKERS_MAX: none is started yet */
	uint32_t handed_to;                 /* bit i: worker i would have been woken */
	union {
		struct worker worker; /* the first, or only one */
		struct worker workers[RIG_WORKERS_MAX];
	};
	union {
		struct worker_stats stats;
		struct worker_stats all_stats[RIG_WORKERS_MAX];
	};
	struct rte_ring *inboxes[RIG_WORKERS_MAX], *events;
	struct dataplane_hooks hooks;
	void *bridging;              /* of whoever has put the hooks for bridges there, whose context is the rig */
	struct listener_offer offer; /* what the listener hook offers; port 0 of listen_port: none */
	uint16_t listen_port;
	/* What the decide hook answers once a stream is hello_length bytes long. */
	uint32_t hello_length;
	enum decision decision;
	enum reason refusal;
	struct dial dials[4]; /* by attempt; those beyond n_dials: REASON_NO_ENDPOINT */
	unsigned n_dials, n_decided;
	uint8_t hello[HOLD_MAX]; /* what the decision was made on */
	uint32_t decided_length, decided_tried[2];
	struct tcp_profile learned;
	uint64_t now_ms;
	bool may_miss; /* what comes while there is no packet buffer is lost, as by a device; else it ends the process
			*/
	uint64_t missed;
	uint32_t n_live;                                 /* slots that workers count under */
	struct live_counters *own_live[RIG_WORKERS_MAX]; /* to be freed; worker.live may point elsewhere */
	void (*furnish)(
		struct worker *worker); /* gives a worker of the next process what isn't the rig's; NULL: nothing */
	struct flow_adoption adoption;  /* of the last rig_restart */
	void *table_memory[RIG_WORKERS_MAX];
	size_t table_bytes;
};

/* Starts DPDK's EAL once, without huge pages, PCI or telemetry. False when it can't. */
bool rig_start_eal(unsigned megabytes);

/* A worker with room for so many flows and packets in flight. Everything is fixed: secrets, random numbers, clock
 * (1,000,000 ms). */
void rig_open(struct rig *rig, uint32_t flows, uint32_t packets);
/* The same with several workers, on devices with one queue: the receiver gets all frames, and must hand over those that
 * are others'. */
void rig_open_workers(struct rig *rig, unsigned n_workers, uint32_t flows, uint32_t packets);
void rig_open_with(struct rig *rig, const struct rig_options *options);
/* The process dies, with all that it had but the flow tables, and one with so many workers adopts those. What was sent
 * is on its way. Statistics and live counters begin anew. */
void rig_restart(struct rig *rig, unsigned n_workers);
/* The same where the process before had other addresses in its net, by index. */
void rig_restart_from(struct rig *rig, unsigned n_workers, const struct ip_addr *addresses, unsigned n_addresses);
/* Right after rig_restart: whether every table is as it must be, whatever was adopted. */
bool rig_adopted_well(struct rig *rig);
/* Whether no worker has a flow, a timer, held bytes or a bridge left, its counts by state say so as well, and no live
 * slot counts a connection. */
bool rig_is_empty(const struct rig *rig);
/* Frees all; the number of packet buffers that were lost on the way, 0 when all is well. */
unsigned rig_close(struct rig *rig);

/* Lets a segment arrive at a device, from MAC 02:00:00:00:00:<host byte>, and runs the worker on it. */
void rig_receive(struct rig *rig, unsigned device, const struct segment *segment);
/* The same for any frame. */
void rig_receive_frame(struct rig *rig, unsigned device, const uint8_t *frame, uint16_t length);
/* Builds the frame of a segment. Returns its length. */
uint16_t rig_build(const struct rig *rig, unsigned device, const struct segment *segment, uint8_t *frame);

/* Takes the next frame that the worker sent to a device. False when there is none. *segment points into frame, which
 * has room for RIG_FRAME bytes. Fails the process on a frame that no receiver would take: wrong lengths, checksums,
 * MACs. */
bool rig_next(struct rig *rig, unsigned device, struct segment *segment, uint8_t *frame);
/* The same for what isn't TCP: only its MACs are looked at. Returns its length, 0 when there is none. */
uint16_t rig_next_frame(struct rig *rig, unsigned device, uint8_t *frame);
/* Takes a frame with a TCP segment apart, as rig_next does. *segment points into frame. */
void rig_parse(const uint8_t *frame, uint16_t length, struct segment *segment);
/* How many frames wait. */
unsigned rig_waiting(const struct rig *rig, unsigned device);

/* Lets several frames arrive in one burst; at most WORKER_BURST. */
void rig_receive_burst(struct rig *rig, unsigned device, const struct segment *segments, uint16_t n);

/* Lets everything happen that follows at once: packets handed over, ARP and ND answered. Done by the calls above and
 * below; needed after calling a worker directly. */
void rig_settle(struct rig *rig);

/* Turns the clock to now_ms. */
void rig_time(struct rig *rig, uint64_t now_ms);
/* Lets every worker ask the gateway what it has for it. */
void rig_poll(struct rig *rig);
/* How long all workers may sleep, limit at most. */
uint32_t rig_sleep(const struct rig *rig, uint32_t limit_ms);
/* The flow that a worker has for the peer of a leg and a port of ours, both in host order; NULL: none. */
const struct flow *rig_flow(const struct rig *rig, unsigned leg, const struct ip_addr *peer, uint16_t peer_port,
			    uint16_t local_port);
/* A count of reason over all workers. */
uint64_t rig_reason_count(const struct rig *rig, enum reason reason);

/* Turns the clock on, tick by tick of 1 ms. */
void rig_advance(struct rig *rig, uint32_t ms);

/* Takes the oldest event that a worker sent. False when there is none. */
bool rig_event(struct rig *rig, struct flow_event *event);

/* Takes packet buffers out of the pool until so many are left; rig_give_back returns them. */
void rig_take_buffers(unsigned left);
void rig_give_back(void);

/* One's-complement sum of 16-bit words in network order, folded, the way RFC 1071 section 4.1 has it; sum to begin
 * with. */
uint32_t rig_sum(uint32_t sum, const uint8_t *bytes, size_t length);

/* "192.0.2.7"; ends the process on nonsense. */
struct ip_addr rig_addr(const char *text);

#endif
