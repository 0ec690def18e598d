/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_recovery.h"

#include "dataplane/flow.h"
#include "dataplane/tcp.h"
#include "dataplane/tcp_mtu.h"

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void
tcp_rack_init(struct tcp_rack *rack, uint32_t iss)
{
	*rack = (struct tcp_rack){.fack = iss, .point = iss, .round = iss, .multiple = 1};
}

/* --- RACK, RFC 8985 section 6.2 --------------------------------------------------------------------------------- */

/* Steps 1 and 2: what was sent last of all that has arrived. */
static void
note_arrival(struct tcp *tcp, const struct tcp_env *env, const struct tcp_acked *acked)
{
	const struct tcp_news *news = &acked->news;
	struct tcp_rack *rack = &tcp->rack;
	uint32_t rtt = env->now_ms - news->sent_ms;

	if (!news->any)
		return;
	if (news->again) {
		/* It may be the first transmission that has arrived. */
		if (acked->timestamps && seq_before(acked->tsecr, news->sent_ms + tcp->ts_offset))
			return;
		if (rtt + 1 < tcp_rtt_least(&tcp->rtt)) /* of a clock of milliseconds, either may be one off */
			return;
	}
	if (!rack->any || seq_before(rack->sent_ms, news->sent_ms) ||
	    (rack->sent_ms == news->sent_ms && seq_before(rack->end, news->end))) {
		rack->any = true;
		rack->sent_ms = news->sent_ms;
		rack->end = news->end;
	}
	rack->rtt_ms = rtt;
}

/* Steps 3 and 4: reordering, and how much of it to bear with. */
static void
note_order(struct tcp *tcp, const struct tcp_acked *acked)
{
	struct tcp_rack *rack = &tcp->rack;

	if (acked->news.reordered)
		rack->reordering = true;
	if (rack->widened && seq_at_most(rack->round, tcp->una))
		rack->widened = false;
	if (acked->d_sack.begin != acked->d_sack.end && !rack->widened && !rack->probing) {
		rack->widened = true;
		rack->round = tcp->nxt;
		if (rack->multiple < TCP_RACK_MULTIPLE_MAX)
			rack->multiple++;
		rack->persist = TCP_RACK_PERSIST;
	}
}

static uint32_t
reordering_window(const struct tcp *tcp)
{
	const struct tcp_rack *rack = &tcp->rack;

	if (!rack->reordering && (rack->phase != TCP_OPEN || tcp->board.sacked >= TCP_DUPLICATES * tcp_full(tcp)))
		return 0;
	if (tcp->rtt.srtt8 == 0) /* nothing was timed yet but what was sacked just now */
		return rack->rtt_ms / 4;
	return least(rack->multiple * tcp_rtt_least(&tcp->rtt) / 4, tcp_rtt_smooth(&tcp->rtt));
}

/* Step 5. True: something is lost that wasn't before. */
static bool
detect(struct tcp *tcp, const struct tcp_env *env)
{
	struct tcp_rack *rack = &tcp->rack;
	uint32_t wait = 0;
	bool any = false;

	if (rack->any && tcp->una != tcp->nxt)
		any = tcp_scoreboard_detect(&tcp->board, tcp->nxt, rack, reordering_window(tcp), env->now_ms, &wait);
	rack->waiting = wait != 0;
	rack->wait_until_ms = env->now_ms + wait;
	return any;
}

/* --- without SACK, RFC 6582 ------------------------------------------------------------------------------------- */

static bool
count_duplicates(struct tcp *tcp, const struct tcp_env *env, const struct tcp_acked *acked)
{
	struct tcp_rack *rack = &tcp->rack;
	struct tcp_range first = {tcp->una, tcp->una + least(tcp_full(tcp), tcp->nxt - tcp->una)};

	if (rack->phase == TCP_LOSS)
		return false;
	if (acked->advance != 0) {
		/* What the receiver had beyond the gap it has acknowledged now, more or less. */
		uint32_t segments = acked->news.acked / tcp_full(tcp);
		rack->duplicates = segments < rack->duplicates ? (uint16_t)(rack->duplicates - segments) : 0;
		if (rack->phase != TCP_RECOVERY || seq_at_most(rack->point, tcp->una)) {
			rack->duplicates = 0;
			return false;
		}
		tcp_scoreboard_lose(&tcp->board, env->pool, tcp->nxt, first);
		return true;
	}
	if (!acked->duplicate)
		return false;
	if (rack->duplicates < (tcp->nxt - tcp->una) / tcp_full(tcp))
		rack->duplicates++;
	if (rack->phase != TCP_OPEN || rack->duplicates != TCP_DUPLICATES || seq_at_most(tcp->una, rack->point))
		return false;
	tcp_scoreboard_lose(&tcp->board, env->pool, tcp->nxt, first);
	return true;
}

/* --- recovery --------------------------------------------------------------------------------------------------- */

static void
begin_recovery(struct tcp *tcp)
{
	tcp->rack.phase = TCP_RECOVERY;
	tcp->rack.point = tcp->nxt;
	tcp->rack.undo = TCP_UNDO_ARMED;
	tcp->rack.force = true;
	tcp->rack.probing = false;
	tcp_congestion_lost(&tcp->congestion, tcp->mss, tcp->nxt - tcp->una);
}

static void
end_recovery(struct tcp *tcp)
{
	struct tcp_rack *rack = &tcp->rack;

	if (rack->phase == TCP_RECOVERY)
		tcp_congestion_recovered(&tcp->congestion, tcp->mss);
	rack->phase = TCP_OPEN;
	rack->undo = TCP_UNDO_NONE;
	rack->force = false;
	rack->duplicates = 0;
	if (rack->persist > 0 && --rack->persist == 0)
		rack->multiple = 1;
}

/* RFC 3522: what was thought lost has arrived by its first transmission. */
static bool
was_needless(struct tcp *tcp, const struct tcp_acked *acked)
{
	struct tcp_rack *rack = &tcp->rack;

	if (rack->undo != TCP_UNDO_READY || acked->advance == 0)
		return false;
	rack->undo = TCP_UNDO_NONE;
	return acked->timestamps && acked->tsecr != 0 && seq_before(acked->tsecr, rack->again_tsval);
}

/* RFC 8985 section 7.4: whether what the tail loss probe repeated was lost. */
static void
judge_probe(struct tcp *tcp, const struct tcp_acked *acked)
{
	struct tcp_rack *rack = &tcp->rack;

	if (!rack->probing || seq_before(tcp->una, rack->probe_end))
		return;
	bool arrived_twice = acked->d_sack.begin != acked->d_sack.end && acked->d_sack.end == rack->probe_end;
	bool repaired = rack->probe_again && !arrived_twice && seq_before(rack->probe_end, tcp->una);
	if (!repaired && rack->probe_again && !arrived_twice && tcp->una == rack->probe_end && !acked->duplicate)
		return; /* the next acknowledgment tells */
	rack->probing = false;
	if (!repaired || rack->phase != TCP_OPEN)
		return;
	tcp_congestion_lost(&tcp->congestion, tcp->mss, tcp->nxt - tcp->una);
	tcp_congestion_recovered(&tcp->congestion, tcp->mss);
}

static bool
is_limited(const struct tcp *tcp, uint32_t flight)
{
	const struct tcp_congestion *congestion = &tcp->congestion;

	if (congestion->window < congestion->threshold)
		return flight >= congestion->window / 2;
	return flight + 3u * tcp->mss > congestion->window;
}

void
tcp_recovery_acked(struct tcp *tcp, const struct tcp_env *env, const struct tcp_acked *acked)
{
	struct tcp_rack *rack = &tcp->rack;
	const struct tcp_news *news = &acked->news;
	uint32_t delivered = news->acked + news->sacked;
	bool lost, over = false;

	if (seq_before(rack->fack, tcp->una))
		rack->fack = tcp->una;
	judge_probe(tcp, acked);
	if (was_needless(tcp, acked)) {
		tcp_scoreboard_forget_losses(&tcp->board, tcp->nxt);
		tcp_congestion_undo(&tcp->congestion);
		rack->phase = TCP_OPEN;
		end_recovery(tcp);
	}
	if (tcp->sack) {
		note_arrival(tcp, env, acked);
		note_order(tcp, acked);
		lost = (delivered != 0 || rack->waiting) && detect(tcp, env);
	} else {
		lost = count_duplicates(tcp, env, acked);
		if (acked->duplicate)
			delivered += tcp_full(tcp);
	}
	if (rack->phase != TCP_OPEN && seq_at_most(rack->point, tcp->una)) {
		over = rack->phase == TCP_RECOVERY;
		end_recovery(tcp);
	}
	if (lost && rack->phase == TCP_OPEN && !tcp_mtu_blames_probe(tcp))
		begin_recovery(tcp);
	if (rack->phase == TCP_RECOVERY) {
		if (delivered != 0 || lost)
			tcp_congestion_recover(&tcp->congestion, tcp->mss, delivered, tcp_flight(tcp));
	} else if (acked->advance != 0 && !over) { /* while something is only sacked, the window stays */
		uint32_t rtt = news->once && !news->repaired ? env->now_ms - news->once_ms : UINT32_MAX;
		tcp_congestion_acked(&tcp->congestion, tcp->mss, acked->advance, tcp->una, tcp->nxt, rtt,
				     tcp_rtt_smooth(&tcp->rtt), is_limited(tcp, acked->flight), env->now_ms);
	}
}

void
tcp_recovery_timed_out(struct tcp *tcp, const struct tcp_env *env)
{
	struct tcp_rack *rack = &tcp->rack;
	struct tcp_range all = {tcp->una, tcp->nxt};
	bool first = rack->phase == TCP_OPEN;

	if (tcp_scoreboard_begins_sacked(&tcp->board))
		tcp_scoreboard_forget_sacks(&tcp->board, tcp->nxt);
	tcp_scoreboard_lose(&tcp->board, env->pool, tcp->nxt, all);
	rack->duplicates = 0;
	rack->waiting = rack->probing = false;
	rack->force = true;
	rack->undo = first && tcp->rtt.backoff == 0 ? TCP_UNDO_ARMED : TCP_UNDO_NONE;
	rack->phase = TCP_LOSS;
	rack->point = tcp->nxt;
	tcp_congestion_timed_out(&tcp->congestion, tcp->mss, tcp_flight(tcp), first);
}

void
tcp_recovery_waited(struct tcp *tcp, const struct tcp_env *env)
{
	if (detect(tcp, env) && tcp->rack.phase == TCP_OPEN && !tcp_mtu_blames_probe(tcp)) {
		begin_recovery(tcp);
		tcp_congestion_recover(&tcp->congestion, tcp->mss, 0, tcp_flight(tcp));
	}
}

void
tcp_recovery_resends(struct tcp *tcp, const struct tcp_env *env)
{
	struct tcp_rack *rack = &tcp->rack;

	rack->force = false;
	if (rack->undo != TCP_UNDO_ARMED)
		return;
	rack->undo = TCP_UNDO_READY;
	rack->again_tsval = env->now_ms + tcp->ts_offset;
}

/* --- tail loss probes, RFC 8985 section 7 ----------------------------------------------------------------------- */

bool
tcp_recovery_may_probe(const struct tcp *tcp)
{
	return tcp->sack && tcp->state >= TCP_STATE_ESTABLISHED && tcp->rack.phase == TCP_OPEN && !tcp->rack.probing &&
	       tcp->board.sacked == 0 && tcp->board.lost == 0 && tcp->rtt.backoff == 0 && tcp->una != tcp->nxt;
}

uint32_t
tcp_recovery_probe_ms(const struct tcp *tcp)
{
	uint32_t smooth = tcp_rtt_smooth(&tcp->rtt);

	if (smooth == 0)
		return TCP_RTO_FIRST_MS;
	uint32_t ms = 2 * smooth + 2; /* two ticks of the clock */
	return tcp_flight(tcp) <= tcp->mss ? ms + TCP_WORST_ACK_DELAY_MS : ms;
}

void
tcp_recovery_probed(struct tcp *tcp, bool again)
{
	tcp->rack.probing = true;
	tcp->rack.probe_again = again;
	tcp->rack.probe_end = tcp->nxt;
}
