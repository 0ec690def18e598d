/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS clients on one side of a gateway and TLS servers on the other, in one thread, on the kernel's sockets: the
 * load for those that end TLS and begin another (perf/compare/bridge.py).
 *
 *	tls_load MODE --target ADDRESS:PORT --listen ADDRESS:PORT --sni NAME --client DIR --server DIR [OPTION…]
 *
 *	connect    connections: a full handshake, a request, its reply, a close in order
 *	exchange   requests over connections that stay
 *	bulk       connections that stay; servers send all the time
 *	hold       connections that stay and say nothing; each is asked once more at the end
 *
 * TLS 1.3, TLS_AES_128_GCM_SHA256, X25519. DIR has tls.crt and tls.key. Both sides demand a certificate and have the
 * peer sign with it, but don't verify where its chain leads: that is the gateway's work, whose cost is looked for here,
 * and this program is meant to be cheap. No session is resumed: servers give no tickets, clients use none.
 *
 * Without --rate, --at-a-time connections (or a request on each that stays) are under way, and the next begins when one
 * is over. With it one begins every 1/rate seconds, and its latency counts from when it was due. Each client fills its
 * requests with a byte of its own, with which the server fills its replies: bytes of another connection are seen.
 *
 * "measuring" and "ending" on standard error are the limits of what is measured; the report is JSON on standard output.
 * generator.saturated: it may be the limit, and why says in what way.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "gateway/tls_library.h"
#include "perf/tls_load/play.h"

enum { BACKLOG = 4096, PATH_BYTES = 512 };

static const char *const mode_names[PLAY_MODES] = {"connect", "exchange", "bulk", "hold"};
static const char *const outcome_names[END_OUTCOMES] = {"finished", "no_connection", "no_handshake", "lost",
							"wrong_bytes"};

static struct play_options options = {.at_a_time = 64, .connections = 64, .seconds = 2, .warmup = 0.3};
static struct end_plan plan = {.request = 64, .response = 64};
static struct sockaddr_in listen_address;
static const char *credentials[2]; /* folders: the client's, the server's */

/* --- the report --- */

static int
by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
print_outcomes(const char *name, const uint64_t *counts, uint64_t stuck)
{
	printf(",\"%s\":{\"stuck\":%lu", name, stuck);
	for (unsigned i = 0; i < END_OUTCOMES; i++)
		printf(",\"%s\":%lu", outcome_names[i], counts[i]);
	printf("}");
}

static void
report(const struct play_result *result)
{
	static const unsigned percents[] = {50, 90, 99};
	static uint32_t sorted[PLAY_SAMPLES_MAX];
	double per_second = (double)result->done / result->seconds, busy = result->cpu_s / result->seconds;
	const char *why = "";

	if (options.rate != 0 && per_second < 0.97 * options.rate)
		why = "fewer came about than were asked for";
	else if (options.rate == 0 && options.mode != PLAY_HOLD && busy > 0.95)
		why = "it was busy all the time";
	printf("{\"mode\":\"%s\",\"seconds\":%.6f,\"done\":%lu,\"per_second\":%.3f,\"opened\":%u,\"still_there\":%u",
	       mode_names[options.mode], result->seconds, result->done, per_second, result->opened,
	       result->still_there);
	printf(",\"payload_down_bit_per_second\":%.0f,\"latency_ns\":{", (double)result->payload * 8 / result->seconds);
	memcpy(sorted, result->samples, result->n_samples * sizeof(sorted[0]));
	qsort(sorted, result->n_samples, sizeof(sorted[0]), by_size);
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		printf("%s\"p%u\":%lu", i == 0 ? "" : ",", percents[i],
		       result->n_samples == 0
			       ? 0
			       : UINT64_C(1000) * sorted[(uint64_t)(result->n_samples - 1) * percents[i] / 100]);
	printf("},\"clients\":{\"payload_in\":%lu", result->payload);
	print_outcomes("ends", result->outcomes, result->stuck);
	print_outcomes("ends_of_whole_run", result->outcomes_of_all, result->stuck);
	printf("},\"generator\":{\"tsc_hz\":%.0f,\"busy\":%.4f,\"saturated\":%s,\"why\":\"%s\"}}\n", result->tsc_hz,
	       busy, why[0] == '\0' ? "false" : "true", why);
}

/* --- set-up --- */

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

	snprintf(certificate, sizeof(certificate), "%s/tls.crt", credentials[server]);
	snprintf(key, sizeof(key), "%s/tls.key", credentials[server]);
	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(context, "X25519") != 1 || SSL_CTX_set_num_tickets(context, 0) != 1 ||
	    SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		end_die(credentials[server]);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(context, accept_any, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	return context;
}

/* Returns the socket that servers are accepted from. */
static int
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
		end_die("OpenSSL");
	plan.contexts[0] = context_new(library.libctx, false);
	plan.contexts[1] = context_new(library.libctx, true);
	plan.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listen_fd, (struct sockaddr *)&listen_address, sizeof(listen_address)) != 0 ||
	    listen(listen_fd, BACKLOG) != 0 || epoll_ctl(plan.epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0)
		end_die("listen");
	return listen_fd;
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
		if (optarg == NULL) /* an option that isn't known */
			return false;
		unsigned number = (unsigned)strtoul(optarg, NULL, 10);
		switch (option) {
		case 't':
			good &= read_address(&options.target, optarg);
			break;
		case 'l':
			good &= read_address(&listen_address, optarg);
			break;
		case 'n':
			plan.sni = optarg;
			break;
		case 'c':
			credentials[0] = optarg;
			break;
		case 's':
			credentials[1] = optarg;
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
			plan.request = number;
			break;
		case 'p':
			plan.response = number;
			break;
		default:
			return false;
		}
	}
	while (optind < argc && options.mode < PLAY_MODES && strcmp(mode_names[options.mode], argv[optind]) != 0)
		options.mode++;
	return good && argc == optind + 1 && options.mode < PLAY_MODES && plan.sni != NULL && credentials[0] != NULL &&
	       credentials[1] != NULL && options.target.sin_port != 0 && listen_address.sin_port != 0 &&
	       options.at_a_time > 0 && options.at_a_time <= PLAY_CLIENTS_MAX && options.connections > 0 &&
	       options.connections <= PLAY_CLIENTS_MAX && plan.request > 0 && plan.response > 0 && options.rate >= 0;
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
	report(play(&options, &plan, set_up()));
	return 0;
}
