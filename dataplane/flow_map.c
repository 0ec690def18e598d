/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/flow_pages.h"
#include "dataplane/flow_table.h"
#include "platform/clock.h"
#include "platform/crc32c.h"
#include "platform/text.h"

enum { HEADER_BYTES = 4096, PATH_BYTES = 512, LOCK_AGAIN_MS = 20, UUID_DIGITS = 32 };

static const char magic[8] = {'P', 'O', 'S', 'T', 'E', 'R', 'N', 'F'};

static_assert(sizeof(struct flow_map_header) <= HEADER_BYTES, "the header fits its page");

static bool
random_fill(void *bytes, size_t length)
{
	return getrandom(bytes, length, 0) == (ssize_t)length; /* up to 256 bytes come whole (getrandom(2)) */
}

static uint32_t
header_checksum(const struct flow_map_header *header)
{
	return crc32c(header, offsetof(struct flow_map_header, checksum));
}

static bool
path_of(const char *directory, const char *name, char path[PATH_BYTES], struct text *error)
{
	if ((size_t)snprintf(path, PATH_BYTES, "%s/%s", directory, name) < PATH_BYTES)
		return true;
	text_print(error, "the path of the state directory %s is too long", directory);
	return false;
}

/* The process that keeps the lock has written its number there. */
static void
say_who(int fd, const char *directory, struct text *error)
{
	char digits[16] = "";

	if (pread(fd, digits, sizeof(digits) - 1, 0) <= 0)
		digits[0] = '\0';
	text_print(error, "another posternd uses the state directory %s (process %ld)", directory,
		   strtol(digits, NULL, 10));
}

bool
flow_map_lock(struct flow_map *map, const char *directory, uint32_t wait_ms, struct text *error)
{
	char path[PATH_BYTES];
	uint64_t until_ms = clock_ms() + wait_ms;

	*map = (struct flow_map){.directory = directory, .lock_fd = -1};
	if (mkdir(directory, 0755) != 0 && errno != EEXIST) {
		text_print(error, "cannot make the state directory %s: %s", directory, strerror(errno));
		return false;
	}
	if (!path_of(directory, "lock", path, error))
		return false;
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		text_print(error, "cannot open %s: %s", path, strerror(errno));
		return false;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK) {
			text_print(error, "cannot lock %s: %s", path, strerror(errno));
			close(fd);
			return false;
		}
		if (clock_ms() >= until_ms) {
			say_who(fd, directory, error);
			close(fd);
			return false;
		}
		nanosleep(&(struct timespec){.tv_nsec = LOCK_AGAIN_MS * 1000000L}, NULL);
	}
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		text_print(error, "cannot write %s: %s", path, strerror(errno));
		close(fd);
		return false;
	}
	map->lock_fd = fd;
	map->locked = true;
	return true;
}

bool
flow_map_boot_id(uint8_t boot_id[FLOW_MAP_ID_BYTES], struct text *error)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	FILE *file = fopen(path, "re");
	unsigned digits = 0;
	int c;

	memset(boot_id, 0, FLOW_MAP_ID_BYTES);
	while (file != NULL && (c = fgetc(file)) != EOF && digits < UUID_DIGITS) {
		char text[2] = {(char)c, '\0'}, *end;
		uint8_t digit = (uint8_t)strtoul(text, &end, 16);
		if (end == text)
			continue; /* the dashes of a UUID */
		boot_id[digits / 2] = (uint8_t)(boot_id[digits / 2] << 4 | digit);
		digits++;
	}
	if (file != NULL)
		fclose(file);
	if (digits == UUID_DIGITS)
		return true;
	text_print(error, "%s has no boot id", path);
	return false;
}

bool
flow_map_check(const void *bytes, size_t length, const uint8_t boot_id[FLOW_MAP_ID_BYTES], struct text *why)
{
	const struct flow_map_header *header = bytes;

	if (length < HEADER_BYTES) {
		text_print(why, "it is too short, %zu bytes", length);
		return false;
	}
	if (memcmp(header->magic, magic, sizeof(magic)) != 0) {
		text_print(why, "it isn't a file of flow records");
		return false;
	}
	if (header->version != FLOW_MAP_VERSION) {
		text_print(why, "it is of version %u, and this posternd reads version %u", header->version,
			   FLOW_MAP_VERSION);
		return false;
	}
	if (header->checksum != header_checksum(header)) {
		text_print(why, "its header is damaged: the checksum doesn't fit");
		return false;
	}
	if (memcmp(header->boot_id, boot_id, FLOW_MAP_ID_BYTES) != 0) {
		text_print(why, "it is from before the machine was started");
		return false;
	}
	if (header->flow_bytes != sizeof(struct flow)) {
		text_print(why, "its records have %u bytes, not %zu", header->flow_bytes, sizeof(struct flow));
		return false;
	}
	if (header->n_workers == 0 || header->n_workers > CONF_WORKERS_MAX || header->capacity == 0 ||
	    header->capacity > FLOW_MAP_CAPACITY_MAX || header->n_addresses > CONF_ADDRESSES_MAX ||
	    header->table_bytes != flow_table_bytes(header->capacity) ||
	    header->total_bytes != HEADER_BYTES + header->n_workers * header->table_bytes) {
		text_print(why, "its header contradicts itself");
		return false;
	}
	if (header->total_bytes != length) {
		text_print(why, "it has %zu bytes, and its header says %llu", length,
			   (unsigned long long)header->total_bytes);
		return false;
	}
	return true;
}

/* Maps DIRECTORY/flows where it is worth it. */
static void
open_before(struct flow_map *map, const uint8_t boot_id[FLOW_MAP_ID_BYTES], struct text *refused)
{
	char path[PATH_BYTES];
	struct stat status;

	if (!path_of(map->directory, "flows", path, refused))
		return;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		if (errno != ENOENT)
			text_print(refused, "cannot open %s: %s", path, strerror(errno));
		return;
	}
	void *memory = MAP_FAILED;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= HEADER_BYTES)
		memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED) {
		text_print(refused, "%s is refused: it is no file of flow records, or cannot be mapped", path);
		return;
	}
	struct text why = {0};
	if (flow_map_check(memory, (size_t)status.st_size, boot_id, &why)) {
		madvise(memory, (size_t)status.st_size, MADV_DONTDUMP);
		map->before = memory;
	} else {
		text_print(refused, "%s is refused: %s", path, why.bytes);
		munmap(memory, (size_t)status.st_size);
	}
	text_free(&why);
}

static void
close_before(struct flow_map *map)
{
	if (map->before != NULL)
		munmap((void *)(uintptr_t)map->before, map->before->total_bytes);
	map->before = NULL;
}

/* Maps a file from where a huge page may begin (flow_pages.h). MAP_FAILED, and errno, when it can't be. */
static void *
map_aligned(int fd, size_t total)
{
	size_t room = total + FLOW_PAGE_BYTES;
	uint8_t *reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (reserved == MAP_FAILED)
		return MAP_FAILED;
	size_t before = -(uintptr_t)reserved % FLOW_PAGE_BYTES;
	void *memory = mmap(reserved + before, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	int why = errno;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), end = before + (total + page - 1) / page * page;
	if (memory == MAP_FAILED) {
		munmap(reserved, room);
	} else {
		if (before != 0)
			munmap(reserved, before);
		if (end < room)
			munmap(reserved + end, room - end);
	}
	errno = why;
	return memory;
}

/* Makes and maps DIRECTORY/flows.new. */
static bool
make_file(struct flow_map *map, size_t total, struct text *error)
{
	char path[PATH_BYTES];

	if (!path_of(map->directory, "flows.new", path, error))
		return false;
	/* One that is there was never put in place. */
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
		memory = map_aligned(fd, total);
	int why = errno;
	close(fd);
	if (memory == MAP_FAILED) {
		text_print(error, "cannot map %zu bytes of %s: %s", total, path, strerror(why));
		unlink(path);
		return false;
	}
	madvise(memory, total, MADV_DONTDUMP); /* a core dump has no use for them, and they hold secrets */
	map->header = memory;
	map->bytes = total;
	return true;
}

bool
flow_map_open(struct flow_map *map, const struct flow_map_shape *shape, struct text *refused, struct text *error)
{
	size_t table_bytes = flow_table_bytes(shape->capacity);
	size_t total = HEADER_BYTES + shape->n_workers * table_bytes;

	open_before(map, shape->boot_id, refused);
	if (!make_file(map, total, error))
		return false;
	struct flow_map_header *header = map->header;
	*header = (struct flow_map_header){
		.version = FLOW_MAP_VERSION,
		.flow_bytes = sizeof(struct flow),
		.n_workers = shape->n_workers,
		.capacity = shape->capacity,
		.table_bytes = table_bytes,
		.total_bytes = total,
		.n_addresses = shape->n_addresses,
	};
	memcpy(header->magic, magic, sizeof(magic));
	memcpy(header->boot_id, shape->boot_id, sizeof(header->boot_id));
	memcpy(header->addresses, shape->addresses, sizeof(header->addresses));
	if (map->before != NULL) {
		header->secrets = map->before->secrets;
		memcpy(header->lineage, map->before->lineage, sizeof(header->lineage));
	} else if (!random_fill(&header->secrets, sizeof(header->secrets)) ||
		   !random_fill(header->lineage, sizeof(header->lineage))) {
		text_print(error, "the kernel gives no random bytes: %s", strerror(errno));
		return false;
	}
	header->checksum = header_checksum(header);
	return true;
}

bool
flow_map_publish(struct flow_map *map, struct text *error)
{
	char from[PATH_BYTES], to[PATH_BYTES];

	if (!path_of(map->directory, "flows.new", from, error) || !path_of(map->directory, "flows", to, error))
		return false;
	if (rename(from, to) != 0) {
		text_print(error, "cannot put %s in its place: %s", from, strerror(errno));
		return false;
	}
	close_before(map);
	return true;
}

void *
flow_map_table(const struct flow_map_header *header, uint32_t worker)
{
	return (uint8_t *)(uintptr_t)header + HEADER_BYTES + worker * header->table_bytes;
}

void
flow_map_close(struct flow_map *map)
{
	close_before(map);
	if (map->header != NULL)
		munmap(map->header, map->bytes);
	if (map->locked)
		close(map->lock_fd);
	*map = (struct flow_map){.lock_fd = -1};
}
