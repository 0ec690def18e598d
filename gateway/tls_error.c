/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

enum { ALERTS = 256 /* AlertDescription is a byte */ };

static const struct {
	int theirs;
	enum reason ours;
} reasons[] = {
	{SSL_R_UNSUPPORTED_PROTOCOL, REASON_TLS_VERSION},
	{SSL_R_VERSION_TOO_LOW, REASON_TLS_VERSION},
	{SSL_R_VERSION_TOO_HIGH, REASON_TLS_VERSION},
	{SSL_R_WRONG_SSL_VERSION, REASON_TLS_VERSION},
	{SSL_R_UNKNOWN_PROTOCOL, REASON_TLS_VERSION},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, REASON_TLS_ALERT_RECEIVED},
	{SSL_R_NO_SHARED_CIPHER, REASON_TLS_NO_SHARED_CIPHER},
	{SSL_R_NO_SUITABLE_KEY_SHARE, REASON_TLS_NO_SHARED_CIPHER},
	{SSL_R_NO_SUITABLE_GROUPS, REASON_TLS_NO_SHARED_CIPHER},
	{SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, REASON_TLS_NO_SHARED_CIPHER},
	{SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, REASON_TLS_NO_SHARED_CIPHER},
	{SSL_R_WRONG_SIGNATURE_TYPE, REASON_TLS_NO_SHARED_CIPHER},
	{SSL_R_NO_APPLICATION_PROTOCOL, REASON_TLS_NO_SHARED_PROTOCOL},
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, REASON_TLS_CLIENT_CERTIFICATE_MISSING},
	{SSL_R_EXCESSIVE_MESSAGE_SIZE, REASON_TLS_HANDSHAKE_TOO_LARGE},
	{SSL_R_NO_RENEGOTIATION, REASON_TLS_RENEGOTIATION},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING, REASON_TLS_RECORD_TRUNCATED},
	{SSL_R_NO_CERTIFICATE_ASSIGNED, REASON_TLS_OWN_CREDENTIAL},
	{ERR_R_MALLOC_FAILURE, REASON_TLS_NO_MEMORY},
};

static enum reason
translate(unsigned long error, enum reason otherwise)
{
	int theirs = ERR_GET_REASON(error);

	if (theirs != ERR_R_MALLOC_FAILURE && ERR_GET_LIB(error) != ERR_LIB_SSL)
		return otherwise;
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].theirs == theirs)
			return reasons[i].ours;
	return theirs >= SSL_AD_REASON_OFFSET && theirs < SSL_AD_REASON_OFFSET + ALERTS ? REASON_TLS_ALERT_RECEIVED
											: otherwise;
}

enum reason
tls_error_take(enum reason otherwise)
{
	enum reason reason = otherwise;
	unsigned long error;

	/* The oldest one is nearest to the cause; some only say that something failed. */
	while ((error = ERR_get_error()) != 0)
		reason = reason == otherwise ? translate(error, otherwise) : reason;
	return reason;
}

int
tls_error_verify(enum reason reason)
{
	switch ((int)reason) {
	case REASON_TLS_PEER_EXPIRED:
		return X509_V_ERR_CERT_HAS_EXPIRED; /* certificate_expired */
	case REASON_TLS_PEER_REVOKED:
		return X509_V_ERR_CERT_REVOKED; /* certificate_revoked */
	case REASON_TLS_PEER_MALFORMED:
		return X509_V_ERR_CERT_REJECTED; /* bad_certificate */
	case REASON_TLS_PEER_IDENTITY:
		return X509_V_ERR_PERMITTED_VIOLATION; /* certificate_unknown */
	case REASON_TLS_NO_MEMORY:
		return X509_V_ERR_OUT_OF_MEM; /* internal_error */
	default:
		return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY; /* unknown_ca */
	}
}
