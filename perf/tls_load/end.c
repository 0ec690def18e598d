/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/tls_load/end.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CHUNK = 16384,
	CHUNKS_AT_ONCE = 8 /* of one connection, before it is another one's turn */
};

enum step { GO_ON, WAIT_IN, WAIT_OUT, GONE };

uint64_t
end_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

_Noreturn void
end_die(const char *what)
{
	fprintf(stderr, "tls_load: %s: %s\n", what, errno == 0 ? "failed" : strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void
watch(struct end *end, int operation, bool wants_out)
{
	struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = end};

	if (operation == EPOLL_CTL_MOD && end->wants_out == wants_out)
		return;
	end->wants_out = wants_out;
	if (epoll_ctl(end->plan->epoll_fd, operation, end->fd, &event) != 0)
		end_die("epoll_ctl");
}

static struct end *
end_new(const struct end_plan *plan, int fd, bool server)
{
	struct end *end = calloc(1, sizeof(*end));
	SSL *ssl = SSL_new(plan->contexts[server]);
	int one = 1;

	if (fd < 0)
		end_die("socket");
	if (end == NULL || ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		end_die("memory");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*end = (struct end){
		.plan = plan, .fd = fd, .server = server, .state = server ? END_SHAKING : END_CONNECTING, .ssl = ssl};
	watch(end, EPOLL_CTL_ADD, !server);
	return end;
}

static enum step
end_free(struct end *end, enum end_outcome outcome)
{
	if (!end->server)
		end->plan->gone(end, outcome);
	SSL_free(end->ssl);
	close(end->fd);
	free(end);
	return GONE;
}

struct end *
end_connect(const struct end_plan *plan, const struct sockaddr_in *target, uint8_t fill, uint64_t due_ns)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct end *end = end_new(plan, fd, false);

	SSL_set_connect_state(end->ssl);
	SSL_set_tlsext_host_name(end->ssl, plan->sni);
	end->fill = fill;
	end->due_ns = due_ns;
	/* Should it fail at once, then epoll says so. */
	(void)connect(fd, (const struct sockaddr *)target, sizeof(*target));
	return end;
}

struct end *
end_serve(const struct end_plan *plan, int fd)
{
	struct end *end = end_new(plan, fd, true);

	SSL_set_accept_state(end->ssl);
	end->to_come = plan->request;
	return end;
}

void
end_ask(struct end *client, uint64_t due_ns)
{
	client->due_ns = due_ns;
	client->to_send = client->plan->request;
	client->to_come = client->plan->endless && client->requests != 0 ? UINT64_MAX : client->plan->response;
	client->requests++;
}

void
end_finish(struct end *client)
{
	SSL_shutdown(client->ssl);
	shutdown(client->fd, SHUT_WR);
	client->state = END_CLOSING;
}

static void
server_asked(struct end *end)
{
	end->to_send = end->plan->endless && end->requests != 0 ? UINT64_MAX : end->to_send + end->plan->response;
	end->to_come = end->plan->request;
	end->requests++;
}

static void
client_answered(struct end *end)
{
	uint64_t now = end_clock_ns();

	end->plan->answered(end, now);
}

/* What becomes of an end when OpenSSL couldn't do what it was asked for. */
static enum step
step_of(struct end *end, int result)
{
	int error = SSL_get_error(end->ssl, result);

	if (error == SSL_ERROR_WANT_READ)
		return WAIT_IN;
	if (error == SSL_ERROR_WANT_WRITE)
		return WAIT_OUT;
	ERR_clear_error();
	if (end->server && error == SSL_ERROR_ZERO_RETURN)
		SSL_shutdown(end->ssl);
	if (end->state == END_CLOSING)
		return end_free(end, END_FINISHED);
	return end_free(end, end->state == END_SHAKING ? END_NO_HANDSHAKE : END_LOST);
}

static enum step
receive_some(struct end *end)
{
	static uint8_t bytes[CHUNK];
	size_t n;

	for (unsigned i = 0; i < CHUNKS_AT_ONCE || SSL_has_pending(end->ssl); i++) {
		size_t most = end->to_come != 0 && end->to_come < CHUNK ? end->to_come : CHUNK;
		int result = SSL_read_ex(end->ssl, bytes, most, &n);
		if (result != 1)
			return step_of(end, result);
		if (end->server)
			end->fill = bytes[0];
		else if (n > end->to_come || bytes[0] != end->fill || bytes[n - 1] != end->fill)
			return end_free(end, END_WRONG_BYTES);
		else
			*end->plan->payload += n;
		end->to_come -= n;
		if (end->to_come == 0)
			(end->server ? server_asked : client_answered)(end);
	}
	return GO_ON;
}

static enum step
send_some(struct end *end)
{
	static uint8_t bytes[CHUNK];
	size_t n;

	for (unsigned i = 0; end->to_send != 0; i++) {
		if (i == CHUNKS_AT_ONCE)
			return WAIT_OUT;
		size_t length = end->to_send < CHUNK ? end->to_send : CHUNK;
		memset(bytes, end->fill, length);
		int result = SSL_write_ex(end->ssl, bytes, length, &n);
		if (result != 1)
			return step_of(end, result);
		end->to_send -= end->to_send == UINT64_MAX ? 0 : n;
	}
	return GO_ON;
}

/* Connects and shakes hands. */
static enum step
open_further(struct end *end)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (end->state == END_CONNECTING) {
		getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error != 0)
			return end_free(end, END_NO_CONNECTION);
		end->state = END_SHAKING;
	}
	int result = SSL_do_handshake(end->ssl);
	if (result != 1)
		return step_of(end, result);
	end->state = END_OPEN;
	if (!end->server)
		end_ask(end, end->due_ns);
	return GO_ON;
}

void
end_advance(struct end *end)
{
	enum step step = end->state < END_OPEN ? open_further(end) : GO_ON;

	if (step == GO_ON)
		step = receive_some(end) == GONE ? GONE : send_some(end);
	if (step != GONE)
		watch(end, EPOLL_CTL_MOD, step == WAIT_OUT);
}
