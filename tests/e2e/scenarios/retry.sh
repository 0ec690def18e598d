# SPDX-License-Identifier: Apache-2.0
# Two endpoints, one of them a hole that swallows SYNs: every connection succeeds within connectTimeout (500 ms) and a
# round trip, the client none the wiser. Both down: a named refusal. One of two killed: the other takes all.

scenario_retry() {
	local n pid
	n=$(count 200)
	postern_start || return 1
	# 250 ms more for the round trip: the TLS handshakes of 8 at a time on a machine with two cores.
	check "one of two is a hole: $n connections" storm half.shop.example "hello from a" -n "$n" -c 8 -m 750
	check "the same over IPv6" storm half6.shop.example "hello from a" -n "$n" -c 8 -m 750
	refused "both are holes" reset connect_timeout at_most 1.5 hello_to hole.shop.example
	refused "both refuse" reset connect_refused at_most 1 hello_to closed.shop.example

	pid=$(cat "$TOPOLOGY_DIR/nginx-b/pid")
	kill -TERM "$pid" && wait_for 5 process_gone "$pid"
	check "one of two was killed: $n connections" storm pair.shop.example "hello from a" -n "$n" -c 8
	check "b comes back" nginx_start b
}

hello_to() {
	in_ns client python3 tests/e2e/hello.py --sni "$1" --timeout 10 $BOX_V4 443
}

# at_most SECONDS COMMAND…: prints what the command does, or how long it took when that was longer.
at_most() {
	local limit=$1 started took
	shift
	started=$(date +%s%N)
	"$@"
	took=$((($(date +%s%N) - started) / 1000000))
	[ "$took" -le "$(awk "BEGIN { print int($limit * 1000) }")" ] || echo "after $took ms"
}
