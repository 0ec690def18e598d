/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading groups of a libconfig file by tables of rules, and gathering what is wrong with them. conf.c has the tables.
 */
#ifndef POSTERN_PLATFORM_CONF_READ_H
#define POSTERN_PLATFORM_CONF_READ_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text; /* platform/text.h */

struct conf_error {
	char *what;
	unsigned line;   /* from 1 */
	size_t sequence; /* in which order it was found, to keep two errors of one line in order */
};

/* Starts as all zeroes. */
struct conf_errors {
	struct conf_error *list;
	size_t n;
};

void conf_errors_add(struct conf_errors *errors, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds "path:line: what\n" for each error to text, sorted by line. */
void conf_errors_print(struct conf_errors *errors, const char *path, struct text *text);
void conf_errors_free(struct conf_errors *errors);

enum conf_kind {
	KIND_BOOL,   /* bool */
	KIND_U16,    /* uint16_t, min..max */
	KIND_U32,    /* uint32_t, min..max */
	KIND_POWER,  /* uint16_t, a power of two, min..max */
	KIND_STRING, /* char *, on the heap; min: bytes; max: bytes, the NUL included */
	KIND_NAME,   /* char[max] inside the struct, min as above; must be written */
	KIND_PATH,   /* as KIND_STRING, an absolute path */
	KIND_LEVEL,  /* enum log_level */
	KIND_FORMAT, /* enum log_format */
	KIND_OTHER   /* read elsewhere; here only so that it is known */
};

/* One setting of a group. */
struct conf_rule {
	const char *name; /* NULL ends a table */
	enum conf_kind kind;
	size_t offset; /* of its field in what the group is read into */
	int64_t min, max;
	int64_t fallback;          /* of numbers, booleans and enums */
	const char *fallback_text; /* of texts; NULL: NULL */
};

/* What libconfig gets wrong, or does unasked, found in the file's own text before libconfig reads it: a number of more
 * than 32 bits it would cut short without a word (into one that may be in range), and @include opens other files. */
void conf_read_scan(struct conf_errors *errors, const char *file);

/* In all of these, in names the setting for messages ("memory.packets"); what is wrong is added to errors. */

/* Whether setting is of one of two CONFIG_TYPE_*; what says in words what was wanted. */
bool conf_read_type(struct conf_errors *errors, const config_setting_t *setting, const char *in, int type,
		    int other_type, const char *what);
/* A whole number into *field, by the rule's kind and range. */
void conf_read_number(struct conf_errors *errors, const config_setting_t *setting, const char *in,
		      const struct conf_rule *rule, void *field);
/* A text of fewer than max bytes and without control characters, libconfig's own; NULL when it isn't that. */
const char *conf_read_text(struct conf_errors *errors, const config_setting_t *setting, const char *in, size_t max);
/* All of group by rules into base, where fallbacks are set first. group NULL: fallbacks alone. in is the group's name
 * with a dot behind it, empty at the top. */
void conf_read_group(struct conf_errors *errors, const config_setting_t *group, const char *in,
		     const struct conf_rule *rules, void *base);

#endif
