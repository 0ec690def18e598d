/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternctl: shows and steers posternd over its control socket, and checks federation files by itself. Links no DPDK.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl_ca.h"
#include "gateway/ctl_client.h"
#include "gateway/ctl_explain.h"
#include "gateway/ctl_options.h"
#include "gateway/ctl_show.h"
#include "gateway/ctl_upgrade.h"
#include "gateway/ctl_validate.h"
#include "platform/text.h"

static int
fail(const struct text *error, int code)
{
	fprintf(stderr, "posternctl: %s\n", error->bytes);
	return code;
}

static int
show_document(const struct ctl_request *request, const json_t *document)
{
	const char *error = ctl_text(document, "error"), *diagnostics = ctl_text(document, "diagnostics");
	bool refused = error[0] != '\0';

	fputs(diagnostics, stderr); /* a reload's: errors, or warnings of one that was carried out */
	if (refused)
		fprintf(stderr, "posternctl: %s\n", error);
	if (request->json) {
		json_dumpf(document, stdout, JSON_INDENT(2));
		fputs("\n", stdout);
	} else if (!refused) {
		ctl_show_document(request->command->name, document, stdout);
	}
	return refused || json_is_false(json_object_get(document, "allowed")) ? CTL_REFUSED : CTL_OK;
}

/* What stood behind a list. */
static int
finish_list(const json_t *end)
{
	const char *interrupted = ctl_text(end, "interrupted");

	if (end == NULL) {
		fputs("posternctl: the answer broke off in the middle; did posternd stop?\n", stderr);
		return CTL_REFUSED;
	}
	if (interrupted[0] != '\0') {
		fprintf(stderr, "posternctl: %s\n", interrupted);
		return CTL_REFUSED;
	}
	if (json_is_true(json_object_get(end, "truncated")))
		fputs("posternctl: there are more; --limit N shows more of them, --limit 0 all\n", stderr);
	return CTL_OK;
}

/* Takes answer. Records pass through one by one, however many there are. */
static int
show_list(const struct ctl_request *request, FILE *answer)
{
	const struct ctl_view *view = ctl_view_find(request->command->name);
	struct ctl_records records = {.answer = answer};
	struct ctl_table table;
	const char *line;
	size_t n = 0;
	json_t *end;

	ctl_table_begin(&table, view->columns, view->n_columns, stdout);
	for (; (line = ctl_records_next(&records, &end)) != NULL; n++) {
		if (request->json) {
			printf("%s%s", n == 0 ? "[\n" : ",\n", line);
			continue;
		}
		json_t *record = json_loads(line, 0, NULL);
		view->row(&table, record);
		json_decref(record);
	}
	ctl_table_end(&table);
	if (request->json)
		puts(n == 0 ? "[]" : "\n]");
	else if (n == 0)
		fprintf(stderr, "%s\n", view->empty);
	int status = finish_list(end);
	json_decref(end);
	ctl_records_free(&records);
	return status;
}

/* Whether the answer only says that an upgrade begins. */
static bool
is_upgrade(const struct ctl_request *request, const json_t *document)
{
	return strcmp(request->command->name, "upgrade") == 0 && json_object_get(document, "error") == NULL;
}

static int
ask(const struct ctl_request *request)
{
	struct text error = {0};
	json_t *document = NULL;
	FILE *answer = ctl_ask(request->socket, request->command->name, request->arguments, &error);
	int status = CTL_UNREACHABLE;

	if (answer == NULL) {
		fail(&error, CTL_UNREACHABLE);
		goto Exit;
	}
	switch (ctl_answer_begin(answer, &document, &error)) {
	case CTL_ANSWER_LIST:
		status = show_list(request, answer);
		break;
	case CTL_ANSWER_DOCUMENT:
		fclose(answer);
		if (is_upgrade(request, document) && !ctl_upgrade_wait(request->socket, &document, &error)) {
			status = fail(&error, CTL_UNREACHABLE);
			break;
		}
		status = show_document(request, document);
		break;
	case CTL_ANSWER_NONE:
		fail(&error, CTL_UNREACHABLE);
		fclose(answer);
		break;
	}
Exit:
	json_decref(document);
	text_free(&error);
	return status;
}

static int
run_explain(const struct ctl_request *request)
{
	struct text error = {0};

	if (!ctl_explain_complete(request, &error)) {
		int status = fail(&error, CTL_USAGE);
		text_free(&error);
		return status;
	}
	if (request->n_files == 0)
		return ask(request);
	json_t *document = ctl_explain_files(request, stderr);
	if (document == NULL)
		return CTL_REFUSED;
	int status = show_document(request, document);
	json_decref(document);
	return status;
}

static int
run(const struct ctl_request *request)
{
	if (request->version) {
		printf("posternctl %s\n", POSTERN_VERSION);
		return CTL_OK;
	}
	if (request->help) {
		struct text help = {0};
		ctl_help(request->command, &help);
		fputs(help.bytes, stdout);
		text_free(&help);
		return CTL_OK;
	}
	if (strcmp(request->command->name, "ca") == 0)
		return ctl_ca(request, stdout, stderr);
	if (strcmp(request->command->name, "explain") == 0)
		return run_explain(request);
	if (request->command->takes_files)
		return ctl_validate(request->files, request->n_files, request->json, stdout, stderr);
	return ask(request);
}

int
main(int argc, char **argv)
{
	struct ctl_request request;
	struct text error = {0};
	int status = CTL_USAGE;

	if (ctl_parse(argc, argv, getenv("POSTERN_SOCKET"), &request, &error))
		status = run(&request);
	else
		fail(&error, CTL_USAGE);
	ctl_request_free(&request);
	text_free(&error);
	if (fflush(stdout) != 0 && status == CTL_OK) {
		perror("posternctl: standard output");
		status = CTL_REFUSED;
	}
	return status;
}
