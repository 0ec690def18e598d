/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/telemetry.h"

#include <stdio.h>

#include "gateway/session_parts.h"
#include "gateway/telemetry_series.h"
#include "tests/unit/fake_box.h"

static void
count(struct fake_box *fake, unsigned worker, const char *address, struct live_counters counters)
{
	live_counters(fake->box.live, worker)[fake_box_endpoint(fake, address)->live] = counters;
}

static void
render(struct fake_box *fake, struct text *page)
{
	struct metrics metrics = {0};

	telemetry_register(&metrics, &fake->box);
	metrics_render(&metrics, false, page);
	metrics_free(&metrics);
}

/* How often needle is in page. */
static unsigned
occurrences(const struct text *page, const char *needle)
{
	unsigned n = 0;

	for (const char *at = page->bytes; (at = strstr(at, needle)) != NULL; at += strlen(needle))
		n++;
	return n;
}

/* Sessions with figures, of a box that never bridged anything. */
static struct sessions *
figure_sessions(struct fake_box *fake)
{
	struct sessions *sessions = sessions_create(&(struct sessions_options){
		.decide = fake->box.decide, .live = fake->box.live, .n_workers = FAKE_WORKERS});

	sessions->workers[0].stats.now[SESSION_JOINED] = 3;
	sessions->workers[1].stats.now[SESSION_JOINED] = 4;
	sessions->workers[1].stats.now[SESSION_ENDPOINT] = 1;
	sessions->workers[0].stats.handshakes[LEG_CLIENT][0][0] = 5;
	sessions->workers[1].stats.handshakes[LEG_CLIENT][0][0] = 6;
	sessions->workers[1].stats.handshakes[LEG_ENDPOINT][3][1] = 7;
	return sessions;
}

static void
test_bridging(void)
{
	struct fake_box fake;
	struct text page = {0};

	fake_box_open(&fake);
	render(&fake, &page);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_sessions{state=\"joined\"} 0\n"), 1);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_handshakes_total{"), 0);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_handshake_queue_capacity 0\n"), 1);
	text_free(&page);
	fake.box.bridging.sessions = figure_sessions(&fake);
	render(&fake, &page);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_sessions{state=\"joined\"} 7\n"), 1);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_sessions{state=\"endpoint\"} 1\n"), 1);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_handshakes_total{"), 2);
	CU_ASSERT_EQUAL(occurrences(&page, "\npostern_tls_handshakes_total{side=\"client\",version=\"TLSv1.3\","
					   "cipher=\"TLS_AES_128_GCM_SHA256\",resumed=\"false\"} 11\n"),
			1);
	CU_ASSERT_EQUAL(occurrences(&page,
				    "\npostern_tls_handshakes_total{side=\"endpoint\",version=\"TLSv1.2\",cipher="
				    "\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\",resumed=\"true\"} 7\n"),
			1);
	text_free(&page);
	sessions_free(fake.box.bridging.sessions);
	fake_box_close(&fake);
}

static void
test_istio_labels_and_direction(void)
{
	static const char labels[] =
		"{reporter=\"source\",source_workload=\"lulea-0421\",source_canonical_service=\"postern\","
		"source_canonical_revision=\"latest\",source_workload_namespace=\"unknown\","
		"source_principal=\"unknown\",source_app=\"postern\",source_version=\"latest\",source_cluster="
		"\"lulea\","
		"destination_service=\"payments.bank.svc.cluster.local\",destination_service_namespace=\"bank\","
		"destination_service_name=\"payments\",destination_workload=\"payments\","
		"destination_canonical_service=\"pay\",destination_canonical_revision=\"v1\","
		"destination_workload_namespace=\"bank\",destination_principal=\"unknown\",destination_app=\"pay\","
		"destination_version=\"v1\",destination_cluster=\"lulea\",request_protocol=\"tcp\","
		"response_flags=\"%s\",connection_security_policy=\"unknown\",source_region=\"eu-north\","
		"source_zone=\"lulea\",destination_region=\"eu-north\",destination_zone=\"lulea\"} ";
	static const struct {
		const char *name, *flags;
		unsigned value;
	} cases[] = {
		/* Two endpoints of the same labels and two workers: one sample. */
		{"istio_tcp_connections_opened_total", "-", 5 + 2 + 1},
		{"istio_tcp_connections_closed_total", "-", 3},
		{"istio_tcp_connections_failed_total", "CONNECT", 4},
		/* As the response sees it: sent is what went to the client. */
		{"istio_tcp_sent_bytes_total", "-", 90000},
		{"istio_tcp_received_bytes_total", "-", 700},
	};
	struct fake_box fake;
	struct text page = {0};

	fake_box_open(&fake);
	count(&fake, 0, "10.244.1.7",
	      (struct live_counters){.opened = 5, .closed = 3, .failed = 4, .sent = 700, .received = 90000});
	count(&fake, 1, "10.244.1.7", (struct live_counters){.opened = 2});
	count(&fake, 1, "10.244.1.8", (struct live_counters){.opened = 1});
	render(&fake, &page);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[2048];
		int n = snprintf(line, sizeof(line), "\n%s", cases[i].name);
		n += snprintf(line + n, sizeof(line) - (size_t)n, labels, cases[i].flags);
		snprintf(line + n, sizeof(line) - (size_t)n, "%u\n", cases[i].value);
		CU_ASSERT_EQUAL(occurrences(&page, line), 1);
		char prefix[96];
		snprintf(prefix, sizeof(prefix), "\n%s{", cases[i].name);
		CU_ASSERT_EQUAL(occurrences(&page, prefix), 1); /* endpoints never used make no sample */
	}
	text_free(&page);
	fake_box_close(&fake);
}

static void
test_missing_labels(void)
{
	struct fake_box fake;
	struct text page = {0};

	fake_box_open(&fake);
	count(&fake, 0, "2001:db8::7", (struct live_counters){.opened = 1});
	render(&fake, &page);
	CU_ASSERT_EQUAL(occurrences(&page, "istio_tcp_connections_opened_total{"), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(page.bytes, "destination_canonical_service=\"ledger\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(page.bytes, "destination_canonical_revision=\"latest\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(page.bytes, "destination_region=\"unknown\",destination_zone=\"unknown\""));
	text_free(&page);
	fake_box_close(&fake);
}

static void
test_own_families(void)
{
	static const char *const lines[] = {
		"postern_drops_total{reason=\"tcp_checksum\"} 12\n",
		"postern_refusals_total{reason=\"sni_no_match\"} 3\n",
		"postern_flow_ends_total{reason=\"closed\"} 9\n",
		"postern_flows{state=\"spliced\"} 11\n",
		"postern_adopted_flows{outcome=\"spliced\"} 7\n",
		"postern_adopted_flows{outcome=\"adopt_address\"} 2\n",
		"postern_table_used{table=\"flows\"} 11\n",
		"postern_table_capacity{table=\"flows\"} 32768\n",
		"postern_table_capacity{table=\"holds\"} 256\n",
		"postern_rsts_sent_total 5\n",
		"postern_port_received_packets_total{port=\"wan\"} 0\n",
		"postern_port_received_packets_total{port=\"lan\"} 30\n",
		"postern_device_sent_bytes_total{device=\"net_null0\"} 4000\n",
		"postern_worker_busy_cycles_total{worker=\"1\"} 77\n",
		"postern_snapshot_generation 1\n",
		"postern_reload_failures_total 2\n",
		"postern_draining 1\n",
		"postern_listeners 1\n",
		"postern_services 2\n",
		"postern_endpoints 4\n",
		"istio_tcp_sockets_open{reporter=\"source\"} 22\n",
	};
	struct fake_box fake;
	struct text page = {0};

	fake_box_open(&fake);
	fake.box.adoption = (struct flow_adoption){.found = 9, .spliced = 7, .address = 2};
	fake.box.stats[0]->reasons[REASON_TCP_CHECKSUM] = 5;
	fake.box.stats[1]->reasons[REASON_TCP_CHECKSUM] = 7;
	fake.box.stats[1]->reasons[REASON_SNI_NO_MATCH] = 3;
	fake.box.stats[0]->reasons[REASON_CLOSED] = 9;
	fake.box.stats[0]->states[FLOW_SPLICED] = 1;
	fake.box.stats[1]->states[FLOW_SPLICED] = 10;
	fake.box.stats[0]->rsts_sent = 5;
	fake.box.stats[0]->rx_packets[1] = 10;
	fake.box.stats[1]->rx_packets[1] = 20;
	fake.box.stats[1]->tx_bytes[0] = 4000;
	fake.box.stats[1]->busy_cycles = 77;
	fake.box.reload.failures = 2;
	fake.box.draining = true;
	render(&fake, &page);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		bool found = strstr(page.bytes, lines[i]) != NULL;
		CU_ASSERT_TRUE(found);
		if (!found)
			printf("\nmissing: %s", lines[i]);
	}
	/* A reason is in the family of its class and in no other; "none" in none. */
	CU_ASSERT_EQUAL(occurrences(&page, "{reason=\"sni_no_match\"}"), 1);
	CU_ASSERT_EQUAL(occurrences(&page, "{reason=\"none\"}"), 0);
	CU_ASSERT_EQUAL(occurrences(&page, "{reason="), REASON_COUNT - 1);
	text_free(&page);
	fake_box_close(&fake);
}

/* The value of a table's only series of that revision; all of them when it is NULL. */
static uint64_t
total(const struct series_table *table, const char *revision)
{
	const struct series *series;
	uint32_t position = 0;
	uint64_t sum = 0;

	while ((series = series_next(table, &position)) != NULL)
		if (revision == NULL || strcmp(series->labels[SERIES_CANONICAL_REVISION], revision) == 0)
			sum += series_value(series, SERIES_OPENED);
	return sum;
}

/* Slots are released, and begin at 0 when they are taken again; a counter that fell would look like a restart. */
static void
test_series_never_fall(void)
{
	struct fake_box fake;
	struct series_table table = {0};

	fake_box_open(&fake);
	count(&fake, 0, "10.244.1.7", (struct live_counters){.opened = 10});
	count(&fake, 0, "10.244.1.8", (struct live_counters){.opened = 5});
	series_refresh(&table, fake.box.live, "lulea");
	CU_ASSERT_EQUAL(total(&table, "v1"), 15);
	count(&fake, 0, "10.244.1.7", (struct live_counters){0});
	series_refresh(&table, fake.box.live, "lulea");
	CU_ASSERT_EQUAL(total(&table, "v1"), 15);
	count(&fake, 0, "10.244.1.8", (struct live_counters){.opened = 8});
	series_refresh(&table, fake.box.live, "lulea");
	CU_ASSERT_EQUAL(total(&table, "v1"), 18);
	/* Without a slot left the series goes. */
	count(&fake, 0, "10.244.1.8", (struct live_counters){0});
	series_refresh(&table, fake.box.live, "lulea");
	CU_ASSERT_EQUAL(table.n, 0);
	CU_ASSERT_EQUAL(total(&table, NULL), 0);
	series_free(&table);
	fake_box_close(&fake);
}

static void
test_series_beyond_the_limit(void)
{
	struct fake_box fake;
	struct series_table table = {.limit = 1};
	uint32_t position = 0;
	unsigned n = 0;

	fake_box_open(&fake);
	count(&fake, 0, "10.244.1.7", (struct live_counters){.opened = 1});
	count(&fake, 0, "10.244.2.9", (struct live_counters){.opened = 20});
	count(&fake, 0, "2001:db8::7", (struct live_counters){.opened = 300});
	series_refresh(&table, fake.box.live, "lulea");
	while (series_next(&table, &position) != NULL)
		n++;
	CU_ASSERT_EQUAL(n, 2);
	CU_ASSERT_EQUAL(total(&table, "other") + total(&table, "v1") + total(&table, "v2"), 321);
	CU_ASSERT_TRUE(total(&table, "other") > 0);
	CU_ASSERT_EQUAL(total(&table, NULL), 321);
	/* What was told apart stays so, and what is folded stays folded. */
	uint64_t folded = total(&table, "other");
	series_refresh(&table, fake.box.live, "lulea");
	CU_ASSERT_EQUAL(total(&table, "other"), folded);
	series_free(&table);
	fake_box_close(&fake);
}

/* More series than the first table has room for: it grows in the middle of a walk and loses none. */
static void
test_series_grow(void)
{
	struct live *live = live_create(1, 1024);
	struct series_table table = {0};
	struct text yaml = {0};

	text_print(&yaml, "apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: x }\n"
			  "spec: { trustDomain: x.example, clusterID: x }\n---\n"
			  "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: s }\nspec:\n"
			  "  hosts: [ s.example ]\n  location: MESH_INTERNAL\n  resolution: STATIC\n"
			  "  ports: [ { number: 443, name: tls, protocol: TLS } ]\n  endpoints:\n");
	for (unsigned i = 0; i < 200; i++)
		text_print(&yaml, "  - { address: 10.0.0.%u, labels: { version: v%u } }\n", i + 1, i);
	struct snapshot_slots slots = live_snapshot_slots(live);
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load_bytes("t.yaml", yaml.bytes, yaml.length, &slots, &diagnostics);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	live_commit(live, snapshot);
	for (uint32_t i = 0; i < snapshot->n_endpoints; i++)
		live_counters(live, 0)[snapshot->endpoints[i].live].opened = i + 1;
	for (unsigned round = 0; round < 2; round++) {
		series_refresh(&table, live, "x");
		CU_ASSERT_EQUAL(table.n, 200);
		CU_ASSERT_EQUAL(total(&table, NULL), 200 * 201 / 2);
		CU_ASSERT_EQUAL(total(&table, "v199"), 200);
	}
	diagnostics_free(&diagnostics);
	snapshot_free(snapshot);
	series_free(&table);
	text_free(&yaml);
	live_free(live);
}

static CU_TestInfo tests[] = {
	{"istio's labels, values and directions", test_istio_labels_and_direction},
	{"missing labels", test_missing_labels},
	{"our own families", test_own_families},
	{"TLS that ends here", test_bridging},
	{"series never fall", test_series_never_fall},
	{"series beyond the limit", test_series_beyond_the_limit},
	{"series grow", test_series_grow},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("telemetry", tests);
}
