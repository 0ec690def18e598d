/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp_scoreboard.h"

#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/flow.h"
#include "dataplane/tcp_recovery.h"

enum { KIND = TCP_RUN_SACKED | TCP_RUN_LOST };

static struct tcp_run *
base(const struct tcp_scoreboard *board)
{
	return board->page != NULL ? board->page->buf_addr : (struct tcp_run *)(uintptr_t)board->runs;
}

static unsigned
capacity(const struct tcp_scoreboard *board)
{
	if (board->page == NULL)
		return TCP_RUNS_INLINE;
	unsigned fit = board->page->buf_len / (unsigned)sizeof(struct tcp_run);
	return fit < TCP_RUNS_MAX ? fit : TCP_RUNS_MAX;
}

static struct tcp_run *
run_at(const struct tcp_scoreboard *board, unsigned i)
{
	return base(board) + board->first + i;
}

static uint32_t
end_of(const struct tcp_scoreboard *board, unsigned i, uint32_t nxt)
{
	return i + 1 < board->n ? run_at(board, i + 1)->begin : nxt;
}

static uint32_t
length_of(const struct tcp_scoreboard *board, unsigned i, uint32_t nxt)
{
	return end_of(board, i, nxt) - run_at(board, i)->begin;
}

/* Changes the state of a run, and the sums with it. */
static void
set_kind(struct tcp_scoreboard *board, unsigned i, uint32_t nxt, uint8_t kind)
{
	struct tcp_run *run = run_at(board, i);
	uint32_t length = length_of(board, i, nxt);

	if ((run->state & TCP_RUN_SACKED) != 0)
		board->sacked -= length;
	if ((run->state & TCP_RUN_LOST) != 0)
		board->lost -= length;
	run->state = (uint8_t)((run->state & ~KIND) | kind);
	if ((kind & TCP_RUN_SACKED) != 0)
		board->sacked += length;
	if ((kind & TCP_RUN_LOST) != 0)
		board->lost += length;
}

/* Takes the begin of run i out: it belongs to the one before it. */
static void
remove_run(struct tcp_scoreboard *board, unsigned i)
{
	struct tcp_run *run = run_at(board, i);

	board->n--;
	memmove(run, run + 1, (board->n - i) * sizeof(*run));
}

/* Makes one of runs i − 1 and i, at the price of what told them apart. */
static void
merge(struct tcp_scoreboard *board, unsigned i, uint32_t nxt)
{
	struct tcp_run *a = run_at(board, i - 1), *b = run_at(board, i);
	uint8_t kind = a->state & b->state & KIND;

	set_kind(board, i - 1, nxt, kind);
	set_kind(board, i, nxt, kind);
	a->state |= b->state & TCP_RUN_AGAIN;
	if (seq_before(a->sent_ms, b->sent_ms))
		a->sent_ms = b->sent_ms;
	remove_run(board, i);
}

/* What is lost when runs i − 1 and i become one. */
static uint32_t
merge_cost(const struct tcp_scoreboard *board, unsigned i, uint32_t nxt)
{
	const struct tcp_run *a = run_at(board, i - 1), *b = run_at(board, i);
	uint32_t apart = seq_before(a->sent_ms, b->sent_ms) ? b->sent_ms - a->sent_ms : a->sent_ms - b->sent_ms;

	if (((a->state ^ b->state) & KIND) == 0)
		return apart < 1 << 20 ? apart : 1 << 20;
	/* The smaller of the two changes its state, at a guess. */
	uint32_t changed = length_of(board, i - 1, nxt);
	if (length_of(board, i, nxt) < changed)
		changed = length_of(board, i, nxt);
	return (1 << 21) + (changed < 1 << 28 ? changed : 1 << 28);
}

/* Makes room for two runs more behind the last one, by whatever it takes. */
static void
make_room(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt)
{
	const unsigned more = 2;

	if (board->first + board->n + more <= capacity(board))
		return;
	if (board->first != 0) {
		memmove(base(board), run_at(board, 0), board->n * sizeof(struct tcp_run));
		board->first = 0;
	}
	if (board->n + more <= capacity(board))
		return;
	if (board->page == NULL) {
		struct rte_mbuf *page = rte_pktmbuf_alloc(pool);
		if (page != NULL) {
			memcpy(page->buf_addr, board->runs, board->n * sizeof(struct tcp_run));
			board->page = page;
		}
	}
	while (board->n + more > capacity(board)) {
		uint32_t least = UINT32_MAX;
		unsigned best = 1;
		for (unsigned i = 1; i < board->n; i++) {
			uint32_t cost = merge_cost(board, i, nxt);
			if (cost < least) {
				least = cost;
				best = i;
			}
		}
		merge(board, best, nxt);
	}
}

/* The run that holds seq, una <= seq < nxt. */
static unsigned
find(const struct tcp_scoreboard *board, uint32_t seq)
{
	unsigned low = 0, high = board->n;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;
		if (seq_at_most(run_at(board, middle)->begin, seq))
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Lets a run begin at seq, una <= seq <= nxt, where there is room for one more. Returns which. */
static unsigned
split(struct tcp_scoreboard *board, uint32_t seq, uint32_t nxt)
{
	if (seq == nxt)
		return board->n;
	unsigned i = find(board, seq);
	struct tcp_run *run = run_at(board, i);
	if (run->begin == seq)
		return i;
	memmove(run + 2, run + 1, (board->n - i - 1u) * sizeof(*run));
	run[1] = run[0];
	run[1].begin = seq;
	board->n++;
	return i + 1;
}

/* Makes one of neighbours that nothing tells apart any more, among runs from − 1 .. to. */
static void
join(struct tcp_scoreboard *board, unsigned from, unsigned to)
{
	for (unsigned i = to < board->n ? to : board->n - 1u; i > 0 && i >= from; i--) {
		const struct tcp_run *a = run_at(board, i - 1), *b = run_at(board, i);
		bool sacked = (a->state & b->state & TCP_RUN_SACKED) != 0;
		if (sacked || (a->state == b->state && a->sent_ms == b->sent_ms))
			remove_run(board, i);
	}
}

void
tcp_scoreboard_sent(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t begin, uint32_t end,
		    uint32_t now_ms)
{
	if (begin == end)
		return;
	if (board->n != 0) {
		const struct tcp_run *last = run_at(board, board->n - 1u);
		if (last->state == 0 && last->sent_ms == now_ms)
			return;
	} else {
		board->first = 0;
	}
	make_room(board, pool, begin);
	*run_at(board, board->n++) = (struct tcp_run){.begin = begin, .sent_ms = now_ms};
}

void
tcp_scoreboard_sent_again(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt, struct tcp_range range,
			  uint32_t now_ms)
{
	if (range.begin == range.end)
		return;
	make_room(board, pool, nxt);
	unsigned from = split(board, range.begin, nxt), to = split(board, range.end, nxt);
	for (unsigned i = from; i < to; i++) {
		struct tcp_run *run = run_at(board, i);
		if ((run->state & TCP_RUN_SACKED) != 0)
			continue;
		set_kind(board, i, nxt, 0);
		run->state |= TCP_RUN_AGAIN;
		run->sent_ms = now_ms;
	}
	join(board, from, to);
}

/* Bytes ..end of a run have arrived. */
static void
tell(const struct tcp_run *run, uint32_t end, uint32_t fack, struct tcp_news *news)
{
	bool again = (run->state & TCP_RUN_AGAIN) != 0;

	if (!news->any || seq_before(news->sent_ms, run->sent_ms) ||
	    (news->sent_ms == run->sent_ms && seq_before(news->end, end))) {
		news->any = true;
		news->sent_ms = run->sent_ms;
		news->end = end;
		news->again = again;
	}
	if (!again && seq_before(end, fack))
		news->reordered = true;
}

void
tcp_scoreboard_acked(struct tcp_scoreboard *board, uint32_t una, uint32_t nxt, uint32_t fack, struct tcp_news *news)
{
	while (board->n != 0) {
		struct tcp_run *run = run_at(board, 0);
		uint32_t end = end_of(board, 0, nxt);
		if (seq_at_most(una, run->begin))
			break;
		bool whole = seq_at_most(end, una);
		uint32_t length = (whole ? end : una) - run->begin;
		if ((run->state & TCP_RUN_SACKED) != 0) {
			board->sacked -= length;
		} else {
			news->acked += length;
			tell(run, whole ? end : una, fack, news);
			if ((run->state & TCP_RUN_LOST) != 0)
				board->lost -= length;
		}
		if (run->state == 0 && !news->once) {
			news->once = true;
			news->once_ms = run->sent_ms;
		}
		/* What fills a gap acknowledges with it what arrived long ago. */
		news->repaired = news->repaired || (run->state & (TCP_RUN_AGAIN | TCP_RUN_LOST)) != 0;
		if (!whole) {
			run->begin = una;
			break;
		}
		board->first++;
		board->n--;
	}
	if (board->n == 0)
		tcp_scoreboard_clear(board);
}

void
tcp_scoreboard_sacked(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt, struct tcp_range range,
		      uint32_t fack, struct tcp_news *news)
{
	unsigned i = find(board, range.begin);

	if ((run_at(board, i)->state & TCP_RUN_SACKED) != 0 && seq_at_most(range.end, end_of(board, i, nxt)))
		return; /* said before, as most blocks are */
	make_room(board, pool, nxt);
	unsigned from = split(board, range.begin, nxt), to = split(board, range.end, nxt);
	for (i = from; i < to; i++) {
		if ((run_at(board, i)->state & TCP_RUN_SACKED) != 0)
			continue;
		news->sacked += length_of(board, i, nxt);
		tell(run_at(board, i), end_of(board, i, nxt), fack, news);
		if (run_at(board, i)->state == 0) {
			news->fresh = true;
			news->fresh_ms = run_at(board, i)->sent_ms;
		}
		set_kind(board, i, nxt, TCP_RUN_SACKED);
	}
	join(board, from, to);
}

void
tcp_scoreboard_lose(struct tcp_scoreboard *board, struct rte_mempool *pool, uint32_t nxt, struct tcp_range range)
{
	if (board->n == 0 || range.begin == range.end)
		return;
	make_room(board, pool, nxt);
	unsigned from = split(board, range.begin, nxt), to = split(board, range.end, nxt);
	for (unsigned i = from; i < to; i++)
		if ((run_at(board, i)->state & TCP_RUN_SACKED) == 0)
			set_kind(board, i, nxt, TCP_RUN_LOST);
	join(board, from, to);
}

void
tcp_scoreboard_forget_sacks(struct tcp_scoreboard *board, uint32_t nxt)
{
	for (unsigned i = 0; i < board->n; i++)
		if ((run_at(board, i)->state & TCP_RUN_SACKED) != 0)
			set_kind(board, i, nxt, TCP_RUN_LOST);
}

void
tcp_scoreboard_forget_losses(struct tcp_scoreboard *board, uint32_t nxt)
{
	for (unsigned i = 0; i < board->n; i++)
		if ((run_at(board, i)->state & TCP_RUN_LOST) != 0)
			set_kind(board, i, nxt, 0);
}

bool
tcp_scoreboard_begins_sacked(const struct tcp_scoreboard *board)
{
	return board->n != 0 && (run_at(board, 0)->state & TCP_RUN_SACKED) != 0;
}

bool
tcp_scoreboard_ends_sacked(const struct tcp_scoreboard *board)
{
	return board->n != 0 && (run_at(board, board->n - 1u)->state & TCP_RUN_SACKED) != 0;
}

bool
tcp_scoreboard_next_lost(const struct tcp_scoreboard *board, uint32_t nxt, struct tcp_range *range)
{
	if (board->lost == 0)
		return false;
	for (unsigned i = 0; i < board->n; i++) {
		if ((run_at(board, i)->state & TCP_RUN_LOST) == 0)
			continue;
		range->begin = run_at(board, i)->begin;
		while (i < board->n && (run_at(board, i)->state & TCP_RUN_LOST) != 0)
			range->end = end_of(board, i++, nxt);
		return true;
	}
	return false;
}

bool
tcp_scoreboard_lose_late(struct tcp_scoreboard *board, uint32_t nxt, uint32_t before_ms)
{
	bool any = false;

	for (unsigned i = 0; i < board->n; i++) {
		const struct tcp_run *run = run_at(board, i);
		if ((run->state & KIND) != 0 || seq_before(before_ms, run->sent_ms))
			continue;
		set_kind(board, i, nxt, TCP_RUN_LOST);
		any = true;
	}
	return any;
}

bool
tcp_scoreboard_detect(struct tcp_scoreboard *board, uint32_t nxt, const struct tcp_rack *rack, uint32_t window_ms,
		      uint32_t now_ms, uint32_t *wait_ms)
{
	bool any = false;

	*wait_ms = 0;
	for (unsigned i = 0; i < board->n; i++) {
		const struct tcp_run *run = run_at(board, i);
		if ((run->state & KIND) != 0)
			continue;
		bool earlier = seq_before(run->sent_ms, rack->sent_ms) ||
			       (run->sent_ms == rack->sent_ms && seq_before(end_of(board, i, nxt), rack->end));
		if (!earlier)
			continue;
		int32_t left = (int32_t)(run->sent_ms + rack->rtt_ms + window_ms - now_ms);
		if (left <= 0) {
			set_kind(board, i, nxt, TCP_RUN_LOST);
			any = true;
		} else if ((uint32_t)left > *wait_ms) {
			*wait_ms = (uint32_t)left;
		}
	}
	return any;
}

void
tcp_scoreboard_clear(struct tcp_scoreboard *board)
{
	if (board->page != NULL)
		rte_pktmbuf_free(board->page);
	*board = (struct tcp_scoreboard){0};
}
