/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would become of a connection, and who would decide it, without sending anything. By the very functions that
 * decide connections: snapshot_listener, target_find, identity_map_legacy and _network, authorize.
 *
 *   from ─▶ who that is to the listener ──┐
 *   to ───▶ listeners that lead there ────┼─▶ for each way: listener, identity, route, and for each destination of the
 *           (by name, by service, all)    │   route: policy, endpoints
 *   a federation in force, or of files ───┘
 *
 * A host may be what a client asks for (a server name), the host of a service, or an address of ours. So more than one
 * way may lead there; each is explained by itself. What a connection would be chosen for by chance or by load (a
 * backend of a weighted route, an endpoint) is listed whole.
 *
 * The answer, here and in docs/posternctl.md, is a JSON object:
 *   from, to, allowed
 *   ways[]: listener{gateway, port, name, mode, at}, server_name, client{spiffe_id, trust_domain, map, at, remark},
 *           route, refused, because, destinations[]: service, namespace, port, subset, share, at, verdict, reason,
 *           because, policy{name, action, at}, nearest{…}, suggestion, endpoints[]{address, workload, weight, active,
 * at} "at" is "file:line:column". verdict: "allowed", "refused", "passed" (its endpoint decides).
 */
#ifndef POSTERN_GATEWAY_EXPLAIN_H
#define POSTERN_GATEWAY_EXPLAIN_H

#include <jansson.h>

#include "federation/snapshot.h"
#include "gateway/live.h"
#include "platform/text.h"

struct explain_query {
	const char *from;      /* explain_client.h */
	const char *to;        /* "HOST:PORT" or "ADDRESS:PORT" */
	const char *listener;  /* only by this Gateway ("namespace/name") or port, and why not if not; NULL: by any */
	const char *address;   /* where the client comes from; NULL: unknown */
	const char *interface; /* by which it comes in; NULL: unknown */
};

/* live: for what endpoints carry now; NULL: unknown. NULL, with a line in error, when the question makes no sense. Main
 * thread. */
json_t *explain(const struct snapshot *snapshot, const struct live *live, const struct explain_query *query,
		struct text *error);

#endif
