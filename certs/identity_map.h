/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity maps: which SPIFFE ID a peer without one has, by ordered rules. The first rule that matches decides; no
 *match is a refusal. Plain data: whoever reads the file (federation/) lays out the rules, of all maps one after another
 *in their order, and checks each with identity_rule_check; nothing here allocates.
 *
 *	from: { legacyPKI: corp, dns: billing.corp.example }       a client certificate of that PKI with that DNS name
 *	from: { legacyPKI: corp, dns: "*.meters.corp.example" }    exactly one label in the asterisk's place, which
 *	                                                           {dns.label} in the SPIFFE ID stands for
 *	from: { …, spkiSHA256: … }                                 and with that public key; another one is refused, and
 *no later rule is asked: a stolen name isn't somebody else from: { interface: vm0, sourceCIDR: 10.40.0.0/24 } no TLS:
 *who sits there
 *
 * Names in a certificate that are no host names, or are wildcards themselves, match nothing; nor does an address, nor
 * a common name. Mapped IDs live in the map's own trust domain, which is neither federated nor, unless the operator
 * says so, the local one (map_domain_taken).
 */
#ifndef POSTERN_CERTS_IDENTITY_MAP_H
#define POSTERN_CERTS_IDENTITY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_error.h"
#include "certs/identity.h"
#include "platform/ip_addr.h"

/* All texts NUL-terminated, owned by whoever made the rule, alive as long as the map. */
struct identity_rule {
	const char *legacy_pki;     /* NULL for an interface's rule */
	const char *dns;            /* lower-case; "*.…" for one label; NULL with an interface */
	const uint8_t *spki_sha256; /* 32 bytes, or NULL */
	const char *interface;      /* name in postern.conf; NULL with a legacy PKI */
	struct ip_prefix source;    /* with an interface; 0.0.0.0/0 or ::/0 for all of one family */
	const char *spiffe_id;      /* may hold {dns.label} once or more, in its path */
	const char *trust_domain;   /* the map's */
	/* For an interface's rule: the identity ready to be handed out, so that a worker allocates nothing. Made by
	 * identity_rule_network, dropped by whoever made the rule; NULL for others. */
	struct peer_identity *network;
	/* Where it was written: opaque here, for explain and logs. */
	const void *origin;
};

struct identity_map {
	const struct identity_rule *rules;
	uint32_t n;
};

/* Whether a rule can stand. taken: trust domains that mapped IDs must stay out of (federated ones, and the local one
 * unless it is allowed), n of them. Bounds nothing else. */
enum cert_error identity_rule_check(const struct identity_rule *rule, const char *const *taken, unsigned n);

/* Makes rule->network of an interface's rule. */
enum cert_error identity_rule_network(struct identity_rule *rule);

struct identity_match {
	uint32_t rule;         /* index */
	uint32_t also;         /* the next rule that would have matched with another ID, UINT32_MAX when none: worth
				  a log line */
	struct peer_bytes dns; /* the certificate's name that matched */
	char text[SPIFFE_ID_MAX + 1];
	struct spiffe_id id; /* of text */
};

/* Who the peer of a legacy PKI is. CERT_NONE, CERT_MAP_NO_RULE, CERT_MAP_AMBIGUOUS, CERT_MAP_PIN, or what is wrong
 * with the SPIFFE ID that comes of the name. With all but MAP_NO_RULE, match->rule is set. Then peer_identity_map(peer,
 * &match.id, match.dns). */
enum cert_error identity_map_legacy(const struct identity_map *map, const struct peer_identity *peer,
				    struct identity_match *match);

/* Who sits at source behind the interface: the index of the rule, whose ->network is it (peer_identity_take); or
 * CERT_MAP_NO_RULE. also as above, may be NULL. Workers call this: no heap. */
enum cert_error identity_map_network(const struct identity_map *map, const char *interface,
				     const struct ip_addr *source, uint32_t *rule, uint32_t *also);

#endif
