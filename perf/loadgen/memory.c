/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void *
memory_zeroed(size_t n, size_t size)
{
	size_t bytes = n * size;
	void *memory = mmap(NULL, bytes == 0 ? 1 : bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "loadgen: no memory for %zu MB\n", bytes >> 20);
		exit(1);
	}
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}
