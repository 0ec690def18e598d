/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCP endpoint and a script that is its peer: what comes in, what must go out, what time does. Numbers are
 * relative: ours to our ISN, the peer's to its own, so that 0 is a SYN and 1 the first byte.
 *
 *   IN(flags, seq, ack, length)    a segment arrives; with script.window, script.sacks, script.tsval
 *   OUT(flags, seq, ack, length)   the next thing that was sent is that
 *   QUIET()                        nothing else was
 *   PASS(ms)                       time goes by
 *   EVENTS(mask)                   what happened since the last time
 */
#ifndef POSTERN_TESTS_UNIT_TCP_SCRIPT_H
#define POSTERN_TESTS_UNIT_TCP_SCRIPT_H

#include <arpa/inet.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/flow.h"
#include "dataplane/load.h"
#include "dataplane/tcp.h"
#include "tests/unit/unit.h"

enum {
	SCRIPT_MBUFS = 2047,
	SCRIPT_SENT_MAX = 512,
	SCRIPT_HEADERS = 14 + 20 + 20,
	SCRIPT_MSS = 1000,
	F = TCP_FIN,
	S = TCP_SYN,
	R = TCP_RST,
	A = TCP_ACK
};

static const uint32_t script_iss = 0xfffff000, script_irs = 0x7ffffe00; /* ours wraps early, theirs changes sign */

struct script_segment {
	uint8_t flags, n_sacks;
	uint16_t window, length;
	uint32_t seq, ack, tsval, tsecr; /* relative */
	uint16_t mss;
	struct tcp_range sacks[4];
	uint64_t sum; /* of the payload, by its place in the stream */
};

struct script {
	struct tcp tcp;
	struct tcp_env env;
	struct tcp_limits limits;
	struct script_segment sent[SCRIPT_SENT_MAX];
	unsigned n_sent, n_seen, events, dropped;
	bool deaf;
	/* Of the next IN. */
	uint32_t window; /* bytes, unscaled on the wire by the test's shift of 0 */
	struct tcp_range sacks[4];
	unsigned n_sacks;
	uint32_t tsval; /* 0: our clock's */
	uint32_t tsecr; /* 0: the latest that was heard */
	bool no_timestamps;
	uint32_t written, read;
};

static struct rte_mempool *script_pool;
static struct script script;

static inline uint8_t
script_noise(bool ours, uint32_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 8) * 13 + ours);
}

static inline void
script_open(void)
{
	static char arguments[][24] = {"test",     "--no-huge",      "-m",          "32",
				       "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=*:4"};
	char *pointers[8];

	for (unsigned i = 0; i < 8; i++)
		pointers[i] = arguments[i];
	if (rte_eal_init(8, pointers) < 0)
		abort();
	script_pool = rte_pktmbuf_pool_create("script", SCRIPT_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (script_pool == NULL)
		abort();
}

static inline bool
script_send(void *context, struct tcp *tcp, const struct tcp_segment *segment)
{
	uint8_t payload[2048];
	struct tcp_options options;

	(void)context;
	(void)tcp;
	if (script.deaf)
		return false;
	if (script.n_sent == SCRIPT_SENT_MAX)
		abort();
	struct script_segment *sent = &script.sent[script.n_sent++];
	CU_ASSERT_TRUE(
		tcp_options_parse(segment->options, segment->options_length, (segment->flags & S) != 0, &options));
	*sent = (struct script_segment){
		.flags = segment->flags & (F | S | R | A),
		.window = segment->window,
		.length = segment->payload_length,
		.seq = segment->seq - script_iss,
		.ack = (segment->flags & A) != 0 ? segment->ack - script_irs : 0,
		.n_sacks = options.n_sacks,
		.tsval = options.tsval,
		.tsecr = options.tsecr,
		.mss = options.mss,
	};
	for (unsigned i = 0; i < options.n_sacks && i < 4; i++) {
		const uint8_t *block = segment->options + options.sacks_at + (size_t)i * 8;
		sent->sacks[i] =
			(struct tcp_range){ntohl(load_32(block)) - script_irs, ntohl(load_32(block + 4)) - script_irs};
	}
	if (segment->payload_length != 0) {
		mbuf_queue_copy(segment->mbuf, segment->offset, payload, segment->payload_length);
		for (uint32_t i = 0; i < segment->payload_length; i++)
			if (payload[i] != script_noise(true, sent->seq - 1 + i)) {
				CU_FAIL("a byte isn't the one that was written");
				break;
			}
	}
	return true;
}

static inline void
script_dropped(void *context, struct tcp *tcp, enum reason reason)
{
	(void)context;
	(void)tcp;
	script.dropped = reason;
}

static inline void
script_begin(void)
{
	tcp_free(&script.tcp);
	memset(&script, 0, sizeof(script));
	script.limits = tcp_limits_default;
	script.limits.keepalive_ms = 0;
	script.env = (struct tcp_env){
		.now_ms = 0xffffff00, /* it wraps soon */
		.limits = &script.limits,
		.pool = script_pool,
		.send = script_send,
		.dropped = script_dropped,
	};
	script.window = 60000;
}

/* Established, as by a SYN cookie; SACK and timestamps as told. */
static inline void
script_establish(bool sack, bool timestamps)
{
	struct mbuf_queue none = {0};

	script_begin();
	struct tcp_accepted terms = {
		.iss = script_iss,
		.irs = script_irs,
		.window = script.window,
		.offered = 65535,
		.peer_mss = SCRIPT_MSS,
		.link_mss = 1460,
		.their_wscale = 0,
		.our_wscale = 0,
		.sack = sack,
		.timestamps = timestamps,
		.ts_recent = script.env.now_ms,
	};
	script.events = tcp_open_accepted(&script.tcp, &script.env, &terms, &none);
	script.tcp.quick = UINT8_MAX; /* delayed ACKs from the beginning */
	CU_ASSERT_EQUAL(script.n_sent, 0);
}

static inline void
script_connect(bool sack, bool timestamps)
{
	script_begin();
	struct tcp_connect terms = {
		.iss = script_iss,
		.link_mss = 1460,
		.announced_mss = 1400,
		.default_mss = 536,
		.our_wscale = TCP_WSCALE_NONE,
		.sack = sack,
		.timestamps = timestamps,
	};
	tcp_open_connect(&script.tcp, &script.env, &terms);
}

static inline struct rte_mbuf *
script_frame(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t length, struct packet *packet)
{
	uint8_t options[TCP_OPTIONS_MAX];
	bool syn = (flags & S) != 0;
	struct tcp_options theirs = {
		.mss = syn ? SCRIPT_MSS : 0,
		.wscale = TCP_WSCALE_NONE,
		.sack_permitted = syn && script.tcp.sack,
		.timestamps = script.tcp.timestamps && !script.no_timestamps,
		.tsval = script.tsval != 0 ? script.tsval : script.env.now_ms,
		.tsecr = script.tsecr != 0    ? script.tsecr
			 : script.n_sent != 0 ? script.sent[script.n_sent - 1].tsval
					      : script.env.now_ms,
	};
	uint8_t n = tcp_options_write(&theirs, options);
	if (script.n_sacks != 0) {
		options[n] = options[n + 1] = TCP_OPTION_NOP;
		options[n + 2] = TCP_OPTION_SACK;
		options[n + 3] = (uint8_t)(2 + 8 * script.n_sacks);
		n = (uint8_t)(n + 4);
		for (unsigned i = 0; i < script.n_sacks; i++, n = (uint8_t)(n + 8)) {
			uint32_t edges[2] = {htonl(script.sacks[i].begin + script_iss),
					     htonl(script.sacks[i].end + script_iss)};
			memcpy(options + n, edges, 8);
		}
	}
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(script_pool);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(SCRIPT_HEADERS + n + length));
	memcpy(frame + SCRIPT_HEADERS, options, n);
	for (uint32_t i = 0; i < length; i++)
		frame[SCRIPT_HEADERS + n + i] = script_noise(false, seq - 1 + i);
	*packet = (struct packet){
		.kind = PACKET_TCP,
		.l3 = 14,
		.l4 = 34,
		.payload = (uint16_t)(SCRIPT_HEADERS + n),
		.payload_length = length,
		.window = (uint16_t)script.window,
		.flags = flags,
		.options_length = n,
		.seq = seq + script_irs,
		.ack = (flags & A) != 0 ? ack + script_iss : 0,
	};
	return mbuf;
}

static inline void
script_in(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t length)
{
	struct packet packet;
	struct rte_mbuf *mbuf = script_frame(flags, seq, ack, length, &packet);

	script.dropped = REASON_NONE;
	script.events |= tcp_input(&script.tcp, &script.env, &packet, mbuf);
	script.n_sacks = 0;
	script.tsval = script.tsecr = 0;
	script.no_timestamps = false;
}

static inline void
script_fail(int line, const char *what)
{
	CU_assertImplementation(CU_FALSE, (unsigned)line, what, "tcp_script", "", CU_FALSE);
}

/* The next segment that was sent, or NULL and a failure. */
static inline const struct script_segment *
script_next(int line)
{
	static const struct script_segment none;

	if (script.n_seen < script.n_sent)
		return &script.sent[script.n_seen++];
	script_fail(line, "nothing was sent");
	return &none;
}

static inline const struct script_segment *
script_out(int line, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t length)
{
	const struct script_segment *sent = script_next(line);

	if (sent->flags != flags || sent->seq != seq || sent->ack != ack || sent->length != length) {
		printf("\n  line %d: sent flags %#x seq %u ack %u length %u, not %#x %u %u %u\n", line, sent->flags,
		       sent->seq, sent->ack, sent->length, flags, seq, ack, length);
		script_fail(line, "another segment");
	}
	return sent;
}

static inline void
script_quiet(int line)
{
	while (script.n_seen < script.n_sent) {
		const struct script_segment *sent = &script.sent[script.n_seen++];
		printf("\n  line %d: sent flags %#x seq %u ack %u length %u\n", line, sent->flags, sent->seq, sent->ack,
		       sent->length);
		script_fail(line, "something was sent");
	}
}

static inline void
script_pass(uint32_t ms)
{
	uint32_t end = script.env.now_ms + ms, at;

	while (tcp_next_ms(&script.tcp, &at) && seq_at_most(at, end)) {
		if (seq_before(script.env.now_ms, at))
			script.env.now_ms = at;
		unsigned before = script.n_sent;
		script.events |= tcp_timer(&script.tcp, &script.env);
		uint32_t again;
		if (before == script.n_sent && tcp_next_ms(&script.tcp, &again) && again == at && !script.deaf) {
			CU_FAIL("a timer that does nothing");
			break;
		}
	}
	script.env.now_ms = end;
}

static inline void
script_write(uint32_t n)
{
	struct mbuf_queue bytes = {0};

	while (n-- != 0) {
		uint8_t byte = script_noise(true, script.written++);
		mbuf_queue_write(&bytes, script_pool, &byte, 1);
	}
	tcp_write(&script.tcp, &script.env, &bytes);
}

/* The application takes n bytes, which must be there and be right. */
static inline void
script_read(int line, uint32_t n)
{
	bool right = true;

	for (; n != 0; n--) {
		uint8_t byte;
		right = right && mbuf_queue_read(tcp_received(&script.tcp), &byte, 1) == 1 &&
			byte == script_noise(false, script.read++);
	}
	if (!right)
		script_fail(line, "other bytes");
	tcp_took(&script.tcp, &script.env);
}

static inline void
script_events(int line, unsigned events)
{
	if (script.events != events) {
		printf("\n  line %d: events %#x, not %#x\n", line, script.events, events);
		script_fail(line, "other events");
	}
	script.events = 0;
}

static inline bool
script_is_clean(void)
{
	tcp_free(&script.tcp);
	return rte_mempool_avail_count(script_pool) == SCRIPT_MBUFS;
}

#define IN script_in
#define OUT(flags, seq, ack, length) script_out(__LINE__, flags, seq, ack, length)
#define QUIET() script_quiet(__LINE__)
#define PASS script_pass
#define WRITE script_write
#define READ(n) script_read(__LINE__, n)
#define EVENTS(mask) script_events(__LINE__, mask)
#define STATE(name) CU_ASSERT_EQUAL(script.tcp.state, TCP_STATE_##name)
#define SACK(b, e) (script.sacks[script.n_sacks++] = (struct tcp_range){b, e})

#endif
