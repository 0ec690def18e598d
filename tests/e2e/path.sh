# SPDX-License-Identifier: Apache-2.0
#
# A bad link between the client and the gateway, and beside the gateway a plain router, so that the same transfer over the same
# link can be had without Postern: with as many hops, to the same server. Sourced after topology.sh, servers.sh and postern.sh.
#
#   ┌────────┐   ┌──────────── path ────────────┐   ┌── box ───┐   ┌─ lan ─┐
#   │ client ┼───┼ to-client ─ shim ─ bridge  ┌─┼───┤ posternd ├───┼─┐     │
#   └────────┘   │                     └──────┤ │   └──────────┘   │ ├─────┼── a, b
#                │                            └─┼───┤  router  ├───┼─┘     │
#                └──────────────────────────────┘   └──────────┘   └───────┘
#
#   path_up                        puts it there; before posternd starts
#   path_down                      restores the wire between client and box
#   path_impair SEED KEY=VALUE…    the link from now on, in both directions (tests/e2e/shim.c)
#   path_report                    ends the link and prints what it did
#   path_server N                  the two servers' files for transfers of N megabytes
#   transfer WAY DOWN-OR-UP CONNECTIONS MEGABYTES
#                                  prints the mean goodput of one connection in Mbit/s; false when one failed or a byte differs
#
# WAY is the family of the client's leg and of the server's, "4-4", "6-6", "4-6" or "6-4", through Postern; "bare4" or "bare6"
# through the router. Each link has a bottleneck, and a delay that makes what happens in this machine small beside it.
#
# With PATH_BRIDGED set, connections end in the box: Postern ends the client's TLS and passes plaintext on, so that TCP of its
# own is at the bad link. On the router then HAProxy does the same with Linux's TCP: "proxy4-4" and so on are through that,
# while "bare4" and "bare6" still end nowhere but at the server.

ROUTER_WAN_V4=192.0.2.2 ROUTER_WAN_V6=2001:db8:1::2
ROUTER_LAN_V4=198.51.100.2 ROUTER_LAN_V6=2001:db8:2::2
PATH_WAYS="4-4 6-6 4-6 6-4"
PATH_SHIM= PATH_PROXY=

# NAME CONNECTIONS MEGABYTES KEY=VALUE…: the links, and transfers that are long enough there to show CUBIC's rate. Delays are
# for each direction. What is lost at random, is lost by many connections, so that chance evens out.
PATH_BASE="delay=10 rate=100 queue=30"
PATH_LINKS="
loss-1     16  2 loss=1
loss-5     24  1 loss=5
reorder     4  5 reorder=2 late=5 overtake=50
duplicate   4  5 duplicate=5
delay       4  6 delay=50 queue=100
delay-loss 40  1 delay=50 queue=100 loss=1
corrupt    16  2 corrupt=1
"

# Its addresses and routes went with its interface.
path_client() {
	host client $CLIENT_V4 $CLIENT_V6 $BOX_WAN_V4 $BOX_WAN_V6
}

# path_congestion NAME: from there, to anywhere, TCP by PATH_CONGESTION, and no memory of the transfers before. By route,
# because a namespace's default must be one that the whole machine allows to everybody.
path_congestion() {
	local family route
	in_ns "$1" sysctl -qw net.ipv4.tcp_no_metrics_save=1
	for family in -4 -6; do
		ip -n "$(ns "$1")" $family route show | grep -v '^fe80' | while read -r route; do
			# The words of a route, each an argument.
			ip -n "$(ns "$1")" $family route change $route congctl "${PATH_CONGESTION:-cubic}"
		done
	done
}

path_router() {
	in_ns router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	link path to-router router wan && link lan to-router router lan || return 1
	ip -n "$(ns path)" link set to-router master bridge
	ip -n "$(ns lan)" link set to-router master bridge
	ip -n "$(ns router)" addr add $ROUTER_WAN_V4/24 dev wan
	ip -n "$(ns router)" addr add $ROUTER_WAN_V6/64 dev wan nodad
	ip -n "$(ns router)" addr add $ROUTER_LAN_V4/24 dev lan
	ip -n "$(ns router)" addr add $ROUTER_LAN_V6/64 dev lan nodad
	ip -n "$(ns client)" route add 198.51.100.0/24 via $ROUTER_WAN_V4
	ip -n "$(ns client)" -6 route add 2001:db8:2::/64 via $ROUTER_WAN_V6
	ip -n "$(ns a)" route add 192.0.2.0/24 via $ROUTER_LAN_V4
	ip -n "$(ns a)" -6 route add 2001:db8:1::/64 via $ROUTER_LAN_V6
	path_congestion client && path_congestion a
}

# Names stand for addresses, as at Postern's listener. The time-outs are longer than any transfer.
path_proxy_start() {
	local dir=$TOPOLOGY_DIR/path-haproxy
	mkdir -p "$dir"
	cat "$TOPOLOGY_DIR/tls/workload.pem" "$TOPOLOGY_DIR/tls/workload.key" >"$dir/pair.pem"
	cat >"$dir/haproxy.cfg" <<-EOF
		global
			nbthread 1
			maxconn 1000
		defaults
			mode tcp
			timeout client 300s
			timeout server 300s
			timeout connect 5s
		frontend path
			bind $ROUTER_WAN_V4:443 ssl crt $dir/pair.pem
			bind $ROUTER_WAN_V6:443 v6only ssl crt $dir/pair.pem
			use_backend six if { ssl_fc_sni web6.shop.example }
			default_backend four
		backend four
			server a $A_V4:8081
		backend six
			server a [$A_V6]:8081
	EOF
	start_bg router "$dir/log" haproxy -db -f "$dir/haproxy.cfg"
	PATH_PROXY=$STARTED_PID
}

path_up() {
	local name
	for name in path router; do
		ip netns add "$(ns $name)" || return 1
		TOPOLOGY_NAMES+=("$name")
		ip -n "$(ns $name)" link set lo up
	done
	in_ns path sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	ip -n "$(ns client)" link del eth0
	link client eth0 path to-client && link path shim path to-shim && link path to-box box wan || return 1
	path_client
	ip -n "$(ns path)" link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	ip -n "$(ns path)" link set to-shim master bridge
	ip -n "$(ns path)" link set to-box master bridge
	ip -n "$(ns path)" link set bridge up
	path_router || return 1
	[ -z "${PATH_BRIDGED:-}" ] || { path_congestion router && path_proxy_start; }
}

path_down() {
	local kept=() name
	in_ns path true 2>/dev/null || return 0
	path_report >/dev/null
	[ -z "$PATH_PROXY" ] || stop_bg "$PATH_PROXY"
	PATH_PROXY=
	ip -n "$(ns a)" route del 192.0.2.0/24 via $ROUTER_LAN_V4
	ip -n "$(ns a)" -6 route del 2001:db8:1::/64 via $ROUTER_LAN_V6
	ip -n "$(ns a)" neigh flush all # the next router has another MAC, which ND would notice after eight seconds
	for name in path router; do
		ip netns del "$(ns $name)"
	done
	# The interfaces of a namespace that is gone go in their own time.
	wait_for 5 path_gone
	for name in "${TOPOLOGY_NAMES[@]}"; do
		[[ $name == path || $name == router ]] || kept+=("$name")
	done
	TOPOLOGY_NAMES=("${kept[@]}")
	link client eth0 box wan && path_client
}

path_gone() {
	! ip -n "$(ns client)" link show eth0 && ! ip -n "$(ns box)" link show wan && ! ip -n "$(ns lan)" link show to-router
}

path_impair() {
	local seed=$1
	shift
	path_report >/dev/null
	start_bg path "$TOPOLOGY_DIR/shim.log" "$BUILD/tests/e2e/shim" -s "$seed" to-client shim both "$@"
	PATH_SHIM=$STARTED_PID
	if wait_for 5 grep -qx ready "$TOPOLOGY_DIR/shim.log"; then return 0; fi
	cat "$TOPOLOGY_DIR/shim.log" >&2
	return 1
}

path_report() {
	[ -n "$PATH_SHIM" ] || return 0
	stop_bg "$PATH_SHIM"
	PATH_SHIM=
	grep -vx ready "$TOPOLOGY_DIR/shim.log"
}

# path_files MEGABYTES CONNECTIONS: what is fetched, and as many names of it to upload.
path_files() {
	local file=$TOPOLOGY_DIR/files/path-$1 n
	[ -r "$file" ] || noise "$file" "$1"
	mkdir -p "$file-up"
	for ((n = 1; n <= $2; n++)); do
		[ -e "$file-up/$n" ] || ln "$file" "$file-up/$n"
	done
}

# path_curl WAY CURL-ARGUMENT…: @ stands for https://HOST:PORT of the way.
path_curl() {
	local way=$1 host port address arguments
	shift
	case $way in
	bare4) host=web4 port=8443 address=$A_V4 ;;
	bare6) host=web6 port=8443 address=[$A_V6] ;;
	4-*) host=web${way#*-} port=443 address=$BOX_WAN_V4 ;;
	6-*) host=web${way#*-} port=443 address=[$BOX_WAN_V6] ;;
	proxy4-*) host=web${way#*-} port=443 address=$ROUTER_WAN_V4 ;;
	proxy6-*) host=web${way#*-} port=443 address=[$ROUTER_WAN_V6] ;;
	*) echo "path_curl: no way $way" >&2; return 1 ;;
	esac
	host=$host.shop.example
	in_ns client curl --http1.1 --fail --no-progress-meter --max-time "${PATH_SECONDS:-120}" --cacert "$CA" \
		--resolve "$host:$port:$address" "${@/#@/https://$host:$port}"
}

transfer() {
	local way=$1 direction=$2 n=$3 megabytes=$4 want times
	local name=$way-$direction dir=$TOPOLOGY_DIR/transfer-$way-$direction file=$TOPOLOGY_DIR/files/path-$megabytes
	path_files "$megabytes" "$n"
	rm -rf "$dir" && mkdir -p "$dir"
	want="$n $(sha256sum "$file" | cut -d' ' -f1)"
	if [ "$direction" = down ]; then
		times=$(path_curl "$way" -Z --parallel-immediate --parallel-max "$n" -w '%{time_total}\n' -o "$dir/#1" \
			"@/path-$megabytes?[1-$n]") || return 1
	else
		ln -sfn "$dir" "$TOPOLOGY_DIR/nginx-a/upload/$name"
		times=$(path_curl "$way" -Z --parallel-immediate --parallel-max "$n" -w '%{time_total}\n' -H Expect: \
			-T "$file-up/[1-$n]" "@/upload/$name/") || return 1
	fi
	if [ "$(sha256sum "$dir"/* | cut -d' ' -f1 | sort | uniq -c | sed 's/^ *//')" != "$want" ]; then
		echo "transfer $*: not what was sent" >&2
		return 1
	fi
	awk -v bits="$(($(stat -c %s "$file") * 8))" '{ total += $1 } END { printf "%.3f\n", bits / (total / NR) / 1e6 }' <<<"$times"
}

# As federation, for these services alone: with none behind the listener that can't be asked, timestamps are on.
path_federation() {
	federation_home
	door edge 443
	service web4.shop.example 8443 2s $A_V4
	service web6.shop.example 8443 2s $A_V6
}

# The same services where TLS ends at the gateway. Its certificate is the workloads' own, which the client trusts already.
path_bridged_federation() {
	local six address
	mkdir -p "$TOPOLOGY_DIR/postern/credentials/web"
	cp "$TOPOLOGY_DIR/tls/workload.pem" "$TOPOLOGY_DIR/postern/credentials/web/tls.crt"
	install -m 600 "$TOPOLOGY_DIR/tls/workload.key" "$TOPOLOGY_DIR/postern/credentials/web/tls.key"
	federation_home
	door edge 443 "{ mode: SIMPLE, credentialName: web }"
	cat <<-EOT
		---
		apiVersion: security.istio.io/v1
		kind: AuthorizationPolicy
		metadata: { name: anybody-there, namespace: shop }
		spec:
		  action: ALLOW
		  rules:
		  - from: [ { source: { ipBlocks: [ 192.0.2.0/24, "2001:db8:1::/64" ] } } ]
	EOT
	for six in "" 6; do
		address=${six:+$A_V6}
		cat <<-EOT
			---
			apiVersion: networking.istio.io/v1
			kind: ServiceEntry
			metadata: { name: web${six:-4}, namespace: shop }
			spec:
			  hosts: [ web${six:-4}.shop.example ]
			  location: MESH_EXTERNAL
			  resolution: STATIC
			  ports:
			  - { number: 8081, name: plain, protocol: TCP }
			  endpoints:
			  - { address: "${address:-$A_V4}" }
			---
			apiVersion: networking.istio.io/v1
			kind: DestinationRule
			metadata: { name: web${six:-4}, namespace: shop }
			spec:
			  host: web${six:-4}.shop.example
			  trafficPolicy: { tls: { mode: DISABLE } }
			---
			apiVersion: networking.istio.io/v1
			kind: VirtualService
			metadata: { name: web${six:-4}, namespace: shop }
			spec:
			  hosts: [ web${six:-4}.shop.example ]
			  gateways: [ edge ]
			  tcp:
			  - match: [ { port: 443 } ]
			    route: [ { destination: { host: web${six:-4}.shop.example, port: { number: 8081 } } } ]
		EOT
	done
}

# Neighbours found, endpoints known.
path_settle() {
	local way
	path_impair 1 delay=0 || return 1
	for way in bare4 bare6 $PATH_WAYS $([ -z "$PATH_PROXY" ] || printf 'proxy%s ' $PATH_WAYS); do
		wait_for 5 path_curl "$way" -o /dev/null @/hello || return 1
	done
	wait_for 10 path_timestamps
}

# Whether a connection through Postern has timestamps.
path_timestamps() {
	in_ns client python3 - "$BOX_WAN_V4" <<-'EOT'
		import socket, sys
		with socket.create_connection((sys.argv[1], 443), timeout=1) as sock:
		    options = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]
		sys.exit(not options & 1)
	EOT
}
