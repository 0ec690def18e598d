/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane's door: what it asks of the gateway, and what it tells it.
 *
 * The data plane knows packets, not names. Whatever needs a name it asks through struct dataplane_hooks. Hooks run on
 * workers: they don't block, lock or allocate from the heap, and what they point to stays put until the worker's next
 * quiescent state.
 *
 * Live slots are numbers that the gateway chose for endpoints, backends and listeners; they outlast reloads. The
 * data plane stores them in flow records, counts under them (struct live_counters), and never looks behind them.
 */
#ifndef POSTERN_DATAPLANE_DATAPLANE_H
#define POSTERN_DATAPLANE_DATAPLANE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow.h"
#include "dataplane/reason.h"
#include "platform/ip_addr.h"

enum { SNI_TEXT_MAX = 256, FLOW_EVENT_IDENTITY = 192, LIVE_SLOTS_MAX = 1 << 20 };

/* What a listener's SYN-ACK may offer. */
struct listener_offer {
	uint16_t listener; /* index to be kept in the flow record; the gateway's */
	uint32_t live;     /* live slot of the listener */
	uint16_t mss;      /* largest payload that every endpoint behind it takes; 0: the port's MTU decides */
	bool sack;
	bool timestamps; /* every endpoint behind it is known to speak them */
	bool draining;   /* don't take new connections */
	bool plain;      /* the decision needs no bytes: it is asked for at the handshake's last ACK */
};

/* Where a connection goes. */
struct dial {
	struct ip_addr addr;
	uint16_t port;               /* host order */
	uint32_t endpoint;           /* live slot, >= 1 */
	uint32_t service;            /* live slot of the backend, >= 1 */
	uint32_t connect_timeout_ms; /* for this attempt, >= 1 */
};

enum decision {
	DECISION_MORE,
	DECISION_DIAL,   /* to be spliced */
	DECISION_BRIDGE, /* the gateway ends the connection here (bridge.h) */
	DECISION_REFUSE
};

/* What is known of a connection when the gateway decides. */
struct decide_input {
	struct ip_addr client, local;
	uint16_t client_port, local_port; /* host order */
	const uint8_t *bytes;             /* the stream so far, contiguous from its beginning */
	uint32_t length;                  /* 0: only of a plain listener */
	uint8_t attempt;                  /* 0: first choice; else another endpoint than tried */
	uint32_t tried[2];                /* live slots that failed, most recent first; 0: none */
	uint32_t random;                  /* for balancing; the only randomness that the decision may use */
};

/* TCP options that a peer's SYN or SYN-ACK had. */
struct tcp_profile {
	uint16_t mss;
	uint8_t wscale; /* TCP_WSCALE_NONE: no window scaling */
	bool sack, timestamps;
	/* Whether our SYN offered it. Where it didn't, the absence of an answer says nothing. */
	bool asked_sack, asked_timestamps;
	uint16_t window; /* of the SYN-ACK, unscaled */
};

struct bridge;
struct worker;
struct flow_event;

struct dataplane_hooks {
	void *context;
	/* A SYN (or a proven ACK) for a local address and port, host order. False: no listener. */
	bool (*listener)(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer);
	/* The one decision. MORE: the hello isn't whole. DIAL: *dial is set. BRIDGE: bridge_opened comes next. REFUSE:
	 * *reason is set, and sni (NUL-terminated, may be empty) for the log. Called again with attempt > 0 when an
	 * endpoint failed. */
	enum decision (*decide)(void *context, unsigned worker, const struct decide_input *input, struct dial *dial,
				enum reason *reason, char sni[SNI_TEXT_MAX]);
	/* An endpoint answered a SYN with these options. */
	void (*learned)(void *context, unsigned worker, uint32_t endpoint, const struct tcp_profile *profile);

	/* The rest concerns bridges (bridge.h has the calls that answer), and is NULL where decide never says BRIDGE;
	 * but poll may be NULL by itself, or be there without the others. */

	/* After DECISION_BRIDGE: a session is wanted, and the client's first bytes can be read. False: there is none,
	 * *reason is set; nothing else is heard of the bridge. */
	bool (*bridge_opened)(void *context, struct worker *worker, struct bridge *bridge, enum reason *reason);
	/* Something happened on a leg: bits of enum bridge_event. reason: of BRIDGE_CONNECT_FAILED. */
	void (*bridge_event)(void *context, struct worker *worker, struct bridge *bridge, unsigned leg, unsigned events,
			     enum reason reason);
	/* The last call: frees the session. The connection is over, or closing without it. event: what the access log
	 * will be told, for the gateway to add what it knows (sni); NULL when no log is wanted. */
	void (*bridge_gone)(void *context, struct worker *worker, struct bridge *bridge, struct flow_event *event);
	/* Once in each loop of a worker, for what comes from other threads, which wake the worker by worker_run_wake.
	 * Returns how much there was: after 0 it may go to sleep. */
	unsigned (*poll)(void *context, struct worker *worker);
};

/* Counters of one live slot, one set for each worker; written by that worker alone, read by control with relaxed loads.
 */
struct live_counters {
	uint64_t opened; /* connections that reached SPLICED, or whose bridge joined both sides */
	uint64_t closed; /* of those, ended */
	uint64_t failed; /* attempts that didn't */
	uint64_t sent; /* payload bytes towards the endpoint, of ended connections and as of the last idle tick of live
			  ones */
	uint64_t received; /* payload bytes from it */
	uint32_t active;   /* CONNECTING, SPLICED and BRIDGED now */
	uint32_t reserved;
};

/* A line for the access log or an event for control: copied by value through a ring; dropped and counted when it is
 * full. */
enum flow_event_kind { FLOW_ENDED, FLOW_REFUSED };

struct flow_event {
	uint8_t kind;   /* enum flow_event_kind */
	uint8_t reason; /* enum reason */
	uint8_t worker;
	uint8_t attempts;
	uint16_t client_port, local_port, endpoint_port,
		out_port;                     /* host order; out_port: our port towards the endpoint */
	uint32_t listener, endpoint, service; /* live slots; 0: none */
	struct ip_addr client, local, endpoint_addr, out_addr;
	uint64_t opened_ms; /* wall clock, ms since 1970 */
	uint32_t duration_ms;
	uint64_t sent, received; /* payload bytes towards the endpoint, and from it */
	char sni[SNI_TEXT_MAX];  /* FLOW_REFUSED and bridges only; else empty */
	/* Bridges only: who the peer of a leg proved to be, cut where it is longer; and what else the gateway knows of
	 * the reason, a text that lives for ever, or NULL. */
	char identity[LEG_COUNT][FLOW_EVENT_IDENTITY];
	const char *detail;
};

#endif
