/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/text.h"

static enum log_level lowest = LOG_INFO;
static enum log_format shape = LOG_TEXT;

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void
log_configure(enum log_level level, enum log_format format)
{
	lowest = level;
	shape = format;
}

bool
log_enabled(enum log_level level)
{
	return level >= lowest;
}

bool
log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool
log_format_parse(const char *text, enum log_format *format)
{
	if (strcmp(text, "text") == 0)
		*format = LOG_TEXT;
	else if (strcmp(text, "json") == 0)
		*format = LOG_JSON;
	else
		return false;
	return true;
}

static void
add_time(struct text *line)
{
	uint64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	text_print(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
		   utc.tm_hour, utc.tm_min, utc.tm_sec, (unsigned)(now % 1000));
}

static void
add_quoted(struct text *line, const char *s)
{
	text_add(line, "\"", 1);
	text_add_json(line, s, strlen(s));
	text_add(line, "\"", 1);
}

/* Whether a value can stand in a text line without quotes and still be told from its neighbours. */
static bool
is_bare(const char *s)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@*+,%[]";
	return s[0] != '\0' && s[strspn(s, safe)] == '\0';
}

static void
add_value(struct text *line, const struct log_field *field)
{
	switch (field->kind) {
	case LOG_KIND_STR:
		if (field->str == NULL)
			text_print(line, "null");
		else if (shape == LOG_TEXT && is_bare(field->str))
			text_add(line, field->str, strlen(field->str));
		else
			add_quoted(line, field->str);
		break;
	case LOG_KIND_U64:
		text_print(line, "%" PRIu64, field->u64);
		break;
	case LOG_KIND_I64:
		text_print(line, "%" PRId64, field->i64);
		break;
	case LOG_KIND_BOOL:
		text_print(line, "%s", field->boolean ? "true" : "false");
		break;
	}
}

static void
add_json_line(struct text *line, enum log_level level, const char *scope, const char *message,
	      const struct log_field *fields, size_t n)
{
	text_print(line, "{\"time\":\"");
	add_time(line);
	text_print(line, "\",\"level\":\"%s\",\"scope\":", level_names[level]);
	add_quoted(line, scope);
	text_print(line, ",\"message\":");
	add_quoted(line, message);
	for (size_t i = 0; i < n; i++) {
		text_add(line, ",", 1);
		add_quoted(line, fields[i].name);
		text_add(line, ":", 1);
		add_value(line, &fields[i]);
	}
	text_add(line, "}\n", 2);
}

static void
add_text_line(struct text *line, enum log_level level, const char *scope, const char *message,
	      const struct log_field *fields, size_t n)
{
	add_time(line);
	text_print(line, " %-5s %s: ", level_names[level], scope);
	text_add_json(line, message, strlen(message)); /* a line break in it must not make a second line */
	for (size_t i = 0; i < n; i++) {
		text_print(line, " %s=", fields[i].name);
		add_value(line, &fields[i]);
	}
	text_add(line, "\n", 1);
}

void
log_write(enum log_level level, const char *scope, const char *message, const struct log_field *fields, size_t n)
{
	struct text line = {0};

	if (!log_enabled(level))
		return;
	int saved = errno;
	(shape == LOG_JSON ? add_json_line : add_text_line)(&line, level, scope, message, fields, n);
	/* What standard error doesn't take at once is lost: the gateway doesn't wait for whoever reads its log. */
	while (write(STDERR_FILENO, line.bytes, line.length) < 0 && errno == EINTR)
		;
	text_free(&line);
	errno = saved;
}

bool
log_limit_pass(struct log_limit *limit, uint32_t per_second, uint32_t *held_back)
{
	uint64_t second = clock_ms() / 1000;

	if (second != limit->second) {
		limit->second = second;
		limit->written = 0;
	}
	if (limit->written >= per_second) {
		limit->held_back++;
		return false;
	}
	limit->written++;
	*held_back = limit->held_back;
	limit->held_back = 0;
	return true;
}
