# SPDX-License-Identifier: Apache-2.0
#
# The certificates of those that bridge, all of P-256, by tests/e2e/pki.sh. Sourced by bash, in the project's root: bridge_pki DIR makes
#
#   billing   a client of the legacy PKI corp, billing.corp.example          corp/ca.crt, mesh/ca.crt   the two roots
#   edge      what a subject shows to it, web.bench.example                  cas                        mesh's as an embedded CA
#   gateway   what the others show to the server
#   server    spiffe://bench.example/ns/bench/sa/server, and DNS:server.bench.example, for those that know host names only
. tests/e2e/pki.sh

bridge_pki() {
	local id="subjectAltName=critical,URI:spiffe://bench.example" name
	PKI=$1
	mkdir -p "$PKI/cas/bench.example"
	pki_ca "$PKI/corp" - Corp && pki_ca "$PKI/mesh" - Mesh "subjectAltName=URI:spiffe://bench.example" &&
		pki_leaf "$PKI/billing" "$PKI/corp" p256 2 "subjectAltName=critical,DNS:billing.corp.example" &&
		pki_leaf "$PKI/edge" "$PKI/corp" p256 2 "subjectAltName=critical,DNS:web.bench.example" &&
		pki_leaf "$PKI/gateway" "$PKI/mesh" p256 2 "$id/gateway/bench-1" &&
		pki_leaf "$PKI/server" "$PKI/mesh" p256 2 "$id/ns/bench/sa/server,DNS:server.bench.example" || return 1
	for name in edge gateway; do cat "$PKI/$name/tls.crt" "$PKI/$name/tls.key" >"$PKI/$name/pair.pem"; done
	cp "$PKI/mesh/ca.crt" "$PKI/cas/bench.example/ca-1.crt"
	cp "$PKI/mesh/ca.key" "$PKI/cas/bench.example/ca-1.key"
	chmod 600 "$PKI/cas/bench.example/ca-1.key"
}
