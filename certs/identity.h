/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a peer has proved to be.
 *
 * A struct peer_identity is one block on the heap: immutable, counted by references, shared by the cache of verified
 * chains and by all connections of the same peer, on whichever threads they are. It is born in one of three ways:
 *
 *	verify_spiffe           kind PEER_SPIFFE, id from the certificate
 *	verify_legacy, _server  kind PEER_LEGACY, names (DNS, IP) and no id: what it may call itself is the identity
 *map's to say, and peer_identity_map then makes one with an id an interface's rule     kind PEER_NETWORK, id from the
 *rule (identity_map.h); proved by nothing but its place
 *
 * Authorization looks at id alone. A peer without one (id.length == 0) is nobody.
 */
#ifndef POSTERN_CERTS_IDENTITY_H
#define POSTERN_CERTS_IDENTITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "certs/spiffe_id.h"
#include "platform/ip_addr.h"

enum peer_kind { PEER_SPIFFE, PEER_LEGACY, PEER_NETWORK };

/* What the peer is in the TLS session: decides which extended key usage its certificate needs. */
enum peer_role { PEER_CLIENT, PEER_SERVER };

/* A view of text or bytes in the identity's block. */
struct peer_bytes {
	const char *bytes; /* a text is NUL-terminated too */
	uint32_t length;
};

struct peer_identity {
	atomic_uint refs;
	uint8_t kind; /* enum peer_kind */
	uint8_t role; /* enum peer_role */
	uint16_t n_dns, n_ips, n_certs;
	struct spiffe_id id; /* NUL-terminated here */
	/* PEER_LEGACY */
	struct peer_bytes pki;        /* name of the legacy PKI that vouches for it; else empty */
	const struct peer_bytes *dns; /* its DNS names that are host names (perhaps with a wildcard), lower-case */
	const struct ip_addr *ips;
	struct peer_bytes uri;         /* its only URI, when there is exactly one; else empty */
	struct peer_bytes matched_dns; /* mapped: the name that matched the rule; else empty */
	/* What was verified */
	const struct peer_bytes *certs; /* DER, as the peer sent them, leaf first; none for PEER_NETWORK */
	uint8_t chain_sha256[32];       /* over all of them */
	uint8_t leaf_sha256[32];        /* the usual fingerprint */
	uint8_t spki_sha256[32];        /* of the leaf's SubjectPublicKeyInfo */
	int64_t not_before;             /* Unix seconds: the latest in the chain, its root included */
	int64_t not_after;              /* the earliest in it; INT64_MAX for PEER_NETWORK */
	int64_t leaf_not_after;         /* of the peer's own certificate: what a grace period counts from */
	uint64_t generation;            /* of the trust that verified it; 0 for PEER_NETWORK */
};

/* What a new one is made of; everything is copied. n_certs DER strings with their digests, or none. */
struct peer_identity_source {
	enum peer_kind kind;
	enum peer_role role;
	struct spiffe_id id;
	struct peer_bytes pki, uri, matched_dns;
	const struct peer_bytes *dns, *certs;
	const struct ip_addr *ips;
	unsigned n_dns, n_ips, n_certs;
	const uint8_t *chain_sha256, *leaf_sha256, *spki_sha256; /* 32 bytes, or NULL */
	int64_t not_before, not_after, leaf_not_after;
	uint64_t generation;
};

/* With one reference, the caller's; NULL when there is no memory. */
struct peer_identity *peer_identity_new(const struct peer_identity_source *source);
/* The same proof under another ID: what an identity map's rule makes of a peer. matched_dns: one of its names, or
 * empty. */
struct peer_identity *peer_identity_map(const struct peer_identity *proved, const struct spiffe_id *id,
					struct peer_bytes matched_dns);

/* Any thread. Returns identity. */
struct peer_identity *peer_identity_take(const struct peer_identity *identity);
/* NULL is fine. */
void peer_identity_drop(const struct peer_identity *identity);

#endif
