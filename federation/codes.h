/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every diagnostic that federation_load can give: number, name, what is wrong, an example. The one source: the enum,
 * the texts "PN0107" and the documentation's table come from here, and a test wants each to be shown by a broken file.
 *
 * Numbers are never given to another meaning. Groups: 00 the file and its YAML, 01 the shape of a document, 02 a value
 * by itself, 03 what one document says of another, 04 documents that contradict each other, 05 limits of the box.
 */
#ifndef POSTERN_FEDERATION_CODES_H
#define POSTERN_FEDERATION_CODES_H

#define FEDERATION_CODES(X)                                                                                            \
	X(1, FILE_UNREADABLE, "the file can't be read", "no such file")                                                \
	X(2, FILE_TOO_LARGE, "the file is larger than 256 MiB", "")                                                    \
	X(3, NOT_TEXT, "not UTF-8, or a control character", "name: \"a\\0b\"")                                         \
	X(4, YAML_SYNTAX, "not YAML", "hosts: [ a.example")                                                            \
	X(5, DUPLICATE_KEY, "the same key twice in one mapping", "{ name: a, name: b }")                               \
	X(6, ALIAS, "an anchor, an alias or a merge key", "spec: &x { }")                                              \
	X(7, TOO_DEEP, "more than 32 levels of nesting", "[[[[[[…")                                                    \
	X(8, TOO_MANY_NODES, "more than 1048576 values in one document", "")                                           \
	X(9, TAG, "an explicit YAML tag", "name: !!str a")                                                             \
	X(10, TOO_MANY_ERRORS, "more than 1000 errors or warnings; the rest is not shown", "")                         \
	X(11, KEY_NOT_TEXT, "a mapping's key that isn't plain text", "? [ a ] : b")                                    \
	X(101, UNKNOWN_KIND, "no such kind", "kind: Gatewy")                                                           \
	X(102, UNSUPPORTED_KIND, "a kind that is not supported yet", "kind: PeerAuthentication")                       \
	X(103, API_VERSION, "an apiVersion that the kind doesn't have", "apiVersion: networking.istio.io/v2")          \
	X(104, WRONG_TYPE, "a value of the wrong type", "number: \"443\"")                                             \
	X(105, MISSING_FIELD, "a required field is missing", "a Gateway without servers")                              \
	X(106, EMPTY, "a list or mapping that must not be empty is", "hosts: []")                                      \
	X(107, UNKNOWN_FIELD, "no such field", "trustdomain: a.example")                                               \
	X(108, UNSUPPORTED_FIELD, "a field that is not supported yet", "outlierDetection: { }")                        \
	X(109, UNSUPPORTED_VALUE, "a value that is not supported yet", "resolution: DNS")                              \
	X(110, UNKNOWN_VALUE, "none of the field's values", "mode: PASTHROUGH")                                        \
	X(111, REFUSED_FIELD, "a field that is refused for good", "insecureSkipVerify: true")                          \
	X(201, BAD_NAME, "not a Kubernetes name or namespace", "name: East_West")                                      \
	X(202, BAD_HOST, "not a host name", "hosts: [ a..example ]")                                                   \
	X(203, BAD_WILDCARD, "a wildcard where none may be", "hosts: [ \"a.*.example\" ]")                             \
	X(204, BAD_ADDRESS, "not an IP address", "address: 10.0.0.256")                                                \
	X(205, MARTIAN, "an address that can't be anyone's on the network", "address: 127.0.0.1")                      \
	X(206, BAD_PORT, "not a port number from 1 to 65535", "number: 70000")                                         \
	X(207, BAD_WEIGHT, "not a weight from 0 to 65535", "weight: -1")                                               \
	X(208, NO_WEIGHT, "the weights of a route sum to 0", "two routes, neither with a weight")                      \
	X(209, BAD_DURATION, "not a duration in whole milliseconds", "connectTimeout: 10")                             \
	X(210, BAD_TRUST_DOMAIN, "not a SPIFFE trust domain", "trustDomain: Core.Example")                             \
	X(211, BAD_LABEL, "not a Kubernetes label", "labels: { version: \"a b\" }")                                    \
	X(212, BAD_IDENTIFIER, "not a port name, subset, cluster, network or service account", "subset: V1")           \
	X(213, BAD_LOCALITY, "not region/zone/subzone", "locality: eu//a")                                             \
	X(214, BAD_COUNT, "a count out of range", "maxConnections: 0")                                                 \
	X(215, EXCLUSIVE, "two fields that exclude each other", "endpoints and workloadSelector")                      \
	X(216, WEIGHT_UNSET, "a warning: one of several destinations has no weight, so takes no traffic", "")          \
	X(217, BAD_SPIFFE_ID, "not a SPIFFE ID with a path", "spiffeID: spiffe://a.example/")                          \
	X(218, BAD_PATH, "not the path of a file", "anchors: [ \"\" ]")                                                \
	X(219, BAD_URL, "not an https URL", "bundleEndpointURL: http://a.example/")                                    \
	X(220, BAD_PIN, "not a SHA-256", "spkiSHA256: abc")                                                            \
	X(221, BAD_PREFIX, "not the prefix of a network", "sourceCIDR: 10.40.0.1/24")                                  \
	X(222, BAD_TEMPLATE, "a template that nothing can fill in", "spiffeID: spiffe://a.example/{dns.name}")         \
	X(223, EMPTY_RANGE, "a range that nothing is in", "warnAfter: 2h, maxAge: 1h")                                 \
	X(251, BAD_PRINCIPAL, "not a principal, or a pattern of some", "principals: [ \"spiffe://a.example/b\" ]")     \
	X(252, RULES_EMPTY, "a warning: a DENY policy without rules, which denies nobody", "")                         \
	X(301, NO_SUCH_GATEWAY, "no Gateway of that name", "gateways: [ east ]")                                       \
	X(302, NO_SUCH_HOST, "no ServiceEntry has that host", "destination: { host: paiments }")                       \
	X(303, NO_SUCH_SUBSET, "no DestinationRule names that subset", "subset: v3")                                   \
	X(304, NO_SUCH_PORT, "the service has no such port, or several and none is named", "port: { number: 1 }")      \
	X(305, NO_SUCH_NETWORK, "no cluster is in that network", "endpoints: [ { network: cor } ]")                    \
	X(306, ADDRESS_NEEDED, "an endpoint without address, not in another network", "endpoints: [ { weight: 1 } ]")  \
	X(307, NO_NETWORK_GATEWAY, "no cluster in that network has a gateway", "endpoints: [ { network: core } ]")     \
	X(308, NO_SUCH_PORT_NAME, "an endpoint's ports name no port of the service", "ports: { tsl: 9443 }")           \
	X(309, NOT_PASSTHROUGH, "routes of a kind that no server of the Gateway takes", "gateways: [ east-west ]")     \
	X(310, HOST_NOT_ADMITTED, "a server name outside the hosts of the Gateway", "sniHosts: [ b.example ]")         \
	X(311, NO_SUCH_LISTENER_PORT, "match.port is no port of the Gateways", "match: [ { port: 8443 } ]")            \
	X(312, GATEWAY_NOT_BOUND, "match.gateways names one that spec.gateways doesn't", "")                           \
	X(313, HOST_NOT_CLAIMED, "a server name outside the VirtualService's own hosts", "")                           \
	X(314, PLAINTEXT_PORT, "a warning: TLS is passed through to a port of a plaintext protocol", "")               \
	X(315, NO_FEDERATION, "there is no Federation document", "")                                                   \
	X(316, NO_ENDPOINT, "a warning: nothing is behind a service or subset", "")                                    \
	X(317, NOT_BRIDGED, "TLS or PROXY from us where the client's own TLS is passed through", "")                   \
	X(318, TLS_UNSAID, "nothing says how to begin TLS with a port of TLS", "")                                     \
	X(319, NO_IDENTITY, "ISTIO_MUTUAL, and the Federation has no identity", "")                                    \
	X(320, NO_SUCH_PKI, "no legacy PKI of that name", "from: { legacyPKI: crop }")                                 \
	X(321, FOREIGN_DOMAIN, "a mapped identity in somebody else's trust domain", "")                                \
	X(322, UNREACHABLE_RULE, "a warning: an earlier rule takes all that this one would", "")                       \
	X(351, NO_SUCH_TARGET, "targetRefs name nothing that is here", "targetRefs: [ { kind: Gateway, name: x } ]")   \
	X(352, POLICY_UNUSED, "a warning: a policy for a namespace without services", "")                              \
	X(353, STRANGE_DOMAIN, "a warning: a principal of a trust domain that nobody here can be of", "")              \
	X(401, SECOND_FEDERATION, "two Federation documents", "")                                                      \
	X(402, DUPLICATE_OBJECT, "two documents of one kind, namespace and name", "")                                  \
	X(403, DUPLICATE_HOST, "two services of one host", "")                                                         \
	X(404, DUPLICATE_RULE, "two DestinationRules for one host", "")                                                \
	X(405, LISTENER_OVERLAP, "two listeners on one port and address", "")                                          \
	X(406, DUPLICATE_SERVER_HOST, "one host twice on a listener", "hosts: [ a.example, a.example ]")               \
	X(407, DUPLICATE_ROUTE, "two routes for one server name on a listener", "")                                    \
	X(408, DUPLICATE_PORT, "two ports of one number or name in a service", "")                                     \
	X(409, DUPLICATE_SUBSET, "two subsets of one name", "")                                                        \
	X(410, DUPLICATE_CLUSTER, "two clusters of one clusterID", "")                                                 \
	X(411, DUPLICATE_ENDPOINT, "one endpoint twice in a service", "")                                              \
	X(412, DUPLICATE_DOMAIN, "one trust domain twice", "")                                                         \
	X(413, DUPLICATE_PKI, "two legacy PKIs of one name", "")                                                       \
	X(501, NO_SLOT, "more listeners, backends or endpoints than the box has room for", "")

#define FEDERATION_CODE_ENUM(number, name, what, example) PN_##name = (number),
enum federation_code { FEDERATION_CODES(FEDERATION_CODE_ENUM) };
#undef FEDERATION_CODE_ENUM

#endif
