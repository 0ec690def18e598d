/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of a TLS connection on a non-blocking socket, and what it says: a client asks when it is told to, a server
 * replies to each request. Every request of a client is filled with a byte of its own, and so is the server's reply.
 *
 *	CONNECTING ──▶ SHAKING ──▶ OPEN ──▶ CLOSING
 *	a client's     TLS                  a client's: it has said all, and waits for the other side's end
 *
 * An end is in epoll (level-triggered; its data is the pointer), and goes on by end_advance when that says so. It frees
 * itself. One thread.
 */
#ifndef POSTERN_PERF_TLS_LOAD_END_H
#define POSTERN_PERF_TLS_LOAD_END_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum end_state { END_CONNECTING, END_SHAKING, END_OPEN, END_CLOSING };
enum end_outcome { END_FINISHED, END_NO_CONNECTION, END_NO_HANDSHAKE, END_LOST, END_WRONG_BYTES, END_OUTCOMES };

struct end;

/* What all ends have in common. */
struct end_plan {
	int epoll_fd;
	SSL_CTX *contexts[2]; /* a client's, a server's */
	const char *sni;
	unsigned request, response; /* bytes */
	bool endless;               /* a reply never ends, but the first one of each connection */
	uint64_t *payload;          /* bytes that clients received are added here */
	void (*answered)(struct end *client, uint64_t now_ns); /* may call end_ask or end_finish */
	void (*gone)(struct end *client, enum end_outcome outcome);
};

struct end {
	const struct end_plan *plan;
	int fd;
	bool server, wants_out;
	enum end_state state;
	SSL *ssl;
	uint8_t fill;
	uint32_t requests;         /* so far */
	uint64_t due_ns;           /* a client's: since when its request is due; 0: none is under way */
	uint64_t to_send, to_come; /* bytes of what is being said, and of what is awaited */
	/* The owner's: where a client stands in its list, and how many more requests are due. */
	uint32_t place, turns;
};

/* CLOCK_MONOTONIC. */
uint64_t end_clock_ns(void);
/* Ends the program, with errno's text and OpenSSL's. */
_Noreturn void end_die(const char *what);

/* A client, which asks once when it is open. */
struct end *end_connect(const struct end_plan *plan, const struct sockaddr_in *target, uint8_t fill, uint64_t due_ns);
/* A server, of an accepted socket; end_advance, please. */
struct end *end_serve(const struct end_plan *plan, int fd);
/* A client that is OPEN, and has no request under way. end_advance sends it. */
void end_ask(struct end *client, uint64_t due_ns);
/* A client says that it is through. */
void end_finish(struct end *client);
/* As far as it goes for now. The end may be freed. */
void end_advance(struct end *end);

#endif
