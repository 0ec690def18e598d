# SPDX-License-Identifier: Apache-2.0
# Bridging among those who mean it ill, or are slow, many, or broken: memory is bounded, each end has its reason, and the
# others are served. The world of bridge.sh.
. tests/e2e/scenarios/bridge.sh

abuse_figures() {
	echo "    $1: RSS $(abuse_rss) KiB, bridges $(abuse_bridges), buffers short $(dropped packet_pool_empty)"
}

abuse_rss() {
	awk '/^VmRSS/ { print $2 }' "/proc/$POSTERN_PID/status"
}

abuse_rss_below() {
	[ "$(abuse_rss)" -le "$1" ]
}

abuse_joined() {
	ctl status -o json | jq .bridging.sessions.joined
}

abuse_bridges() {
	ctl status -o json | jq .tables.bridges.used
}

# abuse_legit_begin [OPTION…]: legitimate clients, one after the other, until abuse_legit_end.
abuse_legit_begin() {
	local log=$TOPOLOGY_DIR/legit
	: >"$log"
	touch "$TOPOLOGY_DIR/legit.on"
	(
		while [ -e "$TOPOLOGY_DIR/legit.on" ]; do
			bridge_curl nginx /whoami --http1.1 -o /dev/null -w '%{http_code} %{time_total}\n' "$@" >>"$log" 2>&1
		done
	) &
	ABUSE_LEGIT=$!
}

# abuse_legit_end NAME: none of them failed, and there were some.
abuse_legit_end() {
	local bad good longest
	rm "$TOPOLOGY_DIR/legit.on"
	wait $ABUSE_LEGIT
	good=$(grep -c '^200 ' "$TOPOLOGY_DIR/legit")
	bad=$(grep -cv '^200 ' "$TOPOLOGY_DIR/legit")
	longest=$(sed -n 's/^200 //p' "$TOPOLOGY_DIR/legit" | sort -g | tail -n 1)
	if [ "$bad" = 0 ] && [ "$good" -gt 0 ]; then passes "$1: $good legitimate clients meanwhile, the slowest took $longest s"; else
		fails "$1: legitimate clients" "$good served, $bad not: $(grep -v '^200 ' "$TOPOLOGY_DIR/legit" | sort | uniq -c | head -n 5)"
	fi
}

# abuse_hold VERB…: tls_rough.py in the background until abuse_release; waits until it says "idle N".
abuse_hold() {
	local fifo=$TOPOLOGY_DIR/hold.in
	ABUSE_LOG=$TOPOLOGY_DIR/hold.log
	rm -f "$fifo" "$ABUSE_LOG" && mkfifo "$fifo"
	in_ns client python3 tests/e2e/tls_rough.py "$@" <"$fifo" >"$ABUSE_LOG" 2>&1 &
	ABUSE_HOLD=$!
	exec 8>"$fifo"
	wait_for 100 grep -q '^idle' "$ABUSE_LOG"
}

abuse_release() {
	echo >&8
	exec 8>&-
	wait $ABUSE_HOLD
}

# All that is bridged is gone again.
abuse_quiet() {
	wait_for 20 abuse_none || fails "$1: all are gone" "$(abuse_bridges) bridges left"
}

abuse_none() {
	[ "$(abuse_bridges)" = 0 ]
}

# One address sends more than the handshake queue takes; those of another find their place in it.
abuse_hellos() {
	local n=2000 before shed timeouts
	shed=$(dropped tls_shed) timeouts=$(dropped tls_handshake_timeout)
	abuse_figures "before $n hellos"
	in_ns client ip addr replace 192.0.2.20/24 dev eth0
	abuse_legit_begin --interface 192.0.2.20
	# shellcheck disable=SC2046 # arguments
	echo "    $(rough hellos $n 14 $(bridge_to nginx.web.corp.example))" &
	sleep 3
	abuse_figures "during"
	wait $!
	abuse_legit_end "Q5: $n hellos at once from one address"
	in_ns client ip addr del 192.0.2.20/24 dev eth0
	abuse_quiet "hellos"
	abuse_figures "after"
	shed=$(($(dropped tls_shed) - shed)) timeouts=$(($(dropped tls_handshake_timeout) - timeouts))
	echo "    shed $shed, timed out $timeouts"
	check_is "Q5: each of them has its reason" $n $((shed + timeouts))
}

# Each costs 45 kB at most, both legs; and when they are gone, three quarters of that are given back within seconds.
ABUSE_IDLE_BYTES=45000
abuse_idle() {
	local n=${BRIDGE_IDLE:-$(count 10000)} before during each
	before=$(abuse_rss)
	abuse_legit_begin
	# shellcheck disable=SC2046
	abuse_hold idle "$n" $(bridge_to nginx.web.corp.example) || { fails "$n idle sessions" "$(cat "$ABUSE_LOG")"; return; }
	abuse_legit_end "$n idle sessions"
	during=$(abuse_rss)
	check_is "$n idle sessions" "idle $n $n" "$(cat "$ABUSE_LOG") $(abuse_joined)"
	each=$(((during - before) * 1024 / n))
	check "$n idle sessions: each takes $each bytes of RSS, both legs, packet buffers apart" [ $each -le $ABUSE_IDLE_BYTES ]
	abuse_figures "during"
	check_is "served beside them" spiffe://corp.example/vm/billing \
		"$(bridge_ask curl "$PKI/corp/billing-p256" "$PKI/corp/ca.crt" nginx.web.corp.example 8443)"
	abuse_release
	check_is "$n idle sessions: all were open to the end" "open $n" "$(tail -n 1 "$ABUSE_LOG")"
	abuse_quiet "idle sessions"
	check "$n idle sessions: their memory is given back" wait_for 15 abuse_rss_below $((before + (during - before) / 4))
	abuse_figures "after"
}

abuse_deaf() {
	local n=100 before
	before=$(abuse_rss)
	abuse_figures "before $n clients that never read"
	# shellcheck disable=SC2046
	abuse_hold deaf $n 100 $(bridge_to go.web.corp.example) || { fails "$n that never read" "$(cat "$ABUSE_LOG")"; return; }
	sleep 2
	abuse_legit_begin
	sleep 3
	abuse_figures "during"
	check "never reading: memory" [ $(($(abuse_rss) - before)) -lt 40000 ]
	abuse_legit_end "never reading"
	abuse_release
	abuse_quiet "never reading"
	abuse_figures "after"
}

abuse_mute() {
	local n=50 before
	start_bg a "$TOPOLOGY_DIR/mute.log" python3 tests/e2e/tls_rough.py mute 18510 "$PKI/b.example/server" "$PKI/b-trusts.pem"
	wait_for 20 port_open a 18510
	before=$(abuse_rss)
	abuse_figures "before $n that write to an endpoint that never reads"
	# shellcheck disable=SC2046
	abuse_hold flood $n $(bridge_to mute.web.corp.example) || { fails "an endpoint that never reads" "$(cat "$ABUSE_LOG")"; return; }
	abuse_legit_begin
	sleep 3
	abuse_figures "during"
	echo "    $(grep sent "$ABUSE_LOG") bytes went from each"
	check "an endpoint that never reads: memory" [ $(($(abuse_rss) - before)) -lt 40000 ]
	abuse_legit_end "an endpoint that never reads"
	abuse_release
	abuse_quiet "an endpoint that never reads"
	stop_bg "$STARTED_PID"
	abuse_figures "after"
}

abuse_slow() {
	local want got
	want=$(bridge_curl go /noise/8000000 --http1.1 | bridge_sum)
	# shellcheck disable=SC2046
	got=$(rough slow 8 20000 $(bridge_to go.web.corp.example))
	check_is "a client that reads slowly gets all" "n=8000000 sha256=$want closed" "$got"
}

abuse_chains() {
	local many
	for many in 20 60; do
		# shellcheck disable=SC2046
		bridge_refused "Q5: a chain of $many more" "tls_peer_malformed" chain_long '.*' rough long $many $(bridge_to nginx.web.corp.example)
	done
	# shellcheck disable=SC2046
	bridge_refused "Q5: a chain of 400 more" tls_handshake_too_large "" '.*' rough long 400 $(bridge_to nginx.web.corp.example)
}

# s_client asks for it when a line has an R alone.
abuse_renegotiate() {
	(sleep 1; echo R; sleep 2) | in_ns client timeout 20 openssl s_client -tls1_2 -connect $BOX_V4:8443 -servername nginx.web.corp.example \
		-cert "$PKI/corp/billing-p256/tls.crt" -key "$PKI/corp/billing-p256/tls.key" 2>&1 | grep -c -i 'no renegotiation'
}

abuse_broken() {
	local to version
	to=$(bridge_to nginx.web.corp.example)
	bridge_refused "Q6: renegotiation" tls_renegotiation "" '[1-9]' abuse_renegotiate
	for version in 1.2 1.3; do
		ROUGH="--tls $version"
		# shellcheck disable=SC2086 # arguments
		{
			bridge_refused "cut in the hello, TLS $version" client_closed "" '.*' rough cut hello $to
			bridge_refused "cut in a record, TLS $version" tls_record_truncated "" '.*' rough cut record $to
			bridge_refused "an alert for a hello, TLS $version" hello_not_tls "" 'closed' rough alert hello $to
			bridge_refused "an alert after the server's flight, TLS $version" tls_alert_received internal_error closed rough alert server $to
			# Our Finished of TLS 1.2 says that its last flight was there.
			bridge_refused "an alert in place of the last flight, TLS $version" "$([ $version = 1.2 ] && echo tls_record_bad || echo tls_alert_received)" \
				"$([ $version = 1.2 ] || echo internal_error)" closed rough alert finish $to
			bridge_refused "a bare alert among data, TLS $version" tls_record_bad "" 'closed' rough alert data $to
		}
	done
	ROUGH=
}

scenario_bridge_abuse() {
	local POSTERN_MEMORY="megabytes = 256; packets = 65536;"
	bridge_world || return 1
	abuse_idle # first, while the heap is new: what each takes is seen in it
	abuse_chains
	abuse_broken
	abuse_slow
	abuse_deaf
	abuse_mute
	abuse_hellos
}
