/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of an AuthorizationPolicy's fields as patterns. Istio's four forms: "abc", "abc*", "*abc", and "*" for
 * any value there is; everything else is literal, dots too.
 */
#ifndef POSTERN_FEDERATION_POLICY_PATTERNS_H
#define POSTERN_FEDERATION_POLICY_PATTERNS_H

#include "federation/policy.h"
#include "federation/schema.h"

/* Reads one value, which is text. False, and reported, when it isn't right. field: as the file calls it. space: the
 * policy's namespace. pattern->local: it says no trust domain, though it is about identities. */
typedef bool policy_pattern_read(struct reader *reader, const struct yaml_node *node, const char *field,
				 struct name space, struct pattern *pattern);

/* "TRUST-DOMAIN/PATH" and patterns of it. A prefix must go as far as the trust domain's '/': "a.example*" would take
 * "a.example.evil" in. */
policy_pattern_read policy_principal_read;
policy_pattern_read policy_namespace_read;
/* "ACCOUNT" of the policy's own namespace, or "NAMESPACE/ACCOUNT"; no wildcards. */
policy_pattern_read policy_account_read;
/* An address, or one and the length of its prefix. */
policy_pattern_read policy_address_read;
policy_pattern_read policy_port_read;
policy_pattern_read policy_host_read;

#endif
