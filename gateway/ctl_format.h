/* SPDX-License-Identifier: Apache-2.0 */
/* How posternctl writes for people: units, times, and columns. */
#ifndef POSTERN_GATEWAY_CTL_FORMAT_H
#define POSTERN_GATEWAY_CTL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CTL_UNIT_MAX = 32, CTL_COLUMNS_MAX = 16, CTL_ROWS_MAX = 1000 };

/* "0 B", "999 B", "1.5 kB", "12.3 MB": powers of 1000. Returns buffer. */
const char *ctl_bytes(uint64_t bytes, char buffer[CTL_UNIT_MAX]);
/* "0.2 s", "12 s", "5 min", "3 h 12 min", "2 d 4 h". Returns buffer. */
const char *ctl_duration(uint64_t ms, char buffer[CTL_UNIT_MAX]);
/* "0", "0.3/s", "12/s". Returns buffer. */
const char *ctl_rate(double per_second, char buffer[CTL_UNIT_MAX]);

struct ctl_column {
	const char *title;
	bool right; /* figures */
};

/*
 * Columns as wide as what is in them. Rows are gathered, CTL_ROWS_MAX at most, and then written, so that a list of any
 * length needs little memory; columns only grow from one such page to the next.
 */
struct ctl_table {
	const struct ctl_column *columns;
	unsigned n_columns; /* 1..CTL_COLUMNS_MAX */
	FILE *out;
	size_t widths[CTL_COLUMNS_MAX];
	char **cells;             /* of the page */
	unsigned n_rows, n_cells; /* n_cells: of the row in the making */
	bool titled;
};

void ctl_table_begin(struct ctl_table *table, const struct ctl_column *columns, unsigned n_columns, FILE *out);
/* The next cell, from left to right; the last one of a row ends it. NULL and "" are shown as "-", and control
 * characters as "?". */
void ctl_table_add(struct ctl_table *table, const char *text);
void ctl_table_print(struct ctl_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes what is left. Without a single row nothing is written, not even titles. */
void ctl_table_end(struct ctl_table *table);

#endif
