/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain's client: who somebody would be to a listener, if he proves what he says. What is a guess from less than a
 * connection has (which interface, whose key) is said in a note.
 */
#ifndef POSTERN_GATEWAY_EXPLAIN_CLIENT_H
#define POSTERN_GATEWAY_EXPLAIN_CLIENT_H

#include "certs/identity_map.h"
#include "dataplane/reason.h"
#include "federation/snapshot.h"
#include "platform/text.h"

enum explain_claim {
	EXPLAIN_ID,          /* "spiffe://…": an X.509-SVID; or the ID that a rule gives */
	EXPLAIN_CERTIFICATE, /* "PKI/dns.name": a certificate of a legacy PKI with that name */
	EXPLAIN_ADDRESS      /* nothing but where he comes from */
};

/* Who asks. Texts are the asker's. */
struct explain_client {
	enum explain_claim claim;
	struct spiffe_id id; /* of ID */
	struct name pki;     /* of CERTIFICATE; dns is the rest of the text, lower-case */
	const char *dns;
	bool has_address;
	struct ip_addr address; /* zero when unknown: in no ipBlocks */
	const char *interface;  /* that he comes in by; NULL: any that a rule names */
};

/* from: of --from; address, interface: of those options, or NULL. False, with a line in error. */
bool explain_client_parse(const char *from, const char *address, const char *interface, struct explain_client *client,
			  struct text *error);

/* Who the client is to a listener. */
struct explain_who {
	struct peer_identity *identity;        /* a reference; NULL: nobody */
	const struct identity_rule_spec *rule; /* of an IdentityMap, that gave it; NULL: none did */
	enum reason refused;                   /* REASON_NONE: not yet */
	const char *why;                       /* then: a sentence; else a remark, or NULL */
};

/* map: of the snapshot's rules, by the same indexes. tls: how the listener ends TLS for the name that the client asks
 * for; NULL: it doesn't, or takes no such name. explain_who_end gives back what is in who. */
void explain_who(const struct snapshot *snapshot, const struct identity_map *map, const struct listener *listener,
		 const struct listener_tls *tls, const struct explain_client *client, struct explain_who *who);
void explain_who_end(struct explain_who *who);

#endif
