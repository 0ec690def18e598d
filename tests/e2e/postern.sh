# SPDX-License-Identifier: Apache-2.0
#
# posternd in the namespace `box`: its two files, starting, asking, stopping. Sourced after topology.sh.
#
#   postern_start [WORKERS]        writes postern.conf for these worker cores (default "1"), starts posternd and waits
#                                  until it is ready: on AF_XDP, and on AF_PACKET where that fails. POSTERN_DRIVER says which
#                                  What a scenario has in POSTERN_PORT (settings of each port), POSTERN_MORE (groups of
#                                  postern.conf), POSTERN_MEMORY and FEDERATION_MORE (documents) goes into the two files
#   postern_supervise [WORKERS]    the same under a supervisor that starts it again whenever it ends, while there is no file
#                                  $POSTERN_DIR/hold
#   postern_pid                    of the one that runs now
#   postern_stop                   ends it without waiting for connections to close
#   federation                     prints federation.yaml; $FEDERATION is the file in force. FEDERATION_FROM: another such
#                                  command, for postern_start
#   ctl ARGUMENT…                  posternctl on its socket
#   dropped REASON                 how often that reason was counted so far

export BUILD=${BUILD:-build}
POSTERN_DIR= FEDERATION= POSTERN_DRIVER= POSTERN_PID=
POSTERN_PORT= POSTERN_MEMORY= POSTERN_MORE= FEDERATION_MORE=
declare -A POSTERN_ARGUMENTS=()

postern_conf() {
	local driver=$1 workers=$2
	cat <<-EOF
		federation = "federation.yaml";
		state_directory = "$POSTERN_DIR/state";
		ports = (
		  {
		    name = "wan";
		    device = "net_${driver}0"; arguments = "iface=wan${POSTERN_ARGUMENTS[$driver]:-}";$POSTERN_PORT
		    addresses = [ "$BOX_WAN_V4/24", "$BOX_WAN_V6/64" ];
		  },
		  {
		    name = "lan";
		    device = "net_${driver}1"; arguments = "iface=lan${POSTERN_ARGUMENTS[$driver]:-}";$POSTERN_PORT
		    addresses = [ "$BOX_LAN_V4/24", "$BOX_LAN_V6/64" ];
		  }
		);
		cores = { main = 0; workers = [ $workers ]; };
		memory = { huge_pages = false; ${POSTERN_MEMORY:-megabytes = 128; packets = 32768;} };
		tables = { flows = 65536; };
		control = { socket = "$POSTERN_DIR/control.sock"; };
		metrics = { address = "127.0.0.1:15020"; };
		log = { level = "info"; format = "json"; access = true; };
		$POSTERN_MORE
	EOF
}

# door NAME PORT [TLS]: a port of the gateway where services are reached by their server names.
door() {
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: $1, namespace: shop }
		spec:
		  servers:
		  - port: { number: $2, name: tls, protocol: TLS }
		    tls: ${3:-{ mode: PASSTHROUGH \}}
		    hosts: [ "*.shop.example" ]
	EOF
}

# service HOST PORT CONNECT_TIMEOUT ADDRESS…: a service reached by its name over these addresses: at the door $DOOR on
# port $DOOR_PORT of the gateway, or at edge on 443.
service() {
	local host=$1 port=$2 timeout=$3 name=${1%%.*} address
	shift 3
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: $name, namespace: shop }
		spec:
		  hosts: [ $host ]
		  location: MESH_INTERNAL
		  resolution: STATIC
		  ports:
		  - { number: $port, name: tls, protocol: TLS }
		  endpoints:
	EOF
	for address in "$@"; do
		echo "  - { address: \"$address\" }"
	done
	cat <<-EOF
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: $name, namespace: shop }
		spec:
		  host: $host
		  trafficPolicy:
		    loadBalancer: { simple: ROUND_ROBIN }
		    connectionPool: { tcp: { connectTimeout: $timeout } }
		---
		apiVersion: networking.istio.io/v1
		kind: VirtualService
		metadata: { name: $name, namespace: shop }
		spec:
		  hosts: [ $host ]
		  gateways: [ ${DOOR:-edge} ]
		  tls:
		  - match:
		    - { port: ${DOOR_PORT:-443}, sniHosts: [ $host ] }
		    route:
		    - { destination: { host: $host, port: { number: $port } } }
	EOF
}

# Where the gateway belongs: the first document of a federation.
federation_home() {
	cat <<-EOF
		apiVersion: postern.dev/v1alpha1
		kind: Federation
		metadata: { name: e2e }
		spec:
		  trustDomain: e2e.example
		  clusterID: e2e-1
		  network: lan
		  locality: test/bench/1
	EOF
}

federation() {
	federation_home
	cat <<-EOF
		---
		# by Istio's names between clusters
		apiVersion: networking.istio.io/v1
		kind: Gateway
		metadata: { name: east-west, namespace: shop }
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
		  - { number: 8080, name: plain, protocol: HTTP }
		  endpoints:
		  - { address: $A_V4, labels: { version: v1 } }
		  - { address: "$B_V6", labels: { version: v2 } }
		---
		apiVersion: networking.istio.io/v1
		kind: DestinationRule
		metadata: { name: payments, namespace: bank }
		spec:
		  host: payments.bank.svc.cluster.local
		  subsets:
		  - { name: v1, labels: { version: v1 } }
		  - { name: v2, labels: { version: v2 } }
		---
		# not of a namespace that east-west admits
		apiVersion: networking.istio.io/v1
		kind: ServiceEntry
		metadata: { name: ledger, namespace: vault }
		spec:
		  hosts: [ ledger.vault.svc.cluster.local ]
		  location: MESH_INTERNAL
		  resolution: STATIC
		  ports:
		  - { number: 8443, name: tls, protocol: TLS }
		  endpoints:
		  - { address: $A_V4 }
	EOF
	door edge 443
	service web4.shop.example 8443 2s $A_V4
	service web6.shop.example 8443 2s $A_V6
	service pair.shop.example 8443 2s $A_V4 $B_V4
	service report.shop.example 9443 2s $B_V4
	service half.shop.example 8443 500ms $HOLE_V4 $A_V4
	service half6.shop.example 8443 500ms $HOLE_V6 $A_V6
	service hole.shop.example 8443 500ms $HOLE_V4 $HOLE_V6
	service closed.shop.example 1 500ms $A_V4 $B_V4
	[ -z "$FEDERATION_MORE" ] || echo "$FEDERATION_MORE"
}

ctl() {
	"$BUILD/posternctl" --socket "$POSTERN_DIR/control.sock" "$@"
}

postern_ready() {
	# Gone already: no use in waiting.
	process_gone "$POSTERN_PID" || ctl status
}

postern_start() {
	local workers=${1:-1}
	POSTERN_DIR=$TOPOLOGY_DIR/postern
	FEDERATION=$POSTERN_DIR/federation.yaml
	mkdir -p "$POSTERN_DIR/state"
	"${FEDERATION_FROM:-federation}" >"$FEDERATION"
	for POSTERN_DRIVER in ${E2E_DRIVER:-af_xdp af_packet}; do
		postern_conf "$POSTERN_DRIVER" "$workers" >"$POSTERN_DIR/postern.conf"
		start_bg box "$POSTERN_DIR/log" "$BUILD/posternd" --conf "$POSTERN_DIR/postern.conf"
		POSTERN_PID=$STARTED_PID
		if wait_for 10 postern_ready && ! process_gone "$POSTERN_PID"; then
			return 0
		fi
		stop_bg "$POSTERN_PID"
		cp "$POSTERN_DIR/log" "$POSTERN_DIR/log.$POSTERN_DRIVER"
	done
	echo "posternd did not become ready; its last words:" >&2
	tail -n 20 "$POSTERN_DIR"/log.* >&2
	return 1
}

# What systemd would do, with less ado.
postern_supervise() {
	postern_start "$@" || return 1
	postern_stop
	touch "$POSTERN_DIR/supervised"
	start_bg box "$POSTERN_DIR/log" bash -c 'cd "$1" && while [ -e supervised ]; do
			if [ -e hold ]; then sleep 0.01; continue; fi
			"$2" --conf postern.conf & echo $! >pid.new; mv pid.new pid; wait $!
		done' supervisor "$POSTERN_DIR" "$(realpath "$BUILD/posternd")"
	SUPERVISOR_PID=$STARTED_PID
	wait_for 10 postern_answers - && POSTERN_PID=$(postern_pid)
}

postern_pid() {
	cat "$POSTERN_DIR/pid"
}

# Whether another process than that one is ready.
postern_answers() {
	local pid
	pid=$(postern_pid)
	[ "$pid" != "$1" ] && [ "$(ctl status -o json | jq .pid)" = "$pid" ]
}

# The first TERM drains, the second stops.
postern_stop() {
	rm -f "$POSTERN_DIR/supervised" "$POSTERN_DIR/hold"
	kill -TERM "$POSTERN_PID" 2>/dev/null && sleep 0.2
	stop_bg "$POSTERN_PID"
}

dropped() {
	ctl drops -o json | jq -r --arg reason "$1" '[.. | objects | select(.reason == $reason) | .count] | add // 0'
}

metrics() {
	in_ns box curl -s http://127.0.0.1:15020/metrics
}
