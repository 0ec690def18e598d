/* SPDX-License-Identifier: Apache-2.0 */
/* The scoreboard against a model that remembers every byte by itself. */
#include "dataplane/tcp_scoreboard.h"

#include "dataplane/tcp_recovery.h"
#include "tests/unit/random.h"
#include "tests/unit/tcp_script.h"

enum { SPACE = 20000, ROUNDS = 400, STEPS = 400 };

struct byte {
	uint32_t sent_ms;
	uint8_t state;
};

static struct byte model[SPACE];
static struct tcp_scoreboard board;
static uint32_t una, nxt, now = 1000;
static const uint32_t base = 0xffffe000; /* it wraps */

/* Whether the board says of every byte what the model does; exact: all of it, else only what must not be wrong. */
static bool
agrees(void)
{
	const struct tcp_run *runs = board.page != NULL ? board.page->buf_addr : board.runs;
	uint32_t sacked = 0, lost = 0, at = una;

	runs += board.first;
	if ((una == nxt) != (board.n == 0))
		return false;
	for (unsigned i = 0; i < board.n; i++) {
		uint32_t end = i + 1 < board.n ? runs[i + 1].begin - base : nxt;
		if (runs[i].begin - base != at || end <= at)
			return false;
		for (; at < end; at++) {
			const struct byte *byte = &model[at];
			sacked += (runs[i].state & TCP_RUN_SACKED) != 0;
			lost += (runs[i].state & TCP_RUN_LOST) != 0;
			if (runs[i].state != byte->state ||
			    ((byte->state & TCP_RUN_SACKED) == 0 && runs[i].sent_ms != byte->sent_ms))
				return false;
		}
	}
	return at == nxt && sacked == board.sacked && lost == board.lost;
}

static struct tcp_range
some_range(uint64_t *seed, uint32_t most)
{
	uint32_t length = nxt - una, begin = una + random_below(seed, length),
		 end = begin + 1 + random_below(seed, most);

	return (struct tcp_range){base + begin, base + (end < nxt ? end : nxt)};
}

static void
test_random(void)
{
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		uint64_t seed = round;
		una = nxt = 0;
		for (unsigned step = 0; step < STEPS && nxt + 200 < SPACE; step++) {
			struct tcp_news news = {0};
			struct tcp_range range;
			uint32_t n;
			now += random_below(&seed, 2);
			/* Few enough runs that nothing need be merged at a loss. */
			uint32_t kind = una == nxt ? 0 : random_below(&seed, board.n > 150 ? 1 : 6);
			switch (kind) {
			case 0:
				if (board.n > 150) {
					n = nxt - una;
					goto acknowledge;
				}
				n = 1 + random_below(&seed, 150);
				tcp_scoreboard_sent(&board, script_pool, base + nxt, base + nxt + n, now);
				for (; n != 0; n--)
					model[nxt++] = (struct byte){.sent_ms = now};
				break;
			case 1:
				n = random_below(&seed, (nxt - una) / 4 + 2);
				n = n < nxt - una ? n : nxt - una;
			acknowledge : {
				uint32_t fresh = 0;
				for (uint32_t i = una; i < una + n; i++)
					fresh += (model[i].state & TCP_RUN_SACKED) == 0;
				tcp_scoreboard_acked(&board, base + una + n, base + nxt, base, &news);
				una += n;
				CU_ASSERT_EQUAL(news.acked, fresh);
				CU_ASSERT_EQUAL(news.any, fresh != 0);
				break;
			}
			case 2: {
				uint32_t fresh = 0;
				range = some_range(&seed, 300);
				for (uint32_t i = range.begin - base; i < range.end - base; i++) {
					fresh += (model[i].state & TCP_RUN_SACKED) == 0;
					model[i].state = (uint8_t)((model[i].state & TCP_RUN_AGAIN) | TCP_RUN_SACKED);
				}
				tcp_scoreboard_sacked(&board, script_pool, base + nxt, range, base, &news);
				CU_ASSERT_EQUAL(news.sacked, fresh);
				/* Neighbours that are sacked are one, whatever else they were. */
				for (uint32_t i = una; i < nxt; i++)
					if ((model[i].state & TCP_RUN_SACKED) != 0 && i > una &&
					    (model[i - 1].state & TCP_RUN_SACKED) != 0)
						model[i].state = model[i - 1].state;
				break;
			}
			case 3:
				range = some_range(&seed, 300);
				tcp_scoreboard_lose(&board, script_pool, base + nxt, range);
				for (uint32_t i = range.begin - base; i < range.end - base; i++)
					if ((model[i].state & TCP_RUN_SACKED) == 0)
						model[i].state |= TCP_RUN_LOST;
				break;
			case 4: {
				bool any = tcp_scoreboard_next_lost(&board, base + nxt, &range);
				uint32_t first = una;
				while (first < nxt && (model[first].state & TCP_RUN_LOST) == 0)
					first++;
				CU_ASSERT_EQUAL(any, first < nxt);
				if (!any)
					break;
				CU_ASSERT_EQUAL(range.begin - base, first);
				tcp_scoreboard_sent_again(&board, script_pool, base + nxt, range, now);
				for (uint32_t i = range.begin - base; i < range.end - base; i++) {
					CU_ASSERT_TRUE((model[i].state & TCP_RUN_LOST) != 0);
					model[i] = (struct byte){.sent_ms = now, .state = TCP_RUN_AGAIN};
				}
				break;
			}
			default: {
				struct tcp_rack rack = {
					.sent_ms = now - random_below(&seed, 20), .rtt_ms = 5, .any = true};
				uint32_t wait, most_wait = 0, window = random_below(&seed, 10);
				bool any = false;
				rack.end = base + una + random_below(&seed, nxt - una);
				const uint8_t gone = TCP_RUN_SACKED | TCP_RUN_LOST;
				for (uint32_t i = una; i < nxt; i++) {
					if ((model[i].state & gone) != 0 || model[i].sent_ms >= rack.sent_ms)
						continue;
					int32_t left = (int32_t)(model[i].sent_ms + 5 + window - now);
					if (left <= 0) {
						model[i].state |= TCP_RUN_LOST;
						any = true;
					} else if ((uint32_t)left > most_wait) {
						most_wait = (uint32_t)left;
					}
				}
				rack.end = base + una; /* nothing that was sent in that very millisecond */
				CU_ASSERT_EQUAL(tcp_scoreboard_detect(&board, base + nxt, &rack, window, now, &wait),
						any);
				CU_ASSERT_EQUAL(wait, most_wait);
			}
			}
			CU_ASSERT_TRUE_FATAL(agrees());
		}
		tcp_scoreboard_clear(&board);
	}
	CU_ASSERT_TRUE(script_is_clean());
}

/* More holes than there are runs for, or no buffer for them: nothing that isn't sacked is ever taken for it, and the
 * sums stay right. */
static void
crowd(struct rte_mempool *pool, unsigned holes)
{
	uint8_t sacked[SPACE] = {0};
	uint32_t sum_sacked = 0, sum_lost = 0, at = base;
	struct tcp_news news = {0};

	for (unsigned i = 0; i < holes; i++)
		tcp_scoreboard_sent(&board, pool, base + 10 * i, base + 10 * i + 10, 1000 + i);
	for (unsigned i = 1; i < holes; i += 2) {
		struct tcp_range range = {base + 10 * i, base + 10 * i + 10};
		tcp_scoreboard_sacked(&board, pool, base + 10 * holes, range, base, &news);
		memset(sacked + (size_t)10 * i, 1, 10);
	}
	const struct tcp_run *runs = board.page != NULL ? board.page->buf_addr : board.runs;
	runs += board.first;
	for (unsigned i = 0; i < board.n; i++) {
		uint32_t end = i + 1 < board.n ? runs[i + 1].begin : base + 10 * holes;
		CU_ASSERT_EQUAL(runs[i].begin, at);
		for (; at != end; at++) {
			if ((runs[i].state & TCP_RUN_SACKED) != 0 && !sacked[at - base])
				CU_FAIL("taken for sacked");
			sum_sacked += (runs[i].state & TCP_RUN_SACKED) != 0;
			sum_lost += (runs[i].state & TCP_RUN_LOST) != 0;
		}
	}
	CU_ASSERT_EQUAL(sum_sacked, board.sacked);
	CU_ASSERT_EQUAL(sum_lost, board.lost);
	tcp_scoreboard_forget_sacks(&board, base + 10 * holes);
	CU_ASSERT_EQUAL(board.sacked, 0);
	tcp_scoreboard_forget_losses(&board, base + 10 * holes);
	CU_ASSERT_EQUAL(board.lost, 0);
	tcp_scoreboard_clear(&board);
}

static void
test_crowded(void)
{
	struct rte_mbuf *all[SCRIPT_MBUFS];

	crowd(script_pool, 1000);
	for (unsigned i = 0; i < SCRIPT_MBUFS; i++)
		all[i] = rte_pktmbuf_alloc(script_pool);
	crowd(script_pool, 50);
	for (unsigned i = 0; i < SCRIPT_MBUFS; i++)
		rte_pktmbuf_free(all[i]);
	CU_ASSERT_TRUE(script_is_clean());
}

/* Karn and RACK: what was sent last, what was sent once, what came out of order. */
static void
test_news(void)
{
	struct tcp_news news = {0};
	struct tcp_range range = {base + 100, base + 200};

	for (uint32_t i = 0; i < 5; i++)
		tcp_scoreboard_sent(&board, script_pool, base + 100 * i, base + 100 * i + 100, 10 + i);
	CU_ASSERT_PTR_NOT_NULL(board.page); /* a fifth run needs it */
	tcp_scoreboard_sacked(&board, script_pool, base + 500, range, base, &news);
	CU_ASSERT_TRUE(news.any && !news.again && !news.reordered);
	CU_ASSERT_EQUAL(news.sent_ms, 11);
	CU_ASSERT_EQUAL(news.end, base + 200);
	news = (struct tcp_news){0};
	tcp_scoreboard_acked(&board, base + 150, base + 500, base + 200, &news);
	CU_ASSERT_TRUE(news.reordered && news.once);
	CU_ASSERT_EQUAL(news.acked, 100);
	CU_ASSERT_EQUAL(news.once_ms, 10);
	CU_ASSERT_EQUAL(board.sacked, 50);
	CU_ASSERT_TRUE(tcp_scoreboard_begins_sacked(&board));
	range = (struct tcp_range){base + 200, base + 300};
	tcp_scoreboard_sent_again(&board, script_pool, base + 500, range, 30);
	news = (struct tcp_news){0};
	tcp_scoreboard_acked(&board, base + 500, base + 500, base + 200, &news);
	CU_ASSERT_TRUE(news.again && news.once && news.repaired && !news.reordered);
	CU_ASSERT_EQUAL(news.sent_ms, 30);
	CU_ASSERT_EQUAL(news.end, base + 300);
	CU_ASSERT_PTR_NULL(board.page);
	CU_ASSERT_TRUE(script_is_clean());
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"random", test_random},
		{"crowded", test_crowded},
		{"news", test_news},
		CU_TEST_INFO_NULL,
	};

	script_open();
	return unit_run("tcp_scoreboard", tests);
}
