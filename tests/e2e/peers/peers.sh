# SPDX-License-Identifier: Apache-2.0
#
# Peers that others wrote, for either leg of a bridge: servers that want a client certificate and say whom they saw, and
# clients that show one. Sourced by bash after topology.sh and pki.sh. CREDENTIAL is a folder of pki.sh's, CA a PEM file.
#
#   serve_PEER NS PORT CREDENTIAL CA [OPTION…]     go, python, nginx, haproxy, openssl, envoy; STARTED_PID is the process
#       options: go's, python's and openssl's as the tools have them; nginx: "tls12" or "tls13", that version alone.
#       go and envoy, which validates SPIFFE's way, take trust domains instead of CA, "a.example,b.example", and read
#       their bundles
#   get_PEER NS CREDENTIAL CA SERVER ADDRESS PORT PATH [OPTION…]      curl, go, python, openssl
#       prints the body. SERVER is a host name, sent as SNI, or a SPIFFE ID: then the certificate must have that one, SNI
#       is the client's options' to set, and go takes trust domains for CA, as above
#   saw                reads the answer to /whoami of any of them from standard input; prints the one that it saw, as
#                      "spiffe://…", "DNS:name", or "none"
#
# All serve /whoami. go and python also /noise/N (N bytes) and PUT (the SHA-256 of what came). The Go peer is built when
# there is Go (have_go), Envoy is what $ENVOY, the path or $BUILD/envoy/bin has (have_envoy); everything else is Debian's.

PEERS=$(dirname "${BASH_SOURCE[0]}")
GOPEER=${BUILD:-build}/peers/gopeer

have_go() {
	[ -x "$GOPEER" ]
}

envoy_binary() {
	echo "${ENVOY:-$(PATH=${BUILD:-build}/envoy/bin:$PATH command -v envoy)}"
}

have_envoy() {
	[ -x "$(envoy_binary)" ]
}

# What a certificate in PEM is called; on standard input.
pem_identity() {
	local names
	names=$(openssl x509 -noout -ext subjectAltName 2>/dev/null) || { echo none; return; }
	if [[ $names =~ URI:([^,[:space:]]+) ]]; then
		echo "${BASH_REMATCH[1]}"
	elif [[ $names =~ DNS:([^,[:space:]]+) ]]; then
		echo "DNS:${BASH_REMATCH[1]}"
	else
		echo nameless
	fi
}

saw() {
	local answer
	answer=$(cat)
	case $answer in
	*saw=*) sed -n 's/.*saw=\([^ ]*\).*/\1/p' <<<"$answer" ;;
	*pem=*) printf '%b' "$(sed -n 's/.*pem=//p' <<<"$answer" | sed 's/%/\\x/g')" | pem_identity ;;
	*der=*) sed -n 's/.*der=//p' <<<"$answer" | openssl base64 -d -A | openssl x509 -inform DER 2>/dev/null | pem_identity ;;
	*"Client certificate"*) sed -n '/Client certificate/,$p' <<<"$answer" | sed -n '/-----BEGIN/,/-----END/p' | pem_identity ;;
	*) echo "no answer" ;;
	esac
}

# --- servers ---------------------------------------------------------------------------------------------------------

port_open() {
	[ -n "$(in_ns "$1" ss -Hltn "sport = :$2")" ]
}

# go_bundles DOMAIN,DOMAIN: options of gopeer.
go_bundles() {
	local domain
	for domain in ${1//,/ }; do printf -- '-bundle\n%s=%s\n' "$domain" "$PKI/$domain/bundle.jwks"; done
}

serve_go() {
	local ns=$1 port=$2 credential=$3 bundles
	mapfile -t bundles < <(go_bundles "$4")
	shift 4
	start_bg "$ns" "$TOPOLOGY_DIR/go-$ns-$port.log" "$GOPEER" serve -listen ":$port" -svid "$credential" "${bundles[@]}" "$@"
	wait_for 20 port_open "$ns" "$port"
}

serve_python() {
	local ns=$1 port=$2 credential=$3 ca=$4
	shift 4
	start_bg "$ns" "$TOPOLOGY_DIR/python-$ns-$port.log" python3 "$PEERS/peer.py" serve --port "$port" \
		--credential "$credential" --ca "$ca" "$@"
	wait_for 20 port_open "$ns" "$port"
}

serve_openssl() {
	local ns=$1 port=$2 credential=$3 ca=$4
	shift 4
	start_bg "$ns" "$TOPOLOGY_DIR/openssl-$ns-$port.log" openssl s_server -accept "$port" -www -quiet \
		-cert "$credential/tls.crt" -cert_chain "$credential/tls.crt" -key "$credential/tls.key" -CAfile "$ca" \
		-Verify 5 -verify_return_error "$@"
	wait_for 20 port_open "$ns" "$port"
}

# nginx has no variable for a SAN: it gives the whole certificate.
serve_nginx() {
	local ns=$1 port=$2 credential=$3 ca=$4 dir=$TOPOLOGY_DIR/nginx-peer-$1-$2 versions="TLSv1.2 TLSv1.3"
	[ "${5:-}" != tls12 ] || versions=TLSv1.2
	[ "${5:-}" != tls13 ] || versions=TLSv1.3
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-EOF
		user root;
		daemon off;
		worker_processes 1;
		pid $dir/pid;
		error_log $dir/error.log info;
		worker_rlimit_nofile 20000;
		events { worker_connections 16384; }
		http {
			access_log off;
			$(nginx_folders "$dir")
			server {
				listen $port ssl http2 backlog=4096;
				listen [::]:$port ssl http2 backlog=4096;
				keepalive_timeout 300s;
				ssl_certificate $credential/tls.crt;
				ssl_certificate_key $credential/tls.key;
				ssl_client_certificate $ca;
				ssl_verify_client on;
				ssl_verify_depth 5;
				ssl_protocols $versions;
				large_client_header_buffers 4 64k;
				location = /whoami { return 200 "pem=\$ssl_client_escaped_cert\n"; }
				location = /tls { return 200 "version=\$ssl_protocol alpn=\$ssl_alpn_protocol sni=\$ssl_server_name\n"; }
			}
		}
	EOF
	start_bg "$ns" "$dir/log" nginx -c "$dir/nginx.conf" -p "$dir" -e "$dir/error.log"
	wait_for 20 port_open "$ns" "$port"
}

# HAProxy 2.6 has no sample of a SAN either: it gives the certificate, too.
serve_haproxy() {
	local ns=$1 port=$2 credential=$3 ca=$4 dir=$TOPOLOGY_DIR/haproxy-$1-$2
	mkdir -p "$dir"
	cat "$credential/tls.crt" "$credential/tls.key" >"$dir/pair.pem"
	cat >"$dir/haproxy.cfg" <<-EOF
		global
			tune.bufsize 65536
			ssl-default-bind-options ssl-min-ver TLSv1.2
		defaults
			mode http
			timeout client 60s
			timeout server 60s
			timeout connect 5s
		frontend peer
			bind :::$port v4v6 ssl crt $dir/pair.pem ca-file $ca verify required alpn h2,http/1.1
			http-request return status 200 content-type text/plain lf-string "der=%[ssl_c_der,base64]\n"
	EOF
	start_bg "$ns" "$dir/log" haproxy -db -f "$dir/haproxy.cfg"
	wait_for 20 port_open "$ns" "$port"
}

serve_envoy() {
	local ns=$1 port=$2 credential=$3 dir=$TOPOLOGY_DIR/envoy-$1-$2 domain domains=
	mkdir -p "$dir"
	for domain in ${4//,/ }; do
		domains+="{ name: $domain, trust_bundle: { filename: $PKI/$domain/bundle.pem } }, "
	done
	cat >"$dir/envoy.yaml" <<-EOF
		static_resources:
		  listeners:
		  - address: { socket_address: { address: "::", port_value: $port, ipv4_compat: true } }
		    filter_chains:
		    - transport_socket:
		        name: tls
		        typed_config:
		          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
		          require_client_certificate: true
		          common_tls_context:
		            alpn_protocols: [ h2, http/1.1 ]
		            tls_certificates:
		            - { certificate_chain: { filename: $credential/tls.crt }, private_key: { filename: $credential/tls.key } }
		            validation_context:
		              custom_validator_config:
		                name: envoy.tls.cert_validator.spiffe
		                typed_config:
		                  "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig
		                  trust_domains: [ $domains ]
		      filters:
		      - name: http
		        typed_config:
		          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
		          stat_prefix: peer
		          codec_type: AUTO
		          http_protocol_options: { accept_http_10: true }
		          local_reply_config: { body_format: { text_format_source: { inline_string: "saw=%DOWNSTREAM_PEER_URI_SAN% \n" } } }
		          route_config:
		            virtual_hosts: [ { name: all, domains: [ "*" ], routes: [ { match: { prefix: / }, direct_response: { status: 200 } } ] } ]
		          http_filters:
		          - name: router
		            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
	EOF
	start_bg "$ns" "$dir/log" "$(envoy_binary)" -c "$dir/envoy.yaml" --concurrency 1 --log-level error --disable-hot-restart
	wait_for 20 port_open "$ns" "$port"
}

# --- clients ---------------------------------------------------------------------------------------------------------

# curl knows host names only.
get_curl() {
	local ns=$1 credential=$2 ca=$3 sni=$4 address=$5 port=$6 path=$7
	shift 7
	[[ $address != *:* ]] || address="[$address]"
	in_ns "$ns" curl -sS --max-time 60 --cert "$credential/tls.crt" --key "$credential/tls.key" --cacert "$ca" \
		--resolve "$sni:$port:$address" "$@" "https://$sni:$port$path"
}

get_go() {
	local ns=$1 credential=$2 ca=$3 sni=$4 address=$5 port=$6 path=$7 bundles
	shift 7
	[[ $address != *:* ]] || address="[$address]"
	if [[ $sni == spiffe://* ]]; then
		mapfile -t bundles < <(go_bundles "$ca")
		in_ns "$ns" "$GOPEER" get -svid "$credential" "${bundles[@]}" -expect "$sni" "$@" "$address:$port" "$path"
	else
		in_ns "$ns" "$GOPEER" legacy-get -svid "$credential" -ca "$ca" -sni "$sni" "$@" "$address:$port" "$path"
	fi
}

get_python() {
	local ns=$1 credential=$2 ca=$3 sni=$4 address=$5 port=$6 path=$7 names=(--sni "$4")
	shift 7
	[[ $sni != spiffe://* ]] || names=(--expect "$sni")
	in_ns "$ns" python3 "$PEERS/peer.py" get --credential "$credential" --ca "$ca" "${names[@]}" "$@" "$address" "$port" "$path"
}

# s_client checks a host name; a SPIFFE ID it can't, so where there was an answer, one more connection shows the certificate.
get_openssl() {
	local ns=$1 credential=$2 ca=$3 sni=$4 address=$5 port=$6 path=$7 names=(-servername "$4" -verify_hostname "$4") seen options answer
	shift 7
	[[ $address != *:* ]] || address="[$address]"
	[[ $sni != spiffe://* ]] || names=()
	options=(-connect "$address:$port" -CAfile "$ca" -cert "$credential/tls.crt" -cert_chain "$credential/tls.crt"
		-key "$credential/tls.key" -verify_return_error "${names[@]}" "$@")
	answer=$(printf 'GET %s HTTP/1.0\r\n\r\n' "$path" | in_ns "$ns" timeout 60 openssl s_client -quiet "${options[@]}" |
		sed '1,/^\r*$/d') || return 1
	if [[ $sni == spiffe://* ]] && [ -n "$answer" ]; then
		seen=$(in_ns "$ns" timeout 60 openssl s_client "${options[@]}" </dev/null 2>/dev/null | pem_identity)
		[ "$seen" = "$sni" ] || { echo "get_openssl: the server is $seen" >&2; return 1; }
	fi
	printf '%s\n' "$answer"
}
