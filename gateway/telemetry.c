/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/telemetry.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/telemetry_series.h"
#include "gateway/telemetry_tls.h"
#include "platform/clock.h"

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct {
	const struct box *box;
	struct series_table series;
	struct http_health live, ready;
	struct http_route routes[3];
} telemetry;

/* --- istio_* ------------------------------------------------------------------------------------------------------ */

static const char *const traffic_labels[] = {
	"reporter",
	"source_workload",
	"source_canonical_service",
	"source_canonical_revision",
	"source_workload_namespace",
	"source_principal",
	"source_app",
	"source_version",
	"source_cluster",
	"destination_service",
	"destination_service_namespace",
	"destination_service_name",
	"destination_workload",
	"destination_canonical_service",
	"destination_canonical_revision",
	"destination_workload_namespace",
	"destination_principal",
	"destination_app",
	"destination_version",
	"destination_cluster",
	"request_protocol",
	"response_flags",
	"connection_security_policy",
	"source_region",
	"source_zone",
	"destination_region",
	"destination_zone",
};
static_assert(COUNT(traffic_labels) <= METRICS_LABELS_MAX, "the registry takes so many");

/* What a family shows of a series. */
struct traffic {
	enum series_value value;
	const char *flags;
};

static const char *
or_unknown(const char *text)
{
	return text == NULL || text[0] == '\0' ? "unknown" : text;
}

/* The gateway as a place, which is what an Istio gateway reports as the source. */
struct place {
	const char *workload, *cluster;
	char region[64], zone[64];
};

static void
copy_part(char *to, size_t room, const char *from, size_t length)
{
	if (length >= room)
		length = room - 1;
	memcpy(to, length == 0 ? "unknown" : from, length == 0 ? sizeof("unknown") : length);
	to[length == 0 ? sizeof("unknown") - 1 : length] = '\0';
}

static struct place
here(void)
{
	const struct snapshot *snapshot = decide_snapshot(telemetry.box->decide);
	struct place place = {"unknown", "unknown", "unknown", "unknown"};

	if (snapshot == NULL)
		return place;
	const char *locality = snapshot->locality.bytes == NULL ? "" : snapshot->locality.bytes;
	size_t region = strcspn(locality, "/");
	const char *zone = locality + region + (locality[region] == '/');
	copy_part(place.region, sizeof(place.region), locality, region);
	copy_part(place.zone, sizeof(place.zone), zone, strcspn(zone, "/"));
	place.workload = or_unknown(snapshot->name.bytes);
	place.cluster = or_unknown(snapshot->cluster_id.bytes);
	return place;
}

static void
collect_traffic(void *context, struct metrics_writer *writer)
{
	const struct traffic *traffic = context;
	struct place place = here();
	const struct series *series;
	uint32_t position = 0;

	while ((series = series_next(&telemetry.series, &position)) != NULL) {
		const char *const *labels = series->labels;
		const char *const values[COUNT(traffic_labels)] = {
			"source",
			place.workload,
			"postern",
			"latest",
			"unknown",
			"unknown",
			"postern",
			"latest",
			place.cluster,
			labels[SERIES_SERVICE],
			labels[SERIES_SERVICE_NAMESPACE],
			labels[SERIES_SERVICE_NAME],
			labels[SERIES_WORKLOAD],
			labels[SERIES_CANONICAL_SERVICE],
			labels[SERIES_CANONICAL_REVISION],
			labels[SERIES_SERVICE_NAMESPACE],
			"unknown", /* what passes through proves nothing to us */
			labels[SERIES_CANONICAL_SERVICE],
			labels[SERIES_CANONICAL_REVISION],
			labels[SERIES_CLUSTER],
			"tcp",
			traffic->flags,
			"unknown",
			place.region,
			place.zone,
			labels[SERIES_REGION],
			labels[SERIES_ZONE],
		};
		metrics_add_u64(writer, values, series_value(series, traffic->value));
	}
}

/* The first of the traffic families, as they are collected: all of them show what is read here. */
static void
collect_opened(void *context, struct metrics_writer *writer)
{
	series_refresh(&telemetry.series, telemetry.box->live, here().cluster);
	collect_traffic(context, writer);
}

static void
collect_sockets(void *context, struct metrics_writer *writer)
{
	const struct box *box = telemetry.box;
	/* A connection is a socket on either side once it is spliced or bridged; before that, one. */
	uint64_t open = (uint64_t)box_flows_in(box, FLOW_PEEKING) + box_flows_in(box, FLOW_CONNECTING) +
			2 * ((uint64_t)box_flows_in(box, FLOW_SPLICED) + box_flows_in(box, FLOW_BRIDGED));

	(void)context;
	metrics_add_u64(writer, (const char *const[]){"source"}, open);
}

static void
collect_build(void *context, struct metrics_writer *writer)
{
	(void)context;
	metrics_add_u64(writer, (const char *const[]){"postern", POSTERN_VERSION}, 1);
}

static const char *const reporter_labels[] = {"reporter"};
static const char *const build_labels[] = {"component", "tag"};
static struct traffic opened = {SERIES_OPENED, "-"}, closed = {SERIES_CLOSED, "-"}, failed = {SERIES_FAILED, "CONNECT"},
		      towards_client = {SERIES_RECEIVED, "-"}, from_client = {SERIES_SENT, "-"};

#define LABELS(labels) (labels), COUNT(labels)

static const struct metrics_family istio_families[] = {
	{"istio_tcp_connections_opened_total", "The total number of TCP connections opened", METRICS_COUNTER,
	 LABELS(traffic_labels), collect_opened, &opened},
	{"istio_tcp_connections_closed_total", "The total number of TCP connections closed", METRICS_COUNTER,
	 LABELS(traffic_labels), collect_traffic, &closed},
	{"istio_tcp_sent_bytes_total", "The size of total bytes sent during response in case of a TCP connection",
	 METRICS_COUNTER, LABELS(traffic_labels), collect_traffic, &towards_client},
	{"istio_tcp_received_bytes_total",
	 "The size of total bytes received during request in case of a TCP connection", METRICS_COUNTER,
	 LABELS(traffic_labels), collect_traffic, &from_client},
	{"istio_tcp_connections_failed_total", "The total number of TCP connections that failed to establish",
	 METRICS_COUNTER, LABELS(traffic_labels), collect_traffic, &failed},
	{"istio_tcp_sockets_open", "TCP connections that are open now, each side counted", METRICS_GAUGE,
	 LABELS(reporter_labels), collect_sockets, NULL},
	{"istio_build", "Which build this is", METRICS_GAUGE, LABELS(build_labels), collect_build, NULL},
};

/* --- postern_* by reason and state -------------------------------------------------------------------------------- */

static void
collect_reasons(void *context, struct metrics_writer *writer)
{
	const enum reason_class *class = context;

	for (unsigned reason = REASON_NONE + 1; reason < REASON_COUNT; reason++)
		if (reason_class(reason) == *class)
			metrics_add_u64(writer, (const char *const[]){reason_text(reason)},
					box_reason_count(telemetry.box, reason));
}

static void
collect_states(void *context, struct metrics_writer *writer)
{
	(void)context;
	for (unsigned state = FLOW_FREE + 1; state < FLOW_STATES; state++)
		metrics_add_u64(writer, (const char *const[]){flow_state_text(state)},
				box_flows_in(telemetry.box, state));
}

/* --- postern_* by table ------------------------------------------------------------------------------------------- */

static void
collect_used(void *context, struct metrics_writer *writer)
{
	const struct box *box = telemetry.box;
	uint64_t flows = 0, holds = 0, bridges = 0, neighbours = 0;

	(void)context;
	for (unsigned state = FLOW_FREE + 1; state < FLOW_STATES; state++)
		flows += box_flows_in(box, state);
	for (unsigned i = 0; i < box->n_workers; i++) {
		holds += LOAD(box->stats[i]->holds);
		bridges += LOAD(box->stats[i]->bridges);
		neighbours += LOAD(box->stats[i]->neighbours);
	}
	metrics_add_u64(writer, (const char *const[]){"flows"}, flows);
	metrics_add_u64(writer, (const char *const[]){"holds"}, holds);
	metrics_add_u64(writer, (const char *const[]){"bridges"}, bridges);
	metrics_add_u64(writer, (const char *const[]){"neighbours"}, neighbours);
	metrics_add_u64(writer, (const char *const[]){"live_slots"}, live_used(box->live));
}

static void
collect_capacity(void *context, struct metrics_writer *writer)
{
	const struct box *box = telemetry.box;
	uint64_t flows = 0, holds = 0, bridges = 0, neighbours = 0;

	(void)context;
	for (unsigned i = 0; i < box->n_workers; i++) {
		flows += box->workers[i]->flows.capacity;
		holds += box->workers[i]->holds.n_holds;
		bridges += box->workers[i]->bridges.capacity;
		neighbours += box->workers[i]->neighbours.capacity;
	}
	metrics_add_u64(writer, (const char *const[]){"flows"}, flows);
	metrics_add_u64(writer, (const char *const[]){"holds"}, holds);
	metrics_add_u64(writer, (const char *const[]){"bridges"}, bridges);
	metrics_add_u64(writer, (const char *const[]){"neighbours"}, neighbours);
	metrics_add_u64(writer, (const char *const[]){"live_slots"}, LIVE_SLOTS_MAX - 1);
}

/* --- postern_* by worker, port and device ------------------------------------------------------------------------- */

static uint64_t
read_counter(const struct worker_stats *stats, size_t offset)
{
	return __atomic_load_n((const uint64_t *)(const void *)((const char *)stats + offset), __ATOMIC_RELAXED);
}

static uint64_t
sum_over_workers(size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < telemetry.box->n_workers; i++)
		sum += read_counter(telemetry.box->stats[i], offset);
	return sum;
}

/* context of these: the offset of a counter, or of the first of an array, in struct worker_stats. */
static void
collect_by_worker(void *context, struct metrics_writer *writer)
{
	for (unsigned i = 0; i < telemetry.box->n_workers; i++) {
		char worker[12];
		snprintf(worker, sizeof(worker), "%u", i);
		metrics_add_u64(writer, (const char *const[]){worker},
				read_counter(telemetry.box->stats[i], *(const size_t *)context));
	}
}

static void
collect_sum(void *context, struct metrics_writer *writer)
{
	metrics_add_u64(writer, NULL, sum_over_workers(*(const size_t *)context));
}

static void
collect_by_port(void *context, struct metrics_writer *writer)
{
	const struct net *net = &telemetry.box->net;

	for (unsigned i = 0; i < net->n_ports; i++)
		metrics_add_u64(writer, (const char *const[]){net->ports[i].conf->name},
				sum_over_workers(*(const size_t *)context + i * sizeof(uint64_t)));
}

/* The device's name, or "pt-PORT" of a tap. */
static const char *
device_name(const struct net *net, unsigned device, char buffer[CONF_NAME_MAX + 4])
{
	for (unsigned i = 0; i < net->n_ports; i++) {
		if (net->ports[i].device == device)
			return net->ports[i].conf->device;
		if (net->ports[i].tap == device) {
			snprintf(buffer, CONF_NAME_MAX + 4, "pt-%s", net->ports[i].conf->name);
			return buffer;
		}
	}
	return "unknown";
}

static void
collect_by_device(void *context, struct metrics_writer *writer)
{
	const struct net *net = &telemetry.box->net;
	char buffer[CONF_NAME_MAX + 4];

	for (unsigned i = 0; i < net->n_devices; i++)
		metrics_add_u64(writer, (const char *const[]){device_name(net, i, buffer)},
				sum_over_workers(*(const size_t *)context + i * sizeof(uint64_t)));
}

static void
collect_heartbeats(void *context, struct metrics_writer *writer)
{
	uint64_t now_ms = clock_ms();

	(void)context;
	for (unsigned i = 0; i < telemetry.box->n_workers; i++) {
		uint64_t beat = LOAD(telemetry.box->stats[i]->heartbeat_ms);
		char worker[12];
		snprintf(worker, sizeof(worker), "%u", i);
		metrics_add_double(writer, (const char *const[]){worker},
				   now_ms > beat ? (double)(now_ms - beat) / 1000 : 0);
	}
}

static void
collect_adoption(void *context, struct metrics_writer *writer)
{
	const struct flow_adoption *adoption = &telemetry.box->adoption;
	const struct {
		const char *outcome;
		uint32_t flows;
	} rows[] = {
		{"spliced", adoption->spliced},
		{"closing", adoption->closing},
		{"forgotten", adoption->forgotten},
		{reason_text(REASON_ADOPT_HELD), adoption->held},
		{reason_text(REASON_ADOPT_BRIDGED), adoption->bridged},
		{reason_text(REASON_ADOPT_DAMAGED), adoption->damaged},
		{reason_text(REASON_ADOPT_ADDRESS), adoption->address},
		{reason_text(REASON_ADOPT_FULL), adoption->full},
	};

	(void)context;
	for (size_t i = 0; i < COUNT(rows); i++)
		metrics_add_u64(writer, (const char *const[]){rows[i].outcome}, rows[i].flows);
}

/* --- postern_* of the whole --------------------------------------------------------------------------------------- */

enum gauge {
	GAUGE_UPTIME,
	GAUGE_DRAINING,
	GAUGE_GENERATION,
	GAUGE_APPLIED,
	GAUGE_LAST_FAILED,
	GAUGE_RELOAD_FAILURES,
	GAUGE_LISTENERS,
	GAUGE_SERVICES,
	GAUGE_ENDPOINTS,
	GAUGES
};

/* Contexts of collect_gauge. */
static enum gauge gauges[GAUGES] = {GAUGE_UPTIME,    GAUGE_DRAINING,    GAUGE_GENERATION,
				    GAUGE_APPLIED,   GAUGE_LAST_FAILED, GAUGE_RELOAD_FAILURES,
				    GAUGE_LISTENERS, GAUGE_SERVICES,    GAUGE_ENDPOINTS};

static double
gauge_value(enum gauge gauge)
{
	const struct box *box = telemetry.box;
	const struct snapshot *snapshot = decide_snapshot(box->decide);
	uint64_t now_ms = clock_wall_ms();

	switch (gauge) {
	case GAUGE_UPTIME:
		return now_ms > box->started_wall_ms ? (double)(now_ms - box->started_wall_ms) / 1000 : 0;
	case GAUGE_DRAINING:
		return box->draining;
	case GAUGE_GENERATION:
		return (double)box->reload.generation;
	case GAUGE_APPLIED:
		return (double)box->reload.applied_wall_ms / 1000;
	case GAUGE_LAST_FAILED:
		return box->reload.last_failed;
	case GAUGE_RELOAD_FAILURES:
		return (double)box->reload.failures;
	case GAUGE_LISTENERS:
		return snapshot == NULL ? 0 : snapshot->n_listeners;
	case GAUGE_SERVICES:
		return snapshot == NULL ? 0 : snapshot->n_services;
	case GAUGE_ENDPOINTS:
		return snapshot == NULL ? 0 : snapshot->n_endpoints;
	case GAUGES:
		break;
	}
	return 0;
}

static void
collect_gauge(void *context, struct metrics_writer *writer)
{
	metrics_add_double(writer, NULL, gauge_value(*(const enum gauge *)context));
}

static const char *const reason_labels[] = {"reason"};
static const char *const state_labels[] = {"state"};
static const char *const outcome_labels[] = {"outcome"};
static const char *const table_labels[] = {"table"};
static const char *const worker_labels[] = {"worker"};
static const char *const port_labels[] = {"port"};
static const char *const device_labels[] = {"device"};
static enum reason_class packet_class = REASON_PACKET, refusal_class = REASON_REFUSAL, end_class = REASON_END;

#define OFFSET(field) (&(size_t){offsetof(struct worker_stats, field)})
#define SUM(name, field, help)                                                                                         \
	{                                                                                                              \
		name, help, METRICS_COUNTER, NULL, 0, collect_sum, OFFSET(field)                                       \
	}
#define GAUGE(name, which, help)                                                                                       \
	{                                                                                                              \
		name, help, METRICS_GAUGE, NULL, 0, collect_gauge, &gauges[which]                                      \
	}
#define BY(what, name, field, help)                                                                                    \
	{                                                                                                              \
		name, help, METRICS_COUNTER, LABELS(what##_labels), collect_by_##what, OFFSET(field)                   \
	}

static const struct metrics_family families[] = {
	{"postern_drops_total", "Packets dropped, by reason", METRICS_COUNTER, LABELS(reason_labels), collect_reasons,
	 &packet_class},
	{"postern_refusals_total", "Connections refused or that failed to be set up, by reason", METRICS_COUNTER,
	 LABELS(reason_labels), collect_reasons, &refusal_class},
	{"postern_flow_ends_total", "Established flows that ended, by reason", METRICS_COUNTER, LABELS(reason_labels),
	 collect_reasons, &end_class},
	{"postern_flows", "Flows now, by state", METRICS_GAUGE, LABELS(state_labels), collect_states, NULL},
	{"postern_adopted_flows", "Flows that the process before left, by what came of them at the start",
	 METRICS_GAUGE, LABELS(outcome_labels), collect_adoption, NULL},
	{"postern_table_used", "Entries in use, by table", METRICS_GAUGE, LABELS(table_labels), collect_used, NULL},
	{"postern_table_capacity", "Entries that there is room for, by table", METRICS_GAUGE, LABELS(table_labels),
	 collect_capacity, NULL},
	SUM("postern_syns_total", syns, "SYNs answered with a SYN cookie"),
	SUM("postern_syn_cookies_total", syn_acks, "SYN cookies that came back in a valid ACK"),
	SUM("postern_connections_opened_total", opened, "Connections that reached an endpoint"),
	SUM("postern_connections_ended_total", ended, "Connections that had reached an endpoint, and ended"),
	SUM("postern_connections_refused_total", refused, "Connections refused, or that reached no endpoint"),
	SUM("postern_spliced_packets_total", spliced_packets, "Packets rewritten and passed on"),
	SUM("postern_handed_over_packets_total", handed_over, "Packets given to the worker that owns their flow"),
	SUM("postern_to_host_packets_total", to_host, "Packets given to the host by a tap"),
	SUM("postern_from_host_packets_total", from_host, "Packets taken from the host by a tap"),
	SUM("postern_rsts_sent_total", rsts_sent, "RSTs sent"),
	SUM("postern_retransmissions_total", retransmissions, "Segments sent again by Postern itself"),
	SUM("postern_segments_split_total", segments_split, "Segments split because the endpoint takes smaller ones"),
	SUM("postern_arp_requests_total", arp_requests, "ARP requests sent"),
	SUM("postern_arp_replies_total", arp_replies, "ARP replies sent"),
	SUM("postern_nd_solicitations_total", nd_solicitations, "Neighbour solicitations sent"),
	SUM("postern_nd_advertisements_total", nd_advertisements, "Neighbour advertisements sent"),
	SUM("postern_echo_replies_total", echo_replies, "ICMP echo replies sent"),
	SUM("postern_address_conflicts_total", address_conflicts, "Claims of others to one of our addresses"),
	SUM("postern_events_lost_total", events_lost, "Lines missing from the access log, because it was behind"),
	BY(port, "postern_port_received_packets_total", rx_packets, "Packets received, by port"),
	BY(port, "postern_port_received_bytes_total", rx_bytes, "Bytes of frames received, by port"),
	BY(device, "postern_device_sent_packets_total", tx_packets, "Packets sent, by device"),
	BY(device, "postern_device_sent_bytes_total", tx_bytes, "Bytes of frames sent, by device"),
	BY(worker, "postern_worker_busy_cycles_total", busy_cycles, "Cycles of loops that found something to do"),
	BY(worker, "postern_worker_cycles_total", total_cycles, "Cycles in all, asleep or not"),
	BY(worker, "postern_worker_loops_total", loops, "Rounds of the worker's loop"),
	BY(worker, "postern_worker_sleeps_total", sleeps, "Times that the worker went to sleep"),
	{"postern_worker_heartbeat_age_seconds", "Time since the worker's last loop", METRICS_GAUGE,
	 LABELS(worker_labels), collect_heartbeats, NULL},
	GAUGE("postern_uptime_seconds", GAUGE_UPTIME, "Time since posternd started"),
	GAUGE("postern_draining", GAUGE_DRAINING, "1 while no new connections are taken"),
	GAUGE("postern_snapshot_generation", GAUGE_GENERATION, "Number of the federation in force, 1 at start"),
	GAUGE("postern_snapshot_applied_timestamp_seconds", GAUGE_APPLIED, "When the federation in force was applied"),
	GAUGE("postern_reload_last_failed", GAUGE_LAST_FAILED, "1 when the last reload was refused"),
	{"postern_reload_failures_total", "Reloads that were refused", METRICS_COUNTER, NULL, 0, collect_gauge,
	 &gauges[GAUGE_RELOAD_FAILURES]},
	GAUGE("postern_listeners", GAUGE_LISTENERS, "Listeners of the federation in force"),
	GAUGE("postern_services", GAUGE_SERVICES, "Services of the federation in force"),
	GAUGE("postern_endpoints", GAUGE_ENDPOINTS, "Endpoints of the federation in force"),
};

static void
register_all(struct metrics *metrics, const struct metrics_family *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!metrics_register(metrics, &list[i]))
			abort(); /* two of one name, or a wrong one: ours, at any start */
}

void
telemetry_register(struct metrics *metrics, const struct box *box)
{
	series_free(&telemetry.series);
	telemetry.box = box;
	register_all(metrics, istio_families, COUNT(istio_families));
	register_all(metrics, families, COUNT(families));
	telemetry_tls_register(metrics, &box->bridging);
}

static bool
is_live(void *context)
{
	(void)context;
	return box_is_alive(telemetry.box);
}

static bool
is_ready(void *context)
{
	(void)context;
	return box_is_alive(telemetry.box) && !telemetry.box->draining;
}

struct http *
telemetry_serve(uv_loop_t *loop, struct metrics *metrics, const struct box *box, const char *address,
		struct text *error)
{
	telemetry.box = box;
	telemetry.live = (struct http_health){is_live, NULL};
	telemetry.ready = (struct http_health){is_ready, NULL};
	telemetry.routes[0] = (struct http_route){"/metrics", http_respond_metrics, metrics};
	telemetry.routes[1] = (struct http_route){"/healthz/live", http_respond_health, &telemetry.live};
	telemetry.routes[2] = (struct http_route){"/healthz/ready", http_respond_health, &telemetry.ready};
	return http_start(loop, address, telemetry.routes, COUNT(telemetry.routes), error);
}

void
telemetry_serve_stop(struct http *http)
{
	if (http != NULL)
		http_stop(http);
}
