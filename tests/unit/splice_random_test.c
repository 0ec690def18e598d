/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of random peers over a network that loses, repeats and reorders: both byte streams must arrive as they
 * were sent.
 *
 * The peers are go-back-N TCPs that know nothing of what is between them: they take what comes in order, acknowledge
 * everything, and begin again at the oldest unacknowledged byte when it isn't acknowledged in time. A receiver is
 * strict: a segment larger than its MSS, an acknowledgment of what it never sent, an echo of a timestamp still to come,
 * a RST are failures; what PAWS (RFC 7323) tells to drop is dropped. The seed decides everything.
 */
#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 500 }; /* six times slower */
#else
enum { SEEDS = 3000 };
#endif

enum { STREAM_MAX = 6000, FLIGHTS_MAX = 512, STEP_MS = 5, RTO_MS = 250, LIMIT_MS = 120000, SEGMENTS_IN_FLIGHT = 10 };

/* One end. Sequence numbers are offsets from its own ISN, in 32 bits: 0 is its SYN, 1 its first byte. */
struct peer {
	struct ip_addr addr, gate;
	uint16_t port, gate_port;
	unsigned device;
	uint32_t isn, their_isn;
	bool connected, heard_syn, timestamps, scales, sees_fin;
	struct tcp_options offer;
	uint16_t mss;                  /* largest payload and options that it takes */
	uint32_t window, their_window; /* bytes */
	uint8_t their_scale;
	uint32_t una, next, max; /* oldest unacknowledged, next to send, beyond all that was sent */
	uint32_t expected;       /* of the other's numbers: the next */
	uint32_t ts_base, ts_recent, timer_ms;
	uint16_t largest; /* payload it sends in a segment */
	uint8_t sends[STREAM_MAX], gets[STREAM_MAX];
	uint32_t length, got;
};

/* A segment on its way: to the gateway, or from it to the peer on device. */
struct flight {
	struct segment segment;
	uint8_t payload[RIG_FRAME];
	unsigned device;
	bool to_gateway;
	uint32_t at_ms;
};

static struct rig rig;
static struct peer peers[LEG_COUNT];
static struct flight flights[FLIGHTS_MAX];
static unsigned n_flights;
static uint64_t seed;
static uint32_t now_ms, loss, repeat, jitter_ms; /* loss, repeat: in 1024ths */
static const char *failure;

static void
launch(const struct segment *segment, unsigned device, bool to_gateway)
{
	unsigned copies = random_below(&seed, 1024) < loss ? 0 : random_below(&seed, 1024) < repeat ? 2 : 1;

	for (; copies != 0 && n_flights < FLIGHTS_MAX; copies--) {
		struct flight *flight = &flights[n_flights++];
		*flight = (struct flight){.segment = *segment,
					  .device = device,
					  .to_gateway = to_gateway,
					  .at_ms = now_ms + random_below(&seed, jitter_ms)};
		memcpy(flight->payload, segment->payload, segment->payload_length);
	}
}

static void
send_segment(struct peer *peer, uint8_t flags, uint32_t at, uint16_t length)
{
	struct tcp_options options = {.wscale = TCP_WSCALE_NONE};
	bool syn = (flags & TCP_SYN) != 0;
	struct segment segment = {
		.source = peer->addr,
		.destination = peer->gate,
		.source_port = peer->port,
		.destination_port = peer->gate_port,
		.seq = peer->isn + at,
		.ack = (flags & TCP_ACK) != 0 ? peer->their_isn + peer->expected : 0,
		.flags = flags,
		.payload = peer->sends + at - 1,
		.payload_length = length,
	};
	uint32_t window = peer->window >> (peer->scales && !syn ? peer->offer.wscale : 0);
	segment.window = (uint16_t)(window < UINT16_MAX ? window : UINT16_MAX);
	if (syn)
		options = peer->offer;
	options.timestamps = peer->timestamps;
	options.tsval = peer->ts_base + now_ms;
	options.tsecr = peer->ts_recent;
	segment.options_length = tcp_options_write(&options, segment.options);
	uint32_t end = at + length + syn + ((flags & TCP_FIN) != 0);
	if ((int32_t)(end - peer->max) > 0)
		peer->max = end;
	launch(&segment, peer->device, true);
}

/* What may go out now. */
static void
push(struct peer *peer)
{
	uint32_t fin_at = 1 + peer->length, room = peer->their_window;

	if (!peer->connected)
		return;
	if (room > (uint32_t)SEGMENTS_IN_FLIGHT * peer->largest)
		room = (uint32_t)SEGMENTS_IN_FLIGHT * peer->largest;
	while (peer->next <= fin_at && peer->next < peer->una + room) {
		uint32_t left = fin_at - peer->next, limit = peer->una + room - peer->next;
		uint16_t length = 1 + (uint16_t)random_below(&seed, peer->largest);
		if (length > left)
			length = (uint16_t)left;
		if (length > limit)
			length = (uint16_t)limit;
		bool fin = length == left;
		send_segment(peer, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0)), peer->next, length);
		peer->next += length + fin;
	}
}

static void
timer(struct peer *peer)
{
	if (peer->una == peer->max || now_ms < peer->timer_ms)
		return;
	peer->timer_ms = now_ms + RTO_MS;
	if (peer->una == 0) {
		send_segment(peer, (uint8_t)(TCP_SYN | (peer->heard_syn ? TCP_ACK : 0)), 0, 0);
		return;
	}
	peer->next = peer->una;
	push(peer);
}

/* A SYN, or SYN-ACK: what was agreed. */
static void
hear_syn(struct peer *peer, const struct segment *segment, const struct tcp_options *theirs)
{
	peer->heard_syn = true;
	peer->their_isn = segment->seq;
	peer->expected = 1;
	peer->gate_port = segment->source_port;
	peer->scales = peer->offer.wscale != TCP_WSCALE_NONE && theirs->wscale != TCP_WSCALE_NONE;
	peer->their_scale = peer->scales ? theirs->wscale : 0;
	if (!peer->scales)
		peer->offer.wscale = TCP_WSCALE_NONE;
	peer->timestamps = peer->timestamps && theirs->timestamps;
	peer->offer.sack_permitted = peer->offer.sack_permitted && theirs->sack_permitted;
	peer->ts_recent = theirs->tsval;
	uint16_t mss = theirs->mss != 0 ? theirs->mss : 536;
	if (peer->largest > mss - 12)
		peer->largest = (uint16_t)(mss - 12);
}

/* Data in order is taken, up to the part that is new. True when the segment took up any of the sequence space. */
static bool
take(struct peer *peer, const struct segment *segment)
{
	uint32_t at = segment->seq - peer->their_isn, skip = peer->expected - at;
	bool fin = (segment->flags & TCP_FIN) != 0;

	if (segment->payload_length == 0 && !fin)
		return false;
	if (skip > segment->payload_length)
		return true; /* out of order, or old */
	uint32_t fresh = segment->payload_length - skip;
	if (peer->got + fresh > STREAM_MAX || (peer->sees_fin && fresh != 0)) {
		failure = "more than was sent";
		return true;
	}
	memcpy(peer->gets + peer->got, segment->payload + skip, fresh);
	peer->got += fresh;
	peer->expected += fresh + (fin && !peer->sees_fin);
	peer->sees_fin = peer->sees_fin || fin;
	return true;
}

static void
hear(struct peer *peer, const struct segment *segment)
{
	struct tcp_options theirs;
	bool syn = (segment->flags & TCP_SYN) != 0;

	if (!tcp_options_parse(segment->options, segment->options_length, syn, &theirs))
		failure = "malformed options";
	if ((segment->flags & TCP_RST) != 0)
		failure = "a RST";
	if (segment->payload_length != 0 && segment->payload_length + segment->options_length > peer->mss)
		failure = "larger than its MSS";
	if ((segment->flags & TCP_ACK) != 0 && (int32_t)(segment->ack - peer->isn - peer->max) > 0)
		failure = "acknowledges what was never sent";
	if (!syn && theirs.timestamps != peer->timestamps && (theirs.timestamps || segment->payload_length != 0))
		failure = "a timestamp too many or too few";
	/* 0 as an answer to a SYN-ACK is no echo (dial.h). */
	bool echoes = theirs.timestamps && (segment->flags & TCP_ACK) != 0 &&
		      !(theirs.tsecr == 0 && segment->ack == peer->isn + 1);
	if (echoes && (int32_t)(theirs.tsecr - peer->ts_base - now_ms) > 0)
		failure = "echoes a timestamp still to come";
	if (failure != NULL)
		return;
	if (syn && !peer->heard_syn) {
		hear_syn(peer, segment, &theirs);
		peer->their_window = segment->window;
	}
	if (syn && (segment->flags & TCP_ACK) == 0) {
		send_segment(peer, TCP_SYN | TCP_ACK, 0, 0);
		peer->timer_ms = now_ms + RTO_MS;
		return;
	}
	if (syn && peer->una != 0) {
		send_segment(peer, TCP_ACK, peer->next, 0); /* our ACK of it was lost */
		return;
	}
	/* Challenges to a SYN have no timestamp, and are dropped for it by all but who really began anew. */
	if (!syn && peer->timestamps && (!theirs.timestamps || (int32_t)(theirs.tsval - peer->ts_recent) < 0))
		return; /* PAWS */
	uint32_t ack = segment->ack - peer->isn;
	if (ack > peer->una) {
		peer->una = ack;
		peer->timer_ms = now_ms + RTO_MS;
		if (peer->next < ack)
			peer->next = ack;
	}
	if (!syn && ack >= peer->una)
		peer->their_window = (uint32_t)segment->window << peer->their_scale;
	peer->connected = peer->una != 0;
	if (peer->timestamps && segment->seq - peer->their_isn <= peer->expected)
		peer->ts_recent = theirs.tsval;
	if (take(peer, segment) || syn)
		send_segment(peer, TCP_ACK, peer->next, 0);
	push(peer);
}

static bool
is_done(const struct peer *peer)
{
	return peer->connected && peer->una == peer->length + 2 && peer->sees_fin;
}

static void
make_peer(unsigned leg, bool v6)
{
	struct peer *peer = &peers[leg];
	bool client = leg == LEG_CLIENT;
	static const uint16_t sizes[] = {300, 536, 1220, 1360, 1460};

	*peer = (struct peer){
		.addr = rig_addr(client ? (v6 ? "2001:db8:1::2" : "192.0.2.2")
					: (v6 ? "2001:db8:2::10" : "198.51.100.10")),
		.gate = rig_addr(client ? (v6 ? "2001:db8:1::1" : "192.0.2.1")
					: (v6 ? "2001:db8:2::1" : "198.51.100.1")),
		.port = client ? (uint16_t)(1024 + random_below(&seed, 60000)) : 8443,
		.gate_port = 443,
		.device = client ? RIG_WAN : RIG_LAN,
		.isn = (uint32_t)random_64(&seed),
		.mss = sizes[random_below(&seed, 5)],
		.window = 2000 + random_below(&seed, random_below(&seed, 2) != 0 ? 63000 : 1000000),
		.timestamps = random_below(&seed, 4) != 0,
		.ts_base = (uint32_t)random_64(&seed),
		.length = 1 + random_below(&seed, STREAM_MAX),
	};
	peer->offer = (struct tcp_options){
		.mss = peer->mss,
		.wscale = random_below(&seed, 4) != 0 ? (uint8_t)random_below(&seed, 9) : TCP_WSCALE_NONE,
		.sack_permitted = random_below(&seed, 2) != 0,
	};
	peer->largest = (uint16_t)(1 + random_below(&seed, 1440));
	if (peer->length > 60u * peer->largest)
		peer->length = 60u * peer->largest;
	random_fill(&seed, peer->sends, peer->length);
}

/* All that the gateway has sent is on its way. */
static void
collect(void)
{
	uint8_t frame[RIG_FRAME];
	struct segment segment;

	for (unsigned device = 0; device < RIG_DEVICES; device++)
		while (rig_next(&rig, device, &segment, frame))
			launch(&segment, device, false);
}

static void
land(void)
{
	for (unsigned i = 0; i < n_flights;) {
		if (flights[i].at_ms > now_ms) {
			i++;
			continue;
		}
		static struct flight flight;
		flight = flights[i];
		flight.segment.payload = flight.payload;
		flights[i] = flights[--n_flights];
		if (!flight.to_gateway) {
			hear(&peers[flight.device], &flight.segment);
			continue;
		}
		rig.receiver = random_below(&seed, rig.n_workers);
		rig_receive(&rig, flight.device, &flight.segment);
		collect();
	}
}

/* One connection from its SYN to nothing left of it. */
static void
run(uint64_t from)
{
	seed = from;
	failure = NULL;
	n_flights = 0;
	now_ms = 0;
	loss = random_below(&seed, 3) != 0 ? random_below(&seed, 150) : 0;
	repeat = random_below(&seed, 100);
	jitter_ms = 1 + random_below(&seed, 60);
	unsigned family = random_below(&seed, 4);
	rig_open_workers(&rig, 1 + random_below(&seed, 3), 64, 4096);
	make_peer(LEG_CLIENT, family & 1);
	make_peer(LEG_ENDPOINT, family >> 1);
	/* Endpoints without timestamps are known as such, or the connection would have to be refused. */
	rig.offer.timestamps = peers[LEG_ENDPOINT].timestamps;
	rig.offer.sack = random_below(&seed, 2) != 0;
	rig.offer.mss = peers[LEG_ENDPOINT].mss;
	rig.dials[0].addr = peers[LEG_ENDPOINT].addr;
	rig.dials[0].connect_timeout_ms = 60000;
	rig.hello_length = 1 + random_below(&seed, peers[LEG_CLIENT].length < 3000 ? peers[LEG_CLIENT].length : 3000);
	rig.conf.flow.hello_timeout_ms = 60000;
	rig.conf.flow.close_linger_ms = 3000;

	send_segment(&peers[LEG_CLIENT], TCP_SYN, 0, 0);
	peers[LEG_CLIENT].timer_ms = RTO_MS;
	while (failure == NULL && !(is_done(&peers[LEG_CLIENT]) && is_done(&peers[LEG_ENDPOINT]))) {
		now_ms += STEP_MS;
		rig_advance(&rig, STEP_MS);
		collect();
		land();
		for (unsigned leg = 0; leg < LEG_COUNT; leg++)
			timer(&peers[leg]);
		if (now_ms > LIMIT_MS)
			failure = "no end";
	}
	for (unsigned leg = 0; leg < LEG_COUNT && failure == NULL; leg++) {
		const struct peer *to = &peers[leg], *of = &peers[leg_other(leg)];
		if (to->got != of->length || memcmp(to->gets, of->sends, to->got) != 0)
			failure = "another stream arrived";
	}
	rig_advance(&rig, 3016);
	if (failure == NULL && !rig_is_empty(&rig))
		failure = "something is left of it";
	uint64_t closed = 0;
	for (unsigned i = 0; i < rig.n_workers; i++)
		closed += rig.all_stats[i].reasons[REASON_CLOSED];
	if (failure == NULL && closed != 1)
		failure = "it didn't end as closed";
	if (rig_close(&rig) != 0 && failure == NULL)
		failure = "packet buffers were lost";
}

static void
test_streams_arrive(void)
{
	unsigned failures = 0;

	for (uint64_t from = 1; from <= SEEDS; from++) {
		run(from);
		if (failure == NULL)
			continue;
		failures++;
		fprintf(stderr, "seed %u, %u ms: %s\n", (unsigned)from, now_ms, failure);
	}
	CU_ASSERT_EQUAL(failures, 0);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"streams arrive", test_streams_arrive},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("splice_random", tests) : 1;
}
