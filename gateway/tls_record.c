/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <rte_mbuf.h>

#include "gateway/tls_error.h"
#include "gateway/tls_session.h"

enum {
	READ_ROOM_MIN = 256,       /* less of a buffer's tail isn't worth a call */
	RECORD_OVERHEAD = 5 + 256, /* header, padding, tag (RFC 8446 section 5.2) */
	RECORD_SENT_MAX = TLS_RECORD_MAX + RECORD_OVERHEAD
};

/* What a call that didn't succeed means. */
static enum tls_progress
stopped(struct tls_session *session, int error)
{
	switch (error) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_ROOM;
	case SSL_ERROR_ZERO_RETURN:
		session->read_closed = true;
		return TLS_CLOSED;
	default:
		/* What comes after a failure, a write after a truncated read for one, fails because of it. */
		if (session->reason == REASON_NONE)
			session->reason = tls_error_take(REASON_TLS_RECORD_BAD);
		return TLS_FAILED;
	}
	if (!session->asked_renegotiation)
		return TLS_WANT_INPUT;
	session->reason = REASON_TLS_RENEGOTIATION;
	return TLS_FAILED;
}

/* Nothing to be had from calling OpenSSL. */
static bool
nothing_to_read(const struct tls_session *session)
{
	return session->bio.in.bytes == 0 && !session->bio.in_ended && SSL_pending(session->ssl) == 0;
}

/* OpenSSL makes both record buffers ready for a message that isn't data, and keeps the one for writing until it has
 * written: a ticket that came last would leave 16 KiB with an idle session. What is in use stays. */
static void
forget_buffers(struct tls_session *session)
{
	if (SSL_rstate_string(session->ssl)[1] == 'H') /* "RH": not in the midst of a record's body */
		SSL_free_buffers(session->ssl);
}

/* Each message that isn't data ends a call, and may have cost a computation or two, on a worker: they are counted. One
 * that came as the last of the input doesn't show; it cost its sender a segment. */
static enum tls_progress
read_some(struct tls_session *session, void *to, size_t room, size_t *got)
{
	*got = 0;
	if (SSL_read_ex(session->ssl, to, room, got) == 1)
		return TLS_DONE;
	enum tls_progress progress = stopped(session, SSL_get_error(session->ssl, 0));
	if (progress != TLS_WANT_INPUT)
		return progress;
	if (session->bio.in.bytes == 0) {
		forget_buffers(session);
		return progress;
	}
	if (++session->chatter < TLS_CHATTER_MAX)
		return TLS_DONE;
	session->reason = REASON_TLS_CHATTER;
	return TLS_FAILED;
}

/* Room behind the last byte of a queue, or NULL: then a fresh buffer is needed. */
static struct rte_mbuf *
roomy_tail(const struct mbuf_queue *queue)
{
	struct rte_mbuf *tail = queue->tail;
	bool useful = tail != NULL && RTE_MBUF_DIRECT(tail) && rte_mbuf_refcnt_read(tail) == 1 &&
		      rte_pktmbuf_tailroom(tail) >= READ_ROOM_MIN;

	return useful ? tail : NULL;
}

/* One call's worth of plaintext, straight into a buffer of the queue. */
static enum tls_progress
read_to_queue(struct tls_session *session, struct tls_io *io, struct mbuf_queue *plain, uint32_t limit)
{
	struct rte_mbuf *tail = roomy_tail(plain), *mbuf = tail;
	size_t got;

	if (mbuf == NULL) {
		mbuf = rte_pktmbuf_alloc(io->pool);
		if (mbuf == NULL)
			return TLS_WANT_ROOM;
		mbuf->data_off = 0; /* no header will stand before these bytes */
	}
	size_t room = rte_pktmbuf_tailroom(mbuf);
	room = room < limit ? room : limit;
	enum tls_progress progress =
		read_some(session, rte_pktmbuf_mtod_offset(mbuf, uint8_t *, mbuf->data_len), room, &got);
	mbuf->data_len = (uint16_t)(mbuf->data_len + got);
	io->bytes_read += got;
	if (mbuf == tail)
		plain->bytes += (uint32_t)got;
	else
		mbuf_queue_append(plain, mbuf);
	return progress;
}

enum tls_progress
tls_session_read(struct tls_session *session, struct tls_io *io, struct mbuf_queue *plain, uint32_t limit)
{
	enum tls_progress progress = TLS_DONE;

	if (session->read_closed)
		return TLS_CLOSED;
	session->bio.pool = io->pool;
	ERR_clear_error();
	while (progress == TLS_DONE) {
		if (nothing_to_read(session))
			return TLS_WANT_INPUT;
		if (plain->bytes >= limit || session->bio.out.bytes >= TLS_OUT_MAX)
			return TLS_WANT_ROOM;
		progress = read_to_queue(session, io, plain, limit - plain->bytes);
	}
	return progress;
}

static enum tls_progress
write_some(struct tls_session *session, const void *bytes, size_t n)
{
	size_t done;

	if (SSL_write_ex(session->ssl, bytes, n, &done) == 1)
		return TLS_DONE;
	enum tls_progress progress = stopped(session, SSL_get_error(session->ssl, 0));
	/* Writing wants input only in a renegotiation, which there is not. */
	return progress == TLS_WANT_INPUT ? TLS_WANT_ROOM : progress;
}

enum tls_progress
tls_session_write(struct tls_session *session, struct tls_io *io, struct mbuf_queue *plain)
{
	session->bio.pool = io->pool;
	ERR_clear_error();
	while (plain->bytes != 0) {
		uint32_t n = session->write_pending != 0     ? session->write_pending
			     : plain->bytes < TLS_RECORD_MAX ? plain->bytes
							     : TLS_RECORD_MAX;
		const void *bytes = io->scratch;
		if (plain->head->data_len >= n)
			bytes = rte_pktmbuf_mtod(plain->head, const void *);
		else
			mbuf_queue_peek(plain, 0, io->scratch, n);
		enum tls_progress progress = write_some(session, bytes, n);
		session->write_pending = progress == TLS_WANT_ROOM ? (uint16_t)n : 0;
		if (progress != TLS_DONE)
			return progress;
		io->bytes_written += n;
		mbuf_queue_drop(plain, n);
	}
	return TLS_DONE;
}

/* Decrypts into scratch until it is full or there is nothing more: a peer's small records become few large ones.
 * Returns how many bytes. */
static size_t
read_to_scratch(struct tls_session *session, struct tls_io *io, enum tls_progress *progress)
{
	size_t total = 0, got;

	do {
		*progress = read_some(session, io->scratch + total, sizeof(io->scratch) - total, &got);
		total += got;
	} while (*progress == TLS_DONE && total < sizeof(io->scratch) && !nothing_to_read(session));
	io->bytes_read += total;
	return total;
}

enum tls_progress
tls_session_relay(struct tls_session *from, struct tls_session *to, struct tls_io *io, uint32_t limit)
{
	enum tls_progress progress = TLS_DONE;
	uint32_t passed = 0;

	if (from->read_closed)
		return TLS_CLOSED;
	from->bio.pool = io->pool;
	to->bio.pool = NULL; /* room for a record is there before one is decrypted: it has nowhere else to go */
	ERR_clear_error();
	while (progress == TLS_DONE) {
		if (nothing_to_read(from)) {
			progress = TLS_WANT_INPUT;
			break;
		}
		tls_bio_lend(&to->bio, io->pool, RECORD_SENT_MAX);
		if (passed >= limit || from->bio.out.bytes >= TLS_OUT_MAX ||
		    !tls_bio_has_room(&to->bio, RECORD_SENT_MAX)) {
			progress = TLS_WANT_ROOM;
			break;
		}
		size_t got = read_to_scratch(from, io, &progress);
		passed += (uint32_t)got;
		if (got == 0)
			continue;
		if (write_some(to, io->scratch, got) != TLS_DONE)
			progress = TLS_FAILED;
		else
			io->bytes_written += got;
	}
	tls_bio_reclaim(&to->bio);
	return progress;
}

enum tls_progress
tls_session_finish(struct tls_session *session, struct tls_io *io)
{
	if (session->write_closed)
		return TLS_DONE;
	session->bio.pool = io->pool;
	ERR_clear_error();
	int result = SSL_shutdown(session->ssl);
	if (result < 0 && SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_WRITE)
		return TLS_WANT_ROOM;
	session->write_closed = true;
	return TLS_DONE;
}
