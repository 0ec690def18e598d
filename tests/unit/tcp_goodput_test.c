/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a stream goes over paths of known rate, delay and loss, in virtual time. The least that is asked for is
 * printed beside what was seen: a change that makes recovery or congestion control worse shows here.
 */
#include "tests/unit/tcp_link.h"

struct path_case {
	const char *name;
	uint32_t rate_kbit, rtt_ms, queue_bytes;
	uint32_t loss;      /* in 1024ths of a percent */
	uint32_t jitter_us; /* reorders */
	bool sack, timestamps;
	uint32_t seconds;
	uint32_t least_kbit;
};

static const struct path_case cases[] = {
	{"100 Mbit/s, 20 ms", 100000, 20, 250000, 0, 0, true, true, 10, 88000},
	{"100 Mbit/s, 20 ms, small queue", 100000, 20, 60000, 0, 0, true, true, 10, 75000},
	{"100 Mbit/s, 20 ms, loss 1 %", 100000, 20, 250000, 1024, 0, true, true, 10, 5000},
	{"100 Mbit/s, 20 ms, loss 5 %", 100000, 20, 250000, 5120, 0, true, true, 10, 1500},
	{"100 Mbit/s, 20 ms, reordered", 100000, 20, 250000, 0, 4000, true, true, 10, 60000},
	{"10 Mbit/s, 100 ms, loss 1 %", 10000, 100, 125000, 1024, 0, true, true, 30, 900},
	{"1 Gbit/s, 1 ms", 1000000, 1, 250000, 0, 0, true, true, 3, 850000},
	{"100 Mbit/s, 20 ms, no SACK", 100000, 20, 250000, 0, 0, false, true, 10, 25000},
	{"100 Mbit/s, 20 ms, loss 1 %, no SACK, no timestamps", 100000, 20, 250000, 1024, 0, false, false, 10, 2000},
};

static void
run(const struct path_case *path, double *kbit, struct link_end *sender)
{
	link_begin(7);
	struct link_terms terms = link_usual();
	terms.sack = path->sack;
	terms.timestamps = path->timestamps;
	for (unsigned i = 0; i < 2; i++)
		link_ends[i].path = (struct link_path){.delay_us = path->rtt_ms * 500};
	link_ends[0].path.rate_kbit = path->rate_kbit;
	link_ends[0].path.queue_bytes = path->queue_bytes;
	link_ends[0].path.loss = path->loss;
	link_ends[0].path.jitter_us = path->jitter_us;
	link_ends[1].shut = true; /* it only reads */
	link_establish(&terms);
	uint64_t begin_us = link_now_us;
	link_run(begin_us + path->seconds * UINT64_C(1000000));
	*kbit = (double)link_ends[1].read * 8000 / (double)(link_now_us - begin_us);
	*sender = link_ends[0];
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_PTR_NULL(link_ends[i].wrong);
}

static void
test_goodput(void)
{
	printf("\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct link_end sender;
		double kbit;
		run(&cases[i], &kbit, &sender);
		printf("  %-52s %8.2f Mbit/s (at least %.2f), %u sent again, %" PRIu64 " lost of %" PRIu64
		       ", cwnd %u, srtt %u ms\n",
		       cases[i].name, kbit / 1000, cases[i].least_kbit / 1000.0, sender.tcp.resent, sender.path.lost,
		       sender.path.lost + sender.path.passed, sender.tcp.congestion.window,
		       tcp_rtt_smooth(&sender.tcp.rtt));
		CU_ASSERT_TRUE(kbit >= cases[i].least_kbit);
		link_end_all();
		CU_ASSERT_TRUE_FATAL(link_is_clean());
	}
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"goodput", test_goodput},
		CU_TEST_INFO_NULL,
	};

	link_open();
	return unit_run("tcp_goodput", tests);
}
