/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's way to its endpoint, once its client has proved who it is: whereto, whether it may, which endpoint, on
 * what terms; the next one where that doesn't answer; a PROXY header and the begin of TLS where it does.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/keyring.h"
#include "gateway/proxy_v2.h"
#include "gateway/session_parts.h"

enum { ATTEMPTS_MAX = 3 };

/* On what terms the endpoint's leg speaks TLS. NULL: we have no certificate for that. */
static struct tls_terms *
endpoint_terms(const struct session *session, const struct key_set *keys, const struct backend *backend)
{
	const struct session_leg *client = &session->leg[LEG_CLIENT];

	if (backend->tls->mode == TLS_MODE_ISTIO_MUTUAL) {
		if (client->proof.terms != NULL)
			return client->proof.terms;
		if (!client->speaks_tls && session->network_rule != UINT32_MAX &&
		    keys->networks[session->network_rule] != NULL)
			return keys->networks[session->network_rule];
	}
	return key_set_client(keys, backend->tls);
}

/* Whether the identity map in force gives the client the ID that the one of its handshake's beginning gave. */
static bool
is_mapped_so(const struct session *session, const struct key_set *keys)
{
	const struct peer_proof *proof = &session->leg[LEG_CLIENT].proof;
	struct identity_match match;

	if (proof->demand == NULL || proof->demand->book == NULL || proof->demand->book == keys->book)
		return true;
	return identity_map_legacy(&keys->book->map, proof->record->identity, &match) == CERT_NONE &&
	       spiffe_id_equal(&match.id, &proof->identity->id);
}

/* Who the client is is known, and that it may not: it is told so, where its TLS has a way to. */
static void
deny(struct session *session, enum reason reason)
{
	struct session_worker *home = session->home;
	struct tls_session *client = &session->leg[LEG_CLIENT].tls;

	session->denied = (uint8_t)reason;
	client->denies = strcmp(tls_session_version(client), "TLSv1.3") == 0;
	if (!client->denies || !tls_pool_submit(home->sessions->options.pool, home->worker->id, client, &home->io))
		session_fail(session, LEG_COUNT, reason);
}

void
session_dial(struct session *session, enum reason why)
{
	struct session_worker *home = session->home;
	struct decide *decide = home->sessions->options.decide;
	const struct decide_now now = decide_now(decide);
	const struct listener *listener =
		now.snapshot == NULL ? NULL
				     : snapshot_listener(now.snapshot, &session->ends.local, session->ends.local_port);
	struct session_leg *leg = &session->leg[LEG_ENDPOINT];
	struct decide_choice choice = {.reason = REASON_NO_LISTENER};
	char name[BACKEND_SNI_MAX] = "";

	if (listener == NULL || now.keys == NULL ||
	    !decide_backend(&now, listener, session->sni, session->sni_length, session->tried,
			    worker_random(home->worker), &choice)) {
		session_fail(session, LEG_COUNT, choice.reason);
		return;
	}
	if (!is_mapped_so(session, now.keys)) {
		session->leg[LEG_CLIENT].proof.error = CERT_MAP_NO_RULE;
		deny(session, REASON_TLS_PEER_IDENTITY);
		return;
	}
	const struct backend *backend = choice.backend;
	free(session->service);
	session->service = strdup(backend->service->host.bytes);
	session->service_port = backend->port;
	session->federation = now.snapshot->generation;
	enum reason reason = session_authorize(session, &now, backend->service);
	if (reason != REASON_NONE) {
		deny(session, reason);
		return;
	}
	if (!decide_endpoint(decide, home->worker->id, session->attempts, session->tried, worker_random(home->worker),
			     &choice)) {
		/* That no endpoint is left says less than why the last one failed. */
		session_fail(session, LEG_COUNT,
			     why != REASON_NONE && choice.reason == REASON_NO_ENDPOINT ? why : choice.reason);
		return;
	}
	leg->speaks_tls = backend->tls->mode != TLS_MODE_DISABLE;
	peer_proof_close(&leg->proof, home->sessions->options.peers);
	tls_terms_drop(session->terms);
	session->terms = NULL;
	if (leg->speaks_tls) {
		struct tls_terms *terms = endpoint_terms(session, now.keys, backend);
		if (terms == NULL) {
			leg->speaks_tls = false;
			session_fail(session, LEG_COUNT, REASON_TLS_OWN_CREDENTIAL);
			return;
		}
		session->terms = tls_terms_take(terms);
		leg->proof.demand = key_set_demand(backend, choice.endpoint);
		backend_sni(backend, name);
		free(session->endpoint_name);
		session->endpoint_name = strdup(name);
	}
	session->sends_proxy = backend->proxy_protocol;
	session->attempts++;
	bridge_dial(home->worker, session->bridge, &choice.dial);
}

void
session_connect_failed(struct session *session, enum reason reason)
{
	bridge_describe(session->home->worker, session->bridge, &session->ends);
	session->tried[1] = session->tried[0];
	session->tried[0] = session->ends.endpoint;
	if (session->attempts >= ATTEMPTS_MAX)
		session_fail(session, LEG_COUNT, reason);
	else
		session_dial(session, reason);
}

/* The protocol that the client was given is the one that the endpoint is offered. */
static void
narrow_protocols(struct session *session)
{
	const struct session_leg *client = &session->leg[LEG_CLIENT];
	struct tls_bytes chosen = client->speaks_tls ? tls_session_alpn(&client->tls) : (struct tls_bytes){0};

	session_alpn_one(&session->protocols, chosen.bytes, chosen.length);
	session->learns = session->learns && session_alpn_has(&session->protocols, "http/1.1");
	if (session->learns)
		session_alpn_both(&session->protocols);
}

static bool
send_proxy_header(struct session *session)
{
	struct mbuf_queue header = {0};
	uint8_t bytes[PROXY_V2_MAX];
	const struct peer_identity *identity = session->leg[LEG_CLIENT].proof.identity;
	size_t length = proxy_v2_write(&session->ends, identity == NULL ? NULL : &identity->id, bytes);

	if (mbuf_queue_write(&header, session->home->io.pool, bytes, (uint32_t)length) != length) {
		mbuf_queue_clear(&header);
		session_fail(session, LEG_COUNT, REASON_PACKET_POOL_EMPTY);
		return false;
	}
	bridge_send(session->home->worker, session->bridge, LEG_ENDPOINT, &header);
	return true;
}

void
session_connected(struct session *session)
{
	struct session_leg *leg = &session->leg[LEG_ENDPOINT];

	bridge_describe(session->home->worker, session->bridge, &session->ends);
	if (session->sends_proxy && !send_proxy_header(session))
		return;
	if (!leg->speaks_tls) {
		session_join(session);
		return;
	}
	narrow_protocols(session);
	const struct tls_ask ask = {.server_name = session->endpoint_name,
				    .alpn = session->protocols.bytes,
				    .alpn_length = session->protocols.length,
				    .policy = leg->proof.demand->policy.bytes};
	tls_session_open(&leg->tls, session->terms, &ask, &leg->proof);
	leg->tls.source = session_source(session);
	session_set_state(session, SESSION_ENDPOINT);
	session_step(session, LEG_ENDPOINT, true);
}

void
session_dial_again(struct session *session)
{
	struct session_leg *leg = &session->leg[LEG_ENDPOINT];

	session->learns = false;
	tls_session_close(&leg->tls);
	leg->ended = false;
	bridge_hang_up(session->home->worker, session->bridge);
	session_set_state(session, SESSION_DIALLING);
	session_dial(session, REASON_NONE);
}
