# SPDX-License-Identifier: Apache-2.0
# Whatever TLS and HTTP the two ends agree on passes: 1.2 and 1.3, HTTP/1.1 and HTTP/2, curl and openssl.

scenario_versions() {
	local host=web4.shop.example
	postern_start || return 1
	check_is "HTTP/2" "2 200" "$(fetch $BOX_V4 $host --http2 -o /dev/null -w '%{http_version} %{http_code}' https://$host/hello)"
	check_is "HTTP/1.1" "1.1 200" "$(fetch $BOX_V4 $host --http1.1 -o /dev/null -w '%{http_version} %{http_code}' https://$host/hello)"
	check_is "TLS 1.2" TLSv1.2 "$(fetch $BOX_V4 $host --tls-max 1.2 -o /dev/null https://$host/small && server_saw 3)"
	check_is "TLS 1.3" TLSv1.3 "$(fetch $BOX_V4 $host --tlsv1.3 -o /dev/null https://$host/small && server_saw 3)"
	check_is "openssl to openssl" "    Protocol  : TLSv1.3" \
		"$(fetch $BOX_V4 report.shop.example https://report.shop.example/ | grep 'Protocol  *:')"
	check_is "many requests on one connection" 20 \
		"$(fetch $BOX_V6 $host --http2 "https://$host/hello?[1-20]" | grep -c '^hello from a$')"
}

# A word of the last line of a's access log.
server_saw() {
	tail -n 1 "$TOPOLOGY_DIR/nginx-a/access.log" | cut -d' ' -f"$1"
}
