/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl validate: the federation is loaded as posternd would load it, and thrown away. */
#ifndef POSTERN_GATEWAY_CTL_VALIDATE_H
#define POSTERN_GATEWAY_CTL_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Text: diagnostics to errors, and a line with counts to out when the files are valid. JSON: all of it to out, one
 * object. Returns CTL_OK or CTL_REFUSED. */
int ctl_validate(const char *const *files, size_t n_files, bool json, FILE *out, FILE *errors);

#endif
