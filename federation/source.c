/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/source.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of the line break at `at`, or 0. */
static size_t
break_length(const char *bytes, size_t length, size_t at)
{
	const unsigned char *b = (const unsigned char *)bytes + at;
	size_t left = length - at;

	if (b[0] == '\n')
		return 1;
	if (b[0] == '\r')
		return left > 1 && b[1] == '\n' ? 2 : 1;
	if (b[0] == 0xc2 && left > 1 && b[1] == 0x85)
		return 2;
	if (b[0] == 0xe2 && left > 2 && b[1] == 0x80 && (b[2] == 0xa8 || b[2] == 0xa9))
		return 3;
	return 0;
}

size_t
source_next_line(const char *bytes, size_t length, size_t at)
{
	while (at < length) {
		size_t n = break_length(bytes, length, at);
		if (n > 0)
			return at + n;
		at++;
	}
	return length;
}

static bool
is_marker(const char *bytes, size_t length)
{
	return length >= 3 && memcmp(bytes, "---", 3) == 0 &&
	       (length == 3 || bytes[3] == ' ' || bytes[3] == '\t' || break_length(bytes, length, 3) > 0);
}

/* Blank, a comment or a directive. */
static bool
is_preamble(const char *bytes, size_t length)
{
	size_t i = 0;

	if (length > 0 && bytes[0] == '%')
		return true;
	while (i < length && (bytes[i] == ' ' || bytes[i] == '\t'))
		i++;
	return i == length || bytes[i] == '#' || break_length(bytes, length, i) > 0;
}

bool
source_next_document(const struct source *source, size_t *at, uint32_t *line, struct source_document *document)
{
	size_t begin = *at, position = *at;
	bool content = false;

	if (begin >= source->length)
		return false;
	document->first_line = *line;
	while (position < source->length) {
		const char *bytes = source->bytes + position;
		size_t next = source_next_line(source->bytes, source->length, position);
		size_t length = next - position;

		if (is_marker(bytes, length)) {
			if (content)
				break;
			content = true;
		} else if (!is_preamble(bytes, length)) {
			content = true;
		}
		position = next;
		++*line;
	}
	document->bytes = source->bytes + begin;
	document->length = position - begin;
	document->end_line = *line;
	*at = position;
	return true;
}

static void
index_lines(struct source *source)
{
	size_t n = 0;
	for (size_t at = 0; at < source->length; at = source_next_line(source->bytes, source->length, at))
		n++;
	source->lines = malloc((n + 1) * sizeof(*source->lines));
	if (source->lines == NULL)
		abort();
	for (size_t at = 0; at < source->length; at = source_next_line(source->bytes, source->length, at))
		source->lines[source->n_lines++] = at;
	source->lines[source->n_lines] = source->length;
}

const char *
source_line(struct source *source, uint32_t line, size_t *length)
{
	if (source->lines == NULL)
		index_lines(source);
	if (line < 1 || line > source->n_lines)
		return NULL;
	size_t begin = source->lines[line - 1], end = begin;
	while (end < source->lines[line] && break_length(source->bytes, source->length, end) == 0)
		end++;
	*length = end - begin;
	return source->bytes + begin;
}

void
source_free(struct source *source)
{
	free(source->lines);
	source->lines = NULL;
	source->n_lines = 0;
}
