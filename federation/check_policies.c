/* SPDX-License-Identifier: Apache-2.0 */
/* What an AuthorizationPolicy applies to. One that applies to nothing looks like protection and is none. */
#include <string.h>

#include "federation/policy_compile.h"
#include "federation/policy_model.h"
#include "platform/text.h"

static bool
is_claimed(const struct check *check, const char *kind, struct name space, struct name name)
{
	struct text claim = {0};
	uint32_t index;

	text_print(&claim, "%s %s/%s", kind, space.bytes, name.bytes);
	bool claimed = name_map_find(&check->model->claims, claim.bytes, claim.length, &index);
	text_free(&claim);
	return claimed;
}

static bool
has_host(const struct check *check, struct name space, struct name name)
{
	struct text host = {0};
	uint32_t index;

	text_print(&host, "%s.%s.svc.cluster.local", name.bytes, space.bytes);
	bool found = name_map_find(&check->model->hosts, host.bytes, host.length, &index);
	text_free(&host);
	return found;
}

static void
check_target(struct check *check, const struct model_authorization *policy, const struct model_policy_target *target)
{
	static const char *const kinds[] = {[POLICY_TARGET_GATEWAY] = "Gateway",
					    [POLICY_TARGET_SERVICE_ENTRY] = "ServiceEntry",
					    [POLICY_TARGET_SERVICE] = "Service"};
	const struct model *model = check->model;
	const char *kind = kinds[target->kind];
	struct name space = policy->meta.space;
	bool gateway = target->kind == POLICY_TARGET_GATEWAY;

	if (model->opaque || (gateway ? model->gateways_uncertain : model->hosts_uncertain))
		return;
	if (target->kind == POLICY_TARGET_SERVICE ? has_host(check, space, target->name.name)
						  : is_claimed(check, kind, space, target->name.name))
		return;
	report_error(check->report, target->name.origin, PN_NO_SUCH_TARGET,
		     "there is no %s \"%s\" in namespace \"%s\"%s", kind, QUOTE(target->name.name), QUOTE(space),
		     target->kind == POLICY_TARGET_SERVICE ? ", which is a host NAME.NAMESPACE.svc.cluster.local" : "");
}

/* Namespaces of ServiceEntries. */
static void
list_spaces(const struct model *model, struct name_map *spaces)
{
	uint32_t *value;

	for (const struct model_service_entry *entry = model->entries; entry != NULL; entry = entry->next)
		name_map_add(spaces, entry->meta.space.bytes, entry->meta.space.length, NULL, &value);
}

/* Trust domains that a client can be of: ours, federated ones, and those of identity maps. */
static void
list_domains(const struct model *model, struct name_map *domains)
{
	const struct model_federation *federation = model->federation;
	uint32_t *value;

	name_map_add(domains, federation->trust_domain.bytes, federation->trust_domain.length, NULL, &value);
	for (uint32_t i = 0; i < federation->n_domains; i++)
		name_map_add(domains, federation->domains[i].trust_domain.bytes,
			     federation->domains[i].trust_domain.length, NULL, &value);
	for (const struct model_identity_map *map = model->identity_maps; map != NULL; map = map->next)
		name_map_add(domains, map->trust_domain.name.bytes, map->trust_domain.name.length, NULL, &value);
}

static void
check_condition(struct check *check, const struct model_policy_condition *condition, const struct name_map *domains)
{
	uint32_t value;

	for (uint32_t i = 0; i < condition->n_patterns && condition->field == POLICY_PRINCIPAL; i++) {
		const struct pattern *pattern = &condition->patterns[i];
		const char *slash = memchr(pattern->bytes, '/', pattern->bits / 8);
		if (pattern->shape == PATTERN_SUFFIX || slash == NULL)
			continue;
		size_t length = (size_t)(slash - pattern->bytes);
		if (name_map_find(domains, pattern->bytes, length, &value))
			continue;
		report_warning(check->report, condition->origin, PN_STRANGE_DOMAIN,
			       "%s: trust domain \"%s\" is neither ours nor federated with nor an IdentityMap's, so "
			       "nobody is of it",
			       condition->name, quote(pattern->bytes, length).text);
	}
}

static void
check_group(struct check *check, const struct model_policy_group *group, const struct name_map *domains)
{
	for (uint32_t i = 0; i < group->n; i++)
		check_condition(check, &group->list[i], domains);
}

/* A DENY rule for a trust domain by a wrong name denies nobody. */
static void
check_domains(struct check *check)
{
	const struct model *model = check->model;
	struct name_map domains = {0};

	if (model->opaque || model->federation == NULL || check->report->n_raised > 0)
		return;
	list_domains(model, &domains);
	for (const struct model_authorization *policy = model->authorizations; policy != NULL; policy = policy->next) {
		for (const struct model_policy_rule *rule = policy->rules; rule != NULL; rule = rule->next) {
			for (uint32_t i = 0; i < rule->n_sources; i++)
				check_group(check, &rule->sources[i], &domains);
			check_group(check, &rule->when, &domains);
		}
	}
	name_map_free(&domains);
}

void
check_policies(struct check *check)
{
	const struct model *model = check->model;
	struct name_map spaces = {0};
	uint32_t value;

	check_domains(check);
	list_spaces(model, &spaces);
	for (const struct model_authorization *policy = model->authorizations; policy != NULL; policy = policy->next) {
		struct name space = policy->meta.space;
		for (uint32_t i = 0; i < policy->n_targets; i++)
			check_target(check, policy, &policy->targets[i]);
		if (policy->has_targets || model->opaque || model->hosts_uncertain ||
		    strcmp(space.bytes, POLICY_ROOT_NAMESPACE) == 0 ||
		    name_map_find(&spaces, space.bytes, space.length, &value))
			continue;
		report_warning(check->report, policy->meta.origin, PN_POLICY_UNUSED,
			       "there is no service in namespace \"%s\", so this policy applies to nothing",
			       QUOTE(space));
	}
	name_map_free(&spaces);
}
