/* SPDX-License-Identifier: Apache-2.0 */
/* CUBIC, HyStart++ and PRR by the figures of their RFCs, and the round-trip estimator by hand. */
#include "dataplane/tcp_congestion.h"

#include "dataplane/tcp_rtt.h"
#include "tests/unit/unit.h"

enum { MSS = 1000, RTT = 100 };

static struct tcp_congestion congestion;
static uint32_t una, now;

static void
begin(void)
{
	una = now = 1000;
	tcp_congestion_init(&congestion, MSS, una);
}

/* One round trip in which a whole window is acknowledged, a segment at a time. */
static void
pass_round(uint32_t rtt_ms)
{
	uint32_t segments = congestion.window / MSS, nxt = una + congestion.window;

	for (uint32_t i = 0; i < segments; i++) {
		una += MSS;
		now += rtt_ms / segments;
		tcp_congestion_acked(&congestion, MSS, MSS, una, nxt + i * MSS, rtt_ms, rtt_ms, true, now);
	}
	now += rtt_ms % segments;
}

static void
test_initial(void)
{
	static const struct {
		uint16_t mss;
		uint32_t window;
	} cases[] = {{536, 5360}, {1460, 14600}, {1000, 10000}, {4000, 14600}, {9000, 18000}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tcp_congestion_init(&congestion, cases[i].mss, 0);
		CU_ASSERT_EQUAL(congestion.window, cases[i].window); /* RFC 6928 section 2 */
	}
}

static void
test_slow_start(void)
{
	begin();
	pass_round(RTT);
	CU_ASSERT_EQUAL(congestion.window, 20 * MSS);
	pass_round(RTT);
	CU_ASSERT_EQUAL(congestion.window, 40 * MSS);
	/* What isn't used doesn't grow. */
	tcp_congestion_acked(&congestion, MSS, MSS, una, una + MSS, RTT, RTT, false, now);
	CU_ASSERT_EQUAL(congestion.window, 40 * MSS);
	/* One ACK of very much counts as eight segments. */
	tcp_congestion_acked(&congestion, MSS, 30 * MSS, una, una + MSS, RTT, RTT, true, now);
	CU_ASSERT_EQUAL(congestion.window, 48 * MSS);
}

/* RFC 9406: delay grows by an eighth: a quarter of the speed, for five rounds, then avoidance. */
static void
test_delay(void)
{
	begin();
	pass_round(RTT);
	pass_round(RTT);
	CU_ASSERT_FALSE(congestion.calm);
	uint32_t before = congestion.window;
	pass_round(RTT + 11); /* less than 12.5 */
	CU_ASSERT_FALSE(congestion.calm);
	pass_round(RTT + 11 + 14);
	CU_ASSERT_TRUE(congestion.calm);
	CU_ASSERT_TRUE(congestion.window > before);
	before = congestion.window;
	pass_round(RTT + 25);
	CU_ASSERT_TRUE(congestion.window <= before + before / 4 + MSS && congestion.window > before + before / 5);
	for (unsigned i = 0; i < 5; i++)
		pass_round(RTT + 25);
	CU_ASSERT_NOT_EQUAL(congestion.threshold, UINT32_MAX);

	/* It was nothing: on as before. */
	begin();
	for (unsigned i = 0; i < 3; i++)
		pass_round(RTT);
	pass_round(RTT + 20);
	CU_ASSERT_TRUE(congestion.calm);
	pass_round(RTT);
	CU_ASSERT_FALSE(congestion.calm);
	CU_ASSERT_EQUAL(congestion.threshold, UINT32_MAX);
}

/* RFC 9438: 0.7 after a loss, back at W_max after K seconds, flat there, then up. */
static void
test_cubic(void)
{
	begin();
	congestion.window = 1000 * MSS;
	tcp_congestion_lost(&congestion, MSS, 1000 * MSS);
	CU_ASSERT_EQUAL(congestion.threshold, 700 * MSS);
	CU_ASSERT_EQUAL(congestion.most, 1000 * MSS);
	tcp_congestion_recovered(&congestion, MSS);
	CU_ASSERT_EQUAL(congestion.window, 700 * MSS);
	uint32_t from = now;
	pass_round(RTT);
	/* K = cbrt(300 / 0.4) s = 9.086 s. */
	CU_ASSERT_TRUE(congestion.k_ms >= 9075 && congestion.k_ms <= 9090);
	while (now - from < 9000)
		pass_round(RTT);
	CU_ASSERT_TRUE(congestion.window > 985 * MSS && congestion.window < 1005 * MSS);
	while (now - from < 2 * 9086)
		pass_round(RTT);
	CU_ASSERT_TRUE(congestion.window > 1250 * MSS && congestion.window < 1340 * MSS);

	/* A second loss below W_max leaves room for others. */
	congestion.window = 900 * MSS;
	congestion.last_most = 1000 * MSS;
	tcp_congestion_lost(&congestion, MSS, 900 * MSS);
	CU_ASSERT_EQUAL(congestion.most, 765 * MSS);
}

/* Where Reno would be faster, it is Reno: one segment a round once the old window is reached. */
static void
test_reno(void)
{
	begin();
	congestion.window = 10 * MSS;
	tcp_congestion_lost(&congestion, MSS, 10 * MSS);
	tcp_congestion_recovered(&congestion, MSS);
	CU_ASSERT_EQUAL(congestion.window, 7 * MSS);
	for (unsigned i = 0; i < 6; i++)
		pass_round(10);
	CU_ASSERT_TRUE(congestion.window >= 9500 && congestion.window <= 10500); /* 0.53 segments a round */
	for (unsigned i = 0; i < 10; i++)
		pass_round(10);
	CU_ASSERT_TRUE(congestion.window >= 18 * MSS && congestion.window <= 21 * MSS);
}

/* RFC 6937: one segment out for 1/0.7 in while the flight is large; slow start up to the threshold when it is small. */
static void
test_recovery(void)
{
	begin();
	congestion.window = 100 * MSS;
	tcp_congestion_lost(&congestion, MSS, 100 * MSS);
	uint32_t flight = 99 * MSS, sent = 0;
	for (unsigned i = 0; i < 99; i++) {
		flight -= MSS;
		tcp_congestion_recover(&congestion, MSS, MSS, flight);
		while (flight + MSS <= congestion.window) {
			tcp_congestion_sent(&congestion, MSS);
			flight += MSS;
			sent++;
		}
	}
	CU_ASSERT_TRUE(sent >= 67 && sent <= 71);
	tcp_congestion_recovered(&congestion, MSS);
	CU_ASSERT_EQUAL(congestion.window, 70 * MSS);

	begin();
	congestion.window = 100 * MSS;
	tcp_congestion_lost(&congestion, MSS, 100 * MSS);
	tcp_congestion_recover(&congestion, MSS, MSS, 10 * MSS); /* nearly everything was lost */
	CU_ASSERT_EQUAL(congestion.window, 12 * MSS);
}

static void
test_time_out(void)
{
	begin();
	congestion.window = 100 * MSS;
	tcp_congestion_timed_out(&congestion, MSS, 0, true);
	CU_ASSERT_EQUAL(congestion.window, MSS);
	CU_ASSERT_EQUAL(congestion.threshold, 70 * MSS);
	tcp_congestion_timed_out(&congestion, MSS, 0, false);
	CU_ASSERT_EQUAL(congestion.threshold, 70 * MSS);
	tcp_congestion_undo(&congestion);
	CU_ASSERT_EQUAL(congestion.window, 100 * MSS);
	CU_ASSERT_EQUAL(congestion.threshold, UINT32_MAX);
	tcp_congestion_idle(&congestion, MSS);
	CU_ASSERT_EQUAL(congestion.window, 10 * MSS);
	congestion.window = 3 * MSS;
	tcp_congestion_idle(&congestion, MSS);
	CU_ASSERT_EQUAL(congestion.window, 3 * MSS);
	congestion.window = 2 * MSS;
	tcp_congestion_lost(&congestion, MSS, MSS);
	CU_ASSERT_EQUAL(congestion.threshold, 2 * MSS); /* never less */
}

static void
test_round_trip(void)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt);
	CU_ASSERT_EQUAL(tcp_rtt_timeout(&rtt), 1000);
	CU_ASSERT_EQUAL(tcp_rtt_least(&rtt), 0);
	tcp_rtt_sample(&rtt, 100, 200, 0);
	CU_ASSERT_EQUAL(tcp_rtt_smooth(&rtt), 100);
	CU_ASSERT_EQUAL(rtt.rto_ms, 300); /* 100 + 4 · 50 */
	tcp_rtt_sample(&rtt, 300, 200, 1);
	CU_ASSERT_EQUAL(tcp_rtt_smooth(&rtt), 125);
	CU_ASSERT_EQUAL(rtt.var4, 350);
	CU_ASSERT_EQUAL(rtt.rto_ms, 475);
	for (uint32_t i = 0; i < 100; i++)
		tcp_rtt_sample(&rtt, 20, 200, 2 + i);
	CU_ASSERT_TRUE(rtt.rto_ms >= 220 && rtt.rto_ms <= 221);
	CU_ASSERT_EQUAL(tcp_rtt_least(&rtt), 20);
	rtt.backoff = 3;
	CU_ASSERT_EQUAL(tcp_rtt_timeout(&rtt), 8 * rtt.rto_ms);
	rtt.backoff = 200;
	CU_ASSERT_EQUAL(tcp_rtt_timeout(&rtt), TCP_RTO_MAX_MS);
	tcp_rtt_sample(&rtt, 0, 200, 200); /* less than a tick */
	CU_ASSERT_EQUAL(rtt.backoff, 0);
	CU_ASSERT_EQUAL(tcp_rtt_least(&rtt), 1);
	/* The least is forgotten after a while: paths change. */
	tcp_rtt_sample(&rtt, 50, 200, TCP_MIN_RTT_WINDOW_MS + 1000);
	CU_ASSERT_EQUAL(tcp_rtt_least(&rtt), 1);
	tcp_rtt_sample(&rtt, 50, 200, 2 * TCP_MIN_RTT_WINDOW_MS + 2000);
	CU_ASSERT_EQUAL(tcp_rtt_least(&rtt), 50);
	tcp_rtt_sample(&rtt, UINT32_MAX, 200, 0);
	CU_ASSERT_TRUE(rtt.rto_ms <= TCP_RTO_MAX_MS);
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"initial window", test_initial},
		{"slow start", test_slow_start},
		{"HyStart++", test_delay},
		{"CUBIC", test_cubic},
		{"Reno's share", test_reno},
		{"PRR", test_recovery},
		{"time-out, undo, idle", test_time_out},
		{"round trip", test_round_trip},
		CU_TEST_INFO_NULL,
	};

	return unit_run("tcp_congestion", tests);
}
