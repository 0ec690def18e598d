/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the federation trusts, who the gateway is, and who is who: what the file says of it, in the snapshot.
 *
 *   Federation.spec.identity ─────▶ identity_spec       who we are
 *                  .federatesWith ▶ federated_domain      SPIFFE trust domains, each with its own bundle
 *                  .legacyPKIs ───▶ legacy_pki_spec     certificates that name hosts
 *   Gateway, DestinationRule tls ─▶ credential_spec     a folder with a chain and a key
 *                                   listener_tls, backend_tls
 *   IdentityMap.spec.rules ───────▶ identity_rule_spec  which SPIFFE ID such a client has
 *
 * These are what the file says: paths of files and what to do with them. No file but federation.yaml itself is opened
 * by this room; certs/ loads them, and notices when they change. A path is ready to be opened: a relative one has been
 * put behind the folder of the federation.yaml that says it. All texts are NUL-terminated, never NULL, and empty where
 * the file says nothing. All records live and die with their snapshot.
 */
#ifndef POSTERN_FEDERATION_TRUST_SPEC_H
#define POSTERN_FEDERATION_TRUST_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "federation/name.h"
#include "platform/ip_addr.h"

/* TLS_MODE_DISABLE: of backends only. */
enum tls_mode { TLS_MODE_DISABLE, TLS_MODE_SIMPLE, TLS_MODE_MUTUAL, TLS_MODE_ISTIO_MUTUAL };
/* TLS versions are as on the wire, and as OpenSSL has them. */
enum { TLS_WIRE_1_2 = 0x0303, TLS_WIRE_1_3 = 0x0304 };

/* A folder laid out like a mounted TLS secret: tls.crt (the chain, leaf first), tls.key, ca.crt (anchors). Each is
 * listed once, by path. */
struct credential_spec {
	struct name name;     /* of credentialName; two folders' files may each have one of the name */
	struct name path;     /* of the folder */
	bool needs_chain;     /* tls.crt and tls.key are presented by somebody */
	bool needs_ca;        /* ca.crt is what somebody verifies by */
	struct origin origin; /* of the first mention */
};

/* PEM certificates, and PEM or DER CRLs. */
struct legacy_pki_spec {
	struct name name;
	const struct name *anchors, *crls; /* paths */
	uint32_t n_anchors, n_crls;
	/* Whether a certificate that no valid CRL covers is refused. Unless the file says otherwise: when there are
	 * CRLs. Without CRLs and without this, revocation isn't looked at. */
	bool refuse_unknown_revocation;
	struct origin origin;
};

/* What a peer's chain must lead to. FEDERATION: the bundle of the trust domain that its SPIFFE ID names, our own or a
 * federated one. */
enum anchors { ANCHORS_NONE, ANCHORS_FEDERATION, ANCHORS_LEGACY_PKI, ANCHORS_CREDENTIAL };
struct anchors_spec {
	enum anchors kind;
	const struct legacy_pki_spec *pki;        /* LEGACY_PKI; only such clients can be in an IdentityMap */
	const struct credential_spec *credential; /* CREDENTIAL: its ca.crt */
};

/* A name that a peer's certificate must have one of, exactly. */
struct expected_name {
	struct name text; /* a DNS name, lower-case, or a SPIFFE ID */
	bool is_spiffe_id;
};

/* How a Gateway's server ends TLS. */
struct listener_tls {
	enum tls_mode mode;                       /* SIMPLE, MUTUAL, ISTIO_MUTUAL */
	const struct credential_spec *credential; /* what we present; NULL (ISTIO_MUTUAL): our own SVID */
	struct anchors_spec clients;              /* ANCHORS_NONE (SIMPLE): they aren't asked for a certificate */
	const struct expected_name *names;        /* MUTUAL and ISTIO_MUTUAL: any of them; none: any name */
	uint32_t n_names;
	uint16_t least, most; /* versions */
	struct origin origin;
};

/* How TLS is begun with the endpoints of a backend. For bridged connections only: what is passed through is left as it
 * is.
 *
 * Without expected names, who must answer follows from where we go. SIMPLE, MUTUAL: a certificate for backend_sni.
 * ISTIO_MUTUAL: a SPIFFE ID of endpoint->trust_domain in the service's namespace, /ns/<service->space>/sa/<account>,
 * where the account is endpoint->service_account, or any when that is empty or the endpoint is_gateway. Nobody else is
 * the service. */
struct backend_tls {
	enum tls_mode mode;
	const struct credential_spec *credential; /* MUTUAL */
	struct anchors_spec servers;              /* ANCHORS_NONE: DISABLE */
	struct name sni;                          /* empty: what backend_sni makes of the backend */
	const struct expected_name *names;
	uint32_t n_names;
	bool automatic; /* no DestinationRule says the mode: it follows from the service */
	struct origin origin;
};

enum own_identity { OWN_IDENTITY_NONE, OWN_IDENTITY_FILES, OWN_IDENTITY_EMBEDDED };
/* The gateway's own SVID and its trust domain's bundle. */
struct identity_spec {
	enum own_identity kind;
	struct name folder; /* FILES: of tls.crt, tls.key and ca.crt, our trust domain's authorities */
	/* EMBEDDED: CAs of ours issue it, and those of mapped identities. folder has a folder for each trust domain
	 * that is ours (certs/ca_folder.h): our own, and those of the identity maps. */
	struct name spiffe_id; /* unless the file says: spiffe://<trust domain>/gateway/<clusterID> */
	uint32_t svid_ttl_ms;
	struct origin origin;
};

enum bundle_profile { BUNDLE_NOT_FETCHED, BUNDLE_HTTPS_WEB, BUNDLE_HTTPS_SPIFFE };

struct federated_domain {
	struct name trust_domain;
	struct name bootstrap_bundle; /* path; SPIFFE JWKS, or PEM */
	enum bundle_profile profile;
	struct name endpoint_url, endpoint_spiffe_id;
	uint32_t warn_after_ms, max_age_ms; /* 0: never */
	bool distrust_expired;              /* past max_age: trust nobody of the domain, else keep the last bundle */
	struct origin origin;
};

struct identity_map_spec {
	struct name name, space;
	struct name trust_domain; /* of all IDs that it gives; no other map's, and nobody's whom we federate with */
	struct origin origin;
};

enum identity_from { IDENTITY_FROM_LEGACY, IDENTITY_FROM_NETWORK };

/* One rule. The rules of all maps are one list, in the files' order: the first that matches decides. */
struct identity_rule_spec {
	const struct identity_map_spec *map;
	enum identity_from from;
	/* LEGACY: a verified certificate of pki with such a DNS name, such a key, or both. */
	const struct legacy_pki_spec *pki;
	struct name dns; /* empty: any; "*.suffix" is one label more, as in a certificate */
	bool has_spki;
	uint8_t spki_sha256[32]; /* of the DER SubjectPublicKeyInfo */
	/* NETWORK: an unencrypted client that came in by interface (a port of postern.conf), from there. */
	struct name interface;
	struct ip_prefix source;
	/* What it gets. "{dns.label}" in it, once and only with a wildcard, is where the label goes that the asterisk
	 * stands for, lower-case. */
	struct name spiffe_id;
	struct origin origin;
};

#endif
