/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/tls_load/play.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <x86intrin.h>

enum { EVENTS = 256, SLOW_MS = 3000, IDLE_MS = 100 };

enum phase { OPENING, WARMING, MEASURING, ASKING, OVER };

static struct play_options options;
static struct end_plan *plan;
static int listen_fd;
static struct play_result result;
static struct end *clients[PLAY_CLIENTS_MAX]; /* the first n_clients */
static uint32_t n_clients;
static uint8_t last_fill;
static uint64_t payload;

static enum phase phase;
static uint64_t phase_ns; /* when it began */
static uint64_t pace_ns;  /* when what options.rate says began */
static uint64_t next_ns;  /* when the next connection or request is due */
static uint64_t n_due;    /* how many were */

static void
client_gone(struct end *client, enum end_outcome outcome)
{
	clients[client->place] = clients[--n_clients];
	clients[client->place]->place = client->place;
	result.outcomes[outcome] += phase == MEASURING;
	result.outcomes_of_all[outcome]++;
	if (phase == OPENING && result.outcomes_of_all[outcome] > options.connections)
		end_die("connections that should stay fail");
}

static void
client_answered(struct end *client, uint64_t now)
{
	if (phase == MEASURING) {
		result.done++;
		if (result.n_samples < PLAY_SAMPLES_MAX)
			result.samples[result.n_samples++] = (uint32_t)((now - client->due_ns) / 1000);
	}
	result.opened += phase == OPENING;
	result.still_there += phase == ASKING;
	if (options.mode == PLAY_CONNECT) {
		end_finish(client);
	} else if (client->turns != 0) {
		client->turns--;
		end_ask(client, client->due_ns + (uint64_t)(1e9 / options.rate * n_clients));
	} else if (options.mode == PLAY_EXCHANGE && options.rate == 0 && phase != OPENING) {
		end_ask(client, now);
	} else {
		client->due_ns = 0;
	}
}

static void
client_open(uint64_t due_ns)
{
	struct end *client = end_connect(plan, &options.target, ++last_fill, due_ns);

	client->place = n_clients;
	clients[n_clients++] = client;
}

static void
accept_all(void)
{
	int fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		end_advance(end_serve(plan, fd));
	if (errno != EAGAIN && errno != ECONNABORTED)
		end_die("accept");
}

static void
ask_all(uint64_t now)
{
	for (uint32_t i = n_clients; i-- > 0;)
		if (clients[i]->state == END_OPEN) {
			end_ask(clients[i], now);
			end_advance(clients[i]);
		}
}

/* A connection, or a request, that was due at next_ns. */
static void
begin_next(void)
{
	if (options.mode == PLAY_CONNECT) {
		if (n_clients < PLAY_CLIENTS_MAX)
			client_open(next_ns);
		return;
	}
	struct end *client = clients[n_due % n_clients];
	if (client->due_ns != 0) {
		client->turns++;
		return;
	}
	end_ask(client, next_ns);
	end_advance(client);
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
		while (n_clients < options.connections && n_clients - result.opened < options.at_a_time)
			client_open(now);
	} else if (is_paced()) {
		for (; next_ns <= now && (n_clients != 0 || options.mode == PLAY_CONNECT); n_due++) {
			begin_next();
			next_ns = pace_ns + (uint64_t)(1e9 / options.rate * (double)(n_due + 1));
		}
	} else if (options.mode == PLAY_CONNECT) {
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

/* Figures are what they are at the end, less what they were at the beginning. */
static void
measure(bool begins, uint64_t now)
{
	struct timespec cpu;

	fprintf(stderr, "tls_load: %s\n", begins ? "measuring" : "ending");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	result.cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9 - result.cpu_s;
	result.payload = payload - result.payload;
	result.seconds = (double)now / 1e9 - result.seconds;
	result.tsc_hz = (double)__rdtsc() - result.tsc_hz;
	if (!begins)
		result.tsc_hz /= result.seconds;
}

static void
phase_begin(enum phase next, uint64_t now)
{
	if (next == MEASURING || phase == MEASURING)
		measure(next == MEASURING, now);
	phase = next;
	phase_ns = now;
	if (phase == WARMING)
		pace_ns = next_ns = now;
	if (phase == ASKING || (phase == WARMING && options.rate == 0 && options.mode != PLAY_HOLD))
		ask_all(now);
}

static void
phase_turn(uint64_t now)
{
	if (phase == OPENING && (options.mode == PLAY_CONNECT || result.opened == options.connections))
		phase_begin(WARMING, now);
	else if (phase == ASKING && result.still_there == n_clients)
		phase_begin(OVER, now);
	else if (phase_end_ns() <= now)
		phase_begin(phase == MEASURING && options.mode != PLAY_HOLD ? OVER : phase + 1, now);
}

static void
wait_for_events(void)
{
	struct epoll_event events[EVENTS];
	uint64_t until = phase_end_ns(), now = end_clock_ns();

	if (is_paced() && next_ns < until)
		until = next_ns;
	until = until == UINT64_MAX ? IDLE_MS * UINT64_C(1000000) : until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
	int n = epoll_pwait2(plan->epoll_fd, events, EVENTS, &timeout, NULL);
	for (int i = 0; i < n; i++)
		if (events[i].data.ptr == NULL)
			accept_all();
		else
			end_advance(events[i].data.ptr);
}

const struct play_result *
play(const struct play_options *wanted, struct end_plan *ends, int listener)
{
	options = *wanted;
	plan = ends;
	plan->payload = &payload;
	plan->answered = client_answered;
	plan->gone = client_gone;
	plan->endless = options.mode == PLAY_BULK;
	listen_fd = listener;
	phase_ns = end_clock_ns();
	while (phase != OVER) {
		uint64_t now = end_clock_ns();
		phase_turn(now);
		begin_what_is_due(now);
		wait_for_events();
	}
	for (uint32_t i = 0; i < n_clients; i++)
		result.stuck += options.mode != PLAY_BULK && clients[i]->due_ns != 0 &&
				end_clock_ns() - clients[i]->due_ns > SLOW_MS * UINT64_C(1000000);
	return &result;
}
