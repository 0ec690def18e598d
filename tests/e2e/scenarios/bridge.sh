# SPDX-License-Identifier: Apache-2.0
# Identities bridged, whoever is at either end: a legacy client calls a mesh service of another trust domain, a mesh client
# calls a legacy server, one trust domain calls the other, and those call who prove nothing or speak no TLS. Each time it is
# the endpoint that says whom it saw.
#
#   client ── TLS by names, or SPIFFE ──▶ Postern (gateway of a.example) ── SPIFFE, or TLS by names ──▶ a, b
#
#   doors      8443 legacy (MUTUAL by the PKI corp), 9443 inside (ISTIO_MUTUAL), 7443 anybody (SIMPLE), 8080 plaintext,
#              8444 and 8445 like 8443 with TLS 1.3 alone and TLS 1.2 alone
#   mesh       a (b.example): PEER.bank.svc.cluster.local, one for each peer; b (a.example): ledger, board
#   legacy     b: PEER.old.corp.example
#   plaintext  b: sink.bank.svc.cluster.local, with a PROXY header; late.…, which takes its time

BRIDGE_PEERS="nginx haproxy python openssl go$(have_envoy && echo " envoy")"
BRIDGE_MORE= BRIDGE_DENY= BRIDGE_WITHDRAWN= BRIDGE_MAPPED=billing.corp.example BRIDGE_SERVED=${BRIDGE_SERVED:-}
BRIDGE_GATEWAY=spiffe://a.example/gateway/e2e-1

bridge_federation() {
	local peer port=0
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
		  - { trustDomain: b.example, bootstrapBundle: $PKI/live/b.jwks }
		  legacyPKIs:
		  - { name: corp, anchors: [ $PKI/live/corp.pem ], crls: [ $PKI/live/corp.crl ] }
		---
	YAML
	local legacy="mode: MUTUAL, credentialName: web, caCertCredentialName: corp"
	bridge_gateway legacy 8443 TLS "{ $legacy }" "*"
	bridge_gateway legacy13 8444 TLS "{ $legacy, minProtocolVersion: TLSV1_3 }" "*"
	bridge_gateway legacy12 8445 TLS "{ $legacy, maxProtocolVersion: TLSV1_2 }" "*"
	bridge_gateway inside 9443 TLS "{ mode: ISTIO_MUTUAL }" "*"
	bridge_gateway anybody 7443 TLS "{ mode: SIMPLE, credentialName: web }" "*.web.corp.example" web.corp.example
	bridge_gateway plain 8080 TCP "" "*"
	for peer in $BRIDGE_PEERS; do
		port=$((port + 1))
		bridge_service $peer $peer.bank.svc.cluster.local MESH_INTERNAL $((18500 + port)) $A_V4 b.example
		bridge_destination $peer $peer.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://b.example/server ]"
		bridge_policy $peer '"corp.example/vm/billing", "corp.example/vlan/40", "a.example/client"'
		bridge_routes $peer $((18500 + port)) $peer.web.corp.example legacy 8443 legacy13 8444 legacy12 8445 inside 9443
		bridge_service old-$peer $peer.old.corp.example MESH_EXTERNAL $((18600 + port)) $B_V4
		bridge_destination old-$peer $peer.old.corp.example "mode: MUTUAL, credentialName: billing, sni: $peer.web.corp.example"
		bridge_policy old-$peer '"a.example/client"'
		bridge_routes old-$peer $((18600 + port)) $peer.old.corp.example inside 9443
	done
	# one that reads nothing (bridge_abuse.sh)
	bridge_service mute mute.bank.svc.cluster.local MESH_INTERNAL 18510 $A_V4 b.example
	bridge_destination mute mute.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://b.example/server ]"
	bridge_policy mute '"corp.example/vm/billing"'
	bridge_routes mute 18510 mute.web.corp.example legacy 8443
	# the same on IPv6, and one with the wrong ideas about who is there
	bridge_service six six.bank.svc.cluster.local MESH_INTERNAL 18501 $A_V6 b.example
	bridge_destination six six.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://b.example/server ]"
	bridge_policy six '"corp.example/vm/billing"'
	bridge_routes six 18501 six.web.corp.example legacy 8443
	bridge_service other other.bank.svc.cluster.local MESH_INTERNAL 18501 $A_V4 b.example
	bridge_destination other other.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://b.example/other ]"
	bridge_policy other '"corp.example/vm/billing"'
	bridge_routes other 18501 other.web.corp.example legacy 8443
	bridge_service stranger stranger.bank.svc.cluster.local MESH_INTERNAL 18699 $B_V4 b.example
	bridge_destination stranger stranger.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://b.example/server ]"
	bridge_policy stranger '"corp.example/vm/billing"'
	bridge_routes stranger 18699 stranger.web.corp.example legacy 8443
	bridge_service misnamed misnamed.old.corp.example MESH_EXTERNAL 18601 $B_V4
	bridge_destination misnamed misnamed.old.corp.example "mode: MUTUAL, credentialName: billing, sni: elsewhere.corp.example"
	bridge_policy misnamed '"a.example/client"'
	bridge_routes misnamed 18601 misnamed.old.corp.example inside 9443
	bridge_service impostor impostor.old.corp.example MESH_EXTERNAL 18698 $B_V4
	bridge_destination impostor impostor.old.corp.example "mode: MUTUAL, credentialName: billing, sni: web.corp.example"
	bridge_policy impostor '"a.example/client"'
	bridge_routes impostor 18698 impostor.old.corp.example inside 9443
	# of our own trust domain: ledger without a policy of its own, board for anybody on that network
	bridge_service ledger ledger.bank.svc.cluster.local MESH_INTERNAL 18444 $B_V4 a.example
	bridge_destination ledger ledger.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://a.example/server ]"
	bridge_routes ledger 18444 ledger.web.corp.example inside 9443 anybody 7443 legacy 8443
	bridge_service board board.bank.svc.cluster.local MESH_INTERNAL 18444 $B_V4 a.example
	bridge_destination board board.bank.svc.cluster.local "mode: ISTIO_MUTUAL, subjectAltNames: [ spiffe://a.example/server ]"
	bridge_routes board 18444 board.web.corp.example anybody 7443
	bridge_rules board ALLOW "  - from: [ { source: { ipBlocks: [ 192.0.2.0/24 ] } } ]"
	# plaintext endpoints
	for peer in sink late; do
		bridge_service $peer $peer.bank.svc.cluster.local MESH_EXTERNAL $([ $peer = sink ] && echo 18700 || echo 18701) $B_V4
		bridge_destination $peer $peer.bank.svc.cluster.local "mode: DISABLE" "proxyProtocol: { version: V2 }"
		bridge_policy $peer '"corp.example/vm/billing", "a.example/client"'
		bridge_routes $peer $([ $peer = sink ] && echo 18700 || echo 18701) $peer.web.corp.example legacy 8443 inside 9443
	done
	bridge_route plain 8080 nginx.bank.svc.cluster.local 18501 "*"
	cat <<-YAML
		apiVersion: postern.dev/v1alpha1
		kind: IdentityMap
		metadata: { name: vms, namespace: bank }
		spec:
		  trustDomain: corp.example
		  rules:
		  - from: { legacyPKI: corp, dns: $BRIDGE_MAPPED }
		    spiffeID: spiffe://corp.example/vm/billing
		  - from: { legacyPKI: corp, dns: "*.meters.corp.example" }
		    spiffeID: spiffe://corp.example/meter/{dns.label}
		  - from: { interface: wan, sourceCIDR: 192.0.2.0/24 }
		    spiffeID: spiffe://corp.example/vlan/40
		---
	YAML
	[ -z "$BRIDGE_DENY" ] || bridge_rules "$BRIDGE_DENY" DENY "  - to: [ { operation: { ports: [ \"18501\" ] } } ]"
	[ -z "$BRIDGE_MORE" ] || echo "$BRIDGE_MORE"
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

# bridge_service NAME HOST LOCATION PORT ADDRESS [TRUST-DOMAIN]
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
		  - { number: $4, name: port, protocol: $([[ $4 == 187* ]] && echo TCP || echo TLS) }
		  endpoints:
		  - { address: "$5" }
		---
	YAML
}

# bridge_destination NAME HOST TLS [POLICY]
bridge_destination() {
	cat <<-YAML
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: $1, namespace: bank }
		spec:
		  host: $2
		  trafficPolicy:
		    tls: { $3 }
		    ${4:-}
		---
	YAML
}

# bridge_rules SERVICE ACTION RULES: one policy of that action for it.
bridge_rules() {
	cat <<-YAML
		apiVersion: security.istio.io/v1
		kind: AuthorizationPolicy
		metadata: { name: $1-${2,,}, namespace: bank }
		spec:
		  targetRefs: [ { kind: ServiceEntry, group: networking.istio.io, name: $1 } ]
		  action: $2
		  rules:
		$3
		---
	YAML
}

# bridge_policy SERVICE PRINCIPALS: those, but for the one in BRIDGE_WITHDRAWN.
bridge_policy() {
	local principals=${2//"\"$BRIDGE_WITHDRAWN\""/\"a.example/nobody\"}
	bridge_rules "$1" ALLOW "  - from: [ { source: { principals: [ $principals ] } } ]"
}

# bridge_routes SERVICE PORT SERVER-NAME GATEWAY GATEWAY-PORT…
bridge_routes() {
	local service=$1 port=$2 name=$3 host
	shift 3
	host=$service.bank.svc.cluster.local
	[[ $port != 186* || $service == stranger ]] || host=${service#old-}.old.corp.example
	while [ $# != 0 ]; do
		bridge_route "$1" "$2" "$host" "$port" "$name"
		shift 2
	done
}

# bridge_route GATEWAY PORT HOST HOST-PORT SERVER-NAME
bridge_route() {
	cat <<-YAML
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: $1-${3//./-}, namespace: bank }
		spec:
		  hosts: [ "$5" ]
		  gateways: [ $1 ]
		  tcp:
		  - match: [ { port: $2 } ]
		    route: [ { destination: { host: $3, port: { number: $4 } } } ]
		---
	YAML
}

# The gateway's own CAs: for its domain, whose workloads have their SVIDs from the PKI's CA, and for mapped identities.
# Once for a run: the endpoints go on to trust them.
bridge_cas() {
	[ ! -e "$PKI/cas" ] || return 0
	"$BUILD/posternctl" ca init --dir "$PKI/cas" --trust-domain corp.example >/dev/null || return 1
	mkdir -p "$PKI/cas/a.example"
	cp "$PKI/a.example/ca.crt" "$PKI/cas/a.example/ca-1.crt"
	cp "$PKI/a.example/ca.key" "$PKI/cas/a.example/ca-1.key"
	chmod 600 "$PKI/cas/a.example/ca-1.key"
	mkdir -p "$PKI/corp.example"
	"$BUILD/posternctl" ca bundle --dir "$PKI/cas" --trust-domain corp.example --format pem >"$PKI/corp.example/bundle.pem"
	"$BUILD/posternctl" ca bundle --dir "$PKI/cas" --trust-domain corp.example >"$PKI/corp.example/bundle.jwks"
	cat "$PKI/a.example/ca.crt" "$PKI/corp.example/bundle.pem" >"$PKI/b-trusts.pem"
}

# What a scenario may change: bundles, revocation lists, credentials.
bridge_trust() {
	mkdir -p "$PKI/live"
	cp "$PKI/b.example/bundle.jwks" "$PKI/live/b.jwks"
	cp "$PKI/corp/ca.crt" "$PKI/live/corp.pem"
	cp "$PKI/corp/corp.crl" "$PKI/live/corp.crl"
	mkdir -p "$TOPOLOGY_DIR/postern/credentials"
	rm -rf "$TOPOLOGY_DIR/postern/credentials/"*
	cp -r "$PKI/corp/server-p256" "$TOPOLOGY_DIR/postern/credentials/web"
	cp -r "$PKI/corp/billing-p256" "$TOPOLOGY_DIR/postern/credentials/billing"
}

# The endpoints; each peer shows another type of key, some speak one version of TLS alone. Without Go its places are
# Python's. They stay for all scenarios of a run.
bridge_servers() {
	[ -z "$BRIDGE_SERVED" ] || return 0
	local peer port=0 server trusts mesh=("" -p384 -ed25519 -rsa2048 "" -p384)
	local old=(-rsa2048 -chain -large -p384 -ed25519 "-p256")
	local mesh_tls=("" "" "--tls 1.2" -tls1_2 "" "") old_tls=(tls12 "" "--tls 1.3" -tls1_3 "" "")
	for peer in $BRIDGE_PEERS; do
		server=$peer
		[ $peer != go ] || server=python
		trusts=$PKI/b-trusts.pem
		if [ $peer = go ] && have_go; then server=go; fi
		if [ $server = go ] || [ $server = envoy ]; then trusts=a.example,corp.example; fi
		# shellcheck disable=SC2086 # options
		"serve_$server" a $((18501 + port)) "$PKI/b.example/server${mesh[port]}" "$trusts" ${mesh_tls[port]} || return 1
		if [ $server = go ] || [ $server = envoy ]; then server=python; fi # which know SPIFFE here and nothing else
		# shellcheck disable=SC2086 # options
		"serve_$server" b $((18601 + port)) "$PKI/corp/server${old[port]}" "$PKI/corp/ca.crt" ${old_tls[port]} || return 1
		port=$((port + 1))
	done
	serve_nginx b 18444 "$PKI/a.example/server" "$PKI/a.example/ca.crt" || return 1
	serve_openssl b 18699 "$PKI/a.example/foreign" "$PKI/b-trusts.pem" || return 1
	serve_openssl b 18698 "$PKI/impostor/server" "$PKI/corp/ca.crt" || return 1
	start_bg b "$TOPOLOGY_DIR/sink.log" python3 tests/e2e/tls_rough.py sink 18700
	start_bg b "$TOPOLOGY_DIR/late.log" python3 tests/e2e/tls_rough.py sink 18701 --late 8
	wait_for 20 port_open b 18701 && wait_for 5 port_open b 18700
}

# The world of the file's head.
bridge_world() {
	pki_once && bridge_cas && bridge_trust && bridge_servers ||
		{ echo "bridge: the world could not be built" >&2; tail -n 3 "$PKI/log" "$TOPOLOGY_DIR"/*-[ab]-1*.log >&2; return 1; }
	FEDERATION_FROM=bridge_federation postern_start
}

# bridge_reload [VARIABLE=VALUE…]: with these in force, as a file that is moved into place.
bridge_reload() {
	(
		[ $# = 0 ] || local "$@"
		bridge_federation >"$FEDERATION.next"
	)
	mv "$FEDERATION.next" "$FEDERATION" && ctl reload >/dev/null
}

# bridge_ask GET CREDENTIAL CA SERVER PORT [OPTION…]: whom the endpoint saw, or "no answer". The gateway is at $BRIDGE_TO.
bridge_ask() {
	local get=$1 credential=$2 ca=$3 server=$4 port=$5
	shift 5
	"get_$get" client "$credential" "$ca" "$server" "${BRIDGE_TO:-$BOX_V4}" "$port" /whoami "$@" 2>"$TOPOLOGY_DIR/ask.log" | saw
}

# bridge_sees NAME WANT and as bridge_ask.
bridge_sees() {
	local name=$1 want=$2 got
	shift 2
	got=$(bridge_ask "$@")
	if [ "$got" = "$want" ]; then passes "$name"; else
		fails "$name" "wanted: $want"$'\n'"got: $got"$'\n'"$(tail -n 2 "$TOPOLOGY_DIR/ask.log")"$'\n'"$(bridge_last)"
	fi
}

bridge_last() {
	grep '"scope":"access"' "$POSTERN_DIR/log" | tail -n 1
}

# bridge_refuses NAME REASON DETAIL, and as bridge_ask: no endpoint sees anything, REASON is counted once more, and the
# access log gives it, with that DETAIL.
bridge_refuses() {
	local name=$1 reason=$2 detail=$3
	shift 3
	bridge_refused "$name" "$reason" "$detail" "no answer" bridge_ask "$@"
}

# bridge_refused NAME REASON DETAIL WANT COMMAND…: the same, of a command that must print what matches WANT.
bridge_refused() {
	local name=$1 reason=$2 detail=$3 want=$4 before lines got seen
	shift 4
	before=$(dropped "$reason")
	lines=$(wc -l <"$POSTERN_DIR/log")
	got=$("$@" 2>&1)
	wait_for 2 bridge_logged "$lines" "$reason"
	seen="$(bridge_logged "$lines" "$reason") $(($(dropped "$reason") - before))"
	if [[ $got =~ ^($want)$ && $seen =~ ^"$reason $detail 1"$ ]]; then passes "$name"; else
		fails "$name" "wanted: $want, $reason $detail 1"$'\n'"got: $got, $seen"$'\n'"$(bridge_last)"
	fi
}

# bridge_logged LINES REASON: reason and detail of the first such connection behind those lines of the log.
bridge_logged() {
	tail -n "+$(($1 + 1))" "$POSTERN_DIR/log" | grep -m 1 "\"reason\":\"$2\"" | jq -r '"\(.reason) \(.detail // "")"' | grep .
}

# bridge_mesh PEER: options and CA of a client that is one of a.example and asks for a server name.
bridge_sni() {
	case $1 in
	python) echo "--sni $2" ;;
	openssl) echo "-servername $2" ;;
	go) echo "-sni $2" ;;
	esac
}

bridge_mesh_ca() {
	[ "$1" = go ] && echo a.example || echo "$PKI/a.example/ca.crt"
}

bridge_clients() {
	echo "curl python openssl$(have_go && echo " go")"
}

# rough VERB ARGUMENT… NAME CA CREDENTIAL [PORT]: tls_rough.py, from the client to the gateway.
rough() {
	# shellcheck disable=SC2086 # options
	in_ns client timeout 100 python3 tests/e2e/tls_rough.py ${ROUGH:-} "$@"
}

# bridge_to NAME [PORT]: arguments of tls_rough.py for a legacy client.
bridge_to() {
	echo "${BRIDGE_TO:-$BOX_V4} ${2:-8443} $1 $PKI/corp/ca.crt $PKI/corp/billing-p256"
}

# --- who is seen -------------------------------------------------------------------------------------------------------

bridge_legacy_to_mesh() {
	local client server type corp=$PKI/corp options
	for client in $(bridge_clients); do
		options=
		[ $client != curl ] || options=--http1.1
		for server in $BRIDGE_PEERS; do
			bridge_sees "legacy $client to mesh $server" spiffe://corp.example/vm/billing $client "$corp/billing-p256" "$corp/ca.crt" \
				$server.web.corp.example 8443 $options
		done
	done
	for type in p384 ed25519 rsa2048 rsa4096 chain large; do
		bridge_sees "legacy client with $type" spiffe://corp.example/vm/billing curl "$corp/billing-$type" "$corp/ca.crt" \
			nginx.web.corp.example 8443
		bridge_sees "legacy client with $type, TLS 1.2" spiffe://corp.example/vm/billing curl "$corp/billing-$type" "$corp/ca.crt" \
			haproxy.web.corp.example 8443 --tls-max 1.2
	done
	bridge_sees "TLS 1.3 alone" spiffe://corp.example/vm/billing curl "$corp/billing-p256" "$corp/ca.crt" nginx.web.corp.example 8444
	bridge_sees "TLS 1.2 alone" spiffe://corp.example/vm/billing curl "$corp/billing-p256" "$corp/ca.crt" nginx.web.corp.example 8445
	BRIDGE_TO=$BOX_V6 bridge_sees "IPv6 to IPv4" spiffe://corp.example/vm/billing curl "$corp/billing-p256" "$corp/ca.crt" \
		nginx.web.corp.example 8443
	bridge_sees "IPv4 to IPv6" spiffe://corp.example/vm/billing curl "$corp/billing-p256" "$corp/ca.crt" six.web.corp.example 8443
	BRIDGE_TO=$BOX_V6 bridge_sees "IPv6 to IPv6" spiffe://corp.example/vm/billing curl "$corp/billing-p256" "$corp/ca.crt" \
		six.web.corp.example 8443
}

bridge_mesh_to_others() {
	local client server sni
	for client in python openssl $(have_go && echo go); do
		for server in $BRIDGE_PEERS; do
			# shellcheck disable=SC2046 # an option and its value
			bridge_sees "mesh $client to legacy $server" DNS:billing.corp.example $client "$PKI/a.example/client" \
				"$(bridge_mesh_ca $client)" $BRIDGE_GATEWAY 9443 $(bridge_sni $client $server.old.corp.example)
			# shellcheck disable=SC2046
			bridge_sees "a.example $client to b.example $server" $BRIDGE_GATEWAY $client "$PKI/a.example/client" \
				"$(bridge_mesh_ca $client)" $BRIDGE_GATEWAY 9443 $(bridge_sni $client $server.web.corp.example)
		done
	done
	bridge_sees "of our own trust domain, to a service without policies" $BRIDGE_GATEWAY openssl "$PKI/a.example/client" \
		"$PKI/a.example/ca.crt" $BRIDGE_GATEWAY 9443 -servername ledger.web.corp.example
	check_is "SIMPLE, and a policy for anybody there" $BRIDGE_GATEWAY \
		"$(in_ns client curl -sS --cacert "$PKI/corp/ca.crt" --resolve board.web.corp.example:7443:$BOX_V4 \
			https://board.web.corp.example:7443/whoami 2>&1 | saw)"
	check_is "plaintext, by interface and address" spiffe://corp.example/vlan/40 \
		"$(in_ns client curl -sS --max-time 20 http://$BOX_V4:8080/whoami 2>&1 | saw)"
}

# --- what passes ---------------------------------------------------------------------------------------------------------

# bridge_curl HOST PATH OPTION…: curl as billing.
bridge_curl() {
	local host=$1.web.corp.example path=$2
	shift 2
	get_curl client "$PKI/corp/billing-p256" "$PKI/corp/ca.crt" "$host" "${BRIDGE_TO:-$BOX_V4}" 8443 "$path" "$@"
}

# What the endpoint's ALPN was, and the client's HTTP version.
bridge_spoken() {
	bridge_curl nginx /tls "$@" -w '%{http_version}' | sed 's/.*alpn=\([^ ]*\).*/\1/' | tr '\n' ' '
}

# What a peer speaks is learned from the first client that would take either: nobody is refused for that.
bridge_alpn() {
	bridge_reload # what is known of peers is forgotten
	check_is "HTTP/1.1 to both ends, as long as nothing is known of the peer" "http/1.1 1.1" "$(bridge_spoken --http2)"
	check_is "HTTP/2 to both ends, once it is" "h2 2" "$(bridge_spoken --http2)"
	check_is "HTTP/1.1 to both ends" "http/1.1 1.1" "$(bridge_spoken --http1.1)"
	check_is "no ALPN to both ends" " 1.1" "$(bridge_spoken --no-alpn)"
	check_is "a peer without HTTP/2, the first time" 1.1 "$(bridge_curl python /whoami --http2 -o /dev/null -w '%{http_version}')"
	check_is "a peer without HTTP/2, the next time" 1.1 "$(bridge_curl python /whoami --http2 -o /dev/null -w '%{http_version}')"
	bridge_refuses "a peer without HTTP/2, and a client that speaks nothing else" tls_no_shared_protocol "" openssl \
		"$PKI/a.example/client" "$PKI/a.example/ca.crt" $BRIDGE_GATEWAY 9443 -servername python.web.corp.example -alpn h2
	have_go || return 0
	bridge_refuses "a peer that knows none of the client's protocols" tls_no_shared_protocol no_application_protocol go \
		"$PKI/a.example/client" a.example $BRIDGE_GATEWAY 9443 -sni nginx.web.corp.example -alpn nothing,that-is
}

bridge_sum() {
	sha256sum | cut -d' ' -f1
}

bridge_bulk() {
	local mb dir=$TOPOLOGY_DIR/bulk want i peer=go began pids=()
	have_go || peer=python
	mb=$(count 50)
	mkdir -p "$dir"
	noise "$dir/up" "$mb"
	want=$(bridge_sum <"$dir/up")
	began=$(date +%s%3N)
	bridge_curl $peer /noise/$((mb * 1000000)) --http1.1 -o "$dir/one"
	echo "    $mb MB down in $(($(date +%s%3N) - began)) ms"
	check_is "$mb MB down, by TLS to TLS" "$(in_ns a cat /dev/null; bridge_noise_sum $peer "$mb")" "$(bridge_sum <"$dir/one")"
	began=$(date +%s%3N)
	check_is "$mb MB up" "$want" "$(bridge_curl $peer /up --http1.1 -T "$dir/up")"
	echo "    $mb MB up in $(($(date +%s%3N) - began)) ms"
	for ((i = 0; i < 10; i++)); do
		if ((i % 2)); then bridge_curl $peer /up -T "$dir/up" >"$dir/sum$i" 2>&1 &
		else bridge_curl $peer /noise/$((mb * 1000000)) 2>&1 | bridge_sum >"$dir/sum$i" & fi
		pids+=($!)
	done
	wait "${pids[@]}"
	check_is "10 of them at once" "5 $want 5 $(bridge_sum <"$dir/one")" \
		"$(echo 5 $(cat "$dir"/sum[13579] | sort -u) 5 $(cat "$dir"/sum[02468] | sort -u))"
	check_is "$mb MB down by HTTP/2 frames on IPv6" "$(bridge_sum <"$dir/one")" \
		"$(BRIDGE_TO=$BOX_V6 bridge_curl $peer /noise/$((mb * 1000000)) --http2 | bridge_sum)"
	rm -rf "$dir"
}

# What that peer means by noise, asked without a gateway.
bridge_noise_sum() {
	if [ "$1" = go ]; then
		get_go b "$PKI/a.example/client" b.example spiffe://b.example/server $A_V4 18505 /noise/$(($2 * 1000000)) 2>/dev/null | bridge_sum
	else
		get_python b "$PKI/a.example/client" "$PKI/b.example/ca.crt" spiffe://b.example/server $A_V4 18505 /noise/$(($2 * 1000000)) \
			2>/dev/null | bridge_sum
	fi
}

bridge_halves() {
	local version bytes=2000000 want
	want=$(head -c $((bytes / 65536 * 65536 + 65536)) /dev/null | bridge_sum)
	want=$(python3 -c "import hashlib; b = bytes(i * 13 & 255 for i in range(256)) * 256; print(hashlib.sha256((b * 40)[:$bytes]).hexdigest())")
	for version in 1.2 1.3; do
		# shellcheck disable=SC2046 # arguments
		check_is "half-close, TLS $version to plaintext, with who it is in PROXY's TLV" \
			"proxy=spiffe://corp.example/vm/billing source=$CLIENT_V4 n=$bytes sha256=$want closed" \
			"$(ROUGH="--tls $version" rough send $bytes $(bridge_to sink.web.corp.example) 2>&1 | tr '\n' ' ' | sed 's/ $//')"
	done
	check_is "who it is in PROXY's TLV, IPv6" "proxy=spiffe://corp.example/vm/billing source=$CLIENT_V6" \
		"$(BRIDGE_TO=$BOX_V6 && rough send 10 $(bridge_to sink.web.corp.example) 2>&1 | grep -o 'proxy=[^ ]* [^ ]*')"
	check_is "who it is in PROXY's TLV, of the mesh" "proxy=spiffe://a.example/client source=$CLIENT_V4" \
		"$(rough send 10 $BOX_V4 9443 sink.web.corp.example "$PKI/a.example/ca.crt" "$PKI/a.example/client" 2>&1 | grep -o 'proxy=[^ ]* [^ ]*')"
	check_is "an endpoint that reads late" \
		"n=$bytes sha256=$want closed" \
		"$(rough send $bytes $(bridge_to late.web.corp.example) 2>&1 | tr '\n' ' ' | sed 's/ $//; s/.* n=/n=/')"
}

scenario_bridge() {
	bridge_world || return 1
	bridge_legacy_to_mesh
	bridge_mesh_to_others
	bridge_alpn
	bridge_bulk
	bridge_halves
}
