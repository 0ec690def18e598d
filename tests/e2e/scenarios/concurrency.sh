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
	# Round robin, but for a SYN that the busy machine answered too late: it is tried elsewhere.
	check "both endpoints took half, give or take a twentieth" \
		about "$(wc -l <"$TOPOLOGY_DIR/nginx-a/access.log")" $((n / 2)) $((n / 20))
	rm -rf "$dir"
}

# about GOT WANT BY: |GOT - WANT| <= BY
about() {
	echo "got $1, wanted $2, by $3 at most"
	[ $(($1 - $2)) -le "$3" ] && [ $(($2 - $1)) -le "$3" ]
}
