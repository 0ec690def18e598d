/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl upgrade, from the moment when the daemon has agreed to it. */
#ifndef POSTERN_GATEWAY_CTL_UPGRADE_H
#define POSTERN_GATEWAY_CTL_UPGRADE_H

#include <jansson.h>
#include <stdbool.h>

struct text;

enum { CTL_UPGRADE_WAIT_S = 60, CTL_UPGRADE_POLL_MS = 20 };

/* Asks at socket until another program than the one that gave *document (the answer to upgrade) says that it forwards.
 * Then *document is replaced by what came of it: pid, from, to (versions), stalled_us, adoption (as in status). False,
 * and why in error, when none does, or the old one goes on. */
bool ctl_upgrade_wait(const char *socket, json_t **document, struct text *error);

#endif
