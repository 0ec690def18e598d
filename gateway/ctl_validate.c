/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_validate.h"

#include <jansson.h>
#include <string.h>

#include "federation/snapshot.h"
#include "gateway/ctl_format.h"
#include "gateway/ctl_options.h"
#include "platform/text.h"

static void
print_text(const char *const *files, size_t n_files, const struct snapshot *snapshot,
	   const struct diagnostics *diagnostics, FILE *out, FILE *errors)
{
	char services[CTL_UNIT_MAX], listeners[CTL_UNIT_MAX], endpoints[CTL_UNIT_MAX];
	struct text text = {0};

	diagnostics_print(diagnostics, &text);
	if (text.length > 0)
		fputs(text.bytes, errors);
	text_free(&text);
	if (snapshot == NULL)
		return;
	for (size_t i = 0; i < n_files; i++)
		fprintf(out, "%s%s", i == 0 ? "" : ", ", files[i]);
	fprintf(out, ": valid: %s, %s, %s\n", ctl_count(snapshot->n_services, "service", services),
		ctl_count(snapshot->n_listeners, "listener", listeners),
		ctl_count(snapshot->n_endpoints, "endpoint", endpoints));
}

/* File names and source lines may hold any bytes; JSON takes nothing but UTF-8. */
static json_t *
text_json(const char *bytes)
{
	struct text escaped = {0};

	if (bytes == NULL)
		return json_null();
	json_t *json = json_string(bytes);
	if (json != NULL)
		return json;
	text_print(&escaped, "\"");
	text_add_json(&escaped, bytes, strlen(bytes));
	text_print(&escaped, "\"");
	json = json_loads(escaped.bytes, JSON_DECODE_ANY, NULL);
	text_free(&escaped);
	return json;
}

static void
print_json(const struct snapshot *snapshot, const struct diagnostics *diagnostics, FILE *out)
{
	json_t *document = json_object(), *list = json_array();

	for (size_t i = 0; i < diagnostics->n; i++) {
		const struct diagnostic *diagnostic = &diagnostics->list[i];
		json_t *json = json_object();
		json_object_set_new(json, "file", text_json(diagnostic->file));
		json_object_set_new(json, "line", json_integer(diagnostic->line));
		json_object_set_new(json, "column", json_integer(diagnostic->column));
		json_object_set_new(json, "severity", json_string(diagnostic->warning ? "warning" : "error"));
		json_object_set_new(json, "code", json_string(diagnostic->code));
		json_object_set_new(json, "message", text_json(diagnostic->message));
		json_object_set_new(json, "source", text_json(diagnostic->source));
		json_array_append_new(list, json);
	}
	json_object_set_new(document, "valid", json_boolean(snapshot != NULL));
	if (snapshot != NULL) {
		json_object_set_new(document, "services", json_integer(snapshot->n_services));
		json_object_set_new(document, "listeners", json_integer(snapshot->n_listeners));
		json_object_set_new(document, "endpoints", json_integer(snapshot->n_endpoints));
	}
	json_object_set_new(document, "diagnostics", list);
	json_dumpf(document, out, JSON_INDENT(2));
	fputs("\n", out);
	json_decref(document);
}

int
ctl_validate(const char *const *files, size_t n_files, bool json, FILE *out, FILE *errors)
{
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load(files, n_files, NULL, &diagnostics);
	bool valid = snapshot != NULL;

	if (json)
		print_json(snapshot, &diagnostics, out);
	else
		print_text(files, n_files, snapshot, &diagnostics, out, errors);
	diagnostics_free(&diagnostics);
	if (valid)
		snapshot_free(snapshot);
	return valid ? CTL_OK : CTL_REFUSED;
}
