/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp.h"

#include "dataplane/flow.h"
#include "dataplane/tcp_mtu.h"
#include "dataplane/tcp_output.h"
#include "dataplane/tcp_receive.h"
#include "dataplane/tcp_timers.h"

const struct tcp_limits tcp_limits_default = {
	.receive_first = 65536,
	.receive_max = 4 << 20,
	.send_first = 65536,
	.send_max = 4 << 20,
	.rto_min_ms = 200,
	.ack_delay_ms = 40,
	.give_up_ms = 300000,
	.keepalive_ms = 7440000, /* RFC 5382 REQ-5: 2 h 4 min */
	.keepalive_gap_ms = 75000,
	.time_wait_ms = 60000,
	.keepalives = 9,
};

static void
begin(struct tcp *tcp, const struct tcp_env *env, uint32_t iss)
{
	*tcp = (struct tcp){
		.una = iss,
		.nxt = iss + 1,
		.sent_ms = env->now_ms,
		.rto_from_ms = env->now_ms,
		.tail_from_ms = env->now_ms,
		.progress_ms = env->now_ms,
		.heard_ms = env->now_ms,
		.data_ms = env->now_ms,
		.send_buffer = env->limits->send_first,
		.challenged = (uint8_t)((env->now_ms >> FLOW_CHALLENGE_SHIFT) - 1), /* not yet in this half second */
	};
	tcp_rtt_init(&tcp->rtt);
	tcp_rack_init(&tcp->rack, iss);
}

unsigned
tcp_open_accepted(struct tcp *tcp, const struct tcp_env *env, const struct tcp_accepted *terms, struct mbuf_queue *held)
{
	begin(tcp, env, terms->iss);
	tcp->una = tcp->nxt;
	tcp->state = TCP_STATE_ESTABLISHED;
	tcp->sack = terms->sack;
	tcp->timestamps = terms->timestamps;
	tcp->wscale = terms->their_wscale != TCP_WSCALE_NONE;
	tcp->their_wscale = tcp->wscale ? terms->their_wscale : 0;
	tcp->our_wscale = tcp->wscale ? terms->our_wscale : 0;
	tcp->peer_mss = terms->peer_mss;
	tcp->link_mss = terms->link_mss;
	tcp->window = tcp->window_max = terms->window;
	tcp->wl_seq = terms->irs + 1 + held->bytes;
	tcp->ts_recent = terms->ts_recent;
	tcp->ts_recent_ms = env->now_ms;
	tcp->ts_offset = terms->ts_offset;
	tcp_mtu_begin(tcp, env);
	tcp_congestion_init(&tcp->congestion, tcp->mss, tcp->una);

	tcp->rcv_acked = terms->irs + 1 + terms->acked;
	tcp->rcv_edge = terms->irs + 1 + terms->offered;
	mbuf_queue_move(&tcp->received, held);
	tcp->rcv_nxt = terms->irs + 1 + tcp->received.bytes;
	tcp_receive_begin(tcp, env);
	tcp->tune_seq = terms->irs + 1;
	if (seq_before(tcp->rcv_edge, tcp->rcv_nxt))
		tcp->rcv_edge = tcp->rcv_nxt;
	tcp->ack_now = tcp->rcv_nxt != tcp->rcv_acked || tcp_receive_has_news(tcp);
	tcp_output(tcp, env);
	tcp_timers_set(tcp, env);
	return tcp->received.bytes != 0 ? TCP_READABLE : 0;
}

void
tcp_open_connect(struct tcp *tcp, const struct tcp_env *env, const struct tcp_connect *terms)
{
	begin(tcp, env, terms->iss);
	tcp->state = TCP_STATE_SYN_SENT;
	tcp->sack = terms->sack;
	tcp->timestamps = terms->timestamps;
	tcp->wscale = terms->our_wscale != TCP_WSCALE_NONE;
	tcp->our_wscale = tcp->wscale ? terms->our_wscale : 0;
	tcp->link_mss = terms->link_mss;
	tcp->announced_mss = terms->announced_mss;
	tcp->peer_mss = terms->default_mss;
	tcp->ts_offset = terms->ts_offset;
	tcp_mtu_begin(tcp, env);
	tcp_receive_begin(tcp, env);
	tcp_output_syn(tcp, env);
	tcp_timers_set(tcp, env);
}

void
tcp_took(struct tcp *tcp, const struct tcp_env *env)
{
	if (tcp->state < TCP_STATE_ESTABLISHED)
		return;
	tcp_receive_tune(tcp, env);
	if (tcp->peer_closed || tcp->state == TCP_STATE_TIME_WAIT || !tcp_receive_has_news(tcp))
		return;
	tcp_output_ack(tcp, env);
	tcp_timers_set(tcp, env);
}

void
tcp_write(struct tcp *tcp, const struct tcp_env *env, struct mbuf_queue *bytes)
{
	mbuf_queue_move(&tcp->sending, bytes);
	tcp_output(tcp, env);
	tcp_timers_set(tcp, env);
}

void
tcp_shut(struct tcp *tcp, const struct tcp_env *env)
{
	if (tcp->shut || tcp->state == TCP_STATE_CLOSED)
		return;
	tcp->shut = true;
	tcp_output(tcp, env);
	tcp_timers_set(tcp, env);
}

void
tcp_abort(struct tcp *tcp, const struct tcp_env *env)
{
	if (tcp->state != TCP_STATE_CLOSED && tcp->state != TCP_STATE_TIME_WAIT)
		tcp_output_reset(tcp, env);
	tcp_timers_end(tcp, 0);
}

void
tcp_free(struct tcp *tcp)
{
	tcp_receive_free(tcp);
	mbuf_queue_clear(&tcp->sending);
	tcp_scoreboard_clear(&tcp->board);
	tcp_timers_end(tcp, 0);
}

const char *
tcp_state_text(enum tcp_state state)
{
	static const char *const texts[] = {"closed",     "syn_sent",   "syn_received", "established", "fin_wait_1",
					    "fin_wait_2", "close_wait", "closing",      "last_ack",    "time_wait"};

	return state < sizeof(texts) / sizeof(texts[0]) ? texts[state] : "unknown";
}
