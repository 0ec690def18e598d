/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/mbuf_queue.h"

#include <rte_mbuf.h>
#include <string.h>

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Bytes that may be written behind the tail's: none where the buffer has another owner too. */
static uint32_t
tail_room(const struct mbuf_queue *queue)
{
	const struct rte_mbuf *tail = queue->tail;

	if (tail == NULL || !RTE_MBUF_DIRECT(tail) || rte_mbuf_refcnt_read(tail) != 1)
		return 0;
	return rte_pktmbuf_tailroom(tail);
}

static void
fill_tail(struct mbuf_queue *queue, const void *bytes, uint32_t n)
{
	struct rte_mbuf *tail = queue->tail;

	memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), bytes, n);
	tail->data_len = (uint16_t)(tail->data_len + n);
	queue->bytes += n;
}

static void
link_tail(struct mbuf_queue *queue, struct rte_mbuf *mbuf)
{
	mbuf->next = NULL;
	if (queue->tail == NULL)
		queue->head = mbuf;
	else
		queue->tail->next = mbuf;
	queue->tail = mbuf;
	queue->bytes += mbuf->data_len;
	queue->mbufs++;
}

static struct rte_mbuf *
unlink_head(struct mbuf_queue *queue)
{
	struct rte_mbuf *head = queue->head;

	queue->head = head->next;
	if (queue->head == NULL)
		queue->tail = NULL;
	queue->bytes -= head->data_len;
	queue->mbufs--;
	head->next = NULL;
	return head;
}

void
mbuf_queue_append(struct mbuf_queue *queue, struct rte_mbuf *mbuf)
{
	if (mbuf->data_len > tail_room(queue)) {
		link_tail(queue, mbuf);
		return;
	}
	if (mbuf->data_len != 0)
		fill_tail(queue, rte_pktmbuf_mtod(mbuf, const void *), mbuf->data_len);
	mbuf->next = NULL;
	rte_pktmbuf_free(mbuf);
}

uint32_t
mbuf_queue_write(struct mbuf_queue *queue, struct rte_mempool *pool, const void *bytes, uint32_t n)
{
	const uint8_t *at = bytes;
	uint32_t left = n, room = tail_room(queue);

	while (left != 0) {
		if (room == 0) {
			struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
			if (mbuf == NULL)
				break;
			mbuf->data_off = 0; /* no header will ever stand before these bytes */
			link_tail(queue, mbuf);
			room = rte_pktmbuf_tailroom(mbuf);
		}
		uint32_t piece = least(left, room);
		fill_tail(queue, at, piece);
		at += piece;
		left -= piece;
		room = 0;
	}
	return n - left;
}

void
mbuf_queue_copy(const struct rte_mbuf *mbuf, uint32_t offset, void *to, uint32_t n)
{
	uint8_t *at = to;

	for (; n != 0; mbuf = mbuf->next) {
		if (offset >= mbuf->data_len) {
			offset -= mbuf->data_len;
			continue;
		}
		uint32_t piece = least(n, mbuf->data_len - offset);
		memcpy(at, rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, offset), piece);
		at += piece;
		n -= piece;
		offset = 0;
	}
}

uint32_t
mbuf_queue_peek(const struct mbuf_queue *queue, uint32_t offset, void *to, uint32_t n)
{
	if (offset >= queue->bytes)
		return 0;
	n = least(n, queue->bytes - offset);
	mbuf_queue_copy(queue->head, offset, to, n);
	return n;
}

uint32_t
mbuf_queue_read(struct mbuf_queue *queue, void *to, uint32_t n)
{
	n = mbuf_queue_peek(queue, 0, to, n);
	mbuf_queue_drop(queue, n);
	return n;
}

void
mbuf_queue_drop(struct mbuf_queue *queue, uint32_t n)
{
	while (queue->head != NULL && n >= queue->head->data_len) {
		n -= queue->head->data_len;
		rte_pktmbuf_free(unlink_head(queue));
	}
	if (queue->head == NULL || n == 0)
		return;
	queue->head->data_off = (uint16_t)(queue->head->data_off + n);
	queue->head->data_len = (uint16_t)(queue->head->data_len - n);
	queue->bytes -= n;
}

void
mbuf_queue_move(struct mbuf_queue *to, struct mbuf_queue *from)
{
	if (from->head != NULL) /* alone: where the two queues meet, small buffers become one */
		mbuf_queue_append(to, unlink_head(from));
	if (from->head == NULL)
		return;
	to->tail->next = from->head;
	to->tail = from->tail;
	to->bytes += from->bytes;
	to->mbufs += from->mbufs;
	*from = (struct mbuf_queue){0};
}

uint32_t
mbuf_queue_move_some(struct mbuf_queue *to, struct mbuf_queue *from, uint32_t n)
{
	uint32_t moved = 0;

	while (from->head != NULL && moved < n) {
		moved += from->head->data_len;
		mbuf_queue_append(to, unlink_head(from));
	}
	return moved;
}

void
mbuf_queue_clear(struct mbuf_queue *queue)
{
	while (queue->head != NULL)
		rte_pktmbuf_free(unlink_head(queue));
}
