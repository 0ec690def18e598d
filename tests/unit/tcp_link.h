/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two TCP endpoints and the path between them, under a clock of microseconds that the test turns.
 *
 *   end 0 ──▶ loss, repetition, bottleneck, delay, jitter ──▶ end 1, and back the same way
 *
 * Each application writes a stream of noise that follows from its offset, and compares what it reads with what the
 * other writes. A segment lives as bytes of options and payload, so that what arrives isn't what was sent but a copy.
 */
#ifndef POSTERN_TESTS_UNIT_TCP_LINK_H
#define POSTERN_TESTS_UNIT_TCP_LINK_H

#include <inttypes.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/flow.h"
#include "dataplane/tcp.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

enum { LINK_MBUFS = 16383, LINK_FLIGHTS_MAX = 8192, LINK_PAYLOAD_MAX = 1600, LINK_HEADERS = 14 + 20 + 20 };

struct link_flight {
	uint64_t at_us;
	uint64_t order; /* of those that arrive at once */
	unsigned to;
	uint8_t flags, options_length;
	uint16_t window, length;
	uint32_t seq, ack;
	uint8_t options[TCP_OPTIONS_MAX];
	uint8_t payload[LINK_PAYLOAD_MAX];
};

/* What the path does; of one direction. */
struct link_path {
	uint32_t loss, repeat, corrupt; /* in 1024ths of a percent… of 102,400 */
	uint32_t delay_us, jitter_us;
	uint32_t rate_kbit;   /* of the bottleneck; 0: none */
	uint32_t queue_bytes; /* that wait before it at most */
	uint16_t mtu_mss;     /* payload and options that fit; 0: all. What doesn't is lost */
	bool tells;           /* … and its sender hears of it */
	uint64_t free_us;     /* when the bottleneck has sent all it has */
	uint64_t lost, passed;
};

struct link_end {
	struct tcp tcp;
	struct tcp_env env;
	unsigned id;
	struct link_path path; /* from here */
	/* The application. */
	uint64_t to_write, written, read, to_read;
	uint32_t write_most, read_most; /* at a time; 0: all */
	unsigned read_every;            /* it reads in one of so many steps */
	bool shut, opened, peer_closed, finished, over;
	unsigned events;
	bool deaf;          /* its sends fail */
	unsigned n_dropped; /* segments that it refused */
	uint32_t flight_max, mbufs_max;
	const char *wrong;
};

static struct rte_mempool *link_pool;
static struct link_end link_ends[2];
static struct link_flight *link_flights[LINK_FLIGHTS_MAX];
static unsigned link_n_flights;
static uint64_t link_now_us, link_order, link_seed;
static bool link_verbose;
static struct tcp_limits link_limits;

static inline uint8_t
link_noise(unsigned from, uint64_t offset)
{
	uint64_t word = (offset / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) + from;

	return (uint8_t)((word ^ word >> 29) >> (offset % 8 * 7));
}

static inline void
link_open(void)
{
	static char arguments[][24] = {"test",     "--no-huge",      "-m",          "96",
				       "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=*:4"};
	char *pointers[8];

	for (unsigned i = 0; i < 8; i++)
		pointers[i] = arguments[i];
	if (rte_eal_init(8, pointers) < 0)
		abort();
	link_pool = rte_pktmbuf_pool_create("link", LINK_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (link_pool == NULL)
		abort();
}

static inline bool
link_is_clean(void)
{
	return rte_mempool_avail_count(link_pool) == LINK_MBUFS;
}

static inline bool
link_chance(uint32_t in_102400)
{
	return in_102400 != 0 && random_below(&link_seed, 102400) < in_102400;
}

/* When a segment of so many bytes gets to the other end; false: it doesn't. */
static inline bool
link_pass(struct link_path *path, uint32_t bytes, uint64_t *at_us)
{
	uint64_t now = link_now_us;

	if (link_chance(path->loss) || link_chance(path->corrupt))
		return false;
	if (path->rate_kbit != 0) {
		uint64_t begin = path->free_us > now ? path->free_us : now;
		if ((begin - now) * path->rate_kbit / 8000 > path->queue_bytes)
			return false;
		path->free_us = begin + (uint64_t)bytes * 8000 / path->rate_kbit;
		now = path->free_us;
	}
	*at_us = now + path->delay_us + (path->jitter_us != 0 ? random_below(&link_seed, path->jitter_us) : 0);
	return true;
}

static inline bool
link_is_before(const struct link_flight *a, const struct link_flight *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

/* Flights are a heap: the next to arrive is the first. */
static inline void
link_push(struct link_flight *flight)
{
	unsigned i = link_n_flights++;

	for (; i != 0 && link_is_before(flight, link_flights[(i - 1) / 2]); i = (i - 1) / 2)
		link_flights[i] = link_flights[(i - 1) / 2];
	link_flights[i] = flight;
}

static inline struct link_flight *
link_pop(void)
{
	struct link_flight *first = link_flights[0], *last = link_flights[--link_n_flights];
	unsigned i = 0;

	for (;;) {
		unsigned child = 2 * i + 1;
		if (child >= link_n_flights)
			break;
		if (child + 1 < link_n_flights && link_is_before(link_flights[child + 1], link_flights[child]))
			child++;
		if (!link_is_before(link_flights[child], last))
			break;
		link_flights[i] = link_flights[child];
		i = child;
	}
	link_flights[i] = last;
	return first;
}

static inline bool
link_send(void *context, struct tcp *tcp, const struct tcp_segment *segment)
{
	struct link_end *end = context;
	struct link_path *path = &end->path;
	unsigned copies = link_chance(path->repeat) ? 2 : 1;

	if (end->deaf)
		return false;
	if (segment->payload_length + segment->options_length > end->tcp.link_mss && segment->payload_length != 0)
		end->wrong = "larger than the link takes";
	if (link_verbose)
		printf("%8" PRIu64 " us  %u %s%s%s%s seq %" PRIu32 "+%u ack %" PRIu32 " win %u opt %u cwnd %" PRIu32
		       " flight %" PRIu32 " phase %u\n",
		       link_now_us, end->id, (segment->flags & TCP_SYN) != 0 ? "S" : "",
		       (segment->flags & TCP_FIN) != 0 ? "F" : "", (segment->flags & TCP_RST) != 0 ? "R" : "",
		       (segment->flags & TCP_ACK) != 0 ? "." : "", segment->seq, segment->payload_length, segment->ack,
		       segment->window, segment->options_length, tcp->congestion.window, tcp_flight(tcp),
		       tcp->rack.phase);
	if (path->mtu_mss != 0 && segment->payload_length + segment->options_length > path->mtu_mss) {
		path->lost++;
		return true;
	}
	for (; copies != 0; copies--) {
		uint64_t at_us;
		if (!link_pass(path, segment->payload_length + segment->options_length + LINK_HEADERS, &at_us) ||
		    link_n_flights == LINK_FLIGHTS_MAX) {
			path->lost++;
			continue;
		}
		path->passed++;
		struct link_flight *flight = malloc(sizeof(*flight));
		if (flight == NULL)
			abort();
		flight->at_us = at_us;
		flight->order = link_order++;
		flight->to = end->id ^ 1;
		flight->flags = segment->flags;
		flight->options_length = segment->options_length;
		flight->window = segment->window;
		flight->length = segment->payload_length;
		flight->seq = segment->seq;
		flight->ack = segment->ack;
		memcpy(flight->options, segment->options, segment->options_length);
		mbuf_queue_copy(segment->mbuf, segment->offset, flight->payload, segment->payload_length);
		link_push(flight);
	}
	return true;
}

static inline void
link_dropped(void *context, struct tcp *tcp, enum reason reason)
{
	struct link_end *end = context;

	(void)tcp;
	(void)reason;
	end->n_dropped++;
}

/* The segment as a frame in an mbuf, and what packet_parse would have said about it. */
static inline struct rte_mbuf *
link_frame(const struct link_flight *flight, struct packet *packet)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(link_pool);
	if (mbuf == NULL)
		return NULL;
	uint8_t *frame =
		(uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(LINK_HEADERS + flight->options_length + flight->length));
	memcpy(frame + LINK_HEADERS, flight->options, flight->options_length);
	memcpy(frame + LINK_HEADERS + flight->options_length, flight->payload, flight->length);
	*packet = (struct packet){
		.kind = PACKET_TCP,
		.v4 = true,
		.l3 = 14,
		.l4 = 34,
		.payload = (uint16_t)(LINK_HEADERS + flight->options_length),
		.l4_length = (uint16_t)(20 + flight->options_length + flight->length),
		.payload_length = flight->length,
		.window = flight->window,
		.flags = flight->flags,
		.options_length = flight->options_length,
		.seq = flight->seq,
		.ack = flight->ack,
	};
	return mbuf;
}

static inline void
link_note(struct link_end *end, unsigned events)
{
	end->events |= events;
	if ((events & TCP_CONNECTED) != 0)
		end->opened = true;
	if ((events & TCP_PEER_CLOSED) != 0)
		end->peer_closed = true;
	if ((events & TCP_FINISHED) != 0)
		end->finished = true;
	if ((events & (TCP_CLOSED | TCP_RESET | TCP_TIMED_OUT)) != 0)
		end->over = true;
	uint32_t flight = end->tcp.nxt - end->tcp.una, mbufs = tcp_mbufs(&end->tcp);
	if (flight > end->flight_max)
		end->flight_max = flight;
	if (mbufs > end->mbufs_max)
		end->mbufs_max = mbufs;
}

/* The application reads and compares, writes what there is room for, and closes when it has written all. */
static inline void
link_application(struct link_end *end)
{
	struct tcp *tcp = &end->tcp;
	struct mbuf_queue *received = tcp_received(tcp);
	uint8_t bytes[4096];
	bool took = false;

	uint32_t most = end->read_most == 0 ? UINT32_MAX : end->read_most;
	if (end->read_every > 1 && random_below(&link_seed, end->read_every) != 0)
		most = 0;
	while (received->bytes != 0 && most != 0) {
		uint32_t n = mbuf_queue_read(received, bytes, most < sizeof(bytes) ? most : (uint32_t)sizeof(bytes));
		for (uint32_t i = 0; i < n; i++)
			if (bytes[i] != link_noise(end->id ^ 1, end->read + i))
				end->wrong = "a byte isn't the one that was sent";
		end->read += n;
		most -= n;
		took = true;
	}
	if (end->read > link_ends[end->id ^ 1].written)
		end->wrong = "more than was sent";
	if (end->over)
		return;
	if (took)
		tcp_took(tcp, &end->env);
	while (!end->shut && end->written < end->to_write && tcp_room(tcp) != 0) {
		uint32_t n = sizeof(bytes);
		if (end->write_most != 0)
			n = 1 + random_below(&link_seed, end->write_most < n ? end->write_most : n);
		if (n > end->to_write - end->written)
			n = (uint32_t)(end->to_write - end->written);
		for (uint32_t i = 0; i < n; i++)
			bytes[i] = link_noise(end->id, end->written + i);
		struct mbuf_queue queue = {0};
		n = mbuf_queue_write(&queue, link_pool, bytes, n);
		if (n == 0)
			break;
		end->written += n;
		tcp_write(tcp, &end->env, &queue);
		if (end->write_most != 0)
			break;
	}
	if (!end->shut && end->written == end->to_write && end->to_write != UINT64_MAX) {
		end->shut = true;
		tcp_shut(tcp, &end->env);
	}
}

static inline void
link_clock(void)
{
	for (unsigned i = 0; i < 2; i++)
		link_ends[i].env.now_ms = (uint32_t)(link_now_us / 1000) + 4294960000u; /* it wraps soon */
}

static inline void
link_arrive(void)
{
	struct link_flight *flight = link_pop();
	struct link_end *end = &link_ends[flight->to];
	struct packet packet;

	struct rte_mbuf *mbuf = end->over ? NULL : link_frame(flight, &packet);
	free(flight);
	if (mbuf == NULL)
		return;
	link_note(end, tcp_input(&end->tcp, &end->env, &packet, mbuf));
	link_application(end);
}

/* Goes on to the next thing that happens, at limit_us at the latest. */
static inline void
link_step(uint64_t limit_us)
{
	uint64_t at = limit_us;
	bool arrives = link_n_flights != 0 && link_flights[0]->at_us < limit_us;

	if (arrives)
		at = link_flights[0]->at_us;
	for (unsigned i = 0; i < 2; i++) {
		struct link_end *end = &link_ends[i];
		uint32_t when;
		if (!tcp_next_ms(&end->tcp, &when))
			continue;
		int32_t wait = (int32_t)(when - end->env.now_ms);
		uint64_t due = wait <= 0 ? link_now_us : (link_now_us / 1000 + (uint32_t)wait) * 1000;
		if (due < at) {
			at = due;
			arrives = false;
		}
	}
	link_now_us = at > link_now_us ? at : link_now_us;
	link_clock();
	if (arrives) {
		link_arrive();
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct link_end *end = &link_ends[i];
		link_note(end, tcp_timer(&end->tcp, &end->env));
		link_application(end);
	}
}

static inline void
link_run(uint64_t until_us)
{
	while (link_now_us < until_us)
		link_step(until_us);
}

/* A fresh world; nothing is open. */
static inline void
link_begin(uint64_t seed)
{
	link_seed = seed;
	link_now_us = 1000000;
	link_order = 0;
	link_limits = tcp_limits_default;
	for (unsigned i = 0; i < 2; i++) {
		struct link_end *end = &link_ends[i];
		*end = (struct link_end){.id = i, .to_write = UINT64_MAX, .read_every = 1};
		end->env = (struct tcp_env){
			.limits = &link_limits,
			.pool = link_pool,
			.context = end,
			.send = link_send,
			.dropped = link_dropped,
		};
		end->path = (struct link_path){.delay_us = 5000};
	}
	link_clock();
}

static inline void
link_end_all(void)
{
	for (unsigned i = 0; i < 2; i++)
		tcp_free(&link_ends[i].tcp);
	while (link_n_flights != 0)
		free(link_flights[--link_n_flights]);
}

/* Terms that both ends are given; ISNs by the seed. */
struct link_terms {
	uint16_t mss[2], link_mss[2];
	uint8_t wscale[2];
	bool sack, timestamps;
	uint32_t iss[2];
};

static inline struct link_terms
link_usual(void)
{
	return (struct link_terms){
		.mss = {1460, 1460},
		.link_mss = {1460, 1460},
		.wscale = {7, 7},
		.sack = true,
		.timestamps = true,
		.iss = {(uint32_t)random_64(&link_seed), (uint32_t)random_64(&link_seed)},
	};
}

/* Both established at once, as if the handshake had been. */
static inline void
link_establish(const struct link_terms *terms)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned other = i ^ 1;
		struct mbuf_queue none = {0};
		struct tcp_accepted accepted = {
			.iss = terms->iss[i],
			.irs = terms->iss[other],
			.window = 65535,
			.offered = 65535,
			.peer_mss = terms->mss[other],
			.link_mss = terms->link_mss[i],
			.their_wscale = terms->wscale[0] == TCP_WSCALE_NONE ? TCP_WSCALE_NONE : terms->wscale[other],
			.our_wscale = terms->wscale[i],
			.sack = terms->sack,
			.timestamps = terms->timestamps,
			.ts_recent = link_ends[other].env.now_ms + terms->iss[other],
			.ts_offset = terms->iss[i],
		};
		tcp_open_accepted(&link_ends[i].tcp, &link_ends[i].env, &accepted, &none);
		link_ends[i].opened = true;
	}
	for (unsigned i = 0; i < 2; i++)
		link_application(&link_ends[i]);
}

static inline void
link_connect(unsigned i, const struct link_terms *terms)
{
	struct tcp_connect connect = {
		.iss = terms->iss[i],
		.ts_offset = terms->iss[i],
		.link_mss = terms->link_mss[i],
		.announced_mss = terms->mss[i],
		.default_mss = 536,
		.our_wscale = terms->wscale[i],
		.sack = terms->sack,
		.timestamps = terms->timestamps,
	};
	tcp_open_connect(&link_ends[i].tcp, &link_ends[i].env, &connect);
	link_application(&link_ends[i]);
}

#endif
