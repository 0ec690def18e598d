/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the next process must know of live slots: flow records hold their numbers, so the numbers must go on meaning the
 * same; and what listeners offer must not change by a restart, so what was learned of endpoints is kept as well.
 *
 *   DIRECTORY/names:   header ┊ entry, name ┊ entry, name ┊ … ┊ CRC-32C of all before it
 *
 * It is written anew, to a temporary file that is then renamed, before anything depends on what it says: before a
 * snapshot is put in force, and before what was learned changes an offer. So whatever record or offer there is, the
 * file knows its slots. The header names the lineage of the flow records (flow_map.h) that it belongs to.
 */
#ifndef POSTERN_GATEWAY_LIVE_NAMES_H
#define POSTERN_GATEWAY_LIVE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_map.h"
#include "gateway/live.h"

struct text;

/* Writes the file. False, and why in error, when that can't be done: then there is none, rather than one that is out of
 * date. */
bool live_names_save(const struct live *live, const char *directory, const uint8_t lineage[FLOW_MAP_ID_BYTES],
		     struct text *error);

/* Fills live, which is empty, from the file. lineage: the file must be of it; NULL: of any. False when there is none,
 * or it is refused; then refused says why. */
bool live_names_load(struct live *live, const char *directory, const uint8_t *lineage, struct text *refused);
/* The same from memory. */
bool live_names_parse(struct live *live, const void *bytes, size_t length, const uint8_t *lineage,
		      struct text *refused);

#endif
