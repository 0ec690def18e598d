/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any conversation with a TCP endpoint: segments near what it expects and far from it, options of any bytes, time, and
 * an application that reads, writes and closes. Every byte that it hands over must be the one for its place, what it
 * sends must be what was written, its numbers must stay in order, and no buffer may be left.
 */
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/flow.h"
#include "dataplane/tcp.h"

enum { MBUFS = 1023, HEADERS = 14 + 20 + 20, SENT_MOST = 20000, WRITE_MOST = 200000 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rte_mempool *pool;
static struct tcp tcp;
static struct tcp_env env;
static const uint8_t *at, *end;
static uint32_t iss, irs, written, taken, n_sent;
static bool deaf;

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static uint8_t
next_8(void)
{
	return at < end ? *at++ : 0;
}

static uint16_t
next_16(void)
{
	uint16_t high = next_8();

	return (uint16_t)(high << 8 | next_8());
}

static uint8_t
noise(uint32_t offset)
{
	return (uint8_t)(offset * 5 + (offset >> 8) * 3 + 1);
}

static bool
take_segment(void *context, struct tcp *connection, const struct tcp_segment *segment)
{
	uint8_t payload[65536];

	(void)context;
	check(connection == &tcp && ++n_sent < SENT_MOST);
	check(segment->options_length % 4 == 0 && segment->options_length <= TCP_OPTIONS_MAX);
	if (deaf)
		return false;
	if (segment->payload_length == 0)
		return true;
	check(segment->payload_length + segment->options_length <= 1460);
	check(segment->seq - iss - 1 + segment->payload_length <= written);
	mbuf_queue_copy(segment->mbuf, segment->offset, payload, segment->payload_length);
	for (uint32_t i = 0; i < segment->payload_length; i++)
		check(payload[i] == noise(segment->seq - iss - 1 + i));
	return true;
}

static void
hear_dropped(void *context, struct tcp *connection, enum reason reason)
{
	(void)context;
	check(connection == &tcp && reason != REASON_NONE && reason < REASON_COUNT);
}

/* Flags that packet_parse lets pass. */
static uint8_t
some_flags(uint8_t byte)
{
	static const uint8_t flags[] = {TCP_ACK,           TCP_ACK,           TCP_ACK,
					TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN, TCP_ACK | TCP_RST,
					TCP_ACK | TCP_SYN, TCP_RST,           TCP_SYN};

	return flags[byte % sizeof(flags)];
}

/* Options of a well-behaved peer, or any bytes. */
static uint8_t
some_options(uint8_t *options, bool syn)
{
	uint8_t kind = next_8(), length = 0;

	if (kind == 0xff) {
		length = (uint8_t)(next_8() % 11 * 4);
		for (uint8_t i = 0; i < length; i++)
			options[i] = next_8();
		return length;
	}
	struct tcp_options ours = {
		.mss = syn ? next_16() : 0,
		.wscale = syn && (kind & 1) != 0 ? (uint8_t)(kind >> 4) : TCP_WSCALE_NONE,
		.sack_permitted = syn && (kind & 2) != 0,
		.timestamps = (kind & 4) == 0,
		.tsval = env.now_ms + (uint32_t)(int8_t)next_8(),
		.tsecr = env.now_ms - next_8(),
	};
	length = tcp_options_write(&ours, options);
	uint8_t n = syn ? 0 : (kind >> 4) % 4;
	if (n == 0 || length + 4 + 8 * n > TCP_OPTIONS_MAX)
		return length;
	options[length] = options[length + 1] = TCP_OPTION_NOP;
	options[length + 2] = TCP_OPTION_SACK;
	options[length + 3] = (uint8_t)(2 + 8 * n);
	length = (uint8_t)(length + 4);
	for (; n != 0; n--, length = (uint8_t)(length + 8)) {
		uint32_t begin = tcp.una + (uint32_t)(int16_t)next_16(), stop = begin + next_16();
		for (unsigned i = 0; i < 4; i++) {
			options[length + i] = (uint8_t)(begin >> (24 - 8 * i));
			options[length + 4 + i] = (uint8_t)(stop >> (24 - 8 * i));
		}
	}
	return length;
}

static unsigned
send_segment(void)
{
	uint8_t flags = some_flags(next_8()), options[TCP_OPTIONS_MAX], options_length;
	uint32_t expected = tcp.state == TCP_STATE_SYN_SENT ? irs : tcp.rcv_nxt;
	uint32_t seq = expected + (uint32_t)(int16_t)next_16();
	uint16_t ack_by = next_16(), length = next_16() % 1461, window = next_16();
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	if (mbuf == NULL)
		return 0;
	if (tcp.state == TCP_STATE_SYN_SENT && (flags & TCP_SYN) != 0)
		seq = irs;
	options_length = some_options(options, (flags & TCP_SYN) != 0);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(HEADERS + options_length + length));
	memcpy(frame + HEADERS, options, options_length);
	for (uint32_t i = 0; i < length; i++)
		frame[HEADERS + options_length + i] = noise(seq + ((flags & TCP_SYN) != 0) - irs - 1 + i);
	struct packet packet = {
		.kind = PACKET_TCP,
		.l3 = 14,
		.l4 = 34,
		.payload = (uint16_t)(HEADERS + options_length),
		.payload_length = length,
		.window = window,
		.flags = flags,
		.options_length = options_length,
		.seq = seq,
		.ack = (flags & TCP_ACK) == 0 ? 0
		       : ack_by % 4 == 0      ? tcp.nxt
					      : tcp.una + (uint32_t)((int16_t)ack_by / 4),
	};
	tcp_yields(&tcp, &packet, options);
	return tcp_input(&tcp, &env, &packet, mbuf);
}

static void
read_some(uint32_t n)
{
	for (; n != 0; n--) {
		uint8_t byte;
		if (mbuf_queue_read(tcp_received(&tcp), &byte, 1) == 0)
			break;
		check(byte == noise(taken++));
	}
	tcp_took(&tcp, &env);
}

static void
write_some(uint32_t n)
{
	struct mbuf_queue bytes = {0};

	if (tcp.shut || written + n > WRITE_MOST)
		return;
	for (; n != 0; n--) {
		uint8_t byte = noise(written);
		if (mbuf_queue_write(&bytes, pool, &byte, 1) == 0)
			break;
		written++;
	}
	tcp_write(&tcp, &env, &bytes);
}

static void
check_sound(void)
{
	check(seq_at_most(tcp.una, tcp.nxt));
	check(tcp.state == TCP_STATE_SYN_SENT || seq_at_most(tcp.rcv_nxt, tcp.rcv_edge + 1));
	check(tcp.board.sacked + tcp.board.lost <= tcp.nxt - tcp.una);
	check((tcp.board.n == 0) == (tcp.una == tcp.nxt) || tcp.state <= TCP_STATE_SYN_RECEIVED);
	check(tcp.state < TCP_STATE_ESTABLISHED || tcp.congestion.window != 0);
	check(tcp.mss >= 88 && tcp.mss <= 1460);
	uint32_t last = tcp.rcv_nxt;
	for (const struct rte_mbuf *mbuf = tcp.early; mbuf != NULL; mbuf = mbuf->next) {
		check(mbuf->data_len != 0 && seq_at_most(last, mbuf->hash.usr));
		last = mbuf->hash.usr + mbuf->data_len;
	}
}

static void
open_one(uint8_t how)
{
	struct mbuf_queue none = {0};

	if ((how & 1) == 0) {
		struct tcp_connect terms = {
			.iss = iss,
			.link_mss = 1460,
			.announced_mss = 1460,
			.default_mss = 536,
			.our_wscale = (how & 2) != 0 ? 7 : TCP_WSCALE_NONE,
			.sack = (how & 4) != 0,
			.timestamps = (how & 8) != 0,
		};
		tcp_open_connect(&tcp, &env, &terms);
		return;
	}
	struct tcp_accepted terms = {
		.iss = iss,
		.irs = irs,
		.window = 65535,
		.offered = 16384,
		.peer_mss = (how & 16) != 0 ? 1460 : 100,
		.link_mss = 1460,
		.their_wscale = (how & 2) != 0 ? 14 : TCP_WSCALE_NONE,
		.our_wscale = 7,
		.sack = (how & 4) != 0,
		.timestamps = (how & 8) != 0,
		.ts_recent = env.now_ms,
	};
	tcp_open_accepted(&tcp, &env, &terms, &none);
}

static void
step(void)
{
	uint8_t kind = next_8();

	switch (kind % 10) {
	default:
		send_segment();
		break;
	case 5:
		env.now_ms += kind < 128 ? next_8() : next_16() * 16u;
		tcp_timer(&tcp, &env);
		break;
	case 6:
		read_some(next_16());
		break;
	case 7:
		write_some(next_16() % 20000);
		break;
	case 8:
		if (kind == 8)
			tcp_shut(&tcp, &env);
		else if (kind == 18)
			tcp_abort(&tcp, &env);
		else if (kind < 128)
			env.scarce = !env.scarce;
		else
			deaf = !deaf;
		break;
	case 9:
		tcp_too_big(&tcp, &env, tcp.una + next_16(), next_16() % 2000);
		break;
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char arguments[][24] = {"fuzz",     "--no-huge",      "-m",          "32",
				       "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=*:4"};
	char *pointers[8];

	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < 8; i++)
		pointers[i] = arguments[i];
	if (rte_eal_init(8, pointers) < 0)
		abort();
	pool = rte_pktmbuf_pool_create("fuzz", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		abort();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	at = data;
	end = data + size;
	uint8_t how = next_8();
	iss = (uint32_t)next_16() << 16;
	irs = (uint32_t)next_16() << 16;
	written = taken = n_sent = 0;
	deaf = false;
	env = (struct tcp_env){
		.now_ms = 0xfffffff0,
		.limits = &tcp_limits_default,
		.pool = pool,
		.send = take_segment,
		.dropped = hear_dropped,
	};
	open_one(how);
	while (at < end) {
		step();
		check_sound();
	}
	deaf = false;
	for (unsigned i = 0; i < 50; i++) { /* no timer runs for ever in the same millisecond */
		uint32_t due;
		if (!tcp_next_ms(&tcp, &due))
			break;
		if (seq_before(env.now_ms, due))
			env.now_ms = due;
		tcp_timer(&tcp, &env);
		check_sound();
		uint32_t again;
		check(!tcp_next_ms(&tcp, &again) || again != due || seq_before(env.now_ms, again));
	}
	read_some(UINT32_MAX);
	tcp_free(&tcp);
	check(rte_mempool_avail_count(pool) == MBUFS);
	return 0;
}
