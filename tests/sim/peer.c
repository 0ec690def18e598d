/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/peer.h"

#include "tests/sim/peer_wire.h"

enum {
	MS = 1000,
	RTO_FIRST = 1000 * MS,
	RTO_MIN = 200 * MS,
	RTO_MAX = 8000 * MS,
	INITIAL_SEGMENTS = 10,
	CONGESTION_MAX = 1 << 18,
	MSS_DEFAULT_V4 = 536,
	MSS_DEFAULT_V6 = 1220,
	SEGMENT_MIN = 512,
	BLACK_HOLE_RETRIES = 3,
	TIME_WAIT = 60000 * MS,
	ANSWER_GAP = 500 * MS
};

void (*peer_transmit)(struct peer *peer, const struct segment *segment);

static void
die(struct peer *peer, enum peer_state state)
{
	peer->state = state;
	peer->retransmit_at = peer->probe_at = peer->ack_at = peer->write_at = peer->read_at = peer->close_at =
		peer->keepalive_at = peer->expire_at = PEER_NEVER;
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* --- what it offers ---------------------------------------------------------------------------------------------- */

static uint32_t
room(const struct peer *peer, uint64_t now)
{
	uint32_t received = peer->expected == 0 ? 0 : peer->expected - 1;
	uint32_t unread = received > peer->read ? received - peer->read : 0;

	if (now < peer->traits.opens_at_us || unread >= peer->traits.buffer)
		return 0;
	return peer->traits.buffer - unread;
}

/* The window field of the next segment, and the promise that it makes. A promise is never taken back. */
static uint16_t
window(struct peer *peer, uint64_t now, bool syn)
{
	uint8_t shift = !syn && peer->scales ? peer->traits.scale : 0;
	uint32_t edge = peer->expected + room(peer, now);

	if (edge < peer->offered)
		edge = peer->offered;
	uint32_t units = (edge - peer->expected) >> shift;
	/* What was promised is still promised, even where rounding would hide it. */
	if (units << shift < peer->offered - peer->expected && peer->offered > peer->expected && units < UINT16_MAX)
		units++;
	units = least(units, UINT16_MAX);
	if (peer->expected + (units << shift) > peer->offered)
		peer->offered = peer->expected + (units << shift);
	return (uint16_t)units;
}

/* Sends what occupies the numbers from at on: length bytes, and FIN by flags. */
static void
transmit(struct peer *peer, uint8_t flags, uint32_t at, uint16_t length, uint64_t now)
{
	bool syn = (flags & SYN) != 0, ack = (flags & ACK) != 0;
	struct segment segment;

	segment.source = peer->addr;
	segment.destination = peer->gate;
	segment.source_port = peer->port;
	segment.destination_port = peer->gate_port;
	segment.seq = peer->traits.isn + at;
	segment.ack = ack ? peer->irs + peer->expected : 0;
	segment.window = window(peer, now, syn);
	segment.urgent = 0;
	segment.flags = flags;
	segment.reserved = 0;
	segment.traffic_class = 0;
	segment.payload = length != 0 ? peer_stream(peer, at - 1) : NULL;
	segment.payload_length = length;
	segment.options_length = 0;
	if (syn) {
		segment.options_length = peer_wire_syn_options(peer, segment.options, ack, now);
		if (!ack && peer->traits.syn_data != 0) {
			segment.payload = peer_stream(peer, 0);
			segment.payload_length = peer->traits.syn_data;
		}
		if (peer->traits.ecn)
			segment.flags |= ack ? ECE : ECE | CWR;
	} else {
		if (peer->timestamps)
			segment.options_length = peer_wire_timestamps(peer, segment.options, ack, now);
		if (peer->sack && ack)
			segment.options_length =
				(uint8_t)(segment.options_length +
					  peer_wire_sacks(peer, segment.options + segment.options_length,
							  (uint8_t)(40 - segment.options_length)));
		if (peer->traits.urgent && length != 0) {
			segment.flags |= URG;
			segment.urgent = length;
		}
	}
	if (ack) {
		peer->unacked = 0;
		peer->ack_at = PEER_NEVER;
		peer->ts_acked = peer->expected;
	}
	peer_transmit(peer, &segment);
	if (peer->traits.doubles && (length != 0 || (flags & (SYN | FIN)) != 0))
		peer_transmit(peer, &segment);
}

static void
send_ack(struct peer *peer, uint64_t now)
{
	/* While it repeats, next is behind, and so would be an ACK from there: the other end would throw it away, with
	 * what it says. So would it one from beyond its window, where that shrank below what was sent.
	 * A probe, and what rounding took away from a scaled window, the other end may well have taken (Linux:
	 * tcp_acceptable_seq). */
	uint32_t at = peer->highest <= peer->edge + (1u << peer->their_scale) ? peer->highest : peer->edge;
	transmit(peer, ACK, at > peer->una ? at : peer->una, 0, now);
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

/* Beyond the last number that may be sent now: bytes, and the FIN. */
static uint32_t
sendable(const struct peer *peer)
{
	return 1 + peer->written + (peer->closing ? 1 : 0);
}

static uint8_t
option_space(const struct peer *peer)
{
	return peer->timestamps ? 12 : 0;
}

/* The range that was selectively acknowledged and holds at, or NULL; *limit becomes where the next one begins. */
static const struct peer_range *
sacked_at(const struct peer *peer, uint32_t at, uint32_t *limit)
{
	for (unsigned i = 0; i < peer->n_sacked; i++) {
		const struct peer_range *range = &peer->sacked[i];
		if (range->begin <= at && at < range->end)
			return range;
		if (range->begin > at && range->begin < *limit)
			*limit = range->begin;
	}
	return NULL;
}

static bool
has_their_fin(const struct peer *peer)
{
	return peer->fin_known && peer->expected > peer->fin_at;
}

/* Sends one segment from at on, no farther than limit. Returns how far it came. */
static uint32_t
send_piece(struct peer *peer, uint32_t at, uint32_t limit, uint64_t now)
{
	uint32_t bytes_end = 1 + peer->written, end = least(limit, sendable(peer));
	/* The options of this segment, SACK blocks included, have their place in what the other takes. */
	uint8_t options =
		(uint8_t)(option_space(peer) +
			  (peer->sack && peer->n_early + (peer->duplicate.begin != peer->duplicate.end) != 0
				   ? 4 + 8 * least(peer->n_early + (peer->duplicate.begin != peer->duplicate.end),
						   (36u - option_space(peer)) / 8)
				   : 0));
	uint32_t most = peer->segment > options + 8u ? peer->segment - options : 8;
	uint32_t stop = least(least(end, bytes_end), at + least(most, peer->traits.piece));
	uint16_t length = (uint16_t)(stop > at ? stop - at : 0);
	uint8_t flags = ACK;

	if (peer->closing && end > bytes_end && at + length == bytes_end &&
	    (length == 0 || peer->traits.fin_style == 0))
		flags |= FIN;
	if ((flags & FIN) != 0 && !peer->fin_sent) {
		peer->fin_sent = true;
		peer->fin_crossed = !has_their_fin(peer);
	}
	if (length != 0 && at + length == bytes_end)
		flags |= PSH;
	transmit(peer, flags, at, length, now);
	return at + length + ((flags & FIN) != 0);
}

static void
start_retransmission(struct peer *peer, uint64_t now)
{
	uint64_t wait = (uint64_t)peer->rto_us << least(peer->backoff, 6);
	peer->retransmit_at = now + (wait < RTO_MAX ? wait : RTO_MAX) + peer->traits.late_us;
}

/* All that windows allow. True when something was sent, and with it an ACK. */
static bool
send_more(struct peer *peer, uint64_t now)
{
	bool sent = false;

	if (peer->state != PEER_OPEN)
		return false;
	uint32_t end = least(least(sendable(peer), peer->edge), peer->una + peer->congestion);
	while (peer->next < end) {
		uint32_t limit = end;
		const struct peer_range *range = sacked_at(peer, peer->next, &limit);
		if (range != NULL) {
			peer->next = range->end;
			continue;
		}
		/* A sliver is not worth a segment while something is on its way (RFC 9293 section 3.8.6.2.1). */
		if (peer->next + least(peer->segment, 256) > end && end < sendable(peer) && peer->una < peer->next)
			break;
		peer->next = send_piece(peer, peer->next, limit, now);
		sent = true;
		if (peer->next > peer->highest)
			peer->highest = peer->next;
	}
	if (peer->una < peer->highest) {
		if (peer->retransmit_at == PEER_NEVER)
			start_retransmission(peer, now);
	} else {
		peer->retransmit_at = PEER_NEVER;
	}
	if (peer->una >= peer->highest && peer->una < sendable(peer) && peer->edge <= peer->una) {
		if (peer->probe_at == PEER_NEVER)
			peer->probe_at = now + ((uint64_t)peer->rto_us << least(peer->backoff, 3));
	} else {
		peer->probe_at = PEER_NEVER;
	}
	return sent;
}

static void
retransmission_fired(struct peer *peer, uint64_t now)
{
	peer->retransmit_at = PEER_NEVER;
	if (peer->traits.gives_up != 0 && peer->unheard++ >= peer->traits.gives_up) {
		peer->gave_up_at = now;
		die(peer, PEER_ABORTED);
		return;
	}
	if (peer->state == PEER_SYN_SENT || peer->state == PEER_SYN_RECEIVED) {
		peer->syn_repeated = true;
		peer->backoff++;
		transmit(peer, peer->state == PEER_SYN_SENT ? SYN : SYN | ACK, 0, 0, now);
		start_retransmission(peer, now);
		return;
	}
	if (peer->state != PEER_OPEN || peer->una >= peer->highest)
		return;
	peer->backoff++;
	if (peer->backoff >= BLACK_HOLE_RETRIES && peer->segment > SEGMENT_MIN)
		peer->segment = (uint16_t)(peer->segment * 3 / 4 > SEGMENT_MIN ? peer->segment * 3 / 4 : SEGMENT_MIN);
	peer->threshold = peer->congestion / 2 > 2u * peer->segment ? peer->congestion / 2 : 2u * peer->segment;
	peer->congestion = peer->segment;
	peer->recover = 0;
	peer->repeats = 0;
	if (peer->traits.forgets_sacks || peer->backoff > 1) /* the receiver may have forgotten (RFC 2018 section 8) */
		peer->n_sacked = 0;
	peer->next = peer->una;
	if (peer->edge <= peer->una) { /* the window shrank to nothing: a byte, to hear of it again */
		send_piece(peer, peer->una, peer->una + 1, now);
		peer->next = peer->highest;
		start_retransmission(peer, now);
		return;
	}
	start_retransmission(peer, now);
	send_more(peer, now);
}

static void
probe_fired(struct peer *peer, uint64_t now)
{
	peer->probe_at = PEER_NEVER;
	if (peer->state != PEER_OPEN || peer->una >= sendable(peer) || peer->una < peer->highest)
		return;
	peer->backoff++;
	uint32_t reached = send_piece(peer, peer->una, peer->una + 1, now);
	if (reached > peer->highest)
		peer->highest = reached;
	peer->next = peer->highest;
	start_retransmission(peer, now);
}

/* --- receiving --------------------------------------------------------------------------------------------------- */

/* The offset that a wire number means, where it can't be far from near. */
static int64_t
offset_of(uint32_t wire, uint32_t base, uint32_t near)
{
	return (int64_t)near + (int32_t)(wire - base - near);
}

static void
negotiate(struct peer *peer, const struct segment *segment, const struct peer_heard *heard, bool accepts)
{
	uint16_t fallback = ip_addr_is_v4(&peer->addr) ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;

	peer->timestamps = peer->traits.timestamps && heard->timestamps;
	peer->sack = peer->traits.sack && heard->sack_permitted;
	peer->scales = peer->traits.scale != PEER_NO_SCALE && heard->scale != PEER_NO_SCALE;
	peer->their_scale = peer->scales ? heard->scale : 0;
	peer->their_mss = heard->mss != 0 ? heard->mss : fallback;
	peer->segment = (uint16_t)least(peer->their_mss, peer->traits.largest);
	peer->ts_recent = heard->tsval;
	peer->ts_known = peer->timestamps;
	peer->irs = segment->seq;
	peer->expected = 1;
	if (peer->offered < 1)
		peer->offered = 1;
	peer->edge = (accepts ? 1u : peer->una) + segment->window;
	peer->congestion = INITIAL_SEGMENTS * (uint32_t)peer->segment;
	peer->threshold = CONGESTION_MAX;
}

static void
application_opened(struct peer *peer, uint64_t now)
{
	peer->write_at = now;
	peer->read_at = peer->traits.read_bytes != 0 ? now + peer->traits.read_gap_us : PEER_NEVER;
	if (peer->traits.keepalive_us != 0)
		peer->keepalive_at = now + peer->traits.keepalive_us;
	if (now < peer->traits.opens_at_us)
		peer->read_at = peer->traits.opens_at_us;
}

static void
note_sack(struct peer *peer, uint32_t begin, uint32_t end)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < peer->n_sacked; i++) {
		const struct peer_range range = peer->sacked[i];
		if (range.end < begin || range.begin > end) {
			peer->sacked[kept++] = range;
			continue;
		}
		begin = least(begin, range.begin);
		end = end > range.end ? end : range.end;
	}
	if (kept < PEER_SACKED_MAX)
		peer->sacked[kept++] = (struct peer_range){begin, end};
	peer->n_sacked = kept;
}

static void
take_sacks(struct peer *peer, const struct peer_heard *heard)
{
	for (unsigned i = 0; i < heard->n_sacks; i++) {
		int64_t begin = offset_of(peer_wire_get_32(heard->sacks + (size_t)8 * i), peer->traits.isn, peer->una);
		int64_t end =
			offset_of(peer_wire_get_32(heard->sacks + (size_t)8 * i + 4), peer->traits.isn, peer->una);
		if (begin > peer->una && begin < end && end <= peer->highest)
			note_sack(peer, (uint32_t)begin, (uint32_t)end);
	}
}

/* Everything that a segment's acknowledgment says. False when it acknowledges what was never sent. */
static bool
take_ack(struct peer *peer, const struct segment *segment, const struct peer_heard *heard, uint32_t seq, uint64_t now)
{
	int64_t ack = offset_of(segment->ack, peer->traits.isn, peer->una);
	uint32_t edge_before = peer->edge;

	if (ack > peer->highest)
		return false;
	if (ack < (int64_t)peer->una)
		return true;
	if (peer->sack)
		take_sacks(peer, heard);
	if (seq > peer->wl_seq || (seq == peer->wl_seq && (uint32_t)ack >= peer->wl_ack)) {
		peer->edge = (uint32_t)ack + ((uint32_t)segment->window << peer->their_scale);
		peer->wl_seq = seq;
		peer->wl_ack = (uint32_t)ack;
	}
	if (ack > peer->una) {
		uint32_t news = (uint32_t)ack - peer->una;
		peer->una = (uint32_t)ack;
		if (peer->next < peer->una)
			peer->next = peer->una;
		peer->backoff = 0;
		peer->repeats = 0;
		peer->congestion +=
			peer->congestion < peer->threshold
				? news
				: (uint32_t)((uint64_t)peer->segment * peer->segment / peer->congestion) + 1;
		peer->congestion = least(peer->congestion, CONGESTION_MAX);
		unsigned kept = 0;
		for (unsigned i = 0; i < peer->n_sacked; i++)
			if (peer->sacked[i].end > peer->una)
				peer->sacked[kept++] = peer->sacked[i];
		peer->n_sacked = kept;
		if (peer->una < peer->highest)
			start_retransmission(peer, now);
		else
			peer->retransmit_at = PEER_NEVER;
		if (peer->recover != 0 && peer->una >= peer->recover)
			peer->recover = 0;
		if (peer->recover != 0 && peer->una < peer->edge) { /* another one is missing */
			uint32_t limit = least(peer->edge, peer->highest);
			if (sacked_at(peer, peer->una, &limit) == NULL)
				send_piece(peer, peer->una, limit, now);
		}
		return true;
	}
	if (segment->payload_length != 0 || peer->una >= peer->highest || peer->edge != edge_before ||
	    (segment->flags & FIN) != 0)
		return true;
	if (++peer->repeats == 3 && peer->recover == 0 && peer->una < peer->edge) {
		peer->recover = peer->highest;
		peer->threshold = peer->congestion / 2 > 2u * peer->segment ? peer->congestion / 2 : 2u * peer->segment;
		peer->congestion = peer->threshold;
		uint32_t limit = least(peer->edge, peer->highest);
		if (sacked_at(peer, peer->una, &limit) == NULL)
			send_piece(peer, peer->una, limit, now);
	}
	return true;
}

/* Puts begin..end among what has come early. */
static void
note_early(struct peer *peer, uint32_t begin, uint32_t end)
{
	struct peer_range list[PEER_EARLY_MAX + 1];
	unsigned n = 0, i = 0;

	for (; i < peer->n_early && peer->early[i].end < begin; i++)
		list[n++] = peer->early[i];
	for (; i < peer->n_early && peer->early[i].begin <= end; i++) {
		begin = least(begin, peer->early[i].begin);
		end = end > peer->early[i].end ? end : peer->early[i].end;
	}
	list[n++] = (struct peer_range){begin, end};
	for (; i < peer->n_early; i++)
		list[n++] = peer->early[i];
	if (n > PEER_EARLY_MAX) /* forgotten: it is allowed to, as long as it hasn't told anybody … so the last goes,
				   untold */
		return;
	memcpy(peer->early, list, n * sizeof(list[0]));
	peer->n_early = n;
}

/* The payload and FIN of an acceptable segment. True when an ACK should go out at once. */
static bool
take_payload(struct peer *peer, const struct segment *segment, int64_t seq)
{
	uint32_t before = peer->expected;
	bool fin = (segment->flags & FIN) != 0;
	int64_t begin = seq, end = seq + segment->payload_length;

	if (segment->payload_length == 0 && !fin)
		return false;
	if (end > peer->offered) { /* what was never promised isn't taken */
		end = peer->offered;
		fin = false;
	}
	if (begin < 1)
		begin = 1;
	if (begin < end) {
		if (peer->other == NULL || end - 1 > peer->other->traits.length ||
		    memcmp(segment->payload + (begin - seq), peer_stream(peer->other, (uint32_t)begin - 1),
			   (size_t)(end - begin)) != 0)
			peer->wrong = true;
		if (begin < peer->expected)
			peer->duplicate = (struct peer_range){(uint32_t)begin, least((uint32_t)end, peer->expected)};
	}
	if (fin && seq + segment->payload_length >= 1) {
		if (peer->fin_known && peer->fin_at != (uint32_t)(seq + segment->payload_length))
			peer->wrong = true;
		peer->fin_known = true;
		peer->fin_at = (uint32_t)(seq + segment->payload_length);
		if (peer->other == NULL || peer->fin_at != 1 + peer->other->traits.length)
			peer->wrong = true;
	}
	if (begin > peer->expected && begin < end) {
		note_early(peer, (uint32_t)begin, (uint32_t)end);
		return true;
	}
	if (end > peer->expected && begin <= peer->expected)
		peer->expected = (uint32_t)end;
	unsigned used = 0;
	while (used < peer->n_early && peer->early[used].begin <= peer->expected) {
		if (peer->early[used].end > peer->expected)
			peer->expected = peer->early[used].end;
		used++;
	}
	if (used != 0) {
		peer->n_early -= used;
		memmove(peer->early, peer->early + used, peer->n_early * sizeof(peer->early[0]));
	}
	if (peer->fin_known && peer->fin_at == peer->expected && peer->n_early == 0)
		peer->expected++;
	return peer->expected == before || used != 0 || peer->n_early != 0 ||
	       (peer->fin_known && peer->expected > peer->fin_at);
}

static uint32_t
received(const struct peer *peer)
{
	return peer->expected - 1 - (peer->fin_known && peer->expected > peer->fin_at ? 1 : 0);
}

/* What the application does whenever something has changed. */
static void
application_run(struct peer *peer, uint64_t now)
{
	const struct peer_traits *traits = &peer->traits;

	if (peer->state != PEER_OPEN)
		return;
	if (traits->read_bytes == 0 && now >= traits->opens_at_us)
		peer->read = received(peer);
	if (peer->written < traits->length && peer->write_at <= now && received(peer) >= traits->begin_after) {
		uint32_t more = peer->written == 0 ? traits->first : traits->write_bytes;
		if (more == 0 || more > traits->length - peer->written)
			more = traits->length - peer->written;
		peer->written += more;
		peer->write_at = peer->written < traits->length ? now + traits->write_gap_us : PEER_NEVER;
	}
	if (peer->close_at == PEER_NEVER && !peer->closing && peer->written == traits->length) {
		bool ready = traits->close == PEER_CLOSE_AT_ONCE ||
			     (traits->close == PEER_CLOSE_SECOND && has_their_fin(peer)) ||
			     (traits->close == PEER_CLOSE_COMPLETE && peer->una == 1 + peer->written &&
			      (peer->other != NULL && received(peer) == peer->other->traits.length));
		if (ready)
			peer->close_at = now + traits->linger_us;
	}
	if (peer->close_at <= now && !peer->closing)
		peer->closing = true;
	if (received(peer) + peer->una - 1 >= traits->abort_after)
		peer_abort(peer, now);
}

/* Both FINs sent and acknowledged? */
static void
check_end(struct peer *peer, uint64_t now)
{
	if (peer->state != PEER_OPEN || !peer->closing || peer->una <= 1 + peer->written || !has_their_fin(peer))
		return;
	/* Who was closed second may forget at once; who knows, doesn't ask, and waits in any case: it costs nothing
	 * here. */
	peer->state = PEER_TIME_WAIT;
	peer->expire_at = now + TIME_WAIT;
	peer->retransmit_at = peer->probe_at = peer->write_at = peer->read_at = peer->close_at = peer->keepalive_at =
		PEER_NEVER;
}

void
peer_abort(struct peer *peer, uint64_t now)
{
	if (peer->state == PEER_OPEN) {
		peer->next = peer->highest;
		transmit(peer, RST | ACK, peer->next, 0, now);
	}
	die(peer, PEER_ABORTED);
}

void
peer_forget(struct peer *peer)
{
	if (!peer_is_over(peer))
		die(peer, PEER_ABORTED);
	peer->expire_at = PEER_NEVER;
}

static void
input_syn_sent(struct peer *peer, const struct segment *segment, const struct peer_heard *heard, uint64_t now)
{
	bool acks = (segment->flags & ACK) != 0 && segment->ack == peer->traits.isn + 1;
	/* A RST acknowledges what came with the SYN, too. */
	bool is_answer = acks || ((segment->flags & (ACK | RST)) == (ACK | RST) &&
				  segment->ack == peer->traits.isn + 1 + peer->traits.syn_data);

	if ((segment->flags & ACK) != 0 && !is_answer) {
		struct segment answer;
		if (peer_refuse(segment, &answer))
			peer_transmit(peer, &answer);
		return;
	}
	if ((segment->flags & RST) != 0) {
		if (is_answer)
			die(peer, PEER_RESET);
		return;
	}
	if ((segment->flags & SYN) == 0 || !acks)
		return;
	negotiate(peer, segment, heard, true);
	peer->una = peer->next = peer->highest = 1;
	peer->edge = 1 + segment->window;
	peer->state = PEER_OPEN;
	peer->backoff = 0;
	uint64_t round_trip = now - peer->syn_at_us;
	peer->rto_us = peer->syn_repeated ? RTO_FIRST : (uint32_t)(3 * round_trip < RTO_MIN ? RTO_MIN : 3 * round_trip);
	peer->retransmit_at = PEER_NEVER;
	application_opened(peer, now);
	application_run(peer, now);
	if (!send_more(peer, now) && peer->state == PEER_OPEN)
		send_ack(peer, now);
}

/* RFC 9293 section 3.10.7.4, in its order. */
void
peer_input(struct peer *peer, const struct segment *segment, uint64_t now)
{
	struct peer_heard heard = peer_wire_read(segment);
	struct segment answer;

	if (peer->state == PEER_SYN_SENT) {
		input_syn_sent(peer, segment, &heard, now);
		return;
	}
	if (peer->state == PEER_NONE || peer->state >= PEER_CLOSED) {
		if (peer_refuse(segment, &answer))
			peer_transmit(peer, &answer);
		return;
	}
	int64_t seq = offset_of(segment->seq, peer->irs, peer->expected);
	uint32_t length = segment->payload_length + ((segment->flags & FIN) != 0) + ((segment->flags & SYN) != 0);
	bool is_reset = (segment->flags & RST) != 0;

	if (heard.bad)
		return;
	if (peer->timestamps && !is_reset) {
		if (!heard.timestamps)
			return;
		if ((int32_t)(heard.tsval - peer->ts_recent) < 0) { /* PAWS */
			send_ack(peer, now);
			return;
		}
	}
	bool closed = peer->offered == peer->expected;
	bool acceptable =
		closed ? seq == peer->expected
		       : seq <= peer->offered && (length == 0 ? seq >= peer->expected : seq + length > peer->expected);
	if (is_reset) {
		if (seq == peer->expected)
			die(peer, PEER_RESET);
		else if (acceptable)
			send_ack(peer, now);
		return;
	}
	if ((segment->flags & SYN) != 0) {
		if (peer->state == PEER_SYN_RECEIVED && segment->seq == peer->irs)
			transmit(peer, SYN | ACK, 0, 0, now);
		else
			send_ack(peer, now);
		return;
	}
	if (!acceptable) {
		if (length != 0 && segment->payload_length != 0 && seq + segment->payload_length <= peer->expected &&
		    seq >= 1)
			peer->duplicate = (struct peer_range){(uint32_t)seq, (uint32_t)seq + segment->payload_length};
		/* Two ends that have lost sight of each other would answer such ACKs without end: as Linux does, but
		 * twice a second.
		 */
		if (length == 0 && now < peer->quiet_until)
			return;
		peer->quiet_until = now + ANSWER_GAP;
		send_ack(peer, now);
		return;
	}
	if (peer->timestamps && seq <= peer->ts_acked)
		peer->ts_recent = heard.tsval;
	if ((segment->flags & ACK) == 0)
		return;
	if (peer->state == PEER_SYN_RECEIVED) {
		if (segment->ack != peer->traits.isn + 1) {
			if (peer_refuse(segment, &answer))
				peer_transmit(peer, &answer);
			return;
		}
		peer->una = peer->next = peer->highest = 1;
		peer->state = PEER_OPEN;
		peer->backoff = 0;
		peer->rto_us = peer->syn_repeated ? RTO_FIRST
						  : (uint32_t)(3 * (now - peer->syn_at_us) < RTO_MIN
								       ? RTO_MIN
								       : 3 * (now - peer->syn_at_us));
		peer->retransmit_at = PEER_NEVER;
		peer->wl_seq = 0;
		application_opened(peer, now);
	}
	if (!take_ack(peer, segment, &heard, (uint32_t)(seq < 0 ? 0 : seq), now)) {
		send_ack(peer, now);
		return;
	}
	peer->keepalives = peer->unheard = 0;
	if (peer->traits.keepalive_us != 0 && peer->state == PEER_OPEN)
		peer->keepalive_at = now + peer->traits.keepalive_us;
	bool at_once = take_payload(peer, segment, seq);
	if (length != 0) {
		peer->unacked++;
		if (at_once || peer->unacked >= peer->traits.ack_every)
			peer->ack_at = now;
		else if (peer->ack_at == PEER_NEVER)
			peer->ack_at = now + peer->traits.ack_delay_us;
	}
	application_run(peer, now);
	send_more(peer, now);
	if (peer->ack_at <= now && peer->state <= PEER_TIME_WAIT)
		send_ack(peer, now);
	check_end(peer, now);
}

void
peer_init(struct peer *peer, const struct peer_traits *traits)
{
	*peer = (struct peer){.traits = *traits, .rto_us = RTO_FIRST};
	/* A host that scales so has a buffer that fits: otherwise it could never announce any of it. */
	if (traits->scale != PEER_NO_SCALE && traits->buffer < 2u << traits->scale)
		peer->traits.buffer = 2u << traits->scale;
	die(peer, PEER_NONE);
	peer->armed_at = PEER_NEVER;
}

void
peer_connect(struct peer *peer, uint64_t now)
{
	peer->state = PEER_SYN_SENT;
	peer->highest = peer->next = 1;
	peer->syn_at_us = now;
	peer->ts_first = peer_clock(peer, now);
	transmit(peer, SYN, 0, 0, now);
	start_retransmission(peer, now);
}

void
peer_accept(struct peer *peer, const struct segment *syn, uint64_t now)
{
	struct peer_heard heard = peer_wire_read(syn);

	negotiate(peer, syn, &heard, false);
	peer->state = PEER_SYN_RECEIVED;
	peer->highest = peer->next = 1;
	peer->edge = 1 + syn->window;
	peer->syn_at_us = now;
	peer->ts_first = peer_clock(peer, now);
	transmit(peer, SYN | ACK, 0, 0, now);
	start_retransmission(peer, now);
}

void
peer_timers(struct peer *peer, uint64_t now)
{
	if (peer->expire_at <= now) {
		die(peer, PEER_CLOSED);
		return;
	}
	if (peer->retransmit_at <= now)
		retransmission_fired(peer, now);
	if (peer->probe_at <= now)
		probe_fired(peer, now);
	if (peer->read_at <= now && peer->state == PEER_OPEN) {
		uint32_t before = peer->offered - peer->expected, have = received(peer);
		uint32_t take = peer->traits.read_bytes == 0 ? have : peer->read + peer->traits.read_bytes;
		peer->read = least(take, have);
		peer->read_at = peer->traits.read_bytes != 0 ? now + peer->traits.read_gap_us : PEER_NEVER;
		uint32_t unit = 1u << (peer->scales ? peer->traits.scale : 0);
		uint32_t free =
			least(room(peer, now), UINT16_MAX * unit) / unit * unit; /* what it can announce of it */
		uint32_t worth = least(peer->traits.buffer / 2, 2920);
		if (free > before && free >= unit && (free - before >= worth || before == 0))
			send_ack(peer, now);
	}
	if (peer->keepalive_at <= now && peer->state == PEER_OPEN) {
		peer->keepalive_at = now + peer->traits.keepalive_us;
		if (peer->una == peer->highest) {
			transmit(peer, ACK, peer->una - 1, 0, now);
			peer->kept_alive = true;
		}
	}
	application_run(peer, now);
	send_more(peer, now);
	if (peer->ack_at <= now && peer->state != PEER_NONE && peer->state <= PEER_TIME_WAIT)
		send_ack(peer, now);
	if (peer->write_at <= now) /* it waits for something else than time */
		peer->write_at = peer->written < peer->traits.length ? 0 : PEER_NEVER;
	check_end(peer, now);
}

uint64_t
peer_due(const struct peer *peer)
{
	const uint64_t at[] = {peer->retransmit_at, peer->probe_at, peer->ack_at,
			       peer->write_at,      peer->read_at,  peer->closing ? PEER_NEVER : peer->close_at,
			       peer->keepalive_at,  peer->expire_at};
	uint64_t due = PEER_NEVER;

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		if (at[i] != 0 && at[i] < due)
			due = at[i];
	return due;
}

void
peer_too_big(struct peer *peer, uint16_t mss)
{
	if (mss >= 48 && mss < peer->segment)
		peer->segment = mss;
}
