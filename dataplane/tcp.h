/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP endpoint: one end of a connection that ends here instead of passing through.
 *
 * It is a pure step: a connection, what happened, and the time go in; segments go out by a callback, events come back.
 * It knows no worker, no address and no port; it allocates nothing but packet buffers, for bytes that wait. What is
 * needed once in the life of a connection (choosing numbers, the SYN cookie, keys, RSTs to strangers) is the adapter's.
 *
 *   packet ──▶ tcp_input ──▶ received ──▶ application ──▶ tcp_write ──▶ sending ──▶ env->send
 *                 │ ack                                                  ▲ una, scoreboard
 *                 └──────────────────────────────────────────────────────┘
 *
 * One file, one concept:
 *
 *   tcp.c             life: opening, closing, the application's calls
 *   tcp_input.c       what arrives: acceptability, RST and SYN (RFC 5961), PAWS, states (RFC 9293 section 3.10)
 *   tcp_receive.c     bytes that arrive: order, window, when to acknowledge
 *   tcp_output.c      segments that leave: what is due, cutting, options
 *   tcp_scoreboard.c  what is known of each byte that was sent
 *   tcp_recovery.c    what is lost (RACK-TLP), and recovery from it
 *   tcp_congestion.c  how much may be on its way
 *   tcp_rtt.c         the round trip
 *   tcp_timers.c      what time alone brings about
 *   tcp_mtu.c         how large a segment the path takes
 *
 * Memory. A control block, and what bytes wait: in `sending` until the peer acknowledges them, in `received` until the
 * application takes them, in `early` until the gap before them is filled. Each is bounded in bytes (struct tcp_limits)
 * and so in buffers, because small pieces are put together. The bounds begin small, grow when the connection has shown
 * that it needs more, and go back when it is idle. A connection with nothing on its way has no buffer at all.
 *
 * Bytes are never moved on arrival: the buffer that the device filled, less its headers, goes into `received`. They are
 * copied once when they leave, into the frame, by the adapter.
 *
 * Numbers are in the connection's own numbering. Times are a clock of ms, modulo 2^32.
 */
#ifndef POSTERN_DATAPLANE_TCP_H
#define POSTERN_DATAPLANE_TCP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/mbuf_queue.h"
#include "dataplane/packet.h"
#include "dataplane/reason.h"
#include "dataplane/tcp_congestion.h"
#include "dataplane/tcp_options.h"
#include "dataplane/tcp_recovery.h"
#include "dataplane/tcp_rtt.h"
#include "dataplane/tcp_scoreboard.h"

/* RFC 9293 section 3.3.2. There is no LISTEN: a SYN cookie stands in for it. */
enum tcp_state {
	TCP_STATE_CLOSED,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECEIVED, /* of a simultaneous open */
	TCP_STATE_ESTABLISHED,
	TCP_STATE_FIN_WAIT_1,
	TCP_STATE_FIN_WAIT_2,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_CLOSING,
	TCP_STATE_LAST_ACK,
	TCP_STATE_TIME_WAIT
};

/* What a call has brought about, several at a time. After CLOSED, RESET or TIMED_OUT nothing more happens: what
 * tcp_received has may still be taken, then tcp_free. */
enum tcp_event {
	TCP_CONNECTED = 1 << 0,   /* of tcp_open_connect: established */
	TCP_READABLE = 1 << 1,    /* tcp_received has more */
	TCP_WRITABLE = 1 << 2,    /* bytes were acknowledged, and more than half of the buffer was full before: whoever
				     found tcp_room short may look again */
	TCP_PEER_CLOSED = 1 << 3, /* the peer's FIN: nothing follows what tcp_received has */
	TCP_FINISHED = 1 << 4, /* both FINs are acknowledged: no application is needed any more. TIME-WAIT may go on */
	TCP_CLOSED = 1 << 5,   /* in good order, TIME-WAIT included */
	TCP_RESET = 1 << 6,    /* by a RST that must be obeyed; before CONNECTED: refused */
	TCP_TIMED_OUT = 1 << 7 /* what was sent, or a keep-alive, wasn't acknowledged for too long */
};

/* Shared by all connections, and constant. Buffers in bytes. */
struct tcp_limits {
	uint32_t receive_first, receive_max; /* receive_first: at least two segments */
	uint32_t send_first, send_max;
	uint32_t rto_min_ms;
	uint32_t ack_delay_ms; /* at most 500 (RFC 9293 section 3.8.6.3) */
	uint32_t give_up_ms;   /* without an acknowledgment of what was sent: R2 of RFC 9293 section 3.8.3, >= 100 s */
	uint32_t keepalive_ms; /* of silence before the first keep-alive; 0: none (RFC 9293 section 3.8.4) */
	uint32_t keepalive_gap_ms;
	uint32_t time_wait_ms; /* 2 MSL */
	uint8_t keepalives;    /* unanswered ones after which the connection is given up */
};

extern const struct tcp_limits tcp_limits_default;

/* A segment to be sent. It is valid during the call. */
struct tcp_segment {
	uint8_t flags;
	uint8_t options_length; /* a multiple of 4 */
	uint16_t window;        /* as it stands in the packet */
	uint32_t seq, ack;
	const uint8_t *options;
	const struct rte_mbuf *mbuf; /* the payload begins offset bytes behind the first byte of this one: */
	uint32_t offset;             /* mbuf_queue_copy(mbuf, offset, to, payload_length) */
	uint16_t payload_length;
};

struct tcp;

/* The world of one call. */
struct tcp_env {
	uint32_t now_ms;
	bool scarce; /* packet buffers run short: no buffer of a connection grows, what comes out of order isn't kept */
	const struct tcp_limits *limits;
	struct rte_mempool *pool;
	void *context;
	/* Sends a segment. False: it couldn't, and it will be tried again. It must not call back into tcp. */
	bool (*send)(void *context, struct tcp *tcp, const struct tcp_segment *segment);
	/* A segment that came in was dropped. */
	void (*dropped)(void *context, struct tcp *tcp, enum reason reason);
};

/* What the timer waits for. */
enum tcp_timer {
	TCP_TIMER_NONE,
	TCP_TIMER_RESEND, /* RTO */
	TCP_TIMER_TAIL,   /* tail loss probe */
	TCP_TIMER_REORDER,
	TCP_TIMER_PROBE, /* of a closed window */
	TCP_TIMER_RETRY  /* env->send failed */
};

enum { TCP_SACKS_TOLD = 4, TCP_RETRY_MS = 10 };

/* Where in `sending` a sequence number is: a buffer, and the number of its first byte. A hint that saves the walk. */
struct tcp_cut {
	struct rte_mbuf *mbuf; /* NULL: none */
	uint32_t seq;
};

struct tcp {
	/* Sending, RFC 9293 section 3.3.1. `sending` begins at una, or behind the SYN while that isn't acknowledged. */
	struct mbuf_queue sending;
	struct tcp_cut cut_new, cut_again;
	struct tcp_scoreboard board;
	struct tcp_congestion congestion;
	struct tcp_rtt rtt;
	struct tcp_rack rack;
	uint32_t una, nxt;
	uint32_t window;        /* that the peer offers, bytes */
	uint32_t window_max;    /* the largest that it ever offered */
	uint32_t wl_seq;        /* of the segment that told it */
	uint32_t send_buffer;   /* bytes that may wait in `sending` */
	uint32_t sent_ms;       /* when something was last sent that is to be acknowledged */
	uint32_t rto_from_ms;   /* the retransmission timer runs from here */
	uint32_t tail_from_ms;  /* the tail loss probe's, or that of probing a closed window */
	uint32_t progress_ms;   /* since when an acknowledgment is missing: give_up_ms counts from here */
	uint16_t mss;           /* payload and options that a segment may have now */
	uint16_t peer_mss;      /* … by the peer's option */
	uint16_t link_mss;      /* … by our own port's MTU */
	uint16_t announced_mss; /* that our SYN told the peer */
	/* How large a segment the path takes, tcp_mtu.c. */
	uint16_t mss_try;       /* a probe of this size is on its way; 0: none */
	uint16_t mss_fails;     /* this didn't pass; 0: nothing failed */
	uint32_t mss_probe_end; /* sequence number behind the probe */
	uint32_t mss_at_ms;     /* when mss last changed */

	/* Receiving. */
	struct mbuf_queue received;
	struct rte_mbuf *early, *early_last; /* out of order: by sequence number, disjoint (tcp_receive.c) */
	uint32_t early_mbufs;
	uint32_t rcv_nxt;
	uint32_t rcv_edge;                     /* right edge of the window that we offered: never taken back */
	uint32_t rcv_acked;                    /* the last acknowledgment that we sent */
	uint32_t receive_buffer;               /* bytes that may wait in `received` and be on their way to it */
	uint32_t tune_seq;                     /* auto-tuning: what was taken since this, */
	uint32_t tune_ms;                      /* … since then */
	uint32_t tune_rtt_ms;                  /* round trip as the receiver sees it; 0: not known */
	uint32_t fin_seq;                      /* of the peer's FIN, when fin_known: it may come before what it ends */
	struct tcp_range told[TCP_SACKS_TOLD]; /* ranges in `early`, the latest first; empty: end == begin */
	struct tcp_range twice;                /* came although it was here: to be told by D-SACK; empty: none */
	uint32_t ts_recent, ts_recent_ms;      /* RFC 7323 section 4.3, and when it was set */
	uint32_t ts_offset;                    /* our TSval is now_ms + this */
	uint32_t heard_ms;                     /* when a segment last came */
	uint32_t data_ms;                      /* when bytes last came */

	/* Timers: one for what was sent, one for the ACK that is owed, one for the life of the connection. */
	uint32_t timer_at, ack_at, life_at;
	uint8_t timer; /* enum tcp_timer */

	uint8_t state; /* enum tcp_state */
	uint8_t their_wscale, our_wscale;
	uint8_t challenged;  /* when a challenge ACK was last sent, as flow_may_challenge */
	uint8_t keepalives;  /* sent without an answer */
	uint8_t probes;      /* of the closed window, since it closed */
	uint8_t black_holes; /* time-outs in a row of segments larger than what surely passes */
	uint8_t unacked;     /* segments in order since our last ACK, saturating */
	uint8_t quick;       /* segments that were acknowledged at once, since the peer began to send */
	bool ack_armed : 1, life_armed : 1;
	bool sack : 1, timestamps : 1, wscale : 1; /* negotiated; before that: offered */
	bool shut : 1;                             /* the application has: FIN after `sending` */
	bool fin_acked : 1;                        /* … and the peer has acknowledged it */
	bool fin_known : 1;                        /* fin_seq is set */
	bool peer_closed : 1;                      /* the peer's FIN has come, and all before it */
	bool syn_again : 1;                        /* our SYN had to be repeated */
	bool unsent : 1;                           /* env->send failed */
	bool ack_now : 1;                          /* an ACK is due with this step */
	uint32_t resent;                           /* segments sent again, for statistics */
};

static_assert(sizeof(struct tcp) <= 512, "eight cache lines");

/* The control block is the caller's memory. Each open fills all of it, whatever was there. */

/* The terms of a connection whose handshake is over, as the SYN cookie's ACK told them. */
struct tcp_accepted {
	uint32_t iss, irs;    /* initial sequence numbers, ours (the cookie) and the peer's */
	uint32_t window;      /* the peer's, bytes */
	uint32_t offered;     /* bytes behind irs + 1 that were offered to it until now */
	uint32_t acked;       /* bytes behind irs + 1 that were acknowledged until now */
	uint16_t peer_mss;    /* the peer's, options not counted */
	uint16_t link_mss;    /* the port's MTU less IP and TCP header */
	uint8_t their_wscale; /* shift of the peer's windows; TCP_WSCALE_NONE: none */
	uint8_t our_wscale;   /* shift that we announced; of no meaning without theirs */
	bool sack, timestamps;
	uint32_t ts_recent; /* the peer's latest TSval */
	uint32_t ts_offset; /* our TSval less the clock */
};

/* Opens; held, bytes from irs + 1 on, become the first received and are acknowledged. *held is empty afterwards. */
unsigned tcp_open_accepted(struct tcp *tcp, const struct tcp_env *env, const struct tcp_accepted *terms,
			   struct mbuf_queue *held);

/* What our SYN says. */
struct tcp_connect {
	uint32_t iss;
	uint32_t ts_offset;
	uint16_t link_mss;      /* the port's MTU less IP and TCP header: largest segment that we send */
	uint16_t announced_mss; /* that we tell the peer */
	uint16_t default_mss;   /* of the family, where the peer's SYN has no such option: TCP_MSS_DEFAULT_… */
	uint8_t our_wscale;     /* TCP_WSCALE_NONE: not offered */
	bool sack, timestamps;
};

/* Sends a SYN, and repeats it until there is an answer or the caller has had enough. Bytes may be written at once. */
void tcp_open_connect(struct tcp *tcp, const struct tcp_env *env, const struct tcp_connect *terms);

/* A segment for this connection. Takes the mbuf: one of one segment, which begins with the frame that packet is of. */
unsigned tcp_input(struct tcp *tcp, const struct tcp_env *env, const struct packet *packet, struct rte_mbuf *mbuf);
/* Whether packet is a SYN that may begin another connection between the same ends, since this one is in TIME-WAIT (RFC
 * 6191, RFC 9293 section 3.6.1): free this one, and treat it as anybody's. options: the packet's. */
bool tcp_yields(const struct tcp *tcp, const struct packet *packet, const uint8_t *options);
/* A router says that a segment from seq on was larger than fits; mss: payload and options that would have. Does nothing
 * unless seq is of something on its way (RFC 5927). True: it was. */
bool tcp_too_big(struct tcp *tcp, const struct tcp_env *env, uint32_t seq, uint16_t mss);

/* When tcp_timer is to be called: true, and *at_ms; false: not at all. To be asked after every call. */
bool tcp_next_ms(const struct tcp *tcp, uint32_t *at_ms);
/* Does what is due; nothing when called early. */
unsigned tcp_timer(struct tcp *tcp, const struct tcp_env *env);

/* What came in order: to be taken from its head. tcp_took is to follow, so that the peer hears of the room. */
static inline struct mbuf_queue *
tcp_received(struct tcp *tcp)
{
	return &tcp->received;
}
void tcp_took(struct tcp *tcp, const struct tcp_env *env);

/* Bytes that tcp_write should be given now. Whoever has more, and no more than half of send_first at once that it can't
 * divide, gets TCP_WRITABLE when there is more room. */
static inline uint32_t
tcp_room(const struct tcp *tcp)
{
	return tcp->send_buffer > tcp->sending.bytes ? tcp->send_buffer - tcp->sending.bytes : 0;
}
/* Takes all of bytes, which is empty afterwards, also what is over tcp_room. Not after tcp_shut. */
void tcp_write(struct tcp *tcp, const struct tcp_env *env, struct mbuf_queue *bytes);
/* FIN after what is queued. What the peer sends still comes. A connection that isn't established yet closes when it is.
 */
void tcp_shut(struct tcp *tcp, const struct tcp_env *env);
/* RST, where there is somebody to tell; no events follow, only tcp_free. */
void tcp_abort(struct tcp *tcp, const struct tcp_env *env);
/* Gives all buffers back. The control block may be used for another connection. */
void tcp_free(struct tcp *tcp);

/* Payload of a full segment without SACK blocks. */
static inline uint32_t
tcp_full(const struct tcp *tcp)
{
	enum { TIMESTAMPS = 12 };
	return tcp->timestamps ? tcp->mss - TIMESTAMPS : tcp->mss;
}

/* Bytes that were sent and not acknowledged, as far as they are thought to be on their way (RFC 6675: pipe). */
static inline uint32_t
tcp_flight(const struct tcp *tcp)
{
	uint32_t gone = tcp->board.sacked + tcp->board.lost + tcp->rack.duplicates * tcp_full(tcp);
	uint32_t sent = tcp->nxt - tcp->una;
	return sent > gone ? sent - gone : 0;
}

/* Packet buffers that it has. */
static inline uint32_t
tcp_mbufs(const struct tcp *tcp)
{
	return tcp->sending.mbufs + tcp->received.mbufs + tcp->early_mbufs + (tcp->board.page != NULL);
}

const char *tcp_state_text(enum tcp_state state);

#endif
