/* SPDX-License-Identifier: Apache-2.0 */
/* The page that `posternctl status` prints: a few lines, then a table for each part of the box. */
#include <inttypes.h>
#include <string.h>

#include "gateway/ctl_show.h"
#include "platform/text.h"

#define COLUMNS(columns) (columns), sizeof(columns) / sizeof((columns)[0])

static size_t
count(const json_t *document, const char *name)
{
	return json_array_size(json_object_get(document, name));
}

static const json_t *
element(const json_t *document, const char *name, size_t i)
{
	return json_array_get(json_object_get(document, name), i);
}

static void
show_head(const json_t *document, FILE *out)
{
	char buffer[CTL_UNIT_MAX];

	fprintf(out, "posternd %s  %s for %s%s\n", ctl_text(document, "version"), ctl_text(document, "state"),
		ctl_duration(ctl_u64(document, "uptime_ms"), buffer),
		json_is_false(json_object_get(document, "healthy")) ? "  A WORKER STANDS STILL" : "");
	fprintf(out, "  conf        %s\n", ctl_text(document, "conf"));
}

static void
show_federation(const json_t *federation, FILE *out)
{
	char buffer[CTL_UNIT_MAX];
	uint64_t failures = ctl_u64(federation, "reload_failures");

	fprintf(out, "  federation  %s\n", ctl_text(federation, "file"));
	fprintf(out, "              generation %" PRIu64 ", in force for %s: ", ctl_u64(federation, "generation"),
		ctl_duration(ctl_u64(federation, "applied_age_ms"), buffer));
	ctl_show_counts(federation, out);
	fprintf(out, "  place       trust domain %s, cluster %s%s%s\n", ctl_text(federation, "trust_domain"),
		ctl_text(federation, "cluster"), ctl_text(federation, "locality")[0] == '\0' ? "" : ", ",
		ctl_text(federation, "locality"));
	if (!json_is_true(json_object_get(federation, "last_reload_failed"))) {
		if (failures > 0)
			fprintf(out, "  reloads     %" PRIu64 " failed; the last one didn't\n", failures);
		return;
	}
	fprintf(out, "  reloads     THE LAST ONE FAILED: the file isn't valid now, and what is in force is older\n%s",
		ctl_text(federation, "diagnostics"));
}

static void
show_flows(json_t *flows, FILE *out)
{
	const char *separator = "  flows       ";
	const char *state;
	json_t *n;

	json_object_foreach(flows, state, n)
	{
		fprintf(out, "%s%" JSON_INTEGER_FORMAT " %s", separator, json_integer_value(n), state);
		separator = ", ";
	}
	fputs("\n", out);
}

void
ctl_show_adoption(json_t *adoption, FILE *out)
{
	const char *what;
	json_t *n;

	if (!json_is_object(adoption))
		return;
	fprintf(out, "  adopted     %" PRIu64 " connections of the process before, in %.1f ms",
		ctl_u64(adoption, "spliced"), (double)ctl_u64(adoption, "microseconds") / 1000);
	json_object_foreach(adoption, what, n)
	{
		if (strncmp(what, "adopt_", 6) == 0 && json_integer_value(n) != 0)
			fprintf(out, ", %" JSON_INTEGER_FORMAT " %s", json_integer_value(n), what);
	}
	fputs("\n", out);
}

static void
show_tables(const json_t *tables, FILE *out)
{
	static const struct {
		const char *name, *shown;
	} rows[] = {{"flows", "flows"},
		    {"holds", "holds"},
		    {"bridges", "bridges"},
		    {"neighbours", "neighbours"},
		    {"live_slots", "live slots"}};
	const char *separator = "  tables      ";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const json_t *table = json_object_get(tables, rows[i].name);
		fprintf(out, "%s%s %" PRIu64 " of %" PRIu64, separator, rows[i].shown, ctl_u64(table, "used"),
			ctl_u64(table, "capacity"));
		separator = ", ";
	}
	fputs("\n", out);
}

/* Once something was bridged. */
static void
show_bridging(const json_t *bridging, FILE *out)
{
	const json_t *sessions = json_object_get(bridging, "sessions");
	const json_t *handshakes = json_object_get(bridging, "handshakes");
	const char *separator = "  ciphers     ";
	uint64_t steps = ctl_u64(handshakes, "steps");

	if (!json_is_object(bridging))
		return;
	fprintf(out, "  sessions    %" PRIu64 " joined; with the client %" PRIu64, ctl_u64(sessions, "joined"),
		ctl_u64(sessions, "client"));
	fprintf(out, ", dialling %" PRIu64 ", with the endpoint %" PRIu64 "\n", ctl_u64(sessions, "dialling"),
		ctl_u64(sessions, "endpoint"));
	fprintf(out, "  handshakes  %" PRIu64 " full, %" PRIu64 " resumed", ctl_u64(handshakes, "full"),
		ctl_u64(handshakes, "resumed"));
	fprintf(out, ", %" PRIu64 " failed, %" PRIu64 " shed; ", ctl_u64(handshakes, "failed"),
		ctl_u64(handshakes, "shed"));
	fprintf(out, "%" PRIu64 " of %" PRIu64 " under way, %" PRIu64 " of them waiting\n", ctl_u64(handshakes, "away"),
		ctl_u64(handshakes, "capacity"), ctl_u64(handshakes, "queued"));
	if (steps > 0)
		fprintf(out, "              %" PRIu64 " steps, of %.2f ms on average after waiting %.2f ms\n", steps,
			(double)ctl_u64(handshakes, "busy_us") / 1000 / (double)steps,
			(double)ctl_u64(handshakes, "wait_us") / 1000 / (double)steps);
	for (size_t i = 0; i < count(bridging, "ciphers"); i++) {
		const json_t *cipher = element(bridging, "ciphers", i);
		fprintf(out, "%s%s %s: %" PRIu64 " with clients, %" PRIu64 " with endpoints\n", separator,
			ctl_text(cipher, "version"), ctl_text(cipher, "cipher"), ctl_u64(cipher, "client"),
			ctl_u64(cipher, "endpoint"));
		separator = "              ";
	}
}

static void
show_workers(const json_t *document, FILE *out)
{
	static const struct ctl_column columns[] = {
		{"WORKER", true}, {"CORE", true},       {"BUSY", true},    {"FLOWS", true},
		{"HOLDS", true},  {"NEIGHBOURS", true}, {"SPLICED", true}, {"HANDED OVER", true},
	};
	struct ctl_table table;

	fputs("\n", out);
	ctl_table_begin(&table, COLUMNS(columns), out);
	for (size_t i = 0; i < count(document, "workers"); i++) {
		const json_t *worker = element(document, "workers", i);
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "worker"));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "core"));
		ctl_table_print(&table, "%.1f %%", 100 * json_number_value(json_object_get(worker, "busy")));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "flows"));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "holds"));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "neighbours"));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "spliced_packets"));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(worker, "handed_over"));
	}
	ctl_table_end(&table);
}

static void
add_addresses(struct ctl_table *table, const json_t *port)
{
	struct text text = {0};

	for (size_t i = 0; i < count(port, "addresses"); i++)
		text_print(&text, "%s%s", i == 0 ? "" : " ", json_string_value(element(port, "addresses", i)));
	ctl_table_add(table, text.bytes);
	text_free(&text);
}

static void
add_traffic(struct ctl_table *table, const json_t *port, const char *packets, const char *bytes)
{
	char buffer[CTL_UNIT_MAX];

	if (json_is_integer(json_object_get(port, packets)))
		ctl_table_print(table, "%" PRIu64 " (%s)", ctl_u64(port, packets),
				ctl_bytes(ctl_u64(port, bytes), buffer));
	else
		ctl_table_add(table, "");
}

static void
show_ports(const json_t *document, FILE *out)
{
	static const struct ctl_column columns[] = {
		{"PORT", false}, {"DEVICE", false},  {"VLAN", true}, {"MTU", true},
		{"MAC", false},  {"RECEIVED", true}, {"SENT", true}, {"ADDRESSES", false},
	};
	struct ctl_table table;

	fputs("\n", out);
	ctl_table_begin(&table, COLUMNS(columns), out);
	for (size_t i = 0; i < count(document, "ports"); i++) {
		const json_t *port = element(document, "ports", i);
		uint64_t vlan = ctl_u64(port, "vlan");
		ctl_table_add(&table, ctl_text(port, "port"));
		ctl_table_add(&table, ctl_text(port, "device"));
		if (vlan == 0)
			ctl_table_add(&table, "");
		else
			ctl_table_print(&table, "%" PRIu64, vlan);
		ctl_table_print(&table, "%" PRIu64, ctl_u64(port, "mtu"));
		ctl_table_add(&table, ctl_text(port, "mac"));
		add_traffic(&table, port, "rx_packets", "rx_bytes");
		add_traffic(&table, port, "tx_packets", "tx_bytes");
		add_addresses(&table, port);
	}
	ctl_table_end(&table);
}

static void
show_neighbours(const json_t *document, FILE *out)
{
	static const struct ctl_column columns[] = {
		{"NEIGHBOUR", false}, {"PORT", false}, {"MAC", false}, {"STATE", false}, {"WORKER", true},
	};
	struct ctl_table table;

	if (count(document, "neighbours") > 0)
		fputs("\n", out);
	ctl_table_begin(&table, COLUMNS(columns), out);
	for (size_t i = 0; i < count(document, "neighbours"); i++) {
		const json_t *neighbour = element(document, "neighbours", i);
		ctl_table_add(&table, ctl_text(neighbour, "address"));
		ctl_table_add(&table, ctl_text(neighbour, "port"));
		ctl_table_add(&table, ctl_text(neighbour, "mac"));
		ctl_table_add(&table, ctl_text(neighbour, "state"));
		ctl_table_print(&table, "%" PRIu64, ctl_u64(neighbour, "worker"));
	}
	ctl_table_end(&table);
}

void
ctl_show_status(const json_t *document, FILE *out)
{
	show_head(document, out);
	show_federation(json_object_get(document, "federation"), out);
	show_flows(json_object_get(document, "flows"), out);
	ctl_show_adoption(json_object_get(document, "adoption"), out);
	show_tables(json_object_get(document, "tables"), out);
	show_bridging(json_object_get(document, "bridging"), out);
	show_workers(document, out);
	show_ports(document, out);
	show_neighbours(document, out);
}
