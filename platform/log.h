/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log: one line per event on standard error, JSON or text, with a level, a component, a message and fields.
 *
 *	log_info("gateway", "configuration applied", LOG_U64("generation", g), LOG_STR("file", path));
 *
 * {"time":"2026-01-02T03:04:05.678Z","level":"info","scope":"gateway","message":"configuration
 *applied","generation":7,…}
 *
 * Called on the main thread and at start-up; workers send events to the main thread instead. A line is written with
 * one write(2). log_limited lets at most a given number of lines per second through for one call site and says how many
 * it held back. Never log keys, tickets or payload.
 */
#ifndef POSTERN_PLATFORM_LOG_H
#define POSTERN_PLATFORM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_kind { LOG_KIND_STR, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_BOOL };

struct log_field {
	const char *name;
	enum log_kind kind;
	union {
		const char *str; /* NULL is written as null */
		uint64_t u64;
		int64_t i64;
		bool boolean;
	};
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STR, .str = (v)})
#define LOG_U64(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_U64, .u64 = (v)})
#define LOG_I64(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_I64, .i64 = (v)})
#define LOG_BOOL(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_BOOL, .boolean = (v)})

void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
bool log_level_parse(const char *text, enum log_level *level);
bool log_format_parse(const char *text, enum log_format *format);

void log_write(enum log_level level, const char *scope, const char *message, const struct log_field *fields, size_t n);

/* What one rate-limited call site remembers; a static of it. */
struct log_limit {
	uint64_t second;
	uint32_t written, held_back;
};
bool log_limit_pass(struct log_limit *limit, uint32_t per_second, uint32_t *held_back);

#define LOG_FIELDS(...)                                                                                                \
	((const struct log_field[]){__VA_ARGS__}),                                                                     \
		sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)
#define log_debug(scope, message, ...) log_write(LOG_DEBUG, scope, message, LOG_FIELDS(__VA_ARGS__))
#define log_info(scope, message, ...) log_write(LOG_INFO, scope, message, LOG_FIELDS(__VA_ARGS__))
#define log_warn(scope, message, ...) log_write(LOG_WARN, scope, message, LOG_FIELDS(__VA_ARGS__))
#define log_error(scope, message, ...) log_write(LOG_ERROR, scope, message, LOG_FIELDS(__VA_ARGS__))

#endif
