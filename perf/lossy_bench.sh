#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Linux's TCP over bad links, through Postern and, the same transfers over the same links, through a router in its place
# (tests/e2e/path.sh). The two take turns; medians of PATH_REPEAT turns. Every byte of every transfer is compared. posternd has
# real-time priority, since the router's forwarding in the kernel waits for no process either, and a gateway has a core of its own;
# clients and servers go before all else on the machine, or it would be their waiting that is measured.
# Usage: make bench-lossy; PATH_NAMES and PATH_ONLY pick links and ways, PATH_CONGESTION=bbr another congestion control.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/e2e/topology.sh
. tests/e2e/servers.sh
. tests/e2e/postern.sh
. tests/e2e/path.sh

REPEAT=${PATH_REPEAT:-5}
WAYS=${PATH_ONLY:-$PATH_WAYS}
BIG_MB=1
FAILED=0

# spread FILE: the median of its numbers, and the least and the most.
spread() {
	sort -g "$1" | awk '{ v[NR] = $1 } END { printf "%.2f %.2f %.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2, v[1], v[NR] }'
}

# once LINK WAY DOWN-OR-UP N MEGABYTES
once() {
	local file=$TOPOLOGY_DIR/rates-$1-$2-$3
	transfer "${@:2}" >>"$file" || {
		echo "FAILED: $*" >&2
		FAILED=$((FAILED + 1))
	}
}

# row LINK WAY DOWN-OR-UP
row() {
	local through bare rates=$TOPOLOGY_DIR/rates-$1
	through=$(spread "$rates-$2-$3")
	bare=$(spread "$rates-bare${2%-*}-$3")
	awk -v link="$1" -v way="$2" -v direction="$3" '{
		printf "%-11s %-4s %-5s %8.2f (%.2f..%.2f) %8.2f (%.2f..%.2f) %6.2f\n", link, way, direction, $4, $5, $6, $1, $2, $3, $1 / $4
	}' <<<"$through $bare"
}

link_measure() {
	local link=$1 n=$2 megabytes=$3 turn direction way
	shift 3
	for ((turn = 1; turn <= REPEAT; turn++)); do
		path_impair "$turn" $PATH_BASE "$@" || exit 1
		for direction in down up; do
			for way in ${BARE_WAYS} $WAYS; do
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
BARE_WAYS=$(for way in $WAYS; do echo "bare${way%-*}"; done | sort -u)
topology_up && servers_start && path_up || exit 1
FEDERATION_FROM=path_federation postern_start && path_settle && chrt --all-tasks --fifo --pid 1 "$POSTERN_PID" || exit 1
echo "goodput of one connection, Mbit/s: median (least..most) of $REPEAT runs; posternd on $POSTERN_DRIVER, Linux $(uname -r), ${PATH_CONGESTION:-cubic}"
printf '%-11s %-4s %-5s %22s %22s %6s\n' link way to 'bare path' 'through Postern' ratio
while read -r link arguments; do
	[[ -z $link || " ${PATH_NAMES:-$link} " != *" $link "* ]] || link_measure "$link" $arguments
done <<<"$PATH_LINKS"
[ "$FAILED" = 0 ]
