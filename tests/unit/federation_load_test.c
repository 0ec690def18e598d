/* SPDX-License-Identifier: Apache-2.0 */
/* Loading files: several, unreadable ones, and the limits that no small file reaches. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "federation/snapshot.h"
#include "platform/text.h"

static const char federation[] = "apiVersion: postern.dev/v1alpha1\n"
				 "kind: Federation\n"
				 "metadata: { name: here }\n"
				 "spec: { trustDomain: here.example, clusterID: here }\n";

static const char web[] = "---\n"
			  "apiVersion: networking.istio.io/v1\n"
			  "kind: ServiceEntry\n"
			  "metadata: { name: web }\n"
			  "spec:\n"
			  "  hosts: [ web.example ]\n"
			  "  resolution: STATIC\n"
			  "  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n"
			  "  endpoints: [ { address: 10.0.0.1 } ]\n";

static bool
has_code(const struct diagnostics *diagnostics, const char *code)
{
	for (size_t i = 0; i < diagnostics->n; i++) {
		if (strcmp(diagnostics->list[i].code, code) == 0)
			return true;
	}
	return false;
}

static void
write_file(const char *path, const char *content)
{
	FILE *file = fopen(path, "wb");
	CU_ASSERT_FATAL(file != NULL);
	fputs(content, file);
	fclose(file);
}

struct folder {
	char path[64], one[96], two[96];
};

static void
make_folder(struct folder *folder)
{
	strcpy(folder->path, "/tmp/federation_load_test.XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(folder->path) != NULL);
	snprintf(folder->one, sizeof(folder->one), "%s/one.yaml", folder->path);
	snprintf(folder->two, sizeof(folder->two), "%s/two.yaml", folder->path);
}

static void
remove_folder(const struct folder *folder)
{
	unlink(folder->one);
	unlink(folder->two);
	rmdir(folder->path);
}

static void
test_two_files(void)
{
	struct diagnostics diagnostics = {0};
	struct folder folder;

	make_folder(&folder);
	write_file(folder.one, web);
	write_file(folder.two, federation);
	const char *const paths[] = {folder.one, folder.two};
	struct snapshot *snapshot = federation_load(paths, 2, NULL, &diagnostics);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	CU_ASSERT(diagnostics.n == 0);
	CU_ASSERT_STRING_EQUAL(snapshot->services[0].origin.file, folder.one);
	CU_ASSERT(snapshot->services[0].origin.line == 6 && snapshot->services[0].origin.column == 12);
	CU_ASSERT_STRING_EQUAL(snapshot->trust_domain.bytes, "here.example");
	snapshot_free(snapshot);

	/* Each file by itself lacks the other's. */
	CU_ASSERT_PTR_NULL(federation_load(paths, 1, NULL, &diagnostics));
	CU_ASSERT(has_code(&diagnostics, "PN0315"));
	diagnostics_free(&diagnostics);

	/* A conflict between files names the other file. */
	write_file(folder.two, web);
	CU_ASSERT_PTR_NULL(federation_load(paths, 2, NULL, &diagnostics));
	bool named = false;
	for (size_t i = 0; i < diagnostics.n; i++)
		named = named || (strcmp(diagnostics.list[i].code, "PN0402") == 0 &&
				  strcmp(diagnostics.list[i].file, folder.two) == 0 &&
				  strstr(diagnostics.list[i].message, folder.one) != NULL);
	CU_ASSERT(named);
	diagnostics_free(&diagnostics);
	remove_folder(&folder);
}

static void
test_unreadable(void)
{
	struct diagnostics diagnostics = {0};
	struct folder folder;

	make_folder(&folder);
	write_file(folder.one, federation);
	const char *const missing[] = {folder.one, folder.two};
	CU_ASSERT_PTR_NULL(federation_load(missing, 2, NULL, &diagnostics));
	CU_ASSERT(diagnostics.n == 1 && has_code(&diagnostics, "PN0001"));
	CU_ASSERT_STRING_EQUAL(diagnostics.list[0].message, "can't read the file: No such file or directory");
	diagnostics_free(&diagnostics);
	const char *const directory[] = {folder.one, folder.path};
	CU_ASSERT_PTR_NULL(federation_load(directory, 2, NULL, &diagnostics));
	CU_ASSERT(diagnostics.n == 1 && has_code(&diagnostics, "PN0001"));
	diagnostics_free(&diagnostics);
	remove_folder(&folder);
}

static void
test_too_large(void)
{
	struct diagnostics diagnostics = {0};

	/* The length decides before a byte is read. */
	CU_ASSERT_PTR_NULL(federation_load_bytes("large", "", (256u << 20) + 1, NULL, &diagnostics));
	CU_ASSERT(diagnostics.n == 1 && has_code(&diagnostics, "PN0002"));
	diagnostics_free(&diagnostics);
}

static void
test_too_many_nodes(void)
{
	struct diagnostics diagnostics = {0};
	struct text file = {0};

	text_add(&file, "kind: [", 7);
	for (unsigned i = 0; i < 1u << 20; i++)
		text_add(&file, i % 100 == 99 ? "a,\n" : "a,", i % 100 == 99 ? 3 : 2);
	text_add(&file, "]\n", 2);
	CU_ASSERT_PTR_NULL(federation_load_bytes("many", file.bytes, file.length, NULL, &diagnostics));
	CU_ASSERT(diagnostics.n == 1 && has_code(&diagnostics, "PN0008"));
	diagnostics_free(&diagnostics);
	text_free(&file);
}

static void
test_too_many_errors(void)
{
	struct diagnostics diagnostics = {0};
	struct text file = {0};

	for (unsigned i = 0; i < 3000; i++)
		text_print(&file, "---\nkind: Banana%u\n", i);
	CU_ASSERT_PTR_NULL(federation_load_bytes("many", file.bytes, file.length, NULL, &diagnostics));
	CU_ASSERT(diagnostics.n == 1001 && has_code(&diagnostics, "PN0010"));
	diagnostics_free(&diagnostics);
	text_free(&file);
}

static uint32_t
get_few(void *context, char kind, const char *name, size_t length)
{
	uint32_t *left = context;
	(void)kind, (void)name, (void)length;
	return *left == 0 ? 0 : (*left)--;
}

static void
test_no_slot(void)
{
	struct diagnostics diagnostics = {0};
	struct text file = {0};
	uint32_t left = 1; /* the endpoint's; the backend's is one too many */
	const struct snapshot_slots slots = {.context = &left, .get = get_few};

	text_print(&file, "%s%s", federation, web);
	CU_ASSERT_PTR_NULL(federation_load_bytes("few", file.bytes, file.length, &slots, &diagnostics));
	CU_ASSERT(diagnostics.n == 1 && has_code(&diagnostics, "PN0501"));
	diagnostics_free(&diagnostics);
	left = 2;
	struct snapshot *snapshot = federation_load_bytes("few", file.bytes, file.length, &slots, &diagnostics);
	CU_ASSERT(snapshot != NULL && diagnostics.n == 0);
	snapshot_free(snapshot);
	diagnostics_free(&diagnostics);
	text_free(&file);
}

static const CU_TestInfo tests[] = {{"two files are one federation", test_two_files},
				    {"a file that can't be read", test_unreadable},
				    {"a file that is too large", test_too_large},
				    {"a document of too many values", test_too_many_nodes},
				    {"more errors than anyone reads", test_too_many_errors},
				    {"live slots run out", test_no_slot},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("federation_load", tests);
}
