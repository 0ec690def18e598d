/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_bio.h"

#include <openssl/bio.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* An emptied buffer becomes spare, on a thread that must leave the pool alone. */
static void
retire(struct tls_bio *bio, struct rte_mbuf *mbuf)
{
	bool useful = RTE_MBUF_DIRECT(mbuf) && rte_mbuf_refcnt_read(mbuf) == 1;
	struct rte_mbuf **list = useful ? &bio->spare : &bio->spent;

	bio->n_spare += useful;
	mbuf->next = *list;
	*list = mbuf;
}

static void
take_from_head(struct tls_bio *bio, uint8_t *to, size_t n)
{
	struct mbuf_queue *in = &bio->in;

	while (n != 0 && in->head != NULL) {
		struct rte_mbuf *head = in->head;
		uint16_t piece = (uint16_t)least(n, head->data_len);
		memcpy(to, rte_pktmbuf_mtod(head, const uint8_t *), piece);
		to += piece;
		n -= piece;
		in->bytes -= piece;
		head->data_off = (uint16_t)(head->data_off + piece);
		head->data_len = (uint16_t)(head->data_len - piece);
		if (head->data_len != 0)
			continue;
		in->head = head->next;
		in->tail = in->head == NULL ? NULL : in->tail;
		in->mbufs--;
		retire(bio, head);
	}
}

static int
bio_read(BIO *self, char *to, size_t n, size_t *done)
{
	struct tls_bio *bio = BIO_get_data(self);

	BIO_clear_retry_flags(self);
	*done = least(least(n, bio->in.bytes), bio->allowance);
	if (*done == 0) {
		if (!bio->in_ended || bio->in.bytes != 0)
			BIO_set_retry_read(self);
		return 0;
	}
	if (bio->pool != NULL)
		mbuf_queue_read(&bio->in, to, (uint32_t)*done);
	else
		take_from_head(bio, (uint8_t *)to, *done);
	bio->read += *done;
	bio->allowance -= *done;
	return 1;
}

/* Behind the last byte of out; into a spare buffer once that one is full. Returns how many bytes fitted. */
static size_t
add_to_tail(struct tls_bio *bio, const uint8_t *bytes, size_t n)
{
	struct mbuf_queue *out = &bio->out;
	size_t left = n;

	while (left != 0) {
		struct rte_mbuf *tail = out->tail;
		bool useful = tail != NULL && RTE_MBUF_DIRECT(tail) && rte_mbuf_refcnt_read(tail) == 1;
		if (!useful || rte_pktmbuf_tailroom(tail) == 0) {
			struct rte_mbuf *spare = bio->spare;
			if (spare == NULL)
				break;
			bio->spare = spare->next;
			bio->n_spare--;
			rte_pktmbuf_reset(spare);
			spare->data_off = 0; /* no header will stand before these bytes */
			if (tail == NULL)
				out->head = spare;
			else
				tail->next = spare;
			out->tail = tail = spare;
			out->mbufs++;
		}
		uint16_t piece = (uint16_t)least(left, rte_pktmbuf_tailroom(tail));
		memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), bytes, piece);
		tail->data_len = (uint16_t)(tail->data_len + piece);
		out->bytes += piece;
		bytes += piece;
		left -= piece;
	}
	return n - left;
}

static int
bio_write(BIO *self, const char *bytes, size_t n, size_t *done)
{
	struct tls_bio *bio = BIO_get_data(self);

	BIO_clear_retry_flags(self);
	*done = bio->pool != NULL ? mbuf_queue_write(&bio->out, bio->pool, bytes, (uint32_t)n)
				  : add_to_tail(bio, (const uint8_t *)bytes, n);
	bio->written += *done;
	if (*done == 0 && n != 0) {
		BIO_set_retry_write(self);
		return 0;
	}
	return 1;
}

static long
bio_control(BIO *self, int command, long number, void *pointer)
{
	const struct tls_bio *bio = BIO_get_data(self);
	(void)number;
	(void)pointer;

	switch (command) {
	case BIO_CTRL_EOF:
		return bio->in_ended && bio->in.bytes == 0;
	case BIO_CTRL_PENDING:
		return (long)bio->in.bytes;
	case BIO_CTRL_FLUSH:
		return 1;
	default:
		return 0;
	}
}

static void
make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mbuf queues");
	if (method != NULL &&
	    (BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_write_ex(method, bio_write) != 1 ||
	     BIO_meth_set_ctrl(method, bio_control) != 1)) {
		BIO_meth_free(method);
		method = NULL;
	}
}

BIO *
tls_bio_new(OSSL_LIB_CTX *libctx, struct tls_bio *bio)
{
	pthread_once(&once, make_method);
	BIO *self = method == NULL ? NULL : BIO_new_ex(libctx, method);
	if (self == NULL)
		return NULL;
	BIO_set_data(self, bio);
	BIO_set_init(self, 1);
	return self;
}

void
tls_bio_lend(struct tls_bio *bio, struct rte_mempool *pool, uint32_t bytes)
{
	uint32_t room = rte_pktmbuf_data_room_size(pool);

	while (bio->n_spare < (bytes + room - 1) / room) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
		if (mbuf == NULL)
			return;
		retire(bio, mbuf);
	}
}

bool
tls_bio_has_room(const struct tls_bio *bio, uint32_t bytes)
{
	return bio->spare != NULL && bio->n_spare * (uint64_t)bio->spare->buf_len >= bytes;
}

static void
give_back(struct rte_mbuf *list)
{
	while (list != NULL) {
		struct rte_mbuf *next = list->next;
		list->next = NULL;
		rte_pktmbuf_free(list);
		list = next;
	}
}

void
tls_bio_reclaim(struct tls_bio *bio)
{
	give_back(bio->spare);
	give_back(bio->spent);
	bio->spare = bio->spent = NULL;
	bio->n_spare = 0;
}

void
tls_bio_clear(struct tls_bio *bio)
{
	mbuf_queue_clear(&bio->in);
	mbuf_queue_clear(&bio->out);
	tls_bio_reclaim(bio);
}
