/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/loop.h"

#include <signal.h>
#include <string.h>

#include "platform/log.h"

static const int caught[LOOP_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR2};

static void
on_signal(uv_signal_t *handle, int number)
{
	struct loop *loop = handle->data;
	const struct loop_callbacks *callbacks = &loop->callbacks;

	log_write(LOG_INFO, "loop", "signal", LOG_FIELDS(LOG_STR("signal", strsignal(number))));
	switch (number) {
	case SIGHUP:
		callbacks->reload(callbacks->context);
		break;
	case SIGQUIT:
		callbacks->leave(callbacks->context);
		break;
	case SIGUSR2:
		callbacks->upgrade(callbacks->context);
		break;
	default:
		callbacks->stop(callbacks->context);
	}
}

static void
on_tick(uv_timer_t *handle)
{
	struct loop *loop = handle->data;

	loop->callbacks.tick(loop->callbacks.context);
}

static void
on_watchdog(uv_timer_t *handle)
{
	struct loop *loop = handle->data;

	if (loop->callbacks.healthy(loop->callbacks.context)) {
		notify_watchdog(loop->notify);
		loop->unhealthy = false;
	} else if (!loop->unhealthy) {
		log_write(LOG_ERROR, "loop", "a worker stands still; systemd's watchdog is left to time out", NULL, 0);
		loop->unhealthy = true;
	}
}

static void
close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void
loop_close(struct loop *loop)
{
	uv_walk(&loop->uv, close_handle, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT); /* the closing itself happens there */
	uv_loop_close(&loop->uv);
}

int
loop_open(struct loop *loop, const struct loop_callbacks *callbacks, const struct notify *notify, uint64_t tick_ms)
{
	*loop = (struct loop){.callbacks = *callbacks, .notify = notify};
	sigset_t set;

	int error = uv_loop_init(&loop->uv);
	if (error != 0)
		return error;
	signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error of its write */
	for (unsigned i = 0; i < LOOP_SIGNALS; i++) {
		loop->signals[i].data = loop;
		if ((error = uv_signal_init(&loop->uv, &loop->signals[i])) != 0 ||
		    (error = uv_signal_start(&loop->signals[i], on_signal, caught[i])) != 0)
			goto Exit;
	}
	loop_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	loop->tick.data = loop->watchdog.data = loop;
	uint64_t watchdog_ms = notify->watchdog_us / 2000; /* systemd asks for half its time */
	if ((error = uv_timer_init(&loop->uv, &loop->tick)) != 0 ||
	    (error = uv_timer_init(&loop->uv, &loop->watchdog)) != 0 ||
	    (error = uv_timer_start(&loop->tick, on_tick, tick_ms, tick_ms)) != 0)
		goto Exit;
	if (notify->watchdog_us != 0) {
		watchdog_ms = watchdog_ms == 0 ? 1 : watchdog_ms;
		error = uv_timer_start(&loop->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
	}
Exit:
	if (error != 0)
		loop_close(loop);
	return error;
}

void
loop_signals(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < LOOP_SIGNALS; i++)
		sigaddset(set, caught[i]);
}

void
loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void
loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}
