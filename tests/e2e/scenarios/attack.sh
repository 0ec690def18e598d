# SPDX-License-Identifier: Apache-2.0
# What a legitimate client notices of an attack: 100 new connections a second, before, during and after floods as fast as a core
# makes them and 50,000 connections that trickle their hello; and what the attack leaves behind.
#
# The worker has core 1. The attacker, the client and the servers share core 0, and the machine perhaps with others. So that what is
# measured is the gateway and not the scheduler, the worker and then the client and the servers, which would be machines
# of their own, go before whatever else wants their core (SCHED_FIFO); ATTACK_RT=1 lets the attacker go before all but those.
# Latency is printed and not judged: on a busy machine it is the machine's.

ATTACK_S=3
[ -n "${E2E_QUICK:-}" ] || ATTACK_S=10

scenario_attack() {
	local kind rss_before dir=$TOPOLOGY_DIR/attack
	mkdir -p "$dir"
	postern_start || return 1
	attack_priorities || return 1
	GATEWAY_MAC=$(in_ns box cat /sys/class/net/wan/address)
	legit 2 >/dev/null # what is touched once and then stays
	rss_before=$(resident)
	printf '%-9s %s\n' quiet "$(legit $ATTACK_S)"
	for kind in syn ack hello fragment; do
		during $kind flood $kind
	done
	during trickle trickle
	check "records and held hellos are gone soon" wait_for 15 nothing_left
	check "memory is what it was, but for 2 MB of records that were touched" wait_for 5 no_more_than $((rss_before + 2048))
	printf '%-9s %s\n' after "$(legit $ATTACK_S)"
	echo "resident: $rss_before kB before, $(resident) kB after; counted since the start:"
	ctl drops -o json | jq -r '[.. | objects | select(.count? > 0) | "\(.reason) \(.count)"] | join(", ")'
}

# The thread of worker 0 is the only one that isn't on core 0.
attack_priorities() {
	local tid pid
	for tid in /proc/"$POSTERN_PID"/task/*; do
		[ "$(taskset -p "${tid##*/}" | sed 's/.* //')" != 2 ] || chrt -f -p 1 "${tid##*/}" || return 1
	done
	for pid in $(ip netns pids "$(ns a)"); do
		chrt -f -p 2 "$pid" || return 1
	done
}

# kB of posternd that are in memory, without the packet buffers: those are set aside at start.
resident() {
	awk '/^[0-9a-f]+-/ { buffers = /memfd:|hugepages|anon_inode|socket:/ } /^Rss:/ && !buffers { sum += $2 } END { print sum }' \
		"/proc/$POSTERN_PID/smaps"
}

no_more_than() {
	[ "$(resident)" -le "$1" ]
}

# legit SECONDS: its line of figures; false when a connection failed.
legit() {
	in_ns client taskset -c 0 chrt -f 2 "$BUILD/tests/e2e/legit" -t "$1" -w 15000 -s web4.shop.example $BOX_V4 443
}

attacker() {
	local tool=$1
	shift
	in_ns client taskset -c 0 ${ATTACK_RT:+chrt -f 1} "$BUILD/tests/e2e/$tool" -m "$GATEWAY_MAC" "$@" $BOX_V4 443
}

flood() {
	attacker flood -k "$1" -t $((ATTACK_S + 2)) eth0
}

trickle() {
	attacker trickle -n 50000 -a 200 -t $((ATTACK_S + 2)) eth0 192.0.2.20
}

# during NAME ATTACK…: the client's figures while the attack goes on, and what that was.
during() {
	local name=$1 pid seen rss
	shift
	"$@" >"$dir/$name" 2>&1 &
	pid=$!
	sleep 1
	check "every connection is made during $name" legit_into "$dir/legit"
	rss=$(resident)
	wait $pid
	printf '%-9s %s; %s; resident %s kB\n' "$name" "$(cat "$dir/legit")" "$(cat "$dir/$name")" "$rss"
}

legit_into() {
	legit $ATTACK_S | tee "$1"
}

nothing_left() {
	[ "$(ctl flows -o json | jq 'map(select(.state != "probing")) | length')" -le 4 ]
}
