/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS clients on one side of a gateway and TLS servers on the other, in one thread, on the kernel's sockets: the load
 *for those that end TLS and begin another (perf/compare/bridge.py).
 *
 *	tls_load MODE --target ADDRESS:PORT --listen ADDRESS:PORT --sni NAME --client DIR --server DIR [OPTION…]
 *
 *	connect    connections: a full handshake, a request, its reply, a close in order
 *	exchange   requests over connections that stay
 *	bulk       connections that stay; servers send all the time
 *	hold       connections that stay and say nothing; each is asked once more at the end
 *
 * TLS 1.3, TLS_AES_128_GCM_SHA256, X25519. DIR has tls.crt and tls.key. Both sides demand a certificate and have the
 *peer sign with it, but don't verify where its chain leads: that is the gateway's work, whose cost is looked for here,
 *and this program is meant to be cheap. No session is resumed: servers give no tickets, clients use none.
 *
 * Without --rate, --at-a-time connections (or requests) are under way, and the next begins when one is over. With it
 *one begins every 1/rate seconds, and its latency counts from when it was due. Each client fills its requests with a
 *byte of its own, with which the server fills its replies: bytes of another connection are seen.
 *
 * "measuring" and "ending" on standard error are the limits of what is measured; the report is JSON on standard output.
 * generator.saturated: it may be the limit, and why says in what way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "gateway/tls_library.h"

enum {
	CLIENTS_MAX = 65536, /* at a time */
	SAMPLES_MAX = 1 << 20,
	CHUNK = 16384,
	CHUNKS_AT_ONCE = 8, /* of one connection, before it is another one's turn */
	EVENTS = 256,
	BACKLOG = 4096,
	SLOW_MS = 3000, /* who takes longer has failed */
	PATH_BYTES = 512
};

enum mode { CONNECT, EXCHANGE, BULK, HOLD, MODES };
enum state { CONNECTING, SHAKING, OPEN, CLOSING };
enum phase { OPENING, WARMING, MEASURING, ASKING, OVER };
enum failure { NO_CONNECTION, NO_HANDSHAKE, LOST, WRONG_BYTES, TOO_SLOW, FAILURES };
enum step { GO_ON, WAIT_IN, WAIT_OUT, GONE };

static const char *const mode_names[MODES] = {"connect", "exchange", "bulk", "hold"};
static const char *const failure_names[FAILURES] = {"no_connection", "no_handshake", "lost", "wrong_bytes", "too_slow"};

/* One side of a connection. */
struct end {
	int fd;
	bool server, wants_out;
	enum state state;
	SSL *ssl;
	uint32_t place;            /* a client's, in clients */
	uint8_t fill;              /* of its requests and of the replies to them */
	uint32_t turns;            /* a client's requests that are due behind the present one; a server's, so far */
	uint64_t due_ns;           /* when a client's request was; 0: none is under way */
	uint64_t to_send, to_come; /* bytes of what is being said, and of what is awaited */
};

static struct {
	enum mode mode;
	struct sockaddr_in target, listen;
	const char *sni, *credentials[2]; /* the client's, the server's */
	double rate, seconds, warmup;
	unsigned at_a_time, connections, request, response;
} options = {.at_a_time = 64, .connections = 64, .request = 64, .response = 64, .seconds = 2, .warmup = 0.3};

static SSL_CTX *contexts[2];
static int epoll_fd, listen_fd;
static struct end *clients[CLIENTS_MAX]; /* the first n_clients */
static uint32_t n_clients;
static uint8_t last_fill;

static enum phase phase;
static uint64_t phase_ns; /* when it began */
static uint64_t pace_ns;  /* when what --rate says began */
static uint64_t next_ns;  /* when the next connection or request is due */
static uint64_t n_due;    /* how many were */
static unsigned n_opened, n_answered;

/* What the report has. */
static uint64_t done, payload, failures[FAILURES], failures_of_all[FAILURES];
static uint32_t samples[SAMPLES_MAX]; /* latencies, us */
static unsigned n_samples;
static uint64_t cpu_ns, tsc;
static double took_s;

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t
now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "tls_load: %s: %s\n", what, errno == 0 ? "failed" : strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

/* --- one end --------------------------------------------------------------------------------------------------------
 */

static void
watch(struct end *end, int operation, bool wants_out)
{
	struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = end};

	if (operation == EPOLL_CTL_MOD && end->wants_out == wants_out)
		return;
	end->wants_out = wants_out;
	if (epoll_ctl(epoll_fd, operation, end->fd, &event) != 0)
		die("epoll_ctl");
}

static struct end *
end_new(int fd, bool server)
{
	struct end *end = calloc(1, sizeof(*end));
	SSL *ssl = SSL_new(contexts[server]);
	int one = 1;

	if (end == NULL || ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		die("memory");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*end = (struct end){.fd = fd, .server = server, .state = server ? SHAKING : CONNECTING, .ssl = ssl};
	if (server) {
		SSL_set_accept_state(ssl);
		end->to_come = options.request;
	} else {
		SSL_set_connect_state(ssl);
		SSL_set_tlsext_host_name(ssl, options.sni);
		end->fill = ++last_fill;
		end->place = n_clients;
		clients[n_clients++] = end;
	}
	watch(end, EPOLL_CTL_ADD, !server);
	return end;
}

static enum step
end_free(struct end *end)
{
	if (!end->server) {
		clients[end->place] = clients[--n_clients];
		clients[end->place]->place = end->place;
	}
	SSL_free(end->ssl);
	close(end->fd);
	free(end);
	return GONE;
}

/* A connection's failure is counted where its client is. */
static enum step
end_fail(struct end *end, enum failure failure)
{
	if (!end->server) {
		failures[failure] += phase == MEASURING;
		failures_of_all[failure]++;
	}
	return end_free(end);
}

static void
client_ask(struct end *end, uint64_t due_ns)
{
	end->due_ns = due_ns;
	end->to_send = options.request;
	end->to_come = options.mode == BULK && phase != OPENING ? UINT64_MAX : options.response;
}

static void
client_answered(struct end *end)
{
	uint64_t now = now_ns();

	if (phase == MEASURING) {
		done++;
		if (n_samples < SAMPLES_MAX)
			samples[n_samples++] = (uint32_t)((now - end->due_ns) / 1000);
	}
	n_answered += phase == ASKING;
	n_opened += phase == OPENING;
	if (options.mode == CONNECT) {
		SSL_shutdown(end->ssl);
		shutdown(end->fd, SHUT_WR);
		end->state = CLOSING;
	} else if (end->turns != 0) {
		end->turns--;
		client_ask(end, end->due_ns + (uint64_t)(1e9 / options.rate * n_clients));
	} else if (options.mode == EXCHANGE && options.rate == 0 && phase != OPENING) {
		client_ask(end, now);
	} else {
		end->due_ns = 0;
	}
}

static void
server_asked(struct end *end)
{
	/* The first request of each connection is only whether it works. */
	end->to_send = options.mode == BULK && end->turns != 0 ? UINT64_MAX : end->to_send + options.response;
	end->to_come = options.request;
	end->turns++;
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
	else if (end->state != CLOSING)
		return end_fail(end, end->state == SHAKING ? NO_HANDSHAKE : LOST);
	return end_free(end);
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
		if (!end->server && (n > end->to_come || bytes[0] != end->fill || bytes[n - 1] != end->fill))
			return end_fail(end, WRONG_BYTES);
		if (end->server)
			end->fill = bytes[0];
		else if (phase == MEASURING)
			payload += n;
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
		memset(bytes, end->fill, CHUNK);
		int result = SSL_write_ex(end->ssl, bytes, end->to_send < CHUNK ? end->to_send : CHUNK, &n);
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

	if (end->state == CONNECTING) {
		getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error != 0)
			return end_fail(end, NO_CONNECTION);
		end->state = SHAKING;
	}
	int result = SSL_do_handshake(end->ssl);
	if (result != 1)
		return step_of(end, result);
	end->state = OPEN;
	if (!end->server)
		client_ask(end, end->due_ns);
	return GO_ON;
}

/* As far as it goes for now. */
static void
end_advance(struct end *end)
{
	enum step step = end->state == CONNECTING || end->state == SHAKING ? open_further(end) : GO_ON;

	if (step == GO_ON)
		step = receive_some(end) == GONE ? GONE : send_some(end);
	if (step != GONE)
		watch(end, EPOLL_CTL_MOD, step == WAIT_OUT);
}

/* --- all of them ----------------------------------------------------------------------------------------------------
 */

static void
client_open(uint64_t due_ns)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	struct end *end = end_new(fd, false);
	end->due_ns = due_ns;
	if (connect(fd, (struct sockaddr *)&options.target, sizeof(options.target)) != 0 && errno != EINPROGRESS)
		end_fail(end, NO_CONNECTION);
}

static void
accept_all(void)
{
	int fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		end_new(fd, true);
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept");
}

static void
ask_all(uint64_t now)
{
	for (uint32_t i = n_clients; i-- > 0;)
		if (clients[i]->state == OPEN) {
			client_ask(clients[i], now);
			end_advance(clients[i]);
		}
}

/* A request, or a connection, that was due at next_ns. */
static void
begin_next(void)
{
	if (options.mode == CONNECT) {
		if (n_clients < CLIENTS_MAX)
			client_open(next_ns);
		return;
	}
	struct end *end = clients[n_due % n_clients];
	if (end->due_ns != 0) {
		end->turns++;
		return;
	}
	client_ask(end, next_ns);
	end_advance(end);
}

static bool
is_paced(void)
{
	return options.rate != 0 && (phase == WARMING || phase == MEASURING);
}

static void
begin_what_is_due(uint64_t now)
{
	if (phase == OPENING) {
		while (n_clients < options.connections && n_clients - n_opened < options.at_a_time)
			client_open(now);
	} else if (is_paced()) {
		for (; next_ns <= now && (n_clients != 0 || options.mode == CONNECT); n_due++) {
			begin_next();
			next_ns = pace_ns + (uint64_t)(1e9 / options.rate * (double)(n_due + 1));
		}
	} else if (options.mode == CONNECT) {
		while (n_clients < options.at_a_time)
			client_open(now);
	}
}

/* When the phase ends by the clock. */
static uint64_t
phase_end_ns(void)
{
	double length = phase == WARMING ? options.warmup : phase == MEASURING ? options.seconds : SLOW_MS / 1e3;

	return phase == OPENING ? UINT64_MAX : phase_ns + (uint64_t)(1e9 * length);
}

static void
measure(bool begins, uint64_t now)
{
	fprintf(stderr, "tls_load: %s\n", begins ? "measuring" : "ending");
	cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	tsc = __rdtsc() - tsc;
	took_s = (double)now / 1e9 - took_s;
}

static void
phase_begin(enum phase next, uint64_t now)
{
	if (next == MEASURING || phase == MEASURING)
		measure(next == MEASURING, now);
	if (next == WARMING)
		pace_ns = next_ns = now;
	phase = next;
	phase_ns = now;
	if (phase == ASKING ||
	    (phase == WARMING && (options.mode == BULK || (options.mode == EXCHANGE && options.rate == 0))))
		ask_all(now);
}

static void
phase_turn(uint64_t now)
{
	if (phase == OPENING && (options.mode == CONNECT || n_opened == options.connections))
		phase_begin(WARMING, now);
	else if (phase == ASKING && n_answered == n_clients)
		phase_begin(OVER, now);
	else if (phase_end_ns() <= now)
		phase_begin(phase == MEASURING && options.mode != HOLD ? OVER : phase + 1, now);
}

static void
wait_for_events(void)
{
	struct epoll_event events[EVENTS];
	uint64_t until = phase_end_ns(), now = now_ns();

	if (is_paced() && next_ns < until)
		until = next_ns;
	until = until == UINT64_MAX ? 100000000 : until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
	int n = epoll_pwait2(epoll_fd, events, EVENTS, &timeout, NULL);
	for (int i = 0; i < n; i++)
		if (events[i].data.ptr == NULL)
			accept_all();
		else
			end_advance(events[i].data.ptr);
}

/* --- the report -----------------------------------------------------------------------------------------------------
 */

static int
by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
latency_ns(double share)
{
	return n_samples == 0 ? 0 : 1e3 * samples[(unsigned)(share * (n_samples - 1))];
}

static void
print_failures(const char *name, const uint64_t *counts)
{
	printf(",\"%s\":{", name);
	for (unsigned i = 0; i < FAILURES; i++)
		printf("%s\"%s\":%lu", i == 0 ? "" : ",", failure_names[i], counts[i]);
	printf("}");
}

static void
report(void)
{
	double per_second = (double)done / took_s, busy = (double)cpu_ns / 1e9 / took_s;
	const char *why = "";

	if (options.rate != 0 && per_second < 0.97 * options.rate)
		why = "fewer came about than were asked for";
	else if (options.rate == 0 && options.mode != HOLD && busy > 0.95)
		why = "it was busy all the time";
	qsort(samples, n_samples, sizeof(samples[0]), by_size);
	printf("{\"mode\":\"%s\",\"seconds\":%.6f,\"done\":%lu,\"per_second\":%.3f,\"opened\":%u,\"still_there\":%u",
	       mode_names[options.mode], took_s, done, per_second, n_opened, n_answered);
	printf(",\"payload_down_bit_per_second\":%.0f", (double)payload * 8 / took_s);
	printf(",\"latency_ns\":{\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f},\"clients\":{\"payload_in\":%lu",
	       latency_ns(0.5), latency_ns(0.9), latency_ns(0.99), payload);
	print_failures("ends", failures);
	print_failures("ends_of_whole_run", failures_of_all);
	printf("},\"generator\":{\"tsc_hz\":%.0f,\"busy\":%.4f,\"saturated\":%s,\"why\":\"%s\"}}\n",
	       (double)tsc / took_s, busy, why[0] == '\0' ? "false" : "true", why);
}

/* --- set-up ---------------------------------------------------------------------------------------------------------
 */

static int
accept_any(X509_STORE_CTX *chain, void *unused)
{
	(void)chain;
	(void)unused;
	return 1;
}

static SSL_CTX *
context_new(OSSL_LIB_CTX *libctx, bool server)
{
	SSL_CTX *context = SSL_CTX_new_ex(libctx, NULL, server ? TLS_server_method() : TLS_client_method());
	char certificate[PATH_BYTES], key[PATH_BYTES];

	snprintf(certificate, sizeof(certificate), "%s/tls.crt", options.credentials[server]);
	snprintf(key, sizeof(key), "%s/tls.key", options.credentials[server]);
	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(context, "X25519") != 1 || SSL_CTX_set_num_tickets(context, 0) != 1 ||
	    SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		die(options.credentials[server]);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(context, accept_any, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	return context;
}

static void
set_up(void)
{
	static struct tls_library library;
	struct rlimit most;
	struct epoll_event event = {.events = EPOLLIN};
	int one = 1;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	if (!tls_library_open(&library))
		die("OpenSSL");
	contexts[0] = context_new(library.libctx, false);
	contexts[1] = context_new(library.libctx, true);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listen_fd, (struct sockaddr *)&options.listen, sizeof(options.listen)) != 0 ||
	    listen(listen_fd, BACKLOG) != 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0)
		die("listen");
}

static bool
read_address(struct sockaddr_in *address, char *text)
{
	char *colon = strchr(text, ':');

	if (colon == NULL)
		return false;
	*colon = '\0';
	*address =
		(struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
	return inet_pton(AF_INET, text, &address->sin_addr) == 1;
}

static bool
read_options(int argc, char **argv)
{
	static const struct option known[] = {{"target", required_argument, NULL, 't'},
					      {"listen", required_argument, NULL, 'l'},
					      {"sni", required_argument, NULL, 'n'},
					      {"client", required_argument, NULL, 'c'},
					      {"server", required_argument, NULL, 's'},
					      {"rate", required_argument, NULL, 'r'},
					      {"seconds", required_argument, NULL, 'd'},
					      {"warmup", required_argument, NULL, 'w'},
					      {"at-a-time", required_argument, NULL, 'a'},
					      {"connections", required_argument, NULL, 'N'},
					      {"request", required_argument, NULL, 'q'},
					      {"response", required_argument, NULL, 'p'},
					      {NULL, 0, NULL, 0}};
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned number = optarg == NULL ? 0 : (unsigned)strtoul(optarg, NULL, 10);
		switch (option) {
		case 't':
			good &= read_address(&options.target, optarg);
			break;
		case 'l':
			good &= read_address(&options.listen, optarg);
			break;
		case 'n':
			options.sni = optarg;
			break;
		case 'c':
			options.credentials[0] = optarg;
			break;
		case 's':
			options.credentials[1] = optarg;
			break;
		case 'r':
			options.rate = strtod(optarg, NULL);
			break;
		case 'd':
			options.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			options.warmup = strtod(optarg, NULL);
			break;
		case 'a':
			options.at_a_time = number;
			break;
		case 'N':
			options.connections = number;
			break;
		case 'q':
			options.request = number;
			break;
		case 'p':
			options.response = number;
			break;
		default:
			return false;
		}
	}
	while (optind < argc && options.mode < MODES && strcmp(mode_names[options.mode], argv[optind]) != 0)
		options.mode++;
	return good && argc == optind + 1 && options.mode < MODES && options.sni != NULL &&
	       options.credentials[0] != NULL && options.credentials[1] != NULL && options.target.sin_port != 0 &&
	       options.listen.sin_port != 0 && options.at_a_time > 0 && options.at_a_time <= CLIENTS_MAX &&
	       options.connections > 0 && options.connections <= CLIENTS_MAX && options.request > 0 &&
	       options.response > 0 && options.rate >= 0;
}

int
main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fprintf(stderr, "usage: tls_load connect|exchange|bulk|hold --target ADDRESS:PORT --listen "
				"ADDRESS:PORT --sni NAME\n"
				"  --client DIR --server DIR [--rate R] [--seconds S] [--warmup S] [--at-a-time N] "
				"[--connections N]\n"
				"  [--request BYTES] [--response BYTES]\n");
		return 2;
	}
	set_up();
	phase_ns = now_ns();
	while (phase != OVER) {
		uint64_t now = now_ns();
		phase_turn(now);
		begin_what_is_due(now);
		wait_for_events();
		uint64_t failed = 0;
		for (unsigned i = 0; i < FAILURES; i++)
			failed += failures_of_all[i];
		if (phase == OPENING && failed > options.connections)
			die("connections fail");
	}
	for (uint32_t i = 0; i < n_clients; i++)
		failures_of_all[TOO_SLOW] += clients[i]->due_ns != 0 && options.mode != BULK &&
					     now_ns() - clients[i]->due_ns > SLOW_MS * UINT64_C(1000000);
	report();
	return 0;
}
