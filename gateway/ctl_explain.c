/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_explain.h"

#include <string.h>

#include "federation/snapshot.h"
#include "gateway/ctl_options.h"
#include "gateway/ctl_show.h"
#include "gateway/explain.h"
#include "platform/text.h"

static const char *
argument(const struct ctl_request *request, const char *name)
{
	return json_string_value(json_object_get(request->arguments, name));
}

bool
ctl_explain_complete(const struct ctl_request *request, struct text *error)
{
	static const char *const needed[] = {"from", "to"};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (argument(request, needed[i]) != NULL)
			continue;
		text_print(error, "explain needs --%s", needed[i]);
		return false;
	}
	return true;
}

json_t *
ctl_explain_files(const struct ctl_request *request, FILE *errors)
{
	struct diagnostics diagnostics = {0};
	struct text error = {0};
	struct snapshot *snapshot = federation_load(request->files, request->n_files, NULL, &diagnostics);
	json_t *document = NULL;

	diagnostics_print(&diagnostics, &error);
	if (error.length > 0)
		fputs(error.bytes, errors);
	diagnostics_free(&diagnostics);
	if (snapshot != NULL) {
		const struct explain_query query = {.from = argument(request, "from"),
						    .to = argument(request, "to"),
						    .listener = argument(request, "listener"),
						    .address = argument(request, "address"),
						    .interface = argument(request, "interface")};
		error.length = 0;
		document = explain(snapshot, NULL, &query, &error);
		if (document == NULL)
			fprintf(errors, "posternctl: %s\n", error.bytes);
	}
	snapshot_free(snapshot);
	text_free(&error);
	return document;
}

/* "  label     what  (at)". */
static void
show_line(FILE *out, const char *label, const char *what, const char *at)
{
	fprintf(out, "  %-10s%s%s%s%s\n", label, what, at[0] == '\0' ? "" : "  (", at, at[0] == '\0' ? "" : ")");
}

static void
show_client(const json_t *client, FILE *out)
{
	const char *id = ctl_text(client, "spiffe_id"), *map = ctl_text(client, "map");
	const char *remark = ctl_text(client, "remark");

	show_line(out, "client", id[0] == '\0' ? "nobody: no SPIFFE ID is proved" : id, "");
	if (map[0] != '\0') {
		struct text text = {0};
		text_print(&text, "by IdentityMap %s", map);
		show_line(out, "", text.bytes, ctl_text(client, "at"));
		text_free(&text);
	}
	if (remark[0] != '\0')
		show_line(out, "", remark, "");
}

static void
show_policy(const json_t *policy, const char *label, FILE *out)
{
	struct text text = {0};

	text_print(&text, "%s %s", ctl_text(policy, "action"), ctl_text(policy, "name"));
	show_line(out, label, text.bytes, ctl_text(policy, "at"));
	text_free(&text);
}

/* The rule that would allow it but for some conditions; and what would do without it. */
static void
show_nearest(const json_t *destination, FILE *out)
{
	const json_t *nearest = json_object_get(destination, "nearest");
	const char *suggestion = ctl_text(destination, "suggestion");
	struct text text = {0};
	size_t i;
	json_t *fail;

	if (json_is_object(nearest)) {
		show_policy(nearest, "nearest", out);
		json_array_foreach(json_object_get(nearest, "fails"), i, fail)
		{
			text.length = 0;
			text_print(&text, "but for %s", ctl_text(fail, "condition"));
			show_line(out, "", text.bytes, ctl_text(fail, "at"));
		}
		if (json_is_true(json_object_get(nearest, "must_name_client")))
			show_line(out, "", "but it must name the client, who is of another trust domain", "");
	}
	if (suggestion[0] != '\0') {
		text.length = 0;
		text_print(&text, "an ALLOW rule for %s in namespace %s with %s", ctl_text(destination, "service"),
			   ctl_text(destination, "namespace"), suggestion);
		show_line(out, "would do", text.bytes, "");
	}
	text_free(&text);
}

static void
show_endpoints(const json_t *destination, FILE *out)
{
	const json_t *endpoints = json_object_get(destination, "endpoints");
	struct text text = {0};
	size_t i;
	json_t *endpoint;

	json_array_foreach(endpoints, i, endpoint)
	{
		text.length = 0;
		text_print(&text, "%s%s %s", i == 0 ? "" : "or ", ctl_text(endpoint, "address"),
			   ctl_text(endpoint, "workload"));
		if (json_is_integer(json_object_get(endpoint, "active")))
			text_print(&text, ", %llu active", (unsigned long long)ctl_u64(endpoint, "active"));
		show_line(out, i == 0 ? "endpoint" : "", text.bytes, ctl_text(endpoint, "at"));
	}
	text_free(&text);
}

static void
show_destination(const json_t *destination, FILE *out)
{
	const char *reason = ctl_text(destination, "reason"), *subset = ctl_text(destination, "subset");
	double share = json_number_value(json_object_get(destination, "share"));
	struct text text = {0};

	text_print(&text, "%s:%llu%s%s", ctl_text(destination, "service"),
		   (unsigned long long)ctl_u64(destination, "port"), subset[0] == '\0' ? "" : ", subset ", subset);
	if (share < 1)
		text_print(&text, ", %.0f %%", share * 100);
	show_line(out, "service", text.bytes, ctl_text(destination, "at"));
	text.length = 0;
	text_print(&text, "%s%s%s: %s", ctl_text(destination, "verdict"), reason[0] == '\0' ? "" : ", ", reason,
		   ctl_text(destination, "because"));
	show_line(out, "", text.bytes, "");
	text_free(&text);
	if (json_is_object(json_object_get(destination, "policy")))
		show_policy(json_object_get(destination, "policy"), "policy", out);
	show_nearest(destination, out);
	if (strcmp(ctl_text(destination, "verdict"), "refused") != 0)
		show_endpoints(destination, out);
}

static void
show_way(const json_t *way, FILE *out)
{
	const json_t *listener = json_object_get(way, "listener");
	const char *name = ctl_text(way, "server_name"), *route = ctl_text(way, "route");
	struct text text = {0};
	size_t i;
	json_t *destination;

	fprintf(out, "%s, port %llu, %s  (%s)\n", ctl_text(listener, "gateway"),
		(unsigned long long)ctl_u64(listener, "port"), ctl_text(listener, "mode"), ctl_text(listener, "at"));
	show_client(json_object_get(way, "client"), out);
	if (name[0] != '\0')
		show_line(out, "name", name, "");
	if (route[0] != '\0')
		show_line(out, "route", "by VirtualService", route);
	json_array_foreach(json_object_get(way, "destinations"), i, destination)
	{
		show_destination(destination, out);
	}
	text_free(&text);
}

void
ctl_explain_show(const json_t *document, FILE *out)
{
	const json_t *ways = json_object_get(document, "ways");
	size_t i;
	json_t *way;

	if (json_array_size(ways) == 0)
		fprintf(out, "refused, %s: %s\n", ctl_text(document, "reason"), ctl_text(document, "because"));
	json_array_foreach(ways, i, way)
	{
		if (i > 0)
			fputs("\n", out);
		show_way(way, out);
	}
}
