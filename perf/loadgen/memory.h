/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POSTERN_PERF_LOADGEN_MEMORY_H
#define POSTERN_PERF_LOADGEN_MEMORY_H

#include <stddef.h>

/* n zeroed elements, in huge pages where Linux has them to give, aligned to a cache line. Kept until the process ends;
 * ends it when there is no memory. */
void *memory_zeroed(size_t n, size_t size);

#endif
