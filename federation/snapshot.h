/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The federation, compiled: an immutable snapshot that workers read without locks.
 *
 * federation_load turns files into a snapshot or into a list of errors, never into both. A snapshot is one arena: its
 * texts, arrays and maps live and die together. Nothing in it changes after it is built, and nothing in it
 * points out of it but to constants. What changes while it is in force (load, health, counters) is kept by the gateway
 * in *live slots*; the slots' numbers are handed in at compile time by name (struct snapshot_slots), so that they
 * outlast a reload.
 *
 *   listener (port) ──┬─ PASSTHROUGH: server name ─▶ route ─▶ weighted backends
 *                     ├─ AUTO_PASSTHROUGH: host ─▶ service ─▶ (port, subset) ─▶ backend
 *                     ├─ TERMINATE: server name ─▶ listener_tls, and ─▶ route ─▶ weighted backends
 *                     └─ TCP, PLAIN: route ─▶ weighted backends
 *   backend = one service port and subset: its endpoints, how to balance over them, its limits, how to begin TLS
 *
 * Server-name lookup is one hash probe for the exact name and one for each of its parent domains, however many hosts
 * there are.
 */
#ifndef POSTERN_FEDERATION_SNAPSHOT_H
#define POSTERN_FEDERATION_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "federation/name.h"
#include "federation/trust_spec.h"
#include "platform/ip_addr.h"

enum load_balancer { LB_ROUND_ROBIN, LB_LEAST_REQUEST, LB_RANDOM };

enum port_protocol {
	PROTOCOL_TLS,
	PROTOCOL_HTTPS,
	PROTOCOL_TCP,
	PROTOCOL_HTTP,
	PROTOCOL_GRPC,
	PROTOCOL_MONGO,
	PROTOCOL_HTTP2
};

struct endpoint {
	struct ip_addr addr;
	uint16_t port;        /* host order */
	uint16_t weight;      /* relative to its backend's others; 1 when unset; 0 takes no traffic */
	uint32_t live;        /* live slot: one for each (service, addr, port) */
	struct name workload; /* WorkloadEntry's name, or the ServiceEntry's when inline */
	struct name locality; /* region/zone/subzone, empty when unset */
	struct name network,
		cluster; /* empty when unset; cluster: of the remote gateway that the endpoint stands for */
	struct name service_account;
	struct name trust_domain; /* who answers there is of: its cluster's, else our own */
	struct name app, version; /* of its labels, for the telemetry labels that Istio derives from them */
	bool is_gateway;          /* the endpoint is in another network and reached through that network's gateway */
	struct origin origin;
};

struct service;

/* One port and one subset of a service. */
struct backend {
	const struct service *service;
	uint16_t port; /* the service's, host order */
	enum port_protocol protocol;
	struct name subset; /* empty: all endpoints */
	enum load_balancer balancer;
	uint32_t connect_timeout_ms;   /* for one attempt; Istio's default 10 s */
	uint32_t max_connections;      /* UINT32_MAX: no limit */
	const struct backend_tls *tls; /* never NULL */
	bool proxy_protocol;           /* a PROXY v2 header goes before the first byte */
	uint32_t live;                 /* live slot: one for each (host, port, subset) */
	const struct endpoint *const *endpoints;
	uint32_t n_endpoints;
	uint32_t total_weight; /* of endpoints */
	bool uniform;          /* every endpoint has the same weight, and it isn't 0: choosing needs no walk */
};

struct service {
	struct name host;               /* "payments.bank.svc.cluster.local"; may begin with "*." */
	struct name name, space;        /* metadata.name and namespace of its ServiceEntry */
	const struct backend *backends; /* for each port, the one without subset first */
	uint32_t n_backends;
	struct origin origin;
};

struct weighted_backend {
	const struct backend *backend;
	uint32_t weight; /* cumulative: the route's first to the present one */
};

struct route {
	const struct weighted_backend *backends;
	uint32_t n_backends;
	uint32_t total_weight;
	struct origin origin; /* of the VirtualService's tls or tcp entry */
};

enum listener_mode {
	LISTENER_PASSTHROUGH,
	LISTENER_AUTO_PASSTHROUGH,
	LISTENER_TERMINATE, /* we are the TLS server: bridged */
	LISTENER_TCP,       /* protocol TCP, and nothing of it is for us: spliced without waiting for bytes */
	/* protocol TCP, where some destination wants TLS or PROXY from us: bridged, and who the client is follows from
	 * where it comes from */
	LISTENER_PLAIN
};

struct listener {
	uint16_t port;  /* host order */
	uint16_t index; /* in the snapshot; differs between snapshots */
	uint32_t live;  /* live slot, by Gateway name and port */
	enum listener_mode mode;
	struct ip_addr bind; /* all zero: every address of ours */
	struct name gateway; /* "namespace/name" */
	struct name port_name;
	struct origin origin;
	/* What is offered to clients must suit every endpoint behind: the smallest header room decides the MSS. */
	bool any_ipv6_endpoint;
	const struct route *const *routes; /* each once, in no order; NULL when there are none */
	uint32_t n_routes;
	const struct listener_tls *tls; /* TERMINATE: of all its servers, for those who prepare; else NULL */
	uint32_t n_tls;
};

struct policy_set;

struct snapshot {
	uint64_t generation; /* set by who installs it */
	struct name trust_domain, cluster_id, network, locality, name;
	const struct listener *listeners;
	uint16_t n_listeners;
	const struct service *services;
	uint32_t n_services;
	const struct endpoint *endpoints;
	uint32_t n_endpoints;
	const struct backend *const *backends;
	uint32_t n_backends;
	struct identity_spec identity;
	const struct federated_domain *domains; /* by trust domain */
	uint32_t n_domains;
	const struct legacy_pki_spec *pkis;
	uint32_t n_pkis;
	const struct credential_spec *const *credentials;
	uint32_t n_credentials;
	const struct identity_map_spec *identity_maps;
	uint32_t n_identity_maps;
	const struct identity_rule_spec *identity_rules; /* of all maps, in the order in which they are asked */
	uint32_t n_identity_rules;
	const struct policy_set *policies; /* policy.h */
	size_t bytes;                      /* of the arena */
	/* the maps and the arena: snapshot.c's own */
	struct snapshot_maps *maps;
};

/* How live slots are named. get returns a slot number >= 1, the same for the same name for as long as the process
 * lives; 0 when there is none left. kind is 'e' (endpoint), 'b' (backend) or 'l' (listener). */
struct snapshot_slots {
	void *context;
	uint32_t (*get)(void *context, char kind, const char *name, size_t length);
};

/* One thing that is wrong (or, as a warning, suspicious) in the files. */
struct diagnostic {
	char *file;
	uint32_t line, column; /* from 1; 0 when the file itself is the matter */
	char code[8];          /* "PN0107" */
	bool warning;
	char *message; /* "unknown field \"trustdomain\"; did you mean \"trustDomain\"?" */
	char *source;  /* the line itself, or NULL */
};

struct text;

struct diagnostics {
	struct diagnostic *list;
	size_t n, capacity, n_errors;
};

/* All files together are one federation. Returns the snapshot, or NULL when there is an error; warnings may come with
 * either. slots may be NULL (every slot is 0): that is what `posternctl validate` does. */
struct snapshot *federation_load(const char *const *paths, size_t n_paths, const struct snapshot_slots *slots,
				 struct diagnostics *diagnostics);
/* The same from memory; path is only a name. For tests and fuzzing. */
struct snapshot *federation_load_bytes(const char *path, const char *bytes, size_t length,
				       const struct snapshot_slots *slots, struct diagnostics *diagnostics);
void snapshot_free(struct snapshot *snapshot);

/* "file:line:column: error PN0107: message", the source line and a caret under it; sorted by file and position. */
void diagnostics_print(const struct diagnostics *diagnostics, struct text *out);
void diagnostics_free(struct diagnostics *diagnostics);

/* The listener for a local address and port, or NULL. A listener bound to the address comes before one bound to all. */
const struct listener *snapshot_listener(const struct snapshot *snapshot, const struct ip_addr *local, uint16_t port);

/* PASSTHROUGH, TERMINATE: the route for a server name (lower-case, no trailing dot): exact, then "*.suffix" from the
 * longest suffix down, then "*". The empty name, of a client that sends none, matches "*" alone. TCP, PLAIN: the one
 * route, by the empty name. NULL: none. */
const struct route *listener_route(const struct snapshot *snapshot, const struct listener *listener, const char *sni,
				   size_t length);

/* TERMINATE: how the server of that name, found in the same way, ends TLS. NULL: no server has it. */
const struct listener_tls *listener_server(const struct snapshot *snapshot, const struct listener *listener,
					   const char *sni, size_t length);

/* The service of that exact host (lower-case), or NULL. */
const struct service *snapshot_service(const struct snapshot *snapshot, const char *host, size_t length);
/* AUTO_PASSTHROUGH: the service of that exact host (lower-case) if the listener's hosts admit it, or NULL. */
const struct service *listener_service(const struct snapshot *snapshot, const struct listener *listener,
				       const char *host, size_t length);

/* The server name for TLS with a backend: as its DestinationRule says, else outbound_.<port>_.<subset>_.<host> for
 * ISTIO_MUTUAL, else the service's host. Returns the length; 0, and an empty text: none is sent, because the service is
 * a wildcard and the client's name must do, or because it would be longer than any server takes. */
enum { BACKEND_SNI_MAX = 256 }; /* with the NUL */
size_t backend_sni(const struct backend *backend, char sni[BACKEND_SNI_MAX]);

/* The backend of a port and subset (empty: none), or NULL; *has_port says whether the service has the port as TLS. */
const struct backend *service_backend(const struct service *service, uint16_t port, const char *subset, size_t length,
				      bool *has_port);

#endif
