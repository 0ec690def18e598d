/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_timers.h"

#include "dataplane/flow.h"
#include "dataplane/tcp_mtu.h"
#include "dataplane/tcp_output.h"

static bool
is_synchronized(const struct tcp *tcp)
{
	return tcp->state >= TCP_STATE_ESTABLISHED && tcp->state != TCP_STATE_TIME_WAIT;
}

/* Until the next probe of a closed window. */
static uint32_t
probe_ms(const struct tcp *tcp)
{
	uint64_t ms = (uint64_t)tcp->rtt.rto_ms << (tcp->probes < 10 ? tcp->probes : 10);

	return ms < TCP_RTO_MAX_MS ? (uint32_t)ms : TCP_RTO_MAX_MS;
}

static enum tcp_timer
set_timer(struct tcp *tcp, const struct tcp_env *env)
{
	bool outstanding = tcp->una != tcp->nxt;

	if (tcp->state == TCP_STATE_CLOSED || tcp->state == TCP_STATE_TIME_WAIT)
		return TCP_TIMER_NONE;
	if (tcp->unsent) {
		tcp->timer_at = env->now_ms + TCP_RETRY_MS;
		return TCP_TIMER_RETRY;
	}
	if (is_synchronized(tcp) && (outstanding ? tcp->window == 0 : tcp->nxt != tcp_sending_end(tcp))) {
		if (tcp->timer != TCP_TIMER_PROBE)
			tcp->tail_from_ms = env->now_ms;
		tcp->timer_at = tcp->tail_from_ms + probe_ms(tcp);
		return TCP_TIMER_PROBE;
	}
	tcp->probes = 0;
	if (!outstanding)
		return TCP_TIMER_NONE;
	if (tcp->rack.waiting) {
		tcp->timer_at = tcp->rack.wait_until_ms;
		return TCP_TIMER_REORDER;
	}
	tcp->timer_at = tcp->rto_from_ms + tcp_rtt_timeout(&tcp->rtt);
	if (tcp_recovery_may_probe(tcp)) {
		uint32_t tail = tcp->tail_from_ms + tcp_recovery_probe_ms(tcp);
		if (seq_before(tail, tcp->timer_at))
			tcp->timer_at = tail;
		return TCP_TIMER_TAIL; /* before every time-out, also where that isn't farther */
	}
	return TCP_TIMER_RESEND;
}

void
tcp_timers_set(struct tcp *tcp, const struct tcp_env *env)
{
	const struct tcp_limits *limits = env->limits;

	tcp->timer = (uint8_t)set_timer(tcp, env);
	if (tcp->ack_now && !tcp->ack_armed && tcp->state != TCP_STATE_CLOSED) { /* it couldn't be sent */
		tcp->ack_armed = true;
		tcp->ack_at = env->now_ms + TCP_RETRY_MS;
	}
	if (is_synchronized(tcp)) {
		tcp->life_armed = limits->keepalive_ms != 0 && tcp->timer == TCP_TIMER_NONE;
		tcp->life_at = tcp->heard_ms + limits->keepalive_ms + tcp->keepalives * limits->keepalive_gap_ms;
	}
}

void
tcp_timers_wait(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->life_armed = true;
	tcp->life_at = env->now_ms + env->limits->time_wait_ms;
}

unsigned
tcp_timers_end(struct tcp *tcp, unsigned events)
{
	tcp->state = TCP_STATE_CLOSED;
	tcp->timer = TCP_TIMER_NONE;
	tcp->ack_now = tcp->ack_armed = tcp->life_armed = false;
	return events;
}

bool
tcp_next_ms(const struct tcp *tcp, uint32_t *at_ms)
{
	bool any = false;

	if (tcp->timer != TCP_TIMER_NONE) {
		*at_ms = tcp->timer_at;
		any = true;
	}
	if (tcp->ack_armed && (!any || seq_before(tcp->ack_at, *at_ms))) {
		*at_ms = tcp->ack_at;
		any = true;
	}
	if (tcp->life_armed && (!any || seq_before(tcp->life_at, *at_ms))) {
		*at_ms = tcp->life_at;
		any = true;
	}
	return any;
}

/* Whether the peer has been silent for too long about what it should acknowledge. */
static bool
is_given_up(const struct tcp *tcp, const struct tcp_env *env)
{
	return tcp->state >= TCP_STATE_SYN_RECEIVED && env->now_ms - tcp->progress_ms >= env->limits->give_up_ms;
}

static unsigned
give_up(struct tcp *tcp, const struct tcp_env *env)
{
	tcp_output_reset(tcp, env);
	return tcp_timers_end(tcp, TCP_TIMED_OUT);
}

static unsigned
resend(struct tcp *tcp, const struct tcp_env *env)
{
	if (is_given_up(tcp, env))
		return give_up(tcp, env);
	tcp->rto_from_ms = env->now_ms;
	if (!is_synchronized(tcp)) {
		tcp->rtt.backoff++;
		tcp->syn_again = true;
		tcp_output_syn(tcp, env);
		return 0;
	}
	tcp_mtu_timed_out(tcp, env);
	tcp_recovery_timed_out(tcp, env);
	if (tcp->rtt.backoff < UINT8_MAX)
		tcp->rtt.backoff++;
	tcp_output(tcp, env);
	return 0;
}

static unsigned
fire(struct tcp *tcp, const struct tcp_env *env)
{
	switch ((enum tcp_timer)tcp->timer) {
	case TCP_TIMER_NONE:
		return 0;
	case TCP_TIMER_RESEND:
		return resend(tcp, env);
	case TCP_TIMER_TAIL:
		tcp_output_tail(tcp, env);
		return 0;
	case TCP_TIMER_REORDER:
		tcp_recovery_waited(tcp, env);
		tcp_output(tcp, env);
		return 0;
	case TCP_TIMER_PROBE:
		if (tcp->probes == 0)
			tcp->progress_ms = env->now_ms;
		else if (is_given_up(tcp, env))
			return give_up(tcp, env);
		if (tcp->probes < UINT8_MAX)
			tcp->probes++;
		tcp_output_probe(tcp, env);
		return 0;
	case TCP_TIMER_RETRY:
		if (tcp->state <= TCP_STATE_SYN_RECEIVED)
			tcp_output_syn(tcp, env);
		else
			tcp_output(tcp, env);
		return 0;
	}
	return 0;
}

/* Keep-alives, and the end of TIME-WAIT. */
static unsigned
live(struct tcp *tcp, const struct tcp_env *env)
{
	if (tcp->state == TCP_STATE_TIME_WAIT)
		return tcp_timers_end(tcp, TCP_CLOSED);
	if (tcp->keepalives >= env->limits->keepalives)
		return give_up(tcp, env);
	tcp->keepalives++;
	tcp_output_ask(tcp, env);
	return 0;
}

unsigned
tcp_timer(struct tcp *tcp, const struct tcp_env *env)
{
	unsigned events = 0;

	if (tcp->timer != TCP_TIMER_NONE && seq_at_most(tcp->timer_at, env->now_ms))
		events |= fire(tcp, env);
	if (tcp->ack_armed && seq_at_most(tcp->ack_at, env->now_ms)) {
		tcp->ack_armed = false;
		tcp_output_ack(tcp, env);
	}
	if (tcp->life_armed && seq_at_most(tcp->life_at, env->now_ms))
		events |= live(tcp, env);
	tcp_timers_set(tcp, env);
	return events;
}
