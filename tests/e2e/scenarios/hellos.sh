# SPDX-License-Identifier: Apache-2.0
# ClientHellos as they come: whole, in crumbs, out of order, huge, and not ClientHellos at all. The good ones reach the
# endpoint, the bad ones end with a RST and their reason counted, once.

scenario_hellos() {
	local name=web4.shop.example shape order
	postern_start || return 1
	for shape in one bytes records key-share extensions=15000; do
		refused "shape $shape" server-hello - hello $shape $name
	done
	for order in whole swapped bytes backwards twice; do
		refused "segments: $order" server-hello - raw_hello $order one $name
	done
	refused "segments: swapped, with a 1.2 kB key share" server-hello - raw_hello swapped key-share $name
	refused "over IPv6" server-hello - in_ns client python3 tests/e2e/hello.py --sni web6.shop.example $BOX_V6 443

	refused "16 kB of extensions" reset hello_too_large hello extensions=16384 $name
	refused "without a server name" reset sni_missing in_ns client python3 tests/e2e/hello.py $BOX_V4 443
	refused "a server name of nobody's" "reset|alert-unrecognized_name" sni_no_match hello one nobody.shop.example
	refused "an address as server name" "reset|alert-unrecognized_name" sni_invalid hello one 192.0.2.1
	refused "an HTTP request" reset hello_not_tls hello not-tls $name
	refused "lengths that disagree" reset hello_malformed hello malformed $name
	refused "half a hello, then FIN" "reset|eof" client_closed hello close $name
	refused "half a hello, then RST" reset client_reset hello reset $name
	refused "silent" "reset|eof" hello_timeout hello silent $name
	refused "silent after half a hello" reset hello_timeout raw_hello silent-end one $name
	refused "a port without listener" refused - in_ns client python3 tests/e2e/hello.py --sni $name $BOX_V4 444
}

hello() {
	in_ns client python3 tests/e2e/hello.py --timeout 10 --shape "$1" --sni "$2" $BOX_V4 443
}

# An address that the client's kernel doesn't have, or it would answer with RSTs.
raw_hello() {
	in_ns client python3 tests/e2e/raw_hello.py --timeout 10 --source 192.0.2.77 --order "$1" --shape "$2" --sni "$3" $BOX_V4 443
}
