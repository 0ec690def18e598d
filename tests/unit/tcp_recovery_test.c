/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent, what is found to be lost, and when it is sent again: RFC 8985, 6582, 6298, 3522, 6937, 9293 section
 * 3.8.6, 4821. */
#include "dataplane/tcp_mtu.h"
#include "tests/unit/tcp_script.h"

enum { MSS = SCRIPT_MSS, RTT = 100 };

/* Ten full segments from 1 on. */
static void
send_ten(void)
{
	WRITE(10 * MSS);
	for (uint32_t i = 0; i < 10; i++)
		OUT(A, 1 + i * MSS, 1, MSS);
	QUIET();
}

/* An exchange by which the round trip becomes known. */
static void
learn_rtt(void)
{
	WRITE(1);
	OUT(A, 1, 1, 1);
	PASS(RTT);
	IN(A, 1, 2, 0);
	script.written = 0;
	/* Numbers begin at 1 again, to be easy to read. */
	script.tcp.una = script.tcp.nxt = script_iss + 1;
	script.tcp.rack.any = false;
	script.tcp.rack.fack = script.tcp.rack.point = script_iss + 1;
	script.tcp.congestion.window = 10 * MSS;
	script.tcp.rack.probing = false;
	script.n_seen = script.n_sent;
}

static void
test_cut(void)
{
	script_establish(true, true);
	WRITE(2500);
	OUT(A, 1, 1, MSS - 12); /* the options of a segment are part of what the peer takes */
	OUT(A, 989, 1, MSS - 12);
	OUT(A, 1977, 1, 524); /* no Nagle */
	WRITE(1);
	OUT(A, 2501, 1, 1);
	IN(A, 2000, 1, 10); /* SACK blocks too */
	OUT(A, 2502, 1, 0);
	WRITE(2000);
	OUT(A, 2502, 1, MSS - 12 - 12);
	CU_ASSERT_TRUE(script_is_clean());
}

/* Three segments' worth of SACKs: lost at once. */
static void
test_rack(void)
{
	script_establish(true, false);
	learn_rtt();
	send_ten();
	PASS(RTT);
	SACK(1 + MSS, 1 + 2 * MSS);
	IN(A, 1, 1, 0);
	QUIET(); /* it may be late */
	WRITE(5 * MSS);
	OUT(A, 1 + 10 * MSS, 1, MSS); /* RFC 3042 */
	QUIET();
	SACK(1 + MSS, 1 + 4 * MSS);
	IN(A, 1, 1, 0);
	OUT(A, 1, 1, MSS);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_RECOVERY);
	CU_ASSERT_EQUAL(script.tcp.congestion.threshold, 7 * MSS);
	script.n_seen = script.n_sent;
	PASS(RTT);
	IN(A, 1, script.tcp.nxt - script_iss, 0);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);
	CU_ASSERT_EQUAL(script.tcp.congestion.window, 7 * MSS);
	CU_ASSERT_EQUAL(script.tcp.resent, 1);
	CU_ASSERT_TRUE(script_is_clean());
}

/* One SACK: lost when the reordering window has passed. */
static void
test_reorder_timer(void)
{
	script_establish(true, false);
	learn_rtt();
	send_ten();
	PASS(RTT);
	SACK(1 + MSS, 1 + 2 * MSS);
	IN(A, 1, 1, 0);
	PASS(RTT / 4 - 1);
	QUIET();
	PASS(1);
	OUT(A, 1, 1, MSS);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_RECOVERY);

	/* What was only late: nothing is sent again, and from now on it waits even with three. */
	script_establish(true, false);
	learn_rtt();
	send_ten();
	PASS(RTT);
	SACK(1 + MSS, 1 + 2 * MSS);
	IN(A, 1, 1, 0);
	PASS(10);
	IN(A, 1, 1 + 2 * MSS, 0);
	QUIET();
	CU_ASSERT_TRUE(script.tcp.rack.reordering);
	SACK(1 + 3 * MSS, 1 + 8 * MSS);
	IN(A, 1, 1 + 2 * MSS, 0);
	QUIET();
	CU_ASSERT_TRUE(script_is_clean());
}

/* RACK finds a lost retransmission too. */
static void
test_lost_again(void)
{
	script_establish(true, false);
	learn_rtt();
	send_ten();
	PASS(RTT);
	SACK(1 + MSS, 1 + 5 * MSS);
	IN(A, 1, 1, 0);
	OUT(A, 1, 1, MSS);
	WRITE(8 * MSS);
	script.n_seen = script.n_sent;
	PASS(10);
	SACK(1 + MSS, 1 + 9 * MSS);
	IN(A, 1, 1, 0);
	script.n_seen = script.n_sent;
	uint32_t nxt = script.tcp.nxt - script_iss;
	CU_ASSERT_TRUE(nxt > 1 + 10 * MSS);
	PASS(RTT);
	SACK(1 + MSS, nxt); /* all that was sent after it */
	IN(A, 1, 1, 0);
	OUT(A, 1, 1, MSS);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_tail_probe(void)
{
	/* Nothing new to send: the last segment again. */
	script_establish(true, false);
	learn_rtt();
	send_ten();
	PASS(2 * RTT + 1);
	QUIET();
	PASS(1);
	OUT(A, 1 + 9 * MSS, 1, MSS);
	QUIET();
	PASS(RTT);
	SACK(1 + 9 * MSS, 1 + 10 * MSS);
	IN(A, 1, 1, 0); /* its SACK shows what was lost */
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_RECOVERY);
	OUT(A, 1, 1, MSS);
	script.n_seen = script.n_sent;
	CU_ASSERT_TRUE(script.tcp.congestion.window < 9 * MSS);

	/* Something new: that. */
	script_establish(true, false);
	learn_rtt();
	send_ten();
	WRITE(100);
	QUIET();
	PASS(2 * RTT + 2);
	OUT(A, 1 + 10 * MSS, 1, 100);
	IN(A, 1, 10101, 0);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);
	CU_ASSERT_EQUAL(script.tcp.congestion.threshold, UINT32_MAX);

	/* One segment: its ACK may be delayed, but the time-out doesn't come first. */
	script_establish(true, false);
	learn_rtt();
	WRITE(100);
	OUT(A, 1, 1, 100);
	PASS(tcp_rtt_timeout(&script.tcp.rtt) - 1);
	QUIET();
	PASS(1);
	OUT(A, 1, 1, 100);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);

	/* The probe repaired a loss: that counts as one. */
	IN(A, 1, 101, 0);
	WRITE(100);
	CU_ASSERT_TRUE(script.tcp.rack.probing);
	script.n_seen = script.n_sent;
	IN(A, 1, 201, 0);
	CU_ASSERT_FALSE(script.tcp.rack.probing);
	CU_ASSERT_EQUAL(script.tcp.congestion.window, 7 * MSS);

	/* It didn't: the D-SACK says so. */
	script_establish(true, false);
	learn_rtt();
	WRITE(100);
	PASS(2 * RTT + 300);
	SACK(1, 101);
	IN(A, 1, 101, 0);
	CU_ASSERT_FALSE(script.tcp.rack.probing);
	CU_ASSERT_EQUAL(script.tcp.congestion.threshold, UINT32_MAX);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_time_out(void)
{
	script_establish(true, false);
	learn_rtt();
	send_ten();
	PASS(2 * RTT + 2); /* the probe, lost too */
	OUT(A, 1 + 9 * MSS, 1, MSS);
	uint32_t rto = tcp_rtt_timeout(&script.tcp.rtt);
	CU_ASSERT_TRUE(rto >= 300 && rto < 400);
	PASS(rto - 1);
	QUIET();
	PASS(1);
	OUT(A, 1, 1, MSS);
	QUIET();
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_LOSS);
	CU_ASSERT_EQUAL(script.tcp.congestion.window, MSS);
	CU_ASSERT_EQUAL(script.tcp.congestion.threshold, 7 * MSS);
	PASS(2 * rto);
	OUT(A, 1, 1, MSS);
	CU_ASSERT_EQUAL(script.tcp.congestion.threshold, 7 * MSS); /* not lower with each */
	PASS(RTT);
	IN(A, 1, 1 + MSS, 0); /* slow start again */
	OUT(A, 1 + MSS, 1, MSS);
	OUT(A, 1 + 2 * MSS, 1, MSS);
	QUIET();
	/* Karn: what was sent twice times nothing, but it is progress. */
	CU_ASSERT_EQUAL(tcp_rtt_timeout(&script.tcp.rtt), 2 * rto);
	IN(A, 1, 1 + 10 * MSS, 0);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);
	CU_ASSERT_PTR_NULL(script.tcp.board.page);
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 3522: the ACK was only late. */
static void
test_needless(void)
{
	script_establish(true, true);
	learn_rtt();
	WRITE(10 * MSS);
	uint32_t first_tsval = script.sent[script.n_sent - 1].tsval, before = script.tcp.congestion.window;
	PASS(2000);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_LOSS);
	CU_ASSERT_TRUE(script.tcp.congestion.window < before);
	script.n_seen = script.n_sent;
	script.tcp.rtt.backoff = 0;
	script.tsecr = first_tsval;
	/* More than one time-out: no way to know. */
	IN(A, 1, 1 + MSS - 12, 0);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_LOSS);

	script_establish(true, true);
	learn_rtt();
	WRITE(10 * MSS);
	first_tsval = script.sent[script.n_sent - 1].tsval;
	before = script.tcp.congestion.window;
	PASS(600);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_LOSS);
	script.tsecr = first_tsval;
	IN(A, 1, 1 + MSS - 12, 0);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);
	CU_ASSERT_TRUE(script.tcp.congestion.window >= before);
	CU_ASSERT_EQUAL(script.tcp.board.lost, 0);
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 6582. */
static void
test_no_sack(void)
{
	script_establish(false, false);
	learn_rtt();
	send_ten();
	PASS(RTT);
	IN(A, 1, 1 + MSS, 0);
	IN(A, 1, 1 + MSS, 0);
	IN(A, 1, 1 + MSS, 0);
	QUIET();
	IN(A, 1, 1 + MSS, 0);
	OUT(A, 1 + MSS, 1, MSS);
	QUIET();
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_RECOVERY);
	for (unsigned i = 0; i < 4; i++)
		IN(A, 1, 1 + MSS, 0);
	PASS(10);
	IN(A, 1, 1 + 5 * MSS, 0); /* partial: the next gap */
	OUT(A, 1 + 5 * MSS, 1, MSS);
	IN(A, 1, 1 + 10 * MSS, 0);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);
	CU_ASSERT_EQUAL(script.tcp.congestion.window, script.tcp.congestion.threshold);
	/* A window update isn't a duplicate. */
	WRITE(5 * MSS);
	script.n_seen = script.n_sent;
	for (uint32_t i = 0; i < 5; i++) {
		script.window -= 1000;
		IN(A, 1, 1 + 10 * MSS, 0);
	}
	QUIET();
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 9293 section 3.8.6.1. */
static void
test_zero_window(void)
{
	script_establish(true, false);
	learn_rtt();
	script.window = 1500;
	IN(A, 1, 1, 0);
	WRITE(3000);
	OUT(A, 1, 1, MSS);
	QUIET(); /* no sliver */
	script.window = 0;
	PASS(RTT);
	IN(A, 1, 1 + MSS, 0);
	QUIET();
	uint32_t wait = script.tcp.rtt.rto_ms;
	for (unsigned i = 0; i < 12; i++) {
		PASS(wait - 1);
		QUIET();
		PASS(1);
		OUT(A, 1 + MSS, 1, 1);
		IN(A, 1, 1 + MSS, 0);
		wait = wait * 2 < 60000 ? wait * 2 : 60000;
	}
	for (unsigned i = 0; i < 60; i++) { /* for ever, as long as somebody answers */
		PASS(60000);
		OUT(A, 1 + MSS, 1, 1);
		IN(A, 1, 1 + MSS, 0);
	}
	EVENTS(0);
	script.window = 60000;
	IN(A, 1, 1 + MSS, 0);
	OUT(A, 1 + MSS, 1, 1); /* the probe met a closed window */
	OUT(A, 2 + MSS, 1, MSS);
	OUT(A, 2 + 2 * MSS, 1, MSS - 1);
	QUIET();

	/* A probe that is taken. */
	script_establish(true, false);
	script.window = 0;
	IN(A, 1, 1, 0);
	WRITE(10);
	tcp_shut(&script.tcp, &script.env);
	PASS(1000);
	OUT(A, 1, 1, 1);
	script.window = 5000;
	IN(A, 1, 2, 0);
	OUT(A | F, 2, 1, 9);

	/* Nobody answers. */
	script_establish(true, false);
	script.window = 0;
	IN(A, 1, 1, 0);
	WRITE(10);
	PASS(script.limits.give_up_ms + 130000);
	EVENTS(TCP_TIMED_OUT);
	CU_ASSERT_TRUE(script_is_clean());
}

/* A FIN alone meets a closed window. */
static void
test_zero_window_fin(void)
{
	script_establish(true, false);
	script.window = 0;
	IN(A, 1, 1, 0);
	tcp_shut(&script.tcp, &script.env);
	QUIET();
	PASS(1000);
	OUT(A | F, 1, 1, 0);
	STATE(FIN_WAIT_1);
	PASS(2000);
	OUT(A | F, 1, 1, 0);
	IN(A, 1, 2, 0);
	STATE(FIN_WAIT_2);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_shrunk_window(void)
{
	script_establish(true, false);
	learn_rtt();
	send_ten();
	script.window = 2000;
	PASS(10);
	IN(A, 1, 1 + MSS, 0);
	WRITE(MSS);
	QUIET();
	/* An ACK from beyond the window the peer might not take. */
	IN(A, 1, 1 + MSS, 10);
	PASS(40);
	OUT(A, 1 + 3 * MSS, 11, 0);
	PASS(2000); /* what lies in the window is sent again, what doesn't isn't */
	for (unsigned i = script.n_seen; i < script.n_sent; i++)
		CU_ASSERT_TRUE(script.sent[i].seq < 1 + 3 * MSS || script.sent[i].seq == 1 + 9 * MSS ||
			       script.sent[i].seq == 1 + 10 * MSS);
	script.n_seen = script.n_sent;
	script.window = 60000;
	IN(A, 11, 1 + 3 * MSS, 0);
	OUT(A, 1 + 3 * MSS, 11, MSS);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_small_window(void)
{
	script_establish(true, false);
	script.tcp.window_max = 0;
	script.window = 300; /* never more than that */
	IN(A, 1, 1, 0);
	WRITE(1000);
	OUT(A, 1, 1, 300);
	IN(A, 1, 301, 0);
	OUT(A, 301, 1, 300);
	script.window = 100;
	IN(A, 1, 601, 0);
	QUIET();
	PASS(1000);
	OUT(A, 601, 1, 100); /* nothing else would ever go */
	CU_ASSERT_TRUE(script_is_clean());
}

/* No packet buffer: tried again, nothing forgotten. */
static void
test_no_buffer(void)
{
	script_establish(true, false);
	script.deaf = true;
	WRITE(100);
	IN(A, 1, 1, 10);
	IN(A, 11, 1, 10);
	script.deaf = false;
	PASS(TCP_RETRY_MS);
	OUT(A, 1, 21, 100);
	QUIET();

	script_establish(true, false);
	script.deaf = true;
	IN(A, 1, 1, 10);
	IN(A, 11, 1, 10);
	script.deaf = false;
	PASS(TCP_RETRY_MS);
	OUT(A, 1, 21, 0);
	QUIET();

	script_begin();
	script.deaf = true;
	struct tcp_connect terms = {.iss = script_iss, .link_mss = 1460, .announced_mss = 1400, .default_mss = 536};
	tcp_open_connect(&script.tcp, &script.env, &terms);
	script.deaf = false;
	PASS(TCP_RETRY_MS);
	OUT(S, 0, 0, 0);
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 1191, 5927. */
static void
test_too_big(void)
{
	script_establish(true, false);
	learn_rtt();
	send_ten();
	CU_ASSERT_FALSE(tcp_too_big(&script.tcp, &script.env, script_iss, 600));
	CU_ASSERT_FALSE(tcp_too_big(&script.tcp, &script.env, script.tcp.nxt, 600));
	QUIET();
	CU_ASSERT_TRUE(tcp_too_big(&script.tcp, &script.env, script_iss + 1, 1000)); /* that fits */
	QUIET();
	CU_ASSERT_TRUE(tcp_too_big(&script.tcp, &script.env, script_iss + 1, 600));
	uint32_t window = script.tcp.congestion.window;
	CU_ASSERT_EQUAL(window, 10 * MSS); /* that is no congestion */
	OUT(A, 1, 1, 600);
	OUT(A, 601, 1, 600);
	CU_ASSERT_EQUAL(script.tcp.mss, 600);
	CU_ASSERT_EQUAL(script.tcp.rack.phase, TCP_OPEN);
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 4821 section 7.7, and the search upwards from there. */
static void
test_black_hole(void)
{
	script_establish(true, false);
	learn_rtt();
	WRITE(20 * MSS);
	PASS(10000);
	CU_ASSERT_EQUAL(script.tcp.mss, TCP_MSS_SAFEST);
	script.n_seen = script.n_sent;
	CU_ASSERT_EQUAL(script.sent[script.n_sent - 1].length, TCP_MSS_SAFEST);
	/* Nothing over 800 passes. */
	uint32_t una = 1, largest = 0;
	for (unsigned round = 0; round < 400 && una < 1 + 20 * MSS; round++) {
		PASS(RTT);
		uint32_t begin = una, to = una;
		for (unsigned i = 0; i < script.n_sent; i++) {
			const struct script_segment *sent = &script.sent[i];
			if (sent->length <= 800 && sent->seq <= to && to < sent->seq + sent->length)
				to = sent->seq + sent->length;
			if (sent->length > largest && sent->length <= 800)
				largest = sent->length;
		}
		uint32_t high = to;
		for (unsigned i = 0; i < script.n_sent; i++)
			if (script.sent[i].length <= 800 && script.sent[i].seq > to &&
			    script.sent[i].seq + script.sent[i].length > high) {
				high = script.sent[i].seq + script.sent[i].length;
				SACK(script.sent[i].seq, high);
				break;
			}
		una = to;
		(void)begin;
		script.n_sent = script.n_seen = 0;
		IN(A, 1, una, 0);
		if (script.tcp.sending.bytes < 10 * MSS && script.written < 200 * MSS)
			WRITE(5 * MSS);
	}
	printf("\n  black hole at 800: mss %u, failed %u, largest %u\n", script.tcp.mss, script.tcp.mss_fails, largest);
	CU_ASSERT_TRUE(script.tcp.mss > 700 && script.tcp.mss <= 800);
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_idle(void)
{
	script_establish(true, false);
	learn_rtt();
	script.tcp.congestion.window = 50 * MSS;
	script.env.now_ms += 10000;
	WRITE(30 * MSS);
	CU_ASSERT_EQUAL(script.n_sent - script.n_seen, 10); /* RFC 5681 section 4.1 */
	CU_ASSERT_TRUE(script_is_clean());
}

static void
test_room(void)
{
	script_establish(true, false);
	learn_rtt();
	script.window = 65535;
	IN(A, 1, 1, 0);
	script.events = 0;
	CU_ASSERT_EQUAL(tcp_room(&script.tcp), 65536);
	WRITE(30000);
	CU_ASSERT_EQUAL(tcp_room(&script.tcp), 35536);
	PASS(10);
	IN(A, 1, 1 + MSS, 0);
	EVENTS(0); /* nobody had found it short */
	WRITE(20000);
	PASS(10);
	IN(A, 1, 1 + 2 * MSS, 0);
	EVENTS(TCP_WRITABLE);
	WRITE(40000);
	CU_ASSERT_EQUAL(tcp_room(&script.tcp), 0); /* more than room was taken all the same */
	CU_ASSERT_TRUE(script_is_clean());
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"cutting", test_cut},
		{"RACK", test_rack},
		{"reordering timer", test_reorder_timer},
		{"lost again", test_lost_again},
		{"tail loss probe", test_tail_probe},
		{"time-out", test_time_out},
		{"needless time-out", test_needless},
		{"without SACK", test_no_sack},
		{"closed window", test_zero_window},
		{"closed window and FIN", test_zero_window_fin},
		{"shrunk window", test_shrunk_window},
		{"small window", test_small_window},
		{"no packet buffer", test_no_buffer},
		{"too big", test_too_big},
		{"black hole", test_black_hole},
		{"idle", test_idle},
		{"room", test_room},
		CU_TEST_INFO_NULL,
	};

	script_open();
	return unit_run("tcp_recovery", tests);
}
