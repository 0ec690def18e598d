/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where OpenSSL's bytes come from and go to: queues of packet buffers, without a copy beside its own record buffers.
 *
 *   from the peer ──▶ in ──▶ BIO_read ──▶ SSL ──▶ BIO_write ──▶ out ──▶ to the peer
 *                      └── emptied buffers ──▶ spare ──▶ room for what is written ──┘
 *
 * A session moves between a worker and a handshake thread. A handshake thread runs on the control core, and may be
 * preempted at any instruction; in the middle of an operation on the pool of packets it would have every worker that
 * needs a packet wait until it runs again (rte_ring is not for preemptible threads). So it never touches the pool: the
 * worker gives the session spare buffers before it hands it over (tls_bio_lend), buffers that are read empty become
 * spare too, and the worker takes back what is left (tls_bio_reclaim). With the pool set, on a worker, buffers come
 * from it and go back at once.
 *
 * When there is no room, BIO_write takes what fits and asks to be called again.
 */
#ifndef POSTERN_GATEWAY_TLS_BIO_H
#define POSTERN_GATEWAY_TLS_BIO_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/mbuf_queue.h"

struct rte_mbuf;
struct rte_mempool;

struct tls_bio {
	struct mbuf_queue in, out;
	struct rte_mbuf *spare;   /* linked by next, empty */
	struct rte_mbuf *spent;   /* the same, of no use: somebody else refers to them too */
	struct rte_mempool *pool; /* NULL on a handshake thread */
	uint32_t n_spare;
	bool in_ended;          /* nothing follows what is in `in`: the peer's FIN */
	uint64_t allowance;     /* so many bytes more may be read; then it is as if no more had come */
	uint64_t read, written; /* bytes so far */
};

/* A BIO over bio, which must stay where it is; NULL: no memory. */
BIO *tls_bio_new(OSSL_LIB_CTX *libctx, struct tls_bio *bio);

/* Worker: sees to it that there is spare room for so many bytes; less when the pool is short. */
void tls_bio_lend(struct tls_bio *bio, struct rte_mempool *pool, uint32_t bytes);
/* Whether so many bytes can be written without the pool. */
bool tls_bio_has_room(const struct tls_bio *bio, uint32_t bytes);
/* Worker: spare buffers go back to their pool. */
void tls_bio_reclaim(struct tls_bio *bio);
/* Worker: gives back everything. */
void tls_bio_clear(struct tls_bio *bio);

#endif
