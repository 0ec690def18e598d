/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_pool.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/text.h"

enum {
	FLIGHT_BESIDE_CHAIN = 4096, /* the rest of what a handshake says at once: hello, signature, ticket */
	SOURCES = 1024, /* counters of new sessions by source; sources that share one share what it allows */
	SOURCE_SHARE = 8,
	NICE_MAX = 19
};

/* Between one worker and one thread. */
struct lane {
	struct rte_ring *begun, *fresh, *responses;
	unsigned away; /* the worker's, as the next */
	uint16_t by_source[SOURCES];
};

struct thread {
	struct tls_pool *pool;
	unsigned id;
	pthread_t handle;
	bool runs;
	int wake_fd;
	atomic_bool sleeping;
	struct tls_engine *engine;
	struct lane lanes[TLS_POOL_WORKERS_MAX];
	struct tls_pool_stats stats;
};

struct tls_pool {
	struct tls_pool_options options;
	atomic_bool stop;
	struct thread threads[TLS_THREADS_MAX];
};

static int64_t
wall_s(void)
{
	return (int64_t)(clock_wall_ms() / 1000);
}

static struct rte_ring *
ring_new(unsigned n)
{
	unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ;
	ssize_t size = rte_ring_get_memsize(rte_align32pow2(n + 1));
	struct rte_ring *ring = size < 0 ? NULL : aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);

	if (ring != NULL && rte_ring_init(ring, "tls", n, flags) != 0) {
		free(ring);
		ring = NULL;
	}
	return ring;
}

/* Wakes its owner if it sleeps, or is about to: either it sees what was put into its ring before, or we see it sleep.
 */
static void
thread_wake(struct thread *thread)
{
	uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	/* A full counter (EAGAIN) means that it will wake anyhow. */
	if (atomic_load_explicit(&thread->sleeping, memory_order_relaxed) &&
	    write(thread->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void
respond(struct thread *thread, unsigned worker, struct tls_session *session)
{
	/* There is room: no more are away than the ring has places. */
	rte_ring_enqueue(thread->lanes[worker].responses, session);
	thread->pool->options.wake(thread->pool->options.wake_context, worker);
}

static void
step(struct thread *thread, unsigned worker, struct tls_session *session)
{
	uint64_t before_us = clock_us();

	thread->stats.wait_us += before_us - session->submitted_us;
	if (atomic_load_explicit(&session->gone, memory_order_relaxed)) {
		thread->stats.gone++;
	} else {
		session->progress = (uint8_t)tls_session_handshake(session, thread->engine);
		thread->stats.steps++;
		thread->stats.busy_us += clock_us() - before_us;
	}
	respond(thread, worker, session);
}

/* Begun ones of all workers, and then one new one of each. Returns how many. */
static unsigned
round_of_steps(struct thread *thread)
{
	unsigned n = 0, n_workers = thread->pool->options.n_workers;
	void *session;

	for (unsigned w = 0; w < n_workers; w++) {
		for (unsigned v = 0; v < n_workers; v++)
			while (rte_ring_dequeue(thread->lanes[v].begun, &session) == 0) {
				step(thread, v, session);
				n++;
			}
		if (rte_ring_dequeue(thread->lanes[w].fresh, &session) == 0) {
			step(thread, w, session);
			n++;
		}
	}
	return n;
}

static bool
has_work(const struct thread *thread)
{
	for (unsigned w = 0; w < thread->pool->options.n_workers; w++)
		if (!rte_ring_empty(thread->lanes[w].begun) || !rte_ring_empty(thread->lanes[w].fresh))
			return true;
	return false;
}

static void
sleep_a_while(struct thread *thread)
{
	uint64_t count;

	atomic_store_explicit(&thread->sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!has_work(thread) && !atomic_load(&thread->pool->stop)) {
		thread->stats.sleeps++;
		if (read(thread->wake_fd, &count, sizeof(count)) < 0 && errno != EINTR)
			abort(); /* an eventfd of our own: it can't */
	}
	atomic_store_explicit(&thread->sleeping, false, memory_order_relaxed);
}

static void *
thread_run(void *argument)
{
	struct thread *thread = argument;
	const struct tls_pool_options *options = &thread->pool->options;
	char name[16];

	snprintf(name, sizeof(name), "handshake/%u", thread->id);
	pthread_setname_np(pthread_self(), name);
	/* On Linux this is of the calling thread alone. It may always be made less. */
	int nice = getpriority(PRIO_PROCESS, 0) + options->nice;
	setpriority(PRIO_PROCESS, 0, nice > NICE_MAX ? NICE_MAX : nice);
	while (!atomic_load(&thread->pool->stop)) {
		tls_engine_refresh(thread->engine, wall_s());
		if (round_of_steps(thread) == 0)
			sleep_a_while(thread);
	}
	return NULL;
}

static bool
thread_prepare(struct thread *thread, const uint8_t seed[TLS_TICKET_SEED], int64_t now)
{
	const struct tls_pool_options *options = &thread->pool->options;

	thread->wake_fd = eventfd(0, EFD_CLOEXEC);
	thread->engine = tls_engine_new(options->hooks, seed, now);
	for (unsigned w = 0; w < options->n_workers; w++) {
		struct lane *lane = &thread->lanes[w];
		lane->begun = ring_new(options->requests);
		lane->fresh = ring_new(options->requests);
		lane->responses = ring_new(options->requests);
		if (lane->begun == NULL || lane->fresh == NULL || lane->responses == NULL)
			return false;
	}
	return thread->wake_fd >= 0 && thread->engine != NULL;
}

/* Signals are the main thread's. */
static int
thread_start(struct thread *thread)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	cpu_set_t cores;

	pthread_attr_init(&attributes);
	if (thread->pool->options.core >= 0) {
		CPU_ZERO(&cores);
		CPU_SET(thread->pool->options.core, &cores);
		pthread_attr_setaffinity_np(&attributes, sizeof(cores), &cores);
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = pthread_create(&thread->handle, &attributes, thread_run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	thread->runs = result == 0;
	return result;
}

struct tls_pool *
tls_pool_start(const struct tls_pool_options *options, struct text *error)
{
	struct tls_pool *pool = calloc(1, sizeof(*pool));
	uint8_t seed[TLS_TICKET_SEED];
	int64_t now = wall_s();
	int result = 0;

	if (pool == NULL || RAND_bytes(seed, sizeof(seed)) != 1) {
		text_print(error, "no memory or no random numbers for handshake threads");
		free(pool);
		return NULL;
	}
	pool->options = *options;
	for (unsigned i = 0; i < options->n_threads; i++)
		pool->threads[i] = (struct thread){.pool = pool, .id = i, .wake_fd = -1};
	for (unsigned i = 0; i < options->n_threads && result == 0; i++)
		result = thread_prepare(&pool->threads[i], seed, now) ? thread_start(&pool->threads[i]) : ENOMEM;
	OPENSSL_cleanse(seed, sizeof(seed));
	if (result == 0)
		return pool;
	text_print(error, "can't start %u handshake threads: %s", options->n_threads, strerror(result));
	tls_pool_stop(pool);
	tls_pool_free(pool);
	return NULL;
}

/* What nobody took comes back as it is. */
static void
return_rest(struct thread *thread)
{
	for (unsigned w = 0; w < thread->pool->options.n_workers; w++) {
		struct lane *lane = &thread->lanes[w];
		void *session;
		while (rte_ring_dequeue(lane->begun, &session) == 0 || rte_ring_dequeue(lane->fresh, &session) == 0) {
			((struct tls_session *)session)->progress = TLS_FAILED;
			((struct tls_session *)session)->reason = REASON_SHUTDOWN;
			rte_ring_enqueue(lane->responses, session);
		}
	}
}

void
tls_pool_stop(struct tls_pool *pool)
{
	atomic_store(&pool->stop, true);
	for (unsigned i = 0; i < pool->options.n_threads; i++) {
		struct thread *thread = &pool->threads[i];
		if (!thread->runs)
			continue;
		thread_wake(thread);
		pthread_join(thread->handle, NULL);
		thread->runs = false;
		return_rest(thread);
	}
}

void
tls_pool_free(struct tls_pool *pool)
{
	for (unsigned i = 0; i < pool->options.n_threads; i++) {
		struct thread *thread = &pool->threads[i];
		for (unsigned w = 0; w < pool->options.n_workers; w++) {
			free(thread->lanes[w].begun);
			free(thread->lanes[w].fresh);
			free(thread->lanes[w].responses);
		}
		if (thread->engine != NULL)
			tls_engine_free(thread->engine);
		if (thread->wake_fd >= 0)
			close(thread->wake_fd);
	}
	free(pool);
}

static unsigned
least_busy(const struct tls_pool *pool, unsigned worker)
{
	unsigned best = 0;

	for (unsigned i = 1; i < pool->options.n_threads; i++)
		if (pool->threads[i].lanes[worker].away < pool->threads[best].lanes[worker].away)
			best = i;
	return best;
}

static uint16_t *
count_of(struct lane *lane, const struct tls_session *session)
{
	return &lane->by_source[session->source % SOURCES];
}

/* Whether a lane takes one more. */
static bool
has_place(const struct tls_pool *pool, struct lane *lane, const struct tls_session *session, bool begun)
{
	unsigned requests = pool->options.requests;

	if (begun || session->source == 0 || lane->away < requests / 2)
		return lane->away < (begun ? requests : requests / 4 * 3);
	return lane->away < requests / 4 * 3 && *count_of(lane, session) < (requests + SOURCE_SHARE - 1) / SOURCE_SHARE;
}

bool
tls_pool_submit(struct tls_pool *pool, unsigned worker, struct tls_session *session, struct tls_io *io)
{
	bool begun = session->thread != TLS_NO_THREAD;
	unsigned id = begun ? session->thread : least_busy(pool, worker);
	struct thread *thread = &pool->threads[id];
	struct lane *lane = &thread->lanes[worker];

	if (!has_place(pool, lane, session, begun))
		return false;
	tls_bio_lend(&session->bio, io->pool, session->terms->flight_bytes + FLIGHT_BESIDE_CHAIN);
	session->bio.pool = NULL;
	session->thread = (uint8_t)id;
	session->away = true;
	session->is_new = !begun;
	*count_of(lane, session) += session->is_new;
	session->submitted_us = clock_us();
	lane->away++;
	rte_ring_enqueue(begun ? lane->begun : lane->fresh, session);
	thread_wake(thread);
	return true;
}

unsigned
tls_pool_collect(struct tls_pool *pool, unsigned worker, struct tls_session **sessions, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->options.n_threads && n < max; i++) {
		struct lane *lane = &pool->threads[i].lanes[worker];
		unsigned got = rte_ring_dequeue_burst(lane->responses, (void **)&sessions[n], max - n, NULL);
		lane->away -= got;
		for (unsigned k = n; k < n + got; k++)
			*count_of(lane, sessions[k]) -= sessions[k]->is_new;
		n += got;
	}
	for (unsigned i = 0; i < n; i++) {
		sessions[i]->away = sessions[i]->is_new = false;
		tls_bio_reclaim(&sessions[i]->bio);
	}
	return n;
}

void
tls_pool_load(const struct tls_pool *pool, struct tls_pool_load *load)
{
	*load = (struct tls_pool_load){0};
	for (unsigned i = 0; pool != NULL && i < pool->options.n_threads; i++)
		for (unsigned w = 0; w < pool->options.n_workers; w++) {
			const struct lane *lane = &pool->threads[i].lanes[w];
			load->away += __atomic_load_n(&lane->away, __ATOMIC_RELAXED);
			load->queued += rte_ring_count(lane->begun) + rte_ring_count(lane->fresh);
			load->capacity += pool->options.requests;
		}
}

/* Both are records of 64-bit counters and nothing else. */
static void
add_counters(void *sum, const void *more, size_t bytes)
{
	uint64_t *to = sum;
	const uint64_t *from = more;

	for (size_t i = 0; i < bytes / sizeof(*to); i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void
tls_pool_stats(const struct tls_pool *pool, struct tls_pool_stats *stats, struct tls_engine_stats *engines)
{
	*stats = (struct tls_pool_stats){0};
	*engines = (struct tls_engine_stats){0};
	for (unsigned i = 0; pool != NULL && i < pool->options.n_threads; i++) {
		add_counters(stats, &pool->threads[i].stats, sizeof(*stats));
		add_counters(engines, &pool->threads[i].engine->stats, sizeof(*engines));
	}
}
