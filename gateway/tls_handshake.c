/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_handshake.h"

#include <openssl/ssl.h>
#include <rte_ring.h>
#include <string.h>

#include "gateway/tls_engine.h"
#include "gateway/tls_error.h"
#include "gateway/tls_session.h"

/* Of an extension that is never sent: for private use (RFC 8446 section 11), and nobody's. */
enum { NO_EXTENSION = 0xff77 };

static struct tls_session *
session_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

static int
on_verify(X509_STORE_CTX *store, void *argument)
{
	struct tls_engine *engine = argument;
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_session *session = session_of(ssl);

	session->generation = engine->hooks->generation(engine->thread);
	session->verify_reason =
		engine->hooks->verify(engine->thread, session, X509_STORE_CTX_get0_untrusted(store), engine->now);
	session->verified = session->verify_reason == REASON_NONE;
	X509_STORE_CTX_set_error(store, session->verified ? X509_V_OK : tls_error_verify(session->verify_reason));
	return session->verified;
}

static int
on_alpn(SSL *ssl, const uint8_t **chosen, uint8_t *chosen_length, const uint8_t *offered, unsigned offered_length,
	void *argument)
{
	const struct tls_ask *ask = &session_of(ssl)->ask;
	uint8_t *pick;
	(void)argument;

	if (ask->alpn_length == 0)
		return SSL_TLSEXT_ERR_NOACK;
	/* The result points into one of the two lists; neither is written to. */
	if (SSL_select_next_proto(&pick, chosen_length, ask->alpn, ask->alpn_length, offered, offered_length) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = pick;
	return SSL_TLSEXT_ERR_OK;
}

/* Lets OpenSSL acknowledge the server's name (RFC 6066 section 3). It has chosen the context already. */
static int
on_server_name(SSL *ssl, int *alert, void *argument)
{
	(void)alert;
	(void)argument;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) == NULL ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

static void
on_info(const SSL *ssl, int where, int value)
{
	struct tls_session *session = session_of(ssl);
	uint8_t alert = (uint8_t)((value & 0xff) + 1);

	if ((where & SSL_CB_ALERT) == 0 || session == NULL)
		return;
	if ((where & SSL_CB_READ) != 0) {
		session->alert_received = alert;
	} else {
		session->alert_sent = alert;
		session->asked_renegotiation |= (value & 0xff) == SSL_AD_NO_RENEGOTIATION;
	}
}

/* A resumable session carries: generation of trust (8 bytes), what hooks.save says. */
static bool
inscribe(const struct tls_session *session, SSL_SESSION *ticket)
{
	const struct tls_hooks *hooks = session->engine->hooks;
	uint8_t bytes[sizeof(session->generation) + TLS_SAVED_MAX];
	/* A resumed session's next ticket is made before its handshake is over. */
	bool verified = session->verified || (session->restored && SSL_session_reused(session->ssl) == 1);
	size_t length = verified ? hooks->save(session, bytes + sizeof(session->generation), TLS_SAVED_MAX) : 0;

	if (length > TLS_SAVED_MAX) /* without the generation it is worth nothing */
		return SSL_SESSION_set1_ticket_appdata(ticket, NULL, 0) == 1;
	memcpy(bytes, &session->generation, sizeof(session->generation));
	return SSL_SESSION_set1_ticket_appdata(ticket, bytes, sizeof(session->generation) + length) == 1;
}

bool
tls_handshake_restore(struct tls_engine *engine, struct tls_session *session, SSL_SESSION *earlier)
{
	uint64_t generation;
	size_t length = 0;
	void *data = NULL;

	if (SSL_SESSION_get0_ticket_appdata(earlier, &data, &length) != 1 || length < sizeof(generation))
		return false;
	memcpy(&generation, data, sizeof(generation));
	if (generation != engine->hooks->generation(engine->thread))
		return false;
	session->restored = length > sizeof(generation);
	if (session->restored &&
	    !engine->hooks->restore(engine->thread, session, (const uint8_t *)data + sizeof(generation),
				    length - sizeof(generation), engine->now)) {
		session->restored = false;
		return false;
	}
	session->generation = generation;
	return true;
}

static int
on_ticket_made(SSL *ssl, void *argument)
{
	(void)argument;
	return inscribe(session_of(ssl), SSL_get_session(ssl));
}

static SSL_TICKET_RETURN
on_ticket_back(SSL *ssl, SSL_SESSION *earlier, const uint8_t *name, size_t name_length, SSL_TICKET_STATUS status,
	       void *argument)
{
	struct tls_engine *engine = argument;
	(void)name;
	(void)name_length;

	if (status == SSL_TICKET_EMPTY)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if ((status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW) &&
	    tls_handshake_restore(engine, session_of(ssl), earlier))
		/* A ticket of TLS 1.3 is used once. */
		return status == SSL_TICKET_SUCCESS && SSL_version(ssl) < TLS1_3_VERSION ? SSL_TICKET_RETURN_USE
											 : SSL_TICKET_RETURN_USE_RENEW;
	engine->stats.tickets_refused++;
	return SSL_TICKET_RETURN_IGNORE_RENEW;
}

static int
on_ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	return tls_ticket_keys_apply(&session_of(ssl)->engine->tickets, name, iv, cipher, mac, encrypt != 0);
}

/* Called with each ticket of TLS 1.3 that is made, to add something to it, which it doesn't; but the ticket of a client
 * that is to be denied ends in this alert. */
static int
on_ticket_extension(SSL *ssl, unsigned type, unsigned context, const unsigned char **bytes, size_t *length,
		    X509 *certificate, size_t index, int *alert, void *argument)
{
	(void)type, (void)context, (void)bytes, (void)length, (void)certificate, (void)index, (void)argument;

	if (!session_of(ssl)->denies)
		return 0;
	*alert = SSL_AD_ACCESS_DENIED;
	return -1;
}

void
tls_handshake_keep(struct tls_session *session, SSL_SESSION *theirs)
{
	/* The connection goes on to use its own. */
	SSL_SESSION *copy = SSL_SESSION_dup(theirs);

	if (copy != NULL && (!inscribe(session, copy) || rte_ring_enqueue(session->engine->arrived, copy) != 0))
		SSL_SESSION_free(copy);
}

/* An endpoint lets us resume: on a handshake thread (TLS 1.2), or on a worker, when it says so among its data. */
static int
on_resumable(SSL *ssl, SSL_SESSION *theirs)
{
	tls_handshake_keep(session_of(ssl), theirs);
	return 0; /* theirs isn't kept */
}

void
tls_handshake_dress(void *argument, SSL_CTX *context, enum tls_role role)
{
	SSL_CTX_set_cert_verify_callback(context, on_verify, argument);
	SSL_CTX_set_info_callback(context, on_info);
	if (role == TLS_CLIENT) {
		SSL_CTX_sess_set_new_cb(context, on_resumable);
		return;
	}
	SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_session_ticket_cb(context, on_ticket_made, on_ticket_back, argument);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key);
	SSL_CTX_add_custom_ext(context, NO_EXTENSION, SSL_EXT_TLS1_3_NEW_SESSION_TICKET, on_ticket_extension, NULL,
			       NULL, NULL, NULL);
}
