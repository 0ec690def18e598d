/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_pages.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum { CAPACITY = 100000, PAGES = 32 };

static uint8_t *memory;
static struct flow_table table;

/* As flow_map.h maps it: shared memory, at the address of a huge page. */
static void
open_table(void)
{
	static const uint64_t secret[3] = {1, 2, 3};
	size_t bytes = flow_table_bytes(CAPACITY);
	int fd = memfd_create("flows", 0);
	uint8_t *reserved =
		mmap(NULL, bytes + FLOW_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 && reserved != MAP_FAILED);
	memory = reserved + FLOW_PAGE_BYTES - (uintptr_t)reserved % FLOW_PAGE_BYTES;
	CU_ASSERT_FATAL(mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == memory);
	close(fd);
	flow_table_init(&table, memory, CAPACITY, secret);
}

static unsigned
resident_kilobytes(void)
{
	unsigned pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	CU_ASSERT_FATAL(file != NULL);
	CU_ASSERT_EQUAL_FATAL(fscanf(file, "%*u %u", &pages), 1);
	fclose(file);
	return pages * 4;
}

static void
take_flows(uint32_t n)
{
	while (flow_table_used(&table) < n) {
		uint32_t index = flow_table_alloc(&table);
		struct flow_leg *leg = &flow_table_get(&table, index)->leg[LEG_CLIENT];
		leg->peer.words[3] = index;
		leg->local_port = 443;
		CU_ASSERT_FATAL(flow_table_insert(&table, index, LEG_CLIENT));
	}
}

/* Few flows: nothing is asked for, and no memory is used up by it. */
static void
test_idle(void)
{
	struct flow_pages pages = {0};

	open_table();
	take_flows(100);
	unsigned before = resident_kilobytes();
	CU_ASSERT_EQUAL(flow_pages_gather(&pages, &table, PAGES), 0);
	CU_ASSERT(resident_kilobytes() - before < 100);
}

/* Many: their memory changes pages, and nothing else. */
static void
test_busy(void)
{
	struct flow_pages pages = {0};

	take_flows(CAPACITY);
	unsigned before = resident_kilobytes(), made = flow_pages_gather(&pages, &table, 3);
	if (pages.refused) {
		printf("this kernel has no MADV_COLLAPSE for shared memory: ");
		return;
	}
	CU_ASSERT_EQUAL(made, 3);
	made += flow_pages_gather(&pages, &table, PAGES);
	CU_ASSERT_EQUAL(made, flow_table_bytes(CAPACITY) / FLOW_PAGE_BYTES);
	CU_ASSERT_EQUAL(flow_pages_gather(&pages, &table, PAGES), 0);
	CU_ASSERT(resident_kilobytes() < before + 1000);
	for (uint32_t index = 1; index <= CAPACITY; index++) {
		struct flow_key key = {.peer.words[3] = index, .local_port = 443};
		CU_ASSERT_EQUAL_FATAL(flow_table_find(&table, &key), index << 1);
	}
}

static CU_TestInfo tests[] = {
	{"few flows", test_idle},
	{"many flows", test_busy},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("flow_pages", tests);
}
