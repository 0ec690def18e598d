/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of session.h share. */
#ifndef POSTERN_GATEWAY_SESSION_PARTS_H
#define POSTERN_GATEWAY_SESSION_PARTS_H

#include "gateway/session.h"
#include "gateway/session_alpn.h"

struct session_leg {
	struct session *session; /* whose it is */
	struct tls_session tls;
	struct peer_proof proof;
	struct mbuf_queue rest; /* plaintext for this leg that its TLS had no room for */
	bool speaks_tls;
	bool ended; /* the peer's FIN is there, behind what was received */
	bool told;  /* that end, or a close_notify, has been passed on to the other leg */
	bool shut;  /* our FIN is sent */
};

struct session {
	struct session_worker *home;
	struct bridge *bridge; /* NULL: the connection is gone, and one of the legs still away */
	struct session_leg leg[LEG_COUNT];
	enum session_state state;
	bool ending;         /* the bridge is told to end: nothing more is done */
	uint8_t attempts;    /* endpoints tried */
	uint8_t denied;      /* enum reason: the client is being told that it isn't let in, and then this is the end */
	uint32_t tried[2];   /* that failed, most recent first */
	uint32_t place;      /* in the worker's list */
	uint64_t federation; /* generation of the snapshot that authorized it */
	uint32_t network_rule; /* LISTENER_PLAIN: index of the rule that said who it is */
	struct bridge_ends ends;
	struct session_protocols protocols; /* that the client is offered; then the one for the endpoint */
	struct tls_terms *terms;            /* for the endpoint's leg, a reference */
	bool learns;                        /* what the endpoint speaks is asked of it (session_alpn.h) */
	bool sends_proxy;                   /* the endpoint wants a PROXY header */
	char *endpoint_name;                /* server name for it, heap */
	char *service;                      /* host of the service that it was routed to, heap; NULL: none yet */
	uint16_t service_port;
	uint16_t sni_length;
	char sni[SNI_TEXT_MAX];
};

/* A worker's. */
struct session_worker {
	struct sessions *sessions;
	struct worker *worker; /* NULL until its first hook */
	struct tls_io io;
	struct session **list;
	uint32_t n, capacity;
	uint32_t hand;     /* of the round: those below are still to be looked at */
	uint64_t sweep_ms; /* when the round began */
	uint32_t looked;   /* sessions.changes, when it began */
	struct sessions_stats stats;
};

struct sessions {
	struct sessions_options options;
	atomic_uint changes; /* how often a round was asked for */
	uint64_t *spoken;    /* what endpoints of a service speak, by its live slot (session_alpn.h) */
	struct session_worker workers[];
};

/* The connection ends, for that reason; what TLS has to say about it on leg (LEG_COUNT: on none) still goes out. */
void session_fail(struct session *session, unsigned leg, enum reason reason);

void session_set_state(struct session *session, enum session_state state);

/* A client's address as one number, for the handshake queue: of IPv6 the network, since its addresses are free. */
uint32_t session_source(const struct session *session);

/* Has a handshake thread go on with a leg's handshake, if there is something to go on with; first: in any case. */
void session_step(struct session *session, unsigned leg, bool first);

/* Both sides are ready: bytes pass from here on. */
void session_join(struct session *session);

/* Chooses an endpoint by what is in force and dials it, or ends the session. why: that an endpoint before it failed. */
void session_dial(struct session *session, enum reason why);
/* What came of it: it answered, or didn't, and the next one is tried. */
void session_connected(struct session *session);
void session_connect_failed(struct session *session, enum reason reason);
/* The endpoint was asked what it speaks, and took what the client wasn't promised: it is dialled once more. */
void session_dial_again(struct session *session);

/* Passes on what can be passed on from a leg to the other one, ends included. Only when JOINED. */
void session_relay(struct session *session, unsigned from);

/* Authorizes the session by what is in force: REASON_NONE, or why not. */
enum reason session_authorize(const struct session *session, const struct decide_now *now,
			      const struct service *service);

/* Counts a handshake that is done. */
void session_count_handshake(struct session *session, unsigned leg);

/* Looks at some sessions again. Returns how many it ended. */
unsigned session_watch(struct session_worker *home);

#endif
