/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "platform/text.h"

const char *
ctl_bytes(uint64_t bytes, char buffer[CTL_UNIT_MAX])
{
	static const char units[] = "kMGTPE";
	uint64_t tenths = bytes;
	unsigned unit = 0;

	if (bytes < 1000) {
		snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 " B", bytes);
		return buffer;
	}
	/* Tenths of the unit, rounded down: 999,999 B isn't 1.0 MB yet. */
	for (tenths = bytes / 100; tenths >= 10000; tenths /= 1000)
		unit++;
	snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 ".%" PRIu64 " %cB", tenths / 10, tenths % 10, units[unit]);
	return buffer;
}

const char *
ctl_duration(uint64_t ms, char buffer[CTL_UNIT_MAX])
{
	uint64_t s = ms / 1000, min = s / 60, h = min / 60, d = h / 24;

	if (s < 10)
		snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
	else if (min == 0)
		snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 " s", s);
	else if (h == 0)
		snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 " min", min);
	else if (d == 0)
		snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 " h %" PRIu64 " min", h, min % 60);
	else
		snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 " d %" PRIu64 " h", d, h % 24);
	return buffer;
}

const char *
ctl_rate(double per_second, char buffer[CTL_UNIT_MAX])
{
	if (per_second <= 0)
		snprintf(buffer, CTL_UNIT_MAX, "0");
	else
		snprintf(buffer, CTL_UNIT_MAX, per_second < 9.95 ? "%.1f/s" : "%.0f/s", per_second);
	return buffer;
}

const char *
ctl_count(uint64_t n, const char *noun, char buffer[CTL_UNIT_MAX])
{
	snprintf(buffer, CTL_UNIT_MAX, "%" PRIu64 " %s%s", n, noun, n == 1 ? "" : "s");
	return buffer;
}

/* Characters, not bytes. */
static size_t
width(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void
ctl_table_begin(struct ctl_table *table, const struct ctl_column *columns, unsigned n_columns, FILE *out)
{
	*table = (struct ctl_table){.columns = columns, .n_columns = n_columns, .out = out};
	for (unsigned i = 0; i < n_columns; i++)
		table->widths[i] = width(columns[i].title);
	table->cells = calloc((size_t)CTL_ROWS_MAX * CTL_COLUMNS_MAX, sizeof(*table->cells));
	if (table->cells == NULL)
		abort();
}

static void
write_cell(struct ctl_table *table, unsigned column, const char *text)
{
	size_t missing = table->widths[column] - width(text);
	bool last = column + 1 == table->n_columns;

	if (table->columns[column].right)
		fprintf(table->out, "%*s%s", (int)missing, "", text);
	else
		fprintf(table->out, "%s%*s", text, last ? 0 : (int)missing, "");
	fputs(last ? "\n" : "  ", table->out);
}

static void
write_page(struct ctl_table *table)
{
	if (!table->titled)
		for (unsigned i = 0; i < table->n_columns; i++)
			write_cell(table, i, table->columns[i].title);
	table->titled = true;
	for (unsigned i = 0; i < table->n_rows * table->n_columns; i++) {
		write_cell(table, i % table->n_columns, table->cells[i]);
		free(table->cells[i]);
	}
	table->n_rows = 0;
}

void
ctl_table_add(struct ctl_table *table, const char *text)
{
	char *cell = strdup(text == NULL || text[0] == '\0' ? "-" : text);

	if (cell == NULL)
		abort();
	for (char *c = cell; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	if (width(cell) > table->widths[table->n_cells])
		table->widths[table->n_cells] = width(cell);
	table->cells[table->n_rows * table->n_columns + table->n_cells++] = cell;
	if (table->n_cells < table->n_columns)
		return;
	table->n_cells = 0;
	if (++table->n_rows == CTL_ROWS_MAX)
		write_page(table);
}

void
ctl_table_print(struct ctl_table *table, const char *format, ...)
{
	struct text text = {0};
	va_list arguments;

	va_start(arguments, format);
	text_vprint(&text, format, arguments);
	va_end(arguments);
	ctl_table_add(table, text.bytes);
	text_free(&text);
}

void
ctl_table_end(struct ctl_table *table)
{
	if (table->n_rows > 0)
		write_page(table);
	free(table->cells);
	table->cells = NULL;
}
