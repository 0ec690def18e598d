/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "platform/ip_addr.h"
#include "platform/log.h"
#include "platform/metrics.h"

struct http {
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	const struct http_route *routes;
	size_t n_routes;
	unsigned open_handles; /* of poll and timer */
};

static void
log_message(void *context, const char *format, va_list arguments)
{
	struct text text = {0};

	(void)context;
	text_vprint(&text, format, arguments);
	if (text.length > 0 && text.bytes[text.length - 1] == '\n')
		text.bytes[--text.length] = '\0';
	log_write(LOG_DEBUG, "http", text.bytes, NULL, 0);
	text_free(&text);
}

static enum MHD_Result
answer(struct MHD_Connection *connection, const struct http_response *response)
{
	/* The body goes to the library, which frees it; an empty one has no bytes. */
	struct MHD_Response *queued =
		MHD_create_response_from_buffer(response->body.length, response->body.bytes, MHD_RESPMEM_MUST_FREE);
	if (queued == NULL) {
		free(response->body.bytes);
		return MHD_NO;
	}
	MHD_add_response_header(queued, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
	MHD_add_response_header(queued, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (response->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(queued, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
	enum MHD_Result result = MHD_queue_response(connection, response->status, queued);
	MHD_destroy_response(queued);
	return result;
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
	   const char *body, size_t *body_length, void **state)
{
	static int head_seen;
	const struct http *http = context;
	struct http_response response = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
	struct http_request request = {
		url, MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT)};

	(void)version;
	(void)body;
	(void)body_length;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
		/* Answered before a body is read; the library then closes the connection. */
		response.status = MHD_HTTP_METHOD_NOT_ALLOWED;
		text_print(&response.body, "only GET is answered here\n");
		return answer(connection, &response);
	}
	if (*state == NULL) {
		*state = &head_seen; /* the first call is for the head alone; an answer there would end keep-alive */
		return MHD_YES;
	}
	for (size_t i = 0; i < http->n_routes; i++) {
		if (strcmp(http->routes[i].path, url) != 0)
			continue;
		http->routes[i].respond(http->routes[i].context, &request, &response);
		return answer(connection, &response);
	}
	response.status = MHD_HTTP_NOT_FOUND;
	text_print(&response.body, "nothing is here\n");
	return answer(connection, &response);
}

static unsigned
count_connections(const struct http *http)
{
	return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static void on_timer(uv_timer_t *handle);

static void
run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	unsigned before;

	/* At its limit of connections the library stops listening; it starts again at the beginning of the next run,
	 * which nothing else would bring about when the last ones have just gone. */
	do {
		before = count_connections(http);
		MHD_run(http->daemon);
	} while (count_connections(http) < before);
	/* Its epoll is edge-triggered inside: what it left for later it says by a time-out of 0. */
	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&http->timer, on_timer, wait_ms, 0);
	else
		uv_timer_stop(&http->timer);
}

static void
on_timer(uv_timer_t *handle)
{
	run(handle->data);
}

static void
on_poll(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	run(handle->data);
}

static void
on_close(uv_handle_t *handle)
{
	struct http *http = handle->data;

	if (--http->open_handles == 0)
		free(http);
}

static struct MHD_Daemon *
start_daemon(struct http *http, const struct ip_addr *addr, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr->words[3]};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool is_v4 = ip_addr_is_v4(addr);

	memcpy(&v6.sin6_addr, addr->bytes, sizeof(addr->bytes));
	errno = 0;
	/* The logger comes first, so that it hears of the others. */
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (is_v4 ? 0 : (unsigned)MHD_USE_DUAL_STACK), port,
				NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, log_message, NULL,
				MHD_OPTION_SOCK_ADDR, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_MAX, MHD_OPTION_END);
}

struct http *
http_start(uv_loop_t *loop, const char *address, const struct http_route *routes, size_t n_routes, struct text *error)
{
	struct ip_addr addr;
	uint16_t port;

	if (!ip_endpoint_parse(address, &addr, &port)) {
		text_print(error, "\"%s\" is not ADDRESS:PORT", address);
		return NULL;
	}
	struct http *http = calloc(1, sizeof(*http));
	if (http == NULL)
		abort();
	*http = (struct http){.routes = routes, .n_routes = n_routes, .open_handles = 2};
	http->daemon = start_daemon(http, &addr, port);
	if (http->daemon == NULL) {
		text_print(error, "can't listen at %s: %s", address, errno == 0 ? "libmicrohttpd" : strerror(errno));
		free(http);
		return NULL;
	}
	http->poll.data = http->timer.data = http;
	uv_timer_init(loop, &http->timer);
	int failed =
		uv_poll_init(loop, &http->poll, MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	if (failed != 0) {
		text_print(error, "can't watch %s: %s", address, uv_strerror(failed));
		MHD_stop_daemon(http->daemon);
		http->open_handles = 1;
		uv_close((uv_handle_t *)&http->timer, on_close);
		return NULL;
	}
	uv_poll_start(&http->poll, UV_READABLE, on_poll);
	run(http);
	return http;
}

uint16_t
http_port(const struct http *http)
{
	return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void
http_stop(struct http *http)
{
	uv_poll_stop(&http->poll); /* before its descriptor is closed */
	MHD_stop_daemon(http->daemon);
	uv_close((uv_handle_t *)&http->poll, on_close);
	uv_close((uv_handle_t *)&http->timer, on_close);
}

/* One parameter of a media range, "; name=value": whether it is name, and then its value's beginning and length. */
static const char *
find_parameter(const char *range, size_t length, const char *name, size_t *value_length)
{
	const char *end = range + length;

	for (const char *s = memchr(range, ';', length); s != NULL; s = memchr(s, ';', (size_t)(end - s))) {
		for (s++; s < end && (*s == ' ' || *s == '\t'); s++)
			;
		size_t n = strlen(name);
		if ((size_t)(end - s) <= n || strncasecmp(s, name, n) != 0 || s[n] != '=')
			continue;
		s += n + 1;
		*value_length = 0;
		while (s + *value_length < end && strchr("; \t", s[*value_length]) == NULL)
			++*value_length;
		return s;
	}
	return NULL;
}

/* A range's weight in thousandths; 1000 when it says none, 0 when it can't be read. */
static unsigned
weight_of(const char *range, size_t length)
{
	size_t n;
	const char *q = find_parameter(range, length, "q", &n);
	unsigned weight = 0, unit = 1000;

	if (q == NULL)
		return 1000;
	if (n < 1 || n > 5 || (q[0] != '0' && q[0] != '1') || (n > 1 && q[1] != '.'))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (i == 1)
			continue;
		if (q[i] < '0' || q[i] > '9')
			return 0;
		weight += (unsigned)(q[i] - '0') * unit;
		unit /= 10;
	}
	return weight > 1000 ? 0 : weight;
}

/* Whether the range's media type is type. */
static bool
has_type(const char *range, size_t length, const char *type)
{
	size_t n = strlen(type);

	return length >= n && strncasecmp(range, type, n) == 0 && (length == n || strchr("; \t", range[n]) != NULL);
}

bool
http_prefers_openmetrics(const char *accept)
{
	unsigned openmetrics = 0, text = 0;

	while (accept != NULL && *accept != '\0') {
		size_t skip = strspn(accept, " \t,");
		const char *range = accept + skip, *version;
		size_t length = strcspn(range, ","), n;
		accept = range + length;
		if (has_type(range, length, "application/openmetrics-text")) {
			version = find_parameter(range, length, "version", &n);
			unsigned weight = weight_of(range, length);
			if ((version == NULL || (n == 5 && strncmp(version, "1.0.0", n) == 0)) && weight > openmetrics)
				openmetrics = weight;
		} else if (has_type(range, length, "text/plain") && weight_of(range, length) > text) {
			text = weight_of(range, length);
		}
	}
	return openmetrics > 0 && openmetrics >= text;
}

void
http_respond_metrics(void *context, const struct http_request *request, struct http_response *response)
{
	bool openmetrics = http_prefers_openmetrics(request->accept);

	response->content_type = openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
					     : "text/plain; version=0.0.4; charset=utf-8";
	metrics_render(context, openmetrics, &response->body);
}

void
http_respond_health(void *context, const struct http_request *request, struct http_response *response)
{
	const struct http_health *health = context;
	bool healthy = health->healthy(health->context);

	(void)request;
	response->status = healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
	text_print(&response->body, healthy ? "ok\n" : "no\n");
}
