/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where Postern's own SVID comes from: files that something else keeps fresh (spiffe-helper, cert-manager's CSI driver,
 * a mounted secret), or the embedded CA. Both end in a struct credential, which is replaced as a whole.
 *
 * From files the certificate must be an X.509-SVID of the box's own trust domain: exactly one URI, a workload's SPIFFE
 * ID. From the embedded CA it is issued for the ID that is given, and made anew at half of its life.
 *
 * Polled by the control thread, about once a second. When the source fails, the last one stays in force, expired or
 * not, and error and since say so.
 */
#ifndef POSTERN_CERTS_IDENTITY_SOURCE_H
#define POSTERN_CERTS_IDENTITY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/credential_file.h"
#include "certs/issuer.h"

/* Control thread only. */
struct identity_source {
	char *trust_domain;
	char *spiffe_id;               /* embedded: whose SVID; files: NULL */
	char *directory;               /* files */
	struct issuer *issuer;         /* embedded; the caller's, outlives it */
	struct credential_watch watch; /* files */
	OSSL_LIB_CTX *libctx;
	struct credential *current;  /* in force, or NULL as long as there was none */
	enum credential_error error; /* why there is none, or none newer */
	int64_t since;               /* Unix seconds: since when it is so */
};

/* Texts are copied. Nothing is read yet. False when OpenSSL can't give it a context. */
bool identity_source_files(struct identity_source *source, const char *trust_domain, const char *directory);
/* spiffe_id: a workload's ID in trust_domain, which the issuer has. issuer_renew is what renews it. */
void identity_source_embedded(struct identity_source *source, const char *trust_domain, struct issuer *issuer,
			      const char *spiffe_id);
/* now_ns: CLOCK_REALTIME; it may step. */
enum credential_change identity_source_poll(struct identity_source *source, int64_t now_ns);
void identity_source_close(struct identity_source *source);

#endif
