/* SPDX-License-Identifier: Apache-2.0 */
/* Each transition of RFC 9293's state machine, and who may cause it (RFC 5961, 7323, 6191). */
#include "tests/unit/tcp_script.h"

static void
shut(void)
{
	tcp_shut(&script.tcp, &script.env);
}

static void
test_connect(void)
{
	script_connect(true, true);
	const struct script_segment *syn = OUT(S, 0, 0, 0);
	CU_ASSERT_EQUAL(syn->mss, 1400);
	STATE(SYN_SENT);
	PASS(30);
	IN(S | A, 0, 1, 0);
	OUT(A, 1, 1, 0);
	QUIET();
	STATE(ESTABLISHED);
	EVENTS(TCP_CONNECTED | TCP_WRITABLE);
	CU_ASSERT_EQUAL(script.tcp.mss, SCRIPT_MSS);
	CU_ASSERT_TRUE(script.tcp.sack && script.tcp.timestamps);
	CU_ASSERT_EQUAL(tcp_rtt_smooth(&script.tcp.rtt), 30);
	CU_ASSERT_EQUAL(script.tcp.congestion.window, 10 * SCRIPT_MSS);
	CU_ASSERT_TRUE(script_is_clean());
}

/* Bytes that were written before, and a FIN, go when it is established. */
static void
test_connect_early(void)
{
	script_connect(true, false);
	OUT(S, 0, 0, 0);
	WRITE(100);
	shut();
	QUIET();
	IN(S | A, 0, 1, 0);
	OUT(A | F, 1, 1, 100);
	STATE(FIN_WAIT_1);
	QUIET();
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_syn_again(void)
{
	script_connect(true, true);
	OUT(S, 0, 0, 0);
	PASS(999);
	QUIET();
	PASS(1);
	OUT(S, 0, 0, 0);
	PASS(2000);
	OUT(S, 0, 0, 0);
	IN(S | A, 0, 1, 0);
	OUT(A, 1, 1, 0);
	/* RFC 6298 section 5.7, RFC 5681 section 3.1. */
	CU_ASSERT_EQUAL(tcp_rtt_timeout(&script.tcp.rtt), 3000);
	CU_ASSERT_EQUAL(script.tcp.congestion.window, SCRIPT_MSS);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_refused(void)
{
	script_connect(true, true);
	OUT(S, 0, 0, 0);
	IN(R, 0, 0, 0); /* says nothing of our SYN */
	STATE(SYN_SENT);
	IN(R | A, 0, 2, 0);
	STATE(SYN_SENT);
	QUIET();
	IN(A, 5, 77, 0); /* an old connection: RFC 9293 section 3.10.7.3 */
	OUT(R, 77, 0, 0);
	STATE(SYN_SENT);
	IN(R | A, 0, 1, 0);
	STATE(CLOSED);
	EVENTS(TCP_RESET);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_simultaneous_open(void)
{
	script_connect(true, true);
	OUT(S, 0, 0, 0);
	IN(S, 0, 0, 0);
	OUT(S | A, 0, 1, 0);
	STATE(SYN_RECEIVED);
	IN(S | A, 0, 1, 0);
	OUT(A, 1, 1, 0);
	STATE(ESTABLISHED);
	EVENTS(TCP_CONNECTED | TCP_WRITABLE);

	script_connect(true, true);
	OUT(S, 0, 0, 0);
	IN(S, 0, 0, 0);
	OUT(S | A, 0, 1, 0);
	PASS(1000); /* it is repeated */
	OUT(S | A, 0, 1, 0);
	IN(A, 1, 5, 0); /* not of ours */
	OUT(R, 5, 0, 0);
	STATE(SYN_RECEIVED);
	IN(A, 1, 1, 10);
	STATE(ESTABLISHED);
	EVENTS(TCP_CONNECTED | TCP_WRITABLE | TCP_READABLE);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_held(void)
{
	struct mbuf_queue held = {0};
	uint8_t bytes[300];

	script_begin();
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = script_noise(false, i);
	mbuf_queue_write(&held, script_pool, bytes, sizeof(bytes));
	struct tcp_accepted terms = {
		.iss = script_iss,
		.irs = script_irs,
		.window = 60000,
		.offered = 16384,
		.peer_mss = 1460,
		.link_mss = 1400,
		.their_wscale = TCP_WSCALE_NONE,
		.our_wscale = 7,
	};
	script.events = tcp_open_accepted(&script.tcp, &script.env, &terms, &held);
	EVENTS(TCP_READABLE);
	CU_ASSERT_TRUE(mbuf_queue_is_empty(&held));
	const struct script_segment *ack = OUT(A, 1, 301, 0);
	CU_ASSERT_EQUAL(ack->window, 65535 - 299); /* the buffer, less what waits, on a step of a unit */
	CU_ASSERT_EQUAL(script.tcp.mss, 1400);
	READ(300);
	CU_ASSERT_TRUE(script_is_clean());
}

/* We close first. */
static void
test_close_first(void)
{
	script_establish(true, true);
	shut();
	OUT(F | A, 1, 1, 0);
	STATE(FIN_WAIT_1);
	IN(A, 1, 2, 0);
	STATE(FIN_WAIT_2);
	EVENTS(0);
	PASS(3600000); /* half-closed for an hour */
	QUIET();
	IN(A, 1, 2, 50);
	EVENTS(TCP_READABLE);
	PASS(40);
	OUT(A, 2, 51, 0);
	IN(F | A, 51, 2, 0);
	OUT(A, 2, 52, 0);
	STATE(TIME_WAIT);
	EVENTS(TCP_PEER_CLOSED | TCP_FINISHED);
	PASS(50000);
	IN(F | A, 51, 2, 0); /* our ACK was lost: 2 MSL begin again */
	OUT(A, 2, 52, 0);
	PASS(59999);
	EVENTS(0);
	PASS(1);
	EVENTS(TCP_CLOSED);
	STATE(CLOSED);
	QUIET();
	READ(50);
	CU_ASSERT_TRUE(script_is_clean());
}

/* The peer closes first; we go on sending. */
static void
test_close_second(void)
{
	script_establish(true, true);
	IN(F | A, 1, 1, 10);
	OUT(A, 1, 12, 0);
	STATE(CLOSE_WAIT);
	EVENTS(TCP_READABLE | TCP_PEER_CLOSED);
	WRITE(500);
	OUT(A, 1, 12, 500);
	IN(A, 12, 501, 0);
	shut();
	OUT(F | A, 501, 12, 0);
	STATE(LAST_ACK);
	IN(A, 12, 502, 0);
	STATE(CLOSED);
	EVENTS(TCP_FINISHED | TCP_CLOSED);
	QUIET();
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_close_both(void)
{
	script_establish(true, true);
	shut();
	OUT(F | A, 1, 1, 0);
	IN(F | A, 1, 1, 0); /* it hasn't seen ours */
	STATE(CLOSING);
	OUT(A, 2, 2, 0);
	EVENTS(TCP_PEER_CLOSED);
	IN(A, 2, 2, 0);
	STATE(TIME_WAIT);
	EVENTS(TCP_FINISHED);

	script_establish(true, true);
	shut();
	OUT(F | A, 1, 1, 0);
	IN(F | A, 1, 2, 0); /* it has */
	OUT(A, 2, 2, 0);
	STATE(TIME_WAIT);
	EVENTS(TCP_PEER_CLOSED | TCP_FINISHED);
	CU_ASSERT_TRUE(script_is_clean());
}

/* A FIN that comes before what it ends. */
static void
test_early_fin(void)
{
	script_establish(true, true);
	IN(F | A, 101, 1, 50);
	const struct script_segment *ack = OUT(A, 1, 1, 0);
	CU_ASSERT_EQUAL(ack->n_sacks, 1);
	EVENTS(0);
	IN(A, 1, 1, 100);
	OUT(A, 1, 152, 0);
	EVENTS(TCP_READABLE | TCP_PEER_CLOSED);
	IN(A, 152, 1, 20); /* behind its own FIN */
	EVENTS(0);
	READ(150);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_fin_again(void)
{
	script_establish(false, false);
	WRITE(10);
	OUT(A, 1, 1, 10);
	IN(A, 1, 11, 0);
	shut();
	OUT(F | A, 11, 1, 0);
	PASS(1000);
	OUT(F | A, 11, 1, 0);
	PASS(2000);
	OUT(F | A, 11, 1, 0);
	IN(A, 1, 12, 0);
	STATE(FIN_WAIT_2);
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 5961 section 3. */
static void
test_reset(void)
{
	script_establish(true, true);
	IN(R, 0, 0, 0); /* old */
	EVENTS(0);
	QUIET();
	IN(R, 500, 0, 0); /* in the window, but a guess */
	OUT(A, 1, 1, 0);
	IN(R, 501, 0, 0); /* not twice in half a second */
	QUIET();
	PASS(600);
	IN(R, 502, 0, 0);
	OUT(A, 1, 1, 0);
	STATE(ESTABLISHED);
	EVENTS(0);
	IN(R, 1, 0, 0);
	STATE(CLOSED);
	EVENTS(TCP_RESET);
	uint32_t at;
	CU_ASSERT_FALSE(tcp_next_ms(&script.tcp, &at));
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 5961 sections 4 and 5. */
static void
test_guesses(void)
{
	script_establish(true, true);
	WRITE(100);
	OUT(A, 1, 1, 100);
	IN(S, 1, 0, 0);
	OUT(A, 101, 1, 0);
	PASS(600);
	script.n_seen = script.n_sent;
	IN(S | A, 40000, 50, 0);
	OUT(A, 101, 1, 0);
	STATE(ESTABLISHED);
	PASS(600);
	script.n_seen = script.n_sent;
	IN(A, 1, 102, 10); /* acknowledges what was never sent */
	OUT(A, 101, 1, 0);
	CU_ASSERT_EQUAL(script.dropped, REASON_TCP_WINDOW);
	EVENTS(0);
	PASS(600);
	script.n_seen = script.n_sent;
	IN(A, 1, 1 - 60001u, 10); /* and older than any window */
	OUT(A, 101, 1, 0);
	EVENTS(0);
	IN(A, 1, 1 - 59999u, 10); /* old, but its bytes may be good */
	EVENTS(TCP_READABLE);
	IN(0, 11, 0, 10);
	CU_ASSERT_EQUAL(script.dropped, REASON_TCP_FLAGS);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_window_edges(void)
{
	script_establish(true, true);
	uint32_t edge = script.tcp.rcv_edge - script_irs;
	IN(A, edge, 1, 1); /* beyond */
	OUT(A, 1, 1, 0);
	EVENTS(0);
	IN(A, edge - 1, 1, 1); /* the last byte of it */
	const struct script_segment *ack = OUT(A, 1, 1, 0);
	CU_ASSERT_EQUAL(ack->n_sacks, 1);
	IN(A, edge - 1, 1, 100); /* that byte, and more than there is room for */
	OUT(A, 1, 1, 0);
	CU_ASSERT_EQUAL(script.tcp.early_mbufs, 1);
	IN(A, 0, 1, 0); /* a keep-alive */
	OUT(A, 1, 1, 0);
	IN(A, 0, 1, 0); /* but two of us must not answer each other for ever */
	QUIET();
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 7323 section 5. */
static void
test_paws(void)
{
	script_establish(true, true);
	PASS(1000);
	IN(A, 1, 1, 10);
	EVENTS(TCP_READABLE);
	script.tsval = script.env.now_ms - 1;
	IN(A, 11, 1, 10); /* an old duplicate */
	OUT(A, 1, 11, 0);
	EVENTS(0);
	script.no_timestamps = true;
	IN(A, 11, 1, 10);
	CU_ASSERT_EQUAL(script.dropped, REASON_TCP_TIMESTAMP_MISSING);
	EVENTS(0);
	QUIET();
	script.tsval = script.env.now_ms - 1;
	IN(R, 11, 0, 0); /* a RST needs none */
	EVENTS(TCP_RESET);

	script_establish(true, true);
	script.env.now_ms += 25u * 86400 * 1000;
	script.tsval = script.env.now_ms - 30u * 86400 * 1000;
	IN(A, 1, 1, 10); /* after 24 days the last one says nothing */
	EVENTS(TCP_READABLE);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_time_wait(void)
{
	struct packet packet;
	uint8_t *options;

	for (unsigned timestamps = 0; timestamps < 2; timestamps++) {
		script_establish(true, timestamps != 0);
		shut();
		IN(F | A, 1, 2, 0);
		STATE(TIME_WAIT);
		script.n_seen = script.n_sent;
		IN(R, 2, 0, 0); /* RFC 1337 */
		STATE(TIME_WAIT);
		PASS(600);
		IN(S, 1, 0, 0);
		OUT(A, 2, 2, 0);
		PASS(600);
		IN(S, 3000, 0, 0);
		OUT(A, 2, 2, 0);
		STATE(TIME_WAIT);
		static const struct {
			uint8_t flags;
			uint32_t seq;
			int ts; /* less or more than the last */
			bool yields, yields_ts;
		} cases[] = {
			{S, 100000, 0, true, true},   {S, 2, 0, false, false},      {S, 1, 0, false, false},
			{S, 1, 1, false, true},       {S, 100000, -1, true, false}, {S | A, 100000, 1, false, false},
			{A, 100000, 1, false, false}, {R, 100000, 1, false, false},
		};
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			script.tsval = script.tcp.ts_recent + (uint32_t)cases[i].ts;
			struct rte_mbuf *mbuf = script_frame(cases[i].flags, cases[i].seq, 2, 0, &packet);
			options = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, SCRIPT_HEADERS);
			CU_ASSERT_EQUAL(tcp_yields(&script.tcp, &packet, options),
					timestamps != 0 ? cases[i].yields_ts : cases[i].yields);
			rte_pktmbuf_free(mbuf);
		}
	}
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_abort(void)
{
	script_establish(true, true);
	WRITE(100);
	OUT(A, 1, 1, 100);
	tcp_abort(&script.tcp, &script.env);
	OUT(R | A, 101, 1, 0);
	STATE(CLOSED);
	IN(A, 1, 101, 10);
	CU_ASSERT_EQUAL(script.dropped, REASON_TCP_STATE);
	QUIET();

	script_connect(true, true);
	OUT(S, 0, 0, 0);
	tcp_abort(&script.tcp, &script.env);
	OUT(R, 1, 0, 0);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_keepalive(void)
{
	script_establish(true, true);
	script.limits.keepalive_ms = 10000;
	script.limits.keepalive_gap_ms = 1000;
	script.limits.keepalives = 3;
	IN(A, 1, 1, 0);
	PASS(10000);
	OUT(A, 0, 1, 0);
	QUIET();
	IN(A, 1, 1, 0);
	PASS(9999);
	QUIET();
	PASS(1);
	OUT(A, 0, 1, 0);
	PASS(2000);
	OUT(A, 0, 1, 0);
	OUT(A, 0, 1, 0);
	EVENTS(0);
	PASS(1000);
	OUT(R | A, 1, 1, 0);
	EVENTS(TCP_TIMED_OUT);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_give_up(void)
{
	script_establish(true, true);
	WRITE(10);
	PASS(script.limits.give_up_ms - 10000);
	EVENTS(0);
	CU_ASSERT_TRUE(script.n_sent > 5);
	PASS(70000);
	EVENTS(TCP_TIMED_OUT);
	STATE(CLOSED);
	CU_ASSERT_EQUAL(script.sent[script.n_sent - 1].flags, R | A);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_malformed(void)
{
	struct packet packet;

	script_establish(true, true);
	struct rte_mbuf *mbuf = script_frame(A, 1, 1, 10, &packet);
	*rte_pktmbuf_mtod_offset(mbuf, uint8_t *, SCRIPT_HEADERS + 3) = 99;
	script.events = tcp_input(&script.tcp, &script.env, &packet, mbuf);
	CU_ASSERT_EQUAL(script.dropped, REASON_TCP_OPTIONS);
	EVENTS(0);
	for (enum tcp_state state = TCP_STATE_CLOSED; state <= TCP_STATE_TIME_WAIT; state++)
		CU_ASSERT_STRING_NOT_EQUAL(tcp_state_text(state), "unknown");
	CU_ASSERT_STRING_EQUAL(tcp_state_text(99), "unknown");
	CU_ASSERT_TRUE(script_is_clean());
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"connect", test_connect},
		{"bytes before the connection", test_connect_early},
		{"SYN repeated", test_syn_again},
		{"refused", test_refused},
		{"simultaneous open", test_simultaneous_open},
		{"held bytes", test_held},
		{"we close first", test_close_first},
		{"the peer closes first", test_close_second},
		{"both close", test_close_both},
		{"FIN ahead of bytes", test_early_fin},
		{"FIN repeated", test_fin_again},
		{"RST", test_reset},
		{"guesses", test_guesses},
		{"edges of the window", test_window_edges},
		{"PAWS", test_paws},
		{"TIME-WAIT", test_time_wait},
		{"abort", test_abort},
		{"keep-alive", test_keepalive},
		{"given up", test_give_up},
		{"malformed options", test_malformed},
		CU_TEST_INFO_NULL,
	};

	script_open();
	return unit_run("tcp_state", tests);
}
