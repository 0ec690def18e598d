# SPDX-License-Identifier: Apache-2.0
# What becomes of bridged connections when the reason for them goes: each is closed within a second, and nobody else's
# is. What is ours and changes, disturbs nobody. The world of bridge.sh.
. tests/e2e/scenarios/bridge.sh

LIFE_LONGEST_MS=1000
declare -A LIFE=()

# life_watch WHO TO…: a session that stays; ends are told in its log.
life_watch() {
	local who=$1 log=$TOPOLOGY_DIR/watch-$1
	shift
	rm -f "$log" # the one of before says "up" too
	start_bg client "$log" python3 tests/e2e/tls_rough.py watch "$@"
	LIFE[$who]=$STARTED_PID
	wait_for 10 grep -qx up "$log"
}

# Four of different fates: corp's billing by two certificates, a mesh client to b.example, and one to a.example.
life_begin() {
	local corp=$PKI/corp a=$PKI/a.example
	life_end
	life_watch billing $BOX_V4 8443 nginx.web.corp.example "$corp/ca.crt" "$corp/billing-p256" &&
		life_watch twin $BOX_V4 8443 haproxy.web.corp.example "$corp/ca.crt" "$corp/billing-p384" &&
		life_watch mesh $BOX_V4 9443 nginx.web.corp.example "$a/ca.crt" "$a/client" &&
		life_watch own $BOX_V4 9443 ledger.web.corp.example "$a/ca.crt" "$a/client" || {
		tail -n 3 "$TOPOLOGY_DIR"/watch-*
		bridge_last
		return 1
	}
}

life_end() {
	local who
	for who in "${!LIFE[@]}"; do stop_bg "${LIFE[$who]}"; done
	LIFE=()
}

life_open() {
	local who open=
	for who in billing twin mesh own; do
		! grep -qE '^[0-9]' "$TOPOLOGY_DIR/watch-$who" && ! process_gone "${LIFE[$who]}" && open+=" $who"
	done
	echo "${open# }"
}

# life_ends NAME REASON "WHO…" COMMAND…: the command must end the sessions of those, for that reason, soon, and no others.
life_ends() {
	local name=$1 reason=$2 fallen=$3 before began at longest=0 who left=
	shift 3
	life_begin || { fails "$name" "the sessions could not be made"; return; }
	before=$(dropped "$reason")
	began=$(date +%s%3N)
	"$@" || { fails "$name" "could not be tried"; return; }
	for who in billing twin mesh own; do [[ " $fallen " == *" $who "* ]] || left+=" $who"; done
	wait_for 4 life_is "${left# }"
	sleep 0.3 # for those who might follow
	for who in $fallen; do
		at=$(grep -oE '^[0-9]+' "$TOPOLOGY_DIR/watch-$who" || echo $((began + 99999)))
		[ $((at - began)) -le $longest ] || longest=$((at - began))
	done
	check_is "$name: who is left" "${left# }" "$(life_open)"
	check_is "$name: counted" "$(wc -w <<<"$fallen")" "$(($(dropped "$reason") - before))"
	if [ $longest -le $LIFE_LONGEST_MS ]; then passes "$name: within $longest ms"; else fails "$name: in time" "$longest ms"; fi
}

life_is() {
	[ "$(life_open)" = "$1" ]
}

life_put() {
	cat >"$PKI/live/new" && mv "$PKI/live/new" "$PKI/live/$1"
}

life_revoke() {
	{ pki_revoke "$PKI/corp" "$PKI/corp/billing-revoked/tls.crt" "$PKI/corp/billing-p256/tls.crt" &&
		pki_revoke "$PKI/corp/intermediate-1" && pki_revoke "$PKI/corp/intermediate-2"; } | life_put corp.crl
}

# Everything as it was, and in force: the door opens again.
life_restore() {
	life_put b.jwks <"$PKI/b.example/bundle.jwks"
	life_put corp.pem <"$PKI/corp/ca.crt"
	life_put corp.crl <"$PKI/corp/corp.crl"
	bridge_reload
	wait_for 5 life_serves
}

life_serves() {
	[ "$(bridge_ask curl "$PKI/corp/billing-p256" "$PKI/corp/ca.crt" nginx.web.corp.example 8443)" = spiffe://corp.example/vm/billing ]
}

# A certificate for so many seconds more; -days knows no less than a day. life_short OUT CA SECONDS EXTENSION…
life_short() {
	local out=$1 ca=$2 seconds=$3 list
	shift 3
	mkdir -p "$out"
	list=$(mktemp -d "$PKI/short.XXXXXX")
	: >"$list/index"
	pki_key p256 >"$out/tls.key"
	printf '%s\n' "${PKI_LEAF[@]}" "$@" >"$list/extensions"
	cat >"$list/conf" <<-CONF
		[ca]
		default_ca = this
		[this]
		database = $list/index
		new_certs_dir = $list
		default_md = sha256
		rand_serial = yes
		policy = any
		[any]
		commonName = optional
	CONF
	openssl req -new -key "$out/tls.key" -subj /CN=short -out "$list/request" &&
		openssl ca -batch -notext -config "$list/conf" -cert "$ca/ca.crt" -keyfile "$ca/ca.key" -in "$list/request" \
			-startdate "$(date -u -d '1 minute ago' +%y%m%d%H%M%SZ)" -enddate "$(date -u -d "$seconds seconds" +%y%m%d%H%M%SZ)" \
			-extfile "$list/extensions" -out "$out/tls.crt" 2>>"$PKI/log"
}

# The grace period is 2 s here (scenario_bridge_life).
life_expiry() {
	local until before began
	before=$(dropped peer_expired)
	life_begin || { fails "expiry" "the sessions could not be made"; return; }
	life_short "$PKI/short" "$PKI/corp" 3 "subjectAltName=DNS:billing.corp.example" || { fails "expiry" "no certificate"; return; }
	until=$(date -d "$(openssl x509 -in "$PKI/short/tls.crt" -noout -enddate | cut -d= -f2)" +%s%3N)
	life_watch short $BOX_V4 8443 nginx.web.corp.example "$PKI/corp/ca.crt" "$PKI/short" || { fails "expiry" "$(bridge_last)"; return; }
	wait_for 10 grep -qE '^[0-9]' "$TOPOLOGY_DIR/watch-short"
	began=$(($(grep -oE '^[0-9]+' "$TOPOLOGY_DIR/watch-short" || echo 0) - until))
	check_is "an expired certificate: counted" 1 "$(($(dropped peer_expired) - before))"
	if [ $began -ge 2000 ] && [ $began -le $((2000 + LIFE_LONGEST_MS)) ]; then passes "an expired certificate: $began ms after that, of which 2000 are grace"; else
		fails "an expired certificate: in time" "$began ms after it expired"
	fi
	check_is "an expired certificate: the others stay" "billing twin mesh own" "$(life_open)"
}

life_serial() {
	in_ns client timeout 10 openssl s_client -connect "$BOX_V4:$1" -servername nginx.web.corp.example -cert "$2/tls.crt" \
		-key "$2/tls.key" </dev/null 2>/dev/null | pki_serial /dev/stdin
}

life_serial_is() {
	[ "$(life_serial "$1" "$2")" = "$3" ]
}

# Our own certificates become others: nobody who is connected is disturbed, who comes then sees the new ones.
life_rotation() {
	local web=$TOPOLOGY_DIR/postern/credentials/web began
	life_begin || { fails "rotation" "the sessions could not be made"; return; }
	pki_leaf "$PKI/rotated" "$PKI/corp" p256 7 "subjectAltName=critical,DNS:web.corp.example,DNS:*.web.corp.example"
	began=$(date +%s%3N)
	cp "$PKI/rotated/tls.crt" "$web/new.crt" && cp "$PKI/rotated/tls.key" "$web/new.key" && mv "$web/new.crt" "$web/tls.crt" &&
		mv "$web/new.key" "$web/tls.key"
	check "a door's certificate replaced: shown to who comes" wait_for 5 life_serial_is 8443 "$PKI/corp/billing-p256" \
		"$(pki_serial "$PKI/rotated/tls.crt")"
	echo "    after $(($(date +%s%3N) - began)) ms"
	check_is "a door's certificate replaced: nobody is disturbed" "billing twin mesh own" "$(life_open)"
	"$BUILD/posternctl" ca rotate --dir "$PKI/cas" --trust-domain a.example >/dev/null
	mkdir -p "$PKI/next"
	cp "$PKI/cas/a.example/ca-2.crt" "$PKI/next/ca.crt" && cp "$PKI/cas/a.example/ca-2.key" "$PKI/next/ca.key" &&
		pki_leaf "$PKI/next/client" "$PKI/next" p256 7 "subjectAltName=critical,URI:spiffe://a.example/client"
	check "R4: the embedded CA turned: it is trusted ahead of its first use" wait_for 5 life_from_next
	check_is "R4: the embedded CA turned: nobody is disturbed" "billing twin mesh own" "$(life_open)"
	{ cat "$PKI/corp/corp.crl" && pki_revoke "$PKI/impostor"; } | life_put corp.crl
	cat "$PKI/impostor/ca.crt" "$PKI/corp/ca.crt" | life_put corp.pem
	check "R4: a second root of the same name" wait_for 5 life_from_impostor
	check_is "R4: a second root of the same name: nobody is disturbed" "billing twin mesh own" "$(life_open)"
}

life_from_next() {
	[ "$(bridge_ask openssl "$PKI/next/client" "$PKI/a.example/ca.crt" $BRIDGE_GATEWAY 9443 -servername ledger.web.corp.example)" = \
		$BRIDGE_GATEWAY ]
}

life_from_impostor() {
	[ "$(bridge_ask curl "$PKI/impostor/billing" "$PKI/corp/ca.crt" nginx.web.corp.example 8443)" = spiffe://corp.example/vm/billing ]
}

# life_resume NAME VERSION WANT [COMMAND…]: two connections, the command between; of the second one WANT.
life_resume() {
	local name=$1 version=$2 want=$3 fifo=$TOPOLOGY_DIR/resume.in log=$TOPOLOGY_DIR/resume.log
	shift 3
	rm -f "$fifo" && mkfifo "$fifo"
	# shellcheck disable=SC2046 # arguments
	in_ns client timeout 60 python3 tests/e2e/tls_rough.py --tls "$version" resume $(bridge_to nginx.web.corp.example) \
		<"$fifo" >"$log" 2>&1 &
	local pid=$!
	exec 7>"$fifo"
	wait_for 10 grep -q . "$log"
	[ $# = 0 ] || { "$@"; sleep 2.5; }
	echo >&7
	exec 7>&-
	wait $pid
	local got
	got=$(tr '\n' ' ' <"$log")
	if [[ $got =~ ^full\ ($want)\ $ ]]; then passes "$name, TLS $version"; else fails "$name, TLS $version" "wanted: full $want"$'\n'"got: $got"$'\n'"$(bridge_last)"; fi
}

life_no_root() {
	life_put corp.pem <"$PKI/impostor/ca.crt"
}

life_empty_bundle() {
	echo '{"keys":[]}' | life_put b.jwks
}

life_resumption() {
	local version
	for version in 1.2 1.3; do
		life_resume "a session resumed" $version resumed
		life_resume "R1: not when its certificate has been revoked" $version "failed .*" life_revoke
		life_restore
		life_resume "R1: not when its root is gone" $version "failed .*" life_no_root
		life_restore
		life_resume "not when the policy is gone" $version "failed .*" bridge_reload BRIDGE_WITHDRAWN=corp.example/vm/billing
		life_restore
		life_resume "not when the mapping is gone" $version "failed .*" bridge_reload BRIDGE_MAPPED=nobody.corp.example
		life_restore
	done
}

scenario_bridge_life() {
	local POSTERN_MORE="tls = { expiry_grace_s = 2; };"
	bridge_world || return 1
	life_rotation
	life_restore || fails "as it was" "it isn't"
	life_ends "M7: a revocation" peer_distrusted billing life_revoke
	life_restore || fails "as it was" "it isn't"
	life_ends "a root taken away" peer_distrusted "billing twin" life_no_root
	life_restore || fails "as it was" "it isn't"
	life_ends "B5: a bundle emptied" peer_distrusted "billing twin mesh" life_empty_bundle
	life_restore || fails "as it was" "it isn't"
	life_ends "S6: a policy withdrawn" authz_withdrawn "billing twin" bridge_reload BRIDGE_WITHDRAWN=corp.example/vm/billing
	life_restore || fails "as it was" "it isn't"
	life_ends "a DENY policy added" authz_withdrawn "billing mesh" bridge_reload BRIDGE_DENY=nginx
	life_restore || fails "as it was" "it isn't"
	life_ends "a mapping removed" peer_distrusted "billing twin" bridge_reload BRIDGE_MAPPED=nobody.corp.example
	life_restore || fails "as it was" "it isn't"
	life_expiry
	life_resumption
	life_end
}
