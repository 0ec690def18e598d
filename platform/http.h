/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small HTTP server of the metrics address: GET of a few fixed paths, for Prometheus and health probes.
 * libmicrohttpd on the main thread's loop, without threads of its own: uv watches its epoll descriptor, and runs it.
 *
 * It is open to whoever reaches the address, so it takes 16 connections, 10 s of idleness, and no request with a body.
 */
#ifndef POSTERN_PLATFORM_HTTP_H
#define POSTERN_PLATFORM_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "platform/text.h"

enum {
	HTTP_CONNECTIONS_MAX = 16,
	HTTP_TIMEOUT_S = 10,
	HTTP_REQUEST_MAX = 8192 /* bytes of head, and room to answer */
};

struct http_request {
	const char *path;
	const char *accept; /* of the Accept header; NULL when there is none */
};

/* To be filled by a route. At first: 200, text/plain, no body. */
struct http_response {
	unsigned status;
	const char *content_type; /* static */
	struct text body;         /* freed by the server */
};

struct http_route {
	const char *path; /* exact */
	void (*respond)(void *context, const struct http_request *request, struct http_response *response);
	void *context;
};

struct http;

/* Listens at address ("ADDR:PORT"; port 0: any) and answers by routes, which must outlive the server. NULL when that
 * can't be, with the reason in error. */
struct http *http_start(uv_loop_t *loop, const char *address, const struct http_route *routes, size_t n_routes,
			struct text *error);

/* The port that it listens at, host order. */
uint16_t http_port(const struct http *http);

/* Closes the socket and all connections. What it holds of the loop is freed when the loop has run once more. */
void http_stop(struct http *http);

/* Routes ready-made. */

/* GET /metrics; context: struct metrics. OpenMetrics to whoever prefers it by Accept, else Prometheus's text. */
void http_respond_metrics(void *context, const struct http_request *request, struct http_response *response);

/* GET /healthz/…; context: struct http_health. 200 "ok" or 503 "no". */
struct http_health {
	bool (*healthy)(void *context);
	void *context;
};
void http_respond_health(void *context, const struct http_request *request, struct http_response *response);

/* Whether an Accept header (NULL: none) prefers OpenMetrics 1.0.0 to text/plain (RFC 9110 section 12.5.1). */
bool http_prefers_openmetrics(const char *accept);

#endif
