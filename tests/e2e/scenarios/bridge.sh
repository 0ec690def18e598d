# SPDX-License-Identifier: Apache-2.0
# Identities bridged: a legacy client calls a mesh service that wants a SPIFFE ID, a mesh client calls a legacy server, a
# workload of one trust domain calls one of another that doesn't know its roots. Each refusal has its reason.
#
#   client ── TLS by names, or SPIFFE ──▶ Postern (gateway of a.example) ── SPIFFE, or TLS by names ──▶ a, b
#
# Doors: 8443 legacy (MUTUAL by the PKI corp), 9443 inside (ISTIO_MUTUAL), 7443 anybody (SIMPLE), 8080 plaintext.

BRIDGE_MORE=

bridge_federation() {
	cat <<-YAML
		apiVersion: postern.dev/v1alpha1
		kind: Federation
		metadata: { name: bridge, namespace: bank }
		spec:
		  trustDomain: a.example
		  clusterID: e2e-1
		  network: lan
		  locality: test/bench/1
		  identity: { embedded: { directory: $PKI/cas } }
		  federatesWith:
		  - { trustDomain: b.example, bootstrapBundle: $PKI/b.example/bundle.jwks }
		  legacyPKIs:
		  - { name: corp, anchors: [ $PKI/corp/ca.crt ], crls: [ $PKI/corp/corp.crl ] }
		---
	YAML
	bridge_gateway legacy 8443 TLS "{ mode: MUTUAL, credentialName: web, caCertCredentialName: corp }" web.corp.example
	bridge_gateway inside 9443 TLS "{ mode: ISTIO_MUTUAL }" "*.bank.svc.cluster.local" web.corp.example
	bridge_gateway anybody 7443 TLS "{ mode: SIMPLE, credentialName: web }" web.corp.example
	bridge_gateway plain 8080 TCP "" "*"
	# mesh services on a (b.example) and on b (a.example), and a legacy server on b
	bridge_service payments payments.bank.svc.cluster.local MESH_INTERNAL 18443 $A_V4 server b.example
	bridge_service ledger ledger.bank.svc.cluster.local MESH_INTERNAL 18444 $B_V4 server a.example
	bridge_service web web.corp.example MESH_EXTERNAL 18445 $B_V4
	cat <<-YAML
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: payments, namespace: bank }
		spec:
		  host: payments.bank.svc.cluster.local
		  trafficPolicy:
		    tls: { mode: ISTIO_MUTUAL, subjectAltNames: [ "spiffe://b.example/server" ] }
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: ledger, namespace: bank }
		spec:
		  host: ledger.bank.svc.cluster.local
		  trafficPolicy:
		    tls: { mode: ISTIO_MUTUAL, subjectAltNames: [ "spiffe://a.example/server" ] }
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: web, namespace: bank }
		spec:
		  host: web.corp.example
		  trafficPolicy:
		    tls: { mode: MUTUAL, credentialName: billing, sni: web.corp.example }
		---
		apiVersion: postern.dev/v1alpha1
		kind: IdentityMap
		metadata: { name: vms, namespace: bank }
		spec:
		  trustDomain: corp.example
		  rules:
		  - from: { legacyPKI: corp, dns: billing.corp.example }
		    spiffeID: spiffe://corp.example/vm/billing
		  - from: { legacyPKI: corp, dns: "*.meters.corp.example" }
		    spiffeID: spiffe://corp.example/meter/{dns.label}
		  - from: { interface: wan, sourceCIDR: 192.0.2.0/24 }
		    spiffeID: spiffe://corp.example/vlan/40
		---
	YAML
	bridge_route legacy 8443 payments.bank.svc.cluster.local 18443 web.corp.example
	bridge_route inside 9443 payments.bank.svc.cluster.local 18443 payments.bank.svc.cluster.local
	bridge_route inside 9443 ledger.bank.svc.cluster.local 18444 ledger.bank.svc.cluster.local
	bridge_route inside 9443 web.corp.example 18445 web.corp.example
	bridge_route anybody 7443 ledger.bank.svc.cluster.local 18444 web.corp.example
	bridge_route plain 8080 payments.bank.svc.cluster.local 18443
	cat <<-YAML
		apiVersion: security.istio.io/v1
		kind: AuthorizationPolicy
		metadata: { name: payments, namespace: bank }
		spec:
		  targetRefs: [ { kind: ServiceEntry, group: networking.istio.io, name: payments } ]
		  action: ALLOW
		  rules:
		  - from:
		    - source: { principals: [ "corp.example/vm/billing", "corp.example/vlan/40", "a.example/client" ] }
		$BRIDGE_MORE
	YAML
}

# bridge_gateway NAME PORT PROTOCOL TLS HOST…
bridge_gateway() {
	local name=$1 port=$2 protocol=$3 tls=$4 host hosts=
	shift 4
	for host in "$@"; do hosts="$hosts${hosts:+, }\"$host\""; done
	cat <<-YAML
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: $name, namespace: bank }
		spec:
		  servers:
		  - port: { number: $port, name: p$port, protocol: $protocol }
		    hosts: [ $hosts ]
		    ${tls:+tls: $tls}
		---
	YAML
}

# bridge_service NAME HOST LOCATION PORT ADDRESS
bridge_service() {
	cat <<-YAML
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: $1, namespace: bank }
		spec:
		  hosts: [ $2 ]
		  location: $3
		  resolution: STATIC
		  ports:
		  - { number: $4, name: tls, protocol: TLS }
		  endpoints:
		  - { address: $5 }
		---
	YAML
}

# bridge_route GATEWAY PORT HOST HOST-PORT [SERVER-NAME]
bridge_route() {
	cat <<-YAML
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: $1-${3%%.*}, namespace: bank }
		spec:
		  hosts: [ "${5:-*}" ]
		  gateways: [ $1 ]
		  tcp:
		  - match: [ { port: $2 } ]
		    route: [ { destination: { host: $3, port: { number: $4 } } } ]
		---
	YAML
}

bridge_up() {
	PKI=${PKI:-$TOPOLOGY_DIR/pki}
	pki_make "$PKI" || return 1
	# The gateway's own CAs: for its domain, whose workloads have their SVIDs from the PKI's CA, and for mapped identities.
	"$BUILD/posternctl" ca init --dir "$PKI/cas" --trust-domain corp.example >/dev/null || return 1
	mkdir -p "$PKI/cas/a.example"
	cp "$PKI/a.example/ca.crt" "$PKI/cas/a.example/ca-1.crt"
	cp "$PKI/a.example/ca.key" "$PKI/cas/a.example/ca-1.key"
	chmod 600 "$PKI/cas/a.example/ca-1.key"
	"$BUILD/posternctl" ca bundle --dir "$PKI/cas" --trust-domain corp.example --format pem >"$PKI/corp-bundle.pem"
	cat "$PKI/a.example/ca.crt" "$PKI/corp-bundle.pem" >"$PKI/b-trusts.pem"
	mkdir -p "$TOPOLOGY_DIR/postern/credentials"
	rm -rf "$TOPOLOGY_DIR/postern/credentials/"*
	cp -r "$PKI/corp/server-p256" "$TOPOLOGY_DIR/postern/credentials/web"
	cp -r "$PKI/corp/billing-p256" "$TOPOLOGY_DIR/postern/credentials/billing"
	serve_nginx a 18443 "$PKI/b.example/server" "$PKI/b-trusts.pem" &&
		serve_nginx b 18444 "$PKI/a.example/server" "$PKI/a.example/ca.crt" &&
		serve_nginx b 18445 "$PKI/corp/server-p256" "$PKI/corp/ca.crt"
}

scenario_bridge() {
	bridge_up || return 1
	FEDERATION_FROM=bridge_federation postern_start || return 1
	check_is "a legacy client, mapped, calls a mesh service of another domain" spiffe://corp.example/vm/billing \
		"$(get_curl client "$PKI/corp/billing-p256" "$PKI/corp/ca.crt" web.corp.example $BOX_V4 8443 /whoami 2>&1 | saw)"
	check_is "a mesh client calls a legacy server" DNS:billing.corp.example \
		"$(get_openssl client "$PKI/a.example/client" "$PKI/a.example/ca.crt" spiffe://a.example/gateway/e2e-1 $BOX_V4 9443 /whoami -servername web.corp.example 2>&1 | saw)"
}
