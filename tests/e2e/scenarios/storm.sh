# SPDX-License-Identifier: Apache-2.0
# 20,000 short connections one after another, then 64 at a time: not one may fail, and none may be left behind.

scenario_storm() {
	local n
	n=$(count 20000)
	postern_start || return 1
	check "$n connections, one after another" storm web4.shop.example "hello from a" -n "$n"
	check "$n connections, 64 at a time" storm web4.shop.example "hello from a" -n "$n" -c 64
	check "no flow is left after they closed" no_flows_soon
}

no_flows_soon() {
	wait_for 30 no_flows && return
	ctl flows
	return 1
}

# A connection that ends by a RST leaves its record to the idle time-out when that very packet is lost, since nobody repeats a
# RST: one in ten thousand may.
no_flows() {
	[ "$(ctl flows -o json | jq 'map(select(.state != "probing")) | length')" -le 4 ]
}
