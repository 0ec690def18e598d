/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parsers of bundles (JWKS, PEM, DER) and of revocation lists, over any bytes, and what must hold of them: what
 * passes is within the bounds that are promised, and each authority of it is one that the parser of DER takes too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "certs/bundle.h"
#include "certs/crl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_bundle(enum cert_error error, struct bundle *bundle)
{
	check((error == CERT_NONE) == (bundle != NULL) && error < CERT_ERROR_COUNT);
	if (bundle == NULL)
		return;
	check(bundle->n_authorities <= BUNDLE_AUTHORITIES_MAX && bundle->n_passed_over <= BUNDLE_KEYS_MAX);
	check(bundle->refresh_s >= BUNDLE_REFRESH_MIN && bundle->refresh_s <= BUNDLE_REFRESH_MAX);
	check(bundle->has_sequence || bundle->sequence == 0);
	check(bundle_may_follow(bundle, bundle) == CERT_NONE && bundle_may_follow(NULL, bundle) == CERT_NONE);
	for (uint32_t i = 0; i < bundle->n_authorities; i++) {
		const struct bundle_authority *authority = &bundle->authorities[i];
		struct bundle *alone;
		check(bundle_parse_der(authority->der, authority->length, &alone) == CERT_NONE);
		check(alone->n_authorities == 1);
		check(memcmp(alone->authorities[0].spki_sha256, authority->spki_sha256, 32) == 0);
		bundle_drop(alone);
	}
	bundle_drop(bundle);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bundle *bundle;
	struct crl_list *crls;
	char *text = malloc(size != 0 ? size : 1);

	check(text != NULL);
	memcpy(text, data, size);
	enum cert_error error = bundle_parse_jwks(text, size, &bundle);
	check_bundle(error, bundle);
	error = bundle_parse_pem(text, size, &bundle);
	check_bundle(error, bundle);
	error = bundle_parse_der((const uint8_t *)text, size, &bundle);
	check_bundle(error, bundle);
	error = crl_parse(text, size, &crls);
	check((error == CERT_NONE) == (crls != NULL && crls->n > 0));
	crl_drop(crls);
	free(text);
	return 0;
}
