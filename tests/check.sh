#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs one check and says how it went: "ok NAME", or "not ok NAME" with the end of what it printed. tests/all.sh counts
# these lines. Usage: check.sh NAME LOGFILE COMMAND…
name=$1 log=$2
shift 2
mkdir -p "$(dirname "$log")"
if "$@" </dev/null >"$log" 2>&1; then
	echo "ok $name"
else
	status=$?
	{
		echo "not ok $name: '$1' ended with $status; the last lines of $log:"
		tail -n 60 "$log" | sed 's/^/    /'
	}
	exit 1
fi
