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

void
check_policies(struct check *check)
{
	const struct model *model = check->model;
	struct name_map spaces = {0};
	uint32_t value;

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
