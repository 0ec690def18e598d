/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of text in the federation must look like. Pure functions over (pointer, length).
 *
 * Each returns NULL when the text is right, or what is wrong with it, to be put after the text in a message.
 */
#ifndef POSTERN_FEDERATION_SYNTAX_H
#define POSTERN_FEDERATION_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SYNTAX_LABEL_MAX = 63,         /* bytes of a DNS label, RFC 1035 section 2.3.4 */
	SYNTAX_HOST_MAX = 253,         /* bytes of a DNS name as text */
	SYNTAX_TRUST_DOMAIN_MAX = 255, /* SPIFFE-ID section 2.1 */
	SYNTAX_SPIFFE_ID_MAX = 2048,   /* section 2.3 */
	SYNTAX_SHA256_BYTES = 32,
	SYNTAX_PORT_NAME_MAX = 31 /* postern.conf's */
};

/* A host name: labels of letters, digits and '-' (RFC 1123 section 2.1), either case, no trailing dot, not an address.
 */
const char *syntax_host(const char *text, size_t length);
/* The same, or "*", or "*." and a host name. *wildcard: what is wrong has to do with a '*'. */
const char *syntax_host_pattern(const char *text, size_t length, bool *wildcard);
/* Kubernetes' names: RFC 1123 label and subdomain, lower-case only. */
const char *syntax_dns_label(const char *text, size_t length);
const char *syntax_dns_subdomain(const char *text, size_t length);
/* SPIFFE-ID section 2.1: [a-z0-9.-_], at most 255 bytes. */
const char *syntax_trust_domain(const char *text, size_t length);
/* SPIFFE-ID section 2, of one who may have an SVID: "spiffe://trust-domain/path", the path not empty. */
const char *syntax_spiffe_id(const char *text, size_t length);
/* Where the trust domain of a right SPIFFE ID is, and how long. */
const char *syntax_spiffe_domain(const char *id, size_t *length);
/* SPIFFE-Federation section 5.1: "https://host[:port][/path]", without user or fragment. */
const char *syntax_https_url(const char *text, size_t length);
/* 64 hexadecimal digits, or 44 of base64 (RFC 4648 section 4). */
const char *syntax_sha256(const char *text, size_t length, uint8_t hash[SYNTAX_SHA256_BYTES]);
/* The name that a port has in postern.conf. */
const char *syntax_port_name(const char *text, size_t length);
/* Names that Istio leaves open: letters, digits, '-', '_', '.', at most 253 bytes. */
const char *syntax_identifier(const char *text, size_t length);
/* region, region/zone or region/zone/subzone, each an identifier. */
const char *syntax_locality(const char *text, size_t length);
/* Kubernetes' labels: [prefix/]name, and a value of at most 63 bytes that may be empty. */
const char *syntax_label_key(const char *text, size_t length);
const char *syntax_label_value(const char *text, size_t length);
/* Go's time.ParseDuration as Istio uses it: "1h30m", "1.5s", "200ms"; a whole number of milliseconds, at least 1. */
const char *syntax_duration(const char *text, size_t length, uint32_t *milliseconds);

#endif
