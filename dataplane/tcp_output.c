/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_output.h"

#include <rte_mbuf.h>

#include "dataplane/flow.h"
#include "dataplane/tcp_mtu.h"
#include "dataplane/tcp_receive.h"

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The options of a segment that isn't a SYN. */
static uint8_t
write_options(struct tcp *tcp, const struct tcp_env *env, uint8_t options[TCP_OPTIONS_MAX])
{
	struct tcp_options ours = {
		.wscale = TCP_WSCALE_NONE,
		.timestamps = tcp->timestamps,
		.tsval = env->now_ms + tcp->ts_offset,
		.tsecr = tcp->ts_recent,
	};
	uint8_t length = tcp_options_write(&ours, options);

	return (uint8_t)(length + tcp_receive_sacks(tcp, options + length, (uint8_t)(TCP_OPTIONS_MAX - length)));
}

/* Fills in what we acknowledge and offer, and sends. */
static bool
send_segment(struct tcp *tcp, const struct tcp_env *env, struct tcp_segment *segment)
{
	if ((segment->flags & TCP_ACK) != 0)
		segment->ack = tcp->rcv_nxt;
	segment->window = tcp_receive_window(tcp, (segment->flags & TCP_SYN) != 0);
	if (!env->send(env->context, tcp, segment)) {
		tcp->unsent = true;
		return false;
	}
	if ((segment->flags & TCP_ACK) != 0) {
		tcp->rcv_acked = tcp->rcv_nxt;
		tcp->unacked = 0;
		tcp->ack_now = tcp->ack_armed = false;
	}
	return true;
}

/* Where in `sending` seq is; *offset: in that buffer. cut remembers it for the next time. */
static const struct rte_mbuf *
locate(struct tcp *tcp, struct tcp_cut *cut, uint32_t seq, uint32_t *offset)
{
	uint32_t begin = tcp_sending_begin(tcp);

	if (cut->mbuf == NULL || seq_before(cut->seq, begin) || seq_before(seq, cut->seq)) {
		cut->mbuf = tcp->sending.head;
		cut->seq = begin;
	}
	while (seq - cut->seq >= cut->mbuf->data_len) {
		cut->seq += cut->mbuf->data_len;
		cut->mbuf = cut->mbuf->next;
	}
	*offset = seq - cut->seq;
	return cut->mbuf;
}

/* A segment that is being made of what begins at seq. */
struct piece {
	uint8_t options[TCP_OPTIONS_MAX];
	uint8_t options_length;
	uint16_t payload; /* that fits */
};

static void
begin_piece(struct tcp *tcp, const struct tcp_env *env, struct piece *piece)
{
	enum { PAYLOAD_LEAST = 8 }; /* however little the peer takes */

	piece->options_length = write_options(tcp, env, piece->options);
	piece->payload = tcp->mss > piece->options_length + PAYLOAD_LEAST ? (uint16_t)(tcp->mss - piece->options_length)
									  : PAYLOAD_LEAST;
}

/* Sends length of sequence space from seq on: bytes, and the FIN when it lies there. */
static bool
send_piece(struct tcp *tcp, const struct tcp_env *env, const struct piece *piece, struct tcp_cut *cut, uint32_t seq,
	   uint32_t length)
{
	uint32_t bytes_end = tcp_sending_begin(tcp) + tcp->sending.bytes;
	uint32_t payload = seq_before(seq, bytes_end) ? least(length, bytes_end - seq) : 0;
	struct tcp_segment segment = {
		.flags = TCP_ACK,
		.seq = seq,
		.options = piece->options,
		.options_length = piece->options_length,
		.payload_length = (uint16_t)payload,
	};

	if (payload != 0) {
		segment.mbuf = locate(tcp, cut, seq, &segment.offset);
		if (seq + payload == bytes_end)
			segment.flags |= TCP_PSH;
	}
	if (length > payload)
		segment.flags |= TCP_FIN;
	return send_segment(tcp, env, &segment);
}

static void
note_outstanding(struct tcp *tcp, const struct tcp_env *env)
{
	if (tcp->una == tcp->nxt)
		tcp->rto_from_ms = tcp->progress_ms = env->now_ms;
}

/* Sends length of what was never sent. */
static bool
send_new(struct tcp *tcp, const struct tcp_env *env, const struct piece *piece, uint32_t length)
{
	uint32_t from = tcp->nxt;

	note_outstanding(tcp, env);
	if (!send_piece(tcp, env, piece, &tcp->cut_new, from, length))
		return false;
	tcp_scoreboard_sent(&tcp->board, env->pool, from, from + length, env->now_ms);
	tcp->nxt += length;
	tcp->sent_ms = tcp->tail_from_ms = env->now_ms;
	tcp_congestion_sent(&tcp->congestion, length);
	if (tcp->shut && tcp->nxt == tcp_sending_end(tcp)) {
		if (tcp->state == TCP_STATE_ESTABLISHED)
			tcp->state = TCP_STATE_FIN_WAIT_1;
		else if (tcp->state == TCP_STATE_CLOSE_WAIT)
			tcp->state = TCP_STATE_LAST_ACK;
	}
	return true;
}

/* Sends what was sent before, from range.begin on, as much as one segment takes. */
static bool
send_again(struct tcp *tcp, const struct tcp_env *env, const struct piece *piece, struct tcp_range range)
{
	range.end = range.begin + least(range.end - range.begin, piece->payload);
	if (!send_piece(tcp, env, piece, &tcp->cut_again, range.begin, range.end - range.begin))
		return false;
	tcp_scoreboard_sent_again(&tcp->board, env->pool, tcp->nxt, range, env->now_ms);
	tcp->sent_ms = env->now_ms;
	tcp->resent++;
	tcp_congestion_sent(&tcp->congestion, range.end - range.begin);
	return true;
}

static bool
has_congestion_room(const struct tcp *tcp, uint32_t length)
{
	uint32_t flight = tcp_flight(tcp);

	return flight == 0 || flight + length <= tcp->congestion.window;
}

/* What is lost. False: no more may be sent now. */
static bool
output_lost(struct tcp *tcp, const struct tcp_env *env)
{
	struct tcp_range range;
	struct piece piece;

	while (tcp_scoreboard_next_lost(&tcp->board, tcp->nxt, &range)) {
		if (!seq_before(range.begin, tcp->una + tcp->window))
			return false; /* the window shrank below what was sent */
		begin_piece(tcp, env, &piece);
		uint32_t length = least(range.end - range.begin, piece.payload);
		if (!tcp->rack.force && !has_congestion_room(tcp, length))
			return false;
		if (!send_again(tcp, env, &piece, range))
			return false;
		tcp_recovery_resends(tcp, env);
	}
	return true;
}

/* What was never sent. */
static void
output_new(struct tcp *tcp, const struct tcp_env *env)
{
	while (seq_before(tcp->nxt, tcp_sending_end(tcp))) {
		uint32_t left = tcp_sending_end(tcp) - tcp->nxt, edge = tcp->una + tcp->window;
		struct piece piece;

		if (!seq_before(tcp->nxt, edge))
			return;
		begin_piece(tcp, env, &piece);
		uint16_t probe = tcp_mtu_probe_size(tcp, env, left, edge - tcp->nxt);
		if (probe > piece.options_length)
			piece.payload = (uint16_t)(probe - piece.options_length);
		else
			probe = 0;
		uint32_t bytes = left - (tcp->shut && !tcp->fin_acked), length = least(bytes, piece.payload);
		if (length == bytes)
			length = left; /* the FIN goes with the last bytes */
		if (length > edge - tcp->nxt) {
			length = edge - tcp->nxt;
			if (length < piece.payload && length < tcp->window_max / 2)
				return;
		}
		if (!has_congestion_room(tcp, length))
			return;
		if (!send_new(tcp, env, &piece, length))
			return;
		if (probe != 0)
			tcp_mtu_probed(tcp, probe);
	}
}

void
tcp_output(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->unsent = false;
	if (tcp->state >= TCP_STATE_ESTABLISHED && tcp->state != TCP_STATE_TIME_WAIT) {
		if (tcp->una == tcp->nxt && env->now_ms - tcp->sent_ms > tcp_rtt_timeout(&tcp->rtt) &&
		    seq_before(tcp->nxt, tcp_sending_end(tcp)))
			tcp_congestion_idle(&tcp->congestion, tcp->mss);
		if (output_lost(tcp, env))
			output_new(tcp, env);
	}
	if (tcp->ack_now && !tcp->unsent)
		tcp_output_ack(tcp, env);
}

void
tcp_output_ack(struct tcp *tcp, const struct tcp_env *env)
{
	uint8_t options[TCP_OPTIONS_MAX];
	/* What lies beyond the window, where that shrank, the peer might not take an ACK from. */
	uint32_t edge = tcp->una + tcp->window;
	struct tcp_segment segment = {
		.flags = TCP_ACK,
		.seq = seq_before(edge, tcp->nxt) ? edge : tcp->nxt,
		.options = options,
		.options_length = write_options(tcp, env, options),
	};

	send_segment(tcp, env, &segment);
}

void
tcp_output_ask(struct tcp *tcp, const struct tcp_env *env)
{
	uint8_t options[TCP_OPTIONS_MAX];
	struct tcp_segment segment = {
		.flags = TCP_ACK,
		.seq = tcp->una - 1,
		.options = options,
		.options_length = write_options(tcp, env, options),
	};

	send_segment(tcp, env, &segment);
}

void
tcp_output_syn(struct tcp *tcp, const struct tcp_env *env)
{
	bool answer = tcp->state == TCP_STATE_SYN_RECEIVED;
	struct tcp_options ours = {
		.mss = tcp->announced_mss,
		.wscale = tcp->wscale ? tcp->our_wscale : TCP_WSCALE_NONE,
		.sack_permitted = tcp->sack,
		.timestamps = tcp->timestamps,
		.tsval = env->now_ms + tcp->ts_offset,
		.tsecr = answer ? tcp->ts_recent : 0,
	};
	uint8_t options[TCP_OPTIONS_MAX];
	struct tcp_segment segment = {
		.flags = answer ? TCP_SYN | TCP_ACK : TCP_SYN,
		.seq = tcp->una,
		.options = options,
		.options_length = tcp_options_write(&ours, options),
	};

	tcp->unsent = false;
	tcp->sent_ms = env->now_ms;
	send_segment(tcp, env, &segment);
}

void
tcp_output_reset(struct tcp *tcp, const struct tcp_env *env)
{
	bool alone = tcp->state == TCP_STATE_SYN_SENT;
	uint32_t edge = tcp->una + tcp->window;
	struct tcp_segment segment = {
		.flags = alone ? TCP_RST : TCP_RST | TCP_ACK,
		.seq = !alone && seq_before(edge, tcp->nxt) ? edge : tcp->nxt,
	};

	send_segment(tcp, env, &segment);
}

void
tcp_output_refuse(struct tcp *tcp, const struct tcp_env *env, uint32_t seq)
{
	struct tcp_segment segment = {.flags = TCP_RST, .seq = seq};

	env->send(env->context, tcp, &segment);
}

void
tcp_output_tail(struct tcp *tcp, const struct tcp_env *env)
{
	struct piece piece;
	uint32_t left = tcp_sending_end(tcp) - tcp->nxt, edge = tcp->una + tcp->window;
	bool again = true;

	begin_piece(tcp, env, &piece);
	if (left != 0 && seq_before(tcp->nxt, edge)) {
		uint32_t length = least(least(left, piece.payload), edge - tcp->nxt);
		if (!send_new(tcp, env, &piece, length))
			return;
		again = false;
	} else {
		struct tcp_range last = {tcp->nxt - least(tcp->nxt - tcp->una, piece.payload), tcp->nxt};
		if (!send_again(tcp, env, &piece, last))
			return;
	}
	tcp_recovery_probed(tcp, again);
	tcp->rto_from_ms = env->now_ms;
}

void
tcp_output_probe(struct tcp *tcp, const struct tcp_env *env)
{
	struct piece piece;
	uint32_t left = tcp_sending_end(tcp) - tcp->nxt;

	begin_piece(tcp, env, &piece);
	if (tcp->una != tcp->nxt) {
		struct tcp_range first = {tcp->una, tcp->una + 1};
		send_again(tcp, env, &piece, first);
	} else if (left != 0) {
		uint32_t allowed = tcp->window == 0 ? 1 : tcp->window;
		send_new(tcp, env, &piece, least(least(left, piece.payload), allowed));
	}
	tcp->tail_from_ms = env->now_ms;
}
