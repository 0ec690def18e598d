/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of bytes against a plain array of them. */
#include "dataplane/mbuf_queue.h"

#include "tests/unit/random.h"
#include "tests/unit/wire.h"

enum { BYTES = 60000, STEPS = 20000 };

static uint8_t stream[4 << 20];

static struct rte_mbuf *
mbuf_of(const uint8_t *bytes, uint16_t n)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(wire_pool);

	memcpy(rte_pktmbuf_append(mbuf, n), bytes, n);
	return mbuf;
}

static bool
is_sound(const struct mbuf_queue *queue)
{
	uint32_t bytes = 0, mbufs = 0;
	const struct rte_mbuf *last = NULL;

	for (const struct rte_mbuf *mbuf = queue->head; mbuf != NULL; mbuf = mbuf->next) {
		if (mbuf->data_len == 0 || mbuf->nb_segs != 1)
			return false;
		bytes += mbuf->data_len;
		mbufs++;
		last = mbuf;
	}
	return bytes == queue->bytes && mbufs == queue->mbufs && last == queue->tail &&
	       mbuf_queue_is_empty(queue) == (queue->head == NULL);
}

/* Little pieces share buffers. */
static void
test_pieces(void)
{
	struct mbuf_queue queue = {0};

	for (unsigned i = 0; i < 4000; i++)
		mbuf_queue_append(&queue, mbuf_of(stream + i, 1));
	CU_ASSERT_EQUAL(queue.bytes, 4000);
	CU_ASSERT_TRUE(queue.mbufs <= 3);
	mbuf_queue_append(&queue, rte_pktmbuf_alloc(wire_pool)); /* nothing */
	CU_ASSERT_TRUE(is_sound(&queue));

	/* Not into a buffer that somebody else has too. */
	rte_mbuf_refcnt_update(queue.tail, 1);
	struct rte_mbuf *shared = queue.tail;
	uint16_t length = shared->data_len;
	CU_ASSERT_EQUAL(mbuf_queue_write(&queue, wire_pool, stream + 4000, 10), 10);
	CU_ASSERT_EQUAL(shared->data_len, length);
	mbuf_queue_clear(&queue);
	CU_ASSERT_TRUE(is_sound(&queue));
	rte_pktmbuf_free(shared);
	CU_ASSERT_TRUE(wire_is_clean());
}

static void
test_empty_pool(void)
{
	struct mbuf_queue queue = {0};
	uint32_t n = mbuf_queue_write(&queue, wire_pool, stream, sizeof(stream));

	CU_ASSERT_TRUE(n > 500u * 2048 && n < sizeof(stream));
	CU_ASSERT_EQUAL(queue.bytes, n);
	CU_ASSERT_EQUAL(queue.mbufs, WIRE_MBUFS);
	uint8_t byte;
	CU_ASSERT_EQUAL(mbuf_queue_peek(&queue, n - 1, &byte, 5), 1);
	CU_ASSERT_EQUAL(byte, stream[n - 1]);
	CU_ASSERT_EQUAL(mbuf_queue_peek(&queue, n, &byte, 1), 0);
	mbuf_queue_drop(&queue, UINT32_MAX);
	CU_ASSERT_TRUE(is_sound(&queue) && wire_is_clean());
}

/* Two queues; what leaves the second one is what came into the first. */
static void
test_random(void)
{
	struct mbuf_queue a = {0}, b = {0};
	uint64_t seed = 3;
	uint32_t in = 0, out = 0;
	uint8_t bytes[5000];

	for (unsigned step = 0; step < STEPS; step++) {
		uint32_t n = random_below(&seed, random_below(&seed, 4) == 0 ? 5000 : 300);
		switch (random_below(&seed, 8)) {
		case 0:
		case 1:
			if (a.bytes + b.bytes < BYTES) {
				CU_ASSERT_EQUAL_FATAL(mbuf_queue_write(&a, wire_pool, stream + in, n), n);
				in += n;
			}
			break;
		case 2:
			if (a.bytes + b.bytes < BYTES) {
				n = n < 1500 ? n : 1500;
				mbuf_queue_append(&a, mbuf_of(stream + in, (uint16_t)n));
				in += n;
			}
			break;
		case 3:
			mbuf_queue_move(&b, &a);
			break;
		case 4: {
			uint32_t before = a.bytes, moved = mbuf_queue_move_some(&b, &a, n);
			CU_ASSERT_TRUE(moved == before - a.bytes && (moved >= n || a.bytes == 0) && moved < n + 2176);
			break;
		}
		case 5:
			n = n < b.bytes ? n : b.bytes;
			mbuf_queue_drop(&b, n);
			out += n;
			break;
		case 6: {
			uint32_t at = random_below(&seed, b.bytes + 1), got = mbuf_queue_peek(&b, at, bytes, n);
			CU_ASSERT_EQUAL(got, n < b.bytes - at ? n : b.bytes - at);
			CU_ASSERT_EQUAL_FATAL(memcmp(bytes, stream + out + at, got), 0);
			break;
		}
		default: {
			uint32_t got = mbuf_queue_read(&b, bytes, n);
			CU_ASSERT_EQUAL_FATAL(memcmp(bytes, stream + out, got), 0);
			out += got;
		}
		}
		CU_ASSERT_TRUE_FATAL(is_sound(&a) && is_sound(&b) && a.bytes + b.bytes == in - out);
		if (in > sizeof(stream) - 10000)
			break;
	}
	CU_ASSERT_TRUE(in > 1000000);
	mbuf_queue_clear(&a);
	mbuf_queue_clear(&b);
	CU_ASSERT_TRUE(wire_is_clean());
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"pieces", test_pieces},
		{"empty pool", test_empty_pool},
		{"random", test_random},
		CU_TEST_INFO_NULL,
	};
	uint64_t seed = 1;

	random_fill(&seed, stream, sizeof(stream));
	wire_open();
	return unit_run("mbuf_queue", tests);
}
