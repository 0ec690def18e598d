/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_receive.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/flow.h"

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void
tcp_receive_begin(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->receive_buffer = env->limits->receive_first;
	tcp->tune_seq = tcp->rcv_nxt;
	tcp->tune_ms = env->now_ms;
}

/* --- the window ------------------------------------------------------------------------------------------------- */

/* Bytes behind rcv_nxt that there is room for. */
static uint32_t
free_room(const struct tcp *tcp)
{
	return tcp->receive_buffer > tcp->received.bytes ? tcp->receive_buffer - tcp->received.bytes : 0;
}

static uint32_t
step_least(const struct tcp *tcp)
{
	return least(tcp->receive_buffer / 2, tcp->mss);
}

static uint32_t
largest_window(const struct tcp *tcp)
{
	return (uint32_t)UINT16_MAX << tcp->our_wscale;
}

uint16_t
tcp_receive_window(struct tcp *tcp, bool syn)
{
	uint8_t shift = syn ? 0 : tcp->our_wscale;
	uint32_t largest = (uint32_t)UINT16_MAX << shift;
	uint32_t edge = tcp->rcv_nxt + least(free_room(tcp), largest);

	if (seq_before(edge, tcp->rcv_edge) || edge - tcp->rcv_edge < step_least(tcp))
		edge = tcp->rcv_edge;
	uint32_t window = least(edge - tcp->rcv_nxt, largest), units = window >> shift;
	/* What rounding takes away was promised: it is rounded up, by which the buffer is exceeded by less than a unit.
	 * But not again and again, or a peer that sends a byte a segment would never find the window closed. */
	if (units << shift < window && units < UINT16_MAX &&
	    tcp->received.bytes + (units << shift) <= tcp->receive_buffer)
		units++;
	edge = tcp->rcv_nxt + (units << shift);
	if (seq_before(tcp->rcv_edge, edge))
		tcp->rcv_edge = edge;
	return (uint16_t)units;
}

bool
tcp_receive_has_news(const struct tcp *tcp)
{
	uint32_t offered = tcp->rcv_edge - tcp->rcv_nxt, room = least(free_room(tcp), largest_window(tcp));

	return room > offered && room - offered >= step_least(tcp) && room / 2 >= offered;
}

void
tcp_receive_tune(struct tcp *tcp, const struct tcp_env *env)
{
	enum { UNKNOWN_RTT_MS = 50 };
	uint32_t rtt = tcp->tune_rtt_ms != 0 ? tcp->tune_rtt_ms : tcp_rtt_smooth(&tcp->rtt);
	uint32_t taken = tcp->rcv_nxt - tcp->received.bytes;

	if (env->now_ms - tcp->tune_ms < (rtt != 0 ? rtt : UNKNOWN_RTT_MS))
		return;
	uint32_t wanted = 2 * (taken - tcp->tune_seq) + 16u * tcp->mss;
	if (wanted > tcp->receive_buffer && taken != tcp->tune_seq && !env->scarce) {
		uint32_t limit = least(env->limits->receive_max, largest_window(tcp));
		tcp->receive_buffer = least(wanted, limit > tcp->receive_buffer ? limit : tcp->receive_buffer);
	}
	tcp->tune_seq = taken;
	tcp->tune_ms = env->now_ms;
}

/* --- SACK ------------------------------------------------------------------------------------------------------- */

/* begin..end came early: it, and what touches it of the ranges told before, is the first to be told. */
static void
tell(struct tcp *tcp, uint32_t begin, uint32_t end)
{
	struct tcp_range whole = {begin, end};
	unsigned n = 0;
	struct tcp_range others[TCP_SACKS_TOLD];

	for (unsigned i = 0; i < TCP_SACKS_TOLD; i++) {
		struct tcp_range range = tcp->told[i];
		if (range.begin == range.end)
			continue;
		if (seq_at_most(range.begin, whole.end) && seq_at_most(whole.begin, range.end)) {
			if (seq_before(range.begin, whole.begin))
				whole.begin = range.begin;
			if (seq_before(whole.end, range.end))
				whole.end = range.end;
		} else {
			others[n++] = range;
		}
	}
	memset(tcp->told, 0, sizeof(tcp->told));
	tcp->told[0] = whole;
	for (unsigned i = 0; i < n && i + 1 < TCP_SACKS_TOLD; i++)
		tcp->told[i + 1] = others[i];
}

/* Forgets what rcv_nxt has passed. */
static void
untell(struct tcp *tcp)
{
	for (unsigned i = 0; i < TCP_SACKS_TOLD; i++) {
		struct tcp_range *range = &tcp->told[i];
		if (range->begin != range->end && seq_before(range->begin, tcp->rcv_nxt))
			*range = (struct tcp_range){0, 0};
	}
}

static uint8_t *
put_block(uint8_t *at, struct tcp_range range)
{
	uint32_t edges[2] = {htonl(range.begin), htonl(range.end)};

	memcpy(at, edges, sizeof(edges));
	return at + sizeof(edges);
}

uint8_t
tcp_receive_sacks(struct tcp *tcp, uint8_t *at, uint8_t room)
{
	enum { HEAD = 4, BLOCK = 8 };
	uint8_t *block = at + HEAD, *last = at + room - BLOCK;

	if (!tcp->sack || room < HEAD + BLOCK)
		return 0;
	if (tcp->twice.begin != tcp->twice.end)
		block = put_block(block, tcp->twice);
	tcp->twice = (struct tcp_range){0, 0};
	for (unsigned i = 0; i < TCP_SACKS_TOLD && block <= last; i++)
		if (tcp->told[i].begin != tcp->told[i].end)
			block = put_block(block, tcp->told[i]);
	if (block == at + HEAD)
		return 0;
	at[0] = at[1] = TCP_OPTION_NOP;
	at[2] = TCP_OPTION_SACK;
	at[3] = (uint8_t)(block - at - 2);
	return (uint8_t)(block - at);
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

static uint32_t
seq_of(const struct rte_mbuf *mbuf)
{
	return mbuf->hash.usr;
}

static uint32_t
end_of(const struct rte_mbuf *mbuf)
{
	return mbuf->hash.usr + mbuf->data_len;
}

static void
trim_front(struct rte_mbuf *mbuf, uint32_t n)
{
	mbuf->data_off = (uint16_t)(mbuf->data_off + n);
	mbuf->data_len = (uint16_t)(mbuf->data_len - n);
	mbuf->hash.usr += n;
}

/* Takes what follows after, or the first one, out of the list. */
static struct rte_mbuf *
unlink_early(struct tcp *tcp, struct rte_mbuf *after)
{
	struct rte_mbuf *mbuf = after == NULL ? tcp->early : after->next;

	if (after == NULL)
		tcp->early = mbuf->next;
	else
		after->next = mbuf->next;
	if (tcp->early_last == mbuf)
		tcp->early_last = after;
	tcp->early_mbufs--;
	mbuf->next = NULL;
	return mbuf;
}

/* Puts an mbuf behind after, or first; into its room where it goes on there. */
static void
link_early(struct tcp *tcp, struct rte_mbuf *after, struct rte_mbuf *mbuf)
{
	if (after != NULL && end_of(after) == seq_of(mbuf) && RTE_MBUF_DIRECT(after) &&
	    rte_mbuf_refcnt_read(after) == 1 && rte_pktmbuf_tailroom(after) >= mbuf->data_len) {
		memcpy(rte_pktmbuf_mtod_offset(after, uint8_t *, after->data_len), rte_pktmbuf_mtod(mbuf, uint8_t *),
		       mbuf->data_len);
		after->data_len = (uint16_t)(after->data_len + mbuf->data_len);
		rte_pktmbuf_free(mbuf);
		return;
	}
	if (after == NULL) {
		mbuf->next = tcp->early;
		tcp->early = mbuf;
	} else {
		mbuf->next = after->next;
		after->next = mbuf;
	}
	if (tcp->early_last == after)
		tcp->early_last = mbuf;
	tcp->early_mbufs++;
}

/* Puts bytes that came early where they belong; those that are here already go. */
static void
keep_early(struct tcp *tcp, const struct tcp_env *env, struct rte_mbuf *mbuf)
{
	struct rte_mbuf *after = NULL, *next = tcp->early;
	uint32_t begin = seq_of(mbuf), end = end_of(mbuf);

	if (env->scarce || tcp->early_mbufs >= TCP_EARLY_MBUFS + tcp->receive_buffer / TCP_EARLY_BYTES) {
		rte_pktmbuf_free(mbuf);
		return;
	}
	/* Nearly always it is the last one. */
	if (tcp->early_last != NULL && seq_at_most(end_of(tcp->early_last), begin)) {
		after = tcp->early_last;
		next = NULL;
	}
	for (; next != NULL && seq_at_most(end_of(next), begin); next = next->next)
		after = next;
	if (next != NULL && seq_at_most(seq_of(next), begin)) {
		uint32_t known = least(end_of(next) - begin, mbuf->data_len);
		tcp->twice = (struct tcp_range){begin, begin + known};
		if (known == mbuf->data_len) {
			rte_pktmbuf_free(mbuf);
			return;
		}
		trim_front(mbuf, known);
		after = next;
		next = next->next;
	}
	while (next != NULL && seq_before(seq_of(next), end)) {
		if (seq_before(end, end_of(next))) {
			mbuf->data_len = (uint16_t)(seq_of(next) - seq_of(mbuf));
			break;
		}
		next = next->next;
		rte_pktmbuf_free(unlink_early(tcp, after));
	}
	if (mbuf->data_len != 0)
		link_early(tcp, after, mbuf);
	else
		rte_pktmbuf_free(mbuf);
	tell(tcp, begin, end);
}

/* Adds what has become in order. */
static void
take_early(struct tcp *tcp)
{
	while (tcp->early != NULL && seq_at_most(seq_of(tcp->early), tcp->rcv_nxt)) {
		struct rte_mbuf *mbuf = unlink_early(tcp, NULL);
		uint32_t known = tcp->rcv_nxt - seq_of(mbuf);
		if (known >= mbuf->data_len) {
			rte_pktmbuf_free(mbuf);
			continue;
		}
		trim_front(mbuf, known);
		tcp->rcv_nxt += mbuf->data_len;
		mbuf_queue_append(&tcp->received, mbuf);
	}
	untell(tcp);
}

static void
acknowledge_soon(struct tcp *tcp, const struct tcp_env *env)
{
	if (tcp->unacked < UINT8_MAX)
		tcp->unacked++;
	if (tcp->quick < TCP_QUICK_SEGMENTS)
		tcp->quick++;
	if (tcp->unacked >= 2 || tcp->quick < TCP_QUICK_SEGMENTS) {
		tcp->ack_now = true;
	} else if (!tcp->ack_armed) {
		tcp->ack_armed = true;
		tcp->ack_at = env->now_ms + env->limits->ack_delay_ms;
	}
}

/* Takes away what is not to be taken: what is here already, and what lies beyond the window. False: nothing is left. */
static bool
trim(struct tcp *tcp, struct rte_mbuf *mbuf, bool *fin)
{
	uint32_t begin = seq_of(mbuf), end = end_of(mbuf);

	if (seq_before(begin, tcp->rcv_nxt)) {
		uint32_t known = least(tcp->rcv_nxt - begin, mbuf->data_len);
		tcp->twice = (struct tcp_range){begin, begin + known};
		tcp->ack_now = true;
		trim_front(mbuf, known);
	}
	if (seq_before(tcp->rcv_edge, end)) {
		uint32_t beyond = least(end - tcp->rcv_edge, mbuf->data_len);
		mbuf->data_len = (uint16_t)(mbuf->data_len - beyond);
		*fin = false;
		tcp->ack_now = true;
	}
	return mbuf->data_len != 0;
}

static void
note_fin(struct tcp *tcp, uint32_t seq)
{
	if (tcp->fin_known)
		return;
	tcp->fin_known = true;
	tcp->fin_seq = seq;
}

unsigned
tcp_receive_bytes(struct tcp *tcp, const struct tcp_env *env, uint32_t seq, bool fin, struct rte_mbuf *mbuf)
{
	uint32_t before = tcp->rcv_nxt;
	unsigned events = 0;

	if (mbuf != NULL) {
		uint32_t end = seq + mbuf->data_len;
		mbuf->hash.usr = seq;
		if (tcp->fin_known && seq_before(tcp->fin_seq, end)) { /* behind its own FIN: nobody's */
			rte_pktmbuf_free(mbuf);
			return 0;
		}
		bool any = trim(tcp, mbuf, &fin);
		if (fin)
			note_fin(tcp, end);
		if (!any) {
			rte_pktmbuf_free(mbuf);
		} else if (seq_of(mbuf) == tcp->rcv_nxt) {
			bool gap = tcp->early != NULL;
			tcp->rcv_nxt += mbuf->data_len;
			mbuf_queue_append(&tcp->received, mbuf);
			if (gap) {
				take_early(tcp);
				tcp->ack_now = true;
			}
			acknowledge_soon(tcp, env);
		} else {
			keep_early(tcp, env, mbuf);
			tcp->ack_now = true;
		}
	} else if (fin) {
		note_fin(tcp, seq);
		tcp->ack_now = tcp->ack_now || seq != tcp->rcv_nxt;
	}
	if (tcp->rcv_nxt != before)
		events |= TCP_READABLE;
	if (tcp->fin_known && !tcp->peer_closed && tcp->fin_seq == tcp->rcv_nxt) {
		tcp->rcv_nxt++;
		tcp->peer_closed = true;
		tcp->ack_now = true;
		events |= TCP_PEER_CLOSED;
	}
	return events;
}

void
tcp_receive_free(struct tcp *tcp)
{
	while (tcp->early != NULL)
		rte_pktmbuf_free(unlink_early(tcp, NULL));
	mbuf_queue_clear(&tcp->received);
}
