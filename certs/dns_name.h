/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names in certificates and in rules about them (RFC 6125 section 6.4, RFC 5890's LDH labels and the underscore
 * that people use). Pure, over (pointer, length). All names here are lower-case already.
 *
 * A wildcard is a whole leftmost label, stands for exactly one label, and has at least two labels behind it: "*.com"
 * would be everybody.
 */
#ifndef POSTERN_CERTS_DNS_NAME_H
#define POSTERN_CERTS_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { DNS_NAME_MAX = 253, DNS_LABEL_MAX = 63 };

/* A host name: labels of a-z, 0-9, "-" and "_", none beginning or ending with "-"; no trailing dot; no address. */
bool dns_name_is_host(const char *name, size_t length);
/* "*." and a host name of at least two labels. */
bool dns_name_is_wildcard(const char *name, size_t length);
/* Whether pattern (a host name or a wildcard) stands for host. For a wildcard *label_length, if not NULL, becomes the
 * length of host's first label, else 0. */
bool dns_name_match(const char *pattern, size_t pattern_length, const char *host, size_t host_length,
		    size_t *label_length);

#endif
