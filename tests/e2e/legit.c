/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A legitimate client that keeps its pace whatever happens: so many new connections a second, each begun when its time
 *has come and not when the one before is done (an open loop: a gateway that stalls doesn't get fewer of them). A
 *connection is TCP's handshake, a ClientHello, and the first bytes of the ServerHello; its latency counts from the time
 *at which it was due.
 *
 *	legit [-r PER_SECOND] [-t SECONDS] [-w TIMEOUT_MS] [-n] -s SNI ADDRESS PORT
 *
 * The hello is made once, by OpenSSL, and sent by all: what is measured is the way to the server and back, not the
 *client. Prints one line, "N of M (P %), p50 …, p90 …, p99 …, max … ms", and one for each kind of failure. Exit status
 *0: none failed. -n: the same when some did.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HELLO_MAX = 4096, EVENTS = 64, TLS_HANDSHAKE_RECORD = 22, ERRNO_MAX = 256, NOT_TLS = 254, CLOSED = 255 };

struct attempt {
	double due_ms, took_ms; /* took_ms: negative while it hasn't succeeded */
	int fd;                 /* −1: not begun, or over */
	bool said;              /* the hello is out */
};

static struct {
	unsigned rate, seconds, timeout_ms;
	bool forgiving;
	const char *sni, *address, *port;
} options = {.rate = 100, .seconds = 5, .timeout_ms = 10000};

static struct addrinfo *target;
static uint8_t hello[HELLO_MAX];
static int hello_length;
static struct attempt *attempts;
static unsigned n_attempts, n_over;
static unsigned failures[ERRNO_MAX]; /* by errno, and the two above */

static double
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* What OpenSSL says first. */
static bool
hello_make(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context != NULL ? SSL_new(context) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	if (ssl == NULL || in == NULL || out == NULL)
		return false;
	SSL_set_bio(ssl, in, out);
	SSL_set_tlsext_host_name(ssl, options.sni);
	SSL_connect(ssl);
	hello_length = BIO_read(out, hello, sizeof(hello));
	SSL_free(ssl);
	SSL_CTX_free(context);
	return hello_length > 0;
}

static void
finish(struct attempt *attempt, int failure)
{
	if (failure == 0)
		attempt->took_ms = now_ms() - attempt->due_ms;
	else
		failures[failure < ERRNO_MAX ? failure : EIO]++;
	close(attempt->fd);
	attempt->fd = -1;
	n_over++;
}

static void
begin(struct attempt *attempt, int epoll)
{
	/* Closed by RST, so that no local port waits: this is about the gateway's tables, not ours. */
	const struct linger reset = {1, 0};
	int one = 1;

	attempt->fd = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = attempt};
	if (attempt->fd < 0 || setsockopt(attempt->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) != 0 ||
	    setsockopt(attempt->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, attempt->fd, &event) != 0 ||
	    (connect(attempt->fd, target->ai_addr, target->ai_addrlen) != 0 && errno != EINPROGRESS))
		finish(attempt, errno);
}

static void
go_on(struct attempt *attempt, int epoll, uint32_t events)
{
	uint8_t reply[HELLO_MAX];

	if (!attempt->said && (events & (EPOLLERR | EPOLLHUP)) == 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = attempt};
		ssize_t n = send(attempt->fd, hello, (size_t)hello_length, MSG_NOSIGNAL);
		attempt->said = true;
		if (n != hello_length || epoll_ctl(epoll, EPOLL_CTL_MOD, attempt->fd, &event) != 0)
			finish(attempt, n < 0 ? errno : EIO);
		return;
	}
	ssize_t n = recv(attempt->fd, reply, sizeof(reply), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	finish(attempt, n < 0 ? errno : n == 0 ? CLOSED : reply[0] != TLS_HANDSHAKE_RECORD ? NOT_TLS : 0);
}

/* All of them, to the end. */
static bool
run(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	double started = now_ms() + 10;
	unsigned begun = 0, oldest = 0;

	if (epoll < 0)
		return false;
	for (unsigned i = 0; i < n_attempts; i++)
		attempts[i] = (struct attempt){started + i * 1e3 / options.rate, -1, -1, false};
	while (n_over < n_attempts) {
		struct epoll_event events[EVENTS];
		double now = now_ms();
		for (; begun < n_attempts && attempts[begun].due_ms <= now; begun++)
			begin(&attempts[begun], epoll);
		for (; oldest < begun &&
		       (attempts[oldest].fd < 0 || now - attempts[oldest].due_ms > (double)options.timeout_ms);
		     oldest++)
			if (attempts[oldest].fd >= 0)
				finish(&attempts[oldest], ETIMEDOUT);
		double wait = begun < n_attempts ? attempts[begun].due_ms - now : 10;
		const struct timespec limit = {.tv_nsec = wait > 0 ? (long)((wait < 10 ? wait : 10) * 1e6) : 0};
		int n = epoll_pwait2(epoll, events, EVENTS, &limit, NULL);
		for (int i = 0; i < n; i++)
			go_on(events[i].data.ptr, epoll, events[i].events);
	}
	close(epoll);
	return true;
}

static int
order(const void *a, const void *b)
{
	double x = ((const struct attempt *)a)->took_ms, y = ((const struct attempt *)b)->took_ms;
	return (x > y) - (x < y);
}

static const char *
failure_text(unsigned failure)
{
	return failure == NOT_TLS ? "answered, but not by TLS" : failure == CLOSED ? "closed" : strerror((int)failure);
}

/* Prints the figures; returns how many failed. */
static unsigned
report(void)
{
	unsigned failed = 0;

	qsort(attempts, n_attempts, sizeof(*attempts), order);
	while (failed < n_attempts && attempts[failed].took_ms < 0)
		failed++;
	unsigned n = n_attempts - failed;
	printf("%u of %u (%.2f %%)", n, n_attempts, 100.0 * n / n_attempts);
	const struct attempt *good = attempts + failed;
	if (n != 0)
		printf(", p50 %.2f, p90 %.2f, p99 %.2f, max %.2f ms", good[n / 2].took_ms, good[n - 1 - n / 10].took_ms,
		       good[n - 1 - n / 100].took_ms, good[n - 1].took_ms);
	printf("\n");
	for (unsigned i = 0; i < ERRNO_MAX; i++)
		if (failures[i] != 0)
			printf("%u times %s\n", failures[i], failure_text(i));
	return failed;
}

static bool
options_read(int argc, char **argv)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	int option;

	while ((option = getopt(argc, argv, "r:t:w:s:n")) != -1) {
		switch (option) {
		case 'r':
			options.rate = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			options.seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'w':
			options.timeout_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			options.sni = optarg;
			break;
		case 'n':
			options.forgiving = true;
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 2 || options.sni == NULL || options.rate == 0 || options.seconds == 0 ||
	    (uint64_t)options.rate * options.seconds > 10000000)
		return false;
	n_attempts = options.rate * options.seconds;
	return getaddrinfo(argv[optind], argv[optind + 1], &hints, &target) == 0;
}

int
main(int argc, char **argv)
{
	struct rlimit files;

	if (!options_read(argc, argv)) {
		fprintf(stderr, "usage: legit [-r PER_SECOND] [-t SECONDS] [-w TIMEOUT_MS] [-n] -s SNI ADDRESS PORT\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	attempts = calloc(n_attempts, sizeof(*attempts));
	if (attempts == NULL || !hello_make() || !run()) {
		perror("legit");
		return 2;
	}
	unsigned failed = report();
	free(attempts);
	freeaddrinfo(target);
	return failed == 0 || options.forgiving ? 0 : 1;
}
