/* SPDX-License-Identifier: Apache-2.0 */
/* A file's bytes and where its lines begin, for reading it document by document and for showing a line in a diagnostic.
 */
#ifndef POSTERN_FEDERATION_SOURCE_H
#define POSTERN_FEDERATION_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source {
	const char *name; /* as diagnostics and origins show it */
	const char *bytes;
	size_t length;
	size_t *lines; /* where each begins; made when first asked for, freed by source_free */
	size_t n_lines;
};

/* One document of a file. Its bytes begin at line first_line (from 1) of the file. */
struct source_document {
	const char *bytes;
	size_t length;
	uint32_t first_line;
	uint32_t end_line; /* the one after its last */
};

/* Splits a file at its "---" lines: YAML ends whatever it is in there, an open quote or bracket included, so a syntax
 * error in one document can't reach into the next. Comments and directives stand with the document that follows. *at
 * and *line are the caller's, 0 and 1 at first; false at the end. */
bool source_next_document(const struct source *source, size_t *at, uint32_t *line, struct source_document *document);

/* Where the line after the one at `at` begins: YAML 1.1's line breaks (LF, CR LF, CR, NEL, LS, PS), as libyaml counts.
 */
size_t source_next_line(const char *bytes, size_t length, size_t at);

/* The line, from 1, without its break; NULL when there is none. */
const char *source_line(struct source *source, uint32_t line, size_t *length);

void source_free(struct source *source);

#endif
