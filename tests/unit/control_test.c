/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket as posternctl sees it: the server runs on the test's own loop, and a thread asks it through the
 * tool's own client.
 */
#include "gateway/control.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/control_answer.h"
#include "gateway/ctl_client.h"
#include "gateway/session_parts.h"
#include "tests/unit/fake_box.h"

struct world {
	struct fake_box fake;
	struct metrics metrics;
	uv_loop_t loop;
	uv_async_t done;
	struct control *control;
	char folder[32], path[64];
	bool reload_ok;
	unsigned reloads, upgrades;
	/* what the thread does */
	void (*client)(struct world *world);
};

static bool
on_reload(void *context)
{
	struct world *world = context;

	world->reloads++;
	return fake_box_federate(&world->fake, world->reload_ok ? fake_federation : "kind: Federatoin\n");
}

static void
on_drain(void *context, bool draining)
{
	((struct world *)context)->fake.box.draining = draining;
}

static bool
on_upgrade(void *context, const char *program, struct text *error)
{
	struct world *world = context;

	if (program != NULL && program[0] != '/') {
		text_print(error, "no");
		return false;
	}
	world->upgrades++;
	return true;
}

static void
collect_one(void *context, struct metrics_writer *writer)
{
	(void)context;
	metrics_add_u64(writer, NULL, 1);
}

static void
world_open(struct world *world)
{
	static const struct metrics_family family = {"up", "It is.", METRICS_GAUGE, NULL, 0, collect_one, NULL};
	const struct control_callbacks callbacks = {world, on_reload, on_drain, on_upgrade};
	struct text error = {0};

	fake_box_open(&world->fake);
	CU_ASSERT_TRUE(metrics_register(&world->metrics, &family));
	snprintf(world->folder, sizeof(world->folder), "/tmp/control_test.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(world->folder));
	snprintf(world->path, sizeof(world->path), "%s/run/postern/c.sock", world->folder);
	CU_ASSERT_EQUAL(uv_loop_init(&world->loop), 0);
	world->control =
		control_start(&world->loop, &world->fake.box, &world->metrics, world->path, &callbacks, &error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->control);
	CU_ASSERT_EQUAL(error.length, 0);
}

static void
world_close(struct world *world)
{
	char command[64];

	control_stop(world->control);
	CU_ASSERT_EQUAL(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
	CU_ASSERT_EQUAL(uv_loop_close(&world->loop), 0);
	CU_ASSERT_NOT_EQUAL(access(world->path, F_OK), 0);
	metrics_free(&world->metrics);
	fake_box_close(&world->fake);
	snprintf(command, sizeof(command), "%s/run/postern", world->folder);
	rmdir(command);
	snprintf(command, sizeof(command), "%s/run", world->folder);
	rmdir(command);
	CU_ASSERT_EQUAL(rmdir(world->folder), 0);
}

static void *
run_client(void *argument)
{
	struct world *world = argument;

	world->client(world);
	uv_async_send(&world->done);
	return NULL;
}

static void
on_done(uv_async_t *done)
{
	uv_stop(done->loop);
	uv_close((uv_handle_t *)done, NULL);
}

/* Runs client in a thread, and the server meanwhile. */
static void
with_server(void (*client)(struct world *world))
{
	struct world world = {0};
	pthread_t thread;

	world_open(&world);
	world.client = client;
	uv_async_init(&world.loop, &world.done, on_done);
	pthread_create(&thread, NULL, run_client, &world);
	uv_run(&world.loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	world_close(&world);
}

static FILE *
ask(struct world *world, const char *command, const char *arguments)
{
	struct text error = {0};
	json_t *json = json_loads(arguments, 0, NULL);
	FILE *answer = ctl_ask(world->path, command, json, &error);

	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_EQUAL(error.length, 0);
	json_decref(json);
	return answer;
}

static json_t *
ask_document(struct world *world, const char *command, const char *arguments)
{
	struct text error = {0};
	json_t *document = NULL;
	FILE *answer = ask(world, command, arguments);

	CU_ASSERT_EQUAL_FATAL(ctl_answer_begin(answer, &document, &error), CTL_ANSWER_DOCUMENT);
	CU_ASSERT_EQUAL(fgetc(answer), EOF); /* one document, and the end */
	fclose(answer);
	return document;
}

/* The records of a list as one array. */
static json_t *
ask_list(struct world *world, const char *command, const char *arguments, bool truncated)
{
	struct text error = {0};
	json_t *document = NULL, *list = json_array(), *end;
	struct ctl_records records = {.answer = ask(world, command, arguments)};
	const char *line;

	CU_ASSERT_EQUAL_FATAL(ctl_answer_begin(records.answer, &document, &error), CTL_ANSWER_LIST);
	while ((line = ctl_records_next(&records, &end)) != NULL)
		json_array_append_new(list, json_loads(line, 0, NULL));
	CU_ASSERT_EQUAL(json_is_true(json_object_get(end, "truncated")), truncated);
	CU_ASSERT_PTR_NULL(json_object_get(end, "interrupted"));
	json_decref(end);
	ctl_records_free(&records);
	return list;
}

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text == NULL ? "" : text;
}

static json_int_t
number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void
status_client(struct world *world)
{
	struct worker_stats *const *stats = world->fake.box.stats;

	stats[0]->states[FLOW_SPLICED] = 1;
	stats[1]->states[FLOW_SPLICED] = 2;
	stats[0]->rx_packets[1] = 10;
	stats[1]->rx_packets[1] = 20;
	json_t *status = ask_document(world, "status", "{}");
	const json_t *federation = json_object_get(status, "federation");
	const json_t *ports = json_object_get(status, "ports"), *lan = json_array_get(ports, 1);

	CU_ASSERT_STRING_EQUAL(text_of(status, "version"), POSTERN_VERSION);
	CU_ASSERT_STRING_EQUAL(text_of(status, "state"), "stopped");
	CU_ASSERT_STRING_EQUAL(text_of(federation, "trust_domain"), "lulea.example");
	CU_ASSERT_STRING_EQUAL(text_of(federation, "cluster"), "lulea");
	CU_ASSERT_EQUAL(number_of(federation, "generation"), 1);
	CU_ASSERT_EQUAL(number_of(federation, "services"), 2);
	CU_ASSERT_EQUAL(number_of(json_object_get(status, "flows"), "spliced"), 3);
	CU_ASSERT_EQUAL(number_of(json_object_get(json_object_get(status, "tables"), "flows"), "used"), 3);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(status, "workers")), FAKE_WORKERS);
	CU_ASSERT_EQUAL(json_array_size(ports), 2);
	CU_ASSERT_STRING_EQUAL(text_of(lan, "port"), "lan");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(lan, "addresses"), 0)),
			       "10.244.0.1/16");
	CU_ASSERT_EQUAL(number_of(lan, "rx_packets"), 30);
	CU_ASSERT_TRUE(json_is_null(json_object_get(lan, "tx_packets"))); /* shares its device */
	CU_ASSERT_TRUE(json_is_null(json_object_get(status, "adoption")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(status, "bridging")));
	json_decref(status);

	world->fake.box.adoption = (struct flow_adoption){.found = 12, .spliced = 7, .forgotten = 3, .held = 2};
	world->fake.box.adoption_us = 4321;
	status = ask_document(world, "status", "{}");
	const json_t *adoption = json_object_get(status, "adoption");
	CU_ASSERT_EQUAL(number_of(adoption, "found"), 12);
	CU_ASSERT_EQUAL(number_of(adoption, "spliced"), 7);
	CU_ASSERT_EQUAL(number_of(adoption, "adopt_held"), 2);
	CU_ASSERT_EQUAL(number_of(adoption, "microseconds"), 4321);
	json_decref(status);
}

static void
bridging_client(struct world *world)
{
	world->fake.box.bridging.sessions = sessions_create(&(struct sessions_options){
		.decide = world->fake.box.decide, .live = world->fake.box.live, .n_workers = FAKE_WORKERS});
	json_t *status = ask_document(world, "status", "{}");
	const json_t *bridging = json_object_get(status, "bridging"), *cipher;

	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "sessions"), "joined"), 0);
	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "handshakes"), "shed"), 0);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(bridging, "ciphers")), 0);
	json_decref(status);

	world->fake.box.bridging.sessions->workers[0].stats =
		(struct sessions_stats){.now = {[SESSION_DIALLING] = 1, [SESSION_JOINED] = 2},
					.handshakes = {[LEG_CLIENT][4] = {3, 1}, [LEG_ENDPOINT][0] = {2, 0}}};
	world->fake.box.stats[1]->reasons[REASON_TLS_SHED] = 9;
	status = ask_document(world, "status", "{}");
	bridging = json_object_get(status, "bridging");
	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "sessions"), "joined"), 2);
	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "sessions"), "dialling"), 1);
	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "handshakes"), "full"), 5);
	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "handshakes"), "resumed"), 1);
	CU_ASSERT_EQUAL(number_of(json_object_get(bridging, "handshakes"), "shed"), 9);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(bridging, "ciphers")), 2);
	cipher = json_array_get(json_object_get(bridging, "ciphers"), 1);
	CU_ASSERT_STRING_EQUAL(text_of(cipher, "version"), "TLSv1.2");
	CU_ASSERT_STRING_EQUAL(text_of(cipher, "cipher"), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
	CU_ASSERT_EQUAL(number_of(cipher, "client"), 4);
	CU_ASSERT_EQUAL(number_of(cipher, "endpoint"), 0);
	json_decref(status);
	sessions_free(world->fake.box.bridging.sessions);
	world->fake.box.bridging.sessions = NULL;
}

static void
test_status(void)
{
	with_server(status_client);
	with_server(bridging_client);
}

static void
lists_client(struct world *world)
{
	const struct endpoint *endpoint = fake_box_endpoint(&world->fake, "10.244.2.9");
	const struct tcp_profile profile = {.mss = 1400, .wscale = 9, .sack = true};
	live_counters(world->fake.box.live, 1)[endpoint->live] =
		(struct live_counters){.opened = 7, .failed = 2, .active = 3, .sent = 70, .received = 900};
	live_profile_set(world->fake.box.live, endpoint->live, &profile);

	json_t *list = ask_list(world, "listeners", "{}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	const json_t *record = json_array_get(list, 0);
	CU_ASSERT_EQUAL(number_of(record, "port"), 15443);
	CU_ASSERT_STRING_EQUAL(text_of(record, "mode"), "AUTO_PASSTHROUGH");
	CU_ASSERT_STRING_EQUAL(text_of(record, "gateway"), "bank/east-west");
	CU_ASSERT_EQUAL(number_of(record, "services"), 2);
	CU_ASSERT_TRUE(json_is_object(json_object_get(record, "offer")));
	json_decref(list);

	list = ask_list(world, "services", "{\"service\":\"payments.bank.svc.cluster.local\"}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	record = json_array_get(json_object_get(json_array_get(list, 0), "backends"), 0);
	CU_ASSERT_EQUAL(number_of(record, "port"), 8443);
	CU_ASSERT_EQUAL(number_of(record, "endpoints"), 3);
	CU_ASSERT_STRING_EQUAL(text_of(record, "balancer"), "LEAST_REQUEST");
	json_decref(list);

	list = ask_list(world, "endpoints", "{}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 4);
	unsigned found = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		record = json_array_get(list, i);
		if (strcmp(text_of(record, "address"), "10.244.2.9:8443") != 0)
			continue;
		found++;
		CU_ASSERT_STRING_EQUAL(text_of(record, "service"), "payments.bank.svc.cluster.local");
		CU_ASSERT_EQUAL(number_of(record, "active"), 3);
		CU_ASSERT_EQUAL(number_of(record, "opened"), 7);
		CU_ASSERT_EQUAL(number_of(record, "failed"), 2);
		CU_ASSERT_EQUAL(number_of(record, "received"), 900);
		CU_ASSERT_EQUAL(number_of(json_object_get(record, "tcp"), "mss"), 1400);
	}
	CU_ASSERT_EQUAL(found, 1);
	json_decref(list);
	list = ask_list(world, "endpoints", "{\"limit\":3}", true);
	CU_ASSERT_EQUAL(json_array_size(list), 3);
	json_decref(list);
	list = ask_list(world, "endpoints", "{\"limit\":4}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 4);
	json_decref(list);
}

static void
test_lists(void)
{
	with_server(lists_client);
}

static void
flows_client(struct world *world)
{
	static const struct {
		const char *arguments;
		unsigned n;
	} cases[] = {
		{"{}", 4},
		{"{\"client\":\"198.51.100.1\"}", 1},
		{"{\"client\":\"198.51.100.0/24\"}", 2},
		{"{\"client\":\"2001:db8:1::/48\"}", 1},
		{"{\"client\":\"203.0.113.1\"}", 1},
		{"{\"client\":\"192.0.2.77\"}", 0},
		{"{\"endpoint\":\"10.244.2.9\"}", 2},
		{"{\"endpoint\":\"10.244.2.9:8443\"}", 2},
		{"{\"endpoint\":\"10.244.2.9:8444\"}", 0},
		{"{\"endpoint\":\"10.244.0.0/16\"}", 2},
		{"{\"service\":\"ledger.bank.svc.cluster.local\"}", 1},
		{"{\"service\":\"ledger\"}", 0},
		{"{\"state\":\"peeking\"}", 1},
		{"{\"state\":\"closing\"}", 0},
		{"{\"listener\":\"bank/east-west\"}", 4},
		{"{\"listener\":\"15443\"}", 4},
		{"{\"listener\":\"443\"}", 0},
		{"{\"state\":\"spliced\",\"client\":\"198.51.100.0/24\"}", 2},
	};
	struct flow *closing;

	fake_box_flow(&world->fake, 0, "198.51.100.1", "10.244.2.9");
	fake_box_flow(&world->fake, 1, "198.51.100.2", "10.244.2.9");
	fake_box_flow(&world->fake, 1, "2001:db8:1::5", "2001:db8::7");
	fake_box_flow(&world->fake, 1, "203.0.113.1", NULL);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *list = ask_list(world, "flows", cases[i].arguments, false);
		CU_ASSERT_EQUAL(json_array_size(list), cases[i].n);
		json_decref(list);
	}

	json_t *list = ask_list(world, "flows", "{\"client\":\"198.51.100.1\"}", false);
	const json_t *record = json_array_get(list, 0);
	CU_ASSERT_STRING_EQUAL(text_of(record, "state"), "spliced");
	CU_ASSERT_STRING_EQUAL(text_of(record, "client"), "198.51.100.1:40000");
	CU_ASSERT_STRING_EQUAL(text_of(record, "local"), "192.0.2.1:15443");
	CU_ASSERT_STRING_EQUAL(text_of(record, "out"), "10.244.0.1:20000");
	CU_ASSERT_STRING_EQUAL(text_of(record, "endpoint"), "10.244.2.9:8443");
	CU_ASSERT_STRING_EQUAL(text_of(record, "service"), "payments.bank.svc.cluster.local");
	CU_ASSERT_STRING_EQUAL(text_of(record, "opened"), "2026-01-02T03:04:05.678Z");
	CU_ASSERT_EQUAL(number_of(record, "sent"), 700);
	CU_ASSERT_EQUAL(number_of(record, "received"), 9000);
	json_decref(list);

	/* One that is still to be decided has no other side. */
	list = ask_list(world, "flows", "{\"state\":\"peeking\"}", false);
	record = json_array_get(list, 0);
	CU_ASSERT_TRUE(json_is_null(json_object_get(record, "endpoint")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(record, "out")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(record, "service")));
	json_decref(list);

	closing = fake_box_flow(&world->fake, 0, "198.51.100.9", "10.244.2.9");
	closing->state = FLOW_CLOSING;
	closing->reason = REASON_RESET_BY_CLIENT;
	list = ask_list(world, "flows", "{\"state\":\"closing\"}", false);
	CU_ASSERT_STRING_EQUAL(text_of(json_array_get(list, 0), "reason"), "reset_by_client");
	json_decref(list);
}

static void
test_flows(void)
{
	with_server(flows_client);
}

/* Many pieces, taken by a reader that is slower than the writer. */
static void
many_flows_client(struct world *world)
{
	for (unsigned i = 0; i < FAKE_FLOWS; i++)
		fake_box_flow(&world->fake, 0, "198.51.100.1", "10.244.2.9");
	json_t *list = ask_list(world, "flows", "{\"limit\":0}", false);
	CU_ASSERT_EQUAL(json_array_size(list), FAKE_FLOWS);
	json_decref(list);
	list = ask_list(world, "flows", "{}", true);
	CU_ASSERT_EQUAL(json_array_size(list), CONTROL_LIMIT);
	json_decref(list);
	/* Nothing matches: many empty pieces. */
	list = ask_list(world, "flows", "{\"limit\":0,\"client\":\"10.0.0.0/8\"}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 0);
	json_decref(list);
	/* A client that goes in the middle takes nothing with it. */
	FILE *answer = ask(world, "flows", "{\"limit\":0}");
	fclose(answer);
	json_decref(ask_document(world, "status", "{}"));
}

static void
test_many_flows(void)
{
	with_server(many_flows_client);
}

static void
drops_client(struct world *world)
{
	struct worker_stats *stats = world->fake.box.stats[0];

	json_t *list = ask_list(world, "drops", "{}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 0);
	json_decref(list);
	__atomic_store_n(&stats->reasons[REASON_SNI_NO_MATCH], 4, __ATOMIC_RELAXED);
	list = ask_list(world, "drops", "{}", false);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	const json_t *record = json_array_get(list, 0);
	CU_ASSERT_STRING_EQUAL(text_of(record, "reason"), "sni_no_match");
	CU_ASSERT_STRING_EQUAL(text_of(record, "class"), "refusal");
	CU_ASSERT_EQUAL(number_of(record, "count"), 4);
	CU_ASSERT_STRING_EQUAL(text_of(record, "meaning"), reason_meaning(REASON_SNI_NO_MATCH));
	json_decref(list);
	list = ask_list(world, "drops", "{\"all\":true}", false);
	CU_ASSERT_EQUAL(json_array_size(list), REASON_COUNT - 1);
	json_decref(list);
}

static void
test_drops(void)
{
	with_server(drops_client);
}

static void
explain_client(struct world *world)
{
	json_t *document = ask_document(world, "explain",
					"{\"from\":\"10.0.0.9\",\"to\":\"payments.bank.svc.cluster.local:8443\"}");
	const json_t *way = json_array_get(json_object_get(document, "ways"), 0);
	const json_t *destination = json_array_get(json_object_get(way, "destinations"), 0);
	CU_ASSERT_TRUE(json_is_true(json_object_get(document, "allowed")));
	CU_ASSERT_STRING_EQUAL(text_of(destination, "service"), "payments.bank.svc.cluster.local");
	CU_ASSERT_STRING_EQUAL(text_of(destination, "verdict"), "passed");
	CU_ASSERT(json_is_integer(
		json_object_get(json_array_get(json_object_get(destination, "endpoints"), 0), "active")));
	json_decref(document);
	document = ask_document(world, "explain", "{\"from\":\"10.0.0.9\"}");
	CU_ASSERT_STRING_EQUAL(text_of(document, "error"), "explain needs \"from\" and \"to\"");
	json_decref(document);
	document = ask_document(world, "explain", "{\"from\":\"x\",\"to\":\"a.example:1\"}");
	CU_ASSERT_STRING_EQUAL(text_of(document, "error"),
			       "\"x\" is neither spiffe://TRUST-DOMAIN/PATH, LEGACY-PKI/DNS-NAME, nor an address");
	json_decref(document);
	document = ask_document(world, "explain", "{\"frm\":\"x\"}");
	CU_ASSERT_STRING_EQUAL(text_of(document, "error"), "explain has no argument \"frm\"; did you mean \"from\"?");
	json_decref(document);
}

static void
test_explain(void)
{
	with_server(explain_client);
}

static void
steer_client(struct world *world)
{
	json_t *document = ask_document(world, "drain", "{}");
	CU_ASSERT_TRUE(json_is_true(json_object_get(document, "draining")));
	CU_ASSERT_TRUE(world->fake.box.draining);
	json_decref(document);
	document = ask_document(world, "drain", "{\"undo\":true}");
	CU_ASSERT_FALSE(world->fake.box.draining);
	json_decref(document);

	world->reload_ok = true;
	document = ask_document(world, "reload", "{}");
	CU_ASSERT_PTR_NULL(json_object_get(document, "error"));
	CU_ASSERT_EQUAL(number_of(document, "generation"), 2);
	CU_ASSERT_EQUAL(number_of(document, "services"), 2);
	json_decref(document);
	world->reload_ok = false;
	document = ask_document(world, "reload", "{}");
	CU_ASSERT_PTR_NOT_NULL(json_object_get(document, "error"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text_of(document, "diagnostics"), "test.yaml:1:"));
	CU_ASSERT_EQUAL(number_of(document, "generation"), 2);
	CU_ASSERT_EQUAL(world->reloads, 2);
	json_decref(document);

	document = ask_document(world, "upgrade", "{\"binary\":\"posternd\"}");
	CU_ASSERT_STRING_EQUAL(text_of(document, "error"), "no");
	json_decref(document);
	document = ask_document(world, "upgrade", "{\"binary\":\"/sbin/posternd\"}");
	CU_ASSERT_EQUAL(number_of(document, "pid"), (uint64_t)getpid());
	CU_ASSERT_STRING_EQUAL(text_of(document, "version"), POSTERN_VERSION);
	CU_ASSERT_EQUAL(world->upgrades, 1);
	json_decref(document);

	document = ask_document(world, "metrics", "{}");
	CU_ASSERT_STRING_EQUAL(text_of(document, "metrics"), "# HELP up It is.\n# TYPE up gauge\nup 1\n");
	json_decref(document);
}

static void
test_steering(void)
{
	with_server(steer_client);
}

static void
refusals_client(struct world *world)
{
	static const struct {
		const char *command, *arguments, *error;
	} cases[] = {
		{"flws", "{}", "unknown command \"flws\"; did you mean \"flows\"?"},
		{"flows", "{\"clinet\":\"10.0.0.1\"}", "flows has no argument \"clinet\"; did you mean \"client\"?"},
		{"status", "{\"all\":true}", "status has no argument \"all\""},
		{"flows", "{\"client\":\"10.0.0\"}", "\"10.0.0\" is neither an address nor a prefix"},
		{"flows", "{\"client\":7}", "\"client\" is a text"},
		{"flows", "{\"limit\":-1}", "\"limit\" is a whole number, 0 or more"},
		{"flows", "{\"limit\":\"7\"}", "\"limit\" is a whole number, 0 or more"},
		{"drops", "{\"all\":1}", "\"all\" is true or false"},
		{"flows", "{\"state\":\"open\"}",
		 "no flow is ever \"open\"; states are peeking, connecting, spliced, closing, probing, bridged"},
		{"flows", "[]", "a request is {\"command\":\"NAME\",\"arguments\":{…}}"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *document = ask_document(world, cases[i].command, cases[i].arguments);
		CU_ASSERT_STRING_EQUAL(text_of(document, "error"), cases[i].error);
		json_decref(document);
	}
}

static void
test_refusals(void)
{
	with_server(refusals_client);
}

static int
raw_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends bytes as they are; returns what comes until the end, NUL-terminated. */
static void
raw_ask(int fd, const char *bytes, size_t length, char *answer, size_t room)
{
	size_t got = 0;
	ssize_t n;

	for (size_t sent = 0; sent < length; sent += (size_t)n) {
		n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
		if (n < 0)
			break;
	}
	shutdown(fd, SHUT_WR);
	while (got + 1 < room && (n = recv(fd, answer + got, room - 1 - got, 0)) > 0)
		got += (size_t)n;
	answer[got] = '\0';
	close(fd);
}

static void
raw_client(struct world *world)
{
	char answer[4096];
	char *huge = malloc(CONTROL_REQUEST_MAX + 4096);

	/* No line feed behind it, but the end. */
	raw_ask(raw_connect(world->path), "{\"command\":\"drain\"}", 19, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "{\"draining\":true,\"flows\":0}\n");
	raw_ask(raw_connect(world->path), "flows\n", 6, answer, sizeof(answer));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "{\"error\":\"the request is no JSON object"));
	raw_ask(raw_connect(world->path), "\n", 1, answer, sizeof(answer));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "{\"error\":\"the request is no JSON object"));
	raw_ask(raw_connect(world->path), "", 0, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "");
	memset(huge, ' ', CONTROL_REQUEST_MAX + 4096);
	raw_ask(raw_connect(world->path), huge, CONTROL_REQUEST_MAX + 4096, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "{\"error\":\"the request is longer than 65536 bytes\"}\n");
	free(huge);

	/* One client too many, while the others say nothing; there is room again when one of them goes. */
	int fds[CONTROL_CLIENTS_MAX];
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[i] = raw_connect(world->path);
	raw_ask(raw_connect(world->path), "", 0, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "{\"error\":\"too many clients at a time; try again\"}\n");
	raw_ask(fds[0], "{\"command\":\"drain\"}\n", 20, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "{\"draining\":true,\"flows\":0}\n");
	raw_ask(raw_connect(world->path), "{\"command\":\"drain\"}\n", 20, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "{\"draining\":true,\"flows\":0}\n");
	for (unsigned i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

static void
test_raw(void)
{
	with_server(raw_client);
}

/* A reload in the middle of a list of the old snapshot's services. */
static void
test_interrupted(void)
{
	struct fake_box fake;
	struct control_context context = {.box = &fake.box};
	struct text out = {0}, error = {0};
	static const char request[] = "{\"command\":\"services\"}";

	fake_box_open(&fake);
	struct control_answer *answer = control_request(&context, request, sizeof(request) - 1, &error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_TRUE(fake_box_federate(&fake, fake_federation));
	CU_ASSERT_FALSE(answer->more(answer, &out));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.bytes, "\"interrupted\":"));
	answer->end(answer);
	text_free(&out);
	fake_box_close(&fake);
}

static void
test_rates(void)
{
	struct fake_box fake;
	struct control_rates rates = {0};

	fake_box_open(&fake);
	CU_ASSERT_EQUAL(control_rates_reason(&rates, &fake.box, REASON_TX_FULL, 5000), 0);
	control_rates_sample(&rates, &fake.box, 5000);
	CU_ASSERT_EQUAL(control_rates_reason(&rates, &fake.box, REASON_TX_FULL, 5000), 0);
	fake.box.stats[0]->reasons[REASON_TX_FULL] = 30;
	fake.box.stats[1]->busy_cycles = 250;
	fake.box.stats[1]->total_cycles = 1000;
	CU_ASSERT_DOUBLE_EQUAL(control_rates_reason(&rates, &fake.box, REASON_TX_FULL, 7000), 15, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(control_rates_busy(&rates, &fake.box, 1), 0.25, 1e-9);
	CU_ASSERT_EQUAL(control_rates_busy(&rates, &fake.box, 0), 0);
	/* Ten seconds later nothing of it is left. */
	for (uint64_t second = 6; second <= 16; second++)
		control_rates_sample(&rates, &fake.box, second * 1000);
	CU_ASSERT_EQUAL(control_rates_reason(&rates, &fake.box, REASON_TX_FULL, 16500), 0);
	CU_ASSERT_EQUAL(control_rates_busy(&rates, &fake.box, 1), 0);
	fake_box_close(&fake);
}

static void
test_socket_file(void)
{
	const struct control_callbacks callbacks = {NULL, on_reload, on_drain, on_upgrade};
	struct world world = {0};
	struct stat status;
	struct text error = {0};
	char other[80];

	world_open(&world);
	CU_ASSERT_EQUAL(stat(world.path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	/* Somebody answers there: it stays. */
	CU_ASSERT_PTR_NULL(control_start(&world.loop, &world.fake.box, &world.metrics, world.path, &callbacks, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "another posternd answers on"));
	error.length = 0;
	/* Something else of that name stays, too. */
	snprintf(other, sizeof(other), "%s.file", world.path);
	fclose(fopen(other, "w"));
	CU_ASSERT_PTR_NULL(control_start(&world.loop, &world.fake.box, &world.metrics, other, &callbacks, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "is no socket"));
	CU_ASSERT_EQUAL(unlink(other), 0);
	error.length = 0;
	CU_ASSERT_PTR_NULL(control_start(&world.loop, &world.fake.box, &world.metrics, "relative", &callbacks, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "a path begins with /"));
	/* What a dead process left is replaced. */
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s.dead", world.path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	error.length = 0;
	struct control *second =
		control_start(&world.loop, &world.fake.box, &world.metrics, address.sun_path, &callbacks, &error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(second);
	/* A successor's socket isn't removed by who goes. */
	CU_ASSERT_EQUAL(unlink(address.sun_path), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	control_stop(second);
	CU_ASSERT_EQUAL(unlink(address.sun_path), 0);
	close(fd);
	text_free(&error);
	world_close(&world);
}

static void
test_nobody_there(void)
{
	struct text error = {0};
	json_t *none = json_object();

	CU_ASSERT_PTR_NULL(ctl_ask("/nonexistent/postern.sock", "status", none, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "cannot reach posternd at /nonexistent/postern.sock"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "control.socket in postern.conf"));
	json_decref(none);
	text_free(&error);
}

static CU_TestInfo tests[] = {
	{"status", test_status},
	{"listeners, services, endpoints", test_lists},
	{"flows and their filters", test_flows},
	{"many flows", test_many_flows},
	{"drops", test_drops},
	{"explain", test_explain},
	{"reload, drain, metrics", test_steering},
	{"refusals", test_refusals},
	{"requests that posternctl wouldn't send", test_raw},
	{"a reload in the middle of a list", test_interrupted},
	{"rates", test_rates},
	{"the socket's file", test_socket_file},
	{"nobody there", test_nobody_there},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the main loop has it (platform/loop.h) */
	return unit_run("control", tests);
}
