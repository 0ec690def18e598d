/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind: AuthorizationPolicy: who may open a connection to what.
 *
 * What Istio would let pass in silence and what then matches nobody, or everybody, is an error here: an empty list, a
 * pattern with a '*' in the middle, a principal with its scheme, a trust domain that a prefix leaves unfinished.
 */
#include <stdio.h>
#include <string.h>

#include "federation/documents.h"
#include "federation/policy_model.h"
#include "federation/policy_patterns.h"
#include "federation/syntax.h"

enum { SPEC_TARGETS, SPEC_ACTION, SPEC_RULES, SPEC_FIELDS };
static const struct schema_field spec_fields[] = {
	[SPEC_TARGETS] = {"targetRefs", SHAPE_LIST, false},
	[SPEC_ACTION] = {"action", SHAPE_TEXT, false},
	[SPEC_RULES] = {"rules", SHAPE_LIST, false},
};
static const char *const spec_unsupported[] = {"selector", "targetRef", "provider", NULL};
static const struct schema spec_schema = {"AuthorizationPolicy spec", spec_fields, SPEC_FIELDS, spec_unsupported};

enum { TARGET_GROUP, TARGET_KIND, TARGET_NAME, TARGET_NAMESPACE, TARGET_FIELDS };
static const struct schema_field target_fields[] = {
	[TARGET_GROUP] = {"group", SHAPE_TEXT, false},
	[TARGET_KIND] = {"kind", SHAPE_TEXT, true},
	[TARGET_NAME] = {"name", SHAPE_TEXT, true},
	[TARGET_NAMESPACE] = {"namespace", SHAPE_TEXT, false},
};
static const char *const target_unsupported[] = {"sectionName", NULL};
static const struct schema target_schema = {"AuthorizationPolicy spec.targetRefs[]", target_fields, TARGET_FIELDS,
					    target_unsupported};

enum { RULE_FROM, RULE_TO, RULE_WHEN, RULE_FIELDS };
static const struct schema_field rule_fields[] = {
	[RULE_FROM] = {"from", SHAPE_LIST, false},
	[RULE_TO] = {"to", SHAPE_LIST, false},
	[RULE_WHEN] = {"when", SHAPE_LIST, false},
};
static const struct schema rule_schema = {"AuthorizationPolicy spec.rules[]", rule_fields, RULE_FIELDS, NULL};

static const struct schema_field from_fields[] = {{"source", SHAPE_MAPPING, true}};
static const struct schema from_schema = {"AuthorizationPolicy spec.rules[].from[]", from_fields, 1, NULL};
static const struct schema_field to_fields[] = {{"operation", SHAPE_MAPPING, true}};
static const struct schema to_schema = {"AuthorizationPolicy spec.rules[].to[]", to_fields, 1, NULL};

/* A field of conditions: what it is about, and the reader of one of its values. */
struct condition_field {
	enum policy_field field;
	bool negated;
	policy_pattern_read *read;
};

enum { SOURCE_FIELDS = 8 };
static const struct schema_field source_fields[] = {
	{"principals", SHAPE_LIST, false},      {"notPrincipals", SHAPE_LIST, false},
	{"namespaces", SHAPE_LIST, false},      {"notNamespaces", SHAPE_LIST, false},
	{"serviceAccounts", SHAPE_LIST, false}, {"notServiceAccounts", SHAPE_LIST, false},
	{"ipBlocks", SHAPE_LIST, false},        {"notIpBlocks", SHAPE_LIST, false},
};
static const struct condition_field source_conditions[SOURCE_FIELDS] = {
	{POLICY_PRINCIPAL, false, policy_principal_read}, {POLICY_PRINCIPAL, true, policy_principal_read},
	{POLICY_NAMESPACE, false, policy_namespace_read}, {POLICY_NAMESPACE, true, policy_namespace_read},
	{POLICY_ACCOUNT, false, policy_account_read},     {POLICY_ACCOUNT, true, policy_account_read},
	{POLICY_ADDRESS, false, policy_address_read},     {POLICY_ADDRESS, true, policy_address_read},
};
static const char *const source_unsupported[] = {"requestPrincipals", "notRequestPrincipals", "remoteIpBlocks",
						 "notRemoteIpBlocks", NULL};
static const struct schema source_schema = {"AuthorizationPolicy source", source_fields, SOURCE_FIELDS,
					    source_unsupported};

enum { OPERATION_FIELDS = 4 };
static const struct schema_field operation_fields[] = {
	{"ports", SHAPE_LIST, false},
	{"notPorts", SHAPE_LIST, false},
	{"hosts", SHAPE_LIST, false},
	{"notHosts", SHAPE_LIST, false},
};
static const struct condition_field operation_conditions[OPERATION_FIELDS] = {
	{POLICY_PORT, false, policy_port_read},
	{POLICY_PORT, true, policy_port_read},
	{POLICY_HOST, false, policy_host_read},
	{POLICY_HOST, true, policy_host_read},
};
static const char *const operation_unsupported[] = {"methods", "notMethods", "paths", "notPaths", NULL};
static const struct schema operation_schema = {"AuthorizationPolicy operation", operation_fields, OPERATION_FIELDS,
					       operation_unsupported};

enum { WHEN_KEY, WHEN_VALUES, WHEN_NOT_VALUES, WHEN_FIELDS };
static const struct schema_field when_fields[] = {
	[WHEN_KEY] = {"key", SHAPE_TEXT, true},
	[WHEN_VALUES] = {"values", SHAPE_LIST, false},
	[WHEN_NOT_VALUES] = {"notValues", SHAPE_LIST, false},
};
static const struct schema when_schema = {"AuthorizationPolicy spec.rules[].when[]", when_fields, WHEN_FIELDS, NULL};

enum { KEYS_SUPPORTED = 5 };
static const char *const keys[] = {"source.principal",
				   "source.namespace",
				   "source.ip",
				   "destination.port",
				   "connection.sni",
				   "source.serviceAccount",
				   "remote.ip",
				   "destination.ip",
				   "request.headers",
				   "request.auth.principal",
				   "request.auth.audiences",
				   "request.auth.presenter",
				   "request.auth.claims",
				   NULL};
static const struct condition_field key_conditions[KEYS_SUPPORTED] = {
	{POLICY_PRINCIPAL, false, policy_principal_read},
	{POLICY_NAMESPACE, false, policy_namespace_read},
	{POLICY_ADDRESS, false, policy_address_read},
	{POLICY_PORT, false, policy_port_read},
	{POLICY_SNI, false, policy_host_read},
};
/* As conditions are called in what explain says. */
static const char *const key_names[KEYS_SUPPORTED][2] = {
	{"when source.principal", "when source.principal not"},
	{"when source.namespace", "when source.namespace not"},
	{"when source.ip", "when source.ip not"},
	{"when destination.port", "when destination.port not"},
	{"when connection.sni", "when connection.sni not"},
};

static const char *const actions[] = {[POLICY_ALLOW] = "ALLOW", [POLICY_DENY] = "DENY", "AUDIT", "CUSTOM", NULL};

/* Entries that the sources and operations of one rule may make. */
enum { RULE_ENTRIES_MAX = 65536 };

/* schema_read, to which a field without a value is one that isn't there. Here that would be everyone, everything or
 * every service, and isn't taken for what was meant. */
static bool
read_fields(struct reader *reader, const struct yaml_node *node, const struct schema *schema,
	    const struct yaml_node **values)
{
	bool right = schema_read(reader, node, schema, values);

	for (const struct yaml_node *value = node->kind == TREE_MAPPING ? node->first : NULL; value != NULL;
	     value = value->next) {
		if (!schema_is_null(value))
			continue;
		report_error(reader->report, reader_origin(reader, value->key), PN_EMPTY,
			     "field \"%s\" of %s has no value; leave it out, or say which",
			     quote(value->key->text, value->key->length).text, schema->what);
		right = false;
	}
	return right;
}

static void
read_condition(struct reader *reader, const struct yaml_node *list, const struct condition_field *field,
	       const char *name, const struct model_authorization *policy, struct model_policy_group *group)
{
	char what[64];

	snprintf(what, sizeof(what), "%s of an AuthorizationPolicy", name);
	if (!documents_not_empty(reader, list, what))
		return;
	struct model_policy_condition *condition = &group->list[group->n++];
	*condition = (struct model_policy_condition){
		.field = field->field, .name = name, .negated = field->negated, .origin = reader_origin(reader, list)};
	condition->patterns = arena_array(&reader->model->arena, list->length, sizeof(*condition->patterns));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		struct pattern *pattern = &condition->patterns[condition->n_patterns];
		*pattern = (struct pattern){0};
		if (!schema_shape(reader, node, SHAPE_TEXT, name) ||
		    !field->read(reader, node, name, policy->meta.space, pattern))
			continue;
		/* Where it admits, what says no trust domain means ours (policy.h). */
		bool admits = (policy->action == POLICY_ALLOW) != field->negated;
		bool anyone = field->field == POLICY_PRINCIPAL && field->negated && pattern->bits == 0;
		pattern->local = pattern->local && admits && !anyone;
		condition->n_patterns++;
	}
}

/* A source or an operation: a condition for each field. */
static void
read_conditions(struct reader *reader, const struct yaml_node *node, const struct schema *schema,
		const struct condition_field *fields, const struct model_authorization *policy,
		struct model_policy_group *group)
{
	const struct yaml_node *values[SCHEMA_FIELDS_MAX];

	if (!read_fields(reader, node, schema, values) || !documents_not_empty(reader, node, schema->what))
		return;
	group->list = arena_array(&reader->model->arena, schema->n_fields, sizeof(*group->list));
	for (unsigned i = 0; i < schema->n_fields; i++) {
		if (values[i] != NULL)
			read_condition(reader, values[i], &fields[i], schema->fields[i].name, policy, group);
	}
}

static void
read_when(struct reader *reader, const struct yaml_node *node, const struct model_authorization *policy,
	  struct model_policy_group *group)
{
	const struct yaml_node *values[WHEN_FIELDS];
	unsigned key;

	if (!read_fields(reader, node, &when_schema, values))
		return;
	/* "request.headers[x-y]" is the key "request.headers". */
	struct yaml_node bare = *values[WHEN_KEY];
	char name[64];
	size_t length = strcspn(bare.text, "[");
	if (length < bare.length && length < sizeof(name)) {
		snprintf(name, sizeof(name), "%.*s", (int)length, bare.text);
		bare.text = name;
		bare.length = (uint32_t)length;
	}
	if (!schema_choice(reader, &bare, keys, KEYS_SUPPORTED, "key", &key))
		return;
	if (values[WHEN_VALUES] == NULL && values[WHEN_NOT_VALUES] == NULL) {
		report_error(reader->report, reader_origin(reader, node), PN_MISSING_FIELD,
			     "%s needs \"values\" or \"notValues\"", when_schema.what);
		return;
	}
	for (unsigned negated = 0; negated < 2; negated++) {
		const struct yaml_node *list = values[negated ? WHEN_NOT_VALUES : WHEN_VALUES];
		struct condition_field field = key_conditions[key];
		field.negated = negated;
		if (list != NULL)
			read_condition(reader, list, &field, key_names[key][negated], policy, group);
	}
}

/* The alternatives of `from` or `to`; none given: one without conditions. */
static struct model_policy_group *
read_alternatives(struct reader *reader, const struct yaml_node *list, const struct schema *outer,
		  const struct schema *inner, const struct condition_field *fields,
		  const struct model_authorization *policy, uint32_t *n)
{
	const struct yaml_node *value;
	struct model_policy_group *groups =
		arena_array(&reader->model->arena, list == NULL ? 1 : list->length + 1, sizeof(*groups));

	*n = 1;
	if (list == NULL || !documents_not_empty(reader, list, outer->what))
		return groups;
	*n = 0;
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		if (schema_read(reader, node, outer, &value))
			read_conditions(reader, value, inner, fields, policy, &groups[(*n)++]);
	}
	return groups;
}

/* serviceAccounts are names of both, and Istio refuses them beside either. */
static void
check_accounts(struct reader *reader, const struct model_policy_rule *rule)
{
	for (uint32_t i = 0; i < rule->n_sources; i++) {
		const struct model_policy_group *source = &rule->sources[i];
		const struct model_policy_condition *account = NULL, *other = NULL;
		for (uint32_t j = 0; j < source->n; j++) {
			if (source->list[j].field == POLICY_ACCOUNT)
				account = &source->list[j];
			if (source->list[j].field == POLICY_PRINCIPAL || source->list[j].field == POLICY_NAMESPACE)
				other = &source->list[j];
		}
		if (account != NULL && other != NULL)
			report_error(reader->report, account->origin, PN_EXCLUSIVE, "%s and %s exclude each other",
				     account->name, other->name);
	}
}

static struct model_policy_rule *
read_rule(struct reader *reader, const struct yaml_node *node, const struct model_authorization *policy)
{
	const struct yaml_node *values[RULE_FIELDS];
	struct model_policy_rule *rule = arena_alloc(&reader->model->arena, sizeof(*rule));

	read_fields(reader, node, &rule_schema, values);
	rule->origin = reader_origin(reader, node);
	rule->sources = read_alternatives(reader, values[RULE_FROM], &from_schema, &source_schema, source_conditions,
					  policy, &rule->n_sources);
	rule->operations = read_alternatives(reader, values[RULE_TO], &to_schema, &operation_schema,
					     operation_conditions, policy, &rule->n_operations);
	check_accounts(reader, rule);
	if ((uint64_t)rule->n_sources * rule->n_operations > RULE_ENTRIES_MAX)
		report_error(reader->report, rule->origin, PN_BAD_COUNT,
			     "the sources of a rule times its operations are more than %d", RULE_ENTRIES_MAX);
	const struct yaml_node *when = values[RULE_WHEN];
	if (when == NULL || !documents_not_empty(reader, when, "when of an AuthorizationPolicy"))
		return rule;
	rule->when.list = arena_array(&reader->model->arena, 2ul * when->length, sizeof(*rule->when.list));
	for (const struct yaml_node *condition = when->first; condition != NULL; condition = condition->next)
		read_when(reader, condition, policy, &rule->when);
	return rule;
}

struct target_kind {
	const char *name, *groups[3]; /* the groups end with NULL; "" is Kubernetes' core */
};
static const struct target_kind target_kinds[] = {
	[POLICY_TARGET_GATEWAY] = {"Gateway", {"networking.istio.io", "gateway.networking.k8s.io", NULL}},
	[POLICY_TARGET_SERVICE_ENTRY] = {"ServiceEntry", {"networking.istio.io", NULL}},
	[POLICY_TARGET_SERVICE] = {"Service", {"", NULL}},
};
static const char *const target_names[] = {"Gateway", "ServiceEntry", "Service", "GatewayClass", NULL};
enum { TARGETS_SUPPORTED = 3 };

static bool
read_target(struct reader *reader, const struct yaml_node *node, const struct name *space,
	    struct model_policy_target *target)
{
	const struct yaml_node *values[TARGET_FIELDS];
	unsigned kind;

	if (!schema_read(reader, node, &target_schema, values) ||
	    !schema_choice(reader, values[TARGET_KIND], target_names, TARGETS_SUPPORTED, "kind", &kind))
		return false;
	target->kind = (enum policy_target_kind)kind;
	target->name.origin = reader_origin(reader, values[TARGET_NAME]);
	const char *group = values[TARGET_GROUP] == NULL ? "" : values[TARGET_GROUP]->text;
	const char *const *groups = target_kinds[kind].groups;
	while (*groups != NULL && strcmp(*groups, group) != 0)
		groups++;
	if (*groups == NULL) {
		report_error(reader->report,
			     reader_origin(reader, values[TARGET_GROUP] == NULL ? node : values[TARGET_GROUP]),
			     PN_UNKNOWN_VALUE, "group of a %s must be \"%s\", not \"%s\"", target_kinds[kind].name,
			     target_kinds[kind].groups[0], quote(group, strlen(group)).text);
		return false;
	}
	const struct yaml_node *own = values[TARGET_NAMESPACE];
	if (own != NULL && (own->length != space->length || memcmp(own->text, space->bytes, own->length) != 0)) {
		report_error(reader->report, reader_origin(reader, own), PN_UNSUPPORTED_VALUE,
			     "a target in another namespace than the policy's is not supported");
		return false;
	}
	return schema_name(reader, values[TARGET_NAME], syntax_dns_subdomain, PN_BAD_NAME, "name", &target->name.name);
}

static void
read_targets(struct reader *reader, const struct yaml_node *list, struct model_authorization *policy)
{
	policy->has_targets = true;
	if (!documents_not_empty(reader, list, "targetRefs of an AuthorizationPolicy"))
		return;
	policy->targets = arena_array(&reader->model->arena, list->length, sizeof(*policy->targets));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		if (read_target(reader, node, &policy->meta.space, &policy->targets[policy->n_targets]))
			policy->n_targets++;
	}
}

void
authorization_policy_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_authorization *policy = arena_alloc(&model->arena, sizeof(*policy));
	struct model_policy_rule **end = &policy->rules;
	unsigned action = POLICY_ALLOW;

	read_fields(reader, spec, &spec_schema, values);
	policy->meta = *meta;
	/* Enforced, it would do what its author asked to be only told about. */
	if (meta->dry_run.line > 0)
		report_error(reader->report, meta->dry_run, PN_UNSUPPORTED_VALUE,
			     "annotation istio.io/dry-run is not supported yet");
	if (values[SPEC_ACTION] != NULL)
		schema_choice(reader, values[SPEC_ACTION], actions, POLICY_ACTIONS, "action", &action);
	policy->action = (enum policy_action)action;
	if (values[SPEC_TARGETS] != NULL)
		read_targets(reader, values[SPEC_TARGETS], policy);
	const struct yaml_node *rules = values[SPEC_RULES];
	for (const struct yaml_node *node = rules == NULL ? NULL : rules->first; node != NULL; node = node->next) {
		*end = read_rule(reader, node, policy);
		end = &(*end)->next;
	}
	if (policy->action == POLICY_DENY && policy->rules == NULL)
		report_warning(reader->report, meta->origin, PN_RULES_EMPTY,
			       "a DENY policy without rules denies nobody; rules: [ {} ] denies all");
	if (!documents_claim(reader, "AuthorizationPolicy", meta))
		return;
	*model->authorizations_end = policy;
	model->authorizations_end = &policy->next;
}
