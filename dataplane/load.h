/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a packet as they lie in it: any alignment, in network order. */
#ifndef POSTERN_DATAPLANE_LOAD_H
#define POSTERN_DATAPLANE_LOAD_H

#include <stdint.h>
#include <string.h>

static inline uint16_t
load_16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t
load_32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

#endif
