# SPDX-License-Identifier: Apache-2.0
# Linux's TCP over links that lose, reorder, repeat, corrupt and delay: every byte arrives, over IPv4 and IPv6 on either leg, and
# not much slower than without Postern. How much slower is for perf/lossy_bench.sh to say: here it is a tenth of the bytes,
# all at once, on a machine that has other things to do.

LOSSY_SLOWEST=4 # times as long as without Postern

scenario_lossy() {
	local link arguments
	path_up && FEDERATION_FROM=path_federation postern_start && path_settle || return 1
	check "the link keeps its own rules" "$BUILD/tests/e2e/shim" --self-test
	path_impair 1 delay=25
	check "25 ms each way are 50 ms" lossy_delay 50 52
	path_impair 1 loss=5
	check "what is lost was counted" lossy_count
	while read -r link _ _ arguments; do
		[ -z "$link" ] || lossy_link "$link" $arguments
	done <<<"$PATH_LINKS"
}

# The least round trip to the server's router, in ms.
lossy_delay() {
	local seen
	seen=$(in_ns client ping -c 20 -i 0.02 -q $ROUTER_LAN_V4 | sed -n 's,^rtt .* = \([0-9.]*\)/.*,\1,p')
	echo "$seen ms"
	awk -v seen="$seen" -v least="$1" -v most="$2" 'BEGIN { exit !(seen >= least && seen <= most) }'
}

# As many echoes came back as the link let through, but for a few frames of others (ARP); about 10 % of them were lost, one
# way or the other.
lossy_count() {
	local received passed
	received=$(in_ns client ping -c 2000 -f -q $ROUTER_LAN_V4 | sed -n 's/.* transmitted, \([0-9]*\) received.*/\1/p')
	passed=$(path_report | sed -n 's/^left .* sent=\([0-9]*\) .*/\1/p')
	echo "$received came back, $passed were let through"
	[ $((passed - received)) -ge 0 ] && [ $((passed - received)) -le 10 ] && [ "$received" -gt 1730 ] && [ "$received" -lt 1880 ]
}

# Everything at once, down and up, with and without Postern.
lossy_link() {
	local link=$1 megabytes=4 dir=$TOPOLOGY_DIR/lossy way direction jobs=()
	shift
	[ -z "${E2E_QUICK:-}" ] || megabytes=1
	rm -rf "$dir" && mkdir -p "$dir"
	path_files $megabytes 2
	path_impair 1 $PATH_BASE "$@" || return 1
	for direction in down up; do
		for way in $PATH_WAYS bare4 bare6; do
			transfer "$way" $direction 2 $megabytes >"$dir/$way-$direction" 2>"$dir/$way-$direction.error" &
			jobs+=("$!")
		done
	done
	wait "${jobs[@]}"
	for direction in down up; do
		check "$link, $direction: all bytes over $PATH_WAYS" lossy_whole "$dir" $direction
	done
	check "$link: no slower than a ${LOSSY_SLOWEST}th" lossy_rate "$dir" "bare?"
	check "$link: nothing lost by the link that wasn't to be" lossy_honest
}

lossy_whole() {
	local way failed=0
	for way in $PATH_WAYS; do
		[ -s "$1/$way-$2" ] && continue
		echo "$way: $(cat "$1/$way-$2.error")"
		failed=1
	done
	return $failed
}

# lossy_mean FILE…: the mean of the numbers in them.
lossy_mean() {
	cat "$@" | awk '{ total += $1 } END { printf "%.3f", NR == 0 ? 0 : total / NR }'
}

# lossy_rate DIR WAYS: Postern's ways beside those, a pattern.
lossy_rate() {
	local through beside
	through=$(lossy_mean "$1"/?-?-down "$1"/?-?-up)
	# shellcheck disable=SC2086 # a pattern
	beside=$(lossy_mean "$1"/$2-down "$1"/$2-up)
	echo "$through Mbit/s a connection, $beside by $2"
	awk -v through="$through" -v beside="$beside" -v most=$LOSSY_SLOWEST 'BEGIN { exit !(beside > 0 && through * most >= beside) }'
}

lossy_honest() {
	local report
	report=$(path_report)
	echo "$report"
	[ "$(grep -c 'overrun=0 refused=0$' <<<"$report")" = 2 ]
}
