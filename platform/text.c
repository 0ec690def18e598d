/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
reserve(struct text *text, size_t more)
{
	size_t needed = text->length + more + 1;
	if (needed <= text->capacity)
		return;
	size_t capacity = text->capacity == 0 ? 256 : text->capacity;
	while (capacity < needed)
		capacity *= 2;
	char *bytes = realloc(text->bytes, capacity);
	if (bytes == NULL)
		abort();
	text->bytes = bytes;
	text->capacity = capacity;
}

void
text_add(struct text *text, const char *bytes, size_t length)
{
	reserve(text, length);
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

void
text_vprint(struct text *text, const char *format, va_list arguments)
{
	va_list again;
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	if (length >= 0) {
		reserve(text, (size_t)length);
		vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
		text->length += (size_t)length;
	}
	va_end(again);
}

void
text_print(struct text *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	text_vprint(text, format, arguments);
	va_end(arguments);
}

size_t
text_utf8(const char *s, size_t length)
{
	/* Unicode's table 3-7, well-formed sequences: only the second byte's range depends on the first. */
	static const struct {
		uint8_t first, last, low, high, length;
	} forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		     {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		     {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
	const uint8_t *b = (const uint8_t *)s;

	for (size_t i = 0; length > 0 && i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (b[0] < forms[i].first || b[0] > forms[i].last)
			continue;
		if (forms[i].length > length)
			return 0;
		if (forms[i].length > 1 && (b[1] < forms[i].low || b[1] > forms[i].high))
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((b[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

void
text_add_json(struct text *text, const char *s, size_t length)
{
	while (length > 0) {
		unsigned char c = (unsigned char)s[0];
		size_t n = text_utf8(s, length);
		if (n == 0)
			text_add(text, "\xef\xbf\xbd", 3); /* U+FFFD, and go on at the next byte */
		else if (c == '"' || c == '\\')
			text_print(text, "\\%c", c);
		else if (c == '\n')
			text_add(text, "\\n", 2);
		else if (c < 0x20 || c == 0x7f)
			text_print(text, "\\u%04x", c);
		else if (c == 0xc2 && (unsigned char)s[1] < 0xa0)
			text_print(text, "\\u%04x", (unsigned char)s[1]); /* C1: terminals obey these, too */
		else
			text_add(text, s, n);
		n = n == 0 ? 1 : n;
		s += n;
		length -= n;
	}
}

void
text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){0};
}

enum { CLOSEST_WORD_MAX = 64 };

static unsigned
edit_distance(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned row[CLOSEST_WORD_MAX + 1];
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned above = row[j];
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[n];
}

const char *
text_closest(const char *word, const char *const *names)
{
	size_t length = strlen(word);
	unsigned limit = length < 6 ? 1 : length < 9 ? 2 : 3;
	const char *closest = NULL;

	if (length > CLOSEST_WORD_MAX)
		return NULL;
	for (; *names != NULL; names++) {
		if (strlen(*names) > CLOSEST_WORD_MAX)
			continue;
		if (strcasecmp(word, *names) == 0)
			return *names;
		unsigned distance = edit_distance(word, *names);
		if (distance <= limit) {
			limit = distance == 0 ? 0 : distance - 1;
			closest = *names;
			if (distance == 0)
				break;
		}
	}
	return closest;
}
