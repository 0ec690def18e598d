# SPDX-License-Identifier: Apache-2.0
# Our own TCP against Linux's over a link that loses, reorders, repeats and corrupts: both ways, over IPv4 and IPv6, every byte
# compared, and not much slower than HAProxy in the same place. How much slower is for perf/lossy_bench.sh to say, as in lossy.sh.
. tests/e2e/scenarios/lossy.sh

LOSSY_BRIDGED_LINK="delay=10 rate=100 queue=30 loss=2 reorder=2 late=5 duplicate=2 corrupt=1"

scenario_lossy_bridged() {
	local dir=$TOPOLOGY_DIR/lossy way direction jobs=()
	PATH_BRIDGED=1 path_up && FEDERATION_FROM=path_bridged_federation postern_start && path_settle || return 1
	rm -rf "$dir" && mkdir -p "$dir"
	path_files 1 2
	# Keys with their values, each an argument.
	# shellcheck disable=SC2086
	path_impair 1 $LOSSY_BRIDGED_LINK || return 1
	for direction in down up; do
		for way in $PATH_WAYS proxy4-4 proxy6-6; do
			transfer "$way" $direction 2 1 >"$dir/$way-$direction" 2>"$dir/$way-$direction.error" &
			jobs+=("$!")
		done
	done
	wait "${jobs[@]}"
	for direction in down up; do
		check "$direction: all bytes over $PATH_WAYS" lossy_whole "$dir" $direction
	done
	check "no slower than a ${LOSSY_SLOWEST}th" lossy_rate "$dir" "proxy?-?"
	check "nothing lost by the link that wasn't to be" lossy_honest
}
