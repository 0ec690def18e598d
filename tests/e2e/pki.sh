# SPDX-License-Identifier: Apache-2.0
#
# The PKIs of a world with legacy hosts and two SPIFFE trust domains, made anew for each run. Sourced by bash; needs
# openssl alone. Everything is below $PKI; what has a key is a folder like a mounted TLS secret: tls.crt (the chain,
# leaf first), tls.key, and ca.crt, whom its owner trusts, where that is one.
#
#   $PKI/corp/            the legacy PKI of *.corp.example, whose certificates carry DNS names
#     ca.crt, ca.key      its root; corp.crl: what it revoked, PEM; intermediate-1 and -2: CAs below it
#     billing-TYPE        client billing.corp.example; TYPE p256, p384, ed25519, rsa2048, rsa4096
#     billing-chain       the same, P-256, below both intermediates: four certificates are sent
#     billing-large       the same, with 200 more names: a certificate of about 10 KB
#     billing-revoked, billing-expired
#     meter-7             client 7.meters.corp.example; guest: guest.corp.example
#     server-TYPE         server web.corp.example, and *.web.corp.example
#     server-chain, server-large
#   $PKI/impostor/        another PKI with the same names: billing, server
#   $PKI/DOMAIN/          for the trust domains a.example and b.example
#     ca.crt, ca.key, bundle.pem, bundle.jwks
#     client, server, gateway       spiffe://DOMAIN/client …; server has DNS:server.DOMAIN too
#     server-p384, server-ed25519, server-rsa2048
#     expired, two-uris, no-uri, is-ca, root-path     SVIDs that break a rule; foreign: for OTHER's client
#
#   pki_make DIR          makes all of it in DIR, which $PKI then is
#   pki_once              the same for all scenarios of a run, at the first call
#   pki_leaf OUT CA KEY-TYPE DAYS EXTENSIONS…    one more: CA is the folder of a CA, EXTENSIONS lines of openssl's
#   pki_revoke CA CERT…   a CRL of that CA that revokes these, on standard output
#   pki_bundle CERT…      a SPIFFE bundle of P-256 CAs, on standard output

pki_key() {
	case $1 in
	p256) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 ;;
	p384) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 ;;
	ed25519) openssl genpkey -algorithm ED25519 ;;
	rsa*)
		# One of each size for all: it takes seconds to find.
		[ -s "$PKI/$1.key" ] || openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${1#rsa}" >"$PKI/$1.key"
		cat "$PKI/$1.key"
		;;
	esac
}

# pki_certificate OUT CA DAYS SUBJECT EXTENSION…: OUT/tls.crt for OUT/tls.key, signed by CA, or by itself where that is -.
pki_certificate() {
	local out=$1 ca=$2 days=$3 subject=$4 signer=(-signkey "$1/tls.key")
	shift 4
	[ "$ca" = - ] || signer=(-CA "$ca/ca.crt" -CAkey "$ca/ca.key")
	printf '%s\n' "$@" "subjectKeyIdentifier=hash" >"$out/extensions"
	[ "$ca" = - ] || echo "authorityKeyIdentifier=keyid" >>"$out/extensions"
	openssl req -new -key "$out/tls.key" -subj "$subject" -out "$out/request" &&
		openssl x509 -req -in "$out/request" "${signer[@]}" -set_serial "0x4$(openssl rand -hex 15)" -days "$days" \
			-extfile "$out/extensions" -out "$out/tls.crt" 2>>"$PKI/log" && rm "$out/request" "$out/extensions"
}

# pki_ca OUT CA NAME EXTENSION…: a CA, OUT/ca.crt and ca.key; below CA, or a root where that is -.
pki_ca() {
	local out=$1 ca=$2 name=$3
	shift 3
	mkdir -p "$out"
	pki_key p256 >"$out/tls.key"
	pki_certificate "$out" "$ca" 30 "/CN=$name" "basicConstraints=critical,CA:TRUE" \
		"keyUsage=critical,keyCertSign,cRLSign" "$@" && mv "$out/tls.crt" "$out/ca.crt" && mv "$out/tls.key" "$out/ca.key"
}

PKI_LEAF=("basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" "extendedKeyUsage=serverAuth,clientAuth")

pki_leaf() {
	local out=$1 ca=$2 type=$3 days=$4
	shift 4
	mkdir -p "$out"
	pki_key "$type" >"$out/tls.key"
	chmod 600 "$out/tls.key"
	pki_certificate "$out" "$ca" "$days" / "${PKI_LEAF[@]}" "$@"
}

# A certificate's serial number, as OpenSSL's list of issued ones wants it.
pki_serial() {
	openssl x509 -in "$1" -noout -serial | cut -d= -f2
}

pki_revoke() {
	local ca=$1 list certificate
	shift
	list=$(mktemp -d "$PKI/crl.XXXXXX")
	: >"$list/index"
	for certificate in "$@"; do
		printf 'R\t491231235959Z\t%s\t%s\tunknown\t/\n' "$(date -u +%y%m%d%H%M%SZ)" "$(pki_serial "$certificate")" \
			>>"$list/index"
	done
	cat >"$list/conf" <<-EOF
		[ca]
		default_ca = this
		[this]
		database = $list/index
		default_md = sha256
		default_crl_days = 7
	EOF
	openssl ca -config "$list/conf" -gencrl -cert "$ca/ca.crt" -keyfile "$ca/ca.key" 2>>"$PKI/log"
	rm -r "$list"
}

pki_base64url() {
	openssl base64 -A | tr '+/' '-_' | tr -d '='
}

pki_bundle() {
	local certificate point separator=
	printf '{"keys":['
	for certificate in "$@"; do
		# An uncompressed point ends the public key: X, Y.
		point=$(openssl x509 -in "$certificate" -noout -pubkey | openssl pkey -pubin -outform DER | tail -c 64 | od -An -v -tx1 | tr -d ' \n')
		printf '%s{"use":"x509-svid","kty":"EC","crv":"P-256","x":"%s","y":"%s","x5c":["%s"]}' "$separator" \
			"$(pki_bytes "${point:0:64}" | pki_base64url)" "$(pki_bytes "${point:64}" | pki_base64url)" \
			"$(openssl x509 -in "$certificate" -outform DER | openssl base64 -A)"
		separator=,
	done
	printf '],"spiffe_sequence":%s,"spiffe_refresh_hint":60}\n' "$(date +%s%3N)"
}

pki_bytes() {
	# shellcheck disable=SC2059 # the format is what we make here: \xNN…
	printf "$(sed 's/../\\x&/g' <<<"$1")"
}

# Many names make a large certificate.
pki_many_names() {
	local i
	for ((i = 0; i < 200; i++)); do printf ',DNS:host-%03d.a-rather-long-label.of-a-rather-long-name.corp.example' $i; done
}

pki_corp() {
	local corp=$PKI/corp type name san out web="DNS:web.corp.example,DNS:*.web.corp.example"
	pki_ca "$corp" - "Corp root" && pki_ca "$corp/intermediate-1" "$corp" "Corp intermediate 1" &&
		pki_ca "$corp/intermediate-2" "$corp/intermediate-1" "Corp intermediate 2" || return 1
	for type in p256 p384 ed25519 rsa2048 rsa4096; do
		pki_leaf "$corp/billing-$type" "$corp" $type 7 "subjectAltName=critical,DNS:billing.corp.example" &&
			pki_leaf "$corp/server-$type" "$corp" $type 7 "subjectAltName=critical,$web" || return 1
	done
	for name in billing server; do
		san="DNS:billing.corp.example"
		[ $name = billing ] || san=$web
		out=$corp/$name-chain
		pki_leaf "$out" "$corp/intermediate-2" p256 7 "subjectAltName=critical,$san" || return 1
		cat "$corp/intermediate-2/ca.crt" "$corp/intermediate-1/ca.crt" "$corp/ca.crt" >>"$out/tls.crt"
		pki_leaf "$corp/$name-large" "$corp" p256 7 "subjectAltName=critical,$san$(pki_many_names)" || return 1
	done
	pki_leaf "$corp/billing-revoked" "$corp" p256 7 "subjectAltName=critical,DNS:billing.corp.example" &&
		pki_leaf "$corp/billing-expired" "$corp" p256 -1 "subjectAltName=critical,DNS:billing.corp.example" &&
		pki_leaf "$corp/meter-7" "$corp" p256 7 "subjectAltName=critical,DNS:7.meters.corp.example" &&
		pki_leaf "$corp/guest" "$corp" p256 7 "subjectAltName=critical,DNS:guest.corp.example" || return 1
	{ pki_revoke "$corp" "$corp/billing-revoked/tls.crt" && pki_revoke "$corp/intermediate-1" && pki_revoke "$corp/intermediate-2"; } >"$corp/corp.crl"
	for out in "$corp"/*-*/ "$corp/guest"; do [ ! -e "$out/tls.key" ] || cp "$corp/ca.crt" "$out/ca.crt"; done
}

pki_impostor() {
	pki_ca "$PKI/impostor" - "Corp root" &&
		pki_leaf "$PKI/impostor/billing" "$PKI/impostor" p256 7 "subjectAltName=critical,DNS:billing.corp.example" &&
		pki_leaf "$PKI/impostor/server" "$PKI/impostor" p256 7 "subjectAltName=critical,DNS:web.corp.example"
}

# pki_domain NAME OTHER
pki_domain() {
	local domain=$1 other=$2 dir=$PKI/$1 id="subjectAltName=critical,URI:spiffe://$1" name type
	pki_ca "$dir" - "$domain" "subjectAltName=URI:spiffe://$domain" || return 1
	for name in client gateway; do pki_leaf "$dir/$name" "$dir" p256 7 "$id/$name" || return 1; done
	pki_leaf "$dir/server" "$dir" p256 7 "$id/server,DNS:server.$domain" || return 1
	for type in p384 ed25519 rsa2048; do
		pki_leaf "$dir/server-$type" "$dir" $type 7 "$id/server,DNS:server.$domain" || return 1
	done
	pki_leaf "$dir/expired" "$dir" p256 -1 "$id/client" &&
		pki_leaf "$dir/two-uris" "$dir" p256 7 "$id/client,URI:spiffe://$domain/other" &&
		pki_leaf "$dir/no-uri" "$dir" p256 7 "subjectAltName=critical,DNS:client.$domain" &&
		pki_leaf "$dir/root-path" "$dir" p256 7 "subjectAltName=critical,URI:spiffe://$domain" &&
		pki_leaf "$dir/foreign" "$dir" p256 7 "subjectAltName=critical,URI:spiffe://$other/client" || return 1
	# A CA's certificate that is used as a workload's.
	pki_ca_leaf "$dir/is-ca" "$dir" "$id/client" || return 1
	cp "$dir/ca.crt" "$dir/bundle.pem"
	pki_bundle "$dir/ca.crt" >"$dir/bundle.jwks"
	for name in "$dir"/*/; do cp "$dir/ca.crt" "$name/ca.crt"; done
}

pki_ca_leaf() {
	mkdir -p "$1"
	pki_key p256 >"$1/tls.key"
	chmod 600 "$1/tls.key"
	pki_certificate "$1" "$2" 7 / "basicConstraints=critical,CA:TRUE" "keyUsage=critical,digitalSignature,keyCertSign" "$3"
}

pki_make() {
	PKI=$1
	mkdir -p "$PKI"
	: >"$PKI/log"
	pki_corp && pki_impostor && pki_domain a.example b.example && pki_domain b.example a.example ||
		{ echo "pki: could not be made" >&2; tail -n 5 "$PKI/log" >&2; return 1; }
}

pki_once() {
	[ -e "$TOPOLOGY_DIR/pki/made" ] || { pki_make "$TOPOLOGY_DIR/pki" && touch "$PKI/made"; }
}
