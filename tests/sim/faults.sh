#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Proves that the simulation's checks can fail: plants each fault of tests/sim/faults in a copy of one file, builds the
# simulation with it, and expects it to find a violation. Prints a line for each. Usage: faults.sh SEEDS OUTPUT-DIRECTORY. In the
# environment: SIM_COMPILE, which compiles "$source" into "$object", and SIM_LINK, which links "$object" before the rest into "$program".
set -uo pipefail
cd "$(dirname "$0")/../.."
seeds=$1 out=$2
mkdir -p "$out"
bad=0 number=0

while IFS= read -r line; do
	case $line in '#'* | '') continue ;; esac
	number=$((number + 1))
	object=$out/fault$number.o source=$out/fault$number.c program=$out/fault$number
	if ! what=$(python3 tests/sim/plant_fault.py "$line" "$source"); then
		echo "not ok sim-fault: '$line' can't be planted: $what"
		bad=1
		continue
	fi
	if ! eval "$SIM_COMPILE" >"$out/fault$number.log" 2>&1 || ! eval "$SIM_LINK" >>"$out/fault$number.log" 2>&1; then
		echo "not ok sim-fault $what: it doesn't compile; see $out/fault$number.log"
		bad=1
		continue
	fi
	if timeout 120 "$program" --seeds "$seeds" >"$out/fault$number.log" 2>&1; then
		echo "not ok sim-fault $what: not found in seeds $seeds"
		bad=1
	elif grep -q '^sim: seed' "$out/fault$number.log"; then
		echo "ok sim-fault $what: $(grep -m1 -o 'seed [0-9]*' "$out/fault$number.log")"
	else
		echo "not ok sim-fault $what: it ended without saying why; see $out/fault$number.log"
		bad=1
	fi
	rm -f "$program" "$object"
done <tests/sim/faults
exit $bad
