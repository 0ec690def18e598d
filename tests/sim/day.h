/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A day in the life of one gateway: the worlds of sim.c begin with a gateway that has just started, and end within
 * minutes; this one goes on for 24 hours of virtual time and more, with connections that come, talk for hours, say
 * nothing for hours, close in part, vanish, or never get as far as an endpoint, while others come and go.
 *
 *   CALLS_MAX clients at a time ── link ── gateway (rig.h), two workers ── link ── endpoints
 *
 * A third of the connections that can be are ended by a session (bridged), the others are spliced, or relayed where the
 * endpoint has no timestamps. After 24 hours nobody begins anything; all goes on until the last one is over.
 *
 * Checked: every byte; that each connection ends as its persona does, and none sooner or later; that its record goes
 * soon afterwards; that records and bridges never reach farther than for those that are there at a time; in the end,
 * that every record, timer, hold, bridge, session, count of live connections and packet buffer is back.
 *
 * A call is one connection of a client's, one after another; its persona says what both its ends do (day_call.c). What
 * the gateway asks, and its sessions, are in day_gate.c; links, hosts and the run in day.c.
 */
#ifndef POSTERN_TESTS_SIM_DAY_H
#define POSTERN_TESTS_SIM_DAY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/agenda.h"
#include "tests/sim/peer.h"
#include "tests/sim/rig.h"

enum {
	DAY_CALLS_MAX = 256,
	DAY_PORTS_OF_A_CALL = 64, /* that a client uses in turn */
	DAY_FIRST_PORT = 10000,
	DAY_LISTEN_PORT = 443,
	DAY_ENDPOINT_PORT = 8443,
	DAY_MS = 1000,
	DAY_SECOND = 1000 * DAY_MS
};

#define DAY_HOUR (UINT64_C(3600) * DAY_SECOND)

enum day_event { DAY_TO_GATE, DAY_TO_PEER, DAY_TIMER, DAY_BEGIN, DAY_LEAVE, DAY_MINUTE };

/* The endpoints' hosts. Those that answer come first. */
enum day_endpoint {
	DAY_ENDPOINT_V4,
	DAY_ENDPOINT_V6,
	DAY_ENDPOINT_OLD, /* no timestamps: whoever has them is relayed */
	DAY_ENDPOINT_SMALL,
	DAY_ENDPOINTS_GOOD,
	DAY_ENDPOINT_REFUSING = DAY_ENDPOINTS_GOOD,
	DAY_ENDPOINT_BLACK_HOLE,
	DAY_ENDPOINTS
};

/* X(constant, of a hundred, text). Those before CHAT are soon over. */
#define DAY_PERSONA_LIST(X)                                                                                            \
	X(EXCHANGE, 46, "a few bytes each way")                                                                        \
	X(BULK, 3, "hundreds of kilobytes")                                                                            \
	X(ABORT, 3, "one side aborts")                                                                                 \
	X(SILENT, 3, "the client never says enough")                                                                   \
	X(SYN_ONLY, 3, "a SYN and nothing else")                                                                       \
	X(NO_ENDPOINT, 3, "nobody is there to answer")                                                                 \
	X(CHAT, 14, "a word every now and then, for hours")                                                            \
	X(KEPT, 6, "idle for hours, and kept by keep-alives")                                                          \
	X(HALF_CLOSED, 4, "one side closes, the other goes on for hours")                                              \
	X(STALLED, 3, "the client's window is closed for hours")                                                       \
	X(IDLE, 4, "idle for too long: ended, and both told")                                                          \
	X(CLIENT_VANISHES, 3, "the client loses power")                                                                \
	X(ENDPOINT_VANISHES, 3, "the endpoint loses power")                                                            \
	X(ENDPOINT_RESTARTS, 2, "the endpoint's host forgets it")

enum day_persona {
#define X(constant, share, text) DAY_PERSONA_##constant,
	DAY_PERSONA_LIST(X)
#undef X
		DAY_PERSONAS
};

struct day_call {
	struct peer peer[LEG_COUNT];
	enum day_persona persona;
	bool going, bridged, joined, gone[LEG_COUNT];
	bool closed[LEG_COUNT], shut[LEG_COUNT]; /* its session's: closed: its peer; shut: we, towards it */
	unsigned number, uses, endpoint;
	uint64_t begun_us, over_us; /* over_us: 0: it isn't */
	uint64_t ended_us;          /* when the gateway said that it is over, by reason */
	uint64_t leaves_us;         /* PEER_NEVER: nobody does */
	uint32_t hello;
	unsigned left;         /* side that the persona has leave */
	struct bridge *bridge; /* its session's; NULL: it has none */
	enum reason reason;    /* for which the gateway has ended it; REASON_NONE: it hasn't */
	uint32_t pause_ms;     /* its session waits so long before it carries on */
};

struct day {
	struct rig rig;
	struct agenda agenda;
	struct day_call calls[DAY_CALLS_MAX];
	struct ip_addr endpoints[DAY_ENDPOINTS];
	uint64_t seed, random_state;
	uint64_t now_us, begin_us, end_us; /* end_us: after that nobody begins */
	bool failed;
	unsigned n_sessions; /* that there are */
	/* For the report. */
	uint64_t n_begun, n_bridged, n_of[DAY_PERSONAS];
	uint64_t n_haunted; /* decisions about what came late */
	uint64_t n_untold;  /* calls of which one side wasn't told the end */
};

extern struct day day;

/* --- day.c --- */

/* Something that must not be; call: NULL: of nobody's. */
__attribute__((format(printf, 2, 3))) void day_fail(const struct day_call *call, const char *format, ...);
uint32_t day_below(uint32_t bound);
bool day_chance(unsigned percent);
void day_plan(uint64_t at, enum day_event kind, uint32_t index);
/* Sees to it that a peer's timers run when they are due. */
void day_arm(struct peer *peer);

/* --- day_call.c --- */

const char *day_persona_text(enum day_persona persona);
/* Whose call comes from there; NULL: nobody's. */
struct day_call *day_call_of(const struct ip_addr *client, uint16_t port);
/* After whatever may have ended it. */
void day_call_look_at(struct day_call *call);
/* Somebody's host is gone, as the persona has it. */
void day_call_leave(struct day_call *call);
/* Whoever wasn't told, since a RST is said only once and may be lost, has to find out by himself: that there is nobody
 * any more. */
void day_call_find_out(struct day_call *call);
/* The next call of a client, when the gateway has forgotten the last one: that it must, soon. */
void day_call_begin_next(struct day_call *call);

/* --- day_gate.c --- */

/* Puts the hooks into the rig. */
void day_gate_open(void);

#endif
