/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BRIDGED: a connection whose two sides end here. Each leg has a TCP endpoint of its own (tcp.h); what lies between
 * them is the gateway's session (TLS), or, where there is none, the bytes themselves (a relay).
 *
 *   client ── leg[LEG_CLIENT] ── tcp ── received ──▶ session, or relay ──▶ tcp ── leg[LEG_ENDPOINT] ── endpoint
 *                                    ◀── sending ──                    ◀──
 *
 * PEEKING ── DECISION_BRIDGE ──▶ BRIDGED: the held bytes become the first received bytes of the client's endpoint and
 * are acknowledged from now on. The gateway is asked for a session (hooks.bridge_opened), which reads and writes by the
 * calls below, dials when it knows where to (bridge_dial), and ends when it has seen enough. When both sides have
 * closed, the flow is CLOSING, as a splice is: its endpoints linger to answer what comes late.
 *
 * A relay begins in CONNECTING: the endpoint answered, but with options that can't be translated to the client's. It
 * moves bytes with back-pressure: what the receiver of one side has no room for isn't taken from the other, whose
 * window closes. A FIN is passed on behind the bytes before it; the other direction goes on.
 *
 * Idleness. A connection ends when one of its sides has said nothing for the idle time-out, and the other has taken
 * none of its bytes. A keep-alive of one is
 * answered, and the other is sent one of ours: as on a splice, they keep a connection while both ends are there.
 *
 * Memory. A record is bought at start, one of tables.bridges, and touched when first used. An idle connection is a
 * record and nothing more: all queues are empty. Bytes wait in packet buffers, of which each direction may have so many
 * as its buffers have grown to (tcp.h). When they run short for all, what arrives is dropped, as if it had been lost on
 * the way, and whoever sits on them without getting rid of any is given up: splices must not suffer from bridges.
 *
 * The flow record keeps what a process that comes after needs to end the connection in order, since nothing of a bridge
 * outlives the process: of each leg what its peer has acknowledged (ack), where what we have sent it ends (edge: not
 * the peer's window here), and what we have received of it (seq_end).
 *
 * Calls. From the worker that owns the bridge, in a hook or in hooks.poll. bridge_end and bridge_close take effect when
 * that hook returns: no other event follows but bridge_gone. Nothing else of the data plane's may be called from hooks.
 */
#ifndef POSTERN_DATAPLANE_BRIDGE_H
#define POSTERN_DATAPLANE_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/bridge_pool.h"
#include "dataplane/dataplane.h"
#include "dataplane/reason.h"
#include "dataplane/worker.h"

struct icmp_quote;
struct mbuf_queue;
struct packet;
struct rte_mbuf;
struct tcp_options;

/* Bits of what bridge_event tells; several at a time, handled in this order. */
enum bridge_event {
	BRIDGE_CONNECTED = 1 << 0, /* the endpoint that was dialled has answered */
	BRIDGE_CONNECT_FAILED =
		1 << 1,              /* it hasn't, or by a refusal; reason says why. bridge_dial may be called again */
	BRIDGE_READABLE = 1 << 2,    /* bridge_received has more */
	BRIDGE_WRITABLE = 1 << 3,    /* bridge_room has grown after it was found short */
	BRIDGE_PEER_CLOSED = 1 << 4, /* the peer's FIN: nothing follows what bridge_received has */
	BRIDGE_ALARM = 1 << 5        /* of bridge_alarm; leg says nothing */
};

/* Of the endpoint leg. */
enum bridge_phase {
	BRIDGE_ALONE,      /* not dialled, or in vain */
	BRIDGE_CONNECTING, /* SYN sent */
	BRIDGE_JOINED      /* it is, or was, established */
};

/* The session; NULL until it is set. */
static inline void *
bridge_session(const struct bridge *bridge)
{
	return bridge->session;
}

static inline void
bridge_set_session(struct bridge *bridge, void *session)
{
	bridge->session = session;
}

/* Whose connection it is. Ports in host order. */
struct bridge_ends {
	struct ip_addr client, local;
	uint16_t client_port, local_port;
	uint32_t listener, endpoint, service; /* live slots; 0: none yet */
	enum bridge_phase phase;
	uint8_t port; /* net port that the client's handshake came in by: where it really is, whatever its address */
};
void bridge_describe(const struct worker *worker, const struct bridge *bridge, struct bridge_ends *ends);

/* Opens the endpoint leg. The outcome is an event on LEG_ENDPOINT, also where it is known at once (no route, no local
 * port): then as soon as this hook returns. Bytes may be sent before it is established; they are lost when it isn't. */
void bridge_dial(struct worker *worker, struct bridge *bridge, const struct dial *dial);

/* Leaves the endpoint that has answered: RST. As if it had never been dialled: bridge_dial may be called again. From
 * hooks.poll. */
void bridge_hang_up(struct worker *worker, struct bridge *bridge);

/* What came in order from the peer of a leg, to be taken from its head; bridge_took afterwards lets the peer know of
 * the room. Empty before BRIDGE_CONNECTED. */
struct mbuf_queue *bridge_received(struct bridge *bridge, unsigned leg);
void bridge_took(struct worker *worker, struct bridge *bridge, unsigned leg);
/* How many bytes bridge_send should be given now. When it is less than the caller has, BRIDGE_WRITABLE follows. */
uint32_t bridge_room(const struct bridge *bridge, unsigned leg);
/* Sends all of bytes, which is empty afterwards; more than bridge_room is taken all the same. */
void bridge_send(struct worker *worker, struct bridge *bridge, unsigned leg, struct mbuf_queue *bytes);
/* So many of the bytes sent last only say good-bye (a close_notify): a peer that has closed and doesn't wait for them
 * misses nothing. */
static inline void
bridge_farewell(struct bridge *bridge, unsigned leg, uint32_t bytes)
{
	bridge->farewell[leg] = (uint8_t)(bytes < UINT8_MAX ? bytes : UINT8_MAX);
}
/* FIN after what was sent. */
void bridge_shut(struct worker *worker, struct bridge *bridge, unsigned leg);

/* BRIDGE_ALARM after so many ms; 0: no alarm. One for each bridge. */
void bridge_alarm(struct worker *worker, struct bridge *bridge, uint32_t after_ms);

/* RST to both sides, and that is the end. reason: for counter and log; of a connection that was never joined it is
 * counted as refused. */
void bridge_end(struct worker *worker, struct bridge *bridge, enum reason reason);
/* The same in good order: what was sent to either side still goes out, with a FIN behind it; what still comes is thrown
 * away. A side that doesn't close within BRIDGE_CLOSE_MS gets a RST. For a TLS alert, or the last record. */
void bridge_close(struct worker *worker, struct bridge *bridge, enum reason reason);

enum {
	BRIDGE_CLOSE_MS = 5000,
	BRIDGE_ASK_MS = 1000,    /* a keep-alive is passed on to a side that has been silent for so long */
	BRIDGE_SCARCE_SHARE = 4, /* with less than one of so many packet buffers free, buffers don't grow any more */
	BRIDGE_SHORT_SHARE = 16, /* … only those take more who have fewer than BRIDGE_FEW_PACKETS, and reclaim.c looks
				    for who has them */
	BRIDGE_FEW_PACKETS = 4
};

/* --- the data plane's own ----------------------------------------------------------------------------------------- */

/* Makes a bridge of a PEEKING flow, and asks for its session. The flow may be gone afterwards (no room, no session). */
void bridge_start(struct worker *worker, uint32_t index);
/* Makes a relay of a CONNECTING flow whose endpoint has answered: packet is its SYN-ACK, options are of that. False,
 * and nothing changed, when there is no room. */
bool bridge_relay(struct worker *worker, uint32_t index, const struct packet *packet,
		  const struct tcp_options *options);
/* A segment on a leg of a flow that flow_is_bridged. Takes the mbuf. */
void bridge_input(struct worker *worker, uint32_t index, unsigned leg, const struct packet *packet,
		  struct rte_mbuf *mbuf);
/* The timer of such a flow. */
void bridge_fired(struct worker *worker, uint32_t index);
/* An ICMP error about a segment that was sent on a leg; mss: what its MTU leaves for payload, when it is "too big".
 * REASON_NONE, or why it counts for nothing. */
enum reason bridge_icmp_error(struct worker *worker, uint32_t index, unsigned leg, const struct icmp_quote *quote,
			      uint16_t mss);
/* Whether a packet from the client of a CLOSING flow isn't of this connection, but may be of the next on the same ports
 * (RFC 6191). */
bool bridge_is_beyond(const struct flow *flow, const struct packet *packet);
/* Ends a connection at once: RST to both sides, record released. Not from hooks. */
void bridge_abort(struct worker *worker, uint32_t index, enum reason reason);
/* Does what was asked for in a hook that has returned. Called after each. */
void bridge_settle(struct worker *worker);
/* Gives a flow's bridge back, and the packet buffers that wait in it. */
void bridge_release(struct worker *worker, const struct flow *flow);

#endif
