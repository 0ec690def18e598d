/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP, as much of it as makes a polite peer: handshake with the options of Linux, acknowledgments (of every second
 * segment, or after 40 ms), windows, slow start and congestion avoidance, retransmission by time and by three repeated
 * ACKs (RFC 5681, 6298, without a measured round trip), orderly close from either side, resets.
 *
 * What isn't there: out-of-order segments are not kept (the peer sends them again), SACK blocks are neither sent nor
 * read, no TIME-WAIT of its own (a repeated FIN is acknowledged from its own numbers instead).
 *
 * tcp knows nothing of what is said. The owner sets a connection's `goal` to send, its `rcv_goal` to be told.
 */
#ifndef POSTERN_PERF_LOADGEN_TCP_H
#define POSTERN_PERF_LOADGEN_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "perf/loadgen/conn.h"
#include "perf/loadgen/lookup.h"
#include "perf/loadgen/stream.h"
#include "perf/loadgen/timers.h"
#include "perf/loadgen/wire.h"

struct link;

enum tcp_side { TCP_CLIENT, TCP_SERVER, TCP_SIDES };

/* How a connection ended. */
#define TCP_END_LIST(X)                                                                                                \
	X(FINISHED, "finished")       /* both sides closed in order */                                                 \
	X(REFUSED, "refused")         /* RST to the SYN */                                                             \
	X(RESET, "reset")             /* RST later */                                                                  \
	X(NO_SYN_ACK, "no_syn_ack")   /* the SYN was repeated in vain */                                               \
	X(TIMED_OUT, "timed_out")     /* what was sent was repeated in vain */                                         \
	X(WRONG_BYTES, "wrong_bytes") /* what came isn't what the other end sent */                                    \
	X(ENDED_EARLY, "ended_early") /* the peer closed before all was there */                                       \
	X(ABORTED, "aborted")         /* by us, at the end of a run */

enum tcp_end {
#define X(name, text) TCP_END_##name,
	TCP_END_LIST(X)
#undef X
		TCP_ENDS
};

extern const char *const tcp_end_texts[TCP_ENDS];

/* What the owner is told, with the number of the connection. It may send, close and abort from there. */
struct tcp_hooks {
	void (*opened)(void *context, uint32_t index);  /* the handshake is over */
	void (*reached)(void *context, uint32_t index); /* rcv_nxt got to rcv_goal */
	void (*peer_closed)(void *context, uint32_t index);
	void (*ended)(void *context, uint32_t index, enum tcp_end end);
	void *context;
};

struct tcp_stats {
	uint64_t segments_in, payload_in, payload_out; /* payload: new bytes in, and all out but repeats */
	uint64_t retransmitted;                        /* segments sent again */
	uint64_t out_of_order, duplicates;             /* segments received ahead of their turn; again */
	uint64_t strays;                               /* segments of no connection */
	uint64_t resets_sent;
	uint64_t ends[TCP_ENDS];
};

struct tcp_config {
	uint32_t target;                     /* clients connect to it; network order, as the port */
	uint16_t target_port, server_port;   /* servers listen at that one; network order */
	uint32_t client_first, server_first; /* host order */
	uint32_t n_client_addresses, n_server_addresses;
	uint32_t n_clients, n_servers; /* connections at most */
	uint16_t mss;                  /* of SYNs */
	uint32_t receive_window;       /* bytes */
	bool timestamps;
	bool verify_all; /* every byte received, instead of a few of each segment */
};

enum {
	TCP_PORTS_EACH = 32768, /* of a client address, from TCP_PORT_FIRST */
	TCP_PORT_FIRST = 16384,
	TCP_WSCALE = 7 /* of ours */
};

struct tcp {
	struct tcp_config config;
	struct tcp_hooks hooks;
	struct conn *conns;
	struct link *links[TCP_SIDES];
	const struct stream *streams[TCP_SIDES]; /* what that side sends */
	struct lookup lookup;
	struct timers timers;
	uint64_t secret;
	uint32_t now_ms; /* set by tcp_time */
	struct tcp_stats stats[TCP_SIDES];
};

/* Makes room for config's connections; *tcp is zero. */
void tcp_init(struct tcp *tcp, const struct tcp_config *config, const struct tcp_hooks *hooks,
	      struct link *const links[TCP_SIDES], const struct stream *const streams[TCP_SIDES], uint64_t secret,
	      uint32_t now_ms);

static inline enum tcp_side
tcp_side(const struct tcp *tcp, uint32_t index)
{
	return index < tcp->config.n_clients ? TCP_CLIENT : TCP_SERVER;
}

/* The time, in milliseconds of any clock; runs what is due. */
void tcp_time(struct tcp *tcp, uint32_t now_ms);

/* Received segments of one side, all parsed. Their payload stays until it returns. */
void tcp_input(struct tcp *tcp, enum tcp_side side, const struct segment *segments, uint32_t n);

/* A client that is CONN_CLOSED connects. */
void tcp_connect(struct tcp *tcp, uint32_t index);
/* Sends what goal, windows and flags allow. */
void tcp_output(struct tcp *tcp, uint32_t index);
/* FIN, after what is to be sent. */
void tcp_close(struct tcp *tcp, uint32_t index);
/* RST; the connection ended for that reason. */
void tcp_abort(struct tcp *tcp, uint32_t index, enum tcp_end why);

#endif
