/* SPDX-License-Identifier: Apache-2.0 */
/* What a run found, for people and as JSON. */
#ifndef POSTERN_PERF_LOADGEN_REPORT_H
#define POSTERN_PERF_LOADGEN_REPORT_H

#include <stdio.h>

struct options;
struct run;
struct text;

void report_print(FILE *file, const struct options *options, const struct run *run);
void report_json(struct text *text, const struct options *options, const struct run *run);

#endif
