/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a simulated connection: a small TCP of its own, with an application on top.
 *
 * It shares no code with dataplane/, and is written another way on purpose: all numbers in here are offsets from the
 * initial sequence numbers (0 is the SYN, 1 the first byte), and meet 32-bit arithmetic only where a segment is made or
 * taken apart. What it is to send follows from its offset in a buffer of noise that all streams share, so nothing is
 * stored, and what it receives is compared at once with what the other end sends there.
 *
 *   send      una ├── sent ──┤ next … highest ┤        edge: right edge of the other's window
 *   receive   begin ├── in order ──┤ expected   ├─ early ─┤      offered: right edge that it promised
 *
 * RFC 9293 with RFC 7323 (scaling, timestamps, PAWS), RFC 2018 and 2883 (SACK, D-SACK), RFC 5961 (challenge ACKs),
 * delayed ACKs, slow start, fast retransmit, probes of a closed window, keep-alives, and smaller segments after
 * repeated time-outs (RFC 4821's answer to a black hole). Each can be turned off or bent by struct peer_traits.
 */
#ifndef POSTERN_TESTS_SIM_PEER_H
#define POSTERN_TESTS_SIM_PEER_H

#include "tests/sim/rig.h"

enum {
	PEER_EARLY_MAX = 12,
	PEER_SACKED_MAX = 16,
	PEER_NO_SCALE = 0xff,
	PEER_NOISE = 1 << 22, /* bytes of the buffer that all streams are cut from */
	PEER_STREAM_MAX = 1 << 20
};

#define PEER_NEVER UINT64_MAX

enum peer_state {
	PEER_NONE,
	PEER_SYN_SENT,
	PEER_SYN_RECEIVED,
	PEER_OPEN,
	PEER_TIME_WAIT,
	PEER_CLOSED,  /* in good order */
	PEER_ABORTED, /* by its own application */
	PEER_RESET    /* by a RST that it had to obey */
};

/* When the application closes its direction. */
enum peer_close {
	PEER_CLOSE_AT_ONCE,  /* with its last byte: what comes back later comes over a half-closed connection */
	PEER_CLOSE_SECOND,   /* after the other's FIN */
	PEER_CLOSE_COMPLETE, /* when all was sent, acknowledged and received */
};

struct peer_traits {
	/* What its SYN says. */
	uint16_t mss;  /* 0: no such option */
	uint8_t scale; /* PEER_NO_SCALE: no such option */
	bool sack, timestamps;
	bool ecn, oddities; /* ECE and CWR; MPTCP, Fast Open and an unknown option */
	uint32_t isn, ts_base;
	uint8_t ts_shift; /* its clock ticks every 1 << ts_shift ms */
	/* How it sends. */
	uint16_t largest;   /* segments, by its own interface */
	uint16_t piece;     /* of payload in a segment at most, by its application's habits */
	bool forgets_sacks; /* repeats everything after a time-out */
	bool urgent;
	bool doubles;          /* sends every segment with something in it twice */
	uint8_t gives_up;      /* after so many time-outs in a row; 0: never */
	uint32_t late_us;      /* its time-outs come so much late */
	uint16_t syn_data;     /* bytes of its stream that come with the SYN already (RFC 7413) */
	uint64_t keepalive_us; /* 0: none */
	uint8_t fin_style;     /* 0: FIN with the last byte; 1: in a segment of its own */
	/* How it receives. */
	uint32_t buffer;      /* bytes */
	uint64_t opens_at_us; /* until then its window is zero */
	uint32_t ack_delay_us;
	uint8_t ack_every;
	uint32_t read_bytes, read_gap_us; /* the application takes so much every so often; 0: all at once */
	/* What its application does. */
	uint32_t length;       /* bytes that it sends in all */
	uint32_t first;        /* of those, at once … */
	uint32_t begin_after;  /* … but only when so many have come in */
	uint32_t write_bytes;  /* and after those so many … */
	uint64_t write_gap_us; /* … every so often; 0: all */
	enum peer_close close;
	uint64_t linger_us;   /* before it closes */
	uint32_t abort_after; /* bytes received and acknowledged, together; UINT32_MAX: never */
};

struct peer_range {
	uint32_t begin, end;
};

struct peer {
	struct peer_traits traits;
	struct peer *other; /* the far end, as it really is; the auditor's and the comparison's, not TCP's */
	uint32_t noise;     /* where in the buffer its own stream begins */
	unsigned leg;
	void *connection;
	struct ip_addr addr, gate;
	uint16_t port, gate_port;
	enum peer_state state;
	bool timestamps, sack, scales; /* as negotiated */
	uint8_t their_scale;
	uint16_t their_mss, segment; /* segment: largest payload and options that it sends now */
	uint32_t ts_first;           /* clock of its SYN */
	uint32_t irs;                /* the other's initial sequence number */

	uint32_t una, next, highest, edge, wl_seq, wl_ack;
	uint32_t congestion, threshold; /* bytes */
	unsigned repeats;               /* acknowledgments of una that came again */
	uint32_t recover;               /* fast retransmission goes on until this is acknowledged; 0: none */
	struct peer_range sacked[PEER_SACKED_MAX];
	unsigned n_sacked;
	uint32_t written;           /* bytes that the application has handed over */
	bool closing;               /* the application has closed: a FIN follows written */
	bool fin_sent, fin_crossed; /* fin_crossed: the other's FIN hadn't come when its own was sent */
	uint32_t rto_us;
	unsigned backoff, keepalives, unheard; /* unheard: time-outs since it heard anything */
	uint64_t syn_at_us;
	bool syn_repeated;

	uint32_t expected, offered, read; /* read: bytes that the application took */
	struct peer_range early[PEER_EARLY_MAX];
	unsigned n_early;
	bool fin_known;
	uint32_t fin_at; /* the other's FIN, when known */
	uint32_t ts_recent, ts_acked;
	bool ts_known;
	struct peer_range duplicate; /* to be told by D-SACK; begin == end: none */
	unsigned unacked;            /* segments since the last ACK */

	uint64_t retransmit_at, probe_at, ack_at, write_at, read_at, close_at, keepalive_at,
		expire_at;    /* PEER_NEVER: not running */
	uint64_t quiet_until; /* no answer to an ACK out of the window before that */
	uint64_t armed_at;    /* what the world has scheduled for it */
	bool kept_alive;      /* it has sent a keep-alive */
	uint64_t gave_up_at;  /* 0: it didn't */
	bool wrong;           /* a byte that came isn't the one that was sent */
};

/* Bytes that all streams are cut from; same in every run. */
const uint8_t *peer_noise(void);
const uint8_t *peer_stream(const struct peer *peer, uint32_t offset);

/* Where a peer's segments go. The payload is valid during the call. */
extern void (*peer_transmit)(struct peer *peer, const struct segment *segment);

void peer_init(struct peer *peer, const struct peer_traits *traits);
/* A client begins; an endpoint got a SYN. */
void peer_connect(struct peer *peer, uint64_t now);
void peer_accept(struct peer *peer, const struct segment *syn, uint64_t now);
void peer_input(struct peer *peer, const struct segment *segment, uint64_t now);
void peer_timers(struct peer *peer, uint64_t now);
/* When peer_timers has something to do; PEER_NEVER: never. */
uint64_t peer_due(const struct peer *peer);
/* A router on the way says that a segment was larger than fits; mss: what fits. */
void peer_too_big(struct peer *peer, uint16_t mss);
void peer_abort(struct peer *peer, uint64_t now);
/* Its host has rebooted, or gives its port to another: nothing more comes from it. */
void peer_forget(struct peer *peer);
/* A segment to somebody who has no such connection: the RST in answer, or false. */
bool peer_refuse(const struct segment *segment, struct segment *answer);

static inline bool
peer_is_over(const struct peer *peer)
{
	return peer->state >= PEER_TIME_WAIT;
}

/* Its clock, as its segments say it. */
static inline uint32_t
peer_clock(const struct peer *peer, uint64_t now_us)
{
	return peer->traits.ts_base + (uint32_t)(now_us / 1000 >> peer->traits.ts_shift);
}

#endif
