/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_resume.h"

#include <openssl/ssl.h>
#include <string.h>

static bool
has_key(const SSL_SESSION *session, const uint8_t key[TLS_DIGEST])
{
	unsigned length;
	const uint8_t *context = SSL_SESSION_get0_id_context(session, &length);

	return length == TLS_DIGEST && memcmp(context, key, TLS_DIGEST) == 0;
}

/* Keys are digests: their first byte is as good as any hash. */
static struct tls_resume_place *
set_of(struct tls_resume *resume, const uint8_t *key)
{
	return resume->places[key[0] % TLS_RESUME_SETS];
}

bool
tls_resume_keep(struct tls_resume *resume, SSL_SESSION *session)
{
	unsigned length;
	const uint8_t *key = SSL_SESSION_get0_id_context(session, &length);

	if (length != TLS_DIGEST || !SSL_SESSION_is_resumable(session)) {
		SSL_SESSION_free(session);
		return false;
	}
	struct tls_resume_place *set = set_of(resume, key), *place = &set[0];
	for (unsigned i = 0; i < TLS_RESUME_WAYS; i++) {
		if (set[i].session != NULL && has_key(set[i].session, key)) {
			place = &set[i]; /* one for each key: the latest */
			break;
		}
		if (place->session != NULL && (set[i].session == NULL || set[i].order < place->order))
			place = &set[i];
	}
	SSL_SESSION_free(place->session);
	*place = (struct tls_resume_place){.session = session, .order = ++resume->order};
	return true;
}

SSL_SESSION *
tls_resume_find(struct tls_resume *resume, const uint8_t key[TLS_DIGEST])
{
	struct tls_resume_place *set = set_of(resume, key);

	for (unsigned i = 0; i < TLS_RESUME_WAYS; i++) {
		SSL_SESSION *session = set[i].session;
		if (session == NULL || !has_key(session, key))
			continue;
		if (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION)
			return SSL_SESSION_dup(session); /* a connection may declare its own void */
		set[i].session = NULL;
		return session;
	}
	return NULL;
}

void
tls_resume_clear(struct tls_resume *resume)
{
	for (unsigned i = 0; i < TLS_RESUME_SETS; i++)
		for (unsigned j = 0; j < TLS_RESUME_WAYS; j++) {
			SSL_SESSION_free(resume->places[i][j].session);
			resume->places[i][j].session = NULL;
		}
}
