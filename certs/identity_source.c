/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/identity_source.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "certs/spiffe_id.h"

enum { NS_PER_S = 1000000000 };

/* Control plane only: without memory for a name there is nothing left to do. */
static char *
copy(const char *text)
{
	char *copied = strdup(text);
	if (copied == NULL)
		abort();
	return copied;
}

bool
identity_source_files(struct identity_source *source, const char *trust_domain, const char *directory)
{
	*source = (struct identity_source){.libctx = OSSL_LIB_CTX_new()};
	if (source->libctx == NULL)
		return false;
	source->trust_domain = copy(trust_domain);
	source->directory = copy(directory);
	credential_watch_begin(&source->watch, source->directory);
	return true;
}

void
identity_source_embedded(struct identity_source *source, const char *trust_domain, struct issuer *issuer,
			 const char *spiffe_id)
{
	*source = (struct identity_source){
		.trust_domain = copy(trust_domain), .spiffe_id = copy(spiffe_id), .issuer = issuer};
}

static enum credential_error
check_svid(const struct credential *credential, const char *trust_domain)
{
	struct spiffe_id id;

	if (spiffe_id_parse(credential->spiffe_id, strlen(credential->spiffe_id), &id) != CERT_NONE)
		return CREDENTIAL_NOT_SVID;
	return spiffe_id_in_domain(&id, trust_domain, strlen(trust_domain)) ? CREDENTIAL_NONE : CREDENTIAL_OTHER_DOMAIN;
}

/* What the source has now: a reference, or NULL with *error. */
static struct credential *
obtain(struct identity_source *source, int64_t now_ns, enum credential_error *error)
{
	if (source->issuer != NULL)
		return issuer_get(source->issuer, source->spiffe_id, strlen(source->spiffe_id), now_ns / NS_PER_S,
				  error);
	credential_watch_poll(&source->watch, source->libctx, now_ns);
	*error = source->watch.error;
	return source->watch.current == NULL ? NULL : credential_take(source->watch.current);
}

enum credential_change
identity_source_poll(struct identity_source *source, int64_t now_ns)
{
	enum credential_error error;
	struct credential *next = obtain(source, now_ns, &error);
	bool replaces = next != NULL && next != source->current;

	if (replaces) {
		enum credential_error refused = check_svid(next, source->trust_domain);
		if (refused != CREDENTIAL_NONE) {
			error = refused;
			replaces = false;
		}
	}
	bool same_error = error == source->error;
	source->error = error;
	if (replaces || !same_error)
		source->since = now_ns / NS_PER_S;
	if (!replaces) {
		credential_drop(next);
		return error == CREDENTIAL_NONE || same_error ? CREDENTIAL_SAME : CREDENTIAL_FAILED;
	}
	credential_drop(source->current);
	source->current = next;
	return CREDENTIAL_REPLACED;
}

void
identity_source_close(struct identity_source *source)
{
	credential_drop(source->current);
	if (source->directory != NULL)
		credential_watch_end(&source->watch);
	OSSL_LIB_CTX_free(source->libctx);
	free(source->trust_domain);
	free(source->spiffe_id);
	free(source->directory);
	*source = (struct identity_source){0};
}
