# SPDX-License-Identifier: Apache-2.0
# 500 MB down and up, byte for byte, over IPv4 and IPv6 on either leg. The certificate is the workload's: nobody in the
# middle could have shown it.

scenario_passthrough() {
	local way address host
	postern_start || return 1
	for way in "IPv4:$BOX_V4 web4" "IPv6:$BOX_V6 web6" "IPv4 to IPv6:$BOX_V4 web6" "IPv6 to IPv4:$BOX_V6 web4"; do
		read -r address host <<<"${way#*:}"
		host=$host.shop.example
		way="$BIG_MB MB, ${way%%:*}"
		check_is "$way, down" "$BIG_SHA256" "$(fetch "$address" "$host" "https://$host/big" | sha256sum | cut -d' ' -f1)"
		check_is "$way, up" 201 "$(fetch "$address" "$host" -T "$TOPOLOGY_DIR/files/big" -w '%{http_code}' "https://$host/upload/big")"
		check_is "$way, up: what arrived" "$BIG_SHA256" "$(sha256sum "$TOPOLOGY_DIR/nginx-a/upload/big" | cut -d' ' -f1)"
		rm -f "$TOPOLOGY_DIR/nginx-a/upload/big"
	done
}
