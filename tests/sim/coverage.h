/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the simulation has met: how many connections were in each situation to the end, and what the gateway counted for
 * each reason. A situation that never occurs proves nothing, so those marked MUST fail a run that asks for all of them.
 */
#ifndef POSTERN_TESTS_SIM_COVERAGE_H
#define POSTERN_TESTS_SIM_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/rig.h"

/* X(constant, what it is). Where nothing else is said, a connection is counted when it went through that and came to
 * its end in good order. */
#define SITUATION_LIST(X)                                                                                              \
	/* operator */                                                                                                 \
	X(REAL_GATEWAY, "decided by the real gateway")                                                                 \
	X(OUTLIVED_RELOAD, "went on over a reload")                                                                    \
	X(OUTLIVED_BROKEN_RELOAD, "went on over a reload of a broken file")                                            \
	X(OUTLIVED_DRAIN, "went on while Postern drained")                                                             \
	X(OUTLIVED_REMOVAL, "its endpoint was taken out of the federation meanwhile")                                  \
	X(OUTLIVED_LISTENER, "its listener was taken out of the federation meanwhile")                                 \
	X(NEW_ENDPOINT, "went to an endpoint that a reload added")                                                     \
	X(NEW_PORT, "went to a port of a host that has several")                                                       \
	X(TURNED_AWAY_DRAINING, "RST to a SYN while Postern drained")                                                  \
	X(TURNED_AWAY_LISTENER, "RST to a client whose listener is gone")                                              \
	X(OTHER_ENDPOINT, "reached the second or third endpoint that was tried")                                       \
	X(PROBED, "an endpoint was probed")                                                                            \
	/* workers */                                                                                                  \
	X(WORKERS_ONE_QUEUE, "one of several workers, devices with one queue")                                         \
	X(WORKERS_SPREAD, "one of several workers, devices that spread")                                               \
	X(OUTLIVED_PROCESS, "went on over a restart of the gateway")                                                   \
	X(OUTLIVED_REAL_PROCESS, "went on over a restart of the real gateway")                                         \
	X(OTHER_WORKERS, "went on with another number of workers")                                                     \
	X(ATTACKED, "somebody forged packets meanwhile")                                                               \
	/* links */                                                                                                    \
	X(CALM, "nothing went wrong on the links")                                                                     \
	X(MTU_SHRANK_TOLD, "the path MTU shrank meanwhile, and a router said so")                                      \
	X(MTU_SHRANK_HOLE, "the path MTU shrank meanwhile to a black hole")                                            \
	X(OUTAGE, "a link was down for a minute or more")                                                              \
	X(LOPSIDED, "one direction of a link is much slower than the other")                                           \
	X(CORRUPTED, "corrupting links")                                                                               \
	/* peers: patience */                                                                                          \
	X(HALF_CLOSED_MINUTES, "the endpoint went on for minutes after the client's FIN")                              \
	X(HALF_CLOSED_MINUTES_BACK, "the client went on for minutes after the endpoint's FIN")                         \
	X(IDLE_SPARED, "idle until just before the time-out")                                                          \
	X(IDLE_TOLD, "idle beyond the time-out: ended, and both told")                                                 \
	X(IDLE_KEPT, "kept beyond the idle time-out by keep-alives")                                                   \
	X(ZERO_WINDOW_MINUTES, "the client's window was closed for minutes")                                           \
	/* peers: habits */                                                                                            \
	X(SIMULTANEOUS_CLOSE, "both FINs crossed")                                                                     \
	X(REPEATS_ALL, "a peer sent everything twice")                                                                 \
	X(PORT_REUSED, "the client's port had had a connection before")                                                \
	X(URGENT, "urgent data")                                                                                       \
	X(ECN, "ECN offered in a SYN")                                                                                 \
	X(ODDITIES, "MPTCP, Fast Open and an unknown option in a SYN")                                                 \
	X(SYN_DATA, "data in the SYN")                                                                                 \
	X(SYN_ACKS_LOST, "three SYN-ACKs and more were lost on the way to the client")                                 \
	X(ENDPOINT_SYN_ACKS_LOST, "SYN-ACKs of the endpoint were lost")                                                \
	X(CHALLENGED, "the endpoint answered the SYN with a challenge ACK")                                            \
	X(ENDPOINT_DEAF, "the endpoint didn't hear the first SYN")                                                     \
	X(SCALE_0, "window scale 0")                                                                                   \
	X(SCALE_14, "window scale 14")                                                                                 \
	X(NO_SCALE, "no window scaling on one leg")                                                                    \
	X(NO_SACK, "no SACK on one leg")                                                                               \
	X(NO_TIMESTAMPS, "no timestamps on either leg")                                                                \
	X(TIMESTAMPS, "timestamps on both legs")                                                                       \
	X(MSS_536, "MSS 536")                                                                                          \
	X(JUMBO_CLIENT, "the client takes 8960 bytes")                                                                 \
	X(JUMBO_ENDPOINT, "the endpoint takes 8960 bytes")                                                             \
	/* endpoints */                                                                                                \
	X(POOL_DIFFERS, "a pool whose endpoints differ in their options")                                              \
	X(RESTARTED_UNDER, "its endpoint restarted meanwhile: ended, and the client told")                             \
	X(AFTER_RESTART, "went to an endpoint that had restarted with other options")                                  \
	/* pools */                                                                                                    \
	X(FULL_FLOWS, "the flow table was full at times")                                                              \
	X(FULL_HOLDS, "the hold pool was empty at times")                                                              \
	X(FULL_PACKETS, "the packet pool was empty at times")                                                          \
	X(FULL_NEIGHBOURS, "the neighbour table was full")                                                             \
	X(FULL_INBOX, "a hand-over ring was full at times")                                                            \
	X(FULL_TX, "a transmit queue was full at times")                                                               \
	/* connections that end here */                                                                                \
	X(BRIDGED, "ended at the gateway, and carried on by a session")                                                \
	X(BRIDGE_DIED, "ended at the gateway, and its process died: both told")                                        \
	X(RELAYED, "the options of both ends couldn't be translated")                                                  \
	X(PLAIN, "sent to its endpoint before it had said anything")                                                   \
	X(SERVER_FIRST, "… and its endpoint spoke first")

enum situation {
#define X(constant, text) MET_##constant,
	SITUATION_LIST(X)
#undef X
		SITUATIONS
};

static_assert(SITUATIONS <= 64, "a connection's situations are one word");

#define SITUATION_BIT(situation) (UINT64_C(1) << (situation))

/* Counts each of a set of situations. */
void coverage_count(uint64_t situations);
/* Adds what the workers of a world counted. */
void coverage_take_reasons(const struct rig *rig);
void coverage_print(void);
/* Whether every situation has been met, and every reason that must be; names those that haven't. */
bool coverage_is_whole(void);

#endif
