# SPDX-License-Identifier: Apache-2.0
# Two workers, each with flows of its own: what arrives at the wrong one is handed over.

scenario_workers() {
	local n
	n=$(count 4000)
	postern_start "0, 1" || return 1
	check "$n connections, 64 at a time" storm web4.shop.example "hello from a" -n "$n" -c 64
	check_is "$BIG_MB MB down" "$BIG_SHA256" \
		"$(fetch $BOX_V4 web4.shop.example https://web4.shop.example/big | sha256sum | cut -d' ' -f1)"
	check_is "$BIG_MB MB down, IPv6 to IPv4" "$BIG_SHA256" \
		"$(fetch $BOX_V6 web4.shop.example https://web4.shop.example/big | sha256sum | cut -d' ' -f1)"
	check "50 downloads at once" parallel_fetch 50 small 2M pair.shop.example "$TOPOLOGY_DIR"
}
