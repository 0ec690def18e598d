/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification over any DER: certificates one behind the other, the leaf first. The last of them that is a CA's is
 * taken for the trust domain's only authority and the PKI's only anchor, so that what the fuzzer makes of a good chain
 * gets all the way; bytes behind the certificates are an OCSP staple. What must hold: what passes once passes again,
 * from the cache and from another view, with the same identity; and a SPIFFE identity is of the domain that trusts the
 * CA.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "certs/bundle.h"
#include "certs/der.h"
#include "certs/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000 /* when the corpus is valid */ };

static void
check(bool holds)
{
	if (!holds)
		abort();
}

struct asked {
	const uint8_t *staple;
	size_t staple_length;
};

static enum cert_error
ask(struct trust_view *view, unsigned what, STACK_OF(X509) *certs, const struct asked *asked,
    struct peer_identity **identity)
{
	static const char *const NAMES[] = {"a.example", "192.0.2.1"};
	struct verify_server server = {.pki = "corp", .names = NAMES, .n_names = 2};

	switch (what) {
	case 0:
		return verify_spiffe(view, certs, PEER_CLIENT, NOW, identity);
	case 1:
		return verify_spiffe(view, certs, PEER_SERVER, NOW, identity);
	case 2:
		return verify_legacy(view, "corp", certs, NOW, identity);
	default:
		server.staple = asked->staple_length > 0 ? asked->staple : NULL;
		server.staple_length = asked->staple_length;
		return verify_server(view, &server, certs, NOW, identity);
	}
}

static void
ask_all(struct trust *trust, STACK_OF(X509) *certs, const struct asked *asked)
{
	struct trust_view *view = trust_view_new(NULL), *other = trust_view_new(NULL);

	check(view != NULL && other != NULL);
	trust_view_set(view, trust);
	trust_view_set(other, trust);
	for (unsigned what = 0; what < 4; what++) {
		struct peer_identity *identity, *again;
		enum cert_error error = ask(view, what, certs, asked, &identity);
		check((error == CERT_NONE) == (identity != NULL) && error < CERT_ERROR_COUNT);
		check(ask(view, what, certs, asked, &again) == error);
		check(again == identity); /* the very same, from the cache */
		peer_identity_drop(again);
		check(ask(other, what, certs, asked, &again) == error);
		if (identity != NULL) {
			check(memcmp(again->chain_sha256, identity->chain_sha256, 32) == 0);
			check(identity->not_before <= NOW && identity->not_after >= NOW);
			check((identity->id.length != 0) == (what < 2));
			check(what >= 2 || spiffe_id_in_domain(&identity->id, "a.example", 9));
			check(verify_again(other, identity, NOW) == CERT_NONE);
		}
		peer_identity_drop(again);
		peer_identity_drop(identity);
	}
	trust_view_free(view);
	trust_view_free(other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_bytes der[VERIFY_CHAIN_MAX];
	struct bundle *anchor = NULL;
	unsigned n = 0;
	STACK_OF(X509) *certs;

	while (n < VERIFY_CHAIN_MAX && size > 0) {
		size_t header, whole = der_element(data, size, &header);
		struct bundle *one;
		if (whole == 0 || bundle_parse_der(data, whole, &one) != CERT_NONE)
			break;
		if (one->n_authorities == 1) {
			bundle_drop(anchor);
			anchor = one;
		} else {
			bundle_drop(one);
		}
		der[n++] = (struct peer_bytes){(const char *)data, (uint32_t)whole};
		data += whole;
		size -= whole;
	}
	/* What the parser of bundles refuses still goes through the parser of chains. */
	if (n == 0)
		der[n++] = (struct peer_bytes){(const char *)data, (uint32_t)size};
	if (verify_parse(NULL, der, n, &certs) == CERT_NONE) {
		struct trust *trust = trust_new(1);
		check(trust != NULL);
		if (anchor != NULL) {
			check(trust_add_domain(trust, "a.example", 9, anchor) == CERT_NONE);
			check(trust_add_pki(trust, "corp", anchor, NULL, TRUST_REVOCATION_IF_LISTED) == CERT_NONE);
		}
		trust_seal(trust);
		ask_all(trust, certs, &(struct asked){data, size});
		trust_drop(trust);
		sk_X509_pop_free(certs, X509_free);
	}
	bundle_drop(anchor);
	return 0;
}
