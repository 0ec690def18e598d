/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_mtu.h"

#include "dataplane/flow.h"
#include "dataplane/tcp_output.h"
#include "dataplane/tcp_timers.h"

static uint16_t
least(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

/* What both ends take. */
static uint16_t
ends_take(const struct tcp *tcp)
{
	uint16_t mss = least(tcp->peer_mss, tcp->link_mss);

	return mss < TCP_MSS_LEAST ? TCP_MSS_LEAST : mss;
}

void
tcp_mtu_begin(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->mss = ends_take(tcp);
	tcp->mss_fails = tcp->mss_try = 0;
	tcp->mss_at_ms = env->now_ms;
	tcp->black_holes = 0;
}

/* Segments of more than mss don't pass. */
static void
shrink(struct tcp *tcp, const struct tcp_env *env, uint16_t mss)
{
	tcp->mss_fails = tcp->mss;
	tcp->mss = mss;
	tcp->mss_try = 0;
	tcp->mss_at_ms = env->now_ms;
	tcp->black_holes = 0;
}

void
tcp_mtu_timed_out(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->mss_try = 0;
	if (tcp->mss <= TCP_MSS_SAFEST || tcp->nxt - tcp->una <= TCP_MSS_SAFEST)
		return;
	if (++tcp->black_holes < TCP_BLACK_HOLE_RETRIES)
		return;
	shrink(tcp, env, tcp->mss > TCP_MSS_SAFE ? TCP_MSS_SAFE : TCP_MSS_SAFEST);
}

void
tcp_mtu_acked(struct tcp *tcp, const struct tcp_env *env)
{
	tcp->black_holes = 0;
	if (tcp->mss_try == 0 || seq_before(tcp->una, tcp->mss_probe_end))
		return;
	tcp->mss = tcp->mss_try;
	tcp->mss_try = 0;
	tcp->mss_at_ms = env->now_ms;
}

bool
tcp_mtu_blames_probe(struct tcp *tcp)
{
	struct tcp_range lost;

	if (tcp->mss_try == 0 || !tcp_scoreboard_next_lost(&tcp->board, tcp->nxt, &lost) ||
	    lost.end != tcp->mss_probe_end || lost.end - lost.begin > tcp->mss_try ||
	    lost.end - lost.begin != tcp->board.lost)
		return false;
	tcp->mss_fails = tcp->mss_try;
	tcp->mss_try = 0;
	return true;
}

uint16_t
tcp_mtu_probe_size(const struct tcp *tcp, const struct tcp_env *env, uint32_t left, uint32_t room)
{
	uint16_t top = ends_take(tcp);
	uint32_t age = env->now_ms - tcp->mss_at_ms;

	if (tcp->mss >= top || tcp->mss_try != 0 || age < TCP_MTU_PAUSE_MS || tcp->rack.phase != TCP_OPEN || !tcp->sack)
		return 0;
	uint16_t size = top;
	if (tcp->mss_fails != 0 && age < TCP_MTU_AGE_MS) {
		top = least(top, (uint16_t)(tcp->mss_fails - 1));
		size = (uint16_t)((tcp->mss + top + 1) / 2);
	}
	if (top < tcp->mss + TCP_MTU_CLOSE || left < size || room < size)
		return 0;
	/* Something must follow it, or nobody could tell that it is lost. */
	if (left < size + 3u * tcp->mss || tcp->congestion.window < size + 4u * tcp->mss)
		return 0;
	return size;
}

void
tcp_mtu_probed(struct tcp *tcp, uint16_t size)
{
	tcp->mss_try = size;
	tcp->mss_probe_end = tcp->nxt;
}

bool
tcp_too_big(struct tcp *tcp, const struct tcp_env *env, uint32_t seq, uint16_t mss)
{
	if (tcp->state < TCP_STATE_ESTABLISHED || seq_before(seq, tcp->una) || !seq_before(seq, tcp->nxt))
		return false;
	if (tcp->mss_try != 0 && mss >= tcp->mss) { /* it met the probe */
		tcp->mss_fails = least(tcp->mss_try, (uint16_t)(mss + 1));
		tcp->mss_try = 0;
		return true;
	}
	if (mss < TCP_MSS_LEAST)
		mss = TCP_MSS_LEAST;
	if (mss >= tcp->mss)
		return true;
	shrink(tcp, env, mss);
	/* What was as large as that hasn't passed, and that isn't congestion: it goes out again by the usual way. */
	struct tcp_range rest = {seq, tcp->nxt};
	tcp_scoreboard_lose(&tcp->board, env->pool, tcp->nxt, rest);
	tcp_output(tcp, env);
	tcp_timers_set(tcp, env);
	return true;
}
