/* SPDX-License-Identifier: Apache-2.0 */
/* What explain says, as people see it, held against tests/data/explain/site.expected; and that it says what connections
 * meet. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ctl_explain.h"
#include "gateway/explain.h"
#include "gateway/live.h"

#define SITE "tests/data/explain/site"

static const struct explain_query queries[] = {
	/* a legacy certificate: mapped by name, by wildcard, by no rule, of another PKI */
	{"corp/billing.corp.example", "pay.corp.example:443", NULL, NULL, NULL},
	{"corp/billing.corp.example", "Pay.Corp.Example.:443", "bank/legacy", "192.0.2.7", NULL},
	{"corp/7.meters.corp.example", "pay.corp.example:443", NULL, NULL, NULL},
	{"corp/other.corp.example", "pay.corp.example:443", NULL, NULL, NULL},
	{"old/billing.corp.example", "pay.corp.example:443", NULL, NULL, NULL},
	/* the ID that a rule gives, and one that none does */
	{"spiffe://corp.example/vm/billing", "pay.corp.example:443", NULL, NULL, NULL},
	{"spiffe://corp.example/meter/8/x", "pay.corp.example:443", NULL, NULL, NULL},
	{"spiffe://corp.example/meter/8/9/x", "pay.corp.example:443", NULL, NULL, NULL},
	{"10.40.0.7", "pay.corp.example:443", NULL, NULL, NULL},
	/* SPIFFE: ours, federated, unknown; denied before it is allowed */
	{"spiffe://here.example/ns/bank/sa/teller", "payments.example:444", NULL, NULL, NULL},
	{"spiffe://here.example/ns/shop/sa/clerk", "payments.example:444", NULL, NULL, NULL},
	{"spiffe://here.example/ns/bank/sa/teller", "payments.example:444", NULL, "10.66.1.1", NULL},
	{"spiffe://core.example/ns/bank/sa/teller", "payments.example:444", NULL, NULL, NULL},
	{"spiffe://core.example/ns/shop/sa/clerk", "payments.example:444", NULL, "192.0.2.7", NULL},
	{"spiffe://core.example/ns/bank/sa/bad", "payments.example:444", NULL, NULL, NULL},
	{"spiffe://evil.example/ns/bank/sa/teller", "payments.example:444", NULL, NULL, NULL},
	{"corp/billing.corp.example", "payments.example:444", NULL, NULL, NULL},
	/* nobody, by TLS and by place */
	{"192.0.2.7", "open.example:445", NULL, NULL, NULL},
	{"198.51.100.7", "open.example:445", NULL, NULL, NULL},
	{"10.40.0.7", "192.0.2.1:8080", NULL, NULL, NULL},
	{"10.40.0.7", "192.0.2.1:8080", NULL, NULL, "vm0"},
	{"10.40.0.7", "192.0.2.1:8080", NULL, NULL, "vm1"},
	{"10.41.0.7", "192.0.2.1:8080", NULL, NULL, NULL},
	/* passed through */
	{"10.0.0.1", "edge.example:446", NULL, NULL, NULL},
	{"10.0.0.1", "payments.bank.svc.cluster.local:8443", "15443", NULL, NULL},
	{"10.0.0.1", "payments.bank.svc.cluster.local:8444", "15443", NULL, NULL},
	/* by the service, whatever the name */
	{"spiffe://here.example/ns/bank/sa/teller", "ledger.bank.svc.cluster.local:8444", NULL, NULL, NULL},
	/* nowhere */
	{"10.0.0.1", "other.example:446", NULL, NULL, NULL},
	{"10.0.0.1", "other.example:447", NULL, NULL, NULL},
	{"10.0.0.1", "192.0.2.1:447", NULL, NULL, NULL},
	{"10.0.0.1", "pay.corp.example:443", "bank/mesh", NULL, NULL},
	/* no question */
	{"spiffe://here.example", "edge.example:446", NULL, NULL, NULL},
	{"spiffe://Here.example/a", "edge.example:446", NULL, NULL, NULL},
	{"someone", "edge.example:446", NULL, NULL, NULL},
	{"corp/a/b", "edge.example:446", NULL, NULL, NULL},
	{"10.0.0.1", "edge.example", NULL, NULL, NULL},
	{"10.0.0.1", "edge..example:446", NULL, NULL, NULL},
	{"10.0.0.1", "edge.example:70000", NULL, NULL, NULL},
	{"10.0.0.1", "edge.example:446", NULL, "x", NULL},
};
enum { QUERIES = sizeof(queries) / sizeof(*queries) };

static struct snapshot *
load(const struct snapshot_slots *slots)
{
	static const char *const paths[] = {SITE ".yaml"};
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot = federation_load(paths, 1, slots, &diagnostics);

	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	CU_ASSERT(diagnostics.n == 0);
	diagnostics_free(&diagnostics);
	return snapshot;
}

static void
add(FILE *out, const char *option, const char *value)
{
	if (value != NULL)
		fprintf(out, " --%s %s", option, value);
}

static void
show(const struct snapshot *snapshot, const struct explain_query *query, FILE *out)
{
	struct text error = {0};

	fprintf(out, "$ explain");
	add(out, "from", query->from);
	add(out, "to", query->to);
	add(out, "listener", query->listener);
	add(out, "address", query->address);
	add(out, "interface", query->interface);
	fputs("\n", out);
	json_t *document = explain(snapshot, NULL, query, &error);
	CU_ASSERT((document == NULL) == (error.length > 0));
	if (document == NULL) {
		fprintf(out, "%s\n\n", error.bytes);
	} else {
		ctl_explain_show(document, out);
		fprintf(out, "= %s\n\n", json_is_true(json_object_get(document, "allowed")) ? "allowed" : "refused");
	}
	json_decref(document);
	text_free(&error);
}

static void
read_file(const char *path, struct text *content)
{
	char chunk[4096];
	FILE *file = fopen(path, "rb");

	text_add(content, "", 0);
	for (size_t n; file != NULL && (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
		text_add(content, chunk, n);
	if (file != NULL)
		fclose(file);
}

static void
test_text(void)
{
	struct snapshot *snapshot = load(NULL);
	struct text expected = {0};
	size_t length;
	char *shown;
	FILE *out = open_memstream(&shown, &length);

	for (size_t i = 0; i < QUERIES; i++)
		show(snapshot, &queries[i], out);
	fclose(out);
	read_file(SITE ".expected", &expected);
	CU_ASSERT_STRING_EQUAL(shown, expected.bytes);
	if (strcmp(shown, expected.bytes) != 0) {
		FILE *differs = fopen("build/explain.shown", "wb");
		if (differs != NULL) {
			fputs(shown, differs);
			fclose(differs);
		}
		printf("\ndiff %s.expected build/explain.shown\n", SITE);
	}
	free(shown);
	text_free(&expected);
	snapshot_free(snapshot);
}

static void
test_json(void)
{
	struct live *live = live_create(1, 256);
	const struct snapshot_slots slots = live_snapshot_slots(live);
	struct snapshot *snapshot = load(&slots);
	struct text error = {0};
	const struct explain_query query = {.from = "corp/7.meters.corp.example", .to = "pay.corp.example:443"};

	json_t *document = explain(snapshot, live, &query, &error);
	const json_t *way = json_array_get(json_object_get(document, "ways"), 0);
	const json_t *destination = json_array_get(json_object_get(way, "destinations"), 0);
	const json_t *nearest = json_object_get(destination, "nearest");
	const json_t *endpoint = json_array_get(json_object_get(destination, "endpoints"), 0);
	CU_ASSERT(json_is_false(json_object_get(document, "allowed")));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(destination, "reason")), "authz_not_allowed");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(way, "client"), "spiffe_id")),
			       "spiffe://corp.example/meter/7/x");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(nearest, "name")), "bank/payments");
	CU_ASSERT(json_array_size(json_object_get(nearest, "fails")) == 1);
	CU_ASSERT(json_integer_value(json_object_get(endpoint, "active")) == 0);
	CU_ASSERT(json_is_integer(json_object_get(endpoint, "active")));
	json_decref(document);
	snapshot_free(snapshot);
	live_free(live);
	text_free(&error);
}

static const CU_TestInfo tests[] = {{"every mode of a listener", test_text},
				    {"the answer as JSON, with what is live", test_json},
				    CU_TEST_INFO_NULL};

int
main(void)
{
	return unit_run("explain", tests);
}
