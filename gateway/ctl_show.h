/* SPDX-License-Identifier: Apache-2.0 */
/* What posternctl prints of an answer for people. */
#ifndef POSTERN_GATEWAY_CTL_SHOW_H
#define POSTERN_GATEWAY_CTL_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "gateway/ctl_format.h"

/* How a list is shown. */
struct ctl_view {
	const char *command;
	const struct ctl_column *columns;
	unsigned n_columns;
	void (*row)(struct ctl_table *table, const json_t *record); /* adds one row or several */
	const char *empty;                                          /* said when there is none */
};

/* NULL: the command's answer is no list. */
const struct ctl_view *ctl_view_find(const char *command);

/* The answer to status, metrics, reload, drain or upgrade. */
void ctl_show_document(const char *command, const json_t *document, FILE *out);

/* ctl_status.c */
void ctl_show_status(const json_t *document, FILE *out);

/* What came of the process before, in a line; nothing when there was none (adoption is null). */
void ctl_show_adoption(json_t *adoption, FILE *out);

/* "3 services, 2 listeners, 5 endpoints" and a line feed. */
void ctl_show_counts(const json_t *object, FILE *out);

/* Members of an object: "" or 0 when absent, null or of another type. */
const char *ctl_text(const json_t *object, const char *name);
uint64_t ctl_u64(const json_t *object, const char *name);

#endif
