/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_error.h"

static const struct {
	const char *text;
	const char *meaning;
} errors[CERT_ERROR_COUNT] = {
#define X(constant, text, meaning) [CERT_##constant] = {text, meaning},
	CERT_ERROR_LIST(X)
#undef X
};

const char *
cert_error_text(enum cert_error error)
{
	return (unsigned)error < CERT_ERROR_COUNT ? errors[error].text : "unknown";
}

const char *
cert_error_meaning(enum cert_error error)
{
	return (unsigned)error < CERT_ERROR_COUNT ? errors[error].meaning : "unknown";
}
