/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: all that one forwarding core owns. It runs to completion and shares nothing but its counters (read by
 * control), the hand-over rings, and what is immutable.
 *
 * worker_input takes a burst through the whole way of a packet; worker_run is the loop around it: receive, hand-over,
 * timers, control, transmit, back-off. Time comes in as an argument everywhere, so a simulation drives the same code
 * with its own clock.
 */
#ifndef POSTERN_DATAPLANE_WORKER_H
#define POSTERN_DATAPLANE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/bridge_pool.h"
#include "dataplane/dataplane.h"
#include "dataplane/flow_strays.h"
#include "dataplane/flow_table.h"
#include "dataplane/hold.h"
#include "dataplane/neighbour.h"
#include "dataplane/net.h"
#include "dataplane/packet.h"
#include "dataplane/reason.h"
#include "dataplane/syn_shed.h"
#include "dataplane/timer_wheel.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

enum {
	WORKER_BURST = 32,
	WORKER_GATHER = 64,
	WORKER_TX_MAX = 64,
	WORKERS_MAX = CONF_WORKERS_MAX,
	WORKER_PORT_COUNTERS = 1024
};

/* Read by control with relaxed loads; written by the worker alone. */
struct worker_stats {
	uint64_t reasons[REASON_COUNT];
	uint64_t rx_packets[CONF_PORTS_MAX], rx_bytes[CONF_PORTS_MAX];
	uint64_t tx_packets[NET_DEVICES_MAX], tx_bytes[NET_DEVICES_MAX];
	uint64_t spliced_packets; /* rewritten and passed on */
	uint64_t syns, syn_acks;  /* SYNs answered by cookie; cookies that came back */
	uint64_t opened, ended, refused;
	uint64_t handed_over; /* packets given to the worker that owns their flow, or the queue that they leave by */
	uint64_t to_host, from_host;
	uint64_t arp_requests, arp_replies, nd_solicitations, nd_advertisements, echo_replies; /* sent */
	uint64_t address_conflicts; /* claims of others to one of our addresses (RFC 5227 section 2.4) */
	uint64_t rsts_sent, segments_split, events_lost, retransmissions;
	uint64_t loops, busy_cycles, total_cycles; /* of the loop; busy: it found something to do */
	uint64_t sleeps;
	uint64_t heartbeat_ms;        /* worker clock of the last loop */
	uint32_t states[FLOW_STATES]; /* flows now in each state */
	uint32_t neighbours;          /* entries in use */
	uint32_t holds;               /* buffers in use */
	uint32_t bridges;             /* records in use */
};

/* Frames that wait for the end of the burst, for one device. */
struct tx_buffer {
	uint16_t n;
	struct rte_mbuf *mbufs[WORKER_TX_MAX];
};

struct worker {
	uint16_t id, n_workers;
	const struct net *net;
	const struct conf *conf;
	const struct dataplane_hooks *hooks;
	struct rte_mempool *pool;

	uint64_t now_ms;         /* CLOCK_MONOTONIC, or the simulation's; set at the begin of every burst */
	uint64_t wall_offset_ms; /* wall clock − now_ms, for opened_ms */
	uint32_t clock_ms;       /* now_ms modulo 2^32: timers and TSvals */
	uint64_t random_state[2];

	struct flow_table flows;
	uint32_t table_version; /* bumped by whatever adds a flow to the hash or takes one out */
	struct timer_wheel wheel;
	struct hold_pool holds;
	struct bridge_pool bridges;
	bool packets_scarce; /* bridges' buffers don't grow (BRIDGE_SCARCE_SHARE); looked at every ms */
	bool packets_short;  /* they take nothing more (BRIDGE_SHORT_SHARE) */
	struct neighbour_table neighbours;
	struct worker_stats *stats;
	struct live_counters *live; /* by live slot; this worker's own */

	uint64_t cookie_secret[2], isn_secret[2], port_secret[2];
	uint32_t port_counters[WORKER_PORT_COUNTERS]; /* local_port.c */
	uint32_t rst_allowance;                       /* RSTs to strangers left in this second */
	uint32_t refusals_told;                       /* events about refusals in this second */
	uint64_t rst_second, neighbour_tick_ms;
	struct syn_shed shed;
	uint32_t reclaim_hand; /* reclaim.c: the record that was looked at last */
	uint64_t defended_ms;  /* when an address was last defended; 0: never */
	struct tx_buffer tx[NET_DEVICES_MAX];

	/* Of an adoption (flow_adopt.h); allocated before the worker runs. */
	const struct flow_strays *strays;
	struct flow_leg *farewells; /* legs whose peers are to be told that their connection is gone */
	uint32_t n_farewells;
	uint64_t farewell_ms; /* when to begin with it */

	struct rte_ring *inbox;          /* mbufs handed over by other workers */
	struct rte_ring *const *inboxes; /* of all workers, by id */
	struct rte_ring *probes;         /* struct probe_request by value, from control; NULL: none */
	struct rte_ring *events;         /* struct flow_event by value; NULL: not wanted */
	uint32_t handed_to;              /* bit i: worker i got something in this loop and may have to be woken */
	bool draining;                   /* set by control; relaxed */
};

/* Counts a reason, and frees the mbuf that it is about. */
void worker_drop(struct worker *worker, struct rte_mbuf *mbuf, enum reason reason);

static inline void
worker_count(struct worker *worker, enum reason reason)
{
	worker->stats->reasons[reason]++;
}

/* A frame, Ethernet header and all, for device; sent at the end of the burst at the latest. Takes the mbuf. */
void worker_transmit(struct worker *worker, uint8_t device, struct rte_mbuf *mbuf);
/* Sends what waits in the buffers; what a device doesn't take is dropped and counted. */
void worker_flush(struct worker *worker);

/* A fresh mbuf, with head room for Ethernet, or NULL (counted). */
struct rte_mbuf *worker_mbuf(struct worker *worker);
/* xoshiro128-like: fast, seeded, not for secrets. */
uint32_t worker_random(struct worker *worker);

/* The worker that a packet belongs to by the rules: the one whose local port it is addressed to; of clients the one
 * that the hash names, or, where they are spread over as many queues as there are workers, whoever gets it: n_workers.
 */
uint16_t worker_home(const struct worker *worker, bool spread, const struct flow_key *key, uint32_t hash);
/* The worker that a packet belongs to when its flow isn't in our table: key and its hash as by flow_table_hash, and the
 * device that the packet arrived at. This worker itself when nobody can know better. */
uint16_t worker_owner(const struct worker *worker, uint8_t device, const struct flow_key *key, uint32_t hash);
/* Gives an mbuf to another worker's inbox, or drops and counts it when that is full. Takes the mbuf. */
void worker_hand_over(struct worker *worker, uint16_t to, struct rte_mbuf *mbuf);

/* n <= WORKER_BURST frames have arrived on a device. Returns for how many of them worker_input is due, the first ones
 * of mbufs; the rest is done with. What came by several devices goes into one worker_input, so that there is more to do
 * while memory answers. */
uint16_t worker_arrived(struct worker *worker, uint8_t device, struct rte_mbuf **mbufs, uint16_t n, uint64_t now_ms);
/* Takes n <= WORKER_GATHER frames from worker_arrived through all that must be done with them. Takes the mbufs. */
void worker_input(struct worker *worker, struct rte_mbuf **mbufs, uint16_t n);
/* The same for what another worker handed over: frames that arrived, each mbuf's port being the index of its device,
 * and frames to be sent where that worker has no queue. */
void worker_input_handed_over(struct worker *worker, struct rte_mbuf **mbufs, uint16_t n, uint64_t now_ms);
/* Ends all flows: RST to both sides, or to the client of one that isn't established. */
void worker_abort_all(struct worker *worker, enum reason reason);
/* Lets the gateway take what other threads have for this worker. Returns how much there was. */
unsigned worker_poll(struct worker *worker, uint64_t now_ms);
/* Timers, neighbour ageing, allowances: whatever time alone brings about. */
void worker_time(struct worker *worker, uint64_t now_ms);

#endif
