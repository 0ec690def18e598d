# SPDX-License-Identifier: Apache-2.0
# Who isn't let through a bridge, each with the reason that is counted and the rule that the access log names. The world of
# bridge.sh; the codes are those of the list of what an identity gateway must refuse.
. tests/e2e/scenarios/bridge.sh

# legacy_refused NAME REASON DETAIL CREDENTIAL [SERVER [OPTION…]]: by the door for certificates of corp.
legacy_refused() {
	local name=$1 reason=$2 detail=$3 credential=$4 server=${5:-nginx.web.corp.example}
	shift 4
	[ $# = 0 ] || shift
	bridge_refuses "$name" "$reason" "$detail" curl "$credential" "$PKI/corp/ca.crt" "$server" 8443 "$@"
}

# mesh_refused NAME REASON DETAIL CREDENTIAL [SERVER [OPTION…]]: by the door for SPIFFE IDs.
mesh_refused() {
	local name=$1 reason=$2 detail=$3 credential=$4 server=${5:-nginx.web.corp.example}
	shift 4
	[ $# = 0 ] || shift
	bridge_refused "$name" "$reason" "$detail" "" mesh_ask "$credential" "$server" "$@"
}

# One connection, so that one is counted.
mesh_ask() {
	printf 'GET /whoami HTTP/1.0\r\n\r\n' | in_ns client timeout 20 openssl s_client -quiet -connect $BOX_V4:9443 -servername "$2" \
		-CAfile "$PKI/a.example/ca.crt" -cert "$1/tls.crt" -cert_chain "$1/tls.crt" -key "$1/tls.key" "${@:3}" 2>/dev/null |
		grep -aE 'pem=|saw='
}

# refusals_told CREDENTIAL OPTION…: the alert that a client of the door for corp hears.
refusals_told() {
	(sleep 2) | in_ns client timeout 20 openssl s_client -connect $BOX_V4:8443 -servername nginx.web.corp.example \
		-cert "$1/tls.crt" -cert_chain "$1/tls.crt" -key "$1/tls.key" "${@:2}" 2>&1 | grep -o 'alert .*'
}

# refusals_leaf NAME CA EXTENSION…: a certificate of its own kind.
refusals_leaf() {
	local out=$PKI/odd/$1 ca=$2
	shift 2
	mkdir -p "$out"
	pki_key p256 >"$out/tls.key"
	pki_certificate "$out" "$ca" 7 "${SUBJECT:-/}" "$@"
}

refusals_leaves() {
	local a=$PKI/a.example id="subjectAltName=critical,URI:spiffe://a.example/client" not_ca="basicConstraints=critical,CA:FALSE"
	refusals_leaf two-labels "$PKI/corp" "${PKI_LEAF[@]}" "subjectAltName=critical,DNS:7.deep.meters.corp.example" &&
		refusals_leaf bare-suffix "$PKI/corp" "${PKI_LEAF[@]}" "subjectAltName=critical,DNS:meters.corp.example" &&
		refusals_leaf mail-id "$PKI/corp" "${PKI_LEAF[@]}" "subjectAltName=critical,DNS:guest.corp.example,email:billing@corp.example" &&
		refusals_leaf ip "$PKI/corp" "${PKI_LEAF[@]}" "subjectAltName=critical,IP:192.0.2.10" &&
		SUBJECT=/CN=billing.corp.example refusals_leaf common-name "$PKI/corp" "${PKI_LEAF[@]}" &&
		refusals_leaf two-rules "$PKI/corp" "${PKI_LEAF[@]}" "subjectAltName=critical,DNS:7.meters.corp.example,DNS:8.meters.corp.example" &&
		refusals_leaf two-uris-reversed "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,URI:spiffe://a.example/other,URI:spiffe://a.example/client" &&
		refusals_leaf cert-sign "$a" "$not_ca" "keyUsage=critical,digitalSignature,keyCertSign" "$id" &&
		refusals_leaf crl-sign "$a" "$not_ca" "keyUsage=critical,digitalSignature,cRLSign" "$id" &&
		refusals_leaf root-slash "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,URI:spiffe://a.example/" &&
		refusals_leaf https-uri "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,URI:https://a.example/client" &&
		refusals_leaf server-only "$a" "$not_ca" "keyUsage=critical,digitalSignature" "extendedKeyUsage=serverAuth" "$id" &&
		refusals_leaf id-in-dns "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,DNS:spiffe://a.example/client" &&
		refusals_leaf evil-suffix "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,URI:spiffe://a.example.evil/client" &&
		refusals_leaf unknown-domain "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,URI:spiffe://c.example/client" &&
		refusals_leaf uppercase "$a" "${PKI_LEAF[@]}" "subjectAltName=critical,URI:spiffe://A.example/client" &&
		SUBJECT=/CN=spiffe:%2f%2fa.example%2fclient refusals_leaf id-in-cn "$a" "${PKI_LEAF[@]}" &&
		pki_ca "$PKI/odd/twin" - a.example "subjectAltName=URI:spiffe://a.example" &&
		refusals_leaf same-name "$PKI/odd/twin" "${PKI_LEAF[@]}" "$id" &&
		pki_ca "$PKI/odd/inner" "$a" "a inner" &&
		refusals_leaf no-intermediate "$PKI/odd/inner" "${PKI_LEAF[@]}" "$id" || return 1
	cp -r "$a/foreign" "$PKI/odd/foreign-chain"
	cat "$a/ca.crt" >>"$PKI/odd/foreign-chain/tls.crt"
}

refusals_legacy() {
	local corp=$PKI/corp
	bridge_refused "no client certificate" tls_client_certificate_missing "" "no answer" refusals_bare 8443 nginx.web.corp.example
	legacy_refused "M3: the same name, another CA" tls_peer_untrusted chain_untrusted "$PKI/impostor/billing"
	legacy_refused "L9: expired" tls_peer_expired expired "$corp/billing-expired"
	legacy_refused "M7: revoked" tls_peer_revoked revoked "$corp/billing-revoked"
	legacy_refused "a name that nobody maps" tls_peer_identity map_no_rule "$corp/guest"
	legacy_refused "M1: a wildcard is one label" tls_peer_identity map_no_rule "$PKI/odd/two-labels"
	legacy_refused "M1: nor none" tls_peer_identity map_no_rule "$PKI/odd/bare-suffix"
	legacy_refused "M2: a common name is none" tls_peer_identity legacy_no_dns "$PKI/odd/common-name"
	legacy_refused "M8: an address is no name" tls_peer_identity legacy_no_dns "$PKI/odd/ip"
	legacy_refused "an address in e-mail is no name" tls_peer_identity map_no_rule "$PKI/odd/mail-id"
	legacy_refused "two names that mean two" tls_peer_identity map_ambiguous "$PKI/odd/two-rules"
	legacy_refused "an SVID at the legacy door" tls_peer_identity legacy_no_dns "$PKI/a.example/client"
	legacy_refused "an SVID with a DNS name at the legacy door" tls_peer_untrusted chain_untrusted "$PKI/a.example/server"
	legacy_refused "mapped, and no policy allows it" authz_not_allowed "" "$corp/meter-7"
	legacy_refused "M6: whoever its request says it is" authz_not_allowed "" "$corp/meter-7" nginx.web.corp.example \
		-H "x-forwarded-client-cert: URI=spiffe://corp.example/vm/billing" -H "forwarded: for=billing.corp.example" \
		-H "baggage: source.principal=spiffe://corp.example/vm/billing" -H "x-istio-source: spiffe://corp.example/vm/billing"
	legacy_refused "M6: a PROXY header of its own" hello_not_tls "" "$corp/billing-p256" nginx.web.corp.example --haproxy-protocol
	legacy_refused "default deny between trust domains" authz_default_deny "" "$corp/billing-p256" ledger.web.corp.example
	legacy_refused "S1: a name that leads nowhere" sni_no_match "" "$corp/billing-p256" nowhere.web.corp.example
	bridge_refused "no server name" sni_missing "" "" refusals_nameless
	legacy_refused "TLS 1.1" tls_version "" "$corp/billing-p256" nginx.web.corp.example --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0
	bridge_refuses "TLS 1.2 where 1.3 is the least" tls_version "" curl "$corp/billing-p256" "$corp/ca.crt" nginx.web.corp.example 8444 \
		--tls-max 1.2
	bridge_refuses "TLS 1.3 where 1.2 is the most" tls_version "" curl "$corp/billing-p256" "$corp/ca.crt" nginx.web.corp.example 8445 \
		--tlsv1.3
	legacy_refused "no cipher in common, TLS 1.2" tls_no_shared_cipher "" "$corp/billing-p256" nginx.web.corp.example --tls-max 1.2 \
		--ciphers AES128-SHA
	legacy_refused "no group in common, TLS 1.3" tls_no_shared_cipher "" "$corp/billing-p256" nginx.web.corp.example --curves P-521
	bridge_refused "plaintext to a TLS door" hello_not_tls "" ".*" in_ns client curl -sS --max-time 10 http://$BOX_V4:8443/
	# Once, though what it asks is under way when its connection is refused.
	bridge_refused "TLS 1.3: is told that it isn't let in" authz_not_allowed "" ".*alert access denied.*" refusals_told "$corp/meter-7" -tls1_3
	bridge_refused "TLS 1.2: has no word for that" authz_not_allowed "" "" refusals_told "$corp/meter-7" -tls1_2
	bridge_refused "plaintext of nobody" authz_not_allowed "" ".*" in_ns client curl -sS --max-time 10 "http://[$BOX_V6]:8080/"
	bridge_refused "SIMPLE: who proved nothing" authz_default_deny "" "no answer" refusals_bare 7443 ledger.web.corp.example
}

# Without a certificate.
refusals_bare() {
	in_ns client curl -sS --max-time 10 --cacert "$PKI/corp/ca.crt" --resolve "$2:$1:$BOX_V4" "https://$2:$1/whoami" 2>/dev/null | saw
}

refusals_nameless() {
	in_ns client timeout 20 openssl s_client -quiet -connect $BOX_V4:8443 -noservername -cert "$PKI/corp/billing-p256/tls.crt" \
		-key "$PKI/corp/billing-p256/tls.key" </dev/null 2>/dev/null
}

refusals_mesh() {
	local name
	bridge_refused "no client certificate, SPIFFE" tls_client_certificate_missing "" "" refusals_no_svid
	mesh_refused "L1: no URI" tls_peer_malformed svid_no_uri "$PKI/a.example/no-uri"
	mesh_refused "L2: two URIs" tls_peer_malformed svid_two_uris "$PKI/a.example/two-uris"
	mesh_refused "L2: two URIs, the other way round" tls_peer_malformed svid_two_uris "$PKI/odd/two-uris-reversed"
	mesh_refused "L4: a CA's" tls_peer_malformed leaf_ca "$PKI/a.example/is-ca"
	mesh_refused "L5: keyCertSign" tls_peer_malformed leaf_key_cert_sign "$PKI/odd/cert-sign"
	mesh_refused "L6: cRLSign" tls_peer_malformed leaf_crl_sign "$PKI/odd/crl-sign"
	mesh_refused "L7: a trust domain's own ID" tls_peer_malformed spiffe_path_root "$PKI/a.example/root-path"
	mesh_refused "L7: the same with a slash" tls_peer_malformed spiffe_path_trailing_slash "$PKI/odd/root-slash"
	mesh_refused "L8: https" tls_peer_malformed spiffe_scheme "$PKI/odd/https-uri"
	mesh_refused "L9: expired" tls_peer_expired expired "$PKI/a.example/expired"
	mesh_refused "L10: a server's alone" tls_peer_malformed leaf_eku_client "$PKI/odd/server-only"
	mesh_refused "L12: an ID in a DNS name" tls_peer_malformed svid_id_misplaced "$PKI/odd/id-in-dns"
	mesh_refused "L13: an ID in the common name" tls_peer_malformed svid_no_uri "$PKI/odd/id-in-cn"
	mesh_refused "L15: an intermediate is missing" tls_peer_untrusted chain_untrusted "$PKI/odd/no-intermediate"
	mesh_refused "I1: upper case" tls_peer_malformed spiffe_domain_uppercase "$PKI/odd/uppercase"
	mesh_refused "D1: A's CA for one of B" tls_peer_untrusted chain_untrusted "$PKI/a.example/foreign"
	mesh_refused "D1: the same, with A's CA in the chain" tls_peer_untrusted chain_untrusted "$PKI/odd/foreign-chain"
	mesh_refused "D2: an unknown trust domain" tls_peer_untrusted domain_unknown "$PKI/odd/unknown-domain"
	mesh_refused "D3: the same name, another root" tls_peer_untrusted chain_untrusted "$PKI/odd/same-name"
	refusals_shared_intermediate
	mesh_refused "D6: a name that begins alike" tls_peer_untrusted domain_unknown "$PKI/odd/evil-suffix"
	mesh_refused "a legacy certificate at the door of the mesh" tls_peer_malformed svid_no_uri "$PKI/corp/billing-p256"
	mesh_refused "D7: default deny between trust domains" authz_default_deny "" "$PKI/b.example/client" ledger.web.corp.example
	mesh_refused "no policy allows it" authz_not_allowed "" "$PKI/a.example/server"
	BRIDGE_DENY=nginx bridge_reload || fails "DENY" "not taken"
	mesh_refused "DENY first" authz_denied "" "$PKI/a.example/client"
	bridge_reload
	bridge_sees "and not any more" $BRIDGE_GATEWAY openssl "$PKI/a.example/client" "$PKI/a.example/ca.crt" $BRIDGE_GATEWAY 9443 \
		-servername nginx.web.corp.example
}

# A's intermediate, which B's bundle has as well: it may speak for A no longer.
refusals_shared_intermediate() {
	local leaf=$PKI/odd/by-inner
	cp -r "$PKI/odd/no-intermediate" "$leaf"
	cat "$PKI/odd/inner/ca.crt" >>"$leaf/tls.crt"
	bridge_sees "an SVID below an intermediate" $BRIDGE_GATEWAY openssl "$leaf" "$PKI/a.example/ca.crt" $BRIDGE_GATEWAY 9443 \
		-servername nginx.web.corp.example
	pki_bundle "$PKI/b.example/ca.crt" "$PKI/odd/inner/ca.crt" >"$PKI/live/new" && mv "$PKI/live/new" "$PKI/live/b.jwks"
	sleep 3
	mesh_refused "D4: an intermediate that is another domain's authority" tls_peer_untrusted chain_foreign "$leaf"
	cp "$PKI/b.example/bundle.jwks" "$PKI/live/b.jwks"
}

refusals_no_svid() {
	in_ns client timeout 20 openssl s_client -quiet -connect $BOX_V4:9443 -servername nginx.web.corp.example </dev/null 2>/dev/null
}

refusals_endpoint() {
	local corp=$PKI/corp
	legacy_refused "D10: an endpoint with another ID than expected" tls_peer_identity server_unexpected "$corp/billing-p256" other.web.corp.example
	legacy_refused "D1: an endpoint whose ID another trust domain signed" tls_peer_untrusted chain_untrusted "$corp/billing-p256" \
		stranger.web.corp.example
	mesh_refused "D10: an endpoint with another name" tls_peer_identity server_name "$PKI/a.example/client" misnamed.old.corp.example
	mesh_refused "an endpoint of another PKI" tls_peer_untrusted chain_untrusted "$PKI/a.example/client" impostor.old.corp.example
}

scenario_bridge_refusals() {
	bridge_world || return 1
	refusals_leaves || return 1
	refusals_legacy
	refusals_mesh
	refusals_endpoint
}
