/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator of the real gateway: writes a federation.yaml, has it loaded and put in force as the box does, changes
 * it while connections go on, drains, and keeps a book of its own on what is in force, against which each of the
 * gateway's decisions and offers is held.
 *
 *   listener 443    PASSTHROUGH        s<i>.sim.example              ─▶ service i, or by weight service i + 1
 *   listener 15443  AUTO_PASSTHROUGH   outbound_.8443_._.s<i>.mesh…  ─▶ service i
 */
#ifndef POSTERN_TESTS_SIM_OPERATOR_H
#define POSTERN_TESTS_SIM_OPERATOR_H

#include "tests/sim/world.h"

enum operator_change {
	OPERATOR_ENDPOINTS, /* some are added, some removed */
	OPERATOR_LISTENER,  /* one is removed, or put back */
	OPERATOR_BROKEN,    /* a file with an error: nothing changes */
	OPERATOR_SAME,      /* nothing has changed */
	OPERATOR_CHANGES
};

/* Draws a federation over world.endpoints and puts it in force. */
void operator_open(void);
void operator_close(void);
void operator_reload(enum operator_change change);
void operator_drain(bool draining);
/* A process with so many workers takes over. It has what the one before kept, and the file that is in force. */
void operator_succeed(unsigned n_workers);
/* It has adopted what it could. */
void operator_adopted(void);
/* Once a second. */
void operator_tick(void);

/* The real hooks; their calls are to be checked by decision.c. */
const struct dataplane_hooks *operator_hooks(void);

bool operator_listens(uint16_t port);
/* Whether a connection may go there, by what is in force now. */
bool operator_may_reach(const struct connection *connection, unsigned endpoint);
/* Whether the gateway may ask an endpoint for its options: it is, or was a moment ago, in force. */
bool operator_may_probe(unsigned endpoint);
/* Whether the connection may be told that there is no endpoint (left). tried: live slots that failed. */
bool operator_may_have_none(const struct connection *connection, unsigned attempt, const uint32_t tried[2]);
/* Whether a service has as many connections as it may have; whether the connection may be told so. */
bool operator_is_full(unsigned service);
bool operator_may_be_full(const struct connection *connection);
/* The service that a live slot's name is of, or HELLO_SERVICES. */
unsigned operator_service_of(uint32_t slot);
/* The endpoint behind a live slot, or world.n_endpoints. */
unsigned operator_endpoint_of(uint32_t slot);
/* What was learned of an endpoint. */
void operator_learned(uint32_t slot, const struct tcp_profile *profile);
/* Whether a SYN-ACK may offer that now; NULL, or what is wrong. */
const char *operator_offer_fault(bool client_sack, bool sack, bool client_timestamps, bool timestamps, uint16_t mss);
/* All is over: nothing may be left that nobody needs. */
void operator_audit_end(void);

#endif
