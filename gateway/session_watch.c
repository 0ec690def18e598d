/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life after the handshake: what may end a session that nothing was wrong with when it began.
 *
 * A round over all sessions begins every SESSION_SWEEP_MS, and anew whenever one is asked for (sessions_look); some are
 * looked at in each of the worker's loops, so that no loop takes long however many there are. A look costs a few
 * comparisons; policies are asked again only when the federation was replaced, and certificates are verified again by
 * the main thread (peer_register.h).
 */
#include "gateway/session_parts.h"

#include "gateway/authorize.h"

enum { LOOKS = 64 /* in one loop */ };

enum reason
session_authorize(const struct session *session, const struct decide_now *now, const struct service *service)
{
	const struct authorize_facts facts = {
		.identity = session->leg[LEG_CLIENT].proof.identity,
		.client = session->ends.client,
		.listener = snapshot_listener(now->snapshot, &session->ends.local, session->ends.local_port),
		.service = service,
		.port = session->service_port,
		.sni = session->sni,
		.sni_length = session->sni_length,
	};

	return facts.listener == NULL ? REASON_NO_LISTENER : authorize(now->snapshot, &facts, NULL);
}

static enum reason
still_trusted(struct session *session, uint64_t now_ms)
{
	const struct session_worker *home = session->home;

	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		const struct peer_proof *proof = &session->leg[leg].proof;
		if (proof->record != NULL &&
		    atomic_load_explicit(&proof->record->verdict, memory_order_acquire) != CERT_NONE)
			return REASON_PEER_DISTRUSTED;
		if (proof->identity != NULL && proof->identity->leaf_not_after != INT64_MAX &&
		    (int64_t)now_ms >=
			    1000 * (proof->identity->leaf_not_after + home->sessions->options.expiry_grace_s))
			return REASON_PEER_EXPIRED;
	}
	return REASON_NONE;
}

static enum reason
still_admitted(struct session *session, const struct decide_now *now)
{
	if (now->snapshot == NULL || now->snapshot->generation == session->federation)
		return REASON_NONE;
	const struct service *service = snapshot_service(now->snapshot, session->service, strlen(session->service));
	/* A service that left the federation keeps its connections, as those that are passed through do. */
	enum reason reason = service == NULL ? REASON_NONE : session_authorize(session, now, service);
	/* A listener that is gone takes no new connections, and keeps those that it had. */
	if (reason == REASON_NO_LISTENER)
		reason = REASON_NONE;
	if (reason != REASON_NONE)
		reason = REASON_AUTHZ_WITHDRAWN;
	session->federation = now->snapshot->generation;
	return reason;
}

/* Ends a session that must not go on. True when it did. */
static bool
look(struct session *session, const struct decide_now *now, uint64_t now_ms)
{
	if (session->ending || session->state != SESSION_JOINED)
		return false; /* what isn't joined is authorized when it is dialled */
	enum reason reason = still_trusted(session, now_ms);
	if (reason == REASON_NONE)
		reason = still_admitted(session, now);
	if (reason != REASON_NONE)
		session_fail(session, LEG_COUNT, reason);
	return reason != REASON_NONE;
}

unsigned
session_watch(struct session_worker *home)
{
	const struct worker *worker = home->worker;
	uint32_t changes = atomic_load_explicit(&home->sessions->changes, memory_order_acquire);
	unsigned ended = 0;

	if (changes != home->looked || (home->hand == 0 && worker->now_ms - home->sweep_ms >= SESSION_SWEEP_MS)) {
		home->looked = changes;
		home->sweep_ms = worker->now_ms;
		home->hand = home->n;
	}
	if (home->hand == 0)
		return 0;
	const struct decide_now now = decide_now(home->sessions->options.decide);
	uint64_t now_ms = worker->now_ms + worker->wall_offset_ms;
	/* Downwards: what is released meanwhile is replaced by one from above, which has been looked at. */
	for (unsigned i = 0; i < LOOKS && home->hand != 0; i++) {
		if (home->hand > home->n)
			home->hand = home->n;
		if (home->hand == 0)
			break;
		ended += look(home->list[--home->hand], &now, now_ms);
	}
	return ended + (home->hand != 0);
}
