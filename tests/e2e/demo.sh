#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make demo: a gateway between a client cluster and two workload hosts, each place a network namespace of this machine,
# and what it does, step by step: first TLS that is passed through, then (demo_bridge.sh) TLS that ends in the gateway. Shows every command as it is run, in the namespace that its prompt names. Removes all
# that it made, also on Ctrl-C. Status 1 when a step didn't end as it tells.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/e2e/topology.sh
. tests/e2e/servers.sh
. tests/e2e/postern.sh
. tests/e2e/pki.sh
. tests/e2e/peers/peers.sh
. tests/e2e/demo_bridge.sh
BIG_MB=50
BEGUN=$SECONDS WRONG=0

if [ -t 1 ]; then
	BOLD=$'\e[1m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m' PAUSE=${DEMO_PAUSE:-0.8}
else
	BOLD='' GREEN='' RED='' PLAIN='' PAUSE=${DEMO_PAUSE:-0}
fi

say() {
	printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"
	sleep "$PAUSE"
}

# show PLACE PATTERN COMMAND-LINE: runs it there; its output must match the pattern.
show() {
	local place=$1 pattern=$2 line=$3 output
	printf '%s%s#%s %s\n' "$GREEN" "$place" "$PLAIN" "$line"
	output=$(in_ns "$place" env -C "$TOPOLOGY_DIR" "CURL_CA_BUNDLE=$CA" "SSL_CERT_FILE=$CA" "PATH=$TOPOLOGY_DIR/bin:$PATH" \
		bash -c "$line" 2>&1)
	output=${output//"$TOPOLOGY_DIR/"/}
	[ -z "$output" ] || sed 's/^/  /' <<<"$output"
	if ! grep -qE "$pattern" <<<"$output"; then
		printf '%s  This should have shown: %s%s\n' "$RED" "$pattern" "$PLAIN"
		WRONG=$((WRONG + 1))
	fi
	sleep "$PAUSE"
}

# federation [FIELDS]: federation.yaml of the first act; FIELDS, of the Federation's spec, are the second's.
federation() {
	cat <<-EOF
		apiVersion: postern.dev/v1alpha1
		kind: Federation
		metadata: { name: demo }
		spec:
		  trustDomain: demo.example
		  clusterID: edge-1
		  network: lan
		  locality: demo/edge/1${1:-}
		---
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: edge, namespace: shop }
		spec:
		  servers:
		  - port: { number: 443, name: tls, protocol: TLS }
		    tls: { mode: PASSTHROUGH }
		    hosts: [ "*.shop.example" ]
		---
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: east-west, namespace: bank }
		spec:
		  servers:
		  - port: { number: 15443, name: tls, protocol: TLS }
		    tls: { mode: AUTO_PASSTHROUGH }
		    hosts: [ "*.bank.svc.cluster.local" ]
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: payments, namespace: bank }
		spec:
		  hosts: [ payments.bank.svc.cluster.local ]
		  location: MESH_INTERNAL
		  resolution: STATIC
		  ports:
		  - { number: 8443, name: tls, protocol: TLS }
		  endpoints:
		  - { address: $A_V4, labels: { app: payments, version: v1 } }
		  - { address: "$B_V6", labels: { app: payments, version: v2 } }
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: payments, namespace: bank }
		spec:
		  host: payments.bank.svc.cluster.local
		  subsets:
		  - { name: v1, labels: { version: v1 } }
		  - { name: v2, labels: { version: v2 } }
	EOF
	service web.shop.example 8443 1s $A_V4 $B_V4
	service still.shop.example 8443 1s $A_V4
	service report.shop.example 9443 1s $B_V4
}

build_world() {
	say "Building four places out of network namespaces, with TLS workloads in two of them."
	cat <<-EOF
		  client                     box                       a            b
		  another cluster  ── wan ── the gateway  ── lan ──┬── nginx ── and ── nginx, openssl s_server
		  $CLIENT_V4                $BOX_WAN_V4                   $A_V4    $B_V4
	EOF
	topology_up && servers_start || { echo "The places could not be built."; exit 1; }
	host_names client "$BOX_WAN_V4 gateway web.shop.example still.shop.example report.shop.example nobody.shop.example accounts.corp.example
$BOX_WAN_V6 gateway6 web.shop.example"
	local started=${EPOCHREALTIME/./}
	postern_start || exit 1
	local took=$(((${EPOCHREALTIME/./} - started) / 1000))
	# posternctl as an operator has it: on the PATH, its socket known.
	mkdir "$TOPOLOGY_DIR/bin"
	printf '#!/bin/sh\nexec "%s" --socket "%s" "$@"\n' "$(realpath "$BUILD/posternctl")" "$POSTERN_DIR/control.sock" \
		>"$TOPOLOGY_DIR/bin/posternctl"
	chmod +x "$TOPOLOGY_DIR/bin/posternctl"
	cp "$FEDERATION" "$TOPOLOGY_DIR/federation.yaml"
	case $POSTERN_DRIVER in
	af_xdp) say "posternd forwards on AF_XDP, ready after $took ms. The kernel of its box has no address: every packet is Postern's." ;;
	*) say "AF_XDP can't be had here; posternd forwards on AF_PACKET, ready after $took ms. Every packet is Postern's." ;;
	esac
}

build_world
show box . "posternctl validate federation.yaml && posternctl listeners"

say "By server name: a web shop on two hosts. The client speaks TLS with the workload itself: Postern has no key."
show client "hello from [ab]" "for i in 1 2 3 4; do curl -s4 https://web.shop.example/hello; done"
show client "subject: CN=workload" "curl -sv4 https://web.shop.example/hello 2>&1 | grep -E 'subject:|issuer:|SSL connection|verify ok'"

say "From IPv6 to the same hosts, which are reached over IPv4."
show client "hello from [ab]" "curl -s6 https://web.shop.example/hello"

say "Another workload, another tool: openssl to openssl."
show client "TLSv1.3" "openssl s_client -connect gateway:443 -servername report.shop.example -verify_return_error </dev/null 2>/dev/null | grep -E '^subject|^New,|^Verify return'"

say "By Istio's name between clusters: port 8443, subset v1 or v2 of payments. One is an IPv4 host, the other IPv6."
for subset in v1 v2; do
	show client "hello from [ab]" "printf 'GET /hello HTTP/1.0\r\n\r\n' | openssl s_client -quiet -connect gateway:15443 -verify_hostname payments.bank.svc.cluster.local -servername outbound_.8443_.${subset}_.payments.bank.svc.cluster.local 2>/dev/null | tail -n 1"
done

say "Refused, with a reason: a name that no route knows, and something that isn't TLS."
show client "reset|unrecognized" "curl -sS4 https://nobody.shop.example/"
show client "reset|Empty reply" "curl -sS4 http://gateway:443/"
show box "sni_no_match" "posternctl drops"

say "A download runs through the gateway while nginx on b dies. Every new connection finds a by itself."
start_bg client "$TOPOLOGY_DIR/download" curl -s --cacert "$CA" --limit-rate 10M -o /dev/null \
	-w '%{http_code}, %{size_download} bytes' https://still.shop.example/big
DOWNLOAD=$STARTED_PID
NGINX_B=$(cat "$TOPOLOGY_DIR/nginx-b/pid")
show b "^$" "kill $NGINX_B"
wait_for 3 process_gone "$NGINX_B"
show client "hello from a" "for i in 1 2 3 4; do curl -s4 https://web.shop.example/hello -w '  in %{time_total} s\n'; done"
show box spliced "posternctl flows --state spliced"
show box . "posternctl endpoints"

wait_for 15 process_gone "$DOWNLOAD"
say "The download never noticed: $(cat "$TOPOLOGY_DIR/download")."

say "What was counted, as Prometheus reads it: Istio's own names, the labels left out here."
show box "opened.*web.shop.example" "curl -s http://127.0.0.1:15020/metrics | sed -nE 's/^(istio_tcp_connections_(opened|failed)_total)\\{.*destination_service=\"([^\"]*)\".*response_flags=\"([^\"]*)\".*\\} (.*)/\\1  \\3  \\4  \\5/p'"

say "And what the access log says of a connection that was retried, and of one that was refused."
cp "$POSTERN_DIR/log" "$TOPOLOGY_DIR/log"
show box sni_no_match "jq -cR 'fromjson? | select(.scope == \"access\" and (.attempts == 2 or .reason == \"sni_no_match\")) | {message, \"src.addr\", \"dst.addr\", \"dst.service\", sni, attempts, reason, duration}' log | sed -n '1p;\$p'"

bridge_act

say "Seen: TLS passed through by plain and by Istio's server names, IPv4 and IPv6 on either side, a refusal with its reason,
an endpoint that died and nobody noticed; and identities of three PKIs bridged, with a reason for whoever wasn't. $((SECONDS - BEGUN)) s. Everything made for it is being removed."
[ "$WRONG" = 0 ] || echo "${RED}$WRONG steps did not show what they should.$PLAIN"
[ "$WRONG" = 0 ]
