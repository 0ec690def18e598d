/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define NAME(text)                                                                                                     \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

/* One listener, one service, one endpoint. */
struct world {
	struct live *live;
	struct flow_event event;
};

static void
world_init(struct world *world)
{
	struct live *live = live_create(1, 16);
	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	struct endpoint endpoint = {.live = live_slot_get(live, 'e', "pay/10.244.1.7:8443", 19),
				    .workload = NAME("pay-\"1\""),
				    .cluster = NAME("core-1")};
	const struct endpoint *endpoints[] = {&endpoint};
	struct service service = {
		.host = NAME("pay.bank.svc.cluster.local"), .name = NAME("pay"), .space = NAME("bank")};
	struct backend backend = {.service = &service,
				  .live = live_slot_get(live, 'b', "pay:8443", 8),
				  .endpoints = endpoints,
				  .n_endpoints = 1};
	const struct backend *backends[] = {&backend};
	struct listener listener = {.live = live_slot_get(live, 'l', "edge:443", 8), .gateway = NAME("default/edge")};

	live_commit(live, &(struct snapshot){
				  .listeners = &listener, .n_listeners = 1, .backends = backends, .n_backends = 1});
	world->live = live;
	world->event = (struct flow_event){.kind = FLOW_ENDED,
					   .reason = REASON_CLOSED,
					   .attempts = 2,
					   .client_port = 40000,
					   .local_port = 443,
					   .endpoint_port = 8443,
					   .out_port = 33000,
					   .listener = listener.live,
					   .endpoint = endpoint.live,
					   .service = backend.live,
					   .opened_ms = 1767323045000,
					   .duration_ms = 678,
					   .sent = 517,
					   .received = 1ull << 40};
	ip_addr_parse("198.51.100.7", &world->event.client);
	ip_addr_parse("2001:db8::1", &world->event.local);
	ip_addr_parse("10.244.1.7", &world->event.endpoint_addr);
	ip_addr_parse("10.244.0.1", &world->event.out_addr);
}

static void
check_line(const struct live *live, const struct flow_event *event, const char *expected)
{
	struct text text = {0};
	access_log_format(live, event, &text);
	CU_ASSERT_STRING_EQUAL(text.bytes != NULL ? text.bytes : "", expected);
	if (text.bytes != NULL && strcmp(text.bytes, expected) != 0)
		printf("\n%s%s", text.bytes, expected);
	text_free(&text);
}

static void
test_complete(void)
{
	struct world world;

	world_init(&world);
	check_line(
		world.live, &world.event,
		"{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"scope\":\"access\","
		"\"message\":\"connection "
		"complete\",\"src.addr\":\"198.51.100.7:40000\",\"dst.addr\":\"10.244.1.7:8443\","
		"\"dst.service\":\"pay.bank.svc.cluster.local\",\"dst.workload\":\"pay-\\\"1\\\"\",\"dst.namespace\":"
		"\"bank\","
		"\"dst.cluster\":\"core-1\",\"direction\":\"inbound\",\"bytes_sent\":1099511627776,\"bytes_recv\":517,"
		"\"duration\":\"678ms\",\"reason\":\"closed\",\"listener\":\"default/edge\","
		"\"listener.addr\":\"[2001:db8::1]:443\",\"endpoint\":\"pay/10.244.1.7:8443\","
		"\"out.addr\":\"10.244.0.1:33000\",\"attempts\":2}\n");
	live_free(world.live);
}

static void
test_refused(void)
{
	struct world world;

	world_init(&world);
	struct flow_event event = {.kind = FLOW_REFUSED,
				   .reason = REASON_SNI_NO_MATCH,
				   .client_port = 1,
				   .local_port = 443,
				   .listener = world.event.listener,
				   .client = world.event.client,
				   .local = world.event.local,
				   .opened_ms = 1767323045000,
				   .sni = "nobody.example"};
	check_line(
		world.live, &event,
		"{\"time\":\"2026-01-02T03:04:05.000Z\",\"level\":\"warn\",\"scope\":\"access\","
		"\"message\":\"connection failed\",\"src.addr\":\"198.51.100.7:1\",\"dst.addr\":\"[2001:db8::1]:443\","
		"\"direction\":\"inbound\",\"bytes_sent\":0,\"bytes_recv\":0,\"duration\":\"0ms\","
		"\"error\":\"no route of the listener matches the server name\",\"reason\":\"sni_no_match\","
		"\"listener\":\"default/edge\",\"listener.addr\":\"[2001:db8::1]:443\",\"sni\":\"nobody.example\","
		"\"attempts\":0}\n");
	live_free(world.live);
}

/* Every reason and kind gives one line of JSON, and a slot that is gone gives no names. */
static void
test_all_are_json(void)
{
	struct world world;

	world_init(&world);
	for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
		struct text text = {0};
		world.event.reason = (uint8_t)reason;
		world.event.kind = reason % 2 == 0 ? FLOW_ENDED : FLOW_REFUSED;
		world.event.endpoint = reason % 3 == 0 ? 15 : 1;
		access_log_format(world.live, &world.event, &text);
		CU_ASSERT_PTR_NOT_NULL_FATAL(text.bytes);
		CU_ASSERT_PTR_EQUAL(strchr(text.bytes, '\n'), text.bytes + text.length - 1);
		json_t *json = json_loads(text.bytes, JSON_REJECT_DUPLICATES, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(json);
		const char *logged = json_string_value(json_object_get(json, "reason"));
		CU_ASSERT_TRUE(logged != NULL && strcmp(logged, reason_text(reason)) == 0);
		CU_ASSERT_EQUAL(json_object_get(json, "error") == NULL, reason == REASON_CLOSED);
		CU_ASSERT_EQUAL(json_object_get(json, "dst.service") == NULL, reason % 3 == 0);
		json_decref(json);
		text_free(&text);
	}
	live_free(world.live);
}

static size_t
drain(int fd, uint64_t *lines)
{
	static char buffer[1 << 16];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		total += (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			*lines += buffer[i] == '\n';
	}
	return total;
}

/* A reader that doesn't read costs lines and no time; those that are written are whole, and each is written or counted.
 */
static void
test_slow_reader(void)
{
	enum { EVENTS = 10000 };
	struct world world;
	struct text one = {0};
	int ends[2];
	uint64_t lines = 0;

	world_init(&world);
	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_NONBLOCK), 0);
	struct access_log log = {.live = world.live, .fd = ends[1]};
	access_log_format(world.live, &world.event, &one);
	access_log_add(&log, &world.event);
	CU_ASSERT_EQUAL(drain(ends[0], &lines), 0); /* gathered, not written yet */
	access_log_flush(&log);
	CU_ASSERT_EQUAL(drain(ends[0], &lines), one.length);

	for (unsigned i = 1; i < EVENTS; i++)
		access_log_add(&log, &world.event);
	CU_ASSERT_TRUE(log.lost > 0);
	CU_ASSERT_TRUE(log.pending.length < ACCESS_LOG_PENDING_MAX + one.length);
	size_t bytes = one.length;
	while (log.pending.length > 0) {
		bytes += drain(ends[0], &lines);
		access_log_flush(&log);
	}
	bytes += drain(ends[0], &lines);
	CU_ASSERT_EQUAL(lines + log.lost, EVENTS);
	CU_ASSERT_EQUAL(bytes, lines * one.length);

	uint64_t lost = log.lost;
	close(ends[0]);
	access_log_add(&log, &world.event);
	access_log_close(&log);
	CU_ASSERT_EQUAL(log.lost, lost + 1);
	close(ends[1]);
	text_free(&one);
	live_free(world.live);
}

static const CU_TestInfo tests[] = {
	{"a complete connection", test_complete},
	{"a refused one", test_refused},
	{"all are JSON", test_all_are_json},
	{"a slow reader", test_slow_reader},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	return unit_run("access_log", tests);
}
