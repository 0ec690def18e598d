# SPDX-License-Identifier: Apache-2.0
# A crowd of connections stays while posternd is killed, upgraded, replaced, reconfigured: not one may end, no byte be
# wrong. How long each stood still is printed; ten seconds would be a failure.

CROWD_PORT=7443 STALL_MS=10000

scenario_crash() {
	local rounds=10 n pid
	[ -z "${E2E_QUICK:-}" ] || rounds=3
	n=$(($(count 2000) / 2))
	FEDERATION_MORE=$(crowd_services)
	postern_supervise || return 1
	crowd_start $n || return 1
	mkdir -p "$TOPOLOGY_DIR/downloads"
	# As long as the rounds of kills and upgrades take, about.
	parallel_fetch 12 middle "$((10000 / (rounds * 5)))k" pair.shop.example "$TOPOLOGY_DIR/downloads" \
		>"$TOPOLOGY_DIR/downloads.log" 2>&1 &
	local downloads=$!
	sleep 1

	check "kill -9, $rounds times, adopted each time" repeat $rounds killed_and_adopted $((2 * n))
	crowd_figures "kill -9"
	check "posternctl upgrade, $rounds times, in the same process" repeat $rounds upgraded $((2 * n))
	check "what came in meanwhile was kept" grep 'took what came in meanwhile","frames":[1-9]' "$POSTERN_DIR/log"
	crowd_figures "upgrade"
	echo "    upgrade: posternd stood still for $(sed -n 's/.*stood still for //p' "$TOPOLOGY_DIR/upgrades" | tr '\n' ' ')"
	ended "12 downloads go on" "$downloads" "$TOPOLOGY_DIR/downloads.log"
	check_is "… and each is whole" "12 $MIDDLE_SHA256" "$(whole_files "$TOPOLOGY_DIR/downloads")"

	check "SIGQUIT leaves the flows to the next" ended_and_adopted QUIT $((2 * n)) true
	check "SIGUSR2 upgrades" upgraded_by_signal $((2 * n))
	check "an upgrade to a program that refuses changes nothing" upgrade_refused
	check "an endpoint leaves the federation while nobody runs" ended_and_adopted KILL $((2 * n)) without_b
	check "two workers instead of one" ended_and_adopted KILL $((2 * n)) with_workers "0, 1"
	check "… killed again" ended_and_adopted KILL $((2 * n)) true
	check "one worker instead of two" ended_and_adopted KILL $((2 * n)) with_workers 1
	check "a second posternd on the same state is refused" second_refused
	crowd_figures "the rest"

	crowd_stop
	check "a damaged mapping stops nobody" ended_and_restarted KILL damage_flows
	check "… is refused, and named" grep 'state/flows is refused: ' "$POSTERN_DIR/log"
	check "… and new connections are taken" greets
	POSTERN_PID=$(postern_pid) FEDERATION_MORE=
}

crowd_services() {
	service crowd.shop.example $CROWD_PORT 2s $A_V4 $B_V4
	service crowd6.shop.example $CROWD_PORT 2s $A_V6 $B_V6
}

# crowd_start N: N connections over IPv4, and N over IPv6.
crowd_start() {
	local place
	CROWD=()
	for place in a b; do
		start_bg $place "$TOPOLOGY_DIR/crowd-$place" "$BUILD/tests/e2e/crowd" server -p 1000 -l $STALL_MS $CROWD_PORT
		CROWD+=("$STARTED_PID")
	done
	sleep 0.2
	start_bg client "$TOPOLOGY_DIR/crowd-4" "$BUILD/tests/e2e/crowd" client -n "$1" -p 1000 -l $STALL_MS \
		-s crowd.shop.example $BOX_WAN_V4 443
	CROWD+=("$STARTED_PID")
	start_bg client "$TOPOLOGY_DIR/crowd-6" "$BUILD/tests/e2e/crowd" client -n "$1" -p 1000 -l $STALL_MS \
		-s crowd6.shop.example $BOX_WAN_V6 443
	CROWD+=("$STARTED_PID")
	check "$1 connections over IPv4, $1 over IPv6" wait_for 60 crowd_ready
}

crowd_ready() {
	grep -q ready "$TOPOLOGY_DIR/crowd-4" && grep -q ready "$TOPOLOGY_DIR/crowd-6"
}

crowd_figures() {
	local name
	sleep 1.2 # what was under way has come
	kill -USR1 "${CROWD[@]}"
	sleep 0.3
	for name in 4 6 a b; do
		echo "    $1: $(grep '^to ' "$TOPOLOGY_DIR/crowd-$name" | tail -n 1)"
	done
}

# The clients first: the servers only close what the clients closed.
crowd_stop() {
	local i names=(a b 4 6)
	for i in 2 3 0 1; do
		kill -TERM "${CROWD[$i]}"
		ended "crowd ${names[$i]}: nothing lost, every byte right, no stall beyond $STALL_MS ms" \
			"${CROWD[$i]}" "$TOPOLOGY_DIR/crowd-${names[$i]}"
	done
}

repeat() {
	local n=$1 i
	shift
	for ((i = 0; i < n; i++)); do
		"$@" || return 1
	done
}

# Time for the peers' retransmissions, so that rounds don't add up.
settle() {
	sleep 2
}

spliced() {
	ctl status -o json | jq .flows.spliced
}

has_spliced() {
	[ "$(spliced)" -ge "$1" ] || { echo "only $(spliced) of $1 flows"; return 1; }
}

# ended_and_restarted SIGNAL COMMAND…: the command runs between the end of one posternd and the start of the next.
ended_and_restarted() {
	local pid signal=$1
	shift
	pid=$(postern_pid)
	touch "$POSTERN_DIR/hold"
	kill "-$signal" "$pid"
	wait_for 5 process_gone "$pid" || return 1
	"$@" || return 1
	rm "$POSTERN_DIR/hold"
	wait_for 10 postern_answers "$pid"
}

# ended_and_adopted SIGNAL FLOWS COMMAND…
ended_and_adopted() {
	local signal=$1 flows=$2
	shift 2
	ended_and_restarted "$signal" "$@" && has_spliced "$flows" && greets && settle
}

# The supervisor starts the next one by itself, at once.
killed_and_adopted() {
	local pid
	pid=$(postern_pid)
	kill -KILL "$pid"
	wait_for 10 postern_answers "$pid" || return 1
	has_spliced "$1" && greets && settle
}

upgraded() {
	local pid
	pid=$(postern_pid)
	ctl upgrade >>"$TOPOLOGY_DIR/upgrades" && [ "$(ctl status -o json | jq .pid)" = "$pid" ] && has_spliced "$1" && greets && settle
}

upgraded_by_signal() {
	local started
	started=$(started)
	kill -USR2 "$(postern_pid)"
	wait_for 10 started_later_than "$started" && has_spliced "$1" && settle
}

started() {
	ctl status -o json | jq -r .started
}

started_later_than() {
	local now
	now=$(started)
	[ -n "$now" ] && [ "$now" != "$1" ]
}

upgrade_refused() {
	local started
	started=$(started)
	! ctl upgrade --binary /bin/false && [ "$(started)" = "$started" ]
}

# A new connection, at once.
greets() {
	[ "$(fetch $BOX_V4 web4.shop.example --max-time 5 https://web4.shop.example/hello)" = "hello from a" ]
}

without_b() {
	(B_V4=$HOLE_V4 B_V6=$HOLE_V6 && federation) >"$FEDERATION"
}

with_workers() {
	postern_conf "$POSTERN_DRIVER" "$1" >"$POSTERN_DIR/postern.conf"
}

second_refused() {
	local said
	said=$(in_ns box timeout 20 "$BUILD/posternd" --conf "$POSTERN_DIR/postern.conf" 2>&1)
	[ $? = 1 ] && grep -q "$POSTERN_DIR/state" <<<"$said" || { echo "$said"; return 1; }
}

damage_flows() {
	printf 'nonsense' | dd of="$POSTERN_DIR/state/flows" bs=1 seek=40 conv=notrunc status=none
}
