/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/conf_read.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/log.h"
#include "platform/text.h"

enum { RULES_MAX = 16, IN_MAX = 128 };

void
conf_errors_add(struct conf_errors *errors, unsigned line, const char *format, ...)
{
	struct text what = {0};
	va_list arguments;

	va_start(arguments, format);
	text_vprint(&what, format, arguments);
	va_end(arguments);
	errors->list = realloc(errors->list, (errors->n + 1) * sizeof(*errors->list));
	if (errors->list == NULL)
		abort();
	errors->list[errors->n] = (struct conf_error){.what = what.bytes, .line = line, .sequence = errors->n};
	errors->n++;
}

static int
by_line(const void *a, const void *b)
{
	const struct conf_error *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->sequence < y->sequence ? -1 : 1;
}

void
conf_errors_print(struct conf_errors *errors, const char *path, struct text *text)
{
	if (errors->n > 0)
		qsort(errors->list, errors->n, sizeof(*errors->list), by_line);
	for (size_t i = 0; i < errors->n; i++) {
		const struct conf_error *error = &errors->list[i];
		text_print(text, "%s:%u: %s\n", path, error->line, error->what);
	}
}

void
conf_errors_free(struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		free(errors->list[i].what);
	free(errors->list);
	*errors = (struct conf_errors){0};
}

/* The end of the comment that begins at s, or s when none does. Counts its line breaks in *line. */
static const char *
skip_comment(const char *s, unsigned *line)
{
	if (s[0] == '#' || (s[0] == '/' && s[1] == '/'))
		return s + strcspn(s, "\n");
	if (s[0] != '/' || s[1] != '*')
		return s;
	const char *end = strstr(s + 2, "*/");
	end = end == NULL ? s + strlen(s) : end + 2;
	for (; s < end; s++)
		*line += *s == '\n';
	return end;
}

/* Reads the number at s; returns its end. */
static const char *
scan_number(struct conf_errors *errors, const char *s, unsigned line)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(s, &end, s[0] == '0' && (s[1] | 0x20) == 'x' ? 16 : 10);
	if (errno != 0 || value > INT32_MAX)
		conf_errors_add(errors, line, "%.*s is too large a number", (int)(end - s), s);
	return end;
}

void
conf_read_scan(struct conf_errors *errors, const char *file)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_*-";
	unsigned line = 1;
	bool quoted = false;

	for (const char *s = file; *s != '\0';) {
		const char *end = quoted ? s : skip_comment(s, &line);
		if (end != s) {
			s = end;
		} else if (quoted && s[0] == '\\' && s[1] != '\0' && s[1] != '\n') {
			s += 2;
		} else if (!quoted && (isalpha((unsigned char)*s) || *s == '*')) {
			s += strspn(s, name);
		} else if (!quoted && isdigit((unsigned char)*s)) {
			s = scan_number(errors, s, line);
		} else {
			if (!quoted && *s == '@')
				conf_errors_add(errors, line, "@include is not for this file: one box, one file");
			quoted ^= *s == '"';
			line += *s == '\n';
			s++;
		}
	}
}

static const char *
kind_of(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a fraction";
	case CONFIG_TYPE_STRING:
		return "a text";
	default:
		return "true or false";
	}
}

/* Whether setting is of one of two types; reports it when not. what says what was wanted, for people. */
bool
conf_read_type(struct conf_errors *errors, const config_setting_t *setting, const char *in, int type, int other_type,
	       const char *what)
{
	int actual = config_setting_type(setting);

	if (actual == type || actual == other_type)
		return true;
	conf_errors_add(errors, config_setting_source_line(setting), "%s must be %s, not %s", in, what,
			kind_of(setting));
	return false;
}

void
conf_read_number(struct conf_errors *errors, const config_setting_t *setting, const char *in,
		 const struct conf_rule *rule, void *field)
{
	if (!conf_read_type(errors, setting, in, CONFIG_TYPE_INT, CONFIG_TYPE_INT64, "a whole number"))
		return;
	int64_t value = config_setting_get_int64(setting);
	if (value < rule->min || value > rule->max)
		conf_errors_add(errors, config_setting_source_line(setting),
				"%s is %" PRId64 ", which is outside %" PRId64 "..%" PRId64, in, value, rule->min,
				rule->max);
	else if (rule->kind == KIND_POWER && (value & (value - 1)) != 0)
		conf_errors_add(errors, config_setting_source_line(setting),
				"%s is %" PRId64 ", which is no power of two", in, value);
	else if (rule->kind == KIND_U32)
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint16_t *)field = (uint16_t)value;
}

static bool
is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* The text of setting, or NULL when it isn't one that may stand there, which is reported. */
const char *
conf_read_text(struct conf_errors *errors, const config_setting_t *setting, const char *in, size_t max)
{
	if (!conf_read_type(errors, setting, in, CONFIG_TYPE_STRING, CONFIG_TYPE_STRING, "a text"))
		return NULL;
	const char *value = config_setting_get_string(setting);
	if (strlen(value) >= max) {
		conf_errors_add(errors, config_setting_source_line(setting), "%s is longer than %zu bytes", in,
				max - 1);
		return NULL;
	}
	if (!is_printable(value)) {
		conf_errors_add(errors, config_setting_source_line(setting), "%s has a control character in it", in);
		return NULL;
	}
	return value;
}

static char *
copy_text(const char *s)
{
	char *copy = strdup(s);

	if (copy == NULL)
		abort();
	return copy;
}

static void
read_string(struct conf_errors *errors, const config_setting_t *setting, const char *in, const struct conf_rule *rule,
	    void *field)
{
	const char *value = conf_read_text(errors, setting, in, (size_t)rule->max);

	if (value == NULL)
		return;
	if (strlen(value) < (size_t)rule->min) {
		conf_errors_add(errors, config_setting_source_line(setting), "%s is empty", in);
	} else if (rule->kind == KIND_NAME) {
		strcpy(field, value); /* get_text has measured it */
	} else if (rule->kind == KIND_PATH && value[0] != '/') {
		conf_errors_add(errors, config_setting_source_line(setting), "%s must be an absolute path, not \"%s\"",
				in, value);
	} else {
		free(*(char **)field);
		*(char **)field = copy_text(value);
	}
}

static void
read_log_word(struct conf_errors *errors, const config_setting_t *setting, const char *in, const struct conf_rule *rule,
	      void *field)
{
	const char *value = conf_read_text(errors, setting, in, 32);
	bool known = value != NULL &&
		     (rule->kind == KIND_LEVEL ? log_level_parse(value, field) : log_format_parse(value, field));

	if (value != NULL && !known)
		conf_errors_add(errors, config_setting_source_line(setting), "%s must be one of %s, not \"%s\"", in,
				rule->kind == KIND_LEVEL ? "debug, info, warn, error" : "text, json", value);
}

static void
read_setting(struct conf_errors *errors, const config_setting_t *setting, const char *in, const struct conf_rule *rule,
	     void *base)
{
	void *field = (char *)base + rule->offset;

	switch (rule->kind) {
	case KIND_BOOL:
		if (conf_read_type(errors, setting, in, CONFIG_TYPE_BOOL, CONFIG_TYPE_BOOL, "true or false"))
			*(bool *)field = config_setting_get_bool(setting);
		break;
	case KIND_U16:
	case KIND_U32:
	case KIND_POWER:
		conf_read_number(errors, setting, in, rule, field);
		break;
	case KIND_STRING:
	case KIND_NAME:
	case KIND_PATH:
		read_string(errors, setting, in, rule, field);
		break;
	case KIND_LEVEL:
	case KIND_FORMAT:
		read_log_word(errors, setting, in, rule, field);
		break;
	case KIND_OTHER:
		break;
	}
}

static void
set_fallback(const struct conf_rule *rule, void *base)
{
	void *field = (char *)base + rule->offset;

	switch (rule->kind) {
	case KIND_BOOL:
		*(bool *)field = rule->fallback != 0;
		break;
	case KIND_U16:
	case KIND_POWER:
		*(uint16_t *)field = (uint16_t)rule->fallback;
		break;
	case KIND_U32:
		*(uint32_t *)field = (uint32_t)rule->fallback;
		break;
	case KIND_STRING:
	case KIND_PATH:
		*(char **)field = rule->fallback_text == NULL ? NULL : copy_text(rule->fallback_text);
		break;
	case KIND_LEVEL:
		*(enum log_level *)field = (enum log_level)rule->fallback;
		break;
	case KIND_FORMAT:
		*(enum log_format *)field = (enum log_format)rule->fallback;
		break;
	case KIND_NAME:
	case KIND_OTHER:
		break;
	}
}

/* Reads group by rules into base; group NULL: all fallbacks. in is its name with a dot behind it, empty at the top. */
void
conf_read_group(struct conf_errors *errors, const config_setting_t *group, const char *in,
		const struct conf_rule *rules, void *base)
{
	const char *names[RULES_MAX + 1];
	char name[IN_MAX];
	size_t n = 0;

	for (; rules[n].name != NULL; n++) {
		names[n] = rules[n].name;
		set_fallback(&rules[n], base);
	}
	names[n] = NULL;
	if (group == NULL)
		return;

	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const char *written = config_setting_name(setting);
		size_t k = 0;
		while (k < n && strcmp(names[k], written) != 0)
			k++;
		if (k < n) {
			snprintf(name, sizeof(name), "%s%s", in, written);
			read_setting(errors, setting, name, &rules[k], base);
			continue;
		}
		const char *closest = text_closest(written, names);
		conf_errors_add(errors, config_setting_source_line(setting), "unknown setting \"%s%s\"%s%s%s", in,
				written, closest == NULL ? "" : "; did you mean \"", closest == NULL ? "" : closest,
				closest == NULL ? "" : "\"?");
	}
	for (size_t k = 0; k < n; k++)
		if (rules[k].kind == KIND_NAME && config_setting_get_member(group, names[k]) == NULL)
			conf_errors_add(errors, config_setting_source_line(group), "%s%s is missing", in, names[k]);
}
