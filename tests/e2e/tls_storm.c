/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many short TLS connections: each a full handshake (no session is used again), one small HTTP/1.0 request, the reply
 * compared byte by byte, and an orderly close. Threads take their turns from one counter, so that exactly
 * `-c` connections are in progress at a time and exactly `-n` are made.
 *
 *	tls_storm [-n COUNT] [-c AT_A_TIME] [-t TIMEOUT_MS] [-m LONGEST_MS] -s SNI -a CA.pem -e REPLY ADDRESS PORT
 *[PATH]
 *
 * REPLY is what the body must be. Prints a line of figures, and one for each kind of failure with how often it
 * happened. Exit status 0: none failed, and none took longer than LONGEST_MS from SYN to the end of the handshake.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 1024, REASON_MAX = 96, REASONS_MAX = 32, REPLY_MAX = 4096 };

struct failure {
	char reason[REASON_MAX];
	unsigned count;
};

static struct {
	unsigned count, at_a_time, timeout_ms, longest_ms;
	const char *sni, *ca, *reply, *address, *port, *path;
} options = {.count = 100, .at_a_time = 1, .timeout_ms = 10000, .longest_ms = 0, .path = "/"};

static struct addrinfo *target;
static SSL_CTX *context;
static atomic_uint next_turn;
static float *handshake_ms; /* of each turn; negative: failed */
static struct failure failures[REASONS_MAX];
static pthread_mutex_t failures_lock = PTHREAD_MUTEX_INITIALIZER;

static double
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
failure_count(const char *step, const char *what)
{
	char reason[REASON_MAX];
	snprintf(reason, sizeof(reason), "%s: %s", step, what);
	pthread_mutex_lock(&failures_lock);
	/* The last entry collects what doesn't fit. */
	for (unsigned i = 0; i < REASONS_MAX; i++) {
		if (failures[i].count == 0)
			snprintf(failures[i].reason, sizeof(failures[i].reason), "%s", reason);
		if (i == REASONS_MAX - 1 || strcmp(failures[i].reason, reason) == 0) {
			failures[i].count++;
			break;
		}
	}
	pthread_mutex_unlock(&failures_lock);
}

/* Why an SSL call failed, in the fewest words that tell cases apart. */
static void
tls_failure(const char *step, SSL *ssl, int result)
{
	int saved_errno = errno;
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		failure_count(step, "timeout");
		break;
	case SSL_ERROR_ZERO_RETURN:
		failure_count(step, "closed");
		break;
	case SSL_ERROR_SYSCALL:
		failure_count(step, saved_errno != 0 ? strerror(saved_errno) : "end of file");
		break;
	default: {
		const char *reason = ERR_reason_error_string(ERR_peek_error());
		failure_count(step, reason != NULL ? reason : "unknown TLS error");
	}
	}
	ERR_clear_error();
}

/* Reads to the end and compares the body of the reply with what it must be. */
static bool
reply_check(SSL *ssl)
{
	char reply[REPLY_MAX + 1];
	size_t length = 0;
	int got;
	while ((got = SSL_read(ssl, reply + length, (int)(REPLY_MAX - length))) > 0)
		length += (size_t)got;
	if (SSL_get_error(ssl, got) != SSL_ERROR_ZERO_RETURN) {
		tls_failure("reply", ssl, got);
		return false;
	}
	reply[length] = '\0';
	const char *body = strstr(reply, "\r\n\r\n");
	if (body == NULL || strcmp(body + 4, options.reply) != 0) {
		failure_count("reply", "wrong bytes");
		return false;
	}
	return true;
}

/* One connection from SYN to close. Returns how long the handshakes of TCP and TLS took, or -1. */
static float
connection_make(void)
{
	const struct timeval timeout = {options.timeout_ms / 1000, options.timeout_ms % 1000 * 1000L};
	char request[512];
	float took = -1;
	SSL *ssl = NULL;
	int result;

	int fd = socket(target->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		failure_count("socket", strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));

	double started = now_ms();
	if (connect(fd, target->ai_addr, target->ai_addrlen) != 0) {
		failure_count("connect", errno == EINPROGRESS ? "timeout" : strerror(errno));
		goto Exit;
	}
	ssl = SSL_new(context);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, options.sni) != 1 ||
	    SSL_set1_host(ssl, options.sni) != 1) {
		failure_count("socket", "out of memory");
		goto Exit;
	}
	errno = 0;
	result = SSL_connect(ssl);
	if (result != 1) {
		tls_failure("handshake", ssl, result);
		goto Exit;
	}
	double ended = now_ms();
	int length =
		snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", options.path, options.sni);
	result = SSL_write(ssl, request, length);
	if (result != length) {
		tls_failure("request", ssl, result);
		goto Exit;
	}
	if (!reply_check(ssl))
		goto Exit;
	SSL_shutdown(ssl);
	took = (float)(ended - started);
Exit:
	SSL_free(ssl);
	close(fd);
	return took;
}

static void *
turns_take(void *unused)
{
	unsigned turn;
	while ((turn = atomic_fetch_add(&next_turn, 1)) < options.count)
		handshake_ms[turn] = connection_make();
	return unused;
}

static int
float_order(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static bool
options_read(int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "n:c:t:m:s:a:e:")) != -1) {
		switch (option) {
		case 'n':
			options.count = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			options.at_a_time = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			options.timeout_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			options.longest_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			options.sni = optarg;
			break;
		case 'a':
			options.ca = optarg;
			break;
		case 'e':
			options.reply = optarg;
			break;
		default:
			return false;
		}
	}
	if (argc - optind < 2 || argc - optind > 3 || options.sni == NULL || options.ca == NULL ||
	    options.reply == NULL)
		return false;
	options.address = argv[optind];
	options.port = argv[optind + 1];
	if (argc - optind == 3)
		options.path = argv[optind + 2];
	return options.count > 0 && options.at_a_time > 0 && options.at_a_time <= THREADS_MAX;
}

static bool
target_find(void)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	int error = getaddrinfo(options.address, options.port, &hints, &target);
	if (error != 0)
		fprintf(stderr, "tls_storm: %s port %s: %s\n", options.address, options.port, gai_strerror(error));
	return error == 0;
}

static bool
context_make(void)
{
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL || SSL_CTX_load_verify_locations(context, options.ca, NULL) != 1) {
		ERR_print_errors_fp(stderr);
		return false;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return true;
}

/* Prints the figures; returns the exit status. */
static int
report(double total_ms)
{
	unsigned failed = 0;
	qsort(handshake_ms, options.count, sizeof(*handshake_ms), float_order);
	while (failed < options.count && handshake_ms[failed] < 0)
		failed++;
	const float *good = handshake_ms + failed;
	unsigned n = options.count - failed;
	printf("%u connections, %u failed, %.1f s", options.count, failed, total_ms / 1e3);
	if (n > 0)
		printf("; handshake median %.1f ms, 99 %% %.1f ms, longest %.1f ms", (double)good[n / 2],
		       (double)good[n - 1 - n / 100], (double)good[n - 1]);
	printf("\n");
	for (unsigned i = 0; i < REASONS_MAX && failures[i].count > 0; i++)
		printf("%u times %s\n", failures[i].count, failures[i].reason);
	if (failed > 0)
		return 1;
	if (options.longest_ms > 0 && good[n - 1] > (float)options.longest_ms) {
		printf("longer than the %u ms allowed\n", options.longest_ms);
		return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static pthread_t threads[THREADS_MAX];
	unsigned running = 0;

	if (!options_read(argc, argv)) {
		fprintf(stderr, "usage: tls_storm [-n COUNT] [-c AT_A_TIME] [-t TIMEOUT_MS] [-m LONGEST_MS] "
				"-s SNI -a CA.pem -e REPLY ADDRESS PORT [PATH]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!target_find() || !context_make())
		return 2;
	handshake_ms = calloc(options.count, sizeof(*handshake_ms));
	if (handshake_ms == NULL)
		return 2;

	double started = now_ms();
	while (running < options.at_a_time && pthread_create(&threads[running], NULL, turns_take, NULL) == 0)
		running++;
	if (running < options.at_a_time)
		fprintf(stderr, "tls_storm: only %u threads\n", running);
	for (unsigned i = 0; i < running; i++)
		pthread_join(threads[i], NULL);

	int status = running == options.at_a_time ? report(now_ms() - started) : 2;
	free(handshake_ms);
	SSL_CTX_free(context);
	freeaddrinfo(target);
	return status;
}
