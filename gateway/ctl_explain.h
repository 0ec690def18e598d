/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl explain: asked of files, without a daemon; and how its answer (explain.h) looks to people. */
#ifndef POSTERN_GATEWAY_CTL_EXPLAIN_H
#define POSTERN_GATEWAY_CTL_EXPLAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct ctl_request;
struct text;

/* Whether the command line says enough to ask. False, with a line in error. */
bool ctl_explain_complete(const struct ctl_request *request, struct text *error);

/* The answer by the request's files, or NULL, with the files' errors on errors. */
json_t *ctl_explain_files(const struct ctl_request *request, FILE *errors);

void ctl_explain_show(const json_t *document, FILE *out);

#endif
