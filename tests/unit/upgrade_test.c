/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/text.h"
#include "tests/unit/unit.h"

static const struct notify nobody = {.fd = -1};
static char folder[] = "/tmp/upgrade_test.XXXXXX";
static char **arguments;

/* A program that is a shell script. */
static const char *
script(const char *text)
{
	static char path[64];
	snprintf(path, sizeof(path), "%s/program", folder);
	FILE *file = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fprintf(file, "#!/bin/sh\n%s\n", text);
	fclose(file);
	chmod(path, 0755);
	return path;
}

static void
test_check(void)
{
	static const struct {
		const char *text;
		const char *says; /* NULL: it is good */
	} cases[] = {
		{"[ \"$*\" = '--check --conf /etc/p.conf' ]", NULL},
		{"exit 3", "says no, by exit code 3"},
		{"echo broken.yaml:7; echo wrong >&2; exit 1", "exit code 1:\nbroken.yaml:7\nwrong\n"},
		{"kill -SEGV $$", "was ended by signal 11"},
		{"[ ! -e /proc/self/fd/77 ] || exit 4", NULL},
	};
	int open_fd = dup2(STDERR_FILENO, 77); /* must not be inherited */

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text error = {0};
		bool good = upgrade_check(script(cases[i].text), "/etc/p.conf", &nobody, &error);
		CU_ASSERT_EQUAL(good, cases[i].says == NULL);
		if (cases[i].says == NULL)
			CU_ASSERT_EQUAL(error.length, 0)
		else
			CU_ASSERT_TRUE(error.length != 0 && strstr(error.bytes, cases[i].says) != NULL);
		text_free(&error);
	}
	close(open_fd);
}

static void
test_not_run(void)
{
	struct text error = {0};

	CU_ASSERT_FALSE(upgrade_check("posternd", "/etc/p.conf", &nobody, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "no absolute path"));
	text_free(&error);
	CU_ASSERT_FALSE(upgrade_check("/nowhere/posternd", "/etc/p.conf", &nobody, &error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "No such file"));
	text_free(&error);
}

/* Nothing is left behind of an attempt that failed. */
static void
test_exec_fails(void)
{
	struct conf conf = {.n_ports = 0};
	struct interlude interlude;
	struct upgrade upgrade;
	struct text error = {0};
	sigset_t before, after;

	upgrade_init(&upgrade, arguments);
	CU_ASSERT_PTR_NOT_NULL(strstr(upgrade.program, "upgrade_test"));
	CU_ASSERT_EQUAL(upgrade.from[0], '\0');
	interlude_init(&interlude);
	sigprocmask(SIG_BLOCK, NULL, &before);
	upgrade_exec(&upgrade, "/nowhere/posternd", &conf, &interlude, -1, 1, &error);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "/nowhere/posternd can't take over: No such file"));
	CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof(before)), 0);
	CU_ASSERT_PTR_NULL(getenv("POSTERN_UPGRADED_FROM"));
	CU_ASSERT_PTR_NULL(getenv("POSTERN_STOPPED_US"));
	text_free(&error);
	free(upgrade.interlude);
}

/* What a successor finds: the same process, arguments and environment, no descriptors, signals held back. */
static void
test_exec(void)
{
	struct conf conf = {.n_ports = 0};
	struct interlude interlude;
	struct upgrade upgrade;
	struct text error = {0};
	char first[] = "posternd", second[] = "--conf", third[] = "x", *list[] = {first, second, third, NULL};
	char line[256] = "";
	int ends[2];

	upgrade_init(&upgrade, list);
	interlude_init(&interlude);
	const char *program =
		script("echo \"$$ $* $POSTERN_STOPPED_US $POSTERN_PACKETS_FD\" $(ls /proc/$$/fd | tr '\\n' ' ') "
		       "$(grep SigBlk /proc/$$/status)");
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], 98); /* is handed over */
		dup2(ends[1], 99); /* would stay open */
		upgrade_exec(&upgrade, program, &conf, &interlude, 98, 4711, &error);
		_exit(9);
	}
	close(ends[1]);
	FILE *said = fdopen(ends[0], "r");
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), said));
	fclose(said);
	waitpid(child, NULL, 0);
	char wanted[64];
	snprintf(wanted, sizeof(wanted), "%d --conf x 4711 98 ", child);
	CU_ASSERT_EQUAL(strncmp(line, wanted, strlen(wanted)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(line + strlen(wanted), " 98 "));
	CU_ASSERT_PTR_NULL(strstr(line, " 99"));
	/* HUP, INT, QUIT, USR2, TERM: bits 0, 1, 2, 11, 14 */
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "4807"));
	free(upgrade.interlude);
}

int
main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		{"the new program checks the files", test_check},
		{"what can't be run", test_not_run},
		{"execve fails", test_exec_fails},
		{"execve succeeds", test_exec},
		CU_TEST_INFO_NULL,
	};
	(void)argc;
	arguments = argv;
	if (mkdtemp(folder) == NULL)
		return 1;
	int result = unit_run("upgrade", tests);
	char path[64];
	snprintf(path, sizeof(path), "%s/program", folder);
	unlink(path);
	rmdir(folder);
	return result;
}
