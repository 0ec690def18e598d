/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl's side of the control socket (control.h has the protocol). */
#ifndef POSTERN_GATEWAY_CTL_CLIENT_H
#define POSTERN_GATEWAY_CTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct text;

enum { CTL_ANSWER_TIMEOUT_S = 60 };

/* Connects to path and sends a request. Returns the answer, to be read line by line and closed, or NULL with a line in
 * error that says what to do. */
FILE *ctl_ask(const char *path, const char *command, json_t *arguments, struct text *error);

/* What an answer's first line is. */
enum ctl_answer { CTL_ANSWER_DOCUMENT, CTL_ANSWER_LIST, CTL_ANSWER_NONE };

/* Reads the first line. Of a document *document is the whole, and the caller's. NONE: there is no answer, or it can't
 * be read; error says so. */
enum ctl_answer ctl_answer_begin(FILE *answer, json_t **document, struct text *error);

/* The next record of a list, as a line of JSON without line feed, good until the next call; or NULL at the end. Then
 * *end is what stood behind the list ("truncated", "interrupted"), or NULL when the answer broke off. */
struct ctl_records {
	FILE *answer;
	char *line;
	size_t capacity;
};
const char *ctl_records_next(struct ctl_records *records, json_t **end);
void ctl_records_free(struct ctl_records *records);

#endif
