/* SPDX-License-Identifier: Apache-2.0 */
/* A growing text. The one way that Postern builds messages, metrics pages and JSON lines of unknown length. */
#ifndef POSTERN_PLATFORM_TEXT_H
#define POSTERN_PLATFORM_TEXT_H

#include <stdarg.h>
#include <stddef.h>

struct text {
	char *bytes;   /* always NUL-terminated once anything was added; NULL before */
	size_t length; /* without the NUL */
	size_t capacity;
};

/* An empty text is all zeroes: struct text t = {0}. Memory that can't be had ends the process (control plane only). */
void text_add(struct text *text, const char *bytes, size_t length);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprint(struct text *text, const char *format, va_list arguments);
/* How many bytes the UTF-8 character at s has, 1..4; 0 when length is 0 or no well-formed character begins there. */
size_t text_utf8(const char *s, size_t length);
/* Adds s as the inside of a JSON string (RFC 8259 section 7), without the quotes. UTF-8 passes as it is, control
 * characters (C0, DEL, C1) are escaped, and each byte that isn't UTF-8 becomes U+FFFD. */
void text_add_json(struct text *text, const char *s, size_t length);
void text_free(struct text *text);

/* The closest of names (NULL-terminated list) to word by edits, case aside, or NULL when none is near enough to
 * suggest: one edit in a short word, three in a long one. For "did you mean". */
const char *text_closest(const char *word, const char *const *names);

#endif
