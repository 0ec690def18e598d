# SPDX-License-Identifier: Apache-2.0
# Life of a bridged connection after its handshake: bulk both ways, what a change of trust or policy ends, and that our
# own rotation ends nothing. The world of identities.sh.
. tests/e2e/scenarios/identities.sh

# life_slow LOG: a download that takes long, over one legacy connection; SLOW_PID is curl's.
life_slow() {
	local corp=$PKI/corp
	rm -f "$1.body"
	start_bg client "$1" curl -sS --max-time 60 --limit-rate 200k --cert "$corp/billing-p256/tls.crt" \
		--key "$corp/billing-p256/tls.key" --cacert "$corp/ca.crt" --resolve "web.corp.example:443:$BOX_V4" \
		-o "$1.body" https://web.corp.example/noise/4000000
	SLOW_PID=$STARTED_PID
	wait_for 10 test -s "$1.body"
}

# life_ended NAME REASON COMMAND…: the command must have a slow download ended within a second, for this reason. curl, which
# sleeps to be slow, hears of it when it wakes.
life_ended() {
	local name=$1 reason=$2 before began
	shift 2
	before=$(dropped "$reason")
	life_slow "$TOPOLOGY_DIR/slow" || { fails "$name" "no download"; return; }
	"$@" || { fails "$name" "could not be tried"; return; }
	began=$(date +%s%3N)
	wait_for 2 counted "$reason" $((before + 1))
	began=$(($(date +%s%3N) - began))
	if ! counted "$reason" $((before + 1)); then
		fails "$name" "$reason: $before, now $(dropped "$reason")"
	elif ! wait_for 15 process_gone "$SLOW_PID" || wait "$SLOW_PID"; then
		fails "$name" "it was counted, and curl goes on, or ended well"
	elif [ $began -gt 1000 ]; then
		fails "$name: in time" "$began ms"
	else
		passes "$name: within $began ms"
	fi
	stop_bg "$SLOW_PID"
}

# A file of the federation is replaced as editors do, in one step.
life_replace() {
	cat >"$1.new" && mv "$1.new" "$1"
}

life_revoke() {
	{ pki_revoke "$PKI/corp" "$PKI/corp/billing-revoked/tls.crt" "$PKI/corp/billing-p256/tls.crt" &&
		pki_revoke "$PKI/corp/intermediate-1" && pki_revoke "$PKI/corp/intermediate-2"; } | life_replace "$PKI/corp/corp.crl"
}

life_pardon() {
	{ pki_revoke "$PKI/corp" "$PKI/corp/billing-revoked/tls.crt" &&
		pki_revoke "$PKI/corp/intermediate-1" && pki_revoke "$PKI/corp/intermediate-2"; } | life_replace "$PKI/corp/corp.crl"
}

life_withdraw() {
	identities_federation | sed 's|ids.example/vm/billing, ||' | life_replace "$FEDERATION" && ctl reload >/dev/null
}

life_unmap() {
	identities_federation | sed '/dns: billing.corp.example/d' | life_replace "$FEDERATION" && ctl reload >/dev/null
}

# The web server's certificate and key are others; what curl is reading goes on, and who comes next sees the new ones.
life_rotate() {
	local dir=$TOPOLOGY_DIR/postern/credentials/web-p256 before after
	life_slow "$TOPOLOGY_DIR/slow" || { fails "rotation: a download" "didn't begin"; return; }
	before=$(life_serial)
	pki_leaf "$PKI/rotated" "$PKI/corp" p256 7 "subjectAltName=critical,DNS:web.corp.example" || return
	cp "$PKI/rotated/tls.crt" "$dir/tls.crt" # the key comes later: the pair between isn't used
	sleep 2
	check_is "rotation: half of a pair changes nothing" "$before" "$(life_serial)"
	cp "$PKI/rotated/tls.key" "$dir/tls.key"
	after=$(pki_serial "$PKI/rotated/tls.crt")
	check "rotation: the new pair is shown" wait_for 5 life_shows "$after"
	check "rotation: the download goes on" life_alive
	stop_bg "$SLOW_PID"
}

life_serial() {
	in_ns client openssl s_client -connect "$BOX_V4:443" -servername web.corp.example -cert "$PKI/corp/billing-p256/tls.crt" \
		-key "$PKI/corp/billing-p256/tls.key" </dev/null 2>/dev/null | openssl x509 -noout -serial | cut -d= -f2
}

life_shows() {
	[ "$(life_serial)" = "$1" ]
}

# Its body still grows.
life_alive() {
	! process_gone "$SLOW_PID" && wait_for 10 life_grown "$(stat -c %s "$TOPOLOGY_DIR/slow.body")" && ! process_gone "$SLOW_PID"
}

life_grown() {
	[ "$(stat -c %s "$TOPOLOGY_DIR/slow.body")" -gt "$1" ]
}

scenario_identities_life() {
	local corp bytes want
	identities_world || return 1
	corp=$PKI/corp
	bytes=$(count 200000000)
	check_is "$bytes bytes down" "$bytes" "$(get_curl client "$corp/billing-p256" "$corp/ca.crt" web.corp.example $BOX_V4 443 \
		"/noise/$bytes" | wc -c)"
	noise "$TOPOLOGY_DIR/upload" "$((bytes / 1000000))"
	want=$(sha256sum "$TOPOLOGY_DIR/upload" | cut -d' ' -f1)
	check_is "as many up, byte for byte" "$want" "$(get_curl client "$corp/billing-p256" "$corp/ca.crt" web.corp.example $BOX_V4 \
		443 /upload -T "$TOPOLOGY_DIR/upload")"
	life_rotate
	life_ended "a policy that no longer allows it ends a connection" authz_withdrawn life_withdraw
	identities_federation | life_replace "$FEDERATION"
	check "the policy is back" ctl reload
	life_ended "a mapping that is gone ends a connection" peer_distrusted life_unmap
	identities_federation | life_replace "$FEDERATION"
	check "the mapping is back" ctl reload
	life_ended "a revocation ends a connection" peer_distrusted life_revoke
	life_pardon
	check "a revocation that is taken back" wait_for 5 life_serves
	identities_world_end
}

life_serves() {
	[ "$(identities_ask curl client "$PKI/corp/billing-p256" "$PKI/corp/ca.crt" web.corp.example $BOX_V4 443 /whoami)" = \
		spiffe://ids.example/vm/billing ]
}
