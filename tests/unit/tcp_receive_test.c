/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver says: delayed ACKs (RFC 1122), SACK and D-SACK (RFC 2018, 2883), its window (RFC 9293 section
 * 3.8.6, RFC 7323), and what it keeps. */
#include "tests/unit/random.h"
#include "tests/unit/tcp_script.h"

static void
test_delayed(void)
{
	script_establish(true, true);
	IN(A, 1, 1, 100);
	QUIET();
	PASS(39);
	QUIET();
	PASS(1);
	OUT(A, 1, 101, 0);
	IN(A, 101, 1, 100);
	IN(A, 201, 1, 100); /* the second */
	OUT(A, 1, 301, 0);
	PASS(1000);
	QUIET();
	IN(A, 301, 1, 100);
	WRITE(50); /* an answer carries it */
	OUT(A, 1, 401, 50);
	PASS(40);
	QUIET();
	IN(A, 401, 51, 0); /* nothing to acknowledge */
	PASS(1000);
	QUIET();
	READ(400);

	/* A peer that begins to send is answered at once, so that it gets going. */
	script_establish(true, true);
	script.tcp.quick = 0;
	for (uint32_t i = 0; i < 10; i++) {
		IN(A, 1 + i * 10, 1, 10);
		OUT(A, 1, 11 + i * 10, 0);
	}
	CU_ASSERT_TRUE(script_is_clean());
}

static void
expect_sacks(int line, const struct script_segment *sent, unsigned n, const uint32_t *edges)
{
	bool same = sent->n_sacks == n;

	for (unsigned i = 0; i < n && same; i++)
		same = sent->sacks[i].begin == edges[2 * i] && sent->sacks[i].end == edges[2 * i + 1];
	if (same)
		return;
	printf("\n  line %d:", line);
	for (unsigned i = 0; i < sent->n_sacks; i++)
		printf(" %u..%u", sent->sacks[i].begin, sent->sacks[i].end);
	script_fail(line, "other SACK blocks");
}

#define SACKS(sent, ...)                                                                                               \
	do {                                                                                                           \
		static const uint32_t edges[] = {__VA_ARGS__};                                                         \
		expect_sacks(__LINE__, sent, sizeof(edges) / 8, edges);                                                \
	} while (0)

static void
test_sack(void)
{
	script_establish(true, false);
	IN(A, 101, 1, 100);
	SACKS(OUT(A, 1, 1, 0), 101, 201);
	IN(A, 301, 1, 100);
	SACKS(OUT(A, 1, 1, 0), 301, 401, 101, 201);
	IN(A, 501, 1, 100);
	SACKS(OUT(A, 1, 1, 0), 501, 601, 301, 401, 101, 201);
	IN(A, 701, 1, 100);
	SACKS(OUT(A, 1, 1, 0), 701, 801, 501, 601, 301, 401, 101, 201);
	IN(A, 901, 1, 100); /* the oldest is left out */
	SACKS(OUT(A, 1, 1, 0), 901, 1001, 701, 801, 501, 601, 301, 401);
	IN(A, 401, 1, 100); /* two become one */
	SACKS(OUT(A, 1, 1, 0), 301, 601, 901, 1001, 701, 801);
	IN(A, 150, 1, 100); /* in part known: D-SACK of that, and what lies beyond */
	SACKS(OUT(A, 1, 1, 0), 150, 201, 150, 250, 301, 601, 901, 1001);
	IN(A, 1, 1, 120);
	SACKS(OUT(A, 1, 250, 0), 301, 601, 901, 1001, 701, 801);
	EVENTS(TCP_READABLE);
	IN(A, 1, 1, 50); /* here already */
	SACKS(OUT(A, 1, 250, 0), 1, 51, 301, 601, 901, 1001, 701, 801);
	IN(A, 200, 1, 150); /* known, new, known */
	SACKS(OUT(A, 1, 601, 0), 200, 250, 901, 1001, 701, 801);
	IN(A, 601, 1, 400);
	OUT(A, 1, 1001, 0);
	READ(1000);
	CU_ASSERT_EQUAL(script.tcp.early_mbufs, 0);

	/* With timestamps there is room for three. */
	script_establish(true, true);
	for (uint32_t i = 0; i < 5; i++)
		IN(A, 101 + 200 * i, 1, 100);
	CU_ASSERT_EQUAL(script.sent[script.n_sent - 1].n_sacks, 3);

	/* Without SACK: plain duplicates. */
	script_establish(false, false);
	IN(A, 101, 1, 100);
	CU_ASSERT_EQUAL(OUT(A, 1, 1, 0)->n_sacks, 0);
	CU_ASSERT_TRUE(script_is_clean());
}

/* Whatever the order: the bytes are right, and nothing is kept twice. */
static void
test_orders(void)
{
	for (uint64_t round = 1; round <= 300; round++) {
		uint64_t seed = round;
		script_establish(true, (round & 1) != 0);
		script.tcp.rcv_edge = script.tcp.rcv_nxt + 30000;
		uint32_t total = 20000;
		while (script.tcp.rcv_nxt - script_irs - 1 < total) {
			uint32_t have = script.tcp.rcv_nxt - script_irs;
			uint32_t begin = have + random_below(&seed, 6000);
			begin -= random_below(&seed, begin < 500 ? begin : 500);
			uint32_t length = 1 + random_below(&seed, 1400);
			if (begin + length > total + 1)
				length = begin <= total ? total + 1 - begin : 0;
			if (random_below(&seed, 10) == 0)
				begin = have, length = total + 1 - have < 700 ? total + 1 - have : 700;
			if (length == 0 || begin == 0)
				continue;
			script.n_sent = script.n_seen = 0;
			IN(A, begin, 1, (uint16_t)length);
			uint32_t early = 0, last = script.tcp.rcv_nxt, n = 0;
			for (const struct rte_mbuf *mbuf = script.tcp.early; mbuf != NULL; mbuf = mbuf->next, n++) {
				CU_ASSERT_TRUE_FATAL(mbuf->data_len != 0 && seq_at_most(last, mbuf->hash.usr) &&
						     mbuf->hash.usr != script.tcp.rcv_nxt);
				last = mbuf->hash.usr + mbuf->data_len;
				early += mbuf->data_len;
			}
			CU_ASSERT_EQUAL_FATAL(n, script.tcp.early_mbufs);
			/* What is told is here. */
			for (unsigned i = 0; i < script.sent[0].n_sacks; i++) {
				uint32_t at = script.sent[0].sacks[i].begin + script_irs,
					 to = script.sent[0].sacks[i].end + script_irs;
				for (const struct rte_mbuf *mbuf = script.tcp.early; mbuf != NULL; mbuf = mbuf->next)
					if (seq_at_most(mbuf->hash.usr, at) &&
					    seq_before(at, mbuf->hash.usr + mbuf->data_len))
						at = mbuf->hash.usr + mbuf->data_len;
				CU_ASSERT_TRUE(seq_at_most(to, script.tcp.rcv_nxt) || seq_at_most(to, at));
			}
		}
		READ(total);
		CU_ASSERT_TRUE_FATAL(script_is_clean());
	}
}

/* Bytes that come early are bounded in buffers. */
static void
test_bounded(void)
{
	script_establish(true, false);
	for (uint32_t i = 0; i < 600; i++) {
		script.n_sent = script.n_seen = 0;
		IN(A, 101 + 100 * i, 1, 1);
	}
	CU_ASSERT_EQUAL(script.tcp.early_mbufs, 16 + 65536 / 512);
	CU_ASSERT_EQUAL(tcp_mbufs(&script.tcp), 16 + 65536 / 512);
	/* Where they touch they share buffers. */
	script_establish(true, false);
	for (uint32_t i = 0; i < 5000; i++) {
		script.n_sent = script.n_seen = 0;
		IN(A, 101 + i, 1, 1);
	}
	CU_ASSERT_TRUE(script.tcp.early_mbufs <= 3);
	script.n_sent = script.n_seen = 0;
	IN(A, 1, 1, 100);
	OUT(A, 1, 5101, 0);
	CU_ASSERT_TRUE(script.tcp.received.mbufs <= 4);
	READ(5100);
	/* When buffers are scarce nothing early is kept. */
	script_establish(true, false);
	script.env.scarce = true;
	IN(A, 101, 1, 10);
	CU_ASSERT_EQUAL(OUT(A, 1, 1, 0)->n_sacks, 0);
	CU_ASSERT_EQUAL(script.tcp.early_mbufs, 0);
	CU_ASSERT_TRUE(script_is_clean());
}

/* The window closes when nobody reads, never moves back, and opens with a segment's room. */
static void
test_window(void)
{
	uint32_t edge = 0, seq = 1;

	script_establish(true, false);
	script.limits.receive_first = script.tcp.receive_buffer = 10000;
	script.tcp.rcv_edge = script.tcp.rcv_nxt + 10000;
	for (unsigned i = 0; i < 10; i++) {
		IN(A, seq, 1, 1000);
		seq += 1000;
		while (script.n_seen < script.n_sent) {
			const struct script_segment *sent = &script.sent[script.n_seen++];
			CU_ASSERT_TRUE(sent->ack + sent->window >= edge);
			edge = sent->ack + sent->window;
		}
	}
	CU_ASSERT_EQUAL(edge, 10001);
	IN(A, seq, 1, 1); /* a probe */
	CU_ASSERT_EQUAL(OUT(A, 1, 10001, 0)->window, 0);
	READ(500);
	QUIET(); /* no sliver */
	IN(A, seq, 1, 1);
	CU_ASSERT_EQUAL(OUT(A, 1, 10001, 0)->window, 0);
	READ(500);
	CU_ASSERT_EQUAL(OUT(A, 1, 10001, 0)->window, 1000);
	READ(9000);
	CU_ASSERT_TRUE(OUT(A, 1, 10001, 0)->window >= 10000);
	CU_ASSERT_TRUE(script_is_clean());
}

/* A byte a segment, and nobody reads: rounding to units of the scale must not keep the window open for ever. */
static void
test_rounding(void)
{
	for (uint8_t scale = 0; scale <= 14; scale++) {
		script_establish(true, false);
		script.tcp.our_wscale = scale;
		script.tcp.wscale = true;
		script.tcp.receive_buffer = 3000;
		script.tcp.rcv_edge = script.tcp.rcv_nxt + 3000;
		uint32_t seq = 1, limit = 3000 + (1u << scale);
		for (; seq < 40000; seq++) {
			script.n_sent = script.n_seen = 0;
			uint32_t nxt = script.tcp.rcv_nxt;
			IN(A, seq, 1, 1);
			if (script.tcp.rcv_nxt == nxt)
				break;
			for (unsigned i = 0; i < script.n_sent; i++)
				CU_ASSERT_TRUE(script.sent[i].ack + ((uint32_t)script.sent[i].window << scale) <=
					       1 + limit);
		}
		CU_ASSERT_TRUE(seq - 1 >= 3000 && seq - 1 <= limit);
		CU_ASSERT_TRUE(script_is_clean());
	}
}

/* The buffer follows what the application takes in a round trip, and begins anew after a silence. */
static void
test_tuning(void)
{
	uint32_t seq = 1;

	script_establish(true, true);
	script.tcp.our_wscale = 7;
	script.tcp.wscale = true;
	for (unsigned round = 0; round < 12; round++) {
		uint32_t room = script.tcp.rcv_edge - script.tcp.rcv_nxt;
		for (uint32_t sent = 0; sent + 1400 <= room; sent += 1400) {
			script.n_sent = script.n_seen = 0;
			script.tsecr = script.env.now_ms - 20;
			IN(A, seq, 1, 1400);
			seq += 1400;
			READ(1400);
		}
		script.env.now_ms += 20;
		if (script.tcp.ack_armed)
			PASS(40);
	}
	CU_ASSERT_TRUE(script.tcp.receive_buffer > 1000000);
	CU_ASSERT_TRUE(script.tcp.receive_buffer <= script.limits.receive_max);
	uint32_t edge = script.tcp.rcv_edge;
	script.env.now_ms += 60000;
	script.n_sent = script.n_seen = 0;
	IN(A, seq, 1, 10);
	CU_ASSERT_EQUAL(script.tcp.receive_buffer, 65536);
	CU_ASSERT_TRUE(seq_at_most(edge, script.tcp.rcv_edge)); /* but a promise is a promise */

	/* Whoever doesn't read gets no more. */
	script_establish(true, true);
	script.tcp.our_wscale = 7;
	seq = 1;
	for (unsigned i = 0; i < 40; i++) {
		script.n_sent = script.n_seen = 0;
		IN(A, seq, 1, 1400);
		seq += 1400;
		script.env.now_ms += 20;
		tcp_took(&script.tcp, &script.env);
	}
	CU_ASSERT_EQUAL(script.tcp.receive_buffer, 65536);
	CU_ASSERT_TRUE(script_is_clean());
}

/* RFC 7323 section 4.3: the timestamp of the segment that an ACK is about. */
static void
test_timestamps(void)
{
	script_establish(true, true);
	PASS(1000);
	uint32_t first = script.env.now_ms;
	IN(A, 1, 1, 100);
	script.env.now_ms += 10;
	IN(A, 101, 1, 100);
	CU_ASSERT_EQUAL(OUT(A, 1, 201, 0)->tsecr, first); /* of the first that it acknowledges */
	script.env.now_ms += 10;
	IN(A, 301, 1, 100); /* early: the last in order still */
	CU_ASSERT_EQUAL(OUT(A, 1, 201, 0)->tsecr, first);
	script.env.now_ms += 10;
	IN(A, 201, 1, 100); /* what filled the gap */
	CU_ASSERT_EQUAL(OUT(A, 1, 401, 0)->tsecr, script.env.now_ms);
	CU_ASSERT_EQUAL(script.sent[script.n_sent - 1].tsval, script.env.now_ms + script.tcp.ts_offset);
	CU_ASSERT_TRUE(script_is_clean());
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{"delayed ACKs", test_delayed},
		{"SACK", test_sack},
		{"orders", test_orders},
		{"bounds", test_bounded},
		{"window", test_window},
		{"rounding", test_rounding},
		{"tuning", test_tuning},
		{"timestamps", test_timestamps},
		CU_TEST_INFO_NULL,
	};

	script_open();
	return unit_run("tcp_receive", tests);
}
