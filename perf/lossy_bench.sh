#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Linux's TCP over bad links, through Postern and, the same transfers over the same links, through a router in its place
# (tests/e2e/path.sh). The two take turns; medians of PATH_REPEAT turns. Every byte of every transfer is compared. posternd has
# real-time priority, since the router's forwarding in the kernel waits for no process either, and a gateway has a core of its own;
# clients and servers go before all else on the machine, or it would be their waiting that is measured.
#
# With PATH_BRIDGED set connections end at Postern, and it is our TCP that is at the bad link: sending there on the way down,
# receiving on the way up. It is measured by what else ends connections in that place, HAProxy on the router with Linux's TCP:
# a connection that ends there has the bad link to itself, and not all of the path, and the TLS at both is the same. HAProxy
# has real-time priority as well. The router without HAProxy takes its turns beside them.
# Usage: make bench-lossy, make bench-lossy-bridged; PATH_NAMES and PATH_ONLY pick links and ways, PATH_CONGESTION=bbr
# another congestion control.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/e2e/topology.sh
. tests/e2e/servers.sh
. tests/e2e/postern.sh
. tests/e2e/path.sh

REPEAT=${PATH_REPEAT:-5}
BRIDGED=${PATH_BRIDGED:+proxy}
WAYS=${PATH_ONLY:-${BRIDGED:+4-4 6-6}}
WAYS=${WAYS:-$PATH_WAYS}
BIG_MB=1
FAILED=0

# spread FILE: the median of its numbers, and the least and the most.
spread() {
	sort -g "$1" | awk '{ v[NR] = $1 } END { printf "%.2f %.2f %.2f\n", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2, v[1], v[NR] }'
}

# once LINK WAY DOWN-OR-UP N MEGABYTES
once() {
	local file=$TOPOLOGY_DIR/rates-$1-$2-$3
	transfer "${@:2}" >>"$file" || {
		echo "FAILED: $*" >&2
		FAILED=$((FAILED + 1))
	}
}

# row LINK WAY DOWN-OR-UP: the figures of each, and Postern's by those of what takes its place.
row() {
	local rates=$TOPOLOGY_DIR/rates-$1 way
	for way in "bare${2%-*}" ${BRIDGED:+"proxy$2"} "$2"; do
		spread "$rates-$way-$3"
	done | awk -v head="$(printf '%-11s %-4s %-5s' "$1" "$2" "$3")" '
		BEGIN { printf "%s", head }
		{ printf " %8.2f %15s", $1, "(" $2 ".." $3 ")"; before = last; last = $1 }
		END { printf " %6.2f\n", last / before }'
}

link_measure() {
	local link=$1 n=$2 megabytes=$3 turn direction way
	shift 3
	for ((turn = 1; turn <= REPEAT; turn++)); do
		path_impair "$turn" $PATH_BASE "$@" || exit 1
		for direction in down up; do
			for way in $BESIDE $WAYS; do
				once "$link" "$way" "$direction" "$n" "$megabytes"
			done
		done
		path_report | grep -E 'overrun=[1-9]|refused=[1-9]'
	done
	for direction in down up; do
		for way in $WAYS; do
			row "$link" "$way" "$direction"
		done
	done
}

renice -n -19 -p $$ >/dev/null || exit 1
BESIDE=$(for way in $WAYS; do echo "bare${way%-*}"; echo "${BRIDGED:+proxy$way}"; done | sort -u)
topology_up && servers_start && path_up || exit 1
FEDERATION_FROM=path_${BRIDGED:+bridged_}federation postern_start && path_settle || exit 1
for pid in $POSTERN_PID $PATH_PROXY; do chrt --all-tasks --fifo --pid 1 "$pid" || exit 1; done
echo "goodput of one connection, Mbit/s: median (least..most) of $REPEAT runs; posternd on $POSTERN_DRIVER, Linux $(uname -r), ${PATH_CONGESTION:-cubic}"
printf '%-11s %-4s %-5s' link way to
printf ' %24s' 'bare path' ${BRIDGED:+'through HAProxy'} 'through Postern'
printf ' %6s\n' ratio
while read -r link arguments; do
	[[ -z $link || " ${PATH_NAMES:-$link} " != *" $link "* ]] || link_measure "$link" $arguments
done <<<"$PATH_LINKS"
[ "$FAILED" = 0 ]
