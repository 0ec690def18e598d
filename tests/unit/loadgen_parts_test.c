/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator's parts that stand alone: histogram, streams, timers, the servers' table. */
#include <string.h>

#include "dataplane/checksum.h"
#include "gateway/client_hello.h"
#include "perf/loadgen/conn.h"
#include "perf/loadgen/histogram.h"
#include "perf/loadgen/lookup.h"
#include "perf/loadgen/memory.h"
#include "perf/loadgen/stream.h"
#include "perf/loadgen/timers.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

/* Each figure comes back no smaller than it is, and at most a 64th larger. */
static void
test_histogram_precision(void)
{
	static struct histogram histogram;

	for (uint64_t ns = 0; ns < UINT64_C(1) << 41; ns += 1 + ns / 7) {
		memset(&histogram, 0, sizeof(histogram));
		histogram_add(&histogram, ns);
		histogram.max = UINT64_MAX; /* so that it doesn't cut the bucket's end */
		uint64_t at = histogram_at(&histogram, 0.5);
		uint64_t most = UINT64_C(1) << HISTOGRAM_TOP_BITS;
		CU_ASSERT(ns < most ? at >= ns && at <= ns + ns / 64 : at == most - 1);
	}
}

static void
test_histogram_shares(void)
{
	static struct histogram histogram;

	CU_ASSERT(histogram_at(&histogram, 0.5) == 0);
	for (uint64_t ns = 1; ns <= 1000; ns++)
		histogram_add(&histogram, ns * 1000);
	CU_ASSERT(histogram.count == 1000 && histogram.max == 1000000 && histogram.sum == 500500000);
	CU_ASSERT(histogram_at(&histogram, 0) >= 1000 && histogram_at(&histogram, 0) < 1020);
	CU_ASSERT(histogram_at(&histogram, 0.5) >= 500000 && histogram_at(&histogram, 0.5) < 508000);
	CU_ASSERT(histogram_at(&histogram, 0.99) >= 990000 && histogram_at(&histogram, 0.99) <= 1000000);
	CU_ASSERT(histogram_at(&histogram, 1) == 1000000);
}

/* Cut anywhere, a stream is the same bytes, and the sum that is given is the one that they have. */
static void
check_stream(const struct stream *stream, uint32_t stamp, uint32_t from)
{
	static uint8_t whole[8192], piece[STREAM_SEGMENT_MAX];
	uint64_t random = 7;

	for (uint32_t i = 0; i < sizeof(whole); i++)
		(void)stream_write(stream, stamp, from + i, 1, whole + i);
	for (unsigned round = 0; round < 4000; round++) {
		uint32_t at = random_below(&random, sizeof(whole) - STREAM_SEGMENT_MAX);
		uint32_t n = 1 + random_below(&random, STREAM_SEGMENT_MAX);
		if (round % 4 == 0)
			at = 0;
		uint64_t sum = stream_write(stream, stamp, from + at, n, piece);
		CU_ASSERT_FATAL(memcmp(piece, whole + at, n) == 0);
		/* Two zeroes of one's complement are the same. */
		CU_ASSERT_FATAL(checksum_fold(sum) % 0xffff == checksum_fold(checksum_sum(piece, n)) % 0xffff);
		CU_ASSERT_FATAL(stream_check(stream, stamp, from + at, piece, n, true));
		CU_ASSERT_FATAL(stream_check(stream, stamp, from + at, piece, n, false));
		piece[random_below(&random, n)] ^= 0x20;
		CU_ASSERT_FATAL(!stream_check(stream, stamp, from + at, piece, n, true));
	}
}

static void
test_stream(void)
{
	static const char *const names[] = {"a.shop.example", "another-name.shop.example"};
	struct stream client, server;

	stream_init_client(&client, names, 2, 517);
	stream_init_server(&server, 1500);
	check_stream(&client, 4711, 0);
	check_stream(&server, 4711, 0);
	check_stream(&client, 4711, UINT32_MAX - 3000); /* round once */
	check_stream(&server, 4711, UINT32_MAX - 3000);
	stream_free(&client);
	stream_free(&server);
}

/* Bytes of another connection are not taken for this one's. */
static void
test_stream_stamp(void)
{
	static const char *const name = "a.shop.example";
	struct stream client;
	uint8_t bytes[517];
	uint32_t stamp = 0;

	stream_init_client(&client, &name, 1, sizeof(bytes));
	(void)stream_write(&client, 0x01020304, 0, sizeof(bytes), bytes);
	CU_ASSERT(stream_check(&client, 0x01020304, 0, bytes, sizeof(bytes), false));
	CU_ASSERT(!stream_check(&client, 0x01020305, 0, bytes, sizeof(bytes), false));
	CU_ASSERT(stream_take_stamp(0, bytes, sizeof(bytes), &stamp) && stamp == 0x01020304);
	stamp = 0;
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		CU_ASSERT(stream_take_stamp(i, bytes + i, 1, &stamp) == (i == STREAM_STAMP_END - 1));
	CU_ASSERT(stamp == 0x01020304);
	stream_free(&client);
}

/* The gateway's own parser, which was written apart from it, finds the name. */
static void
test_stream_hello(void)
{
	static const uint32_t lengths[] = {STREAM_HELLO_MIN, 517, 1800, STREAM_HELLO_MAX};
	static uint8_t bytes[STREAM_HELLO_MAX];
	static struct client_hello hello;
	char longest[STREAM_NAME_MAX + 1];
	const char *names[] = {"web.shop.example", longest};

	for (unsigned i = 0; i < STREAM_NAME_MAX; i++)
		longest[i] = i % 64 == 63 ? '.' : 'x';
	longest[STREAM_NAME_MAX] = '\0';
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct stream stream;
		stream_init_client(&stream, names, 2, lengths[i]);
		for (uint32_t stamp = 0; stamp < 2; stamp++) {
			for (uint32_t at = 0; at < lengths[i]; at++)
				(void)stream_write(&stream, stamp, at, 1, bytes + at);
			CU_ASSERT(client_hello_parse(bytes, lengths[i] - 1, &hello) == CLIENT_HELLO_MORE);
			CU_ASSERT_FATAL(client_hello_parse(bytes, lengths[i], &hello) == CLIENT_HELLO_WHOLE);
			CU_ASSERT(strcmp(hello.sni, names[stamp]) == 0);
			CU_ASSERT(hello.tls13 && hello.n_alpn == 2 && hello.length == lengths[i]);
		}
		stream_free(&stream);
	}
}

enum { CONNS = 300 };

struct fired {
	struct timers *timers;
	uint16_t now;
	uint32_t count[CONNS];
	uint16_t when[CONNS];
};

static void
note(void *context, uint32_t index)
{
	struct fired *fired = context;
	fired->count[index]++;
	fired->when[index] = fired->timers->tick;
}

/* Timers set to and fro, cleared, and set again fire once, in the tick that was asked for last. */
static void
test_timers(void)
{
	static struct timers timers;
	static struct fired fired;
	struct conn *conns = memory_zeroed(CONNS, sizeof(*conns));
	uint16_t wanted[CONNS], tick = 65000; /* wraps on the way */
	bool set[CONNS] = {0};
	uint64_t random = 3;

	timers_init(&timers, conns, tick);
	fired.timers = &timers;
	for (unsigned round = 0; round < 20000; round++) {
		uint32_t index = random_below(&random, CONNS);
		if (random_below(&random, 4) == 0) {
			timers_clear(&timers, index);
			set[index] = false;
		} else {
			wanted[index] = (uint16_t)(tick + random_below(&random, 500));
			timers_set(&timers, index, wanted[index]);
			set[index] = true;
		}
		memset(fired.count, 0, sizeof(fired.count));
		uint16_t now = (uint16_t)(tick + random_below(&random, 3));
		timers_run(&timers, now, note, &fired);
		for (uint32_t i = 0; i < CONNS; i++) {
			bool due = set[i] && (int16_t)(wanted[i] - now) < 0;
			CU_ASSERT_FATAL(fired.count[i] == (due ? 1 : 0));
			/* The one that fires sees the tick after its own as the next. */
			CU_ASSERT_FATAL(!due || fired.when[i] == (uint16_t)(wanted[i] + 1));
			set[i] &= !due;
		}
		tick = now;
	}
}

/* The table against a plain list: few hashes, so that entries collide and runs of them wrap round its end. */
static void
test_lookup(void)
{
	enum { SERVERS = 200, PEERS = 400 };
	struct conn *conns = memory_zeroed(SERVERS + 5, sizeof(*conns));
	uint32_t where[PEERS], n = 0;
	struct lookup lookup;
	uint64_t random = 11;

	lookup_init(&lookup, conns, 5, SERVERS);
	memset(where, 0xff, sizeof(where));
	for (unsigned round = 0; round < 50000; round++) {
		uint32_t peer = random_below(&random, PEERS);
		uint32_t hash = lookup_hash(peer, (uint16_t)peer, 1);
		CU_ASSERT_FATAL(lookup_find(&lookup, hash, peer, (uint16_t)peer, 1) == where[peer]);
		if (where[peer] != LOOKUP_NONE) {
			lookup_remove(&lookup, where[peer]);
			where[peer] = LOOKUP_NONE;
			n--;
			continue;
		}
		where[peer] = lookup_add(&lookup, hash, peer, (uint16_t)peer, 1);
		CU_ASSERT_FATAL((where[peer] == LOOKUP_NONE) == (n == SERVERS));
		CU_ASSERT_FATAL(n == SERVERS || (where[peer] >= 5 && where[peer] < SERVERS + 5));
		n += n < SERVERS;
	}
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"histogram: precision", test_histogram_precision},
		{"histogram: shares", test_histogram_shares},
		{"stream: the same however it is cut", test_stream},
		{"stream: stamps", test_stream_stamp},
		{"stream: a ClientHello", test_stream_hello},
		{"timers", test_timers},
		{"lookup", test_lookup},
		CU_TEST_INFO_NULL,
	};
	return unit_run("loadgen_parts", tests);
}
