/* SPDX-License-Identifier: Apache-2.0 */
/* kind: DestinationRule: a service's subsets, how to balance over its endpoints, and its limits. */
#include "federation/documents.h"
#include "federation/syntax.h"

enum { SPEC_HOST, SPEC_SUBSETS, SPEC_POLICY, SPEC_FIELDS };
static const struct schema_field spec_fields[] = {
	[SPEC_HOST] = {"host", SHAPE_TEXT, true},
	[SPEC_SUBSETS] = {"subsets", SHAPE_LIST, false},
	[SPEC_POLICY] = {"trafficPolicy", SHAPE_MAPPING, false},
};
static const char *const spec_unsupported[] = {"exportTo", "workloadSelector", NULL};
static const struct schema spec_schema = {"DestinationRule spec", spec_fields, SPEC_FIELDS, spec_unsupported};

enum { SUBSET_NAME, SUBSET_LABELS, SUBSET_POLICY, SUBSET_FIELDS };
static const struct schema_field subset_fields[] = {
	[SUBSET_NAME] = {"name", SHAPE_TEXT, true},
	/* Without labels a subset would be the whole service. */
	[SUBSET_LABELS] = {"labels", SHAPE_MAPPING, true},
	[SUBSET_POLICY] = {"trafficPolicy", SHAPE_MAPPING, false},
};
static const struct schema subset_schema = {"DestinationRule spec.subsets[]", subset_fields, SUBSET_FIELDS, NULL};

enum { POLICY_BALANCER, POLICY_POOL, POLICY_FIELDS };
static const struct schema_field policy_fields[] = {
	[POLICY_BALANCER] = {"loadBalancer", SHAPE_MAPPING, false},
	[POLICY_POOL] = {"connectionPool", SHAPE_MAPPING, false},
};
static const char *const policy_unsupported[] = {
	"outlierDetection", "tls", "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget", NULL};
static const struct schema policy_schema = {"trafficPolicy", policy_fields, POLICY_FIELDS, policy_unsupported};

enum { BALANCER_SIMPLE, BALANCER_FIELDS };
static const struct schema_field balancer_fields[] = {
	[BALANCER_SIMPLE] = {"simple", SHAPE_TEXT, false},
};
static const char *const balancer_unsupported[] = {"consistentHash", "localityLbSetting", "warmupDurationSecs",
						   "warmup", NULL};
static const struct schema balancer_schema = {"trafficPolicy.loadBalancer", balancer_fields, BALANCER_FIELDS,
					      balancer_unsupported};

enum { POOL_TCP, POOL_FIELDS };
static const struct schema_field pool_fields[] = {
	[POOL_TCP] = {"tcp", SHAPE_MAPPING, false},
};
static const char *const pool_unsupported[] = {"http", NULL};
static const struct schema pool_schema = {"trafficPolicy.connectionPool", pool_fields, POOL_FIELDS, pool_unsupported};

enum { TCP_MAX_CONNECTIONS, TCP_CONNECT_TIMEOUT, TCP_FIELDS };
static const struct schema_field tcp_fields[] = {
	[TCP_MAX_CONNECTIONS] = {"maxConnections", SHAPE_NUMBER, false},
	[TCP_CONNECT_TIMEOUT] = {"connectTimeout", SHAPE_TEXT, false},
};
static const char *const tcp_unsupported[] = {"tcpKeepalive", "maxConnectionDuration", "idleTimeout", NULL};
static const struct schema tcp_schema = {"trafficPolicy.connectionPool.tcp", tcp_fields, TCP_FIELDS, tcp_unsupported};

static const char *const balancers[] = {[LB_ROUND_ROBIN] = "ROUND_ROBIN",
					[LB_LEAST_REQUEST] = "LEAST_REQUEST",
					[LB_RANDOM] = "RANDOM",
					"UNSPECIFIED",
					"LEAST_CONN",
					"PASSTHROUGH",
					NULL};
enum { BALANCERS_SUPPORTED = LB_RANDOM + 1, CONNECT_TIMEOUT_DEFAULT_MS = 10000, SUBSETS_MAX = 1024 };

static void
read_tcp(struct reader *reader, const struct yaml_node *node, struct model_policy *policy)
{
	const struct yaml_node *values[TCP_FIELDS];
	int64_t connections;

	schema_read(reader, node, &tcp_schema, values);
	if (values[TCP_MAX_CONNECTIONS] != NULL && schema_number(reader, values[TCP_MAX_CONNECTIONS], 1, INT32_MAX,
								 PN_BAD_COUNT, "maxConnections", &connections))
		policy->max_connections = (uint32_t)connections;
	const struct yaml_node *timeout = values[TCP_CONNECT_TIMEOUT];
	if (timeout == NULL)
		return;
	const char *wrong = syntax_duration(timeout->text, timeout->length, &policy->connect_timeout_ms);
	if (wrong != NULL)
		report_error(reader->report, reader_origin(reader, timeout), PN_BAD_DURATION,
			     "connectTimeout \"%s\" %s", quote(timeout->text, timeout->length).text, wrong);
}

static void
read_policy(struct reader *reader, const struct yaml_node *node, struct model_policy *policy)
{
	const struct yaml_node *values[POLICY_FIELDS], *balancer[BALANCER_FIELDS], *pool[POOL_FIELDS];
	unsigned choice;

	schema_read(reader, node, &policy_schema, values);
	if (values[POLICY_BALANCER] != NULL) {
		schema_read(reader, values[POLICY_BALANCER], &balancer_schema, balancer);
		policy->has_balancer = true;
		if (balancer[BALANCER_SIMPLE] != NULL &&
		    schema_choice(reader, balancer[BALANCER_SIMPLE], balancers, BALANCERS_SUPPORTED,
				  "loadBalancer.simple", &choice))
			policy->balancer = (enum load_balancer)choice;
	}
	if (values[POLICY_POOL] != NULL) {
		policy->has_pool = true;
		schema_read(reader, values[POLICY_POOL], &pool_schema, pool);
		if (pool[POOL_TCP] != NULL)
			read_tcp(reader, pool[POOL_TCP], policy);
	}
}

static struct model_policy
default_policy(void)
{
	return (struct model_policy){.balancer = LB_LEAST_REQUEST,
				     .connect_timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS,
				     .max_connections = UINT32_MAX};
}

/* What a subset's policy says, it says whole, and what it leaves out is the rule's: loadBalancer and connectionPool are
 * taken as units, as Istio does, so a subset's pool with only maxConnections has the default connectTimeout. */
static void
inherit_policy(struct model_policy *policy, const struct model_policy *from)
{
	if (!policy->has_balancer)
		policy->balancer = from->balancer;
	if (!policy->has_pool) {
		policy->connect_timeout_ms = from->connect_timeout_ms;
		policy->max_connections = from->max_connections;
	}
}

static bool
read_subset(struct reader *reader, const struct yaml_node *node, struct model_subset *subset)
{
	const struct yaml_node *values[SUBSET_FIELDS];

	bool right = schema_read(reader, node, &subset_schema, values);
	subset->policy = default_policy();
	if (values[SUBSET_NAME] != NULL) {
		subset->name.origin = reader_origin(reader, values[SUBSET_NAME]);
		/* Lower-case because it travels in the server name, which has no case. */
		right = schema_name(reader, values[SUBSET_NAME], syntax_dns_label, PN_BAD_IDENTIFIER, "subset",
				    &subset->name.name) &&
			right;
	}
	if (values[SUBSET_LABELS] != NULL)
		right = documents_not_empty(reader, values[SUBSET_LABELS], "labels of a subset") &&
			schema_labels(reader, values[SUBSET_LABELS], &subset->labels) && right;
	if (values[SUBSET_POLICY] != NULL)
		read_policy(reader, values[SUBSET_POLICY], &subset->policy);
	return right;
}

static void
read_subsets(struct reader *reader, const struct yaml_node *list, struct model_rule *rule)
{
	struct name_map names = {0};

	if (list->length > SUBSETS_MAX) {
		report_error(reader->report, reader_origin(reader, list), PN_BAD_COUNT,
			     "a service can't have more than %d subsets", SUBSETS_MAX);
		rule->subsets_uncertain = true;
		return;
	}
	rule->subsets = arena_array(&reader->model->arena, list->length, sizeof(*rule->subsets));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		struct model_subset *subset = &rule->subsets[rule->n_subsets];
		uint32_t *line;
		if (!read_subset(reader, node, subset)) {
			rule->subsets_uncertain = true;
			*subset = (struct model_subset){0};
			continue;
		}
		if (!name_map_add(&names, subset->name.name.bytes, subset->name.name.length, NULL, &line)) {
			report_error(reader->report, subset->name.origin, PN_DUPLICATE_SUBSET,
				     "a subset named \"%s\" is in this DestinationRule already, on line %u",
				     subset->name.name.bytes, *line);
			continue;
		}
		*line = subset->name.origin.line;
		inherit_policy(&subset->policy, &rule->policy);
		rule->n_subsets++;
	}
	name_map_free(&names);
}

void
destination_rule_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_rule *rule = arena_alloc(&model->arena, sizeof(*rule));
	struct name host;

	bool right = schema_read(reader, spec, &spec_schema, values);
	rule->meta = *meta;
	rule->policy = default_policy();
	if (values[SPEC_HOST] != NULL && schema_host(reader, values[SPEC_HOST], true, &host)) {
		rule->host.name = documents_full_host(model, host, meta->space);
		rule->host.origin = reader_origin(reader, values[SPEC_HOST]);
	} else {
		rule->host_uncertain = true;
		model->rules_uncertain = true;
	}
	if (values[SPEC_POLICY] != NULL)
		read_policy(reader, values[SPEC_POLICY], &rule->policy);
	if (values[SPEC_SUBSETS] != NULL)
		read_subsets(reader, values[SPEC_SUBSETS], rule);
	else
		rule->subsets_uncertain = !right;
	if (!documents_claim(reader, "DestinationRule", meta)) {
		model->rules_uncertain = true;
		return;
	}
	*model->rules_end = rule;
	model->rules_end = &rule->next;
}
