/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours: the MAC addresses of next hops. ARP (RFC 826) and ND (RFC 4861) fill one table for both families; each
 * worker has its own.
 *
 *   (none) ─ first packet ─▶ INCOMPLETE ─ answer ─▶ REACHABLE ─ 30 s ─▶ STALE ─ used ─▶ PROBE ─ answer ─▶ REACHABLE
 *                             │        ▲                  │                  │            │
 *          3 unanswered,      │        │                  └─ contradiction ──┴──────────▶ │
 *          1 s apart          ▼        └────────── 3 unanswered ──────────────────────────┘
 *                           FAILED ─ 5 s ─▶ forgotten
 *
 * INCOMPLETE asks everybody, and packets wait; PROBE asks only the MAC that is known, and packets go on to it.
 *
 * Spoofing. ARP and ND prove nothing, so what is known to work is kept for as long as it works. A claim that an address
 * has moved to another MAC, asked for or not, never replaces a known one by itself: the old MAC is asked, quickly
 * (NEIGHBOUR_CONTESTED_MS apart). If it answers, the claim is forgotten; if not, everybody is asked, and the first
 * answer counts. So a next hop that really moved (a failover announced by gratuitous ARP) is followed within
 * half a second, and a liar must silence the real owner first.
 *
 * Where nothing is known, only an answer to a question of ours counts: what somebody claims by himself, before or after
 * it, doesn't, so a liar must answer sooner than the owner each time instead of just repeating himself.
 *
 * An entry is made only for a next hop of a connection that has proved its address, or of an endpoint that we dial;
 * replies to strangers go back to the MAC that they came from (emit.h). So a flood of invented addresses makes no
 * entries. Entries aren't taken from whom they serve for the sake of others; a full table refuses newcomers, and the
 * hosts of one port can't fill it for those of another (NEIGHBOUR_SHARE). Packets that wait for answers are few for
 * each neighbour, and few in all: somebody who connects and then doesn't answer ARP must not hold all packet buffers.
 *
 * Flow records hold a hop: index and generation. When an entry is forgotten its generation changes, and the next packet
 * of the flow looks its route up again.
 */
#ifndef POSTERN_DATAPLANE_NEIGHBOUR_H
#define POSTERN_DATAPLANE_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/conf.h"
#include "platform/ip_addr.h"

struct rte_mbuf;
struct worker;

enum neighbour_state {
	NEIGHBOUR_FREE,
	NEIGHBOUR_INCOMPLETE,
	NEIGHBOUR_REACHABLE,
	NEIGHBOUR_STALE,
	NEIGHBOUR_PROBE,
	NEIGHBOUR_FAILED
};

enum {
	/* Packets that wait for an answer, for each neighbour (RFC 4861 section 7.2.2 asks for at least one). A SYN
	 * that gives way is repeated a second later, which is longer than many a connectTimeout: a burst of new
	 * connections to an endpoint that nobody talked to before has to fit. */
	NEIGHBOUR_PENDING_MAX = 64,
	NEIGHBOUR_PENDING_SHORT = 4,    /* the same while many wait for others */
	NEIGHBOUR_REACHABLE_MS = 30000, /* RFC 4861 section 10 */
	NEIGHBOUR_RETRANS_MS = 1000,
	NEIGHBOUR_CONTESTED_MS = 100,
	NEIGHBOUR_PROBES = 3,
	NEIGHBOUR_FAILED_MS = 5000,
	NEIGHBOUR_FORGET_MS = 300000, /* STALE and unused for this long: forgotten */
	NEIGHBOUR_PENDING_ALL_MAX =
		512,        /* of all neighbours; from a half of it on, each gets NEIGHBOUR_PENDING_SHORT */
	NEIGHBOUR_SHARE = 4 /* one part of so many of the table isn't for one port alone, where there are several */
};

struct neighbour {
	uint8_t header[18]; /* the Ethernet header to put before a packet: 14 bytes, or 18 with a VLAN tag; EtherType of
			       the address's family */
	uint8_t header_length;
	uint8_t state;  /* enum neighbour_state */
	uint8_t port;   /* net port */
	uint8_t device; /* index in net.devices */
	uint8_t probes; /* unanswered requests */
	uint8_t n_pending;
	uint16_t generation; /* never 0 */
	bool used;           /* since the last tick */
	bool contested;      /* PROBE: because another MAC was claimed */
	uint32_t since_ms;   /* of the state, or its last refresh; worker clock modulo 2^32 */
	uint32_t used_ms;    /* last tick that saw it used */
	uint16_t hash_next;  /* chain; 0: end */
	struct ip_addr addr;
	struct rte_mbuf *oldest, *youngest; /* IP packets without Ethernet header that wait, linked by mbuf->next */
};

struct neighbour_table {
	struct neighbour *entries; /* [0] is never used */
	uint16_t *buckets;         /* first of chain */
	uint16_t capacity, bucket_mask;
	uint16_t used, touched, free; /* free: chain of released entries through hash_next */
	uint16_t n_pending;           /* packets that wait, of all entries */
	uint16_t used_by[CONF_PORTS_MAX];
};

/* capacity 64..16384. The table's memory comes from calloc at start. False when it can't be had. */
bool neighbour_table_init(struct neighbour_table *table, uint16_t capacity);
/* Frees the table, and packets that still wait in it. */
void neighbour_table_free(struct neighbour_table *table);

/* The hop of the next hop via on port: an entry is made (INCOMPLETE, nothing sent yet) when there is none. 0 when the
 * table is full, or the port has its share. */
uint32_t neighbour_hop(struct worker *worker, uint8_t port, const struct ip_addr *via);

/* The entry of a hop, or NULL when it has been forgotten since. */
static inline struct neighbour *
neighbour_get(const struct neighbour_table *table, uint32_t hop)
{
	struct neighbour *entry = &table->entries[hop & 0xffff];
	return entry->generation == hop >> 16 ? entry : NULL;
}

/* Whether packets may go to the entry's header at once; set used when they do. Else neighbour_send. */
static inline bool
neighbour_is_known(const struct neighbour *entry)
{
	return entry->state == NEIGHBOUR_REACHABLE || entry->state == NEIGHBOUR_STALE ||
	       entry->state == NEIGHBOUR_PROBE;
}

/* Sends an IP packet without Ethernet header to a neighbour: at once when the MAC is known, else it waits and a request
 * goes out. Takes the mbuf; what can't wait is dropped and counted. */
void neighbour_send(struct worker *worker, struct neighbour *entry, struct rte_mbuf *mbuf);

/* Asks for every next hop that nobody has asked for yet, at most so many. */
void neighbour_ask_all(struct worker *worker, unsigned most);

/* Whether somebody who was asked for the first time hasn't answered yet. */
bool neighbour_awaits(const struct neighbour_table *table);

/* Somebody at port says that addr is at mac (NULL: where it was). solicited: an answer to us; override: may replace a
 * MAC that we know (RFC 4861 section 7.2.5; ARP: true). False when it was of no use: addr is nobody's that we talk to,
 * it isn't known and the claim answers no question of ours, or mac can be no station's. */
bool neighbour_learn(struct worker *worker, uint8_t port, const struct ip_addr *addr, const uint8_t *mac,
		     bool solicited, bool override);

/* Gives every other worker a copy of a received ARP or ND frame, to learn from. */
void neighbour_share(struct worker *worker, struct rte_mbuf *mbuf);

/* Retransmits requests, ages and forgets. About every 100 ms. */
void neighbour_tick(struct worker *worker);

const char *neighbour_state_text(enum neighbour_state state);

#endif
