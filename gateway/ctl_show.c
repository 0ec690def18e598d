/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_show.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/ctl_explain.h"

const char *
ctl_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text == NULL ? "" : text;
}

uint64_t
ctl_u64(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));
	return value < 0 ? 0 : (uint64_t)value;
}

static void
add_text(struct ctl_table *table, const json_t *record, const char *name)
{
	ctl_table_add(table, ctl_text(record, name));
}

static void
add_u64(struct ctl_table *table, const json_t *record, const char *name)
{
	ctl_table_print(table, "%" PRIu64, ctl_u64(record, name));
}

static void
add_bytes(struct ctl_table *table, const json_t *record, const char *name)
{
	char buffer[CTL_UNIT_MAX];
	ctl_table_add(table, ctl_bytes(ctl_u64(record, name), buffer));
}

/* "mss 1460, scale 7, sack, timestamps" */
static void
add_profile(struct ctl_table *table, const json_t *profile)
{
	char text[96] = "";
	size_t n = 0;

	if (!json_is_object(profile)) {
		ctl_table_add(table, "");
		return;
	}
	if (json_is_integer(json_object_get(profile, "mss")))
		n = (size_t)snprintf(text, sizeof(text), "mss %" PRIu64, ctl_u64(profile, "mss"));
	else
		n = (size_t)snprintf(text, sizeof(text), "mss of the port");
	if (json_is_integer(json_object_get(profile, "window_scale")))
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", scale %" PRIu64,
				      ctl_u64(profile, "window_scale") & 0xff);
	snprintf(text + n, sizeof(text) - n, "%s%s", json_is_true(json_object_get(profile, "sack")) ? ", sack" : "",
		 json_is_true(json_object_get(profile, "timestamps")) ? ", timestamps" : "");
	ctl_table_add(table, text);
}

static const struct ctl_column listener_columns[] = {
	{"PORT", true}, {"ADDRESS", false}, {"MODE", false}, {"GATEWAY", false}, {"LEADS TO", false}, {"OFFER", false},
};

static void
listener_row(struct ctl_table *table, const json_t *record)
{
	bool routed = strcmp(ctl_text(record, "mode"), "AUTO_PASSTHROUGH") != 0;
	uint64_t n = ctl_u64(record, routed ? "routes" : "services");
	const char *bind = ctl_text(record, "bind");
	char buffer[CTL_UNIT_MAX];

	add_u64(table, record, "port");
	ctl_table_add(table, bind[0] == '\0' ? "any" : bind);
	add_text(table, record, "mode");
	add_text(table, record, "gateway");
	ctl_table_add(table, ctl_count(n, routed ? "route" : "service", buffer));
	add_profile(table, json_object_get(record, "offer"));
}

static const struct ctl_column service_columns[] = {
	{"SERVICE", false}, {"PORT", true},   {"SUBSET", false}, {"BALANCER", false}, {"ENDPOINTS", true},
	{"ACTIVE", true},   {"OPENED", true}, {"FAILED", true},  {"SENT", true},      {"RECEIVED", true},
};

static void
service_row(struct ctl_table *table, const json_t *record)
{
	const json_t *backends = json_object_get(record, "backends");

	for (size_t i = 0; i < json_array_size(backends); i++) {
		const json_t *backend = json_array_get(backends, i);
		add_text(table, record, "host");
		ctl_table_print(table, "%" PRIu64 " %s", ctl_u64(backend, "port"), ctl_text(backend, "protocol"));
		add_text(table, backend, "subset");
		add_text(table, backend, "balancer");
		add_u64(table, backend, "endpoints");
		add_u64(table, backend, "active");
		add_u64(table, backend, "opened");
		add_u64(table, backend, "failed");
		add_bytes(table, backend, "sent");
		add_bytes(table, backend, "received");
	}
}

static const struct ctl_column endpoint_columns[] = {
	{"SERVICE", false}, {"ADDRESS", false}, {"WORKLOAD", false}, {"LOCALITY", false}, {"ACTIVE", true},
	{"OPENED", true},   {"FAILED", true},   {"SENT", true},      {"RECEIVED", true},  {"TCP", false},
};

static void
endpoint_row(struct ctl_table *table, const json_t *record)
{
	const char *cluster = ctl_text(record, "cluster");

	add_text(table, record, "service");
	add_text(table, record, "address");
	if (json_is_true(json_object_get(record, "gateway")))
		ctl_table_print(table, "gateway of %s", cluster);
	else
		add_text(table, record, "workload");
	add_text(table, record, "locality");
	add_u64(table, record, "active");
	add_u64(table, record, "opened");
	add_u64(table, record, "failed");
	add_bytes(table, record, "sent");
	add_bytes(table, record, "received");
	add_profile(table, json_object_get(record, "tcp"));
}

static const struct ctl_column flow_columns[] = {
	{"STATE", false},    {"CLIENT", false},  {"LOCAL", false}, {"OUT", false},
	{"ENDPOINT", false}, {"SERVICE", false}, {"AGE", true},    {"SENT", true},
	{"RECEIVED", true},  {"TRIES", true},    {"WORKER", true},
};

static void
flow_row(struct ctl_table *table, const json_t *record)
{
	char buffer[CTL_UNIT_MAX];
	bool has_age = json_is_integer(json_object_get(record, "age_ms"));

	add_text(table, record, "state");
	add_text(table, record, "client");
	add_text(table, record, "local");
	add_text(table, record, "out");
	add_text(table, record, "endpoint");
	add_text(table, record, "service");
	ctl_table_add(table, has_age ? ctl_duration(ctl_u64(record, "age_ms"), buffer) : "");
	add_bytes(table, record, "sent");
	add_bytes(table, record, "received");
	add_u64(table, record, "attempts");
	add_u64(table, record, "worker");
}

static const struct ctl_column drop_columns[] = {
	{"REASON", false}, {"CLASS", false}, {"COUNT", true}, {"RATE", true}, {"MEANING", false},
};

static void
drop_row(struct ctl_table *table, const json_t *record)
{
	char buffer[CTL_UNIT_MAX];

	add_text(table, record, "reason");
	add_text(table, record, "class");
	add_u64(table, record, "count");
	ctl_table_add(table, ctl_rate(json_number_value(json_object_get(record, "per_second")), buffer));
	add_text(table, record, "meaning");
}

#define COLUMNS(columns) (columns), sizeof(columns) / sizeof((columns)[0])

static const struct ctl_view views[] = {
	{"listeners", COLUMNS(listener_columns), listener_row, "The federation has no listener."},
	{"services", COLUMNS(service_columns), service_row, "There is no such service."},
	{"endpoints", COLUMNS(endpoint_columns), endpoint_row, "There is no such endpoint."},
	{"flows", COLUMNS(flow_columns), flow_row, "There is no such flow now."},
	{"drops", COLUMNS(drop_columns), drop_row, "Nothing was dropped, refused or ended."},
};

const struct ctl_view *
ctl_view_find(const char *command)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (strcmp(views[i].command, command) == 0)
			return &views[i];
	return NULL;
}

void
ctl_show_counts(const json_t *object, FILE *out)
{
	char listeners[CTL_UNIT_MAX], services[CTL_UNIT_MAX], endpoints[CTL_UNIT_MAX];

	fprintf(out, "%s, %s, %s\n", ctl_count(ctl_u64(object, "services"), "service", services),
		ctl_count(ctl_u64(object, "listeners"), "listener", listeners),
		ctl_count(ctl_u64(object, "endpoints"), "endpoint", endpoints));
}

static void
show_reload(const json_t *document, FILE *out)
{
	fprintf(out, "in force: generation %" PRIu64 ": ", ctl_u64(document, "generation"));
	ctl_show_counts(document, out);
}

static void
show_drain(const json_t *document, FILE *out)
{
	uint64_t flows = ctl_u64(document, "flows");

	if (json_is_true(json_object_get(document, "draining")))
		fprintf(out, "draining: no new connections; %" PRIu64 " still open\n", flows);
	else
		fprintf(out, "taking new connections; %" PRIu64 " open\n", flows);
}

static void
show_upgrade(const json_t *document, FILE *out)
{
	fprintf(out, "upgraded from %s to %s in process %" PRIu64 "; forwarding stood still for %.1f ms\n",
		ctl_text(document, "from"), ctl_text(document, "to"), ctl_u64(document, "pid"),
		(double)ctl_u64(document, "stalled_us") / 1e3);
	ctl_show_adoption(json_object_get(document, "adoption"), out);
}

void
ctl_show_document(const char *command, const json_t *document, FILE *out)
{
	if (strcmp(command, "status") == 0)
		ctl_show_status(document, out);
	else if (strcmp(command, "metrics") == 0)
		fputs(ctl_text(document, "metrics"), out);
	else if (strcmp(command, "reload") == 0)
		show_reload(document, out);
	else if (strcmp(command, "upgrade") == 0)
		show_upgrade(document, out);
	else if (strcmp(command, "explain") == 0)
		ctl_explain_show(document, out);
	else
		show_drain(document, out);
}
