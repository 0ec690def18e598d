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

enum { POLICY_BALANCER, POLICY_POOL, POLICY_TLS, POLICY_PORTS, POLICY_PROXY, POLICY_FIELDS };
static const struct schema_field policy_fields[] = {
	[POLICY_BALANCER] = {"loadBalancer", SHAPE_MAPPING, false},
	[POLICY_POOL] = {"connectionPool", SHAPE_MAPPING, false},
	[POLICY_TLS] = {"tls", SHAPE_MAPPING, false},
	[POLICY_PORTS] = {"portLevelSettings", SHAPE_LIST, false},
	[POLICY_PROXY] = {"proxyProtocol", SHAPE_MAPPING, false},
};
static const char *const policy_unsupported[] = {"outlierDetection", "tunnel", "retryBudget", NULL};
static const struct schema policy_schema = {"trafficPolicy", policy_fields, POLICY_FIELDS, policy_unsupported};

enum { SETTINGS_BALANCER, SETTINGS_POOL, SETTINGS_TLS, SETTINGS_PORT, SETTINGS_FIELDS };
static const struct schema_field settings_fields[] = {
	[SETTINGS_BALANCER] = {"loadBalancer", SHAPE_MAPPING, false},
	[SETTINGS_POOL] = {"connectionPool", SHAPE_MAPPING, false},
	[SETTINGS_TLS] = {"tls", SHAPE_MAPPING, false},
	[SETTINGS_PORT] = {"port", SHAPE_MAPPING, true},
};
static const char *const settings_unsupported[] = {"outlierDetection", NULL};
static const struct schema settings_schema = {"trafficPolicy.portLevelSettings[]", settings_fields, SETTINGS_FIELDS,
					      settings_unsupported};

enum { PORT_NUMBER, PORT_FIELDS };
static const struct schema_field port_fields[] = {
	[PORT_NUMBER] = {"number", SHAPE_NUMBER, true},
};
static const struct schema port_schema = {"trafficPolicy.portLevelSettings[].port", port_fields, PORT_FIELDS, NULL};

enum { PROXY_VERSION, PROXY_FIELDS };
static const struct schema_field proxy_fields[] = {
	/* Istio's default is V1, which has no room for an identity. */
	[PROXY_VERSION] = {"version", SHAPE_TEXT, true},
};
static const struct schema proxy_schema = {"trafficPolicy.proxyProtocol", proxy_fields, PROXY_FIELDS, NULL};
static const char *const proxy_versions[] = {"V2", "V1", NULL};
enum { PROXY_VERSIONS_SUPPORTED = 1 };

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
/* So few ports that each may be compared with each. */
enum { BALANCERS_SUPPORTED = LB_RANDOM + 1, SUBSETS_MAX = 1024, PORTS_MAX = 256 };

static void
read_tcp(struct reader *reader, const struct yaml_node *node, struct model_policy *policy)
{
	const struct yaml_node *values[TCP_FIELDS];
	int64_t connections;

	schema_read(reader, node, &tcp_schema, values);
	if (values[TCP_MAX_CONNECTIONS] != NULL && schema_number(reader, values[TCP_MAX_CONNECTIONS], 1, INT32_MAX,
								 PN_BAD_COUNT, "maxConnections", &connections))
		policy->max_connections = (uint32_t)connections;
	if (values[TCP_CONNECT_TIMEOUT] != NULL)
		schema_duration(reader, values[TCP_CONNECT_TIMEOUT], "connectTimeout", &policy->connect_timeout_ms);
}

/* What all and what a port may have alike. Each may be NULL. */
static void
read_common(struct reader *reader, const struct yaml_node *balancer, const struct yaml_node *pool,
	    const struct yaml_node *tls, struct model_policy *policy)
{
	const struct yaml_node *balancer_values[BALANCER_FIELDS], *pool_values[POOL_FIELDS];
	unsigned choice;

	*policy = model_policy_default();
	if (balancer != NULL) {
		schema_read(reader, balancer, &balancer_schema, balancer_values);
		policy->has_balancer = true;
		if (balancer_values[BALANCER_SIMPLE] != NULL &&
		    schema_choice(reader, balancer_values[BALANCER_SIMPLE], balancers, BALANCERS_SUPPORTED,
				  "loadBalancer.simple", &choice))
			policy->balancer = (enum load_balancer)choice;
	}
	if (pool != NULL) {
		policy->has_pool = true;
		schema_read(reader, pool, &pool_schema, pool_values);
		if (pool_values[POOL_TCP] != NULL)
			read_tcp(reader, pool_values[POOL_TCP], policy);
	}
	if (tls != NULL)
		policy->tls = tls_client_read(reader, tls);
}

static bool
read_port(struct reader *reader, const struct yaml_node *node, uint16_t *port)
{
	const struct yaml_node *values[PORT_FIELDS];

	schema_read(reader, node, &port_schema, values);
	return values[PORT_NUMBER] != NULL && schema_port(reader, values[PORT_NUMBER], port);
}

static void
read_ports(struct reader *reader, const struct yaml_node *list, struct model_policy *policy)
{
	if (list->length > PORTS_MAX) {
		report_error(reader->report, reader_origin(reader, list), PN_BAD_COUNT,
			     "a trafficPolicy can't have settings for more than %d ports", PORTS_MAX);
		return;
	}
	policy->ports = arena_array(&reader->model->arena, list->length, sizeof(*policy->ports));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		const struct yaml_node *values[SETTINGS_FIELDS];
		struct model_port_policy *settings = &policy->ports[policy->n_ports];
		schema_read(reader, node, &settings_schema, values);
		read_common(reader, values[SETTINGS_BALANCER], values[SETTINGS_POOL], values[SETTINGS_TLS],
			    &settings->policy);
		if (values[SETTINGS_PORT] == NULL || !read_port(reader, values[SETTINGS_PORT], &settings->port))
			continue;
		for (uint32_t i = 0; i < policy->n_ports; i++) {
			if (policy->ports[i].port == settings->port)
				report_error(reader->report, reader_origin(reader, values[SETTINGS_PORT]),
					     PN_DUPLICATE_PORT, "port %u has settings in this trafficPolicy already",
					     settings->port);
		}
		policy->n_ports++;
	}
}

static void
read_policy(struct reader *reader, const struct yaml_node *node, struct model_policy *policy)
{
	const struct yaml_node *values[POLICY_FIELDS], *proxy[PROXY_FIELDS];
	unsigned version;

	schema_read(reader, node, &policy_schema, values);
	read_common(reader, values[POLICY_BALANCER], values[POLICY_POOL], values[POLICY_TLS], policy);
	if (values[POLICY_PORTS] != NULL)
		read_ports(reader, values[POLICY_PORTS], policy);
	if (values[POLICY_PROXY] == NULL)
		return;
	policy->has_proxy = true;
	policy->proxy_origin = reader_origin(reader, values[POLICY_PROXY]->key);
	schema_read(reader, values[POLICY_PROXY], &proxy_schema, proxy);
	if (proxy[PROXY_VERSION] != NULL)
		schema_choice(reader, proxy[PROXY_VERSION], proxy_versions, PROXY_VERSIONS_SUPPORTED,
			      "proxyProtocol.version", &version);
}

static bool
read_subset(struct reader *reader, const struct yaml_node *node, struct model_subset *subset)
{
	const struct yaml_node *values[SUBSET_FIELDS];

	bool right = schema_read(reader, node, &subset_schema, values);
	subset->policy = model_policy_default();
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
	rule->policy = model_policy_default();
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
