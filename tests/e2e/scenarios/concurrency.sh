# SPDX-License-Identifier: Apache-2.0
# 200 connections at once, each a slow megabyte, spread over two endpoints; each arrives whole.

scenario_concurrency() {
	local dir=$TOPOLOGY_DIR/concurrency n=200
	postern_start || return 1
	mkdir -p "$dir"
	truncate -s 0 "$TOPOLOGY_DIR"/nginx-{a,b}/access.log
	check "$n downloads at once" parallel_fetch $n small 500k pair.shop.example "$dir"
	check_is "all of them whole" "$n $SMALL_SHA256" "$(whole_files "$dir")"
	check_is "each on a connection of its own" $n \
		"$(cat "$TOPOLOGY_DIR"/nginx-{a,b}/access.log | grep -c ' HTTP/1.1 .* 200$')"
	check_is "both endpoints took half" "$((n / 2)) $((n / 2))" \
		"$(wc -l <"$TOPOLOGY_DIR/nginx-a/access.log") $(wc -l <"$TOPOLOGY_DIR/nginx-b/access.log")"
	rm -rf "$dir"
}
