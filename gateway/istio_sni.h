/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Istio's server names between clusters: outbound_.<port>_.<subset>_.<host>, for instance
 * "outbound_.8443_.v1_.payments.bank.svc.cluster.local", or "outbound_.8443_._.payments…" without a subset
 * (istio/istio pilot/pkg/model/service.go, BuildDNSSrvSubsetKey).
 */
#ifndef POSTERN_GATEWAY_ISTIO_SNI_H
#define POSTERN_GATEWAY_ISTIO_SNI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct istio_sni {
	uint16_t port;
	const char *subset; /* into the name; length 0: none */
	size_t subset_length;
	const char *host;
	size_t host_length;
};

/* name: lower-case, as client_hello_parse leaves it. False when it isn't of that form: another direction, no port, a
 * port that is 0, over 65535 or has a leading zero, an empty host, a further "_." in the host. A subset with a dot is
 * returned as it stands: no subset can have that name. Nothing is copied. *parsed is unspecified when false. */
bool istio_sni_parse(const char *name, size_t length, struct istio_sni *parsed);

#endif
