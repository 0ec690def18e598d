/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_session.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <string.h>

#include "gateway/tls_engine.h"
#include "gateway/tls_error.h"
#include "gateway/tls_handshake.h"

void
tls_session_open(struct tls_session *session, struct tls_terms *terms, const struct tls_ask *ask, void *owner)
{
	*session = (struct tls_session){.terms = tls_terms_take(terms),
					.owner = owner,
					.ask = *ask,
					.thread = TLS_NO_THREAD,
					.bio.allowance = TLS_HANDSHAKE_MAX};
}

void
tls_session_close(struct tls_session *session)
{
	SSL_free(session->ssl);
	tls_bio_clear(&session->bio);
	tls_terms_drop(session->terms);
	*session = (struct tls_session){.thread = TLS_NO_THREAD};
}

/* Sessions may be resumed where this is the same: on the same terms, by the same policy, under the same server's name.
 */
static bool
resume_key(const struct tls_engine *engine, const struct tls_session *session, uint8_t key[TLS_DIGEST])
{
	enum { NAME_AT = 2 * TLS_DIGEST };
	uint8_t bytes[NAME_AT + TLS_SERVER_NAME_MAX];
	const char *policy = session->ask.policy == NULL ? "" : session->ask.policy;
	const char *name = session->ask.server_name == NULL ? "" : session->ask.server_name;
	size_t length = strnlen(name, TLS_SERVER_NAME_MAX);

	memcpy(bytes, session->terms->digest, TLS_DIGEST);
	memcpy(bytes + NAME_AT, name, length);
	return EVP_Digest(policy, strlen(policy), bytes + TLS_DIGEST, NULL, engine->sha256, NULL) == 1 &&
	       EVP_Digest(bytes, NAME_AT + length, key, NULL, engine->sha256, NULL) == 1;
}

static bool
set_up_client(struct tls_session *session, struct tls_engine *engine, const uint8_t key[TLS_DIGEST])
{
	const struct tls_ask *ask = &session->ask;

	if (ask->server_name != NULL && ask->server_name[0] != '\0' &&
	    SSL_set_tlsext_host_name(session->ssl, ask->server_name) != 1)
		return false;
	if (ask->alpn_length != 0 && SSL_set_alpn_protos(session->ssl, ask->alpn, ask->alpn_length) != 0)
		return false;
	SSL_SESSION *earlier = tls_resume_find(&engine->resume, key);
	bool fine = earlier == NULL || !tls_handshake_restore(engine, session, earlier) ||
		    SSL_set_session(session->ssl, earlier) == 1;
	SSL_SESSION_free(earlier);
	SSL_set_connect_state(session->ssl);
	return fine;
}

static bool
set_up(struct tls_session *session, struct tls_engine *engine)
{
	SSL_CTX *context = tls_contexts_find(&engine->contexts, session->terms, session->ask.server_name);
	uint8_t key[TLS_DIGEST];

	if (context == NULL) {
		session->reason = REASON_TLS_OWN_CREDENTIAL;
		return false;
	}
	session->reason = REASON_TLS_NO_MEMORY;
	session->engine = engine;
	session->ssl = SSL_new(context);
	BIO *bio = session->ssl == NULL ? NULL : tls_bio_new(engine->libctx, &session->bio);
	if (bio == NULL)
		return false;
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_app_data(session->ssl, session);
	session->generation = engine->hooks->generation(engine->thread);
	if (!resume_key(engine, session, key) || SSL_set_session_id_context(session->ssl, key, sizeof(key)) != 1)
		return false;
	if (session->terms->role == TLS_SERVER)
		SSL_set_accept_state(session->ssl);
	else if (!set_up_client(session, engine, key))
		return false;
	session->reason = REASON_NONE;
	return true;
}

static enum tls_progress
fail(struct tls_session *session, struct tls_engine *engine, enum reason reason)
{
	session->reason = reason;
	engine->stats.failed[session->terms->role]++;
	return TLS_FAILED;
}

/* What OpenSSL would keep for the session's life, and nobody asks for any more: the peer's chain but for the leaf,
 * which can't be taken from it, the leaf's public key (with its curve, 2 kB), and what was written into our ticket.
 * What hooks.verify wanted to know of them it has. */
static void
forget_peer(struct tls_session *session)
{
	SSL *ssl = session->ssl;
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	EVP_PKEY *key = leaf == NULL ? NULL : X509_get0_pubkey(leaf);

	while (chain != NULL && sk_X509_num(chain) > 0)
		X509_free(sk_X509_pop(chain));
	if (key != NULL)
		EVP_PKEY_set_type(key, EVP_PKEY_ED25519); /* of any type: it has no numbers then */
	if (session->terms->role == TLS_SERVER)
		SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), NULL, 0);
}

static enum tls_progress
establish(struct tls_session *session, struct tls_engine *engine)
{
	session->established = true;
	session->bio.allowance = UINT64_MAX;
	session->resumed = SSL_session_reused(session->ssl) == 1;
	if (session->resumed)
		session->verified = session->restored;
	/* OpenSSL doesn't say so when a resumed session of TLS 1.2 got another ticket. */
	if (session->resumed && session->terms->role == TLS_CLIENT && SSL_version(session->ssl) < TLS1_3_VERSION)
		tls_handshake_keep(session, SSL_get_session(session->ssl));
	(session->resumed ? engine->stats.resumed : engine->stats.full)[session->terms->role]++;
	forget_peer(session);
	return TLS_DONE;
}

static enum tls_progress
handshake(struct tls_session *session, struct tls_engine *engine)
{
	ERR_clear_error();
	if (session->ssl == NULL && !set_up(session, engine)) {
		ERR_clear_error();
		return fail(session, engine, session->reason);
	}
	int result = SSL_do_handshake(session->ssl);
	if (result == 1)
		return establish(session, engine);
	switch (SSL_get_error(session->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return session->bio.allowance == 0 ? fail(session, engine, REASON_TLS_HANDSHAKE_TOO_LARGE)
						   : TLS_WANT_INPUT;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_ROOM;
	default:
		break;
	}
	enum reason reason = tls_error_take(REASON_TLS_HANDSHAKE_FAILED);
	if (session->verify_reason != REASON_NONE)
		reason = session->verify_reason;
	else if (reason == REASON_TLS_RECORD_TRUNCATED)
		reason = REASON_TLS_HANDSHAKE_CLOSED;
	return fail(session, engine, reason);
}

/* OpenSSL sends an alert when something goes wrong, and never on demand. So something is made to: a ticket, in which
 * on_ticket_extension (tls_handshake.c) puts the alert. */
static enum tls_progress
deny(struct tls_session *session)
{
	if (SSL_new_session_ticket(session->ssl) == 1)
		SSL_do_handshake(session->ssl);
	ERR_clear_error();
	return TLS_FAILED;
}

enum tls_progress
tls_session_handshake(struct tls_session *session, struct tls_engine *engine)
{
	/* Where OpenSSL asks for no context, as when it reads a ticket, it takes the thread's default one: by itself
	 * the process's, which all threads share, and which has the long lists (tls_library.h). */
	OSSL_LIB_CTX *before = OSSL_LIB_CTX_set0_default(engine->libctx);
	enum tls_progress progress = session->denies ? deny(session) : handshake(session, engine);

	OSSL_LIB_CTX_set0_default(before);
	return progress;
}

const char *
tls_session_version(const struct tls_session *session)
{
	return session->established ? SSL_get_version(session->ssl) : "";
}

const char *
tls_session_cipher(const struct tls_session *session)
{
	return session->established ? SSL_CIPHER_standard_name(SSL_get_current_cipher(session->ssl)) : "";
}

struct tls_bytes
tls_session_alpn(const struct tls_session *session)
{
	struct tls_bytes name = {NULL, 0};
	unsigned length = 0;

	if (session->established)
		SSL_get0_alpn_selected(session->ssl, &name.bytes, &length);
	name.length = length;
	return name;
}

const char *
tls_alert_text(uint8_t alert)
{
	static const struct {
		uint8_t number;
		const char *text;
	} texts[] = {
		{0, "close_notify"},
		{10, "unexpected_message"},
		{20, "bad_record_mac"},
		{22, "record_overflow"},
		{40, "handshake_failure"},
		{42, "bad_certificate"},
		{43, "unsupported_certificate"},
		{44, "certificate_revoked"},
		{45, "certificate_expired"},
		{46, "certificate_unknown"},
		{47, "illegal_parameter"},
		{48, "unknown_ca"},
		{49, "access_denied"},
		{50, "decode_error"},
		{51, "decrypt_error"},
		{70, "protocol_version"},
		{71, "insufficient_security"},
		{80, "internal_error"},
		{86, "inappropriate_fallback"},
		{90, "user_canceled"},
		{100, "no_renegotiation"},
		{109, "missing_extension"},
		{110, "unsupported_extension"},
		{112, "unrecognized_name"},
		{113, "bad_certificate_status_response"},
		{115, "unknown_psk_identity"},
		{116, "certificate_required"},
		{120, "no_application_protocol"},
	};

	for (unsigned i = 0; alert != 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].number == alert - 1)
			return texts[i].text;
	return alert == 0 ? "" : "unknown";
}
