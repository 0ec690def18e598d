/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/flow_table.h"
#include "platform/text.h"

enum { HEADER_BYTES = 4096, PATH_BYTES = 512 };

static_assert(sizeof(struct flow_map_header) <= HEADER_BYTES, "the header fits its page");

static uint32_t
crc32c(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint32_t crc = ~UINT32_C(0);

	for (size_t i = 0; i < length; i++) {
		crc ^= at[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (UINT32_C(0x82f63b78) & (0 - (crc & 1)));
	}
	return ~crc;
}

static bool
random_fill(void *bytes, size_t length)
{
	return getrandom(bytes, length, 0) == (ssize_t)length; /* up to 256 bytes come whole (getrandom(2)) */
}

bool
flow_map_create(struct flow_map *map, const char *directory, uint32_t n_workers, uint32_t capacity, struct text *error)
{
	char path[PATH_BYTES];
	size_t table_bytes = flow_table_bytes(capacity);
	size_t total = HEADER_BYTES + n_workers * table_bytes;

	if (mkdir(directory, 0755) != 0 && errno != EEXIST) {
		text_print(error, "cannot make the state directory %s: %s", directory, strerror(errno));
		return false;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/flows", directory) >= sizeof(path)) {
		text_print(error, "the path of the state directory %s is too long", directory);
		return false;
	}
	/* A new file rather than the old one truncated: whoever still maps the old one keeps it whole. */
	if (unlink(path) != 0 && errno != ENOENT) {
		text_print(error, "cannot remove %s: %s", path, strerror(errno));
		return false;
	}
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		text_print(error, "cannot make %s: %s", path, strerror(errno));
		return false;
	}
	void *memory = MAP_FAILED;
	if (ftruncate(fd, (off_t)total) == 0)
		memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int why = errno;
	close(fd);
	if (memory == MAP_FAILED) {
		text_print(error, "cannot map %zu bytes of %s: %s", total, path, strerror(why));
		unlink(path);
		return false;
	}

	struct flow_map_header *header = memory;
	*header = (struct flow_map_header){
		.magic = {'P', 'O', 'S', 'T', 'E', 'R', 'N', 'F'},
		.version = FLOW_MAP_VERSION,
		.flow_bytes = sizeof(struct flow),
		.n_workers = n_workers,
		.capacity = capacity,
		.table_bytes = table_bytes,
		.total_bytes = total,
	};
	if (!random_fill(&header->secrets, sizeof(header->secrets))) {
		text_print(error, "the kernel gives no random bytes: %s", strerror(errno));
		munmap(memory, total);
		unlink(path);
		return false;
	}
	header->checksum = crc32c(header, offsetof(struct flow_map_header, checksum));
	madvise(memory, total, MADV_DONTDUMP); /* a core dump has no use for them, and they hold secrets */
	*map = (struct flow_map){header, total, capacity};
	return true;
}

void *
flow_map_table(const struct flow_map *map, uint32_t worker)
{
	return (uint8_t *)map->header + HEADER_BYTES + worker * map->header->table_bytes;
}

void
flow_map_close(struct flow_map *map)
{
	munmap(map->header, map->bytes);
	*map = (struct flow_map){0};
}
