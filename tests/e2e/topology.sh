# SPDX-License-Identifier: Apache-2.0
#
# The one place that builds a world of network namespaces, for every scenario and for the demo. Sourced by bash.
#
#      client                        box                         lan (a bridge)            a, b
#   ┌──────────┐               ┌──────────────┐               ┌──────────────┐        ┌──────────┐
#   │ eth0   ──┼── wan ────────┼── wan   lan ─┼───────────────┼─ to-box  to-a ┼───────┼─ eth0    │
#   │ .10/::10 │ 192.0.2.0/24  │ .1/::1 .1/::1│ 198.51.100.0/24          to-b ┼───────┼─ .11/.12 │
#   └──────────┘ 2001:db8:1::  └──────────────┘ 2001:db8:2::  └──────────────┘        └──────────┘
#
# The addresses of `box` belong to posternd alone: its kernel has none, so that it answers nothing by itself. Names carry
# this process's number, so that two runs don't meet; whatever was made is undone on EXIT, INT and TERM.
#
#   topology_up / topology_down
#   station, behind                one more host on the lan; one more behind a host that forwards
#   in_ns NAME COMMAND…            runs a command in client, box, lan, a or b
#   start_bg NAME LOG COMMAND…     starts one there that outlives the call; STARTED_PID is its process
#   stop_bg PID                    ends such a one and waits for it
#   host_names NAME TEXT           what /etc/hosts says there
#   wait_for SECONDS COMMAND…      until the command succeeds; false when it never did
#   TOPOLOGY_DIR                   a folder of this run's own

CLIENT_V4=192.0.2.10 CLIENT_V6=2001:db8:1::10
BOX_WAN_V4=192.0.2.1 BOX_WAN_V6=2001:db8:1::1
BOX_LAN_V4=198.51.100.1 BOX_LAN_V6=2001:db8:2::1
A_V4=198.51.100.11 A_V6=2001:db8:2::11
B_V4=198.51.100.12 B_V6=2001:db8:2::12
# Answered by ARP and ND, but every SYN to it is swallowed (b can't reach the box from there).
HOLE_V4=198.51.100.66 HOLE_V6=2001:db8:2::66

TOPOLOGY_NAMES=(client box lan a b)
TOPOLOGY_PIDS=()
TOPOLOGY_DIR=

ns() {
	echo "pt$$-$1"
}

in_ns() {
	local name=$1
	shift
	ip netns exec "$(ns "$name")" "$@"
}

start_bg() {
	local name=$1 log=$2
	shift 2
	# exec: the number we note is the program's own, not a shell's.
	(exec ip netns exec "$(ns "$name")" "$@" </dev/null >"$log" 2>&1) &
	STARTED_PID=$!
	TOPOLOGY_PIDS+=("$STARTED_PID")
}

stop_bg() {
	local pid=$1 kept=() p
	for p in "${TOPOLOGY_PIDS[@]}"; do
		[ "$p" = "$pid" ] || kept+=("$p")
	done
	TOPOLOGY_PIDS=("${kept[@]}")
	kill -TERM "$pid" 2>/dev/null || return 0
	wait_for 5 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
}

host_names() {
	mkdir -p "/etc/netns/$(ns "$1")"
	printf '127.0.0.1 localhost\n::1 localhost\n%s\n' "$2" >"/etc/netns/$(ns "$1")/hosts"
}

process_gone() {
	local state
	state=$(ps -o stat= -p "$1" 2>/dev/null) || return 0
	[[ $state == Z* ]]
}

wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.05
	done
}

# A veth pair, each end in its namespace. No offloads on either: a frame must reach the data plane as it would leave a
# wire, its checksum filled in and no larger than the MTU (DPDK's AF_PACKET and AF_XDP drivers know neither
# CSUMNOTREADY nor GSO).
link() {
	local left_ns=$1 left=$2 right_ns=$3 right=$4
	ip -n "$(ns "$left_ns")" link add "$left" numtxqueues 1 numrxqueues 1 type veth \
		peer name "$right" numtxqueues 1 numrxqueues 1 netns "$(ns "$right_ns")"
	plain "$left_ns" "$left"
	plain "$right_ns" "$right"
}

plain() {
	in_ns "$1" sysctl -qw "net.ipv6.conf.$2.accept_dad=0" "net.ipv6.conf.$2.accept_ra=0"
	in_ns "$1" ethtool -K "$2" rx off tx off sg off tso off gso off gro off >/dev/null 2>&1
	if in_ns "$1" ethtool -k "$2" |
		grep -qE '^(rx-checksumming|tx-checksumming|tcp-segmentation-offload|generic-segmentation-offload|generic-receive-offload): on'; then
		echo "topology: offloads of $2 in $1 stay on" >&2
		return 1
	fi
	ip -n "$(ns "$1")" link set "$2" up
}

host() {
	local name=$1 v4=$2 v6=$3 gateway_v4=$4 gateway_v6=$5
	ip -n "$(ns "$name")" addr add "$v4/24" dev eth0
	ip -n "$(ns "$name")" addr add "$v6/64" dev eth0 nodad
	ip -n "$(ns "$name")" route add default via "$gateway_v4"
	ip -n "$(ns "$name")" -6 route add default via "$gateway_v6"
}

topology_up() {
	local name
	[ "$(id -u)" = 0 ] || { echo "topology: network namespaces need root" >&2; return 1; }
	trap topology_down EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	TOPOLOGY_DIR=$(mktemp -d "${TMPDIR:-/tmp}/postern-e2e.XXXXXX")
	for name in "${TOPOLOGY_NAMES[@]}"; do
		ip netns add "$(ns "$name")" || return 1
		ip -n "$(ns "$name")" link set lo up
		in_ns "$name" sysctl -qw net.ipv4.ip_local_port_range="2000 65000"
	done
	in_ns box sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	link client eth0 box wan || return 1
	link lan to-box box lan || return 1
	link lan to-a a eth0 || return 1
	link lan to-b b eth0 || return 1

	# forward_delay 0, or its ports would listen for spanning trees before they forward; no snooping, or it would eat ND.
	in_ns lan sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	ip -n "$(ns lan)" link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	for name in to-box to-a to-b; do
		ip -n "$(ns lan)" link set "$name" master bridge
	done
	ip -n "$(ns lan)" link set bridge up

	host client $CLIENT_V4 $CLIENT_V6 $BOX_WAN_V4 $BOX_WAN_V6
	host a $A_V4 $A_V6 $BOX_LAN_V4 $BOX_LAN_V6
	host b $B_V4 $B_V6 $BOX_LAN_V4 $BOX_LAN_V6
	topology_hole
	# b's address answers a's neighbour discovery: the bridge forwards, both families are usable.
	wait_for 5 in_ns a ping -c 1 -W 1 $B_V4 && wait_for 5 in_ns a ping -c 1 -W 1 $B_V6
}

# The hole: b has the address, and a rule of its own for what is sent from there: no way back to anyone.
topology_hole() {
	ip -n "$(ns b)" addr add $HOLE_V4/32 dev eth0
	ip -n "$(ns b)" addr add $HOLE_V6/128 dev eth0 nodad
	ip -n "$(ns b)" rule add from $HOLE_V4 table 66
	ip -n "$(ns b)" route add blackhole default table 66
	ip -n "$(ns b)" -6 rule add from $HOLE_V6 table 66
	ip -n "$(ns b)" -6 route add blackhole default table 66
}

# station NAME V4 V6: one more host on the lan, like a and b. Gone with the rest.
station() {
	TOPOLOGY_NAMES+=("$1")
	ip netns add "$(ns "$1")" && ip -n "$(ns "$1")" link set lo up
	link lan "to-$1" "$1" eth0 || return 1
	ip -n "$(ns lan)" link set "to-$1" master bridge
	host "$1" "$2" "$3" $BOX_LAN_V4 $BOX_LAN_V6
}

# behind NEAR NAME NET4 NET6: a host NAME that is reached through NEAR, which forwards to it: NET4.2 and NET6::2.
behind() {
	local near=$1 name=$2 net4=$3 net6=$4
	TOPOLOGY_NAMES+=("$name")
	ip netns add "$(ns "$name")" && ip -n "$(ns "$name")" link set lo up
	in_ns "$near" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	link "$near" "to-$name" "$name" eth0 || return 1
	ip -n "$(ns "$near")" addr add "$net4.1/24" dev "to-$name"
	ip -n "$(ns "$near")" addr add "$net6::1/64" dev "to-$name" nodad
	host "$name" "$net4.2" "$net6::2" "$net4.1" "$net6::1"
}

topology_down() {
	local name pid
	trap - EXIT
	trap '' INT TERM # a second Ctrl-C must not leave half of it
	for pid in "${TOPOLOGY_PIDS[@]}"; do
		kill -TERM "$pid" 2>/dev/null
	done
	for pid in "${TOPOLOGY_PIDS[@]}"; do
		wait_for 3 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	TOPOLOGY_PIDS=()
	for name in "${TOPOLOGY_NAMES[@]}"; do
		# What such a process left behind in its namespace (nginx's workers, a client in the middle of a transfer).
		for pid in $(ip netns pids "$(ns "$name")" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$(ns "$name")" 2>/dev/null
		rm -rf "/etc/netns/$(ns "$name")"
	done
	rmdir /etc/netns 2>/dev/null
	[ -z "$TOPOLOGY_DIR" ] || rm -rf "$TOPOLOGY_DIR"
	trap - INT TERM
}
