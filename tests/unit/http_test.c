/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/log.h"
#include "platform/metrics.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static bool ready;

static bool
is_ready(void *context)
{
	return *(bool *)context;
}

static void
collect(void *context, struct metrics_writer *writer)
{
	/* A page larger than a socket takes at once must come through whole. */
	for (unsigned i = 0; i < 100000; i++)
		metrics_add_u64(writer, (const char *[]){context}, i);
}

static int
dial(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Runs the loop until the peer at fd has closed, or 5 s have gone by; what it said goes to reply. */
static void
receive(int fd, struct text *reply)
{
	char block[65536];
	ssize_t n = -1;
	uint64_t began = clock_ms();

	while (n != 0 && clock_ms() - began < 5000) {
		uv_run(&loop, UV_RUN_NOWAIT);
		while ((n = recv(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
			text_add(reply, block, (size_t)n);
		usleep(n < 0 ? 100 : 0);
	}
	CU_ASSERT_EQUAL(n, 0);
}

static void
test_requests(void)
{
	static const struct {
		const char *request;
		bool ready;
		const char *status, *holds, *holds_not;
	} cases[] = {
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true, "HTTP/1.1 200 ",
		 "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", "# EOF"},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true, "HTTP/1.1 200 ",
		 "x_total{i=\"v\"} 99999\n", NULL},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: "
		 "application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n"
		 "Connection: close\r\n\r\n",
		 true, "HTTP/1.1 200 ", "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
		 NULL},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nConnection: "
		 "close\r\n\r\n",
		 true, "HTTP/1.1 200 ", "x_total{i=\"v\"} 99999\n# EOF\n", NULL},
		{"GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true, "HTTP/1.1 200 ",
		 "\r\n\r\nok\n", NULL},
		{"GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, "HTTP/1.1 503 ",
		 "\r\n\r\nno\n", NULL},
		{"GET /healthz/ready?verbose HTTP/1.0\r\n\r\n", true, "HTTP/1.", "\r\n\r\nok\n", NULL},
		{"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true, "HTTP/1.1 404 ",
		 "nothing is here\n", NULL},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", true, "HTTP/1.1 405 ",
		 "\r\nAllow: GET\r\n", "x_total"},
		{"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true, "HTTP/1.1 405 ",
		 "\r\nAllow: GET\r\n", "x_total"},
		{"GET /healthz/ready HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: "
		 "close\r\n\r\n",
		 true, "HTTP/1.1 200 ", "HTTP/1.1 404 ", NULL}, /* kept alive, and pipelined */
		{"nonsense\r\n\r\n", true, "", "", "200"},
	};
	static const char *const labels[] = {"i"};
	struct metrics metrics = {0};
	struct http_health health = {is_ready, &ready};
	const struct http_route routes[] = {{"/metrics", http_respond_metrics, &metrics},
					    {"/healthz/ready", http_respond_health, &health}};
	struct text error = {0};

	CU_ASSERT(metrics_register(&metrics, &(struct metrics_family){"x_total", "h", METRICS_COUNTER, labels, 1,
								      collect, (void *)(uintptr_t) "v"}));
	struct http *http = http_start(&loop, "127.0.0.1:0", routes, 2, &error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(http);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text reply = {0};
		int fd = dial(http_port(http));
		ready = cases[i].ready;
		CU_ASSERT_EQUAL(send(fd, cases[i].request, strlen(cases[i].request), 0),
				(ssize_t)strlen(cases[i].request));
		receive(fd, &reply);
		text_print(&reply, "%s", "");
		CU_ASSERT_EQUAL(strncmp(reply.bytes, cases[i].status, strlen(cases[i].status)), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(reply.bytes, cases[i].holds));
		CU_ASSERT(cases[i].holds_not == NULL || strstr(reply.bytes, cases[i].holds_not) == NULL);
		if (strstr(reply.bytes, cases[i].holds) == NULL)
			fprintf(stderr, "%s-> %.300s\n", cases[i].request, reply.bytes);
		text_free(&reply);
		close(fd);
	}
	http_stop(http);
	uv_run(&loop, UV_RUN_DEFAULT);
	metrics_free(&metrics);
}

/* Connections beyond the limit wait unanswered; the ones before them are served, and their leaving lets others in. */
static void
test_limit(void)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	int idle[HTTP_CONNECTIONS_MAX];
	struct text error = {0}, reply = {0};
	char byte;
	struct http *http = http_start(&loop, "127.0.0.1:0", NULL, 0, &error);

	CU_ASSERT_PTR_NOT_NULL_FATAL(http);
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		idle[i] = dial(http_port(http));
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	int late = dial(http_port(http));
	CU_ASSERT_EQUAL(send(late, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	for (int i = 0; i < 50; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(200);
	}
	CU_ASSERT_EQUAL(recv(late, &byte, 1, MSG_DONTWAIT), -1);
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		close(idle[i]);
	receive(late, &reply);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reply.bytes);
	CU_ASSERT_EQUAL(strncmp(reply.bytes, "HTTP/1.1 404 ", 13), 0);
	close(late);
	text_free(&reply);
	http_stop(http);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void
test_start(void)
{
	struct text error = {0}, address = {0};

	CU_ASSERT_PTR_NULL(http_start(&loop, "localhost:80", NULL, 0, &error));
	CU_ASSERT_STRING_EQUAL(error.bytes, "\"localhost:80\" is not ADDRESS:PORT");
	text_free(&error);

	struct http *http = http_start(&loop, "127.0.0.1:0", NULL, 0, &error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(http);
	text_print(&address, "127.0.0.1:%u", http_port(http));
	CU_ASSERT_PTR_NULL(http_start(&loop, address.bytes, NULL, 0, &error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(error.bytes);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "Address already in use"));
	http_stop(http);
	uv_run(&loop, UV_RUN_DEFAULT);
	text_free(&error);
	text_free(&address);
}

static void
test_accept(void)
{
	static const struct {
		const char *accept;
		bool openmetrics;
	} cases[] = {
		{NULL, false},
		{"", false},
		{"*/*", false},
		{"text/plain", false},
		{"application/openmetrics-text", true},
		{"Application/OpenMetrics-Text; Version=1.0.0", true},
		{"application/openmetrics-text;version=0.0.1", false},
		{"application/openmetrics-text;version=1.0.0;q=0", false},
		{"application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5", false},
		/* Prometheus's own */
		{"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
		 "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		 true},
		{"text/plain;q=0.3 , application/openmetrics-text ; q=0.300", true},
		{"application/openmetrics-textual", false},
		{"application/openmetrics-text;q=x", false},
		{"application/openmetrics-text;q=1.5", false},
		{"application/openmetrics-text;q=", false},
		{"application/openmetrics-text;;q=1;", true},
		{",,,;", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(http_prefers_openmetrics(cases[i].accept), cases[i].openmetrics);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"requests", test_requests}, {"limit of connections", test_limit},
		{"start", test_start},       {"Accept", test_accept},
		CU_TEST_INFO_NULL,
	};

	log_configure(LOG_ERROR, LOG_TEXT);
	uv_loop_init(&loop);
	int failed = unit_run("http", tests);
	return uv_loop_close(&loop) != 0 || failed;
}
