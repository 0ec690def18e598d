/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/control_answer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const no_arguments[] = {NULL};
static const char *const drops_arguments[] = {"all", NULL};
static const char *const drain_arguments[] = {"undo", NULL};
static const char *const upgrade_arguments[] = {"binary", NULL};
static const char *const list_arguments[] = {"service", "limit", NULL};
static const char *const limit_arguments[] = {"limit", NULL};
static const char *const flows_arguments[] = {"client", "endpoint", "service", "state", "listener", "limit", NULL};
static const char *const explain_arguments[] = {"from", "to", "listener", "address", "interface", NULL};

static const struct control_command commands[] = {
	{"status", no_arguments, control_status},        {"listeners", limit_arguments, control_listeners},
	{"services", list_arguments, control_services},  {"endpoints", list_arguments, control_endpoints},
	{"flows", flows_arguments, control_flows},       {"drops", drops_arguments, control_drops},
	{"metrics", no_arguments, control_metrics},      {"reload", no_arguments, control_reload},
	{"drain", drain_arguments, control_drain},       {"upgrade", upgrade_arguments, control_upgrade},
	{"explain", explain_arguments, control_explain},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct control_command *
find_command(const char *name, struct text *error)
{
	const char *names[COMMANDS + 1];

	for (unsigned i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
		names[i] = commands[i].name;
	}
	names[COMMANDS] = NULL;
	const char *closest = text_closest(name, names);
	text_print(error, "unknown command \"%s\"", name);
	if (closest != NULL)
		text_print(error, "; did you mean \"%s\"?", closest);
	return NULL;
}

static bool
is_listed(const char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static bool
arguments_known(const struct control_command *command, json_t *arguments, struct text *error)
{
	const char *name;
	json_t *value;

	json_object_foreach(arguments, name, value)
	{
		if (is_listed(command->arguments, name))
			continue;
		const char *closest = text_closest(name, command->arguments);
		text_print(error, "%s has no argument \"%s\"", command->name, name);
		if (closest != NULL)
			text_print(error, "; did you mean \"%s\"?", closest);
		return false;
	}
	return true;
}

struct control_answer *
control_request(struct control_context *context, const char *line, size_t length, struct text *error)
{
	struct control_answer *answer = NULL;
	json_error_t where;
	json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
	json_t *none = json_object();

	if (!json_is_object(request)) {
		text_print(error, "the request is no JSON object%s%s", request == NULL ? ": " : "",
			   request == NULL ? where.text : "");
		goto Exit;
	}
	const char *name = json_string_value(json_object_get(request, "command"));
	json_t *arguments = json_object_get(request, "arguments");
	if (arguments == NULL)
		arguments = none;
	if (name == NULL || !json_is_object(arguments)) {
		text_print(error, "a request is {\"command\":\"NAME\",\"arguments\":{…}}");
		goto Exit;
	}
	const struct control_command *command = find_command(name, error);
	if (command != NULL && arguments_known(command, arguments, error))
		answer = command->begin(context, arguments, error);
Exit:
	json_decref(none);
	json_decref(request);
	return answer;
}

static int
add_dumped(const char *bytes, size_t length, void *out)
{
	text_add(out, bytes, length);
	return 0;
}

static void
dump(const json_t *value, struct text *out)
{
	json_dump_callback(value, add_dumped, out, JSON_COMPACT);
}

void
control_error(const struct text *error, struct text *out)
{
	json_t *document = json_object();

	json_object_set_new(document, "error", control_json_text(error->bytes));
	dump(document, out);
	text_add(out, "\n", 1);
	json_decref(document);
}

struct document {
	struct control_answer answer;
	json_t *json;
};

static bool
document_more(struct control_answer *answer, struct text *out)
{
	dump(((struct document *)answer)->json, out);
	text_add(out, "\n", 1);
	return false;
}

static void
document_end(struct control_answer *answer)
{
	json_decref(((struct document *)answer)->json);
	free(answer);
}

struct control_answer *
control_document(json_t *json)
{
	struct document *document = malloc(sizeof(*document));

	if (document == NULL)
		abort();
	*document = (struct document){{document_more, document_end}, json};
	return &document->answer;
}

static bool
list_more(struct control_answer *answer, struct text *out)
{
	struct control_list *list = (struct control_list *)answer;
	size_t begin = out->length;
	json_t *record;

	if (!list->begun)
		text_print(out, "{\"%s\":[", list->name);
	list->begun = true;
	if (list->generation != 0 && list->generation != list->context->box->reload.generation) {
		text_print(out, "\n],\"truncated\":false,\"interrupted\":"
				"\"the configuration was replaced in the middle of this list; ask again\"}\n");
		return false;
	}
	for (unsigned i = 0; i < CONTROL_STEPS && out->length - begin < CONTROL_PIECE; i++) {
		if (!list->step(list, &record)) {
			text_print(out, "\n],\"truncated\":false}\n");
			return false;
		}
		if (record == NULL)
			continue;
		bool full = list->limit != 0 && list->shown == list->limit;
		if (!full) {
			text_print(out, list->shown == 0 ? "\n" : ",\n");
			dump(record, out);
			list->shown++;
		}
		json_decref(record);
		if (full) {
			text_print(out, "\n],\"truncated\":true}\n");
			return false;
		}
	}
	return true;
}

void
control_list_init(struct control_list *list, const struct control_context *context, const char *name, uint64_t limit,
		  bool of_snapshot)
{
	list->answer.more = list_more;
	list->context = context;
	list->name = name;
	list->limit = limit;
	list->generation = of_snapshot ? context->box->reload.generation : 0;
}

static const json_t *
argument(const json_t *arguments, const char *name)
{
	const json_t *value = json_object_get(arguments, name);
	return json_is_null(value) ? NULL : value;
}

bool
control_argument_text(const json_t *arguments, const char *name, const char **value, struct text *error)
{
	const json_t *json = argument(arguments, name);

	if (json != NULL && !json_is_string(json)) {
		text_print(error, "\"%s\" is a text", name);
		return false;
	}
	if (json != NULL)
		*value = json_string_value(json);
	return true;
}

bool
control_argument_u64(const json_t *arguments, const char *name, uint64_t *value, struct text *error)
{
	const json_t *json = argument(arguments, name);

	if (json != NULL && (!json_is_integer(json) || json_integer_value(json) < 0)) {
		text_print(error, "\"%s\" is a whole number, 0 or more", name);
		return false;
	}
	if (json != NULL)
		*value = (uint64_t)json_integer_value(json);
	return true;
}

bool
control_argument_bool(const json_t *arguments, const char *name, bool *value, struct text *error)
{
	const json_t *json = argument(arguments, name);

	if (json != NULL && !json_is_boolean(json)) {
		text_print(error, "\"%s\" is true or false", name);
		return false;
	}
	if (json != NULL)
		*value = json_is_true(json);
	return true;
}

bool
control_argument_prefix(const json_t *arguments, const char *name, struct ip_prefix *value, struct text *error)
{
	const char *text = NULL;

	if (!control_argument_text(arguments, name, &text, error))
		return false;
	if (text == NULL || ip_prefix_parse(text, value))
		return true;
	if (ip_addr_parse(text, &value->addr)) {
		value->length = ip_addr_is_v4(&value->addr) ? 32 : 128;
		return true;
	}
	text_print(error, "\"%s\" is neither an address nor a prefix", text);
	return false;
}

json_t *
control_json_text(const char *text)
{
	if (text == NULL || text[0] == '\0')
		return json_null();
	json_t *json = json_string(text);
	return json != NULL ? json : json_null(); /* jansson takes nothing but UTF-8 */
}

json_t *
control_json_name(struct name name)
{
	if (name.length == 0)
		return json_null();
	json_t *json = json_stringn(name.bytes, name.length);
	return json != NULL ? json : json_null();
}

json_t *
control_json_u64(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *
control_json_addr(const struct ip_addr *addr)
{
	char buffer[IP_ADDR_TEXT_MAX];
	return json_string(ip_addr_format(addr, buffer));
}

json_t *
control_json_endpoint(const struct ip_addr *addr, uint16_t port)
{
	char buffer[IP_ENDPOINT_TEXT_MAX];
	return json_string(ip_endpoint_format(addr, port, buffer));
}

json_t *
control_json_time(uint64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	char date[32], whole[48];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(whole, sizeof(whole), "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
	return json_string(whole);
}

void
control_json_counters(json_t *record, const struct live *live, uint32_t slot)
{
	struct live_counters sum;

	live_sum(live, slot, &sum);
	json_object_set_new(record, "active", control_json_u64(sum.active));
	json_object_set_new(record, "opened", control_json_u64(sum.opened));
	json_object_set_new(record, "closed", control_json_u64(sum.closed));
	json_object_set_new(record, "failed", control_json_u64(sum.failed));
	json_object_set_new(record, "sent", control_json_u64(sum.sent));
	json_object_set_new(record, "received", control_json_u64(sum.received));
}
