/* SPDX-License-Identifier: Apache-2.0 */
/* How the readers and checks of this room report what is wrong. The list itself is snapshot.h's struct diagnostics. */
#ifndef POSTERN_FEDERATION_DIAGNOSTICS_H
#define POSTERN_FEDERATION_DIAGNOSTICS_H

#include "federation/codes.h"
#include "federation/snapshot.h"
#include "federation/source.h"

enum {
	DIAGNOSTICS_MAX = 1000, /* errors, and as many warnings; a hostile file must not fill the memory with them */
	DIAGNOSTICS_SOURCE_MAX = 400, /* a longer line isn't shown */
	DIAGNOSTICS_QUOTE_MAX = 80    /* bytes of the file's text that a message repeats */
};

struct report {
	struct diagnostics *list;
	struct source *sources; /* an origin's file is the name of one of them, the same pointer */
	size_t n_sources;
	size_t n_raised; /* errors, the ones over the limit included: compare before and after to see whether any came
			  */
	bool errors_cut, warnings_cut;
};

void report_error(struct report *report, struct origin at, enum federation_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void report_warning(struct report *report, struct origin at, enum federation_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Text of the file for a message: shortened, control characters replaced; always whole UTF-8 characters. */
struct quoted {
	char text[DIAGNOSTICS_QUOTE_MAX + 8];
};
struct quoted quote(const char *bytes, size_t length);
#define QUOTE(name) quote((name).bytes, (name).length).text

/* By file, line and column; what came first stays first at the same place. */
void diagnostics_sort(struct diagnostics *diagnostics, const struct report *report);

#endif
