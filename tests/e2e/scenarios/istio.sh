# SPDX-License-Identifier: Apache-2.0
# Istio's names between clusters, outbound_.<port>_.<subset>_.<host>: they reach the subset they name, and nothing that
# the listener's hosts don't admit. The client checks the workload's certificate, under the service's own name.

scenario_istio() {
	local bank=payments.bank.svc.cluster.local
	postern_start || return 1
	check_is "subset v1 is a" "hello from a" "$(istio_ask outbound_.8443_.v1_.$bank)"
	check_is "subset v2 is b, over IPv6" "hello from b" "$(istio_ask outbound_.8443_.v2_.$bank)"
	check_is "mixed case" "hello from a" "$(istio_ask OUTBOUND_.8443_.V1_.Payments.Bank.svc.cluster.local)"
	# By chance (LEAST_REQUEST, and neither is busy): one in half a million runs finds only one of them.
	check_is "without a subset, both" "hello from a hello from b" \
		"$(for _ in $(seq 20); do istio_ask outbound_.8443_._.$bank; done | sort -u | xargs)"
	refused "a subset that isn't" reset service_subset istio_hello outbound_.8443_.v3_.$bank
	refused "a port that isn't" reset service_port istio_hello outbound_.9999_.v1_.$bank
	refused "a port that isn't TLS" reset service_port istio_hello outbound_.8080_._.$bank
	refused "a service that isn't" reset service_unknown istio_hello outbound_.8443_._.nobody.bank.svc.cluster.local
	refused "a service that hosts doesn't admit" reset service_unknown istio_hello outbound_.8443_._.ledger.vault.svc.cluster.local
	refused "an inbound name" reset sni_not_istio istio_hello inbound_.8443_._.$bank
	refused "a plain name" reset sni_not_istio istio_hello $bank
}

istio_ask() {
	printf 'GET /hello HTTP/1.0\r\n\r\n' |
		in_ns client timeout 10 openssl s_client -quiet -connect $BOX_V4:15443 -servername "$1" -CAfile "$CA" \
			-verify_return_error -verify_hostname payments.bank.svc.cluster.local 2>/dev/null | tail -n 1
}

istio_hello() {
	in_ns client python3 tests/e2e/hello.py --sni "$1" $BOX_V4 15443
}
