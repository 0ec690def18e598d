/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated world: peers, links with their faults, endpoints and operators around one real worker, under one clock.
 *
 *   clients ── link[RIG_WAN] ── gateway (rig.h) ── link[RIG_LAN] ── endpoints
 *
 * Everything that happens is an event in a heap, ordered by time and then by when it was planned; the worker is turned
 * on whenever a packet comes, and when its wheel says so. Nothing depends on anything but the seed. Time is in
 * microseconds; the worker sees milliseconds.
 */
#ifndef POSTERN_TESTS_SIM_WORLD_H
#define POSTERN_TESTS_SIM_WORLD_H

#include "tests/sim/peer.h"
#include "tests/sim/rig.h"

enum {
	WORLD_CONNECTIONS_MAX = 32,
	WORLD_SLOTS_MAX = 8,
	WORLD_ENDPOINTS_MAX = 6,
	WORLD_BINDS_MAX = 256,
	WORLD_SUCCESSIONS_MAX = 4,
	WORLD_IDLE_TIMEOUT_S = 60,
	WORLD_LISTEN_PORT = 443,
	WORLD_ENDPOINT_PORT = 8443,
	WORLD_FIRST_LIVE = 2, /* live slot of endpoint 0 */
};

/* Chances are in 65536ths. */
struct link {
	uint32_t delay_us;
	uint32_t loss, repeat, reorder, corrupt;
	uint32_t reorder_us; /* what comes late comes so much later at most */
	uint32_t burst;      /* chance that a loss takes all of the next burst_us with it */
	uint32_t burst_us;
	uint64_t lost_until;
	uint64_t last_at[2]; /* by direction: what isn't reordered comes after that */
	uint16_t mtu;        /* of the path beyond the gateway's own 1500 */
	bool tells;          /* by ICMP, that a packet was too big; else it is a black hole */
};

enum endpoint_habit {
	ENDPOINT_ANSWERS,
	ENDPOINT_REFUSES,    /* RST to every SYN */
	ENDPOINT_BLACK_HOLE, /* nothing */
	ENDPOINT_CHALLENGES, /* has an old connection of the same ports: an ACK with other numbers, until that was reset
			      */
	ENDPOINT_DEAF_ONCE,  /* doesn't hear the first SYN */
	ENDPOINT_UNREACHABLE /* a router says so by ICMP */
};

struct endpoint {
	struct ip_addr addr;
	enum endpoint_habit habit;
	bool removed;              /* by the operator: no new connections */
	struct peer_traits traits; /* its host's; what its application does is the connection's */
};

struct connection {
	struct peer peer[LEG_COUNT];
	unsigned slot, number; /* client port; index */
	uint64_t start_at;
	uint32_t hello;            /* bytes until the decision can be made */
	struct peer_traits served; /* what the endpoint's application will do */
	/* What the auditor knows of the gateway's part. */
	bool started, bound, spliced, refused, excused, gate_scales[LEG_COUNT];
	uint8_t gate_scale[LEG_COUNT]; /* what it announced on each leg */
	bool gate_sack[LEG_COUNT], gate_timestamps[LEG_COUNT], gate_scaled[LEG_COUNT];
	uint64_t spliced_at_us;
	uint32_t gate_edge, gate_acked; /* what it promised and acknowledged to the client by itself; offsets */
	uint32_t gate_isn;              /* of its SYN to the endpoint */
	uint32_t last_tsval[LEG_COUNT];
	bool tsval_known[LEG_COUNT];
	unsigned endpoint, attempts; /* the endpoint dialled last */
	uint16_t gate_port;
	bool may_time_out;  /* the hello may be too slow, or lost */
	bool may_fail_dial; /* an endpoint that may be tried isn't a good one, or the links aren't */
	bool may_idle;      /* so long without a packet that the gateway may end it */
	bool challenged, deafened;
	bool mistaken; /* its stream was taken to begin in its middle */
	bool haunted;  /* an old packet began a connection in its name; it was refused */
};

struct bind {
	unsigned endpoint;
	uint16_t port;
	unsigned connection, attempt;
};

struct world {
	struct rig rig;
	uint64_t seed, random;
	uint64_t now_us, gate_at_us, calm_at_us, limit_us;
	uint64_t steps;
	bool verbose, failed;
	bool fifo;          /* nothing overtakes anything on its way to the gateway */
	bool short_of_room; /* the gateway's tables are too small for all */
	bool stale;         /* a packet of a connection that is gone is being worked on */
	bool syn;           /* a SYN, SYN-ACK or RST is being worked on: it may be challenged */
	unsigned forged;    /* the device, plus 1, that a stranger's frame came to that is being worked on; 0: none */
	uint32_t burst_us;  /* what comes to a device within this time is one burst */
	struct link links[RIG_DEVICES];
	struct connection connections[WORLD_CONNECTIONS_MAX];
	unsigned n_connections;
	struct {
		struct ip_addr addr, gate;
		uint16_t port;
		unsigned current, previous; /* connections, plus 1; 0: none */
	} slots[WORLD_SLOTS_MAX];
	unsigned n_slots;
	struct endpoint endpoints[WORLD_ENDPOINTS_MAX];
	unsigned n_endpoints;
	struct bind binds[WORLD_BINDS_MAX];
	unsigned n_binds;
	unsigned dialled[WORLD_CONNECTIONS_MAX],
		n_dialled; /* connections whose SYNs are to come, by the order of their decisions */
	uint64_t succession_at_us[WORLD_SUCCESSIONS_MAX]; /* when another process takes over from the gateway's */
	unsigned n_successions;
	/* For the report. */
	uint64_t adopted;
	unsigned mistaken; /* streams taken to begin in their middle */
	uint64_t completed, ended_early, refusals, packets;
};

extern struct world world;

/* Something that must not be: prints it, with seed, step and time, and ends the simulation of this seed. */
__attribute__((format(printf, 1, 2))) void world_fail(const char *format, ...);

/* Below bound. */
uint32_t world_below(uint32_t bound);
/* True so many times in 100. */
bool world_chance(unsigned percent);

/* Lets a stranger's segment, or frame, come to the gateway at once. */
void world_inject(unsigned device, const struct segment *segment);
void world_inject_frame(unsigned device, const uint8_t *frame, uint16_t length);

/* Runs what has been planned (scenario.h) to its end. */
void world_run(void);

/* The connection that a packet from or to these addresses is about; leg: on which side. NULL: none. */
struct connection *world_client(const struct ip_addr *addr, uint16_t port, bool previous);
struct connection *world_endpoint(const struct ip_addr *addr, uint16_t gate_port);
/* Index of the endpoint with that address, or n_endpoints. */
unsigned world_endpoint_index(const struct ip_addr *addr);

#endif
