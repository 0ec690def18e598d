/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two endpoints over paths that lose, repeat, reorder, delay and corrupt, with windows and readers of all kinds: both
 * streams arrive as they were sent, both ends close, and no buffer is left. The seed decides everything; a failure
 * prints it.
 */
#include "tests/unit/tcp_link.h"

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 600 };
#else
enum { SEEDS = 2500 };
#endif

enum { LIMIT_S = 3600 };

static void
begin_random(uint64_t seed)
{
	link_begin(seed);
	struct link_terms terms = link_usual();

	terms.sack = random_below(&link_seed, 4) != 0;
	terms.timestamps = random_below(&link_seed, 3) != 0;
	if (random_below(&link_seed, 4) == 0)
		terms.wscale[0] = terms.wscale[1] = TCP_WSCALE_NONE;
	for (unsigned i = 0; i < 2; i++) {
		static const uint16_t sizes[] = {1460, 1220, 536, 100};
		struct link_end *end = &link_ends[i];
		terms.mss[i] = sizes[random_below(&link_seed, 4)];
		terms.link_mss[i] = sizes[random_below(&link_seed, 3)];
		if (terms.wscale[0] != TCP_WSCALE_NONE)
			terms.wscale[i] = (uint8_t)random_below(&link_seed, 9);
		end->to_write = random_below(&link_seed, 8) == 0 ? 0 : random_below(&link_seed, 400000);
		end->write_most = random_below(&link_seed, 2) == 0 ? 0 : 1 + random_below(&link_seed, 3000);
		end->read_most = random_below(&link_seed, 3) != 0 ? 0 : 1 + random_below(&link_seed, 20000);
		end->read_every = 1 + (random_below(&link_seed, 3) == 0 ? random_below(&link_seed, 20) : 0);
		struct link_path *path = &end->path;
		path->delay_us = random_below(&link_seed, 60000);
		path->loss = random_below(&link_seed, 3) == 0 ? 0 : random_below(&link_seed, 10240);
		path->repeat = random_below(&link_seed, 2) == 0 ? 0 : random_below(&link_seed, 5000);
		path->corrupt = random_below(&link_seed, 4) == 0 ? 1000 : 0;
		path->jitter_us = random_below(&link_seed, 2) == 0 ? 0 : random_below(&link_seed, 40000);
		if (random_below(&link_seed, 3) == 0) {
			path->rate_kbit = 500 + random_below(&link_seed, 50000);
			path->queue_bytes = 3000 + random_below(&link_seed, 100000);
		}
		if (random_below(&link_seed, 6) == 0)
			path->mtu_mss = 536;
	}
	link_limits.receive_first = 4096 + random_below(&link_seed, 60000);
	link_limits.send_first = 4096 + random_below(&link_seed, 60000);
	link_limits.give_up_ms = 600000;
	link_limits.keepalive_ms = 0;
	if (random_below(&link_seed, 2) == 0) {
		link_establish(&terms);
		return;
	}
	link_connect(0, &terms);
	link_connect(1, &terms);
}

static bool
is_done(void)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct link_end *end = &link_ends[i];
		if (!end->finished || end->read != link_ends[i ^ 1].to_write)
			return false;
	}
	return true;
}

static const char *
run_one(uint64_t seed)
{
	begin_random(seed);
	while (!is_done()) {
		if (link_now_us > LIMIT_S * UINT64_C(1000000))
			return "it doesn't end";
		for (unsigned i = 0; i < 2; i++) {
			const struct link_end *end = &link_ends[i];
			if (end->wrong != NULL)
				return end->wrong;
			if ((end->events & (TCP_RESET | TCP_TIMED_OUT)) != 0)
				return "reset, or given up";
			if (end->tcp.state >= TCP_STATE_ESTABLISHED &&
			    (end->tcp.congestion.window < 1 || end->tcp.congestion.window > 64 << 20))
				return "a congestion window that can't be";
		}
		for (unsigned i = 0; i < 2; i++) /* a reader that waits for its turn has to get one */
			link_application(&link_ends[i]);
		link_step(link_now_us + 20000);
	}
	return NULL;
}

static void
test_random(void)
{
	const char *only = getenv("SEED");
	uint64_t first = only != NULL ? strtoull(only, NULL, 0) : 1, last = only != NULL ? first : SEEDS;

	link_verbose = only != NULL;
	for (uint64_t seed = first; seed <= last; seed++) {
		const char *failure = run_one(seed);
		if (failure != NULL) {
			printf("SEED=%" PRIu64 ": %s; at %" PRIu64 " us", seed, failure, link_now_us);
			for (unsigned i = 0; i < 2; i++) {
				const struct link_end *end = &link_ends[i];
				printf("; %u: %s, wrote %" PRIu64 " of %" PRIu64 ", read %" PRIu64
				       ", una %u nxt %u win %u cwnd %u timer %u phase %u",
				       i, tcp_state_text(end->tcp.state), end->written, end->to_write, end->read,
				       end->tcp.una, end->tcp.nxt, end->tcp.window, end->tcp.congestion.window,
				       end->tcp.timer, end->tcp.rack.phase);
			}
			printf("\n");
		}
		CU_ASSERT_PTR_NULL(failure);
		link_end_all();
		CU_ASSERT_TRUE_FATAL(link_is_clean());
		if (failure != NULL)
			break;
	}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"random conversations", test_random},
		CU_TEST_INFO_NULL,
	};

	link_open();
	return unit_run("tcp_random", tests);
}
