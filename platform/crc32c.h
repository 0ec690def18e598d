/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, RFC 9260 appendix B): guards what one process leaves for the next against damage, not against
 * malice. */
#ifndef POSTERN_PLATFORM_CRC32C_H
#define POSTERN_PLATFORM_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t length);

#endif
