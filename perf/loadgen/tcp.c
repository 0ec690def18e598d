/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/tcp.h"

#include <arpa/inet.h>
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>
#include <string.h>

#include "perf/loadgen/link.h"
#include "perf/loadgen/memory.h"

enum {
	SYN_RTO_MS = 1000, /* RFC 6298 section 2.1 */
	RTO_MS = 300,      /* the round trip is short; Linux has 200 at least, and the peer's delayed ACK takes 40 */
	RTO_MAX_MS = 30000,
	ACK_DELAY_MS = 40,
	RETRIES_MAX = 7,
	CWND_FIRST = 10, /* RFC 6928 */
	CWND_MAX = 255,
	CWND_LEAST = 2,
	DUP_ACKS = 3,
	BURST_MAX = 64 /* segments of tcp_input that are prefetched together */
};

const char *const tcp_end_texts[TCP_ENDS] = {
#define X(name, text) text,
	TCP_END_LIST(X)
#undef X
};

static uint32_t
min_32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void
tcp_init(struct tcp *tcp, const struct tcp_config *config, const struct tcp_hooks *hooks,
	 struct link *const links[TCP_SIDES], const struct stream *const streams[TCP_SIDES], uint64_t secret,
	 uint32_t now_ms)
{
	tcp->config = *config;
	tcp->hooks = *hooks;
	tcp->secret = secret;
	tcp->now_ms = now_ms;
	tcp->conns = memory_zeroed((size_t)config->n_clients + config->n_servers, sizeof(struct conn));
	for (unsigned side = 0; side < TCP_SIDES; side++) {
		tcp->links[side] = links[side];
		tcp->streams[side] = streams[side];
	}
	lookup_init(&tcp->lookup, tcp->conns, config->n_clients, config->n_servers);
	timers_init(&tcp->timers, tcp->conns, (uint16_t)(now_ms / TIMERS_TICK_MS));
}

/* RFC 6528: keyed by who speaks, growing by the clock, so that a tuple's next connection begins above the last. */
static uint32_t
first_seq(const struct tcp *tcp, uint32_t hash)
{
	uint64_t x = (tcp->secret ^ hash) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(x >> 32) + tcp->now_ms * 250;
}

static void
timer_set(struct tcp *tcp, uint32_t index, uint32_t in_ms)
{
	timers_set(&tcp->timers, index, (uint16_t)((tcp->now_ms + in_ms) / TIMERS_TICK_MS + 1));
}

static void
timer_set_retransmission(struct tcp *tcp, uint32_t index)
{
	const struct conn *conn = &tcp->conns[index];
	uint32_t rto = conn->state == CONN_OPEN ? RTO_MS : SYN_RTO_MS;
	timer_set(tcp, index, min_32(rto << conn->retries, RTO_MAX_MS));
}

/* ---- Sending ---- */

static void
send_segment(struct tcp *tcp, uint32_t index, uint8_t flags, uint32_t seq, uint32_t length)
{
	struct conn *conn = &tcp->conns[index];
	enum tcp_side side = tcp_side(tcp, index);
	uint32_t window = tcp->config.receive_window;
	struct wire_out out = {
		.destination = conn->peer_addr,
		.destination_port = conn->peer_port,
		.seq = seq,
		.ack = (flags & WIRE_ACK) != 0 ? conn->rcv_nxt : 0,
		.window = (uint16_t)((flags & WIRE_SYN) != 0 ? min_32(window, 65535) : window >> TCP_WSCALE),
		.flags = flags,
		.timestamps = (conn->flags & CONN_TIMESTAMPS) != 0,
		.tsval = tcp->now_ms,
		.tsecr = conn->ts_recent,
		.mss = tcp->config.mss,
		.wscale = TCP_WSCALE,
		.length = length,
		.at = seq - conn->iss - 1,
		.stream = tcp->streams[side],
	};

	if (side == TCP_CLIENT) {
		out.source = htonl(tcp->config.client_first + index / TCP_PORTS_EACH);
		out.source_port = htons((uint16_t)(TCP_PORT_FIRST + index % TCP_PORTS_EACH));
		out.stamp = index;
	} else {
		out.source = htonl(tcp->config.server_first + conn->local);
		out.source_port = tcp->config.server_port;
		out.stamp = conn->began;
	}
	if ((flags & WIRE_ACK) != 0)
		conn->flags &= (uint8_t)~CONN_ACK_OWED;
	(void)wire_send(tcp->links[side], &out); /* one that isn't sent is one that was lost; the link counts it */
}

/* What is sent now may be the connection's last bytes: FIN with them, or by itself. */
static uint8_t
fin_flag(struct conn *conn, uint32_t end)
{
	if ((conn->flags & CONN_FIN_WANTED) == 0 || end != conn->goal)
		return 0;
	conn->flags |= CONN_FIN_SENT;
	return WIRE_FIN;
}

static void
send_new(struct tcp *tcp, uint32_t index)
{
	struct conn *conn = &tcp->conns[index];
	uint32_t room = min_32((uint32_t)conn->window << conn->wscale, (uint32_t)conn->cwnd * conn->mss);
	uint32_t limit = conn->una + room;

	while (seq_before(conn->nxt, conn->goal) && seq_before(conn->nxt, limit)) {
		uint32_t left = conn->goal - conn->nxt, length = min_32(min_32(left, conn->mss), limit - conn->nxt);
		/* No small segments because of a small window, while others are under way (RFC 9293, 3.8.6.2.1). */
		if (length < conn->mss && length < left && conn->nxt != conn->una)
			return;
		uint32_t seq = conn->nxt, end = seq + length;
		uint8_t flags = WIRE_ACK | (length == left ? WIRE_PSH : 0);
		uint8_t fin = fin_flag(conn, end);
		conn->nxt = end + (fin != 0);
		tcp->stats[tcp_side(tcp, index)].payload_out += length;
		send_segment(tcp, index, flags | fin, seq, length);
	}
	if ((conn->flags & (CONN_FIN_WANTED | CONN_FIN_SENT)) == CONN_FIN_WANTED && conn->nxt == conn->goal) {
		(void)fin_flag(conn, conn->goal);
		conn->nxt++;
		send_segment(tcp, index, WIRE_ACK | WIRE_FIN, conn->goal, 0);
	}
}

void
tcp_output(struct tcp *tcp, uint32_t index)
{
	struct conn *conn = &tcp->conns[index];
	uint32_t before = conn->nxt;

	if (conn->state != CONN_OPEN)
		return;
	if ((conn->flags & CONN_RECOVERING) == 0)
		send_new(tcp, index);
	if (conn->nxt != before || (seq_before(conn->una, conn->goal) && (conn->flags & CONN_TIMER_SET) == 0))
		timer_set_retransmission(tcp, index);
}

/* The first segment that isn't acknowledged, again; of a window that was shut, a byte to see whether it is. */
static void
send_again(struct tcp *tcp, uint32_t index)
{
	struct conn *conn = &tcp->conns[index];
	struct tcp_stats *stats = &tcp->stats[tcp_side(tcp, index)];

	if (conn->state == CONN_SYN_SENT || conn->state == CONN_SYN_RECEIVED) {
		stats->retransmitted++;
		send_segment(tcp, index, conn->state == CONN_SYN_SENT ? WIRE_SYN : WIRE_SYN | WIRE_ACK, conn->iss, 0);
		return;
	}
	uint32_t fin = (conn->flags & CONN_FIN_SENT) != 0, sent = conn->nxt - fin - conn->una;
	if (sent == 0 && fin == 0) {
		sent = 1;
		conn->nxt = conn->una + 1;
		stats->payload_out++;
	} else {
		stats->retransmitted++;
	}
	uint32_t length = min_32(sent, conn->mss);
	uint8_t flags = WIRE_ACK | WIRE_PSH | (fin != 0 && conn->una + length == conn->goal ? WIRE_FIN : 0);
	send_segment(tcp, index, flags, conn->una, length);
}

static void
send_ack(struct tcp *tcp, uint32_t index)
{
	send_segment(tcp, index, WIRE_ACK, tcp->conns[index].nxt, 0);
}

/* ---- Beginning and end ---- */

static void
begin(struct tcp *tcp, uint32_t index, enum conn_state state, uint32_t iss)
{
	struct conn *conn = &tcp->conns[index];

	conn->state = (uint8_t)state & 7;
	conn->dup_acks = conn->heard = conn->asked = 0;
	conn->slow_start = 1;
	conn->flags = conn->flags & CONN_TIMER_ENTERED;
	if (tcp->config.timestamps)
		conn->flags |= CONN_TIMESTAMPS;
	conn->cwnd = CWND_FIRST;
	conn->wscale = conn->retries = 0;
	conn->mss = tcp->config.mss;
	conn->window = 0;
	conn->iss = conn->una = iss;
	conn->nxt = conn->goal = iss + 1;
	conn->irs = conn->rcv_nxt = conn->rcv_goal = conn->ts_recent = 0;
}

static void
end(struct tcp *tcp, uint32_t index, enum tcp_end why)
{
	struct conn *conn = &tcp->conns[index];

	tcp->stats[tcp_side(tcp, index)].ends[why]++;
	timers_clear(&tcp->timers, index);
	conn->state = CONN_CLOSED;
	tcp->hooks.ended(tcp->hooks.context, index, why);
	if (tcp_side(tcp, index) == TCP_SERVER)
		lookup_remove(&tcp->lookup, index);
}

void
tcp_connect(struct tcp *tcp, uint32_t index)
{
	struct conn *conn = &tcp->conns[index];

	begin(tcp, index, CONN_SYN_SENT, first_seq(tcp, index));
	conn->peer_addr = tcp->config.target;
	conn->peer_port = tcp->config.target_port;
	send_segment(tcp, index, WIRE_SYN, conn->iss, 0);
	timer_set_retransmission(tcp, index);
}

void
tcp_close(struct tcp *tcp, uint32_t index)
{
	tcp->conns[index].flags |= CONN_FIN_WANTED;
	tcp_output(tcp, index);
}

void
tcp_abort(struct tcp *tcp, uint32_t index, enum tcp_end why)
{
	const struct conn *conn = &tcp->conns[index];

	if (conn->state == CONN_CLOSED)
		return;
	if (conn->state != CONN_SYN_SENT) {
		tcp->stats[tcp_side(tcp, index)].resets_sent++;
		send_segment(tcp, index, WIRE_RST | WIRE_ACK, conn->nxt, 0);
	}
	end(tcp, index, why);
}

/* ---- Receiving ---- */

/* Answers a segment of no connection from its own numbers (RFC 9293 section 3.10.7.1): a FIN, which is one repeated
 * because our last ACK was lost, by an ACK; what belongs to a client's last connection not at all, as in TIME-WAIT; the
 * rest by RST. */
static void
answer_stray(struct tcp *tcp, enum tcp_side side, const struct segment *segment, const struct conn *last)
{
	uint32_t end = segment->seq + segment->length + ((segment->flags & (WIRE_SYN | WIRE_FIN)) != 0);
	struct wire_out out = {
		.source = segment->destination,
		.destination = segment->source,
		.source_port = segment->destination_port,
		.destination_port = segment->source_port,
		.seq = segment->ack,
		.ack = end,
	};

	tcp->stats[side].strays++;
	if ((segment->flags & WIRE_RST) != 0)
		return;
	if ((segment->flags & (WIRE_SYN | WIRE_FIN | WIRE_ACK)) == (WIRE_FIN | WIRE_ACK)) {
		out.flags = WIRE_ACK;
		out.window = (uint16_t)(tcp->config.receive_window >> TCP_WSCALE);
		out.timestamps = segment->timestamps;
		out.tsval = tcp->now_ms;
		out.tsecr = segment->tsval;
	} else if (last != NULL && (segment->flags & WIRE_SYN) == 0 && !seq_before(last->rcv_nxt, end)) {
		return;
	} else if ((segment->flags & WIRE_ACK) != 0) {
		out.flags = WIRE_RST;
		out.ack = 0;
	} else {
		out.flags = WIRE_RST | WIRE_ACK;
		out.seq = 0;
	}
	tcp->stats[side].resets_sent += (out.flags & WIRE_RST) != 0;
	(void)wire_send(tcp->links[side], &out);
}

/* What the other end's SYN says. */
static void
learn(struct tcp *tcp, struct conn *conn, const struct segment *segment)
{
	conn->irs = segment->seq;
	conn->rcv_nxt = segment->seq + 1;
	conn->wscale = segment->wscale & 15;
	conn->window = segment->window >> conn->wscale; /* that of a SYN isn't scaled */
	if (!segment->timestamps)
		conn->flags &= (uint8_t)~CONN_TIMESTAMPS;
	conn->ts_recent = segment->tsval;
	uint32_t mss = min_32(segment->mss, tcp->config.mss);
	conn->mss = (uint16_t)(mss - ((conn->flags & CONN_TIMESTAMPS) != 0 ? WIRE_TIMESTAMPS : 0));
}

static void
input_syn(struct tcp *tcp, const struct segment *segment, uint32_t hash)
{
	uint32_t local = ntohl(segment->destination) - tcp->config.server_first, index = LOOKUP_NONE;

	if (local < tcp->config.n_server_addresses && segment->destination_port == tcp->config.server_port)
		index = lookup_add(&tcp->lookup, hash, segment->source, segment->source_port, (uint16_t)local);
	if (index == LOOKUP_NONE) {
		answer_stray(tcp, TCP_SERVER, segment, NULL);
		return;
	}
	struct conn *conn = &tcp->conns[index];
	begin(tcp, index, CONN_SYN_RECEIVED, first_seq(tcp, hash));
	conn->began = 0;
	learn(tcp, conn, segment);
	send_segment(tcp, index, WIRE_SYN | WIRE_ACK, conn->iss, 0);
	timer_set_retransmission(tcp, index);
}

static void
input_syn_sent(struct tcp *tcp, uint32_t index, const struct segment *segment)
{
	struct conn *conn = &tcp->conns[index];
	bool right = (segment->flags & WIRE_ACK) != 0 && segment->ack == conn->nxt;

	if ((segment->flags & WIRE_RST) != 0) {
		if (right)
			end(tcp, index, TCP_END_REFUSED);
		return;
	}
	if (!right || (segment->flags & WIRE_SYN) == 0) {
		if (!right && (segment->flags & WIRE_ACK) != 0)
			answer_stray(tcp, TCP_CLIENT, segment, NULL);
		return;
	}
	learn(tcp, conn, segment);
	conn->una = segment->ack;
	conn->retries = 0;
	conn->state = CONN_OPEN;
	timers_clear(&tcp->timers, index);
	/* The kernel's ACK, and then the application's first bytes, as a client's system does it. */
	send_ack(tcp, index);
	tcp->hooks.opened(tcp->hooks.context, index);
}

static void
grow(struct conn *conn)
{
	if (conn->cwnd == CWND_MAX)
		return;
	/* Above the first loss one segment more for each window: for one ACK in cwnd of them, picked by its number. */
	if (conn->slow_start || (conn->una * 2654435769u >> 16) % conn->cwnd == 0)
		conn->cwnd++;
}

static void
lost(struct conn *conn, bool by_time)
{
	conn->cwnd = by_time ? 1 : conn->cwnd / 2;
	if (conn->cwnd < CWND_LEAST && !by_time)
		conn->cwnd = CWND_LEAST;
	conn->slow_start = by_time;
	conn->flags |= CONN_RECOVERING;
}

/* An endless stream's end stays as far ahead as it was (play.c). */
static void
move_endless(struct conn *conn, uint32_t acked)
{
	if (!seq_before(conn->goal, conn->una + (UINT32_C(1) << 29)))
		conn->goal += acked;
}

static void
input_ack(struct tcp *tcp, uint32_t index, const struct segment *segment)
{
	struct conn *conn = &tcp->conns[index];

	if (seq_before(conn->nxt, segment->ack) || seq_before(segment->ack, conn->una))
		return;
	if (segment->ack != conn->una) {
		uint32_t acked = segment->ack - conn->una;
		conn->una = segment->ack;
		conn->window = segment->window;
		conn->retries = 0;
		conn->dup_acks = 0;
		move_endless(conn, acked);
		if (conn->una == conn->nxt) {
			conn->flags &= (uint8_t)~CONN_RECOVERING;
			timers_clear(&tcp->timers, index);
		} else {
			timer_set_retransmission(tcp, index);
			if ((conn->flags & CONN_RECOVERING) != 0)
				send_again(tcp, index);
		}
		if ((conn->flags & CONN_RECOVERING) == 0)
			grow(conn);
		return;
	}
	bool repeated = conn->una != conn->nxt && segment->length == 0 && (segment->flags & WIRE_FIN) == 0 &&
			segment->window == conn->window;
	conn->window = segment->window;
	if (!repeated || (conn->flags & CONN_RECOVERING) != 0 || ++conn->dup_acks != DUP_ACKS)
		return;
	conn->dup_acks = 0;
	lost(conn, false);
	send_again(tcp, index);
}

/* Takes the payload in. False: the connection is gone. */
static bool
input_payload(struct tcp *tcp, uint32_t index, const struct segment *segment)
{
	struct conn *conn = &tcp->conns[index];
	enum tcp_side side = tcp_side(tcp, index);
	uint32_t skip = conn->rcv_nxt - segment->seq, length = segment->length - skip;
	const uint8_t *bytes = segment->payload + skip;
	uint32_t at = conn->rcv_nxt - conn->irs - 1, stamp = index;

	/* A server doesn't know who speaks until the hello has said it; nothing is checked until then. */
	bool known = true;
	if (side == TCP_SERVER) {
		if (at < STREAM_STAMP_END)
			known = stream_take_stamp(at, bytes, length, &conn->began) && at == 0;
		stamp = conn->began;
	}
	if (known && !stream_check(tcp->streams[side ^ 1], stamp, at, bytes, length, tcp->config.verify_all)) {
		tcp_abort(tcp, index, TCP_END_WRONG_BYTES);
		return false;
	}
	conn->rcv_nxt += length;
	tcp->stats[side].payload_in += length;
	return true;
}

/* Data and FIN, in order or not. Returns whether an ACK that is owed must go out at once; *gone: the connection ended.
 */
static bool
input_data(struct tcp *tcp, uint32_t index, const struct segment *segment, bool *gone)
{
	struct conn *conn = &tcp->conns[index];
	struct tcp_stats *stats = &tcp->stats[tcp_side(tcp, index)];
	uint32_t fin = segment->flags & WIRE_FIN, end = segment->seq + segment->length + fin;

	if (segment->length + fin == 0) {
		/* A keep-alive, or a probe of ours that crossed. */
		conn->flags |= seq_before(segment->seq, conn->rcv_nxt) ? CONN_ACK_OWED : 0;
		return true;
	}
	bool second = (conn->flags & CONN_ACK_OWED) != 0;
	conn->flags |= CONN_ACK_OWED;
	if (seq_before(conn->rcv_nxt, segment->seq)) {
		stats->out_of_order++;
		return true;
	}
	if (!seq_before(conn->rcv_nxt, end)) {
		stats->duplicates++;
		return true;
	}
	if (segment->timestamps)
		conn->ts_recent = segment->tsval;
	if (segment->length != 0 && seq_before(conn->rcv_nxt, end - fin) && !input_payload(tcp, index, segment)) {
		*gone = true;
		return false;
	}
	if (fin != 0) {
		conn->rcv_nxt++;
		conn->flags |= CONN_FIN_RECEIVED;
		return true;
	}
	return second;
}

/* Whether all that was awaited is here, FIN left out. */
static bool
has_reached(const struct conn *conn)
{
	return !seq_before(conn->rcv_nxt - ((conn->flags & CONN_FIN_RECEIVED) != 0), conn->rcv_goal);
}

static bool
both_closed(const struct conn *conn)
{
	return (conn->flags & (CONN_FIN_SENT | CONN_FIN_RECEIVED)) == (CONN_FIN_SENT | CONN_FIN_RECEIVED) &&
	       conn->una == conn->goal + 1;
}

static void
input_open(struct tcp *tcp, uint32_t index, const struct segment *segment)
{
	struct conn *conn = &tcp->conns[index];
	bool gone = false, closed_before = (conn->flags & CONN_FIN_RECEIVED) != 0;
	bool reached_before = has_reached(conn);

	input_ack(tcp, index, segment);
	bool ack_now = input_data(tcp, index, segment, &gone);
	if (gone)
		return;
	if (!reached_before && has_reached(conn))
		tcp->hooks.reached(tcp->hooks.context, index);
	if (conn->state == CONN_OPEN && !closed_before && (conn->flags & CONN_FIN_RECEIVED) != 0)
		tcp->hooks.peer_closed(tcp->hooks.context, index);
	if (conn->state != CONN_OPEN)
		return;

	tcp_output(tcp, index);
	/* Still owed when nothing went out that carried it. */
	if ((conn->flags & CONN_ACK_OWED) != 0) {
		if (ack_now)
			send_ack(tcp, index);
		else if ((conn->flags & CONN_TIMER_SET) == 0)
			timer_set(tcp, index, ACK_DELAY_MS);
	}
	if (both_closed(conn))
		end(tcp, index, TCP_END_FINISHED);
}

static void
input_conn(struct tcp *tcp, uint32_t index, const struct segment *segment)
{
	struct conn *conn = &tcp->conns[index];

	if (conn->state == CONN_SYN_SENT) {
		input_syn_sent(tcp, index, segment);
		return;
	}
	if (unlikely((segment->flags & WIRE_RST) != 0)) {
		/* RFC 5961 section 3.2. */
		if (segment->seq == conn->rcv_nxt)
			end(tcp, index, TCP_END_RESET);
		return;
	}
	if (unlikely((segment->flags & WIRE_SYN) != 0)) {
		if (conn->state == CONN_SYN_RECEIVED && segment->seq == conn->irs)
			send_again(tcp, index);
		else
			send_ack(tcp, index); /* RFC 5961 section 4.2 */
		return;
	}
	if ((segment->flags & WIRE_ACK) == 0)
		return;
	if (conn->state == CONN_SYN_RECEIVED) {
		if (segment->ack != conn->nxt) {
			answer_stray(tcp, TCP_SERVER, segment, NULL);
			return;
		}
		conn->state = CONN_OPEN;
		conn->una = segment->ack;
		conn->window = segment->window;
		conn->retries = 0;
		timers_clear(&tcp->timers, index);
		tcp->hooks.opened(tcp->hooks.context, index);
	}
	input_open(tcp, index, segment);
}

/* ---- Finding the connection: three passes over a burst, so that what isn't in the cache is fetched meanwhile ---- */

static uint32_t
client_index(const struct tcp *tcp, const struct segment *segment)
{
	uint32_t address = ntohl(segment->destination) - tcp->config.client_first;
	uint32_t port = (uint32_t)ntohs(segment->destination_port) - TCP_PORT_FIRST;
	uint32_t index = address * TCP_PORTS_EACH + port;

	if (address >= tcp->config.n_client_addresses || port >= TCP_PORTS_EACH || index >= tcp->config.n_clients ||
	    segment->source != tcp->config.target || segment->source_port != tcp->config.target_port)
		return LOOKUP_NONE;
	return index;
}

static void
input_client(struct tcp *tcp, uint32_t index, const struct segment *segment)
{
	if (index == LOOKUP_NONE)
		answer_stray(tcp, TCP_CLIENT, segment, NULL);
	else if (tcp->conns[index].state == CONN_CLOSED)
		answer_stray(tcp, TCP_CLIENT, segment, &tcp->conns[index]);
	else
		input_conn(tcp, index, segment);
}

static void
input_server(struct tcp *tcp, uint32_t hash, const struct segment *segment)
{
	uint16_t local = (uint16_t)(ntohl(segment->destination) - tcp->config.server_first);
	uint32_t index = lookup_find(&tcp->lookup, hash, segment->source, segment->source_port, local);

	if (index != LOOKUP_NONE)
		input_conn(tcp, index, segment);
	else if ((segment->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST)) == WIRE_SYN)
		input_syn(tcp, segment, hash);
	else
		answer_stray(tcp, TCP_SERVER, segment, NULL);
}

static void
input_burst(struct tcp *tcp, enum tcp_side side, const struct segment *segments, uint32_t n)
{
	uint32_t keys[BURST_MAX]; /* a client's index; a server's hash */

	for (uint32_t i = 0; i < n; i++) {
		const struct segment *segment = &segments[i];
		if (side == TCP_CLIENT) {
			keys[i] = client_index(tcp, segment);
			if (keys[i] != LOOKUP_NONE)
				rte_prefetch0(&tcp->conns[keys[i]]);
		} else {
			keys[i] = lookup_hash(segment->source, segment->source_port,
					      (uint16_t)(ntohl(segment->destination) - tcp->config.server_first));
			lookup_prefetch(&tcp->lookup, keys[i]);
		}
	}
	for (uint32_t i = 0; i < n && side == TCP_SERVER; i++) {
		uint32_t guess = lookup_guess(&tcp->lookup, keys[i]);
		if (guess != LOOKUP_NONE)
			rte_prefetch0(&tcp->conns[guess]);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (side == TCP_CLIENT)
			input_client(tcp, keys[i], &segments[i]);
		else
			input_server(tcp, keys[i], &segments[i]);
	}
}

void
tcp_input(struct tcp *tcp, enum tcp_side side, const struct segment *segments, uint32_t n)
{
	tcp->stats[side].segments_in += n;
	for (uint32_t i = 0; i < n; i += BURST_MAX)
		input_burst(tcp, side, segments + i, min_32(n - i, BURST_MAX));
}

/* ---- Time ---- */

static void
fire(void *context, uint32_t index)
{
	struct tcp *tcp = context;
	struct conn *conn = &tcp->conns[index];

	if (conn->state == CONN_CLOSED)
		return;
	bool waiting = conn->una != conn->nxt || (conn->state == CONN_OPEN && seq_before(conn->nxt, conn->goal));
	if ((conn->flags & CONN_ACK_OWED) != 0) {
		send_ack(tcp, index);
		if (waiting)
			timer_set_retransmission(tcp, index);
		return;
	}
	if (!waiting)
		return;
	if (conn->retries == RETRIES_MAX) {
		tcp_abort(tcp, index, conn->state == CONN_SYN_SENT ? TCP_END_NO_SYN_ACK : TCP_END_TIMED_OUT);
		return;
	}
	conn->retries++;
	if (conn->state == CONN_OPEN && conn->una != conn->nxt)
		lost(conn, true);
	send_again(tcp, index);
	timer_set_retransmission(tcp, index);
}

void
tcp_time(struct tcp *tcp, uint32_t now_ms)
{
	tcp->now_ms = now_ms;
	timers_run(&tcp->timers, (uint16_t)(now_ms / TIMERS_TICK_MS), fire, tcp);
}
