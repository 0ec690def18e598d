# SPDX-License-Identifier: Apache-2.0
# Connections that end here, with two workers, on AF_XDP and on AF_PACKET: each of either worker's, its two legs where their
# packets come by themselves or are handed over, and every byte compared. The world of path.sh, without its bad link.

scenario_bridge_workers() {
	local driver
	for driver in ${E2E_DRIVER:-af_xdp af_packet}; do
		E2E_DRIVER=$driver FEDERATION_FROM=path_bridged_federation postern_start "0, 1" || return 1
		bridge_workers "$driver"
		[ "$driver" = af_packet ] || postern_stop
	done
}

bridge_workers() {
	local on=$1 n
	n=$(count 1000)
	check "$on: endpoints answer" wait_for 5 path_curl 4-4 -o /dev/null @/hello
	check "$on: 50 MB down" transfer 4-4 down 1 50
	check "$on: 50 MB up" transfer 4-4 up 1 50
	check "$on: 20 downloads at once, IPv6 to IPv4" transfer 6-4 down 20 4
	check "$on: 20 uploads at once, IPv4 to IPv6" transfer 4-6 up 20 4
	check "$on: $n connections, 32 at a time" storm web4.shop.example "hello from a" -n "$n" -c 32
	check "$on: both workers have some" bridge_workers_share
	check "$on: none are left" wait_for 10 bridge_workers_idle
}

bridge_workers_share() {
	local status
	path_files 2 1
	path_curl 4-4 -Z --parallel-immediate --parallel-max 20 --limit-rate 1M -o /dev/null "@/path-2?[1-20]" &
	wait_for 4 bridge_workers_both
	status=$?
	wait $! && return $status
}

bridge_workers_both() {
	ctl flows --limit 0 -o json | jq -e '[.. | objects | select(.state? == "bridged") | .worker] | unique | length == 2'
}

bridge_workers_idle() {
	ctl status -o json | jq -e '[.workers[].flows] | add == 0'
}
