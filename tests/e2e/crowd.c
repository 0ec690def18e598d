/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many connections that stay, and say a little all the time, both ways at once: what a gateway's restart must not
 *break.
 *
 *	crowd server [-p PERIOD_MS] [-l LONGEST_MS] PORT
 *	crowd client -n COUNT [-p PERIOD_MS] [-l LONGEST_MS] -s SNI ADDRESS PORT
 *
 * A connection begins with a ClientHello, so that a gateway can tell where it goes; its "random" holds the connection's
 * number. There is no TLS beyond it: from then on each side sends a block every PERIOD_MS,
 *
 *	microseconds when it was made | its number, from 0 | noise that follows from connection, direction and number
 *
 * and checks every byte of the other's. A block's age on arrival is what a user would have had to wait; the oldest of a
 * connection is its stall.
 *
 * The client prints "ready" once a block has come in on every connection. SIGUSR1 prints the figures since the last one
 * and begins anew. SIGTERM ends: the client closes, the server closes what it closed, both print what they saw of the
 *whole time and end with 0 when no connection was lost (ended by anything but that close), no byte was wrong, and no
 *stall was longer than LONGEST_MS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	WORDS = 128, /* of a block, its two first ones included */
	BLOCK = WORDS * 8,
	HELLO_MAX = 512,
	HELLO_NUMBER = 11, /* offset of the random in a ClientHello, and of our number in it */
	CONNECTIONS_MAX = 65536,
	CONNECTING_MAX = 64, /* at a time */
	CLOSE_WAIT_MS = 30000,
	EVENTS = 256
};

struct connection {
	int fd; /* -1: ended */
	uint64_t number;
	uint64_t sent, received; /* blocks */
	uint64_t due_us;         /* of the next block */
	uint64_t stall_us, stall_all_us;
	uint8_t in[HELLO_MAX + BLOCK], out[HELLO_MAX + BLOCK];
	size_t n_in, n_out, at_out;
	bool greeted;       /* the server has read the hello; the client has connected */
	bool finished;      /* we have closed our half */
	bool peer_ended;    /* the peer its own */
	bool lost, counted; /* counted: in ready */
};

static struct {
	bool server;
	unsigned count, longest_ms;
	uint64_t period_us;
	const char *sni, *address, *port;
} options = {.count = 100, .period_us = 500000};

static struct connection **connections; /* in the order of their beginning */
static unsigned n_connections, n_connecting, n_ready, n_lost, n_wrong;
static uint64_t blocks;
static int epoll_fd, signal_fd, listen_fd = -1;
static bool closing;
static char first_loss[128];

static uint64_t
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
fatal(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* SplitMix64's finalizer. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t
noise(uint64_t number, bool to_server, uint64_t block, unsigned word)
{
	return mix(number << 32 ^ block << 8 ^ word ^ (to_server ? UINT64_C(1) << 63 : 0));
}

/* --- ClientHello (RFC 8446 section 4.1.2), as short as one may be --------------------------------------------------
 */

static size_t
put(uint8_t *at, size_t n, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[n + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return n + bytes;
}

static size_t
hello_make(uint8_t out[HELLO_MAX], uint64_t number)
{
	size_t name = strlen(options.sni), n = 9;

	n = put(out, n, 0x0303, 2);
	memcpy(out + n, &number, sizeof(number));
	memset(out + n + sizeof(number), 7, 32 - sizeof(number));
	n = put(out, n + 32, 0, 1);
	n = put(out, n, 2, 2);
	n = put(out, n, 0x1301, 2);
	n = put(out, n, 0x0100, 2);
	n = put(out, n, name + 9 + 7, 2);
	n = put(out, n, 0, 2); /* server_name */
	n = put(out, n, name + 5, 2);
	n = put(out, n, name + 3, 2);
	n = put(out, n, 0, 1);
	n = put(out, n, name, 2);
	memcpy(out + n, options.sni, name);
	n += name;
	n = put(out, n, 43, 2); /* supported_versions */
	n = put(out, n, 3, 2);
	n = put(out, n, 2, 1);
	n = put(out, n, 0x0304, 2);
	put(out, 0, 0x160301, 3);
	put(out, 3, n - 5, 2);
	put(out, 5, 1, 1);
	put(out, 6, n - 9, 3);
	return n;
}

/* --- connections
 * ------------------------------------------------------------------------------------------------------ */

static struct connection *
connection_new(int fd, uint32_t events)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct epoll_event event = {.events = events | EPOLLET, .data.ptr = connection};
	const int one = 1;

	if (connection == NULL || n_connections == CONNECTIONS_MAX)
		fatal("too many connections");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->fd = fd;
	connection->number = n_connections;
	connections[n_connections++] = connection;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		fatal("epoll");
	return connection;
}

static void
connection_end(struct connection *connection, const char *why)
{
	if (connection->fd < 0)
		return;
	close(connection->fd);
	connection->fd = -1;
	if (!options.server && !connection->greeted)
		n_connecting--;
	if (why == NULL)
		return;
	connection->lost = true;
	if (n_lost++ == 0)
		snprintf(first_loss, sizeof(first_loss), "connection %u, after %u blocks out and %u in: %s",
			 (unsigned)connection->number, (unsigned)connection->sent, (unsigned)connection->received, why);
}

static void
finish(struct connection *connection)
{
	if (connection->finished || connection->fd < 0 || connection->at_out < connection->n_out)
		return;
	connection->finished = true;
	shutdown(connection->fd, SHUT_WR);
	if (connection->peer_ended)
		connection_end(connection, NULL);
}

static void
flush(struct connection *connection)
{
	while (connection->at_out < connection->n_out) {
		ssize_t n = send(connection->fd, connection->out + connection->at_out,
				 connection->n_out - connection->at_out, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			connection_end(connection, strerror(errno));
			return;
		}
		connection->at_out += (size_t)n;
	}
	connection->at_out = connection->n_out = 0;
	if (options.server ? connection->peer_ended : closing)
		finish(connection);
}

static void
say(struct connection *connection, uint64_t now)
{
	uint64_t block[WORDS] = {now, connection->sent};

	if (connection->n_out + BLOCK > sizeof(connection->out) || connection->finished)
		return;
	for (unsigned i = 2; i < WORDS; i++)
		block[i] = noise(connection->number, !options.server, connection->sent, i);
	memcpy(connection->out + connection->n_out, block, BLOCK);
	connection->n_out += BLOCK;
	connection->sent++;
	flush(connection);
}

static void
take_block(struct connection *connection, uint64_t now)
{
	uint64_t block[WORDS];
	bool wrong;

	memcpy(block, connection->in, BLOCK);
	wrong = block[1] != connection->received || block[0] > now;
	for (unsigned i = 2; i < WORDS; i++)
		wrong |= block[i] != noise(connection->number, options.server, connection->received, i);
	n_wrong += wrong;
	connection->received++;
	blocks++;
	uint64_t age = wrong ? 0 : now - block[0];
	if (age > connection->stall_us)
		connection->stall_us = age;
	if (age > connection->stall_all_us)
		connection->stall_all_us = age;
	if (!connection->counted) {
		connection->counted = true;
		if (++n_ready == options.count && !options.server) {
			puts("ready");
			fflush(stdout);
		}
	}
}

/* Takes the hello, or a block, off the front of what came in. False: it isn't whole. */
static bool
take_front(struct connection *connection, uint64_t now)
{
	size_t length = BLOCK;

	if (options.server && !connection->greeted) {
		length = connection->n_in < 5 ? SIZE_MAX
					      : 5 + ((size_t)connection->in[3] << 8 | (size_t)connection->in[4]);
		if (connection->n_in < length)
			return false;
		memcpy(&connection->number, connection->in + HELLO_NUMBER, sizeof(connection->number));
		connection->greeted = true;
		connection->due_us = now;
	} else if (connection->n_in < BLOCK) {
		return false;
	} else {
		take_block(connection, now);
	}
	connection->n_in -= length;
	memmove(connection->in, connection->in + length, connection->n_in);
	return true;
}

static void
take(struct connection *connection)
{
	ssize_t n = 1;

	while (connection->fd >= 0 && n > 0) {
		n = recv(connection->fd, connection->in + connection->n_in, sizeof(connection->in) - connection->n_in,
			 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			connection_end(connection, strerror(errno));
		if (n < 0)
			return;
		connection->n_in += (size_t)n;
		while (take_front(connection, now_us()))
			;
	}
	if (connection->fd < 0)
		return;
	/* The server only ends what the client ended. */
	if (connection->n_in != 0 || (!options.server && !connection->finished)) {
		connection_end(connection, "closed before its end");
		return;
	}
	connection->peer_ended = true;
	if (connection->finished)
		connection_end(connection, NULL);
	else
		finish(connection);
}

static void
connected(struct connection *connection)
{
	connection->greeted = true;
	n_connecting--;
	connection->due_us = now_us();
	connection->n_out = hello_make(connection->out, connection->number);
	flush(connection);
}

static void
happened(struct connection *connection, uint32_t events)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (connection->fd < 0)
		return;
	if (!options.server && !connection->greeted && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error != 0) {
			connection_end(connection, strerror(error));
			return;
		}
		connected(connection);
	}
	if (connection->fd >= 0 && (events & EPOLLOUT))
		flush(connection);
	if (connection->fd >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		take(connection);
}

static void
accept_all(void)
{
	int fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		connection_new(fd, EPOLLIN | EPOLLOUT);
}

static void
connect_more(const struct addrinfo *target)
{
	while (!closing && n_connections < options.count && n_connecting < CONNECTING_MAX) {
		int fd = socket(target->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0 || (connect(fd, target->ai_addr, target->ai_addrlen) != 0 && errno != EINPROGRESS))
			fatal("connect");
		n_connecting++;
		connection_new(fd, EPOLLIN | EPOLLOUT);
	}
}

/* --- figures --------------------------------------------------------------------------------------------------------
 */

static int
order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Prints a line; returns whether nothing is wrong. whole: of all the time. */
static bool
report(bool whole)
{
	uint64_t *stalls = calloc(n_connections + 1, sizeof(*stalls));

	if (stalls == NULL)
		fatal("memory");
	for (unsigned i = 0; i < n_connections; i++) {
		stalls[i] = whole ? connections[i]->stall_all_us : connections[i]->stall_us;
		connections[i]->stall_us = 0;
	}
	qsort(stalls, n_connections, sizeof(*stalls), order);
	unsigned n = n_connections == 0 ? 0 : n_connections - 1;
	uint64_t median = stalls[n / 2], high = stalls[n - n / 100], longest = stalls[n];
	printf("%s %u connections, %llu blocks in, %u lost, %u wrong; stall median %.0f ms, 99 %% %.0f ms, longest "
	       "%.0f "
	       "ms\n",
	       options.server ? "to server:" : "to client:", n_connections, (unsigned long long)blocks, n_lost, n_wrong,
	       (double)median / 1e3, (double)high / 1e3, (double)longest / 1e3);
	if (n_lost > 0)
		printf("the first that was lost: %s\n", first_loss);
	fflush(stdout);
	free(stalls);
	return n_lost == 0 && n_wrong == 0 &&
	       (options.longest_ms == 0 || longest <= (uint64_t)options.longest_ms * 1000);
}

/* --- main loop ------------------------------------------------------------------------------------------------------
 */

static bool
all_ended(void)
{
	for (unsigned i = 0; i < n_connections; i++)
		if (connections[i]->fd >= 0)
			return false;
	return true;
}

/* Lets every connection that is due say something; returns for how many ms there is nothing to say. */
static int
talk(void)
{
	uint64_t now = now_us(), next = now + 50000;

	for (unsigned i = 0; i < n_connections; i++) {
		struct connection *connection = connections[i];
		if (connection->fd < 0 || !connection->greeted || connection->finished)
			continue;
		if (connection->due_us <= now && !closing) {
			/* Spread over the period, so that there is no beat. */
			connection->due_us = connection->sent == 0
						     ? now + mix(connection->number) % options.period_us + 1
						     : connection->due_us + options.period_us;
			say(connection, now);
		}
		next = connection->due_us < next ? connection->due_us : next;
	}
	return closing || next <= now ? 1 : (int)((next - now) / 1000) + 1;
}

static void
take_signal(void)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			report(false);
			continue;
		}
		closing = true;
		for (unsigned i = 0; i < n_connections && !options.server; i++)
			finish(connections[i]);
	}
}

static void
watch(int fd, void *what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		fatal("epoll");
}

static bool
run(const struct addrinfo *target)
{
	struct epoll_event events[EVENTS];
	uint64_t until_us = UINT64_MAX;

	while (!closing || (!all_ended() && now_us() < until_us)) {
		if (!options.server)
			connect_more(target);
		int n = epoll_wait(epoll_fd, events, EVENTS, talk());
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &signal_fd)
				take_signal();
			else if (events[i].data.ptr == &listen_fd)
				accept_all();
			else
				happened(events[i].data.ptr, events[i].events);
		}
		if (closing && until_us == UINT64_MAX)
			until_us = now_us() + CLOSE_WAIT_MS * 1000ULL;
	}
	for (unsigned i = 0; i < n_connections; i++)
		connection_end(connections[i], "never closed");
	return report(true);
}

static bool
options_read(int argc, char **argv)
{
	int option;

	if (argc < 3)
		return false;
	options.server = strcmp(argv[1], "server") == 0;
	if (!options.server && strcmp(argv[1], "client") != 0)
		return false;
	optind = 2;
	while ((option = getopt(argc, argv, "n:p:l:s:")) != -1) {
		switch (option) {
		case 'n':
			options.count = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			options.period_us = strtoul(optarg, NULL, 10) * 1000;
			break;
		case 'l':
			options.longest_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			options.sni = optarg;
			break;
		default:
			return false;
		}
	}
	if (options.period_us == 0 || options.count == 0 || options.count > CONNECTIONS_MAX)
		return false;
	if (options.server) {
		options.port = argv[optind];
		return optind + 1 == argc;
	}
	options.address = argv[optind];
	options.port = optind + 2 == argc ? argv[optind + 1] : NULL;
	return options.port != NULL && options.sni != NULL && strlen(options.sni) < HELLO_MAX - 128;
}

static void
listen_at(const struct addrinfo *target)
{
	const int one = 1;

	listen_fd = socket(target->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listen_fd < 0 || bind(listen_fd, target->ai_addr, target->ai_addrlen) != 0 || listen(listen_fd, 4096) != 0)
		fatal("listen");
	watch(listen_fd, &listen_fd);
}

int
main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *target;
	const struct rlimit files = {CONNECTIONS_MAX + 64, CONNECTIONS_MAX + 64};
	sigset_t set;

	if (!options_read(argc, argv)) {
		fprintf(stderr, "usage: crowd server [-p PERIOD_MS] [-l LONGEST_MS] PORT\n"
				"       crowd client -n COUNT [-p PERIOD_MS] [-l LONGEST_MS] -s SNI ADDRESS PORT\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	connections = calloc(CONNECTIONS_MAX, sizeof(*connections));
	if (epoll_fd < 0 || signal_fd < 0 || connections == NULL)
		fatal("start");
	watch(signal_fd, &signal_fd);
	if (getaddrinfo(options.server ? "::" : options.address, options.port, &hints, &target) != 0)
		fatal("address");
	if (options.server)
		listen_at(target);
	bool good = run(target);
	freeaddrinfo(target);
	return good ? 0 : 1;
}
