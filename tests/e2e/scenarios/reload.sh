# SPDX-License-Identifier: Apache-2.0
# 200 reloads in a row while 50 downloads run and new connections come: none is disturbed. A broken file is refused with
# every error listed, and changes nothing.

scenario_reload() {
	local dir=$TOPOLOGY_DIR/reload n=200 downloads newcomers before
	postern_start || return 1
	mkdir -p "$dir"

	parallel_fetch 50 middle 1M web4.shop.example "$dir" >"$TOPOLOGY_DIR/downloads.log" 2>&1 &
	downloads=$!
	storm web6.shop.example "hello from a" -n 400 -c 2 >"$TOPOLOGY_DIR/newcomers.log" 2>&1 &
	newcomers=$!
	wait_for 5 flows_at_least 50
	check "$n reloads, each with another file" reload_often $n
	check_is "downloads still running at the last reload" yes "$(kill -0 $downloads 2>/dev/null && echo yes)"
	ended "new connections meanwhile" $newcomers "$TOPOLOGY_DIR/newcomers.log"
	ended "50 downloads" $downloads "$TOPOLOGY_DIR/downloads.log"
	check_is "all of them whole" "50 $MIDDLE_SHA256" "$(whole_files "$dir")"
	rm -rf "$dir"

	before=$(ctl services)
	{ federation; broken_documents; } >"$FEDERATION"
	check_is "a broken file is refused" refused "$(ctl reload >"$TOPOLOGY_DIR/errors" 2>&1 || echo refused)"
	check_is "all its errors are listed" 3 "$(grep -cE 'federation.yaml:[0-9]+:[0-9]+: error PN[0-9]{4}: ' "$TOPOLOGY_DIR/errors")"
	check_is "nothing has changed" "$before" "$(ctl services)"
	check "connections pass as before" storm web4.shop.example "hello from a" -n 20
	federation >"$FEDERATION"
	check "the mended file is taken" ctl reload
}

# Between two files that differ by a service; each is moved into place, so that no half of one is ever read.
reload_often() {
	local i dir=$TOPOLOGY_DIR/postern
	federation >"$dir/less"
	{ federation; service extra.shop.example 8443 1s $B_V4; } >"$dir/more"
	for ((i = 1; i <= $1; i += 2)); do
		cp "$dir/more" "$dir/next" && mv "$dir/next" "$FEDERATION" && ctl reload || return 1
		cp "$dir/less" "$dir/next" && mv "$dir/next" "$FEDERATION" && ctl reload || return 1
	done
}

# Three faults: a field that isn't, an address that is none, a route to nowhere.
broken_documents() {
	service broken.shop.example 8443 1s 198.51.100.999 | sed 's/location:/locatoin:/; s/{ host: broken.shop.example, port/{ host: gone.shop.example, port/'
}

flows_at_least() {
	[ "$(ctl flows -o json | jq length)" -ge "$1" ]
}
