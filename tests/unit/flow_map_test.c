/* SPDX-License-Identifier: Apache-2.0 */
/* The file that flow records live in: what it says of itself, that it is private and one process's, what the next
 * process takes from it, and which files are refused. */
#include "dataplane/flow_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/flow_table.h"
#include "platform/clock.h"
#include "platform/text.h"
#include "tests/unit/unit.h"

enum { WORKERS = 3, CAPACITY = 100 };

static char directory[64], file[128], next_file[128], lock_file[128];
static struct text error, refused;

static const struct flow_map_shape shape = {
	.n_workers = WORKERS,
	.capacity = CAPACITY,
	.boot_id = {1, 2, 3},
	.addresses = {{.longs = {1, 2}}, {.longs = {3, 4}}},
	.n_addresses = 2,
};

static void
begin(void)
{
	strcpy(directory, "/tmp/flow_map_test.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/flows", directory);
	snprintf(next_file, sizeof(next_file), "%s/flows.new", directory);
	snprintf(lock_file, sizeof(lock_file), "%s/lock", directory);
}

static void
end(void)
{
	unlink(file);
	unlink(next_file);
	unlink(lock_file);
	CU_ASSERT_EQUAL(rmdir(directory), 0);
	text_free(&error);
	text_free(&refused);
}

/* A process that begins: locks and opens. */
static void
start(struct flow_map *map)
{
	text_free(&refused);
	CU_ASSERT_TRUE_FATAL(flow_map_lock(map, directory, 0, &error));
	CU_ASSERT_TRUE_FATAL(flow_map_open(map, &shape, &refused, &error));
}

static void
publish(struct flow_map *map)
{
	CU_ASSERT_TRUE_FATAL(flow_map_publish(map, &error));
}

/* One that has been and gone. */
static void
live_once(void)
{
	struct flow_map map;
	start(&map);
	publish(&map);
	flow_map_close(&map);
}

/* CRC-32C, bit by bit with the polynomial turned the other way round. */
static uint32_t
checksum(const void *memory, size_t length)
{
	const uint8_t *bytes = memory;
	uint32_t crc = UINT32_MAX, turned = 0;

	for (size_t i = 0; i < length; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			uint32_t carry = crc >> 31 ^ (bytes[i] >> bit & 1);
			crc = crc << 1 ^ (carry != 0 ? 0x1edc6f41 : 0);
		}
	for (unsigned bit = 0; bit < 32; bit++)
		turned |= (crc >> bit & 1) << (31 - bit);
	return ~turned;
}

static void
test_header(void)
{
	struct flow_map map;
	struct stat status;

	begin();
	start(&map);
	CU_ASSERT_PTR_NULL(map.before);
	CU_ASSERT_EQUAL(refused.length, 0);
	CU_ASSERT_EQUAL(access(file, F_OK), -1); /* not before it is published */
	publish(&map);
	CU_ASSERT_EQUAL(access(next_file, F_OK), -1);
	CU_ASSERT_EQUAL(memcmp(map.header->magic, "POSTERNF", 8), 0);
	CU_ASSERT_EQUAL(map.header->version, FLOW_MAP_VERSION);
	CU_ASSERT_EQUAL(map.header->flow_bytes, 192);
	CU_ASSERT_EQUAL(map.header->n_workers, WORKERS);
	CU_ASSERT_EQUAL(map.header->capacity, CAPACITY);
	CU_ASSERT_EQUAL(map.header->table_bytes, flow_table_bytes(CAPACITY));
	CU_ASSERT_EQUAL(map.header->total_bytes, map.bytes);
	CU_ASSERT_EQUAL(memcmp(map.header->boot_id, shape.boot_id, sizeof(shape.boot_id)), 0);
	CU_ASSERT_EQUAL(map.header->n_addresses, 2);
	CU_ASSERT_EQUAL(memcmp(map.header->addresses, shape.addresses, sizeof(shape.addresses)), 0);
	CU_ASSERT_EQUAL(map.header->checksum, checksum(map.header, offsetof(struct flow_map_header, checksum)));
	CU_ASSERT_EQUAL(stat(file, &status), 0);
	CU_ASSERT_EQUAL((size_t)status.st_size, map.bytes);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);          /* it holds secrets */
	CU_ASSERT_TRUE((size_t)status.st_blocks * 512 < 65536); /* and costs nothing before it is used */
	CU_ASSERT_EQUAL(stat(lock_file, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	flow_map_close(&map);
	CU_ASSERT_PTR_NULL(map.header);
	CU_ASSERT_EQUAL(access(file, F_OK), 0);
	flow_map_close(&map); /* nothing is left to close */
	end();
}

static void
test_tables(void)
{
	static const uint8_t zero[64];
	struct flow_map map;

	begin();
	start(&map);
	publish(&map);
	uint8_t *before = (uint8_t *)map.header + sizeof(*map.header);
	for (uint32_t i = 0; i < WORKERS; i++) {
		uint8_t *table = flow_map_table(map.header, i);
		CU_ASSERT_EQUAL((uintptr_t)table % 64, 0);
		CU_ASSERT_TRUE(table >= before);
		CU_ASSERT_EQUAL(memcmp(table, zero, sizeof(zero)), 0);
		before = table + flow_table_bytes(CAPACITY);
		CU_ASSERT_TRUE(before <= (uint8_t *)map.header + map.bytes);
		memset(table, (int)i + 1, flow_table_bytes(CAPACITY));
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(map.header, i))[0], i + 1);
		CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(map.header, i))[flow_table_bytes(CAPACITY) - 1], i + 1);
	}
	/* Shared: what is written is in the file. */
	FILE *stream = fopen(file, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	fseek(stream, (long)((uint8_t *)flow_map_table(map.header, 1) - (uint8_t *)map.header), SEEK_SET);
	CU_ASSERT_EQUAL(fgetc(stream), 2);
	fclose(stream);
	flow_map_close(&map);
	end();
}

/* The next process has the records of the one before, its secrets, and memory of its own. */
static void
test_succession(void)
{
	struct flow_map map;
	struct flow_map_secrets secrets;
	uint8_t lineage[FLOW_MAP_ID_BYTES];
	static const uint64_t none;

	begin();
	start(&map);
	publish(&map);
	memset(flow_map_table(map.header, 2), 0x77, 100);
	secrets = map.header->secrets;
	memcpy(lineage, map.header->lineage, sizeof(lineage));
	for (size_t i = 0; i < sizeof(secrets) / sizeof(none); i++)
		CU_ASSERT_NOT_EQUAL(memcmp((uint8_t *)&secrets + i * sizeof(none), &none, sizeof(none)), 0);
	flow_map_close(&map);

	struct flow_map_shape other = shape;
	other.n_workers = 1;
	other.capacity = 7;
	for (unsigned generation = 0; generation < 2; generation++) {
		CU_ASSERT_TRUE_FATAL(flow_map_lock(&map, directory, 0, &error));
		CU_ASSERT_TRUE_FATAL(flow_map_open(&map, &other, &refused, &error));
		CU_ASSERT_EQUAL(refused.length, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(map.before);
		CU_ASSERT_EQUAL(map.before->capacity, CAPACITY);
		CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(map.before, 2))[99], 0x77);
		CU_ASSERT_EQUAL(((uint8_t *)flow_map_table(map.header, 0))[0], 0);
		CU_ASSERT_EQUAL(memcmp(&map.header->secrets, &secrets, sizeof(secrets)), 0);
		CU_ASSERT_EQUAL(memcmp(map.header->lineage, lineage, sizeof(lineage)), 0);
		/* The first one dies before it publishes: nothing is lost. */
		if (generation == 1)
			publish(&map);
		CU_ASSERT_EQUAL(map.before == NULL, generation == 1);
		flow_map_close(&map);
	}
	start(&map);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map.before);
	CU_ASSERT_EQUAL(map.before->capacity, 7);
	flow_map_close(&map);
	end();
}

/* Secrets are random where there is nothing to take over. */
static void
test_anew(void)
{
	struct flow_map map;
	struct flow_map_header first;

	begin();
	start(&map);
	first = *map.header;
	flow_map_close(&map);
	start(&map);
	CU_ASSERT_PTR_NULL(map.before);
	CU_ASSERT_NOT_EQUAL(memcmp(&first.secrets, &map.header->secrets, sizeof(first.secrets)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(first.lineage, map.header->lineage, sizeof(first.lineage)), 0);
	flow_map_close(&map);
	end();
}

/* Writes into the file; with_checksum: as its maker would have. */
static void
damage(size_t at, const void *bytes, size_t length, bool with_checksum)
{
	struct flow_map_header header;
	FILE *stream = fopen(file, "r+b");

	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	CU_ASSERT_EQUAL(fread(&header, sizeof(header), 1, stream), 1);
	memcpy((uint8_t *)&header + at, bytes, length);
	if (with_checksum)
		header.checksum = checksum(&header, offsetof(struct flow_map_header, checksum));
	rewind(stream);
	CU_ASSERT_EQUAL(fwrite(&header, sizeof(header), 1, stream), 1);
	fclose(stream);
}

/* It isn't taken, the log is told why, and the process starts with an empty one. */
static void
expect_refused(const char *why)
{
	struct flow_map map;

	start(&map);
	CU_ASSERT_PTR_NULL(map.before);
	CU_ASSERT_TRUE(refused.length != 0 && strstr(refused.bytes, why) != NULL);
	if (refused.length == 0 || strstr(refused.bytes, why) == NULL)
		printf("expected \"%s\", got \"%s\"\n", why, refused.length == 0 ? "" : refused.bytes);
	publish(&map);
	flow_map_close(&map);
	start(&map);
	CU_ASSERT_PTR_NOT_NULL(map.before);
	flow_map_close(&map);
}

static void
test_refusals(void)
{
	static const struct {
		size_t at, length;
		uint64_t value;
		bool with_checksum;
		const char *why;
	} cases[] = {
#define HEADER(field, value, with_checksum, why)                                                                       \
	{offsetof(struct flow_map_header, field),                                                                      \
	 sizeof(((struct flow_map_header *)0)->field) < 8 ? sizeof(((struct flow_map_header *)0)->field) : 8, value,   \
	 with_checksum, why}
		HEADER(magic, 0, true, "isn't a file of flow records"),
		HEADER(version, 1, true, "it is of version 1, and this posternd reads version 2"),
		HEADER(version, 3, true, "it is of version 3, and this posternd reads version 2"),
		HEADER(secrets, 0, false, "checksum doesn't fit"),
		HEADER(checksum, 12345, false, "checksum doesn't fit"),
		HEADER(boot_id, 7, true, "from before the machine was started"),
		HEADER(flow_bytes, 256, true, "its records have 256 bytes, not 192"),
		HEADER(n_workers, 0, true, "contradicts itself"),
		HEADER(n_workers, 17, true, "contradicts itself"),
		HEADER(n_workers, 2, true, "contradicts itself"),
		HEADER(capacity, 0, true, "contradicts itself"),
		HEADER(capacity, 99, true, "contradicts itself"),
		HEADER(capacity, UINT32_MAX, true, "contradicts itself"),
		HEADER(table_bytes, 64, true, "contradicts itself"),
		HEADER(total_bytes, UINT64_MAX, true, "contradicts itself"),
		HEADER(n_addresses, CONF_ADDRESSES_MAX + 1, true, "contradicts itself"),
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin();
		live_once();
		damage(cases[i].at, &cases[i].value, cases[i].length, cases[i].with_checksum);
		expect_refused(cases[i].why);
		end();
	}
}

static void
test_refused_files(void)
{
	char target[80];

	begin();
	live_once();
	CU_ASSERT_EQUAL(truncate(file, 8192), 0);
	expect_refused("it has 8192 bytes, and its header says");
	CU_ASSERT_EQUAL(truncate(file, 4095), 0);
	expect_refused("no file of flow records");
	CU_ASSERT_EQUAL(truncate(file, 0), 0);
	expect_refused("no file of flow records");

	/* Somebody else's file, by a link. */
	snprintf(target, sizeof(target), "%s/target", directory);
	CU_ASSERT_EQUAL(rename(file, target), 0);
	CU_ASSERT_EQUAL(symlink(target, file), 0);
	expect_refused("cannot open");
	CU_ASSERT_EQUAL(unlink(target), 0);

	CU_ASSERT_EQUAL(unlink(file), 0);
	CU_ASSERT_EQUAL(mkfifo(file, 0600), 0);
	expect_refused("no file of flow records");
	end();
}

/* Two at once are one too many; a short while later the first may be gone. */
static void
test_lock(void)
{
	struct flow_map first, second;
	char process[32];

	begin();
	start(&first);
	uint64_t begin_ms = clock_ms();
	CU_ASSERT_FALSE(flow_map_lock(&second, directory, 100, &error));
	CU_ASSERT_TRUE(clock_ms() - begin_ms >= 100);
	snprintf(process, sizeof(process), "(process %d)", (int)getpid());
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, directory));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, process));
	flow_map_close(&second);
	flow_map_close(&first);
	start(&second);
	flow_map_close(&second);

	/* The one before dies by a signal while we wait. */
	int ready[2];
	CU_ASSERT_EQUAL(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		if (!flow_map_lock(&first, directory, 0, &error) || write(ready[1], "", 1) != 1)
			_exit(1);
		nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
		raise(SIGKILL);
	}
	char byte;
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	CU_ASSERT_FALSE(flow_map_lock(&second, directory, 0, &error));
	CU_ASSERT_TRUE(flow_map_lock(&second, directory, 10000, &error));
	flow_map_close(&second);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	close(ready[0]);
	close(ready[1]);
	end();
}

static void
test_boot_id(void)
{
	static const uint8_t zero[FLOW_MAP_ID_BYTES];
	uint8_t a[FLOW_MAP_ID_BYTES], b[FLOW_MAP_ID_BYTES];

	CU_ASSERT_TRUE(flow_map_boot_id(a, &error));
	CU_ASSERT_TRUE(flow_map_boot_id(b, &error));
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, zero, sizeof(a)), 0);
	CU_ASSERT_EQUAL(a[6] >> 4, 4); /* a random UUID says so, RFC 9562 section 5.4 */
}

static void
test_directory_is_made(void)
{
	struct flow_map map;
	char nested[80];

	begin();
	snprintf(nested, sizeof(nested), "%s/state", directory);
	CU_ASSERT_TRUE_FATAL(flow_map_lock(&map, nested, 0, &error));
	flow_map_close(&map);
	snprintf(lock_file, sizeof(lock_file), "%s/lock", nested);
	CU_ASSERT_EQUAL(unlink(lock_file), 0);
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
	CU_ASSERT_FALSE(flow_map_lock(&map, nested, 0, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, nested));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, strerror(ENOENT)));

	/* Where the files should be are directories. */
	text_free(&error);
	CU_ASSERT_EQUAL(mkdir(lock_file, 0700), 0);
	CU_ASSERT_FALSE(flow_map_lock(&map, directory, 0, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, lock_file));
	CU_ASSERT_EQUAL(rmdir(lock_file), 0);
	text_free(&error);
	CU_ASSERT_TRUE_FATAL(flow_map_lock(&map, directory, 0, &error));
	CU_ASSERT_EQUAL(mkdir(next_file, 0700), 0);
	CU_ASSERT_FALSE(flow_map_open(&map, &shape, &refused, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, next_file));
	CU_ASSERT_EQUAL(rmdir(next_file), 0);
	text_free(&error);
	CU_ASSERT_TRUE_FATAL(flow_map_open(&map, &shape, &refused, &error));
	CU_ASSERT_EQUAL(mkdir(file, 0700), 0);
	CU_ASSERT_FALSE(flow_map_publish(&map, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, next_file));
	CU_ASSERT_EQUAL(rmdir(file), 0);
	flow_map_close(&map);

	/* More than there is address space for. */
	text_free(&error);
	struct flow_map_shape large = {.n_workers = 4000000, .capacity = 1 << 30};
	CU_ASSERT_TRUE_FATAL(flow_map_lock(&map, directory, 0, &error));
	CU_ASSERT_FALSE(flow_map_open(&map, &large, &refused, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, next_file));
	CU_ASSERT_EQUAL(access(next_file, F_OK), -1);
	flow_map_close(&map);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"header", test_header}, {"tables", test_tables},     {"succession", test_succession},
		{"anew", test_anew},     {"refusals", test_refusals}, {"refused files", test_refused_files},
		{"lock", test_lock},     {"boot id", test_boot_id},   {"the directory is made", test_directory_is_made},
		{"errors", test_errors}, CU_TEST_INFO_NULL,
	};

	return unit_run("flow_map", tests);
}
