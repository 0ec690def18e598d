/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policies ─▶ rules and entries, each once ─▶ for each target the entries of all policies that name it ─▶ its index
 *
 * Targets are called by a letter and a name: "Gspace/name" a Gateway, "Espace/name" a ServiceEntry, "Sspace/name" a
 * service by its Kubernetes name, "Nspace/" a namespace.
 */
#include "federation/policy_compile.h"

#include <stdlib.h>
#include <string.h>

#include "federation/policy_model.h"
#include "platform/text.h"

/* A policy's rules, compiled. */
struct made {
	const struct policy_rule *head; /* the policy itself */
	const struct policy_entry *entries;
	uint32_t n_entries;
	enum policy_action action;
};

struct target_policy {
	const struct made *made;
	struct target_policy *next;
};

struct target {
	struct target_policy *policies, *last; /* in the files' order */
	const struct policy_index *index;
};

struct policy_compiler {
	struct arena *arena, scratch;
	struct policy_set *set;
	struct name_map names; /* of targets ─▶ index in targets */
	struct target *targets;
	uint32_t n_targets, capacity;
	struct text name; /* reused */
};

static const char *
target_name(struct policy_compiler *compiler, char kind, struct name space, struct name name)
{
	compiler->name.length = 0;
	text_print(&compiler->name, "%c%.*s/%.*s", kind, (int)space.length, space.bytes, (int)name.length, name.bytes);
	return compiler->name.bytes;
}

static struct target *
add_target(struct policy_compiler *compiler, char kind, struct name space, struct name name)
{
	const char *text = target_name(compiler, kind, space, name);
	const char **key;
	uint32_t *index;

	if (name_map_add(&compiler->names, text, compiler->name.length, &key, &index)) {
		*key = arena_copy(&compiler->scratch, text, compiler->name.length);
		*index = compiler->n_targets++;
		if (*index == compiler->capacity) {
			compiler->capacity = compiler->capacity == 0 ? 16 : compiler->capacity * 2;
			compiler->targets = realloc(compiler->targets, compiler->capacity * sizeof(*compiler->targets));
			if (compiler->targets == NULL)
				abort();
		}
		compiler->targets[*index] = (struct target){0};
	}
	return &compiler->targets[*index];
}

static const struct policy_index *
find_index(struct policy_compiler *compiler, char kind, struct name space, struct name name)
{
	const char *text = target_name(compiler, kind, space, name);
	uint32_t index;

	return name_map_find(&compiler->names, text, compiler->name.length, &index) ? compiler->targets[index].index
										    : NULL;
}

/* --- rules and entries ------------------------------------------------------------------------------------------- */

static const struct policy_group *
make_group(struct policy_compiler *compiler, const struct model_policy_group *from)
{
	struct policy_group *group = arena_alloc(compiler->arena, sizeof(*group));
	struct policy_condition *list = arena_array(compiler->arena, from->n, sizeof(*list));

	for (uint32_t i = 0; i < from->n; i++) {
		const struct model_policy_condition *condition = &from->list[i];
		struct pattern_input *inputs = arena_array(&compiler->scratch, condition->n_patterns, sizeof(*inputs));
		for (uint32_t j = 0; j < condition->n_patterns; j++)
			inputs[j].pattern = condition->patterns[j];
		list[i] = (struct policy_condition){.name = condition->name,
						    .origin = condition->origin,
						    .field = condition->field,
						    .negated = condition->negated};
		pattern_set_build(&list[i].patterns, compiler->arena, inputs, condition->n_patterns);
	}
	*group = (struct policy_group){list, from->n};
	return group;
}

static bool
names_principals(const struct policy_group *group)
{
	for (uint32_t i = 0; i < group->n; i++)
		if (group->list[i].field == POLICY_PRINCIPAL && !group->list[i].negated)
			return true;
	return false;
}

/* One entry for each source and operation. */
static struct policy_entry *
make_entries(struct policy_compiler *compiler, const struct model_policy_rule *from, const struct policy_rule *rule,
	     struct policy_entry *entry)
{
	struct arena *scratch = &compiler->scratch;
	const struct policy_group **operations =
		arena_array(scratch, from->n_operations, sizeof(struct policy_group *));
	const struct policy_group *when = make_group(compiler, &from->when);

	for (uint32_t i = 0; i < from->n_operations; i++)
		operations[i] = make_group(compiler, &from->operations[i]);
	for (uint32_t i = 0; i < from->n_sources; i++) {
		const struct policy_group *source = make_group(compiler, &from->sources[i]);
		for (uint32_t j = 0; j < from->n_operations; j++)
			*entry++ = (struct policy_entry){.rule = rule,
							 .groups = {source, operations[j], when},
							 .names = names_principals(source) || names_principals(when)};
	}
	return entry;
}

static const struct made *
make_policy(struct policy_compiler *compiler, const struct model_authorization *from)
{
	struct made *made = arena_alloc(&compiler->scratch, sizeof(*made));
	uint32_t n_rules = 1;

	for (const struct model_policy_rule *rule = from->rules; rule != NULL; rule = rule->next) {
		n_rules++;
		made->n_entries += rule->n_sources * rule->n_operations;
	}
	struct policy_rule *rules = arena_array(compiler->arena, n_rules, sizeof(*rules));
	struct policy_entry *entries = arena_array(&compiler->scratch, made->n_entries, sizeof(*entries));
	made->head = rules;
	made->entries = entries;
	made->action = from->action;
	const struct model_policy_rule *rule = from->rules;
	for (uint32_t i = 0; i < n_rules; i++) {
		rules[i] = (struct policy_rule){.space = from->meta.space,
						.name = from->meta.name,
						.origin = i == 0 ? from->meta.origin : rule->origin,
						.number = compiler->set->n_rules++,
						.action = from->action};
		if (i == 0)
			continue;
		entries = make_entries(compiler, rule, &rules[i], entries);
		rule = rule->next;
	}
	compiler->set->n_policies++;
	compiler->set->n_entries += made->n_entries;
	return made;
}

/* --- targets ----------------------------------------------------------------------------------------------------- */

static void
aim(struct policy_compiler *compiler, struct target *target, const struct made *made)
{
	/* Named twice, a target has the policy once. */
	if (target->last != NULL && target->last->made == made)
		return;
	struct target_policy *policy = arena_alloc(&compiler->scratch, sizeof(*policy));
	policy->made = made;
	if (target->last == NULL)
		target->policies = policy;
	else
		target->last->next = policy;
	target->last = policy;
}

static void
aim_policy(struct policy_compiler *compiler, const struct model_authorization *policy)
{
	static const char kinds[] = {
		[POLICY_TARGET_GATEWAY] = 'G', [POLICY_TARGET_SERVICE_ENTRY] = 'E', [POLICY_TARGET_SERVICE] = 'S'};
	const struct made *made = make_policy(compiler, policy);
	struct name space = policy->meta.space;

	if (policy->n_targets == 0)
		aim(compiler, add_target(compiler, 'N', space, (struct name){.bytes = ""}), made);
	for (uint32_t i = 0; i < policy->n_targets; i++)
		aim(compiler, add_target(compiler, kinds[policy->targets[i].kind], space, policy->targets[i].name.name),
		    made);
}

/* --- indexes ----------------------------------------------------------------------------------------------------- */

/* The next positive condition of an entry, or NULL; group and at begin at 0. */
static const struct policy_condition *
next_positive(const struct policy_entry *entry, unsigned *group, uint32_t *at)
{
	for (; *group < POLICY_GROUPS; (*group)++, *at = 0) {
		while (*at < entry->groups[*group]->n) {
			const struct policy_condition *condition = &entry->groups[*group]->list[(*at)++];
			if (!condition->negated)
				return condition;
		}
	}
	return NULL;
}

/* A list of patterns in the making. */
struct inputs {
	struct pattern_input *list;
	uint32_t n, capacity;
};

static void
add_patterns(struct inputs *inputs, const struct policy_condition *condition, uint32_t use)
{
	for (enum pattern_shape shape = 0; shape < PATTERN_SHAPES; shape++) {
		for (uint32_t i = 0; i < condition->patterns.n_nodes[shape]; i++) {
			const struct pattern_node *node = &condition->patterns.nodes[shape][i];
			if (inputs->n == inputs->capacity) {
				inputs->capacity = inputs->capacity == 0 ? 64 : inputs->capacity * 2;
				inputs->list = realloc(inputs->list, inputs->capacity * sizeof(*inputs->list));
				if (inputs->list == NULL)
					abort();
			}
			inputs->list[inputs->n++] = (struct pattern_input){.pattern = {.bytes = node->bytes,
										       .bits = node->bits,
										       .shape = shape,
										       .local = node->uses[0].local},
									   .use = use};
		}
	}
}

/* How crowded it is under a field: for each entry, how many share the most shared of its patterns there. 0: it has
 * none. */
static void
count_crowds(const struct pattern_set *patterns, uint32_t n_entries, uint32_t *crowds)
{
	memset(crowds, 0, n_entries * sizeof(*crowds));
	for (enum pattern_shape shape = 0; shape < PATTERN_SHAPES; shape++) {
		for (uint32_t i = 0; i < patterns->n_nodes[shape]; i++) {
			const struct pattern_node *node = &patterns->nodes[shape][i];
			/* Under "*" stands everyone. */
			uint32_t crowd = node->bits == 0 ? n_entries : node->n_uses;
			for (uint32_t k = 0; k < node->n_uses; k++)
				if (crowds[node->uses[k].use] < crowd)
					crowds[node->uses[k].use] = crowd;
		}
	}
}

/* Gives each entry the condition by which it is found. */
static void
choose_keys(struct policy_entry *entries, uint32_t n)
{
	uint32_t *crowds = calloc(n, sizeof(*crowds)), *least = calloc(n, sizeof(*least));
	struct inputs inputs = {0};

	if (crowds == NULL || least == NULL)
		abort();
	for (enum policy_field field = 0; field < POLICY_FIELDS; field++) {
		struct arena arena = {0};
		struct pattern_set all;
		inputs.n = 0;
		for (uint32_t i = 0; i < n; i++) {
			unsigned group = 0;
			uint32_t at = 0;
			const struct policy_condition *condition;
			while ((condition = next_positive(&entries[i], &group, &at)) != NULL)
				if (condition->field == field)
					add_patterns(&inputs, condition, i);
		}
		pattern_set_build(&all, &arena, inputs.list, inputs.n);
		count_crowds(&all, n, crowds);
		for (uint32_t i = 0; i < n; i++) {
			if (crowds[i] == 0 || (entries[i].key != NULL && least[i] <= crowds[i]))
				continue;
			unsigned group = 0;
			uint32_t at = 0;
			do
				entries[i].key = next_positive(&entries[i], &group, &at);
			while (entries[i].key->field != field);
			least[i] = crowds[i];
		}
		arena_free(&arena);
	}
	free(inputs.list);
	free(least);
	free(crowds);
}

static void
make_matcher(struct policy_compiler *compiler, const struct target *target, enum policy_action action,
	     struct policy_matcher *matcher)
{
	const struct target_policy *policy;
	struct inputs inputs = {0};
	uint32_t n = 0;

	for (policy = target->policies; policy != NULL; policy = policy->next)
		n += policy->made->action == action ? policy->made->n_entries : 0;
	struct policy_entry *entries = arena_array(compiler->arena, n, sizeof(*entries));
	for (policy = target->policies; policy != NULL; policy = policy->next) {
		const struct made *made = policy->made;
		if (made->action != action)
			continue;
		if (matcher->first == NULL)
			matcher->first = made->head;
		for (uint32_t i = 0; i < made->n_entries; i++)
			entries[matcher->n_entries++] = made->entries[i];
	}
	matcher->entries = entries;
	if (n == 0)
		return;
	choose_keys(entries, n);
	for (enum policy_field field = 0; field < POLICY_FIELDS; field++) {
		inputs.n = 0;
		for (uint32_t i = 0; i < n; i++)
			if (entries[i].key != NULL && entries[i].key->field == field)
				add_patterns(&inputs, entries[i].key, i);
		pattern_set_build(&matcher->keys[field], compiler->arena, inputs.list, inputs.n);
	}
	free(inputs.list);
	for (uint32_t i = 0; i < n; i++)
		matcher->n_walked += entries[i].key == NULL;
	uint32_t *walked = arena_array(compiler->arena, matcher->n_walked, sizeof(*walked));
	matcher->walked = walked;
	for (uint32_t i = 0; i < n; i++)
		if (entries[i].key == NULL)
			*walked++ = i;
}

static void
make_indexes(struct policy_compiler *compiler)
{
	for (uint32_t i = 0; i < compiler->n_targets; i++) {
		struct policy_index *index = arena_alloc(compiler->arena, sizeof(*index));
		for (enum policy_action action = 0; action < POLICY_ACTIONS; action++)
			make_matcher(compiler, &compiler->targets[i], action, &index->matchers[action]);
		compiler->targets[i].index = index;
	}
}

/* --- who has which ----------------------------------------------------------------------------------------------- */

/* "payments.bank.svc.cluster.local" is the Service payments of namespace bank. */
static bool
service_name(struct name host, struct name *name, struct name *space)
{
	static const char suffix[] = ".svc.cluster.local";
	const size_t suffix_length = sizeof(suffix) - 1;
	const char *dot = memchr(host.bytes, '.', host.length);

	if (dot == NULL || host.length <= suffix_length)
		return false;
	const char *end = host.bytes + host.length - suffix_length;
	if (dot + 1 >= end || memcmp(end, suffix, suffix_length) != 0 ||
	    memchr(dot + 1, '.', (size_t)(end - dot - 1)) != NULL)
		return false;
	*name = (struct name){host.bytes, (uint32_t)(dot - host.bytes)};
	*space = (struct name){dot + 1, (uint32_t)(end - dot - 1)};
	return true;
}

static void
give_services(struct policy_compiler *compiler, const struct snapshot *snapshot)
{
	static const struct name root = {POLICY_ROOT_NAMESPACE, sizeof(POLICY_ROOT_NAMESPACE) - 1}, none = {"", 0};
	struct policy_scope *scopes = arena_array(compiler->arena, snapshot->n_services, sizeof(*scopes));

	for (uint32_t i = 0; i < snapshot->n_services; i++) {
		const struct service *service = &snapshot->services[i];
		struct policy_scope *scope = &scopes[i];
		struct name name, space;
		scope->indexes[0] = find_index(compiler, 'E', service->space, service->name);
		if (service_name(service->host, &name, &space))
			scope->indexes[1] = find_index(compiler, 'S', space, name);
		scope->indexes[2] = find_index(compiler, 'N', service->space, none);
		if (strcmp(service->space.bytes, root.bytes) != 0)
			scope->indexes[3] = find_index(compiler, 'N', root, none);
	}
	compiler->set->services = snapshot->services;
	compiler->set->scopes = scopes;
}

static void
give_listeners(struct policy_compiler *compiler, const struct snapshot *snapshot)
{
	const struct policy_index **listeners =
		arena_array(compiler->arena, snapshot->n_listeners, sizeof(struct policy_index *));

	for (uint16_t i = 0; i < snapshot->n_listeners; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		/* Its gateway is "namespace/name" already. */
		compiler->name.length = 0;
		text_print(&compiler->name, "G%s", listener->gateway.bytes);
		uint32_t index;
		if (name_map_find(&compiler->names, compiler->name.bytes, compiler->name.length, &index))
			listeners[listener->index] = compiler->targets[index].index;
	}
	compiler->set->listeners = listeners;
}

const struct policy_set *
policy_compile(const struct model *model, const struct snapshot *snapshot, struct arena *arena)
{
	struct policy_compiler compiler = {.arena = arena};

	compiler.set = arena_alloc(arena, sizeof(*compiler.set));
	compiler.set->trust_domain = snapshot->trust_domain;
	for (const struct model_authorization *policy = model->authorizations; policy != NULL; policy = policy->next)
		aim_policy(&compiler, policy);
	make_indexes(&compiler);
	give_services(&compiler, snapshot);
	give_listeners(&compiler, snapshot);
	name_map_free(&compiler.names);
	free(compiler.targets);
	text_free(&compiler.name);
	arena_free(&compiler.scratch);
	return compiler.set;
}
