/* SPDX-License-Identifier: Apache-2.0 */
/* X.509's times as Unix seconds. */
#ifndef POSTERN_CERTS_CERT_TIME_H
#define POSTERN_CERTS_CERT_TIME_H

#include <openssl/asn1.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5). False when it is neither. */
static inline bool
cert_time_read(const ASN1_TIME *time, int64_t *seconds)
{
	struct tm parts;

	/* Without a time OpenSSL would give the present one. */
	if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
		return false;
	*seconds = timegm(&parts);
	return true;
}

#endif
