# SPDX-License-Identifier: Apache-2.0
# The peers of the bridging scenarios against each other, without Postern between them: what fails here is theirs or the
# PKI's. And what the embedded CA issues, as others judge it. From b to a, which are on one network.

# peers_meet NAME SERVER-PEER CLIENT-PEER SERVER-CREDENTIAL CLIENT-CREDENTIAL CA SERVER-NAME WANT
peers_meet() {
	local name=$1 server=$2 client=$3 seen
	seen=$("get_$client" b "$5" "$6" "$7" $A_V4 "$PEER_PORT" /whoami 2>&1) || { fails "$name" "$seen"; return; }
	check_is "$name" "$8" "$(saw <<<"$seen")"
}

# peers_refuse NAME CLIENT-PEER CLIENT-CREDENTIAL CA SERVER-NAME: no answer may come.
peers_refuse() {
	local seen
	if seen=$("get_$2" b "$3" "$4" "$5" $A_V4 "$PEER_PORT" /whoami 2>&1) && [[ $(saw <<<"$seen") != "no answer" ]]; then
		fails "$1" "$seen"
	else
		passes "$1"
	fi
}

peers_legacy() {
	local corp=$PKI/corp server client type types="p256 p384 ed25519 rsa2048 rsa4096 chain large"
	[ -z "${E2E_QUICK:-}" ] || types="p256 rsa2048 chain"
	for server in nginx haproxy python openssl; do
		for type in $types; do
			PEER_PORT=$((PEER_PORT + 1))
			"serve_$server" a $PEER_PORT "$corp/server-$type" "$corp/ca.crt" || { fails "$server, $type" "didn't start"; continue; }
			for client in curl python openssl ${GO:+go}; do
				peers_meet "legacy: $client to $server, $type" $server $client "$corp/server-$type" "$corp/billing-$type" \
					"$corp/ca.crt" web.corp.example DNS:billing.corp.example
			done
			[ $type != p256 ] || peers_refuse "legacy: $server refuses an impostor" openssl "$PKI/impostor/billing" \
				"$corp/ca.crt" web.corp.example
			stop_bg "$STARTED_PID"
		done
	done
}

peers_spiffe() {
	local server client type ca types=("" -p384 -ed25519 -rsa2048)
	[ -z "${E2E_QUICK:-}" ] || types=("" -ed25519)
	for server in nginx haproxy python openssl ${GO:+go}; do
		for type in "${types[@]}"; do
			PEER_PORT=$((PEER_PORT + 1))
			ca=$PKI/a.example/ca.crt
			[ $server != go ] || ca=a.example,b.example
			"serve_$server" a $PEER_PORT "$PKI/a.example/server$type" "$ca" || { fails "$server$type" "didn't start"; continue; }
			for client in python openssl ${GO:+go}; do
				ca=$PKI/a.example/ca.crt
				[ $client != go ] || ca=a.example
				peers_meet "SPIFFE: $client to $server${type:+, ${type#-}}" $server $client "$PKI/a.example/server$type" \
					"$PKI/a.example/client" "$ca" spiffe://a.example/server spiffe://a.example/client
			done
			[ -n "$type" ] || peers_refuse "SPIFFE: $server refuses one of a domain that it doesn't know" openssl \
				"$PKI/impostor/billing" "$PKI/a.example/ca.crt" spiffe://a.example/server
			stop_bg "$STARTED_PID"
		done
	done
}

# go-spiffe judges by the specification, and so shows that each broken SVID is broken in the way that it is named for.
peers_go() {
	local port=$((PEER_PORT += 1)) name
	serve_go a $port "$PKI/b.example/server" a.example,b.example || { fails "go server" "didn't start"; return; }
	check_is "go: from one domain to the other" spiffe://a.example/client \
		"$(get_go b "$PKI/a.example/client" b.example spiffe://b.example/server $A_V4 $port /whoami 2>/dev/null | saw)"
	for name in expired two-uris no-uri is-ca foreign; do
		peers_refuse "go: refuses $name" go "$PKI/a.example/$name" b.example spiffe://b.example/server
	done
	peers_refuse "go: refuses another server than expected" go "$PKI/a.example/client" b.example spiffe://b.example/other
	peers_refuse "go: refuses a server of an unknown domain" go "$PKI/a.example/client" a.example spiffe://b.example/server
	check_is "go: 1 MB" 1000000 \
		"$(get_go b "$PKI/a.example/client" b.example spiffe://b.example/server $A_V4 $port /noise/1000000 2>/dev/null | wc -c)"
	stop_bg "$STARTED_PID"
}

peers_embedded() {
	local dir=$TOPOLOGY_DIR/embedded type verdict
	for type in p256 p384 ed25519 rsa; do
		rm -rf "$dir"
		mkdir -p "$dir/svid"
		check "embedded CA, $type: posternctl makes one" "$BUILD/posternctl" ca init --dir "$dir/cas" \
			--trust-domain corp.example --key-type $type
		"$BUILD/posternctl" ca rotate --dir "$dir/cas" --trust-domain corp.example >/dev/null
		"$BUILD/posternctl" ca bundle --dir "$dir/cas" >"$dir/bundle.jwks"
		"$BUILD/posternctl" ca bundle --dir "$dir/cas" --format pem >"$dir/bundle.pem"
		check "embedded CA, $type: it issues" "$BUILD/tests/e2e/issue" "$dir/cas" corp.example \
			spiffe://corp.example/vm/billing "$dir/svid"
		for verdict in sslclient sslserver; do
			check "embedded CA, $type: openssl verifies, $verdict" openssl verify -x509_strict -purpose $verdict \
				-CAfile "$dir/bundle.pem" "$dir/svid/tls.crt"
		done
		[ -n "$GO" ] || continue
		check_is "embedded CA, $type: go-spiffe reads the bundle and verifies" "verified spiffe://corp.example/vm/billing" \
			"$("$GOPEER" verify -svid "$dir/svid" -bundle "corp.example=$dir/bundle.jwks" 2>&1)"
	done
}

# A CA whose key is in a TPM, here one of software: an OpenSSL provider opens it by its URI.
peers_tpm() {
	local dir=$TOPOLOGY_DIR/tpm tcti=swtpm:host=127.0.0.1,port=2321
	mkdir -p "$dir/state" "$dir/svid"
	start_bg b "$dir/log" swtpm socket --tpm2 --tpmstate "dir=$dir/state" --ctrl type=tcp,port=2322 \
		--server type=tcp,port=2321 --flags not-need-init,startup-clear
	wait_for 5 port_open b 2321 || { fails "TPM: starts" "$(cat "$dir/log")"; return; }
	check "TPM: it makes a key" in_ns b env -C "$dir" TPM2TOOLS_TCTI=$tcti bash -e -c "
		tpm2_createprimary -Q -C o -G ecc -c primary && tpm2_flushcontext -t
		tpm2_create -Q -C primary -G ecc256:ecdsa-sha256:null -u public -r private && tpm2_flushcontext -t
		tpm2_load -Q -C primary -u public -r private -c key && tpm2_flushcontext -t
		tpm2_evictcontrol -C o -c key 0x81000001 && tpm2_flushcontext -t"
	check "TPM: posternctl makes a CA of it" in_ns b env TPM2OPENSSL_TCTI=$tcti "$BUILD/posternctl" ca init --dir "$dir/cas" \
		--trust-domain corp.example --provider tpm2 --key-uri handle:0x81000001
	check_is "TPM: no key is in the folder" "ca-1.crt ca-1.uri" "$(cd "$dir/cas/corp.example" && echo *)"
	check "TPM: it issues" in_ns b env TPM2OPENSSL_TCTI=$tcti "$BUILD/tests/e2e/issue" "$dir/cas" corp.example \
		spiffe://corp.example/vm/billing "$dir/svid"
	check "TPM: openssl verifies" openssl verify -x509_strict -CAfile "$dir/cas/corp.example/ca-1.crt" "$dir/svid/tls.crt"
	stop_bg "$STARTED_PID"
	check_is "TPM: gone, and the CA can't be opened" 1 "$(in_ns b env TPM2OPENSSL_TCTI=$tcti "$BUILD/tests/e2e/issue" \
		"$dir/cas" corp.example spiffe://corp.example/vm/billing "$dir/svid" 2>&1 | grep -c 'ca-1: provider:')"
}

scenario_peers() {
	GO=
	if have_go; then GO=yes; fi
	PEER_PORT=20000
	postern_start || return 1
	pki_once || return 1
	peers_embedded
	peers_tpm
	peers_legacy
	peers_spiffe
	if [ -n "$GO" ]; then peers_go; fi
	return 0
}
