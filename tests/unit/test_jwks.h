/* SPDX-License-Identifier: Apache-2.0 */
/* SPIFFE bundles for tests, written as JWKS documents. */
#ifndef POSTERN_TESTS_UNIT_TEST_JWKS_H
#define POSTERN_TESTS_UNIT_TEST_JWKS_H

#include "certs/bundle.h"
#include "platform/text.h"
#include "tests/unit/test_ca.h"

/* The certificate in base64; free. */
static inline char *
test_base64(X509 *cert)
{
	size_t length;
	unsigned char *der = test_der(cert, &length);
	char *text = malloc(length / 3 * 4 + 5);

	EVP_EncodeBlock((unsigned char *)text, der, (int)length);
	OPENSSL_free(der);
	return text;
}

/* Adds one x509-svid key, with a comma before it if another is there. */
static inline void
test_jwk(struct text *text, X509 *cert)
{
	char *base64 = test_base64(cert);

	text_print(text, "%s{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":[\"%s\"]}", text->length > 0 ? "," : "",
		   base64);
	free(base64);
}

/* A bundle of these certificates; bundle_drop. */
static inline struct bundle *
test_bundle(X509 *const *certs, unsigned n)
{
	struct text keys = {0}, document = {0};
	struct bundle *bundle;

	for (unsigned i = 0; i < n; i++)
		test_jwk(&keys, certs[i]);
	text_print(&document, "{\"keys\":[%s]}", n > 0 ? keys.bytes : "");
	TEST_NEED(bundle_parse_jwks(document.bytes, document.length, &bundle) == CERT_NONE);
	text_free(&keys);
	text_free(&document);
	return bundle;
}

#endif
