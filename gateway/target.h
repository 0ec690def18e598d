/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a listener leads by the server name that a client asks for: the first half of every decision, pure.
 *
 *   PASSTHROUGH, TERMINATE  server name ─▶ route, of which a backend is then chosen by weight (balance.h)
 *   TCP, PLAIN              ─▶ the one route there is
 *   AUTO_PASSTHROUGH        outbound_.<port>_.<subset>_.<host> ─▶ backend
 */
#ifndef POSTERN_GATEWAY_TARGET_H
#define POSTERN_GATEWAY_TARGET_H

#include "dataplane/reason.h"
#include "federation/snapshot.h"

struct target {
	const struct route *route;     /* or */
	const struct backend *backend; /* one of the two */
	enum reason reason;            /* neither: why */
};

/* sni: lower-case, no trailing dot; length 0: none. */
struct target target_find(const struct snapshot *snapshot, const struct listener *listener, const char *sni,
			  size_t length);

#endif
