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

#include "tests/sim/coverage.h"
#include "tests/sim/hello.h"
#include "tests/sim/peer.h"
#include "tests/sim/rig.h"

enum {
	WORLD_CONNECTIONS_MAX = 32,
	WORLD_SLOTS_MAX = 8,
	WORLD_ENDPOINTS_MAX = 8,
	WORLD_BINDS_MAX = 1024,
	WORLD_INCIDENTS_MAX = 32,
	WORLD_ARRIVALS_MAX = 64,
	WORLD_NO_CONNECTION = WORLD_CONNECTIONS_MAX, /* of a bind: it is a probe */
	WORLD_LISTEN_PORT = 443,
	WORLD_ISTIO_PORT = 15443,
	WORLD_ENDPOINT_PORT = 8443,
	WORLD_FIRST_LIVE = 2, /* live slot of endpoint 0 */
};

/* Chances are in 65536ths. */
struct link {
	uint32_t delay_us[2]; /* to the peer, to the gateway */
	uint32_t loss, repeat, reorder, corrupt;
	uint32_t reorder_us; /* what comes late comes so much later at most */
	uint32_t burst;      /* chance that a loss takes all of the next burst_us with it */
	uint32_t burst_us;
	uint64_t lost_until;
	uint64_t last_at[2]; /* by direction: what isn't reordered comes after that */
	uint16_t mtu;        /* of the path beyond the gateway's own 1500 */
	bool tells;          /* by ICMP, that a packet was too big; else it is a black hole */
	bool down;
	bool troubled; /* there will be an outage, or a smaller MTU */
	bool outage;
};

/* What happens in mid-run, at a time that was drawn beforehand. */
enum incident_kind {
	INCIDENT_LINK_DOWN, /* target: a link */
	INCIDENT_LINK_UP,
	INCIDENT_MTU,     /* target: a link; value: its new MTU */
	INCIDENT_RESTART, /* target: an endpoint, whose host forgets all and comes back with other options */
	INCIDENT_RELOAD,  /* value: enum operator_change */
	INCIDENT_DRAIN,
	INCIDENT_UNDRAIN,
	INCIDENT_STARVE, /* value: so many packet buffers are left */
	INCIDENT_FEED,
	INCIDENT_TX_FULL, /* target: a link's device, which takes nothing */
	INCIDENT_TX_FREE,
	INCIDENT_SUCCESSION /* another process takes over from the gateway's; value: its workers */
};

struct incident {
	uint64_t at;
	enum incident_kind kind;
	uint32_t target, value;
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

struct host {
	struct ip_addr addr; /* endpoints that differ in their ports alone are one host's */
	uint16_t port;
	enum endpoint_habit habit;
	bool removed;                     /* by the stand-in's operator: no new connections */
	bool restarted, added;            /* added: by a reload */
	struct peer_traits traits;        /* its host's; what its application does is the connection's */
	struct peer_traits before, after; /* … until it was restarted, and from then on */
};

/* What has come to the gateway of a peer's stream: disjoint, in order. */
struct arrivals {
	struct peer_range ranges[WORLD_ARRIVALS_MAX];
	unsigned n;
	bool forgot; /* there was more than fits: nothing is known for sure any more */
};

struct connection {
	struct peer peer[LEG_COUNT];
	unsigned slot, number; /* client port; index */
	uint64_t start_at;
	uint32_t hello;            /* bytes until the decision can be made */
	struct peer_traits served; /* what the endpoint's application will do */
	/* With the real gateway. */
	enum hello_kind hello_kind, listener_kind; /* what it asks for, and what its listener understands */
	unsigned service, chosen_service;
	bool refusals[REASON_COUNT];         /* what the gateway has refused it for, and may */
	unsigned decided_at_reload;          /* world.reloads when it was sent to its endpoint */
	uint64_t met;                        /* situations that it is in, or has been in */
	uint8_t syn_acks_to_lose[LEG_COUNT]; /* so many SYN-ACKs to the client, and of the endpoint, are lost */
	uint8_t syn_acks_lost[LEG_COUNT];
	/* What the auditor knows of the gateway's part. */
	bool started, bound, spliced, refused, excused, active, turned_away, reused, gate_scales[LEG_COUNT];
	uint8_t gate_scale[LEG_COUNT]; /* what it announced on each leg */
	bool gate_sack[LEG_COUNT], gate_timestamps[LEG_COUNT], gate_scaled[LEG_COUNT];
	uint64_t spliced_at_us, passed_at_us; /* passed_at_us: when something new was last passed on */
	uint64_t ended_at_us;                 /* when the gateway said so */
	uint64_t touched_at_us;               /* the same, or a stranger's */
	uint32_t gate_edge, gate_acked;       /* what it promised and acknowledged to the client by itself; offsets */
	uint32_t gate_isn;                    /* of its SYN to the endpoint */
	uint32_t last_tsval[LEG_COUNT];
	bool tsval_known[LEG_COUNT];
	unsigned endpoint, attempts; /* the endpoint dialled last */
	unsigned dial;               /* number of the decision whose SYN is to come; 0: none */
	uint16_t gate_port;
	bool may_time_out;  /* the hello may be too slow, or lost */
	bool may_fail_dial; /* an endpoint that may be tried isn't a good one, or the links aren't */
	bool may_idle;      /* so long without a packet that the gateway may end it … */
	bool must_idle;     /* … and must */
	bool restarted;     /* its endpoint's host has forgotten it */
	bool untold;        /* the process ended before it had told that the one before did */
	bool reset_early;   /* by a RST that went to its client before it was spliced, however late it came */
	bool challenged, deafened;
	/* Where the gateway ends it: by a session, or as a relay. */
	bool bridged, given_up; /* given_up: its session has ended it midway */
	struct arrivals arrivals[LEG_COUNT];
	uint64_t gate_promised[LEG_COUNT]; /* right edge of the window that it told the peer; offset */
	uint64_t heard_at_us[LEG_COUNT];   /* when it last heard something new from a peer */
	bool said_reset[LEG_COUNT];        /* a peer has sent a RST, maybe in answer to what strangers brought about */
	bool mistaken;                     /* its stream was taken to begin in its middle */
	bool haunted;                      /* an old packet began a connection in its name; it was refused */
};

struct bind {
	unsigned endpoint;
	uint16_t port; /* the gateway's */
	unsigned connection, attempt;
};

/* What the gateway has too little of. */
enum scarcity {
	SCARCE_NOTHING,
	SCARCE_FLOWS,
	SCARCE_HOLDS,
	SCARCE_PACKETS,
	SCARCE_NEIGHBOURS,
	SCARCE_INBOX,
	SCARCE_TX,
	SCARCITIES
};

struct world {
	struct rig rig;
	uint64_t seed, random;
	uint64_t now_us, gate_at_us, calm_at_us, limit_us;
	uint64_t steps;
	bool verbose, failed;
	bool operated;          /* by the real gateway (operator.h); else by a stand-in (decision.c) */
	enum scarcity scarcity; /* where it isn't SCARCE_NOTHING, connections may fail until they are spliced */
	uint32_t idle_timeout_s, connect_timeout_ms;
	bool stormy;       /* links lose, or do worse */
	bool long_outages; /* … for minutes */
	bool patient;      /* some connections take minutes */
	bool plain;        /* the stand-in's listener decides without bytes */
	bool few_bridges;  /* … and there may be few of them */
	bool draining;
	unsigned reloads, broken_reloads, drains;
	bool attacked;
	bool haunted;         /* a connection is, in this step */
	unsigned successions; /* how often another process has taken over */
	struct incident incidents[WORLD_INCIDENTS_MAX];
	unsigned n_incidents;
	bool fifo;         /* nothing overtakes anything on its way to the gateway */
	bool stale;        /* a packet of a connection that is gone is being worked on */
	bool syn;          /* a SYN, SYN-ACK or RST is being worked on: it may be challenged */
	unsigned forged;   /* the device, plus 1, that a stranger's frame came to that is being worked on; 0: none */
	uint32_t burst_us; /* what comes to a device within this time is one burst */
	struct link links[RIG_DEVICES];
	struct connection connections[WORLD_CONNECTIONS_MAX];
	unsigned n_connections;
	struct {
		struct ip_addr addr, gate;
		uint16_t port, gate_port;
		unsigned current, previous; /* connections, plus 1; 0: none */
	} slots[WORLD_SLOTS_MAX];
	unsigned n_slots;
	struct host endpoints[WORLD_ENDPOINTS_MAX];
	unsigned n_endpoints;
	struct bind binds[WORLD_BINDS_MAX];
	unsigned n_binds;
	unsigned n_dials;
	uint64_t gave_up_step; /* in which a session gave up last */
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

/* Lets the gateway know what time it is; lets what it did come to pass. Around whatever is done to it directly. */
void world_turn_gate(void);
void world_after_gate(void);

/* Lets a stranger's segment, or frame, come to the gateway at once. */
void world_inject(unsigned device, const struct segment *segment);
void world_inject_frame(unsigned device, const uint8_t *frame, uint16_t length);

/* Runs what has been planned (scenario.h) to its end. */
void world_run(void);

/* The connection that a packet from or to these addresses is about; leg: on which side. NULL: none. */
struct connection *world_client(const struct ip_addr *addr, uint16_t port, bool previous);
struct connection *world_endpoint(const struct ip_addr *addr, uint16_t port, uint16_t gate_port);
/* Whether the gateway asks an endpoint for its options from that port. */
bool world_is_probe(const struct ip_addr *addr, uint16_t port, uint16_t gate_port);
/* Index of the endpoint with that address and port, or n_endpoints. */
unsigned world_endpoint_index(const struct ip_addr *addr, uint16_t port);
/* Whether a connection's packets may be lost on a leg for any reason; or are, by scarcity. */
bool world_is_lossy(unsigned leg);

#endif
