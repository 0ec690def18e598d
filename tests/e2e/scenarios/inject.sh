# SPDX-License-Identifier: Apache-2.0
# While two downloads go on, one over IPv4 and one over IPv6 on both legs, a stranger on each side who knows their addresses and ports
# sends forged RSTs over the whole sequence space, SYNs, ICMP errors, and claims that the client's or the endpoint's address is his. Both
# arrive whole, on the connections that they began on.

scenario_inject() {
	local dir=$TOPOLOGY_DIR/inject frames=45000 rate=6000 family pids=() attackers=() wan lan log
	postern_start || return 1
	inject_stranger || return 1
	mkdir -p "$dir"
	wan=$(inject_mac wan) lan=$(inject_mac lan)
	for family in 4 6; do
		local address=$BOX_V4 host=web$family.shop.example
		[ $family = 4 ] || address="[$BOX_V6]"
		start_bg client "$dir/curl$family.log" curl -sS --fail --max-time 60 --http1.1 --cacert "$CA" \
			--resolve "$host:443:$address" --limit-rate 800k -o "$dir/file$family" "https://$host/middle"
		pids+=("$STARTED_PID")
	done
	check "two connections are under way" wait_for 5 inject_flows 2
	while read -r client local_ out endpoint; do
		start_bg client "$dir/attack${#attackers[@]}" "$BUILD/tests/e2e/inject" eth0 "$wan" $frames $rate "$client" "$local_"
		attackers+=("$STARTED_PID")
		start_bg mallory "$dir/attack${#attackers[@]}" "$BUILD/tests/e2e/inject" eth0 "$lan" $frames $rate "$endpoint" "$out"
		attackers+=("$STARTED_PID")
	done < <(ctl flows --state spliced -o json | jq -r '.[] | "\(.client) \(.local) \(.out) \(.endpoint)"')
	check_is "four strangers attack them" 4 "${#attackers[@]}"
	for pid in "${attackers[@]}" "${pids[@]}"; do
		wait_for 40 process_gone "$pid" || fails "process $pid doesn't end" "$(cat "$dir"/attack* "$dir"/curl*)"
	done
	for log in "$dir"/attack*; do
		check "once round the sequence space: $(cat "$log")" grep -q "^$frames frames" "$log"
	done
	for family in 4 6; do
		check_is "the IPv$family download is whole" "$MIDDLE_SHA256" "$(sha256sum "$dir/file$family" | cut -d' ' -f1)"
	done
	for reason in tcp_window icmp_unmatched; do
		check "$reason was counted" [ "$(dropped $reason)" -gt 1000 ]
	done
	check_is "no connection was reset" 0 "$(($(dropped reset_by_client) + $(dropped reset_by_endpoint)))"
	check_is "a new connection passes" "hello from a" "$(fetch $BOX_V4 web4.shop.example https://web4.shop.example/hello)"
	rm -rf "$dir"
}

inject_flows() {
	[ "$(ctl flows --state spliced -o json | jq length)" = "$1" ]
}

inject_mac() {
	ip -n "$(ns box)" -j link show "$1" | jq -r '.[0].address'
}

# A host of the endpoints' network that nobody talks to.
inject_stranger() {
	TOPOLOGY_NAMES+=(mallory)
	ip netns add "$(ns mallory)" && link lan to-mallory mallory eth0 && ip -n "$(ns lan)" link set to-mallory master bridge
}
