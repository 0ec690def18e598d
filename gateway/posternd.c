/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternd: reads postern.conf, puts the box together, and runs its main thread until it is told to stop.
 *
 *   SIGHUP          reload federation.yaml; a file with an error changes nothing
 *   SIGTERM, SIGINT drain: no new connections; stop when the last one is closed or after flow.drain_timeout_s. A second
 *                   signal stops at once. Connections still open then are reset on both sides.
 *   SIGQUIT         stop at once and leave the connections as they are, for the next posternd to go on with
 *   SIGUSR2         upgrade: become the program that this one was started from, as it is now, and go on with the
 *                   connections (upgrade.h). One that refuses our files, or can't be run, changes nothing
 */
#include <getopt.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/access_log.h"
#include "gateway/box.h"
#include "gateway/control.h"
#include "gateway/telemetry.h"
#include "gateway/upgrade.h"
#include "platform/clock.h"
#include "platform/http.h"
#include "platform/log.h"
#include "platform/loop.h"
#include "platform/metrics.h"
#include "platform/notify.h"

enum { TICK_MS = 50, SECOND_MS = 1000, EVENT_BURST = 64, UPGRADE_DELAY_MS = 2 * TICK_MS };

struct daemon {
	struct conf *conf;
	struct box box;
	struct loop loop;
	struct notify notify;
	struct metrics metrics;
	struct control *control;
	struct access_log access_log;
	struct http *http;
	uint64_t second_ms;      /* when the once-a-second work was last done */
	uint64_t keys_ms;        /* when certificates and keys were last looked at */
	uint64_t drain_until_ms; /* 0: not stopping */
	bool leaves;             /* stops, and leaves the flows */
	struct upgrade upgrade;
	char *successor;     /* program to become; NULL: none */
	uint64_t upgrade_ms; /* then: when */
};

/* Lines of a text, each as a log line of its own. */
static void
log_lines(enum log_level level, const char *message, const struct text *text)
{
	const char *line = text->bytes;
	while (line != NULL && *line != '\0') {
		size_t length = strcspn(line, "\n");
		char *copy = strndup(line, length);
		log_write(level, "gateway", message, LOG_FIELDS(LOG_STR("detail", copy)));
		free(copy);
		line += length + (line[length] == '\n');
	}
}

static bool
reload(void *context)
{
	struct daemon *daemon = context;
	struct box *box = &daemon->box;
	uint64_t begin_us = clock_us();

	notify_reloading(&daemon->notify);
	bool ok = box_reload(box);
	notify_ready(&daemon->notify);
	if (!ok) {
		log_lines(LOG_ERROR, "federation not applied", &box->reload.last_errors);
		return false;
	}
	if (box->reload.last_errors.length != 0)
		log_lines(LOG_WARN, "federation applied with a warning", &box->reload.last_errors);
	const struct snapshot *snapshot = decide_snapshot(box->decide);
	log_info("gateway", "federation applied", LOG_U64("generation", snapshot->generation),
		 LOG_U64("listeners", snapshot->n_listeners), LOG_U64("services", snapshot->n_services),
		 LOG_U64("endpoints", snapshot->n_endpoints), LOG_U64("microseconds", clock_us() - begin_us));
	return true;
}

static void
on_reload(void *context)
{
	reload(context);
}

static uint32_t
open_flows(const struct box *box)
{
	return box_flows_in(box, FLOW_PEEKING) + box_flows_in(box, FLOW_CONNECTING) + box_flows_in(box, FLOW_SPLICED) +
	       box_flows_in(box, FLOW_BRIDGED);
}

static void
on_stop(void *context)
{
	struct daemon *daemon = context;

	if (daemon->drain_until_ms != 0) {
		loop_stop(&daemon->loop);
		return;
	}
	free(daemon->successor);
	daemon->successor = NULL;
	notify_stopping(&daemon->notify);
	box_drain(&daemon->box, true);
	daemon->drain_until_ms = clock_ms() + 1000ull * daemon->conf->flow.drain_timeout_s;
	log_info("gateway", "draining", LOG_U64("flows", open_flows(&daemon->box)),
		 LOG_U64("seconds", daemon->conf->flow.drain_timeout_s));
	if (open_flows(&daemon->box) == 0)
		loop_stop(&daemon->loop);
}

static void
on_leave(void *context)
{
	struct daemon *daemon = context;

	daemon->leaves = true;
	loop_stop(&daemon->loop);
}

/* Whether program (NULL: our own file, as it is now) may become our successor. */
static bool
choose_successor(struct daemon *daemon, const char *program, struct text *error)
{
	if (program == NULL)
		program = daemon->upgrade.program;
	if (daemon->drain_until_ms != 0 || daemon->successor != NULL) {
		text_print(error, "posternd is %s already", daemon->successor != NULL ? "upgrading" : "stopping");
		return false;
	}
	if (!upgrade_check(program, daemon->conf->path, &daemon->notify, error))
		return false;
	daemon->successor = strdup(program);
	daemon->upgrade_ms = clock_ms() + UPGRADE_DELAY_MS;
	return true;
}

static bool
upgrade(void *context, const char *program, struct text *error)
{
	if (choose_successor(context, program, error))
		return true;
	log_lines(LOG_ERROR, "upgrade refused", error);
	return false;
}

static void
on_upgrade(void *context)
{
	struct text error = {0};

	upgrade(context, NULL, &error);
	text_free(&error);
}

static void
drain(void *context, bool draining)
{
	struct daemon *daemon = context;
	box_drain(&daemon->box, draining);
	log_info("gateway", draining ? "draining" : "taking connections again",
		 LOG_U64("flows", open_flows(&daemon->box)));
}

static void
write_access_log(struct daemon *daemon)
{
	struct flow_event events[EVENT_BURST];
	unsigned n;

	if (daemon->box.events == NULL)
		return;
	while ((n = rte_ring_dequeue_burst_elem(daemon->box.events, events, sizeof(events[0]), EVENT_BURST, NULL)) != 0)
		for (unsigned i = 0; i < n; i++)
			access_log_add(&daemon->access_log, &events[i]);
	access_log_flush(&daemon->access_log);
}

static void
on_tick(void *context)
{
	struct daemon *daemon = context;
	uint64_t now_ms = clock_ms();

	write_access_log(daemon);
	if (now_ms - daemon->second_ms >= SECOND_MS) {
		daemon->second_ms = now_ms;
		box_tick(&daemon->box);
	}
	if (now_ms - daemon->keys_ms >= KEYRING_POLL_MS) {
		daemon->keys_ms = now_ms;
		box_rekey(&daemon->box);
	}
	if (daemon->successor != NULL && now_ms >= daemon->upgrade_ms)
		loop_stop(&daemon->loop);
	if (daemon->drain_until_ms != 0 && (open_flows(&daemon->box) == 0 || now_ms >= daemon->drain_until_ms))
		loop_stop(&daemon->loop);
}

static bool
on_healthy(void *context)
{
	struct daemon *daemon = context;
	return box_is_alive(&daemon->box);
}

static void
usage(FILE *out)
{
	fputs("Usage: posternd [--conf FILE] [--check] [--version]\n"
	      "\n"
	      "  -c, --conf FILE  what this box is; default /etc/postern/postern.conf\n"
	      "      --check      read and check postern.conf and federation.yaml, and exit\n"
	      "      --version    print the version and exit\n"
	      "\n"
	      "SIGHUP reloads federation.yaml; SIGTERM drains, stops, and resets what is open then; SIGQUIT stops at "
	      "once\n"
	      "and leaves connections to the next posternd; SIGUSR2 upgrades in place. posternctl shows and steers "
	      "it.\n",
	      out);
}

/* Both files, without opening anything. */
static int
check(const struct conf *conf)
{
	struct diagnostics diagnostics = {0};
	struct text text = {0};
	const char *path = conf->federation_path;
	struct snapshot *snapshot = federation_load(&path, 1, NULL, &diagnostics);

	diagnostics_print(&diagnostics, &text);
	if (text.length != 0)
		fputs(text.bytes, stderr);
	text_free(&text);
	diagnostics_free(&diagnostics);
	if (snapshot == NULL)
		return 1;
	printf("%s and %s are valid\n", conf->path, conf->federation_path);
	snapshot_free(snapshot);
	return 0;
}

/* Brings everything up. On failure says why in error; what is up is taken down by the caller. */
static bool
start(struct daemon *daemon, struct text *error)
{
	struct box *box = &daemon->box;
	const struct conf *conf = daemon->conf;
	const struct loop_callbacks callbacks = {daemon, on_stop, on_reload, on_leave, on_upgrade, on_tick, on_healthy};

	const struct box_inheritance inheritance = {daemon->upgrade.interlude, daemon->upgrade.packets_fd};
	if (!box_open(box, conf, &inheritance, error))
		return false;
	if (!box_reload(box)) {
		text_print(error, "%s is not valid:\n%s", conf->federation_path, box->reload.last_errors.bytes);
		return false;
	}
	int result = loop_open(&daemon->loop, &callbacks, &daemon->notify, TICK_MS);
	if (result != 0) {
		text_print(error, "no event loop: %s", uv_strerror(result));
		return false;
	}
	telemetry_register(&daemon->metrics, box);
	const struct control_callbacks control_callbacks = {daemon, reload, drain, upgrade};
	daemon->control =
		control_start(&daemon->loop.uv, box, &daemon->metrics, conf->control_socket, &control_callbacks, error);
	if (daemon->control == NULL)
		return false;
	if (conf->metrics_address != NULL) {
		daemon->http = telemetry_serve(&daemon->loop.uv, &daemon->metrics, box, conf->metrics_address, error);
		if (daemon->http == NULL)
			return false;
	}
	if (!box_start(box, error))
		return false;
	box->upgraded_from = daemon->upgrade.from;
	if (box->upgraded_from[0] != '\0')
		box->stalled_us = clock_us() - daemon->upgrade.stopped_us;
	return true;
}

/* Becomes the successor. Returns when that failed: forwarding goes on then, or false and the process should end, so
 * that it is started again and adopts what it left. */
static bool
become_successor(struct daemon *daemon)
{
	struct interlude interlude;
	struct text error = {0};

	log_info("gateway", "upgrading", LOG_STR("program", daemon->successor),
		 LOG_U64("flows", open_flows(&daemon->box)));
	notify_reloading(&daemon->notify);
	interlude_open(&interlude, daemon->conf);
	uint64_t stopped_us = clock_us();
	box_stop(&daemon->box, BOX_STOP_KEEP);
	write_access_log(daemon);
	upgrade_exec(&daemon->upgrade, daemon->successor, daemon->conf, &interlude, daemon->box.eal.packets_fd,
		     stopped_us, &error);

	interlude_cancel(&interlude, daemon->conf, daemon->box.devices);
	free(daemon->successor);
	daemon->successor = NULL;
	daemon->box.upgrade_failures++;
	bool goes_on = box_resume(&daemon->box, &error);
	log_lines(LOG_ERROR, goes_on ? "upgrade failed; going on as before" : "upgrade failed", &error);
	text_free(&error);
	if (goes_on)
		notify_ready(&daemon->notify);
	return goes_on;
}

/* Ends, and leaves the flows. Devices aren't closed: that takes its time, and the system does it. */
static int
leave(struct daemon *daemon)
{
	log_info("gateway", "leaving the flows to the next posternd", LOG_U64("flows", open_flows(&daemon->box)));
	notify_stopping(&daemon->notify);
	box_stop(&daemon->box, BOX_STOP_KEEP);
	write_access_log(daemon);
	access_log_close(&daemon->access_log);
	control_stop(daemon->control);
	return 0;
}

static int
run(struct daemon *daemon)
{
	struct text error = {0};
	uint64_t begin_us = clock_us();

	notify_open(&daemon->notify);
	if (!start(daemon, &error)) {
		log_lines(LOG_ERROR, "cannot start", &error);
		text_free(&error);
		return 1; /* the process ends: the system takes back what was open */
	}
	daemon->access_log = (struct access_log){.live = daemon->box.live, .fd = STDERR_FILENO};
	const struct snapshot *snapshot = decide_snapshot(daemon->box.decide);
	log_info("gateway", "ready", LOG_U64("workers", daemon->box.n_workers), LOG_U64("ports", daemon->conf->n_ports),
		 LOG_U64("listeners", snapshot->n_listeners), LOG_U64("services", snapshot->n_services),
		 LOG_U64("endpoints", snapshot->n_endpoints), LOG_U64("microseconds", clock_us() - begin_us));
	if (daemon->upgrade.from[0] != '\0')
		log_info("gateway", "upgraded", LOG_STR("from", daemon->upgrade.from), LOG_STR("to", POSTERN_VERSION),
			 LOG_U64("stalled_us", daemon->box.stalled_us));
	notify_ready(&daemon->notify);
	do {
		loop_run(&daemon->loop);
		if (daemon->leaves)
			return leave(daemon);
		if (daemon->successor != NULL && !become_successor(daemon))
			return 1;
	} while (daemon->drain_until_ms == 0);

	log_info("gateway", "stopping", LOG_U64("flows", open_flows(&daemon->box)));
	control_stop(daemon->control);
	telemetry_serve_stop(daemon->http);
	box_stop(&daemon->box, BOX_STOP_RESET);
	write_access_log(daemon);
	access_log_close(&daemon->access_log);
	loop_close(&daemon->loop);
	box_close(&daemon->box);
	metrics_free(&daemon->metrics);
	notify_close(&daemon->notify);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"conf", required_argument, NULL, 'c'},
						{"check", no_argument, NULL, 'k'},
						{"version", no_argument, NULL, 'v'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	static struct daemon daemon;
	const char *path = "/etc/postern/postern.conf";
	bool only_check = false;
	int option;

	upgrade_init(&daemon.upgrade, argv);
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			only_check = true;
			break;
		case 'v':
			printf("posternd %s\n", POSTERN_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}

	struct text errors = {0};
	if (!conf_load(path, &daemon.conf, &errors) || (!only_check && !conf_check_host(daemon.conf, &errors))) {
		fputs(errors.bytes, stderr);
		text_free(&errors);
		return 1;
	}
	log_configure(daemon.conf->log.level, daemon.conf->log.format);
	int status = only_check ? check(daemon.conf) : run(&daemon);
	conf_free(daemon.conf);
	return status;
}
