/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AuthorizationPolicies, compiled: who may open a connection to what. Istio's semantics (security.istio.io/v1), on
 * facts that were proved.
 *
 *   listener ─▶ policies that target its Gateway ────────────┐
 *   service  ─▶ policies that target its ServiceEntry        ├─▶ verdict and the rule that decided
 *               + those of its namespace + those of the root ┘
 *
 * 1. A DENY policy that matches: denied.
 * 2. ALLOW policies target the Gateway, or apply to the service, and of them none matches: denied. Both have their say,
 *    as a gateway and a workload behind it have in Istio: what one admits the other may still refuse.
 * 3. The caller is of our own trust domain: allowed.
 * 4. The caller is of another one, or proved nothing: denied, unless an ALLOW rule admitted it by step 2. One that
 * admits a caller of another trust domain must name it: by a principal, in `principals` or `when`, that says the trust
 *    domain.
 *
 * A policy is a list of rules, a rule one or more *entries*, and an entry a list of conditions that must all hold: one
 * source and one operation of the rule, and its `when`. So any entry of any rule of any policy is enough for a match.
 *
 * *Local* patterns. What doesn't say a trust domain (a namespace, a service account, the principals "*" and "*suffix")
 * means any trust domain where it refuses, and ours alone where it admits. It admits in `principals` of ALLOW and in
 * `notPrincipals` of DENY; it refuses in the other two. So nobody of another domain is let in, or spared, by a name
 * that only happens to be the same. One exception: notPrincipals ["*"] of DENY spares everyone who proved who he is; it
 * is how policies demand mTLS.
 *
 * Cost. Each target has an index of its own. An entry is found there by one of its conditions, the one whose
 * patterns the fewest others share, and then checked against the rest; so a connection costs some lookups by hash and
 * binary search, however many policies there are. What can't be found so is walked: entries without any positive
 * condition, and those that share all they ask for with others. They mostly decide at once.
 *
 * All of it is made at reload, in the snapshot's arena, immutable; policy_evaluate is pure, and runs anywhere.
 */
#ifndef POSTERN_FEDERATION_POLICY_H
#define POSTERN_FEDERATION_POLICY_H

#include <string.h>

#include "federation/pattern_set.h"
#include "federation/snapshot.h"

/* The namespace whose policies apply to all services, as Istio's default has it. */
#define POLICY_ROOT_NAMESPACE "istio-system"

enum policy_action { POLICY_ALLOW, POLICY_DENY, POLICY_ACTIONS };

/* What conditions are about. A caller whose identity isn't TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT has neither namespace
 * nor account. */
enum policy_field {
	POLICY_PRINCIPAL, /* the SPIFFE ID without "spiffe://" */
	POLICY_ACCOUNT,   /* "/ns/NAMESPACE/sa/ACCOUNT" */
	POLICY_NAMESPACE,
	POLICY_ADDRESS, /* as policy_address_bytes makes it: where the packets come from */
	POLICY_PORT,    /* 2 bytes, network order: the service's; the listener's for policies of a Gateway */
	POLICY_HOST,    /* two values: the service's host, and the server name that the client asked for */
	POLICY_SNI,     /* the server name alone */
	POLICY_FIELDS
};

/* An address as a value: 4 or 6, so that ::/0 takes no IPv4 in, and its bytes. Returns how many there are. */
enum { POLICY_ADDRESS_BYTES = 17 };
static inline uint32_t
policy_address_bytes(const struct ip_addr *addr, char bytes[POLICY_ADDRESS_BYTES])
{
	bool v4 = ip_addr_is_v4(addr);

	bytes[0] = v4 ? 4 : 6;
	memcpy(bytes + 1, v4 ? addr->bytes + 12 : addr->bytes, v4 ? 4 : 16);
	return v4 ? 5 : 17;
}

/* A rule as it is reported. */
struct policy_rule {
	struct name space, name; /* of its policy */
	struct origin origin;    /* of the rule; of the policy where it has none */
	uint32_t number;         /* over all policies, in the files' order */
	enum policy_action action;
};

struct policy_condition {
	struct pattern_set patterns;
	const char *name; /* as the file calls it: "notPrincipals", "when source.ip values" */
	struct origin origin;
	enum policy_field field;
	bool negated;
};

struct policy_group {
	const struct policy_condition *list;
	uint32_t n;
};

enum { POLICY_GROUPS = 3 /* source, operation, when */ };

struct policy_entry {
	const struct policy_rule *rule;
	const struct policy_group *groups[POLICY_GROUPS];
	const struct policy_condition *key; /* by which it is found; NULL: it is walked */
	bool names;                         /* it names principals */
};

/* The policies of one action that apply to one target. */
struct policy_matcher {
	const struct policy_rule *first; /* NULL: there are none */
	const struct policy_entry *entries;
	uint32_t n_entries;
	struct pattern_set keys[POLICY_FIELDS]; /* uses: indexes of entries */
	const uint32_t *walked;                 /* entries without a key */
	uint32_t n_walked;
};

struct policy_index {
	struct policy_matcher matchers[POLICY_ACTIONS];
};

enum { POLICY_INDEXES = 4 /* of its ServiceEntry, its name as a Service, its namespace, the root namespace */ };

struct policy_scope {
	const struct policy_index *indexes[POLICY_INDEXES]; /* NULL: none */
};

struct policy_set {
	struct name trust_domain; /* ours */
	const struct service *services;
	const struct policy_scope *scopes;           /* by index of the service */
	const struct policy_index *const *listeners; /* by index of the listener; NULL: none */
	uint32_t n_policies, n_rules, n_entries;
};

/* What a connection is, as far as policies ask. Texts are the caller's, and need no NUL. */
struct policy_facts {
	const char *principal;     /* proved and mapped, without "spiffe://" */
	uint32_t principal_length; /* 0: nothing was proved */
	uint32_t sni_length;       /* 0: the client named nobody */
	const char *sni;           /* lower-case */
	struct ip_addr address;    /* of the client */
	const struct listener *listener;
	const struct service *service; /* that it was routed to */
	uint16_t port;                 /* of the service, host order */
};

enum policy_outcome {
	POLICY_ALLOWED,            /* by rule */
	POLICY_ALLOWED_BY_DEFAULT, /* own trust domain, and no ALLOW policy applies */
	POLICY_DENIED,             /* by rule, of a DENY policy */
	POLICY_NOT_ALLOWED,        /* ALLOW policies apply, and none matches; rule is the first of them */
	POLICY_NOT_NAMED,          /* another trust domain, and no ALLOW rule names the caller */
	POLICY_NOT_PROVED          /* nothing was proved, and no ALLOW rule matches */
};

struct policy_verdict {
	enum policy_outcome outcome;
	const struct policy_rule *rule; /* that decided, or NULL */
};

static inline bool
policy_allows(const struct policy_verdict *verdict)
{
	return verdict->outcome <= POLICY_ALLOWED_BY_DEFAULT;
}

/* facts: listener and service of the same snapshot as set. */
struct policy_verdict policy_evaluate(const struct policy_set *set, const struct policy_facts *facts);

enum { POLICY_GAP_MAX = 8 };

/* The ALLOW rule that comes nearest to matching: the fewest of its conditions fail, and of those the ones about other
 * things than who the client is; then the first in the file. */
struct policy_gap {
	const struct policy_rule *rule;                        /* NULL: no ALLOW policy applies that has a rule */
	uint32_t n_failed;                                     /* conditions that fail */
	uint32_t distance;                                     /* policy.c's own */
	const struct policy_condition *failed[POLICY_GAP_MAX]; /* the first of them */
	bool unnamed; /* it matches, or would, but names no principal, which a caller of another domain needs */
};

/* For explain, after a denial that isn't POLICY_DENIED. Walks all entries that apply. */
void policy_nearest(const struct policy_set *set, const struct policy_facts *facts, struct policy_gap *gap);

#endif
