/* SPDX-License-Identifier: Apache-2.0 */
/* Every broken file under tests/data gives exactly the diagnostics beside it, and every code is given by some file. */
#include "tests/unit/unit.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "federation/codes.h"
#include "federation/snapshot.h"
#include "platform/text.h"

static void
read_file(const char *path, struct text *content)
{
	char chunk[4096];
	size_t n;
	FILE *file = fopen(path, "rb");

	text_add(content, "", 0);
	if (file == NULL)
		return;
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		text_add(content, chunk, n);
	fclose(file);
}

static void
check_file(const char *path, struct text *all)
{
	struct text content = {0}, expected = {0}, printed = {0};
	struct diagnostics diagnostics = {0};
	char expected_path[512];

	snprintf(expected_path, sizeof(expected_path), "%.*s.expected", (int)(strlen(path) - strlen(".yaml")), path);
	read_file(path, &content);
	read_file(expected_path, &expected);
	struct snapshot *snapshot =
		federation_load_bytes(strrchr(path, '/') + 1, content.bytes, content.length, NULL, &diagnostics);
	CU_ASSERT_PTR_NULL(snapshot);
	CU_ASSERT(diagnostics.n_errors > 0);
	text_add(&printed, "", 0);
	diagnostics_print(&diagnostics, &printed);
	CU_ASSERT_STRING_EQUAL(printed.bytes, expected.bytes);
	if (strcmp(printed.bytes, expected.bytes) != 0)
		printf("\n%s gives\n%s", path, printed.bytes);
	text_add(all, expected.bytes, expected.length);
	snapshot_free(snapshot);
	diagnostics_free(&diagnostics);
	text_free(&content);
	text_free(&expected);
	text_free(&printed);
}

/* What no small file can show; federation_load_test does. */
static bool
is_shown_elsewhere(int code)
{
	return code == PN_FILE_UNREADABLE || code == PN_FILE_TOO_LARGE || code == PN_TOO_MANY_NODES ||
	       code == PN_TOO_MANY_ERRORS || code == PN_NO_SLOT;
}

static void
test_files(void)
{
	static const struct {
		int number;
		const char *name;
	} codes[] = {
#define CODE(number, name, what, example) {number, #name},
		FEDERATION_CODES(CODE)
#undef CODE
	};
	struct text all = {0};
	glob_t files;

	text_add(&all, "", 0);
	CU_ASSERT_FATAL(glob("tests/data/federation/broken/*.yaml", 0, NULL, &files) == 0);
	CU_ASSERT(files.gl_pathc >= 45);
	for (size_t i = 0; i < files.gl_pathc; i++)
		check_file(files.gl_pathv[i], &all);
	globfree(&files);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		char text[16];
		snprintf(text, sizeof(text), " PN%04d: ", codes[i].number);
		bool shown = strstr(all.bytes, text) != NULL;
		CU_ASSERT(shown != is_shown_elsewhere(codes[i].number));
		if (shown == is_shown_elsewhere(codes[i].number))
			printf("\n%s (%s)", text, codes[i].name);
	}
	text_free(&all);
}

static const CU_TestInfo tests[] = {{"each broken file gives its diagnostics", test_files}, CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("federation_broken", tests);
}
