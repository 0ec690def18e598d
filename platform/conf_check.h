/* SPDX-License-Identifier: Apache-2.0 */
/* What conf.c and conf_check.c share: conf.c reads each setting by itself, conf_check.c looks at how they fit together.
 */
#ifndef POSTERN_PLATFORM_CONF_CHECK_H
#define POSTERN_PLATFORM_CONF_CHECK_H

#include "platform/conf.h"
#include "platform/conf_read.h"

/* Where the parts of a struct conf were written; index for index as there. */
struct conf_lines {
	unsigned ports[CONF_PORTS_MAX];
	unsigned addresses[CONF_PORTS_MAX][CONF_ADDRESSES_MAX];
	unsigned routes[CONF_ROUTES_MAX];
	unsigned cores, memory, flow, metrics;
	const char *route_ports[CONF_ROUTES_MAX]; /* the name that the route gives; NULL: to be found by its next hop */
};

/* Checks that the settings fit together, and finds the routes' ports. When there are errors already, something may be
 * missing for no other reason, so checks that ask for something to be there wait for the next time. */
void conf_check(struct conf *conf, const struct conf_lines *lines, struct conf_errors *errors);

#endif
