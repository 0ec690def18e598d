/* SPDX-License-Identifier: Apache-2.0 */
/* What the documents mean once compiled: routing, the border of AUTO_PASSTHROUGH, endpoints, networks, policies; and
 * 100,000 services. */
#include "tests/unit/unit.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "federation/snapshot.h"
#include "platform/text.h"

#define FEDERATION                                                                                                     \
	"apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: here }\n"                               \
	"spec: { trustDomain: here.example, clusterID: here, network: lan }\n"
#define ISTIO(kind, name) "---\napiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: { " name " }\nspec:\n"
#define GATEWAY(name, port, mode, hosts)                                                                               \
	ISTIO("Gateway", "name: " name)                                                                                \
	"  servers:\n  - port: { number: " port ", name: tls, protocol: TLS }\n    tls: { mode: " mode                 \
	" }\n    hosts: " hosts "\n"
#define SERVICE(name, host, location, ports, endpoints)                                                                \
	ISTIO("ServiceEntry", "name: " name)                                                                           \
	"  hosts: [ \"" host "\" ]\n  location: " location "\n  resolution: STATIC\n  ports: [ " ports                 \
	" ]\n  endpoints: [ " endpoints " ]\n"
#define TLS_8443 "{ number: 8443, name: tls, protocol: TLS }"
#define ONE "{ address: 10.0.0.1 }"
#define ROUTE(name, options, sni, host)                                                                                \
	ISTIO("VirtualService", "name: " name)                                                                         \
	"  hosts: [ \"*\" ]\n  gateways: [ default/edge ]\n  tls:\n  - match: [ { sniHosts: [ " sni " ] " options      \
	" } ]\n"                                                                                                       \
	"    route: [ { destination: { host: " host " } } ]\n"

static struct snapshot *
load(const char *file, const struct snapshot_slots *slots)
{
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load_bytes("test.yaml", file, strlen(file), slots, &diagnostics);

	if (diagnostics.n > 0) {
		struct text printed = {0};
		diagnostics_print(&diagnostics, &printed);
		printf("\n%s", printed.bytes);
		text_free(&printed);
	}
	CU_ASSERT(diagnostics.n == 0);
	diagnostics_free(&diagnostics);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	if (snapshot == NULL)
		abort();
	return snapshot;
}

static struct ip_addr
addr(const char *text)
{
	struct ip_addr parsed = {0};
	CU_ASSERT_FATAL(ip_addr_parse(text, &parsed));
	return parsed;
}

/* The host that a server name is routed to on a port, or "-". */
static const char *
routed_to(const struct snapshot *snapshot, uint16_t port, const char *sni)
{
	struct ip_addr local = addr("192.0.2.99");
	const struct listener *listener = snapshot_listener(snapshot, &local, port);
	CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
	const struct route *route = listener_route(snapshot, listener, sni, strlen(sni));
	return route == NULL ? "-" : route->backends[0].backend->service->host.bytes;
}

static void
test_server_names(void)
{
	static const char file[] = FEDERATION GATEWAY("edge", "443", "PASSTHROUGH", "[ \"*\" ]")
		SERVICE("a", "exact.example", "MESH_INTERNAL", TLS_8443, ONE)
			SERVICE("b", "wide.example", "MESH_INTERNAL", TLS_8443, ONE)
				SERVICE("c", "narrow.example", "MESH_INTERNAL", TLS_8443, ONE)
					SERVICE("d", "rest.example", "MESH_INTERNAL", TLS_8443, ONE)
						ROUTE("a", "", "A.b.Example", "exact.example")
							ROUTE("b", "", "\"*.example\"", "wide.example")
								ROUTE("c", "", "\"*.b.example\"", "narrow.example");
	static const struct {
		const char *sni, *to;
	} cases[] = {
		{"a.b.example", "exact.example"},
		{"x.b.example", "narrow.example"},
		{"y.x.b.example", "narrow.example"},
		{"b.example", "wide.example"},
		{"c.example", "wide.example"},
		{"x.a.b.example", "narrow.example"},
		{"ab.example", "wide.example"},
		{"example", "-"},
		{".example", "-"},
		{".b.example", "-"},
		{"", "-"},
		{"*.example", "wide.example"},
		{"example.com", "-"},
		{"a.b.example.com", "-"},
	};
	struct snapshot *snapshot = load(file, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *to = routed_to(snapshot, 443, cases[i].sni);
		CU_ASSERT_STRING_EQUAL(to, cases[i].to);
	}
	CU_ASSERT(snapshot->listeners[0].n_routes == 3);
	snapshot_free(snapshot);

	/* "*" takes what is left, and only that. */
	struct text rest = {0};
	text_print(&rest, "%s%s", file, ROUTE("d", "", "\"*\"", "rest.example"));
	snapshot = load(rest.bytes, NULL);
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "example.com"), "rest.example");
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "c.example"), "wide.example");
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, ""), "rest.example"); /* no name at all, too */
	snapshot_free(snapshot);
	text_free(&rest);
}

static const char east_west[] = FEDERATION GATEWAY(
	"east-west", "15443", "AUTO_PASSTHROUGH",
	"[ \"*.bank.svc.cluster.local\", one.shop.svc.cluster.local, \"media/*.media.svc.cluster.local\" ]")
	SERVICE("in, namespace: bank", "in.bank.svc.cluster.local", "MESH_INTERNAL",
		TLS_8443 ", { number: 443, name: https, protocol: https }, { number: 80, name: http, protocol: HTTP }, "
			 "{ number: 3306, name: tcp }",
		"{ address: 10.0.0.1, labels: { version: v1 } }")
		ISTIO("DestinationRule",
		      "name: in, namespace: bank") "  host: in\n  subsets: [ { name: v1, labels: { version: v1 } } "
						   "]\n" SERVICE(
							   "ext, namespace: bank", "ext.bank.svc.cluster.local",
							   "MESH_EXTERNAL", TLS_8443,
							   ONE) SERVICE("plain, namespace: bank",
									"plain.bank.svc.cluster.local", "MESH_INTERNAL",
									"{ number: 8443, name: tcp, protocol: "
									"TCP }",
									ONE) SERVICE("wild, namespace: bank",
										     "*.wild.bank.svc.cluster.local",
										     "MESH_INTERNAL", TLS_8443, ONE)
							   SERVICE("one, namespace: shop", "one.shop.svc.cluster.local",
								   "MESH_INTERNAL", TLS_8443,
								   "{ address: \"2001:db8::1\" }")
								   SERVICE("two, namespace: shop",
									   "two.shop.svc.cluster.local",
									   "MESH_INTERNAL", TLS_8443,
									   ONE) SERVICE("m, namespace: media",
											"m.media.svc.cluster.local",
											"MESH_INTERNAL", TLS_8443, ONE)
									   SERVICE("evil, namespace: evil",
										   "evil.media.svc.cluster.local",
										   "MESH_INTERNAL", TLS_8443, ONE)
										   ISTIO("ServiceEntry",
											 "name: unsaid, namespace: "
											 "bank") "  hosts: [ "
												 "unsaid.bank.svc."
												 "cluster.local ]\n  "
												 "resolution: STATIC\n "
												 " ports: [ " TLS_8443
												 " ]\n  endpoints: "
												 "[ " ONE " ]\n";

/* CVE-2021-31921: what isn't admitted can't be reached, whatever the server name says. */
static void
test_border(void)
{
	static const struct {
		const char *host;
		uint16_t port;
		const char *subset;
		bool service, has_port, backend;
	} cases[] = {
		{"in.bank.svc.cluster.local", 8443, "", true, true, true},
		{"in.bank.svc.cluster.local", 443, "", true, true, true},
		{"in.bank.svc.cluster.local", 8443, "v1", true, true, true},
		{"in.bank.svc.cluster.local", 8443, "v2", true, true, false},
		{"in.bank.svc.cluster.local", 8443, "v", true, true, false},
		{"in.bank.svc.cluster.local", 8443, "v11", true, true, false},
		{"in.bank.svc.cluster.local", 80, "", true, false, false},
		{"in.bank.svc.cluster.local", 80, "v1", true, false, false},
		{"in.bank.svc.cluster.local", 3306, "", true, false, false},
		{"in.bank.svc.cluster.local", 1, "", true, false, false},
		{"in.bank.svc.cluster.local", 0, "", true, false, false},
		{"ext.bank.svc.cluster.local", 8443, "", false, false, false},
		{"unsaid.bank.svc.cluster.local", 8443, "", false, false, false},
		{"plain.bank.svc.cluster.local", 8443, "", false, false, false},
		{"a.wild.bank.svc.cluster.local", 8443, "", false, false, false},
		{"*.wild.bank.svc.cluster.local", 8443, "", false, false, false},
		{".wild.bank.svc.cluster.local", 8443, "", false, false, false},
		{"one.shop.svc.cluster.local", 8443, "", true, true, true},
		{"two.shop.svc.cluster.local", 8443, "", false, false, false},
		{"m.media.svc.cluster.local", 8443, "", true, true, true},
		{"evil.media.svc.cluster.local", 8443, "", false, false, false},
		{"x.in.bank.svc.cluster.local", 8443, "", false, false, false},
		{"bank.svc.cluster.local", 8443, "", false, false, false},
		{"*.bank.svc.cluster.local", 8443, "", false, false, false},
		{"*", 8443, "", false, false, false},
		{"", 8443, "", false, false, false},
		{"in.bank.svc.cluster.local.", 8443, "", false, false, false},
		{"in.bank.svc.cluster.loca", 8443, "", false, false, false},
	};
	struct snapshot *snapshot = load(east_west, NULL);
	const struct listener *listener = &snapshot->listeners[0];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *host = cases[i].host;
		const struct service *service = listener_service(snapshot, listener, host, strlen(host));
		CU_ASSERT((service != NULL) == cases[i].service);
		if ((service != NULL) != cases[i].service)
			printf("\n\"%s\"", host);
		if (service == NULL)
			continue;
		bool has_port;
		const struct backend *backend =
			service_backend(service, cases[i].port, cases[i].subset, strlen(cases[i].subset), &has_port);
		CU_ASSERT(has_port == cases[i].has_port);
		CU_ASSERT((backend != NULL) == cases[i].backend);
		CU_ASSERT(backend == NULL || (backend->port == cases[i].port && backend->service == service &&
					      strcmp(backend->subset.bytes, cases[i].subset) == 0));
	}
	CU_ASSERT(listener->mode == LISTENER_AUTO_PASSTHROUGH && listener->any_ipv6_endpoint);
	CU_ASSERT(listener->routes == NULL && listener->n_routes == 0);
	/* A listener of this mode has no routes, and one of the other admits no services. */
	CU_ASSERT_PTR_NULL(listener_route(snapshot, listener, "in.bank.svc.cluster.local", 25));
	snapshot_free(snapshot);
	snapshot = load(FEDERATION GATEWAY("edge", "443", "PASSTHROUGH", "[ \"*\" ]")
				SERVICE("a", "a.example", "MESH_INTERNAL", TLS_8443, ONE),
			NULL);
	CU_ASSERT_PTR_NULL(listener_service(snapshot, &snapshot->listeners[0], "a.example", 9));
	CU_ASSERT_PTR_NULL(listener_route(snapshot, &snapshot->listeners[0], "a.example", 9));
	snapshot_free(snapshot);
}

static void
test_listeners(void)
{
	static const char file[] = FEDERATION GATEWAY("any", "443", "PASSTHROUGH", "[ \"*\" ]")
		GATEWAY("bound", "443", "PASSTHROUGH", "[ \"*\" ]") "    bind: 192.0.2.1\n" GATEWAY(
			"six", "444", "PASSTHROUGH", "[ \"*\" ]") "    bind: \"2001:db8::1\"\n";
	static const struct {
		const char *local;
		uint16_t port;
		const char *gateway;
	} cases[] = {
		{"192.0.2.1", 443, "default/bound"},
		{"192.0.2.2", 443, "default/any"},
		{"2001:db8::1", 443, "default/any"},
		{"2001:db8::1", 444, "default/six"},
		{"192.0.2.1", 444, "-"},
		{"192.0.2.1", 442, "-"},
		{"192.0.2.1", 445, "-"},
	};
	struct snapshot *snapshot = load(file, NULL);

	CU_ASSERT(snapshot->n_listeners == 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ip_addr local = addr(cases[i].local);
		const struct listener *listener = snapshot_listener(snapshot, &local, cases[i].port);
		CU_ASSERT_STRING_EQUAL(listener == NULL ? "-" : listener->gateway.bytes, cases[i].gateway);
		CU_ASSERT(listener == NULL || listener == &snapshot->listeners[listener->index]);
	}
	snapshot_free(snapshot);
}

static const struct backend *
find_backend(const struct snapshot *snapshot, const char *host, uint16_t port, const char *subset)
{
	for (uint32_t i = 0; i < snapshot->n_backends; i++) {
		const struct backend *backend = snapshot->backends[i];
		if (strcmp(backend->service->host.bytes, host) == 0 && backend->port == port &&
		    strcmp(backend->subset.bytes, subset) == 0)
			return backend;
	}
	CU_FAIL_FATAL("no such backend");
	return NULL;
}

static void
test_policies(void)
{
	static const char file[] = FEDERATION SERVICE("a", "a.example", "MESH_INTERNAL", TLS_8443,
						      "{ address: 10.0.0.1, labels: { v: \"1\" } }")
		SERVICE("b", "b.example", "MESH_INTERNAL", TLS_8443, ONE) SERVICE("c", "c.d.example", "MESH_INTERNAL",
										  TLS_8443, ONE)
			ISTIO("DestinationRule",
			      "name: a") "  host: a.example\n  trafficPolicy: { loadBalancer: { simple: RANDOM }, "
					 "connectionPool: { tcp: { "
					 "maxConnections: 7, connectTimeout: 2s } } }\n  subsets:\n"
					 "  - { name: same, labels: { v: \"1\" } }\n"
					 "  - { name: pool, labels: { v: \"1\" }, trafficPolicy: { connectionPool: { "
					 "tcp: { maxConnections: 9 } } } }\n"
					 "  - { name: robin, labels: { v: \"1\" }, trafficPolicy: { loadBalancer: { "
					 "simple: ROUND_ROBIN } } }\n" ISTIO(
						 "DestinationRule",
						 "name: d") "  host: \"*.d.example\"\n  trafficPolicy: { "
							    "connectionPool: { tcp: { connectTimeout: 3s } } }\n";
	static const struct {
		const char *host, *subset;
		enum load_balancer balancer;
		uint32_t timeout, connections;
	} cases[] = {
		{"a.example", "", LB_RANDOM, 2000, 7},
		{"a.example", "same", LB_RANDOM, 2000, 7},
		{"a.example", "pool", LB_RANDOM, 10000, 9}, /* the pool is taken whole, as in Istio */
		{"a.example", "robin", LB_ROUND_ROBIN, 2000, 7},
		{"b.example", "", LB_LEAST_REQUEST, 10000, UINT32_MAX},
		{"c.d.example", "", LB_LEAST_REQUEST, 3000, UINT32_MAX},
	};
	struct snapshot *snapshot = load(file, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct backend *backend = find_backend(snapshot, cases[i].host, 8443, cases[i].subset);
		CU_ASSERT(backend->balancer == cases[i].balancer);
		CU_ASSERT(backend->connect_timeout_ms == cases[i].timeout);
		CU_ASSERT(backend->max_connections == cases[i].connections);
	}
	snapshot_free(snapshot);
}

static void
test_endpoints(void)
{
	static const char file[] = FEDERATION SERVICE(
		"a", "a.example", "MESH_INTERNAL",
		"{ number: 443, name: tls, protocol: TLS, targetPort: 8443 }, { number: 9000, name: other, protocol: "
		"TLS }",
		"{ address: 10.0.0.1, locality: eu/a, serviceAccount: sa, labels: { app: x, version: v9 } }, "
		"{ address: 10.0.0.2, ports: { tls: 9443 }, weight: 5, labels: { app.kubernetes.io/name: y } }, "
		"{ address: 10.0.0.3, weight: 0 }")
		ISTIO("ServiceEntry",
		      "name: s, namespace: bank") "  hosts: [ s.example ]\n  "
						  "resolution: STATIC\n  ports: "
						  "[ " TLS_8443 " ]\n  workloadSelector: { "
						  "labels: { app: s, zone: a } "
						  "}\n" ISTIO(
							  "WorkloadEntry",
							  "nam"
							  "e: "
							  "w1,"
							  " na"
							  "mes"
							  "pac"
							  "e: "
							  "ban"
							  "k") "  address: 10.1.0.1\n  labels: { app: s, zone: a, x: y "
							       "}\n" ISTIO("WorkloadEntry",
									   "name: w2, namespace: "
									   "bank") "  address: "
										   "10.1.0.2\n  "
										   "labels: { app: "
										   "s, zone: b "
										   "}\n" ISTIO(
											   "Workload"
											   "Entry",
											   "name: "
											   "w3") "  "
												 "ad"
												 "dr"
												 "e"
												 "ss"
												 ": "
												 "10"
												 ".1"
												 "."
												 "0."
												 "3"
												 "\n"
												 "  "
												 "la"
												 "be"
												 "l"
												 "s:"
												 " {"
												 " "
												 "ap"
												 "p:"
												 " "
												 "s,"
												 " "
												 "zo"
												 "ne"
												 ":"
												 " a"
												 " "
												 "}"
												 "\n" ISTIO(
													 "WorkloadEntr"
													 "y",
													 "name: w4, "
													 "namespace: "
													 "bank") "  "
														 "addre"
														 "ss: "
														 "10.1."
														 "0."
														 "4\n  "
														 "label"
														 "s: { "
														 "app: "
														 "s, "
														 "zone:"
														 " a "
														 "}\n";
	struct snapshot *snapshot = load(file, NULL);
	const struct backend *tls = find_backend(snapshot, "a.example", 443, "");
	const struct backend *other = find_backend(snapshot, "a.example", 9000, "");

	CU_ASSERT_FATAL(tls->n_endpoints == 3 && other->n_endpoints == 3);
	CU_ASSERT(tls->endpoints[0]->port == 8443 && tls->endpoints[1]->port == 9443);
	CU_ASSERT(other->endpoints[0]->port == 9000 && other->endpoints[1]->port == 9000);
	CU_ASSERT(tls->endpoints[0]->weight == 1 && tls->endpoints[1]->weight == 5 && tls->endpoints[2]->weight == 0);
	CU_ASSERT(tls->total_weight == 6 && !tls->uniform);
	const struct endpoint *first = tls->endpoints[0];
	CU_ASSERT_STRING_EQUAL(first->locality.bytes, "eu/a");
	CU_ASSERT_STRING_EQUAL(first->service_account.bytes, "sa");
	CU_ASSERT_STRING_EQUAL(first->app.bytes, "x");
	CU_ASSERT_STRING_EQUAL(first->version.bytes, "v9");
	CU_ASSERT_STRING_EQUAL(first->workload.bytes, "a");
	CU_ASSERT_STRING_EQUAL(first->network.bytes, "");
	CU_ASSERT_STRING_EQUAL(tls->endpoints[1]->app.bytes, "y");

	const struct backend *selected = find_backend(snapshot, "s.example", 8443, "");
	CU_ASSERT_FATAL(selected->n_endpoints == 2);
	CU_ASSERT_STRING_EQUAL(selected->endpoints[0]->workload.bytes, "w1");
	CU_ASSERT_STRING_EQUAL(selected->endpoints[1]->workload.bytes, "w4");
	CU_ASSERT(selected->uniform && selected->total_weight == 2);
	snapshot_free(snapshot);
}

static void
check_gateway(const struct backend *backend, uint32_t i, const char *address, const char *cluster, uint16_t weight)
{
	char text[IP_ADDR_TEXT_MAX];
	CU_ASSERT_FATAL(i < backend->n_endpoints);
	const struct endpoint *endpoint = backend->endpoints[i];
	CU_ASSERT_STRING_EQUAL(ip_addr_format(&endpoint->addr, text), address);
	CU_ASSERT_STRING_EQUAL(endpoint->cluster.bytes, cluster);
	CU_ASSERT(endpoint->is_gateway == (cluster[0] != '\0'));
	CU_ASSERT(endpoint->port == (endpoint->is_gateway ? 15443 : 8443));
	CU_ASSERT(endpoint->weight == weight);
}

/* core has two gateways: weights are doubled, and each stands for half of what is behind: (3 + 1) * 2 / 2. */
static void
test_networks(void)
{
	struct diagnostics diagnostics = {0};
	const char *const paths[] = {"tests/data/federation/valid/multi-network.yaml"};
	struct snapshot *snapshot = federation_load(paths, 1, NULL, &diagnostics);

	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	if (snapshot == NULL)
		abort();
	const struct backend *whole = find_backend(snapshot, "ledger.bank.svc.cluster.local", 443, "");
	const struct backend *far = find_backend(snapshot, "ledger.bank.svc.cluster.local", 443, "far");
	const struct backend *near = find_backend(snapshot, "ledger.bank.svc.cluster.local", 443, "near");
	CU_ASSERT(whole->n_endpoints == 4 && far->n_endpoints == 3 && near->n_endpoints == 1);
	check_gateway(whole, 0, "10.244.1.8", "", 2);
	check_gateway(whole, 1, "192.0.2.10", "core-1", 4);
	check_gateway(whole, 2, "2001:db8::10", "core-1", 4);
	check_gateway(whole, 3, "198.51.100.7", "kiruna-0007", 2);
	check_gateway(far, 0, "192.0.2.10", "core-1", 4);
	check_gateway(near, 0, "10.244.1.8", "", 2);
	CU_ASSERT(whole->total_weight == 12 && far->total_weight == 10);
	CU_ASSERT_STRING_EQUAL(whole->endpoints[1]->locality.bytes, "eu-north/stockholm/core");
	CU_ASSERT_STRING_EQUAL(whole->endpoints[1]->network.bytes, "core");
	CU_ASSERT(snapshot->listeners[0].any_ipv6_endpoint);
	snapshot_free(snapshot);
	diagnostics_free(&diagnostics);
}

/* A short host is of the document's namespace; one with a dot is what it says; a wildcard service takes hosts below it.
 */
static void
test_hosts(void)
{
	static const char file[] = FEDERATION GATEWAY("edge", "443", "PASSTHROUGH", "[ \"*\" ]")
		SERVICE("a", "web.default.svc.cluster.local", "MESH_INTERNAL", TLS_8443,
			ONE) SERVICE("b", "web.bank.svc.cluster.local", "MESH_INTERNAL", TLS_8443, ONE)
			SERVICE("c", "web.bank", "MESH_INTERNAL", TLS_8443, ONE) SERVICE("d", "*.wild.example",
											 "MESH_EXTERNAL", TLS_8443, ONE)
				ROUTE("a", "", "a.example", "web") ROUTE("b, namespace: bank", "", "b.example", "web")
					ROUTE("c", "", "c.example", "web.bank")
						ROUTE("d", "", "d.example", "x.y.wild.example")
							ROUTE("e", "", "e.example", "\"*.wild.example\"");
	struct snapshot *snapshot = load(file, NULL);

	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "a.example"), "web.default.svc.cluster.local");
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "b.example"), "web.bank.svc.cluster.local");
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "c.example"), "web.bank");
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "d.example"), "*.wild.example");
	CU_ASSERT_STRING_EQUAL(routed_to(snapshot, 443, "e.example"), "*.wild.example");
	snapshot_free(snapshot);
}

static void
test_weights(void)
{
	static const char file[] = FEDERATION GATEWAY("edge", "443", "PASSTHROUGH", "[ \"*\" ]")
		SERVICE("a", "a.example", "MESH_INTERNAL", TLS_8443, ONE) SERVICE("b", "b.example", "MESH_INTERNAL",
										  TLS_8443, ONE)
			SERVICE("c", "c.example", "MESH_INTERNAL", TLS_8443,
				"{ address: \"2001:db8::1\" }") ROUTE("one", "", "one.example", "a.example")
				ISTIO("VirtualService",
				      "name: many") "  hosts: [ \"*\" ]\n  gateways: [ edge ]\n  tls:\n  - match: [ { "
						    "sniHosts: [ many.example, too.example ] } ]\n    route:\n"
						    "    - { destination: { host: a.example }, weight: 95 }\n    - { "
						    "destination: { host: b.example }, weight: 0 }\n"
						    "    - { destination: { host: c.example }, weight: 205 }\n";
	struct snapshot *snapshot = load(file, NULL);
	const struct listener *listener = &snapshot->listeners[0];
	const struct route *one = listener_route(snapshot, listener, "one.example", 11);
	const struct route *many = listener_route(snapshot, listener, "many.example", 12);

	CU_ASSERT_FATAL(one != NULL && many != NULL);
	if (one == NULL || many == NULL)
		abort();
	CU_ASSERT(one->n_backends == 1 && one->total_weight == 100 && one->backends[0].weight == 100);
	CU_ASSERT_FATAL(many->n_backends == 2);
	CU_ASSERT(many->total_weight == 300 && many->backends[0].weight == 95 && many->backends[1].weight == 300);
	CU_ASSERT(many == listener_route(snapshot, listener, "too.example", 11));
	uint32_t line = 1;
	for (const char *at = file; at < strstr(file, "- match: [ { sniHosts: [ many"); at++)
		line += *at == '\n';
	CU_ASSERT(many->origin.line == line && many->origin.column == 5);
	/* Three names, two routes. */
	CU_ASSERT(listener->n_routes == 2 && listener->any_ipv6_endpoint);
	snapshot_free(snapshot);
}

/* Slots by name, as a process that outlives snapshots would keep them. */
struct slots {
	char names[32][80];
	uint32_t n;
};

static uint32_t
get_slot(void *context, char kind, const char *name, size_t length)
{
	struct slots *slots = context;
	char text[80];

	snprintf(text, sizeof(text), "%c %.*s", kind, (int)length, name);
	for (uint32_t i = 0; i < slots->n; i++) {
		if (strcmp(slots->names[i], text) == 0)
			return i + 1;
	}
	CU_ASSERT_FATAL(slots->n < 32);
	memcpy(slots->names[slots->n], text, sizeof(text));
	return ++slots->n;
}

static void
test_slots(void)
{
	static const char file[] =
		FEDERATION GATEWAY("edge", "443", "PASSTHROUGH", "[ \"*\" ]") "    bind: 192.0.2.1\n" SERVICE(
			"a", "a.example", "MESH_INTERNAL", TLS_8443,
			"{ address: 10.0.0.1, labels: { v: a } }, { address: \"2001:db8::1\", labels: { v: b } }")
			ISTIO("DestinationRule",
			      "name: a") "  host: a.example\n  subsets: [ { name: x, labels: { v: a } } ]\n";
	static const char *const expected[] = {"e a.example|10.0.0.1:8443", "e a.example|[2001:db8::1]:8443",
					       "b a.example|8443|", "b a.example|8443|x",
					       "l default/edge|443|192.0.2.1"};
	struct slots slots = {.n = 0};
	const struct snapshot_slots getter = {.context = &slots, .get = get_slot};
	struct snapshot *snapshot = load(file, &getter);
	struct snapshot *again = load(file, &getter);

	CU_ASSERT(slots.n == sizeof(expected) / sizeof(*expected));
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected) && i < slots.n; i++)
		CU_ASSERT_STRING_EQUAL(slots.names[i], expected[i]);
	CU_ASSERT(snapshot->endpoints[0].live == 1 && snapshot->endpoints[1].live == 2);
	CU_ASSERT(find_backend(again, "a.example", 8443, "x")->live == 4);
	CU_ASSERT(again->listeners[0].live == 5);
	snapshot_free(snapshot);
	snapshot_free(again);
}

static void
test_valid_files(void)
{
	glob_t files;

	CU_ASSERT_FATAL(glob("tests/data/federation/valid/*.yaml", 0, NULL, &files) == 0);
	CU_ASSERT(files.gl_pathc >= 4);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		struct diagnostics diagnostics = {0};
		const char *path = files.gl_pathv[i];
		struct snapshot *snapshot = federation_load(&path, 1, NULL, &diagnostics);
		CU_ASSERT(snapshot != NULL && diagnostics.n == 0);
		CU_ASSERT(snapshot == NULL || (snapshot->n_services > 0 && snapshot->n_listeners > 0));
		snapshot_free(snapshot);
		diagnostics_free(&diagnostics);
	}
	globfree(&files);
}

/* The sanitizers look at each allocation; a tenth of them is as good. */
#ifdef __SANITIZE_ADDRESS__
enum { MANY = 10000 };
#else
enum { MANY = 100000 };
#endif
enum { MANY_BYTES_MAX = MANY * 1000 };

static double
seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
test_many(void)
{
	struct text file = {0};
	char host[64];

	text_print(&file, "%s",
		   FEDERATION GATEWAY("auto", "15443", "AUTO_PASSTHROUGH", "[ \"*.svc.cluster.local\" ]")
			   GATEWAY("edge", "443", "PASSTHROUGH", "[ \"*\" ]"));
	for (unsigned i = 0; i < MANY; i++)
		text_print(&file,
			   "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: s%u, "
			   "namespace: n%u }\n"
			   "spec:\n  hosts: [ s%u.n%u.svc.cluster.local ]\n  location: MESH_INTERNAL\n  resolution: "
			   "STATIC\n"
			   "  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n"
			   "  endpoints: [ { address: 10.%u.%u.%u } ]\n",
			   i, i % 1000, i, i % 1000, i >> 16, i >> 8 & 255, i & 255);
	for (unsigned i = 0; i < MANY; i += 2)
		text_print(&file,
			   "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: v%u "
			   "}\nspec:\n"
			   "  hosts: [ v%u.example ]\n  gateways: [ edge ]\n  tls:\n  - match: [ { sniHosts: [ "
			   "v%u.example ] } ]\n"
			   "    route: [ { destination: { host: s%u.n%u.svc.cluster.local } } ]\n",
			   i, i, i, i, i % 1000);
	double begin = seconds();
	struct snapshot *snapshot = load(file.bytes, NULL);
	double loaded = seconds();
	CU_ASSERT(snapshot->n_services == MANY && snapshot->n_endpoints == MANY);
	CU_ASSERT(snapshot->bytes > MANY * sizeof(struct service) && snapshot->bytes < MANY_BYTES_MAX);
	const struct listener *edge = &snapshot->listeners[0], *door = &snapshot->listeners[1];
	CU_ASSERT_FATAL(edge->port == 443 && door->port == 15443);
	CU_ASSERT(edge->n_routes == MANY / 2);
	for (unsigned i = 0; i < MANY; i++) {
		int length = snprintf(host, sizeof(host), "s%u.n%u.svc.cluster.local", i, i % 1000);
		CU_ASSERT_FATAL(listener_service(snapshot, door, host, (size_t)length) == &snapshot->services[i]);
		length = snprintf(host, sizeof(host), "v%u.example", i);
		const struct route *route = listener_route(snapshot, edge, host, (size_t)length);
		CU_ASSERT_FATAL((route != NULL) == (i % 2 == 0));
		CU_ASSERT_FATAL(route == NULL || route->backends[0].backend->service == &snapshot->services[i]);
	}
	double found = seconds();
	printf("\n%d services, %zu bytes of text: %.2f s to load, %zu bytes as a snapshot, %.0f ns for a lookup ... ",
	       MANY, file.length, loaded - begin, snapshot->bytes, (found - loaded) / MANY / 2 * 1e9);
	snapshot_free(snapshot);
	text_free(&file);
}

static const CU_TestInfo tests[] = {{"server names", test_server_names},
				    {"the border of AUTO_PASSTHROUGH", test_border},
				    {"listeners by address and port", test_listeners},
				    {"policies and their defaults", test_policies},
				    {"endpoints, their ports and selectors", test_endpoints},
				    {"other networks", test_networks},
				    {"what a host means", test_hosts},
				    {"weights", test_weights},
				    {"live slots", test_slots},
				    {"realistic files", test_valid_files},
				    {"100,000 services", test_many},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("snapshot", tests);
}
