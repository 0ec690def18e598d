/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an identity, a certificate, a bundle or a mapping was refused: one list, one table of texts. Each rule has its
 * own entry, so that a log line names the rule and a test can expect it. Grep for a text to find the line that decided.
 *
 * References: [ID] SPIFFE-ID.md, [SVID] X509-SVID.md, [BUNDLE] SPIFFE_Trust_Domain_and_Bundle.md, RFC 5280, RFC 6125.
 */
#ifndef POSTERN_CERTS_CERT_ERROR_H
#define POSTERN_CERTS_CERT_ERROR_H

/* X(constant, text, what it means) */
#define CERT_ERROR_LIST(X)                                                                                             \
	X(NONE, "none", "nothing is wrong")                                                                            \
	X(MEMORY, "memory", "no memory for it")                                                                        \
	/* SPIFFE IDs: [ID] section 2 */                                                                               \
	X(SPIFFE_EMPTY, "spiffe_empty", "an empty text where a SPIFFE ID is due")                                      \
	X(SPIFFE_LONG, "spiffe_long", "a SPIFFE ID of more than 2048 bytes")                                           \
	X(SPIFFE_SCHEME, "spiffe_scheme", "it doesn't begin with spiffe://")                                           \
	X(SPIFFE_NUL, "spiffe_nul", "a NUL byte in a SPIFFE ID")                                                       \
	X(SPIFFE_NOT_ASCII, "spiffe_not_ascii", "a byte above 0x7f in a SPIFFE ID")                                    \
	X(SPIFFE_PERCENT, "spiffe_percent", "percent-encoding in a SPIFFE ID")                                         \
	X(SPIFFE_QUERY, "spiffe_query", "a query in a SPIFFE ID")                                                      \
	X(SPIFFE_FRAGMENT, "spiffe_fragment", "a fragment in a SPIFFE ID")                                             \
	X(SPIFFE_USERINFO, "spiffe_userinfo", "user information before the trust domain")                              \
	X(SPIFFE_PORT, "spiffe_port", "a port behind the trust domain")                                                \
	X(SPIFFE_DOMAIN_EMPTY, "spiffe_domain_empty", "no trust domain")                                               \
	X(SPIFFE_DOMAIN_LONG, "spiffe_domain_long", "a trust domain of more than 255 bytes")                           \
	X(SPIFFE_DOMAIN_UPPERCASE, "spiffe_domain_uppercase", "an upper-case letter in the trust domain")              \
	X(SPIFFE_DOMAIN_CHARACTER, "spiffe_domain_character", "a character in the trust domain outside a-z0-9.-_")     \
	X(SPIFFE_PATH_EMPTY_SEGMENT, "spiffe_path_empty_segment", "two slashes in a row in the path")                  \
	X(SPIFFE_PATH_DOTS, "spiffe_path_dots", "a path segment . or ..")                                              \
	X(SPIFFE_PATH_TRAILING_SLASH, "spiffe_path_trailing_slash", "the path ends with a slash")                      \
	X(SPIFFE_PATH_CHARACTER, "spiffe_path_character", "a character in the path outside a-zA-Z0-9.-_")              \
	X(SPIFFE_PATH_ROOT, "spiffe_path_root", "a trust domain's own ID where a workload's is due")                   \
	/* encodings */                                                                                                \
	X(DER_LENGTH, "der_length", "a DER length that is indefinite, not minimal, too large or beyond its parent")    \
	X(DER_DEPTH, "der_depth", "DER nested deeper than a certificate needs")                                        \
	X(DER_TRAILING, "der_trailing", "bytes behind the end of a DER structure")                                     \
	X(CERT_LARGE, "cert_large", "a certificate of more than 32 KiB")                                               \
	X(CERT_MALFORMED, "cert_malformed", "not an X.509 certificate")                                                \
	X(CERT_EXTENSIONS, "cert_extensions", "an extension that is malformed or there twice")                         \
	X(PEM_MALFORMED, "pem_malformed", "a PEM block that can't be read, or none of the kind wanted")                \
	/* certificates: any peer's */                                                                                 \
	X(CHAIN_EMPTY, "chain_empty", "the peer sent no certificate")                                                  \
	X(CHAIN_LONG, "chain_long", "more certificates than a chain may have")                                         \
	X(CHAIN_LARGE, "chain_large", "a chain of more than 64 KiB")                                                   \
	X(KEY_WEAK, "key_weak", "an RSA key below 2048 bits, or an elliptic curve below P-256")                        \
	X(KEY_LARGE, "key_large", "an RSA key above 8192 bits, slow enough to be an attack")                           \
	X(KEY_TYPE, "key_type", "a key that is neither RSA, P-256, P-384, P-521, Ed25519 nor Ed448")                   \
	X(SIGNATURE_WEAK, "signature_weak", "a signature over MD5, SHA-1 or another hash below 112 bits")              \
	X(SAN_NUL, "san_nul", "a NUL byte in a subject alternative name")                                              \
	X(SAN_MALFORMED, "san_malformed", "subject alternative names that can't be read")                              \
	X(SAN_MANY, "san_many", "more subject alternative names than are looked at")                                   \
	X(LEAF_CA, "leaf_ca", "the peer's certificate is a CA's: cA is set")                                           \
	X(LEAF_KEY_CERT_SIGN, "leaf_key_cert_sign", "the peer's certificate may sign certificates: keyCertSign")       \
	X(LEAF_CRL_SIGN, "leaf_crl_sign", "the peer's certificate may sign CRLs: cRLSign")                             \
	X(LEAF_KEY_USAGE, "leaf_key_usage", "a key usage without digitalSignature")                                    \
	X(LEAF_EKU_CLIENT, "leaf_eku_client", "an extended key usage without clientAuth, presented by a client")       \
	X(LEAF_EKU_SERVER, "leaf_eku_server", "an extended key usage without serverAuth, presented by a server")       \
	X(EXPIRED, "expired", "the peer's certificate has expired")                                                    \
	X(NOT_YET_VALID, "not_yet_valid", "the peer's certificate isn't valid yet")                                    \
	X(CA_EXPIRED, "ca_expired", "a CA of the chain has expired")                                                   \
	X(CA_NOT_YET_VALID, "ca_not_yet_valid", "a CA of the chain isn't valid yet")                                   \
	X(CA_NOT_CA, "ca_not_ca", "a certificate in the chain signed another and isn't a CA's")                        \
	X(CA_KEY_USAGE, "ca_key_usage", "a CA whose key usage lacks keyCertSign")                                      \
	X(CA_PURPOSE, "ca_purpose", "a CA whose extended key usage excludes the peer's role")                          \
	X(PATH_LENGTH, "path_length", "more CAs below one than its pathLen allows")                                    \
	X(NAME_CONSTRAINTS, "name_constraints", "a name that a CA's name constraints exclude or can't judge")          \
	X(NAME_CONSTRAINT_NUL, "name_constraint_nul", "a NUL byte in a CA's name constraint")                          \
	X(CRITICAL_EXTENSION, "critical_extension", "a critical extension that is unknown here")                       \
	X(CHAIN_UNTRUSTED, "chain_untrusted", "the chain leads to none of the roots that may decide")                  \
	X(CHAIN_SIGNATURE, "chain_signature", "a signature in the chain is wrong")                                     \
	X(CHAIN_INVALID, "chain_invalid", "path validation failed in a way without a name of its own")                 \
	/* X.509-SVIDs: [SVID] sections 2, 4, 5 */                                                                     \
	X(SVID_NO_URI, "svid_no_uri", "no URI among its names, so no SPIFFE ID")                                       \
	X(SVID_TWO_URIS, "svid_two_uris", "more than one URI among its names")                                         \
	X(SVID_ID_MISPLACED, "svid_id_misplaced", "a SPIFFE ID in a DNS or e-mail name")                               \
	/* trust domains and bundles: [BUNDLE] section 4 */                                                            \
	X(DOMAIN_UNKNOWN, "domain_unknown", "no bundle is known for the SPIFFE ID's trust domain")                     \
	X(DOMAIN_REVOKED, "domain_revoked", "its trust domain's bundle is empty: nothing of that domain is valid")     \
	X(DOMAIN_TWICE, "domain_twice", "a trust domain that has a bundle already")                                    \
	X(AUTHORITY_SHARED, "authority_shared", "a CA key that more than one trust domain has: it proves neither")     \
	X(AUTHORITY_FOREIGN, "authority_foreign", "a CA that belongs to another trust domain than its bundle's")       \
	X(CHAIN_FOREIGN, "chain_foreign", "the chain passes through a CA that is another trust domain's authority")    \
	X(BUNDLE_LARGE, "bundle_large", "a bundle of more than 1 MiB")                                                 \
	X(BUNDLE_DEPTH, "bundle_depth", "JSON nested deeper than a bundle needs")                                      \
	X(BUNDLE_SYNTAX, "bundle_syntax", "not one JSON object")                                                       \
	X(BUNDLE_DUPLICATE, "bundle_duplicate", "a JSON object has a member twice")                                    \
	X(BUNDLE_NO_KEYS, "bundle_no_keys", "no array keys")                                                           \
	X(BUNDLE_KEY_SHAPE, "bundle_key_shape", "an entry of keys that isn't an object, or whose x5c isn't texts")     \
	X(BUNDLE_MANY_KEYS, "bundle_many_keys", "more keys than a bundle may have")                                    \
	X(BUNDLE_MANY_AUTHORITIES, "bundle_many_authorities", "more CA certificates than a bundle may have")           \
	X(BUNDLE_BASE64, "bundle_base64", "an x5c entry that isn't base64 (RFC 4648 section 4)")                       \
	X(BUNDLE_SEQUENCE, "bundle_sequence", "spiffe_sequence isn't an integer of 64 bits")                           \
	X(BUNDLE_REFRESH_HINT, "bundle_refresh_hint", "spiffe_refresh_hint isn't an integer")                          \
	X(BUNDLE_ROLLBACK, "bundle_rollback", "a sequence number below the one in force: an old bundle again")         \
	X(BUNDLE_NOT_CA, "bundle_not_ca", "a certificate offered as an authority isn't a CA's")                        \
	/* legacy PKIs, revocation, servers by name */                                                                 \
	X(PKI_UNKNOWN, "pki_unknown", "no legacy PKI of that name")                                                    \
	X(PKI_TWICE, "pki_twice", "a legacy PKI of that name is there already")                                        \
	X(LEGACY_NO_DNS, "legacy_no_dns", "no DNS name among a legacy client's names; a common name is none")          \
	X(CRL_MALFORMED, "crl_malformed", "not a certificate revocation list, or one with what is unknown here")       \
	X(CRL_LARGE, "crl_large", "revocation lists of more than 16 MiB together")                                     \
	X(CRL_MISSING, "crl_missing", "no revocation list of a CA in the chain, and one is required")                  \
	X(CRL_EXPIRED, "crl_expired", "the revocation list should have been replaced by now")                          \
	X(CRL_SIGNATURE, "crl_signature", "the revocation list isn't signed by the CA it speaks for")                  \
	X(REVOKED, "revoked", "the peer's certificate is revoked")                                                     \
	X(CA_REVOKED, "ca_revoked", "a CA of the chain is revoked")                                                    \
	X(OCSP_MISSING, "ocsp_missing", "the certificate demands an OCSP staple (RFC 7633) and none came")             \
	X(OCSP_MALFORMED, "ocsp_malformed", "an OCSP staple that can't be read or says nothing of this certificate")   \
	X(OCSP_SIGNATURE, "ocsp_signature", "an OCSP staple that isn't signed by the CA or one whom it charged")       \
	X(OCSP_EXPIRED, "ocsp_expired", "an OCSP staple that is too old, or from the future")                          \
	X(OCSP_UNKNOWN, "ocsp_unknown", "the OCSP responder doesn't know the certificate")                             \
	X(SERVER_NAME, "server_name", "the server's certificate carries none of the names expected")                   \
	X(SERVER_UNEXPECTED, "server_unexpected", "the server's SPIFFE ID is none of those expected")                  \
	X(SERVER_NOTHING_EXPECTED, "server_nothing_expected", "nothing is expected of the server, so nobody is it")    \
	/* identity maps */                                                                                            \
	X(MAP_NO_RULE, "map_no_rule", "no rule of the identity map matches")                                           \
	X(MAP_AMBIGUOUS, "map_ambiguous", "two names of the certificate match the same rule and give two IDs")         \
	X(MAP_PIN, "map_pin", "the rule that matches pins another public key")                                         \
	X(MAP_RULE_EMPTY, "map_rule_empty", "a rule that says neither whose certificate nor which interface")          \
	X(MAP_RULE_DNS, "map_rule_dns", "dns is neither a host name nor *. and at least two labels")                   \
	X(MAP_RULE_TEMPLATE, "map_rule_template", "{dns.label} where no wildcard gives it, or other braces")           \
	X(MAP_RULE_CIDR, "map_rule_cidr", "sourceCIDR has bits set behind its length")                                 \
	X(MAP_RULE_DOMAIN, "map_rule_domain", "the rule's SPIFFE ID isn't in the map's own trust domain")              \
	X(MAP_DOMAIN_TAKEN, "map_domain_taken", "the map's trust domain is a federated one, or the local one")

enum cert_error {
#define X(constant, text, meaning) CERT_##constant,
	CERT_ERROR_LIST(X)
#undef X
		CERT_ERROR_COUNT
};

/* "svid_two_uris". Never NULL; "unknown" for what isn't an error. */
const char *cert_error_text(enum cert_error error);
/* One clause for a person. Never NULL. */
const char *cert_error_meaning(enum cert_error error);

#endif
