#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the scenarios of tests/e2e/scenarios (all, or those named) in a world of network namespaces. One line for each
# check, "ok …" or "not ok …" with what was seen; a count at the end; status 1 when one failed. E2E_QUICK=1 shrinks
# transfers and counts to a tenth.
#
#   check NAME COMMAND…            the command must succeed
#   check_is NAME WANT GOT         the two texts must be the same
#   count FULL                     FULL, or a tenth of it with E2E_QUICK
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/e2e/topology.sh
. tests/e2e/servers.sh
. tests/e2e/postern.sh
. tests/e2e/path.sh
. tests/e2e/pki.sh
. tests/e2e/peers/peers.sh

PASSED=0 FAILED=0 SCENARIO=

passes() {
	PASSED=$((PASSED + 1))
	echo "ok $SCENARIO: $1"
}

fails() {
	FAILED=$((FAILED + 1))
	echo "not ok $SCENARIO: $1"
	sed 's/^/    /' <<<"$2"
}

check() {
	local name=$1 seen
	shift
	if seen=$("$@" 2>&1); then passes "$name"; else fails "$name" "$seen"; fi
}

check_is() {
	if [ "$2" = "$3" ]; then passes "$1"; else fails "$1" "wanted: $2"$'\n'"    got: $3"; fi
}

count() {
	echo $(($1 / (${E2E_QUICK:+9} + 1)))
}

# The gateway as the client sees it: for curl and for the others.
BOX_V4=$BOX_WAN_V4 BOX_V6=$BOX_WAN_V6

# fetch ADDRESS HOST CURL-ARGUMENT…: curl in the client's namespace, to HOST through the gateway's ADDRESS.
fetch() {
	local address=$1 host=$2
	shift 2
	[[ $address != *:* ]] || address="[$address]"
	in_ns client curl -sS --max-time 120 --cacert "$CA" --resolve "$host:443:$address" "$@"
}

# storm HOST REPLY ARGUMENT…: tls_storm to HOST through the gateway.
storm() {
	local host=$1 reply=$2
	shift 2
	in_ns client "$BUILD/tests/e2e/tls_storm" -s "$host" -a "$CA" -e "$reply"$'\n' "$@" $BOX_V4 443 /hello
}

# parallel_fetch N FILE RATE HOST DIR: N downloads at once, each on its own connection and no faster than RATE, into DIR.
parallel_fetch() {
	fetch $BOX_V4 "$4" -Z --parallel-immediate --parallel-max "$1" --http1.1 --fail --limit-rate "$3" --no-progress-meter \
		-o "$5/file#1" "https://$4/$2?[1-$1]"
}

# whole_files DIR: "N SHA256" for each different content in it.
whole_files() {
	sha256sum "$1"/file* | cut -d' ' -f1 | sort | uniq -c | sed 's/^ *//'
}

scenario_run() {
	local started=$SECONDS
	SCENARIO=$1
	. "tests/e2e/scenarios/$1.sh"
	local failed_before=$FAILED
	if "scenario_$1"; then :; else fails "could not run to its end" "$(tail -n 20 "$POSTERN_DIR/log")"; fi
	if [ "$FAILED" -gt "$failed_before" ] && [ -s "$POSTERN_DIR/log" ]; then
		echo "    posternd's last words that are not its access log:"
		grep -v '"scope":"access"' "$POSTERN_DIR/log" | tail -n 10 | sed 's/^/    /'
		echo "    and the connections that failed last:"
		grep '"message":"connection failed"' "$POSTERN_DIR/log" | tail -n 5 | sed 's/^/    /'
	fi
	check "posternd is still alive" alive
	postern_stop
	path_down
	echo "--- $1: $((SECONDS - started)) s on ${POSTERN_DRIVER:-no driver}"
}

# refused NAME WANT REASON COMMAND…: the command must print a word that the pattern WANT matches, and REASON be counted
# once more. REASON - stands for none.
refused() {
	local name=$1 want=$2 reason=$3 before got after
	shift 3
	[ "$reason" = - ] || before=$(dropped "$reason")
	got=$("$@" 2>&1)
	if ! [[ $got =~ ^($want)$ ]]; then
		fails "$name" "wanted: $want"$'\n'"got: $got"
	elif [ "$reason" != - ] && ! wait_for 2 counted "$reason" $((before + 1)); then
		after=$(dropped "$reason")
		fails "$name" "ended in $got as it should, but $reason went from $before to $after; all that is counted:"$'\n'"$(ctl drops)"
	else
		passes "$name"
	fi
}

counted() {
	[ "$(dropped "$1")" = "$2" ]
}

# ended NAME PID LOG: a process in the background must have succeeded.
ended() {
	if wait "$2"; then passes "$1"; else fails "$1" "$(tail -n 20 "$3")"; fi
}

alive() {
	! process_gone "$POSTERN_PID" && ctl status
}

SCENARIOS=("$@")
if [ "$#" = 0 ]; then
	SCENARIOS=(passthrough concurrency versions istio hellos retry reload storm attack inject workers bridge bridge_refusals
		identities lossy lossy_bridged bridge_workers matrix crash)
	# Peers among themselves; and what has to be waited for, or takes the machine's whole attention.
	[ -n "${E2E_QUICK:-}" ] || SCENARIOS+=(peers bridge_life bridge_abuse identities_life)
fi
for name in "${SCENARIOS[@]}"; do
	[ -r "tests/e2e/scenarios/$name.sh" ] || { echo "run.sh: no scenario $name" >&2; exit 2; }
done

topology_up && servers_start || { echo "not ok topology: the test world could not be built"; exit 1; }
for name in "${SCENARIOS[@]}"; do
	scenario_run "$name"
done
if [ "$#" = 0 ]; then
	SCENARIO=demo
	check "every step shows what it tells" tests/e2e/demo.sh
fi
echo "e2e: $PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
