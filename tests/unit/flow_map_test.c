/* SPDX-License-Identifier: Apache-2.0 */
/* The file that flow records live in: what it says of itself, that it is private, and what happens where it can't be
 * made. */
#include "dataplane/flow_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/flow_table.h"
#include "platform/text.h"
#include "tests/unit/unit.h"

enum { WORKERS = 3, CAPACITY = 100 };

static char directory[64], file[128];
static struct text error;

static void
begin(void)
{
	strcpy(directory, "/tmp/flow_map_test.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/flows", directory);
}

static void
end(void)
{
	unlink(file);
	CU_ASSERT_EQUAL(rmdir(directory), 0);
	text_free(&error);
}

static void
test_header(void)
{
	struct flow_map map;
	struct stat status;

	begin();
	CU_ASSERT_TRUE_FATAL(flow_map_create(&map, directory, WORKERS, CAPACITY, &error));
	CU_ASSERT_EQUAL(memcmp(map.header->magic, "POSTERNF", 8), 0);
	CU_ASSERT_EQUAL(map.header->version, FLOW_MAP_VERSION);
	CU_ASSERT_EQUAL(map.header->flow_bytes, 192);
	CU_ASSERT_EQUAL(map.header->n_workers, WORKERS);
	CU_ASSERT_EQUAL(map.header->capacity, CAPACITY);
	CU_ASSERT_EQUAL(map.header->table_bytes, flow_table_bytes(CAPACITY));
	CU_ASSERT_EQUAL(map.header->total_bytes, map.bytes);
	CU_ASSERT_EQUAL(stat(file, &status), 0);
	CU_ASSERT_EQUAL((size_t)status.st_size, map.bytes);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);          /* it holds secrets */
	CU_ASSERT_TRUE((size_t)status.st_blocks * 512 < 65536); /* and costs nothing before it is used */

	/* CRC-32C, bit by bit with the polynomial turned the other way round. */
	const uint8_t *bytes = (const uint8_t *)map.header;
	uint32_t crc = UINT32_MAX, turned = 0;
	for (size_t i = 0; i < offsetof(struct flow_map_header, checksum); i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			uint32_t carry = crc >> 31 ^ (bytes[i] >> bit & 1);
			crc = crc << 1 ^ (carry != 0 ? 0x1edc6f41 : 0);
		}
	for (unsigned bit = 0; bit < 32; bit++)
		turned |= (crc >> bit & 1) << (31 - bit);
	CU_ASSERT_EQUAL(map.header->checksum, ~turned);
	flow_map_close(&map);
	CU_ASSERT_PTR_NULL(map.header);
	CU_ASSERT_EQUAL(access(file, F_OK), 0);
	end();
}

static void
test_tables(void)
{
	static const uint8_t zero[64];
	struct flow_map map;

	begin();
	CU_ASSERT_TRUE_FATAL(flow_map_create(&map, directory, WORKERS, CAPACITY, &error));
	uint8_t *before = (uint8_t *)map.header + sizeof(*map.header);
	for (uint32_t i = 0; i < WORKERS; i++) {
		uint8_t *table = flow_map_table(&map, i);
		CU_ASSERT_EQUAL((uintptr_t)table % 64, 0);
		CU_ASSERT_TRUE(table >= before);
		CU_ASSERT_EQUAL(memcmp(table, zero, sizeof(zero)), 0);
		before = table + flow_table_bytes(CAPACITY);
		CU_ASSERT_TRUE(before <= (uint8_t *)map.header + map.bytes);
		memset(table, (int)i + 1, flow_table_bytes(CAPACITY));
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(&map, i))[0], i + 1);
		CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(&map, i))[flow_table_bytes(CAPACITY) - 1], i + 1);
	}
	/* Shared: what is written is in the file. */
	FILE *stream = fopen(file, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	fseek(stream, (long)((uint8_t *)flow_map_table(&map, 1) - (uint8_t *)map.header), SEEK_SET);
	CU_ASSERT_EQUAL(fgetc(stream), 2);
	fclose(stream);
	flow_map_close(&map);
	end();
}

static void
test_made_anew(void)
{
	/* Other secrets, and whoever still has the old one mapped keeps it whole. */
	struct flow_map old, map;

	begin();
	CU_ASSERT_TRUE_FATAL(flow_map_create(&old, directory, 1, CAPACITY, &error));
	memset(flow_map_table(&old, 0), 0x77, 100);
	CU_ASSERT_TRUE_FATAL(flow_map_create(&map, directory, 2, CAPACITY, &error));
	CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(&old, 0))[99], 0x77);
	CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(&map, 0))[0], 0);
	const uint64_t *a = old.header->secrets.hash, *b = map.header->secrets.hash;
	for (unsigned i = 0; i < sizeof(struct flow_map_secrets) / 8; i++) {
		CU_ASSERT_NOT_EQUAL(a[i], b[i]);
		CU_ASSERT_NOT_EQUAL(b[i], 0);
	}
	flow_map_close(&old);
	flow_map_close(&map);
	end();
}

static void
test_directory_is_made(void)
{
	struct flow_map map;
	char nested[80];

	begin();
	snprintf(nested, sizeof(nested), "%s/state", directory);
	CU_ASSERT_TRUE_FATAL(flow_map_create(&map, nested, 1, CAPACITY, &error));
	flow_map_close(&map);
	snprintf(file, sizeof(file), "%s/flows", nested);
	CU_ASSERT_EQUAL(unlink(file), 0);
	CU_ASSERT_EQUAL(rmdir(nested), 0);
	end();
}

static void
test_errors(void)
{
	struct flow_map map;
	char nested[600];

	begin();
	snprintf(nested, sizeof(nested), "%s/a/b", directory);
	CU_ASSERT_FALSE(flow_map_create(&map, nested, 1, CAPACITY, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, nested));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, strerror(ENOENT)));

	/* Where the file should be is a directory. */
	text_free(&error);
	CU_ASSERT_EQUAL(mkdir(file, 0700), 0);
	CU_ASSERT_FALSE(flow_map_create(&map, directory, 1, CAPACITY, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, file));
	CU_ASSERT_EQUAL(rmdir(file), 0);

	/* More than there is address space for. */
	text_free(&error);
	CU_ASSERT_FALSE(flow_map_create(&map, directory, 4000000, 1 << 30, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, file));
	CU_ASSERT_EQUAL(access(file, F_OK), -1);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"header", test_header},       {"tables", test_tables},
		{"made anew", test_made_anew}, {"the directory is made", test_directory_is_made},
		{"errors", test_errors},       CU_TEST_INFO_NULL,
	};

	return unit_run("flow_map", tests);
}
