/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/diagnostics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/text.h"

static char *
copy_text(const char *bytes, size_t length)
{
	char *copy = strndup(bytes, length);
	if (copy == NULL)
		abort();
	return copy;
}

static void
append(struct report *report, struct origin at, bool warning, enum federation_code code, const char *format,
       va_list arguments)
{
	struct diagnostics *list = report->list;
	struct text message = {0};

	if (list->n == list->capacity) {
		list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
		list->list = realloc(list->list, list->capacity * sizeof(*list->list));
		if (list->list == NULL)
			abort();
	}
	text_vprint(&message, format, arguments);
	struct diagnostic *diagnostic = &list->list[list->n++];
	*diagnostic = (struct diagnostic){
		.file = copy_text(at.file, strlen(at.file)),
		.line = at.line,
		.column = at.column,
		.warning = warning,
		.message = message.bytes,
	};
	snprintf(diagnostic->code, sizeof(diagnostic->code), "PN%04u", (unsigned)code % 10000);
	if (!warning)
		list->n_errors++;
	for (size_t i = 0; at.line > 0 && i < report->n_sources; i++) {
		if (report->sources[i].name != at.file)
			continue;
		size_t length;
		const char *line = source_line(&report->sources[i], at.line, &length);
		if (line != NULL && length <= DIAGNOSTICS_SOURCE_MAX && memchr(line, '\0', length) == NULL)
			diagnostic->source = copy_text(line, length);
		break;
	}
}

static void
append_cut(struct report *report, const char *file, bool warning, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	append(report, (struct origin){.file = file}, warning, PN_TOO_MANY_ERRORS, format, arguments);
	va_end(arguments);
}

void
report_error(struct report *report, struct origin at, enum federation_code code, const char *format, ...)
{
	report->n_raised++;
	if (report->list->n_errors >= DIAGNOSTICS_MAX) {
		if (!report->errors_cut)
			append_cut(report, at.file, false, "more than %d errors; these are the first that were found",
				   DIAGNOSTICS_MAX);
		report->errors_cut = true;
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	append(report, at, false, code, format, arguments);
	va_end(arguments);
}

void
report_warning(struct report *report, struct origin at, enum federation_code code, const char *format, ...)
{
	if (report->list->n - report->list->n_errors >= DIAGNOSTICS_MAX) {
		if (!report->warnings_cut)
			append_cut(report, at.file, true, "more than %d warnings; these are the first that were found",
				   DIAGNOSTICS_MAX);
		report->warnings_cut = true;
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	append(report, at, true, code, format, arguments);
	va_end(arguments);
}

static bool
is_control(char byte)
{
	return (unsigned char)byte < 0x20 || byte == 0x7f;
}

static bool
is_continuation(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

struct quoted
quote(const char *bytes, size_t length)
{
	struct quoted quoted;
	size_t n = length;

	if (n > DIAGNOSTICS_QUOTE_MAX) {
		n = DIAGNOSTICS_QUOTE_MAX;
		while (n > 0 && is_continuation(bytes[n]))
			n--;
	}
	memcpy(quoted.text, bytes, n);
	for (size_t i = 0; i < n; i++) {
		if (is_control(bytes[i]))
			quoted.text[i] = '?';
	}
	snprintf(quoted.text + n, sizeof(quoted.text) - n, "%s", n < length ? "…" : "");
	return quoted;
}

struct sort_entry {
	size_t file, position;
	struct diagnostic diagnostic;
};

static int
compare(const void *left, const void *right)
{
	const struct sort_entry *a = left, *b = right;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->diagnostic.line != b->diagnostic.line)
		return a->diagnostic.line < b->diagnostic.line ? -1 : 1;
	if (a->diagnostic.column != b->diagnostic.column)
		return a->diagnostic.column < b->diagnostic.column ? -1 : 1;
	return a->position < b->position ? -1 : 1;
}

void
diagnostics_sort(struct diagnostics *diagnostics, const struct report *report)
{
	size_t n = diagnostics->n;
	if (n < 2)
		return;
	struct sort_entry *entries = calloc(n, sizeof(*entries));
	if (entries == NULL)
		abort();
	for (size_t i = 0; i < n; i++) {
		entries[i] = (struct sort_entry){.position = i, .diagnostic = diagnostics->list[i]};
		while (entries[i].file < report->n_sources &&
		       strcmp(report->sources[entries[i].file].name, entries[i].diagnostic.file) != 0)
			entries[i].file++;
	}
	qsort(entries, n, sizeof(*entries), compare);
	for (size_t i = 0; i < n; i++)
		diagnostics->list[i] = entries[i].diagnostic;
	free(entries);
}

/* The line, and under it a caret: tabs stay tabs, so that it stands right whatever their width. */
static void
print_source(const struct diagnostic *diagnostic, struct text *out)
{
	const char *source = diagnostic->source;
	uint32_t column = 1;

	text_print(out, "    ");
	for (size_t i = 0; source[i] != '\0'; i++)
		text_add(out, is_control(source[i]) && source[i] != '\t' ? "?" : &source[i], 1);
	text_print(out, "\n    ");
	for (size_t i = 0; source[i] != '\0' && column < diagnostic->column; i++) {
		if (is_continuation(source[i]))
			continue;
		text_add(out, source[i] == '\t' ? "\t" : " ", 1);
		column++;
	}
	text_print(out, "^\n");
}

void
diagnostics_print(const struct diagnostics *diagnostics, struct text *out)
{
	for (size_t i = 0; i < diagnostics->n; i++) {
		const struct diagnostic *diagnostic = &diagnostics->list[i];
		text_print(out, "%s:", diagnostic->file);
		if (diagnostic->line > 0)
			text_print(out, "%u:%u:", diagnostic->line, diagnostic->column);
		text_print(out, " %s %s: %s\n", diagnostic->warning ? "warning" : "error", diagnostic->code,
			   diagnostic->message);
		if (diagnostic->source != NULL)
			print_source(diagnostic, out);
	}
}

void
diagnostics_free(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->n; i++) {
		free(diagnostics->list[i].file);
		free(diagnostics->list[i].message);
		free(diagnostics->list[i].source);
	}
	free(diagnostics->list);
	*diagnostics = (struct diagnostics){0};
}
