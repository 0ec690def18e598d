/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of RFC 9293 section 3.10.7, with what came later in its place: timestamps first (RFC 7323 section 5.3),
 * then the sequence number, RST, SYN (RFC 5961), the acknowledgment, the bytes, FIN. What is dropped is answered by an
 * ACK where the RFC says so; where somebody who guesses could make us talk, or two of us could answer each other for
 * ever, not more than about twice a second.
 */
#include <arpa/inet.h>
#include <rte_mbuf.h>

#include "dataplane/flow.h"
#include "dataplane/load.h"
#include "dataplane/tcp.h"
#include "dataplane/tcp_mtu.h"
#include "dataplane/tcp_output.h"
#include "dataplane/tcp_receive.h"
#include "dataplane/tcp_timers.h"

enum { PAWS_AGE_MS = 24 * 86400 * 1000u /* RFC 7323 section 5.5 */, TCP_HEADER = 20 };

/* One segment on its way through. */
struct arrival {
	const struct packet *packet;
	struct rte_mbuf *mbuf; /* NULL: taken */
	struct tcp_options options;
	uint32_t seq; /* behind a SYN */
	uint32_t end; /* seq, payload, FIN */
};

static void
drop(struct tcp *tcp, const struct tcp_env *env, enum reason reason)
{
	env->dropped(env->context, tcp, reason);
}

/* RFC 5961 section 7: about twice a second. */
static bool
may_challenge(struct tcp *tcp, uint32_t now_ms)
{
	uint8_t now = (uint8_t)(now_ms >> FLOW_CHALLENGE_SHIFT);
	bool may = tcp->challenged != now;

	tcp->challenged = now;
	return may;
}

static void
challenge(struct tcp *tcp, const struct tcp_env *env)
{
	drop(tcp, env, REASON_TCP_WINDOW);
	if (may_challenge(tcp, env->now_ms))
		tcp_output_ack(tcp, env);
}

static void
set_window(struct tcp *tcp, const struct packet *packet, bool syn)
{
	tcp->window = (uint32_t)packet->window << (syn ? 0 : tcp->their_wscale);
	if (tcp->window > tcp->window_max)
		tcp->window_max = tcp->window;
	tcp->wl_seq = packet->seq;
}

/* --- SYN-SENT and SYN-RECEIVED ---------------------------------------------------------------------------------- */

static unsigned
establish(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->una = tcp->nxt;
	tcp->state = TCP_STATE_ESTABLISHED;
	tcp->rtt.backoff = 0;
	if (tcp->rtt.srtt8 == 0)
		tcp->rtt.rto_ms = tcp->syn_again ? TCP_RTO_AFTER_SYN_LOSS_MS : TCP_RTO_FIRST_MS;
	tcp_mtu_begin(tcp, env);
	tcp_congestion_init(&tcp->congestion, tcp->mss, tcp->una);
	if (tcp->syn_again) /* RFC 5681 section 3.1 */
		tcp->congestion.window = tcp->mss;
	tcp_rack_init(&tcp->rack, tcp->una);
	return TCP_CONNECTED | TCP_WRITABLE;
}

/* What the peer's SYN offers that ours did too. */
static void
agree(struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival)
{
	const struct tcp_options *theirs = &arrival->options;

	if (theirs->mss != 0)
		tcp->peer_mss = theirs->mss;
	tcp->sack = tcp->sack && theirs->sack_permitted;
	tcp->timestamps = tcp->timestamps && theirs->timestamps;
	tcp->wscale = tcp->wscale && theirs->wscale != TCP_WSCALE_NONE;
	tcp->their_wscale = tcp->wscale ? theirs->wscale : 0;
	if (!tcp->wscale)
		tcp->our_wscale = 0;
	tcp->ts_recent = theirs->tsval;
	tcp->ts_recent_ms = env->now_ms;
	uint32_t promised = tcp->rcv_edge - tcp->rcv_nxt; /* by our SYN, when rcv_nxt wasn't known */
	tcp->rcv_nxt = tcp->rcv_acked = arrival->packet->seq + 1;
	tcp->rcv_edge = tcp->rcv_nxt + promised;
	tcp_receive_begin(tcp, env);
	set_window(tcp, arrival->packet, true);
}

static unsigned
input_syn_sent(struct tcp *tcp, const struct tcp_env *env, struct arrival *arrival)
{
	const struct packet *packet = arrival->packet;
	bool has_ack = (packet->flags & TCP_ACK) != 0;

	if (has_ack && packet->ack != tcp->nxt) {
		drop(tcp, env, REASON_TCP_WINDOW);
		if ((packet->flags & TCP_RST) == 0)
			tcp_output_refuse(tcp, env, packet->ack);
		return 0;
	}
	if ((packet->flags & TCP_RST) != 0) {
		if (has_ack)
			return tcp_timers_end(tcp, TCP_RESET);
		drop(tcp, env, REASON_TCP_WINDOW);
		return 0;
	}
	if ((packet->flags & TCP_SYN) == 0) {
		drop(tcp, env, REASON_TCP_STATE);
		return 0;
	}
	agree(tcp, env, arrival);
	if (!has_ack) {
		tcp->state = TCP_STATE_SYN_RECEIVED;
		tcp_output_syn(tcp, env);
		return 0;
	}
	if (!tcp->syn_again)
		tcp_rtt_sample(&tcp->rtt, env->now_ms - tcp->sent_ms, env->limits->rto_min_ms, env->now_ms);
	tcp->ack_now = true;
	return establish(tcp, env);
}

/* --- acceptability ---------------------------------------------------------------------------------------------- */

/* RFC 7323 section 5.3. */
static bool
is_old_by_timestamp(const struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival)
{
	return tcp->timestamps && (arrival->packet->flags & TCP_RST) == 0 &&
	       seq_before(arrival->options.tsval, tcp->ts_recent) && env->now_ms - tcp->ts_recent_ms < PAWS_AGE_MS;
}

/* RFC 9293 section 3.4, more generous in two ways. What begins where it should may come in though the window is closed:
 * its acknowledgment counts, its bytes don't. And so may an empty segment from just behind the window: it comes from
 * somebody who has filled the window, and where both have, and both lost something, nobody would be heard again. */
static bool
is_in_window(const struct tcp *tcp, const struct arrival *arrival)
{
	uint32_t begin = arrival->seq, end = arrival->end;

	if (begin == tcp->rcv_nxt)
		return true;
	if (begin == end)
		return seq_before(tcp->rcv_nxt, begin) && seq_at_most(begin, tcp->rcv_edge);
	return seq_before(begin, tcp->rcv_edge) && seq_before(tcp->rcv_nxt, end);
}

/* Tells the sender of a segment that isn't taken where we are. */
static void
answer_unacceptable(struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival)
{
	const struct packet *packet = arrival->packet;

	drop(tcp, env, REASON_TCP_WINDOW);
	if ((packet->flags & TCP_RST) != 0)
		return;
	if (packet_seq_length(packet) == 0 || (packet->flags & TCP_SYN) != 0) {
		tcp->ack_now = tcp->ack_now || may_challenge(tcp, env->now_ms);
		return;
	}
	if (packet->payload_length != 0 && seq_at_most(arrival->end, tcp->rcv_nxt))
		tcp->twice = (struct tcp_range){arrival->seq, arrival->seq + packet->payload_length};
	if (tcp->state == TCP_STATE_TIME_WAIT)
		tcp_timers_wait(tcp, env);
	tcp->ack_now = true;
}

/* RFC 5961 section 3.2. True: the connection is gone. */
static bool
is_reset(struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival)
{
	if (arrival->seq != tcp->rcv_nxt) {
		challenge(tcp, env);
		return false;
	}
	if (tcp->state == TCP_STATE_TIME_WAIT) { /* RFC 1337 */
		drop(tcp, env, REASON_TCP_STATE);
		return false;
	}
	return true;
}

/* --- acknowledgments -------------------------------------------------------------------------------------------- */

/* Lets go what was acknowledged. */
static unsigned
release(struct tcp *tcp, const struct tcp_env *env, uint32_t ack)
{
	uint32_t n = ack - tcp->una, bytes = tcp->sending.bytes;
	unsigned events = n != 0 && bytes != 0 && bytes > tcp->send_buffer / 2 ? TCP_WRITABLE : 0;

	tcp->una = ack;
	if (n > bytes) {
		tcp->fin_acked = true;
		n = bytes;
	}
	mbuf_queue_drop(&tcp->sending, n);
	if (seq_before(tcp->cut_new.seq, ack))
		tcp->cut_new.mbuf = NULL;
	if (seq_before(tcp->cut_again.seq, ack))
		tcp->cut_again.mbuf = NULL;
	tcp->progress_ms = env->now_ms;
	/* Without SACK, recovery fills one gap in each round trip: where that takes longer than the time-out, slow
	 * start from the first gap is faster (RFC 6582 section 4). */
	if (tcp->sack || tcp->rack.phase != TCP_RECOVERY || seq_at_most(tcp->rack.point, ack))
		tcp->rto_from_ms = env->now_ms;
	return events;
}

static void
read_sacks(struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival, struct tcp_acked *acked)
{
	const struct tcp_options *options = &arrival->options;
	const uint8_t *block = rte_pktmbuf_mtod_offset(arrival->mbuf, const uint8_t *,
						       arrival->packet->l4 + TCP_HEADER + options->sacks_at);
	struct tcp_range ranges[TCP_SACKS_TOLD];
	uint32_t fack = tcp->rack.fack;
	unsigned n = options->n_sacks < TCP_SACKS_TOLD ? options->n_sacks : TCP_SACKS_TOLD;

	for (unsigned i = 0; i < n; i++, block += 8)
		ranges[i] = (struct tcp_range){ntohl(load_32(block)), ntohl(load_32(block + 4))};
	/* RFC 2883 section 4: the first block is of what is acknowledged, or lies in the second. */
	if (seq_at_most(ranges[0].end, arrival->packet->ack) ||
	    (n > 1 && seq_at_most(ranges[1].begin, ranges[0].begin) && seq_at_most(ranges[0].end, ranges[1].end)))
		acked->d_sack = ranges[0];
	for (unsigned i = 0; i < n; i++) {
		if (seq_before(ranges[i].begin, tcp->una) || !seq_before(ranges[i].begin, ranges[i].end) ||
		    seq_before(tcp->nxt, ranges[i].end))
			continue;
		tcp_scoreboard_sacked(&tcp->board, env->pool, tcp->nxt, ranges[i], fack, &acked->news);
		if (seq_before(tcp->rack.fack, ranges[i].end))
			tcp->rack.fack = ranges[i].end;
	}
}

/* By what was sent only once, and acknowledged or sacked; else by the echoed timestamp (RFC 7323 section 4). Where
 * there is no such thing, progress ends the back-off step by step: by Karn's rule alone, a peer without timestamps on a
 * bad path would have it for as long as all that it acknowledges was sent twice. */
static void
time_round_trip(struct tcp *tcp, const struct tcp_env *env, const struct tcp_acked *acked)
{
	enum { RTT_SANE_MS = 600000 };
	const struct tcp_news *news = &acked->news;
	uint32_t ms = env->now_ms + tcp->ts_offset - acked->tsecr;

	if (news->once && !news->repaired) {
		ms = env->now_ms - news->once_ms;
	} else if (news->fresh) {
		ms = env->now_ms - news->fresh_ms;
	} else if (acked->advance == 0 || !acked->timestamps || acked->tsecr == 0 || ms > RTT_SANE_MS) {
		if (acked->advance != 0 && tcp->rtt.backoff != 0)
			tcp->rtt.backoff--;
		return;
	}
	tcp_rtt_sample(&tcp->rtt, ms, env->limits->rto_min_ms, env->now_ms);
}

static void
size_buffer(struct tcp *tcp, const struct tcp_env *env)
{
	uint32_t wanted = tcp->congestion.window < UINT32_MAX / 2 ? 2 * tcp->congestion.window : UINT32_MAX;

	if (wanted > env->limits->send_max)
		wanted = env->limits->send_max;
	if (wanted < env->limits->send_first)
		wanted = env->limits->send_first;
	if (wanted < tcp->send_buffer || !env->scarce)
		tcp->send_buffer = wanted;
}

/* una <= ack <= nxt. */
static unsigned
take_ack(struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival)
{
	const struct packet *packet = arrival->packet;
	uint32_t offered = tcp->window, ack = packet->ack;
	bool outstanding = tcp->una != tcp->nxt;
	unsigned events = 0;
	struct tcp_acked acked = {
		.flight = tcp_flight(tcp),
		.timestamps = tcp->timestamps && arrival->options.timestamps,
		.tsecr = arrival->options.tsecr,
		.advance = ack - tcp->una,
	};

	if (acked.advance != 0 || seq_at_most(tcp->wl_seq, packet->seq))
		set_window(tcp, packet, false);
	acked.duplicate = outstanding && acked.advance == 0 && packet_seq_length(packet) == 0 && tcp->window == offered;
	if (tcp->timer == TCP_TIMER_PROBE)
		tcp->progress_ms = env->now_ms;
	if (acked.advance != 0) {
		tcp_scoreboard_acked(&tcp->board, ack, tcp->nxt, tcp->rack.fack, &acked.news);
		events |= release(tcp, env, ack);
		tcp_mtu_acked(tcp, env);
	}
	if (tcp->sack && arrival->options.n_sacks != 0)
		read_sacks(tcp, env, arrival, &acked);
	time_round_trip(tcp, env, &acked);
	if (!outstanding)
		return events;
	if (acked.news.any && offered != 0)
		tcp->tail_from_ms = env->now_ms;
	tcp_recovery_acked(tcp, env, &acked);
	if (offered == 0 && tcp->window != 0 && tcp->una != tcp->nxt) {
		/* What met a closed window was dropped; that says nothing about the path. */
		struct tcp_range all = {tcp->una, tcp->nxt};
		tcp_scoreboard_lose(&tcp->board, env->pool, tcp->nxt, all);
		tcp->rto_from_ms = env->now_ms;
	}
	if (acked.advance != 0)
		size_buffer(tcp, env);
	return events;
}

/* RFC 5961 section 5.2. False: the segment is dropped. */
static bool
check_ack(struct tcp *tcp, const struct tcp_env *env, const struct packet *packet)
{
	if (!seq_before(tcp->nxt, packet->ack) && !seq_before(packet->ack, tcp->una - tcp->window_max))
		return true;
	challenge(tcp, env);
	return false;
}

/* What the acknowledgment of our FIN means. */
static unsigned
fin_is_acked(struct tcp *tcp, const struct tcp_env *env)
{
	switch (tcp->state) {
	case TCP_STATE_FIN_WAIT_1:
		tcp->state = TCP_STATE_FIN_WAIT_2;
		return 0;
	case TCP_STATE_CLOSING:
		tcp->state = TCP_STATE_TIME_WAIT;
		tcp_timers_wait(tcp, env);
		return TCP_FINISHED;
	case TCP_STATE_LAST_ACK:
		return tcp_timers_end(tcp, TCP_FINISHED | TCP_CLOSED);
	default:
		return 0;
	}
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

static void
note_sender(struct tcp *tcp, const struct tcp_env *env, const struct arrival *arrival)
{
	enum { RTT_SANE_MS = 60000 };
	uint32_t ms = env->now_ms + tcp->ts_offset - arrival->options.tsecr;

	if (env->now_ms - tcp->data_ms > TCP_IDLE_MS && tcp->received.bytes == 0) {
		tcp_receive_begin(tcp, env);
		tcp->quick = 0;
	}
	tcp->data_ms = env->now_ms;
	if (!tcp->timestamps || arrival->options.tsecr == 0 || ms > RTT_SANE_MS)
		return;
	if (ms == 0)
		ms = 1;
	if (tcp->tune_rtt_ms == 0 || ms < tcp->tune_rtt_ms)
		tcp->tune_rtt_ms = ms;
	else
		tcp->tune_rtt_ms += (ms - tcp->tune_rtt_ms) / 8;
}

static unsigned
take_bytes(struct tcp *tcp, const struct tcp_env *env, struct arrival *arrival)
{
	const struct packet *packet = arrival->packet;
	struct rte_mbuf *mbuf = NULL;
	unsigned events;

	if (tcp->state != TCP_STATE_ESTABLISHED && tcp->state != TCP_STATE_FIN_WAIT_1 &&
	    tcp->state != TCP_STATE_FIN_WAIT_2)
		return 0;
	if (packet->payload_length != 0) {
		note_sender(tcp, env, arrival);
		mbuf = arrival->mbuf;
		arrival->mbuf = NULL;
		mbuf->data_off = (uint16_t)(mbuf->data_off + packet->payload);
		mbuf->data_len = packet->payload_length;
	}
	events = tcp_receive_bytes(tcp, env, arrival->seq, (packet->flags & TCP_FIN) != 0, mbuf);
	if ((events & TCP_PEER_CLOSED) == 0)
		return events;
	if (tcp->state == TCP_STATE_ESTABLISHED) {
		tcp->state = TCP_STATE_CLOSE_WAIT;
	} else if (tcp->state == TCP_STATE_FIN_WAIT_1) {
		tcp->state = TCP_STATE_CLOSING;
	} else {
		tcp->state = TCP_STATE_TIME_WAIT;
		tcp_timers_wait(tcp, env);
		events |= TCP_FINISHED;
	}
	return events;
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static unsigned
input_synchronized(struct tcp *tcp, const struct tcp_env *env, struct arrival *arrival)
{
	const struct packet *packet = arrival->packet;
	const struct tcp_options *options = &arrival->options;
	bool has_ack = (packet->flags & TCP_ACK) != 0;
	unsigned events = 0;

	/* Both sent a SYN at once, and this is the answer to ours. */
	if (tcp->state == TCP_STATE_SYN_RECEIVED && (packet->flags & TCP_SYN) != 0 && has_ack &&
	    packet->seq + 1 == tcp->rcv_nxt && packet->ack == tcp->nxt) {
		tcp->ack_now = true;
		return establish(tcp, env);
	}
	if (tcp->timestamps && !options->timestamps && (packet->flags & (TCP_RST | TCP_SYN)) == 0) {
		drop(tcp, env, REASON_TCP_TIMESTAMP_MISSING);
		return 0;
	}
	if (is_old_by_timestamp(tcp, env, arrival) || !is_in_window(tcp, arrival)) {
		answer_unacceptable(tcp, env, arrival);
		return 0;
	}
	if ((packet->flags & TCP_RST) != 0)
		return is_reset(tcp, env, arrival) ? tcp_timers_end(tcp, TCP_RESET) : 0;
	if ((packet->flags & TCP_SYN) != 0) {
		challenge(tcp, env);
		return 0;
	}
	if (!has_ack) {
		drop(tcp, env, REASON_TCP_FLAGS);
		return 0;
	}
	if (tcp->state == TCP_STATE_SYN_RECEIVED) {
		if (packet->ack != tcp->nxt) {
			drop(tcp, env, REASON_TCP_WINDOW);
			tcp_output_refuse(tcp, env, packet->ack);
			return 0;
		}
		events |= establish(tcp, env);
	}
	if (!check_ack(tcp, env, packet))
		return events;
	tcp->heard_ms = env->now_ms;
	tcp->keepalives = 0;
	if (options->timestamps && seq_at_most(packet->seq, tcp->rcv_acked) &&
	    !seq_before(options->tsval, tcp->ts_recent)) {
		tcp->ts_recent = options->tsval;
		tcp->ts_recent_ms = env->now_ms;
	}
	if (!seq_before(packet->ack, tcp->una)) {
		events |= take_ack(tcp, env, arrival);
		if (tcp->fin_acked)
			events |= fin_is_acked(tcp, env);
	}
	if (arrival->seq != arrival->end)
		events |= take_bytes(tcp, env, arrival);
	return events;
}

unsigned
tcp_input(struct tcp *tcp, const struct tcp_env *env, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct arrival arrival = {
		.packet = packet,
		.mbuf = mbuf,
		.seq = packet->seq + ((packet->flags & TCP_SYN) != 0),
		.end = packet->seq + packet_seq_length(packet),
	};
	const uint8_t *options = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, packet->l4 + TCP_HEADER);
	unsigned events = 0;

	if (!tcp_options_parse(options, packet->options_length, (packet->flags & TCP_SYN) != 0, &arrival.options)) {
		drop(tcp, env, REASON_TCP_OPTIONS);
	} else if (tcp->state == TCP_STATE_SYN_SENT) {
		events = input_syn_sent(tcp, env, &arrival);
		if ((events & TCP_CONNECTED) != 0 && arrival.seq != arrival.end)
			events |= take_bytes(tcp, env, &arrival);
	} else if (tcp->state != TCP_STATE_CLOSED) {
		events = input_synchronized(tcp, env, &arrival);
	} else {
		drop(tcp, env, REASON_TCP_STATE);
	}
	if (arrival.mbuf != NULL)
		rte_pktmbuf_free(arrival.mbuf);
	if (tcp->state != TCP_STATE_CLOSED)
		tcp_output(tcp, env);
	tcp_timers_set(tcp, env);
	return events;
}

bool
tcp_yields(const struct tcp *tcp, const struct packet *packet, const uint8_t *options)
{
	struct tcp_options theirs;

	if (tcp->state != TCP_STATE_TIME_WAIT || (packet->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN ||
	    !tcp_options_parse(options, packet->options_length, true, &theirs))
		return false;
	if (tcp->timestamps && theirs.timestamps && theirs.tsval != tcp->ts_recent)
		return seq_before(tcp->ts_recent, theirs.tsval);
	return seq_before(tcp->rcv_nxt, packet->seq);
}
