/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents as typed records, between reading and compiling.
 *
 *   file ─ yaml_tree ─▶ tree ─ documents, gateway, … ─▶ model ─ check ─▶ resolved model ─ compile ─▶ snapshot
 *
 * Readers fill in what one document says; check resolves what documents say of each other (the fields under
 * "resolved"). Records live in the model's own arena and go when the snapshot is made; names live in the snapshot's
 * arena already, each once.
 *
 * A record is made even from a document with errors, as far as it could be read, and says in an `uncertain` flag which
 * part can't be relied on: nothing is reported as missing from there, so that an error is told once, where it is.
 */
#ifndef POSTERN_FEDERATION_MODEL_H
#define POSTERN_FEDERATION_MODEL_H

#include "federation/arena.h"
#include "federation/snapshot.h"

enum { MODEL_NONE = UINT32_MAX };

struct model_meta {
	struct name name, space; /* space: "default" when the document says none; name: empty when it was wrong */
	struct origin origin;    /* of the name, or of the document */
	struct origin dry_run;   /* of the annotation istio.io/dry-run when it isn't "false"; line 0: none */
};

struct model_label {
	struct name key, value;
};

struct model_labels {
	const struct model_label *list;
	uint32_t n;
};

/* A name where it stands. */
struct model_mention {
	struct name name;
	struct origin origin;
};

struct model_mentions {
	struct model_mention *list;
	uint32_t n;
};

struct model_gateway_address {
	struct ip_addr addr;
	uint16_t port;
};

struct model_cluster {
	struct model_mention id, network;
	struct name locality, trust_domain;
	const struct model_gateway_address *gateways;
	uint32_t n_gateways;
	struct origin origin;
	bool gateways_uncertain;
	struct model_cluster *next;            /* in the file's order */
	struct model_cluster *next_in_network; /* resolved */
};

/* Records of trust_spec.h are read as they will be, into the snapshot's arena. */
struct model_federation {
	struct model_meta meta;
	struct name trust_domain, cluster_id, network, locality;
	struct model_cluster *clusters;
	struct identity_spec identity;
	struct federated_domain *domains;
	uint32_t n_domains;
	struct legacy_pki_spec *pkis;
	uint32_t n_pkis;
	bool network_uncertain, clusters_uncertain, identity_uncertain, pkis_uncertain;
};

/* tls of a Gateway's server, or of a DestinationRule. */
struct model_tls {
	enum tls_mode mode;
	struct model_mention credential, ca; /* an empty name: none */
	struct name sni;
	const struct expected_name *names; /* in the snapshot's arena */
	uint32_t n_names;
	uint16_t least, most; /* versions */
	struct origin origin;
	bool uncertain;
	/* resolved */
	const struct credential_spec *presented;
	struct anchors_spec anchors;
	const struct backend_tls *compiled; /* for all backends that it alone speaks for */
};

/* A rule as it will be, but for map, and for pki, which is resolved from here. */
struct model_identity_rule {
	struct identity_rule_spec rule;
	struct model_mention pki;
};

struct model_identity_map {
	struct model_meta meta;
	struct model_mention trust_domain;
	struct model_identity_rule *rules;
	uint32_t n_rules;
	struct model_identity_map *next;
};

/* A host pattern of a Gateway's server, with the namespace that it admits. */
struct model_server_host {
	struct name host;  /* "a.example", "*.example", "*" */
	struct name space; /* of the VirtualServices or ServiceEntries admitted; empty: any */
	struct origin origin;
	/* resolved */
	const struct model_server *server;
	struct model_server_host *next_same; /* the same host for another namespace */
};

struct model_server {
	uint16_t port;
	struct name port_name;
	struct ip_addr bind;     /* all zero: every address */
	enum listener_mode mode; /* never PLAIN: that is known when the routes are */
	struct model_tls tls;    /* TERMINATE */
	struct model_server_host *hosts;
	uint32_t n_hosts;
	struct origin origin, port_origin;
	bool uncertain; /* port, tls or bind: makes no listener */
	bool hosts_uncertain;
	struct model_server *next;
	uint32_t tls_index; /* resolved: among the listener's that end TLS */
};

struct model_gateway {
	struct model_meta meta;
	struct model_server *servers;
	bool servers_uncertain;
	struct model_gateway *next;
	struct model_listener *listeners; /* resolved */
};

/* Servers of one gateway on one port and address. */
struct model_listener {
	const struct model_gateway *gateway;
	const struct model_server *server; /* the first */
	uint32_t index;
	bool hosts_uncertain;
	struct name_map hosts; /* pattern's key ─▶ index in host_list */
	struct model_server_host **host_list;
	uint32_t n_hosts, hosts_capacity;
	uint32_t n_tls; /* servers that end TLS */
	struct model_listener *next_of_gateway;
	struct name_map routes; /* pattern's key ─▶ index of a route */
	struct model_listener *next;
};

struct model_port {
	uint16_t number, target; /* target: number when the file says none */
	struct name name;
	enum port_protocol protocol;
	struct origin origin;
};

struct model_port_override {
	struct model_mention name;
	uint16_t port;
};

/* An endpoint of a ServiceEntry, or a WorkloadEntry. */
struct model_endpoint {
	bool has_address;
	struct ip_addr addr;
	struct model_labels labels;
	const struct model_port_override *ports;
	uint32_t n_ports;
	struct model_mention network;
	struct name locality, service_account, workload;
	uint16_t weight;
	struct origin origin;
	bool uncertain; /* its address or network was wrong */
	/* resolved: the clusters of its network, when it is reached through their gateways */
	const struct model_cluster *via;
};

struct model_workload {
	struct model_meta meta;
	struct model_endpoint endpoint;
	struct model_workload *next;
};

struct model_service_entry {
	struct model_meta meta;
	struct model_mentions hosts;
	struct model_port *ports;
	uint32_t n_ports;
	bool external;
	const struct expected_name *names; /* subjectAltNames, in the snapshot's arena */
	uint32_t n_names;
	bool has_selector;
	struct model_labels selector;
	struct origin selector_origin;
	/* the inline ones; resolved: those that the selector picks */
	struct model_endpoint **endpoints;
	uint32_t n_endpoints;
	bool hosts_uncertain, ports_uncertain, endpoints_uncertain;
	struct model_service_entry *next;
};

/* A trafficPolicy, of which each part is taken whole or not at all, as Istio does: a subset's connectionPool with only
 * maxConnections has the default connectTimeout, not the rule's. */
struct model_policy {
	bool has_balancer, has_pool, has_proxy;
	enum load_balancer balancer;
	uint32_t connect_timeout_ms, max_connections;
	struct model_tls *tls; /* NULL: unsaid */
	struct origin proxy_origin;
	struct model_port_policy *ports; /* portLevelSettings */
	uint32_t n_ports;
};

struct model_port_policy {
	uint16_t port;
	struct model_policy policy;
};

struct model_subset {
	struct model_mention name;
	struct model_labels labels;
	struct model_policy policy;
};

struct model_rule {
	struct model_meta meta;
	struct model_mention host; /* full; may be "*.suffix" */
	struct model_policy policy;
	struct model_subset *subsets;
	uint32_t n_subsets;
	bool host_uncertain, subsets_uncertain;
	bool used; /* resolved: some service has it */
	struct model_rule *next;
};

struct model_destination {
	struct model_mention host; /* full */
	uint16_t port;             /* 0: the service's only one */
	struct origin port_origin;
	struct model_mention subset; /* empty: none */
	uint32_t weight;
	bool uncertain;
	/* resolved */
	uint32_t service;                  /* index in model.services, or MODEL_NONE */
	uint32_t port_index, subset_index; /* subset_index: MODEL_NONE for none */
};

struct model_match {
	struct model_mentions hosts;
	uint16_t port; /* 0: any */
	struct origin port_origin;
	struct model_mentions gateways; /* none: all of the VirtualService */
};

struct model_route {
	bool tcp; /* of the VirtualService's tcp: matches have no hosts, its own count */
	struct model_match *matches;
	uint32_t n_matches;
	struct model_destination *destinations;
	uint32_t n_destinations;
	struct origin origin;
	struct model_route *next;
	/* resolved */
	uint32_t index;                    /* MODEL_NONE while no listener has it */
	bool seen_by_mode[LISTENER_PLAIN]; /* its destinations were checked for such a listener */
};

struct model_virtual_service {
	struct model_meta meta;
	struct model_mentions hosts, gateways;
	struct model_route *routes;
	bool hosts_uncertain, gateways_uncertain;
	struct model_virtual_service *next;
};

struct model_authorization; /* policy_model.h */

/* One host of a ServiceEntry. */
struct model_service {
	struct name host;
	const struct model_service_entry *entry;
	const struct model_rule *rule; /* NULL: none */
	struct origin origin;
};

struct model {
	struct arena arena;     /* of the records */
	struct text_pool names; /* in the snapshot's arena */
	struct name default_space;

	struct model_federation *federation;
	struct model_gateway *gateways, **gateways_end;
	struct model_service_entry *entries, **entries_end;
	struct model_workload *workloads, **workloads_end;
	struct model_rule *rules, **rules_end;
	struct model_virtual_service *virtual_services, **virtual_services_end;
	struct model_identity_map *identity_maps, **identity_maps_end;
	struct model_authorization *authorizations, **authorizations_end;

	struct name_map claims; /* "Kind namespace/name" ─▶ index in claim_origins */
	struct origin *claim_origins;
	uint32_t n_claims, claims_capacity;

	/* A document that couldn't be read at all may have been anything, so what seems to be missing may be in it. */
	bool opaque;
	bool gateways_uncertain, hosts_uncertain, rules_uncertain, workloads_uncertain;

	/* resolved */
	struct model_service *services;
	uint32_t n_services;
	struct name_map hosts; /* pattern's key ─▶ index in services */
	struct model_listener *listeners, **listeners_end;
	uint32_t n_listeners;
	struct model_route **routes; /* those that a listener has */
	uint32_t n_routes, routes_capacity;
	struct name_map credential_paths;     /* ─▶ index in credentials */
	struct credential_spec **credentials; /* each in the snapshot's arena */
	uint32_t n_credentials, credentials_capacity;
};

/* names: the arena of the snapshot to be. */
void model_init(struct model *model, struct arena *names);
void model_free(struct model *model);

/* Keeps where a document was claimed, and returns its index. */
uint32_t model_claim(struct model *model, struct origin origin);

/* The port of an endpoint for a port of its service: its own for that name, else the service's targetPort. */
uint16_t model_endpoint_port(const struct model_endpoint *endpoint, const struct model_port *port);
/* The policy of a service's port and subset: rule and subset may be NULL. Its ports are none. */
struct model_policy model_policy_for(const struct model_rule *rule, const struct model_subset *subset, uint16_t port);
struct model_policy model_policy_default(void);

/* How TLS is begun with a port: as its policy says, and else with what is inside the mesh as the mesh does it, when the
 * port is one of TLS, and not at all with everything else. */
enum tls_mode model_tls_mode(const struct model_policy *policy, const struct model_service_entry *entry,
			     const struct model_port *port);
bool model_port_is_tls(const struct model_port *port);

/* The credential of a name that stands in a file, each folder once. */
struct credential_spec *model_credential(struct model *model, const struct model_mention *mention);

/* A path as federation.yaml has it, put behind that file's folder unless it is absolute. In the snapshot's arena. */
struct name model_path(struct model *model, const char *file, const char *path);

/* Whether labels has all that selector asks for. */
bool model_labels_match(const struct model_labels *selector, const struct model_labels *labels);

static inline bool
name_equal(struct name a, struct name b)
{
	/* Both of one pool. */
	return a.bytes == b.bytes || (a.length == 0 && b.length == 0);
}

#endif
