/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/worker_run.h"

#include <errno.h>
#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "dataplane/backoff.h"
#include "dataplane/port.h"
#include "platform/clock.h"
#include "platform/text.h"

enum { NAP_TIMER_SLACK_NS = 1 };

/* The queue of a device that this worker polls, or -1. */
static int
queue_of(const struct worker *worker, const struct device *device)
{
	return worker->id < device->rx_queues ? worker->id : -1;
}

bool
worker_run_init(struct worker_run *run, struct worker *worker, struct rte_rcu_qsbr *qsbr, struct worker_run *all,
		struct text *error)
{
	*run = (struct worker_run){.worker = worker, .qsbr = qsbr, .all = all, .epoll_fd = -1};
	run->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = run->wake_fd};
	if (run->wake_fd < 0 || run->epoll_fd < 0 ||
	    epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, run->wake_fd, &event) != 0) {
		text_print(error, "no descriptors for worker %u to sleep on: %s", worker->id, strerror(errno));
		worker_run_close(run);
		return false;
	}
	for (unsigned i = 0; i < worker->net->n_devices; i++) {
		const struct device *device = worker->net->devices[i];
		int fds[PORT_WAKEUP_MAX], queue = queue_of(worker, device);
		if (queue < 0)
			continue;
		unsigned n = port_wakeup_fds(device, (uint16_t)queue, fds);
		run->naps |= n == 0;
		for (unsigned j = 0; j < n; j++) {
			event = (struct epoll_event){.events = EPOLLIN, .data.fd = fds[j]};
			if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, fds[j], &event) != 0)
				run->naps = true;
		}
	}
	return true;
}

void
worker_run_close(struct worker_run *run)
{
	if (run->wake_fd >= 0)
		close(run->wake_fd);
	if (run->epoll_fd >= 0)
		close(run->epoll_fd);
	run->wake_fd = run->epoll_fd = -1;
}

void
worker_run_wake(struct worker_run *run)
{
	uint64_t one = 1;
	/* A full counter (EAGAIN) means that it will wake anyhow. */
	if (atomic_load(&run->sleeping) && write(run->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* A burst of what others have handed over. Returns how many packets there were. */
static unsigned
take_inbox(struct worker *worker, uint64_t now_ms)
{
	struct rte_mbuf *mbufs[WORKER_BURST];

	if (worker->inbox == NULL)
		return 0;
	unsigned n = rte_ring_dequeue_burst(worker->inbox, (void **)mbufs, WORKER_BURST, NULL);
	if (n != 0)
		worker_input_handed_over(worker, mbufs, (uint16_t)n, now_ms);
	return n;
}

/* One round over devices, inbox and the gateway's own. Returns how many packets and messages there were. */
static unsigned
poll_all(struct worker_run *run, uint64_t now_ms)
{
	struct worker *worker = run->worker;
	struct rte_mbuf *mbufs[WORKER_GATHER];
	unsigned total = 0;
	uint16_t gathered = 0;

	for (uint8_t i = 0; i < worker->net->n_devices; i++) {
		struct device *device = worker->net->devices[i];
		int queue = queue_of(worker, device);
		if (queue < 0)
			continue;
		uint16_t n = device->rx(device, (uint16_t)queue, mbufs + gathered, WORKER_BURST);
		if (n == 0)
			continue;
		total += n;
		gathered = (uint16_t)(gathered + worker_arrived(worker, i, mbufs + gathered, n, now_ms));
		if (gathered > WORKER_GATHER - WORKER_BURST) {
			worker_input(worker, mbufs, gathered);
			gathered = 0;
		}
	}
	if (gathered != 0)
		worker_input(worker, mbufs, gathered);
	total += take_inbox(worker, now_ms);
	return total + worker_poll(worker, now_ms);
}

static void
wake_others(struct worker_run *run)
{
	uint32_t ids = run->worker->handed_to;

	run->worker->handed_to = 0;
	for (; ids != 0; ids &= ids - 1)
		worker_run_wake(&run->all[__builtin_ctz(ids)]);
}

static void
arm_devices(struct worker *worker, bool arm)
{
	for (unsigned i = 0; i < worker->net->n_devices; i++) {
		struct device *device = worker->net->devices[i];
		int queue = queue_of(worker, device);
		if (queue >= 0)
			port_wakeup_arm(device, (uint16_t)queue, arm);
	}
}

/* Waits for a packet, a word from elsewhere, or the next timer. Returns how many packets had come already, in whose
 * stead it didn't. */
static unsigned
sleep_a_while(struct worker_run *run, uint32_t nap_us)
{
	struct worker *worker = run->worker;
	uint64_t count;

	/* Say so first, then look once more: what came in between is either seen now or wakes us. */
	atomic_store(&run->sleeping, true);
	arm_devices(worker, true);
	uint64_t now_ms = clock_ms();
	unsigned n = poll_all(run, now_ms);
	if (n == 0 && !atomic_load(&run->stop)) {
		uint32_t timer_ms = timer_wheel_sleep(&worker->wheel, (uint32_t)now_ms, RUN_SLEEP_MAX_MS);
		struct timespec limit = {.tv_nsec =
						 (run->naps && timer_ms != 0 ? nap_us * 1000L : timer_ms * 1000000L)};
		struct epoll_event event;

		worker->stats->sleeps++;
		rte_rcu_qsbr_thread_offline(run->qsbr, worker->id);
		if (epoll_pwait2(run->epoll_fd, &event, 1, &limit, NULL) > 0 && event.data.fd == run->wake_fd)
			while (read(run->wake_fd, &count, sizeof(count)) > 0)
				;
		rte_rcu_qsbr_thread_online(run->qsbr, worker->id);
	}
	atomic_store(&run->sleeping, false);
	arm_devices(worker, false);
	worker_flush(worker);
	return n;
}

int
worker_run(void *argument)
{
	struct worker_run *run = argument;
	struct worker *worker = run->worker;
	uint64_t hz = rte_get_tsc_hz(), per_ms = hz / 1000, per_us = hz / 1000000;
	uint64_t clock_tsc = 0, quiet_since = rte_rdtsc(), before = quiet_since;
	uint64_t now_ms = 0;
	struct backoff backoff;
	bool slept = false; /* since quiet_since */

	backoff_init(&backoff);
	prctl(PR_SET_TIMERSLACK, NAP_TIMER_SLACK_NS, 0, 0, 0); /* or a nap of 100 us takes 150 */
	rte_rcu_qsbr_thread_register(run->qsbr, worker->id);
	rte_rcu_qsbr_thread_online(run->qsbr, worker->id);

	while (!atomic_load_explicit(&run->stop, memory_order_acquire)) {
		uint64_t tsc = rte_rdtsc();
		if (tsc - clock_tsc >= per_ms / 2) { /* the system's clock costs a few hundred cycles */
			clock_tsc = tsc;
			uint64_t ms = clock_ms();
			if (ms != now_ms)
				worker_time(worker, now_ms = ms);
		}
		unsigned n = poll_all(run, now_ms);
		worker_flush(worker);
		if (unlikely(worker->handed_to != 0))
			wake_others(run);
		rte_rcu_qsbr_quiescent(run->qsbr, worker->id);

		uint64_t after = rte_rdtsc();
		worker->stats->loops++;
		worker->stats->total_cycles += after - before;
		if (n != 0) {
			worker->stats->busy_cycles += after - tsc;
		} else if (slept || after - quiet_since > backoff.spin_us * per_us) {
			if (slept)
				backoff_in_vain(&backoff);
			n = sleep_a_while(run, backoff.nap_us);
			slept |= n == 0;
			clock_tsc = 0; /* the clock has moved on */
		}
		if (n != 0) {
			backoff_packets(&backoff, (tsc - quiet_since) / per_us, n, slept);
			quiet_since = rte_rdtsc();
			slept = false;
		}
		before = after;
	}
	while (take_inbox(worker, now_ms) != 0) /* the last words of workers that ended before */
		;
	if (!atomic_load(&run->keeps))
		worker_abort_all(worker, REASON_SHUTDOWN);
	worker_flush(worker);
	rte_rcu_qsbr_thread_offline(run->qsbr, worker->id);
	rte_rcu_qsbr_thread_unregister(run->qsbr, worker->id);
	return 0;
}
