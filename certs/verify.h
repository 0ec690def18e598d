/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification of the certificates that a peer sent.
 *
 * Three questions, one way:
 *
 *	verify_spiffe   an X.509-SVID of whichever trust domain it names, against that domain's bundle and no other
 *	verify_legacy   a client of a legacy PKI; who that is, the identity map says from its DNS names
 *	verify_server   a server of a legacy PKI, by host name (RFC 6125), for TLS that Postern originates
 *
 * First what costs nothing (length of the chain, names, key usages, strength of keys and signatures), each rule with
 *its own error, in the order of the standard; then the path, by OpenSSL's RFC 5280 validation over the anchors of that
 *one domain or PKI; then revocation and names. A common name is never read.
 *
 * A chain that has passed is remembered in the view's cache by the SHA-256 of the exact certificates, the kind of
 * question, the PKI, and the peer's role, until the trust changes or the earliest of its certificates expires, and
 *isn't verified again. What a caller expects of a server's name is compared each time.
 *
 * Life after the handshake: identity->not_after and leaf_not_after say when to close (plus the operator's grace), and
 * verify_again tells whether a live connection's peer would still pass after the trust has changed; with the
 * cache that costs one verification for each chain, not for each connection.
 *
 * Chains are what SSL_get0_peer_certificate and SSL_get_peer_cert_chain give: the leaf, and all others in whichever
 * order. certs must be leaf first; it is only read. now: Unix seconds. *identity gets one reference, the caller's, or
 * NULL on an error.
 */
#ifndef POSTERN_CERTS_VERIFY_H
#define POSTERN_CERTS_VERIFY_H

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/cert_error.h"
#include "certs/identity.h"
#include "certs/trust.h"

enum {
	VERIFY_CHAIN_MAX = 8,           /* certificates that a peer may send, its own included */
	VERIFY_CERT_BYTES_MAX = 32768,  /* each */
	VERIFY_CHAIN_BYTES_MAX = 65536, /* all of them: what an identity keeps */
	VERIFY_SANS_MAX = 256           /* subject alternative names of one certificate */
};

/* role: the peer's. */
enum cert_error verify_spiffe(struct trust_view *view, STACK_OF(X509) *certs, enum peer_role role, int64_t now,
			      struct peer_identity **identity);

enum cert_error verify_legacy(struct trust_view *view, const char *pki, STACK_OF(X509) *certs, int64_t now,
			      struct peer_identity **identity);

/* The server must have one of the names: each a host name in lower case, an address, or a SPIFFE ID (which is compared
 * with the certificate's only URI). staple: the OCSP response that came with it, or NULL. */
struct verify_server {
	const char *pki;
	const char *const *names;
	unsigned n_names;
	const uint8_t *staple;
	size_t staple_length;
};
enum cert_error verify_server(struct trust_view *view, const struct verify_server *expected, STACK_OF(X509) *certs,
			      int64_t now, struct peer_identity **identity);

/* Whether a server's SVID is one that was expected: one of ids (whole SPIFFE IDs), or, when domain isn't NULL, any
 * workload of that trust domain. With neither, CERT_SERVER_NOTHING_EXPECTED: no leg goes to whoever answers. */
struct verify_expected {
	const char *const *ids;
	unsigned n_ids;
	const char *domain;
};
enum cert_error verify_expected_id(const struct spiffe_id *id, const struct verify_expected *expected);

/* Whether the peer would pass now, under what the view shows. For PEER_SPIFFE and PEER_LEGACY, mapped or not;
 * PEER_NETWORK always passes. A staple isn't asked for again. */
enum cert_error verify_again(struct trust_view *view, const struct peer_identity *identity, int64_t now);

/* The same certificates from DER, leaf first. *certs is the caller's: sk_X509_pop_free(certs, X509_free). Each
 * certificate is held to DER's rules of length before OpenSSL sees it. */
enum cert_error verify_parse(OSSL_LIB_CTX *libctx, const struct peer_bytes *der, unsigned n, STACK_OF(X509) **certs);

#endif
