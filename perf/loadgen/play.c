/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/play.h"

#include <string.h>

#include "perf/loadgen/memory.h"

enum {
	BEGIN_MAX = 32,      /* begun before the next look at what came in */
	LOOK_MAX = 64,       /* clients looked at for a free one at a time */
	CLOCK_SHIFT = 6,     /* conn.began: 26 ns at 2.4 GHz, and round once in 112 s */
	ENDING_MS = 10000,   /* for what is under way to end */
	OPENING_MS = 120000, /* for all to be open */
};

/* As far ahead as a sequence number may be; tcp keeps it so (move_endless). */
static const uint32_t endless = UINT32_C(1) << 30;

const char *
play_mode_text(enum play_mode mode)
{
	static const char *const texts[] = {"connect", "hold", "exchange", "bulk"};
	return texts[mode];
}

static uint64_t
cycles_of_ms(const struct play *play, uint32_t ms)
{
	return play->hz / 1000 * ms;
}

static void
enter_phase(struct play *play, enum play_phase phase)
{
	if (play->phase == PLAY_MEASURING)
		play->measured_cycles = play->now - play->phase_began;
	if (play->phase == PLAY_OPENING) {
		play->opening_cycles = play->now - play->phase_began;
		play->opened = play->open;
	}
	if (phase == PLAY_MEASURING) {
		play->begun = play->done = play->late_max = 0;
		memset(&play->answers, 0, sizeof(play->answers));
	}
	play->phase = phase;
	play->phase_began = play->now;
	play->due = play->now;
}

void
play_init(struct play *play, const struct play_config *config, struct tcp *tcp, uint64_t hz, uint64_t now)
{
	*play = (struct play){.config = *config, .tcp = tcp, .hz = hz, .now = now};
	if (config->rate > 0)
		play->period = (uint64_t)((double)hz / config->rate);
	play->idle = memory_zeroed(config->connections, sizeof(play->idle[0]));
	play->phase_began = now;
	if (config->mode == PLAY_CONNECT)
		enter_phase(play, PLAY_WARMING);
}

void
play_stop(struct play *play)
{
	if (play->phase < PLAY_ENDING)
		enter_phase(play, PLAY_ENDING);
}

/* ---- The queue of those that may be asked ---- */

static void
idle_add(struct play *play, uint32_t index)
{
	uint32_t size = play->config.connections, at = play->idle_head + play->n_idle++;
	play->idle[at < size ? at : at - size] = index;
}

/* The next that is still there. LOOKUP_NONE: there is none. */
static uint32_t
idle_take(struct play *play)
{
	while (play->n_idle != 0) {
		uint32_t index = play->idle[play->idle_head];
		play->idle_head = play->idle_head + 1 < play->config.connections ? play->idle_head + 1 : 0;
		play->n_idle--;
		if (play->tcp->conns[index].state == CONN_OPEN)
			return index;
	}
	return LOOKUP_NONE;
}

/* So that neighbours in time aren't neighbours in anybody's memory. */
static void
idle_shuffle(struct play *play)
{
	uint64_t state = UINT64_C(88172645463325252);

	for (uint32_t n = play->n_idle; n > 1; n--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		uint32_t size = play->config.connections, other = (uint32_t)((state >> 32) * n >> 32);
		uint32_t *a = &play->idle[(play->idle_head + n - 1) % size];
		uint32_t *b = &play->idle[(play->idle_head + other) % size], kept = *a;
		*a = *b;
		*b = kept;
	}
}

/* ---- Clients ---- */

static void
record_answer(struct play *play, const struct conn *conn)
{
	uint32_t took = (uint32_t)(play->now >> CLOCK_SHIFT) - conn->began;

	if (play->phase != PLAY_MEASURING)
		return;
	histogram_add(&play->answers, (uint64_t)((double)((uint64_t)took << CLOCK_SHIFT) * 1e9 / (double)play->hz));
	if (play->config.mode == PLAY_EXCHANGE)
		play->done++;
}

static void
client_opened(struct play *play, uint32_t index)
{
	struct conn *conn = &play->tcp->conns[index];

	conn->goal += play->config.hello;
	conn->rcv_goal = conn->irs + 1 + play->config.reply;
	tcp_output(play->tcp, index);
}

static void
client_reached(struct play *play, uint32_t index)
{
	struct conn *conn = &play->tcp->conns[index];

	if (play->config.mode == PLAY_CONNECT) {
		conn->heard = 1;
		record_answer(play, conn);
		if (play->config.closer == PLAY_CLOSE_CLIENT)
			tcp_close(play->tcp, index);
		else if (play->config.closer == PLAY_CLOSE_RESET)
			tcp_abort(play->tcp, index, TCP_END_FINISHED);
		return;
	}
	if (!conn->heard) {
		conn->heard = 1;
		play->open++;
	} else if (play->config.mode == PLAY_BULK) {
		conn->rcv_goal += endless;
		return;
	} else {
		conn->asked = 0;
		play->still_there++;
		record_answer(play, conn);
	}
	play->under_way--;
	idle_add(play, index);
}

static void
client_ended(struct play *play, uint32_t index, enum tcp_end why)
{
	const struct conn *conn = &play->tcp->conns[index];

	if (play->config.mode == PLAY_CONNECT) {
		play->under_way--;
		if (play->phase == PLAY_MEASURING && why == TCP_END_FINISHED)
			play->done++;
		return;
	}
	if (conn->heard)
		play->open--;
	else
		play->unopened++;
	if (!conn->heard || conn->asked || (conn->flags & CONN_FIN_WANTED) != 0)
		play->under_way--;
}

/* ---- Servers ---- */

static void
server_opened(const struct play *play, uint32_t index)
{
	struct conn *conn = &play->tcp->conns[index];
	conn->rcv_goal = conn->irs + 1 + play->config.hello;
}

static void
server_reached(const struct play *play, uint32_t index)
{
	struct conn *conn = &play->tcp->conns[index];

	if (!conn->heard) {
		conn->heard = 1;
		conn->goal += play->config.reply;
		conn->rcv_goal += play->config.request;
		if (play->config.mode == PLAY_CONNECT && play->config.closer == PLAY_CLOSE_SERVER)
			tcp_close(play->tcp, index);
	} else if (play->config.mode == PLAY_BULK) {
		if (!conn->asked && (play->config.directions & PLAY_DOWN) != 0)
			conn->goal += endless;
		conn->asked = 1;
		conn->rcv_goal += endless;
	} else {
		conn->goal += play->config.response;
		conn->rcv_goal += play->config.request;
	}
}

/* ---- What tcp tells ---- */

static void
hook_opened(void *context, uint32_t index)
{
	struct play *play = context;

	if (tcp_side(play->tcp, index) == TCP_CLIENT)
		client_opened(play, index);
	else
		server_opened(play, index);
}

static void
hook_reached(void *context, uint32_t index)
{
	struct play *play = context;

	if (tcp_side(play->tcp, index) == TCP_CLIENT)
		client_reached(play, index);
	else
		server_reached(play, index);
}

static void
hook_peer_closed(void *context, uint32_t index)
{
	struct play *play = context;
	const struct conn *conn = &play->tcp->conns[index];
	bool client = tcp_side(play->tcp, index) == TCP_CLIENT;

	if (client && (!conn->heard || conn->asked)) {
		tcp_abort(play->tcp, index, TCP_END_ENDED_EARLY);
		return;
	}
	if (client && play->config.mode != PLAY_CONNECT && (conn->flags & CONN_FIN_WANTED) == 0)
		play->under_way++; /* it wasn't we who wanted this one closed */
	tcp_close(play->tcp, index);
}

static void
hook_ended(void *context, uint32_t index, enum tcp_end why)
{
	struct play *play = context;

	if (tcp_side(play->tcp, index) == TCP_CLIENT)
		client_ended(play, index, why);
}

struct tcp_hooks
play_hooks(struct play *play)
{
	return (struct tcp_hooks){hook_opened, hook_reached, hook_peer_closed, hook_ended, play};
}

/* ---- What begins ---- */

/* A client that isn't connected: the one after the last, or one of the next, so that a tuple rests for long. */
static uint32_t
free_client(struct play *play)
{
	for (uint32_t look = 0; look < LOOK_MAX; look++) {
		if (++play->cursor >= play->tcp->config.n_clients)
			play->cursor = 0;
		if (play->tcp->conns[play->cursor].state == CONN_CLOSED)
			return play->cursor;
	}
	return LOOKUP_NONE;
}

static bool
begin_connection(struct play *play, uint64_t due)
{
	uint32_t index = free_client(play);

	if (index == LOOKUP_NONE)
		return false;
	play->tcp->conns[index].began = (uint32_t)(due >> CLOCK_SHIFT);
	play->under_way++;
	tcp_connect(play->tcp, index);
	return true;
}

static bool
begin_exchange(struct play *play, uint64_t due)
{
	uint32_t index = idle_take(play);

	if (index == LOOKUP_NONE)
		return false;
	struct conn *conn = &play->tcp->conns[index];
	conn->began = (uint32_t)(due >> CLOCK_SHIFT);
	conn->asked = 1;
	conn->goal += play->config.request;
	conn->rcv_goal += play->config.mode == PLAY_BULK ? endless : play->config.response;
	play->under_way++;
	if (play->config.mode == PLAY_BULK && (play->config.directions & PLAY_UP) != 0)
		conn->goal += endless;
	tcp_output(play->tcp, index);
	return true;
}

static bool
begin_close(struct play *play, uint64_t due)
{
	uint32_t index = idle_take(play);

	(void)due;
	if (index == LOOKUP_NONE)
		return false;
	play->under_way++;
	tcp_close(play->tcp, index);
	return true;
}

/* Closed loop: as many as may be under way. Returns how many began. */
static uint32_t
fill(struct play *play, bool (*begin)(struct play *play, uint64_t due), uint32_t most)
{
	uint32_t n = 0;

	while (n < BEGIN_MAX && n < most && play->under_way < play->config.at_a_time && begin(play, play->now))
		n++;
	return n;
}

/* Open loop: those that are due. */
static uint32_t
keep_pace(struct play *play, bool (*begin)(struct play *play, uint64_t due))
{
	uint32_t n = 0;

	for (; n < BEGIN_MAX && play->due <= play->now; n++) {
		bool room = play->config.mode != PLAY_CONNECT || play->under_way < play->config.connections;
		uint64_t late = play->now - play->due;
		if (!room || !begin(play, play->due))
			break;
		if (late > play->late_max)
			play->late_max = late;
		play->due += play->period;
	}
	return n;
}

static uint32_t
begin_mode(struct play *play)
{
	bool (*begin)(struct play * play, uint64_t due) =
		play->config.mode == PLAY_CONNECT ? begin_connection : begin_exchange;
	uint32_t n = play->period != 0 && play->config.mode != PLAY_BULK ? keep_pace(play, begin)
									 : fill(play, begin, BEGIN_MAX);
	play->begun += n;
	return n;
}

static uint32_t
run_opening(struct play *play)
{
	uint32_t wanted = play->config.connections - play->open - play->under_way;
	uint32_t n = fill(play, begin_connection, wanted);

	if (play->open == play->config.connections || play->now - play->phase_began > cycles_of_ms(play, OPENING_MS) ||
	    play->unopened > play->config.connections) {
		idle_shuffle(play);
		enter_phase(play, play->config.mode == PLAY_HOLD ? PLAY_MEASURING : PLAY_WARMING);
	}
	return n;
}

static uint32_t
abort_some(struct play *play)
{
	uint32_t n = 0;

	for (; n < BEGIN_MAX && play->n_aborted < play->tcp->config.n_clients; play->n_aborted++)
		if (play->tcp->conns[play->n_aborted].state != CONN_CLOSED) {
			tcp_abort(play->tcp, play->n_aborted, TCP_END_ABORTED);
			n++;
		}
	if (play->n_aborted == play->tcp->config.n_clients)
		enter_phase(play, PLAY_OVER);
	return n;
}

/* What is under way ends; who is idle closes, after having been asked for the last time (hold); who sends without end
 * is cut off. */
static uint32_t
run_ending(struct play *play)
{
	bool too_long = play->now - play->phase_began > cycles_of_ms(play, ENDING_MS);

	if (play->config.mode == PLAY_BULK || too_long)
		return abort_some(play);
	uint32_t n = play->config.mode == PLAY_CONNECT ? 0 : fill(play, begin_close, BEGIN_MAX);
	if (n == 0 && play->under_way == 0 && play->n_idle == 0)
		enter_phase(play, PLAY_OVER);
	return n;
}

/* Nothing is said for measure_ms; then everybody is asked once. */
static uint32_t
run_hold(struct play *play)
{
	if (play->now - play->phase_began < cycles_of_ms(play, play->config.measure_ms))
		return 0;
	uint32_t most = play->begun < play->opened ? (uint32_t)(play->opened - play->begun) : 0;
	uint32_t n = fill(play, begin_exchange, most);
	play->begun += n;
	if (n == 0 && play->under_way == 0)
		enter_phase(play, PLAY_ENDING);
	return n;
}

uint32_t
play_run(struct play *play, uint64_t now)
{
	play->now = now;
	uint64_t since = now - play->phase_began;
	switch (play->phase) {
	case PLAY_OPENING:
		return run_opening(play);
	case PLAY_WARMING:
		if (since >= cycles_of_ms(play, play->config.warmup_ms))
			enter_phase(play, PLAY_MEASURING);
		return begin_mode(play);
	case PLAY_MEASURING:
		if (play->config.mode == PLAY_HOLD)
			return run_hold(play);
		if (since < cycles_of_ms(play, play->config.measure_ms))
			return begin_mode(play);
		enter_phase(play, PLAY_ENDING);
		return 0;
	case PLAY_ENDING:
		return run_ending(play);
	case PLAY_OVER:
		break;
	}
	return 0;
}
