/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stand-ins for what ends connections at the gateway: sessions that carry bytes from leg to leg, as the real ones do
 * with what they have decrypted, each at its own pace. Some take all at once, some a bite every now and then; some
 * copy, some hand buffers on; some dial late, some send before their endpoint has answered, some give up midway.
 *
 * They draw from randomness of their own: whether a world has any changes nothing else of it.
 */
#ifndef POSTERN_TESTS_SIM_SESSION_H
#define POSTERN_TESTS_SIM_SESSION_H

#include "tests/sim/world.h"

/* Set for a run: all connections end at the gateway, and a stand-in decides about them, in every world. */
extern bool session_all;
/* Before the rig is opened: what the world has of them, and how many bridges there may be (0: plenty). */
void session_open(uint64_t seed, struct rig_options *options);
/* Puts their hooks beside the stand-in's. */
void session_hooks(struct dataplane_hooks *hooks);
/* What is about to be planned for a connection, as far as plain listeners ask for something else. */
void session_bend(struct connection *connection, struct peer_traits *client, struct peer_traits *served);
/* Whether the stand-in's decision is that a connection ends here. */
bool session_wants(const struct connection *connection);
/* The process has died, and they with it. */
void session_die(void);
/* All is over: none may be left. */
void session_audit_end(void);

#endif
