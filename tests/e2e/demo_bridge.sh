# SPDX-License-Identifier: Apache-2.0
#
# The demo's second act: identities bridged. Sourced by demo.sh, after act one, with posternd still running.
#
#   client                          box                            a, b
#   billing, a VM of corp      ───▶ 8443   by host names ─┐   ┌──▶ a: accounts (demo.example, wants SPIFFE IDs)
#   teller (demo.example)      ─┬─▶ 15444  by SPIFFE IDs ─┴───┤
#   orders (partner.example)   ─┘                             └──▶ b: archive.corp.example (nginx, wants certificates of corp)
#
# No key is anything but P-256.

GATEWAY_ID=spiffe://demo.example/gateway/edge-1 ACCOUNTS=accounts.bank.svc.cluster.local
MESH="subjectAltName=critical,URI:spiffe:/"

# certificate NAME CA SUBJECT SAN…: NAME/tls.crt and tls.key, and both in NAME.pem, as curl likes them.
certificate() {
	local dir=$TOPOLOGY_DIR/$1 ca=$TOPOLOGY_DIR/$2 subject=$3
	mkdir -p "$dir"
	pki_key p256 >"$dir/tls.key" && pki_certificate "$dir" "$ca" 1 "$subject" "${PKI_LEAF[@]}" "$4" &&
		cp "$ca/ca.crt" "$dir/ca.crt" && chmod 600 "$dir/tls.key" && cat "$dir/tls.crt" "$dir/tls.key" >"$dir.pem"
}

bridge_certificates() {
	local here=$TOPOLOGY_DIR name
	PKI=$here
	# What workloads of demo.example have is signed by the gateway's CA, as a node agent's would be by its mesh's.
	mkdir -p "$here/demo"
	cp "$POSTERN_DIR/ca/demo.example/ca-1.crt" "$here/demo/ca.crt"
	cp "$POSTERN_DIR/ca/demo.example/ca-1.key" "$here/demo/ca.key"
	pki_ca "$here/corp" - "Corp" && pki_ca "$here/partner" - "Partner" "subjectAltName=URI:spiffe://partner.example" &&
		pki_ca "$here/elsewhere" - "Elsewhere" "subjectAltName=URI:spiffe://stranger.example" || return 1
	for name in billing retired guest 7.meters; do
		certificate "${name#*.}" corp / "subjectAltName=critical,DNS:$name.corp.example" || return 1
	done
	certificate edge corp /CN=edge.corp.example "subjectAltName=DNS:edge.corp.example,DNS:accounts.corp.example" &&
		certificate archive corp / "subjectAltName=critical,DNS:archive.corp.example" &&
		certificate teller demo / "$MESH/demo.example/ns/bank/sa/teller" &&
		certificate accounts demo / "$MESH/demo.example/ns/bank/sa/accounts" &&
		certificate orders partner / "$MESH/partner.example/ns/shop/sa/orders" &&
		certificate stranger elsewhere / "$MESH/stranger.example/ns/shop/sa/orders" || return 1
	pki_bundle "$here/partner/ca.crt" >"$here/partner.jwks"
	pki_revoke "$here/corp" "$here/retired/tls.crt" >"$here/corp.crl"
	mkdir -p "$POSTERN_DIR/credentials"
	cp -r "$here/edge" "$POSTERN_DIR/credentials/"
}

# bridge_service NAME HOST LOCATION PORT ENDPOINT TLS
bridge_service() {
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: $1, namespace: bank }
		spec:
		  hosts: [ $2 ]
		  location: $3
		  resolution: STATIC
		  ports: [ { number: $4, name: tls, protocol: TLS } ]
		  endpoints: [ $5 ]
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: $1, namespace: bank }
		spec:
		  host: $2
		  trafficPolicy: { tls: $6 }
	EOF
}

# bridge_door NAME PORT TLS SERVER-NAMES
bridge_door() {
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: $1, namespace: bank }
		spec:
		  servers:
		  - port: { number: $2, name: tls, protocol: TLS }
		    tls: $3
		    hosts: [ $4 ]
	EOF
}

# bridge_route GATEWAY SERVER-NAME HOST PORT
bridge_route() {
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: ${2%%.*}-by-$1, namespace: bank }
		spec:
		  hosts: [ $2 ]
		  gateways: [ $1 ]
		  tcp: [ { route: [ { destination: { host: $3, port: { number: $4 } } } ] } ]
	EOF
}

bridge_federation() {
	local mesh="{ mode: ISTIO_MUTUAL }"
	federation "
  identity: { embedded: { directory: ca } }
  federatesWith: [ { trustDomain: partner.example, bootstrapBundle: ../partner.jwks } ]
  legacyPKIs: [ { name: corp, anchors: [ ../corp/ca.crt ], crls: [ ../corp.crl ] } ]"
	bridge_service accounts $ACCOUNTS MESH_INTERNAL 9001 "{ address: $A_V4, serviceAccount: accounts }" "$mesh"
	bridge_service archive archive.corp.example MESH_EXTERNAL 9002 "{ address: $B_V4 }" "{ mode: MUTUAL, credentialName: edge }"
	bridge_door legacy 8443 "{ mode: MUTUAL, credentialName: edge, caCertCredentialName: corp }" accounts.corp.example
	bridge_door inside 15444 "$mesh" "$ACCOUNTS, archive.corp.example"
	bridge_route legacy accounts.corp.example $ACCOUNTS 9001
	bridge_route inside $ACCOUNTS $ACCOUNTS 9001
	bridge_route inside archive.corp.example archive.corp.example 9002
	cat <<-EOF
		---
		apiVersion: postern.dev/v1alpha1
		kind: IdentityMap
		metadata: { name: corp }
		spec:
		  trustDomain: demo.example
		  rules:
		  - { from: { legacyPKI: corp, dns: billing.corp.example }, spiffeID: spiffe://demo.example/vm/billing }
		  - { from: { legacyPKI: corp, dns: "*.meters.corp.example" }, spiffeID: "spiffe://demo.example/meter/{dns.label}" }
		---
		apiVersion: security.istio.io/v1
		kind: AuthorizationPolicy
		metadata: { name: accounts, namespace: bank }
		spec:
		  targetRefs: [ { kind: ServiceEntry, group: networking.istio.io, name: accounts } ]
		  action: ALLOW
		  rules:
		  - from:
		    - source: { principals: [ demo.example/vm/billing, demo.example/ns/bank/sa/teller, partner.example/ns/shop/sa/orders ] }
	EOF
}

archive_start() {
	local dir=$TOPOLOGY_DIR/nginx-archive here=$TOPOLOGY_DIR
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-EOF
		user root;
		daemon off;
		worker_processes 1;
		pid $dir/pid;
		error_log $dir/error.log warn;
		events { worker_connections 64; }
		http {
			access_log off;
			$(nginx_folders "$dir")
			server {
				listen 9002 ssl;
				ssl_certificate $here/archive/tls.crt;
				ssl_certificate_key $here/archive/tls.key;
				ssl_client_certificate $here/corp/ca.crt;
				ssl_verify_client on;
				location / { return 200 "archive, to \$ssl_client_s_dn\n"; }
			}
		}
	EOF
	start_bg b "$dir/log" nginx -c "$dir/nginx.conf" -p "$dir" -e "$dir/error.log"
	wait_for 15 port_open b 9002
}

# spiffe-get FOLDER HOST:PORT: Python's TLS, with that SVID; the server must prove to be the gateway.
spiffe_get_make() {
	cat >"$TOPOLOGY_DIR/bin/spiffe-get" <<-EOF
		#!/bin/sh
		exec python3 "$(realpath "$PEERS/peer.py")" get --credential "\$1" --ca mesh.pem --expect $GATEWAY_ID \
			--sni "\${2%:*}" gateway "\${2#*:}" /
	EOF
	chmod +x "$TOPOLOGY_DIR/bin/spiffe-get"
}

# refused WHAT PATTERN CLIENT-LINE FROM TO REASON: the client sees the pattern, explain says why.
refused() {
	say "Refused: $1."
	show client "$2" "$3"
	show box "$6" "posternctl explain --from $4 --to $5 | grep -E 'refused|would do'"
}

bridge_world() {
	say "Second act: identities bridged. Legacy hosts have certificates with host names, workloads have SPIFFE IDs, and partners have roots
of their own. Here Postern ends TLS on both sides: it proves who calls, decides, and speaks on as somebody whom the other side
can verify. It gets a CA of its own; and a corporation's PKI, a partner's, and two more workloads appear."
	show box "first CA" "posternctl ca init --dir postern/ca --trust-domain demo.example && posternctl ca bundle --dir postern/ca --format pem > mesh.pem"
	bridge_certificates && archive_start && serve_python a 9001 "$TOPOLOGY_DIR/accounts" "$TOPOLOGY_DIR/demo/ca.crt" ||
		{ echo "The second act's peers could not be started."; exit 1; }
	spiffe_get_make
	CA=$TOPOLOGY_DIR/corp/ca.crt
	bridge_federation >"$FEDERATION"
	show box "TERMINATE" "posternctl validate postern/federation.yaml && posternctl reload && posternctl listeners"
}

bridge_allowed() {
	say "A legacy client calls a mesh service that wants SPIFFE mTLS. What it shows is corp's certificate for billing.corp.example;
what the service sees is the ID that the name is mapped to."
	show client "saw=spiffe://demo.example/vm/billing" "curl -s --http1.1 --cert billing.pem https://accounts.corp.example:8443/"

	say "A mesh client calls a legacy HTTPS server: each is shown a Postern that it can verify. (spiffe-get is Python's TLS.)"
	show client "archive, to CN=edge.corp.example" "spiffe-get teller archive.corp.example:15444"

	say "A workload of partner.example calls one of demo.example, which doesn't know partner.example's roots. Who decided that it may?"
	show client "saw=$GATEWAY_ID" "spiffe-get orders $ACCOUNTS:15444"
	show box "ALLOW bank/accounts" "posternctl explain --from spiffe://partner.example/ns/shop/sa/orders --to $ACCOUNTS:15444"
}

bridge_refused() {
	local legacy="curl -sS --http1.1 https://accounts.corp.example:8443/"
	refused "no certificate" "certificate required" "$legacy" $CLIENT_V4 accounts.corp.example:8443 tls_client_certificate_missing
	refused "a name that no rule of the IdentityMap has" "certificate unknown" "$legacy --cert guest.pem" \
		corp/guest.corp.example accounts.corp.example:8443 tls_peer_identity
	refused "a trust domain that we don't federate with" "unknown ca" "spiffe-get stranger $ACCOUNTS:15444" \
		spiffe://stranger.example/ns/shop/sa/orders $ACCOUNTS:15444 tls_peer_untrusted
	refused "a meter, which is mapped, but not in the service's policy" "access denied" "$legacy --cert meters.pem" \
		corp/7.meters.corp.example accounts.corp.example:8443 authz_not_allowed
	refused "a partner where no policy names it" "ACCESS_DENIED" "spiffe-get orders archive.corp.example:15444" \
		spiffe://partner.example/ns/shop/sa/orders archive.corp.example:15444 authz_default_deny
	say "Refused: a revoked certificate. explain looks at no certificates; the counters and the access log (below) have the reason."
	show client "certificate revoked" "$legacy --cert retired.pem"
}

bridge_revoked() {
	say "billing keeps a connection open. Then corp revokes its certificate, too."
	start_bg client "$TOPOLOGY_DIR/held" env -C "$TOPOLOGY_DIR" openssl s_client -quiet -connect gateway:8443 \
		-servername accounts.corp.example -CAfile "$CA" -cert billing.pem
	local held=$STARTED_PID revoked
	wait_for 5 grep -q "verify return:1" "$TOPOLOGY_DIR/held" && sleep 0.5
	pki_revoke "$TOPOLOGY_DIR/corp" "$TOPOLOGY_DIR"/{retired,billing}/tls.crt >"$TOPOLOGY_DIR/new.crl"
	show box "bridged .*accounts" "posternctl flows --state bridged; mv new.crl corp.crl"
	revoked=${EPOCHREALTIME/./}
	wait_for 5 process_gone "$held"
	say "Its connection was ended $(((${EPOCHREALTIME/./} - revoked) / 1000)) ms later. Everything has its reason:"
	show box "peer_distrusted" "posternctl drops | grep -E 'REASON|tls|authz|peer'"
	cp "$POSTERN_DIR/log" "$TOPOLOGY_DIR/log"
	show box tls_peer_revoked "jq -cR 'fromjson? | select(.scope == \"access\" and (.listener | test(\"bank/(legacy|inside)\"))) | {\"src.identity\", sni, \"dst.service\", \"dst.identity\", reason, detail}' log"
}

bridge_act() {
	bridge_world
	bridge_allowed
	bridge_refused
	bridge_revoked
}
