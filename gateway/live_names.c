/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/live_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/tcp_options.h"
#include "platform/crc32c.h"
#include "platform/text.h"

enum { VERSION = 1, PATH_BYTES = 512, CHECKSUM_BYTES = 4 };

enum { LEARNED = 1 << 0, SACK = 1 << 1, TIMESTAMPS = 1 << 2, SACK_ASKED = 1 << 3, TIMESTAMPS_ASKED = 1 << 4 };

struct names_header {
	char magic[8]; /* "POSTERNN" */
	uint32_t version;
	uint32_t n; /* entries */
	uint8_t lineage[FLOW_MAP_ID_BYTES];
};

/* The name follows, without a NUL. */
struct names_entry {
	uint32_t slot;
	uint16_t name_length;
	char kind;
	/* struct tcp_profile, when something was learned */
	uint8_t flags;
	uint16_t mss, window;
	uint8_t wscale;
	uint8_t zero[3];
};

static_assert(sizeof(struct names_header) == 32 && sizeof(struct names_entry) == 16, "no padding");

static const char magic[8] = {'P', 'O', 'S', 'T', 'E', 'R', 'N', 'N'};

static struct names_entry
entry_of(const struct live *live, uint32_t slot)
{
	struct names_entry entry = {
		.slot = slot, .name_length = (uint16_t)strlen(live_name(live, slot)), .kind = live_kind(live, slot)};
	struct tcp_profile profile;

	if (live_profile(live, slot, &profile)) {
		entry.flags = (uint8_t)(LEARNED | (profile.sack ? SACK : 0) | (profile.timestamps ? TIMESTAMPS : 0) |
					(profile.asked_sack ? SACK_ASKED : 0) |
					(profile.asked_timestamps ? TIMESTAMPS_ASKED : 0));
		entry.mss = profile.mss;
		entry.window = profile.window;
		entry.wscale = profile.wscale;
	}
	return entry;
}

static void
print(const struct live *live, const uint8_t lineage[FLOW_MAP_ID_BYTES], struct text *out)
{
	struct names_header header = {.version = VERSION, .n = live_used(live)};

	memcpy(header.magic, magic, sizeof(magic));
	memcpy(header.lineage, lineage, sizeof(header.lineage));
	text_add(out, (const char *)&header, sizeof(header));
	for (uint32_t slot = live_next(live, 0); slot != 0; slot = live_next(live, slot)) {
		struct names_entry entry = entry_of(live, slot);
		text_add(out, (const char *)&entry, sizeof(entry));
		text_add(out, live_name(live, slot), entry.name_length);
	}
	uint32_t checksum = crc32c(out->bytes, out->length);
	text_add(out, (const char *)&checksum, sizeof(checksum));
}

static bool
write_all(const char *path, const struct text *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t at = 0;

	if (fd < 0)
		return false;
	while (at < text->length) {
		ssize_t n = write(fd, text->bytes + at, text->length - at);
		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	int why = errno;
	close(fd);
	errno = why;
	return at == text->length;
}

static bool
path_of(const char *directory, const char *name, char path[PATH_BYTES])
{
	return (size_t)snprintf(path, PATH_BYTES, "%s/%s", directory, name) < PATH_BYTES;
}

bool
live_names_save(const struct live *live, const char *directory, const uint8_t lineage[FLOW_MAP_ID_BYTES],
		struct text *error)
{
	char path[PATH_BYTES], temporary[PATH_BYTES];
	struct text text = {0};

	if (!path_of(directory, "names", path) || !path_of(directory, "names.new", temporary)) {
		text_print(error, "the path of the state directory %s is too long", directory);
		return false;
	}
	print(live, lineage, &text);
	bool written = write_all(temporary, &text) && rename(temporary, path) == 0;
	if (!written) {
		text_print(error, "cannot write %s: %s", path, strerror(errno));
		unlink(temporary);
		unlink(path);
	}
	text_free(&text);
	return written;
}

/* The next entry at *at and its name, both before end. False when they don't fit, or say what can't be. */
static bool
next_entry(const uint8_t **at, const uint8_t *end, struct names_entry *entry, const char **name)
{
	if ((size_t)(end - *at) < sizeof(*entry))
		return false;
	memcpy(entry, *at, sizeof(*entry));
	*at += sizeof(*entry);
	if ((size_t)(end - *at) < entry->name_length)
		return false;
	*name = (const char *)*at;
	*at += entry->name_length;
	return entry->name_length != 0 && memchr(*name, '\0', entry->name_length) == NULL &&
	       (entry->kind == 'e' || entry->kind == 'b' || entry->kind == 'l') &&
	       (entry->wscale <= TCP_WSCALE_MAX || entry->wscale == TCP_WSCALE_NONE);
}

static void
restore(struct live *live, const struct names_entry *entry, const char *name)
{
	if (!live_slot_restore(live, entry->slot, entry->kind, name, entry->name_length) ||
	    (entry->flags & LEARNED) == 0)
		return;
	live_profile_set(live, entry->slot,
			 &(struct tcp_profile){.mss = entry->mss,
					       .window = entry->window,
					       .wscale = entry->wscale,
					       .sack = (entry->flags & SACK) != 0,
					       .timestamps = (entry->flags & TIMESTAMPS) != 0,
					       .asked_sack = (entry->flags & SACK_ASKED) != 0,
					       .asked_timestamps = (entry->flags & TIMESTAMPS_ASKED) != 0});
}

bool
live_names_parse(struct live *live, const void *bytes, size_t length, const uint8_t *lineage, struct text *refused)
{
	struct names_header header;
	struct names_entry entry;
	uint32_t checksum;
	const char *name;

	if (length < sizeof(header) + CHECKSUM_BYTES) {
		text_print(refused, "it is too short, %zu bytes", length);
		return false;
	}
	memcpy(&header, bytes, sizeof(header));
	const uint8_t *entries = (const uint8_t *)bytes + sizeof(header);
	const uint8_t *end = (const uint8_t *)bytes + length - CHECKSUM_BYTES;
	memcpy(&checksum, end, sizeof(checksum));
	if (memcmp(header.magic, magic, sizeof(magic)) != 0 || header.version != VERSION) {
		text_print(refused, "it isn't a file of names, or of another version");
		return false;
	}
	if (checksum != crc32c(bytes, length - CHECKSUM_BYTES)) {
		text_print(refused, "it is damaged: the checksum doesn't fit");
		return false;
	}
	if (lineage != NULL && memcmp(header.lineage, lineage, sizeof(header.lineage)) != 0) {
		text_print(refused, "it belongs to other flow records");
		return false;
	}
	/* Once to see that all is well, and again to take it. */
	const uint8_t *at = entries;
	for (uint32_t i = 0; i < header.n; i++)
		if (!next_entry(&at, end, &entry, &name)) {
			text_print(refused, "it is damaged: entry %u of %u makes no sense", i + 1, header.n);
			return false;
		}
	at = entries;
	for (uint32_t i = 0; i < header.n && next_entry(&at, end, &entry, &name); i++)
		restore(live, &entry, name);
	live_restored(live);
	return true;
}

bool
live_names_load(struct live *live, const char *directory, const uint8_t *lineage, struct text *refused)
{
	char path[PATH_BYTES];
	struct stat status;
	struct text why = {0};

	if (!path_of(directory, "names", path)) {
		text_print(refused, "the path of the state directory %s is too long", directory);
		return false;
	}
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		if (errno != ENOENT)
			text_print(refused, "cannot open %s: %s", path, strerror(errno));
		return false;
	}
	void *bytes = MAP_FAILED;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED) {
		text_print(refused, "%s is refused: it is empty, or no file", path);
		return false;
	}
	bool taken = live_names_parse(live, bytes, (size_t)status.st_size, lineage, &why);
	munmap(bytes, (size_t)status.st_size);
	if (!taken)
		text_print(refused, "%s is refused: %s", path, why.bytes);
	text_free(&why);
	return taken;
}
