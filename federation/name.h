/* SPDX-License-Identifier: Apache-2.0 */
/* The two small things that every record of a snapshot is made of: a text of the file, and where in it something stood.
 */
#ifndef POSTERN_FEDERATION_NAME_H
#define POSTERN_FEDERATION_NAME_H

#include <stdint.h>

/* A name in the snapshot's arena: lower-case, not necessarily NUL-terminated in others' hands, but NUL follows here. */
struct name {
	const char *bytes;
	uint32_t length;
};

/* Where something was written: for explain and for logs. */
struct origin {
	const char *file;      /* NULL: nowhere, it is a default */
	uint32_t line, column; /* from 1 */
};

#endif
