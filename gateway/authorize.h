/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a client may have what it was routed to: what it proved, and where it came in, against the policies of a
 * snapshot (federation/policy.h has the rules).
 *
 * Asked when a bridged connection has been routed, and again, from the same facts, whenever another snapshot is in
 * force. Connections that are passed through prove nothing to us, and aren't asked: their endpoints authenticate
 * and authorize.
 *
 * Pure; any thread.
 */
#ifndef POSTERN_GATEWAY_AUTHORIZE_H
#define POSTERN_GATEWAY_AUTHORIZE_H

#include "certs/identity.h"
#include "dataplane/reason.h"
#include "federation/policy.h"

struct authorize_facts {
	/* Verified, and mapped where it had no SPIFFE ID. NULL, or one without an ID: nobody. */
	const struct peer_identity *identity;
	struct ip_addr client;
	/* Of the snapshot: where the client came in, and what it was routed to. */
	const struct listener *listener;
	const struct service *service;
	uint16_t port;   /* of the service, host order */
	const char *sni; /* lower-case; length 0: none */
	uint16_t sni_length;
};

/* REASON_NONE: it may. Else REASON_AUTHZ_DENIED, _NOT_ALLOWED or _DEFAULT_DENY. verdict, if not NULL, gets the outcome
 * and the rule that decided, which is the snapshot's. */
enum reason authorize(const struct snapshot *snapshot, const struct authorize_facts *facts,
		      struct policy_verdict *verdict);

/* The facts as policies see them; for policy_nearest. */
struct policy_facts authorize_policy_facts(const struct authorize_facts *facts);

#endif
