#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What an idle posternd costs, in the namespaces of the end-to-end tests: size of the binary, resident memory less that of
# packets, time from exec to the first ServerHello that came through, how long an upgrade lets forwarding stand still,
# share of a core when nothing is to do.
# Usage: make footprint. Prints one figure a line, beside its goal.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/e2e/topology.sh
. tests/e2e/servers.sh
. tests/e2e/postern.sh

IDLE_SECONDS=10
UPGRADES=9

figure() {
	printf '%-52s %8s %-4s (goal: %s)\n' "$1" "$2" "$3" "$4"
}

# Tries a new connection every few milliseconds; prints the time of the first that reached the workload.
first_hello() {
	python3 - "$1" <<-'EOF'
		import socket, sys, time
		sys.path.insert(0, "tests/e2e")
		import hello
		greeting = hello.shaped("one", "web4.shop.example")
		deadline = time.time() + 15
		while time.time() < deadline:
		    try:
		        with socket.create_connection((sys.argv[1], 443), timeout=0.02) as sock:
		            sock.sendall(greeting)
		            sock.settimeout(0.5)
		            if hello.verdict(sock.recv(7)) == "server-hello":
		                print(f"{time.time():.6f}")
		                break
		    except OSError:
		        pass
	EOF
}

# Kilobytes resident, of all mappings but those of packet memory and the drivers' rings.
resident() {
	awk '/^[0-9a-f]+-[0-9a-f]+ / { counted = $0 !~ /memfd:|hugepages|anon_inode|socket:/ }
	     /^Rss:/ && counted { total += $2 }
	     END { print total }' "/proc/$1/smaps"
}

# Clock ticks that a process has used.
ticks() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# Milliseconds of each of so many upgrades, as posternd measures them, the shortest first.
standstills() {
	local i
	for ((i = 0; i < $1; i++)); do
		ctl upgrade -o json | jq '.stalled_us / 100 | floor / 10'
		sleep 0.5
	done | sort -n
}

topology_up && servers_start || exit 1
in_ns client ping -c 1 -W 1 $BOX_WAN_V4 >/dev/null # fails: only to have asked for the address once
in_ns client bash -c "$(declare -f first_hello); first_hello $BOX_WAN_V4" >"$TOPOLOGY_DIR/reached" &
watcher=$!
sleep 0.5
started=$EPOCHREALTIME
postern_start || exit 1
wait "$watcher"
reached=$(cat "$TOPOLOGY_DIR/reached")

strip -o "$TOPOLOGY_DIR/stripped" "$BUILD/posternd"
before=$(ticks "$POSTERN_PID")
sleep $IDLE_SECONDS
after=$(ticks "$POSTERN_PID")
mapfile -t standstill < <(standstills $UPGRADES)

echo "posternd on $POSTERN_DRIVER, one worker, $(nproc) cores, Linux $(uname -r)"
figure "binary, stripped" "$(awk "BEGIN { printf \"%.1f\", $(stat -c %s "$TOPOLOGY_DIR/stripped") / 1e6 }")" MB "6 MB"
figure "resident, idle, without packet memory" "$(awk "BEGIN { printf \"%.1f\", $(resident "$POSTERN_PID") / 1e3 }")" MB "16 MB"
figure "from exec to the first ServerHello" "$(awk "BEGIN { printf \"%.2f\", $reached - $started }")" s "0.5 s"
figure "stand-still of an upgrade, median of $UPGRADES (best ${standstill[0]})" "${standstill[$((UPGRADES / 2))]}" ms "200 ms"
figure "share of a core, idle, over $IDLE_SECONDS s" \
	"$(awk "BEGIN { printf \"%.1f\", ($after - $before) / $(getconf CLK_TCK) / $IDLE_SECONDS * 100 }")" % "2 %"
