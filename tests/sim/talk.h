/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation through the rig: a client and an endpoint that know just enough TCP to say the right thing next.
 *
 * Each side keeps its own sequence number and what it expects of the other, in its own numbering; what it says goes out
 * with the options that its handshake agreed on. Nothing is repeated or acknowledged by itself: a test says what is
 * said when, and may take the segment that comes next (talk_segment) and bend it first.
 */
#ifndef POSTERN_TESTS_SIM_TALK_H
#define POSTERN_TESTS_SIM_TALK_H

#include "tests/sim/rig.h"

enum { TALK_HELLO = 200 /* bytes of what talk_connect sends first */ };

/* One end of the connection. Before the handshake: what its SYN offers. */
struct talk_side {
	struct ip_addr addr, gate; /* its own address, and the one of ours that it talks to */
	uint16_t port, gate_port;
	unsigned device;
	uint32_t seq, ack; /* what it sends next; what it expects next */
	uint16_t window;   /* as in its next segment: unscaled before the handshake is over, scaled after it */
	uint16_t mss;      /* 0: no such option */
	uint8_t wscale;    /* TCP_WSCALE_NONE: no such option */
	bool sack, timestamps;
	uint32_t tsval, tsecr; /* what its next segment says, where timestamps are on */
	bool timestamps_on;
};

struct talk {
	struct rig *rig;
	struct talk_side side[LEG_COUNT];
	bool far;             /* the client's round trip takes DIAL_FAR_MS: talk_open turns the clock by it */
	struct segment heard; /* what was heard last; its payload is in frame */
	uint8_t frame[RIG_FRAME];
};

/* A client at 192.0.2.2 port 50000 and an endpoint at 198.51.100.10 port 8443, or their IPv6 likes; modern options,
 * windows of 65535. The rig's first dial leads to that endpoint. */
void talk_init(struct talk *talk, struct rig *rig, bool client_v6, bool endpoint_v6);

/* What a side would say next. */
struct segment talk_segment(const struct talk *talk, unsigned leg, uint8_t flags);
/* Says it, with payload (pattern bytes of the stream when NULL), and moves on by what it takes of the sequence space.
 */
void talk_say(struct talk *talk, unsigned leg, uint8_t flags, const uint8_t *payload, uint16_t length);
/* The bytes that talk_say sends where payload is NULL: they follow from the sequence number. */
void talk_pattern(uint32_t seq, uint8_t *bytes, uint16_t length);

/* What arrives next at a side, in talk->heard; moves on what it expects when that is next in order. False when there is
 * nothing, or it isn't of this connection. */
bool talk_hear(struct talk *talk, unsigned leg);
/* The same, and it has these flags, number and acknowledgment as expected, and so much payload. */
bool talk_hear_exactly(struct talk *talk, unsigned leg, uint8_t flags, uint16_t length);
/* The same for a RST that the side must obey: its number is the next expected. */
bool talk_hear_reset(struct talk *talk, unsigned leg);
/* Whether nothing waits at either side. */
bool talk_silent(const struct talk *talk);

/* SYN, SYN-ACK, ACK: the flow is PEEKING. */
bool talk_open(struct talk *talk);
/* The client's first bytes: the flow is CONNECTING. */
void talk_hello(struct talk *talk);
/* Hears the SYN at the endpoint, and takes its numbers. */
bool talk_hear_syn(struct talk *talk);
/* The same of a SYN that comes once, as a probe does. */
bool talk_hear_one_syn(struct talk *talk);
/* Answers it: the flow is SPLICED. */
void talk_answer(struct talk *talk);
/* All of that with a hello of TALK_HELLO bytes, and hears it at the endpoint. */
bool talk_connect(struct talk *talk);
/* A few bytes each way, and their ACKs. */
bool talk_exchange(struct talk *talk, uint16_t length);
/* FINs from first and from the other side, their ACKs, and the linger: the flow is gone. */
bool talk_close(struct talk *talk, unsigned first);

/* The only flow of the rig's first worker, or NULL. */
struct flow *talk_flow(const struct talk *talk);

/* The first option of a kind in what was heard last, at its kind byte; NULL when there is none. */
const uint8_t *talk_option(const struct segment *segment, uint8_t kind);
/* 32 bits in network order. */
uint32_t talk_get_32(const uint8_t *at);
void talk_put_32(uint8_t *at, uint32_t value);

#endif
