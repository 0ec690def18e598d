/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
add_str(struct text *out, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	text_print(out, ",\"%s\":\"", name);
	text_add_json(out, value, strlen(value));
	text_add(out, "\"", 1);
}

static void
add_endpoint(struct text *out, const char *name, const struct ip_addr *addr, uint16_t port)
{
	char buffer[IP_ENDPOINT_TEXT_MAX];
	add_str(out, name, ip_endpoint_format(addr, port, buffer));
}

static void
add_time(struct text *out, uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char buffer[32];

	gmtime_r(&seconds, &tm);
	strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%S", &tm);
	text_print(out, "\"time\":\"%s.%03uZ\"", buffer, (unsigned)(ms % 1000));
}

void
access_log_format(const struct live *live, const struct flow_event *event, struct text *out)
{
	enum reason reason = (enum reason)event->reason;
	/* A bridge reaches its endpoint before TLS there is through: that may fail, too. */
	bool complete = event->kind == FLOW_ENDED && reason_class(reason) != REASON_REFUSAL;
	uint32_t named = event->endpoint != 0 ? event->endpoint : event->service;

	text_add(out, "{", 1);
	add_time(out, event->opened_ms + event->duration_ms);
	add_str(out, "level", complete ? "info" : "warn");
	add_str(out, "scope", "access");
	add_str(out, "message", complete ? "connection complete" : "connection failed");
	add_endpoint(out, "src.addr", &event->client, event->client_port);
	add_str(out, "src.identity", event->identity[LEG_CLIENT]);
	if (event->endpoint != 0)
		add_endpoint(out, "dst.addr", &event->endpoint_addr, event->endpoint_port);
	else
		add_endpoint(out, "dst.addr", &event->local, event->local_port);
	add_str(out, "dst.identity", event->identity[LEG_ENDPOINT]);
	add_str(out, "dst.service", live_label(live, named, LIVE_SERVICE));
	add_str(out, "dst.workload", live_label(live, named, LIVE_WORKLOAD));
	add_str(out, "dst.namespace", live_label(live, named, LIVE_SERVICE_NAMESPACE));
	add_str(out, "dst.cluster", live_label(live, named, LIVE_CLUSTER));
	add_str(out, "direction", "inbound");
	text_print(out, ",\"bytes_sent\":%" PRIu64 ",\"bytes_recv\":%" PRIu64, event->received, event->sent);
	text_print(out, ",\"duration\":\"%" PRIu32 "ms\"", event->duration_ms);
	if (reason != REASON_CLOSED)
		add_str(out, "error", reason_meaning(reason));
	add_str(out, "reason", reason_text(reason));
	add_str(out, "detail", event->detail == NULL ? "" : event->detail);
	add_str(out, "listener", live_label(live, event->listener, LIVE_GATEWAY));
	add_endpoint(out, "listener.addr", &event->local, event->local_port);
	add_str(out, "sni", event->sni);
	if (event->endpoint != 0) {
		add_str(out, "endpoint", live_name(live, event->endpoint));
		add_endpoint(out, "out.addr", &event->out_addr, event->out_port);
	}
	text_print(out, ",\"attempts\":%u}\n", event->attempts);
}

static uint64_t
count_lines(const char *bytes, size_t length)
{
	uint64_t lines = 0;
	for (size_t i = 0; i < length; i++)
		lines += bytes[i] == '\n';
	return lines;
}

/* What a full pipe doesn't take stays, so that no line is torn; what a broken one doesn't take is lost. */
void
access_log_flush(struct access_log *log)
{
	struct text *pending = &log->pending;
	size_t written = 0;

	while (written < pending->length) {
		ssize_t n = write(log->fd, pending->bytes + written, pending->length - written);
		if (n > 0) {
			written += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		log->lost += count_lines(pending->bytes + written, pending->length - written);
		written = pending->length;
	}
	if (written == 0)
		return;
	pending->length -= written;
	memmove(pending->bytes, pending->bytes + written, pending->length + 1);
}

void
access_log_add(struct access_log *log, const struct flow_event *event)
{
	if (log->pending.length >= ACCESS_LOG_PENDING_MAX) {
		access_log_flush(log);
		if (log->pending.length >= ACCESS_LOG_PENDING_MAX) {
			log->lost++;
			return;
		}
	}
	access_log_format(log->live, event, &log->pending);
	if (log->pending.length >= ACCESS_LOG_WRITE_AT)
		access_log_flush(log);
}

void
access_log_close(struct access_log *log)
{
	access_log_flush(log);
	text_free(&log->pending);
}
