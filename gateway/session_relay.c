/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between the two legs of a joined session.
 *
 *   TCP received ─▶ bio.in ─▶ decrypt ─▶ encrypt ─▶ bio.out ─▶ TCP sending         (either step is left out in
 * plaintext)
 *
 * Back-pressure: nothing is decrypted for a leg whose sending side has no room, and nothing is taken from TCP while
 * bio.in has a record's worth of bytes, so the peer's window closes. What was taken and couldn't be encrypted for
 * want of packet buffers waits in `rest`, and an alarm tries again.
 *
 * Ends. A close_notify is passed on as one, a FIN as one; each way by itself, until both are over. A peer that ends TCP
 * without close_notify may have been cut off (RFC 8446 section 6.1), so its FIN is passed on without one: the other
 * side sees just what we saw. A plaintext side couldn't see it, and is reset instead.
 */
#include "gateway/session_parts.h"

enum {
	FEED = TLS_RECORD_MAX +
	       512, /* bytes in bio.in from which on no more are taken: a record and what is around it */
	RETRY_MS = 10
};

/* Lets TLS have what TCP received. */
static void
feed(struct session *session, unsigned from)
{
	struct session_leg *leg = &session->leg[from];
	struct mbuf_queue *received = bridge_received(session->bridge, from);

	if (leg->tls.bio.in.bytes < FEED && received->bytes != 0) {
		mbuf_queue_move_some(&leg->tls.bio.in, received, FEED - leg->tls.bio.in.bytes);
		bridge_took(session->home->worker, session->bridge, from);
	}
	if (leg->ended && received->bytes == 0)
		leg->tls.bio.in_ended = true;
}

static void
send_out(struct session *session, unsigned to)
{
	struct mbuf_queue *out = &session->leg[to].tls.bio.out;

	if (out->bytes != 0)
		bridge_send(session->home->worker, session->bridge, to, out);
}

/* What waits for a leg goes first. False while some still waits. */
static bool
send_rest(struct session *session, unsigned to)
{
	struct session_leg *leg = &session->leg[to];

	if (leg->rest.bytes == 0)
		return true;
	enum tls_progress progress = tls_session_write(&leg->tls, &session->home->io, &leg->rest);
	send_out(session, to);
	if (progress == TLS_FAILED)
		session_fail(session, to, leg->tls.reason);
	return progress == TLS_DONE;
}

static void
retry(struct session *session)
{
	bridge_alarm(session->home->worker, session->bridge, RETRY_MS);
}

static void
shut(struct session *session, unsigned to)
{
	if (!session->leg[to].shut)
		bridge_shut(session->home->worker, session->bridge, to);
	session->leg[to].shut = true;
}

/* close_notify of `from` goes on to the other side. False: no buffers, to be tried again. */
static bool
pass_close_notify(struct session *session, unsigned to)
{
	struct session_leg *leg = &session->leg[to];

	if (!leg->speaks_tls) {
		shut(session, to);
		return true;
	}
	if (leg->tls.write_closed)
		return true;
	uint32_t before = leg->tls.bio.out.bytes;
	enum tls_progress progress = tls_session_finish(&leg->tls, &session->home->io);
	bridge_farewell(session->bridge, to, leg->tls.bio.out.bytes - before);
	send_out(session, to);
	if (progress == TLS_FAILED)
		session_fail(session, to, leg->tls.reason);
	return progress == TLS_DONE;
}

/* A peer that closed TCP, all bytes before that having been passed on. */
static void
pass_fin(struct session *session, unsigned from)
{
	unsigned to = leg_other(from);

	if (session->leg[from].speaks_tls || pass_close_notify(session, to))
		shut(session, to);
	else
		retry(session);
}

/* Cut off in the middle of TLS. */
static void
pass_cut(struct session *session, unsigned from)
{
	if (!session->leg[leg_other(from)].speaks_tls) {
		session->ending = true;
		bridge_end(session->home->worker, session->bridge, session->leg[from].tls.reason);
		return;
	}
	session->leg[from].told = true;
	shut(session, leg_other(from));
}

/* TLS to TLS or to plaintext: one round. True when another one may bring more. */
static bool
decrypt_some(struct session *session, unsigned from, uint32_t room)
{
	unsigned to = leg_other(from);
	struct session_leg *source = &session->leg[from], *sink = &session->leg[to];
	struct tls_io *io = &session->home->io;
	struct mbuf_queue plain = {0};
	enum tls_progress progress;

	feed(session, from);
	if (sink->speaks_tls) {
		progress = tls_session_relay(&source->tls, &sink->tls, io, room);
		send_out(session, to);
	} else {
		progress = tls_session_read(&source->tls, io, &plain, room);
		if (plain.bytes != 0)
			bridge_send(session->home->worker, session->bridge, to, &plain);
	}
	send_out(session, from); /* answers to key updates, alerts */

	switch (progress) {
	case TLS_WANT_INPUT:
		return bridge_received(session->bridge, from)->bytes != 0;
	case TLS_WANT_ROOM:
		if (bridge_room(session->bridge, to) != 0)
			retry(session); /* it isn't the other side that has none */
		return false;
	case TLS_CLOSED:
		if (!pass_close_notify(session, to))
			retry(session);
		else
			source->told = true;
		return false;
	default:
		if (source->tls.reason == REASON_TLS_RECORD_TRUNCATED)
			pass_cut(session, from);
		else
			session_fail(session, source->tls.reason != REASON_NONE ? from : to,
				     source->tls.reason != REASON_NONE ? source->tls.reason : sink->tls.reason);
		return false;
	}
}

/* Plaintext to TLS, or as it is: one round. */
static bool
take_some(struct session *session, unsigned from, uint32_t room)
{
	unsigned to = leg_other(from);
	struct session_leg *sink = &session->leg[to];
	struct mbuf_queue *received = bridge_received(session->bridge, from), plain = {0};

	if (received->bytes == 0)
		return false;
	mbuf_queue_move_some(&plain, received, room);
	bridge_took(session->home->worker, session->bridge, from);
	if (!sink->speaks_tls) {
		bridge_send(session->home->worker, session->bridge, to, &plain);
		return true;
	}
	mbuf_queue_move(&sink->rest, &plain);
	if (send_rest(session, to))
		return true;
	if (!session->ending)
		retry(session);
	return false;
}

void
session_relay(struct session *session, unsigned from)
{
	unsigned to = leg_other(from);
	struct session_leg *source = &session->leg[from];
	bool more = !source->told;

	if (source->told && bridge_received(session->bridge, from)->bytes != 0) {
		/* Behind a close_notify nothing counts (RFC 8446 section 6.1), and its FIN is still to come. */
		mbuf_queue_clear(bridge_received(session->bridge, from));
		bridge_took(session->home->worker, session->bridge, from);
	}
	if (!send_rest(session, to)) {
		if (!session->ending)
			retry(session);
		return;
	}
	while (more && !session->ending) {
		uint32_t room = bridge_room(session->bridge, to);
		if (room == 0)
			break; /* BRIDGE_WRITABLE follows */
		more = source->speaks_tls ? decrypt_some(session, from, room) : take_some(session, from, room);
		more = more && !source->told;
	}
	if (session->ending)
		return;
	if (source->told && session->leg[to].told) {
		/* Neither has anything to say any more, and whoever closes first mustn't find the other's last words in
		 * the way. */
		shut(session, LEG_CLIENT);
		shut(session, LEG_ENDPOINT);
		return;
	}
	if (!source->ended || bridge_received(session->bridge, from)->bytes != 0)
		return;
	/* TLS that isn't through with what it has says so itself (decrypt_some). */
	if (!source->speaks_tls || source->told)
		pass_fin(session, from);
}
