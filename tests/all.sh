#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# make test: every stage after another, the cheap ones first, all of them even when one fails. Checks are the lines
# "ok …" and "not ok …" that the stages print; a stage that fails without such a line (a file that doesn't compile) is
# itself a failed check. Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
make=${MAKE:-make}
unset MAKEFLAGS MFLAGS MAKELEVEL # each stage is a make of its own, with as many jobs as there are cores
jobs=$(nproc)
logs=$build/test
mkdir -p "$logs"
passed=0 failed=0

# stage NAME MAKE-ARGUMENT…
stage() {
	local name=$1 log=$logs/$1.log started=$SECONDS status good bad
	shift
	echo "=== $name"
	"$make" --no-print-directory -k "BUILD=$build" "$@" </dev/null 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	good=$(grep -c '^ok ' "$log")
	bad=$(grep -c '^not ok ' "$log")
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		echo "not ok $name: make ended with $status"
		bad=1
	elif [ "$status" -eq 0 ] && [ "$good" -eq 0 ]; then
		echo "ok $name"
		good=1
	fi
	echo "=== $name: $good passed, $bad failed, $((SECONDS - started)) s"
	passed=$((passed + good)) failed=$((failed + bad))
}

sh platform/dependencies.sh build test lint || exit 1
stage build -j"$jobs" all
stage unit -j"$jobs" unit
# In their short form: "make e2e" alone is the long one.
E2E_QUICK=1 stage e2e -j"$jobs" e2e
stage sim sim-check sim-day-check sim-lwip sim-faults
stage asan -j"$jobs" asan
stage lint -j"$jobs" lint
stage fuzz -j2 fuzz FUZZ_SECONDS=30

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
