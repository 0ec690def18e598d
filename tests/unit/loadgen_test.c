/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator against itself, its two sides joined by a link that loses, repeats, reorders or damages frames,
 * under a clock that moves on with every look at it.
 */
#include <arpa/inet.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/net.h"
#include "perf/loadgen/run.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

enum { QUEUE = 4096, HZ = 1000000000, LOOK_NS = 2000, DELAY_NS = 50000 };

/* Of each thousand frames. */
struct faults {
	uint32_t lost, repeated, reordered, damaged;
};

struct flying {
	struct rte_mbuf *mbuf;
	uint64_t due;
};

/* One direction: what is under way, in the order of sending. */
struct wire {
	struct flying frames[QUEUE];
	unsigned n;
};

static struct wire wires[TCP_SIDES]; /* to clients, to servers */
static struct faults faults;
static uint64_t random_state, now_ns;
static uint64_t still_from, still_until; /* nothing comes through meanwhile */
static struct rte_mempool *pool;
static struct device devices[TCP_SIDES];
static struct run run;

static uint64_t
now(void)
{
	return now_ns += LOOK_NS;
}

static void
put(struct wire *wire, struct rte_mbuf *mbuf, uint64_t due)
{
	if (wire->n == QUEUE) {
		rte_pktmbuf_free(mbuf);
		return;
	}
	wire->frames[wire->n++] = (struct flying){mbuf, due};
}

static bool
happens(uint32_t of_thousand)
{
	return random_below(&random_state, 1000) < of_thousand;
}

static uint16_t
transmit(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct wire *wire = &wires[device->id ^ 1];

	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		uint64_t due = now_ns + DELAY_NS + (happens(faults.reordered) ? DELAY_NS * 4 : 0);
		if (happens(faults.repeated)) {
			struct rte_mbuf *copy = rte_pktmbuf_copy(mbufs[i], pool, 0, UINT32_MAX);
			if (copy != NULL)
				put(wire, copy, due + DELAY_NS);
		}
		if (happens(faults.damaged)) {
			/* Behind the headers: what its receiver must see by the bytes themselves, or the checksum. */
			uint32_t at = WIRE_HEADERS + WIRE_TIMESTAMPS;
			if (mbufs[i]->data_len > at)
				rte_pktmbuf_mtod(mbufs[i], uint8_t *)[at] ^= 1;
		}
		if (happens(faults.lost))
			rte_pktmbuf_free(mbufs[i]);
		else
			put(wire, mbufs[i], due);
	}
	return n;
}

static uint16_t
receive(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct wire *wire = &wires[device->id];
	uint16_t taken = 0;
	unsigned kept = 0;

	(void)queue;
	if (now_ns >= still_from && now_ns < still_until)
		return 0;
	for (unsigned i = 0; i < wire->n; i++) {
		if (taken < n && wire->frames[i].due <= now_ns)
			mbufs[taken++] = wire->frames[i].mbuf;
		else
			wire->frames[kept++] = wire->frames[i];
	}
	wire->n = kept;
	return taken;
}

static void
play_it(const struct play_config *config, const struct faults *with, bool verify_all)
{
	static const char *const names[] = {"a.shop.example", "b.shop.example", "c.shop.example"};
	static struct stream streams[TCP_SIDES];
	const struct stream *const both[TCP_SIDES] = {&streams[TCP_CLIENT], &streams[TCP_SERVER]};
	struct link *const links[TCP_SIDES] = {&run.links[TCP_CLIENT], &run.links[TCP_SERVER]};
	static const volatile sig_atomic_t stop;
	struct tcp_config tcp = {
		.target = htonl(0xc633640b),
		.target_port = htons(443),
		.server_port = htons(443),
		.client_first = 0x0a010001,
		.server_first = 0xc633640b,
		.n_client_addresses = 1,
		.n_server_addresses = 1,
		.n_clients = config->connections,
		.n_servers = 2 * config->connections,
		.mss = 1460,
		.receive_window = 65536,
		.timestamps = random_below(&random_state, 2) == 0,
		.verify_all = verify_all,
	};

	memset(&run, 0, sizeof(run));
	faults = (struct faults){0};
	for (unsigned side = 0; side < TCP_SIDES; side++) {
		devices[side] = (struct device){.rx = receive, .tx = transmit, .id = (uint16_t)side};
		link_init(links[side], &devices[side], pool, htonl(0x0a010001 + side));
	}
	stream_init_client(&streams[TCP_CLIENT], names, 3, config->hello);
	stream_init_server(&streams[TCP_SERVER], config->reply);
	run.clock = now;
	run.play.hz = HZ;
	struct tcp_hooks hooks = play_hooks(&run.play);
	tcp_init(&run.tcp, &tcp, &hooks, links, both, 1, (uint32_t)(now_ns / 1000000));
	CU_ASSERT_FATAL(run_find_subject(&run, tcp.target, 0, &stop));
	faults = *with;
	run_play(&run, config, &stop);
	for (unsigned side = 0; side < TCP_SIDES; side++)
		stream_free(&streams[side]);
}

static uint64_t
ends(enum tcp_side side, enum tcp_end end)
{
	return run.tcp.stats[side].ends[end];
}

static uint64_t
ends_but(enum tcp_side side, enum tcp_end but)
{
	uint64_t n = 0;
	for (unsigned end = 0; end < TCP_ENDS; end++)
		n += end == but ? 0 : ends(side, (enum tcp_end)end);
	return n;
}

static uint32_t
n_left(void)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < run.tcp.config.n_clients + run.tcp.config.n_servers; i++)
		n += run.tcp.conns[i].state != CONN_CLOSED;
	return n;
}

static const struct play_config usual = {
	.directions = PLAY_DOWN | PLAY_UP,
	.connections = 100,
	.at_a_time = 20,
	.warmup_ms = 100,
	.measure_ms = 2000,
	.hello = 517,
	.reply = 1500,
	.request = 100,
	.response = 4000,
};
static const struct faults none;
static const struct faults some_lost = {.lost = 2};
static const struct faults bad_link = {.lost = 20, .repeated = 10, .reordered = 30};

/* On a good link nothing is repeated, nothing fails, and whoever closes first, both ends are gone afterwards. */
static void
test_connect(void)
{
	for (unsigned closer = 0; closer < 3; closer++) {
		struct play_config config = usual;
		config.mode = PLAY_CONNECT;
		config.closer = (enum play_closer)closer;
		play_it(&config, &none, true);
		CU_ASSERT(run.play.done > 10000);
		CU_ASSERT(ends(TCP_CLIENT, TCP_END_FINISHED) >= run.play.done);
		CU_ASSERT(ends_but(TCP_CLIENT, TCP_END_FINISHED) == 0);
		CU_ASSERT(ends_but(TCP_SERVER, closer == PLAY_CLOSE_RESET ? TCP_END_RESET : TCP_END_FINISHED) == 0);
		CU_ASSERT(run.tcp.stats[TCP_CLIENT].retransmitted == 0);
		CU_ASSERT(run.tcp.stats[TCP_SERVER].retransmitted == 0);
		CU_ASSERT(run.tcp.stats[TCP_CLIENT].strays == 0);

		CU_ASSERT(n_left() == 0);
	}
}

/* SYN, ACK, hello, FIN, ACK of the FIN; SYN-ACK, two segments of reply, FIN: no more and no less. */
static void
test_connect_frames(void)
{
	struct play_config config = usual;

	config.mode = PLAY_CONNECT;
	config.rate = 100;
	play_it(&config, &none, true);
	CU_ASSERT(run.play.done == 200);
	/* One more each: the question for a MAC, and its answer. */
	CU_ASSERT(run.links[TCP_CLIENT].stats.tx_frames == ends(TCP_CLIENT, TCP_END_FINISHED) * 5 + 1);
	CU_ASSERT(run.links[TCP_SERVER].stats.tx_frames == ends(TCP_CLIENT, TCP_END_FINISHED) * 4 + 1);
	/* Three times there and back (SYN, hello) less the half that the server doesn't wait for. */
	CU_ASSERT(histogram_at(&run.play.answers, 0.5) >= 4 * DELAY_NS);
	CU_ASSERT(run.play.answers.max < 6 * DELAY_NS);
}

/* On a bad link everything is repaired: late, but every connection ends in order and every byte is the right one. */
static void
test_connect_bad_link(void)
{
	for (unsigned closer = 0; closer < 2; closer++) {
		struct play_config config = usual;
		config.mode = PLAY_CONNECT;
		config.closer = (enum play_closer)closer;
		play_it(&config, &bad_link, true);
		CU_ASSERT(run.play.done > 200);
		/* A repeated SYN that comes after the connection is over begins another: no TIME-WAIT. */
		CU_ASSERT(ends_but(TCP_CLIENT, TCP_END_FINISHED) <= run.play.done / 100);
		CU_ASSERT(ends(TCP_CLIENT, TCP_END_WRONG_BYTES) + ends(TCP_SERVER, TCP_END_WRONG_BYTES) == 0);
		CU_ASSERT(run.tcp.stats[TCP_CLIENT].retransmitted > 0 && run.tcp.stats[TCP_SERVER].retransmitted > 0);
		CU_ASSERT(run.tcp.stats[TCP_CLIENT].out_of_order > 0);
	}
}

static void
test_exchange(void)
{
	struct play_config config = usual;

	config.mode = PLAY_EXCHANGE;
	play_it(&config, &none, true);
	CU_ASSERT(run.play.opened == 100 && run.play.unopened == 0);
	CU_ASSERT(run.play.done > 10000);
	CU_ASSERT(ends(TCP_CLIENT, TCP_END_FINISHED) == 100 && n_left() == 0);

	play_it(&config, &bad_link, true);
	CU_ASSERT(run.play.opened == 100);
	CU_ASSERT(run.play.done > 300);
	CU_ASSERT(ends(TCP_CLIENT, TCP_END_FINISHED) == 100);
}

/* A subject that stands still for half a second makes all that was due meanwhile late, not just what was under way: of
 * 5,000 in five seconds the 500 of that time, by 250 ms in the middle. */
static void
test_no_coordinated_omission(void)
{
	struct play_config config = usual;

	config.mode = PLAY_EXCHANGE;
	config.rate = 1000;
	config.measure_ms = 5000;
	config.response = 64;
	still_from = now_ns + UINT64_C(2000) * 1000000;
	still_until = still_from + UINT64_C(500) * 1000000;
	play_it(&config, &none, true);
	still_until = 0;
	CU_ASSERT(run.play.done >= 4990 && run.play.done <= 5010);
	CU_ASSERT(histogram_at(&run.play.answers, 0.88) < 1000000);
	CU_ASSERT(histogram_at(&run.play.answers, 0.95) > 200000000);
	CU_ASSERT(histogram_at(&run.play.answers, 0.95) < 300000000);
	CU_ASSERT(run.play.answers.max > 490000000 && run.play.answers.max < 510000000);
}

static void
test_hold(void)
{
	struct play_config config = usual;

	config.mode = PLAY_HOLD;
	play_it(&config, &bad_link, true);
	CU_ASSERT(run.play.opened == 100 && run.play.still_there == 100);
	CU_ASSERT(ends(TCP_CLIENT, TCP_END_FINISHED) == 100);
}

static void
test_bulk(void)
{
	struct play_config config = usual;

	config.mode = PLAY_BULK;
	config.connections = config.at_a_time = 4;
	play_it(&config, &none, true);
	CU_ASSERT(run.measured.tcp[TCP_CLIENT].payload_in > 100000000);
	CU_ASSERT(run.measured.tcp[TCP_SERVER].payload_in > 100000000);
	CU_ASSERT(run.tcp.stats[TCP_CLIENT].retransmitted == 0);

	/* Repeated ACKs tell of a loss at once, where one side is silent; else it takes until the time is out. */
	play_it(&config, &bad_link, true);
	CU_ASSERT(run.measured.tcp[TCP_CLIENT].payload_in > 20000 && run.measured.tcp[TCP_SERVER].payload_in > 20000);
	CU_ASSERT(ends_but(TCP_CLIENT, TCP_END_ABORTED) == 0);
	config.directions = PLAY_UP;
	play_it(&config, &some_lost, true);
	CU_ASSERT(run.measured.tcp[TCP_SERVER].payload_in > 50000000);
	CU_ASSERT(ends_but(TCP_CLIENT, TCP_END_ABORTED) == 0);
}

/* A subject that damages what it carries is found out: by checksums, and by the bytes where those aren't looked at. */
static void
test_damage(void)
{
	static const struct faults damage = {.damaged = 50};
	struct play_config config = usual;

	config.mode = PLAY_CONNECT;
	play_it(&config, &damage, true);
	CU_ASSERT(run.links[TCP_CLIENT].stats.rx_damaged > 20 && run.links[TCP_SERVER].stats.rx_damaged > 20);
	CU_ASSERT(ends(TCP_CLIENT, TCP_END_WRONG_BYTES) + ends(TCP_SERVER, TCP_END_WRONG_BYTES) == 0);

	play_it(&config, &damage, false);
	CU_ASSERT(ends(TCP_CLIENT, TCP_END_WRONG_BYTES) > 10 && ends(TCP_SERVER, TCP_END_WRONG_BYTES) > 10);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"connect", test_connect},
		{"connect: frames of a connection", test_connect_frames},
		{"connect over a bad link", test_connect_bad_link},
		{"exchange", test_exchange},
		{"no coordinated omission", test_no_coordinated_omission},
		{"hold", test_hold},
		{"bulk", test_bulk},
		{"damage is found", test_damage},
		CU_TEST_INFO_NULL,
	};
	static char options[][16] = {"loadgen_test",   "--no-huge",   "--no-pci",
				     "--no-telemetry", "--no-shconf", "--log-level=4",
				     "--lcores=0",     "-m",          "64"};
	char *arguments[10] = {NULL};

	for (unsigned i = 0; i < 9; i++)
		arguments[i] = options[i];
	if (rte_eal_init(9, arguments) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("packets", 8192, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool == NULL ? 1 : unit_run("loadgen", tests);
}
