# SPDX-License-Identifier: Apache-2.0
# Identities bridged: a legacy client calls a mesh service that wants SPIFFE mTLS, a mesh client calls a legacy server, a
# workload of another trust domain calls ours. Every peer says whom it saw, and each refusal has its own reason.
#
#   the box is of edge.example, whose CA is its own, as is that of ids.example, where mapped clients live
#   443    legacy clients, by certificates of corp → vault (mesh, at a:9001); TYPE.web.corp.example shows a key of that TYPE
#   15444  mesh clients, of edge.example and b.example → vault, or old.corp.example (nginx, at a:9002)

IDENTITIES_TYPES="p256 p384 ed25519 rsa2048 rsa4096 chain large"
VAULT=vault.shop.svc.cluster.local

# identities_legacy_server NAME HOST CREDENTIAL: one of those on 443.
identities_legacy_server() {
	cat <<-EOF
		  - port: { number: 443, name: $1, protocol: TLS }
		    tls: { mode: MUTUAL, credentialName: $3, caCertCredentialName: corp }
		    hosts: [ $2 ]
	EOF
}

identities_federation() {
	local type
	cat <<-EOF
		apiVersion: postern.dev/v1alpha1
		kind: Federation
		metadata: { name: bridge }
		spec:
		  trustDomain: edge.example
		  clusterID: edge-1
		  network: lan
		  identity: { embedded: { directory: ca } }
		  federatesWith:
		  - trustDomain: b.example
		    bootstrapBundle: $PKI/b.example/bundle.jwks
		  legacyPKIs:
		  - name: corp
		    anchors: [ $PKI/corp/ca.crt ]
		    crls: [ $PKI/corp/corp.crl ]
		---
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: legacy, namespace: shop }
		spec:
		  servers:
	EOF
	identities_legacy_server web web.corp.example web-p256
	identities_legacy_server open open.web.corp.example web-p256
	for type in $IDENTITIES_TYPES; do identities_legacy_server "$type" "$type.web.corp.example" "web-$type"; done
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: inner, namespace: shop }
		spec:
		  servers:
		  - port: { number: 15444, name: mesh, protocol: TLS }
		    tls: { mode: ISTIO_MUTUAL }
		    hosts: [ "*" ]
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: vault, namespace: shop }
		spec:
		  hosts: [ $VAULT ]
		  location: MESH_INTERNAL
		  resolution: STATIC
		  ports: [ { number: 9001, name: tls, protocol: TLS } ]
		  endpoints: [ { address: $A_V4, serviceAccount: vault } ]
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: vault, namespace: shop }
		spec:
		  host: $VAULT
		  trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: old, namespace: shop }
		spec:
		  hosts: [ old.web.corp.example ]
		  location: MESH_EXTERNAL
		  resolution: STATIC
		  ports: [ { number: 9002, name: tls, protocol: TLS } ]
		  endpoints: [ { address: $A_V4 } ]
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: old, namespace: shop }
		spec:
		  host: old.web.corp.example
		  trafficPolicy: { tls: { mode: MUTUAL, credentialName: us } }
		---
		# nobody says who may: those of our own trust domain, and no others
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: open, namespace: shop }
		spec:
		  hosts: [ open.shop.svc.cluster.local ]
		  location: MESH_INTERNAL
		  resolution: STATIC
		  ports: [ { number: 9001, name: tls, protocol: TLS } ]
		  endpoints: [ { address: $A_V4, serviceAccount: vault } ]
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: to-open, namespace: shop }
		spec:
		  gateways: [ legacy, inner ]
		  hosts: [ open.web.corp.example ]
		  tcp: [ { route: [ { destination: { host: open.shop.svc.cluster.local, port: { number: 9001 } } } ] } ]
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: to-vault, namespace: shop }
		spec:
		  gateways: [ legacy, inner ]
		  hosts: [ "*" ]
		  tcp: [ { route: [ { destination: { host: $VAULT, port: { number: 9001 } } } ] } ]
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: to-old, namespace: shop }
		spec:
		  gateways: [ inner ]
		  hosts: [ old.web.corp.example ]
		  tcp: [ { route: [ { destination: { host: old.web.corp.example, port: { number: 9002 } } } ] } ]
		---
		apiVersion: postern.dev/v1alpha1
		kind: IdentityMap
		metadata: { name: corp }
		spec:
		  trustDomain: ids.example
		  rules:
		  - { from: { legacyPKI: corp, dns: billing.corp.example }, spiffeID: spiffe://ids.example/vm/billing }
		  - { from: { legacyPKI: corp, dns: "*.meters.corp.example" }, spiffeID: "spiffe://ids.example/meter/{dns.label}" }
		---
		apiVersion: security.istio.io/v1
		kind: AuthorizationPolicy
		metadata: { name: vault, namespace: shop }
		spec:
		  targetRefs: [ { kind: ServiceEntry, group: networking.istio.io, name: vault } ]
		  action: ALLOW
		  rules:
		  - from:
		    - source: { principals: [ ids.example/vm/billing, edge.example/ns/shop/sa/client, b.example/client ] }
		---
		apiVersion: security.istio.io/v1
		kind: AuthorizationPolicy
		metadata: { name: old, namespace: shop }
		spec:
		  targetRefs: [ { kind: ServiceEntry, group: networking.istio.io, name: old } ]
		  action: ALLOW
		  rules: [ { from: [ { source: { principals: [ edge.example/ns/shop/sa/client ] } } ] } ]
	EOF
}

# The CAs of the box, what its credentials are, and SVIDs of its own trust domain for the mesh's workloads.
identities_identities() {
	local dir=$TOPOLOGY_DIR/postern domain name
	rm -rf "$dir"
	mkdir -p "$dir/credentials" "$PKI/edge.example"
	for domain in edge.example ids.example; do
		"$BUILD/posternctl" ca init --dir "$dir/ca" --trust-domain $domain >/dev/null || return 1
		mkdir -p "$PKI/$domain"
		"$BUILD/posternctl" ca bundle --dir "$dir/ca" --trust-domain $domain >"$PKI/$domain/bundle.jwks"
		"$BUILD/posternctl" ca bundle --dir "$dir/ca" --trust-domain $domain --format pem >"$PKI/$domain/ca.crt"
	done
	for name in client vault stranger; do
		mkdir -p "$PKI/edge.example/$name"
		"$BUILD/tests/e2e/issue" "$dir/ca" edge.example "spiffe://edge.example/ns/shop/sa/$name" "$PKI/edge.example/$name" || return 1
	done
	for name in $IDENTITIES_TYPES; do cp -r "$PKI/corp/server-$name" "$dir/credentials/web-$name" || return 1; done
	cp -r "$PKI/corp/billing-p256" "$dir/credentials/us"
}

# identities_sees NAME WANT GET CREDENTIAL CA SERVER PORT [OPTION…]: the service behind the box must see WANT.
identities_sees() {
	local name=$1 want=$2 get=$3 credential=$4 ca=$5 server=$6 port=$7 seen
	shift 7
	seen=$("get_$get" client "$credential" "$ca" "$server" $BOX_V4 "$port" /whoami "$@" 2>"$TOPOLOGY_DIR/client.log") ||
		{ fails "$name" "$(tail -n 3 "$TOPOLOGY_DIR/client.log" "$POSTERN_DIR/log")"; return; }
	check_is "$name" "$want" "$(saw <<<"$seen")"
}

# identities_refuses NAME REASON GET …, as above: nothing may be seen, and REASON is counted.
identities_refuses() {
	local name=$1 reason=$2 get=$3 credential=$4 ca=$5 server=$6 port=$7
	shift 7
	refused "$name" "no answer" "$reason" identities_ask "$get" client "$credential" "$ca" "$server" $BOX_V4 "$port" /whoami "$@"
}

# What the service saw, or "no answer".
identities_ask() {
	local get=$1
	shift
	"get_$get" "$@" 2>/dev/null | saw
}

# The world of the file's head. With Go its peer is the vault, else Python's.
identities_world() {
	GO=
	if have_go; then GO=yes; fi
	pki_once || return 1
	identities_identities || return 1
	if [ -n "$GO" ]; then
		serve_go a 9001 "$PKI/edge.example/vault" edge.example,ids.example || return 1
	else
		cat "$PKI/edge.example/ca.crt" "$PKI/ids.example/ca.crt" >"$PKI/vault-ca.crt"
		serve_python a 9001 "$PKI/edge.example/vault" "$PKI/vault-ca.crt" || return 1
	fi
	VAULT_PID=$STARTED_PID
	serve_nginx a 9002 "$PKI/corp/server-p256" "$PKI/corp/ca.crt" || return 1
	OLD_PID=$STARTED_PID
	FEDERATION_FROM=identities_federation postern_start
}

identities_world_end() {
	stop_bg "$VAULT_PID"
	stop_bg "$OLD_PID"
}

scenario_identities() {
	local corp type client mesh=spiffe://edge.example/gateway/edge-1
	identities_world || return 1
	corp=$PKI/corp
	for client in curl python openssl ${GO:+go}; do
		identities_sees "legacy to mesh: $client" spiffe://ids.example/vm/billing $client "$corp/billing-p256" "$corp/ca.crt" \
			web.corp.example 443
	done
	for type in $IDENTITIES_TYPES; do
		identities_sees "legacy to mesh: $type on both sides" spiffe://ids.example/vm/billing curl "$corp/billing-$type" \
			"$corp/ca.crt" "$type.web.corp.example" 443
	done
	for type in --tlsv1.3 "--tls-max 1.2"; do
		# shellcheck disable=SC2086 # an option and its value
		identities_sees "legacy to mesh: ${type#--}" spiffe://ids.example/vm/billing curl "$corp/billing-p256" "$corp/ca.crt" \
			web.corp.example 443 $type
	done
	identities_refuses "legacy: nobody's rule" tls_peer_identity curl "$corp/guest" "$corp/ca.crt" web.corp.example 443
	identities_refuses "legacy: mapped, and no policy allows it" authz_not_allowed curl "$corp/meter-7" "$corp/ca.crt" web.corp.example 443
	identities_refuses "legacy: another trust domain than the service's, which has no policy" authz_default_deny curl \
		"$corp/billing-p256" "$corp/ca.crt" open.web.corp.example 443
	identities_refuses "legacy: revoked" tls_peer_revoked curl "$corp/billing-revoked" "$corp/ca.crt" web.corp.example 443
	identities_refuses "legacy: expired" tls_peer_expired curl "$corp/billing-expired" "$corp/ca.crt" web.corp.example 443
	identities_refuses "legacy: the same name by another CA" tls_peer_untrusted curl "$PKI/impostor/billing" "$corp/ca.crt" web.corp.example 443

	for client in python openssl ${GO:+go}; do
		local edge=$PKI/edge.example/ca.crt b=$PKI/edge.example/ca.crt sni=(--sni)
		[ $client != openssl ] || sni=(-servername)
		[ $client != go ] || { edge=edge.example b=edge.example; sni=(-sni); }
		identities_sees "mesh to legacy: $client" DNS:billing.corp.example $client "$PKI/edge.example/client" "$edge" $mesh 15444 \
			"${sni[@]}" old.web.corp.example
		identities_sees "from b.example to ours: $client" $mesh $client "$PKI/b.example/client" "$b" $mesh 15444 "${sni[@]}" $VAULT
	done
	local edge=$PKI/edge.example/ca.crt
	identities_sees "mesh: a service without a policy, to one of its own trust domain" $mesh openssl "$PKI/edge.example/stranger" "$edge" $mesh \
		15444 -servername open.web.corp.example
	identities_refuses "mesh: the same, to one of another" authz_default_deny openssl "$PKI/b.example/client" "$edge" $mesh 15444 \
		-servername open.web.corp.example
	identities_refuses "mesh: no policy allows it" authz_not_allowed openssl "$PKI/edge.example/stranger" "$edge" $mesh 15444 -servername $VAULT
	identities_refuses "mesh: a trust domain that isn't federated" tls_peer_untrusted openssl "$PKI/a.example/client" "$edge" $mesh 15444 -servername $VAULT
	identities_refuses "mesh: b's CA for a's name" tls_peer_untrusted openssl "$PKI/b.example/foreign" "$edge" $mesh 15444 -servername $VAULT
	for type in two-uris no-uri is-ca root-path; do
		identities_refuses "mesh: an SVID that is wrong: $type" tls_peer_malformed openssl "$PKI/b.example/$type" "$edge" $mesh 15444 -servername $VAULT
	done
	identities_refuses "mesh: expired" tls_peer_expired openssl "$PKI/b.example/expired" "$edge" $mesh 15444 -servername $VAULT
	identities_world_end
}
