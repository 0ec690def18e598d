/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files to a snapshot: each document is read into the model by itself, and its tree given back before the next; then
 * the model is checked as a whole, and compiled if nothing was wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "federation/check.h"
#include "federation/compile.h"
#include "federation/documents.h"
#include "federation/policy_compile.h"
#include "platform/text.h"

enum { FILE_BYTES_MAX = 256 << 20, READ_CHUNK = 65536 };

static void
read_documents(struct model *model, struct report *report, const struct source *source)
{
	struct reader reader = {.model = model, .report = report, .file = source->name};
	struct source_document document;
	struct arena tree = {0};
	size_t at = 0;
	uint32_t line = 1;

	while (!report->errors_cut && source_next_document(source, &at, &line, &document)) {
		bool empty;
		const struct yaml_node *root = yaml_tree_parse(&tree, &document, source->name, report, &empty);
		if (root != NULL)
			documents_read(&reader, root);
		else if (!empty)
			model->opaque = true;
		arena_reset(&tree);
	}
	arena_free(&tree);
}

/* file: where the first file is. */
static struct snapshot *
finish(struct model *model, struct snapshot_maps *maps, const struct snapshot_slots *slots, struct report *report,
       const char *file)
{
	struct check check = {.model = model,
			      .report = report,
			      .suggest_budget = CHECK_SUGGEST_BUDGET,
			      .hosts_budget = CHECK_HOSTS_BUDGET};

	if (report->errors_cut)
		return NULL;
	check_services(&check);
	check_trust(&check);
	check_listeners(&check);
	check_routes(&check);
	check_policies(&check);
	check_free(&check);
	if (model->federation == NULL && !model->opaque)
		report_error(report, (struct origin){.file = file}, PN_NO_FEDERATION,
			     "there is no document of kind Federation");
	if (report->n_raised > 0)
		return NULL;
	struct snapshot *snapshot = compile_model(model, maps, slots, report);
	return report->n_raised > 0 ? NULL : snapshot;
}

/* sources: read already; the ones without bytes couldn't be, which is reported. */
static struct snapshot *
load(struct source *sources, size_t n, const struct snapshot_slots *slots, struct report *report,
     struct snapshot_maps *maps)
{
	struct model model;

	model_init(&model, &maps->arena);
	for (size_t i = 0; i < n; i++) {
		if (sources[i].bytes == NULL)
			model.opaque = true;
		else
			read_documents(&model, report, &sources[i]);
	}
	struct snapshot *snapshot = finish(&model, maps, slots, report, n > 0 ? sources[0].name : "federation");
	model_free(&model);
	diagnostics_sort(report->list, report);
	for (size_t i = 0; i < n; i++)
		source_free(&sources[i]);
	if (snapshot == NULL)
		snapshot_maps_free(maps);
	return snapshot;
}

static struct snapshot_maps *
new_maps(void)
{
	struct snapshot_maps *maps = calloc(1, sizeof(*maps));
	if (maps == NULL)
		abort();
	return maps;
}

/* Reads what there is, up to one byte more than may be. */
static bool
read_all(int fd, struct text *content)
{
	char *chunk = malloc(READ_CHUNK);
	ssize_t n = 0;

	if (chunk == NULL)
		abort();
	while (content->length <= FILE_BYTES_MAX) {
		n = read(fd, chunk, READ_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		text_add(content, chunk, (size_t)n);
	}
	free(chunk);
	return n >= 0;
}

static bool
read_file(const char *path, const char *name, struct text *content, struct report *report)
{
	struct origin at = {.file = name};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || !read_all(fd, content)) {
		report_error(report, at, PN_FILE_UNREADABLE, "can't read the file: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(fd);
	if (content->length > FILE_BYTES_MAX) {
		report_error(report, at, PN_FILE_TOO_LARGE, "the file is larger than %d MiB", FILE_BYTES_MAX >> 20);
		return false;
	}
	/* An empty file has bytes too. */
	text_add(content, "", 0);
	return true;
}

struct snapshot *
federation_load(const char *const *paths, size_t n_paths, const struct snapshot_slots *slots,
		struct diagnostics *diagnostics)
{
	struct source *sources = calloc(n_paths + 1, sizeof(*sources));
	struct text *contents = calloc(n_paths + 1, sizeof(*contents));
	struct report report = {.list = diagnostics, .sources = sources, .n_sources = n_paths};
	struct snapshot_maps *maps = new_maps();

	if (sources == NULL || contents == NULL)
		abort();
	for (size_t i = 0; i < n_paths; i++) {
		/* The snapshot's origins outlive the caller's text. */
		sources[i].name = arena_copy(&maps->arena, paths[i], strlen(paths[i]));
		if (!read_file(paths[i], sources[i].name, &contents[i], &report))
			continue;
		sources[i].bytes = contents[i].bytes;
		sources[i].length = contents[i].length;
	}
	struct snapshot *snapshot = load(sources, n_paths, slots, &report, maps);
	for (size_t i = 0; i < n_paths; i++)
		text_free(&contents[i]);
	free(contents);
	free(sources);
	return snapshot;
}

struct snapshot *
federation_load_bytes(const char *path, const char *bytes, size_t length, const struct snapshot_slots *slots,
		      struct diagnostics *diagnostics)
{
	struct snapshot_maps *maps = new_maps();
	struct source source = {.name = arena_copy(&maps->arena, path, strlen(path)),
				.bytes = bytes == NULL ? "" : bytes,
				.length = length};
	struct report report = {.list = diagnostics, .sources = &source, .n_sources = 1};

	if (length > FILE_BYTES_MAX) {
		report_error(&report, (struct origin){.file = source.name}, PN_FILE_TOO_LARGE,
			     "the file is larger than %d MiB", FILE_BYTES_MAX >> 20);
		snapshot_maps_free(maps);
		return NULL;
	}
	return load(&source, 1, slots, &report, maps);
}
