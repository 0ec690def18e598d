# SPDX-License-Identifier: Apache-2.0
# TCPs that are unlike each other, of real Linux: every combination of timestamps, SACK and window scaling on either side,
# route MTUs, windows, small paths behind routers, jumbo frames, and what else a sysctl or an application can ask of a TCP.
# Each line is a row of a table: the way, the client, the endpoint; then whether a transfer came through whole, with what
# options in force, or how it was refused.
#
# Eight hosts k0…k7 have the eight combinations, each behind a port of the gateway of its own: what a port offers to
# clients is what all endpoints behind it have.

MATRIX_KINDS=8 MATRIX_ALL=7
MATRIX_NAMES=(ts sack ws)
MATRIX_SYSCTLS=(tcp_timestamps tcp_sack tcp_window_scaling)

scenario_matrix() {
	local bytes kind
	# k7's flows half-closed and idle for longer than that must live; ports and linger small, so that ports come round.
	local POSTERN_MORE='flow = { local_port_first = 2000; local_port_last = 3999; close_linger_ms = 200;
		idle_timeout_s = 60; half_closed_timeout_s = 60; };'
	local FEDERATION_MORE

	bytes=$(count 2000000)
	matrix_world || return 1
	matrix_routes
	FEDERATION_MORE=$(matrix_federation)
	postern_start || return 1
	wait_for 10 offers_known || return 1

	long_begin
	options_rows
	mtu_rows
	window_rows
	path_rows
	habit_rows
	reuse_rows
	change_rows
	long_end
	jumbo_rows
}

matrix_world() {
	local kind
	for ((kind = 0; kind < MATRIX_KINDS; kind++)); do
		station "k$kind" "$(kind_v4 "$kind")" "$(kind_v6 "$kind")" || return 1
		become "k$kind" "$kind"
		serve "k$kind" 8444
	done
	serve k7 8445 --receive 4096
	serve k7 8446 --mptcp
	serve k7 8447 --fastopen
	behind client far 203.0.113 2001:db8:3 || return 1
	behind k7 deep 198.18.0 2001:db8:4 || return 1
	serve deep 8444
}

kind_v4() { echo "198.51.100.$((100 + $1))"; }
kind_v6() { echo "2001:db8:2::$((100 + $1))"; }

matrix_routes() {
	POSTERN_MORE+=" routes = (
		{ to = \"203.0.113.0/24\"; via = \"$CLIENT_V4\"; }, { to = \"2001:db8:3::/64\"; via = \"$CLIENT_V6\"; },
		{ to = \"198.18.0.0/24\"; via = \"$(kind_v4 7)\"; }, { to = \"2001:db8:4::/64\"; via = \"$(kind_v6 7)\"; } );"
}

# Ports of the gateway: 10000…10007 for the kinds, 10010 for two that are unlike, 10011 for two of which one will lose
# its timestamps, 10012 for the one behind a router.
matrix_federation() {
	local kind DOOR DOOR_PORT
	for ((kind = 0; kind < MATRIX_KINDS; kind++)); do
		DOOR=k$kind DOOR_PORT=$((10000 + kind))
		door "$DOOR" "$DOOR_PORT"
		service "k$kind-v4.shop.example" 8444 2s "$(kind_v4 "$kind")"
		service "k$kind-v6.shop.example" 8444 2s "$(kind_v6 "$kind")"
	done
	service small.shop.example 8445 2s "$(kind_v4 7)"
	service mptcp.shop.example 8446 2s "$(kind_v4 7)"
	service fastopen.shop.example 8447 2s "$(kind_v4 7)"
	DOOR=unlike DOOR_PORT=10010
	door $DOOR $DOOR_PORT
	service unlike.shop.example 8444 2s "$(kind_v4 7)" "$(kind_v4 0)"
	DOOR=pair DOOR_PORT=10011
	door $DOOR $DOOR_PORT
	service pair-v4.shop.example 8444 2s "$(kind_v4 7)" "$(kind_v4 5)"
	DOOR=deep DOOR_PORT=10012
	door $DOOR $DOOR_PORT
	service deep-v4.shop.example 8444 2s 198.18.0.2
	service deep-v6.shop.example 8444 2s 2001:db8:4::2
}

# Whether each kind's port offers what the kind has.
offers_known() {
	local want kind
	for ((kind = 0; kind < MATRIX_KINDS; kind++)); do
		want+="$((10000 + kind)) $(((kind & 1) != 0)) $(((kind & 2) != 0)) "
	done
	[ "$(ctl listeners -o json | jq -r '[.. | objects | select(.offer? and .port >= 10000 and .port <= 10007)] |
		sort_by(.port)[] | "\(.port) \(if .offer.timestamps then 1 else 0 end) \(if .offer.sack then 1 else 0 end) "' |
		tr -d '\n')" = "$want" ]
}

# --- hosts --------------------------------------------------------------------------------------------------------------

# options_name N: "ts+sack+ws", "none".
options_name() {
	local name= bit
	for bit in 0 1 2; do
		[ $(($1 >> bit & 1)) = 0 ] || name+=+${MATRIX_NAMES[bit]}
	done
	name=${name#+}
	echo "${name:-none}"
}

# become NAMESPACE N: its TCP has these options from the next connection on.
become() {
	local bit settings=()
	for bit in 0 1 2; do
		settings+=("net.ipv4.${MATRIX_SYSCTLS[bit]}=$(($2 >> bit & 1))")
	done
	in_ns "$1" sysctl -qw "${settings[@]}"
}

# serve NAMESPACE PORT OPTION…
serve() {
	start_bg "$1" "$TOPOLOGY_DIR/serve-$1-$2.log" python3 tests/e2e/transfer.py "${@:3}" serve "$2"
}

# ask ADDRESS PORT HOST VERB…, in the namespace $FROM or client; options in $ASK.
ask() {
	# shellcheck disable=SC2086
	in_ns "${FROM:-client}" timeout 100 python3 tests/e2e/transfer.py ${ASK:-} ask --sni "$3.shop.example" \
		"$1" "$2" "${@:4}"
}

# towards NAMESPACE ADDRESS ATTRIBUTE…: a route of its own to the gateway; without attributes it goes.
towards() {
	local family=-4 length=32
	[[ $2 != *:* ]] || family=-6 length=128
	ip $family -n "$(ns "$1")" route flush cache
	if [ $# = 2 ]; then
		ip $family -n "$(ns "$1")" route del "$2/$length"
	else
		ip $family -n "$(ns "$1")" route replace "$2/$length" dev eth0 "${@:3}"
	fi
}

# --- rows ---------------------------------------------------------------------------------------------------------------

# row NAME WANT COMMAND…: what the command prints must match WANT. What was refused says why, as the access log has it.
row() {
	local name=$1 want=$2 got lines
	shift 2
	lines=$(grep -c '"scope":"access"' "$POSTERN_DIR/log")
	got=$("$@" 2>&1)
	[[ $got == intact* ]] || got+=$(refusals_since "$lines")
	name=$(printf '%-62s %s' "$name" "$got")
	if [[ $got =~ ^($want)$ ]]; then passes "$name"; else fails "$name" "wanted: $want"; fi
}

refusals_since() {
	sleep 0.2 # the log is written by another thread
	grep '"scope":"access"' "$POSTERN_DIR/log" | tail -n "+$(($1 + 1))" |
		jq -r '.reason | select(. != "closed")' | sort -u | sed 's/^/ /' | tr -d '\n'
}

# in_force CLIENT ENDPOINT [CLIENT-MSS ENDPOINT-MSS]: the pattern of a transfer that came through with these.
in_force() {
	echo "intact: client ${1//+/\\+} scale [0-9]+,[0-9]+ mss ${3:-[0-9]+}, endpoint ${2//+/\\+} scale [0-9]+,[0-9]+ mss ${4:-[0-9]+}"
}

# Timestamps and SACK hold from end to end or not at all. The gateway scales its own windows, so that a client that does
# is answered by it. Each combination goes two of the four ways between the families; quick, one in four goes one.
options_rows() {
	local client kind way address ways=("IPv4 $BOX_V4 v4" "IPv6 $BOX_V6 v6" "IPv4 to IPv6 $BOX_V4 v6" "IPv6 to IPv4 $BOX_V6 v4")
	local i common chosen
	for ((client = 0; client < 8; client++)); do
		become client $client
		for ((kind = 0; kind < MATRIX_KINDS; kind++)); do
			common=$((client & kind))
			[ -z "${E2E_QUICK:-}" ] || [ $(((client + 3 * kind) % 4)) = 0 ] || continue
			i=$(((client + kind / 2) % 4)) # as many by each way
			chosen=("$i")
			[ -n "${E2E_QUICK:-}" ] || chosen+=($(((i + 2) % 4)))
			for i in "${chosen[@]}"; do
				way=${ways[i]% * *} address=${ways[i]#"$way "}
				row "$(printf '%-12s  client %-10s  endpoint %-10s' "$way" "$(options_name $client)" "$(options_name $kind)")" \
					"$(in_force "$(options_name $((common | client & 4)))" "$(options_name $common)")" \
					ask "${address% *}" $((10000 + kind)) "k$kind-${address#* }" both "$bytes"
			done
		done
	done
	become client $MATRIX_ALL
}

# Every pair of route MTUs, and segment sizes that a route only claims. The first connection of each finds the gateway
# offering what it learned before: it splits what is too large for the endpoint.
mtu_rows() {
	local client endpoint
	for client in 1500 1280 576; do
		for endpoint in 1500 1280 576; do
			towards client $BOX_WAN_V4 mtu $client
			towards k7 $BOX_LAN_V4 mtu $endpoint
			row "IPv4, route MTU $client and $endpoint" "intact.*" ask $BOX_V4 10007 k7-v4 both "$bytes"
		done
	done
	towards client $BOX_WAN_V4 advmss 536
	towards k7 $BOX_LAN_V4 advmss 1460
	row "IPv4, advmss 536 and 1460" "intact.*" ask $BOX_V4 10007 k7-v4 both "$bytes"
	towards client $BOX_WAN_V4 advmss 1460
	towards k7 $BOX_LAN_V4 advmss 300
	row "IPv4, advmss 1460 and 300" "intact.*" ask $BOX_V4 10007 k7-v4 both "$bytes"
	towards client $BOX_WAN_V4
	towards k7 $BOX_LAN_V4
	for client in 1500 1280; do
		for endpoint in 1500 1280; do
			towards client $BOX_WAN_V6 mtu $client
			towards k7 $BOX_LAN_V6 mtu $endpoint
			row "IPv6, route MTU $client and $endpoint" "intact.*" ask $BOX_V6 10007 k7-v6 both "$bytes"
			row "IPv6 to IPv4, route MTU $client and 1500" "intact.*" ask $BOX_V6 10007 k7-v4 both "$bytes"
			row "IPv4 to IPv6, route MTU 1500 and $endpoint" "intact.*" ask $BOX_V4 10007 k7-v6 both "$bytes"
		done
	done
	towards client $BOX_WAN_V6
	towards k7 $BOX_LAN_V6
}

# Receive buffers from 1 kB to 1 GB, which make window scales from 0 to 14.
window_rows() {
	local few=$((bytes / 10)) large="4096 131072 1073741824" usual="4096 131072 33554432"
	ASK="--receive 1" row "the least receive buffer at the client" "$(in_force ts+sack+ws ts+sack+ws)" \
		ask $BOX_V4 10007 k7-v4 both $few
	ASK="--receive 4096" row "receive buffers of 4 kB and many" "$(in_force ts+sack+ws ts+sack+ws)" \
		ask $BOX_V4 10007 k7-v4 both $few
	row "receive buffers of many and 4 kB" "$(in_force ts+sack+ws ts+sack+ws)" ask $BOX_V4 10007 small both $few
	ASK="--receive 4096" row "receive buffers of 4 kB on both sides" "$(in_force ts+sack+ws ts+sack+ws)" \
		ask $BOX_V4 10007 small both $few
	in_ns client sysctl -qw net.ipv4.tcp_rmem="$large"
	row "window scale 14 at the client" "intact: client ts.sack.ws scale 7,14 .*" ask $BOX_V4 10007 k7-v4 both "$bytes"
	row "window scale 14 at the client, 4 kB at the endpoint" "intact: client ts.sack.ws scale 7,14 .*" \
		ask $BOX_V4 10007 small both $few
	in_ns k7 sysctl -qw net.ipv4.tcp_rmem="$large"
	row "window scale 14 on both sides" "intact: client ts.sack.ws scale 7,14 .* scale 14,14 .*" \
		ask $BOX_V4 10007 k7-v4 both "$bytes"
	in_ns client sysctl -qw net.ipv4.tcp_rmem="$usual"
	ASK="--receive 4096" row "4 kB at the client, window scale 14 at the endpoint" "intact: client .* endpoint .* scale 0,14 .*" \
		ask $BOX_V4 10007 k7-v4 both $few
	in_ns k7 sysctl -qw net.ipv4.tcp_rmem="$usual"
	ASK="--receive 4096" row "the client reads nothing for 2 s" "intact.*" ask $BOX_V4 10007 k7-v4 stall-down $few 2
	row "the endpoint reads nothing for 2 s" "intact.*" ask $BOX_V4 10007 small stall-up $few 2
}

# A path whose middle takes less than both its ends say. far is behind the client's namespace, deep behind k7's.
path_rows() {
	local name
	for name in far deep; do
		ip -n "$(ns $name)" link set eth0 mtu 1280
		ip -n "$(ns $name)" route change default via "$(near_v4 $name)" advmss 1460
		ip -6 -n "$(ns $name)" route change default via "$(near_v6 $name)" advmss 1440
	done
	# The near ends tell of it by ICMP. The other side, told through the gateway, sends no more than fits.
	near_mtu 1280
	FROM=far path_row "IPv4, 1280 behind the client's router" 'intact.* endpoint .* mss 1228' $BOX_V4 10007 k7-v4
	FROM=far path_row "IPv6, 1280 behind the client's router" 'intact.* endpoint .* mss 1208' $BOX_V6 10007 k7-v6
	FROM=far path_row "IPv4 to IPv6, 1280 behind the client's router" 'intact.* endpoint .* mss 1228' $BOX_V4 10007 k7-v6
	# An endpoint is never told of less than 1280, on behalf of one client; what it sends is split.
	FROM=far path_row "IPv6 to IPv4, 1280 behind the client's router" 'intact.* endpoint .* mss 1228' $BOX_V6 10007 k7-v4
	path_row "IPv4, 1280 behind the endpoint's router" 'intact: client [^,]*,[0-9]+ mss 1228,.*' $BOX_V4 10012 deep-v4
	path_row "IPv6, 1280 behind the endpoint's router" 'intact: client [^,]*,[0-9]+ mss 1208,.*' $BOX_V6 10012 deep-v6
	path_row "IPv4 to IPv6, 1280 behind the endpoint's router" 'intact: client [^,]*,[0-9]+ mss 1208,.*' $BOX_V4 10012 deep-v6
	path_row "IPv6 to IPv4, 1280 behind the endpoint's router" 'intact: client [^,]*,[0-9]+ mss 1228,.*' $BOX_V6 10012 deep-v4
	FROM=far path_row "IPv4, 1280 behind both routers" 'intact: client [^,]*,[0-9]+ mss 1228,.* mss 1228' $BOX_V4 10012 deep-v4

	# Nobody tells: what is larger than the far end's MTU is gone. The senders have to find out.
	near_mtu 1500
	for name in client far k7 deep; do
		in_ns $name sysctl -qw net.ipv4.tcp_mtu_probing=1 net.ipv4.tcp_retries1=1
	done
	FROM=far path_row "IPv4, a black hole behind the client's router" 'intact.*' $BOX_V4 10007 k7-v4
	FROM=far path_row "IPv6, a black hole behind the client's router" 'intact.*' $BOX_V6 10007 k7-v6
	path_row "IPv4, a black hole behind the endpoint's router" 'intact.*' $BOX_V4 10012 deep-v4
	path_row "IPv6, a black hole behind the endpoint's router" 'intact.*' $BOX_V6 10012 deep-v6
	for name in client far k7 deep; do
		in_ns $name sysctl -qw net.ipv4.tcp_mtu_probing=0 net.ipv4.tcp_retries1=3
	done

	# As small as Linux lets a path be that it isn't asked to distrust.
	for name in far deep; do
		ip -n "$(ns $name)" link set eth0 mtu 576
	done
	near_mtu 576
	FROM=far path_row "IPv4, 576 behind the client's router" 'intact.* endpoint .* mss 1228' $BOX_V4 10007 k7-v4
	path_row "IPv4, 576 behind the endpoint's router" 'intact: client [^,]*,[0-9]+ mss 524,.*' $BOX_V4 10012 deep-v4
	# An IPv6 sender can't be told of less than 1280: what it sends is split.
	path_row "IPv6 to IPv4, 576 behind the endpoint's router" 'intact: client [^,]*,[0-9]+ mss 1208,.*' $BOX_V6 10012 deep-v4
}

near_v4() { [ "$1" = far ] && echo 203.0.113.1 || echo 198.18.0.1; }
near_v6() { [ "$1" = far ] && echo 2001:db8:3::1 || echo 2001:db8:4::1; }

near_mtu() {
	ip -n "$(ns client)" link set to-far mtu "$1"
	ip -n "$(ns k7)" link set to-deep mtu "$1"
}

# Each path is found out anew: what a host remembers of the last one goes.
path_row() {
	local name
	for name in client far k7 deep; do
		ip -4 -n "$(ns $name)" route flush cache
		ip -6 -n "$(ns $name)" route flush cache
	done
	row "$1" "$2" ask "${@:3}" both "$bytes"
}

# What else comes in a SYN, or in the middle.
habit_rows() {
	local name
	row "one byte of urgent data" "intact.*" ask $BOX_V4 10007 k7-v4 urgent 50000
	ASK=--mptcp row "Multipath TCP at the client" "intact.*" ask $BOX_V4 10007 k7-v4 both "$bytes"
	row "Multipath TCP at the endpoint" "intact.*" ask $BOX_V4 10007 mptcp both "$bytes"
	ASK=--mptcp row "Multipath TCP on both sides" "intact.*" ask $BOX_V4 10007 mptcp both "$bytes"
	in_ns client sysctl -qw net.ipv4.tcp_fastopen=1
	in_ns k7 sysctl -qw net.ipv4.tcp_fastopen=3
	ASK=--fastopen row "Fast Open, a cookie asked for" "intact.*" ask $BOX_V4 10007 fastopen both "$bytes"
	in_ns client sysctl -qw net.ipv4.tcp_fastopen=5
	ASK=--fastopen row "Fast Open, data with the SYN" "intact.*" ask $BOX_V4 10007 fastopen both "$bytes"
	check_is "Fast Open: the SYN did have data" 1 \
		"$(in_ns client nstat -asz TcpExtTCPFastOpenActiveFail | awk '/Fail/ { print $2 }')"
	in_ns client sysctl -qw net.ipv4.tcp_fastopen=1
	for name in client k7; do
		in_ns $name sysctl -qw net.ipv4.tcp_ecn=1
	done
	row "ECN wanted on both sides" "$(in_force ts+sack+ws ts+sack+ws)" ask $BOX_V4 10007 k7-v4 both "$bytes"
	for name in client k7; do
		in_ns $name sysctl -qw net.ipv4.tcp_ecn=2
	done
}

# A client's port at once again; a gateway's port that an endpoint still has in TIME-WAIT (of 2000 all come round).
reuse_rows() {
	local who many
	many=$(($(count 2000) + 2000))
	in_ns client sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_tw_reuse_delay=1
	for who in client server reset gone; do
		row "the same client port again, closed first by $who" "$(in_force ts+sack+ws ts+sack+ws)(, after [12]\.[0-9] s)?" \
			ask $BOX_V4 10007 k7-v4 first $who
		# Without timestamps Linux doesn't let a port out of its own TIME-WAIT.
		[ "$who" = client ] || row "the same, IPv6 without timestamps, closed first by $who" \
			"$(in_force sack+ws sack+ws)(, after [12]\.[0-9] s)?" ask $BOX_V6 10006 k6-v6 first $who
	done
	row "$many connections, over ports in TIME-WAIT at the endpoint" "intact" ask $BOX_V4 10007 k7-v4 many $many
	row "the same without timestamps" "intact" ask $BOX_V4 10006 k6-v4 many $many
}

# Endpoints that come back with other options than the gateway has learned.
change_rows() {
	local lost
	row "two endpoints, with all options and with none" "$(in_force ws none)|$(in_force ws ws)" \
		ask $BOX_V4 10010 unlike both "$bytes"
	row "two endpoints, the other of them" "$(in_force ws none)|$(in_force ws ws)" ask $BOX_V4 10010 unlike both "$bytes"
	for lost in 3 5 1; do # without scaling, without SACK, without both
		become k7 $lost
		row "the endpoint has lost $(options_name $((7 - lost)))" "$(in_force '[a-z+]*' "$(options_name $lost)")" \
			ask $BOX_V4 10007 k7-v4 both "$bytes"
		become k7 7
	done
	become k5 4
	row "one of two has lost timestamps: the other is taken" "intact.*" ask $BOX_V4 10011 pair-v4 both "$bytes"
	row "one of two has lost timestamps, again" "intact.*" ask $BOX_V4 10011 pair-v4 both "$bytes"
	become k5 5
	become k3 2
	# What can't be translated is relayed: both ends keep what they have.
	row "the endpoint has lost timestamps, first connection" "$(in_force ts+sack+ws sack)" \
		ask $BOX_V4 10003 k3-v4 both "$bytes"
	sleep 1.5 # the gateway works out its offers once a second
	row "the endpoint has lost timestamps, a second later" "$(in_force sack+ws sack)" ask $BOX_V4 10003 k3-v4 both "$bytes"
	become k3 3
	row "the endpoint has timestamps again" "$(in_force sack+ws sack)" ask $BOX_V4 10003 k3-v4 both "$bytes"
}

# Conversations that take longer than the time-outs of postern.conf (60 s), beside all the others.
long_begin() {
	local seconds=70 name
	[ -z "${E2E_QUICK:-}" ] || seconds=8
	mkdir -p "$TOPOLOGY_DIR/long"
	ask $BOX_V4 10001 k1-v4 slow-down 100000 $seconds >"$TOPOLOGY_DIR/long/the client closed, the endpoint sends for $seconds s" 2>&1 &
	LONG=($!)
	ask $BOX_V4 10001 k1-v4 slow-up 100000 $seconds >"$TOPOLOGY_DIR/long/the endpoint closed, the client sends for $seconds s" 2>&1 &
	LONG+=($!)
	ASK="--keepalive $((seconds / 7))" ask $BOX_V4 10001 k1-v4 idle 100000 $seconds >"$TOPOLOGY_DIR/long/idle for $seconds s but for keep-alive probes" 2>&1 &
	LONG+=($!)
	sleep 0.5 # they begin with the client as it is
}

long_end() {
	local file
	wait "${LONG[@]}"
	for file in "$TOPOLOGY_DIR"/long/*; do
		row "${file##*/}" "intact.*" cat "$file"
	done
}

# Larger frames than Ethernet's, as far as a driver goes along: AF_XDP's fit in a page with what DPDK and the kernel put
# around them, AF_PACKET's in a slot of its ring, several of which make up whole pages.
jumbo_rows() {
	local E2E_DRIVER mtu POSTERN_PORT POSTERN_MEMORY="megabytes = 256; packets = 8192;"
	local -A POSTERN_ARGUMENTS=([af_packet]=",framesz=9216,blocksz=36864")
	for E2E_DRIVER in af_xdp af_packet; do
		mtu=9000
		[ $E2E_DRIVER = af_packet ] || mtu=3434
		POSTERN_PORT=" mtu = $mtu;"
		postern_stop
		link_mtu $mtu
		postern_start || return 1
		wait_for 10 offers_known || return 1
		jumbo_row $mtu $mtu
		jumbo_row $mtu 1500
		jumbo_row 1500 $mtu
		[ $mtu = 3434 ] || jumbo_row 8960 3434
	done
	link_mtu 1500
}

link_mtu() {
	local at
	for at in client:eth0 box:wan box:lan lan:to-box lan:to-k7 lan:bridge k7:eth0; do
		ip -n "$(ns "${at%:*}")" link set "${at#*:}" mtu "$1"
	done
}

jumbo_row() {
	towards client $BOX_WAN_V4 mtu "$1"
	towards k7 $BOX_LAN_V6 mtu "$2"
	row "IPv4 to IPv6, $E2E_DRIVER ports of MTU $mtu: client $1, endpoint $2" "intact.*" ask $BOX_V4 10007 k7-v6 both "$bytes"
	towards client $BOX_WAN_V4
	towards k7 $BOX_LAN_V6
}
